/* tensor/digest_internal.h - a content hash of a set of named tensors, whatever their order. */
#pragma once

#include "base/arena.h"
#include "base/hash.h"
#include "tensor/view.h"

MG_BEGIN_C

struct digest_entry;

/* Zero-initialised is empty. */
typedef struct mg_digest {
    mg_arena arena;
    struct digest_entry *entries;
    int64_t count;
    int64_t cap;
} mg_digest;

void mg_digest_add(mg_digest *digest, const mg_view *view);
void mg_digest_text(mg_digest *digest, char *text_out); /* MG_HASH_TEXT_BYTES; call once */
void mg_digest_release(mg_digest *digest);

MG_END_C
