/* tokenizer/pretokenize.c - applying the steps of a pre-tokeniser (tokenizers.md 5).
 *
 * Splitting in general: the stretches between and of the matches of a pattern are listed, joined by
 * the behaviour, and handed on.  The common case, a scanner with isolated matches, needs no list.
 */
#include "tokenizer/pretokenize_internal.h"

#include "base/memory.h"
#include "text/utf8.h"
#include "tokenizer/byte_level_internal.h"
#include "tokenizer/chars_internal.h"
#include "tokenizer/normalize_internal.h"
#include "tokenizer/unicode_gap_internal.h"

typedef struct flow {
    const mg_pretokenizer *pretokenizer;
    mg_pre_scratch *scratch;
    mg_pre_sink *sink;
    void *context;
    mg_error *err;
} flow;

static mg_status feed(const flow *f, int64_t index, mg_str piece, bool first);

void mg_pre_scratch_release(mg_pre_scratch *scratch)
{
    if (scratch != NULL) {
        for (int64_t i = 0; i < MG_PRE_STEPS_MAX; i++) {
            mg_buf_release(&scratch->texts[i]);
            mg_free(scratch->stretches[i]);
        }
        memset(scratch, 0, sizeof(*scratch));
    }
}

/* Hands the part of piece on to the step behind index. */
static mg_status hand_on(const flow *f, int64_t index, mg_str piece, size_t begin, size_t end,
                         bool first)
{
    return feed(f, index + 1, mg_str_slice(piece, begin, end), first && begin == 0);
}

/* ---- lists of stretches ---- */

typedef struct stretch_list {
    mg_pre_scratch *scratch;
    int64_t step;
    int64_t count;
} stretch_list;

static void add_stretch(stretch_list *list, size_t begin, size_t end, bool match)
{
    mg_pre_scratch *scratch = list->scratch;
    if (list->count == scratch->stretch_caps[list->step]) {
        int64_t cap = MG_MAX(scratch->stretch_caps[list->step] * 2, 64);
        scratch->stretches[list->step] =
            mg_memory_resize(scratch->stretches[list->step], cap, sizeof(mg_pre_stretch));
        scratch->stretch_caps[list->step] = cap;
    }
    mg_pre_stretch *stretch = &scratch->stretches[list->step][list->count++];
    stretch->begin = begin;
    stretch->end = end;
    stretch->match = match;
}

/* A match, and the stretch without one before it. */
static void add_match(stretch_list *list, size_t *used, size_t begin, size_t end)
{
    if (*used != begin) {
        add_stretch(list, *used, begin, false);
    }
    add_stretch(list, begin, end, true);
    *used = end;
}

static mg_status find_regex(const mg_regex *regex, mg_str text, stretch_list *list, size_t *used,
                            mg_error *err)
{
    size_t at = 0;
    int64_t last_end = -1;
    for (;;) {
        bool found;
        size_t begin;
        size_t end;
        MG_TRY(mg_matches_next(regex, text, &at, &last_end, &found, &begin, &end, err));
        if (!found) {
            return MG_OK;
        }
        add_match(list, used, begin, end);
    }
}

/* All stretches of text for a SPLIT step. */
static mg_status list_matches(const flow *f, const mg_pre_step *step, mg_str text,
                              stretch_list *list)
{
    size_t used = 0;
    if (step->scan != MG_SCAN_NONE) {
        while (used < text.size) {
            size_t bytes = mg_scan_piece(step->scan, f->pretokenizer->classes,
                                         mg_str_slice(text, used, text.size));
            add_match(list, &used, used, used + bytes);
        }
    } else if (step->regex != NULL) {
        MG_TRY(find_regex(step->regex, text, list, &used, f->err));
    } else {
        for (int64_t hit;
             step->literal.size > 0 && (hit = mg_str_find(text, step->literal, used)) >= 0;) {
            add_match(list, &used, (size_t)hit, (size_t)hit + step->literal.size);
        }
    }
    if (used != text.size) {
        add_stretch(list, used, text.size, false);
    }
    return MG_OK;
}

/* Joins the stretches of list as the behaviour asks; the new ones overwrite the old. */
static void join(stretch_list *list, mg_split_behavior behavior)
{
    mg_pre_stretch *s = list->scratch->stretches[list->step];
    int64_t count = list->count;
    int64_t out = 0;
    bool previous = false;
    if (behavior == MG_SPLIT_MERGED_WITH_NEXT) {
        out = count;
        for (int64_t i = count - 1; i >= 0; i--) {
            mg_pre_stretch one = s[i];
            if (one.match && !previous && out < count) {
                s[out].begin = one.begin;
            } else {
                s[--out] = one;
            }
            previous = one.match;
        }
        memmove(s, s + out, (size_t)(count - out) * sizeof(*s));
        list->count = count - out;
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        mg_pre_stretch one = s[i];
        bool joins = behavior == MG_SPLIT_MERGED_WITH_PREVIOUS ? one.match && !previous
                                                               : one.match == previous;
        if (joins && out > 0) {
            s[out - 1].end = one.end;
        } else {
            s[out++] = one;
        }
        previous = one.match;
    }
    list->count = out;
}

