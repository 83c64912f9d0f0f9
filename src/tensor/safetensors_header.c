/* tensor/safetensors_header.c - the JSON header of a safetensors file, read strictly.
 *
 *     {"NAME": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}, ...,
 *      "__metadata__": {"KEY": "VALUE", ...}}
 *
 * The grammar has a fixed depth, so that a parser for just this is simpler and safer than a tree:
 * it needs no recursion and no memory but for the entries.  After parsing, the entries must tile
 * the data exactly: no holes, no overlaps, no tail (models.md 7, rules 2 to 4). */
#include "tensor/safetensors_internal.h"

#include <stdlib.h>

#include "base/memory.h"
#include "text/utf8.h"

typedef struct scanner {
    mg_str text;
    size_t offset;
    mg_error *err;
} scanner;

static mg_status unexpected(const scanner *scan, const char *wanted)
{
    return mg_fail(scan->err, MG_ERR_FORMAT, "header byte %zu: expected %s", scan->offset, wanted);
}

static void skip_space(scanner *scan)
{
    while (scan->offset < scan->text.size) {
        char c = scan->text.data[scan->offset];
        if (c != ' ' && c != '\n' && c != '\r' && c != '\t') {
            return;
        }
        scan->offset++;
    }
}

/* The next character that is not white space, or 0 at the end. */
static char peek(scanner *scan)
{
    skip_space(scan);
    return scan->offset < scan->text.size ? scan->text.data[scan->offset] : '\0';
}

static mg_status expect(scanner *scan, char c)
{
    if (peek(scan) != c) {
        char wanted[] = { '\'', c, '\'', '\0' };
        return unexpected(scan, wanted);
    }
    scan->offset++;
    return MG_OK;
}

static bool read_hex4(scanner *scan, uint32_t *value_out)
{
    if (scan->text.size - scan->offset < 4) {
        return false;
    }
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = scan->text.data[scan->offset + (size_t)i];
        uint32_t digit;
        if (c >= '0' && c <= '9') {
            digit = (uint32_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            digit = (uint32_t)(c - 'a') + 10;
        } else if (c >= 'A' && c <= 'F') {
            digit = (uint32_t)(c - 'A') + 10;
        } else {
            return false;
        }
        value = value * 16 + digit;
    }
    scan->offset += 4;
    *value_out = value;
    return true;
}

