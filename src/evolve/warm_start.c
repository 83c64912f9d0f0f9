/* evolve/warm_start.c - see warm_start.h. */
#include "evolve/warm_start.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "evolve/stage.h"
#include "optim/warm.h"
#include "store/run.h"

#define KEY "warm_start"

/* The first line in which two lists of genes differ. */
static mg_status compare_genes(const char *folder, mg_str theirs, mg_str ours, mg_error *err)
{
    mg_str line_theirs = { 0 };
    mg_str line_ours = { 0 };
    for (;;) {
        bool more_theirs = mg_str_split(&theirs, '\n', &line_theirs);
        bool more_ours = mg_str_split(&ours, '\n', &line_ours);
        if (!more_theirs && !more_ours) {
            return MG_OK;
        }
        if (more_theirs != more_ours || !mg_str_equal(line_theirs, line_ours)) {
            return mg_fail(err, MG_ERR_CONFIG,
                           "'warm_start': the run in %s has other genes: '%.*s' where this search "
                           "has '%.*s'",
                           folder, MG_STR_ARG(more_theirs ? line_theirs : mg_str_of("nothing")),
                           MG_STR_ARG(more_ours ? line_ours : mg_str_of("nothing")));
        }
    }
}

static mg_status check_genes(mg_store *earlier, const char *folder, mg_str genes, mg_error *err)
{
    mg_buf text = { 0 };
    bool found;
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(mg_store_get(earlier, "genes", &text, &found, err));
    if (!found) {
        status = mg_fail(err, MG_ERR_CONFIG,
                         "'warm_start': the run in %s does not say what its genes are", folder);
        goto done;
    }
    MG_TRY_OR_DONE(compare_genes(folder, mg_buf_view(&text), genes, err));

done:
    mg_buf_release(&text);
    return status;
}

/* The name of the questions by which that run tells its best. */
static mg_status judging_set(mg_store *earlier, mg_buf *name_out, mg_error *err)
{
    bool found;
    MG_TRY(mg_store_get(earlier, "set/name", name_out, &found, err));
    if (!found || name_out->size == 0) {
        mg_buf_clear(name_out);
        mg_buf_add_text(name_out, "search");
    }
    return MG_OK;
}

/* Index of the row with that id; rows ascend by id. */
static int64_t find_row(const mg_candidate_row *rows, int64_t count, int64_t id)
{
    int64_t low = 0;
    int64_t high = count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (rows[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < count && rows[low].id == id ? low : -1;
}

/* Whether every number of a vector is one. */
static bool finite_vector(const double *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(x[i])) {
            return false;
        }
    }
    return true;
}

static int compare_scores(const void *a, const void *b)
{
    const mg_score_row *x = a;
    const mg_score_row *y = b;
    if (x->value != y->value) {
        return x->value > y->value ? -1 : 1;
    }
    return x->candidate < y->candidate ? -1 : x->candidate > y->candidate ? 1 : 0;
}

/* Adds the vectors of the best tenth, best first, equal ones in the order of their ids. */
static mg_status add_best(mg_store *earlier, const char *folder, int64_t dimension, mg_buf *out,
                          mg_error *err)
{
    mg_arena arena = { 0 };
    mg_buf set = { 0 };
    mg_candidate_row *rows;
    mg_score_row *scores;
    int64_t row_count;
    int64_t score_count;
    int64_t usable = 0;
    int64_t end_id; /* of the first stage: the vectors of later ones mean something else */
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(mg_stage_first_id(earlier, 1, &end_id, err));
    MG_TRY_OR_DONE(judging_set(earlier, &set, err));
    MG_TRY_OR_DONE(mg_run_candidates(earlier, &arena, &rows, &row_count, err));
    MG_TRY_OR_DONE(mg_run_scores(earlier, set.data, &arena, &scores, &score_count, err));
    for (int64_t i = 0; i < score_count; i++) { /* the usable ones move to the front */
        int64_t row = find_row(rows, row_count, scores[i].candidate);
        bool fits = scores[i].task == -1 && row >= 0 && !rows[row].failed &&
                    (end_id == 0 || rows[row].id < end_id) && rows[row].genome_count == dimension &&
                    isfinite(scores[i].value) && finite_vector(rows[row].genome, dimension);
        if (!fits) {
            continue;
        }
        scores[usable++] = scores[i];
    }
    qsort(scores, (size_t)usable, sizeof(scores[0]), compare_scores);
    if (usable == 0) {
        status =
            mg_fail(err, MG_ERR_CONFIG, "'warm_start': the run in %s has no scored merge", folder);
        goto done;
    }
    for (int64_t i = 0; i < MG_MAX(1, llround(ceil(MG_WARM_SHARE * (double)usable))); i++) {
        int64_t row = find_row(rows, row_count, scores[i].candidate);
        size_t bytes = (size_t)dimension * sizeof(double);
        mg_buf_add(out, mg_str_make((const char *)rows[row].genome, bytes));
    }

done:
    mg_buf_release(&set);
    mg_arena_release(&arena);
    return status;
}

static mg_status read_folder(mg_str name, mg_str genes, int64_t dimension, mg_buf *out,
                             mg_error *err)
{
    mg_store *earlier = NULL;
    mg_status status = MG_OK;
    char *folder = mg_str_dup(name);
    status = mg_store_open_reader(folder, &earlier, err);
    if (status != MG_OK) {
        mg_error_prefix(err, "'warm_start'");
        goto done;
    }
    MG_TRY_OR_DONE(check_genes(earlier, folder, genes, err));
    MG_TRY_OR_DONE(add_best(earlier, folder, dimension, out, err));

done:
    mg_store_close(earlier);
    mg_free(folder);
    return status;
}

mg_status mg_warm_start_read(mg_store *store, const mg_str *folders, int64_t folder_count,
                             mg_str genes, int64_t dimension, mg_arena *arena,
                             const double **points_out, int64_t *count_out, mg_error *err)
{
    mg_buf points = { 0 };
    bool found;
    size_t vector = (size_t)dimension * sizeof(double);
    mg_status status = MG_OK;
    *points_out = NULL;
    *count_out = 0;
    if (folder_count == 0) {
        return MG_OK;
    }
    MG_TRY_OR_DONE(mg_store_get(store, KEY, &points, &found, err));
    for (int64_t f = 0; !found && f < folder_count; f++) {
        MG_TRY_OR_DONE(read_folder(folders[f], genes, dimension, &points, err));
    }
    if (!found) {
        MG_TRY_OR_DONE(mg_store_put(store, KEY, mg_buf_view(&points), err));
    }
    if (points.size == 0 || points.size % vector != 0) {
        status = mg_fail(err, MG_ERR_FORMAT, "run.db: the points of the warm start are damaged");
        goto done;
    }
    double *copy = mg_arena_array(arena, double, (int64_t)(points.size / sizeof(double)));
    memcpy(copy, points.data, points.size);
    *points_out = copy;
    *count_out = (int64_t)(points.size / vector);

done:
    mg_buf_release(&points);
    return status;
}
