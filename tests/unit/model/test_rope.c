/* tests/unit/model/test_rope.c - rotary tables of every scaling against transformers 4.57.
 *
 * The numbers are cosine and sine of components 0, 3, 9, 14, 20, 31 of a head of 64, from
 * LlamaRotaryEmbedding on one position at a time. */
#include "support.h"

#include <math.h>

#include "model/rope_internal.h"

#define HALF 32

typedef struct turn {
    int64_t position;
    double values[12];
} turn;

typedef struct scaling {
    const char *name;
    mg_rope rope;
    int64_t max_positions;
    turn turns[5];
} scaling;

static const int components[] = { 0, 3, 9, 14, 20, 31 };

static const scaling scalings[] = {
    { "default",
      { .kind = MG_ROPE_DEFAULT, .theta = 1e4 },
      131072,
      {
          { 0, { 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0 } },
          { 1,
            { 0.54030234, 0.84147096, 0.91239583, 0.40930894, 0.99718958, 0.074919149, 0.99984187,
              0.017781857, 0.99999499, 0.0031622725, 1.0, 0.00013335215 } },
          { 4095,
            { -0.065975994, -0.99782121, 0.51585454, -0.85667622, 0.70070225, -0.71345383,
              -0.84517151, -0.53449517, 0.92748898, 0.37385052, 0.85456842, 0.51933885 } },
          { 8191,
            { -0.6463905, -0.76300681, -0.064866111, -0.99789399, 0.056886747, -0.99838066,
              0.41248831, 0.91096288, 0.71827489, 0.69575942, 0.46045607, 0.8876825 } },
          { 131071,
            { -0.81798351, -0.57524168, 0.54235935, -0.8401466, -0.44831845, 0.89387393, 0.96812701,
              -0.25045985, 0.97858608, -0.20583814, 0.19851248, -0.98009837 } },
      } },
    { "linear",
      { .kind = MG_ROPE_LINEAR, .theta = 1e4, .factor = 4 },
      131072,
      {
          { 0, { 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0 } },
          { 1,
            { 0.96891242, 0.24740396, 0.99444801, 0.10522895, 0.99982429, 0.018746255, 0.99999011,
              0.0044456841, 0.9999997, 0.00079056941, 1.0, 3.3338038e-05 } },
          { 4095,
            { 0.91743737, -0.39788017, -0.25437161, -0.96710658, 0.19730072, 0.98034304, 0.79944795,
              -0.60073531, -0.99541569, -0.095642865, 0.99069571, 0.1360956 } },
          { 8191,
            { 0.84275782, -0.53829288, -0.917548, 0.39762503, -0.92923117, 0.36949891, 0.28250369,
              -0.95926625, 0.98155403, 0.19118489, 0.96294701, 0.26969075 } },
          { 131071,
            { 0.59089941, 0.80674523, 0.2468113, 0.96906358, 0.87327129, 0.48723429, -0.063246563,
              -0.99799794, -0.99865711, 0.051806826, -0.33606812, -0.94183767 } },
      } },
    { "llama3",
      { .kind = MG_ROPE_LLAMA3,
        .theta = 5e5,
        .factor = 8,
        .low_freq_factor = 1,
        .high_freq_factor = 4,
        .original_max_position = 8192 },
      131072,
      {
          { 0, { 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0 } },
          { 1,
            { 0.54030234, 0.84147096, 0.95760447, 0.28808632, 0.99968863, 0.024952818, 0.99999487,
              0.0032114405, 1.0, 3.4281024e-05, 1.0, 3.7673226e-07 } },
          { 4095,
            { -0.065975994, -0.99782121, -0.96274298, 0.2704182, -0.090512782, 0.99589527,
              0.83398718, 0.5517838, 0.99016279, 0.13992016, 0.99999881, 0.001542718 } },
          { 8191,
            { -0.6463905, -0.76300681, 0.96755767, -0.25265029, -0.9788084, -0.20477813, 0.38811284,
              0.92161185, 0.96083522, 0.27712044, 0.99999523, 0.0030858091 } },
          { 131071,
            { -0.81798351, -0.57524168, 0.95647669, 0.29180884, -0.86155701, -0.50766081,
              0.99894422, -0.045939691, -0.21739124, -0.97608453, 0.99878114, 0.04935861 } },
      } },
    { "yarn",
      { .kind = MG_ROPE_YARN,
        .theta = 1e6,
        .factor = 4,
        .beta_fast = NAN,
        .beta_slow = NAN,
        .mscale = NAN,
        .mscale_all_dim = NAN,
        .attention_factor = NAN,
        .truncate = true,
        .original_max_position = 32768 },
      131072,
      {
          { 0,
            { 1.1386294, 0.0, 1.1386294, 0.0, 1.1386294, 0.0, 1.1386294, 0.0, 1.1386294, 0.0,
              1.1386294, 0.0 } },
          { 1,
            { 0.61520416, 0.95812362, 1.096203, 0.3079221, 1.1383893, 0.023380397, 1.1386276,
              0.002025086, 1.1386294, 5.062003e-05, 1.1386294, 4.3835141e-07 } },
          { 4095,
            { -0.075122207, -1.1361486, -1.1230445, 0.18774442, -0.84760273, 0.76029384, 0.61530358,
              0.95805979, 1.1198128, 0.20614591, 1.138628, 0.0017950482 } },
          { 8191,
            { -0.73599923, -0.86878198, 1.1367408, -0.065553211, 0.14651221, -1.129164, -0.47546306,
              1.0346072, 1.0639671, 0.40552571, 1.1386238, 0.0035905307 } },
          { 131071,
            { -0.93138009, -0.6549871, -1.1374186, -0.052495245, -0.81824517, 0.79180288,
              0.91608179, 0.67621821, 1.0222034, -0.50157458, 1.1371801, 0.057430781 } },
      } },
    { "yarn_mscale",
      { .kind = MG_ROPE_YARN,
        .theta = 1e4,
        .factor = 32,
        .beta_fast = 32,
        .beta_slow = 1,
        .mscale = 0.707,
        .mscale_all_dim = 1,
        .attention_factor = NAN,
        .truncate = false,
        .original_max_position = 4096 },
      131072,
      {
          { 0,
            { 0.92458928, 0.0, 0.92458928, 0.0, 0.92458928, 0.0, 0.92458928, 0.0, 0.92458928, 0.0,
              0.92458928, 0.0 } },
          { 1,
            { 0.49955773, 0.77801502, 0.84359139, 0.37844265, 0.92199081, 0.069269441, 0.92451429,
              0.011774978, 0.92458904, 0.00068260281, 0.92458928, 3.8529988e-06 } },
          { 4095,
            { -0.061000697, -0.92257482, 0.47695357, -0.79207367, 0.64786178, -0.65965176,
              -0.28771085, 0.8786853, -0.9181217, 0.10916894, 0.92445463, 0.015777266 } },
          { 8191,
            { -0.5976457, -0.70546794, -0.05997451, -0.92264205, 0.052596878, -0.92309207,
              -0.73850352, -0.55630738, 0.89896941, -0.21614666, 0.92405069, 0.031553786 } },
          { 131071,
            { -0.75629878, -0.53186232, 0.50145966, -0.77679056, -0.41451043, 0.82646626,
              -0.42275086, -0.8222816, -0.75105715, 0.53923875, 0.79006273, 0.48027715 } },
      } },
    { "dynamic",
      { .kind = MG_ROPE_DYNAMIC, .theta = 1e4, .factor = 2 },
      2048,
      {
          { 0, { 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0 } },
          { 1,
            { 0.54030234, 0.84147096, 0.91239583, 0.40930894, 0.99718958, 0.074919149, 0.99984187,
              0.017781857, 0.99999499, 0.0031622725, 1.0, 0.00013335215 } },
          { 4095,
            { -0.065975994, -0.99782121, 0.74558997, 0.66640496, -0.98595071, -0.16703641,
              0.93726993, 0.34860447, 0.99585021, 0.091007195, 0.98347902, 0.18102215 } },
          { 8191,
            { -0.6463905, -0.76300681, -0.72638208, 0.68729109, -0.91624856, -0.40061021,
              -0.69727522, -0.71680349, 0.45558545, 0.89019209, 0.98785025, 0.15540861 } },
          { 131071,
            { -0.81798351, -0.57524168, -0.3708691, -0.92868513, -0.34160638, 0.93984312,
              -0.76116067, -0.64856339, 0.79995072, -0.60006571, 0.99054438, 0.13719271 } },
      } },
};

