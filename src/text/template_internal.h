/* text/template_internal.h - the parts of the template engine.
 *
 * source --template_lex--> tokens --template_parse, template_block--> nodes --template_exec,
 * template_eval--> text.  Nodes live in the template's arena and never change.  Values made while
 * rendering live in the render's arena and end with it.
 *
 * A function that can fail returns bool: false means that ctx->status and the error are set. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/map.h"
#include "text/template.h"
#include "text/value.h"

MG_BEGIN_C

/* Ceilings of one render. */
#define MG_TEMPLATE_STEPS_MAX 10000000
#define MG_TEMPLATE_DEPTH_MAX 600
#define MG_TEMPLATE_OUTPUT_BYTES_MAX ((size_t)64 << 20)
#define MG_TEMPLATE_MEMORY_BYTES_MAX ((size_t)512 << 20)
#define MG_TEMPLATE_STRING_BYTES_MAX ((size_t)32 << 20)
#define MG_TEMPLATE_RANGE_MAX 100000
#define MG_TEMPLATE_VALUE_DEPTH_MAX                                                                \
    250 /* lists in lists that are compared, printed or given out                                  \
         */
/* Ceilings of a template. */
#define MG_TEMPLATE_SOURCE_BYTES_MAX ((size_t)4 << 20)
#define MG_TEMPLATE_NESTING_MAX 120

/* ---- values ---- */

typedef enum mg_tkind {
    MG_T_ABSENT, /* an argument that was not given; never seen by templates */
    MG_T_UNDEFINED,
    MG_T_NULL,
    MG_T_BOOL,
    MG_T_INT,
    MG_T_FLOAT,
    MG_T_STRING,
    MG_T_LIST,
    MG_T_MAP,
    MG_T_NAMESPACE,
    MG_T_MACRO,
    MG_T_GLOBAL, /* a function such as range */
    MG_T_METHOD, /* a method with its object */
    MG_T_LOOP
} mg_tkind;

typedef enum mg_tstyle {
    MG_T_STYLE_LIST,
    MG_T_STYLE_TUPLE,
    MG_T_STYLE_RANGE,
    MG_T_STYLE_ITEMS, /* dict_items and so on */
    MG_T_STYLE_KEYS,
    MG_T_STYLE_VALUES,
    MG_T_STYLE_GENERATOR /* can be walked once; has no length */
} mg_tstyle;

typedef struct mg_tval mg_tval;
typedef struct mg_tlist mg_tlist;
typedef struct mg_tmap mg_tmap;
typedef struct mg_tundefined mg_tundefined;
typedef struct mg_tmacro mg_tmacro;
typedef struct mg_tglobal mg_tglobal;
typedef struct mg_tbound mg_tbound;
typedef struct mg_tloop mg_tloop;
typedef struct mg_tnode mg_tnode;
typedef struct mg_tscope mg_tscope;
typedef struct mg_tctx mg_tctx;

struct mg_tval {
    mg_tkind kind;
    union {
        bool boolean;
        int64_t integer;
        double number;
        mg_str string;
        mg_tlist *list;
        mg_tmap *map; /* also of a namespace */
        mg_tundefined *undefined;
        mg_tmacro *macro;
        const mg_tglobal *global;
        mg_tbound *bound;
        mg_tloop *loop;
    } as;
};

/* The items come from one of three places: doc, items, or start + i * step (a range). */
struct mg_tlist {
    mg_tstyle style;
    bool consumed; /* a generator that was walked */
    int64_t count;
    const mg_value *doc; /* its items, not the list */
    mg_tval *items;
    int64_t start;
    int64_t stop; /* as the range was written, for printing */
    int64_t step;
};

struct mg_tmap {
    int64_t count;
    int64_t cap;
    const mg_entry *doc;
    mg_tval *keys;
    mg_tval *values;
};

struct mg_tundefined {
    bool strict;
    const char
        *owner; /* "dict object": what has no such member; NULL = a name; "" = name is the text */
    mg_str name;
};

/* The arguments of a call, evaluated. */
typedef struct mg_targs {
    mg_tval *values;
    int64_t count;
    mg_str *names; /* of keyword arguments */
    mg_tval *named;
    int64_t named_count;
} mg_targs;

