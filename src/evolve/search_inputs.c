/* evolve/search_inputs.c - what a search reads before it begins: tasks, models, and what of them
 * has to stay as it is.  Every mistake comes out here. */
#include <string.h>

#include "base/fs.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "evolve/search_internal.h"
#include "tokenizer/tokenizer.h"

#define EVALUATIONS_A_GENE 100
#define STACK_LAYERS_MAX 4096 /* of all models of a data-flow search */
#define PAIR_LAYERS_MAX 1000  /* where every pair of them has a gene */

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

/* "FILE:LINE:COLUMN" of an entry of the configuration. */
static mg_str place_of(mg_search *s, const mg_evolve_task *wanted)
{
    const mg_value *where = wanted->where;
    return mg_arena_printf(&s->arena, "%.*s:%d:%d", MG_STR_ARG(s->o->config->path),
                           where != NULL ? where->line : 0, where != NULL ? where->column : 0);
}

static void add_task(mg_search *s, mg_task *task, const mg_evolve_task *wanted, mg_role role,
                     double weight, mg_buf *messages)
{
    int64_t index = s->task_count++;
    s->tasks = mg_memory_resize(s->tasks, s->task_count, sizeof(*s->tasks));
    s->roles = mg_memory_resize(s->roles, s->task_count, sizeof(*s->roles));
    s->metrics = mg_memory_resize(s->metrics, s->task_count, sizeof(*s->metrics));
    s->tasks[index] = task;
    s->roles[index] = (mg_loop_task){
        .role = role, .weight = weight, .has_guard = wanted->has_guard, .guard = wanted->guard
    };
    s->metrics[index] = mg_task_metric_find(task, wanted->metric);
    if (s->metrics[index] < 0) {
        mg_str place = place_of(s, wanted);
        mg_str name = mg_task_name(task);
        mg_buf_printf(messages, "%s%.*s: task '%.*s' has no metric '%.*s'",
                      messages->size > 0 ? "\n" : "", MG_STR_ARG(place), MG_STR_ARG(name),
                      MG_STR_ARG(wanted->metric));
        add_nearest_metric(task, wanted->metric, messages);
    }
}

/* How the group pools the metric "acc,none"; NULL when it does not. */
static const mg_group_metric *find_pooling(const mg_group *group, mg_str key)
{
    int64_t comma = mg_str_find(key, mg_str_of(","), 0);
    mg_str name = mg_str_slice(key, 0, comma < 0 ? key.size : (size_t)comma);
    mg_str filter = mg_str_slice(key, comma < 0 ? key.size : (size_t)comma + 1, key.size);
    for (int64_t m = 0; m < group->metric_count; m++) {
        const mg_group_metric *metric = &group->metrics[m];
        bool fits = metric->filters == NULL;
        for (int64_t f = 0; f < metric->filter_count; f++) {
            fits = fits || mg_str_equal(metric->filters[f], filter);
        }
        if (fits && mg_str_equal(metric->metric, name)) {
            return metric;
        }
    }
    return NULL;
}

/* A group is worth what it reports: the mean over its tasks, by their sizes or plain, as a weight
 * of each. */
static void add_group(mg_search *s, const mg_suite *suite, const mg_evolve_task *wanted,
                      mg_role role, mg_buf *messages)
{
    const mg_group *group = mg_suite_group(suite, 0);
    const mg_group_metric *metric = find_pooling(group, wanted->metric);
    double total = 0;
    if (metric == NULL || wanted->has_guard) {
        mg_str place = place_of(s, wanted);
        mg_buf_printf(messages, "%s%.*s: group '%.*s' %s '%.*s'; name its tasks",
                      messages->size > 0 ? "\n" : "", MG_STR_ARG(place), MG_STR_ARG(wanted->name),
                      metric == NULL ? "has no entry in aggregate_metric_list for"
                                     : "cannot have a guard on",
                      MG_STR_ARG(wanted->metric));
        return;
    }
    for (int64_t i = 0; i < group->task_count; i++) {
        const mg_task *task = mg_suite_task(suite, group->tasks[i]);
        total += metric->weight_by_size ? (double)mg_task_item_count(task) : 1;
    }
    for (int64_t i = 0; i < group->task_count; i++) {
        mg_task *task = mg_suite_task(suite, group->tasks[i]);
        double share = metric->weight_by_size ? (double)mg_task_item_count(task) : 1;
        add_task(s, task, wanted, role, wanted->weight * share / total, messages);
    }
}