static void angles_are_those_of_transformers(void **state)
{
    (void)state;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(scalings); i++) {
        const scaling *s = &scalings[i];
        mg_error err;
        mg_arena arena = { 0 };
        mg_rope_plan plan;
        assert_ok(mg_rope_plan_make(&s->rope, 2 * HALF, s->max_positions, &arena, &plan, &err),
                  &err);
        for (int64_t t = 0; t < MG_ARRAY_COUNT(s->turns); t++) {
            float frequencies[HALF];
            float cosines[HALF];
            float sines[HALF];
            const turn *want = &s->turns[t];
            mg_rope_frequencies(&plan, want->position + 1, frequencies);
            mg_rope_turn(&plan, frequencies, want->position, cosines, sines);
            for (int64_t c = 0; c < MG_ARRAY_COUNT(components); c++) {
                int m = components[c];
                /* A frequency may differ in its last bit, which grows with the position. */
                double near = 1e-6 + 1.2e-7 * (double)want->position * (double)frequencies[m];
                if (!(fabs((double)cosines[m] - want->values[2 * c]) < near) ||
                    !(fabs((double)sines[m] - want->values[2 * c + 1]) < near)) {
                    fail_msg("%s: component %d at %lld", s->name, m, (long long)want->position);
                }
            }
        }
        mg_arena_release(&arena);
    }
}

