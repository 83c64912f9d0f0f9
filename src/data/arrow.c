/* data/arrow.c - Arrow IPC streams and files (tasks.md 6).
 *
 *   message  0xFFFFFFFF, i32 metadata bytes M, M bytes of flatbuffer, the body
 *            (before Arrow 0.15 the marker is missing and the first word is M)
 *   stream   schema, then dictionary and record batches, then M = 0 or the end of the file
 *   file     "ARROW1\0\0", a stream, a footer that is not needed for reading in order
 *
 * A batch's nodes and buffers stand in depth-first order of the schema; load_column walks both
 * together and checks lengths, so that arrow_column.c can read without further tests. */
#include "data/arrow_internal.h"
#include "data/unpack_internal.h"

#include <inttypes.h>

enum header_type { HEADER_SCHEMA = 1, HEADER_DICTIONARY = 2, HEADER_BATCH = 3 };

/* Values that a file may yield for each of its bytes: a bit each, and nulls that take no bytes. */
#define VALUES_PER_BYTE 8
#define VALUES_FREE 1000000
/* Unpacked bytes that a file may ask for, per byte of it and for nothing. */
#define UNPACKED_PER_BYTE 64
#define UNPACKED_FREE ((int64_t)256 << 20)

typedef struct arrow_reader {
    mg_arrow_work work;
    const mg_source *source;
    mg_str bytes;
    size_t at;
    mg_arena scratch; /* schema, decoded columns and unpacked buffers */
    mg_arrow_field *fields;
    int64_t field_count;
    bool has_schema;
    mg_arrow_dictionary *dictionaries;
    int64_t dictionary_count;
    mg_table *table;
    int64_t *columns; /* field index -> table column */
    /* of the batch being decoded */
    mg_flat batch;
    mg_str body;
    int64_t body_left;     /* bytes that buffers of the body may still take */
    int64_t unpacked_left; /* bytes that compressed buffers may still unpack to */
    int64_t codec;         /* -1 none, 0 LZ4, 1 zstd */
    int64_t node_count;
    size_t node_offset;
    int64_t node_next;
    int64_t buffer_count;
    size_t buffer_offset;
    int64_t buffer_next;
    int64_t view_count; /* variadic buffer counts */
    size_t view_offset;
    int64_t view_next;
} arrow_reader;

static mg_status damaged(const arrow_reader *reader, const char *what, mg_error *err)
{
    return mg_fail(err, MG_ERR_FORMAT, "%s: damaged Arrow data: %s", reader->source->name, what);
}

static const char *type_name(int64_t type)
{
    static const char *const names[MG_ARROW_TYPE_COUNT] = {
        "none",
        "null",
        "int",
        "floating point",
        "binary",
        "utf8",
        "bool",
        "decimal",
        "date",
        "time",
        "timestamp",
        "interval",
        "list",
        "struct",
        "union",
        "fixed binary",
        "fixed list",
        "map",
        "duration",
        "large binary",
        "large utf8",
        "large list",
        "run-end encoded",
        "binary view",
        "utf8 view",
        "list view",
        "large list view",
    };
    return type >= 0 && type < MG_ARROW_TYPE_COUNT ? names[type] : "unknown";
}

/* Times of the zone UTC are shown with it, those of others as they are stored. */
static bool read_zone(const mg_flat *type, mg_arrow_field *field)
{
    mg_str zone;
    bool good = mg_flat_string(type, 1, &zone);
    field->is_utc = good && (mg_str_is(zone, "UTC") || mg_str_is(zone, "+00:00"));
    return good;
}

