/* Where the processors' time goes during a load: by thread of the server, in the bench itself, and in all that runs besides. Main thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench.h"

#define PROCESSOR_USERS_MAX 64
#define PROCESSOR_NAME_BYTES 40

/* In nanoseconds, as fine as the kernel's ticks of 10 ms are. */
struct processor_time {
    uint64_t user_ns, system_ns;
};

struct processor_user {
    char name[PROCESSOR_NAME_BYTES];
    struct processor_time time;
};

/* A count at one moment: only differences of two mean something. */
struct processors {
    uint64_t at_ns;
    struct processor_time bench, all; /* all: of the whole machine */
    size_t count;
    struct processor_user threads[PROCESSOR_USERS_MAX]; /* of the server; those of one name are one */
};

void processors_read(pid_t server_pid, struct processors *ret_processors);
/* Prints what `posts` posts between the two counts took each; returns the sum of it in microseconds, everything that runs included. */
double processors_print(const char *title, const struct processors *before, const struct processors *after, uint64_t posts);
