/* cli/evaluating.c - models for eval, and the samples file. */
#include "cli/evaluating.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"
#include "merge/execute.h"
#include "recipe/recipe.h"
#include "text/json.h"

static bool show_progress(void *context, int64_t done, int64_t total)
{
    mg_cli_progress((mg_cli *)context, "merging", done, total, NULL);
    return !mg_cli_interrupted();
}

static bool interrupted(void *context)
{
    (void)context;
    return mg_cli_interrupted();
}

/* A folder that lives as long as the merge is made: NULL when it cannot be. */
static const char *make_folder(mg_arena *arena, mg_error *err)
{
    const char *place = getenv("TMPDIR");
    place = place != NULL && place[0] != '\0' ? place : "/tmp";
    char *folder = mg_str_dup(mg_path_join(arena, place, "merganser-XXXXXX"));
    const char *made =
        mkdtemp(folder) != NULL ? mg_arena_copy(arena, mg_str_of(folder)).data : NULL;
    if (made == NULL) {
        (void)mg_fail(err, MG_ERR_IO, "%s: %s", folder, strerror(errno));
    }
    mg_free(folder);
    return made;
}

/* The recipe at path whose weights are wanted; merges that it needs are made in folder. */
static mg_status read_recipe(mg_cli *cli, const char *path, const mg_execute_options *execute,
                             const char *folder, mg_arena *arena, mg_model_set *set,
                             mg_recipe *recipe_out, mg_error *err)
{
    mg_recipe *recipes;
    int64_t count;
    MG_TRY(mg_recipe_read_all(path, arena, &recipes, &count, err));
    int64_t final = 0;
    for (int64_t i = 0; i < count && count > 1; i++) {
        final = recipes[i].name.size == 0 ? i : final;
    }
    if (count > 1) {
        mg_merge_options options;
        memset(&options, 0, sizeof(options));
        options.execute = *execute;
        options.copy_tokenizer = true;
        const char *parts = mg_path_join(arena, folder, "parts").data;
        MG_TRY(mg_merge_documents(recipes, count, set, mg_device_cpu(mg_isa_best()),
                                  mg_cli_pool(cli), &options, parts, false, NULL, arena, err));
    }
    *recipe_out = recipes[final];
    return MG_OK;
}

static mg_status open_merge(mg_cli *cli, const char *path, const mg_engine_options *options,
                            mg_evaluated *evaluated, mg_error *err)
{
    mg_status status = MG_OK;
    mg_arena arena = { NULL, 0, 0 };
    mg_recipe recipe;
    mg_model_config config;
    bool has_config = false;
    mg_running *running = &evaluated->running;
    const mg_device *device = NULL;
    mg_stream *stream = NULL;
    mg_execute_options execute;
    memset(&execute, 0, sizeof(execute));
    execute.has_seed = mg_cli_has_seed(cli);
    execute.seed = mg_cli_seed(cli);
    execute.torch_threads = mg_cpu_count();
    execute.progress = show_progress;
    execute.progress_context = cli;

    const char *folder = make_folder(&arena, err);
    if (folder == NULL) {
        mg_arena_release(&arena);
        return MG_ERR_IO;
    }
    evaluated->set = mg_model_set_create(mg_cli_hub(cli));
    MG_TRY_OR_DONE(read_recipe(cli, path, &execute, folder, &arena, evaluated->set, &recipe, err));
    MG_TRY_OR_DONE(mg_plan_create(&recipe, evaluated->set, false, &evaluated->plan, err));
    MG_TRY_OR_DONE(mg_merge_describe(evaluated->plan, &recipe, folder, err));
    MG_TRY_OR_DONE(mg_model_config_read(folder, true, &config, err));
    has_config = true;
    MG_TRY_OR_DONE(mg_tokenizer_open(folder, &running->tokenizer, err));
    MG_TRY_OR_DONE(mg_cli_device(cli, &device, err));
    MG_TRY_OR_DONE(
        mg_model_create(&config, device, mg_running_dtype(cli, &config), &running->model, err));
    MG_TRY_OR_DONE(device->stream_create(device, mg_cli_pool(cli), &stream, err));
    status = mg_plan_execute(evaluated->plan, device, mg_cli_pool(cli), &execute,
                             mg_model_sink(running->model, stream), err);
    mg_cli_progress_end(cli);
    if (status != MG_OK) {
        goto done;
    }
    MG_TRY_OR_DONE(mg_engine_create(running->model, running->tokenizer, mg_cli_pool(cli), options,
                                    &running->engine, err));
    mg_engine_stop_when(running->engine, interrupted, NULL);

done:
    if (stream != NULL) {
        device->stream_destroy(stream);
    }
    if (has_config) {
        mg_model_config_release(&config);
    }
    mg_error ignored; /* what went wrong before is told */
    if (mg_folder_remove(folder, &ignored) != MG_OK) {
        mg_error_clear(&ignored);
    }
    mg_arena_release(&arena);
    return status;
}