/* Width, sign and unit from the type table of a field. */
static mg_status read_type(arrow_reader *reader, const mg_flat *flat, mg_arrow_field *field,
                           mg_error *err)
{
    mg_flat type;
    bool present;
    int64_t value = 0;
    bool good = mg_flat_int(flat, 2, 1, 0, &field->type) &&
                mg_flat_table(flat, 3, &present, &type) && present;
    if (!good) {
        return damaged(reader, "a field without a type", err);
    }
    switch (field->type) {
    case MG_ARROW_INT:
        good = mg_flat_int(&type, 0, 4, 0, &value);
        field->width = value / 8;
        good = good && (value == 8 || value == 16 || value == 32 || value == 64) &&
               mg_flat_int(&type, 1, 1, 0, &value);
        field->is_signed = value != 0;
        break;
    case MG_ARROW_FLOAT:
        good = mg_flat_int(&type, 0, 2, 0, &value) && value >= 0 && value <= 2;
        field->width = good ? (int64_t)2 << value : 0;
        break;
    case MG_ARROW_DATE:
        good = mg_flat_int(&type, 0, 2, 1, &field->unit);
        field->width = field->unit == 0 ? 4 : 8;
        field->is_signed = true;
        break;
    case MG_ARROW_TIME:
        good = mg_flat_int(&type, 0, 2, 1, &field->unit) && mg_flat_int(&type, 1, 4, 32, &value) &&
               (value == 32 || value == 64);
        field->width = value / 8;
        field->is_signed = true;
        break;
    case MG_ARROW_TIMESTAMP:
        good = mg_flat_int(&type, 0, 2, 0, &field->unit);
        field->width = 8;
        field->is_signed = true;
        good = good && read_zone(&type, field);
        break;
    case MG_ARROW_DECIMAL:
        good = mg_flat_int(&type, 1, 4, 0, &field->scale) &&
               mg_flat_int(&type, 2, 4, 128, &value) && value >= 32 && value % 32 == 0 &&
               value <= 8 * MG_ARROW_DECIMAL_BYTES_MAX &&
               field->scale >= -MG_ARROW_DECIMAL_SCALE_MAX &&
               field->scale <= MG_ARROW_DECIMAL_SCALE_MAX;
        field->width = value / 8;
        break;
    case MG_ARROW_FIXED_BINARY:
        good = mg_flat_int(&type, 0, 4, 0, &field->width) && field->width > 0;
        break;
    case MG_ARROW_FIXED_LIST:
        good = mg_flat_int(&type, 0, 4, 0, &field->list_size) && field->list_size >= 0;
        break;
    default:
        break;
    }
    return good ? MG_OK : damaged(reader, "a field with a wrong type", err);
}

static bool is_supported(int64_t type)
{
    return type >= MG_ARROW_NULL && type <= MG_ARROW_UTF8_VIEW && type != MG_ARROW_INTERVAL &&
           type != MG_ARROW_UNION && type != MG_ARROW_DURATION && type != MG_ARROW_RUN_END;
}

static mg_status read_dictionary_encoding(arrow_reader *reader, const mg_flat *flat,
                                          mg_arrow_field *field, mg_error *err)
{
    mg_flat encoding;
    mg_flat index;
    bool present;
    int64_t bits = 32;
    int64_t is_signed = 1;
    bool good = mg_flat_table(flat, 4, &field->is_dictionary, &encoding);
    if (good && field->is_dictionary) {
        good = mg_flat_int(&encoding, 0, 8, 0, &field->dictionary_id) &&
               mg_flat_table(&encoding, 1, &present, &index);
        if (good && present) {
            good = mg_flat_int(&index, 0, 4, 32, &bits) && mg_flat_int(&index, 1, 1, 0, &is_signed);
        }
        good = good && (bits == 8 || bits == 16 || bits == 32 || bits == 64);
        field->index_width = bits / 8;
        field->index_signed = is_signed != 0;
    }
    return good ? MG_OK : damaged(reader, "a wrong dictionary encoding", err);
}

static mg_status read_field(arrow_reader *reader, const mg_flat *flat, int depth,
                            mg_arrow_field *field, mg_error *err)
{
    mg_str name;
    size_t offset;
    if (depth > MG_DATA_DEPTH_MAX || !mg_flat_string(flat, 0, &name) ||
        !mg_flat_vector(flat, 5, 4, &field->child_count, &offset) ||
        field->child_count > MG_DATA_COLUMNS_MAX ||
        (reader->work.budget -= 1 + field->child_count) < 0) {
        return damaged(reader, "a wrong field in the schema", err);
    }
    field->name = mg_arena_copy(&reader->table->arena, name);
    MG_TRY(read_type(reader, flat, field, err));
    MG_TRY(read_dictionary_encoding(reader, flat, field, err));
    if (!is_supported(field->type)) {
        return mg_fail(err, MG_ERR_UNSUPPORTED,
                       "%s: column '%.*s' has the Arrow type '%s', which is not supported",
                       reader->source->name, MG_STR_ARG(field->name), type_name(field->type));
    }
    bool is_list = field->type == MG_ARROW_LIST || field->type == MG_ARROW_LARGE_LIST ||
                   field->type == MG_ARROW_FIXED_LIST || field->type == MG_ARROW_MAP;
    if (is_list && field->child_count != 1) {
        return damaged(reader, "a list without one child", err);
    }
    field->children = mg_arena_array(&reader->scratch, mg_arrow_field, field->child_count);
    for (int64_t i = 0; i < field->child_count; i++) {
        mg_flat child;
        if (!mg_flat_vector_table(flat, offset, i, &child)) {
            return damaged(reader, "a wrong field in the schema", err);
        }
        MG_TRY(read_field(reader, &child, depth + 1, &field->children[i], err));
    }
    return MG_OK;
}

