/* Storages that are down, slow, or answer nonsense. */
#include "core/clock.h"
#include "media/breaker.h"
#include "tests/storage/contract.h"
#include "tests/storage/scripted.h"

#define ANSWERED_MS 30000 /* where an answer comes: never used up, even by a machine that pauses */
#define SILENT_MS 300     /* where none comes, and the test waits for it */
#define THREADS 8
#define SLACK_MS 3000 /* for a busy machine */

#define ANSWER(status, body) "HTTP/1.1 " status "\r\nConnection: close\r\n\r\n" body
#define ERROR(status, code) ANSWER(status, "<?xml version=\"1.0\"?>\n<Error><Code>" code "</Code><Message>secret-message</Message></Error>")
#define EMPTY_LIST ANSWER("200 OK", "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
#define EMPTY_DELETION ANSWER("200 OK", "<DeleteResult/>")

/* A storage of answers, and what the driver makes of it. */
struct stage {
    struct world *world;
    struct config config;
    struct scripted scripted;
    struct storage *storage;
    unsigned asked; /* before it was left alone */
};

static void raise_timed_curtain(struct stage *stage, void **state, const char *const *answers, unsigned answer_count, int64_t timeout_ms) {
    stage->world = *state;
    scripted_start(&stage->scripted, answers, answer_count);
    stage->config = stage->world->config;
    stage->config.s3_endpoint = stage->scripted.endpoint;
    stage->config.s3_style = S3_PATH;
    stage->config.s3_timeout_ms = timeout_ms;
    stage->storage = world_open(&stage->config);
}

static void raise_curtain(struct stage *stage, void **state, const char *const *answers, unsigned answer_count) {
    raise_timed_curtain(stage, state, answers, answer_count, ANSWERED_MS);
}

static void raise_silent_curtain(struct stage *stage, void **state) {
    static const char *const answers[] = { SCRIPTED_SILENCE };
    raise_timed_curtain(stage, state, answers, 1, SILENT_MS);
}

static void drop_curtain(struct stage *stage) {
    storage_close(stage->storage);
    scripted_stop(&stage->scripted);
}

static enum err list_some(struct stage *stage, struct listed_object **ret_objects, size_t *ret_count, bool *ret_more) {
    return storage_list(stage->storage, "", &stage->world->arena, ret_objects, ret_count, ret_more);
}

static enum err list_any(struct stage *stage) {
    struct listed_object *objects;
    size_t count;
    bool has_more;
    return list_some(stage, &objects, &count, &has_more);
}

static enum err complete_any(struct stage *stage) {
    struct part part = { .number = 1, .etag = "0cc175b9c0f1b6a831c399e269772661" };
    return storage_multipart_complete(stage->storage, "key", "id", &part, 1);
}

