/* The local storage by its contract: media/storage.h for the server's side, media/local.h for what presigned requests do. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "media/local.h"
#include "tests/unit/unit.h"

static const uint8_t SECRET[32] = "a secret of the store, 32 bytes";

struct fixture {
    char folder[64];
    struct config config;
    struct storage *storage;
    struct arena arena;
};

static void open_storage(struct fixture *fixture) {
    char problem[256] = "";
    if (storage_open(&fixture->config, SECRET, &fixture->storage, problem, sizeof(problem)) != OK)
        fail_msg("%s", problem);
}

static int set_up_with(void **state, const char *prefix) {
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/parley-local-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    fixture->config = (struct config){ .data_dir = fixture->folder, .s3_endpoint = (char *)"", .s3_prefix = strdup(prefix) };
    arena_init(&fixture->arena, 64 << 20);
    open_storage(fixture);
    *state = fixture;
    return 0;
}

static int set_up(void **state) { return set_up_with(state, ""); }
static int set_up_prefixed(void **state) { return set_up_with(state, "some/folder of/"); }

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    storage_close(fixture->storage);
    nftw(fixture->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    arena_release(&fixture->arena);
    free(fixture->config.s3_prefix);
    free(fixture);
    return 0;
}

static size_t counted_files;
static int count_file(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)path, (void)status, (void)walk;
    counted_files += type == FTW_F;
    return 0;
}

static size_t files_below(const struct fixture *fixture, const char *folder) {
    char path[128];
    snprintf(path, sizeof(path), "%s/media/%s", fixture->folder, folder);
    counted_files = 0;
    nftw(path, count_file, 16, FTW_PHYS);
    return counted_files;
}

static void md5_of(const char *bytes, size_t size, uint8_t out[MD5_SIZE]) {
    struct md5 *md5 = md5_begin();
    md5_add(md5, bytes, size);
    md5_end(md5, out);
}

static enum err put_text(struct fixture *fixture, const struct local_put *put, const char *text, char etag[STORAGE_ETAG_SIZE]) {
    struct local_upload *upload;
    enum err err = local_upload_begin(fixture->storage, put, &upload);
    if (err != OK)
        return err;
    err = local_upload_write(upload, text, strlen(text));
    if (err == OK)
        return local_upload_finish(upload, etag);
    local_upload_abort(upload);
    return err;
}

static enum err put_object(struct fixture *fixture, const char *key, const char *text) {
    char etag[STORAGE_ETAG_SIZE];
    const struct local_put put = { .key = key, .content_type = "text/plain", .size = strlen(text) };
    return put_text(fixture, &put, text, etag);
}

static enum err put_part(struct fixture *fixture, const char *key, const char *upload_id, unsigned number, const char *text) {
    char etag[STORAGE_ETAG_SIZE];
    const struct local_put put = { .key = key, .upload_id = upload_id, .part = number, .size = strlen(text) };
    return put_text(fixture, &put, text, etag);
}

static void assert_content(struct fixture *fixture, const char *key, const char *text) {
    struct object object;
    char bytes[256];
    int fd;
    assert_int_equal(local_object_open(fixture->storage, key, &object, &fd), OK);
    assert_int_equal(object.size, strlen(text));
    assert_int_equal(local_object_read(fd, 0, bytes, object.size), OK);
    assert_memory_equal(bytes, text, object.size);
    close(fd);
}

static void an_object_is_what_was_put(void **state) {
    struct fixture *fixture = *state;
    struct object object;
    assert_int_equal(storage_head(fixture->storage, "1-a", &object), ERR_NOT_FOUND);
    assert_int_equal(put_object(fixture, "1-a", "hello"), OK);
    assert_int_equal(storage_head(fixture->storage, "1-a", &object), OK);
    assert_int_equal(object.size, 5);
    assert_string_equal(object.etag, "5d41402abc4b2a76b9719d911017c592");
    assert_string_equal(object.content_type, "text/plain");
    assert_true(object.modified_ms > INT64_C(1700000000000));
    assert_content(fixture, "1-a", "hello");
    assert_int_equal(put_object(fixture, "1-a", "another"), OK);
    assert_content(fixture, "1-a", "another");
    assert_int_equal(files_below(fixture, ""), 1);
}

static void an_empty_object_is_one(void **state) {
    struct fixture *fixture = *state;
    struct object object;
    assert_int_equal(put_object(fixture, "1-a", ""), OK);
    assert_int_equal(storage_head(fixture->storage, "1-a", &object), OK);
    assert_int_equal(object.size, 0);
    assert_string_equal(object.etag, "d41d8cd98f00b204e9800998ecf8427e");
}

static void what_was_not_announced_is_refused_and_leaves_nothing(void **state) {
    struct fixture *fixture = *state;
    char etag[STORAGE_ETAG_SIZE];
    struct local_put put = { .key = "1-a", .content_type = "text/plain", .size = 5, .has_md5 = true };
    md5_of("hello", 5, put.md5);
    assert_int_equal(put_text(fixture, &put, "hello", etag), OK);
    assert_int_equal(put_text(fixture, &put, "hellO", etag), ERR_BAD_DIGEST);
    assert_int_equal(put_text(fixture, &put, "hell", etag), ERR_BAD_DIGEST);
    assert_int_equal(put_text(fixture, &put, "hello!", etag), ERR_BODY_TOO_LARGE);
    assert_content(fixture, "1-a", "hello");
    assert_int_equal(files_below(fixture, ""), 1);
}

static void what_comes_after_the_end_of_its_url_is_refused_and_leaves_nothing(void **state) {
    struct fixture *fixture = *state;
    char etag[STORAGE_ETAG_SIZE];
    struct local_put put = { .key = "1-a", .content_type = "text/plain", .size = 5, .until_ms = clock_now_ms() + 60000 };
    assert_int_equal(put_text(fixture, &put, "hello", etag), OK);
    put.key = "1-b";
    put.until_ms = clock_now_ms();
    assert_int_equal(put_text(fixture, &put, "hello", etag), ERR_URL_EXPIRED);
    put.size = 0;
    assert_int_equal(put_text(fixture, &put, "", etag), ERR_URL_EXPIRED);
    assert_int_equal(files_below(fixture, ""), 1);
}

static void keys_never_leave_the_folder(void **state) {
    struct fixture *fixture = *state;
    static const char *const KEYS[] = {
        "..",         ".",          "../../etc/passwd",
        "/",          "//",         "a/../../b",
        "%2e%2e",     "%",          "%%",
        "con\nnul\r", "\xff\xfe",   "\xe2\x80\xae txt",
        "upload",     "a",          "ab",
        "abcd",       "abcde",      "abcdefg",
        "abcdefgh",   "-",          "a b",
        "A",          "\"quoted\"", "~",
        "1-..",
    };
    for (size_t i = 0; i < COUNT_OF(KEYS); i++)
        assert_int_equal(put_object(fixture, KEYS[i], KEYS[i]), OK);
    for (size_t i = 0; i < COUNT_OF(KEYS); i++)
        assert_content(fixture, KEYS[i], KEYS[i]);
    assert_int_equal(files_below(fixture, "objects"), COUNT_OF(KEYS));
    struct listed_object *objects;
    size_t count;
    bool more;
    assert_int_equal(storage_list(fixture->storage, "", &fixture->arena, &objects, &count, &more), OK);
    assert_int_equal(count, COUNT_OF(KEYS));
    for (size_t i = 1; i < count; i++)
        assert_true(strcmp(objects[i - 1].key, objects[i].key) < 0);
}

static void keys_that_cannot_be_are_refused(void **state) {
    struct fixture *fixture = *state;
    char key[STORAGE_KEY_SIZE + 1];
    struct object object;
    assert_int_equal(put_object(fixture, "", "x"), ERR_BAD_REQUEST);
    memset(key, 'a', sizeof(key));
    key[STORAGE_KEY_SIZE] = '\0';
    assert_int_equal(put_object(fixture, key, "x"), ERR_BAD_REQUEST);
    memset(key, '/', 100); /* three bytes each in the name */
    key[100] = '\0';
    assert_int_equal(put_object(fixture, key, "x"), ERR_BAD_REQUEST);
    assert_int_equal(storage_head(fixture->storage, key, &object), ERR_NOT_FOUND);
    assert_int_equal(storage_delete(fixture->storage, &(const char *){ key }, 1), OK);
    assert_int_equal(files_below(fixture, ""), 0);
}

