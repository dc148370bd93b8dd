/* Presigning and keys; tests/storage compares many more URLs with those of the AWS SDK. */
#include "media/driver.h"
#include "media/key.h"
#include "tests/unit/unit.h"

#define NOW_MS INT64_C(1795000000123) /* 2026-11-18 11:06:40.123 */
#define ARENA_BYTES (64 * 1024)

static const uint8_t md5[MD5_SIZE] = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff };

static const struct config config = { .media_upload_ms = 3600999, .media_download_ms = 600000 };

static const struct storage remote = {
    .config = &config,
    .credentials = { .access_key = "AK", .secret_key = "SK", .region = "us-east-1", .service = "s3" },
    .public_base = "https://S3.example.org:443",
    .public_path = "/parley/",
    .signs_acl = true,
};

/* Its URLs begin where the client says that the server is. */
static const struct storage local = {
    .config = &config,
    .credentials = { .access_key = "AK", .secret_key = "SK", .session_token = "", .region = "local", .service = "s3" },
    .public_path = "/blobs/",
};

static const struct presign_put put = { .key = "a b/\xc3\xa4", .content_type = "text/plain", .size = 5, .md5 = md5 };

static bool signs(const struct presigned *presigned, const char *list) {
    char wanted[256];
    snprintf(wanted, sizeof(wanted), "&X-Amz-SignedHeaders=%s", list);
    const char *found = strstr(presigned->url, wanted);
    return found != NULL && (found[strlen(wanted)] == '\0' || found[strlen(wanted)] == '&');
}

static const char *header(const struct presigned *presigned, const char *name) {
    for (size_t i = 0; i < presigned->header_count; i++)
        if (strcmp(presigned->headers[i].name, name) == 0)
            return presigned->headers[i].value;
    return NULL;
}

static void an_upload(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct presigned presigned;
    assert_int_equal(storage_presign_put(&remote, "http://ignored", &put, NOW_MS, &arena, &presigned), OK);
    assert_string_equal(presigned.method, "PUT");
    assert_string_equal(presigned.url, "https://s3.example.org/parley/a%20b/%C3%A4?X-Amz-Algorithm=AWS4-HMAC-SHA256"
                                       "&X-Amz-Content-Sha256=UNSIGNED-PAYLOAD"
                                       "&X-Amz-Credential=AK%2F20261118%2Fus-east-1%2Fs3%2Faws4_request"
                                       "&X-Amz-Date=20261118T110640Z&X-Amz-Expires=3600"
                                       "&X-Amz-Signature=2c8c2291bb36eec7bf2e8693bbc5b6113811af022f1a633df564115b34dfc211"
                                       "&X-Amz-SignedHeaders=content-length%3Bcontent-md5%3Bcontent-type%3Bhost%3Bx-amz-acl");
    assert_int_equal(presigned.header_count, 3);
    assert_string_equal(header(&presigned, "content-type"), "text/plain");
    assert_string_equal(header(&presigned, "content-md5"), "ABEiM0RVZneImaq7zN3u/w==");
    assert_string_equal(header(&presigned, "x-amz-acl"), "private");
    assert_int_equal(presigned.expires_ms, NOW_MS - 123 + 3600000);
    arena_release(&arena);
}

static void what_is_not_asked_for_is_not_signed(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct presigned presigned;
    struct presign_put without = put;
    without.md5 = NULL;
    assert_int_equal(storage_presign_put(&local, "http://localhost", &without, NOW_MS, &arena, &presigned), OK);
    assert_true(signs(&presigned, "content-length%3Bcontent-type%3Bhost"));
    assert_int_equal(presigned.header_count, 1);
    assert_null(strstr(presigned.url, "X-Amz-Security-Token"));
    arena_release(&arena);
}

static void a_part(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct presigned presigned;
    const struct presign_part part = { .key = "key", .upload_id = "2~a/b", .number = 10000, .size = 8 << 20, .md5 = md5 };
    assert_int_equal(storage_presign_part(&remote, NULL, &part, NOW_MS, &arena, &presigned), OK);
    assert_string_equal(presigned.method, "PUT");
    assert_true(signs(&presigned, "content-length%3Bcontent-md5%3Bhost"));
    assert_non_null(strstr(presigned.url, "&partNumber=10000&uploadId=2~a%2Fb"));
    assert_int_equal(presigned.header_count, 1);
    assert_string_equal(header(&presigned, "content-md5"), "ABEiM0RVZneImaq7zN3u/w==");
    arena_release(&arena);
}