static void assert_says(const char *expected) {
    if (strstr(storage_problem(), expected) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", storage_problem(), expected);
    assert_null(strstr(storage_problem(), "secret"));
}

/* ---- Answers ---- */

static void what_may_pass_is_tried_again(void **state) {
    static const char *const plays[][3] = {
        { ERROR("503 Service Unavailable", "SlowDown"), ANSWER("500 Internal Server Error", ""), EMPTY_LIST },
        { ANSWER("502 Bad Gateway", "<html>not XML"), ANSWER("504 Gateway Timeout", "busy"), EMPTY_LIST },
        { ANSWER("429 Too Many Requests", ""), ERROR("400 Bad Request", "SlowDown"), EMPTY_LIST },
        { SCRIPTED_CUT, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<ListBucketResult>", EMPTY_LIST },
        { ERROR("200 OK", "InternalError"), "nonsense\r\n\r\n", EMPTY_LIST },
    };
    for (size_t i = 0; i < COUNT_OF(plays); i++) {
        struct stage stage;
        raise_curtain(&stage, state, plays[i], 3);
        if (list_any(&stage) != OK)
            fail_msg("play %zu: %s", i, storage_problem());
        assert_int_equal(stage.scripted.requests, 3);
        drop_curtain(&stage);
    }
}

static void three_tries_are_enough(void **state) {
    static const char *const answers[] = { ERROR("503 Service Unavailable", "SlowDown") };
    struct stage stage;
    raise_curtain(&stage, state, answers, 1);
    assert_int_equal(list_any(&stage), ERR_STORAGE_UNAVAILABLE);
    assert_int_equal(stage.scripted.requests, 3);
    assert_says("503 SlowDown: the storage asks for fewer requests");
    drop_curtain(&stage);
}

static void what_will_not_pass_is_not_tried_again(void **state) {
    static const struct {
        const char *answer;
        const char *problem;
    } plays[] = {
        { ERROR("403 Forbidden", "RequestTimeTooSkewed"), "ListObjectsV2: http://127.0.0.1" },
        { ERROR("403 Forbidden", "RequestTimeTooSkewed"), "403 RequestTimeTooSkewed: the clock" },
        { ERROR("403 Forbidden", "AccessDenied"), "403 AccessDenied: PARLEY_S3_ACCESS_KEY may not" },
        { ERROR("400 Bad Request", "AuthorizationHeaderMalformed"), "another region than PARLEY_S3_REGION" },
        { ERROR("400 Bad Request", "A&lt;b&gt;&#10;code=1"), "answered 400 Abcode1" },
        { ANSWER("301 Moved Permanently\r\nLocation: http://127.0.0.1:1/", ""), "answered 301: the storage is elsewhere" },
        { ANSWER("307 Temporary Redirect\r\nLocation: /elsewhere", ""), "answered 307: the storage is elsewhere" },
        { ANSWER("404 Not Found", "<html>no such page</html>"), "answered 404" },
        { ANSWER("200 OK", "<html><br>welcome"), "is it an S3 storage?" },
        { ANSWER("200 OK", ""), "is it an S3 storage?" },
        { ANSWER("200 OK", "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>"), "is it an S3 storage?" },
    };
    for (size_t i = 0; i < COUNT_OF(plays); i++) {
        struct stage stage;
        raise_curtain(&stage, state, &plays[i].answer, 1);
        enum err err = list_any(&stage);
        if (err != ERR_STORAGE_UNAVAILABLE && err != ERR_NOT_FOUND)
            fail_msg("play %zu: %s", i, err_name(err));
        assert_int_equal(stage.scripted.requests, 1);
        assert_says(plays[i].problem);
        drop_curtain(&stage);
    }
}

static void an_answer_without_end_is_cut_off(void **state) {
    const size_t size = 5 * 1024 * 1024;
    char *answer = malloc(size + 1);
    assert_non_null(answer);
    memset(answer, ' ', size);
    memcpy(answer, "HTTP/1.1 200 OK\r\n\r\n", 19);
    answer[size] = '\0';
    const char *const answers[] = { answer };
    struct stage stage;
    raise_curtain(&stage, state, answers, 1);
    assert_int_equal(list_any(&stage), ERR_STORAGE_UNAVAILABLE);
    assert_says("the answer has more than 4194304 bytes");
    drop_curtain(&stage);
    free(answer);
}

static void a_completion_may_fail_late(void **state) {
    static const char *const conflict[] = { ANSWER("200 OK", "<?xml version=\"1.0\"?>  \n  <Error><Code>InvalidPart</Code></Error>") };
    static const char *const lost[] = { SCRIPTED_CUT, ERROR("404 Not Found", "NoSuchUpload") };
    static const char *const late[] = { ERROR("200 OK", "InternalError"), ANSWER("200 OK", "<CompleteMultipartUploadResult/>") };
    struct stage stage;
    raise_curtain(&stage, state, conflict, 1);
    assert_int_equal(complete_any(&stage), ERR_CONFLICT);
    drop_curtain(&stage);
    raise_curtain(&stage, state, lost, 2); /* it may have been done: the caller has to look */
    assert_int_equal(complete_any(&stage), ERR_NOT_FOUND);
    drop_curtain(&stage);
    raise_curtain(&stage, state, late, 2);
    assert_int_equal(complete_any(&stage), OK);
    drop_curtain(&stage);
}

static void a_key_that_could_not_be_deleted_is_an_error(void **state) {
    static const char *const answers[] = {
        ANSWER("200 OK", "<DeleteResult><Error><Key>a</Key><Code>NoSuchKey</Code></Error></DeleteResult>"),
        ANSWER("200 OK", "<DeleteResult><Error><Key>a</Key><Code>NoSuchKey</Code></Error>"
                         "<Error><Key>b</Key><Code>AccessDenied</Code><Message>secret</Message></Error></DeleteResult>"),
        EMPTY_DELETION,
    };
    const char *const keys[] = { "a", "b" };
    struct stage stage;
    raise_curtain(&stage, state, answers, 3);
    assert_int_equal(storage_delete(stage.storage, keys, 2), OK);
    assert_int_equal(storage_delete(stage.storage, keys, 2), ERR_STORAGE_UNAVAILABLE);
    assert_says("DeleteObjects: http://127.0.0.1");
    assert_says("refused a key: AccessDenied");
    assert_int_equal(storage_delete(stage.storage, keys, 2), OK);
    drop_curtain(&stage);
}

#define LISTED(key) "<Contents><Key>" key "</Key><Size>3</Size><LastModified>2026-11-21T01:02:03.456Z</LastModified></Contents>"
#define LISTING(more, entries) ANSWER("200 OK", "<ListBucketResult><IsTruncated>" more "</IsTruncated>" entries "</ListBucketResult>")
#define TEN_TIMES(text) text text text text text text text text text text
#define LONG_KEY TEN_TIMES(TEN_TIMES("long"))

static void a_listing_is_read_as_it_was_written(void **state) {
    static const char *const answers[] = {
        LISTING("true", LISTED("a+b%20c")),
        LISTING("true", "<EncodingType>url</EncodingType>" LISTED("a+b%20c%2B%C3%A9%0A")),
        LISTING("true", "<EncodingType>url</EncodingType>" LISTED("a%zz")),
        LISTING("true", "<EncodingType>url</EncodingType>" LISTED("a%00")),
        LISTING("true", "<EncodingType>url</EncodingType>" LISTED("a%4")),
        LISTING("true", ""),
    };
    struct stage stage;
    struct listed_object *objects;
    size_t count;
    bool has_more;
    raise_curtain(&stage, state, answers, COUNT_OF(answers));
    assert_int_equal(list_some(&stage, &objects, &count, &has_more), OK);
    assert_int_equal(count, 1);
    assert_string_equal(objects[0].key, "a+b%20c");
    assert_int_equal(objects[0].size, 3);
    assert_int_equal(objects[0].modified_ms, 1795222923456);
    assert_true(has_more);
    assert_int_equal(list_some(&stage, &objects, &count, &has_more), OK);
    assert_string_equal(objects[0].key, "a b c+\xc3\xa9\n");
    for (int i = 0; i < 4; i++)
        assert_int_equal(list_any(&stage), ERR_STORAGE_UNAVAILABLE);
    assert_says("listed what cannot be read");
    drop_curtain(&stage);
}

static void keys_too_long_for_ours_are_passed_over(void **state) {
    static const char *const answers[] = {
        LISTING("true", LISTED(LONG_KEY)),
        LISTING("true", LISTED(LONG_KEY "1") LISTED(LONG_KEY "2")),
        LISTING("false", LISTED("short") LISTED(LONG_KEY "3")),
    };
    struct stage stage;
    struct listed_object *objects;
    size_t count;
    bool has_more;
    raise_curtain(&stage, state, answers, COUNT_OF(answers));
    assert_int_equal(list_some(&stage, &objects, &count, &has_more), OK);
    assert_int_equal(stage.scripted.requests, 3);
    assert_int_equal(count, 1);
    assert_string_equal(objects[0].key, "short");
    assert_false(has_more);
    drop_curtain(&stage);
}

static void count_steps(void *context, const char *step, enum err err, const char *detail) {
    (void)step;
    *(unsigned *)context += err != OK && strstr(detail, "does not support it") != NULL;
}

static void what_a_storage_does_not_know_is_no_failure(void **state) {
    static const char *const answers[] = {
        ANSWER("200 OK", ""),                           /* the bucket */
        ERROR("501 Not Implemented", "NotImplemented"), /* CORS */
        ERROR("501 Not Implemented", "NotImplemented"), /* public access */
        ANSWER("200 OK", ""),                           /* an upload */
        ANSWER("204 No Content", ""),                   /* its deletion */
        ERROR("501 Not Implemented", "NotImplemented"), /* lifecycle */
    };
    struct stage stage;
    unsigned unsupported = 0;
    raise_curtain(&stage, state, answers, COUNT_OF(answers));
    stage.config.cors_origins = (char[]){ "https://chat.example.org" };
    assert_int_equal(storage_setup(stage.storage, count_steps, &unsupported), OK);
    assert_int_equal(unsupported, 3);
    drop_curtain(&stage);
}

static void rules_of_others_are_not_overwritten(void **state) {
    static const char *const answers[] = {
        ANSWER("200 OK", ""), /* the bucket */
        ANSWER("200 OK", ""), /* public access */
        ANSWER("200 OK", ""), /* an upload */
        ANSWER("200 OK", ""), /* its deletion */
        ANSWER("200 OK", "<LifecycleConfiguration><Rule><ID>theirs</ID></Rule></LifecycleConfiguration>"),
    };
    struct stage stage;
    unsigned unsupported = 0;
    raise_curtain(&stage, state, answers, 5);
    stage.config.cors_origins = stage.config.public_url = (char[]){ "" };
    assert_int_equal(storage_setup(stage.storage, count_steps, &unsupported), OK);
    assert_int_equal(stage.scripted.requests, 5);
    drop_curtain(&stage);
}

static void proxies_of_the_environment_are_ignored(void **state) {
    static const char *const answers[] = { EMPTY_LIST };
    struct stage stage;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    raise_curtain(&stage, state, answers, 1);
    assert_int_equal(list_any(&stage), OK);
    drop_curtain(&stage);
    unsetenv("http_proxy");
    unsetenv("all_proxy");
}

/* ---- No answers ---- */

static void a_silent_storage_holds_nobody_for_long(void **state) {
    struct stage stage;
    int64_t begin_ms = 0;
    raise_silent_curtain(&stage, state);
    for (unsigned i = 0; i < BREAKER_FAILURES; i++) {
        begin_ms = clock_monotonic_ms();
        assert_int_equal(list_any(&stage), ERR_STORAGE_UNAVAILABLE);
        assert_in_range(clock_monotonic_ms() - begin_ms, 0, 2 * SILENT_MS + SLACK_MS);
    }
    unsigned asked = stage.scripted.requests;
    for (int i = 0; i < 100; i++)
        assert_int_equal(list_any(&stage), ERR_STORAGE_UNAVAILABLE);
    assert_says("not asked again yet");
    int64_t spent_ms = clock_monotonic_ms() - begin_ms;
    assert_in_range(spent_ms, 0, 2 * SILENT_MS + SLACK_MS);
    assert_in_range(stage.scripted.requests - asked, 0, spent_ms / BREAKER_OPEN_MS);
    drop_curtain(&stage);
}

/* Until it should have been asked again, and was. */
static void *head_for_a_while(void *context) {
    struct stage *stage = context;
    struct object object;
    int64_t end_ms = clock_monotonic_ms() + BREAKER_OPEN_MS + 2 * SILENT_MS;
    while (clock_monotonic_ms() < end_ms || (stage->scripted.requests == stage->asked && clock_monotonic_ms() < end_ms + SLACK_MS)) {
        if (storage_head(stage->storage, "key", &object) == OK)
            return stage;
        clock_sleep_ms(5);
    }
    return NULL;
}

static void only_one_asks_whether_it_is_back(void **state) {
    struct stage stage;
    pthread_t threads[THREADS];
    struct object object;
    raise_silent_curtain(&stage, state);
    for (unsigned i = 0; i < BREAKER_FAILURES; i++)
        assert_int_equal(storage_head(stage.storage, "key", &object), ERR_STORAGE_UNAVAILABLE);
    stage.asked = stage.scripted.requests;
    int64_t begin_ms = clock_monotonic_ms();
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, head_for_a_while, &stage), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *found;
        pthread_join(threads[i], &found);
        assert_null(found);
    }
    assert_in_range(stage.scripted.requests - stage.asked, 1, 1 + (clock_monotonic_ms() - begin_ms) / BREAKER_OPEN_MS);
    drop_curtain(&stage);
}