static void a_prefix_may_hold_slashes(void **state) {
    struct fixture *fixture = *state;
    struct listed_object *objects;
    size_t count;
    bool more;
    assert_int_equal(put_object(fixture, "some/folder of/12-ab", "hello"), OK);
    assert_int_equal(put_object(fixture, "12-ab", "hello"), ERR_BAD_REQUEST);
    assert_int_equal(put_object(fixture, "some/folder of/", "hello"), ERR_BAD_REQUEST);
    assert_content(fixture, "some/folder of/12-ab", "hello");
    static const char *const AFTER[] = { "", "a", "some/folder of/", "some/folder of/12-aa" };
    for (size_t i = 0; i < COUNT_OF(AFTER); i++) {
        assert_int_equal(storage_list(fixture->storage, AFTER[i], &fixture->arena, &objects, &count, &more), OK);
        assert_int_equal(count, 1);
        assert_string_equal(objects[0].key, "some/folder of/12-ab");
    }
    assert_int_equal(storage_list(fixture->storage, "z", &fixture->arena, &objects, &count, &more), OK);
    assert_int_equal(count, 0);
}

static int compare_keys(const void *a, const void *b) { return strcmp(a, b); }

/* Keys of all kinds of lengths and neighbourhoods: many in one folder, and many folders. */
static void a_listing_has_every_key_once_in_order(void **state) {
    struct fixture *fixture = *state;
    enum { KEYS = 3500 };
    static char keys[KEYS][STORAGE_KEY_SIZE];
    for (unsigned i = 0; i < KEYS; i++) {
        if (i % 3 == 0)
            snprintf(keys[i], sizeof(keys[i]), "%u-same", i);
        else if (i % 3 == 1)
            snprintf(keys[i], sizeof(keys[i]), "4000000%09u-x", i);
        else
            snprintf(keys[i], sizeof(keys[i]), "%019llu", i * 2654435761ull * 1000003ull);
        assert_int_equal(put_object(fixture, keys[i], "x"), OK);
    }
    qsort(keys, KEYS, sizeof(keys[0]), compare_keys);
    char after[STORAGE_KEY_SIZE] = "";
    size_t seen = 0;
    bool more = true;
    while (more) {
        struct listed_object *objects;
        size_t count;
        assert_int_equal(storage_list(fixture->storage, after, &fixture->arena, &objects, &count, &more), OK);
        assert_true(count == STORAGE_PAGE || !more);
        for (size_t i = 0; i < count; i++) {
            assert_string_equal(objects[i].key, keys[seen++]);
            assert_int_equal(objects[i].size, 1);
        }
        snprintf(after, sizeof(after), "%s", objects[count - 1].key);
    }
    assert_int_equal(seen, KEYS);
}

