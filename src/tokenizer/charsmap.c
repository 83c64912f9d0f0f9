/* tokenizer/charsmap.c - lookups in a compiled replacement table.
 *
 * Unit u of the double array: has_leaf = bit 8; value = u & 0x7FFFFFFF; label = u & 0x800000FF;
 * offset = (u >> 10) << ((u & 0x200) >> 6).  A walk starts at p = offset(unit 0); for each byte c:
 * p ^= c, the unit there must bear the label c, then p ^= its offset. */
#include "tokenizer/charsmap_internal.h"

#include "base/memory.h"
#include "text/regex.h"
#include "tokenizer/base64_internal.h"
#include "tokenizer/chars_internal.h"

/* Chunks of fewer bytes are looked up whole (a limit of the reference). */
#define WHOLE_BYTES 6

struct mg_charsmap {
    uint32_t *units;
    size_t unit_count;
    char *strings; /* the last byte is NUL */
    size_t string_bytes;
    mg_regex *cluster; /* one extended grapheme cluster */
};

static uint32_t read_u32(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static size_t unit_offset(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 0x200) >> 6);
}

mg_status mg_charsmap_create(mg_str bytes, mg_charsmap **charsmap_out, mg_error *err)
{
    *charsmap_out = NULL;
    size_t trie_bytes = bytes.size >= 4 ? read_u32(bytes.data) : 0;
    if (bytes.size < 4 || trie_bytes < 4 || trie_bytes % 4 != 0 || trie_bytes > bytes.size - 4) {
        return mg_fail(err, MG_ERR_FORMAT, "precompiled_charsmap is damaged");
    }
    mg_charsmap *charsmap = mg_new(mg_charsmap);
    charsmap->unit_count = trie_bytes / 4;
    charsmap->units = mg_new_array(uint32_t, (int64_t)charsmap->unit_count);
    for (size_t i = 0; i < charsmap->unit_count; i++) {
        charsmap->units[i] = read_u32(bytes.data + 4 + i * 4);
    }
    charsmap->string_bytes = bytes.size - 4 - trie_bytes + 1;
    charsmap->strings = mg_new_array(char, (int64_t)charsmap->string_bytes);
    memcpy(charsmap->strings, bytes.data + 4 + trie_bytes, charsmap->string_bytes - 1);
    mg_status status =
        mg_regex_compile(mg_str_of("\\X"), MG_REGEX_ONIGURUMA, &charsmap->cluster, err);
    if (status != MG_OK) {
        mg_charsmap_destroy(charsmap);
        return status;
    }
    *charsmap_out = charsmap;
    return MG_OK;
}

mg_status mg_charsmap_create_base64(mg_str text, mg_charsmap **charsmap_out, mg_error *err)
{
    mg_buf bytes = { 0 };
    *charsmap_out = NULL;
    mg_status status = mg_base64_decode(&bytes, text)
                           ? mg_charsmap_create(mg_buf_view(&bytes), charsmap_out, err)
                           : mg_fail(err, MG_ERR_FORMAT, "precompiled_charsmap is not base64");
    mg_buf_release(&bytes);
    return status;
}

void mg_charsmap_destroy(mg_charsmap *charsmap)
{
    if (charsmap != NULL) {
        mg_regex_destroy(charsmap->cluster);
        mg_free(charsmap->units);
        mg_free(charsmap->strings);
        mg_free(charsmap);
    }
}

/* The string at offset up to its NUL; false when the offset is outside. */
static bool string_at(const mg_charsmap *charsmap, uint32_t offset, mg_str *string_out)
{
    if (offset >= charsmap->string_bytes) {
        return false;
    }
    *string_out = mg_str_of(charsmap->strings + offset);
    return true;
}

/* The shortest or longest key that text starts with. */
static bool find(const mg_charsmap *charsmap, mg_str text, bool longest, size_t *bytes_out,
                 mg_str *replacement_out)
{
    bool found = false;
    size_t at = unit_offset(charsmap->units[0]);
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        at ^= byte;
        if (byte == 0 || at >= charsmap->unit_count) {
            break;
        }
        uint32_t unit = charsmap->units[at];
        if ((unit & 0x800000FFu) != byte) {
            break;
        }
        at ^= unit_offset(unit);
        if (at >= charsmap->unit_count) {
            break;
        }
        if ((unit & 0x100) != 0 &&
            string_at(charsmap, charsmap->units[at] & 0x7FFFFFFFu, replacement_out)) {
            *bytes_out = i + 1;
            found = true;
            if (!longest) {
                break;
            }
        }
    }
    return found;
}

bool mg_charsmap_longest(const mg_charsmap *charsmap, mg_str text, size_t *bytes_out,
                         mg_str *replacement_out)
{
    return find(charsmap, text, true, bytes_out, replacement_out);
}

static void apply_chunk(const mg_charsmap *charsmap, mg_str chunk, mg_buf *out)
{
    mg_str replacement;
    size_t bytes;
    if (chunk.size < WHOLE_BYTES && find(charsmap, chunk, false, &bytes, &replacement)) {
        mg_buf_add(out, replacement);
        return;
    }
    for (size_t at = 0, size; at < chunk.size; at += size) {
        size = mg_char_bytes(chunk.data[at]);
        mg_str single = mg_str_make(chunk.data + at, size);
        bool hit = find(charsmap, single, false, &bytes, &replacement);
        mg_buf_add(out, hit ? replacement : single);
    }
}

/* Code points that never join the cluster before them, and start one that only a joining code point
 * can make longer: printable ASCII, kana, the common ideographs. */
static bool stands_alone(int32_t c)
{
    return (c >= 0x20 && c < 0x7F) || (c >= 0x3041 && c <= 0x3096) ||
           (c >= 0x30A1 && c <= 0x30FA) || (c >= 0x4E00 && c <= 0x9FFF);
}

mg_status mg_charsmap_apply(const mg_charsmap *charsmap, mg_str text, mg_buf *out, mg_error *err)
{
    mg_buf_reserve(out, text.size);
    for (size_t at = 0, bytes; at < text.size; at += bytes) {
        size_t next_bytes;
        int32_t c = mg_char_decode(text.data + at, &bytes);
        bool alone =
            stands_alone(c) && (at + bytes == text.size ||
                                stands_alone(mg_char_decode(text.data + at + bytes, &next_bytes)));
        if (!alone) {
            bool found;
            mg_regex_match match;
            MG_TRY(mg_regex_search(charsmap->cluster, text, at, &found, &match, err));
            if (found && match.begin[0] == (int64_t)at && match.end[0] > match.begin[0]) {
                bytes = (size_t)match.end[0] - at;
            }
        }
        apply_chunk(charsmap, mg_str_make(text.data + at, bytes), out);
    }
    return MG_OK;
}
