/* tokenizer/pretokenize_read.c - the pre-tokeniser's JSON to steps. */
#include "base/memory.h"
#include "tokenizer/normalize_internal.h"
#include "tokenizer/pretokenize_internal.h"
#include "tokenizer/settings_internal.h"

#define FIXED_LENGTH_MAX 1000000

void mg_pretokenizer_release(mg_pretokenizer *pretokenizer)
{
    if (pretokenizer != NULL) {
        for (int64_t i = 0; i < pretokenizer->count; i++) {
            mg_regex_destroy(pretokenizer->steps[i].regex);
        }
        mg_free(pretokenizer->classes);
        memset(pretokenizer, 0, sizeof(*pretokenizer));
    }
}

static mg_pre_step *add_step(mg_pretokenizer *pretokenizer, mg_pre_kind kind)
{
    MG_ASSERT(pretokenizer->count < MG_PRE_STEPS_MAX);
    mg_pre_step *step = &pretokenizer->steps[pretokenizer->count++];
    memset(step, 0, sizeof(*step));
    step->kind = kind;
    return step;
}

static mg_status need_classes(mg_pretokenizer *pretokenizer, mg_error *err)
{
    return pretokenizer->classes != NULL ? MG_OK
                                         : mg_char_classes_create(&pretokenizer->classes, err);
}

mg_status mg_pretokenizer_add_byte_level(mg_pretokenizer *pretokenizer, bool add_prefix_space,
                                         mg_error *err)
{
    mg_pre_step *step = add_step(pretokenizer, MG_PRE_BYTE_LEVEL);
    step->add_prefix_space = add_prefix_space;
    step->split = true;
    return need_classes(pretokenizer, err);
}

/* The pattern of a SPLIT step: a scanner where there is one. */
static mg_status set_pattern(mg_pretokenizer *pretokenizer, mg_pre_step *step, mg_str pattern,
                             mg_error *err)
{
    step->scan = mg_scan_find(pattern);
    if (step->scan != MG_SCAN_NONE) {
        return need_classes(pretokenizer, err);
    }
    return mg_regex_compile(pattern, MG_REGEX_ONIGURUMA, &step->regex, err);
}

mg_status mg_pretokenizer_add_split_bytes(mg_pretokenizer *pretokenizer, mg_str pattern,
                                          bool add_prefix_space, mg_error *err)
{
    MG_TRY(set_pattern(pretokenizer, add_step(pretokenizer, MG_PRE_SPLIT), pattern, err));
    add_step(pretokenizer, MG_PRE_BYTE_LEVEL)->add_prefix_space = add_prefix_space;
    return MG_OK;
}

void mg_pretokenizer_add_metaspace(mg_pretokenizer *pretokenizer, mg_str replacement,
                                   mg_prepend_scheme scheme, bool split)
{
    mg_pre_step *step = add_step(pretokenizer, MG_PRE_METASPACE);
    step->replacement = replacement;
    step->scheme = scheme;
    step->split = split;
}

static mg_status read_behavior(const mg_value *json, mg_split_behavior fallback,
                               mg_split_behavior *behavior_out, mg_error *err)
{
    /* Two spellings: the library's own and that of its Python side. */
    static const char *const names[] = { "Isolated", "Removed", "MergedWithPrevious",
                                         "MergedWithNext", "Contiguous" };
    static const char *const lower_names[] = { "isolated", "removed", "merged_with_previous",
                                               "merged_with_next", "contiguous" };
    mg_str name;
    *behavior_out = fallback;
    MG_TRY(mg_setting_str(json, "behavior", &name, err));
    if (name.data == NULL) {
        return MG_OK;
    }
    for (int i = 0; i < (int)MG_ARRAY_COUNT(names); i++) {
        if (mg_str_is(name, names[i]) || mg_str_is(name, lower_names[i])) {
            *behavior_out = (mg_split_behavior)i;
            return MG_OK;
        }
    }
    return mg_fail(err, MG_ERR_UNSUPPORTED, "split behavior '%.*s' is not supported",
                   MG_STR_ARG(name));
}

static mg_status read_split(const mg_value *json, mg_arena *arena, mg_pretokenizer *pretokenizer,
                            mg_error *err)
{
    mg_pre_step *step = add_step(pretokenizer, MG_PRE_SPLIT);
    mg_str regex;
    MG_TRY(mg_pattern_read(json, "pre_tokenizer Split", arena, &step->literal, &regex, err));
    MG_TRY(read_behavior(json, MG_SPLIT_ISOLATED, &step->behavior, err));
    MG_TRY(mg_setting_bool(json, "invert", false, &step->invert, err));
    if (regex.data == NULL) {
        return MG_OK;
    }
    return set_pattern(pretokenizer, step, regex, err);
}

static mg_status read_char_delimiter(const mg_value *json, mg_arena *arena,
                                     mg_pretokenizer *pretokenizer, mg_error *err)
{
    mg_pre_step *step = add_step(pretokenizer, MG_PRE_SPLIT);
    mg_str delimiter;
    MG_TRY(mg_setting_str(json, "delimiter", &delimiter, err));
    step->literal = mg_arena_copy(arena, delimiter);
    step->behavior = MG_SPLIT_REMOVED;
    return MG_OK;
}

static mg_status read_byte_level(const mg_value *json, mg_pretokenizer *pretokenizer, mg_error *err)
{
    mg_pre_step *step = add_step(pretokenizer, MG_PRE_BYTE_LEVEL);
    MG_TRY(mg_setting_bool(json, "add_prefix_space", true, &step->add_prefix_space, err));
    MG_TRY(mg_setting_bool(json, "use_regex", true, &step->split, err));
    return step->split ? need_classes(pretokenizer, err) : MG_OK;
}