static void run_command(const char *name) {
    if (system(getenv(name)) != 0)
        fail_msg("%s fails: %s", name, getenv(name));
}

static void a_storage_that_is_back_is_used_again(void **state) {
    struct world *world = *state;
    struct object object;
    const char *key = world_key(world, "back");
    if (getenv("STORAGE_STOP") == NULL || getenv("STORAGE_START") == NULL)
        skip();
    world_upload(world, key, "text/plain", "still here", 10);
    assert_int_equal(storage_head(world->storage, key, &object), OK);

    run_command("STORAGE_STOP");
    for (int i = 0; i < 10; i++) {
        int64_t begin_ms = clock_monotonic_ms();
        assert_int_equal(storage_head(world->storage, key, &object), ERR_STORAGE_UNAVAILABLE);
        assert_in_range(clock_monotonic_ms() - begin_ms, 0, SLACK_MS);
        assert_says("HeadObject: http");
    }
    run_command("STORAGE_START");
    int64_t begin_ms = clock_monotonic_ms();
    while (storage_head(world->storage, key, &object) != OK) {
        assert_in_range(clock_monotonic_ms() - begin_ms, 0, 2 * BREAKER_OPEN_MS + SLACK_MS);
        clock_sleep_ms(10);
    }
    world_assert_bytes(world, key, "still here", 10);
}

