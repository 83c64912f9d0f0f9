/* eval/edit_rate.c - edit distance in a band around the diagonal, and greedy shifts.
 *
 * Each round takes the phrase of at most 10 words whose move gains most and counts one edit for it;
 * it ends when no move gains, or after 1,000 tried moves.  A move keeps the words before the first
 * place it touches, so its distance is computed from that row of the table on. */
#include "eval/edit_rate.h"

#include "base/memory.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define BAND 25
#define PHRASE_WORDS_MAX 10
#define SHIFT_WORDS_MAX 50
#define MOVES_MAX 1000
#define CELLS_MAX ((int64_t)1 << 27)
#define FAR (1 << 30) /* the cost of a cell outside the band */

typedef enum edit { EDIT_NONE, EDIT_INSERT, EDIT_DELETE, EDIT_KEEP, EDIT_REPLACE } edit;

typedef struct table {
    const int32_t *wanted;
    int64_t said_count, wanted_count; /* n, m */
    int32_t *words;                   /* what was said, as shifted so far */
    int32_t *costs;                   /* (n + 1, m + 1) */
    unsigned char *edits;             /* likewise */
    int32_t *scratch;                 /* two rows of costs */
    int32_t *moved;                   /* n words */
    int32_t *best_moved;
    int64_t *align;   /* for each wanted word the place in words it stands at or behind; -1 */
    bool *wanted_off; /* words that an edit touches */
    bool *said_off;
} table;

/* The move of words[start, start + length) to before place target. */
typedef struct move {
    int64_t gain, start, length, target;
} move;

/* The cells [*begin_out, *end_out) of row i that lie in the band. */
static void band_of(const table *t, int64_t i, int64_t *begin_out, int64_t *end_out)
{
    int64_t width = t->wanted_count + 1;
    double ratio = (double)t->wanted_count / (double)t->said_count;
    int64_t band = BAND < ratio / 2 ? (int64_t)ceil(ratio / 2 + BAND) : BAND;
    int64_t middle = (int64_t)floor((double)i * ratio);
    *begin_out = MG_MAX(middle - band, 0);
    *end_out = i >= t->said_count ? width : MG_MIN(width, middle + band);
}

/* One row of the table from the one above it; edits may be NULL.  Of the cells outside the band
 * those are set that this row and the next one look at. */
static void fill_row(const table *t, const int32_t *words, int64_t i, const int32_t *above,
                     int32_t *row, unsigned char *edits)
{
    int64_t begin, end, next_begin, next_end;
    band_of(t, i, &begin, &end);
    band_of(t, i + 1, &next_begin, &next_end);
    if (begin > 0) {
        row[begin - 1] = FAR;
    }
    for (int64_t j = end; j < next_end; j++) {
        row[j] = FAR;
    }
    for (int64_t j = begin; j < end; j++) {
        int32_t best = FAR;
        edit how = EDIT_NONE;
        if (j > 0) {
            bool same = words[i - 1] == t->wanted[j - 1];
            if (above[j - 1] + !same < best) {
                best = above[j - 1] + !same;
                how = same ? EDIT_KEEP : EDIT_REPLACE;
            }
        }
        if (above[j] + 1 < best) {
            best = above[j] + 1;
            how = EDIT_DELETE;
        }
        if (j > 0 && row[j - 1] + 1 < best) {
            best = row[j - 1] + 1;
            how = EDIT_INSERT;
        }
        row[j] = best;
        if (edits != NULL) {
            edits[j] = (unsigned char)how;
        }
    }
}

static void fill_table(table *t)
{
    int64_t width = t->wanted_count + 1;
    for (int64_t j = 0; j < width; j++) {
        t->costs[j] = (int32_t)j;
        t->edits[j] = EDIT_INSERT;
    }
    for (int64_t i = 1; i <= t->said_count; i++) {
        fill_row(t, t->words, i, t->costs + (i - 1) * width, t->costs + i * width,
                 t->edits + i * width);
    }
}

static int64_t table_distance(const table *t)
{
    return t->costs[(t->said_count + 1) * (t->wanted_count + 1) - 1];
}

/* The distance of moved, which equals words in its first `same` places. */
static int64_t moved_distance(const table *t, int64_t same)
{
    int64_t width = t->wanted_count + 1;
    const int32_t *above = t->costs + same * width;
    for (int64_t i = same + 1; i <= t->said_count; i++) {
        int32_t *row = t->scratch + (i % 2) * width;
        fill_row(t, t->moved, i, above, row, NULL);
        above = row;
    }
    return above[width - 1];
}

/* Where the cheapest edits put each wanted word, and which words they touch. */
static void read_alignment(table *t)
{
    int64_t i = t->said_count;
    int64_t j = t->wanted_count;
    while (i > 0 || j > 0) {
        edit how = t->edits[i * (t->wanted_count + 1) + j];
        bool off = how != EDIT_KEEP;
        MG_ASSERT(how != EDIT_NONE); /* the bands of neighbouring rows overlap */
        if (how == EDIT_INSERT) {
            t->align[--j] = i - 1;
            t->wanted_off[j] = off;
        } else if (how == EDIT_DELETE) {
            t->said_off[--i] = off;
        } else {
            t->align[--j] = --i;
            t->wanted_off[j] = off;
            t->said_off[i] = off;
        }
    }
}

static bool any(const bool *flags, int64_t begin, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (flags[begin + i]) {
            return true;
        }
    }
    return false;
}

