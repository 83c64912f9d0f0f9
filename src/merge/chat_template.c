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

/* Each renders what mergekit's template of that name does, white space included: the vendors'
 * published texts, of which mergekit lays some out in lines that show in the result. */
static const builtin builtins[] = {
    { "chatml", "{% for message in messages %}"
                "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
                "'\\n'}}{% endfor %}\n"
                "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}\n" },
    { "llama3", "{% set loop_messages = messages %}\n"
                "{% for message in loop_messages %}\n"
                "{% set content = '<|start_header_id|>' + message['role'] + "
                "'<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' %}\n"
                "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}\n"
                "{{ content }}\n"
                "{% endfor %}\n"
                "{% if add_generation_prompt %}"
                "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}\n" },
    { "mistral", "{%- if messages[0]['role'] == 'system' %}\n"
                 "    {%- set system_message = messages[0]['content'] %}\n"
                 "    {%- set loop_messages = messages[1:] %}\n"
                 "{%- else %}\n"
                 "    {%- set loop_messages = messages %}\n"
                 "{%- endif %}\n"
                 "\n"
                 "{{- bos_token }}\n"
                 "{%- for message in loop_messages %}\n"
                 "    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\n"
                 "        {{- raise_exception('After the optional system message, conversation "
                 "roles must alternate user/assistant/user/assistant/...') }}\n"
                 "    {%- endif %}\n"
                 "    {%- if message['role'] == 'user' %}\n"
                 "        {%- if loop.first and system_message is defined %}\n"
                 "            {{- ' [INST] ' + system_message + '\\n\\n' + message['content'] + "
                 "' [/INST]' }}\n"
                 "        {%- else %}\n"
                 "            {{- ' [INST] ' + message['content'] + ' [/INST]' }}\n"
                 "        {%- endif %}\n"
                 "    {%- elif message['role'] == 'assistant' %}\n"
                 "        {{- ' ' + message['content'] + eos_token}}\n"
                 "    {%- else %}\n"
                 "        {{- raise_exception('Only user and assistant roles are supported, with "
                 "the exception of an initial optional system message!') }}\n"
                 "    {%- endif %}\n"
                 "{%- endfor %}\n" },
    { "alpaca", "{% set ns = namespace(system='') %}"
                "{% for m in messages %}{% if m['role'] == 'system' %}"
                "{% set ns.system = m['content'] | trim %}{% endif %}{% endfor %}"
                "{{ ns.system + '\\n\\n' }}"
                "{% for m in messages %}"
                "{% set title = {'user': 'Instruction', 'assistant': 'Response', "
                "'user_context': 'Input'}.get(m['role']) %}"
                "{% if title %}{{ '### ' + title + ':\\n' + m['content'] | trim }}"
                "{% if not loop.last %}{{ '\\n\\n' }}{% endif %}{% endif %}"
                "{% endfor %}"
                "{% if add_generation_prompt and messages[-1]['role'] != 'assistant' %}"
                "{{ '### Response:\\n' }}{% endif %}" },
    { "exaone", "{% for message in messages %}\n"
                "    {% if loop.first and message['role'] != 'system' %}\n"
                "        {{ '[|system|][|endofturn|]\\n' }}\n"
                "    {% endif %}\n"
                "    {{ '[|' + message['role'] + '|]' + message['content'] }}\n"
                "    {% if message['role'] == 'user' %}\n"
                "        {{ '\\n' }}\n"
                "    {% else %}\n"
                "        {{ '[|endofturn|]\\n' }}\n"
                "    {% endif %}\n"
                "{% endfor %}\n"
                "{% if add_generation_prompt %}\n"
                "    {{ '[|assistant|]' }}\n"
                "{% endif %}\n" },
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

mg_str mg_chat_template_of(const char *folder, mg_arena *arena)
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
        found[i] = mg_chat_template_of(folders[i], arena);
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

mg_status mg_chat_template_copy_out(const char *folder, mg_error *err)
{
    mg_arena arena = { NULL, 0, 0 };
    mg_status status = MG_OK;
    mg_value config;
    mg_str file = mg_path_join(&arena, folder, "chat_template.jinja");
    mg_str path = mg_path_join(&arena, folder, "tokenizer_config.json");
    if (!mg_path_is_file(file.data) && mg_path_is_file(path.data)) {
        status = mg_json_read(path.data, CONFIG_BYTES_MAX, &arena, &config, err);
        mg_str text = status == MG_OK ? template_of_config(&config) : mg_str_of("");
        if (text.size > 0) {
            status = mg_file_write_atomic(file.data, text, err);
        }
    }
    mg_arena_release(&arena);
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
