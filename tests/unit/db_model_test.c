/* Random commands, many at once, against a plain model of the store: whatever is decided, written, fed, paged, swept and reopened has to be what the
 * model says. Commands are decided in the order of the queue, so the model applies them in that order, however the writer cut them into batches.
 *
 * PARLEY_SEED repeats a run's choices (not its batches: these are the threads'), PARLEY_STEPS sets its length in rounds. */
#include "db_support.h"
#include "model_check.h"

#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/limits.h"
#include "core/metrics.h"
#include "core/random.h"

#define DEFAULT_STEPS 40
#define ROUND_COMMANDS 60
#define BURST_COMMANDS 600 /* more than a batch holds, more than a page of a feed */
#define RUSH_COMMANDS 200
#define FIRST_USERS 8
#define MOST_USERS 12
#define MOST_GROUPS 10 /* alive when a round begins */
#define SECOND_MS INT64_C(1000)
#define HOUR_MS (3600 * SECOND_MS)
#define DAY_MS (24 * HOUR_MS)

/* ---- Time --------------------------------------------------------------------------------------------------------------------------- */

/* Wall time stands still but for advance(), so that the model knows to the millisecond what is expired. */
static _Atomic int64_t wall_ms = INT64_C(1800000000000);

int clock_gettime(clockid_t clock, struct timespec *out) {
    if (clock != CLOCK_REALTIME)
        return (int)syscall(SYS_clock_gettime, clock, out);
    int64_t now_ms = atomic_load(&wall_ms);
    *out = (struct timespec){ .tv_sec = now_ms / SECOND_MS, .tv_nsec = now_ms % SECOND_MS * 1000000 };
    return 0;
}

/* ---- A run -------------------------------------------------------------------------------------------------------------------------- */

/* A command and the memory it borrows. */
struct step {
    struct command command;
    char *text;
    char name[32];
    char password[16];
    uint64_t member_ids[8];
    uint64_t media_ids[16];
    uint8_t tokens[2][SHA256_SIZE];
};

struct run {
    struct fixture *fixture;
    struct model model;
    struct dice dice;
    uint64_t ticketed[32]; /* devices that got a ticket at this moment */
    size_t ticketed_count;
    size_t cuts; /* of this round: commands as large as a batch may be */
    size_t commands, commits;
    size_t outcomes[ERR_COUNT];
};

static uint64_t settings_seed, settings_steps;

static void note_commit(void *context, uint64_t previous_id, struct frame *const *frames, size_t count) {
    struct run *run = context;
    run->commits++;
    model_note_commit(&run->model, previous_id, frames, count);
}

static bool chance(struct run *run, unsigned percent) { return roll(&run->dice, 100) < percent; }

static void random_hash(struct run *run, uint8_t out[SHA256_SIZE]) {
    for (size_t i = 0; i < SHA256_SIZE; i++)
        out[i] = (uint8_t)roll(&run->dice, 256);
}

/* ---- Choices: mostly what can succeed, sometimes what cannot ------------------------------------------------------------------------ */

static uint64_t nobody(struct run *run) { return 1 + roll(&run->dice, 1000); }

/* The first user is a stranger: asks for everything and is in no chat. */
static uint64_t stranger(struct run *run) { return run->model.users[0].id; }

static uint64_t some_user(struct run *run) { return run->model.users[1 + roll(&run->dice, run->model.user_count - 1)].id; }

static uint64_t any_user(struct run *run) {
    if (chance(run, 3))
        return nobody(run);
    return chance(run, 4) ? stranger(run) : some_user(run);
}

static bool alive_group(const struct model_chat *chat) {
    return !chat->forgotten && !chat->chat.deleted_ms && chat->chat.type == CHAT_GROUP;
}

/* Mostly one of the first few groups that are alive: much happens in each, and each comes to its end. */
static uint64_t any_chat(struct run *run) {
    const struct model *model = &run->model;
    size_t skip = roll(&run->dice, chance(run, 60) ? 4 : MOST_GROUPS);
    bool any = chance(run, 8);
    if (model->chat_count == 0 || chance(run, 1))
        return chance(run, 50) ? nobody(run) : stranger(run);
    for (size_t i = 0; i < model->chat_count && !any; i++) {
        if (alive_group(&model->chats[i]) && skip-- == 0)
            return model->chats[i].chat.id;
    }
    return model->chats[roll(&run->dice, model->chat_count)].chat.id;
}

/* Mostly a member of the chat. */
static uint64_t any_member(struct run *run, uint64_t chat_id) {
    const struct model *model = &run->model;
    size_t first = model->stay_count ? roll(&run->dice, model->stay_count) : 0;
    bool wrong = chance(run, 5);
    for (size_t i = 0; i < model->stay_count && !wrong; i++) {
        const struct stay *stay = &model->stays[(first + i) % model->stay_count].stay;
        if (stay->chat_id == chat_id && stay->left_id == STAY_OPEN)
            return stay->user_id;
    }
    return any_user(run);
}

