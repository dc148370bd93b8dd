/* The ring of the newest events: what it knows of an owner, in which order, and where its knowledge ends. */
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/random.h"
#include "db/recent.h"

#define CAPACITY 64
#define EVENTS 5000
#define OWNERS 101 /* more than buckets */
#define LOOKS 20

/* Ids are 10, 20, 30 …; every third is no message. */
static uint64_t id_of(size_t number) { return number * 10; }

static uint64_t owner_of(size_t number) { return 1 + number * number % OWNERS; }

static uint64_t event_of(size_t number) { return recent_pack(id_of(number), number % 3 != 0); }

static void add(struct recent *recent, size_t first, size_t count) {
    recent_lock(recent);
    for (size_t number = first; number < first + count; number++)
        recent_add(recent, owner_of(number), event_of(number));
    recent_unlock(recent, id_of(first + count - 1));
}

/* What is found must be what there is between the view's bounds, as far as the ring has come. */
static bool check(struct recent *recent, uint64_t owner_id, uint64_t after_id, uint64_t up_to_id) {
    struct recent_view view = { recent, after_id, up_to_id };
    uint64_t found[CAPACITY], known_id;
    size_t count, next = 0;
    if (!recent_find(&view, owner_id, found, CAPACITY, &count, &known_id))
        return false;
    assert_in_range(count, 0, CAPACITY);
    if (up_to_id > known_id)
        up_to_id = known_id;
    for (size_t number = up_to_id / 10; id_of(number) > after_id; number--) {
        if (owner_of(number) == owner_id)
            assert_true(next < count && found[next++] == event_of(number));
    }
    assert_int_equal(next, count);
    return true;
}

static void nothing_is_known_before_it_begins(void **state) {
    struct recent recent;
    (void)state;
    recent_init(&recent, CAPACITY);
    assert_false(check(&recent, 1, 0, UINT64_MAX));
    add(&recent, 1, 3);
    assert_false(check(&recent, 1, 0, UINT64_MAX));
    recent_begin(&recent, id_of(3));
    add(&recent, 4, 3);
    assert_false(check(&recent, owner_of(4), id_of(3) - 1, UINT64_MAX));
    for (uint64_t owner_id = 1; owner_id <= OWNERS; owner_id++)
        assert_true(check(&recent, owner_id, id_of(3), UINT64_MAX));
    recent_release(&recent);
}

static void what_is_overwritten_is_not_known(void **state) {
    struct recent recent;
    (void)state;
    recent_init(&recent, CAPACITY);
    recent_begin(&recent, 0);
    for (size_t number = 1; number <= EVENTS; number++) {
        size_t lost = number > CAPACITY ? number - CAPACITY : 0;
        add(&recent, number, 1);
        assert_true(check(&recent, owner_of(number), id_of(lost), UINT64_MAX));
        if (lost)
            assert_false(check(&recent, owner_of(number), id_of(lost) - 1, UINT64_MAX));
        for (int look = 0; look < LOOKS; look++) {
            size_t from = lost + random_u64() % (number - lost + 1), to = random_u64() % (number + 2);
            assert_true(check(&recent, 1 + random_u64() % (OWNERS + 1), id_of(from), id_of(to) + random_u64() % 10));
        }
    }
    recent_release(&recent);
}

static void more_than_there_is_room_for_is_said(void **state) {
    struct recent recent;
    uint64_t found[2] = { 0 }, known_id;
    size_t count;
    (void)state;
    recent_init(&recent, CAPACITY);
    recent_begin(&recent, 0);
    recent_lock(&recent);
    for (size_t number = 1; number <= 5; number++)
        recent_add(&recent, 1, event_of(number));
    recent_unlock(&recent, id_of(7));
    assert_true(recent_find(&(struct recent_view){ &recent, 0, UINT64_MAX }, 1, found, 1, &count, &known_id));
    assert_int_equal(count, 2);
    assert_int_equal(known_id, id_of(7));
    assert_int_equal(found[0], event_of(5));
    assert_int_equal(found[1], 0);
    recent_release(&recent);
}

struct writer {
    struct recent recent;
    atomic_bool done;
};

static void *write_all(void *context) {
    struct writer *writer = context;
    for (size_t number = 1; number <= EVENTS * LOOKS; number += 5)
        add(&writer->recent, number, 5);
    writer->done = true;
    return NULL;
}

static void readers_see_whole_batches(void **state) {
    static struct writer writer;
    pthread_t thread;
    size_t known = 0;
    (void)state;
    recent_init(&writer.recent, CAPACITY);
    recent_begin(&writer.recent, 0);
    assert_int_equal(pthread_create(&thread, NULL, write_all, &writer), 0);
    while (!writer.done || known == 0) {
        struct recent_view all = { &writer.recent, UINT64_MAX, UINT64_MAX };
        uint64_t known_id;
        size_t count;
        assert_true(recent_find(&all, 1, NULL, 0, &count, &known_id));
        assert_int_equal(known_id / 10 % 5, 0);
        if (known_id > id_of(CAPACITY / 2))
            known += check(&writer.recent, 1 + random_u64() % OWNERS, known_id - id_of(CAPACITY / 2), UINT64_MAX);
    }
    pthread_join(thread, NULL);
    recent_release(&writer.recent);
}

int main(void) {
    alarm(300);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_before_it_begins),
        cmocka_unit_test(what_is_overwritten_is_not_known),
        cmocka_unit_test(more_than_there_is_room_for_is_said),
        cmocka_unit_test(readers_see_whole_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
