/* tensor/torch_zip.c - the directory of a zip archive of stored members, as torch.save writes it.
 *
 *     member:     "PK\3\4" ... name length u16 at 26, extra length u16 at 28, name, extra, data
 *     directory:  "PK\1\2" flags at 8, method at 10, sizes u32 at 20 and 24, name, extra and
 * comment lengths u16 at 28, 30, 32, member offset u32 at 42, name, extra, comment end: "PK\5\6"
 * entries u16 at 10, directory size u32 at 12, offset u32 at 16, comment
 *
 * Values of all ones are found in 64 bits in a ZIP64 extra field (id 1), or in the ZIP64 end record
 * "PK\6\6", which a locator "PK\6\7" just before the end points to. */
#include "tensor/torch_zip_internal.h"

#include <stdlib.h>

#include "base/memory.h"

#define END_BYTES 22
#define LOCATOR_BYTES 20
#define END64_BYTES 56
#define ENTRY_BYTES 46
#define MEMBER_BYTES 30
#define COMMENT_BYTES_MAX 65535
#define ENTRIES_MAX 10000000

typedef struct archive {
    const unsigned char *data;
    size_t size;
    mg_error *err;
} archive;

static uint64_t number_at(const archive *a, size_t offset, int bytes)
{
    uint64_t number = 0;
    for (int i = bytes - 1; i >= 0; i--) {
        number = number << 8 | a->data[offset + (size_t)i];
    }
    return number;
}

static mg_status damaged(const archive *a, const char *what)
{
    return mg_fail(a->err, MG_ERR_FORMAT, "damaged zip archive: %s", what);
}

/* Whether [offset, offset + bytes) lies inside the archive. */
static bool inside(const archive *a, uint64_t offset, uint64_t bytes)
{
    return offset <= a->size && bytes <= a->size - offset;
}

/* Finds the end record, which at most a comment follows. */
static mg_status find_end(const archive *a, size_t *offset_out)
{
    if (a->size < END_BYTES) {
        return damaged(a, "too short");
    }
    size_t last = a->size - END_BYTES;
    size_t first = last > COMMENT_BYTES_MAX ? last - COMMENT_BYTES_MAX : 0;
    for (size_t offset = last + 1; offset > first; offset--) {
        if (number_at(a, offset - 1, 4) == 0x06054b50U &&
            number_at(a, offset - 1 + 20, 2) == last - (offset - 1)) {
            *offset_out = offset - 1;
            return MG_OK;
        }
    }
    return damaged(a, "no directory at its end (cut off?)");
}

typedef struct directory {
    uint64_t count;
    uint64_t bytes;
    uint64_t offset;
} directory;

static mg_status find_directory(const archive *a, directory *dir)
{
    size_t end = 0;
    MG_TRY(find_end(a, &end));
    dir->count = number_at(a, end + 10, 2);
    dir->bytes = number_at(a, end + 12, 4);
    dir->offset = number_at(a, end + 16, 4);
    bool wide = dir->count == 0xffff || dir->bytes == 0xffffffffU || dir->offset == 0xffffffffU;
    if (wide && end >= LOCATOR_BYTES && number_at(a, end - LOCATOR_BYTES, 4) == 0x07064b50U) {
        uint64_t end64 = number_at(a, end - LOCATOR_BYTES + 8, 8);
        if (!inside(a, end64, END64_BYTES) || number_at(a, (size_t)end64, 4) != 0x06064b50U) {
            return damaged(a, "its ZIP64 record is not where it should be");
        }
        dir->count = number_at(a, (size_t)end64 + 32, 8);
        dir->bytes = number_at(a, (size_t)end64 + 40, 8);
        dir->offset = number_at(a, (size_t)end64 + 48, 8);
    }
    if (!inside(a, dir->offset, dir->bytes) || dir->count > dir->bytes / ENTRY_BYTES ||
        dir->count > ENTRIES_MAX) {
        return damaged(a, "its directory lies outside");
    }
    return MG_OK;
}

/* Takes values that did not fit 32 bits from the ZIP64 extra field, in their fixed order. */
static mg_status read_zip64(const archive *a, size_t extra, size_t extra_bytes, uint64_t *values[3])
{
    size_t offset = extra;
    size_t end = extra + extra_bytes;
    while (end - offset >= 4) {
        uint64_t id = number_at(a, offset, 2);
        size_t bytes = (size_t)number_at(a, offset + 2, 2);
        offset += 4;
        if (bytes > end - offset) {
            return damaged(a, "an extra field is cut off");
        }
        if (id == 1) {
            size_t field = offset;
            for (int i = 0; i < 3; i++) {
                if (*values[i] != 0xffffffffU) {
                    continue;
                }
                if (offset + bytes - field < 8) {
                    return damaged(a, "a ZIP64 field is cut off");
                }
                *values[i] = number_at(a, field, 8);
                field += 8;
            }
        }
        offset += bytes;
    }
    return MG_OK;
}

