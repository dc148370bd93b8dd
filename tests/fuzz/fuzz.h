/* What a fuzz target offers: libFuzzer calls it, and so does driver.c where there is no libFuzzer. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Must survive any input, and abort when something is wrong. Always returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

#define MUST(condition)                                                                    \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                       \
        }                                                                                  \
    } while (0)
