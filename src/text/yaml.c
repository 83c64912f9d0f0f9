/* text/yaml.c - libyaml events composed into a document tree by the rules of YAML 1.1.
 *
 * Anchored nodes are shared, not copied: a value never changes, so an alias is one more pointer to
 * the same items.  What a reader that walks the tree would meet is counted (`weight` of each
 * anchor) and limited, which stops documents that double themselves through aliases.
 *
 * Dates stay strings: the tree has no kind for them and their text is what Python prints. */
#include "text/yaml.h"

#include "base/fs.h"
#include "base/map.h"
#include "base/memory.h"
#include "text/yaml_internal.h"

#include <yaml.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DEPTH_MAX 200
#define NODES_MAX ((int64_t)4 << 20) /* with every alias expanded */
#define TEXT_BYTES_PER_NODE 64       /* a long text counts as several */
#define TAG_PREFIX "tag:yaml.org,2002:"

typedef struct anchor {
    mg_str name;
    mg_value value;
    int64_t weight; /* nodes below and with it */
    bool open;      /* still being read: an alias to it would be a cycle */
} anchor;

typedef struct reader {
    yaml_parser_t parser;
    const char *name;
    mg_str text;
    mg_arena *arena;
    mg_error *err;
    int depth;
    int64_t weight;    /* nodes read so far, with every alias expanded */
    anchor *anchors;   /* of the document being read */
    mg_map anchor_map; /* name -> the newest anchor of that name */
    int64_t anchor_count;
    int64_t anchor_cap;
    mg_entry *stack; /* of open lists (key unused) and maps */
    int64_t stack_count;
    int64_t stack_cap;
} reader;

static mg_status read_node(reader *r, const yaml_event_t *event, mg_value *value_out);

static mg_status fail_at(reader *r, yaml_mark_t mark, const char *what)
{
    return mg_fail(r->err, MG_ERR_FORMAT, "%s:%d:%d: %s", r->name, (int)mark.line + 1,
                   (int)mark.column + 1, what);
}

/* Bytes that are no text in UTF-8, found before they belong to a line. */
static mg_status fail_at_byte(reader *r, const char *problem, size_t offset)
{
    int line = 1;
    int column = 1;
    for (size_t i = 0; i < MG_MIN(offset, r->text.size); i++) {
        bool ends = r->text.data[i] == '\n';
        line += ends ? 1 : 0;
        column = ends ? 1 : column + (((unsigned char)r->text.data[i] & 0xC0) != 0x80 ? 1 : 0);
    }
    return mg_fail(r->err, MG_ERR_FORMAT, "%s:%d:%d: %s, must be text in UTF-8", r->name, line,
                   column, problem);
}

static mg_status next_event(reader *r, yaml_event_t *event_out)
{
    if (yaml_parser_parse(&r->parser, event_out)) {
        return MG_OK;
    }
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem != NULL ? p->problem : "damaged YAML";
    if (p->error == YAML_READER_ERROR) {
        return fail_at_byte(r, problem, p->problem_offset);
    }
    if (p->context != NULL) {
        return mg_fail(r->err, MG_ERR_FORMAT, "%s:%d:%d: %s %s", r->name,
                       (int)p->problem_mark.line + 1, (int)p->problem_mark.column + 1, p->context,
                       problem);
    }
    return fail_at(r, p->problem_mark, problem);
}

static void push(reader *r, const mg_entry *entry)
{
    if (r->stack_count == r->stack_cap) {
        r->stack_cap *= 2;
        r->stack = (mg_entry *)mg_memory_resize(r->stack, r->stack_cap, sizeof(mg_entry));
    }
    r->stack[r->stack_count++] = *entry;
}