static void perform(table *t, const move *m)
{
    size_t word = sizeof(int32_t);
    const int32_t *phrase = t->words + m->start;
    int64_t behind = m->start + m->length;
    memcpy(t->moved, t->words, (size_t)t->said_count * word);
    if (m->target < m->start) {
        memcpy(t->moved + m->target, phrase, (size_t)m->length * word);
        memcpy(t->moved + m->target + m->length, t->words + m->target,
               (size_t)(m->start - m->target) * word);
        return;
    }
    /* A target inside the phrase counts from the phrase's end. */
    int64_t end = m->target > behind ? m->target : MG_MIN(m->length + m->target, t->said_count);
    int64_t between = end - behind;
    memcpy(t->moved + m->start, t->words + behind, (size_t)between * word);
    memcpy(t->moved + m->start + between, phrase, (size_t)m->length * word);
}

/* More gain, then the longer, the earlier, the nearer the front. */
static bool is_better(const move *a, const move *b)
{
    return a->gain != b->gain       ? a->gain > b->gain
           : a->length != b->length ? a->length > b->length
           : a->start != b->start   ? a->start < b->start
                                    : a->target < b->target;
}

/* Tries the places that a phrase may go to: behind each word that the wanted phrase aligns with. */
static void try_phrase(table *t, int64_t start, int64_t wanted_start, int64_t length, move *best,
                       bool *found, int64_t *tried)
{
    int64_t previous = -1;
    for (int64_t offset = -1; offset < length; offset++) {
        int64_t at = wanted_start + offset;
        if (at >= t->wanted_count) {
            return;
        }
        move candidate = { 0, start, length, at < 0 ? 0 : t->align[at] + 1 };
        if (candidate.target == previous) {
            continue;
        }
        previous = candidate.target;
        perform(t, &candidate);
        candidate.gain = table_distance(t) - moved_distance(t, MG_MIN(start, candidate.target));
        (*tried)++;
        if (!*found || is_better(&candidate, best)) {
            *found = true;
            *best = candidate;
            memcpy(t->best_moved, t->moved, (size_t)t->said_count * sizeof(int32_t));
        }
    }
}

/* The best move of this round; best->gain 0 when there is none. */
static void find_move(table *t, move *best, int64_t *tried)
{
    bool found = false;
    *best = (move){ 0 };
    read_alignment(t);
    for (int64_t start = 0; start < t->said_count; start++) {
        int64_t first = MG_MAX(start - SHIFT_WORDS_MAX, 0);
        int64_t last = MG_MIN(start + SHIFT_WORDS_MAX, t->wanted_count - 1);
        for (int64_t w = first; w <= last; w++) {
            for (int64_t length = 1; length <= PHRASE_WORDS_MAX; length++) {
                if (start + length > t->said_count || w + length > t->wanted_count ||
                    t->words[start + length - 1] != t->wanted[w + length - 1]) {
                    break;
                }
                bool inside = start <= t->align[w] && t->align[w] < start + length;
                if (inside || !any(t->said_off, start, length) || !any(t->wanted_off, w, length)) {
                    continue;
                }
                try_phrase(t, start, w, length, best, &found, tried);
                if (*tried >= MOVES_MAX) {
                    return;
                }
            }
        }
    }
}

static mg_status make_table(table *t, const int32_t *said, mg_error *err)
{
    int64_t n = t->said_count;
    int64_t width = t->wanted_count + 1;
    size_t cells = (size_t)((n + 1) * width); /* at most CELLS_MAX */
    void *block;
    MG_TRY(mg_memory_try(cells * sizeof(int32_t), "a table of edits", &block, err));
    t->costs = (int32_t *)block;
    MG_TRY(mg_memory_try(cells, "a table of edits", &block, err));
    t->edits = (unsigned char *)block;
    t->words = mg_new_array(int32_t, n + 1);
    t->moved = mg_new_array(int32_t, n + 1);
    t->best_moved = mg_new_array(int32_t, n + 1);
    t->scratch = mg_new_array(int32_t, 2 * width);
    t->align = mg_new_array(int64_t, width);
    t->wanted_off = mg_new_array(bool, width);
    t->said_off = mg_new_array(bool, n + 1);
    memcpy(t->words, said, (size_t)n * sizeof(int32_t));
    return MG_OK;
}

static void release_table(table *t)
{
    mg_free(t->words);
    mg_free(t->moved);
    mg_free(t->best_moved);
    mg_free(t->scratch);
    mg_free_aligned(t->costs);
    mg_free_aligned(t->edits);
    mg_free(t->align);
    mg_free(t->wanted_off);
    mg_free(t->said_off);
}

static int64_t count_edits(table *t)
{
    int64_t shifts = 0;
    int64_t tried = 0;
    move best;
    fill_table(t);
    for (find_move(t, &best, &tried); tried < MOVES_MAX && best.gain > 0;
         find_move(t, &best, &tried)) {
        int32_t *words = t->words;
        t->words = t->best_moved;
        t->best_moved = words;
        shifts++;
        fill_table(t);
    }
    return shifts + table_distance(t);
}

mg_status mg_edit_count(const int32_t *said, int64_t said_count, const int32_t *wanted,
                        int64_t wanted_count, int64_t *edits_out, mg_error *err)
{
    *edits_out = MG_MAX(said_count, wanted_count);
    if (said_count == 0 || wanted_count == 0) {
        return MG_OK;
    }
    if (said_count + 1 > CELLS_MAX / (wanted_count + 1)) {
        return mg_fail(err, MG_ERR_LIMIT,
                       "texts of %" PRId64 " and %" PRId64 " words are too long for TER",
                       said_count, wanted_count);
    }
    table t = { .wanted = wanted, .said_count = said_count, .wanted_count = wanted_count };
    mg_status status = make_table(&t, said, err);
    if (status == MG_OK) {
        *edits_out = count_edits(&t);
    }
    release_table(&t);
    return status;
}
