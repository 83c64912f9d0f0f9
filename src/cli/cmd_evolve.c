/* cli/cmd_evolve.c - the search: a mergekit-evolve file in, the best merge out. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "evolve/report.h"
#include "evolve/search.h"
#include "merge/missing.h"
#include "sched/worker.h"

#define POOL_IGNORED "--workers and --device say where candidates run"
#define WORKERS_MAX 1024

static const mg_option options[] = {
    { "storage-path", 0, NULL, MG_OPTION_TEXT, "DIR", NULL, NULL,
      "Where the run lives; the same folder again continues it.", NULL },
    { "max-fevals", 0, NULL, MG_OPTION_INT, "N", NULL, NULL,
      "Candidates to evaluate; overrides the file.", NULL },
    { "timeout", 0, NULL, MG_OPTION_NUMBER, "SECONDS", NULL, NULL,
      "End the search after this time; overrides the file.", NULL },
    { "sigma0", 0, NULL, MG_OPTION_NUMBER, "X", NULL, NULL,
      "First step of the search; overrides the file.", NULL },
    { "force-population-size", 0, NULL, MG_OPTION_INT, "N", NULL, NULL,
      "Candidates of one generation.", NULL },
    { "task-search-path", 0, "include-path", MG_OPTION_TEXTS, "DIR", NULL, NULL,
      "Folder with task files; may be repeated.", NULL },
    { "python", 0, NULL, MG_OPTION_TEXT, "PROGRAM", NULL, NULL,
      "The Python that runs functions of task files (default: MERGANSER_PYTHON, else python3).",
      NULL },
    { "python-timeout", 0, NULL, MG_OPTION_NUMBER, "SECONDS", "60", NULL,
      "The longest that one call of such a function may take.", NULL },
    { "i-understand-the-depths-of-the-evils-i-am-unleashing", 0, NULL, MG_OPTION_FLAG, NULL, NULL,
      NULL, "Allow a search on the test questions of public benchmarks.", NULL },
    { "workers", 0, NULL, MG_OPTION_INT, "N", NULL, NULL,
      "Processes that evaluate candidates, shared out over the cards or the CPU's threads; 0 = "
      "none "
      "but this one (default: one for each card when --device means several).",
      NULL },
    { "save-final-model", 0, NULL, MG_OPTION_FLAG, NULL, "on", NULL,
      "Write the winner to DIR/final_model.", NULL },
    { "out-shard-size", 0, NULL, MG_OPTION_SIZE, "SIZE", "5B", NULL,
      "Bytes of one weight file of the final model at most.", NULL },
    { "allow-crimes", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL,
      "Merge models of different architectures.", NULL },
    { "strategy", 's', NULL, MG_OPTION_TEXT, "NAME", NULL, "pool|buffered|serial",
      "As in mergekit-evolve.", POOL_IGNORED },
    { "in-memory", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "As in mergekit-evolve.",
      "candidates are always merged in memory" },
    { "vllm", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "As in mergekit-evolve.",
      "merganser answers with its own engine" },
    { "num-gpus", 0, NULL, MG_OPTION_INT, "N", NULL, NULL, "As in mergekit-evolve.", POOL_IGNORED },
    { "merge-cuda", 0, NULL, MG_OPTION_FLAG, NULL, "on", NULL, "As in mergekit-evolve.",
      "--device says where merges run" },
    { "batch-size", 0, NULL, MG_OPTION_TEXT, "N", NULL, NULL, "As in mergekit-evolve.",
      "the engine fills its batches by itself" },
    { "trust-remote-code", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "As in mergekit-evolve.",
      "no code of a model is ever run" },
    { "reshard", 0, NULL, MG_OPTION_FLAG, NULL, "on", NULL, "As in mergekit-evolve.",
      "models are read as they are" },
    { "load-in-8bit", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "As in mergekit-evolve.",
      "candidates are evaluated in the precision that they are saved in" },
    { "load-in-4bit", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "As in mergekit-evolve.",
      "candidates are evaluated in the precision that they are saved in" },
    { "wandb", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "As in mergekit-evolve.",
      "DIR/tb holds TensorBoard files, which wandb can sync" },
    { "wandb-project", 0, NULL, MG_OPTION_TEXT, "NAME", NULL, NULL, "As in mergekit-evolve.",
      "DIR/tb holds TensorBoard files, which wandb can sync" },
    { "wandb-entity", 0, NULL, MG_OPTION_TEXT, "NAME", NULL, NULL, "As in mergekit-evolve.",
      "DIR/tb holds TensorBoard files, which wandb can sync" },
};

static bool stop(void *context)
{
    (void)context;
    return mg_cli_interrupted();
}

/* "search, evaluations 23/40, 3.1/s, 0:05 left, best 0.712, 340 questions/s" */
static void show_progress(void *context, const mg_loop_progress *now)
{
    char what[64];
    char beside[64] = "";
    char detail[192];
    int size = 0;
    double rate = now->seconds > 0.0 ? (double)now->questions / now->seconds : 0.0;
    bool finalists = now->finalists > 0;
    snprintf(what, sizeof(what), finalists ? "%s, candidates" : "%s, evaluations", now->phase);
    if (now->beside > 0 && !finalists) {
        snprintf(beside, sizeof(beside), "%lld references beside them, ", (long long)now->beside);
    }
    if (!isnan(now->best)) {
        size = snprintf(detail, sizeof(detail), "best %.3f, ", now->best);
    }
    snprintf(detail + size, sizeof(detail) - (size_t)size, "%s%.0f questions/s", beside, rate);
    mg_cli_progress((mg_cli *)context, what, finalists ? now->finalists_done : now->evaluations,
                    finalists ? now->finalists : now->evaluations_total, detail);
}

