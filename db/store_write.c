/* The last step of a batch: everything decided, one array write per table, inside the transaction. */
#include "core/limits.h"
#include "db/state.h"

#include <string.h>

static const struct query insert_user = { "INSERT INTO user(id, username, display_name, password, created_ms) VALUES(?1,?2,?3,?4,?5)" };
static const struct query update_user = {
    "UPDATE user SET display_name = ?2, password = ?3, hides_presence = ?4, hides_receipts = ?5 WHERE id = ?1"
};
static const struct query insert_device = { "INSERT INTO device(id, user_id, name, token, created_ms, seen_ms, acked_id)"
                                            " VALUES(?1,?2,?3,?4,?5,?6,?7)" };
static const struct query delete_device = { "DELETE FROM device WHERE id = ?1" };
static const struct query delete_device_tickets = { "DELETE FROM ticket WHERE device_id = ?1" };
static const struct query touch_user = { "UPDATE user SET active_ms = CASE WHEN active_ms < ?2 THEN ?2 ELSE active_ms END WHERE id = ?1" };
static const struct query touch_device = { "UPDATE device SET seen_ms = CASE WHEN seen_ms < ?2 THEN ?2 ELSE seen_ms END WHERE id = ?1" };
static const struct query insert_ticket = { "INSERT INTO ticket(ticket, device_id, created_ms, used_ms) VALUES(?1,?2,?3,0)" };
static const struct query use_ticket = { "UPDATE ticket SET used_ms = ?2 WHERE ticket = ?1 AND used_ms = 0" };
static const struct query prune_tickets = {
    "DELETE FROM ticket WHERE device_id = ?1 AND (created_ms, ticket) <= (SELECT k.created_ms, k.ticket FROM ticket k"
    " WHERE k.device_id = ?1 ORDER BY k.created_ms DESC, k.ticket DESC LIMIT 1 OFFSET ?2)"
};
static const struct query insert_invite = { "INSERT INTO invite(invite, uses_left, expires_ms) VALUES(?1,?2,?3)" };
static const struct query update_invite = { "UPDATE invite SET uses_left = ?2 WHERE invite = ?1" };
static const struct query insert_chat = {
    "INSERT INTO chat(id, type, history, title, created_by, created_ms, deleted_ms, last_id, last_rev, last_seq, changed_rev, chain,"
    " member_count, owner_count, direct_low, direct_high, message_ttl_ms, until_delivered, description, slow_mode_ms, permissions, avatar_id,"
    " blockers, is_public)"
    " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,?24)"
};
static const struct query update_chat = {
    "UPDATE chat SET history = ?3, title = ?4, deleted_ms = ?7, last_id = ?8, last_rev = ?9, last_seq = ?10,"
    " changed_rev = ?11, chain = ?12, member_count = ?13, owner_count = ?14, message_ttl_ms = ?17, until_delivered = ?18,"
    " description = ?19, slow_mode_ms = ?20, permissions = ?21, avatar_id = ?22, blockers = ?23, is_public = ?24 WHERE id = ?1"
};
/* The same of rows that are there. An array of insertions is one execution; of updates MariaDB makes one each, which takes half as long again. */
static const struct query merge_chat = {
    "INSERT INTO chat(id, type, history, title, created_by, created_ms, deleted_ms, last_id, last_rev, last_seq, changed_rev, chain,"
    " member_count, owner_count, direct_low, direct_high, message_ttl_ms, until_delivered, description, slow_mode_ms, permissions, avatar_id,"
    " blockers, is_public)"
    " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,?24) ON DUPLICATE KEY UPDATE"
    " history = value(history), title = value(title), deleted_ms = value(deleted_ms), last_id = value(last_id), last_rev = value(last_rev),"
    " last_seq = value(last_seq), changed_rev = value(changed_rev), chain = value(chain), member_count = value(member_count),"
    " owner_count = value(owner_count), message_ttl_ms = value(message_ttl_ms), until_delivered = value(until_delivered),"
    " description = value(description), slow_mode_ms = value(slow_mode_ms), permissions = value(permissions),"
    " avatar_id = value(avatar_id), blockers = value(blockers), is_public = value(is_public)"
};
static const struct query insert_stay = {
    "INSERT INTO stay(chat_id, user_id, joined_id, left_id, role, last_post_ms, joined_ms, read_seq, touched_id)"
    " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?3)"
};
static const struct query update_stay = {
    "UPDATE stay SET left_id = ?4, role = ?5, last_post_ms = ?6 WHERE chat_id = ?1 AND user_id = ?2 AND joined_id = ?3"
};
static const struct query close_stays = { "UPDATE stay SET left_id = ?2 WHERE chat_id = ?1 AND left_id = 9223372036854775807" };
static const struct query insert_link = {
    "INSERT INTO link(id, chat_id, created_by, created_ms, expires_ms, uses_max, uses, needs_approval, token) VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9)"
};
static const struct query update_link = { "UPDATE link SET expires_ms = ?2, uses = ?3 WHERE id = ?1" };
static const struct query insert_request = { "INSERT INTO join_request(chat_id, user_id, link_id, created_ms) VALUES(?1,?2,?3,?4)" };
static const struct query drop_request = { "DELETE FROM join_request WHERE chat_id = ?1 AND user_id = ?2" };
static const struct query insert_ban = { "INSERT INTO ban(chat_id, user_id, by_id, created_ms) VALUES(?1,?2,?3,?4)" };
static const struct query drop_ban = { "DELETE FROM ban WHERE chat_id = ?1 AND user_id = ?2" };
static const struct query insert_block = { "INSERT INTO block(user_id, blocked_id, created_ms) VALUES(?1,?2,?3)" };
static const struct query drop_block = { "DELETE FROM block WHERE user_id = ?1 AND blocked_id = ?2" };
static const struct query save_contact = { "REPLACE INTO contact(user_id, contact_id, name, created_ms) VALUES(?1,?2,?3,?4)" };
static const struct query drop_contact = { "DELETE FROM contact WHERE user_id = ?1 AND contact_id = ?2" };
/* A mark that is beyond the chat is of a log that was lost. */
static const struct query read_stay = { "UPDATE stay SET read_seq = ?3, touched_id = ?4 WHERE chat_id = ?1 AND user_id = ?2"
                                        " AND left_id = 9223372036854775807 AND read_seq < ?3"
                                        " AND ?3 <= (SELECT c.last_seq FROM chat c WHERE c.id = ?1)" };
