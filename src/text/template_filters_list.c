/* text/template_filters_list.c - filters on lists and maps.
 *
 * Those that are generators in Jinja give values of the generator style: they are true even when
 * empty, have no length and can be walked once. */
#include "text/template_internal.h"

#include "base/memory.h"
#include "text/utf8.h"

static bool no_arguments(mg_tctx *ctx, const mg_tnode *at, const mg_targs *args, const char *what)
{
    return mg_tbind(ctx, at, args, what, NULL, 0, 0, NULL);
}

static bool flag(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, bool *out)
{
    *out = false;
    return value->kind == MG_T_ABSENT || mg_ttruth(ctx, at, value, out);
}

static bool filter_length(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                          mg_tval *out)
{
    int64_t length;
    if (!no_arguments(ctx, at, args, "length") || !mg_tlength(ctx, at, &value, &length)) {
        return false;
    }
    *out = mg_tval_int(length);
    return true;
}

static bool filter_first(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                         mg_tval *out)
{
    mg_tlist *list;
    if (!no_arguments(ctx, at, args, "first") || !mg_titerate(ctx, at, &value, &list)) {
        return false;
    }
    *out = list->count > 0 ? mg_tlist_item(ctx->arena, list, 0)
                           : mg_tval_undefined(ctx, "", mg_str_of("first: nothing is there"));
    return true;
}

static bool filter_last(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                        mg_tval *out)
{
    mg_tlist *list;
    if (!no_arguments(ctx, at, args, "last")) {
        return false;
    }
    if (value.kind == MG_T_LIST && value.as.list->style == MG_T_STYLE_GENERATOR) {
        return mg_tfail(ctx, at, "'generator' object is not reversible");
    }
    if (!mg_titerate(ctx, at, &value, &list)) {
        return false;
    }
    *out = list->count > 0 ? mg_tlist_item(ctx->arena, list, list->count - 1)
                           : mg_tval_undefined(ctx, "", mg_str_of("last: nothing is there"));
    return true;
}

/* A copy of what value iterates over. */
static bool copy_items(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, mg_tstyle style,
                       mg_tval *out)
{
    mg_tlist *list;
    if (!mg_titerate(ctx, at, value, &list)) {
        return false;
    }
    *out = mg_tval_list(ctx->arena, style, list->count);
    for (int64_t i = 0; i < list->count; i++) {
        out->as.list->items[i] = mg_tlist_item(ctx->arena, list, i);
    }
    return true;
}

static bool filter_list(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                        mg_tval *out)
{
    return no_arguments(ctx, at, args, "list") && copy_items(ctx, at, &value, MG_T_STYLE_LIST, out);
}

static bool filter_items(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                         mg_tval *out)
{
    if (!no_arguments(ctx, at, args, "items")) {
        return false;
    }
    if (value.kind == MG_T_UNDEFINED) {
        *out = mg_tval_list(ctx->arena, MG_T_STYLE_GENERATOR, 0);
        return true;
    }
    if (value.kind != MG_T_MAP) {
        return mg_tfail(ctx, at, "Can only get item pairs from a mapping.");
    }
    const mg_tmap *map = value.as.map;
    *out = mg_tval_list(ctx->arena, MG_T_STYLE_GENERATOR, map->count);
    for (int64_t i = 0; i < map->count; i++) {
        out->as.list->items[i] = mg_tval_pair(ctx->arena, mg_tmap_key(ctx->arena, map, i),
                                              mg_tmap_value(ctx->arena, map, i));
    }
    return mg_tstep(ctx, at, map->count);
}

static bool filter_reverse(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                           mg_tval *out)
{
    mg_tval forward;
    if (!no_arguments(ctx, at, args, "reverse")) {
        return false;
    }
    bool text = value.kind == MG_T_STRING;
    if (!copy_items(ctx, at, &value, MG_T_STYLE_GENERATOR, &forward)) {
        return false;
    }
    int64_t count = forward.as.list->count;
    mg_tval *items = forward.as.list->items;
    for (int64_t i = 0; i < count / 2; i++) {
        mg_tval swap = items[i];
        items[i] = items[count - 1 - i];
        items[count - 1 - i] = swap;
    }
    *out = forward;
    if (text) {
        mg_buf buf = { 0 };
        for (int64_t i = 0; i < count; i++) {
            mg_buf_add(&buf, items[i].as.string);
        }
        *out = mg_tval_take(ctx, &buf);
    } else if (value.kind == MG_T_LIST && value.as.list->style == MG_T_STYLE_GENERATOR) {
        out->as.list->style = MG_T_STYLE_LIST;
    }
    return true;
}

