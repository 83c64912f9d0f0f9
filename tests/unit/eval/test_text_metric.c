/* Corpus metrics of texts against sacrebleu's (tests/golden/text_metrics). */
#include "support.h"

#include <math.h>

#include "base/memory.h"
#include "eval/edit_rate.h"
#include "eval/text_metric.h"
#include "text/json.h"

typedef struct fixture {
    mg_arena arena;
    mg_value root;
} fixture;

static int set_up(void **state)
{
    fixture *f = mg_new(fixture);
    mg_error err;
    assert_ok(mg_json_read(MG_SOURCE_DIR "/tests/golden/text_metrics/expected.json",
                           (size_t)1 << 24, &f->arena, &f->root, &err),
              &err);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    mg_arena_release(&f->arena);
    mg_free(f);
    return 0;
}

static mg_value pair_of(fixture *f, const mg_value *row)
{
    mg_value pair = mg_value_of_list(&f->arena, 2);
    pair.items[0] = *mg_value_get(row, "wanted");
    pair.items[1] = *mg_value_get(row, "said");
    return pair;
}

static double number_of(const mg_value *map, const char *key)
{
    double number = 0;
    assert_true(mg_value_to_double(mg_value_get(map, key), &number));
    return number;
}

static double score(mg_text_metric_kind kind, const mg_value *const *pairs, int64_t count)
{
    mg_error err;
    mg_text_metric *metric;
    assert_ok(mg_text_metric_create(kind, pairs, count, &metric, &err), &err);
    double value = mg_text_metric_value(metric, NULL);
    mg_text_metric_destroy(metric);
    return value;
}

static void each_pair_has_the_edits_that_sacrebleu_finds(void **state)
{
    fixture *f = *state;
    const mg_value *rows = mg_value_get(&f->root, "rows");
    for (int64_t i = 0; i < rows->count; i++) {
        mg_value pair = pair_of(f, &rows->items[i]);
        const mg_value *pairs[] = { &pair };
        double edits = number_of(&rows->items[i], "edits");
        double words = number_of(&rows->items[i], "words");
        double wanted = words > 0 ? 100 * edits / words : edits > 0 ? 100 : 0;
        double got = score(MG_TEXT_TER, pairs, 1);
        if (fabs(got - wanted) > 1e-9) {
            fail_msg("row %d: %g, wanted %g", (int)i, got, wanted);
        }
    }
}

static void corpus_scores_are_sacrebleu_s(void **state)
{
    fixture *f = *state;
    const mg_value *rows = mg_value_get(&f->root, "rows");
    const mg_value *scores = mg_value_get(&f->root, "scores");
    mg_value *pairs = mg_new_array(mg_value, rows->count);
    const mg_value **list = mg_new_array(const mg_value *, rows->count);
    int64_t count = 0;
    for (int64_t i = 0; i < rows->count; i++) {
        if (mg_value_get(&rows->items[i], "wanted")->count == 1) {
            pairs[count] = pair_of(f, &rows->items[i]);
            list[count] = &pairs[count];
            count++;
        }
    }
    const mg_text_metric_kind kinds[] = { MG_TEXT_TER, MG_TEXT_BLEU, MG_TEXT_CHRF,
                                          MG_TEXT_CHRF_WORDS };
    const char *names[] = { "ter", "bleu", "chrf", "chrf++" };
    for (int i = 0; i < 4; i++) {
        double got = score(kinds[i], list, count);
        if (fabs(got - number_of(scores, names[i])) > 1e-9) {
            fail_msg("%s: %.12g, wanted %.12g", names[i], got, number_of(scores, names[i]));
        }
    }
    mg_free(pairs);
    mg_free(list);
}

/* Words far from the diagonal, many phrases to shift; sacrebleu 2.6's translation_edit_rate gives
 * these numbers. */
static void long_texts_have_the_edits_that_sacrebleu_finds(void **state)
{
    (void)state;
    static const int64_t edits[] = { 90, 188 };
    for (int64_t k = 0; k < 2; k++) {
        int64_t count = 400 << k;
        int32_t *wanted = mg_new_array(int32_t, count);
        int32_t *said = mg_new_array(int32_t, count);
        mg_error err;
        int64_t got;
        for (int64_t i = 0; i < count; i++) {
            wanted[i] = (int32_t)(i * i % 997);
        }
        for (int64_t i = 0; i < count; i++) { /* of every 40 words the first 6 come last */
            int64_t from = i / 40 * 40 + (i % 40 + 6) % 40;
            said[i] = i % 11 == 0 ? (int32_t)(1000 + i) : wanted[from];
        }
        assert_ok(mg_edit_count(said, count, wanted, count, &got, &err), &err);
        assert_int_equal(got, edits[k]);
        mg_free(wanted);
        mg_free(said);
    }
}

static void a_table_without_room_is_a_memory_error(void **state)
{
    (void)state;
    static const int32_t words[] = { 1, 2, 3, 4 };
    int64_t edits;
    mg_error err;
    for (int64_t n = 1; n <= 2; n++) {
        mg_memory_fail_at(n);
        assert_status(mg_edit_count(words, 4, words + 1, 3, &edits, &err), MG_ERR_MEMORY);
    }
    mg_memory_fail_at(0);
    assert_ok(mg_edit_count(words, 4, words + 1, 3, &edits, &err), &err);
    assert_int_equal(edits, 1);
}

static void texts_beyond_the_limit_are_refused(void **state)
{
    (void)state;
    mg_error err;
    mg_text_metric *metric;
    mg_arena arena = { 0 };
    mg_buf text = { 0 };
    for (int i = 0; i < 12000; i++) {
        mg_buf_add_text(&text, "word ");
    }
    mg_value pair = mg_value_of_list(&arena, 2);
    pair.items[0] = mg_value_of_str(&arena, mg_buf_view(&text));
    pair.items[1] = pair.items[0];
    const mg_value *pairs[] = { &pair };
    assert_status(mg_text_metric_create(MG_TEXT_TER, pairs, 1, &metric, &err), MG_ERR_LIMIT);
    assert_null(metric);
    mg_buf_release(&text);
    mg_arena_release(&arena);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(each_pair_has_the_edits_that_sacrebleu_finds),
        WITH(corpus_scores_are_sacrebleu_s),
        cmocka_unit_test(long_texts_have_the_edits_that_sacrebleu_finds),
        cmocka_unit_test(a_table_without_room_is_a_memory_error),
        cmocka_unit_test(texts_beyond_the_limit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
