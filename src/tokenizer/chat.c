/* tokenizer/chat.c - a model's chat templates: where they come from and how they are rendered.
 *
 * Templates are compiled when the tokenizer is opened.  A mistake in one is kept and reported when
 * it is asked for, so that it does no harm to those who only encode. */
#include "tokenizer/chat.h"

#include "base/fs.h"
#include "base/memory.h"
#include "text/json.h"
#include "text/template.h"
#include "text/utf8.h"
#include "tokenizer/settings_internal.h"
#include "tokenizer/tokenizer_internal.h"

#define TEMPLATE_BYTES_MAX ((size_t)4 << 20)

/* Put behind the last message to find out where the template puts its end. */
#define CONTINUE_TAG "CONTINUE_FINAL_MESSAGE_TAG "

/* ---- loading ---- */

static void add_template(mg_tokenizer *t, mg_str name, mg_str source)
{
    mg_error err;
    mg_chat_template *one = mg_arena_new(&t->arena, mg_chat_template);
    one->name = mg_arena_copy(&t->arena, name);
    mg_error_clear(&err);
    one->status =
        mg_template_compile(source, "chat template", MG_TEMPLATE_CHAT, &one->compiled, &err);
    one->message = mg_arena_copy(&t->arena, mg_str_of(err.message));
    one->next = t->templates;
    t->templates = one;
}

static mg_status add_file(mg_tokenizer *t, const char *path, mg_str name, mg_error *err)
{
    mg_bytes bytes = { NULL, 0 };
    MG_TRY(mg_file_read(path, TEMPLATE_BYTES_MAX, &bytes, err));
    add_template(t, name, mg_str_make((const char *)bytes.data, bytes.size));
    mg_bytes_release(&bytes);
    return MG_OK;
}

/* chat_template.jinja and additional_chat_templates/NAME.jinja: together they win. */
static mg_status add_files(mg_tokenizer *t, const char *folder, mg_error *err)
{
    const char *path = mg_path_join(&t->arena, folder, "chat_template.jinja").data;
    if (mg_path_is_file(path)) {
        MG_TRY(add_file(t, path, mg_str_of("default"), err));
    }
    const char *more = mg_path_join(&t->arena, folder, "additional_chat_templates").data;
    mg_str *names = NULL;
    int64_t count = 0;
    if (mg_path_is_folder(more)) {
        MG_TRY(mg_folder_list(more, &t->arena, &names, &count, err));
    }
    for (int64_t i = 0; i < count; i++) {
        if (mg_str_ends(names[i], ".jinja")) {
            mg_str name = mg_str_slice(names[i], 0, names[i].size - strlen(".jinja"));
            MG_TRY(add_file(t, mg_path_join(&t->arena, more, names[i].data).data, name, err));
        }
    }
    return MG_OK;
}

/* A text, or a list of {name, template}. */
static mg_status add_value(mg_tokenizer *t, const mg_value *value, mg_error *err)
{
    if (mg_value_is_null(value)) {
        return MG_OK;
    }
    if (value->kind == MG_STRING) {
        add_template(t, mg_str_of("default"), value->string);
        return MG_OK;
    }
    for (int64_t i = 0; value->kind == MG_LIST && i < value->count; i++) {
        mg_str name;
        mg_str source;
        MG_TRY(mg_setting_str(&value->items[i], "name", &name, err));
        MG_TRY(mg_setting_str(&value->items[i], "template", &source, err));
        if (name.data != NULL && source.data != NULL) {
            add_template(t, name, source);
        }
    }
    return MG_OK;
}

