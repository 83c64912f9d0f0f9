/* merge/vocabulary_rows.c - embeddings put into the order of the output's tokens
 * (merging.md 5.4, 5.5).
 *
 * A model that has a token keeps its row.  Where one lacks it, or the configuration forces it, a
 * fallback row stands in: what the configuration names, the only model's that has the token, the
 * base's, or the mean of all that have it. */
#include "base/log.h"
#include "base/memory.h"
#include "merge/vocabulary.h"

/* Tokens of one task. */
#define ROWS_BLOCK 256

typedef struct rows_task {
    const mg_vocabulary *vocabulary;
    const mg_vocabulary_input *inputs;
    int64_t input_count;
    int64_t base;
    int64_t columns;
    mg_dtype work;
} rows_task;

static float rounded(const rows_task *t, float x)
{
    return (t->work == MG_BF16  ? mg_bf16_to_f32(mg_bf16_from_f32(x))
            : t->work == MG_F16 ? mg_f16_to_f32(mg_f16_from_f32(x))
                                : x);
}

static int32_t own_row(const rows_task *t, int64_t input, int64_t id)
{
    return t->vocabulary->own[t->inputs[input].model][id];
}

static mg_token_rule rule_of(const rows_task *t, int64_t id)
{
    mg_token_rule automatic = { MG_ROW_AUTOMATIC, false, 0, 0 };
    return t->vocabulary->rules != NULL ? t->vocabulary->rules[id] : automatic;
}

static int64_t input_of_model(const rows_task *t, int64_t model)
{
    for (int64_t i = 0; i < t->input_count; i++) {
        if (t->inputs[i].model == model) {
            return i;
        }
    }
    return -1;
}

static void load_row(const rows_task *t, int64_t input, int64_t row, float *out)
{
    const mg_vocabulary_input *from = &t->inputs[input];
    size_t element = (size_t)(mg_dtype_bits(from->dtype) / 8);
    mg_dtype_convert(out, MG_F32, (const char *)from->data + (size_t)(row * t->columns) * element,
                     from->dtype, t->columns);
    for (int64_t c = 0; c < t->columns && t->work != from->dtype; c++) {
        out[c] = rounded(t, out[c]);
    }
}

/* The mean of the rows of those that have the token, rounded at each step. */
static void average_row(const rows_task *t, int64_t id, float *scratch, float *out)
{
    float count = 0.0f;
    memset(out, 0, (size_t)t->columns * sizeof(float));
    for (int64_t i = 0; i < t->input_count; i++) {
        if (own_row(t, i, id) < 0) {
            continue;
        }
        load_row(t, i, own_row(t, i, id), scratch);
        for (int64_t c = 0; c < t->columns; c++) {
            out[c] = rounded(t, out[c] + scratch[c]);
        }
        count += 1.0f;
    }
    for (int64_t c = 0; c < t->columns; c++) {
        out[c] = rounded(t, out[c] / count);
    }
}

static void fallback_row(const rows_task *t, int64_t id, float *scratch, float *out)
{
    mg_token_rule rule = rule_of(t, id);
    int64_t having = 0;
    int64_t last = -1;
    for (int64_t i = 0; i < t->input_count; i++) {
        if (own_row(t, i, id) >= 0) {
            having++;
            last = i;
        }
    }
    switch (rule.source) {
    case MG_ROW_ZERO:
        memset(out, 0, (size_t)t->columns * sizeof(float));
        return;
    case MG_ROW_SAME_TOKEN:
        last = input_of_model(t, rule.model);
        load_row(t, last, own_row(t, last, id), out);
        return;
    case MG_ROW_NUMBER:
        load_row(t, input_of_model(t, rule.model), rule.row, out);
        return;
    case MG_ROW_AUTOMATIC:
        break;
    }
    if (having == 0) {
        memset(out, 0, (size_t)t->columns * sizeof(float));
    } else if (having == 1) {
        load_row(t, last, own_row(t, last, id), out);
    } else if (t->base >= 0 && own_row(t, t->base, id) >= 0) {
        load_row(t, t->base, own_row(t, t->base, id), out);
    } else {
        average_row(t, id, scratch, out);
    }
}

/* Whether any input takes the fallback row of a token. */
static bool needs_fallback(const rows_task *t, int64_t id)
{
    bool needed = rule_of(t, id).force;
    for (int64_t i = 0; i < t->input_count && !needed; i++) {
        needed = own_row(t, i, id) < 0;
    }
    return needed;
}