static mg_status hand_on_list(const flow *f, int64_t index, mg_str piece, stretch_list *list,
                              mg_split_behavior behavior, bool first)
{
    if (behavior != MG_SPLIT_ISOLATED && behavior != MG_SPLIT_REMOVED && list->count > 0) {
        join(list, behavior);
    }
    for (int64_t i = 0; i < list->count; i++) {
        mg_pre_stretch one = f->scratch->stretches[index][i];
        if (behavior != MG_SPLIT_REMOVED || !one.match) {
            MG_TRY(hand_on(f, index, piece, one.begin, one.end, first));
        }
    }
    return MG_OK;
}

/* ---- steps ---- */

static mg_status split(const flow *f, int64_t index, mg_str piece, bool first)
{
    const mg_pre_step *step = &f->pretokenizer->steps[index];
    bool isolated =
        step->behavior == MG_SPLIT_ISOLATED || (step->behavior == MG_SPLIT_REMOVED && step->invert);
    if (step->scan != MG_SCAN_NONE && isolated) {
        for (size_t at = 0; at < piece.size;) {
            size_t bytes = mg_scan_piece(step->scan, f->pretokenizer->classes,
                                         mg_str_slice(piece, at, piece.size));
            MG_TRY(hand_on(f, index, piece, at, at + bytes, first));
            at += bytes;
        }
        return MG_OK;
    }
    stretch_list list = { f->scratch, index, 0 };
    MG_TRY(list_matches(f, step, piece, &list));
    for (int64_t i = 0; step->invert && i < list.count; i++) {
        f->scratch->stretches[index][i].match = !f->scratch->stretches[index][i].match;
    }
    return hand_on_list(f, index, piece, &list, step->behavior, first);
}

static mg_status byte_level(const flow *f, int64_t index, mg_str piece, bool first)
{
    const mg_pre_step *step = &f->pretokenizer->steps[index];
    bool last = index + 1 == f->pretokenizer->count && f->pretokenizer->raw_bytes;
    mg_buf *text = &f->scratch->texts[index];
    mg_buf_clear(text);
    if (step->add_prefix_space && !mg_str_starts(piece, " ")) {
        mg_buf_add_char(text, ' ');
        mg_buf_add(text, piece);
        piece = mg_buf_view(text);
    }
    if (last && !step->split) {
        return f->sink(f->context, piece, f->err);
    }
    for (size_t at = 0; at < piece.size;) {
        size_t bytes = step->split ? mg_scan_piece(MG_SCAN_GPT2, f->pretokenizer->classes,
                                                   mg_str_slice(piece, at, piece.size))
                                   : piece.size;
        mg_str part = mg_str_slice(piece, at, at + bytes);
        if (last) {
            MG_TRY(f->sink(f->context, part, f->err));
        } else {
            mg_buf mapped = { 0 };
            mg_byte_level_encode(&mapped, part);
            mg_status status = feed(f, index + 1, mg_buf_view(&mapped), first && at == 0);
            mg_buf_release(&mapped);
            MG_TRY(status);
        }
        at += bytes;
    }
    return MG_OK;
}

static mg_status metaspace(const flow *f, int64_t index, mg_str piece, bool first)
{
    const mg_pre_step *step = &f->pretokenizer->steps[index];
    mg_str mark = step->replacement;
    mg_buf *text = &f->scratch->texts[index];
    mg_buf_clear(text);
    mg_buf_reserve(text, piece.size * 2 + mark.size);
    bool marked = (piece.size > 0 && piece.data[0] == ' ') ||
                  (piece.size >= mark.size && memcmp(piece.data, mark.data, mark.size) == 0);
    if (!marked &&
        (step->scheme == MG_PREPEND_ALWAYS || (step->scheme == MG_PREPEND_FIRST && first))) {
        mg_buf_add(text, mark);
    }
    for (size_t at = 0; at < piece.size;) {
        const char *space = memchr(piece.data + at, ' ', piece.size - at);
        size_t end = space == NULL ? piece.size : (size_t)(space - piece.data);
        mg_buf_add(text, mg_str_slice(piece, at, end));
        if (space != NULL) {
            mg_buf_add(text, mark);
        }
        at = end + 1;
    }
    piece = mg_buf_view(text);
    if (!step->split) {
        return hand_on(f, index, piece, 0, piece.size, first);
    }
    for (size_t at = 0; at < piece.size;) {
        int64_t next = mg_str_find(piece, mark, at + 1);
        size_t end = next < 0 ? piece.size : (size_t)next;
        MG_TRY(hand_on(f, index, piece, at, end, first));
        at = end;
    }
    return MG_OK;
}

