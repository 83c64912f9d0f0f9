/* base/fs.c - files, folders and paths. */
#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LINKS_MAX 40 /* that lead to one another, as in the kernel */

/* The status that fits errno, for a path the user named. */
static mg_status status_of_errno(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return MG_ERR_NOT_FOUND;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return MG_ERR_SPACE;
    case ENOMEM:
        return MG_ERR_MEMORY;
    default:
        return MG_ERR_IO;
    }
}

static mg_status fail_errno(mg_error *err, const char *path, const char *what)
{
    int error = errno;
    return mg_fail(err, status_of_errno(error), "%s: %s: %s", path, what, strerror(error));
}

/* Opens a regular file for reading and gives its size. */
static mg_status open_regular(const char *path, int *fd_out, size_t *size_out, mg_error *err)
{
    *fd_out = -1;
    *size_out = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return fail_errno(err, path, "cannot open");
    }
    struct stat info;
    if (fstat(fd, &info) != 0) {
        mg_status status = fail_errno(err, path, "cannot read");
        (void)close(fd);
        return status;
    }
    if (!S_ISREG(info.st_mode)) {
        (void)close(fd);
        return mg_fail(err, MG_ERR_IO, "%s: %s, expected a file", path,
                       S_ISDIR(info.st_mode) ? "is a folder" : "is not a regular file");
    }
    *fd_out = fd;
    *size_out = (size_t)info.st_size;
    return MG_OK;
}

static mg_status read_exactly(int fd, const char *path, unsigned char *data, size_t size,
                              mg_error *err)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = read(fd, data + done, size - done);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail_errno(err, path, "cannot read");
        }
        if (got == 0) {
            return mg_fail(err, MG_ERR_IO, "%s: ends after %zu of %zu bytes", path, done, size);
        }
        done += (size_t)got;
    }
    return MG_OK;
}

mg_status mg_file_read(const char *path, size_t bytes_max, mg_bytes *bytes_out, mg_error *err)
{
    bytes_out->data = NULL;
    bytes_out->size = 0;
    int fd;
    size_t size;
    MG_TRY(open_regular(path, &fd, &size, err));
    mg_status status = MG_OK;
    unsigned char *data = NULL;
    if (size > bytes_max) {
        status =
            mg_fail(err, MG_ERR_LIMIT, "%s: %zu bytes, the limit is %zu", path, size, bytes_max);
        goto done;
    }
    data = malloc(size + 1);
    if (data == NULL) {
        status = mg_fail(err, MG_ERR_MEMORY, "%s: no memory for %zu bytes", path, size);
        goto done;
    }
    MG_TRY_OR_DONE(read_exactly(fd, path, data, size, err));
    data[size] = '\0';
    bytes_out->data = data;
    bytes_out->size = size;
    data = NULL; /* handed over */

done:
    free(data);
    (void)close(fd);
    return status;
}

static mg_status write_all(int fd, const char *path, mg_str text, mg_error *err)
{
    size_t done = 0;
    while (done < text.size) {
        ssize_t put = write(fd, text.data + done, text.size - done);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return fail_errno(err, path, "cannot write");
        }
        done += (size_t)put;
    }
    return MG_OK;
}

/* Makes a rename in folder durable; a file system that cannot is not an error. */
static void sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

mg_status mg_file_target(mg_arena *arena, const char *path, const char **target_out, mg_error *err)
{
    char link[PATH_MAX];
    const char *at = path;
    *target_out = NULL;
    for (int steps = 0; steps < LINKS_MAX; steps++) {
        ssize_t size = readlink(at, link, sizeof(link));
        if (size < 0) { /* no link, or nothing yet */
            *target_out = mg_arena_copy(arena, mg_str_of(at)).data;
            return MG_OK;
        }
        const char *name = mg_arena_copy(arena, mg_str_make(link, (size_t)size)).data;
        at = mg_path_join(arena, mg_path_folder(arena, at).data, name).data;
    }
    return mg_fail(err, MG_ERR_IO, "%s: a symbolic link that leads nowhere", path);
}

