/* tests/unit/merge/test_merge.c - whole merges of the bundled models, against mergekit's bytes. */
#include "crc32.h"
#include "support.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "merge/execute.h"
#include "merge/plan.h"
#include "recipe/recipe.h"

#define GOLDEN MG_SOURCE_DIR "/tests/golden/merge"
#define MODELS MG_SOURCE_DIR "/examples/mini/models"

static mg_hub hub;
static mg_model_set *set;
static mg_pool *pool;

/* A sink that fingerprints what it is given as make_goldens.py does. */
typedef struct crc_sink {
    mg_sink sink;
    void *block;
    mg_view spec;
    mg_str *lines; /* "NAME CRC\n" */
    int64_t count;
    mg_arena arena;
    uint32_t result; /* after finish */
} crc_sink;

static mg_status crc_reserve(mg_sink *sink, const mg_view *spec, void **data_out, mg_error *err)
{
    crc_sink *s = (crc_sink *)(void *)sink;
    s->spec = *spec;
    MG_TRY(mg_memory_try(spec->bytes, "test", &s->block, err));
    *data_out = s->block;
    return MG_OK;
}

static mg_status crc_commit(mg_sink *sink, mg_error *err)
{
    (void)err;
    crc_sink *s = (crc_sink *)(void *)sink;
    s->lines = (mg_str *)mg_memory_resize(s->lines, s->count + 1, sizeof(mg_str));
    s->lines[s->count++] = mg_arena_printf(&s->arena, "%.*s %08x\n", MG_STR_ARG(s->spec.name),
                                           test_crc32(s->block, s->spec.bytes));
    mg_free_aligned(s->block);
    s->block = NULL;
    return MG_OK;
}

static int compare_lines(const void *a, const void *b)
{
    return mg_str_compare(*(const mg_str *)a, *(const mg_str *)b);
}

static mg_status crc_finish(mg_sink *sink, mg_error *err)
{
    (void)err;
    crc_sink *s = (crc_sink *)(void *)sink;
    mg_buf text = { NULL, 0, 0 };
    qsort(s->lines, (size_t)s->count, sizeof(mg_str), compare_lines);
    for (int64_t i = 0; i < s->count; i++) {
        mg_buf_add(&text, s->lines[i]);
    }
    s->result = test_crc32(text.data, text.size);
    mg_buf_release(&text);
    return MG_OK;
}

static void crc_close(mg_sink *sink)
{
    crc_sink *s = (crc_sink *)(void *)sink;
    mg_free_aligned(s->block);
    mg_free(s->lines);
    mg_arena_release(&s->arena);
}

static const mg_sink_ops crc_ops = {
    .reserve = crc_reserve, .commit = crc_commit, .finish = crc_finish, .close = crc_close
};

static int torch_threads; /* of the torch that is followed; 0 = 1 */

static int set_up(void **state)
{
    (void)state;
    if (chdir(MODELS) != 0) {
        return 1;
    }
    set = mg_model_set_create(&hub);
    pool = mg_pool_create(2);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mg_pool_destroy(pool);
    mg_model_set_destroy(set);
    return 0;
}

static mg_status run_recipe(const mg_recipe *recipe, const mg_device *device, mg_pool *threads,
                            uint32_t *crc_out, mg_error *err)
{
    mg_plan *plan;
    mg_status status = mg_plan_create(recipe, set, false, &plan, err);
    if (status != MG_OK) {
        return status;
    }
    crc_sink sink;
    memset(&sink, 0, sizeof(sink));
    sink.sink.ops = &crc_ops;
    mg_execute_options options;
    memset(&options, 0, sizeof(options));
    options.has_seed = true;
    options.seed = 42;
    options.torch_threads = torch_threads;
    status = mg_plan_execute(plan, device, threads, &options, &sink.sink, err);
    *crc_out = sink.result;
    mg_sink_close(&sink.sink);
    mg_plan_destroy(plan);
    return status;
}