static mg_status read_metaspace(const mg_value *json, mg_arena *arena,
                                mg_pretokenizer *pretokenizer, mg_error *err)
{
    static const char *const schemes[] = { "always", "first", "never" };
    mg_pre_step *step = add_step(pretokenizer, MG_PRE_METASPACE);
    mg_str replacement;
    mg_str scheme;
    bool prefix;
    MG_TRY(mg_setting_str(json, "replacement", &replacement, err));
    MG_TRY(mg_setting_str(json, "prepend_scheme", &scheme, err));
    MG_TRY(mg_setting_bool(json, "split", true, &step->split, err));
    MG_TRY(mg_setting_bool(json, "add_prefix_space", true, &prefix, err));
    if (replacement.size == 0) {
        return mg_fail(err, MG_ERR_FORMAT, "pre_tokenizer Metaspace: 'replacement' is missing");
    }
    step->replacement = mg_arena_copy(arena, replacement);
    step->scheme = prefix ? MG_PREPEND_ALWAYS : MG_PREPEND_NEVER;
    if (scheme.data == NULL) {
        return MG_OK;
    }
    for (int i = 0; i < (int)MG_ARRAY_COUNT(schemes); i++) {
        if (mg_str_is(scheme, schemes[i])) {
            step->scheme = (mg_prepend_scheme)i;
            if (!prefix && step->scheme != MG_PREPEND_NEVER) {
                return mg_fail(err, MG_ERR_FORMAT,
                               "pre_tokenizer Metaspace: add_prefix_space and prepend_scheme "
                               "contradict each other");
            }
            return MG_OK;
        }
    }
    return mg_fail(err, MG_ERR_UNSUPPORTED, "prepend_scheme '%.*s' is not supported",
                   MG_STR_ARG(scheme));
}

static mg_status read_fixed_length(const mg_value *json, mg_pretokenizer *pretokenizer,
                                   mg_error *err)
{
    mg_pre_step *step = add_step(pretokenizer, MG_PRE_FIXED_LENGTH);
    MG_TRY(mg_setting_int(json, "length", 5, &step->length, err));
    if (step->length < 1 || step->length > FIXED_LENGTH_MAX) {
        return mg_fail(err, MG_ERR_FORMAT, "pre_tokenizer FixedLength: length must be in [1, %d]",
                       FIXED_LENGTH_MAX);
    }
    return MG_OK;
}

/* The types without more to read than their name, or nearly so. */
static mg_status read_simple(mg_str type, const mg_value *json, mg_pretokenizer *pretokenizer,
                             mg_error *err)
{
    if (mg_str_is(type, "Digits")) {
        mg_pre_step *step = add_step(pretokenizer, MG_PRE_DIGITS);
        return mg_setting_bool(json, "individual_digits", false, &step->individual, err);
    }
    if (mg_str_is(type, "Punctuation")) {
        mg_pre_step *step = add_step(pretokenizer, MG_PRE_PUNCTUATION);
        return read_behavior(json, MG_SPLIT_ISOLATED, &step->behavior, err);
    }
    if (mg_str_is(type, "Whitespace")) {
        (void)add_step(pretokenizer, MG_PRE_WHITESPACE);
        return need_classes(pretokenizer, err);
    }
    if (mg_str_is(type, "WhitespaceSplit")) {
        (void)add_step(pretokenizer, MG_PRE_WHITESPACE_SPLIT);
        return MG_OK;
    }
    if (mg_str_is(type, "BertPreTokenizer")) {
        (void)add_step(pretokenizer, MG_PRE_BERT);
        return MG_OK;
    }
    return mg_fail(err, MG_ERR_UNSUPPORTED, "pre_tokenizer type '%.*s' is not supported",
                   MG_STR_ARG(type));
}

static mg_status read_step(const mg_value *json, mg_arena *arena, mg_pretokenizer *pretokenizer,
                           mg_error *err)
{
    mg_str type;
    MG_TRY(mg_setting_str(json, "type", &type, err));
    if (mg_str_is(type, "Sequence")) {
        const mg_value *steps;
        MG_TRY(mg_setting_list(json, "pretokenizers", &steps, err));
        for (int64_t i = 0; steps != NULL && i < steps->count; i++) {
            MG_TRY(read_step(&steps->items[i], arena, pretokenizer, err));
        }
        return MG_OK;
    }
    if (pretokenizer->count == MG_PRE_STEPS_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "the pre_tokenizer has more than %d steps",
                       MG_PRE_STEPS_MAX);
    }
    if (mg_str_is(type, "Split")) {
        return read_split(json, arena, pretokenizer, err);
    }
    if (mg_str_is(type, "ByteLevel")) {
        return read_byte_level(json, pretokenizer, err);
    }
    if (mg_str_is(type, "Metaspace")) {
        return read_metaspace(json, arena, pretokenizer, err);
    }
    if (mg_str_is(type, "CharDelimiterSplit")) {
        return read_char_delimiter(json, arena, pretokenizer, err);
    }
    if (mg_str_is(type, "FixedLength")) {
        return read_fixed_length(json, pretokenizer, err);
    }
    return read_simple(type, json, pretokenizer, err);
}

mg_status mg_pretokenizer_read(const mg_value *json, mg_arena *arena,
                               mg_pretokenizer *pretokenizer_out, mg_error *err)
{
    memset(pretokenizer_out, 0, sizeof(*pretokenizer_out));
    return mg_value_is_null(json) ? MG_OK : read_step(json, arena, pretokenizer_out, err);
}
