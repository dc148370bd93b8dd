/* Another server, to compare with: started from a configuration in tests/bench/peers/, in a folder and on ports of its own. Main thread.
 *
 * The life: peer_prepare, peer_configure, peer_start, peer_release. */
#pragma once

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench.h"
#include "process.h"

#define PEER_ARGUMENTS_MAX 16
#define PEER_PORTS_MAX 4

struct peer {
    const char *name;
    char folder[PATH_MAX];          /* owned: removed by peer_release; empty when there is none */
    pid_t pid;                      /* 0 when it does not run */
    uint16_t ports[PEER_PORTS_MAX]; /* free ones of 127.0.0.1; the first is where it answers */
};

/* Makes the folder and finds ports. */
enum outcome peer_prepare(const struct options *options, const char *name, struct peer *ret_peer) MUST_USE;
/* Copies `tests/bench/peers/FILE` into the folder, with @FOLDER@ and @PORT0@ to @PORT3@ replaced, and @EXTRA@ by `extra` (NULL: by nothing). */
enum outcome peer_configure(const struct peer *peer, const char *file, const char *extra) MUST_USE;
void peer_path(const struct peer *peer, const char *file, char out[PATH_MAX]);
/* Starts the program and waits until its first `port_count` ports take connections. `arguments` ends with NULL; @FOLDER@ in them is replaced, too. */
enum outcome peer_start(struct peer *peer, size_t port_count, const char *const arguments[]) MUST_USE;
/* Kills it with all that it has started, and removes the folder. A zeroed peer is fine. */
void peer_release(struct peer *peer);
