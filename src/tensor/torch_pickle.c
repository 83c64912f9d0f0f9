/* tensor/torch_pickle.c - an interpreter for the pickles that torch.save writes.
 *
 * A pickle is a program for a stack machine.  This machine knows the opcodes that tensors need and
 * calls nothing: a GLOBAL must be one of a short list of names, and REDUCE of such a name makes the
 * value that the real call would have returned.  Everything else is an error that names the opcode
 * or the name. Values are trees of plain structs in an arena, with ceilings on their number and on
 * all stacks. */
#include "tensor/torch_pickle_internal.h"

#include "base/memory.h"

#define OBJECTS_MAX ((int64_t)8 << 20)
#define STACK_MAX ((int64_t)4 << 20)
#define MEMO_MAX ((int64_t)8 << 20)
#define NAME_BYTES_MAX 256
#define TEXT_BYTES_MAX ((size_t)16 << 20)

enum opcode {
    OP_MARK = '(',
    OP_STOP = '.',
    OP_POP = '0',
    OP_DUP = '2',
    OP_BINFLOAT = 'G',
    OP_BININT = 'J',
    OP_BININT1 = 'K',
    OP_BININT2 = 'M',
    OP_NONE = 'N',
    OP_BINPERSID = 'Q',
    OP_REDUCE = 'R',
    OP_BINSTRING = 'T',
    OP_SHORT_BINSTRING = 'U',
    OP_BINUNICODE = 'X',
    OP_APPEND = 'a',
    OP_BUILD = 'b',
    OP_GLOBAL = 'c',
    OP_DICT = 'd',
    OP_EMPTY_DICT = '}',
    OP_APPENDS = 'e',
    OP_BINGET = 'h',
    OP_LONG_BINGET = 'j',
    OP_LIST = 'l',
    OP_EMPTY_LIST = ']',
    OP_BINPUT = 'q',
    OP_LONG_BINPUT = 'r',
    OP_SETITEM = 's',
    OP_TUPLE = 't',
    OP_EMPTY_TUPLE = ')',
    OP_SETITEMS = 'u',
    OP_BINBYTES = 'B',
    OP_SHORT_BINBYTES = 'C',
    OP_PROTO = 0x80,
    OP_NEWOBJ = 0x81,
    OP_TUPLE1 = 0x85,
    OP_TUPLE2 = 0x86,
    OP_TUPLE3 = 0x87,
    OP_NEWTRUE = 0x88,
    OP_NEWFALSE = 0x89,
    OP_LONG1 = 0x8a,
    OP_SHORT_BINUNICODE = 0x8c,
    OP_STACK_GLOBAL = 0x93,
    OP_MEMOIZE = 0x94,
    OP_FRAME = 0x95
};

/* What a known name does when it is called. */
enum global_kind {
    GLOBAL_ORDERED_DICT,
    GLOBAL_REBUILD_TENSOR,
    GLOBAL_REBUILD_PARAMETER,
    GLOBAL_SIZE,
    GLOBAL_STORAGE,
    GLOBAL_IGNORED /* a value nobody needs, and so is what comes of calling it */
};

