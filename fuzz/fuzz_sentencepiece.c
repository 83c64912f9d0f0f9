/* fuzz/fuzz_sentencepiece.c - tokenizer.model: opening, encoding and decoding never crash. */
#include "base/memory.h"
#include "tokenizer/tokenizer_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] =
        " Hello  \xE4\xB8\x96\xEF\xBC\x91 e\xCC\x81 \xEF\xBD\xB6\xEF\xBE\x9E</s>";
    mg_error err;
    mg_tokenizer *t;
    mg_ids ids = { NULL, 0, 0 };
    mg_buf back = { 0 };
    if (mg_tokenizer_create_sentencepiece(mg_str_make((const char *)data, size), &t, &err) !=
        MG_OK) {
        return 0;
    }
    mg_status status = mg_tokenizer_encode(t, mg_str_of(text), true, &ids, &err);
    MG_ASSERT(status == MG_OK || ids.count == 0);
    mg_tokenizer_decode(t, ids.data, ids.count, true, &back);
    mg_buf_release(&back);
    mg_ids_release(&ids);
    mg_tokenizer_close(t);
    return 0;
}
