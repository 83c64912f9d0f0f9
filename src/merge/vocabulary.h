/* merge/vocabulary.h - the tokenizer of a merge, and the rows of its embeddings (merging.md 5).
 *
 * The output's tokens come from one model or from all; each row of an embedding is found in each
 * model by the token's text, not by its number.  Works on tokenizer.json alone.
 * Thread-safety: immutable after building. */
#pragma once

#include "base/arena.h"
#include "base/error.h"
#include "base/map.h"
#include "base/pool.h"
#include "recipe/recipe.h"

MG_BEGIN_C

/* The tokens of one tokenizer.json.  Zeroed, or filled by mg_token_table_read. */
typedef struct mg_token_table {
    mg_arena tree;    /* owns root */
    mg_value root;    /* the file, some fifteen times its size; MG_NULL once it is dropped */
    mg_arena arena;   /* owns what follows */
    mg_value records; /* `added_tokens`: a list, or MG_NULL */
    int64_t ordinary; /* entries of the model's vocabulary */
    mg_map ids;       /* text -> id, added tokens included */
    mg_str *texts;    /* by id; empty = no such token */
    bool *added;      /* by id */
    int64_t id_end;   /* highest id + 1 */
    int64_t count;    /* tokens */
} mg_token_table;

/* MG_ERR_NOT_FOUND without folder/tokenizer.json, MG_ERR_FORMAT. */
MG_MUST_CHECK mg_status mg_token_table_read(const char *folder, mg_token_table *table_out,
                                            mg_error *err);
void mg_token_table_release(mg_token_table *table);
/* Frees the file's tree, which only the tokenizer that a merge starts from needs. */
void mg_token_table_drop_tree(mg_token_table *table);

/* One model of the merge, in the order of reference, the base first. */
typedef struct mg_vocabulary_model {
    mg_model_ref ref;
    const mg_token_table *tokens; /* NULL = as the base */
    int64_t size;                 /* rows that its configuration gives the vocabulary */
    const char *folder;
} mg_vocabulary_model;

typedef enum mg_row_source {
    MG_ROW_AUTOMATIC,
    MG_ROW_ZERO,
    MG_ROW_SAME_TOKEN, /* of model */
    MG_ROW_NUMBER      /* of model */
} mg_row_source;

/* What the configuration says of one token of the output. */
typedef struct mg_token_rule {
    mg_row_source source;
    bool force; /* the row replaces also those of models that have the token */
    int64_t model;
    int32_t row; /* -1 = the model has no such token */
} mg_token_rule;

typedef struct mg_vocabulary {
    int64_t token_count;
    int64_t row_count;          /* token_count, padded */
    bool identity;              /* no row of any model moves */
    const int32_t **own;        /* by model, by output id: its row there, -1 = none */
    const mg_token_rule *rules; /* by output id; NULL = all automatic */
    const mg_str *texts;        /* by output id */
    mg_value tokenizer;         /* tokenizer.json of the result, in the tree's arena */
    const char *folder;         /* the rest of the tokenizer's files comes from here */
} mg_vocabulary;

/* What recipe's `tokenizer` or `tokenizer_source` asks for.  other is the tokenizer of a source
 * that is none of the models (NULL when it is one), and it or the first model must have its tree.
 * The vocabulary lives in arena, its tokenizer in tree, so that it can end earlier; of what is
 * borrowed only the folders must outlive them.  Mistakes go to diagnostics.  MG_ERR_CONFIG,
 * MG_ERR_UNSUPPORTED. */
MG_MUST_CHECK mg_status mg_vocabulary_build(const mg_recipe *recipe,
                                            const mg_vocabulary_model *models, int64_t model_count,
                                            const mg_vocabulary_model *other, mg_arena *arena,
                                            mg_arena *tree, mg_diagnostics *diagnostics,
                                            mg_vocabulary *vocabulary_out, mg_error *err);

/* One embedding of one model, before and after. */
typedef struct mg_vocabulary_input {
    int64_t model;
    const void *data;
    mg_dtype dtype;
    int64_t rows;
    float *out; /* (row_count, columns) values of work */
} mg_vocabulary_input;

/* Whether the rows of all tokens can be had from these inputs, of which only model and rows count.
 * MG_ERR_CONFIG or MG_ERR_FORMAT names the first token whose row cannot. */
MG_MUST_CHECK mg_status mg_vocabulary_check(const mg_vocabulary *vocabulary,
                                            const mg_vocabulary_input *inputs, int64_t input_count,
                                            mg_error *err);

/* Fills out of every input.  base is the index among inputs, -1 = none.  MG_ERR_CONFIG names a
 * token whose row cannot be had. */
MG_MUST_CHECK mg_status mg_vocabulary_apply(const mg_vocabulary *vocabulary,
                                            const mg_vocabulary_input *inputs, int64_t input_count,
                                            int64_t base, int64_t columns, mg_dtype work,
                                            mg_pool *pool, mg_error *err);

MG_END_C