/* Mostly one of the chat's last messages, so that several commands of a batch want the same one. */
static uint64_t any_message(struct run *run, uint64_t chat_id) {
    const struct model *model = &run->model;
    size_t skip = roll(&run->dice, 12);
    bool wrong = chance(run, 5);
    for (size_t i = model->message_count; i-- > 0 && !wrong;) {
        if (model->messages[i].message.chat_id == chat_id && skip-- == 0)
            return model->messages[i].message.id;
    }
    return model->event_count ? model->events[roll(&run->dice, model->event_count)].event.id : nobody(run);
}

/* Mostly one that is still there. */
static const struct model_device *any_device(struct run *run) {
    size_t count = run->model.device_count, first = roll(&run->dice, count);
    bool any = chance(run, 10);
    for (size_t i = 0; i < count && !any; i++) {
        if (!run->model.devices[(first + i) % count].removed)
            return &run->model.devices[(first + i) % count];
    }
    return &run->model.devices[first];
}

/* ---- Commands ----------------------------------------------------------------------------------------------------------------------- */

static const char *make_text(struct run *run, struct step *step, size_t *ret_size) {
    size_t size = chance(run, 2) ? 20000 + roll(&run->dice, 60000) : 1 + roll(&run->dice, 40);
    step->text = malloc(size + 1);
    assert_non_null(step->text);
    char letter = (char)('a' + roll(&run->dice, 26));
    for (size_t i = 0; i < size; i++)
        step->text[i] = (char)(i % 7 == 6 ? ' ' : letter);
    step->text[size] = '\0';
    *ret_size = size;
    return step->text;
}

/* Few keys per user, so that they repeat; what they stand for mostly repeats with them. */
static void add_key(struct run *run, struct step *step, uint64_t place) {
    if (!chance(run, 30))
        return;
    step->command.idempotency = (struct idempotency){ .given = true, .key = ID_MAX - roll(&run->dice, 6) };
    memcpy(step->command.idempotency.request, &place, sizeof place);
    step->command.idempotency.request[15] = (uint8_t)step->command.type;
    step->command.idempotency.request[14] = chance(run, 10);
}

/* Mostly none. */
static int64_t any_ttl_ms(struct run *run, unsigned percent) {
    static const int64_t ttls_ms[] = { SECOND_MS, 60 * SECOND_MS, HOUR_MS, 3 * DAY_MS };
    return chance(run, percent) ? ttls_ms[roll(&run->dice, COUNT_OF(ttls_ms))] : 0;
}

/* Mostly one of the newest. */
static const struct media *any_media(struct run *run) {
    const struct model *model = &run->model;
    size_t range = chance(run, 80) && model->media_count > 12 ? 12 : model->media_count;
    return &model->media[model->media_count - 1 - roll(&run->dice, range)].media;
}

/* Mostly one of the user's own that is ready. */
static uint64_t attachable(struct run *run, uint64_t user_id) {
    const struct model *model = &run->model;
    bool any = chance(run, 15);
    for (size_t i = model->media_count; i-- > 0 && !any;) {
        const struct media *media = &model->media[i].media;
        if (media->owner_id == user_id && media->state == MEDIA_READY && chance(run, 40))
            return media->id;
    }
    return model->media_count > 0 && chance(run, 95) ? any_media(run)->id : nobody(run);
}

static void add_media(struct run *run, struct step *step) {
    size_t count = 0;
    for (size_t wanted = 1 + roll(&run->dice, 3); wanted > 0; wanted--) {
        uint64_t id = attachable(run, step->command.actor_id);
        bool repeats = false;
        for (size_t i = 0; i < count; i++)
            repeats = repeats || step->media_ids[i] == id;
        if (!repeats)
            step->media_ids[count++] = id;
    }
    step->command.in.message_post.media_ids = step->media_ids;
    step->command.in.message_post.media_count = count;
}

static void make_plain_post(struct run *run, struct step *step) {
    uint64_t chat_id = any_chat(run);
    size_t size = 0;
    const char *text = make_text(run, step, &size);
    snprintf(step->name, sizeof step->name, "c%u", (unsigned)roll(&run->dice, 1000));
    step->command.type = COMMAND_MESSAGE_POST;
    step->command.actor_id = any_member(run, chat_id);
    step->command.bytes = size;
    step->command.in.message_post.chat_id = chat_id;
    step->command.in.message_post.text = text;
    step->command.in.message_post.text_size = size;
    step->command.in.message_post.client_key = chance(run, 30) ? step->name : NULL;
    step->command.in.message_post.ttl_ms = any_ttl_ms(run, 12);
}

