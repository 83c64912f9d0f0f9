/* compute/math_internal.h - the transcendental functions of the CPU backends, in scalar form.
 *
 * The definition of right: cpu/lanes_math.inc does the same steps in the same order on 16 lanes, so
 * both give the same bits.  Each step is one IEEE operation; fmaf is a fused multiply-add.
 * The coefficients are Chebyshev fits made for this file; errors are below 2 units in the last
 * place (exp) and 1.5e-7 (tanh, erf).  Thread-safety: pure functions. */
#pragma once

#include <math.h>

#include "base/compiler.h"

MG_BEGIN_C

/* e^r = 1 + r + r^2 * (E0 + E1 r + ... + E5 r^5) for |r| <= ln(2)/2. */
#define MG_EXP_E0 0.5f
#define MG_EXP_E1 0.166666672f
#define MG_EXP_E2 0.0416664630f
#define MG_EXP_E3 0.00833329797f
#define MG_EXP_E4 0.00139336768f
#define MG_EXP_E5 0.000198993191f
#define MG_LOG2E 1.44269504f
/* ln(2) in two parts: the first has trailing zeros, so that n * LN2_HIGH is exact. */
#define MG_LN2_HIGH 0.693359375f
#define MG_LN2_LOW (-2.12194440e-4f)
/* Below EXP_MIN the result rounds to 0, above EXP_MAX it overflows to infinity. */
#define MG_EXP_MIN (-104.0f)
#define MG_EXP_MAX 89.0f

/* tanh(x) = x + x z (T0 + ... + T4 z^4), z = x^2, for |x| < TANH_SMALL. */
#define MG_TANH_SMALL 0.625f
#define MG_TANH_T0 (-0.333333284f)
#define MG_TANH_T1 0.133327827f
#define MG_TANH_T2 (-0.0538524985f)
#define MG_TANH_T3 0.0210036412f
#define MG_TANH_T4 (-0.00610494800f)

/* erf(x) = x (R0 + ... + R6 z^6), z = x^2, for |x| < 1. */
#define MG_ERF_R0 1.12837911f
#define MG_ERF_R1 (-0.376126260f)
#define MG_ERF_R2 0.112835970f
#define MG_ERF_R3 (-0.0268543288f)
#define MG_ERF_R4 0.00518931216f
#define MG_ERF_R5 (-0.000801885500f)
#define MG_ERF_R6 7.88249745e-05f
/* erf(x) = 1 - exp(Q0 + ... + Q8 x^8) for 1 <= x <= ERF_MAX, from where on it is 1. */
#define MG_ERF_MAX 4.0f
#define MG_ERF_Q0 0.000303212961f
#define MG_ERF_Q1 (-1.13016665f)
#define MG_ERF_Q2 (-0.631937087f)
#define MG_ERF_Q3 (-0.109978244f)
#define MG_ERF_Q4 0.0263647176f
#define MG_ERF_Q5 (-0.00474022236f)
#define MG_ERF_Q6 0.000592769531f
#define MG_ERF_Q7 (-4.55906230e-05f)
#define MG_ERF_Q8 1.61406161e-06f

#define MG_GELU_SQRT_HALF 0.707106769f  /* sqrt(1/2) */
#define MG_GELU_TANH_SCALE 0.797884583f /* sqrt(2/pi) */
#define MG_GELU_TANH_CUBIC 0.0447149985f

/* NaN stays NaN: comparisons with it are false. */
static inline float mg_exp(float x)
{
    x = x < MG_EXP_MIN ? MG_EXP_MIN : x;
    x = x > MG_EXP_MAX ? MG_EXP_MAX : x;
    float n = rintf(x * MG_LOG2E);
    float r = fmaf(n, -MG_LN2_HIGH, x);
    r = fmaf(n, -MG_LN2_LOW, r);
    float p = fmaf(MG_EXP_E5, r, MG_EXP_E4);
    p = fmaf(p, r, MG_EXP_E3);
    p = fmaf(p, r, MG_EXP_E2);
    p = fmaf(p, r, MG_EXP_E1);
    p = fmaf(p, r, MG_EXP_E0);
    p = fmaf(p, r * r, r);
    p = p + 1.0f;
    return isnan(x) ? x : ldexpf(p, (int)n);
}

static inline float mg_tanh(float x)
{
    float a = fabsf(x);
    float z = x * x;
    float p = fmaf(MG_TANH_T4, z, MG_TANH_T3);
    p = fmaf(p, z, MG_TANH_T2);
    p = fmaf(p, z, MG_TANH_T1);
    p = fmaf(p, z, MG_TANH_T0);
    p = fmaf(p * z, x, x);
    float large = copysignf(1.0f - 2.0f / (mg_exp(a + a) + 1.0f), x);
    return a < MG_TANH_SMALL ? p : large;
}

static inline float mg_erf(float x)
{
    float a = fabsf(x);
    float z = x * x;
    float p = fmaf(MG_ERF_R6, z, MG_ERF_R5);
    p = fmaf(p, z, MG_ERF_R4);
    p = fmaf(p, z, MG_ERF_R3);
    p = fmaf(p, z, MG_ERF_R2);
    p = fmaf(p, z, MG_ERF_R1);
    p = fmaf(p, z, MG_ERF_R0);
    p = p * x;
    float b = a > MG_ERF_MAX ? MG_ERF_MAX : a;
    float q = fmaf(MG_ERF_Q8, b, MG_ERF_Q7);
    q = fmaf(q, b, MG_ERF_Q6);
    q = fmaf(q, b, MG_ERF_Q5);
    q = fmaf(q, b, MG_ERF_Q4);
    q = fmaf(q, b, MG_ERF_Q3);
    q = fmaf(q, b, MG_ERF_Q2);
    q = fmaf(q, b, MG_ERF_Q1);
    q = fmaf(q, b, MG_ERF_Q0);
    float large = copysignf(1.0f - mg_exp(q), x);
    return a < 1.0f ? p : large;
}

static inline float mg_silu(float x)
{
    return x / (1.0f + mg_exp(-x));
}

static inline float mg_gelu(float x)
{
    float half = 0.5f * x;
    return fmaf(half, mg_erf(x * MG_GELU_SQRT_HALF), half);
}

static inline float mg_gelu_tanh(float x)
{
    float cube = x * x * x;
    float u = MG_GELU_TANH_SCALE * fmaf(MG_GELU_TANH_CUBIC, cube, x);
    return x / (1.0f + mg_exp(-(u + u)));
}

MG_END_C
