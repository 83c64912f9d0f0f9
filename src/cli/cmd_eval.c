/* cli/cmd_eval.c - scores a model on tasks of lm-evaluation-harness, or compares two such runs. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/evaluating.h"
#include "eval/suite_report.h"
#include "eval/suite.h"
#include "text/json.h"
#include "text/yaml.h"

/* An option of the harness that has no meaning here. */
#define IGNORED(name, value, why)                                                                  \
    {                                                                                              \
        name, 0, NULL, MG_OPTION_TEXT, value, NULL, NULL, "As in the harness.", why                \
    }

static const mg_option options[] = {
    { "tasks", 't', NULL, MG_OPTION_TEXTS, "A,B", NULL, NULL,
      "Tasks, groups, tags, task files, or patterns such as 'mgsm_*', separated by commas; or a "
      "folder of task files, with a '/' in its name.",
      NULL },
    { "include-path", 'I', "include_path", MG_OPTION_TEXTS, "DIR", NULL, NULL,
      "A folder of task files; may be repeated.", NULL },
    { "output", 'o', "output_path", MG_OPTION_TEXT, "FILE", NULL, NULL,
      "Write the results as JSON.", NULL },
    { "log-samples", 's', NULL, MG_OPTION_TEXT, "FILE", NULL, NULL,
      "Write every question with its answers and scores as JSON lines.", NULL },
    { "limit", 'L', NULL, MG_OPTION_NUMBER, "N", "0", NULL,
      "Only the first N rows of each task, or that share of them below 1.", NULL },
    { "num-fewshot", 'f', "num_fewshot", MG_OPTION_INT, "N", "-1", NULL,
      "Examples in each prompt (default: as the task says).", NULL },
    { "apply-chat-template", 0, "apply_chat_template", MG_OPTION_SWITCH, "NAME", NULL, NULL,
      "Ask through the model's chat template, or that of its templates.", NULL },
    { "fewshot-as-multiturn", 0, "fewshot_as_multiturn", MG_OPTION_FLAG, NULL, "on", NULL,
      "With a chat template: examples as turns of their own.", NULL },
    { "system-instruction", 0, "system_instruction", MG_OPTION_TEXT, "TEXT", NULL, NULL,
      "A text in front of every prompt.", NULL },
    { "gen-kwargs", 0, "gen_kwargs", MG_OPTION_TEXT, "K=V,...", NULL, NULL,
      "Generation arguments over those of the tasks.", NULL },
    { "batch-size", 'b', "batch_size", MG_OPTION_TEXT, "N", "auto", NULL,
      "Requests computed together, or auto.", NULL },
    { "max-length", 0, NULL, MG_OPTION_INT, "N", "0", NULL,
      "Tokens that the model sees at most; 0 = all it can.", NULL },
    { "fewshot-seed", 0, NULL, MG_OPTION_INT, "N", "1234", NULL,
      "Seed of the choice of examples; --seed sets it too.", NULL },
    { "predict-only", 'x', "predict_only", MG_OPTION_FLAG, NULL, NULL, NULL,
      "Answers without scores, for --log-samples.", NULL },
    { "bootstrap-iters", 0, "bootstrap_iters", MG_OPTION_INT, "N", "100000", NULL,
      "Resamples of the standard errors that need them; 0 = no standard errors.", NULL },
    { "python", 0, NULL, MG_OPTION_TEXT, "PROGRAM", NULL, NULL,
      "The Python that runs functions of task files (default: MERGANSER_PYTHON, else python3).",
      NULL },
    { "python-timeout", 0, NULL, MG_OPTION_NUMBER, "SECONDS", "60", NULL,
      "The longest that one call of such a function may take.", NULL },
    { "confirm-run-unsafe-code", 0, "confirm_run_unsafe_code", MG_OPTION_FLAG, NULL, NULL, NULL,
      "Allow tasks that run code which the model writes.", NULL },
    { "compare", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL,
      "Compare two files of results or samples, A and B, question by question.", NULL },
    { "metric", 0, NULL, MG_OPTION_TEXT, "NAME", NULL, NULL,
      "The metric to compare (default: the first).", NULL },
    IGNORED("model", "TYPE", "MODEL names the model"),
    IGNORED("model_args", "ARGS", "MODEL names the model, --dtype and --device how it runs"),
    IGNORED("max_batch_size", "N", "--batch-size auto takes what fits"),
    IGNORED("use_cache", "PATH", "answers are computed anew"),
    IGNORED("cache_requests", "true", "prompts are made anew, which takes no time"),
    IGNORED("verbosity", "LEVEL", "-v and -q say how much is told"),
    IGNORED("wandb_args", "ARGS", "--output writes the results, nothing is sent"),
    IGNORED("hf_hub_log_args", "ARGS", "--output writes the results, nothing is sent"),
    { "write_out", 'w', NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "As in the harness.",
      "--log-samples shows the prompts" },
    { "show_config", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "As in the harness.",
      "--output holds it" },
    { "check_integrity", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "As in the harness.",
      "it tests the harness itself" },
    { "trust_remote_code", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "As in the harness.",
      "code of data sets and models is never run" },
};