typedef bool mg_tfunction(mg_tctx *ctx, const mg_tnode *at, const mg_targs *args, mg_tval *out);
/* A filter, a test or a method of value. */
typedef bool mg_tfilter(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                        mg_tval *out);

struct mg_tglobal {
    const char *name;
    mg_tfunction *call;
};

typedef struct mg_tnamed {
    const char *name;
    mg_tfilter *call;
} mg_tnamed;

struct mg_tbound {
    mg_tval object;
    const mg_tnamed *method;
};

struct mg_tmacro {
    const mg_tnode *node; /* MACRO or CALL_BLOCK */
    mg_tscope *scope;     /* where it was defined */
};

struct mg_tloop {
    const mg_tnode *node; /* FOR */
    mg_tlist *items;
    int64_t index; /* 0-based */
    int depth;     /* 0 = outermost of a recursive loop */
    mg_tscope *scope;
    mg_tval changed; /* the last arguments of changed() */
};

/* ---- nodes ---- */

typedef enum mg_tnode_kind {
    MG_N_CONST,     /* value */
    MG_N_NAME,      /* id, name */
    MG_N_ATTRIBUTE, /* a.name */
    MG_N_ITEM,      /* a[b] */
    MG_N_SLICE,     /* a[items[0]:items[1]:items[2]], each may be NULL */
    MG_N_CALL,      /* a(arguments) */
    MG_N_FILTER,    /* a|name(arguments); a is NULL in a filter block */
    MG_N_TEST,      /* a is name(arguments) */
    MG_N_LIST,      /* items */
    MG_N_TUPLE,     /* items */
    MG_N_DICT,      /* items: key, value, key, value */
    MG_N_UNARY,     /* op a */
    MG_N_BINARY,    /* a op b */
    MG_N_AND,
    MG_N_OR,
    MG_N_NOT,
    MG_N_CONDITION, /* a if b else c; c may be NULL */
    MG_N_COMPARE,   /* a, then (ops[i], items[i]) */
    MG_N_CONCAT,    /* items */
    MG_N_MEMBER,    /* target namespace.name: id, name */

    MG_N_BODY,         /* items */
    MG_N_TEXT,         /* name is the text */
    MG_N_PRINT,        /* a */
    MG_N_IF,           /* items: condition, body, ...; c is the else body or NULL */
    MG_N_FOR,          /* a target, b iterable, c condition; items[0] body, items[1] else or NULL */
    MG_N_SET,          /* a target, b value */
    MG_N_SET_BLOCK,    /* a target, b filters or NULL, c body */
    MG_N_MACRO,        /* id, name; items parameters (NAME, default or NULL), c body */
    MG_N_CALL_BLOCK,   /* a call; items parameters, c body */
    MG_N_FILTER_BLOCK, /* b filters, c body */
    MG_N_WITH,         /* items: target, value, ...; c body */
    MG_N_BREAK,
    MG_N_CONTINUE
} mg_tnode_kind;

/* Operators; the two-character ones have letters. */
enum {
    MG_OP_EQUAL = 'E',
    MG_OP_UNEQUAL = 'N',
    MG_OP_AT_LEAST = 'G',
    MG_OP_AT_MOST = 'L',
    MG_OP_FLOOR = 'D',
    MG_OP_POWER = 'P',
    MG_OP_IN = 'I',
    MG_OP_NOT_IN = 'J'
};

typedef struct mg_targuments {
    mg_tnode **values;
    int64_t count;
    mg_str *names;
    mg_tnode **named;
    int64_t named_count;
    mg_tnode *star;
    mg_tnode *double_star;
} mg_targuments;

struct mg_tnode {
    mg_tnode_kind kind;
    int32_t line;
    int32_t column;
    int32_t id; /* of a name: index into the template's names */
    char op;
    bool recursive;  /* FOR */
    bool takes_rest; /* MACRO, CALL_BLOCK: more arguments go to varargs and kwargs */
    mg_str name;
    mg_tval value;
    mg_tnode *a;
    mg_tnode *b;
    mg_tnode *c;
    mg_tnode **items;
    int64_t count;
    const char *ops; /* COMPARE */
    mg_targuments *arguments;
    const mg_tnamed *function; /* FILTER, TEST */
};

/* ---- tokens ---- */

