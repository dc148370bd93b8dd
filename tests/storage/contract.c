/* What media/storage.h promises, asked of whichever storage the settings say. */
#include "tests/storage/contract.h"

#include "core/clock.h"

#define LISTED 2103  /* more than two pages */
#define PARTS 1003   /* more than one page */
#define UPLOADS 1003 /* likewise */

static void assert_head(struct world *world, const char *key, const char *content_type, const char *etag, size_t size) {
    struct object object;
    assert_int_equal(storage_head(world->storage, key, &object), OK);
    assert_int_equal(object.size, size);
    assert_string_equal(object.content_type, content_type);
    assert_string_equal(object.etag, etag);
    assert_in_range(object.modified_ms, clock_now_ms() - 60000, clock_now_ms() + 60000);
}

static void nothing_is_there_in_the_beginning(void **state) {
    struct world *world = *state;
    struct object object = { .size = 77 };
    struct listed_object *objects;
    struct listed_upload *uploads;
    struct upload_cursor cursor = { 0 };
    struct part *parts;
    size_t count;
    bool has_more;
    const char *key = world_key(world, "nothing");

    assert_int_equal(storage_head(world->storage, key, &object), ERR_NOT_FOUND);
    assert_int_equal(object.size, 77);
    assert_int_equal(storage_delete(world->storage, &key, 1), OK);
    assert_int_equal(storage_list(world->storage, "", &world->arena, &objects, &count, &has_more), OK);
    assert_int_equal(count, 0);
    assert_false(has_more);
    assert_int_equal(storage_list_uploads(world->storage, &cursor, &world->arena, &uploads, &count, &has_more), OK);
    assert_int_equal(count, 0);
    assert_false(has_more);
    assert_int_equal(storage_multipart_parts(world->storage, key, "none", 0, &world->arena, &parts, &count, &has_more), ERR_NOT_FOUND);
    assert_int_equal(storage_multipart_abort(world->storage, key, "none"), OK);
}

static void what_was_uploaded_has_its_size_type_and_md5(void **state) {
    struct world *world = *state;
    const char *key = world_key(world, "123-abc");
    world_upload(world, key, "text/plain; charset=utf-8", "hello", 5);
    assert_head(world, key, "text/plain; charset=utf-8", "5d41402abc4b2a76b9719d911017c592", 5);
    world_assert_bytes(world, key, "hello", 5);

    world_upload(world, key, "image/svg+xml", "other", 5);
    assert_head(world, key, "image/svg+xml", "795f3202b17cb6bc3d4b771d8c6c9eaf", 5);
    world_assert_bytes(world, key, "other", 5);
}

static void an_object_may_be_empty(void **state) {
    struct world *world = *state;
    const char *key = world_key(world, "empty");
    world_upload(world, key, "application/octet-stream", "", 0);
    assert_head(world, key, "application/octet-stream", "d41d8cd98f00b204e9800998ecf8427e", 0);
}

static void deletion_takes_what_is_there_and_what_is_not(void **state) {
    struct world *world = *state;
    struct object object;
    const char *keys[] = { world_key(world, "one"), world_key(world, "absent"), world_key(world, "two") };
    const char *kept = world_key(world, "kept");
    world_upload(world, keys[0], "text/plain", "1", 1);
    world_upload(world, keys[2], "text/plain", "2", 1);
    world_upload(world, kept, "text/plain", "3", 1);

    for (int times = 0; times < 2; times++) {
        assert_int_equal(storage_delete(world->storage, keys, COUNT_OF(keys)), OK);
        for (size_t i = 0; i < COUNT_OF(keys); i++)
            assert_int_equal(storage_head(world->storage, keys[i], &object), ERR_NOT_FOUND);
    }
    assert_int_equal(storage_head(world->storage, kept, &object), OK);
    assert_int_equal(storage_delete(world->storage, NULL, 0), OK);
}

/* ---- Listing ---- */