typedef struct eval_job {
    mg_cli *cli;
    const mg_args *args;
    mg_arena arena;
    const char **names; /* of tasks */
    int64_t name_count;
    const char **include_paths;
    mg_task_options task_options;
    mg_value gen_kwargs;
    mg_suite *suite;
    mg_evaluated model;
    mg_prepared_task **prepared;
    mg_task_results **results;
    mg_buf *scores; /* of each task: JSON lists of its items' scores, one for each metric */
    FILE *samples;
    char *samples_path;         /* while being written */
    const char *samples_target; /* what it becomes */
    int64_t total;
    int64_t done;
    /* of the task that runs */
    int64_t task;
    mg_status item_status;
    mg_error item_error;
} eval_job;

static void add_name(eval_job *job, const char *name)
{
    for (int64_t i = 0; i < job->name_count; i++) {
        if (strcmp(job->names[i], name) == 0) {
            return;
        }
    }
    job->names[job->name_count++] = name;
}

/* One name that is a folder stands for the task files in it. */
static mg_status read_folder(eval_job *job, mg_error *err)
{
    const char *folder = job->names[0];
    mg_str *files;
    int64_t count;
    MG_TRY(mg_folder_list(folder, &job->arena, &files, &count, err));
    job->names = mg_arena_array(&job->arena, const char *, count + 1);
    job->name_count = 0;
    for (int64_t i = 0; i < count; i++) {
        if (mg_str_ends(files[i], ".yaml")) {
            add_name(job, mg_path_join(&job->arena, folder, files[i].data).data);
        }
    }
    return job->name_count > 0
               ? MG_OK
               : mg_fail(err, MG_ERR_USAGE, "--tasks: folder %s holds no *.yaml", folder);
}

static void read_names(eval_job *job)
{
    int64_t room = 1;
    for (int64_t i = 0; i < mg_args_text_count(job->args, "tasks"); i++) {
        const char *text = mg_args_text_at(job->args, "tasks", i);
        for (const char *c = text; *c != '\0'; c++) {
            room += *c == ',';
        }
        room++;
    }
    job->names = mg_arena_array(&job->arena, const char *, room);
    for (int64_t i = 0; i < mg_args_text_count(job->args, "tasks"); i++) {
        mg_str rest = mg_str_of(mg_args_text_at(job->args, "tasks", i));
        mg_str part;
        while (mg_str_split(&rest, ',', &part)) {
            part = mg_str_trim(part);
            if (part.size > 0) {
                add_name(job, mg_arena_copy(&job->arena, part).data);
            }
        }
    }
}

/* The next part of a list at commas outside of brackets and quotes. */
static bool split_top_level(mg_str *rest, mg_str *part_out)
{
    int depth = 0;
    char quote = 0;
    size_t at = 0;
    if (rest->size == 0) {
        return false;
    }
    for (; at < rest->size; at++) {
        char c = rest->data[at];
        if (quote != 0) {
            quote = c == quote ? 0 : quote;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '[' || c == '{') {
            depth++;
        } else if (c == ']' || c == '}') {
            depth--;
        } else if (c == ',' && depth == 0) {
            break;
        }
    }
    *part_out = mg_str_slice(*rest, 0, at);
    *rest = mg_str_slice(*rest, MG_MIN(at + 1, rest->size), rest->size);
    return true;
}

