/* data/parquet.c - Parquet files as rows.
 *
 *   "PAR1", column chunks, footer (Thrift FileMetaData), u32 footer bytes, "PAR1"
 *
 * The schema is a tree; only its leaves have data.  Each entry of a leaf has a repetition level (at
 * which list a new element begins) and a definition level (how much of the path is there), from
 * which rows are put together as in Dremel (Melnik et al., VLDB 2010): every node reads what its
 * first leaf has next and decides whether it is null, a value or one more element.  One row group
 * at a time is decoded. */
#include "data/arrow_internal.h"
#include "data/parquet_internal.h"

#include <inttypes.h>

/* Values that a file may yield for each of its bytes, and for nothing. */
#define VALUES_PER_BYTE 16
#define VALUES_FREE 4000000

typedef struct schema_node {
    mg_str name;
    bool is_optional, is_repeated;
    bool is_list; /* annotated LIST or MAP: its repeated child holds the elements */
    int def, rep; /* levels when present */
    struct schema_node *children;
    int64_t child_count;
    int64_t leaf;                   /* index, or -1 */
    int64_t first_leaf, leaf_count; /* below and with it */
} schema_node;

typedef struct parquet_reader {
    mg_parquet_work work;
    mg_arena scratch;
    mg_str file;
    mg_value footer;
    const mg_value *elements; /* the schema, flattened depth first */
    int64_t next_element;
    schema_node root;
    mg_parquet_leaf *leaves;
    int64_t leaf_count;
    int64_t leaf_cap;
    mg_table *table;
    int64_t *columns; /* child of the root -> column of the table */
} parquet_reader;

static mg_status damaged(const parquet_reader *r, const char *what, mg_error *err)
{
    return mg_fail(err, MG_ERR_FORMAT, "%s: damaged Parquet data: %s", r->work.name, what);
}

static mg_status read_footer(parquet_reader *r, mg_error *err)
{
    size_t size = r->file.size;
    if (size < 12 || memcmp(r->file.data, "PAR1", 4) != 0 ||
        memcmp(r->file.data + size - 4, "PAR1", 4) != 0) {
        return damaged(r, "not a Parquet file, or one that is cut off", err);
    }
    size_t bytes = (size_t)mg_arrow_load((const unsigned char *)r->file.data + size - 8, 4, false);
    if (bytes > size - 12) {
        return damaged(r, "a footer that is longer than the file", err);
    }
    size_t at = 0;
    mg_str footer = mg_str_make(r->file.data + size - 8 - bytes, bytes);
    if (!mg_thrift_read(footer, &at, &r->scratch, &r->footer)) {
        return damaged(r, "a wrong footer", err);
    }
    r->elements = mg_thrift_get(&r->footer, 2);
    if (r->elements == NULL || r->elements->kind != MG_LIST || r->elements->count < 1) {
        return damaged(r, "no schema", err);
    }
    return MG_OK;
}

