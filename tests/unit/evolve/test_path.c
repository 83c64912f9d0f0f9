/* Paths as models: encodings, layers that are shared, factors folded into an ordinary model. */
#include "support.h"

#include <math.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/rng.h"
#include "compute/device.h"
#include "evolve/genome.h"
#include "merge/execute.h"
#include "model/path.h"
#include "text/json.h"

#define MODELS MG_SOURCE_DIR "/examples/mini/models/"
#define HOPS 11

static mg_error err;

/* Two models of 32 layers, three times. */
static mg_genome *make(const char *search, mg_evolve_config *config)
{
    const int64_t layers[] = { 32, 32 };
    char path[] = "/tmp/mg_path_XXXXXX";
    char text[256];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    snprintf(text, sizeof(text), "genome: {models: [a, b]}\ntasks: [t]\nsearch: {space: dfs, %s}\n",
             search);
    assert_ok(mg_file_write_atomic(path, mg_str_of(text), &err), &err);
    mg_evolve_overrides none = { 0 };
    assert_ok(mg_evolve_config_read(path, &none, config, &err), &err);
    unlink(path);
    return mg_genome_create_path(config, layers, NULL);
}

static const char *const encodings[] = { "encoding: slot", "encoding: net", "preset: paper-dfs",
                                         "encoding: transition" };

static void encodings_have_the_dimensions_of_the_table(void **state)
{
    (void)state;
    const int64_t dimensions[] = { 191 + 193, 191 + 81, 192 + 4096, 191 + 4096 };
    const int64_t bits[] = { 191, 191, 0, 191 };
    for (int i = 0; i < 4; i++) {
        mg_evolve_config config;
        mg_genome *genome = make(encodings[i], &config);
        assert_int_equal(mg_genome_dimension(genome), dimensions[i]);
        assert_int_equal(mg_genome_bit_count(genome), bits[i]);
        mg_genome_destroy(genome);
        mg_evolve_config_release(&config);
    }
}

static void every_encoding_starts_at_the_plain_path(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        mg_evolve_config config;
        mg_hop hops[200];
        mg_genome *genome = make(encodings[i], &config);
        assert_int_equal(mg_genome_hops(genome, mg_genome_start(genome), hops), 32);
        for (int64_t t = 0; t < 32; t++) {
            assert_true(hops[t].model == 0 && hops[t].layer == t && hops[t].scale == 1.0f);
        }
        mg_genome_destroy(genome);
        mg_evolve_config_release(&config);
    }
}

/* 4.3: half of the slots outside A's own are on in the paper's start. */
static void first_paths_of_the_paper_have_the_expected_length(void **state)
{
    (void)state;
    mg_evolve_config config;
    mg_hop hops[200];
    mg_genome *genome = make("preset: paper-dfs, max_hops: 192", &config);
    int64_t n = mg_genome_dimension(genome);
    double *x = mg_new_array(double, n);
    mg_rng rng = mg_rng_make(5, MG_STREAM_SAMPLE);
    double total = 0.0;
    for (int round = 0; round < 200; round++) {
        for (int64_t i = 0; i < n; i++) {
            x[i] = mg_genome_start(genome)[i] + config.search.sigma * mg_rng_normal(&rng);
        }
        total += (double)mg_genome_hops(genome, x, hops);
    }
    assert_true(fabs(total / 200.0 - 112.0) < 1.5); /* 111.3 and, nearly always, the extra hop */
    mg_free(x);
    mg_genome_destroy(genome);
    mg_evolve_config_release(&config);
}

static void paths_keep_their_ends_and_their_limit(void **state)
{
    (void)state;
    const char *const texts[] = { "encoding: net", "preset: paper-dfs",
                                  "preset: paper-dfs, max_hops: 40" };
    mg_rng rng = mg_rng_make(6, MG_STREAM_SAMPLE);
    for (int i = 0; i < 3; i++) {
        mg_evolve_config config;
        mg_hop hops[200];
        mg_genome *genome = make(texts[i], &config);
        int64_t n = mg_genome_dimension(genome);
        double *x = mg_new_array(double, n);
        for (int round = 0; round < 50; round++) {
            double chance = mg_rng_uniform(&rng);
            int64_t left = mg_genome_bits_max(genome);
            for (int64_t k = 0; k < n; k++) {
                bool bit = k < mg_genome_bit_count(genome);
                bool on = bit && left > 0 && mg_rng_uniform(&rng) < chance;
                left -= on ? 1 : 0;
                x[k] = bit ? (on ? 1.0 : 0.0) : 0.3 * mg_rng_normal(&rng);
            }
            int64_t count = mg_genome_hops(genome, x, hops);
            assert_true(count >= 2);
            assert_true(count <= mg_genome_hops_max(genome));
            assert_true(hops[0].model == 0 && hops[0].layer == 0);
            assert_true(hops[count - 1].model == 0 && hops[count - 1].layer == 31);
        }
        mg_free(x);
        mg_genome_destroy(genome);
        mg_evolve_config_release(&config);
    }
}

