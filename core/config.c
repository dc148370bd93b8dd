/* See config.h. Owns the table of settings; whatever is said about a setting is said there. */
#include "core/config.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/content_type.h"
#include "core/limits.h"
#include "core/redis_url.h"
#include "core/text.h"

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)
#define VALUE_BYTES 32 /* a number or a duration as text */

enum setting_type {
    SETTING_STRING,
    SETTING_INTEGER,
    SETTING_DURATION, /* milliseconds */
    SETTING_BYTES,
    SETTING_CHOICE, /* the index of the value among the choices */
    SETTING_SWITCH, /* on or off */
};

struct setting {
    const char *name; /* the environment variable */
    enum setting_type type;
    size_t offset;       /* of the field in struct config */
    const char *unset;   /* the default, as it would be written */
    int64_t min;         /* integers, and durations in milliseconds */
    int64_t max;         /* likewise */
    const char *choices; /* separated by '|'; NULL: any string */
    /* What is wrong with a string, or NULL. */
    const char *(*check)(const char *value);
    bool may_be_forever; /* durations: as CONFIG_FOREVER */
    bool may_be_zero;    /* durations: although `min` is more */
    bool is_secret;      /* the value is never printed */
    const char *meaning;
};

/* ---- Checks of strings ---- */

static bool is_number_up_to(const char *text, long max) {
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && digits <= 9 && text[digits] == '\0' && strtol(text, NULL, 10) <= max;
}

static const char *check_listen(const char *value) {
    const char *colon = strrchr(value, ':');
    if (colon == NULL || colon == value || !is_number_up_to(colon + 1, 65535))
        return "is not address:port with a port from 0 to 65535";
    return NULL;
}

static const char *check_db(const char *value) {
    bool is_known = strncmp(value, "sqlite:", 7) == 0 || strncmp(value, "mariadb:", 8) == 0;
    if (!is_known || strchr(value, ':')[1] == '\0')
        return "is not sqlite:PATH or mariadb://USER:PASSWORD@HOST:PORT/DATABASE";
    return NULL;
}

/* scheme://host[:port], with nothing after it. */
static bool is_origin(const char *text, size_t size) {
    size_t scheme = strncmp(text, "https://", 8) == 0 ? 8 : strncmp(text, "http://", 7) == 0 ? 7 : 0;
    if (scheme == 0 || size <= scheme)
        return false;
    for (size_t i = scheme; i < size; i++)
        if ((unsigned char)text[i] <= ' ' || strchr("/?#@*\"\\", text[i]) != NULL)
            return false;
    return true;
}

static const char *check_origin(const char *value) {
    return is_origin(value, strlen(value)) ? NULL : "is not http(s)://host[:port] without a path or slash at the end";
}

static const char *check_origins(const char *value) {
    for (;;) {
        size_t size = strcspn(value, ",");
        if (!is_origin(value, size))
            return "is not a comma-separated list of http(s)://host[:port] without spaces, paths or slashes at the end";
        if (value[size] == '\0')
            return NULL;
        value += size + 1;
    }
}

static const char *check_key_prefix(const char *value) {
    return strlen(value) <= LIMIT_KEY_PREFIX_BYTES ? NULL : "is longer than 200 bytes";
}

#define NODE_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

static const char *check_node(const char *value) {
    if (value[strspn(value, NODE_CHARACTERS)] != '\0')
        return "is not made of letters, digits, dots, hyphens and underscores";
    return strlen(value) <= LIMIT_NODE_BYTES ? NULL : "is longer than 64 characters";
}

/* ---- The table ---- */

#define FIELD(name) .offset = offsetof(struct config, name)
#define STRING(name, value, checked_by) .type = SETTING_STRING, FIELD(name), .unset = (value), .check = (checked_by)
#define INTEGER(name, value, low, high) .type = SETTING_INTEGER, FIELD(name), .unset = (value), .min = (low), .max = (high)
#define DURATION(name, value, low, high) .type = SETTING_DURATION, FIELD(name), .unset = (value), .min = (low), .max = (high)
#define BYTES(name, value, low, high) .type = SETTING_BYTES, FIELD(name), .unset = (value), .min = (low), .max = (high)
#define CHOICE(name, value, all) .type = SETTING_CHOICE, FIELD(name), .unset = (value), .choices = (all)
#define SWITCH(name, value) .type = SETTING_SWITCH, FIELD(name), .unset = (value)

