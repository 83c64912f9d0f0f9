/* evolve/items.c - which questions are for searching, choosing and testing (evolution.md 1, 12.1).
 *
 * All draws come from the seed alone, so that a continued run draws the same. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "evolve/loop_internal.h"
#include "evolve/questions.h"

#define SPLIT_POOL_MIN 100 /* fewer questions: none can be spared for choosing */
#define REPORT_SELECT_MIN                                                                          \
    60 /* fewer: the winner's number comes from the questions that chose it                        \
        */

int mg_question_compare(const void *a, const void *b)
{
    const mg_question *x = a;
    const mg_question *y = b;
    if (x->task != y->task) {
        return x->task < y->task ? -1 : 1;
    }
    return x->item < y->item ? -1 : x->item > y->item ? 1 : 0;
}

static void sort_questions(mg_item_set *set)
{
    qsort(set->questions, (size_t)set->count, sizeof(set->questions[0]), mg_question_compare);
}

static void add_task(mg_item_set *set, int64_t task, int64_t item_count)
{
    for (int64_t i = 0; i < item_count; i++) {
        set->questions[set->count++] = (mg_question){ (int32_t)task, (int32_t)i };
    }
}

void mg_loop_shuffle(int64_t *order, int64_t count, mg_rng *rng)
{
    for (int64_t i = 0; i < count; i++) {
        order[i] = i;
    }
    for (int64_t i = count - 1; i > 0; i--) {
        int64_t j = (int64_t)mg_rng_below(rng, (uint64_t)(i + 1));
        int64_t swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}

/* Moves share of each task's questions from one set to another. */
static void move_share(mg_item_set *from, mg_item_set *to, double share, mg_rng *rng)
{
    int64_t begin = 0;
    int64_t kept = 0;
    int64_t total = from->count;
    int64_t *order = mg_new_array(int64_t, MG_MAX(total, 1));
    bool *moves = mg_new_array(bool, MG_MAX(total, 1));
    while (begin < total) {
        int64_t end = mg_questions_task_end(from->questions, total, begin);
        mg_loop_shuffle(order, end - begin, rng);
        int64_t count = llround(share * (double)(end - begin));
        for (int64_t i = 0; i < count; i++) {
            moves[begin + order[i]] = true;
        }
        begin = end;
    }
    for (int64_t i = 0; i < total; i++) {
        if (moves[i]) {
            to->questions[to->count++] = from->questions[i];
        } else {
            from->questions[kept++] = from->questions[i];
        }
    }
    from->count = kept;
    mg_free(order);
    mg_free(moves);
}

/* Moves count of all questions, whatever their task, but at most half of them. */
static void move_count(mg_item_set *from, mg_item_set *to, int64_t count, mg_rng *rng)
{
    int64_t total = from->count;
    int64_t kept = 0;
    int64_t *order = mg_new_array(int64_t, MG_MAX(total, 1));
    bool *moves = mg_new_array(bool, MG_MAX(total, 1));
    mg_loop_shuffle(order, total, rng);
    for (int64_t i = 0; i < MG_MIN(count, total / 2); i++) {
        moves[order[i]] = true;
    }
    for (int64_t i = 0; i < total; i++) {
        mg_item_set *set = moves[i] ? to : from;
        set->questions[moves[i] ? to->count++ : kept++] = from->questions[i];
    }
    from->count = kept;
    mg_free(order);
    mg_free(moves);
}

mg_status mg_loop_split_items(mg_loop *loop, mg_error *err)
{
    const mg_fitness *fitness = loop->o->fitness;
    int64_t total = 0;
    bool has_test = false;
    for (int64_t t = 0; t < fitness->task_count; t++) {
        total += fitness->tasks[t].item_count;
        has_test = has_test || loop->o->tasks[t].role == MG_ROLE_TEST;
    }
    mg_item_set *const sets[] = { &loop->pool,   &loop->search, &loop->asked, &loop->held_out,
                                  &loop->select, &loop->report, &loop->test };
    const char *const names[] = {
        "pool", "search", "asked", "held_out", "select", "report", "test"
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(sets); i++) {
        int64_t cap = MG_MAX(sets[i] == &loop->asked ? 2 * total : total, 1);
        *sets[i] = (mg_item_set){ names[i], mg_arena_array(&loop->arena, mg_question, cap), 0 };
    }
    for (int64_t t = 0; t < fitness->task_count; t++) {
        mg_role role = loop->o->tasks[t].role;
        mg_item_set *set = role == MG_ROLE_SEARCH   ? &loop->pool
                           : role == MG_ROLE_SELECT ? &loop->select
                                                    : &loop->test;
        add_task(set, t, fitness->tasks[t].item_count);
    }
    if (loop->pool.count == 0) {
        return mg_fail(err, MG_ERR_CONFIG, "the tasks of the search have no questions");
    }
    mg_rng rng = mg_rng_make(loop->o->search->seed, MG_STREAM_ITEMS);
    if (loop->select.count == 0 && loop->o->validate_share > 0.0 &&
        loop->pool.count >= SPLIT_POOL_MIN) {
        move_share(&loop->pool, &loop->select, loop->o->validate_share, &rng);
    }
    if (!has_test && loop->select.count >= REPORT_SELECT_MIN) {
        move_share(&loop->select, &loop->report, 1.0 / 3.0, &rng);
    }
    move_count(&loop->pool, &loop->held_out, loop->o->search->preset->held_out, &rng);
    return MG_OK;
}

/* 0 = all sources right, 1 = all wrong, 2 = mixed. */
static int pattern(const double *values, int64_t source_count, int64_t item_count, int64_t item)
{
    double low = INFINITY;
    double high = -INFINITY;
    for (int64_t s = 0; s < source_count; s++) {
        double value = values[s * item_count + item];
        if (!isnan(value)) {
            low = fmin(low, value);
            high = fmax(high, value);
        }
    }
    return low >= 0.5 ? 0 : high < 0.5 ? 1 : 2;
}

/* Questions of one candidate. */
static int64_t wanted_items(const mg_loop *loop)
{
    const mg_search_config *search = loop->o->search;
    int64_t total = loop->pool.count;
    bool may_take_all = search->items_from_preset && search->preset->held_out == 0;
    bool whole = search->items == 0 || (may_take_all && total < 2 * search->items);
    return whole ? total : MG_MIN(search->items, total);
}

bool mg_loop_rotates(const mg_loop *loop)
{
    return loop->o->search->rotate > 0 && wanted_items(loop) < loop->pool.count;
}

const mg_item_set *mg_loop_judge(const mg_loop *loop)
{
    return loop->held_out.count > 0 ? &loop->held_out : &loop->search;
}

/* With the number of questions left to the search: the first ones of one order. */
static void choose_controlled(mg_loop *loop, int64_t epoch)
{
    int64_t total = loop->pool.count;
    int64_t *strata = mg_new_array(int64_t, total);
    for (int64_t i = 0; i < total; i++) {
        strata[i] = 3 * loop->pool.questions[i].task +
                    pattern(loop->source_values, loop->o->fitness->source_count, total, i);
    }
    mg_loop_control_order(loop, strata, 3 * loop->o->fitness->task_count);
    mg_loop_control_take(loop, 0, epoch > 0 ? epoch : mg_loop_control_first(loop), &loop->search);
    mg_free(strata);
}

static void choose_items(mg_loop *loop, int64_t epoch)
{
    int64_t total = loop->pool.count;
    int64_t wanted = wanted_items(loop);
    loop->epoch = epoch;
    loop->search.count = 0;
    loop->search.name =
        epoch == 0 ? "search" : mg_arena_printf(&loop->arena, "search/%lld", (long long)epoch).data;
    if (loop->o->search->items_auto) {
        choose_controlled(loop, epoch);
        return;
    }
    if (wanted == total) {
        memcpy(loop->search.questions, loop->pool.questions, (size_t)total * sizeof(mg_question));
        loop->search.count = total;
        return;
    }
    if (mg_loop_estimates(loop)) {
        mg_loop_choose_anchors(loop, wanted);
        return;
    }
    /* Proportional shares of the strata: walking through all questions, stratum by stratum and in
     * random order inside, a question is taken whenever the due number passes a whole one. */
    mg_rng rng = mg_rng_make(loop->o->search->seed + 1 + (uint64_t)epoch, MG_STREAM_ITEMS);
    int64_t sources = loop->o->fitness->source_count;
    int64_t *order = mg_new_array(int64_t, total);
    mg_loop_shuffle(order, total, &rng);
    int64_t strata = 3 * loop->o->fitness->task_count;
    int64_t walked = 0;
    for (int64_t stratum = 0; stratum < strata; stratum++) {
        for (int64_t i = 0; i < total; i++) {
            int64_t item = order[i];
            int64_t of = 3 * loop->pool.questions[item].task +
                         pattern(loop->source_values, sources, total, item);
            if (of != stratum) {
                continue;
            }
            walked++;
            if (walked * wanted / total > loop->search.count) {
                loop->search.questions[loop->search.count++] = loop->pool.questions[item];
            }
        }
    }
    MG_ASSERT(loop->search.count == wanted);
    sort_questions(&loop->search);
    mg_free(order);
}

/* The questions of search, and for each behind them that for its reference answer. */
static void add_references(mg_loop *loop)
{
    mg_item_set *asked = &loop->asked;
    size_t bytes = (size_t)loop->search.count * sizeof(mg_question);
    memcpy(asked->questions, loop->search.questions, bytes);
    asked->count = loop->search.count;
    for (int64_t i = 0; loop->o->search->tie_breaker && i < loop->search.count; i++) {
        mg_question reference = loop->search.questions[i];
        reference.task += (int32_t)loop->o->fitness->task_count;
        asked->questions[asked->count++] = reference;
    }
}

void mg_loop_choose_items(mg_loop *loop, int64_t epoch)
{
    choose_items(loop, epoch);
    add_references(loop);
}
