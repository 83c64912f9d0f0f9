/* cli/cli.c - the context of a command: threads, device, signals, standard output. */
#include "cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "cli/cli_internal.h"
#include "cli/terminal.h"
#include "compute/cuda_device.h"

struct mg_cli {
    const mg_args *args;
    mg_arena arena;
    mg_hub hub;
    mg_pool *pool;
    mg_dtype dtype;
    bool stdout_is_terminal;
    mg_terminal *terminal; /* standard error: notes and progress */
    mg_buf *warnings;      /* of mg_cli_collect_warnings, NULL = to the terminal */
};

static volatile sig_atomic_t signal_count;

static void on_signal(int number)
{
    (void)number;
    signal_count++;
    if (signal_count > 1) {
        _exit(mg_status_exit_code(MG_ERR_INTERRUPTED));
    }
}

void mg_cli_catch_signals(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    struct sigaction before; /* under nohup a terminal that closes is no reason to stop */
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
        (void)sigaction(SIGHUP, &action, NULL);
    }
    action.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &action, NULL);
    (void)sigaction(SIGXFSZ, &action, NULL); /* a limit on file sizes is an error of write */
}

bool mg_cli_interrupted(void)
{
    return signal_count > 0;
}

static const char *environment(const char *name)
{
    return getenv(name);
}

static mg_status read_dtype(mg_cli *cli, mg_error *err)
{
    const char *text = mg_args_text(cli->args, "dtype");
    cli->dtype = MG_DTYPE_COUNT;
    if (strcmp(text, "auto") != 0 && !mg_dtype_parse_torch(mg_str_of(text), &cli->dtype)) {
        return mg_fail(err, MG_ERR_USAGE, "--dtype is '%s'", text);
    }
    return MG_OK;
}

/* Warnings go to the lines that wait for them, everything else to the terminal. */
static void log_line(void *context, mg_log_level level, const char *message)
{
    mg_cli *cli = (mg_cli *)context;
    if (level == MG_LOG_WARNING && cli->warnings != NULL) {
        mg_buf_printf(cli->warnings, "%s\n", message);
    } else {
        mg_terminal_log(cli->terminal, level, message);
    }
}

mg_status mg_cli_create(const mg_args *args, mg_cli **cli_out, mg_error *err)
{
    *cli_out = NULL;
    mg_status status = MG_OK;
    mg_cli *cli = mg_new(mg_cli);
    cli->args = args;
    cli->stdout_is_terminal = isatty(STDOUT_FILENO) == 1;
    cli->terminal = mg_terminal_create(mg_args_flag(args, "quiet"));
    cli->hub = mg_hub_from_environment(environment, &cli->arena);
    int verbosity = (int)mg_args_int(args, "verbose");
    mg_log_level level = verbosity > 0 ? MG_LOG_DEBUG : MG_LOG_NOTE;
    mg_log_install(log_line, cli, mg_cli_quiet(cli) ? MG_LOG_WARNING : level);
    if (mg_args_given(args, "threads") && mg_args_int(args, "threads") < 1) {
        status = mg_fail(err, MG_ERR_USAGE, "--threads is %lld, expected 1 or more",
                         (long long)mg_args_int(args, "threads"));
        goto done;
    }
    MG_TRY_OR_DONE(read_dtype(cli, err));
    *cli_out = cli;
    cli = NULL; /* handed over */

done:
    mg_cli_destroy(cli);
    return status;
}

void mg_cli_collect_warnings(mg_cli *cli, mg_buf *lines_out)
{
    cli->warnings = lines_out;
}

void mg_cli_destroy(mg_cli *cli)
{
    if (cli == NULL) {
        return;
    }
    mg_log_install(NULL, NULL, MG_LOG_WARNING);
    mg_terminal_destroy(cli->terminal);
    mg_pool_destroy(cli->pool);
    mg_arena_release(&cli->arena);
    mg_free(cli);
}

