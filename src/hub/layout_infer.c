/* hub/layout_infer.c - layouts for unknown classes, from the names of stored tensors
 * (merging.md 2.6).
 *
 * A name with a first ".<digits>." belongs to a layer; the text before it is a prefix, and the name
 * with
 * ${layer_index} for the digits is a template.  One prefix gives one module "default"; several give
 * a module each, and "default" for what has no layer.  Everything outside layers becomes a
 * pre-weight. */
#include <stdlib.h>

#include "base/map.h"
#include "base/memory.h"
#include "hub/layout_internal.h"

#define LAYERS_MAX 100000

typedef struct name_entry {
    mg_str template_; /* in the arena */
    mg_str prefix;    /* the part of template_ before its layer; empty outside layers */
    bool layered;
    bool embed;
    int64_t present; /* (model, layer) pairs that store it */
    mg_shape shape;  /* of the last one met */
    bool tokens;     /* some model has a row of it for each of its tokens */
} name_entry;

typedef struct collector {
    mg_arena *arena;
    name_entry *entries;
    int64_t count;
    int64_t cap;
    mg_map by_template;
    mg_map layer_counts; /* prefix -> layers */
} collector;

/* Finds the first ".<digits>." of name; false without one. */
static bool find_layer(mg_str name, size_t *begin_out, size_t *end_out, int64_t *layer_out)
{
    for (size_t dot = 0; dot < name.size; dot++) {
        if (name.data[dot] != '.') {
            continue;
        }
        size_t end = dot + 1;
        while (end < name.size && name.data[end] >= '0' && name.data[end] <= '9') {
            end++;
        }
        mg_str digits = mg_str_slice(name, dot + 1, end);
        if (digits.size == 0 || end >= name.size || name.data[end] != '.') {
            continue;
        }
        if (!mg_str_to_int(digits, layer_out) || *layer_out >= LAYERS_MAX) {
            return false;
        }
        *begin_out = dot + 1;
        *end_out = end;
        return true;
    }
    return false;
}

static name_entry *find_entry(collector *all, mg_str template_)
{
    int64_t index = mg_map_get(&all->by_template, template_, -1);
    if (index >= 0) {
        return &all->entries[index];
    }
    if (all->count == all->cap) {
        all->cap = all->cap > 0 ? 2 * all->cap : 64;
        all->entries = (name_entry *)mg_memory_resize(all->entries, all->cap, sizeof(name_entry));
    }
    name_entry *added = &all->entries[all->count];
    memset(added, 0, sizeof(*added));
    added->template_ = mg_arena_copy(all->arena, template_);
    (void)mg_map_set(&all->by_template, added->template_, all->count);
    all->count++;
    return added;
}

static void add_name(collector *all, const mg_view *view, int64_t vocab_size)
{
    size_t begin;
    size_t end;
    int64_t layer;
    if (!find_layer(view->name, &begin, &end, &layer)) {
        name_entry *entry = find_entry(all, view->name);
        entry->present++;
        entry->shape = view->shape;
        entry->tokens =
            entry->tokens || (view->shape.rank > 0 && view->shape.dims[0] == vocab_size);
        return;
    }
    mg_buf buf = { 0 };
    mg_buf_add(&buf, mg_str_slice(view->name, 0, begin));
    mg_buf_add_text(&buf, "${layer_index}");
    mg_buf_add(&buf, mg_str_slice(view->name, end, view->name.size));
    name_entry *entry = find_entry(all, mg_buf_view(&buf));
    mg_buf_release(&buf);
    entry->layered = true;
    entry->present++;
    entry->shape = view->shape;
    entry->prefix = mg_str_slice(entry->template_, 0, begin - 1);
    if (mg_map_get(&all->layer_counts, entry->prefix, 0) <= layer) {
        (void)mg_map_set(&all->layer_counts, entry->prefix, layer + 1);
    }
}

/* A matrix with a row for each token, under one of the usual names. */
static bool looks_like_embedding(const name_entry *entry)
{
    static const char *const names[] = { "embed_tokens", "embed_in",       "word_embeddings",
                                         "wte",          "tok_embeddings", "embeddings",
                                         "shared",       "lm_head",        "embed_out",
                                         "output",       "output_layer",   "decoder" };
    if (entry->shape.rank != 2 || !entry->tokens || entry->layered ||
        !mg_str_ends(entry->template_, ".weight")) {
        return false;
    }
    mg_str stem = mg_str_slice(entry->template_, 0, entry->template_.size - strlen(".weight"));
    for (int64_t i = 0; i < MG_ARRAY_COUNT(names); i++) {
        size_t size = strlen(names[i]);
        if (mg_str_ends(stem, names[i]) &&
            (stem.size == size || stem.data[stem.size - size - 1] == '.')) {
            return true;
        }
    }
    return false;
}

static bool looks_like_head(mg_str name)
{
    return mg_str_ends(name, "lm_head.weight") || mg_str_ends(name, "embed_out.weight") ||
           mg_str_is(name, "output.weight");
}

/* The input embedding among the entries, for tied heads; NULL without one. */
static const name_entry *find_embedding(const collector *all)
{
    for (int64_t i = 0; i < all->count; i++) {
        if (all->entries[i].embed && !looks_like_head(all->entries[i].template_)) {
            return &all->entries[i];
        }
    }
    return NULL;
}

