/* What an S3 service and the URLs presigned for it must refuse, and what an operator learns of mistakes. */
#include "core/clock.h"
#include "tests/storage/contract.h"

#define BODY "0123456789"
#define BODY_SIZE 10

static struct presigned presign_upload_at(struct world *world, const char *key, int64_t now_ms) {
    static uint8_t md5[MD5_SIZE];
    struct presigned presigned;
    world_md5(BODY, BODY_SIZE, md5);
    struct presign_put put = { key, "image/png", BODY_SIZE, md5 };
    assert_int_equal(storage_presign_put(world->storage, NULL, &put, now_ms, &world->arena, &presigned), OK);
    return presigned;
}

static struct presigned presign_upload(struct world *world, const char *key) { return presign_upload_at(world, key, clock_now_ms()); }

static struct presigned presign_download_at(struct world *world, const char *key, int64_t now_ms) {
    struct presigned presigned;
    struct presign_get get = { key, "text/plain; charset=utf-8", "attachment; filename=\"a b.txt\"; filename*=UTF-8''%C3%A4%20b.txt" };
    assert_int_equal(storage_presign_get(world->storage, NULL, &get, now_ms, &world->arena, &presigned), OK);
    return presigned;
}

static void assert_refused(struct world *world, const char *key, const struct reply *reply) {
    struct object object;
    if (reply->status < 400 || reply->status >= 500)
        fail_msg("status %u instead of a refusal", reply->status);
    assert_int_equal(storage_head(world->storage, key, &object), ERR_NOT_FOUND);
}

/* ---- Uploads ---- */

static void other_bytes_than_announced_are_refused(void **state) {
    struct world *world = *state;
    const char *key = world_key(world, "bytes");
    struct presigned presigned = presign_upload(world, key);
    assert_refused(world, key, world_send(world, &presigned, "012345678", BODY_SIZE - 1, NULL, 0));
    assert_refused(world, key, world_send(world, &presigned, BODY "0", BODY_SIZE + 1, NULL, 0));
    assert_refused(world, key, world_send(world, &presigned, "", 0, NULL, 0));
    assert_refused(world, key, world_send(world, &presigned, "012345678X", BODY_SIZE, NULL, 0));
    assert_int_equal(world_send(world, &presigned, BODY, BODY_SIZE, NULL, 0)->status, 200);
    world_assert_bytes(world, key, BODY, BODY_SIZE);
}

static void other_headers_than_signed_are_refused(void **state) {
    struct world *world = *state;
    static const struct sigv4_pair changes[] = {
        { "content-type", "text/html" }, { "content-type", "" },         { "content-md5", "XrY7u+Ae7tCTyyK7j1rNww==" },
        { "content-md5", "" },           { "x-amz-acl", "public-read" },
    };
    const char *key = world_key(world, "headers");
    struct presigned presigned = presign_upload(world, key);
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        if (strcmp(changes[i].name, "x-amz-acl") == 0 && world->config.s3_acl == S3_ACL_NONE)
            continue;
        assert_refused(world, key, world_send(world, &presigned, BODY, BODY_SIZE, &changes[i], 1));
    }
}

/* A copy of `url` with the first `from` in it changed. */
static const char *changed(struct world *world, const char *url, const char *from, const char *to) {
    const char *at = strstr(url, from);
    assert_non_null(at);
    char *copy = arena_alloc(&world->arena, strlen(url) + strlen(to) + 1);
    assert_non_null(copy);
    sprintf(copy, "%.*s%s%s", (int)(at - url), url, to, at + strlen(from));
    return copy;
}

static void a_changed_url_is_refused(void **state) {
    struct world *world = *state;
    const char *key = world_key(world, "url-one"), *other_key = world_key(world, "url-two");
    const struct presigned presigned = presign_upload(world, key);
    struct presigned tampered = presigned;

    tampered.url = changed(world, presigned.url, "url-one", "url-two");
    assert_refused(world, other_key, world_send(world, &tampered, BODY, BODY_SIZE, NULL, 0));
    tampered.url = changed(world, presigned.url, "X-Amz-Expires=", "X-Amz-Expires=1");
    assert_refused(world, key, world_send(world, &tampered, BODY, BODY_SIZE, NULL, 0));
    tampered.url = changed(world, presigned.url, "content-md5%3B", "");
    assert_refused(world, key, world_send(world, &tampered, BODY, BODY_SIZE, NULL, 0));
    tampered.url = changed(world, presigned.url, "X-Amz-Signature=", "X-Amz-Signature=0");
    assert_refused(world, key, world_send(world, &tampered, BODY, BODY_SIZE, NULL, 0));
    tampered.url = arena_copy(&world->arena, presigned.url, strcspn(presigned.url, "?"));
    assert_refused(world, key, world_send(world, &tampered, BODY, BODY_SIZE, NULL, 0));
}

