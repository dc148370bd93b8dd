/* See sigv4.h. Owns nothing. */
#include "media/sigv4.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "core/crypto.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define TERMINATOR "aws4_request"
#define DAY_SIZE 8 /* of a date: "20130524" */
#define AHEAD_MAX_MS (INT64_C(15) * 60 * 1000)

#define ARGUMENT_ALGORITHM "X-Amz-Algorithm"
#define ARGUMENT_CREDENTIAL "X-Amz-Credential"
#define ARGUMENT_DATE "X-Amz-Date"
#define ARGUMENT_EXPIRES "X-Amz-Expires"
#define ARGUMENT_TOKEN "X-Amz-Security-Token"
#define ARGUMENT_SIGNED_HEADERS "X-Amz-SignedHeaders"
#define ARGUMENT_SIGNATURE "X-Amz-Signature"

struct pairs {
    struct sigv4_pair all[SIGV4_PAIRS_MAX];
    size_t count;
};

/* What a signature is made of: the request with its arguments and headers in the order in which they are signed. */
struct signing {
    const struct sigv4_credentials *credentials;
    const struct sigv4_request *request;
    struct pairs query;
    struct pairs headers;
    char date[SIGV4_DATE_SIZE];
};

/* ---- Encoding ---- */

static bool is_unreserved(char character) {
    return (character >= 'A' && character <= 'Z') || (character >= 'a' && character <= 'z') || (character >= '0' && character <= '9') ||
           (character != '\0' && strchr("-._~", character) != NULL);
}

void sigv4_encode(struct buf *buf, const char *text, bool encode_slash) {
    static const char digits[] = "0123456789ABCDEF";
    for (; *text != '\0'; text++) {
        uint8_t byte = (uint8_t)*text;
        if (is_unreserved(*text) || (*text == '/' && !encode_slash))
            buf_char(buf, *text);
        else
            buf_append(buf, (char[]){ '%', digits[byte >> 4], digits[byte & 15] }, 3);
    }
}

void sigv4_date(int64_t time_ms, char out[SIGV4_DATE_SIZE]) {
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) == NULL || strftime(out, SIGV4_DATE_SIZE, "%Y%m%dT%H%M%SZ", &parts) != SIGV4_DATE_SIZE - 1)
        out[0] = '\0'; /* not in this era: nothing that anybody accepts */
}

/* ---- Order ---- */

static void pairs_add(struct pairs *pairs, const char *name, const char *value) {
    assert(pairs->count < SIGV4_PAIRS_MAX);
    pairs->all[pairs->count++] = (struct sigv4_pair){ name, value };
}

static void pairs_add_all(struct pairs *pairs, const struct sigv4_pair *added, size_t count) {
    for (size_t i = 0; i < count; i++)
        pairs_add(pairs, added[i].name, added[i].value);
}

/* The place of a character of encoded text: what is encoded begins with '%', which is before everything that is not. */
static int rank(char character) {
    if (character == '\0')
        return 0;
    return is_unreserved(character) ? 256 + character : (uint8_t)character;
}

/* Compares as if both were encoded. */
static int compare_encoded(const char *a, const char *b) {
    while (*a != '\0' && *a == *b)
        a++, b++;
    return rank(*a) - rank(*b);
}

static int compare_arguments(const void *a, const void *b) {
    const struct sigv4_pair *first = a, *second = b;
    int order = compare_encoded(first->name, second->name);
    return order != 0 ? order : compare_encoded(first->value, second->value);
}

static int compare_headers(const void *a, const void *b) {
    const struct sigv4_pair *first = a, *second = b;
    return strcmp(first->name, second->name);
}

static void pairs_sort(struct pairs *pairs, int (*compare)(const void *, const void *)) {
    qsort(pairs->all, pairs->count, sizeof(pairs->all[0]), compare);
}

/* ---- The signature ---- */

static void append_query(const struct pairs *query, struct buf *buf) {
    for (size_t i = 0; i < query->count; i++) {
        if (i > 0)
            buf_char(buf, '&');
        sigv4_encode(buf, query->all[i].name, true);
        buf_char(buf, '=');
        sigv4_encode(buf, query->all[i].value, true);
    }
}

