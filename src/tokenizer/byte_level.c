/* tokenizer/byte_level.c - the byte alphabet as arithmetic over its three gaps. */
#include "tokenizer/byte_level_internal.h"

#include "tokenizer/chars_internal.h"

/* The 68 bytes without a character of their own: 00-20 (33), 7F-A0 (34), AD. */
#define GAP_BASE 0x100

static int32_t char_of(unsigned char byte)
{
    if (byte <= 0x20) {
        return GAP_BASE + byte;
    }
    if (byte >= 0x7F && byte <= 0xA0) {
        return GAP_BASE + 33 + (byte - 0x7F);
    }
    return byte == 0xAD ? GAP_BASE + 67 : byte;
}

/* -1 = not in the alphabet. */
static int byte_of(int32_t c)
{
    if (c < GAP_BASE) {
        return char_of((unsigned char)c) == c ? (int)c : -1;
    }
    int32_t index = c - GAP_BASE;
    return index < 33 ? index : index < 67 ? 0x7F + index - 33 : index == 67 ? 0xAD : -1;
}

void mg_byte_level_encode(mg_buf *buf, mg_str bytes)
{
    mg_buf_reserve(buf, bytes.size * 2);
    for (size_t i = 0; i < bytes.size; i++) {
        int32_t c = char_of((unsigned char)bytes.data[i]);
        if (c < 0x80) {
            buf->data[buf->size++] = (char)c;
        } else {
            buf->data[buf->size++] = (char)(0xC0 | (c >> 6));
            buf->data[buf->size++] = (char)(0x80 | (c & 0x3F));
        }
    }
    if (buf->data != NULL) {
        buf->data[buf->size] = '\0';
    }
}

bool mg_byte_level_decode(mg_buf *buf, mg_str text)
{
    size_t before = buf->size;
    size_t bytes;
    mg_buf_reserve(buf, text.size);
    for (size_t at = 0; at < text.size; at += bytes) {
        int byte = byte_of(mg_char_decode(text.data + at, &bytes));
        if (byte < 0) {
            buf->size = before;
            break;
        }
        buf->data[buf->size++] = (char)byte;
    }
    if (buf->data != NULL) {
        buf->data[buf->size] = '\0';
    }
    return buf->size > before || text.size == 0;
}