static mg_status read_schema(arrow_reader *reader, const mg_flat *schema, mg_error *err)
{
    int64_t endianness;
    size_t offset;
    if (reader->has_schema) {
        return damaged(reader, "a second schema", err);
    }
    if (!mg_flat_int(schema, 0, 2, 0, &endianness) ||
        !mg_flat_vector(schema, 1, 4, &reader->field_count, &offset) ||
        reader->field_count > MG_DATA_COLUMNS_MAX) {
        return damaged(reader, "a wrong schema", err);
    }
    if (endianness != 0) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "%s: big-endian Arrow data is not supported",
                       reader->source->name);
    }
    reader->has_schema = true;
    reader->fields = mg_arena_array(&reader->scratch, mg_arrow_field, reader->field_count);
    reader->columns = mg_arena_array(&reader->scratch, int64_t, reader->field_count);
    for (int64_t i = 0; i < reader->field_count; i++) {
        mg_flat field;
        if (!mg_flat_vector_table(schema, offset, i, &field)) {
            return damaged(reader, "a wrong schema", err);
        }
        MG_TRY(read_field(reader, &field, 0, &reader->fields[i], err));
        MG_TRY(mg_table_column(reader->table, reader->fields[i].name, &reader->columns[i], err));
    }
    return MG_OK;
}

/* Unpacks a buffer: i64 unpacked bytes (-1: stored as it is), then the data. */
static mg_status unpack(arrow_reader *reader, mg_str packed, mg_str *bytes_out, mg_error *err)
{
    if (packed.size == 0) {
        *bytes_out = packed;
        return MG_OK;
    }
    if (packed.size < 8) {
        return damaged(reader, "a compressed buffer without its length", err);
    }
    int64_t bytes = mg_arrow_load((const unsigned char *)packed.data, 8, true);
    mg_str data = mg_str_slice(packed, 8, packed.size);
    if (bytes == -1) {
        *bytes_out = data;
        return MG_OK;
    }
    if (bytes < 0 || (uint64_t)bytes > (uint64_t)data.size * 4096 + 4096) {
        return damaged(reader, "a compressed buffer with a wrong length", err);
    }
    if ((reader->unpacked_left -= bytes) < 0) {
        return mg_fail(err, MG_ERR_LIMIT, "%s: unpacks to more than a file of its size can hold",
                       reader->source->name);
    }
    char *out = mg_arena_array(&reader->scratch, char, bytes + 1);
    mg_packing packing = reader->codec == 0 ? MG_PACKED_LZ4_FRAME : MG_PACKED_ZSTD;
    if (!mg_unpack(packing, data, out, (size_t)bytes)) {
        return damaged(reader, "a compressed buffer that does not unpack", err);
    }
    reader->work.budget += VALUES_PER_BYTE * bytes;
    *bytes_out = mg_str_make(out, (size_t)bytes);
    return MG_OK;
}

static mg_status next_buffer(arrow_reader *reader, mg_str *bytes_out, mg_error *err)
{
    if (reader->buffer_next >= reader->buffer_count) {
        return damaged(reader, "a batch with too few buffers", err);
    }
    const unsigned char *entry = (const unsigned char *)reader->batch.bytes.data +
                                 reader->buffer_offset + 16 * (size_t)reader->buffer_next++;
    int64_t offset = mg_arrow_load(entry, 8, true);
    int64_t length = mg_arrow_load(entry + 8, 8, true);
    if (offset < 0 || length < 0 || (size_t)offset > reader->body.size ||
        (size_t)length > reader->body.size - (size_t)offset) {
        return damaged(reader, "a buffer outside its message", err);
    }
    /* Buffers stand side by side: read twice, a few bytes could stand for any number of values. */
    if ((reader->body_left -= length) < 0) {
        return damaged(reader, "buffers that overlap", err);
    }
    mg_str bytes = mg_str_make(reader->body.data + offset, (size_t)length);
    if (reader->codec < 0) {
        *bytes_out = bytes;
        return MG_OK;
    }
    return unpack(reader, bytes, bytes_out, err);
}