static void an_expired_url_is_refused(void **state) {
    struct world *world = *state;
    const char *key = world_key(world, "expired");
    struct presigned upload = presign_upload_at(world, key, clock_now_ms() - world->config.media_upload_ms - 5000);
    assert_refused(world, key, world_send(world, &upload, BODY, BODY_SIZE, NULL, 0));

    world_upload(world, key, "text/plain", BODY, BODY_SIZE);
    struct presigned download = presign_download_at(world, key, clock_now_ms() - world->config.media_download_ms - 5000);
    assert_int_equal(world_send(world, &download, NULL, 0, NULL, 0)->status, 403);
}

static void a_url_is_for_its_method_alone(void **state) {
    struct world *world = *state;
    const char *key = world_key(world, "method");
    struct presigned presigned = presign_download_at(world, key, clock_now_ms());
    presigned.method = "PUT";
    assert_refused(world, key, world_send(world, &presigned, BODY, BODY_SIZE, NULL, 0));
    world_upload(world, key, "text/plain", BODY, BODY_SIZE);
    presigned.method = "DELETE";
    assert_int_equal(world_send(world, &presigned, NULL, 0, NULL, 0)->status, 403);
    world_assert_bytes(world, key, BODY, BODY_SIZE);
}

static void a_part_is_signed_like_a_whole(void **state) {
    struct world *world = *state;
    const char *key = world_key(world, "part");
    char upload_id[STORAGE_UPLOAD_ID_SIZE];
    uint8_t md5[MD5_SIZE];
    struct presigned presigned;
    struct part *parts;
    size_t count;
    bool has_more;
    world_md5(BODY, BODY_SIZE, md5);
    assert_int_equal(storage_multipart_begin(world->storage, key, "image/png", upload_id), OK);
    struct presign_part part = { key, upload_id, 3, BODY_SIZE, md5 };
    assert_int_equal(storage_presign_part(world->storage, NULL, &part, clock_now_ms(), &world->arena, &presigned), OK);

    assert_true(world_send(world, &presigned, "012345678X", BODY_SIZE, NULL, 0)->status >= 400);
    assert_true(world_send(world, &presigned, BODY "0", BODY_SIZE + 1, NULL, 0)->status >= 400);
    struct presigned tampered = presigned;
    tampered.url = changed(world, presigned.url, "partNumber=3", "partNumber=4");
    assert_true(world_send(world, &tampered, BODY, BODY_SIZE, NULL, 0)->status >= 400);
    assert_int_equal(storage_multipart_parts(world->storage, key, upload_id, 0, &world->arena, &parts, &count, &has_more), OK);
    assert_int_equal(count, 0);

    const struct reply *reply = world_send(world, &presigned, BODY, BODY_SIZE, NULL, 0);
    assert_int_equal(reply->status, 200);
    assert_string_equal(reply->etag, "\"781e5e245d69b566979b86e28d23f2c7\"");
    assert_int_equal(storage_multipart_abort(world->storage, key, upload_id), OK);
}

/* ---- Who may read ---- */

static struct presigned without_signature(struct world *world, struct presigned presigned) {
    presigned.url = arena_copy(&world->arena, presigned.url, strcspn(presigned.url, "?"));
    return presigned;
}

static void assert_private(struct world *world, const char *key) {
    struct presigned plain = without_signature(world, presign_download_at(world, key, clock_now_ms()));
    assert_int_equal(world_send(world, &plain, NULL, 0, NULL, 0)->status, 403);
}

