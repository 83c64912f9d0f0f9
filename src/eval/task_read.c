/* eval/task_read.c - the keys of a task file as a struct (tasks.md 3).
 *
 * Every mistake is collected with its file and line, so that all of them are reported together.
 * Unknown keys are warned about: the harness refuses them, older files have them. */
#include "base/fs.h"
#include "base/log.h"
#include "base/memory.h"
#include "eval/task_internal.h"

#include <inttypes.h>
#include <stdarg.h>

typedef struct reader {
    mg_task *task;
    const mg_task_index *index;
    mg_problems problems;
} reader;

static const char *const known_keys[] = {
    "task",
    "task_alias",
    "tag",
    "group",
    "group_alias",
    "dataset_path",
    "dataset_name",
    "dataset_kwargs",
    "custom_dataset",
    "training_split",
    "validation_split",
    "test_split",
    "fewshot_split",
    "process_docs",
    "doc_to_text",
    "doc_to_target",
    "doc_to_choice",
    "doc_to_image",
    "doc_to_audio",
    "unsafe_code",
    "process_results",
    "use_prompt",
    "description",
    "target_delimiter",
    "fewshot_delimiter",
    "fewshot_config",
    "num_fewshot",
    "metric_list",
    "output_type",
    "generation_kwargs",
    "repeats",
    "filter_list",
    "should_decontaminate",
    "doc_to_decontamination_query",
    "gen_prefix",
    "metadata",
    "class",
    "task_list",
    "aggregate_metric_list",
};

void mg_problem(mg_problems *problems, mg_status status, const mg_setting *setting,
                const mg_value *value, const char *format, ...)
{
    mg_arena arena = { 0 };
    va_list args;
    va_start(args, format);
    mg_error text;
    (void)mg_fail_va(&text, status, format, args);
    va_end(args);
    mg_buf_add_text(&problems->text, problems->text.size > 0 ? "\n" : "");
    if (setting != NULL) {
        mg_buf_add(&problems->text, mg_setting_where(setting, value, &arena));
        mg_buf_add_text(&problems->text, ": ");
    }
    mg_buf_add_text(&problems->text, text.message);
    if (problems->status == MG_OK) {
        problems->status = status;
    }
    mg_arena_release(&arena);
}

static const mg_setting *get(const reader *r, const char *key)
{
    const mg_setting *setting = mg_settings_get(&r->task->settings, key);
    return setting == NULL || setting->value.kind == MG_NULL ? NULL : setting;
}

static void read_text(reader *r, const char *key, mg_str *text_out)
{
    const mg_setting *setting = get(r, key);
    if (setting == NULL) {
        return;
    }
    if (setting->value.kind == MG_STRING) {
        *text_out = setting->value.string;
    } else if (setting->value.source.size > 0) {
        *text_out = setting->value.source; /* an unquoted number or date is meant as text */
    } else {
        mg_problem(&r->problems, MG_ERR_CONFIG, setting, NULL, "'%s' is %s, must be a text", key,
                   mg_kind_name(setting->value.kind));
    }
}

static bool is_function(const mg_value *value)
{
    return value != NULL && mg_str_is(value->tag, "!function");
}

/* The file of module `a.b` beside the YAML file, or for lm_eval.tasks.a.b below an include path;
 * empty when there is none. */
static mg_str find_module(reader *r, const mg_setting *setting, mg_str module)
{
    mg_arena *arena = &r->task->arena;
    mg_str file = mg_arena_printf(arena, "%.*s.py", MG_STR_ARG(module));
    char *name = mg_strdup(file.data);
    for (size_t i = 0; i + 3 < file.size; i++) {
        name[i] = name[i] == '.' ? '/' : name[i];
    }
    mg_str folder = mg_path_folder(arena, setting->file.data);
    mg_str found = { 0 };
    mg_str path = mg_path_join(arena, folder.data, name);
    if (mg_path_real(arena, path.data, &found, NULL) != MG_OK &&
        strncmp(name, "lm_eval/tasks/", 14) == 0) {
        for (int64_t i = 0; i < mg_task_index_root_count(r->index) && found.size == 0; i++) {
            path = mg_path_join(arena, mg_task_index_root(r->index, i), name + 14);
            if (mg_path_real(arena, path.data, &found, NULL) != MG_OK) {
                found = (mg_str){ 0 };
            }
        }
    }
    mg_free(name);
    return found;
}

#define SOURCE_BYTES_MAX ((size_t)16 << 20)

/* The line of the file that defines name, 0 = not found: "def name", "class name" or "name =" at
 * the left margin. */