/* clang-format off */
static const struct setting settings[] = {
    { "PARLEY_LISTEN", STRING(listen, "127.0.0.1:8080", check_listen),
      .meaning = "address and port to serve HTTP on; port 0 takes any free one, which is then logged" },
    { "PARLEY_DATA_DIR", STRING(data_dir, "data", NULL),
      .meaning = "folder of everything the server keeps on disk" },
    { "PARLEY_DB", STRING(db, "", check_db), .is_secret = true,
      .meaning = "database, as sqlite:PATH or mariadb://user:password@host:port/database, or with host:port,host:port for a cluster; unset: parley.db in the data folder" },
    { "PARLEY_REDIS", STRING(redis, "", redis_url_problem), .is_secret = true,
      .meaning = "through which nodes hear of each other at once and share rate limits, as redis://user:password@host:port/number; unset: neither" },
    { "PARLEY_NODE", STRING(node, "", check_node),
      .meaning = "name of this node in its log and metrics, of letters, digits, dots, hyphens and underscores; unset: the host's" },
    { "PARLEY_PUBLIC_URL", STRING(public_url, "", check_origin),
      .meaning = "URL under which clients reach the server, as https://chat.example.org" },
    { "PARLEY_CORS_ORIGINS", STRING(cors_origins, "", check_origins),
      .meaning = "comma-separated origins whose pages may call the API" },
    { "PARLEY_WEB", SWITCH(web, "on"),
      .meaning = "serve the browser client at /" },
    { "PARLEY_TRUSTED_PROXY", SWITCH(trusted_proxy, "off"),
      .meaning = "take the client's address from the last X-Forwarded-For entry, and the scheme of the server's own URLs from X-Forwarded-Proto" },
    { "PARLEY_LOG", STRING(log_level, "info", NULL), .choices = "debug|info|warn|error",
      .meaning = "least important level that is logged" },

    { "PARLEY_REGISTRATION", CHOICE(registration, "open", "open|invite|closed"),
      .meaning = "who may register: anybody, holders of an invite code, or nobody" },
    { "PARLEY_PASSWORD_COST", INTEGER(password_cost, "15", 10, 20),
      .meaning = "log2 of scrypt's N; each step doubles time and memory (15: 32 MiB)" },
    { "PARLEY_SESSION_IDLE", DURATION(session_idle_ms, "90d", MINUTE_MS, 3650 * DAY_MS),
      .meaning = "a session ends when it was not used for so long" },
    { "PARLEY_SESSION_MAX", DURATION(session_max_ms, "365d", MINUTE_MS, 3650 * DAY_MS),
      .meaning = "a session ends so long after its log-in, used or not" },
    { "PARLEY_DEVICES_PER_USER", INTEGER(devices_per_user, "10", 1, 1000),
      .meaning = "a log-in beyond so many devices removes the one seen longest ago" },

    { "PARLEY_GROUP_MAX", INTEGER(group_max, "1024", 2, 100000),
      .meaning = "members of the largest group" },
    { "PARLEY_CHATS_PER_USER", INTEGER(chats_per_user, "5000", 1, 100000),
      .meaning = "chats of which one user can be a member; joining more is refused" },
    { "PARLEY_EDIT_HISTORY", SWITCH(edit_history, "off"),
      .meaning = "on: members can read what edited messages said before" },
    { "PARLEY_TYPING_MEMBERS_MAX", INTEGER(typing_members_max, "64", 0, 100000),
      .meaning = "in chats with more members nobody is told who types; 0: nowhere" },
    { "PARLEY_PRESENCE_TTL", DURATION(presence_ttl_ms, "15s", SECOND_MS, HOUR_MS),
      .meaning = "users are shown as online for so long after they were active" },
    { "PARLEY_PRESENCE_SUBSCRIPTIONS_MAX", INTEGER(presence_subscriptions_max, "200", 1, LIMIT_PRESENCE_SUBSCRIPTIONS),
      .meaning = "people of whose coming and going one device is told" },
    { "PARLEY_RECEIPTS_MEMBERS_MAX", INTEGER(receipts_members_max, "256", 0, 10000),
      .meaning = "members of the largest chat in which who has what, and has read it, is told by name; above, messages show counts" },
    { "PARLEY_EDIT_WINDOW", DURATION(edit_window_ms, "24h", SECOND_MS, 36500 * DAY_MS), .may_be_zero = true,
      .meaning = "messages may be edited for so long; 0: always" },
    { "PARLEY_DELETE_WINDOW", DURATION(delete_window_ms, "0", SECOND_MS, 36500 * DAY_MS), .may_be_zero = true,
      .meaning = "authors may delete their messages for so long; 0: always" },
    { "PARLEY_RETENTION", DURATION(retention_ms, "30d", SECOND_MS, 36500 * DAY_MS), .may_be_forever = true,
      .meaning = "messages live so long" },
    { "PARLEY_DORMANT_AFTER", DURATION(dormant_after_ms, "30d", SECOND_MS, 3650 * DAY_MS),
      .meaning = "devices not seen for so long no longer hold back the messages of until_delivered chats" },
    { "PARLEY_CLEANUP_INTERVAL", DURATION(cleanup_interval_ms, "60s", 10, DAY_MS), .may_be_zero = true,
      .meaning = "time between two runs of the cleanup; 0: none inside the server" },
    { "PARLEY_CLEANUP_BUDGET", DURATION(cleanup_budget_ms, "30s", 100, DAY_MS),
      .meaning = "a run of the cleanup inside the server ends after so long and goes on with the next" },
    { "PARLEY_CLEANUP_DEADLINE", DURATION(cleanup_deadline_ms, "1h", SECOND_MS, 365 * DAY_MS),
      .meaning = "what is expired is gone from disk and storage within; when it is not, the log and a metric say so" },

    { "PARLEY_MEDIA_TYPES", STRING(media_types, "image/*:20MiB,audio/*:200MiB,video/*:2GiB,*/*:200MiB", content_type_check_setting),
      .meaning = "types that may be uploaded with the largest size of each; the first that fits counts" },
    { "PARLEY_MEDIA_PENDING", INTEGER(media_pending, "20", 1, 10000),
      .meaning = "uploads of one user that are not completed" },
    { "PARLEY_MEDIA_QUOTA", BYTES(media_quota, "5GiB", 0, INT64_C(1) << 50),
      .meaning = "what the media of one user may take in all; 0: no limit" },
    { "PARLEY_MEDIA_PART_ABOVE", BYTES(media_part_above, "32MiB", 1, INT64_C(5) << 30),
      .meaning = "larger files are uploaded in parts, which can be resumed" },
    { "PARLEY_MEDIA_PART_SIZE", BYTES(media_part_size, "8MiB", INT64_C(5) << 20, INT64_C(5) << 30),
      .meaning = "size of these parts; larger where there would be more than 10,000" },
    { "PARLEY_MEDIA_UPLOAD_TTL", DURATION(media_upload_ms, "1h", SECOND_MS, 7 * DAY_MS),
      .meaning = "how long URLs for uploads work" },
    { "PARLEY_MEDIA_DOWNLOAD_TTL", DURATION(media_download_ms, "10m", SECOND_MS, 7 * DAY_MS),
      .meaning = "how long URLs for downloads work" },
    { "PARLEY_MEDIA_UNUSED", DURATION(media_unused_ms, "24h", SECOND_MS, 365 * DAY_MS),
      .meaning = "media that no message refers to, uploaded or not, are deleted after" },
    { "PARLEY_MEDIA_GRACE", DURATION(media_grace_ms, "24h", SECOND_MS, 365 * DAY_MS), .may_be_zero = true,
      .meaning = "media outlive the last message that refers to them by" },
    { "PARLEY_S3_ENDPOINT", STRING(s3_endpoint, "", check_origin),
      .meaning = "S3-compatible storage for media, as https://s3.example.org; unset: the folder media in the data folder" },
    { "PARLEY_S3_PUBLIC_ENDPOINT", STRING(s3_public_endpoint, "", check_origin),
      .meaning = "the storage as clients see it; unset: the same" },
    { "PARLEY_S3_REGION", STRING(s3_region, "us-east-1", NULL),
      .meaning = "region that requests are signed for" },
    { "PARLEY_S3_BUCKET", STRING(s3_bucket, "parley", NULL),
      .meaning = "bucket of all media; `parley media setup` creates it" },
    { "PARLEY_S3_PREFIX", STRING(s3_prefix, "", check_key_prefix),
      .meaning = "what all keys in the bucket begin with" },
    { "PARLEY_S3_STYLE", CHOICE(s3_style, "path", "path|virtual"),
      .meaning = "bucket in the path, or as a subdomain of the endpoint" },
    { "PARLEY_S3_ACCESS_KEY", STRING(s3_access_key, "", NULL),
      .meaning = "access key id" },
    { "PARLEY_S3_SECRET_KEY", STRING(s3_secret_key, "", NULL), .is_secret = true,
      .meaning = "secret access key" },
    { "PARLEY_S3_SESSION_TOKEN", STRING(s3_session_token, "", NULL), .is_secret = true,
      .meaning = "session token of temporary credentials" },
    { "PARLEY_S3_ACL", CHOICE(s3_acl, "private", "private|none"),
      .meaning = "private: uploads are signed with x-amz-acl: private, so that clients cannot make them public; none: for buckets that refuse ACLs" },
    { "PARLEY_S3_TIMEOUT", DURATION(s3_timeout_ms, "10s", 100, HOUR_MS),
      .meaning = "a request of the server to the storage is given up after" },

    { "PARLEY_RATE_LIMIT", SWITCH(rate_limit, "on"),
      .meaning = "off lifts every rate limit and stream cap" },
    { "PARLEY_RATE_USER", INTEGER(rate_user, "50", 1, 1000000),
      .meaning = "requests a second of one user; four times as many at once" },
    { "PARLEY_RATE_ADDRESS", INTEGER(rate_address, "200", 1, 1000000),
      .meaning = "requests a second from one address; four times as many at once" },
    { "PARLEY_RATE_LOGIN", INTEGER(rate_login, "10", 1, 1000000),
      .meaning = "log-in attempts a minute, per account and per address" },

    { "PARLEY_STREAMS_PER_DEVICE", INTEGER(streams_per_device, "4", 1, 1000000),
      .meaning = "event streams of one device" },
    { "PARLEY_STREAMS_PER_USER", INTEGER(streams_per_user, "20", 1, 1000000),
      .meaning = "event streams of one user" },
    { "PARLEY_STREAMS_PER_ADDRESS", INTEGER(streams_per_address, "200", 1, 1000000),
      .meaning = "event streams from one address" },
    { "PARLEY_STREAMS_MAX", INTEGER(streams_max, "0", 0, 10000000),
      .meaning = "event streams in all; 0: as many as the descriptor limit allows" },
    { "PARLEY_HEARTBEAT", DURATION(heartbeat_ms, "15s", 100, HOUR_MS),
      .meaning = "time between two heartbeats of a quiet stream" },
    { "PARLEY_STREAM_RETRY", DURATION(stream_retry_ms, "2s", 10, HOUR_MS),
      .meaning = "how long clients are told to wait before they reconnect, half to one and a half times that" },
    { "PARLEY_DRAIN_SPREAD", DURATION(drain_spread_ms, "10s", 0, HOUR_MS),
      .meaning = "at shutdown streams are told to come back spread over so long" },

    { "PARLEY_REQUEST_TIMEOUT", DURATION(request_timeout_ms, "10s", 100, HOUR_MS),
      .meaning = "a request's head and body must arrive within" },
    { "PARLEY_IDLE_TIMEOUT", DURATION(idle_timeout_ms, "60s", 100, DAY_MS),
      .meaning = "an unused connection is closed after" },
    { "PARLEY_CONNECTIONS", INTEGER(connections, "1500", 8, 1000000),
      .meaning = "HTTP connections at once, streams not counted" },
    { "PARLEY_QUEUE_MAX", INTEGER(queue_max, "4096", 1, 1000000),
      .meaning = "commands that may wait for the writer; beyond, 503" },
    { "PARLEY_POLL_INTERVAL", DURATION(poll_interval_ms, "100ms", 5, MINUTE_MS),
      .meaning = "how often a node looks for what others have committed to the same database; every 2s at most while it hears of that through Redis" },
};
/* clang-format on */