static const struct global_row {
    const char *module;
    const char *name;
    enum global_kind kind;
    mg_dtype dtype; /* of a storage class */
} global_rows[] = {
    { "collections", "OrderedDict", GLOBAL_ORDERED_DICT, MG_DTYPE_COUNT },
    { "torch._utils", "_rebuild_tensor_v2", GLOBAL_REBUILD_TENSOR, MG_DTYPE_COUNT },
    { "torch._utils", "_rebuild_parameter", GLOBAL_REBUILD_PARAMETER, MG_DTYPE_COUNT },
    { "torch", "Size", GLOBAL_SIZE, MG_DTYPE_COUNT },
    { "torch", "DoubleStorage", GLOBAL_STORAGE, MG_F64 },
    { "torch", "FloatStorage", GLOBAL_STORAGE, MG_F32 },
    { "torch", "HalfStorage", GLOBAL_STORAGE, MG_F16 },
    { "torch", "BFloat16Storage", GLOBAL_STORAGE, MG_BF16 },
    { "torch", "LongStorage", GLOBAL_STORAGE, MG_I64 },
    { "torch", "IntStorage", GLOBAL_STORAGE, MG_I32 },
    { "torch", "ShortStorage", GLOBAL_STORAGE, MG_I16 },
    { "torch", "CharStorage", GLOBAL_STORAGE, MG_I8 },
    { "torch", "ByteStorage", GLOBAL_STORAGE, MG_U8 },
    { "torch", "BoolStorage", GLOBAL_STORAGE, MG_BOOLEAN },
    { "numpy", "dtype", GLOBAL_IGNORED, MG_DTYPE_COUNT },
    { "numpy.core.multiarray", "scalar", GLOBAL_IGNORED, MG_DTYPE_COUNT },
    { "numpy._core.multiarray", "scalar", GLOBAL_IGNORED, MG_DTYPE_COUNT },
    { "_codecs", "encode", GLOBAL_IGNORED, MG_DTYPE_COUNT },
};

typedef struct machine {
    mg_str text;
    size_t offset;
    mg_arena *arena;
    mg_error *err;
    mg_pickle_value **stack; /* NULL entries are marks */
    int64_t stack_count;
    int64_t stack_cap;
    mg_pickle_value **memo; /* NULL entries are unset */
    int64_t memo_cap;
    int64_t memo_next; /* for MEMOIZE */
    int64_t object_count;
} machine;

static mg_status broken(const machine *m, const char *what)
{
    return mg_fail(m->err, MG_ERR_FORMAT, "pickle byte %zu: %s", m->offset, what);
}

/* Grows a list of pointers inside an arena or on the heap to hold at least count. */
static mg_status grow(const machine *m, mg_pickle_value ***items, int64_t *cap, int64_t count,
                      int64_t max)
{
    if (count <= *cap) {
        return MG_OK;
    }
    if (count > max) {
        return mg_fail(m->err, MG_ERR_LIMIT, "pickle byte %zu: more than %lld values", m->offset,
                       (long long)max);
    }
    int64_t new_cap = MG_MIN(MG_MAX(2 * *cap, MG_MAX(count, 64)), max);
    *items = (mg_pickle_value **)mg_memory_resize(*items, new_cap, sizeof(mg_pickle_value *));
    memset(*items + *cap, 0, (size_t)(new_cap - *cap) * sizeof(mg_pickle_value *));
    *cap = new_cap;
    return MG_OK;
}

static mg_status new_value(machine *m, mg_pickle_kind kind, mg_pickle_value **value_out)
{
    *value_out = NULL;
    if (m->object_count == OBJECTS_MAX) {
        return mg_fail(m->err, MG_ERR_LIMIT, "the pickle has more than %lld values",
                       (long long)OBJECTS_MAX);
    }
    m->object_count++;
    *value_out = mg_arena_new(m->arena, mg_pickle_value);
    (*value_out)->kind = kind;
    return MG_OK;
}

static mg_status push(machine *m, mg_pickle_value *value)
{
    MG_TRY(grow(m, &m->stack, &m->stack_cap, m->stack_count + 1, STACK_MAX));
    m->stack[m->stack_count++] = value;
    return MG_OK;
}

static mg_status push_new(machine *m, mg_pickle_kind kind, mg_pickle_value **value_out)
{
    *value_out = NULL;
    MG_TRY(new_value(m, kind, value_out));
    return push(m, *value_out);
}

static mg_status push_int(machine *m, int64_t integer)
{
    mg_pickle_value *value;
    MG_TRY(push_new(m, MG_PICKLE_INT, &value));
    value->u.integer = integer;
    return MG_OK;
}

static mg_status push_bool(machine *m, bool boolean)
{
    mg_pickle_value *value;
    MG_TRY(push_new(m, MG_PICKLE_BOOL, &value));
    value->u.boolean = boolean;
    return MG_OK;
}

