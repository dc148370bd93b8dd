/* Listeners, chats and the links between them. See index.h for why they are right.
 *
 * A link is kept on both sides, each knowing its place on the other, so that ending one costs no search: the last link of an array
 * moves into the gap, and its other side is told. */
#include "stream/index.h"

#include <stdlib.h>

#include "stream/inbox.h"

#define BUCKETS_MIN 64

struct listener_link {
    struct index_chat *chat;
    uint32_t in_chat; /* place in the chat's array */
};

struct chat_link {
    struct listener *listener;
    uint64_t joined_id;
    uint32_t in_listener; /* place in the listener's array */
};

struct index_chat {
    uint64_t id;
    uint64_t mark; /* index->mark: the marked listener is linked */
    uint64_t marked_joined_id;
    struct chat_link *links; /* owned */
    uint32_t count;
    uint32_t capacity;
};

void index_init(struct index *index) {
    *index = (struct index){ .chats = MAP_INIT };
    pool_init(&index->listeners, sizeof(struct listener));
}

static void chat_free(struct index_chat *chat) {
    free(chat->links);
    free(chat);
}

void index_release(struct index *index) {
    for (struct listener *listener = NULL; (listener = index_next(index, listener)) != NULL;)
        free(listener->links);
    size_t cursor = 0;
    for (struct index_chat *chat; (chat = map_next(&index->chats, &cursor)) != NULL;)
        chat_free(chat);
    pool_release(&index->listeners);
    free(index->buckets);
    map_release(&index->chats);
}

/* ---- Finding listeners ---- */

static struct listener *listener_at(const struct index *index, uint32_t number) {
    return number != 0 ? pool_at(&index->listeners, number) : NULL;
}