static bool filter_join(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                        mg_tval *out)
{
    static const char *const names[] = { "d", "attribute" };
    mg_tval a[2];
    if (!mg_tbind(ctx, at, args, "join", names, 2, 0, a)) {
        return false;
    }
    mg_tlist *list;
    mg_str separator = mg_str_of("");
    if ((a[0].kind != MG_T_ABSENT && !mg_tstring(ctx, at, &a[0], &separator)) ||
        !mg_titerate(ctx, at, &value, &list)) {
        return false;
    }
    mg_buf buf = { 0 };
    bool ok = true;
    for (int64_t i = 0; ok && i < list->count; i++) {
        mg_tval item = mg_tlist_item(ctx->arena, list, i);
        mg_tval part = item;
        if (i > 0) {
            mg_buf_add(&buf, separator);
        }
        ok = (a[1].kind <= MG_T_NULL || mg_tget_path(ctx, at, &item, &a[1], &part)) &&
             mg_tprint(ctx, at, &buf, &part) &&
             (buf.size <= MG_TEMPLATE_STRING_BYTES_MAX || mg_tcheck_size(ctx, at, buf.size));
    }
    *out = mg_tval_take(ctx, &buf);
    return ok && mg_tcheck_size(ctx, at, out->as.string.size);
}

/* ---- map, select, reject ---- */

/* The arguments behind the first skip ones. */
static mg_targs rest_of(const mg_targs *args, int64_t skip)
{
    mg_targs rest = *args;
    rest.values = args->count > skip ? args->values + skip : args->values;
    rest.count = MG_MAX(args->count - skip, 0);
    return rest;
}

/* map(attribute=..., default=...). */
static bool map_attribute(mg_tctx *ctx, const mg_tnode *at, const mg_tlist *list,
                          const mg_targs *args, mg_tval *out)
{
    static const char *const names[] = { "attribute", "default" };
    mg_tval a[2];
    if (!mg_tbind(ctx, at, args, "map", names, 2, 0, a)) {
        return false;
    }
    for (int64_t i = 0; i < list->count; i++) {
        mg_tval item = mg_tlist_item(ctx->arena, list, i);
        mg_tval *part = &out->as.list->items[i];
        if (!mg_tget_path(ctx, at, &item, &a[0], part)) {
            return false;
        }
        if (part->kind == MG_T_UNDEFINED && a[1].kind > MG_T_NULL) {
            *part = a[1];
        }
    }
    return true;
}

static bool filter_map(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                       mg_tval *out)
{
    mg_tlist *list;
    if (!mg_titerate(ctx, at, &value, &list)) {
        return false;
    }
    *out = mg_tval_list(ctx->arena, MG_T_STYLE_GENERATOR, list->count);
    if (args->count == 0) {
        return map_attribute(ctx, at, list, args, out);
    }
    mg_str name;
    if (!mg_targ_str(ctx, at, &args->values[0], "the filter of map", &name)) {
        return false;
    }
    const mg_tnamed *filter = mg_tfind_filter(ctx->t->profile, name);
    if (filter == NULL) {
        return mg_tfail(ctx, at, "no filter named '%.*s'", MG_STR_ARG(name));
    }
    mg_targs rest = rest_of(args, 1);
    for (int64_t i = 0; i < list->count; i++) {
        if (!mg_tstep(ctx, at, 1) || !filter->call(ctx, at, mg_tlist_item(ctx->arena, list, i),
                                                   &rest, &out->as.list->items[i])) {
            return false;
        }
    }
    return true;
}

