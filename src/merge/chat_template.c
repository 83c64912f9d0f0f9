/* merge/chat_template.c - built-in chat templates, and the choice among those of the models. */
#include "merge/chat_template.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/memory.h"
#include "text/json.h"

#define CONFIG_BYTES_MAX ((size_t)16 << 20)
/* A text shorter than this, or without a brace, is a misspelt name rather than a template. */
#define TEMPLATE_BYTES_MIN 20

typedef struct builtin {
    const char *name;
    const char *text;
} builtin;

static const builtin builtins[] = {
    { "chatml", "{% for m in messages %}"
                "{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}"
                "{% endfor %}"
                "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}" },
    { "llama3", "{% for m in messages %}"
                "{% if loop.first %}{{ bos_token }}{% endif %}"
                "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + "
                "m['content'] | trim + '<|eot_id|>\\n' }}"
                "{% endfor %}"
                "{% if add_generation_prompt %}"
                "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}" },
    { "mistral", "{% if messages[0]['role'] == 'system' %}"
                 "{% set system = messages[0]['content'] %}{% set turns = messages[1:] %}"
                 "{% else %}{% set system = '' %}{% set turns = messages %}{% endif %}"
                 "{{ bos_token }}"
                 "{% for m in turns %}"
                 "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
                 "{{ raise_exception('roles must alternate between user and assistant') }}"
                 "{% endif %}"
                 "{% if m['role'] == 'user' %}"
                 "{% if loop.first and system %}"
                 "{{ ' [INST] ' + system + '\\n\\n' + m['content'] + ' [/INST]' }}"
                 "{% else %}{{ ' [INST] ' + m['content'] + ' [/INST]' }}{% endif %}"
                 "{% elif m['role'] == 'assistant' %}{{ ' ' + m['content'] + eos_token }}"
                 "{% else %}{{ raise_exception('only user and assistant turns are supported') }}"
                 "{% endif %}"
                 "{% endfor %}" },
    { "alpaca", "{% set ns = namespace(system='') %}"
                "{% for m in messages %}{% if m['role'] == 'system' %}"
                "{% set ns.system = m['content'] | trim %}{% endif %}{% endfor %}"
                "{{ ns.system }}"
                "{% for m in messages %}"
                "{% if m['role'] == 'user' %}{{ '\n\n### Instruction:\n' + m['content'] | trim }}"
                "{% elif m['role'] == 'user_context' %}"
                "{{ '\n\n### Input:\n' + m['content'] | trim }}"
                "{% elif m['role'] == 'assistant' %}"
                "{{ '\n\n### Response:\n' + m['content'] | trim }}{% endif %}"
                "{% endfor %}"
                "{% if add_generation_prompt and messages[-1]['role'] != 'assistant' %}"
                "{{ '### Response:\n' }}{% endif %}" },
    { "exaone", "{% for m in messages %}"
                "{% if loop.first and m['role'] != 'system' %}"
                "{{ '[|system|][|endofturn|]\n' }}{% endif %}"
                "{{ '[|' + m['role'] + '|]' + m['content'] }}"
                "{% if m['role'] == 'user' %}{{ '\n' }}"
                "{% else %}{{ '[|endofturn|]\n' }}{% endif %}"
                "{% endfor %}"
                "{% if add_generation_prompt %}{{ '[|assistant|]' }}{% endif %}" },
};

static bool is_builtin(mg_str name, mg_str *text_out)
{
    for (int64_t i = 0; i < MG_ARRAY_COUNT(builtins); i++) {
        if (mg_str_is(name, builtins[i].name)) {
            *text_out = mg_str_of(builtins[i].text);
            return true;
        }
    }
    return false;
}

bool mg_chat_template_valid(mg_str setting)
{
    mg_str text;
    return mg_str_is(setting, "auto") || is_builtin(setting, &text) ||
           (setting.size >= TEMPLATE_BYTES_MIN && mg_str_find(setting, mg_str_of("{"), 0) >= 0);
}

