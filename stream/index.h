/* The index: who listens to which chat on this node.
 *
 * A listener is a user with at least one open stream here; it has its streams and, once installed, a link to each chat it is a member of.
 * A chat is here as long as a listener is linked to it. Nothing else is known: a node's memory grows with its streams, not with the database.
 *
 * Why the index is right, although the store may be ahead of the hub, or the hub ahead of a snapshot:
 *
 *  - Say F is the feed of user u: the events u owns, and the events of each chat within u's stays [joined, left]. Say the hub is at
 *    position p, and u was installed from a snapshot whose head was `as_of`; let m = max(p, as_of).
 *  - The links of u are exactly u's stays that are open as of m. At installation: the snapshot gives those open as of its head; if the hub was ahead
 *    already, the member events between are applied from the ring before anything else (index_replay). Later: every member event
 *    above as_of is applied once, in log order; those up to as_of are in the links already and are left out. (So a stay that began and ended, or
 *    ended and began again, between p and as_of is not applied a second time.) Among these events are u's own channel.followed and channel.left. The
 *    stays in a deleted channel may still look open to a snapshot: such a link is to a chat that has no further events.
 *  - `closed_max` is at least the id at which each stay of u ended that ended in (stays_after, m], where stays_after is not above any position that the
 *    ring reaches. So for an event e of a chat, with closed_max < e <= m and e in the ring's reach: e is in F if and only if there is a link
 *    to its chat with joined <= e. For a stay with joined <= e <= left ended after closed_max, so it is still open, so it is a link; and
 *    a link with joined <= e is such a stay.
 *    It is also at least the id up to which messages of u's chats had gone without an event, because all had acknowledged them (read_blanked), when u was
 *    installed: the ring may still show those.
 *  - Hence the rule of life.c: a stream becomes LIVE, or takes events from the ring, only if its position is at least closed_max; below, it
 *    takes another page from the store, which knows all stays. Each event is skipped by the streams whose position has passed it.
 *  - A LIVE stream gets the event that ends a stay (links end after delivery) and nothing later of that chat. If its socket is full just then, its
 *    position is below the new closed_max, and the store serves the rest.
 *
 * What a member must not read is withheld by two rules. Changes after it left never concern an open link: only the store, which knows closed
 * stays, sees them. Edits of messages from before it joined are given in the frame's withheld form (index_form).
 *
 * The hub's thread only. */
#pragma once

#include "core/map.h"
#include "core/pool.h"
#include "db/model.h"
#include "stream/stream.h"

struct listener {
    uint64_t user_id;
    uint64_t as_of;      /* head of the snapshot that its links came from */
    uint64_t closed_max; /* see above */
    struct list_node streams;
    struct listener_link *links; /* owned */
    uint32_t link_count;
    uint32_t link_capacity;
    uint32_t next; /* in its bucket: a number of the pool, or 0 */
    uint32_t stream_count : 30;
    uint32_t installed : 1;
    uint32_t broken : 1; /* memory ran out while a link was added: its streams have to be closed */
};

struct index {
    struct pool listeners;
    uint32_t *buckets;     /* owned; by user id: the first listener, a number of the pool, or 0 */
    uint32_t bucket_count; /* a power of two, at least listener_count; 0 at first */
    uint32_t listener_count;
    struct map chats; /* chat id → struct index_chat, owned */
    uint64_t mark;    /* of the last index_mark() */
};

void index_init(struct index *index);
void index_release(struct index *index);

/* NULL when the user has no stream here. */
struct listener *index_find(const struct index *index, uint64_t user_id);
/* The listener that `stream` of `user_id` now belongs to, made if need be; NULL when out of memory. */
struct listener *index_add_stream(struct index *index, uint64_t user_id, struct stream *stream) MUST_USE;
/* Frees the listener with its last stream. */
void index_remove_stream(struct index *index, struct stream *stream);

/* What a snapshot says about a user. */
struct snapshot_stays {
    const struct stay *stays;
    size_t count;
    uint64_t head_id;
    uint64_t blanked_id; /* what is shown of messages up to here the store knows alone */
};
/* Gives a listener its links; its closed_max is at least blanked_id. It stays as it is when it has them already. ERR_NO_MEMORY: it is not installed. */
enum err index_install(struct index *index, struct listener *listener, const struct snapshot_stays *snapshot) MUST_USE;
/* Forgets the links of a listener, which is then as if it had just been made; its streams stay. */
void index_forget(struct index *index, struct listener *listener);
/* The listener after `listener`, in no order, or the first for NULL. NULL: there is none. */
struct listener *index_next(const struct index *index, const struct listener *listener);
/* The chat of the listener's link at `place`, below link_count; in no order. */
uint64_t index_chat_at(const struct listener *listener, uint32_t place);
/* Applies one event to the links of one installed listener: what index_apply() would have done, had it been here. */
void index_replay(struct index *index, struct listener *listener, const struct frame *frame);

typedef void (*index_deliver)(void *context, struct stream *stream, struct frame *frame);
/* Applies the log's next event: opens links, calls deliver() for every stream of every listener that is entitled to it (whatever the
 * stream's state and position), and ends links. deliver() must not change the index. ERR_NO_MEMORY: some listeners are `broken`. */
enum err index_apply(struct index *index, struct frame *frame, index_deliver deliver, void *context) MUST_USE;

/* Calls deliver() for every stream of the chat's members that are here, or of the user, but not for those of `except_user_id` (0: nobody). The frame is
 * borrowed and none of the log's: who is a member is judged as of the hub's position. */
struct whisper_note;
void index_whisper(const struct index *index, const struct whisper_note *note, index_deliver deliver, void *context);

/* Prepares index_wants() for this listener, until the next index_mark(). Costs a walk over its links. */
void index_mark(struct index *index, const struct listener *listener);
/* Whether the marked listener's feed has the event `id` of `owner_id` (a chat, or the user), under the rule above. `ret_joined_id`: since when it is
 * in the chat. */
bool index_wants(const struct index *index, const struct listener *listener, uint64_t owner_id, uint64_t id, uint64_t *ret_joined_id);
/* The form of the event for that user, who joined then: what is hidden from the user comes without content, edits of messages from before without text.
 * Borrowed from the frame. */
static inline struct frame *index_form(struct frame *frame, uint64_t user_id, uint64_t joined_id) {
    if (frame->hidden != NULL && (user_id == frame->hidden_from || frame->hidden_from == BOTH_MEMBERS))
        return frame->hidden;
    return frame->withheld != NULL && joined_id > frame->ref_id ? frame->withheld : frame;
}
