/* Blobs: the objects of the local storage over HTTP, for whoever has a presigned URL (media/local.h).
 *
 * Bodies pass through in blocks of LIMIT_BLOB_BLOCK_BYTES, in request->body. What is received is checked when the head is there; then http.c fills
 * a block, gives it to a storage thread, and goes on receiving when it is on its way to the disk. What is sent goes the other way. So the loop never waits
 * for the disk, a client is never faster than it, and a transfer holds one block and one file. */
#pragma once

#include "api/request.h"

struct blob;

/* ---- On the loop ---- */

/* Receiving: puts into the block what fits of it. Returns how much that was. */
size_t blob_take(struct request *request, const char *bytes, size_t size);
bool blob_is_full(const struct request *request);
/* Sending: copies what the block has from `position` of the answer's body on; 0 when it has to be fetched first. */
size_t blob_give(struct request *request, uint64_t position, char *out, size_t size);
/* Bytes that the transfer holds besides the request. */
size_t blob_held_bytes(const struct request *request);
/* Whether a storage thread has it in hand: the queue's limit is for new ones. */
bool blob_is_begun(const struct request *request);
/* The request is over. Frees what blob_release() has left. */
void blob_end(struct request *request);

/* ---- On a storage thread ---- */

/* Stores the received block, or fetches the one that blob_give() lacked. */
enum err blob_pass(struct request *request) MUST_USE;
/* Closes the file; one that is not complete is removed. */
void blob_release(struct request *request);
