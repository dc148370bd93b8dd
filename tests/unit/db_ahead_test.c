/* Posts that are decided while the commit before theirs is under way: as if they had been decided after it, whatever becomes of it.
 *
 * Each test runs two batches. The commit of the first is held, on SQLite by the storage below the log, on MariaDB by what is between the store and the server, until so many posts of
 * the second are decided as can be. Time stands still but for pass_ms(). */
#include "db_cut.h"
#include "db_posts.h"
#include "unit.h"

#include <limits.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/id.h"
#include "core/limits.h"
#include "core/metrics.h"
#include "db/chain.h"
#include "db/store_internal.h"

#define SECOND_MS INT64_C(1000)
#define HOUR_MS (3600 * SECOND_MS)
#define PART 8   /* posts that are decided ahead together, if all of them can be */
#define POSTS 40 /* more than it takes to begin with them ahead */

static _Atomic int64_t wall_ms = INT64_C(1800000000000);

int clock_gettime(clockid_t clock, struct timespec *out) {
    if (clock != CLOCK_REALTIME)
        return (int)syscall(SYS_clock_gettime, clock, out);
    int64_t now_ms = atomic_load(&wall_ms);
    *out = (struct timespec){ .tv_sec = now_ms / SECOND_MS, .tv_nsec = now_ms % SECOND_MS * 1000000 };
    return 0;
}

static void pass_ms(int64_t ms) { atomic_fetch_add(&wall_ms, ms); }

/* ---- The storage below: SQLite's own, whose log may be held at a sync, and fail then ------------------------------------------------- */

struct held_file {
    sqlite3_file base;
    sqlite3_file below[];
};

static sqlite3_vfs *plain;
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool holds, reached;
    unsigned passes; /* so many syncs may go on, though it holds */
    int code;        /* of the sync that was held */
} storage = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static sqlite3_file *below(sqlite3_file *file) { return ((struct held_file *)file)->below; }

static int held_close(sqlite3_file *file) { return below(file)->pMethods->xClose(below(file)); }

static int held_read(sqlite3_file *file, void *bytes, int size, sqlite3_int64 offset) {
    return below(file)->pMethods->xRead(below(file), bytes, size, offset);
}

static int held_write(sqlite3_file *file, const void *bytes, int size, sqlite3_int64 offset) {
    return below(file)->pMethods->xWrite(below(file), bytes, size, offset);
}

static int held_truncate(sqlite3_file *file, sqlite3_int64 size) { return below(file)->pMethods->xTruncate(below(file), size); }

static int wait_below(void) {
    pthread_mutex_lock(&storage.mutex);
    int code = storage.holds ? storage.code : SQLITE_OK;
    while (storage.holds && storage.passes == 0) {
        storage.reached = true;
        pthread_cond_broadcast(&storage.changed);
        pthread_cond_wait(&storage.changed, &storage.mutex);
    }
    if (storage.holds)
        storage.passes--;
    pthread_mutex_unlock(&storage.mutex);
    return code;
}

static int held_sync(sqlite3_file *file, int flags) {
    int code = wait_below();
    return code == SQLITE_OK ? below(file)->pMethods->xSync(below(file), flags) : code;
}

static int held_size(sqlite3_file *file, sqlite3_int64 *ret_size) { return below(file)->pMethods->xFileSize(below(file), ret_size); }

static int held_control(sqlite3_file *file, int operation, void *argument) {
    return below(file)->pMethods->xFileControl(below(file), operation, argument);
}

static int held_characteristics(sqlite3_file *file) { return below(file)->pMethods->xDeviceCharacteristics(below(file)); }

static const sqlite3_io_methods held_methods = {
    .iVersion = 1,
    .xClose = held_close,
    .xRead = held_read,
    .xWrite = held_write,
    .xTruncate = held_truncate,
    .xSync = held_sync,
    .xFileSize = held_size,
    .xFileControl = held_control,
    .xDeviceCharacteristics = held_characteristics,
};

static int held_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *ret_flags) {
    struct held_file *held = (struct held_file *)file;
    (void)vfs;
    if (!(flags & SQLITE_OPEN_WAL))
        return plain->xOpen(plain, path, file, flags, ret_flags);
    held->below->pMethods = NULL;
    int code = plain->xOpen(plain, path, held->below, flags, ret_flags);
    held->base.pMethods = held->below->pMethods ? &held_methods : NULL;
    return code;
}