/* The top value, which must not be a mark. */
static mg_status pop(machine *m, mg_pickle_value **value_out)
{
    *value_out = NULL;
    if (m->stack_count == 0 || m->stack[m->stack_count - 1] == NULL) {
        return broken(m, "the stack is empty");
    }
    *value_out = m->stack[--m->stack_count];
    return MG_OK;
}

static mg_status top(const machine *m, mg_pickle_value **value_out)
{
    *value_out = NULL;
    if (m->stack_count == 0 || m->stack[m->stack_count - 1] == NULL) {
        return broken(m, "the stack is empty");
    }
    *value_out = m->stack[m->stack_count - 1];
    return MG_OK;
}

/* Index of the value behind the last mark. */
static mg_status find_mark(const machine *m, int64_t *first_out)
{
    *first_out = 0;
    for (int64_t i = m->stack_count; i > 0; i--) {
        if (m->stack[i - 1] == NULL) {
            *first_out = i;
            return MG_OK;
        }
    }
    return broken(m, "there is no mark");
}

static mg_status take(machine *m, size_t size, mg_str *bytes_out)
{
    *bytes_out = mg_str_of("");
    if (size > m->text.size - m->offset) {
        return broken(m, "it ends too early");
    }
    *bytes_out = mg_str_slice(m->text, m->offset, m->offset + size);
    m->offset += size;
    return MG_OK;
}

/* A little-endian number of size bytes (at most 8). */
static mg_status take_number(machine *m, size_t size, uint64_t *number_out)
{
    *number_out = 0;
    mg_str bytes;
    MG_TRY(take(m, size, &bytes));
    uint64_t number = 0;
    for (size_t i = size; i > 0; i--) {
        number = number << 8 | (unsigned char)bytes.data[i - 1];
    }
    *number_out = number;
    return MG_OK;
}

static mg_status take_line(machine *m, mg_str *line_out)
{
    *line_out = mg_str_of("");
    size_t end = m->offset;
    while (end < m->text.size && m->text.data[end] != '\n') {
        end++;
    }
    if (end >= m->text.size || end - m->offset > NAME_BYTES_MAX) {
        return broken(m, "a name does not end");
    }
    *line_out = mg_str_slice(m->text, m->offset, end);
    m->offset = end + 1;
    return MG_OK;
}

/* A text whose length stands in the size bytes before it. */
static mg_status push_text(machine *m, size_t size)
{
    uint64_t length;
    MG_TRY(take_number(m, size, &length));
    if (length > TEXT_BYTES_MAX) {
        return broken(m, "a text is too long");
    }
    mg_pickle_value *value;
    MG_TRY(push_new(m, MG_PICKLE_TEXT, &value));
    return take(m, (size_t)length, &value->u.text);
}

static mg_status push_float(machine *m)
{
    mg_str bytes;
    MG_TRY(take(m, 8, &bytes));
    uint64_t bits = 0;
    for (size_t i = 0; i < 8; i++) { /* big-endian, alone among the numbers */
        bits = bits << 8 | (unsigned char)bytes.data[i];
    }
    mg_pickle_value *value;
    MG_TRY(push_new(m, MG_PICKLE_FLOAT, &value));
    memcpy(&value->u.number, &bits, sizeof(bits));
    return MG_OK;
}

/* A signed number of up to 255 bytes; one that does not fit 64 bits stays as bytes. */
static mg_status push_long(machine *m)
{
    uint64_t size;
    mg_str bytes;
    MG_TRY(take_number(m, 1, &size));
    MG_TRY(take(m, (size_t)size, &bytes));
    if (size > 8) {
        mg_pickle_value *value;
        MG_TRY(push_new(m, MG_PICKLE_LONG, &value));
        value->u.text = bytes;
        return MG_OK;
    }
    bool negative = size > 0 && ((unsigned char)bytes.data[size - 1] & 0x80U) != 0;
    uint64_t number = negative ? UINT64_MAX : 0;
    for (size_t i = (size_t)size; i > 0; i--) {
        number = number << 8 | (unsigned char)bytes.data[i - 1];
    }
    return push_int(m, (int64_t)number);
}

