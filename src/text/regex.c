/* text/regex.c - compiled patterns and their matching through PCRE2.
 *
 * Patterns are compiled to machine code where PCRE2 can; a match that outgrows the machine code's
 * stack is run again by the interpreter, which works on the heap under its own limit.  The memory
 * of one match (its scratch) is kept in a single slot of the pattern and taken out by an atomic
 * exchange: a second thread that finds the slot empty makes its own. */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "text/regex.h"

#include "base/memory.h"
#include "text/regex_internal.h"
#include "text/utf8.h"

#include <pcre2.h>

#include <stdatomic.h>

#define PATTERN_BYTES_MAX ((size_t)256 << 10)
#define MATCH_STEPS_MAX 20000000u
#define MATCH_HEAP_KIB_MAX (64u << 10)
#define JIT_STACK_BYTES_MAX ((size_t)1 << 20)

typedef struct scratch {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
} scratch;

typedef struct slot {
    _Atomic(scratch *) spare;
} slot;

struct mg_regex {
    pcre2_code *code;
    int group_count;
    slot *slot; /* apart from the pattern, which stays immutable */
};

static void scratch_destroy(scratch *s)
{
    if (s != NULL) {
        pcre2_jit_stack_free(s->stack);
        pcre2_match_context_free(s->context);
        pcre2_match_data_free(s->data);
        mg_free(s);
    }
}

static scratch *scratch_create(const pcre2_code *code)
{
    scratch *s = mg_new(scratch);
    s->data = pcre2_match_data_create_from_pattern(code, NULL);
    s->context = pcre2_match_context_create(NULL);
    s->stack = pcre2_jit_stack_create((size_t)32 << 10, JIT_STACK_BYTES_MAX, NULL);
    MG_ASSERT(s->data != NULL && s->context != NULL);
    pcre2_set_match_limit(s->context, MATCH_STEPS_MAX);
    pcre2_set_heap_limit(s->context, MATCH_HEAP_KIB_MAX);
    pcre2_jit_stack_assign(s->context, NULL, s->stack);
    return s;
}

static scratch *scratch_take(const mg_regex *regex)
{
    scratch *s = atomic_exchange(&regex->slot->spare, NULL);
    return s != NULL ? s : scratch_create(regex->code);
}

static void scratch_give(const mg_regex *regex, scratch *s)
{
    scratch_destroy(atomic_exchange(&regex->slot->spare, s));
}

static pcre2_code *compile(mg_str pattern, uint32_t options, int *error_out, size_t *offset_out)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    MG_ASSERT(context != NULL);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_bsr(context, PCRE2_BSR_UNICODE);
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern.data, pattern.size, options, error_out,
                                     offset_out, context);
    pcre2_compile_context_free(context);
    return code;
}

bool mg_regex_is_script(mg_str name)
{
    mg_buf probe = { 0 };
    int error;
    size_t offset;
    mg_buf_printf(&probe, "\\p{sc:%.*s}", MG_STR_ARG(name));
    pcre2_code *code = compile(mg_buf_view(&probe), PCRE2_UTF | PCRE2_UCP, &error, &offset);
    mg_buf_release(&probe);
    pcre2_code_free(code);
    return code != NULL;
}

