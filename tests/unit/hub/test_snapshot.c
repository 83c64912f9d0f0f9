/* tests/unit/hub/test_snapshot.c - model folders opened whole, and those that are refused. */
#include "base/fs.h"
#include "hub/snapshot.h"
#include "support.h"

#define MINI MG_SOURCE_DIR "/examples/mini/models/mini-base"

static char root[] = "/tmp/mg-snapshot-XXXXXX";

static void a_folder_opens_with_config_and_weights(void **state)
{
    (void)state;
    mg_error err;
    mg_snapshot *snapshot;
    mg_model_ref ref = { .path = mg_str_of(MINI) };
    assert_ok(mg_snapshot_open(NULL, &ref, true, &snapshot, &err), &err);
    assert_string_equal(snapshot->folder, MINI);
    assert_int_equal(snapshot->config.family, MG_FAMILY_MISTRAL);
    const mg_view *embedding =
        mg_checkpoint_find(snapshot->checkpoint, mg_str_of("model.embed_tokens.weight"));
    assert_non_null(embedding);
    assert_int_equal(embedding->shape.dims[0], snapshot->config.vocab_size);
    mg_snapshot_close(snapshot);
    mg_snapshot_close(NULL);
}

static void an_override_replaces_the_class(void **state)
{
    (void)state;
    mg_error err;
    mg_snapshot *snapshot;
    mg_model_ref ref = { .path = mg_str_of(MINI),
                         .override_architecture = mg_str_of("LlamaForCausalLM") };
    assert_ok(mg_snapshot_open(NULL, &ref, true, &snapshot, &err), &err);
    assert_true(mg_str_is(snapshot->config.architecture, "LlamaForCausalLM"));
    mg_snapshot_close(snapshot);
}

static mg_status open_with_config(const char *config, mg_error *err)
{
    mg_arena arena = { 0 };
    assert_ok(mg_file_write_atomic(mg_path_join(&arena, root, "config.json").data,
                                   mg_str_of(config), err),
              err);
    mg_model_ref ref = { .path = mg_str_of(root) };
    mg_snapshot *snapshot;
    mg_status status = mg_snapshot_open(NULL, &ref, false, &snapshot, err);
    assert_null(snapshot);
    mg_arena_release(&arena);
    return status;
}

static void what_cannot_be_merged_is_refused(void **state)
{
    (void)state;
    mg_error err;
    mg_snapshot *snapshot;
    mg_model_ref lora = { .path = mg_str_of(MINI), .lora_path = mg_str_of("some/lora") };
    assert_status(mg_snapshot_open(NULL, &lora, true, &snapshot, &err), MG_ERR_UNSUPPORTED);
    assert_status(open_with_config("{\"quantization_config\":{\"bits\":4}}", &err),
                  MG_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "quantised"));
    assert_status(open_with_config("{}", &err), MG_ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "no weights"));
    mg_model_ref absent = { .path = mg_str_of("/nonexistent/folder") };
    assert_status(mg_snapshot_open(NULL, &absent, true, &snapshot, &err), MG_ERR_NOT_FOUND);
    assert_null(snapshot);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(root) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return mg_folder_remove(root, NULL) == MG_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_opens_with_config_and_weights),
        cmocka_unit_test(an_override_replaces_the_class),
        cmocka_unit_test(what_cannot_be_merged_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
