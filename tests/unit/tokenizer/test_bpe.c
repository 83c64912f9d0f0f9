/* Byte-pair encoding against its definition: merge the leftmost pair of the lowest rank, again and
 * again. */
#include "support.h"

#include "base/memory.h"
#include "base/rng.h"
#include "tokenizer/bpe_internal.h"

#define LETTERS 6
#define MERGES_MAX 60

typedef struct model {
    mg_vocab vocab;
    mg_bpe bpe;
    mg_bpe_scratch scratch;
    char merges[MERGES_MAX][2][32]; /* by rank */
    int merge_count;
} model;

static void model_release(model *m)
{
    mg_bpe_release(&m->bpe);
    mg_bpe_scratch_release(&m->scratch);
    mg_vocab_release(&m->vocab);
}

static void add_token(model *m, const char *text)
{
    mg_error err;
    if (mg_vocab_id(&m->vocab, mg_str_of(text)) < 0) {
        assert_ok(mg_vocab_set(&m->vocab, mg_str_of(text), m->vocab.count, &err), &err);
    }
}

/* Random merges over the letters a to f, each made of tokens that are there.  The last token is the
 * unknown one, so that words may be cut. */
static void make_model(model *m, mg_rng *rng, int merge_count)
{
    mg_error err;
    mg_bpe_options options;
    memset(m, 0, sizeof(*m));
    memset(&options, 0, sizeof(options));
    for (char c = 'a'; c < 'a' + LETTERS; c++) {
        add_token(m, (char[]){ c, '\0' });
    }
    for (int i = 0; i < merge_count; i++) {
        int64_t left = (int64_t)mg_rng_below(rng, (uint64_t)m->vocab.count);
        int64_t right = (int64_t)mg_rng_below(rng, (uint64_t)m->vocab.count);
        mg_str a = mg_vocab_token(&m->vocab, (int32_t)left);
        mg_str b = mg_vocab_token(&m->vocab, (int32_t)right);
        char joined[64];
        if (a.size + b.size > 12) {
            continue;
        }
        (void)snprintf(m->merges[m->merge_count][0], 32, "%.*s", MG_STR_ARG(a));
        (void)snprintf(m->merges[m->merge_count][1], 32, "%.*s", MG_STR_ARG(b));
        (void)snprintf(joined, sizeof(joined), "%.*s%.*s", MG_STR_ARG(a), MG_STR_ARG(b));
        add_token(m, joined);
        m->merge_count++;
    }
    add_token(m, "?");
    options.has_unk = true;
    options.unk_token = mg_str_of("?");
    mg_bpe_init(&m->bpe, &m->vocab, &options);
    for (int i = 0; i < m->merge_count; i++) {
        assert_ok(
            mg_bpe_add_merge(&m->bpe, mg_str_of(m->merges[i][0]), mg_str_of(m->merges[i][1]), &err),
            &err);
    }
    mg_bpe_finish(&m->bpe);
}

/* The last rank of a pair, as a repeated pair's last entry wins; INT32_MAX = no merge. */
static int rank_of(const model *m, mg_str left, mg_str right)
{
    for (int i = m->merge_count - 1; i >= 0; i--) {
        if (mg_str_is(left, m->merges[i][0]) && mg_str_is(right, m->merges[i][1])) {
            return i;
        }
    }
    return INT32_MAX;
}

static void encode_slowly(const model *m, mg_str word, mg_ids *ids)
{
    mg_str parts[128];
    int count = 0;
    for (size_t i = 0; i < word.size; i++) {
        parts[count++] = mg_str_slice(word, i, i + 1);
    }
    for (;;) {
        int best = INT32_MAX;
        int at = -1;
        for (int i = 0; i + 1 < count; i++) {
            int rank = rank_of(m, parts[i], parts[i + 1]);
            if (rank < best) {
                best = rank;
                at = i;
            }
        }
        if (at < 0) {
            break;
        }
        parts[at].size += parts[at + 1].size;
        memmove(&parts[at + 1], &parts[at + 2], (size_t)(count - at - 2) * sizeof(parts[0]));
        count--;
    }
    for (int i = 0; i < count; i++) {
        mg_ids_add(ids, mg_vocab_id(&m->vocab, parts[i]));
    }
}

