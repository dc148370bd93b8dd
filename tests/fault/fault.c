/* The one switch that breaks the product on purpose: PARLEY_FAULT=NAME, and
 * for places to die PARLEY_FAULT_AT=N. Owns both, as they were at the first
 * question; what each fault does is written where it happens. Any thread. */
#ifndef PARLEY_FAULTS
#define PARLEY_FAULTS
#endif
#include "core/fault.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static pthread_once_t fault_once = PTHREAD_ONCE_INIT;
static char *fault_name;
static unsigned long fault_at;
static atomic_ulong fault_calls;

static void fault_load(void) {
    const char *name = getenv("PARLEY_FAULT");
    const char *at = getenv("PARLEY_FAULT_AT");

    fault_name = name ? strdup(name) : NULL;
    fault_at = at ? strtoul(at, NULL, 10) : 0;
}

bool fault_is(const char *name) {
    pthread_once(&fault_once, fault_load);
    return fault_name && strcmp(fault_name, name) == 0;
}

static bool is_call(const char *name) { return fault_is(name) && atomic_fetch_add(&fault_calls, 1) + 1 == fault_at; }

void fault_die_at(const char *name) {
    if (is_call(name))
        raise(SIGKILL);
}

void fault_freeze_at(const char *name) {
    if (is_call(name))
        raise(SIGSTOP);
}
