/* model/model_internal.h - how a model, its cache and the memory of a pass are laid out. */
#pragma once

#include "base/map.h"
#include "compute/ops_nn.h"
#include "model/arch_internal.h"
#include "model/kv_blocks_internal.h"
#include "model/model.h"
#include "model/rope_internal.h"

MG_BEGIN_C

/* A packed matrix that several tensors may fill. */
typedef struct mg_matrix {
    mg_weight weight;
    int64_t filled; /* rows given since the last refill began */
} mg_matrix;

typedef struct mg_vector {
    float *data; /* device memory; NULL = the model has no such part */
    int64_t count;
    int64_t filled; /* values given since the last refill began */
} mg_vector;

typedef enum mg_matrix_id {
    MG_MATRIX_QKV,     /* (A*D + 2*K*D, H): q | k | v */
    MG_MATRIX_OUT,     /* (H, A*D) */
    MG_MATRIX_GATE_UP, /* (2*I, H): gate | up; (I, H) without a gate */
    MG_MATRIX_DOWN,    /* (H, I) */
    MG_MATRIX_ROUTER,  /* (X, H) */
    MG_MATRIX_COUNT
} mg_matrix_id;

typedef enum mg_vector_id {
    MG_VECTOR_ATTENTION_NORM,
    MG_VECTOR_ATTENTION_NORM_BIAS,
    MG_VECTOR_AFTER_ATTENTION_NORM,
    MG_VECTOR_MLP_NORM,
    MG_VECTOR_MLP_NORM_BIAS,
    MG_VECTOR_AFTER_MLP_NORM,
    MG_VECTOR_Q_NORM,
    MG_VECTOR_K_NORM,
    MG_VECTOR_QKV_BIAS,
    MG_VECTOR_OUT_BIAS,
    MG_VECTOR_GATE_UP_BIAS,
    MG_VECTOR_DOWN_BIAS,
    MG_VECTOR_COUNT
} mg_vector_id;

typedef struct mg_layer {
    mg_matrix matrices[MG_MATRIX_COUNT];
    mg_vector vectors[MG_VECTOR_COUNT];
    mg_matrix *expert_gate_up; /* expert_count of (2*I, H); NULL in dense models */
    mg_matrix *expert_down;    /* expert_count of (H, I) */
} mg_layer;

/* The sink's side of a model (weights.c). */
typedef struct mg_model_filler {
    mg_sink base;
    mg_model *model;
    mg_stream *stream;
    mg_tensor_slot *slots; /* every tensor the model takes */
    int64_t slot_count;
    mg_map by_name;
    mg_view spec;            /* of the reserved tensor */
    mg_tensor_slot *current; /* of the reserved tensor; NULL = one that is not needed */
    void *staging;           /* host memory handed out by reserve */
    size_t staging_bytes;
    void *device_staging; /* where the device cannot read host memory */
    size_t device_staging_bytes;
    bool on_device;            /* the reserved tensor lies in device memory, at spec.data */
    bool in_place;             /* and there in the weight itself */
    mg_stream *writer;         /* who writes the reserved tensor: its order is kept */
    int64_t *nonfinite;        /* device memory for one count */
    float *scratch;            /* host: the longest vector, twice */
    const mg_tensor_slot *bad; /* the first tensor with a value that is not finite */
    int64_t bad_count;
    bool unknown_noted;
} mg_model_filler;

struct mg_model {
    const mg_device *device;
    const mg_nn_ops *ops;
    const mg_arch *arch;
    mg_dtype dtype;
    mg_model_config config; /* numbers only: strings and trees are cleared */
    mg_arena arena;
    mg_matrix embedding;
    mg_matrix head; /* empty when tied */
    mg_vector final_norm;
    mg_vector final_norm_bias;
    mg_layer *layers;
    bool borrows;        /* a path: all device memory belongs to other models */
    float *hop_scales;   /* a path: factor in front of each layer; NULL = none */
    float *hop_epsilons; /* a path: of the norms in each layer, then of the final norm */
    mg_rope_plan rope;
    mg_rope_plan rope_local;
    int64_t rotary_dim;
    mg_nn_activation activation;
    float embedding_scale;
    float attention_scale;
    size_t bytes;
    mg_model_filler filler;
};

