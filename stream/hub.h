/* The hub: applies the log in order and pushes it to this node's streams.
 *
 * A stream is a socket and a position. The hub's thread owns all sockets, the index of who listens to what, and the ring of recent frames; replay
 * threads read the store for streams that are behind. Callers on other threads only hand over sockets and commits. */
#pragma once

#include "core/config.h"
#include "db/store.h"

struct hub;

/* Starts the hub's thread and its replay threads (each with a reader of its own) at the store's head. */
enum err hub_start(struct store *store, const struct config *config, struct hub **ret_hub) MUST_USE;

/* Tells every stream `closing` with reason draining and a `retry:` spread over config->drain_spread_ms, closes them as their sockets drain
 * (at most two seconds), and ends the threads. Commits may still come, and sockets, which are closed. */
void hub_drain(struct hub *hub);
/* hub_drain(), unless that was done, and frees the hub: after the last commit. */
void hub_stop(struct hub *hub);

/* A commit_listener; context is the hub. Takes references to the frames; when the hub is too far behind it forgets them and reads the log instead. */
void hub_commit(void *hub, uint64_t previous_id, struct frame *const *frames, size_t count);

/* A break_listener; context is the hub. */
void hub_break(void *hub, enum log_break kind, uint64_t head_id);

/* Whether the device has a stream here. Any thread. */
bool hub_has_device(struct hub *hub, uint64_t device_id);

/* Where a new stream continues. */
enum stream_start {
    START_AT_HEAD, /* no token */
    START_AFTER,   /* after `after_id`, if the log still has it */
    START_RESET,   /* the token was unreadable: reset, then from the head */
};

struct stream_request {
    int fd; /* taken over in every case: the hub closes it */
    uint64_t user_id;
    uint64_t device_id;
    uint64_t address_hash;   /* of the client's address, for the cap; not 0 */
    int64_t session_ends_ms; /* the session's absolute end: the stream is closed then (session_expired) */
    enum stream_start start;
    uint64_t after_id;
    bool named;       /* write `event:` lines */
    bool head_only;   /* HEAD: the response head, then close */
    const char *head; /* the response head up to and including the empty line; copied */
    size_t head_size;
};

/* Any thread; never blocks. Caps (per device, user, address, all) are judged by the hub, which answers in-band with `closing`. When the hub cannot take
 * it at all (out of memory, stopping) the fd is closed. */
void hub_open(struct hub *hub, const struct stream_request *request);