/* 4.2, transition: a pair of layers that no path crosses says nothing. */
static void only_crossed_pairs_play_a_part(void **state)
{
    (void)state;
    mg_evolve_config config;
    mg_hop hops[200];
    mg_genome *genome = make("encoding: transition, repeats: 1", &config);
    int64_t bits = mg_genome_bit_count(genome);
    int64_t n = mg_genome_dimension(genome);
    double *x = mg_new_array(double, n);
    bool *relevant = mg_new_array(bool, n - bits);
    assert_true(mg_genome_counts_pairs(genome));
    x[40 - 1] = 1.0;               /* slot 40: layer 8 of the second model */
    x[bits + 0 * 64 + 40] = 0.5;   /* from the first layer to it */
    x[bits + 40 * 64 + 31] = -3.0; /* from it to A's last layer */
    x[bits + 7 * 64 + 8] = 9.0;    /* not crossed */
    assert_int_equal(mg_genome_hops(genome, x, hops), 3);
    assert_true(hops[1].model == 1 && hops[1].layer == 8 && hops[1].scale == 1.5f);
    assert_true(hops[2].model == 0 && hops[2].layer == 31 && hops[2].scale == -2.0f);
    mg_genome_pairs_played(genome, x, relevant);
    int64_t count = 0;
    for (int64_t i = 0; i < n - bits; i++) {
        count += relevant[i] ? 1 : 0;
    }
    assert_int_equal(count, 2);
    assert_true(relevant[40] && relevant[40 * 64 + 31]);
    mg_free(x);
    mg_free(relevant);
    mg_genome_destroy(genome);
    mg_evolve_config_release(&config);
}

/* A model in float32 from a folder. */
static mg_model *load(const char *folder, const mg_device *device, mg_stream *stream)
{
    mg_snapshot *snapshot;
    mg_model *model;
    mg_arena arena = { 0 };
    mg_model_ref ref;
    assert_ok(mg_model_ref_parse(mg_str_of(folder), &arena, &ref, &err), &err);
    assert_ok(mg_snapshot_open(NULL, &ref, true, &snapshot, &err), &err);
    assert_ok(mg_model_create(&snapshot->config, device, MG_F32, &model, &err), &err);
    assert_ok(mg_model_load(model, snapshot->checkpoint, stream, &err), &err);
    mg_snapshot_close(snapshot);
    mg_arena_release(&arena);
    return model;
}

#define TOKENS 24

/* Logits of all rows; the second half of the text comes as a second pass. */
static float *logits_of(mg_model *model, mg_stream *stream)
{
    int64_t vocab = mg_model_vocab(model);
    float *logits = mg_new_array(float, TOKENS *vocab);
    int32_t tokens[TOKENS];
    int64_t rows[TOKENS / 2];
    mg_kv_cache *cache;
    assert_ok(mg_kv_cache_create(model, 1, TOKENS, 0, &cache, &err), &err);
    for (int32_t i = 0; i < TOKENS; i++) {
        tokens[i] = 3 + i * 37 % 900;
    }
    for (int64_t i = 0; i < TOKENS / 2; i++) {
        rows[i] = i;
    }
    for (int64_t half = 0; half < 2; half++) {
        mg_run run = { 0, half * TOKENS / 2, TOKENS / 2, 0 };
        mg_forward_args args = { .cache = cache,
                                 .tokens = tokens + run.first,
                                 .token_count = run.count,
                                 .runs = &run,
                                 .run_count = 1,
                                 .logit_rows = rows,
                                 .logit_count = run.count,
                                 .logits_out = logits + run.first * vocab };
        assert_ok(mg_model_forward(model, &args, stream, &err), &err);
    }
    mg_kv_cache_destroy(cache);
    return logits;
}

