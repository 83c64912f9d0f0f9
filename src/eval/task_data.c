/* eval/task_data.c - the rows of a task, its examples, and what the fields say about them. */
#include "base/fs.h"
#include "base/log.h"
#include "base/memory.h"
#include "eval/task_internal.h"

#include <inttypes.h>
#include <math.h>

static mg_str split_name(const mg_task *task, const char *key)
{
    return mg_settings_text(&task->settings, key);
}

static bool has_split(const mg_task *task, const char *key)
{
    return split_name(task, key).size > 0;
}

static void set_entry(mg_arena *arena, mg_value *map, int64_t index, const char *key,
                      const mg_value *value)
{
    map->entries[index].key = mg_value_of_str(arena, mg_str_of(key));
    map->entries[index].value = *value;
}

/* A split of what the function custom_dataset returns. */
static mg_status make_custom(mg_task *task, mg_str split, mg_dataset **dataset_out, mg_error *err)
{
    mg_status status = MG_OK;
    mg_arena arena = { 0 };
    mg_value members = mg_value_of_map(&arena, 1);
    mg_value splits;
    const mg_value *parts[] = { mg_settings_value(&task->settings, "metadata"),
                                mg_settings_value(&task->settings, "dataset_kwargs") };
    int64_t room = 0;
    for (int i = 0; i < 2; i++) {
        room += parts[i] != NULL && parts[i]->kind == MG_MAP ? parts[i]->count : 0;
    }
    mg_value keywords = mg_value_of_map(&arena, room);
    keywords.count = 0;
    for (int i = 0; i < 2; i++) {
        for (int64_t k = 0; parts[i] != NULL && parts[i]->kind == MG_MAP && k < parts[i]->count;
             k++) {
            keywords.entries[keywords.count++] = parts[i]->entries[k];
        }
    }
    set_entry(&arena, &members, 0, "keywords", &keywords);
    MG_TRY_OR_DONE(mg_python_request(task->python, "make_splits", &task->custom_dataset, &members,
                                     &arena, &splits, err));
    const mg_value *rows = mg_value_get_str(&splits, split);
    if (rows == NULL) {
        status = mg_fail(err, MG_ERR_NOT_FOUND, "%.*s: returned no split '%.*s'",
                         MG_STR_ARG(mg_function_place(&task->custom_dataset)), MG_STR_ARG(split));
        goto done;
    }
    MG_TRY_OR_DONE(mg_dataset_from_rows(rows, dataset_out, err));

done:
    mg_arena_release(&arena);
    return status;
}

/* Sends the rows through process_docs. */
static mg_status process_rows(mg_task *task, const mg_function *function, mg_dataset **dataset,
                              mg_error *err)
{
    mg_status status = MG_OK;
    mg_arena arena = { 0 };
    mg_dataset *processed = NULL;
    mg_value members = mg_value_of_map(&arena, 2);
    mg_value rows = mg_value_of_list(&arena, mg_dataset_count(*dataset));
    mg_value columns = mg_value_of_list(&arena, mg_dataset_column_count(*dataset));
    mg_value made;
    for (int64_t i = 0; i < rows.count; i++) {
        rows.items[i] = *mg_dataset_row(*dataset, i);
    }
    for (int64_t i = 0; i < columns.count; i++) {
        columns.items[i] = mg_value_of_str(&arena, mg_dataset_column(*dataset, i));
    }
    set_entry(&arena, &members, 0, "rows", &rows);
    set_entry(&arena, &members, 1, "columns", &columns);
    MG_TRY_OR_DONE(
        mg_python_request(task->python, "map_split", function, &members, &arena, &made, err));
    MG_TRY_OR_DONE(mg_dataset_from_rows(&made, &processed, err));
    mg_dataset_close(*dataset);
    *dataset = processed;

done:
    mg_arena_release(&arena);
    return status;
}

static mg_status open_split(mg_task *task, mg_str split, const mg_function *process,
                            mg_dataset **dataset_out, mg_error *err)
{
    mg_status status = MG_OK;
    *dataset_out = NULL;
    if (task->custom_dataset.file.size > 0) {
        MG_TRY(make_custom(task, split, dataset_out, err));
    } else {
        mg_arena arena = { 0 };
        const mg_setting *kwargs = mg_settings_get(&task->settings, "dataset_kwargs");
        const mg_setting *path = mg_settings_get(&task->settings, "dataset_path");
        const mg_setting *place = kwargs != NULL ? kwargs : path;
        const mg_setting *name = mg_settings_get(&task->settings, "dataset_name");
        mg_str folder = { 0 };
        if (place != NULL && place->file.size > 0) {
            folder = mg_path_folder(&arena, place->file.data);
        }
        mg_dataset_args args = {
            .path = split_name(task, "dataset_path"),
            .kwargs = kwargs != NULL && kwargs->value.kind == MG_MAP ? &kwargs->value : NULL,
            .split = split,
            .working_folder = task->options.working_folder,
            .hub = task->options.hub,
            .second_folder = folder.data,
            .prepared_folder = task->options.prepared_folder,
        };
        if (name != NULL) {
            args.name = name->value.kind == MG_STRING ? name->value.string : name->value.source;
            args.name = name->value.kind == MG_NULL ? mg_str_make("", 0) : args.name;
        }
        status = mg_dataset_open(&args, dataset_out, err);
        mg_arena_release(&arena);
        if (status != MG_OK) {
            mg_error_prefix(err, "task '%.*s'", MG_STR_ARG(task->name));
            return status;
        }
    }
    if (process->file.size > 0) {
        status = process_rows(task, process, dataset_out, err);
        if (status != MG_OK) {
            mg_dataset_close(*dataset_out);
            *dataset_out = NULL;
        }
    }
    return status;
}

