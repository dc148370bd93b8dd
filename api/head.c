/* Owns the reading and writing of HTTP heads. Pure but for the daemon's accessors and the clock; the loop's thread. */
#include "api/head.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "api/server_internal.h"
#include "core/clock.h"

static const struct {
    const char *name;
    size_t size;
    size_t offset;
} HEADERS[] = {
#define HEADER(text, member) \
    { text, sizeof(text) - 1, offsetof(struct headers, member) }
    HEADER("Host", host),
    HEADER("Origin", origin),
    HEADER("Cookie", cookie),
    HEADER("Content-Type", content_type),
    HEADER("Authorization", authorization),
    HEADER("Accept-Encoding", accept_encoding),
    HEADER("Content-Encoding", content_encoding),
    HEADER("Last-Event-ID", last_event_id),
    HEADER("Content-Length", content_length),
    HEADER("Sec-Fetch-Site", fetch_site),
    HEADER("X-Forwarded-For", forwarded_for),
    HEADER("Idempotency-Key", idempotency_key),
    HEADER("Transfer-Encoding", transfer_encoding),
    HEADER("X-Forwarded-Proto", forwarded_proto),
    HEADER("Range", range),
    HEADER("If-Match", if_match),
    HEADER("If-Range", if_range),
    HEADER("Content-MD5", content_md5),
    HEADER("If-None-Match", if_none_match),
    HEADER("If-Modified-Since", if_modified_since),
    HEADER("If-Unmodified-Since", if_unmodified_since),
    HEADER("Access-Control-Request-Method", requested_method),
#undef HEADER
};

static bool begins_with(const char *name, size_t size, const char *start) {
    size_t start_size = strlen(start);
    return size >= start_size && strncasecmp(name, start, start_size) == 0;
}

static enum MHD_Result note_header(void *context, enum MHD_ValueKind kind, const char *name, size_t name_size, const char *value,
                                   size_t value_size) {
    struct headers *headers = context;
    (void)kind;
    (void)value_size;
    for (size_t i = 0; i < sizeof(HEADERS) / sizeof(HEADERS[0]); i++) {
        if (HEADERS[i].size != name_size || strncasecmp(HEADERS[i].name, name, name_size) != 0)
            continue;
        const char **place = (const char **)((char *)headers + HEADERS[i].offset);
        bool is_single = place == &headers->content_length || place == &headers->transfer_encoding || place == &headers->host;
        headers->ambiguous |= *place != NULL && is_single;
        /* The last X-Forwarded- header is the nearest proxy's; of all others the first counts. */
        if (*place == NULL || place == &headers->forwarded_for || place == &headers->forwarded_proto)
            *place = value != NULL ? value : "";
        return MHD_YES;
    }
    if (begins_with(name, name_size, "X-Amz-")) {
        if (headers->amz_count < LIMIT_AMZ_HEADERS)
            headers->amz[headers->amz_count] = (struct header){ name, value != NULL ? value : "" };
        headers->amz_count++;
    }
    /* Releases up to 0.9.75 append a folded line (RFC 9112, 5.2) to the header's name: "Content-Length:\r\n 5" arrives as "Content-Length5". */
    headers->ambiguous |= begins_with(name, name_size, "Content-Length") || begins_with(name, name_size, "Transfer-Encoding");
    /* "Content-Length : 5" would be read as a length by some and as an unknown header by others (RFC 9112, 5.1). */
    if (name_size > 0 && (name[name_size - 1] == ' ' || name[name_size - 1] == '\t'))
        headers->ambiguous = true;
    return MHD_YES;
}

static enum MHD_Result note_argument(void *context, enum MHD_ValueKind kind, const char *name, size_t name_size, const char *value,
                                     size_t value_size) {
    struct request *request = context;
    (void)kind;
    (void)name_size;
    (void)value_size;
    if (request->query_count < LIMIT_QUERY_ARGUMENTS)
        request->query[request->query_count] = (struct query_argument){ name, value != NULL ? value : "" };
    request->query_count++;
    return MHD_YES;
}

static void set_method(struct request *request, const char *name) {
    static const struct {
        const char *name;
        enum method method;
    } METHODS[] = { { "GET", METHOD_GET },       { "POST", METHOD_POST },       { "PUT", METHOD_PUT }, { "PATCH", METHOD_PATCH },
                    { "DELETE", METHOD_DELETE }, { "OPTIONS", METHOD_OPTIONS }, { "HEAD", METHOD_GET } };
    request->method = METHOD_OTHER;
    request->method_name = name;
    for (size_t i = 0; i < sizeof(METHODS) / sizeof(METHODS[0]); i++)
        if (strcmp(METHODS[i].name, name) == 0)
            request->method = METHODS[i].method;
    request->head_only = strcmp(name, "HEAD") == 0;
}

