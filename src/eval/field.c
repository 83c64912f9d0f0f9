/* eval/field.c - doc_to_text and its kin: columns, templates, literals, functions (tasks.md 7). */
#include "base/memory.h"
#include "eval/task_internal.h"
#include "text/utf8.h"

#include <inttypes.h>

mg_status mg_field_compile(mg_field *field, mg_error *err)
{
    if (field->kind != MG_FIELD_TEXT || field->template_ != NULL) {
        return MG_OK;
    }
    mg_status status =
        mg_template_compile(field->text, "template", MG_TEMPLATE_TASK, &field->template_, err);
    if (status != MG_OK) {
        mg_error_prefix(err, "%.*s: %s", MG_STR_ARG(field->where), field->key);
    }
    return status;
}

void mg_field_release(mg_field *field)
{
    if (!field->shared) {
        mg_template_destroy(field->template_);
    }
    field->template_ = NULL;
}

static bool all_digits(mg_str text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
    }
    return text.size > 0;
}

/* A rendered text as the field's role reads it. */
static mg_status read_text(mg_task *task, mg_field_role role, bool has_choices, mg_str text,
                           mg_value *value_out, mg_error *err)
{
    int64_t number;
    if (role == MG_ROLE_CHOICE) {
        if (!mg_python_literal(text, &task->arena, value_out) ||
            (value_out->kind != MG_LIST && value_out->kind != MG_STRING)) {
            return mg_fail(err, MG_ERR_CONFIG, "'%.*s' is no Python list", MG_STR_ARG(text));
        }
        return MG_OK;
    }
    if (role != MG_ROLE_PLAIN && has_choices && all_digits(text) && mg_str_to_int(text, &number)) {
        *value_out = mg_value_of_int(number);
        return MG_OK;
    }
    if (role == MG_ROLE_TARGET && text.size >= 2 && text.data[0] == '[' &&
        text.data[text.size - 1] == ']' && mg_python_literal(text, &task->arena, value_out)) {
        return MG_OK;
    }
    *value_out = mg_value_of_str(&task->arena, text);
    return MG_OK;
}

/* The letters of a text, which Python counts when a text stands for a list. */
static mg_value letters_of(mg_arena *arena, mg_str text)
{
    mg_value list = mg_value_of_list(arena, (int64_t)text.size);
    size_t at = 0;
    list.count = 0;
    while (at < text.size) {
        size_t bytes;
        (void)mg_utf8_decode(text, at, &bytes);
        list.items[list.count++] = mg_value_of_str(arena, mg_str_slice(text, at, at + bytes));
        at += bytes;
    }
    return list;
}

/* Choices as texts: a number or a truth value is written as Python prints it; a text stands for its
 * letters. */
static mg_status check_choices(mg_task *task, mg_value *choices, mg_error *err)
{
    if (choices->kind == MG_MAP) {
        mg_value list = mg_value_of_list(&task->arena, choices->count);
        for (int64_t i = 0; i < choices->count; i++) {
            list.items[i] = choices->entries[i].value;
        }
        *choices = list;
    }
    if (choices->kind == MG_STRING && choices->string.size > 0) {
        *choices = letters_of(&task->arena, choices->string);
        task->choices_are_letters = true;
        return MG_OK;
    }
    if (choices->kind != MG_LIST || choices->count == 0) {
        return mg_fail(err, MG_ERR_CONFIG, "%s, expected a list of choices",
                       choices->kind == MG_LIST ? "an empty list" : mg_kind_name(choices->kind));
    }
    bool texts = true;
    for (int64_t i = 0; i < choices->count; i++) {
        texts = texts && choices->items[i].kind == MG_STRING;
    }
    if (texts) {
        return MG_OK;
    }
    mg_value list = mg_value_of_list(&task->arena, choices->count);
    for (int64_t i = 0; i < choices->count; i++) {
        mg_buf text = { 0 };
        mg_python_print(&text, &choices->items[i], false);
        list.items[i] = mg_value_of_str(&task->arena, mg_buf_view(&text));
        mg_buf_release(&text);
    }
    *choices = list;
    return MG_OK;
}