#define SETTING_COUNT (sizeof(settings) / sizeof(settings[0]))

/* ---- Reading ---- */

static const struct duration_unit {
    const char *name;
    int64_t ms;
} units[] = { { "d", DAY_MS }, { "h", HOUR_MS }, { "m", MINUTE_MS }, { "s", SECOND_MS }, { "ms", 1 } };

#define UNIT_COUNT (sizeof(units) / sizeof(units[0]))

/* A whole decimal number at the start of `text`; what follows it goes to `ret_rest`. */
static bool read_number(const char *text, int64_t *ret_number, const char **ret_rest) {
    char *rest;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    int64_t number = strtoll(text, &rest, 10);
    if (errno != 0)
        return false;
    *ret_number = number;
    *ret_rest = rest;
    return true;
}

static bool read_duration(const char *text, int64_t *ret_ms) {
    int64_t number;
    const char *rest;
    if (!read_number(text, &number, &rest))
        return false;
    if (number == 0 && *rest == '\0') {
        *ret_ms = 0;
        return true;
    }
    for (size_t i = 0; i < UNIT_COUNT; i++)
        if (strcmp(rest, units[i].name) == 0)
            return !__builtin_mul_overflow(number, units[i].ms, ret_ms);
    return false;
}

/* Writes a duration in the largest unit that keeps it whole. */
static const char *write_duration(int64_t ms, char out[VALUE_BYTES]) {
    size_t unit = 0;
    while (unit < UNIT_COUNT - 1 && ms % units[unit].ms != 0)
        unit++;
    if (ms == 0)
        snprintf(out, VALUE_BYTES, "0");
    else if (ms == CONFIG_FOREVER)
        snprintf(out, VALUE_BYTES, "forever");
    else
        snprintf(out, VALUE_BYTES, "%" PRId64 "%s", ms / units[unit].ms, units[unit].name);
    return out;
}