static int register_storage(void **state) {
    static sqlite3_vfs held;
    (void)state;
    plain = sqlite3_vfs_find(NULL);
    held = *plain;
    held.zName = "held";
    held.szOsFile = (int)sizeof(struct held_file) + plain->szOsFile;
    held.xOpen = held_open;
    return sqlite3_vfs_register(&held, 1);
}

/* ---- The commit that is held --------------------------------------------------------------------------------------------------------- */

/* The next one; `code` is what becomes of it on SQLite. */
static void hold_commit(int code) {
    if (cutter)
        return commit_cutter_hold_answer(cutter);
    pthread_mutex_lock(&storage.mutex);
    storage.holds = true;
    storage.reached = false;
    storage.passes = 0;
    storage.code = code;
    pthread_mutex_unlock(&storage.mutex);
}

static void wait_until_held(void) {
    pthread_mutex_lock(&storage.mutex);
    while (storage.holds && !storage.reached)
        pthread_cond_wait(&storage.changed, &storage.mutex);
    pthread_mutex_unlock(&storage.mutex);
}

static void let_go(void) {
    if (cutter)
        return commit_cutter_let_go(cutter);
    pthread_mutex_lock(&storage.mutex);
    storage.holds = false;
    pthread_cond_broadcast(&storage.changed);
    pthread_mutex_unlock(&storage.mutex);
}

/* The next one is held again. */
static void let_one_go(void) {
    pthread_mutex_lock(&storage.mutex);
    storage.passes++;
    pthread_cond_broadcast(&storage.changed);
    pthread_mutex_unlock(&storage.mutex);
}

/* Nothing is sent behind a commit: that is for db_behind_test. */
static int set_up(void **state) { return cut_set_up(state, UINT_MAX); }

static struct fixture *fixture_of(void **state) {
    if (is_on_mariadb() && !cutter) {
        print_message("PARLEY_TEST_DB has no socket\n");
        skip();
    }
    return *state;
}

/* ---- Two batches --------------------------------------------------------------------------------------------------------------------- */

struct two {
    struct volley volley;
    struct command *commands;
    size_t count;
    uint64_t ahead_before;
};

/* The second batch begins at commands[border]. A command as large as a batch may be ends one before whatever has a size. */
static void begin_two(struct two *two, struct fixture *fixture, struct command *commands, size_t count, size_t border, int code) {
    two->commands = commands;
    two->count = count;
    two->ahead_before = metric_get(COUNTER_COMMANDS_AHEAD);
    volley_begin_shut(&two->volley, fixture);
    commands[0].bytes = LIMIT_BATCH_BYTES;
    commands[border].bytes = 1;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(volley_submit(&two->volley, &commands[i]), OK);
    hold_commit(code);
    volley_open(&two->volley);
}

static uint64_t decided_ahead(const struct two *two) { return metric_get(COUNTER_COMMANDS_AHEAD) - two->ahead_before; }

static void wait_ahead(const struct two *two, uint64_t count) {
    wait_until_held();
    while (decided_ahead(two) < count)
        clock_sleep_ms(1);
}

/* So many were decided ahead, and not one more. */
static void end_two(struct two *two, uint64_t ahead) {
    let_go();
    volley_wait(&two->volley);
    assert_true(two->volley.in_order);
    assert_int_equal(two->volley.done, two->count);
    assert_int_equal(decided_ahead(two), ahead);
}

static void run_two(struct fixture *fixture, struct command *commands, size_t count, size_t border, uint64_t ahead) {
    struct two two;
    begin_two(&two, fixture, commands, count, border, SQLITE_OK);
    wait_ahead(&two, ahead);
    end_two(&two, ahead);
}

/* ---- As if they came after ----------------------------------------------------------------------------------------------------------- */

static void posts_go_on_from_the_batch_before(void **state) {
    struct fixture *fixture = fixture_of(state);
    struct command commands[POSTS + 5];
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0), other = make_group(fixture, ann, NULL, 0);
    fill_posts(commands, COUNT_OF(commands), ann, chat);
    for (size_t i = 0; i < COUNT_OF(commands); i += 3)
        commands[i].in.message_post.chat_id = other;
    run_two(fixture, commands, COUNT_OF(commands), 5, POSTS);
    check_answers(fixture, commands, COUNT_OF(commands));
    for (size_t i = 1; i < COUNT_OF(commands); i++)
        assert_int_equal(log_position(commands[i].out.id), log_position(commands[i - 1].out.id) + 1);
    check_chat(fixture, ann, chat, 30);
    check_chat(fixture, ann, other, 15);
    check_log(fixture, chat);
    check_log(fixture, other);
    release_all(commands, COUNT_OF(commands));
}