/* All bits of an id count: multiplication brings the lower ones into the upper half, which is why the upper ones are folded into the lower before. */
static uint32_t bucket_of(const struct index *index, uint64_t user_id) {
    return (uint32_t)((user_id ^ user_id >> 32) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (index->bucket_count - 1);
}

struct listener *index_find(const struct index *index, uint64_t user_id) {
    if (index->listener_count == 0)
        return NULL;
    struct listener *listener = listener_at(index, index->buckets[bucket_of(index, user_id)]);
    while (listener != NULL && listener->user_id != user_id)
        listener = listener_at(index, listener->next);
    return listener;
}

struct listener *index_next(const struct index *index, const struct listener *listener) {
    uint32_t number = listener != NULL ? listener->next : 0;
    uint32_t bucket = listener != NULL ? bucket_of(index, listener->user_id) + 1 : 0;
    while (number == 0 && bucket < index->bucket_count)
        number = index->buckets[bucket++];
    return listener_at(index, number);
}

static void put_into_bucket(struct index *index, struct listener *listener, uint32_t number) {
    uint32_t *first = &index->buckets[bucket_of(index, listener->user_id)];
    listener->next = *first;
    *first = number;
}

static void move_to_bucket(struct index *index, uint32_t number) {
    while (number != 0) {
        struct listener *listener = listener_at(index, number);
        uint32_t next = listener->next;
        put_into_bucket(index, listener, number);
        number = next;
    }
}

/* As many buckets as listeners, at least. */
static enum err grow_buckets(struct index *index) {
    if (index->listener_count < index->bucket_count)
        return OK;
    uint32_t old_count = index->bucket_count, *old = index->buckets;
    uint32_t count = old_count == 0 ? BUCKETS_MIN : old_count * 2, *buckets = calloc(count, sizeof(*buckets));
    if (buckets == NULL)
        return ERR_NO_MEMORY;
    index->buckets = buckets;
    index->bucket_count = count;
    for (uint32_t i = 0; i < old_count; i++)
        move_to_bucket(index, old[i]);
    free(old);
    return OK;
}

static void take_from_bucket(struct index *index, const struct listener *listener) {
    uint32_t *place = &index->buckets[bucket_of(index, listener->user_id)];
    while (listener_at(index, *place) != listener)
        place = &listener_at(index, *place)->next;
    *place = listener->next;
}

/* ---- Links ---- */

/* Room for one more element; an array grows by half, so that the many small ones waste little. */
static enum err make_room(void **array, size_t element_size, uint32_t count, uint32_t *capacity) {
    if (count < *capacity)
        return OK;
    uint32_t larger = *capacity + *capacity / 2 + 1;
    void *grown = realloc(*array, larger * element_size);
    if (grown == NULL)
        return ERR_NO_MEMORY;
    *array = grown;
    *capacity = larger;
    return OK;
}

static struct index_chat *chat_get_or_make(struct index *index, uint64_t chat_id) {
    struct index_chat *chat = map_get(&index->chats, chat_id);
    if (chat != NULL)
        return chat;

    chat = calloc(1, sizeof(*chat));
    if (chat == NULL)
        return NULL;
    chat->id = chat_id;
    if (map_put(&index->chats, chat_id, chat) != OK) {
        free(chat);
        return NULL;
    }
    return chat;
}

static void drop_chat_if_unused(struct index *index, struct index_chat *chat) {
    if (chat->count > 0)
        return;
    map_remove(&index->chats, chat->id);
    chat_free(chat);
}

static enum err add_link(struct index *index, struct listener *listener, uint64_t chat_id, uint64_t joined_id) {
    struct index_chat *chat = chat_get_or_make(index, chat_id);
    if (chat == NULL)
        return ERR_NO_MEMORY;

    void *chat_links = chat->links, *listener_links = listener->links;
    enum err err = make_room(&chat_links, sizeof(*chat->links), chat->count, &chat->capacity);
    if (err == OK)
        err = make_room(&listener_links, sizeof(*listener->links), listener->link_count, &listener->link_capacity);
    chat->links = chat_links;
    listener->links = listener_links;
    if (err != OK) {
        drop_chat_if_unused(index, chat);
        return err;
    }

    chat->links[chat->count] = (struct chat_link){ listener, joined_id, listener->link_count };
    listener->links[listener->link_count] = (struct listener_link){ chat, chat->count };
    chat->count++;
    listener->link_count++;
    return OK;
}

/* Fills the gap at `place` with the last link of the array and tells that link's other side. */
static void close_chat_gap(struct index_chat *chat, uint32_t place) {
    const struct chat_link *last = &chat->links[--chat->count];
    if (place == chat->count)
        return;
    chat->links[place] = *last;
    last->listener->links[last->in_listener].in_chat = place;
}

static void close_listener_gap(struct listener *listener, uint32_t place) {
    const struct listener_link *last = &listener->links[--listener->link_count];
    if (place == listener->link_count)
        return;
    listener->links[place] = *last;
    last->chat->links[last->in_chat].in_listener = place;
}

static void end_link(struct index *index, struct listener *listener, uint32_t place) {
    struct listener_link link = listener->links[place];
    close_chat_gap(link.chat, link.in_chat);
    close_listener_gap(listener, place);
    drop_chat_if_unused(index, link.chat);
}

static void end_all_links(struct index *index, struct listener *listener) {
    while (listener->link_count > 0)
        end_link(index, listener, listener->link_count - 1);
}

/* The place of the link to a chat in the listener's array, or link_count. */
static uint32_t find_link(const struct listener *listener, uint64_t chat_id) {
    uint32_t place = 0;
    while (place < listener->link_count && listener->links[place].chat->id != chat_id)
        place++;
    return place;
}

/* ---- Listeners ---- */

static struct listener *listener_make(struct index *index, uint64_t user_id) {
    struct listener *listener = grow_buckets(index) == OK ? pool_take(&index->listeners) : NULL;
    if (listener == NULL)
        return NULL;
    listener->user_id = user_id;
    list_init(&listener->streams);
    put_into_bucket(index, listener, pool_number(&index->listeners, listener));
    index->listener_count++;
    return listener;
}

struct listener *index_add_stream(struct index *index, uint64_t user_id, struct stream *stream) {
    struct listener *listener = index_find(index, user_id);
    if (listener == NULL)
        listener = listener_make(index, user_id);
    if (listener == NULL)
        return NULL;
    list_append(&listener->streams, &stream->in_listener);
    listener->stream_count++;
    stream->listener = listener;
    return listener;
}

void index_remove_stream(struct index *index, struct stream *stream) {
    struct listener *listener = stream->listener;
    list_remove(&stream->in_listener);
    stream->listener = NULL;
    if (--listener->stream_count > 0)
        return;
    end_all_links(index, listener);
    take_from_bucket(index, listener);
    index->listener_count--;
    free(listener->links);
    pool_give_back(&index->listeners, listener);
}

enum err index_install(struct index *index, struct listener *listener, const struct snapshot_stays *snapshot) {
    if (listener->installed)
        return OK;

    uint64_t closed_max = snapshot->blanked_id;
    for (size_t i = 0; i < snapshot->count; i++) {
        const struct stay *stay = &snapshot->stays[i];
        enum err err = OK;
        if (stay->left_id == STAY_OPEN)
            err = add_link(index, listener, stay->chat_id, stay->joined_id);
        else if (stay->left_id > closed_max)
            closed_max = stay->left_id;
        if (err != OK) {
            end_all_links(index, listener);
            return err;
        }
    }
    listener->closed_max = closed_max;
    listener->as_of = snapshot->head_id;
    listener->installed = true;
    return OK;
}

void index_forget(struct index *index, struct listener *listener) {
    end_all_links(index, listener);
    listener->closed_max = 0;
    listener->as_of = 0;
    listener->installed = false;
}

uint64_t index_chat_at(const struct listener *listener, uint32_t place) { return listener->links[place].chat->id; }

/* ---- Events ---- */

/* Whether the links of this listener are yet to learn of the event. */
static bool is_news_to(const struct listener *listener, const struct frame *frame) {
    return listener != NULL && listener->installed && !listener->broken && frame->id > listener->as_of;
}

/* The chat whose stays the event begins or ends. Whoever follows a channel has an event of their own. */
static uint64_t chat_of(const struct frame *frame) { return event_is_user(frame->type) ? frame->ref_id : frame->owner_id; }

static void listener_joins(struct index *index, struct listener *listener, const struct frame *frame) {
    if (!is_news_to(listener, frame) || find_link(listener, chat_of(frame)) < listener->link_count)
        return;
    if (add_link(index, listener, chat_of(frame), frame->id) != OK)
        listener->broken = true;
}

static void listener_leaves(struct index *index, struct listener *listener, const struct frame *frame) {
    if (!is_news_to(listener, frame))
        return;
    uint32_t place = find_link(listener, chat_of(frame));
    if (place == listener->link_count)
        return;
    end_link(index, listener, place);
    listener->closed_max = frame->id;
}

static bool is_initial_member(const struct frame *frame, uint64_t user_id) {
    for (uint32_t i = 0; i < frame->member_count; i++)
        if (frame->members[i] == user_id)
            return true;
    return false;
}

static void replay_following(struct index *index, struct listener *listener, const struct frame *frame) {
    if (frame->type == EVENT_CHANNEL_FOLLOWED)
        listener_joins(index, listener, frame);
    else if (frame->type == EVENT_CHANNEL_LEFT)
        listener_leaves(index, listener, frame);
}

void index_replay(struct index *index, struct listener *listener, const struct frame *frame) {
    bool concerns_user = frame->ref_id == listener->user_id;
    if (frame->owner_id == listener->user_id)
        replay_following(index, listener, frame);
    else if (frame->type == EVENT_MEMBER_ADDED && concerns_user)
        listener_joins(index, listener, frame);
    else if (frame->type == EVENT_CHAT_CREATED && is_initial_member(frame, listener->user_id))
        listener_joins(index, listener, frame);
    else if (frame->type == EVENT_CHAT_DELETED || (frame->type == EVENT_MEMBER_REMOVED && concerns_user))
        listener_leaves(index, listener, frame);
}

static bool one_joins(struct index *index, uint64_t user_id, const struct frame *frame) {
    struct listener *listener = index_find(index, user_id);
    listener_joins(index, listener, frame);
    return listener == NULL || !listener->broken;
}

static enum err open_links(struct index *index, const struct frame *frame) {
    bool ok = true;
    if (frame->type == EVENT_MEMBER_ADDED)
        ok = one_joins(index, frame->ref_id, frame);
    if (frame->type == EVENT_CHAT_CREATED)
        for (uint32_t i = 0; i < frame->member_count; i++)
            ok = one_joins(index, frame->members[i], frame) && ok;
    return ok ? OK : ERR_NO_MEMORY;
}

/* A chat's links end from the last to the first, so that those that are no news can stay where they are. */
static void end_chat(struct index *index, const struct frame *frame) {
    struct index_chat *chat = map_get(&index->chats, frame->owner_id);
    for (uint32_t i = chat != NULL ? chat->count : 0; i-- > 0;)
        listener_leaves(index, chat->links[i].listener, frame);
}

static void end_links(struct index *index, const struct frame *frame) {
    if (frame->type == EVENT_MEMBER_REMOVED)
        listener_leaves(index, index_find(index, frame->ref_id), frame);
    if (frame->type == EVENT_CHAT_DELETED)
        end_chat(index, frame);
}

static void deliver_to(const struct listener *listener, struct frame *frame, index_deliver deliver, void *context) {
    LIST_EACH(&listener->streams, node)
        deliver(context, LIST_ITEM(node, struct stream, in_listener), frame);
}

static void deliver_to_chat(const struct index_chat *chat, struct frame *frame, index_deliver deliver, void *context) {
    for (uint32_t i = 0; i < chat->count; i++)
        if (chat->links[i].joined_id <= frame->id)
            deliver_to(chat->links[i].listener, index_form(frame, chat->links[i].listener->user_id, chat->links[i].joined_id), deliver,
                       context);
}

static enum err apply_of_user(struct index *index, struct frame *frame, index_deliver deliver, void *context) {
    struct listener *listener = index_find(index, frame->owner_id);
    if (listener == NULL)
        return OK;
    deliver_to(listener, frame, deliver, context);
    replay_following(index, listener, frame);
    return listener->broken ? ERR_NO_MEMORY : OK;
}

enum err index_apply(struct index *index, struct frame *frame, index_deliver deliver, void *context) {
    if (event_is_user(frame->type))
        return apply_of_user(index, frame, deliver, context);

    enum err err = open_links(index, frame);
    const struct index_chat *chat = map_get(&index->chats, frame->owner_id);
    if (chat != NULL)
        deliver_to_chat(chat, frame, deliver, context);
    end_links(index, frame);
    return err;
}

static void whisper_to_chat(const struct index_chat *chat, const struct whisper_note *note, index_deliver deliver, void *context) {
    for (uint32_t i = 0; i < chat->count; i++)
        if (chat->links[i].listener->user_id != note->except_user_id)
            deliver_to(chat->links[i].listener, note->frame, deliver, context);
}

static void whisper_to_user(const struct listener *listener, const struct whisper_note *note, index_deliver deliver, void *context) {
    LIST_EACH(&listener->streams, node) {
        struct stream *stream = LIST_ITEM(node, struct stream, in_listener);
        if (note->device_id == 0 || note->device_id == stream->device_id)
            deliver(context, stream, note->frame);
    }
}

void index_whisper(const struct index *index, const struct whisper_note *note, index_deliver deliver, void *context) {
    if (note->target == WHISPER_CHAT) {
        const struct index_chat *chat = map_get(&index->chats, note->target_id);
        if (chat != NULL)
            whisper_to_chat(chat, note, deliver, context);
    } else {
        const struct listener *listener = index_find(index, note->target_id);
        if (listener != NULL && listener->user_id != note->except_user_id)
            whisper_to_user(listener, note, deliver, context);
    }
}

void index_mark(struct index *index, const struct listener *listener) {
    index->mark++;
    for (uint32_t i = 0; i < listener->link_count; i++) {
        const struct listener_link *link = &listener->links[i];
        link->chat->mark = index->mark;
        link->chat->marked_joined_id = link->chat->links[link->in_chat].joined_id;
    }
}

bool index_wants(const struct index *index, const struct listener *listener, uint64_t owner_id, uint64_t id, uint64_t *ret_joined_id) {
    *ret_joined_id = 0;
    if (owner_id == listener->user_id)
        return true;
    const struct index_chat *chat = map_get(&index->chats, owner_id);
    if (chat == NULL || chat->mark != index->mark || chat->marked_joined_id > id)
        return false;
    *ret_joined_id = chat->marked_joined_id;
    return true;
}
