#include "media/sigv4.h"
#include "tests/unit/unit.h"

#include "core/crypto.h"

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define UNRESERVED "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

#define PAIRS_MAX 8

/* A list of pairs, ended by one without a name. */
typedef struct sigv4_pair pair_list[PAIRS_MAX];

static size_t count_pairs(const struct sigv4_pair *pairs) {
    size_t count = 0;
    while (count < PAIRS_MAX && pairs[count].name != NULL)
        count++;
    return count;
}

/* ---- Published vectors ---- */

/* Of the S3 API reference, "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk" and "Authenticating
 * Requests: Using Query Parameters". */
static const struct sigv4_credentials reference_credentials = {
    .access_key = "AKIAIOSFODNN7EXAMPLE",
    .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    .region = "us-east-1",
    .service = "s3",
};
#define REFERENCE_MS INT64_C(1369353600000) /* 2013-05-24 00:00:00 */
#define REFERENCE_HOST "examplebucket.s3.amazonaws.com"
#define REFERENCE_DATE "20130524T000000Z"

/* Of the aws-sig-v4-test-suite. */
static const struct sigv4_credentials suite_credentials = {
    .access_key = "AKIDEXAMPLE",
    .secret_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    .region = "us-east-1",
    .service = "service",
};
#define SUITE_MS INT64_C(1440938160000) /* 2015-08-30 12:36:00 */

struct vector {
    const char *method;
    const char *path;
    pair_list query;
    pair_list headers; /* beside host and x-amz-date */
    const char *payload_hash;
    const char *signed_headers;
    const char *signature;
};

