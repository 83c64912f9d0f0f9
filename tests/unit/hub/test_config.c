/* tests/unit/hub/test_config.c - configurations of all families against the reference, and broken
 * ones. */
#include <math.h>

#include "base/fs.h"
#include "hub/config.h"
#include "support.h"
#include "text/json.h"

#define GOLDEN MG_SOURCE_DIR "/tests/golden/config/"

static char folder[] = "/tmp/mg-config-XXXXXX";

static void write_file(const char *name, mg_str text)
{
    mg_error err;
    mg_arena arena = { 0 };
    assert_ok(mg_file_write_atomic(mg_path_join(&arena, folder, name).data, text, &err), &err);
    mg_arena_release(&arena);
}

static void remove_file(const char *name)
{
    mg_arena arena = { 0 };
    (void)remove(mg_path_join(&arena, folder, name).data);
    mg_arena_release(&arena);
}

static mg_status read_text(const char *text, bool require_shapes, mg_model_config *config,
                           mg_error *err)
{
    mg_error_clear(err);
    write_file("config.json", mg_str_of(text));
    return mg_model_config_read(folder, require_shapes, config, err);
}

static void add_number(mg_buf *out, const char *key, double value, bool absent)
{
    if (absent || isnan(value)) {
        mg_buf_printf(out, " %s=-", key);
    } else {
        mg_buf_printf(out, " %s=%.9g", key, value);
    }
}

static void add_id(mg_buf *out, const char *key, int32_t id)
{
    if (id < 0) {
        mg_buf_printf(out, " %s=None", key);
    } else {
        mg_buf_printf(out, " %s=%d", key, id);
    }
}

/* The line that expected.txt has for this configuration. */
static void describe(const mg_model_config *c, mg_str name, mg_buf *out)
{
    static const char *const kinds[] = { "default", "linear", "dynamic",
                                         "llama3",  "yarn",   "longrope" };
    bool gemma3 = c->family == MG_FAMILY_GEMMA3;
    mg_buf_printf(out, "%.*s: V%lld H%lld I%lld L%lld A%lld K%lld D%lld M%lld", MG_STR_ARG(name),
                  (long long)c->vocab_size, (long long)c->hidden_size,
                  (long long)c->intermediate_size, (long long)c->layer_count,
                  (long long)c->head_count, (long long)c->kv_head_count, (long long)c->head_dim,
                  (long long)c->max_positions);
    add_number(out, "eps", c->norm_epsilon, false);
    add_number(out, "theta", c->rope.theta, false);
    add_number(out, "local", c->rope_local.theta, !gemma3);
    add_number(out, "partial", c->partial_rotary, false);
    mg_buf_printf(out, " rope=%s", kinds[c->rope.kind]);
    add_number(out, "factor", c->rope.factor, false);
    mg_buf_printf(out, " window=%lld slides=", (long long)c->sliding_window);
    for (int64_t i = 0; i < c->layer_count; i++) {
        mg_buf_add_char(out, c->layer_is_sliding[i] ? '1' : '0');
    }
    mg_buf_printf(out, " tie=%d bias=%d mlp_bias=%d parallel=%d qk_norm=%d", c->tie_embeddings,
                  c->attention_bias, c->mlp_bias, c->parallel_residual, c->qk_norm);
    add_number(out, "scalar", c->query_pre_attn_scalar, c->query_pre_attn_scalar <= 0);
    add_number(out, "cap", c->attention_softcap, c->attention_softcap <= 0);
    add_number(out, "final", c->final_softcap, c->final_softcap <= 0);
    mg_buf_printf(out, " experts=%lld per_token=%lld", (long long)c->expert_count,
                  (long long)c->experts_per_token);
    add_id(out, "bos", c->bos_id);
    add_id(out, "pad", c->pad_id);
    mg_buf_printf(out, " eos=%s", c->eos_count == 0 ? "None" : "");
    for (int64_t i = 0; i < c->eos_count; i++) {
        mg_buf_printf(out, "%s%d", i > 0 ? "," : "", c->eos_ids[i]);
    }
    mg_buf_add_char(out, '\n');
}

static void every_family_has_the_defaults_of_the_reference(void **state)
{
    (void)state;
    mg_error err;
    mg_arena arena = { 0 };
    mg_value cases;
    assert_ok(mg_json_read(GOLDEN "cases.json", 1 << 20, &arena, &cases, &err), &err);
    mg_bytes expected;
    assert_ok(mg_file_read(GOLDEN "expected.txt", 1 << 20, &expected, &err), &err);
    mg_str rest = mg_str_make((const char *)expected.data, expected.size);
    for (int64_t i = 0; i < cases.count; i++) {
        mg_buf text = { 0 };
        mg_buf described = { 0 };
        mg_json_write(&text, &cases.entries[i].value, NULL);
        write_file("config.json", mg_buf_view(&text));
        mg_model_config config;
        assert_ok(mg_model_config_read(folder, true, &config, &err), &err);
        describe(&config, cases.entries[i].key.string, &described);
        mg_str line;
        assert_true(mg_str_split(&rest, '\n', &line));
        described.data[described.size - 1] = '\0';
        char *wanted = mg_str_dup(line);
        assert_string_equal(described.data, wanted);
        mg_free(wanted);
        mg_model_config_release(&config);
        mg_buf_release(&text);
        mg_buf_release(&described);
    }
    mg_bytes_release(&expected);
    mg_arena_release(&arena);
}

