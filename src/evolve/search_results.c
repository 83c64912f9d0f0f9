/* evolve/search_results.c - what a search leaves behind: recipes, the final model, the report. */
#include <math.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/memory.h"
#include "evolve/report.h"
#include "evolve/search_internal.h"
#include "merge/execute.h"

#define ROUNDING 1e-12 /* differences of scores that are none */

mg_status mg_search_keep_stage(mg_search *s, int64_t index, mg_error *err)
{
    const mg_evolve_config *file = s->o->config;
    if (file->stage_count < 2) {
        return MG_OK;
    }
    mg_arena arena = { 0 };
    mg_buf list = { 0 };
    mg_status status = MG_OK;
    const mg_search_stage *stage = &s->stages[index];
    const char *folder = mg_path_join(&arena, s->o->storage, "stages").data;
    mg_str name =
        mg_arena_printf(&arena, "%lld-%s.yaml", (long long)index + 1, file->stages[index].name);
    MG_TRY_OR_DONE(mg_folder_make(folder, err));
    MG_TRY_OR_DONE(mg_outputs_recipe(mg_path_join(&arena, folder, name.data).data, stage->genome,
                                     stage->result.genome, err));
    for (int64_t k = 0; k <= index; k++) {
        mg_buf_printf(&list, "%lld %s\n", (long long)s->stages[k].result.winner,
                      file->stages[k].title);
    }
    MG_TRY_OR_DONE(mg_store_put(s->store, "stages", mg_buf_view(&list), err));

done:
    mg_buf_release(&list);
    mg_arena_release(&arena);
    return status;
}

int64_t mg_search_best_stage(const mg_search *s)
{
    int64_t best = 0;
    /* Of a stage, against the first: each is compared with what it began with. */
    double value = 0.0;
    double violation = 0.0;
    double best_value = 0.0;
    double best_violation = 0.0;
    for (int64_t k = 1; k < s->o->config->stage_count; k++) {
        const mg_loop_result *result = &s->stages[k].result;
        value += isnan(result->gain) ? 0.0 : result->gain;
        violation += result->violation;
        bool breaks = violation > best_violation + ROUNDING;
        bool mends = violation < best_violation - ROUNDING;
        if (mends || (!breaks && value > best_value + ROUNDING)) {
            best = k;
            best_value = value;
            best_violation = violation;
        }
    }
    return best;
}

/* Between tensors of the final model. */
static bool keep_merging(void *context, int64_t done, int64_t total)
{
    const mg_search *s = context;
    (void)done;
    (void)total;
    return s->o->stop == NULL || !s->o->stop(s->o->context);
}

/* One merge, or the merge of a path's first model and the path's own; on the CPU, as in `merge`. */
static mg_status save_model(mg_search *s, const mg_search_stage *stage, const char *folder,
                            mg_error *err)
{
    mg_arena arena = { 0 };
    mg_buf text = { 0 };
    mg_recipe recipes[MG_GENOME_RECIPES_MAX];
    mg_status status = MG_OK;
    mg_merge_options options = {
        .execute = { .seed = s->o->config->search.seed,
                     .has_seed = true,
                     .progress = keep_merging,
                     .progress_context = s },
        .shard_bytes = s->o->shard_bytes,
        .overwrite = true,
        .copy_tokenizer = true,
        .write_model_card = true,
        .allow_crimes = s->o->allow_crimes,
    };
    int64_t count = mg_genome_recipes(stage->genome, stage->result.genome, &arena, recipes);
    if (count == 1) {
        MG_TRY_OR_DONE(mg_merge_to_folder(&recipes[0], s->models, mg_device_cpu(mg_isa_best()),
                                          s->o->pool, &options, folder, err));
        goto done;
    }
    const char *parts = mg_arena_printf(&arena, "%s.parts", folder).data;
    MG_TRY_OR_DONE(mg_folder_remove(parts, err)); /* of a process that died */
    mg_recipes_write(recipes, count, &text);
    recipes[count - 1].text = mg_buf_view(&text);
    options.parts = parts;
    MG_TRY_OR_DONE(mg_merge_documents(recipes, count, s->models, mg_device_cpu(mg_isa_best()),
                                      s->o->pool, &options, parts, false, folder, &arena, err));
    MG_TRY_OR_DONE(mg_folder_remove(parts, err));

done:
    mg_buf_release(&text);
    mg_arena_release(&arena);
    return status;
}

/* A run that is continued after its end keeps the folder it has. */
static mg_status save_once(mg_search *s, const mg_search_stage *stage, const char *name,
                           mg_error *err)
{
    mg_arena arena = { 0 };
    mg_buf saved = { 0 };
    char winner[32];
    bool found;
    mg_status status = MG_OK;
    const char *folder = mg_path_join(&arena, s->o->storage, name).data;
    snprintf(winner, sizeof(winner), "%lld", (long long)stage->result.winner);
    MG_TRY_OR_DONE(mg_store_get(s->store, name, &saved, &found, err));
    if (found && mg_str_is(mg_buf_view(&saved), winner) && mg_path_is_folder(folder)) {
        goto done;
    }
    MG_TRY_OR_DONE(save_model(s, stage, folder, err));
    MG_TRY_OR_DONE(mg_store_put(s->store, name, mg_str_of(winner), err));

done:
    mg_buf_release(&saved);
    mg_arena_release(&arena);
    return status;
}

mg_status mg_search_save_models(mg_search *s, int64_t best, mg_error *err)
{
    const mg_evolve_config *file = s->o->config;
    MG_TRY(save_once(s, &s->stages[best], "final_model", err));
    if (file->search.space != MG_SPACE_HYBRID) {
        return MG_OK;
    }
    /* Where the path is not surely better than the merge, both are kept (evolution.md 5). */
    mg_arena arena = { 0 };
    mg_report report;
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(mg_report_read(s->store, &arena, &report, err));
    for (int64_t k = 1; k < file->stage_count && k < report.stage_count; k++) {
        bool path = file->stages[k].kind == MG_STAGE_PATHS;
        if (path && !report.stages[k].against_before.better) {
            const char *name = best < k ? "final_model_dfs" : "final_model_ps";
            MG_TRY_OR_DONE(save_once(s, &s->stages[best < k ? k : k - 1], name, err));
        }
    }

done:
    mg_arena_release(&arena);
    return status;
}

mg_status mg_search_write_report(mg_search *s, mg_error *err)
{
    mg_arena arena = { 0 };
    mg_buf text = { 0 };
    mg_report report;
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(mg_report_read(s->store, &arena, &report, err));
    mg_report_markdown(&report, &text);
    MG_TRY_OR_DONE(mg_file_write_atomic(mg_path_join(&arena, s->o->storage, "report.md").data,
                                        mg_buf_view(&text), err));

done:
    mg_buf_release(&text);
    mg_arena_release(&arena);
    return status;
}
