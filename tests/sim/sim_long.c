/* tests/sim/sim_long.c - searches by the thousand, each cut off again and again; for the long suite.
 *
 * usage: sim_long runs FIRST COUNT    searches of the seeds FIRST, FIRST + 1, ...: each is run once
 *                                     as it is and once through parks, full disks and failing
 *                                     devices, and must end in the same bytes
 *        sim_long kills COUNT [SEED]  processes killed at random moments, COUNT in all
 *
 * A seed decides everything: space, optimiser, questions, faults.  One that fails is named, and
 * `sim_long runs SEED 1` (or `sim_long kills 1 SEED`) runs it again. */
#include "sim.h"

#include <math.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rng.h"
#include "fault_vfs.h"

enum { FAULTS_MAX = 12, SOME_KILLS = 5 };

static const mg_optimiser_choice optimisers[] = { MG_OPTIMISER_AUTO,  MG_OPTIMISER_LRA,
                                                  MG_OPTIMISER_CMA,   MG_OPTIMISER_SEP,
                                                  MG_OPTIMISER_LM_MA, MG_OPTIMISER_NSGA2 };

static double fake_seconds;

static double fake_now(void *context)
{
    return *(double *)context;
}

static const mg_clock fake_clock = { fake_now, &fake_seconds };

static int64_t below(mg_rng *rng, int64_t end)
{
    return (int64_t)mg_rng_below(rng, (uint64_t)end);
}

/* The search of a seed.  Presets and optimisers take turns, so that a few seeds meet them all. */
static sim scenario(uint64_t seed, mg_rng *rng)
{
    const mg_preset *preset = &mg_presets[seed % (uint64_t)mg_preset_count];
    if (preset->space == MG_SPACE_HYBRID) { /* two of the others, one after the other */
        preset = mg_preset_find(mg_str_of(preset->then));
    }
    int64_t dimension = 1 + below(rng, 16);
    bool bits = preset->space == MG_SPACE_DFS && preset->path_encoding != MG_PATH_PAPER;
    dimension = bits ? MG_MAX(dimension, 4) : dimension;
    sim s = sim_make(dimension, preset->name);
    s.search.space = preset->space;
    s.search.seed = seed;
    mg_optimiser_choice optimiser = optimisers[seed / (uint64_t)mg_preset_count % 6];
    s.search.optimiser = preset->nsga2    ? MG_OPTIMISER_NSGA2
                         : preset->niches ? MG_OPTIMISER_NICHES
                                          : optimiser;
    s.search.evaluations = 10 + below(rng, 60);
    s.search.rotate = s.search.optimiser >= MG_OPTIMISER_NSGA2 ? 0 : preset->rotate;
    s.search.switches_by_margin = below(rng, 2) == 1;
    s.search.restart_near_best = below(rng, 2) == 1;
    s.search.items_auto = s.search.optimiser < MG_OPTIMISER_NSGA2 && preset->held_out == 0 &&
                          preset->encoding == MG_ENCODING_NATIVE && below(rng, 3) == 0;
    s.search.item_control = (mg_item_rule)below(rng, 2);
    s.search.rotate = s.search.items_auto ? 0 : s.search.rotate;
    s.search.population = preset->population > 0 ? 4 + below(rng, 8) : 0;
    s.search.restarts = below(rng, 3);
    s.search.restart = (mg_restart_kind)below(rng, 2);
    s.search.items = below(rng, 2) * (5 + below(rng, 40));
    s.fake = (fake_options){ .dimension = dimension,
                             .items = 1 + below(rng, 160),
                             .test_items = below(rng, 3) * 10,
                             .sources = 1 + below(rng, 4),
                             .fail_share = below(rng, 3) == 0 ? 0.15 : 0.0,
                             .flaky_share = below(rng, 4) == 0 ? 0.2 : 0.0,
                             .crash_share = below(rng, 4) == 0 ? 0.2 : 0.0,
                             .seed = seed };
    s.tasks[0].has_guard = below(rng, 5) == 0;
    s.tasks[0].guard = 0.3;
    if (preset->niches) {
        sim_add_niches(&s, 2 + below(rng, 2), 1 + below(rng, 5));
    }
    if (bits) {
        sim_add_bits(&s, 1 + below(rng, dimension - 1), 1 + below(rng, 3));
    }
    return s;
}

