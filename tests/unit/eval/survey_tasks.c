/* survey_tasks - how many of the task files below a folder can be read, and why the others not.
 *
 * usage: survey_tasks FOLDER [PYTHON]
 * Every task is read with its includes, templates, metrics, filters and functions, but for its
 * data.  With PYTHON the modules of its functions are also loaded there.  Prints a table in
 * Markdown: the reasons with their counts, which docs/TASKS.md quotes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "data/glob.h"
#include "eval/task_internal.h"

typedef struct survey {
    mg_arena arena;
    mg_task_index *index;
    mg_task_options options;
    mg_map reasons; /* text -> index into counts */
    mg_str texts[20000];
    int64_t counts[20000];
    int64_t reason_count;
    mg_map functions; /* file -> 1 loads, 2 does not */
    int64_t types[4];
    int64_t tasks, groups, classes, fragments, read, loaded;
    bool loads;
} survey;

static void add_reason(survey *s, mg_str text)
{
    int64_t at = mg_map_get(&s->reasons, text, -1);
    if (at < 0 && s->reason_count < 20000) {
        at = s->reason_count++;
        s->texts[at] = mg_arena_copy(&s->arena, text);
        mg_map_set(&s->reasons, s->texts[at], at);
    }
    if (at >= 0) {
        s->counts[at]++;
    }
}

/* The message without the place in front, so that equal reasons are counted together. */
static mg_str reason_of(survey *s, const char *message)
{
    mg_str rest = mg_str_of(message);
    mg_str line;
    if (!mg_str_split(&rest, '\n', &line)) {
        return rest;
    }
    for (size_t i = 0; i + 1 < line.size; i++) {
        if (line.data[i] == ':' && line.data[i + 1] == ' ') {
            line = mg_str_slice(line, i + 2, line.size);
            break;
        }
    }
    return mg_arena_copy(&s->arena, line);
}

static bool loads(survey *s, const mg_function *function, mg_str *reason)
{
    mg_arena arena = { 0 };
    mg_value members = mg_value_of_map(&arena, 0);
    mg_value kind;
    mg_error err;
    if (function->file.size == 0) {
        return true;
    }
    int64_t known = mg_map_get(&s->functions, function->file, 0);
    if (known == 0) {
        bool good = mg_python_request(s->options.worker, "look", function, &members, &arena, &kind,
                                      &err) == MG_OK;
        known = good ? 1 : 2;
        if (!good) {
            *reason = reason_of(s, err.message);
        }
        mg_map_set(&s->functions, mg_arena_copy(&s->arena, function->file), known);
    } else if (known == 2) {
        *reason = mg_str_of("(same file as another)");
    }
    mg_arena_release(&arena);
    return known == 1;
}

static bool functions_load(survey *s, const mg_task *task)
{
    mg_str reason = { 0 };
    bool good = loads(s, &task->process_docs, &reason) &&
                loads(s, &task->process_results, &reason) &&
                loads(s, &task->custom_dataset, &reason) &&
                loads(s, &task->format.text.function, &reason) &&
                loads(s, &task->format.target.function, &reason) &&
                loads(s, &task->format.choice.function, &reason) &&
                loads(s, &task->fewshot.samples_function, &reason) &&
                loads(s, &task->fewshot.sampler_class, &reason);
    for (int64_t m = 0; good && m < task->metric_count; m++) {
        good = loads(s, &task->metrics[m].function, &reason) &&
               loads(s, &task->metrics[m].aggregator, &reason);
    }
    for (int64_t f = 0; good && f < task->filter_count; f++) {
        for (int64_t k = 0; good && k < task->filters[f].step_count; k++) {
            good = loads(s, &task->filters[f].steps[k].function, &reason);
        }
    }
    if (!good) {
        add_reason(s, mg_arena_printf(&s->arena, "python: %.*s", MG_STR_ARG(reason)));
    }
    return good;
}

static void look_at(survey *s, const char *path)
{
    mg_error err;
    mg_settings settings;
    mg_task *task;
    if (mg_settings_read(path, &s->arena, &settings, &err) != MG_OK) {
        s->tasks++;
        add_reason(s, reason_of(s, err.message));
        return;
    }
    mg_str name = mg_settings_text(&settings, "task");
    if (mg_settings_get(&settings, "class") != NULL) {
        s->classes++;
        return;
    }
    if (mg_settings_get(&settings, "group") != NULL &&
        !(name.size > 0 && mg_settings_value(&settings, "dataset_path") != NULL)) {
        s->groups++;
        return;
    }
    if (name.size == 0) {
        s->fragments++;
        return;
    }
    s->tasks++;
    if (mg_task_read_settings(s->index, name, &settings, &s->options, &task, &err) != MG_OK) {
        add_reason(s, reason_of(s, err.message));
        return;
    }
    s->read++;
    s->types[task->output_type]++;
    s->loaded += s->loads && functions_load(s, task);
    mg_task_close(task);
}

int main(int argc, char **argv)
{
    static survey s;
    mg_error err;
    const char **paths;
    int64_t count;
    if (argc < 2) {
        fprintf(stderr, "usage: survey_tasks FOLDER [PYTHON]\n");
        return 2;
    }
    const char *folder = argv[1];
    s.options = (mg_task_options){ .num_fewshot = -1, .confirm_unsafe_code = true };
    s.options.worker = mg_python_create(argc > 2 ? argv[2] : NULL, 120, &folder, 1);
    s.loads = argc > 2;
    if (mg_task_index_create(&folder, 1, &s.index, &err) != MG_OK ||
        mg_glob(folder, mg_str_of("**/*.yaml"), &s.arena, &paths, &count, &err) != MG_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 3;
    }
    for (int64_t i = 0; i < count; i++) {
        look_at(&s, paths[i]);
    }
    printf("files %lld, groups %lld, python classes %lld, fragments %lld, tasks %lld\n",
           (long long)count, (long long)s.groups, (long long)s.classes, (long long)s.fragments,
           (long long)s.tasks);
    printf(
        "read %lld: generate_until %lld, multiple_choice %lld, loglikelihood %lld, rolling %lld\n",
        (long long)s.read, (long long)s.types[0], (long long)s.types[1], (long long)s.types[2],
        (long long)s.types[3]);
    if (s.loads) {
        printf("functions load: %lld\n", (long long)s.loaded);
    }
    for (int64_t i = 0; i < s.reason_count; i++) {
        printf("%6lld  %.*s\n", (long long)s.counts[i], MG_STR_ARG(s.texts[i]));
    }
    mg_python_destroy(s.options.worker);
    mg_task_index_destroy(s.index);
    mg_map_release(&s.reasons);
    mg_map_release(&s.functions);
    mg_arena_release(&s.arena);
    return 0;
}
