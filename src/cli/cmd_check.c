/* cli/cmd_check.c - what a merge would do, and what is wrong with it, from headers alone. */
#include <math.h>

#include "base/fs.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "merge/plan.h"
#include "recipe/recipe.h"
#include "text/json.h"
#include "text/yaml.h"

/* A merge moves about this many bytes a second on an ordinary disk. */
#define CHECK_BYTES_PER_SECOND 1e9

static const mg_option options[] = {
    { "layouts", 0, NULL, MG_OPTION_TEXT, "DIR", NULL, NULL,
      "Read architecture definitions, in mergekit's JSON form, from the .json files of DIR.",
      NULL },
    { "allow-crimes", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL,
      "Allow models of different architectures.", NULL },
};

typedef struct forecast {
    int64_t tensors;
    size_t in_bytes, out_bytes;
    size_t largest_bytes; /* one output tensor */
    size_t free_bytes;
} forecast;

static forecast make_forecast(const mg_plan *plan)
{
    forecast f;
    memset(&f, 0, sizeof(f));
    f.tensors = mg_plan_tensor_count(plan);
    f.in_bytes = mg_plan_input_bytes(plan);
    f.out_bytes = mg_plan_output_bytes(plan);
    for (int64_t i = 0; i < f.tensors; i++) {
        f.largest_bytes = MG_MAX(f.largest_bytes, mg_plan_tensor(plan, i).bytes);
    }
    mg_error ignored;
    if (mg_fs_free_bytes(".", &f.free_bytes, &ignored) != MG_OK) {
        f.free_bytes = SIZE_MAX;
    }
    return f;
}

static void print_json(mg_cli *cli, const forecast *f, mg_str findings)
{
    mg_buf text = { NULL, 0, 0 };
    mg_buf_printf(&text,
                  "{\"tensors\": %lld, \"input_bytes\": %zu, \"output_bytes\": %zu, "
                  "\"memory_bytes\": %zu, \"seconds\": %.1f, \"findings\": [",
                  (long long)f->tensors, f->in_bytes, f->out_bytes, 2 * f->largest_bytes,
                  (double)(f->in_bytes + f->out_bytes) / CHECK_BYTES_PER_SECOND);
    mg_str line;
    for (bool first = true; mg_str_split(&findings, '\n', &line);) {
        if (line.size > 0) {
            mg_buf_add_text(&text, first ? "" : ", ");
            mg_json_write_str(&text, line, false);
            first = false;
        }
    }
    mg_buf_add_text(&text, "]}\n");
    mg_cli_printf(cli, "%s", text.data);
    mg_buf_release(&text);
}

static void print_text(mg_cli *cli, const forecast *f, mg_str findings)
{
    mg_str line;
    while (mg_str_split(&findings, '\n', &line)) {
        if (line.size > 0) {
            mg_cli_put_text(cli, line);
            mg_cli_printf(cli, "\n");
        }
    }
    if (f->tensors > 0) {
        mg_cli_printf(cli, "tensors  %lld\n", (long long)f->tensors);
        mg_cli_printf(cli, "reads    %.1f MB\n", (double)f->in_bytes / 1e6);
        mg_cli_printf(cli, "writes   %.1f MB\n", (double)f->out_bytes / 1e6);
        mg_cli_printf(cli, "memory   %.1f MB beyond mapped files\n",
                      (double)(2 * f->largest_bytes) / 1e6);
        mg_cli_printf(cli, "time     about %.1f s at 1 GB/s\n",
                      (double)(f->in_bytes + f->out_bytes) / CHECK_BYTES_PER_SECOND);
    }
}

/* Problems that a plan can have without being impossible. */
static void look_at_plan(const forecast *f, mg_buf *findings)
{
    if (f->free_bytes < f->out_bytes) {
        mg_buf_printf(findings, "needs %.1f MB of disk, %.1f MB are free here\n",
                      (double)f->out_bytes / 1e6, (double)f->free_bytes / 1e6);
    }
}

/* Whether the file at path has a `genome`, as mergekit-evolve's have. */
static bool is_search(const char *path, mg_arena *arena)
{
    mg_bytes text;
    mg_value document;
    if (mg_file_read(path, MG_YAML_BYTES_MAX, &text, NULL) != MG_OK) {
        return false;
    }
    mg_status status = mg_yaml_parse(mg_str_make((const char *)text.data, text.size), path, arena,
                                     &document, NULL);
    bool found =
        status == MG_OK && document.kind == MG_MAP && mg_value_get(&document, "genome") != NULL;
    mg_bytes_release(&text);
    return found;
}

static mg_status run_check(mg_cli *cli, const mg_args *args, mg_error *err)
{
    mg_status status = MG_OK;
    mg_arena arena = { NULL, 0, 0 };
    mg_buf findings = { NULL, 0, 0 };
    mg_recipe recipe;
    mg_plan *plan = NULL;
    forecast f;
    memset(&f, 0, sizeof(f));
    mg_model_set *set = mg_model_set_create(mg_cli_hub(cli));

    if (mg_args_given(args, "layouts")) {
        MG_TRY_OR_DONE(mg_model_set_read_layouts(set, mg_args_text(args, "layouts"), err));
    }
    if (is_search(mg_args_operand(args, 0), &arena)) {
        status = mg_fail(err, MG_ERR_USAGE,
                         "%s is the file of a search, not of a merge: 'merganser evolve' takes it "
                         "and checks it before it starts",
                         mg_args_operand(args, 0));
        goto done;
    }
    mg_status read = mg_recipe_read(mg_args_operand(args, 0), &arena, &recipe, err);
    if (read == MG_ERR_NOT_FOUND || read == MG_ERR_IO) {
        status = read;
        goto done;
    }
    if (read != MG_OK ||
        mg_plan_create(&recipe, set, mg_args_flag(args, "allow-crimes"), &plan, err) != MG_OK) {
        mg_buf_printf(&findings, "%s\n", err->message);
        mg_error_clear(err);
    } else {
        f = make_forecast(plan);
        look_at_plan(&f, &findings);
        mg_plan_warnings(plan, &findings);
    }
    if (mg_cli_json(cli)) {
        print_json(cli, &f, mg_buf_view(&findings));
    } else {
        print_text(cli, &f, mg_buf_view(&findings));
    }
    status = findings.size > 0 ? MG_FINDINGS : MG_OK;

done:
    mg_plan_destroy(plan);
    mg_model_set_destroy(set);
    mg_buf_release(&findings);
    mg_arena_release(&arena);
    return status;
}

const mg_command mg_command_check = {
    "check",
    "CONFIG",
    1,
    1,
    "Say what a merge would do and what is wrong with it, from headers alone.",
    "Prints one line for each problem; exit code 1 if there is any.",
    "merganser check ties.yml",
    options,
    MG_ARRAY_COUNT(options),
    run_check,
};
