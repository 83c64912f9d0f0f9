/* eval/prompt.c - messages of a prompt, as plain text or as a chat.
 *
 * A prompt is a list of messages, each with a suffix that only plain text shows: the delimiters
 * between question, answer and next example. */
#include "eval/prompt.h"

#include "eval/task_internal.h"
#include "text/utf8.h"
#include "tokenizer/chat.h"

typedef struct message {
    const char *role;
    mg_str content;
    mg_str suffix;
} message;

typedef struct conversation {
    mg_arena arena;
    message *items;
    int64_t count;
} conversation;

static bool starts_with_space(mg_str text)
{
    size_t bytes;
    return text.size > 0 && mg_unicode_is_python_space(mg_utf8_decode(text, 0, &bytes));
}

static bool ends_with_space(mg_str text)
{
    return text.size > mg_unicode_trim(text, false, true).size;
}

/* a and b with delimiter between them unless white space separates them already. */
static mg_str join(mg_arena *arena, mg_str a, mg_str b, mg_str delimiter)
{
    if (a.size == 0 || b.size == 0) {
        return a.size == 0 ? b : a;
    }
    if (ends_with_space(a) || starts_with_space(b)) {
        delimiter = mg_str_make("", 0);
    }
    return mg_arena_printf(arena, "%.*s%.*s%.*s", MG_STR_ARG(a), MG_STR_ARG(delimiter),
                           MG_STR_ARG(b));
}

mg_str mg_prompt_text(mg_arena *arena, const mg_value *value)
{
    if (value->kind == MG_STRING) {
        return value->string;
    }
    if (value->kind == MG_NULL) {
        return mg_str_make("", 0);
    }
    mg_buf text = { 0 };
    mg_python_print(&text, value, false);
    mg_str copy = mg_arena_copy(arena, mg_buf_view(&text));
    mg_buf_release(&text);
    return copy;
}

static void add_message(conversation *talk, const char *role, mg_str content, mg_str suffix)
{
    talk->items[talk->count++] = (message){ role, content, suffix };
}

/* A question and, for examples, its answer; the question of the row itself has none. */
static void add_turn(conversation *talk, const mg_format *format, mg_str question, mg_str answer,
                     bool has_answer, mg_str prefix)
{
    mg_str nothing = mg_str_make("", 0);
    bool delimits = prefix.size == 0 ? has_answer
                                     : question.size > 0 && !ends_with_space(question) &&
                                           !starts_with_space(prefix);
    add_message(talk, "user", question, delimits ? format->target_delimiter : nothing);
    if (has_answer) {
        add_message(talk, "assistant", join(&talk->arena, prefix, answer, mg_str_of(" ")),
                    format->fewshot_delimiter);
    } else if (prefix.size > 0) {
        add_message(talk, "assistant", prefix, nothing);
    }
}

static void add_example(conversation *talk, const mg_task *task, const mg_row_text *row)
{
    mg_arena *arena = &talk->arena;
    mg_str question = mg_prompt_text(arena, &row->text);
    bool has_choices = row->choices.kind == MG_LIST;
    if (task->multiple_input > 0 && has_choices && row->text.kind == MG_INT &&
        row->text.integer >= 0 && row->text.integer < row->choices.count) {
        question = mg_prompt_text(arena, &row->choices.items[row->text.integer]);
        has_choices = false;
    }
    const mg_value *answer = &row->target;
    if (has_choices && answer->kind == MG_INT) {
        int64_t index =
            answer->integer < 0 ? answer->integer + row->choices.count : answer->integer;
        if (index >= 0 && index < row->choices.count) {
            answer = &row->choices.items[index];
        }
    } else if (answer->kind == MG_LIST && answer->count > 0) {
        answer = &answer->items[0];
    }
    bool has_answer = row->target.kind != MG_NULL &&
                      !(row->target.kind == MG_STRING && row->target.string.size == 0);
    add_turn(talk, &task->fewshot.format, question, mg_prompt_text(arena, answer), has_answer,
             mg_prompt_text(arena, &row->prefix));
}

