/* cli/cmd_check.c - what a merge would do, and what is wrong with it, from headers alone. */
#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "evolve/search.h"
#include "merge/execute.h"
#include "merge/missing.h"
#include "merge/plan.h"
#include "recipe/recipe.h"
#include "text/json.h"
#include "text/yaml.h"

/* Files beside the weights. */
#define CHECK_EXTRA_BYTES ((size_t)4 << 20)

static const mg_option options[] = {
    { "layouts", 0, NULL, MG_OPTION_TEXT, "DIR", NULL, NULL,
      "Read architecture definitions, in mergekit's JSON form, from the .json files of DIR.",
      NULL },
    { "allow-crimes", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL,
      "Allow models of different architectures.", NULL },
    { "unsafe-truncate-embeddings", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL,
      "Cut embeddings to the rows of the smallest vocabulary, as merge does with it.", NULL },
    { "task-search-path", 0, "include-path", MG_OPTION_TEXTS, "DIR", NULL, NULL,
      "Of a search: folder with task files; may be repeated.", NULL },
};

/* What is known of a merge before it is made. */
typedef struct forecast {
    int64_t tensors, layers, parameters;
    size_t in_bytes, out_bytes;
    size_t memory_bytes;
    double seconds;
    mg_view largest; /* its name and shape belong to the plan, name is copied */
    bool is_search;
    mg_search_plan search;
} forecast;

/* Where forecasts and findings of a file are gathered. */
typedef struct checking {
    mg_arena arena;
    mg_buf findings; /* one a line */
    forecast f;
    const char *out; /* folder to be written, NULL = not said */
    int threads;
} checking;

/* The nearest folder of path that exists, in arena. */
static const char *existing_folder(mg_arena *arena, const char *path)
{
    const char *folder = path;
    while (!mg_path_exists(folder) && strcmp(folder, ".") != 0 && strcmp(folder, "/") != 0) {
        folder = mg_path_folder(arena, folder).data;
    }
    return folder;
}

static void look_at_space(checking *c)
{
    mg_error ignored;
    size_t free_bytes;
    size_t needed = c->f.out_bytes + CHECK_EXTRA_BYTES;
    const char *where = existing_folder(&c->arena, c->out != NULL ? c->out : ".");
    if (mg_fs_free_bytes(where, &free_bytes, &ignored) == MG_OK && free_bytes < needed) {
        mg_buf_printf(&c->findings, "needs %.1f MB of disk, %.1f MB are free in %s\n",
                      (double)needed / 1e6, (double)free_bytes / 1e6, where);
    }
}

