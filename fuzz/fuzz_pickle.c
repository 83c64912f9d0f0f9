/* fuzz/fuzz_pickle.c - any bytes as a PyTorch file; whatever it hands out must be readable. */
#include "base/hash.h"
#include "tensor/torch_file_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mg_error err;
    mg_torch_file *file;
    if (mg_torch_file_parse(data, size, &file, &err) != MG_OK) {
        return 0;
    }
    for (int64_t i = 0; i < mg_torch_file_count(file); i++) {
        mg_view view = mg_torch_file_at(file, i);
        (void)mg_hash64(view.data, view.bytes, 0); /* reads all */
    }
    mg_torch_file_close(file);
    return 0;
}
