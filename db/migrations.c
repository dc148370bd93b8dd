/* The schema. Steps are never changed once released, only added, each in both dialects: tests/unit/db_schema_test.c compares what they make. Owns the
 * table `migration`.
 *
 * MariaDB commits after each statement that changes the schema. So its steps can be repeated (IF NOT EXISTS), because a program may end within one. Its
 * columns are as long as core/ says, and its texts are compared byte by byte.
 *
 * Indexes are few, because what a message costs is what its rows and indexes make the disk write: a message touches the ends of `event` and `recent_key`,
 * its chat's row, and at some time its chat's place in event_of_owner. */
#include "db/migrations.h"

#include <stdio.h>

#include "core/clock.h"
#include "core/crypto.h"
#include "core/limits.h"
#include "core/random.h"
#include "db/model.h"

#define TURN_TIMEOUT_S "20"
#define ATTEMPTS 3
#define SECRET_BYTES 32
#define RESTORING_STEP "1000000" /* is noted while a backup is being restored: earlier versions refuse it as a newer schema */

#define INNODB " ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;"

/* Columns of MariaDB have a length: what they have room for. More takes a step. */
static_assert(LIMIT_USERNAME_BYTES <= 32, "user.username");
static_assert(LIMIT_NAME_CHARACTERS <= 64, "user.display_name and device.name");
static_assert(PASSWORD_HASH_SIZE <= 128, "user.password");
static_assert(LIMIT_TITLE_CHARACTERS <= 128, "chat.title");
static_assert(LIMIT_DESCRIPTION_CHARACTERS <= 512, "chat.description");
static_assert(PERMISSIONS_DEFAULT == 1, "chat.permissions");
static_assert(LIMIT_CLIENT_KEY_CHARACTERS <= 64, "event.client_key");
static_assert(LIMIT_FILE_NAME_BYTES <= 255, "media.file_name");
static_assert(LIMIT_BLURHASH_CHARACTERS <= 128, "media.blurhash");
static_assert(LIMIT_DRAFT_CHARACTERS * 4 <= 65535, "draft.text");
static_assert(SHA256_SIZE <= 32, "what tokens and codes are stored as");
static_assert(HASH128_SIZE <= 16, "chains, seals and requests");
static_assert(MEDIA_TOKEN_BYTES <= 16, "media.token");
static_assert(MD5_SIZE <= 16, "media.md5");

static const char sqlite_1[] =
    "CREATE TABLE meta(name TEXT NOT NULL PRIMARY KEY, number BIGINT NOT NULL, bytes BLOB) WITHOUT ROWID;"

    "CREATE TABLE user(id INTEGER PRIMARY KEY, username TEXT NOT NULL UNIQUE, display_name TEXT NOT NULL,"
    " password TEXT, created_ms BIGINT NOT NULL);"

    "CREATE TABLE device(id INTEGER PRIMARY KEY, user_id BIGINT NOT NULL, name TEXT NOT NULL, token BLOB NOT NULL UNIQUE,"
    " created_ms BIGINT NOT NULL, seen_ms BIGINT NOT NULL);"
    "CREATE INDEX device_by_user ON device(user_id);"
    "CREATE INDEX device_by_seen ON device(seen_ms);"

    "CREATE TABLE ticket(ticket BLOB NOT NULL PRIMARY KEY, device_id BIGINT NOT NULL, created_ms BIGINT NOT NULL,"
    " used_ms BIGINT NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX ticket_by_device ON ticket(device_id, created_ms);"
    "CREATE INDEX ticket_by_use ON ticket(used_ms, created_ms);"

    "CREATE TABLE invite(invite BLOB NOT NULL PRIMARY KEY, uses_left BIGINT NOT NULL, expires_ms BIGINT NOT NULL) WITHOUT ROWID;"

    /* direct_low and direct_high are NULL but for direct chats, of which there is one per pair. */
    "CREATE TABLE chat(id INTEGER PRIMARY KEY, type INTEGER NOT NULL, history INTEGER NOT NULL, title TEXT, created_by BIGINT NOT NULL,"
    " created_ms BIGINT NOT NULL, deleted_ms BIGINT NOT NULL, last_id BIGINT NOT NULL, last_rev BIGINT NOT NULL, last_seq BIGINT NOT NULL,"
    " changed_rev BIGINT NOT NULL, chain BLOB NOT NULL, member_count INTEGER NOT NULL, owner_count INTEGER NOT NULL,"
    " direct_low BIGINT, direct_high BIGINT);"
    "CREATE UNIQUE INDEX chat_by_pair ON chat(direct_low, direct_high);"

    /* Deleted chats whose messages are still to be blanked; purged_id: how far that has come. */
    "CREATE TABLE purge(chat_id INTEGER PRIMARY KEY, purged_id BIGINT NOT NULL);"

    /* One row per stay; left_id is 2^63-1 while it lasts. */
    "CREATE TABLE stay(chat_id BIGINT NOT NULL, user_id BIGINT NOT NULL, joined_id BIGINT NOT NULL, left_id BIGINT NOT NULL,"
    " role INTEGER NOT NULL, joined_ms BIGINT NOT NULL, PRIMARY KEY(chat_id, user_id, joined_id)) WITHOUT ROWID;"
    "CREATE INDEX stay_by_user ON stay(user_id, left_id, chat_id, role);"

    /* The log. Messages (is_message = 1) carry their content here and nowhere else; thin events carry JSON members in body.
     * seal: the salt of the text while original = 1, then the hash of the original text. */
    "CREATE TABLE event(id INTEGER PRIMARY KEY, owner_id BIGINT NOT NULL, is_message INTEGER NOT NULL, type INTEGER NOT NULL,"
    " actor_id BIGINT NOT NULL, ref_id BIGINT NOT NULL, rev BIGINT NOT NULL, seq BIGINT NOT NULL, created_ms BIGINT NOT NULL, body TEXT,"
    " changed_id BIGINT, changed_rev BIGINT, edited_ms BIGINT, deleted_ms BIGINT, original INTEGER, seal BLOB, chain BLOB, client_key TEXT);"
    "CREATE INDEX event_by_owner ON event(owner_id, is_message, id);"

    "CREATE TABLE idempotency(period INTEGER NOT NULL, user_id BIGINT NOT NULL, idempotency_key BIGINT NOT NULL, request BLOB NOT NULL,"
    " result_id BIGINT NOT NULL, PRIMARY KEY(period, user_id, idempotency_key)) WITHOUT ROWID;";