static const struct vector reference_vectors[] = {
    { "GET",
      "/test.txt",
      {},
      { { "range", "bytes=0-9" }, { "x-amz-content-sha256", EMPTY_SHA256 } },
      EMPTY_SHA256,
      "host;range;x-amz-content-sha256;x-amz-date",
      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41" },
    { "PUT",
      "/test$file.text",
      {},
      { { "date", "Fri, 24 May 2013 00:00:00 GMT" },
        { "x-amz-storage-class", "REDUCED_REDUNDANCY" },
        { "x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072" } },
      "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
      "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
      "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" },
    { "GET",
      "/",
      { { "lifecycle", "" } },
      { { "x-amz-content-sha256", EMPTY_SHA256 } },
      EMPTY_SHA256,
      "host;x-amz-content-sha256;x-amz-date",
      "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },
    { "GET",
      "/",
      { { "prefix", "J" }, { "max-keys", "2" } },
      { { "x-amz-content-sha256", EMPTY_SHA256 } },
      EMPTY_SHA256,
      "host;x-amz-content-sha256;x-amz-date",
      "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },
};

/* Without those about normalised paths, which S3 does not want, and about headers that are sent twice. */
static const struct vector suite_vectors[] = {
    /* get-vanilla */
    { "GET", "/", {}, {}, EMPTY_SHA256, "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
    /* get-vanilla-empty-query-key */
    { "GET",
      "/",
      { { "Param1", "value1" } },
      {},
      EMPTY_SHA256,
      "host;x-amz-date",
      "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb" },
    /* get-vanilla-query-order-key-case */
    { "GET",
      "/",
      { { "Param2", "value2" }, { "Param1", "value1" } },
      {},
      EMPTY_SHA256,
      "host;x-amz-date",
      "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
    /* get-vanilla-query-order-value */
    { "GET",
      "/",
      { { "Param1", "value2" }, { "Param1", "value1" } },
      {},
      EMPTY_SHA256,
      "host;x-amz-date",
      "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694" },
    /* get-vanilla-query-unreserved */
    { "GET",
      "/",
      { { UNRESERVED, UNRESERVED } },
      {},
      EMPTY_SHA256,
      "host;x-amz-date",
      "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197" },
    /* get-vanilla-utf8-query */
    { "GET",
      "/",
      { { "\xe1\x88\xb4", "bar" } },
      {},
      EMPTY_SHA256,
      "host;x-amz-date",
      "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04" },
    /* get-utf8 */
    { "GET", "/\xe1\x88\xb4", {}, {}, EMPTY_SHA256, "host;x-amz-date", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85" },
    /* get-unreserved */
    { "GET", "/" UNRESERVED, {}, {}, EMPTY_SHA256, "host;x-amz-date", "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f" },
    /* get-space */
    { "GET",
      "/example space/",
      {},
      {},
      EMPTY_SHA256,
      "host;x-amz-date",
      "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741" },
    /* get-header-value-trim */
    { "GET",
      "/",
      {},
      { { "my-header1", " value1" }, { "my-header2", " \"a   b   c\"" } },
      EMPTY_SHA256,
      "host;my-header1;my-header2;x-amz-date",
      "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736" },
    /* post-vanilla */
    { "POST", "/", {}, {}, EMPTY_SHA256, "host;x-amz-date", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
    /* post-vanilla-query */
    { "POST",
      "/",
      { { "Param1", "value1" } },
      {},
      EMPTY_SHA256,
      "host;x-amz-date",
      "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11" },
    /* post-header-key-sort */
    { "POST",
      "/",
      {},
      { { "my-header1", "value1" } },
      EMPTY_SHA256,
      "host;my-header1;x-amz-date",
      "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c" },
    /* post-header-value-case */
    { "POST",
      "/",
      {},
      { { "my-header1", "VALUE1" } },
      EMPTY_SHA256,
      "host;my-header1;x-amz-date",
      "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d" },
    /* post-x-www-form-urlencoded */
    { "POST",
      "/",
      {},
      { { "content-type", "application/x-www-form-urlencoded" } },
      "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e", /* of Param1=value1 */
      "content-type;host;x-amz-date",
      "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a" },
};

/* Checks the whole header Authorization. */
static void check_vector(const struct vector *vector, const struct sigv4_credentials *credentials, int64_t time_ms, const char *host) {
    struct buf actual = BUF_INIT, expected = BUF_INIT;
    char date[SIGV4_DATE_SIZE];
    sigv4_date(time_ms, date);
    struct sigv4_pair headers[PAIRS_MAX + 2] = { { "x-amz-date", date }, { "host", host } };
    size_t added = count_pairs(vector->headers);
    memcpy(headers + 2, vector->headers, added * sizeof(headers[0]));

    const struct sigv4_request request = { .method = vector->method,
                                           .path = vector->path,
                                           .query = vector->query,
                                           .query_count = count_pairs(vector->query),
                                           .headers = headers,
                                           .header_count = added + 2,
                                           .payload_hash = vector->payload_hash,
                                           .time_ms = time_ms };
    sigv4_authorization(credentials, &request, &actual);
    buf_printf(&expected, "AWS4-HMAC-SHA256 Credential=%s/%.8s/us-east-1/%s/aws4_request, SignedHeaders=%s, Signature=%s",
               credentials->access_key, date, credentials->service, vector->signed_headers, vector->signature);
    assert_true(buf_ok(&actual));
    assert_string_equal(actual.bytes, expected.bytes);
    buf_release(&actual);
    buf_release(&expected);
}

static void the_examples_of_the_s3_reference(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(reference_vectors); i++)
        check_vector(&reference_vectors[i], &reference_credentials, REFERENCE_MS, REFERENCE_HOST);
}

static void the_published_test_suite(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(suite_vectors); i++)
        check_vector(&suite_vectors[i], &suite_credentials, SUITE_MS, "example.amazonaws.com");
}

/* The reference writes the signature last; sorted, it is before the signed headers. */
static void the_presigned_example_of_the_s3_reference(void **state) {
    (void)state;
    const struct sigv4_pair host = { "host", REFERENCE_HOST };
    const struct sigv4_request request = { .method = "GET",
                                           .path = "/test.txt",
                                           .headers = &host,
                                           .header_count = 1,
                                           .payload_hash = SIGV4_UNSIGNED_PAYLOAD,
                                           .time_ms = REFERENCE_MS };
    struct buf buf = BUF_INIT;
    sigv4_presign(&reference_credentials, &request, 86400, &buf);
    assert_string_equal(buf.bytes, "X-Amz-Algorithm=AWS4-HMAC-SHA256"
                                   "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
                                   "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400"
                                   "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
                                   "&X-Amz-SignedHeaders=host");
    buf_release(&buf);
}

/* ---- Encoding ---- */

static void assert_encoded(const char *text, bool encode_slash, const char *expected) {
    struct buf buf = BUF_INIT;
    sigv4_encode(&buf, text, encode_slash);
    buf_char(&buf, '.');
    buf.bytes[buf.size - 1] = '\0';
    assert_string_equal(buf.bytes, expected);
    buf_release(&buf);
}

static void all_but_unreserved_characters_are_encoded(void **state) {
    (void)state;
    assert_encoded("", true, "");
    assert_encoded(UNRESERVED, true, UNRESERVED);
    assert_encoded("/a/b//c/", false, "/a/b//c/");
    assert_encoded("/a/", true, "%2Fa%2F");
    assert_encoded(" +&=%?#'()*!@:;,\"<>[]{}|\\^`$\x01\x7f", true,
                   "%20%2B%26%3D%25%3F%23%27%28%29%2A%21%40%3A%3B%2C%22%3C%3E%5B%5D%7B%7D%7C%5C%5E%60%24%01%7F");
    assert_encoded("\xc3\xa4\xf0\x9f\x98\x80", true, "%C3%A4%F0%9F%98%80");
    assert_encoded("/../%41/.", false, "/../%2541/."); /* once, and not normalised */
}

static void dates(void **state) {
    (void)state;
    char date[SIGV4_DATE_SIZE];
    sigv4_date(0, date);
    assert_string_equal(date, "19700101T000000Z");
    sigv4_date(INT64_C(1709251199999), date);
    assert_string_equal(date, "20240229T235959Z");
    sigv4_date(INT64_C(1) << 60, date);
    assert_string_equal(date, "");
}

/* By name and then by value, each as it is when encoded: '%' is before all that is not encoded, and '=' plays no part. */
static void arguments_are_sorted_as_encoded(void **state) {
    (void)state;
    const struct sigv4_pair host = { "host", "h" };
    const struct sigv4_pair query[] = { { "b", "2" },  { "a-b", "" }, { "a", "z" }, { "a", "\xc3\xa4" }, { "\xc3\xa4", "" },
                                        { "a", "\"" }, { "~", "" },   { "B", "" },  { "ab", "" } };
    const struct sigv4_request request = { .method = "GET",
                                           .path = "/",
                                           .query = query,
                                           .query_count = COUNT_OF(query),
                                           .headers = &host,
                                           .header_count = 1,
                                           .payload_hash = SIGV4_UNSIGNED_PAYLOAD };
    struct buf buf = BUF_INIT;
    sigv4_presign(&reference_credentials, &request, 1, &buf);
    const char *signature = strstr(buf.bytes, "X-Amz-");
    assert_non_null(signature);
    assert_memory_equal(buf.bytes, "%C3%A4=&B=&", strlen("%C3%A4=&B=&"));
    assert_ptr_equal(signature, buf.bytes + strlen("%C3%A4=&B=&"));
    const char *end = "&X-Amz-SignedHeaders=host&a=%22&a=%C3%A4&a=z&a-b=&ab=&b=2&~=";
    assert_string_equal(buf.bytes + buf.size - strlen(end), end);
    buf_release(&buf);
}

/* ---- Verification ---- */

#define ARGUMENTS_MAX 40
#define NOW_MS INT64_C(1795000000000)
#define EXPIRES_S 600

static const struct sigv4_credentials credentials = {
    .access_key = "AKID/with+odd",
    .secret_key = "secret",
    .region = "eu-central-7",
    .service = "s3",
};
static const struct sigv4_credentials temporary_credentials = {
    .access_key = "AKID",
    .secret_key = "secret",
    .session_token = "to/ke+n==",
    .region = "eu-central-7",
    .service = "s3",
};

/* A request as a server gets it. Its strings are its own, so that tests can change them. */
struct arrival {
    struct sigv4_pair query[ARGUMENTS_MAX];
    struct sigv4_pair headers[PAIRS_MAX + 1];
    struct sigv4_request request;
    char *text; /* of the arguments, decoded in place */
    char signature[2 * SHA256_SIZE + 1];
};

static void decode(char *text) {
    char *out = text;
    for (const char *at = text; *at != '\0'; at++) {
        uint8_t byte = (uint8_t)*at;
        if (*at == '%') {
            assert_true(hex_decode(at + 1, 2, &byte, 1));
            at += 2;
        }
        *out++ = (char)byte;
    }
    *out = '\0';
}

static void split_query(struct arrival *arrival) {
    char *rest = arrival->text, *argument;
    while ((argument = strsep(&rest, "&")) != NULL) {
        char *value = strchr(argument, '=');
        assert_non_null(value);
        *value++ = '\0';
        decode(argument);
        decode(value);
        arrival->query[arrival->request.query_count++] = (struct sigv4_pair){ argument, value };
    }
}

static const pair_list signed_headers = { { "host", "localhost:8080" }, { "content-type", "image/png" }, { "x-amz-acl", "private" } };

/* Signs a PUT at NOW_MS and lets it arrive at once, with one more header than was signed. */
static void arrive(struct arrival *arrival, const struct sigv4_credentials *with) {
    static const struct sigv4_pair own[] = { { "partNumber", "7" }, { SIGV4_ARGUMENT_PAYLOAD_HASH, SIGV4_UNSIGNED_PAYLOAD } };
    struct buf buf = BUF_INIT;
    *arrival = (struct arrival){ .request = { .method = "PUT",
                                              .path = "/blobs/a b",
                                              .query = own,
                                              .query_count = COUNT_OF(own),
                                              .headers = signed_headers,
                                              .header_count = count_pairs(signed_headers),
                                              .payload_hash = SIGV4_UNSIGNED_PAYLOAD,
                                              .time_ms = NOW_MS } };
    sigv4_presign(with, &arrival->request, EXPIRES_S, &buf);
    assert_true(buf_ok(&buf));

    memcpy(arrival->headers, signed_headers, sizeof(signed_headers));
    arrival->headers[arrival->request.header_count++] = (struct sigv4_pair){ "user-agent", "curl/8" };
    arrival->request.headers = arrival->headers;
    arrival->text = buf_detach(&buf);
    arrival->request.query = arrival->query;
    arrival->request.query_count = 0;
    split_query(arrival);
}

static struct sigv4_pair *find(struct sigv4_pair *pairs, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(pairs[i].name, name) == 0)
            return &pairs[i];
    fail_msg("%s is not there", name);
    return NULL;
}

static struct sigv4_pair *argument(struct arrival *arrival, const char *name) {
    return find(arrival->query, arrival->request.query_count, name);
}

static struct sigv4_pair *header(struct arrival *arrival, const char *name) {
    return find(arrival->headers, arrival->request.header_count, name);
}

/* Ends the arrival with this outcome. */
static void assert_verified(struct arrival *arrival, enum err expected) {
    assert_int_equal(sigv4_verify(&credentials, &arrival->request), expected);
    free(arrival->text);
}

static void what_was_presigned_is_accepted(void **state) {
    (void)state;
    struct arrival arrival;
    arrive(&arrival, &credentials);
    assert_true(sigv4_signs(&arrival.request, "host"));
    assert_true(sigv4_signs(&arrival.request, "content-type"));
    assert_false(sigv4_signs(&arrival.request, "content"));
    assert_false(sigv4_signs(&arrival.request, "content-type-x"));
    assert_false(sigv4_signs(&arrival.request, "user-agent"));
    assert_false(sigv4_signs(&arrival.request, ""));
    assert_int_equal(sigv4_expires_ms(&arrival.request), arrival.request.time_ms / 1000 * 1000 + EXPIRES_S * 1000);
    assert_verified(&arrival, OK);

    arrive(&arrival, &temporary_credentials);
    assert_int_equal(sigv4_verify(&temporary_credentials, &arrival.request), OK);
    free(arrival.text);
}

static void the_order_of_arguments_and_headers_does_not_matter(void **state) {
    (void)state;
    struct arrival arrival;
    arrive(&arrival, &credentials);
    size_t last = arrival.request.query_count - 1;
    for (size_t i = 0; i <= last / 2; i++) {
        struct sigv4_pair kept = arrival.query[i];
        arrival.query[i] = arrival.query[last - i];
        arrival.query[last - i] = kept;
    }
    struct sigv4_pair kept = arrival.headers[0];
    arrival.headers[0] = arrival.headers[2];
    arrival.headers[2] = kept;
    assert_verified(&arrival, OK);
}

static void blanks_in_headers_do_not_matter(void **state) {
    (void)state;
    struct arrival arrival;
    arrive(&arrival, &credentials);
    header(&arrival, "content-type")->value = " \timage/png  ";
    assert_verified(&arrival, OK);
}

static void a_changed_request_is_refused(void **state) {
    (void)state;
    struct arrival arrival;
    arrive(&arrival, &credentials);
    arrival.request.method = "GET";
    assert_verified(&arrival, ERR_BAD_SIGNATURE);
    arrive(&arrival, &credentials);
    arrival.request.path = "/blobs/a c";
    assert_verified(&arrival, ERR_BAD_SIGNATURE);
    arrive(&arrival, &credentials);
    arrival.request.payload_hash = EMPTY_SHA256;
    assert_verified(&arrival, ERR_BAD_SIGNATURE);
}

struct change {
    const char *name;
    const char *value;
};

/* Puts the signature that fits the changed arguments in place of the old one: the header Authorization ends with the same. */
static void sign_again(struct arrival *arrival) {
    struct sigv4_request request = arrival->request;
    struct sigv4_pair query[ARGUMENTS_MAX], headers[PAIRS_MAX];
    struct buf buf = BUF_INIT;
    request.query_count = request.header_count = 0;
    for (size_t i = 0; i < arrival->request.query_count; i++)
        if (strcmp(arrival->query[i].name, "X-Amz-Signature") != 0)
            query[request.query_count++] = arrival->query[i];
    for (size_t i = 0; i < count_pairs(signed_headers); i++)
        if (sigv4_signs(&arrival->request, signed_headers[i].name))
            headers[request.header_count++] = signed_headers[i];
    request.query = query;
    request.headers = headers;
    sigv4_authorization(&credentials, &request, &buf);
    assert_true(buf_ok(&buf));
    memcpy(arrival->signature, buf.bytes + buf.size - 2 * SHA256_SIZE, sizeof(arrival->signature));
    argument(arrival, "X-Amz-Signature")->value = arrival->signature;
    buf_release(&buf);
}

/* What no signature can make good, whoever made it. */
static void rules_hold_for_those_who_have_the_key(void **state) {
    (void)state;
    static const struct change changes[] = {
        { "X-Amz-Algorithm", "AWS4-HMAC-SHA512" },
        { "X-Amz-Content-Sha256", EMPTY_SHA256 },
        { "X-Amz-Credential", "AKID/with+odd/20261117/eu-central-7/s3/aws4_request" },
        { "X-Amz-Expires", "0" },
        { "X-Amz-Expires", "604801" },
        { "X-Amz-Expires", "600s" },
        { "X-Amz-SignedHeaders", "" },
        { "X-Amz-SignedHeaders", "content-type;x-amz-acl" },      /* not the host */
        { "X-Amz-SignedHeaders", "content-type;host" },           /* not all for the storage */
        { "X-Amz-SignedHeaders", "host;content-type;x-amz-acl" }, /* not sorted */
    };
    struct arrival arrival;
    arrive(&arrival, &credentials);
    argument(&arrival, "partNumber")->value = "8";
    argument(&arrival, "X-Amz-Expires")->value = "604800";
    sign_again(&arrival);
    assert_verified(&arrival, OK);
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        arrive(&arrival, &credentials);
        argument(&arrival, changes[i].name)->value = changes[i].value;
        sign_again(&arrival);
        assert_verified(&arrival, ERR_BAD_SIGNATURE);
    }
    arrive(&arrival, &credentials);
    arrival.query[arrival.request.query_count++] = (struct sigv4_pair){ "x-amz-acl", "private" };
    sign_again(&arrival);
    assert_verified(&arrival, ERR_BAD_SIGNATURE);
    arrive(&arrival, &credentials);
    arrival.query[arrival.request.query_count++] = *argument(&arrival, "partNumber");
    sign_again(&arrival);
    assert_verified(&arrival, ERR_BAD_SIGNATURE);
}

/* Each value but the signature itself is refused before it is compared, or makes another signature. */
static void a_changed_argument_is_refused(void **state) {
    (void)state;
    static const struct change changes[] = {
        { "partNumber", "8" },
        { "X-Amz-Algorithm", "AWS4-HMAC-SHA512" },
        { "X-Amz-Algorithm", "" },
        { "X-Amz-Content-Sha256", EMPTY_SHA256 },
        { "X-Amz-Credential", "AKID/with+odd/20261118/eu-central-7/s3/aws4_request/" },
        { "X-Amz-Credential", "AKID/20261118/eu-central-7/s3/aws4_request" },
        { "X-Amz-Credential", "AKID/with+odd/20261117/eu-central-7/s3/aws4_request" },
        { "X-Amz-Credential", "AKID/with+odd/20261118/eu-central-1/s3/aws4_request" },
        { "X-Amz-Credential", "AKID/with+odd/20261118/eu-central-7/sts/aws4_request" },
        { "X-Amz-Credential", "AKID/with+odd/20261118/eu-central-7/s3/aws4" },
        { "X-Amz-Credential", "" },
        { "X-Amz-Date", "20261118T110641Z" },
        { "X-Amz-Date", "20261118T11064Z" },
        { "X-Amz-Date", "20261118T110640z" },
        { "X-Amz-Date", "20261332T110640Z" },
        { "X-Amz-Date", "20261118T110661Z" },
        { "X-Amz-Date", " 0261118T110640Z" },
        { "X-Amz-Date", "" },
        { "X-Amz-Expires", "601" },
        { "X-Amz-Expires", "0600" },
        { "X-Amz-Expires", "600 " },
        { "X-Amz-Expires", " 600" },
        { "X-Amz-Expires", "+600" },
        { "X-Amz-Expires", "-1" },
        { "X-Amz-Expires", "0" },
        { "X-Amz-Expires", "604801" },
        { "X-Amz-Expires", "18446744073709552216" },
        { "X-Amz-Expires", "" },
        { "X-Amz-SignedHeaders", "" },
        { "X-Amz-SignedHeaders", "host" },
        { "X-Amz-SignedHeaders", "content-type;x-amz-acl" },
        { "X-Amz-SignedHeaders", "content-type;host" },
        { "X-Amz-SignedHeaders", "host;content-type;x-amz-acl" },
        { "X-Amz-SignedHeaders", "content-type;host;host;x-amz-acl" },
        { "X-Amz-SignedHeaders", "content-type;host;x-amz-acl;" },
        { "X-Amz-SignedHeaders", ";content-type;host;x-amz-acl" },
        { "X-Amz-SignedHeaders", "content-type;Host;x-amz-acl" },
        { "X-Amz-SignedHeaders", "content-md5;content-type;host;x-amz-acl" },
        { "X-Amz-Signature", "" },
        { "X-Amz-Signature", "0000000000000000000000000000000000000000000000000000000000000000" },
    };
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        struct arrival arrival;
        arrive(&arrival, &credentials);
        assert_string_not_equal(argument(&arrival, changes[i].name)->value, changes[i].value);
        argument(&arrival, changes[i].name)->value = changes[i].value;
        assert_verified(&arrival, ERR_BAD_SIGNATURE);
    }
}

static void each_digit_of_the_signature_counts(void **state) {
    (void)state;
    for (size_t i = 0; i < 64; i++) {
        struct arrival arrival;
        arrive(&arrival, &credentials);
        struct sigv4_pair *signature = argument(&arrival, "X-Amz-Signature");
        char *changed = strdup(signature->value);
        changed[i] = changed[i] == '0' ? '1' : '0';
        signature->value = changed;
        assert_verified(&arrival, ERR_BAD_SIGNATURE);
        free(changed);
    }
}

static void an_argument_may_neither_be_missing_nor_come_twice(void **state) {
    (void)state;
    struct arrival arrival;
    arrive(&arrival, &credentials);
    size_t count = arrival.request.query_count;
    free(arrival.text);
    for (size_t i = 0; i < count; i++) {
        arrive(&arrival, &credentials);
        arrival.query[i] = arrival.query[count - 1];
        arrival.request.query_count--;
        assert_verified(&arrival, ERR_BAD_SIGNATURE);

        arrive(&arrival, &credentials);
        arrival.query[arrival.request.query_count++] = arrival.query[i];
        assert_verified(&arrival, ERR_BAD_SIGNATURE);
    }
}

static void an_argument_more_is_refused(void **state) {
    (void)state;
    static const struct change more[] = {
        { "x", "" },         { "X-Amz-Acl", "public-read" },      { "x-amz-signature", "" },
        { "X-Amz-Foo", "" }, { "X-Amz-Security-Token", "token" }, { "response-content-type", "text/html" }
    };
    for (size_t i = 0; i < COUNT_OF(more); i++) {
        struct arrival arrival;
        arrive(&arrival, &credentials);
        arrival.query[arrival.request.query_count++] = (struct sigv4_pair){ more[i].name, more[i].value };
        assert_verified(&arrival, ERR_BAD_SIGNATURE);
    }
}

static void too_many_arguments_are_refused(void **state) {
    (void)state;
    struct arrival arrival;
    char names[ARGUMENTS_MAX][8];
    arrive(&arrival, &credentials);
    for (size_t i = arrival.request.query_count; i < ARGUMENTS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "a%zu", i);
        arrival.query[i] = (struct sigv4_pair){ names[i], "" };
    }
    arrival.request.query_count = ARGUMENTS_MAX;
    assert_verified(&arrival, ERR_BAD_SIGNATURE);
}

static void a_changed_header_is_refused(void **state) {
    (void)state;
    static const struct change changes[] = { { "host", "localhost:8081" },
                                             { "content-type", "text/html" },
                                             { "content-type", "image/PNG" },
                                             { "content-type", "image /png" },
                                             { "x-amz-acl", "public-read" } };
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        struct arrival arrival;
        arrive(&arrival, &credentials);
        header(&arrival, changes[i].name)->value = changes[i].value;
        assert_verified(&arrival, ERR_BAD_SIGNATURE);
    }
}

