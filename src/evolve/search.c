/* evolve/search.c - see search.h.
 *
 * Order: tasks and models are opened and a first plan is made (every mistake comes out here), the
 * store is opened and its fingerprint compared, then the loop runs; at the end the winner becomes
 * best_config.yaml and final_model/, and report.md is written. */
#include "evolve/search.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "eval/task.h"
#include "evolve/fingerprint.h"
#include "evolve/fitness_model.h"
#include "evolve/genome.h"
#include "evolve/outputs.h"
#include "evolve/report.h"
#include "evolve/warm_start.h"
#include "merge/execute.h"
#include "merge/plan.h"
#include "tokenizer/tokenizer.h"

#define STACK_LAYERS_MAX 4096 /* of all models of a data-flow search */

/* Everything one search holds. */
typedef struct search {
    const mg_search_options *o;
    mg_arena arena;
    mg_task **tasks;
    mg_loop_task *roles;
    int64_t *metrics;
    int64_t task_count;
    mg_model_set *models;
    mg_genome *genome;
    mg_fitness *fitness;
    mg_store *store;
    const double *warm_points; /* of earlier runs */
    int64_t warm_count;
    mg_outputs *outputs;
    int broken;            /* not 0 once file_status is; read by threads at work, atomically */
    mg_status file_status; /* first failure inside a callback that returns nothing */
    mg_error file_error;
} search;

/* Collects messages, one a line, so that all mistakes are told together. */
static void collect(mg_buf *messages, const mg_error *err)
{
    mg_buf_printf(messages, "%s%s", messages->size > 0 ? "\n" : "", err->message);
}

static void add_nearest_metric(const mg_task *task, mg_str metric, mg_buf *out)
{
    int64_t count = mg_task_metric_count(task);
    const char **names = mg_new_array(const char *, MG_MAX(count, 1));
    mg_arena arena = { 0 };
    mg_buf_add_text(out, ", it reports ");
    for (int64_t i = 0; i < count; i++) {
        mg_str name = mg_arena_copy(&arena, mg_task_metric(task, i));
        names[i] = name.data;
        mg_buf_printf(out, "%s'%s'", i > 0 ? ", " : "", names[i]);
    }
    const char *nearest = mg_str_nearest(metric, names, count);
    if (nearest != NULL) {
        mg_buf_printf(out, "; did you mean '%s'?", nearest);
    }
    mg_free(names);
    mg_arena_release(&arena);
}

static void open_task(search *s, const mg_task_options *options, const mg_evolve_task *wanted,
                      mg_role role, mg_buf *messages)
{
    mg_error err;
    const mg_evolve_config *config = s->o->config;
    int64_t index = s->task_count;
    char *name = mg_str_dup(wanted->name);
    int line = wanted->where != NULL ? wanted->where->line : 0;
    int column = wanted->where != NULL ? wanted->where->column : 0;
    mg_status status = mg_task_open(name, options, &s->tasks[index], &err);
    mg_free(name);
    if (status != MG_OK) {
        mg_error_prefix(&err, "%.*s:%d:%d", MG_STR_ARG(config->path), line, column);
        collect(messages, &err);
        return;
    }
    s->task_count++;
    s->roles[index] = (mg_loop_task){ .role = role,
                                      .weight = wanted->weight,
                                      .has_guard = wanted->has_guard,
                                      .guard = wanted->guard };
    s->metrics[index] = mg_task_metric_find(s->tasks[index], wanted->metric);
    if (s->metrics[index] < 0) {
        mg_buf_printf(messages, "%s%.*s:%d:%d: task '%.*s' has no metric '%.*s'",
                      messages->size > 0 ? "\n" : "", MG_STR_ARG(config->path), line, column,
                      MG_STR_ARG(wanted->name), MG_STR_ARG(wanted->metric));
        add_nearest_metric(s->tasks[index], wanted->metric, messages);
    }
}