static mg_status append(machine *m, mg_pickle_value *list, mg_pickle_value *const *items,
                        int64_t count)
{
    int64_t needed = list->u.list.count + count;
    if (needed > list->u.list.cap) {
        int64_t cap = MG_MAX(2 * list->u.list.cap, MG_MAX(needed, 4));
        /* What all lists hold together is bounded by what was pushed, of which each push made a
         * value or fetched one; count fetches as well. */
        m->object_count += cap / 8;
        if (m->object_count > OBJECTS_MAX) {
            return mg_fail(m->err, MG_ERR_LIMIT, "the pickle's lists are too long");
        }
        mg_pickle_value **grown = mg_arena_array(m->arena, mg_pickle_value *, cap);
        if (list->u.list.count > 0) {
            memcpy(grown, list->u.list.items,
                   (size_t)list->u.list.count * sizeof(mg_pickle_value *));
        }
        list->u.list.items = grown;
        list->u.list.cap = cap;
    }
    for (int64_t i = 0; i < count; i++) {
        list->u.list.items[list->u.list.count++] = items[i];
    }
    return MG_OK;
}

/* Replaces the values from first on by one container of them, and removes the mark before them. */
static mg_status collect(machine *m, mg_pickle_kind kind, int64_t first, bool marked)
{
    int64_t count = m->stack_count - first;
    if (kind == MG_PICKLE_DICT && count % 2 != 0) {
        return broken(m, "a key has no value");
    }
    mg_pickle_value *value;
    MG_TRY(new_value(m, kind, &value));
    MG_TRY(append(m, value, m->stack + first, count));
    m->stack_count = first - (marked ? 1 : 0);
    return push(m, value);
}

static mg_status collect_marked(machine *m, mg_pickle_kind kind)
{
    int64_t first;
    MG_TRY(find_mark(m, &first));
    return collect(m, kind, first, true);
}

static mg_status collect_tuple(machine *m, int64_t count)
{
    if (m->stack_count < count) {
        return broken(m, "the stack is empty");
    }
    for (int64_t i = m->stack_count - count; i < m->stack_count; i++) {
        if (m->stack[i] == NULL) {
            return broken(m, "the stack is empty");
        }
    }
    return collect(m, MG_PICKLE_TUPLE, m->stack_count - count, false);
}

/* Moves the values from first on into the container below them (and the mark, when there is one).
 */
static mg_status extend(machine *m, mg_pickle_kind kind, int64_t first, bool marked)
{
    int64_t below = first - (marked ? 1 : 0) - 1;
    int64_t count = m->stack_count - first;
    if (below < 0 || m->stack[below] == NULL) {
        return broken(m, "there is nothing to add to");
    }
    mg_pickle_value *target = m->stack[below];
    if (kind == MG_PICKLE_DICT && count % 2 != 0) {
        return broken(m, "a key has no value");
    }
    if (target->kind == kind) {
        MG_TRY(append(m, target, m->stack + first, count));
    } else if (target->kind != MG_PICKLE_OPAQUE) {
        return broken(m, "items are added to what is no container");
    }
    m->stack_count = below + 1;
    return MG_OK;
}

static mg_status extend_marked(machine *m, mg_pickle_kind kind)
{
    int64_t first;
    MG_TRY(find_mark(m, &first));
    return extend(m, kind, first, true);
}

static mg_status extend_last(machine *m, mg_pickle_kind kind, int64_t count)
{
    if (m->stack_count < count) {
        return broken(m, "the stack is empty");
    }
    for (int64_t i = m->stack_count - count; i < m->stack_count; i++) {
        if (m->stack[i] == NULL) {
            return broken(m, "the stack is empty");
        }
    }
    return extend(m, kind, m->stack_count - count, false);
}

