/* tests/unit/model/test_kv_blocks.c - which blocks slots have, and have in common. */
#include "support.h"

#include "base/rng.h"
#include "model/kv_blocks_internal.h"

#define SLOTS 6
#define WIDTH 5
#define BLOCK 4

static void a_slot_grows_and_shrinks_in_blocks(void **state)
{
    (void)state;
    mg_kv_blocks b;
    mg_kv_blocks_init(&b, BLOCK, 2, WIDTH, 6);
    assert_true(mg_kv_blocks_grow(&b, 0, 1));
    assert_true(mg_kv_blocks_grow(&b, 0, 4));
    assert_int_equal(b.counts[0], 1);
    assert_true(mg_kv_blocks_grow(&b, 0, 5));
    assert_int_equal(b.counts[0], 2);
    assert_int_equal(b.spare_count, 4);
    assert_false(mg_kv_blocks_grow(&b, 1, 17)); /* 5 blocks: nothing changes */
    assert_int_equal(b.counts[1], 0);
    assert_int_equal(b.spare_count, 4);
    mg_kv_blocks_trim(&b, 0, 4);
    assert_int_equal(b.counts[0], 1);
    assert_true(mg_kv_blocks_grow(&b, 1, 17));
    mg_kv_blocks_trim(&b, 1, 0);
    assert_int_equal(b.spare_count, 5);
    mg_kv_blocks_release(&b);
}

static void what_texts_have_in_common_is_there_once(void **state)
{
    (void)state;
    mg_kv_blocks b;
    mg_kv_block_copy copy;
    mg_kv_blocks_init(&b, BLOCK, 3, WIDTH, 8);
    assert_true(mg_kv_blocks_grow(&b, 0, 11)); /* 3 blocks */
    assert_int_equal(mg_kv_blocks_share(&b, 0, 1, 10, &copy), 10);
    assert_int_equal(b.table[WIDTH], b.table[0]);
    assert_int_equal(b.table[WIDTH + 1], b.table[1]);
    assert_int_equal(copy.from, b.table[2]); /* two tokens of the third */
    assert_int_equal(copy.to, b.table[WIDTH + 2]);
    assert_int_not_equal(copy.from, copy.to);
    assert_int_equal(copy.position_count, 2);
    assert_int_equal(b.spare_count, 4);
    mg_kv_blocks_trim(&b, 0, 0); /* the first text ends: two of its blocks live on */
    assert_int_equal(b.spare_count, 5);
    assert_int_equal(mg_kv_blocks_share(&b, 1, 2, 8, &copy), 8);
    assert_int_equal(copy.from, -1);
    assert_int_equal(b.spare_count, 5);
    mg_kv_blocks_release(&b);
}

/* A text that goes on in the middle of a block that another has too must not write into it. */
static void a_block_in_common_is_copied_before_it_is_written(void **state)
{
    (void)state;
    mg_kv_blocks b;
    mg_kv_block_copy copy;
    mg_kv_blocks_init(&b, BLOCK, 2, WIDTH, 5);
    assert_true(mg_kv_blocks_grow(&b, 0, 8));
    assert_int_equal(mg_kv_blocks_share(&b, 0, 1, 8, &copy), 8);
    assert_int_equal(mg_kv_blocks_share(&b, 0, 0, 6, &copy), 6);
    assert_int_equal(copy.from, b.table[WIDTH + 1]);
    assert_int_equal(copy.to, b.table[1]);
    assert_int_equal(copy.position_count, 2);
    assert_int_equal(mg_kv_blocks_share(&b, 0, 0, 6, &copy), 6); /* its own by now */
    assert_int_equal(copy.from, -1);
    mg_kv_blocks_trim(&b, 0, 0);
    assert_int_equal(mg_kv_blocks_share(&b, 1, 0, 8, &copy), 8);
    assert_true(mg_kv_blocks_grow(&b, 0, 20)); /* the pool is empty now */
    assert_int_equal(b.spare_count, 0);
    assert_int_equal(mg_kv_blocks_share(&b, 1, 1, 6, &copy), 4); /* no block for the copy */
    assert_int_equal(copy.from, -1);
    mg_kv_blocks_release(&b);
}

static void no_block_is_lost_or_given_twice(void **state)
{
    (void)state;
    mg_kv_blocks b;
    mg_kv_block_copy copy;
    mg_rng rng = mg_rng_make(3, MG_STREAM_ITEMS);
    mg_kv_blocks_init(&b, BLOCK, SLOTS, WIDTH, 17);
    int64_t tokens[SLOTS] = { 0 };
    for (int64_t step = 0; step < 20000; step++) {
        int64_t slot = (int64_t)(mg_rng_word(&rng) % SLOTS);
        int64_t other = (int64_t)(mg_rng_word(&rng) % SLOTS);
        int64_t count = (int64_t)(mg_rng_word(&rng) % (WIDTH * BLOCK + 1));
        switch (mg_rng_word(&rng) % 3) {
        case 0:
            if (mg_kv_blocks_grow(&b, slot, count)) {
                tokens[slot] = MG_MAX(tokens[slot], count);
            }
            break;
        case 1:
            mg_kv_blocks_trim(&b, slot, count);
            tokens[slot] = MG_MIN(tokens[slot], count);
            break;
        default:
            tokens[slot] = mg_kv_blocks_share(&b, other, slot, MG_MIN(count, tokens[other]), &copy);
            break;
        }
        int32_t uses[17] = { 0 };
        for (int64_t s = 0; s < SLOTS; s++) {
            assert_true(b.counts[s] * BLOCK >= tokens[s]);
            for (int64_t i = 0; i < b.counts[s]; i++) {
                uses[b.table[s * WIDTH + i]]++;
            }
        }
        int64_t spare = 0;
        for (int64_t i = 0; i < 17; i++) {
            assert_int_equal(uses[i], b.uses[i]);
            spare += uses[i] == 0 ? 1 : 0;
        }
        assert_int_equal(spare, b.spare_count);
    }
    mg_kv_blocks_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slot_grows_and_shrinks_in_blocks),
        cmocka_unit_test(what_texts_have_in_common_is_there_once),
        cmocka_unit_test(a_block_in_common_is_copied_before_it_is_written),
        cmocka_unit_test(no_block_is_lost_or_given_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
