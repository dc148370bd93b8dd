/* See transfer.h. */
#include "media/transfer.h"

#include <curl/curl.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/limits.h"

#define CONNECT_TIMEOUT_MS 3000
#define IDLE_HANDLES (2 * LIMIT_STORAGE_THREADS) /* the cleanup and operators' commands use it, too */

static_assert(TRANSFER_PROBLEM_SIZE >= CURL_ERROR_SIZE, "libcurl's own words fit");

struct transfer_pool {
    pthread_mutex_t mutex;
    CURL *idle[IDLE_HANDLES]; /* owned; the latest used last, so that connections that are not needed grow old and close */
    size_t idle_count;
    long timeout_ms;
};

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static void prepare_library(void) { (void)curl_global_init(CURL_GLOBAL_DEFAULT); }

struct transfer_pool *transfer_pool_new(int64_t timeout_ms) {
    (void)pthread_once(&library_once, prepare_library);
    struct transfer_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL)
        return NULL;
    pthread_mutex_init(&pool->mutex, NULL);
    pool->timeout_ms = (long)timeout_ms;
    return pool;
}

void transfer_pool_free(struct transfer_pool *pool) {
    if (pool == NULL)
        return;
    while (pool->idle_count > 0)
        curl_easy_cleanup(pool->idle[--pool->idle_count]);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

static CURL *take_handle(struct transfer_pool *pool) {
    CURL *handle = NULL;
    pthread_mutex_lock(&pool->mutex);
    if (pool->idle_count > 0)
        handle = pool->idle[--pool->idle_count];
    pthread_mutex_unlock(&pool->mutex);
    return handle != NULL ? handle : curl_easy_init();
}

static void give_back_handle(struct transfer_pool *pool, CURL *handle) {
    curl_easy_reset(handle); /* forgets all options, the secret ones among them, and keeps the connection */
    pthread_mutex_lock(&pool->mutex);
    bool has_room = pool->idle_count < IDLE_HANDLES;
    if (has_room)
        pool->idle[pool->idle_count++] = handle;
    pthread_mutex_unlock(&pool->mutex);
    if (!has_room)
        curl_easy_cleanup(handle);
}

/* ---- One request ---- */

struct running {
    CURL *handle;
    struct curl_slist *headers; /* owned */
    struct buf *body;           /* of the answer */
};

static size_t collect(char *bytes, size_t size, size_t count, void *context) {
    struct buf *body = context;
    if (size * count > LIMIT_STORAGE_ANSWER_BYTES - body->size)
        return 0;
    buf_append(body, bytes, size * count);
    return buf_ok(body) ? size * count : 0;
}

static bool add_line(struct running *running, const char *line) {
    struct curl_slist *longer = curl_slist_append(running->headers, line);
    if (longer != NULL)
        running->headers = longer;
    return longer != NULL;
}

static bool add_header(struct running *running, const struct sigv4_pair *header) {
    struct buf line = BUF_INIT;
    buf_printf(&line, "%s: %s", header->name, header->value);
    bool is_added = buf_ok(&line) && add_line(running, line.bytes);
    buf_release(&line);
    return is_added;
}

static bool has_type(const struct transfer *transfer) {
    for (size_t i = 0; i < transfer->header_count; i++)
        if (strcmp(transfer->headers[i].name, "content-type") == 0)
            return true;
    return false;
}

static bool add_headers(struct running *running, const struct transfer *transfer) {
    for (size_t i = 0; i < transfer->header_count; i++)
        if (!add_header(running, &transfer->headers[i]))
            return false;
    /* Not libcurl's own ideas: waiting for "100 Continue", and the type of a form. */
    return add_line(running, "Expect:") && (has_type(transfer) || add_line(running, "Content-Type:"));
}

static void set_method(CURL *handle, const struct transfer *transfer) {
    if (strcmp(transfer->method, "HEAD") == 0) {
        curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
        return;
    }
    if (strcmp(transfer->method, "POST") == 0 || strcmp(transfer->method, "PUT") == 0) {
        curl_easy_setopt(handle, CURLOPT_POST, 1L);
        curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)transfer->body_size);
        curl_easy_setopt(handle, CURLOPT_POSTFIELDS, transfer->body != NULL ? transfer->body : "");
    }
    curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, transfer->method);
}

static CURLcode set_options(struct transfer_pool *pool, struct running *running, const struct transfer *transfer) {
    CURL *handle = running->handle;
    set_method(handle, transfer);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(handle, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, pool->timeout_ms);
    curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, pool->timeout_ms < CONNECT_TIMEOUT_MS ? pool->timeout_ms : CONNECT_TIMEOUT_MS);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, running->body);
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, running->headers);

    /* What decides where a request goes must have been understood. */
    CURLcode code = curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    if (code == CURLE_OK)
        code = curl_easy_setopt(handle, CURLOPT_PROXY, "");
    if (code == CURLE_OK)
        code = curl_easy_setopt(handle, CURLOPT_URL, transfer->url);
    return code;
}

static void read_field(CURL *handle, const struct transfer_field *field) {
    struct curl_header *header;
    bool is_there = curl_easy_header(handle, field->name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK;
    snprintf(field->value, field->value_size, "%s", is_there && strlen(header->value) < field->value_size ? header->value : "");
}

static void read_head(CURL *handle, struct transfer_answer *answer) {
    long status = 0;
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    answer->status = (unsigned)status;
    for (size_t i = 0; i < answer->field_count; i++)
        read_field(handle, &answer->fields[i]);
}

/* The one place that knows libcurl's codes. */
static enum err error_of(CURLcode code, const struct buf *body, char problem[TRANSFER_PROBLEM_SIZE]) {
    if (code == CURLE_OK)
        return OK;
    if (code == CURLE_OUT_OF_MEMORY || !buf_ok(body))
        return ERR_NO_MEMORY;
    if (code == CURLE_WRITE_ERROR)
        snprintf(problem, TRANSFER_PROBLEM_SIZE, "the answer has more than %d bytes", LIMIT_STORAGE_ANSWER_BYTES);
    else if (*problem == '\0')
        snprintf(problem, TRANSFER_PROBLEM_SIZE, "%s", curl_easy_strerror(code));
    return ERR_STORAGE_UNAVAILABLE;
}

static enum err perform(struct transfer_pool *pool, struct running *running, const struct transfer *transfer,
                        struct transfer_answer *answer, char problem[TRANSFER_PROBLEM_SIZE]) {
    *problem = '\0';
    if (!add_headers(running, transfer))
        return ERR_NO_MEMORY;
    curl_easy_setopt(running->handle, CURLOPT_ERRORBUFFER, problem);
    CURLcode code = set_options(pool, running, transfer);
    if (code == CURLE_OK)
        code = curl_easy_perform(running->handle);

    enum err err = error_of(code, running->body, problem);
    if (err == OK)
        read_head(running->handle, answer);
    return err;
}

enum err transfer_run(struct transfer_pool *pool, const struct transfer *transfer, struct transfer_answer *answer,
                      char problem[TRANSFER_PROBLEM_SIZE]) {
    struct running running = { .handle = take_handle(pool), .body = &answer->body };
    if (running.handle == NULL)
        return ERR_NO_MEMORY;
    enum err err = perform(pool, &running, transfer, answer, problem);
    give_back_handle(pool, running.handle);
    curl_slist_free_all(running.headers);
    return err;
}