static void make_post(struct run *run, struct step *step) {
    make_plain_post(run, step);
    if (chance(run, 25))
        add_media(run, step);
    add_key(run, step, step->command.in.message_post.chat_id);
}

static void make_edit(struct run *run, struct step *step) {
    uint64_t chat_id = any_chat(run), message_id = any_message(run, chat_id);
    const struct model_message *message = model_message(&run->model, message_id);
    size_t size = 0;
    const char *text = make_text(run, step, &size);
    step->command.type = COMMAND_MESSAGE_EDIT;
    step->command.actor_id = message && chance(run, 80) ? message->message.sender_id : any_member(run, chat_id);
    step->command.in.message_edit.chat_id = chat_id;
    step->command.in.message_edit.message_id = message_id;
    step->command.in.message_edit.text = text;
    step->command.in.message_edit.text_size = size;
}

static void make_delete(struct run *run, struct step *step) {
    uint64_t chat_id = any_chat(run), message_id = any_message(run, chat_id);
    const struct model_message *message = model_message(&run->model, message_id);
    step->command.type = COMMAND_MESSAGE_DELETE;
    step->command.actor_id = message && chance(run, 60) ? message->message.sender_id : any_member(run, chat_id);
    step->command.in.message_delete.chat_id = chat_id;
    step->command.in.message_delete.message_id = message_id;
}

static void make_member_put(struct run *run, struct step *step) {
    uint64_t chat_id = any_chat(run), user_id = chance(run, 50) ? some_user(run) : any_member(run, chat_id);
    step->command.type = COMMAND_MEMBER_PUT;
    step->command.actor_id = any_member(run, chat_id);
    step->command.in.member_put.chat_id = chat_id;
    step->command.in.member_put.user_id = chance(run, 3) || user_id == stranger(run) ? nobody(run) : user_id;
    step->command.in.member_put.role = (enum role)roll(&run->dice, 4);
}

static void make_member_remove(struct run *run, struct step *step) {
    uint64_t chat_id = any_chat(run), user_id = any_member(run, chat_id);
    step->command.type = COMMAND_MEMBER_REMOVE;
    step->command.actor_id = chance(run, 60) ? user_id : any_member(run, chat_id);
    step->command.in.member_remove.chat_id = chat_id;
    step->command.in.member_remove.user_id = user_id;
}

static void make_chat_update(struct run *run, struct step *step) {
    uint64_t chat_id = any_chat(run);
    snprintf(step->name, sizeof step->name, "title %u", (unsigned)roll(&run->dice, 4));
    step->command.type = COMMAND_CHAT_UPDATE;
    step->command.actor_id = any_member(run, chat_id);
    step->command.in.chat_update.chat_id = chat_id;
    step->command.in.chat_update.title = chance(run, 40) ? step->name : NULL;
    step->command.in.chat_update.set_history = chance(run, 40);
    step->command.in.chat_update.set_ttl = chance(run, 30);
    step->command.in.chat_update.message_ttl_ms = any_ttl_ms(run, 30);
    step->command.in.chat_update.set_until_delivered = chance(run, 30);
    step->command.in.chat_update.until_delivered = chance(run, 50);
    step->command.in.chat_update.history = chance(run, 40) ? HISTORY_ALL : HISTORY_FROM_JOIN;
}

static void make_chat_delete(struct run *run, struct step *step) {
    uint64_t chat_id = any_chat(run);
    step->command.type = COMMAND_CHAT_DELETE;
    step->command.actor_id = any_member(run, chat_id);
    step->command.in.chat_delete.chat_id = chat_id;
}

static bool listed(const struct step *step, size_t count, uint64_t user_id) {
    for (size_t i = 0; i < count; i++) {
        if (step->member_ids[i] == user_id)
            return true;
    }
    return user_id == step->command.actor_id;
}

static void make_group_of(struct run *run, struct step *step) {
    size_t count = 0;
    snprintf(step->name, sizeof step->name, "group %u", (unsigned)roll(&run->dice, 100));
    step->command.type = COMMAND_CHAT_CREATE;
    step->command.actor_id = some_user(run);
    for (size_t wanted = roll(&run->dice, COUNT_OF(step->member_ids)); wanted > 0; wanted--) {
        uint64_t user_id = chance(run, 3) ? nobody(run) : some_user(run);
        if (!listed(step, count, user_id))
            step->member_ids[count++] = user_id;
    }
    step->command.in.chat_create.type = CHAT_GROUP;
    step->command.in.chat_create.history = chance(run, 30) ? HISTORY_ALL : HISTORY_FROM_JOIN;
    step->command.in.chat_create.title = step->name;
    step->command.in.chat_create.member_ids = step->member_ids;
    step->command.in.chat_create.member_count = count;
    step->command.in.chat_create.message_ttl_ms = any_ttl_ms(run, 10);
    step->command.in.chat_create.until_delivered = chance(run, 20);
    add_key(run, step, 1);
}

