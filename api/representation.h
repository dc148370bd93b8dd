/* What the JSON of a read is sent as: with a tag by which clients ask whether anything has changed, and compressed. Whoever has the request; pure. */
#pragma once

#include "api/request.h"

/* Called on the reader's thread when the handler has written its answer. Answers of GET and HEAD get a weak ETag, the hash of the JSON but for a list's
 * `as_of`, which moves with every event of the server: an older one is as good where nothing else has changed. When If-None-Match names it, the answer
 * becomes 304. Longer ones are compressed by gzip for clients that take it. Answers with secrets have neither: their length would tell of them (BREACH). */
void representation_choose(struct request *request);