#define SMALL                                                                                      \
    "\"vocab_size\":320,\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":4,"      \
    "\"num_attention_heads\":4,\"max_position_embeddings\":512"
#define LLAMA "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\"," SMALL

static void the_newer_rope_form_is_read(void **state)
{
    (void)state;
    mg_error err;
    mg_model_config config;
    assert_ok(read_text(LLAMA ",\"rope_parameters\":{\"rope_type\":\"llama3\",\"rope_theta\":5e5,"
                              "\"factor\":32.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
                              "\"original_max_position_embeddings\":8192},\"dtype\":\"bfloat16\"}",
                        true, &config, &err),
              &err);
    assert_int_equal(config.rope.kind, MG_ROPE_LLAMA3);
    assert_true(config.rope.theta == 5e5 && config.rope.factor == 32.0);
    assert_int_equal(config.rope.original_max_position, 8192);
    assert_int_equal(config.dtype, MG_BF16);
    mg_model_config_release(&config);

    assert_ok(read_text("{\"architectures\":[\"Gemma3ForCausalLM\"],\"head_dim\":16," SMALL
                        ",\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"linear\","
                        "\"factor\":8.0,\"rope_theta\":1000000.0},\"sliding_attention\":"
                        "{\"rope_type\":\"default\",\"rope_theta\":20000.0}},\"layer_types\":["
                        "\"full_attention\",\"sliding_attention\",\"full_attention\","
                        "\"full_attention\"]}",
                        true, &config, &err),
              &err);
    assert_int_equal(config.rope.kind, MG_ROPE_LINEAR);
    assert_true(config.rope.factor == 8.0);
    assert_int_equal(config.rope_local.kind, MG_ROPE_DEFAULT);
    assert_true(config.rope_local.theta == 20000.0);
    assert_false(config.layer_is_sliding[0]);
    assert_true(config.layer_is_sliding[1]);
    assert_false(config.layer_is_sliding[3]);
    mg_model_config_release(&config);
}

static void a_text_config_supplies_the_keys(void **state)
{
    (void)state;
    mg_error err;
    mg_model_config config;
    assert_ok(read_text("{\"architectures\":[\"Gemma3ForConditionalGeneration\"],"
                        "\"model_type\":\"gemma3\",\"eos_token_id\":[1,106],\"torch_dtype\":"
                        "\"bfloat16\",\"text_config\":{\"model_type\":\"gemma3_text\","
                        "\"hidden_size\":2560,\"intermediate_size\":10240,\"num_hidden_layers\":34,"
                        "\"sliding_window\":1024,\"rope_scaling\":{\"rope_type\":\"linear\","
                        "\"factor\":8.0}},\"vision_config\":{\"hidden_size\":1152}}",
                        true, &config, &err),
              &err);
    assert_int_equal(config.family, MG_FAMILY_GEMMA3);
    assert_int_equal(config.hidden_size, 2560);
    assert_int_equal(config.head_dim, 256);
    assert_int_equal(config.eos_count, 2);
    assert_int_equal(config.dtype, MG_BF16);
    assert_true(config.rope.factor == 8.0 && isnan(config.rope_local.factor));
    mg_model_config_release(&config);
}

static void generation_config_replaces_the_stop_ids(void **state)
{
    (void)state;
    mg_error err;
    mg_model_config config;
    write_file("generation_config.json",
               mg_str_of("{\"eos_token_id\":[7,8],\"repetition_penalty\":1.05,\"top_p\":0.8,"
                         "\"no_repeat_ngram_size\":3,\"suppress_tokens\":[5,99999999,6]}"));
    assert_ok(read_text(LLAMA ",\"eos_token_id\":2}", true, &config, &err), &err);
    assert_int_equal(config.eos_count, 2);
    assert_int_equal(config.eos_ids[1], 8);
    assert_true(config.repetition_penalty == 1.05);
    assert_int_equal(config.no_repeat_ngram, 3);
    assert_int_equal(config.suppressed_count, 2); /* one is outside the vocabulary */
    assert_int_equal(config.suppressed_ids[1], 6);
    assert_non_null(mg_value_get(&config.generation, "top_p"));
    mg_model_config_release(&config);
    write_file("generation_config.json", mg_str_of("{\"eos_token_id\":null}"));
    assert_ok(read_text(LLAMA ",\"eos_token_id\":2}", true, &config, &err), &err);
    assert_int_equal(config.eos_ids[0], 2);
    mg_model_config_release(&config);
    write_file("generation_config.json", mg_str_of("{\"repetition_penalty\":0}"));
    assert_status(read_text(LLAMA "}", true, &config, &err), MG_ERR_FORMAT);
    assert_non_null(strstr(err.message, "generation_config.json"));
    assert_ok(read_text(LLAMA "}", false, &config, &err), &err); /* merging does not care */
    mg_model_config_release(&config);
    remove_file("generation_config.json");
}

