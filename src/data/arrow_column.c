/* data/arrow_column.c - values out of decoded Arrow columns.
 *
 * Lists and structs recurse into their children; dictionary-encoded columns look their index up in
 * the parts of the dictionary.  Dates, times and timestamps become the text that Python prints for
 * them, binary becomes base64 unless it is text. */
#include "data/arrow_internal.h"

#include "text/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static mg_status damaged(const mg_arrow_work *work, const mg_arrow_column *column, const char *what,
                         mg_error *err)
{
    return mg_fail(err, MG_ERR_FORMAT, "%s: column '%.*s': %s", work->name,
                   MG_STR_ARG(column->field->name), what);
}

double mg_arrow_half(const unsigned char *bytes)
{
    unsigned bits = bytes[0] | (unsigned)bytes[1] << 8;
    int exponent = (bits >> 10) & 31;
    double fraction = (double)(bits & 1023);
    double value = exponent == 0    ? ldexp(fraction, -24)
                   : exponent == 31 ? (fraction != 0 ? (double)NAN : (double)INFINITY)
                                    : ldexp(fraction + 1024, exponent - 25);
    return (bits & 0x8000) != 0 ? -value : value;
}

static double load_float(const unsigned char *bytes, int64_t width)
{
    if (width == 8) {
        double value;
        memcpy(&value, bytes, sizeof(value));
        return value;
    }
    if (width == 4) {
        float value;
        memcpy(&value, bytes, sizeof(value));
        return (double)value;
    }
    return mg_arrow_half(bytes);
}

/* a / b rounded down, and the rest in [0, b); no a overflows. */
static int64_t floor_div(int64_t a, int64_t b, int64_t *rest_out)
{
    bool down = a % b < 0;
    *rest_out = a % b + (down ? b : 0);
    return a / b - (down ? 1 : 0);
}

/* Days since 1970-01-01 to a civil date (Hinnant's algorithm, proleptic Gregorian). */
static void civil_date(int64_t days, int64_t *year, int *month, int *day)
{
    int64_t day_of_era;
    int64_t era = floor_div(days, 146097, &day_of_era);
    era += (day_of_era + 719468) / 146097; /* eras begin on a 1st of March */
    day_of_era = (day_of_era + 719468) % 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153; /* month counted from March */
    *day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = year_of_era + era * 400 + (*month <= 2 ? 1 : 0);
}

mg_value mg_arrow_time_text(mg_arena *arena, int64_t type, int64_t unit, int64_t value)
{
    static const int64_t per_second[] = { 1, 1000, 1000000, 1000000000 };
    int64_t scale = per_second[unit & 3];
    int64_t rest;
    int64_t year;
    int month;
    int day;
    mg_value text = mg_value_null;
    text.kind = MG_STRING;
    if (type == MG_ARROW_DATE) {
        civil_date(unit == 0 ? value : floor_div(value, 86400000, &rest), &year, &month, &day);
        text.string = mg_arena_printf(arena, "%04" PRId64 "-%02d-%02d", year, month, day);
        return text;
    }
    int64_t seconds = floor_div(value, scale, &rest);
    int64_t micros = rest * 1000000 / scale;
    int64_t in_day;
    int64_t days = floor_div(seconds, 86400, &in_day);
    char clock[64];
    snprintf(clock, sizeof(clock), "%02d:%02d:%02d", (int)(in_day / 3600), (int)(in_day / 60 % 60),
             (int)(in_day % 60));
    size_t used = strlen(clock);
    if (micros != 0) {
        snprintf(clock + used, sizeof(clock) - used, ".%06d", (int)micros);
    }
    if (type == MG_ARROW_TIME) {
        text.string = mg_arena_printf(arena, "%s", clock);
    } else {
        civil_date(days, &year, &month, &day);
        text.string = mg_arena_printf(arena, "%04" PRId64 "-%02d-%02d %s", year, month, day, clock);
    }
    return text;
}

mg_value mg_arrow_decimal(mg_arena *arena, const unsigned char *bytes, size_t size, bool big_endian,
                          int64_t scale)
{
    unsigned char digits[3 * MG_ARROW_DECIMAL_BYTES_MAX]; /* the last first */
    unsigned char number[MG_ARROW_DECIMAL_BYTES_MAX];     /* the highest first */
    int64_t count = 0;
    bool negative = (bytes[big_endian ? 0 : size - 1] & 0x80) != 0;
    unsigned carry = negative ? 1 : 0;
    for (size_t i = size; i-- > 0;) { /* the magnitude: a negative number is inverted, plus 1 */
        unsigned byte = bytes[big_endian ? i : size - 1 - i];
        unsigned sum = (negative ? byte ^ 0xffu : byte) + carry;
        number[i] = (unsigned char)sum;
        carry = sum >> 8;
    }
    bool left = true;
    while (left || count == 0) {
        unsigned rest = 0;
        left = false;
        for (size_t i = 0; i < size; i++) {
            unsigned value = rest << 8 | number[i];
            number[i] = (unsigned char)(value / 10);
            rest = value % 10;
            left = left || number[i] != 0;
        }
        digits[count++] = (unsigned char)('0' + rest);
    }
    mg_buf text = { 0 };
    int64_t exponent = count - 1 - scale;
    bool plain = scale >= 0 && exponent >= -6; /* as Python's str(Decimal) */
    int64_t behind = plain ? scale : count - 1;
    mg_buf_add_text(&text, negative ? "-" : "");
    for (int64_t i = MG_MAX(count, plain ? scale + 1 : 1); i-- > 0;) {
        mg_buf_add_char(&text, i < count ? (char)digits[i] : '0');
        mg_buf_add_text(&text, i == behind && i > 0 ? "." : "");
    }
    if (!plain) {
        mg_buf_printf(&text, "E%+" PRId64, exponent);
    }
    mg_value value = mg_value_of_str(arena, mg_buf_view(&text));
    mg_buf_release(&text);
    return value;
}

