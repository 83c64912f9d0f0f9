/* eval/fewshot.c - which examples each row gets: Python's random.sample over a Mersenne Twister
 * that is seeded once a task and consumed in row order (tasks.md 8). */
#include "base/memory.h"
#include "base/rng.h"
#include "eval/task_internal.h"

#include <inttypes.h>

static int64_t below(mg_mt19937 *mt, int64_t end)
{
    int bits = 0;
    while ((end >> bits) > 0) {
        bits++;
    }
    while (true) {
        int64_t value = (int64_t)(mg_mt19937_word(mt) >> (32 - bits));
        if (value < end) {
            return value;
        }
    }
}

/* random.sample(range(count), wanted) */
static void draw_sample(mg_mt19937 *mt, int64_t count, int64_t wanted, int32_t *out)
{
    int64_t limit = 21;
    if (wanted > 5) {
        int64_t power = 1;
        while (power < 3 * wanted) { /* 4^ceil(log4(3k)) */
            power *= 4;
        }
        limit += power;
    }
    if (count <= limit) {
        int32_t *pool = mg_new_array(int32_t, count > 0 ? count : 1);
        for (int64_t i = 0; i < count; i++) {
            pool[i] = (int32_t)i;
        }
        for (int64_t i = 0; i < wanted; i++) {
            int64_t j = below(mt, count - i);
            out[i] = pool[j];
            pool[j] = pool[count - i - 1];
        }
        mg_free(pool);
        return;
    }
    for (int64_t i = 0; i < wanted; i++) {
        bool repeated = true;
        while (repeated) {
            out[i] = (int32_t)below(mt, count);
            repeated = false;
            for (int64_t k = 0; k < i; k++) {
                repeated = repeated || out[k] == out[i];
            }
        }
    }
}

/* Keeps the indexes whose rows differ from row, at most wanted of them. */
static int64_t drop_row(const mg_task *task, const mg_value *row, int32_t *indexes, int64_t count,
                        int64_t wanted)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < count && kept < wanted; i++) {
        if (!mg_value_equal(task->pool_rows[indexes[i]], row)) {
            indexes[kept++] = indexes[i];
        }
    }
    return kept;
}

/* A pool of rows that all differ from row, when equal rows have used up the spare one. */
static mg_status sample_others(mg_task *task, mg_mt19937 *mt, const mg_value *row, int32_t *out,
                               mg_error *err)
{
    int64_t wanted = task->fewshot.count;
    int32_t *others = mg_new_array(int32_t, task->pool_count + 1);
    int32_t *drawn = mg_new_array(int32_t, wanted + 1);
    for (int64_t i = 0; i < task->pool_count; i++) {
        others[i] = (int32_t)i;
    }
    int64_t count = drop_row(task, row, others, task->pool_count, task->pool_count);
    mg_status status = MG_OK;
    if (count < wanted) {
        status = mg_fail(err, MG_ERR_CONFIG,
                         "%" PRId64 " examples wanted, but only %" PRId64 " other rows are there",
                         wanted, count);
    } else {
        draw_sample(mt, count, wanted, drawn);
        for (int64_t i = 0; i < wanted; i++) {
            out[i] = others[drawn[i]];
        }
    }
    mg_free(others);
    mg_free(drawn);
    return status;
}

static mg_status choose_by_sample(mg_task *task, const mg_value *const *rows, mg_error *err)
{
    mg_status status = MG_OK;
    int64_t wanted = task->fewshot.count;
    int64_t drawn = wanted + (task->fewshot.excludes_row ? 1 : 0);
    if (drawn > task->pool_count) {
        return mg_fail(err, MG_ERR_CONFIG,
                       "%" PRId64 " examples wanted, but only %" PRId64 " rows to take them from",
                       drawn, task->pool_count);
    }
    mg_mt19937 mt;
    uint32_t key[2] = { (uint32_t)task->options.fewshot_seed,
                        (uint32_t)(task->options.fewshot_seed >> 32) };
    mg_mt19937_seed_array(&mt, key, key[1] != 0 ? 2 : 1);
    int32_t *indexes = mg_new_array(int32_t, drawn + 1);
    for (int64_t i = 0; i < task->item_count && status == MG_OK; i++) {
        int32_t *out = task->shots + i * wanted;
        draw_sample(&mt, task->pool_count, drawn, indexes);
        int64_t kept = wanted;
        if (task->fewshot.excludes_row) {
            kept = drop_row(task, rows[i], indexes, drawn, wanted);
        }
        if (kept < wanted) {
            status = sample_others(task, &mt, rows[i], out, err);
        } else {
            memcpy(out, indexes, (size_t)wanted * sizeof(int32_t));
        }
    }
    mg_free(indexes);
    return status;
}