/* Rows after the limit: a share below 1, else a number (tasks.md 3). */
static int64_t limited(const mg_task *task, int64_t count)
{
    double limit = task->options.limit;
    if (limit <= 0) {
        return count;
    }
    double wanted = limit < 1 ? ceil((double)count * limit) : floor(limit);
    return wanted >= (double)count ? count : (int64_t)wanted;
}

/* ---- examples ---- */

static mg_status take_samples(mg_task *task, mg_error *err)
{
    mg_fewshot *fewshot = &task->fewshot;
    mg_arena arena = { 0 };
    mg_status status = MG_OK;
    mg_value rows = fewshot->samples != NULL ? *fewshot->samples : mg_value_null;
    if (fewshot->samples_function.file.size > 0) {
        mg_value members = mg_value_of_map(&arena, 0);
        mg_value look;
        /* `samples` names a function without arguments, or a list */
        MG_TRY_OR_DONE(mg_python_request(task->python, "samples", &fewshot->samples_function,
                                         &members, &arena, &look, err));
        rows = look;
    }
    MG_TRY_OR_DONE(mg_dataset_from_rows(&rows, &task->pool, err));

done:
    mg_arena_release(&arena);
    return status;
}

static mg_str pool_split(const mg_task *task, mg_str evaluated)
{
    return task->fewshot.split.size > 0          ? task->fewshot.split
           : has_split(task, "training_split")   ? split_name(task, "training_split")
           : has_split(task, "validation_split") ? split_name(task, "validation_split")
                                                 : evaluated;
}

static mg_status load_pool(mg_task *task, mg_str evaluated, mg_error *err)
{
    mg_fewshot *fewshot = &task->fewshot;
    const mg_dataset *pool = task->docs;
    bool given = fewshot->samples != NULL || fewshot->samples_function.file.size > 0;
    fewshot->excludes_row = mg_str_equal(fewshot->split, split_name(task, "test_split"));
    if (fewshot->split.size == 0 && given) {
        MG_TRY(take_samples(task, err));
        pool = task->pool;
    } else {
        mg_str split = pool_split(task, evaluated);
        const mg_function *process =
            fewshot->split.size > 0 ? &fewshot->process_docs : &task->process_docs;
        bool same = mg_str_equal(split, evaluated) &&
                    mg_str_equal(process->file, task->process_docs.file) &&
                    mg_str_equal(process->name, task->process_docs.name);
        if (!same) {
            MG_TRY(open_split(task, split, process, &task->pool, err));
            pool = task->pool;
        }
    }
    task->pool_count = mg_dataset_count(pool);
    const mg_value **rows = mg_arena_array(&task->arena, const mg_value *, task->pool_count + 1);
    for (int64_t i = 0; i < task->pool_count; i++) {
        rows[i] = mg_dataset_row(pool, i);
    }
    task->pool_rows = rows;
    return MG_OK;
}

/* ---- fields ---- */

/* One field of many rows; offset is where its value lies in mg_row_text. */
static mg_status evaluate(mg_task *task, const mg_field *field, mg_field_role role,
                          const mg_value *const *rows, mg_row_text *const *texts, int64_t count,
                          size_t offset, mg_error *err)
{
    bool has_choices = task->format.choice.kind != MG_FIELD_NONE;
    mg_value **values = mg_new_array(mg_value *, count + 1);
    for (int64_t i = 0; i < count; i++) {
        values[i] = (mg_value *)(void *)((char *)texts[i] + offset);
        *values[i] = mg_value_null;
    }
    mg_status status = MG_OK;
    if (field->kind != MG_FIELD_NONE) {
        status = mg_field_evaluate(task, field, role, has_choices, rows, count, values, err);
    }
    mg_free(values);
    return status;
}

