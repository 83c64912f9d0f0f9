/* tests/sim/sim.h - one simulated search in a folder. */
#pragma once

#include "support.h"

#include "base/fs.h"
#include "base/memory.h"
#include "evolve/loop.h"
#include "fake_fitness.h"
#include "store/run.h"

typedef struct sim {
    fake_options fake;
    mg_search_config search;
    mg_loop_task tasks[2];
    double validate_share;
    bool (*stop)(void *context);
    void *stop_context;
    double (*penalty)(void *context, const double *genome);
    const mg_clock *clock;       /* NULL = the real one */
    int64_t bit_count, bits_max; /* the first coordinates, where there are any */
    double bit_start[64];
    int64_t gates[64];
    mg_niche_space niches; /* no segments = none */
    double sizes[32], gram[256];
    const double *warm_points; /* (warm_count, dimension) */
    int64_t warm_count;
    double start[64], standard[64], scale[64], lower[64], upper[64];
} sim;

/* Vectors become linear forms over the sources, all as long and at right angles. */
static inline void sim_add_niches(sim *s, int64_t sources, int64_t segments)
{
    s->search.optimiser = MG_OPTIMISER_NICHES;
    s->fake.sources = sources;
    s->fake.dimension = segments * sources;
    s->niches.segment_count = segments;
    for (int64_t i = 0; i < segments * sources * sources; i++) {
        s->gram[i] = i / sources % sources == i % sources ? 1.0 : 0.0;
    }
    for (int64_t i = 0; i < segments; i++) {
        s->sizes[i] = 1.0;
    }
}

static inline sim sim_make(int64_t dimension, const char *preset)
{
    sim s = {
        .fake = { .dimension = dimension, .items = 126, .test_items = 60, .sources = 3, .seed = 1 }
    };
    s.search.preset = mg_preset_find(mg_str_of(preset));
    s.search.sigma = s.search.preset->sigma;
    s.search.polish_share = s.search.preset->polish_share;
    s.search.seed = 1;
    s.search.estimate = s.search.preset->estimate;
    s.search.optimiser = s.search.preset->nsga2 ? MG_OPTIMISER_NSGA2 : MG_OPTIMISER_AUTO;
    s.search.population = s.search.preset->nsga2 ? 10 : 0;
    s.search.items = s.search.preset->estimate ? s.search.preset->items : 0;
    s.tasks[0] = (mg_loop_task){ .role = MG_ROLE_SEARCH, .weight = 1.0 };
    s.tasks[1] = (mg_loop_task){ .role = MG_ROLE_TEST, .weight = 1.0 };
    s.validate_share = s.search.preset->validate_share;
    if (s.search.preset->niches) {
        sim_add_niches(&s, 3, MG_MAX(dimension / 3, 1));
        dimension = s.fake.dimension;
    }
    for (int64_t i = 0; i < dimension; i++) {
        s.start[i] = s.standard[i] = 0.5;
        s.scale[i] = 1.0;
        s.lower[i] = 0.0;
        s.upper[i] = 1.0;
    }
    return s;
}

/* Turns the first count coordinates into bits, of which at most max are set; every second number
 * plays a part with one bit alone. */
static inline void sim_add_bits(sim *s, int64_t count, int64_t max)
{
    s->bit_count = count;
    s->bits_max = max;
    for (int64_t i = 0; i < count; i++) {
        s->bit_start[i] = 0.4;
        s->start[i] = s->standard[i] = 0.0;
    }
    for (int64_t i = 0; i < s->fake.dimension - count; i++) {
        s->gates[i] = i % 2 == 0 ? -1 : i % count;
    }
}

