/* hub/layout_rows.c - layouts from the short notation of the built-in table.
 *
 * The notation is explained in layout_internal.h.  The table is part of the program, so a mistake
 * in it is a bug and asserted. */
#include "base/memory.h"
#include "hub/layout_internal.h"

#define LAYER "${layer_index}."
#define LAYERS "${num_layers}."

/* Weights of one list while it grows. */
typedef struct weight_list {
    mg_layout_weight *items;
    int64_t count;
    int64_t cap;
} weight_list;

typedef struct row_reader {
    mg_arena *arena;
    const mg_layout_row *row;
    mg_str prefix; /* of the module, and of the layer within one */
    mg_str embed;  /* name of the first weight marked !E, once there is one */
} row_reader;

static mg_layout_weight *add_weight(weight_list *list)
{
    if (list->count == list->cap) {
        list->cap = list->cap > 0 ? 2 * list->cap : 32;
        list->items =
            (mg_layout_weight *)mg_memory_resize(list->items, list->cap, sizeof(mg_layout_weight));
    }
    mg_layout_weight *added = &list->items[list->count++];
    memset(added, 0, sizeof(*added));
    added->force_dtype = MG_DTYPE_COUNT;
    return added;
}

/* The words of text, divided by blanks. */
static mg_str *split_words(mg_arena *arena, const char *text, int64_t *count_out)
{
    mg_str rest = mg_str_of(text);
    mg_str word;
    int64_t count = 0;
    while (mg_str_split(&rest, ' ', &word)) {
        count++;
    }
    mg_str *words = mg_arena_array(arena, mg_str, count);
    rest = mg_str_of(text);
    for (int64_t i = 0; i < count; i++) {
        (void)mg_str_split(&rest, ' ', &words[i]);
    }
    *count_out = count;
    return words;
}

/* name with its first from replaced by to; a plain copy without one. */
static mg_str replace(mg_arena *arena, mg_str name, const char *from, const char *to)
{
    int64_t at = mg_str_find(name, mg_str_of(from), 0);
    if (at < 0) {
        return mg_arena_copy(arena, name);
    }
    return mg_arena_printf(arena, "%.*s%s%.*s", (int)at, name.data, to,
                           MG_STR_ARG(mg_str_slice(name, (size_t)at + strlen(from), name.size)));
}

static void set_aliases(const row_reader *reader, mg_layout_weight *weight)
{
    mg_str *aliases = mg_arena_array(reader->arena, mg_str, 3);
    int64_t count = 0;
    mg_str old = replace(reader->arena, weight->name, "LayerNorm.weight", "LayerNorm.gamma");
    old = replace(reader->arena, old, "LayerNorm.bias", "LayerNorm.beta");
    bool renamed = !mg_str_equal(old, weight->name);
    if (reader->row->alias == MG_ALIAS_GPT2) {
        aliases[count++] = replace(reader->arena, weight->name, "transformer.", "");
    } else if (renamed) {
        aliases[count++] = old;
    }
    if (reader->row->alias == MG_ALIAS_BERT) {
        aliases[count++] = mg_arena_printf(reader->arena, "bert.%.*s", MG_STR_ARG(weight->name));
        if (renamed) {
            aliases[count++] = mg_arena_printf(reader->arena, "bert.%.*s", MG_STR_ARG(old));
        }
    }
    MG_ASSERT(count > 0);
    weight->aliases = aliases;
    weight->alias_count = count;
}

static void set_tied(const row_reader *reader, mg_layout_weight *weight)
{
    if (reader->row->tied != NULL) {
        weight->tied = split_words(reader->arena, reader->row->tied, &weight->tied_count);
        return;
    }
    MG_ASSERT(reader->embed.size > 0);
    mg_str *tied = mg_arena_new(reader->arena, mg_str);
    *tied = reader->embed;
    weight->tied = tied;
    weight->tied_count = 1;
}

/* One weight: base with its suffix, and flags. */
static void add_named(row_reader *reader, weight_list *list, mg_str group, mg_str base,
                      const char *suffix, mg_str flags)
{
    mg_layout_weight *weight = add_weight(list);
    mg_str name = mg_arena_printf(reader->arena, "%.*s%.*s%.*s%s", MG_STR_ARG(reader->prefix),
                                  MG_STR_ARG(group), MG_STR_ARG(base), suffix);
    name = replace(reader->arena, name, ".N.", "." LAYER);
    weight->name = replace(reader->arena, name, ".L.", "." LAYERS);
    while (flags.size > 0) {
        size_t used = 1;
        if (mg_str_starts(flags, "!E")) {
            weight->embed = true;
            used = 2;
        } else if (mg_str_starts(flags, "?")) {
            weight->optional = true;
        } else if (mg_str_starts(flags, "~")) {
            set_tied(reader, weight);
        } else if (mg_str_starts(flags, "@")) {
            set_aliases(reader, weight);
        } else {
            MG_ASSERT(mg_str_starts(flags, "#i64"));
            weight->force_dtype = MG_I64;
            used = 4;
        }
        flags = mg_str_slice(flags, used, flags.size);
    }
    if (weight->embed && reader->embed.size == 0) {
        reader->embed = weight->name;
    }
}

