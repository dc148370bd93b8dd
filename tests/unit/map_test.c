#include "core/map.h"
#include "tests/unit/unit.h"

static void *value_of(uint64_t number) { return (void *)(uintptr_t)number; }

static void an_empty_map_has_nothing(void **state) {
    (void)state;
    struct map map = MAP_INIT;
    size_t cursor = 0;
    assert_null(map_get(&map, 1));
    assert_null(map_get(&map, 0));
    assert_null(map_remove(&map, 1));
    assert_null(map_next(&map, &cursor));
    map_release(&map);
}

static void what_was_put_is_found_and_replaced(void **state) {
    (void)state;
    struct map map = MAP_INIT;
    assert_int_equal(map_put(&map, 7, value_of(1)), OK);
    assert_int_equal(map_put(&map, 7, value_of(2)), OK);
    assert_int_equal(map.count, 1);
    assert_ptr_equal(map_get(&map, 7), value_of(2));
    assert_ptr_equal(map_remove(&map, 7), value_of(2));
    assert_null(map_get(&map, 7));
    assert_int_equal(map.count, 0);
    map_release(&map);
}

static void zero_and_null_are_refused(void **state) {
    (void)state;
    struct map map = MAP_INIT;
    assert_int_equal(map_put(&map, 0, value_of(1)), ERR_INTERNAL);
    assert_int_equal(map_put(&map, 1, NULL), ERR_INTERNAL);
    assert_int_equal(map.count, 0);
    map_release(&map);
}

static void many_keys_of_each_pattern(void **state) {
    (void)state;
    for (unsigned shift = 0; shift < 48; shift += 8) {
        struct map map = MAP_INIT;
        for (uint64_t i = 1; i <= 5000; i++)
            assert_int_equal(map_put(&map, i << shift, value_of(i)), OK);
        assert_int_equal(map.count, 5000);
        for (uint64_t i = 1; i <= 5000; i++)
            assert_ptr_equal(map_get(&map, i << shift), value_of(i));
        assert_null(map_get(&map, UINT64_C(5001) << shift));
        map_release(&map);
    }
}

/* Few keys in a small table collide and wrap all the time. The model is an array indexed by key. */
static void agrees_with_a_model(void **state) {
    (void)state;
    struct map map = MAP_INIT;
    uint64_t model[64] = { 0 }, random = 88172645463325252u;
    size_t count = 0;

    for (uint64_t step = 1; step <= 300000; step++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        uint64_t key = 1 + random % (COUNT_OF(model) - 1);
        /* Phases of growing and of emptying. */
        bool is_put = random >> 32 & 3 ? step / 1000 % 2 == 0 : step / 1000 % 2 == 1;
        if (is_put) {
            count += model[key] == 0;
            model[key] = step;
            assert_int_equal(map_put(&map, key, value_of(step)), OK);
        } else {
            count -= model[key] != 0;
            assert_ptr_equal(map_remove(&map, key), value_of(model[key]));
            model[key] = 0;
        }
        assert_int_equal(map.count, count);
        for (uint64_t i = 1; i < COUNT_OF(model) && step % 64 == 0; i++)
            assert_ptr_equal(map_get(&map, i), value_of(model[i]));
    }
    map_release(&map);
}

static void walking_meets_each_value_once(void **state) {
    (void)state;
    struct map map = MAP_INIT;
    bool seen[1001] = { false };
    size_t cursor = 0, count = 0;
    for (uint64_t i = 1; i <= 1000; i++)
        assert_int_equal(map_put(&map, i * 977, value_of(i)), OK);
    for (void *value = map_next(&map, &cursor); value != NULL; value = map_next(&map, &cursor)) {
        assert_false(seen[(uintptr_t)value]);
        seen[(uintptr_t)value] = true;
        count++;
    }
    assert_int_equal(count, 1000);
    map_release(&map);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_has_nothing),  cmocka_unit_test(what_was_put_is_found_and_replaced),
        cmocka_unit_test(zero_and_null_are_refused), cmocka_unit_test(many_keys_of_each_pattern),
        cmocka_unit_test(agrees_with_a_model),       cmocka_unit_test(walking_meets_each_value_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
