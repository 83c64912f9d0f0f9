/* tests of base/memory.h and base/arena.h */
#include "support.h"

#include "base/arena.h"
#include "base/memory.h"

static void sizes_that_overflow_are_refused(void **state)
{
    (void)state;
    size_t out = 1;
    assert_false(mg_size_mul(SIZE_MAX, 2, &out));
    assert_false(mg_size_add(SIZE_MAX, 1, &out));
    assert_int_equal(out, 1);
    assert_true(mg_size_mul(6, 7, &out) && out == 42);
}

static void large_blocks_fail_with_their_name(void **state)
{
    (void)state;
    mg_error err;
    void *block;
    assert_status(mg_memory_try(SIZE_MAX - 10, "the moon", &block, &err), MG_ERR_MEMORY);
    assert_null(block);
    assert_non_null(strstr(err.message, "the moon"));
    mg_memory_fail_at(2);
    assert_ok(mg_memory_try(10, "one", &block, &err), &err);
    assert_int_equal((uintptr_t)block % 64, 0);
    mg_free_aligned(block);
    assert_status(mg_memory_try(10, "two", &block, &err), MG_ERR_MEMORY);
    assert_ok(mg_memory_try(10, "three", &block, &err), &err);
    mg_free_aligned(block);
}

static void arena_memory_is_zeroed_aligned_and_stays(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    char *first = mg_arena_array(&arena, char, 3);
    first[2] = 'x';
    for (int i = 0; i < 2000; i++) {
        unsigned char *block = mg_arena_array(&arena, unsigned char, i);
        assert_int_equal((uintptr_t)block % 16, 0);
        for (int j = 0; j < i; j++) {
            assert_int_equal(block[j], 0);
            block[j] = 0xFF;
        }
    }
    assert_int_equal(first[2], 'x');
    mg_str text = mg_arena_printf(&arena, "%d-%s", 7, "seven");
    assert_string_equal(text.data, "7-seven");
    assert_int_equal(text.size, 7);
    mg_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(large_blocks_fail_with_their_name),
        cmocka_unit_test(arena_memory_is_zeroed_aligned_and_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
