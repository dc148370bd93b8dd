/* The first step of a batch: set-based reads of what its commands asked for. One statement per kind of row, however many rows.
 *
 * {straight} keeps the order: the array outside, an index look-up for each of its elements inside. */
#include "core/limits.h"
#include "db/rows.h"
#include "db/state.h"

#include <string.h>

#define DAY_MS (INT64_C(24) * 3600 * 1000)

static const struct query load_users = { "SELECT " USER_COLUMNS " FROM {ids} i {straight} user u ON u.id = i.id" };
static const struct query load_names = { "SELECT " USER_COLUMNS " FROM {names} i {straight} user u ON u.username = i.id" };
static const struct query load_devices = { "SELECT " DEVICE_COLUMNS " FROM {ids} i {straight} device d ON d.user_id = i.id ORDER BY d.id" };
/* The limits that these counts are for also bound them. */
static const struct query load_counts = { "SELECT i.id, (SELECT count(*) FROM stay s WHERE s.user_id = i.id"
                                          " AND s.left_id = " STAY_OPEN_SQL ") FROM {ids} i" };
static const struct query load_pending = {
    "SELECT i.id, (SELECT count(*) FROM media x WHERE x.owner_id = i.id AND x.state = 1) FROM {ids} i"
};
static const struct query load_chats = { "SELECT " CHAT_COLUMNS " FROM {ids} i {straight} chat c ON c.id = i.id" };
static const struct query load_stays = { "SELECT " STAY_COLUMNS " FROM {pairs} p {straight} stay s ON s.chat_id = p.a AND s.user_id = p.b"
                                         " WHERE s.left_id = " STAY_OPEN_SQL };
static const struct query load_former = { "SELECT p.a, p.b, (SELECT s.last_post_ms FROM stay s WHERE s.chat_id = p.a AND s.user_id = p.b"
                                          " ORDER BY s.joined_id DESC LIMIT 1) FROM {pairs} p" };
static const struct query load_pairs = { "SELECT c.direct_low, c.direct_high, c.id FROM {pairs} p"
                                         " {straight} chat c ON c.direct_low = p.a AND c.direct_high = p.b" };
static const struct query load_messages = { "SELECT " MESSAGE_COLUMNS
                                            " FROM {ids} i {straight} event m ON m.id = i.id WHERE m.is_message = 1" };
/* Of earlier versions (db/keys.h). Each period for itself: with a list of them MariaDB reads all that it holds of the three. */
static const struct query load_keys = { "SELECT k.user_id, k.idempotency_key, k.request, k.result_id FROM {pairs} p"
                                        " {straight} (SELECT ?2 AS period UNION ALL SELECT ?3 UNION ALL SELECT ?4) t"
                                        " {straight} idempotency k ON k.period = t.period AND k.user_id = p.a AND k.idempotency_key = p.b"
                                        " ORDER BY k.period" };
/* ?2: no batch takes away more references. */
#define REFERENCE_COUNT                                                                                   \
    "CASE WHEN (SELECT r.message_id FROM attachment r WHERE r.media_id = x.id LIMIT 1 OFFSET ?2) IS NULL" \
    " THEN (SELECT count(*) FROM attachment r WHERE r.media_id = x.id) ELSE ?2 END + (SELECT count(*) FROM avatar v WHERE v.media_id = x.id)"
static const struct query load_media = { "SELECT " MEDIA_COLUMNS ", " REFERENCE_COUNT " FROM {ids} i {straight} media x ON x.id = i.id" };
static const struct query load_attached = { "SELECT " MEDIA_COLUMNS ", " REFERENCE_COUNT ", a.message_id FROM {ids} i"
                                            " {straight} attachment a ON a.message_id = i.id {straight} media x ON x.id = a.media_id" };
static const struct query load_sights = { "SELECT p.a, p.b FROM {pairs} p WHERE " MEDIA_IS_SEEN("p.a", "p.b") };
static const struct query load_links = { "SELECT " LINK_COLUMNS " FROM {ids} i {straight} link l ON l.id = i.id" };
static const struct query load_link_counts = {
    "SELECT i.id, (SELECT count(*) FROM link l WHERE l.chat_id = i.id AND l.expires_ms > ?2) FROM {ids} i"
};
static const struct query load_requests = { "SELECT " JOIN_REQUEST_COLUMNS
                                            " FROM {pairs} p {straight} join_request q ON q.chat_id = p.a AND q.user_id = p.b" };
