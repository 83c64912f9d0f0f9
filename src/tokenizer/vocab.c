/* tokenizer/vocab.c - token strings and ids: one block of bytes, one open-addressing hash table. */
#include "tokenizer/vocab_internal.h"

#include "base/hash.h"
#include "base/memory.h"

#include <stdio.h>

#define SLOTS_MIN 64

static mg_str entry_text(const mg_vocab *vocab, int32_t entry)
{
    const mg_vocab_entry *e = &vocab->entries[entry];
    return mg_str_make(vocab->bytes.data + e->offset, e->size);
}

/* The slot that holds token, or the free one where it belongs. */
static mg_vocab_slot *slot_of(const mg_vocab *vocab, mg_str token, uint64_t hash)
{
    uint64_t mask = (uint64_t)vocab->slot_count - 1;
    uint32_t tag = (uint32_t)(hash >> 32);
    for (uint64_t i = hash & mask;; i = (i + 1) & mask) {
        mg_vocab_slot *slot = &vocab->slots[i];
        if (slot->entry < 0 ||
            (slot->tag == tag && mg_str_equal(entry_text(vocab, slot->entry), token))) {
            return slot;
        }
    }
}

static void grow_slots(mg_vocab *vocab)
{
    int64_t count = MG_MAX(vocab->slot_count * 2, SLOTS_MIN);
    mg_free(vocab->slots);
    vocab->slots = mg_new_array(mg_vocab_slot, count);
    vocab->slot_count = count;
    for (int64_t i = 0; i < count; i++) {
        vocab->slots[i].entry = -1;
    }
    for (int32_t entry = 0; entry < vocab->count; entry++) {
        mg_str token = entry_text(vocab, entry);
        uint64_t hash = mg_hash64(token.data, token.size, 0);
        mg_vocab_slot *slot = slot_of(vocab, token, hash);
        slot->tag = (uint32_t)(hash >> 32);
        slot->entry = entry;
    }
}

static void name_id(mg_vocab *vocab, int32_t id, int32_t entry)
{
    if (id >= vocab->id_cap) {
        int64_t cap = MG_MAX(MG_MAX(vocab->id_cap * 2, (int64_t)id + 1), SLOTS_MIN);
        vocab->by_id = mg_memory_resize(vocab->by_id, cap, sizeof(int32_t));
        for (int64_t i = vocab->id_cap; i < cap; i++) {
            vocab->by_id[i] = -1;
        }
        vocab->id_cap = cap;
    }
    vocab->by_id[id] = entry;
    vocab->id_count = MG_MAX(vocab->id_count, (int64_t)id + 1);
}

void mg_vocab_release(mg_vocab *vocab)
{
    if (vocab != NULL) {
        mg_buf_release(&vocab->bytes);
        mg_free(vocab->entries);
        mg_free(vocab->slots);
        mg_free(vocab->by_id);
        memset(vocab, 0, sizeof(*vocab));
    }
}

mg_status mg_vocab_set(mg_vocab *vocab, mg_str token, int64_t id, mg_error *err)
{
    if (id < 0 || id >= MG_VOCAB_IDS_MAX) {
        return mg_fail(err, MG_ERR_FORMAT, "token id %lld is not in [0, %lld)", (long long)id,
                       (long long)MG_VOCAB_IDS_MAX);
    }
    if (token.size > UINT32_MAX - vocab->bytes.size) {
        return mg_fail(err, MG_ERR_LIMIT, "the vocabulary holds more than 4 GiB of text");
    }
    if ((vocab->count + 1) * 2 > vocab->slot_count) {
        grow_slots(vocab);
    }
    uint64_t hash = mg_hash64(token.data, token.size, 0);
    mg_vocab_slot *slot = slot_of(vocab, token, hash);
    if (slot->entry < 0) {
        if (vocab->count == vocab->cap) {
            vocab->cap = MG_MAX(vocab->cap * 2, SLOTS_MIN);
            vocab->entries = mg_memory_resize(vocab->entries, vocab->cap, sizeof(mg_vocab_entry));
        }
        mg_vocab_entry *entry = &vocab->entries[vocab->count];
        entry->offset = (uint32_t)vocab->bytes.size;
        entry->size = (uint32_t)token.size;
        slot->tag = (uint32_t)(hash >> 32);
        slot->entry = (int32_t)vocab->count++;
        mg_buf_add(&vocab->bytes, token);
    }
    vocab->entries[slot->entry].id = (int32_t)id;
    name_id(vocab, (int32_t)id, slot->entry);
    return MG_OK;
}

int32_t mg_vocab_id(const mg_vocab *vocab, mg_str token)
{
    if (vocab->slot_count == 0) {
        return -1;
    }
    const mg_vocab_slot *slot = slot_of(vocab, token, mg_hash64(token.data, token.size, 0));
    return slot->entry < 0 ? -1 : vocab->entries[slot->entry].id;
}

mg_str mg_vocab_token(const mg_vocab *vocab, int32_t id)
{
    if (id < 0 || id >= vocab->id_count || vocab->by_id[id] < 0) {
        return mg_str_make(NULL, 0);
    }
    return entry_text(vocab, vocab->by_id[id]);
}

void mg_vocab_byte_ids(const mg_vocab *vocab, int32_t ids_out[256])
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "<0x%02X>", byte);
        ids_out[byte] = mg_vocab_id(vocab, mg_str_of(name));
    }
}