/* Whether any model has a chat template; without one, prompts are plain for all, said once. */
static bool chat_is_possible(search *s)
{
    const mg_genome_config *config = &s->o->config->genome;
    bool possible = false;
    for (int64_t m = 0; m <= config->model_count; m++) {
        bool base = m == config->model_count;
        mg_snapshot *snapshot;
        mg_tokenizer *tokenizer = NULL;
        if ((base && !config->has_base) ||
            mg_model_set_get(s->models, base ? &config->base : &config->models[m], &snapshot,
                             NULL) != MG_OK) {
            continue;
        }
        if (mg_tokenizer_open(snapshot->folder, &tokenizer, NULL) == MG_OK) {
            possible = possible || mg_tokenizer_has_chat_template(tokenizer);
        }
        mg_tokenizer_close(tokenizer);
    }
    return possible;
}

static void open_tasks(search *s, mg_buf *messages)
{
    const mg_evolve_config *config = s->o->config;
    const mg_evolve_tasks *const lists[] = { &config->tasks, &config->validate_tasks,
                                             &config->test_tasks };
    const mg_role roles[] = { MG_ROLE_SEARCH, MG_ROLE_SELECT, MG_ROLE_TEST };
    mg_task_options options = {
        .include_paths = s->o->task_paths,
        .include_count = s->o->task_path_count,
        .hub = s->o->hub,
        .num_fewshot = config->num_fewshot,
        .apply_chat_template = config->apply_chat_template && chat_is_possible(s),
        .fewshot_as_multiturn = config->fewshot_as_multiturn,
        .fewshot_seed = 1234,
        .python = s->o->python,
        .python_timeout_s = s->o->python_timeout_s,
    };
    if (config->apply_chat_template && !options.apply_chat_template) {
        mg_note("no model has a chat template, so prompts are plain text");
    }
    int64_t total = 0;
    for (int64_t l = 0; l < MG_ARRAY_COUNT(lists); l++) {
        total += lists[l]->count;
    }
    s->tasks = mg_new_array(mg_task *, MG_MAX(total, 1));
    s->roles = mg_new_array(mg_loop_task, MG_MAX(total, 1));
    s->metrics = mg_new_array(int64_t, MG_MAX(total, 1));
    for (int64_t l = 0; l < MG_ARRAY_COUNT(lists); l++) {
        options.limit = roles[l] == MG_ROLE_SEARCH ? config->limit : 0.0;
        for (int64_t t = 0; t < lists[l]->count; t++) {
            open_task(s, &options, &lists[l]->items[t], roles[l], messages);
        }
    }
}

/* Candidates are evaluated with the tokenizer of the donor, which is right as long as a merged
 * tokenizer is no other. */
static void check_tokenizers(search *s, mg_buf *messages)
{
    const mg_genome_config *config = &s->o->config->genome;
    uint64_t first = 0;
    bool differ = false;
    for (int64_t m = 0; config->tokenizer_source.size > 0 && m <= config->model_count; m++) {
        bool base = m == config->model_count;
        mg_snapshot *snapshot;
        mg_bytes text = { 0 };
        if ((base && !config->has_base) ||
            mg_model_set_get(s->models, base ? &config->base : &config->models[m], &snapshot,
                             NULL) != MG_OK) {
            continue;
        }
        const char *path = mg_path_join(&s->arena, snapshot->folder, "tokenizer.json").data;
        if (mg_file_read(path, (size_t)256 << 20, &text, NULL) == MG_OK) {
            uint64_t hash = mg_hash64(text.data, text.size, 0);
            differ = differ || (m > 0 && hash != first);
            first = m == 0 ? hash : first;
        }
        mg_bytes_release(&text);
    }
    if (differ) {
        mg_buf_printf(messages,
                      "%s%.*s: 'tokenizer_source' with models of different tokenizers cannot be "
                      "searched; merge the vocabularies first, with 'merge'",
                      messages->size > 0 ? "\n" : "", MG_STR_ARG(s->o->config->path));
    }
}

/* Whether the layers of model fit into a path: its factors are folded into o_proj and down_proj,
 * and nothing may stand between those and the residual stream. */
static bool layers_can_be_folded(const mg_snapshot *snapshot)
{
    bool attention = false;
    bool mlp = false;
    for (int64_t i = 0; i < mg_checkpoint_count(snapshot->checkpoint); i++) {
        mg_str name = mg_checkpoint_at(snapshot->checkpoint, i).name;
        if (mg_str_find(name, mg_str_of("post_feedforward"), 0) >= 0 ||
            mg_str_find(name, mg_str_of("post_mlp"), 0) >= 0 ||
            snapshot->config.family == MG_FAMILY_GEMMA) { /* its gains cannot be negated */
            return false;
        }
        attention = attention || mg_str_ends(name, "self_attn.o_proj.weight");
        mlp = mlp || mg_str_ends(name, "mlp.down_proj.weight");
    }
    return attention && mlp;
}