static const struct query load_request_counts = {
    "SELECT i.id, (SELECT count(*) FROM join_request q WHERE q.chat_id = i.id) FROM {ids} i"
};
static const struct query load_bans = { "SELECT " BAN_COLUMNS " FROM {pairs} p {straight} ban b ON b.chat_id = p.a AND b.user_id = p.b" };
static const struct query load_ban_counts = { "SELECT i.id, (SELECT count(*) FROM ban b WHERE b.chat_id = i.id) FROM {ids} i" };
static const struct query load_reactors = { "SELECT r.message_id, r.user_id, r.emoji FROM {pairs} p"
                                            " {straight} reaction r ON r.message_id = p.a AND r.user_id = p.b" };
static const struct query load_pins = { "SELECT n.chat_id, n.message_id FROM {ids} i {straight} pin n ON n.chat_id = i.id" };
static const struct query load_hidden = { "SELECT h.user_id, h.message_id FROM {pairs} p"
                                          " {straight} hidden h ON h.user_id = p.a AND h.message_id = p.b" };
static const struct query load_drafts = { "SELECT d.user_id, d.chat_id, d.text FROM {pairs} p"
                                          " {straight} draft d ON d.user_id = p.a AND d.chat_id = p.b" };
static const struct query load_scheduled = { "SELECT " SCHEDULED_COLUMNS " FROM {ids} i {straight} scheduled w ON w.id = i.id" };
static const struct query load_scheduled_counts = {
    "SELECT p.a, p.b, (SELECT count(*) FROM scheduled w WHERE w.user_id = p.b AND w.chat_id = p.a AND w.due_ms > 0) FROM {pairs} p"
};
static const struct query load_blocks = { "SELECT " BLOCK_COLUMNS " FROM {pairs} p"
                                          " {straight} block k ON k.user_id = p.a AND k.blocked_id = p.b" };
static const struct query load_contacts = { "SELECT " CONTACT_COLUMNS " FROM {pairs} p"
                                            " {straight} contact t ON t.user_id = p.a AND t.contact_id = p.b" };
static const struct query load_people = { "SELECT i.id, (SELECT count(*) FROM block k WHERE k.user_id = i.id),"
                                          " (SELECT count(*) FROM contact t WHERE t.user_id = i.id) FROM {ids} i" };
static const struct query load_open_reports = { "SELECT " REPORT_COLUMNS " FROM report o WHERE o.reporter_id = ?1 AND o.closed_ms = 0" };
static const struct query load_report = { "SELECT " REPORT_COLUMNS " FROM report o WHERE o.id = ?1" };
/* The limits bound both, and so does how long closed ones stay. */
static const struct query load_report_counts = { "SELECT (SELECT count(*) FROM report o WHERE o.reporter_id = ?1 AND o.created_ms > ?2),"
                                                 " (SELECT count(*) FROM report o WHERE o.closed_ms = 0)" };
static const struct query load_lease = { "SELECT holder, until_ms FROM lease WHERE name = ?1" };
static const struct query load_successor = { "SELECT " STAY_COLUMNS " FROM stay s WHERE s.chat_id = ?1 AND s.left_id = " STAY_OPEN_SQL
                                             " AND s.role >= ?3 AND s.user_id <> ?2 ORDER BY s.role DESC, s.joined_id, s.user_id LIMIT 1" };
static const struct query load_invite = { "SELECT uses_left, expires_ms FROM invite WHERE invite = ?1" };

typedef enum err (*row_taker)(struct state *state, struct db *db, struct statement *row);

static enum err take_user(struct state *state, struct db *db, struct statement *row) {
    struct user_entry *entry = state_user(state, db->driver->column_id(row, 0));
    if (!entry)
        return ERR_NO_MEMORY;
    entry->found = true;
    return row_user(db, row, 0, state->arena, &entry->user);
}

static enum err take_named(struct state *state, struct db *db, struct statement *row) {
    struct user user;
    enum err err = row_user(db, row, 0, state->arena, &user);
    struct user_entry *entry = err == OK ? state_user_named(state, user.username) : NULL;
    if (!entry)
        return ERR_NO_MEMORY;
    entry->found = true;
    entry->user = user;
    return OK;
}

static enum err take_device(struct state *state, struct db *db, struct statement *row) {
    struct device_entry *device = state_alloc(state, sizeof *device);
    struct user_entry *user = state_user(state, db->driver->column_id(row, 1));
    if (!device || !user)
        return ERR_NO_MEMORY;
    state_push(state, &user->devices, device);
    return row_device(db, row, 0, state->arena, &device->device);
}