static bool is_punctuation(int32_t c)
{
    bool ascii = (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
                 (c >= 123 && c <= 126);
    return ascii || mg_reference_is_punctuation(c);
}

/* Steps whose pattern is one character of a class. */
static bool character_matches(mg_pre_kind kind, int32_t c)
{
    if (kind == MG_PRE_DIGITS) {
        return mg_reference_is_number(c);
    }
    return kind == MG_PRE_PUNCTUATION ? is_punctuation(c) : mg_unicode_is_white_space(c);
}

static mg_status split_characters(const flow *f, int64_t index, mg_str piece,
                                  mg_split_behavior behavior, bool first)
{
    const mg_pre_step *step = &f->pretokenizer->steps[index];
    stretch_list list = { f->scratch, index, 0 };
    size_t used = 0;
    size_t bytes;
    for (size_t at = 0; at < piece.size; at += bytes) {
        if (character_matches(step->kind, mg_char_decode(piece.data + at, &bytes))) {
            add_match(&list, &used, at, at + bytes);
        }
    }
    if (used != piece.size) {
        add_stretch(&list, used, piece.size, false);
    }
    return hand_on_list(f, index, piece, &list, behavior, first);
}

/* What a character is to the Whitespace and Bert steps. */
static int word_class(const flow *f, mg_pre_kind kind, int32_t c)
{
    if (mg_unicode_is_white_space(c)) {
        return 0;
    }
    if (kind == MG_PRE_BERT) {
        return is_punctuation(c) ? 3 : 1; /* 3: each on its own */
    }
    return (mg_char_class(f->pretokenizer->classes, c) & MG_CLASS_WORD) != 0 ? 1 : 2;
}

/* Runs of one class; white space is dropped. */
static mg_status split_words(const flow *f, int64_t index, mg_str piece, bool first)
{
    mg_pre_kind kind = f->pretokenizer->steps[index].kind;
    size_t bytes;
    for (size_t at = 0; at < piece.size;) {
        int class = word_class(f, kind, mg_char_decode(piece.data + at, &bytes));
        size_t end = at + bytes;
        while (end < piece.size && class != 3 &&
               word_class(f, kind, mg_char_decode(piece.data + end, &bytes)) == class) {
            end += bytes;
        }
        if (class != 0) {
            MG_TRY(hand_on(f, index, piece, at, end, first));
        }
        at = end;
    }
    return MG_OK;
}

static mg_status split_length(const flow *f, int64_t index, mg_str piece, bool first)
{
    int64_t length = f->pretokenizer->steps[index].length;
    for (size_t at = 0; at < piece.size;) {
        size_t end = at;
        for (int64_t i = 0; i < length && end < piece.size; i++) {
            end += mg_char_bytes(piece.data[end]);
        }
        MG_TRY(hand_on(f, index, piece, at, end, first));
        at = end;
    }
    return MG_OK;
}

static mg_status feed(const flow *f, int64_t index, mg_str piece, bool first)
{
    if (piece.size == 0) {
        return MG_OK;
    }
    if (index == f->pretokenizer->count) {
        return f->sink(f->context, piece, f->err);
    }
    const mg_pre_step *step = &f->pretokenizer->steps[index];
    switch (step->kind) {
    case MG_PRE_SPLIT:
        return split(f, index, piece, first);
    case MG_PRE_BYTE_LEVEL:
        return byte_level(f, index, piece, first);
    case MG_PRE_METASPACE:
        return metaspace(f, index, piece, first);
    case MG_PRE_DIGITS:
        return split_characters(f, index, piece,
                                step->individual ? MG_SPLIT_ISOLATED : MG_SPLIT_CONTIGUOUS, first);
    case MG_PRE_PUNCTUATION:
        return split_characters(f, index, piece, step->behavior, first);
    case MG_PRE_WHITESPACE_SPLIT:
        return split_characters(f, index, piece, MG_SPLIT_REMOVED, first);
    case MG_PRE_WHITESPACE:
    case MG_PRE_BERT:
        return split_words(f, index, piece, first);
    case MG_PRE_FIXED_LENGTH:
        return split_length(f, index, piece, first);
    }
    return mg_fail(f->err, MG_ERR_INTERNAL, "unknown pre-tokenizer step");
}

mg_status mg_pretokenizer_apply(const mg_pretokenizer *pretokenizer, mg_pre_scratch *scratch,
                                mg_str text, bool first, mg_pre_sink *sink, void *context,
                                mg_error *err)
{
    flow f = { pretokenizer, scratch, sink, context, err };
    return feed(&f, 0, text, first);
}