static const struct query set_stay = {
    "UPDATE stay SET muted_until_ms = ?4, archived = ?5, pinned_ms = ?6, touched_id = ?7 WHERE chat_id = ?1 AND user_id = ?2 AND joined_id = ?3"
};
static const struct query drop_draft_of_user = { "DELETE FROM draft WHERE user_id = ?1 AND chat_id = ?2" };
static const struct query drop_drafts_of_chat = { "DELETE FROM draft WHERE chat_id = ?1" };
static const struct query set_draft = { "REPLACE INTO draft(user_id, chat_id, text, updated_ms) VALUES(?1,?2,?3,?4)" };
static const struct query insert_scheduled = {
    "INSERT INTO scheduled(id, user_id, chat_id, joined_id, due_ms, created_ms, failed_ms, text, attachments, media_ids, mentions, reply_id, ttl_ms)"
    " VALUES(?1,?2,?3,?4,?5,?6,0,?7,?8,?9,?10,?11,?12)"
};
static const struct query fail_scheduled = { "UPDATE scheduled SET failed_ms = ?2, failure = ?3 WHERE id = ?1" };
static const struct query drop_scheduled = { "DELETE FROM scheduled WHERE id = ?1" };
/* The scheduler takes them away, with what they refer to; what they say goes at once. */
#define VOID_SCHEDULED "UPDATE scheduled SET due_ms = 0, failed_ms = 0, text = NULL, mentions = NULL WHERE "
static const struct query void_scheduled_of_user = { VOID_SCHEDULED "user_id = ?1 AND chat_id = ?2" };
static const struct query void_scheduled_of_chat = { VOID_SCHEDULED "chat_id = ?1" };
static const struct query insert_purge = { "INSERT INTO \"purge\"(chat_id, purged_id) VALUES(?1, ?2)" };
static const struct query insert_thin = { "INSERT INTO event(id, owner_id, is_message, type, actor_id, ref_id, rev, seq, created_ms, body)"
                                          " VALUES(?1,?2,0,?3,?4,?5,?6,?7,?8,?9)" };
static const struct query insert_message = {
    "INSERT INTO event(id, owner_id, is_message, type, actor_id, ref_id, rev, seq, created_ms, body, changed_id, changed_rev, edited_ms,"
    " deleted_ms, original, seal, chain, client_key, attachments, expires_ms, reply_id, reply_seq, reply_sender_id, mentions, forwarded)"
    " VALUES(?1,?2,1,?3,?4,?1,?5,?6,?7,?8,?1,?5,0,0,1,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18)"
};
static const struct query update_message = {
    "UPDATE event SET body = ?2, changed_id = ?3, changed_rev = ?4, edited_ms = ?5, deleted_ms = ?6,"
    " original = ?7, seal = ?8, client_key = ?9, attachments = ?10, reply_id = ?11, reply_seq = ?12,"
    " reply_sender_id = ?13, mentions = ?14, forwarded = ?15, reactions = ?16 WHERE id = ?1"
};
static const struct query set_reactions = { "UPDATE event SET reactions = ?2, reactions_rev = ?3, reactions_id = ?4 WHERE id = ?1" };
static const struct query insert_reaction = { "INSERT INTO reaction(message_id, user_id, emoji, created_ms) VALUES(?1,?2,?3,?4)" };
static const struct query delete_reaction = { "DELETE FROM reaction WHERE message_id = ?1 AND user_id = ?2 AND emoji = ?3" };
static const struct query drop_reactions = { "DELETE FROM reaction WHERE message_id = ?1" };
static const struct query insert_pin = { "INSERT INTO pin(chat_id, message_id, user_id, pinned_ms) VALUES(?1,?2,?3,?4)" };
static const struct query drop_pin = { "DELETE FROM pin WHERE message_id = ?1" };
static const struct query insert_hidden = { "INSERT INTO hidden(user_id, message_id, chat_id) VALUES(?1,?2,?3)" };
static const struct query insert_revision = { "INSERT INTO revision(message_id, rev, text, edited_ms) VALUES(?1,?2,?3,?4)" };
static const struct query prune_revisions = {
    "DELETE FROM revision WHERE message_id = ?1 AND rev <= (SELECT k.rev FROM revision k WHERE k.message_id = ?1"
    " ORDER BY k.rev DESC LIMIT 1 OFFSET ?2)"
};
static const struct query drop_revisions = { "DELETE FROM revision WHERE message_id = ?1" };
static const struct query note_mention = { "UPDATE stay SET mentioned_seq = CASE WHEN mentioned_seq < ?4 THEN ?4 ELSE mentioned_seq END"
                                           " WHERE chat_id = ?1 AND user_id = ?2 AND joined_id = ?3" };
