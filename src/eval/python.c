/* eval/python.c - the parent's side of the python worker.
 *
 * Parent and worker speak JSON lines over a socket pair, which the worker has as descriptor 3.  A
 * request is written whole, then its replies are read; while they are awaited the time limit runs,
 * for each reply anew.  The worker is a process group of its own, so that a kill reaches what user
 * code has started, and it ends by itself when its end of the socket is closed. */
#include "eval/python.h"

#include "base/clock.h"
#include "base/memory.h"
#include "eval/python_internal.h"
#include "text/json.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMEOUT_DEFAULT_S 60.0
#define REPLY_BYTES_MAX ((size_t)4 << 30)
#define RESTARTS_MAX 3 /* in one mg_python_call_many */
#define TIMEOUTS_MAX 2 /* likewise: a function that hangs on every row must not hang for each */
#define LOOK_S 0.2     /* between two questions whether to stop */
#define START_MAX_S 60.0
#define CHILD_FD 3
#define HIGH_FD 10 /* above the descriptors that the child gets */

struct mg_python {
    char *command;
    double timeout_s;
    double start_s; /* the longest that the interpreter may take */
    char **roots;
    int64_t root_count;
    mg_python_stop *stop; /* NULL = never */
    void *stop_context;
    pthread_mutex_t lock; /* guards what follows */
    pid_t pid;            /* 0 = not running */
    int fd;
    int64_t next_id;
    mg_buf input; /* bytes read and not yet consumed */
    size_t input_at;
};

mg_str mg_function_place(const mg_function *function)
{
    return function->place.size > 0  ? function->place
           : function->file.size > 0 ? function->file
                                     : function->name;
}

mg_python *mg_python_create(const char *command, double timeout_s, const char *const *roots,
                            int64_t root_count)
{
    mg_python *python = mg_new(mg_python);
    python->command = mg_strdup(command != NULL ? command : "python3");
    python->timeout_s = timeout_s > 0 ? timeout_s : TIMEOUT_DEFAULT_S;
    python->start_s = START_MAX_S;
    python->roots = mg_new_array(char *, root_count + 1);
    for (int64_t i = 0; i < root_count; i++) {
        python->roots[i] = mg_strdup(roots[i]);
    }
    python->root_count = root_count;
    python->fd = -1;
    pthread_mutex_init(&python->lock, NULL);
    return python;
}

void mg_python_stop_when(mg_python *python, mg_python_stop *stop, void *context)
{
    python->stop = stop;
    python->stop_context = context;
}

void mg_python_start_within(mg_python *python, double seconds)
{
    python->start_s = seconds;
}

/* Ends the worker and gives its exit status, as waitpid tells it. */
static int stop(mg_python *python)
{
    int state = 0;
    if (python->fd >= 0) {
        close(python->fd);
        python->fd = -1;
    }
    if (python->pid > 0) {
        kill(-python->pid, SIGKILL);
        while (waitpid(python->pid, &state, 0) < 0 && errno == EINTR) {
        }
        python->pid = 0;
    }
    mg_buf_clear(&python->input);
    python->input_at = 0;
    return state;
}

void mg_python_destroy(mg_python *python)
{
    if (python == NULL) {
        return;
    }
    stop(python);
    pthread_mutex_destroy(&python->lock);
    for (int64_t i = 0; i < python->root_count; i++) {
        mg_free(python->roots[i]);
    }
    mg_free(python->roots);
    mg_free(python->command);
    mg_buf_release(&python->input);
    mg_free(python);
}

bool mg_python_started(const mg_python *python)
{
    return python->pid > 0;
}

/* The descriptor moved above those that the child is given. */
static int move_high(int fd)
{
    int high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
    close(fd);
    return high;
}

static int spawn(mg_python *python, int child_fd)
{
    extern char **environ;
    char source_flag[] = "-c";
    char number[] = "3";
    union {
        const char *text;
        char *given;
    } source = { .text = mg_worker_source }; /* argv lacks const */
    char **argv = mg_new_array(char *, python->root_count + 6);
    int argc = 0;
    argv[argc++] = python->command;
    argv[argc++] = source_flag;
    argv[argc++] = source.given;
    argv[argc++] = number;
    argv[argc++] = number;
    for (int64_t i = 0; i < python->root_count; i++) {
        argv[argc++] = python->roots[i];
    }
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, 2, 1);
    posix_spawn_file_actions_adddup2(&actions, child_fd, CHILD_FD);
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    int code = posix_spawnp(&python->pid, python->command, &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    mg_free(argv);
    return code;
}

