/* evolve/search.c - see search.h.
 *
 * Order: tasks and models are opened and a first plan is made (every mistake comes out here), the
 * store is opened and its fingerprint compared, then the stages run, each from the results before
 * it; at the end the winner becomes best_config.yaml and final_model/, and report.md is written.  A
 * search with one stage is the usual case. */
#include "evolve/search.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "evolve/fitness_model.h"
#include "evolve/gram.h"
#include "evolve/fitness_workers.h"
#include "evolve/search_internal.h"
#include "evolve/warm_start.h"
#include "sched/message.h"

#define TRIES 2 /* of a candidate whose worker process dies */

/* The merge method and all genes by name, one a line: what a later search can begin with. */
static mg_status store_genes(mg_search *s, mg_error *err)
{
    const mg_evolve_config *config = s->o->config;
    const mg_genome *genome = s->stages[0].genome;
    mg_buf genes = { 0 };
    mg_arena arena = { 0 };
    mg_buf_printf(&genes, "%.*s\n", MG_STR_ARG(config->genome.method));
    for (int64_t i = 0; i < mg_genome_dimension(genome); i++) {
        mg_str name = mg_genome_gene_name(genome, i, &arena);
        mg_buf_printf(&genes, "%.*s\n", MG_STR_ARG(name));
    }
    mg_status status = mg_warm_start_read(
        s->store, config->search.warm_start, config->search.warm_start_count, mg_buf_view(&genes),
        mg_genome_dimension(genome), &s->arena, &s->warm_points, &s->warm_count, err);
    if (status == MG_OK) {
        status = mg_store_put(s->store, "genes", mg_buf_view(&genes), err);
    }
    mg_arena_release(&arena);
    mg_buf_release(&genes);
    return status;
}

