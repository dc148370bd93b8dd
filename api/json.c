/* Owns the parsing of JSON bodies; the only file that knows jansson. Runs on the loop.
 *
 * A plain body (plain.h) that only has fields whose values are texts is read without jansson: that is a message's, as a rule, and takes a tenth of the time.
 * All others are jansson's, also those with something wrong, so that refusals come from one place. */
#include "api/json.h"

#include <jansson.h>
#include <string.h>

#include "api/plain.h"
#include "core/clock.h"
#include "core/id.h"
#include "core/random.h"
#include "core/text.h"
#include "media/storage.h"

void json_start(void) { json_object_seed((size_t)random_u64() | 1); }

/* jansson recurses up to 2,048 levels; ours is a handful. Nor has any body more than some thousand values, each of which is an allocation. What is in
 * strings does not count. */
static bool is_too_complex(const char *json, size_t size) {
    unsigned depth = 0, commas = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        char c = json[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > LIMIT_JSON_DEPTH)
                return true;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        } else if (c == ',' && ++commas > LIMIT_JSON_COMMAS) {
            return true;
        }
    }
    return false;
}

static enum err parse(struct request *request) {
    if (request->body.size == 0)
        return request_refuse(request, ERR_BAD_JSON, NULL, "a JSON object is expected as the body");
    if (is_too_complex(request->body.bytes, request->body.size))
        return request_refuse(request, ERR_BAD_JSON, NULL, "nested too deeply, or too many values");
    json_error_t error;
    json_t *document = json_loadb(request->body.bytes, request->body.size, JSON_REJECT_DUPLICATES, &error);
    if (document == NULL)
        return request_refuse(
            request, ERR_BAD_JSON, NULL,
            request_printf(request, "line %d, column %d: not well-formed JSON without duplicate keys and NUL", error.line, error.column));
    request->document = document;
    if (!json_is_object(document))
        return request_refuse(request, ERR_BAD_JSON, NULL, "the body must be a JSON object");
    return OK;
}

static enum err bad_field(struct request *request, const struct field *field, const char *detail) {
    return request_refuse(request, ERR_BAD_FIELD, field->name, detail);
}

static enum err take_text(struct request *request, const struct field *field, struct text text, struct text *ret_text) {
    bool bytes = field->type == FIELD_BYTES;
    /* Counting characters costs a pass over the text; it is needed only when the bytes alone do not decide. */
    size_t min = (size_t)field->min, max = (size_t)field->max;
    size_t length = bytes || (text.size >= min * 4 && text.size <= max) ? text.size : utf8_length(text.bytes, text.size);
    if (length < min || length > max)
        return bad_field(request, field, request_printf(request, "must have %zu to %zu %s", min, max, bytes ? "bytes" : "characters"));
    if (field->type == FIELD_LINE && !text_is_line(text.bytes, text.size))
        return bad_field(request, field, "must not contain control characters");
    *ret_text = text;
    return OK;
}

static enum err read_string(struct request *request, const struct field *field, const json_t *value, struct text *ret_text) {
    if (!json_is_string(value))
        return bad_field(request, field, "must be a string");
    return take_text(request, field, (struct text){ json_string_value(value), json_string_length(value) }, ret_text);
}

static const struct choice *find_choice(const struct choice *choices, const char *name) {
    while (choices->name != NULL && strcmp(choices->name, name) != 0)
        choices++;
    return choices->name != NULL ? choices : NULL;
}

static enum err read_text_or_null(struct request *request, const struct field *field, const json_t *value, struct text_or_null *ret_text) {
    ret_text->given = true;
    return json_is_null(value) ? OK : read_string(request, field, value, &ret_text->text);
}

static enum err read_moment(struct request *request, const struct field *field, const json_t *value, struct moment *ret_moment) {
    ret_moment->given = true;
    if (json_is_null(value))
        return OK;
    if (!json_is_string(value) || !clock_parse(json_string_value(value), json_string_length(value), &ret_moment->time_ms))
        return bad_field(request, field, "must be a time as in RFC 3339, such as 2026-11-21T01:02:03.456Z, or null");
    return OK;
}

static enum err read_choice(struct request *request, const struct field *field, const json_t *value, int *ret_choice) {
    if (!json_is_string(value))
        return bad_field(request, field, "must be a string");
    const struct choice *choice = find_choice(field->choices, json_string_value(value));
    if (choice == NULL)
        return bad_field(request, field, "is not one of the possible values");
    *ret_choice = choice->value;
    return OK;
}

