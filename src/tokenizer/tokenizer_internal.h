/* tokenizer/tokenizer_internal.h - what a tokenizer is made of, and who fills it.
 *
 *     tokenizer.c                open, encode, decode
 *     tokenizer_json.c           tokenizer.json
 *     sentencepiece_tokenizer.c  tokenizer.model
 *     gpt2_files.c               vocab.json and merges.txt
 *     tekken.c                   tekken.json
 *     tokenizer_config.c         tokenizer_config.json and its older companions
 *     chat.c                     the chat templates
 *
 * Thread-safety: immutable after open. */
#pragma once

#include "base/arena.h"
#include "text/value.h"
#include "tokenizer/added_internal.h"
#include "tokenizer/bpe_internal.h"
#include "tokenizer/detokenize_internal.h"
#include "tokenizer/normalize_internal.h"
#include "tokenizer/pretokenize_internal.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unigram_internal.h"
#include "tokenizer/vocab_internal.h"
#include "tokenizer/word_cache_internal.h"

MG_BEGIN_C

#define MG_TOKENIZER_FILE_BYTES_MAX ((size_t)512 << 20)
#define MG_TOKENIZER_CONFIG_BYTES_MAX ((size_t)64 << 20)

typedef enum mg_model_kind { MG_MODEL_BPE, MG_MODEL_UNIGRAM } mg_model_kind;

/* Special tokens with a name in tokenizer_config.json. */
typedef enum mg_special_kind {
    MG_SPECIAL_BOS,
    MG_SPECIAL_EOS,
    MG_SPECIAL_UNK,
    MG_SPECIAL_PAD,
    MG_SPECIAL_SEP,
    MG_SPECIAL_CLS,
    MG_SPECIAL_MASK,
    MG_SPECIAL_COUNT
} mg_special_kind;

typedef struct mg_special {
    mg_str content; /* data is NULL when there is none */
    int32_t id;     /* -1 = none */
} mg_special;

typedef struct mg_chat_template {
    mg_str name;
    struct mg_template *compiled; /* NULL when the source has a mistake */
    mg_status status;
    mg_str message; /* of the mistake */
    struct mg_chat_template *next;
} mg_chat_template;

typedef struct mg_encode_slot mg_encode_slot;

struct mg_tokenizer {
    mg_arena arena;
    mg_vocab vocab; /* of the model, without added tokens */
    mg_model_kind kind;
    mg_bpe bpe;
    mg_unigram unigram;
    mg_added added;
    mg_normalizer normalizer;
    mg_pretokenizer pretokenizer;
    mg_ids prefix; /* what add_special puts in front and behind */
    mg_ids suffix;
    mg_detokenizer detokenizer;
    bool clean_up;
    mg_special specials[MG_SPECIAL_COUNT];
    mg_chat_template *templates; /* in the arena */
    mg_word_cache *cache;
    mg_encode_slot *slot; /* a spare scratch for the next encode */
};

/* tokenizer_config.json and what stands in for it, as documents; missing files are null. */
typedef struct mg_tokenizer_config {
    mg_arena arena;
    mg_value config;       /* tokenizer_config.json */
    mg_value special_map;  /* special_tokens_map.json */
    mg_value added_tokens; /* added_tokens.json */
    mg_str class_name;     /* without "Fast"; from config.json when the file does not name one */
} mg_tokenizer_config;
void mg_tokenizer_config_release(mg_tokenizer_config *config); /* NULL or zeroed is fine */
MG_MUST_CHECK mg_status mg_tokenizer_config_read(const char *folder,
                                                 mg_tokenizer_config *config_out, mg_error *err);
/* Adds the tokens, names the special ones, applies the class's rules (tokenizers.md 3 and 7.1). */
MG_MUST_CHECK mg_status mg_tokenizer_config_apply(const mg_tokenizer_config *config,
                                                  mg_tokenizer *tokenizer, mg_error *err);

/* Each fills the model, the pipeline and the added tokens of a fresh tokenizer. */
MG_MUST_CHECK mg_status mg_tokenizer_read_json(mg_tokenizer *tokenizer, const char *path,
                                               mg_error *err);
MG_MUST_CHECK mg_status mg_tokenizer_read_json_text(mg_tokenizer *tokenizer, mg_str text,
                                                    const char *name, mg_error *err);
MG_MUST_CHECK mg_status mg_tokenizer_read_sentencepiece(mg_tokenizer *tokenizer, const char *path,
                                                        const mg_value *config, mg_error *err);
MG_MUST_CHECK mg_status mg_tokenizer_read_sentencepiece_bytes(mg_tokenizer *tokenizer, mg_str bytes,
                                                              const mg_value *config,
                                                              mg_error *err);
MG_MUST_CHECK mg_status mg_tokenizer_read_gpt2(mg_tokenizer *tokenizer, const char *vocab_path,
                                               const char *merges_path,
                                               const mg_tokenizer_config *config, mg_error *err);

MG_MUST_CHECK mg_status mg_tokenizer_read_tekken(mg_tokenizer *tokenizer, const char *path,
                                                 mg_error *err);

/* The chat templates of a folder (chat.c). */
MG_MUST_CHECK mg_status mg_chat_templates_read(mg_tokenizer *tokenizer, const char *folder,
                                               const mg_value *config, mg_error *err);
void mg_chat_templates_release(mg_tokenizer *tokenizer);

/* The tokenizer of one file's content, without a folder around it. */
MG_MUST_CHECK mg_status mg_tokenizer_create_json(mg_str text, mg_tokenizer **tokenizer_out,
                                                 mg_error *err);
MG_MUST_CHECK mg_status mg_tokenizer_create_sentencepiece(mg_str bytes,
                                                          mg_tokenizer **tokenizer_out,
                                                          mg_error *err);

/* Gives content an id, as the reference does: the one it has, else the next free one; flags are
 * token's, its id is ignored. */
MG_MUST_CHECK mg_status mg_tokenizer_add_token(mg_tokenizer *tokenizer, mg_added_token token,
                                               mg_error *err);
/* The id of an added token or a token of the model, -1 = none. */
int32_t mg_tokenizer_find(const mg_tokenizer *tokenizer, mg_str content);

MG_END_C
