/* base/log.c - one sink behind a mutex. */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>

#define MG_LOG_BYTES_MAX 4096

static pthread_mutex_t sink_mutex = PTHREAD_MUTEX_INITIALIZER; /* guards the three below */
static mg_log_sink *sink_function;
static void *sink_context;
static mg_log_level sink_level;

static void emit(mg_log_level level, const char *format, va_list args) MG_PRINTF(2, 0);

static void emit(mg_log_level level, const char *format, va_list args)
{
    char message[MG_LOG_BYTES_MAX];
    (void)vsnprintf(message, sizeof(message), format, args);
    (void)pthread_mutex_lock(&sink_mutex);
    if (sink_function != NULL && level <= sink_level) {
        sink_function(sink_context, level, message);
    }
    (void)pthread_mutex_unlock(&sink_mutex);
}

void mg_log_install(mg_log_sink *sink, void *context, mg_log_level level_max)
{
    (void)pthread_mutex_lock(&sink_mutex);
    sink_function = sink;
    sink_context = context;
    sink_level = level_max;
    (void)pthread_mutex_unlock(&sink_mutex);
}

void mg_warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    emit(MG_LOG_WARNING, format, args);
    va_end(args);
}

void mg_note(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    emit(MG_LOG_NOTE, format, args);
    va_end(args);
}

void mg_debug(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    emit(MG_LOG_DEBUG, format, args);
    va_end(args);
}