/* The values buffer, of at least count elements of width bytes. */
static mg_status fixed_buffer(arrow_reader *reader, mg_arrow_column *column, int64_t width,
                              mg_error *err)
{
    mg_str bytes;
    MG_TRY(next_buffer(reader, &bytes, err));
    if (column->length > 0 && bytes.size / (size_t)width < (size_t)column->length) {
        return damaged(reader, "a values buffer that is too short", err);
    }
    column->values = (const unsigned char *)bytes.data;
    return MG_OK;
}

static mg_status bit_buffer(arrow_reader *reader, int64_t length, bool may_be_empty,
                            const unsigned char **bits_out, mg_error *err)
{
    mg_str bytes;
    MG_TRY(next_buffer(reader, &bytes, err));
    *bits_out = bytes.size > 0 ? (const unsigned char *)bytes.data : NULL;
    if ((bytes.size > 0 || !may_be_empty) &&
        bytes.size < (size_t)(length / 8 + (length % 8 != 0))) {
        return damaged(reader, "a bit buffer that is too short", err);
    }
    return MG_OK;
}

/* Offsets that never fall and end within limit. */
static mg_status offset_buffer(arrow_reader *reader, mg_arrow_column *column, int64_t width,
                               int64_t *end_out, mg_error *err)
{
    mg_str bytes;
    MG_TRY(next_buffer(reader, &bytes, err));
    *end_out = 0;
    if (column->length == 0) {
        return MG_OK;
    }
    if (bytes.size / (size_t)width <= (size_t)column->length) {
        return damaged(reader, "an offsets buffer that is too short", err);
    }
    column->values = (const unsigned char *)bytes.data;
    int64_t last = 0;
    for (int64_t i = 0; i <= column->length; i++) {
        int64_t offset = mg_arrow_load(column->values + i * width, width, true);
        if (offset < last) {
            return damaged(reader, "offsets that fall", err);
        }
        last = offset;
    }
    *end_out = last;
    return MG_OK;
}

static mg_status load_column(arrow_reader *reader, const mg_arrow_field *field, int64_t length,
                             mg_arrow_column *column, mg_error *err);

static mg_status load_text(arrow_reader *reader, mg_arrow_column *column, mg_error *err)
{
    int64_t type = column->field->type;
    int64_t width = type == MG_ARROW_LARGE_UTF8 || type == MG_ARROW_LARGE_BINARY ? 8 : 4;
    int64_t end;
    MG_TRY(offset_buffer(reader, column, width, &end, err));
    MG_TRY(next_buffer(reader, &column->data, err));
    if ((size_t)end > column->data.size) {
        return damaged(reader, "a text outside its buffer", err);
    }
    return MG_OK;
}

static mg_status load_views(arrow_reader *reader, mg_arrow_column *column, mg_error *err)
{
    MG_TRY(fixed_buffer(reader, column, 16, err));
    if (reader->view_next >= reader->view_count) {
        return damaged(reader, "a view column without its buffer count", err);
    }
    column->block_count = mg_arrow_load((const unsigned char *)reader->batch.bytes.data +
                                            reader->view_offset + 8 * (size_t)reader->view_next++,
                                        8, true);
    if (column->block_count < 0 || column->block_count > reader->buffer_count) {
        return damaged(reader, "a view column with too many buffers", err);
    }
    mg_str *blocks = mg_arena_array(&reader->scratch, mg_str, column->block_count);
    for (int64_t i = 0; i < column->block_count; i++) {
        MG_TRY(next_buffer(reader, &blocks[i], err));
    }
    column->blocks = blocks;
    return MG_OK;
}

static mg_status load_children(arrow_reader *reader, mg_arrow_column *column, int64_t length,
                               mg_error *err)
{
    column->child_count = column->field->child_count;
    column->children = mg_arena_array(&reader->scratch, mg_arrow_column, column->child_count);
    for (int64_t i = 0; i < column->child_count; i++) {
        MG_TRY(load_column(reader, &column->field->children[i], length, &column->children[i], err));
    }
    return MG_OK;
}