typedef enum mg_ttoken_kind {
    MG_TOKEN_TEXT,
    MG_TOKEN_PRINT_BEGIN,
    MG_TOKEN_PRINT_END,
    MG_TOKEN_BLOCK_BEGIN,
    MG_TOKEN_BLOCK_END,
    MG_TOKEN_NAME,
    MG_TOKEN_STRING, /* text is decoded */
    MG_TOKEN_INT,
    MG_TOKEN_FLOAT,
    MG_TOKEN_OPERATOR,
    MG_TOKEN_END
} mg_ttoken_kind;

typedef struct mg_ttoken {
    mg_ttoken_kind kind;
    char op;
    int32_t line;
    int32_t column;
    mg_str text;
    int64_t integer;
    double number;
} mg_ttoken;

typedef struct mg_ttokens {
    mg_ttoken *items; /* end with mg_free */
    int64_t count;
    int64_t cap;
} mg_ttokens;

struct mg_template {
    mg_arena arena;
    const char *name;
    mg_template_profile profile;
    mg_tnode *body;
    mg_map ids; /* name -> id */
    mg_str *names;
    int32_t name_count;
    int32_t name_cap;
};

MG_MUST_CHECK mg_status mg_template_lex(mg_template *t, mg_str source, mg_ttokens *tokens_out,
                                        mg_error *err);

/* ---- parsing ---- */

typedef struct mg_tparser {
    mg_template *t;
    const mg_ttoken *token; /* the next one */
    int depth;
    int loop_depth;
    bool uses_rest; /* "varargs" or "kwargs" was seen in the macro being read */
    mg_error *err;
} mg_tparser;

mg_status mg_tparse_fail(mg_tparser *p, const mg_ttoken *at, const char *format, ...)
    MG_PRINTF(3, 4);
mg_tnode *mg_tnode_new(mg_tparser *p, mg_tnode_kind kind);
int32_t mg_template_id(mg_template *t, mg_str name);
bool mg_tparse_is_op(const mg_tparser *p, char op);
bool mg_tparse_is_name(const mg_tparser *p, const char *name);
bool mg_tparse_skip_op(mg_tparser *p, char op);
bool mg_tparse_skip_name(mg_tparser *p, const char *name);
MG_MUST_CHECK mg_status mg_tparse_expect_op(mg_tparser *p, char op);
/* An expression; without condition, an `if` behind it is left alone. */
MG_MUST_CHECK mg_status mg_tparse_expression(mg_tparser *p, bool condition, mg_tnode **out);
/* One expression, or a tuple without parentheses; stop names the word that ends it, or NULL. */
MG_MUST_CHECK mg_status mg_tparse_tuple(mg_tparser *p, bool condition, const char *stop,
                                        mg_tnode **out);
MG_MUST_CHECK mg_status mg_tparse_arguments(mg_tparser *p, mg_targuments **out);
/* "|name(...)|..." applied to input; begin: the first '|' is already gone. */
MG_MUST_CHECK mg_status mg_tparse_filters(mg_tparser *p, mg_tnode *input, bool begin,
                                          mg_tnode **out);
MG_MUST_CHECK mg_status mg_tparse_postfix(mg_tparser *p, mg_tnode *input, mg_tnode **out);
MG_MUST_CHECK mg_status mg_tparse_primary(mg_tparser *p, mg_tnode **out);
/* All statements of the template. */
MG_MUST_CHECK mg_status mg_tparse_template(mg_tparser *p, mg_tnode **out);

/* A growing list of nodes, closed into the arena. */
typedef struct mg_tnodes {
    mg_tnode **items;
    int64_t count;
    int64_t cap;
} mg_tnodes;
void mg_tnodes_add(mg_tnodes *list, mg_tnode *node);
void mg_tnodes_close(mg_tparser *p, mg_tnodes *list, mg_tnode *into);

/* ---- rendering ---- */

typedef struct mg_tbinding {
    int32_t id;
    mg_tval value;
} mg_tbinding;

struct mg_tscope {
    mg_tscope *parent;
    mg_tbinding *bindings;
    int32_t count;
    int32_t cap;
};

struct mg_tctx {
    const mg_template *t;
    mg_arena *arena;
    const mg_value *variables;
    int64_t now;
    mg_buf *out;
    mg_error *err;
    mg_status status;
    int64_t steps;
    int depth;
    int value_depth; /* of lists and maps on their way out */
    mg_tscope *scope;
    mg_tval *roots; /* variables and globals by id, filled on first use */
};

