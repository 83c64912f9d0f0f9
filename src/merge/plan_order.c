/* merge/plan_order.c - the order in which jobs run: that of mergekit's task graph.
 *
 * The order decides which words of the random stream a tensor gets, and its shard.  mergekit sorts
 * its tasks topologically, by label (the largest name on disk among a tensor's inputs) and kind.
 * Labels are equal where a frankenmerge takes a layer twice; then tasks follow the order in which
 * the graph got to know them, and that is the order in which Python's set of small integers gives
 * its members: each task's number in the graph is its hash.  So the numbers are given as mergekit
 * gives them, and the set is followed slot by slot (CPython 3.11). */
#include <stdlib.h>

#include "base/map.h"
#include "merge/plan_internal.h"

/* --- A set of numbers that gives them up as CPython's does ------------------------------------ */

#define SLOT_FREE (-1)
#define SLOT_LEFT (-2) /* was taken: a search goes on behind it */
#define LINEAR_PROBES 9
#define PERTURB_SHIFT 5
#define BIG_SET 50000 /* members from which on it grows by two, not four */

typedef struct number_set {
    int64_t *slots;
    size_t mask;
    size_t filled; /* slots that are not free */
    size_t used;
    size_t finger; /* where the next member is looked for */
} number_set;

static void set_init(number_set *set, size_t slot_count)
{
    set->slots = mg_new_array(int64_t, (int64_t)slot_count);
    for (size_t i = 0; i < slot_count; i++) {
        set->slots[i] = SLOT_FREE;
    }
    set->mask = slot_count - 1;
    set->filled = 0;
    set->used = 0;
}

/* Puts number into a slot that was left, the last that is met, else into a free one; false when the
 * set has no more members in new slots than before. */
static bool set_place(number_set *set, int64_t number)
{
    size_t perturb = (size_t)number;
    int64_t *left = NULL;
    for (size_t i = (size_t)number & set->mask;; i = (i * 5 + 1 + perturb) & set->mask) {
        size_t last = i + LINEAR_PROBES <= set->mask ? i + LINEAR_PROBES : i;
        for (size_t at = i; at <= last; at++) {
            int64_t *slot = &set->slots[at];
            if (*slot == number) {
                return false;
            }
            left = *slot == SLOT_LEFT ? slot : left;
            if (*slot == SLOT_FREE) {
                *(left != NULL ? left : slot) = number;
                set->filled += left == NULL;
                set->used++;
                return left == NULL;
            }
        }
        perturb >>= PERTURB_SHIFT;
    }
}

static void set_add(number_set *set, int64_t number)
{
    if (!set_place(set, number) || set->filled * 5 < set->mask * 3) {
        return;
    }
    number_set grown = { NULL, 0, 0, 0, set->finger };
    size_t wanted = set->used > BIG_SET ? set->used * 2 : set->used * 4;
    size_t slot_count = 8;
    while (slot_count <= wanted) {
        slot_count <<= 1;
    }
    set_init(&grown, slot_count);
    for (size_t i = 0; i <= set->mask; i++) {
        if (set->slots[i] >= 0) {
            (void)set_place(&grown, set->slots[i]);
        }
    }
    mg_free(set->slots);
    *set = grown;
}

static int64_t set_pop(number_set *set)
{
    size_t at = set->finger & set->mask;
    while (set->slots[at] < 0) {
        at = (at + 1) & set->mask;
    }
    int64_t number = set->slots[at];
    set->slots[at] = SLOT_LEFT;
    set->used--;
    set->finger = at + 1;
    return number;
}

/* --- The graph -------------------------------------------------------------------------------- */

/* What a job's tasks are called in the graph. */
typedef struct job_tasks {
    int64_t save, merge, gather;
    int64_t ready; /* place of the last input that carries the job's label */
} job_tasks;

typedef struct graph {
    mg_arena arena;
    mg_map known;        /* inputs, by what they read -> number */
    int64_t count;       /* tasks */
    int64_t **needs;     /* by task: those it depends on */
    int64_t *need_count; /* by task */
    int64_t *place;      /* by task: when the graph got to know it, -1 = not yet */
    int64_t writer, tokenizer;
    job_tasks *jobs;
} graph;

static int64_t new_task(graph *g, int64_t need_cap)
{
    g->needs[g->count] = mg_arena_array(&g->arena, int64_t, MG_MAX(need_cap, 1));
    return g->count++;
}

static void need(graph *g, int64_t task, int64_t other)
{
    g->needs[task][g->need_count[task]++] = other;
}

/* A task without needs that all share; *task is -1 before the first use. */
static int64_t shared_task(graph *g, int64_t *task)
{
    if (*task < 0) {
        *task = new_task(g, 0);
    }
    return *task;
}

