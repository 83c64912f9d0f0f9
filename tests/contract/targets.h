/* tests/contract/targets.h - the CPU's devices, on which operations of merging must have one result.
 */
#pragma once

#include "support.h"

#include "base/pool.h"
#include "compute/device.h"

#define TARGETS_MAX 6

typedef struct target {
    const char *name;
    const mg_device *device;
    mg_stream *stream;
} target;

/* ref first; the others are compared with it. */
static target targets[TARGETS_MAX];
static int64_t target_count;
static mg_pool *pool;

static void add_target(const char *name, const mg_device *device, mg_pool *threads)
{
    mg_error err;
    target *t = &targets[target_count++];
    t->name = name;
    t->device = device;
    assert_ok(device->stream_create(device, threads, &t->stream, &err), &err);
}

static int set_up(void **state)
{
    (void)state;
    pool = mg_pool_create(3);
    add_target("ref", mg_device_ref(), NULL);
    if (mg_isa_best() >= MG_ISA_AVX2) {
        add_target("avx2", mg_device_cpu(MG_ISA_AVX2), NULL);
        add_target("avx2, threads", mg_device_cpu(MG_ISA_AVX2), pool);
    }
    if (mg_isa_best() >= MG_ISA_AVX512) {
        add_target("avx512", mg_device_cpu(MG_ISA_AVX512), NULL);
        add_target("avx512, threads", mg_device_cpu(MG_ISA_AVX512), pool);
    }
    if (mg_isa_best() >= MG_ISA_AVX512_BF16) {
        add_target("avx512_bf16", mg_device_cpu(MG_ISA_AVX512_BF16), NULL);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int64_t i = 0; i < target_count; i++) {
        targets[i].device->stream_destroy(targets[i].stream);
    }
    mg_pool_destroy(pool);
    return 0;
}
