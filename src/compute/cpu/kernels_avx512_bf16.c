/* compute/cpu/kernels_avx512_bf16.c - the kernels for AVX-512 with dot products of bfloat16. */
#include "compute/cpu/vec_avx512.inc"

#include "compute/cpu/lanes_math.inc"

#include "compute/cpu/linear_tile.inc"
#include "compute/cpu/nn_rows.inc"

#include "compute/cpu/attention_tile.inc"

#define KERNELS_ISA MG_ISA_AVX512_BF16
#include "compute/cpu/kernels_table.inc"