/* "http://host/path" (RFC 9112, 3.2.2) is "/path". */
static const char *path_of(const char *url) {
    if (url[0] == '/' || strncasecmp(url, "http", 4) != 0)
        return url;
    const char *authority = strstr(url, "://");
    const char *path = authority != NULL ? strchr(authority + 3, '/') : NULL;
    return path != NULL ? path : url;
}

static void set_ipv4(struct address *address, const struct in_addr *ipv4) {
    static const uint8_t MAPPED[12] = { [10] = 0xff, [11] = 0xff };
    memcpy(address->bytes, MAPPED, sizeof(MAPPED));
    memcpy(address->bytes + sizeof(MAPPED), ipv4, 4);
}

void address_from_socket(struct address *address, const struct sockaddr *socket) {
    memset(address, 0, sizeof(*address));
    if (socket != NULL && socket->sa_family == AF_INET6)
        memcpy(address->bytes, &((const struct sockaddr_in6 *)(const void *)socket)->sin6_addr, sizeof(address->bytes));
    else if (socket != NULL && socket->sa_family == AF_INET)
        set_ipv4(address, &((const struct sockaddr_in *)(const void *)socket)->sin_addr);
}

/* The last entry is the one that our own proxy wrote; with a port or in brackets, too. */
static void set_forwarded_address(struct address *address, const char *header) {
    const char *last = strrchr(header, ',');
    last = last != NULL ? last + 1 : header;
    last += strspn(last, " \t[");
    char text[INET6_ADDRSTRLEN + 1];
    size_t size = strcspn(last, " \t]");
    const char *colon = memchr(last, ':', size);
    if (colon != NULL && memchr(colon + 1, ':', size - (size_t)(colon + 1 - last)) == NULL)
        size = (size_t)(colon - last);
    if (size >= sizeof(text))
        return;
    memcpy(text, last, size);
    text[size] = '\0';
    struct in_addr ipv4;
    struct in6_addr ipv6;
    if (inet_pton(AF_INET, text, &ipv4) == 1)
        set_ipv4(address, &ipv4);
    else if (inet_pton(AF_INET6, text, &ipv6) == 1)
        memcpy(address->bytes, &ipv6, sizeof(address->bytes));
}

void head_read(struct request *request, struct MHD_Connection *mhd, const char *url, const char *method) {
    set_method(request, method);
    request->path = path_of(url);
    MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, note_header, &request->headers);
    MHD_get_connection_values_n(mhd, MHD_GET_ARGUMENT_KIND, note_argument, request);
    if (request->server->config->trusted_proxy && request->headers.forwarded_for != NULL)
        set_forwarded_address(&request->address, request->headers.forwarded_for);
}

bool head_is_sound(const struct request *request) {
    const struct headers *headers = &request->headers;
    if (headers->ambiguous || (headers->transfer_encoding != NULL && headers->content_length != NULL))
        return false;
    return headers->transfer_encoding == NULL || strcasecmp(headers->transfer_encoding, "chunked") == 0;
}

/* ---- Writing ---- */

void head_date_format(int64_t time_ms, char out[HTTP_DATE_SIZE]) {
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) == NULL || strftime(out, HTTP_DATE_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &parts) == 0)
        out[0] = '\0';
}

bool head_date_parse(const char *text, int64_t *ret_time_s) {
    static const char *const FORMS[] = { "%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y" };
    for (size_t i = 0; i < sizeof(FORMS) / sizeof(FORMS[0]); i++) {
        struct tm parts = { .tm_isdst = 0 };
        const char *end = strptime(text, FORMS[i], &parts);
        if (end == NULL || *end != '\0')
            continue;
        *ret_time_s = (int64_t)timegm(&parts);
        return true;
    }
    return false;
}

static void format_header(struct buf *buf, const char *name, const char *value) {
    buf_string(buf, name);
    buf_string(buf, ": ");
    buf_string(buf, value);
    buf_string(buf, "\r\n");
}

void head_format(struct buf *buf, const struct request *request, int64_t content_length) {
    const struct answer *answer = &request->answer;
    buf_printf(buf, "HTTP/1.1 %u %s\r\n", answer->status, MHD_get_reason_phrase_for(answer->status));
    char date[HTTP_DATE_SIZE];
    head_date_format(clock_now_ms(), date);
    format_header(buf, "Date", date);
    if (answer->content_type != NULL)
        format_header(buf, "Content-Type", answer->content_type);
    if (content_length >= 0)
        buf_printf(buf, "Content-Length: %lld\r\n", (long long)content_length);
    format_header(buf, "X-Request-Id", request->id);
    format_header(buf, "X-Content-Type-Options", "nosniff");
    for (size_t i = 0; i < answer->header_count; i++)
        format_header(buf, answer->headers[i].name, answer->headers[i].value);
    buf_string(buf, "Connection: close\r\n\r\n");
}
