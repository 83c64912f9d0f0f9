/* merge/chat_template.h - the chat template that a merge gives its tokenizer (merging.md 5.7). */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

MG_BEGIN_C

/* What the key `chat_template` of a recipe may be: auto, a built-in name, or a template's text. */
bool mg_chat_template_valid(mg_str setting);
/* The template that a model folder has, trimmed; empty = none.  It lives in arena. */
mg_str mg_chat_template_of(const char *folder, mg_arena *arena);
/* The template: of auto the one that most of the folders have (the first of equals), empty when
 * none has one.  It lives in arena. */
mg_str mg_chat_template_choose(mg_str setting, const char *const *folders, int64_t count,
                               mg_arena *arena);
/* Gives the model folder the chat_template.jinja that transformers 5 writes, where only its
 * tokenizer_config.json has a template.  MG_ERR_IO, MG_ERR_FORMAT. */
MG_MUST_CHECK mg_status mg_chat_template_copy_out(const char *folder, mg_error *err);
/* Writes template into the model folder: chat_template.jinja, and tokenizer_config.json where there
 * is one.  MG_ERR_IO, MG_ERR_FORMAT. */
MG_MUST_CHECK mg_status mg_chat_template_write(const char *folder, mg_str template_, mg_error *err);

MG_END_C
