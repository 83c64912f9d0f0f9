/* evolve/fitness_workers.c - see fitness_workers.h.
 *
 *   request: the setting; 1 and the genome's numbers, or 0; the source; the questions as pairs of
 *            task and item
 *   answer:  status and its message; seconds; value and text of each question */
#include "evolve/fitness_workers.h"

#include <math.h>

#include "base/memory.h"
#include "sched/message.h"
#include "sched/worker.h"

typedef struct worker_fitness {
    mg_fitness base;
    mg_fitness *description;
    int64_t dimension;
    mg_buf setting;
    mg_workers *workers;
} worker_fitness;

/* One call of evaluate. */
typedef struct batch {
    worker_fitness *fitness;
    mg_job *jobs;
    mg_job_done *done;
    void *done_context;
} batch;

static void put_request(void *context, int64_t index, mg_buf *request)
{
    const batch *b = context;
    const mg_job *job = &b->jobs[index];
    mg_message_put_text(request, mg_buf_view(&b->fitness->setting));
    mg_message_put_int(request, job->genome != NULL ? 1 : 0);
    for (int64_t i = 0; job->genome != NULL && i < b->fitness->dimension; i++) {
        mg_message_put_number(request, job->genome[i]);
    }
    mg_message_put_int(request, job->source);
    mg_message_put_int(request, job->question_count);
    for (int64_t i = 0; i < job->question_count; i++) {
        mg_message_put_int(request, job->questions[i].task);
        mg_message_put_int(request, job->questions[i].item);
    }
}

static void take_answer(void *context, int64_t index, mg_str answer)
{
    batch *b = context;
    mg_job *job = &b->jobs[index];
    mg_message_reader reader = { answer, false };
    job->status = (mg_status)mg_message_take_int(&reader);
    mg_str message = mg_message_take_text(&reader);
    if (job->status != MG_OK) {
        (void)mg_fail(&job->error, job->status, "%.*s", MG_STR_ARG(message));
    }
    job->seconds = mg_message_take_number(&reader);
    for (int64_t i = 0; i < job->question_count; i++) {
        job->values[i] = mg_message_take_number(&reader);
        job->texts[i] = mg_arena_copy(&job->arena, mg_message_take_text(&reader));
    }
    if (reader.bad || reader.rest.size > 0) {
        job->status = mg_fail(&job->error, MG_ERR_INTERNAL, "a worker process answered nonsense");
    }
    b->done(b->done_context, index);
}

static void take_failure(void *context, int64_t index, const mg_error *why)
{
    batch *b = context;
    mg_job *job = &b->jobs[index];
    /* A candidate that ends its workers is not tried yet again, as one on a busy device is. */
    mg_status status = why->status == MG_ERR_DEVICE ? MG_ERR_INTERNAL : why->status;
    job->status = mg_fail(&job->error, status, "%s", why->message);
    b->done(b->done_context, index);
}

static bool stopped(void *context)
{
    const mg_fitness *fitness = &((const batch *)context)->fitness->base;
    return fitness->stop != NULL && fitness->stop(fitness->stop_context);
}

static mg_status evaluate(mg_fitness *fitness, mg_job *jobs, int64_t count, mg_job_done *done,
                          void *context, mg_error *err)
{
    worker_fitness *f = (worker_fitness *)fitness;
    batch b = { f, jobs, done, context };
    mg_workers_calls calls = { put_request, take_answer, take_failure, stopped, &b };
    return mg_workers_run(f->workers, count, &calls, err);
}

static void destroy(mg_fitness *fitness)
{
    worker_fitness *f = (worker_fitness *)fitness;
    mg_fitness_destroy(f->description);
    mg_buf_release(&f->setting);
    mg_free(f);
}

static const mg_fitness_ops worker_ops = { evaluate, destroy };

