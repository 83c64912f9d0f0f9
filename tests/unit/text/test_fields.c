#include "support.h"

#include <math.h>

#include "base/log.h"
#include "base/memory.h"
#include "text/fields.h"
#include "text/yaml.h"

typedef struct slice {
    mg_str model;
    int64_t first;
} slice;

typedef struct config {
    bool first_member;
    bool flag;
    bool has_density;
    int64_t layers;
    double density;
    mg_str name;
    mg_str text;
    int method;
    mg_field_list stops;
    mg_field_list weights;
    const mg_value *any;
    slice one;
    mg_field_list slices;
    int64_t custom;
} config;

static bool read_custom(const mg_field_context *context, const mg_value *value, void *target)
{
    (void)context;
    *(int64_t *)target = value->count;
    return true;
}

static const mg_field slice_rows[] = {
    { .name = "model",
      .kind = MG_FIELD_STRING,
      .offset = offsetof(slice, model),
      .required = true },
    { .name = "first", .kind = MG_FIELD_INT, .offset = offsetof(slice, first) },
};
static const mg_fields slice_table = { "a slice", slice_rows, MG_ARRAY_COUNT(slice_rows), false };
static const slice slice_preset = { .first = 7 };
static const char *const methods[] = { "linear", "slerp", "dare_ties", NULL };

static const mg_field config_rows[] = {
    { .name = "flag", .kind = MG_FIELD_BOOL, .offset = offsetof(config, flag) },
    { .name = "layers",
      .kind = MG_FIELD_INT,
      .offset = offsetof(config, layers),
      .bounded = true,
      .min = 1,
      .max = (double)INFINITY },
    { .name = "density",
      .kind = MG_FIELD_DOUBLE,
      .offset = offsetof(config, density),
      .has_offset = offsetof(config, has_density),
      .bounded = true,
      .min = 0,
      .max = 1 },
    { .name = "name", .kind = MG_FIELD_STRING, .offset = offsetof(config, name) },
    { .name = "text", .kind = MG_FIELD_TEXT, .offset = offsetof(config, text) },
    { .name = "method",
      .kind = MG_FIELD_CHOICE,
      .offset = offsetof(config, method),
      .choices = methods },
    { .name = "stops", .kind = MG_FIELD_STRINGS, .offset = offsetof(config, stops) },
    { .name = "weights", .kind = MG_FIELD_DOUBLES, .offset = offsetof(config, weights) },
    { .name = "any", .kind = MG_FIELD_VALUE, .offset = offsetof(config, any) },
    { .name = "one", .kind = MG_FIELD_MAP, .offset = offsetof(config, one), .table = &slice_table },
    { .name = "slices",
      .kind = MG_FIELD_LIST,
      .offset = offsetof(config, slices),
      .table = &slice_table,
      .item_bytes = sizeof(slice),
      .item_preset = &slice_preset },
    { .name = "custom",
      .kind = MG_FIELD_CUSTOM,
      .offset = offsetof(config, custom),
      .read = read_custom },
    { .name = "old", .kind = MG_FIELD_IGNORED },
};
static const mg_fields config_table = { "the configuration", config_rows,
                                        MG_ARRAY_COUNT(config_rows), false };

typedef struct fixture {
    mg_arena arena;
    mg_diagnostics diagnostics;
    config target;
    bool ok;
} fixture;

static void read_text(fixture *f, const char *text)
{
    mg_value value;
    mg_error err;
    memset(f, 0, sizeof(*f));
    f->diagnostics.file = mg_str_of("c.yaml");
    f->target.density = 0.25;
    assert_ok(mg_yaml_parse(mg_str_of(text), "c.yaml", &f->arena, &value, &err), &err);
    mg_field_context context = { &f->arena, &f->diagnostics };
    f->ok = mg_fields_read(&config_table, &value, &f->target, &context);
    assert_int_equal(f->ok, f->diagnostics.count == 0);
}

