/* The server's parts, for api/ only. */
#pragma once

#include <stdatomic.h>

#include "api/server.h"
#include "core/crypto.h"
#include "core/list.h"

struct auth;
struct http;
struct presence;
struct rate;
struct rate_shared;
struct reaction_sender;
struct receipt_sender;
struct storage;
struct typing;
struct workers;

struct server {
    const struct config *config;
    struct store *store;
    struct hmac_key secret; /* the store's */
    struct hub *hub;
    struct storage *storage;
    struct http *http;
    struct auth *auth;
    struct typing *typing;
    struct presence *presence;
    struct receipt_sender *receipt_sender;
    struct reaction_sender *reaction_sender;
    struct rate *rate;               /* the loop's, */
    struct rate_shared *rate_shared; /* or that of these; NULL: limits are this node's alone */
    struct workers *readers;
    struct workers *hashers;
    struct workers *storers; /* wait for the storage */
    struct list_node blobs;  /* the loop's: transfers (blobs.h) */
    _Atomic bool draining;
    bool secure_cookies; /* the public URL is https */
    char *page_policy;   /* owned: the Content-Security-Policy of pages */
};