static void a_signed_header_may_neither_be_missing_nor_come_twice(void **state) {
    (void)state;
    for (size_t i = 0; i < count_pairs(signed_headers); i++) {
        struct arrival arrival;
        arrive(&arrival, &credentials);
        arrival.headers[i].name = "x-other";
        assert_verified(&arrival, ERR_BAD_SIGNATURE);

        arrive(&arrival, &credentials);
        arrival.headers[arrival.request.header_count++] = arrival.headers[i];
        assert_verified(&arrival, ERR_BAD_SIGNATURE);
    }
}

static void a_header_for_the_storage_has_to_be_signed(void **state) {
    (void)state;
    struct arrival arrival;
    arrive(&arrival, &credentials);
    arrival.headers[arrival.request.header_count++] = (struct sigv4_pair){ "x-amz-meta-a", "b" };
    assert_verified(&arrival, ERR_BAD_SIGNATURE);
}

static void other_credentials_are_refused(void **state) {
    (void)state;
    struct arrival arrival;
    struct sigv4_credentials other = credentials;
    other.secret_key = "Secret";
    arrive(&arrival, &credentials);
    assert_int_equal(sigv4_verify(&other, &arrival.request), ERR_BAD_SIGNATURE);
    assert_int_equal(sigv4_verify(&temporary_credentials, &arrival.request), ERR_BAD_SIGNATURE);
    free(arrival.text);
}