static void impossible_values_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *mentions;
    } cases[] = {
        { "", "config.json" },
        { "[]", "map" },
        { LLAMA ",\"num_key_value_heads\":3}", "multiple" },
        { LLAMA ",\"num_key_value_heads\":0}", "num_key_value_heads" },
        { LLAMA ",\"head_dim\":15}", "rotary" },
        { LLAMA ",\"head_dim\":99999999999}", "head_dim" },
        { LLAMA ",\"rms_norm_eps\":\"x\"}", "rms_norm_eps" },
        { LLAMA ",\"rms_norm_eps\":-1}", "rms_norm_eps" },
        { LLAMA ",\"rope_theta\":0}", "rope_theta" },
        { LLAMA ",\"attention_bias\":3}", "attention_bias" },
        { LLAMA ",\"hidden_act\":\"relu\"}", "relu" },
        { LLAMA ",\"hidden_act\":3}", "activation" },
        { LLAMA ",\"eos_token_id\":\"</s>\"}", "eos_token_id" },
        { LLAMA ",\"bos_token_id\":99999999999}", "bos_token_id" },
        { LLAMA ",\"rope_scaling\":{\"type\":\"mrope\"}}", "mrope" },
        { LLAMA ",\"rope_scaling\":{\"type\":\"linear\"}}", "factor" },
        { LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":-2}}", "factor" },
        { LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":NaN}}", "factor" },
        { LLAMA ",\"rope_scaling\":{\"type\":\"llama3\",\"factor\":8}}", "low_freq_factor" },
        { LLAMA ",\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,2]}}",
          "short_factor" },
        { "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":-64}", "hidden_size" },
        { "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":64.5}", "hidden_size" },
        { "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":65}", "multiple" },
        { "{\"architectures\":[\"LlamaForCausalLM\"],\"vocab_size\":1e30}", "vocab_size" },
        { "{\"architectures\":[\"NobodyKnows\"]}", "vocab_size" },
        { "{\"architectures\":[\"MixtralForCausalLM\"],\"num_experts_per_tok\":9}",
          "num_experts_per_tok" },
        { "{\"architectures\":[\"Qwen3ForCausalLM\"],\"num_key_value_heads\":4," SMALL
          ",\"layer_types\":[\"full_attention\"]}",
          "layer_types" },
        { "{\"architectures\":[\"Gemma2ForCausalLM\"],\"num_hidden_layers\":1,\"layer_types\":"
          "[\"linear_attention\"]}",
          "linear_attention" },
    };
    mg_error err;
    mg_model_config config;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(cases); i++) {
        mg_status status = read_text(cases[i].text, true, &config, &err);
        if ((status != MG_ERR_FORMAT && status != MG_ERR_UNSUPPORTED) ||
            strstr(err.message, cases[i].mentions) == NULL) {
            fail_msg("%s: %s: %s", cases[i].text, mg_status_name(status), err.message);
        }
    }
    assert_status(mg_model_config_read("/nonexistent", true, &config, &err), MG_ERR_NOT_FOUND);
}

static void merging_needs_less_than_running(void **state)
{
    (void)state;
    mg_error err;
    mg_model_config config;
    assert_ok(read_text("{\"architectures\":[\"NobodyKnows\"],\"model_type\":\"x\","
                        "\"vocab_size\":12,\"hidden_act\":\"relu\",\"torch_dtype\":\"float16\"}",
                        false, &config, &err),
              &err);
    assert_int_equal(config.family, MG_FAMILY_UNKNOWN);
    assert_int_equal(config.vocab_size, 12);
    assert_int_equal(config.hidden_size, 0);
    assert_int_equal(config.dtype, MG_F16);
    assert_true(mg_str_is(config.architecture, "NobodyKnows"));
    mg_model_config_release(&config);
}

static void integral_floats_count_as_integers(void **state)
{
    (void)state;
    mg_error err;
    mg_model_config config;
    assert_ok(
        read_text(LLAMA ",\"num_key_value_heads\":2.0,\"eos_token_id\":3.0}", true, &config, &err),
        &err);
    assert_int_equal(config.kv_head_count, 2);
    assert_int_equal(config.eos_ids[0], 3);
    mg_model_config_release(&config);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return mg_folder_remove(folder, NULL) == MG_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_has_the_defaults_of_the_reference),
        cmocka_unit_test(the_newer_rope_form_is_read),
        cmocka_unit_test(a_text_config_supplies_the_keys),
        cmocka_unit_test(generation_config_replaces_the_stop_ids),
        cmocka_unit_test(impossible_values_are_refused),
        cmocka_unit_test(merging_needs_less_than_running),
        cmocka_unit_test(integral_floats_count_as_integers),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
