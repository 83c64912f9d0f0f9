/* eval/filter.c - the filters that the harness brings along, natively; classes of the user in the
 * worker. */
#include "eval/filter.h"

#include "base/memory.h"
#include "text/template.h"
#include "text/utf8.h"

#include <inttypes.h>
#include <stdlib.h>

#define REGEX_DEFAULT "#### (\\-?[0-9\\.\\,]+)"
#define POS_PATTERN "\\('([^']*)', '([^']*)'\\)"
#define CHOICES_MAX 64

static const struct {
    const char *name;
    mg_filter_kind kind;
} kinds[] = {
    { "take_first", MG_FILTER_TAKE_FIRST },
    { "take_first_k", MG_FILTER_TAKE_FIRST_K },
    { "majority_vote", MG_FILTER_MAJORITY_VOTE },
    { "regex", MG_FILTER_REGEX },
    { "multi_choice_regex", MG_FILTER_MULTI_CHOICE_REGEX },
    { "regex_pos", MG_FILTER_REGEX_POS },
    { "remove_whitespace", MG_FILTER_REMOVE_WHITESPACE },
    { "lowercase", MG_FILTER_LOWERCASE },
    { "uppercase", MG_FILTER_UPPERCASE },
    { "map", MG_FILTER_MAP },
    { "format_span", MG_FILTER_FORMAT_SPAN },
    { "custom", MG_FILTER_CUSTOM },
};

static mg_value text_value(mg_arena *arena, const mg_buf *text)
{
    return mg_value_of_str(arena, mg_buf_view(text));
}

/* Python's truth of a value. */
static bool is_true(const mg_value *value)
{
    if (mg_value_is_null(value)) {
        return false;
    }
    switch (value->kind) {
    case MG_BOOL:
        return value->boolean;
    case MG_INT:
        return value->integer != 0;
    case MG_FLOAT:
        return value->number != 0;
    case MG_STRING:
        return value->string.size > 0;
    default:
        return value->count > 0;
    }
}

static mg_status read_regex(const mg_value *arguments, mg_filter_step *step, mg_error *err)
{
    const mg_value *pattern = mg_value_get(arguments, "regex_pattern");
    const mg_value *select = mg_value_get(arguments, "group_select");
    const mg_value *fallback = mg_value_get(arguments, "fallback");
    const mg_value *ignored = mg_value_get(arguments, "regexes_to_ignore");
    mg_str text = mg_str_of(step->kind == MG_FILTER_REGEX_POS ? POS_PATTERN : REGEX_DEFAULT);
    if (pattern != NULL && pattern->kind == MG_STRING && step->kind != MG_FILTER_REGEX_POS) {
        text = pattern->string;
    }
    MG_TRY(mg_regex_compile(text, MG_REGEX_PYTHON, &step->regex, err));
    if (select != NULL && !mg_value_to_int(select, &step->group_select)) {
        return mg_fail(err, MG_ERR_CONFIG, "group_select is %s, must be a whole number",
                       mg_kind_name(select->kind));
    }
    step->fallback = mg_value_null;
    step->fallback.kind = MG_STRING;
    step->fallback.string = mg_str_of("[invalid]");
    if (fallback != NULL) {
        step->fallback = *fallback;
    }
    step->ignore_case = is_true(mg_value_get(arguments, "ignore_case"));
    step->ignore_punctuation = is_true(mg_value_get(arguments, "ignore_punctuation"));
    if (ignored != NULL && ignored->kind == MG_LIST) {
        step->ignored = mg_new_array(mg_regex *, ignored->count + 1);
        for (int64_t i = 0; i < ignored->count; i++) {
            MG_TRY(mg_regex_compile(ignored->items[i].string, MG_REGEX_PYTHON, &step->ignored[i],
                                    err));
            step->ignored_count++;
        }
    }
    return MG_OK;
}

bool mg_filter_is_known(mg_str name)
{
    for (int64_t i = 0; i < MG_ARRAY_COUNT(kinds); i++) {
        if (mg_str_is(name, kinds[i].name)) {
            return true;
        }
    }
    return false;
}

