/* A storage that answers exactly what a test says, byte by byte: one thread that serves a connection after the other on loopback. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#define SCRIPTED_SILENCE "silence" /* as an answer: none, until the client gives up */
#define SCRIPTED_CUT ""            /* as an answer: the connection is closed */

struct scripted {
    const char *const *answers; /* one for each request; the last goes for all after it */
    unsigned answer_count;
    _Atomic unsigned requests; /* so far */
    char endpoint[32];
    int listener;
    pthread_t thread;
};

void scripted_start(struct scripted *scripted, const char *const *answers, unsigned answer_count);
void scripted_stop(struct scripted *scripted);
