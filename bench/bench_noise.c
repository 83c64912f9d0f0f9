/* bench/bench_noise.c - whole searches on the noise bench of evolution.md 17.12: optimiser, polish,
 * race and choice, with nothing but the language models left out.
 *
 * CSV: the expected score of the winner in percent, averaged over runs, its score on the questions
 * of the search, and the questions answered.  `lasting` is the standard deviation, in logits, of
 * what is particular to a candidate.  usage: bench_noise [runs] */
#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "evolve/loop.h"
#include "fake_fitness.h"

enum { GENES = 6, ITEMS = 1069 };

typedef struct setting {
    const char *preset;
    int64_t questions, items;
    double lasting;
} setting;

typedef struct outcome {
    double truth, score, questions;
} outcome;

static void keep_score(void *context, const mg_loop_record *record)
{
    double *scores = context; /* by id */
    if (record->id < 20000 && mg_str_is(mg_str_of(record->item_set), "search")) {
        scores[record->id] = record->score;
    }
}

static void run(const setting *s, uint64_t seed, outcome *sum)
{
    static double scores[20000];
    double start[GENES], scale[GENES], lower[GENES], upper[GENES];
    char folder[] = "/tmp/bench_noise_XXXXXX";
    for (int i = 0; i < GENES; i++) {
        start[i] = 0.5;
        scale[i] = upper[i] = 1.0;
        lower[i] = 0.0;
    }
    const mg_preset *preset = mg_preset_find(mg_str_of(s->preset));
    mg_search_config search = { .preset = preset,
                                .questions = s->questions,
                                .items = s->items,
                                .seed = seed,
                                .sigma = preset->sigma,
                                .polish_share = preset->polish_share };
    const mg_loop_task task = { .role = MG_ROLE_SEARCH, .weight = 1.0 };
    fake_options fake = {
        .dimension = GENES, .items = ITEMS, .sources = 1, .seed = seed, .lasting_effect = s->lasting
    };
    mg_fitness *fitness = fake_fitness_create(&fake);
    mg_store *store = NULL;
    mg_loop_result result;
    mg_error err;
    if (mkdtemp(folder) == NULL || mg_store_open(folder, &store, NULL, &err) != MG_OK) {
        fprintf(stderr, "no folder for the store\n");
        exit(1);
    }
    mg_loop_options options = { .space = { .dimension = GENES,
                                           .start = start,
                                           .standard = start,
                                           .scale = scale,
                                           .lower = lower,
                                           .upper = upper },
                                .search = &search,
                                .tasks = &task,
                                .validate_share = preset->validate_share,
                                .fitness = fitness,
                                .store = store,
                                .recorded = keep_score,
                                .context = scores };
    if (mg_loop_run(&options, &result, &err) != MG_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    sum->truth += fake_fitness_truth(fitness, result.genome);
    sum->score += scores[result.winner];
    sum->questions += (double)fake_fitness_answers(fitness);
    mg_loop_result_release(&result);
    mg_fitness_destroy(fitness);
    mg_store_close(store);
    if (mg_folder_remove(folder, &err) != MG_OK) {
        fprintf(stderr, "%s\n", err.message);
    }
}

int main(int argc, char **argv)
{
    static const setting settings[] = {
        { "quick", 20000, 70, 0.0 },      { "default", 50000, 110, 0.0 },
        { "thorough", 200000, 220, 0.0 }, { "paper-ps", 50000, 200, 0.0 },
        { "paper-ps", 200000, 748, 0.0 }, { "default", 50000, 110, 0.1 },
        { "paper-ps", 50000, 200, 0.1 },
    };
    int runs = argc > 1 ? atoi(argv[1]) : 60;
    printf("preset,questions,items,lasting,runs,winner,search_score,answered\n");
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        const setting *s = &settings[i];
        outcome sum = { 0.0, 0.0, 0.0 };
        for (int r = 1; r <= runs; r++) {
            run(s, (uint64_t)r, &sum);
        }
        printf("%s,%lld,%lld,%.1f,%d,%.2f,%.2f,%.0f\n", s->preset, (long long)s->questions,
               (long long)s->items, s->lasting, runs, 100.0 * sum.truth / runs,
               100.0 * sum.score / runs, sum.questions / runs);
        fflush(stdout);
    }
    return 0;
}
