#include "media.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"

#define UPLOADERS 8
#define MEDIA_PER_MESSAGE 10
#define OBJECT_BYTES 1024
/* Of OBJECT_BYTES times 'x'. */
#define OBJECT_MD5_HEX "7265f4d211b56873a381d321f586e4a9"
#define OBJECT_MD5_BASE64 "cmX00hG1aHOjgdMh9YbkqQ=="
#define URL_BYTES 1024

struct upload_run {
    const struct server *server;
    const struct population *population;
    _Atomic int64_t left; /* messages that are still to be made */
    _Atomic bool failed;
};

struct uploader {
    struct upload_run *run;
    uint32_t user; /* and the first chat that this user is in */
    uint32_t chat;
    pthread_t thread;
};

static enum outcome post_json(const struct uploader *uploader, const char *path, const char *body, int expected_status, char *ret_body,
                              size_t capacity) {
    char request[HTTP_REQUEST_BYTES_MAX];
    const struct upload_run *run = uploader->run;
    int len = snprintf(request, sizeof request,
                       "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
                       "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                       path, run->server->port, run->population->tokens[uploader->user], strlen(body), body);
    const struct http_call call = {
        .port = run->server->port, .what = path, .bytes = request, .len = (size_t)len, .expected_status = expected_status
    };
    return http_call(&call, ret_body, capacity);
}

static enum outcome put_object(const struct uploader *uploader, const char *url) {
    char request[HTTP_REQUEST_BYTES_MAX], body[64];
    uint16_t port = uploader->run->server->port;
    const char *path = strstr(url, "/blobs/");
    if (!path) {
        complain("not a URL of the server's own storage: %s", url);
        return OUTCOME_FAILED;
    }
    int len = snprintf(request, sizeof request - OBJECT_BYTES,
                       "PUT %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nContent-Type: image/png\r\nContent-MD5: " OBJECT_MD5_BASE64 "\r\n"
                       "Content-Length: %d\r\nConnection: close\r\n\r\n",
                       path, port, OBJECT_BYTES);
    memset(request + len, 'x', OBJECT_BYTES);
    const struct http_call call = {
        .port = port, .what = "PUT of an object", .bytes = request, .len = (size_t)len + OBJECT_BYTES, .expected_status = 200
    };
    return http_call(&call, body, sizeof body);
}

static enum outcome upload(const struct uploader *uploader, char ret_id[ID_CHARACTERS_MAX + 1]) {
    static const char declaration[] =
        "{\"content_type\":\"image/png\",\"size\":1024,\"md5\":\"" OBJECT_MD5_HEX "\",\"file_name\":\"x.png\"}";
    char body[4096], url[URL_BYTES], path[64];
    if (post_json(uploader, "/v1/media", declaration, 201, body, sizeof body))
        return OUTCOME_FAILED;
    if (!body_string(body, strlen(body), "id", ret_id, ID_CHARACTERS_MAX + 1) || !body_string(body, strlen(body), "url", url, sizeof url)) {
        complain("POST /v1/media answered no id or URL: %s", body);
        return OUTCOME_FAILED;
    }
    if (put_object(uploader, url))
        return OUTCOME_FAILED;
    snprintf(path, sizeof path, "/v1/media/%s/complete", ret_id);
    return post_json(uploader, path, "{}", 200, body, sizeof body);
}

static enum outcome post_message(const struct uploader *uploader) {
    char body[1024] = "{\"attachments\":[", answer[HTTP_ANSWER_BYTES_MAX], path[64];
    size_t len = strlen(body);
    for (unsigned i = 0; i < MEDIA_PER_MESSAGE; i++) {
        char id[ID_CHARACTERS_MAX + 1];
        if (upload(uploader, id))
            return OUTCOME_FAILED;
        len += (size_t)snprintf(body + len, sizeof body - len, "%s\"%s\"", i ? "," : "", id);
    }
    snprintf(body + len, sizeof body - len, "]}");
    snprintf(path, sizeof path, "/v1/chats/%s/messages", uploader->run->population->chat_ids[uploader->chat]);
    return post_json(uploader, path, body, 201, answer, sizeof answer);
}

static void *run_uploader(void *context) {
    struct uploader *uploader = context;
    struct upload_run *run = uploader->run;
    while (!run->failed && !bench_interrupted() && atomic_fetch_sub(&run->left, 1) > 0)
        if (post_message(uploader))
            run->failed = true;
    return NULL;
}

enum outcome media_create(const struct server *server, const struct population *population, uint32_t count) {
    struct upload_run run = { .server = server, .population = population, .left = (count + MEDIA_PER_MESSAGE - 1) / MEDIA_PER_MESSAGE };
    struct uploader uploaders[UPLOADERS];
    unsigned started = 0;
    for (; started < UPLOADERS; started++) {
        uint32_t chat = started % population->shape.chat_count;
        uploaders[started] = (struct uploader){ .run = &run, .user = population_member(&population->shape, chat, 0), .chat = chat };
        if (pthread_create(&uploaders[started].thread, NULL, run_uploader, &uploaders[started]))
            break;
    }
    for (unsigned i = 0; i < started; i++)
        pthread_join(uploaders[i].thread, NULL);
    return started > 0 && !run.failed ? OUTCOME_OK : OUTCOME_FAILED;
}
