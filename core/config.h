/* Settings: one row each in one table (core/config.c), read from the environment once at start.
 *
 * The table holds name, type, unit, default, meaning and whether the value is secret; it reads the environment, refuses wrong values by
 * name, and prints the reference (`parley config`). After config_load() the struct is read-only and shared by all threads. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/err.h"

#define CONFIG_FOREVER INT64_MAX

enum s3_style { S3_PATH, S3_VIRTUAL };
enum s3_acl { S3_ACL_PRIVATE, S3_ACL_NONE };
enum registration { REGISTRATION_OPEN, REGISTRATION_INVITE, REGISTRATION_CLOSED };

struct config {
    /* Strings are owned by the config and never NULL; an unset one is "". */
    char *listen; /* host:port; port 0 takes any free one */
    char *db;     /* sqlite:PATH; default: parley.db in the data folder */
    char *redis;  /* redis://...; "": none */
    char *data_dir;
    char *public_url;
    char *cors_origins; /* comma-separated */
    bool web;           /* the browser client is served */
    char *log_level;
    char *node;           /* the name of this process for operators; default: the host's */
    int64_t registration; /* enum registration */
    bool trusted_proxy;
    int64_t password_cost; /* log2 of scrypt's N */
    int64_t session_idle_ms;
    int64_t session_max_ms;
    int64_t devices_per_user;
    int64_t group_max;
    int64_t chats_per_user;
    bool edit_history;       /* earlier texts of edited messages are kept */
    int64_t presence_ttl_ms; /* after their last activity users count as online for so long */
    int64_t presence_subscriptions_max;
    int64_t typing_members_max; /* in larger chats nobody is told who types */
    int64_t receipts_members_max;
    int64_t edit_window_ms;      /* 0: no limit */
    int64_t delete_window_ms;    /* 0: no limit */
    int64_t retention_ms;        /* CONFIG_FOREVER: nothing expires */
    int64_t dormant_after_ms;    /* devices not seen for so long hold nothing back */
    int64_t cleanup_interval_ms; /* 0: off */
    int64_t cleanup_budget_ms;   /* of one run inside the server */
    int64_t cleanup_deadline_ms; /* the promise */
    char *media_types;           /* core/content_type.h */
    int64_t media_pending;       /* uploads of one user that are not completed */
    int64_t media_quota;         /* bytes of one user; 0: no limit */
    int64_t media_part_above;    /* larger ones are uploaded in parts; bytes */
    int64_t media_part_size;     /* bytes */
    int64_t media_upload_ms;     /* how long upload URLs work */
    int64_t media_download_ms;   /* how long download URLs work */
    int64_t media_unused_ms;     /* media that no message ever referred to go after */
    int64_t media_grace_ms;      /* media whose last message went go after */
    char *s3_endpoint;           /* "": local storage */
    char *s3_public_endpoint;    /* what clients see; "": the same */
    char *s3_region;
    char *s3_bucket;
    char *s3_prefix;  /* of all keys */
    int64_t s3_style; /* enum s3_style */
    char *s3_access_key;
    char *s3_secret_key;
    char *s3_session_token;
    int64_t s3_acl;        /* enum s3_acl */
    int64_t s3_timeout_ms; /* of one request */
    bool rate_limit;       /* false lifts every rate limit and stream cap */
    int64_t rate_user;     /* requests a second */
    int64_t rate_address;  /* requests a second */
    int64_t rate_login;    /* attempts a minute, per account and per address */
    int64_t streams_per_device;
    int64_t streams_per_user;
    int64_t streams_per_address;
    int64_t streams_max; /* 0: from the descriptor limit */
    int64_t heartbeat_ms;
    int64_t stream_retry_ms;
    int64_t drain_spread_ms;
    int64_t request_timeout_ms;
    int64_t idle_timeout_ms;
    int64_t connections;
    int64_t queue_max;        /* commands waiting for the writer */
    int64_t poll_interval_ms; /* of looking for what other nodes have committed */
};

/* Reads the environment. On ERR_CONFIG `problem` (NUL-terminated, at most `problem_size` bytes) names the setting and what is wrong; an unknown
 * PARLEY_ variable is such an error, too (PARLEY_FAULT*, PARLEY_FORGETFUL* and PARLEY_TEST_* are left to test builds). */
enum err config_load(struct config *config, char *problem, size_t problem_size) MUST_USE;
void config_release(struct config *config);

/* Prints every setting: name, type, default, current value (secrets as "set" or "unset") and meaning. */
void config_print(const struct config *config, FILE *out);