static void make_direct(struct run *run, struct step *step) {
    step->command.type = COMMAND_CHAT_CREATE;
    step->command.actor_id = some_user(run);
    do {
        step->member_ids[0] = chance(run, 3) ? nobody(run) : some_user(run);
    } while (step->member_ids[0] == step->command.actor_id);
    step->command.in.chat_create.type = CHAT_DIRECT;
    step->command.in.chat_create.member_ids = step->member_ids;
    step->command.in.chat_create.member_count = 1;
    step->command.in.chat_create.until_delivered = chance(run, 30);
    add_key(run, step, step->member_ids[0]);
}

/* Groups stay few, so that much happens in each. */
static void make_chat(struct run *run, struct step *step) {
    size_t groups = 0;
    for (size_t i = 0; i < run->model.chat_count; i++)
        groups += alive_group(&run->model.chats[i]);
    if (chance(run, 20))
        make_direct(run, step);
    else if (groups < MOST_GROUPS)
        make_group_of(run, step);
    else
        make_post(run, step);
}

static void name_user(struct step *step, unsigned number) {
    snprintf(step->name, sizeof step->name, "user%u", number);
    snprintf(step->password, sizeof step->password, "secret%u", number);
    step->command.type = COMMAND_USER_CREATE;
    step->command.in.user_create.username = step->name;
    step->command.in.user_create.display_name = step->name;
    step->command.in.user_create.password = step->password;
    step->command.in.user_create.device_name = "first";
}

static void make_account(struct run *run, struct step *step) {
    bool full = run->model.user_count >= MOST_USERS;
    name_user(step, full ? (unsigned)roll(&run->dice, FIRST_USERS) : (unsigned)(run->model.user_count + roll(&run->dice, 2)));
    for (size_t i = 0; i < COUNT_OF(step->tokens); i++)
        random_hash(run, step->tokens[i]);
    step->command.in.user_create.tokens = (const uint8_t(*)[SHA256_SIZE])step->tokens;
    step->command.in.user_create.token_count = roll(&run->dice, COUNT_OF(step->tokens) + 1);
}

static void make_user_update(struct run *run, struct step *step) {
    snprintf(step->name, sizeof step->name, "name %u", (unsigned)roll(&run->dice, 3));
    step->command.type = COMMAND_USER_UPDATE;
    step->command.actor_id = any_user(run);
    step->command.in.user_update.display_name = step->name;
}

/* Mostly the password that is right as of the round's beginning. */
static const char *guess_password(struct run *run, uint64_t user_id) {
    const struct user *user = model_user(&run->model, user_id);
    return user && chance(run, 85) ? user->password : "wrong";
}

static void make_password(struct run *run, struct step *step) {
    const struct model_device *device = any_device(run);
    snprintf(step->password, sizeof step->password, "secret%u", (unsigned)roll(&run->dice, 100));
    step->command.type = COMMAND_PASSWORD_SET;
    step->command.actor_id = device->device.user_id;
    step->command.device_id = chance(run, 80) ? device->device.id : 0;
    step->command.in.password_set.expected = chance(run, 80) ? guess_password(run, device->device.user_id) : NULL;
    step->command.in.password_set.password = step->password;
}

static void make_session(struct run *run, struct step *step) {
    step->command.type = COMMAND_SESSION_CREATE;
    step->command.actor_id = any_user(run);
    random_hash(run, step->tokens[0]);
    snprintf(step->name, sizeof step->name, "device %u", (unsigned)roll(&run->dice, 100));
    step->command.in.session_create.expected = guess_password(run, step->command.actor_id);
    step->command.in.session_create.device_name = step->name;
    step->command.in.session_create.token = step->tokens[0];
}

static void make_device_remove(struct run *run, struct step *step) {
    const struct model_device *device = any_device(run);
    step->command.type = COMMAND_DEVICE_REMOVE;
    step->command.actor_id = chance(run, 90) ? device->device.user_id : any_user(run);
    step->command.in.device_remove.device_id = device->device.id;
    step->command.in.device_remove.reason = chance(run, 50) ? REMOVAL_LOGGED_OUT : REMOVAL_REVOKED;
}

static void make_ticket_use(struct run *run, struct step *step) {
    size_t count = run->model.ticket_count;
    step->command.type = COMMAND_TICKET_USE;
    random_hash(run, step->tokens[0]);
    if (count > 0)
        memcpy(step->tokens[0], run->model.tickets[count - 1 - roll(&run->dice, count < 5 ? count : 5)].ticket, SHA256_SIZE);
    step->command.in.ticket_use.ticket = step->tokens[0];
}

