/* text/yaml_resolve.c - the types of plain YAML scalars, as PyYAML's safe loader finds them.
 *
 * The order of the tests is PyYAML's: bool, float, int, null.  A scalar that has the form of a
 * number without being one ("0b_", "0x") is an error there; here it stays a string. */
#include "text/yaml_internal.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool one_of(mg_str text, const char *const *words, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (mg_str_is(text, words[i])) {
            return true;
        }
    }
    return false;
}

static bool resolve_bool(mg_str text, bool *value_out)
{
    static const char *const yes[] = {
        "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"
    };
    static const char *const no[] = { "no",    "No",  "NO",  "false", "False",
                                      "FALSE", "off", "Off", "OFF" };
    *value_out = one_of(text, yes, MG_ARRAY_COUNT(yes));
    return *value_out || one_of(text, no, MG_ARRAY_COUNT(no));
}

/* Length of the run of digits and underscores at offset at. */
static size_t run(mg_str s, size_t at, const char *digits)
{
    size_t begin = at;
    while (at < s.size && s.data[at] != '\0' &&
           (s.data[at] == '_' || strchr(digits, s.data[at]) != NULL)) {
        at++;
    }
    return at - begin;
}

static const char decimal[] = "0123456789";

/* The sixties behind a first number: (:[0-5]?[0-9])+ up to the end or a point; 0 when there are
 * none. */
static size_t sixties(mg_str s, size_t at)
{
    size_t begin = at;
    while (at + 1 < s.size && s.data[at] == ':' && is_digit(s.data[at + 1])) {
        bool two = at + 2 < s.size && is_digit(s.data[at + 2]);
        if (two && s.data[at + 1] > '5') {
            return 0;
        }
        at += two ? 3 : 2;
    }
    return at - begin;
}

static bool is_float(mg_str s)
{
    static const char *const infinities[] = { ".inf", ".Inf", ".INF" };
    static const char *const nans[] = { ".nan", ".NaN", ".NAN" };
    if (one_of(s, nans, MG_ARRAY_COUNT(nans))) {
        return true;
    }
    size_t at = s.size > 0 && (s.data[0] == '-' || s.data[0] == '+') ? 1 : 0;
    if (one_of(mg_str_slice(s, at, s.size), infinities, MG_ARRAY_COUNT(infinities))) {
        return true;
    }
    bool point_first = s.size > 1 && s.data[0] == '.' && is_digit(s.data[1]);
    if (!point_first) {
        if (at >= s.size || !is_digit(s.data[at])) {
            return false;
        }
        at += run(s, at, decimal);
        size_t sixty = sixties(s, at);
        at += sixty;
        if (sixty > 0) {
            return at < s.size && s.data[at] == '.' && at + 1 + run(s, at + 1, decimal) == s.size;
        }
    }
    if (at >= s.size || s.data[at] != '.') {
        return false;
    }
    at++;
    at += run(s, at, decimal);
    if (at < s.size && (s.data[at] == 'e' || s.data[at] == 'E')) {
        /* The exponent needs its sign: 1.0e5 is a string. */
        if (at + 2 >= s.size || (s.data[at + 1] != '+' && s.data[at + 1] != '-')) {
            return false;
        }
        at += 2;
        while (at < s.size && is_digit(s.data[at])) {
            at++;
        }
    }
    return at == s.size;
}

/* text without underscores, as a C string that the caller frees. */
static char *without_underscores(mg_str text)
{
    char *copy = mg_new_array(char, (int64_t)text.size + 1);
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '_') {
            copy[size++] = text.data[i];
        }
    }
    copy[size] = '\0';
    return copy;
}

/* 1:30:05.5 = ((1 * 60) + 30) * 60 + 5.5; digits has neither sign nor underscores. */
static double sexagesimal(const char *digits)
{
    double value = 0.0;
    for (;;) {
        char *end;
        value = value * 60.0 + strtod(digits, &end);
        if (*end != ':') {
            return value;
        }
        digits = end + 1;
    }
}

static double float_value(mg_str text)
{
    double sign = text.data[0] == '-' ? -1.0 : 1.0;
    size_t at = text.data[0] == '-' || text.data[0] == '+' ? 1 : 0;
    mg_str rest = mg_str_slice(text, at, text.size);
    if (rest.size > 1 && rest.data[0] == '.' && !is_digit(rest.data[1]) && rest.data[1] != '_' &&
        rest.data[1] != 'e' && rest.data[1] != 'E') {
        return rest.data[1] == 'i' || rest.data[1] == 'I' ? sign * (double)INFINITY : (double)NAN;
    }
    char *digits = without_underscores(rest);
    double value = sexagesimal(digits);
    mg_free(digits);
    return sign * value;
}