static void release(fixture *f)
{
    mg_diagnostics_release(&f->diagnostics);
    mg_arena_release(&f->arena);
}

static void every_kind_is_read(void **state)
{
    (void)state;
    fixture f;
    read_text(&f, "flag: yes\nlayers: 8\ndensity: 0.5\nname: n\ntext: 007\nmethod: slerp\n"
                  "stops: [a, b]\nweights: [1, 2.5]\nany: {x: 1}\none: {model: m, first: 2}\n"
                  "slices: [{model: a}, {model: b, first: 1}]\ncustom: [1, 2, 3]\nold: 1\n");
    assert_true(f.ok);
    assert_true(f.target.flag);
    assert_int_equal(f.target.layers, 8);
    assert_true(f.target.density == 0.5);
    assert_true(f.target.has_density);
    assert_true(mg_str_is(f.target.name, "n"));
    assert_true(mg_str_is(f.target.text, "007"));
    assert_int_equal(f.target.method, 1);
    assert_true(mg_str_is(((const mg_str *)f.target.stops.items)[1], "b"));
    assert_true(((const double *)f.target.weights.items)[1] == 2.5);
    assert_int_equal(f.target.any->count, 1);
    assert_int_equal(f.target.one.first, 2);
    assert_int_equal(f.target.slices.count, 2);
    assert_int_equal(((const slice *)f.target.slices.items)[0].first, 7);
    assert_int_equal(((const slice *)f.target.slices.items)[1].first, 1);
    assert_int_equal(f.target.custom, 3);
    release(&f);
}

static void values_are_taken_as_pydantic_takes_them(void **state)
{
    (void)state;
    fixture f;
    read_text(&f, "flag: 'off'\nlayers: '12'\ndensity: 1e-5\nweights: true\nstops: one\n"
                  "one: {model: m, first: 3.0}\n");
    assert_true(f.ok);
    assert_false(f.target.flag);
    assert_int_equal(f.target.layers, 12);
    assert_true(f.target.density == 1e-5);
    assert_int_equal(f.target.weights.count, 1);
    assert_true(((const double *)f.target.weights.items)[0] == 1.0);
    assert_int_equal(f.target.stops.count, 1);
    assert_int_equal(f.target.one.first, 3);
    release(&f);
}

static void an_absent_or_null_field_keeps_its_default(void **state)
{
    (void)state;
    fixture f;
    read_text(&f, "density: null\n");
    assert_true(f.ok);
    assert_true(f.target.density == 0.25);
    assert_false(f.target.has_density);
    release(&f);
}

static void all_mistakes_are_reported_together(void **state)
{
    (void)state;
    fixture f;
    mg_error err;
    read_text(&f, "flag: maybe\nlayers: 0\ndensity: 1.4\nname: 5\nmethod: dare_tie\n"
                  "stops: [a, 1]\nweights: [x]\none: 3\nslices: [{first: a}]\n");
    assert_false(f.ok);
    assert_string_equal(f.diagnostics.text.data,
                        "c.yaml:1:7: 'flag' is 'maybe', must be true or false\n"
                        "c.yaml:2:9: 'layers' is 0, must be at least 1\n"
                        "c.yaml:3:10: 'density' is 1.4, must be in [0, 1]\n"
                        "c.yaml:4:7: 'name' is 5, must be a string (in quotes)\n"
                        "c.yaml:5:9: 'method' is 'dare_tie', did you mean 'dare_ties'?\n"
                        "c.yaml:6:12: 'stops' is 1, must be a string or a list of strings\n"
                        "c.yaml:7:11: 'weights' is 'x', must be a number or a list of numbers\n"
                        "c.yaml:8:6: a slice must be a map, found 3\n"
                        "c.yaml:9:18: 'first' is 'a', must be an integer\n"
                        "c.yaml:9:10: a slice lacks its 'model'");
    assert_status(mg_diagnostics_finish(&f.diagnostics, &err), MG_ERR_CONFIG);
    assert_string_equal(err.message, f.diagnostics.text.data);
    release(&f);
}