static const struct query set_media_bytes = { "UPDATE user SET media_bytes = ?2 WHERE id = ?1" };
static const struct query ack_device = { "UPDATE device SET acked_id = CASE WHEN acked_id < ?2 THEN ?2 ELSE acked_id END WHERE id = ?1" };
static const struct query deliver_user = {
    "UPDATE user SET delivered_id = CASE WHEN delivered_id < ?2 THEN ?2 ELSE delivered_id END WHERE id = ?1"
};
static const struct query insert_media = {
    "INSERT INTO media(id, owner_id, state, token, content_type, size, md5, sha256, file_name, width, height, duration_ms, blurhash,"
    " thumbnail_id, part_size, upload_id, created_ms, expires_ms, upload_until_ms)"
    " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19)"
};
static const struct query update_media = {
    "UPDATE media SET state = ?2, upload_id = ?3, expires_ms = ?4, upload_until_ms = ?5 WHERE id = ?1"
};
static const struct query forget_media = { "DELETE FROM media WHERE id = ?1" };
static const struct query insert_attachment = { "INSERT INTO attachment(message_id, media_id, chat_id) VALUES(?1,?2,?3)" };
static const struct query drop_attachments = { "DELETE FROM attachment WHERE message_id = ?1" };
static const struct query add_expiry = { "INSERT INTO expiry(expires_ms, message_id) VALUES(?1, ?2)" };
static const struct query drop_expiry = { "DELETE FROM expiry WHERE expires_ms = ?1 AND message_id = ?2" };
static const struct query begin_delivery = { "INSERT INTO delivery(chat_id, blanked_id) VALUES(?1, 0)" };
static const struct query end_delivery = { "DELETE FROM delivery WHERE chat_id = ?1" };
static const struct query add_avatar = { "INSERT INTO avatar(chat_id, media_id) VALUES(?1, ?2)" };
static const struct query drop_avatar = { "DELETE FROM avatar WHERE chat_id = ?1" };
static const struct query insert_report = {
    "INSERT INTO report(id, reporter_id, user_id, chat_id, message_id, category, reason, created_ms, closed_ms, note, posted_ms, text, attachments)"
    " VALUES(?1,?2,?3,?4,?5,?6,?7,?8,0,NULL,?9,?10,?11)"
};
static const struct query end_report = {
    "UPDATE report SET closed_ms = ?2, note = ?3, posted_ms = 0, text = NULL, attachments = NULL WHERE id = ?1"
};
static const struct query set_lease = { "REPLACE INTO lease(name, holder, until_ms) VALUES(?1,?2,?3)" };

/* Binders get the state beside the rows because some columns are the batch's. */
struct rows {
    const struct state *state;
    const struct db_driver *driver;
    void **items;
};

static void bind_text(const struct rows *rows, struct statement *statement, int index, const char *text) {
    rows->driver->bind_text(statement, index, text, text ? strlen(text) : 0);
}

static void bind_user(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct user *user = &((struct user_entry *)rows->items[index])->user;
    rows->driver->bind_id(statement, 1, user->id);
    bind_text(rows, statement, 2, user->username);
    bind_text(rows, statement, 3, user->display_name);
    bind_text(rows, statement, 4, user->password);
    rows->driver->bind_id(statement, 5, (uint64_t)user->created_ms);
}

static void bind_user_update(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct user *user = &((struct user_entry *)rows->items[index])->user;
    rows->driver->bind_id(statement, 1, user->id);
    bind_text(rows, statement, 2, user->display_name);
    bind_text(rows, statement, 3, user->password);
    rows->driver->bind_id(statement, 4, user->hides_presence);
    rows->driver->bind_id(statement, 5, user->hides_receipts);
}

static void bind_device(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct device_entry *entry = rows->items[index];
    rows->driver->bind_id(statement, 1, entry->device.id);
    rows->driver->bind_id(statement, 2, entry->device.user_id);
    bind_text(rows, statement, 3, entry->device.name);
    rows->driver->bind_blob(statement, 4, entry->token, sizeof entry->token);
    rows->driver->bind_id(statement, 5, (uint64_t)entry->device.created_ms);
    rows->driver->bind_id(statement, 6, (uint64_t)entry->device.seen_ms);
    rows->driver->bind_id(statement, 7, entry->device.acked_id);
}

static void bind_ticket(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct ticket_row *row = rows->items[index];
    rows->driver->bind_blob(statement, 1, row->ticket, SHA256_SIZE);
    rows->driver->bind_id(statement, 2, row->device_id);
    rows->driver->bind_id(statement, 3, (uint64_t)rows->state->now_ms);
}

static void bind_ticket_use(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    rows->driver->bind_blob(statement, 1, ((struct ticket_row *)rows->items[index])->ticket, SHA256_SIZE);
    rows->driver->bind_id(statement, 2, (uint64_t)rows->state->now_ms);
}

static void bind_invite(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct invite_entry *invite = rows->items[index];
    rows->driver->bind_blob(statement, 1, invite->invite, SHA256_SIZE);
    rows->driver->bind_id(statement, 2, invite->uses_left);
    rows->driver->bind_id(statement, 3, (uint64_t)invite->expires_ms);
}

static void bind_invite_update(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct invite_entry *invite = rows->items[index];
    rows->driver->bind_blob(statement, 1, invite->invite, SHA256_SIZE);
    rows->driver->bind_id(statement, 2, invite->uses_left);
}

