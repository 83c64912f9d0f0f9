/* merge/card.c - the model card: front matter that the Hub reads, and a page for people.
 *
 * A path counts as a Hub repository when it looks like one and no such path exists here; nothing is
 * looked up. */
#include "merge/card_internal.h"

#include "base/fs.h"
#include "text/yaml.h"

static bool is_hub_path(mg_str path)
{
    int64_t slashes = 0;
    for (size_t i = 0; i < path.size; i++) {
        slashes += path.data[i] == '/';
    }
    if (path.size == 0 || path.data[0] == '/' || path.data[0] == '~' || path.data[0] == '.' ||
        slashes > 1) {
        return false;
    }
    char *text = mg_str_dup(path);
    bool exists = mg_path_exists(text);
    mg_free(text);
    return !exists;
}

static void add_front_matter(const mg_plan *plan, mg_arena *arena, mg_buf *out)
{
    mg_value hub = mg_value_of_list(arena, plan->model_count * 2);
    hub.count = 0;
    for (int64_t i = 0; i < plan->model_count; i++) {
        mg_str paths[2] = { plan->refs[i].path, plan->refs[i].lora_path };
        for (int k = 0; k < 2; k++) {
            if (is_hub_path(paths[k])) {
                hub.items[hub.count++] = mg_value_of_str(arena, paths[k]);
            }
        }
    }
    mg_value tags = mg_value_of_list(arena, 2);
    tags.items[0] = mg_value_of_str(arena, mg_str_of("mergekit"));
    tags.items[1] = mg_value_of_str(arena, mg_str_of("merge"));
    mg_value map = mg_value_of_map(arena, 3);
    map.entries[0].key = mg_value_of_str(arena, mg_str_of("base_model"));
    map.entries[0].value = hub;
    map.entries[1].key = mg_value_of_str(arena, mg_str_of("library_name"));
    map.entries[1].value = mg_value_of_str(arena, mg_str_of("transformers"));
    map.entries[2].key = mg_value_of_str(arena, mg_str_of("tags"));
    map.entries[2].value = tags;
    mg_buf_add_text(out, "---\n");
    mg_yaml_write(out, &map);
    mg_buf_add_text(out, "\n---\n");
}

static void add_path(mg_str path, mg_buf *out)
{
    if (is_hub_path(path)) {
        mg_buf_printf(out, "[%.*s](https://huggingface.co/%.*s)", MG_STR_ARG(path),
                      MG_STR_ARG(path));
    } else {
        mg_buf_add(out, path);
    }
}

static void add_ref(const mg_model_ref *ref, mg_buf *out)
{
    add_path(ref->path, out);
    if (ref->lora_path.size > 0) {
        mg_buf_add_text(out, " + ");
        add_path(ref->lora_path, out);
    }
}

/* A model that lies in the folder parts is called by its name there, which the recipe gives it. */
static void add_model(const mg_model_ref *ref, const char *parts, mg_buf *out)
{
    size_t size = parts != NULL ? strlen(parts) : 0;
    bool inside = size > 0 && mg_str_starts(ref->path, parts) && ref->path.size > size + 1 &&
                  ref->path.data[size] == '/';
    if (inside) {
        mg_buf_add(out, mg_str_slice(ref->path, size + 1, ref->path.size));
    } else {
        add_ref(ref, out);
    }
}

void mg_card_write(const mg_plan *plan, const mg_recipe *recipe, mg_str name, mg_str yaml,
                   const char *parts, mg_buf *out)
{
    mg_arena arena = { NULL, 0, 0 };
    /* A spherical interpolation treats both ends alike, so it names no base. */
    bool names_base = recipe->has_base && !mg_str_is(recipe->method, "slerp");
    add_front_matter(plan, &arena, out);
    mg_buf_printf(out, "# %.*s\n\n", MG_STR_ARG(name));
    mg_buf_add_text(out, "This is a merge of pre-trained language models created using merganser "
                         "from a [mergekit](https://github.com/cg123/mergekit) configuration.\n\n"
                         "## Merge Details\n### Merge Method\n\nThis model was merged using the ");
    if (plan->method->link != NULL) {
        mg_buf_printf(out, "[%s](%s)", plan->method->title, plan->method->link);
    } else {
        mg_buf_add_text(out, plan->method->title);
    }
    mg_buf_add_text(out, " merge method");
    if (names_base) {
        mg_buf_add_text(out, " using ");
        add_ref(&recipe->base, out);
        mg_buf_add_text(out, " as a base");
    }
    mg_buf_add_text(out, ".\n\n### Models Merged\n\nThe following models were included in the "
                         "merge:\n");
    for (int64_t i = 0; i < plan->model_count; i++) {
        if (names_base && mg_model_ref_equal(&plan->refs[i], &recipe->base)) {
            continue;
        }
        mg_buf_add_text(out, "* ");
        add_model(&plan->refs[i], parts, out);
        mg_buf_add_char(out, '\n');
    }
    mg_buf_add_text(out, "\n### Configuration\n\nThe following YAML configuration was used to "
                         "produce this model:\n\n```yaml\n");
    mg_buf_add(out, yaml);
    mg_buf_add_text(out, "\n```\n");
    mg_arena_release(&arena);
}
