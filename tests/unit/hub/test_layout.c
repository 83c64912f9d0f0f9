/* tests/unit/hub/test_layout.c - the table against mergekit's definitions, files, names, sources.
 */
#include "base/fs.h"
#include "hub/layout.h"
#include "crc32.h"
#include "support.h"
#include "tensor/safetensors.h"
#include "text/json.h"

#define GOLDEN MG_SOURCE_DIR "/tests/golden/layout/layouts.txt"

static char root[] = "/tmp/mg-layout-XXXXXX";
static mg_arena texts;
static mg_layouts *layouts;

static mg_value parse(const char *text)
{
    mg_error err;
    mg_value value;
    assert_ok(mg_json_parse(mg_str_of(text), "config", &texts, &value, &err), &err);
    return value;
}

static const mg_layout *find(const char *architecture, const char *model_type, const char *config)
{
    mg_error err;
    const mg_layout *layout;
    mg_value root_value = parse(config);
    assert_ok(mg_layouts_find(layouts, mg_str_of(architecture), mg_str_of(model_type), &root_value,
                              &layout, &err),
              &err);
    return layout;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_names(mg_buf *line, char mark, const mg_str *names, int64_t count, int64_t layer)
{
    for (int64_t i = 0; i < count; i++) {
        mg_str name = mg_layout_name(names[i], layer, 2, &texts);
        mg_buf_printf(line, " %c%.*s", mark, MG_STR_ARG(name));
    }
}

static void add_lines(char **lines, int64_t *count, mg_str module, const mg_layout_weight *weights,
                      int64_t weight_count, int64_t layer)
{
    for (int64_t i = 0; i < weight_count; i++) {
        const mg_layout_weight *w = &weights[i];
        mg_buf line = { 0 };
        mg_str name = mg_layout_name(w->name, layer, 2, &texts);
        mg_buf_printf(&line, "%.*s %.*s %s %s %s", MG_STR_ARG(module), MG_STR_ARG(name),
                      w->embed ? "E" : "-", w->optional ? "?" : "-",
                      w->force_dtype == MG_DTYPE_COUNT ? "-" : mg_dtype_torch_name(w->force_dtype));
        add_names(&line, '@', w->aliases, w->alias_count, layer);
        add_names(&line, '~', w->tied, w->tied_count, layer);
        mg_buf_add_char(&line, '\n');
        lines[(*count)++] = line.data;
    }
}

/* The text that make.py takes the checksum of. */
static uint32_t checksum(const mg_layout *layout)
{
    char *lines[2000];
    int64_t count = 0;
    for (int64_t m = 0; m < layout->module_count; m++) {
        const mg_layout_module *module = &layout->modules[m];
        add_lines(lines, &count, module->name, module->pre, module->pre_count, 0);
        for (int64_t layer = 0; layer < 2; layer++) {
            int64_t weight_count;
            const mg_layout_weight *weights = mg_layout_layer_weights(module, layer, &weight_count);
            add_lines(lines, &count, module->name, weights, weight_count, layer);
        }
        add_lines(lines, &count, module->name, module->post, module->post_count, 0);
    }
    qsort(lines, (size_t)count, sizeof(lines[0]), by_text);
    mg_buf all = { 0 };
    for (int64_t i = 0; i < count; i++) {
        mg_buf_add_text(&all, lines[i]);
        mg_free(lines[i]);
    }
    uint32_t sum = test_crc32(all.data, all.size);
    mg_buf_release(&all);
    return sum;
}

static bool deviates(const char *architecture)
{
    /* layout_table.c says why. */
    static const char *const names[] = {
        "BertModel",
        "CohereForCausalLM",
        "GPTNeoXForCausalLM",
        "LlamaForCausalLM",
        "Phi3ForCausalLM",
        "Qwen3ForCausalLM",
        "SolarForCausalLM",
        "StableLmForCausalLM",
        "StableLMEpochForCausalLM",
        "T5ForConditionalGeneration",
        "WhisperForConditionalGeneration",
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(names); i++) {
        if (strcmp(names[i], architecture) == 0) {
            return true;
        }
    }
    return false;
}

static void the_table_agrees_with_mergekit(void **state)
{
    (void)state;
    mg_error err;
    mg_bytes golden;
    assert_ok(mg_file_read(GOLDEN, 1 << 20, &golden, &err), &err);
    mg_str rest = mg_str_make((const char *)golden.data, golden.size);
    mg_str row;
    int compared = 0;
    while (mg_str_split(&rest, '\n', &row) && row.size > 0) {
        char architecture[64];
        char model_type[64];
        unsigned expected;
        char *text = mg_str_dup(row);
        assert_int_equal(sscanf(text, "%63s %63s %x", architecture, model_type, &expected), 3);
        const mg_layout *layout =
            find(architecture, model_type, "{\"num_experts\":3,\"first_k_dense_replace\":1}");
        assert_non_null(layout);
        if (!deviates(architecture) && checksum(layout) != expected) {
            fail_msg("%s: its weights differ", architecture);
        }
        compared++;
        mg_free(text);
    }
    assert_int_equal(compared, 63);
    mg_bytes_release(&golden);
}

static const mg_layout_weight *weight_of(const mg_layout_weight *weights, int64_t count,
                                         const char *name)
{
    for (int64_t i = 0; i < count; i++) {
        if (mg_str_is(weights[i].name, name)) {
            return &weights[i];
        }
    }
    return NULL;
}

static void classes_are_found_by_name_and_type(void **state)
{
    (void)state;
    const mg_layout *llama = find("LlamaForCausalLM", "llama", "{}");
    assert_non_null(llama);
    assert_ptr_equal(llama, find("LLaMaForCausalLM", "", "{}"));
    assert_true(mg_layout_equal(llama, llama));
    assert_false(mg_layout_equal(llama, find("MistralForCausalLM", "mistral", "{}")));
    assert_null(find("NobodyKnows", "llama", "{}"));
    assert_true(
        mg_str_is(mg_layouts_class_of_type(layouts, mg_str_of("llama")), "LlamaForCausalLM"));
    assert_true(mg_layouts_class_of_type(layouts, mg_str_of("nobody")).size == 0);
    const mg_layout *phi = find("PhiForCausalLM", "phi", "{}");
    const mg_layout *old_phi = find("PhiForCausalLM", "phi-msft", "{}");
    assert_non_null(phi);
    assert_non_null(old_phi);
    assert_ptr_not_equal(phi, old_phi);
    assert_null(find("PhiForCausalLM", "other", "{}"));

    const mg_layout_module *module = mg_layout_module_find(llama, mg_str_of("default"));
    const mg_layout_weight *head = weight_of(module->post, module->post_count, "lm_head.weight");
    assert_true(head->embed && head->optional && head->tied_count == 1);
    assert_true(mg_str_is(head->tied[0], "model.embed_tokens.weight"));
    assert_null(mg_layout_module_find(llama, mg_str_of("vision")));
    const mg_layout *whisper = find("WhisperForConditionalGeneration", "whisper", "{}");
    assert_int_equal(whisper->tagalong_count, 2);
    module = mg_layout_module_find(whisper, mg_str_of("decoder"));
    assert_non_null(weight_of(module->pre, module->pre_count, "model.decoder.embed_tokens.weight"));
}

static void layers_are_counted_under_dotted_keys(void **state)
{
    (void)state;
    mg_error err;
    int64_t count;
    const mg_layout *gemma = find("Gemma3ForConditionalGeneration", "gemma3", "{}");
    const mg_layout_module *decoder = mg_layout_module_find(gemma, mg_str_of("text_decoder"));
    const mg_layout_module *projector =
        mg_layout_module_find(gemma, mg_str_of("multi_modal_projector"));
    mg_value config = parse("{\"text_config\":{\"num_hidden_layers\":34.0}}");
    assert_ok(mg_layout_layer_count(decoder, &config, &count, &err), &err);
    assert_int_equal(count, 34);
    assert_ok(mg_layout_layer_count(projector, &config, &count, &err), &err);
    assert_int_equal(count, 0);
    config = parse("{\"num_hidden_layers\":34}");
    assert_status(mg_layout_layer_count(decoder, &config, &count, &err), MG_ERR_FORMAT);
    config = parse("{\"text_config\":{\"num_hidden_layers\":-1}}");
    assert_status(mg_layout_layer_count(decoder, &config, &count, &err), MG_ERR_FORMAT);
    config = parse("{\"text_config\":{\"num_hidden_layers\":1e12}}");
    assert_status(mg_layout_layer_count(decoder, &config, &count, &err), MG_ERR_FORMAT);
}

static void placeholders_are_filled_in(void **state)
{
    (void)state;
    static const struct {
        const char *template_;
        const char *name;
    } cases[] = {
        { "a.b", "a.b" },
        { "m.${layer_index}.w", "m.3.w" },
        { "${layer_index+1}.${layer_index-1}.${num_layers}", "4.2.8" },
        { "x${num_layers+1}y${num_layers-1}", "x9y7" },
        { "$${", "$${" },
    };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        mg_str name = mg_layout_name(mg_str_of(cases[i].template_), 3, 8, &texts);
        assert_true(mg_str_is(name, cases[i].name));
    }
}

