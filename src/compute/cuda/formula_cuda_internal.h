/* compute/cuda/formula_cuda_internal.h - the table of formulas, for the device (device_cuda.cu).
 *
 * Thread-safety: immutable. */
#pragma once

#include "compute/cuda/mix_cuda_internal.h"
#include "compute/ops_formula.h"

MG_BEGIN_C

extern const mg_formula_ops mg_formula_ops_cuda;

MG_END_C