static enum err read_integer(struct request *request, const struct field *field, const json_t *value, struct integer *ret_integer) {
    if (!json_is_integer(value))
        return bad_field(request, field, "must be a whole number");
    int64_t number = json_integer_value(value);
    if (number < field->min || number > field->max)
        return bad_field(request, field,
                         request_printf(request, "must be from %lld to %lld", (long long)field->min, (long long)field->max));
    *ret_integer = (struct integer){ true, number };
    return OK;
}

static bool is_hex(const json_t *value, uint8_t *out, size_t size) {
    return json_is_string(value) && hex_decode(json_string_value(value), json_string_length(value), out, size);
}

static enum err read_hex(struct request *request, const struct field *field, const json_t *value, const uint8_t **ret_bytes) {
    size_t size = (size_t)field->min;
    uint8_t *bytes = arena_alloc(&request->arena, size);
    if (bytes == NULL)
        return ERR_NO_MEMORY;
    if (!is_hex(value, bytes, size))
        return bad_field(request, field, request_printf(request, "must be a string of %zu hexadecimal digits", size * 2));
    *ret_bytes = bytes;
    return OK;
}

static bool is_id(const json_t *value, uint64_t *ret_id) {
    return json_is_string(value) && id_parse(json_string_value(value), json_string_length(value), ret_id);
}

static enum err read_id(struct request *request, const struct field *field, const json_t *value, uint64_t *ret_id) {
    return is_id(value, ret_id) ? OK : bad_field(request, field, "must be an id (a decimal string)");
}

static enum err read_id_or_null(struct request *request, const struct field *field, const json_t *value, struct optional_id *ret_id) {
    struct optional_id id = { .given = true };
    if (!json_is_null(value) && !is_id(value, &id.id))
        return bad_field(request, field, "must be an id (a decimal string) or null");
    *ret_id = id;
    return OK;
}

static enum err check_items(struct request *request, const struct field *field, size_t count) {
    if (field->max == 0 || ((int64_t)count >= field->min && (int64_t)count <= field->max))
        return OK;
    return bad_field(request, field, request_printf(request, "must have %lld to %lld items", (long long)field->min, (long long)field->max));
}

static enum err read_ids(struct request *request, const struct field *field, const json_t *value, struct id_list *ret_list) {
    if (!json_is_array(value))
        return bad_field(request, field, "must be an array of ids");
    size_t count = json_array_size(value);
    enum err err = check_items(request, field, count);
    if (err != OK)
        return err;
    uint64_t *ids = ARENA_ARRAY(&request->arena, uint64_t, count + 1);
    if (ids == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (!is_id(json_array_get(value, i), &ids[i]))
            return bad_field(request, field, request_printf(request, "item %zu is not an id (a decimal string)", i));
    *ret_list = (struct id_list){ ids, count };
    return OK;
}

static enum err read_bool(struct request *request, const struct field *field, const json_t *value, bool *ret_bool) {
    if (!json_is_boolean(value))
        return bad_field(request, field, "must be true or false");
    *ret_bool = json_is_true(value);
    return OK;
}

static enum err read_flag(struct request *request, const struct field *field, const json_t *value, struct flag *ret_flag) {
    ret_flag->given = true;
    return read_bool(request, field, value, &ret_flag->value);
}

static bool is_part(const json_t *value, struct part_digest *ret_part) {
    const json_t *number = json_object_get(value, "number");
    if (json_object_size(value) != 2 || !json_is_integer(number) || !is_hex(json_object_get(value, "md5"), ret_part->md5, MD5_SIZE))
        return false;
    json_int_t count = json_integer_value(number);
    ret_part->number = (unsigned)count;
    return count >= 1 && count <= STORAGE_PARTS_MAX;
}

static bool has_part(const struct part_digest *parts, size_t count, unsigned number) {
    for (size_t i = 0; i < count; i++)
        if (parts[i].number == number)
            return true;
    return false;
}

static enum err read_parts(struct request *request, const struct field *field, const json_t *value, struct part_list *ret_list) {
    if (!json_is_array(value))
        return bad_field(request, field, "must be an array of parts");
    size_t count = json_array_size(value);
    enum err err = check_items(request, field, count);
    if (err != OK)
        return err;
    struct part_digest *parts = ARENA_ARRAY(&request->arena, struct part_digest, count + 1);
    if (parts == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        if (!is_part(json_array_get(value, i), &parts[i]))
            return bad_field(
                request, field,
                request_printf(request, "item %zu is not {\"number\": 1 to %d, \"md5\": 32 hexadecimal digits}", i, STORAGE_PARTS_MAX));
        if (has_part(parts, i, parts[i].number))
            return bad_field(request, field, request_printf(request, "part %u is there twice", parts[i].number));
    }
    *ret_list = (struct part_list){ parts, count };
    return OK;
}

static enum err read_who_may(struct request *request, const struct field *field, json_t *value, struct who_may *ret_who) {
    static const struct choice WHO[] = { { "members", 1 }, { "admins", 2 }, { NULL, 0 } };
    struct who_may who = { 0 };
    const char *name;
    json_t *said;
    if (!json_is_object(value))
        return bad_field(request, field, "must be an object");
    json_object_foreach(value, name, said) {
        const struct choice *what = find_choice(field->choices, name);
        const struct choice *group = json_is_string(said) ? find_choice(WHO, json_string_value(said)) : NULL;
        if (what == NULL || group == NULL)
            return bad_field(request, field, "says of something else, or neither \"members\" nor \"admins\"");
        who.given |= (unsigned)what->value;
        who.members |= group->value == 1 ? (unsigned)what->value : 0;
    }
    *ret_who = who;
    return OK;
}

static bool is_count(const json_t *value, int64_t min, uint32_t *ret_count) {
    if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > LIMIT_TEXT_CHARACTERS)
        return false;
    *ret_count = (uint32_t)json_integer_value(value);
    return true;
}