mg_status mg_filter_step_read(mg_str name, const mg_value *arguments, mg_filter_step *step_out,
                              mg_error *err)
{
    *step_out = (mg_filter_step){ .arguments = arguments };
    const char *names[MG_ARRAY_COUNT(kinds)];
    bool found = false;
    for (int64_t i = 0; i < MG_ARRAY_COUNT(kinds); i++) {
        names[i] = kinds[i].name;
        if (mg_str_is(name, kinds[i].name)) {
            step_out->kind = kinds[i].kind;
            found = true;
        }
    }
    if (!found) {
        const char *near = mg_str_nearest(name, names, MG_ARRAY_COUNT(kinds));
        return mg_fail(err, MG_ERR_CONFIG, "unknown filter '%.*s'%s%s%s", MG_STR_ARG(name),
                       near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                       near != NULL ? "'?" : "");
    }
    const mg_value *mapping = mg_value_get(arguments, "mapping_dict");
    const mg_value *default_value = mg_value_get(arguments, "default_value");
    step_out->mapping = mapping;
    step_out->default_value = default_value != NULL ? *default_value : mg_value_null;
    switch (step_out->kind) {
    case MG_FILTER_TAKE_FIRST_K:
        if (!mg_value_to_int(mg_value_get(arguments, "k"), &step_out->k) || step_out->k < 1) {
            return mg_fail(err, MG_ERR_CONFIG, "take_first_k needs k, a whole number above 0");
        }
        return MG_OK;
    case MG_FILTER_MAP:
        if (mapping != NULL && mapping->kind != MG_MAP) {
            return mg_fail(err, MG_ERR_CONFIG, "mapping_dict is %s, must be a mapping",
                           mg_kind_name(mapping->kind));
        }
        return MG_OK;
    case MG_FILTER_REGEX:
    case MG_FILTER_MULTI_CHOICE_REGEX:
    case MG_FILTER_REGEX_POS:
        return read_regex(arguments, step_out, err);
    default:
        return MG_OK;
    }
}

void mg_filter_step_release(mg_filter_step *step)
{
    if (step != NULL) {
        mg_regex_destroy(step->regex);
        for (int64_t i = 0; i < step->ignored_count; i++) {
            mg_regex_destroy(step->ignored[i]);
        }
        mg_free(step->ignored);
        *step = (mg_filter_step){ 0 };
    }
}

/* ---- regular expressions ---- */

static size_t after_match(mg_str text, const mg_regex_match *match)
{
    size_t end = (size_t)match->end[0];
    if (match->end[0] > match->begin[0] || end >= text.size) {
        return match->end[0] > match->begin[0] ? end : end + 1;
    }
    size_t bytes;
    (void)mg_utf8_decode(text, end, &bytes);
    return end + bytes; /* an empty match moves on by one character */
}

mg_status mg_regex_remove(const mg_regex *regex, mg_buf *text, mg_error *err)
{
    mg_status status = MG_OK;
    mg_buf kept = { 0 };
    mg_str view = mg_buf_view(text);
    size_t at = 0;
    size_t copied = 0;
    while (at <= view.size) {
        bool found;
        mg_regex_match match;
        MG_TRY_OR_DONE(mg_regex_search(regex, view, at, &found, &match, err));
        if (!found) {
            break;
        }
        mg_buf_add(&kept, mg_str_slice(view, copied, (size_t)match.begin[0]));
        copied = (size_t)match.end[0];
        at = after_match(view, &match);
    }
    mg_buf_add(&kept, mg_str_slice(view, MG_MIN(copied, view.size), view.size));
    mg_buf_clear(text);
    mg_buf_add(text, mg_buf_view(&kept));

done:
    mg_buf_release(&kept);
    return status;
}

/* The text that findall gives for one match: the match, its only group, or its first group that is
 * not empty; *empty_out tells that there are several groups and all are empty. */
static mg_str match_text(const mg_regex *regex, mg_str text, const mg_regex_match *match,
                         bool *empty_out)
{
    int groups = MG_MIN(mg_regex_group_count(regex), MG_REGEX_GROUPS_MAX - 1);
    *empty_out = false;
    for (int g = groups > 0 ? 1 : 0; g <= groups; g++) {
        mg_str part = match->begin[g] < 0
                          ? mg_str_make("", 0)
                          : mg_str_slice(text, (size_t)match->begin[g], (size_t)match->end[g]);
        if (groups <= 1 || part.size > 0) {
            return part;
        }
    }
    *empty_out = true;
    return mg_str_make("", 0);
}