static void open_task(mg_search *s, const mg_task_options *options, const mg_evolve_task *wanted,
                      mg_role role, mg_buf *messages)
{
    mg_error err;
    const char *name = mg_arena_copy(&s->arena, wanted->name).data;
    mg_suite *suite;
    if (mg_suite_open(&name, 1, options, &suite, &err) != MG_OK) {
        mg_str place = place_of(s, wanted);
        mg_error_prefix(&err, "%.*s", MG_STR_ARG(place));
        collect(messages, &err);
        return;
    }
    s->suites[s->suite_count++] = suite;
    if (mg_suite_group_count(suite) > 0) {
        add_group(s, suite, wanted, role, messages);
    } else if (mg_suite_task_count(suite) == 1) {
        add_task(s, mg_suite_task(suite, 0), wanted, role, wanted->weight, messages);
    } else {
        mg_str place = place_of(s, wanted);
        mg_buf_printf(messages, "%s%.*s: '%s' is a tag, which has no score; name its tasks",
                      messages->size > 0 ? "\n" : "", MG_STR_ARG(place), name);
    }
}

/* Whether any model has a chat template; without one, prompts are plain for all, said once. */
static bool chat_is_possible(mg_search *s)
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

static void open_tasks(mg_search *s, mg_buf *messages)
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
        .stop = s->o->stop,
        .stop_context = s->o->context,
    };
    if (config->apply_chat_template && !options.apply_chat_template) {
        mg_note("no model has a chat template, so prompts are plain text");
    }
    int64_t total = 0;
    for (int64_t l = 0; l < MG_ARRAY_COUNT(lists); l++) {
        total += lists[l]->count;
    }
    s->suites = mg_new_array(mg_suite *, MG_MAX(total, 1));
    for (int64_t l = 0; l < MG_ARRAY_COUNT(lists); l++) {
        options.limit = roles[l] == MG_ROLE_SEARCH ? config->limit : 0.0;
        for (int64_t t = 0; t < lists[l]->count; t++) {
            open_task(s, &options, &lists[l]->items[t], roles[l], messages);
        }
    }
}

/* Only what is written has a reference answer whose likelihood says more than the score. */
static void check_references(mg_search *s, mg_buf *messages)
{
    for (int64_t t = 0; s->o->config->search.tie_breaker && t < s->task_count; t++) {
        if (s->roles[t].role == MG_ROLE_SEARCH &&
            mg_task_output_type(s->tasks[t]) != MG_GENERATE_UNTIL) {
            mg_str name = mg_task_name(s->tasks[t]);
            mg_buf_printf(messages,
                          "%s%.*s: 'tie_breaker' needs tasks that generate answers, which "
                          "'%.*s' does not",
                          messages->size > 0 ? "\n" : "", MG_STR_ARG(s->o->config->path),
                          MG_STR_ARG(name));
        }
    }
}

/* Candidates are evaluated with the tokenizer of the donor, which is right as long as a merged
 * tokenizer is no other. */
static void check_tokenizers(mg_search *s, mg_buf *messages)
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

