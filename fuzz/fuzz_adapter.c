/* fuzz/fuzz_adapter.c - any bytes as the adapter_config.json of two small LoRA pairs, which are then
 * applied. */
#include "folder.h"

#include "merge/adapter.h"
#include "tensor/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static mg_view view_of(const char *name, const float *data, int64_t rows, int64_t columns)
{
    mg_view view = { mg_str_of(name), data, (size_t)(rows * columns) * sizeof(float), MG_F32,
                     mg_shape_2d(rows, columns) };
    return view;
}

static void write_weights(void)
{
    static const float values[6] = { 1, 2, 3, 4, 5, 6 };
    const mg_view views[] = {
        view_of("base_model.model.m.q_proj.lora_A.weight", values, 2, 3),
        view_of("base_model.model.m.q_proj.lora_B.weight", values, 2, 2),
        view_of("base_model.model.m.embed_tokens.lora_embedding_A", values, 1, 2),
        view_of("base_model.model.m.embed_tokens.lora_embedding_B", values, 3, 1),
    };
    mg_error err;
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/adapter_model.safetensors", fuzz_folder);
    if (mg_safetensors_write(path, views, 4, &err) != MG_OK) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const float weight[6] = { 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f };
    if (fuzz_folder_begin()) {
        write_weights();
    }
    fuzz_folder_write("adapter_config.json", data, size);
    mg_error err;
    mg_adapter *adapter;
    if (mg_adapter_open(fuzz_folder, &adapter, &err) != MG_OK) {
        return 0;
    }
    for (int64_t i = 0; i < mg_adapter_target_count(adapter); i++) {
        const mg_adapter_target *target =
            mg_adapter_find(adapter, mg_adapter_target_name(adapter, i));
        mg_view view = view_of("w", weight, 2, 3);
        float out[6];
        if (target != NULL && target->replacement == NULL &&
            mg_adapter_check(target, &view, &err) == MG_OK) {
            (void)!mg_adapter_apply(target, &view, view.dtype, mg_device_ref(), NULL, NULL, out,
                                    &err);
        }
    }
    mg_adapter_close(adapter);
    return 0;
}
