/* Problems: what an enum err looks like on the wire (RFC 9457). */
#pragma once

#include "api/request.h"

struct problem {
    unsigned status;
    const char *code;
    const char *title;
};

/* The row of `err`; never NULL. */
const struct problem *problem_of(enum err err);
/* Makes the answer the problem of `err` with the field and detail of request->refusal. */
void problem_answer(struct request *request, enum err err);
