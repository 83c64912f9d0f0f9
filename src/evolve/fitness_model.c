/* evolve/fitness_model.c - see fitness_model.h.
 *
 * A candidate's way: genome -> recipe (genome.h) -> plan -> executed into the sink of a worker's
 * model
 * -> its engine answers the questions -> per-question metrics.  A source is the
 * merge of itself alone, with its own tokenizer. */
#include "evolve/fitness_model.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "eval/runner.h"
#include "evolve/questions.h"
#include "hub/snapshot.h"
#include "infer/engine.h"
#include "merge/execute.h"
#include "model/model.h"

/* One candidate a thread pays while the weights of all workers stay small beside the memory, and a
 * model is too small to keep several threads busy. */
#define SMALL_MODEL_BYTES ((size_t)256 << 20)
#define SMALL_TOTAL_BYTES ((size_t)1 << 30)

/* A model with everything to run it. */
typedef struct rig {
    mg_model_config config;
    bool has_config;
    mg_model *model;
    mg_stream *stream;
    mg_tokenizer *tokenizer;
    mg_engine *engine;
    mg_prepared_task **prepared; /* task_count; made on first use */
} rig;

/* A model whose layers are part of paths: a source, or a merge. */
typedef struct stack {
    char *folder;
    mg_model_config config;
    bool has_config;
    mg_model *model;   /* NULL = not filled yet */
    mg_stream *stream; /* that fills it */
} stack;

typedef struct model_fitness {
    mg_fitness base;
    mg_model_fitness_options options;
    mg_arena arena; /* names */
    bool one_each;  /* one candidate a thread */
    int worker_count;
    rig *workers;  /* for merges, made on first use */
    stack *stacks; /* options.stack_count; paths only */
    stack *roots;  /* worker_count: first models that candidates make, instead of
                                 stacks[0] */
    bool sources_are_stacks;
    pthread_mutex_t planning; /* guards options.models, which plans are made from, and stacks */
    mg_dtype dtype;
} model_fitness;

static const mg_device *device_of(const model_fitness *f)
{
    return f->options.device;
}

static bool stopped(const model_fitness *f)
{
    return f->base.stop != NULL && f->base.stop(f->base.stop_context);
}

/* For the engine, which asks between its steps. */
static bool engine_stopped(void *context)
{
    return stopped((const model_fitness *)context);
}

static mg_pool *pool_inside(const model_fitness *f)
{
    return f->one_each ? NULL : f->options.pool;
}

static void rig_release(rig *r, int64_t task_count, const mg_device *device)
{
    for (int64_t t = 0; r->prepared != NULL && t < task_count; t++) {
        mg_prepared_task_destroy(r->prepared[t]);
    }
    mg_free(r->prepared);
    mg_engine_destroy(r->engine);
    mg_model_destroy(r->model);
    mg_tokenizer_close(r->tokenizer);
    if (r->stream != NULL) {
        device->stream_destroy(r->stream);
    }
    if (r->has_config) {
        mg_model_config_release(&r->config);
    }
    *r = (rig){ 0 };
}

/* Takes sizes that a merge may change from the config.json it would write. */
static mg_status adopt_sizes(mg_model_config *config, const mg_value *merged, mg_error *err)
{
    int64_t value;
    if (mg_value_to_int(mg_value_get(merged, "vocab_size"), &value) && value > 0) {
        config->vocab_size = value;
    }
    if (!mg_value_to_int(mg_value_get(merged, "num_hidden_layers"), &value) || value < 1 ||
        value == config->layer_count) {
        return MG_OK;
    }
    bool *sliding = mg_arena_array(&config->arena, bool, value);
    for (int64_t i = 0; config->layer_is_sliding != NULL && i < config->layer_count; i++) {
        if (config->layer_is_sliding[i] != config->layer_is_sliding[0]) {
            return mg_fail(
                err, MG_ERR_UNSUPPORTED,
                "a merge of another depth needs layers with one kind of attention window");
        }
    }
    for (int64_t i = 0; config->layer_is_sliding != NULL && i < value; i++) {
        sliding[i] = config->layer_is_sliding[0];
    }
    config->layer_is_sliding = sliding;
    config->layer_count = value;
    return MG_OK;
}

