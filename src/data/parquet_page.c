/* data/parquet_page.c - the pages of a column chunk as levels and values.
 *
 * A page is its Thrift header, then its (compressed) body: repetition levels, definition levels,
 * values. Levels and dictionary indexes are runs of the RLE/bit-packed hybrid: a varint whose
 * lowest bit tells a repeated value from groups of eight packed ones. */
#include "data/arrow_internal.h"
#include "data/parquet_internal.h"
#include "data/unpack_internal.h"
#include "text/utf8.h"

#include <inttypes.h>

#define PAGE_BYTES_MAX ((int64_t)1 << 30)

enum page_type { PAGE_DATA = 0, PAGE_INDEX = 1, PAGE_DICTIONARY = 2, PAGE_DATA_V2 = 3 };
enum encoding {
    PLAIN = 0,
    PLAIN_DICTIONARY = 2,
    RLE = 3,
    DELTA_BINARY_PACKED = 5,
    DELTA_LENGTH_BYTE_ARRAY = 6,
    DELTA_BYTE_ARRAY = 7,
    RLE_DICTIONARY = 8,
    BYTE_STREAM_SPLIT = 9
};

static mg_status damaged(const mg_parquet_work *work, const mg_parquet_leaf *leaf, const char *what,
                         mg_error *err)
{
    return mg_fail(err, MG_ERR_FORMAT, "%s: damaged Parquet data: column '%.*s': %s", work->name,
                   MG_STR_ARG(leaf->name), what);
}

static mg_status keep_buffer(mg_parquet_work *work, int64_t bytes, mg_bytes *buffer_out,
                             mg_error *err)
{
    if (bytes < 0 || bytes > PAGE_BYTES_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "%s: a Parquet page of %" PRId64 " bytes", work->name,
                       bytes);
    }
    if (work->buffer_count == work->buffer_cap) {
        work->buffer_cap = work->buffer_cap > 0 ? work->buffer_cap * 2 : 16;
        work->buffers = mg_memory_resize(work->buffers, work->buffer_cap, sizeof(void *));
    }
    void *block;
    MG_TRY(mg_memory_try((size_t)bytes + 1, work->name, &block, err));
    buffer_out->data = block;
    buffer_out->size = (size_t)bytes;
    work->buffers[work->buffer_count++] = block;
    return MG_OK;
}

/* The body of a page, unpacked into a buffer of exactly bytes. */
static mg_status unpack(mg_parquet_work *work, const mg_parquet_leaf *leaf, int64_t codec,
                        mg_str packed, int64_t bytes, mg_str *body_out, mg_error *err)
{
    static const mg_packing packings[] = { MG_PACKED_SNAPPY, MG_PACKED_SNAPPY,
                                           MG_PACKED_GZIP,   MG_PACKED_GZIP,
                                           MG_PACKED_BROTLI, MG_PACKED_LZ4_HADOOP,
                                           MG_PACKED_ZSTD,   MG_PACKED_LZ4_BLOCK };
    mg_bytes out;
    if (codec == 0) {
        *body_out = packed;
        return MG_OK;
    }
    if (codec < 0 || codec >= MG_ARRAY_COUNT(packings) || codec == 3) {
        return mg_fail(err, MG_ERR_UNSUPPORTED,
                       "%s: Parquet data compressed with %s is not supported", work->name,
                       codec == 3 ? "LZO" : "an unknown method");
    }
    /* Before a buffer is made, what the page says is held against what its data can unpack to. */
    if (bytes < 0 || bytes > PAGE_BYTES_MAX ||
        (uint64_t)bytes > ((uint64_t)packed.size + 64) * 32768) {
        return damaged(work, leaf, "a page with a wrong size", err);
    }
    /* And all pages together against the file: 64 unpacked bytes weigh as one value. */
    work->budget -= bytes / 64;
    if (work->budget < 0) {
        return damaged(work, leaf, "more data than a file of its size holds", err);
    }
    MG_TRY(keep_buffer(work, bytes, &out, err));
    bool good = mg_unpack(packings[codec], packed, out.data, out.size);
    *body_out = mg_str_make((const char *)out.data, out.size);
    return good ? MG_OK : damaged(work, leaf, "a page that does not unpack", err);
}

