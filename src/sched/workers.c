/* sched/workers.c - see workers.h. */
#include "sched/workers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "sched/frame_internal.h"
#include "sched/message.h"
#include "sched/worker.h"

#define POLL_MS 100
#define END_WAIT_MS 5000 /* for a process whose socket was closed */
#define EARLY_ENDS_MAX 3 /* processes that end one after the other before they are ready */
#define HIGH_FD 10       /* above the descriptors that a child gets */

typedef struct worker {
    pid_t pid; /* 0 = not running */
    int fd;
    bool ready;
    int64_t task; /* -1 = idle */
    mg_buf received;
} worker;

struct mg_workers {
    mg_workers_options options;
    worker *workers;
    int early_ends;
};

typedef enum task_state { TASK_WAITING, TASK_RUNNING, TASK_ANSWERED, TASK_FAILED } task_state;

typedef struct task {
    task_state state;
    int ends; /* processes that ended over it */
    mg_buf answer;
    mg_error why;
} task;

/* One mg_workers_run. */
typedef struct run {
    mg_workers *pool;
    const mg_workers_calls *calls;
    task *tasks;
    int64_t count;
    int64_t first_waiting; /* no task before it waits */
    int64_t delivered;
    bool stopping;
} run;

mg_workers *mg_workers_create(const mg_workers_options *options)
{
    mg_workers *workers = mg_new(mg_workers);
    MG_ASSERT(options->worker_count > 0 && options->tries > 0);
    workers->options = *options;
    workers->workers = mg_new_array(worker, options->worker_count);
    for (int i = 0; i < options->worker_count; i++) {
        workers->workers[i].fd = -1;
        workers->workers[i].task = -1;
    }
    return workers;
}

/* Closes the socket and takes the process's exit state, waiting at most wait_ms before a kill. */
static int end_worker(worker *w, int wait_ms)
{
    int state = 0;
    pid_t got = 0;
    if (w->fd >= 0) {
        close(w->fd);
        w->fd = -1;
    }
    for (int waited = 0; w->pid > 0 && got == 0 && waited <= wait_ms; waited += 10) {
        got = waitpid(w->pid, &state, WNOHANG);
        if (got == 0 && wait_ms > 0) {
            usleep(10000);
        }
    }
    if (w->pid > 0 && got == 0) {
        kill(w->pid, SIGKILL);
        while (waitpid(w->pid, &state, 0) < 0 && errno == EINTR) {
        }
    }
    w->pid = 0;
    w->ready = false;
    mg_buf_clear(&w->received);
    return state;
}

void mg_workers_destroy(mg_workers *workers)
{
    if (workers == NULL) {
        return;
    }
    for (int i = 0; i < workers->options.worker_count; i++) {
        worker *w = &workers->workers[i];
        if (w->fd >= 0) { /* all hear of the end before the first is waited for */
            (void)shutdown(w->fd, SHUT_RDWR);
        }
    }
    for (int i = 0; i < workers->options.worker_count; i++) {
        (void)end_worker(&workers->workers[i], END_WAIT_MS);
        mg_buf_release(&workers->workers[i].received);
    }
    mg_free(workers->workers);
    mg_free(workers);
}

/* The descriptor moved above those that the child is given. */
static int move_high(int fd)
{
    int high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
    close(fd);
    return high;
}

static int spawn(worker *w, const char *const *command, int child_fd)
{
    extern char **environ;
    union {
        const char *const *text;
        char *const *given;
    } argv = { .text = command }; /* posix_spawn lacks const */
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, 2, 1);
    posix_spawn_file_actions_adddup2(&actions, child_fd, MG_WORKER_FD);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    /* A process group of its own: what the terminal sends goes to the parent, which tells it. */
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    int code = posix_spawn(&w->pid, command[0], &actions, &attributes, argv.given, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

static mg_status start_worker(mg_workers *pool, int index, mg_error *err)
{
    worker *w = &pool->workers[index];
    const char *const *command = pool->options.commands[index];
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return mg_fail(err, MG_ERR_IO, "no socket for a worker process: %s", strerror(errno));
    }
    w->fd = move_high(pair[0]);
    int child = move_high(pair[1]);
    int code = w->fd < 0 || child < 0 ? EMFILE : spawn(w, command, child);
    if (child >= 0) {
        close(child);
    }
    if (code != 0) {
        w->pid = 0;
        (void)end_worker(w, 0);
        return mg_fail(err, MG_ERR_IO, "worker process %s cannot be started: %s", command[0],
                       strerror(code));
    }
    return MG_OK;
}