mg_status mg_chat_templates_read(mg_tokenizer *tokenizer, const char *folder,
                                 const mg_value *config, mg_error *err)
{
    MG_TRY(add_files(tokenizer, folder, err));
    if (tokenizer->templates == NULL) {
        MG_TRY(add_value(tokenizer, mg_value_get(config, "chat_template"), err));
    }
    const char *path = mg_path_join(&tokenizer->arena, folder, "chat_template.json").data;
    if (tokenizer->templates == NULL && mg_path_is_file(path)) {
        mg_arena tree = { NULL, 0, 0 };
        mg_value json;
        mg_status status = mg_json_read(path, TEMPLATE_BYTES_MAX, &tree, &json, err);
        if (status == MG_OK) {
            status = add_value(tokenizer, mg_value_get(&json, "chat_template"), err);
        }
        mg_arena_release(&tree);
        return status;
    }
    return MG_OK;
}

void mg_chat_templates_release(mg_tokenizer *tokenizer)
{
    for (mg_chat_template *one = tokenizer->templates; one != NULL; one = one->next) {
        mg_template_destroy(one->compiled);
    }
    tokenizer->templates = NULL;
}

bool mg_tokenizer_has_chat_template(const mg_tokenizer *tokenizer)
{
    return tokenizer->templates != NULL;
}

/* ---- rendering ---- */

static const mg_chat_template *find_template(const mg_tokenizer *t, mg_str name)
{
    for (const mg_chat_template *one = t->templates; one != NULL; one = one->next) {
        if (mg_str_equal(one->name, name)) {
            return one;
        }
    }
    return NULL;
}

static mg_status choose_template(const mg_tokenizer *t, const mg_chat_args *args,
                                 const mg_chat_template **template_out, mg_error *err)
{
    mg_str name = args->template_name;
    if (t->templates == NULL) {
        return mg_fail(err, MG_ERR_NOT_FOUND, "the model has no chat template");
    }
    if (name.size == 0) {
        bool tools = args->tools != NULL && find_template(t, mg_str_of("tool_use")) != NULL;
        name = mg_str_of(tools ? "tool_use" : "default");
    }
    *template_out = find_template(t, name);
    if (*template_out == NULL) {
        return mg_fail(err, MG_ERR_NOT_FOUND, "the model has no chat template named '%.*s'",
                       MG_STR_ARG(name));
    }
    if ((*template_out)->compiled == NULL) {
        return mg_fail(err, (*template_out)->status, "%s", (*template_out)->message.data);
    }
    return MG_OK;
}

/* Variables under construction; a later value replaces an earlier one of the same name. */
static void set_variable(mg_value *map, mg_arena *arena, mg_str name, const mg_value *value)
{
    for (int64_t i = 0; i < map->count; i++) {
        if (mg_str_equal(map->entries[i].key.string, name)) {
            map->entries[i].value = *value;
            return;
        }
    }
    map->entries[map->count].key = mg_value_of_str(arena, name);
    map->entries[map->count++].value = *value;
}

static void set_specials(mg_value *map, mg_arena *arena, const mg_tokenizer *t)
{
    static const char *const names[MG_SPECIAL_COUNT] = { "bos_token", "eos_token", "unk_token",
                                                         "pad_token", "sep_token", "cls_token",
                                                         "mask_token" };
    for (int kind = 0; kind < MG_SPECIAL_COUNT; kind++) {
        if (t->specials[kind].content.data != NULL) {
            mg_value text = mg_value_of_str(arena, t->specials[kind].content);
            set_variable(map, arena, mg_str_of(names[kind]), &text);
        }
    }
}

static mg_value make_variables(const mg_tokenizer *t, const mg_chat_args *args,
                               const mg_value *messages, mg_arena *arena)
{
    int64_t more = args->template_args == NULL || args->template_args->kind != MG_MAP
                       ? 0
                       : args->template_args->count;
    mg_value map = mg_value_of_map(arena, 4 + MG_SPECIAL_COUNT + more);
    map.count = 0;
    set_specials(&map, arena, t);
    for (int64_t i = 0; i < more; i++) {
        const mg_entry *entry = &args->template_args->entries[i];
        set_variable(&map, arena, entry->key.string, &entry->value);
    }
    mg_value prompt = mg_value_of_bool(args->add_generation_prompt);
    set_variable(&map, arena, mg_str_of("messages"), messages);
    set_variable(&map, arena, mg_str_of("tools"),
                 args->tools != NULL ? args->tools : &mg_value_null);
    if (mg_value_get(&map, "documents") == NULL) {
        set_variable(&map, arena, mg_str_of("documents"), &mg_value_null);
    }
    set_variable(&map, arena, mg_str_of("add_generation_prompt"), &prompt);
    return map;
}