/* What a leaf's values mean, from its logical or its older converted type. */
static mg_status read_meaning(parquet_reader *r, const mg_value *element, mg_parquet_leaf *leaf,
                              mg_error *err)
{
    int64_t converted = mg_thrift_int(element, 6, -1);
    const mg_value *logical = mg_thrift_get(element, 10);
    const mg_value *timestamp = mg_thrift_get(logical, 8);
    const mg_value *time = mg_thrift_get(logical, 7);
    const mg_value *integer = mg_thrift_get(logical, 10);
    const mg_value *unit = mg_thrift_get(timestamp != NULL ? timestamp : time, 2);
    leaf->unit = mg_thrift_get(unit, 3) != NULL ? 3 : mg_thrift_get(unit, 2) != NULL ? 2 : 1;
    if (mg_thrift_get(logical, 5) != NULL || converted == 5) {
        leaf->meaning = MG_MEANS_DECIMAL;
        leaf->scale = mg_thrift_int(mg_thrift_get(logical, 5), 1, mg_thrift_int(element, 7, 0));
        bool holds = leaf->type == MG_PARQUET_INT32 || leaf->type == MG_PARQUET_INT64 ||
                     leaf->type == MG_PARQUET_FIXED || leaf->type == MG_PARQUET_BYTE_ARRAY;
        return holds && leaf->scale >= -MG_ARROW_DECIMAL_SCALE_MAX &&
                       leaf->scale <= MG_ARROW_DECIMAL_SCALE_MAX
                   ? MG_OK
                   : damaged(r, "a wrong decimal type", err);
    }
    if (mg_thrift_get(logical, 15) != NULL && leaf->type == MG_PARQUET_FIXED &&
        leaf->type_bytes == 2) {
        leaf->meaning = MG_MEANS_HALF;
        return MG_OK;
    }
    if (mg_thrift_get(logical, 1) != NULL || converted == 0 || converted == 4 || converted == 19) {
        leaf->meaning = MG_MEANS_TEXT;
    } else if (mg_thrift_get(logical, 6) != NULL || converted == 6) {
        leaf->meaning = MG_MEANS_DATE;
    } else if (time != NULL || converted == 7 || converted == 8) {
        leaf->meaning = MG_MEANS_TIME;
        leaf->unit = time != NULL ? leaf->unit : converted == 8 ? 2 : 1;
    } else if (timestamp != NULL || converted == 9 || converted == 10) {
        leaf->meaning = MG_MEANS_TIMESTAMP;
        leaf->unit = timestamp != NULL ? leaf->unit : converted == 10 ? 2 : 1;
        const mg_value *adjusted = mg_thrift_get(timestamp, 1);
        leaf->is_utc = timestamp == NULL || (adjusted != NULL && adjusted->boolean);
    } else if (converted >= 11 && converted <= 14) {
        leaf->meaning = MG_MEANS_UNSIGNED;
    } else if (integer != NULL) {
        const mg_value *is_signed = mg_thrift_get(integer, 2);
        leaf->meaning =
            is_signed != NULL && !is_signed->boolean ? MG_MEANS_UNSIGNED : MG_MEANS_ITSELF;
    }
    return MG_OK;
}

static mg_status add_leaf(parquet_reader *r, const mg_value *element, schema_node *node,
                          mg_error *err)
{
    if (r->leaf_count == MG_DATA_COLUMNS_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "%s: more than %d columns", r->work.name,
                       MG_DATA_COLUMNS_MAX);
    }
    if (r->leaf_count == r->leaf_cap) {
        r->leaf_cap = r->leaf_cap > 0 ? r->leaf_cap * 2 : 16;
        r->leaves = mg_memory_resize(r->leaves, r->leaf_cap, sizeof(mg_parquet_leaf));
    }
    node->leaf = r->leaf_count++;
    mg_parquet_leaf *leaf = &r->leaves[node->leaf];
    *leaf = (mg_parquet_leaf){ .name = node->name, .max_def = node->def, .max_rep = node->rep };
    leaf->type = mg_thrift_int(element, 1, -1);
    leaf->type_bytes = mg_thrift_int(element, 2, 0);
    if (leaf->type < 0 || leaf->type > MG_PARQUET_FIXED ||
        (leaf->type == MG_PARQUET_FIXED &&
         (leaf->type_bytes < 1 || leaf->type_bytes > INT32_MAX))) {
        return damaged(r, "a column of an unknown type", err);
    }
    return read_meaning(r, element, leaf, err);
}

static mg_status read_node(parquet_reader *r, int def, int rep, int depth, schema_node *node,
                           mg_error *err)
{
    if (depth > MG_DATA_DEPTH_MAX || r->next_element >= r->elements->count) {
        return damaged(r, "a wrong schema", err);
    }
    const mg_value *element = &r->elements->items[r->next_element++];
    const mg_value *name = mg_thrift_get(element, 4);
    int64_t repetition = mg_thrift_int(element, 3, 0);
    int64_t converted = mg_thrift_int(element, 6, -1);
    const mg_value *logical = mg_thrift_get(element, 10);
    *node = (schema_node){ .leaf = -1, .first_leaf = r->leaf_count };
    if (name != NULL && name->kind == MG_STRING) {
        node->name = mg_arena_copy(&r->table->arena, name->string);
    }
    node->is_optional = depth > 0 && repetition == 1;
    node->is_repeated = depth > 0 && repetition == 2;
    node->is_list = converted == 3 || converted == 1 || converted == 2 ||
                    mg_thrift_get(logical, 3) != NULL || mg_thrift_get(logical, 2) != NULL;
    node->def = def + (node->is_optional || node->is_repeated ? 1 : 0);
    node->rep = rep + (node->is_repeated ? 1 : 0);
    node->child_count = mg_thrift_int(element, 5, 0);
    if (node->child_count < 0 || node->child_count > r->elements->count - r->next_element) {
        return damaged(r, "a wrong schema", err);
    }
    if (node->child_count == 0 && depth > 0) {
        MG_TRY(add_leaf(r, element, node, err));
    }
    node->children = mg_arena_array(&r->scratch, schema_node, node->child_count);
    for (int64_t i = 0; i < node->child_count; i++) {
        MG_TRY(read_node(r, node->def, node->rep, depth + 1, &node->children[i], err));
    }
    node->leaf_count = r->leaf_count - node->first_leaf;
    node->is_list = node->is_list && node->child_count == 1 && node->children[0].is_repeated;
    return MG_OK;
}