static uint32_t run_file(const char *name, const char *dtype, const mg_device *device,
                         mg_pool *threads)
{
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    mg_recipe recipe;
    uint32_t crc = 0;
    mg_str path = mg_arena_printf(&arena, GOLDEN "/recipes/%s.yml", name);
    assert_ok(mg_recipe_read(path.data, &arena, &recipe, &err), &err);
    assert_true(mg_dtype_parse_torch(mg_str_of(dtype), &recipe.dtype));
    assert_ok(run_recipe(&recipe, device, threads, &crc, &err), &err);
    mg_arena_release(&arena);
    return crc;
}

static void merges_have_the_bytes_of_mergekit(void **state)
{
    (void)state;
    mg_error err;
    mg_bytes text;
    assert_ok(mg_file_read(GOLDEN "/hashes.txt", 1 << 20, &text, &err), &err);
    mg_str rest = mg_str_make((const char *)text.data, text.size);
    mg_str line;
    int64_t count = 0;
    while (mg_str_split(&rest, '\n', &line)) {
        char name[64], dtype[16];
        unsigned expected;
        char *copy = mg_str_dup(line);
        if (sscanf(copy, "%63s %15s %x", name, dtype, &expected) == 3) {
            uint32_t actual = run_file(name, dtype, mg_device_cpu(mg_isa_best()), pool);
            if (actual != expected) {
                fail_msg("%s in %s is %08x, mergekit gives %08x", name, dtype, actual, expected);
            }
            count++;
        }
        mg_free(copy);
    }
    assert_true(count > 60);
    mg_bytes_release(&text);
}

static void rescaling_follows_the_threads_of_torch(void **state)
{
    (void)state;
    mg_error err;
    mg_bytes text;
    assert_ok(mg_file_read(GOLDEN "/threads.txt", 1 << 20, &text, &err), &err);
    mg_str rest = mg_str_make((const char *)text.data, text.size);
    mg_str line;
    int64_t count = 0;
    while (mg_str_split(&rest, '\n', &line)) {
        char name[64], dtype[16];
        unsigned expected;
        char *copy = mg_str_dup(line);
        if (sscanf(copy, "%63s %15s %d %x", name, dtype, &torch_threads, &expected) == 4) {
            uint32_t actual = run_file(name, dtype, mg_device_cpu(mg_isa_best()), pool);
            if (actual != expected) {
                fail_msg("%s in %s after %d threads is %08x, mergekit gives %08x", name, dtype,
                         torch_threads, actual, expected);
            }
            count++;
        }
        mg_free(copy);
    }
    torch_threads = 0;
    assert_int_equal(count, 8);
    mg_bytes_release(&text);
}

static const char philox_text[] = "merge_method: dare_ties\n"
                                  "base_model: mini-base\n"
                                  "models:\n"
                                  "- model: mini-ja\n"
                                  "  parameters: {weight: 0.7, density: 0.4}\n"
                                  "- model: mini-math-a\n"
                                  "  parameters: {weight: 0.5, density: 0.005}\n"
                                  "- model: mini-math-b\n"
                                  "  parameters: {weight: -0.4, density: 1}\n"
                                  "dtype: bfloat16\n"
                                  "merganser: {mask: philox, seed: 12345678901}\n";

static mg_recipe read_temporary(const char *text, mg_arena *arena)
{
    mg_error err;
    mg_recipe recipe;
    char path[] = "/tmp/merganser-test-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    (void)close(file);
    assert_ok(mg_file_write_atomic(path, mg_str_of(text), &err), &err);
    assert_ok(mg_recipe_read(path, arena, &recipe, &err), &err);
    (void)unlink(path);
    return recipe;
}

/* A merge of one layer and the embeddings, where the whole model would prove no more. */
static mg_recipe read_one_layer(const char *method, const char *density, const char *more,
                                mg_arena *arena)
{
    mg_str text = mg_arena_printf(
        arena,
        "merge_method: %s\n"
        "%s"
        "slices:\n"
        "- sources:\n"
        "  - {model: mini-ja, layer_range: [0, 1], parameters: {weight: 0.6%s%s}}\n"
        "  - {model: mini-math-a, layer_range: [0, 1], parameters: {weight: 0.5}}\n"
        "  - {model: mini-math-b, layer_range: [0, 1], parameters: {weight: 0.3}}\n"
        "%s"
        "%s",
        method, strcmp(method, "multislerp") == 0 ? "" : "base_model: mini-base\n",
        density[0] != '\0' ? ", density: " : "", density,
        strcmp(method, "multislerp") == 0 ? "" : "  - {model: mini-base, layer_range: [0, 1]}\n",
        more);
    return read_temporary(text.data, arena);
}