mg_fitness *mg_worker_fitness_create(mg_fitness *description, int64_t dimension, mg_str setting,
                                     mg_workers *workers)
{
    worker_fitness *f = mg_new(worker_fitness);
    f->base = *description;
    f->base.ops = &worker_ops;
    f->description = description;
    f->dimension = dimension;
    mg_buf_add(&f->setting, setting);
    f->workers = workers;
    return &f->base;
}

/* --- The worker's side */

typedef struct server {
    mg_fitness_prepare *prepare;
    void *context;
    mg_fitness *fitness; /* for setting; NULL = none yet */
    int64_t dimension;
    mg_buf setting;
} server;

/* Makes the fitness for a setting that is not the one before. */
static mg_status adopt_setting(server *s, mg_str setting, mg_error *err)
{
    mg_str known = mg_buf_view(&s->setting);
    if (s->fitness != NULL && mg_str_compare(known, setting) == 0) {
        return MG_OK;
    }
    s->fitness = NULL;
    MG_TRY(s->prepare(s->context, setting, &s->fitness, &s->dimension, err));
    mg_buf_clear(&s->setting);
    mg_buf_add(&s->setting, setting);
    return MG_OK;
}

/* Reads a request into job, whose arena owns what it points to. */
static mg_status read_request(server *s, mg_str request, mg_job *job)
{
    mg_message_reader reader = { request, false };
    mg_str setting = mg_message_take_text(&reader);
    if (!reader.bad) {
        MG_TRY(adopt_setting(s, setting, &job->error));
    }
    if (mg_message_take_int(&reader) != 0) {
        double *genome = mg_arena_array(&job->arena, double, MG_MAX(s->dimension, 1));
        for (int64_t i = 0; i < s->dimension; i++) {
            genome[i] = mg_message_take_number(&reader);
        }
        job->genome = genome;
    }
    job->source = mg_message_take_int(&reader);
    int64_t count = mg_message_take_int(&reader);
    if (reader.bad || count < 0 || (size_t)count > reader.rest.size) {
        return mg_fail(&job->error, MG_ERR_INTERNAL, "a request of the parent process is damaged");
    }
    mg_question *questions = mg_arena_array(&job->arena, mg_question, MG_MAX(count, 1));
    for (int64_t i = 0; i < count; i++) {
        questions[i].task = (int32_t)mg_message_take_int(&reader);
        questions[i].item = (int32_t)mg_message_take_int(&reader);
    }
    job->questions = questions;
    job->question_count = count;
    job->values = mg_arena_array(&job->arena, double, MG_MAX(count, 1));
    job->texts = mg_arena_array(&job->arena, mg_str, MG_MAX(count, 1));
    for (int64_t i = 0; i < count; i++) {
        job->values[i] = (double)NAN;
    }
    return reader.bad ? mg_fail(&job->error, MG_ERR_INTERNAL, "a request is cut short") : MG_OK;
}

static void nothing_more(void *context, int64_t index)
{
    (void)context;
    (void)index;
}

static void answer_request(void *context, mg_str request, mg_buf *answer)
{
    server *s = context;
    mg_job job = { 0 };
    job.status = read_request(s, request, &job);
    if (job.status == MG_OK) {
        mg_error err;
        mg_status status = s->fitness->ops->evaluate(s->fitness, &job, 1, nothing_more, NULL, &err);
        if (status != MG_OK) {
            job.status = status;
            job.error = err;
        }
    }
    mg_message_put_int(answer, job.status);
    mg_message_put_text(answer, mg_str_of(job.status != MG_OK ? job.error.message : ""));
    mg_message_put_number(answer, job.seconds);
    for (int64_t i = 0; i < job.question_count; i++) {
        mg_message_put_number(answer, job.values[i]);
        mg_message_put_text(answer, job.texts[i]);
    }
    mg_arena_release(&job.arena);
}

mg_status mg_fitness_serve(mg_fitness_prepare *prepare, void *context, int fd, mg_error *err)
{
    server s = { .prepare = prepare, .context = context };
    mg_status status = mg_worker_serve(fd, answer_request, &s, err);
    mg_buf_release(&s.setting);
    return status;
}
