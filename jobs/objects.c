/* Owns the sweeps that delete from the storage. Both may be repeated from any point: what is already gone counts as deleted. */
#include "core/fault.h"
#include "jobs/match.h"
#include "jobs/sweeps.h"
#include "media/key.h"

/* LIMIT_SWEEP_OBJECTS rows with their keys, or a page of a thousand uploads with their rows. */
#define STEP_ARENA_BYTES ((size_t)32 * 1024 * 1024)

/* ---- Objects of doomed media ---- */

static void count_objects(const struct media *media, size_t count, struct cleanup_step *step) {
    step->objects = count;
    for (size_t i = 0; i < count; i++)
        step->bytes += (uint64_t)media[i].size;
}

/* A key for each, in the arena. */
static const char **make_keys(const struct media *media, size_t count, const char *prefix, struct arena *arena) {
    const char **keys = ARENA_ARRAY(arena, const char *, count);
    for (size_t i = 0; keys != NULL && i < count; i++) {
        char *key = arena_alloc(arena, STORAGE_KEY_SIZE);
        if (key == NULL)
            return NULL;
        media_key(prefix, media[i].id, media[i].token, key);
        keys[i] = key;
    }
    return keys;
}

/* The uploads first: one that is completed after its object was deleted would make it again. */
static enum err delete_objects(struct storage *storage, const struct media *media, const char *const *keys, size_t count) {
    enum err err = OK;
    for (size_t i = 0; err == OK && i < count; i++)
        if (media[i].upload_id != NULL)
            err = storage_multipart_abort(storage, keys[i], media[i].upload_id);
    fault_die_at("die_at_cleanup_step");
    if (err == OK)
        err = storage_delete(storage, keys, count);
    return err;
}

/* What cannot be deleted must not keep all others: they go one by one. Moves those that are gone to the front and returns their number. A storage that
 * is down has refused so much by then that it is not asked again for each. */
static size_t delete_each(struct storage *storage, struct media *media, const char *const *keys, size_t count) {
    size_t gone = 0;
    for (size_t i = 0; i < count; i++)
        if (delete_objects(storage, &media[i], &keys[i], 1) == OK)
            media[gone++] = media[i];
    return gone;
}

static enum err forget_rows(struct sweeping *sweeping, const struct media *media, size_t count, struct cleanup_step *step) {
    uint64_t ids[LIMIT_SWEEP_OBJECTS];
    for (size_t i = 0; i < count; i++)
        ids[i] = media[i].id;
    struct command command = { .type = COMMAND_MEDIA_FORGET, .in.media_forget = { ids, count } };
    enum err err = store_run(sweeping->target->store, &command);
    if (err == OK)
        step->rows = command.out.sweep.rows;
    command_release(&command);
    return err;
}

static enum err delete_and_forget(struct sweeping *sweeping, struct media *media, size_t count, struct arena *arena,
                                  struct cleanup_step *step) {
    const char **keys = make_keys(media, count, sweeping->target->config->s3_prefix, arena);
    if (keys == NULL)
        return ERR_NO_MEMORY;
    fault_die_at("die_at_cleanup_step");
    enum err err = delete_objects(sweeping->target->storage, media, keys, count);
    if (err == ERR_STORAGE_UNAVAILABLE && count > 1)
        count = delete_each(sweeping->target->storage, media, keys, count);
    else if (err != OK)
        return err;
    count_objects(media, count, step);
    fault_die_at("die_at_cleanup_step");
    enum err forget_err = forget_rows(sweeping, media, count, step);
    return err == OK ? forget_err : err;
}

static enum err take_doomed(struct sweeping *sweeping, struct arena *arena, struct cleanup_step *step) {
    struct media *media;
    size_t count;
    enum err err = read_doomed(sweeping->reader, LIMIT_SWEEP_OBJECTS, arena, &media, &count, &step->overdue_ms);
    if (err != OK || count == 0)
        return err;
    bool more = count == LIMIT_SWEEP_OBJECTS;
    if (sweeping->dry_run)
        count_objects(media, count, step);
    else
        err = delete_and_forget(sweeping, media, count, arena, step);
    if (err == OK) {
        step->more = more;
        step->overdue_ms = more || sweeping->dry_run ? step->overdue_ms : 0;
    }
    return err;
}

enum err sweep_objects(struct sweeping *sweeping, enum sweep_kind kind, struct cleanup_step *step) {
    struct arena arena = ARENA_INIT(STEP_ARENA_BYTES);
    (void)kind;
    enum err err = take_doomed(sweeping, &arena, step);
    arena_release(&arena);
    return err;
}

/* ---- Uploads that no row knows ---- */

static enum err abort_uploads(struct sweeping *sweeping, const struct listed_upload *uploads, size_t count, struct cleanup_step *step) {
    enum err err = OK;
    for (size_t i = 0; err == OK && i < count; i++) {
        if (!sweeping->dry_run)
            err = storage_multipart_abort(sweeping->target->storage, uploads[i].key, uploads[i].upload_id);
        step->objects += err == OK;
    }
    return err;
}

static enum err take_uploads(struct sweeping *sweeping, struct arena *arena, struct cleanup_step *step) {
    const struct cleanup_target *target = sweeping->target;
    struct listed_upload *uploads;
    size_t count, stale = 0;
    bool more;
    enum err err = storage_list_uploads(target->storage, &sweeping->uploads, arena, &uploads, &count, &more);
    if (err == OK)
        err = match_stale_uploads(sweeping->reader, target->config, arena, uploads, count, &stale);
    if (err == OK)
        err = abort_uploads(sweeping, uploads, stale, step);
    if (err == OK) {
        step->more = more;
        sweeping->checks_uploads = more;
    }
    return err;
}

enum err sweep_uploads(struct sweeping *sweeping, enum sweep_kind kind, struct cleanup_step *step) {
    struct arena arena = ARENA_INIT(STEP_ARENA_BYTES);
    (void)kind;
    enum err err = sweeping->checks_uploads ? take_uploads(sweeping, &arena, step) : OK;
    arena_release(&arena);
    return err;
}
