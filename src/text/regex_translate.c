/* text/regex_translate.c - rewrites Python and Oniguruma patterns for PCRE2.
 *
 * Most of a pattern is copied.  Rewritten are the constructs that the engines read differently:
 *   - \s and \S: PCRE2 adds U+180E; Python adds U+001C-001F.  They become explicit ranges.
 *   - \w of Oniguruma: the Unicode property Word.  \h there is a hexadecimal digit.
 *   - \Z of Python: the very end.  \v: one character.  \uXXXX.  Octal and group numbers.
 *   - {,n}; in Oniguruma X{n,m}+ repeats X{n,m} and X{n}? makes it optional.
 *   - classes of Oniguruma: nested classes and && become alternations and look-aheads.
 *   - options: Oniguruma's m is PCRE2's s; Python's a and u do not exist in PCRE2.
 *   - properties: Oniguruma's scripts are exact, PCRE2's default is script extensions.
 * What one dialect lacks (verbs, recursion, callouts) is refused, so that a pattern from a file
 * cannot reach PCRE2's own extensions. */
#include "text/regex_internal.h"

#include "base/memory.h"
#include "text/utf8.h"

#define GROUP_DEPTH_MAX 200
#define CLASS_DEPTH_MAX 20

#define WHITE_SPACE_ABOVE                                                                          \
    "\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
#define NOT_WHITE_SPACE_ABOVE                                                                      \
    "\\x21-\\x{84}\\x{86}-\\x{9F}\\x{A1}-\\x{167F}\\x{1681}-\\x{1FFF}\\x{200B}-\\x{2027}"          \
    "\\x{202A}-\\x{202E}\\x{2030}-\\x{205E}\\x{2060}-\\x{2FFF}\\x{3001}-\\x{10FFFF}"

static const char python_space[] = "\\x09-\\x0D\\x1C-\\x20" WHITE_SPACE_ABOVE;
static const char python_not_space[] = "\\x00-\\x08\\x0E-\\x1B" NOT_WHITE_SPACE_ABOVE;
static const char white_space[] = "\\x09-\\x0D\\x20" WHITE_SPACE_ABOVE;
static const char not_white_space[] = "\\x00-\\x08\\x0E-\\x1F" NOT_WHITE_SPACE_ABOVE;
/* Alphabetic (letters, letter numbers and the circled letters), marks, decimals, connectors.
 * Outside brackets Oniguruma's \w also takes the superscripts and fractions of Latin-1. */
#define ONIG_WORD                                                                                  \
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{24B6}-\\x{24E9}\\x{1F130}-\\x{1F149}"                    \
    "\\x{1F150}-\\x{1F169}\\x{1F170}-\\x{1F189}"
static const char onig_word[] = ONIG_WORD;
static const char onig_bare_word[] = ONIG_WORD "\\xB2\\xB3\\xB9\\xBC-\\xBE";
static const char hex_digit[] = "0-9A-Fa-f";
static const char not_hex_digit[] = "\\x00-\\x2F\\x3A-\\x40\\x47-\\x60\\x67-\\x{10FFFF}";
static const char any_character[] = "[\\x00-\\x{10FFFF}]";

typedef struct translator {
    mg_str in;
    size_t at;
    mg_regex_dialect dialect;
    mg_error *err;
    mg_buf *out;
    bool ascii;
    bool extended; /* (?x) at the start: blanks and comments */
    int class_depth;
    int64_t atom; /* offset in out of what a quantifier would repeat; -1 = nothing */
    size_t group_begin[GROUP_DEPTH_MAX];
    int group_depth;
} translator;

static mg_status fail_at(const translator *t, size_t offset, const char *what)
{
    return mg_fail(t->err, MG_ERR_FORMAT, "regular expression '%.*s', character %lld: %s",
                   MG_STR_ARG(t->in), (long long)mg_utf8_count(mg_str_slice(t->in, 0, offset)) + 1,
                   what);
}

static int peek_at(const translator *t, size_t offset)
{
    return offset < t->in.size ? (unsigned char)t->in.data[offset] : -1;
}

static int peek(const translator *t)
{
    return peek_at(t, t->at);
}

