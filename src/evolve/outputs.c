/* evolve/outputs.c - see outputs.h. */
#include "evolve/outputs.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/fs.h"
#include "base/memory.h"
#include "evolve/tensorboard.h"
#include "recipe/recipe.h"
#include "store/run.h"

static const char csv_head[] =
    "id,kind,label,generation,place,set,failed,score,questions,seconds,note\n";

struct mg_outputs {
    char *folder;
    FILE *csv;
    mg_tensorboard *board;
};

/* A field with its quotes doubled; line ends become spaces. */
static void add_csv_text(mg_buf *out, mg_str text)
{
    mg_buf_add_char(out, '"');
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '"') {
            mg_buf_add_char(out, '"');
        }
        mg_buf_add_char(out, c == '\n' || c == '\r' ? ' ' : c);
    }
    mg_buf_add_char(out, '"');
}

static void add_csv_row(mg_buf *out, const mg_loop_record *r)
{
    mg_buf_printf(out, "%lld,%s,", (long long)r->id, r->kind);
    add_csv_text(out, r->label);
    mg_buf_printf(out, ",%lld,%lld,%s,%d,", (long long)r->generation, (long long)r->place,
                  r->item_set, r->failed ? 1 : 0);
    if (isfinite(r->score)) {
        mg_buf_add_double(out, r->score);
    }
    mg_buf_printf(out, ",%lld,%.3f,", (long long)r->items, r->seconds);
    add_csv_text(out, r->note);
    mg_buf_add_char(out, '\n');
}

/* Everything the store has, so that rows of a process that died are there too. */
static mg_status known_rows(mg_store *store, mg_buf *out, mg_error *err)
{
    mg_arena arena = { 0 };
    mg_candidate_row *rows;
    mg_score_row *scores;
    int64_t row_count;
    int64_t score_count;
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(mg_run_candidates(store, &arena, &rows, &row_count, err));
    MG_TRY_OR_DONE(mg_run_scores(store, NULL, &arena, &scores, &score_count, err));
    int64_t next = 0;
    for (int64_t i = 0; i < row_count; i++) {
        const mg_candidate_row *c = &rows[i];
        mg_loop_record record = { .id = c->id,
                                  .kind = mg_arena_copy(&arena, c->kind).data,
                                  .label = c->label,
                                  .generation = c->generation,
                                  .place = c->place,
                                  .item_set = "",
                                  .failed = c->failed,
                                  .note = c->note,
                                  .score = NAN };
        if (c->failed) {
            add_csv_row(out, &record);
        }
        for (; next < score_count && scores[next].candidate <= c->id; next++) {
            if (scores[next].candidate == c->id && scores[next].task == -1) {
                record.item_set = mg_arena_copy(&arena, scores[next].item_set).data;
                record.failed = false;
                record.note = mg_str_of("");
                record.score = scores[next].value;
                record.items = scores[next].items;
                record.seconds = scores[next].seconds;
                add_csv_row(out, &record);
            }
        }
    }

done:
    mg_arena_release(&arena);
    return status;
}

static mg_status append(mg_outputs *o, mg_str text, mg_error *err)
{
    if (fwrite(text.data, 1, text.size, o->csv) != text.size || fflush(o->csv) != 0) {
        return mg_fail(err, errno == ENOSPC ? MG_ERR_SPACE : MG_ERR_IO,
                       "%s/metrics.csv: cannot be written: %s", o->folder, strerror(errno));
    }
    return MG_OK;
}

mg_status mg_outputs_open(const char *folder, mg_store *store, mg_outputs **outputs_out,
                          mg_error *err)
{
    *outputs_out = NULL;
    mg_status status = MG_OK;
    mg_arena arena = { 0 };
    mg_buf rows = { 0 };
    mg_outputs *o = mg_new(mg_outputs);
    const char *csv = mg_path_join(&arena, folder, "metrics.csv").data;
    o->folder = mg_strdup(folder);
    mg_buf_add_text(&rows, csv_head);
    MG_TRY_OR_DONE(known_rows(store, &rows, err));
    MG_TRY_OR_DONE(mg_file_write_atomic(csv, mg_buf_view(&rows), err));
    o->csv = fopen(csv, "ab");
    if (o->csv == NULL) {
        status = mg_fail(err, MG_ERR_IO, "%s: cannot be written: %s", csv, strerror(errno));
        goto done;
    }
    MG_TRY_OR_DONE(mg_tensorboard_open(mg_path_join(&arena, folder, "tb").data, (double)time(NULL),
                                       &o->board, err));
    *outputs_out = o;
    o = NULL;

done:
    mg_outputs_close(o);
    mg_buf_release(&rows);
    mg_arena_release(&arena);
    return status;
}

void mg_outputs_close(mg_outputs *outputs)
{
    if (outputs != NULL) {
        if (outputs->csv != NULL) {
            fclose(outputs->csv);
        }
        mg_tensorboard_close(outputs->board);
        mg_free(outputs->folder);
        mg_free(outputs);
    }
}

mg_status mg_outputs_recipe(const char *path, const mg_genome *genome, const double *x,
                            mg_error *err)
{
    mg_arena arena = { 0 };
    mg_buf text = { 0 };
    mg_recipe recipes[MG_GENOME_RECIPES_MAX];
    int64_t count = mg_genome_recipes(genome, x, &arena, recipes);
    mg_recipes_write(recipes, count, &text);
    mg_status status = mg_file_write_atomic(path, mg_buf_view(&text), err);
    mg_buf_release(&text);
    mg_arena_release(&arena);
    return status;
}

mg_status mg_outputs_best(mg_outputs *outputs, const mg_genome *genome, const double *x,
                          mg_error *err)
{
    mg_arena arena = { 0 };
    const char *path = mg_path_join(&arena, outputs->folder, "best_config.yaml").data;
    mg_status status = mg_outputs_recipe(path, genome, x, err);
    mg_arena_release(&arena);
    return status;
}

mg_status mg_outputs_record(mg_outputs *outputs, const mg_loop_record *record, mg_error *err)
{
    mg_buf row = { 0 };
    add_csv_row(&row, record);
    mg_status status = append(outputs, mg_buf_view(&row), err);
    mg_buf_release(&row);
    return status;
}

mg_status mg_outputs_generation(mg_outputs *outputs, const mg_loop_generation *g, mg_error *err)
{
    const mg_scalar scalars[] = {
        { "score/best_ever", g->best_ever },
        { "score/generation_best", g->best },
        { "score/generation_mean", g->mean },
        { "optimiser/sigma", g->sigma },
        { "optimiser/learning_rate", g->learning_rate },
    };
    return mg_tensorboard_add(outputs->board, (double)time(NULL), g->evaluations, scalars,
                              MG_ARRAY_COUNT(scalars), err);
}