/* Opens an anchor for a node that begins; returns its index, or -1 without a name. */
static int64_t anchor_open(reader *r, const yaml_char_t *name)
{
    if (name == NULL) {
        return -1;
    }
    if (r->anchor_count == r->anchor_cap) {
        r->anchor_cap = r->anchor_cap == 0 ? 16 : r->anchor_cap * 2;
        r->anchors = (anchor *)mg_memory_resize(r->anchors, r->anchor_cap, sizeof(anchor));
    }
    anchor *a = &r->anchors[r->anchor_count];
    a->name = mg_arena_copy(r->arena, mg_str_of((const char *)name));
    a->value = mg_value_null;
    a->weight = r->weight;
    a->open = true;
    (void)mg_map_set(&r->anchor_map, a->name, r->anchor_count);
    return r->anchor_count++;
}

static void anchor_close(reader *r, int64_t index, const mg_value *value)
{
    if (index >= 0) {
        r->anchors[index].value = *value;
        r->anchors[index].weight = r->weight - r->anchors[index].weight;
        r->anchors[index].open = false;
    }
}

static mg_status read_alias(reader *r, const yaml_event_t *event, mg_value *value_out)
{
    mg_str name = mg_str_of((const char *)event->data.alias.anchor);
    int64_t index = mg_map_get(&r->anchor_map, name, -1);
    const anchor *found = index >= 0 ? &r->anchors[index] : NULL;
    if (found == NULL) {
        return fail_at(r, event->start_mark, "alias of an anchor that does not exist");
    }
    if (found->open) {
        return fail_at(r, event->start_mark, "alias inside the value that it stands for");
    }
    r->weight += found->weight;
    if (r->weight > NODES_MAX) {
        return fail_at(r, event->start_mark, "aliases expand to too much");
    }
    *value_out = found->value;
    return MG_OK;
}

/* A tag of the YAML schema without its prefix ("str"), else empty. */
static mg_str standard_tag(const yaml_char_t *tag)
{
    mg_str text = mg_str_of((const char *)tag);
    return mg_str_starts(text, TAG_PREFIX) ? mg_str_slice(text, sizeof(TAG_PREFIX) - 1, text.size)
                                           : mg_str_of("");
}

static mg_status apply_scalar_tag(reader *r, const yaml_event_t *event, mg_value *value)
{
    mg_str tag = standard_tag(event->data.scalar.tag);
    if (strcmp((const char *)event->data.scalar.tag, "!") == 0) {
        mg_yaml_resolve(value); /* PyYAML takes "!" for no tag, even before quotes */
        return MG_OK;
    }
    if (tag.size == 0) {
        value->tag = mg_arena_copy(r->arena, mg_str_of((const char *)event->data.scalar.tag));
        return MG_OK;
    }
    if (mg_str_is(tag, "str") || mg_str_is(tag, "timestamp")) {
        return MG_OK;
    }
    mg_value typed = *value;
    mg_yaml_resolve(&typed);
    bool fits = (mg_str_is(tag, "null") && typed.kind == MG_NULL) ||
                (mg_str_is(tag, "bool") && typed.kind == MG_BOOL) ||
                (mg_str_is(tag, "int") && typed.kind == MG_INT);
    if (mg_str_is(tag, "float") && mg_value_to_double(&typed, &typed.number)) {
        typed.kind = MG_FLOAT;
        fits = true;
    } else if (mg_str_is(tag, "float") && mg_str_to_double(value->string, &typed.number)) {
        typed.kind = MG_FLOAT;
        fits = true;
    }
    if (!fits) {
        return fail_at(r, event->start_mark,
                       "the value does not fit its tag, or the tag is unknown");
    }
    *value = typed;
    return MG_OK;
}

static mg_status read_scalar(reader *r, const yaml_event_t *event, mg_value *value_out)
{
    mg_str text = mg_str_make((const char *)event->data.scalar.value, event->data.scalar.length);
    value_out->kind = MG_STRING;
    value_out->string = mg_arena_copy(r->arena, text);
    value_out->source = value_out->string;
    r->weight += (int64_t)(text.size / TEXT_BYTES_PER_NODE);
    value_out->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (event->data.scalar.tag != NULL) {
        return apply_scalar_tag(r, event, value_out);
    }
    if (value_out->plain) {
        mg_yaml_resolve(value_out);
    }
    return MG_OK;
}