/* A copy of messages with the tag behind the last one's content, which goes to *content_out. */
static mg_status tag_last(const mg_value *messages, mg_arena *arena, mg_value *tagged_out,
                          mg_str *content_out, mg_error *err)
{
    *tagged_out = mg_value_copy(arena, messages);
    mg_value *last = messages->kind == MG_LIST && messages->count > 0
                         ? &tagged_out->items[messages->count - 1]
                         : NULL;
    for (int64_t i = 0; last != NULL && last->kind == MG_MAP && i < last->count; i++) {
        mg_value *value = &last->entries[i].value;
        if (mg_str_is(last->entries[i].key.string, "content") && value->kind == MG_STRING) {
            *content_out = value->string;
            *value = mg_value_of_str(
                arena, mg_arena_printf(arena, "%.*s" CONTINUE_TAG, MG_STR_ARG(value->string)));
            return MG_OK;
        }
    }
    return mg_fail(err, MG_ERR_FORMAT, "the last message has no text to continue");
}

static int64_t find_last(mg_str text, mg_str needle)
{
    int64_t last = -1;
    for (int64_t hit; (hit = mg_str_find(text, needle, (size_t)(last + 1))) >= 0;) {
        last = hit;
    }
    return last;
}

/* Cuts the text at the tag; white space before it stays only where the template keeps it behind. */
static mg_status cut_at_tag(mg_buf *text, size_t from, mg_str content, mg_error *err)
{
    mg_str tag = mg_str_of(CONTINUE_TAG);
    mg_str rendered = mg_str_slice(mg_buf_view(text), from, text->size);
    int64_t at = find_last(rendered, mg_str_trim(tag));
    if (at < 0 || mg_str_find(rendered, mg_unicode_trim(content, true, true), 0) < 0) {
        return mg_fail(err, MG_ERR_FORMAT,
                       "the chat template does not show the last message, so it cannot be "
                       "continued");
    }
    mg_str kept = mg_str_slice(rendered, 0, (size_t)at);
    if (!mg_str_equal(mg_str_slice(rendered, (size_t)at, (size_t)at + tag.size), tag)) {
        kept = mg_unicode_trim(kept, false, true);
    }
    text->size = from + kept.size;
    text->data[text->size] = '\0';
    return MG_OK;
}

mg_status mg_chat_render(const mg_tokenizer *tokenizer, const mg_chat_args *args, mg_buf *text_out,
                         mg_error *err)
{
    mg_status status = MG_OK;
    mg_arena arena = { NULL, 0, 0 };
    const mg_chat_template *chosen = NULL;
    mg_value given = args->messages != NULL ? *args->messages : mg_value_null;
    mg_value messages = given;
    mg_str content = { "", 0 };
    size_t before = text_out->size;
    MG_TRY(choose_template(tokenizer, args, &chosen, err));
    if (args->continue_final_message) {
        if (args->add_generation_prompt) {
            return mg_fail(err, MG_ERR_FORMAT,
                           "a chat cannot both continue its last message and "
                           "start a new one");
        }
        MG_TRY_OR_DONE(tag_last(&given, &arena, &messages, &content, err));
    }
    mg_value variables = make_variables(tokenizer, args, &messages, &arena);
    MG_TRY_OR_DONE(mg_template_render(chosen->compiled, &variables, args->now, text_out, err));
    if (args->continue_final_message) {
        MG_TRY_OR_DONE(cut_at_tag(text_out, before, content, err));
    }

done:
    if (status != MG_OK && text_out->size > before) {
        text_out->size = before;
    }
    mg_arena_release(&arena);
    return status;
}
