/* tokenizer/normalize.c - the steps of a normaliser (tokenizers.md 4). */
#include "tokenizer/normalize_internal.h"

#include "tokenizer/byte_level_internal.h"
#include "tokenizer/chars_internal.h"
#include "tokenizer/charsmap_internal.h"
#include "tokenizer/settings_internal.h"
#include "tokenizer/unicode_gap_internal.h"

/* Sorting a run of marks by their classes takes the library quadratic time. */
#define MARKS_MAX 32768

/* ---- reading ---- */

void mg_normalizer_release(mg_normalizer *normalizer)
{
    if (normalizer != NULL) {
        for (int64_t i = 0; i < normalizer->count; i++) {
            mg_regex_destroy(normalizer->steps[i].regex);
            mg_charsmap_destroy(normalizer->steps[i].charsmap);
        }
        memset(normalizer, 0, sizeof(*normalizer));
    }
}

mg_status mg_pattern_read(const mg_value *json, const char *what, mg_arena *arena, mg_str *text_out,
                          mg_str *regex_out, mg_error *err)
{
    const mg_value *pattern = mg_value_get(json, "pattern");
    mg_str text;
    mg_str regex;
    *text_out = mg_str_make(NULL, 0);
    *regex_out = mg_str_make(NULL, 0);
    MG_TRY(mg_setting_str(pattern, "String", &text, err));
    MG_TRY(mg_setting_str(pattern, "Regex", &regex, err));
    if ((text.data == NULL) == (regex.data == NULL)) {
        return mg_fail(err, MG_ERR_FORMAT,
                       "%s: 'pattern' must be {\"String\": text} or "
                       "{\"Regex\": text}",
                       what);
    }
    if (text.data != NULL) {
        *text_out = mg_arena_copy(arena, text);
    } else {
        *regex_out = mg_arena_copy(arena, regex);
    }
    return MG_OK;
}

static mg_normal_step *add_step(mg_normalizer *normalizer, mg_normal_kind kind)
{
    MG_ASSERT(normalizer->count < MG_NORMAL_STEPS_MAX);
    mg_normal_step *step = &normalizer->steps[normalizer->count++];
    memset(step, 0, sizeof(*step));
    step->kind = kind;
    return step;
}

void mg_normalizer_add_prepend(mg_normalizer *normalizer, mg_str content)
{
    add_step(normalizer, MG_NORMAL_PREPEND)->content = content;
}

void mg_normalizer_add_replace(mg_normalizer *normalizer, mg_str pattern, mg_str content)
{
    mg_normal_step *step = add_step(normalizer, MG_NORMAL_REPLACE_TEXT);
    step->pattern = pattern;
    step->content = content;
}

void mg_normalizer_add_form(mg_normalizer *normalizer, mg_normal_form form)
{
    add_step(normalizer, MG_NORMAL_FORM)->form = form;
}

void mg_normalizer_add_sentencepiece(mg_normalizer *normalizer, const mg_normal_step *step)
{
    mg_normal_step *added = add_step(normalizer, MG_NORMAL_SENTENCEPIECE);
    *added = *step;
    added->kind = MG_NORMAL_SENTENCEPIECE;
}

static mg_status read_replace(const mg_value *json, mg_arena *arena, mg_normalizer *normalizer,
                              mg_error *err)
{
    mg_str text;
    mg_str regex;
    mg_str content;
    MG_TRY(mg_pattern_read(json, "normalizer Replace", arena, &text, &regex, err));
    MG_TRY(mg_setting_str(json, "content", &content, err));
    content = mg_arena_copy(arena, content);
    if (text.data != NULL) {
        mg_normalizer_add_replace(normalizer, text, content);
        return MG_OK;
    }
    mg_normal_step *step = add_step(normalizer, MG_NORMAL_REPLACE_REGEX);
    step->content = content;
    return mg_regex_compile(regex, MG_REGEX_ONIGURUMA, &step->regex, err);
}