static bool is_same(const char *a, const char *b)
{
    struct stat x;
    struct stat y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Whether something other than an empty folder is there. */
static bool is_taken(const char *path)
{
    DIR *folder = opendir(path);
    int entries = 0;
    if (folder == NULL) {
        return mg_path_exists(path);
    }
    while (readdir(folder) != NULL) {
        entries++; /* "." and ".." too */
    }
    (void)closedir(folder);
    return entries > 2;
}

static void look_at_out(checking *c, const mg_plan *plan)
{
    if (c->out == NULL) {
        return;
    }
    for (int64_t i = 0; i < mg_plan_model_count(plan); i++) {
        if (is_same(c->out, mg_plan_model_folder(plan, i))) {
            mg_buf_printf(&c->findings, "%s: is a model of the merge itself\n", c->out);
            return;
        }
    }
    if (is_taken(c->out)) {
        mg_buf_printf(&c->findings, "%s: is not empty; merge replaces it only with --overwrite\n",
                      c->out);
    }
}

static void look_at_plan(void *context, const mg_plan *plan)
{
    checking *c = (checking *)context;
    forecast *f = &c->f;
    int64_t tensors = mg_plan_tensor_count(plan);
    f->tensors += tensors; /* of several documents, all */
    f->layers += mg_plan_layer_count(plan);
    f->in_bytes += mg_plan_input_bytes(plan);
    f->out_bytes += mg_plan_output_bytes(plan);
    f->memory_bytes = MG_MAX(f->memory_bytes, mg_plan_memory_bytes(plan, c->threads));
    f->seconds += mg_plan_seconds(plan, c->threads);
    for (int64_t i = 0; i < tensors; i++) {
        mg_view view = mg_plan_tensor(plan, i);
        f->parameters += mg_shape_count(&view.shape);
        if (view.bytes > f->largest.bytes) {
            f->largest = view;
            f->largest.name = mg_arena_copy(&c->arena, view.name);
        }
    }
    look_at_space(c);
    look_at_out(c, plan);
    mg_plan_warnings(plan, &c->findings);
}

static void add_error(checking *c, mg_error *err)
{
    mg_buf_printf(&c->findings, "%s\n", err->message);
    mg_error_clear(err);
}

static void print_json(mg_cli *cli, const forecast *f, mg_str findings)
{
    mg_buf text = { NULL, 0, 0 };
    char shape[128];
    mg_buf_printf(&text,
                  "{\"tensors\": %lld, \"layers\": %lld, \"parameters\": %lld, "
                  "\"input_bytes\": %zu, \"output_bytes\": %zu, \"memory_bytes\": %zu, "
                  "\"seconds\": %.1f, \"largest\": ",
                  (long long)f->tensors, (long long)f->layers, (long long)f->parameters,
                  f->in_bytes, f->out_bytes, f->memory_bytes, f->seconds);
    if (f->tensors > 0) {
        mg_buf_add_text(&text, "{\"name\": ");
        mg_json_write_str(&text, f->largest.name, false);
        mg_buf_printf(&text, ", \"dtype\": \"%s\", \"shape\": %s}", mg_dtype_name(f->largest.dtype),
                      mg_shape_text(&f->largest.shape, shape, sizeof(shape)));
    } else {
        mg_buf_add_text(&text, "null");
    }
    if (f->is_search) {
        mg_buf_printf(&text,
                      ", \"search\": {\"genes\": %lld, \"stages\": %lld, \"tasks\": %lld, "
                      "\"questions\": %lld, \"evaluations\": %lld}",
                      (long long)f->search.genes, (long long)f->search.stages,
                      (long long)f->search.tasks, (long long)f->search.questions,
                      (long long)f->search.evaluations);
    }
    mg_buf_add_text(&text, ", \"findings\": [");
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

static void print_search(mg_cli *cli, const mg_search_plan *search)
{
    mg_cli_printf(cli, "search   %lld genes, %lld stage%s, %lld task%s with %lld questions",
                  (long long)search->genes, (long long)search->stages,
                  search->stages == 1 ? "" : "s", (long long)search->tasks,
                  search->tasks == 1 ? "" : "s", (long long)search->questions);
    if (search->evaluations > 0) {
        mg_cli_printf(cli, ", %lld evaluations", (long long)search->evaluations);
    }
    mg_cli_printf(cli, "\nits first merge:\n");
}

static void print_text(mg_cli *cli, const forecast *f, mg_str findings)
{
    mg_str line;
    char shape[128];
    while (mg_str_split(&findings, '\n', &line)) {
        if (line.size > 0) {
            mg_cli_put_text(cli, line);
            mg_cli_printf(cli, "\n");
        }
    }
    if (f->tensors == 0) {
        return;
    }
    if (f->is_search) {
        print_search(cli, &f->search);
    }
    mg_cli_printf(cli, "tensors  %lld, the largest ", (long long)f->tensors);
    mg_cli_put_text(cli, f->largest.name);
    mg_cli_printf(cli, " %s %s\n", mg_dtype_name(f->largest.dtype),
                  mg_shape_text(&f->largest.shape, shape, sizeof(shape)));
    mg_cli_printf(cli, "layers   %lld\n", (long long)f->layers);
    mg_cli_printf(cli, "reads    %.1f MB\n", (double)f->in_bytes / 1e6);
    mg_cli_printf(cli, "writes   %.1f MB, %lld parameters\n", (double)f->out_bytes / 1e6,
                  (long long)f->parameters);
    mg_cli_printf(cli, "memory   %.1f MB beyond mapped files\n", (double)f->memory_bytes / 1e6);
    mg_cli_printf(cli, "time     about %.1f s\n", f->seconds);
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

static void check_search(mg_cli *cli, const mg_args *args, checking *c, mg_error *err)
{
    mg_evolve_config config;
    mg_evolve_overrides overrides;
    mg_search_options search;
    int64_t path_count = mg_args_text_count(args, "task-search-path");
    const char **paths = mg_arena_array(&c->arena, const char *, path_count + 1);
    memset(&overrides, 0, sizeof(overrides));
    memset(&search, 0, sizeof(search));
    for (int64_t i = 0; i < path_count; i++) {
        paths[i] = mg_args_text_at(args, "task-search-path", i);
    }
    paths[path_count] = mg_path_folder(&c->arena, mg_args_operand(args, 0)).data;
    c->f.is_search = true;
    mg_status status = mg_evolve_config_read(mg_args_operand(args, 0), &overrides, &config, err);
    if (status == MG_ERR_CONFIG) {
        mg_add_missing_models(mg_args_operand(args, 0), mg_cli_hub(cli), err);
    }
    if (status == MG_OK) {
        search.config = &config;
        search.hub = mg_cli_hub(cli);
        search.pool = mg_cli_pool(cli);
        search.task_paths = paths;
        search.task_path_count = path_count + 1;
        search.python = getenv("MERGANSER_PYTHON");
        search.python_timeout_s = 60.0;
        search.allow_crimes = mg_args_flag(args, "allow-crimes");
        status = mg_search_check(&search, look_at_plan, c, &c->f.search, err);
    }
    if (status != MG_OK) {
        add_error(c, err);
    }
    mg_evolve_config_release(&config);
}

static void check_recipe(const mg_recipe *recipe, mg_model_set *set, bool crimes, checking *c,
                         mg_error *err)
{
    mg_plan *plan = NULL;
    if (mg_plan_create(recipe, set, crimes, &plan, err) == MG_OK) {
        look_at_plan(c, plan);
    } else {
        add_error(c, err);
    }
    mg_plan_destroy(plan);
}

/* Whether a document needs one that is not merged yet: then no header says what it would do. */
static bool waits_for_another(const mg_recipe *recipes, int64_t count, int64_t index,
                              const char *intermediate, mg_arena *arena)
{
    mg_recipe moved = recipes[index];
    mg_str *names = mg_arena_array(arena, mg_str, count);
    bool *used = mg_arena_array(arena, bool, count);
    for (int64_t i = 0; i < count; i++) {
        names[i] = recipes[i].name;
    }
    mg_recipe_relocate(&moved, names, count, intermediate, arena, used);
    for (int64_t i = 0; i < count; i++) {
        if (used[i]) {
            mg_note("merge '%.*s' needs '%.*s' first: only how it is written is checked",
                    MG_STR_ARG(recipes[index].name.size > 0 ? recipes[index].name
                                                            : mg_str_of("without a name")),
                    MG_STR_ARG(names[i]));
            return true;
        }
    }
    return false;
}

static mg_status check_merge(mg_cli *cli, const mg_args *args, checking *c, mg_error *err)
{
    mg_status status = MG_OK;
    mg_recipe *recipes = NULL;
    int64_t count = 0;
    mg_model_set *set = mg_model_set_create(mg_cli_hub(cli));

    if (mg_args_given(args, "layouts")) {
        MG_TRY_OR_DONE(mg_model_set_read_layouts(set, mg_args_text(args, "layouts"), err));
    }
    mg_status read = mg_recipe_read_all(mg_args_operand(args, 0), &c->arena, &recipes, &count, err);
    if (read == MG_ERR_NOT_FOUND || read == MG_ERR_IO) {
        status = read;
        goto done;
    }
    if (read == MG_ERR_CONFIG) {
        mg_add_missing_models(mg_args_operand(args, 0), mg_cli_hub(cli), err);
    }
    if (read != MG_OK) {
        add_error(c, err);
        goto done;
    }
    if (mg_check_documents(recipes, count, &c->arena, err) != MG_OK) {
        add_error(c, err);
        goto done;
    }
    for (int64_t i = 0; i < count; i++) {
        recipes[i].truncate_embeddings = mg_args_flag(args, "unsafe-truncate-embeddings");
        if (count == 1 || !waits_for_another(recipes, count, i, ".", &c->arena)) {
            check_recipe(&recipes[i], set, mg_args_flag(args, "allow-crimes"), c, err);
        }
    }

done:
    mg_model_set_destroy(set);
    return status;
}

static mg_status run_check(mg_cli *cli, const mg_args *args, mg_error *err)
{
    mg_status status = MG_OK;
    checking c;
    memset(&c, 0, sizeof(c));
    c.out = mg_args_operand_count(args) > 1 ? mg_args_operand(args, 1) : NULL;
    c.threads = mg_pool_threads(mg_cli_pool(cli));
    mg_cli_collect_warnings(cli, &c.findings);
    if (is_search(mg_args_operand(args, 0), &c.arena)) {
        check_search(cli, args, &c, err);
    } else {
        status = check_merge(cli, args, &c, err);
    }
    mg_cli_collect_warnings(cli, NULL);
    if (status == MG_OK && mg_cli_json(cli)) {
        print_json(cli, &c.f, mg_buf_view(&c.findings));
    } else if (status == MG_OK) {
        print_text(cli, &c.f, mg_buf_view(&c.findings));
    }
    if (status == MG_OK && c.findings.size > 0) {
        status = MG_FINDINGS;
    }
    mg_buf_release(&c.findings);
    mg_arena_release(&c.arena);
    return status;
}

const mg_command mg_command_check = {
    "check",
    "CONFIG [OUT]",
    1,
    2,
    "Say what a merge or a search would do and what is wrong with it, from headers alone.",
    "Prints one line for each problem; exit code 1 if there is any. Given OUT, the folder that "
    "would be written and the room on its disk are looked at too.",
    "merganser check ties.yml",
    options,
    MG_ARRAY_COUNT(options),
    run_check,
};
