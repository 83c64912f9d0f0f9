/* tokenizer/trie_internal.h - byte strings as a tree, for "what begins here" questions.
 *
 * Filled through a hash table of edges, then packed into a double array (Aoe, "An efficient digital
 * search algorithm by using a double-array structure", 1989), in which a step is one load.
 * Thread-safety: immutable once finished. */
#pragma once

#include "base/error.h"
#include "base/str.h"

MG_BEGIN_C

#define MG_TRIE_NODES_MAX (1 << 24)

/* While it is filled: one edge of the tree. */
typedef struct mg_trie_edge {
    uint32_t key;  /* node * 256 + byte */
    int32_t child; /* 0 = free: no edge leads to the root */
} mg_trie_edge;

/* A node once finished.  Its child along byte b lies at base ^ b, if that unit's parent is it. */
typedef struct mg_trie_unit {
    int32_t base;
    int32_t parent; /* -1 = free, or the root */
    int32_t value;  /* -1 = no string ends here */
} mg_trie_unit;

/* Zero-initialised is empty and ready to use.  Node 0 is the root. */
typedef struct mg_trie {
    mg_trie_edge *edges; /* until finished */
    int64_t edge_slots;  /* a power of two */
    int32_t *values;     /* of each node, until finished */
    int32_t node_count;
    int32_t node_cap;
    mg_trie_unit *units; /* (unit_count), a multiple of 256, once finished */
    int32_t unit_count;
} mg_trie;

void mg_trie_release(mg_trie *trie); /* NULL or zeroed is fine */
/* Stores value (>= 0) under text; an older value is replaced.  Before mg_trie_finish.
 * MG_ERR_LIMIT. */
MG_MUST_CHECK mg_status mg_trie_set(mg_trie *trie, mg_str text, int32_t value, mg_error *err);
/* Packs what was stored, which may be nothing.  Once, before the first question.  MG_ERR_LIMIT. */
MG_MUST_CHECK mg_status mg_trie_finish(mg_trie *trie, mg_error *err);

/* The child of node along byte, 0 = none. */
static inline int32_t mg_trie_step(const mg_trie *trie, int32_t node, unsigned char byte)
{
    int32_t at = trie->units[node].base ^ byte;
    return trie->units[at].parent == node ? at : 0;
}

/* The value of the string that ends at node; -1 = none. */
static inline int32_t mg_trie_value(const mg_trie *trie, int32_t node)
{
    return trie->units[node].value;
}

/* The value of the longest stored string that text starts with, and its bytes; -1 = none. */
int32_t mg_trie_longest(const mg_trie *trie, mg_str text, size_t *bytes_out);

MG_END_C
