/* See mariadb_servers.h. Owns the list of all that are held, and the thread of each that names several servers. */
#include "db/mariadb_servers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"

/* After each return the thread waits twice as long for the next: a server that comes and goes would take all connections with it each time. */
#define RETURN_FIRST_MS 5000
#define RETURN_LONGEST_MS (5 * 60 * 1000)

struct mariadb_servers {
    struct mariadb_servers *next; /* under all_mutex, like the next */
    unsigned holders;
    char *text; /* owned; holds the password */
    struct mariadb_url url;
    mariadb_probe probe;
    atomic_uint current;
    pthread_t thread; /* only where there are several servers */
    pthread_mutex_t mutex;
    pthread_cond_t changed;             /* on the monotonic clock */
    bool stopping;                      /* under the mutex, like the next */
    char cluster[MARIADB_CLUSTER_SIZE]; /* of the current one */
};

static pthread_mutex_t all_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct mariadb_servers *all; /* under all_mutex */

const struct mariadb_url *mariadb_servers_url(const struct mariadb_servers *servers) { return &servers->url; }

unsigned mariadb_servers_current(const struct mariadb_servers *servers) { return atomic_load(&servers->current); }

/* ---- Choosing ---- */

static void log_move(const struct mariadb_servers *servers, unsigned from, unsigned to) {
    const struct mariadb_host *old = &servers->url.hosts[from], *new = &servers->url.hosts[to];
    log_event(LOG_WARN, "database_server", "from=%s:%u to=%s:%u", old->name, old->port, new->name, new->port);
}

void mariadb_servers_choose(struct mariadb_servers *servers, unsigned seen, unsigned server, const char *cluster) {
    pthread_mutex_lock(&servers->mutex);
    bool chosen = atomic_load(&servers->current) == seen;
    if (chosen) {
        atomic_store(&servers->current, server);
        snprintf(servers->cluster, sizeof servers->cluster, "%s", cluster);
    }
    pthread_mutex_unlock(&servers->mutex);
    if (chosen && server != seen)
        log_move(servers, seen, server);
}

/* ---- The way back ---- */

static bool is_of_cluster(struct mariadb_servers *servers, const char *cluster) {
    pthread_mutex_lock(&servers->mutex);
    bool same = cluster[0] && strcmp(servers->cluster, cluster) == 0;
    pthread_mutex_unlock(&servers->mutex);
    return same;
}

/* False: there is none that comes before the current one and is ready. */
static bool look_back(struct mariadb_servers *servers) {
    char cluster[MARIADB_CLUSTER_SIZE];
    unsigned current = mariadb_servers_current(servers);
    for (unsigned server = 0; server < current; server++) {
        if (!servers->probe(servers, server, cluster) || !is_of_cluster(servers, cluster))
            continue;
        mariadb_servers_choose(servers, current, server, cluster);
        return true;
    }
    return false;
}

/* False: it is time to end. */
static bool wait_for_look(struct mariadb_servers *servers, int64_t pause_ms) {
    const struct timespec until = clock_deadline(pause_ms);
    pthread_mutex_lock(&servers->mutex);
    int timed_out = 0;
    while (!servers->stopping && timed_out == 0)
        timed_out = pthread_cond_timedwait(&servers->changed, &servers->mutex, &until);
    bool stopping = servers->stopping;
    pthread_mutex_unlock(&servers->mutex);
    return !stopping;
}

static void *run(void *context) {
    struct mariadb_servers *servers = context;
    int64_t pause_ms = RETURN_FIRST_MS;
    while (wait_for_look(servers, pause_ms))
        if (look_back(servers) && pause_ms < RETURN_LONGEST_MS)
            pause_ms *= 2;
    return NULL;
}

/* ---- Holding ---- */

static void release(struct mariadb_servers *servers) {
    if (servers->text)
        explicit_bzero(servers->text, strlen(servers->text));
    free(servers->text);
    mariadb_url_release(&servers->url);
    pthread_cond_destroy(&servers->changed);
    pthread_mutex_destroy(&servers->mutex);
    free(servers);
}

static void init_condition(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

static enum err start_thread(struct mariadb_servers *servers) {
    if (servers->url.host_count < 2)
        return OK;
    if (pthread_create(&servers->thread, NULL, run, servers) != 0)
        return ERR_NO_MEMORY;
    pthread_setname_np(servers->thread, "parley-servers");
    return OK;
}

static void stop_thread(struct mariadb_servers *servers) {
    if (servers->url.host_count < 2)
        return;
    pthread_mutex_lock(&servers->mutex);
    servers->stopping = true;
    pthread_cond_signal(&servers->changed);
    pthread_mutex_unlock(&servers->mutex);
    pthread_join(servers->thread, NULL);
}

static enum err make(const char *text, mariadb_probe probe, struct mariadb_servers **ret_servers, char *problem, size_t problem_size) {
    struct mariadb_servers *servers = calloc(1, sizeof *servers);
    if (!servers)
        return ERR_NO_MEMORY;
    servers->probe = probe;
    pthread_mutex_init(&servers->mutex, NULL);
    init_condition(&servers->changed);
    enum err err = mariadb_url_parse(text, &servers->url, problem, problem_size);
    servers->text = err == OK ? strdup(text) : NULL;
    if (err == OK)
        err = servers->text ? start_thread(servers) : ERR_NO_MEMORY;
    if (err != OK) {
        release(servers);
        return err;
    }
    *ret_servers = servers;
    return OK;
}

static struct mariadb_servers *find(const char *text) {
    struct mariadb_servers *servers = all;
    while (servers && strcmp(servers->text, text) != 0)
        servers = servers->next;
    return servers;
}

enum err mariadb_servers_hold(const char *text, mariadb_probe probe, struct mariadb_servers **ret_servers, char *problem,
                              size_t problem_size) {
    enum err err = OK;
    pthread_mutex_lock(&all_mutex);
    struct mariadb_servers *servers = find(text);
    if (!servers) {
        err = make(text, probe, &servers, problem, problem_size);
        if (err == OK) {
            servers->next = all;
            all = servers;
        }
    }
    if (err == OK) {
        servers->holders++;
        *ret_servers = servers;
    }
    pthread_mutex_unlock(&all_mutex);
    return err;
}

/* False: others hold it. */
static bool take_out(struct mariadb_servers *servers) {
    pthread_mutex_lock(&all_mutex);
    bool last = --servers->holders == 0;
    struct mariadb_servers **place = &all;
    while (last && *place != servers)
        place = &(*place)->next;
    if (last)
        *place = servers->next;
    pthread_mutex_unlock(&all_mutex);
    return last;
}

void mariadb_servers_drop(struct mariadb_servers *servers) {
    if (!servers || !take_out(servers))
        return;
    stop_thread(servers);
    release(servers);
}