/* ---- the RLE/bit-packed hybrid ---- */

typedef struct hybrid {
    mg_str bytes;
    size_t at;
    int width;         /* bits of a value */
    uint64_t repeated; /* left of a repeated run */
    uint32_t value;
    uint64_t packed; /* left of a packed run */
    size_t bit;      /* of the next packed value, counted from the start of bytes */
} hybrid;

static bool next_run(hybrid *h)
{
    uint64_t head = 0;
    for (int shift = 0;; shift += 7) {
        if (h->at >= h->bytes.size || shift > 56) {
            return false;
        }
        uint8_t byte = (uint8_t)h->bytes.data[h->at++];
        head |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            break;
        }
    }
    if ((head & 1) != 0) {
        uint64_t groups = head >> 1;
        if (groups > (h->bytes.size - h->at) / (size_t)MG_MAX(h->width, 1) + 1) {
            return false;
        }
        h->packed = groups * 8;
        h->bit = h->at * 8;
        h->at += (size_t)groups * (size_t)h->width;
        return groups > 0;
    }
    size_t bytes = (size_t)(h->width + 7) / 8;
    if (h->bytes.size - h->at < bytes) {
        return false;
    }
    h->repeated = head >> 1;
    h->value = (uint32_t)mg_arrow_load((const unsigned char *)h->bytes.data + h->at, (int64_t)bytes,
                                       false);
    h->at += bytes;
    return h->repeated > 0;
}

static bool next_value(hybrid *h, uint32_t *value_out)
{
    if (h->repeated == 0 && h->packed == 0 && !next_run(h)) {
        return false;
    }
    if (h->repeated > 0) {
        h->repeated--;
        *value_out = h->value;
        return true;
    }
    uint32_t value = 0;
    for (int i = 0; i < h->width; i++) {
        size_t bit = h->bit + (size_t)i;
        if (bit / 8 >= h->bytes.size) {
            return false;
        }
        value |= (uint32_t)((unsigned char)h->bytes.data[bit / 8] >> (bit % 8) & 1) << i;
    }
    h->bit += (size_t)h->width;
    h->packed--;
    *value_out = value;
    return true;
}

static int bits_for(int value)
{
    int bits = 0;
    while (value >> bits != 0) {
        bits++;
    }
    return bits;
}

/* ---- values ---- */

static int64_t fixed_bytes(const mg_parquet_leaf *leaf)
{
    switch (leaf->type) {
    case MG_PARQUET_INT32:
    case MG_PARQUET_FLOAT:
        return 4;
    case MG_PARQUET_INT64:
    case MG_PARQUET_DOUBLE:
        return 8;
    case MG_PARQUET_INT96:
        return 12;
    case MG_PARQUET_FIXED:
        return leaf->type_bytes;
    default:
        return 0;
    }
}

static mg_value borrow_text(const char *data, size_t size)
{
    mg_value value = mg_value_null;
    value.kind = MG_STRING;
    value.string = mg_str_make(data, size);
    return value;
}

static mg_value fixed_value(const mg_parquet_leaf *leaf, const unsigned char *at)
{
    float single;
    double number;
    switch (leaf->type) {
    case MG_PARQUET_INT32:
        return mg_value_of_int(mg_arrow_load(at, 4, leaf->meaning != MG_MEANS_UNSIGNED));
    case MG_PARQUET_INT64:
        return mg_value_of_int(mg_arrow_load(at, 8, true));
    case MG_PARQUET_FLOAT:
        memcpy(&single, at, sizeof(single));
        return mg_value_of_double((double)single);
    case MG_PARQUET_DOUBLE:
        memcpy(&number, at, sizeof(number));
        return mg_value_of_double(number);
    case MG_PARQUET_INT96: {
        /* Nanoseconds of the day, then the Julian day; 2440588 is 1970-01-01.  Absurd days wrap. */
        uint64_t days = (uint64_t)(mg_arrow_load(at + 8, 4, false) - 2440588);
        int64_t in_day = mg_arrow_load(at, 8, true) / 1000;
        return mg_value_of_int((int64_t)(days * 86400000000u + (uint64_t)in_day));
    }
    default:
        return borrow_text((const char *)at, (size_t)leaf->type_bytes);
    }
}

