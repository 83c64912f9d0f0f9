/* eval/task.c - opening and closing a task, and what it says about itself. */
#include "eval/task.h"

#include "base/fs.h"
#include "base/hash.h"
#include "base/memory.h"
#include "eval/task_internal.h"
#include "text/json.h"

#define SOURCE_BYTES_MAX ((size_t)16 << 20)

static void release_field(mg_field *field)
{
    mg_field_release(field);
}

static void release_format(mg_format *format)
{
    release_field(&format->text);
    release_field(&format->target);
    release_field(&format->choice);
    release_field(&format->prefix);
}

void mg_task_close(mg_task *task)
{
    if (task == NULL) {
        return;
    }
    if (task->owns_python) {
        mg_python_destroy(task->python);
    }
    mg_dataset_close(task->docs);
    mg_dataset_close(task->pool);
    release_format(&task->format);
    release_format(&task->fewshot.format);
    release_field(&task->description);
    for (int64_t f = 0; f < task->filter_count; f++) {
        for (int64_t s = 0; s < task->filters[f].step_count; s++) {
            mg_filter_step_release(&task->filters[f].steps[s]);
        }
    }
    for (int64_t m = 0; m < task->metric_count; m++) {
        mg_metric_release(&task->metrics[m]);
    }
    mg_regex_destroy(task->answer);
    mg_arena_release(&task->arena);
    mg_free(task);
}

mg_python *mg_task_worker(const mg_task_index *index, const mg_task_options *options)
{
    int64_t count = mg_task_index_root_count(index);
    const char **roots = mg_new_array(const char *, count + 1);
    for (int64_t i = 0; i < count; i++) {
        roots[i] = mg_task_index_root(index, i);
    }
    mg_python *python = mg_python_create(options->python, options->python_timeout_s, roots, count);
    mg_python_stop_when(python, options->stop, options->stop_context);
    mg_free(roots);
    return python;
}

mg_status mg_task_read_settings(const mg_task_index *index, mg_str name,
                                const mg_settings *settings, const mg_task_options *options,
                                mg_task **task_out, mg_error *err)
{
    *task_out = NULL;
    mg_task *task = mg_new(mg_task);
    task->options = *options;
    task->apply_chat_template = options->apply_chat_template;
    task->chat_noted = mg_arena_new(&task->arena, int);
    task->fewshot_as_multiturn = options->fewshot_as_multiturn;
    task->system_instruction = mg_arena_copy(&task->arena, options->system_instruction);
    task->chat_template = mg_arena_copy(&task->arena, options->chat_template);
    task->name = mg_arena_copy(&task->arena, name);
    /* The task outlives the index: it owns copies of its settings. */
    for (int64_t i = 0; i < settings->count; i++) {
        const mg_setting *from = &settings->items[i];
        mg_value value = mg_value_copy(&task->arena, &from->value);
        mg_settings_set(&task->settings, &task->arena, mg_arena_copy(&task->arena, from->key),
                        &value, mg_arena_copy(&task->arena, from->file));
    }
    task->python = options->worker != NULL ? options->worker : mg_task_worker(index, options);
    task->owns_python = options->worker == NULL;
    mg_status status = mg_task_read(task, index, err);
    if (status != MG_OK) {
        mg_task_close(task);
        return status;
    }
    *task_out = task;
    return MG_OK;
}

mg_status mg_task_open_settings(const mg_task_index *index, mg_str name,
                                const mg_settings *settings, const mg_task_options *options,
                                mg_task **task_out, mg_error *err)
{
    MG_TRY(mg_task_read_settings(index, name, settings, options, task_out, err));
    mg_status status = mg_task_load(*task_out, err);
    (*task_out)->options.gen_kwargs = NULL; /* borrowed for this call only */
    if (status != MG_OK) {
        mg_task_close(*task_out);
        *task_out = NULL;
    }
    return status;
}

mg_status mg_task_open(const char *name, const mg_task_options *options, mg_task **task_out,
                       mg_error *err)
{
    *task_out = NULL;
    mg_status status = MG_OK;
    mg_task_index *index = NULL;
    const mg_task_entry *entry;
    MG_TRY_OR_DONE(
        mg_task_index_create(options->include_paths, options->include_count, &index, err));
    MG_TRY_OR_DONE(mg_task_index_find(index, name, &entry, err));
    if (entry->kind != MG_ENTRY_TASK) {
        status = mg_fail(err, MG_ERR_CONFIG, "'%s' is a %s; name its tasks", name,
                         entry->kind == MG_ENTRY_GROUP ? "group" : "tag");
        goto done;
    }
    MG_TRY_OR_DONE(
        mg_task_open_settings(index, entry->name, &entry->settings, options, task_out, err));

done:
    mg_task_index_destroy(index);
    return status;
}

mg_str mg_task_name(const mg_task *task)
{
    return task->name;
}

int64_t mg_task_item_count(const mg_task *task)
{
    return task->item_count;
}

int64_t mg_task_original_count(const mg_task *task)
{
    return mg_dataset_count(task->docs);
}

int64_t mg_task_fewshot_count(const mg_task *task)
{
    return task->fewshot.count;
}

