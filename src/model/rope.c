/* model/rope.c - frequencies of every rope scaling, in float32 as the reference computes them. */
#include "model/rope_internal.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"

#define MG_PI 3.14159265358979323846

/* theta^(2m/R): the plain wave of component m is its reciprocal. */
static float power_of(double theta, int64_t m, int64_t half)
{
    return powf((float)theta, (float)(2 * m) / (float)(2 * half));
}

static double value_or(double value, double fallback)
{
    return isnan(value) ? fallback : value;
}

static void scale_llama3(const mg_rope *rope, mg_rope_plan *plan)
{
    float factor = (float)rope->factor;
    float low = (float)value_or(rope->low_freq_factor, 1.0);
    float high = (float)value_or(rope->high_freq_factor, 4.0);
    float original = (float)rope->original_max_position;
    for (int64_t m = 0; m < plan->half; m++) {
        float f = plan->frequencies[m];
        float wavelength = (float)(2.0 * MG_PI) / f;
        if (wavelength > original / low) {
            plan->frequencies[m] = f / factor;
        } else if (wavelength >= original / high) {
            float smooth = (original / wavelength - low) / (high - low);
            plan->frequencies[m] = (1.0f - smooth) * f / factor + smooth * f;
        }
    }
}

/* The component whose wave turns `turns` times within the base length. */
static double yarn_component(double turns, double theta, int64_t half, double base_length)
{
    return 2.0 * (double)half * log(base_length / (turns * 2.0 * MG_PI)) / (2.0 * log(theta));
}

static double yarn_magnitude(double factor, double mscale)
{
    return factor <= 1.0 ? 1.0 : 0.1 * mscale * log(factor) + 1.0;
}

static void scale_yarn(const mg_rope *rope, int64_t max_positions, mg_rope_plan *plan)
{
    double base_length =
        (double)(rope->original_max_position > 0 ? rope->original_max_position : max_positions);
    double low =
        yarn_component(value_or(rope->beta_fast, 32.0), plan->theta, plan->half, base_length);
    double high =
        yarn_component(value_or(rope->beta_slow, 1.0), plan->theta, plan->half, base_length);
    if (rope->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0.0);
    high = fmin(high, 2.0 * (double)plan->half - 1.0);
    if (low == high) {
        high += 0.001;
    }
    for (int64_t m = 0; m < plan->half; m++) {
        float power = power_of(plan->theta, m, plan->half);
        float ramp = ((float)m - (float)low) / (float)(high - low);
        ramp = fminf(fmaxf(ramp, 0.0f), 1.0f);
        float keep = 1.0f - ramp;
        plan->frequencies[m] =
            1.0f / ((float)rope->factor * power) * (1.0f - keep) + 1.0f / power * keep;
    }
    double attention = rope->attention_factor;
    if (isnan(attention)) {
        bool both = !isnan(rope->mscale) && !isnan(rope->mscale_all_dim) && rope->mscale != 0.0 &&
                    rope->mscale_all_dim != 0.0;
        attention = both ? yarn_magnitude(rope->factor, rope->mscale) /
                               yarn_magnitude(rope->factor, rope->mscale_all_dim)
                         : yarn_magnitude(rope->factor, 1.0);
    }
    plan->attention_factor = (float)attention;
}

static mg_status scale_longrope(const mg_rope *rope, int64_t max_positions, mg_arena *arena,
                                mg_rope_plan *plan, mg_error *err)
{
    if (rope->factor_count != plan->half) {
        return mg_fail(
            err, MG_ERR_FORMAT,
            "rope_scaling: short_factor and long_factor have %lld entries, expected %lld",
            (long long)rope->factor_count, (long long)plan->half);
    }
    int64_t original =
        rope->original_max_position > 0 ? rope->original_max_position : max_positions;
    double factor = value_or(rope->factor, (double)max_positions / (double)original);
    plan->long_frequencies = mg_arena_array(arena, float, plan->half);
    for (int64_t m = 0; m < plan->half; m++) {
        float power = power_of(plan->theta, m, plan->half);
        plan->frequencies[m] = 1.0f / ((float)rope->short_factor[m] * power);
        plan->long_frequencies[m] = 1.0f / ((float)rope->long_factor[m] * power);
    }
    double attention = factor <= 1.0 ? 1.0 : sqrt(1.0 + log(factor) / log((double)original));
    plan->attention_factor = (float)value_or(rope->attention_factor, attention);
    plan->switch_length = original;
    return MG_OK;
}

