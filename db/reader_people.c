/* Reading whom a user has blocked, and has for contacts. */
#include "db/reader_internal.h"

static const struct query blocks_of_user = { "SELECT " BLOCK_COLUMNS " FROM block k WHERE k.user_id = ?1 AND k.blocked_id > ?2"
                                             " ORDER BY k.blocked_id LIMIT ?3" };
static const struct query contacts_of_user = { "SELECT " CONTACT_COLUMNS " FROM contact t WHERE t.user_id = ?1 AND t.contact_id > ?2"
                                               " ORDER BY t.contact_id LIMIT ?3" };

enum err read_blocks(struct reader *reader, uint64_t user_id, uint64_t after_id, size_t limit, struct arena *arena,
                     struct block **ret_blocks, size_t *ret_count) {
    struct statement *statement = reader_query(reader, &blocks_of_user, (uint64_t[]){ user_id, after_id, limit }, 3);
    struct block *blocks = NULL;
    size_t count = 0;
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);) {
        blocks = reader_grow(arena, blocks, count, sizeof *blocks);
        if (!blocks)
            err = ERR_NO_MEMORY;
        else
            row_block(reader->db, statement, 0, &blocks[count++]);
    }
    if (err != OK)
        return err;
    *ret_blocks = blocks;
    *ret_count = count;
    return OK;
}

enum err read_contacts(struct reader *reader, uint64_t user_id, uint64_t after_id, size_t limit, struct arena *arena,
                       struct contact **ret_contacts, size_t *ret_count) {
    struct statement *statement = reader_query(reader, &contacts_of_user, (uint64_t[]){ user_id, after_id, limit }, 3);
    struct contact *contacts = NULL;
    size_t count = 0;
    enum err err = OK;
    for (bool row; rows_next(reader->db, statement, &err, &row);) {
        contacts = reader_grow(arena, contacts, count, sizeof *contacts);
        err = contacts ? row_contact(reader->db, statement, 0, arena, &contacts[count++]) : ERR_NO_MEMORY;
    }
    if (err != OK)
        return err;
    *ret_contacts = contacts;
    *ret_count = count;
    return OK;
}
