/* What happens to a request between its last byte and its answer. On the loop's thread unless said otherwise. */
#pragma once

#include "api/request.h"

/* The head is there: finds the route. Returns the largest body it may have. */
size_t dispatch_head(struct request *request);
/* Whether its body goes to the storage while it is received (ON_UPLOAD); then, when the head is there: whether it may. */
bool dispatch_is_upload(const struct request *request);
enum err dispatch_admit_upload(struct request *request) MUST_USE;
/* Has a storage thread do blob_pass(), then calls http_block_passed(). ERR_OVERLOADED: it does not; never for a blob that is begun. */
enum err dispatch_block(struct request *request) MUST_USE;
/* True: a storage thread does blob_release(), then http_discarded() is called. False: there is nothing that takes time. */
bool dispatch_discard(struct request *request);
/* The request is complete. Leads to exactly one http_answer() or http_detach(), now or later. */
void dispatch_run(struct request *request);
/* The request came back by http_complete(). */
void dispatch_continue(struct request *request);
/* The socket could not be handed over, for the reason `err`. ERR_CONFLICT: a device was removed meanwhile, the session has to be looked up again. */
void dispatch_detach_failed(struct request *request, enum err err);
/* A worker_function (workers.h): the step that waits for a database reader. */
void dispatch_work(struct request *request);
/* Frees what the request holds; not the request itself, nor a small block of its arena. */
void dispatch_release(struct request *request);

/* For admit() functions: takes one of the log-in attempts of an account; `account` is anything that names it. */
enum err limit_account(struct request *request, const char *account) MUST_USE;