static int64_t find_line(mg_str file, mg_str name)
{
    mg_bytes source = { 0 };
    int64_t number = 0;
    int64_t found = 0;
    if (mg_file_read(file.data, SOURCE_BYTES_MAX, &source, NULL) != MG_OK) {
        return 0;
    }
    mg_str rest = mg_str_make((const char *)source.data, source.size);
    mg_str line;
    while (found == 0 && mg_str_split(&rest, '\n', &line)) {
        number++;
        size_t skip = mg_str_starts(line, "def ") ? 4 : mg_str_starts(line, "class ") ? 6 : 0;
        mg_str tail = mg_str_slice(line, skip, line.size);
        bool same = tail.size > name.size && mg_str_equal(mg_str_slice(tail, 0, name.size), name) &&
                    strchr(skip > 0 ? "(: " : " =:", tail.data[name.size]) != NULL;
        found = same ? number : 0;
    }
    mg_bytes_release(&source);
    return found;
}

static void read_function(reader *r, const mg_setting *setting, const mg_value *value,
                          mg_function *function_out)
{
    mg_arena *arena = &r->task->arena;
    mg_str text = value->string.size > 0 ? value->string : value->source;
    size_t dot = text.size;
    while (dot > 0 && text.data[dot - 1] != '.') {
        dot--;
    }
    if (dot < 2 || dot == text.size) {
        mg_problem(&r->problems, MG_ERR_CONFIG, setting, value,
                   "!function '%.*s' must be FILE.FUNCTION", MG_STR_ARG(text));
        return;
    }
    mg_str module = mg_str_slice(text, 0, dot - 1);
    mg_str file = find_module(r, setting, module);
    if (file.size == 0) {
        mg_problem(&r->problems, MG_ERR_NOT_FOUND, setting, value,
                   "!function '%.*s': no file %.*s.py beside the task file", MG_STR_ARG(text),
                   MG_STR_ARG(module));
        return;
    }
    if (!mg_task_index_allows(r->index, file.data)) {
        mg_problem(&r->problems, MG_ERR_CONFIG, setting, value,
                   "!function '%.*s': %.*s lies outside the include paths", MG_STR_ARG(text),
                   MG_STR_ARG(file));
        return;
    }
    function_out->file = file;
    function_out->name = mg_arena_copy(arena, mg_str_slice(text, dot, text.size));
    function_out->where = mg_setting_where(setting, value, arena);
    int64_t line = find_line(file, function_out->name);
    function_out->place = line > 0
                              ? mg_arena_printf(arena, "%.*s:%" PRId64 ": %.*s", MG_STR_ARG(file),
                                                line, MG_STR_ARG(function_out->name))
                              : mg_arena_printf(arena, "%.*s: %.*s", MG_STR_ARG(file),
                                                MG_STR_ARG(function_out->name));
}

/* A key that may only be a function. */
static void read_function_key(reader *r, const char *key, mg_function *function_out)
{
    const mg_setting *setting = get(r, key);
    if (setting == NULL) {
        return;
    }
    if (!is_function(&setting->value)) {
        mg_problem(&r->problems, MG_ERR_CONFIG, setting, NULL,
                   "'%s' must be `!function FILE.FUNCTION`", key);
        return;
    }
    read_function(r, setting, &setting->value, function_out);
}

static void read_field_value(reader *r, const mg_setting *setting, const char *key,
                             const mg_value *value, mg_field *field_out)
{
    *field_out = (mg_field){ .key = key };
    field_out->where = mg_setting_where(setting, value, &r->task->arena);
    if (is_function(value)) {
        field_out->kind = MG_FIELD_FUNCTION;
        read_function(r, setting, value, &field_out->function);
    } else if (value->kind == MG_STRING) {
        field_out->kind = MG_FIELD_TEXT;
        field_out->text = value->string;
        mg_error problem;
        if (mg_field_compile(field_out, &problem) != MG_OK) {
            mg_problem(&r->problems, MG_ERR_CONFIG, NULL, NULL, "%s", problem.message);
        }
    } else if (value->kind == MG_INT || value->kind == MG_LIST || value->kind == MG_MAP) {
        field_out->kind = MG_FIELD_VALUE;
        field_out->value = value;
    } else {
        mg_problem(&r->problems, MG_ERR_CONFIG, setting, value,
                   "'%s' is %s, must be a text, a list or a function", key,
                   mg_kind_name(value->kind));
    }
}

static void read_field(reader *r, const char *key, mg_field *field_out)
{
    const mg_setting *setting = get(r, key);
    *field_out = (mg_field){ .key = key };
    if (setting != NULL) {
        read_field_value(r, setting, key, &setting->value, field_out);
    }
}