static void definitions_are_read_from_files(void **state)
{
    (void)state;
    static const char definition[] =
        "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"mine\","
        "\"num_layers_config_key\":\"n_layer\",\"tagalong_files\":[\"x.json\"],"
        "\"pre_weights\":[{\"name\":\"emb\",\"is_embed\":true}],"
        "\"layer_templates\":{\"weights\":[{\"name\":\"l.${layer_index}.w\",\"optional\":true,"
        "\"aliases\":[\"old.${layer_index}\"],\"force_dtype\":\"int64\"}]},"
        "\"post_weights\":[{\"name\":\"head\",\"vocabulary_axis\":0,\"tied_names\":[\"emb\"]}]}";
    mg_error err;
    mg_layouts *own = mg_layouts_create();
    int64_t builtin = mg_layouts_count(own);
    assert_ok(mg_layouts_parse(own, mg_str_of(definition), "mine.json", &err), &err);
    assert_int_equal(mg_layouts_count(own), builtin + 1);
    const mg_layout *layout;
    mg_value config = parse("{}");
    assert_ok(mg_layouts_find(own, mg_str_of("LlamaForCausalLM"), mg_str_of("llama"), &config,
                              &layout, &err),
              &err);
    assert_true(mg_str_is(layout->model_type, "mine"));
    assert_true(layout->modules[0].pre[0].embed && layout->modules[0].post[0].embed);
    assert_int_equal(layout->modules[0].layer[0].force_dtype, MG_I64);
    assert_true(mg_str_is(layout->modules[0].layer_count_key, "n_layer"));

    static const char modular[] =
        "{\"kind\":\"modular\",\"architectures\":[\"Two\"],\"model_type\":\"\",\"modules\":{"
        "\"a\":{\"weight_prefix\":\"p.\",\"architecture\":{\"override_num_layers\":2,"
        "\"layer_templates\":{\"weights\":[{\"name\":\"${layer_index}\"}]}}},"
        "\"b\":{\"architecture\":{}}}}";
    assert_ok(mg_layouts_parse(own, mg_str_of(modular), "two.json", &err), &err);
    layout = mg_layouts_at(own, builtin + 1);
    assert_int_equal(layout->module_count, 2);
    assert_int_equal(layout->modules[0].fixed_layer_count, 2);
    assert_true(mg_str_is(layout->modules[0].layer[0].name, "p.${layer_index}"));

    mg_str folder = mg_path_join(&texts, root, "definitions");
    assert_ok(mg_folder_make(folder.data, &err), &err);
    assert_ok(mg_file_write_atomic(mg_path_join(&texts, folder.data, "two.json").data,
                                   mg_str_of(modular), &err),
              &err);
    assert_ok(mg_file_write_atomic(mg_path_join(&texts, folder.data, "README").data,
                                   mg_str_of("not one"), &err),
              &err);
    assert_ok(mg_layouts_read_folder(own, folder.data, &err), &err);
    assert_int_equal(mg_layouts_count(own), builtin + 3);
    mg_layouts_destroy(own);
}