/* select, reject, selectattr and rejectattr: keeps the items whose test gives wanted. */
static bool choose(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, const mg_targs *args,
                   bool attribute, bool wanted, mg_tval *out)
{
    mg_tlist *list;
    const mg_tnamed *test = NULL;
    int64_t skip = attribute ? 1 : 0;
    if (args->count < skip) {
        return mg_tfail(ctx, at, "the name of an attribute is missing");
    }
    if (args->count > skip) {
        mg_str name;
        if (!mg_targ_str(ctx, at, &args->values[skip], "the test", &name)) {
            return false;
        }
        test = mg_tfind_test(name);
        if (test == NULL) {
            return mg_tfail(ctx, at, "no test named '%.*s'", MG_STR_ARG(name));
        }
    }
    if (!mg_titerate(ctx, at, value, &list)) {
        return false;
    }
    mg_targs rest = rest_of(args, skip + 1);
    mg_tval kept = mg_tval_list(ctx->arena, MG_T_STYLE_GENERATOR, list->count);
    kept.as.list->count = 0;
    for (int64_t i = 0; i < list->count; i++) {
        mg_tval item = mg_tlist_item(ctx->arena, list, i);
        mg_tval part = item;
        mg_tval verdict;
        bool truth;
        if ((attribute && !mg_tget_path(ctx, at, &item, &args->values[0], &part)) ||
            !mg_tstep(ctx, at, 1)) {
            return false;
        }
        verdict = part;
        if (test != NULL && !test->call(ctx, at, part, &rest, &verdict)) {
            return false;
        }
        if (!mg_ttruth(ctx, at, &verdict, &truth)) {
            return false;
        }
        if (truth == wanted) {
            kept.as.list->items[kept.as.list->count++] = item;
        }
    }
    *out = kept;
    return true;
}

static bool filter_select(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                          mg_tval *out)
{
    return choose(ctx, at, &value, args, false, true, out);
}

static bool filter_reject(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                          mg_tval *out)
{
    return choose(ctx, at, &value, args, false, false, out);
}

static bool filter_selectattr(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                              mg_tval *out)
{
    return choose(ctx, at, &value, args, true, true, out);
}

static bool filter_rejectattr(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                              mg_tval *out)
{
    return choose(ctx, at, &value, args, true, false, out);
}

/* ---- sorting ---- */

typedef struct sort_item {
    mg_tval key;
    mg_tval value;
} sort_item;

/* The key to sort by: an attribute path (or several with commas), strings without case unless
 * asked. */
static bool sort_key(mg_tctx *ctx, const mg_tnode *at, const mg_tval *item,
                     const mg_tval *attribute, bool case_sensitive, mg_tval *out)
{
    *out = *item;
    if (attribute->kind > MG_T_NULL) {
        mg_str rest = attribute->kind == MG_T_STRING ? attribute->as.string : mg_str_of("");
        if (mg_str_find(rest, mg_str_of(","), 0) >= 0) {
            mg_tval parts = mg_tval_list(ctx->arena, MG_T_STYLE_LIST, (int64_t)rest.size);
            mg_str part;
            int64_t count = 0;
            while (mg_str_split(&rest, ',', &part)) {
                mg_tval path = mg_tval_str(part);
                if (!sort_key(ctx, at, item, &path, case_sensitive,
                              &parts.as.list->items[count++])) {
                    return false;
                }
            }
            parts.as.list->count = count;
            *out = parts;
            return true;
        }
        if (!mg_tget_path(ctx, at, item, attribute, out)) {
            return false;
        }
    }
    if (!case_sensitive && out->kind == MG_T_STRING) {
        *out = mg_ttext_lower(ctx, out->as.string);
    }
    return true;
}

/* A stable merge sort of items[0 .. count-1]; spare has as much room. */
static bool merge_sort(mg_tctx *ctx, const mg_tnode *at, sort_item *items, sort_item *spare,
                       int64_t count, bool reverse)
{
    if (count < 2) {
        return true;
    }
    int64_t middle = count / 2;
    if (!merge_sort(ctx, at, items, spare, middle, reverse) ||
        !merge_sort(ctx, at, items + middle, spare, count - middle, reverse) ||
        !mg_tstep(ctx, at, count)) {
        return false;
    }
    int64_t left = 0;
    int64_t right = middle;
    for (int64_t i = 0; i < count; i++) {
        int order = 0;
        if (left < middle && right < count &&
            !mg_tcompare(ctx, at, &items[right].key, &items[left].key, &order)) {
            return false;
        }
        bool take_right = left == middle || (right < count && (reverse ? order > 0 : order < 0));
        spare[i] = take_right ? items[right++] : items[left++];
    }
    memcpy(items, spare, (size_t)count * sizeof(*items));
    return true;
}

