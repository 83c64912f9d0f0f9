/* evolve/report_text.c - a report as a table with sentences, as Markdown and as JSON. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "evolve/report.h"
#include "text/json.h"

/* "mini-ja" for "examples/mini/models/mini-ja"; names for merges. */
static mg_str row_name(const mg_report *report, const mg_report_row *row, mg_arena *arena)
{
    bool winner = report->winner_index >= 0 && row == &report->rows[report->winner_index];
    if (mg_str_is(row->kind, "source")) {
        return mg_path_name(arena, mg_arena_copy(arena, row->label).data);
    }
    if (mg_str_is(row->kind, "default")) {
        mg_str name = row->label.size > 0 ? row->label : mg_str_of("default merge");
        return winner ? mg_arena_printf(arena, "%.*s (winner)", MG_STR_ARG(name)) : name;
    }
    if (mg_str_is(row->kind, "start")) {
        return mg_str_of(winner ? "start point (winner)" : "start point");
    }
    if (!winner && row->label.size > 0) { /* the result of one of several stages */
        return mg_arena_printf(arena, "%.*s (%.*s %lld)", MG_STR_ARG(row->label),
                               MG_STR_ARG(row->kind), (long long)row->id);
    }
    const char *what = winner ? (report->finished ? "winner" : "best so far") : "finalist";
    return mg_arena_printf(arena, "%s (%.*s %lld)", what, MG_STR_ARG(row->kind),
                           (long long)row->id);
}

static void add_score(mg_buf *out, const mg_report_score *score, bool interval)
{
    if (!score->known) {
        mg_buf_add_text(out, "-");
    } else if (interval) {
        mg_buf_printf(out, "%.1f [%.1f, %.1f]", 100.0 * score->value, 100.0 * score->interval.low,
                      100.0 * score->interval.high);
    } else {
        mg_buf_printf(out, "%.1f", 100.0 * score->value);
    }
}

/* One cell, padded; markdown sets bars between. */
static void add_cell(mg_buf *out, mg_str text, int width, bool markdown)
{
    if (markdown) {
        mg_buf_printf(out, "| %.*s ", MG_STR_ARG(text));
    } else {
        mg_buf_printf(out, "%-*.*s  ", width, MG_STR_ARG(text));
    }
}

enum { COLUMNS = 4, SEARCH_OFFSET = offsetof(mg_report_row, search) };

/* Of a column: those of the first row that has a score there. */
static int64_t items_of(const mg_report *report, size_t offset)
{
    for (int64_t i = 0; i < report->row_count; i++) {
        const char *row = (const char *)&report->rows[i];
        const mg_report_score *score = (const mg_report_score *)(const void *)(row + offset);
        if (score->known) {
            return score->items;
        }
    }
    return 0;
}

static void add_row(const mg_report *report, const mg_report_row *row, int name_width,
                    bool markdown, mg_buf *out)
{
    mg_arena arena = { 0 };
    mg_buf cell = { 0 };
    add_cell(out, row_name(report, row, &arena), name_width, markdown);
    if (row->failed) {
        mg_buf_printf(out, "%sfailed: %.*s", markdown ? "| " : "", MG_STR_ARG(row->note));
    } else {
        add_score(&cell, &row->search, false);
        if (row->search.known && row->search.items != items_of(report, SEARCH_OFFSET)) {
            mg_buf_printf(&cell, " on %lld", (long long)row->search.items); /* of a later stage */
        }
        add_cell(out, mg_buf_view(&cell), 7, markdown);
        mg_buf_clear(&cell);
        if (row->raced > 0) {
            mg_buf_printf(&cell, "out after %lld", (long long)row->raced);
        } else {
            add_score(&cell, &row->held_out, true);
        }
        add_cell(out, mg_buf_view(&cell), 19, markdown);
        mg_buf_clear(&cell);
        add_score(&cell, &row->test, true);
        if (markdown) {
            add_cell(out, mg_buf_view(&cell), 0, true);
        } else {
            mg_buf_add(out, mg_buf_view(&cell));
        }
    }
    mg_buf_add_text(out, markdown ? "|\n" : "\n");
    mg_buf_release(&cell);
    mg_arena_release(&arena);
}