/* folder gives config and tokenizer; merged, the config of the merge, may be NULL. */
static mg_status rig_make(model_fitness *f, const char *folder, const mg_value *merged, rig *r,
                          mg_error *err)
{
    mg_status status = MG_OK;
    const mg_device *device = device_of(f);
    mg_engine_options engine_options = { 0 };
    MG_TRY_OR_DONE(mg_model_config_read(folder, true, &r->config, err));
    r->has_config = true;
    if (merged != NULL) {
        MG_TRY_OR_DONE(adopt_sizes(&r->config, merged, err));
    }
    MG_TRY_OR_DONE(device->stream_create(device, pool_inside(f), &r->stream, err));
    MG_TRY_OR_DONE(mg_model_create(&r->config, device, f->dtype, &r->model, err));
    MG_TRY_OR_DONE(mg_tokenizer_open(folder, &r->tokenizer, err));
    MG_TRY_OR_DONE(
        mg_engine_create(r->model, r->tokenizer, pool_inside(f), &engine_options, &r->engine, err));
    mg_engine_stop_when(r->engine, engine_stopped, f);
    r->prepared = mg_new_array(mg_prepared_task *, f->options.task_count);

done:
    if (status != MG_OK) {
        rig_release(r, f->options.task_count, device);
    }
    return status;
}

/* What the callback of the runner needs. */
typedef struct answers {
    model_fitness *fitness;
    mg_job *job;
    int64_t task;
    int64_t next;        /* question that the next result belongs to */
    int64_t failed_item; /* -1 = none */
    mg_status failure;
    char message[512];
} answers;

static bool take_answer(void *context, const mg_item_result *result)
{
    answers *a = context;
    mg_job *job = a->job;
    while (a->next < job->question_count && job->questions[a->next].task == a->task &&
           job->questions[a->next].item < result->item) {
        a->next++;
    }
    MG_ASSERT(a->next < job->question_count && job->questions[a->next].item == result->item);
    double value = result->metrics[a->fitness->options.metrics[a->task]];
    if (result->failed || !isfinite(value)) {
        a->failed_item = result->item;
        a->failure = result->failed ? result->failure : MG_ERR_NUMERIC;
        snprintf(a->message, sizeof(a->message), "%s",
                 result->message != NULL ? result->message : "it has no value of its own");
        return false;
    }
    job->values[a->next] = value;
    if (result->responses != NULL && result->response_count > 0) {
        job->texts[a->next] = mg_arena_copy(&job->arena, result->responses[0]);
    }
    a->next++;
    return !stopped(a->fitness);
}

/* The questions begin..end of one task, or for the likelihoods of its reference answers. */
static mg_status run_task(model_fitness *f, rig *r, mg_job *job, int64_t begin, int64_t end)
{
    bool references = job->questions[begin].task >= f->options.task_count;
    int64_t task = job->questions[begin].task - (references ? f->options.task_count : 0);
    mg_error *err = &job->error;
    if (r->prepared[task] == NULL) {
        MG_TRY(mg_prepare_task(f->options.tasks[task], r->tokenizer,
                               mg_model_max_positions(r->model), &r->prepared[task], err));
    }
    int64_t *items = mg_new_array(int64_t, end - begin);
    for (int64_t i = begin; i < end; i++) {
        items[i - begin] = job->questions[i].item;
    }
    answers a = { .fitness = f, .job = job, .task = task, .next = begin, .failed_item = -1 };
    mg_status status = references ? mg_reference_likelihoods(r->prepared[task], r->engine, items,
                                                             end - begin, job->values + begin, err)
                                  : mg_run_items(r->prepared[task], r->engine, items, end - begin,
                                                 take_answer, &a, err);
    if (a.failed_item >= 0) {
        mg_str name = f->base.tasks[task].name;
        status = mg_fail(err, a.failure, "question %lld of task %.*s: %s", (long long)a.failed_item,
                         MG_STR_ARG(name), a.message);
    }
    mg_free(items);
    return status;
}

