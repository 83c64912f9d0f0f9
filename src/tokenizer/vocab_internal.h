/* tokenizer/vocab_internal.h - token strings and their ids.
 *
 * All strings lie in one block; a hash table finds the id of a string, an array the string of an
 * id. Ids come from files: they are checked against MG_VOCAB_IDS_MAX and may have gaps.
 * Thread-safety: immutable once filled. */
#pragma once

#include "base/error.h"
#include "base/str.h"

MG_BEGIN_C

#define MG_VOCAB_IDS_MAX ((int64_t)1 << 22)

typedef struct mg_vocab_entry {
    uint32_t offset;
    uint32_t size;
    int32_t id;
} mg_vocab_entry;

typedef struct mg_vocab_slot {
    uint32_t tag;  /* high half of the hash */
    int32_t entry; /* -1 = free */
} mg_vocab_slot;

/* Zero-initialised is empty and ready to use. */
typedef struct mg_vocab {
    mg_buf bytes; /* every string, one behind the other */
    mg_vocab_entry *entries;
    int64_t count;
    int64_t cap;
    mg_vocab_slot *slots;
    int64_t slot_count; /* a power of two */
    int32_t *by_id;     /* entry of an id, -1 = none */
    int64_t id_count;   /* highest id + 1 */
    int64_t id_cap;
} mg_vocab;

void mg_vocab_release(mg_vocab *vocab); /* NULL or zeroed is fine */
/* Gives token the id; a token that is there already gets the new one.  MG_ERR_FORMAT when the id is
 * out of range, MG_ERR_LIMIT when the strings are too many bytes. */
MG_MUST_CHECK mg_status mg_vocab_set(mg_vocab *vocab, mg_str token, int64_t id, mg_error *err);
int32_t mg_vocab_id(const mg_vocab *vocab, mg_str token); /* -1 = none */
/* The string of id, empty (with NULL data) when there is none; borrowed until the next set. */
mg_str mg_vocab_token(const mg_vocab *vocab, int32_t id);
/* Ids of "<0x00>" to "<0xFF>", -1 where one is missing. */
void mg_vocab_byte_ids(const mg_vocab *vocab, int32_t ids_out[256]);

MG_END_C