static void add_table(const mg_report *report, bool verbose, bool markdown, mg_buf *out)
{
    mg_arena arena = { 0 };
    int name_width = 12;
    for (int64_t i = 0; i < report->row_count; i++) {
        int size = (int)row_name(report, &report->rows[i], &arena).size;
        name_width = MG_MAX(name_width, size);
    }
    const size_t offsets[] = { offsetof(mg_report_row, search), offsetof(mg_report_row, held_out),
                               offsetof(mg_report_row, test) };
    const char *const titles[] = { "search", "held-out, 95 %",
                                   report->test_is_report ? "report, 95 %" : "test, 95 %" };
    const int widths[] = { 7, 19, 0 };
    add_cell(out, mg_str_of("score in %"), name_width, markdown);
    for (int c = 0; c + 1 < COLUMNS; c++) {
        add_cell(out, mg_str_of(titles[c]), widths[c], markdown);
    }
    mg_buf_add_text(out, markdown ? "|\n| --- | --- | --- | --- |\n" : "\n");
    add_cell(out, mg_str_of("questions"), name_width, markdown);
    for (int c = 0; c + 1 < COLUMNS; c++) {
        int64_t items = items_of(report, offsets[c]);
        mg_str text =
            items > 0 ? mg_arena_printf(&arena, "%lld", (long long)items) : mg_str_of("-");
        add_cell(out, text, widths[c], markdown);
    }
    mg_buf_add_text(out, markdown ? "|\n" : "\n");
    for (int64_t i = 0; i < report->row_count; i++) {
        add_row(report, &report->rows[i], name_width, markdown, out);
    }
    for (int64_t i = 0; verbose && i < report->finalist_count; i++) {
        bool shown = report->winner_index >= 0 &&
                     report->finalists[i].id == report->rows[report->winner_index].id;
        if (!shown) {
            add_row(report, &report->finalists[i], name_width, markdown, out);
        }
    }
    mg_arena_release(&arena);
}

static void add_pair(const mg_report_pair *pair, const char *subject, mg_buf *out)
{
    mg_arena arena = { 0 };
    mg_str other = pair->other;
    if (!mg_str_starts(other, "the ")) {
        other = mg_path_name(&arena, mg_arena_copy(&arena, other).data);
    }
    mg_buf_printf(out, "%s %s %.*s: %+.1f points on %lld %.*s questions", subject,
                  pair->better ? "is better than" : "is NOT shown to be better than",
                  MG_STR_ARG(other), 100.0 * pair->difference, (long long)pair->items,
                  MG_STR_ARG(pair->set));
    mg_buf_printf(out, " [%.1f, %.1f]", 100.0 * pair->interval.low, 100.0 * pair->interval.high);
    if (pair->binary) {
        mg_buf_printf(out, "; %lld right that it misses, %lld the other way round, p = %.2g",
                      (long long)pair->only_winner, (long long)pair->only_other, pair->p);
    }
    if (mg_str_is(pair->set, "search")) {
        mg_buf_add_text(out, " (it was chosen by these questions, which flatters it)");
    } else if (pair->chosen_by) {
        mg_buf_add_text(out, " (it was chosen by these questions too, which flatters it a little)");
    }
    mg_buf_add_text(out, ".\n");
    mg_arena_release(&arena);
}

/* Where no question is left outside the search: how much of the score may be luck. */
static void add_optimism(const mg_report *report, mg_buf *out)
{
    if (!isnan(report->expected_optimism)) {
        const mg_report_row *winner = &report->rows[report->winner_index];
        mg_buf_printf(out,
                      "No questions are held out: the best of 1,000 candidates measured on %lld "
                      "questions owes about %.0f points to luck (20 questions: 36, 100: 15, 200: "
                      "10, 1,069: 3). Add a block 'validate' or 'test'.\n",
                      (long long)winner->search.items, 100.0 * report->expected_optimism);
    }
    if (!isnan(report->half_out)) {
        mg_buf_printf(out,
                      "Chosen on half of its questions and scored on the other half, the best of "
                      "%lld merges reaches %.1f (leave-half-out, mean of 100 choices).\n",
                      (long long)report->half_out_candidates, 100.0 * report->half_out);
    }
}

/* Whether a longer polish would pay. */
static void add_spread(const mg_report *report, mg_buf *out)
{
    if (!report->finished || report->spread_finalists < 2) {
        return;
    }
    bool differ = report->spread_p < 0.05;
    mg_buf_printf(out,
                  "The %lld polished finalists %s on %lld questions (chi-square %.1f, p = "
                  "%.2g)%s.\n",
                  (long long)report->spread_finalists,
                  differ ? "differ by more than chance" : "differ no more than chance allows",
                  (long long)report->spread_items, report->spread, report->spread_p,
                  differ ? ": a longer polish would pay" : "");
}