/* Which of a device's tickets are its newest shall be clear, so it gets one at a time. */
static bool first_ticket_of_moment(struct run *run, uint64_t device_id) {
    for (size_t i = 0; i < run->ticketed_count; i++) {
        if (run->ticketed[i] == device_id)
            return false;
    }
    if (run->ticketed_count == COUNT_OF(run->ticketed))
        return false;
    run->ticketed[run->ticketed_count++] = device_id;
    return true;
}

static void make_ticket(struct run *run, struct step *step) {
    const struct model_device *device = any_device(run);
    if (!first_ticket_of_moment(run, device->device.id))
        return make_ticket_use(run, step);
    step->command.type = COMMAND_TICKET_CREATE;
    step->command.actor_id = device->device.user_id;
    step->command.device_id = device->device.id;
    random_hash(run, step->tokens[0]);
    step->command.in.ticket_create.ticket = step->tokens[0];
}

static void make_media(struct run *run, struct step *step) {
    struct media *media = &step->command.in.media_create.media;
    snprintf(step->name, sizeof step->name, "file %u", (unsigned)roll(&run->dice, 100));
    step->command.type = COMMAND_MEDIA_CREATE;
    step->command.actor_id = any_user(run);
    *media = (struct media){ .content_type = chance(run, 70) ? "image/png" : "text/plain", .size = 1 + (int64_t)roll(&run->dice, 9000) };
    media->file_name = chance(run, 50) ? step->name : NULL;
    media->has_sha256 = chance(run, 20);
    random_hash(run, step->tokens[0]);
    memcpy(media->md5, step->tokens[0], MD5_SIZE);
    if (media->has_sha256)
        random_hash(run, media->sha256);
    if (chance(run, 40))
        media->width = 640, media->height = 480;
    if (chance(run, 25))
        media->thumbnail_id = attachable(run, step->command.actor_id);
    step->command.in.media_create.upload_until_ms = atomic_load(&wall_ms) + HOUR_MS;
    add_key(run, step, 2);
}

static void make_media_change(struct run *run, struct step *step) {
    if (run->model.media_count == 0)
        return make_media(run, step);
    const struct media *media = any_media(run);
    uint64_t at = roll(&run->dice, 100);
    step->command.actor_id = chance(run, 92) ? media->owner_id : any_user(run);
    step->command.type = at < 70   ? COMMAND_MEDIA_COMPLETE
                         : at < 80 ? COMMAND_MEDIA_DELETE
                         : at < 90 ? COMMAND_MEDIA_SIGN
                                   : COMMAND_MEDIA_BEGIN;
    switch ((int)step->command.type) {
    case COMMAND_MEDIA_COMPLETE:
        step->command.in.media_complete.media_id = media->id;
        break;
    case COMMAND_MEDIA_DELETE:
        step->command.in.media_delete.media_id = media->id;
        break;
    case COMMAND_MEDIA_SIGN:
        step->command.in.media_sign.media_id = media->id;
        step->command.in.media_sign.upload_until_ms = atomic_load(&wall_ms) + (int64_t)roll(&run->dice, 2 * HOUR_MS);
        break;
    case COMMAND_MEDIA_BEGIN:
        snprintf(step->name, sizeof step->name, "upload %u", (unsigned)roll(&run->dice, 100));
        step->command.in.media_begin.media_id = media->id;
        step->command.in.media_begin.upload_id = step->name;
        break;
    }
}

static void make_media_forget(struct run *run, struct step *step) {
    size_t count = 0;
    for (size_t i = 0; i < run->model.media_count && count < COUNT_OF(step->media_ids) - 1; i++) {
        const struct model_media *entry = &run->model.media[i];
        if (!entry->removed && entry->media.state == MEDIA_DOOMED && chance(run, 60))
            step->media_ids[count++] = entry->media.id;
    }
    step->media_ids[count] = run->model.media_count > 0 ? any_media(run)->id : nobody(run);
    step->command.type = COMMAND_MEDIA_FORGET;
    step->command.in.media_forget.media_ids = step->media_ids;
    step->command.in.media_forget.count = count + 1;
}

static void make_lease(struct run *run, struct step *step) {
    step->command.type = COMMAND_LEASE;
    step->command.in.lease.name = chance(run, 50) ? "one" : "other";
    step->command.in.lease.holder = 1 + roll(&run->dice, 2);
    step->command.in.lease.until_ms = chance(run, 30) ? 0 : atomic_load(&wall_ms) + (int64_t)roll(&run->dice, 60 * SECOND_MS);
}

/* Mostly all that there is, so that messages that wait for it do go. */
static void make_ack(struct run *run, struct step *step) {
    const struct model_device *device = any_device(run);
    step->command.type = COMMAND_EVENTS_ACK;
    step->command.actor_id = device->device.user_id;
    step->command.device_id = device->device.id;
    step->command.in.events_ack.id = run->model.head;
    if (chance(run, 30) && run->model.event_count > 0)
        step->command.in.events_ack.id = run->model.events[roll(&run->dice, run->model.event_count)].event.id;
    if (chance(run, 4))
        step->command.in.events_ack.id = ID_MAX;
}

