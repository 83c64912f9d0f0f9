/* base/staging.c - output folders that appear whole or not at all.
 *
 * The folder is filled as ".NAME.XXXXXX" beside its target.  Finishing syncs every file and renames
 * it to the target.  An existing target changes places with it in one step where the file system
 * can, and is else moved aside first; it is removed last, so that at no moment a half-written
 * folder bears the target's name. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"

struct mg_staging {
    char *target; /* without slashes at its end */
    char *folder; /* the target's parent */
    char *path;   /* the folder being filled; NULL once it has become the target */
    bool overwrite;
};

static bool folder_is_empty(const char *path)
{
    mg_arena arena = { 0 };
    mg_str *names;
    int64_t count = 0;
    bool empty = mg_folder_list(path, &arena, &names, &count, NULL) == MG_OK && count == 0;
    mg_arena_release(&arena);
    return empty;
}

/* The folder that target stands for, without slashes at its end: links lead to it, so that what a
 * link to a folder promises, another disk perhaps, is kept. */
static mg_status find_target(const char *target, mg_arena *arena, mg_str *target_out, mg_error *err)
{
    mg_str name = mg_path_name(arena, target);
    if (target[0] == '\0') {
        return mg_fail(err, MG_ERR_USAGE, "the output folder has an empty name");
    }
    if (mg_str_is(name, ".") || mg_str_is(name, "..")) {
        return mg_fail(err, MG_ERR_USAGE, "%s: is no name for a new folder", target);
    }
    *target_out = mg_path_join(arena, mg_path_folder(arena, target).data, name.data);
    if (!mg_path_is_link(target_out->data)) {
        return MG_OK;
    }
    if (!mg_path_exists(target_out->data)) {
        return mg_fail(err, MG_ERR_EXISTS, "%s: is a link to nothing, expected a folder to write",
                       target);
    }
    return mg_path_real(arena, target_out->data, target_out, err);
}

mg_status mg_staging_open(const char *target, bool overwrite, mg_staging **staging_out,
                          mg_error *err)
{
    *staging_out = NULL;
    if (mg_path_exists(target) && !overwrite) {
        if (!mg_path_is_folder(target)) {
            return mg_fail(err, MG_ERR_EXISTS, "%s: is a file, expected a folder to write", target);
        }
        if (!folder_is_empty(target)) {
            return mg_fail(err, MG_ERR_EXISTS,
                           "%s: is not empty; --overwrite replaces it with the new result", target);
        }
    }
    mg_status status = MG_OK;
    mg_arena arena = { 0 };
    mg_str found;
    char *pattern = NULL;
    mg_staging *staging = mg_new(mg_staging);
    MG_TRY_OR_DONE(find_target(target, &arena, &found, err));
    mg_str parent = mg_path_folder(&arena, found.data);
    mg_str name = mg_path_name(&arena, found.data);
    MG_TRY_OR_DONE(mg_folder_make(parent.data, err));
    pattern = mg_str_dup(mg_arena_printf(&arena, "%s/.%s.XXXXXX", parent.data, name.data));
    if (mkdtemp(pattern) == NULL) {
        status = mg_fail(err, MG_ERR_IO, "%s: cannot create a folder there: %s", parent.data,
                         strerror(errno));
        goto done;
    }
    staging->target = mg_str_dup(mg_path_join(&arena, parent.data, name.data));
    staging->folder = mg_str_dup(parent);
    staging->overwrite = overwrite;
    staging->path = pattern;
    pattern = NULL;
    *staging_out = staging;
    staging = NULL; /* handed over */

done:
    mg_staging_close(staging);
    mg_free(pattern);
    mg_arena_release(&arena);
    return status;
}

const char *mg_staging_path(const mg_staging *staging)
{
    return staging->path;
}

static mg_status sync_path(const char *path, mg_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return mg_fail(err, MG_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    }
    mg_status status = MG_OK;
    if (fsync(fd) != 0 && errno != EINVAL) {
        status = mg_fail(err, errno == ENOSPC ? MG_ERR_SPACE : MG_ERR_IO, "%s: cannot sync: %s",
                         path, strerror(errno));
    }
    (void)close(fd);
    return status;
}

/* Syncs the files directly inside the folder, then the folder itself. */
static mg_status sync_files(const char *path, mg_error *err)
{
    mg_arena arena = { 0 };
    mg_str *names;
    int64_t count;
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(mg_folder_list(path, &arena, &names, &count, err));
    for (int64_t i = 0; i < count; i++) {
        MG_TRY_OR_DONE(sync_path(mg_path_join(&arena, path, names[i].data).data, err));
    }
    MG_TRY_OR_DONE(sync_path(path, err));

done:
    mg_arena_release(&arena);
    return status;
}

mg_status mg_staging_finish(mg_staging *staging, mg_error *err)
{
    MG_ASSERT(staging->path != NULL);
    mg_status status = MG_OK;
    mg_arena arena = { 0 };
    mg_str aside = { NULL, 0 };
    mode_t mask = umask(0);
    (void)umask(mask);
    (void)chmod(staging->path, 0777 & ~mask);
    MG_TRY_OR_DONE(sync_files(staging->path, err));
    /* Both at once where the file system can: no moment without a target. */
    bool replaces = staging->overwrite && mg_path_exists(staging->target);
    if (replaces &&
        renameat2(AT_FDCWD, staging->path, AT_FDCWD, staging->target, RENAME_EXCHANGE) == 0) {
        aside = mg_arena_copy(&arena, mg_str_of(staging->path));
        goto replaced;
    }
    if (replaces) {
        aside = mg_arena_printf(&arena, "%s.old", staging->path);
        if (rename(staging->target, aside.data) != 0) {
            status =
                mg_fail(err, MG_ERR_IO, "%s: cannot replace: %s", staging->target, strerror(errno));
            goto done;
        }
    }
    if (rename(staging->path, staging->target) != 0) {
        int error = errno;
        if (aside.data != NULL) {
            (void)rename(aside.data, staging->target);
        }
        bool taken = error == ENOTEMPTY || error == EEXIST;
        status = taken ? mg_fail(err, MG_ERR_EXISTS, "%s: was filled by another in the meantime",
                                 staging->target)
                       : mg_fail(err, MG_ERR_IO, "%s: cannot write: %s", staging->target,
                                 strerror(error));
        goto done;
    }
replaced:
    mg_free(staging->path);
    staging->path = NULL;
    status = sync_path(staging->folder, err);
    mg_error removal;
    if (aside.data != NULL && mg_folder_remove(aside.data, &removal) != MG_OK) {
        mg_warn("%s: the replaced folder could not be removed", aside.data);
    }

done:
    mg_arena_release(&arena);
    return status;
}

void mg_staging_close(mg_staging *staging)
{
    if (staging == NULL) {
        return;
    }
    if (staging->path != NULL) {
        mg_error err;
        if (mg_folder_remove(staging->path, &err) != MG_OK) {
            mg_warn("%s", err.message);
        }
    }
    mg_free(staging->path);
    mg_free(staging->target);
    mg_free(staging->folder);
    mg_free(staging);
}