static const char mariadb_1[] =
    "CREATE TABLE IF NOT EXISTS meta(name VARCHAR(64) NOT NULL PRIMARY KEY, number BIGINT NOT NULL, bytes VARBINARY(255))" INNODB

    "CREATE TABLE IF NOT EXISTS user(id BIGINT NOT NULL PRIMARY KEY, username VARCHAR(32) NOT NULL UNIQUE, display_name VARCHAR(64) NOT NULL,"
    " password VARCHAR(128), created_ms BIGINT NOT NULL)" INNODB

    "CREATE TABLE IF NOT EXISTS device(id BIGINT NOT NULL PRIMARY KEY, user_id BIGINT NOT NULL, name VARCHAR(64) NOT NULL,"
    " token VARBINARY(32) NOT NULL UNIQUE, created_ms BIGINT NOT NULL, seen_ms BIGINT NOT NULL, INDEX device_by_user(user_id),"
    " INDEX device_by_seen(seen_ms))" INNODB

    "CREATE TABLE IF NOT EXISTS ticket(ticket VARBINARY(32) NOT NULL PRIMARY KEY, device_id BIGINT NOT NULL, created_ms BIGINT NOT NULL,"
    " used_ms BIGINT NOT NULL, INDEX ticket_by_device(device_id, created_ms), INDEX ticket_by_use(used_ms, created_ms))" INNODB

    "CREATE TABLE IF NOT EXISTS invite(invite VARBINARY(32) NOT NULL PRIMARY KEY, uses_left BIGINT NOT NULL, expires_ms BIGINT NOT NULL)" INNODB

    "CREATE TABLE IF NOT EXISTS chat(id BIGINT NOT NULL PRIMARY KEY, type BIGINT NOT NULL, history BIGINT NOT NULL, title VARCHAR(128),"
    " created_by BIGINT NOT NULL, created_ms BIGINT NOT NULL, deleted_ms BIGINT NOT NULL, last_id BIGINT NOT NULL, last_rev BIGINT NOT NULL,"
    " last_seq BIGINT NOT NULL, changed_rev BIGINT NOT NULL, chain VARBINARY(16) NOT NULL, member_count BIGINT NOT NULL,"
    " owner_count BIGINT NOT NULL, direct_low BIGINT, direct_high BIGINT, UNIQUE INDEX chat_by_pair(direct_low, direct_high))" INNODB

    "CREATE TABLE IF NOT EXISTS \"purge\"(chat_id BIGINT NOT NULL PRIMARY KEY, purged_id BIGINT NOT NULL)" INNODB

    "CREATE TABLE IF NOT EXISTS stay(chat_id BIGINT NOT NULL, user_id BIGINT NOT NULL, joined_id BIGINT NOT NULL, left_id BIGINT NOT NULL,"
    " role BIGINT NOT NULL, joined_ms BIGINT NOT NULL, PRIMARY KEY(chat_id, user_id, joined_id),"
    " INDEX stay_by_user(user_id, left_id, chat_id, role))" INNODB

    "CREATE TABLE IF NOT EXISTS event(id BIGINT NOT NULL PRIMARY KEY, owner_id BIGINT NOT NULL, is_message BIGINT NOT NULL, type BIGINT NOT NULL,"
    " actor_id BIGINT NOT NULL, ref_id BIGINT NOT NULL, rev BIGINT NOT NULL, seq BIGINT NOT NULL, created_ms BIGINT NOT NULL, body MEDIUMTEXT,"
    " changed_id BIGINT, changed_rev BIGINT, edited_ms BIGINT, deleted_ms BIGINT, original BIGINT, seal VARBINARY(16), chain VARBINARY(16),"
    " client_key VARCHAR(64), INDEX event_by_owner(owner_id, is_message, id))" INNODB

    "CREATE TABLE IF NOT EXISTS idempotency(period BIGINT NOT NULL, user_id BIGINT NOT NULL, idempotency_key BIGINT NOT NULL,"
    " request VARBINARY(16) NOT NULL, result_id BIGINT NOT NULL, PRIMARY KEY(period, user_id, idempotency_key))" INNODB;