mg_status mg_rope_plan_make(const mg_rope *rope, int64_t rotary_dim, int64_t max_positions,
                            mg_arena *arena, mg_rope_plan *plan_out, mg_error *err)
{
    memset(plan_out, 0, sizeof(*plan_out));
    bool needs_factor = rope->kind != MG_ROPE_DEFAULT && rope->kind != MG_ROPE_LONGROPE;
    if (rotary_dim < 2 || rotary_dim % 2 != 0) {
        return mg_fail(err, MG_ERR_FORMAT,
                       "config.json: %lld rotary components, expected an even number",
                       (long long)rotary_dim);
    }
    if (rope->kind == MG_ROPE_DYNAMIC && rotary_dim < 4) {
        return mg_fail(err, MG_ERR_FORMAT,
                       "config.json: dynamic rope_scaling needs at least 4 rotary components");
    }
    if (!(rope->theta > 0.0) || isinf(rope->theta)) {
        return mg_fail(err, MG_ERR_FORMAT, "config.json: rope_theta must be above 0");
    }
    if (needs_factor && !(rope->factor >= 1.0 && !isinf(rope->factor))) {
        return mg_fail(err, MG_ERR_FORMAT,
                       "config.json: the factor of rope_scaling must be at least 1");
    }
    mg_rope_plan *plan = plan_out;
    plan->kind = rope->kind;
    plan->half = rotary_dim / 2;
    plan->theta = rope->theta;
    plan->factor = rope->factor;
    plan->attention_factor = 1.0f;
    plan->frequencies = mg_arena_array(arena, float, plan->half);
    for (int64_t m = 0; m < plan->half; m++) {
        plan->frequencies[m] = 1.0f / power_of(plan->theta, m, plan->half);
    }
    switch (rope->kind) {
    case MG_ROPE_DEFAULT:
        break;
    case MG_ROPE_LINEAR:
        for (int64_t m = 0; m < plan->half; m++) {
            plan->frequencies[m] /= (float)rope->factor;
        }
        break;
    case MG_ROPE_DYNAMIC:
        plan->switch_length = max_positions;
        break;
    case MG_ROPE_LLAMA3:
        if (rope->original_max_position <= 0) {
            return mg_fail(err, MG_ERR_FORMAT,
                           "config.json: rope_scaling of type llama3 lacks "
                           "original_max_position_embeddings");
        }
        scale_llama3(rope, plan);
        break;
    case MG_ROPE_YARN:
        scale_yarn(rope, max_positions, plan);
        break;
    case MG_ROPE_LONGROPE:
        return scale_longrope(rope, max_positions, arena, plan, err);
    }
    return MG_OK;
}

void mg_rope_frequencies(const mg_rope_plan *plan, int64_t length, float *out)
{
    const float *from = plan->frequencies;
    if (plan->kind == MG_ROPE_LONGROPE && length > plan->switch_length) {
        from = plan->long_frequencies;
    }
    if (plan->kind != MG_ROPE_DYNAMIC || length <= plan->switch_length) {
        memcpy(out, from, (size_t)plan->half * sizeof(float));
        return;
    }
    double dim = 2.0 * (double)plan->half;
    double stretch =
        plan->factor * (double)length / (double)plan->switch_length - (plan->factor - 1.0);
    double theta = plan->theta * pow(stretch, dim / (dim - 2.0));
    for (int64_t m = 0; m < plan->half; m++) {
        out[m] = 1.0f / power_of(theta, m, plan->half);
    }
}

void mg_rope_turn(const mg_rope_plan *plan, const float *frequencies, int64_t position,
                  float *cos_out, float *sin_out)
{
    for (int64_t m = 0; m < plan->half; m++) {
        float angle = (float)position * frequencies[m];
        cos_out[m] = (float)cos((double)angle) * plan->attention_factor;
        sin_out[m] = (float)sin((double)angle) * plan->attention_factor;
    }
}

/* The rows of both tables on the host, then onto the device. */
static mg_status fill_table(mg_rope_table *table, const mg_rope_plan *plan, int64_t positions,
                            int64_t rows, const mg_device *device, mg_error *err)
{
    mg_status status = MG_OK;
    mg_stream *stream = NULL;
    void *host = NULL;
    size_t half_bytes = table->bytes / 2;
    MG_TRY_OR_DONE(mg_memory_try(table->bytes, "rotary tables", &host, err));
    float *cosines = (float *)host;
    float *sines = cosines + rows * plan->half;
    for (int64_t row = 0; row < rows; row++) {
        bool is_long = row >= positions;
        mg_rope_turn(plan, is_long ? plan->long_frequencies : plan->frequencies,
                     is_long ? row - positions : row, cosines + row * plan->half,
                     sines + row * plan->half);
    }
    MG_TRY_OR_DONE(device->stream_create(device, NULL, &stream, err));
    MG_TRY_OR_DONE(device->upload(stream, table->cosines, cosines, half_bytes, err));
    MG_TRY_OR_DONE(device->upload(stream, table->sines, sines, half_bytes, err));
    MG_TRY_OR_DONE(device->stream_wait(stream, err));

done:
    device->stream_destroy(stream);
    mg_free_aligned(host);
    return status;
}

mg_status mg_rope_table_init(mg_rope_table *table, const mg_rope_plan *plan, int64_t positions,
                             const mg_device *device, mg_error *err)
{
    memset(table, 0, sizeof(*table));
    if (plan->kind == MG_ROPE_DYNAMIC) {
        return MG_OK;
    }
    mg_status status = MG_OK;
    int64_t rows = plan->kind == MG_ROPE_LONGROPE ? 2 * positions : positions;
    size_t half_bytes = 0;
    if (!mg_size_mul((size_t)rows, (size_t)plan->half * sizeof(float), &half_bytes) ||
        !mg_size_add(half_bytes, half_bytes, &table->bytes)) {
        return mg_fail(err, MG_ERR_MEMORY, "rotary tables of %lld positions do not fit",
                       (long long)positions);
    }
    void *block = NULL;
    MG_TRY_OR_DONE(device->alloc(device, half_bytes, "rotary tables", &block, err));
    table->cosines = (float *)block;
    MG_TRY_OR_DONE(device->alloc(device, half_bytes, "rotary tables", &block, err));
    table->sines = (float *)block;
    MG_TRY_OR_DONE(fill_table(table, plan, positions, rows, device, err));

done:
    if (status != MG_OK) {
        mg_rope_table_release(table, device);
    }
    return status;
}

void mg_rope_table_release(mg_rope_table *table, const mg_device *device)
{
    device->free(device, table->cosines);
    device->free(device, table->sines);
    memset(table, 0, sizeof(*table));
}