/* While each of them is being committed the next one is decided, from the state of the one before. */
static void batches_follow_each_other_ahead(void **state) {
    enum { BATCHES = 4, EACH = 2 * PART };
    struct fixture *fixture = fixture_of(state);
    struct command commands[BATCHES * EACH];
    struct two two;
    skip_on_mariadb();
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    fill_posts(commands, COUNT_OF(commands), ann, chat);
    for (size_t i = 2 * EACH; i < COUNT_OF(commands); i += EACH)
        commands[i].bytes = LIMIT_BATCH_BYTES;
    begin_two(&two, fixture, commands, COUNT_OF(commands), EACH, SQLITE_OK);
    for (size_t i = 1; i < BATCHES; i++) {
        wait_ahead(&two, i * EACH);
        let_one_go();
    }
    end_two(&two, (BATCHES - 1) * EACH);
    check_answers(fixture, commands, COUNT_OF(commands));
    check_chat(fixture, ann, chat, COUNT_OF(commands));
    check_log(fixture, chat);
    release_all(commands, COUNT_OF(commands));
}

/* The moment at which a message was decided is the one that it has, for those who heard of it and for those who read it. */
static void time_that_passes_meanwhile_changes_no_message(void **state) {
    struct fixture *fixture = fixture_of(state);
    struct command commands[POSTS + 1];
    struct two two;
    static const int64_t steps_ms[] = { SECOND_MS, -HOUR_MS, 2 * HOUR_MS };
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    for (size_t i = 0; i < COUNT_OF(steps_ms); i++) {
        fill_posts(commands, PART + 2 * PART + 1, ann, chat);
        commands[3 * PART].in.message_post.reply_to = i ? 1 : 0;
        begin_two(&two, fixture, commands, 3 * PART + 1, 1, SQLITE_OK);
        wait_ahead(&two, i ? 2 * PART : 3 * PART);
        pass_ms(steps_ms[i]);
        end_two(&two, i ? 2 * PART : 3 * PART);
        assert_int_equal(commands[3 * PART].refusal.err, i ? ERR_BAD_FIELD : OK);
        check_answers(fixture, commands, 3 * PART);
        release_all(commands, 3 * PART + 1);
    }
    check_chat(fixture, ann, chat, 9 * PART + 1);
}

static void what_the_batch_before_changed_holds(void **state) {
    struct fixture *fixture = fixture_of(state);
    struct command commands[5 + 4 * PART];
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob"), cid = make_user(fixture, "cid");
    uint64_t quiet = make_group(fixture, ann, &bob, 1), slow = make_group(fixture, ann, &bob, 1), open = make_group(fixture, ann, NULL, 0);
    post_ok(fixture, bob, quiet, "m");
    post_ok(fixture, bob, slow, "m");
    commands[0] = (struct command){ .type = COMMAND_CHAT_UPDATE,
                                    .actor_id = ann,
                                    .in.chat_update = { .chat_id = quiet, .title = "quiet", .set_permissions = MEMBERS_POST } };
    commands[1] =
        (struct command){ .type = COMMAND_CHAT_UPDATE,
                          .actor_id = ann,
                          .in.chat_update = { .chat_id = slow, .description = "slow", .set_slow_mode = true, .slow_mode_ms = HOUR_MS } };
    commands[2] = post_of(bob, slow, "the last for an hour");
    commands[3] = (struct command){ .type = COMMAND_MEMBER_PUT, .actor_id = ann, .in.member_put = { open, cid, ROLE_MEMBER } };
    commands[4] = post_of(ann, quiet, "m");
    fill_posts(commands + 5, PART, bob, quiet);
    fill_posts(commands + 5 + PART, PART, bob, slow);
    fill_posts(commands + 5 + 2 * PART, PART, cid, open);
    fill_posts(commands + 5 + 3 * PART, PART, ann, slow);
    run_two(fixture, commands, COUNT_OF(commands), 5, 4 * PART);
    all_end_with(commands, 5, OK);
    all_end_with(commands + 5, PART, ERR_FORBIDDEN);
    all_end_with(commands + 5 + PART, PART, ERR_SLOW_MODE);
    check_answers(fixture, commands + 5 + 2 * PART, 2 * PART);
    check_chat(fixture, ann, quiet, 2);
    check_chat(fixture, ann, slow, 2 + PART);
    check_chat(fixture, cid, open, PART);
    post_ok(fixture, ann, quiet, "m");
    struct chat_of_member seen;
    assert_int_equal(find_chat(fixture, ann, quiet, &seen), OK);
    assert_string_equal(seen.chat.title, "quiet");
    assert_int_equal(find_chat(fixture, ann, slow, &seen), OK);
    assert_string_equal(seen.chat.description, "slow");
    release_all(commands, COUNT_OF(commands));
}