/* "temperature=0.8,until=[\"x\",\"y\"]" or a JSON object, as a map. */
static mg_status read_gen_kwargs(eval_job *job, const char *text, mg_error *err)
{
    if (text == NULL) {
        return MG_OK;
    }
    mg_str rest = mg_str_of(text);
    if (mg_str_starts(rest, "{")) {
        MG_TRY(mg_json_parse(rest, "--gen-kwargs", &job->arena, &job->gen_kwargs, err));
    } else {
        mg_str part;
        job->gen_kwargs = mg_value_of_map(&job->arena, (int64_t)rest.size);
        job->gen_kwargs.count = 0;
        while (split_top_level(&rest, &part)) {
            int64_t equals = mg_str_find(part, mg_str_of("="), 0);
            if (equals <= 0) {
                return mg_fail(err, MG_ERR_USAGE,
                               "--gen-kwargs: '%.*s' must be KEY=VALUE, or give a JSON object",
                               MG_STR_ARG(part));
            }
            mg_entry *entry = &job->gen_kwargs.entries[job->gen_kwargs.count++];
            entry->key = mg_value_of_str(&job->arena, mg_str_slice(part, 0, (size_t)equals));
            MG_TRY(mg_yaml_parse(mg_str_slice(part, (size_t)equals + 1, part.size), "--gen-kwargs",
                                 &job->arena, &entry->value, err));
        }
    }
    job->task_options.gen_kwargs = &job->gen_kwargs;
    return MG_OK;
}

/* Whether the file of option can be written, before hours of work are lost to a wrong name. */
static mg_status check_file(eval_job *job, const char *option, mg_error *err)
{
    const char *path = mg_args_text(job->args, option);
    if (path == NULL) {
        return MG_OK;
    }
    const char *target;
    MG_TRY(mg_file_target(&job->arena, path, &target, err));
    const char *folder = mg_path_folder(&job->arena, target).data;
    if (mg_path_is_folder(path) || mg_str_ends(mg_str_of(path), "/")) {
        return mg_fail(err, MG_ERR_USAGE, "--%s: '%s' is a folder, expected the name of a file",
                       option, path);
    }
    struct stat old;
    if (lstat(target, &old) == 0 && !S_ISREG(old.st_mode)) {
        return mg_fail(err, MG_ERR_USAGE,
                       "--%s: '%s' is a device or a pipe, which the file would replace", option,
                       path);
    }
    if (!mg_path_is_folder(folder)) {
        return mg_fail(err, MG_ERR_NOT_FOUND, "--%s: '%s': there is no folder '%s'", option, path,
                       folder);
    }
    if (access(folder, W_OK) != 0) {
        return mg_fail(err, MG_ERR_IO, "--%s: '%s': %s", option, path, strerror(errno));
    }
    return MG_OK;
}

