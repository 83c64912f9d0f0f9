/* fuzz/fuzz_config.c - any bytes as config.json, and behind a NUL as generation_config.json; what can
 * be read is made into an empty model and its cache, in little memory. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fs.h"
#include "hub/config.h"
#include "model/model.h"

#define MEMORY_MAX ((size_t)4 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/mg_fuzz_config_XXXXXX";

static void remove_folder(void)
{
    MG_ASSERT(mg_folder_remove(folder, NULL) == MG_OK);
}

/* The parser reads files. */
static void write_file(const char *name, const uint8_t *data, size_t size)
{
    mg_arena arena = { 0 };
    mg_str path = mg_path_join(&arena, folder, name);
    MG_ASSERT(mg_file_write_atomic(path.data, mg_str_make((const char *)data, size), NULL) ==
              MG_OK);
    mg_arena_release(&arena);
}

static void make_model(const mg_model_config *config)
{
    mg_error err;
    mg_model *model = NULL;
    mg_kv_cache *cache = NULL;
    if (mg_model_create(config, mg_device_ref(), MG_BF16, &model, &err) == MG_OK) {
        if (mg_kv_cache_create(model, 2, 8, 0, &cache, &err) == MG_OK &&
            mg_kv_cache_reserve(cache, 4, &err) == MG_OK) {
            MG_ASSERT(mg_kv_cache_bytes(cache) > 0);
        }
        mg_kv_cache_destroy(cache);
    }
    mg_model_destroy(model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool is_ready = false;
    if (!is_ready) {
        MG_ASSERT(mkdtemp(folder) != NULL && atexit(remove_folder) == 0);
        is_ready = true;
    }
    mg_error err;
    mg_model_config config;
    const uint8_t *end = size > 0 ? memchr(data, 0, size) : NULL;
    size_t first = end != NULL ? (size_t)(end - data) : size;
    write_file("config.json", data, first);
    write_file("generation_config.json", end != NULL ? end + 1 : (const uint8_t *)"{}",
               end != NULL ? size - first - 1 : 2);
    for (int for_running = 0; for_running <= 1; for_running++) {
        if (mg_model_config_read(folder, for_running != 0, &config, &err) == MG_OK) {
            mg_memory_pretend_free(MEMORY_MAX);
            make_model(&config);
            mg_memory_pretend_free(SIZE_MAX);
            mg_model_config_release(&config);
        }
    }
    return 0;
}
