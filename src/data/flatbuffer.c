/* data/flatbuffer.c - bounds-checked access to the flatbuffers of Arrow messages (tasks.md 6).
 *
 *   root     u32 offset of the root table, at byte 0
 *   table    i32 back-offset to its vtable, then its fields
 *   vtable   u16 size, u16 table size, then a u16 field offset for each slot (0 = absent)
 *   vector   u32 count, then the elements; string: u32 length, then UTF-8
 * References are u32 offsets from their own place forward. */
#include "data/arrow_internal.h"

int64_t mg_arrow_load(const unsigned char *bytes, int64_t width, bool is_signed)
{
    uint64_t value = 0;
    for (int64_t i = 0; i < width; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    if (is_signed && width < 8 && (value >> (8 * width - 1)) != 0) {
        value |= ~(uint64_t)0 << (8 * width);
    }
    return (int64_t)value;
}

static bool load(mg_str bytes, size_t offset, int width, bool is_signed, int64_t *value_out)
{
    if (bytes.size < (size_t)width || offset > bytes.size - (size_t)width) {
        return false;
    }
    *value_out = mg_arrow_load((const unsigned char *)bytes.data + offset, width, is_signed);
    return true;
}

/* Follows the u32 reference at offset. */
static bool follow(mg_str bytes, size_t offset, size_t *target_out)
{
    int64_t step;
    if (!load(bytes, offset, 4, false, &step) || step == 0 || (size_t)step > bytes.size - offset) {
        return false;
    }
    *target_out = offset + (size_t)step;
    return true;
}

bool mg_flat_root(mg_str bytes, mg_flat *root_out)
{
    size_t target;
    if (bytes.size > UINT32_MAX || !follow(bytes, 0, &target)) {
        return false;
    }
    root_out->bytes = bytes;
    root_out->table = (uint32_t)target;
    return true;
}

/* The offset of a slot's field; 0 when absent. */
static bool field_offset(const mg_flat *at, int slot, size_t *offset_out)
{
    int64_t back;
    int64_t vtable_bytes;
    int64_t field;
    *offset_out = 0;
    if (!load(at->bytes, at->table, 4, true, &back)) {
        return false;
    }
    int64_t vtable = (int64_t)at->table - back;
    if (vtable < 0 || !load(at->bytes, (size_t)vtable, 2, false, &vtable_bytes)) {
        return false;
    }
    if (4 + 2 * slot + 2 > vtable_bytes) {
        return true;
    }
    if (!load(at->bytes, (size_t)(vtable + 4 + 2 * slot), 2, false, &field)) {
        return false;
    }
    if (field != 0) {
        *offset_out = (size_t)at->table + (size_t)field;
        return *offset_out < at->bytes.size;
    }
    return true;
}

bool mg_flat_int(const mg_flat *at, int slot, size_t bytes, int64_t fallback, int64_t *value_out)
{
    size_t offset;
    *value_out = fallback;
    if (!field_offset(at, slot, &offset)) {
        return false;
    }
    return offset == 0 || load(at->bytes, offset, (int)bytes, true, value_out);
}

bool mg_flat_table(const mg_flat *at, int slot, bool *present_out, mg_flat *table_out)
{
    size_t offset;
    size_t target;
    *present_out = false;
    if (!field_offset(at, slot, &offset)) {
        return false;
    }
    if (offset == 0) {
        return true;
    }
    if (!follow(at->bytes, offset, &target)) {
        return false;
    }
    *present_out = true;
    table_out->bytes = at->bytes;
    table_out->table = (uint32_t)target;
    return true;
}

bool mg_flat_vector(const mg_flat *at, int slot, size_t element_bytes, int64_t *count_out,
                    size_t *offset_out)
{
    size_t offset;
    size_t target;
    *count_out = 0;
    *offset_out = 0;
    if (!field_offset(at, slot, &offset)) {
        return false;
    }
    if (offset == 0) {
        return true;
    }
    if (!follow(at->bytes, offset, &target) || !load(at->bytes, target, 4, false, count_out)) {
        return false;
    }
    *offset_out = target + 4;
    return (size_t)*count_out <= (at->bytes.size - *offset_out) / element_bytes;
}

bool mg_flat_string(const mg_flat *at, int slot, mg_str *text_out)
{
    int64_t count;
    size_t offset;
    *text_out = mg_str_make("", 0);
    if (!mg_flat_vector(at, slot, 1, &count, &offset)) {
        return false;
    }
    if (count > 0) {
        *text_out = mg_str_make(at->bytes.data + offset, (size_t)count);
    }
    return true;
}

bool mg_flat_vector_table(const mg_flat *at, size_t vector_offset, int64_t index,
                          mg_flat *table_out)
{
    size_t target;
    if (!follow(at->bytes, vector_offset + 4 * (size_t)index, &target)) {
        return false;
    }
    table_out->bytes = at->bytes;
    table_out->table = (uint32_t)target;
    return true;
}
