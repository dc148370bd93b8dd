/* Compares what the store shows with the model. Every difference fails the running cmocka test. */
#pragma once

#include "db/reader.h"
#include "model.h"

/* The ids between which an event is seen; both inclusive. */
struct span {
    uint64_t low, high;
};

/* A source of numbers that one seed repeats. */
struct dice {
    uint64_t state;
};
uint64_t roll(struct dice *dice, uint64_t bound); /* in [0, bound) */

/* The frame of an event as somebody gets it now who sees it within `span`. */
void check_frame(const struct model *model, const struct model_event *event, const struct frame *frame, const struct span *span);
/* The answer to a repeated key: the message, of which only what never changes is compared, or that it is gone. */
void check_repeated(const struct message *message, const struct frame *frame);
void check_gone(uint64_t message_id, const struct frame *frame);
void read_salt(const struct frame *frame, uint8_t out[HASH128_SIZE]);

/* Everything that readers can see: accounts, chats, members, history, tokens, feeds and the log. */
void check_all(const struct model *model, struct reader *reader, struct dice *dice);