static const struct {
    unsigned weight;
    void (*make)(struct run *run, struct step *step);
} makers[] = {
    { 400, make_post },       { 110, make_edit },        { 60, make_delete },        { 100, make_member_put }, { 45, make_member_remove },
    { 40, make_chat_update }, { 4, make_chat_delete },   { 70, make_chat },          { 10, make_account },     { 20, make_user_update },
    { 8, make_password },     { 40, make_session },      { 20, make_device_remove }, { 40, make_ticket },      { 15, make_ticket_use },
    { 70, make_media },       { 90, make_media_change }, { 6, make_media_forget },   { 8, make_lease },        { 40, make_ack },
};

static void make_any(struct run *run, struct step *step) {
    unsigned total = 0;
    for (size_t i = 0; i < COUNT_OF(makers); i++)
        total += makers[i].weight;
    uint64_t at = roll(&run->dice, total);
    size_t i = 0;
    for (; at >= makers[i].weight; i++)
        at -= makers[i].weight;
    makers[i].make(run, step);
}

/* Batches that end early, so that many posts wait while they are committed; what these need is mostly known. */
static void make_rush(struct run *run, struct step *step) {
    static const size_t most = LIMIT_QUEUE_BYTES / LIMIT_BATCH_BYTES - 2;
    bool is_plain = chance(run, 85);
    (is_plain ? make_plain_post : make_any)(run, step);
    if (is_plain && chance(run, 30))
        add_key(run, step, step->command.in.message_post.chat_id);
    if (run->cuts < most && chance(run, 4)) {
        step->command.bytes = LIMIT_BATCH_BYTES;
        run->cuts++;
    }
}

static void make_touch(struct run *run, struct step *step) {
    step->command.type = COMMAND_DEVICE_TOUCH;
    step->command.device_id = any_device(run)->device.id;
    step->command.in.device_touch.seen_ms = atomic_load(&wall_ms) - (int64_t)roll(&run->dice, 5000);
}

/* ---- Rounds ------------------------------------------------------------------------------------------------------------------------- */

static void submit_all(struct run *run, struct step *steps, size_t count) {
    struct volley *volley = malloc(sizeof *volley);
    assert_non_null(volley);
    if (chance(run, 60))
        volley_begin_shut(volley, run->fixture);
    else
        volley_begin(volley, run->fixture);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(volley_submit(volley, &steps[i].command), OK);
    volley_wait(volley);
    assert_true(volley->in_order);
    free(volley);
}

static void apply_all(struct run *run, struct step *steps, size_t count) {
    for (size_t i = 0; i < count; i++) {
        model_apply(&run->model, &steps[i].command);
        run->outcomes[steps[i].command.refusal.err]++;
        command_release(&steps[i].command);
        free(steps[i].text);
    }
    run->commands += count;
    assert_int_equal(run->model.frames_taken, run->model.frame_count);
    assert_int_equal(run->model.head, store_head(run->fixture->store));
    free(steps);
}

static void run_round(struct run *run, size_t count, void (*make)(struct run *run, struct step *step)) {
    struct step *steps = calloc(count, sizeof *steps);
    assert_non_null(steps);
    run->cuts = 0;
    for (size_t i = 0; i < count; i++)
        make(run, &steps[i]);
    run->model.alone = count == 1;
    submit_all(run, steps, count);
    apply_all(run, steps, count);
}

static void create_first_users(struct run *run) {
    struct step *steps = calloc(FIRST_USERS, sizeof *steps);
    assert_non_null(steps);
    run->model.now_ms = atomic_load(&wall_ms);
    for (unsigned i = 0; i < FIRST_USERS; i++) {
        name_user(&steps[i], i);
        random_hash(run, steps[i].tokens[0]);
        steps[i].command.in.user_create.tokens = (const uint8_t(*)[SHA256_SIZE])steps[i].tokens;
        steps[i].command.in.user_create.token_count = 1;
    }
    submit_all(run, steps, FIRST_USERS);
    apply_all(run, steps, FIRST_USERS);
}

/* Somebody else's media, by somebody who may see it or not. Alone, so that what is seen is certain. */
static void make_forward(struct run *run, struct step *step) {
    make_post(run, step);
    if (run->model.media_count == 0)
        return;
    step->media_ids[0] = any_media(run)->id;
    step->command.in.message_post.media_ids = step->media_ids;
    step->command.in.message_post.media_count = 1;
}