/* ---- rows ---- */

/* The levels that the first leaf below node has next; false at its end. */
static bool peek(const parquet_reader *r, const schema_node *node, int *rep, int *def)
{
    const mg_parquet_leaf *leaf = &r->leaves[node->first_leaf];
    if (node->leaf_count == 0 || leaf->at >= leaf->count) {
        return false;
    }
    *rep = leaf->rep[leaf->at];
    *def = leaf->def[leaf->at];
    return true;
}

/* Takes one entry off every leaf below a node that is not there. */
static mg_status skip(parquet_reader *r, const schema_node *node, mg_error *err)
{
    for (int64_t i = 0; i < node->leaf_count; i++) {
        mg_parquet_leaf *leaf = &r->leaves[node->first_leaf + i];
        if (leaf->at >= leaf->count || leaf->def[leaf->at] == leaf->max_def) {
            return damaged(r, "columns that do not fit together", err);
        }
        leaf->at++;
    }
    return MG_OK;
}

static mg_status read_present(parquet_reader *r, const schema_node *node, mg_value *out,
                              mg_error *err);

static mg_status read_leaf(parquet_reader *r, const schema_node *node, mg_value *out, mg_error *err)
{
    mg_parquet_leaf *leaf = &r->leaves[node->leaf];
    *out = mg_value_null;
    if (leaf->at >= leaf->count) {
        return damaged(r, "columns of different lengths", err);
    }
    if (leaf->def[leaf->at++] != leaf->max_def) {
        return MG_OK;
    }
    if (leaf->value_at >= leaf->value_count) {
        return damaged(r, "a column with too few values", err);
    }
    return mg_parquet_value(&r->work, leaf, &leaf->values[leaf->value_at++], &r->table->arena, out,
                            err);
}

/* All elements of a repeated node; element is what stands for one of them. */
static mg_status read_elements(parquet_reader *r, const schema_node *node,
                               const schema_node *element, mg_value *out, mg_error *err)
{
    int rep;
    int def;
    int64_t cap = 4;
    mg_arena *arena = &r->table->arena;
    *out = mg_value_of_list(arena, cap);
    out->count = 0;
    if (!peek(r, node, &rep, &def)) {
        return damaged(r, "columns of different lengths", err);
    }
    if (def < node->def) {
        return skip(r, node, err);
    }
    do {
        if (out->count == cap) {
            mg_value more = mg_value_of_list(arena, cap * 2);
            memcpy(more.items, out->items, (size_t)cap * sizeof(mg_value));
            more.count = cap;
            cap *= 2;
            *out = more;
        }
        mg_value *item = &out->items[out->count++];
        if (element != node && element->is_optional && peek(r, element, &rep, &def) &&
            def < element->def) {
            *item = mg_value_null;
            MG_TRY(skip(r, element, err));
        } else {
            MG_TRY(read_present(r, element, item, err));
        }
    } while (peek(r, node, &rep, &def) && rep >= node->rep);
    return MG_OK;
}

/* A node inside its parent: null, a list, or what it is. */
static mg_status read_value(parquet_reader *r, const schema_node *node, mg_value *out,
                            mg_error *err)
{
    int rep;
    int def;
    if (node->is_repeated) {
        return read_elements(r, node, node, out, err);
    }
    if (node->is_optional && node->leaf < 0 && peek(r, node, &rep, &def) && def < node->def) {
        *out = mg_value_null;
        return skip(r, node, err);
    }
    return read_present(r, node, out, err);
}

