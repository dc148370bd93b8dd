#include "core/arena.h"
#include "tests/unit/unit.h"

#include <stdalign.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

static void memory_is_zeroed_aligned_and_apart(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT(1024 * 1024);
    uint8_t *previous = NULL;
    for (size_t size = 0; size < 300; size++) {
        uint8_t *memory = arena_alloc(&arena, size);
        assert_non_null(memory);
        assert_int_equal((uintptr_t)memory % alignof(max_align_t), 0);
        assert_ptr_not_equal(memory, previous);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(memory[i], 0);
        memset(memory, 0xff, size);
        previous = memory;
    }
    arena_release(&arena);
}

static void the_cap_is_the_end(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena, 4096);
    assert_non_null(arena_alloc(&arena, 4080));
    assert_null(arena_alloc(&arena, 17));
    assert_non_null(arena_alloc(&arena, 16));
    assert_null(arena_alloc(&arena, 1));
    assert_null(arena_alloc(&arena, 0));
    assert_int_equal(arena.used, 4096);
    arena_release(&arena);

    assert_int_equal(arena.used, 0);
    assert_non_null(arena_alloc(&arena, 4096));
    arena_release(&arena);
}

static void a_reset_keeps_a_small_block(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT(64 * 1024);
    arena_reset(&arena);
    char *first = arena_alloc(&arena, 100);
    memset(first, 'x', 100);
    assert_non_null(arena_alloc(&arena, 30000));
    arena_reset(&arena);
    assert_int_equal(arena.used, 0);
    char *again = arena_alloc(&arena, 100);
    assert_ptr_equal(again, first);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(again[i], 0);
    arena_release(&arena);

    assert_non_null(arena_alloc(&arena, 60000));
    arena_reset(&arena);
    assert_null(arena.blocks);
    assert_non_null(arena_alloc(&arena, 60000));
    arena_release(&arena);
}

static void absurd_sizes_are_refused(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT(SIZE_MAX);
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX - 8));
    assert_null(arena_alloc(&arena, SIZE_MAX - 16));
    assert_null(ARENA_ARRAY(&arena, int64_t, SIZE_MAX / 4));
    assert_null(arena_copy(&arena, "", SIZE_MAX));
    assert_int_equal(arena.used, 0);
    arena_release(&arena);
}

static void large_allocations_get_their_block(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT(64 * 1024 * 1024);
    char *large = arena_alloc(&arena, 10 * 1024 * 1024);
    assert_non_null(large);
    large[10 * 1024 * 1024 - 1] = 'x';
    char *small = arena_alloc(&arena, 10);
    assert_non_null(small);
    assert_int_equal(large[10 * 1024 * 1024 - 1], 'x');
    arena_release(&arena);
}

static void copies_end_with_a_nul(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT(4096);
    assert_memory_equal(arena_copy(&arena, "a\0b", 3), "a\0b", 4);
    assert_string_equal(arena_copy(&arena, NULL, 0), "");
    assert_string_equal(arena_string(&arena, "text"), "text");
    arena_release(&arena);
}

static void arrays_and_structs_are_typed(void **state) {
    (void)state;
    struct arena arena = ARENA_INIT(4096);
    int64_t *numbers = ARENA_ARRAY(&arena, int64_t, 10);
    struct arena *one = ARENA_NEW(&arena, struct arena);
    assert_int_equal(numbers[9], 0);
    assert_null(one->blocks);
    arena_release(&arena);
}

static void what_was_not_asked_for_is_poisoned(void **state) {
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    struct arena arena = ARENA_INIT(4096);
    char *memory = arena_alloc(&arena, 13);
    assert_false(__asan_address_is_poisoned(memory + 12));
    assert_true(__asan_address_is_poisoned(memory + 13));
    arena_release(&arena);
    assert_true(__asan_address_is_poisoned(memory));
#else
    skip();
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_aligned_and_apart), cmocka_unit_test(the_cap_is_the_end),
        cmocka_unit_test(a_reset_keeps_a_small_block),        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(large_allocations_get_their_block),  cmocka_unit_test(copies_end_with_a_nul),
        cmocka_unit_test(arrays_and_structs_are_typed),       cmocka_unit_test(what_was_not_asked_for_is_poisoned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
