/* merge/plan_forecast.c - memory and time of an execution, told before it begins.
 *
 * Memory beside mapped files: room is kept from tensor to tensor, so the dearest one decides: its
 * result, and what its method asks of mg_job_scratch, which is so many bytes for each element. */
#include <sys/stat.h>

#include "base/fs.h"
#include "merge/plan_internal.h"

#define BASE_BYTES ((size_t)1 << 20)   /* the program, its threads, buffers of files */
#define JOB_BYTES ((size_t)1 << 10)    /* of a plan, for each input of each tensor */
#define SAMPLE_BYTES ((size_t)4 << 20) /* arcee_fusion's sample of a large tensor */
/* A tokenizer.json is about ten times as large once it is a tree with tables over it. */
#define TOKENIZER_TIMES 10

/* Bytes a second: of files that lie in the system's cache, and of ordinary disks. */
#define CACHED_RATE 8e9
#define READ_RATE 1e9
#define WRITE_RATE 2e9
#define USUAL_NS 0.6 /* of arithmetic that keeps up with memory, for each element of each input */

/* What a method asks for, measured with bench/merge and the test of memory. */
typedef struct demand {
    const char *method;
    double fixed; /* bytes for each element, whatever the number of inputs */
    double each;  /* for each input but the base */
    double base;  /* for a base */
    int ends;  /* of ranges of ranks: sources are ordered, as many at a time as there are threads */
    double ns; /* of one core for each element of each input but the base */
} demand;

/* float32 values unless there is a fraction, which are bits. */
static const demand demands[] = {
    { "slerp", 0, 0, 0, 0, 2.5 },
    { "nuslerp", 4, 4, 4, 0, 11 },
    { "multislerp", 12, 4, 4, 0, 22 },
    { "karcher", 8, 4, 4, 0, 100 },
    { "sce", 16.125, 4, 4, 0, 28 },
    { "model_stock", 4, 8, 4, 0, 19 },
    { "nearswap", 0, 4, 4, 0, 20 },
    { "arcee_fusion", 8, 4, 4, 0, 45 },
    { "ram", 0, 4, 4, 0, 15 },
    { "ramplus_tl", 0, 4, 4, 0, 18 },
    { "della", 4, 0.125, 0, 0, 64 },
    { "della_linear", 4, 0.125, 0, 0, 64 },
    { "dare_linear", 0, 0.125, 0, 0, 2 },
    { "dare_ties", 0, 0.125, 0, 0, 2 },
    { "ties", 0, 0.125, 0, 1, 2 },
    { "breadcrumbs", 0, 0.125, 0, 2, 2.5 },
    { "breadcrumbs_ties", 0, 0.125, 0, 2, 2.5 },
};

/* NULL where nothing but the result is asked for. */
static const demand *demand_of(const mg_plan *plan, const mg_plan_job *job)
{
    for (int64_t i = 0; i < MG_ARRAY_COUNT(demands) && job->action == MG_PLAN_MERGE; i++) {
        if (strcmp(demands[i].method, plan->method->name) == 0) {
            return &demands[i];
        }
    }
    return NULL;
}

static int64_t others_of(const mg_plan_job *job)
{
    return job->input_count - (job->base >= 0);
}

static double element_bytes(const mg_plan *plan, const mg_plan_job *job, int threads)
{
    const demand *d = demand_of(plan, job);
    double others = (double)others_of(job);
    bool half = job->work == MG_BF16 || job->work == MG_F16;
    if (d == NULL) {
        return 0.0;
    }
    double bytes = d->fixed + d->each * others + (job->base >= 0 ? d->base : 0.0);
    if (d->ends > 0 && plan->order == MG_ORDER_TORCH) {
        double at_once = MG_MIN(others, (double)threads);
        double begins = d->ends > 1 ? 0.125 * others : 0.0;
        bytes += half ? 2.0 * at_once + begins : 8.0 * at_once;
    }
    return bytes;
}

static size_t job_bytes(const mg_plan *plan, const mg_plan_job *job, int threads)
{
    double bytes = (double)job->count * element_bytes(plan, job, threads) + (double)job->out_bytes;
    for (int64_t i = 0; i < job->input_count; i++) {
        const mg_plan_input *input = &job->inputs[i];
        const mg_layout_source *source = &input->source;
        if (input->adapter != NULL || source->part_count > 1 ||
            source->parts[0]->dtype != source->dtype) {
            bytes += (double)source->bytes; /* gathered first */
        }
        bytes += job->rows ? 4.0 * (double)job->count : 0.0;
    }
    bool sampled = strcmp(plan->method->name, "arcee_fusion") == 0 && job->count > 1000000;
    return (size_t)bytes + (sampled ? SAMPLE_BYTES : 0);
}

static size_t tokenizer_bytes(const char *folder, mg_arena *arena)
{
    struct stat file;
    mg_str path = mg_path_join(arena, folder, "tokenizer.json");
    return stat(path.data, &file) == 0 ? TOKENIZER_TIMES * (size_t)file.st_size : 0;
}

size_t mg_plan_memory_bytes(const mg_plan *plan, int threads)
{
    size_t most = 0;
    size_t kept = BASE_BYTES;
    mg_arena arena = { NULL, 0, 0 };
    for (int64_t i = 0; i < plan->job_count; i++) {
        most = MG_MAX(most, job_bytes(plan, &plan->jobs[i], threads));
        kept += JOB_BYTES * (size_t)plan->jobs[i].input_count;
    }
    for (int64_t i = 0; i < plan->model_count && plan->vocabulary != NULL; i++) {
        kept += tokenizer_bytes(plan->models[i]->folder, &arena);
    }
    if (plan->vocabulary != NULL) { /* a copy becomes the result's */
        kept += tokenizer_bytes(plan->vocabulary->folder, &arena);
    }
    mg_arena_release(&arena);
    return most + kept;
}

double mg_plan_seconds(const mg_plan *plan, int threads)
{
    double files = (double)mg_plan_output_bytes(plan) / WRITE_RATE;
    double work = 0.0;
    for (int64_t i = 0; i < plan->job_count; i++) {
        const mg_plan_job *job = &plan->jobs[i];
        const demand *d = demand_of(plan, job);
        int64_t inputs = d != NULL ? others_of(job) : job->input_count;
        work += 1e-9 * (d != NULL ? d->ns : USUAL_NS) * (double)job->count * (double)inputs;
        for (int64_t k = 0; k < job->input_count; k++) {
            const mg_plan_input *input = &job->inputs[k];
            const mg_checkpoint *checkpoint = plan->models[input->model]->checkpoint;
            for (int64_t p = 0; p < input->source.part_count; p++) {
                size_t cached = mg_checkpoint_cached_bytes(checkpoint, input->source.parts[p]);
                files += (double)cached / CACHED_RATE +
                         (double)(input->source.parts[p]->bytes - cached) / READ_RATE;
            }
        }
    }
    return MG_MAX(files, work / (double)MG_MAX(threads, 1));
}
