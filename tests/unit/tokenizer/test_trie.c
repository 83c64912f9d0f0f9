/* The byte trie against a plain list of strings. */
#include "support.h"

#include "base/rng.h"
#include "tokenizer/trie_internal.h"

#define STRINGS 400
#define LENGTH_MAX 6

typedef struct sample {
    char text[LENGTH_MAX];
    size_t size;
} sample;

static mg_str str_of(const sample *s)
{
    return mg_str_make(s->text, s->size);
}

/* Bytes of few values, so that strings share prefixes, and some of all values. */
static void draw(mg_rng *rng, sample *out, uint32_t values)
{
    out->size = mg_rng_below(rng, LENGTH_MAX) + 1;
    for (size_t i = 0; i < out->size; i++) {
        out->text[i] = (char)mg_rng_below(rng, values);
    }
}

static bool is_prefix(const sample *s, mg_str text)
{
    return s->size <= text.size && memcmp(s->text, text.data, s->size) == 0;
}

/* The index of the longest of the samples that text starts with, the last of equal ones; -1. */
static int longest(const sample *samples, int count, mg_str text)
{
    int best = -1;
    for (int i = 0; i < count; i++) {
        if (is_prefix(&samples[i], text) && (best < 0 || samples[i].size >= samples[best].size)) {
            best = i;
        }
    }
    return best;
}

static void check_random(uint64_t seed, uint32_t values)
{
    mg_error err;
    mg_rng rng = mg_rng_make(seed, values);
    mg_trie trie = { 0 };
    sample samples[STRINGS];

    for (int i = 0; i < STRINGS; i++) {
        draw(&rng, &samples[i], values);
        assert_ok(mg_trie_set(&trie, str_of(&samples[i]), i, &err), &err);
    }
    assert_ok(mg_trie_finish(&trie, &err), &err);
    for (int i = 0; i < 4 * STRINGS; i++) {
        sample text;
        size_t bytes;
        draw(&rng, &text, values);
        int expected = longest(samples, STRINGS, str_of(&text));
        assert_int_equal(mg_trie_longest(&trie, str_of(&text), &bytes), expected);
        assert_int_equal(bytes, expected < 0 ? 0 : samples[expected].size);
    }
    mg_trie_release(&trie);
}

static void test_the_longest_stored_string_is_found(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        check_random(seed, 3);
        check_random(seed, 256);
    }
}

/* Nodes with three children leave every fourth unit over, where none of them fits. */
static void test_nodes_that_fit_nowhere_cost_no_block_each(void **state)
{
    (void)state;
    enum { DEPTH = 9, LEAVES = 19683, NODES = 29524 };
    mg_error err;
    mg_trie trie = { 0 };
    for (int s = 0; s < LEAVES; s++) {
        char text[DEPTH];
        int rest = s;
        for (int i = 0; i < DEPTH; i++) {
            text[i] = (char)(rest % 3);
            rest /= 3;
        }
        assert_ok(mg_trie_set(&trie, mg_str_make(text, DEPTH), s, &err), &err);
    }
    assert_int_equal(trie.node_count, NODES);
    assert_ok(mg_trie_finish(&trie, &err), &err);
    assert_true(trie.unit_count < 3 * NODES);
    for (int s = 0; s < LEAVES; s++) {
        char text[DEPTH];
        int rest = s;
        size_t bytes;
        for (int i = 0; i < DEPTH; i++) {
            text[i] = (char)(rest % 3);
            rest /= 3;
        }
        assert_int_equal(mg_trie_longest(&trie, mg_str_make(text, DEPTH), &bytes), s);
    }
    mg_trie_release(&trie);
}

static void test_an_empty_trie_finds_nothing(void **state)
{
    (void)state;
    mg_error err;
    mg_trie trie = { 0 };
    size_t bytes;
    assert_ok(mg_trie_finish(&trie, &err), &err);
    assert_int_equal(mg_trie_longest(&trie, mg_str_of("any"), &bytes), -1);
    assert_int_equal(bytes, 0);
    assert_int_equal(mg_trie_step(&trie, 0, 'a'), 0);
    mg_trie_release(&trie);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_longest_stored_string_is_found),
        cmocka_unit_test(test_nodes_that_fit_nowhere_cost_no_block_each),
        cmocka_unit_test(test_an_empty_trie_finds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