/* A stack of layers that shall share paths with those of first. */
static mg_status check_stack(mg_search *s, const mg_model_ref *first_ref, const mg_model_ref *ref,
                             mg_error *err)
{
    mg_snapshot *first;
    mg_snapshot *snapshot;
    mg_str file = s->o->config->path;
    MG_TRY(mg_model_set_get(s->models, first_ref, &first, err));
    MG_TRY(mg_model_set_get(s->models, ref, &snapshot, err));
    if (mg_path_check(&first->config, &snapshot->config, err) != MG_OK) {
        mg_error_prefix(err, "%.*s: a path cannot mix layers of %.*s and %.*s", MG_STR_ARG(file),
                        MG_STR_ARG(first_ref->path), MG_STR_ARG(ref->path));
        return MG_ERR_CONFIG;
    }
    if (!layers_can_be_folded(snapshot)) {
        return mg_fail(err, MG_ERR_UNSUPPORTED,
                       "%.*s: the layers of %.*s have no plain self_attn.o_proj and "
                       "mlp.down_proj, into which the factors of a path are folded",
                       MG_STR_ARG(file), MG_STR_ARG(ref->path));
    }
    return MG_OK;
}

/* The layers of all models that paths may use must work under the configuration of the first; of a
 * hybrid search these are the merge, which has the shape of the models, and its partner. */
static mg_status check_path_models(mg_search *s, mg_error *err)
{
    const mg_evolve_config *file = s->o->config;
    const mg_genome_config *config = &file->genome;
    int64_t layers = 0;
    bool one = file->search.space == MG_SPACE_HYBRID && file->has_partner;
    for (int64_t m = 0; m < (one ? 1 : config->model_count); m++) {
        MG_TRY(check_stack(s, &config->models[0], &config->models[m], err));
        layers += s->layer_counts[m];
    }
    if (one) {
        MG_TRY(check_stack(s, &config->models[0], &file->partner, err));
    }
    bool pairs = false;
    for (int64_t k = 0; k < file->stage_count; k++) {
        mg_path_encoding encoding = file->stages[k].search.path_encoding;
        pairs = pairs || encoding == MG_PATH_PAPER || encoding == MG_PATH_TRANSITION;
    }
    if (pairs && layers > PAIR_LAYERS_MAX) {
        return mg_fail(err, MG_ERR_CONFIG,
                       "%.*s: all models together have %lld layers, at most %d for factors of each "
                       "pair of them; use 'encoding: slot'",
                       MG_STR_ARG(file->path), (long long)layers, PAIR_LAYERS_MAX);
    }
    if (layers > STACK_LAYERS_MAX) {
        return mg_fail(err, MG_ERR_CONFIG, "%.*s: all models together have %lld layers, at most %d",
                       MG_STR_ARG(file->path), (long long)layers, STACK_LAYERS_MAX);
    }
    return MG_OK;
}

static void open_model(mg_search *s, const mg_model_ref *ref, int64_t *layers_out, mg_buf *messages)
{
    mg_error err;
    mg_snapshot *snapshot;
    if (mg_model_set_get(s->models, ref, &snapshot, &err) != MG_OK) {
        mg_error_prefix(&err, "%.*s", MG_STR_ARG(s->o->config->path));
        collect(messages, &err);
    } else if (layers_out != NULL) {
        *layers_out = snapshot->config.layer_count;
    }
}

/* Fewer evaluations than a hundred a gene (evolution.md 3.2), where the file itself asked for so
 * many genes. */
static void advise_on_budget(const mg_evolve_config *config, int64_t genes)
{
    const mg_search_config *search = &config->search;
    bool named = config->genome.layer_granularity > 0 || config->genome.smooth ||
                 config->genome.filter_count > 0 || search->by_class ||
                 !search->anchors_from_preset;
    int64_t evaluations = search->evaluations > 0 ? search->evaluations
                          : search->questions > 0 && search->items > 0
                              ? search->questions / search->items
                              : INT64_MAX;
    bool coarse = search->granularity == MG_GRANULARITY_MODEL && !search->by_class;
    bool advisable = search->preset->encoding == MG_ENCODING_NATIVE && !search->preset->niches;
    if (advisable && named && !coarse && evaluations / EVALUATIONS_A_GENE < genes) {
        mg_note("%lld genes ask for %lld evaluations, the budget is %lld: a coarser granularity, "
                "such as anchors:3 or model, learns more from it",
                (long long)genes, (long long)(EVALUATIONS_A_GENE * genes), (long long)evaluations);
    }
}