static const char sqlite_2[] =
    "ALTER TABLE user ADD COLUMN media_bytes BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE device ADD COLUMN acked_id BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE chat ADD COLUMN message_ttl_ms BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE chat ADD COLUMN until_delivered INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE event ADD COLUMN attachments TEXT;"
    "ALTER TABLE event ADD COLUMN expires_ms BIGINT;"

    "CREATE TABLE media(id INTEGER PRIMARY KEY, owner_id BIGINT NOT NULL, state INTEGER NOT NULL, token BLOB NOT NULL,"
    " content_type TEXT NOT NULL, size BIGINT NOT NULL, md5 BLOB NOT NULL, sha256 BLOB, file_name TEXT, width INTEGER NOT NULL,"
    " height INTEGER NOT NULL, duration_ms BIGINT NOT NULL, blurhash TEXT, thumbnail_id BIGINT NOT NULL, part_size BIGINT NOT NULL,"
    " upload_id TEXT, created_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL, upload_until_ms BIGINT NOT NULL);"
    "CREATE INDEX media_by_expiry ON media(state, expires_ms);"
    "CREATE INDEX media_by_owner ON media(owner_id, state);"

    /* Which messages refer to which media: the reference count. Rows go with what they stand for: the message's content. */
    "CREATE TABLE attachment(message_id BIGINT NOT NULL, media_id BIGINT NOT NULL, chat_id BIGINT NOT NULL,"
    " PRIMARY KEY(message_id, media_id)) WITHOUT ROWID;"
    "CREATE INDEX attachment_by_media ON attachment(media_id, chat_id, message_id);"

    /* Messages with a time of their own that still have their content. */
    "CREATE TABLE expiry(expires_ms BIGINT NOT NULL, message_id BIGINT NOT NULL, PRIMARY KEY(expires_ms, message_id)) WITHOUT ROWID;"

    /* Chats whose messages go when everybody has them; blanked_id: all up to there went. */
    "CREATE TABLE delivery(chat_id INTEGER PRIMARY KEY, blanked_id BIGINT NOT NULL);"

    "CREATE TABLE lease(name TEXT NOT NULL PRIMARY KEY, holder BIGINT NOT NULL, until_ms BIGINT NOT NULL) WITHOUT ROWID;";

static const char mariadb_2[] =
    "ALTER TABLE user ADD COLUMN IF NOT EXISTS media_bytes BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE device ADD COLUMN IF NOT EXISTS acked_id BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE chat ADD COLUMN IF NOT EXISTS message_ttl_ms BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE chat ADD COLUMN IF NOT EXISTS until_delivered BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE event ADD COLUMN IF NOT EXISTS attachments TEXT;"
    "ALTER TABLE event ADD COLUMN IF NOT EXISTS expires_ms BIGINT;"

    /* upload_id: the S3 client takes one of 1,023 bytes at most (media/storage.h). */
    "CREATE TABLE IF NOT EXISTS media(id BIGINT NOT NULL PRIMARY KEY, owner_id BIGINT NOT NULL, state BIGINT NOT NULL, token VARBINARY(16) NOT NULL,"
    " content_type VARCHAR(127) NOT NULL, size BIGINT NOT NULL, md5 VARBINARY(16) NOT NULL, sha256 VARBINARY(32), file_name VARCHAR(255),"
    " width BIGINT NOT NULL, height BIGINT NOT NULL, duration_ms BIGINT NOT NULL, blurhash VARCHAR(128), thumbnail_id BIGINT NOT NULL,"
    " part_size BIGINT NOT NULL, upload_id VARCHAR(1024), created_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL, upload_until_ms BIGINT NOT NULL,"
    " INDEX media_by_expiry(state, expires_ms), INDEX media_by_owner(owner_id, state))" INNODB

    "CREATE TABLE IF NOT EXISTS attachment(message_id BIGINT NOT NULL, media_id BIGINT NOT NULL, chat_id BIGINT NOT NULL,"
    " PRIMARY KEY(message_id, media_id), INDEX attachment_by_media(media_id, chat_id, message_id))" INNODB

    "CREATE TABLE IF NOT EXISTS expiry(expires_ms BIGINT NOT NULL, message_id BIGINT NOT NULL, PRIMARY KEY(expires_ms, message_id))" INNODB

    "CREATE TABLE IF NOT EXISTS delivery(chat_id BIGINT NOT NULL PRIMARY KEY, blanked_id BIGINT NOT NULL)" INNODB

    "CREATE TABLE IF NOT EXISTS lease(name VARCHAR(64) NOT NULL PRIMARY KEY, holder BIGINT NOT NULL, until_ms BIGINT NOT NULL)" INNODB;

/* The head of the log: its last id, and whose commit was the last. Every commit updates this row first. */
#define HEAD                                                                                           \
    " INTO meta(name, number, bytes) SELECT 'head', max(id), x'00000000000000000000000000000000' FROM" \
    " (SELECT coalesce(max(id), 0) AS id FROM event UNION ALL SELECT number FROM meta WHERE name = 'floor') last;"
static const char sqlite_3[] = "INSERT" HEAD;
static const char mariadb_3[] = "INSERT IGNORE" HEAD;

static const char sqlite_4[] =
    "ALTER TABLE chat ADD COLUMN description TEXT;"
    "ALTER TABLE chat ADD COLUMN slow_mode_ms BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE chat ADD COLUMN permissions BIGINT NOT NULL DEFAULT 1;"
    "ALTER TABLE stay ADD COLUMN last_post_ms BIGINT NOT NULL DEFAULT 0;"

    "ALTER TABLE chat ADD COLUMN avatar_id BIGINT NOT NULL DEFAULT 0;"
    /* The same by media: what a chat shows does not expire. */
    "CREATE TABLE avatar(chat_id INTEGER PRIMARY KEY, media_id BIGINT NOT NULL);"
    "CREATE INDEX avatar_by_media ON avatar(media_id, chat_id);"

    "CREATE TABLE link(id INTEGER PRIMARY KEY, chat_id BIGINT NOT NULL, token BLOB NOT NULL UNIQUE, created_by BIGINT NOT NULL,"
    " created_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL, uses_max BIGINT NOT NULL, uses BIGINT NOT NULL, needs_approval INTEGER NOT NULL);"
    "CREATE INDEX link_by_chat ON link(chat_id, expires_ms);"
    "CREATE INDEX link_by_expiry ON link(expires_ms);"

    "CREATE TABLE join_request(chat_id BIGINT NOT NULL, user_id BIGINT NOT NULL, link_id BIGINT NOT NULL, created_ms BIGINT NOT NULL,"
    " PRIMARY KEY(chat_id, user_id)) WITHOUT ROWID;"

    "CREATE TABLE ban(chat_id BIGINT NOT NULL, user_id BIGINT NOT NULL, by_id BIGINT NOT NULL, created_ms BIGINT NOT NULL,"
    " PRIMARY KEY(chat_id, user_id)) WITHOUT ROWID;";

