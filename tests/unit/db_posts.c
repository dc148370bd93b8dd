/* See db_posts.h. */
#include "db_posts.h"

#include <stdlib.h>
#include <string.h>

#include "core/id.h"
#include "core/limits.h"
#include "db/chain.h"
#include "db/render.h"
#include "db/store.h"

struct command post_of(uint64_t user_id, uint64_t chat_id, const char *text) {
    return (struct command){ .type = COMMAND_MESSAGE_POST,
                             .actor_id = user_id,
                             .in.message_post = { .chat_id = chat_id, .text = text, .text_size = strlen(text) } };
}

struct command post_with_key(uint64_t user_id, uint64_t chat_id, uint64_t key) {
    struct command command = post_of(user_id, chat_id, "with a key");
    command.idempotency = (struct idempotency){ .given = true, .key = key, .request = { 7 } };
    return command;
}

void fill_posts(struct command *commands, size_t count, uint64_t user_id, uint64_t chat_id) {
    for (size_t i = 0; i < count; i++)
        commands[i] = post_of(user_id, chat_id, "m");
}

void release_all(struct command *commands, size_t count) {
    for (size_t i = 0; i < count; i++)
        command_release(&commands[i]);
}

void all_end_with(const struct command *commands, size_t count, enum err expected) {
    for (size_t i = 0; i < count; i++)
        assert_int_equal(commands[i].refusal.err, expected);
}

void check_chat(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, size_t expected) {
    struct page_request request = { .chat_id = chat_id, .direction = PAGE_BEFORE, .limit = LIMIT_PAGE_ITEMS };
    struct message *messages = NULL;
    struct chat_of_member seen;
    uint8_t chain[HASH128_SIZE] = { 0 };
    size_t count = 0;
    bool more;
    assert_int_equal(find_messages(fixture, user_id, &request, &messages, &count, &more), OK);
    assert_int_equal(count, expected);
    for (size_t i = 0; i < count; i++) {
        struct message message = messages[i];
        assert_int_equal(message.seq, i + 1);
        assert_true(i == 0 || (message.id > messages[i - 1].id && message.created_ms >= messages[i - 1].created_ms));
        if (message.original)
            chain_extend(chain, &message);
        assert_memory_equal(message.chain, messages[i].chain, HASH128_SIZE);
        memcpy(chain, messages[i].chain, HASH128_SIZE);
    }
    assert_int_equal(find_chat(fixture, user_id, chat_id, &seen), OK);
    assert_int_equal(seen.chat.last_seq, expected);
    assert_memory_equal(seen.chat.chain, chain, HASH128_SIZE);
}

void check_log(struct fixture *fixture, uint64_t chat_id) {
    struct feed_page page = { .complete = false };
    uint64_t after_id = 0, rev = 0;
    while (!page.complete) {
        assert_int_equal(read_log(fixture->reader, after_id, &page), OK);
        for (size_t i = 0; i < page.count; i++) {
            const struct frame *frame = page.frames[i];
            assert_int_equal(log_position(frame->id), log_position(after_id) + 1);
            after_id = frame->id;
            const char *found = frame->owner_id == chat_id ? memmem(frame->bytes, frame->size, "\"rev\":", 6) : NULL;
            if (found)
                assert_int_equal(strtoull(found + 6, NULL, 10), ++rev);
        }
        feed_page_release(&page);
    }
    assert_int_equal(after_id, store_head(fixture->store));
}

void check_answer(struct fixture *fixture, const struct command *command) {
    struct message message;
    struct buf buf = BUF_INIT;
    const struct frame *frame = command->out.frame;
    uint64_t chat_id = command->in.message_post.chat_id;
    assert_int_equal(command->refusal.err, OK);
    assert_non_null(frame);
    assert_int_equal(find_message(fixture, command->actor_id, chat_id, command->out.id, &message), OK);
    render_message(&buf, &message);
    if (buf.size != frame->object_size || memcmp(buf.bytes, frame->bytes + frame->object, buf.size) != 0)
        fail_msg("answered %.*s, read %.*s", (int)frame->object_size, frame->bytes + frame->object, (int)buf.size, buf.bytes);
    buf_release(&buf);
}

void check_answers(struct fixture *fixture, const struct command *commands, size_t count) {
    for (size_t i = 0; i < count; i++)
        check_answer(fixture, &commands[i]);
}
