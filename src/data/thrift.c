/* data/thrift.c - Thrift's compact protocol, as far as Parquet's metadata needs it.
 *
 *   struct   field headers until a 0 byte: high nibble the step from the last field number (0: a
 * zigzag varint follows), low nibble the type; booleans are in the type list     high nibble the
 * count (15: a varint follows), low nibble the element type int      zigzag varint; binary: varint
 * length, then the bytes; double: 8 bytes little-endian */
#include "data/arrow_internal.h"
#include "data/parquet_internal.h"

#define DEPTH_MAX 24
#define FIELDS_MAX 64                 /* of one struct; Parquet's have 14 */
#define VALUES_MAX ((int64_t)4 << 20) /* of one message */

enum compact_type {
    TYPE_TRUE = 1,
    TYPE_FALSE = 2,
    TYPE_BYTE = 3,
    TYPE_I16 = 4,
    TYPE_I32 = 5,
    TYPE_I64 = 6,
    TYPE_DOUBLE = 7,
    TYPE_BINARY = 8,
    TYPE_LIST = 9,
    TYPE_SET = 10,
    TYPE_MAP = 11,
    TYPE_STRUCT = 12
};

typedef struct thrift_reader {
    mg_str bytes;
    size_t at;
    mg_arena *arena;
    int depth;
    int64_t values; /* read so far */
} thrift_reader;

static bool read_varint(thrift_reader *r, uint64_t *value_out)
{
    *value_out = 0;
    for (int shift = 0; shift < 64 && r->at < r->bytes.size; shift += 7) {
        uint8_t byte = (uint8_t)r->bytes.data[r->at++];
        *value_out |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            return true;
        }
    }
    return false;
}

static bool read_zigzag(thrift_reader *r, int64_t *value_out)
{
    uint64_t value;
    if (!read_varint(r, &value)) {
        return false;
    }
    *value_out = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
    return true;
}

static bool read_value(thrift_reader *r, int type, mg_value *out);

static bool read_list(thrift_reader *r, mg_value *out)
{
    if (r->at >= r->bytes.size) {
        return false;
    }
    uint8_t head = (uint8_t)r->bytes.data[r->at++];
    uint64_t count = head >> 4;
    int type = head & 15;
    if (count == 15 && !read_varint(r, &count)) {
        return false;
    }
    /* Every element takes a byte at least, and room in memory at once. */
    if (count > r->bytes.size - r->at || count > (uint64_t)(VALUES_MAX - r->values)) {
        return false;
    }
    r->values += (int64_t)count;
    *out = mg_value_of_list(r->arena, (int64_t)count);
    for (int64_t i = 0; i < out->count; i++) {
        if (type == TYPE_TRUE || type == TYPE_FALSE) { /* in lists, booleans are bytes */
            out->items[i] = mg_value_of_bool(r->at < r->bytes.size && r->bytes.data[r->at] == 1);
            r->at++;
        } else if (!read_value(r, type, &out->items[i])) {
            return false;
        }
    }
    return r->at <= r->bytes.size;
}

/* A map is skipped: Parquet's metadata has none. */
static bool skip_map(thrift_reader *r, mg_value *out)
{
    uint64_t count;
    mg_value ignored;
    *out = mg_value_null;
    if (!read_varint(r, &count) || count > r->bytes.size - r->at) {
        return false;
    }
    if (count == 0) {
        return true;
    }
    if (r->at >= r->bytes.size) {
        return false;
    }
    uint8_t types = (uint8_t)r->bytes.data[r->at++];
    for (uint64_t i = 0; i < count; i++) {
        if (!read_value(r, types >> 4, &ignored) || !read_value(r, types & 15, &ignored)) {
            return false;
        }
    }
    return true;
}

static bool read_struct(thrift_reader *r, mg_value *out)
{
    int64_t field = 0;
    int64_t count = 0;
    mg_entry fields[FIELDS_MAX];
    while (r->at < r->bytes.size) {
        uint8_t head = (uint8_t)r->bytes.data[r->at++];
        if (head == 0) {
            *out = mg_value_of_map(r->arena, count);
            for (int64_t i = 0; i < count; i++) {
                out->entries[i] = fields[i];
            }
            return true;
        }
        int64_t step = head >> 4;
        if (step != 0) {
            field += step;
        } else if (!read_zigzag(r, &field)) {
            return false;
        }
        if (field < 0 || field > INT16_MAX || count == FIELDS_MAX || r->values == VALUES_MAX) {
            return false;
        }
        r->values++;
        mg_entry *entry = &fields[count++];
        entry->key = mg_value_of_int(field);
        if (!read_value(r, head & 15, &entry->value)) {
            return false;
        }
    }
    return false;
}

static bool read_value(thrift_reader *r, int type, mg_value *out)
{
    uint64_t size;
    int64_t number;
    bool good = false;
    if (++r->depth > DEPTH_MAX) {
        return false;
    }
    switch (type) {
    case TYPE_TRUE:
    case TYPE_FALSE:
        *out = mg_value_of_bool(type == TYPE_TRUE);
        good = true;
        break;
    case TYPE_BYTE:
        good = r->at < r->bytes.size;
        *out = mg_value_of_int(good ? (signed char)r->bytes.data[r->at++] : 0);
        break;
    case TYPE_I16:
    case TYPE_I32:
    case TYPE_I64:
        good = read_zigzag(r, &number);
        *out = mg_value_of_int(good ? number : 0);
        break;
    case TYPE_DOUBLE:
        good = r->bytes.size - r->at >= 8;
        r->at += good ? 8 : 0;
        *out = mg_value_null;
        break;
    case TYPE_BINARY:
        good = read_varint(r, &size) && size <= r->bytes.size - r->at;
        *out = mg_value_null;
        if (good) {
            out->kind = MG_STRING;
            out->string = mg_str_make(r->bytes.data + r->at, (size_t)size);
            r->at += (size_t)size;
        }
        break;
    case TYPE_LIST:
    case TYPE_SET:
        good = read_list(r, out);
        break;
    case TYPE_MAP:
        good = skip_map(r, out);
        break;
    case TYPE_STRUCT:
        good = read_struct(r, out);
        break;
    default:
        break;
    }
    r->depth--;
    return good;
}

bool mg_thrift_read(mg_str bytes, size_t *at, mg_arena *arena, mg_value *value_out)
{
    thrift_reader reader = { .bytes = bytes, .at = *at, .arena = arena };
    bool good = *at <= bytes.size && read_struct(&reader, value_out);
    *at = reader.at;
    return good;
}

const mg_value *mg_thrift_get(const mg_value *value, int64_t field)
{
    for (int64_t i = 0; value != NULL && value->kind == MG_MAP && i < value->count; i++) {
        if (value->entries[i].key.integer == field) {
            return &value->entries[i].value;
        }
    }
    return NULL;
}

int64_t mg_thrift_int(const mg_value *value, int64_t field, int64_t fallback)
{
    const mg_value *found = mg_thrift_get(value, field);
    return found != NULL && found->kind == MG_INT ? found->integer : fallback;
}
