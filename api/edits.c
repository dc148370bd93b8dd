/* Owns the handler for what messages said before their edits. */
#include "api/handlers.h"

static void render_revision(struct buf *buf, const struct revision *revision) {
    json_comma(buf);
    buf_char(buf, '{');
    json_member_number(buf, "rev", revision->rev);
    json_member_text(buf, "text", revision->text, revision->text_size);
    json_member_time(buf, "edited_at", revision->edited_ms);
    buf_char(buf, '}');
}

static enum err list_edits(struct request *request, uint64_t cursor, size_t limit, uint64_t head_id) {
    const struct revision_request wanted = { request->ids[PATH_CHAT_ID], request->ids[PATH_MESSAGE_ID], cursor, limit };
    struct revision *revisions;
    size_t count;
    bool more;
    enum err err = read_revisions(request->reader, request->session.user_id, &wanted, &request->arena, &revisions, &count, &more);
    if (err != OK)
        return err;
    struct buf *buf = list_begin(request);
    for (size_t i = 0; i < count; i++)
        render_revision(buf, &revisions[i]);
    list_end(buf, more ? revisions[count - 1].rev : 0, head_id);
    return OK;
}

enum err edit_list(struct request *request) { return list_page(request, LIMIT_PAGE_ITEMS_DEFAULT, LIMIT_PAGE_ITEMS, list_edits); }
