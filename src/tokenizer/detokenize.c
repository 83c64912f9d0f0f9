/* tokenizer/detokenize.c - token strings to text. */
#include "tokenizer/detokenize_internal.h"

#include "base/memory.h"
#include "text/utf8.h"
#include "tokenizer/byte_level_internal.h"
#include "tokenizer/normalize_internal.h"
#include "tokenizer/settings_internal.h"

#define REPLACEMENT_CHARACTER "\xEF\xBF\xBD"

/* ---- reading ---- */

void mg_detokenizer_add(mg_detokenizer *detokenizer, const mg_decode_step *step)
{
    MG_ASSERT(detokenizer->count < MG_DECODE_STEPS_MAX);
    detokenizer->steps[detokenizer->count++] = *step;
    detokenizer->present = true;
}

static mg_status read_replace(const mg_value *json, mg_arena *arena, mg_decode_step *step,
                              mg_error *err)
{
    mg_str regex;
    mg_str content;
    MG_TRY(mg_pattern_read(json, "decoder Replace", arena, &step->pattern, &regex, err));
    if (regex.data != NULL) {
        return mg_fail(err, MG_ERR_UNSUPPORTED, "decoder Replace with a Regex is not supported");
    }
    MG_TRY(mg_setting_str(json, "content", &content, err));
    step->content = mg_arena_copy(arena, content);
    return MG_OK;
}

static mg_status read_strip(const mg_value *json, mg_arena *arena, mg_decode_step *step,
                            mg_error *err)
{
    mg_str content;
    MG_TRY(mg_setting_str(json, "content", &content, err));
    MG_TRY(mg_setting_int(json, "start", 0, &step->start, err));
    MG_TRY(mg_setting_int(json, "stop", 0, &step->stop, err));
    if (mg_utf8_count(content) != 1) {
        return mg_fail(err, MG_ERR_FORMAT, "decoder Strip: 'content' must be one character");
    }
    step->pattern = mg_arena_copy(arena, content);
    return MG_OK;
}

static mg_status read_metaspace(const mg_value *json, mg_arena *arena, mg_decode_step *step,
                                mg_error *err)
{
    mg_str replacement;
    mg_str scheme;
    bool prefix;
    MG_TRY(mg_setting_str(json, "replacement", &replacement, err));
    MG_TRY(mg_setting_str(json, "prepend_scheme", &scheme, err));
    MG_TRY(mg_setting_bool(json, "add_prefix_space", true, &prefix, err));
    if (replacement.size == 0) {
        return mg_fail(err, MG_ERR_FORMAT, "decoder Metaspace: 'replacement' is missing");
    }
    step->pattern = mg_arena_copy(arena, replacement);
    step->keep_first = scheme.data != NULL ? mg_str_is(scheme, "never") : !prefix;
    return MG_OK;
}

static mg_status read_bpe(const mg_value *json, mg_arena *arena, mg_decode_step *step,
                          mg_error *err)
{
    mg_str suffix;
    MG_TRY(mg_setting_str(json, "suffix", &suffix, err));
    step->pattern = mg_arena_copy(arena, suffix.data == NULL ? mg_str_of("</w>") : suffix);
    return MG_OK;
}

