/* compute/ref/device_ref.c - the plain C device. */
#include "compute/device.h"

#include "compute/device_internal.h"
#include "compute/mix_internal.h"

static const mg_device device_ref = {
    .name = "ref",
    .nn = &mg_nn_ops_ref,
    .mix = &mg_mix_ops_ref,
    .alloc = mg_host_alloc,
    .free = mg_host_free,
    .upload = mg_host_copy,
    .download = mg_host_copy,
    .fetch_begin = mg_host_fetch_begin,
    .fetch_end = mg_host_fetch_end,
    .stream_create = mg_host_stream_create,
    .stream_wait = mg_host_stream_wait,
    .stream_destroy = mg_host_stream_destroy,
    .host_memory = true,
};

const mg_device *mg_device_ref(void)
{
    return &device_ref;
}
