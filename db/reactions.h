/* The reactions that a message shows: its emoji with how many users chose each, in the order in which they came. Pure.
 *
 * They are kept rendered in the message's row, so that history needs no join: {"emoji":"👍","count":2},{"emoji":"🎉","count":1}. What the numbers count is
 * the table `reaction`; both change in one transaction, by a decision that has seen both. */
#pragma once

#include "core/buf.h"
#include "db/model.h"

/* How many different emoji there are. */
size_t reactions_kinds(const struct message *message);
/* How many users chose this one (text_is_emoji()). */
uint64_t reactions_count(const struct message *message, const char *emoji);
/* Writes what they are once `count` users chose this one; 0 leaves it out. Nothing is written when none is left. */
void reactions_change(const struct message *message, const char *emoji, uint64_t count, struct buf *buf);
