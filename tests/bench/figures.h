/* What the scenarios of one run have measured, by name: what they are compared with is measured in the same run. Main thread. */
#pragma once

#include <stdbool.h>

enum figure {
    FIGURE_NONE, /* nothing is ever measured under it */

    /* Limits of the machine. */
    FIGURE_FDATASYNC_P50_MS,
    FIGURE_FDATASYNC_P99_MS,
    FIGURE_SENDS_1000, /* a second, to so many sockets in turn */
    FIGURE_SENDS_10000,
    FIGURE_EMPTY_ANSWERS, /* a second, of libmicrohttpd alone */
    FIGURE_SQLITE_ROWS,   /* a second, in durable batches */
    FIGURE_MARIADB_ROWS,

    FIGURE_SINGLE_P50_MS, /* fdatasync and an empty answer, one after the other */
    FIGURE_SINGLE_P99_MS,
    FIGURE_PROCESSORS_SQLITE, /* posts a second, if processors were never idle and a post cost them what it does */
    FIGURE_PROCESSORS_MARIADB,
    FIGURE_RETURN_ASKED_S,    /* until the bench itself had asked for all streams */
    FIGURE_MAPPED_MB,         /* resident of an idle server: pages of the program and its libraries */
    FIGURE_MACHINE_PAUSE_MS,  /* the longest while stalls were looked for */
    FIGURE_DISK_WAIT_MS,      /* the longest of a small write meanwhile */
    FIGURE_NETWORK_TCP_POSTS, /* a second, from far away: what TCP allows */
    FIGURE_NETWORK_TCP_EVENTS,

    /* Peers. */
    FIGURE_EJABBERD_POSTS, /* a second, 256 connections */
    FIGURE_NCHAN_EVENTS_1000,
    FIGURE_NCHAN_EVENTS_10000,
    FIGURE_NCHAN_STREAM_BYTES,
    FIGURE_PUSHPIN_EVENTS_1000,
    FIGURE_MOSQUITTO_EVENTS_1000,

    /* Parley. */
    FIGURE_POSTS_SQLITE, /* a second, 256 connections */
    FIGURE_POSTS_MARIADB,
    FIGURE_POST_P50_MS, /* one at a time, on SQLite */
    FIGURE_POST_P99_MS,
    FIGURE_EVENTS_1000, /* a second, back to back, to so many streams */
    FIGURE_EVENTS_10000,
    FIGURE_STREAM_BYTES,  /* resident, of an idle stream */
    FIGURE_DIRECT_P50_MS, /* post to event, at a rate over many direct chats */
    FIGURE_DIRECT_P99_MS,
    FIGURE_DIRECT_P999_MS,
    FIGURE_RETURN_S, /* until all streams are live again */
    FIGURE_RETURN_REFUSED,
    FIGURE_RETURN_POST_P99_MS,
    FIGURE_FIRST_PAGE_P99_MS,
    FIGURE_LAST_PAGE_P99_MS,
    FIGURE_START_S,
    FIGURE_IDLE_MB,
    FIGURE_IDLE_WAKEUPS, /* a second */
    FIGURE_GROWTH,       /* posts/s with many messages stored over those with few */
    FIGURE_STALL_MAX_MS,
    FIGURE_NETWORK_POSTS, /* a second, from far away */
    FIGURE_NETWORK_EVENTS,
    FIGURE_NETWORK_WRONG, /* lost, doubled, out of order */
    FIGURE_COUNT
};

void figure_set(enum figure figure, double value);
/* False when this run has not measured it. */
bool figure_get(enum figure figure, double *ret_value);
