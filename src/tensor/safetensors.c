/* tensor/safetensors.c - a mapped safetensors file.
 *
 *     u64 little-endian N | N bytes of JSON header | data
 */
#include "tensor/safetensors.h"

#include "base/fs.h"
#include "base/memory.h"
#include "tensor/safetensors_internal.h"

struct mg_safetensors {
    mg_mapping mapping;
    mg_header header;
};

static uint64_t read_le64(const unsigned char *bytes)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) {
        value = value << 8 | bytes[i];
    }
    return value;
}

static mg_status parse_file(mg_safetensors *file, mg_error *err)
{
    if (file->mapping.size < 8) {
        return mg_fail(err, MG_ERR_FORMAT, "%zu bytes are no safetensors file", file->mapping.size);
    }
    if (memcmp(file->mapping.data, "version ", 8) == 0) {
        return mg_fail(err, MG_ERR_FORMAT,
                       "is a pointer of Git LFS, not the weights: fetch them with git lfs pull");
    }
    uint64_t header_bytes = read_le64(file->mapping.data);
    if (header_bytes > MG_SAFETENSORS_HEADER_BYTES_MAX || header_bytes > file->mapping.size - 8) {
        return mg_fail(err, MG_ERR_FORMAT,
                       "the header should have %llu bytes, the file has %zu (cut off, or no "
                       "safetensors file)",
                       (unsigned long long)header_bytes, file->mapping.size);
    }
    mg_str text = mg_str_make((const char *)file->mapping.data + 8, (size_t)header_bytes);
    size_t data_offset = 8 + (size_t)header_bytes;
    MG_TRY(mg_header_parse(text, file->mapping.size - data_offset, &file->header, err));
    for (int64_t i = 0; i < file->header.count; i++) {
        mg_header_entry *entry = &file->header.entries[i];
        entry->view.data = file->mapping.data + data_offset + entry->begin;
    }
    return MG_OK;
}

mg_status mg_safetensors_open(const char *path, mg_safetensors **file_out, mg_error *err)
{
    *file_out = NULL;
    mg_safetensors *file = mg_new(mg_safetensors);
    mg_status status = mg_mapping_open(path, &file->mapping, err);
    if (status == MG_OK) {
        status = parse_file(file, err);
        if (status != MG_OK) {
            mg_error_prefix(err, "%s", path);
        }
    }
    if (status != MG_OK) {
        mg_safetensors_close(file);
        return status;
    }
    *file_out = file;
    return MG_OK;
}

void mg_safetensors_close(mg_safetensors *file)
{
    if (file == NULL) {
        return;
    }
    mg_header_release(&file->header);
    mg_mapping_close(&file->mapping);
    mg_free(file);
}

int64_t mg_safetensors_count(const mg_safetensors *file)
{
    return file->header.count;
}

mg_view mg_safetensors_at(const mg_safetensors *file, int64_t index)
{
    MG_ASSERT(index >= 0 && index < file->header.count);
    return file->header.entries[index].view;
}

mg_status mg_safetensors_find(const mg_safetensors *file, mg_str name, mg_view *view_out,
                              mg_error *err)
{
    int64_t begin = 0;
    int64_t end = file->header.count;
    while (begin < end) {
        int64_t middle = begin + (end - begin) / 2;
        int order = mg_str_compare(file->header.entries[middle].view.name, name);
        if (order == 0) {
            *view_out = file->header.entries[middle].view;
            return MG_OK;
        }
        if (order < 0) {
            begin = middle + 1;
        } else {
            end = middle;
        }
    }
    return mg_fail(err, MG_ERR_NOT_FOUND, "no tensor '%.*s'", MG_STR_ARG(name));
}

mg_mapping mg_safetensors_mapping(const mg_safetensors *file)
{
    return file->mapping;
}

mg_status mg_safetensors_check_header(mg_str text, size_t data_bytes, mg_error *err)
{
    mg_header header = { 0 };
    mg_status status = mg_header_parse(text, data_bytes, &header, err);
    mg_header_release(&header);
    return status;
}
