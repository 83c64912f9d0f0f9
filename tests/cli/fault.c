/* tests/cli/fault.c - a library to preload that lets one step of writing fail.
 *
 * Steps are calls that change files: making, opening for writing, writing, syncing, renaming.
 * MG_FAULT_STEP is the number of the one that fails (1 = the first), MG_FAULT_ERROR its errno, or 0
 * for a kill -9 in its place.  At the fault a line is written to MG_FAULT_FILE, so that a test can
 * tell the last step from one behind it. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_int step_count;

/* Counts a step; true when it is the one that fails, with errno set. */
static bool fails(void)
{
    const char *wanted = getenv("MG_FAULT_STEP");
    const char *error = getenv("MG_FAULT_ERROR");
    const char *file = getenv("MG_FAULT_FILE");
    if (wanted == NULL || error == NULL || file == NULL ||
        atomic_fetch_add(&step_count, 1) + 1 != atoi(wanted)) {
        return false;
    }
    int (*real_open)(const char *, int, ...) = NULL;
    *(void **)&real_open = dlsym(RTLD_NEXT, "open");
    (void)close(real_open(file, O_WRONLY | O_CREAT, 0666));
    if (atoi(error) == 0) {
        (void)kill(getpid(), SIGKILL);
    }
    errno = atoi(error);
    return true;
}

/* name(parameters), which calls the real one with arguments unless this step fails. */
#define STEP(type, name, failure, parameters, arguments, counts)                                   \
    type name parameters                                                                           \
    {                                                                                              \
        type(*real) parameters = NULL;                                                             \
        *(void **)&real = dlsym(RTLD_NEXT, #name);                                                 \
        return (counts) && fails() ? (failure) : real arguments;                                   \
    }

STEP(ssize_t, write, -1, (int fd, const void *data, size_t size), (fd, data, size), fd > 2)
STEP(ssize_t, pwrite, -1, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at),
     true)
STEP(int, fsync, -1, (int fd), (fd), true)
STEP(int, fallocate, -1, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size), true)
STEP(int, rename, -1, (const char *from, const char *to), (from, to), true)
STEP(int, renameat2, -1, (int from_at, const char *from, int to_at, const char *to, unsigned flags),
     (from_at, from, to_at, to, flags), true)
STEP(int, mkdir, -1, (const char *path, mode_t mode), (path, mode), true)
STEP(char *, mkdtemp, NULL, (char *pattern), (pattern), true)
STEP(int, mkostemp, -1, (char *pattern, int flags), (pattern, flags), true)
STEP(int, fchmod, -1, (int fd, mode_t mode), (fd, mode), true)

int open(const char *path, int flags, ...)
{
    int (*real)(const char *, int, ...) = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "open");
    mode_t mode = 0;
    if ((flags & O_CREAT) != 0) {
        va_list arguments;
        va_start(arguments, flags);
        mode = (mode_t)va_arg(arguments, unsigned);
        va_end(arguments);
    }
    bool writes = (flags & (O_WRONLY | O_RDWR)) != 0;
    return writes && fails() ? -1 : real(path, flags, mode);
}
