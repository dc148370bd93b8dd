/* Owns making the S3 storage from the settings, and refusing settings that could not work. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "media/s3_internal.h"

#define BUCKET_MIN_BYTES 3
#define BUCKET_MAX_BYTES 63
#define KEY_OWN_BYTES (20 + 1 + 32) /* of a key after the prefix: id, dash, token (media/key.h) */
#define PREFIX_MAX_BYTES (STORAGE_KEY_SIZE - 1 - KEY_OWN_BYTES)

/* ---- Checking ---- */

static bool is_word(const char *text, const char *others) {
    for (; *text != '\0'; text++)
        if (!isalnum((unsigned char)*text) && strchr(others, *text) == NULL)
            return false;
    return true;
}

static bool is_ipv4(const char *text) { return *text != '\0' && text[strspn(text, "0123456789.")] == '\0'; }

/* Amazon S3 user guide, "General purpose bucket naming rules". */
static const char *bucket_problem(const char *bucket) {
    size_t size = strlen(bucket);
    if (size < BUCKET_MIN_BYTES || size > BUCKET_MAX_BYTES || strspn(bucket, "abcdefghijklmnopqrstuvwxyz0123456789.-") != size)
        return "is not 3 to 63 of a-z, 0-9, dots and dashes";
    if (!isalnum((unsigned char)bucket[0]) || !isalnum((unsigned char)bucket[size - 1]) || strstr(bucket, "..") != NULL)
        return "does not begin and end with a letter or digit, or has two dots in a row";
    return is_ipv4(bucket) ? "looks like an address" : NULL;
}

/* Browsers take "." and ".." out of paths, so URLs with them would not be those that were signed. */
static bool has_odd_segment(const char *path) {
    for (;;) {
        size_t size = strcspn(path, "/");
        bool is_last = path[size] == '\0';
        if ((size == 0 && !is_last) || (size == 1 && path[0] == '.') || (size == 2 && path[0] == '.' && path[1] == '.'))
            return true;
        if (is_last)
            return false;
        path += size + 1;
    }
}

static const char *prefix_problem(const char *prefix) {
    size_t size = strlen(prefix);
    if (size > PREFIX_MAX_BYTES)
        return "is too long for keys of 255 bytes";
    if (!utf8_valid(prefix, size) || !text_is_line(prefix, size))
        return "is not UTF-8, or has control characters";
    if (has_odd_segment(prefix))
        return "begins with a slash, or has an empty part or one that is . or ..";
    return NULL;
}

/* A secret becomes part of headers and signatures as it is. */
static const char *credential_problem(const char *value) {
    if (*value == '\0')
        return "is not set, but PARLEY_S3_ENDPOINT is";
    for (; *value != '\0'; value++)
        if (!isgraph((unsigned char)*value))
            return "has spaces, or characters that are not ASCII";
    return NULL;
}

static const char *host_of(const char *endpoint) { return strstr(endpoint, "://") + 3; }

static const char *endpoint_problem(const struct config *config, const char *endpoint) {
    const char *host = host_of(endpoint);
    char name[256];
    snprintf(name, sizeof(name), "%.*s", (int)strcspn(host, ":"), host);
    if (config->s3_style == S3_VIRTUAL && (is_ipv4(name) || *host == '['))
        return "is an address, which has no subdomains: PARLEY_S3_STYLE=virtual needs a name";
    return strlen(host) > 255 || !is_word(host, ".-:[]_") ? "has a host that is none" : NULL;
}

