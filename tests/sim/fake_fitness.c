/* tests/sim/fake_fitness.c - see fake_fitness.h. */
#include "fake_fitness.h"

#include <math.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/rng.h"

#define SECONDS_AN_ANSWER 0.01

typedef struct fake {
    mg_fitness base;
    fake_options o;
    mg_fitness_task tasks[2];
    mg_str names[8];
    double *difficulty; /* items, then test items */
    int64_t answers;
    uint64_t tried[4096]; /* genomes that failed once already */
    int64_t tried_count;
} fake;

static const double optimum[6] = { 0.8, 0.6, 0.9, 0.4, 0.7, 0.3 };

static double draw(uint64_t a, uint64_t b, uint32_t stream)
{
    uint32_t counter[4] = { (uint32_t)a, (uint32_t)(a >> 32), (uint32_t)b, (uint32_t)(b >> 32) };
    uint32_t words[4];
    mg_philox_key key = { { stream, 777 } };
    mg_philox(key, counter, words);
    return mg_uniform53(words[0], words[1]);
}

static double ability(const fake *f, const mg_job *job, bool mirrored, uint64_t *hash_out)
{
    if (job->genome == NULL) {
        *hash_out = (uint64_t)job->source;
        return -1.2 - 0.1 * (double)job->source;
    }
    size_t bytes = (size_t)f->o.dimension * sizeof(double);
    *hash_out = mg_hash64(job->genome, bytes, 5);
    double theta = 0.1;
    for (int64_t i = 0; i < f->o.dimension; i++) {
        double best = mirrored ? 1.0 - optimum[i % 6] : optimum[i % 6];
        double d = job->genome[i] - best;
        theta -= 3.0 * 6.0 / (double)f->o.dimension * d * d;
    }
    return theta + f->o.lasting_effect * mg_normal_quantile(draw(*hash_out, 1, 3));
}

static bool first_try(fake *f, uint64_t hash)
{
    for (int64_t i = 0; i < f->tried_count; i++) {
        if (f->tried[i] == hash) {
            return false;
        }
    }
    f->tried[f->tried_count++ % 4096] = hash;
    return true;
}

static void answer(fake *f, mg_job *job)
{
    uint64_t hash;
    double abilities[2];
    abilities[1] = ability(f, job, f->o.opposed, &hash);
    abilities[0] = ability(f, job, false, &hash);
    double luck = draw(hash, f->o.seed, 4);
    bool bad_source = f->o.first_source_fails && job->genome == NULL && job->source == 0;
    if (bad_source || (job->genome != NULL && luck < f->o.fail_share)) {
        job->status = mg_fail(&job->error, MG_ERR_NUMERIC, "model.norm.weight is not finite");
        return;
    }
    if (job->genome != NULL && luck >= f->o.fail_share &&
        luck < f->o.fail_share + f->o.crash_share && first_try(f, hash)) {
        job->status = mg_fail(&job->error, MG_ERR_USER_CODE, "the python worker is dead");
        return;
    }
    bool flaky = job->genome != NULL && luck > 1.0 - f->o.flaky_share && first_try(f, hash);
    for (int64_t i = 0; i < job->question_count; i++) {
        if (flaky && 2 * i >= job->question_count) { /* in the middle of its work */
            job->status = mg_fail(&job->error, MG_ERR_MEMORY, "no memory for the cache");
            return;
        }
        mg_question q = job->questions[i];
        if (q.task >= f->base.task_count) { /* the reference answer, without noise */
            int64_t task = q.task - f->base.task_count;
            int64_t place = task == 0 ? q.item : f->o.items + q.item;
            job->values[i] = -log1p(exp(f->difficulty[place] - abilities[task]));
            continue;
        }
        if (q.task == 1 && job->genome != NULL && draw(hash, f->o.seed, 5) < f->o.late_share) {
            job->status = mg_fail(&job->error, MG_ERR_NUMERIC, "logits are not finite");
            return;
        }
        int64_t item = q.task == 0 ? q.item : f->o.items + q.item;
        double u = draw(hash ^ f->o.seed, (uint64_t)item, 2);
        double noise = log(u / (1.0 - u));
        double right = f->o.right != 0.0 ? f->o.right : 1.0;
        job->values[i] = abilities[q.task] - f->difficulty[item] + noise > 0.0 ? right : 0.0;
        if (q.task == 0) {
            job->texts[i] = mg_str_of("an answer");
        }
        f->answers++;
        if (f->o.clock_seconds != NULL) {
            *f->o.clock_seconds += SECONDS_AN_ANSWER;
        }
        if (f->base.stop != NULL && f->base.stop(f->base.stop_context)) {
            job->status = mg_fail(&job->error, MG_ERR_INTERRUPTED, "stopped");
            return;
        }
    }
}

static mg_status evaluate(mg_fitness *fitness, mg_job *jobs, int64_t count, mg_job_done *done,
                          void *context, mg_error *err)
{
    (void)err;
    fake *f = (fake *)fitness;
    for (int64_t j = 0; j < count; j++) {
        int64_t index = j % 2 == 0 && j + 1 < count ? j + 1
                        : j % 2 == 1                ? j - 1
                                                    : j; /* not in order */
        jobs[index].status = MG_OK;
        if (f->base.stop != NULL && f->base.stop(f->base.stop_context)) {
            jobs[index].status = mg_fail(&jobs[index].error, MG_ERR_INTERRUPTED, "stopped");
        } else {
            answer(f, &jobs[index]);
        }
        done(context, index);
    }
    return MG_OK;
}

static void destroy(mg_fitness *fitness)
{
    fake *f = (fake *)fitness;
    mg_free(f->difficulty);
    mg_free(f);
}

static const mg_fitness_ops fake_ops = { evaluate, destroy };

mg_fitness *fake_fitness_create(const fake_options *options)
{
    static const char *const names[] = { "a", "b", "c", "d", "e", "f", "g", "h" };
    fake *f = mg_new(fake);
    f->o = *options;
    f->tasks[0] = (mg_fitness_task){ mg_str_of("train"), options->items };
    f->tasks[1] = (mg_fitness_task){ mg_str_of("test"), options->test_items };
    int64_t total = options->items + options->test_items;
    f->difficulty = mg_new_array(double, total);
    mg_rng rng = mg_rng_make(4711, MG_STREAM_ITEMS); /* the same world whatever the seed */
    for (int64_t i = 0; i < total; i++) {
        f->difficulty[i] = 1.5 * mg_rng_normal(&rng);
    }
    for (int i = 0; i < 8; i++) {
        f->names[i] = mg_str_of(names[i]);
    }
    f->base = (mg_fitness){ .ops = &fake_ops,
                            .tasks = f->tasks,
                            .task_count = options->test_items > 0 ? 2 : 1,
                            .source_names = f->names,
                            .source_count = options->sources };
    return &f->base;
}

double fake_fitness_truth(const mg_fitness *fitness, const double *genome)
{
    const fake *f = (const fake *)fitness;
    mg_job job = { .genome = genome };
    uint64_t hash;
    double theta = ability(f, &job, false, &hash);
    double sum = 0.0;
    for (int64_t i = 0; i < f->o.items; i++) {
        sum += 1.0 / (1.0 + exp(-(theta - f->difficulty[i])));
    }
    return sum / (double)f->o.items;
}

int64_t fake_fitness_answers(const mg_fitness *fitness)
{
    return ((const fake *)fitness)->answers;
}