/* findall(text)[select]; *found_out is false without any match. */
static mg_status find_selected(const mg_regex *regex, int64_t select, mg_str text, bool *found_out,
                               bool *empty_out, mg_str *match_out, mg_error *err)
{
    int64_t count = 0;
    int64_t cap = 8;
    mg_status status = MG_OK;
    mg_regex_match match;
    mg_str *found = mg_new_array(mg_str, cap);
    bool *empty = mg_new_array(bool, cap);
    size_t at = 0;
    *found_out = false;
    while (at <= text.size) {
        bool more;
        MG_TRY_OR_DONE(mg_regex_search(regex, text, at, &more, &match, err));
        if (!more) {
            break;
        }
        if (count == cap) {
            cap *= 2;
            found = mg_memory_resize(found, cap, sizeof(mg_str));
            empty = mg_memory_resize(empty, cap, sizeof(bool));
        }
        found[count] = match_text(regex, text, &match, &empty[count]);
        count++;
        if (select >= 0 && count > select) {
            break;
        }
        at = after_match(text, &match);
    }
    if (count > 0) {
        int64_t index = select < 0 ? select + count : select;
        if (index < 0 || index >= count) {
            status = mg_fail(err, MG_ERR_CONFIG,
                             "group_select %" PRId64 " of a regex filter, but there are only "
                             "%" PRId64 " matches",
                             select, count);
            goto done;
        }
        *found_out = true;
        *empty_out = empty[index];
        *match_out = found[index];
    }

done:
    mg_free(found);
    mg_free(empty);
    return status;
}

static mg_str response_text(const mg_value *response)
{
    return response->kind == MG_STRING ? response->string : mg_str_make("", 0);
}

static mg_status apply_regex(const mg_filter_step *step, mg_arena *arena, mg_value *response,
                             mg_error *err)
{
    bool found;
    bool empty = false;
    mg_str match;
    MG_TRY(find_selected(step->regex, step->group_select, response_text(response), &found, &empty,
                         &match, err));
    if (!found || empty) {
        *response = step->fallback;
        if (response->kind == MG_STRING) {
            response->string =
                found ? mg_unicode_trim(response->string, true, true) : response->string;
        }
        return MG_OK;
    }
    *response = mg_value_of_str(arena, mg_unicode_trim(match, true, true));
    return MG_OK;
}

/* ---- multi_choice_regex ---- */

static mg_status clean(const mg_filter_step *step, mg_str text, mg_buf *out, mg_error *err)
{
    mg_buf_clear(out);
    mg_buf_add(out, text);
    for (int64_t i = 0; i < step->ignored_count; i++) {
        MG_TRY(mg_regex_remove(step->ignored[i], out, err));
    }
    mg_buf changed = { 0 };
    if (step->ignore_case) {
        mg_unicode_lower(&changed, mg_buf_view(out));
        mg_buf_clear(out);
        mg_buf_add(out, mg_buf_view(&changed));
    }
    if (step->ignore_punctuation) {
        mg_buf_clear(&changed);
        mg_str view = mg_buf_view(out);
        size_t bytes;
        for (size_t at = 0; at < view.size; at += bytes) {
            int32_t c = mg_utf8_decode(view, at, &bytes);
            if (!mg_unicode_is_punctuation(c)) {
                mg_buf_add(&changed, mg_str_slice(view, at, at + bytes));
            }
        }
        mg_buf_clear(out);
        mg_buf_add(out, mg_buf_view(&changed));
    }
    mg_buf_release(&changed);
    return MG_OK;
}

/* Appends text as a pattern that matches it literally. */
static void add_escaped(mg_buf *pattern, mg_str text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (strchr("()[]{}?*+-|^$\\.&~# \t\n\r\v\f", text.data[i]) != NULL && text.data[i] != 0) {
            mg_buf_add_char(pattern, '\\');
        }
        mg_buf_add_char(pattern, text.data[i]);
    }
}