static enum err take_count(struct state *state, struct db *db, struct statement *row) {
    struct user_entry *user = state_user(state, db->driver->column_id(row, 0));
    if (!user)
        return ERR_NO_MEMORY;
    user->chat_count = (uint32_t)db->driver->column_id(row, 1);
    return OK;
}

static enum err take_chat(struct state *state, struct db *db, struct statement *row) {
    struct chat_entry *entry = state_chat(state, db->driver->column_id(row, 0));
    if (!entry)
        return ERR_NO_MEMORY;
    entry->found = true;
    return row_chat(db, row, 0, state->arena, &entry->chat);
}

static enum err take_stay(struct state *state, struct db *db, struct statement *row) {
    struct stay stay;
    row_stay(db, row, 0, &stay);
    struct stay_entry *entry = state_stay(state, stay.chat_id, stay.user_id);
    if (!entry)
        return ERR_NO_MEMORY;
    entry->found = true;
    entry->stay = stay;
    return OK;
}

static enum err take_former(struct state *state, struct db *db, struct statement *row) {
    struct stay_entry *entry = state_stay(state, db->driver->column_id(row, 0), db->driver->column_id(row, 1));
    if (!entry)
        return ERR_NO_MEMORY;
    if (!entry->found && !db->driver->is_null(row, 2))
        entry->stay.last_post_ms = (int64_t)db->driver->column_id(row, 2);
    return OK;
}

static enum err take_pair(struct state *state, struct db *db, struct statement *row) {
    struct pair_entry *entry = state_pair(state, db->driver->column_id(row, 0), db->driver->column_id(row, 1));
    if (!entry)
        return ERR_NO_MEMORY;
    entry->chat_id = db->driver->column_id(row, 2);
    return OK;
}

static enum err take_message(struct state *state, struct db *db, struct statement *row) {
    struct message_entry *entry = state_message(state, db->driver->column_id(row, 0));
    if (!entry)
        return ERR_NO_MEMORY;
    entry->found = true;
    return row_message(db, row, 0, state->arena, &entry->message);
}

static enum err take_key(struct state *state, struct db *db, struct statement *row) {
    struct key_entry *entry = state_key(state, db->driver->column_id(row, 0), db->driver->column_id(row, 1));
    if (!entry)
        return ERR_NO_MEMORY;
    db_column_blob(db, row, 2, entry->request, sizeof entry->request);
    entry->result_id = db->driver->column_id(row, 3);
    return OK;
}

static enum err take_pending(struct state *state, struct db *db, struct statement *row) {
    struct user_entry *user = state_user(state, db->driver->column_id(row, 0));
    if (!user)
        return ERR_NO_MEMORY;
    user->pending_count = (uint32_t)db->driver->column_id(row, 1);
    return OK;
}

static enum err take_media(struct state *state, struct db *db, struct statement *row) {
    struct media_entry *entry = state_media(state, db->driver->column_id(row, 0));
    if (!entry)
        return ERR_NO_MEMORY;
    entry->found = true;
    entry->references = db->driver->column_id(row, MEDIA_COLUMN_COUNT);
    return row_media(db, row, 0, state->arena, &entry->media);
}

static enum err take_attached(struct state *state, struct db *db, struct statement *row) {
    struct message_entry *message = state_message(state, db->driver->column_id(row, MEDIA_COLUMN_COUNT + 1));
    struct media_entry *media = state_media(state, db->driver->column_id(row, 0));
    if (!message || !media)
        return ERR_NO_MEMORY;
    state_push(state, &message->attached, media);
    return take_media(state, db, row);
}

static enum err take_sight(struct state *state, struct db *db, struct statement *row) {
    struct sight_entry *entry = state_sight(state, db->driver->column_id(row, 0), db->driver->column_id(row, 1));
    if (!entry)
        return ERR_NO_MEMORY;
    entry->seen = true;
    return OK;
}

static enum err take_link(struct state *state, struct db *db, struct statement *row) {
    struct link_entry *entry = state_link(state, db->driver->column_id(row, 0));
    if (!entry)
        return ERR_NO_MEMORY;
    entry->found = true;
    row_link(db, row, 0, &entry->link);
    return OK;
}

