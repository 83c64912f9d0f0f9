/* fuzz/fuzz_index.c - any bytes as the index of two shards; whatever it hands out must be readable.
 */
#include "folder.h"

#include "base/hash.h"
#include "tensor/checkpoint.h"
#include "tensor/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_shard(const char *file, const char *name)
{
    static const float values[4] = { 1, 2, 3, 4 };
    mg_error err;
    char path[128];
    mg_view view = { mg_str_of(name), values, sizeof(values), MG_F32, mg_shape_1d(4) };
    (void)snprintf(path, sizeof(path), "%s/%s", fuzz_folder, file);
    if (mg_safetensors_write(path, &view, 1, &err) != MG_OK) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (fuzz_folder_begin()) {
        write_shard("a.safetensors", "x");
        write_shard("b.safetensors", "y");
    }
    fuzz_folder_write("model.safetensors.index.json", data, size);
    mg_error err;
    mg_checkpoint *checkpoint;
    if (mg_checkpoint_open(fuzz_folder, &checkpoint, &err) != MG_OK) {
        return 0;
    }
    static const char *const names[] = { "x", "y" };
    for (int i = 0; i < 2; i++) {
        const mg_view *view = mg_checkpoint_find(checkpoint, mg_str_of(names[i]));
        if (view != NULL) {
            (void)mg_hash64(view->data, view->bytes, 0); /* reads all */
        }
    }
    mg_checkpoint_close(checkpoint);
    return 0;
}