/* A header's value without blanks around it, and with one space for each run of them within. */
static void append_value(const char *value, struct buf *buf) {
    value += strspn(value, " \t");
    while (*value != '\0') {
        size_t word = strcspn(value, " \t");
        buf_append(buf, value, word);
        value += word + strspn(value + word, " \t");
        if (*value != '\0')
            buf_char(buf, ' ');
    }
}

static void append_names(const struct pairs *headers, struct buf *buf) {
    for (size_t i = 0; i < headers->count; i++) {
        if (i > 0)
            buf_char(buf, ';');
        buf_string(buf, headers->all[i].name);
    }
}

static void append_scope(const struct signing *signing, struct buf *buf) {
    buf_printf(buf, "%.*s/%s/%s/" TERMINATOR, DAY_SIZE, signing->date, signing->credentials->region, signing->credentials->service);
}

static void append_canonical_request(const struct signing *signing, struct buf *buf) {
    buf_string(buf, signing->request->method);
    buf_char(buf, '\n');
    sigv4_encode(buf, signing->request->path, false);
    buf_char(buf, '\n');
    append_query(&signing->query, buf);
    buf_char(buf, '\n');
    for (size_t i = 0; i < signing->headers.count; i++) {
        buf_string(buf, signing->headers.all[i].name);
        buf_char(buf, ':');
        append_value(signing->headers.all[i].value, buf);
        buf_char(buf, '\n');
    }
    buf_char(buf, '\n');
    append_names(&signing->headers, buf);
    buf_char(buf, '\n');
    buf_string(buf, signing->request->payload_hash);
}

static void append_string_to_sign(const struct signing *signing, struct buf *buf) {
    struct buf canonical = BUF_INIT;
    uint8_t hash[SHA256_SIZE];

    append_canonical_request(signing, &canonical);
    buf->failed |= !buf_ok(&canonical);
    sha256(&(struct slice){ canonical.bytes, canonical.size }, 1, hash);
    buf_release(&canonical);

    buf_printf(buf, ALGORITHM "\n%s\n", signing->date);
    append_scope(signing, buf);
    buf_char(buf, '\n');
    buf_hex(buf, hash, sizeof(hash));
}

/* One step of the key's derivation. */
static void derive(uint8_t key[SHA256_SIZE], const char *text, size_t size) {
    hmac_sha256(key, SHA256_SIZE, &(struct slice){ text, size }, 1, key);
}

/* The key of a day, a region and a service; false when out of memory. */
static bool derive_key(const struct signing *signing, uint8_t out[SHA256_SIZE]) {
    struct buf secret = BUF_INIT;
    buf_printf(&secret, "AWS4%s", signing->credentials->secret_key);
    if (buf_ok(&secret)) {
        hmac_sha256(secret.bytes, secret.size, &(struct slice){ signing->date, DAY_SIZE }, 1, out);
        derive(out, signing->credentials->region, strlen(signing->credentials->region));
        derive(out, signing->credentials->service, strlen(signing->credentials->service));
        derive(out, TERMINATOR, strlen(TERMINATOR));
        explicit_bzero(secret.bytes, secret.size);
    }
    bool is_derived = buf_ok(&secret);
    buf_release(&secret);
    return is_derived;
}

/* Appends the signature in hex. */
static void append_signature(const struct signing *signing, struct buf *buf) {
    struct buf text = BUF_INIT;
    uint8_t key[SHA256_SIZE], hash[SHA256_SIZE];

    append_string_to_sign(signing, &text);
    if (buf_ok(&text) && derive_key(signing, key)) {
        hmac_sha256(key, sizeof(key), &(struct slice){ text.bytes, text.size }, 1, hash);
        buf_hex(buf, hash, sizeof(hash));
        explicit_bzero(key, sizeof(key));
    } else {
        buf->failed = true;
    }
    buf_release(&text);
}

/* ---- Signing ---- */

static void append_credential(const struct signing *signing, struct buf *buf) {
    buf_string(buf, signing->credentials->access_key);
    buf_char(buf, '/');
    append_scope(signing, buf);
}