static void add_sentences(const mg_report *report, mg_buf *out)
{
    if (report->winner_index < 0) {
        mg_buf_add_text(out, "No merge has been evaluated yet.\n");
        return;
    }
    const char *subject = report->finished ? "The winner" : "The best merge so far";
    char stage_subject[96];
    if (report->against_source.known) {
        add_pair(&report->against_source, subject, out);
        if (report->finished && !report->against_source.better) {
            mg_buf_add_text(out,
                            "The search has found nothing that is surely better than the best "
                            "source; use the source, or give the search more questions or a larger "
                            "budget.\n");
        }
    }
    if (report->against_default.known) {
        add_pair(&report->against_default, subject, out);
    }
    for (int64_t k = 1; k < report->stage_count; k++) {
        const mg_report_stage *stage = &report->stages[k];
        if (stage->against_before.known) {
            snprintf(stage_subject, sizeof(stage_subject), "The winner of %.*s",
                     MG_STR_ARG(stage->title));
            add_pair(&stage->against_before, stage_subject, out);
            mg_buf_add_text(out,
                            stage->against_before.better ? "" : "The recipes of both are kept.\n");
        }
    }
    if (!isnan(report->optimism)) {
        mg_buf_printf(out, "Its score on the questions of the search is %.1f points %s that.\n",
                      100.0 * fabs(report->optimism), report->optimism < 0.0 ? "below" : "above");
    }
    if (report->finished && report->thin) {
        mg_buf_add_text(out, "There are few questions outside the search: differences of several "
                             "points may be chance.\n");
    }
    add_optimism(report, out);
    add_spread(report, out);
}

static void add_counts(const mg_report *report, mg_buf *out)
{
    mg_buf_printf(out, "%lld candidates", (long long)report->candidates);
    if (report->failed > 0) {
        mg_buf_printf(out, " (%lld failed)", (long long)report->failed);
    }
    mg_buf_printf(out, ", %lld questions answered, %.1f s", (long long)report->questions,
                  report->seconds);
    if (report->seconds > 0.0) {
        mg_buf_printf(out, ", %.0f questions a second",
                      (double)report->questions / report->seconds);
    }
    mg_buf_add_text(out, "\n");
}

/* What passed between candidates that were evaluated one after the other. */
static void add_pauses(const mg_report *report, mg_buf *out)
{
    double pauses = report->seconds - report->work_seconds;
    if (report->finished && pauses >= 0.0 && report->evaluations > 0) {
        mg_buf_printf(out, "%.1f s of that in %lld evaluations, %.1f ms around each\n",
                      report->work_seconds, (long long)report->evaluations,
                      pauses * 1e3 / (double)report->evaluations);
    }
}

void mg_report_text(const mg_report *report, bool verbose, mg_buf *out)
{
    add_table(report, verbose, false, out);
    mg_buf_add_char(out, '\n');
    add_sentences(report, out);
    add_counts(report, out);
    if (verbose) {
        add_pauses(report, out);
    }
    mg_front_text(&report->front, false, out);
}

void mg_report_markdown(const mg_report *report, mg_buf *out)
{
    mg_buf_add_text(out,
                    report->finished ? "# Result of the search\n\n" : "# Search under way\n\n");
    add_table(report, true, true, out);
    mg_buf_add_char(out, '\n');
    add_sentences(report, out);
    mg_buf_add_char(out, '\n');
    add_counts(report, out);
    mg_front_text(&report->front, true, out);
}

static void add_json_number(mg_buf *out, double value)
{
    if (isfinite(value)) {
        mg_buf_add_double(out, value);
    } else {
        mg_buf_add_text(out, "null");
    }
}

static void add_json_score(mg_buf *out, const char *name, const mg_report_score *score)
{
    mg_buf_printf(out, ", \"%s\": ", name);
    if (!score->known) {
        mg_buf_add_text(out, "null");
        return;
    }
    mg_buf_add_text(out, "{\"score\": ");
    add_json_number(out, score->value);
    mg_buf_add_text(out, ", \"low\": ");
    add_json_number(out, score->interval.low);
    mg_buf_add_text(out, ", \"high\": ");
    add_json_number(out, score->interval.high);
    mg_buf_printf(out, ", \"questions\": %lld}", (long long)score->items);
}

