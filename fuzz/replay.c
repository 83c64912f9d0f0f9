/* fuzz/replay.c - runs a fuzz target once over every file of a corpus folder, as a test. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return 0;
    }
    size_t cap = (size_t)4 << 20;
    uint8_t *data = malloc(cap);
    size_t size = data == NULL ? 0 : fread(data, 1, cap, file);
    fclose(file);
    /* An exact-size copy, so that the sanitizers see reads behind the end. */
    uint8_t *exact = malloc(size + 1);
    for (size_t i = 0; exact != NULL && i < size; i++) {
        exact[i] = data[i];
    }
    free(data);
    exact = exact == NULL ? NULL : realloc(exact, size > 0 ? size : 1);
    if (exact != NULL) {
        (void)LLVMFuzzerTestOneInput(exact, size);
    }
    free(exact);
    return 1;
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        if (folder == NULL) {
            fprintf(stderr, "%s: no corpus there\n", argv[i]);
            return 1;
        }
        struct dirent *entry;
        while ((entry = readdir(folder)) != NULL) {
            char path[4096];
            struct stat info;
            snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
            if (stat(path, &info) == 0 && S_ISREG(info.st_mode)) {
                count += replay_file(path);
            }
        }
        closedir(folder);
    }
    printf("%d inputs replayed\n", count);
    return count > 0 ? 0 : 1;
}