/* One PLAIN value off the front of *bytes. */
static bool plain_value(const mg_parquet_leaf *leaf, mg_str *bytes, mg_value *value_out)
{
    size_t size = (size_t)fixed_bytes(leaf);
    if (leaf->type == MG_PARQUET_BYTE_ARRAY) {
        if (bytes->size < 4) {
            return false;
        }
        size = (size_t)mg_arrow_load((const unsigned char *)bytes->data, 4, false);
        *bytes = mg_str_slice(*bytes, 4, bytes->size);
        if (size > bytes->size) {
            return false;
        }
        *value_out = borrow_text(bytes->data, size);
    } else {
        if (size == 0 || size > bytes->size) {
            return false;
        }
        *value_out = fixed_value(leaf, (const unsigned char *)bytes->data);
    }
    *bytes = mg_str_slice(*bytes, size, bytes->size);
    return true;
}

static mg_value *add_values(mg_parquet_leaf *leaf, int64_t count)
{
    if (leaf->values == NULL || leaf->value_count + count > leaf->value_cap) {
        leaf->value_cap = MG_MAX(2 * leaf->value_cap, leaf->value_count + count + 1);
        leaf->values = mg_memory_resize(leaf->values, leaf->value_cap, sizeof(mg_value));
    }
    leaf->value_count += count;
    return leaf->values + (leaf->value_count - count);
}

static mg_status read_booleans(mg_parquet_work *work, mg_parquet_leaf *leaf, int64_t encoding,
                               mg_str bytes, int64_t count, mg_error *err)
{
    mg_value *values = add_values(leaf, count);
    hybrid bits = { .bytes = bytes, .width = 1 };
    if (encoding == RLE) {
        if (bytes.size < 4) {
            return damaged(work, leaf, "a page that is cut off", err);
        }
        bits.bytes = mg_str_slice(bytes, 4, bytes.size);
    }
    for (int64_t i = 0; i < count; i++) {
        uint32_t value = 0;
        bool good = encoding == RLE ? next_value(&bits, &value) : (size_t)i / 8 < bytes.size;
        if (!good) {
            return damaged(work, leaf, "a page with too few values", err);
        }
        if (encoding != RLE) {
            value = (unsigned char)bytes.data[i / 8] >> (i % 8) & 1;
        }
        values[i] = mg_value_of_bool(value != 0);
    }
    return MG_OK;
}

static mg_status read_indexes(mg_parquet_work *work, mg_parquet_leaf *leaf, mg_str bytes,
                              int64_t count, mg_error *err)
{
    mg_value *values = add_values(leaf, count);
    if (count > 0 && (bytes.size < 1 || (unsigned char)bytes.data[0] > 32)) {
        return damaged(work, leaf, "a wrong width of dictionary indexes", err);
    }
    hybrid indexes = { .bytes = mg_str_slice(bytes, 1, bytes.size),
                       .width = count > 0 ? bytes.data[0] : 0 };
    for (int64_t i = 0; i < count; i++) {
        uint32_t index;
        if (!next_value(&indexes, &index) || (int64_t)index >= leaf->dictionary_count) {
            return damaged(work, leaf, "an index outside the dictionary", err);
        }
        values[i] = leaf->dictionary[index];
    }
    return MG_OK;
}

