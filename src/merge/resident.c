/* merge/resident.c - a hash table from addresses that stand for tensors to device copies. */
#include "merge/resident.h"

#include <string.h>

#include "base/hash.h"
#include "base/memory.h"

typedef struct copy {
    const void *key; /* NULL = free slot */
    size_t bytes;
    void *device;
} copy;

struct mg_resident {
    const mg_device *device;
    copy *slots;
    int64_t count;
    int64_t cap; /* a power of two, at most half full */
};

mg_resident *mg_resident_create(const mg_device *device)
{
    mg_resident *resident = mg_new(mg_resident);
    resident->device = device;
    resident->cap = 1024;
    resident->slots = mg_new_array(copy, resident->cap);
    return resident;
}

void mg_resident_destroy(mg_resident *resident)
{
    if (resident == NULL) {
        return;
    }
    for (int64_t i = 0; i < resident->cap; i++) {
        resident->device->free(resident->device, resident->slots[i].device);
    }
    mg_free(resident->slots);
    mg_free(resident);
}

const mg_device *mg_resident_device(const mg_resident *resident)
{
    return resident->device;
}

static copy *find(copy *slots, int64_t cap, const void *key, size_t bytes)
{
    uint64_t mask = (uint64_t)cap - 1;
    for (uint64_t i = mg_hash64(&key, sizeof(key), bytes) & mask;; i = (i + 1) & mask) {
        copy *slot = &slots[i];
        if (slot->key == NULL || (slot->key == key && slot->bytes == bytes)) {
            return slot;
        }
    }
}

static void grow(mg_resident *resident)
{
    int64_t cap = resident->cap * 2;
    copy *slots = mg_new_array(copy, cap);
    for (int64_t i = 0; i < resident->cap; i++) {
        const copy *old = &resident->slots[i];
        if (old->key != NULL) {
            *find(slots, cap, old->key, old->bytes) = *old;
        }
    }
    mg_free(resident->slots);
    resident->slots = slots;
    resident->cap = cap;
}

mg_status mg_resident_get(mg_resident *resident, mg_stream *stream, const void *key,
                          const void *host, size_t bytes, const void **device_out, mg_error *err)
{
    *device_out = NULL;
    MG_ASSERT(key != NULL);
    if ((resident->count + 1) * 2 > resident->cap) {
        grow(resident);
    }
    copy *slot = find(resident->slots, resident->cap, key, bytes);
    if (slot->key == NULL && host == NULL) {
        return MG_OK;
    }
    if (slot->key == NULL) {
        const mg_device *device = resident->device;
        void *block = NULL;
        MG_TRY(device->alloc(device, bytes, "the sources of a merge", &block, err));
        mg_status status = device->upload(stream, block, host, bytes, err);
        if (status != MG_OK) {
            device->free(device, block);
            return status;
        }
        slot->key = key;
        slot->bytes = bytes;
        slot->device = block;
        resident->count++;
    }
    *device_out = slot->device;
    return MG_OK;
}