mg_value mg_arrow_binary(mg_arena *arena, mg_str bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (mg_utf8_valid(bytes)) {
        return mg_value_of_str(arena, bytes);
    }
    mg_buf text = { 0 };
    for (size_t i = 0; i < bytes.size; i += 3) {
        uint32_t group = 0;
        size_t have = MG_MIN(bytes.size - i, (size_t)3);
        for (size_t k = 0; k < 3; k++) {
            group = group << 8 | (k < have ? (unsigned char)bytes.data[i + k] : 0u);
        }
        for (size_t k = 0; k < 4; k++) {
            mg_buf_add_char(&text, k <= have ? digits[group >> (18 - 6 * k) & 63] : '=');
        }
    }
    mg_value value = mg_value_of_str(arena, mg_buf_view(&text));
    mg_buf_release(&text);
    return value;
}

static bool is_large(int64_t type)
{
    return type == MG_ARROW_LARGE_BINARY || type == MG_ARROW_LARGE_UTF8 ||
           type == MG_ARROW_LARGE_LIST;
}

static void load_offsets(const mg_arrow_column *column, int64_t index, int64_t *begin, int64_t *end)
{
    int64_t width = is_large(column->field->type) ? 8 : 4;
    *begin = mg_arrow_load(column->values + index * width, width, true);
    *end = mg_arrow_load(column->values + (index + 1) * width, width, true);
}

static mg_status text_value(mg_arrow_work *work, const mg_arrow_column *column, mg_str bytes,
                            mg_value *value_out, mg_error *err)
{
    int64_t type = column->field->type;
    bool is_text =
        type == MG_ARROW_UTF8 || type == MG_ARROW_LARGE_UTF8 || type == MG_ARROW_UTF8_VIEW;
    work->budget -= (int64_t)(bytes.size / 8);
    if (is_text && !mg_utf8_valid(bytes)) {
        return damaged(work, column, "text that is not valid UTF-8", err);
    }
    *value_out =
        is_text ? mg_value_of_str(work->arena, bytes) : mg_arrow_binary(work->arena, bytes);
    return MG_OK;
}

/* A view is i32 length, then 12 bytes of text, or a 4-byte prefix, block number and offset. */
static mg_status view_value(mg_arrow_work *work, const mg_arrow_column *column, int64_t index,
                            mg_value *value_out, mg_error *err)
{
    const unsigned char *view = column->values + index * 16;
    int64_t length = mg_arrow_load(view, 4, true);
    if (length < 0) {
        return damaged(work, column, "a negative length", err);
    }
    if (length <= 12) {
        return text_value(work, column, mg_str_make((const char *)view + 4, (size_t)length),
                          value_out, err);
    }
    int64_t block = mg_arrow_load(view + 8, 4, true);
    int64_t offset = mg_arrow_load(view + 12, 4, true);
    if (block < 0 || block >= column->block_count || offset < 0 ||
        (size_t)(offset + length) > column->blocks[block].size) {
        return damaged(work, column, "a text outside its buffer", err);
    }
    return text_value(work, column,
                      mg_str_make(column->blocks[block].data + offset, (size_t)length), value_out,
                      err);
}

static mg_status list_value(mg_arrow_work *work, const mg_arrow_column *column, int64_t index,
                            mg_value *value_out, mg_error *err)
{
    int64_t begin = index * column->field->list_size;
    int64_t end = begin + column->field->list_size;
    if (column->field->type != MG_ARROW_FIXED_LIST) {
        load_offsets(column, index, &begin, &end);
    }
    if (work->budget < end - begin) {
        return mg_fail(err, MG_ERR_LIMIT, "%s: holds more values than a file of its size can",
                       work->name);
    }
    *value_out = mg_value_of_list(work->arena, end - begin);
    for (int64_t i = begin; i < end; i++) {
        MG_TRY(mg_arrow_value(work, &column->children[0], i, &value_out->items[i - begin], err));
    }
    return MG_OK;
}