/* Collections: "!!seq" and "!!map" say nothing new, a local tag is kept. */
static mg_status apply_collection_tag(reader *r, const yaml_event_t *event, const yaml_char_t *tag,
                                      mg_value *value)
{
    if (tag == NULL) {
        return MG_OK;
    }
    mg_str standard = standard_tag(tag);
    const char *own = value->kind == MG_LIST ? "seq" : "map";
    if (standard.size > 0 && !mg_str_is(standard, own)) {
        return fail_at(r, event->start_mark, "this tag is not supported");
    }
    if (standard.size == 0 && strcmp((const char *)tag, "!") != 0) {
        value->tag = mg_arena_copy(r->arena, mg_str_of((const char *)tag));
    }
    return MG_OK;
}

static mg_status read_list(reader *r, const yaml_event_t *event, mg_value *value_out)
{
    int64_t base = r->stack_count;
    value_out->kind = MG_LIST;
    MG_TRY(apply_collection_tag(r, event, event->data.sequence_start.tag, value_out));
    for (;;) {
        yaml_event_t item;
        MG_TRY(next_event(r, &item));
        bool end = item.type == YAML_SEQUENCE_END_EVENT;
        mg_entry entry = { 0 };
        mg_status status = end ? MG_OK : read_node(r, &item, &entry.value);
        yaml_event_delete(&item);
        MG_TRY(status);
        if (end) {
            break;
        }
        push(r, &entry);
    }
    value_out->count = r->stack_count - base;
    value_out->items = mg_arena_array(r->arena, mg_value, value_out->count);
    for (int64_t i = 0; i < value_out->count; i++) {
        value_out->items[i] = r->stack[base + i].value;
    }
    r->stack_count = base;
    return MG_OK;
}

static bool is_merge_key(const mg_value *key)
{
    return key->kind == MG_STRING && key->plain && mg_str_is(key->string, "<<");
}

/* The keys already in a map, to find duplicates.  Strings and other scalars have a map each. */
typedef struct key_set {
    mg_arena *arena;
    mg_entry *entries; /* room for all */
    int64_t count;
    mg_map strings;
    mg_map others; /* by other_key */
} key_set;

/* One text for all keys that are equal: true, 1 and 1.0 are (mg_value_equal). */
static mg_str other_key(char text[32], const mg_value *key)
{
    int64_t integer = key->boolean ? 1 : 0;
    int size;
    if (key->kind == MG_BOOL || mg_value_to_int(key, &integer)) {
        size = snprintf(text, 32, "%" PRId64, integer);
    } else if (key->kind == MG_FLOAT) {
        size = snprintf(text, 32, "%a", key->number);
    } else {
        size = snprintf(text, 32, "null");
    }
    return mg_str_make(text, (size_t)size);
}

static int64_t key_find(const key_set *set, const mg_value *key)
{
    char text[32];
    return key->kind == MG_STRING ? mg_map_get(&set->strings, key->string, -1)
                                  : mg_map_get(&set->others, other_key(text, key), -1);
}

/* Where the key stood before, -1 = nowhere. */
static int64_t key_put(key_set *set, const mg_entry *entry)
{
    char text[32];
    const mg_value *key = &entry->key;
    int64_t at = key_find(set, key);
    if (at >= 0) {
        set->entries[at].value = entry->value;
        return at;
    }
    set->entries[set->count] = *entry;
    if (key->kind == MG_STRING) {
        (void)mg_map_set(&set->strings, key->string, set->count);
    } else if (key->kind != MG_FLOAT || !isnan(key->number)) { /* .nan equals no key */
        (void)mg_map_set(&set->others, mg_arena_copy(set->arena, other_key(text, key)), set->count);
    }
    set->count++;
    return -1;
}

