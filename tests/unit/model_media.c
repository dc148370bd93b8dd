#include "model.h"

#include <stdio.h>

/* ---- Rows --------------------------------------------------------------------------------------------------------------------------- */

struct model_media *model_media(const struct model *model, uint64_t media_id) {
    for (size_t i = 0; i < model->media_count; i++) {
        if (model->media[i].media.id == media_id)
            return model->media[i].removed ? NULL : &model->media[i];
    }
    return NULL;
}

static struct media *add_media(struct model *model) {
    model->media = realloc(model->media, (model->media_count + 1) * sizeof *model->media);
    assert_non_null(model->media);
    struct model_media *entry = &model->media[model->media_count++];
    *entry = (struct model_media){ .removed = false };
    return &entry->media;
}

/* One that is not doomed. */
static struct media *alive(const struct model *model, uint64_t media_id) {
    struct model_media *entry = model_media(model, media_id);
    return entry && entry->media.state != MEDIA_DOOMED ? &entry->media : NULL;
}

static struct media *own(const struct model *model, const struct command *command, uint64_t media_id) {
    struct media *media = alive(model, media_id);
    return media && media->owner_id == command->actor_id ? media : NULL;
}

static bool refers(const struct model_message *message, uint64_t media_id) {
    for (size_t i = 0; i < message->attached_count; i++) {
        if (message->attached[i] == media_id)
            return true;
    }
    return false;
}

static bool in_use(const struct model *model, uint64_t media_id) {
    for (size_t i = 0; i < model->message_count; i++) {
        if (refers(&model->messages[i], media_id))
            return true;
    }
    return false;
}

/* ---- Who sees what ------------------------------------------------------------------------------------------------------------------ */

static bool within(const struct stay *stay, uint64_t id) { return stay->joined_id <= id && id <= stay->left_id; }

static bool was_in(const struct model *model, const struct stay *of, uint64_t id) {
    for (size_t i = 0; i < model->stay_count; i++) {
        const struct model_stay *stay = &model->stays[i];
        if (!stay->removed && stay->stay.chat_id == of->chat_id && stay->stay.user_id == of->user_id && within(&stay->stay, id))
            return true;
    }
    return false;
}

static bool reads(const struct model *model, uint64_t user_id, const struct message *message) {
    const struct model_chat *chat = model_chat(model, message->chat_id);
    for (size_t i = 0; i < model->stay_count && chat && !chat->chat.deleted_ms; i++) {
        const struct stay *stay = &model->stays[i].stay;
        if (model->stays[i].removed || stay->user_id != user_id || stay->chat_id != message->chat_id)
            continue;
        bool all = stay->left_id == STAY_OPEN && chat->chat.history == HISTORY_ALL;
        bool unchanged = message->changed_id <= stay->left_id || was_in(model, stay, message->changed_id);
        if ((all || within(stay, message->id)) && unchanged)
            return true;
    }
    return false;
}

bool model_sees(const struct model *model, uint64_t user_id, uint64_t media_id) {
    for (size_t i = 0; i < model->message_count; i++) {
        const struct model_message *entry = &model->messages[i];
        bool there = refers(entry, media_id) && !model_gone_ms(model, entry) && entry->message.created_ms > model_cutoff_ms(model);
        if (there && reads(model, user_id, &entry->message))
            return true;
    }
    return false;
}

/* ---- Uploads ------------------------------------------------------------------------------------------------------------------------ */

static void prolong_thumbnail(struct model *model, const struct media *parent) {
    struct media *thumbnail = alive(model, parent->thumbnail_id);
    if (thumbnail && thumbnail->expires_ms < parent->expires_ms)
        thumbnail->expires_ms = parent->expires_ms;
}

static bool good_thumbnail(const struct model *model, const struct command *command) {
    uint64_t id = command->in.media_create.media.thumbnail_id;
    const struct media *media = own(model, command, id);
    return id == 0 || (media && media->state == MEDIA_READY && strncmp(media->content_type, "image/", 6) == 0);
}

static enum err judge_create(const struct model *model, const struct command *command) {
    int64_t bytes = command->in.media_create.media.size, pending = 0;
    for (size_t i = 0; i < model->media_count; i++) {
        const struct model_media *entry = &model->media[i];
        bool counts = !entry->removed && entry->media.owner_id == command->actor_id;
        bytes += counts ? entry->media.size : 0;
        pending += counts && entry->media.state == MEDIA_PENDING;
    }
    if (!model_user(model, command->actor_id))
        return ERR_NOT_FOUND;
    if (!good_thumbnail(model, command))
        return ERR_BAD_FIELD;
    if (pending >= model->config->media_pending)
        return ERR_TOO_MANY_UPLOADS;
    return model->config->media_quota != 0 && bytes > model->config->media_quota ? ERR_MEDIA_QUOTA : OK;
}

