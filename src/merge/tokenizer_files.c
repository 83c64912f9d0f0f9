/* merge/tokenizer_files.c - a built tokenizer as others load it.
 *
 * transformers reads added tokens from two places: `added_tokens` of tokenizer.json, and, where it
 * is there, `added_tokens_decoder` of tokenizer_config.json, which then counts alone for several
 * classes.  Both must hold the same tokens. */
#include "merge/tokenizer_files_internal.h"

#include "base/fs.h"
#include "merge/chat_template.h"
#include "text/json.h"

#define CONFIG_BYTES_MAX ((size_t)16 << 20)

static mg_status write_json(const mg_value *value, const char *path, mg_error *err)
{
    mg_buf text = { NULL, 0, 0 };
    mg_json_style style;
    memset(&style, 0, sizeof(style));
    style.indent = 2;
    mg_json_write(&text, value, &style);
    mg_status status = mg_file_write_atomic(path, mg_buf_view(&text), err);
    mg_buf_release(&text);
    return status;
}

/* {"ID": {"content": ..., "lstrip": ..., ...}} of the list `added_tokens`. */
static mg_value make_decoder(const mg_value *added, mg_arena *arena)
{
    mg_value decoder = mg_value_of_map(arena, added->count);
    for (int64_t i = 0; i < added->count; i++) {
        const mg_value *record = &added->items[i];
        int64_t id = 0;
        (void)mg_value_to_int(mg_value_get(record, "id"), &id);
        mg_value entry = mg_value_of_map(arena, record->count);
        entry.count = 0;
        for (int64_t k = 0; k < record->count; k++) {
            if (!mg_str_is(record->entries[k].key.string, "id")) {
                entry.entries[entry.count++] = record->entries[k];
            }
        }
        decoder.entries[i].key =
            mg_value_of_str(arena, mg_arena_printf(arena, "%lld", (long long)id));
        decoder.entries[i].value = entry;
    }
    return decoder;
}

/* tokenizer_config.json of the source, where it has one. */
static mg_status write_config(const mg_vocabulary *vocabulary, const char *to, mg_arena *arena,
                              mg_error *err)
{
    const char *name = "tokenizer_config.json";
    const char *from = mg_path_join(arena, vocabulary->folder, name).data;
    if (!mg_path_is_file(from)) {
        return MG_OK;
    }
    mg_value config;
    MG_TRY(mg_json_read(from, CONFIG_BYTES_MAX, arena, &config, err));
    for (int64_t i = 0; config.kind == MG_MAP && i < config.count; i++) {
        if (mg_str_is(config.entries[i].key.string, "added_tokens_decoder")) {
            config.entries[i].value =
                make_decoder(mg_value_get(&vocabulary->tokenizer, "added_tokens"), arena);
        }
    }
    return write_json(&config, mg_path_join(arena, to, name).data, err);
}

mg_status mg_tokenizer_files_write(const mg_vocabulary *vocabulary, const char *to, mg_arena *arena,
                                   mg_error *err)
{
    static const char *const copied[] = { "special_tokens_map.json", "chat_template.jinja",
                                          "chat_template.json" };
    MG_TRY(write_json(&vocabulary->tokenizer, mg_path_join(arena, to, "tokenizer.json").data, err));
    MG_TRY(write_config(vocabulary, to, arena, err));
    for (int64_t i = 0; i < MG_ARRAY_COUNT(copied); i++) {
        mg_str from = mg_path_join(arena, vocabulary->folder, copied[i]);
        if (mg_path_is_file(from.data)) {
            MG_TRY(mg_file_copy(from.data, mg_path_join(arena, to, copied[i]).data, err));
        }
    }
    return mg_chat_template_copy_out(to, err);
}