static mg_status launch(mg_python *python, const mg_function *function, mg_error *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return mg_fail(err, MG_ERR_IO, "no socket for the python worker: %s", strerror(errno));
    }
    python->fd = move_high(pair[0]);
    int child = move_high(pair[1]);
    int code = python->fd < 0 || child < 0 ? EMFILE : spawn(python, child);
    if (child >= 0) {
        close(child);
    }
    if (code != 0) {
        python->pid = 0;
        stop(python);
        return mg_fail(err, code == ENOENT ? MG_ERR_NOT_FOUND : MG_ERR_IO,
                       "%.*s: function '%.*s' of %.*s needs Python: '%s' cannot be started: %s "
                       "(install python3, or name another with --python)",
                       MG_STR_ARG(function->where), MG_STR_ARG(function->name),
                       MG_STR_ARG(function->file), python->command, strerror(code));
    }
    return MG_OK;
}

static mg_status fail_late(mg_python *python, const mg_function *function, mg_error *err)
{
    stop(python);
    return mg_fail(err, MG_ERR_TIMEOUT, "%.*s: took longer than %g s and was stopped",
                   MG_STR_ARG(mg_function_place(function)), python->timeout_s);
}

/* Ends a worker whose end of the socket is closed, and says what became of it. */
static mg_status fail_worker(mg_python *python, const mg_function *function, mg_error *err)
{
    int state = stop(python);
    if (WIFSIGNALED(state) && WTERMSIG(state) != SIGKILL) {
        return mg_fail(err, MG_ERR_USER_CODE, "%.*s: crashed the python worker (signal %d)",
                       MG_STR_ARG(mg_function_place(function)), WTERMSIG(state));
    }
    return mg_fail(err, MG_ERR_USER_CODE, "%.*s: ended the python worker (exit status %d)",
                   MG_STR_ARG(mg_function_place(function)),
                   WIFEXITED(state) ? WEXITSTATUS(state) : -1);
}

/* Waits a while for events on the socket, but not beyond deadline; *ready_out is what poll gave. */
static mg_status wait_for(mg_python *python, const mg_function *function, short events,
                          double deadline, int *ready_out, mg_error *err)
{
    double left_s = deadline - mg_clock_now(NULL);
    struct pollfd wait = { .fd = python->fd, .events = events };
    int ready = left_s <= 0 ? 0 : poll(&wait, 1, (int)(MG_MIN(left_s, LOOK_S) * 1000) + 1);
    *ready_out = ready;
    if (ready <= 0 && python->stop != NULL && python->stop(python->stop_context)) {
        stop(python);
        return mg_fail(err, MG_ERR_INTERRUPTED, "stopped in a call of %.*s",
                       MG_STR_ARG(function->name));
    }
    return left_s <= 0 ? fail_late(python, function, err) : MG_OK;
}

/* The limit of time runs anew whenever the worker takes something. */
static mg_status send_all(mg_python *python, const mg_function *function, mg_str text,
                          mg_error *err)
{
    size_t sent = 0;
    double deadline = mg_clock_now(NULL) + python->timeout_s;
    while (sent < text.size) {
        int ready;
        MG_TRY(wait_for(python, function, POLLOUT, deadline, &ready, err));
        if (ready == 0) {
            continue;
        }
        ssize_t count = ready < 0 ? -1
                                  : send(python->fd, text.data + sent, text.size - sent,
                                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && errno != EINTR && errno != EAGAIN) {
            return fail_worker(python, function, err);
        }
        sent += count > 0 ? (size_t)count : 0;
        deadline = count > 0 ? mg_clock_now(NULL) + python->timeout_s : deadline;
    }
    return MG_OK;
}

