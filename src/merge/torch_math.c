/* merge/torch_math.c - see the header.
 *
 * sin and cos: x - n pi, or x - (n + 1/2) pi, in float64, then an odd polynomial of degree 13 whose
 * coefficients were fitted so that it rounds as torch does: 9.5 million results of torch.sin are as
 * many pairs of bounds on the polynomial, and a linear program finds the point inside all of them.
 * acos: pi/2 - asin(x) below 1/2, from sqrt((1 - |x|) / 2) above; every step is one float32
 * operation (no fused multiply-add), in an order found by comparing with torch.acos.
 * softmax: exponentials as SLEEF computes them (expf, error below 1 unit in the last place), summed
 * in the lanes of one vector, times the reciprocal of their sum.
 * dot: four accumulators of four lanes, as SSE code keeps them. */
#include "merge/torch_math_internal.h"

#include <math.h>
#include <string.h>

#define PI_HIGH 0x1.921fb54442d18p+1
#define PI_LOW 0x1.1a62633145c07p-53 /* pi - PI_HIGH */
#define HALF_PI_HIGH 0x1.921fb6p+0f
#define HALF_PI_LOW (-0x1.777a5cp-25f) /* pi/2 - HALF_PI_HIGH */
/* sin(x) beyond this is left to the C library. */
#define SIN_MAX 65536.0f

static double sine_polynomial(double r)
{
    double z = r * r;
    double p = 0x1.38f2d087257cap-45;
    p = p * z - 0x1.84470083d1fc0p-43;
    p = p * z + 0x1.5dbdf234ff1c0p-19;
    p = p * z - 0x1.9f6ffedb3ce30p-13;
    p = p * z + 0x1.110ed37fdad87p-7;
    p = p * z - 0x1.55554bc8335b7p-3;
    return r + r * z * p;
}

/* sin(x - shift pi), shift being 0 or -1/2. */
static float shifted_sine(float x, double shift)
{
    double n = rint((double)x / PI_HIGH + shift) - shift;
    double r = (double)x - n * PI_HIGH - n * PI_LOW;
    double y = sine_polynomial(r);
    return (float)(fmod(n + shift, 2.0) != 0.0 ? -y : y);
}

float mg_torch_sin(float x)
{
    if (!(fabsf(x) < SIN_MAX)) {
        return sinf(x);
    }
    return shifted_sine(x, 0.0);
}

float mg_torch_cos(float x)
{
    if (!(fabsf(x) < SIN_MAX)) {
        return cosf(x);
    }
    return -shifted_sine(x, -0.5);
}

/* asin(x) = x + x * series(x * x) for 0 <= x * x <= 1/4. */
static float arc_series(float z)
{
    float high = 0x1.5db80ep-5f * z + 0x1.8654d6p-6f;
    float low = 0x1.753568p-5f * z + 0x1.32f824p-4f;
    float p = high * (z * z) + low;
    return (p * z + 0x1.5555fep-3f) * z;
}

float mg_torch_acos(float x)
{
    float a = fabsf(x);
    if (!(a >= 0.5f)) {
        return HALF_PI_HIGH - (x - (HALF_PI_LOW - x * arc_series(x * x)));
    }
    if (a > 1.0f) {
        return NAN;
    }
    float z = (1.0f - a) * 0.5f;
    float root = sqrtf(z);
    float product = root * arc_series(z);
    if (z == 0.0f) {
        return x < 0.0f ? 2.0f * HALF_PI_HIGH : 0.0f;
    }
    if (x < 0.0f) {
        float rest = fmaf(-root, root, z) / (2.0f * root);
        return 2.0f * (HALF_PI_HIGH - (root + (product + (rest - HALF_PI_LOW))));
    }
    /* The root's upper half, and what is missing from it to the true root. */
    uint32_t bits;
    float upper;
    memcpy(&bits, &root, sizeof(bits));
    bits &= UINT32_C(0xfffff000);
    memcpy(&upper, &bits, sizeof(upper));
    float rest = (z - upper * upper) / (root + upper);
    return 2.0f * (upper + (product + rest));
}

/* --- Softmax ---------------------------------------------------------------------------------- */

#define EXP_MIN (-104.0f) /* e^x rounds to 0 below */
#define LN2_HIGH 0x1.62e400p-1f
#define LN2_LOW 0x1.7f7d1cp-20f
#define SOFTMAX_LANES 16

/* e^x for x <= 0. */
static float exponential(float x)
{
    if (!(x >= EXP_MIN)) {
        return x < EXP_MIN ? 0.0f : x;
    }
    float n = rintf(x * 0x1.715476p+0f);
    float r = fmaf(n, -LN2_HIGH, x);
    r = fmaf(n, -LN2_LOW, r);
    float p = fmaf(0x1.a057b4p-13f, r, 0x1.6d2d92p-10f);
    p = fmaf(p, r, 0x1.11114cp-7f);
    p = fmaf(p, r, 0x1.5554f4p-5f);
    p = fmaf(p, r, 0x1.555556p-3f);
    p = fmaf(p, r, 0.5f);
    return ldexpf(1.0f + fmaf(r * r, p, r), (int)n);
}