static bool is_letter(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_octal(int c)
{
    return c >= '0' && c <= '7';
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static int hex_value(int c)
{
    return is_digit(c)            ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static void add_code(mg_buf *out, int64_t code_point)
{
    mg_buf_printf(out, "\\x{%llX}", (unsigned long long)code_point);
}

/* Copies the code point at t->at. */
static void copy_code_point(translator *t, mg_buf *out)
{
    size_t bytes;
    (void)mg_utf8_decode(t->in, t->at, &bytes);
    mg_buf_add(out, mg_str_slice(t->in, t->at, t->at + bytes));
    t->at += bytes;
}

/* Exactly count hexadecimal digits at t->at (count 0: one or more up to a closing brace). */
static mg_status read_hex(translator *t, int count, int64_t *value_out)
{
    size_t begin = t->at;
    int64_t value = 0;
    int read = 0;
    while ((count == 0 || read < count) && hex_value(peek(t)) >= 0 && value <= 0x10FFFF) {
        value = value * 16 + hex_value(peek(t));
        t->at++;
        read++;
    }
    if (read == 0 || (count > 0 && read < count)) {
        return fail_at(t, begin, "expected hexadecimal digits");
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) {
        return fail_at(t, begin, "not a Unicode character");
    }
    *value_out = value;
    return MG_OK;
}

/* \x \u \U and octal numbers: one character.  *is_code_out is false for other escapes, and nothing
 * is consumed then.  t->at is behind the backslash. */
static mg_status read_code_escape(translator *t, bool in_class, bool *is_code_out,
                                  int64_t *code_out)
{
    bool python = t->dialect == MG_REGEX_PYTHON;
    int c = peek(t);
    *is_code_out = true;
    if (c == 'x' && !python && peek_at(t, t->at + 1) == '{') {
        t->at += 2;
        MG_TRY(read_hex(t, 0, code_out));
        if (peek(t) != '}') {
            return fail_at(t, t->at, "expected '}'");
        }
        t->at++;
        return MG_OK;
    }
    if (c == 'x') {
        bool one = !python && hex_value(peek_at(t, t->at + 2)) < 0;
        t->at++;
        return read_hex(t, one ? 1 : 2, code_out);
    }
    if (c == 'u' || (c == 'U' && python)) {
        t->at++;
        return read_hex(t, c == 'u' ? 4 : 8, code_out);
    }
    bool three_octal = is_octal(c) && is_octal(peek_at(t, t->at + 1)) &&
                       is_octal(peek_at(t, t->at + 2)) && c <= '3';
    if (c == '0' || three_octal || (in_class && is_octal(c))) {
        *code_out = 0;
        for (int i = 0; i < 3 && is_octal(peek(t)); i++) {
            *code_out = *code_out * 8 + (peek(t) - '0');
            t->at++;
        }
        return *code_out <= 0xFF ? MG_OK : fail_at(t, t->at, "octal number above \\377");
    }
    *is_code_out = false;
    return MG_OK;
}

/* Letters that stand for one control character; 0 for others. */
static int control_escape(int c)
{
    switch (c) {
    case 'a':
        return 0x07;
    case 'f':
        return 0x0C;
    case 'n':
        return 0x0A;
    case 'r':
        return 0x0D;
    case 't':
        return 0x09;
    case 'v':
        return 0x0B;
    default:
        return 0;
    }
}

/* The class items that a letter stands for, or NULL; PCRE2's own meaning is right for the rest. */
static const char *class_items(const translator *t, int c)
{
    bool python = t->dialect == MG_REGEX_PYTHON;
    switch (c) {
    case 's':
        return t->ascii ? "\\x09-\\x0D\\x20" : python ? python_space : white_space;
    case 'S':
        return t->ascii ? "\\x00-\\x08\\x0E-\\x1F\\x21-\\x{10FFFF}"
               : python ? python_not_space
                        : not_white_space;
    case 'd':
        return "\\d";
    case 'D':
        return "\\D";
    case 'w':
        return python ? "\\w" : onig_word;
    case 'W':
        return python ? "\\W" : NULL; /* Oniguruma's needs a class of its own */
    case 'h':
        return python ? NULL : hex_digit;
    case 'H':
        return python ? NULL : not_hex_digit;
    default:
        return NULL;
    }
}

/* "White_Space" and "whitespace" are the same name. */
static void fold_name(mg_str name, char out[40])
{
    size_t size = 0;
    for (size_t i = 0; i < name.size && size + 1 < 40; i++) {
        char c = name.data[i];
        if (c != ' ' && c != '_' && c != '-') {
            out[size++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        }
    }
    out[size] = '\0';
}

typedef struct property {
    const char *name; /* folded */
    const char *items;
} property;

/* Names that PCRE2 lacks or reads differently.  In brackets "punct" includes symbols. */
static const property properties[] = {
    { "alnum", "\\p{Alphabetic}\\p{Nd}" },
    { "alpha", "\\p{Alphabetic}" },
    { "blank", "\\p{Zs}\\x09" },
    { "cntrl", "\\p{Cc}" },
    { "digit", "\\p{Nd}" },
    { "graph", "[:graph:]" },
    { "lower", "\\p{Lowercase}" },
    { "print", "[:print:]" },
    { "punct", "\\p{P}" },
    { "space", white_space },
    { "upper", "\\p{Uppercase}" },
    { "xdigit", hex_digit },
    { "word", onig_word },
    { "ascii", "\\x00-\\x7F" },
    { "whitespace", white_space },
    { "letter", "\\p{L}" },
    { "casedletter", "\\p{L&}" },
    { "lc", "\\p{L&}" },
    { "uppercaseletter", "\\p{Lu}" },
    { "lowercaseletter", "\\p{Ll}" },
    { "titlecaseletter", "\\p{Lt}" },
    { "modifierletter", "\\p{Lm}" },
    { "otherletter", "\\p{Lo}" },
    { "mark", "\\p{M}" },
    { "nonspacingmark", "\\p{Mn}" },
    { "spacingmark", "\\p{Mc}" },
    { "enclosingmark", "\\p{Me}" },
    { "number", "\\p{N}" },
    { "decimalnumber", "\\p{Nd}" },
    { "letternumber", "\\p{Nl}" },
    { "othernumber", "\\p{No}" },
    { "punctuation", "\\p{P}" },
    { "connectorpunctuation", "\\p{Pc}" },
    { "dashpunctuation", "\\p{Pd}" },
    { "openpunctuation", "\\p{Ps}" },
    { "closepunctuation", "\\p{Pe}" },
    { "initialpunctuation", "\\p{Pi}" },
    { "finalpunctuation", "\\p{Pf}" },
    { "otherpunctuation", "\\p{Po}" },
    { "symbol", "\\p{S}" },
    { "mathsymbol", "\\p{Sm}" },
    { "currencysymbol", "\\p{Sc}" },
    { "modifiersymbol", "\\p{Sk}" },
    { "othersymbol", "\\p{So}" },
    { "separator", "\\p{Z}" },
    { "spaceseparator", "\\p{Zs}" },
    { "lineseparator", "\\p{Zl}" },
    { "paragraphseparator", "\\p{Zp}" },
    { "other", "\\p{C}" },
    { "control", "\\p{Cc}" },
    { "format", "\\p{Cf}" },
    { "privateuse", "\\p{Co}" },
    { "surrogate", "\\p{Cs}" },
    { "unassigned", "\\p{Cn}" },
};

static const char *property_items(mg_str name, bool bracket)
{
    char folded[40];
    fold_name(name, folded);
    if (bracket && strcmp(folded, "punct") == 0) {
        return "\\p{P}\\p{S}";
    }
    for (int64_t i = 0; i < MG_ARRAY_COUNT(properties); i++) {
        if (strcmp(folded, properties[i].name) == 0) {
            return properties[i].items;
        }
    }
    return NULL;
}

/* \p{Name}, \P{Name}, \p{^Name} or \pL of Oniguruma; t->at is at the p.  Appends class items, or
 * for a negated name with items of several parts a class of its own to *other. */
static mg_status translate_property(translator *t, mg_buf *items, mg_buf *other)
{
    size_t begin = t->at;
    bool negated = peek(t) == 'P';
    t->at++;
    mg_str name;
    if (peek(t) == '{') {
        int64_t end = mg_str_find(t->in, mg_str_of("}"), t->at);
        if (end < 0) {
            return fail_at(t, begin, "property without '}'");
        }
        t->at++;
        if (peek(t) == '^') {
            negated = !negated;
            t->at++;
        }
        name = mg_str_slice(t->in, t->at, (size_t)end);
        t->at = (size_t)end + 1;
    } else if (is_letter(peek(t))) {
        name = mg_str_slice(t->in, t->at, t->at + 1);
        t->at++;
    } else {
        return fail_at(t, begin, "property without a name");
    }
    for (size_t i = 0; i < name.size; i++) {
        if (!is_letter(name.data[i]) && !is_digit(name.data[i]) && name.data[i] != '_' &&
            name.data[i] != ' ' && name.data[i] != '-') {
            return fail_at(t, begin, "unknown property");
        }
    }
    const char *known = property_items(name, false);
    if (known != NULL && negated) {
        mg_buf_printf(other, "|[^%s]", known);
    } else if (known != NULL) {
        mg_buf_add_text(items, known);
    } else {
        mg_buf_printf(items, "\\%c{%s%.*s}", negated ? 'P' : 'p',
                      mg_regex_is_script(name) ? "sc:" : "", MG_STR_ARG(name));
    }
    return MG_OK;
}

/* One union of a class: what is between '[' or "&&" and the next "&&" or ']'. */
typedef struct class_union {
    mg_buf items; /* for inside brackets */
    mg_buf other; /* "|alternative|alternative": what brackets cannot hold */
} class_union;

static void union_release(class_union *u)
{
    mg_buf_release(&u->items);
    mg_buf_release(&u->other);
}

/* Appends an expression that matches one character of u. */
static void add_union(mg_buf *out, const class_union *u)
{
    if (u->other.size == 0) {
        mg_buf_printf(out, "[%s]", u->items.size > 0 ? u->items.data : "^\\x00-\\x{10FFFF}");
    } else if (u->items.size == 0) {
        mg_buf_printf(out, "(?:%s)", u->other.data + 1);
    } else {
        mg_buf_printf(out, "(?:[%s]%s)", u->items.data, u->other.data);
    }
}

static mg_status translate_class(translator *t, mg_buf *items, mg_buf *other);

/* A range must not grow out of class items: a '-' behind them is a character. */
static void guard_hyphen(translator *t, mg_buf *items)
{
    if (peek(t) == '-' && peek_at(t, t->at + 1) != ']') {
        t->at++;
        mg_buf_add_text(items, "\\-");
    }
}

static mg_status class_escape(translator *t, class_union *u)
{
    size_t begin = t->at++;
    int c = peek(t);
    bool is_code = false;
    int64_t code = 0;
    if (c < 0) {
        return fail_at(t, begin, "the pattern ends in a backslash");
    }
    MG_TRY(read_code_escape(t, true, &is_code, &code));
    if (is_code || control_escape(c) != 0 || c == 'b') {
        if (!is_code) {
            code = c == 'b' ? 0x08 : control_escape(c);
            t->at++;
        }
        add_code(&u->items, code);
        return MG_OK;
    }
    const char *items = class_items(t, c);
    if (items != NULL) {
        t->at++;
        mg_buf_add_text(&u->items, items);
        guard_hyphen(t, &u->items);
        return MG_OK;
    }
    bool python = t->dialect == MG_REGEX_PYTHON;
    if (!python && (c == 'p' || c == 'P')) {
        MG_TRY(translate_property(t, &u->items, &u->other));
        guard_hyphen(t, &u->items);
        return MG_OK;
    }
    if (!python && c == 'W') {
        t->at++;
        mg_buf_printf(&u->other, "|[^%s]", onig_word);
        return MG_OK;
    }
    if (!python && c == 'e') {
        t->at++;
        mg_buf_add_text(&u->items, "\\x1B");
        return MG_OK;
    }
    if (is_digit(c) || (is_letter(c) && python)) {
        return fail_at(t, begin, "unknown escape");
    }
    size_t bytes;
    add_code(&u->items, mg_utf8_decode(t->in, t->at, &bytes));
    t->at += bytes;
    return MG_OK;
}

/* [:name:] of Oniguruma at t->at; *found_out is false when it is none. */
static mg_status class_posix(translator *t, class_union *u, bool *found_out)
{
    int64_t end = mg_str_find(t->in, mg_str_of(":]"), t->at + 2);
    *found_out = peek_at(t, t->at + 1) == ':' && end >= 0 && end - (int64_t)t->at <= 12;
    if (!*found_out) {
        return MG_OK;
    }
    bool negated = peek_at(t, t->at + 2) == '^';
    mg_str name = mg_str_slice(t->in, t->at + (negated ? 3 : 2), (size_t)end);
    const char *items = property_items(name, true);
    if (items == NULL) {
        return fail_at(t, t->at, "unknown class name");
    }
    if (negated) {
        mg_buf_printf(&u->other, "|[^%s]", items);
    } else {
        mg_buf_add_text(&u->items, items);
    }
    t->at = (size_t)end + 2;
    return MG_OK;
}

static mg_status class_part(translator *t, class_union *u)
{
    int c = peek(t);
    bool onig = t->dialect == MG_REGEX_ONIGURUMA;
    if (c == '\\') {
        return class_escape(t, u);
    }
    if (c == '[' && onig) {
        bool posix = false;
        MG_TRY(class_posix(t, u, &posix));
        return posix ? MG_OK : translate_class(t, &u->items, &u->other);
    }
    if (c == '[') {
        t->at++;
        mg_buf_add_text(&u->items, "\\[");
        return MG_OK;
    }
    if (c == '-' && u->items.size == 0) {
        t->at++;
        mg_buf_add_text(&u->items, "\\-");
        return MG_OK;
    }
    if (c == '^' && u->items.size == 0) {
        t->at++;
        mg_buf_add_text(&u->items, "\\^");
        return MG_OK;
    }
    if (t->extended && (c == ' ' || c == '#')) {
        /* Blanks count in classes of both dialects, and in PCRE2's plain (?x). */
        t->at++;
        mg_buf_printf(&u->items, "\\x%02X", (unsigned)c);
        return MG_OK;
    }
    copy_code_point(t, &u->items);
    return MG_OK;
}

/* The class at t->at.  A plain one is appended to items, without brackets, when it can join an
 * outer class; anything else to other as "|expression". */
static mg_status translate_class(translator *t, mg_buf *items, mg_buf *other)
{
    mg_status status = MG_OK;
    size_t begin = t->at++;
    class_union u = { 0 };
    mg_buf operands = { 0 }; /* "(?=...)" for each finished operand of && */
    if (++t->class_depth > CLASS_DEPTH_MAX) {
        status = fail_at(t, begin, "classes are nested too deeply");
        goto done;
    }
    bool negated = peek(t) == '^';
    t->at += negated ? 1 : 0;
    bool first = true;
    for (;;) {
        int c = peek(t);
        if (c < 0) {
            status = fail_at(t, begin, "'[' without ']'");
            goto done;
        }
        if (c == ']' && !first) {
            t->at++;
            break;
        }
        if (c == ']') {
            t->at++;
            mg_buf_add_text(&u.items, "\\]");
        } else if (t->dialect == MG_REGEX_ONIGURUMA && c == '&' && peek_at(t, t->at + 1) == '&') {
            t->at += 2;
            mg_buf_add_text(&operands, "(?=");
            add_union(&operands, &u);
            mg_buf_add_text(&operands, ")");
            mg_buf_clear(&u.items);
            mg_buf_clear(&u.other);
        } else {
            MG_TRY_OR_DONE(class_part(t, &u));
        }
        first = false;
    }
    if (operands.size == 0 && u.other.size == 0) {
        if (negated) {
            mg_buf_printf(other, "|[^%s]", u.items.data);
        } else {
            mg_buf_add(items, mg_buf_view(&u.items));
        }
        goto done;
    }
    add_union(&operands, &u);
    if (negated) {
        mg_buf_printf(other, "|(?:(?!%s)%s)", operands.data, any_character);
    } else {
        mg_buf_printf(other, "|(?:%s)", operands.data);
    }

done:
    t->class_depth--;
    union_release(&u);
    mg_buf_release(&operands);
    return status;
}

static mg_status top_class(translator *t)
{
    mg_status status = MG_OK;
    class_union u = { 0 };
    t->atom = (int64_t)t->out->size;
    MG_TRY_OR_DONE(translate_class(t, &u.items, &u.other));
    add_union(t->out, &u);

done:
    union_release(&u);
    return status;
}

static mg_status escape_group_number(translator *t)
{
    int64_t number = 0;
    int digits = t->dialect == MG_REGEX_PYTHON ? 2 : 3;
    for (int i = 0; i < digits && is_digit(peek(t)); i++) {
        number = number * 10 + (peek(t) - '0');
        t->at++;
    }
    mg_buf_printf(t->out, "\\g{%lld}", (long long)number);
    return MG_OK;
}

/* Escapes that only Oniguruma has, outside classes. */
static mg_status onig_escape(translator *t, size_t begin, int c)
{
    if (c == 'p' || c == 'P') {
        mg_status status = MG_OK;
        class_union u = { 0 };
        MG_TRY_OR_DONE(translate_property(t, &u.items, &u.other));
        add_union(t->out, &u);

    done:
        union_release(&u);
        return status;
    }
    if (strchr("AZzGbBRXKN", c) != NULL) {
        mg_buf_printf(t->out, "\\%c", c);
    } else if (c == 'O') {
        mg_buf_add_text(t->out, any_character);
    } else if (c == 'W') {
        mg_buf_printf(t->out, "[^%s]", onig_bare_word);
    } else if (c == 'e') {
        mg_buf_add_text(t->out, "\\x1B");
    } else if (c == 'k' && peek_at(t, t->at + 1) == '<') {
        int64_t end = mg_str_find(t->in, mg_str_of(">"), t->at);
        if (end < 0) {
            return fail_at(t, begin, "group name without '>'");
        }
        mg_buf_printf(t->out, "\\k%.*s",
                      MG_STR_ARG(mg_str_slice(t->in, t->at + 1, (size_t)end + 1)));
        t->at = (size_t)end;
    } else if (c == 'g' || c == 'y' || c == 'Y') {
        return fail_at(t, begin, "this escape is not supported");
    } else {
        add_code(t->out, c);
    }
    t->at++;
    return MG_OK;
}

static mg_status translate_escape(translator *t)
{
    size_t begin = t->at++;
    int c = peek(t);
    bool is_code = false;
    int64_t code = 0;
    t->atom = (int64_t)t->out->size;
    if (c < 0) {
        return fail_at(t, begin, "the pattern ends in a backslash");
    }
    MG_TRY(read_code_escape(t, false, &is_code, &code));
    if (is_code) {
        add_code(t->out, code);
        return MG_OK;
    }
    if (is_digit(c)) {
        return escape_group_number(t);
    }
    if (control_escape(c) != 0) {
        t->at++;
        add_code(t->out, control_escape(c));
        return MG_OK;
    }
    const char *items = class_items(t, c);
    items = items == onig_word ? onig_bare_word : items;
    if (items != NULL) {
        t->at++;
        mg_buf_printf(t->out, items[0] == '\\' && items[2] == '\0' ? "%s" : "[%s]", items);
        return MG_OK;
    }
    if (!is_letter(c)) {
        mg_buf_add_char(t->out, '\\');
        copy_code_point(t, t->out);
        return MG_OK;
    }
    if (t->dialect == MG_REGEX_ONIGURUMA) {
        return onig_escape(t, begin, c);
    }
    if (strchr("AbBZ", c) == NULL) {
        return fail_at(t, begin, "unknown escape");
    }
    t->at++;
    mg_buf_printf(t->out, "\\%c", c == 'Z' ? 'z' : c);
    return MG_OK;
}

/* "imsx-imsx" at t->at, up to ':' or ')'. */
static mg_status translate_options(translator *t)
{
    bool onig = t->dialect == MG_REGEX_ONIGURUMA;
    bool on = true;
    size_t begin = t->at;
    for (;; t->at++) {
        int c = peek(t);
        if (c == ':' || c == ')') {
            return MG_OK;
        }
        if (c == '-' && on) {
            on = false;
            mg_buf_add_char(t->out, '-');
        } else if (c == 'i' || c == 'x' || (c == 's' && !onig)) {
            t->extended = t->extended || (c == 'x' && on);
            mg_buf_add_char(t->out, (char)c);
        } else if (c == 'm') {
            mg_buf_add_char(t->out, onig ? 's' : 'm');
        } else if (!onig && on && (c == 'a' || c == 'u')) {
            t->ascii = t->ascii || c == 'a';
        } else {
            return fail_at(t, begin, "unknown group option");
        }
    }
}

static mg_status push_group(translator *t, size_t begin_in, size_t begin_out)
{
    if (t->group_depth == GROUP_DEPTH_MAX) {
        return fail_at(t, begin_in, "groups are nested too deeply");
    }
    t->group_begin[t->group_depth++] = begin_out;
    t->atom = -1;
    return MG_OK;
}

/* A group name up to close; copied with the delimiters open and close around it. */
static mg_status copy_name(translator *t, char close)
{
    size_t begin = t->at;
    while (peek(t) >= 0 && peek(t) != close) {
        int c = peek(t);
        if (!is_letter(c) && !is_digit(c) && c != '_') {
            return fail_at(t, t->at, "bad character in a group name");
        }
        t->at++;
    }
    if (peek(t) < 0 || t->at == begin) {
        return fail_at(t, begin, "group without a name");
    }
    mg_buf_add(t->out, mg_str_slice(t->in, begin, t->at));
    mg_buf_add_char(t->out, close);
    t->at++;
    return MG_OK;
}

/* What stands behind "(?"; t->at is there. */
static mg_status special_group(translator *t, size_t begin_in, size_t begin_out)
{
    int c = peek(t);
    int next = peek_at(t, t->at + 1);
    bool python = t->dialect == MG_REGEX_PYTHON;
    if (c == '#') {
        int64_t end = mg_str_find(t->in, mg_str_of(")"), t->at);
        if (end < 0) {
            return fail_at(t, begin_in, "comment without ')'");
        }
        t->at = (size_t)end + 1;
        return MG_OK;
    }
    if (c == ':' || c == '=' || c == '!' || c == '>') {
        t->at++;
        mg_buf_printf(t->out, "(?%c", c);
        return push_group(t, begin_in, begin_out);
    }
    if (c == '<' && (next == '=' || next == '!')) {
        t->at += 2;
        mg_buf_printf(t->out, "(?<%c", next);
        return push_group(t, begin_in, begin_out);
    }
    if ((c == 'P' && next == '<' && python) || (c == '<' && !python)) {
        t->at += python ? 2 : 1;
        mg_buf_add_text(t->out, "(?<");
        MG_TRY(copy_name(t, '>'));
        return push_group(t, begin_in, begin_out);
    }
    if (c == 'P' && next == '=' && python) {
        t->at += 2;
        mg_buf_add_text(t->out, "(?P=");
        t->atom = (int64_t)begin_out;
        return copy_name(t, ')');
    }
    if (c == '(' && python) {
        t->at++;
        mg_buf_add_text(t->out, "(?(");
        MG_TRY(copy_name(t, ')'));
        return push_group(t, begin_in, begin_out);
    }
    if (is_letter(c) || c == '-') {
        mg_buf_add_text(t->out, "(?");
        MG_TRY(translate_options(t));
        int end = peek(t);
        t->at++;
        if (end == ')' && t->out->size == begin_out + 2) {
            t->out->size = begin_out; /* only letters that PCRE2 does not have */
            return MG_OK;
        }
        mg_buf_add_char(t->out, (char)end);
        if (end == ')') {
            t->atom = -1;
            return MG_OK;
        }
        return push_group(t, begin_in, begin_out);
    }
    return fail_at(t, begin_in, "unknown kind of group");
}

static mg_status translate_group(translator *t)
{
    size_t begin_in = t->at++;
    size_t begin_out = t->out->size;
    if (peek(t) == '?') {
        t->at++;
        return special_group(t, begin_in, begin_out);
    }
    if (peek(t) == '*') {
        return fail_at(t, t->at, "nothing to repeat");
    }
    mg_buf_add_char(t->out, '(');
    return push_group(t, begin_in, begin_out);
}

/* Puts "(?:" and ")" around the last atom with its quantifier. */
static void wrap_atom(translator *t)
{
    mg_buf tail = { 0 };
    mg_buf_add(&tail, mg_str_slice(mg_buf_view(t->out), (size_t)t->atom, t->out->size));
    t->out->size = (size_t)t->atom;
    mg_buf_printf(t->out, "(?:%s)", tail.data != NULL ? tail.data : "");
    mg_buf_release(&tail);
}

/* "{n,m}" at t->at, or a literal brace. */
static mg_status translate_brace(translator *t)
{
    size_t at = t->at + 1;
    size_t low = at;
    while (is_digit(peek_at(t, at))) {
        at++;
    }
    mg_str low_digits = mg_str_slice(t->in, low, at);
    bool comma = peek_at(t, at) == ',';
    at += comma ? 1 : 0;
    size_t high = at;
    while (comma && is_digit(peek_at(t, at))) {
        at++;
    }
    mg_str high_digits = mg_str_slice(t->in, high, at);
    bool empty = low_digits.size == 0 && high_digits.size == 0;
    bool python = t->dialect == MG_REGEX_PYTHON;
    if (peek_at(t, at) != '}' || (empty && !(python && comma))) {
        t->at++;
        t->atom = (int64_t)t->out->size;
        mg_buf_add_text(t->out, "\\{");
        return MG_OK;
    }
    if (t->atom < 0) {
        return fail_at(t, t->at, "nothing to repeat");
    }
    t->at = at + 1;
    mg_buf_printf(t->out, "{%.*s", MG_STR_ARG(low_digits.size > 0 ? low_digits : mg_str_of("0")));
    mg_buf_printf(t->out, "%s%.*s}", comma ? "," : "", MG_STR_ARG(high_digits));
    int next = peek(t);
    if (!python && (next == '+' || (next == '?' && !comma))) {
        wrap_atom(t);
        return MG_OK; /* the sign is the next quantifier */
    }
    if (next == '?' || next == '+') {
        mg_buf_add_char(t->out, (char)next);
        t->at++;
    }
    return MG_OK;
}

static mg_status translate_one(translator *t)
{
    int c = peek(t);
    switch (c) {
    case '\\':
        return translate_escape(t);
    case '[':
        return top_class(t);
    case '(':
        return translate_group(t);
    case ')':
        if (t->group_depth == 0) {
            return fail_at(t, t->at, "')' without '('");
        }
        t->at++;
        mg_buf_add_char(t->out, ')');
        t->atom = (int64_t)t->group_begin[--t->group_depth];
        return MG_OK;
    case '{':
        return translate_brace(t);
    case '*':
    case '+':
    case '?':
        if (t->atom < 0) {
            return fail_at(t, t->at, "nothing to repeat");
        }
        t->at++;
        mg_buf_add_char(t->out, (char)c);
        if (peek(t) == '?' || peek(t) == '+') {
            mg_buf_add_char(t->out, (char)peek(t));
            t->at++;
        }
        return MG_OK;
    case '|':
    case '^':
    case '$':
        t->at++;
        mg_buf_add_char(t->out, (char)c);
        t->atom = -1;
        return MG_OK;
    case '#':
        if (t->extended) {
            while (peek(t) >= 0 && peek(t) != '\n') {
                t->at++;
            }
            return MG_OK;
        }
        break;
    default:
        break;
    }
    if (t->extended && (c == ' ' || (c >= 0x09 && c <= 0x0D))) {
        t->at++;
        return MG_OK;
    }
    t->atom = (int64_t)t->out->size;
    copy_code_point(t, t->out);
    return MG_OK;
}

mg_status mg_regex_translate(mg_str pattern, mg_regex_dialect dialect,
                             mg_regex_translation *translation_out, mg_error *err)
{
    memset(translation_out, 0, sizeof(*translation_out));
    translator t = {
        .in = pattern, .dialect = dialect, .err = err, .out = &translation_out->pattern, .atom = -1
    };
    mg_status status = MG_OK;
    while (t.at < pattern.size) {
        MG_TRY_OR_DONE(translate_one(&t));
    }
    if (t.group_depth > 0) {
        status = fail_at(&t, pattern.size, "'(' without ')'");
    }
    translation_out->ascii = t.ascii;

done:
    if (status != MG_OK) {
        mg_buf_release(&translation_out->pattern);
    }
    return status;
}