static void broken_definitions_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "[]",
        "{}",
        "{\"architectures\":\"X\"}",
        "{\"architectures\":[1]}",
        "{\"architectures\":[\"X\"],\"pre_weights\":3}",
        "{\"architectures\":[\"X\"],\"pre_weights\":[3]}",
        "{\"architectures\":[\"X\"],\"pre_weights\":[{}]}",
        "{\"architectures\":[\"X\"],\"pre_weights\":[{\"name\":\"${layer}\"}]}",
        "{\"architectures\":[\"X\"],\"pre_weights\":[{\"name\":\"${layer_index\"}]}",
        "{\"architectures\":[\"X\"],\"pre_weights\":[{\"name\":\"a\",\"optional\":1}]}",
        "{\"architectures\":[\"X\"],\"pre_weights\":[{\"name\":\"a\",\"vocabulary_axis\":1}]}",
        "{\"architectures\":[\"X\"],\"pre_weights\":[{\"name\":\"a\",\"force_dtype\":\"x\"}]}",
        "{\"architectures\":[\"X\"],\"pre_weights\":[{\"name\":\"a\",\"aliases\":\"b\"}]}",
        "{\"architectures\":[\"X\"],\"tagalong_files\":[\"../x\"]}",
        "{\"architectures\":[\"X\"],\"override_num_layers\":-1}",
        "{\"architectures\":[\"X\"],\"kind\":\"modular\"}",
        "{\"architectures\":[\"X\"],\"kind\":\"modular\",\"modules\":{\"a\":1}}",
    };
    mg_error err;
    mg_layouts *own = mg_layouts_create();
    int64_t builtin = mg_layouts_count(own);
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        assert_status(mg_layouts_parse(own, mg_str_of(cases[i]), "bad.json", &err), MG_ERR_FORMAT);
    }
    assert_int_equal(mg_layouts_count(own), builtin);
    assert_status(mg_layouts_read(own, "/nonexistent.json", &err), MG_ERR_NOT_FOUND);
    mg_layouts_destroy(own);
}