/* Opens every model and makes the plan of the first merge, so that what does not fit is known now.
 */
static void open_models(mg_search *s, mg_buf *messages)
{
    const mg_evolve_config *file = s->o->config;
    const mg_genome_config *config = &file->genome;
    mg_search_stage *first = &s->stages[0];
    mg_error err;
    s->layer_counts = mg_arena_array(&s->arena, int64_t, config->model_count);
    s->models = mg_model_set_create(s->o->hub);
    for (int64_t m = 0; m < config->model_count; m++) {
        open_model(s, &config->models[m], &s->layer_counts[m], messages);
    }
    if (config->has_base) {
        open_model(s, &config->base, NULL, messages);
    }
    if (file->has_partner) {
        open_model(s, &file->partner, NULL, messages);
    }
    if (messages->size > 0) {
        return;
    }
    if (file->search.space != MG_SPACE_PS && check_path_models(s, &err) != MG_OK) {
        collect(messages, &err);
        return;
    }
    first->config = *file;
    first->config.search = file->stages[0].search;
    if (file->search.space == MG_SPACE_DFS) {
        first->genome = mg_genome_create_path(&first->config, s->layer_counts, NULL);
        first->standard_name = "plain path";
    } else if (mg_genome_create(&first->config, s->layer_counts[0], &first->genome, &err) !=
               MG_OK) {
        collect(messages, &err);
        return;
    }
    if (first->config.search.space == MG_SPACE_PS) {
        advise_on_budget(&first->config, mg_genome_dimension(first->genome));
    }
    mg_recipe recipe;
    mg_plan *plan = NULL;
    mg_genome_recipe(first->genome, mg_genome_default(first->genome), &s->arena, &recipe);
    if (mg_plan_create(&recipe, s->models, s->o->allow_crimes, &plan, &err) != MG_OK) {
        mg_error_prefix(&err, "%.*s", MG_STR_ARG(file->path));
        collect(messages, &err);
    }
    mg_plan_destroy(plan);
    check_tokenizers(s, messages);
}

mg_status mg_search_open_inputs(mg_search *s, mg_error *err)
{
    mg_buf messages = { 0 };
    open_models(s, &messages);
    open_tasks(s, &messages);
    check_references(s, &messages);
    mg_status status = MG_OK;
    if (messages.size > 0) {
        status = mg_fail(err, MG_ERR_CONFIG, "%s", messages.data);
    }
    mg_buf_release(&messages);
    return status;
}

static void add_model_facts(mg_search *s, mg_fingerprint *facts, const mg_model_ref *ref,
                            const char *what)
{
    mg_snapshot *snapshot;
    char hash[MG_HASH_TEXT_BYTES];
    mg_status status = mg_model_set_get(s->models, ref, &snapshot, NULL);
    MG_ASSERT(status == MG_OK); /* it is open already */
    mg_checkpoint_hash(snapshot->checkpoint, hash);
    mg_str text = mg_model_ref_text(ref, &s->arena);
    mg_str name = mg_arena_printf(&s->arena, "the %s %.*s", what, MG_STR_ARG(text));
    mg_fingerprint_add(facts, name.data, "%s", hash);
}

/* What no line of the file says in this form, but what decides how a stage goes on. */
static void add_rules(const mg_search_config *set, mg_buf *out)
{
    const mg_preset *preset = set->preset;
    mg_buf_printf(out, "%d %d %d %d %d %.17g %lld %d", set->estimate, preset->active,
                  preset->adapt_learning_rate, preset->best_ever, preset->ignore_stops,
                  set->polish_share, (long long)set->restarts, set->restarts_from_preset);
    mg_buf_printf(out, " %d", set->tie_breaker);
}

