/* eval/prompt.h - the prompt of a row: description, examples, question (tasks.md 9).
 *
 * Thread-safety: functions are independent. */
#pragma once

#include "base/error.h"
#include "eval/task.h"
#include "tokenizer/tokenizer.h"

MG_BEGIN_C

/* Appends the prompt of item.  choice is the index of the text that stands for the question in a
 * task with multiple inputs, else -1.  chat renders through the tokenizer's template. */
MG_MUST_CHECK mg_status mg_prompt_render(const mg_task *task, const mg_tokenizer *tokenizer,
                                         bool chat, int64_t item, int64_t choice, mg_buf *text_out,
                                         mg_error *err);
/* A value of a field as text: what Python's str() gives, null as nothing.  Borrowed from value, or
 * in arena. */
mg_str mg_prompt_text(mg_arena *arena, const mg_value *value);
/* What stands between the prompt and a choice in a multiple-choice request. */
mg_str mg_prompt_choice_delimiter(const mg_task *task, bool chat);

MG_END_C