static void a_download(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct presigned presigned;
    const struct presign_get get = { .key = "key", .content_type = "image/png", .disposition = "inline; filename=\"a\"" };
    assert_int_equal(storage_presign_get(&remote, NULL, &get, NOW_MS, &arena, &presigned), OK);
    assert_string_equal(presigned.method, "GET");
    assert_true(signs(&presigned, "host"));
    assert_non_null(strstr(presigned.url, "&X-Amz-Expires=600&"));
    assert_non_null(
        strstr(presigned.url, "&response-content-disposition=inline%3B%20filename%3D%22a%22&response-content-type=image%2Fpng"));
    assert_int_equal(presigned.header_count, 0);
    assert_int_equal(presigned.expires_ms, NOW_MS - 123 + 600000);
    arena_release(&arena);
}

static void a_session_token_is_in_the_url(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct presigned presigned;
    struct storage temporary = remote;
    temporary.credentials.session_token = "a+b==";
    assert_int_equal(storage_presign_put(&temporary, NULL, &put, NOW_MS, &arena, &presigned), OK);
    assert_non_null(strstr(presigned.url, "&X-Amz-Expires=3600&X-Amz-Security-Token=a%2Bb%3D%3D&X-Amz-Signature="));
    arena_release(&arena);
}

struct origin {
    const char *base;
    const char *expected;
};

/* Clients send `host` as their URL parser leaves it; the signature has to be of that. */
static void origins_are_written_as_browsers_do(void **state) {
    (void)state;
    static const struct origin origins[] = {
        { "http://localhost:8080", "http://localhost:8080/blobs/" },
        { "http://LocalHost:80", "http://localhost/blobs/" },
        { "https://chat.example:443", "https://chat.example/blobs/" },
        { "https://chat.example:80", "https://chat.example:80/blobs/" },
        { "http://chat.example:443", "http://chat.example:443/blobs/" },
        { "https://chat.example:8443", "https://chat.example:8443/blobs/" },
        { "http://[::1]:8080", "http://[::1]:8080/blobs/" },
        { "http://[::80]", "http://[::80]/blobs/" },
    };
    for (size_t i = 0; i < COUNT_OF(origins); i++) {
        struct arena arena = ARENA_INIT(ARENA_BYTES);
        struct presigned presigned;
        assert_int_equal(storage_presign_put(&local, origins[i].base, &put, NOW_MS, &arena, &presigned), OK);
        assert_memory_equal(presigned.url, origins[i].expected, strlen(origins[i].expected));
        arena_release(&arena);
    }
}

/* What the local storage's server gets when a client does as told. */
static void the_server_accepts_its_own_urls(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT(ARENA_BYTES);
    struct presigned presigned;
    assert_int_equal(storage_presign_put(&local, "http://LOCALHOST:80", &put, NOW_MS, &arena, &presigned), OK);

    char signature[2 * SHA256_SIZE + 1];
    snprintf(signature, sizeof(signature), "%s", strstr(presigned.url, "X-Amz-Signature=") + strlen("X-Amz-Signature="));
    const struct sigv4_pair query[] = { { "X-Amz-Algorithm", "AWS4-HMAC-SHA256" },
                                        { "X-Amz-Content-Sha256", SIGV4_UNSIGNED_PAYLOAD },
                                        { "X-Amz-Credential", "AK/20261118/local/s3/aws4_request" },
                                        { "X-Amz-Date", "20261118T110640Z" },
                                        { "X-Amz-Expires", "3600" },
                                        { "X-Amz-Signature", signature },
                                        { "X-Amz-SignedHeaders", "content-length;content-md5;content-type;host" } };
    struct sigv4_pair headers[] = { { "content-length", "5" },
                                    { "content-md5", header(&presigned, "content-md5") },
                                    { "content-type", header(&presigned, "content-type") },
                                    { "host", "localhost" } };
    struct sigv4_request request = { .method = "PUT",
                                     .path = "/blobs/a b/\xc3\xa4",
                                     .query = query,
                                     .query_count = COUNT_OF(query),
                                     .headers = headers,
                                     .header_count = COUNT_OF(headers),
                                     .payload_hash = SIGV4_UNSIGNED_PAYLOAD,
                                     .time_ms = presigned.expires_ms - 1 };
    assert_int_equal(sigv4_verify(&local.credentials, &request), OK);
    request.time_ms = presigned.expires_ms;
    assert_int_equal(sigv4_verify(&local.credentials, &request), ERR_URL_EXPIRED);
    headers[0].value = "6";
    assert_int_equal(sigv4_verify(&local.credentials, &request), ERR_BAD_SIGNATURE);
    arena_release(&arena);
}

