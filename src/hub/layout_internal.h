/* hub/layout_internal.h - the table of built-in layouts and how layouts are made from rows. */
#pragma once

#include "hub/layout.h"

MG_BEGIN_C

/* Other names that weights marked @ have in older files. */
typedef enum mg_alias_rule {
    MG_ALIAS_NONE,
    MG_ALIAS_GAMMA, /* LayerNorm.weight was LayerNorm.gamma, LayerNorm.bias was LayerNorm.beta */
    MG_ALIAS_BERT,  /* as GAMMA, and each name also with "bert." in front */
    MG_ALIAS_GPT2   /* each name also without "transformer." */
} mg_alias_rule;

/* One module, in a short notation.  pre, layer and post are lists of weights divided by ", ":
 *     NAME    stands for NAME.weight       NAME+b    for NAME.bias      NAME(+b)  for both
 *     =NAME   is the whole name            P.{A, B}  stands for P.A, P.B
 * with flags behind: !E rows belong to tokens, ? optional, ~ tied, @ has aliases, #i64 an int64.
 * In layer_prefix "N." is the layer; "L." in names is the number of layers. */
typedef struct mg_layout_row {
    const char *architectures; /* divided by blanks; NULL = one more module of the layout above */
    const char *model_type;
    const char *vocab_key;       /* NULL = "vocab_size" */
    const char *tagalong;        /* divided by blanks */
    const char *module;          /* NULL = "default" */
    const char *prefix;          /* in front of every name */
    const char *layer_count_key; /* NULL = "num_hidden_layers" */
    bool fixed;                  /* no key: fixed_layer_count layers */
    int64_t fixed_layer_count;
    const char *pre;
    const char *layer_prefix;
    const char *layer;
    const char *post;
    const char *tied; /* stand-ins for weights marked ~; NULL = the first of pre marked !E */
    mg_alias_rule alias;
} mg_layout_row;

extern const mg_layout_row mg_layout_rows[];
extern const int64_t mg_layout_row_count;

/* Makes a layout of the row at *row_inout and the rows of its other modules; advances *row_inout.
 */
mg_layout *mg_layout_from_rows(mg_arena *arena, int64_t *row_inout);

/* Reads mergekit's JSON form.  where names the source in messages. */
MG_MUST_CHECK mg_status mg_layout_from_json(mg_arena *arena, const mg_value *root,
                                            const char *where, mg_layout **layout_out,
                                            mg_error *err);

/* Merging.md 2.6. */
MG_MUST_CHECK mg_status mg_layout_from_names(mg_arena *arena, const mg_snapshot *const *snapshots,
                                             int64_t count, mg_layout **layout_out, mg_error *err);

MG_END_C