static const char mariadb_4[] =
    "ALTER TABLE chat ADD COLUMN IF NOT EXISTS description VARCHAR(512);"
    "ALTER TABLE chat ADD COLUMN IF NOT EXISTS slow_mode_ms BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE chat ADD COLUMN IF NOT EXISTS permissions BIGINT NOT NULL DEFAULT 1;"
    "ALTER TABLE stay ADD COLUMN IF NOT EXISTS last_post_ms BIGINT NOT NULL DEFAULT 0;"

    "ALTER TABLE chat ADD COLUMN IF NOT EXISTS avatar_id BIGINT NOT NULL DEFAULT 0;"
    "CREATE TABLE IF NOT EXISTS avatar(chat_id BIGINT NOT NULL PRIMARY KEY, media_id BIGINT NOT NULL, INDEX avatar_by_media(media_id, chat_id))" INNODB

    "CREATE TABLE IF NOT EXISTS link(id BIGINT NOT NULL PRIMARY KEY, chat_id BIGINT NOT NULL, token VARBINARY(32) NOT NULL, created_by BIGINT NOT NULL,"
    " created_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL, uses_max BIGINT NOT NULL, uses BIGINT NOT NULL, needs_approval BIGINT NOT NULL,"
    " UNIQUE INDEX link_by_token(token), INDEX link_by_chat(chat_id, expires_ms), INDEX link_by_expiry(expires_ms))" INNODB

    "CREATE TABLE IF NOT EXISTS join_request(chat_id BIGINT NOT NULL, user_id BIGINT NOT NULL, link_id BIGINT NOT NULL,"
    " created_ms BIGINT NOT NULL, PRIMARY KEY(chat_id, user_id))" INNODB

    "CREATE TABLE IF NOT EXISTS ban(chat_id BIGINT NOT NULL, user_id BIGINT NOT NULL, by_id BIGINT NOT NULL, created_ms BIGINT NOT NULL,"
    " PRIMARY KEY(chat_id, user_id))" INNODB;

/* What messages refer to. */
static const char sqlite_5[] =
    "ALTER TABLE event ADD COLUMN reply_id BIGINT;"
    "ALTER TABLE event ADD COLUMN reply_seq BIGINT;"
    "ALTER TABLE event ADD COLUMN reply_sender_id BIGINT;"
    "ALTER TABLE event ADD COLUMN mentions TEXT;"
    "ALTER TABLE event ADD COLUMN forwarded BIGINT;"
    "ALTER TABLE event ADD COLUMN reactions TEXT;"
    "ALTER TABLE event ADD COLUMN reactions_rev BIGINT;"
    "ALTER TABLE event ADD COLUMN reactions_id BIGINT;"

    "CREATE TABLE reaction(message_id BIGINT NOT NULL, user_id BIGINT NOT NULL, emoji TEXT NOT NULL, created_ms BIGINT NOT NULL,"
    " PRIMARY KEY(message_id, user_id, emoji)) WITHOUT ROWID;"
    "CREATE INDEX reaction_by_emoji ON reaction(message_id, emoji, user_id);"

    "CREATE TABLE pin(chat_id BIGINT NOT NULL, message_id BIGINT NOT NULL, user_id BIGINT NOT NULL, pinned_ms BIGINT NOT NULL,"
    " PRIMARY KEY(chat_id, message_id)) WITHOUT ROWID;"
    "CREATE INDEX pin_by_message ON pin(message_id);"

    /* Earlier texts of edited messages. */
    "CREATE TABLE revision(message_id BIGINT NOT NULL, rev BIGINT NOT NULL, text TEXT NOT NULL, edited_ms BIGINT NOT NULL,"
    " PRIMARY KEY(message_id, rev));"

    /* Messages that users have deleted for themselves. */
    "CREATE TABLE hidden(user_id BIGINT NOT NULL, message_id BIGINT NOT NULL, chat_id BIGINT NOT NULL,"
    " PRIMARY KEY(user_id, message_id)) WITHOUT ROWID;"
    "CREATE INDEX hidden_by_message ON hidden(message_id);"

    "ALTER TABLE stay ADD COLUMN mentioned_seq BIGINT NOT NULL DEFAULT 0;";

static const char mariadb_5[] =
    "ALTER TABLE event ADD COLUMN IF NOT EXISTS reply_id BIGINT;"
    "ALTER TABLE event ADD COLUMN IF NOT EXISTS reply_seq BIGINT;"
    "ALTER TABLE event ADD COLUMN IF NOT EXISTS reply_sender_id BIGINT;"
    "ALTER TABLE event ADD COLUMN IF NOT EXISTS mentions TEXT;"
    "ALTER TABLE event ADD COLUMN IF NOT EXISTS forwarded BIGINT;"
    "ALTER TABLE event ADD COLUMN IF NOT EXISTS reactions TEXT;"
    "ALTER TABLE event ADD COLUMN IF NOT EXISTS reactions_rev BIGINT;"
    "ALTER TABLE event ADD COLUMN IF NOT EXISTS reactions_id BIGINT;"

    "CREATE TABLE IF NOT EXISTS reaction(message_id BIGINT NOT NULL, user_id BIGINT NOT NULL, emoji VARCHAR(32) NOT NULL,"
    " created_ms BIGINT NOT NULL, PRIMARY KEY(message_id, user_id, emoji), INDEX reaction_by_emoji(message_id, emoji, user_id))" INNODB

    "CREATE TABLE IF NOT EXISTS pin(chat_id BIGINT NOT NULL, message_id BIGINT NOT NULL, user_id BIGINT NOT NULL, pinned_ms BIGINT NOT NULL,"
    " PRIMARY KEY(chat_id, message_id), INDEX pin_by_message(message_id))" INNODB

    "CREATE TABLE IF NOT EXISTS revision(message_id BIGINT NOT NULL, rev BIGINT NOT NULL, text MEDIUMTEXT NOT NULL,"
    " edited_ms BIGINT NOT NULL, PRIMARY KEY(message_id, rev))" INNODB

    "CREATE TABLE IF NOT EXISTS hidden(user_id BIGINT NOT NULL, message_id BIGINT NOT NULL, chat_id BIGINT NOT NULL,"
    " PRIMARY KEY(user_id, message_id), INDEX hidden_by_message(message_id))" INNODB

    "ALTER TABLE stay ADD COLUMN IF NOT EXISTS mentioned_seq BIGINT NOT NULL DEFAULT 0;";

