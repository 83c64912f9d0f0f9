/* merge/folder.c - a merge as a model folder that others can open.
 *
 *   plan -> staging folder -> weights -> config.json -> card and recipe -> tokenizer -> rename */
#include "base/fs.h"
#include "base/log.h"
#include "merge/card_internal.h"
#include "merge/chat_template.h"
#include "merge/execute.h"
#include "merge/plan_internal.h"
#include "merge/tokenizer_files_internal.h"
#include "text/json.h"

/* Beside the weights: configuration, tokenizer and card never need more than this. */
#define FOLDER_EXTRA_BYTES ((size_t)4 << 20)

/* What goes along when the donor has it (merging.md 2.13). */
static const char *const donor_files[] = { "tokenizer_config.json",
                                           "special_tokens_map.json",
                                           "tokenizer.json",
                                           "tokenizer.model",
                                           "added_tokens.json",
                                           "vocab.json",
                                           "merges.txt",
                                           "chat_template.jinja",
                                           "chat_template.json",
                                           "video_preprocessor_config.json" };

static mg_status copy_file(const char *folder, const char *name, const char *to, mg_arena *arena,
                           mg_error *err)
{
    mg_str from = mg_path_join(arena, folder, name);
    if (!mg_path_is_file(from.data)) {
        return MG_OK;
    }
    return mg_file_copy(from.data, mg_path_join(arena, to, name).data, err);
}

static mg_status copy_donor_files(const mg_plan *plan, const mg_merge_options *options,
                                  const char *to, mg_arena *arena, mg_error *err)
{
    const char *folder = mg_plan_donor(plan)->folder;
    MG_TRY(copy_file(folder, "generation_config.json", to, arena, err));
    bool copies = options->copy_tokenizer && plan->vocabulary == NULL;
    if (plan->vocabulary != NULL) {
        MG_TRY(mg_tokenizer_files_write(plan->vocabulary, to, arena, err));
    }
    for (int64_t i = 0; i < MG_ARRAY_COUNT(donor_files) && copies; i++) {
        MG_TRY(copy_file(folder, donor_files[i], to, arena, err));
    }
    for (int64_t i = 0; i < plan->layout->tagalong_count; i++) {
        char *name = mg_str_dup(plan->layout->tagalong[i]);
        mg_status status =
            strchr(name, '/') != NULL
                ? mg_fail(err, MG_ERR_FORMAT, "extra file '%s' is no plain name", name)
                : copy_file(folder, name, to, arena, err);
        mg_free(name);
        MG_TRY(status);
    }
    return MG_OK;
}

static mg_status write_chat_template(const mg_plan *plan, const mg_recipe *recipe,
                                     const mg_merge_options *options, const char *to,
                                     mg_arena *arena, mg_error *err)
{
    if (recipe->chat_template.size == 0) {
        return MG_OK;
    }
    if (!options->copy_tokenizer && plan->vocabulary == NULL) {
        mg_warn("the chat template is not written: no tokenizer is");
        return MG_OK;
    }
    const char **folders = mg_arena_array(arena, const char *, plan->model_count);
    for (int64_t i = 0; i < plan->model_count; i++) {
        folders[i] = plan->models[i]->folder;
    }
    mg_str text = mg_chat_template_choose(recipe->chat_template, folders, plan->model_count, arena);
    return text.size > 0 ? mg_chat_template_write(to, text, err) : MG_OK;
}

static mg_status write_config(const mg_plan *plan, const char *folder, mg_arena *arena,
                              mg_error *err)
{
    mg_buf text = { NULL, 0, 0 };
    mg_value config = mg_plan_config(plan, arena);
    mg_json_style style;
    memset(&style, 0, sizeof(style));
    style.indent = 2;
    style.ascii = true;
    mg_json_write(&text, &config, &style);
    mg_buf_add_char(&text, '\n');
    mg_status status = mg_file_write_atomic(mg_path_join(arena, folder, "config.json").data,
                                            mg_buf_view(&text), err);
    mg_buf_release(&text);
    return status;
}

static mg_status write_card(const mg_plan *plan, const mg_recipe *recipe,
                            const mg_merge_options *options, const char *out, const char *folder,
                            mg_arena *arena, mg_error *err)
{
    mg_buf yaml = { NULL, 0, 0 };
    mg_buf card = { NULL, 0, 0 };
    if (recipe->text.size > 0) {
        mg_buf_add(&yaml, recipe->text);
    } else {
        mg_recipe recorded = mg_plan_recorded_recipe(plan, recipe, arena);
        mg_recipe_write(&recorded, &yaml);
        yaml.size -= yaml.size > 0; /* mergekit ends it without a newline */
    }
    mg_card_write(plan, recipe, mg_path_name(arena, out), mg_buf_view(&yaml), options->parts,
                  &card);
    mg_status status = mg_file_write_atomic(mg_path_join(arena, folder, "mergekit_config.yml").data,
                                            mg_buf_view(&yaml), err);
    if (status == MG_OK) {
        status = mg_file_write_atomic(mg_path_join(arena, folder, "README.md").data,
                                      mg_buf_view(&card), err);
    }
    mg_buf_release(&card);
    mg_buf_release(&yaml);
    return status;
}