/* With the request's own arguments, which the caller sorts when it has added its own. */
static void signing_init(struct signing *signing, const struct sigv4_credentials *credentials, const struct sigv4_request *request) {
    *signing = (struct signing){ .credentials = credentials, .request = request };
    sigv4_date(request->time_ms, signing->date);
    pairs_add_all(&signing->query, request->query, request->query_count);
    pairs_add_all(&signing->headers, request->headers, request->header_count);
    pairs_sort(&signing->headers, compare_headers);
}

void sigv4_authorization(const struct sigv4_credentials *credentials, const struct sigv4_request *request, struct buf *buf) {
    struct signing signing;
    signing_init(&signing, credentials, request);
    pairs_sort(&signing.query, compare_arguments);

    buf_string(buf, ALGORITHM " Credential=");
    append_credential(&signing, buf);
    buf_string(buf, ", SignedHeaders=");
    append_names(&signing.headers, buf);
    buf_string(buf, ", Signature=");
    append_signature(&signing, buf);
}

static bool has_token(const struct sigv4_credentials *credentials) {
    return credentials->session_token != NULL && *credentials->session_token != '\0';
}

/* The texts of arguments that are made for one URL; each ends with a NUL. */
struct presigning {
    struct buf credential;
    struct buf names;
    struct buf signature;
    char expires[21];
};

static void presigning_release(struct presigning *presigning) {
    buf_release(&presigning->credential);
    buf_release(&presigning->names);
    buf_release(&presigning->signature);
}

/* Adds the signature's arguments but for the signature itself. False when out of memory. */
static bool add_arguments(struct signing *signing, int64_t expires_s, struct presigning *texts) {
    append_credential(signing, &texts->credential);
    append_names(&signing->headers, &texts->names);
    snprintf(texts->expires, sizeof(texts->expires), "%" PRId64, expires_s);
    if (!buf_ok(&texts->credential) || !buf_ok(&texts->names))
        return false;

    pairs_add(&signing->query, ARGUMENT_ALGORITHM, ALGORITHM);
    pairs_add(&signing->query, ARGUMENT_CREDENTIAL, texts->credential.bytes);
    pairs_add(&signing->query, ARGUMENT_DATE, signing->date);
    pairs_add(&signing->query, ARGUMENT_EXPIRES, texts->expires);
    pairs_add(&signing->query, ARGUMENT_SIGNED_HEADERS, texts->names.bytes);
    if (has_token(signing->credentials))
        pairs_add(&signing->query, ARGUMENT_TOKEN, signing->credentials->session_token);
    pairs_sort(&signing->query, compare_arguments);
    return true;
}

void sigv4_presign(const struct sigv4_credentials *credentials, const struct sigv4_request *request, int64_t expires_s, struct buf *buf) {
    struct presigning texts = { .credential = BUF_INIT, .names = BUF_INIT, .signature = BUF_INIT };
    struct signing signing;

    assert(request->header_count > 0 && expires_s > 0 && expires_s <= SIGV4_EXPIRES_MAX_S);
    signing_init(&signing, credentials, request);
    if (add_arguments(&signing, expires_s, &texts))
        append_signature(&signing, &texts.signature);
    if (buf_ok(&texts.signature) && texts.signature.size > 0) {
        pairs_add(&signing.query, ARGUMENT_SIGNATURE, texts.signature.bytes);
        pairs_sort(&signing.query, compare_arguments);
        append_query(&signing.query, buf);
    } else {
        buf->failed = true;
    }
    presigning_release(&texts);
}

/* ---- Verifying ---- */

/* The signature's arguments as they came; NULL: not given. */
struct claims {
    const char *algorithm;
    const char *credential;
    const char *date;
    const char *expires;
    const char *token;
    const char *signed_headers;
    const char *signature;
    const char *payload_hash;
    int64_t signed_ms;
    int64_t expires_ms;
};