static mg_status run_questions(model_fitness *f, rig *r, mg_job *job)
{
    for (int64_t begin = 0, end; begin < job->question_count; begin = end) {
        end = mg_questions_task_end(job->questions, job->question_count, begin);
        MG_TRY(run_task(f, r, job, begin, end));
    }
    return MG_OK;
}

/* Between tensors, for merges that take long. */
static bool keep_merging(void *context, int64_t done, int64_t total)
{
    (void)done;
    (void)total;
    return !stopped((const model_fitness *)context);
}

/* A source is the merge of itself alone, so that adapters are applied in the one place. */
static void source_recipe(const mg_model_ref *ref, mg_arena *arena, mg_recipe *recipe_out)
{
    mg_recipe_source *source = mg_arena_array(arena, mg_recipe_source, 1);
    mg_recipe_slice *slice = mg_arena_array(arena, mg_recipe_slice, 1);
    mg_recipe_module *module = mg_arena_array(arena, mg_recipe_module, 1);
    *source = (mg_recipe_source){ .model = *ref };
    *slice = (mg_recipe_slice){ .sources = source, .source_count = 1 };
    *module = (mg_recipe_module){ .slices = slice, .slice_count = 1 };
    *recipe_out = (mg_recipe){ .method = mg_str_of("passthrough"),
                               .modules = module,
                               .module_count = 1,
                               .dtype = MG_DTYPE_COUNT,
                               .out_dtype = MG_DTYPE_COUNT };
}

/* Plans recipe, executes it into the rig's model (made when it is empty) and asks the questions. */
static mg_status run_recipe(model_fitness *f, const mg_recipe *recipe, rig *r, mg_job *job)
{
    mg_error *err = &job->error;
    mg_status status = MG_OK;
    mg_arena arena = { 0 };
    mg_plan *plan = NULL;
    mg_execute_options execute = {
        .seed = f->options.seed, .has_seed = true, .progress = keep_merging, .progress_context = f
    };
    pthread_mutex_lock(&f->planning);
    status = mg_plan_create(recipe, f->options.models, f->options.allow_crimes, &plan, err);
    pthread_mutex_unlock(&f->planning);
    MG_TRY_OR_DONE(status);
    mg_value merged = mg_plan_config(plan, &arena);
    int64_t layers;
    if (r->model != NULL && mg_value_to_int(mg_value_get(&merged, "num_hidden_layers"), &layers) &&
        layers != r->config.layer_count) { /* paths differ in length */
        rig_release(r, f->options.task_count, device_of(f));
    }
    if (r->model == NULL) {
        MG_TRY_OR_DONE(rig_make(f, mg_plan_donor(plan)->folder, &merged, r, err));
    }
    MG_TRY_OR_DONE(mg_plan_execute(plan, device_of(f), pool_inside(f), &execute,
                                   mg_model_sink(r->model, r->stream), err));
    MG_TRY_OR_DONE(run_questions(f, r, job));

done:
    mg_plan_destroy(plan);
    mg_arena_release(&arena);
    return status;
}

static void stack_release(stack *s, const mg_device *device)
{
    mg_model_destroy(s->model);
    if (s->stream != NULL) {
        device->stream_destroy(s->stream);
    }
    if (s->has_config) {
        mg_model_config_release(&s->config);
    }
    mg_free(s->folder);
    *s = (stack){ 0 };
}