static mg_status memo_put(machine *m, int64_t index)
{
    mg_pickle_value *value;
    MG_TRY(top(m, &value));
    MG_TRY(grow(m, &m->memo, &m->memo_cap, index + 1, MEMO_MAX));
    m->memo[index] = value;
    m->memo_next = MG_MAX(m->memo_next, index + 1);
    return MG_OK;
}

static mg_status memo_get(machine *m, size_t size)
{
    uint64_t index;
    MG_TRY(take_number(m, size, &index));
    if (index >= (uint64_t)m->memo_cap || m->memo[index] == NULL) {
        return broken(m, "a value is fetched that was not stored");
    }
    return push(m, m->memo[index]);
}

static mg_status push_global(machine *m, mg_str module, mg_str name)
{
    mg_pickle_value *value;
    MG_TRY(push_new(m, MG_PICKLE_GLOBAL, &value));
    for (int64_t i = 0; i < MG_ARRAY_COUNT(global_rows); i++) {
        if (mg_str_is(module, global_rows[i].module) && mg_str_is(name, global_rows[i].name)) {
            value->global = (int)global_rows[i].kind;
            value->dtype = global_rows[i].dtype;
            return MG_OK;
        }
    }
    mg_dtype dtype;
    if (mg_str_is(module, "torch") && mg_dtype_parse_torch(name, &dtype)) {
        value->global = (int)GLOBAL_IGNORED; /* a dtype object */
        return MG_OK;
    }
    return mg_fail(m->err, MG_ERR_UNSUPPORTED,
                   "the pickle wants '%.*s.%.*s', which is not allowed (it might run code)",
                   MG_STR_ARG(module), MG_STR_ARG(name));
}

static mg_status stack_global(machine *m)
{
    mg_pickle_value *name;
    mg_pickle_value *module;
    MG_TRY(pop(m, &name));
    MG_TRY(pop(m, &module));
    if (name->kind != MG_PICKLE_TEXT || module->kind != MG_PICKLE_TEXT) {
        return broken(m, "a global has no name");
    }
    return push_global(m, mg_str_slice(module->u.text, 0, NAME_BYTES_MAX),
                       mg_str_slice(name->u.text, 0, NAME_BYTES_MAX));
}

static bool item_is(const mg_pickle_value *tuple, int64_t index, mg_pickle_kind kind)
{
    return index < tuple->u.list.count && tuple->u.list.items[index]->kind == kind;
}

/* ("storage", class, key, location, count[, view]) where view is None or (key, offset, count). */
static mg_status make_storage(machine *m)
{
    mg_pickle_value *id;
    MG_TRY(pop(m, &id));
    bool good =
        id->kind == MG_PICKLE_TUPLE && id->u.list.count >= 5 && id->u.list.count <= 6 &&
        item_is(id, 0, MG_PICKLE_TEXT) && mg_str_is(id->u.list.items[0]->u.text, "storage") &&
        item_is(id, 1, MG_PICKLE_GLOBAL) && id->u.list.items[1]->global == (int)GLOBAL_STORAGE &&
        item_is(id, 2, MG_PICKLE_TEXT) && item_is(id, 4, MG_PICKLE_INT) &&
        id->u.list.items[4]->u.integer >= 0;
    if (!good) {
        return broken(m, "a persistent id is no storage");
    }
    mg_torch_storage *storage = mg_arena_new(m->arena, mg_torch_storage);
    storage->dtype = id->u.list.items[1]->dtype;
    storage->key = id->u.list.items[2]->u.text;
    storage->count = id->u.list.items[4]->u.integer;
    if (id->u.list.count == 6 && !item_is(id, 5, MG_PICKLE_NONE)) {
        const mg_pickle_value *view = id->u.list.items[5];
        if (view->kind != MG_PICKLE_TUPLE || view->u.list.count != 3 ||
            !item_is(view, 1, MG_PICKLE_INT) || !item_is(view, 2, MG_PICKLE_INT)) {
            return broken(m, "a view of a storage is damaged");
        }
        storage->is_view = true;
        storage->view_offset = view->u.list.items[1]->u.integer;
        storage->view_count = view->u.list.items[2]->u.integer;
        if (storage->view_offset < 0 || storage->view_count < 0 ||
            storage->view_offset > storage->count ||
            storage->view_count > storage->count - storage->view_offset) {
            return broken(m, "a view lies outside its storage");
        }
    }
    mg_pickle_value *value;
    MG_TRY(push_new(m, MG_PICKLE_STORAGE, &value));
    value->u.storage = storage;
    return MG_OK;
}