static mg_status evaluate_text(mg_task *task, const mg_field *field, mg_field_role role,
                               bool has_choices, const mg_value *row, mg_buf *scratch,
                               mg_value *value_out, mg_error *err)
{
    const mg_value *column = mg_value_get_str(row, field->text);
    if (column != NULL) {
        *value_out = *column;
        return role == MG_ROLE_CHOICE ? check_choices(task, value_out, err) : MG_OK;
    }
    if (role == MG_ROLE_CHOICE) {
        bool native;
        MG_TRY(mg_template_evaluate(field->template_, row, &task->arena, &native, value_out, err));
        if (native && (value_out->kind == MG_LIST || value_out->kind == MG_MAP)) {
            return check_choices(task, value_out, err);
        }
    }
    mg_buf_clear(scratch);
    MG_TRY(mg_template_render(field->template_, row, 0, scratch, err));
    MG_TRY(read_text(task, role, has_choices, mg_buf_view(scratch), value_out, err));
    return role == MG_ROLE_CHOICE ? check_choices(task, value_out, err) : MG_OK;
}

typedef struct function_state {
    mg_task *task;
    const mg_field *field;
    mg_field_role role;
    mg_value *const *values_out;
} function_state;

static mg_status take_value(void *context, int64_t index, const mg_value *value,
                            const char *failure, mg_error *err)
{
    function_state *state = context;
    if (failure != NULL) {
        return mg_fail(err, MG_ERR_USER_CODE, "%s: row %" PRId64 ": %s", state->field->key, index,
                       failure);
    }
    mg_value *out = state->values_out[index];
    *out = mg_value_copy(&state->task->arena, value);
    if (state->role == MG_ROLE_CHOICE) {
        mg_status status = check_choices(state->task, out, err);
        if (status != MG_OK) {
            mg_error_prefix(err, "%.*s: returned",
                            MG_STR_ARG(mg_function_place(&state->field->function)));
        }
        return status;
    }
    return MG_OK;
}

static mg_status evaluate_function(mg_task *task, const mg_field *field, mg_field_role role,
                                   const mg_value *const *rows, int64_t count,
                                   mg_value *const *values_out, mg_error *err)
{
    mg_arena arena = { 0 };
    function_state state = { task, field, role, values_out };
    mg_value calls = mg_value_of_list(&arena, count);
    for (int64_t i = 0; i < count; i++) {
        calls.items[i] = mg_value_of_list(&arena, 1);
        calls.items[i].items[0] = *rows[i];
    }
    mg_status status = mg_python_call_many(task->python, "call_many", &field->function, &calls,
                                           NULL, take_value, &state, err);
    mg_arena_release(&arena);
    return status;
}

mg_status mg_field_evaluate(mg_task *task, const mg_field *field, mg_field_role role,
                            bool has_choices, const mg_value *const *rows, int64_t count,
                            mg_value *const *values_out, mg_error *err)
{
    mg_status status = MG_OK;
    mg_buf scratch = { 0 };
    if (field->kind == MG_FIELD_FUNCTION) {
        return evaluate_function(task, field, role, rows, count, values_out, err);
    }
    mg_value literal = field->kind == MG_FIELD_VALUE ? *field->value : mg_value_null;
    if (field->kind == MG_FIELD_VALUE && role == MG_ROLE_CHOICE) {
        MG_TRY(check_choices(task, &literal, err));
    }
    for (int64_t i = 0; i < count; i++) {
        *values_out[i] = literal;
        if (field->kind == MG_FIELD_TEXT) {
            status = evaluate_text(task, field, role, has_choices, rows[i], &scratch, values_out[i],
                                   err);
            if (status != MG_OK) {
                mg_error_prefix(err, "%.*s: %s: row %" PRId64, MG_STR_ARG(field->where), field->key,
                                i);
                break;
            }
        }
    }
    mg_buf_release(&scratch);
    return status;
}