/* The stages, and what is theirs alone. */
static void add_stage_facts(mg_search *s, mg_fingerprint *facts)
{
    const mg_evolve_config *config = s->o->config;
    if (config->stage_count < 2) {
        return;
    }
    mg_buf stages = { 0 };
    for (int64_t k = 0; k < config->stage_count; k++) {
        const mg_search_config *set = &config->stages[k].search;
        mg_buf_printf(&stages, "%s %lld %.17g %d %lld %d %lld %d %lld %d ", config->stages[k].name,
                      (long long)set->population, set->sigma, (int)set->path_encoding,
                      (long long)set->rotate, (int)set->granularity,
                      (long long)set->granularity_count, (int)set->optimiser, (long long)set->items,
                      set->items_from_preset);
        add_rules(set, &stages);
        mg_buf_add_char(&stages, '|');
    }
    mg_fingerprint_add(facts, "the stages of the search", "%s", stages.data);
    mg_fingerprint_add(facts, "search.partner", "%.*s",
                       MG_STR_ARG(config->has_partner
                                      ? mg_model_ref_text(&config->partner, &s->arena)
                                      : mg_str_of("")));
    if (config->has_partner) {
        add_model_facts(s, facts, &config->partner, "partner");
    }
    mg_buf_release(&stages);
}

void mg_search_add_facts(mg_search *s, mg_fingerprint *facts)
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
        mg_task_hash(s->tasks[t], hash);
        mg_str name = mg_arena_printf(&s->arena, "%s task %.*s", roles[s->roles[t].role],
                                      MG_STR_ARG(mg_task_name(s->tasks[t])));
        mg_fingerprint_add(facts, name.data, "%s %d %.17g %lld %d %.17g", hash,
                           (int)s->roles[t].role, s->roles[t].weight, (long long)s->metrics[t],
                           s->roles[t].has_guard, s->roles[t].guard);
    }
    mg_fingerprint_add(facts, "genome.merge_method", "%.*s", MG_STR_ARG(genome->method));
    mg_fingerprint_add(facts, "the genes", "%lld %d %lld %d %d %d %d",
                       (long long)mg_genome_dimension(s->stages[0].genome), (int)set->granularity,
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
    mg_buf rules = { 0 };
    add_rules(set, &rules);
    mg_fingerprint_add(facts, "search.preset, polish, restarts or tie_breaker", "%s", rules.data);
    mg_buf_release(&rules);
    mg_buf folders = { 0 };
    for (int64_t f = 0; f < set->warm_start_count; f++) {
        mg_buf_printf(&folders, "%.*s|", MG_STR_ARG(set->warm_start[f]));
    }
    mg_fingerprint_add(facts, "search.warm_start", "%s", folders.size > 0 ? folders.data : "");
    mg_buf_release(&folders);
    mg_fingerprint_add(facts, "search.items", "%lld %d %d", (long long)set->items,
                       set->items_from_preset, set->items_auto ? 1 + (int)set->item_control : 0);
    mg_fingerprint_add(facts, "search.rotate", "%lld %lld", (long long)set->rotate,
                       (long long)set->preset->held_out);
    mg_fingerprint_add(facts, "search.encoding, repeats or max_hops", "%d %lld %lld",
                       10 * (int)set->path_encoding + (int)set->space, (long long)set->repeats,
                       (long long)set->hops_max);
    mg_fingerprint_add(facts, "search.ends or mask_seed", "%d %d", set->own_ends, set->own_masks);
    mg_fingerprint_add(facts, "search.cost_len", "%.17g", set->cost_len);
    add_stage_facts(s, facts);
    mg_fingerprint_add(facts, "validate.share", "%.17g", config->validate_share);
    mg_fingerprint_add(facts, "num_fewshot, chat template or random_init", "%lld %d %d %d",
                       (long long)config->num_fewshot, config->apply_chat_template,
                       config->fewshot_as_multiturn, config->random_init);
    mg_fingerprint_add(facts, "--dtype", "%s",
                       s->o->dtype == MG_DTYPE_COUNT ? "auto" : mg_dtype_name(s->o->dtype));
}