/* Fails at a node: "NAME:LINE:COLUMN: message".  Always false. */
bool mg_tfail(mg_tctx *ctx, const mg_tnode *at, const char *format, ...) MG_PRINTF(3, 4);
bool mg_tfail_status(mg_tctx *ctx, const mg_tnode *at, mg_status status, const char *format, ...)
    MG_PRINTF(4, 5);
/* Counts work; false when a limit is reached. */
bool mg_tstep(mg_tctx *ctx, const mg_tnode *at, int64_t steps);
bool mg_tcheck_size(mg_tctx *ctx, const mg_tnode *at, size_t bytes);

bool mg_teval(mg_tctx *ctx, const mg_tnode *node, mg_tval *out);
bool mg_targuments_eval(mg_tctx *ctx, const mg_targuments *from, mg_targs *out);
/* The filters of a filter block or set block (FILTER nodes whose innermost a is NULL) on input. */
bool mg_tfilters_apply(mg_tctx *ctx, const mg_tnode *node, const mg_tval *input, mg_tval *out);
bool mg_tcall(mg_tctx *ctx, const mg_tnode *at, const mg_tval *callee, const mg_targs *args,
              mg_tval *out);
bool mg_tbinary(mg_tctx *ctx, const mg_tnode *at, char op, const mg_tval *a, const mg_tval *b,
                mg_tval *out);
/* attribute: x.k, method first; else x['k'], item first. */
bool mg_tget_attribute(mg_tctx *ctx, const mg_tnode *at, const mg_tval *object, mg_str name,
                       mg_tval *out);
bool mg_tget_item(mg_tctx *ctx, const mg_tnode *at, const mg_tval *object, const mg_tval *key,
                  mg_tval *out);
/* "a.b.0": the attribute paths of map, selectattr, sort and so on. */
bool mg_tget_path(mg_tctx *ctx, const mg_tnode *at, const mg_tval *object, const mg_tval *path,
                  mg_tval *out);
bool mg_texec(mg_tctx *ctx, const mg_tnode *body);
bool mg_tmacro_call(mg_tctx *ctx, const mg_tnode *at, const mg_tmacro *macro, const mg_targs *args,
                    mg_tval *out);
bool mg_tloop_call(mg_tctx *ctx, const mg_tnode *at, mg_tloop *loop, const mg_targs *args,
                   mg_tval *out);
bool mg_tloop_attribute(mg_tctx *ctx, const mg_tloop *loop, mg_str name, mg_tval *out);

/* Binds arguments to parameter names as Python does; the first required ones must be there, missing
 * ones become MG_T_ABSENT. */
bool mg_tbind(mg_tctx *ctx, const mg_tnode *at, const mg_targs *args, const char *what,
              const char *const *names, int64_t count, int64_t required, mg_tval *values_out);
bool mg_targ_int(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, const char *what,
                 int64_t fallback, int64_t *out);
bool mg_targ_str(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, const char *what,
                 mg_str *out);

/* Functions by name; NULL when there is none. */
const mg_tnamed *mg_tfind_filter(mg_template_profile profile, mg_str name);
const mg_tnamed *mg_tfind_list_filter(mg_str name);
const mg_tnamed *mg_tfind_test(mg_str name);
const mg_tnamed *mg_tfind_method(const mg_tval *object, mg_str name);
const mg_tnamed *mg_tfind_loop_method(mg_str name);
const mg_tglobal *mg_tfind_global(mg_template_profile profile, mg_str name);
const mg_tnamed *mg_tfind_named(const mg_tnamed *table, int64_t count, mg_str name);

/* ---- texts ---- */

/* str.strip and its sides; without chars (chars.data NULL) white space goes. */
mg_str mg_ttext_strip(mg_str text, mg_str chars, bool left, bool right);
/* str.replace; count < 0 = all. */
bool mg_ttext_replace(mg_tctx *ctx, const mg_tnode *at, mg_str text, mg_str old, mg_str with,
                      int64_t count, mg_tval *out);