static mg_status read_delta_ints(mg_parquet_work *work, mg_parquet_leaf *leaf, mg_str bytes,
                                 int64_t count, mg_error *err)
{
    mg_value *values = add_values(leaf, count);
    int64_t *numbers = mg_new_array(int64_t, count + 1);
    bool good = mg_parquet_delta_ints(&bytes, numbers, count);
    for (int64_t i = 0; good && i < count; i++) {
        int64_t number = numbers[i];
        if (leaf->type == MG_PARQUET_INT32) {
            number = leaf->meaning == MG_MEANS_UNSIGNED ? (int64_t)(uint32_t)number
                                                        : (int64_t)(int32_t)number;
        }
        values[i] = mg_value_of_int(number);
    }
    mg_free(numbers);
    return good ? MG_OK : damaged(work, leaf, "wrong delta-encoded numbers", err);
}

static mg_status read_delta_texts(mg_parquet_work *work, mg_parquet_leaf *leaf, bool prefixed,
                                  mg_str bytes, int64_t count, mg_error *err)
{
    mg_value *values = add_values(leaf, count);
    int64_t *prefixes = mg_new_array(int64_t, count + 1);
    mg_str *texts = mg_new_array(mg_str, count + 1);
    size_t total = 0;
    mg_bytes whole = { 0 };
    mg_status status = MG_OK;
    bool good = prefixed ? mg_parquet_delta_prefixes(&bytes, prefixes, texts, count, &total)
                         : mg_parquet_delta_lengths(&bytes, texts, count);
    if (!good || total > (size_t)PAGE_BYTES_MAX) {
        status = damaged(work, leaf, "wrong delta-encoded texts", err);
        goto done;
    }
    if (prefixed) {
        work->budget -= (int64_t)(total / 64);
        MG_TRY_OR_DONE(keep_buffer(work, work->budget < 0 ? -1 : (int64_t)total, &whole, err));
    }
    size_t at = 0;
    size_t before = 0;
    for (int64_t i = 0; i < count; i++) {
        if (!prefixed) {
            values[i] = borrow_text(texts[i].data, texts[i].size);
            continue;
        }
        char *text = (char *)whole.data + at;
        memcpy(text, (char *)whole.data + before, (size_t)prefixes[i]);
        if (texts[i].size > 0) {
            memcpy(text + prefixes[i], texts[i].data, texts[i].size);
        }
        values[i] = borrow_text(text, (size_t)prefixes[i] + texts[i].size);
        before = at;
        at += values[i].string.size;
    }

done:
    mg_free(prefixes);
    mg_free(texts);
    return status;
}

/* The first bytes of all values, then the second bytes, ...: put together again. */
static mg_status join_streams(mg_parquet_work *work, const mg_parquet_leaf *leaf, mg_str bytes,
                              int64_t count, mg_str *plain_out, mg_error *err)
{
    mg_bytes out;
    size_t width = (size_t)fixed_bytes(leaf);
    if (width == 0 || (size_t)count > bytes.size / width) {
        return damaged(work, leaf, "a page with too few values", err);
    }
    MG_TRY(keep_buffer(work, (int64_t)((size_t)count * width), &out, err));
    for (size_t i = 0; i < (size_t)count; i++) {
        for (size_t k = 0; k < width; k++) {
            out.data[i * width + k] = (unsigned char)bytes.data[k * (size_t)count + i];
        }
    }
    *plain_out = mg_str_make((const char *)out.data, out.size);
    return MG_OK;
}