static void deleting_removes_objects_and_empty_folders(void **state) {
    struct fixture *fixture = *state;
    struct object object;
    char path[128];
    assert_int_equal(put_object(fixture, "1234567-a", "x"), OK);
    assert_int_equal(put_object(fixture, "1234567-b", "x"), OK);
    assert_int_equal(put_object(fixture, "1234999-c", "x"), OK);
    const char *some[] = { "1234567-a", "never was", "1234567-a", "1234999-c" };
    assert_int_equal(storage_delete(fixture->storage, some, COUNT_OF(some)), OK);
    assert_int_equal(storage_head(fixture->storage, "1234567-a", &object), ERR_NOT_FOUND);
    assert_int_equal(storage_head(fixture->storage, "1234567-b", &object), OK);
    assert_int_equal(storage_delete(fixture->storage, &(const char *){ "1234567-b" }, 1), OK);
    snprintf(path, sizeof(path), "%s/media/objects/1234", fixture->folder);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(put_object(fixture, "1234567-b", "again"), OK);
    assert_content(fixture, "1234567-b", "again");
}

static void a_damaged_file_is_no_object(void **state) {
    struct fixture *fixture = *state;
    struct object object;
    char path[128];
    assert_int_equal(put_object(fixture, "1234567-a", "hello"), OK);
    snprintf(path, sizeof(path), "%s/media/objects/1234/567/1234567-a", fixture->folder);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(storage_head(fixture->storage, "1234567-a", &object), ERR_NOT_FOUND);
    assert_int_equal(truncate(path, 400), 0);
    assert_int_equal(storage_head(fixture->storage, "1234567-a", &object), ERR_NOT_FOUND);
    assert_int_equal(storage_delete(fixture->storage, &(const char *){ "1234567-a" }, 1), OK);
    assert_int_equal(files_below(fixture, ""), 0);
}