/* The layers of all models must work under the configuration of the first. */
static mg_status check_path_models(search *s, mg_error *err)
{
    const mg_genome_config *config = &s->o->config->genome;
    const mg_model_config *first = NULL;
    int64_t layers = 0;
    for (int64_t m = 0; m < config->model_count; m++) {
        mg_snapshot *snapshot;
        MG_TRY(mg_model_set_get(s->models, &config->models[m], &snapshot, err));
        const mg_model_config *c = &snapshot->config;
        first = m == 0 ? c : first;
        layers += c->layer_count;
        mg_str path = config->models[m].path;
        if (mg_path_check(first, c, err) != MG_OK) {
            mg_error_prefix(err, "%.*s: a path cannot mix layers of %.*s and %.*s",
                            MG_STR_ARG(s->o->config->path), MG_STR_ARG(config->models[0].path),
                            MG_STR_ARG(path));
            return MG_ERR_CONFIG;
        }
        if (!layers_can_be_folded(snapshot)) {
            return mg_fail(err, MG_ERR_UNSUPPORTED,
                           "%.*s: the layers of %.*s have no plain self_attn.o_proj and "
                           "mlp.down_proj, into which the factors of a path are folded",
                           MG_STR_ARG(s->o->config->path), MG_STR_ARG(path));
        }
    }
    if (layers > STACK_LAYERS_MAX) {
        return mg_fail(err, MG_ERR_CONFIG, "%.*s: all models together have %lld layers, at most %d",
                       MG_STR_ARG(s->o->config->path), (long long)layers, STACK_LAYERS_MAX);
    }
    return MG_OK;
}

/* Opens every model and makes the plan of the first merge, so that what does not fit is known now.
 */
static void open_models(search *s, mg_buf *messages)
{
    const mg_genome_config *config = &s->o->config->genome;
    mg_error err;
    mg_snapshot *snapshot;
    int64_t *layers = mg_arena_array(&s->arena, int64_t, config->model_count);
    bool fine = true;
    s->models = mg_model_set_create(s->o->hub);
    for (int64_t m = 0; m <= config->model_count; m++) {
        bool base = m == config->model_count;
        if (base && !config->has_base) {
            continue;
        }
        const mg_model_ref *ref = base ? &config->base : &config->models[m];
        if (mg_model_set_get(s->models, ref, &snapshot, &err) != MG_OK) {
            mg_error_prefix(&err, "%.*s", MG_STR_ARG(s->o->config->path));
            collect(messages, &err);
            fine = false;
        } else if (!base) {
            layers[m] = snapshot->config.layer_count;
        }
    }
    if (!fine) {
        return;
    }
    if (s->o->config->search.space == MG_SPACE_DFS) {
        if (check_path_models(s, &err) != MG_OK) {
            collect(messages, &err);
            return;
        }
        s->genome = mg_genome_create_path(s->o->config, layers);
    } else if (mg_genome_create(s->o->config, layers[0], &s->genome, &err) != MG_OK) {
        collect(messages, &err);
        return;
    }
    mg_recipe recipe;
    mg_plan *plan = NULL;
    mg_genome_recipe(s->genome, mg_genome_default(s->genome), &s->arena, &recipe);
    if (mg_plan_create(&recipe, s->models, s->o->allow_crimes, &plan, &err) != MG_OK) {
        mg_error_prefix(&err, "%.*s", MG_STR_ARG(s->o->config->path));
        collect(messages, &err);
    }
    mg_plan_destroy(plan);
    check_tokenizers(s, messages);
}

static mg_status open_inputs(search *s, mg_error *err)
{
    mg_buf messages = { 0 };
    open_models(s, &messages);
    open_tasks(s, &messages);
    mg_status status = MG_OK;
    if (messages.size > 0) {
        status = mg_fail(err, MG_ERR_CONFIG, "%s", messages.data);
    }
    mg_buf_release(&messages);
    return status;
}