/* When a user was active last, to the minute, and whether others are not shown it. */
static const char sqlite_6[] = "ALTER TABLE user ADD COLUMN active_ms BIGINT NOT NULL DEFAULT 0;"
                               "ALTER TABLE user ADD COLUMN hides_presence BIGINT NOT NULL DEFAULT 0;";
static const char mariadb_6[] = "ALTER TABLE user ADD COLUMN IF NOT EXISTS active_ms BIGINT NOT NULL DEFAULT 0;"
                                "ALTER TABLE user ADD COLUMN IF NOT EXISTS hides_presence BIGINT NOT NULL DEFAULT 0;";

/* A member's own values of a chat live with the stay. What was there before counts as read. */
#define READ_UNTIL_NOW                                                                                                                      \
    "UPDATE stay SET read_seq = coalesce((SELECT c.last_seq FROM chat c WHERE c.id = stay.chat_id), 0) WHERE left_id = 9223372036854775807" \
    " AND read_seq = 0;"
static const char sqlite_7[] =
    "ALTER TABLE stay ADD COLUMN read_seq BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE stay ADD COLUMN muted_until_ms BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE stay ADD COLUMN archived BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE stay ADD COLUMN pinned_ms BIGINT NOT NULL DEFAULT 0;"
    /* The log's last id when the values above were written. */
    "ALTER TABLE stay ADD COLUMN touched_id BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE user ADD COLUMN delivered_id BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE user ADD COLUMN hides_receipts BIGINT NOT NULL DEFAULT 0;"

    /* What somebody has begun to write in a chat; goes with the stay. */
    "CREATE TABLE draft(user_id BIGINT NOT NULL, chat_id BIGINT NOT NULL, text TEXT NOT NULL, updated_ms BIGINT NOT NULL,"
    " PRIMARY KEY(user_id, chat_id)) WITHOUT ROWID;"
    "CREATE INDEX draft_by_chat ON draft(chat_id);" READ_UNTIL_NOW;

static const char mariadb_7[] =
    "ALTER TABLE stay ADD COLUMN IF NOT EXISTS read_seq BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE stay ADD COLUMN IF NOT EXISTS muted_until_ms BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE stay ADD COLUMN IF NOT EXISTS archived BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE stay ADD COLUMN IF NOT EXISTS pinned_ms BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE stay ADD COLUMN IF NOT EXISTS touched_id BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE user ADD COLUMN IF NOT EXISTS delivered_id BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE user ADD COLUMN IF NOT EXISTS hides_receipts BIGINT NOT NULL DEFAULT 0;"

    "CREATE TABLE IF NOT EXISTS draft(user_id BIGINT NOT NULL, chat_id BIGINT NOT NULL, text TEXT NOT NULL, updated_ms BIGINT NOT NULL,"
    " PRIMARY KEY(user_id, chat_id), INDEX draft_by_chat(chat_id))" INNODB READ_UNTIL_NOW;

/* Messages that wait for their time. Those that failed, and those whose stay has ended, are told by failed_ms and by due_ms 0. Media and mentions are
 * numbers with commas between them; `attachment` has rows for their files, by their ids. */
static const char sqlite_8[] =
    "CREATE TABLE scheduled(id BIGINT PRIMARY KEY NOT NULL, user_id BIGINT NOT NULL, chat_id BIGINT NOT NULL, joined_id BIGINT NOT NULL,"
    " due_ms BIGINT NOT NULL, created_ms BIGINT NOT NULL, failed_ms BIGINT NOT NULL, text TEXT, attachments TEXT, media_ids TEXT,"
    " mentions TEXT, reply_id BIGINT NOT NULL, ttl_ms BIGINT NOT NULL, failure TEXT) WITHOUT ROWID;"
    "CREATE INDEX scheduled_by_due ON scheduled(failed_ms, due_ms, id);"
    "CREATE INDEX scheduled_by_user ON scheduled(user_id, chat_id, due_ms, id);"
    "CREATE INDEX scheduled_by_chat ON scheduled(chat_id);";

static const char mariadb_8[] =
    "CREATE TABLE IF NOT EXISTS scheduled(id BIGINT NOT NULL PRIMARY KEY, user_id BIGINT NOT NULL, chat_id BIGINT NOT NULL,"
    " joined_id BIGINT NOT NULL, due_ms BIGINT NOT NULL, created_ms BIGINT NOT NULL, failed_ms BIGINT NOT NULL, text MEDIUMTEXT,"
    " attachments MEDIUMTEXT, media_ids TEXT, mentions TEXT, reply_id BIGINT NOT NULL, ttl_ms BIGINT NOT NULL, failure TEXT,"
    " INDEX scheduled_by_due(failed_ms, due_ms, id), INDEX scheduled_by_user(user_id, chat_id, due_ms, id),"
    " INDEX scheduled_by_chat(chat_id))" INNODB;