/* What the command answers is the row. */
static void check_answer(const struct command *command, const struct media *media) {
    const struct media *answer = &command->out.media;
    if (command->refusal.err != OK)
        return;
    assert_true(command->out.id == media->id && answer->id == media->id && answer->owner_id == media->owner_id);
    assert_true(answer->state == media->state && answer->size == media->size && answer->thumbnail_id == media->thumbnail_id);
    assert_true(answer->expires_ms == media->expires_ms && answer->upload_until_ms == media->upload_until_ms);
    assert_string_equal(answer->content_type, media->content_type);
    assert_int_equal(answer->upload_id != NULL, media->upload_id != NULL);
    if (media->upload_id)
        assert_string_equal(answer->upload_id, media->upload_id);
}

static enum err answer_repeated(const struct model *model, const struct command *command, uint64_t media_id) {
    const struct media *media = own(model, command, media_id);
    if (!media)
        return ERR_NOT_FOUND;
    check_answer(command, media);
    assert_true(command->refusal.err != OK || command->out.existed);
    return OK;
}

enum err apply_media_create(struct model *model, const struct command *command) {
    const struct model_key *key = model_find_key(model, command);
    if (key)
        return model_same_request(key, command) ? answer_repeated(model, command, key->result_id) : ERR_IDEMPOTENCY_MISMATCH;
    enum err err = judge_create(model, command);
    if (err != OK || command->refusal.err != OK)
        return err;
    struct media *media = add_media(model);
    *media = command->in.media_create.media;
    media->id = command->out.id;
    media->owner_id = command->actor_id;
    media->state = MEDIA_PENDING;
    memcpy(media->token, command->out.media.token, MEDIA_TOKEN_BYTES);
    media->content_type = model_keep(model, media->content_type);
    media->file_name = model_keep(model, media->file_name);
    media->created_ms = model->now_ms;
    media->expires_ms = model->now_ms + model->config->media_unused_ms;
    media->upload_until_ms = command->in.media_create.upload_until_ms;
    prolong_thumbnail(model, media);
    model_note_key(model, command, media->id);
    check_answer(command, media);
    return OK;
}

enum err apply_media_begin(struct model *model, const struct command *command) {
    struct media *media = own(model, command, command->in.media_begin.media_id);
    if (!media)
        return ERR_NOT_FOUND;
    if (media->state != MEDIA_PENDING || media->upload_id)
        return ERR_CONFLICT;
    media->upload_id = model_keep(model, command->in.media_begin.upload_id);
    check_answer(command, media);
    return OK;
}

enum err apply_media_complete(struct model *model, const struct command *command) {
    struct media *media = own(model, command, command->in.media_complete.media_id);
    if (!media)
        return ERR_NOT_FOUND;
    assert_int_equal(command->out.existed, media->state == MEDIA_READY);
    if (media->state == MEDIA_PENDING) {
        media->state = MEDIA_READY;
        media->expires_ms = model->now_ms + model->config->media_unused_ms;
        prolong_thumbnail(model, media);
    }
    check_answer(command, media);
    return OK;
}

enum err apply_media_sign(struct model *model, const struct command *command) {
    struct media *media = own(model, command, command->in.media_sign.media_id);
    if (!media)
        return ERR_NOT_FOUND;
    if (media->state != MEDIA_PENDING)
        return ERR_CONFLICT;
    if (media->upload_until_ms < command->in.media_sign.upload_until_ms)
        media->upload_until_ms = command->in.media_sign.upload_until_ms;
    check_answer(command, media);
    return OK;
}

enum err apply_media_delete(struct model *model, const struct command *command) {
    struct media *media = own(model, command, command->in.media_delete.media_id);
    if (!media)
        return ERR_NOT_FOUND;
    if (in_use(model, media->id))
        return ERR_MEDIA_IN_USE;
    media->state = MEDIA_DOOMED;
    media->expires_ms = model->now_ms;
    return OK;
}

enum err apply_media_forget(struct model *model, const struct command *command) {
    uint64_t rows = 0;
    for (size_t i = 0; i < command->in.media_forget.count; i++) {
        struct model_media *entry = model_media(model, command->in.media_forget.media_ids[i]);
        if (!entry || entry->media.state != MEDIA_DOOMED || entry->media.expires_ms > model->now_ms)
            continue;
        entry->removed = entry->media.upload_until_ms < entry->media.expires_ms;
        rows += entry->removed;
        if (!entry->removed)
            entry->media.expires_ms = entry->media.upload_until_ms + 1000;
    }
    assert_true(command->refusal.err != OK || command->out.sweep.rows == rows);
    return OK;
}

