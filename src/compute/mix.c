/* compute/mix.c - numbers that every backend of ops_mix.h needs on the host.
 *
 * torch's float32 sum over a contiguous row (one thread): elements form rows of 8 lanes, four rows
 * are in flight, and each of these runs a cascade of four accumulators, where a group of 2^p sums
 * moves up one level when it is full.  Elements behind the last whole row are added in order,
 * first. For 16-bit tensors a row is 16 elements, whose halves are added pairwise on loading. */
#include "compute/mix_internal.h"

#include <math.h>

#include "compute/ops_mix.h"

/* Sums of at least this many elements are shared among torch's threads, with at least this many
 * for each (at::internal::GRAIN_SIZE). */
#define TORCH_GRAIN 32768

double mg_mix_round(double x, mg_dtype dtype)
{
    switch (dtype) {
    case MG_F64:
        return x;
    case MG_BF16:
        return (double)mg_bf16_to_f32(mg_bf16_from_f32((float)x));
    case MG_F16:
        return (double)mg_f16_to_f32(mg_f16_from_f32((float)x));
    default:
        MG_ASSERT(dtype == MG_F32);
        return (double)(float)x;
    }
}

bool mg_mix_counter_below(double density, uint32_t *below_out)
{
    double below = ceil(density * 0x1p16 - 0.5);
    *below_out = below <= 0.0 ? 0 : below >= 0x1p16 ? 0xffff : (uint32_t)below;
    return below < 0x1p16;
}

bool mg_mix_counter_keeps(mg_philox_key key, uint32_t tensor, uint32_t source, uint32_t below,
                          int64_t element)
{
    uint64_t e = (uint64_t)element;
    uint64_t block = e / 64 * 8 + e % 32 / 4;
    uint32_t counter[4] = { (uint32_t)block, (uint32_t)(block >> 32), tensor, source };
    uint32_t words[4];
    mg_philox(key, counter, words);
    return (words[e % 64 / 32 * 2 + e % 4 / 2] >> (e % 2 * 16) & 0xffff) < below;
}

int mg_mix_cascade_power(int64_t row_count)
{
    int log2 = 1;
    while (log2 < 62 && ((int64_t)1 << log2) < row_count) {
        log2++;
    }
    return MG_MAX(4, log2 / 4);
}

void mg_mix_cascade_add(mg_mix_cascade *cascade, const float row[MG_MIX_ROW])
{
    for (int i = 0; i < MG_MIX_ROW; i++) {
        cascade->level[0][i] += row[i];
    }
    cascade->count++;
    int64_t mask = ((int64_t)1 << cascade->power) - 1;
    if ((cascade->count & mask) != 0) {
        return;
    }
    for (int j = 1; j < MG_MIX_CASCADE_LEVELS; j++) {
        for (int i = 0; i < MG_MIX_ROW; i++) {
            cascade->level[j][i] += cascade->level[j - 1][i];
            cascade->level[j - 1][i] = 0.0f;
        }
        if ((cascade->count & (mask << (j * cascade->power))) != 0) {
            return;
        }
    }
}

void mg_mix_cascade_end(mg_mix_cascade *cascade)
{
    for (int j = 1; j < MG_MIX_CASCADE_LEVELS; j++) {
        for (int i = 0; i < MG_MIX_ROW; i++) {
            cascade->level[0][i] += cascade->level[j][i];
        }
    }
}

float mg_mix_cascade_finish(mg_mix_cascade *cascade, const float *rest, int64_t rest_count,
                            bool half)
{
    const int64_t step = half ? 16 : 8;
    mg_mix_cascade_end(cascade);
    float *sums = cascade->level[0]; /* 4 rows of 8 lanes */
    int64_t at = 0;
    for (; at + step <= rest_count; at += step) {
        for (int lane = 0; lane < 8; lane++) {
            sums[lane] += half ? rest[at + lane] + rest[at + lane + 8] : rest[at + lane];
        }
    }
    for (int row = 1; row < 4; row++) {
        for (int lane = 0; lane < 8; lane++) {
            sums[lane] += sums[row * 8 + lane];
        }
    }
    float total = 0.0f;
    for (; at < rest_count; at++) {
        total += rest[at];
    }
    for (int lane = 0; lane < 8; lane++) {
        total += sums[lane];
    }
    return total;
}

/* Rows shorter than a vector: four scalars in flight instead. */
static float short_sum(const float *values, int64_t count)
{
    float sums[4] = { 0.0f, 0.0f, 0.0f, 0.0f };
    int64_t whole = count / 4;
    for (int64_t i = 0; i < whole * 4; i++) {
        sums[i % 4] += values[i];
    }
    for (int64_t i = whole * 4; i < count; i++) {
        sums[0] += values[i];
    }
    return sums[0] + sums[1] + sums[2] + sums[3];
}