/* Where an argument of this name is kept; NULL: it is none of the signature's. */
static const char **claim_named(struct claims *claims, const char *name) {
    const struct {
        const char *name;
        const char **claim;
    } known[] = {
        { ARGUMENT_ALGORITHM, &claims->algorithm }, { ARGUMENT_CREDENTIAL, &claims->credential },
        { ARGUMENT_DATE, &claims->date },           { ARGUMENT_EXPIRES, &claims->expires },
        { ARGUMENT_TOKEN, &claims->token },         { ARGUMENT_SIGNED_HEADERS, &claims->signed_headers },
        { ARGUMENT_SIGNATURE, &claims->signature }, { SIGV4_ARGUMENT_PAYLOAD_HASH, &claims->payload_hash },
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(name, known[i].name) == 0)
            return known[i].claim;
    return NULL;
}

static bool is_given_once(const struct sigv4_request *request, const char *name) {
    size_t count = 0;
    for (size_t i = 0; i < request->query_count; i++)
        count += strcmp(request->query[i].name, name) == 0;
    return count == 1;
}

/* Finds the arguments of the signature among all, and refuses what makes them ambiguous. */
static bool read_claims(const struct sigv4_request *request, struct claims *claims) {
    *claims = (struct claims){ .payload_hash = request->payload_hash, .token = "" };
    if (request->query_count > SIGV4_PAIRS_MAX)
        return false;
    for (size_t i = 0; i < request->query_count; i++) {
        const struct sigv4_pair *argument = &request->query[i];
        const char **claim = claim_named(claims, argument->name);
        if (!is_given_once(request, argument->name) || (claim == NULL && strncasecmp(argument->name, "x-amz-", 6) == 0))
            return false;
        if (claim != NULL)
            *claim = argument->value;
    }
    return claims->algorithm != NULL && claims->credential != NULL && claims->date != NULL && claims->expires != NULL &&
           claims->signed_headers != NULL && claims->signature != NULL;
}

/* Only the form that sigv4_date() writes. */
static bool parse_date(const char *text, int64_t *ret_time_ms) {
    struct tm parts = { 0 };
    char again[SIGV4_DATE_SIZE];
    if (strlen(text) != SIGV4_DATE_SIZE - 1 || strptime(text, "%Y%m%dT%H%M%SZ", &parts) == NULL)
        return false;
    int64_t time_ms = (int64_t)timegm(&parts) * 1000;
    sigv4_date(time_ms, again);
    if (strcmp(text, again) != 0)
        return false;
    *ret_time_ms = time_ms;
    return true;
}

static bool parse_expires(const char *text, int64_t *ret_expires_s) {
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 6 || text[digits] != '\0')
        return false;
    int64_t expires_s = strtol(text, NULL, 10);
    if (expires_s < 1 || expires_s > SIGV4_EXPIRES_MAX_S)
        return false;
    *ret_expires_s = expires_s;
    return true;
}

static bool read_times(struct claims *claims) {
    int64_t expires_s;
    if (!parse_date(claims->date, &claims->signed_ms) || !parse_expires(claims->expires, &expires_s))
        return false;
    claims->expires_ms = claims->signed_ms + expires_s * 1000;
    return true;
}

static bool check_claims(const struct sigv4_credentials *credentials, const struct sigv4_request *request, struct claims *claims) {
    if (strcmp(claims->algorithm, ALGORITHM) != 0 || strcmp(claims->payload_hash, request->payload_hash) != 0)
        return false;
    if (strcmp(claims->token, has_token(credentials) ? credentials->session_token : "") != 0)
        return false;
    return read_times(claims);
}

/* The next name of a list like "host;range": its bytes, and *list after it. NULL at the end. */
static const char *next_name(const char **list, size_t *ret_size) {
    if (*list == NULL)
        return NULL;
    const char *name = *list;
    *ret_size = strcspn(name, ";");
    *list = name[*ret_size] == ';' ? name + *ret_size + 1 : NULL;
    return name;
}

static bool lists(const char *list, const char *wanted) {
    const char *name;
    size_t size;
    while ((name = next_name(&list, &size)) != NULL)
        if (strlen(wanted) == size && memcmp(wanted, name, size) == 0)
            return true;
    return false;
}