static int compare_keys(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Every page after the other; asserts that exactly these keys come, in order. */
static void assert_listing(struct world *world, const char **keys, size_t count) {
    char after[STORAGE_KEY_SIZE] = "";
    size_t seen = 0;
    bool has_more = true;
    qsort(keys, count, sizeof(*keys), compare_keys);
    while (has_more) {
        struct listed_object *objects;
        size_t page_count;
        assert_int_equal(storage_list(world->storage, after, &world->arena, &objects, &page_count, &has_more), OK);
        assert_true(page_count <= STORAGE_PAGE && (page_count > 0 || !has_more));
        for (size_t i = 0; i < page_count; i++, seen++) {
            assert_true(seen < count);
            assert_string_equal(objects[i].key, keys[seen]);
            assert_int_equal(objects[i].size, 1);
            assert_in_range(objects[i].modified_ms, clock_now_ms() - 600000, clock_now_ms() + 60000);
        }
        if (page_count > 0)
            memcpy(after, objects[page_count - 1].key, sizeof(after));
    }
    assert_int_equal(seen, count);
}

static void a_listing_has_every_key_once_in_order(void **state) {
    struct world *world = *state;
    static const char *keys[LISTED];
    for (size_t i = 0; i < LISTED; i++) {
        char name[64];
        snprintf(name, sizeof(name), "%llu-%02zx", 7000000000000000ULL + i * 7919 * 65536ULL, i % 256);
        keys[i] = world_key(world, name);
        world_upload(world, keys[i], "text/plain", "x", 1);
    }
    assert_listing(world, keys, LISTED);
    for (size_t from = 0; from < LISTED; from += STORAGE_DELETE_MAX) {
        size_t count = LISTED - from < STORAGE_DELETE_MAX ? LISTED - from : STORAGE_DELETE_MAX;
        assert_int_equal(storage_delete(world->storage, keys + from, count), OK);
    }
    assert_listing(world, keys, 0);
}

static void keys_may_hold_any_character(void **state) {
    struct world *world = *state;
    static const char *const names[] = {
        " ",
        "a b",
        "a+b",
        "a%2Bb",
        "a%20b",
        "100%",
        "a&b=c",
        "<a>",
        "\"a\"",
        "'a'",
        "a\\b",
        "a;b",
        "a?b",
        "a#b",
        "a*b",
        "a:b",
        "a@b",
        "a,b",
        "$a",
        "a~b",
        "a!b",
        "(a)",
        "{a}",
        "[a]",
        "a^b",
        "a|b",
        "`a`",
        "dir/a",
        "dir/a/b",
        "dir",
        "...",
        "a.",
        "-",
        "_",
        "\xc3\xa9",
        "e\xcc\x81",
        "\xe2\x82\xac",
        "\xf0\x9f\x98\x80",
        "\xe4\xb8\xad\xe6\x96\x87",
        "a\tb",
        "a\nb",
        "a\rb",
        "]]>",
        "&amp;",
        "A",
    };
    const char *keys[COUNT_OF(names) + 1];
    for (size_t i = 0; i < COUNT_OF(names); i++)
        keys[i] = world_key(world, names[i]);
    char longest[STORAGE_KEY_SIZE];
    memset(longest, 'k', sizeof(longest));
    longest[sizeof(longest) - 1 - strlen(world->config.s3_prefix)] = '\0';
    keys[COUNT_OF(names)] = world_key(world, longest);

    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        world_upload(world, keys[i], "text/plain", "x", 1);
        assert_head(world, keys[i], "text/plain", "9dd4e461268c8034f5c8564e155c67a6", 1);
        world_assert_bytes(world, keys[i], "x", 1);
    }
    assert_listing(world, keys, COUNT_OF(keys));
    assert_int_equal(storage_delete(world->storage, keys, COUNT_OF(keys)), OK);
    assert_listing(world, keys, 0);
}

/* ---- Multipart uploads ---- */

/* A multipart upload of a first part of the smallest size, which is 'a's, and a last one. */
struct multipart {
    const char *key;
    char id[STORAGE_UPLOAD_ID_SIZE];
    struct part parts[2];
};

static void put_part(struct world *world, const struct multipart *multipart, unsigned number, const char *bytes, size_t size,
                     struct part *ret_part) {
    struct presign_part presign = { .key = multipart->key, .upload_id = multipart->id, .number = number, .size = (int64_t)size };
    *ret_part = (struct part){ .number = number, .size = size };
    world_upload_part(world, &presign, bytes, ret_part->etag);
}

static struct multipart begin(struct world *world, const char *name) {
    struct multipart multipart = { .key = world_key(world, name) };
    assert_int_equal(storage_multipart_begin(world->storage, multipart.key, "video/mp4", multipart.id), OK);
    return multipart;
}

static void put_parts(struct world *world, struct multipart *multipart) {
    char *first = arena_alloc(&world->arena, STORAGE_PART_MIN_BYTES);
    assert_non_null(first);
    memset(first, 'a', STORAGE_PART_MIN_BYTES);
    put_part(world, multipart, 2, "the end", 7, &multipart->parts[1]);
    put_part(world, multipart, 1, first, STORAGE_PART_MIN_BYTES, &multipart->parts[0]);
}