static mg_status read_options(eval_job *job, mg_error *err)
{
    const mg_args *args = job->args;
    mg_task_options *task = &job->task_options;
    int64_t paths = mg_args_text_count(args, "include-path");
    MG_TRY(check_file(job, "output", err));
    MG_TRY(check_file(job, "log-samples", err));
    read_names(job);
    if (job->name_count == 0) {
        return mg_fail(err, MG_ERR_USAGE, "--tasks is missing: name tasks or task files");
    }
    if (job->name_count == 1 && mg_path_is_folder(job->names[0]) &&
        strchr(job->names[0], '/') != NULL) {
        MG_TRY(read_folder(job, err));
    }
    job->include_paths = mg_arena_array(&job->arena, const char *, paths + 1);
    for (int64_t i = 0; i < paths; i++) {
        job->include_paths[i] = mg_args_text_at(args, "include-path", i);
    }
    task->include_paths = job->include_paths;
    task->include_count = paths;
    task->hub = mg_cli_hub(job->cli);
    task->limit = mg_args_number(args, "limit");
    task->num_fewshot = mg_args_int(args, "num-fewshot");
    task->apply_chat_template = mg_args_flag(args, "apply-chat-template");
    task->chat_template = mg_str_of(mg_args_text(args, "apply-chat-template"));
    task->fewshot_as_multiturn = mg_args_flag(args, "fewshot-as-multiturn");
    task->predict_only = mg_args_flag(args, "predict-only");
    task->system_instruction = mg_str_of(mg_args_text(args, "system-instruction"));
    bool seeded = mg_cli_has_seed(job->cli) && !mg_args_given(args, "fewshot-seed");
    task->fewshot_seed =
        seeded ? mg_cli_seed(job->cli) : (uint64_t)mg_args_int(args, "fewshot-seed");
    task->python = mg_args_text(args, "python");
    if (task->python == NULL) {
        task->python = getenv("MERGANSER_PYTHON");
    }
    task->python_timeout_s = mg_args_number(args, "python-timeout");
    task->confirm_unsafe_code = mg_args_flag(args, "confirm-run-unsafe-code");
    task->prepared_folder = getenv("HF_DATASETS_CACHE");
    if (!(task->limit >= 0) || !(task->python_timeout_s > 0)) {
        return mg_fail(err, MG_ERR_USAGE, "--limit must be 0 or more, --python-timeout above 0");
    }
    return read_gen_kwargs(job, mg_args_text(args, "gen-kwargs"), err);
}

static mg_status open_model(eval_job *job, mg_error *err)
{
    mg_engine_options engine = { 0 };
    const char *batch = mg_args_text(job->args, "batch-size");
    int64_t size = 0;
    if (strncmp(batch, "auto", 4) != 0 && (!mg_str_to_int(mg_str_of(batch), &size) || size < 1)) {
        return mg_fail(err, MG_ERR_USAGE, "--batch-size is '%s', expected a number or auto", batch);
    }
    engine.batch_max = size;
    engine.positions_max = mg_args_int(job->args, "max-length");
    return mg_evaluated_open(job->cli, mg_args_operand(job->args, 0), &engine, &job->model, err);
}

static mg_status open_samples(eval_job *job, mg_error *err)
{
    const char *path = mg_args_text(job->args, "log-samples");
    if (path == NULL) {
        return MG_OK;
    }
    MG_TRY(mg_file_target(&job->arena, path, &job->samples_target, err));
    job->samples_path = mg_str_dup(mg_arena_printf(&job->arena, "%s.part", job->samples_target));
    job->samples = fopen(job->samples_path, "wb");
    if (job->samples == NULL) {
        return mg_fail(err, MG_ERR_IO, "%s: %s", job->samples_path, strerror(errno));
    }
    return MG_OK;
}

/* The samples file gets its name when it is whole. */
static mg_status finish_samples(eval_job *job, mg_error *err)
{
    const char *path = mg_args_text(job->args, "log-samples");
    if (job->samples == NULL) {
        return MG_OK;
    }
    int failed = fflush(job->samples) != 0;
    failed = fclose(job->samples) != 0 || failed;
    job->samples = NULL;
    if (failed || rename(job->samples_path, job->samples_target) != 0) {
        return mg_fail(err, errno == ENOSPC ? MG_ERR_SPACE : MG_ERR_IO, "%s: %s", path,
                       strerror(errno));
    }
    mg_free(job->samples_path);
    job->samples_path = NULL;
    return MG_OK;
}

/* Notes what the item scored, for --compare: a list of its metrics, null where it has none. */
static void note_scores(eval_job *job, const mg_item_result *result)
{
    mg_buf *text = &job->scores[job->task];
    int64_t count = mg_task_metric_count(mg_suite_task(job->suite, job->task));
    mg_buf_add_text(text, text->size > 0 ? ", [" : "[");
    for (int64_t i = 0; i < count; i++) {
        mg_buf_add_text(text, i > 0 ? ", " : "");
        if (result->failed || !isfinite(result->metrics[i])) {
            mg_buf_add_text(text, "null");
        } else {
            mg_buf_add_double(text, result->metrics[i]);
        }
    }
    mg_buf_add_char(text, ']');
}

