/* merge/vocabulary.c - building the output's tokenizer and finding each token's row in each model.
 *
 *   base, or another source:  its tokenizer, without tokens beyond the model's rows where it is the
 * base union:  the base's, plus ordinary tokens of the others as added tokens (by model, then by
 * id), plus the others' added tokens with their flags then:   the keys of `tokens` that are still
 * missing, as plain added tokens */
#include "merge/vocabulary.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/memory.h"

#define PAD_MULTIPLE_MAX (1 << 20)

typedef struct builder {
    const mg_recipe *recipe;
    const mg_vocabulary_model *models;
    int64_t model_count;
    mg_arena *arena;
    mg_arena *tree; /* of the tokenizer */
    mg_diagnostics *diagnostics;
    const mg_vocabulary_model *source; /* whose tokenizer is the ground */
    int64_t limit;                     /* ids of the ground that count */
    bool grows;                        /* the base's own tokenizer gets the listed tokens */
    mg_map ids;                        /* of the output */
    mg_value *added;                   /* records of the output */
    int64_t added_count, added_cap;
    int64_t next_id;
} builder;

static const mg_token_table *tokens_of(const builder *b, int64_t model)
{
    return b->models[model].tokens != NULL ? b->models[model].tokens : b->models[0].tokens;
}

/* A record of `added_tokens`: from with another id, or a plain token when from is NULL. */
static mg_value make_record(mg_arena *arena, const mg_value *from, mg_str text, int64_t id)
{
    static const char *const names[] = { "single_word", "lstrip", "rstrip", "normalized",
                                         "special" };
    mg_value record = mg_value_of_map(arena, 2 + MG_ARRAY_COUNT(names));
    record.entries[0].key = mg_value_of_str(arena, mg_str_of("id"));
    record.entries[0].value = mg_value_of_int(id);
    record.entries[1].key = mg_value_of_str(arena, mg_str_of("content"));
    record.entries[1].value = mg_value_of_str(arena, text);
    for (int64_t i = 0; i < MG_ARRAY_COUNT(names); i++) {
        const mg_value *flag = mg_value_get(from, names[i]);
        bool plain = strcmp(names[i], "normalized") == 0;
        bool on = flag != NULL && flag->kind == MG_BOOL ? flag->boolean : plain;
        record.entries[2 + i].key = mg_value_of_str(arena, mg_str_of(names[i]));
        record.entries[2 + i].value = mg_value_of_bool(on);
    }
    return record;
}

static void push_record(builder *b, mg_value record)
{
    if (b->added_count == b->added_cap) {
        b->added_cap = MG_MAX(64, 2 * b->added_cap);
        mg_value *more = mg_arena_array(b->tree, mg_value, b->added_cap);
        if (b->added_count > 0) {
            memcpy(more, b->added, (size_t)b->added_count * sizeof(mg_value));
        }
        b->added = more;
    }
    b->added[b->added_count++] = record;
}

/* Adds a token that the output lacks, behind all others. */
static void append_token(builder *b, const mg_value *from, mg_str text)
{
    push_record(b, make_record(b->tree, from, text, b->next_id));
    mg_map_set(&b->ids, text, b->next_id);
    b->next_id++;
}

/* The ground: tokens of the source below limit. */
static void start_from_source(builder *b)
{
    const mg_token_table *table = b->source->tokens;
    const mg_value *added = &table->records;
    int64_t ordinary = 0;
    for (int64_t id = 0; id < MG_MIN(b->limit, table->id_end); id++) {
        if (table->texts[id].data != NULL) {
            mg_map_set(&b->ids, table->texts[id], id);
            b->next_id = id + 1;
        }
    }
    ordinary = MG_MIN(table->ordinary, b->limit);
    b->next_id = MG_MAX(b->next_id, ordinary);
    for (int64_t i = 0; added != NULL && i < added->count; i++) {
        int64_t id = 0;
        (void)mg_value_to_int(mg_value_get(&added->items[i], "id"), &id);
        if (id < b->limit) {
            push_record(b, mg_value_copy(b->tree, &added->items[i]));
        }
    }
}