mg_status mg_regex_compile(mg_str pattern, mg_regex_dialect dialect, mg_regex **regex_out,
                           mg_error *err)
{
    *regex_out = NULL;
    mg_regex_translation translation;
    if (pattern.size > PATTERN_BYTES_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "regular expression of %zu bytes, at most %zu are taken",
                       pattern.size, PATTERN_BYTES_MAX);
    }
    if (!mg_utf8_valid(pattern)) {
        return mg_fail(err, MG_ERR_FORMAT, "regular expression is not valid UTF-8");
    }
    MG_TRY(mg_regex_translate(pattern, dialect, &translation, err));
    uint32_t options = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | (translation.ascii ? 0 : PCRE2_UCP) |
                       (dialect == MG_REGEX_ONIGURUMA ? PCRE2_MULTILINE : 0);
    int error = 0;
    size_t offset = 0;
    pcre2_code *code = compile(mg_buf_view(&translation.pattern), options, &error, &offset);
    mg_buf_release(&translation.pattern);
    if (code == NULL) {
        PCRE2_UCHAR text[160];
        pcre2_get_error_message(error, text, sizeof(text));
        return mg_fail(err, MG_ERR_FORMAT, "regular expression '%.*s': %s", MG_STR_ARG(pattern),
                       (const char *)text);
    }
    uint32_t groups = 0;
    pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &groups);
    if (groups >= MG_REGEX_GROUPS_MAX) {
        pcre2_code_free(code);
        return mg_fail(err, MG_ERR_UNSUPPORTED,
                       "regular expression '%.*s': %u groups, at most %d are supported",
                       MG_STR_ARG(pattern), (unsigned)groups, MG_REGEX_GROUPS_MAX - 1);
    }
    /* A failure here only means that the interpreter will match. */
    (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
    mg_regex *regex = mg_new(mg_regex);
    regex->code = code;
    regex->group_count = (int)groups;
    regex->slot = mg_new(slot);
    atomic_init(&regex->slot->spare, NULL);
    *regex_out = regex;
    return MG_OK;
}

void mg_regex_destroy(mg_regex *regex)
{
    if (regex == NULL) {
        return;
    }
    scratch_destroy(atomic_load(&regex->slot->spare));
    mg_free(regex->slot);
    pcre2_code_free(regex->code);
    mg_free(regex);
}

int mg_regex_group_count(const mg_regex *regex)
{
    return regex->group_count;
}

static mg_status search(const mg_regex *regex, mg_str text, size_t from, uint32_t options,
                        bool *found_out, mg_regex_match *match_out, mg_error *err)
{
    *found_out = false;
    if (from > text.size) {
        return MG_OK;
    }
    scratch *s = scratch_take(regex);
    PCRE2_SPTR subject = (PCRE2_SPTR)(text.data != NULL ? text.data : "");
    options |= PCRE2_NO_UTF_CHECK;
    int rc = pcre2_match(regex->code, subject, text.size, from, options, s->data, s->context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
        rc = pcre2_match(regex->code, subject, text.size, from, options | PCRE2_NO_JIT, s->data,
                         s->context);
    }
    *found_out = rc > 0;
    if (rc > 0) {
        const PCRE2_SIZE *places = pcre2_get_ovector_pointer(s->data);
        for (int i = 0; i <= regex->group_count; i++) {
            bool set = i < rc && places[2 * i] != PCRE2_UNSET;
            match_out->begin[i] = set ? (int64_t)places[2 * i] : -1;
            match_out->end[i] = set ? (int64_t)places[2 * i + 1] : -1;
        }
    }
    scratch_give(regex, s);
    if (rc > 0 || rc == PCRE2_ERROR_NOMATCH) {
        return MG_OK;
    }
    bool limit = rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_DEPTHLIMIT ||
                 rc == PCRE2_ERROR_HEAPLIMIT || rc == PCRE2_ERROR_JIT_STACKLIMIT;
    return limit ? mg_fail(err, MG_ERR_LIMIT, "a regular expression needs too many steps")
                 : mg_fail(err, MG_ERR_INTERNAL, "a regular expression failed (%d)", rc);
}

mg_status mg_regex_search(const mg_regex *regex, mg_str text, size_t from, bool *found_out,
                          mg_regex_match *match_out, mg_error *err)
{
    return search(regex, text, from, 0, found_out, match_out, err);
}

mg_status mg_regex_next(const mg_regex *regex, mg_str text, bool *found_out,
                        mg_regex_match *match_inout, mg_error *err)
{
    bool first = match_inout->begin[0] < 0;
    size_t from = first ? 0 : (size_t)match_inout->end[0];
    /* Behind an empty match the next one must not be empty at the same place. */
    bool was_empty = !first && match_inout->end[0] == match_inout->begin[0];
    return search(regex, text, from, was_empty ? PCRE2_NOTEMPTY_ATSTART : 0, found_out, match_inout,
                  err);
}