static bool take_item(void *context, const mg_item_result *result)
{
    eval_job *job = context;
    mg_task_results_add(job->results[job->task], result);
    note_scores(job, result);
    if (job->samples != NULL && job->item_status == MG_OK) {
        job->item_status = mg_sample_write(job->samples, mg_suite_task(job->suite, job->task),
                                           job->prepared[job->task], result, &job->item_error);
        if (job->item_status != MG_OK) {
            mg_error_prefix(&job->item_error, "%s", mg_args_text(job->args, "log-samples"));
        }
    }
    job->done++;
    return job->item_status == MG_OK && !mg_cli_interrupted();
}

static mg_status run_task(eval_job *job, int64_t index, mg_error *err)
{
    mg_task *task = mg_suite_task(job->suite, index);
    int64_t count = mg_task_item_count(task);
    /* Pieces, so that progress shows and an interrupt is heard; the answers do not depend on them.
     */
    int64_t piece = MG_MAX(count / 20, 256);
    int64_t *items = mg_new_array(int64_t, piece);
    mg_status status = MG_OK;
    job->task = index;
    for (int64_t begin = 0; begin < count && status == MG_OK; begin += piece) {
        int64_t size = MG_MIN(piece, count - begin);
        for (int64_t i = 0; i < size; i++) {
            items[i] = begin + i;
        }
        status = mg_run_items(job->prepared[index], job->model.running.engine, items, size,
                              take_item, job, err);
        if (job->item_status != MG_OK) {
            *err = job->item_error;
            status = job->item_status;
        }
        mg_cli_progress(job->cli, "answering", job->done, job->total, mg_task_name(task).data);
        if (status == MG_OK && mg_cli_interrupted()) {
            status = mg_fail(err, MG_ERR_INTERRUPTED, "interrupted");
        }
    }
    mg_free(items);
    return status;
}

static mg_status run_tasks(eval_job *job, mg_error *err)
{
    int64_t tasks = mg_suite_task_count(job->suite);
    int64_t longest = mg_args_int(job->args, "max-length");
    int64_t positions = mg_model_max_positions(job->model.running.model);
    longest = longest > 0 ? MG_MIN(longest, positions) : positions;
    job->prepared = mg_new_array(mg_prepared_task *, tasks);
    job->results = mg_new_array(mg_task_results *, tasks);
    job->scores = mg_new_array(mg_buf, tasks);
    for (int64_t i = 0; i < tasks; i++) {
        mg_task *task = mg_suite_task(job->suite, i);
        MG_TRY(
            mg_prepare_task(task, job->model.running.tokenizer, longest, &job->prepared[i], err));
        job->results[i] = mg_task_results_create(task);
        job->total += mg_task_item_count(task);
    }
    for (int64_t i = 0; i < tasks; i++) {
        MG_TRY(run_task(job, i, err));
    }
    return MG_OK;
}

static void put(mg_value *map, mg_arena *arena, const char *key, mg_value value)
{
    map->entries[map->count].key = mg_value_of_str(arena, mg_str_of(key));
    map->entries[map->count++].value = value;
}

/* {task: {"hash", "metrics": [key, ...], "scores": [[number, ...] of each item, ...]}} */
static mg_status items_value(eval_job *job, mg_value *items_out, mg_error *err)
{
    mg_arena *arena = &job->arena;
    int64_t count = mg_suite_task_count(job->suite);
    *items_out = mg_value_of_map(arena, count);
    items_out->count = 0;
    for (int64_t i = 0; i < count; i++) {
        const mg_task *task = mg_suite_task(job->suite, i);
        char hash[64];
        mg_task_rows_hash(task, hash);
        mg_value metrics = mg_value_of_list(arena, mg_task_metric_count(task));
        for (int64_t m = 0; m < metrics.count; m++) {
            metrics.items[m] = mg_value_of_str(arena, mg_task_metric(task, m));
        }
        mg_str text =
            mg_arena_printf(arena, "[%s]", job->scores[i].data != NULL ? job->scores[i].data : "");
        mg_value scores;
        MG_TRY(mg_json_parse(text, "scores", arena, &scores, err));
        mg_value entry = mg_value_of_map(arena, 3);
        entry.count = 0;
        put(&entry, arena, "hash", mg_value_of_str(arena, mg_str_of(hash)));
        put(&entry, arena, "metrics", metrics);
        put(&entry, arena, "scores", scores);
        put(items_out, arena, mg_task_name(task).data, entry);
    }
    return MG_OK;
}

