/* Paths as candidates: once their layers are loaded, no weight is read again. */
#include "support.h"

#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "evolve/fitness_model.h"

#define MINI MG_SOURCE_DIR "/examples/mini/"
#define QUESTIONS 6

static mg_error err;

static void copy_model(const char *name, const char *folder, mg_arena *arena)
{
    static const char *const files[] = { "config.json", "generation_config.json", "tokenizer.json",
                                         "tokenizer_config.json", "model.safetensors" };
    const char *to = mg_path_join(arena, folder, name).data;
    assert_ok(mg_folder_make(to, &err), &err);
    for (int64_t i = 0; i < MG_ARRAY_COUNT(files); i++) {
        mg_bytes bytes = { 0 };
        const char *from = mg_arena_printf(arena, MINI "models/%s/%s", name, files[i]).data;
        assert_ok(mg_file_read(from, (size_t)64 << 20, &bytes, &err), &err);
        mg_str text = mg_str_make((const char *)bytes.data, bytes.size);
        assert_ok(mg_file_write_atomic(mg_path_join(arena, to, files[i]).data, text, &err), &err);
        mg_bytes_release(&bytes);
    }
}

static void done(void *context, int64_t index)
{
    (void)index;
    (*(int *)context)++;
}

/* The answers of x, or of a source where x is NULL. */
static void ask(mg_fitness *fitness, const double *x, int64_t source, double *values)
{
    mg_question questions[QUESTIONS];
    mg_str texts[QUESTIONS];
    int finished = 0;
    for (int32_t i = 0; i < QUESTIONS; i++) {
        questions[i] = (mg_question){ 0, i };
    }
    mg_job job = { .genome = x,
                   .source = source,
                   .questions = questions,
                   .question_count = QUESTIONS,
                   .values = values,
                   .texts = texts };
    assert_ok(fitness->ops->evaluate(fitness, &job, 1, done, &finished, &err), &err);
    assert_ok(job.status, &job.error);
    assert_int_equal(finished, 1);
    mg_arena_release(&job.arena);
}

typedef struct world {
    mg_arena arena;
    char folder[64];
    mg_evolve_config config;
    mg_model_set *models;
    mg_task *task;
    int64_t metric;
    mg_genome *genome;
    mg_fitness *fitness;
} world;

static void world_open(world *w)
{
    const int64_t layers[2] = { 8, 8 };
    static const char *const paths[] = { MINI "tasks" };
    memset(w, 0, sizeof(*w));
    snprintf(w->folder, sizeof(w->folder), "/tmp/mg_paths_XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    copy_model("mini-math-a", w->folder, &w->arena);
    copy_model("mini-ja", w->folder, &w->arena);
    const char *file = mg_path_join(&w->arena, w->folder, "search.yml").data;
    mg_str text = mg_arena_printf(&w->arena,
                                  "genome: {models: [%s/mini-math-a, %s/mini-ja]}\n"
                                  "tasks: [mini_ja_train]\nsearch: {space: dfs, repeats: 1}\n",
                                  w->folder, w->folder);
    assert_ok(mg_file_write_atomic(file, text, &err), &err);
    mg_evolve_overrides none = { 0 };
    assert_ok(mg_evolve_config_read(file, &none, &w->config, &err), &err);
    w->models = mg_model_set_create(NULL);
    for (int64_t m = 0; m < 2; m++) {
        mg_snapshot *snapshot;
        assert_ok(mg_model_set_get(w->models, &w->config.genome.models[m], &snapshot, &err), &err);
    }
    mg_task_options options = { .include_paths = paths, .include_count = 1, .num_fewshot = -1 };
    assert_ok(mg_task_open("mini_ja_train", &options, &w->task, &err), &err);
    w->metric = mg_task_metric_find(w->task, mg_str_of("acc,none"));
    assert_true(w->metric >= 0);
    w->genome = mg_genome_create_path(&w->config, layers, NULL);
    mg_model_fitness_options fitness = { .genome = w->genome,
                                         .models = w->models,
                                         .device = mg_device_cpu(mg_isa_best()),
                                         .dtype = MG_DTYPE_COUNT,
                                         .sources = w->config.genome.models,
                                         .source_count = 2,
                                         .tasks = &w->task,
                                         .metrics = &w->metric,
                                         .task_count = 1 };
    assert_ok(mg_model_fitness_create(&fitness, &w->fitness, &err), &err);
}

static void world_close(world *w)
{
    mg_fitness_destroy(w->fitness);
    mg_genome_destroy(w->genome);
    mg_task_close(w->task);
    mg_model_set_destroy(w->models);
    mg_evolve_config_release(&w->config);
    assert_ok(mg_folder_remove(w->folder, &err), &err);
    mg_arena_release(&w->arena);
}

/* Reading behind the end of a mapped file would kill the process. */
static void candidates_read_no_weight_once_the_layers_are_loaded(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    int64_t n = mg_genome_dimension(w.genome);
    double *x = mg_new_array(double, n);
    double before[2][QUESTIONS];
    double after[2][QUESTIONS];
    memcpy(x, mg_genome_start(w.genome), (size_t)n * sizeof(double));
    ask(w.fitness, NULL, 0, before[0]);
    ask(w.fitness, x, -1, before[1]);
    assert_memory_equal(before[0], before[1], sizeof(before[0])); /* the plain path is its model */
    for (int m = 0; m < 2; m++) {
        const char *name = m == 0 ? "mini-math-a" : "mini-ja";
        const char *weights =
            mg_arena_printf(&w.arena, "%s/%s/model.safetensors", w.folder, name).data;
        assert_int_equal(truncate(weights, 0), 0);
    }
    for (int round = 0; round < 2; round++) {
        ask(w.fitness, x, -1, after[0]);
        assert_memory_equal(after[0], before[1], sizeof(after[0]));
        x[7 + 2] = 1.0; /* a layer of the second model */
        ask(w.fitness, x, -1, after[1]);
        x[7 + 2] = 0.0;
    }
    ask(w.fitness, NULL, 1, after[1]);
    mg_free(x);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(candidates_read_no_weight_once_the_layers_are_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