/* int32 numbers of a pass for each of its rows (forward.c). */
#define MG_PASS_INTS 13

/* The memory of a pass of up to tokens_cap rows. */
typedef struct mg_workspace {
    int64_t tokens_cap;
    float *x;         /* (tokens, H): the residual stream */
    float *x_out;     /* (tokens, H): its rows that get logits, in the last layer */
    float *normed;    /* (tokens, H) */
    float *qkv;       /* (tokens, A*D + 2*K*D) */
    float *heads;     /* (tokens, A*D): what attention gives */
    float *heads_out; /* (tokens, A*D): its rows that get logits */
    float *mlp;       /* (tokens, 2*I) or (tokens, I) */
    int32_t *host_ints;
    int32_t *ints;       /* the same on the device; host_ints itself where that is host memory */
    int64_t step_rows;   /* of the last pass where that was a step, filled up; else 0 */
    int32_t *next_index; /* device (MG_NEXT_ROWS_MAX) */
    float *turn_cos;     /* (tokens, R/2): dynamic rope only */
    float *turn_sin;
    float *host_turns; /* host side of both */
    struct mg_expert_space *experts;
    size_t bytes;
} mg_workspace;

struct mg_kv_cache {
    const mg_model *model;
    uint64_t serial; /* no other cache has it: what was recorded for one is not run for another */
    int64_t slots;
    int64_t positions; /* of a slot at most */
    bool in_blocks;
    mg_kv_blocks blocks; /* in_blocks only, as are the tables */
    int32_t *table;      /* the device's copy */
    mg_kv *layers;       /* layer_count */
    size_t bytes;
    mg_rope_table rope;
    mg_rope_table rope_local;
    mg_workspace space;
};

/* Gives the model's matrices and vectors their shapes and memory. */
MG_MUST_CHECK mg_status mg_model_allocate(mg_model *model, mg_error *err);
void mg_model_release_weights(mg_model *model);
MG_MUST_CHECK mg_status mg_filler_init(mg_model *model, mg_error *err);
void mg_filler_release(mg_model_filler *filler);

/* Whether passes may have rows without a text, which want a slot of their own. */
static inline bool mg_model_fills_up(const mg_model *model)
{
    return model->device->sequence_begin != NULL || model->ops->next != NULL;
}

/* Brings the device's table up to date: in front of a pass. */
MG_MUST_CHECK mg_status mg_kv_cache_publish(mg_kv_cache *cache, mg_stream *stream, mg_error *err);

MG_MUST_CHECK mg_status mg_workspace_init(mg_workspace *space, const mg_model *model,
                                          int64_t tokens_cap, mg_error *err);
void mg_workspace_release(mg_workspace *space, const mg_model *model);

/* MG_ERR_MEMORY, with both numbers, when bytes is more than is free: said before the memory is
 * touched, since later the system would end the process instead. */
MG_MUST_CHECK mg_status mg_model_check_memory(const mg_device *device, size_t bytes,
                                              const char *what, mg_error *err);

/* out = a * b * 4 bytes of device memory; counts them in *bytes. */
MG_MUST_CHECK mg_status mg_alloc_floats(const mg_device *device, int64_t a, int64_t b,
                                        const char *what, float **out, size_t *bytes,
                                        mg_error *err);

/* Whether a pass of so many rows leaves its dealing of rows to experts to the device alone. */
bool mg_experts_stay_on_device(const mg_model *model, int64_t rows);
/* The experts' memory of a pass, and the block itself: x += sum of weight * expert(normed). */
typedef struct mg_expert_space mg_expert_space;
MG_MUST_CHECK mg_status mg_expert_space_create(const mg_model *model, int64_t tokens_cap,
                                               mg_expert_space **space_out, size_t *bytes,
                                               mg_error *err);
void mg_expert_space_destroy(mg_expert_space *space); /* NULL is fine */
MG_MUST_CHECK mg_status mg_experts_forward(const mg_model *model, const mg_layer *layer,
                                           mg_expert_space *space, float *x, const float *normed,
                                           int64_t rows, mg_stream *stream, mg_error *err);

MG_END_C