static enum err take_link_count(struct state *state, struct db *db, struct statement *row) {
    struct chat_entry *chat = state_chat(state, db->driver->column_id(row, 0));
    if (!chat)
        return ERR_NO_MEMORY;
    chat->link_count = (uint32_t)db->driver->column_id(row, 1);
    return OK;
}

static enum err take_request(struct state *state, struct db *db, struct statement *row) {
    struct join_request request;
    row_join_request(db, row, 0, &request);
    struct request_entry *entry = state_request(state, request.chat_id, request.user_id);
    if (!entry)
        return ERR_NO_MEMORY;
    entry->found = true;
    entry->request = request;
    return OK;
}

static enum err take_request_count(struct state *state, struct db *db, struct statement *row) {
    struct chat_entry *chat = state_chat(state, db->driver->column_id(row, 0));
    if (!chat)
        return ERR_NO_MEMORY;
    chat->request_count = (uint32_t)db->driver->column_id(row, 1);
    return OK;
}

static enum err take_ban(struct state *state, struct db *db, struct statement *row) {
    struct ban ban;
    row_ban(db, row, 0, &ban);
    struct ban_entry *entry = state_ban(state, ban.chat_id, ban.user_id);
    if (!entry)
        return ERR_NO_MEMORY;
    entry->found = true;
    entry->ban = ban;
    return OK;
}

static enum err take_ban_count(struct state *state, struct db *db, struct statement *row) {
    struct chat_entry *chat = state_chat(state, db->driver->column_id(row, 0));
    if (!chat)
        return ERR_NO_MEMORY;
    chat->ban_count = (uint32_t)db->driver->column_id(row, 1);
    return OK;
}

static enum err take_reaction(struct state *state, struct db *db, struct statement *row) {
    struct reactor_entry *reactor = state_reactor(state, db->driver->column_id(row, 0), db->driver->column_id(row, 1));
    struct reaction_entry *reaction = state_alloc(state, sizeof *reaction);
    if (!reactor || !reaction)
        return ERR_NO_MEMORY;
    *reaction = (struct reaction_entry){ .message_id = reactor->message_id, .user_id = reactor->user_id, .stored = true, .on = true };
    reaction->emoji = db_column_text(db, row, 2, state->arena, NULL);
    state_push(state, &reactor->reactions, reaction);
    return reaction->emoji ? OK : ERR_NO_MEMORY;
}

static enum err take_pin(struct state *state, struct db *db, struct statement *row) {
    struct chat_entry *chat = state_chat(state, db->driver->column_id(row, 0));
    struct pin_row *pin = state_alloc(state, sizeof *pin);
    if (!chat || !pin)
        return ERR_NO_MEMORY;
    *pin = (struct pin_row){ .chat_id = chat->chat.id, .message_id = db->driver->column_id(row, 1) };
    state_push(state, &chat->pins, pin);
    return OK;
}

static enum err take_hidden(struct state *state, struct db *db, struct statement *row) {
    struct hidden_entry *entry = state_hidden(state, db->driver->column_id(row, 0), db->driver->column_id(row, 1));
    if (!entry)
        return ERR_NO_MEMORY;
    entry->hidden = true;
    return OK;
}

static enum err take_draft(struct state *state, struct db *db, struct statement *row) {
    struct draft_entry *entry = state_draft(state, db->driver->column_id(row, 0), db->driver->column_id(row, 1));
    if (!entry)
        return ERR_NO_MEMORY;
    entry->text = db_column_text(db, row, 2, state->arena, &entry->size);
    return entry->text ? OK : ERR_NO_MEMORY;
}

static enum err take_scheduled(struct state *state, struct db *db, struct statement *row) {
    struct scheduled_entry *entry = state_scheduled(state, db->driver->column_id(row, 0));
    if (!entry)
        return ERR_NO_MEMORY;
    entry->found = true;
    return row_scheduled(db, row, 0, state->arena, &entry->scheduled);
}

static enum err take_scheduled_count(struct state *state, struct db *db, struct statement *row) {
    struct stay_entry *stay = state_stay(state, db->driver->column_id(row, 0), db->driver->column_id(row, 1));
    if (!stay)
        return ERR_NO_MEMORY;
    stay->scheduled_count = (uint32_t)db->driver->column_id(row, 2);
    return OK;
}

static enum err take_block(struct state *state, struct db *db, struct statement *row) {
    struct block block;
    row_block(db, row, 0, &block);
    struct block_entry *entry = state_block(state, block.user_id, block.blocked_id);
    if (!entry)
        return ERR_NO_MEMORY;
    entry->found = true;
    entry->block = block;
    return OK;
}