/* A worker that has closed its end is about to end: lets it, so that its own status is seen. */
static void wait_briefly(const mg_python *python)
{
    for (int i = 0; i < 100; i++) {
        siginfo_t info = { 0 };
        if (waitid(P_PID, (id_t)python->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
            info.si_pid != 0) {
            return;
        }
        usleep(10000);
    }
}

/* The next reply line, without its newline; it is valid until the next call. */
static mg_status read_line(mg_python *python, const mg_function *function, double limit_s,
                           mg_str *line_out, mg_error *err)
{
    double deadline = mg_clock_now(NULL) + limit_s;
    size_t scanned = python->input_at;
    while (true) {
        const char *end = python->input.size == scanned ? NULL
                                                        : memchr(python->input.data + scanned, '\n',
                                                                 python->input.size - scanned);
        if (end != NULL) {
            const char *begin = python->input.data + python->input_at;
            *line_out = mg_str_make(begin, (size_t)(end - begin));
            python->input_at = (size_t)(end - python->input.data) + 1;
            return MG_OK;
        }
        if (python->input_at > 0) { /* what is consumed makes room */
            size_t left = python->input.size - python->input_at;
            memmove(python->input.data, python->input.data + python->input_at, left);
            python->input.size = left;
            python->input_at = 0;
        }
        scanned = python->input.size;
        int ready;
        MG_TRY(wait_for(python, function, POLLIN, deadline, &ready, err));
        if (ready == 0) {
            continue;
        }
        mg_buf_reserve(&python->input, (size_t)1 << 16);
        ssize_t count = ready < 0 ? -1
                                  : recv(python->fd, python->input.data + python->input.size,
                                         (size_t)1 << 16, MSG_DONTWAIT);
        if (count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN) ||
            python->input.size > REPLY_BYTES_MAX) {
            wait_briefly(python);
            return fail_worker(python, function, err);
        }
        python->input.size += count > 0 ? (size_t)count : 0;
    }
}

/* Starts the worker where there is none and waits for its first line, so that its own start does
 * not count as time of a call. */
static mg_status start(mg_python *python, const mg_function *function, mg_error *err)
{
    mg_str ready;
    if (python->pid > 0) {
        return MG_OK;
    }
    MG_TRY(launch(python, function, err));
    mg_status status = read_line(python, function, python->start_s, &ready, err);
    if (status == MG_ERR_TIMEOUT) {
        return mg_fail(err, MG_ERR_TIMEOUT, "%.*s: '%s' has not started within %g s",
                       MG_STR_ARG(mg_function_place(function)), python->command, python->start_s);
    }
    return status;
}

/* Appends "key": value for each entry, without braces. */
static void add_members(mg_buf *text, const mg_value *members)
{
    for (int64_t i = 0; members != NULL && i < members->count; i++) {
        mg_buf_add_text(text, ", ");
        mg_json_write_str(text, members->entries[i].key.string, false);
        mg_buf_add_text(text, ": ");
        mg_json_write(text, &members->entries[i].value, NULL);
    }
}

static void write_head(mg_buf *text, int64_t id, const char *operation, const mg_function *function)
{
    mg_buf_printf(text, "{\"id\": %" PRId64 ", \"op\": \"%s\", \"file\": ", id, operation);
    mg_json_write_str(text, function->file, false);
    mg_buf_add_text(text, ", \"name\": ");
    mg_json_write_str(text, function->name, false);
}

/* Parses a reply; *failure_out is its error text or NULL.  Replies that user code has forged or
 * damaged end the worker. */
static mg_status parse_reply(mg_python *python, const mg_function *function, mg_str line,
                             int64_t id, mg_arena *arena, mg_value *reply_out, mg_error *err)
{
    int64_t got = -1;
    if (mg_json_parse(line, "reply of the python worker", arena, reply_out, err) != MG_OK ||
        !mg_value_to_int(mg_value_get(reply_out, "id"), &got) || got != id) {
        stop(python);
        return mg_fail(err, MG_ERR_USER_CODE, "%.*s: the python worker answered nonsense",
                       MG_STR_ARG(mg_function_place(function)));
    }
    return MG_OK;
}

/* A failure of the function as a whole, behind the place that names it. */
static mg_status fail_function(const mg_function *function, const char *failure, mg_error *err)
{
    return mg_fail(err, MG_ERR_USER_CODE, "%.*s%s%s", MG_STR_ARG(function->where),
                   function->where.size > 0 ? ": " : "", failure);
}

static const char *failure_of(const mg_value *reply)
{
    const mg_value *error = mg_value_get(reply, "error");
    return error != NULL && error->kind == MG_STRING ? error->string.data : NULL;
}

mg_status mg_python_request(mg_python *python, const char *operation, const mg_function *function,
                            const mg_value *members, mg_arena *arena, mg_value *value_out,
                            mg_error *err)
{
    *value_out = mg_value_null;
    mg_status status = MG_OK;
    mg_buf text = { 0 };
    mg_str line;
    mg_value reply;
    pthread_mutex_lock(&python->lock);
    int64_t id = ++python->next_id;
    MG_TRY_OR_DONE(start(python, function, err));
    write_head(&text, id, operation, function);
    add_members(&text, members);
    mg_buf_add_text(&text, "}\n");
    MG_TRY_OR_DONE(send_all(python, function, mg_buf_view(&text), err));
    MG_TRY_OR_DONE(read_line(python, function, python->timeout_s, &line, err));
    MG_TRY_OR_DONE(parse_reply(python, function, line, id, arena, &reply, err));
    if (failure_of(&reply) != NULL) {
        status = fail_function(function, failure_of(&reply), err);
        goto done;
    }
    const mg_value *value = mg_value_get(&reply, "value");
    *value_out = value != NULL ? *value : mg_value_null;

done:
    pthread_mutex_unlock(&python->lock);
    mg_buf_release(&text);
    return status;
}