static int64_t add_load(graph *g, const mg_plan_load *load)
{
    mg_str key =
        mg_arena_printf(&g->arena, "%lld/%.*s", (long long)load->model, MG_STR_ARG(load->name));
    int64_t number = mg_map_get(&g->known, key, -1);
    if (number < 0) {
        number = new_task(g, 0);
        (void)mg_map_set(&g->known, key, number);
    }
    return number;
}

/* The task that gathers a job's inputs.  Each job has its own: two with the same inputs are not
 * equal in mergekit, whose maps compare by identity. */
static int64_t add_gather(graph *g, const mg_plan_job *job)
{
    int64_t number = new_task(g, job->load_count);
    for (int64_t i = 0; i < job->load_count; i++) {
        need(g, number, add_load(g, &job->loads[i]));
    }
    return number;
}

static void add_job(graph *g, const mg_plan_job *job, job_tasks *tasks)
{
    tasks->save = new_task(g, 2);
    need(g, tasks->save, shared_task(g, &g->writer));
    tasks->merge = new_task(g, 1);
    need(g, tasks->save, tasks->merge);
    int64_t source = tasks->merge;
    if (job->embeds) { /* the rows of tokens are put in order between the two */
        source = new_task(g, 2);
        need(g, tasks->merge, source);
        need(g, source, shared_task(g, &g->tokenizer));
    }
    tasks->gather = add_gather(g, job);
    need(g, source, tasks->gather);
}

/* Numbers the tasks, then has them found from the ends backwards. */
static void explore(graph *g, const mg_plan *plan)
{
    number_set open = { NULL, 0, 0, 0, 0 };
    set_init(&open, 8);
    for (int64_t i = 0; i < plan->job_count; i++) {
        add_job(g, &plan->jobs[i], &g->jobs[i]);
        set_add(&open, g->jobs[i].save);
    }
    int64_t finish = new_task(g, plan->job_count + 1);
    need(g, finish, shared_task(g, &g->writer));
    for (int64_t i = 0; i < plan->job_count; i++) {
        need(g, finish, g->jobs[i].save);
    }
    set_add(&open, finish);
    if (plan->vocabulary != NULL) {
        set_add(&open, shared_task(g, &g->tokenizer));
    }
    bool *explored = mg_arena_array(&g->arena, bool, g->count);
    int64_t places = 0;
    while (open.used > 0) {
        int64_t task = set_pop(&open);
        for (int64_t i = 0; i < g->need_count[task] && !explored[task]; i++) {
            int64_t other = g->needs[task][i];
            set_add(&open, other);
            g->place[other] = g->place[other] < 0 ? places++ : g->place[other];
            g->place[task] = g->place[task] < 0 ? places++ : g->place[task];
        }
        explored[task] = true;
    }
    mg_free(open.slots);
}

static void rank_jobs(graph *g, mg_plan *plan)
{
    for (int64_t i = 0; i < plan->job_count; i++) {
        mg_plan_job *job = &plan->jobs[i];
        const job_tasks *tasks = &g->jobs[i];
        int64_t ready = -1;
        for (int64_t k = 0; k < job->load_count; k++) {
            if (mg_str_equal(job->loads[k].label, job->label)) {
                ready = MG_MAX(ready, g->place[add_load(g, &job->loads[k])]);
            }
        }
        job->order[0] = ready;
        job->order[1] = g->place[tasks->gather];
        job->order[2] = g->place[tasks->merge];
    }
}

static int compare_jobs(const void *a, const void *b)
{
    const mg_plan_job *p = (const mg_plan_job *)a;
    const mg_plan_job *q = (const mg_plan_job *)b;
    int order = mg_str_compare(p->label, q->label);
    for (int i = 0; i < MG_ARRAY_COUNT(p->order) && order == 0; i++) {
        order = p->order[i] < q->order[i] ? -1 : p->order[i] > q->order[i];
    }
    return order;
}

void mg_plan_order(mg_plan *plan)
{
    graph g;
    memset(&g, 0, sizeof(g));
    int64_t cap = 3;
    for (int64_t i = 0; i < plan->job_count; i++) {
        cap += 4 + plan->jobs[i].load_count;
    }
    g.needs = mg_arena_array(&g.arena, int64_t *, cap);
    g.need_count = mg_arena_array(&g.arena, int64_t, cap);
    g.place = mg_arena_array(&g.arena, int64_t, cap);
    g.jobs = mg_arena_array(&g.arena, job_tasks, plan->job_count);
    for (int64_t i = 0; i < cap; i++) {
        g.place[i] = -1;
    }
    g.writer = g.tokenizer = -1;
    explore(&g, plan);
    rank_jobs(&g, plan);
    qsort(plan->jobs, (size_t)plan->job_count, sizeof(mg_plan_job), compare_jobs);
    mg_map_release(&g.known);
    mg_arena_release(&g.arena);
}
