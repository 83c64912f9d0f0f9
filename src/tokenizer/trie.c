/* tokenizer/trie.c - a byte trie, filled as a hash table of edges, packed as a double array. */
#include "tokenizer/trie_internal.h"

#include "base/memory.h"

#define EDGES_MIN 64
#define BLOCK 256     /* units that share all but the lowest eight bits of their index */
#define TRIES_MAX 256 /* free units looked at before a node's children get a block of their own */

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

/* The child of node along byte while the tree is filled, 0 = none. */
static int32_t child_of(const mg_trie *trie, int32_t node, unsigned char byte)
{
    if (trie->edge_slots == 0) {
        return 0;
    }
    uint32_t key = ((uint32_t)node << 8) | byte;
    uint64_t mask = (uint64_t)trie->edge_slots - 1;
    for (uint64_t i = (key * UINT64_C(0x9E3779B97F4A7C15)) >> 32;; i++) {
        const mg_trie_edge *edge = &trie->edges[i & mask];
        if (edge->child == 0 || edge->key == key) {
            return edge->child;
        }
    }
}

void mg_trie_release(mg_trie *trie)
{
    if (trie != NULL) {
        mg_free(trie->edges);
        mg_free(trie->values);
        mg_free(trie->units);
        memset(trie, 0, sizeof(*trie));
    }
}

mg_status mg_trie_set(mg_trie *trie, mg_str text, int32_t value, mg_error *err)
{
    MG_ASSERT(trie->units == NULL);
    if (trie->node_count == 0) {
        (void)add_node(trie);
    }
    int32_t node = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        int32_t child = child_of(trie, node, byte);
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

/* The children of all nodes, those of one node beside each other. */
typedef struct families {
    int32_t *first;       /* (nodes + 1) */
    int32_t *children;    /* (nodes) */
    unsigned char *bytes; /* (nodes) of the edges to them */
} families;

static void families_release(families *f)
{
    mg_free(f->first);
    mg_free(f->children);
    mg_free(f->bytes);
}

static void sort_edges(const mg_trie *trie, families *out)
{
    int64_t nodes = trie->node_count;
    out->first = mg_new_array(int32_t, nodes + 2);
    out->children = mg_new_array(int32_t, nodes);
    out->bytes = mg_new_array(unsigned char, nodes);
    for (int64_t i = 0; i < trie->edge_slots; i++) {
        if (trie->edges[i].child != 0) {
            out->first[(trie->edges[i].key >> 8) + 2]++;
        }
    }
    for (int64_t i = 0; i < nodes; i++) {
        out->first[i + 2] += out->first[i + 1];
    }
    for (int64_t i = 0; i < trie->edge_slots; i++) {
        if (trie->edges[i].child != 0) {
            int32_t at = out->first[(trie->edges[i].key >> 8) + 1]++;
            out->children[at] = trie->edges[i].child;
            out->bytes[at] = (unsigned char)trie->edges[i].key;
        }
    }
}

/* The units while they are filled.  Free ones are a list: base is the next, value the one before,
 * -1 = none.  Their parent is FREE_UNIT less the number of nodes whose children did not fit there;
 * the last of these closes the unit, so that leftovers do not stand before fresh blocks. */
typedef struct packing {
    mg_trie_unit *units;
    int32_t count;
    int32_t cap;
    int32_t first_free;
    int32_t last_free;
} packing;

#define FREE_UNIT (-2) /* as parent */
#define CLOSED_UNIT (FREE_UNIT - 16)

static bool is_free(const mg_trie_unit *unit)
{
    return unit->parent <= FREE_UNIT && unit->parent > CLOSED_UNIT;
}

static void add_block(packing *p)
{
    if (p->count == p->cap) {
        p->cap = MG_MAX(p->cap * 2, BLOCK);
        p->units = mg_memory_resize(p->units, p->cap, sizeof(mg_trie_unit));
    }
    for (int32_t i = p->count; i < p->count + BLOCK; i++) {
        p->units[i].parent = FREE_UNIT;
        p->units[i].base = i + 1 < p->count + BLOCK ? i + 1 : -1;
        p->units[i].value = i > p->count ? i - 1 : p->last_free;
    }
    if (p->last_free >= 0) {
        p->units[p->last_free].base = p->count;
    } else {
        p->first_free = p->count;
    }
    p->last_free = p->count + BLOCK - 1;
    p->count += BLOCK;
}

/* Takes a unit out of the list of free ones. */
static void take_out(packing *p, const mg_trie_unit *unit)
{
    if (unit->value >= 0) {
        p->units[unit->value].base = unit->base;
    } else {
        p->first_free = unit->base;
    }
    if (unit->base >= 0) {
        p->units[unit->base].value = unit->value;
    } else {
        p->last_free = unit->value;
    }
}

static void take(packing *p, int32_t at, int32_t parent, int32_t value)
{
    mg_trie_unit *unit = &p->units[at];
    take_out(p, unit);
    unit->base = 0;
    unit->parent = parent;
    unit->value = value;
}

static bool all_free(const packing *p, int32_t base, const unsigned char *bytes, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        if (!is_free(&p->units[base ^ bytes[i]])) {
            return false;
        }
    }
    return true;
}