/* "exit status 3", "signal 9" */
static void describe_end(int state, char *text, size_t bytes)
{
    if (WIFSIGNALED(state)) {
        snprintf(text, bytes, "signal %d", WTERMSIG(state));
    } else {
        snprintf(text, bytes, "exit status %d", WEXITSTATUS(state));
    }
}

/* A process that is gone: its task waits again, or fails. */
static mg_status lose_worker(run *r, worker *w, mg_error *err)
{
    char end[32];
    bool was_ready = w->ready;
    int64_t index = w->task;
    describe_end(end_worker(w, 1000), end, sizeof(end));
    w->task = -1;
    if (index >= 0) {
        task *t = &r->tasks[index];
        t->ends += was_ready ? 1 : 0;
        t->state = TASK_WAITING;
        r->first_waiting = MG_MIN(r->first_waiting, index);
        if (t->ends >= r->pool->options.tries) {
            t->state = TASK_FAILED;
            (void)mg_fail(&t->why, MG_ERR_DEVICE,
                          "its worker process ended %d times, the last time with %s", t->ends, end);
        }
    }
    r->pool->early_ends = was_ready ? 0 : r->pool->early_ends + 1;
    if (r->pool->early_ends >= EARLY_ENDS_MAX) {
        return mg_fail(err, MG_ERR_DEVICE, "worker processes end before they are ready, with %s",
                       end);
    }
    return MG_OK;
}

/* Gives an idle worker the first task that waits. */
static mg_status assign(run *r, int index, mg_error *err)
{
    worker *w = &r->pool->workers[index];
    while (r->first_waiting < r->count && r->tasks[r->first_waiting].state != TASK_WAITING) {
        r->first_waiting++;
    }
    if (w->task >= 0 || r->first_waiting == r->count) {
        return MG_OK;
    }
    if (w->pid == 0) {
        MG_TRY(start_worker(r->pool, index, err));
    }
    w->task = r->first_waiting++;
    r->tasks[w->task].state = TASK_RUNNING;
    mg_buf request = { 0 };
    r->calls->request(r->calls->context, w->task, &request);
    mg_status status = mg_frame_send(w->fd, mg_buf_view(&request), NULL);
    mg_buf_release(&request);
    return status == MG_OK ? MG_OK : lose_worker(r, w, err);
}

static mg_status take_frame(run *r, worker *w, mg_str frame, mg_error *err)
{
    mg_message_reader reader = { frame, false };
    int64_t kind = mg_message_take_int(&reader);
    if (!reader.bad && kind == MG_FRAME_READY) {
        w->ready = true;
        r->pool->early_ends = 0;
        return MG_OK;
    }
    if (!reader.bad && kind == MG_FRAME_REFUSED) {
        int64_t status = mg_message_take_int(&reader);
        mg_str message = mg_message_take_text(&reader);
        bool known = !reader.bad && status > MG_OK && status <= MG_ERR_INTERNAL;
        return mg_fail(err, known ? (mg_status)status : MG_ERR_INTERNAL, "%.*s",
                       MG_STR_ARG(message));
    }
    if (reader.bad || kind != MG_FRAME_ANSWER || w->task < 0) {
        return mg_fail(err, MG_ERR_FORMAT, "a worker process answered nonsense");
    }
    task *t = &r->tasks[w->task];
    mg_buf_add(&t->answer, reader.rest);
    t->state = TASK_ANSWERED;
    w->task = -1;
    return MG_OK;
}