/* How many entries a merge value brings; -1 when it is neither a map nor a list of maps. */
static int64_t merge_count(const mg_value *value)
{
    if (value->kind == MG_MAP) {
        return value->count;
    }
    if (value->kind != MG_LIST) {
        return -1;
    }
    int64_t count = 0;
    for (int64_t i = 0; i < value->count; i++) {
        if (value->items[i].kind != MG_MAP) {
            return -1;
        }
        count += value->items[i].count;
    }
    return count;
}

/* Among merged maps the earlier ones win. */
static void merge_into(key_set *set, const mg_value *value)
{
    for (int64_t i = 0; i < value->count; i++) {
        if (value->kind == MG_LIST) {
            merge_into(set, &value->items[i]);
        } else if (key_find(set, &value->entries[i].key) < 0) {
            (void)key_put(set, &value->entries[i]);
        }
    }
}

/* Builds the map from the pairs above base: merged entries come first, then its own. */
static mg_status close_map(reader *r, int64_t base, mg_value *value_out)
{
    const mg_entry *pairs = r->stack + base;
    int64_t pair_count = r->stack_count - base;
    int64_t room = pair_count;
    for (int64_t i = 0; i < pair_count; i++) {
        if (is_merge_key(&pairs[i].key)) {
            int64_t more = merge_count(&pairs[i].value);
            if (more < 0) {
                return mg_fail(r->err, MG_ERR_FORMAT,
                               "%s:%d:%d: '<<' needs a map or a list of maps, found %s", r->name,
                               (int)pairs[i].key.line, (int)pairs[i].key.column,
                               mg_kind_name(pairs[i].value.kind));
            }
            room += more;
        }
    }
    key_set set = { .arena = r->arena, .entries = mg_arena_array(r->arena, mg_entry, room) };
    for (int64_t i = 0; i < pair_count; i++) {
        if (is_merge_key(&pairs[i].key)) {
            merge_into(&set, &pairs[i].value);
        }
    }
    int64_t merged = set.count;
    for (int64_t i = 0; i < pair_count; i++) {
        int64_t at = is_merge_key(&pairs[i].key) ? -1 : key_put(&set, &pairs[i]);
        if (at >= merged) { /* what was merged in may be overridden */
            set.entries[at].repeated = true;
        }
    }
    mg_map_release(&set.strings);
    mg_map_release(&set.others);
    value_out->count = set.count;
    value_out->entries = set.entries;
    r->stack_count = base;
    return MG_OK;
}

static mg_status read_map(reader *r, const yaml_event_t *event, mg_value *value_out)
{
    int64_t base = r->stack_count;
    value_out->kind = MG_MAP;
    MG_TRY(apply_collection_tag(r, event, event->data.mapping_start.tag, value_out));
    for (;;) {
        yaml_event_t part;
        mg_entry entry = { 0 };
        MG_TRY(next_event(r, &part));
        bool end = part.type == YAML_MAPPING_END_EVENT;
        mg_status status = end ? MG_OK : read_node(r, &part, &entry.key);
        if (status == MG_OK && (entry.key.kind == MG_LIST || entry.key.kind == MG_MAP)) {
            status = fail_at(r, part.start_mark, "a list or map cannot be a key");
        }
        yaml_event_delete(&part);
        MG_TRY(status);
        if (end) {
            return close_map(r, base, value_out);
        }
        MG_TRY(next_event(r, &part));
        status = read_node(r, &part, &entry.value);
        yaml_event_delete(&part);
        MG_TRY(status);
        push(r, &entry);
    }
}

