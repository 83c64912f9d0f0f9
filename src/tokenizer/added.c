/* tokenizer/added.c - added tokens: flags, tries and the split of a text. */
#include "tokenizer/added_internal.h"

#include "base/memory.h"
#include "text/utf8.h"
#include "tokenizer/chars_internal.h"

static mg_str id_key(const int32_t *id)
{
    return mg_str_make((const char *)id, sizeof(*id));
}

void mg_added_release(mg_added *added)
{
    if (added != NULL) {
        mg_free(added->tokens);
        mg_free(added->ids);
        mg_free(added->classes);
        mg_map_release(&added->by_content);
        mg_map_release(&added->by_id);
        mg_trie_release(&added->raw.trie);
        mg_trie_release(&added->normal.trie);
        memset(added, 0, sizeof(*added));
    }
}

void mg_added_set(mg_added *added, const mg_added_token *token)
{
    if (token->content.size == 0) {
        return;
    }
    int64_t index = mg_map_get(&added->by_content, token->content, -1);
    if (index >= 0) {
        bool special = added->tokens[index].special || token->special;
        added->tokens[index] = *token;
        added->tokens[index].special = special;
        return;
    }
    if (added->count == added->cap) {
        added->cap = MG_MAX(added->cap * 2, 16);
        added->tokens = mg_memory_resize(added->tokens, added->cap, sizeof(mg_added_token));
    }
    (void)mg_map_set(&added->by_content, token->content, added->count);
    added->tokens[added->count++] = *token;
}

static mg_status add_pattern(mg_added_patterns *patterns, mg_str pattern, int64_t index,
                             mg_error *err)
{
    if (pattern.size == 0) {
        return MG_OK;
    }
    patterns->any = true;
    patterns->starts[(unsigned char)pattern.data[0]] = true;
    return mg_trie_set(&patterns->trie, pattern, (int32_t)index, err);
}

/* Takes in the patterns of the tokens that are special, or of those that are not. */
static mg_status add_patterns(mg_added *added, const mg_normalizer *normalizer, bool special,
                              mg_buf scratch[2], mg_error *err)
{
    for (int64_t i = added->count - 1; i >= 0; i--) {
        const mg_added_token *token = &added->tokens[i];
        mg_str pattern = token->content;
        if (token->special != special) {
            continue;
        }
        if (token->normalized) {
            MG_TRY(mg_normalizer_apply(normalizer, token->content, scratch, &pattern, NULL, err));
        }
        MG_TRY(add_pattern(token->normalized ? &added->normal : &added->raw, pattern, i, err));
    }
    return MG_OK;
}

mg_status mg_added_finish(mg_added *added, const mg_normalizer *normalizer, mg_error *err)
{
    mg_status status = MG_OK;
    mg_buf scratch[2] = { { 0 }, { 0 } };
    added->ids = mg_new_array(int32_t, added->count + 1);
    for (int64_t i = 0; i < added->count; i++) {
        added->ids[i] = added->tokens[i].id;
        (void)mg_map_set(&added->by_id, id_key(&added->ids[i]), i);
        if (added->tokens[i].single_word && added->classes == NULL) {
            MG_TRY_OR_DONE(mg_char_classes_create(&added->classes, err));
        }
    }
    /* Where the normaliser makes several tokens alike, the first special one counts, then the first
     * at all: the last that is set in a trie stays. */
    MG_TRY_OR_DONE(add_patterns(added, normalizer, false, scratch, err));
    MG_TRY_OR_DONE(add_patterns(added, normalizer, true, scratch, err));
    MG_TRY_OR_DONE(mg_trie_finish(&added->raw.trie, err));
    MG_TRY_OR_DONE(mg_trie_finish(&added->normal.trie, err));

done:
    mg_buf_release(&scratch[0]);
    mg_buf_release(&scratch[1]);
    return status;
}

const mg_added_token *mg_added_by_content(const mg_added *added, mg_str content)
{
    int64_t index = mg_map_get(&added->by_content, content, -1);
    return index < 0 ? NULL : &added->tokens[index];
}

const mg_added_token *mg_added_by_id(const mg_added *added, int32_t id)
{
    int64_t index = mg_map_get(&added->by_id, id_key(&id), -1);
    return index < 0 ? NULL : &added->tokens[index];
}

static bool is_word(const mg_added *added, mg_str text, size_t at)
{
    size_t bytes;
    int32_t c = mg_char_decode(text.data + at, &bytes);
    return (mg_char_class(added->classes, c) & MG_CLASS_WORD) != 0;
}

/* No word character directly before begin or behind end. */
static bool stands_alone(const mg_added *added, mg_str text, size_t begin, size_t end)
{
    return (begin == 0 || !is_word(added, text, mg_char_before(text, begin))) &&
           (end == text.size || !is_word(added, text, end));
}

/* Start of the white space that ends at begin, but not before from. */
static size_t strip_left(mg_str text, size_t begin, size_t from)
{
    while (begin > from) {
        size_t bytes;
        size_t last = mg_char_before(text, begin);
        if (!mg_unicode_is_white_space(mg_char_decode(text.data + last, &bytes))) {
            break;
        }
        begin = last;
    }
    return begin;
}

static size_t strip_right(mg_str text, size_t end)
{
    size_t bytes;
    while (end < text.size && mg_unicode_is_white_space(mg_char_decode(text.data + end, &bytes))) {
        end += bytes;
    }
    return end;
}

/* The leftmost-longest pattern at or behind from. */
static const mg_added_token *search(const mg_added *added, const mg_added_patterns *patterns,
                                    mg_str text, size_t from, size_t *begin_out, size_t *end_out)
{
    if (!patterns->any) {
        return NULL;
    }
    for (size_t at = from; at < text.size; at++) {
        size_t bytes;
        if (!patterns->starts[(unsigned char)text.data[at]]) {
            continue;
        }
        int32_t index = mg_trie_longest(&patterns->trie, mg_str_slice(text, at, text.size), &bytes);
        if (index >= 0) {
            *begin_out = at;
            *end_out = at + bytes;
            return &added->tokens[index];
        }
    }
    return NULL;
}

bool mg_added_next(const mg_added *added, const mg_added_patterns *patterns, mg_str text,
                   mg_added_split *split, mg_str *plain_out, const mg_added_token **token_out)
{
    size_t begin = 0;
    size_t end = 0;
    if (split->done) {
        return false;
    }
    for (;;) {
        const mg_added_token *token = search(added, patterns, text, split->searched, &begin, &end);
        *token_out = token;
        if (token == NULL) {
            *plain_out = mg_str_slice(text, split->used, text.size);
            split->done = true;
            return true;
        }
        split->searched = end;
        /* A rejected match is used up by the search all the same. */
        if (token->single_word && !stands_alone(added, text, begin, end)) {
            continue;
        }
        if (token->lstrip) {
            begin = MG_MAX(strip_left(text, begin, split->used), split->used);
        }
        if (token->rstrip) {
            /* What the token before took along is white space up to used: no need to look again. */
            end = strip_right(text, MG_MAX(end, split->used));
        }
        if (begin >= end) {
            continue; /* the token before took all of it along */
        }
        *plain_out =
            split->used < begin ? mg_str_slice(text, split->used, begin) : mg_str_make(NULL, 0);
        split->used = end;
        return true;
    }
}
