/* Owns the three walks: through the objects, the rows and the uploads.
 *
 * Threads: its caller's, and some that end with each page. */
#include "jobs/fsck.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "core/limits.h"
#include "jobs/match.h"
#include "media/key.h"

/* A page of objects or uploads with its rows, or a page of rows with its objects. */
#define PAGE_ARENA_BYTES ((size_t)32 * 1024 * 1024)
#define ROWS_PAGE 500

struct walk {
    const struct fsck *fsck;
    struct reader *reader;
    struct fsck_tally *tally;
};

/* ---- Findings ---- */

static void report(struct walk *walk, enum fsck_kind kind, const char *key, const char *detail, bool repaired) {
    const struct fsck_finding finding = { kind, key, detail, repaired };
    walk->tally->found[kind]++;
    walk->tally->repaired[kind] += repaired;
    walk->fsck->report(walk->fsck->context, &finding);
}

/* ---- Asking the storage for many objects ---- */

struct head {
    char key[STORAGE_KEY_SIZE]; /* "": not asked for */
    enum err err;               /* OK, or ERR_NOT_FOUND: there is none */
    struct object object;
    bool asked;
};

struct heads {
    struct storage *storage;
    struct head *heads;
    size_t count;
    atomic_size_t next;
    atomic_bool failed; /* the storage is down: no more is asked */
};

static bool ask_one(struct storage *storage, struct head *head) {
    head->err = storage_head(storage, head->key, &head->object);
    head->asked = head->err == OK || head->err == ERR_NOT_FOUND;
    return head->asked;
}

static void *ask_some(void *context) {
    struct heads *heads = context;
    for (size_t i; !heads->failed && (i = atomic_fetch_add(&heads->next, 1)) < heads->count;)
        if (*heads->heads[i].key != '\0' && !ask_one(heads->storage, &heads->heads[i]))
            heads->failed = true;
    return NULL;
}

/* Several at once: each answer takes a round trip to the storage. What another thread could not ask is asked again on this one, which so learns the
 * storage's problem, or that it has passed. */
static enum err ask_all(struct storage *storage, struct head *all, size_t count) {
    struct heads heads = { .storage = storage, .heads = all, .count = count };
    pthread_t threads[LIMIT_STORAGE_THREADS - 1];
    size_t started = 0;
    while (count > 1 && started < LIMIT_STORAGE_THREADS - 1 && pthread_create(&threads[started], NULL, ask_some, &heads) == 0)
        started++;
    ask_some(&heads);
    while (started > 0)
        pthread_join(threads[--started], NULL);
    for (size_t i = 0; i < count; i++)
        if (*all[i].key != '\0' && !all[i].asked && !ask_one(storage, &all[i]))
            return all[i].err;
    return OK;
}

/* ---- Objects: does each belong to a row? ---- */

static void report_orphans(struct walk *walk, const struct head *orphans, size_t count) {
    char detail[64];
    for (size_t i = 0; i < count; i++) {
        if (orphans[i].err != OK)
            continue;
        snprintf(detail, sizeof(detail), "%" PRIu64 " bytes", orphans[i].object.size);
        report(walk, FSCK_ORPHAN, orphans[i].key, detail, walk->fsck->repair);
    }
}

/* A row may have gone with its object since the page was listed: an orphan is still there after its row was not found. */
static enum err take_orphans(struct walk *walk, struct head *orphans, size_t count) {
    const char *keys[STORAGE_DELETE_MAX];
    size_t found = 0;
    enum err err = ask_all(walk->fsck->storage, orphans, count);
    for (size_t i = 0; err == OK && i < count; i++)
        if (orphans[i].err == OK)
            keys[found++] = orphans[i].key;
    if (err == OK && walk->fsck->repair)
        err = storage_delete(walk->fsck->storage, keys, found);
    if (err == OK)
        report_orphans(walk, orphans, count);
    return err;
}

static enum err judge_objects(struct walk *walk, const struct listed_object *objects, size_t count, const struct match *matches,
                              struct arena *arena) {
    int64_t settled_ms = match_settled_ms(walk->fsck->config);
    struct head *orphans = ARENA_ARRAY(arena, struct head, count);
    size_t orphan_count = 0;
    if (orphans == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        walk->tally->objects++;
        walk->tally->foreign += !matches[i].is_ours;
        if (matches[i].is_ours && matches[i].media == NULL && objects[i].modified_ms <= settled_ms)
            memcpy(orphans[orphan_count++].key, objects[i].key, STORAGE_KEY_SIZE);
    }
    return take_orphans(walk, orphans, orphan_count);
}

