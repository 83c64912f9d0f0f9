/* cli/cmd_merge.c - one merge: a configuration in, a model folder out. */
#include <unistd.h>

#include "base/fs.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "merge/execute.h"
#include "merge/missing.h"
#include "merge/plan.h"
#include "recipe/recipe.h"
#include "text/json.h"

static const mg_option options[] = {
    { "out-path", 0, NULL, MG_OPTION_TEXT, "DIR", NULL, NULL, "OUT, as mergekit-multi names it.",
      NULL },
    { "overwrite", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL,
      "Replace OUT if it holds something already.", NULL },
    { "allow-nonfinite", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL,
      "Write NaN and infinity instead of stopping at the first tensor that has them.", NULL },
    { "out-shard-size", 0, NULL, MG_OPTION_SIZE, "SIZE", "5B", NULL,
      "Bytes of one weight file at most; 0 means a single file.", NULL },
    { "copy-tokenizer", 0, NULL, MG_OPTION_FLAG, NULL, "on", NULL,
      "Copy the tokenizer of the base model, or of the first one named.", NULL },
    { "write-model-card", 0, NULL, MG_OPTION_FLAG, NULL, "on", NULL,
      "Write README.md and mergekit_config.yml.", NULL },
    { "layouts", 0, NULL, MG_OPTION_TEXT, "DIR", NULL, NULL,
      "Read architecture definitions, in mergekit's JSON form, from the .json files of DIR.",
      NULL },
    { "allow-crimes", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL,
      "Merge models of different architectures.", NULL },
    { "unsafe-truncate-embeddings", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL,
      "Cut embeddings to the rows of the smallest vocabulary, whatever tokens they belong to.",
      NULL },
    { "intermediate-dir", 'I', NULL, MG_OPTION_TEXT, "DIR", NULL, NULL,
      "Where the named merges of a CONFIG with several documents go, and stay (default: beside "
      "OUT, "
      "until it is written).",
      NULL },
    { "lazy", 0, NULL, MG_OPTION_FLAG, NULL, "on", NULL,
      "Keep named merges that are there already.", NULL },
    { "torch-threads", 0, NULL, MG_OPTION_INT, "N", NULL, NULL,
      "Threads of the torch whose sums are followed where DARE and DELLA rescale, since its result "
      "depends on them (default: one for each CPU, as mergekit on this machine).",
      NULL },
    { "cuda", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "As in mergekit.",
      "merges run on the CPU, with the same result" },
    { "low-cpu-memory", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "As in mergekit.",
      "weights are never held in memory as a whole" },
    { "read-to-gpu", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "As in mergekit.",
      "merges run on the CPU, with the same result" },
    { "multi-gpu", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "As in mergekit.",
      "merges run on the CPU, with the same result" },
    { "gpu-rich", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "As in mergekit.",
      "merges run on the CPU, with the same result" },
    { "transformers-cache", 0, NULL, MG_OPTION_TEXT, "PATH", NULL, NULL, "As in mergekit.",
      "the Hub cache is found through HF_HOME and its relatives" },
    { "lora-merge-cache", 0, NULL, MG_OPTION_TEXT, "PATH", NULL, NULL, "As in mergekit.",
      "adapters are merged on the fly" },
    { "lora-merge-dtype", 0, NULL, MG_OPTION_TEXT, "TYPE", NULL, NULL, "As in mergekit.",
      "adapters are merged in the type of their weights" },
    { "clone-tensors", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "As in mergekit.",
      "tensors never share memory" },
    { "trust-remote-code", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "As in mergekit.",
      "no code of a model is ever run" },
    { "lazy-unpickle", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "As in mergekit.",
      "files are always mapped" },
    { "safe-serialization", 0, NULL, MG_OPTION_FLAG, NULL, "on", NULL, "As in mergekit.",
      "weights are always written as safetensors" },
    { "async-write", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "As in mergekit.",
      "writing overlaps with merging anyway" },
    { "write-threads", 0, NULL, MG_OPTION_INT, "N", NULL, NULL, "As in mergekit.",
      "writing overlaps with merging anyway" },
};

static bool show_progress(void *context, int64_t done, int64_t total)
{
    mg_cli_progress((mg_cli *)context, "merging", done, total, NULL);
    return !mg_cli_interrupted();
}

/* OUT, given in one of two ways; NULL = not given. */
static mg_status find_out(const mg_args *args, const char **out, mg_error *err)
{
    const char *given = mg_args_text(args, "out-path");
    bool operand = mg_args_operand_count(args) > 1;
    *out = operand ? mg_args_operand(args, 1) : given;
    if (operand && given != NULL) {
        return mg_fail(err, MG_ERR_USAGE, "OUT is given twice: '%s' and --out-path '%s'", *out,
                       given);
    }
    return MG_OK;
}