/* Adds what was asked for and who answered to the report. */
static mg_value complete_report(eval_job *job, const mg_value *report, const mg_value *items,
                                double seconds)
{
    mg_arena *arena = &job->arena;
    const char *device_name = mg_model_device(job->model.running.model)->name;
    mg_value config = mg_value_of_map(arena, 8);
    mg_value own = mg_value_of_map(arena, 8);
    mg_value root = mg_value_of_map(arena, report->count + 2);
    config.count = own.count = root.count = 0;
    put(&config, arena, "model", mg_value_of_str(arena, mg_str_of(mg_args_operand(job->args, 0))));
    put(&config, arena, "batch_size",
        mg_value_of_str(arena, mg_str_of(mg_args_text(job->args, "batch-size"))));
    put(&config, arena, "limit",
        job->task_options.limit > 0 ? mg_value_of_double(job->task_options.limit) : mg_value_null);
    put(&config, arena, "gen_kwargs", job->gen_kwargs);
    put(&config, arena, "bootstrap_iters",
        mg_value_of_int(mg_args_int(job->args, "bootstrap-iters")));
    put(&config, arena, "fewshot_seed", mg_value_of_int((int64_t)job->task_options.fewshot_seed));
    put(&config, arena, "apply_chat_template",
        mg_value_of_bool(job->task_options.apply_chat_template));
    put(&own, arena, "version", mg_value_of_str(arena, mg_str_of(MG_VERSION)));
    put(&own, arena, "device", mg_value_of_str(arena, mg_str_of(device_name)));
    put(&own, arena, "seconds", mg_value_of_double(seconds));
    put(&own, arena, "items", *items);
    for (int64_t i = 0; i < report->count; i++) {
        root.entries[root.count++] = report->entries[i];
    }
    put(&root, arena, "config", config);
    put(&root, arena, "merganser", own);
    return root;
}

static mg_status write_report(eval_job *job, double started, mg_error *err)
{
    mg_status status = MG_OK;
    mg_buf text = { NULL, 0, 0 };
    mg_value report;
    mg_value items;
    mg_report_options report_options = { mg_args_int(job->args, "bootstrap-iters"),
                                         mg_cli_pool(job->cli) };
    MG_TRY_OR_DONE(
        mg_report_build(job->suite, job->results, &report_options, &job->arena, &report, err));
    MG_TRY_OR_DONE(items_value(job, &items, err));
    mg_value root = complete_report(job, &report, &items, mg_clock_now(NULL) - started);
    const char *output = mg_args_text(job->args, "output");
    if (output != NULL) {
        mg_json_write(&text, &root, NULL);
        mg_buf_add_char(&text, '\n');
        MG_TRY_OR_DONE(mg_file_write_atomic(output, mg_buf_view(&text), err));
    }
    mg_buf_clear(&text);
    if (mg_cli_json(job->cli)) {
        mg_json_write(&text, &root, NULL);
        mg_buf_add_char(&text, '\n');
    } else {
        mg_report_table(&report, &text);
    }
    mg_cli_put_text(job->cli, mg_buf_view(&text));

done:
    mg_buf_release(&text);
    return status;
}