static int64_t stop_countdown;

static bool countdown(void *context)
{
    (void)context;
    return stop_countdown-- <= 0;
}

/* Runs s until it ends well, through faults that rng draws.  A generation that fails for the most
 * part ends the run; with the cause gone the same call goes on. */
static void run_through_faults(sim s, const char *folder, mg_rng *rng, bool healed)
{
    mg_error err = { 0 };
    for (int attempt = 0;; attempt++) {
        int64_t fault = attempt < FAULTS_MAX ? below(rng, 4) : 3;
        s.stop = fault == 0 ? countdown : NULL;
        stop_countdown = below(rng, 3000);
        if (fault == 1 || fault == 2) {
            fault_vfs_fail_after(below(rng, 400), fault == 1);
        }
        mg_status status = sim_run(&s, folder, NULL, &err);
        bool broken = fault_vfs_failed();
        fault_vfs_heal();
        if (status == MG_OK) {
            return;
        }
        bool expected = fault == 0   ? status == MG_ERR_INTERRUPTED
                        : fault == 3 ? false
                                     : broken && (status == MG_ERR_SPACE || status == MG_ERR_IO);
        if (!expected && status == MG_ERR_NUMERIC && s.fake.fail_share > 0.0 && healed) {
            s.fake.fail_share = 0.0;
            continue;
        }
        if (!expected) {
            fail_msg("fault %lld: %s", (long long)fault, err.message);
        }
    }
}

/* Leaves the bytes of the undisturbed run in out; whether its faults had to be healed. */
static bool run_undisturbed(sim s, mg_buf *out)
{
    char folder[64];
    mg_error err;
    sim_folder(folder, sizeof(folder));
    mg_status status = sim_run(&s, folder, NULL, &err);
    bool healed = status == MG_ERR_NUMERIC && s.fake.fail_share > 0.0;
    if (healed) {
        s.fake.fail_share = 0.0;
        status = sim_run(&s, folder, NULL, &err);
    }
    assert_ok(status, &err);
    sim_dump(folder, out);
    sim_remove(folder);
    return healed;
}

/* Fails with the first lines that differ. */
static void assert_same(const mg_buf *a, const mg_buf *b)
{
    mg_str rest[2] = { mg_buf_view(a), mg_buf_view(b) };
    mg_str line[2];
    while (!mg_str_equal(rest[0], rest[1])) {
        bool one = mg_str_split(&rest[0], '\n', &line[0]);
        bool other = mg_str_split(&rest[1], '\n', &line[1]);
        if (!one || !other || !mg_str_equal(line[0], line[1])) {
            fail_msg("undisturbed: %.*s\n    cut off: %.*s",
                     one ? MG_MIN((int)line[0].size, 300) : 4, one ? line[0].data : "none",
                     other ? MG_MIN((int)line[1].size, 300) : 4, other ? line[1].data : "none");
        }
    }
}

/* Time is no function of the seed once a run is cut off: it must end, and in time. */
static void run_by_the_clock(sim s, mg_rng *rng)
{
    char folder[64];
    mg_error err;
    s.search.evaluations = 0;
    s.search.minutes = 0.1 + (double)below(rng, 10) / 20.0;
    s.clock = &fake_clock;
    s.fake.fail_share = 0.0;
    s.fake.clock_seconds = &fake_seconds;
    sim_folder(folder, sizeof(folder));
    double begin = fake_seconds;
    assert_ok(sim_run(&s, folder, NULL, &err), &err);
    /* The references, and one generation that was under way, come on top. */
    double slack = 0.01 * (double)(s.fake.items * 60 + s.fake.test_items * 8);
    assert_true(fake_seconds - begin < 60.0 * s.search.minutes * 1.3 + slack);
    sim_remove(folder);
}

