/* evolve/pareto.c - the front of a search with several objectives (evolution.md 9). */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "evolve/loop_internal.h"
#include "optim/front.h"

#define SAFE_MARGIN 0.02 /* below the best source, on a task, that the careful pick may be */

int64_t mg_loop_objective_tasks(const mg_loop *loop, int64_t *tasks_out)
{
    int64_t count = 0;
    for (int64_t t = 0; t < loop->o->fitness->task_count; t++) {
        if (loop->o->tasks[t].role == MG_ROLE_SEARCH && loop->o->tasks[t].weight > 0.0) {
            if (tasks_out != NULL) {
                tasks_out[count] = t;
            }
            count++;
        }
    }
    return count;
}

/* Mean of the values of one task; values are those of set. */
static double task_mean(const mg_item_set *set, const double *values, int64_t task)
{
    double sum = 0.0;
    int64_t count = 0;
    for (int64_t i = 0; i < set->count; i++) {
        if (set->questions[i].task == task) {
            sum += values[i];
            count++;
        }
    }
    return count > 0 ? sum / (double)count : 0.0;
}

mg_status mg_loop_objectives(mg_loop *loop, const mg_loop_candidate *candidate,
                             double *objectives_out, mg_error *err)
{
    int64_t *tasks = mg_new_array(int64_t, MG_MAX(loop->o->fitness->task_count, 1));
    double *values = mg_new_array(double, MG_MAX(loop->search.count, 1));
    int64_t count = mg_loop_objective_tasks(loop, tasks);
    mg_status status = mg_loop_values(loop, candidate, &loop->search, values, err);
    for (int64_t o = 0; o < count; o++) {
        double mean = task_mean(&loop->search, values, tasks[o]);
        objectives_out[o] = candidate->failed || isnan(mean) ? (double)INFINITY : -mean;
    }
    mg_free(tasks);
    mg_free(values);
    return status;
}

/* The best objective of any source, by task. */
static mg_status best_sources(mg_loop *loop, int64_t m, double *best_out, mg_error *err)
{
    double *own = mg_new_array(double, m);
    mg_status status = MG_OK;
    for (int64_t o = 0; o < m; o++) {
        best_out[o] = INFINITY;
    }
    for (int64_t s = 0; s < loop->o->fitness->source_count; s++) {
        MG_TRY_OR_DONE(mg_loop_objectives(loop, mg_loop_candidate_at(loop, s), own, err));
        for (int64_t o = 0; o < m; o++) {
            best_out[o] = fmin(best_out[o], own[o]);
        }
    }

done:
    mg_free(own);
    return status;
}

/* Of the points that are on no task below the best source (but for the margin) the best by average
 * rank; -1 when there is none. */
static int64_t careful_pick(const double *points, int64_t count, int64_t m, const double *sources)
{
    double *safe = mg_new_array(double, MG_MAX(count * m, 1));
    int64_t *index = mg_new_array(int64_t, MG_MAX(count, 1));
    int64_t safe_count = 0;
    for (int64_t i = 0; i < count; i++) {
        bool fine = true;
        for (int64_t o = 0; o < m; o++) {
            fine = fine && points[i * m + o] <= sources[o] + SAFE_MARGIN;
        }
        if (fine) {
            memcpy(safe + safe_count * m, points + i * m, (size_t)m * sizeof(double));
            index[safe_count++] = i;
        }
    }
    int64_t pick = safe_count > 0 ? index[mg_front_best_rank(safe, safe_count, m)] : -1;
    mg_free(safe);
    mg_free(index);
    return pick;
}

mg_status mg_loop_pick_from_front(mg_loop *loop, const mg_nsga2 *nsga,
                                  mg_loop_candidate **picks_out, int64_t *count_out, mg_error *err)
{
    static const char *const names[] = { "balanced", "careful", "knee" };
    int64_t m = mg_loop_objective_tasks(loop, NULL);
    int64_t members = mg_nsga2_member_count(nsga);
    double *points = mg_new_array(double, MG_MAX(members * m, 1));
    double *sources = mg_new_array(double, m);
    int64_t *ids = mg_new_array(int64_t, MG_MAX(members, 1));
    mg_buf text = { 0 };
    mg_status status = MG_OK;
    int64_t count = 0;
    *count_out = 0;
    for (int64_t i = 0; i < members; i++) {
        mg_nsga2_member member = mg_nsga2_member_at(nsga, i);
        const mg_loop_candidate *c = mg_loop_candidate_at(loop, member.id);
        if (member.front == 0 && c != NULL && !c->failed) {
            memcpy(points + count * m, member.objectives, (size_t)m * sizeof(double));
            ids[count++] = member.id;
        }
    }
    if (count == 0) {
        goto done;
    }
    MG_TRY_OR_DONE(best_sources(loop, m, sources, err));
    const int64_t picks[] = { mg_front_best_rank(points, count, m),
                              careful_pick(points, count, m, sources),
                              mg_front_knee(points, count, m) };
    for (int64_t i = 0; i < count; i++) {
        bool picked = false;
        mg_buf_printf(&text, "%lld", (long long)mg_loop_store_id(loop, ids[i]));
        for (int64_t p = 0; p < MG_ARRAY_COUNT(picks); p++) {
            if (picks[p] == i) {
                mg_buf_printf(&text, " %s", names[p]);
                picked = true;
            }
        }
        mg_buf_add_char(&text, '\n');
        if (picked) {
            picks_out[(*count_out)++] = mg_loop_candidate_at(loop, ids[i]);
        }
    }
    MG_TRY_OR_DONE(mg_loop_put_value(loop, "front", mg_buf_view(&text), err));

done:
    mg_free(points);
    mg_free(sources);
    mg_free(ids);
    mg_buf_release(&text);
    return status;
}

void mg_loop_pick_living(mg_loop *loop, const mg_nsga2 *nsga, mg_loop_candidate **picks_out,
                         int64_t *count_out)
{
    *count_out = 0;
    for (int64_t i = 0; i < mg_nsga2_member_count(nsga) && *count_out < MG_FRONT_PICKS; i++) {
        mg_loop_candidate *c = mg_loop_candidate_at(loop, mg_nsga2_member_at(nsga, i).id);
        if (c != NULL && !c->failed) {
            picks_out[(*count_out)++] = c;
        }
    }
}