static void every_device_and_thread_count_gives_the_same_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *method, *density, *more;
    } rows[] = { { "dare_ties", "0.4", "parameters: {density: 0.7}\ndtype: float32\n" },
                 { "ties", "0.5", "parameters: {density: 0.5}\ndtype: float32\n" },
                 { "della", "0.5", "parameters: {density: 0.6}\ndtype: float32\n" },
                 { "multislerp", "", "dtype: float32\n" },
                 { "sce", "", "dtype: float32\n" } };
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(rows); i++) {
        uint32_t expected, actual;
        mg_recipe recipe = read_one_layer(rows[i].method, rows[i].density, rows[i].more, &arena);
        assert_ok(run_recipe(&recipe, mg_device_ref(), NULL, &expected, &err), &err);
        for (int isa = 0; isa <= (int)mg_isa_best(); isa++) {
            const mg_device *device = mg_device_cpu((mg_isa)isa);
            assert_ok(run_recipe(&recipe, device, NULL, &actual, &err), &err);
            assert_int_equal(actual, expected);
            assert_ok(run_recipe(&recipe, device, pool, &actual, &err), &err);
            assert_int_equal(actual, expected);
        }
    }
    mg_arena_release(&arena);
}

/* --- A device whose memory the host may not touch, as far as the executor knows: what it cannot
 * merge has to be merged on the CPU. */

static mg_device far_device;

static void far_free(const mg_device *device, void *block)
{
    mg_device_ref()->free(device, block);
}

static void a_device_with_memory_of_its_own_gives_the_same_bytes(void **state)
{
    (void)state;
    static const char *const names[] = { "dare_ties",   "ties_0.5", "della",  "multislerp",
                                         "breadcrumbs", "sce",      "slices", "model_stock",
                                         "nearswap",    "linear" };
    far_device = *mg_device_ref();
    far_device.name = "far";
    far_device.host_memory = false;
    far_device.free = far_free;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(names); i++) {
        assert_int_equal(run_file(names[i], "bfloat16", &far_device, pool),
                         run_file(names[i], "bfloat16", mg_device_cpu(mg_isa_best()), pool));
    }
    mg_arena arena = { NULL, 0, 0 };
    mg_error err;
    uint32_t far;
    uint32_t near;
    mg_recipe recipe = read_temporary(philox_text, &arena);
    for (int l1 = 0; l1 < 2; l1++) {
        recipe.rescale = l1 != 0 ? MG_RESCALE_L1 : recipe.rescale;
        assert_ok(run_recipe(&recipe, &far_device, pool, &far, &err), &err);
        assert_ok(run_recipe(&recipe, mg_device_cpu(mg_isa_best()), pool, &near, &err), &err);
        assert_int_equal(far, near);
    }
    recipe = read_temporary("merge_method: linear\n"
                            "models:\n"
                            "- {model: mini-base, parameters: {weight: 0.6}}\n"
                            "- {model: mini-ja, parameters: {weight: 0.3}}\n"
                            "tokenizer: {source: union}\n",
                            &arena);
    assert_ok(run_recipe(&recipe, &far_device, pool, &far, &err), &err);
    assert_ok(run_recipe(&recipe, mg_device_cpu(mg_isa_best()), pool, &near, &err), &err);
    assert_int_equal(far, near);
    mg_arena_release(&arena);
}