static mg_status read_values(mg_parquet_work *work, mg_parquet_leaf *leaf, int64_t encoding,
                             mg_str bytes, int64_t count, mg_error *err)
{
    static const char *const names[] = { "PLAIN",
                                         "1",
                                         "PLAIN_DICTIONARY",
                                         "RLE",
                                         "BIT_PACKED",
                                         "DELTA_BINARY_PACKED",
                                         "DELTA_LENGTH_BYTE_ARRAY",
                                         "DELTA_BYTE_ARRAY",
                                         "RLE_DICTIONARY",
                                         "BYTE_STREAM_SPLIT" };
    if (encoding == PLAIN_DICTIONARY || encoding == RLE_DICTIONARY) {
        return read_indexes(work, leaf, bytes, count, err);
    }
    if (leaf->type == MG_PARQUET_BOOLEAN && (encoding == PLAIN || encoding == RLE)) {
        return read_booleans(work, leaf, encoding, bytes, count, err);
    }
    bool is_int = leaf->type == MG_PARQUET_INT32 || leaf->type == MG_PARQUET_INT64;
    if (encoding == DELTA_BINARY_PACKED && is_int) {
        return read_delta_ints(work, leaf, bytes, count, err);
    }
    if ((encoding == DELTA_LENGTH_BYTE_ARRAY || encoding == DELTA_BYTE_ARRAY) &&
        leaf->type == MG_PARQUET_BYTE_ARRAY) {
        return read_delta_texts(work, leaf, encoding == DELTA_BYTE_ARRAY, bytes, count, err);
    }
    if (encoding == BYTE_STREAM_SPLIT && leaf->type != MG_PARQUET_BYTE_ARRAY) {
        MG_TRY(join_streams(work, leaf, bytes, count, &bytes, err));
        encoding = PLAIN;
    }
    if (encoding != PLAIN) {
        return mg_fail(err, MG_ERR_UNSUPPORTED,
                       "%s: column '%.*s': the Parquet encoding %s is not supported", work->name,
                       MG_STR_ARG(leaf->name),
                       encoding >= 0 && encoding < MG_ARRAY_COUNT(names) ? names[encoding] : "?");
    }
    mg_value *values = add_values(leaf, count);
    for (int64_t i = 0; i < count; i++) {
        if (!plain_value(leaf, &bytes, &values[i])) {
            return damaged(work, leaf, "a page with too few values", err);
        }
    }
    return MG_OK;
}

/* ---- pages ---- */

static mg_status read_dictionary(mg_parquet_work *work, mg_parquet_leaf *leaf,
                                 const mg_value *header, mg_str body, mg_error *err)
{
    int64_t count = mg_thrift_int(mg_thrift_get(header, 7), 1, -1);
    if (count < 0 || (size_t)count > body.size) {
        return damaged(work, leaf, "a wrong dictionary", err);
    }
    work->budget -= count;
    mg_free(leaf->dictionary);
    leaf->dictionary = mg_new_array(mg_value, count + 1);
    leaf->dictionary_count = count;
    for (int64_t i = 0; i < count; i++) {
        if (!plain_value(leaf, &body, &leaf->dictionary[i])) {
            return damaged(work, leaf, "a dictionary with too few values", err);
        }
    }
    return MG_OK;
}

/* Levels of count entries; without a width all are 0. */
static mg_status read_levels(mg_parquet_work *work, const mg_parquet_leaf *leaf, mg_str bytes,
                             int max, int64_t count, uint8_t *levels, mg_error *err)
{
    hybrid h = { .bytes = bytes, .width = bits_for(max) };
    for (int64_t i = 0; i < count; i++) {
        uint32_t level = 0;
        if (max > 0 && (!next_value(&h, &level) || level > (uint32_t)max)) {
            return damaged(work, leaf, "wrong levels", err);
        }
        levels[i] = (uint8_t)level;
    }
    return MG_OK;
}

static mg_status reserve_entries(mg_parquet_work *work, mg_parquet_leaf *leaf, int64_t count,
                                 mg_error *err)
{
    if (count < 0 || count > work->budget) {
        return mg_fail(err, MG_ERR_LIMIT, "%s: holds more values than a file of its size can",
                       work->name);
    }
    work->budget -= count;
    if (leaf->rep == NULL || leaf->count + count > leaf->cap) {
        leaf->cap = MG_MAX(2 * leaf->cap, leaf->count + count + 1);
        leaf->rep = mg_memory_resize(leaf->rep, leaf->cap, 1);
        leaf->def = mg_memory_resize(leaf->def, leaf->cap, 1);
    }
    return MG_OK;
}