/* What is not there any more is looked for in the database, in its turn; what was decided before that stays so. */
static void what_the_batch_before_took_away_is_gone(void **state) {
    struct fixture *fixture = fixture_of(state);
    struct command commands[2 + 4 * PART];
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob");
    for (int removes_member = 0; removes_member < 2; removes_member++) {
        uint64_t gone = make_group(fixture, ann, &bob, 1), kept = make_group(fixture, ann, &bob, 1);
        post_ok(fixture, bob, gone, "m");
        post_ok(fixture, bob, kept, "m");
        if (removes_member)
            commands[0] = (struct command){ .type = COMMAND_MEMBER_REMOVE, .actor_id = ann, .in.member_remove = { gone, bob } };
        else
            commands[0] = (struct command){ .type = COMMAND_CHAT_DELETE, .actor_id = ann, .in.chat_delete = { gone } };
        commands[1] = post_of(ann, kept, "m");
        fill_posts(commands + 2, PART, bob, kept);
        fill_posts(commands + 2 + PART, 2 * PART, bob, gone);
        fill_posts(commands + 2 + 3 * PART, PART, bob, kept);
        run_two(fixture, commands, COUNT_OF(commands), 2, PART);
        all_end_with(commands, 2, OK);
        all_end_with(commands + 2 + PART, 2 * PART, ERR_NOT_FOUND);
        check_answers(fixture, commands + 2, PART);
        check_answers(fixture, commands + 2 + 3 * PART, PART);
        check_chat(fixture, ann, kept, 2 + 2 * PART);
        check_log(fixture, kept);
        check_log(fixture, gone);
        release_all(commands, COUNT_OF(commands));
    }
}

static void a_block_of_the_batch_before_hides(void **state) {
    struct fixture *fixture = fixture_of(state);
    struct command commands[2 + 2 * PART];
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob");
    struct command direct = { .type = COMMAND_CHAT_CREATE,
                              .actor_id = ann,
                              .in.chat_create = { .type = CHAT_DIRECT, .member_ids = &bob, .member_count = 1 } };
    assert_int_equal(store_run(fixture->store, &direct), OK);
    uint64_t chat = direct.out.id;
    command_release(&direct);
    post_ok(fixture, bob, chat, "seen");
    commands[0] = (struct command){ .type = COMMAND_BLOCK_PUT, .actor_id = ann, .in.block_put = { bob } };
    commands[1] = post_of(ann, chat, "m");
    fill_posts(commands + 2, 2 * PART, bob, chat);
    run_two(fixture, commands, COUNT_OF(commands), 2, 2 * PART);
    all_end_with(commands, COUNT_OF(commands), OK);
    check_answers(fixture, commands + 2, 2 * PART);
    check_chat(fixture, bob, chat, 2 + 2 * PART);
    for (size_t i = 2; i < COUNT_OF(commands); i++) {
        struct message message;
        assert_int_equal(find_message(fixture, ann, chat, commands[i].out.id, &message), OK);
        assert_true(message.hidden);
        assert_int_equal(commands[i].out.frame->hidden_from, ann);
    }
    struct chat_of_member seen;
    assert_int_equal(find_chat(fixture, ann, chat, &seen), OK);
    assert_int_equal(seen.read_seq, 2 + 2 * PART);
    release_all(commands, COUNT_OF(commands));
}

/* ---- Keys ---------------------------------------------------------------------------------------------------------------------------- */