static mg_status choose_first(mg_task *task, const mg_value *const *rows, mg_error *err)
{
    int64_t wanted = task->fewshot.count;
    for (int64_t i = 0; i < task->item_count; i++) {
        int64_t kept = 0;
        for (int64_t k = 0; k < task->pool_count && kept < wanted; k++) {
            if (!task->fewshot.excludes_row || !mg_value_equal(task->pool_rows[k], rows[i])) {
                task->shots[i * wanted + kept++] = (int32_t)k;
            }
        }
        if (kept < wanted) {
            return mg_fail(err, MG_ERR_CONFIG,
                           "%" PRId64 " examples wanted, but only %" PRId64 " rows are there",
                           wanted, kept);
        }
    }
    return MG_OK;
}

/* A sampler class of the user: the worker gives rows, which are found again in the pool. */
static mg_status choose_by_class(mg_task *task, const mg_value *const *rows, mg_error *err)
{
    mg_status status = MG_OK;
    mg_arena arena = { 0 };
    mg_value members = mg_value_of_map(&arena, 4);
    mg_value pool = mg_value_of_list(&arena, task->pool_count);
    mg_value docs = mg_value_of_list(&arena, task->item_count);
    mg_value chosen;
    for (int64_t i = 0; i < task->pool_count; i++) {
        pool.items[i] = *task->pool_rows[i];
    }
    for (int64_t i = 0; i < task->item_count; i++) {
        docs.items[i] = task->fewshot.excludes_row ? *rows[i] : mg_value_null;
    }
    const char *keys[] = { "pool", "docs", "count", "seed" };
    const mg_value values[] = { pool, docs, mg_value_of_int(task->fewshot.count),
                                mg_value_of_int((int64_t)task->options.fewshot_seed) };
    for (int i = 0; i < 4; i++) {
        members.entries[i].key = mg_value_of_str(&arena, mg_str_of(keys[i]));
        members.entries[i].value = values[i];
    }
    MG_TRY_OR_DONE(mg_python_request(task->python, "sample", &task->fewshot.sampler_class, &members,
                                     &arena, &chosen, err));
    for (int64_t i = 0; i < task->item_count; i++) {
        const mg_value *row =
            chosen.kind == MG_LIST && i < chosen.count ? &chosen.items[i] : &mg_value_null;
        for (int64_t n = 0; n < task->fewshot.count; n++) {
            int64_t found = -1;
            for (int64_t k = 0;
                 row->kind == MG_LIST && n < row->count && k < task->pool_count && found < 0; k++) {
                found = mg_value_equal(&row->items[n], task->pool_rows[k]) ? k : -1;
            }
            if (found < 0) {
                status = mg_fail(err, MG_ERR_USER_CODE,
                                 "%.*s: gave no example %" PRId64 " from the pool for row "
                                 "%" PRId64,
                                 MG_STR_ARG(mg_function_place(&task->fewshot.sampler_class)), n, i);
                goto done;
            }
            task->shots[i * task->fewshot.count + n] = (int32_t)found;
        }
    }

done:
    mg_arena_release(&arena);
    return status;
}

mg_status mg_fewshot_choose(mg_task *task, const mg_value *const *rows, mg_error *err)
{
    mg_status status = MG_OK;
    task->shots = mg_arena_array(&task->arena, int32_t, task->item_count * task->fewshot.count + 1);
    if (task->fewshot.count == 0) {
        return MG_OK;
    }
    if (task->pool_count > INT32_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "too many rows to take examples from");
    }
    if (task->fewshot.sampler_class.file.size > 0) {
        status = choose_by_class(task, rows, err);
    } else if (mg_str_is(task->fewshot.sampler, "first_n")) {
        status = choose_first(task, rows, err);
    } else {
        status = choose_by_sample(task, rows, err);
    }
    if (status != MG_OK) {
        mg_error_prefix(err, "task '%.*s': num_fewshot", MG_STR_ARG(task->name));
    }
    return status;
}