typedef struct world {
    const mg_device *device;
    mg_stream *stream;
    mg_model *models[2];
    const mg_model *views[2];
} world;

static void world_open(world *w)
{
    w->device = mg_device_cpu(MG_ISA_AVX512);
    assert_ok(w->device->stream_create(w->device, NULL, &w->stream, &err), &err);
    w->models[0] = load(MODELS "mini-math-a", w->device, w->stream);
    w->models[1] = load(MODELS "mini-ja", w->device, w->stream);
    w->views[0] = w->models[0];
    w->views[1] = w->models[1];
}

static void world_close(world *w)
{
    mg_model_destroy(w->models[0]);
    mg_model_destroy(w->models[1]);
    w->device->stream_destroy(w->stream);
}

static void a_plain_path_equals_its_model_bit_for_bit(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    mg_hop hops[8];
    mg_model *path;
    for (int64_t t = 0; t < 8; t++) {
        hops[t] = (mg_hop){ 0, t, 1.0f };
    }
    assert_ok(mg_model_create_path(w.views, 2, hops, 8, &path, &err), &err);
    float *a = logits_of(w.models[0], w.stream);
    float *b = logits_of(path, w.stream);
    assert_memory_equal(a, b, (size_t)(TOKENS * mg_model_vocab(path)) * sizeof(float));
    mg_free(a);
    mg_free(b);
    mg_model_destroy(path);
    world_close(&w);
}

/* Repeated layers, both models, factors below 0. */
static const mg_hop crooked[HOPS] = {
    { 0, 0, 1.1f },  { 0, 1, -0.8f }, { 0, 2, 1.0f }, { 1, 2, 1.3f },
    { 1, 3, -1.2f }, { 1, 3, 0.7f },  { 0, 3, 0.9f }, { 0, 4, 1.0f },
    { 1, 6, -2.0f }, { 0, 5, 0.6f },  { 0, 7, 1.4f },
};

static void folded_factors_answer_as_the_path_does(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    mg_arena arena = { 0 };
    mg_recipe recipe;
    mg_model_ref refs[2] = { 0 };
    mg_hub *hub = NULL;
    char folder[] = "/tmp/mg_fold_XXXXXX";
    assert_non_null(mkdtemp(folder));
    const char *out = mg_path_join(&arena, folder, "out").data;
    assert_ok(mg_model_ref_parse(mg_str_of(MODELS "mini-math-a"), &arena, &refs[0], &err), &err);
    assert_ok(mg_model_ref_parse(mg_str_of(MODELS "mini-ja"), &arena, &refs[1], &err), &err);
    mg_model_set *set = mg_model_set_create(hub);
    for (int64_t count = HOPS - 1; count <= HOPS; count++) { /* the product ends below 0, above */
        mg_hop hops[HOPS];
        memcpy(hops, crooked, sizeof(hops));
        hops[count - 1] = (mg_hop){ 0, 7, count == HOPS ? -1.4f : 0.6f };
        mg_hops_recipe(hops, count, refs, &arena, &recipe);
        mg_merge_options options = { .overwrite = true, .copy_tokenizer = true };
        assert_ok(mg_merge_to_folder(&recipe, set, w.device, NULL, &options, out, &err), &err);
        mg_model *path;
        mg_model *folded = load(out, w.device, w.stream);
        assert_int_equal(mg_model_layers(folded), count);
        assert_ok(mg_model_create_path(w.views, 2, hops, count, &path, &err), &err);
        float *a = logits_of(path, w.stream);
        float *b = logits_of(folded, w.stream);
        double largest = 0.0;
        double error = 0.0;
        for (int64_t i = 0; i < TOKENS * mg_model_vocab(path); i++) {
            largest = fmax(largest, fabs((double)a[i]));
            error = fmax(error, fabs((double)a[i] - (double)b[i]));
        }
        assert_true(largest > 1.0);
        assert_true(error <= 1e-5 * largest);
        mg_free(a);
        mg_free(b);
        mg_model_destroy(path);
        mg_model_destroy(folded);
    }
    mg_model_set_destroy(set);
    assert_ok(mg_folder_remove(folder, &err), &err);
    mg_arena_release(&arena);
    world_close(&w);
}