/* On both sides of the border, and all of them among the recent ones; the first batch makes a run of those before it. */
static void a_key_means_one_message_on_both_sides(void **state) {
    struct fixture *fixture = fixture_of(state);
    struct command commands[2 + 4 * PART], old;
    size_t posted = 0;
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    for (uint64_t key_run = 2; key_run <= 100; key_run += 98) {
        fixture->store->keys.run_size = key_run;
        for (uint64_t key = 1; key <= 3; key++) {
            old = post_with_key(ann, chat, key_run * 100 + key);
            assert_int_equal(store_run(fixture->store, &old), OK);
            command_release(&old);
        }
        uint64_t head = store_head(fixture->store), old_id = head;
        commands[0] = post_with_key(ann, chat, key_run * 100 + 10);
        commands[1] = post_with_key(ann, chat, key_run * 100 + 10);
        for (size_t i = 0; i < PART; i++) /* new ones, and one of them twice */
            commands[2 + i] = post_with_key(ann, chat, key_run * 100 + 20 + (i < PART - 1 ? i : 0));
        for (size_t i = 0; i < 3 * PART; i++) {
            commands[2 + PART + i] = post_with_key(ann, chat, key_run * 100 + (i % 4 == 0 ? 10 : i % 4 == 1 ? 20 : i % 4 == 2 ? 3 : 30));
            if (i >= 2 * PART)
                commands[2 + PART + i].idempotency.request[0] = 8;
        }
        run_two(fixture, commands, COUNT_OF(commands), 2, PART);
        assert_int_equal(commands[1].out.id, commands[0].out.id);
        assert_true(commands[1].out.existed);
        assert_int_equal(commands[1 + PART].out.id, commands[2].out.id);
        uint64_t expected[4] = { commands[0].out.id, commands[2].out.id, old_id, commands[2 + PART + 3].out.id };
        for (size_t i = 0; i < 2 * PART; i++) {
            check_answer(fixture, &commands[2 + PART + i]);
            assert_int_equal(commands[2 + PART + i].out.id, expected[i % 4]);
            assert_int_equal(commands[2 + PART + i].out.existed, i != 3);
        }
        all_end_with(commands + 2 + 3 * PART, PART, ERR_IDEMPOTENCY_MISMATCH);
        assert_int_equal(log_position(store_head(fixture->store)), log_position(head) + 1 + (PART - 1) + 1);
        posted += 3 + 1 + (PART - 1) + 1;
        check_chat(fixture, ann, chat, posted);
        release_all(commands, COUNT_OF(commands));
    }
    check_log(fixture, chat);
}

/* ---- Failures ------------------------------------------------------------------------------------------------------------------------ */

static void a_commit_that_fails_takes_nothing_along(void **state) {
    struct fixture *fixture = fixture_of(state);
    struct command commands[3 + POSTS];
    struct two two;
    skip_on_mariadb();
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob"), chat = make_group(fixture, ann, &bob, 1);
    post_ok(fixture, bob, chat, "before");
    fill_posts(commands, COUNT_OF(commands), bob, chat);
    commands[0] = post_with_key(ann, chat, 5);
    commands[1] = (struct command){ .type = COMMAND_CHAT_UPDATE,
                                    .actor_id = ann,
                                    .in.chat_update = { .chat_id = chat, .title = "never", .set_permissions = MEMBERS_POST } };
    commands[3] = post_of(ann, chat, "m"); /* after it bob may not post: as long as it counts */
    begin_two(&two, fixture, commands, COUNT_OF(commands), 3, SQLITE_IOERR_FSYNC);
    wait_ahead(&two, POSTS);
    end_two(&two, POSTS);
    all_end_with(commands, 3, ERR_DATABASE_UNAVAILABLE);
    check_answers(fixture, commands + 3, POSTS);
    check_chat(fixture, ann, chat, 1 + POSTS);
    check_log(fixture, chat);
    assert_true(store_healthy(fixture->store));
    release_all(commands, COUNT_OF(commands));
    struct command again = post_with_key(ann, chat, 5);
    assert_int_equal(store_run(fixture->store, &again), OK);
    assert_false(again.out.existed);
    command_release(&again);
    struct chat_of_member seen;
    assert_int_equal(find_chat(fixture, ann, chat, &seen), OK);
    assert_string_equal(seen.chat.title, "group");
}