mg_status mg_merge_describe(const mg_plan *plan, const mg_recipe *recipe, const char *folder,
                            mg_error *err)
{
    mg_arena arena = { NULL, 0, 0 };
    mg_merge_options options;
    mg_status status = MG_OK;
    memset(&options, 0, sizeof(options));
    options.copy_tokenizer = true;
    MG_TRY_OR_DONE(write_config(plan, folder, &arena, err));
    MG_TRY_OR_DONE(copy_donor_files(plan, &options, folder, &arena, err));
    MG_TRY_OR_DONE(write_chat_template(plan, recipe, &options, folder, &arena, err));

done:
    mg_arena_release(&arena);
    return status;
}

/* What is written, in the order of execution. */
static mg_view *output_specs(const mg_plan *plan, mg_arena *arena)
{
    mg_view *specs = mg_arena_array(arena, mg_view, plan->job_count);
    for (int64_t i = 0; i < plan->job_count; i++) {
        const mg_plan_job *job = &plan->jobs[i];
        specs[i].name = job->name;
        specs[i].bytes = job->out_bytes;
        specs[i].dtype = job->out_dtype;
        specs[i].shape = job->shape;
    }
    return specs;
}

static mg_status check_space(const mg_plan *plan, const char *out, mg_error *err)
{
    size_t free_bytes;
    MG_TRY(mg_fs_free_bytes(out, &free_bytes, err));
    size_t needed = mg_plan_output_bytes(plan) + FOLDER_EXTRA_BYTES;
    if (free_bytes < needed) {
        return mg_fail(err, MG_ERR_SPACE, "%s: needs %zu MB, only %zu MB are free", out,
                       needed >> 20, free_bytes >> 20);
    }
    return MG_OK;
}

/* Replacing OUT must not remove what is merged into it. */
static mg_status check_inputs_stay(const mg_model_set *set, const char *out, mg_arena *arena,
                                   mg_error *err)
{
    mg_str target;
    if (!mg_path_is_folder(out) || mg_path_real(arena, out, &target, NULL) != MG_OK) {
        return MG_OK;
    }
    const mg_model_ref *input = mg_model_set_inside(set, target, arena);
    if (input != NULL) {
        return mg_fail(err, MG_ERR_USAGE, "%s: holds the model '%.*s' that is merged into it", out,
                       MG_STR_ARG(mg_model_ref_text(input, arena)));
    }
    return MG_OK;
}

mg_status mg_merge_to_folder(const mg_recipe *recipe, mg_model_set *set, const mg_device *device,
                             mg_pool *pool, const mg_merge_options *options, const char *out,
                             mg_error *err)
{
    mg_status status = MG_OK;
    mg_plan *plan = NULL;
    mg_staging *staging = NULL;
    mg_sink *sink = NULL;
    mg_arena arena = { NULL, 0, 0 };

    MG_TRY_OR_DONE(mg_plan_create(recipe, set, options->allow_crimes, &plan, err));
    mg_model_set_forget_tokens(set);
    MG_TRY_OR_DONE(check_inputs_stay(set, out, &arena, err));
    MG_TRY_OR_DONE(check_space(plan, out, err));
    MG_TRY_OR_DONE(mg_staging_open(out, options->overwrite, &staging, err));
    const char *folder = mg_staging_path(staging);
    mg_view *specs = output_specs(plan, &arena);
    MG_TRY_OR_DONE(mg_sink_shards_open_planned(folder, options->shard_bytes, specs, plan->job_count,
                                               &sink, err));
    /* Tokenizers go first: their trees are as large as small embeddings. */
    MG_TRY_OR_DONE(copy_donor_files(plan, options, folder, &arena, err));
    MG_TRY_OR_DONE(write_chat_template(plan, recipe, options, folder, &arena, err));
    mg_plan_drop_tokenizer(plan);
    MG_TRY_OR_DONE(mg_plan_execute(plan, device, pool, &options->execute, sink, err));
    MG_TRY_OR_DONE(write_config(plan, folder, &arena, err));
    if (options->write_model_card) {
        MG_TRY_OR_DONE(write_card(plan, recipe, options, out, folder, &arena, err));
    }
    mg_sink_close(sink);
    sink = NULL;
    MG_TRY_OR_DONE(mg_staging_finish(staging, err));

done:
    mg_sink_close(sink);
    mg_staging_close(staging);
    mg_plan_destroy(plan);
    mg_arena_release(&arena);
    return status;
}