/* The code point of a \u escape (behind the u), joined from two for a surrogate pair; -1 if bad. */
static int32_t read_unicode_escape(scanner *scan)
{
    uint32_t high;
    uint32_t low;
    if (!read_hex4(scan, &high) || (high >= 0xdc00 && high < 0xe000)) {
        return -1;
    }
    if (high < 0xd800 || high >= 0xe000) {
        return (int32_t)high;
    }
    if (scan->text.size - scan->offset < 2 || scan->text.data[scan->offset] != '\\' ||
        scan->text.data[scan->offset + 1] != 'u') {
        return -1;
    }
    scan->offset += 2;
    if (!read_hex4(scan, &low) || low < 0xdc00 || low >= 0xe000) {
        return -1;
    }
    return (int32_t)(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
}

/* Reads the escape at a backslash into out; the number of bytes, or 0 if it is none of JSON's. */
static size_t read_escape(scanner *scan, char out[4])
{
    static const char letters[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    scan->offset++;
    if (scan->offset >= scan->text.size) {
        return 0;
    }
    char c = scan->text.data[scan->offset++];
    if (c == 'u') {
        int32_t code_point = read_unicode_escape(scan);
        return code_point < 0 ? 0 : mg_utf8_encode(code_point, out);
    }
    const char *found = c == '\0' ? NULL : strchr(letters, c);
    if (found == NULL) {
        return 0;
    }
    out[0] = values[found - letters];
    return 1;
}

/* A JSON string.  Without escapes it is a view of the text, else a copy in the arena. */
static mg_status read_string(scanner *scan, mg_arena *arena, mg_str *string_out)
{
    MG_TRY(expect(scan, '"'));
    size_t begin = scan->offset;
    size_t end = begin;
    bool escaped = false;
    while (end < scan->text.size && scan->text.data[end] != '"') {
        if ((unsigned char)scan->text.data[end] < 0x20) {
            scan->offset = end;
            return unexpected(scan, "no control character in a string");
        }
        if (scan->text.data[end] == '\\') {
            escaped = true;
            end++;
        }
        end++;
    }
    if (end >= scan->text.size) {
        scan->offset = begin;
        return unexpected(scan, "a string that ends");
    }
    if (!escaped) {
        *string_out = mg_str_make(scan->text.data + begin, end - begin);
        scan->offset = end + 1;
        return MG_OK;
    }
    /* An escape is never shorter than what it stands for. */
    char *copy = mg_arena_array(arena, char, (int64_t)(end - begin) + 4);
    size_t size = 0;
    while (scan->offset < end) {
        if (scan->text.data[scan->offset] != '\\') {
            copy[size++] = scan->text.data[scan->offset++];
            continue;
        }
        size_t bytes = read_escape(scan, copy + size);
        if (bytes == 0) {
            return unexpected(scan, "a valid escape");
        }
        size += bytes;
    }
    *string_out = mg_str_make(copy, size);
    scan->offset = end + 1;
    return MG_OK;
}

/* A non-negative integer without sign, fraction or exponent. */
static mg_status read_number(scanner *scan, uint64_t *value_out)
{
    char first = peek(scan);
    if (first < '0' || first > '9') {
        return unexpected(scan, "a non-negative integer");
    }
    uint64_t value = 0;
    size_t begin = scan->offset;
    while (scan->offset < scan->text.size) {
        char c = scan->text.data[scan->offset];
        if (c < '0' || c > '9') {
            break;
        }
        uint64_t digit = (uint64_t)(c - '0');
        if (value > (UINT64_MAX - digit) / 10 || (value == 0 && scan->offset > begin)) {
            return unexpected(scan, "an integer of 64 bits without leading zeros");
        }
        value = value * 10 + digit;
        scan->offset++;
    }
    *value_out = value;
    return MG_OK;
}

/* [n, n, ...] of at most max numbers. */
static mg_status read_numbers(scanner *scan, uint64_t *values, int max, int *count_out)
{
    *count_out = 0;
    MG_TRY(expect(scan, '['));
    if (peek(scan) == ']') {
        scan->offset++;
        return MG_OK;
    }
    for (;;) {
        if (*count_out == max) {
            return mg_fail(scan->err, MG_ERR_FORMAT, "header byte %zu: more than %d numbers",
                           scan->offset, max);
        }
        MG_TRY(read_number(scan, &values[*count_out]));
        (*count_out)++;
        if (peek(scan) != ',') {
            break;
        }
        scan->offset++;
    }
    return expect(scan, ']');
}

static mg_status read_shape(scanner *scan, mg_shape *shape)
{
    uint64_t dims[MG_RANK_MAX];
    MG_TRY(read_numbers(scan, dims, MG_RANK_MAX, &shape->rank));
    for (int i = 0; i < shape->rank; i++) {
        if (dims[i] > (uint64_t)INT64_MAX) {
            return mg_fail(scan->err, MG_ERR_FORMAT, "dimension %llu is too large",
                           (unsigned long long)dims[i]);
        }
        shape->dims[i] = (int64_t)dims[i];
    }
    return MG_OK;
}

/* One of the three members of a tensor; seen collects bits so that each comes once. */
static mg_status read_member(scanner *scan, mg_arena *arena, mg_header_entry *entry, int *seen)
{
    mg_str key;
    MG_TRY(read_string(scan, arena, &key));
    MG_TRY(expect(scan, ':'));
    int bit = mg_str_is(key, "dtype")          ? 1
              : mg_str_is(key, "shape")        ? 2
              : mg_str_is(key, "data_offsets") ? 4
                                               : 0;
    if (bit == 0 || (*seen & bit) != 0) {
        return mg_fail(scan->err, MG_ERR_FORMAT, "%s member '%.*s'",
                       bit == 0 ? "unknown" : "repeated", MG_STR_ARG(key));
    }
    *seen |= bit;
    if (bit == 1) {
        mg_str name;
        MG_TRY(read_string(scan, arena, &name));
        if (!mg_dtype_parse(name, &entry->view.dtype)) {
            return mg_fail(scan->err, MG_ERR_FORMAT, "unknown dtype '%.*s'", MG_STR_ARG(name));
        }
        return MG_OK;
    }
    if (bit == 2) {
        return read_shape(scan, &entry->view.shape);
    }
    uint64_t offsets[2];
    int count;
    MG_TRY(read_numbers(scan, offsets, 2, &count));
    if (count != 2 || offsets[1] < offsets[0] || offsets[1] > SIZE_MAX) {
        return mg_fail(scan->err, MG_ERR_FORMAT, "data_offsets are not [begin, end]");
    }
    entry->begin = (size_t)offsets[0];
    entry->end = (size_t)offsets[1];
    return MG_OK;
}

static mg_status read_tensor(scanner *scan, mg_arena *arena, mg_header_entry *entry)
{
    int seen = 0;
    MG_TRY(expect(scan, '{'));
    for (;;) {
        MG_TRY(read_member(scan, arena, entry, &seen));
        if (peek(scan) != ',') {
            break;
        }
        scan->offset++;
    }
    MG_TRY(expect(scan, '}'));
    if (seen != 7) {
        return mg_fail(scan->err, MG_ERR_FORMAT, "needs dtype, shape and data_offsets");
    }
    size_t count = 1;
    for (int i = 0; i < entry->view.shape.rank; i++) {
        if (!mg_size_mul(count, (size_t)entry->view.shape.dims[i], &count) ||
            count > (size_t)INT64_MAX) {
            return mg_fail(scan->err, MG_ERR_FORMAT, "the shape has too many elements");
        }
    }
    size_t bytes;
    if (!mg_dtype_bytes(entry->view.dtype, (int64_t)count, &bytes)) {
        return mg_fail(scan->err, MG_ERR_FORMAT, "%zu elements of %s are no whole bytes", count,
                       mg_dtype_name(entry->view.dtype));
    }
    if (bytes != entry->end - entry->begin) {
        char shape[128];
        return mg_fail(scan->err, MG_ERR_FORMAT, "%s of %s needs %zu bytes, data_offsets give %zu",
                       mg_dtype_name(entry->view.dtype),
                       mg_shape_text(&entry->view.shape, shape, sizeof(shape)), bytes,
                       entry->end - entry->begin);
    }
    entry->view.bytes = bytes;
    return MG_OK;
}

static mg_status read_metadata(scanner *scan, mg_arena *arena)
{
    MG_TRY(expect(scan, '{'));
    if (peek(scan) == '}') {
        scan->offset++;
        return MG_OK;
    }
    for (;;) {
        mg_str text;
        MG_TRY(read_string(scan, arena, &text));
        MG_TRY(expect(scan, ':'));
        MG_TRY(read_string(scan, arena, &text));
        if (peek(scan) != ',') {
            break;
        }
        scan->offset++;
    }
    return expect(scan, '}');
}

/* Room for one more entry.  A header may hold millions, so that running out is an error. */
static mg_status add_entry(mg_header *header, const mg_header_entry *entry, mg_error *err)
{
    if (header->count == header->cap) {
        int64_t cap = header->cap > 0 ? 2 * header->cap : 64;
        void *block;
        MG_TRY(mg_memory_try((size_t)cap * sizeof(*header->entries), "a safetensors header", &block,
                             err));
        if (header->count > 0) {
            memcpy(block, header->entries, (size_t)header->count * sizeof(*header->entries));
        }
        mg_free_aligned(header->entries);
        header->entries = (mg_header_entry *)block;
        header->cap = cap;
    }
    header->entries[header->count++] = *entry;
    return MG_OK;
}

static mg_status read_entry(scanner *scan, mg_header *header, bool *metadata_seen)
{
    mg_str name;
    MG_TRY(read_string(scan, &header->arena, &name));
    MG_TRY(expect(scan, ':'));
    if (mg_str_is(name, "__metadata__")) {
        if (*metadata_seen) {
            return mg_fail(scan->err, MG_ERR_FORMAT, "__metadata__ is given twice");
        }
        *metadata_seen = true;
        mg_status status = read_metadata(scan, &header->arena);
        if (status != MG_OK) {
            mg_error_prefix(scan->err, "__metadata__");
        }
        return status;
    }
    mg_header_entry entry = { 0 };
    entry.view.name = name;
    mg_status status = read_tensor(scan, &header->arena, &entry);
    if (status != MG_OK) {
        mg_error_prefix(scan->err, "tensor '%.*s'", MG_STR_ARG(name));
        return status;
    }
    return add_entry(header, &entry, scan->err);
}

static int by_name(const void *a, const void *b)
{
    return mg_str_compare(((const mg_header_entry *)a)->view.name,
                          ((const mg_header_entry *)b)->view.name);
}

static int by_offset(const void *a, const void *b)
{
    const mg_header_entry *first = (const mg_header_entry *)a;
    const mg_header_entry *second = (const mg_header_entry *)b;
    if (first->begin != second->begin) {
        return first->begin < second->begin ? -1 : 1;
    }
    return first->end == second->end ? 0 : first->end < second->end ? -1 : 1;
}

/* The entries tile the data; afterwards they are in name order and no name comes twice. */
static mg_status check_entries(mg_header *header, size_t data_bytes, mg_error *err)
{
    if (header->count > 0) {
        qsort(header->entries, (size_t)header->count, sizeof(*header->entries), by_offset);
    }
    size_t end = 0;
    for (int64_t i = 0; i < header->count; i++) {
        const mg_header_entry *entry = &header->entries[i];
        if (entry->begin != end) {
            return mg_fail(err, MG_ERR_FORMAT,
                           "tensor '%.*s' begins at byte %zu of the data, expected %zu",
                           MG_STR_ARG(entry->view.name), entry->begin, end);
        }
        end = entry->end;
    }
    if (end != data_bytes) {
        return mg_fail(err, MG_ERR_FORMAT, "the tensors have %zu bytes, the file holds %zu", end,
                       data_bytes);
    }
    if (header->count > 0) {
        qsort(header->entries, (size_t)header->count, sizeof(*header->entries), by_name);
    }
    for (int64_t i = 1; i < header->count; i++) {
        if (mg_str_equal(header->entries[i - 1].view.name, header->entries[i].view.name)) {
            return mg_fail(err, MG_ERR_FORMAT, "tensor '%.*s' is given twice",
                           MG_STR_ARG(header->entries[i].view.name));
        }
    }
    return MG_OK;
}

mg_status mg_header_parse(mg_str text, size_t data_bytes, mg_header *header, mg_error *err)
{
    if (text.size > MG_SAFETENSORS_HEADER_BYTES_MAX) {
        return mg_fail(err, MG_ERR_FORMAT, "the header has %zu bytes, at most %zu are allowed",
                       text.size, MG_SAFETENSORS_HEADER_BYTES_MAX);
    }
    if (text.size == 0 || text.data[0] != '{') {
        return mg_fail(err, MG_ERR_FORMAT, "the header does not start with '{'");
    }
    if (!mg_utf8_valid(text)) {
        return mg_fail(err, MG_ERR_FORMAT, "the header is not valid UTF-8");
    }
    scanner scan = { text, 1, err };
    bool metadata_seen = false;
    if (peek(&scan) != '}') {
        for (;;) {
            MG_TRY(read_entry(&scan, header, &metadata_seen));
            if (peek(&scan) != ',') {
                break;
            }
            scan.offset++;
        }
    }
    MG_TRY(expect(&scan, '}'));
    skip_space(&scan);
    if (scan.offset != text.size) {
        return unexpected(&scan, "nothing but spaces behind the header");
    }
    return check_entries(header, data_bytes, err);
}

void mg_header_release(mg_header *header)
{
    mg_free_aligned(header->entries);
    mg_arena_release(&header->arena);
    memset(header, 0, sizeof(*header));
}
