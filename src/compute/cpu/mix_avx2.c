/* compute/cpu/mix_avx2.c - the kernels of merging for AVX2, FMA and F16C. */
#include "compute/cpu/mix_vec_avx2.inc"
#include "compute/cpu/mix_kernels.inc"