static void print_paths(mg_cli *cli, const char *storage, bool final_model)
{
    mg_cli_printf(cli, "\n%s/best_config.yaml  the recipe\n", storage);
    if (final_model) {
        mg_cli_printf(cli, "%s/final_model       the winner, merged\n", storage);
    }
    mg_cli_printf(cli, "%s/report.md, metrics.csv, tb/\n\n", storage);
    mg_cli_printf(cli, "Merge it from here:  merganser merge %s/best_config.yaml OUT\n", storage);
    if (final_model) {
        mg_cli_printf(cli, "Try it:              merganser generate %s/final_model --prompt TEXT\n",
                      storage);
    }
}

static mg_status print_result(mg_cli *cli, const mg_args *args, mg_error *err)
{
    const char *storage = mg_args_text(args, "storage-path");
    mg_store *store = NULL;
    mg_arena arena = { NULL, 0, 0 };
    mg_buf text = { NULL, 0, 0 };
    mg_report report;
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(mg_store_open_reader(storage, &store, err));
    MG_TRY_OR_DONE(mg_report_read(store, &arena, &report, err));
    if (mg_cli_json(cli)) {
        mg_report_json(&report, &text);
        mg_cli_put_text(cli, mg_buf_view(&text));
    } else {
        mg_report_text(&report, mg_cli_verbosity(cli) > 0, &text);
        mg_cli_put_text(cli, mg_buf_view(&text));
        print_paths(cli, storage, mg_args_flag(args, "save-final-model"));
    }

done:
    mg_buf_release(&text);
    mg_arena_release(&arena);
    mg_store_close(store);
    return status;
}

/* The command that goes on with the run, for the person whose run was stopped. */
static void explain_stop(const mg_args *args, mg_error *err)
{
    mg_buf line = { NULL, 0, 0 };
    mg_args_command_line(args, &line);
    char message[MG_ERROR_MESSAGE_BYTES];
    snprintf(message, sizeof(message), "%s", err->message);
    (void)mg_fail(err, MG_ERR_INTERRUPTED, "%.400s; continue with: %s", message, line.data);
    mg_buf_release(&line);
}

