/* Owns nothing: keys and rows are the caller's. Any thread, with a reader of its own. */
#include "jobs/match.h"

#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "media/key.h"

/* The storage's clock and ours may differ by this. A storage refuses requests that are 15 minutes off. */
#define CLOCKS_DIFFER_MS (INT64_C(10) * 60 * 1000)

/* ---- Keys ---- */

struct parsed_key {
    bool is_ours;
    uint64_t media_id;
    uint8_t token[MEDIA_KEY_TOKEN_BYTES];
};

static int compare_id(const void *id, const void *media) {
    uint64_t left = *(const uint64_t *)id, right = ((const struct media *)media)->id;
    return left < right ? -1 : left > right;
}

static const struct media *find_row(const struct parsed_key *key, const struct media *rows, size_t count) {
    const struct media *row = count == 0 ? NULL : bsearch(&key->media_id, rows, count, sizeof(*rows), compare_id);
    return row != NULL && memcmp(row->token, key->token, sizeof(key->token)) == 0 ? row : NULL;
}

/* Parses all keys and collects the ids in those that are ours. */
static size_t parse_keys(const char *prefix, const char *const *keys, size_t count, struct parsed_key *parsed, uint64_t *ids) {
    size_t id_count = 0;
    for (size_t i = 0; i < count; i++) {
        parsed[i].is_ours = media_key_parse(prefix, keys[i], &parsed[i].media_id, parsed[i].token);
        if (parsed[i].is_ours)
            ids[id_count++] = parsed[i].media_id;
    }
    return id_count;
}

enum err match_keys(struct reader *reader, const char *prefix, const char *const *keys, size_t count, struct arena *arena,
                    struct match **ret_matches) {
    struct parsed_key *parsed = ARENA_ARRAY(arena, struct parsed_key, count + 1);
    uint64_t *ids = ARENA_ARRAY(arena, uint64_t, count + 1);
    struct match *matches = ARENA_ARRAY(arena, struct match, count + 1);
    if (parsed == NULL || ids == NULL || matches == NULL)
        return ERR_NO_MEMORY;

    struct media *rows = NULL;
    size_t row_count = 0;
    size_t id_count = parse_keys(prefix, keys, count, parsed, ids);
    enum err err = id_count == 0 ? OK : read_media_set(reader, ids, id_count, arena, &rows, &row_count);
    if (err != OK)
        return err;
    for (size_t i = 0; i < count; i++)
        matches[i] = (struct match){ parsed[i].is_ours, parsed[i].is_ours ? find_row(&parsed[i], rows, row_count) : NULL };
    *ret_matches = matches;
    return OK;
}

int64_t match_settled_ms(const struct config *config) { return clock_now_ms() - config->media_upload_ms - CLOCKS_DIFFER_MS; }

/* ---- Uploads ---- */

/* One of a media object that is complete is what a crash left of it. */
static bool is_stale(const struct listed_upload *upload, const struct match *match, int64_t settled_ms) {
    if (!match->is_ours || upload->begun_ms > settled_ms)
        return false;
    const struct media *media = match->media;
    return media == NULL || media->state == MEDIA_READY || media->upload_id == NULL || strcmp(media->upload_id, upload->upload_id) != 0;
}

enum err match_stale_uploads(struct reader *reader, const struct config *config, struct arena *arena, struct listed_upload *uploads,
                             size_t count, size_t *ret_count) {
    const char **keys = ARENA_ARRAY(arena, const char *, count + 1);
    struct match *matches;
    if (keys == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        keys[i] = uploads[i].key;
    enum err err = match_keys(reader, config->s3_prefix, keys, count, arena, &matches);
    if (err != OK)
        return err;

    int64_t settled_ms = match_settled_ms(config);
    size_t stale = 0;
    for (size_t i = 0; i < count; i++)
        if (is_stale(&uploads[i], &matches[i], settled_ms))
            uploads[stale++] = uploads[i];
    *ret_count = stale;
    return OK;
}