static int compare_longest(const void *a, const void *b)
{
    int64_t x = mg_utf8_count(*(const mg_str *)a);
    int64_t y = mg_utf8_count(*(const mg_str *)b);
    return x > y ? -1 : x < y;
}

typedef struct choice_patterns {
    mg_str cleaned[CHOICES_MAX];
    int64_t count;
    mg_regex *texts;   /* the choices' own texts */
    mg_regex *letters; /* ": A" */
} choice_patterns;

static mg_status compile_choices(const mg_filter_step *step, const mg_value *doc, mg_arena *arena,
                                 choice_patterns *patterns, mg_error *err)
{
    mg_status status = MG_OK;
    mg_buf text = { 0 };
    mg_buf letters = { 0 };
    const mg_value *choices = mg_value_get(doc, "choices");
    if (choices == NULL || choices->kind != MG_LIST || choices->count > CHOICES_MAX) {
        return mg_fail(err, MG_ERR_CONFIG,
                       "multi_choice_regex needs rows with a list `choices` of at most %d texts",
                       CHOICES_MAX);
    }
    mg_str sorted[CHOICES_MAX];
    for (int64_t i = 0; i < choices->count; i++) {
        mg_str choice = response_text(&choices->items[i]);
        MG_TRY_OR_DONE(clean(step, mg_unicode_trim(choice, true, true), &text, err));
        sorted[i] = patterns->cleaned[i] = mg_arena_copy(arena, mg_buf_view(&text));
        mg_buf_printf(&letters, "%s%s", i == 0 ? ":[\\s]*(" : "|", "");
        add_escaped(&letters,
                    mg_str_make(&"ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvw"
                                 "xyz{|}~"[i],
                                1));
    }
    mg_buf_add_text(&letters, choices->count > 0 ? ")" : ":[\\s]*()");
    patterns->count = choices->count;
    /* A stable sort, longest first: leftmost alternatives win. */
    for (int64_t i = 1; i < choices->count; i++) {
        for (int64_t k = i; k > 0 && compare_longest(&sorted[k - 1], &sorted[k]) > 0; k--) {
            mg_str swap = sorted[k];
            sorted[k] = sorted[k - 1];
            sorted[k - 1] = swap;
        }
    }
    mg_buf_clear(&text);
    for (int64_t i = 0; i < choices->count; i++) {
        mg_buf_add_text(&text, i > 0 ? "|" : "");
        add_escaped(&text, sorted[i]);
    }
    MG_TRY_OR_DONE(mg_regex_compile(mg_buf_view(&text), MG_REGEX_PYTHON, &patterns->texts, err));
    MG_TRY_OR_DONE(
        mg_regex_compile(mg_buf_view(&letters), MG_REGEX_PYTHON, &patterns->letters, err));

done:
    mg_buf_release(&text);
    mg_buf_release(&letters);
    return status;
}

static mg_value choice_label(mg_arena *arena, int64_t index)
{
    char label[4] = { '(', (char)('A' + index), ')', '\0' };
    return mg_value_of_str(arena, mg_str_of(label));
}

static mg_status apply_multi_choice(const mg_filter_step *step, const choice_patterns *patterns,
                                    mg_arena *arena, mg_value *response, mg_error *err)
{
    mg_status status = MG_OK;
    mg_buf cleaned = { 0 };
    mg_str text = response_text(response);
    mg_str match = { 0 };
    bool found;
    bool empty = false;
    MG_TRY_OR_DONE(
        find_selected(step->regex, step->group_select, text, &found, &empty, &match, err));
    match = mg_unicode_trim(match, true, true);
    if (found && match.size > 0) {
        *response = mg_value_of_str(arena, match);
        goto done;
    }
    MG_TRY_OR_DONE(clean(step, text, &cleaned, err));
    MG_TRY_OR_DONE(find_selected(patterns->texts, step->group_select, mg_buf_view(&cleaned), &found,
                                 &empty, &match, err));
    match = mg_unicode_trim(match, true, true);
    if (found && match.size > 0) {
        *response = mg_value_of_str(arena, match);
        for (int64_t i = 0; i < patterns->count; i++) {
            if (mg_str_equal(match, patterns->cleaned[i])) {
                *response = choice_label(arena, i);
            }
        }
        goto done;
    }
    MG_TRY_OR_DONE(
        find_selected(patterns->letters, step->group_select, text, &found, &empty, &match, err));
    *response = found && match.size > 0 ? choice_label(arena, match.data[0] - 'A') : step->fallback;

done:
    mg_buf_release(&cleaned);
    return status;
}