static mg_status read_present(parquet_reader *r, const schema_node *node, mg_value *out,
                              mg_error *err)
{
    if (node->leaf >= 0) {
        return read_leaf(r, node, out, err);
    }
    if (node->is_list) {
        const schema_node *middle = &node->children[0];
        /* The usual three levels: the repeated group wraps one element. */
        const schema_node *element = middle->child_count == 1 ? &middle->children[0] : middle;
        return element->is_repeated && element != middle
                   ? read_elements(r, middle, middle, out, err)
                   : read_elements(r, middle, element, out, err);
    }
    *out = mg_value_of_map(&r->table->arena, node->child_count);
    for (int64_t i = 0; i < node->child_count; i++) {
        out->entries[i].key.kind = MG_STRING;
        out->entries[i].key.string = node->children[i].name;
        MG_TRY(read_value(r, &node->children[i], &out->entries[i].value, err));
    }
    return MG_OK;
}

static void reset_group(parquet_reader *r)
{
    for (int64_t i = 0; i < r->leaf_count; i++) {
        mg_parquet_leaf *leaf = &r->leaves[i];
        mg_free(leaf->dictionary);
        leaf->dictionary = NULL;
        leaf->dictionary_count = 0;
        leaf->count = leaf->value_count = leaf->at = leaf->value_at = 0;
    }
    for (int64_t i = 0; i < r->work.buffer_count; i++) {
        mg_free_aligned(r->work.buffers[i]);
    }
    r->work.buffer_count = 0;
}

static mg_status read_row(parquet_reader *r, mg_error *err)
{
    mg_table *table = r->table;
    mg_value *row;
    MG_TRY(mg_table_add_row(table, &row, err));
    *row = mg_value_of_map(&table->arena, table->column_count);
    for (int64_t c = 0; c < table->column_count; c++) {
        row->entries[c].key.kind = MG_STRING;
        row->entries[c].key.string = table->columns[c];
    }
    for (int64_t c = 0; c < r->root.child_count; c++) {
        MG_TRY(read_value(r, &r->root.children[c], &row->entries[r->columns[c]].value, err));
    }
    return MG_OK;
}

static mg_status read_group(parquet_reader *r, const mg_value *group, mg_error *err)
{
    const mg_value *chunks = mg_thrift_get(group, 1);
    int64_t rows = mg_thrift_int(group, 3, -1);
    if (chunks == NULL || chunks->kind != MG_LIST || chunks->count != r->leaf_count || rows < 0) {
        return damaged(r, "a wrong row group", err);
    }
    reset_group(r);
    for (int64_t i = 0; i < r->leaf_count; i++) {
        const mg_value *metadata = mg_thrift_get(&chunks->items[i], 3);
        if (mg_thrift_get(&chunks->items[i], 1) != NULL || metadata == NULL) {
            return mg_fail(err, MG_ERR_UNSUPPORTED,
                           "%s: column data in other files is not supported", r->work.name);
        }
        MG_TRY(mg_parquet_read_chunk(&r->work, r->file, metadata, &r->leaves[i], err));
    }
    if (r->leaf_count > 0 && rows > r->leaves[0].count) {
        return damaged(r, "a row group with too few values", err);
    }
    for (int64_t i = 0; i < rows && r->leaf_count > 0; i++) {
        MG_TRY(read_row(r, err));
    }
    return MG_OK;
}

mg_status mg_parquet_rows(mg_str bytes, const mg_source *source, mg_table *table, mg_error *err)
{
    mg_status status = MG_OK;
    parquet_reader r = { .file = bytes, .table = table };
    r.work.name = source->name;
    r.work.budget = (int64_t)bytes.size * VALUES_PER_BYTE + VALUES_FREE;
    table->bytes += bytes.size;
    MG_TRY_OR_DONE(read_footer(&r, err));
    MG_TRY_OR_DONE(read_node(&r, 0, 0, 0, &r.root, err));
    r.columns = mg_arena_array(&r.scratch, int64_t, r.root.child_count);
    for (int64_t i = 0; i < r.root.child_count; i++) {
        MG_TRY_OR_DONE(mg_table_column(table, r.root.children[i].name, &r.columns[i], err));
    }
    const mg_value *groups = mg_thrift_get(&r.footer, 4);
    for (int64_t i = 0; groups != NULL && groups->kind == MG_LIST && i < groups->count; i++) {
        MG_TRY_OR_DONE(read_group(&r, &groups->items[i], err));
    }

done:
    reset_group(&r);
    for (int64_t i = 0; i < r.leaf_count; i++) {
        mg_free(r.leaves[i].rep);
        mg_free(r.leaves[i].def);
        mg_free(r.leaves[i].values);
    }
    mg_free(r.leaves);
    mg_free(r.work.buffers);
    mg_arena_release(&r.scratch);
    return status;
}
