/* Which row a key of the storage belongs to, for jobs/ only. */
#pragma once

#include "db/reader.h"
#include "media/storage.h"

struct match {
    bool is_ours;              /* it has the shape of our keys */
    const struct media *media; /* the row with its id and its token; NULL: there is none */
};
/* Looks up the rows of all keys at once. In the arena. */
enum err match_keys(struct reader *reader, const char *prefix, const char *const *keys, size_t count, struct arena *arena,
                    struct match **ret_matches) MUST_USE;

/* What came into the storage before this moment (milliseconds since 1970) is settled: no URL that was given out for it works any more, and its row
 * says what it is. What is younger may still be on its way. */
int64_t match_settled_ms(const struct config *config);

/* Of a page of multipart uploads, those that nobody will ever complete: their row is gone, or complete, or knows another upload, or none. Moves them to the
 * front and returns their number in *ret_count. Those begun after match_settled_ms() may be about to be noted in their row, and are left out. */
enum err match_stale_uploads(struct reader *reader, const struct config *config, struct arena *arena, struct listed_upload *uploads,
                             size_t count, size_t *ret_count) MUST_USE;
