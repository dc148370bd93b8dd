#include "core/random.h"
#include "tests/unit/unit.h"

#include <pthread.h>

#define DRAWS 20000

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void assert_all_different(uint64_t *numbers, size_t count) {
    qsort(numbers, count, sizeof(*numbers), compare);
    for (size_t i = 1; i < count; i++)
        assert_true(numbers[i] != numbers[i - 1]);
}

static void numbers_do_not_repeat(void **state) {
    (void)state;
    static uint64_t numbers[DRAWS];
    for (size_t i = 0; i < DRAWS; i++)
        numbers[i] = random_u64();
    assert_all_different(numbers, DRAWS);
}

static void *draw(void *numbers) {
    for (size_t i = 0; i < DRAWS; i++)
        ((uint64_t *)numbers)[i] = random_u64();
    return NULL;
}

static void threads_do_not_share_numbers(void **state) {
    (void)state;
    static uint64_t numbers[4 * DRAWS];
    pthread_t threads[4];
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, draw, numbers + i * DRAWS), 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    assert_all_different(numbers, COUNT_OF(numbers));
}

/* Each bit of each byte is seen set and clear, whatever the size: nothing is left unfilled. */
static void every_size_is_filled(void **state) {
    (void)state;
    for (size_t size = 0; size < 1100; size += 1 + size / 16) {
        uint8_t ones[1100] = { 0 }, zeros[1100] = { 0 }, bytes[1100];
        for (int round = 0; round < 64; round++) {
            random_bytes(bytes, size);
            for (size_t i = 0; i < size; i++) {
                ones[i] |= bytes[i];
                zeros[i] |= (uint8_t)~bytes[i];
            }
        }
        for (size_t i = 0; i < size; i++)
            assert_true(ones[i] == 0xff && zeros[i] == 0xff);
    }
}

static void below_stays_below_and_reaches_all(void **state) {
    (void)state;
    unsigned seen[7] = { 0 };
    for (int i = 0; i < 7000; i++) {
        uint64_t number = random_below(7);
        assert_true(number < 7);
        seen[number]++;
    }
    for (size_t i = 0; i < 7; i++)
        assert_in_range(seen[i], 700, 1300);
    assert_int_equal(random_below(1), 0);
    assert_true(random_below(UINT64_MAX) < UINT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_do_not_repeat),
        cmocka_unit_test(threads_do_not_share_numbers),
        cmocka_unit_test(every_size_is_filled),
        cmocka_unit_test(below_stays_below_and_reaches_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
