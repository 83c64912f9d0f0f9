/* compute/formula_math.h - the steps of ops_formula.h for one element.
 *
 * One text for the host and for the card, where contraction of products and sums is off: every
 * operator is one float32 operation, so both give the same bits.  x holds the inputs step apart.
 * Thread-safety: pure functions. */
#pragma once

#include <math.h>
#include <stdbool.h>

#include "tensor/dtype.h"

/* A .cu file defines MG_FORMULA_ROUND(x, work) with the card's own instructions first. */
#ifdef __CUDACC__
#define MG_FORMULA_STEP __device__ static inline
#else
#define MG_FORMULA_STEP static inline

/* mg_bf16_from_f32 and back, without branches and calls: loops over it become vector code. */
static inline float mg_round_bf16(float x)
{
    union {
        float value;
        uint32_t bits;
    } u;
    u.value = x;
    const uint32_t rounded = u.bits + 0x7fffU + (u.bits >> 16 & 1U);
    const uint32_t quiet = u.bits | 0x00400000U;
    u.bits = ((u.bits & 0x7fffffffU) > 0x7f800000U ? quiet : rounded) & 0xffff0000U;
    return u.value;
}

#define MG_FORMULA_ROUND(x, work)                                                                  \
    ((work) == MG_BF16  ? mg_round_bf16(x)                                                         \
     : (work) == MG_F16 ? mg_f16_to_f32(mg_f16_from_f32(x))                                        \
                        : (x))
#endif

/* x rounded to work. */
MG_FORMULA_STEP float mg_formula_w(float x, mg_dtype work)
{
    return MG_FORMULA_ROUND(x, work);
}

/* merging.md 4.9 */
MG_FORMULA_STEP float mg_formula_nearswap(float base, float other, float t, mg_dtype work)
{
    float least = mg_formula_w(1e-6f, work);
    float distance = fabsf(mg_formula_w(base - other, work));
    distance = distance < least ? least : distance;
    float share = mg_formula_w(mg_formula_w(1.0f / distance, work) * t, work);
    share = share < 0.0f ? 0.0f : share > 1.0f ? 1.0f : share;
    float near = mg_formula_w(share * other, work);
    float far = mg_formula_w(mg_formula_w(1.0f - share, work) * base, work);
    return mg_formula_w(near + far, work);
}

/* merging.md 4.12: how many differences are active. */
MG_FORMULA_STEP int mg_formula_active(const float *x, int64_t step, int64_t count, float epsilon)
{
    int active = 0;
    for (int64_t k = 0; k < count; k++) {
        active += fabsf(x[k * step]) > epsilon;
    }
    return active;
}

/* raise NULL = the plain form. */
MG_FORMULA_STEP float mg_formula_ram(const float *x, int64_t step, int64_t count, float base,
                                     float epsilon, const float *raise, mg_dtype work)
{
    int active = mg_formula_active(x, step, count, epsilon);
    float sum = 0.0f;
    for (int64_t k = 0; k < count; k++) {
        float delta = x[k * step];
        if (!(fabsf(delta) > epsilon)) {
            continue;
        }
        float alone = active == 1 ? delta : 0.0f;
        float together = active > 1 ? mg_formula_w(delta / (float)active, work) : 0.0f;
        sum += raise != NULL ? alone * raise[k] + together : mg_formula_w(alone + together, work);
    }
    return raise != NULL ? base + sum : mg_formula_w(base + mg_formula_w(sum, work), work);
}

/* merging.md 4.8: t of the average, the rest of the base. */
MG_FORMULA_STEP float mg_formula_stock(const float *x, int64_t step, int64_t count, float base,
                                       float t, mg_dtype work)
{
    float sum = 0.0f;
    for (int64_t k = 0; k < count; k++) {
        sum = mg_formula_w(sum + x[k * step], work);
    }
    float average = mg_formula_w(sum / (float)count, work);
    float rest = mg_formula_w(1.0f - t, work);
    return mg_formula_w(mg_formula_w(t * average, work) + mg_formula_w(rest * base, work), work);
}

/* merging.md 4.3; colinear vectors have a sine of 1. */
MG_FORMULA_STEP float mg_formula_nuslerp(float x, float y, float a, float b, float sine,
                                         mg_dtype work)
{
    float sum = mg_formula_w(mg_formula_w(a * x, work) + mg_formula_w(b * y, work), work);
    return mg_formula_w(sum / sine, work);
}

/* merging.md 4.4: the weighted mean of unit vectors. */
MG_FORMULA_STEP float mg_formula_multi_mean(const float *x, int64_t step, int64_t count,
                                            const float *weight, mg_dtype work)
{
    float sum = 0.0f;
    for (int64_t k = 0; k < count; k++) {
        sum += mg_formula_w(x[k * step] * weight[k], work);
    }
    return mg_formula_w(sum, work);
}

