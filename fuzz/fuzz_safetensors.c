/* fuzz/fuzz_safetensors.c - any bytes as a whole safetensors file's header and data size. */
#include "tensor/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    /* The first two bytes are the size of the data behind the header. */
    size_t data_bytes = (size_t)data[0] | (size_t)data[1] << 8;
    mg_error err;
    (void)!mg_safetensors_check_header(mg_str_make((const char *)data + 2, size - 2), data_bytes,
                                       &err);
    return 0;
}
