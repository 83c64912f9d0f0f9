/* tokenizer/settings.c - typed members of JSON objects. */
#include "tokenizer/settings_internal.h"

static mg_status wrong_kind(const char *key, const mg_value *value, const char *expected,
                            mg_error *err)
{
    return mg_fail(err, MG_ERR_FORMAT, "'%s' is %s, must be %s", key, mg_kind_name(value->kind),
                   expected);
}

mg_status mg_setting_bool(const mg_value *map, const char *key, bool fallback, bool *value_out,
                          mg_error *err)
{
    const mg_value *value = mg_value_get(map, key);
    *value_out = fallback;
    if (mg_value_is_null(value)) {
        return MG_OK;
    }
    if (value->kind != MG_BOOL) {
        return wrong_kind(key, value, "true or false", err);
    }
    *value_out = value->boolean;
    return MG_OK;
}

mg_status mg_setting_int(const mg_value *map, const char *key, int64_t fallback, int64_t *value_out,
                         mg_error *err)
{
    const mg_value *value = mg_value_get(map, key);
    *value_out = fallback;
    if (mg_value_is_null(value)) {
        return MG_OK;
    }
    return mg_value_to_int(value, value_out) ? MG_OK : wrong_kind(key, value, "an integer", err);
}

mg_status mg_setting_str(const mg_value *map, const char *key, mg_str *value_out, mg_error *err)
{
    const mg_value *value = mg_value_get(map, key);
    *value_out = mg_str_make(NULL, 0);
    if (mg_value_is_null(value)) {
        return MG_OK;
    }
    if (value->kind != MG_STRING) {
        return wrong_kind(key, value, "a string", err);
    }
    *value_out = value->string;
    return MG_OK;
}

mg_status mg_setting_list(const mg_value *map, const char *key, const mg_value **value_out,
                          mg_error *err)
{
    const mg_value *value = mg_value_get(map, key);
    *value_out = NULL;
    if (mg_value_is_null(value)) {
        return MG_OK;
    }
    if (value->kind != MG_LIST) {
        return wrong_kind(key, value, "a list", err);
    }
    *value_out = value;
    return MG_OK;
}