/* Where the result lies: in OUT, or, when all documents have names, in their folder. */
static mg_status choose_result(const mg_recipe *recipes, int64_t count, const char *intermediate,
                               const char **out, mg_error *err)
{
    bool final = count == 1;
    for (int64_t i = 0; i < count; i++) {
        final = final || recipes[i].name.size == 0;
    }
    if (!final && intermediate == NULL) {
        return mg_fail(err, MG_ERR_CONFIG,
                       "all documents have names: leave out that of the final merge, or give "
                       "--intermediate-dir, where they all go");
    }
    if (final && *out == NULL) {
        return mg_fail(err, MG_ERR_USAGE, "merge needs OUT, the folder to write");
    }
    *out = final ? *out : intermediate;
    return MG_OK;
}

static mg_status run_merge(mg_cli *cli, const mg_args *args, mg_error *err)
{
    mg_status status = MG_OK;
    mg_arena arena = { NULL, 0, 0 };
    mg_buf documents = { NULL, 0, 0 };
    mg_recipe *recipes;
    int64_t count;
    const char *out = NULL;
    mg_model_set *set = mg_model_set_create(mg_cli_hub(cli));
    mg_merge_options merge;
    memset(&merge, 0, sizeof(merge));
    merge.execute.has_seed = mg_cli_has_seed(cli);
    merge.execute.seed = mg_cli_seed(cli);
    merge.execute.torch_threads = mg_args_given(args, "torch-threads")
                                      ? (int)MG_MIN(mg_args_int(args, "torch-threads"), 1024)
                                      : mg_cpu_count();
    merge.execute.allow_nonfinite = mg_args_flag(args, "allow-nonfinite");
    merge.execute.progress = show_progress;
    merge.execute.progress_context = cli;
    merge.shard_bytes = (size_t)mg_args_int(args, "out-shard-size");
    merge.overwrite = mg_args_flag(args, "overwrite");
    merge.copy_tokenizer = mg_args_flag(args, "copy-tokenizer");
    merge.write_model_card = mg_args_flag(args, "write-model-card");
    merge.allow_crimes = mg_args_flag(args, "allow-crimes");

    MG_TRY_OR_DONE(find_out(args, &out, err));
    if (mg_args_given(args, "layouts")) {
        MG_TRY_OR_DONE(mg_model_set_read_layouts(set, mg_args_text(args, "layouts"), err));
    }
    status = mg_recipe_read_all(mg_args_operand(args, 0), &arena, &recipes, &count, err);
    if (status == MG_ERR_CONFIG) {
        mg_add_missing_models(mg_args_operand(args, 0), mg_cli_hub(cli), err);
    }
    MG_TRY_OR_DONE(status);
    for (int64_t i = 0; i < count; i++) {
        recipes[i].truncate_embeddings = mg_args_flag(args, "unsafe-truncate-embeddings");
    }
    const char *intermediate = mg_args_text(args, "intermediate-dir");
    const char *parts = NULL;
    MG_TRY_OR_DONE(choose_result(recipes, count, intermediate, &out, err));
    if (count > 1 && intermediate == NULL) {
        parts = mg_arena_printf(&arena, "%s.parts.%ld", out, (long)getpid()).data;
        intermediate = parts;
        merge.parts = parts;
        mg_recipes_write(recipes, count, &documents);
        for (int64_t i = 0; i < count; i++) { /* the parts vanish: all documents make OUT */
            if (recipes[i].name.size == 0) {
                recipes[i].text = mg_buf_view(&documents);
            }
        }
    }
    const mg_device *device = mg_device_cpu(mg_isa_best());
    if (count > 1) {
        status = mg_merge_documents(recipes, count, set, device, mg_cli_pool(cli), &merge,
                                    intermediate, mg_args_flag(args, "lazy"), out, &arena, err);
    } else {
        status = mg_merge_to_folder(&recipes[0], set, device, mg_cli_pool(cli), &merge, out, err);
    }
    mg_cli_progress_end(cli);
    if (parts != NULL) {
        mg_error ignored; /* what went wrong before is told */
        mg_status removed = mg_folder_remove(parts, status == MG_OK ? err : &ignored);
        status = status == MG_OK ? removed : status;
    }
    if (status != MG_OK) {
        goto done;
    }
    if (mg_cli_json(cli)) {
        mg_buf text = { NULL, 0, 0 };
        mg_json_write_str(&text, mg_str_of(out), false);
        mg_cli_printf(cli, "{\"path\": %s}\n", text.data);
        mg_buf_release(&text);
    } else {
        mg_cli_put_text(cli, mg_str_of(out));
        mg_cli_printf(cli, "\n");
    }

done:
    mg_model_set_destroy(set);
    mg_buf_release(&documents);
    mg_arena_release(&arena);
    return status;
}

const mg_command mg_command_merge = {
    "merge",
    "CONFIG OUT",
    1,
    2,
    "Merge models as a mergekit configuration says.",
    "CONFIG is the YAML that mergekit-yaml reads. OUT appears whole or not at all, and holds "
    "weights, "
    "config.json, tokenizer files, a model card and the configuration. With --seed the random "
    "masks "
    "are those of mergekit with the same --random-seed; a 'merganser' block in CONFIG chooses the "
    "masks of a search instead.",
    "merganser merge ties.yml merged/ --seed 42",
    options,
    MG_ARRAY_COUNT(options),
    run_merge,
};