static mg_status load_list(arrow_reader *reader, mg_arrow_column *column, mg_error *err)
{
    const mg_arrow_field *field = column->field;
    int64_t end = 0;
    if (field->type == MG_ARROW_FIXED_LIST) {
        size_t product;
        if (!mg_size_mul((size_t)column->length, (size_t)field->list_size, &product) ||
            product > INT64_MAX) {
            return damaged(reader, "a list that is too long", err);
        }
        end = (int64_t)product;
    } else {
        MG_TRY(
            offset_buffer(reader, column, field->type == MG_ARROW_LARGE_LIST ? 8 : 4, &end, err));
    }
    MG_TRY(load_children(reader, column, -1, err));
    if (column->children[0].length < end) {
        return damaged(reader, "a list that is longer than its values", err);
    }
    return MG_OK;
}

static mg_status find_dictionary(arrow_reader *reader, mg_arrow_column *column, mg_error *err)
{
    for (int64_t i = 0; i < reader->dictionary_count; i++) {
        if (reader->dictionaries[i].id == column->field->dictionary_id) {
            column->dictionary = &reader->dictionaries[i];
            return MG_OK;
        }
    }
    return damaged(reader, "a dictionary that is missing", err);
}

static mg_status load_buffers(arrow_reader *reader, mg_arrow_column *column, mg_error *err)
{
    const mg_arrow_field *field = column->field;
    if (field->is_dictionary) {
        MG_TRY(fixed_buffer(reader, column, field->index_width, err));
        return find_dictionary(reader, column, err);
    }
    switch (field->type) {
    case MG_ARROW_BOOL:
        return bit_buffer(reader, column->length, false, &column->values, err);
    case MG_ARROW_UTF8:
    case MG_ARROW_BINARY:
    case MG_ARROW_LARGE_UTF8:
    case MG_ARROW_LARGE_BINARY:
        return load_text(reader, column, err);
    case MG_ARROW_UTF8_VIEW:
    case MG_ARROW_BINARY_VIEW:
        return load_views(reader, column, err);
    case MG_ARROW_LIST:
    case MG_ARROW_LARGE_LIST:
    case MG_ARROW_FIXED_LIST:
    case MG_ARROW_MAP:
        return load_list(reader, column, err);
    case MG_ARROW_STRUCT:
        return load_children(reader, column, column->length, err);
    default:
        return fixed_buffer(reader, column, field->width, err);
    }
}

/* Takes the next node and the buffers of field.  length >= 0 is the least the column must have. */
static mg_status load_column(arrow_reader *reader, const mg_arrow_field *field, int64_t length,
                             mg_arrow_column *column, mg_error *err)
{
    if (reader->node_next >= reader->node_count) {
        return damaged(reader, "a batch with too few columns", err);
    }
    const unsigned char *node = (const unsigned char *)reader->batch.bytes.data +
                                reader->node_offset + 16 * (size_t)reader->node_next++;
    column->field = field;
    column->length = mg_arrow_load(node, 8, true);
    if (column->length < 0 || column->length > INT64_MAX / 64 || column->length < length) {
        return damaged(reader, "a column with a wrong length", err);
    }
    if (field->type == MG_ARROW_NULL && !field->is_dictionary) {
        return MG_OK;
    }
    MG_TRY(bit_buffer(reader, column->length, true, &column->validity, err));
    return load_buffers(reader, column, err);
}

static mg_status start_batch(arrow_reader *reader, const mg_flat *batch, mg_str body,
                             int64_t *length_out, mg_error *err)
{
    mg_flat compression;
    bool compressed;
    reader->batch = *batch;
    reader->body = body;
    reader->body_left = (int64_t)body.size;
    reader->codec = -1;
    reader->node_next = reader->buffer_next = reader->view_next = 0;
    bool good = mg_flat_int(batch, 0, 8, 0, length_out) && *length_out >= 0 &&
                mg_flat_vector(batch, 1, 16, &reader->node_count, &reader->node_offset) &&
                mg_flat_vector(batch, 2, 16, &reader->buffer_count, &reader->buffer_offset) &&
                mg_flat_table(batch, 3, &compressed, &compression) &&
                mg_flat_vector(batch, 4, 8, &reader->view_count, &reader->view_offset) &&
                (!compressed || mg_flat_int(&compression, 0, 1, 0, &reader->codec));
    if (!good) {
        return damaged(reader, "a wrong record batch", err);
    }
    if (compressed && reader->codec != 0 && reader->codec != 1) {
        return damaged(reader, "an unknown compression", err);
    }
    return MG_OK;
}