/* A model folder with float tensors of the given names, each [rows, 2] with the numbers of its
 * place. */
static mg_snapshot *make_snapshot(const char *name, const char *config, const char *const *names,
                                  const int64_t *rows)
{
    mg_error err;
    mg_str folder = mg_path_join(&texts, root, name);
    assert_ok(mg_folder_make(folder.data, &err), &err);
    assert_ok(mg_file_write_atomic(mg_path_join(&texts, folder.data, "config.json").data,
                                   mg_str_of(config), &err),
              &err);
    mg_view views[64];
    float values[64][64];
    int64_t count = 0;
    for (; names[count] != NULL; count++) {
        for (int64_t i = 0; i < 2 * rows[count]; i++) {
            values[count][i] = (float)(100 * count + i);
        }
        mg_view view = { .name = mg_str_of(names[count]),
                         .data = values[count],
                         .bytes = (size_t)rows[count] * 2 * sizeof(float),
                         .dtype = MG_F32,
                         .shape = mg_shape_2d(rows[count], 2) };
        views[count] = view;
    }
    assert_ok(mg_safetensors_write(mg_path_join(&texts, folder.data, "model.safetensors").data,
                                   views, count, &err),
              &err);
    mg_model_ref ref = { .path = folder };
    mg_snapshot *snapshot;
    assert_ok(mg_snapshot_open(NULL, &ref, false, &snapshot, &err), &err);
    return snapshot;
}