static void read_output_type(reader *r)
{
    static const struct {
        const char *name;
        mg_output_type type;
    } types[] = {
        { "generate_until", MG_GENERATE_UNTIL },
        { "multiple_choice", MG_MULTIPLE_CHOICE },
        { "loglikelihood", MG_LOGLIKELIHOOD },
        { "loglikelihood_rolling", MG_LOGLIKELIHOOD_ROLLING },
    };
    mg_str name = mg_str_of("generate_until");
    const char *names[MG_ARRAY_COUNT(types)];
    read_text(r, "output_type", &name);
    for (int64_t i = 0; i < MG_ARRAY_COUNT(types); i++) {
        names[i] = types[i].name;
        if (mg_str_is(name, types[i].name)) {
            r->task->output_type = types[i].type;
            return;
        }
    }
    const char *near = mg_str_nearest(name, names, MG_ARRAY_COUNT(types));
    mg_problem(&r->problems, MG_ERR_CONFIG, get(r, "output_type"), NULL,
               "output_type '%.*s' is none of generate_until, multiple_choice, loglikelihood, "
               "loglikelihood_rolling%s%s%s",
               MG_STR_ARG(name), near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
               near != NULL ? "'?" : "");
}

static void refuse(reader *r, const char *key, const char *why)
{
    const mg_setting *setting = get(r, key);
    if (setting != NULL) {
        mg_problem(&r->problems, MG_ERR_UNSUPPORTED, setting, NULL, "'%s' is not supported: %s",
                   key, why);
    }
}

static void check_keys(reader *r)
{
    const mg_settings *settings = &r->task->settings;
    for (int64_t i = 0; i < settings->count; i++) {
        const char *near = "";
        bool known = false;
        for (int64_t k = 0; k < MG_ARRAY_COUNT(known_keys); k++) {
            known = known || mg_str_is(settings->items[i].key, known_keys[k]);
        }
        if (!known) {
            near = mg_str_nearest(settings->items[i].key, known_keys, MG_ARRAY_COUNT(known_keys));
            mg_str where = mg_setting_where(&settings->items[i], NULL, &r->task->arena);
            mg_warn("%.*s: unknown key '%.*s' is ignored%s%s%s", MG_STR_ARG(where),
                    MG_STR_ARG(settings->items[i].key), near != NULL ? "; did you mean '" : "",
                    near != NULL ? near : "", near != NULL ? "'?" : "");
        }
    }
    refuse(r, "doc_to_image", "only texts can be asked");
    refuse(r, "doc_to_audio", "only texts can be asked");
    refuse(r, "use_prompt", "promptsource templates are not part of a task file");
    refuse(r, "class", "tasks that are Python classes need the harness itself");
    const mg_setting *unsafe = get(r, "unsafe_code");
    if (unsafe != NULL && unsafe->value.boolean && !r->task->options.confirm_unsafe_code) {
        mg_problem(&r->problems, MG_ERR_CONFIG, unsafe, NULL,
                   "the task runs code that the model writes; allow it with "
                   "--confirm-run-unsafe-code");
    }
}

/* ---- generation_kwargs ---- */

static const mg_value *first_of(const mg_value *map, const char *const *keys)
{
    for (int i = 0; keys[i] != NULL; i++) {
        const mg_value *value = mg_value_get(map, keys[i]);
        if (!mg_value_is_null(value)) {
            return value;
        }
    }
    return NULL;
}

static void add_entry(mg_arena *arena, mg_value *map, const char *key, const mg_value *value)
{
    for (int64_t i = 0; i < map->count; i++) {
        if (mg_str_is(map->entries[i].key.string, key)) {
            map->entries[i].value = *value;
            return;
        }
    }
    map->entries[map->count].key = mg_value_of_str(arena, mg_str_of(key));
    map->entries[map->count].value = *value;
    map->count++;
}

static mg_value list_of_text(mg_arena *arena, mg_str text)
{
    mg_value list = mg_value_of_list(arena, 1);
    list.items[0] = mg_value_of_str(arena, text);
    return list;
}

/* The map of keyword arguments: the file's with the run's over them. */
static void merge_generation(reader *r, const mg_value *given)
{
    mg_task *task = r->task;
    mg_arena *arena = &task->arena;
    const mg_value *run = task->options.gen_kwargs;
    int64_t room = (given != NULL ? given->count : 0) + (run != NULL ? run->count : 0) + 4;
    mg_value map = mg_value_of_map(arena, room);
    map.count = 0;
    if (given == NULL) {
        mg_value zero = mg_value_of_double(0);
        mg_value no = mg_value_of_bool(false);
        mg_value most = mg_value_of_int(256);
        add_entry(arena, &map, "temperature", &zero);
        add_entry(arena, &map, "do_sample", &no);
        add_entry(arena, &map, "max_gen_toks", &most);
    }
    for (int64_t i = 0; given != NULL && i < given->count; i++) {
        add_entry(arena, &map, given->entries[i].key.string.data, &given->entries[i].value);
    }
    for (int64_t i = 0; run != NULL && i < run->count; i++) {
        add_entry(arena, &map, run->entries[i].key.string.data, &run->entries[i].value);
    }
    const mg_value *temperature = mg_value_get(&map, "temperature");
    double number;
    if (temperature != NULL && temperature->kind != MG_FLOAT &&
        (mg_value_to_double(temperature, &number) ||
         (temperature->kind == MG_STRING && mg_str_to_double(temperature->string, &number)))) {
        mg_value as_float = mg_value_of_double(number);
        add_entry(arena, &map, "temperature", &as_float);
    }
    if (mg_value_get(&map, "until") == NULL) {
        mg_value list = list_of_text(arena, task->format.fewshot_delimiter);
        add_entry(arena, &map, "until", &list);
    }
    task->generation = map;
}