/* One of the second batch breaks a constraint: each of it is run alone, those that were decided ahead, too. */
static void one_that_breaks_a_constraint_is_refused_alone(void **state) {
    static const uint8_t token[1][SHA256_SIZE] = { { 210, 1 } };
    struct fixture *fixture = fixture_of(state);
    struct command commands[1 + POSTS + 3];
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    fill_posts(commands, COUNT_OF(commands), ann, chat);
    for (size_t i = 0; i < 2; i++)
        commands[1 + POSTS + i] = (struct command){
            .type = COMMAND_USER_CREATE,
            .in.user_create = { .username = i ? "cid" : "bob", .display_name = "x", .device_name = "x", .tokens = token, .token_count = 1 },
        };
    run_two(fixture, commands, COUNT_OF(commands), 1, POSTS);
    check_answers(fixture, commands, 1 + POSTS);
    assert_int_equal(commands[1 + POSTS].refusal.err, OK);
    assert_int_equal(commands[1 + POSTS + 1].refusal.err, ERR_CONFLICT);
    check_answer(fixture, &commands[1 + POSTS + 2]);
    check_chat(fixture, ann, chat, 1 + POSTS + 1);
    check_log(fixture, chat);
    release_all(commands, COUNT_OF(commands));
}

/* ---- Where others write, too --------------------------------------------------------------------------------------------------------- */

static struct fixture *on_mariadb(void **state) {
    skip_without_mariadb();
    return fixture_of(state);
}

/* Another node posts, and takes a member away, before the second batch's turn. */
static void what_another_wrote_comes_between(void **state) {
    struct fixture *fixture = on_mariadb(state);
    struct fixture other;
    struct command commands[1 + POSTS], between;
    struct two two;
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob"), chat = make_group(fixture, ann, &bob, 1);
    other_open(&other, fixture, fixture->url);
    post_ok(fixture, bob, chat, "m");
    fill_posts(commands, COUNT_OF(commands), ann, chat);
    for (size_t i = 2; i < COUNT_OF(commands); i += 2)
        commands[i].actor_id = bob;
    commands[3] = post_with_key(ann, chat, 9);
    begin_two(&two, fixture, commands, COUNT_OF(commands), 1, SQLITE_OK);
    wait_ahead(&two, POSTS);
    between = post_with_key(ann, chat, 9);
    assert_int_equal(store_run(other.store, &between), OK);
    assert_int_equal(remove_member(&other, ann, chat, bob), OK);
    end_two(&two, POSTS);
    for (size_t i = 1; i < COUNT_OF(commands); i++)
        assert_int_equal(commands[i].refusal.err, i % 2 ? OK : ERR_NOT_FOUND);
    assert_true(commands[3].out.existed && commands[3].out.id == between.out.id);
    check_chat(fixture, ann, chat, 1 + 1 + POSTS / 2);
    check_log(fixture, chat);
    command_release(&between);
    release_all(commands, COUNT_OF(commands));
    fixture_close(&other);
}

/* The answer to the commit gets lost: it was kept, and what was decided ahead goes on from it; or it was not, and is run again before. */
static void a_commit_that_got_lost_is_settled_first(void **state) {
    struct fixture *fixture = on_mariadb(state);
    struct command commands[2 + POSTS];
    struct two two;
    uint64_t ann = make_user(fixture, "ann"), chat = make_group(fixture, ann, NULL, 0);
    for (int early = 0; early < 2; early++) {
        fill_posts(commands, COUNT_OF(commands), ann, chat);
        (early ? commit_cutter_arm_early : commit_cutter_arm)(cutter);
        begin_two(&two, fixture, commands, COUNT_OF(commands), 2, SQLITE_OK);
        wait_ahead(&two, POSTS);
        end_two(&two, POSTS);
        check_answers(fixture, commands, COUNT_OF(commands));
        for (size_t i = 1; i < COUNT_OF(commands); i++)
            assert_int_equal(log_position(commands[i].out.id), log_position(commands[0].out.id) + i);
        assert_true(store_healthy(fixture->store));
        check_chat(fixture, ann, chat, (size_t)(early + 1) * COUNT_OF(commands));
        check_log(fixture, chat);
        release_all(commands, COUNT_OF(commands));
    }
}

/* ---- With others --------------------------------------------------------------------------------------------------------------------- */