static mg_status evaluate_format(mg_task *task, const mg_format *format,
                                 const mg_value *const *rows, mg_row_text *const *texts,
                                 int64_t count, mg_error *err)
{
    MG_TRY(evaluate(task, &format->text, MG_ROLE_TEXT, rows, texts, count,
                    offsetof(mg_row_text, text), err));
    MG_TRY(evaluate(task, &format->target, MG_ROLE_TARGET, rows, texts, count,
                    offsetof(mg_row_text, target), err));
    MG_TRY(evaluate(task, &format->choice, MG_ROLE_CHOICE, rows, texts, count,
                    offsetof(mg_row_text, choices), err));
    return evaluate(task, &format->prefix, MG_ROLE_PLAIN, rows, texts, count,
                    offsetof(mg_row_text, prefix), err);
}

/* The fields of those pool rows that some prompt uses. */
static mg_status evaluate_pool(mg_task *task, mg_error *err)
{
    int64_t used = 0;
    int64_t shots = task->item_count * task->fewshot.count;
    bool *is_used = mg_new_array(bool, task->pool_count + 1);
    const mg_value **rows = mg_new_array(const mg_value *, task->pool_count + 1);
    mg_row_text **texts = mg_new_array(mg_row_text *, task->pool_count + 1);
    task->pool_texts = mg_arena_array(&task->arena, mg_row_text, task->pool_count + 1);
    for (int64_t i = 0; i < shots; i++) {
        is_used[task->shots[i]] = true;
    }
    for (int64_t i = 0; i < task->pool_count; i++) {
        if (is_used[i]) {
            rows[used] = task->pool_rows[i];
            texts[used++] = &task->pool_texts[i];
        }
    }
    mg_status status = evaluate_format(task, &task->fewshot.format, rows, texts, used, err);
    if (status != MG_OK) {
        mg_error_prefix(err, "examples");
    }
    mg_free(is_used);
    mg_free(rows);
    mg_free(texts);
    return status;
}

/* Looks at the first row for what kind of task this is (tasks.md 7). */
static mg_status probe(mg_task *task, mg_error *err)
{
    const mg_row_text *first = &task->rows[0];
    if (task->format.choice.kind != MG_FIELD_NONE && first->text.kind == MG_INT) {
        task->multiple_input = first->choices.count;
    }
    task->multiple_target = first->target.kind == MG_LIST;
    for (int64_t i = 0; i < task->item_count; i++) {
        const mg_value *text = &task->rows[i].text;
        bool fits = text->kind == MG_STRING || task->multiple_input > 0 ||
                    task->output_type == MG_LOGLIKELIHOOD_ROLLING;
        if (!fits) {
            return mg_fail(err, MG_ERR_CONFIG,
                           "%.*s: doc_to_text: row %" PRId64 " gives %s, expected a text",
                           MG_STR_ARG(task->format.text.where), i, mg_kind_name(text->kind));
        }
    }
    return MG_OK;
}

mg_status mg_task_load(mg_task *task, mg_error *err)
{
    mg_status status = MG_OK;
    mg_str split = has_split(task, "test_split") ? split_name(task, "test_split")
                                                 : split_name(task, "validation_split");
    if (split.size == 0) {
        return mg_fail(err, MG_ERR_CONFIG,
                       "task '%.*s': neither test_split nor validation_split is set",
                       MG_STR_ARG(task->name));
    }
    MG_TRY(open_split(task, split, &task->process_docs, &task->docs, err));
    task->item_count = limited(task, mg_dataset_count(task->docs));
    if (task->item_count == 0) {
        return mg_fail(err, MG_ERR_CONFIG, "task '%.*s': split '%.*s' has no rows",
                       MG_STR_ARG(task->name), MG_STR_ARG(split));
    }
    if (task->fewshot.count > 0) {
        MG_TRY(load_pool(task, split, err));
    }
    task->rows = mg_arena_array(&task->arena, mg_row_text, task->item_count);
    const mg_value **rows = mg_new_array(const mg_value *, task->item_count);
    mg_row_text **texts = mg_new_array(mg_row_text *, task->item_count);
    for (int64_t i = 0; i < task->item_count; i++) {
        rows[i] = mg_dataset_row(task->docs, i);
        texts[i] = &task->rows[i];
    }
    MG_TRY_OR_DONE(evaluate_format(task, &task->format, rows, texts, task->item_count, err));
    MG_TRY_OR_DONE(evaluate(task, &task->description, MG_ROLE_PLAIN, rows, texts, task->item_count,
                            offsetof(mg_row_text, description), err));
    MG_TRY_OR_DONE(probe(task, err));
    MG_TRY_OR_DONE(mg_fewshot_choose(task, rows, err));
    if (task->fewshot.count > 0) {
        MG_TRY_OR_DONE(evaluate_pool(task, err));
    }
    if (task->choices_are_letters) {
        mg_note("%.*s: doc_to_choice is a text, not a list: each of its letters is a choice",
                MG_STR_ARG(task->format.choice.where));
    }

done:
    mg_free(rows);
    mg_free(texts);
    return status;
}
