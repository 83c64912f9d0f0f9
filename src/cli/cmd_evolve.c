/* cli/cmd_evolve.c - the search: a mergekit-evolve file in, the best merge out. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "evolve/report.h"
#include "evolve/search.h"
#include "merge/missing.h"

#define POOL_IGNORED "candidates share this process and its threads"

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

static mg_status run_evolve(mg_cli *cli, const mg_args *args, mg_error *err)
{
    mg_status status = MG_OK;
    mg_evolve_config config;
    memset(&config, 0, sizeof(config));
    mg_arena arena = { NULL, 0, 0 };
    mg_search_options search;
    memset(&search, 0, sizeof(search));
    MG_TRY(check_arguments(args, err));
    mg_evolve_overrides overrides = overrides_of(cli, args);
    int64_t path_count = mg_args_text_count(args, "task-search-path");
    const char **paths = mg_arena_array(&arena, const char *, path_count + 1);
    for (int64_t i = 0; i < path_count; i++) {
        paths[i] = mg_args_text_at(args, "task-search-path", i);
    }
    /* Task files beside the search file are found without being told. */
    paths[path_count] = mg_path_folder(&arena, mg_args_operand(args, 0)).data;

    mg_cli_progress(cli, "reading", 0, 0, NULL);
    status = mg_evolve_config_read(mg_args_operand(args, 0), &overrides, &config, err);
    if (status == MG_ERR_CONFIG) {
        mg_add_missing_models(mg_args_operand(args, 0), mg_cli_hub(cli), err);
    }
    MG_TRY_OR_DONE(status);
    search.config = &config;
    search.storage = mg_args_text(args, "storage-path");
    search.hub = mg_cli_hub(cli);
    search.pool = mg_cli_pool(cli);
    search.dtype = mg_cli_dtype(cli);
    search.task_paths = paths;
    search.task_path_count = path_count + 1;
    search.python = mg_args_text(args, "python");
    if (search.python == NULL) {
        search.python = getenv("MERGANSER_PYTHON");
    }
    search.python_timeout_s = mg_args_number(args, "python-timeout");
    search.allow_crimes = mg_args_flag(args, "allow-crimes");
    search.save_final_model = mg_args_flag(args, "save-final-model");
    search.shard_bytes = (size_t)mg_args_int(args, "out-shard-size");
    search.stop = stop;
    search.progress = show_progress;
    search.context = cli;
    MG_TRY_OR_DONE(mg_cli_device(cli, &search.device, err));
    MG_TRY_OR_DONE(mg_search_run(&search, err));
    mg_cli_progress_end(cli);
    MG_TRY_OR_DONE(print_result(cli, args, err));

done:
    mg_cli_progress_end(cli);
    if (status == MG_ERR_INTERRUPTED && err != NULL) {
        explain_stop(args, err);
    }
    mg_evolve_config_release(&config);
    mg_arena_release(&arena);
    return status;
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