/* The template in `chat_template` of tokenizer_config.json: a text, or the default of a list. */
static mg_str template_of_config(const mg_value *config)
{
    const mg_value *value = mg_value_get(config, "chat_template");
    if (value != NULL && value->kind == MG_STRING) {
        return value->string;
    }
    for (int64_t i = 0; value != NULL && value->kind == MG_LIST && i < value->count; i++) {
        const mg_value *name = mg_value_get(&value->items[i], "name");
        const mg_value *text = mg_value_get(&value->items[i], "template");
        if (name != NULL && name->kind == MG_STRING && mg_str_is(name->string, "default") &&
            text != NULL && text->kind == MG_STRING) {
            return text->string;
        }
    }
    return mg_str_of("");
}

/* The template that a model folder has, trimmed; empty = none. */
static mg_str template_of_folder(const char *folder, mg_arena *arena)
{
    mg_error ignored;
    mg_bytes bytes = { NULL, 0 };
    mg_value config;
    mg_str path = mg_path_join(arena, folder, "chat_template.jinja");
    if (mg_path_is_file(path.data) &&
        mg_file_read(path.data, CONFIG_BYTES_MAX, &bytes, &ignored) == MG_OK) {
        mg_str text = mg_arena_copy(arena, mg_str_make((const char *)bytes.data, bytes.size));
        mg_bytes_release(&bytes);
        return mg_str_trim(text);
    }
    path = mg_path_join(arena, folder, "tokenizer_config.json");
    if (mg_path_is_file(path.data) &&
        mg_json_read(path.data, CONFIG_BYTES_MAX, arena, &config, &ignored) == MG_OK) {
        return mg_str_trim(template_of_config(&config));
    }
    return mg_str_of("");
}

mg_str mg_chat_template_choose(mg_str setting, const char *const *folders, int64_t count,
                               mg_arena *arena)
{
    mg_str text;
    if (is_builtin(setting, &text)) {
        return text;
    }
    if (!mg_str_is(setting, "auto")) {
        return setting;
    }
    mg_str *found = mg_arena_array(arena, mg_str, MG_MAX(count, 1));
    int64_t best = -1;
    int64_t best_votes = 0;
    for (int64_t i = 0; i < count; i++) {
        found[i] = template_of_folder(folders[i], arena);
    }
    for (int64_t i = 0; i < count; i++) {
        int64_t votes = 0;
        for (int64_t k = 0; k < count && found[i].size > 0; k++) {
            votes += mg_str_equal(found[i], found[k]);
        }
        if (votes > best_votes) {
            best = i;
            best_votes = votes;
        }
    }
    if (best < 0) {
        mg_note("no model has a chat template");
        return mg_str_of("");
    }
    return found[best];
}

static mg_status update_config(const char *folder, mg_str template_, mg_arena *arena, mg_error *err)
{
    mg_str path = mg_path_join(arena, folder, "tokenizer_config.json");
    mg_value config;
    if (!mg_path_is_file(path.data)) {
        return MG_OK;
    }
    MG_TRY(mg_json_read(path.data, CONFIG_BYTES_MAX, arena, &config, err));
    if (config.kind != MG_MAP) {
        return mg_fail(err, MG_ERR_FORMAT, "%s: must be a map", path.data);
    }
    mg_value changed = mg_value_of_map(arena, config.count + 1);
    changed.count = 0;
    for (int64_t i = 0; i < config.count; i++) {
        if (!mg_str_is(config.entries[i].key.string, "chat_template")) {
            changed.entries[changed.count++] = config.entries[i];
        }
    }
    changed.entries[changed.count].key = mg_value_of_str(arena, mg_str_of("chat_template"));
    changed.entries[changed.count++].value = mg_value_of_str(arena, template_);
    mg_json_style style;
    memset(&style, 0, sizeof(style));
    style.indent = 2;
    mg_buf text = { NULL, 0, 0 };
    mg_json_write(&text, &changed, &style);
    mg_buf_add_char(&text, '\n');
    mg_status status = mg_file_write_atomic(path.data, mg_buf_view(&text), err);
    mg_buf_release(&text);
    return status;
}

mg_status mg_chat_template_write(const char *folder, mg_str template_, mg_error *err)
{
    mg_arena arena = { NULL, 0, 0 };
    mg_status status = mg_file_write_atomic(
        mg_path_join(&arena, folder, "chat_template.jinja").data, template_, err);
    if (status == MG_OK) {
        status = update_config(folder, template_, &arena, err);
    }
    mg_arena_release(&arena);
    return status;
}