/* Sorts what list holds by its keys into a new array. */
static bool sorted_items(mg_tctx *ctx, const mg_tnode *at, const mg_tlist *list,
                         const mg_tval *attribute, bool case_sensitive, bool reverse,
                         sort_item **items_out)
{
    sort_item *items = mg_arena_array(ctx->arena, sort_item, list->count + 1);
    sort_item *spare = mg_arena_array(ctx->arena, sort_item, list->count + 1);
    for (int64_t i = 0; i < list->count; i++) {
        items[i].value = mg_tlist_item(ctx->arena, list, i);
        if (!sort_key(ctx, at, &items[i].value, attribute, case_sensitive, &items[i].key)) {
            return false;
        }
    }
    *items_out = items;
    return merge_sort(ctx, at, items, spare, list->count, reverse);
}

static bool filter_sort(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                        mg_tval *out)
{
    static const char *const names[] = { "reverse", "case_sensitive", "attribute" };
    mg_tval a[3];
    if (!mg_tbind(ctx, at, args, "sort", names, 3, 0, a)) {
        return false;
    }
    mg_tlist *list;
    sort_item *items = NULL;
    bool reverse;
    bool case_sensitive;
    if (!flag(ctx, at, &a[0], &reverse) || !flag(ctx, at, &a[1], &case_sensitive) ||
        !mg_titerate(ctx, at, &value, &list) ||
        !sorted_items(ctx, at, list, &a[2], case_sensitive, reverse, &items)) {
        return false;
    }
    *out = mg_tval_list(ctx->arena, MG_T_STYLE_LIST, list->count);
    for (int64_t i = 0; i < list->count; i++) {
        out->as.list->items[i] = items[i].value;
    }
    return true;
}

static bool filter_dictsort(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                            mg_tval *out)
{
    static const char *const names[] = { "case_sensitive", "by", "reverse" };
    mg_tval a[3];
    if (!mg_tbind(ctx, at, args, "dictsort", names, 3, 0, a)) {
        return false;
    }
    bool case_sensitive;
    bool reverse;
    mg_str by = mg_str_of("key");
    mg_targs none = { 0 };
    mg_tval pairs;
    if (value.kind == MG_T_UNDEFINED) {
        return mg_tundefined_fail(ctx, at, &value);
    }
    if (!flag(ctx, at, &a[0], &case_sensitive) || !flag(ctx, at, &a[2], &reverse) ||
        (a[1].kind != MG_T_ABSENT && !mg_targ_str(ctx, at, &a[1], "by", &by)) ||
        !filter_items(ctx, at, value, &none, &pairs)) {
        return false;
    }
    if (!mg_str_is(by, "key") && !mg_str_is(by, "value")) {
        return mg_tfail(ctx, at, "dictsort: by must be key or value");
    }
    mg_tval index = mg_tval_int(mg_str_is(by, "key") ? 0 : 1);
    sort_item *items = NULL;
    if (!sorted_items(ctx, at, pairs.as.list, &index, case_sensitive, reverse, &items)) {
        return false;
    }
    *out = mg_tval_list(ctx->arena, MG_T_STYLE_LIST, pairs.as.list->count);
    for (int64_t i = 0; i < pairs.as.list->count; i++) {
        out->as.list->items[i] = items[i].value;
    }
    return true;
}

/* The largest or smallest item by key. */
static bool extreme(mg_tctx *ctx, const mg_tnode *at, const mg_tval *value, const mg_targs *args,
                    bool largest, mg_tval *out)
{
    static const char *const names[] = { "case_sensitive", "attribute" };
    mg_tval a[2];
    if (!mg_tbind(ctx, at, args, largest ? "max" : "min", names, 2, 0, a)) {
        return false;
    }
    mg_tlist *list;
    bool case_sensitive;
    mg_tval best_key = { 0 };
    if (!flag(ctx, at, &a[0], &case_sensitive) || !mg_titerate(ctx, at, value, &list)) {
        return false;
    }
    *out = mg_tval_undefined(ctx, "", mg_str_of("no aggregated item, the sequence was empty"));
    for (int64_t i = 0; i < list->count; i++) {
        mg_tval item = mg_tlist_item(ctx->arena, list, i);
        mg_tval key;
        int order = 0;
        if (!sort_key(ctx, at, &item, &a[1], case_sensitive, &key) ||
            (i > 0 && !mg_tcompare(ctx, at, &key, &best_key, &order))) {
            return false;
        }
        if (i == 0 || (largest ? order > 0 : order < 0)) {
            best_key = key;
            *out = item;
        }
    }
    return true;
}