static void bind_chat(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct chat *chat = &((struct chat_entry *)rows->items[index])->chat;
    const uint64_t numbers[] = { chat->last_id, chat->last_rev, chat->last_seq, chat->changed_rev };
    rows->driver->bind_id(statement, 1, chat->id);
    rows->driver->bind_id(statement, 2, chat->type);
    rows->driver->bind_id(statement, 3, chat->history);
    bind_text(rows, statement, 4, chat->title);
    rows->driver->bind_id(statement, 5, chat->created_by);
    rows->driver->bind_id(statement, 6, (uint64_t)chat->created_ms);
    rows->driver->bind_id(statement, 7, (uint64_t)chat->deleted_ms);
    for (int i = 0; i < 4; i++)
        rows->driver->bind_id(statement, 8 + i, numbers[i]);
    rows->driver->bind_blob(statement, 12, chat->chain, sizeof chat->chain);
    rows->driver->bind_id(statement, 13, chat->member_count);
    rows->driver->bind_id(statement, 14, chat->owner_count);
    db_bind_optional_id(rows->driver, statement, 15, chat->direct_low);
    db_bind_optional_id(rows->driver, statement, 16, chat->direct_high);
    rows->driver->bind_id(statement, 17, (uint64_t)chat->message_ttl_ms);
    rows->driver->bind_id(statement, 18, chat->until_delivered);
    bind_text(rows, statement, 19, chat->description);
    rows->driver->bind_id(statement, 20, (uint64_t)chat->slow_mode_ms);
    rows->driver->bind_id(statement, 21, chat->permissions);
    rows->driver->bind_id(statement, 22, chat->avatar_id);
    rows->driver->bind_id(statement, 23, chat->blockers);
    rows->driver->bind_id(statement, 24, chat->is_public);
}

static void bind_stay(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct stay *stay = &((struct stay_entry *)rows->items[index])->stay;
    rows->driver->bind_id(statement, 1, stay->chat_id);
    rows->driver->bind_id(statement, 2, stay->user_id);
    rows->driver->bind_id(statement, 3, stay->joined_id);
    rows->driver->bind_id(statement, 4, stay->left_id);
    rows->driver->bind_id(statement, 5, stay->role);
    rows->driver->bind_id(statement, 6, (uint64_t)stay->last_post_ms);
}

static void bind_new_stay(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    bind_stay(statement, context, index);
    rows->driver->bind_id(statement, 7, (uint64_t)((struct stay_entry *)rows->items[index])->stay.joined_ms);
    rows->driver->bind_id(statement, 8, ((struct stay_entry *)rows->items[index])->stay.read_seq);
}

static void bind_link(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct link_entry *entry = rows->items[index];
    rows->driver->bind_id(statement, 1, entry->link.id);
    rows->driver->bind_id(statement, 2, entry->link.chat_id);
    rows->driver->bind_id(statement, 3, entry->link.created_by);
    rows->driver->bind_id(statement, 4, (uint64_t)entry->link.created_ms);
    rows->driver->bind_id(statement, 5, (uint64_t)entry->link.expires_ms);
    rows->driver->bind_id(statement, 6, entry->link.uses_max);
    rows->driver->bind_id(statement, 7, entry->link.uses);
    rows->driver->bind_id(statement, 8, entry->link.needs_approval);
    rows->driver->bind_blob(statement, 9, entry->token, SHA256_SIZE);
}

static void bind_link_update(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct link *link = &((struct link_entry *)rows->items[index])->link;
    rows->driver->bind_id(statement, 1, link->id);
    rows->driver->bind_id(statement, 2, (uint64_t)link->expires_ms);
    rows->driver->bind_id(statement, 3, link->uses);
}

static void bind_request(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct join_request *request = &((struct request_entry *)rows->items[index])->request;
    rows->driver->bind_id(statement, 1, request->chat_id);
    rows->driver->bind_id(statement, 2, request->user_id);
    rows->driver->bind_id(statement, 3, request->link_id);
    rows->driver->bind_id(statement, 4, (uint64_t)request->created_ms);
}

static void bind_ban(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct ban *ban = &((struct ban_entry *)rows->items[index])->ban;
    rows->driver->bind_id(statement, 1, ban->chat_id);
    rows->driver->bind_id(statement, 2, ban->user_id);
    rows->driver->bind_id(statement, 3, ban->by_id);
    rows->driver->bind_id(statement, 4, (uint64_t)ban->created_ms);
}

static void bind_block(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct block *block = &((struct block_entry *)rows->items[index])->block;
    rows->driver->bind_id(statement, 1, block->user_id);
    rows->driver->bind_id(statement, 2, block->blocked_id);
    rows->driver->bind_id(statement, 3, (uint64_t)block->created_ms);
}

static void bind_contact(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct contact *contact = &((struct contact_entry *)rows->items[index])->contact;
    rows->driver->bind_id(statement, 1, contact->user_id);
    rows->driver->bind_id(statement, 2, contact->contact_id);
    bind_text(rows, statement, 3, contact->name);
    rows->driver->bind_id(statement, 4, (uint64_t)contact->created_ms);
}

static void bind_read_mark(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct mark *mark = rows->items[index];
    rows->driver->bind_id(statement, 1, mark->chat_id);
    rows->driver->bind_id(statement, 2, mark->owner_id);
    rows->driver->bind_id(statement, 3, mark->value);
    rows->driver->bind_id(statement, 4, rows->state->last_id);
}

static void bind_settings(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct stay *stay = &((struct stay_entry *)rows->items[index])->stay;
    rows->driver->bind_id(statement, 1, stay->chat_id);
    rows->driver->bind_id(statement, 2, stay->user_id);
    rows->driver->bind_id(statement, 3, stay->joined_id);
    rows->driver->bind_id(statement, 4, (uint64_t)stay->settings.muted_until_ms);
    rows->driver->bind_id(statement, 5, stay->settings.archived);
    rows->driver->bind_id(statement, 6, (uint64_t)stay->settings.pinned_ms);
    rows->driver->bind_id(statement, 7, rows->state->last_id);
}