static mg_status struct_value(mg_arrow_work *work, const mg_arrow_column *column, int64_t index,
                              mg_value *value_out, mg_error *err)
{
    *value_out = mg_value_of_map(work->arena, column->child_count);
    for (int64_t i = 0; i < column->child_count; i++) {
        value_out->entries[i].key.kind = MG_STRING;
        value_out->entries[i].key.string = column->children[i].field->name;
        MG_TRY(
            mg_arrow_value(work, &column->children[i], index, &value_out->entries[i].value, err));
    }
    return MG_OK;
}

static mg_status dictionary_value(mg_arrow_work *work, const mg_arrow_column *column, int64_t index,
                                  mg_value *value_out, mg_error *err)
{
    int64_t width = column->field->index_width;
    int64_t key = mg_arrow_load(column->values + index * width, width, column->field->index_signed);
    const mg_arrow_dictionary *dictionary = column->dictionary;
    if (key < 0 || key >= dictionary->length) {
        return damaged(work, column, "an index outside its dictionary", err);
    }
    /* The last part that begins at or before key: not an empty one, whose successor begins there
     * too. */
    int64_t low = 0;
    int64_t high = dictionary->part_count - 1;
    while (low < high) {
        int64_t middle = low + (high - low + 1) / 2;
        if (dictionary->firsts[middle] <= key) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return mg_arrow_value(work, &dictionary->parts[low], key - dictionary->firsts[low], value_out,
                          err);
}

static mg_status number_value(mg_arrow_work *work, const mg_arrow_column *column, int64_t index,
                              mg_value *value_out, mg_error *err)
{
    const mg_arrow_field *field = column->field;
    const unsigned char *at = column->values + index * field->width;
    if (field->type == MG_ARROW_FLOAT) {
        *value_out = mg_value_of_double(load_float(at, field->width));
        return MG_OK;
    }
    int64_t value = mg_arrow_load(at, field->width, field->is_signed);
    if (field->type != MG_ARROW_INT) {
        *value_out = mg_arrow_time_text(work->arena, field->type, field->unit, value);
        if (field->is_utc) {
            value_out->string =
                mg_arena_printf(work->arena, "%.*s+00:00", MG_STR_ARG(value_out->string));
        }
        return MG_OK;
    }
    if (!field->is_signed && field->width == 8 && value < 0) {
        return damaged(work, column, "a number above 2^63", err);
    }
    *value_out = mg_value_of_int(value);
    return MG_OK;
}

static mg_status present_value(mg_arrow_work *work, const mg_arrow_column *column, int64_t index,
                               mg_value *value_out, mg_error *err)
{
    if (column->field->is_dictionary) {
        return dictionary_value(work, column, index, value_out, err);
    }
    int64_t begin;
    int64_t end;
    switch (column->field->type) {
    case MG_ARROW_NULL:
        return MG_OK;
    case MG_ARROW_BOOL:
        *value_out = mg_value_of_bool((column->values[index / 8] >> (index % 8) & 1) != 0);
        return MG_OK;
    case MG_ARROW_INT:
    case MG_ARROW_FLOAT:
    case MG_ARROW_DATE:
    case MG_ARROW_TIME:
    case MG_ARROW_TIMESTAMP:
        return number_value(work, column, index, value_out, err);
    case MG_ARROW_DECIMAL:
        *value_out = mg_arrow_decimal(work->arena, column->values + index * column->field->width,
                                      (size_t)column->field->width, false, column->field->scale);
        return MG_OK;
    case MG_ARROW_FIXED_BINARY:
        return text_value(work, column,
                          mg_str_make((const char *)column->values + index * column->field->width,
                                      (size_t)column->field->width),
                          value_out, err);
    case MG_ARROW_UTF8:
    case MG_ARROW_BINARY:
    case MG_ARROW_LARGE_UTF8:
    case MG_ARROW_LARGE_BINARY:
        load_offsets(column, index, &begin, &end);
        return text_value(work, column,
                          mg_str_make(column->data.data + begin, (size_t)(end - begin)), value_out,
                          err);
    case MG_ARROW_UTF8_VIEW:
    case MG_ARROW_BINARY_VIEW:
        return view_value(work, column, index, value_out, err);
    case MG_ARROW_LIST:
    case MG_ARROW_LARGE_LIST:
    case MG_ARROW_MAP:
    case MG_ARROW_FIXED_LIST:
        return list_value(work, column, index, value_out, err);
    case MG_ARROW_STRUCT:
        return struct_value(work, column, index, value_out, err);
    default:
        return damaged(work, column, "a type that is not supported", err);
    }
}

mg_status mg_arrow_value(mg_arrow_work *work, const mg_arrow_column *column, int64_t index,
                         mg_value *value_out, mg_error *err)
{
    *value_out = mg_value_null;
    if (--work->budget < 0 || work->depth >= 2 * MG_DATA_DEPTH_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "%s: holds more values than a file of its size can",
                       work->name);
    }
    if (column->validity != NULL && (column->validity[index / 8] >> (index % 8) & 1) == 0) {
        return MG_OK;
    }
    work->depth++;
    mg_status status = present_value(work, column, index, value_out, err);
    work->depth--;
    return status;
}