static mg_status filter_multi_choice(const mg_filter_step *step, const mg_value *doc,
                                     mg_arena *arena, mg_value *responses, mg_error *err)
{
    choice_patterns patterns = { 0 };
    mg_status status = compile_choices(step, doc, arena, &patterns, err);
    for (int64_t i = 0; status == MG_OK && i < responses->count; i++) {
        status = apply_multi_choice(step, &patterns, arena, &responses->items[i], err);
    }
    mg_regex_destroy(patterns.texts);
    mg_regex_destroy(patterns.letters);
    return status;
}

/* ---- regex_pos and format_span ---- */

/* The second members of all ('token', 'tag') pairs, as a list. */
static mg_status apply_pos(const mg_filter_step *step, mg_arena *arena, mg_value *response,
                           mg_error *err)
{
    mg_str text = response_text(response);
    mg_value tags = mg_value_of_list(arena, (int64_t)(text.size / 8) + 1);
    tags.count = 0;
    size_t at = 0;
    while (at <= text.size) {
        bool found;
        mg_regex_match match;
        MG_TRY(mg_regex_search(step->regex, text, at, &found, &match, err));
        if (!found) {
            break;
        }
        tags.items[tags.count++] = mg_value_of_str(
            arena, mg_str_slice(text, (size_t)match.begin[2], (size_t)match.end[2]));
        at = after_match(text, &match);
    }
    if (tags.count == 0) {
        tags = mg_value_of_list(arena, 1);
        tags.items[0] = mg_value_of_str(arena, mg_str_of("invalid"));
        if (mg_value_get(step->arguments, "fallback") != NULL) {
            tags = step->fallback;
        }
    }
    *response = tags;
    return MG_OK;
}

/* Renames the label in front of each colon: person: -> PER: and so on, where a word starts. */
static void rename_labels(mg_str text, mg_buf *out)
{
    static const char *const labels[][2] = {
        { "person", "PER" },    { "location", "LOC" }, { "organization", "ORG" },
        { "counties", "LOC" },  { "places", "LOC" },   { "people", "PER" },
        { "persons", "PER" },   { "company", "ORG" },  { "country", "LOC" },
        { "continent", "LOC" }, { "time", "DATE" },    { "date", "DATE" },
        { "per", "PER" },       { "loc", "LOC" },      { "org", "ORG" },
    };
    size_t at = 0;
    int32_t before = ' ';
    while (at < text.size) {
        size_t used = 0;
        for (int64_t i = 0; i < MG_ARRAY_COUNT(labels) && !mg_unicode_is_word(before); i++) {
            mg_str rest = mg_str_slice(text, at, text.size);
            size_t end = strlen(labels[i][0]);
            if (mg_str_starts(rest, labels[i][0])) {
                mg_str spaces = mg_unicode_trim(mg_str_slice(rest, end, rest.size), true, false);
                if (mg_str_starts(spaces, ":")) {
                    mg_buf_printf(out, "%s:", labels[i][1]);
                    used = (size_t)(spaces.data - text.data) + 1 - at;
                    break;
                }
            }
        }
        size_t bytes;
        before = mg_utf8_decode(text, at, &bytes);
        if (used == 0) {
            mg_buf_add(out, mg_str_slice(text, at, at + bytes));
            used = bytes;
        } else {
            before = ':';
        }
        at += used;
    }
}