static void longrope_switches_behind_its_original_length(void **state)
{
    (void)state;
    static const double short_factor[] = { 1, 1, 1, 1 };
    static const double long_factor[] = { 1, 2, 4, 8 };
    mg_error err;
    mg_arena arena = { 0 };
    mg_rope_plan plan;
    float frequencies[4];
    mg_rope rope = { .kind = MG_ROPE_LONGROPE,
                     .theta = 1e4,
                     .factor = NAN,
                     .attention_factor = NAN,
                     .original_max_position = 16,
                     .short_factor = short_factor,
                     .long_factor = long_factor,
                     .factor_count = 4 };
    assert_ok(mg_rope_plan_make(&rope, 8, 64, &arena, &plan, &err), &err);
    assert_true(fabs((double)plan.attention_factor - sqrt(1.5)) < 1e-6); /* 1 + ln 4 / ln 16 */
    mg_rope_frequencies(&plan, 16, frequencies);
    assert_true(fabs((double)frequencies[3] - 1e-3) < 1e-9);
    mg_rope_frequencies(&plan, 17, frequencies);
    assert_true(fabs((double)frequencies[3] - 1.25e-4) < 1e-9);
    rope.factor_count = 3;
    assert_status(mg_rope_plan_make(&rope, 8, 64, &arena, &plan, &err), MG_ERR_FORMAT);
    mg_arena_release(&arena);
}

static void senseless_parameters_are_refused(void **state)
{
    (void)state;
    static const mg_rope bad[] = {
        { .kind = MG_ROPE_DEFAULT, .theta = 0 },
        { .kind = MG_ROPE_DEFAULT, .theta = NAN },
        { .kind = MG_ROPE_LINEAR, .theta = 1e4, .factor = NAN },
        { .kind = MG_ROPE_LINEAR, .theta = 1e4, .factor = 0.5 },
        { .kind = MG_ROPE_LLAMA3, .theta = 1e4, .factor = 8 },
    };
    mg_error err;
    mg_arena arena = { 0 };
    mg_rope_plan plan;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(bad); i++) {
        assert_status(mg_rope_plan_make(&bad[i], 8, 64, &arena, &plan, &err), MG_ERR_FORMAT);
    }
    mg_rope odd = { .kind = MG_ROPE_DEFAULT, .theta = 1e4 };
    assert_status(mg_rope_plan_make(&odd, 7, 64, &arena, &plan, &err), MG_ERR_FORMAT);
    mg_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(angles_are_those_of_transformers),
        cmocka_unit_test(longrope_switches_behind_its_original_length),
        cmocka_unit_test(senseless_parameters_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