/* A tuple of at most MG_RANK_MAX non-negative integers. */
static mg_status read_dims(const machine *m, const mg_pickle_value *tuple, int64_t *dims, int *rank)
{
    if (tuple->kind != MG_PICKLE_TUPLE || tuple->u.list.count > MG_RANK_MAX) {
        return broken(m, "a tensor's size is no tuple, or has too many dimensions");
    }
    *rank = (int)tuple->u.list.count;
    for (int i = 0; i < *rank; i++) {
        if (!item_is(tuple, i, MG_PICKLE_INT) || tuple->u.list.items[i]->u.integer < 0) {
            return broken(m, "a tensor's size is no number");
        }
        dims[i] = tuple->u.list.items[i]->u.integer;
    }
    return MG_OK;
}

/* The last element lies inside the storage; sizes multiply without overflow. */
static mg_status check_tensor(const machine *m, const mg_torch_tensor *tensor)
{
    int64_t available =
        tensor->storage->is_view ? tensor->storage->view_count : tensor->storage->count;
    int64_t count = 1;
    int64_t last = tensor->offset;
    for (int i = 0; i < tensor->shape.rank; i++) {
        int64_t span = 0;
        if (__builtin_mul_overflow(count, tensor->shape.dims[i], &count)) {
            return broken(m, "a tensor is too large");
        }
        if (tensor->shape.dims[i] > 0 &&
            (__builtin_mul_overflow(tensor->shape.dims[i] - 1, tensor->strides[i], &span) ||
             __builtin_add_overflow(last, span, &last))) {
            return broken(m, "a tensor is too large");
        }
    }
    size_t bytes;
    if (!mg_dtype_bytes(tensor->storage->dtype, count, &bytes) ||
        (count > 0 && last >= available)) {
        return broken(m, "a tensor reaches outside its storage");
    }
    return MG_OK;
}

/* _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata]) */
static mg_status rebuild_tensor(machine *m, const mg_pickle_value *args)
{
    if (args->u.list.count < 6 || !item_is(args, 0, MG_PICKLE_STORAGE) ||
        !item_is(args, 1, MG_PICKLE_INT) || args->u.list.items[1]->u.integer < 0) {
        return broken(m, "a tensor is damaged");
    }
    mg_torch_tensor *tensor = mg_arena_new(m->arena, mg_torch_tensor);
    tensor->storage = args->u.list.items[0]->u.storage;
    tensor->offset = args->u.list.items[1]->u.integer;
    int stride_rank;
    MG_TRY(read_dims(m, args->u.list.items[2], tensor->shape.dims, &tensor->shape.rank));
    MG_TRY(read_dims(m, args->u.list.items[3], tensor->strides, &stride_rank));
    if (stride_rank != tensor->shape.rank) {
        return broken(m, "a tensor has another number of strides than of dimensions");
    }
    MG_TRY(check_tensor(m, tensor));
    mg_pickle_value *value;
    MG_TRY(push_new(m, MG_PICKLE_TENSOR, &value));
    value->u.tensor = tensor;
    return MG_OK;
}