static void add_model_facts(search *s, mg_fingerprint *facts, const mg_model_ref *ref,
                            const char *what)
{
    mg_snapshot *snapshot;
    char hash[MG_HASH_TEXT_BYTES];
    char name[256];
    mg_status status = mg_model_set_get(s->models, ref, &snapshot, NULL);
    MG_ASSERT(status == MG_OK); /* it is open already */
    mg_checkpoint_hash(snapshot->checkpoint, hash);
    mg_str text = mg_model_ref_text(ref, &s->arena);
    snprintf(name, sizeof(name), "the %s %.*s", what, MG_STR_ARG(text));
    mg_fingerprint_add(facts, name, "%s", hash);
}

/* What has to stay as it is while a search is continued. */
static void add_facts(search *s, mg_fingerprint *facts)
{
    const mg_evolve_config *config = s->o->config;
    const mg_genome_config *genome = &config->genome;
    const mg_search_config *set = &config->search;
    for (int64_t m = 0; m < genome->model_count; m++) {
        add_model_facts(s, facts, &genome->models[m], "source");
    }
    if (genome->has_base) {
        add_model_facts(s, facts, &genome->base, "base model");
    }
    static const char *const roles[] = { "search", "validation", "test" };
    for (int64_t t = 0; t < s->task_count; t++) {
        char hash[MG_HASH_TEXT_BYTES];
        char name[256];
        mg_task_hash(s->tasks[t], hash);
        snprintf(name, sizeof(name), "%s task %.*s", roles[s->roles[t].role],
                 MG_STR_ARG(mg_task_name(s->tasks[t])));
        mg_fingerprint_add(facts, name, "%s %d %.17g %lld %d %.17g", hash, (int)s->roles[t].role,
                           s->roles[t].weight, (long long)s->metrics[t], s->roles[t].has_guard,
                           s->roles[t].guard);
    }
    mg_fingerprint_add(facts, "genome.merge_method", "%.*s", MG_STR_ARG(genome->method));
    mg_fingerprint_add(facts, "search.ends or mask_seed", "%d %d", set->own_ends, set->own_masks);
    mg_fingerprint_add(facts, "the genes", "%lld %d %lld %d %d %d %d",
                       (long long)mg_genome_dimension(s->genome), (int)set->granularity,
                       (long long)set->granularity_count, set->by_class, genome->smooth,
                       genome->allow_negative_weights, (int)set->preset->encoding);
    mg_buf filters = { 0 };
    for (int64_t f = 0; f < genome->filter_count; f++) {
        mg_buf_printf(&filters, "%.*s|", MG_STR_ARG(genome->filters[f]));
    }
    mg_fingerprint_add(facts, "genome.filters", "%s", filters.size > 0 ? filters.data : "");
    mg_buf_release(&filters);
    mg_fingerprint_add(facts, "genome.normalize", "%d %d", genome->has_normalize,
                       genome->normalize);
    mg_fingerprint_add(facts, "genome.tokenizer_source", "%.*s",
                       MG_STR_ARG(genome->tokenizer_source));
    mg_fingerprint_add(facts, "the range of weights", "%.17g %.17g", set->weight_low,
                       set->weight_high);
    mg_fingerprint_add(facts, "search.seed", "%llu", (unsigned long long)set->seed);
    mg_fingerprint_add(facts, "the optimiser", "%d %lld %.17g %d %d", (int)set->optimiser,
                       (long long)set->population, set->sigma, (int)set->preset->bounds,
                       set->preset->adapt_learning_rate);
    mg_fingerprint_add(facts, "search.restart, restart_from or switches", "%d %d %d",
                       (int)set->restart, set->restart_near_best, set->switches_by_margin);
    mg_buf folders = { 0 };
    for (int64_t f = 0; f < set->warm_start_count; f++) {
        mg_buf_printf(&folders, "%.*s|", MG_STR_ARG(set->warm_start[f]));
    }
    mg_fingerprint_add(facts, "search.warm_start", "%s", folders.size > 0 ? folders.data : "");
    mg_buf_release(&folders);
    mg_fingerprint_add(facts, "search.items", "%lld %d", (long long)set->items,
                       set->items_from_preset);
    mg_fingerprint_add(facts, "search.rotate", "%lld %lld", (long long)set->rotate,
                       (long long)set->preset->held_out);
    mg_fingerprint_add(facts, "search.encoding, repeats or max_hops", "%d %lld %lld",
                       10 * (int)set->path_encoding + (int)set->space, (long long)set->repeats,
                       (long long)set->hops_max);
    mg_fingerprint_add(facts, "validate.share", "%.17g", config->validate_share);
    mg_fingerprint_add(facts, "num_fewshot, chat template or random_init", "%lld %d %d %d",
                       (long long)config->num_fewshot, config->apply_chat_template,
                       config->fewshot_as_multiturn, config->random_init);
}