/* Likewise an amount of bytes. */
static const char *write_bytes(int64_t bytes, char out[VALUE_BYTES]) {
    static const char *const names[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    size_t unit = 0;
    while (bytes != 0 && unit < sizeof(names) / sizeof(names[0]) - 1 && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    snprintf(out, VALUE_BYTES, "%" PRId64 "%s", bytes, bytes == 0 ? "" : names[unit]);
    return out;
}

/* The index of `value` among `choices`, or -1. */
static int64_t choice_index(const char *choices, const char *value) {
    size_t size = strlen(value);
    int64_t index = 0;
    for (const char *choice = choices;; index++) {
        size_t choice_size = strcspn(choice, "|");
        if (choice_size == size && memcmp(choice, value, size) == 0)
            return index;
        if (choice[choice_size] == '\0')
            return -1;
        choice += choice_size + 1;
    }
}

static void *field_of(const struct setting *setting, struct config *config) { return (char *)config + setting->offset; }

static enum err set_string(const struct setting *setting, const char *value, char **field, struct buf *problem) {
    /* The default of a checked string may be the empty one: not set. */
    const char *wrong = setting->check != NULL && value != setting->unset ? setting->check(value) : NULL;
    if (wrong != NULL)
        buf_string(problem, wrong);
    else if (setting->choices != NULL && choice_index(setting->choices, value) < 0)
        buf_printf(problem, "is none of %s", setting->choices);
    if (problem->size > 0)
        return ERR_CONFIG;

    *field = strdup(value);
    return *field == NULL ? ERR_NO_MEMORY : OK;
}

static enum err set_integer(const struct setting *setting, const char *value, int64_t *field, struct buf *problem) {
    const char *rest;
    if (read_number(value, field, &rest) && *rest == '\0' && *field >= setting->min && *field <= setting->max)
        return OK;
    buf_printf(problem, "is not a whole number from %" PRId64 " to %" PRId64, setting->min, setting->max);
    return ERR_CONFIG;
}

static enum err set_bytes(const struct setting *setting, const char *value, int64_t *field, struct buf *problem) {
    char low[VALUE_BYTES], high[VALUE_BYTES];
    if (text_to_bytes(value, strlen(value), field) && *field >= setting->min && *field <= setting->max)
        return OK;
    buf_printf(problem, "is not an amount like 20MiB (B, KiB, MiB, GiB or TiB) from %s to %s", write_bytes(setting->min, low),
               write_bytes(setting->max, high));
    return ERR_CONFIG;
}

static enum err set_duration(const struct setting *setting, const char *value, int64_t *field, struct buf *problem) {
    char low[VALUE_BYTES], high[VALUE_BYTES];
    if (setting->may_be_forever && strcmp(value, "forever") == 0) {
        *field = CONFIG_FOREVER;
        return OK;
    }
    if (read_duration(value, field) && ((*field >= setting->min && *field <= setting->max) || (*field == 0 && setting->may_be_zero)))
        return OK;
    buf_printf(problem, "is not a duration from %s to %s%s%s, as 500ms, 15s, 10m, 24h or 30d", write_duration(setting->min, low),
               write_duration(setting->max, high), setting->may_be_zero ? ", or 0" : "", setting->may_be_forever ? ", or forever" : "");
    return ERR_CONFIG;
}

static enum err set_choice(const struct setting *setting, const char *value, int64_t *field, struct buf *problem) {
    *field = choice_index(setting->choices, value);
    if (*field >= 0)
        return OK;
    buf_printf(problem, "is none of %s", setting->choices);
    return ERR_CONFIG;
}

static enum err set_switch(const char *value, bool *field, struct buf *problem) {
    *field = strcmp(value, "on") == 0;
    if (*field || strcmp(value, "off") == 0)
        return OK;
    buf_string(problem, "is neither on nor off");
    return ERR_CONFIG;
}

static enum err set_field(const struct setting *setting, const char *value, struct config *config, struct buf *problem) {
    void *field = field_of(setting, config);
    switch (setting->type) {
    case SETTING_STRING:
        return set_string(setting, value, field, problem);
    case SETTING_INTEGER:
        return set_integer(setting, value, field, problem);
    case SETTING_DURATION:
        return set_duration(setting, value, field, problem);
    case SETTING_BYTES:
        return set_bytes(setting, value, field, problem);
    case SETTING_CHOICE:
        return set_choice(setting, value, field, problem);
    case SETTING_SWITCH:
        return set_switch(value, field, problem);
    }
    return ERR_INTERNAL;
}

/* An empty variable is one that is not set: compose files and unit files write them so. */
static enum err load_setting(const struct setting *setting, struct config *config, struct buf *problem) {
    struct buf wrong = BUF_INIT;
    const char *value = getenv(setting->name);
    if (value == NULL || *value == '\0')
        value = setting->unset;

    enum err err = set_field(setting, value, config, &wrong);
    if (err == ERR_CONFIG && buf_ok(&wrong))
        buf_printf(problem, "%s: \"%s\" %s", setting->name, setting->is_secret ? "..." : value, wrong.bytes);
    buf_release(&wrong);
    return err;
}

/* ---- Names ---- */

static const struct setting *find_setting(const char *name, size_t size) {
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (strncmp(settings[i].name, name, size) == 0 && settings[i].name[size] == '\0')
            return &settings[i];
    return NULL;
}

/* Variables that only test builds read. */
static bool is_for_tests(const char *name) {
    static const char *const prefixes[] = { "PARLEY_FAULT", "PARLEY_FORGETFUL", "PARLEY_TEST_" };
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* A misspelt setting would otherwise silently be the default. */
static enum err refuse_unknown(struct buf *problem) {
    /* clearenv() leaves no array at all. */
    for (char **variable = environ; variable != NULL && *variable != NULL; variable++) {
        size_t size = strcspn(*variable, "=");
        if (strncmp(*variable, "PARLEY_", 7) != 0 || is_for_tests(*variable) || find_setting(*variable, size) != NULL)
            continue;
        buf_printf(problem, "%.*s: no such setting; `parley config` lists them", (int)size, *variable);
        return ERR_CONFIG;
    }
    return OK;
}

/* The host's name, as far as a node's may be like it. */
static enum err complete_node(struct config *config) {
    char name[LIMIT_NODE_BYTES + 1] = "";
    if (*config->node != '\0')
        return OK;
    if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0')
        snprintf(name, sizeof(name), "parley");
    for (char *wrong = name + strspn(name, NODE_CHARACTERS); *wrong != '\0'; wrong += strspn(wrong, NODE_CHARACTERS))
        *wrong = '-';
    char *node = strdup(name);
    if (node == NULL)
        return ERR_NO_MEMORY;
    free(config->node);
    config->node = node;
    return OK;
}

/* The one default that follows from another setting. */
static enum err complete_db(struct config *config) {
    char *db;
    if (*config->db != '\0')
        return OK;
    if (asprintf(&db, "sqlite:%s/parley.db", config->data_dir) < 0)
        return ERR_NO_MEMORY;
    free(config->db);
    config->db = db;
    return OK;
}

static enum err check_redis(const struct config *config, struct buf *problem) {
    if (*config->redis == '\0' || strncmp(config->db, "sqlite:", 7) != 0)
        return OK;
    buf_string(problem, "PARLEY_REDIS: is for nodes that share a MariaDB; with SQLite there is one node, which has nobody to talk to");
    return ERR_CONFIG;
}

static enum err load(struct config *config, struct buf *problem) {
    enum err err = refuse_unknown(problem);
    for (size_t i = 0; err == OK && i < SETTING_COUNT; i++)
        err = load_setting(&settings[i], config, problem);
    if (err == OK)
        err = complete_node(config);
    if (err == OK)
        err = complete_db(config);
    return err == OK ? check_redis(config, problem) : err;
}

enum err config_load(struct config *config, char *problem, size_t problem_size) {
    struct config loaded = { 0 };
    struct buf text = BUF_INIT;

    enum err err = load(&loaded, &text);
    if (err == OK)
        *config = loaded;
    else
        config_release(&loaded);
    if (err == ERR_CONFIG && problem_size > 0)
        snprintf(problem, problem_size, "%s", text.bytes == NULL ? "out of memory" : text.bytes);
    buf_release(&text);
    return err;
}

void config_release(struct config *config) {
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (settings[i].type == SETTING_STRING)
            free(*(char **)field_of(&settings[i], config));
    *config = (struct config){ 0 };
}

/* ---- Printing ---- */

static const char *type_name(const struct setting *setting) {
    switch (setting->type) {
    case SETTING_STRING:
        return setting->choices != NULL ? setting->choices : "string";
    case SETTING_INTEGER:
        return "number";
    case SETTING_DURATION:
        return setting->may_be_forever ? "duration|forever" : "duration";
    case SETTING_BYTES:
        return "bytes";
    case SETTING_CHOICE:
        return setting->choices;
    case SETTING_SWITCH:
        return "on|off";
    }
    return "";
}

static void print_string(const struct setting *setting, const char *value, FILE *out) {
    if (setting->is_secret)
        fputs(*value == '\0' ? "unset" : "set", out);
    else
        fprintf(out, "\"%s\"", value);
}

static void print_choice(const char *choices, int64_t index, FILE *out) {
    for (; index > 0; index--)
        choices = strchr(choices, '|') + 1;
    fprintf(out, "%.*s", (int)strcspn(choices, "|"), choices);
}

static void print_value(const struct setting *setting, const struct config *config, FILE *out) {
    char text[VALUE_BYTES];
    const void *field = (const char *)config + setting->offset;
    switch (setting->type) {
    case SETTING_STRING:
        print_string(setting, *(char *const *)field, out);
        break;
    case SETTING_INTEGER:
        fprintf(out, "%" PRId64, *(const int64_t *)field);
        break;
    case SETTING_DURATION:
        fputs(write_duration(*(const int64_t *)field, text), out);
        break;
    case SETTING_BYTES:
        fputs(write_bytes(*(const int64_t *)field, text), out);
        break;
    case SETTING_CHOICE:
        print_choice(setting->choices, *(const int64_t *)field, out);
        break;
    case SETTING_SWITCH:
        fputs(*(const bool *)field ? "on" : "off", out);
        break;
    }
}

void config_print(const struct config *config, FILE *out) {
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *setting = &settings[i];
        fprintf(out, "%-28s %-24s default %-16s now ", setting->name, type_name(setting),
                *setting->unset == '\0' ? "unset" : setting->unset);
        print_value(setting, config, out);
        fprintf(out, "\n    %s\n", setting->meaning);
    }
}