MG_FORMULA_STEP float mg_formula_multi_tangent(const float *x, int64_t step, int64_t count,
                                               float mean, const float *dot, const float *weight,
                                               mg_dtype work)
{
    float sum = 0.0f;
    for (int64_t k = 0; k < count; k++) {
        float along = mg_formula_w(dot[k] * mean, work);
        float across = mg_formula_w(x[k * step] - along, work);
        sum += mg_formula_w(across * weight[k], work);
    }
    return mg_formula_w(sum, work);
}

MG_FORMULA_STEP float mg_formula_multi(float mean, float tangent, float cosine, float ratio,
                                       float length, mg_dtype work)
{
    float along = mg_formula_w(mean * cosine, work);
    float across = mg_formula_w(tangent * ratio, work);
    return mg_formula_w(mg_formula_w(along + across, work) * length, work);
}

MG_FORMULA_STEP float mg_formula_multi_plain(float x, float y, float a, float b, mg_dtype work)
{
    return mg_formula_w(mg_formula_w(x * a, work) + mg_formula_w(y * b, work), work);
}

/* merging.md 4.5 */
MG_FORMULA_STEP float mg_formula_karcher_mean(const float *x, int64_t step, int64_t count,
                                              float alpha, mg_dtype work)
{
    float sum = 0.0f;
    for (int64_t k = 0; k < count; k++) {
        sum = mg_formula_w(sum + mg_formula_w(alpha * x[k * step], work), work);
    }
    return sum;
}

/* Models whose factor is 0 are left out. */
MG_FORMULA_STEP float mg_formula_karcher_tangent(const float *x, int64_t step, int64_t count,
                                                 float mean, const float *dot, const float *factor,
                                                 mg_dtype work)
{
    float sum = 0.0f;
    for (int64_t k = 0; k < count; k++) {
        if (factor[k] != 0.0f) {
            float along = mg_formula_w(dot[k] * mean, work);
            float across = mg_formula_w(x[k * step] - along, work);
            sum = mg_formula_w(sum + mg_formula_w(factor[k] * across, work), work);
        }
    }
    return sum;
}

MG_FORMULA_STEP float mg_formula_karcher_step(float mean, float tangent, float cosine, float sine,
                                              float norm, mg_dtype work)
{
    float along = mg_formula_w(cosine * mean, work);
    float direction = mg_formula_w(tangent / norm, work);
    return mg_formula_w(along + mg_formula_w(sine * direction, work), work);
}

/* merging.md 4.7: Welford's update, as torch.var makes it. */
MG_FORMULA_STEP float mg_formula_variance(const float *x, int64_t step, int64_t count,
                                          mg_dtype work)
{
    double mean = 0.0;
    double squares = 0.0;
    for (int64_t k = 0; k < count; k++) {
        double value = (double)x[k * step];
        double from_old = value - mean;
        mean += from_old / (double)(k + 1);
        squares += from_old * (value - mean);
    }
    return mg_formula_w((float)(squares / (double)count), work);
}

#define MG_FORMULA_WEIGHT_MIN 1e-6f

MG_FORMULA_STEP float mg_formula_sce(const float *x, int64_t step, int64_t count, float base,
                                     const float *weight, mg_dtype work)
{
    float votes = 0.0f;
    float sum = 0.0f;
    float total = 0.0f;
    for (int64_t k = 0; k < count; k++) {
        votes += x[k * step];
    }
    bool positive = mg_formula_w(votes, work) >= 0.0f;
    for (int64_t k = 0; k < count; k++) {
        float delta = x[k * step];
        float kept = (positive ? delta > 0.0f : delta < 0.0f) ? weight[k] : 0.0f;
        sum += mg_formula_w(delta * kept, work);
        total += kept;
    }
    float least = mg_formula_w(MG_FORMULA_WEIGHT_MIN, work);
    total = mg_formula_w(total, work);
    total = total < least ? least : total;
    return mg_formula_w(base + mg_formula_w(mg_formula_w(sum, work) / total, work), work);
}

/* merging.md 4.10 */
MG_FORMULA_STEP float mg_formula_importance(float base, float other, float divergence,
                                            mg_dtype work)
{
    return mg_formula_w(fabsf(mg_formula_w(other - base, work)) * divergence, work);
}

/* The mask is float32, so the last sum is not rounded to work. */
MG_FORMULA_STEP float mg_formula_fusion(float base, float other, float importance, float threshold,
                                        mg_dtype work)
{
    bool taken = importance >= threshold;
    return taken ? base + mg_formula_w(other - base, work) : base;
}

/* One side's share of a row's softmax, and its term of the divergence. */
#define MG_FORMULA_SOFTMAX_FLOOR 1e-8f

MG_FORMULA_STEP float mg_formula_share(float x, float max, float sum, mg_dtype work)
{
    float share = mg_formula_w(expf(x - max) / sum, work);
    return mg_formula_w(share + MG_FORMULA_SOFTMAX_FLOOR, work);
}

MG_FORMULA_STEP float mg_formula_divergence(float p, float q, mg_dtype work)
{
    float ratio = mg_formula_w(p / q, work);
    return mg_formula_w(p * mg_formula_w((float)log((double)ratio), work), work);
}