/* The merge method and all genes by name, one a line: what a later search can begin with. */
static mg_status store_genes(search *s, mg_error *err)
{
    const mg_evolve_config *config = s->o->config;
    mg_buf genes = { 0 };
    mg_arena arena = { 0 };
    mg_buf_printf(&genes, "%.*s\n", MG_STR_ARG(config->genome.method));
    for (int64_t i = 0; i < mg_genome_dimension(s->genome); i++) {
        mg_str name = mg_genome_gene_name(s->genome, i, &arena);
        mg_buf_printf(&genes, "%.*s\n", MG_STR_ARG(name));
    }
    mg_status status = mg_warm_start_read(
        s->store, config->search.warm_start, config->search.warm_start_count, mg_buf_view(&genes),
        mg_genome_dimension(s->genome), &s->arena, &s->warm_points, &s->warm_count, err);
    if (status == MG_OK) {
        status = mg_store_put(s->store, "genes", mg_buf_view(&genes), err);
    }
    mg_arena_release(&arena);
    mg_buf_release(&genes);
    return status;
}

static mg_status open_store(search *s, mg_error *err)
{
    mg_fingerprint facts = { 0 };
    bool created;
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(mg_store_open(s->o->storage, &s->store, &created, err));
    add_facts(s, &facts);
    MG_TRY_OR_DONE(store_genes(s, err)); /* before the facts: a refused folder can be corrected */
    MG_TRY_OR_DONE(mg_fingerprint_check(&facts, s->store, s->o->storage, err));
    MG_TRY_OR_DONE(mg_store_put(s->store, "config", s->o->config->text, err));
    if (!created) {
        mg_note("continuing the search in %s", s->o->storage);
    }

done:
    mg_fingerprint_release(&facts);
    return status;
}

static mg_status improved(void *context, int64_t id, const double *genome, double score,
                          mg_error *err)
{
    (void)id;
    (void)score;
    return mg_outputs_best(((search *)context)->outputs, genome, err);
}

static void keep_first(search *s, mg_status status, const mg_error *err)
{
    if (status != MG_OK && s->file_status == MG_OK) {
        s->file_status = status;
        s->file_error = *err;
        __atomic_store_n(&s->broken, 1, __ATOMIC_RELEASE);
    }
}

static void recorded(void *context, const mg_loop_record *record)
{
    search *s = context;
    mg_error err;
    keep_first(s, mg_outputs_record(s->outputs, record, &err), &err);
    if (record->failed) {
        mg_note("candidate %lld failed: %.*s", (long long)record->id, MG_STR_ARG(record->note));
    }
}

static void generation_done(void *context, const mg_loop_generation *generation)
{
    search *s = context;
    mg_error err;
    keep_first(s, mg_outputs_generation(s->outputs, generation, &err), &err);
}

static bool stop(void *context)
{
    const search *s = context;
    return __atomic_load_n(&s->broken, __ATOMIC_ACQUIRE) != 0 ||
           (s->o->stop != NULL && s->o->stop(s->o->context));
}

static void progress(void *context, const mg_loop_progress *now)
{
    const search *s = context;
    if (s->o->progress != NULL) {
        s->o->progress(s->o->context, now);
    }
}

