/* cli/cmd_inspect.c - what is in a model, an adapter, a weight file, or a merge configuration. */
#include "base/fs.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "merge/adapter.h"
#include "merge/plan.h"
#include "recipe/recipe.h"
#include "tensor/checkpoint.h"
#include "text/json.h"

static const mg_option options[] = {
    { "explain", 0, NULL, MG_OPTION_TEXT, "TENSOR", NULL, NULL,
      "Of a configuration: which inputs, weights and method make this tensor.", NULL },
    { "layouts", 0, NULL, MG_OPTION_TEXT, "DIR", NULL, NULL,
      "Read architecture definitions, in mergekit's JSON form, from the .json files of DIR.",
      NULL },
    { "allow-crimes", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL,
      "Allow models of different architectures.", NULL },
};

/* Tensors one after the other, whatever holds them. */
typedef struct listing {
    int64_t count;
    mg_view (*at)(const void *owner, int64_t index);
    const void *owner;
    mg_str architecture;       /* empty = unknown */
    const mg_adapter *adapter; /* NULL = none */
} listing;

static mg_view checkpoint_at(const void *owner, int64_t index)
{
    return mg_checkpoint_at((const mg_checkpoint *)owner, index);
}

static mg_view plan_at(const void *owner, int64_t index)
{
    return mg_plan_tensor((const mg_plan *)owner, index);
}

static void print_json(mg_cli *cli, const listing *list)
{
    mg_buf text = { NULL, 0, 0 };
    mg_buf_add_text(&text, "{\"architecture\": ");
    if (list->architecture.size > 0) {
        mg_json_write_str(&text, list->architecture, false);
    } else {
        mg_buf_add_text(&text, "null");
    }
    if (list->adapter != NULL) {
        mg_buf_add_text(&text, ", \"adapter\": [");
        for (int64_t i = 0; i < mg_adapter_target_count(list->adapter); i++) {
            mg_buf_add_text(&text, i > 0 ? ", " : "");
            mg_json_write_str(&text, mg_adapter_target_name(list->adapter, i), false);
        }
        mg_buf_add_char(&text, ']');
    }
    mg_buf_add_text(&text, ", \"tensors\": [");
    for (int64_t i = 0; i < list->count; i++) {
        mg_view view = list->at(list->owner, i);
        char shape[128];
        mg_buf_add_text(&text, i > 0 ? ", {\"name\": " : "{\"name\": ");
        mg_json_write_str(&text, view.name, false);
        mg_buf_printf(&text, ", \"dtype\": \"%s\", \"shape\": %s, \"bytes\": %zu}",
                      mg_dtype_name(view.dtype), mg_shape_text(&view.shape, shape, sizeof(shape)),
                      view.bytes);
    }
    mg_buf_add_text(&text, "]}\n");
    mg_cli_printf(cli, "%s", text.data);
    mg_buf_release(&text);
}

static void print_text(mg_cli *cli, const listing *list)
{
    size_t bytes = 0;
    int64_t elements = 0;
    for (int64_t i = 0; i < list->count; i++) {
        mg_view view = list->at(list->owner, i);
        char shape[128];
        bytes += view.bytes;
        elements += mg_shape_count(&view.shape);
        mg_cli_put_text(cli, view.name);
        mg_cli_printf(cli, "  %s %s\n", mg_dtype_name(view.dtype),
                      mg_shape_text(&view.shape, shape, sizeof(shape)));
    }
    if (list->architecture.size > 0) {
        mg_cli_printf(cli, "architecture ");
        mg_cli_put_text(cli, list->architecture);
        mg_cli_printf(cli, "\n");
    }
    if (list->adapter != NULL) {
        mg_cli_printf(cli, "adapter of %lld weights\n",
                      (long long)mg_adapter_target_count(list->adapter));
    }
    mg_cli_printf(cli, "%lld tensors, %lld parameters, %.1f MB\n", (long long)list->count,
                  (long long)elements, (double)bytes / 1e6);
}

static void print_listing(mg_cli *cli, const listing *list)
{
    if (mg_cli_json(cli)) {
        print_json(cli, list);
    } else {
        print_text(cli, list);
    }
}

static void print_checkpoint(mg_cli *cli, const mg_checkpoint *checkpoint, mg_str architecture,
                             const mg_adapter *adapter)
{
    listing list = { mg_checkpoint_count(checkpoint), checkpoint_at, checkpoint, architecture,
                     adapter };
    print_listing(cli, &list);
}

/* A folder that holds an adapter alone. */
static mg_status inspect_adapter(mg_cli *cli, const char *folder, mg_error *err)
{
    mg_status status = MG_OK;
    mg_arena arena = { NULL, 0, 0 };
    mg_checkpoint *checkpoint = NULL;
    mg_adapter *adapter = NULL;
    MG_TRY_OR_DONE(mg_adapter_open(folder, &adapter, err));
    const char *path = mg_path_join(&arena, folder, "adapter_model.safetensors").data;
    MG_TRY_OR_DONE(mg_checkpoint_open_file(path, &checkpoint, err));
    print_checkpoint(cli, checkpoint, mg_str_of(""), adapter);

done:
    mg_adapter_close(adapter);
    mg_checkpoint_close(checkpoint);
    mg_arena_release(&arena);
    return status;
}

