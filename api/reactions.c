/* Owns the handlers for reactions to messages. */
#include <string.h>

#include "api/handlers.h"
#include "api/reaction_sender.h"
#include "api/server_internal.h"
#include "core/text.h"

#define NO_EMOJI "must be an emoji of 1 to 32 bytes, without ASCII letters, spaces and characters that show nothing"

static enum err prepare(struct request *request, bool on) {
    const char *emoji = request_decode(request, request->object);
    if (emoji == NULL)
        return ERR_NO_MEMORY;
    if (!text_is_emoji(emoji, strlen(emoji)))
        return request_refuse(request, ERR_BAD_FIELD, "emoji", NO_EMOJI);
    struct command *command = request_command(request, COMMAND_MESSAGE_REACT);
    command->in.message_react.chat_id = request->ids[PATH_CHAT_ID];
    command->in.message_react.message_id = request->ids[PATH_MESSAGE_ID];
    command->in.message_react.emoji = emoji;
    command->in.message_react.on = on;
    return OK;
}

enum err reaction_put(struct request *request) { return prepare(request, true); }

enum err reaction_delete(struct request *request) { return prepare(request, false); }

enum err reaction_done(struct request *request) {
    const struct command *command = &request->command;
    const struct reaction_note note = {
        .chat_id = command->in.message_react.chat_id,
        .message_id = command->out.id,
        .rev = command->out.quiet_rev,
        .json = &command->out.json,
    };
    if (note.rev != 0 && buf_ok(note.json))
        reaction_sender_note(request->server->reaction_sender, &note);
    return finish_json(request);
}

static void render_reaction(struct buf *buf, const struct reaction *reaction) {
    json_comma(buf);
    buf_char(buf, '{');
    json_member_id(buf, "user_id", reaction->user_id);
    json_member_time(buf, "created_at", reaction->created_ms);
    buf_char(buf, '}');
}

static enum err list_reactions(struct request *request, uint64_t cursor, size_t limit, uint64_t head_id) {
    const char *emoji = query_text(request, "emoji");
    if (emoji == NULL || !text_is_emoji(emoji, strlen(emoji)))
        return request_refuse(request, ERR_BAD_QUERY, "emoji", NO_EMOJI);
    const struct reaction_request wanted = { request->ids[PATH_CHAT_ID], request->ids[PATH_MESSAGE_ID], emoji, cursor, limit + 1 };
    struct reaction *reactions;
    size_t count;
    enum err err = read_reactions(request->reader, request->session.user_id, &wanted, &request->arena, &reactions, &count);
    if (err != OK)
        return err;
    size_t shown = count < limit ? count : limit;
    struct buf *buf = list_begin(request);
    for (size_t i = 0; i < shown; i++)
        render_reaction(buf, &reactions[i]);
    list_end(buf, count > limit ? reactions[shown - 1].user_id : 0, head_id);
    return OK;
}

enum err reaction_list(struct request *request) {
    return list_page(request, LIMIT_MEMBERS_PAGE_ITEMS_DEFAULT, LIMIT_MEMBERS_PAGE_ITEMS, list_reactions);
}