static enum err take_contact(struct state *state, struct db *db, struct statement *row) {
    struct contact contact;
    enum err err = row_contact(db, row, 0, state->arena, &contact);
    struct contact_entry *entry = err == OK ? state_contact(state, contact.user_id, contact.contact_id) : NULL;
    if (!entry)
        return ERR_NO_MEMORY;
    entry->found = true;
    entry->contact = contact;
    return OK;
}

static enum err take_people(struct state *state, struct db *db, struct statement *row) {
    struct user_entry *user = state_user(state, db->driver->column_id(row, 0));
    if (!user)
        return ERR_NO_MEMORY;
    user->block_count = (uint32_t)db->driver->column_id(row, 1);
    user->contact_count = (uint32_t)db->driver->column_id(row, 2);
    return OK;
}

static void bind_periods(const struct state *state, struct db *db, struct statement *statement) {
    uint64_t period = keys_period(state->now_ms);
    for (int i = 0; i < IDEMPOTENCY_PERIODS; i++)
        db->driver->bind_id(statement, 2 + i, period - (uint64_t)i);
}

static void bind_most_references(const struct state *state, struct db *db, struct statement *statement) {
    (void)state;
    db->driver->bind_id(statement, 2, LIMIT_BATCH_COMMANDS + 1);
}

static void bind_now(const struct state *state, struct db *db, struct statement *statement) {
    db->driver->bind_id(statement, 2, (uint64_t)state->now_ms);
}

static void bind_times(const struct state *state, struct db *db, struct statement *statement) {
    int64_t retention_ms = state->config->retention_ms;
    db->driver->bind_id(statement, 2, (uint64_t)state->now_ms);
    db->driver->bind_id(statement, 3, retention_ms == CONFIG_FOREVER ? 0 : (uint64_t)(state->now_ms - retention_ms));
}

static const struct {
    const struct query *query;
    row_taker take;
    void (*bind)(const struct state *state, struct db *db, struct statement *statement); /* what follows ?1; NULL: nothing does */
} loads[NEED_KINDS] = {
    [NEED_USERS] = { &load_users, take_user, NULL },
    [NEED_CHATS] = { &load_chats, take_chat, NULL },
    [NEED_MESSAGES] = { &load_messages, take_message, NULL },
    [NEED_MEDIA] = { &load_media, take_media, bind_most_references },
    [NEED_LINKS] = { &load_links, take_link, NULL },
    [NEED_SCHEDULED] = { &load_scheduled, take_scheduled, NULL },
    [NEED_STAYS] = { &load_stays, take_stay, NULL },
    [NEED_PAIRS] = { &load_pairs, take_pair, NULL },
    [NEED_KEYS] = { &load_keys, take_key, bind_periods },
    [NEED_SIGHTS] = { &load_sights, take_sight, bind_times },
    [NEED_REQUESTS] = { &load_requests, take_request, NULL },
    [NEED_BANS] = { &load_bans, take_ban, NULL },
    [NEED_REACTORS] = { &load_reactors, take_reaction, NULL },
    [NEED_HIDDEN] = { &load_hidden, take_hidden, NULL },
    [NEED_DRAFTS] = { &load_drafts, take_draft, NULL },
    [NEED_BLOCKS] = { &load_blocks, take_block, NULL },
    [NEED_CONTACTS] = { &load_contacts, take_contact, NULL },
    [NEED_NAMES] = { &load_names, take_named, NULL },
    [NEED_DEVICES] = { &load_devices, take_device, NULL },
    [NEED_CHAT_COUNTS] = { &load_counts, take_count, NULL },
    [NEED_PENDING_COUNTS] = { &load_pending, take_pending, NULL },
    [NEED_FORMER] = { &load_former, take_former, NULL },
    [NEED_ATTACHED] = { &load_attached, take_attached, bind_most_references },
    [NEED_LINK_COUNTS] = { &load_link_counts, take_link_count, bind_now },
    [NEED_REQUEST_COUNTS] = { &load_request_counts, take_request_count, NULL },
    [NEED_BAN_COUNTS] = { &load_ban_counts, take_ban_count, NULL },
    [NEED_PINS] = { &load_pins, take_pin, NULL },
    [NEED_SCHEDULED_COUNTS] = { &load_scheduled_counts, take_scheduled_count, NULL },
    [NEED_PEOPLE_COUNTS] = { &load_people, take_people, NULL },
};

