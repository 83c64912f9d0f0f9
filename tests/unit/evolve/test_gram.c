/* Inner products of models by layer, against a plain sum over the bundled models. */
#include "support.h"

#include <math.h>

#include "base/memory.h"
#include "evolve/gram.h"

#define MODELS MG_SOURCE_DIR "/examples/mini/models/"

enum { COUNT = 2, LAYERS_MAX = 64 };

static void tensors_fall_into_embedding_layers_and_rest(void **state)
{
    (void)state;
    assert_int_equal(mg_gram_segment(mg_str_of("model.embed_tokens.weight"), 4), 0);
    assert_int_equal(mg_gram_segment(mg_str_of("model.layers.0.mlp.up_proj.weight"), 4), 1);
    assert_int_equal(mg_gram_segment(mg_str_of("model.layers.3.mlp.up_proj.weight"), 4), 4);
    assert_int_equal(mg_gram_segment(mg_str_of("transformer.h.2.attn.c_attn.weight"), 4), 3);
    assert_int_equal(mg_gram_segment(mg_str_of("model.norm.weight"), 4), 5);
    assert_int_equal(mg_gram_segment(mg_str_of("lm_head.weight"), 4), 5);
    assert_int_equal(mg_gram_segment(mg_str_of("model.layers.9.mlp.up_proj.weight"), 4), 5);
}

/* Differences of two models from base over one tensor: their inner product. */
static double plain(const mg_checkpoint *base, const mg_checkpoint *a, const mg_checkpoint *b,
                    int64_t tensor)
{
    mg_view view = mg_checkpoint_at(base, tensor);
    int64_t count = mg_shape_count(&view.shape);
    const mg_view *views[3] = { &view, mg_checkpoint_find(a, view.name),
                                mg_checkpoint_find(b, view.name) };
    double *values[3];
    double sum = 0.0;
    for (int i = 0; i < 3; i++) {
        values[i] = mg_new_array(double, count);
        mg_dtype_convert(values[i], MG_F64, views[i]->data, views[i]->dtype, count);
    }
    for (int64_t i = 0; i < count; i++) {
        sum += (values[1][i] - values[0][i]) * (values[2][i] - values[0][i]);
    }
    for (int i = 0; i < 3; i++) {
        mg_free(values[i]);
    }
    return sum;
}

static void products_are_those_of_a_plain_sum_for_any_number_of_threads(void **state)
{
    (void)state;
    mg_error err;
    mg_arena arena = { 0 };
    mg_model_ref refs[COUNT + 1];
    const char *const names[COUNT + 1] = { MODELS "mini-ja", MODELS "mini-math-a",
                                           MODELS "mini-base" };
    const mg_checkpoint *checkpoints[COUNT + 1];
    mg_model_set *set = mg_model_set_create(NULL);
    int64_t layers = 0;
    for (int i = 0; i <= COUNT; i++) {
        mg_snapshot *snapshot;
        assert_ok(mg_model_ref_parse(mg_str_of(names[i]), &arena, &refs[i], &err), &err);
        assert_ok(mg_model_set_get(set, &refs[i], &snapshot, &err), &err);
        checkpoints[i] = snapshot->checkpoint;
        layers = snapshot->config.layer_count;
    }
    assert_true(layers <= LAYERS_MAX);
    double sizes[LAYERS_MAX + 2], gram[(LAYERS_MAX + 2) * COUNT * COUNT];
    double again[(LAYERS_MAX + 2) * COUNT * COUNT];
    mg_pool *pool = mg_pool_create(3);
    assert_ok(mg_gram_compute(set, &refs[COUNT], refs, COUNT, layers, NULL, sizes, gram, &err),
              &err);
    assert_ok(mg_gram_compute(set, &refs[COUNT], refs, COUNT, layers, pool, sizes, again, &err),
              &err);
    assert_memory_equal(gram, again, (size_t)((layers + 2) * COUNT * COUNT) * sizeof(double));
    double expected[(LAYERS_MAX + 2) * COUNT * COUNT] = { 0 };
    double parameters = 0.0;
    for (int64_t t = 0; t < mg_checkpoint_count(checkpoints[COUNT]); t++) {
        mg_view view = mg_checkpoint_at(checkpoints[COUNT], t);
        int64_t segment = mg_gram_segment(view.name, layers);
        parameters += (double)mg_shape_count(&view.shape);
        for (int i = 0; i < COUNT * COUNT; i++) {
            expected[segment * COUNT * COUNT + i] +=
                plain(checkpoints[COUNT], checkpoints[i / COUNT], checkpoints[i % COUNT], t);
        }
    }
    for (int64_t g = 0; g < layers + 2; g++) {
        parameters -= sizes[g];
        for (int i = 0; i < COUNT * COUNT; i++) {
            double want = expected[g * COUNT * COUNT + i];
            assert_true(fabs(gram[g * COUNT * COUNT + i] - want) <= 1e-6 * fabs(want) + 1e-12);
        }
    }
    assert_true(parameters == 0.0 && gram[COUNT * COUNT] > 0.0);
    mg_pool_destroy(pool);
    mg_model_set_destroy(set);
    mg_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_fall_into_embedding_layers_and_rest),
        cmocka_unit_test(products_are_those_of_a_plain_sum_for_any_number_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