static void unknown_classes_are_inferred(void **state)
{
    (void)state;
    static const char *const first_names[] = {
        "tr.wte.weight",   "lm_head.weight", "tr.h.0.a.weight",
        "tr.h.1.a.weight", "tr.h.0.b.3.c",   "tr.h.1.b.3.c",
        "tr.h.1.extra",    "norm.weight",    NULL
    };
    static const int64_t first_rows[] = { 5, 5, 2, 2, 2, 2, 2, 5 };
    static const char *const second_names[] = { "tr.wte.weight",
                                                "tr.h.0.a.weight",
                                                "tr.h.1.a.weight",
                                                "tr.h.0.b.3.c",
                                                "tr.h.1.b.3.c",
                                                "norm.weight",
                                                NULL };
    static const int64_t second_rows[] = { 5, 2, 2, 2, 2, 5 };
    static const char config[] = "{\"architectures\":[\"New\"],\"vocab_size\":5,"
                                 "\"tie_word_embeddings\":true}";
    mg_snapshot *snapshots[2];
    snapshots[0] = make_snapshot("first", config, first_names, first_rows);
    snapshots[1] = make_snapshot("second", config, second_names, second_rows);
    mg_error err;
    const mg_layout *layout;
    assert_ok(mg_layouts_infer(layouts, (const mg_snapshot *const *)snapshots, 2, &layout, &err),
              &err);
    assert_true(layout->inferred);
    assert_int_equal(layout->module_count, 1);
    const mg_layout_module *module = &layout->modules[0];
    assert_true(mg_str_is(module->name, "default"));
    assert_int_equal(module->fixed_layer_count, 2);
    assert_int_equal(module->layer_weight_count, 3);
    assert_int_equal(module->pre_count, 3);
    assert_int_equal(module->post_count, 0);
    const mg_layout_weight *w =
        weight_of(module->layer, module->layer_weight_count, "tr.h.${layer_index}.a.weight");
    assert_false(w->optional);
    w = weight_of(module->layer, module->layer_weight_count, "tr.h.${layer_index}.b.3.c");
    assert_non_null(w);
    w = weight_of(module->layer, module->layer_weight_count, "tr.h.${layer_index}.extra");
    assert_true(w->optional);
    w = weight_of(module->pre, module->pre_count, "tr.wte.weight");
    assert_true(w->embed && !w->optional);
    w = weight_of(module->pre, module->pre_count, "norm.weight");
    assert_false(w->embed);
    w = weight_of(module->pre, module->pre_count, "lm_head.weight");
    assert_true(w->embed && w->optional && w->tied_count == 1);
    assert_true(mg_str_is(w->tied[0], "tr.wte.weight"));

    mg_layout_source source;
    assert_ok(mg_layout_find_source(snapshots[1]->checkpoint, w, 0, 2, &texts, &source, &err),
              &err);
    assert_true(source.tied && source.part_count == 1);
    mg_snapshot_close(snapshots[0]);
    mg_snapshot_close(snapshots[1]);
}

static void several_prefixes_make_several_modules(void **state)
{
    (void)state;
    static const char *const names[] = { "dec.0.w", "dec.1.w", "enc.layers.0.w", "out", NULL };
    static const int64_t rows[] = { 1, 1, 1, 1 };
    mg_snapshot *snapshot = make_snapshot("modules", "{}", names, rows);
    mg_error err;
    const mg_layout *layout;
    assert_ok(mg_layouts_infer(layouts, (const mg_snapshot *const *)&snapshot, 1, &layout, &err),
              &err);
    assert_int_equal(layout->module_count, 3);
    assert_int_equal(mg_layout_module_find(layout, mg_str_of("dec"))->fixed_layer_count, 2);
    assert_int_equal(mg_layout_module_find(layout, mg_str_of("enc.layers"))->fixed_layer_count, 1);
    assert_int_equal(mg_layout_module_find(layout, mg_str_of("default"))->pre_count, 1);
    mg_snapshot_close(snapshot);
}

