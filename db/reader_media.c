/* Reading media: for those who may see one, for the cleanup, and for the comparison with the storage. */
#include "core/clock.h"
#include "db/reader_internal.h"
#include "db/store_internal.h"

static const struct query media_by_id = { "SELECT " MEDIA_COLUMNS " FROM media x WHERE x.id = ?1" };
static const struct query media_is_seen = { "SELECT 1 WHERE " MEDIA_IS_SEEN("?1", "?4") };
static const struct query media_is_avatar = { "SELECT 1 WHERE " MEDIA_IS_AVATAR("?1", "?2") };
static const struct query doomed_media = { "SELECT " MEDIA_COLUMNS " FROM media x WHERE x.state = 3 AND x.expires_ms <= ?1"
                                           " ORDER BY x.expires_ms, x.id LIMIT ?2" };
static const struct query all_media = { "SELECT " MEDIA_COLUMNS " FROM media x WHERE x.id > ?1 ORDER BY x.id LIMIT ?2" };
static const struct query media_set = { "SELECT " MEDIA_COLUMNS " FROM {ids} i {straight} media x ON x.id = i.id ORDER BY x.id" };

static enum err take_media(struct reader *reader, struct statement *statement, struct arena *arena, struct media **ret_media,
                           size_t *ret_count) {
    struct media *media = NULL;
    size_t count = 0;
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);) {
        media = reader_grow(arena, media, count, sizeof *media);
        err = media ? row_media(reader->db, statement, 0, arena, &media[count++]) : ERR_NO_MEMORY;
    }
    if (err != OK)
        return err;
    *ret_media = media;
    *ret_count = count;
    return OK;
}

/* ERR_NOT_FOUND unless a chat of the user's shows it. */
static enum err check_shown(struct reader *reader, uint64_t user_id, uint64_t media_id) {
    struct statement *statement = reader_query(reader, &media_is_avatar, (uint64_t[]){ media_id, user_id }, 2);
    bool row = false;
    enum err err = reader->db->driver->step(statement, &row);
    reader->db->driver->finish(statement);
    return err == OK && !row ? ERR_NOT_FOUND : err;
}

/* ERR_NOT_FOUND unless the user sees it in a message. */
static enum err check_seen(struct reader *reader, uint64_t user_id, uint64_t media_id) {
    int64_t retention_ms = reader->store->config->retention_ms, now_ms = clock_now_ms();
    int64_t cutoff_ms = retention_ms == CONFIG_FOREVER ? 0 : now_ms - retention_ms;
    struct statement *statement =
        reader_query(reader, &media_is_seen, (uint64_t[]){ media_id, (uint64_t)now_ms, (uint64_t)cutoff_ms, user_id }, 4);
    bool row = false;
    enum err err = reader->db->driver->step(statement, &row);
    reader->db->driver->finish(statement);
    return err == OK && !row ? ERR_NOT_FOUND : err;
}

enum err read_media(struct reader *reader, uint64_t user_id, uint64_t media_id, struct arena *arena, struct media *ret_media) {
    struct media *media;
    size_t count = 0;
    enum err err = take_media(reader, reader_query(reader, &media_by_id, &media_id, 1), arena, &media, &count);
    if (err != OK)
        return err;
    if (count == 0 || media->state == MEDIA_DOOMED)
        return ERR_NOT_FOUND;
    if (media->owner_id != user_id)
        err = media->state == MEDIA_READY ? check_seen(reader, user_id, media_id) : ERR_NOT_FOUND;
    if (err == ERR_NOT_FOUND && media->state == MEDIA_READY)
        err = check_shown(reader, user_id, media_id);
    if (err == OK)
        *ret_media = *media;
    return err;
}

enum err read_doomed(struct reader *reader, size_t limit, struct arena *arena, struct media **ret_media, size_t *ret_count,
                     int64_t *ret_overdue_ms) {
    int64_t now_ms = clock_now_ms();
    struct statement *statement = reader_query(reader, &doomed_media, (uint64_t[]){ (uint64_t)now_ms, limit }, 2);
    enum err err = take_media(reader, statement, arena, ret_media, ret_count);
    if (err == OK)
        *ret_overdue_ms = *ret_count > 0 ? now_ms - (*ret_media)->expires_ms : 0;
    return err;
}

enum err read_all_media(struct reader *reader, uint64_t after_id, size_t limit, struct arena *arena, struct media **ret_media,
                        size_t *ret_count) {
    return take_media(reader, reader_query(reader, &all_media, (uint64_t[]){ after_id, limit }, 2), arena, ret_media, ret_count);
}

enum err read_media_set(struct reader *reader, const uint64_t *media_ids, size_t count, struct arena *arena, struct media **ret_media,
                        size_t *ret_count) {
    struct buf ids = BUF_INIT;
    buf_char(&ids, '[');
    for (size_t i = 0; i < count; i++) {
        json_comma(&ids);
        buf_u64(&ids, media_ids[i]);
    }
    buf_char(&ids, ']');
    struct statement *statement = buf_ok(&ids) ? db_query(reader->db, &media_set) : NULL;
    if (statement)
        reader->db->driver->bind_text(statement, 1, ids.bytes, ids.size);
    enum err err = statement ? take_media(reader, statement, arena, ret_media, ret_count) : ERR_NO_MEMORY;
    buf_release(&ids);
    return err;
}
