/* evolve/questions.c - see questions.h. */
#include "evolve/questions.h"

#include <math.h>

#include "store/run.h"

int64_t mg_questions_task_end(const mg_question *questions, int64_t count, int64_t begin)
{
    int64_t end = begin + 1;
    while (end < count && questions[end].task == questions[begin].task) {
        end++;
    }
    return end;
}

mg_status mg_questions_values(mg_store *store, int64_t candidate, const mg_question *questions,
                              int64_t count, double *values_out, mg_error *err)
{
    mg_arena arena = { 0 };
    mg_answer_row *rows; /* ascending too */
    int64_t row_count;
    mg_status status = mg_run_answers(store, candidate, &arena, &rows, &row_count, err);
    int64_t row = 0;
    for (int64_t i = 0; status == MG_OK && i < count; i++) {
        mg_question q = questions[i];
        while (row < row_count &&
               (rows[row].task < q.task || (rows[row].task == q.task && rows[row].item < q.item))) {
            row++;
        }
        bool here = row < row_count && rows[row].task == q.task && rows[row].item == q.item;
        values_out[i] = here ? rows[row].value : (double)NAN;
    }
    mg_arena_release(&arena);
    return status;
}
