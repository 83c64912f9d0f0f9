/* compute/cuda_absent.c - the CUDA functions of a build without CUDA. */
#include "compute/cuda_device.h"

static const char absent[] = "this build has no CUDA backend (cmake --preset cuda builds it)";

int mg_cuda_count(const char **why_out)
{
    if (why_out != NULL) {
        *why_out = absent;
    }
    return 0;
}

mg_status mg_device_cuda(int index, const mg_device **device_out, mg_error *err)
{
    *device_out = NULL;
    return mg_fail(err, MG_ERR_DEVICE, "cuda:%d: %s", index, absent);
}

mg_status mg_cuda_memory(const mg_device *device, size_t *free_out, size_t *total_out,
                         mg_error *err)
{
    *free_out = 0;
    *total_out = 0;
    return mg_fail(err, MG_ERR_DEVICE, "%s: %s", device->name, absent);
}

mg_status mg_cuda_probe(const mg_device *device, double *copy_bytes_out, double *matrix_flops_out,
                        mg_error *err)
{
    *copy_bytes_out = 0.0;
    *matrix_flops_out = 0.0;
    return mg_fail(err, MG_ERR_DEVICE, "%s: %s", device->name, absent);
}