/* A base under which the units of all bytes are free. */
static int32_t find_base(packing *p, const unsigned char *bytes, int32_t count)
{
    int32_t tries = 0;
    int32_t next = -1;
    for (int32_t at = p->first_free; at >= 0 && tries < TRIES_MAX; at = next) {
        mg_trie_unit *unit = &p->units[at];
        int32_t base = at ^ bytes[0];
        if (all_free(p, base, bytes, count)) {
            return base;
        }
        next = unit->base;
        if (--unit->parent == CLOSED_UNIT) {
            take_out(p, unit);
        }
        tries++;
    }
    add_block(p);
    return p->count - BLOCK;
}

static mg_status pack(const mg_trie *trie, const families *f, packing *p, mg_error *err)
{
    int32_t *unit_of = mg_new_array(int32_t, trie->node_count); /* by node */
    mg_status status = MG_OK;
    add_block(p);
    take(p, 0, -1, trie->values[0]);
    /* A child's number is above its parent's, so every node has its unit when its turn comes. */
    for (int32_t node = 0; node < trie->node_count; node++) {
        int32_t begin = f->first[node];
        int32_t count = f->first[node + 1] - begin;
        if (count == 0) {
            continue;
        }
        if (p->count >= MG_TRIE_NODES_MAX * 4) {
            status = mg_fail(err, MG_ERR_LIMIT, "the vocabulary is too large for its trie");
            break;
        }
        int32_t base = find_base(p, &f->bytes[begin], count);
        p->units[unit_of[node]].base = base;
        for (int32_t i = begin; i < begin + count; i++) {
            int32_t at = base ^ f->bytes[i];
            unit_of[f->children[i]] = at;
            take(p, at, unit_of[node], trie->values[f->children[i]]);
        }
    }
    mg_free(unit_of);
    return status;
}

mg_status mg_trie_finish(mg_trie *trie, mg_error *err)
{
    families f = { NULL, NULL, NULL };
    packing p = { NULL, 0, 0, -1, -1 };
    MG_ASSERT(trie->units == NULL);
    if (trie->node_count == 0) {
        (void)add_node(trie);
    }
    sort_edges(trie, &f);
    mg_status status = pack(trie, &f, &p, err);
    families_release(&f);
    trie->units = p.units;
    trie->unit_count = p.count;
    mg_free(trie->edges);
    mg_free(trie->values);
    trie->edges = NULL;
    trie->values = NULL;
    trie->edge_slots = 0;
    trie->node_cap = 0;
    return status;
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
        if (mg_trie_value(trie, node) >= 0) {
            value = mg_trie_value(trie, node);
            *bytes_out = i + 1;
        }
    }
    return value;
}