enum { RACERS = 4, ROUNDS = 60 };

static void *put_and_delete(void *context) {
    struct fixture *fixture = context;
    static _Atomic unsigned numbers;
    char key[32];
    snprintf(key, sizeof(key), "1234567-%u", numbers++);
    for (unsigned i = 0; i < ROUNDS; i++) {
        const char *keys[] = { key };
        if (put_object(fixture, key, key) != OK || storage_delete(fixture->storage, keys, 1) != OK)
            return fixture;
    }
    return put_object(fixture, key, key) == OK ? NULL : fixture;
}

/* The folder comes and goes under all of them. */
static void objects_of_one_folder_are_put_and_deleted_at_once(void **state) {
    struct fixture *fixture = *state;
    pthread_t threads[RACERS];
    for (size_t i = 0; i < RACERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_and_delete, fixture), 0);
    for (size_t i = 0; i < RACERS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(files_below(fixture, ""), RACERS);
}

/* ---- Leftovers ---- */

static void opening_removes_what_nobody_receives(void **state) {
    struct fixture *fixture = *state;
    const struct local_put put = { .key = "1-a", .content_type = "text/plain", .size = 10 };
    struct local_upload *upload;
    pid_t child = fork();
    if (child == 0) { /* dies while it receives */
        bool begun = local_upload_begin(fixture->storage, &put, &upload) == OK && local_upload_write(upload, "half", 4) == OK;
        _exit(begun ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(files_below(fixture, "incoming"), 1);
    assert_int_equal(local_upload_begin(fixture->storage, &put, &upload), OK);
    assert_int_equal(files_below(fixture, "incoming"), 2);

    /* Another process, for instance a command while a server runs. */
    struct fixture other = *fixture;
    open_storage(&other);
    assert_int_equal(files_below(fixture, "incoming"), 1);
    storage_close(other.storage);

    char etag[STORAGE_ETAG_SIZE];
    assert_int_equal(local_upload_write(upload, "0123456789", 10), OK);
    assert_int_equal(local_upload_finish(upload, etag), OK);
    assert_content(fixture, "1-a", "0123456789");
}

static void a_full_disk_is_said_and_leaves_nothing(void **state) {
    struct fixture *fixture = *state;
    struct rlimit before, small;
    struct object object;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 4096;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    char *big = calloc(1, 8193);
    memset(big, 'x', 8192);
    enum err in_writing = put_object(fixture, "1-a", big);
    big[4000] = '\0'; /* the record does not fit */
    enum err in_finishing = put_object(fixture, "1-a", big);
    setrlimit(RLIMIT_FSIZE, &before);
    free(big);
    assert_int_equal(in_writing, ERR_STORAGE_UNAVAILABLE);
    assert_int_equal(in_finishing, ERR_STORAGE_UNAVAILABLE);
    assert_non_null(strstr(storage_problem(), strerror(EFBIG)));
    assert_int_equal(files_below(fixture, ""), 0);
    assert_int_equal(storage_head(fixture->storage, "1-a", &object), ERR_NOT_FOUND);
}

/* ---- Multipart ---- */

static enum err complete_all(struct fixture *fixture, const char *key, const char *upload_id) {
    struct part *parts;
    size_t count;
    bool more;
    enum err err = storage_multipart_parts(fixture->storage, key, upload_id, 0, &fixture->arena, &parts, &count, &more);
    return err == OK ? storage_multipart_complete(fixture->storage, key, upload_id, parts, count) : err;
}

static void parts_become_an_object(void **state) {
    struct fixture *fixture = *state;
    char id[STORAGE_UPLOAD_ID_SIZE];
    struct object object;
    assert_int_equal(storage_multipart_begin(fixture->storage, "1-a", "video/mp4", id), OK);
    assert_int_equal(put_part(fixture, "1-a", id, 3, "three"), OK);
    assert_int_equal(put_part(fixture, "1-a", id, 1, "wrong"), OK);
    assert_int_equal(put_part(fixture, "1-a", id, 1, "one"), OK);
    assert_int_equal(put_part(fixture, "1-a", id, 10000, "last"), OK);
    assert_int_equal(storage_head(fixture->storage, "1-a", &object), ERR_NOT_FOUND);

    struct part *parts;
    size_t count;
    bool more;
    assert_int_equal(storage_multipart_parts(fixture->storage, "1-a", id, 1, &fixture->arena, &parts, &count, &more), OK);
    assert_int_equal(count, 2);
    assert_false(more);
    assert_int_equal(parts[0].number, 3);
    assert_int_equal(parts[0].size, 5);
    assert_string_equal(parts[0].etag, "35d6d33467aae9a2e3dccb4b6b027878");
    assert_int_equal(parts[1].number, 10000);

    assert_int_equal(complete_all(fixture, "1-a", id), OK);
    assert_content(fixture, "1-a", "onethreelast");
    assert_int_equal(storage_head(fixture->storage, "1-a", &object), OK);
    assert_string_equal(object.content_type, "video/mp4");
    uint8_t digests[3 * MD5_SIZE], digest[MD5_SIZE];
    char expected[STORAGE_ETAG_SIZE] = "";
    md5_of("one", 3, digests);
    md5_of("three", 5, digests + MD5_SIZE);
    md5_of("last", 4, digests + 2 * MD5_SIZE);
    md5_of((const char *)digests, sizeof(digests), digest);
    for (size_t i = 0; i < MD5_SIZE; i++)
        snprintf(expected + 2 * i, 3, "%02x", digest[i]);
    snprintf(expected + 32, 3, "-3");
    assert_string_equal(object.etag, expected);

    assert_int_equal(complete_all(fixture, "1-a", id), ERR_NOT_FOUND);
    assert_int_equal(put_part(fixture, "1-a", id, 1, "late"), ERR_NOT_FOUND);
    assert_int_equal(files_below(fixture, ""), 1);
}

static void wrong_parts_are_a_conflict(void **state) {
    struct fixture *fixture = *state;
    char id[STORAGE_UPLOAD_ID_SIZE];
    struct object object;
    assert_int_equal(storage_multipart_begin(fixture->storage, "1-a", "video/mp4", id), OK);
    assert_int_equal(put_part(fixture, "1-a", id, 1, "one"), OK);
    assert_int_equal(put_part(fixture, "1-a", id, 2, "two"), OK);
    const struct part one = { 1, 3, "f97c5d29941bfb1b2fdab0874906ab82" }, two = { 2, 3, "b8a9f715dbb64fd5c56e7783c6820a61" };
    struct part resized = two, changed = two, missing = two;
    resized.size = 4;
    changed.etag[0] = '0';
    missing.number = 3;
    const struct part wrong[][2] = { { one, resized }, { one, changed }, { one, missing }, { two, one }, { one, one } };
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_int_equal(storage_multipart_complete(fixture->storage, "1-a", id, wrong[i], 2), ERR_CONFLICT);
    assert_int_equal(storage_multipart_complete(fixture->storage, "1-a", id, NULL, 0), ERR_CONFLICT);
    assert_int_equal(storage_head(fixture->storage, "1-a", &object), ERR_NOT_FOUND);
    assert_int_equal(files_below(fixture, "incoming"), 0);
    const struct part right[] = { one, two };
    assert_int_equal(storage_multipart_complete(fixture->storage, "1-a", id, right, 2), OK);
    assert_content(fixture, "1-a", "onetwo");
}

struct joining {
    struct fixture *fixture;
    const char *upload_id;
    struct part part;
    enum err err;
};

static void *join_it(void *context) {
    struct joining *joining = context;
    joining->err = storage_multipart_complete(joining->fixture->storage, "1-a", joining->upload_id, &joining->part, 1);
    return NULL;
}

static void of_many_that_join_an_upload_one_does(void **state) {
    struct fixture *fixture = *state;
    char id[STORAGE_UPLOAD_ID_SIZE];
    pthread_t threads[RACERS];
    struct joining joinings[RACERS];
    size_t joined = 0;
    assert_int_equal(storage_multipart_begin(fixture->storage, "1-a", "video/mp4", id), OK);
    assert_int_equal(put_part(fixture, "1-a", id, 1, "one"), OK);
    for (size_t i = 0; i < RACERS; i++) {
        joinings[i] = (struct joining){ fixture, id, { 1, 3, "f97c5d29941bfb1b2fdab0874906ab82" }, OK };
        assert_int_equal(pthread_create(&threads[i], NULL, join_it, &joinings[i]), 0);
    }
    for (size_t i = 0; i < RACERS; i++) {
        pthread_join(threads[i], NULL);
        joined += joinings[i].err == OK;
        assert_true(joinings[i].err == OK || joinings[i].err == ERR_NOT_FOUND);
    }
    assert_int_equal(joined, 1);
    assert_content(fixture, "1-a", "one");
    assert_int_equal(files_below(fixture, ""), 1);
}

static void an_upload_is_of_its_key_only(void **state) {
    struct fixture *fixture = *state;
    char id[STORAGE_UPLOAD_ID_SIZE];
    assert_int_equal(storage_multipart_begin(fixture->storage, "1-a", "video/mp4", id), OK);
    assert_int_equal(put_part(fixture, "1-b", id, 1, "one"), ERR_NOT_FOUND);
    assert_int_equal(put_part(fixture, "1-a", "../objects", 1, "one"), ERR_NOT_FOUND);
    assert_int_equal(put_part(fixture, "1-a", "", 1, "one"), ERR_NOT_FOUND);
    assert_int_equal(put_part(fixture, "1-a", id, 0, "one"), ERR_BAD_REQUEST);
    assert_int_equal(put_part(fixture, "1-a", id, 10001, "one"), ERR_BAD_REQUEST);
    assert_int_equal(complete_all(fixture, "1-b", id), ERR_NOT_FOUND);
    assert_int_equal(storage_multipart_abort(fixture->storage, "1-b", id), OK);
    assert_int_equal(put_part(fixture, "1-a", id, 1, "one"), OK);
}

static void an_aborted_upload_is_gone(void **state) {
    struct fixture *fixture = *state;
    char id[STORAGE_UPLOAD_ID_SIZE];
    struct local_upload *upload;
    char etag[STORAGE_ETAG_SIZE];
    assert_int_equal(storage_multipart_begin(fixture->storage, "1-a", "video/mp4", id), OK);
    assert_int_equal(put_part(fixture, "1-a", id, 1, "one"), OK);
    const struct local_put put = { .key = "1-a", .upload_id = id, .part = 2, .size = 3 };
    assert_int_equal(local_upload_begin(fixture->storage, &put, &upload), OK);
    assert_int_equal(storage_multipart_abort(fixture->storage, "1-a", id), OK);
    assert_int_equal(storage_multipart_abort(fixture->storage, "1-a", id), OK);
    assert_int_equal(local_upload_write(upload, "two", 3), OK);
    assert_int_equal(local_upload_finish(upload, etag), ERR_NOT_FOUND);
    assert_int_equal(files_below(fixture, ""), 0);
}

static void uploads_are_listed_page_by_page(void **state) {
    struct fixture *fixture = *state;
    enum { UPLOADS = 1200 };
    char id[STORAGE_UPLOAD_ID_SIZE], path[128];
    for (unsigned i = 0; i < UPLOADS; i++) {
        char key[32];
        snprintf(key, sizeof(key), "%u-a", i);
        assert_int_equal(storage_multipart_begin(fixture->storage, key, "video/mp4", id), OK);
    }
    /* A crash between making the folder and its record. */
    snprintf(path, sizeof(path), "%s/media/multipart/00000000000000000000000000000000", fixture->folder);
    assert_int_equal(mkdir(path, 0700), 0);
    struct upload_cursor cursor = { .key = "" };
    size_t seen = 0;
    bool more = true;
    while (more) {
        struct listed_upload *uploads;
        size_t count;
        assert_int_equal(storage_list_uploads(fixture->storage, &cursor, &fixture->arena, &uploads, &count, &more), OK);
        for (size_t i = 0; i < count; i++) {
            assert_true(uploads[i].begun_ms > INT64_C(1700000000000));
            assert_int_equal(storage_multipart_abort(fixture->storage, uploads[i].key, uploads[i].upload_id), OK);
        }
        seen += count;
    }
    assert_int_equal(seen, UPLOADS);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(files_below(fixture, ""), 0);
}

/* ---- Opening ---- */

static void note_step(void *context, const char *step, enum err err, const char *detail) {
    assert_non_null(step);
    assert_non_null(detail);
    assert_int_equal(err, OK);
    ++*(unsigned *)context;
}

static void it_survives_being_opened_again(void **state) {
    struct fixture *fixture = *state;
    char secret[128];
    unsigned steps = 0;
    snprintf(secret, sizeof(secret), "%s", local_credentials(fixture->storage)->secret_key);
    assert_int_equal(put_object(fixture, "1-a", "hello"), OK);
    storage_close(fixture->storage);
    open_storage(fixture);
    assert_content(fixture, "1-a", "hello");
    assert_string_equal(local_credentials(fixture->storage)->secret_key, secret);
    assert_string_equal(local_credentials(fixture->storage)->access_key, "local");
    assert_true(storage_is_local(fixture->storage));
    assert_int_equal(storage_setup(fixture->storage, note_step, &steps), OK);
    assert_true(steps > 0);
}

static void a_folder_that_cannot_be_is_said(void **state) {
    struct fixture *fixture = *state;
    char problem[256] = "", path[128];
    struct storage *storage = NULL;
    snprintf(path, sizeof(path), "%s/file", fixture->folder);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    struct config config = fixture->config;
    config.data_dir = path;
    assert_int_equal(storage_open(&config, SECRET, &storage, problem, sizeof(problem)), ERR_IO);
    assert_non_null(strstr(problem, path));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(an_object_is_what_was_put),
        TEST(an_empty_object_is_one),
        TEST(what_was_not_announced_is_refused_and_leaves_nothing),
        TEST(what_comes_after_the_end_of_its_url_is_refused_and_leaves_nothing),
        TEST(keys_never_leave_the_folder),
        TEST(keys_that_cannot_be_are_refused),
        cmocka_unit_test_setup_teardown(a_prefix_may_hold_slashes, set_up_prefixed, tear_down),
        TEST(a_listing_has_every_key_once_in_order),
        TEST(deleting_removes_objects_and_empty_folders),
        TEST(objects_of_one_folder_are_put_and_deleted_at_once),
        TEST(a_damaged_file_is_no_object),
        TEST(opening_removes_what_nobody_receives),
        TEST(a_full_disk_is_said_and_leaves_nothing),
        TEST(parts_become_an_object),
        TEST(wrong_parts_are_a_conflict),
        TEST(of_many_that_join_an_upload_one_does),
        TEST(an_upload_is_of_its_key_only),
        TEST(an_aborted_upload_is_gone),
        TEST(uploads_are_listed_page_by_page),
        TEST(it_survives_being_opened_again),
        TEST(a_folder_that_cannot_be_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