static enum err check(const struct config *config, char *problem, size_t problem_size) {
    const char *public = *config->s3_public_endpoint != '\0' ? config->s3_public_endpoint : config->s3_endpoint;
    const struct {
        const char *name;
        const char *wrong;
    } checks[] = {
        { "PARLEY_S3_ENDPOINT", endpoint_problem(config, config->s3_endpoint) },
        { "PARLEY_S3_PUBLIC_ENDPOINT", endpoint_problem(config, public) },
        { "PARLEY_S3_ACCESS_KEY", credential_problem(config->s3_access_key) },
        { "PARLEY_S3_SECRET_KEY", credential_problem(config->s3_secret_key) },
        { "PARLEY_S3_SESSION_TOKEN", *config->s3_session_token == '\0' ? NULL : credential_problem(config->s3_session_token) },
        { "PARLEY_S3_BUCKET", bucket_problem(config->s3_bucket) },
        { "PARLEY_S3_PREFIX", prefix_problem(config->s3_prefix) },
        { "PARLEY_S3_REGION",
          *config->s3_region == '\0' || !is_word(config->s3_region, "-_") ? "is not letters, digits and dashes" : NULL },
    };
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        if (checks[i].wrong == NULL)
            continue;
        snprintf(problem, problem_size, "%s %s", checks[i].name, checks[i].wrong);
        return ERR_CONFIG;
    }
    return OK;
}

/* ---- Names ---- */

/* host[:port] as clients send it: in lower case, without the scheme's own port; with the bucket before it in virtual-host style. */
static char *new_host(const struct config *config, const char *endpoint) {
    const char *standard_port = strncmp(endpoint, "https:", 6) == 0 ? ":443" : ":80";
    struct buf host = BUF_INIT;
    if (config->s3_style == S3_VIRTUAL)
        buf_printf(&host, "%s.", config->s3_bucket);
    buf_string(&host, host_of(endpoint));
    if (!buf_ok(&host)) {
        buf_release(&host);
        return NULL;
    }

    char *port = strrchr(host.bytes, ':');
    if (port != NULL && strcmp(port, standard_port) == 0)
        *port = '\0';
    for (char *at = host.bytes; *at != '\0'; at++)
        *at = (char)tolower((unsigned char)*at);
    return buf_detach(&host);
}

static char *new_origin(const char *endpoint, const char *host) {
    char *origin;
    return host == NULL || asprintf(&origin, "%.*s%s", (int)(host_of(endpoint) - endpoint), endpoint, host) < 0 ? NULL : origin;
}

static char *new_path(const struct config *config) {
    char *path;
    return asprintf(&path, config->s3_style == S3_VIRTUAL ? "/" : "/%s/", config->s3_bucket) < 0 ? NULL : path;
}

/* ---- Opening and closing ---- */

static void s3_free(struct s3 *s3) {
    transfer_pool_free(s3->pool);
    breaker_release(&s3->breaker);
    free(s3->host);
    free(s3->origin);
    free(s3->path);
    free(s3->public_base);
    free(s3);
}

void s3_close(struct storage *storage) { s3_free(s3_of(storage)); }

static bool prepare(struct s3 *s3, const struct config *config) {
    const char *public = *config->s3_public_endpoint != '\0' ? config->s3_public_endpoint : config->s3_endpoint;
    s3->pool = transfer_pool_new(config->s3_timeout_ms);
    s3->host = new_host(config, config->s3_endpoint);
    s3->origin = new_origin(config->s3_endpoint, s3->host);
    s3->path = new_path(config);
    char *public_host = new_host(config, public);
    s3->public_base = new_origin(public, public_host);
    free(public_host);

    s3->base = (struct storage){
        .driver = &s3_driver,
        .config = config,
        .credentials = { .access_key = config->s3_access_key,
                         .secret_key = config->s3_secret_key,
                         .session_token = config->s3_session_token,
                         .region = config->s3_region,
                         .service = "s3" },
        .public_base = s3->public_base,
        .public_path = s3->path,
        .signs_acl = config->s3_acl == S3_ACL_PRIVATE,
    };
    return s3->pool != NULL && s3->origin != NULL && s3->path != NULL && s3->public_base != NULL;
}

enum err s3_open(const struct config *config, struct storage **ret_storage, char *problem, size_t problem_size) {
    enum err err = check(config, problem, problem_size);
    if (err != OK)
        return err;
    struct s3 *s3 = calloc(1, sizeof(*s3));
    if (s3 == NULL)
        return ERR_NO_MEMORY;
    breaker_init(&s3->breaker);
    if (!prepare(s3, config)) {
        s3_free(s3);
        return ERR_NO_MEMORY;
    }
    *ret_storage = &s3->base;
    return OK;
}