/* An empty model of the shape that plan gives. */
static mg_status stack_make(model_fitness *f, const mg_plan *plan, stack *s, mg_error *err)
{
    const mg_device *device = device_of(f);
    mg_arena arena = { 0 };
    mg_value merged = mg_plan_config(plan, &arena);
    mg_status status = MG_OK;
    s->folder = mg_strdup(mg_plan_donor(plan)->folder);
    MG_TRY_OR_DONE(mg_model_config_read(s->folder, true, &s->config, err));
    s->has_config = true;
    MG_TRY_OR_DONE(adopt_sizes(&s->config, &merged, err));
    MG_TRY_OR_DONE(device->stream_create(device, pool_inside(f), &s->stream, err));
    MG_TRY_OR_DONE(mg_model_create(&s->config, device, f->dtype, &s->model, err));

done:
    if (status != MG_OK) {
        stack_release(s, device);
    }
    mg_arena_release(&arena);
    return status;
}

/* Fills s with the merge that recipe describes; locked says that the caller holds the mutex. */
static mg_status fill_stack(model_fitness *f, const mg_recipe *recipe, bool locked, stack *s,
                            mg_error *err)
{
    mg_plan *plan = NULL;
    bool made = false;
    mg_execute_options execute = {
        .seed = f->options.seed, .has_seed = true, .progress = keep_merging, .progress_context = f
    };
    if (!locked) {
        pthread_mutex_lock(&f->planning);
    }
    mg_status status =
        mg_plan_create(recipe, f->options.models, f->options.allow_crimes, &plan, err);
    if (!locked) {
        pthread_mutex_unlock(&f->planning);
    }
    MG_TRY_OR_DONE(status);
    if (s->model == NULL) {
        MG_TRY_OR_DONE(stack_make(f, plan, s, err));
        made = true;
    }
    MG_TRY_OR_DONE(mg_plan_execute(plan, device_of(f), pool_inside(f), &execute,
                                   mg_model_sink(s->model, s->stream), err));

done:
    if (status != MG_OK && made) {
        stack_release(s, device_of(f));
    }
    mg_plan_destroy(plan);
    return status;
}

/* Stacks that are the same for all candidates are filled once. */
static mg_status fill_stacks(model_fitness *f, mg_error *err)
{
    mg_status status = MG_OK;
    mg_arena arena = { 0 };
    pthread_mutex_lock(&f->planning);
    int64_t first = mg_genome_root_varies(f->options.genome) ? 1 : 0;
    for (int64_t s = first; s < f->options.stack_count && status == MG_OK; s++) {
        mg_recipe recipe;
        if (f->stacks[s].model != NULL) {
            continue;
        }
        if (s > 0 || !mg_genome_root(f->options.genome, NULL, &arena, &recipe)) {
            source_recipe(&f->options.stacks[s], &arena, &recipe);
        }
        status = fill_stack(f, &recipe, true, &f->stacks[s], err);
    }
    pthread_mutex_unlock(&f->planning);
    mg_arena_release(&arena);
    return status;
}

/* Hops over models; folder has the tokenizer, which the rig keeps. */
static mg_status run_hops(model_fitness *f, const char *folder, const mg_model *const *models,
                          int64_t model_count, const mg_hop *hops, int64_t hop_count, rig *r,
                          mg_job *job)
{
    mg_error *err = &job->error;
    mg_status status = MG_OK;
    mg_engine_options engine_options = { 0 };
    if (r->tokenizer == NULL) {
        MG_TRY_OR_DONE(mg_tokenizer_open(folder, &r->tokenizer, err));
        r->prepared = mg_new_array(mg_prepared_task *, f->options.task_count);
    }
    MG_TRY_OR_DONE(mg_model_create_path(models, model_count, hops, hop_count, &r->model, err));
    MG_TRY_OR_DONE(
        mg_engine_create(r->model, r->tokenizer, pool_inside(f), &engine_options, &r->engine, err));
    mg_engine_stop_when(r->engine, engine_stopped, f);
    MG_TRY_OR_DONE(run_questions(f, r, job));

done:
    mg_engine_destroy(r->engine);
    mg_model_destroy(r->model);
    r->engine = NULL;
    r->model = NULL;
    return status;
}