/* Cuts a level section off *body: with its length in front (version 1), or of a known length. */
static bool cut_levels(mg_str *body, int max, bool prefixed, int64_t known, mg_str *levels_out)
{
    int64_t size = known;
    *levels_out = mg_str_make("", 0);
    if (prefixed) {
        if (max == 0) {
            return true;
        }
        if (body->size < 4) {
            return false;
        }
        size = mg_arrow_load((const unsigned char *)body->data, 4, false);
        *body = mg_str_slice(*body, 4, body->size);
    }
    if (size < 0 || (size_t)size > body->size) {
        return false;
    }
    *levels_out = mg_str_slice(*body, 0, (size_t)size);
    *body = mg_str_slice(*body, (size_t)size, body->size);
    return true;
}

static mg_status read_data(mg_parquet_work *work, mg_parquet_leaf *leaf, const mg_value *data,
                           bool is_v2, mg_str body, mg_str rep, mg_str def, mg_error *err)
{
    int64_t count = mg_thrift_int(data, 1, -1);
    int64_t encoding = mg_thrift_int(data, is_v2 ? 4 : 2, -1);
    MG_TRY(reserve_entries(work, leaf, count, err));
    MG_TRY(read_levels(work, leaf, rep, leaf->max_rep, count, leaf->rep + leaf->count, err));
    MG_TRY(read_levels(work, leaf, def, leaf->max_def, count, leaf->def + leaf->count, err));
    int64_t present = 0;
    for (int64_t i = 0; i < count; i++) {
        present += leaf->def[leaf->count + i] == leaf->max_def;
    }
    leaf->count += count;
    return read_values(work, leaf, encoding, body, present, err);
}

static mg_status read_page(mg_parquet_work *work, mg_parquet_leaf *leaf, int64_t codec,
                           const mg_value *header, mg_str packed, mg_error *err)
{
    int64_t type = mg_thrift_int(header, 1, -1);
    int64_t bytes = mg_thrift_int(header, 2, -1);
    mg_str body;
    mg_str rep;
    mg_str def;
    if (bytes < 0 || bytes > PAGE_BYTES_MAX) {
        return damaged(work, leaf, "a page with a wrong size", err);
    }
    if (type == PAGE_DATA_V2) {
        /* Levels are never compressed here, values unless the header says no. */
        const mg_value *data = mg_thrift_get(header, 8);
        const mg_value *compressed = mg_thrift_get(data, 7);
        if (!cut_levels(&packed, leaf->max_rep, false, mg_thrift_int(data, 6, 0), &rep) ||
            !cut_levels(&packed, leaf->max_def, false, mg_thrift_int(data, 5, 0), &def)) {
            return damaged(work, leaf, "a page that is cut off", err);
        }
        bool plain = compressed != NULL && !compressed->boolean;
        MG_TRY(unpack(work, leaf, plain || packed.size == 0 ? 0 : codec, packed,
                      bytes - (int64_t)rep.size - (int64_t)def.size, &body, err));
        return read_data(work, leaf, data, true, body, rep, def, err);
    }
    if (type != PAGE_DATA && type != PAGE_DICTIONARY) {
        return MG_OK;
    }
    MG_TRY(unpack(work, leaf, codec, packed, bytes, &body, err));
    if (type == PAGE_DICTIONARY) {
        return read_dictionary(work, leaf, header, body, err);
    }
    if (!cut_levels(&body, leaf->max_rep, true, 0, &rep) ||
        !cut_levels(&body, leaf->max_def, true, 0, &def)) {
        return damaged(work, leaf, "a page that is cut off", err);
    }
    return read_data(work, leaf, mg_thrift_get(header, 5), false, body, rep, def, err);
}

