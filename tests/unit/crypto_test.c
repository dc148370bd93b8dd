#include "core/crypto.h"
#include "tests/unit/unit.h"

#include "core/buf.h"

#define COST_FOR_TESTS 4 /* nothing here is about the work */

static struct slice slice_of(const char *text) { return (struct slice){ text, strlen(text) }; }

static void assert_hex(const uint8_t *bytes, size_t size, const char *expected) {
    struct buf buf = BUF_INIT;
    buf_hex(&buf, bytes, size);
    assert_string_equal(buf.bytes, expected);
    buf_release(&buf);
}

/* FIPS 180-2, appendix B. */
static void sha256_published_vectors(void **state) {
    (void)state;
    uint8_t out[SHA256_SIZE];
    sha256(NULL, 0, out);
    assert_hex(out, sizeof(out), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256(&(struct slice){ "abc", 3 }, 1, out);
    assert_hex(out, sizeof(out), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const struct slice parts[] = { slice_of("abcdbcdecdefdefgefghfghighijhijk"), slice_of(""), slice_of("ijkljklmklmnlmnomnopnopq") };
    sha256(parts, 3, out);
    assert_hex(out, sizeof(out), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void hash128_is_the_first_half(void **state) {
    (void)state;
    uint8_t out[HASH128_SIZE];
    hash128(&(struct slice){ "abc", 3 }, 1, out);
    assert_hex(out, sizeof(out), "ba7816bf8f01cfea414140de5dae2223");
}

/* RFC 4231, test cases 1, 2 and 6 (a key longer than a block). */
static void hmac_published_vectors(void **state) {
    (void)state;
    uint8_t out[SHA256_SIZE], key[131];

    memset(key, 0x0b, 20);
    hmac_sha256(key, 20, &(struct slice){ "Hi There", 8 }, 1, out);
    assert_hex(out, sizeof(out), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");

    const struct slice question[] = { slice_of("what do ya want "), slice_of("for nothing?") };
    hmac_sha256("Jefe", 4, question, 2, out);
    assert_hex(out, sizeof(out), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");

    const struct slice larger = slice_of("Test Using Larger Than Block-Size Key - Hash Key First");
    memset(key, 0xaa, 131);
    hmac_sha256(key, 131, &larger, 1, out);
    assert_hex(out, sizeof(out), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void a_prepared_key_works_again_and_again(void **state) {
    (void)state;
    uint8_t once[SHA256_SIZE], prepared[SHA256_SIZE], bytes[300];
    struct hmac_key key;
    memset(bytes, 7, sizeof(bytes));
    hmac_key_init(&key, "Jefe", 4);
    for (size_t size = 0; size < sizeof(bytes); size++) {
        const struct slice parts[] = { { bytes, size / 3 }, { bytes, size - size / 3 } };
        hmac_run(&key, parts, 2, prepared);
        hmac_sha256("Jefe", 4, &(struct slice){ bytes, size }, 1, once);
        assert_memory_equal(prepared, once, SHA256_SIZE);
    }
}

/* RFC 1321, A.5. */
static void md5_published_vectors(void **state) {
    (void)state;
    static const char *const vectors[][2] = {
        { "", "d41d8cd98f00b204e9800998ecf8427e" },
        { "a", "0cc175b9c0f1b6a831c399e269772661" },
        { "abc", "900150983cd24fb0d6963f7d28e17f72" },
        { "message digest", "f96b697d7cb7938d525a2f31aaf161d0" },
        { "abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b" },
        { "12345678901234567890123456789012345678901234567890123456789012345678901234567890", "57edf4a22be3c955ac49da2e2107b67a" },
    };
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        for (size_t first = 0; first <= strlen(vectors[i][0]); first++) {
            uint8_t out[MD5_SIZE];
            struct md5 *md5 = md5_begin();
            assert_non_null(md5);
            md5_add(md5, vectors[i][0], first);
            md5_add(md5, vectors[i][0] + first, strlen(vectors[i][0]) - first);
            md5_end(md5, out);
            assert_hex(out, sizeof(out), vectors[i][1]);
        }
    }
}

/* SHA-256 and another MD5 in between do not disturb one that is running. */
static void md5s_are_independent(void **state) {
    (void)state;
    uint8_t out[MD5_SIZE], other[SHA256_SIZE];
    struct md5 *first = md5_begin(), *second = md5_begin();
    md5_add(first, "ab", 2);
    sha256(&(struct slice){ "abc", 3 }, 1, other);
    md5_add(second, "a", 1);
    md5_add(first, "c", 1);
    md5_end(second, out);
    assert_hex(out, sizeof(out), "0cc175b9c0f1b6a831c399e269772661");
    md5_end(first, out);
    assert_hex(out, sizeof(out), "900150983cd24fb0d6963f7d28e17f72");
    md5_end(md5_begin(), NULL);
    md5_end(NULL, NULL);
}

/* RFC 4648, section 10, and the two characters that differ from base64url's. */
static void base64_published_vectors(void **state) {
    (void)state;
    static const char *const vectors[][2] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
        { "\xfb\xff\xfe", "+//+" },
    };
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        char text[BASE64_SIZE(6)];
        uint8_t bytes[6];
        size_t size = strlen(vectors[i][0]);
        assert_int_equal(BASE64_SIZE(size), strlen(vectors[i][1]) + 1);
        base64_encode(vectors[i][0], size, text);
        assert_string_equal(text, vectors[i][1]);
        assert_true(base64_decode(text, strlen(text), bytes, size));
        assert_memory_equal(bytes, vectors[i][0], size);
    }
}

static void other_base64_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t size;
    } wrong[] = {
        { "Zg==", 2 }, { "Zg==", 3 }, { "Zg==", 0 },  { "Zg", 1 },    { "Zg=", 1 },    { "Zg===", 1 },
        { "Z===", 1 }, { "Zh==", 1 }, /* spare bits */
        { "Zm8", 2 },  { "Zm9=", 2 }, { "Zm8==", 2 }, { "Zm9v=", 3 }, { "Zm9v\n", 3 }, { " Zm9v", 3 },
        { "Zm9 ", 3 }, { "-__-", 3 }, { "Zg=A", 1 },  { "=g==", 1 },  { "", 1 },       { "=", 0 },
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        uint8_t bytes[4];
        assert_false(base64_decode(wrong[i].text, strlen(wrong[i].text), bytes, wrong[i].size));
    }
    uint8_t bytes[3];
    assert_false(base64_decode("Zm\0v", 4, bytes, 3));
}

static void hex_is_read_in_either_case(void **state) {
    (void)state;
    static const uint8_t expected[] = { 0x00, 0x19, 0xaf, 0xfa };
    uint8_t bytes[4];
    assert_true(hex_decode("0019affA", 8, bytes, 4));
    assert_memory_equal(bytes, expected, 4);
    assert_true(hex_decode("", 0, bytes, 0));

    static const char *const wrong[] = { "",         "0019aff",  "0019affA0", "0019affA00", "0019afg0",
                                         "0x19aff0", "0019af 0", "0019af/:",  "0019af@G",   "0019af`g" };
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_false(hex_decode(wrong[i], strlen(wrong[i]), bytes, 4));
    assert_false(hex_decode("0019af\0A", 8, bytes, 4));
}

static void equality(void **state) {
    (void)state;
    assert_true(secret_equal("abc", "abc", 3));
    assert_false(secret_equal("abc", "abd", 3));
    assert_true(secret_equal("a", "b", 0));
}

static void tokens_are_base64url_and_differ(void **state) {
    (void)state;
    char first[TOKEN_TEXT_SIZE], second[TOKEN_TEXT_SIZE];
    for (int i = 0; i < 100; i++) {
        token_new(first);
        token_new(second);
        assert_int_equal(strlen(first), 43);
        assert_int_equal(strspn(first, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), 43);
        assert_string_not_equal(first, second);
    }
}

static void a_tokens_hash_is_sha256_of_its_text(void **state) {
    (void)state;
    uint8_t hash[SHA256_SIZE], expected[SHA256_SIZE];
    char token[TOKEN_TEXT_SIZE];
    token_new(token);
    assert_true(token_hash(token, 43, hash));
    sha256(&(struct slice){ token, 43 }, 1, expected);
    assert_memory_equal(hash, expected, sizeof(hash));
}

static void what_is_no_token_has_no_hash(void **state) {
    (void)state;
    uint8_t hash[SHA256_SIZE];
    char token[TOKEN_TEXT_SIZE + 1];
    static const char wrong[] = "+/= .\n\x80";

    token_new(token);
    assert_false(token_hash(token, 0, hash));
    assert_false(token_hash(token, 42, hash));
    assert_false(token_hash(token, 44, hash));
    for (size_t i = 0; i < sizeof(wrong); i++) { /* the NUL, too */
        token_new(token);
        token[42] = wrong[i];
        assert_false(token_hash(token, 43, hash));
    }
}

static bool verify(const char *password, const char *stored) {
    bool matches = !stored;
    assert_int_equal(password_verify(password, stored, COST_FOR_TESTS, &matches), OK);
    return matches;
}

static void a_password_matches_its_own_hash_only(void **state) {
    (void)state;
    char stored[PASSWORD_HASH_SIZE], again[PASSWORD_HASH_SIZE];
    assert_int_equal(password_hash("correct horse", COST_FOR_TESTS, stored), OK);
    assert_int_equal(password_hash("correct horse", COST_FOR_TESTS, again), OK);
    assert_string_not_equal(stored, again); /* salted */
    assert_memory_equal(stored, "scrypt$4$", 9);
    assert_true(verify("correct horse", stored));
    assert_true(verify("correct horse", again));
    assert_false(verify("correct horsf", stored));
    assert_false(verify("", stored));
}

static void nobody_matches_an_unknown_user(void **state) {
    (void)state;
    assert_false(verify("", NULL));
    assert_false(verify("password", NULL));
}

/* RFC 7914 section 12, the vector with r = 8 and p = 1, N = 16384. Its output has 64 bytes, of which these are the first 32: PBKDF2's blocks do not
 * depend on how many there are. */
static void scrypt_published_vector(void **state) {
    (void)state;
    const char *stored = "scrypt$14$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046_2o-7qQT44-qbVD9lRdofI";
    assert_true(verify("pleaseletmein", stored));
    assert_false(verify("pleaseletmeout", stored));
}

static void damaged_records_are_errors(void **state) {
    (void)state;
    static const char *const damaged[] = {
        "",
        "plain",
        "scrypt$",
        "scrypt$4",
        "scrypt$4$",
        "scrypt$4$$",
        "scrypt$0$U29kaXVtQ2hsb3JpZGUxNg$ywd3KuG5N75-_-n_Cjfqd4qjzQQanR1jI1SPfrFKXNY",
        "scrypt$99$U29kaXVtQ2hsb3JpZGUxNg$ywd3KuG5N75-_-n_Cjfqd4qjzQQanR1jI1SPfrFKXNY",
        "scrypt$4$U29kaXVtQ2hsb3JpZGUxN$ywd3KuG5N75-_-n_Cjfqd4qjzQQanR1jI1SPfrFKXNY",
        "scrypt$4$U29kaXVtQ2hsb3JpZGUxNjE3$cCO9yzr9c0hGHAbNgf046_2o-7qQT44-qbVD9lRdofI",
        "scrypt$4$U29kaXVtQ2hsb3JpZGUxNg$AAAA",
        "scrypt$4$U29kaXVtQ2hsb3JpZGUxNg$ywd3KuG5N75-_-n_Cjfqd4qjzQQanR1jI1SPfrFKXNYA",
        "scrypt$4$U29kaXVtQ2hsb3JpZGUxNh$ywd3KuG5N75-_-n_Cjfqd4qjzQQanR1jI1SPfrFKXNY", /* bits to spare set */
        "bcrypt$4$U29kaXVtQ2hsb3JpZGUxNg$ywd3KuG5N75-_-n_Cjfqd4qjzQQanR1jI1SPfrFKXNY",
    };
    for (size_t i = 0; i < COUNT_OF(damaged); i++) {
        bool matches = true;
        assert_int_equal(password_verify("x", damaged[i], COST_FOR_TESTS, &matches), ERR_INTERNAL);
        assert_true(matches); /* untouched */
    }
}

static void absurd_costs_are_errors(void **state) {
    (void)state;
    char stored[PASSWORD_HASH_SIZE];
    bool matches;
    assert_int_equal(password_hash("x", 0, stored), ERR_INTERNAL);
    assert_int_equal(password_hash("x", 64, stored), ERR_INTERNAL);
    assert_int_equal(password_verify("x", NULL, 64, &matches), ERR_INTERNAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_published_vectors),
        cmocka_unit_test(hash128_is_the_first_half),
        cmocka_unit_test(hmac_published_vectors),
        cmocka_unit_test(a_prepared_key_works_again_and_again),
        cmocka_unit_test(equality),
        cmocka_unit_test(md5_published_vectors),
        cmocka_unit_test(md5s_are_independent),
        cmocka_unit_test(base64_published_vectors),
        cmocka_unit_test(other_base64_is_refused),
        cmocka_unit_test(hex_is_read_in_either_case),
        cmocka_unit_test(tokens_are_base64url_and_differ),
        cmocka_unit_test(a_tokens_hash_is_sha256_of_its_text),
        cmocka_unit_test(what_is_no_token_has_no_hash),
        cmocka_unit_test(a_password_matches_its_own_hash_only),
        cmocka_unit_test(nobody_matches_an_unknown_user),
        cmocka_unit_test(scrypt_published_vector),
        cmocka_unit_test(damaged_records_are_errors),
        cmocka_unit_test(absurd_costs_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