static void read_generation(reader *r)
{
    static const char *const limit_keys[] = { "max_gen_toks", "max_new_tokens", "max_tokens",
                                              "max_completion_tokens", NULL };
    mg_task *task = r->task;
    const mg_setting *setting = get(r, "generation_kwargs");
    if (task->output_type != MG_GENERATE_UNTIL) {
        return;
    }
    if (setting != NULL && setting->value.kind != MG_MAP) {
        mg_problem(&r->problems, MG_ERR_CONFIG, setting, NULL,
                   "'generation_kwargs' is %s, must be a mapping",
                   mg_kind_name(setting->value.kind));
        return;
    }
    merge_generation(r, setting != NULL ? &setting->value : NULL);
    const mg_value *until = mg_value_get(&task->generation, "until");
    if (until->kind != MG_LIST && until->kind != MG_STRING && until->kind != MG_NULL) {
        mg_problem(&r->problems, MG_ERR_CONFIG, setting, until,
                   "'until' is %s, must be a text or a list of texts", mg_kind_name(until->kind));
    }
    for (int64_t i = 0; until->kind == MG_LIST && i < until->count; i++) {
        if (until->items[i].kind != MG_STRING) {
            mg_problem(&r->problems, MG_ERR_CONFIG, setting, &until->items[i],
                       "'until' holds %s, must be texts", mg_kind_name(until->items[i].kind));
        }
    }
    const mg_value *limit = first_of(&task->generation, limit_keys);
    task->max_new_tokens = 256;
    if (limit != NULL && (!mg_value_to_int(limit, &task->max_new_tokens) ||
                          task->max_new_tokens < 1 || task->max_new_tokens > 1 << 24)) {
        mg_problem(&r->problems, MG_ERR_CONFIG, setting, limit,
                   "the number of new tokens must be a whole number above 0");
    }
    int64_t beams = 1;
    const mg_value *beam = mg_value_get(&task->generation, "num_beams");
    if (!mg_value_is_null(beam) && (!mg_value_to_int(beam, &beams) || beams != 1)) {
        mg_problem(&r->problems, MG_ERR_UNSUPPORTED, setting, beam,
                   "num_beams above 1: beam search is not supported");
    }
}

static void read_script(reader *r, const mg_setting *setting, const mg_value *script)
{
    bool is_text = script->kind == MG_STRING;
    for (int64_t i = 0; i < mg_script_count; i++) {
        if (is_text && mg_str_is(script->string, mg_scripts[i])) {
            r->task->hopeless.script = i + 1;
        }
    }
    if (r->task->hopeless.script == 0) {
        const char *nearest =
            is_text ? mg_str_nearest(script->string, mg_scripts, mg_script_count) : NULL;
        mg_problem(&r->problems, MG_ERR_CONFIG, setting, script, "'script' is unknown%s%s%s",
                   nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "",
                   nearest != NULL ? "'?" : ", must be a writing system such as japanese");
    }
}

static void read_answer(reader *r, const mg_setting *setting, const mg_value *answer)
{
    mg_error err;
    if (answer->kind != MG_STRING || answer->string.size == 0) {
        mg_problem(&r->problems, MG_ERR_CONFIG, setting, answer,
                   "'answer' must be a regular expression");
    } else if (mg_regex_compile(answer->string, MG_REGEX_PYTHON, &r->task->answer, &err) != MG_OK) {
        mg_problem(&r->problems, MG_ERR_CONFIG, setting, answer, "'answer': %s", err.message);
    }
    r->task->answer_pattern = answer->string;
}

/* `metadata: {merganser: {stop_early: {repeats: true, script: japanese, answer: REGEX}}}`: answers
 * that the task calls hopeless or complete end early.  The harness keeps metadata and does not look
 * into it. */