/* Whom users do not want to hear of, and whom they want to find again. */
static const char sqlite_9[] = "CREATE TABLE block(user_id BIGINT NOT NULL, blocked_id BIGINT NOT NULL, created_ms BIGINT NOT NULL,"
                               " PRIMARY KEY(user_id, blocked_id)) WITHOUT ROWID;"
                               "CREATE TABLE contact(user_id BIGINT NOT NULL, contact_id BIGINT NOT NULL, name TEXT,"
                               " created_ms BIGINT NOT NULL, PRIMARY KEY(user_id, contact_id)) WITHOUT ROWID;"
                               /* Which members of a direct chat have blocked the other: posts look at no other row. */
                               "ALTER TABLE chat ADD COLUMN blockers BIGINT NOT NULL DEFAULT 0;";
static const char mariadb_9[] =
    "CREATE TABLE IF NOT EXISTS block(user_id BIGINT NOT NULL, blocked_id BIGINT NOT NULL, created_ms BIGINT NOT NULL,"
    " PRIMARY KEY(user_id, blocked_id))" INNODB
    "CREATE TABLE IF NOT EXISTS contact(user_id BIGINT NOT NULL, contact_id BIGINT NOT NULL, name VARCHAR(64),"
    " created_ms BIGINT NOT NULL, PRIMARY KEY(user_id, contact_id))" INNODB
    "ALTER TABLE chat ADD COLUMN IF NOT EXISTS blockers BIGINT NOT NULL DEFAULT 0;";

/* What users want administrators to look at. posted_ms is not 0 while there is a copy of the message, which goes by it. */
static const char sqlite_10[] =
    "CREATE TABLE report(id BIGINT PRIMARY KEY NOT NULL, reporter_id BIGINT NOT NULL, user_id BIGINT NOT NULL, chat_id BIGINT NOT NULL,"
    " message_id BIGINT NOT NULL, category BIGINT NOT NULL, reason TEXT NOT NULL, created_ms BIGINT NOT NULL, closed_ms BIGINT NOT NULL,"
    " note TEXT, posted_ms BIGINT NOT NULL, text TEXT, attachments TEXT) WITHOUT ROWID;"
    "CREATE INDEX report_by_reporter ON report(reporter_id, created_ms);"
    "CREATE INDEX report_by_end ON report(closed_ms, id);"
    "CREATE INDEX report_by_copy ON report(posted_ms);";
static const char mariadb_10[] =
    "CREATE TABLE IF NOT EXISTS report(id BIGINT NOT NULL PRIMARY KEY, reporter_id BIGINT NOT NULL, user_id BIGINT NOT NULL,"
    " chat_id BIGINT NOT NULL, message_id BIGINT NOT NULL, category BIGINT NOT NULL, reason TEXT NOT NULL, created_ms BIGINT NOT NULL,"
    " closed_ms BIGINT NOT NULL, note TEXT, posted_ms BIGINT NOT NULL, text MEDIUMTEXT, attachments MEDIUMTEXT,"
    " INDEX report_by_reporter(reporter_id, created_ms), INDEX report_by_end(closed_ms, id), INDEX report_by_copy(posted_ms))" INNODB;

/* Of a channel with a million followers those who run it are found by their role, and those who left lately by when. */
static const char sqlite_11[] = "ALTER TABLE chat ADD COLUMN is_public BIGINT NOT NULL DEFAULT 0;"
                                "CREATE INDEX stay_by_role ON stay(chat_id, left_id, role, user_id);";
static const char mariadb_11[] = "ALTER TABLE chat ADD COLUMN IF NOT EXISTS is_public BIGINT NOT NULL DEFAULT 0;"
                                 "CREATE INDEX IF NOT EXISTS stay_by_role ON stay(chat_id, left_id, role, user_id);";

/* Idempotency keys as db/keys.h has them; those of before stay in `idempotency` until their period is over. The id of a row of key_block is the run's times
 * KEY_RUN_PARTS_MAX, and the part. */
static const char sqlite_12[] =
    "CREATE TABLE recent_key(id INTEGER PRIMARY KEY, run_id BIGINT NOT NULL, period BIGINT NOT NULL, entries BLOB NOT NULL);"
    "CREATE TABLE key_run(id INTEGER PRIMARY KEY, period BIGINT NOT NULL, until_id BIGINT NOT NULL, filter BLOB NOT NULL);"
    "CREATE TABLE key_block(id INTEGER PRIMARY KEY, entries BLOB NOT NULL);";
static const char mariadb_12[] =
    "CREATE TABLE IF NOT EXISTS recent_key(id BIGINT NOT NULL PRIMARY KEY, run_id BIGINT NOT NULL, period BIGINT NOT NULL,"
    " entries MEDIUMBLOB NOT NULL)" INNODB
    "CREATE TABLE IF NOT EXISTS key_run(id BIGINT NOT NULL PRIMARY KEY, period BIGINT NOT NULL, until_id BIGINT NOT NULL,"
    " filter MEDIUMBLOB NOT NULL)" INNODB
    "CREATE TABLE IF NOT EXISTS key_block(id BIGINT NOT NULL PRIMARY KEY, entries MEDIUMBLOB NOT NULL)" INNODB;

/* What db/owner_index.h has in place of an index. MariaDB keeps its own. */
#define FILL_EVENT_OF_OWNER \
    "INSERT OR IGNORE INTO event_of_owner SELECT owner_id, is_message, id FROM event ORDER BY owner_id, is_message, id;"
