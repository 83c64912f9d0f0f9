/* hub/layout_source.c - where one weight of one model lies on disk (merging.md 2.7 and 2.8).
 *
 * Mixtures of experts are laid out with fused tensors.  Files that hold the experts one by one
 * serve as well: their matrices, one after another, are the fused tensor.
 *
 *     .mlp.experts.gate_up_proj   (E, 2 I, H)   gate_0, up_0, gate_1, up_1, ...
 *     .mlp.experts.down_proj      (E, H, I)     down_0, down_1, ...
 */
#include "base/memory.h"
#include "hub/layout.h"

#define EXPERTS_MAX 65536

/* Names of one expert's matrices behind the layer's prefix, in the two styles that files have. */
static const struct expert_style {
    const char *folder; /* "%lld" is added for the expert */
    const char *gate;
    const char *up;
    const char *down;
} expert_styles[] = {
    { ".block_sparse_moe.experts.", ".w1.weight", ".w3.weight", ".w2.weight" },
    { ".mlp.experts.", ".gate_proj.weight", ".up_proj.weight", ".down_proj.weight" },
};

static bool take_single(const mg_view *view, mg_arena *arena, mg_layout_source *source)
{
    if (view == NULL) {
        return false;
    }
    const mg_view **parts = mg_arena_new(arena, const mg_view *);
    parts[0] = view;
    source->parts = parts;
    source->part_count = 1;
    source->shape = view->shape;
    source->dtype = view->dtype;
    source->bytes = view->bytes;
    source->label = view->name;
    return true;
}

/* All views must agree with the first in shape and type. */
static mg_status join(const mg_view **parts, int64_t count, int64_t per_expert, mg_str name,
                      mg_layout_source *source, mg_error *err)
{
    const mg_view *first = parts[0];
    size_t bytes = 0;
    mg_str label = first->name;
    for (int64_t i = 0; i < count; i++) {
        if (parts[i]->dtype != first->dtype || !mg_shape_equal(&parts[i]->shape, &first->shape) ||
            first->shape.rank != 2) {
            return mg_fail(err, MG_ERR_FORMAT,
                           "'%.*s' cannot be joined: '%.*s' does not fit '%.*s'", MG_STR_ARG(name),
                           MG_STR_ARG(parts[i]->name), MG_STR_ARG(first->name));
        }
        if (!mg_size_add(bytes, parts[i]->bytes, &bytes)) {
            return mg_fail(err, MG_ERR_FORMAT, "'%.*s' is too large", MG_STR_ARG(name));
        }
        label = mg_str_compare(parts[i]->name, label) > 0 ? parts[i]->name : label;
    }
    source->parts = parts;
    source->part_count = count;
    source->shape.rank = 3;
    source->shape.dims[0] = count / per_expert;
    source->shape.dims[1] = first->shape.dims[0] * per_expert;
    source->shape.dims[2] = first->shape.dims[1];
    source->dtype = first->dtype;
    source->bytes = bytes;
    source->label = label;
    return MG_OK;
}

static const mg_view *find_part(const mg_checkpoint *checkpoint, mg_arena *arena, mg_str prefix,
                                const struct expert_style *style, int64_t expert,
                                const char *suffix)
{
    mg_str name = mg_arena_printf(arena, "%.*s%s%lld%s", MG_STR_ARG(prefix), style->folder,
                                  (long long)expert, suffix);
    return mg_checkpoint_find(checkpoint, name);
}

/* Joins the experts of one style; leaves source empty when there are none of it. */
static mg_status find_experts(const mg_checkpoint *checkpoint, mg_arena *arena, mg_str prefix,
                              const struct expert_style *style, bool gate_up, mg_str name,
                              mg_layout_source *source, mg_error *err)
{
    const char *suffixes[] = { gate_up ? style->gate : style->down, style->up };
    int64_t per_expert = gate_up ? 2 : 1;
    int64_t experts = 0;
    while (experts < EXPERTS_MAX &&
           find_part(checkpoint, arena, prefix, style, experts, suffixes[0]) != NULL) {
        experts++;
    }
    if (experts == 0) {
        return MG_OK;
    }
    const mg_view **parts = mg_arena_array(arena, const mg_view *, experts *per_expert);
    for (int64_t i = 0; i < experts * per_expert; i++) {
        const char *suffix = suffixes[i % per_expert];
        parts[i] = find_part(checkpoint, arena, prefix, style, i / per_expert, suffix);
        if (parts[i] == NULL) {
            return mg_fail(err, MG_ERR_FORMAT, "'%.*s' cannot be joined: expert %lld has no '%s'",
                           MG_STR_ARG(name), (long long)(i / per_expert), suffix);
        }
    }
    return join(parts, experts * per_expert, per_expert, name, source, err);
}

/* The stored form of a fused weight of a mixture of experts. */
static mg_status find_converted(const mg_checkpoint *checkpoint, mg_str name, mg_arena *arena,
                                mg_layout_source *source, mg_error *err)
{
    static const char gate[] = ".mlp.gate.weight";
    static const char gate_up[] = ".mlp.experts.gate_up_proj";
    static const char down[] = ".mlp.experts.down_proj";

    if (mg_str_ends(name, gate)) {
        mg_str stored =
            mg_arena_printf(arena, "%.*s.block_sparse_moe.gate.weight",
                            MG_STR_ARG(mg_str_slice(name, 0, name.size - strlen(gate))));
        (void)take_single(mg_checkpoint_find(checkpoint, stored), arena, source);
        return MG_OK;
    }
    bool is_gate_up = mg_str_ends(name, gate_up);
    if (!is_gate_up && !mg_str_ends(name, down)) {
        return MG_OK;
    }
    size_t size = strlen(is_gate_up ? gate_up : down);
    mg_str prefix = mg_str_slice(name, 0, name.size - size);
    for (int64_t i = 0; i < MG_ARRAY_COUNT(expert_styles) && source->part_count == 0; i++) {
        MG_TRY(find_experts(checkpoint, arena, prefix, &expert_styles[i], is_gate_up, name, source,
                            err));
    }
    return MG_OK;
}

mg_status mg_layout_find_source(const mg_checkpoint *checkpoint, const mg_layout_weight *weight,
                                int64_t layer_index, int64_t layer_count, mg_arena *arena,
                                mg_layout_source *source_out, mg_error *err)
{
    memset(source_out, 0, sizeof(*source_out));
    mg_str name = mg_layout_name(weight->name, layer_index, layer_count, arena);
    if (take_single(mg_checkpoint_find(checkpoint, name), arena, source_out)) {
        return MG_OK;
    }
    for (int64_t i = 0; i < weight->alias_count + weight->tied_count; i++) {
        bool tied = i >= weight->alias_count;
        mg_str other = tied ? weight->tied[i - weight->alias_count] : weight->aliases[i];
        other = mg_layout_name(other, layer_index, layer_count, arena);
        if (take_single(mg_checkpoint_find(checkpoint, other), arena, source_out)) {
            source_out->tied = tied;
            return MG_OK;
        }
    }
    return find_converted(checkpoint, name, arena, source_out, err);
}