/* The one header of that name; NULL when it was not sent, or more than once. */
static const struct sigv4_pair *find_header(const struct sigv4_request *request, const char *name, size_t size) {
    const struct sigv4_pair *found = NULL;
    for (size_t i = 0; i < request->header_count; i++) {
        const struct sigv4_pair *header = &request->headers[i];
        if (strlen(header->name) != size || memcmp(header->name, name, size) != 0)
            continue;
        if (found != NULL)
            return NULL;
        found = header;
    }
    return found;
}

/* Takes the headers that the list names, which is sorted and names each once. */
static bool take_headers(const struct sigv4_request *request, const char *list, struct pairs *headers) {
    const char *name;
    size_t size;
    while ((name = next_name(&list, &size)) != NULL) {
        const struct sigv4_pair *header = find_header(request, name, size);
        if (header == NULL || headers->count == SIGV4_PAIRS_MAX)
            return false;
        if (headers->count > 0 && strcmp(headers->all[headers->count - 1].name, header->name) >= 0)
            return false;
        pairs_add(headers, header->name, header->value);
    }
    return true;
}

/* `host` is, and all that would tell the storage to do something. */
static bool signs_enough(const struct sigv4_request *request, const char *list) {
    for (size_t i = 0; i < request->header_count; i++)
        if (strncmp(request->headers[i].name, "x-amz-", 6) == 0 && !lists(list, request->headers[i].name))
            return false;
    return lists(list, "host");
}

/* What must have been signed. False: it cannot have been. */
static bool signing_of(const struct sigv4_credentials *credentials, const struct sigv4_request *request, const struct claims *claims,
                       struct signing *ret_signing) {
    *ret_signing = (struct signing){ .credentials = credentials, .request = request };
    memcpy(ret_signing->date, claims->date, SIGV4_DATE_SIZE);
    for (size_t i = 0; i < request->query_count; i++)
        if (strcmp(request->query[i].name, ARGUMENT_SIGNATURE) != 0)
            pairs_add(&ret_signing->query, request->query[i].name, request->query[i].value);
    pairs_sort(&ret_signing->query, compare_arguments);
    return take_headers(request, claims->signed_headers, &ret_signing->headers) && signs_enough(request, claims->signed_headers);
}

static bool is_text(const struct buf *buf, const char *text) {
    return buf->size == strlen(text) && secret_equal(buf->bytes, text, buf->size);
}

/* Compares credential and signature with those that we would have made. */
static enum err check_signature(const struct signing *signing, const struct claims *claims) {
    struct buf credential = BUF_INIT, signature = BUF_INIT;
    append_credential(signing, &credential);
    append_signature(signing, &signature);

    enum err err = ERR_BAD_SIGNATURE;
    if (!buf_ok(&credential) || !buf_ok(&signature))
        err = ERR_NO_MEMORY;
    else if (is_text(&credential, claims->credential) && is_text(&signature, claims->signature))
        err = OK;
    buf_release(&credential);
    buf_release(&signature);
    return err;
}

enum err sigv4_verify(const struct sigv4_credentials *credentials, const struct sigv4_request *request) {
    struct claims claims;
    struct signing signing;
    if (!read_claims(request, &claims) || !check_claims(credentials, request, &claims))
        return ERR_BAD_SIGNATURE;
    if (!signing_of(credentials, request, &claims, &signing))
        return ERR_BAD_SIGNATURE;

    enum err err = check_signature(&signing, &claims);
    if (err != OK)
        return err;
    bool is_valid_now = request->time_ms < claims.expires_ms && request->time_ms >= claims.signed_ms - AHEAD_MAX_MS;
    return is_valid_now ? OK : ERR_URL_EXPIRED;
}

int64_t sigv4_expires_ms(const struct sigv4_request *request) {
    struct claims claims;
    return read_claims(request, &claims) && read_times(&claims) ? claims.expires_ms : 0;
}

bool sigv4_signs(const struct sigv4_request *request, const char *header) {
    for (size_t i = 0; i < request->query_count; i++)
        if (strcmp(request->query[i].name, ARGUMENT_SIGNED_HEADERS) == 0)
            return lists(request->query[i].value, header);
    return false;
}