/* One vector's lanes take all values in turn; fewer values than lanes are added one by one. */
static float sum_in_lanes(const float *x, int64_t count)
{
    float lanes[SOFTMAX_LANES] = { 0.0f };
    for (int64_t i = 0; i < count; i++) {
        int lane = count < SOFTMAX_LANES ? 0 : (int)(i % SOFTMAX_LANES);
        lanes[lane] += x[i];
    }
    for (int half = SOFTMAX_LANES / 2; half > 0; half /= 2) {
        for (int lane = 0; lane < half; lane++) {
            lanes[lane] += lanes[lane + half];
        }
    }
    return lanes[0];
}

void mg_torch_softmax(const float *x, int64_t count, float *out)
{
    float max = -INFINITY;
    for (int64_t i = 0; i < count; i++) {
        max = x[i] > max ? x[i] : max;
    }
    for (int64_t i = 0; i < count; i++) {
        out[i] = exponential(x[i] - max);
    }
    float factor = 1.0f / sum_in_lanes(out, count);
    for (int64_t i = 0; i < count; i++) {
        out[i] *= factor;
    }
}

/* --- Dot products ----------------------------------------------------------------------------- */

#define DOT_LANES 4
#define DOT_SUMS 4
/* From this many elements on a dot product is shared among threads, about 4096 elements each. */
#define DOT_SHARED_MIN 8192
#define DOT_PART 4096
#define HALF_LANES 8
#define HALF_SUMS 8

static void multiply_add(float sums[DOT_LANES], const float *x, const float *y)
{
    for (int lane = 0; lane < DOT_LANES; lane++) {
        sums[lane] += x[lane] * y[lane];
    }
}

/* Elements in front of a multiple of 16 bytes are added by themselves. */
static float dot_part(const float *x, const float *y, int64_t count, int64_t lead)
{
    float sums[DOT_SUMS][DOT_LANES] = { { 0.0f } };
    int64_t at = 0;
    for (; at < MG_MIN(lead, count); at++) {
        sums[0][0] += x[at] * y[at];
    }
    for (; at + DOT_SUMS * DOT_LANES <= count; at += DOT_SUMS * DOT_LANES) {
        for (int k = 0; k < DOT_SUMS; k++) {
            multiply_add(sums[k], x + at + k * DOT_LANES, y + at + k * DOT_LANES);
        }
    }
    if (count - at >= 2 * DOT_LANES) {
        multiply_add(sums[0], x + at, y + at);
        multiply_add(sums[1], x + at + DOT_LANES, y + at + DOT_LANES);
        at += 2 * DOT_LANES;
    }
    if (count - at >= DOT_LANES) {
        multiply_add(sums[0], x + at, y + at);
        at += DOT_LANES;
    }
    for (; at < count; at++) {
        sums[0][0] += x[at] * y[at];
    }
    for (int k = 1; k < DOT_SUMS; k++) {
        for (int lane = 0; lane < DOT_LANES; lane++) {
            sums[0][lane] += sums[k][lane];
        }
    }
    return (sums[0][0] + sums[0][2]) + (sums[0][1] + sums[0][3]);
}

float mg_torch_dot(const float *x, const float *y, int64_t count, int threads)
{
    int64_t parts = count >= DOT_SHARED_MIN ? (count + DOT_PART - 1) / DOT_PART : 1;
    parts = MG_MAX(1, MG_MIN(parts, threads));
    float total = 0.0f;
    int64_t at = 0;
    for (int64_t i = 0; i < parts; i++) {
        int64_t n = count / parts + (i < count % parts);
        float sum = dot_part(x + at, y + at, n, (DOT_LANES - at % DOT_LANES) % DOT_LANES);
        total = i == 0 ? sum : total + sum;
        at += n;
    }
    return total;
}

static float fold_lanes(float lanes[HALF_LANES])
{
    for (int half = HALF_LANES / 2; half > 0; half /= 2) {
        for (int lane = 0; lane < half; lane++) {
            lanes[lane] += lanes[lane + half];
        }
    }
    return lanes[0];
}

/* Products of 16-bit floats are exact in float32, so it does not matter whether they are fused. */
float mg_torch_dot_half(const float *x, const float *y, int64_t count)
{
    float sums[HALF_SUMS][HALF_LANES] = { { 0.0f } };
    float rest[HALF_LANES] = { 0.0f };
    int64_t at = 0;
    for (; at + HALF_SUMS * HALF_LANES <= count; at += HALF_SUMS * HALF_LANES) {
        for (int i = 0; i < HALF_SUMS * HALF_LANES; i++) {
            sums[i / HALF_LANES][i % HALF_LANES] += x[at + i] * y[at + i];
        }
    }
    for (int half = HALF_SUMS / 2; half > 0; half /= 2) {
        for (int k = 0; k < half; k++) {
            for (int lane = 0; lane < HALF_LANES; lane++) {
                sums[k][lane] += sums[k + half][lane];
            }
        }
    }
    float total = fold_lanes(sums[0]);
    for (; at + 2 * HALF_LANES <= count; at += 2 * HALF_LANES) {
        for (int i = 0; i < 2 * HALF_LANES; i++) {
            rest[i % HALF_LANES] += x[at + i] * y[at + i];
        }
    }
    total += fold_lanes(rest);
    for (; at < count; at++) {
        total += x[at] * y[at];
    }
    return total;
}