static mg_status read_step(const mg_value *json, mg_arena *arena, mg_detokenizer *detokenizer,
                           mg_error *err)
{
    static const struct {
        const char *name;
        mg_decode_kind kind;
    } kinds[] = { { "Replace", MG_DECODE_REPLACE },     { "ByteFallback", MG_DECODE_BYTE_FALLBACK },
                  { "Fuse", MG_DECODE_FUSE },           { "Strip", MG_DECODE_STRIP },
                  { "Metaspace", MG_DECODE_METASPACE }, { "ByteLevel", MG_DECODE_BYTE_LEVEL },
                  { "BPEDecoder", MG_DECODE_BPE } };
    mg_str type;
    MG_TRY(mg_setting_str(json, "type", &type, err));
    if (mg_str_is(type, "Sequence")) {
        const mg_value *steps;
        MG_TRY(mg_setting_list(json, "decoders", &steps, err));
        for (int64_t i = 0; steps != NULL && i < steps->count; i++) {
            MG_TRY(read_step(&steps->items[i], arena, detokenizer, err));
        }
        return MG_OK;
    }
    if (detokenizer->count == MG_DECODE_STEPS_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "the decoder has more than %d steps",
                       MG_DECODE_STEPS_MAX);
    }
    for (int64_t i = 0; i < MG_ARRAY_COUNT(kinds); i++) {
        if (!mg_str_is(type, kinds[i].name)) {
            continue;
        }
        mg_decode_step step;
        memset(&step, 0, sizeof(step));
        step.kind = kinds[i].kind;
        if (step.kind == MG_DECODE_REPLACE) {
            MG_TRY(read_replace(json, arena, &step, err));
        } else if (step.kind == MG_DECODE_STRIP) {
            MG_TRY(read_strip(json, arena, &step, err));
        } else if (step.kind == MG_DECODE_METASPACE) {
            MG_TRY(read_metaspace(json, arena, &step, err));
        } else if (step.kind == MG_DECODE_BPE) {
            MG_TRY(read_bpe(json, arena, &step, err));
        }
        mg_detokenizer_add(detokenizer, &step);
        return MG_OK;
    }
    return mg_fail(err, MG_ERR_UNSUPPORTED, "decoder type '%.*s' is not supported",
                   MG_STR_ARG(type));
}

mg_status mg_detokenizer_read(const mg_value *json, mg_arena *arena,
                              mg_detokenizer *detokenizer_out, mg_error *err)
{
    memset(detokenizer_out, 0, sizeof(*detokenizer_out));
    if (mg_value_is_null(json)) {
        return MG_OK;
    }
    detokenizer_out->present = true;
    return read_step(json, arena, detokenizer_out, err);
}

/* ---- lists ---- */

void mg_token_list_release(mg_token_list *list)
{
    if (list != NULL) {
        mg_buf_release(&list->bytes);
        mg_free(list->ends);
        memset(list, 0, sizeof(*list));
    }
}

/* Ends the token whose bytes were appended to list->bytes. */
static void end_token(mg_token_list *list)
{
    if (list->count == list->cap) {
        list->cap = MG_MAX(list->cap * 2, 32);
        list->ends = mg_memory_resize(list->ends, list->cap, sizeof(int64_t));
    }
    list->ends[list->count++] = (int64_t)list->bytes.size;
}

void mg_token_list_add(mg_token_list *list, mg_str token)
{
    mg_buf_add(&list->bytes, token);
    end_token(list);
}

static mg_str token_at(const mg_token_list *list, int64_t index)
{
    size_t begin = index == 0 ? 0 : (size_t)list->ends[index - 1];
    return mg_str_slice(mg_buf_view(&list->bytes), begin, (size_t)list->ends[index]);
}

/* ---- steps ---- */