static void bind_draft_key(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct draft_entry *draft = rows->items[index];
    rows->driver->bind_id(statement, 1, draft->user_id);
    rows->driver->bind_id(statement, 2, draft->chat_id);
}

static void bind_draft(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct draft_entry *draft = rows->items[index];
    bind_draft_key(statement, context, index);
    rows->driver->bind_text(statement, 3, draft->text, draft->size);
    rows->driver->bind_id(statement, 4, (uint64_t)rows->state->now_ms);
}

static void bind_scheduled(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct scheduled_entry *entry = rows->items[index];
    const struct scheduled *scheduled = &entry->scheduled;
    rows->driver->bind_id(statement, 1, scheduled->id);
    rows->driver->bind_id(statement, 2, scheduled->user_id);
    rows->driver->bind_id(statement, 3, scheduled->chat_id);
    rows->driver->bind_id(statement, 4, scheduled->joined_id);
    rows->driver->bind_id(statement, 5, (uint64_t)scheduled->due_ms);
    rows->driver->bind_id(statement, 6, (uint64_t)scheduled->created_ms);
    rows->driver->bind_text(statement, 7, scheduled->text, scheduled->text_size);
    rows->driver->bind_text(statement, 8, scheduled->attachments, scheduled->attachments_size);
    bind_text(rows, statement, 9, entry->media_ids);
    bind_text(rows, statement, 10, entry->mentions);
    rows->driver->bind_id(statement, 11, scheduled->reply_to);
    rows->driver->bind_id(statement, 12, (uint64_t)scheduled->ttl_ms);
}

static void bind_failure(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct scheduled *scheduled = &((struct scheduled_entry *)rows->items[index])->scheduled;
    rows->driver->bind_id(statement, 1, scheduled->id);
    rows->driver->bind_id(statement, 2, (uint64_t)rows->state->now_ms);
    bind_text(rows, statement, 3, scheduled->failure);
}

static void bind_thin(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct event *event = &((struct event_entry *)rows->items[index])->event;
    /* seq: of the message it refers to, so that it is known when the message is gone; for device.removed, the reason. */
    uint64_t seq = event->type == EVENT_DEVICE_REMOVED ? (uint64_t)event->removal : event->message.seq;
    rows->driver->bind_id(statement, 1, event->id);
    rows->driver->bind_id(statement, 2, event->owner_id);
    rows->driver->bind_id(statement, 3, event->type);
    rows->driver->bind_id(statement, 4, event->actor_id);
    rows->driver->bind_id(statement, 5, event->ref_id);
    rows->driver->bind_id(statement, 6, event->rev);
    rows->driver->bind_id(statement, 7, seq);
    rows->driver->bind_id(statement, 8, (uint64_t)rows->state->now_ms);
    rows->driver->bind_text(statement, 9, event->body, event->body_size);
}

/* Five parameters from `index` on. */
static void bind_references(const struct rows *rows, struct statement *statement, int index, const struct message *message) {
    db_bind_optional_id(rows->driver, statement, index, message->reply_to.id);
    db_bind_optional_id(rows->driver, statement, index + 1, message->reply_to.seq);
    db_bind_optional_id(rows->driver, statement, index + 2, message->reply_to.sender_id);
    rows->driver->bind_text(statement, index + 3, message->mentions, message->mentions_size);
    db_bind_optional_id(rows->driver, statement, index + 4, message->forwarded);
}

static void bind_message(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct event *event = &((struct event_entry *)rows->items[index])->event;
    const struct message *message = &event->message;
    rows->driver->bind_id(statement, 1, event->id);
    rows->driver->bind_id(statement, 2, event->owner_id);
    rows->driver->bind_id(statement, 3, event->type);
    rows->driver->bind_id(statement, 4, event->actor_id);
    rows->driver->bind_id(statement, 5, event->rev);
    rows->driver->bind_id(statement, 6, message->seq);
    rows->driver->bind_id(statement, 7, (uint64_t)message->created_ms); /* one that was decided ahead is older than its batch */
    rows->driver->bind_text(statement, 8, message->text, message->text_size);
    rows->driver->bind_blob(statement, 9, message->seal, sizeof message->seal);
    rows->driver->bind_blob(statement, 10, message->chain, sizeof message->chain);
    bind_text(rows, statement, 11, message->client_key);
    rows->driver->bind_text(statement, 12, message->attachments, message->attachments_size);
    db_bind_optional_id(rows->driver, statement, 13, (uint64_t)message->expires_ms);
    bind_references(rows, statement, 14, message);
}

static void bind_message_update(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct message *message = &((struct message_entry *)rows->items[index])->message;
    rows->driver->bind_id(statement, 1, message->id);
    rows->driver->bind_text(statement, 2, message->text, message->text_size);
    rows->driver->bind_id(statement, 3, message->changed_id);
    rows->driver->bind_id(statement, 4, message->rev);
    rows->driver->bind_id(statement, 5, (uint64_t)message->edited_ms);
    rows->driver->bind_id(statement, 6, (uint64_t)message->deleted_ms);
    rows->driver->bind_id(statement, 7, message->original);
    rows->driver->bind_blob(statement, 8, message->seal, sizeof message->seal);
    bind_text(rows, statement, 9, message->client_key);
    rows->driver->bind_text(statement, 10, message->attachments, message->attachments_size);
    bind_references(rows, statement, 11, message);
    rows->driver->bind_text(statement, 16, message->reactions, message->reactions_size);
}