/* Reads the directory entry at offset; *next_out is where the next one begins. */
static mg_status read_entry(const archive *a, const directory *dir, size_t offset,
                            mg_zip_entry *entry, size_t *next_out)
{
    size_t end = (size_t)(dir->offset + dir->bytes);
    if (end - offset < ENTRY_BYTES || number_at(a, offset, 4) != 0x02014b50U) {
        return damaged(a, "its directory has a hole");
    }
    uint64_t flags = number_at(a, offset + 8, 2);
    uint64_t method = number_at(a, offset + 10, 2);
    uint64_t stored_bytes = number_at(a, offset + 20, 4);
    uint64_t bytes = number_at(a, offset + 24, 4);
    size_t name_bytes = (size_t)number_at(a, offset + 28, 2);
    size_t extra_bytes = (size_t)number_at(a, offset + 30, 2);
    size_t comment_bytes = (size_t)number_at(a, offset + 32, 2);
    uint64_t member = number_at(a, offset + 42, 4);
    size_t name = offset + ENTRY_BYTES;
    if (name_bytes + extra_bytes + comment_bytes > end - name) {
        return damaged(a, "a directory entry is cut off");
    }
    uint64_t *wide[3] = { &bytes, &stored_bytes, &member };
    MG_TRY(read_zip64(a, name + name_bytes, extra_bytes, wide));
    if (method != 0 || (flags & 1U) != 0) {
        return mg_fail(a->err, MG_ERR_UNSUPPORTED, "the zip archive is %s",
                       method != 0 ? "compressed" : "encrypted");
    }
    if (!inside(a, member, MEMBER_BYTES) || number_at(a, (size_t)member, 4) != 0x04034b50U) {
        return damaged(a, "a member is not where it should be");
    }
    uint64_t data = member + MEMBER_BYTES + number_at(a, (size_t)member + 26, 2) +
                    number_at(a, (size_t)member + 28, 2);
    if (bytes != stored_bytes || !inside(a, data, bytes)) {
        return damaged(a, "a member lies outside");
    }
    entry->name = mg_str_make((const char *)a->data + name, name_bytes);
    entry->header_offset = (size_t)member;
    entry->offset = (size_t)data;
    entry->bytes = (size_t)bytes;
    *next_out = name + name_bytes + extra_bytes + comment_bytes;
    return MG_OK;
}

static int by_place(const void *a, const void *b)
{
    size_t first = ((const mg_zip_entry *)a)->header_offset;
    size_t second = ((const mg_zip_entry *)b)->header_offset;
    return first < second ? -1 : first > second ? 1 : 0;
}

static mg_status check_entries(const archive *a, mg_zip *zip)
{
    if (zip->count > 0) {
        qsort(zip->entries, (size_t)zip->count, sizeof(mg_zip_entry), by_place);
    }
    for (int64_t i = 0; i < zip->count; i++) {
        const mg_zip_entry *entry = &zip->entries[i];
        if (i > 0 &&
            zip->entries[i - 1].offset + zip->entries[i - 1].bytes > entry->header_offset) {
            return damaged(a, "two members overlap");
        }
        if (!mg_map_set(&zip->by_name, entry->name, i)) {
            return damaged(a, "two members have one name");
        }
    }
    return MG_OK;
}

mg_status mg_zip_read(const unsigned char *data, size_t size, mg_zip *zip, mg_error *err)
{
    archive a = { data, size, err };
    directory dir = { 0, 0, 0 };
    MG_TRY(find_directory(&a, &dir));
    void *block;
    MG_TRY(mg_memory_try((size_t)MG_MAX(dir.count, 1U) * sizeof(mg_zip_entry), "a zip directory",
                         &block, err));
    zip->entries = (mg_zip_entry *)block;
    size_t offset = (size_t)dir.offset;
    for (uint64_t i = 0; i < dir.count; i++) {
        MG_TRY(read_entry(&a, &dir, offset, &zip->entries[zip->count], &offset));
        zip->count++;
    }
    return check_entries(&a, zip);
}

void mg_zip_release(mg_zip *zip)
{
    mg_free_aligned(zip->entries);
    mg_map_release(&zip->by_name);
    memset(zip, 0, sizeof(*zip));
}

const mg_zip_entry *mg_zip_find(const mg_zip *zip, mg_str name)
{
    int64_t index = mg_map_get(&zip->by_name, name, -1);
    return index < 0 ? NULL : &zip->entries[index];
}