static void replace_all(mg_str text, mg_str pattern, mg_str content, mg_buf *out)
{
    size_t used = 0;
    int64_t hit;
    while (pattern.size > 0 && (hit = mg_str_find(text, pattern, used)) >= 0) {
        mg_buf_add(out, mg_str_slice(text, used, (size_t)hit));
        mg_buf_add(out, content);
        used = (size_t)hit + pattern.size;
    }
    mg_buf_add(out, mg_str_slice(text, used, text.size));
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The byte that "<0xHH>" stands for, in either case; -1 for any other token. */
static int byte_of(mg_str token)
{
    if (token.size != 6 || memcmp(token.data, "<0x", 3) != 0 || token.data[5] != '>') {
        return -1;
    }
    int high = hex_digit(token.data[3]);
    int low = hex_digit(token.data[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Every run of byte tokens becomes their text, or as many replacement characters as bytes. */
static void byte_fallback(const mg_token_list *in, mg_token_list *out)
{
    for (int64_t i = 0; i < in->count;) {
        size_t begin = out->bytes.size;
        int64_t first = i;
        for (int byte; i < in->count && (byte = byte_of(token_at(in, i))) >= 0; i++) {
            mg_buf_add_char(&out->bytes, (char)byte);
        }
        if (i == first) {
            mg_token_list_add(out, token_at(in, i++));
            continue;
        }
        if (mg_utf8_valid(mg_str_slice(mg_buf_view(&out->bytes), begin, out->bytes.size))) {
            end_token(out);
            continue;
        }
        out->bytes.size = begin;
        for (int64_t k = first; k < i; k++) {
            mg_token_list_add(out, mg_str_of(REPLACEMENT_CHARACTER));
        }
    }
}

static mg_str strip(mg_str token, const mg_decode_step *step)
{
    mg_str c = step->pattern;
    for (int64_t i = 0; i < step->start && mg_str_starts(token, c.data); i++) {
        token = mg_str_slice(token, c.size, token.size);
    }
    for (int64_t i = 0; i < step->stop && mg_str_ends(token, c.data); i++) {
        token = mg_str_slice(token, 0, token.size - c.size);
    }
    return token;
}

static void byte_level(const mg_token_list *in, mg_token_list *out)
{
    mg_buf bytes = { 0 };
    for (int64_t i = 0; i < in->count; i++) {
        mg_str token = token_at(in, i);
        if (!mg_byte_level_decode(&bytes, token)) {
            mg_buf_add(&bytes, token);
        }
    }
    mg_utf8_repair(&out->bytes, mg_buf_view(&bytes));
    end_token(out);
    mg_buf_release(&bytes);
}

static void apply_step(const mg_decode_step *step, const mg_token_list *in, mg_token_list *out)
{
    switch (step->kind) {
    case MG_DECODE_BYTE_FALLBACK:
        byte_fallback(in, out);
        return;
    case MG_DECODE_FUSE:
        mg_token_list_add(out, mg_buf_view(&in->bytes));
        return;
    case MG_DECODE_BYTE_LEVEL:
        byte_level(in, out);
        return;
    case MG_DECODE_REPLACE:
    case MG_DECODE_STRIP:
    case MG_DECODE_METASPACE:
    case MG_DECODE_BPE:
        break;
    }
    for (int64_t i = 0; i < in->count; i++) {
        mg_str token = token_at(in, i);
        if (step->kind == MG_DECODE_STRIP) {
            mg_token_list_add(out, strip(token, step));
            continue;
        }
        bool vanishes =
            step->kind == MG_DECODE_BPE ? i == in->count - 1 : i == 0 && !step->keep_first;
        mg_str content =
            step->kind == MG_DECODE_REPLACE ? step->content : mg_str_of(vanishes ? "" : " ");
        replace_all(token, step->pattern, content, &out->bytes);
        end_token(out);
    }
}

void mg_detokenizer_apply(const mg_detokenizer *detokenizer, mg_token_list *tokens,
                          mg_buf *text_out)
{
    mg_token_list other = { { 0 }, NULL, 0, 0 };
    if (!detokenizer->present) {
        for (int64_t i = 0; i < tokens->count; i++) {
            mg_buf_add_text(text_out, i > 0 ? " " : "");
            mg_buf_add(text_out, token_at(tokens, i));
        }
        return;
    }
    for (int64_t i = 0; i < detokenizer->count; i++) {
        mg_buf_clear(&other.bytes);
        other.count = 0;
        apply_step(&detokenizer->steps[i], tokens, &other);
        mg_token_list swap = *tokens;
        *tokens = other;
        other = swap;
    }
    mg_buf_add(text_out, mg_buf_view(&tokens->bytes));
    mg_token_list_release(&other);
}

void mg_detokenize_clean_up(mg_buf *text, size_t from)
{
    static const char *const pairs[][2] = {
        { " .", "." },     { " ?", "?" },   { " !", "!" },   { " ,", "," },     { " ' ", "'" },
        { " n't", "n't" }, { " 'm", "'m" }, { " 's", "'s" }, { " 've", "'ve" }, { " 're", "'re" },
    };
    mg_buf before = { 0 };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(pairs); i++) {
        mg_str tail = mg_str_slice(mg_buf_view(text), from, text->size);
        if (mg_str_find(tail, mg_str_of(pairs[i][0]), 0) >= 0) {
            mg_buf_clear(&before);
            mg_buf_add(&before, tail);
            text->size = from;
            replace_all(mg_buf_view(&before), mg_str_of(pairs[i][0]), mg_str_of(pairs[i][1]), text);
        }
    }
    mg_buf_release(&before);
}
