/* cli/terminal.h - standard error: notes, and one line of progress.
 *
 * Thread-safety: locked inside, since notes come from any thread. */
#pragma once

#include <stdbool.h>

#include "base/log.h"
#include "base/str.h"

MG_BEGIN_C

typedef struct mg_terminal mg_terminal;

mg_terminal *mg_terminal_create(bool quiet);     /* quiet: no progress */
void mg_terminal_destroy(mg_terminal *terminal); /* clears the live line; NULL is fine */
/* The sink for base/log.h; context is the terminal. */
void mg_terminal_log(void *context, mg_log_level level, const char *message);
/* See mg_cli_progress. */
void mg_terminal_progress(mg_terminal *terminal, const char *what, int64_t done, int64_t total,
                          const char *detail);
void mg_terminal_progress_end(mg_terminal *terminal);
void mg_terminal_clear(mg_terminal *terminal); /* takes the live line off before other output */
/* Appends text with control characters (but newline and tab) and broken UTF-8 shown as \xNN. */
void mg_terminal_escape(mg_buf *out, mg_str text);

MG_END_C