static mg_status read_node(reader *r, const yaml_event_t *event, mg_value *value_out)
{
    if (event->type == YAML_ALIAS_EVENT) {
        return read_alias(r, event, value_out);
    }
    *value_out = mg_value_null;
    value_out->line = (int32_t)event->start_mark.line + 1;
    value_out->column = (int32_t)event->start_mark.column + 1;
    const yaml_char_t *name = event->type == YAML_SCALAR_EVENT ? event->data.scalar.anchor
                              : event->type == YAML_SEQUENCE_START_EVENT
                                  ? event->data.sequence_start.anchor
                                  : event->data.mapping_start.anchor;
    int64_t index = anchor_open(r, name);
    r->weight++;
    if (r->weight > NODES_MAX) {
        return fail_at(r, event->start_mark, "the document has too many values");
    }
    if (event->type == YAML_SCALAR_EVENT) {
        MG_TRY(read_scalar(r, event, value_out));
    } else {
        if (++r->depth > DEPTH_MAX) {
            return fail_at(r, event->start_mark, "lists and maps are nested too deeply");
        }
        MG_TRY(event->type == YAML_SEQUENCE_START_EVENT ? read_list(r, event, value_out)
                                                        : read_map(r, event, value_out));
        r->depth--;
    }
    anchor_close(r, index, value_out);
    return MG_OK;
}

/* All documents of text, pushed onto the stack. */
static mg_status read_documents(reader *r)
{
    for (;;) {
        yaml_event_t event;
        mg_entry entry = { 0 };
        MG_TRY(next_event(r, &event));
        bool end = event.type == YAML_STREAM_END_EVENT;
        bool node = event.type == YAML_SCALAR_EVENT || event.type == YAML_ALIAS_EVENT ||
                    event.type == YAML_SEQUENCE_START_EVENT ||
                    event.type == YAML_MAPPING_START_EVENT;
        if (event.type == YAML_DOCUMENT_START_EVENT) {
            r->anchor_count = 0; /* anchors end with their document */
            mg_map_release(&r->anchor_map);
        }
        mg_status status = node ? read_node(r, &event, &entry.value) : MG_OK;
        yaml_event_delete(&event);
        MG_TRY(status);
        if (end) {
            return MG_OK;
        }
        if (node) {
            push(r, &entry);
        }
    }
}

mg_status mg_yaml_parse_all(mg_str text, const char *name, mg_arena *arena, mg_value *list_out,
                            mg_error *err)
{
    *list_out = mg_value_null;
    mg_status status = MG_OK;
    reader r = { .name = name, .text = text, .arena = arena, .err = err };
    if (text.size > MG_YAML_BYTES_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "%s: %zu bytes of YAML, at most %zu are read", name,
                       text.size, MG_YAML_BYTES_MAX);
    }
    if (!yaml_parser_initialize(&r.parser)) {
        return mg_fail(err, MG_ERR_MEMORY, "%s: out of memory", name);
    }
    r.stack_cap = 64;
    r.stack = mg_new_array(mg_entry, r.stack_cap);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.size > 0 ? text.data : ""),
                                 text.size);
    MG_TRY_OR_DONE(read_documents(&r));
    *list_out = mg_value_of_list(arena, r.stack_count);
    for (int64_t i = 0; i < r.stack_count; i++) {
        list_out->items[i] = r.stack[i].value;
    }

done:
    yaml_parser_delete(&r.parser);
    mg_free(r.anchors);
    mg_map_release(&r.anchor_map);
    mg_free(r.stack);
    return status;
}

mg_status mg_yaml_parse(mg_str text, const char *name, mg_arena *arena, mg_value *value_out,
                        mg_error *err)
{
    mg_value list;
    *value_out = mg_value_null;
    MG_TRY(mg_yaml_parse_all(text, name, arena, &list, err));
    if (list.count > 1) {
        return mg_fail(err, MG_ERR_FORMAT, "%s:%d:%d: a second document begins, expected only one",
                       name, (int)list.items[1].line, (int)list.items[1].column);
    }
    if (list.count == 1) {
        *value_out = list.items[0];
    }
    return MG_OK;
}

mg_status mg_yaml_read(const char *path, mg_arena *arena, mg_value *value_out, mg_error *err)
{
    *value_out = mg_value_null;
    mg_bytes bytes = { 0 };
    MG_TRY(mg_file_read(path, MG_YAML_BYTES_MAX, &bytes, err));
    mg_status status = mg_yaml_parse(mg_str_make((const char *)bytes.data, bytes.size), path, arena,
                                     value_out, err);
    mg_bytes_release(&bytes);
    return status;
}
