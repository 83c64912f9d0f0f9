/* cli/cmd_show.c - a running or finished search, from its store alone. */
#include <string.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "evolve/report.h"
#include "store/run.h"
#include "text/json.h"

#define PAGE_ROWS 1000

static const mg_option options[] = {
    { "candidates", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL,
      "List every candidate with its score on the search questions.", NULL },
};

/* One line a candidate: columns for people, an object a line with --json. */
static void print_candidate(mg_cli *cli, const mg_candidate_row *c, const mg_score_row *score)
{
    mg_buf line = { NULL, 0, 0 };
    if (mg_cli_json(cli)) {
        mg_buf_printf(&line, "{\"id\": %lld, \"kind\": ", (long long)c->id);
        mg_json_write_str(&line, c->kind, false);
        mg_buf_add_text(&line, ", \"label\": ");
        mg_json_write_str(&line, c->label, false);
        mg_buf_printf(&line, ", \"generation\": %lld, \"failed\": %s, \"note\": ",
                      (long long)c->generation, c->failed ? "true" : "false");
        mg_json_write_str(&line, c->note, false);
        mg_buf_add_text(&line, ", \"score\": ");
        if (score != NULL) {
            mg_buf_add_double(&line, score->value);
        } else {
            mg_buf_add_text(&line, "null");
        }
        mg_buf_add_text(&line, ", \"genome\": [");
        for (int64_t i = 0; i < c->genome_count; i++) {
            mg_buf_add_text(&line, i > 0 ? ", " : "");
            mg_buf_add_double(&line, c->genome[i]);
        }
        mg_buf_add_text(&line, "]}");
    } else {
        mg_buf_printf(&line, "%6lld  %-8.*s %4lld  ", (long long)c->id, MG_STR_ARG(c->kind),
                      (long long)c->generation);
        if (score != NULL) {
            mg_buf_printf(&line, "%7.4f  %lld", score->value, (long long)score->items);
        } else {
            mg_buf_add_text(&line, c->failed ? "failed  " : "-");
        }
        mg_buf_printf(&line, "  %.*s%.*s", MG_STR_ARG(c->label), MG_STR_ARG(c->note));
    }
    mg_buf_add_char(&line, '\n');
    mg_cli_put_text(cli, mg_buf_view(&line));
    mg_buf_release(&line);
}

/* On questions of the search: drawn once, or anew now and then, or held out for snapshots. */
static bool is_search_score(const mg_score_row *score)
{
    return score->task == -1 &&
           (mg_str_is(score->item_set, "search") || mg_str_starts(score->item_set, "search/") ||
            mg_str_is(score->item_set, "held_out"));
}

/* Which draw of the questions: "search" is the first, "search/12" comes behind "search/9". */
static int64_t draw_of(const mg_score_row *score)
{
    int64_t draw = 0;
    mg_str rest = score->item_set;
    mg_str name;
    return mg_str_split(&rest, '/', &name) && mg_str_to_int(rest, &draw) ? draw : 0;
}

/* The one that says more, of two scores of a candidate: on more questions, then the last draw's. */
static const mg_score_row *better_known(const mg_score_row *a, const mg_score_row *b)
{
    if (a == NULL || a->items != b->items) {
        return a == NULL || b->items > a->items ? b : a;
    }
    return draw_of(b) >= draw_of(a) ? b : a;
}

/* Page by page: a long run of many genes does not fit into memory at once. */
static mg_status print_candidates(mg_cli *cli, mg_store *store, mg_error *err)
{
    mg_arena arena = { NULL, 0, 0 };
    mg_arena page = { NULL, 0, 0 };
    mg_candidate_row *rows;
    mg_score_row *scores;
    int64_t row_count = PAGE_ROWS;
    int64_t score_count;
    int64_t next = 0;
    int64_t first = 0;
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(mg_run_scores(store, NULL, &arena, &scores, &score_count, err));
    while (row_count == PAGE_ROWS) {
        mg_arena_release(&page);
        MG_TRY_OR_DONE(
            mg_run_candidates_from(store, first, PAGE_ROWS, &page, &rows, &row_count, err));
        for (int64_t i = 0; i < row_count; i++) {
            const mg_score_row *score = NULL;
            for (; next < score_count && scores[next].candidate <= rows[i].id; next++) {
                bool mine = scores[next].candidate == rows[i].id && is_search_score(&scores[next]);
                score = mine ? better_known(score, &scores[next]) : score;
            }
            print_candidate(cli, &rows[i], score);
            first = rows[i].id + 1;
        }
    }

done:
    mg_arena_release(&page);
    mg_arena_release(&arena);
    return status;
}

static mg_status run_show(mg_cli *cli, const mg_args *args, mg_error *err)
{
    mg_store *store = NULL;
    mg_arena arena = { NULL, 0, 0 };
    mg_buf text = { NULL, 0, 0 };
    mg_report report;
    mg_status status = MG_OK;
    MG_TRY_OR_DONE(mg_store_open_reader(mg_args_operand(args, 0), &store, err));
    if (mg_args_flag(args, "candidates")) {
        MG_TRY_OR_DONE(print_candidates(cli, store, err));
        goto done;
    }
    MG_TRY_OR_DONE(mg_report_read(store, &arena, &report, err));
    if (mg_cli_json(cli)) {
        mg_report_json(&report, &text);
    } else {
        mg_report_text(&report, mg_cli_verbosity(cli) > 0, &text);
    }
    mg_cli_put_text(cli, mg_buf_view(&text));

done:
    mg_buf_release(&text);
    mg_arena_release(&arena);
    mg_store_close(store);
    return status;
}

const mg_command mg_command_show = {
    "show",
    "DIR",
    1,
    1,
    "Show a finished or running search.",
    "DIR is the --storage-path of evolve. The table holds the sources, the default merge and the "
    "best merge, with 95 % intervals; -v adds the finalists.",
    "merganser show run/",
    options,
    MG_ARRAY_COUNT(options),
    run_show,
};