static mg_status check_arguments(const mg_args *args, mg_error *err)
{
    if (mg_args_text(args, "storage-path") == NULL) {
        return mg_fail(err, MG_ERR_USAGE, "--storage-path DIR is missing: where the run lives");
    }
    if (mg_args_given(args, "max-fevals") && mg_args_int(args, "max-fevals") < 1) {
        return mg_fail(err, MG_ERR_USAGE, "--max-fevals must be at least 1");
    }
    if (mg_args_given(args, "force-population-size") &&
        mg_args_int(args, "force-population-size") < 4) {
        return mg_fail(err, MG_ERR_USAGE, "--force-population-size must be at least 4");
    }
    if (mg_args_given(args, "workers") &&
        (mg_args_int(args, "workers") < 0 || mg_args_int(args, "workers") > WORKERS_MAX)) {
        return mg_fail(err, MG_ERR_USAGE, "--workers must be 0 to %d", WORKERS_MAX);
    }
    return MG_OK;
}

static mg_evolve_overrides overrides_of(mg_cli *cli, const mg_args *args)
{
    mg_evolve_overrides o;
    memset(&o, 0, sizeof(o));
    if (mg_args_given(args, "max-fevals")) {
        o.evaluations = mg_args_int(args, "max-fevals");
    }
    if (mg_args_given(args, "timeout")) {
        o.minutes = mg_args_number(args, "timeout") / 60.0;
    }
    if (mg_args_given(args, "sigma0")) {
        o.sigma = mg_args_number(args, "sigma0");
    }
    if (mg_args_given(args, "force-population-size")) {
        o.population = mg_args_int(args, "force-population-size");
    }
    o.has_seed = mg_cli_has_seed(cli);
    o.seed = mg_cli_seed(cli);
    o.allow_benchmark_tasks =
        mg_args_flag(args, "i-understand-the-depths-of-the-evils-i-am-unleashing");
    return o;
}

/* What a run and its workers share; released by inputs_release. */
typedef struct inputs {
    mg_arena arena;
    mg_evolve_config config;
    mg_search_options search;
} inputs;

static void inputs_release(inputs *in)
{
    mg_evolve_config_release(&in->config);
    mg_arena_release(&in->arena);
}

/* Reads the search file and takes the options; the device is left open. */
static mg_status read_inputs(mg_cli *cli, const mg_args *args, inputs *in, mg_error *err)
{
    mg_search_options *search = &in->search;
    memset(in, 0, sizeof(*in));
    MG_TRY(check_arguments(args, err));
    mg_evolve_overrides overrides = overrides_of(cli, args);
    int64_t path_count = mg_args_text_count(args, "task-search-path");
    const char **paths = mg_arena_array(&in->arena, const char *, path_count + 1);
    for (int64_t i = 0; i < path_count; i++) {
        paths[i] = mg_args_text_at(args, "task-search-path", i);
    }
    /* Task files beside the search file are found without being told. */
    paths[path_count] = mg_path_folder(&in->arena, mg_args_operand(args, 0)).data;
    mg_status status =
        mg_evolve_config_read(mg_args_operand(args, 0), &overrides, &in->config, err);
    if (status == MG_ERR_CONFIG) {
        mg_add_missing_models(mg_args_operand(args, 0), mg_cli_hub(cli), err);
    }
    MG_TRY(status);
    search->config = &in->config;
    search->storage = mg_args_text(args, "storage-path");
    search->hub = mg_cli_hub(cli);
    search->pool = mg_cli_pool(cli);
    search->dtype = mg_cli_dtype(cli);
    search->task_paths = paths;
    search->task_path_count = path_count + 1;
    search->python = mg_args_text(args, "python");
    if (search->python == NULL) {
        search->python = getenv("MERGANSER_PYTHON");
    }
    search->python_timeout_s = mg_args_number(args, "python-timeout");
    search->allow_crimes = mg_args_flag(args, "allow-crimes");
    search->save_final_model = mg_args_flag(args, "save-final-model");
    search->shard_bytes = (size_t)mg_args_int(args, "out-shard-size");
    search->stop = stop;
    search->progress = show_progress;
    search->context = cli;
    return MG_OK;
}

/* The words that start a worker: those of this command, with a device and threads of its own in
 * front of a "--". */