static void experts_are_joined(void **state)
{
    (void)state;
    static const char *const names[] = {
        "model.layers.0.block_sparse_moe.gate.weight",
        "model.layers.0.block_sparse_moe.experts.0.w1.weight",
        "model.layers.0.block_sparse_moe.experts.0.w2.weight",
        "model.layers.0.block_sparse_moe.experts.0.w3.weight",
        "model.layers.0.block_sparse_moe.experts.1.w1.weight",
        "model.layers.0.block_sparse_moe.experts.1.w2.weight",
        "model.layers.0.block_sparse_moe.experts.1.w3.weight",
        "model.layers.1.mlp.experts.0.gate_proj.weight",
        "model.layers.1.mlp.experts.0.up_proj.weight",
        "model.layers.2.mlp.experts.0.gate_proj.weight",
        "model.layers.3.mlp.experts.0.gate_proj.weight",
        "model.layers.3.mlp.experts.0.up_proj.weight",
        NULL,
    };
    static const int64_t rows[] = { 2, 3, 2, 3, 3, 2, 3, 4, 4, 4, 3, 4 };
    mg_snapshot *snapshot = make_snapshot("experts", "{}", names, rows);
    const mg_layout *layout = find("MixtralForCausalLM", "mixtral", "{}");
    const mg_layout_module *module = &layout->modules[0];
    const mg_layout_weight *gate_up =
        weight_of(module->layer, module->layer_weight_count,
                  "model.layers.${layer_index}.mlp.experts.gate_up_proj");
    const mg_layout_weight *down = weight_of(module->layer, module->layer_weight_count,
                                             "model.layers.${layer_index}.mlp.experts.down_proj");
    const mg_layout_weight *gate = weight_of(module->layer, module->layer_weight_count,
                                             "model.layers.${layer_index}.mlp.gate.weight");
    mg_error err;
    mg_layout_source source;
    const mg_checkpoint *checkpoint = snapshot->checkpoint;
    assert_ok(mg_layout_find_source(checkpoint, gate_up, 0, 4, &texts, &source, &err), &err);
    assert_int_equal(source.part_count, 4);
    assert_int_equal(source.shape.rank, 3);
    assert_int_equal(source.shape.dims[0], 2);
    assert_int_equal(source.shape.dims[1], 6);
    assert_int_equal(source.shape.dims[2], 2);
    assert_int_equal(source.bytes, 96);
    assert_true(mg_str_is(source.parts[1]->name, names[3]));
    assert_true(mg_str_is(source.label, names[6]));
    assert_ok(mg_layout_find_source(checkpoint, down, 0, 4, &texts, &source, &err), &err);
    assert_int_equal(source.part_count, 2);
    assert_int_equal(source.shape.dims[1], 2);
    assert_ok(mg_layout_find_source(checkpoint, gate, 0, 4, &texts, &source, &err), &err);
    assert_int_equal(source.part_count, 1);
    assert_ok(mg_layout_find_source(checkpoint, gate_up, 1, 4, &texts, &source, &err), &err);
    assert_int_equal(source.shape.dims[0], 1);
    assert_int_equal(source.shape.dims[1], 8);
    assert_status(mg_layout_find_source(checkpoint, gate_up, 2, 4, &texts, &source, &err),
                  MG_ERR_FORMAT); /* no up_proj */
    assert_status(mg_layout_find_source(checkpoint, gate_up, 3, 4, &texts, &source, &err),
                  MG_ERR_FORMAT); /* other shapes */
    assert_ok(mg_layout_find_source(checkpoint, gate, 1, 4, &texts, &source, &err), &err);
    assert_int_equal(source.part_count, 0);
    mg_snapshot_close(snapshot);
}

static void the_bundled_models_are_covered(void **state)
{
    (void)state;
    mg_error err;
    mg_model_ref ref = { .path = mg_str_of(MG_SOURCE_DIR "/examples/mini/models/mini-base") };
    mg_snapshot *snapshot;
    assert_ok(mg_snapshot_open(NULL, &ref, true, &snapshot, &err), &err);
    const mg_model_config *config = &snapshot->config;
    const mg_layout *layout;
    assert_ok(mg_layouts_find(layouts, config->architecture, config->model_type, &config->root,
                              &layout, &err),
              &err);
    const mg_layout_module *module = &layout->modules[0];
    int64_t layer_count;
    assert_ok(mg_layout_layer_count(module, &config->root, &layer_count, &err), &err);
    assert_int_equal(layer_count, config->layer_count);
    int64_t found = 0;
    for (int64_t layer = 0; layer < layer_count; layer++) {
        int64_t count;
        const mg_layout_weight *weights = mg_layout_layer_weights(module, layer, &count);
        for (int64_t i = 0; i < count; i++) {
            mg_layout_source source;
            assert_ok(mg_layout_find_source(snapshot->checkpoint, &weights[i], layer, layer_count,
                                            &texts, &source, &err),
                      &err);
            found += source.part_count;
        }
    }
    assert_int_equal(found + module->pre_count + module->post_count,
                     mg_checkpoint_count(snapshot->checkpoint));
    mg_snapshot_close(snapshot);
}

static int set_up(void **state)
{
    (void)state;
    layouts = mg_layouts_create();
    return mkdtemp(root) == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    mg_layouts_destroy(layouts);
    mg_arena_release(&texts);
    return mg_folder_remove(root, NULL) == MG_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_agrees_with_mergekit),
        cmocka_unit_test(classes_are_found_by_name_and_type),
        cmocka_unit_test(layers_are_counted_under_dotted_keys),
        cmocka_unit_test(placeholders_are_filled_in),
        cmocka_unit_test(definitions_are_read_from_files),
        cmocka_unit_test(broken_definitions_are_refused),
        cmocka_unit_test(unknown_classes_are_inferred),
        cmocka_unit_test(several_prefixes_make_several_modules),
        cmocka_unit_test(experts_are_joined),
        cmocka_unit_test(the_bundled_models_are_covered),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
