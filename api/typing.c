/* Owns the table of those who type, and the handler by which they say so. */
#include "api/typing.h"

#include <pthread.h>
#include <stdlib.h>

#include "api/handlers.h"
#include "api/server_internal.h"
#include "core/clock.h"
#include "core/crypto.h"
#include "stream/whisper.h"

static_assert((LIMIT_TYPISTS & (LIMIT_TYPISTS - 1)) == 0, "seats are chosen by a mask");

struct seat {
    uint64_t user_id; /* 0: nobody */
    uint64_t chat_id;
    int64_t member_until_ms; /* monotonic, as all of these */
    int64_t quiet_until_ms;
    uint64_t generation; /* of the member, see generation_of() */
    uint32_t removals;   /* from chats, of those who belong here, so far */
    bool is_told;
};

struct typing {
    pthread_mutex_t mutex;
    uint64_t deletions; /* of chats, and breaks of the log */
    struct seat *seats; /* LIMIT_TYPISTS */
};

enum err typing_new(struct typing **ret_typing) {
    struct typing *typing = calloc(1, sizeof(*typing));
    struct seat *seats = calloc(LIMIT_TYPISTS, sizeof(*seats));
    if (typing == NULL || seats == NULL) {
        free(typing);
        free(seats);
        return ERR_NO_MEMORY;
    }
    typing->seats = seats;
    pthread_mutex_init(&typing->mutex, NULL);
    *ret_typing = typing;
    return OK;
}

void typing_free(struct typing *typing) {
    if (typing == NULL)
        return;
    pthread_mutex_destroy(&typing->mutex);
    free(typing->seats);
    free(typing);
}

static struct seat *seat_of(const struct typing *typing, uint64_t user_id, uint64_t chat_id) {
    uint64_t hash = (user_id ^ chat_id * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9);
    return &typing->seats[(hash >> 40) & (LIMIT_TYPISTS - 1)];
}

/* Changes with everything that may end the membership of one who belongs here. */
static uint64_t generation_of(const struct typing *typing, const struct seat *seat) { return typing->deletions << 32 | seat->removals; }

static bool is_at(const struct seat *seat, const struct typist *typist) {
    return seat->user_id == typist->user_id && seat->chat_id == typist->chat_id;
}

static enum typing_verdict judge(struct seat *seat, const struct typist *typist) {
    if (!seat->is_told || typist->now_ms < seat->quiet_until_ms)
        return TYPING_QUIET;
    seat->quiet_until_ms = typist->now_ms + TYPING_INTERVAL_MS;
    return TYPING_DUE;
}

enum typing_verdict typing_take(struct typing *typing, const struct typist *typist, uint64_t *ret_generation) {
    pthread_mutex_lock(&typing->mutex);
    struct seat *seat = seat_of(typing, typist->user_id, typist->chat_id);
    *ret_generation = generation_of(typing, seat);
    bool is_member = is_at(seat, typist) && seat->generation == *ret_generation && typist->now_ms < seat->member_until_ms;
    enum typing_verdict verdict = is_member ? judge(seat, typist) : TYPING_UNKNOWN;
    pthread_mutex_unlock(&typing->mutex);
    return verdict;
}

/* What was heard since the database was asked makes `generation` an old one, which is not believed next time. */
enum typing_verdict typing_learn(struct typing *typing, const struct typist *typist, bool is_told, uint64_t generation) {
    pthread_mutex_lock(&typing->mutex);
    struct seat *seat = seat_of(typing, typist->user_id, typist->chat_id);
    if (!is_at(seat, typist))
        *seat = (struct seat){ .user_id = typist->user_id, .chat_id = typist->chat_id, .removals = seat->removals };
    seat->member_until_ms = typist->now_ms + TYPING_MEMBER_MS;
    seat->generation = generation;
    seat->is_told = is_told;
    enum typing_verdict verdict = judge(seat, typist);
    pthread_mutex_unlock(&typing->mutex);
    return verdict;
}

static void hear(struct typing *typing, const struct frame *frame) {
    if (frame->type == EVENT_MEMBER_REMOVED)
        seat_of(typing, frame->ref_id, frame->owner_id)->removals++;
    else if (frame->type == EVENT_CHAT_DELETED)
        typing->deletions++;
    else if (frame->type == EVENT_USER_BLOCKED || frame->type == EVENT_USER_UNBLOCKED)
        typing->deletions++; /* in their direct chat, which the event does not name */
}

void typing_commit(void *context, uint64_t previous_id, struct frame *const *frames, size_t count) {
    struct typing *typing = context;
    (void)previous_id;
    pthread_mutex_lock(&typing->mutex);
    for (size_t i = 0; i < count; i++)
        hear(typing, frames[i]);
    pthread_mutex_unlock(&typing->mutex);
}

void typing_break(void *context, enum log_break kind, uint64_t head_id) {
    struct typing *typing = context;
    (void)kind;
    (void)head_id;
    pthread_mutex_lock(&typing->mutex);
    typing->deletions++;
    pthread_mutex_unlock(&typing->mutex);
}

/* ---- The handler ---- */

static enum err look_up(struct request *request, const struct typist *typist, uint64_t generation, enum typing_verdict *ret_verdict) {
    struct chat_of_member chat;
    enum err err = read_membership(request->reader, typist->user_id, typist->chat_id, &request->arena, &chat);
    if (err != OK)
        return err;
    bool is_told = chat.chat.type != CHAT_CHANNEL && chat.chat.member_count <= (uint64_t)request->server->config->typing_members_max &&
                   chat.chat.blockers == 0;
    *ret_verdict = typing_learn(request->server->typing, typist, is_told, generation);
    return OK;
}

static void tell(const struct request *request, const struct typist *typist) {
    struct buf json = BUF_INIT;
    buf_char(&json, '{');
    json_member_id(&json, "chat_id", typist->chat_id);
    json_member_id(&json, "user_id", typist->user_id);
    json_member_time(&json, "expires_at", clock_now_ms() + TYPING_EXPIRES_MS);
    buf_char(&json, '}');
    if (buf_ok(&json) && !request->server->draining) /* then the hub may be gone */
        whisper_send(request->server->hub,
                     &(struct whisper){ WHISPER_CHAT, typist->chat_id, typist->user_id, "typing", json.bytes, json.size });
    buf_release(&json);
}

enum err typing_say(struct request *request) {
    const struct typist typist = { request->session.user_id, request->ids[PATH_CHAT_ID], clock_monotonic_ms() };
    uint64_t generation;
    enum typing_verdict verdict = typing_take(request->server->typing, &typist, &generation);
    if (verdict == TYPING_UNKNOWN) {
        enum err err = look_up(request, &typist, generation, &verdict);
        if (err != OK)
            return err;
    }
    if (verdict == TYPING_DUE)
        tell(request, &typist);
    return finish_empty(request);
}