static void bind_reactions(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct message *message = &((struct message_entry *)rows->items[index])->message;
    rows->driver->bind_id(statement, 1, message->id);
    rows->driver->bind_text(statement, 2, message->reactions, message->reactions_size);
    rows->driver->bind_id(statement, 3, message->reactions_rev);
    rows->driver->bind_id(statement, 4, message->reactions_id);
}

static void bind_old_reaction(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct reaction_entry *reaction = rows->items[index];
    rows->driver->bind_id(statement, 1, reaction->message_id);
    rows->driver->bind_id(statement, 2, reaction->user_id);
    bind_text(rows, statement, 3, reaction->emoji);
}

static void bind_new_reaction(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    bind_old_reaction(statement, context, index);
    rows->driver->bind_id(statement, 4, (uint64_t)rows->state->now_ms);
}

static void bind_mention(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct mention_row *row = rows->items[index];
    rows->driver->bind_id(statement, 1, row->chat_id);
    rows->driver->bind_id(statement, 2, row->user_id);
    rows->driver->bind_id(statement, 3, row->joined_id);
    rows->driver->bind_id(statement, 4, row->seq);
}

static void bind_pin(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct pin_row *pin = rows->items[index];
    rows->driver->bind_id(statement, 1, pin->chat_id);
    rows->driver->bind_id(statement, 2, pin->message_id);
    rows->driver->bind_id(statement, 3, pin->user_id);
    rows->driver->bind_id(statement, 4, (uint64_t)rows->state->now_ms);
}

static void bind_hidden(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct hidden_entry *entry = rows->items[index];
    rows->driver->bind_id(statement, 1, entry->user_id);
    rows->driver->bind_id(statement, 2, entry->message_id);
    rows->driver->bind_id(statement, 3, entry->chat_id);
}

static void bind_revision(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct revision_row *row = rows->items[index];
    rows->driver->bind_id(statement, 1, row->message_id);
    rows->driver->bind_id(statement, 2, row->rev);
    rows->driver->bind_text(statement, 3, row->text, row->text_size);
    rows->driver->bind_id(statement, 4, (uint64_t)row->edited_ms);
}

static void bind_media(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct media *media = &((struct media_entry *)rows->items[index])->media;
    rows->driver->bind_id(statement, 1, media->id);
    rows->driver->bind_id(statement, 2, media->owner_id);
    rows->driver->bind_id(statement, 3, media->state);
    rows->driver->bind_blob(statement, 4, media->token, sizeof media->token);
    bind_text(rows, statement, 5, media->content_type);
    rows->driver->bind_id(statement, 6, (uint64_t)media->size);
    rows->driver->bind_blob(statement, 7, media->md5, sizeof media->md5);
    rows->driver->bind_blob(statement, 8, media->has_sha256 ? media->sha256 : NULL, media->has_sha256 ? sizeof media->sha256 : 0);
    bind_text(rows, statement, 9, media->file_name);
    rows->driver->bind_id(statement, 10, media->width);
    rows->driver->bind_id(statement, 11, media->height);
    rows->driver->bind_id(statement, 12, media->duration_ms);
    bind_text(rows, statement, 13, media->blurhash);
    rows->driver->bind_id(statement, 14, media->thumbnail_id);
    rows->driver->bind_id(statement, 15, (uint64_t)media->part_size);
    bind_text(rows, statement, 16, media->upload_id);
    rows->driver->bind_id(statement, 17, (uint64_t)media->created_ms);
    rows->driver->bind_id(statement, 18, (uint64_t)media->expires_ms);
    rows->driver->bind_id(statement, 19, (uint64_t)media->upload_until_ms);
}

static void bind_media_update(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct media *media = &((struct media_entry *)rows->items[index])->media;
    rows->driver->bind_id(statement, 1, media->id);
    rows->driver->bind_id(statement, 2, media->state);
    bind_text(rows, statement, 3, media->upload_id);
    rows->driver->bind_id(statement, 4, (uint64_t)media->expires_ms);
    rows->driver->bind_id(statement, 5, (uint64_t)media->upload_until_ms);
}

static void bind_media_bytes(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct user *user = &((struct user_entry *)rows->items[index])->user;
    rows->driver->bind_id(statement, 1, user->id);
    rows->driver->bind_id(statement, 2, (uint64_t)user->media_bytes);
}

static void bind_attachment(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct attachment_row *row = rows->items[index];
    rows->driver->bind_id(statement, 1, row->message_id);
    rows->driver->bind_id(statement, 2, row->media_id);
    rows->driver->bind_id(statement, 3, row->chat_id);
}

static void bind_chat_id(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    rows->driver->bind_id(statement, 1, ((struct chat_entry *)rows->items[index])->chat.id);
}

static void bind_avatar(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    bind_chat_id(statement, context, index);
    rows->driver->bind_id(statement, 2, ((struct chat_entry *)rows->items[index])->chat.avatar_id);
}

static void bind_report(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct report *report = rows->items[index];
    rows->driver->bind_id(statement, 1, report->id);
    rows->driver->bind_id(statement, 2, report->reporter_id);
    rows->driver->bind_id(statement, 3, report->user_id);
    rows->driver->bind_id(statement, 4, report->chat_id);
    rows->driver->bind_id(statement, 5, report->message_id);
    rows->driver->bind_id(statement, 6, report->category);
    bind_text(rows, statement, 7, report->reason);
    rows->driver->bind_id(statement, 8, (uint64_t)report->created_ms);
    rows->driver->bind_id(statement, 9, (uint64_t)report->posted_ms);
    bind_text(rows, statement, 10, report->text);
    bind_text(rows, statement, 11, report->attachments);
}