static mg_status open_store(mg_search *s, mg_error *err)
{
    mg_fingerprint facts = { 0 };
    bool created;
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(mg_store_open(s->o->storage, &s->store, &created, err));
    mg_search_add_facts(s, &facts);
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

/* A stage that is over leaves the file to the one under way. */
static mg_status improved(void *context, int64_t id, const double *genome, double score,
                          mg_error *err)
{
    const mg_search *s = context;
    (void)id;
    (void)score;
    return s->is_past ? MG_OK
                      : mg_outputs_best(s->outputs, s->stages[s->current].genome, genome, err);
}

static void keep_first(mg_search *s, mg_status status, const mg_error *err)
{
    if (status != MG_OK && s->file_status == MG_OK) {
        s->file_status = status;
        s->file_error = *err;
        __atomic_store_n(&s->broken, 1, __ATOMIC_RELEASE);
    }
}

static void recorded(void *context, const mg_loop_record *record)
{
    mg_search *s = context;
    mg_error err;
    keep_first(s, mg_outputs_record(s->outputs, record, &err), &err);
    if (record->failed) {
        mg_note("candidate %lld failed: %.*s", (long long)record->id, MG_STR_ARG(record->note));
    }
}

static void generation_done(void *context, const mg_loop_generation *generation)
{
    mg_search *s = context;
    mg_error err;
    keep_first(s, mg_outputs_generation(s->outputs, generation, &err), &err);
}

static bool stop(void *context)
{
    const mg_search *s = context;
    return __atomic_load_n(&s->broken, __ATOMIC_ACQUIRE) != 0 ||
           (s->o->stop != NULL && s->o->stop(s->o->context));
}

static void progress(void *context, const mg_loop_progress *now)
{
    mg_search *s = context;
    mg_loop_progress staged = *now;
    if (s->o->progress == NULL) {
        return;
    }
    if (s->o->config->stage_count > 1) {
        snprintf(s->phase, sizeof(s->phase), "%s, %s", s->o->config->stages[s->current].title,
                 now->phase);
        staged.phase = s->phase;
    }
    s->o->progress(s->o->context, &staged);
}

/* Hops beyond the length of the first model cost what the file says (evolution.md 1). */
static double penalty(void *context, const double *genome)
{
    const mg_search *s = context;
    const mg_search_stage *stage = &s->stages[s->current];
    if (stage->config.search.cost_len == 0.0 || !mg_genome_is_path(stage->genome)) {
        return 0.0;
    }
    mg_hop *hops = mg_new_array(mg_hop, MG_HOPS_MAX + 2);
    double count = (double)mg_genome_hops(stage->genome, genome, hops);
    mg_free(hops);
    return stage->config.search.cost_len * (count / (double)s->layer_counts[0] - 1.0);
}

static int64_t text_hash(const mg_search *s)
{
    mg_str text = s->o->config->text;
    return (int64_t)mg_hash64(text.data, text.size, 0);
}

/* What a worker must know: the file it should have read, the stage, and the winners before it. */
static void put_setting(const mg_search *s, mg_buf *setting)
{
    mg_message_put_int(setting, text_hash(s));
    mg_message_put_int(setting, s->current);
    for (int64_t k = 0; k < s->current; k++) {
        int64_t n = mg_genome_dimension(s->stages[k].genome);
        mg_message_put_int(setting, s->stages[k].result.winner);
        for (int64_t i = 0; i < n; i++) {
            mg_message_put_number(setting, s->stages[k].result.genome[i]);
        }
    }
}

static mg_status create_fitness(mg_search *s, const mg_search_stage *stage, bool serves,
                                mg_error *err)
{
    const mg_evolve_config *config = s->o->config;
    mg_model_fitness_options options = {
        .genome = stage->genome,
        .models = s->models,
        .hub = s->o->hub,
        .device = s->o->device,
        .pool = s->o->pool,
        .dtype = s->o->dtype,
        .sources = config->genome.models,
        .source_count = config->genome.model_count,
        .stacks = stage->stacks,
        .stack_count = stage->stack_count,
        .tasks = s->tasks,
        .metrics = s->metrics,
        .task_count = s->task_count,
        .seed = config->search.seed,
        .allow_crimes = s->o->allow_crimes,
        .one_at_a_time = serves,
    };
    mg_fitness_destroy(s->fitness); /* of the stage before */
    s->fitness = NULL;
    MG_TRY(mg_model_fitness_create(&options, &s->fitness, err));
    if (s->workers != NULL) {
        mg_buf setting = { 0 };
        put_setting(s, &setting);
        s->fitness = mg_worker_fitness_create(s->fitness, mg_genome_dimension(stage->genome),
                                              mg_buf_view(&setting), s->workers);
        mg_buf_release(&setting);
    }
    s->fitness->stop = stop;
    s->fitness->stop_context = s;
    return MG_OK;
}

static void pairs_played(const void *context, const double *x, bool *relevant)
{
    mg_genome_pairs_played((const mg_genome *)context, x, relevant);
}

/* What the archive must know of the sources, for the preset niches. */
static mg_status open_niches(mg_search *s, mg_niche_space *niches, mg_error *err)
{
    const mg_genome_config *genome = &s->o->config->genome;
    int64_t layers = s->layer_counts[0];
    int64_t sources = genome->model_count;
    int64_t products = (layers + 2) * sources * sources;
    double *sizes = mg_arena_array(&s->arena, double, layers + 2);
    double *gram = mg_arena_array(&s->arena, double, products);
    *niches = (mg_niche_space){ layers + 2, sizes, gram };
    return mg_gram_compute(s->models, &genome->base, genome->models, sources, layers, s->o->pool,
                           sizes, gram, err);
}

static mg_status run_loop(mg_search *s, const mg_stage *place, mg_error *err)
{
    mg_niche_space niches;
    bool has_niches = s->stages[s->current].config.search.preset->niches;
    if (has_niches) {
        MG_TRY(open_niches(s, &niches, err));
    }
    mg_search_stage *stage = &s->stages[s->current];
    const mg_genome *genome = stage->genome;
    MG_TRY(create_fitness(s, stage, false, err));
    mg_loop_options loop = {
        .space = { .dimension = mg_genome_dimension(genome),
                   .bit_count = mg_genome_bit_count(genome),
                   .bits_max = mg_genome_bits_max(genome),
                   .bit_start = mg_genome_bit_start(genome),
                   .gates = mg_genome_gates(genome),
                   .played = mg_genome_counts_pairs(genome) ? pairs_played : NULL,
                   .played_context = genome,
                   .start = mg_genome_start(genome),
                   .standard = mg_genome_default(genome),
                   .standard_name = stage->standard_name,
                   .scale = mg_genome_scale(genome),
                   .lower = mg_genome_lower(genome),
                   .upper = mg_genome_upper(genome) },
        .stage = *place,
        .niches = has_niches ? &niches : NULL,
        .warm_points = s->warm_points,
        .warm_count = s->current == 0 ? s->warm_count : 0,
        .search = &stage->config.search,
        .tasks = s->roles,
        .validate_share = s->o->config->validate_share,
        .fitness = s->fitness,
        .store = s->store,
        .stop = stop,
        .improved = improved,
        .penalty = penalty,
        .recorded = recorded,
        .generation = generation_done,
        .progress = progress,
        .context = s,
    };
    mg_status status = mg_loop_run(&loop, &stage->result, err);
    if (s->file_status != MG_OK) {
        status = mg_fail(err, s->file_status, "%s", s->file_error.message);
    }
    return status;
}

/* Runs or continues one stage; the next one's place in the store, if it has one, says where its
 * candidates end. */
static mg_status run_stage(mg_search *s, int64_t index, mg_error *err)
{
    const mg_evolve_config *file = s->o->config;
    mg_stage place = { .index = index, .count = file->stage_count };
    s->current = index;
    if (index > 0) {
        char origin[40];
        place.first_id = s->stages[index - 1].result.end_id;
        MG_TRY(mg_search_prepare_stage(s, index, err));
        mg_search_stage_origin(s, index, origin);
        MG_TRY(mg_stage_begin(s->store, &place, origin, err));
    }
    if (index + 1 < file->stage_count) {
        MG_TRY(mg_stage_first_id(s->store, index + 1, &place.end_id, err));
    }
    s->is_past = place.end_id > 0;
    MG_TRY(run_loop(s, &place, err));
    return mg_search_keep_stage(s, index, err);
}

/* Of several stages: a search alone has stored its winner itself. */
static mg_status store_winner(mg_search *s, int64_t best, mg_error *err)
{
    char text[64];
    double seconds = 0.0;
    int64_t count = s->o->config->stage_count;
    for (int64_t k = 0; k < count; k++) {
        seconds += s->stages[k].result.seconds;
    }
    int size = snprintf(text, sizeof(text), "%lld %.17g", (long long)s->stages[best].result.winner,
                        seconds);
    return count > 1 ? mg_store_put(s->store, "winner", mg_str_make(text, (size_t)size), err)
                     : MG_OK;
}

static void search_release(mg_search *s)
{
    mg_outputs_close(s->outputs);
    mg_fitness_destroy(s->fitness);
    mg_workers_destroy(s->workers);
    mg_store_close(s->store);
    for (int64_t k = MG_STAGES_MAX - 1; k >= 0; k--) {
        mg_loop_result_release(&s->stages[k].result);
        mg_genome_destroy(s->stages[k].genome);
    }
    mg_model_set_destroy(s->models);
    for (int64_t i = 0; i < s->suite_count; i++) {
        mg_suite_close(s->suites[i]);
    }
    mg_free(s->suites);
    mg_free(s->tasks);
    mg_free(s->roles);
    mg_free(s->metrics);
    mg_arena_release(&s->arena);
}

mg_status mg_search_check(const mg_search_options *options,
                          void (*look)(void *context, const mg_plan *plan), void *context,
                          mg_search_plan *plan_out, mg_error *err)
{
    mg_search *s = mg_new(mg_search);
    mg_status status = MG_OK;
    mg_plan *plan = NULL;
    mg_recipe recipe;
    memset(plan_out, 0, sizeof(*plan_out));
    s->o = options;
    MG_TRY_OR_DONE(mg_search_open_inputs(s, err));
    const mg_genome *genome = s->stages[0].genome;
    plan_out->genes = mg_genome_dimension(genome);
    plan_out->stages = options->config->stage_count;
    plan_out->tasks = s->task_count;
    plan_out->evaluations = options->config->search.evaluations;
    for (int64_t i = 0; i < s->task_count; i++) {
        plan_out->questions += mg_task_item_count(s->tasks[i]);
    }
    mg_genome_recipe(genome, mg_genome_default(genome), &s->arena, &recipe);
    MG_TRY_OR_DONE(mg_plan_create(&recipe, s->models, options->allow_crimes, &plan, err));
    if (look != NULL) {
        look(context, plan);
    }

done:
    mg_plan_destroy(plan);
    search_release(s);
    mg_free(s);
    return status;
}

mg_status mg_search_run(const mg_search_options *options, mg_error *err)
{
    mg_search *s = mg_new(mg_search);
    mg_status status = MG_OK;
    s->o = options;
    MG_TRY_OR_DONE(mg_search_open_inputs(s, err));
    MG_TRY_OR_DONE(open_store(s, err));
    MG_TRY_OR_DONE(mg_outputs_open(options->storage, s->store, &s->outputs, err));
    if (options->worker_count > 0) {
        mg_workers_options workers = { options->worker_commands, options->worker_count, TRIES };
        s->workers = mg_workers_create(&workers);
    }
    for (int64_t k = 0; k < options->config->stage_count; k++) {
        MG_TRY_OR_DONE(run_stage(s, k, err));
    }
    int64_t best = mg_search_best_stage(s);
    MG_TRY_OR_DONE(store_winner(s, best, err));
    MG_TRY_OR_DONE(
        mg_outputs_best(s->outputs, s->stages[best].genome, s->stages[best].result.genome, err));
    if (options->save_final_model) {
        MG_TRY_OR_DONE(mg_search_save_models(s, best, err));
    }
    MG_TRY_OR_DONE(mg_search_write_report(s, err));

done:
    search_release(s);
    mg_free(s);
    return status;
}

/* --- A worker process */

/* Stages up to the one of setting, from the winners that it names. */
static mg_status read_setting(mg_search *s, mg_str setting, mg_error *err)
{
    mg_message_reader reader = { setting, false };
    if (mg_message_take_int(&reader) != text_hash(s)) {
        return mg_fail(err, MG_ERR_CONFIG, "the search file has changed since the search began");
    }
    int64_t current = mg_message_take_int(&reader);
    if (reader.bad || current < 0 || current >= s->o->config->stage_count) {
        return mg_fail(err, MG_ERR_INTERNAL, "a setting of the parent process is damaged");
    }
    if (current > 0 && s->store == NULL) {
        MG_TRY(mg_store_open_reader(s->o->storage, &s->store, err));
    }
    for (int64_t k = 0; k < current; k++) {
        mg_search_stage *stage = &s->stages[k];
        int64_t n = mg_genome_dimension(stage->genome);
        mg_loop_result_release(&stage->result);
        stage->result.winner = mg_message_take_int(&reader);
        stage->result.genome = mg_new_array(double, n);
        for (int64_t i = 0; i < n; i++) {
            stage->result.genome[i] = mg_message_take_number(&reader);
        }
        if (reader.bad) {
            return mg_fail(err, MG_ERR_INTERNAL, "a setting of the parent process is cut short");
        }
        if (s->stages[k + 1].genome == NULL) {
            MG_TRY(mg_search_prepare_stage(s, k + 1, err));
        }
    }
    s->current = current;
    return MG_OK;
}

static mg_status prepare(void *context, mg_str setting, mg_fitness **fitness_out,
                         int64_t *dimension_out, mg_error *err)
{
    mg_search *s = context;
    MG_TRY(read_setting(s, setting, err));
    const mg_search_stage *stage = &s->stages[s->current];
    MG_TRY(create_fitness(s, stage, true, err));
    *fitness_out = s->fitness;
    *dimension_out = mg_genome_dimension(stage->genome);
    return MG_OK;
}

mg_status mg_search_serve(const mg_search_options *options, int fd, mg_error *err)
{
    mg_search *s = mg_new(mg_search);
    mg_status status = MG_OK;
    s->o = options;
    MG_TRY_OR_DONE(mg_search_open_inputs(s, err));
    MG_TRY_OR_DONE(mg_fitness_serve(prepare, s, fd, err));

done:
    search_release(s);
    mg_free(s);
    return status;
}
