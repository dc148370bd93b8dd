/* The one switch that breaks the product on purpose: PARLEY_FAULT=NAME.
 * Owns the name, as it was at the first question; what each fault does is
 * written where it happens. Any thread. */
#ifndef PARLEY_FAULTS
#define PARLEY_FAULTS
#endif
#include "core/fault.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_once_t fault_once = PTHREAD_ONCE_INIT;
static char *fault_name;

static void fault_load(void) {
    const char *name = getenv("PARLEY_FAULT");

    fault_name = name ? strdup(name) : NULL;
}

bool fault_is(const char *name) {
    pthread_once(&fault_once, fault_load);
    return fault_name && strcmp(fault_name, name) == 0;
}