static bool is_added_somewhere(const builder *b, mg_str text)
{
    for (int64_t m = 0; m < b->model_count; m++) {
        const mg_token_table *table = tokens_of(b, m);
        int64_t id = mg_map_get(&table->ids, text, -1);
        if (id >= 0 && id < b->models[m].size && table->added[id]) {
            return true;
        }
    }
    return false;
}

static void add_union(builder *b)
{
    for (int64_t m = 1; m < b->model_count; m++) {
        const mg_token_table *table = tokens_of(b, m);
        for (int64_t id = 0; id < MG_MIN(table->id_end, b->models[m].size); id++) {
            mg_str text = table->texts[id];
            if (text.data != NULL && !table->added[id] && !mg_map_has(&b->ids, text) &&
                !is_added_somewhere(b, text)) {
                append_token(b, NULL, text);
            }
        }
    }
    mg_map seen = { NULL, 0, 0 };
    for (int64_t m = 0; m < b->model_count; m++) {
        const mg_value *added = &tokens_of(b, m)->records;
        for (int64_t i = 0; added != NULL && i < added->count; i++) {
            mg_str text = mg_value_get(&added->items[i], "content")->string;
            int64_t id = 0;
            (void)mg_value_to_int(mg_value_get(&added->items[i], "id"), &id);
            if (id >= b->models[m].size || !mg_map_set(&seen, text, 1) || m == 0) {
                continue;
            }
            int64_t here = mg_map_get(&b->ids, text, -1);
            if (here >= 0) { /* an ordinary token of the base becomes an added one */
                push_record(b, make_record(b->tree, &added->items[i], text, here));
            } else {
                append_token(b, &added->items[i], text);
            }
        }
    }
    mg_map_release(&seen);
}

/* Whether a merge of a BPE model neither mentions a dropped token nor makes one. */
static bool keeps_merge(const builder *b, const mg_value *merge)
{
    mg_str parts[3]; /* what is joined, and the whole */
    if (merge->kind == MG_STRING) {
        mg_str rest = merge->string;
        if (!mg_str_split(&rest, ' ', &parts[0])) {
            return true;
        }
        parts[1] = rest;
    } else if (merge->kind == MG_LIST && merge->count == 2 && merge->items[0].kind == MG_STRING &&
               merge->items[1].kind == MG_STRING) {
        parts[0] = merge->items[0].string;
        parts[1] = merge->items[1].string;
    } else {
        return true;
    }
    const mg_token_table *table = b->source->tokens;
    const mg_value *prefix = mg_value_path(&table->root, "model.continuing_subword_prefix");
    mg_str tail = parts[1];
    if (prefix != NULL && prefix->kind == MG_STRING && tail.size >= prefix->string.size) {
        tail = mg_str_slice(tail, prefix->string.size, tail.size);
    }
    parts[2] = mg_arena_printf(b->tree, "%.*s%.*s", MG_STR_ARG(parts[0]), MG_STR_ARG(tail));
    for (int i = 0; i < 3; i++) {
        if (mg_map_get(&table->ids, parts[i], -1) >= b->limit) {
            return false;
        }
    }
    return true;
}

static mg_value *entry_of(mg_value *map, const char *key)
{
    for (int64_t i = 0; i < map->count; i++) {
        if (map->entries[i].key.kind == MG_STRING && mg_str_is(map->entries[i].key.string, key)) {
            return &map->entries[i].value;
        }
    }
    return NULL;
}

