/* fuzz/fuzz_task.c - task files: keys, templates, metrics, filters, and prompts over two rows.
 *
 * The input is a task file; its data is given beside it.  Functions of the user are never run: the
 * python that is named does not exist. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "eval/task.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mg_error err;
    mg_task *task = NULL;
    char folder[] = "/tmp/mg-fuzz-task-XXXXXX";
    char path[64];
    char rows[64];
    if (mkdtemp(folder) == NULL) {
        return 0;
    }
    snprintf(path, sizeof(path), "%s/task.yaml", folder);
    snprintf(rows, sizeof(rows), "%s/rows.jsonl", folder);
    mg_str text = mg_str_make((const char *)data, size);
    mg_str row =
        mg_str_of("{\"question\": \"q\", \"answer\": \"1\", \"label\": 0, \"choices\": [\"a\", "
                  "\"b\"]}\n{\"question\": \"r\", \"answer\": \"2\", \"label\": 1, "
                  "\"choices\": [\"c\", \"d\"]}\n");
    mg_task_options options = { .num_fewshot = -1,
                                .working_folder = folder,
                                .python = "/nonexistent/python" };
    if (mg_file_write_atomic(path, text, &err) == MG_OK &&
        mg_file_write_atomic(rows, row, &err) == MG_OK &&
        mg_task_open(path, &options, &task, &err) == MG_OK) {
        char hash[64];
        mg_task_hash(task, hash);
        mg_task_close(task);
    }
    if (mg_folder_remove(folder, &err) != MG_OK) {
        abort();
    }
    return 0;
}