mg_pool *mg_cli_pool(mg_cli *cli)
{
    if (cli->pool == NULL) {
        bool given = mg_args_given(cli->args, "threads");
        cli->pool =
            mg_pool_create(given ? (int)MG_MIN(mg_args_int(cli->args, "threads"), 1024) : 0);
    }
    return cli->pool;
}

const mg_hub *mg_cli_hub(mg_cli *cli)
{
    return &cli->hub;
}

/* "cuda" or "cuda:N" with N in *index_out. */
static bool parse_cuda(mg_str name, int *index_out)
{
    int64_t index = 0;
    *index_out = 0;
    if (mg_str_is(name, "cuda")) {
        return true;
    }
    mg_str digits = mg_str_slice(name, 5, name.size);
    if (!mg_str_starts(name, "cuda:") || !mg_str_to_int(digits, &index) || index < 0 ||
        index > 1000) {
        return false;
    }
    *index_out = (int)index;
    return true;
}

mg_status mg_cli_device(mg_cli *cli, const mg_device **device_out, mg_error *err)
{
    const char *name = mg_args_text(cli->args, "device");
    int index;
    *device_out = NULL;
    if (strcmp(name, "auto") == 0 && mg_cuda_count(NULL) > 0) {
        return mg_device_cuda(0, device_out, err);
    }
    if (strcmp(name, "auto") == 0 || strcmp(name, "cpu") == 0) {
        *device_out = mg_device_cpu(mg_isa_best());
        return MG_OK;
    }
    if (strcmp(name, "ref") == 0) {
        *device_out = mg_device_ref();
        return MG_OK;
    }
    if (parse_cuda(mg_str_of(name), &index)) {
        return mg_device_cuda(index, device_out, err);
    }
    return mg_fail(err, MG_ERR_USAGE, "--device is '%s', expected cpu, cuda, cuda:N or auto", name);
}

int mg_cli_card_count(const mg_cli *cli)
{
    const char *name = mg_args_text(cli->args, "device");
    bool all = strcmp(name, "cuda") == 0 || strcmp(name, "auto") == 0;
    return all ? mg_cuda_count(NULL) : 0;
}

mg_dtype mg_cli_dtype(const mg_cli *cli)
{
    return cli->dtype;
}

bool mg_cli_has_seed(const mg_cli *cli)
{
    return mg_args_given(cli->args, "seed");
}

uint64_t mg_cli_seed(const mg_cli *cli)
{
    return (uint64_t)mg_args_int(cli->args, "seed");
}

bool mg_cli_json(const mg_cli *cli)
{
    return mg_args_flag(cli->args, "json");
}

bool mg_cli_quiet(const mg_cli *cli)
{
    return mg_args_flag(cli->args, "quiet");
}

int mg_cli_verbosity(const mg_cli *cli)
{
    return (int)mg_args_int(cli->args, "verbose");
}

bool mg_cli_stdout_is_terminal(const mg_cli *cli)
{
    return cli->stdout_is_terminal;
}

void mg_cli_printf(mg_cli *cli, const char *format, ...)
{
    mg_terminal_clear(cli->terminal);
    va_list args;
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
}

void mg_cli_put_text(mg_cli *cli, mg_str text)
{
    mg_terminal_clear(cli->terminal);
    if (!cli->stdout_is_terminal) {
        (void)fwrite(text.data, 1, text.size, stdout);
        return;
    }
    mg_buf safe = { 0 };
    mg_terminal_escape(&safe, text);
    (void)fwrite(safe.data, 1, safe.size, stdout);
    mg_buf_release(&safe);
}

void mg_cli_flush(mg_cli *cli)
{
    (void)cli;
    (void)fflush(stdout);
}

void mg_cli_progress(mg_cli *cli, const char *what, int64_t done, int64_t total, const char *detail)
{
    mg_terminal_progress(cli->terminal, what, done, total, detail);
}

void mg_cli_progress_end(mg_cli *cli)
{
    mg_terminal_progress_end(cli->terminal);
}
