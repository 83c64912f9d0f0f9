/* cli/terminal.c - the live line and the notes around it. */
#include "cli/terminal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "text/utf8.h"

#define MG_LIVE_SECONDS 0.1  /* between two redraws of the live line */
#define MG_PLAIN_SECONDS 30. /* between two plain lines */
#define MG_WHAT_BYTES 64

struct mg_terminal {
    pthread_mutex_t mutex; /* guards all below, and the order of output */
    bool quiet;
    bool live;                /* standard error is a terminal that can move its cursor */
    bool line_shown;          /* a live line stands there */
    char what[MG_WHAT_BYTES]; /* the progress being shown, empty = none */
    double begin_seconds;
    int64_t begin_done;
    double shown_seconds;
};

mg_terminal *mg_terminal_create(bool quiet)
{
    mg_terminal *terminal = mg_new(mg_terminal);
    (void)pthread_mutex_init(&terminal->mutex, NULL);
    const char *term = getenv("TERM");
    bool dumb = term == NULL || strcmp(term, "dumb") == 0;
    terminal->quiet = quiet;
    terminal->live = isatty(STDERR_FILENO) == 1 && !dumb;
    return terminal;
}

static void clear_line(mg_terminal *terminal)
{
    if (terminal->line_shown) {
        (void)fputs("\r\033[K", stderr);
        terminal->line_shown = false;
    }
}

void mg_terminal_destroy(mg_terminal *terminal)
{
    if (terminal != NULL) {
        clear_line(terminal);
        (void)pthread_mutex_destroy(&terminal->mutex);
        mg_free(terminal);
    }
}

void mg_terminal_escape(mg_buf *out, mg_str text)
{
    for (size_t i = 0; i < text.size;) {
        size_t bytes;
        int32_t c = mg_utf8_decode(text, i, &bytes);
        bool shown = c == '\n' || c == '\t' || (c >= 0x20 && c != 0x7F && !(c >= 0x80 && c < 0xA0));
        if (shown) {
            mg_buf_add(out, mg_str_slice(text, i, i + bytes));
        }
        for (size_t j = 0; !shown && j < bytes; j++) {
            mg_buf_printf(out, "\\x%02x", (unsigned char)text.data[i + j]);
        }
        i += bytes;
    }
}

void mg_terminal_log(void *context, mg_log_level level, const char *message)
{
    mg_terminal *terminal = context;
    mg_buf safe = { 0 };
    mg_terminal_escape(&safe, mg_str_of(message));
    (void)pthread_mutex_lock(&terminal->mutex);
    clear_line(terminal);
    const char *mark = level == MG_LOG_WARNING ? "warning: "
                       : level == MG_LOG_NOTE  ? ""
                                               : "debug: ";
    (void)fprintf(stderr, "merganser: %s%s\n", mark, safe.data != NULL ? safe.data : "");
    (void)pthread_mutex_unlock(&terminal->mutex);
    mg_buf_release(&safe);
}

static int columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) {
        return size.ws_col;
    }
    return 80;
}

static void add_duration(mg_buf *line, double seconds)
{
    int64_t s = (int64_t)(seconds + 0.5);
    if (s >= 3600) {
        mg_buf_printf(line, "%lld:%02lld:%02lld", (long long)(s / 3600), (long long)(s / 60 % 60),
                      (long long)(s % 60));
    } else {
        mg_buf_printf(line, "%lld:%02lld", (long long)(s / 60), (long long)(s % 60));
    }
}

/* "merging 12/291, 35.1/s, 0:08 left, best 0.71" */
static void add_progress(mg_buf *line, const mg_terminal *terminal, double now, int64_t done,
                         int64_t total, const char *detail)
{
    double seconds = now - terminal->begin_seconds;
    int64_t moved = done - terminal->begin_done;
    mg_buf_add_text(line, terminal->what);
    if (done > 0 || total > 0) {
        mg_buf_printf(line, " %lld", (long long)done);
    }
    if (total > 0) {
        mg_buf_printf(line, "/%lld", (long long)total);
    }
    if (moved > 0 && seconds > 0.5) {
        double rate = (double)moved / seconds;
        mg_buf_printf(line, rate >= 0.95 ? ", %.1f/s" : ", %.3f/s", rate);
        if (total > done) {
            mg_buf_add_text(line, ", ");
            add_duration(line, (double)(total - done) / rate);
            mg_buf_add_text(line, " left");
        }
    }
    if (detail != NULL) {
        mg_buf_add_text(line, ", ");
        mg_terminal_escape(line, mg_str_of(detail));
    }
}

void mg_terminal_progress(mg_terminal *terminal, const char *what, int64_t done, int64_t total,
                          const char *detail)
{
    if (terminal->quiet) {
        return;
    }
    (void)pthread_mutex_lock(&terminal->mutex);
    double now = mg_clock_now(NULL);
    bool is_new = strncmp(terminal->what, what, MG_WHAT_BYTES - 1) != 0;
    if (is_new) {
        (void)snprintf(terminal->what, sizeof(terminal->what), "%s", what);
        terminal->begin_seconds = now;
        terminal->begin_done = done > 1 ? done : 0; /* what a continued run finds done */
    }
    double pause = terminal->live ? MG_LIVE_SECONDS : MG_PLAIN_SECONDS;
    if (is_new || now - terminal->shown_seconds >= pause) {
        terminal->shown_seconds = now;
        mg_buf line = { 0 };
        add_progress(&line, terminal, now, done, total, detail);
        if (terminal->live) {
            int64_t width = mg_utf8_count(mg_buf_view(&line));
            if (width >= columns()) {
                line.data[mg_utf8_offset(mg_buf_view(&line), columns() - 1)] = '\0';
            }
            (void)fprintf(stderr, "\r%s\033[K", line.data);
            terminal->line_shown = true;
        } else {
            (void)fprintf(stderr, "merganser: %s\n", line.data);
        }
        (void)fflush(stderr);
        mg_buf_release(&line);
    }
    (void)pthread_mutex_unlock(&terminal->mutex);
}

void mg_terminal_progress_end(mg_terminal *terminal)
{
    (void)pthread_mutex_lock(&terminal->mutex);
    clear_line(terminal);
    terminal->what[0] = '\0';
    (void)pthread_mutex_unlock(&terminal->mutex);
}

void mg_terminal_clear(mg_terminal *terminal)
{
    (void)pthread_mutex_lock(&terminal->mutex);
    clear_line(terminal);
    (void)fflush(stderr);
    (void)pthread_mutex_unlock(&terminal->mutex);
}