static void read_stop_early(reader *r)
{
    mg_task *task = r->task;
    const mg_setting *setting = get(r, "metadata");
    const mg_value *own = setting != NULL ? mg_value_get(&setting->value, "merganser") : NULL;
    const mg_value *rules = mg_value_get(own, "stop_early");
    const mg_value *repeats = mg_value_get(rules, "repeats");
    const mg_value *script = mg_value_get(rules, "script");
    const mg_value *answer = mg_value_get(rules, "answer");
    if (rules == NULL) {
        return;
    }
    if (task->output_type != MG_GENERATE_UNTIL || rules->kind != MG_MAP ||
        (repeats != NULL && repeats->kind != MG_BOOL)) {
        mg_problem(&r->problems, MG_ERR_CONFIG, setting, rules,
                   "'stop_early' must be a mapping of 'repeats' (true or false), 'script' and "
                   "'answer', in a task that generates");
        return;
    }
    task->hopeless.repeats = repeats != NULL && repeats->boolean;
    if (script != NULL) {
        read_script(r, setting, script);
    }
    if (answer != NULL) {
        read_answer(r, setting, answer);
    }
}

/* ---- metrics and filters ---- */

static void read_metric(reader *r, const mg_setting *setting, const mg_value *entry,
                        mg_metric *metric)
{
    static const char *const own_keys[] = { "metric", "aggregation", "higher_is_better",
                                            "hf_evaluate" };
    mg_task *task = r->task;
    const mg_value *name = mg_value_get(entry, "metric");
    const mg_value *aggregation = mg_value_get(entry, "aggregation");
    const mg_value *higher = mg_value_get(entry, "higher_is_better");
    const mg_value *library = mg_value_get(entry, "hf_evaluate");
    mg_error problem;
    if (name == NULL || (name->kind != MG_STRING && !is_function(name))) {
        mg_problem(&r->problems, MG_ERR_CONFIG, setting, entry, "an entry without 'metric'");
        return;
    }
    bool by_results = task->process_results.file.size > 0;
    bool is_library = library != NULL && library->boolean;
    bool known = !is_function(name) && !is_library &&
                 mg_metric_find(name->string, task->output_type, metric, &problem) == MG_OK;
    if (!known && !is_function(name)) {
        is_library = is_library || mg_metric_is_in_library(name->string);
    }
    metric->name = name->string;
    if (is_function(name)) {
        metric->kind = MG_METRIC_FUNCTION;
        read_function(r, setting, name, &metric->function);
        metric->name = metric->function.name;
        metric->higher_is_better = true;
    } else if (is_library) {
        metric->kind = MG_METRIC_LIBRARY;
        metric->higher_is_better = true;
    } else if (!known && !by_results) {
        mg_problem(&r->problems, MG_ERR_CONFIG, setting, name, "%s", problem.message);
    }
    if (by_results) {
        metric->kind = MG_METRIC_NAMED;
    }
    if (is_function(aggregation)) {
        metric->aggregation = MG_AGGREGATE_FUNCTION;
        read_function(r, setting, aggregation, &metric->aggregator);
    } else if (aggregation != NULL && aggregation->kind == MG_STRING) {
        if (mg_aggregation_find(aggregation->string, &metric->aggregation, &problem) != MG_OK) {
            mg_problem(&r->problems, MG_ERR_CONFIG, setting, aggregation, "%s", problem.message);
        }
    }
    if (higher != NULL && higher->kind == MG_BOOL) {
        metric->higher_is_better = higher->boolean;
    }
    mg_value rest = mg_value_of_map(&task->arena, entry->count);
    rest.count = 0;
    for (int64_t i = 0; i < entry->count; i++) {
        bool own = false;
        for (int64_t k = 0; k < MG_ARRAY_COUNT(own_keys); k++) {
            own = own || mg_str_is(entry->entries[i].key.string, own_keys[k]);
        }
        if (!own) {
            rest.entries[rest.count++] = entry->entries[i];
        }
    }
    mg_value *arguments = mg_arena_new(&task->arena, mg_value);
    *arguments = rest;
    metric->arguments = arguments;
    if (metric->kind == MG_METRIC_EXACT_MATCH &&
        mg_metric_read_options(metric, &problem) != MG_OK) {
        mg_problem(&r->problems, MG_ERR_CONFIG, setting, entry, "%s", problem.message);
    }
}