static const mg_arrow_field *find_encoded(const mg_arrow_field *fields, int64_t count, int64_t id)
{
    for (int64_t i = 0; i < count; i++) {
        if (fields[i].is_dictionary && fields[i].dictionary_id == id) {
            return &fields[i];
        }
        const mg_arrow_field *inner = find_encoded(fields[i].children, fields[i].child_count, id);
        if (inner != NULL) {
            return inner;
        }
    }
    return NULL;
}

static mg_arrow_dictionary *dictionary_slot(arrow_reader *reader, int64_t id)
{
    for (int64_t i = 0; i < reader->dictionary_count; i++) {
        if (reader->dictionaries[i].id == id) {
            return &reader->dictionaries[i];
        }
    }
    if (reader->dictionaries == NULL) {
        reader->dictionaries =
            mg_arena_array(&reader->scratch, mg_arrow_dictionary, MG_DATA_COLUMNS_MAX);
    }
    if (reader->dictionary_count == MG_DATA_COLUMNS_MAX) {
        return NULL;
    }
    mg_arrow_dictionary *slot = &reader->dictionaries[reader->dictionary_count++];
    slot->id = id;
    return slot;
}

/* Appends a batch to a dictionary, or begins it anew. */
static mg_status add_part(arrow_reader *reader, mg_arrow_dictionary *slot, bool is_delta,
                          const mg_arrow_column *column, mg_error *err)
{
    if (!is_delta) {
        slot->part_count = slot->length = 0;
    }
    if (column->length > INT64_MAX / 2 - slot->length) {
        return damaged(reader, "a dictionary that is too long", err);
    }
    if (slot->part_count == slot->part_cap) {
        int64_t cap = MG_MAX(2 * slot->part_cap, 4);
        mg_arrow_column *parts = mg_arena_array(&reader->scratch, mg_arrow_column, cap);
        int64_t *firsts = mg_arena_array(&reader->scratch, int64_t, cap);
        for (int64_t i = 0; i < slot->part_count; i++) {
            parts[i] = slot->parts[i];
            firsts[i] = slot->firsts[i];
        }
        slot->parts = parts;
        slot->firsts = firsts;
        slot->part_cap = cap;
    }
    slot->firsts[slot->part_count] = slot->length;
    slot->parts[slot->part_count++] = *column;
    slot->length += column->length;
    return MG_OK;
}

static mg_status read_dictionary(arrow_reader *reader, const mg_flat *header, mg_str body,
                                 mg_error *err)
{
    int64_t id;
    int64_t is_delta;
    int64_t length;
    bool present;
    mg_flat batch;
    if (!mg_flat_int(header, 0, 8, 0, &id) || !mg_flat_table(header, 1, &present, &batch) ||
        !present || !mg_flat_int(header, 2, 1, 0, &is_delta)) {
        return damaged(reader, "a wrong dictionary batch", err);
    }
    const mg_arrow_field *encoded = find_encoded(reader->fields, reader->field_count, id);
    mg_arrow_dictionary *slot = dictionary_slot(reader, id);
    if (encoded == NULL || slot == NULL) {
        return damaged(reader, "a dictionary that no column uses", err);
    }
    mg_arrow_field *field = mg_arena_new(&reader->scratch, mg_arrow_field);
    *field = *encoded;
    field->is_dictionary = false;
    MG_TRY(start_batch(reader, &batch, body, &length, err));
    mg_arrow_column column = { 0 };
    MG_TRY(load_column(reader, field, 0, &column, err));
    return add_part(reader, slot, is_delta != 0, &column, err);
}