static void random_word(mg_rng *rng, char *word, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        word[i] = (char)('a' + (int)mg_rng_below(rng, LETTERS));
    }
    word[size] = '\0';
}

static void assert_same(const mg_ids *a, const mg_ids *b)
{
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->data, b->data, (size_t)a->count * sizeof(int32_t));
}

static void merging_by_queue_equals_merging_by_definition(void **state)
{
    (void)state;
    mg_rng rng = mg_rng_make(7, MG_STREAM_TEXT);
    for (int round = 0; round < 200; round++) {
        model m;
        mg_error err;
        char word[101];
        make_model(&m, &rng, 1 + (int)mg_rng_below(&rng, MERGES_MAX - 1));
        random_word(&rng, word, 1 + mg_rng_below(&rng, 100));
        mg_ids fast = { NULL, 0, 0 };
        mg_ids slow = { NULL, 0, 0 };
        assert_ok(mg_bpe_encode(&m.bpe, &m.scratch, mg_str_of(word), &fast, &err), &err);
        encode_slowly(&m, mg_str_of(word), &slow);
        assert_same(&fast, &slow);
        mg_ids_release(&fast);
        mg_ids_release(&slow);
        model_release(&m);
    }
}

static void a_cut_word_gives_the_same_ids(void **state)
{
    (void)state;
    mg_rng rng = mg_rng_make(8, MG_STREAM_TEXT);
    int64_t cuts = 0;
    for (int round = 0; round < 200; round++) {
        model m;
        mg_error err;
        char text[101];
        make_model(&m, &rng, 1 + (int)mg_rng_below(&rng, 12));
        random_word(&rng, text, 100);
        mg_ids whole = { NULL, 0, 0 };
        mg_ids pieces = { NULL, 0, 0 };
        assert_true(m.bpe.can_cut);
        assert_ok(mg_bpe_encode(&m.bpe, &m.scratch, mg_str_of(text), &whole, &err), &err);
        for (mg_str rest = mg_str_of(text); rest.size > 0; cuts++) {
            size_t bytes = mg_bpe_cut(&m.bpe, rest);
            assert_in_range(bytes, 1, rest.size);
            assert_ok(
                mg_bpe_encode(&m.bpe, &m.scratch, mg_str_slice(rest, 0, bytes), &pieces, &err),
                &err);
            rest = mg_str_slice(rest, bytes, rest.size);
        }
        assert_same(&whole, &pieces);
        mg_ids_release(&whole);
        mg_ids_release(&pieces);
        model_release(&m);
    }
    assert_true(cuts > 1000);
}

static void a_merge_of_unknown_parts_is_a_format_error(void **state)
{
    (void)state;
    model m;
    mg_error err;
    mg_rng rng = mg_rng_make(1, MG_STREAM_TEXT);
    make_model(&m, &rng, 3);
    assert_status(mg_bpe_add_merge(&m.bpe, mg_str_of("a"), mg_str_of("z"), &err), MG_ERR_FORMAT);
    model_release(&m);
}

static void a_character_outside_the_vocabulary_forbids_cutting_beside_it(void **state)
{
    (void)state;
    /* Without an unknown token "z" is dropped, and its neighbours meet. */
    model m;
    mg_error err;
    memset(&m, 0, sizeof(m));
    mg_bpe_options options;
    memset(&options, 0, sizeof(options));
    add_token(&m, "a");
    add_token(&m, "b");
    add_token(&m, "ab");
    mg_bpe_init(&m.bpe, &m.vocab, &options);
    assert_ok(mg_bpe_add_merge(&m.bpe, mg_str_of("a"), mg_str_of("b"), &err), &err);
    mg_bpe_finish(&m.bpe);
    assert_false(m.bpe.can_cut);
    mg_ids ids = { NULL, 0, 0 };
    assert_ok(mg_bpe_encode(&m.bpe, &m.scratch, mg_str_of("azb"), &ids, &err), &err);
    assert_int_equal(ids.count, 1);
    assert_int_equal(ids.data[0], 2);
    mg_ids_release(&ids);
    model_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merging_by_queue_equals_merging_by_definition),
        cmocka_unit_test(a_cut_word_gives_the_same_ids),
        cmocka_unit_test(a_merge_of_unknown_parts_is_a_format_error),
        cmocka_unit_test(a_character_outside_the_vocabulary_forbids_cutting_beside_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