mg_status mg_parquet_read_chunk(mg_parquet_work *work, mg_str file, const mg_value *metadata,
                                mg_parquet_leaf *leaf, mg_error *err)
{
    int64_t codec = mg_thrift_int(metadata, 4, 0);
    int64_t wanted = mg_thrift_int(metadata, 5, -1);
    int64_t data = mg_thrift_int(metadata, 9, -1);
    int64_t dictionary = mg_thrift_int(metadata, 11, -1);
    int64_t begin = dictionary > 0 && dictionary < data ? dictionary : data;
    mg_arena arena = { 0 };
    mg_status status = MG_OK;
    if (begin < 0 || (size_t)begin >= file.size || wanted < 0 ||
        mg_thrift_int(metadata, 1, -1) != leaf->type) {
        return damaged(work, leaf, "a wrong column chunk", err);
    }
    size_t at = (size_t)begin;
    while (leaf->count < wanted) {
        mg_value header;
        mg_arena_release(&arena);
        if (!mg_thrift_read(file, &at, &arena, &header)) {
            status = damaged(work, leaf, "a wrong page header", err);
            goto done;
        }
        int64_t bytes = mg_thrift_int(&header, 3, -1);
        if (bytes < 0 || (size_t)bytes > file.size - at || bytes > PAGE_BYTES_MAX) {
            status = damaged(work, leaf, "a page that is cut off", err);
            goto done;
        }
        MG_TRY_OR_DONE(
            read_page(work, leaf, codec, &header, mg_str_slice(file, at, at + (size_t)bytes), err));
        at += (size_t)bytes;
    }

done:
    mg_arena_release(&arena);
    return status;
}

mg_status mg_parquet_value(mg_parquet_work *work, const mg_parquet_leaf *leaf,
                           const mg_value *value, mg_arena *arena, mg_value *value_out,
                           mg_error *err)
{
    *value_out = *value;
    if (leaf->meaning == MG_MEANS_DECIMAL && value->kind == MG_INT) {
        unsigned char number[8];
        for (int k = 0; k < 8; k++) {
            number[k] = (unsigned char)((uint64_t)value->integer >> (8 * k));
        }
        *value_out = mg_arrow_decimal(arena, number, sizeof(number), false, leaf->scale);
    } else if (leaf->meaning == MG_MEANS_DECIMAL && value->kind == MG_STRING) {
        if (value->string.size == 0 || value->string.size > MG_ARROW_DECIMAL_BYTES_MAX) {
            return damaged(work, leaf, "a decimal of a wrong size", err);
        }
        *value_out = mg_arrow_decimal(arena, (const unsigned char *)value->string.data,
                                      value->string.size, true, leaf->scale);
    } else if (leaf->meaning == MG_MEANS_HALF && value->kind == MG_STRING) {
        *value_out = mg_value_of_double(mg_arrow_half((const unsigned char *)value->string.data));
    } else if (value->kind == MG_STRING) {
        if (leaf->meaning == MG_MEANS_TEXT && !mg_utf8_valid(value->string)) {
            return damaged(work, leaf, "text that is not valid UTF-8", err);
        }
        work->budget -= (int64_t)(value->string.size / 64);
        if (work->budget < 0) {
            return mg_fail(err, MG_ERR_LIMIT, "%s: holds more text than a file of its size can",
                           work->name);
        }
        *value_out = mg_arrow_binary(arena, value->string);
    } else if (value->kind == MG_INT && leaf->type == MG_PARQUET_INT96) {
        *value_out = mg_arrow_time_text(arena, MG_ARROW_TIMESTAMP, 2, value->integer);
    } else if (value->kind == MG_INT && leaf->meaning == MG_MEANS_DATE) {
        *value_out = mg_arrow_time_text(arena, MG_ARROW_DATE, 0, value->integer);
    } else if (value->kind == MG_INT && leaf->meaning == MG_MEANS_TIME) {
        *value_out = mg_arrow_time_text(arena, MG_ARROW_TIME, leaf->unit, value->integer);
    } else if (value->kind == MG_INT && leaf->meaning == MG_MEANS_TIMESTAMP) {
        *value_out = mg_arrow_time_text(arena, MG_ARROW_TIMESTAMP, leaf->unit, value->integer);
        if (leaf->is_utc) {
            value_out->string = mg_arena_printf(arena, "%.*s+00:00", MG_STR_ARG(value_out->string));
        }
    }
    return MG_OK;
}