/* A source that is a stack, as the path through all its own layers. */
static mg_status run_stack(model_fitness *f, int64_t source, mg_job *job)
{
    rig own = { 0 };
    const mg_model *model = f->stacks[source].model;
    int64_t count = mg_model_layers(model);
    mg_hop *hops = mg_new_array(mg_hop, count);
    for (int64_t l = 0; l < count; l++) {
        hops[l] = (mg_hop){ 0, l, 1.0f };
    }
    mg_status status = run_hops(f, f->stacks[source].folder, &model, 1, hops, count, &own, job);
    rig_release(&own, f->options.task_count, device_of(f));
    mg_free(hops);
    return status;
}

static mg_status run_path(model_fitness *f, int worker, mg_job *job)
{
    mg_arena arena = { 0 };
    mg_status status = MG_OK;
    const mg_genome *genome = f->options.genome;
    int64_t count = f->options.stack_count;
    mg_hop *hops = mg_arena_array(&arena, mg_hop, MG_HOPS_MAX + 2);
    const mg_model **models = mg_arena_array(&arena, const mg_model *, count);
    const stack *first = &f->stacks[0];
    if (mg_genome_root_varies(genome)) {
        mg_recipe recipe;
        mg_genome_root(genome, job->genome, &arena, &recipe);
        MG_TRY_OR_DONE(fill_stack(f, &recipe, false, &f->roots[worker], &job->error));
        first = &f->roots[worker];
    }
    models[0] = first->model;
    for (int64_t s = 1; s < count; s++) {
        models[s] = f->stacks[s].model;
    }
    int64_t hop_count = mg_genome_hops(genome, job->genome, hops);
    MG_TRY_OR_DONE(
        run_hops(f, first->folder, models, count, hops, hop_count, &f->workers[worker], job));

done:
    mg_arena_release(&arena);
    return status;
}

static mg_status run_candidate(model_fitness *f, int worker, mg_job *job)
{
    mg_arena arena = { 0 };
    mg_recipe recipe;
    mg_status status;
    if (f->stacks != NULL && (job->genome != NULL || f->sources_are_stacks)) {
        MG_TRY(fill_stacks(f, &job->error));
        return job->genome != NULL ? run_path(f, worker, job) : run_stack(f, job->source, job);
    }
    if (job->genome == NULL) { /* its own shape and tokenizer: a rig of its own */
        rig own = { 0 };
        source_recipe(&f->options.sources[job->source], &arena, &recipe);
        status = run_recipe(f, &recipe, &own, job);
        rig_release(&own, f->options.task_count, device_of(f));
    } else {
        mg_genome_recipe(f->options.genome, job->genome, &arena, &recipe);
        status = run_recipe(f, &recipe, &f->workers[worker], job);
    }
    mg_arena_release(&arena);
    return status;
}

/* What evaluate hands to the pool. */
typedef struct batch {
    model_fitness *fitness;
    mg_job *jobs;
    mg_job_done *done;
    void *done_context;
    pthread_mutex_t mutex; /* one done at a time */
} batch;

static void run_job(void *context, int64_t index, int worker)
{
    batch *b = context;
    model_fitness *f = b->fitness;
    mg_job *job = &b->jobs[index];
    double begin = mg_clock_now(NULL);
    if (stopped(f)) {
        job->status = mg_fail(&job->error, MG_ERR_INTERRUPTED, "stopped before it began");
    } else {
        job->status = run_candidate(f, worker, job);
    }
    job->seconds = mg_clock_now(NULL) - begin;
    pthread_mutex_lock(&b->mutex);
    b->done(b->done_context, index);
    pthread_mutex_unlock(&b->mutex);
}