/* A model, perhaps with an adapter: PATH[@REVISION][+ADAPTER]. */
static mg_status inspect_model(mg_cli *cli, const char *path, mg_error *err)
{
    mg_status status = MG_OK;
    mg_arena arena = { NULL, 0, 0 };
    mg_snapshot *snapshot = NULL;
    mg_adapter *adapter = NULL;
    mg_str folder;
    mg_model_ref ref;
    memset(&ref, 0, sizeof(ref));
    ref.path = mg_str_of(path);
    if (!mg_path_exists(path)) {
        MG_TRY_OR_DONE(mg_model_ref_parse(mg_str_of(path), &arena, &ref, err));
    }
    MG_TRY_OR_DONE(mg_hub_locate(mg_cli_hub(cli), ref.path, ref.revision, &arena, &folder, err));
    if (mg_path_is_file(mg_path_join(&arena, folder.data, "adapter_config.json").data) &&
        !mg_path_is_file(mg_path_join(&arena, folder.data, "config.json").data)) {
        MG_TRY_OR_DONE(inspect_adapter(cli, folder.data, err));
        goto done;
    }
    if (ref.lora_path.size > 0) {
        mg_str lora;
        MG_TRY_OR_DONE(
            mg_hub_locate(mg_cli_hub(cli), ref.lora_path, ref.lora_revision, &arena, &lora, err));
        MG_TRY_OR_DONE(mg_adapter_open(lora.data, &adapter, err));
        ref.lora_path = ref.lora_revision = mg_str_of("");
    }
    MG_TRY_OR_DONE(mg_snapshot_open(mg_cli_hub(cli), &ref, false, &snapshot, err));
    print_checkpoint(cli, snapshot->checkpoint, snapshot->config.architecture, adapter);

done:
    mg_adapter_close(adapter);
    mg_snapshot_close(snapshot);
    mg_arena_release(&arena);
    return status;
}

static mg_status inspect_file(mg_cli *cli, const char *path, mg_error *err)
{
    mg_checkpoint *file;
    MG_TRY(mg_checkpoint_open_file(path, &file, err));
    print_checkpoint(cli, file, mg_str_of(""), NULL);
    mg_checkpoint_close(file);
    return MG_OK;
}

static void print_explanation(mg_cli *cli, mg_str text)
{
    mg_str line;
    while (mg_str_split(&text, '\n', &line)) {
        if (line.size > 0) {
            mg_cli_put_text(cli, line);
            mg_cli_printf(cli, "\n");
        }
    }
}

static mg_status inspect_recipe(mg_cli *cli, const char *path, const mg_args *args, mg_error *err)
{
    mg_status status = MG_OK;
    mg_arena arena = { NULL, 0, 0 };
    mg_buf text = { NULL, 0, 0 };
    mg_recipe recipe;
    mg_plan *plan = NULL;
    mg_model_set *set = mg_model_set_create(mg_cli_hub(cli));
    const char *tensor = mg_args_text(args, "explain");

    if (mg_args_given(args, "layouts")) {
        MG_TRY_OR_DONE(mg_model_set_read_layouts(set, mg_args_text(args, "layouts"), err));
    }
    MG_TRY_OR_DONE(mg_recipe_read(path, &arena, &recipe, err));
    MG_TRY_OR_DONE(mg_plan_create(&recipe, set, mg_args_flag(args, "allow-crimes"), &plan, err));
    if (tensor != NULL && mg_cli_json(cli)) {
        MG_TRY_OR_DONE(mg_plan_explain_json(plan, mg_str_of(tensor), &text, err));
        mg_cli_printf(cli, "%s\n", text.data);
    } else if (tensor != NULL) {
        MG_TRY_OR_DONE(mg_plan_explain(plan, mg_str_of(tensor), &text, err));
        print_explanation(cli, mg_buf_view(&text));
    } else {
        listing list = { mg_plan_tensor_count(plan), plan_at, plan,
                         mg_plan_donor(plan)->config.architecture, NULL };
        print_listing(cli, &list);
    }

done:
    mg_plan_destroy(plan);
    mg_model_set_destroy(set);
    mg_buf_release(&text);
    mg_arena_release(&arena);
    return status;
}

static mg_status run_inspect(mg_cli *cli, const mg_args *args, mg_error *err)
{
    const char *path = mg_args_operand(args, 0);
    mg_str text = mg_str_of(path);
    if (mg_str_ends(text, ".yml") || mg_str_ends(text, ".yaml")) {
        return inspect_recipe(cli, path, args, err);
    }
    if (mg_args_text(args, "explain") != NULL) {
        return mg_fail(err, MG_ERR_USAGE, "--explain needs a merge configuration (.yml), not '%s'",
                       path);
    }
    return mg_path_is_file(path) ? inspect_file(cli, path, err) : inspect_model(cli, path, err);
}

const mg_command mg_command_inspect = {
    "inspect",
    "PATH",
    1,
    1,
    "List the tensors of a model, an adapter, a weight file, or a merge configuration.",
    "PATH is a model or an adapter (folder or Hub name, also MODEL@REVISION and MODEL+ADAPTER), a "
    ".safetensors or PyTorch file, or the .yml of a merge, of which nothing but headers is read.",
    "merganser inspect ties.yml --explain model.norm.weight",
    options,
    MG_ARRAY_COUNT(options),
    run_inspect,
};