/* Whatever there is room for, the outcome is whole or untouched. */
static void a_full_arena_is_no_memory(void **state) {
    (void)state;
    bool was_done = false;
    for (size_t cap = 0; !was_done; cap += 16) {
        struct arena arena = ARENA_INIT(cap);
        struct presigned presigned = { .url = "untouched" };
        enum err err = storage_presign_put(&remote, NULL, &put, NOW_MS, &arena, &presigned);
        was_done = err == OK;
        assert_true(was_done || (err == ERR_NO_MEMORY && strcmp(presigned.url, "untouched") == 0));
        arena_release(&arena);
        assert_true(cap < ARENA_BYTES);
    }
}

/* ---- Keys ---- */

static void a_key_says_its_id_and_token(void **state) {
    (void)state;
    char key[STORAGE_KEY_SIZE];
    uint64_t id = 0;
    uint8_t token[MEDIA_KEY_TOKEN_BYTES] = { 0 };
    media_key("chat/", UINT64_C(9223372036854775807), md5, key);
    assert_string_equal(key, "chat/9223372036854775807-00112233445566778899aabbccddeeff");
    assert_true(media_key_parse("chat/", key, &id, token));
    assert_true(id == UINT64_C(9223372036854775807));
    assert_memory_equal(token, md5, sizeof(token));

    media_key("", 1, md5, key);
    assert_string_equal(key, "1-00112233445566778899aabbccddeeff");
    assert_true(media_key_parse("", key, &id, token));
    assert_true(id == 1);
}

static void the_longest_prefix_leaves_room(void **state) {
    (void)state;
    char prefix[201], key[STORAGE_KEY_SIZE];
    uint64_t id;
    uint8_t token[MEDIA_KEY_TOKEN_BYTES];
    memset(prefix, 'p', sizeof(prefix) - 1);
    prefix[200] = '\0';
    media_key(prefix, UINT64_C(9223372036854775807), md5, key);
    assert_int_equal(strlen(key), 200 + 19 + 1 + 32);
    assert_true(media_key_parse(prefix, key, &id, token));
}

static void other_keys_are_not_ours(void **state) {
    (void)state;
    static const char *const others[] = {
        "",
        "chat/",
        "chat/1",
        "chat/1-",
        "chat/-00112233445566778899aabbccddeeff",
        "1-00112233445566778899aabbccddeeff",
        "chat1-00112233445566778899aabbccddeeff",
        "chat//1-00112233445566778899aabbccddeeff",
        "Chat/1-00112233445566778899aabbccddeeff",
        "chat/1-00112233445566778899aabbccddeef",
        "chat/1-00112233445566778899aabbccddeeff0",
        "chat/1-00112233445566778899aabbccddeeff/",
        "chat/1-00112233445566778899AABBCCDDEEFF",
        "chat/1-00112233445566778899aabbccddeefg",
        "chat/01-00112233445566778899aabbccddeeff",
        "chat/0-00112233445566778899aabbccddeeff",
        "chat/+1-00112233445566778899aabbccddeeff",
        "chat/9223372036854775808-00112233445566778899aabbccddeeff",
        "chat/1--0112233445566778899aabbccddeeff",
    };
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        uint64_t id = 77;
        uint8_t token[MEDIA_KEY_TOKEN_BYTES] = { 0xab };
        assert_false(media_key_parse("chat/", others[i], &id, token));
        assert_true(id == 77 && token[0] == 0xab);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_upload),
        cmocka_unit_test(what_is_not_asked_for_is_not_signed),
        cmocka_unit_test(a_part),
        cmocka_unit_test(a_download),
        cmocka_unit_test(a_session_token_is_in_the_url),
        cmocka_unit_test(origins_are_written_as_browsers_do),
        cmocka_unit_test(the_server_accepts_its_own_urls),
        cmocka_unit_test(a_full_arena_is_no_memory),
        cmocka_unit_test(a_key_says_its_id_and_token),
        cmocka_unit_test(the_longest_prefix_leaves_room),
        cmocka_unit_test(other_keys_are_not_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