static enum err run_load(struct state *state, struct db *db, enum need load) {
    struct buf *need = &state->need[load];
    buf_char(need, ']');
    if (!buf_ok(need))
        return ERR_NO_MEMORY;
    struct statement *statement = db_query(db, loads[load].query);
    db->driver->bind_text(statement, 1, need->bytes, need->size);
    if (loads[load].bind)
        loads[load].bind(state, db, statement);
    enum err err = OK;
    for (bool row; rows_next(db, statement, &err, &row);)
        err = loads[load].take(state, db, statement);
    buf_clear(need);
    return err;
}

enum err state_load(struct state *state, struct db *db) {
    enum err err = OK;
    for (enum need i = 0; err == OK && i < NEED_KINDS; i++)
        if (state->need[i].size)
            err = run_load(state, db, i);
    if (err == OK)
        err = keys_find(state, db);
    return err == OK && state->failed ? ERR_NO_MEMORY : err;
}

enum err state_load_successor(struct state *state, struct db *db, const struct chat *chat, uint64_t leaving_id, struct stay *ret_stay) {
    struct statement *statement = db_query(db, &load_successor);
    db->driver->bind_id(statement, 1, chat->id);
    db->driver->bind_id(statement, 2, leaving_id);
    db->driver->bind_id(statement, 3, chat->type == CHAT_CHANNEL ? ROLE_ADMIN : ROLE_MEMBER);
    enum err err = OK;
    for (bool row; rows_next(db, statement, &err, &row);) {
        row_stay(db, statement, 0, ret_stay);
        /* So that promoting the successor finds the entry. */
        struct stay_entry *entry = state_stay(state, chat->id, ret_stay->user_id);
        if (!entry)
            err = ERR_NO_MEMORY;
        else if (!entry->found)
            *entry = (struct stay_entry){ .link = entry->link, .stay = *ret_stay, .found = true };
    }
    return err;
}

enum err state_load_invite(struct state *state, struct db *db, struct invite_entry *invite) {
    (void)state;
    struct statement *statement = db_query(db, &load_invite);
    db->driver->bind_blob(statement, 1, invite->invite, SHA256_SIZE);
    enum err err = OK;
    for (bool row; rows_next(db, statement, &err, &row);) {
        invite->found = true;
        invite->uses_left = db->driver->column_id(statement, 0);
        invite->expires_ms = (int64_t)db->driver->column_id(statement, 1);
    }
    return err;
}

static enum err take_reports(struct state *state, struct db *db, struct statement *statement, struct reporting *reporting) {
    enum err err = OK;
    for (bool row; rows_next(db, statement, &err, &row);) {
        struct report *report = state_alloc(state, sizeof *report);
        err = report ? row_report(db, statement, 0, state->arena, report) : ERR_NO_MEMORY;
        if (err == OK)
            state_push(state, &reporting->open, report);
    }
    return err;
}

static enum err count_reports(const struct state *state, struct db *db, uint64_t reporter_id, struct reporting *reporting) {
    struct statement *statement = db_query(db, &load_report_counts);
    db->driver->bind_id(statement, 1, reporter_id);
    db->driver->bind_id(statement, 2, (uint64_t)(state->now_ms - DAY_MS));
    enum err err = OK;
    for (bool row; rows_next(db, statement, &err, &row);) {
        reporting->last_day = (uint32_t)db->driver->column_id(statement, 0);
        reporting->open_count = (uint32_t)db->driver->column_id(statement, 1);
    }
    return err;
}

enum err state_load_reports(struct state *state, struct db *db, uint64_t reporter_id, uint64_t report_id, struct reporting *reporting) {
    struct statement *statement = db_query(db, report_id ? &load_report : &load_open_reports);
    db->driver->bind_id(statement, 1, report_id ? report_id : reporter_id);
    enum err err = take_reports(state, db, statement, reporting);
    return err == OK ? count_reports(state, db, reporter_id, reporting) : err;
}

enum err state_load_lease(struct state *state, struct db *db, struct lease_entry *lease) {
    (void)state;
    struct statement *statement = db_query(db, &load_lease);
    db->driver->bind_text(statement, 1, lease->name, strlen(lease->name));
    enum err err = OK;
    for (bool row; rows_next(db, statement, &err, &row);) {
        lease->holder = db->driver->column_id(statement, 0);
        lease->until_ms = (int64_t)db->driver->column_id(statement, 1);
    }
    return err;
}