typedef struct call_state {
    mg_python *python;
    const char *operation;
    const mg_function *function;
    const mg_value *calls;
    const mg_value *keywords;
    mg_python_done *done;
    void *context;
    int64_t next; /* the call whose reply is awaited */
    bool stopped; /* done has refused to go on */
} call_state;

/* Sends the calls from state->next on and reports their replies. */
static mg_status run_calls(call_state *state, mg_error *err)
{
    mg_status status = MG_OK;
    mg_python *python = state->python;
    mg_buf text = { 0 };
    mg_arena arena = { 0 };
    int64_t first = state->next;
    int64_t id = ++python->next_id;
    MG_TRY_OR_DONE(start(python, state->function, err));
    write_head(&text, id, state->operation, state->function);
    if (state->keywords != NULL) {
        mg_buf_add_text(&text, ", \"keywords\": ");
        mg_json_write(&text, state->keywords, NULL);
    }
    mg_buf_add_text(&text, ", \"calls\": [");
    for (int64_t i = first; i < state->calls->count; i++) {
        mg_buf_add_text(&text, i > first ? ", " : "");
        mg_json_write(&text, &state->calls->items[i], NULL);
    }
    mg_buf_add_text(&text, "]}\n");
    MG_TRY_OR_DONE(send_all(python, state->function, mg_buf_view(&text), err));
    while (true) {
        mg_str line;
        mg_value reply;
        mg_arena_release(&arena);
        MG_TRY_OR_DONE(read_line(python, state->function, python->timeout_s, &line, err));
        MG_TRY_OR_DONE(parse_reply(python, state->function, line, id, &arena, &reply, err));
        const char *failure = failure_of(&reply);
        if (mg_value_get(&reply, "done") != NULL) {
            if (failure != NULL) {
                status = fail_function(state->function, failure, err);
            } else if (state->next != state->calls->count) {
                status = mg_fail(err, MG_ERR_USER_CODE, "%.*s: answers are missing",
                                 MG_STR_ARG(mg_function_place(state->function)));
            }
            goto done;
        }
        int64_t item = -1;
        if (!mg_value_to_int(mg_value_get(&reply, "item"), &item) || item != state->next - first ||
            state->next >= state->calls->count) {
            status = mg_fail(err, MG_ERR_USER_CODE, "%.*s: answers out of order",
                             MG_STR_ARG(mg_function_place(state->function)));
            stop(python);
            goto done;
        }
        const mg_value *value = mg_value_get(&reply, "value");
        const mg_value *given = failure != NULL ? NULL : value != NULL ? value : &mg_value_null;
        status = state->done(state->context, state->next++, given, failure, err);
        if (status != MG_OK) {
            state->stopped = true;
            stop(python); /* the answers still to come would confuse the next request */
            goto done;
        }
    }

done:
    mg_arena_release(&arena);
    mg_buf_release(&text);
    return status;
}

mg_status mg_python_call_many(mg_python *python, const char *operation, const mg_function *function,
                              const mg_value *calls, const mg_value *keywords, mg_python_done *done,
                              void *context, mg_error *err)
{
    mg_error failure;
    call_state state = { python, operation, function, calls, keywords, done, context, 0, false };
    mg_status status = MG_OK;
    int timeouts = 0;
    pthread_mutex_lock(&python->lock);
    for (int restarts = 0; state.next < calls->count; restarts++) {
        mg_error_clear(&failure);
        status = run_calls(&state, &failure);
        bool lost_worker = status == MG_ERR_USER_CODE || status == MG_ERR_TIMEOUT;
        lost_worker = lost_worker && python->pid == 0 && !state.stopped;
        timeouts += status == MG_ERR_TIMEOUT ? 1 : 0;
        if (!lost_worker || restarts == RESTARTS_MAX || timeouts == TIMEOUTS_MAX) {
            break;
        }
        /* That call alone fails; the rest goes to a new worker. */
        mg_error told = failure;
        status = done(context, state.next++, NULL, told.message, &failure);
        if (status != MG_OK) {
            break;
        }
    }
    pthread_mutex_unlock(&python->lock);
    if (status != MG_OK && err != NULL) {
        *err = failure;
    }
    return status;
}