static void build(conversation *talk, const mg_task *task, int64_t item, int64_t choice)
{
    const mg_row_text *row = &task->rows[item];
    mg_arena *arena = &talk->arena;
    mg_str system = join(arena, task->system_instruction, mg_prompt_text(arena, &row->description),
                         task->format.fewshot_delimiter);
    talk->items = mg_arena_array(arena, message, 2 * task->fewshot.count + 3);
    if (system.size > 0) {
        add_message(talk, "system", system, mg_str_make("", 0));
    }
    for (int64_t i = 0; i < task->fewshot.count; i++) {
        add_example(talk, task, &task->pool_texts[task->shots[item * task->fewshot.count + i]]);
    }
    mg_format format = task->format;
    mg_str question = mg_prompt_text(arena, &row->text);
    if (choice >= 0) {
        question = mg_prompt_text(arena, &row->choices.items[choice]);
        format.target_delimiter = mg_str_make("", 0);
    }
    add_turn(talk, &format, question, mg_str_make("", 0), false,
             mg_prompt_text(arena, &row->prefix));
}

/* Everything behind the system message as one user message; a final prefix stays by itself. */
static void make_single_turn(conversation *talk)
{
    int64_t first = talk->count > 0 && strcmp(talk->items[0].role, "system") == 0 ? 1 : 0;
    bool has_prefix = strcmp(talk->items[talk->count - 1].role, "assistant") == 0;
    int64_t last = has_prefix ? talk->count - 1 : talk->count;
    mg_buf text = { 0 };
    for (int64_t i = first; i < last; i++) {
        mg_buf_add(&text, talk->items[i].content);
        if (i + 1 < last) {
            mg_buf_add(&text, talk->items[i].suffix);
        }
    }
    talk->items[first] =
        (message){ "user", mg_arena_copy(&talk->arena, mg_buf_view(&text)), mg_str_make("", 0) };
    if (has_prefix) {
        talk->items[first + 1] = talk->items[talk->count - 1];
    }
    talk->count = first + (has_prefix ? 2 : 1);
    mg_buf_release(&text);
}

static mg_value message_list(conversation *talk, bool with_system)
{
    mg_arena *arena = &talk->arena;
    mg_value list = mg_value_of_list(arena, talk->count);
    list.count = 0;
    for (int64_t i = 0; i < talk->count; i++) {
        if (!with_system && strcmp(talk->items[i].role, "system") == 0) {
            continue;
        }
        mg_value *entry = &list.items[list.count++];
        *entry = mg_value_of_map(arena, 2);
        entry->entries[0].key = mg_value_of_str(arena, mg_str_of("role"));
        entry->entries[0].value = mg_value_of_str(arena, mg_str_of(talk->items[i].role));
        entry->entries[1].key = mg_value_of_str(arena, mg_str_of("content"));
        entry->entries[1].value = mg_value_of_str(arena, talk->items[i].content);
    }
    return list;
}

/* Templates that refuse a system message get the conversation without it. */
static mg_status render_chat(conversation *talk, const mg_tokenizer *tokenizer, mg_str name,
                             bool has_prefix, mg_buf *text_out, mg_error *err)
{
    size_t start = text_out->size;
    mg_value messages = message_list(talk, true);
    mg_chat_args args = { .messages = &messages,
                          .add_generation_prompt = !has_prefix,
                          .continue_final_message = has_prefix,
                          .template_name = name };
    mg_status status = mg_chat_render(tokenizer, &args, text_out, err);
    if (status != MG_OK && strcmp(talk->items[0].role, "system") == 0) {
        text_out->size = MG_MIN(start, text_out->size);
        messages = message_list(talk, false);
        status = mg_chat_render(tokenizer, &args, text_out, err);
    }
    return status;
}

mg_status mg_prompt_render(const mg_task *task, const mg_tokenizer *tokenizer, bool chat,
                           int64_t item, int64_t choice, mg_buf *text_out, mg_error *err)
{
    conversation talk = { 0 };
    mg_status status = MG_OK;
    build(&talk, task, item, choice);
    if (chat) {
        bool has_prefix = strcmp(talk.items[talk.count - 1].role, "assistant") == 0;
        if (!task->fewshot_as_multiturn) {
            make_single_turn(&talk);
        }
        status = render_chat(&talk, tokenizer, task->chat_template, has_prefix, text_out, err);
        if (status != MG_OK) {
            mg_error_prefix(err, "chat template");
        }
    } else {
        for (int64_t i = 0; i < talk.count; i++) {
            mg_buf_add(text_out, talk.items[i].content);
            mg_buf_add(text_out, talk.items[i].suffix);
        }
    }
    mg_arena_release(&talk.arena);
    return status;
}

mg_str mg_prompt_choice_delimiter(const mg_task *task, bool chat)
{
    mg_str prefix = task->format.prefix.text;
    bool keeps = !chat || (prefix.size > 0 && !ends_with_space(prefix));
    return keeps ? task->format.target_delimiter : mg_str_make("", 0);
}