/* Goes on after `after`, which becomes the page's last key. */
static enum err walk_objects_page(struct walk *walk, char after[STORAGE_KEY_SIZE], struct arena *arena, bool *ret_more) {
    struct listed_object *objects;
    size_t count;
    struct match *matches;
    enum err err = storage_list(walk->fsck->storage, after, arena, &objects, &count, ret_more);
    if (err != OK || count == 0)
        return err;
    const char **keys = ARENA_ARRAY(arena, const char *, count);
    if (keys == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        keys[i] = objects[i].key;
    err = match_keys(walk->reader, walk->fsck->config->s3_prefix, keys, count, arena, &matches);
    if (err == OK)
        err = judge_objects(walk, objects, count, matches, arena);
    memcpy(after, objects[count - 1].key, STORAGE_KEY_SIZE);
    return err;
}

static enum err walk_objects(struct walk *walk) {
    char after[STORAGE_KEY_SIZE] = "";
    enum err err = OK;
    for (bool more = true; err == OK && more;) {
        struct arena arena = ARENA_INIT(PAGE_ARENA_BYTES);
        err = walk_objects_page(walk, after, &arena, &more);
        arena_release(&arena);
        walk->fsck->progress(walk->fsck->context, walk->tally);
    }
    return err;
}

/* ---- Rows: does each that is ready have its object? ---- */

/* NULL: it is as it was uploaded. Parts have no MD5 of the whole. */
static const char *find_difference(const struct media *media, const struct object *object, char detail[128]) {
    char md5[2 * MD5_SIZE + 1];
    for (size_t i = 0; i < MD5_SIZE; i++)
        snprintf(md5 + 2 * i, 3, "%02x", media->md5[i]);
    if (object->size != (uint64_t)media->size)
        snprintf(detail, 128, "%" PRIu64 " bytes instead of %" PRId64, object->size, media->size);
    else if (media->part_size == 0 && strcmp(object->etag, md5) != 0)
        snprintf(detail, 128, "its MD5 is %.64s instead of %s", object->etag, md5);
    else
        return NULL;
    return detail;
}

/* The media may have been deleted since its page was read: it is wrong only when its row is still ready after its object was looked at. */
static enum err confirm(struct walk *walk, uint64_t media_id, bool *ret_ready) {
    struct arena arena = ARENA_INIT(PAGE_ARENA_BYTES);
    struct media *media;
    size_t count;
    enum err err = read_media_set(walk->reader, &media_id, 1, &arena, &media, &count);
    if (err == OK)
        *ret_ready = count == 1 && media[0].state == MEDIA_READY;
    arena_release(&arena);
    return err;
}

static enum err judge_row(struct walk *walk, const struct media *media, const struct head *head) {
    char detail[128];
    bool missing = head->err == ERR_NOT_FOUND, ready;
    const char *difference = missing ? "it cannot be brought back" : find_difference(media, &head->object, detail);
    if (difference == NULL)
        return OK;
    enum err err = confirm(walk, media->id, &ready);
    if (err == OK && ready)
        report(walk, missing ? FSCK_MISSING : FSCK_MISMATCH, head->key, difference, false);
    return err;
}

static enum err judge_rows(struct walk *walk, const struct media *media, size_t count, struct arena *arena) {
    struct head *heads = ARENA_ARRAY(arena, struct head, count);
    if (heads == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (media[i].state == MEDIA_READY)
            media_key(walk->fsck->config->s3_prefix, media[i].id, media[i].token, heads[i].key);
    enum err err = ask_all(walk->fsck->storage, heads, count);
    for (size_t i = 0; err == OK && i < count; i++)
        if (heads[i].asked)
            err = judge_row(walk, &media[i], &heads[i]);
    return err;
}

static enum err walk_rows_page(struct walk *walk, uint64_t *after_id, struct arena *arena, bool *ret_more) {
    struct media *media;
    size_t count;
    enum err err = read_all_media(walk->reader, *after_id, ROWS_PAGE, arena, &media, &count);
    if (err != OK)
        return err;
    *ret_more = count == ROWS_PAGE;
    if (count == 0)
        return OK;
    *after_id = media[count - 1].id;
    walk->tally->rows += count;
    return judge_rows(walk, media, count, arena);
}

static enum err walk_rows(struct walk *walk) {
    uint64_t after_id = 0;
    enum err err = OK;
    for (bool more = true; err == OK && more;) {
        struct arena arena = ARENA_INIT(PAGE_ARENA_BYTES);
        err = walk_rows_page(walk, &after_id, &arena, &more);
        arena_release(&arena);
        walk->fsck->progress(walk->fsck->context, walk->tally);
    }
    return err;
}

/* ---- Uploads: will anybody complete them? ---- */

static enum err take_stale_uploads(struct walk *walk, const struct listed_upload *uploads, size_t count) {
    const struct fsck *fsck = walk->fsck;
    enum err err = OK;
    for (size_t i = 0; err == OK && i < count; i++) {
        if (fsck->repair)
            err = storage_multipart_abort(fsck->storage, uploads[i].key, uploads[i].upload_id);
        if (err == OK)
            report(walk, FSCK_UPLOAD, uploads[i].key, "", fsck->repair);
    }
    return err;
}

static enum err walk_uploads_page(struct walk *walk, struct upload_cursor *cursor, struct arena *arena, bool *ret_more) {
    struct listed_upload *uploads;
    size_t count, stale;
    enum err err = storage_list_uploads(walk->fsck->storage, cursor, arena, &uploads, &count, ret_more);
    if (err != OK)
        return err;
    walk->tally->uploads += count;
    err = match_stale_uploads(walk->reader, walk->fsck->config, arena, uploads, count, &stale);
    return err == OK ? take_stale_uploads(walk, uploads, stale) : err;
}

static enum err walk_uploads(struct walk *walk) {
    struct upload_cursor cursor = { 0 };
    enum err err = OK;
    for (bool more = true; err == OK && more;) {
        struct arena arena = ARENA_INIT(PAGE_ARENA_BYTES);
        err = walk_uploads_page(walk, &cursor, &arena, &more);
        arena_release(&arena);
        walk->fsck->progress(walk->fsck->context, walk->tally);
    }
    return err;
}

enum err fsck_run(const struct fsck *fsck, struct fsck_tally *tally) {
    struct walk walk = { .fsck = fsck, .tally = tally };
    enum err err = reader_open(fsck->store, &walk.reader);
    if (err != OK)
        return err;
    err = walk_objects(&walk);
    if (err == OK)
        err = walk_rows(&walk);
    if (err == OK)
        err = walk_uploads(&walk);
    reader_close(walk.reader);
    return err;
}