mg_tval mg_ttext_capitalize(mg_tctx *ctx, mg_str text);
mg_tval mg_ttext_lower(mg_tctx *ctx, mg_str text);
mg_tval mg_ttext_upper(mg_tctx *ctx, mg_str text);
/* str.splitlines: the next line of *rest without its end; false when there is none. */
bool mg_ttext_line(mg_str *rest, mg_str *line_out, mg_str *end_out);
/* int(text) and float(text) of Python; false when text is no number (or needs more than 64 bits).
 */
bool mg_ttext_int(mg_str text, int base, int64_t *out);
bool mg_ttext_float(mg_str text, double *out);

/* Python's printf formatting: "%s %05.2f" % values. */
bool mg_tformat_percent(mg_tctx *ctx, const mg_tnode *at, mg_str format, const mg_tval *values,
                        mg_tval *out);
/* str.format. */
bool mg_tformat_braces(mg_tctx *ctx, const mg_tnode *at, mg_str format, const mg_targs *args,
                       mg_tval *out);

/* ---- operations on values ---- */

mg_tval mg_tval_of(mg_arena *arena, const mg_value *value); /* borrows value */
mg_tval mg_tval_bool(bool b);
mg_tval mg_tval_int(int64_t i);
mg_tval mg_tval_float(double d);
mg_tval mg_tval_str(mg_str s); /* borrows; must outlive the render */
mg_tval mg_tval_copy_str(mg_tctx *ctx, mg_str s);
mg_tval mg_tval_take(mg_tctx *ctx, mg_buf *buf); /* a string of the buffer, which is released */
mg_tval mg_tval_list(mg_arena *arena, mg_tstyle style, int64_t count); /* items to be filled */
mg_tval mg_tval_pair(mg_arena *arena, mg_tval first, mg_tval second);
mg_tval mg_tval_undefined(mg_tctx *ctx, const char *owner, mg_str name);
mg_tval mg_tval_lenient(mg_tctx *ctx, const char *text);
mg_tval mg_tlist_item(mg_arena *arena, const mg_tlist *list, int64_t index);
mg_tval mg_tmap_key(mg_arena *arena, const mg_tmap *map, int64_t index);
mg_tval mg_tmap_value(mg_arena *arena, const mg_tmap *map, int64_t index);
/* Index of key, or -1. */
int64_t mg_tmap_find(mg_arena *arena, const mg_tmap *map, const mg_tval *key);
void mg_tmap_set(mg_arena *arena, mg_tmap *map, mg_tval key,
                 mg_tval value); /* map is not of a doc */
mg_tmap *mg_tmap_new(mg_arena *arena, int64_t cap);

const char *mg_ttype_name(const mg_tval *value); /* Python's: "str", "list", for messages */
bool mg_tval_is_number(const mg_tval *value);    /* also booleans */
double mg_tval_number(const mg_tval *value);     /* of a number */
int64_t mg_tval_integer(const mg_tval *value);   /* of a bool or an int */
bool mg_tequal(mg_arena *arena, const mg_tval *a, const mg_tval *b);

/* These fail on a strict undefined. */
bool mg_ttruth(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, bool *out);
bool mg_tequals(mg_tctx *ctx, const mg_tnode *at, const mg_tval *a, const mg_tval *b, bool *out);
/* Negative, 0 or positive; fails where Python has no order. */
bool mg_tcompare(mg_tctx *ctx, const mg_tnode *at, const mg_tval *a, const mg_tval *b, int *out);
bool mg_tcontains(mg_tctx *ctx, const mg_tnode *at, const mg_tval *box, const mg_tval *item,
                  bool *out);
/* Python's str(); fails on a strict undefined. */
bool mg_tprint(mg_tctx *ctx, const mg_tnode *at, mg_buf *buf, const mg_tval *value);
bool mg_tstring(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, mg_str *out);
/* Python's repr(); false when value is nested deeper than MG_TEMPLATE_VALUE_DEPTH_MAX. */
bool mg_trepr(mg_arena *arena, mg_buf *buf, const mg_tval *value);
void mg_trepr_string(mg_buf *buf, mg_str text);
/* What iteration over value gives: a list of any style (keys of a map, characters of a string). */
bool mg_titerate(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, mg_tlist **out);
/* Fails where len() does. */
bool mg_tlength(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, int64_t *out);
bool mg_tto_value(mg_tctx *ctx, const mg_tnode *at, mg_arena *arena, const mg_tval *value,
                  mg_value *out);
bool mg_tundefined_fail(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value);

MG_END_C
