/* bench/probe.h - what this machine's cores can do: multiply-adds from registers, and reading a
 * block larger than the caches.  Every figure is the best so far: other load can only slow a round
 * down, and the clock of a shared machine wanders, so programs probe between measurements too. */
#pragma once

#include "base/pool.h"
#include "compute/device.h"

#define PROBE_READ_BYTES ((size_t)256 << 20)

typedef struct probe {
    mg_pool *pool;
    mg_isa isa;
    double flops;              /* per second, all threads, float32 */
    double flops_bf16;         /* of dot products; as float32 where there are none */
    double read_bytes;         /* per second, all threads */
    float *block;              /* PROBE_READ_BYTES */
    volatile float sinks[256]; /* so that nothing is optimised away */
} probe;

/* Measures once; the end is probe_close.  Ends the program without memory or AVX2. */
void probe_open(probe *p, mg_pool *pool, mg_isa isa);
void probe_close(probe *p);
void probe_again(probe *p);