static mg_status write_by_rename(const char *path, mg_str text, mg_error *err)
{
    struct stat old;
    if (lstat(path, &old) == 0 && !S_ISREG(old.st_mode)) {
        return mg_fail(err, MG_ERR_IO, "%s: is no plain file, and would be replaced", path);
    }
    mg_arena arena = { 0 };
    mg_status status = MG_OK;
    mg_str temporary = mg_arena_printf(&arena, "%s.XXXXXX", path);
    char *name = mg_str_dup(temporary);
    int fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0) {
        status = fail_errno(err, path, "cannot create");
        name[0] = '\0';
        goto done;
    }
    MG_TRY_OR_DONE(write_all(fd, path, text, err));
    mode_t mask = umask(0);
    (void)umask(mask);
    (void)fchmod(fd, 0666 & ~mask);
    if (fsync(fd) != 0 || rename(name, path) != 0) {
        status = fail_errno(err, path, "cannot write");
        goto done;
    }
    name[0] = '\0'; /* is the target now */
    sync_folder(mg_path_folder(&arena, path).data);

done:
    if (fd >= 0) {
        (void)close(fd);
    }
    if (name[0] != '\0') {
        (void)unlink(name);
    }
    mg_free(name);
    mg_arena_release(&arena);
    return status;
}

mg_status mg_file_write_atomic(const char *path, mg_str text, mg_error *err)
{
    mg_arena arena = { 0 };
    const char *target;
    mg_status status = mg_file_target(&arena, path, &target, err);
    if (status == MG_OK) {
        status = write_by_rename(target, text, err);
    }
    mg_arena_release(&arena);
    return status;
}

mg_status mg_file_copy(const char *from, const char *to, mg_error *err)
{
    int in;
    size_t size;
    MG_TRY(open_regular(from, &in, &size, err));
    mg_status status = MG_OK;
    char block[1 << 16];
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out < 0) {
        status = fail_errno(err, to, "cannot create");
        goto done;
    }
    while (size > 0) {
        size_t part = MG_MIN(size, sizeof(block));
        MG_TRY_OR_DONE(read_exactly(in, from, (unsigned char *)block, part, err));
        MG_TRY_OR_DONE(write_all(out, to, mg_str_make(block, part), err));
        size -= part;
    }
    if (fsync(out) != 0) {
        status = fail_errno(err, to, "cannot write");
    }

done:
    if (out >= 0) {
        (void)close(out);
    }
    (void)close(in);
    return status;
}

bool mg_path_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool mg_path_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool mg_path_is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

bool mg_path_is_link(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISLNK(info.st_mode);
}

mg_str mg_path_join(mg_arena *arena, const char *folder, const char *name)
{
    if (name[0] == '/' || folder[0] == '\0') {
        return mg_arena_copy(arena, mg_str_of(name));
    }
    const char *slash = mg_str_ends(mg_str_of(folder), "/") ? "" : "/";
    return mg_arena_printf(arena, "%s%s%s", folder, slash, name);
}

/* path without slashes at its end; "/" stays. */
static mg_str without_slashes(const char *path)
{
    mg_str s = mg_str_of(path);
    while (s.size > 1 && s.data[s.size - 1] == '/') {
        s.size--;
    }
    return s;
}

mg_str mg_path_folder(mg_arena *arena, const char *path)
{
    mg_str s = without_slashes(path);
    size_t end = s.size;
    while (end > 0 && s.data[end - 1] != '/') {
        end--;
    }
    if (end == 0) {
        return mg_arena_copy(arena, mg_str_of("."));
    }
    return mg_arena_copy(arena, mg_str_slice(s, 0, MG_MAX(end - 1, (size_t)1)));
}

mg_str mg_path_name(mg_arena *arena, const char *path)
{
    mg_str s = without_slashes(path);
    size_t begin = s.size;
    while (begin > 0 && s.data[begin - 1] != '/') {
        begin--;
    }
    return mg_arena_copy(arena, mg_str_slice(s, begin, s.size));
}

mg_status mg_path_real(mg_arena *arena, const char *path, mg_str *path_out, mg_error *err)
{
    char *real = realpath(path, NULL);
    if (real == NULL) {
        return fail_errno(err, path, "cannot find");
    }
    *path_out = mg_arena_copy(arena, mg_str_of(real));
    free(real);
    return MG_OK;
}