mg_status mg_evaluated_open(mg_cli *cli, const char *reference, const mg_engine_options *options,
                            mg_evaluated *evaluated_out, mg_error *err)
{
    memset(evaluated_out, 0, sizeof(*evaluated_out));
    mg_str name = mg_str_of(reference);
    bool is_merge =
        (mg_str_ends(name, ".yaml") || mg_str_ends(name, ".yml")) && !mg_path_is_folder(reference);
    mg_status status = is_merge
                           ? open_merge(cli, reference, options, evaluated_out, err)
                           : mg_running_open(cli, reference, options, &evaluated_out->running, err);
    if (status != MG_OK) {
        mg_evaluated_close(evaluated_out);
        return status;
    }
    mg_sampling of_tasks = { 0 };
    mg_running_note_rules(&evaluated_out->running, &of_tasks);
    return MG_OK;
}

void mg_evaluated_close(mg_evaluated *evaluated)
{
    if (evaluated != NULL) {
        mg_running_close(&evaluated->running);
        mg_plan_destroy(evaluated->plan);
        mg_model_set_destroy(evaluated->set);
        memset(evaluated, 0, sizeof(*evaluated));
    }
}

/* ---- samples ---- */

static void add_key(mg_buf *line, const char *key)
{
    mg_buf_add_text(line, line->size > 1 ? ", " : "");
    mg_json_write_str(line, mg_str_of(key), false);
    mg_buf_add_text(line, ": ");
}

static void add_text(mg_buf *line, const char *key, mg_str text)
{
    add_key(line, key);
    mg_json_write_str(line, text, false);
}

static void add_value(mg_buf *line, const char *key, const mg_value *value)
{
    add_key(line, key);
    mg_json_write(line, value, NULL);
}

static void add_responses(mg_buf *line, const mg_task *task, const mg_item_result *result)
{
    add_key(line, "resps");
    mg_buf_add_char(line, '[');
    for (int64_t i = 0; i < result->response_count; i++) {
        mg_buf_add_text(line, i > 0 ? ", " : "");
        if (result->responses != NULL) {
            mg_json_write_str(line, result->responses[i], false);
            continue;
        }
        mg_value number = mg_value_of_double(result->scores[i].logprob);
        bool rolls = mg_task_output_type(task) == MG_LOGLIKELIHOOD_ROLLING;
        mg_buf_add_text(line, rolls ? "" : "[");
        mg_json_write(line, &number, NULL);
        mg_buf_add_text(line, rolls ? "" : result->scores[i].is_greedy ? ", true]" : ", false]");
    }
    mg_buf_add_char(line, ']');
}

/* The metrics of one filter: "acc": 1.0 for each key "acc,FILTER". */
static void add_metrics(mg_buf *line, const mg_task *task, const mg_item_result *result,
                        mg_str filter)
{
    int64_t keys = mg_task_metric_count(task);
    int64_t extras = result->extras != NULL ? result->extras->count : 0;
    for (int64_t i = 0; i < keys + extras; i++) {
        mg_str key =
            i < keys ? mg_task_metric(task, i) : result->extras->entries[i - keys].key.string;
        const mg_value *value =
            i < keys ? result->values[i] : &result->extras->entries[i - keys].value;
        int64_t comma = mg_str_find(key, mg_str_of(","), 0);
        if (value == NULL || comma < 0 ||
            !mg_str_equal(mg_str_slice(key, (size_t)comma + 1, key.size), filter)) {
            continue;
        }
        mg_buf_add_text(line, ", ");
        mg_json_write_str(line, mg_str_slice(key, 0, (size_t)comma), false);
        mg_buf_add_text(line, ": ");
        mg_json_write(line, value, NULL);
    }
}

mg_status mg_sample_write(FILE *file, const mg_task *task, const mg_prepared_task *prepared,
                          const mg_item_result *result, mg_error *err)
{
    mg_status status = MG_OK;
    mg_arena arena = { NULL, 0, 0 };
    mg_buf line = { NULL, 0, 0 };
    mg_value arguments;
    mg_value target = mg_task_target(task, result->item);
    mg_value item = mg_value_of_int(result->item);
    MG_TRY_OR_DONE(mg_prepared_task_arguments(prepared, result->item, &arena, &arguments, err));
    for (int64_t f = 0; f < mg_task_filter_count(task); f++) {
        mg_buf_clear(&line);
        mg_buf_add_char(&line, '{');
        add_text(&line, "task", mg_task_name(task));
        add_value(&line, "doc_id", &item);
        add_value(&line, "doc", mg_task_item(task, result->item));
        add_value(&line, "target", &target);
        add_value(&line, "arguments", &arguments);
        add_responses(&line, task, result);
        add_value(&line, "filtered_resps", &result->filtered[f]);
        add_text(&line, "filter", mg_task_filter(task, f));
        add_metrics(&line, task, result, mg_task_filter(task, f));
        if (result->failed) {
            add_text(&line, "error", mg_str_of(result->message != NULL ? result->message : ""));
        }
        mg_buf_add_text(&line, "}\n");
        if (fwrite(line.data, 1, line.size, file) != line.size) {
            status = mg_fail(err, errno == ENOSPC ? MG_ERR_SPACE : MG_ERR_IO,
                             "cannot be written: %s", strerror(errno));
            goto done;
        }
    }

done:
    mg_buf_release(&line);
    mg_arena_release(&arena);
    return status;
}
