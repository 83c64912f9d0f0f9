/* tokenizer/vocab_json.c - a pull scanner over JSON text for the vocabulary and the merges. */
#include "tokenizer/vocab_json_internal.h"

#include <stdio.h>

#include "base/memory.h"
#include "text/utf8.h"

#define DEPTH_MAX 200

typedef struct scan {
    const char *start;
    const char *at;
    const char *end;
    mg_buf text; /* of the last string that had escapes */
} scan;

static scan scan_of(mg_str json)
{
    const char *start = json.data != NULL ? json.data : "";
    scan s = { start, start, start + json.size, { 0 } };
    return s;
}

static mg_status fail_at(const scan *s, mg_error *err, const char *what)
{
    return mg_fail(err, MG_ERR_FORMAT, "%s at byte %lld of the section", what,
                   (long long)(s->at - s->start));
}

static void skip_space(scan *s)
{
    while (s->at < s->end &&
           (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t')) {
        s->at++;
    }
}

/* Skips white space and takes c if it is next. */
static bool take(scan *s, char c)
{
    skip_space(s);
    if (s->at < s->end && *s->at == c) {
        s->at++;
        return true;
    }
    return false;
}

static mg_status expect(scan *s, char c, mg_error *err)
{
    if (!take(s, c)) {
        char what[] = "expected '?'";
        what[10] = c;
        return fail_at(s, err, what);
    }
    return MG_OK;
}

static int32_t hex4(scan *s)
{
    int32_t value = 0;
    if (s->end - s->at < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        char c = *s->at++;
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

/* The escape behind a backslash, appended to s->text. */
static mg_status read_escape(scan *s, mg_error *err)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    char c = s->at < s->end ? *s->at++ : '\0';
    const char *name = c == '\0' ? NULL : strchr(names, c);
    if (name != NULL) {
        mg_buf_add_char(&s->text, values[name - names]);
        return MG_OK;
    }
    int32_t code_point = c == 'u' ? hex4(s) : -1;
    if (code_point >= 0xD800 && code_point < 0xDC00 && s->end - s->at >= 6 && s->at[0] == '\\' &&
        s->at[1] == 'u') {
        s->at += 2;
        int32_t low = hex4(s);
        if (low < 0xDC00 || low > 0xDFFF) {
            return fail_at(s, err, "lone surrogate");
        }
        code_point = 0x10000 + ((code_point - 0xD800) << 10) + (low - 0xDC00);
    }
    if (code_point < 0 || (code_point >= 0xD800 && code_point <= 0xDFFF)) {
        return fail_at(s, err, "wrong escape");
    }
    char bytes[4];
    size_t count = mg_utf8_encode(code_point, bytes);
    mg_buf_add(&s->text, mg_str_make(bytes, count));
    return MG_OK;
}

/* The next value, a string.  *text_out borrows from the source, or from s->text until the next one.
 */
static mg_status read_string(scan *s, mg_str *text_out, mg_error *err)
{
    *text_out = mg_str_make(NULL, 0);
    MG_TRY(expect(s, '"', err));
    const char *begin = s->at;
    while (s->at < s->end && *s->at != '"' && *s->at != '\\' && (unsigned char)*s->at >= 0x20) {
        s->at++;
    }
    if (s->at < s->end && *s->at == '"') {
        *text_out = mg_str_make(begin, (size_t)(s->at++ - begin));
        return MG_OK;
    }
    mg_buf_clear(&s->text);
    mg_buf_add(&s->text, mg_str_make(begin, (size_t)(s->at - begin)));
    while (s->at < s->end && *s->at != '"') {
        if ((unsigned char)*s->at < 0x20) {
            return fail_at(s, err, "control character in a string");
        }
        if (*s->at++ == '\\') {
            MG_TRY(read_escape(s, err));
        } else {
            mg_buf_add_char(&s->text, s->at[-1]);
        }
    }
    if (s->at == s->end) {
        return fail_at(s, err, "string without an end");
    }
    s->at++;
    *text_out = mg_buf_view(&s->text);
    return MG_OK;
}

/* A number as written. */
static mg_status read_number(scan *s, mg_str *number_out, mg_error *err)
{
    skip_space(s);
    const char *begin = s->at;
    while (s->at < s->end && *s->at != '\0' && strchr("+-.0123456789eE", *s->at) != NULL) {
        s->at++;
    }
    *number_out = mg_str_make(begin, (size_t)(s->at - begin));
    return s->at > begin ? MG_OK : fail_at(s, err, "expected a number");
}

/* Skips one value of any kind; brackets are matched, the rest is left to text/json.h. */
static mg_status skip_value(scan *s, mg_error *err)
{
    char closers[DEPTH_MAX];
    int depth = 0;
    do {
        skip_space(s);
        if (s->at == s->end) {
            return fail_at(s, err, "value without an end");
        }
        char c = *s->at;
        if (c == '"') {
            mg_str text;
            MG_TRY(read_string(s, &text, err));
        } else if (c == '{' || c == '[') {
            if (depth == DEPTH_MAX) {
                return fail_at(s, err, "values nested too deep");
            }
            closers[depth++] = c == '{' ? '}' : ']';
            s->at++;
        } else if (c == '}' || c == ']') {
            if (depth == 0 || closers[--depth] != c) {
                return fail_at(s, err, "unmatched bracket");
            }
            s->at++;
        } else if (depth > 0 && (c == ',' || c == ':')) {
            s->at++;
        } else if (depth == 0 && (c == ',' || c == ':')) {
            return fail_at(s, err, "expected a value");
        } else {
            while (s->at < s->end && *s->at != '\0' && strchr(" \n\r\t,:]}", *s->at) == NULL) {
                s->at++;
            }
            if (s->at < s->end && *s->at == '\0') {
                return fail_at(s, err, "NUL byte");
            }
        }
    } while (depth > 0);
    return MG_OK;
}

/* Calls for each key of the object at s: the value's text is in *value_out. */
static mg_status next_member(scan *s, bool first, bool *more_out, mg_str *key_out,
                             mg_str *value_out, mg_error *err)
{
    *more_out = false;
    if (take(s, '}')) {
        return MG_OK;
    }
    if (!first) {
        MG_TRY(expect(s, ',', err));
    }
    MG_TRY(read_string(s, key_out, err));
    MG_TRY(expect(s, ':', err));
    skip_space(s);
    const char *begin = s->at;
    /* The key may lie in s->text, which skip_value uses for strings of its own. */
    mg_buf key_text = s->text;
    memset(&s->text, 0, sizeof(s->text));
    mg_status status = skip_value(s, err);
    mg_buf_release(&s->text);
    s->text = key_text;
    *value_out = mg_str_make(begin, (size_t)(s->at - begin));
    *more_out = status == MG_OK;
    return status;
}

/* The last value of key in the JSON object text; empty when text is none or lacks it. */
static mg_status find_member(mg_str text, const char *key, mg_str *value_out, mg_error *err)
{
    scan s = scan_of(text);
    mg_status status = MG_OK;
    bool more = true;
    bool first = true;
    *value_out = mg_str_make(NULL, 0);
    if (!take(&s, '{')) {
        return MG_OK;
    }
    while (more) {
        mg_str name;
        mg_str value;
        MG_TRY_OR_DONE(next_member(&s, first, &more, &name, &value, err));
        if (more && mg_str_is(name, key)) {
            *value_out = value;
        }
        first = false;
    }

done:
    mg_buf_release(&s.text);
    return status;
}

void mg_model_sections_release(mg_model_sections *sections)
{
    if (sections != NULL) {
        mg_buf_release(&sections->rest);
        memset(sections, 0, sizeof(*sections));
    }
}

mg_status mg_model_sections_find(mg_str text, mg_model_sections *sections_out, mg_error *err)
{
    mg_str model;
    memset(sections_out, 0, sizeof(*sections_out));
    MG_TRY(find_member(text, "model", &model, err));
    MG_TRY(find_member(model, "vocab", &sections_out->vocab, err));
    MG_TRY(find_member(model, "merges", &sections_out->merges, err));

    mg_str cuts[2] = { sections_out->vocab, sections_out->merges };
    if (cuts[1].data < cuts[0].data) {
        cuts[0] = sections_out->merges;
        cuts[1] = sections_out->vocab;
    }
    const char *at = text.data != NULL ? text.data : "";
    const char *end = at + text.size;
    for (int i = 0; i < 2; i++) {
        if (cuts[i].size > 0) {
            mg_buf_add(&sections_out->rest, mg_str_make(at, (size_t)(cuts[i].data - at)));
            mg_buf_add_text(&sections_out->rest, "null");
            at = cuts[i].data + cuts[i].size;
        }
    }
    mg_buf_add(&sections_out->rest, mg_str_make(at, (size_t)(end - at)));
    return MG_OK;
}

/* The section must end behind its value. */
static mg_status expect_end(scan *s, mg_error *err)
{
    skip_space(s);
    return s->at == s->end ? MG_OK : fail_at(s, err, "unexpected text");
}

mg_status mg_vocab_read_map(mg_str json, mg_vocab *vocab, mg_error *err)
{
    scan s = scan_of(json);
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(expect(&s, '{', err));
    for (bool first = true; !take(&s, '}'); first = false) {
        mg_str token;
        mg_str number;
        int64_t id;
        if (!first) {
            MG_TRY_OR_DONE(expect(&s, ',', err));
        }
        MG_TRY_OR_DONE(read_string(&s, &token, err));
        MG_TRY_OR_DONE(expect(&s, ':', err));
        MG_TRY_OR_DONE(read_number(&s, &number, err));
        if (!mg_str_to_int(number, &id)) {
            status = fail_at(&s, err, "token id is not an integer");
            goto done;
        }
        MG_TRY_OR_DONE(mg_vocab_set(vocab, token, id, err));
    }
    MG_TRY_OR_DONE(expect_end(&s, err));

done:
    mg_buf_release(&s.text);
    return status;
}

/* 10^exponent, correctly rounded; exponent in 0..308. */
static double power_of_ten(int64_t exponent)
{
    static const double exact[] = { 1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    if (exponent < (int64_t)MG_ARRAY_COUNT(exact)) {
        return exact[exponent];
    }
    char text[8];
    double power = 0.0;
    (void)snprintf(text, sizeof(text), "1e%d", (int)exponent);
    (void)mg_str_to_double(mg_str_of(text), &power);
    return power;
}

/* Of the exponent that a number writes; beyond it, no number of digits before or behind the point
 * that is short enough to be read brings it back into the range of a double. */
#define EXPONENT_MAX 1000

/* A score, as the tokenizers library reads it: all digits as one integer (those that no longer fit
 * 64 bits are dropped), then one product or quotient with a power of ten.  That may be an ulp
 * beside the nearest double, and decides between segmentations that tie but for rounding. */
static bool read_score(mg_str number, double *score_out)
{
    double nearest;
    if (!mg_str_to_double(number, &nearest)) {
        return false;
    }
    bool negative = number.data[0] == '-';
    bool behind_point = false;
    bool full = false;
    uint64_t digits = 0;
    int64_t exponent = 0;
    size_t i = negative ? 1 : 0;
    if (number.data[i] < '0' || number.data[i] > '9') { /* "+1" and ".5" are no JSON */
        return false;
    }
    for (; i < number.size && number.data[i] != 'e' && number.data[i] != 'E'; i++) {
        if (number.data[i] == '.') {
            behind_point = true;
            continue;
        }
        uint64_t digit = (uint64_t)(number.data[i] - '0');
        full = full || digits > (UINT64_MAX - digit) / 10;
        if (!full) {
            digits = digits * 10 + digit;
        }
        exponent += full ? !behind_point : -behind_point;
    }
    int64_t written = 0;
    bool known = true;
    if (i < number.size) {
        size_t sign = number.data[i + 1] == '+' ? 1 : 0;
        known = mg_str_to_int(mg_str_slice(number, i + 1 + sign, number.size), &written) &&
                written >= -EXPONENT_MAX && written <= EXPONENT_MAX;
        exponent += known ? written : 0;
    }
    if (!known || exponent < -308 || exponent > 308) {
        *score_out = nearest;
        return true;
    }
    double score = exponent >= 0 ? (double)digits * power_of_ten(exponent)
                                 : (double)digits / power_of_ten(-exponent);
    *score_out = negative ? -score : score;
    return true;
}

mg_status mg_vocab_read_pieces(mg_str json, mg_vocab *vocab, double **scores_out, mg_error *err)
{
    scan s = scan_of(json);
    mg_status status = MG_OK;
    double *scores = NULL;
    int64_t count = 0;
    int64_t cap = 0;
    *scores_out = NULL;
    MG_TRY_OR_DONE(expect(&s, '[', err));
    while (!take(&s, ']')) {
        mg_str piece;
        mg_str number;
        if (count > 0) {
            MG_TRY_OR_DONE(expect(&s, ',', err));
        }
        if (count == cap) {
            cap = MG_MAX(cap * 2, 1024);
            scores = mg_memory_resize(scores, cap, sizeof(double));
        }
        MG_TRY_OR_DONE(expect(&s, '[', err));
        MG_TRY_OR_DONE(read_string(&s, &piece, err));
        MG_TRY_OR_DONE(mg_vocab_set(vocab, piece, count, err));
        MG_TRY_OR_DONE(expect(&s, ',', err));
        MG_TRY_OR_DONE(read_number(&s, &number, err));
        if (!read_score(number, &scores[count])) {
            status = fail_at(&s, err, "score is not a number");
            goto done;
        }
        MG_TRY_OR_DONE(expect(&s, ']', err));
        count++;
    }
    MG_TRY_OR_DONE(expect_end(&s, err));
    *scores_out = scores;
    scores = NULL; /* handed over */

done:
    mg_free(scores);
    mg_buf_release(&s.text);
    return status;
}

/* One element of the list of merges: "left right", or ["left", "right"]. */
static mg_status read_merge(scan *s, mg_buf *left_text, mg_merge_sink *sink, void *context,
                            mg_error *err)
{
    mg_str left;
    mg_str right;
    if (!take(s, '[')) {
        mg_str both;
        MG_TRY(read_string(s, &both, err));
        right = both;
        if (mg_str_starts(both, "#version")) {
            return MG_OK;
        }
        if (!mg_str_split(&right, ' ', &left) || left.size == both.size ||
            memchr(right.data, ' ', right.size) != NULL) {
            return fail_at(s, err, "a merge is not two tokens with one space between");
        }
        return sink(context, left, right, err);
    }
    MG_TRY(read_string(s, &left, err));
    mg_buf_clear(left_text);
    mg_buf_add(left_text, left);
    MG_TRY(expect(s, ',', err));
    MG_TRY(read_string(s, &right, err));
    MG_TRY(expect(s, ']', err));
    return sink(context, mg_buf_view(left_text), right, err);
}

mg_status mg_merges_read(mg_str json, mg_merge_sink *sink, void *context, mg_error *err)
{
    scan s = scan_of(json);
    mg_status status = MG_OK;
    mg_buf left = { 0 };
    MG_TRY_OR_DONE(expect(&s, '[', err));
    for (bool first = true; !take(&s, ']'); first = false) {
        if (!first) {
            MG_TRY_OR_DONE(expect(&s, ',', err));
        }
        MG_TRY_OR_DONE(read_merge(&s, &left, sink, context, err));
    }
    MG_TRY_OR_DONE(expect_end(&s, err));

done:
    mg_buf_release(&left);
    mg_buf_release(&s.text);
    return status;
}