static void assert_parts(struct world *world, const struct multipart *multipart, const struct part *expected, size_t expected_count) {
    struct part *parts;
    size_t count;
    bool has_more;
    assert_int_equal(storage_multipart_parts(world->storage, multipart->key, multipart->id, 0, &world->arena, &parts, &count, &has_more),
                     OK);
    assert_false(has_more);
    assert_int_equal(count, expected_count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(parts[i].number, expected[i].number);
        assert_int_equal(parts[i].size, expected[i].size);
        assert_string_equal(parts[i].etag, expected[i].etag);
    }
}

static enum err complete(struct world *world, const struct multipart *multipart, const struct part *parts, size_t count) {
    return storage_multipart_complete(world->storage, multipart->key, multipart->id, parts, count);
}

static void assert_gone(struct world *world, const struct multipart *multipart) {
    struct part *parts;
    size_t count;
    bool has_more;
    assert_int_equal(storage_multipart_parts(world->storage, multipart->key, multipart->id, 0, &world->arena, &parts, &count, &has_more),
                     ERR_NOT_FOUND);
    assert_int_equal(storage_multipart_abort(world->storage, multipart->key, multipart->id), OK);
}

/* The ETag that S3 gives to an object of these parts: the MD5 of their MD5s, a dash, and their number. */
static void etag_of_parts(const struct part *parts, size_t count, char out[STORAGE_ETAG_SIZE]) {
    uint8_t md5s[16 * MD5_SIZE], md5[MD5_SIZE];
    for (size_t i = 0; i < count; i++)
        assert_true(hex_decode(parts[i].etag, 2 * MD5_SIZE, md5s + i * MD5_SIZE, MD5_SIZE));
    world_md5(md5s, count * MD5_SIZE, md5);
    world_hex(md5, MD5_SIZE, out);
    snprintf(out + 2 * MD5_SIZE, STORAGE_ETAG_SIZE - 2 * MD5_SIZE, "-%zu", count);
}

static void parts_become_an_object(void **state) {
    struct world *world = *state;
    struct multipart multipart = begin(world, "multi part+&");
    struct object object;
    char etag[STORAGE_ETAG_SIZE];

    assert_parts(world, &multipart, NULL, 0);
    put_parts(world, &multipart);
    assert_parts(world, &multipart, multipart.parts, 2);
    assert_int_equal(storage_head(world->storage, multipart.key, &object), ERR_NOT_FOUND);

    assert_int_equal(complete(world, &multipart, multipart.parts, 2), OK);
    etag_of_parts(multipart.parts, 2, etag);
    assert_head(world, multipart.key, "video/mp4", etag, STORAGE_PART_MIN_BYTES + 7);
    assert_gone(world, &multipart);
    enum err again = complete(world, &multipart, multipart.parts, 2); /* some remember */
    assert_true(again == ERR_NOT_FOUND || again == OK);
    assert_head(world, multipart.key, "video/mp4", etag, STORAGE_PART_MIN_BYTES + 7);
    assert_int_equal(storage_delete(world->storage, &multipart.key, 1), OK);
}

static void a_part_may_be_sent_again(void **state) {
    struct world *world = *state;
    struct multipart multipart = begin(world, "again");
    put_part(world, &multipart, 1, "first", 5, &multipart.parts[0]);
    put_part(world, &multipart, 1, "second!", 7, &multipart.parts[0]);
    assert_parts(world, &multipart, multipart.parts, 1);
    assert_int_equal(complete(world, &multipart, multipart.parts, 1), OK);
    world_assert_bytes(world, multipart.key, "second!", 7);
}

static void a_wrong_list_of_parts_completes_nothing(void **state) {
    struct world *world = *state;
    struct multipart multipart = begin(world, "wrong");
    struct object object;
    put_parts(world, &multipart);

    struct part missing[2] = { multipart.parts[0], multipart.parts[1] };
    missing[1].number = 3;
    assert_int_equal(complete(world, &multipart, missing, 2), ERR_CONFLICT);
    struct part changed[2] = { multipart.parts[0], multipart.parts[1] };
    changed[0].etag[0] = changed[0].etag[0] == '0' ? '1' : '0';
    assert_int_equal(complete(world, &multipart, changed, 2), ERR_CONFLICT);
    assert_int_equal(complete(world, &multipart, NULL, 0), ERR_CONFLICT);

    assert_int_equal(storage_head(world->storage, multipart.key, &object), ERR_NOT_FOUND);
    assert_parts(world, &multipart, multipart.parts, 2);
    assert_int_equal(complete(world, &multipart, multipart.parts, 2), OK);
}

static void only_the_last_part_may_be_small(void **state) {
    struct world *world = *state;
    if (world->is_local) /* takes what it gets: the server chooses the size of parts */
        skip();
    struct multipart multipart = begin(world, "small");
    put_part(world, &multipart, 1, "small", 5, &multipart.parts[0]);
    put_part(world, &multipart, 2, "small", 5, &multipart.parts[1]);
    assert_int_equal(complete(world, &multipart, multipart.parts, 2), ERR_CONFLICT);
    assert_int_equal(storage_multipart_abort(world->storage, multipart.key, multipart.id), OK);
}