/* The batch has more than what was decided ahead: these commands find what they look for all the same. */
static void others_of_the_batch_are_decided_in_its_turn(void **state) {
    struct fixture *fixture = fixture_of(state);
    struct command commands[1 + 2 * PART + 6];
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob"), cid = make_user(fixture, "cid");
    uint64_t dan = make_user(fixture, "dan"), chat = make_group(fixture, ann, (uint64_t[]){ bob, cid, dan }, 3);
    uint64_t old = post_ok(fixture, bob, chat, "old");
    struct mention mention = { dan, 0, 1 };
    fixture_reopen(fixture);
    post_ok(fixture, ann, chat, "only ann is remembered");
    struct command *others = commands + 1 + 2 * PART;
    fill_posts(commands, COUNT_OF(commands), ann, chat);
    others[0].in.message_post.reply_to = old;
    others[1].in.message_post.mentions = &mention;
    others[1].in.message_post.mention_count = 1;
    others[2] = post_of(bob, chat, "who was not remembered");
    others[3] = (struct command){ .type = COMMAND_MEMBER_PUT, .actor_id = ann, .in.member_put = { chat, cid, ROLE_ADMIN } };
    others[4] = (struct command){ .type = COMMAND_MESSAGE_EDIT, .actor_id = bob, .in.message_edit = { chat, old, "new", 3 } };
    others[5] = post_of(cid, chat, "as an admin");
    run_two(fixture, commands, COUNT_OF(commands), 1, 2 * PART);
    all_end_with(commands, COUNT_OF(commands), OK);
    check_answers(fixture, commands, 1 + 2 * PART + 3);
    check_answer(fixture, &others[5]);
    check_chat(fixture, ann, chat, 2 + 1 + 2 * PART + 4);
    check_log(fixture, chat);
    struct chat_of_member seen;
    assert_int_equal(find_chat(fixture, cid, chat, &seen), OK);
    assert_int_equal(seen.role, ROLE_ADMIN);
    assert_int_equal(find_chat(fixture, dan, chat, &seen), OK);
    assert_true(seen.mentioned);
    release_all(commands, COUNT_OF(commands));
}

static void a_stop_finishes_what_was_taken_ahead(void **state) {
    struct fixture *fixture = fixture_of(state);
    struct command commands[1 + POSTS + 1];
    struct two two;
    uint64_t ann = make_user(fixture, "ann"), bob = make_user(fixture, "bob"), chat = make_group(fixture, ann, NULL, 0);
    fill_posts(commands, COUNT_OF(commands), ann, chat);
    commands[1 + POSTS] = (struct command){ .type = COMMAND_MEMBER_PUT, .actor_id = ann, .in.member_put = { chat, bob, ROLE_MEMBER } };
    begin_two(&two, fixture, commands, COUNT_OF(commands), 1, SQLITE_OK);
    wait_ahead(&two, POSTS);
    pthread_mutex_lock(&fixture->store->mutex);
    fixture->store->stopping = true;
    pthread_mutex_unlock(&fixture->store->mutex);
    let_go();
    store_stop(fixture->store);
    assert_int_equal(two.volley.done, COUNT_OF(commands));
    end_two(&two, POSTS);
    all_end_with(commands, COUNT_OF(commands), OK);
    fixture_reopen(fixture);
    check_answers(fixture, commands, 1 + POSTS);
    struct chat_of_member seen;
    assert_int_equal(find_chat(fixture, bob, chat, &seen), OK);
    check_chat(fixture, ann, chat, 1 + POSTS);
    check_log(fixture, chat);
    release_all(commands, COUNT_OF(commands));
}

#define IN_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, cut_tear_down)

int main(void) {
    alarm(300);
    static const struct CMUnitTest tests[] = {
        IN_FIXTURE(posts_go_on_from_the_batch_before),
        IN_FIXTURE(batches_follow_each_other_ahead),
        IN_FIXTURE(time_that_passes_meanwhile_changes_no_message),
        IN_FIXTURE(what_the_batch_before_changed_holds),
        IN_FIXTURE(what_the_batch_before_took_away_is_gone),
        IN_FIXTURE(a_block_of_the_batch_before_hides),
        IN_FIXTURE(a_key_means_one_message_on_both_sides),
        IN_FIXTURE(a_commit_that_fails_takes_nothing_along),
        IN_FIXTURE(one_that_breaks_a_constraint_is_refused_alone),
        IN_FIXTURE(what_another_wrote_comes_between),
        IN_FIXTURE(a_commit_that_got_lost_is_settled_first),
        IN_FIXTURE(others_of_the_batch_are_decided_in_its_turn),
        IN_FIXTURE(a_stop_finishes_what_was_taken_ahead),
    };
    return cmocka_run_group_tests(tests, register_storage, NULL);
}