static void nobody_reads_without_a_signature(void **state) {
    struct world *world = *state;
    const char *key = world_key(world, "private");
    world_upload(world, key, "text/plain", BODY, BODY_SIZE);
    assert_private(world, key);
}

/* By the signed x-amz-acl, or where buckets refuse ACLs, by the bucket's block of public access. */
static void a_client_cannot_make_its_object_public(void **state) {
    struct world *world = *state;
    static const struct sigv4_pair acls[][2] = {
        { { "x-amz-acl", "public-read" } },
        { { "x-amz-acl", "private" }, { "x-amz-acl", "public-read" } },
        { { "x-amz-acl", "public-read" }, { "x-amz-acl", "private" } },
        { { "x-amz-grant-read", "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\"" } },
    };
    for (size_t i = 0; i < COUNT_OF(acls); i++) {
        char name[32];
        snprintf(name, sizeof(name), "public %zu", i);
        const char *key = world_key(world, name);
        struct presigned presigned = presign_upload(world, key);
        (void)world_send(world, &presigned, BODY, BODY_SIZE, acls[i], acls[i][1].name == NULL ? 1 : 2);

        struct presigned plain = without_signature(world, presign_download_at(world, key, clock_now_ms()));
        unsigned status = world_send(world, &plain, NULL, 0, NULL, 0)->status;
        if (status != 403 && status != 404)
            fail_msg("with the headers of case %zu the object is public: status %u", i, status);
    }
}

static void even_without_signed_acls_public_access_is_blocked(void **state) {
    struct world *world = *state;
    struct config config = world->config;
    config.s3_acl = S3_ACL_NONE;
    storage_close(world->storage);
    world->storage = world_open(&config);
    a_client_cannot_make_its_object_public(state);
    storage_close(world->storage);
    world->storage = world_open(&world->config);
}

/* ---- Downloads ---- */

static void a_download_has_the_type_and_name_that_were_asked_for(void **state) {
    struct world *world = *state;
    const char *key = world_key(world, "download");
    world_upload(world, key, "text/html", "<script>", 8);
    struct presigned presigned = presign_download_at(world, key, clock_now_ms());
    const struct reply *reply = world_send(world, &presigned, NULL, 0, NULL, 0);
    assert_int_equal(reply->status, 200);
    assert_string_equal(reply->content_type, "text/plain; charset=utf-8");
    assert_string_equal(reply->disposition, "attachment; filename=\"a b.txt\"; filename*=UTF-8''%C3%A4%20b.txt");

    struct presigned tampered = presigned;
    tampered.url = changed(world, presigned.url, "response-content-type=text%2Fplain", "response-content-type=text%2Fhtml");
    assert_int_equal(world_send(world, &tampered, NULL, 0, NULL, 0)->status, 403);
}

static void a_download_may_be_a_range(void **state) {
    struct world *world = *state;
    const char *key = world_key(world, "range");
    world_upload(world, key, "text/plain", BODY, BODY_SIZE);
    struct presigned presigned = presign_download_at(world, key, clock_now_ms());
    const struct reply *reply = world_send(world, &presigned, NULL, 0, &(struct sigv4_pair){ "range", "bytes=2-4" }, 1);
    assert_int_equal(reply->status, 206);
    assert_string_equal(reply->body.bytes, "234");
    assert_string_equal(reply->content_range, "bytes 2-4/10");
    assert_int_equal(world_send(world, &presigned, NULL, 0, &(struct sigv4_pair){ "range", "bytes=10-" }, 1)->status, 416);
}

/* Browsers ask before a PUT from a page of another origin. */
static void pages_of_configured_origins_may_upload(void **state) {
    struct world *world = *state;
    static const struct sigv4_pair ours[] = {
        { "origin", "https://chat.example.org" },
        { "access-control-request-method", "PUT" },
        { "access-control-request-headers", "content-type,content-md5,x-amz-acl" },
    };
    static const struct sigv4_pair others[] = { { "origin", "https://other.example" }, { "access-control-request-method", "PUT" } };
    if (strstr(world->config.cors_origins, ours[0].value) == NULL)
        skip();
    struct presigned presigned = presign_upload(world, world_key(world, "page"));
    presigned.method = "OPTIONS";
    presigned.header_count = 0;
    const struct reply *reply = world_send(world, &presigned, NULL, 0, ours, COUNT_OF(ours));
    assert_int_equal(reply->status, 200);
    assert_string_equal(reply->allow_origin, ours[0].value);
    reply = world_send(world, &presigned, NULL, 0, others, COUNT_OF(others));
    assert_string_equal(reply->allow_origin, "");
}