static void an_aborted_upload_is_gone(void **state) {
    struct world *world = *state;
    struct multipart multipart = begin(world, "aborted");
    struct object object;
    put_parts(world, &multipart);
    assert_int_equal(storage_multipart_abort(world->storage, multipart.key, multipart.id), OK);
    assert_gone(world, &multipart);
    if (complete(world, &multipart, multipart.parts, 2) != ERR_NOT_FOUND)
        fail_msg("it can still be completed: %s", storage_problem());
    assert_int_equal(storage_head(world->storage, multipart.key, &object), ERR_NOT_FOUND);
}

static void parts_are_listed_in_pages(void **state) {
    struct world *world = *state;
    struct multipart multipart = begin(world, "pages");
    unsigned seen = 0;
    bool has_more = true;
    for (unsigned number = 1; number <= PARTS; number++)
        put_part(world, &multipart, number, "p", 1, &multipart.parts[0]);
    while (has_more) {
        struct part *parts;
        size_t count;
        assert_int_equal(
            storage_multipart_parts(world->storage, multipart.key, multipart.id, seen, &world->arena, &parts, &count, &has_more), OK);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(parts[i].number, ++seen);
    }
    assert_int_equal(seen, PARTS);
    assert_int_equal(storage_multipart_abort(world->storage, multipart.key, multipart.id), OK);
}

/* Counts the uploads of each name: the order of a listing is the storage's. */
static void count_uploads(struct world *world, const struct listed_upload *uploads, size_t count, unsigned *counts) {
    const char *start = world_key(world, "upload ");
    for (size_t i = 0; i < count; i++) {
        assert_memory_equal(uploads[i].key, start, strlen(start));
        assert_in_range(uploads[i].begun_ms, clock_now_ms() - 600000, clock_now_ms() + 60000);
        counts[strtoul(uploads[i].key + strlen(start), NULL, 10)]++;
    }
}

static void uploads_under_way_are_listed_in_pages(void **state) {
    struct world *world = *state;
    struct upload_cursor cursor = { 0 };
    size_t seen = 0;
    bool has_more = true;
    const size_t per_key = 3; /* so that pages end within a key's */
    for (size_t i = 0; i < UPLOADS; i++) {
        char name[32];
        snprintf(name, sizeof(name), "upload %04zu", i / per_key);
        (void)begin(world, name);
        arena_release(&world->arena);
    }
    static struct listed_upload all[UPLOADS];
    static unsigned counts[UPLOADS];
    while (has_more) {
        struct listed_upload *uploads;
        size_t count;
        assert_int_equal(storage_list_uploads(world->storage, &cursor, &world->arena, &uploads, &count, &has_more), OK);
        assert_true(seen + count <= UPLOADS);
        memcpy(all + seen, uploads, count * sizeof(*uploads));
        count_uploads(world, uploads, count, counts);
        seen += count;
    }
    assert_int_equal(seen, UPLOADS);
    for (size_t i = 0; i < UPLOADS / per_key; i++)
        assert_int_equal(counts[i], per_key);
    for (size_t i = 0; i < UPLOADS; i++)
        assert_int_equal(storage_multipart_abort(world->storage, all[i].key, all[i].upload_id), OK);
    cursor = (struct upload_cursor){ 0 };
    struct listed_upload *uploads;
    assert_int_equal(storage_list_uploads(world->storage, &cursor, &world->arena, &uploads, &seen, &has_more), OK);
    assert_int_equal(seen, 0);
}

#define CONTRACT_TEST(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int run_contract(void) {
    const struct CMUnitTest tests[] = {
        CONTRACT_TEST(nothing_is_there_in_the_beginning),
        CONTRACT_TEST(what_was_uploaded_has_its_size_type_and_md5),
        CONTRACT_TEST(an_object_may_be_empty),
        CONTRACT_TEST(deletion_takes_what_is_there_and_what_is_not),
        CONTRACT_TEST(a_listing_has_every_key_once_in_order),
        CONTRACT_TEST(keys_may_hold_any_character),
        CONTRACT_TEST(parts_become_an_object),
        CONTRACT_TEST(a_part_may_be_sent_again),
        CONTRACT_TEST(a_wrong_list_of_parts_completes_nothing),
        CONTRACT_TEST(only_the_last_part_may_be_small),
        CONTRACT_TEST(an_aborted_upload_is_gone),
        CONTRACT_TEST(parts_are_listed_in_pages),
        CONTRACT_TEST(uploads_under_way_are_listed_in_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
