/* eval/text_metric.c - n-gram statistics of each pair, summed and turned into a score.
 *
 * BLEU (Papineni et al., ACL 2002): hypothesis and closest reference lengths, then per order the
 * matched and the total n-grams, clipped by the largest count in any reference.  chrF (Popovic, WMT
 * 2015 and 2017): per order the n-grams of hypothesis, of reference, and matched; with several
 * references the one with the best score counts.  TER: the fewest edits to any reference, and the
 * words of a reference.  For n-grams, texts are first brought into a form in which one is a slice:
 * tokens joined by single spaces, characters without white space. */
#include "eval/text_metric.h"

#include "base/arena.h"
#include "base/map.h"
#include "base/memory.h"
#include "eval/edit_rate.h"
#include "text/utf8.h"

#include <math.h>
#include <stdlib.h>

#define BLEU_ORDER 4
#define CHAR_ORDER 6
#define WORD_ORDER 2
#define STATISTICS_MAX (3 * (CHAR_ORDER + WORD_ORDER))
#define BETA_SQUARED 4.0

struct mg_text_metric {
    mg_text_metric_kind kind;
    int64_t count;
    double (*statistics)[STATISTICS_MAX]; /* one row for each pair */
};

/* A text as units (tokens or characters) whose runs are slices. */
typedef struct units {
    mg_buf text;
    int64_t *begin, *end; /* byte offsets of each unit */
    int64_t count, cap;
} units;

static void release_units(units *u)
{
    mg_buf_release(&u->text);
    mg_free(u->begin);
    mg_free(u->end);
}

static void add_unit(units *u, mg_str part, bool spaced)
{
    if (u->count == u->cap) {
        u->cap = u->cap > 0 ? u->cap * 2 : 64;
        u->begin = mg_memory_resize(u->begin, u->cap, sizeof(int64_t));
        u->end = mg_memory_resize(u->end, u->cap, sizeof(int64_t));
    }
    if (spaced && u->count > 0) {
        mg_buf_add_char(&u->text, ' ');
    }
    u->begin[u->count] = (int64_t)u->text.size;
    mg_buf_add(&u->text, part);
    u->end[u->count++] = (int64_t)u->text.size;
}

static mg_str gram(const units *u, int64_t first, int64_t order)
{
    return mg_str_slice(mg_buf_view(&u->text), (size_t)u->begin[first],
                        (size_t)u->end[first + order - 1]);
}

static bool is_space(int32_t c)
{
    return mg_unicode_is_python_space(c);
}

/* Calls for each piece between white space. */
static mg_str next_word(mg_str text, size_t *at)
{
    size_t bytes;
    while (*at < text.size && is_space(mg_utf8_decode(text, *at, &bytes))) {
        *at += bytes;
    }
    size_t begin = *at;
    while (*at < text.size && !is_space(mg_utf8_decode(text, *at, &bytes))) {
        *at += bytes;
    }
    return mg_str_slice(text, begin, *at);
}

/* ---- tokens of mteval 13a ---- */

static void replace_all(mg_buf *text, const char *from, const char *to)
{
    mg_buf out = { 0 };
    mg_str view = mg_buf_view(text);
    mg_str needle = mg_str_of(from);
    size_t at = 0;
    int64_t found;
    while ((found = mg_str_find(view, needle, at)) >= 0) {
        mg_buf_add(&out, mg_str_slice(view, at, (size_t)found));
        mg_buf_add_text(&out, to);
        at = (size_t)found + needle.size;
    }
    mg_buf_add(&out, mg_str_slice(view, at, view.size));
    mg_buf_release(text);
    *text = out;
}