/* ---- Many at once ---- */

static void *use_much(void *context) {
    struct world *world = context;
    for (int i = 0; i < 100; i++) {
        struct object object;
        const char *key = "no such key";
        if (storage_head(world->storage, key, &object) != ERR_NOT_FOUND || storage_delete(world->storage, &key, 1) != OK)
            return (void *)storage_problem();
    }
    return NULL;
}

static void threads_share_it(void **state) {
    pthread_t threads[2 * THREADS];
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_much, *state), 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        void *problem;
        pthread_join(threads[i], &problem);
        assert_null(problem);
    }
}

#define UNREACHABLE_TEST(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int run_unreachable(void) {
    const struct CMUnitTest tests[] = {
        UNREACHABLE_TEST(what_may_pass_is_tried_again),
        UNREACHABLE_TEST(three_tries_are_enough),
        UNREACHABLE_TEST(what_will_not_pass_is_not_tried_again),
        UNREACHABLE_TEST(an_answer_without_end_is_cut_off),
        UNREACHABLE_TEST(a_completion_may_fail_late),
        UNREACHABLE_TEST(a_key_that_could_not_be_deleted_is_an_error),
        UNREACHABLE_TEST(a_listing_is_read_as_it_was_written),
        UNREACHABLE_TEST(keys_too_long_for_ours_are_passed_over),
        UNREACHABLE_TEST(what_a_storage_does_not_know_is_no_failure),
        UNREACHABLE_TEST(rules_of_others_are_not_overwritten),
        UNREACHABLE_TEST(proxies_of_the_environment_are_ignored),
        UNREACHABLE_TEST(a_silent_storage_holds_nobody_for_long),
        UNREACHABLE_TEST(only_one_asks_whether_it_is_back),
        UNREACHABLE_TEST(a_storage_that_is_back_is_used_again),
        UNREACHABLE_TEST(threads_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
