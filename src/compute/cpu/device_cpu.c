/* compute/cpu/device_cpu.c - the CPU devices, one per instruction set, and the choice among them.
 */
#include "compute/device.h"

#include "compute/cpu/kernels_internal.h"
#include "compute/cpu/mix_kernels_internal.h"
#include "compute/device_internal.h"
#include "compute/mix_internal.h"

#define CPU_DEVICE(device_name, nn_ops, mix_ops, device_kernels)                                   \
    {                                                                                              \
        .device = { .name = device_name,                                                           \
                    .nn = nn_ops,                                                                  \
                    .mix = mix_ops,                                                                \
                    .alloc = mg_host_alloc,                                                        \
                    .free = mg_host_free,                                                          \
                    .upload = mg_host_copy,                                                        \
                    .download = mg_host_copy,                                                      \
                    .stream_create = mg_host_stream_create,                                        \
                    .stream_wait = mg_host_stream_wait,                                            \
                    .stream_destroy = mg_host_stream_destroy,                                      \
                    .host_memory = true },                                                         \
        .kernels = device_kernels                                                                  \
    }

/* Without fused multiply-add in hardware there is nothing to gain over ref. */
static const mg_cpu_device device_base =
    CPU_DEVICE("cpu (base)", &mg_nn_ops_ref, &mg_mix_ops_ref, NULL);
static const mg_cpu_device device_avx2 =
    CPU_DEVICE("cpu (avx2)", &mg_nn_ops_cpu, &mg_mix_ops_cpu, &mg_kernels_avx2);
static const mg_cpu_device device_avx512 =
    CPU_DEVICE("cpu (avx512)", &mg_nn_ops_cpu, &mg_mix_ops_cpu, &mg_kernels_avx512);
static const mg_cpu_device device_avx512_bf16 =
    CPU_DEVICE("cpu (avx512_bf16)", &mg_nn_ops_cpu, &mg_mix_ops_cpu, &mg_kernels_avx512_bf16);

/* The compiler's run-time check looks at CPUID and at what the operating system saves (XCR0). */
mg_isa mg_isa_best(void)
{
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    /* One CPU (Cooper Lake) has the first without the second. */
    bool bf16 = avx512 && __builtin_cpu_supports("avx512bf16") &&
                __builtin_cpu_supports("avx512vbmi2");
    return bf16 ? MG_ISA_AVX512_BF16 : avx512 ? MG_ISA_AVX512 : avx2 ? MG_ISA_AVX2 : MG_ISA_BASE;
}

const mg_device *mg_device_cpu(mg_isa isa_max)
{
    mg_isa isa = MG_MIN(isa_max, mg_isa_best());
    switch (isa) {
    case MG_ISA_AVX512_BF16:
        return &device_avx512_bf16.device;
    case MG_ISA_AVX512:
        return &device_avx512.device;
    case MG_ISA_AVX2:
        return &device_avx2.device;
    case MG_ISA_BASE:
        break;
    }
    return &device_base.device;
}

const char *mg_isa_name(mg_isa isa)
{
    switch (isa) {
    case MG_ISA_AVX512_BF16:
        return "avx512_bf16";
    case MG_ISA_AVX512:
        return "avx512";
    case MG_ISA_AVX2:
        return "avx2";
    case MG_ISA_BASE:
        break;
    }
    return "base";
}
