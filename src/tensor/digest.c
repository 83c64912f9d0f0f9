/* tensor/digest.c - a content hash of a set of named tensors, whatever their order.
 *
 * Each tensor is hashed alone over its name, type, shape and data; the digests, in name order, are
 * hashed once more.  So a checkpoint read from files and a merge that was only hashed agree. */
#include "tensor/digest_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

typedef struct digest_entry {
    mg_str name; /* in the arena */
    char text[MG_HASH_TEXT_BYTES];
} digest_entry;

void mg_digest_add(mg_digest *digest, const mg_view *view)
{
    if (digest->count == digest->cap) {
        digest->cap = digest->cap > 0 ? 2 * digest->cap : 64;
        digest->entries = (struct digest_entry *)mg_memory_resize(digest->entries, digest->cap,
                                                                  sizeof(*digest->entries));
    }
    digest_entry *entry = &digest->entries[digest->count++];
    entry->name = mg_arena_copy(&digest->arena, view->name);

    mg_hasher *hasher = mg_hasher_create();
    uint64_t name_bytes = view->name.size;
    const char *dtype = mg_dtype_name(view->dtype);
    int64_t rank = view->shape.rank;
    mg_hasher_add(hasher, &name_bytes, sizeof(name_bytes));
    mg_hasher_add(hasher, view->name.data, view->name.size);
    mg_hasher_add(hasher, dtype, strlen(dtype) + 1);
    mg_hasher_add(hasher, &rank, sizeof(rank));
    mg_hasher_add(hasher, view->shape.dims, (size_t)rank * sizeof(view->shape.dims[0]));
    mg_hasher_add(hasher, view->data, view->bytes);
    mg_hasher_text(hasher, entry->text);
    mg_hasher_destroy(hasher);
}

static int by_name(const void *a, const void *b)
{
    return mg_str_compare(((const digest_entry *)a)->name, ((const digest_entry *)b)->name);
}

void mg_digest_text(mg_digest *digest, char *text_out)
{
    if (digest->count > 0) {
        qsort(digest->entries, (size_t)digest->count, sizeof(*digest->entries), by_name);
    }
    mg_hasher *hasher = mg_hasher_create();
    for (int64_t i = 0; i < digest->count; i++) {
        mg_hasher_add(hasher, digest->entries[i].text, MG_HASH_TEXT_BYTES);
    }
    mg_hasher_text(hasher, text_out);
    mg_hasher_destroy(hasher);
}

void mg_digest_release(mg_digest *digest)
{
    mg_free(digest->entries);
    mg_arena_release(&digest->arena);
    memset(digest, 0, sizeof(*digest));
}