static void run_seed(uint64_t seed)
{
    mg_rng rng = mg_rng_make(seed, MG_STREAM_TIES);
    sim s = scenario(seed, &rng);
    mg_buf whole = { 0 };
    mg_buf parts = { 0 };
    char folder[64];
    if (seed % 10 == 9) {
        run_by_the_clock(s, &rng);
        return;
    }
    bool healed = run_undisturbed(s, &whole);
    sim_folder(folder, sizeof(folder));
    run_through_faults(s, folder, &rng, healed);
    sim_dump(folder, &parts);
    if (!healed) { /* else it depends on the moment which candidates had failed */
        assert_same(&whole, &parts);
    }
    sim_remove(folder);
    mg_buf_release(&whole);
    mg_buf_release(&parts);
}

static void kill_seed(uint64_t seed, int64_t *kills)
{
    mg_rng rng = mg_rng_make(seed, MG_STREAM_TIES);
    sim s = scenario(seed, &rng);
    mg_buf whole = { 0 };
    mg_buf parts = { 0 };
    char folder[64];
    mg_error err;
    s.fake.fail_share = fmin(s.fake.fail_share, 0.05);
    double begin = mg_clock_now(NULL);
    bool healed = run_undisturbed(s, &whole);
    double run_seconds = mg_clock_now(NULL) - begin;
    sim_folder(folder, sizeof(folder));
    for (int round = 0; round < SOME_KILLS && !healed; round++) {
        pid_t child = fork();
        if (child == 0) {
            _exit(sim_run(&s, folder, NULL, &err) == MG_OK ? 0 : 1);
        }
        usleep((useconds_t)(run_seconds * 0.5 * mg_rng_uniform(&rng) * 1e6));
        kill(child, SIGKILL);
        int child_status;
        waitpid(child, &child_status, 0);
        *kills += WIFSIGNALED(child_status) ? 1 : 0;
    }
    if (!healed) {
        assert_ok(sim_run(&s, folder, NULL, &err), &err);
        sim_dump(folder, &parts);
        assert_same(&whole, &parts);
    }
    sim_remove(folder);
    mg_buf_release(&whole);
    mg_buf_release(&parts);
}

static uint64_t first_seed = 1;
static int64_t count;
static uint64_t current_seed;

static void cut_off_searches_end_in_the_same_bytes(void **state)
{
    (void)state;
    for (int64_t i = 0; i < count; i++) {
        current_seed = first_seed + (uint64_t)i;
        run_seed(current_seed);
    }
}

static void killed_searches_end_in_the_same_bytes(void **state)
{
    (void)state;
    int64_t kills = 0;
    for (current_seed = first_seed; kills < count; current_seed++) {
        kill_seed(current_seed, &kills);
    }
}

int main(int argc, char **argv)
{
    bool kill_mode = argc > 1 && strcmp(argv[1], "kills") == 0;
    if (argc < 3 || (!kill_mode && (strcmp(argv[1], "runs") != 0 || argc < 4))) {
        fprintf(stderr, "usage: sim_long runs FIRST COUNT | kills COUNT [SEED]\n");
        return 2;
    }
    count = strtoll(argv[kill_mode ? 2 : 3], NULL, 10);
    first_seed =
        kill_mode ? (argc > 3 ? strtoull(argv[3], NULL, 10) : 1) : strtoull(argv[2], NULL, 10);
    fault_vfs_install();
    const struct CMUnitTest runs[] = { cmocka_unit_test(cut_off_searches_end_in_the_same_bytes) };
    const struct CMUnitTest kills[] = { cmocka_unit_test(killed_searches_end_in_the_same_bytes) };
    int failures = kill_mode ? cmocka_run_group_tests(kills, NULL, NULL)
                             : cmocka_run_group_tests(runs, NULL, NULL);
    if (failures > 0) {
        fprintf(stderr, kill_mode ? "replay: %s kills 1 %llu\n" : "replay: %s runs %llu 1\n",
                argv[0], (unsigned long long)current_seed);
    }
    return failures;
}