/* Drops what lies beyond limit from our copy of the source's model. */
static mg_status strip_model(const builder *b, mg_value *model, mg_error *err)
{
    const mg_value *type = mg_value_get(model, "type");
    if (b->source->tokens->id_end <= b->limit) {
        return MG_OK;
    }
    if (type == NULL || type->kind != MG_STRING || !mg_str_is(type->string, "BPE")) {
        return mg_fail(err, MG_ERR_UNSUPPORTED,
                       "%s: has more tokens than the model has rows, which only BPE tokenizers can "
                       "be cut to",
                       b->source->folder);
    }
    mg_value *vocab = entry_of(model, "vocab");
    mg_value *merges = entry_of(model, "merges");
    if (vocab->kind != MG_MAP || (merges != NULL && merges->kind != MG_LIST)) {
        return mg_fail(err, MG_ERR_FORMAT,
                       "%s: tokenizer.json: a BPE model needs a map 'vocab' and a list 'merges'",
                       b->source->folder);
    }
    int64_t kept = 0;
    for (int64_t i = 0; i < vocab->count; i++) {
        int64_t id = 0;
        (void)mg_value_to_int(&vocab->entries[i].value, &id);
        if (id < b->limit) {
            vocab->entries[kept++] = vocab->entries[i];
        }
    }
    vocab->count = kept;
    kept = 0;
    for (int64_t i = 0; merges != NULL && i < merges->count; i++) {
        if (keeps_merge(b, &merges->items[i])) {
            merges->items[kept++] = merges->items[i];
        }
    }
    if (merges != NULL) {
        merges->count = kept;
    }
    return MG_OK;
}

static int compare_records(const void *a, const void *b)
{
    int64_t x = 0, y = 0;
    (void)mg_value_to_int(mg_value_get((const mg_value *)a, "id"), &x);
    (void)mg_value_to_int(mg_value_get((const mg_value *)b, "id"), &y);
    return x < y ? -1 : x > y;
}

static mg_status write_tokenizer(builder *b, mg_vocabulary *out, mg_error *err)
{
    out->tokenizer = mg_value_copy(b->tree, &b->source->tokens->root);
    mg_value *added = entry_of(&out->tokenizer, "added_tokens");
    if (added == NULL) {
        return mg_fail(err, MG_ERR_FORMAT, "%s: tokenizer.json has no 'added_tokens'",
                       b->source->folder);
    }
    MG_TRY(strip_model(b, entry_of(&out->tokenizer, "model"), err));
    if (b->added_count > 1) {
        qsort(b->added, (size_t)b->added_count, sizeof(mg_value), compare_records);
    }
    added->kind = MG_LIST;
    added->items = b->added;
    added->count = b->added_count;
    return MG_OK;
}

/* --- The rows of the tokens ------------------------------------------------------------------- */

/* The tables' texts end before the vocabulary does. */
static mg_str copy_text(const builder *b, mg_str text)
{
    return text.data != NULL ? mg_arena_copy(b->arena, text) : text;
}

static mg_status list_texts(builder *b, mg_vocabulary *out, mg_error *err)
{
    out->token_count = b->next_id;
    mg_str *texts = mg_arena_array(b->arena, mg_str, MG_MAX(out->token_count, 1));
    const mg_token_table *table = b->source->tokens;
    for (int64_t id = 0; id < MG_MIN(b->limit, table->id_end); id++) {
        texts[id] = copy_text(b, table->texts[id]);
    }
    for (int64_t i = 0; i < b->added_count; i++) {
        int64_t id = 0;
        (void)mg_value_to_int(mg_value_get(&b->added[i], "id"), &id);
        texts[id] = copy_text(b, mg_value_get(&b->added[i], "content")->string);
    }
    for (int64_t id = 0; id < out->token_count; id++) {
        if (texts[id].data == NULL) {
            return mg_fail(err, MG_ERR_UNSUPPORTED,
                           "%s: no token has the id %lld, which a merge of vocabularies needs",
                           b->source->folder, (long long)id);
        }
    }
    out->texts = texts;
    return MG_OK;
}

