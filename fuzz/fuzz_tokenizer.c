/* fuzz/fuzz_tokenizer.c - tokenizer.json and a text: opening, encoding and decoding never crash.
 *
 * An input is the file's content, optionally a NUL byte and a text behind it. */
#include "base/memory.h"
#include "tokenizer/tokenizer_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_text(const mg_tokenizer *t, mg_str text)
{
    mg_error err;
    mg_ids ids = { NULL, 0, 0 };
    mg_buf back = { 0 };
    int32_t odd[] = { -1, 0, 1, 2, 3, 255, 256, INT32_MAX };
    mg_status status = mg_tokenizer_encode(t, text, true, &ids, &err);
    MG_ASSERT(status == MG_OK || ids.count == 0);
    mg_tokenizer_decode(t, ids.data, ids.count, false, &back);
    mg_tokenizer_decode(t, odd, MG_ARRAY_COUNT(odd), true, &back);
    mg_buf_release(&back);
    mg_ids_release(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mg_error err;
    mg_tokenizer *t;
    const uint8_t *end = size > 0 ? memchr(data, 0, size) : NULL;
    size_t json_size = end == NULL ? size : (size_t)(end - data);
    if (mg_tokenizer_create_json(mg_str_make((const char *)data, json_size), &t, &err) != MG_OK) {
        return 0;
    }
    if (end != NULL) {
        try_text(t, mg_str_make((const char *)end + 1, size - json_size - 1));
    }
    try_text(t, mg_str_of(" Hello  \xE4\xB8\x96\xE7\x95\x8C 123's\n\n<s>"));
    mg_tokenizer_close(t);
    return 0;
}