static mg_status hear_worker(run *r, worker *w, mg_error *err)
{
    size_t count = 0;
    size_t at = 0;
    bool found = true;
    mg_str frame;
    mg_frame_receive(w->fd, &w->received, &count);
    while (found) {
        MG_TRY(mg_frame_take(mg_buf_view(&w->received), &at, &found, &frame, err));
        if (found) {
            MG_TRY(take_frame(r, w, frame, err));
        }
    }
    memmove(w->received.data, w->received.data + at, w->received.size - at);
    w->received.size -= at;
    return count > 0 ? MG_OK : lose_worker(r, w, err);
}

/* Waits for a while until a worker has said something, and hears them all. */
static mg_status hear_workers(run *r, mg_error *err)
{
    int count = r->pool->options.worker_count;
    mg_status status = MG_OK;
    struct pollfd *polls = mg_new_array(struct pollfd, count);
    for (int i = 0; i < count; i++) {
        polls[i].fd = r->pool->workers[i].fd; /* negative ones are passed over */
        polls[i].events = POLLIN;
    }
    if (poll(polls, (nfds_t)count, POLL_MS) > 0) {
        for (int i = 0; i < count && status == MG_OK; i++) {
            if (polls[i].revents != 0) {
                status = hear_worker(r, &r->pool->workers[i], err);
            }
        }
    }
    mg_free(polls);
    return status;
}

/* Hands out what is known, in order. */
static void deliver(run *r)
{
    const mg_workers_calls *calls = r->calls;
    while (r->delivered < r->count && r->tasks[r->delivered].state >= TASK_ANSWERED) {
        task *t = &r->tasks[r->delivered];
        if (t->state == TASK_ANSWERED) {
            calls->answer(calls->context, r->delivered, mg_buf_view(&t->answer));
        } else {
            calls->failed(calls->context, r->delivered, &t->why);
        }
        mg_buf_release(&t->answer);
        r->delivered++;
    }
}

/* Once stop says true nothing is begun any more, and what runs is asked to end. */
static void look_for_stop(run *r)
{
    if (r->calls->stop == NULL || !r->calls->stop(r->calls->context)) {
        return;
    }
    for (int i = 0; i < r->pool->options.worker_count && !r->stopping; i++) {
        const worker *w = &r->pool->workers[i];
        if (w->pid > 0 && w->task >= 0) {
            kill(w->pid, SIGTERM);
        }
    }
    r->stopping = true;
    for (int64_t i = r->first_waiting; i < r->count; i++) {
        if (r->tasks[i].state == TASK_WAITING) {
            r->tasks[i].state = TASK_FAILED;
            (void)mg_fail(&r->tasks[i].why, MG_ERR_INTERRUPTED, "stopped before it began");
        }
    }
}

/* After a failure: no answer may come to tasks of a later run. */
static void drop_busy(mg_workers *pool)
{
    for (int i = 0; i < pool->options.worker_count; i++) {
        if (pool->workers[i].task >= 0) {
            (void)end_worker(&pool->workers[i], 0);
            pool->workers[i].task = -1;
        }
    }
}

mg_status mg_workers_run(mg_workers *workers, int64_t count, const mg_workers_calls *calls,
                         mg_error *err)
{
    mg_status status = MG_OK;
    run r = { .pool = workers, .calls = calls, .count = count };
    r.tasks = mg_new_array(task, MG_MAX(count, 1));
    while (r.delivered < count) {
        look_for_stop(&r);
        for (int i = 0; i < workers->options.worker_count && !r.stopping; i++) {
            MG_TRY_OR_DONE(assign(&r, i, err));
        }
        deliver(&r);
        if (r.delivered < count) {
            MG_TRY_OR_DONE(hear_workers(&r, err));
        }
    }

done:
    drop_busy(workers);
    for (int64_t i = 0; i < count; i++) {
        mg_buf_release(&r.tasks[i].answer);
    }
    mg_free(r.tasks);
    return status;
}