static void find_rows(const builder *b, mg_vocabulary *out)
{
    out->own = mg_arena_array(b->arena, const int32_t *, b->model_count);
    out->identity = out->row_count == out->token_count;
    for (int64_t m = 0; m < b->model_count; m++) {
        const mg_token_table *table = tokens_of(b, m);
        int32_t *own = mg_arena_array(b->arena, int32_t, MG_MAX(out->token_count, 1));
        for (int64_t id = 0; id < out->token_count; id++) {
            int64_t row = mg_map_get(&table->ids, out->texts[id], -1);
            /* Rows of the base behind its tokens are those of what is added to them. */
            row = row < 0 && m == 0 && b->grows ? id : row;
            own[id] = row < b->models[m].size ? (int32_t)row : -1;
            out->identity = out->identity && own[id] == id;
        }
        out->identity = out->identity && b->models[m].size == out->row_count;
        out->own[m] = own;
    }
}

static int64_t find_model(const builder *b, const mg_value *value)
{
    mg_model_ref ref;
    mg_error err;
    mg_error_clear(&err);
    if (value == NULL || value->kind != MG_STRING ||
        mg_model_ref_parse(value->string, b->arena, &ref, &err) != MG_OK) {
        mg_diagnose(b->diagnostics, value, "must be a model reference");
        return -1;
    }
    for (int64_t m = 0; m < b->model_count; m++) {
        if (mg_model_ref_equal(&b->models[m].ref, &ref)) {
            return m;
        }
    }
    mg_diagnose(b->diagnostics, value, "model '%.*s' is no part of the merge",
                MG_STR_ARG(value->string));
    return -1;
}

/* source: {kind: zero} or {kind: model_token, model: REF, token: TEXT | token_id: N} */
static void read_source_map(const builder *b, const mg_value *source, mg_token_rule *rule)
{
    const mg_value *kind = mg_value_get(source, "kind");
    if (kind != NULL && kind->kind == MG_STRING && mg_str_is(kind->string, "zero")) {
        rule->source = MG_ROW_ZERO;
        return;
    }
    if (kind == NULL || kind->kind != MG_STRING || !mg_str_is(kind->string, "model_token")) {
        mg_diagnose(b->diagnostics, source, "'kind' must be zero or model_token");
        return;
    }
    const mg_value *token = mg_value_get(source, "token");
    const mg_value *number = mg_value_get(source, "token_id");
    if (mg_value_is_null(token) == mg_value_is_null(number)) {
        mg_diagnose(b->diagnostics, source, "must have either 'token' or 'token_id'");
        return;
    }
    rule->source = MG_ROW_NUMBER;
    rule->model = find_model(b, mg_value_get(source, "model"));
    int64_t row = -1;
    if (!mg_value_is_null(number)) {
        (void)mg_value_to_int(number, &row);
    } else if (token->kind == MG_STRING && rule->model >= 0) {
        row = mg_map_get(&tokens_of(b, rule->model)->ids, token->string, -1);
    }
    rule->row = row >= 0 && row < INT32_MAX ? (int32_t)row : -1;
}

static void read_rules(builder *b, const mg_value *tokens, mg_vocabulary *out)
{
    if (mg_value_is_null(tokens)) {
        return;
    }
    mg_token_rule *rules = mg_arena_array(b->arena, mg_token_rule, MG_MAX(out->token_count, 1));
    out->rules = rules;
    for (int64_t i = 0; i < tokens->count; i++) {
        const mg_value *entry = &tokens->entries[i].value;
        int64_t id = mg_map_get(&b->ids, tokens->entries[i].key.string, -1);
        MG_ASSERT(id >= 0 && id < out->token_count);
        const mg_value *source = mg_value_get(entry, "source");
        const mg_value *force = mg_value_get(entry, "force");
        rules[id].force = force != NULL && force->kind == MG_BOOL && force->boolean;
        if (!mg_value_is_null(force) && force->kind != MG_BOOL) {
            mg_diagnose(b->diagnostics, force, "'force' is %s, must be true or false",
                        mg_kind_name(force->kind));
        }
        if (mg_value_is_null(source)) {
            continue;
        }
        out->identity = false;
        if (source->kind == MG_MAP) {
            read_source_map(b, source, &rules[id]);
        } else {
            rules[id].source = MG_ROW_SAME_TOKEN;
            rules[id].model = find_model(b, source);
        }
    }
}

