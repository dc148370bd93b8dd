/* Following the log: commits as they are handed over, and the store wherever they do not continue the hub's position.
 *
 * A commit is applied from its first event above the position, if the event before that one is the position, tag included. Otherwise something
 * is missing (forgotten by the inbox, or never heard), the hub reads pages of the log until nothing is missing, and only then goes on with the
 * commits, which it has kept. So an event is applied once, in order, whatever is lost on the way. The hub's thread only. */
#pragma once

#include "stream/hub_state.h"

/* Applies what is there, at most a tick of it, and writes it to the streams. */
void tail_follow(struct hub *hub);
/* Waits after a tick whose writes were many and small, three times as long as it took, up to 4 ms: meanwhile more comes for each stream, and leaves in one write. So
 * writing takes a quarter of a processor then, and the rest is left to those who post. Not while streams open or catch up. */
void tail_rest(struct hub *hub);
/* A page of the log arrived. */
void tail_take_page(struct hub *hub);
/* Whether tail_follow() has something to do at once. */
bool tail_has_work(const struct hub *hub);
/* Whether everything handed over so far is applied. */
bool tail_is_done(const struct hub *hub);
/* Now and then: asks the store whether commits were never handed over. */
void tail_check(struct hub *hub);
/* The database was away: whether the hub's position is still in the log is looked up. */
void tail_doubt(struct hub *hub);
/* It is another log, whose head is at `head_id`: the hub goes on from there. */
void tail_restart(struct hub *hub, uint64_t head_id);
void tail_release(struct hub *hub);
