/* compute/cpu/mix_avx512.c - the kernels of merging for AVX-512. */
#include "compute/cpu/mix_vec_avx512.inc"
#include "compute/cpu/mix_kernels.inc"
