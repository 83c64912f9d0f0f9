/* compute/cpu/kernels_avx2.c - the kernels compiled for AVX2 and FMA. */
#include "compute/cpu/vec_avx2.inc"

#include "compute/cpu/lanes_math.inc"

#include "compute/cpu/linear_tile.inc"
#include "compute/cpu/nn_rows.inc"

#include "compute/cpu/attention_tile.inc"

#define KERNELS_ISA MG_ISA_AVX2
#include "compute/cpu/kernels_table.inc"