typedef struct rows_run {
    rows_task t;
    float *scratch; /* two rows for each worker */
} rows_run;

static void fill_block(void *context, int64_t block, int worker)
{
    const rows_run *run = (const rows_run *)context;
    const rows_task *t = &run->t;
    float *fallback = run->scratch + (int64_t)worker * 2 * t->columns;
    int64_t end = MG_MIN(t->vocabulary->token_count, (block + 1) * ROWS_BLOCK);
    for (int64_t id = block * ROWS_BLOCK; id < end; id++) {
        bool force = rule_of(t, id).force;
        if (needs_fallback(t, id)) {
            fallback_row(t, id, fallback + t->columns, fallback);
        }
        for (int64_t i = 0; i < t->input_count; i++) {
            float *out = t->inputs[i].out + id * t->columns;
            if (own_row(t, i, id) >= 0 && !force) {
                load_row(t, i, own_row(t, i, id), out);
            } else {
                memcpy(out, fallback, (size_t)t->columns * sizeof(float));
            }
        }
    }
}

/* Rows behind the tokens are the mean of all real ones. */
static void pad_rows(const rows_task *t, const mg_vocabulary_input *input)
{
    int64_t tokens = t->vocabulary->token_count;
    for (int64_t c = 0; c < t->columns && t->vocabulary->row_count > tokens; c++) {
        double sum = 0.0;
        for (int64_t id = 0; id < tokens; id++) {
            sum += (double)input->out[id * t->columns + c];
        }
        float mean = rounded(t, (float)(sum / (double)tokens));
        for (int64_t id = tokens; id < t->vocabulary->row_count; id++) {
            input->out[id * t->columns + c] = mean;
        }
    }
}

static mg_status check_token(const rows_task *t, int64_t id, mg_error *err)
{
    mg_token_rule rule = rule_of(t, id);
    mg_str text = t->vocabulary->texts[id];
    for (int64_t i = 0; i < t->input_count; i++) {
        if (own_row(t, i, id) >= t->inputs[i].rows) {
            return mg_fail(err, MG_ERR_FORMAT, "token '%.*s' is row %d, of %lld rows",
                           MG_STR_ARG(text), own_row(t, i, id), (long long)t->inputs[i].rows);
        }
    }
    bool named = rule.source == MG_ROW_SAME_TOKEN || rule.source == MG_ROW_NUMBER;
    if (!named || !needs_fallback(t, id)) {
        return MG_OK;
    }
    int64_t input = input_of_model(t, rule.model);
    if (input < 0) {
        return mg_fail(err, MG_ERR_CONFIG, "the model that token '%.*s' comes from lacks it",
                       MG_STR_ARG(text));
    }
    if (rule.source == MG_ROW_SAME_TOKEN ? own_row(t, input, id) < 0
                                         : rule.row < 0 || rule.row >= t->inputs[input].rows) {
        return mg_fail(err, MG_ERR_CONFIG, "token '%.*s' is not in the model it should come from",
                       MG_STR_ARG(text));
    }
    return MG_OK;
}

mg_status mg_vocabulary_check(const mg_vocabulary *vocabulary, const mg_vocabulary_input *inputs,
                              int64_t input_count, mg_error *err)
{
    rows_task t = { vocabulary, inputs, input_count, -1, 0, MG_F32 };
    for (int64_t id = 0; id < vocabulary->token_count; id++) {
        MG_TRY(check_token(&t, id, err));
    }
    return MG_OK;
}

mg_status mg_vocabulary_apply(const mg_vocabulary *vocabulary, const mg_vocabulary_input *inputs,
                              int64_t input_count, int64_t base, int64_t columns, mg_dtype work,
                              mg_pool *pool, mg_error *err)
{
    rows_run run = { { vocabulary, inputs, input_count, base, columns, work }, NULL };
    MG_TRY(mg_vocabulary_check(vocabulary, inputs, input_count, err));
    int workers = pool != NULL ? mg_pool_threads(pool) : 1;
    void *scratch;
    MG_TRY(mg_memory_try((size_t)workers * 2 * (size_t)columns * sizeof(float), "rows of tokens",
                         &scratch, err));
    run.scratch = (float *)scratch;
    mg_pool_run(pool, (vocabulary->token_count + ROWS_BLOCK - 1) / ROWS_BLOCK, fill_block, &run);
    for (int64_t i = 0; i < input_count; i++) {
        pad_rows(&run.t, &inputs[i]);
    }
    mg_free_aligned(scratch);
    return MG_OK;
}