static const char sqlite_13[] = "CREATE TABLE event_of_owner(owner_id BIGINT NOT NULL, is_message INTEGER NOT NULL, id BIGINT NOT NULL,"
                                " PRIMARY KEY(owner_id, is_message, id)) WITHOUT ROWID;" FILL_EVENT_OF_OWNER "DROP INDEX event_by_owner;";
static const char mariadb_13[] = "DO 0;";

/* In place of `filter`, which from then on is empty. NULL: a run of before, whose keys are read from its blocks. */
static const char sqlite_14[] = "ALTER TABLE key_run ADD COLUMN fingerprints BLOB;";
static const char mariadb_14[] = "ALTER TABLE key_run ADD COLUMN IF NOT EXISTS fingerprints MEDIUMBLOB;";

/* Nothing changes but LIMIT_INDEX_LAG, which was 1,024: a version of before would not find events that lie further back and are not entered yet. */
static const char sqlite_15[] = "SELECT 0;";
static const char mariadb_15[] = "DO 0;";

static const struct step {
    const char *sqlite, *mariadb;
} steps[] = { { sqlite_1, mariadb_1 },   { sqlite_2, mariadb_2 },   { sqlite_3, mariadb_3 },   { sqlite_4, mariadb_4 },
              { sqlite_5, mariadb_5 },   { sqlite_6, mariadb_6 },   { sqlite_7, mariadb_7 },   { sqlite_8, mariadb_8 },
              { sqlite_9, mariadb_9 },   { sqlite_10, mariadb_10 }, { sqlite_11, mariadb_11 }, { sqlite_12, mariadb_12 },
              { sqlite_13, mariadb_13 }, { sqlite_14, mariadb_14 }, { sqlite_15, mariadb_15 } };
#define STEP_COUNT (sizeof steps / sizeof *steps)

static const struct step step_table = {
    .sqlite = "CREATE TABLE IF NOT EXISTS migration(step INTEGER PRIMARY KEY, applied_ms BIGINT NOT NULL)",
    .mariadb = "CREATE TABLE IF NOT EXISTS migration(step BIGINT NOT NULL PRIMARY KEY, applied_ms BIGINT NOT NULL)" INNODB,
};

static const struct query newest_step = { "SELECT coalesce(max(step), 0) FROM migration WHERE step <> " RESTORING_STEP };
static const struct query is_restoring = { "SELECT count(*) FROM migration WHERE step = " RESTORING_STEP };
static const struct query note_restoring = { "INSERT INTO migration(step, applied_ms) VALUES(" RESTORING_STEP ", ?1)" };
static const struct query forget_restoring = { "DELETE FROM migration WHERE step = " RESTORING_STEP };
static const struct query note_step = { "INSERT INTO migration(step, applied_ms) VALUES(?1, ?2)" };
static const struct query note_secret = { "INSERT INTO meta(name, number, bytes) VALUES('secret', 0, ?1)" };
static const struct query note_floor = { "INSERT INTO meta(name, number, bytes) VALUES('floor', 0, NULL)" };

/* MariaDB's locks have the server's names, not the database's. It ends with its connection at the latest. */
#define TURN "concat('parley.', sha1(database()))"
static const struct query take_turn = { "SELECT get_lock(" TURN ", " TURN_TIMEOUT_S ")" };
static const struct query end_turn = { "SELECT release_lock(" TURN ")" };

static enum err read_number(struct db *db, const struct query *query, uint64_t *ret_number) {
    struct statement *statement = db_query(db, query);
    bool row = false;
    enum err err = db->driver->step(statement, &row);
    if (err == OK && row)
        *ret_number = db->driver->column_id(statement, 0);
    db->driver->finish(statement);
    return err;
}

/* What only the first step's tables hold from the start. */
static enum err seed(struct db *db) {
    uint8_t secret[SECRET_BYTES];
    random_bytes(secret, sizeof secret);
    struct statement *statement = db_query(db, &note_secret);
    db->driver->bind_blob(statement, 1, secret, sizeof secret);
    enum err err = db_run(db, statement);
    return err == OK ? db_run(db, db_query(db, &note_floor)) : err;
}

static enum err note(struct db *db, uint64_t step) {
    struct statement *statement = db_query(db, &note_step);
    db->driver->bind_id(statement, 1, step);
    db->driver->bind_id(statement, 2, (uint64_t)clock_now_ms());
    return db_run(db, statement);
}

/* Within a transaction. Seeds come with the note, so that they are there once, and all of them. */
static enum err apply(struct db *db, uint64_t step) {
    uint64_t newest = 0;
    enum err err = read_number(db, &newest_step, &newest);
    if (err != OK || newest >= step) /* another was faster */
        return err;
    if (db->driver->dialect == DIALECT_SQLITE)
        err = db->driver->execute(db, steps[step - 1].sqlite);
    if (err == OK && step == 1)
        err = seed(db);
    return err == OK ? note(db, step) : err;
}

static enum err apply_in_transaction(struct db *db, uint64_t step, char *problem, size_t problem_size) {
    enum err err = OK;
    if (db->driver->dialect == DIALECT_MARIADB)
        err = db->driver->execute(db, steps[step - 1].mariadb);
    if (err == OK)
        err = db->driver->begin(db);
    if (err == OK)
        err = apply(db, step);
    if (err == OK)
        err = db->driver->commit(db);
    if (err != OK) {
        snprintf(problem, problem_size, "PARLEY_DB: schema step %d failed: %s", (int)step, db->driver->problem(db));
        db->driver->rollback(db);
    }
    return err;
}

/* In a cluster, whose nodes know nothing of each other's locks, one of two that migrate at once is told so by these errors. */
static bool may_repeat(enum err err) { return err == ERR_CONFLICT || err == ERR_DATABASE_BUSY || err == ERR_DATABASE_UNKNOWN; }