static void fill_weight(const collector *all, const name_entry *entry, int64_t expected, bool ties,
                        mg_layout_weight *weight)
{
    weight->name = entry->template_;
    weight->embed = entry->embed;
    weight->optional = entry->present < expected;
    weight->force_dtype = MG_DTYPE_COUNT;
    const name_entry *embedding = find_embedding(all);
    if (ties && embedding != NULL && looks_like_head(entry->template_)) {
        mg_str *tied = mg_arena_new(all->arena, mg_str);
        *tied = embedding->template_;
        weight->tied = tied;
        weight->tied_count = 1;
        weight->optional = true;
    }
}

/* The entries that belong to a module: layers of prefix (any, when all_prefixes), or none. */
static const mg_layout_weight *select_weights(const collector *all, mg_str prefix,
                                              bool all_prefixes, bool layered, int64_t models,
                                              bool ties, int64_t *count_out)
{
    mg_layout_weight *weights = mg_arena_array(all->arena, mg_layout_weight, all->count);
    int64_t count = 0;
    for (int64_t i = 0; i < all->count; i++) {
        const name_entry *entry = &all->entries[i];
        if (entry->layered != layered ||
            (layered && !all_prefixes && !mg_str_equal(entry->prefix, prefix))) {
            continue;
        }
        int64_t layers = layered ? mg_map_get(&all->layer_counts, entry->prefix, 0) : 1;
        fill_weight(all, entry, models * layers, ties, &weights[count++]);
    }
    *count_out = count;
    return weights;
}

static int by_template(const void *a, const void *b)
{
    return mg_str_compare(((const name_entry *)a)->template_, ((const name_entry *)b)->template_);
}

/* The distinct prefixes, in the order of the sorted entries. */
static int64_t list_prefixes(const collector *all, mg_str *prefixes)
{
    int64_t count = 0;
    mg_map seen = { 0 };
    for (int64_t i = 0; i < all->count; i++) {
        if (all->entries[i].layered && mg_map_set(&seen, all->entries[i].prefix, 0)) {
            prefixes[count++] = all->entries[i].prefix;
        }
    }
    mg_map_release(&seen);
    return count;
}

static void make_modules(const collector *all, int64_t models, bool ties, mg_layout *layout)
{
    mg_str *prefixes = mg_arena_array(all->arena, mg_str, all->count);
    int64_t prefix_count = list_prefixes(all, prefixes);
    bool single = prefix_count <= 1;
    mg_layout_module *modules =
        mg_arena_array(all->arena, mg_layout_module, single ? 1 : prefix_count + 1);
    int64_t count = 0;
    mg_layout_module *plain = &modules[count++];
    plain->name = mg_str_of("default");
    plain->pre = select_weights(all, mg_str_of(""), true, false, models, ties, &plain->pre_count);
    for (int64_t i = 0; i < prefix_count; i++) {
        mg_layout_module *module = single ? plain : &modules[count++];
        if (!single) {
            module->name = prefixes[i];
        }
        module->layer = select_weights(all, prefixes[i], false, true, models, ties,
                                       &module->layer_weight_count);
        module->fixed_layer_count = mg_map_get(&all->layer_counts, prefixes[i], 0);
    }
    bool drop_plain = !single && plain->pre_count == 0;
    layout->modules = drop_plain ? modules + 1 : modules;
    layout->module_count = drop_plain ? count - 1 : count;
}

mg_status mg_layout_from_names(mg_arena *arena, const mg_snapshot *const *snapshots, int64_t count,
                               mg_layout **layout_out, mg_error *err)
{
    *layout_out = NULL;
    MG_ASSERT(count > 0);
    collector all = { .arena = arena };
    for (int64_t m = 0; m < count; m++) {
        int64_t tensors = mg_checkpoint_count(snapshots[m]->checkpoint);
        for (int64_t i = 0; i < tensors; i++) {
            mg_view view = mg_checkpoint_at(snapshots[m]->checkpoint, i);
            add_name(&all, &view, snapshots[m]->config.vocab_size);
        }
    }
    mg_status status = MG_OK;
    if (all.count == 0) {
        status = mg_fail(err, MG_ERR_FORMAT, "%s: holds no tensors", snapshots[0]->folder);
    } else {
        const mg_model_config *config = &snapshots[0]->config;
        for (int64_t i = 0; i < all.count; i++) {
            all.entries[i].embed = looks_like_embedding(&all.entries[i]);
        }
        qsort(all.entries, (size_t)all.count, sizeof(name_entry), by_template);
        mg_layout *layout = mg_arena_new(arena, mg_layout);
        mg_str *architecture = mg_arena_new(arena, mg_str);
        *architecture = mg_arena_copy(arena, config->architecture);
        layout->architectures = architecture;
        layout->architecture_count = 1;
        layout->model_type = mg_arena_copy(arena, config->model_type);
        layout->vocab_key = mg_str_of("vocab_size");
        layout->inferred = true;
        make_modules(&all, count, config->tie_embeddings, layout);
        *layout_out = layout;
    }
    mg_map_release(&all.by_template);
    mg_map_release(&all.layer_counts);
    mg_free(all.entries);
    return status;
}