static bool filter_max(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                       mg_tval *out)
{
    return extreme(ctx, at, &value, args, true, out);
}

static bool filter_min(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                       mg_tval *out)
{
    return extreme(ctx, at, &value, args, false, out);
}

static bool filter_unique(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                          mg_tval *out)
{
    static const char *const names[] = { "case_sensitive", "attribute" };
    mg_tval a[2];
    if (!mg_tbind(ctx, at, args, "unique", names, 2, 0, a)) {
        return false;
    }
    mg_tlist *list;
    bool case_sensitive;
    if (!flag(ctx, at, &a[0], &case_sensitive) || !mg_titerate(ctx, at, &value, &list)) {
        return false;
    }
    mg_tval *keys = mg_arena_array(ctx->arena, mg_tval, list->count + 1);
    mg_tval kept = mg_tval_list(ctx->arena, MG_T_STYLE_GENERATOR, list->count);
    int64_t count = 0;
    for (int64_t i = 0; i < list->count; i++) {
        mg_tval item = mg_tlist_item(ctx->arena, list, i);
        bool seen = false;
        if (!sort_key(ctx, at, &item, &a[1], case_sensitive, &keys[count]) ||
            !mg_tstep(ctx, at, count)) {
            return false;
        }
        for (int64_t j = 0; j < count && !seen; j++) {
            seen = mg_tequal(ctx->arena, &keys[j], &keys[count]);
        }
        if (!seen) {
            kept.as.list->items[count++] = item;
        }
    }
    kept.as.list->count = count;
    *out = kept;
    return true;
}

static bool filter_groupby(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                           mg_tval *out)
{
    static const char *const names[] = { "attribute", "default", "case_sensitive" };
    mg_tval a[3];
    if (!mg_tbind(ctx, at, args, "groupby", names, 3, 1, a)) {
        return false;
    }
    mg_tlist *list;
    bool case_sensitive;
    sort_item *items = NULL;
    if (!flag(ctx, at, &a[2], &case_sensitive) || !mg_titerate(ctx, at, &value, &list) ||
        !sorted_items(ctx, at, list, &a[0], case_sensitive, false, &items)) {
        return false;
    }
    *out = mg_tval_list(ctx->arena, MG_T_STYLE_LIST, list->count);
    int64_t groups = 0;
    for (int64_t begin = 0; begin < list->count;) {
        int64_t end = begin + 1;
        while (end < list->count && mg_tequal(ctx->arena, &items[begin].key, &items[end].key)) {
            end++;
        }
        mg_tval group = mg_tval_list(ctx->arena, MG_T_STYLE_LIST, end - begin);
        for (int64_t i = begin; i < end; i++) {
            group.as.list->items[i - begin] = items[i].value;
        }
        mg_tval key;
        if (!mg_tget_path(ctx, at, &items[begin].value, &a[0], &key)) {
            return false;
        }
        if (key.kind == MG_T_UNDEFINED && a[1].kind > MG_T_NULL) {
            key = a[1];
        }
        out->as.list->items[groups++] = mg_tval_pair(ctx->arena, key, group);
        begin = end;
    }
    out->as.list->count = groups;
    return true;
}

static bool filter_sum(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                       mg_tval *out)
{
    static const char *const names[] = { "attribute", "start" };
    mg_tval a[2];
    if (!mg_tbind(ctx, at, args, "sum", names, 2, 0, a)) {
        return false;
    }
    mg_tlist *list;
    if (!mg_titerate(ctx, at, &value, &list)) {
        return false;
    }
    *out = a[1].kind == MG_T_ABSENT ? mg_tval_int(0) : a[1];
    for (int64_t i = 0; i < list->count; i++) {
        mg_tval item = mg_tlist_item(ctx->arena, list, i);
        mg_tval part = item;
        mg_tval total = *out;
        if ((a[0].kind > MG_T_NULL && !mg_tget_path(ctx, at, &item, &a[0], &part)) ||
            !mg_tbinary(ctx, at, '+', &total, &part, out)) {
            return false;
        }
    }
    return true;
}