static void add_json_rows(mg_buf *out, const char *name, const mg_report_row *rows, int64_t count)
{
    mg_buf_printf(out, ", \"%s\": [", name);
    for (int64_t i = 0; i < count; i++) {
        mg_buf_printf(out, "%s{\"id\": %lld, \"kind\": ", i > 0 ? ", " : "", (long long)rows[i].id);
        mg_json_write_str(out, rows[i].kind, false);
        mg_buf_add_text(out, ", \"label\": ");
        mg_json_write_str(out, rows[i].label, false);
        mg_buf_printf(out, ", \"failed\": %s", rows[i].failed ? "true" : "false");
        add_json_score(out, "search", &rows[i].search);
        add_json_score(out, "held_out", &rows[i].held_out);
        add_json_score(out, "test", &rows[i].test);
        mg_buf_printf(out, ", \"out_after\": %lld", (long long)rows[i].raced);
        mg_buf_add_char(out, '}');
    }
    mg_buf_add_char(out, ']');
}

static void add_json_pair(mg_buf *out, const char *name, const mg_report_pair *pair)
{
    mg_buf_printf(out, ", \"%s\": ", name);
    if (!pair->known) {
        mg_buf_add_text(out, "null");
        return;
    }
    mg_buf_add_text(out, "{\"other\": ");
    mg_json_write_str(out, pair->other, false);
    mg_buf_add_text(out, ", \"set\": ");
    mg_json_write_str(out, pair->set, false);
    mg_buf_printf(out, ", \"questions\": %lld, \"difference\": ", (long long)pair->items);
    add_json_number(out, pair->difference);
    mg_buf_printf(out, ", \"only_winner\": %lld, \"only_other\": %lld, \"p\": ",
                  (long long)pair->only_winner, (long long)pair->only_other);
    add_json_number(out, pair->p);
    mg_buf_add_text(out, ", \"low\": ");
    add_json_number(out, pair->interval.low);
    mg_buf_add_text(out, ", \"high\": ");
    add_json_number(out, pair->interval.high);
    mg_buf_printf(out, ", \"better\": %s}", pair->better ? "true" : "false");
}

static void add_json_stages(const mg_report *report, mg_buf *out)
{
    mg_buf_add_text(out, ", \"stages\": [");
    for (int64_t k = 0; k < report->stage_count; k++) {
        const mg_report_stage *stage = &report->stages[k];
        mg_buf_printf(out, "%s{\"title\": ", k > 0 ? ", " : "");
        mg_json_write_str(out, stage->title, false);
        mg_buf_printf(out, ", \"winner\": %lld", (long long)stage->row.id);
        add_json_pair(out, "against_before", &stage->against_before);
        mg_buf_add_char(out, '}');
    }
    mg_buf_add_char(out, ']');
}

void mg_report_json(const mg_report *report, mg_buf *out)
{
    mg_buf_printf(out, "{\"finished\": %s, \"winner\": ", report->finished ? "true" : "false");
    if (report->winner_index >= 0) {
        mg_buf_printf(out, "%lld", (long long)report->rows[report->winner_index].id);
    } else {
        mg_buf_add_text(out, "null");
    }
    add_json_rows(out, "rows", report->rows, report->row_count);
    add_json_rows(out, "finalists", report->finalists, report->finalist_count);
    add_json_pair(out, "against_source", &report->against_source);
    add_json_pair(out, "against_default", &report->against_default);
    add_json_stages(report, out);
    mg_buf_printf(
        out, ", \"candidates\": %lld, \"failed\": %lld, \"questions\": %lld, \"seconds\": ",
        (long long)report->candidates, (long long)report->failed, (long long)report->questions);
    add_json_number(out, report->seconds);
    mg_buf_add_text(out, ", \"optimism\": ");
    add_json_number(out, report->optimism);
    mg_buf_add_text(out, ", \"expected_optimism\": ");
    add_json_number(out, report->expected_optimism);
    mg_buf_add_text(out, ", \"leave_half_out\": ");
    add_json_number(out, report->half_out);
    mg_buf_printf(out, ", \"spread\": {\"finalists\": %lld, \"questions\": %lld, \"chi_square\": ",
                  (long long)report->spread_finalists, (long long)report->spread_items);
    add_json_number(out, report->spread);
    mg_buf_add_text(out, ", \"p\": ");
    add_json_number(out, report->spread_finalists > 0 ? report->spread_p : (double)NAN);
    mg_buf_add_text(out, "}, \"front\": ");
    mg_front_json(&report->front, out);
    mg_buf_add_text(out, "}\n");
}
