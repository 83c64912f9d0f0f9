/* tokenizer/trie_internal.h - byte strings as a tree, for "what begins here" questions.
 *
 * Edges lie in one open-addressing hash table keyed by (node, byte).
 * Thread-safety: immutable once filled. */
#pragma once

#include "base/error.h"
#include "base/str.h"

MG_BEGIN_C

#define MG_TRIE_NODES_MAX (1 << 24)

typedef struct mg_trie_edge {
    uint32_t key;  /* node * 256 + byte */
    int32_t child; /* 0 = free: no edge leads to the root */
} mg_trie_edge;

/* Zero-initialised is empty and ready to use.  Node 0 is the root. */
typedef struct mg_trie {
    mg_trie_edge *edges;
    int64_t edge_slots; /* a power of two */
    int32_t *values;    /* of each node, -1 = no string ends here */
    int32_t node_count;
    int32_t node_cap;
} mg_trie;

void mg_trie_release(mg_trie *trie); /* NULL or zeroed is fine */
/* Stores value (>= 0) under text; an older value is replaced.  MG_ERR_LIMIT. */
MG_MUST_CHECK mg_status mg_trie_set(mg_trie *trie, mg_str text, int32_t value, mg_error *err);

/* The child of node along byte, 0 = none. */
static inline int32_t mg_trie_step(const mg_trie *trie, int32_t node, unsigned char byte)
{
    uint32_t key = ((uint32_t)node << 8) | byte;
    uint64_t mask = (uint64_t)trie->edge_slots - 1;
    if (trie->edge_slots == 0) {
        return 0;
    }
    for (uint64_t i = (key * UINT64_C(0x9E3779B97F4A7C15)) >> 32;; i++) {
        const mg_trie_edge *edge = &trie->edges[i & mask];
        if (edge->child == 0 || edge->key == key) {
            return edge->child;
        }
    }
}

/* The value of the longest stored string that text starts with, and its bytes; -1 = none. */
int32_t mg_trie_longest(const mg_trie *trie, mg_str text, size_t *bytes_out);

MG_END_C