static void read_metrics(reader *r)
{
    static const char *const bypass[] = { "bypass", NULL };
    mg_task *task = r->task;
    const mg_setting *setting = get(r, "metric_list");
    bool answers_alone = task->options.predict_only;
    if (setting == NULL || answers_alone) {
        const char *const *names = answers_alone ? bypass : mg_metric_defaults(task->output_type);
        while (names[task->metric_count] != NULL) {
            task->metric_count++;
        }
        task->metrics = mg_arena_array(&task->arena, mg_metric, task->metric_count);
        for (int64_t i = 0; i < task->metric_count; i++) {
            mg_status status =
                mg_metric_find(mg_str_of(names[i]), task->output_type, &task->metrics[i], NULL);
            MG_ASSERT(status == MG_OK);
            if (task->process_results.file.size > 0) {
                task->metrics[i].kind = MG_METRIC_NAMED;
            }
        }
        task->bypasses = answers_alone;
        return;
    }
    if (setting->value.kind != MG_LIST) {
        mg_problem(&r->problems, MG_ERR_CONFIG, setting, NULL,
                   "'metric_list' is %s, must be a list", mg_kind_name(setting->value.kind));
        return;
    }
    task->metrics = mg_arena_array(&task->arena, mg_metric, setting->value.count + 1);
    for (int64_t i = 0; i < setting->value.count; i++) {
        /* A metric that is named twice keeps its first place and its last options. */
        mg_metric metric = { 0 };
        read_metric(r, setting, &setting->value.items[i], &metric);
        int64_t at = 0;
        while (at < task->metric_count && !mg_str_equal(task->metrics[at].name, metric.name)) {
            at++;
        }
        mg_metric_release(&task->metrics[at]);
        task->metrics[at] = metric;
        task->metric_count += at == task->metric_count ? 1 : 0;
    }
    for (int64_t i = 0; i < task->metric_count; i++) {
        task->uses_mutual_info = task->uses_mutual_info ||
                                 task->metrics[i].kind == MG_METRIC_ACC_MUTUAL_INFO ||
                                 mg_str_is(task->metrics[i].name, "acc_mutual_info");
        task->bypasses = task->bypasses || task->metrics[i].kind == MG_METRIC_BYPASS;
    }
}

/* Whether the file says register_filter("NAME"). */
static bool registers(mg_str file, mg_str name)
{
    mg_bytes source = { 0 };
    bool found = false;
    if (file.size == 0 || mg_file_read(file.data, SOURCE_BYTES_MAX, &source, NULL) != MG_OK) {
        return false;
    }
    mg_str text = mg_str_make((const char *)source.data, source.size);
    mg_str call = mg_str_of("register_filter(");
    int64_t at = mg_str_find(text, call, 0);
    while (at >= 0 && !found) {
        mg_str rest = mg_str_slice(text, (size_t)at + call.size, text.size);
        bool quoted = rest.size > name.size + 1 && (rest.data[0] == '"' || rest.data[0] == '\'') &&
                      rest.data[name.size + 1] == rest.data[0];
        found = quoted && mg_str_equal(mg_str_slice(rest, 1, name.size + 1), name);
        at = mg_str_find(text, call, (size_t)at + call.size);
    }
    mg_bytes_release(&source);
    return found;
}

/* A filter that one of the task's own python files registers by name, as the harness learns of it
 * when it loads that file. */
static bool find_registered(const reader *r, mg_str name, mg_function *function_out)
{
    const mg_task *task = r->task;
    const mg_function *const functions[] = {
        &task->process_results,      &task->process_docs,           &task->custom_dataset,
        &task->format.text.function, &task->format.target.function, &task->format.choice.function,
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(functions); i++) {
        if (registers(functions[i]->file, name)) {
            *function_out =
                (mg_function){ functions[i]->file, name, functions[i]->where, functions[i]->file };
            return true;
        }
    }
    return false;
}

static void read_filter_step(reader *r, const mg_setting *setting, const mg_value *entry,
                             mg_filter_step *step)
{
    mg_task *task = r->task;
    const mg_value *name = mg_value_get(entry, "function");
    mg_error problem;
    if (name == NULL || (name->kind != MG_STRING && !is_function(name))) {
        mg_problem(&r->problems, MG_ERR_CONFIG, setting, entry, "a filter without 'function'");
        return;
    }
    mg_value *arguments = mg_arena_new(&task->arena, mg_value);
    *arguments = mg_value_of_map(&task->arena, entry->count);
    arguments->count = 0;
    const mg_value *inner = NULL; /* `custom` names its function as filter_fn */
    for (int64_t i = 0; i < entry->count; i++) {
        mg_str key = entry->entries[i].key.string;
        if (mg_str_is(key, "filter_fn")) {
            inner = &entry->entries[i].value;
        } else if (!mg_str_is(key, "function")) {
            arguments->entries[arguments->count++] = entry->entries[i];
        }
    }
    bool own = !is_function(name) && !mg_filter_is_known(name->string) &&
               find_registered(r, name->string, &step->function);
    if (is_function(name) || own) {
        step->kind = MG_FILTER_CUSTOM;
        step->arguments = arguments;
        if (!own) {
            read_function(r, setting, name, &step->function);
        }
        return;
    }
    if (mg_filter_step_read(name->string, arguments, step, &problem) != MG_OK) {
        mg_problem(&r->problems, problem.status, setting, entry, "%s", problem.message);
        return;
    }
    if (step->kind == MG_FILTER_CUSTOM) {
        if (is_function(inner)) {
            read_function(r, setting, inner, &step->function);
        } else {
            mg_problem(&r->problems, MG_ERR_CONFIG, setting, entry,
                       "filter 'custom' needs `filter_fn: !function FILE.FUNCTION`");
        }
    }
}

