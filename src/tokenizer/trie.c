/* tokenizer/trie.c - a byte trie over one hash table of edges. */
#include "tokenizer/trie_internal.h"

#include "base/memory.h"

#define EDGES_MIN 64

static void grow_edges(mg_trie *trie)
{
    mg_trie_edge *old = trie->edges;
    int64_t old_slots = trie->edge_slots;
    trie->edge_slots = MG_MAX(old_slots * 2, EDGES_MIN);
    trie->edges = mg_new_array(mg_trie_edge, trie->edge_slots);
    uint64_t mask = (uint64_t)trie->edge_slots - 1;
    for (int64_t i = 0; i < old_slots; i++) {
        if (old[i].child != 0) {
            uint64_t at = (old[i].key * UINT64_C(0x9E3779B97F4A7C15)) >> 32;
            while (trie->edges[at & mask].child != 0) {
                at++;
            }
            trie->edges[at & mask] = old[i];
        }
    }
    mg_free(old);
}

static int32_t add_node(mg_trie *trie)
{
    if (trie->node_count == trie->node_cap) {
        trie->node_cap = MG_MAX(trie->node_cap * 2, EDGES_MIN);
        trie->values = mg_memory_resize(trie->values, trie->node_cap, sizeof(int32_t));
    }
    trie->values[trie->node_count] = -1;
    return trie->node_count++;
}

static int32_t add_edge(mg_trie *trie, int32_t node, unsigned char byte)
{
    if (((int64_t)trie->node_count + 1) * 2 > trie->edge_slots) {
        grow_edges(trie);
    }
    uint32_t key = ((uint32_t)node << 8) | byte;
    uint64_t mask = (uint64_t)trie->edge_slots - 1;
    uint64_t at = (key * UINT64_C(0x9E3779B97F4A7C15)) >> 32;
    while (trie->edges[at & mask].child != 0) {
        at++;
    }
    trie->edges[at & mask].key = key;
    trie->edges[at & mask].child = add_node(trie);
    return trie->edges[at & mask].child;
}

void mg_trie_release(mg_trie *trie)
{
    if (trie != NULL) {
        mg_free(trie->edges);
        mg_free(trie->values);
        memset(trie, 0, sizeof(*trie));
    }
}

mg_status mg_trie_set(mg_trie *trie, mg_str text, int32_t value, mg_error *err)
{
    if (trie->node_count == 0) {
        (void)add_node(trie);
    }
    int32_t node = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        int32_t child = mg_trie_step(trie, node, byte);
        if (child == 0) {
            if (trie->node_count >= MG_TRIE_NODES_MAX) {
                return mg_fail(err, MG_ERR_LIMIT, "the vocabulary is too large for its trie");
            }
            child = add_edge(trie, node, byte);
        }
        node = child;
    }
    trie->values[node] = value;
    return MG_OK;
}

int32_t mg_trie_longest(const mg_trie *trie, mg_str text, size_t *bytes_out)
{
    int32_t value = -1;
    int32_t node = 0;
    *bytes_out = 0;
    for (size_t i = 0; i < text.size; i++) {
        node = mg_trie_step(trie, node, (unsigned char)text.data[i]);
        if (node == 0) {
            break;
        }
        if (trie->values[node] >= 0) {
            value = trie->values[node];
            *bytes_out = i + 1;
        }
    }
    return value;
}