/* ---- batch and slice ---- */

static mg_tval part_of(mg_tctx *ctx, const mg_tlist *list, int64_t begin, int64_t end,
                       int64_t fill_count, const mg_tval *fill)
{
    mg_tval part = mg_tval_list(ctx->arena, MG_T_STYLE_LIST, end - begin + fill_count);
    for (int64_t i = begin; i < end; i++) {
        part.as.list->items[i - begin] = mg_tlist_item(ctx->arena, list, i);
    }
    for (int64_t i = 0; i < fill_count; i++) {
        part.as.list->items[end - begin + i] = *fill;
    }
    return part;
}

static bool filter_batch(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                         mg_tval *out)
{
    static const char *const names[] = { "linecount", "fill_with" };
    mg_tval a[2];
    if (!mg_tbind(ctx, at, args, "batch", names, 2, 1, a)) {
        return false;
    }
    mg_tlist *list;
    int64_t size;
    if (!mg_targ_int(ctx, at, &a[0], "linecount", 1, &size) ||
        !mg_titerate(ctx, at, &value, &list)) {
        return false;
    }
    if (size < 1 || size > MG_TEMPLATE_RANGE_MAX) {
        return mg_tfail(ctx, at, "batch: linecount must be in [1, %d]", MG_TEMPLATE_RANGE_MAX);
    }
    int64_t count = list->count / size + (list->count % size != 0);
    *out = mg_tval_list(ctx->arena, MG_T_STYLE_GENERATOR, count);
    for (int64_t i = 0; i < count; i++) {
        int64_t end = MG_MIN((i + 1) * size, list->count);
        int64_t fill = a[1].kind > MG_T_NULL ? (i + 1) * size - end : 0;
        out->as.list->items[i] = part_of(ctx, list, i * size, end, fill, &a[1]);
    }
    return true;
}

static bool filter_slice(mg_tctx *ctx, const mg_tnode *at, mg_tval value, const mg_targs *args,
                         mg_tval *out)
{
    static const char *const names[] = { "slices", "fill_with" };
    mg_tval a[2];
    if (!mg_tbind(ctx, at, args, "slice", names, 2, 1, a)) {
        return false;
    }
    mg_tlist *list;
    int64_t count;
    if (!mg_targ_int(ctx, at, &a[0], "slices", 1, &count) || !mg_titerate(ctx, at, &value, &list)) {
        return false;
    }
    if (count < 1 || count > MG_TEMPLATE_RANGE_MAX) {
        return mg_tfail(ctx, at, "slice: slices must be in [1, %d]", MG_TEMPLATE_RANGE_MAX);
    }
    *out = mg_tval_list(ctx->arena, MG_T_STYLE_GENERATOR, count);
    int64_t begin = 0;
    for (int64_t i = 0; i < count; i++) {
        bool longer = i < list->count % count;
        int64_t end = begin + list->count / count + longer;
        int64_t fill = a[1].kind > MG_T_NULL && !longer ? 1 : 0;
        out->as.list->items[i] = part_of(ctx, list, begin, end, fill, &a[1]);
        begin = end;
    }
    return true;
}

const mg_tnamed *mg_tfind_list_filter(mg_str name)
{
    static const mg_tnamed filters[] = {
        { "batch", filter_batch },
        { "count", filter_length },
        { "dictsort", filter_dictsort },
        { "first", filter_first },
        { "groupby", filter_groupby },
        { "items", filter_items },
        { "join", filter_join },
        { "last", filter_last },
        { "length", filter_length },
        { "list", filter_list },
        { "map", filter_map },
        { "max", filter_max },
        { "min", filter_min },
        { "reject", filter_reject },
        { "rejectattr", filter_rejectattr },
        { "reverse", filter_reverse },
        { "select", filter_select },
        { "selectattr", filter_selectattr },
        { "slice", filter_slice },
        { "sort", filter_sort },
        { "sum", filter_sum },
        { "unique", filter_unique },
    };
    return mg_tfind_named(filters, MG_ARRAY_COUNT(filters), name);
}