static void a_saved_search_recipe_rebuilds_the_same_model(void **state)
{
    (void)state;
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    uint32_t first, again, other;
    mg_recipe recipe = read_temporary(philox_text, &arena);
    assert_ok(run_recipe(&recipe, mg_device_cpu(mg_isa_best()), pool, &first, &err), &err);
    mg_buf written = { NULL, 0, 0 };
    mg_recipe_write(&recipe, &written);
    mg_recipe second = read_temporary(written.data, &arena);
    assert_ok(run_recipe(&second, mg_device_ref(), NULL, &again, &err), &err);
    assert_int_equal(first, again);
    second.mask_seed++;
    assert_ok(run_recipe(&second, mg_device_ref(), NULL, &other, &err), &err);
    assert_int_not_equal(first, other);
    second.mask_seed--;
    second.rescale = MG_RESCALE_L1;
    assert_ok(run_recipe(&second, mg_device_ref(), NULL, &again, &err), &err);
    assert_int_not_equal(first, again);
    assert_ok(run_recipe(&second, mg_device_cpu(mg_isa_best()), pool, &other, &err), &err);
    assert_int_equal(again, other);
    mg_buf_release(&written);
    mg_arena_release(&arena);
}

static void not_finite_results_name_the_tensor(void **state)
{
    (void)state;
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    uint32_t crc;
    mg_recipe recipe = read_temporary("merge_method: linear\n"
                                      "models:\n"
                                      "- {model: mini-ja, parameters: {weight: 1}}\n"
                                      "- {model: mini-base, parameters: {weight: -1}}\n",
                                      &arena);
    assert_status(run_recipe(&recipe, mg_device_cpu(mg_isa_best()), pool, &crc, &err),
                  MG_ERR_NUMERIC);
    assert_non_null(strstr(err.message, "lm_head.weight: the result holds NaN or infinity"));
    mg_arena_release(&arena);
}

/* DELLA with the masks of the search: any density, any number of threads. */
static void della_takes_the_masks_of_the_search(void **state)
{
    (void)state;
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    static const char *const densities[] = { "0.05", "0.5", "0.95", "1.0" };
    uint32_t one, other;
    for (int i = 0; i < 4; i++) {
        mg_recipe recipe = read_one_layer("della", densities[i],
                                          "parameters: {density: 0.5}\n"
                                          "merganser: {mask: philox, seed: 5}\n",
                                          &arena);
        assert_ok(run_recipe(&recipe, mg_device_cpu(mg_isa_best()), pool, &one, &err), &err);
        assert_ok(run_recipe(&recipe, mg_device_ref(), NULL, &other, &err), &err);
        assert_int_equal(one, other);
    }
    mg_arena_release(&arena);
}

/* A copy of mini-ja whose last weight is no number. */
static void write_broken_source(const char *folder)
{
    static const char *const files[] = { "config.json", "tokenizer.json", "model.safetensors" };
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    assert_ok(mg_folder_make(folder, &err), &err);
    for (int i = 0; i < 3; i++) {
        mg_bytes bytes = { NULL, 0 };
        const char *from = mg_path_join(&arena, "mini-ja", files[i]).data;
        assert_ok(mg_file_read(from, (size_t)1 << 26, &bytes, &err), &err);
        char *text = (char *)bytes.data;
        if (i == 2) {
            text[bytes.size - 2] = (char)0xc0;
            text[bytes.size - 1] = 0x7f;
        }
        assert_ok(mg_file_write_atomic(mg_path_join(&arena, folder, files[i]).data,
                                       mg_str_make(text, bytes.size), &err),
                  &err);
        mg_bytes_release(&bytes);
    }
    mg_arena_release(&arena);
}

static void not_finite_results_name_the_source_that_is_not(void **state)
{
    (void)state;
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    uint32_t crc;
    char folder[] = "/tmp/mg_broken_XXXXXX";
    assert_non_null(mkdtemp(folder));
    write_broken_source(folder);
    mg_str text = mg_arena_printf(&arena,
                                  "merge_method: linear\n"
                                  "models:\n"
                                  "- {model: mini-base, parameters: {weight: 0.5}}\n"
                                  "- {model: %s, parameters: {weight: 0.5}}\n",
                                  folder);
    mg_recipe recipe = read_temporary(text.data, &arena);
    assert_status(run_recipe(&recipe, mg_device_cpu(mg_isa_best()), pool, &crc, &err),
                  MG_ERR_NUMERIC);
    const char *name = strstr(err.message, "the result holds NaN or infinity, as the tensor of");
    assert_non_null(name);
    assert_non_null(strstr(name, folder));
    assert_ok(mg_folder_remove(folder, &err), &err);
    mg_arena_release(&arena);
}

