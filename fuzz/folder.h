/* fuzz/folder.h - a folder of its own for targets whose parser takes a folder: made at the first
 * input, removed at the end. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"

static char fuzz_folder[64];

static inline void fuzz_folder_remove(void)
{
    mg_error err;
    (void)!mg_folder_remove(fuzz_folder, &err);
}

/* True at the first call: the caller then writes the files that stay. */
static inline bool fuzz_folder_begin(void)
{
    if (fuzz_folder[0] != '\0') {
        return false;
    }
    (void)snprintf(fuzz_folder, sizeof(fuzz_folder), "/tmp/merganser-fuzz-XXXXXX");
    if (mkdtemp(fuzz_folder) == NULL) {
        perror(fuzz_folder);
        exit(1);
    }
    (void)atexit(fuzz_folder_remove);
    return true;
}

static inline void fuzz_folder_write(const char *name, const void *data, size_t size)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", fuzz_folder, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}
