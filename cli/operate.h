/* Giving instructions (cli/instruction.h): to the running server over its admin socket or, when none runs, by opening the database. Main thread. */
#pragma once

#include "cli/cli.h"

struct operation {
    const char *text; /* the instructions, as whole lines; NULL: none */
    int fd;           /* read to its end for more of them; -1: none. Borrowed */
    /* Called for each reply, in the order of the instructions; `line` has no newline. */
    void (*reply)(void *context, const char *line, size_t size);
    void *context;
};

/* Returns when all instructions were replied to: STATUS_OK, whatever the replies say. Else, after saying why: STATUS_FAILED. */
int operate(const struct config *config, const struct operation *operation);