static mg_status run_loop(search *s, mg_loop_result *result, mg_error *err)
{
    const mg_evolve_config *config = s->o->config;
    mg_model_fitness_options fitness = {
        .genome = s->genome,
        .models = s->models,
        .hub = s->o->hub,
        .device = s->o->device,
        .pool = s->o->pool,
        .dtype = s->o->dtype,
        .sources = config->genome.models,
        .source_count = config->genome.model_count,
        .tasks = s->tasks,
        .metrics = s->metrics,
        .task_count = s->task_count,
        .seed = config->search.seed,
        .allow_crimes = s->o->allow_crimes,
    };
    MG_TRY(mg_model_fitness_create(&fitness, &s->fitness, err));
    s->fitness->stop = stop;
    s->fitness->stop_context = s;
    mg_loop_options loop = {
        .space = { .dimension = mg_genome_dimension(s->genome),
                   .bit_count = mg_genome_bit_count(s->genome),
                   .bits_max = mg_genome_bits_max(s->genome),
                   .bit_start = mg_genome_bit_start(s->genome),
                   .gates = mg_genome_gates(s->genome),
                   .start = mg_genome_start(s->genome),
                   .standard = mg_genome_default(s->genome),
                   .standard_name = config->search.space == MG_SPACE_DFS ? "plain path" : NULL,
                   .scale = mg_genome_scale(s->genome),
                   .lower = mg_genome_lower(s->genome),
                   .upper = mg_genome_upper(s->genome) },
        .warm_points = s->warm_points,
        .warm_count = s->warm_count,
        .search = &config->search,
        .tasks = s->roles,
        .validate_share = config->validate_share,
        .fitness = s->fitness,
        .store = s->store,
        .stop = stop,
        .improved = improved,
        .recorded = recorded,
        .generation = generation_done,
        .progress = progress,
        .context = s,
    };
    mg_status status = mg_loop_run(&loop, result, err);
    if (s->file_status != MG_OK) {
        status = mg_fail(err, s->file_status, "%s", s->file_error.message);
    }
    return status;
}

/* The winner as a model folder; a run that is continued after its end keeps the folder it has. */
static mg_status save_final_model(search *s, const mg_loop_result *result, mg_error *err)
{
    mg_arena arena = { 0 };
    mg_buf saved = { 0 };
    mg_recipe recipe;
    char winner[32];
    bool found;
    mg_status status = MG_OK;
    mg_merge_options options = {
        .execute = { .seed = s->o->config->search.seed, .has_seed = true },
        .shard_bytes = s->o->shard_bytes,
        .overwrite = true,
        .copy_tokenizer = true,
        .write_model_card = true,
        .allow_crimes = s->o->allow_crimes,
    };
    const char *folder = mg_path_join(&arena, s->o->storage, "final_model").data;
    snprintf(winner, sizeof(winner), "%lld", (long long)result->winner);
    MG_TRY_OR_DONE(mg_store_get(s->store, "final_model", &saved, &found, err));
    if (found && mg_str_is(mg_buf_view(&saved), winner) && mg_path_is_folder(folder)) {
        goto done;
    }
    mg_genome_recipe(s->genome, result->genome, &arena, &recipe);
    MG_TRY_OR_DONE(
        mg_merge_to_folder(&recipe, s->models, s->o->device, s->o->pool, &options, folder, err));
    MG_TRY_OR_DONE(mg_store_put(s->store, "final_model", mg_str_of(winner), err));

done:
    mg_buf_release(&saved);
    mg_arena_release(&arena);
    return status;
}

static mg_status write_report(search *s, mg_error *err)
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

static void search_release(search *s)
{
    mg_outputs_close(s->outputs);
    mg_fitness_destroy(s->fitness);
    mg_store_close(s->store);
    mg_genome_destroy(s->genome);
    mg_model_set_destroy(s->models);
    for (int64_t t = 0; t < s->task_count; t++) {
        mg_task_close(s->tasks[t]);
    }
    mg_free(s->tasks);
    mg_free(s->roles);
    mg_free(s->metrics);
    mg_arena_release(&s->arena);
}

mg_status mg_search_run(const mg_search_options *options, mg_error *err)
{
    search s = { .o = options };
    mg_loop_result result = { 0 };
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(open_inputs(&s, err));
    MG_TRY_OR_DONE(open_store(&s, err));
    MG_TRY_OR_DONE(mg_outputs_open(options->storage, s.genome, s.store, &s.outputs, err));
    MG_TRY_OR_DONE(run_loop(&s, &result, err));
    MG_TRY_OR_DONE(mg_outputs_best(s.outputs, result.genome, err));
    if (options->save_final_model) {
        MG_TRY_OR_DONE(save_final_model(&s, &result, err));
    }
    MG_TRY_OR_DONE(write_report(&s, err));

done:
    mg_loop_result_release(&result);
    search_release(&s);
    return status;
}