static mg_status evaluate(mg_fitness *fitness, mg_job *jobs, int64_t count, mg_job_done *done,
                          void *context, mg_error *err)
{
    (void)err;
    model_fitness *f = (model_fitness *)fitness;
    batch b = { f, jobs, done, context, PTHREAD_MUTEX_INITIALIZER };
    if (f->one_each) {
        mg_pool_run(f->options.pool, count, run_job, &b);
    } else {
        for (int64_t i = 0; i < count; i++) {
            run_job(&b, i, 0);
        }
    }
    pthread_mutex_destroy(&b.mutex);
    return MG_OK;
}

static void destroy(mg_fitness *fitness)
{
    model_fitness *f = (model_fitness *)fitness;
    for (int i = 0; i < f->worker_count; i++) {
        rig_release(&f->workers[i], f->options.task_count, device_of(f));
    }
    mg_free(f->workers);
    for (int64_t s = 0; f->stacks != NULL && s < f->options.stack_count; s++) {
        stack_release(&f->stacks[s], device_of(f));
    }
    for (int i = 0; f->roots != NULL && i < f->worker_count; i++) {
        stack_release(&f->roots[i], device_of(f));
    }
    mg_free(f->stacks);
    mg_free(f->roots);
    pthread_mutex_destroy(&f->planning);
    mg_arena_release(&f->arena);
    mg_free(f);
}

static const mg_fitness_ops model_ops = { evaluate, destroy };

/* Threads and weight type by the size of the first source. */
static mg_status choose_workers(model_fitness *f, mg_error *err)
{
    mg_snapshot *snapshot;
    MG_TRY(mg_model_set_get(f->options.models, &f->options.sources[0], &snapshot, err));
    size_t bytes = 2 * mg_checkpoint_bytes(snapshot->checkpoint); /* 16-bit weights widened */
    int threads = f->options.pool != NULL ? mg_pool_threads(f->options.pool) : 1;
    bool small = bytes <= SMALL_MODEL_BYTES; /* on any number of threads: it chooses the type */
    f->one_each = small && bytes <= SMALL_TOTAL_BYTES / (size_t)threads &&
                  f->options.device->host_memory && !f->options.one_at_a_time;
    f->worker_count = f->one_each ? threads : 1;
    f->dtype = f->options.dtype;
    if (f->dtype == MG_DTYPE_COUNT) {
        f->dtype = small ? MG_F32 : MG_BF16;
    }
    return MG_OK;
}

mg_status mg_model_fitness_create(const mg_model_fitness_options *options, mg_fitness **fitness_out,
                                  mg_error *err)
{
    *fitness_out = NULL;
    model_fitness *f = mg_new(model_fitness);
    f->options = *options;
    pthread_mutex_init(&f->planning, NULL);
    mg_fitness_task *tasks = mg_arena_array(&f->arena, mg_fitness_task, options->task_count);
    for (int64_t t = 0; t < options->task_count; t++) {
        tasks[t].name = mg_arena_copy(&f->arena, mg_task_name(options->tasks[t]));
        tasks[t].item_count = mg_task_item_count(options->tasks[t]);
    }
    mg_str *names = mg_arena_array(&f->arena, mg_str, options->source_count);
    for (int64_t s = 0; s < options->source_count; s++) {
        names[s] = mg_model_ref_text(&options->sources[s], &f->arena);
    }
    f->base = (mg_fitness){ .ops = &model_ops,
                            .tasks = tasks,
                            .task_count = options->task_count,
                            .source_names = names,
                            .source_count = options->source_count };
    mg_status status = choose_workers(f, err);
    if (status != MG_OK) {
        destroy(&f->base);
        return status;
    }
    f->workers = mg_new_array(rig, f->worker_count);
    if (mg_genome_is_path(options->genome)) {
        f->sources_are_stacks = options->stacks == NULL;
        if (f->sources_are_stacks) {
            f->options.stacks = options->sources;
            f->options.stack_count = options->source_count;
        }
        f->stacks = mg_new_array(stack, f->options.stack_count);
        f->roots = mg_new_array(stack, f->worker_count);
    }
    *fitness_out = &f->base;
    return MG_OK;
}