static bool is_symbol(char c)
{
    return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') ||
           (c >= '(' && c <= '+') || (c >= ':' && c <= '@') || c == '/';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_stop(char c)
{
    return c == '.' || c == ',';
}

static void space_symbols(mg_buf *text)
{
    mg_buf out = { 0 };
    for (size_t i = 0; i < text->size; i++) {
        bool symbol = is_symbol(text->data[i]);
        mg_buf_add_text(&out, symbol ? " " : "");
        mg_buf_add_char(&out, text->data[i]);
        mg_buf_add_text(&out, symbol ? " " : "");
    }
    mg_buf_release(text);
    *text = out;
}

/* One pass of a rule over two neighbouring characters, first (whole, of UTF-8) and second. */
typedef enum pair_rule { STOP_AFTER_OTHER, STOP_BEFORE_OTHER, DASH_AFTER_DIGIT } pair_rule;

static void space_pairs(mg_buf *text, pair_rule rule)
{
    mg_buf out = { 0 };
    mg_str view = mg_buf_view(text);
    size_t at = 0;
    while (at < view.size) {
        size_t bytes;
        (void)mg_utf8_decode(view, at, &bytes);
        size_t next = at + bytes;
        char first = view.data[at];
        char second = next < view.size ? view.data[next] : '\0';
        size_t second_bytes = 1;
        bool matches = next < view.size;
        if (rule == STOP_AFTER_OTHER) {
            matches = matches && !is_digit(first) && is_stop(second);
        } else if (rule == STOP_BEFORE_OTHER) {
            matches = matches && is_stop(first) && !is_digit(second);
            if (matches) {
                (void)mg_utf8_decode(view, next, &second_bytes);
            }
        } else {
            matches = matches && is_digit(first) && second == '-';
        }
        if (!matches) {
            mg_buf_add(&out, mg_str_slice(view, at, next));
            at = next;
            continue;
        }
        mg_buf_add_text(&out, rule == STOP_BEFORE_OTHER ? " " : "");
        mg_buf_add(&out, mg_str_slice(view, at, next));
        mg_buf_add_char(&out, ' ');
        mg_buf_add(&out, mg_str_slice(view, next, next + second_bytes));
        mg_buf_add_text(&out, rule == STOP_BEFORE_OTHER ? "" : " ");
        at = next + second_bytes;
    }
    mg_buf_release(text);
    *text = out;
}

static void tokenize_13a(mg_str line, units *out)
{
    mg_buf text = { 0 };
    mg_buf_add_char(&text, ' ');
    mg_buf_add(&text, mg_unicode_trim(line, false, true));
    replace_all(&text, "<skipped>", "");
    replace_all(&text, "-\n", "");
    replace_all(&text, "\n", " ");
    replace_all(&text, "&quot;", "\"");
    replace_all(&text, "&amp;", "&");
    replace_all(&text, "&lt;", "<");
    replace_all(&text, "&gt;", ">");
    mg_buf_add_char(&text, ' ');
    space_symbols(&text);
    space_pairs(&text, STOP_AFTER_OTHER);
    space_pairs(&text, STOP_BEFORE_OTHER);
    space_pairs(&text, DASH_AFTER_DIGIT);
    size_t at = 0;
    mg_str word;
    while ((word = next_word(mg_buf_view(&text), &at)).size > 0) {
        add_unit(out, word, true);
    }
    mg_buf_release(&text);
}

/* ---- characters and words of chrF ---- */

static void split_characters(mg_str text, units *out)
{
    size_t bytes;
    for (size_t at = 0; at < text.size; at += bytes) {
        if (!is_space(mg_utf8_decode(text, at, &bytes))) {
            add_unit(out, mg_str_slice(text, at, at + bytes), false);
        }
    }
}

static bool is_punctuation(char c)
{
    return c != '\0' && strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", c) != NULL;
}

/* Words, with one punctuation mark at an end cut off. */
static void split_words(mg_str text, units *out)
{
    size_t at = 0;
    mg_str word;
    while ((word = next_word(text, &at)).size > 0) {
        if (mg_utf8_count(word) == 1) {
            add_unit(out, word, true);
        } else if (is_punctuation(word.data[word.size - 1])) {
            add_unit(out, mg_str_slice(word, 0, word.size - 1), true);
            add_unit(out, mg_str_slice(word, word.size - 1, word.size), true);
        } else if (is_punctuation(word.data[0])) {
            add_unit(out, mg_str_slice(word, 0, 1), true);
            add_unit(out, mg_str_slice(word, 1, word.size), true);
        } else {
            add_unit(out, word, true);
        }
    }
}

/* ---- counts ---- */

static int64_t gram_count(const units *u, int64_t order)
{
    return u->count >= order ? u->count - order + 1 : 0;
}

static void count_grams(const units *u, int64_t order, mg_map *counts)
{
    for (int64_t i = 0; i < gram_count(u, order); i++) {
        mg_str key = gram(u, i, order);
        mg_map_set(counts, key, mg_map_get(counts, key, 0) + 1);
    }
}

/* Sum over the distinct n-grams of the smaller count; counts is that of the reference. */
static int64_t count_matches(const units *u, int64_t order, const mg_map *counts)
{
    mg_map used = { 0 };
    int64_t matches = 0;
    for (int64_t i = 0; i < gram_count(u, order); i++) {
        mg_str key = gram(u, i, order);
        int64_t taken = mg_map_get(&used, key, 0);
        if (taken < mg_map_get(counts, key, 0)) {
            mg_map_set(&used, key, taken + 1);
            matches++;
        }
    }
    mg_map_release(&used);
    return matches;
}

/* A reference, or one of several. */
static const mg_value *reference_of(const mg_value *references, int64_t index)
{
    return references->kind == MG_LIST ? &references->items[index] : references;
}

static void add_bleu(const mg_value *references, int64_t reference_count, mg_str said, double *row)
{
    units hypothesis = { 0 };
    units *targets = mg_new_array(units, reference_count);
    int64_t closest = -1;
    tokenize_13a(said, &hypothesis);
    for (int64_t i = 0; i < reference_count; i++) {
        tokenize_13a(reference_of(references, i)->string, &targets[i]);
        int64_t distance = llabs(targets[i].count - hypothesis.count);
        int64_t best = llabs(closest - hypothesis.count);
        if (closest < 0 || distance < best || (distance == best && targets[i].count < closest)) {
            closest = targets[i].count;
        }
    }
    row[0] = (double)hypothesis.count;
    row[1] = (double)MG_MAX(closest, 0);
    for (int64_t order = 1; order <= BLEU_ORDER; order++) {
        mg_map largest = { 0 };
        for (int64_t i = 0; i < reference_count; i++) {
            mg_map counts = { 0 };
            count_grams(&targets[i], order, &counts);
            for (int64_t k = 0; k < gram_count(&targets[i], order); k++) {
                mg_str key = gram(&targets[i], k, order);
                mg_map_set(&largest, key,
                           MG_MAX(mg_map_get(&largest, key, 0), mg_map_get(&counts, key, 0)));
            }
            mg_map_release(&counts);
        }
        row[1 + order] = (double)count_matches(&hypothesis, order, &largest);
        row[1 + BLEU_ORDER + order] = (double)gram_count(&hypothesis, order);
        mg_map_release(&largest);
    }
    for (int64_t i = 0; i < reference_count; i++) {
        release_units(&targets[i]);
    }
    release_units(&hypothesis);
    mg_free(targets);
}

static int chrf_orders(mg_text_metric_kind kind)
{
    return CHAR_ORDER + (kind == MG_TEXT_CHRF_WORDS ? WORD_ORDER : 0);
}

static double chrf_score(const double *row, int orders)
{
    double precision = 0;
    double recall = 0;
    int effective = 0;
    for (int i = 0; i < orders; i++) {
        double said = row[3 * i];
        double wanted = row[3 * i + 1];
        if (said > 0 && wanted > 0) {
            precision += row[3 * i + 2] / said;
            recall += row[3 * i + 2] / wanted;
            effective++;
        }
    }
    if (effective == 0 || precision + recall == 0) {
        return 0;
    }
    precision /= effective;
    recall /= effective;
    return 100 * (1 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall);
}

static void count_pair(const units *said, const units *wanted, int64_t order, double *triple)
{
    mg_map counts = { 0 };
    count_grams(wanted, order, &counts);
    triple[0] = gram_count(wanted, order) > 0 ? (double)gram_count(said, order) : 0;
    triple[1] = (double)gram_count(wanted, order);
    triple[2] = (double)count_matches(said, order, &counts);
    mg_map_release(&counts);
}

static void add_chrf(mg_text_metric_kind kind, const mg_value *references, int64_t reference_count,
                     mg_str said, double *row)
{
    units characters = { 0 };
    units words = { 0 };
    double best = -1;
    split_characters(said, &characters);
    split_words(said, &words);
    for (int64_t i = 0; i < reference_count; i++) {
        double one[STATISTICS_MAX] = { 0 };
        units wanted_characters = { 0 };
        units wanted_words = { 0 };
        mg_str wanted = reference_of(references, i)->string;
        split_characters(wanted, &wanted_characters);
        split_words(wanted, &wanted_words);
        for (int k = 0; k < chrf_orders(kind); k++) {
            bool of_words = k >= CHAR_ORDER;
            count_pair(of_words ? &words : &characters,
                       of_words ? &wanted_words : &wanted_characters,
                       of_words ? k - CHAR_ORDER + 1 : k + 1, one + (ptrdiff_t)3 * k);
        }
        double score = chrf_score(one, chrf_orders(kind));
        if (score > best) {
            best = score;
            memcpy(row, one, sizeof(one));
        }
        release_units(&wanted_characters);
        release_units(&wanted_words);
    }
    release_units(&characters);
    release_units(&words);
}

/* Words in lower case as numbers; known counts them over all texts of a row. */
static int32_t *number_words(mg_str text, mg_map *known, mg_arena *arena, int64_t *count_out)
{
    mg_buf lower = { 0 };
    int32_t *numbers = NULL;
    int64_t cap = 0;
    size_t at = 0;
    mg_str word;
    *count_out = 0;
    mg_unicode_lower(&lower, text);
    mg_str kept = mg_arena_copy(arena, mg_buf_view(&lower));
    mg_buf_release(&lower);
    while ((word = next_word(kept, &at)).size > 0) {
        int64_t number = mg_map_get(known, word, known->count);
        mg_map_set(known, word, number);
        if (*count_out == cap) {
            cap = cap > 0 ? cap * 2 : 64;
            numbers = mg_memory_resize(numbers, cap, sizeof(int32_t));
        }
        numbers[(*count_out)++] = (int32_t)number;
    }
    return numbers;
}

/* The fewest edits to any reference, and the mean number of words of the references. */
static mg_status add_ter(const mg_value *references, int64_t reference_count, mg_str said,
                         double *row, mg_error *err)
{
    mg_arena arena = { 0 };
    mg_map known = { 0 };
    int64_t said_count;
    int32_t *words = number_words(said, &known, &arena, &said_count);
    mg_status status = MG_OK;
    for (int64_t i = 0; i < reference_count && status == MG_OK; i++) {
        int64_t wanted_count;
        int64_t edits;
        int32_t *wanted =
            number_words(reference_of(references, i)->string, &known, &arena, &wanted_count);
        status = mg_edit_count(words, said_count, wanted, wanted_count, &edits, err);
        row[0] = i == 0 ? (double)edits : MG_MIN(row[0], (double)edits);
        row[1] += (double)wanted_count / (double)reference_count;
        mg_free(wanted);
    }
    mg_free(words);
    mg_map_release(&known);
    mg_arena_release(&arena);
    return status;
}

static double ter_score(const double *sum)
{
    return sum[1] > 0 ? 100 * sum[0] / sum[1] : sum[0] > 0 ? 100 : 0;
}

static bool is_pair(const mg_value *pair)
{
    if (pair->kind != MG_LIST || pair->count != 2 || pair->items[1].kind != MG_STRING) {
        return false;
    }
    const mg_value *references = &pair->items[0];
    for (int64_t i = 0; references->kind == MG_LIST && i < references->count; i++) {
        if (references->items[i].kind != MG_STRING) {
            return false;
        }
    }
    return references->kind == MG_STRING || (references->kind == MG_LIST && references->count > 0);
}

mg_status mg_text_metric_create(mg_text_metric_kind kind, const mg_value *const *pairs,
                                int64_t count, mg_text_metric **metric_out, mg_error *err)
{
    *metric_out = NULL;
    mg_text_metric *metric = mg_new(mg_text_metric);
    metric->kind = kind;
    metric->count = count;
    metric->statistics = mg_memory_new(MG_MAX(count, 1), sizeof(*metric->statistics));
    for (int64_t i = 0; i < count; i++) {
        if (!is_pair(pairs[i])) {
            mg_text_metric_destroy(metric);
            return mg_fail(err, MG_ERR_FORMAT,
                           "a row gave no pair of reference and response, both texts");
        }
        const mg_value *references = &pairs[i]->items[0];
        int64_t references_count = references->kind == MG_LIST ? references->count : 1;
        mg_str said = pairs[i]->items[1].string;
        if (kind == MG_TEXT_TER) {
            mg_status status =
                add_ter(references, references_count, said, metric->statistics[i], err);
            if (status != MG_OK) {
                mg_text_metric_destroy(metric);
                return status;
            }
        } else if (kind == MG_TEXT_BLEU) {
            add_bleu(references, references_count, said, metric->statistics[i]);
        } else {
            add_chrf(kind, references, references_count, said, metric->statistics[i]);
        }
    }
    *metric_out = metric;
    return MG_OK;
}

void mg_text_metric_destroy(mg_text_metric *metric)
{
    if (metric != NULL) {
        mg_free(metric->statistics);
        mg_free(metric);
    }
}

static double bleu_score(const double *sum)
{
    const double *matches = sum + 2;
    const double *totals = sum + 2 + BLEU_ORDER;
    double smooth = 1;
    double logs = 0;
    bool any = false;
    for (int n = 0; n < BLEU_ORDER; n++) {
        any = any || matches[n] > 0;
    }
    if (!any) {
        return 0;
    }
    for (int n = 0; n < BLEU_ORDER; n++) {
        if (totals[n] == 0) {
            return 0; /* an order without n-grams: its precision is 0 */
        }
        smooth *= matches[n] == 0 ? 2 : 1;
        logs += log(matches[n] == 0 ? 100 / (smooth * totals[n]) : 100 * matches[n] / totals[n]);
    }
    double penalty = sum[0] < sum[1] ? exp(1 - sum[1] / sum[0]) : 1;
    return penalty * exp(logs / BLEU_ORDER);
}

double mg_text_metric_value(const mg_text_metric *metric, const int32_t *draw)
{
    double sum[STATISTICS_MAX] = { 0 };
    for (int64_t i = 0; i < metric->count; i++) {
        const double *row = metric->statistics[draw != NULL ? draw[i] : i];
        for (int k = 0; k < STATISTICS_MAX; k++) {
            sum[k] += row[k];
        }
    }
    switch (metric->kind) {
    case MG_TEXT_BLEU:
        return bleu_score(sum);
    case MG_TEXT_TER:
        return ter_score(sum);
    default:
        return chrf_score(sum, chrf_orders(metric->kind));
    }
}