float mg_mix_torch_sum(const float *values, int64_t count, bool half)
{
    const int64_t step = half ? 16 : 8;
    if (count < step) {
        return short_sum(values, count);
    }
    int64_t rows = count / (4 * step);
    mg_mix_cascade cascade;
    memset(&cascade, 0, sizeof(cascade));
    cascade.power = mg_mix_cascade_power(rows);
    for (int64_t r = 0; r < rows; r++) {
        const float *from = values + r * 4 * step;
        float row[MG_MIX_ROW];
        for (int i = 0; i < MG_MIX_ROW; i++) {
            const float *vector = from + (i / 8) * step;
            row[i] = half ? vector[i % 8] + vector[i % 8 + 8] : vector[i % 8];
        }
        mg_mix_cascade_add(&cascade, row);
    }
    int64_t done = rows * 4 * step;
    return mg_mix_cascade_finish(&cascade, values + done, count - done, half);
}

/* The cascade of one lane. */
static float strided_sum(const float *values, int64_t stride, int64_t count)
{
    const int power = mg_mix_cascade_power(count);
    const int64_t mask = ((int64_t)1 << power) - 1;
    float levels[MG_MIX_CASCADE_LEVELS] = { 0.0f };
    for (int64_t i = 0; i < count; i++) {
        levels[0] += values[i * stride];
        int64_t done = i + 1;
        for (int j = 1; j < MG_MIX_CASCADE_LEVELS && (done & mask << (j - 1) * power) == 0; j++) {
            levels[j] += levels[j - 1];
            levels[j - 1] = 0.0f;
        }
    }
    for (int j = 1; j < MG_MIX_CASCADE_LEVELS; j++) {
        levels[0] += levels[j];
    }
    return levels[0];
}

float mg_mix_column_sum(const float *values, int64_t stride, int64_t count, bool tail)
{
    if (!tail) {
        return strided_sum(values, stride, count);
    }
    float sums[4];
    for (int k = 0; k < 4; k++) {
        sums[k] = strided_sum(values + k * stride, 4 * stride, count / 4);
    }
    for (int64_t i = count / 4 * 4; i < count; i++) {
        sums[0] += values[i * stride];
    }
    return sums[0] + sums[1] + sums[2] + sums[3];
}

float mg_mix_model_sum(const float *values, int64_t count, bool tail)
{
    return mg_mix_column_sum(values, 1, count, tail);
}

int mg_mix_torch_parts(int64_t count, int threads, int64_t *part_out)
{
    int64_t used = MG_MIN(threads, (count + TORCH_GRAIN - 1) / TORCH_GRAIN);
    if (count < TORCH_GRAIN || used < 2) {
        *part_out = count;
        return 1;
    }
    *part_out = (count + used - 1) / used;
    return (int)((count + *part_out - 1) / *part_out);
}

float mg_mix_torch_join(const float *parts, int part_count, mg_dtype dtype, int threads)
{
    float all[MG_MIX_TORCH_THREADS_MAX] = { 0.0f };
    if (part_count == 1) {
        return parts[0];
    }
    MG_ASSERT(part_count <= threads && threads <= MG_MIX_TORCH_THREADS_MAX);
    memcpy(all, parts, (size_t)part_count * sizeof(float));
    return (float)mg_mix_round((double)mg_mix_torch_sum(all, threads, dtype != MG_F32), dtype);
}

float mg_mix_torch_total(const float *values, int64_t count, mg_dtype dtype, int threads)
{
    float parts[MG_MIX_TORCH_THREADS_MAX];
    int64_t part;
    int part_count = mg_mix_torch_parts(count, threads, &part);
    for (int i = 0; i < part_count; i++) {
        int64_t n = MG_MIN(part, count - i * part);
        double sum = (double)mg_mix_torch_sum(values + i * part, n, dtype != MG_F32);
        parts[i] = (float)mg_mix_round(sum, dtype);
    }
    return mg_mix_torch_join(parts, part_count, dtype, threads);
}

float mg_mix_angle_norm(const float *norms, int64_t count)
{
    float lanes[8] = { 0.0f };
    int64_t whole = count / 8 * 8;
    for (int64_t i = 0; i < whole; i += 8) {
        for (int lane = 0; lane < 8; lane++) {
            lanes[lane] += norms[i + lane] * norms[i + lane];
        }
    }
    for (int lane = 1; lane < 8; lane++) {
        lanes[0] += lanes[lane];
    }
    for (int64_t i = whole; i < count; i++) {
        lanes[0] = fmaf(norms[i], norms[i], lanes[0]);
    }
    return sqrtf(lanes[0]);
}

double mg_mix_angle_cosine(const float *sums, int64_t count)
{
    double cosine = (double)mg_mix_torch_sum(sums, count, false);
    return cosine > 1.0 ? 1.0 : cosine < -1.0 ? -1.0 : cosine;
}
