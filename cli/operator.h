/* The operator: carries out instructions on a store, many at once, and replies in their order.
 *
 * The same code serves the admin socket of a running server and the commands that open the database themselves. */
#pragma once

#include "cli/lines.h"
#include "jobs/cleanup.h"

struct operator;

/* Takes whole lines of replies; false: nobody wants them any more. May block. */
typedef bool (*operator_output)(void *context, const char *bytes, size_t size);

/* `target` and what it names outlive the operator. */
enum err operator_open(const struct cleanup_target *target, operator_output output, void *context, struct operator** ret_operator) MUST_USE;
void operator_close(struct operator* operator);

/* Carries out one instruction a line until the lines end in whatever way, which it returns (LINES_FAILED, too, when nobody wants the replies).
 * What a line asks for that is wrong gets its reply, and the next line is read. Before each wait for more lines all replies are out. Blocks; any
 * thread but the writer's, one at a time. */
enum lines_result operator_run(struct operator* operator, struct lines * lines) MUST_USE;