mg_status mg_folder_make(const char *path, mg_error *err)
{
    if (mg_path_is_folder(path)) {
        return MG_OK;
    }
    char *part = mg_strdup(path);
    mg_status status = MG_OK;
    for (char *c = part + 1; status == MG_OK; c++) {
        char kept = *c;
        if (kept != '/' && kept != '\0') {
            continue;
        }
        *c = '\0';
        if (mkdir(part, 0777) != 0 && errno != EEXIST) {
            status = fail_errno(err, path, "cannot create the folder");
        }
        *c = kept;
        if (kept == '\0') {
            break;
        }
    }
    if (status == MG_OK && !mg_path_is_folder(path)) {
        status = mg_fail(err, MG_ERR_IO, "%s: is a file, expected a folder", path);
    }
    mg_free(part);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return mg_str_compare(*(const mg_str *)a, *(const mg_str *)b);
}

mg_status mg_folder_list(const char *path, mg_arena *arena, mg_str **names_out, int64_t *count_out,
                         mg_error *err)
{
    *names_out = NULL;
    *count_out = 0;
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return fail_errno(err, path, "cannot list");
    }
    int64_t count = 0;
    int64_t cap = 0;
    mg_str *names = NULL;
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (count == cap) {
            cap = MG_MAX(cap * 2, (int64_t)32);
            names = mg_memory_resize(names, cap, sizeof(mg_str));
        }
        names[count++] = mg_arena_copy(arena, mg_str_of(entry->d_name));
    }
    (void)closedir(folder);
    if (count > 0) {
        qsort(names, (size_t)count, sizeof(mg_str), compare_names);
        *names_out = mg_arena_array(arena, mg_str, count);
        memcpy(*names_out, names, (size_t)count * sizeof(mg_str));
    }
    mg_free(names);
    *count_out = count;
    return MG_OK;
}

/* Empties and removes the folder called name inside the folder parent_fd. */
static mg_status remove_below(int parent_fd, const char *name, const char *shown, mg_error *err)
{
    if (unlinkat(parent_fd, name, 0) == 0 || errno == ENOENT) {
        return MG_OK; /* was a file or a link */
    }
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno(err, shown, "cannot remove");
    }
    DIR *folder = fdopendir(fd);
    if (folder == NULL) {
        mg_status failed = fail_errno(err, shown, "cannot remove");
        (void)close(fd);
        return failed;
    }
    mg_status status = MG_OK;
    struct dirent *entry;
    while (status == MG_OK && (entry = readdir(folder)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            status = remove_below(fd, entry->d_name, shown, err);
        }
    }
    (void)closedir(folder);
    if (status == MG_OK && unlinkat(parent_fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT) {
        status = fail_errno(err, shown, "cannot remove");
    }
    return status;
}

mg_status mg_folder_remove(const char *path, mg_error *err)
{
    return remove_below(AT_FDCWD, path, path, err);
}

mg_status mg_fs_free_bytes(const char *path, size_t *bytes_out, mg_error *err)
{
    *bytes_out = 0;
    mg_arena arena = { 0 };
    const char *place = path;
    while (!mg_path_exists(place) && strcmp(place, ".") != 0 && strcmp(place, "/") != 0) {
        place = mg_path_folder(&arena, place).data;
    }
    struct statvfs info;
    mg_status status = MG_OK;
    if (statvfs(place, &info) != 0) {
        status = fail_errno(err, path, "cannot ask for the free space");
    } else {
        *bytes_out = (size_t)info.f_bavail * (size_t)info.f_frsize;
    }
    mg_arena_release(&arena);
    return status;
}

mg_status mg_mapping_open(const char *path, mg_mapping *mapping_out, mg_error *err)
{
    mapping_out->data = NULL;
    mapping_out->size = 0;
    int fd;
    size_t size;
    MG_TRY(open_regular(path, &fd, &size, err));
    mg_status status = MG_OK;
    if (size > 0) {
        void *data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        if (data == MAP_FAILED) {
            status = fail_errno(err, path, "cannot map");
        } else {
            mapping_out->data = data;
            mapping_out->size = size;
        }
    }
    (void)close(fd);
    return status;
}

void mg_mapping_close(mg_mapping *mapping)
{
    if (mapping != NULL && mapping->data != NULL) {
        void *data = NULL;
        memcpy(&data, &mapping->data, sizeof(data)); /* drops const, which munmap does not know */
        (void)munmap(data, mapping->size);
        mapping->data = NULL;
        mapping->size = 0;
    }
}