static mg_status read_form(mg_str type, mg_normalizer *normalizer)
{
    static const char *const names[] = { "NFC", "NFD", "NFKC", "NFKD" };
    static const mg_normal_form forms[] = { MG_NFC, MG_NFD, MG_NFKC, MG_NFKD };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(names); i++) {
        if (mg_str_is(type, names[i])) {
            mg_normalizer_add_form(normalizer, forms[i]);
            return MG_OK;
        }
    }
    return MG_ERR_UNSUPPORTED;
}

static mg_status read_simple(mg_str type, mg_normalizer *normalizer, mg_error *err)
{
    static const struct {
        const char *name;
        mg_normal_kind kind;
    } kinds[] = { { "Lowercase", MG_NORMAL_LOWERCASE },
                  { "StripAccents", MG_NORMAL_STRIP_ACCENTS },
                  { "Nmt", MG_NORMAL_NMT },
                  { "ByteLevel", MG_NORMAL_BYTE_LEVEL } };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(kinds); i++) {
        if (mg_str_is(type, kinds[i].name)) {
            (void)add_step(normalizer, kinds[i].kind);
            return MG_OK;
        }
    }
    if (read_form(type, normalizer) == MG_OK) {
        return MG_OK;
    }
    return mg_fail(err, MG_ERR_UNSUPPORTED, "normalizer type '%.*s' is not supported",
                   MG_STR_ARG(type));
}

static mg_status read_step(const mg_value *json, mg_arena *arena, mg_normalizer *normalizer,
                           mg_error *err)
{
    mg_str type;
    mg_str text;
    MG_TRY(mg_setting_str(json, "type", &type, err));
    if (mg_str_is(type, "Sequence")) {
        const mg_value *steps;
        MG_TRY(mg_setting_list(json, "normalizers", &steps, err));
        for (int64_t i = 0; steps != NULL && i < steps->count; i++) {
            MG_TRY(read_step(&steps->items[i], arena, normalizer, err));
        }
        return MG_OK;
    }
    if (normalizer->count == MG_NORMAL_STEPS_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "the normalizer has more than %d steps",
                       MG_NORMAL_STEPS_MAX);
    }
    if (mg_str_is(type, "Replace")) {
        return read_replace(json, arena, normalizer, err);
    }
    if (mg_str_is(type, "Prepend")) {
        MG_TRY(mg_setting_str(json, "prepend", &text, err));
        mg_normalizer_add_prepend(normalizer, mg_arena_copy(arena, text));
        return MG_OK;
    }
    if (mg_str_is(type, "Strip")) {
        mg_normal_step *step = add_step(normalizer, MG_NORMAL_STRIP);
        MG_TRY(mg_setting_bool(json, "strip_left", true, &step->left, err));
        return mg_setting_bool(json, "strip_right", true, &step->right, err);
    }
    if (mg_str_is(type, "Precompiled")) {
        mg_normal_step *step = add_step(normalizer, MG_NORMAL_CHARSMAP);
        MG_TRY(mg_setting_str(json, "precompiled_charsmap", &text, err));
        return mg_charsmap_create_base64(text, &step->charsmap, err);
    }
    return read_simple(type, normalizer, err);
}

mg_status mg_normalizer_read(const mg_value *json, mg_arena *arena, mg_normalizer *normalizer_out,
                             mg_error *err)
{
    memset(normalizer_out, 0, sizeof(*normalizer_out));
    return mg_value_is_null(json) ? MG_OK : read_step(json, arena, normalizer_out, err);
}

/* ---- applying ---- */

mg_status mg_matches_next(const mg_regex *regex, mg_str text, size_t *at, int64_t *last_end,
                          bool *found_out, size_t *begin_out, size_t *end_out, mg_error *err)
{
    *found_out = false;
    while (*at <= text.size) {
        mg_regex_match match;
        MG_TRY(mg_regex_search(regex, text, *at, found_out, &match, err));
        if (!*found_out) {
            *at = text.size + 1;
            return MG_OK;
        }
        *begin_out = (size_t)match.begin[0];
        *end_out = (size_t)match.end[0];
        if (match.begin[0] != match.end[0] || match.end[0] != *last_end) {
            *at = *end_out;
            *last_end = match.end[0];
            return MG_OK;
        }
        *found_out = false;
        *at += *at < text.size ? mg_char_bytes(text.data[*at]) : 1;
    }
    return MG_OK;
}