static void bind_report_end(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct report_end *end = rows->items[index];
    rows->driver->bind_id(statement, 1, end->id);
    rows->driver->bind_id(statement, 2, (uint64_t)rows->state->now_ms);
    bind_text(rows, statement, 3, end->note);
}

static void bind_lease(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    const struct lease_entry *lease = rows->items[index];
    bind_text(rows, statement, 1, lease->name);
    rows->driver->bind_id(statement, 2, lease->holder);
    rows->driver->bind_id(statement, 3, (uint64_t)lease->until_ms);
}

static void bind_bulk_id(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    rows->driver->bind_id(statement, 1, ((struct bulk *)rows->items[index])->a);
}

static void bind_bulk(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    bind_bulk_id(statement, context, index);
    rows->driver->bind_id(statement, 2, ((struct bulk *)rows->items[index])->b);
}

static void bind_prune(struct statement *statement, const void *context, size_t index) {
    const struct rows *rows = context;
    bind_bulk_id(statement, context, index);
    rows->driver->bind_id(statement, 2, LIMIT_TICKETS_PER_DEVICE);
}

struct table_write {
    const struct query *query;
    const struct vec *vec;
    row_binder bind;
};

static enum err write_all(struct state *state, struct db *db, const struct table_write *writes, size_t count) {
    enum err err = OK;
    for (size_t i = 0; err == OK && i < count; i++) {
        struct rows rows = { state, db->driver, writes[i].vec->items };
        if (writes[i].vec->count)
            err = db->driver->write_rows(db, writes[i].query, &rows, writes[i].vec->count, writes[i].bind);
    }
    return err;
}

static enum err write_accounts(struct state *state, struct db *db) {
    const struct table_write writes[] = {
        { &insert_user, &state->new_users, bind_user },
        { &update_user, &state->changed_users, bind_user_update },
        { &insert_device, &state->new_devices, bind_device },
        { &delete_device, &state->bulk[BULK_REMOVE_DEVICE], bind_bulk_id },
        { &delete_device_tickets, &state->bulk[BULK_REMOVE_DEVICE], bind_bulk_id },
        { &touch_device, &state->bulk[BULK_TOUCH_DEVICE], bind_bulk },
        { &touch_user, &state->bulk[BULK_TOUCH_USER], bind_bulk },
        { &ack_device, &state->bulk[BULK_ACK_DEVICE], bind_bulk },
        { &deliver_user, &state->bulk[BULK_DELIVER_USER], bind_bulk },
        { &insert_ticket, &state->new_tickets, bind_ticket },
        { &use_ticket, &state->used_tickets, bind_ticket_use },
        { &prune_tickets, &state->bulk[BULK_PRUNE_TICKETS], bind_prune },
        { &insert_invite, &state->new_invites, bind_invite },
        { &update_invite, &state->invites, bind_invite_update },
        { &set_media_bytes, &state->changed_bytes, bind_media_bytes },
        { &drop_block, &state->bulk[BULK_DROP_BLOCK], bind_bulk },
        { &insert_block, &state->new_blocks, bind_block },
        { &drop_contact, &state->bulk[BULK_DROP_CONTACT], bind_bulk },
        { &save_contact, &state->saved_contacts, bind_contact },
        { &insert_report, &state->new_reports, bind_report },
        { &end_report, &state->report_ends, bind_report_end },
        { &set_lease, &state->leases, bind_lease },
    };
    return write_all(state, db, writes, sizeof writes / sizeof *writes);
}

/* Messages and thin events go to the same table by different statements. */
static void split_events(struct state *state, struct vec *messages, struct vec *thin) {
    for (size_t i = 0; i < state->events.count; i++) {
        struct event_entry *entry = state->events.items[i];
        state_push(state, entry->event.type == EVENT_MESSAGE_CREATED ? messages : thin, entry);
    }
}

/* What was taken back and set again within the batch stays as it is. */
static void split_reactions(struct state *state, struct vec *set, struct vec *taken_back) {
    for (size_t i = 0; i < state->changed_reactions.count; i++) {
        struct reaction_entry *entry = state->changed_reactions.items[i];
        if (entry->on != entry->stored)
            state_push(state, entry->on ? set : taken_back, entry);
    }
}

/* What members add to messages. */
static enum err write_additions(struct state *state, struct db *db) {
    struct vec set = { 0 }, taken_back = { 0 };
    split_reactions(state, &set, &taken_back);
    const struct table_write writes[] = {
        { &set_reactions, &state->reacted_messages, bind_reactions },
        { &delete_reaction, &taken_back, bind_old_reaction },
        { &insert_reaction, &set, bind_new_reaction },
        { &drop_reactions, &state->bulk[BULK_DROP_REACTIONS], bind_bulk_id },
        { &insert_pin, &state->new_pins, bind_pin },
        { &insert_hidden, &state->new_hidden, bind_hidden },
        { &drop_pin, &state->bulk[BULK_DROP_PIN], bind_bulk_id },
        { &insert_revision, &state->new_revisions, bind_revision },
        { &prune_revisions, &state->bulk[BULK_PRUNE_REVISIONS], bind_bulk },
        { &drop_revisions, &state->bulk[BULK_DROP_REVISIONS], bind_bulk_id },
    };
    return state->failed ? ERR_NO_MEMORY : write_all(state, db, writes, sizeof writes / sizeof *writes);
}