/* The map of `tokens`, checked; its new keys become tokens. */
static const mg_value *add_listed_tokens(builder *b)
{
    const mg_value *tokens = mg_value_get(b->recipe->tokenizer, "tokens");
    if (mg_value_is_null(tokens)) {
        return NULL;
    }
    if (tokens->kind != MG_MAP) {
        mg_diagnose(b->diagnostics, tokens, "'tokens' is %s, must be a map",
                    mg_kind_name(tokens->kind));
        return NULL;
    }
    for (int64_t i = 0; i < tokens->count; i++) {
        const mg_value *key = &tokens->entries[i].key;
        if (key->kind != MG_STRING || key->string.size == 0 ||
            tokens->entries[i].value.kind != MG_MAP) {
            mg_diagnose(b->diagnostics, key, "a token must be a text with a map");
            return NULL;
        }
        if (!mg_map_has(&b->ids, key->string)) {
            append_token(b, NULL, key->string);
        }
    }
    return tokens;
}

static void pad_rows(const builder *b, mg_vocabulary *out)
{
    const mg_value *pad = mg_value_get(b->recipe->tokenizer, "pad_to_multiple_of");
    int64_t multiple = 1;
    if (!mg_value_is_null(pad) &&
        (!mg_value_to_int(pad, &multiple) || multiple < 1 || multiple > PAD_MULTIPLE_MAX)) {
        mg_diagnose(b->diagnostics, pad, "'pad_to_multiple_of' must be a whole number in [1, %d]",
                    PAD_MULTIPLE_MAX);
        multiple = 1;
    }
    out->row_count = (out->token_count + multiple - 1) / multiple * multiple;
}

mg_status mg_vocabulary_build(const mg_recipe *recipe, const mg_vocabulary_model *models,
                              int64_t model_count, const mg_vocabulary_model *other,
                              mg_arena *arena, mg_arena *tree, mg_diagnostics *diagnostics,
                              mg_vocabulary *vocabulary_out, mg_error *err)
{
    memset(vocabulary_out, 0, sizeof(*vocabulary_out));
    const mg_value *given = mg_value_get(recipe->tokenizer, "source");
    mg_str source = recipe->tokenizer_source;
    if (recipe->tokenizer != NULL) {
        source = given != NULL && given->kind == MG_STRING ? given->string : mg_str_of("union");
    }
    builder b;
    memset(&b, 0, sizeof(b));
    b.recipe = recipe;
    b.models = models;
    b.model_count = model_count;
    b.arena = arena;
    b.tree = tree;
    b.diagnostics = diagnostics;
    b.source = other != NULL ? other : &models[0];
    b.limit = other != NULL ? INT64_MAX : models[0].size;
    b.grows = mg_str_is(source, "base");
    start_from_source(&b);
    if (mg_str_is(source, "union")) {
        add_union(&b);
    }
    const mg_value *tokens = add_listed_tokens(&b);
    mg_status status = write_tokenizer(&b, vocabulary_out, err);
    if (status == MG_OK) {
        status = list_texts(&b, vocabulary_out, err);
    }
    if (status == MG_OK) {
        pad_rows(&b, vocabulary_out);
        find_rows(&b, vocabulary_out);
        read_rules(&b, tokens, vocabulary_out);
        vocabulary_out->folder = b.source->folder;
    }
    mg_map_release(&b.ids);
    return status;
}