static void read_filters(reader *r)
{
    mg_task *task = r->task;
    const mg_setting *setting = get(r, "filter_list");
    if (setting == NULL || setting->value.kind != MG_LIST) {
        if (setting != NULL) {
            mg_problem(&r->problems, MG_ERR_CONFIG, setting, NULL,
                       "'filter_list' is %s, must be a list", mg_kind_name(setting->value.kind));
        }
        task->filter_count = 1;
        task->filters = mg_arena_array(&task->arena, mg_filter, 1);
        task->filters[0].name = mg_str_of("none");
        task->filters[0].step_count = 1;
        task->filters[0].steps = mg_arena_array(&task->arena, mg_filter_step, 1);
        task->filters[0].steps[0].kind = MG_FILTER_TAKE_FIRST;
        return;
    }
    task->filter_count = setting->value.count;
    task->filters = mg_arena_array(&task->arena, mg_filter, task->filter_count + 1);
    for (int64_t i = 0; i < task->filter_count; i++) {
        const mg_value *entry = &setting->value.items[i];
        const mg_value *name = mg_value_get(entry, "name");
        const mg_value *steps = mg_value_get(entry, "filter");
        mg_filter *filter = &task->filters[i];
        if (name == NULL || name->kind != MG_STRING || steps == NULL || steps->kind != MG_LIST) {
            mg_problem(&r->problems, MG_ERR_CONFIG, setting, entry,
                       "a pipeline needs 'name' and a list 'filter'");
            continue;
        }
        filter->name = name->string;
        filter->steps = mg_arena_array(&task->arena, mg_filter_step, steps->count + 1);
        for (int64_t k = 0; k < steps->count; k++) {
            filter->step_count++;
            read_filter_step(r, setting, &steps->items[k], &filter->steps[k]);
        }
    }
}

static void name_keys(mg_task *task)
{
    int64_t count = task->filter_count * task->metric_count;
    task->keys = mg_arena_array(&task->arena, mg_str, count + 1);
    for (int64_t f = 0; f < task->filter_count; f++) {
        for (int64_t m = 0; m < task->metric_count; m++) {
            task->keys[f * task->metric_count + m] =
                mg_arena_printf(&task->arena, "%.*s,%.*s", MG_STR_ARG(task->metrics[m].name),
                                MG_STR_ARG(task->filters[f].name));
        }
    }
}

/* ---- few-shot ---- */

/* A field of fewshot_config, else the task's own. */
static void inherit_field(reader *r, const mg_setting *setting, const char *key,
                          const mg_field *own, mg_field *field_out)
{
    const mg_value *value = setting != NULL ? mg_value_get(&setting->value, key) : NULL;
    if (!mg_value_is_null(value)) {
        read_field_value(r, setting, key, value, field_out);
        return;
    }
    *field_out = *own;
    field_out->shared = true;
}

static void inherit_text(const mg_setting *setting, const char *key, mg_str *text)
{
    const mg_value *value = setting != NULL ? mg_value_get(&setting->value, key) : NULL;
    if (value != NULL && value->kind == MG_STRING) {
        *text = value->string;
    }
}

static void read_sampler(reader *r, const mg_setting *setting)
{
    mg_fewshot *fewshot = &r->task->fewshot;
    const mg_value *sampler = mg_value_get(&setting->value, "sampler");
    const mg_value *samples = mg_value_get(&setting->value, "samples");
    const mg_value *process = mg_value_get(&setting->value, "process_docs");
    if (is_function(sampler)) {
        read_function(r, setting, sampler, &fewshot->sampler_class);
    } else if (!mg_value_is_null(sampler)) {
        fewshot->sampler = sampler->string;
        if (!mg_str_is(fewshot->sampler, "default") && !mg_str_is(fewshot->sampler, "first_n")) {
            mg_problem(&r->problems, MG_ERR_CONFIG, setting, sampler,
                       "sampler '%.*s' is none of default, first_n", MG_STR_ARG(fewshot->sampler));
        }
    }
    if (is_function(samples)) {
        read_function(r, setting, samples, &fewshot->samples_function);
    } else if (!mg_value_is_null(samples)) {
        fewshot->samples = samples;
        if (samples->kind != MG_LIST) {
            mg_problem(&r->problems, MG_ERR_CONFIG, setting, samples,
                       "'samples' is %s, must be a list of rows", mg_kind_name(samples->kind));
        }
    }
    if (is_function(process)) {
        read_function(r, setting, process, &fewshot->process_docs);
    } else if (process != NULL && process->kind == MG_NULL) {
        fewshot->process_docs = (mg_function){ 0 };
    }
}