static bool is_mention(const json_t *value, struct mention *ret_mention) {
    return json_object_size(value) == 3 && is_id(json_object_get(value, "user_id"), &ret_mention->user_id) &&
           is_count(json_object_get(value, "offset"), 0, &ret_mention->offset) &&
           is_count(json_object_get(value, "length"), 1, &ret_mention->length);
}

static enum err read_mentions(struct request *request, const struct field *field, const json_t *value, struct mention_list *ret_list) {
    if (!json_is_array(value))
        return bad_field(request, field, "must be an array of mentions");
    size_t count = json_array_size(value);
    enum err err = check_items(request, field, count);
    if (err != OK)
        return err;
    struct mention *mentions = ARENA_ARRAY(&request->arena, struct mention, count + 1);
    if (mentions == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (!is_mention(json_array_get(value, i), &mentions[i]))
            return bad_field(request, field,
                             request_printf(request, "item %zu is not {\"user_id\": id, \"offset\": number, \"length\": number}", i));
    *ret_list = (struct mention_list){ mentions, count };
    return OK;
}

static enum err read_message_place(struct request *request, const struct field *field, const json_t *value,
                                   struct message_place *ret_place) {
    if (json_object_size(value) == 2 && is_id(json_object_get(value, "chat_id"), &ret_place->chat_id) &&
        is_id(json_object_get(value, "message_id"), &ret_place->message_id))
        return OK;
    return bad_field(request, field, "must be {\"chat_id\": id, \"message_id\": id}");
}

static enum err read_field(struct request *request, const struct field *field, json_t *value, char *target) {
    void *place = target + field->offset;
    switch (field->type) {
    case FIELD_TEXT:
    case FIELD_LINE:
    case FIELD_BYTES:
        return read_string(request, field, value, place);
    case FIELD_TEXT_OR_NULL:
        return read_text_or_null(request, field, value, place);
    case FIELD_MOMENT:
        return read_moment(request, field, value, place);
    case FIELD_BOOL:
        return read_bool(request, field, value, place);
    case FIELD_FLAG:
        return read_flag(request, field, value, place);
    case FIELD_CHOICE:
        return read_choice(request, field, value, place);
    case FIELD_INTEGER:
        return read_integer(request, field, value, place);
    case FIELD_HEX:
        return read_hex(request, field, value, place);
    case FIELD_ID:
        return read_id(request, field, value, place);
    case FIELD_ID_OR_NULL:
        return read_id_or_null(request, field, value, place);
    case FIELD_IDS:
        return read_ids(request, field, value, place);
    case FIELD_PARTS:
        return read_parts(request, field, value, place);
    case FIELD_WHO_MAY:
        return read_who_may(request, field, value, place);
    case FIELD_MENTIONS:
        return read_mentions(request, field, value, place);
    case FIELD_MESSAGE:
        return read_message_place(request, field, value, place);
    }
    return ERR_INTERNAL;
}

static const struct field *find_field(const struct form *form, const char *name, size_t size) {
    for (size_t i = 0; i < form->count; i++)
        if (strlen(form->fields[i].name) == size && memcmp(form->fields[i].name, name, size) == 0)
            return &form->fields[i];
    return NULL;
}

static enum err refuse_unknown(struct request *request, const char *name, size_t size) {
    /* The name is the client's: cut at 64 bytes of ASCII so that the problem stays small and well-formed. */
    char shown[65];
    size_t length = 0;
    while (length < size && length < sizeof(shown) - 1 && name[length] >= 0x20 && name[length] < 0x7f) {
        shown[length] = name[length];
        length++;
    }
    shown[length] = '\0';
    return request_refuse(request, ERR_UNKNOWN_FIELD, arena_copy(&request->arena, shown, length), "this field does not exist here");
}

/* Fields that were given, as bits by their place in the form. */
typedef uint64_t field_set;

static field_set set_of(const struct form *form, const struct field *field) { return UINT64_C(1) << (field - form->fields); }

static enum err read_fields(struct request *request, const struct form *form, char *target, field_set *ret_given) {
    const char *name;
    json_t *value;
    field_set given = 0;
    json_object_foreach(request->document, name, value) {
        const struct field *field = find_field(form, name, strlen(name));
        enum err err = field == NULL ? refuse_unknown(request, name, strlen(name)) : read_field(request, field, value, target);
        if (err != OK)
            return err;
        given |= set_of(form, field);
    }
    *ret_given = given;
    return OK;
}

static enum err read_body(struct request *request, const struct form *form, char *target, field_set *ret_given) {
    enum err err = parse(request);
    return err == OK ? read_fields(request, form, target, ret_given) : err;
}

static bool is_text(const struct field *field) {
    return field != NULL && (field->type == FIELD_TEXT || field->type == FIELD_LINE || field->type == FIELD_BYTES);
}

static bool has_only_texts(const struct form *form, const struct plain_object *object) {
    for (size_t i = 0; i < object->count; i++)
        if (!is_text(find_field(form, object->members[i].name.bytes, object->members[i].name.size)))
            return false;
    return true;
}

static enum err read_text(struct request *request, const struct field *field, const struct slice *value, char *target) {
    struct text text = { arena_copy(&request->arena, value->bytes, value->size), value->size };
    void *place = target + field->offset;
    return text.bytes != NULL ? take_text(request, field, text, place) : ERR_NO_MEMORY;
}

static enum err read_texts(struct request *request, const struct form *form, const struct plain_object *object, char *target,
                           field_set *ret_given) {
    field_set given = 0;
    for (size_t i = 0; i < object->count; i++) {
        const struct plain_member *member = &object->members[i];
        const struct field *field = find_field(form, member->name.bytes, member->name.size);
        enum err err = read_text(request, field, &member->value, target);
        if (err != OK)
            return err;
        given |= set_of(form, field);
    }
    *ret_given = given;
    return OK;
}

static enum err require_fields(struct request *request, const struct form *form, field_set given) {
    for (size_t i = 0; i < form->count; i++)
        if (form->fields[i].required && !(given & set_of(form, &form->fields[i])))
            return request_refuse(request, ERR_MISSING_FIELD, form->fields[i].name, "this field is required");
    return OK;
}

enum err form_read(struct request *request, const struct form *form) {
    struct plain_object object;
    field_set given;
    char *target = request->form_space;
    if (form->size > sizeof(request->form_space))
        target = arena_alloc(&request->arena, form->size);
    if (target == NULL)
        return ERR_NO_MEMORY;
    bool is_plain = plain_read(request->body.bytes, request->body.size, &object) && has_only_texts(form, &object);
    enum err err = is_plain ? read_texts(request, form, &object, target, &given) : read_body(request, form, target, &given);
    if (err == OK)
        err = require_fields(request, form, given);
    request->form = target;
    return err;
}

void form_release(struct request *request) {
    json_decref(request->document);
    request->document = NULL;
}
