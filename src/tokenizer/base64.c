/* tokenizer/base64.c - four characters for three bytes. */
#include "tokenizer/base64_internal.h"

static int digit_of(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

bool mg_base64_decode(mg_buf *bytes, mg_str text)
{
    uint32_t bits = 0;
    int bit_count = 0;
    while (text.size > 0 && text.data[text.size - 1] == '=') {
        text.size--;
    }
    mg_buf_reserve(bytes, text.size);
    for (size_t i = 0; i < text.size; i++) {
        int digit = digit_of(text.data[i]);
        if (digit < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)digit;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            mg_buf_add_char(bytes, (char)(bits >> bit_count & 0xFF));
        }
    }
    return true;
}