/* A task with items that failed has no honest score: said for each, and the run fails. */
static mg_status check_failures(eval_job *job, mg_error *err)
{
    int64_t failed = 0;
    for (int64_t i = 0; i < mg_suite_task_count(job->suite); i++) {
        const mg_task_results *results = job->results[i];
        mg_str name = mg_task_name(mg_suite_task(job->suite, i));
        int64_t values = 0;
        for (int64_t m = 0; m < mg_task_results_metric_count(results); m++) {
            values += mg_task_results_value_count(results, m);
        }
        if (values == 0 && mg_task_results_failed_count(results) == 0) {
            mg_warn("task '%.*s': no row gave a value of any metric", MG_STR_ARG(name));
        }
        if (mg_task_results_failed_count(results) > 0) {
            mg_warn("task '%.*s': %lld of %lld items failed and are not in its score",
                    MG_STR_ARG(name), (long long)mg_task_results_failed_count(results),
                    (long long)mg_task_results_item_count(results));
            if (failed++ == 0) {
                (void)mg_fail(err, MG_ERR_USER_CODE, "task '%.*s': %s", MG_STR_ARG(name),
                              mg_task_results_failure(results));
            }
        }
    }
    return failed > 0 ? MG_ERR_USER_CODE : MG_OK;
}

static void release_job(eval_job *job)
{
    int64_t tasks = job->suite != NULL ? mg_suite_task_count(job->suite) : 0;
    for (int64_t i = 0; i < tasks; i++) {
        if (job->prepared != NULL) {
            mg_prepared_task_destroy(job->prepared[i]);
        }
        if (job->results != NULL) {
            mg_task_results_destroy(job->results[i]);
        }
        if (job->scores != NULL) {
            mg_buf_release(&job->scores[i]);
        }
    }
    mg_free(job->prepared);
    mg_free(job->results);
    mg_free(job->scores);
    if (job->samples != NULL) {
        fclose(job->samples);
    }
    if (job->samples_path != NULL) {
        (void)remove(job->samples_path);
        mg_free(job->samples_path);
    }
    mg_suite_close(job->suite);
    mg_evaluated_close(&job->model);
    mg_arena_release(&job->arena);
}

static mg_status run_eval(mg_cli *cli, const mg_args *args, mg_error *err)
{
    mg_status status = MG_OK;
    double started = mg_clock_now(NULL);
    eval_job job;
    memset(&job, 0, sizeof(job));
    job.cli = cli;
    job.args = args;
    if (mg_args_flag(args, "compare")) {
        if (mg_args_operand_count(args) != 2) {
            return mg_fail(err, MG_ERR_USAGE, "--compare needs two files of results or samples");
        }
        return mg_samples_compare(cli, mg_args_operand(args, 0), mg_args_operand(args, 1),
                                  mg_args_text(args, "metric"), err);
    }
    if (mg_args_operand_count(args) != 1) {
        int64_t count = mg_args_operand_count(args);
        return count == 0 ? mg_fail(err, MG_ERR_USAGE, "expected one MODEL")
                          : mg_fail(err, MG_ERR_USAGE,
                                    "expected one MODEL, found '%s' and '%s' (a value of "
                                    "--apply-chat-template follows a '=')",
                                    mg_args_operand(args, 0), mg_args_operand(args, 1));
    }
    MG_TRY_OR_DONE(read_options(&job, err));
    mg_cli_progress(cli, "reading tasks", 0, 0, NULL);
    MG_TRY_OR_DONE(mg_suite_open(job.names, job.name_count, &job.task_options, &job.suite, err));
    MG_TRY_OR_DONE(open_model(&job, err));
    MG_TRY_OR_DONE(open_samples(&job, err));
    MG_TRY_OR_DONE(run_tasks(&job, err));
    mg_cli_progress_end(cli);
    MG_TRY_OR_DONE(finish_samples(&job, err));
    MG_TRY_OR_DONE(write_report(&job, started, err));
    MG_TRY_OR_DONE(check_failures(&job, err));

done:
    mg_cli_progress_end(cli);
    mg_cli_flush(cli);
    release_job(&job);
    return status;
}

const mg_command mg_command_eval = {
    "eval",
    "MODEL | --compare A B",
    1,
    2,
    "Score a model on lm-evaluation-harness tasks.",
    "MODEL is a folder, a cached repository, or a merge configuration, which is merged in memory. "
    "Task files run as they are; functions that they name with !function run in a python3 process. "
    "--compare takes two files that --output or --log-samples wrote and prints wins, losses and a "
    "paired test.",
    "merganser eval examples/mini/models/mini-ja --tasks examples/mini/tasks/mini_ja_test.yaml",
    options,
    MG_ARRAY_COUNT(options),
    run_eval,
};