/* Runs or continues s in folder; *truth_out (may be NULL) is what its winner is really worth. */
static inline mg_status sim_run(const sim *s, const char *folder, double *truth_out, mg_error *err)
{
    mg_store *store = NULL;
    mg_status status = mg_store_open(folder, &store, NULL, err);
    if (status != MG_OK) {
        return status;
    }
    mg_fitness *fitness = fake_fitness_create(&s->fake);
    mg_niche_space niches = { s->niches.segment_count, s->sizes, s->gram };
    fitness->stop = s->stop;
    fitness->stop_context = s->stop_context;
    mg_loop_options options = {
        .space = { .dimension = s->fake.dimension,
                   .bit_count = s->bit_count,
                   .bits_max = s->bits_max,
                   .bit_start = s->bit_start,
                   .gates = s->gates,
                   .start = s->start,
                   .standard = s->standard,
                   .scale = s->scale,
                   .lower = s->lower,
                   .upper = s->upper },
        .niches = niches.segment_count > 0 ? &niches : NULL,
        .warm_points = s->warm_points,
        .warm_count = s->warm_count,
        .search = &s->search,
        .tasks = s->tasks,
        .validate_share = s->validate_share,
        .fitness = fitness,
        .store = store,
        .clock = s->clock,
        .stop = s->stop,
        .penalty = s->penalty,
        .context = s->stop_context,
    };
    mg_loop_result result;
    status = mg_loop_run(&options, &result, err);
    if (status == MG_OK && truth_out != NULL) {
        *truth_out = fake_fitness_truth(fitness, result.genome);
    }
    mg_loop_result_release(&result);
    mg_fitness_destroy(fitness);
    mg_store_close(store);
    return status;
}

/* Everything that must not depend on interruptions, as text. */
static inline void sim_dump(const char *folder, mg_buf *out)
{
    mg_error err;
    mg_store *store = NULL;
    mg_arena arena = { 0 };
    mg_candidate_row *rows;
    mg_score_row *scores;
    int64_t count;
    assert_ok(mg_store_open_reader(folder, &store, &err), &err);
    assert_ok(mg_run_candidates(store, &arena, &rows, &count, &err), &err);
    for (int64_t i = 0; i < count; i++) {
        mg_buf_printf(out, "%lld %.*s %.*s %lld %lld %d %.*s", (long long)rows[i].id,
                      MG_STR_ARG(rows[i].kind), MG_STR_ARG(rows[i].label),
                      (long long)rows[i].generation, (long long)rows[i].place, rows[i].failed,
                      MG_STR_ARG(rows[i].note));
        for (int64_t g = 0; g < rows[i].genome_count; g++) {
            mg_buf_printf(out, " %a", rows[i].genome[g]);
        }
        mg_buf_add_char(out, '\n');
        mg_answer_row *answers;
        int64_t answer_count;
        assert_ok(mg_run_answers(store, rows[i].id, &arena, &answers, &answer_count, &err), &err);
        for (int64_t a = 0; a < answer_count; a++) {
            mg_buf_printf(out, "%lld:%lld=%g ", (long long)answers[a].task,
                          (long long)answers[a].item, answers[a].value);
        }
    }
    assert_ok(mg_run_scores(store, NULL, &arena, &scores, &count, &err), &err);
    for (int64_t i = 0; i < count; i++) {
        mg_buf_printf(out, "%lld %.*s %lld %a %lld\n", (long long)scores[i].candidate,
                      MG_STR_ARG(scores[i].item_set), (long long)scores[i].task, scores[i].value,
                      (long long)scores[i].items);
    }
    bool found;
    assert_ok(mg_store_get(store, "state/optimiser", out, &found, &err), &err);
    mg_arena_release(&arena);
    mg_store_close(store);
}

static inline void sim_folder(char *folder, size_t bytes)
{
    snprintf(folder, bytes, "/tmp/mg_sim_XXXXXX");
    assert_non_null(mkdtemp(folder));
}

static inline void sim_remove(const char *folder)
{
    mg_error err;
    assert_ok(mg_folder_remove(folder, &err), &err);
}

/* A run that is over, and what it has left: its candidates in the order of their ids. */
typedef struct sim_view {
    char folder[64];
    mg_store *store;
    mg_arena arena;
    mg_candidate_row *rows;
    int64_t count;
} sim_view;

/* Runs s to its end in a folder of its own; *truth_out as for sim_run. */
static inline void sim_look(sim_view *view, const sim *s, double *truth_out)
{
    mg_error err;
    *view = (sim_view){ .count = 0 };
    sim_folder(view->folder, sizeof(view->folder));
    assert_ok(sim_run(s, view->folder, truth_out, &err), &err);
    assert_ok(mg_store_open_reader(view->folder, &view->store, &err), &err);
    assert_ok(mg_run_candidates(view->store, &view->arena, &view->rows, &view->count, &err), &err);
}

static inline void sim_close(sim_view *view)
{
    mg_arena_release(&view->arena);
    mg_store_close(view->store);
    sim_remove(view->folder);
}