void model_doom(struct model *model) {
    for (size_t i = 0; i < model->media_count; i++) {
        struct media *media = &model->media[i].media;
        if (media->expires_ms <= model->now_ms && media->state != MEDIA_DOOMED)
            media->state = MEDIA_DOOMED;
    }
}

/* ---- Messages ----------------------------------------------------------------------------------------------------------------------- */

/* Somebody else's may be attached by who sees it: as of when the batch began, which other commands of the round may have changed. */
static bool may_forward(const struct model *model, const struct command *command, const struct media *media) {
    return model->alone ? model_sees(model, command->actor_id, media->id) : command->refusal.err != ERR_BAD_FIELD;
}

enum err model_may_attach(const struct model *model, const struct command *command) {
    for (size_t i = 0; i < command->in.message_post.media_count; i++) {
        const struct media *media = alive(model, command->in.message_post.media_ids[i]);
        if (!media)
            return ERR_BAD_FIELD;
        if (media->owner_id == command->actor_id && media->state != MEDIA_READY)
            return ERR_MEDIA_NOT_READY;
        if (media->owner_id != command->actor_id && (media->state != MEDIA_READY || !may_forward(model, command, media)))
            return ERR_BAD_FIELD;
    }
    return OK;
}

PRINTF_LIKE(2, 3) static void print(struct buf *buf, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    buf_string(buf, text);
}

static void print_hex(struct buf *buf, const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        print(buf, "%02x", bytes[i]);
}

/* The attachment as the document of the interface says, written down a second time. */
static void print_attachment(struct buf *buf, const struct media *media, const struct media *thumbnail) {
    print(buf, "{\"id\":\"%llu\",\"content_type\":\"%s\",\"size\":%lld,\"md5\":\"", (unsigned long long)media->id, media->content_type,
          (long long)media->size);
    print_hex(buf, media->md5, MD5_SIZE);
    print(buf, "\"");
    if (media->has_sha256) {
        print(buf, ",\"sha256\":\"");
        print_hex(buf, media->sha256, SHA256_SIZE);
        print(buf, "\"");
    }
    if (media->file_name)
        print(buf, ",\"file_name\":\"%s\"", media->file_name);
    if (media->width)
        print(buf, ",\"width\":%u,\"height\":%u", media->width, media->height);
    if (thumbnail) {
        print(buf, ",\"thumbnail\":");
        print_attachment(buf, thumbnail, NULL);
    }
    print(buf, "}");
}

static void refer(struct model_message *entry, struct media *media) {
    if (!refers(entry, media->id))
        entry->attached[entry->attached_count++] = media->id;
    media->expires_ms = MEDIA_NEVER;
}

void model_attach(struct model *model, const struct command *command, struct model_message *entry) {
    struct buf rendered = BUF_INIT, links = BUF_INIT;
    for (size_t i = 0; i < command->in.message_post.media_count; i++) {
        struct media *media = alive(model, command->in.message_post.media_ids[i]);
        struct media *thumbnail = alive(model, media->thumbnail_id);
        if (thumbnail && thumbnail->state != MEDIA_READY)
            thumbnail = NULL;
        if (i > 0)
            print(&rendered, ",");
        print_attachment(&rendered, media, thumbnail);
        buf_char(&links, '\0');
        print(&links, "%llu:", (unsigned long long)media->id);
        print_hex(&links, media->md5, MD5_SIZE);
        refer(entry, media);
        if (thumbnail)
            refer(entry, thumbnail);
    }
    entry->links_size = links.size;
    entry->links = buf_detach(&links);
    entry->message.attachments_size = rendered.size;
    entry->message.attachments = model_keep(model, rendered.bytes);
    buf_release(&rendered);
}

void model_detach(struct model *model, struct model_message *entry) {
    size_t count = entry->attached_count;
    entry->attached_count = 0;
    entry->message.attachments = NULL;
    entry->message.attachments_size = 0;
    for (size_t i = 0; i < count; i++) {
        struct model_media *media = model_media(model, entry->attached[i]);
        if (media->media.state == MEDIA_READY && !in_use(model, media->media.id))
            media->media.expires_ms = model->now_ms + model->config->media_grace_ms;
    }
}

/* ---- Leases ------------------------------------------------------------------------------------------------------------------------- */

enum err apply_lease(struct model *model, const struct command *command) {
    struct model_lease *lease = NULL;
    for (size_t i = 0; i < model->lease_count; i++) {
        if (strcmp(model->leases[i].name, command->in.lease.name) == 0)
            lease = &model->leases[i];
    }
    if (lease && lease->until_ms > model->now_ms && lease->holder != command->in.lease.holder)
        return ERR_CONFLICT;
    if (!lease)
        lease = &model->leases[model->lease_count++];
    *lease = (struct model_lease){ command->in.lease.name, command->in.lease.holder, command->in.lease.until_ms };
    return OK;
}