static void a_url_works_from_its_date_until_it_expires(void **state) {
    (void)state;
    static const struct {
        int64_t after_ms;
        enum err expected;
    } moments[] = {
        { -15 * 60000 - 1, ERR_URL_EXPIRED },
        { -15 * 60000, OK },
        { 0, OK },
        { EXPIRES_S * 1000 - 1, OK },
        { EXPIRES_S * 1000, ERR_URL_EXPIRED },
        { INT64_C(1) << 40, ERR_URL_EXPIRED },
    };
    for (size_t i = 0; i < COUNT_OF(moments); i++) {
        struct arrival arrival;
        arrive(&arrival, &credentials);
        arrival.request.time_ms += moments[i].after_ms;
        assert_verified(&arrival, moments[i].expected);
    }
}

static void what_is_expired_and_wrong_is_wrong(void **state) {
    (void)state;
    struct arrival arrival;
    arrive(&arrival, &credentials);
    arrival.request.time_ms += EXPIRES_S * 1000;
    arrival.request.path = "/blobs/other";
    assert_verified(&arrival, ERR_BAD_SIGNATURE);
}

static void a_request_without_arguments_is_refused(void **state) {
    (void)state;
    const struct sigv4_request request = { .method = "GET", .path = "/", .payload_hash = SIGV4_UNSIGNED_PAYLOAD, .time_ms = NOW_MS };
    assert_int_equal(sigv4_verify(&credentials, &request), ERR_BAD_SIGNATURE);
    assert_false(sigv4_signs(&request, "host"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_s3_reference),
        cmocka_unit_test(the_published_test_suite),
        cmocka_unit_test(the_presigned_example_of_the_s3_reference),
        cmocka_unit_test(all_but_unreserved_characters_are_encoded),
        cmocka_unit_test(dates),
        cmocka_unit_test(arguments_are_sorted_as_encoded),
        cmocka_unit_test(what_was_presigned_is_accepted),
        cmocka_unit_test(the_order_of_arguments_and_headers_does_not_matter),
        cmocka_unit_test(blanks_in_headers_do_not_matter),
        cmocka_unit_test(a_changed_request_is_refused),
        cmocka_unit_test(rules_hold_for_those_who_have_the_key),
        cmocka_unit_test(a_changed_argument_is_refused),
        cmocka_unit_test(each_digit_of_the_signature_counts),
        cmocka_unit_test(an_argument_may_neither_be_missing_nor_come_twice),
        cmocka_unit_test(an_argument_more_is_refused),
        cmocka_unit_test(too_many_arguments_are_refused),
        cmocka_unit_test(a_changed_header_is_refused),
        cmocka_unit_test(a_signed_header_may_neither_be_missing_nor_come_twice),
        cmocka_unit_test(a_header_for_the_storage_has_to_be_signed),
        cmocka_unit_test(other_credentials_are_refused),
        cmocka_unit_test(a_url_works_from_its_date_until_it_expires),
        cmocka_unit_test(what_is_expired_and_wrong_is_wrong),
        cmocka_unit_test(a_request_without_arguments_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
