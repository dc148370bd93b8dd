/* Posts as commands, and what has to be so of them whatever happened, for the tests of batches. */
#pragma once

#include "db_support.h"

struct command post_of(uint64_t user_id, uint64_t chat_id, const char *text);
struct command post_with_key(uint64_t user_id, uint64_t chat_id, uint64_t key);
void fill_posts(struct command *commands, size_t count, uint64_t user_id, uint64_t chat_id);
void release_all(struct command *commands, size_t count);

void all_end_with(const struct command *commands, size_t count, enum err expected);
/* The messages of a chat are numbered and chained without a hole, and the chat ends with the last of them. Those that are still as they were posted prove it. */
void check_chat(struct fixture *fixture, uint64_t user_id, uint64_t chat_id, size_t expected);
/* The log is dense up to the head, and the revs of each chat are, too. */
void check_log(struct fixture *fixture, uint64_t chat_id);
/* What was answered is what is read later. */
void check_answers(struct fixture *fixture, const struct command *commands, size_t count);
void check_answer(struct fixture *fixture, const struct command *command);