static mg_status read_batch(arrow_reader *reader, const mg_flat *batch, mg_str body, mg_error *err)
{
    int64_t length;
    mg_table *table = reader->table;
    MG_TRY(start_batch(reader, batch, body, &length, err));
    mg_arrow_column *columns =
        mg_arena_array(&reader->scratch, mg_arrow_column, reader->field_count);
    for (int64_t c = 0; c < reader->field_count; c++) {
        MG_TRY(load_column(reader, &reader->fields[c], length, &columns[c], err));
    }
    for (int64_t r = 0; r < length; r++) {
        mg_value *row;
        if (--reader->work.budget < 0) {
            return damaged(reader, "more rows than a file of its size can hold", err);
        }
        MG_TRY(mg_table_add_row(table, &row, err));
        *row = mg_value_of_map(&table->arena, table->column_count);
        for (int64_t c = 0; c < table->column_count; c++) {
            row->entries[c].key.kind = MG_STRING;
            row->entries[c].key.string = table->columns[c];
        }
        for (int64_t c = 0; c < reader->field_count; c++) {
            mg_value *value = &row->entries[reader->columns[c]].value;
            MG_TRY(mg_arrow_value(&reader->work, &columns[c], r, value, err));
        }
    }
    return MG_OK;
}

/* Cuts the next message; *more_out is false at the end of the stream. */
static mg_status next_message(arrow_reader *reader, bool *more_out, mg_flat *message_out,
                              mg_str *body_out, mg_error *err)
{
    size_t left = reader->bytes.size - reader->at;
    const unsigned char *at = (const unsigned char *)reader->bytes.data + reader->at;
    *more_out = false;
    if (left < 4) {
        return MG_OK;
    }
    int64_t metadata = mg_arrow_load(at, 4, true);
    size_t prefix = 4;
    if (metadata == -1) {
        if (left < 8) {
            return damaged(reader, "the last message is cut off", err);
        }
        metadata = mg_arrow_load(at + 4, 4, true);
        prefix = 8;
    }
    if (metadata == 0) {
        return MG_OK;
    }
    int64_t body_bytes;
    if (metadata < 0 || (size_t)metadata > left - prefix) {
        return damaged(reader, "the last message is cut off", err);
    }
    mg_str bytes = mg_str_make((const char *)at + prefix, (size_t)metadata);
    if (!mg_flat_root(bytes, message_out) || !mg_flat_int(message_out, 3, 8, 0, &body_bytes) ||
        body_bytes < 0) {
        return damaged(reader, "a wrong message header", err);
    }
    left -= prefix + (size_t)metadata;
    if ((size_t)body_bytes > left) {
        return damaged(reader, "the last message is cut off", err);
    }
    *body_out = mg_str_make(bytes.data + bytes.size, (size_t)body_bytes);
    reader->at += prefix + (size_t)metadata + (size_t)body_bytes;
    *more_out = true;
    return MG_OK;
}

static mg_status read_message(arrow_reader *reader, const mg_flat *message, mg_str body,
                              mg_error *err)
{
    int64_t type;
    bool present;
    mg_flat header;
    if (!mg_flat_int(message, 1, 1, 0, &type) || !mg_flat_table(message, 2, &present, &header) ||
        !present) {
        return damaged(reader, "a message without a header", err);
    }
    if (type == HEADER_SCHEMA) {
        return read_schema(reader, &header, err);
    }
    if (!reader->has_schema) {
        return damaged(reader, "a batch before the schema", err);
    }
    if (type == HEADER_DICTIONARY) {
        return read_dictionary(reader, &header, body, err);
    }
    return type == HEADER_BATCH ? read_batch(reader, &header, body, err) : MG_OK;
}

mg_status mg_arrow_rows(mg_str bytes, const mg_source *source, mg_table *table, mg_error *err)
{
    mg_status status = MG_OK;
    arrow_reader reader = { .source = source, .bytes = bytes, .table = table };
    reader.work.name = source->name;
    reader.work.arena = &table->arena;
    reader.work.budget = (int64_t)bytes.size * VALUES_PER_BYTE + VALUES_FREE;
    reader.unpacked_left = (int64_t)bytes.size * UNPACKED_PER_BYTE + UNPACKED_FREE;
    table->bytes += bytes.size;
    if (bytes.size >= 8 && memcmp(bytes.data, "ARROW1\0\0", 8) == 0) {
        reader.at = 8;
    }
    bool more = true;
    while (more) {
        mg_flat message;
        mg_str body;
        MG_TRY_OR_DONE(next_message(&reader, &more, &message, &body, err));
        if (more) {
            MG_TRY_OR_DONE(read_message(&reader, &message, body, err));
        }
    }
    if (!reader.has_schema) {
        status = damaged(&reader, "no schema, not an Arrow stream", err);
    }

done:
    mg_arena_release(&reader.scratch);
    return status;
}