static mg_status replace_regex(const mg_normal_step *step, mg_str text, mg_buf *out, mg_error *err)
{
    size_t at = 0;
    size_t copied = 0;
    int64_t last_end = -1;
    for (;;) {
        bool found;
        size_t begin;
        size_t end;
        MG_TRY(mg_matches_next(step->regex, text, &at, &last_end, &found, &begin, &end, err));
        if (!found) {
            break;
        }
        mg_buf_add(out, mg_str_slice(text, copied, begin));
        mg_buf_add(out, step->content);
        copied = end;
    }
    mg_buf_add(out, mg_str_slice(text, copied, text.size));
    return MG_OK;
}

static void replace_text(const mg_normal_step *step, mg_str text, mg_buf *out)
{
    mg_str pattern = step->pattern;
    size_t copied = 0;
    mg_buf_reserve(out, text.size * 3 / 2);
    while (pattern.size > 0 && copied < text.size) {
        int64_t hit;
        if (pattern.size == 1) {
            const char *found = memchr(text.data + copied, pattern.data[0], text.size - copied);
            hit = found == NULL ? -1 : found - text.data;
        } else {
            hit = mg_str_find(text, pattern, copied);
        }
        if (hit < 0) {
            break;
        }
        mg_buf_add(out, mg_str_slice(text, copied, (size_t)hit));
        mg_buf_add(out, step->content);
        copied = (size_t)hit + pattern.size;
    }
    mg_buf_add(out, mg_str_slice(text, copied, text.size));
}

/* Code points that are starters, are their own normal form in every form and never combine with
 * what comes before: most of English and Japanese text. */
static bool is_inert(int32_t c, mg_normal_form form)
{
    if (c < 0xA0) {
        return true;
    }
    bool composed = form == MG_NFC || form == MG_NFKC;
    if (c >= 0x4E00 && c <= 0x9FFF) {
        return true;
    }
    /* Kana: the voiced ones decompose, so the decomposing forms take the long way. */
    if (c >= 0x3041 && c <= 0x30FA) {
        return composed && c != 0x3099 && c != 0x309A && !(c >= 0x3097 && c <= 0x309F);
    }
    if (form == MG_NFC) {
        return (c >= 0xC0 && c <= 0x2FF) || (c >= 0x3000 && c <= 0x3020) ||
               (c >= 0xFF01 && c <= 0xFF5E) || (c >= 0x2010 && c <= 0x2027) ||
               (c >= 0xAC00 && c <= 0xD7A3);
    }
    return c == 0x3001 || c == 0x3002;
}

/* Only runs around code points that are not inert go through the Unicode library: each run starts
 * at the inert one before it, as that may combine with what follows.  Code points that the
 * reference does not know stand like walls between runs. */
static mg_status normal_form(mg_normal_form form, mg_str text, mg_buf *out, mg_error *err)
{
    size_t bytes;
    size_t done = 0;
    size_t previous = 0; /* start of the code point before at */
    size_t at = 0;
    mg_buf_reserve(out, text.size);
    while (at < text.size) {
        int32_t first = mg_char_decode(text.data + at, &bytes);
        if (is_inert(first, form) || mg_reference_never_normalizes(first)) {
            previous = is_inert(first, form) ? at : at + bytes;
            at += bytes;
            continue;
        }
        size_t begin = previous < at && previous >= done ? previous : at;
        mg_buf_add(out, mg_str_slice(text, done, begin));
        int64_t marks = 0;
        for (int32_t c; at < text.size; at += bytes) {
            c = mg_char_decode(text.data + at, &bytes);
            if (is_inert(c, form) || mg_reference_never_normalizes(c)) {
                break;
            }
            marks = mg_unicode_is_mark(c) ? marks + 1 : 0;
            if (marks > MARKS_MAX) {
                return mg_fail(err, MG_ERR_LIMIT, "more than %d combining marks in a row",
                               MARKS_MAX);
            }
        }
        mg_unicode_normalize(out, mg_str_slice(text, begin, at), form);
        done = at;
        previous = at;
    }
    mg_buf_add(out, mg_str_slice(text, done, text.size));
    return MG_OK;
}