static enum err write_chats(struct state *state, struct db *db) {
    struct vec messages = { 0 }, thin = { 0 };
    const struct query *changed_chat = db->driver->dialect == DIALECT_MARIADB ? &merge_chat : &update_chat;
    split_events(state, &messages, &thin);
    const struct table_write writes[] = {
        { &insert_chat, &state->new_chats, bind_chat },
        { changed_chat, &state->changed_chats, bind_chat },
        { &insert_stay, &state->new_stays, bind_new_stay },
        { &update_stay, &state->changed_stays, bind_stay },
        { &close_stays, &state->bulk[BULK_CLOSE_STAYS], bind_bulk },
        { &note_mention, &state->mentions, bind_mention },
        { &insert_purge, &state->bulk[BULK_PURGE_CHAT], bind_bulk },
        { &insert_link, &state->new_links, bind_link },
        { &update_link, &state->changed_links, bind_link_update },
        { &drop_request, &state->bulk[BULK_DROP_REQUEST], bind_bulk },
        { &insert_request, &state->new_requests, bind_request },
        { &drop_ban, &state->bulk[BULK_DROP_BAN], bind_bulk },
        { &insert_ban, &state->new_bans, bind_ban },
        { &insert_message, &messages, bind_message },
        { &insert_thin, &thin, bind_thin },
        { &update_message, &state->changed_messages, bind_message_update },
    };
    return state->failed ? ERR_NO_MEMORY : write_all(state, db, writes, sizeof writes / sizeof *writes);
}

/* Drafts that were emptied, and those that were not; after that a stay that has ended takes its own away. */
static void split_drafts(struct state *state, struct vec *emptied, struct vec *written) {
    for (size_t i = 0; i < state->changed_drafts.count; i++) {
        struct draft_entry *draft = state->changed_drafts.items[i];
        state_push(state, draft->text ? written : emptied, draft);
    }
}

/* After the chats, because marks are held against them. */
static enum err write_own(struct state *state, struct db *db) {
    struct vec emptied = { 0 }, written = { 0 };
    split_drafts(state, &emptied, &written);
    const struct table_write writes[] = {
        { &read_stay, &state->read_marks, bind_read_mark },
        { &set_stay, &state->changed_settings, bind_settings },
        { &drop_draft_of_user, &emptied, bind_draft_key },
        { &set_draft, &written, bind_draft },
        { &drop_draft_of_user, &state->bulk[BULK_DROP_DRAFT], bind_bulk },
        { &drop_drafts_of_chat, &state->bulk[BULK_DROP_DRAFTS], bind_bulk_id },
        { &insert_scheduled, &state->new_scheduled, bind_scheduled },
        { &fail_scheduled, &state->failed_scheduled, bind_failure },
        { &void_scheduled_of_user, &state->bulk[BULK_VOID_SCHEDULED], bind_bulk },
        { &void_scheduled_of_chat, &state->bulk[BULK_VOID_SCHEDULED_OF_CHAT], bind_bulk_id },
        { &drop_scheduled, &state->bulk[BULK_DROP_SCHEDULED], bind_bulk_id },
    };
    return state->failed ? ERR_NO_MEMORY : write_all(state, db, writes, sizeof writes / sizeof *writes);
}

/* A chat may have changed its mind within the batch: a mode that ended once begins from the chat's start. */
static void find_begun(struct state *state, struct vec *begun) {
    for (size_t i = 0; i < state->changed_deliveries.count; i++) {
        struct chat_entry *entry = state->changed_deliveries.items[i];
        if (entry->chat.until_delivered && !entry->chat.deleted_ms)
            state_push(state, begun, entry);
    }
}

/* A chat may have changed its avatar several times, and counts as it is at the end. */
static void find_avatars(struct state *state, struct vec *avatars) {
    for (size_t i = 0; i < state->changed_avatars.count; i++) {
        struct chat_entry *entry = state->changed_avatars.items[i];
        if (entry->chat.avatar_id)
            state_push(state, avatars, entry);
    }
}

static enum err write_media(struct state *state, struct db *db) {
    struct vec begun = { 0 }, avatars = { 0 };
    find_begun(state, &begun);
    find_avatars(state, &avatars);
    const struct table_write writes[] = {
        { &insert_media, &state->new_media, bind_media },
        { &update_media, &state->changed_media, bind_media_update },
        { &forget_media, &state->bulk[BULK_FORGET_MEDIA], bind_bulk_id },
        { &insert_attachment, &state->new_attachments, bind_attachment },
        { &drop_attachments, &state->bulk[BULK_DROP_ATTACHMENTS], bind_bulk_id },
        { &add_expiry, &state->bulk[BULK_ADD_EXPIRY], bind_bulk },
        { &drop_expiry, &state->bulk[BULK_DROP_EXPIRY], bind_bulk },
        { &end_delivery, &state->changed_deliveries, bind_chat_id },
        { &begin_delivery, &begun, bind_chat_id },
        { &drop_avatar, &state->changed_avatars, bind_chat_id },
        { &add_avatar, &avatars, bind_avatar },
    };
    return state->failed ? ERR_NO_MEMORY : write_all(state, db, writes, sizeof writes / sizeof *writes);
}

enum err state_write(struct state *state, struct db *db) {
    enum err err = write_accounts(state, db);
    if (err == OK)
        err = write_chats(state, db);
    if (err == OK)
        err = write_additions(state, db);
    if (err == OK)
        err = write_own(state, db);
    if (err == OK)
        err = keys_write(state, db);
    if (err == OK)
        err = owner_index_write(state, db);
    return err == OK ? write_media(state, db) : err;
}
