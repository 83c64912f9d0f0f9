/* tokenizer/chat.h - conversations to prompts through the model's own chat template.
 *
 * Thread-safety: functions are independent. */
#pragma once

#include "base/error.h"
#include "text/value.h"
#include "tokenizer/tokenizer.h"

MG_BEGIN_C

typedef struct mg_chat_args {
    const mg_value *messages; /* a list of {role, content} maps */
    bool add_generation_prompt;
    bool continue_final_message;   /* the last message is left open (tasks.md 9) */
    const mg_value *tools;         /* NULL = none */
    const mg_value *template_args; /* a map of further variables, NULL = none */
    mg_str template_name;          /* empty = "default" */
    int64_t now;                   /* seconds since 1970, for strftime_now */
} mg_chat_args;

/* Appends the prompt text.  MG_ERR_NOT_FOUND without a template, MG_ERR_USER_CODE when the template
 * raises. */
MG_MUST_CHECK mg_status mg_chat_render(const mg_tokenizer *tokenizer, const mg_chat_args *args,
                                       mg_buf *text_out, mg_error *err);

MG_END_C