/* The value that callable would return for args, pushed. */
static mg_status call(machine *m, const mg_pickle_value *callable, mg_pickle_value *args)
{
    mg_pickle_value *value;
    if (callable->kind == MG_PICKLE_OPAQUE) {
        return push_new(m, MG_PICKLE_OPAQUE, &value);
    }
    if (callable->kind != MG_PICKLE_GLOBAL || args->kind != MG_PICKLE_TUPLE) {
        return broken(m, "a call of what is no function");
    }
    switch ((enum global_kind)callable->global) {
    case GLOBAL_ORDERED_DICT:
        if (args->u.list.count != 0) {
            return broken(m, "OrderedDict with arguments");
        }
        return push_new(m, MG_PICKLE_DICT, &value);
    case GLOBAL_REBUILD_TENSOR:
        return rebuild_tensor(m, args);
    case GLOBAL_REBUILD_PARAMETER:
        if (!item_is(args, 0, MG_PICKLE_TENSOR)) {
            return broken(m, "a parameter without a tensor");
        }
        return push(m, args->u.list.items[0]);
    case GLOBAL_SIZE:
        if (args->u.list.count != 1 || !item_is(args, 0, MG_PICKLE_TUPLE)) {
            return broken(m, "a size is no tuple");
        }
        return push(m, args->u.list.items[0]);
    case GLOBAL_STORAGE:
        return broken(m, "a storage is made outside a persistent id");
    case GLOBAL_IGNORED:
        break;
    }
    return push_new(m, MG_PICKLE_OPAQUE, &value);
}

static mg_status call_top(machine *m)
{
    mg_pickle_value *args;
    mg_pickle_value *callable;
    MG_TRY(pop(m, &args));
    MG_TRY(pop(m, &callable));
    return call(m, callable, args);
}

/* State given to an object: the attributes of an OrderedDict (_metadata) are of no interest. */
static mg_status build(machine *m)
{
    mg_pickle_value *state;
    mg_pickle_value *target;
    MG_TRY(pop(m, &state));
    MG_TRY(top(m, &target));
    if (target->kind != MG_PICKLE_DICT && target->kind != MG_PICKLE_OPAQUE) {
        return broken(m, "state is given to what takes none");
    }
    return MG_OK;
}

static mg_status read_protocol(machine *m)
{
    uint64_t version;
    MG_TRY(take_number(m, 1, &version));
    if (version < 2 || version > 4) {
        return mg_fail(m->err, MG_ERR_UNSUPPORTED, "pickle protocol %d, expected 2 to 4",
                       (int)version);
    }
    return MG_OK;
}

/* Opcodes that carry a number or a text and push it. */
static mg_status step_scalar(machine *m, unsigned char op)
{
    uint64_t number = 0;
    mg_pickle_value *value;
    switch (op) {
    case OP_NONE:
        return push_new(m, MG_PICKLE_NONE, &value);
    case OP_NEWTRUE:
        return push_bool(m, true);
    case OP_NEWFALSE:
        return push_bool(m, false);
    case OP_BININT:
        MG_TRY(take_number(m, 4, &number));
        return push_int(m, (int64_t)(int32_t)(uint32_t)number);
    case OP_BININT1:
        MG_TRY(take_number(m, 1, &number));
        return push_int(m, (int64_t)number);
    case OP_BININT2:
        MG_TRY(take_number(m, 2, &number));
        return push_int(m, (int64_t)number);
    case OP_LONG1:
        return push_long(m);
    case OP_BINFLOAT:
        return push_float(m);
    case OP_BINUNICODE:
    case OP_BINSTRING:
    case OP_BINBYTES:
        return push_text(m, 4);
    case OP_SHORT_BINUNICODE:
    case OP_SHORT_BINSTRING:
    case OP_SHORT_BINBYTES:
        return push_text(m, 1);
    default:
        return mg_fail(m->err, MG_ERR_UNSUPPORTED, "pickle byte %zu: opcode 0x%02x is not allowed",
                       m->offset - 1, op);
    }
}

