/* The groups of tests that conformance.c runs; each returns the number of those that failed. */
#pragma once

#include "tests/storage/world.h"

int run_contract(void);    /* for both storages */
int run_s3(void);          /* what only S3 has: signatures, access, and an operator's mistakes */
int run_unreachable(void); /* storages that are down, slow, or answer nonsense; S3 only */