static void add_item(row_reader *reader, weight_list *list, mg_str group, mg_str item)
{
    bool literal = mg_str_starts(item, "=");
    item = mg_str_slice(item, literal ? 1 : 0, item.size);
    size_t end = 0;
    while (end < item.size && strchr("(+!?~@#", item.data[end]) == NULL) {
        end++;
    }
    mg_str base = mg_str_slice(item, 0, end);
    mg_str flags = mg_str_slice(item, end, item.size);
    if (literal) {
        add_named(reader, list, group, base, "", flags);
    } else if (mg_str_starts(flags, "(+b)")) {
        flags = mg_str_slice(flags, 4, flags.size);
        add_named(reader, list, group, base, ".weight", flags);
        add_named(reader, list, group, base, ".bias", flags);
    } else if (mg_str_starts(flags, "+b")) {
        add_named(reader, list, group, base, ".bias", mg_str_slice(flags, 2, flags.size));
    } else {
        add_named(reader, list, group, base, ".weight", flags);
    }
}

/* Items are divided by ", "; a group ends at its brace. */
static void read_list(row_reader *reader, const char *text, const mg_layout_weight **weights_out,
                      int64_t *count_out)
{
    weight_list list = { 0 };
    mg_str rest = mg_str_of(text);
    mg_str group = mg_str_of("");
    while (rest.size > 0) {
        size_t end = 0;
        while (end < rest.size && strchr(",{}", rest.data[end]) == NULL) {
            end++;
        }
        mg_str item = mg_str_slice(rest, 0, end);
        char stop = end < rest.size ? rest.data[end] : ',';
        if (stop == '{') {
            group = item;
        } else if (item.size > 0) {
            add_item(reader, &list, group, item);
        }
        if (stop == '}') {
            group = mg_str_of("");
        }
        end++;
        while (end < rest.size && rest.data[end] == ' ') {
            end++;
        }
        rest = mg_str_slice(rest, end, rest.size);
    }
    mg_layout_weight *weights = mg_arena_array(reader->arena, mg_layout_weight, list.count);
    if (list.count > 0) {
        memcpy(weights, list.items, (size_t)list.count * sizeof(*weights));
    }
    mg_free(list.items);
    *weights_out = weights;
    *count_out = list.count;
}

static void read_module(mg_arena *arena, const mg_layout_row *row, mg_layout_module *module)
{
    mg_str prefix = mg_str_of(row->prefix != NULL ? row->prefix : "");
    row_reader reader = { arena, row, prefix, mg_str_of("") };
    module->name = mg_str_of(row->module != NULL ? row->module : "default");
    module->fixed_layer_count = row->fixed_layer_count;
    if (!row->fixed) {
        module->layer_count_key =
            mg_str_of(row->layer_count_key != NULL ? row->layer_count_key : "num_hidden_layers");
    }
    read_list(&reader, row->pre, &module->pre, &module->pre_count);
    if (row->layer_prefix != NULL) {
        reader.prefix = mg_arena_printf(arena, "%.*s%s", MG_STR_ARG(prefix), row->layer_prefix);
        read_list(&reader, row->layer, &module->layer, &module->layer_weight_count);
    }
    reader.prefix = prefix;
    read_list(&reader, row->post, &module->post, &module->post_count);
}

mg_layout *mg_layout_from_rows(mg_arena *arena, int64_t *row_inout)
{
    const mg_layout_row *first = &mg_layout_rows[*row_inout];
    MG_ASSERT(first->architectures != NULL);
    int64_t count = 1;
    while (*row_inout + count < mg_layout_row_count && first[count].architectures == NULL) {
        count++;
    }
    mg_layout *layout = mg_arena_new(arena, mg_layout);
    mg_layout_module *modules = mg_arena_array(arena, mg_layout_module, count);
    layout->architectures = split_words(arena, first->architectures, &layout->architecture_count);
    layout->model_type = mg_str_of(first->model_type);
    layout->vocab_key = mg_str_of(first->vocab_key != NULL ? first->vocab_key : "vocab_size");
    layout->tagalong = split_words(arena, first->tagalong, &layout->tagalong_count);
    for (int64_t i = 0; i < count; i++) {
        read_module(arena, &first[i], &modules[i]);
    }
    layout->modules = modules;
    layout->module_count = count;
    *row_inout += count;
    return layout;
}