static bool stop_at_once(void *context, int64_t done, int64_t total)
{
    (void)context;
    (void)done;
    (void)total;
    return false;
}

static void an_interrupted_merge_leaves_nothing_behind(void **state)
{
    (void)state;
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    char folder[] = "/tmp/merganser-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    mg_str out = mg_path_join(&arena, folder, "out");
    mg_recipe recipe = read_temporary(philox_text, &arena);
    mg_merge_options options;
    memset(&options, 0, sizeof(options));
    options.execute.progress = stop_at_once;
    assert_status(mg_merge_to_folder(&recipe, set, mg_device_cpu(mg_isa_best()), pool, &options,
                                     out.data, &err),
                  MG_ERR_INTERRUPTED);
    mg_str *names;
    int64_t count;
    assert_ok(mg_folder_list(folder, &arena, &names, &count, &err), &err);
    assert_int_equal(count, 0);
    assert_ok(mg_folder_remove(folder, &err), &err);
    mg_arena_release(&arena);
}

static void a_folder_opens_as_a_model_with_its_files(void **state)
{
    (void)state;
    mg_error err;
    mg_arena arena = { NULL, 0, 0 };
    char folder[] = "/tmp/merganser-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    mg_str out = mg_path_join(&arena, folder, "out");
    mg_recipe recipe = read_temporary("merge_method: passthrough\n"
                                      "slices:\n"
                                      "- sources: [{model: mini-base, layer_range: [0, 8]}]\n"
                                      "- sources: [{model: mini-ja, layer_range: [3, 6]}]\n"
                                      "out_dtype: float32\n",
                                      &arena);
    mg_merge_options options;
    memset(&options, 0, sizeof(options));
    options.copy_tokenizer = true;
    options.write_model_card = true;
    options.shard_bytes = 3000000;
    assert_ok(mg_merge_to_folder(&recipe, set, mg_device_cpu(mg_isa_best()), pool, &options,
                                 out.data, &err),
              &err);
    static const char *const files[] = { "config.json",
                                         "tokenizer.json",
                                         "tokenizer_config.json",
                                         "generation_config.json",
                                         "README.md",
                                         "mergekit_config.yml",
                                         "model.safetensors.index.json" };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(files); i++) {
        assert_true(mg_path_is_file(mg_path_join(&arena, out.data, files[i]).data));
    }
    mg_snapshot *snapshot;
    mg_model_ref ref;
    memset(&ref, 0, sizeof(ref));
    ref.path = out;
    assert_ok(mg_snapshot_open(&hub, &ref, true, &snapshot, &err), &err);
    assert_int_equal(snapshot->config.layer_count, 11);
    assert_int_equal(snapshot->config.dtype, MG_F32);
    const mg_view *view = mg_checkpoint_find(snapshot->checkpoint,
                                             mg_str_of("model.layers.10.self_attn.q_proj.weight"));
    assert_non_null(view);
    assert_int_equal(view->dtype, MG_F32);
    mg_snapshot_close(snapshot);
    assert_status(mg_merge_to_folder(&recipe, set, mg_device_cpu(mg_isa_best()), pool, &options,
                                     out.data, &err),
                  MG_ERR_EXISTS);
    assert_ok(mg_folder_remove(folder, &err), &err);
    mg_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_have_the_bytes_of_mergekit),
        cmocka_unit_test(rescaling_follows_the_threads_of_torch),
        cmocka_unit_test(every_device_and_thread_count_gives_the_same_bytes),
        cmocka_unit_test(a_device_with_memory_of_its_own_gives_the_same_bytes),
        cmocka_unit_test(a_saved_search_recipe_rebuilds_the_same_model),
        cmocka_unit_test(not_finite_results_name_the_tensor),
        cmocka_unit_test(della_takes_the_masks_of_the_search),
        cmocka_unit_test(not_finite_results_name_the_source_that_is_not),
        cmocka_unit_test(an_interrupted_merge_leaves_nothing_behind),
        cmocka_unit_test(a_folder_opens_as_a_model_with_its_files),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