/* ---- Mistakes ---- */

/* The problem says this, and never a secret. */
static void assert_problem(const struct config *config, const char *expected) {
    if (strstr(storage_problem(), expected) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", storage_problem(), expected);
    assert_null(strstr(storage_problem(), config->s3_secret_key));
    assert_null(strstr(storage_problem(), "Signature="));
}

static enum err list_with(const struct config *config) {
    struct arena arena = ARENA_INIT(1 << 20);
    struct listed_object *objects;
    size_t count;
    bool has_more;
    struct storage *storage = world_open(config);
    enum err err = storage_list(storage, "", &arena, &objects, &count, &has_more);
    storage_close(storage);
    arena_release(&arena);
    return err;
}

static void an_operators_mistakes_are_named(void **state) {
    struct world *world = *state;
    struct config config = world->config;
    config.s3_secret_key = (char[]){ "wrong-secret-key" };
    assert_int_equal(list_with(&config), ERR_STORAGE_UNAVAILABLE);
    assert_problem(&config, "403 SignatureDoesNotMatch: PARLEY_S3_SECRET_KEY");

    config = world->config;
    config.s3_access_key = (char[]){ "NOBODYSKEY" };
    assert_int_equal(list_with(&config), ERR_STORAGE_UNAVAILABLE);
    assert_problem(&config, "403 InvalidAccessKeyId: the storage does not know PARLEY_S3_ACCESS_KEY");

    config = world->config;
    config.s3_bucket = (char[]){ "there-is-no-such-bucket" };
    assert_int_equal(list_with(&config), ERR_STORAGE_UNAVAILABLE);
    assert_problem(&config, "404 NoSuchBucket: there is no bucket PARLEY_S3_BUCKET; `parley media setup` creates it");
}

static void a_wrong_key_is_no_missing_object(void **state) {
    struct world *world = *state;
    struct config config = world->config;
    struct object object;
    config.s3_secret_key = (char[]){ "wrong-secret-key" };
    struct storage *storage = world_open(&config);
    assert_int_equal(storage_head(storage, world_key(world, "any"), &object), ERR_STORAGE_UNAVAILABLE);
    assert_problem(&config, "HeadObject");
    storage_close(storage);
}

static void assert_not_opened(const struct config *config, const char *expected) {
    char problem[WORLD_PROBLEM_SIZE] = "";
    struct storage *storage;
    assert_int_equal(storage_open(config, (const uint8_t[32]){ 0 }, &storage, problem, sizeof(problem)), ERR_CONFIG);
    if (strncmp(problem, expected, strlen(expected)) != 0)
        fail_msg("\"%s\" instead of \"%s\"", problem, expected);
}

static void settings_that_cannot_work_are_refused(void **state) {
    struct world *world = *state;
    char long_prefix[204];
    memset(long_prefix, 'p', sizeof(long_prefix) - 1);
    long_prefix[sizeof(long_prefix) - 1] = '\0';
    const struct {
        size_t offset;
        const char *value;
        const char *problem;
    } mistakes[] = {
        { offsetof(struct config, s3_access_key), "", "PARLEY_S3_ACCESS_KEY is not set" },
        { offsetof(struct config, s3_access_key), "a\r\nb: c", "PARLEY_S3_ACCESS_KEY has spaces" },
        { offsetof(struct config, s3_secret_key), "", "PARLEY_S3_SECRET_KEY is not set" },
        { offsetof(struct config, s3_session_token), "a b", "PARLEY_S3_SESSION_TOKEN has spaces" },
        { offsetof(struct config, s3_bucket), "", "PARLEY_S3_BUCKET is not 3 to 63" },
        { offsetof(struct config, s3_bucket), "Upper", "PARLEY_S3_BUCKET is not 3 to 63" },
        { offsetof(struct config, s3_bucket), "a/b", "PARLEY_S3_BUCKET is not 3 to 63" },
        { offsetof(struct config, s3_bucket), "-dash", "PARLEY_S3_BUCKET does not begin" },
        { offsetof(struct config, s3_bucket), "two..dots", "PARLEY_S3_BUCKET does not begin" },
        { offsetof(struct config, s3_bucket), "192.168.0.1", "PARLEY_S3_BUCKET looks like an address" },
        { offsetof(struct config, s3_prefix), long_prefix, "PARLEY_S3_PREFIX is too long" },
        { offsetof(struct config, s3_prefix), "/a", "PARLEY_S3_PREFIX begins with a slash" },
        { offsetof(struct config, s3_prefix), "a//b", "PARLEY_S3_PREFIX begins with a slash, or has an empty part" },
        { offsetof(struct config, s3_prefix), "a/../b", "PARLEY_S3_PREFIX begins" },
        { offsetof(struct config, s3_prefix), "a\nb", "PARLEY_S3_PREFIX is not UTF-8" },
        { offsetof(struct config, s3_prefix), "\xff", "PARLEY_S3_PREFIX is not UTF-8" },
        { offsetof(struct config, s3_region), "", "PARLEY_S3_REGION is not" },
        { offsetof(struct config, s3_region), "a/b", "PARLEY_S3_REGION is not" },
        { offsetof(struct config, s3_endpoint), "http://a<b", "PARLEY_S3_ENDPOINT has a host" },
    };
    for (size_t i = 0; i < COUNT_OF(mistakes); i++) {
        struct config config = world->config;
        memcpy((char *)&config + mistakes[i].offset, &mistakes[i].value, sizeof(mistakes[i].value));
        assert_not_opened(&config, mistakes[i].problem);
    }
    struct config config = world->config;
    config.s3_style = S3_VIRTUAL;
    config.s3_endpoint = (char[]){ "http://127.0.0.1:9000" };
    assert_not_opened(&config, "PARLEY_S3_ENDPOINT is an address");
}

static void assert_url(struct world *world, const struct config *config, const char *expected) {
    struct storage *storage = world_open(config);
    struct presign_get get = { "a b", "text/plain", "inline" };
    struct presigned presigned;
    assert_int_equal(storage_presign_get(storage, NULL, &get, clock_now_ms(), &world->arena, &presigned), OK);
    if (strncmp(presigned.url, expected, strlen(expected)) != 0)
        fail_msg("%s instead of %s", presigned.url, expected);
    storage_close(storage);
}

static void urls_are_those_of_the_public_endpoint(void **state) {
    struct world *world = *state;
    struct config config = world->config;
    config.s3_bucket = (char[]){ "media" };
    config.s3_style = S3_PATH;
    config.s3_endpoint = (char[]){ "http://inside:9000" };
    config.s3_public_endpoint = (char[]){ "" };
    assert_url(world, &config, "http://inside:9000/media/a%20b?");
    config.s3_public_endpoint = (char[]){ "https://Media.Example.org:443" };
    assert_url(world, &config, "https://media.example.org/media/a%20b?");
    config.s3_style = S3_VIRTUAL;
    assert_url(world, &config, "https://media.media.example.org/a%20b?");
}

#define S3_TEST(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int run_s3(void) {
    const struct CMUnitTest tests[] = {
        S3_TEST(other_bytes_than_announced_are_refused),
        S3_TEST(other_headers_than_signed_are_refused),
        S3_TEST(a_changed_url_is_refused),
        S3_TEST(an_expired_url_is_refused),
        S3_TEST(a_url_is_for_its_method_alone),
        S3_TEST(a_part_is_signed_like_a_whole),
        S3_TEST(nobody_reads_without_a_signature),
        S3_TEST(a_client_cannot_make_its_object_public),
        S3_TEST(even_without_signed_acls_public_access_is_blocked),
        S3_TEST(a_download_has_the_type_and_name_that_were_asked_for),
        S3_TEST(a_download_may_be_a_range),
        S3_TEST(pages_of_configured_origins_may_upload),
        S3_TEST(an_operators_mistakes_are_named),
        S3_TEST(a_wrong_key_is_no_missing_object),
        S3_TEST(settings_that_cannot_work_are_refused),
        S3_TEST(urls_are_those_of_the_public_endpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
