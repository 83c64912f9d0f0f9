/* base/log.h - notes for the person at the terminal, written to one sink that cli installs.
 *
 * This is the only mutable global of the program.  Without a sink, notes are dropped.
 * Control characters in messages are shown as escapes by the sink of cli.
 * Thread-safety: locked inside. */
#pragma once

#include "base/compiler.h"

MG_BEGIN_C

typedef enum mg_log_level { MG_LOG_WARNING, MG_LOG_NOTE, MG_LOG_DEBUG } mg_log_level;

typedef void mg_log_sink(void *context, mg_log_level level, const char *message);

void mg_log_install(mg_log_sink *sink, void *context, mg_log_level level_max);
void mg_warn(const char *format, ...) MG_PRINTF(1, 2);
void mg_note(const char *format, ...) MG_PRINTF(1, 2);
void mg_debug(const char *format, ...) MG_PRINTF(1, 2);

MG_END_C