static const char **worker_command(const mg_args *args, mg_arena *arena, const char *device,
                                   int threads)
{
    int count;
    char *const *words = mg_args_words(args, &count);
    const char **command = mg_arena_array(arena, const char *, count + 8);
    const char *const own[] = { "--device", device, "--threads",
                                mg_arena_printf(arena, "%d", threads).data, "--quiet" };
    int at = 0;
    int next = 0;
    command[at++] = "/proc/self/exe";
    command[at++] = mg_command_evolve_worker.name;
    while (next < count && strcmp(words[next], "--") != 0) {
        command[at++] = words[next++];
    }
    for (int64_t i = 0; i < MG_ARRAY_COUNT(own); i++) {
        command[at++] = own[i];
    }
    while (next < count) {
        command[at++] = words[next++];
    }
    return command; /* the arena's memory is zeroed: NULL ends it */
}

/* Device of this process, or workers with a device each: one for each card where there are several,
 * and as many as --workers says. */
static mg_status choose_workers(mg_cli *cli, const mg_args *args, inputs *in, mg_error *err)
{
    int cards = mg_cli_card_count(cli);
    bool given = mg_args_given(args, "workers");
    int count = given ? (int)mg_args_int(args, "workers") : cards > 1 ? cards : 0;
    if (count == 0) {
        return mg_cli_device(cli, &in->search.device, err);
    }
    int threads = MG_MAX(mg_pool_threads(in->search.pool) / count, 1);
    const char *device = mg_args_text(args, "device");
    const char *const **commands = mg_arena_array(&in->arena, const char *const *, count);
    for (int i = 0; i < count; i++) {
        const char *own =
            cards > 0 ? mg_arena_printf(&in->arena, "cuda:%d", i % cards).data : device;
        commands[i] = worker_command(args, &in->arena, own, threads);
    }
    in->search.worker_commands = commands;
    in->search.worker_count = count;
    in->search.device = mg_device_cpu(mg_isa_best()); /* of a process that evaluates nothing */
    return MG_OK;
}

static mg_status run_evolve(mg_cli *cli, const mg_args *args, mg_error *err)
{
    mg_status status = MG_OK;
    inputs in;
    mg_cli_progress(cli, "reading", 0, 0, NULL);
    MG_TRY_OR_DONE(read_inputs(cli, args, &in, err));
    MG_TRY_OR_DONE(choose_workers(cli, args, &in, err));
    MG_TRY_OR_DONE(mg_search_run(&in.search, err));
    mg_cli_progress_end(cli);
    MG_TRY_OR_DONE(print_result(cli, args, err));

done:
    mg_cli_progress_end(cli);
    if (status == MG_ERR_INTERRUPTED && err != NULL) {
        explain_stop(args, err);
    }
    inputs_release(&in);
    return status;
}

/* What goes wrong is the parent's to tell. */
static mg_status run_worker(mg_cli *cli, const mg_args *args, mg_error *err)
{
    mg_status status = MG_OK;
    inputs in;
    struct stat kind;
    if (fstat(MG_WORKER_FD, &kind) != 0 || !S_ISSOCK(kind.st_mode)) {
        return mg_fail(err, MG_ERR_USAGE, "'%s' is started by 'evolve --workers N' alone",
                       mg_command_evolve_worker.name);
    }
    MG_TRY_OR_DONE(read_inputs(cli, args, &in, err));
    MG_TRY_OR_DONE(mg_cli_device(cli, &in.search.device, err));
    MG_TRY_OR_DONE(mg_search_serve(&in.search, MG_WORKER_FD, err));

done:
    if (status != MG_OK) {
        mg_worker_refuse(MG_WORKER_FD, err);
    }
    inputs_release(&in);
    return MG_OK;
}

const mg_command mg_command_evolve = {
    "evolve",
    "CONFIG",
    1,
    1,
    "Search for the best merge of several models.",
    "CONFIG is a file of mergekit-evolve, unchanged, with optional blocks 'search', 'validate' and "
    "'test'. Every answer is kept in DIR/run.db: a run that was stopped, or killed, goes on where "
    "it "
    "was when the same command is given again.",
    "merganser evolve examples/mini/evolve.yml --storage-path run/",
    options,
    MG_ARRAY_COUNT(options),
    run_evolve,
};

const mg_command mg_command_evolve_worker = {
    "evolve-worker",         "CONFIG",   1, 1, "A worker process of evolve.", NULL, NULL, options,
    MG_ARRAY_COUNT(options), run_worker,
};