/* Opcodes of containers. */
static mg_status step_container(machine *m, unsigned char op)
{
    mg_pickle_value *value;
    switch (op) {
    case OP_EMPTY_DICT:
        return push_new(m, MG_PICKLE_DICT, &value);
    case OP_EMPTY_LIST:
        return push_new(m, MG_PICKLE_LIST, &value);
    case OP_EMPTY_TUPLE:
        return push_new(m, MG_PICKLE_TUPLE, &value);
    case OP_TUPLE:
        return collect_marked(m, MG_PICKLE_TUPLE);
    case OP_LIST:
        return collect_marked(m, MG_PICKLE_LIST);
    case OP_DICT:
        return collect_marked(m, MG_PICKLE_DICT);
    case OP_TUPLE1:
    case OP_TUPLE2:
    case OP_TUPLE3:
        return collect_tuple(m, op - OP_TUPLE1 + 1);
    case OP_APPEND:
        return extend_last(m, MG_PICKLE_LIST, 1);
    case OP_APPENDS:
        return extend_marked(m, MG_PICKLE_LIST);
    case OP_SETITEM:
        return extend_last(m, MG_PICKLE_DICT, 2);
    case OP_SETITEMS:
        return extend_marked(m, MG_PICKLE_DICT);
    default:
        return step_scalar(m, op);
    }
}

/* Everything but STOP. */
static mg_status step(machine *m, unsigned char op)
{
    uint64_t number = 0;
    mg_str text;
    mg_str more;
    mg_pickle_value *value;
    switch (op) {
    case OP_PROTO:
        return read_protocol(m);
    case OP_FRAME: /* only advice on reading */
        return take_number(m, 8, &number);
    case OP_MARK:
        return push(m, NULL);
    case OP_POP:
        if (m->stack_count == 0) {
            return broken(m, "the stack is empty");
        }
        m->stack_count--;
        return MG_OK;
    case OP_DUP:
        MG_TRY(top(m, &value));
        return push(m, value);
    case OP_BINPUT:
        MG_TRY(take_number(m, 1, &number));
        return memo_put(m, (int64_t)number);
    case OP_LONG_BINPUT:
        MG_TRY(take_number(m, 4, &number));
        return memo_put(m, (int64_t)number);
    case OP_MEMOIZE:
        return memo_put(m, m->memo_next);
    case OP_BINGET:
        return memo_get(m, 1);
    case OP_LONG_BINGET:
        return memo_get(m, 4);
    case OP_GLOBAL:
        MG_TRY(take_line(m, &text));
        MG_TRY(take_line(m, &more));
        return push_global(m, text, more);
    case OP_STACK_GLOBAL:
        return stack_global(m);
    case OP_REDUCE:
    case OP_NEWOBJ:
        return call_top(m);
    case OP_BUILD:
        return build(m);
    case OP_BINPERSID:
        return make_storage(m);
    default:
        return step_container(m, op);
    }
}

static mg_status run(machine *m, mg_pickle_value **value_out)
{
    for (;;) {
        mg_str byte;
        MG_TRY(take(m, 1, &byte));
        unsigned char op = (unsigned char)byte.data[0];
        if (op == OP_STOP) {
            return pop(m, value_out);
        }
        MG_TRY(step(m, op));
    }
}

mg_status mg_pickle_read(mg_str text, mg_arena *arena, mg_pickle_value **value_out,
                         size_t *used_out, mg_error *err)
{
    *value_out = NULL;
    *used_out = 0;
    machine m = { .text = text, .arena = arena, .err = err };
    mg_status status = run(&m, value_out);
    *used_out = m.offset;
    mg_free(m.stack);
    mg_free(m.memo);
    return status;
}

mg_pickle_value *mg_pickle_get(const mg_pickle_value *dict, const char *key)
{
    if (dict->kind != MG_PICKLE_DICT) {
        return NULL;
    }
    for (int64_t i = 0; i + 1 < dict->u.list.count; i += 2) {
        const mg_pickle_value *name = dict->u.list.items[i];
        if (name->kind == MG_PICKLE_TEXT && mg_str_is(name->u.text, key)) {
            return dict->u.list.items[i + 1];
        }
    }
    return NULL;
}