/* Each code point on its own: the library does not look at the context of a final sigma. */
static void lower(mg_str text, mg_buf *out)
{
    size_t bytes;
    for (size_t at = 0; at < text.size; at += bytes) {
        int32_t c = mg_char_decode(text.data + at, &bytes);
        if (c < 0x80) {
            mg_buf_add_char(out, (char)(c >= 'A' && c <= 'Z' ? c + 32 : c));
        } else {
            mg_unicode_lower(out, mg_str_make(text.data + at, bytes));
        }
    }
}

static mg_str strip(mg_str text, bool left, bool right)
{
    size_t bytes;
    size_t begin = 0;
    size_t end = text.size;
    while (left && begin < end &&
           mg_unicode_is_white_space(mg_char_decode(text.data + begin, &bytes))) {
        begin += bytes;
    }
    while (right && end > begin) {
        size_t last = mg_char_before(text, end);
        if (!mg_unicode_is_white_space(mg_char_decode(text.data + last, &bytes))) {
            break;
        }
        end = last;
    }
    return mg_str_slice(text, begin, end);
}

static bool nmt_drops(int32_t c)
{
    return (c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F ||
           c == 0x8F || c == 0x9F;
}

static bool nmt_is_space(int32_t c)
{
    return c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 ||
           (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
           c == 0xFEFF || c == 0xFFFD;
}

/* Drops or changes single code points: StripAccents and Nmt. */
static void filter(mg_normal_kind kind, mg_str text, mg_buf *out)
{
    size_t bytes;
    for (size_t at = 0; at < text.size; at += bytes) {
        int32_t c = mg_char_decode(text.data + at, &bytes);
        bool drop = kind == MG_NORMAL_NMT ? nmt_drops(c) : mg_reference_is_mark(c);
        if (kind == MG_NORMAL_NMT && nmt_is_space(c)) {
            mg_buf_add_char(out, ' ');
        } else if (!drop) {
            mg_buf_add(out, mg_str_make(text.data + at, bytes));
        }
    }
}

/* What the text at offset at becomes: a replacement, or its first code point. */
static mg_str sentencepiece_prefix(const mg_normal_step *step, mg_str text, size_t at,
                                   size_t *bytes_out)
{
    mg_str replacement;
    mg_str rest = mg_str_slice(text, at, text.size);
    if (step->charsmap != NULL &&
        mg_charsmap_longest(step->charsmap, rest, bytes_out, &replacement)) {
        return replacement;
    }
    *bytes_out = mg_char_bytes(text.data[at]);
    return mg_str_slice(rest, 0, *bytes_out);
}

/* Appends part with every U+0020 replaced by space. */
static void add_spaced(mg_buf *out, mg_str part, mg_str space)
{
    for (mg_str word; part.size > 0;) {
        const char *hit = memchr(part.data, ' ', part.size);
        word = mg_str_slice(part, 0, hit == NULL ? part.size : (size_t)(hit - part.data));
        mg_buf_add(out, word);
        if (hit != NULL) {
            mg_buf_add(out, space);
        }
        part = mg_str_slice(part, word.size + (hit != NULL ? 1 : 0), part.size);
    }
}

/* SentencePiece's normaliser: the longest replacement at each place, then its rules for spaces. */
static void sentencepiece(const mg_normal_step *step, mg_str text, mg_buf *out)
{
    mg_str space = mg_str_of(step->escape ? MG_METASPACE : " ");
    size_t at = 0;
    mg_buf_reserve(out, text.size * 3 / 2);
    size_t bytes;
    while (step->squeeze && at < text.size &&
           mg_str_is(sentencepiece_prefix(step, text, at, &bytes), " ")) {
        at += bytes;
    }
    if (at == text.size) {
        return;
    }
    if (step->add_prefix && !step->as_suffix) {
        mg_buf_add(out, space);
    }
    bool behind_space = step->squeeze;
    for (; at < text.size; at += bytes) {
        mg_str part = sentencepiece_prefix(step, text, at, &bytes);
        while (behind_space && mg_str_starts(part, " ")) {
            part = mg_str_slice(part, 1, part.size);
        }
        add_spaced(out, part, space);
        if (part.size > 0) {
            behind_space = step->squeeze && part.data[part.size - 1] == ' ';
        }
    }
    while (step->squeeze && out->size >= space.size &&
           memcmp(out->data + out->size - space.size, space.data, space.size) == 0) {
        out->size -= space.size;
    }
    if (step->add_prefix && step->as_suffix) {
        mg_buf_add(out, space);
    }
}

static mg_status apply_step(const mg_normal_step *step, mg_str text, mg_buf *out, mg_error *err)
{
    switch (step->kind) {
    case MG_NORMAL_PREPEND:
        if (text.size > 0) {
            mg_buf_add(out, step->content);
        }
        mg_buf_add(out, text);
        return MG_OK;
    case MG_NORMAL_REPLACE_TEXT:
        replace_text(step, text, out);
        return MG_OK;
    case MG_NORMAL_REPLACE_REGEX:
        return replace_regex(step, text, out, err);
    case MG_NORMAL_FORM:
        return normal_form(step->form, text, out, err);
    case MG_NORMAL_LOWERCASE:
        lower(text, out);
        return MG_OK;
    case MG_NORMAL_STRIP:
        mg_buf_add(out, strip(text, step->left, step->right));
        return MG_OK;
    case MG_NORMAL_STRIP_ACCENTS:
    case MG_NORMAL_NMT:
        filter(step->kind, text, out);
        return MG_OK;
    case MG_NORMAL_BYTE_LEVEL:
        mg_byte_level_encode(out, text);
        return MG_OK;
    case MG_NORMAL_CHARSMAP:
        return mg_charsmap_apply(step->charsmap, text, out, err);
    case MG_NORMAL_SENTENCEPIECE:
        sentencepiece(step, text, out);
        return MG_OK;
    }
    return mg_fail(err, MG_ERR_INTERNAL, "unknown normalizer step");
}

/* True when the step takes the first character away: what follows then starts further on. */
static bool drops_first(const mg_normal_step *step, mg_str text)
{
    size_t bytes;
    if (text.size == 0) {
        return false;
    }
    int32_t c = mg_char_decode(text.data, &bytes);
    return (step->kind == MG_NORMAL_STRIP && step->left && mg_unicode_is_white_space(c)) ||
           (step->kind == MG_NORMAL_NMT && nmt_drops(c)) ||
           (step->kind == MG_NORMAL_STRIP_ACCENTS && mg_reference_is_mark(c));
}

mg_status mg_normalizer_apply(const mg_normalizer *normalizer, mg_str text, mg_buf scratch[2],
                              mg_str *text_out, bool *kept_start_out, mg_error *err)
{
    bool kept_start = true;
    for (int64_t i = 0; i < normalizer->count; i++) {
        mg_buf *out = &scratch[i & 1];
        mg_buf_clear(out);
        kept_start = kept_start && !drops_first(&normalizer->steps[i], text);
        MG_TRY(apply_step(&normalizer->steps[i], text, out, err));
        text = mg_buf_view(out);
    }
    *text_out = text;
    if (kept_start_out != NULL) {
        *kept_start_out = kept_start;
    }
    return MG_OK;
}