/* The moment at which something of the past is just over, or just not yet. */
static int64_t edge_ms(struct run *run) {
    const struct model *model = &run->model;
    int64_t past_ms = model->now_ms;
    if (model->event_count > 0)
        past_ms = model->events[model->event_count - 1 - roll(&run->dice, model->event_count < 300 ? model->event_count : 300)].created_ms;
    int64_t spans_ms[] = { model->config->retention_ms,
                           model->config->retention_ms,
                           model->config->edit_window_ms,
                           model->config->delete_window_ms,
                           TICKET_FIRST_USE_MS,
                           SECOND_MS,
                           60 * SECOND_MS,
                           HOUR_MS,
                           model->config->media_unused_ms,
                           model->config->media_grace_ms };
    int64_t span_ms = spans_ms[roll(&run->dice, COUNT_OF(spans_ms))];
    return span_ms == CONFIG_FOREVER ? 0 : past_ms + span_ms + (int64_t)roll(&run->dice, 2);
}

/* True: to such a moment. */
static bool advance(struct run *run) {
    static const int64_t ranges_ms[] = {
        SECOND_MS, SECOND_MS, SECOND_MS, 60 * SECOND_MS, 60 * SECOND_MS, HOUR_MS, 10 * HOUR_MS, 5 * DAY_MS
    };
    int64_t next_ms = chance(run, 40) ? edge_ms(run) : 0;
    bool at_edge = next_ms > run->model.now_ms;
    if (!at_edge) {
        uint64_t range_ms = (uint64_t)ranges_ms[roll(&run->dice, COUNT_OF(ranges_ms))];
        next_ms = run->model.now_ms + 1 + (int64_t)roll(&run->dice, range_ms);
    }
    run->ticketed_count = 0;
    run->model.now_ms = next_ms;
    atomic_store(&wall_ms, next_ms);
    return at_edge;
}

/* What is only counted changes nothing. */
static void count_all(struct run *run) {
    for (enum sweep_kind kind = 0; kind < SWEEP_KINDS; kind++) {
        struct command sweep = { .type = COMMAND_SWEEP, .in.sweep = { .kind = kind, .dry_run = true } };
        assert_int_equal(store_run(run->fixture->store, &sweep), OK);
        command_release(&sweep);
    }
    assert_int_equal(run->model.frames_taken, run->model.frame_count);
}

static void clean(struct run *run) {
    count_all(run);
    sweep_all(run->fixture);
    model_sweep(&run->model);
    assert_int_equal(store_floor(run->fixture->store), run->model.floor);
    assert_int_equal(store_head(run->fixture->store), run->model.head);
}

/* Other settings come with another start. */
static void restart(struct run *run) {
    static const int64_t retentions_ms[] = { CONFIG_FOREVER, HOUR_MS, DAY_MS, 4 * DAY_MS };
    static const int64_t windows_ms[] = { 0, 60 * SECOND_MS, HOUR_MS, DAY_MS };
    struct config *config = &run->fixture->config;
    config->retention_ms = retentions_ms[roll(&run->dice, COUNT_OF(retentions_ms))];
    config->edit_window_ms = windows_ms[roll(&run->dice, COUNT_OF(windows_ms))];
    config->delete_window_ms = windows_ms[roll(&run->dice, COUNT_OF(windows_ms))];
    config->group_max = 3 + (int64_t)roll(&run->dice, 6);
    config->session_idle_ms = chance(run, 50) ? 90 * DAY_MS : 3 * DAY_MS;
    config->session_max_ms = chance(run, 50) ? 365 * DAY_MS : 10 * DAY_MS;
    config->dormant_after_ms = chance(run, 50) ? 30 * DAY_MS : HOUR_MS;
    config->media_unused_ms = chance(run, 50) ? DAY_MS : HOUR_MS;
    config->media_grace_ms = chance(run, 50) ? 10 * HOUR_MS : 60 * SECOND_MS;
    config->media_pending = 1 + (int64_t)roll(&run->dice, 10);
    config->media_quota = chance(run, 50) ? 0 : 15000;
    run->fixture->key_run = 1 + roll(&run->dice, 40);
    run->fixture->index_lag += roll(&run->dice, 20); /* it may only grow */
    fixture_reopen(run->fixture);
    assert_int_equal(store_head(run->fixture->store), run->model.head);
    assert_int_equal(store_floor(run->fixture->store), run->model.floor);
}

static void take_step(struct run *run) {
    bool at_edge = advance(run);
    if (at_edge && chance(run, 30))
        clean(run);
    if (at_edge && chance(run, 50))
        check_all(&run->model, run->fixture->reader, &run->dice);
    if (chance(run, 6))
        run_round(run, BURST_COMMANDS, chance(run, 70) ? make_post : make_any);
    if (chance(run, 25))
        run_round(run, RUSH_COMMANDS, make_rush);
    run_round(run, 1 + roll(&run->dice, ROUND_COMMANDS), make_any);
    for (uint64_t forwards = roll(&run->dice, 6); forwards > 0; forwards--)
        run_round(run, 1, make_forward);
    if (chance(run, 20))
        run_round(run, 5, make_touch);
    if (chance(run, 15))
        clean(run);
    if (chance(run, 20))
        restart(run);
    if (chance(run, 20))
        check_all(&run->model, run->fixture->reader, &run->dice);
}