/* "PER: a, b $ LOC: c" as "per: a $ per: b $ loc: c"; entities called none are left out. */
static void collect_entities(mg_str text, mg_buf *out)
{
    static const char *const labels[] = { "PER", "LOC", "ORG", "DATE" };
    size_t at = 0;
    int32_t before = ' ';
    while (at < text.size) {
        mg_str rest = mg_str_slice(text, at, text.size);
        const char *label = NULL;
        for (int i = 0; i < 4 && !mg_unicode_is_word(before); i++) {
            size_t size = strlen(labels[i]);
            if (mg_str_starts(rest, labels[i]) && size < rest.size && rest.data[size] == ':') {
                label = labels[i];
            }
        }
        size_t bytes;
        before = mg_utf8_decode(text, at, &bytes);
        if (label == NULL) {
            at += bytes;
            continue;
        }
        mg_str values =
            mg_unicode_trim(mg_str_slice(rest, strlen(label) + 1, rest.size), true, false);
        int64_t end = mg_str_find(values, mg_str_of("$"), 0);
        values = end < 0 ? values : mg_str_slice(values, 0, (size_t)end);
        at = values.size == 0 ? at + bytes : (size_t)(values.data + values.size - text.data);
        before = ' ';
        mg_str part;
        while (values.size > 0 && mg_str_split(&values, ',', &part)) {
            part = mg_unicode_trim(part, true, true);
            if (!mg_str_is(part, "none")) {
                mg_buf_add_text(out, out->size > 0 ? " $ " : "");
                mg_unicode_lower(out, mg_str_of(label));
                mg_buf_printf(out, ": %.*s", MG_STR_ARG(part));
            }
        }
    }
}

static void apply_span(mg_arena *arena, mg_value *response)
{
    mg_buf lower = { 0 };
    mg_buf named = { 0 };
    mg_buf single = { 0 };
    mg_buf out = { 0 };
    mg_unicode_lower(&lower, response_text(response));
    rename_labels(mg_buf_view(&lower), &named);
    mg_str text = mg_buf_view(&named);
    for (size_t i = 0; i < text.size; i++) { /* "$$" and newlines become "$" */
        bool twin = text.data[i] == '$' && i + 1 < text.size && text.data[i + 1] == '$';
        i += twin ? 1 : 0;
        mg_buf_add_char(&single, text.data[i] == '\n' ? '$' : text.data[i]);
    }
    while (single.size > 0 && single.data[single.size - 1] == '$') {
        single.size--;
    }
    collect_entities(mg_unicode_trim(mg_buf_view(&single), true, true), &out);
    *response = text_value(arena, &out);
    mg_buf_release(&lower);
    mg_buf_release(&named);
    mg_buf_release(&single);
    mg_buf_release(&out);
}

/* ---- the rest ---- */

static void apply_map(const mg_filter_step *step, mg_value *response)
{
    mg_value mapped = step->default_value;
    for (int64_t i = 0; step->mapping != NULL && i < step->mapping->count; i++) {
        if (mg_value_equal(&step->mapping->entries[i].key, response)) {
            mapped = step->mapping->entries[i].value;
        }
    }
    *response = mapped;
}

static void apply_case(const mg_filter_step *step, mg_arena *arena, mg_value *response)
{
    mg_buf text = { 0 };
    if (step->kind == MG_FILTER_LOWERCASE) {
        mg_unicode_lower(&text, response_text(response));
    } else {
        mg_unicode_upper(&text, response_text(response));
    }
    *response = text_value(arena, &text);
    mg_buf_release(&text);
}

static mg_value majority(const mg_value *responses)
{
    int64_t best = 0;
    int64_t best_votes = 0;
    for (int64_t i = 0; i < responses->count; i++) {
        int64_t votes = 0;
        for (int64_t k = 0; k < responses->count; k++) {
            votes += mg_value_equal(&responses->items[i], &responses->items[k]);
        }
        if (votes > best_votes) {
            best = i;
            best_votes = votes;
        }
    }
    return responses->count > 0 ? responses->items[best] : mg_value_null;
}