/* The base that an integer is written in: 2, 8, 10, 16, 60; 0 when text is no integer. */
static int integer_base(mg_str text, size_t at)
{
    if (at >= text.size || !is_digit(text.data[at])) {
        return 0;
    }
    if (text.data[at] == '0') {
        if (at + 1 == text.size) {
            return 10;
        }
        if (text.data[at + 1] == 'b') {
            return at + 2 < text.size && at + 2 + run(text, at + 2, "01") == text.size ? 2 : 0;
        }
        if (text.data[at + 1] == 'x') {
            return at + 2 < text.size &&
                           at + 2 + run(text, at + 2, "0123456789abcdefABCDEF") == text.size
                       ? 16
                       : 0;
        }
        return at + 1 + run(text, at + 1, "01234567") == text.size ? 8 : 0;
    }
    at += run(text, at, decimal);
    if (at == text.size) {
        return 10;
    }
    size_t sixty = sixties(text, at);
    return sixty > 0 && at + sixty == text.size ? 60 : 0;
}

/* Sets value to the integer in text, or to a float when it has more than 64 bits. */
static bool resolve_int(mg_value *value)
{
    mg_str text = value->string;
    bool negative = text.size > 0 && text.data[0] == '-';
    size_t at = text.size > 0 && (text.data[0] == '-' || text.data[0] == '+') ? 1 : 0;
    int base = integer_base(text, at);
    if (base == 0) {
        return false;
    }
    at += base == 2 || base == 16 ? 2 : 0;
    char *digits = without_underscores(mg_str_slice(text, at, text.size));
    int64_t integer = 0;
    double number = 0.0;
    bool fits = true;
    int64_t group = 0; /* of base 60 */
    for (const char *c = digits; *c != '\0'; c++) {
        if (*c == ':') {
            fits = fits && !__builtin_mul_overflow(integer + group, (int64_t)60, &integer);
            group = 0;
            continue;
        }
        int digit = is_digit(*c) ? *c - '0' : (*c | 0x20) - 'a' + 10;
        if (base == 60) {
            fits = fits && !__builtin_mul_overflow(group, (int64_t)10, &group) &&
                   !__builtin_add_overflow(group, (int64_t)digit, &group);
        } else {
            fits = fits && !__builtin_mul_overflow(integer, (int64_t)base, &integer) &&
                   !__builtin_sub_overflow(integer, (int64_t)digit, &integer);
            number = number * base + digit;
        }
    }
    bool empty = digits[0] == '\0';
    if (!fits && base == 60) {
        number = sexagesimal(digits);
    } else if (!fits && base == 10) {
        number = strtod(digits, NULL);
    }
    mg_free(digits);
    if (empty) {
        return false; /* "0b_" and "0x_" */
    }
    if (base == 60) {
        fits = fits && !__builtin_add_overflow(integer, group, &integer);
        integer = negative ? -integer : integer;
    } else if (fits && !negative) {
        /* Digits are gathered below zero, where one more value fits. */
        fits = integer != INT64_MIN;
        number = fits ? number : 9223372036854775808.0;
        integer = fits ? -integer : 0;
    }
    value->kind = fits ? MG_INT : MG_FLOAT;
    value->integer = fits ? integer : 0;
    value->number = fits ? 0.0 : (negative ? -number : number);
    return true;
}

void mg_yaml_resolve(mg_value *value)
{
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };
    mg_str text = value->string;
    bool boolean;
    if (resolve_bool(text, &boolean)) {
        value->kind = MG_BOOL;
        value->boolean = boolean;
    } else if (is_float(text)) {
        value->kind = MG_FLOAT;
        value->number = float_value(text);
    } else if (resolve_int(value)) {
        /* done there */
    } else if (one_of(text, nulls, MG_ARRAY_COUNT(nulls))) {
        value->kind = MG_NULL;
    }
    if (value->kind != MG_STRING) {
        value->string = mg_str_of("");
    }
}

bool mg_yaml_is_timestamp(mg_str text)
{
    /* YYYY-MM-DD, or YYYY-M-D followed by a time. */
    size_t at = 0;
    while (at < text.size && is_digit(text.data[at])) {
        at++;
    }
    if (at != 4 || at + 2 >= text.size || text.data[at] != '-' || !is_digit(text.data[at + 1])) {
        return false;
    }
    at += is_digit(text.data[at + 2]) ? 3 : 2;
    if (at + 1 >= text.size || text.data[at] != '-' || !is_digit(text.data[at + 1])) {
        return false;
    }
    at += at + 2 < text.size && is_digit(text.data[at + 2]) ? 3 : 2;
    return at == text.size || text.data[at] == 'T' || text.data[at] == 't' ||
           text.data[at] == ' ' || text.data[at] == '\t';
}