static void report(const struct run *run) {
    print_message("%zu commands, %llu of them decided ahead, %zu events, %zu commits with events, %llu behind others;", run->commands,
                  (unsigned long long)metric_get(COUNTER_COMMANDS_AHEAD), run->model.event_count, run->commits,
                  (unsigned long long)metric_get(COUNTER_BATCHES_BEHIND));
    for (enum err err = OK; err < ERR_COUNT; err++) {
        if (run->outcomes[err])
            print_message(" %s %zu", err == OK ? "ok" : err_name(err), run->outcomes[err]);
    }
    print_message("\n");
}

static void store_does_what_the_model_does(void **state) {
    static struct run run; /* static: what a failing test leaves behind is no leak */
    run = (struct run){ .fixture = *state, .dice = { settings_seed } };
    run.fixture->index_lag = 1 + roll(&run.dice, 10);
    run.fixture->trusts_after = 1;
    print_message("PARLEY_SEED=%llu PARLEY_STEPS=%llu\n", (unsigned long long)settings_seed, (unsigned long long)settings_steps);
    run.fixture->config.devices_per_user = 3;
    run.fixture->config.group_max = 6;
    run.fixture->listener = note_commit;
    run.fixture->listener_context = &run;
    model_init(&run.model, &run.fixture->config);
    fixture_reopen(run.fixture);
    create_first_users(&run);
    for (uint64_t i = 0; i < settings_steps; i++)
        take_step(&run);
    check_all(&run.model, run.fixture->reader, &run.dice);
    restart(&run);
    check_all(&run.model, run.fixture->reader, &run.dice);
    report(&run);
    run.fixture->listener = NULL;
    fixture_reopen(run.fixture);
    model_release(&run.model);
}

/* A machine's clock may be set back; along the log times never go back, which retention relies on. */
static void times_never_go_back(void **state) {
    struct fixture *fixture = *state;
    uint64_t ann = make_user(fixture, "ann");
    uint64_t chat = make_group(fixture, ann, NULL, 0);
    uint64_t before = post_ok(fixture, ann, chat, "before");
    atomic_fetch_sub(&wall_ms, HOUR_MS);
    uint64_t after = post_ok(fixture, ann, chat, "after");
    fixture_reopen(fixture);
    uint64_t reopened = post_ok(fixture, ann, chat, "after a new start");
    atomic_fetch_add(&wall_ms, HOUR_MS);
    uint64_t ids[] = { before, after, reopened };
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        struct message message;
        assert_int_equal(find_message(fixture, ann, chat, ids[i], &message), OK);
        assert_int_equal(message.created_ms, atomic_load(&wall_ms));
    }
}

/* A device that asks for one ticket after the other keeps the newest few. */
static void newest_tickets_stay(void **state) {
    enum { TICKETS = LIMIT_TICKETS_PER_DEVICE + 3 };
    struct fixture *fixture = *state;
    struct device *devices = NULL;
    size_t count = 0;
    uint64_t ann = make_user(fixture, "ann");
    assert_int_equal(read_devices(fixture->reader, ann, &fixture->arena, &devices, &count), OK);
    uint8_t tickets[TICKETS][SHA256_SIZE] = { { 0 } };
    for (size_t i = 0; i < TICKETS; i++) {
        tickets[i][0] = (uint8_t)(7 * i + 1);
        atomic_fetch_add(&wall_ms, 1);
        struct command command = {
            .type = COMMAND_TICKET_CREATE, .actor_id = ann, .device_id = devices[0].id, .in.ticket_create = { tickets[i] }
        };
        assert_int_equal(store_run(fixture->store, &command), OK);
    }
    for (size_t i = 0; i < TICKETS; i++) {
        struct session session;
        bool unused = false;
        enum err expected = i < TICKETS - LIMIT_TICKETS_PER_DEVICE ? ERR_NOT_FOUND : OK;
        assert_int_equal(read_ticket(fixture->reader, tickets[i], &session, &unused), expected);
    }
}

/* Read and taken away at once: the settings of a server know no such names. */
static uint64_t take_setting(const char *name, uint64_t otherwise) {
    const char *text = getenv(name);
    uint64_t value = text ? strtoull(text, NULL, 10) : otherwise;
    unsetenv(name);
    return value;
}

int main(void) {
    settings_seed = take_setting("PARLEY_SEED", random_u64());
    settings_steps = take_setting("PARLEY_STEPS", DEFAULT_STEPS);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(store_does_what_the_model_does, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(times_never_go_back, fixture_set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(newest_tickets_stay, fixture_set_up, fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