static void mistakes_without_end_are_counted_and_the_first_told(void **state)
{
    (void)state;
    mg_error err;
    mg_diagnostics diagnostics;
    memset(&diagnostics, 0, sizeof(diagnostics));
    diagnostics.file = mg_str_of("f");
    char *name = mg_new_array(char, 1 << 20);
    memset(name, 'x', (1 << 20) - 1);
    memcpy(name, "a\nb", 3);
    for (int i = 0; i < 5000; i++) {
        mg_diagnose(&diagnostics, NULL, "%s is wrong", i == 0 ? name : "it");
    }
    assert_int_equal(diagnostics.count, 5000);
    assert_true(diagnostics.text.size < 10000);
    assert_status(mg_diagnostics_finish(&diagnostics, &err), MG_ERR_CONFIG);
    assert_memory_equal(err.message, "f: a bxxx", 9);
    assert_non_null(strstr(err.message, "xxx...\nf: it is wrong\n"));
    assert_non_null(strstr(err.message, "it is wrong\n... and 49"));
    assert_null(strstr(err.message, "a\nb"));
    mg_free(name);
    mg_diagnostics_release(&diagnostics);
}

static char warning[200];

static void keep_warning(void *context, mg_log_level level, const char *message)
{
    (void)context;
    (void)level;
    snprintf(warning, sizeof(warning), "%s", message);
}

static void an_unknown_key_is_a_warning_with_the_nearest_name(void **state)
{
    (void)state;
    fixture f;
    mg_log_install(keep_warning, NULL, MG_LOG_NOTE);
    read_text(&f, "densty: 3\n");
    mg_log_install(NULL, NULL, MG_LOG_WARNING);
    assert_true(f.ok);
    assert_string_equal(warning, "c.yaml:1:1: unknown key 'densty' in the configuration is ignored,"
                                 " did you mean 'density'?");
    release(&f);
}

static void lax_readings_refuse_the_rest(void **state)
{
    (void)state;
    mg_arena arena = { 0 };
    static const struct {
        const char *text;
        bool is_bool;
        bool is_int;
        bool is_double;
    } cases[] = {
        { "true", true, true, true },      { "1", true, true, true },
        { "2", false, true, true },        { "2.0", false, true, true },
        { "2.5", false, false, true },     { "'yes'", true, false, false },
        { "' 3 '", false, true, true },    { "'1_000'", false, true, true },
        { "'3.0'", false, true, true },    { "'3.5'", false, false, true },
        { "'0x10'", false, false, false }, { "''", false, false, false },
        { "'nan'", false, false, true },   { "[1]", false, false, false },
        { "null", false, false, false },   { "'1__0'", false, false, false },
        { "'_1'", false, false, false },
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        mg_value v;
        mg_error err;
        bool b;
        int64_t n;
        double d;
        assert_ok(mg_yaml_parse(mg_str_of(cases[i].text), "t", &arena, &v, &err), &err);
        if (mg_lax_bool(&v, &b) != cases[i].is_bool || mg_lax_int(&v, &n) != cases[i].is_int ||
            mg_lax_double(&v, &d) != cases[i].is_double) {
            fail_msg("%s is read wrongly", cases[i].text);
        }
    }
    mg_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_read),
        cmocka_unit_test(values_are_taken_as_pydantic_takes_them),
        cmocka_unit_test(an_absent_or_null_field_keeps_its_default),
        cmocka_unit_test(all_mistakes_are_reported_together),
        cmocka_unit_test(mistakes_without_end_are_counted_and_the_first_told),
        cmocka_unit_test(an_unknown_key_is_a_warning_with_the_nearest_name),
        cmocka_unit_test(lax_readings_refuse_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