static enum err apply_step(struct db *db, uint64_t step, char *problem, size_t problem_size) {
    enum err err = apply_in_transaction(db, step, problem, problem_size);
    for (int attempt = 1; may_repeat(err) && attempt < ATTEMPTS; attempt++)
        err = apply_in_transaction(db, step, problem, problem_size);
    return err;
}

/* A step that this program does not know. */
static enum err check_newest(uint64_t newest, char *problem, size_t problem_size) {
    if (newest <= STEP_COUNT)
        return OK;
    snprintf(problem, problem_size, "PARLEY_DB: made by a newer parley (schema step %d, this one knows %d)", (int)newest, (int)STEP_COUNT);
    return ERR_CONFIG;
}

static enum err make_step_table(struct db *db, char *problem, size_t problem_size) {
    enum err err = db->driver->execute(db, db->driver->dialect == DIALECT_SQLITE ? step_table.sqlite : step_table.mariadb);
    if (err != OK)
        snprintf(problem, problem_size, "PARLEY_DB: the schema cannot be read: %s", db->driver->problem(db));
    return err;
}

enum err schema_look(struct db *db, struct schema *ret_schema, char *problem, size_t problem_size) {
    uint64_t newest = 0, restoring = 0;
    enum err err = read_number(db, &newest_step, &newest);
    if (err == OK)
        err = read_number(db, &is_restoring, &restoring);
    if (err != OK) {
        snprintf(problem, problem_size, "PARLEY_DB: it is no database of parley's: %s", db->driver->problem(db));
        return err;
    }
    err = check_newest(newest, problem, problem_size);
    if (err == OK)
        *ret_schema = (struct schema){ .step = (unsigned)newest, .is_restoring = restoring != 0 };
    return err;
}

enum err schema_check_whole(const struct schema *schema, char *problem, size_t problem_size) {
    if (!schema->is_restoring)
        return OK;
    snprintf(problem, problem_size, "PARLEY_DB: a backup is being restored into it, or that was interrupted: then restore it again");
    return ERR_CONFIG;
}

static enum err apply_up_to(struct db *db, unsigned step, unsigned *ret_applied, char *problem, size_t problem_size) {
    struct schema schema;
    enum err err = schema_look(db, &schema, problem, problem_size);
    unsigned applied = 0;
    for (; err == OK && schema.step + applied < step; applied++)
        err = apply_step(db, schema.step + applied + 1, problem, problem_size);
    if (ret_applied)
        *ret_applied = applied;
    return err;
}

static enum err apply_all(struct db *db, unsigned *ret_applied, char *problem, size_t problem_size) {
    struct schema schema;
    enum err err = make_step_table(db, problem, problem_size);
    if (err == OK)
        err = schema_look(db, &schema, problem, problem_size);
    if (err == OK)
        err = schema_check_whole(&schema, problem, problem_size);
    return err == OK ? apply_up_to(db, STEP_COUNT, ret_applied, problem, problem_size) : err;
}

static enum err wait_for_turn(struct db *db, char *problem, size_t problem_size) {
    uint64_t taken = 0;
    enum err err = read_number(db, &take_turn, &taken);
    if (err != OK) {
        snprintf(problem, problem_size, "PARLEY_DB: %s", db->driver->problem(db));
    } else if (!taken) {
        snprintf(problem, problem_size, "PARLEY_DB: another parley has been migrating it for " TURN_TIMEOUT_S " seconds");
        err = ERR_DATABASE_UNAVAILABLE;
    }
    return err;
}

enum err migrate(struct db *db, unsigned *ret_applied, char *problem, size_t problem_size) {
    bool takes_turns = db->driver->dialect == DIALECT_MARIADB;
    uint64_t ended = 0;
    enum err err = takes_turns ? wait_for_turn(db, problem, problem_size) : OK;
    if (err != OK)
        return err;
    err = apply_all(db, ret_applied, problem, problem_size);
    if (takes_turns && read_number(db, &end_turn, &ended) != OK && err == OK) {
        snprintf(problem, problem_size, "PARLEY_DB: %s", db->driver->problem(db));
        err = ERR_DATABASE_UNAVAILABLE;
    }
    return err;
}

/* ---- Restoring ---- */

unsigned schema_newest(void) { return STEP_COUNT; }

enum err schema_take_turn(struct db *db, char *problem, size_t problem_size) {
    return db->driver->dialect == DIALECT_MARIADB ? wait_for_turn(db, problem, problem_size) : OK;
}

enum err schema_begin_restore(struct db *db, unsigned step, char *problem, size_t problem_size) {
    enum err err = make_step_table(db, problem, problem_size);
    if (err != OK)
        return err;
    struct statement *statement = db_query(db, &note_restoring);
    db->driver->bind_id(statement, 1, (uint64_t)clock_now_ms());
    err = db_run(db, statement);
    if (err == OK)
        return apply_up_to(db, step, NULL, problem, problem_size);
    snprintf(problem, problem_size, "PARLEY_DB: %s", db->driver->problem(db));
    return err;
}

/* A backup has no rows of what follows from others. All events are sorted for it, which may be more than there is memory for. */
enum err schema_finish_steps(struct db *db, char *problem, size_t problem_size) {
    enum err err = apply_up_to(db, STEP_COUNT, NULL, problem, problem_size);
    if (err != OK || db->driver->dialect != DIALECT_SQLITE)
        return err;
    err = db->driver->execute(db, "PRAGMA temp_store = FILE;" FILL_EVENT_OF_OWNER "PRAGMA temp_store = MEMORY;");
    if (err != OK)
        snprintf(problem, problem_size, "PARLEY_DB: %s", db->driver->problem(db));
    return err;
}

enum err schema_end_restore(struct db *db) { return db_run(db, db_query(db, &forget_restoring)); }
