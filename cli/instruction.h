/* What an operator asks for, one JSON object a line, and what is replied, likewise. The same lines make an import file and the admin socket's
 * protocol. The member that comes first here names the instruction; a ? marks what
 * may be left out:
 *
 *     {"user":"alice","display_name":"Alice"?,"tokens":["<43 characters>",...]?,"password_hash":"scrypt$..."?}
 *         {"user":"alice","id":"1","devices":["2"]}
 *     {"chat":"group","title":"Tea","owner":"alice","members":["bob"]?,"history":"all"?}
 *     {"chat":"direct","members":["alice","bob"]}
 *     {"chat":"channel","title":"News","owner":"alice","history":"from_join"?}
 *         {"chat":"3"}
 *     {"follow":"3","users":["1","2"]}    at most LIMIT_FOLLOWERS_AT_ONCE
 *         {"follow":"3","added":1,"existed":1,"unknown":0,"refused":0}
 *     {"invite":"<43 characters>","uses":1?,"days":7?}
 *         {"invite":true,"expires_at":"2026-11-21T01:02:03.456Z"}
 *     {"cleanup":"run"} or {"cleanup":"count"}
 *         {"sweep":"log","rows":2000,"objects":0,"bytes":0,"overdue_ms":60000,"more":true}    after each step
 *     {"reports":"open"} or {"reports":"all"}
 *         {"id":"5","user_id":"1","chat_id":"3"?,"message_id":"9"?,"category":"spam","reason":"...","created_at":"...","reporter_id":"2",
 *          "reporter":"bob","user":"alice","closed_at":null,"note":null}                       one for each
 *     {"report":"5"}
 *         {the same,"posted_at":"..."?,"text":"..."?,"attachments":[...]?}                    what is left of the copy (struct report says when it goes)
 *     {"close_report":"5","note":"..."?}
 *         {"id":"5","closed":true}
 *     anything that is wrong
 *         {"error":"bad_field","field":"title","detail":"...","line":3}
 *
 * This is the only file of cli/ that knows the JSON library. One thread at a time. */
#pragma once

#include "cli/directory.h"
#include "db/command.h"
#include "db/reader.h"
#include "jobs/cleanup.h"

#define INVITE_USES_DEFAULT 1
#define INVITE_USES_MAX 1000000
#define INVITE_DAYS_DEFAULT 7
#define INVITE_DAYS_MAX 3650

enum instruction_kind {
    INSTRUCTION_COMMAND, /* `command` is for the store */
    INSTRUCTION_CLEANUP, /* cleanup_once() with `dry_run` */
    INSTRUCTION_REPORTS, /* read_reports() with `reports`, page by page */
    INSTRUCTION_REPORT,  /* read_report() of `report_id` */
};

struct instruction {
    enum instruction_kind kind;
    bool dry_run;
    struct report_request reports;
    uint64_t report_id;
    bool names_users;       /* it can be prepared only when the users asked for before it are committed */
    size_t bytes;           /* of its line: about the memory that it holds */
    uint64_t line;          /* where it stood, counted from 1; set by whoever counts */
    struct command command; /* its refusal also says what is wrong with the instruction itself */

    /* instruction.c's own. */
    const struct verb *verb;
    struct json_t *root; /* owned; the command's strings are its, or below */
    char username[LIMIT_USERNAME_BYTES + 1];
    char detail[160]; /* of the refusal */
    uint8_t invite[SHA256_SIZE];
    uint8_t (*tokens)[SHA256_SIZE]; /* owned */
    uint64_t *member_ids;           /* owned */
};

/* Reads a line and finds out what it asks for; NULL only without memory. A refusal says that there is nothing to prepare. */
struct instruction *instruction_parse(const char *line, size_t size) MUST_USE;
/* Fills in the command, or its refusal. */
void instruction_prepare(struct instruction *instruction, const struct config *config, struct directory *directory);
/* Writes the reply of a command that is done or refused, with its newline. */
void instruction_reply(const struct instruction *instruction, struct buf *replies);
/* The reply to a line that did not even become an instruction. */
void instruction_reply_refusal(const struct refusal *refusal, uint64_t line, struct buf *replies);
/* The reply after one step of the cleanup. */
void instruction_reply_cleanup(const struct cleanup_step *step, struct buf *replies);
/* The reply about a report; `is_whole`: with its copy, too. */
void instruction_reply_report(const struct report_shown *shown, bool is_whole, struct buf *replies);
void instruction_free(struct instruction *instruction);

/* A reply, for the side that asked. */
struct reply;

/* NULL when it is no JSON object, or without memory. */
struct reply *reply_parse(const char *line, size_t size) MUST_USE;
void reply_free(struct reply *reply);
/* NULL when the member is absent or no string; lives as long as the reply. */
const char *reply_text(const struct reply *reply, const char *member);
/* 0 when the member is absent or no number. */
int64_t reply_number(const struct reply *reply, const char *member);
/* An object of an array member, which lives as long as the reply; NULL beyond its end, or when there is no such array. */
const struct reply *reply_item(const struct reply *reply, const char *member, size_t index);
bool reply_is_true(const struct reply *reply, const char *member);
