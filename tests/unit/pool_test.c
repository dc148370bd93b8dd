#include "core/pool.h"
#include "tests/unit/unit.h"

struct element {
    uint64_t value;
    uint32_t number;
};

static void elements_are_zeroed_and_keep_their_numbers(void **state) {
    (void)state;
    struct pool pool;
    static struct element *elements[3000];
    pool_init(&pool, sizeof(struct element));
    for (uint32_t i = 0; i < COUNT_OF(elements); i++) {
        elements[i] = pool_take(&pool);
        assert_non_null(elements[i]);
        assert_int_equal(elements[i]->value, 0);
        *elements[i] = (struct element){ i, pool_number(&pool, elements[i]) };
        assert_int_equal(elements[i]->number, i + 1);
    }
    for (uint32_t i = 0; i < COUNT_OF(elements); i++) {
        assert_int_equal(elements[i]->value, i);
        assert_ptr_equal(pool_at(&pool, elements[i]->number), elements[i]);
    }
    pool_release(&pool);
}

static void what_is_given_back_is_taken_first(void **state) {
    (void)state;
    struct pool pool;
    pool_init(&pool, sizeof(struct element));
    struct element *first = pool_take(&pool), *second = pool_take(&pool);
    first->value = second->value = 9;
    pool_give_back(&pool, first);
    pool_give_back(&pool, second);
    assert_ptr_equal(pool_take(&pool), second);
    assert_ptr_equal(pool_take(&pool), first);
    assert_int_equal(first->value + second->value, 0);
    assert_int_equal(pool_number(&pool, pool_take(&pool)), 3);
    assert_int_equal(pool_number(&pool, &pool), 0);
    pool_release(&pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_are_zeroed_and_keep_their_numbers),
        cmocka_unit_test(what_is_given_back_is_taken_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