const mg_value *mg_task_metadata(const mg_task *task)
{
    return mg_settings_value(&task->settings, "metadata");
}

const mg_value *mg_task_item(const mg_task *task, int64_t index)
{
    MG_ASSERT(index >= 0 && index < task->item_count);
    return mg_dataset_row(task->docs, index);
}

mg_value mg_task_target(const mg_task *task, int64_t index)
{
    MG_ASSERT(index >= 0 && index < task->item_count);
    return task->rows[index].target;
}

int64_t mg_task_filter_count(const mg_task *task)
{
    return task->filter_count;
}

mg_str mg_task_filter(const mg_task *task, int64_t index)
{
    MG_ASSERT(index >= 0 && index < task->filter_count);
    return task->filters[index].name;
}

mg_output_type mg_task_output_type(const mg_task *task)
{
    return task->output_type;
}

int64_t mg_task_metric_count(const mg_task *task)
{
    return task->filter_count * task->metric_count;
}

mg_str mg_task_metric(const mg_task *task, int64_t index)
{
    MG_ASSERT(index >= 0 && index < mg_task_metric_count(task));
    return task->keys[index];
}

int64_t mg_task_metric_find(const mg_task *task, mg_str key)
{
    for (int64_t i = 0; i < mg_task_metric_count(task); i++) {
        if (mg_str_equal(task->keys[i], key)) {
            return i;
        }
    }
    return -1;
}

static void hash_value(mg_hasher *hasher, mg_buf *text, const mg_value *value)
{
    mg_buf_clear(text);
    mg_json_write(text, value, NULL);
    mg_buf_add_char(text, '\n');
    mg_hasher_add(hasher, text->data, text->size);
}

static void hash_row(mg_hasher *hasher, mg_buf *text, const mg_row_text *row)
{
    hash_value(hasher, text, &row->text);
    hash_value(hasher, text, &row->target);
    hash_value(hasher, text, &row->choices);
    hash_value(hasher, text, &row->prefix);
    hash_value(hasher, text, &row->description);
}

/* The whole file of a function counts: it may call others beside it. */
static void hash_function(mg_hasher *hasher, const mg_function *function)
{
    mg_bytes source = { 0 };
    if (function->file.size > 0 &&
        mg_file_read(function->file.data, SOURCE_BYTES_MAX, &source, NULL) == MG_OK) {
        mg_hasher_add(hasher, source.data, source.size);
        mg_hasher_add(hasher, function->name.data, function->name.size);
    }
    mg_bytes_release(&source);
}

void mg_task_hash(const mg_task *task, char *text_out)
{
    /* What the rows were made by is in the rows; the keys below decide how answers are scored. */
    static const char *const keys[] = { "output_type", "metric_list",      "filter_list",
                                        "repeats",     "target_delimiter", "fewshot_delimiter" };
    mg_hasher *hasher = mg_hasher_create();
    mg_buf text = { 0 };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(keys); i++) {
        const mg_value *value = mg_settings_value(&task->settings, keys[i]);
        hash_value(hasher, &text, value != NULL ? value : &mg_value_null);
    }
    hash_value(hasher, &text, &task->generation);
    mg_value flags =
        mg_value_of_int((task->apply_chat_template ? 1 : 0) + (task->fewshot_as_multiturn ? 2 : 0));
    hash_value(hasher, &text, &flags);
    if (task->hopeless.repeats || task->hopeless.script > 0) {
        mg_value early =
            mg_value_of_int(2 * task->hopeless.script + (task->hopeless.repeats ? 1 : 0));
        hash_value(hasher, &text, &early);
    }
    mg_hasher_add(hasher, task->answer_pattern.data, task->answer_pattern.size);
    mg_hasher_add(hasher, task->system_instruction.data, task->system_instruction.size);
    mg_hasher_add(hasher, task->chat_template.data, task->chat_template.size);
    hash_function(hasher, &task->process_results);
    for (int64_t m = 0; m < task->metric_count; m++) {
        hash_function(hasher, &task->metrics[m].function);
        hash_function(hasher, &task->metrics[m].aggregator);
    }
    for (int64_t f = 0; f < task->filter_count; f++) {
        for (int64_t s = 0; s < task->filters[f].step_count; s++) {
            hash_function(hasher, &task->filters[f].steps[s].function);
        }
    }
    for (int64_t i = 0; i < task->item_count; i++) {
        hash_row(hasher, &text, &task->rows[i]);
        hash_value(hasher, &text, mg_task_item(task, i));
        for (int64_t k = 0; k < task->fewshot.count; k++) {
            hash_row(hasher, &text, &task->pool_texts[task->shots[i * task->fewshot.count + k]]);
        }
    }
    mg_hasher_text(hasher, text_out);
    mg_hasher_destroy(hasher);
    mg_buf_release(&text);
}

void mg_task_rows_hash(const mg_task *task, char *text_out)
{
    mg_hasher *hasher = mg_hasher_create();
    mg_buf text = { 0 };
    for (int64_t i = 0; i < task->item_count; i++) {
        hash_value(hasher, &text, mg_task_item(task, i));
    }
    mg_hasher_text(hasher, text_out);
    mg_hasher_destroy(hasher);
    mg_buf_release(&text);
}