/* One step over the responses of one request. */
static mg_status apply_step(const mg_filter_step *step, const mg_value *doc, mg_arena *arena,
                            mg_value *responses, mg_error *err)
{
    mg_value list;
    switch (step->kind) {
    case MG_FILTER_TAKE_FIRST:
        if (responses->kind == MG_LIST && responses->count > 0) {
            list = responses->items[0];
            *responses = list;
        }
        return MG_OK;
    case MG_FILTER_TAKE_FIRST_K:
        if (responses->kind != MG_LIST || responses->count < step->k) {
            return mg_fail(err, MG_ERR_CONFIG,
                           "take_first_k of %" PRId64 " responses, but there are only %" PRId64
                           "; raise `repeats`",
                           step->k, responses->count);
        }
        responses->count = step->k;
        return MG_OK;
    case MG_FILTER_MAJORITY_VOTE:
        list = mg_value_of_list(arena, 1);
        list.items[0] = majority(responses);
        *responses = list;
        return MG_OK;
    case MG_FILTER_MULTI_CHOICE_REGEX:
        return filter_multi_choice(step, doc, arena, responses, err);
    default:
        break;
    }
    if (responses->kind != MG_LIST) {
        return mg_fail(err, MG_ERR_CONFIG, "a filter follows one that leaves a single response");
    }
    for (int64_t i = 0; i < responses->count; i++) {
        mg_value *response = &responses->items[i];
        switch (step->kind) {
        case MG_FILTER_REGEX:
            MG_TRY(apply_regex(step, arena, response, err));
            break;
        case MG_FILTER_REGEX_POS:
            MG_TRY(apply_pos(step, arena, response, err));
            break;
        case MG_FILTER_REMOVE_WHITESPACE:
            *response =
                mg_value_of_str(arena, mg_unicode_trim(response_text(response), true, true));
            break;
        case MG_FILTER_MAP:
            apply_map(step, response);
            break;
        case MG_FILTER_FORMAT_SPAN:
            apply_span(arena, response);
            break;
        default:
            apply_case(step, arena, response);
            break;
        }
    }
    return MG_OK;
}

static void set_entry(mg_arena *arena, mg_value *map, int64_t index, const char *key,
                      const mg_value *value)
{
    map->entries[index].key = mg_value_of_str(arena, mg_str_of(key));
    map->entries[index].value = *value;
}

/* All responses at once through a class or a function of the user. */
static mg_status apply_custom(const mg_filter_step *step, mg_python *python,
                              const mg_value *const *docs, mg_value *responses, int64_t count,
                              mg_arena *arena, mg_error *err)
{
    mg_value members = mg_value_of_map(arena, 3);
    mg_value all = mg_value_of_list(arena, count);
    mg_value rows = mg_value_of_list(arena, count);
    mg_value filtered;
    for (int64_t i = 0; i < count; i++) {
        all.items[i] = responses[i];
        rows.items[i] = *docs[i];
    }
    set_entry(arena, &members, 0, "responses", &all);
    set_entry(arena, &members, 1, "docs", &rows);
    set_entry(arena, &members, 2, "keywords",
              step->arguments != NULL ? step->arguments : &mg_value_null);
    MG_TRY(mg_python_request(python, "filter", &step->function, &members, arena, &filtered, err));
    if (filtered.kind != MG_LIST || filtered.count != count) {
        return mg_fail(err, MG_ERR_USER_CODE,
                       "%.*s: the filter returned %" PRId64 " answers for %" PRId64,
                       MG_STR_ARG(mg_function_place(&step->function)),
                       filtered.kind == MG_LIST ? filtered.count : -1, count);
    }
    for (int64_t i = 0; i < count; i++) {
        responses[i] = filtered.items[i];
    }
    return MG_OK;
}

mg_status mg_filter_apply(const mg_filter *filter, mg_python *python, const mg_value *const *docs,
                          mg_value *responses, int64_t count, mg_arena *arena, mg_error *err)
{
    for (int64_t s = 0; s < filter->step_count; s++) {
        const mg_filter_step *step = &filter->steps[s];
        if (step->kind == MG_FILTER_CUSTOM) {
            MG_TRY(apply_custom(step, python, docs, responses, count, arena, err));
            continue;
        }
        for (int64_t i = 0; i < count; i++) {
            mg_status status = apply_step(step, docs[i], arena, &responses[i], err);
            if (status != MG_OK) {
                mg_error_prefix(err, "filter '%.*s'", MG_STR_ARG(filter->name));
                return status;
            }
        }
    }
    return MG_OK;
}
