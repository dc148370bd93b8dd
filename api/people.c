/* Owns the handlers for whom a user has blocked, and has for contacts. */
#include "api/handlers.h"

/* ---- Blocks ---- */

static enum err list_blocks(struct request *request, uint64_t cursor, size_t limit, uint64_t head_id) {
    struct block *blocks;
    size_t count;
    enum err err = read_blocks(request->reader, request->session.user_id, cursor, limit + 1, &request->arena, &blocks, &count);
    if (err != OK)
        return err;
    size_t shown = count < limit ? count : limit;
    struct buf *buf = list_begin(request);
    for (size_t i = 0; i < shown; i++) {
        json_comma(buf);
        render_block(buf, &blocks[i]);
    }
    list_end(buf, count > limit ? blocks[shown - 1].blocked_id : 0, head_id);
    return OK;
}

enum err block_list(struct request *request) { return list_page(request, LIMIT_PAGE_ITEMS_DEFAULT, LIMIT_PAGE_ITEMS, list_blocks); }

enum err block_put(struct request *request) {
    request_command(request, COMMAND_BLOCK_PUT)->in.block_put.user_id = request->ids[PATH_USER_ID];
    return OK;
}

enum err block_remove(struct request *request) {
    request_command(request, COMMAND_BLOCK_REMOVE)->in.block_remove.user_id = request->ids[PATH_USER_ID];
    return OK;
}

/* ---- Contacts ---- */

struct contact_form {
    struct text name;
};

static const struct field CONTACT_FIELDS[] = {
    { "name", FIELD_LINE, false, 1, LIMIT_NAME_CHARACTERS, offsetof(struct contact_form, name), NULL },
};
const struct form contact_form = FORM(contact_form, CONTACT_FIELDS);

static enum err list_contacts(struct request *request, uint64_t cursor, size_t limit, uint64_t head_id) {
    struct contact *contacts;
    size_t count;
    enum err err = read_contacts(request->reader, request->session.user_id, cursor, limit + 1, &request->arena, &contacts, &count);
    if (err != OK)
        return err;
    size_t shown = count < limit ? count : limit;
    struct buf *buf = list_begin(request);
    for (size_t i = 0; i < shown; i++) {
        json_comma(buf);
        render_contact(buf, &contacts[i]);
    }
    list_end(buf, count > limit ? contacts[shown - 1].contact_id : 0, head_id);
    return OK;
}

enum err contact_list(struct request *request) { return list_page(request, LIMIT_PAGE_ITEMS_DEFAULT, LIMIT_PAGE_ITEMS, list_contacts); }

enum err contact_put(struct request *request) {
    struct command *command = request_command(request, COMMAND_CONTACT_PUT);
    command->in.contact_put.user_id = request->ids[PATH_USER_ID];
    command->in.contact_put.name = REQUEST_FORM(request, contact_form)->name.bytes;
    return OK;
}

enum err contact_remove(struct request *request) {
    request_command(request, COMMAND_CONTACT_REMOVE)->in.contact_remove.user_id = request->ids[PATH_USER_ID];
    return OK;
}