/* 17.10: a path answers as transformers does with its export, negative factors included. */
static void paths_answer_as_transformers_does_with_their_export(void **state)
{
    (void)state;
    world w;
    mg_arena arena = { 0 };
    mg_value golden;
    world_open(&w);
    assert_ok(mg_json_read(MG_SOURCE_DIR "/tests/golden/path/cases.json", (size_t)1 << 20, &arena,
                           &golden, &err),
              &err);
    const mg_value *cases = mg_value_get(&golden, "cases");
    assert_int_equal(cases->count, 2);
    for (int64_t c = 0; c < cases->count; c++) {
        const mg_value *list = mg_value_get(&cases->items[c], "hops");
        const mg_value *rows = mg_value_get(&cases->items[c], "rows");
        const mg_value *logits = mg_value_get(&cases->items[c], "logits");
        mg_hop hops[HOPS];
        assert_int_equal(list->count, HOPS);
        for (int64_t t = 0; t < HOPS; t++) {
            double factor;
            assert_true(mg_value_to_int(&list->items[t].items[0], &hops[t].model));
            assert_true(mg_value_to_int(&list->items[t].items[1], &hops[t].layer));
            assert_true(mg_value_to_double(&list->items[t].items[2], &factor));
            hops[t].scale = (float)factor;
        }
        mg_model *path;
        assert_ok(mg_model_create_path(w.views, 2, hops, HOPS, &path, &err), &err);
        float *ours = logits_of(path, w.stream);
        double largest = 0.0;
        double error = 0.0;
        for (int64_t r = 0; r < rows->count; r++) {
            int64_t row;
            assert_true(mg_value_to_int(&rows->items[r], &row));
            for (int64_t v = 0; v < mg_model_vocab(path); v++) {
                double theirs;
                assert_true(mg_value_to_double(&logits->items[r].items[v], &theirs));
                largest = fmax(largest, fabs(theirs));
                error = fmax(error, fabs(theirs - (double)ours[row * mg_model_vocab(path) + v]));
            }
        }
        assert_true(largest > 1.0);
        assert_true(error <= 1e-5 * largest);
        mg_free(ours);
        mg_model_destroy(path);
    }
    mg_arena_release(&arena);
    world_close(&w);
}

static void paths_own_no_weights(void **state)
{
    (void)state;
    world w;
    mg_model *path;
    world_open(&w);
    assert_ok(mg_model_create_path(w.views, 2, crooked, HOPS, &path, &err), &err);
    assert_true(mg_model_bytes(w.models[0]) > 0);
    assert_int_equal(mg_model_bytes(path), 0);
    mg_model_destroy(path);
    world_close(&w);
}

/* What was found is where a refinement begins, bit for bit. */
static void refinement_begins_with_the_path_that_was_found(void **state)
{
    (void)state;
    mg_evolve_config config;
    mg_arena arena = { 0 };
    mg_hop hops[HOPS + 2];
    mg_model_ref refs[2] = { { .path = mg_str_of("a") }, { .path = mg_str_of("b") } };
    mg_genome *any = make("repeats: 1", &config);
    mg_genome *refined = mg_genome_create_refined(&config, NULL, NULL, refs, crooked, HOPS);
    assert_int_equal(mg_genome_dimension(refined), HOPS);
    assert_int_equal(mg_genome_hops(refined, mg_genome_start(refined), hops), HOPS);
    assert_memory_equal(hops, crooked, sizeof(crooked));
    double x[HOPS];
    memcpy(x, mg_genome_start(refined), sizeof(x));
    x[1] += log(2.0);
    mg_genome_hops(refined, x, hops);
    assert_true(fabs((double)hops[1].scale - 2.0 * (double)crooked[1].scale) < 1e-6);
    mg_genome_destroy(refined);
    mg_genome_destroy(any);
    mg_evolve_config_release(&config);
    mg_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodings_have_the_dimensions_of_the_table),
        cmocka_unit_test(every_encoding_starts_at_the_plain_path),
        cmocka_unit_test(first_paths_of_the_paper_have_the_expected_length),
        cmocka_unit_test(paths_keep_their_ends_and_their_limit),
        cmocka_unit_test(only_crossed_pairs_play_a_part),
        cmocka_unit_test(a_plain_path_equals_its_model_bit_for_bit),
        cmocka_unit_test(folded_factors_answer_as_the_path_does),
        cmocka_unit_test(paths_answer_as_transformers_does_with_their_export),
        cmocka_unit_test(paths_own_no_weights),
        cmocka_unit_test(refinement_begins_with_the_path_that_was_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
