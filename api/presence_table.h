/* Who is there, and which devices want to be told: what one node keeps of it in memory. No I/O; not thread-safe.
 *
 * A user counts as online until `ttl_ms` after the last activity that was noted, on whatever node. A device's subscriptions are watches of users. Whether
 * the device may be told of them was asked of the database once; what happens later may end that, so everything that might is noted as a doubt
 * about a user, and a watch about which there are newer doubts than its own is unsure, and has to be asked about again before anybody is told.
 *
 * Invariants:
 *  1. A user is in the table while online, watched, to be told of, or to be stored.
 *  2. What is told of a user is a change against what was told before: nobody goes and comes within the time to live.
 *  3. What is stored of a user is at least STORE_INTERVAL_MS apart. */
#pragma once

#include "core/list.h"
#include "core/map.h"

#define PRESENCE_STORE_INTERVAL_MS 60000
#define PRESENCE_GRACE_MS 60000 /* subscriptions are kept for so long without a stream */
#define PRESENCE_DOUBTS 4096
#define PRESENCE_SLICE 1024 /* that are looked at in one go, in about a ms: others wait for the table meanwhile */

struct presence_table {
    int64_t ttl_ms;
    struct map users;    /* user id → struct present, owned */
    struct map watchers; /* device id → struct watcher, owned */
    size_t watch_count;
    struct list_node changed; /* of struct present: to be told of */
    struct list_node heard;   /* of struct watcher: of other nodes, to be told how it stands here */
    size_t tick_cursor, sweep_cursor;
    uint32_t doubts[PRESENCE_DOUBTS], doubts_of_all;
};

struct presence_now {
    int64_t monotonic_ms;
    int64_t wall_ms;
};

void presence_table_init(struct presence_table *table, int64_t ttl_ms);
void presence_table_release(struct presence_table *table);

/* The user is active. `is_own`: this node was told so by the user, and stores it. False: there is no room for one more. `ret_tell`: it is time to tell other
 * nodes (not more often than thrice in a time to live). */
bool presence_table_note(struct presence_table *table, uint64_t user_id, bool is_own, const struct presence_now *now, bool *ret_tell);
/* Whether the user is online, and when last active as far as is known here (0: nothing is). */
bool presence_table_look(const struct presence_table *table, uint64_t user_id, int64_t *ret_active_ms);

struct presence_subscriber {
    uint64_t user_id;
    uint64_t device_id;
};
/* Replaces the device's watches by these. `states`: of presence_table_state(), asked before the database was; NULL: another node has answered, so all are
 * unsure, and the device is still to be told of those that are known here, who may have come meanwhile. False: there is no room; then the device has none. */
bool presence_table_watch(struct presence_table *table, const struct presence_subscriber *subscriber, const uint64_t *user_ids,
                          const uint32_t *states, size_t count, int64_t now_ms);
/* A number that changes with each doubt about either of them. */
uint32_t presence_table_state(const struct presence_table *table, uint64_t subscriber_id, uint64_t user_id);
void presence_table_doubt(struct presence_table *table, uint64_t user_id);
void presence_table_doubt_all(struct presence_table *table);

struct presence_notice {
    struct presence_subscriber subscriber;
    uint32_t state; /* as of this notice */
    bool is_sure;
};
/* A user who came or went, and whom to tell. */
struct presence_change {
    uint64_t user_id;
    int64_t active_ms;
    bool is_online;
    struct presence_notice *notices; /* to free(); may be NULL */
    size_t count;
};
/* Whether there is one. */
bool presence_table_has_change(const struct presence_table *table);
/* The next; those who have not come or gone, but are to be told to somebody, come last. False: there is none. */
bool presence_table_take(struct presence_table *table, struct presence_change *ret_change);
/* What the database said of a notice that was not sure: the watch is sure as of its state, or ends. */
void presence_table_settle(struct presence_table *table, const struct presence_notice *notice, uint64_t user_id, bool may_see);

/* From time to time: who has gone, whom nobody looks for, and whose last activity is to be stored: `store` is asked to, and says whether it will.
 * `at_end`: store all that is not stored. Each call looks at the next PRESENCE_SLICE users; false: those were the last ones, and the next
 * call begins with the first. Who comes or moves between two calls may be left out until then. */
typedef bool (*presence_store)(void *context, uint64_t user_id, int64_t active_ms);
bool presence_table_tick(struct presence_table *table, const struct presence_now *now, bool at_end, presence_store store, void *context);
/* Ends the subscriptions of devices of which has_stream() has said no for PRESENCE_GRACE_MS. In slices likewise. */
typedef bool (*presence_has_stream)(void *context, uint64_t device_id);
bool presence_table_sweep(struct presence_table *table, int64_t now_ms, presence_has_stream has_stream, void *context);