/* The group that \g<name> in a replacement means; -1 when there is none. */
static int group_of_name(const mg_regex *regex, mg_str name)
{
    int64_t number;
    if (mg_str_to_int(name, &number)) {
        return number >= 0 && number <= regex->group_count ? (int)number : -1;
    }
    char *copy = mg_str_dup(name);
    int group = pcre2_substring_number_from_name(regex->code, (PCRE2_SPTR)copy);
    mg_free(copy);
    return group > 0 ? group : -1;
}

static void add_group(mg_buf *buf, mg_str text, const mg_regex_match *match, int group)
{
    if (match->begin[group] >= 0) {
        mg_buf_add(buf, mg_str_slice(text, (size_t)match->begin[group], (size_t)match->end[group]));
    }
}

/* Appends replacement with its escapes, as Python's re.sub expands it. */
static mg_status expand(const mg_regex *regex, mg_str text, const mg_regex_match *match,
                        mg_str replacement, mg_buf *buf, mg_error *err)
{
    static const char names[] = "abfnrtv";
    static const char values[] = "\a\b\f\n\r\t\v";
    for (size_t i = 0; i < replacement.size; i++) {
        char c = replacement.data[i];
        if (c != '\\' || i + 1 == replacement.size) {
            mg_buf_add_char(buf, c);
            continue;
        }
        c = replacement.data[++i];
        int group = -2; /* no group */
        if (c == 'g' && i + 1 < replacement.size && replacement.data[i + 1] == '<') {
            int64_t end = mg_str_find(replacement, mg_str_of(">"), i);
            group =
                end < 0 ? -1 : group_of_name(regex, mg_str_slice(replacement, i + 2, (size_t)end));
            i = end < 0 ? i : (size_t)end;
        } else if (c >= '1' && c <= '9') {
            group = c - '0';
            if (i + 1 < replacement.size && replacement.data[i + 1] >= '0' &&
                replacement.data[i + 1] <= '9') {
                group = group * 10 + (replacement.data[++i] - '0');
            }
            group = group <= regex->group_count ? group : -1;
        }
        if (group == -1) {
            return mg_fail(err, MG_ERR_FORMAT, "replacement '%.*s' names a group that is not there",
                           MG_STR_ARG(replacement));
        }
        const char *found = c != '\0' ? strchr(names, c) : NULL;
        if (group >= 0) {
            add_group(buf, text, match, group);
        } else if (found != NULL) {
            mg_buf_add_char(buf, values[found - names]);
        } else if (c == '0') {
            mg_buf_add_char(buf, '\0');
        } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
            return mg_fail(err, MG_ERR_FORMAT, "replacement '%.*s' has the unknown escape \\%c",
                           MG_STR_ARG(replacement), c);
        } else if (c == '\\') {
            mg_buf_add_char(buf, '\\');
        } else {
            mg_buf_add_char(buf, '\\');
            mg_buf_add_char(buf, c);
        }
    }
    return MG_OK;
}

mg_status mg_regex_replace(const mg_regex *regex, mg_str text, mg_str replacement,
                           int64_t count_max, mg_buf *buf, mg_error *err)
{
    mg_regex_match match = MG_REGEX_MATCH_START;
    size_t copied = 0;
    bool found = false;
    for (int64_t count = 0; count_max == 0 || count < count_max; count++) {
        MG_TRY(mg_regex_next(regex, text, &found, &match, err));
        if (!found) {
            break;
        }
        mg_buf_add(buf, mg_str_slice(text, copied, (size_t)match.begin[0]));
        MG_TRY(expand(regex, text, &match, replacement, buf, err));
        copied = (size_t)match.end[0];
    }
    mg_buf_add(buf, mg_str_slice(text, copied, text.size));
    return MG_OK;
}

void mg_regex_escape(mg_buf *buf, mg_str text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c != '\0' && strchr("()[]{}?*+-|^$\\.&~# \t\n\r\v\f", c) != NULL) {
            mg_buf_add_char(buf, '\\');
        }
        mg_buf_add_char(buf, c);
    }
}
