/* compute/cuda_device.h - NVIDIA cards as devices.
 *
 * A build without CUDA has the same functions (cuda_absent.c); they say so.  A build with it links
 * the static CUDA runtime only: the driver is found when it is first asked for, cuBLASLt by dlopen.
 * Thread-safety: as compute/device.h; opening a device is locked inside. */
#pragma once

#include "base/error.h"
#include "compute/device.h"

MG_BEGIN_C

/* Working cards, 0 without driver or build; *why_out (borrowed, may be NULL) says why there is
 * none. */
int mg_cuda_count(const char **why_out);

/* Card number index as a device, opened once and kept until the program ends.  Numbers: weights and
 * caches are bfloat16 or float32, products run on tensor cores with float32 accumulation.
 * MG_ERR_DEVICE says what is missing. */
MG_MUST_CHECK mg_status mg_device_cuda(int index, const mg_device **device_out, mg_error *err);

/* Free and total bytes of the card's memory. */
MG_MUST_CHECK mg_status mg_cuda_memory(const mg_device *device, size_t *free_out, size_t *total_out,
                                       mg_error *err);

/* The card's own limits, measured: bytes read plus written per second by a large copy inside its
 * memory, and bfloat16 operations per second of a large matrix product on random data. */
MG_MUST_CHECK mg_status mg_cuda_probe(const mg_device *device, double *copy_bytes_out,
                                      double *matrix_flops_out, mg_error *err);

MG_END_C
