/* base/memory_free.c - how much memory the system and the limits on this process still leave. */
#include "base/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* The number behind a word at the start of a line of a file of the kernel's; false where there is
 * no such line.  format has one %llu. */
static bool read_line(const char *path, const char *format, unsigned long long *value_out)
{
    FILE *file = fopen(path, "r");
    char line[256];
    bool found = false;
    while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL) {
        found = sscanf(line, format, value_out) == 1; /* NOLINT: formats of this file */
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return found;
}

static size_t system_free(void)
{
    unsigned long long kib = 0;
    return read_line("/proc/meminfo", "MemAvailable: %llu kB", &kib) ? (size_t)kib * 1024
                                                                     : SIZE_MAX;
}

/* Of a limit on the address space (ulimit -v). */
static size_t address_space_free(void)
{
    struct rlimit limit;
    unsigned long long pages = 0;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        !read_line("/proc/self/statm", "%llu", &pages)) {
        return SIZE_MAX;
    }
    size_t used = (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
    return limit.rlim_cur > used ? (size_t)limit.rlim_cur - used : 0;
}

/* Of a container.  Pages of files count as used there, but give way. */
static size_t group_free(const char *limit_path, const char *used_path, const char *stat_path,
                         const char *file_format)
{
    unsigned long long limit = 0;
    unsigned long long used = 0;
    unsigned long long files = 0;
    if (!read_line(limit_path, "%llu", &limit) || !read_line(used_path, "%llu", &used)) {
        return SIZE_MAX;
    }
    (void)read_line(stat_path, file_format, &files);
    used = used > files ? used - files : 0;
    return limit > used ? (size_t)(limit - used) : 0;
}

static size_t pretended = SIZE_MAX; /* test hook */

void mg_memory_pretend_free(size_t bytes)
{
    pretended = bytes;
}

size_t mg_memory_free_bytes(void)
{
    size_t bytes = MG_MIN(pretended, system_free());
    bytes = MG_MIN(bytes, address_space_free());
    bytes = MG_MIN(bytes, group_free("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current",
                                     "/sys/fs/cgroup/memory.stat", "file %llu"));
    return MG_MIN(bytes, group_free("/sys/fs/cgroup/memory/memory.limit_in_bytes",
                                    "/sys/fs/cgroup/memory/memory.usage_in_bytes",
                                    "/sys/fs/cgroup/memory/memory.stat", "total_cache %llu"));
}