static void read_fewshot(reader *r)
{
    mg_task *task = r->task;
    mg_fewshot *fewshot = &task->fewshot;
    const mg_setting *setting = get(r, "fewshot_config");
    if (setting != NULL && setting->value.kind != MG_MAP) {
        mg_problem(&r->problems, MG_ERR_CONFIG, setting, NULL,
                   "'fewshot_config' is %s, must be a mapping", mg_kind_name(setting->value.kind));
        setting = NULL;
    }
    fewshot->sampler = mg_str_of("default");
    fewshot->process_docs = task->process_docs;
    read_text(r, "fewshot_split", &fewshot->split);
    inherit_text(setting, "split", &fewshot->split);
    if (setting != NULL) {
        read_sampler(r, setting);
    }
    fewshot->format.target_delimiter = task->format.target_delimiter;
    fewshot->format.fewshot_delimiter = task->format.fewshot_delimiter;
    inherit_text(setting, "target_delimiter", &fewshot->format.target_delimiter);
    inherit_text(setting, "fewshot_delimiter", &fewshot->format.fewshot_delimiter);
    inherit_field(r, setting, "doc_to_text", &task->format.text, &fewshot->format.text);
    inherit_field(r, setting, "doc_to_target", &task->format.target, &fewshot->format.target);
    inherit_field(r, setting, "doc_to_choice", &task->format.choice, &fewshot->format.choice);
    inherit_field(r, setting, "gen_prefix", &task->format.prefix, &fewshot->format.prefix);
    const mg_setting *count = get(r, "num_fewshot");
    bool fixed = false;
    if (count != NULL) {
        if (!mg_value_to_int(&count->value, &fewshot->count) || fewshot->count < 0) {
            mg_problem(&r->problems, MG_ERR_CONFIG, count, NULL,
                       "'num_fewshot' must be a whole number, 0 or more");
            fewshot->count = 0;
        }
        fixed = fewshot->count == 0; /* a file that says 0 means it */
    }
    if (task->options.num_fewshot >= 0 && !fixed) {
        fewshot->count = task->options.num_fewshot;
    }
}

/* ---- the whole ---- */

static void read_formats(reader *r)
{
    mg_task *task = r->task;
    task->format.target_delimiter = mg_str_of(" ");
    task->format.fewshot_delimiter = mg_str_of("\n\n");
    read_text(r, "target_delimiter", &task->format.target_delimiter);
    read_text(r, "fewshot_delimiter", &task->format.fewshot_delimiter);
    read_field(r, "doc_to_text", &task->format.text);
    read_field(r, "doc_to_target", &task->format.target);
    read_field(r, "doc_to_choice", &task->format.choice);
    read_field(r, "gen_prefix", &task->format.prefix);
    read_field(r, "description", &task->description);
    if (task->output_type == MG_MULTIPLE_CHOICE && task->format.choice.kind == MG_FIELD_NONE) {
        mg_problem(&r->problems, MG_ERR_CONFIG, NULL, NULL,
                   "task '%.*s': multiple_choice needs doc_to_choice", MG_STR_ARG(task->name));
    }
    bool rolls = task->output_type == MG_LOGLIKELIHOOD_ROLLING;
    if (task->format.text.kind == MG_FIELD_NONE && !rolls) {
        mg_problem(&r->problems, MG_ERR_CONFIG, NULL, NULL, "task '%.*s': doc_to_text is missing",
                   MG_STR_ARG(task->name));
    }
    if (task->format.target.kind == MG_FIELD_NONE && rolls) {
        mg_problem(&r->problems, MG_ERR_CONFIG, NULL, NULL, "task '%.*s': doc_to_target is missing",
                   MG_STR_ARG(task->name));
    }
}

mg_status mg_task_read(mg_task *task, const mg_task_index *index, mg_error *err)
{
    reader r = { .task = task, .index = index };
    mg_status status = MG_OK;
    check_keys(&r);
    task->alias = task->name;
    read_text(&r, "task_alias", &task->alias);
    read_output_type(&r);
    read_function_key(&r, "process_docs", &task->process_docs);
    if (!task->options.predict_only) {
        read_function_key(&r, "process_results", &task->process_results);
    }
    read_function_key(&r, "custom_dataset", &task->custom_dataset);
    read_formats(&r);
    read_generation(&r);
    read_stop_early(&r);
    read_metrics(&r);
    read_filters(&r);
    read_fewshot(&r);
    task->repeats = 1;
    const mg_setting *repeats = get(&r, "repeats");
    if (repeats != NULL && (!mg_value_to_int(&repeats->value, &task->repeats) ||
                            task->repeats < 1 || task->repeats > 10000)) {
        mg_problem(&r.problems, MG_ERR_CONFIG, repeats, NULL,
                   "'repeats' must be a whole number above 0");
    }
    name_keys(task);
    if (r.problems.status != MG_OK) {
        status = mg_fail(err, r.problems.status, "%s", r.problems.text.data);
    }
    mg_buf_release(&r.problems.text);
    return status;
}
