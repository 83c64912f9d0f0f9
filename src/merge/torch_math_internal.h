/* merge/torch_math_internal.h - sines, arc cosines, softmaxes and dot products with the last bit
 * that torch gives them on the CPU.
 *
 * Where the terms of a spherical interpolation cancel, a coefficient that is off by its last bit
 * shows in many bits of the result.  torch takes these functions from the vector maths of its
 * BLAS library, which rounds one result in twenty the other way, on every instruction set alike;
 * and it sums dot products in that library's order.
 * Thread-safety: pure functions. */
#pragma once

#include "compute/ops_mix.h"

MG_BEGIN_C

/* Of float32 values.  Fewer than one result in a million differs from torch's for sin and cos of at
 * most 4000, fewer than one in two thousand for acos. */
float mg_torch_sin(float x);
float mg_torch_cos(float x);
float mg_torch_acos(float x); /* NaN outside of [-1, 1] */

/* The softmax of count values, by a torch whose vectors have 16 lanes (AVX-512); out may be x. */
void mg_torch_softmax(const float *x, int64_t count, float *out);

/* torch.dot of two float32 vectors, summed by as many threads. */
float mg_torch_dot(const float *x, const float *y, int64_t count, int threads);
/* torch.dot of two vectors of 16-bit floats, given as float32; to be rounded by the caller. */
float mg_torch_dot_half(const float *x, const float *y, int64_t count);

MG_END_C
