/* tokenizer/sentencepiece.c - reading tokenizer.model and deriving its merges. */
#include "tokenizer/sentencepiece_internal.h"

#include "base/memory.h"
#include "text/utf8.h"
#include "tokenizer/chars_internal.h"
#include "tokenizer/vocab_internal.h"

#include <math.h>
#include <stdlib.h>

#define MERGES_MAX ((int64_t)1 << 26)
/* A piece of n bytes is looked up in n halves: so many bytes may be looked at for all pieces. */
#define SPLIT_BYTES_MAX ((size_t)1 << 32)

/* ---- protobuf ---- */

typedef struct wire {
    const unsigned char *at;
    const unsigned char *end;
} wire;

/* One field: bytes for wire type 2, number for the others. */
typedef struct field {
    uint32_t number; /* of the field */
    uint64_t value;
    mg_str bytes;
    bool is_bytes;
} field;

static bool read_varint(wire *w, uint64_t *value_out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && w->at < w->end; shift += 7) {
        unsigned char byte = *w->at++;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *value_out = value;
            return true;
        }
    }
    return false;
}

static bool read_fixed(wire *w, size_t size, uint64_t *value_out)
{
    *value_out = 0;
    if ((size_t)(w->end - w->at) < size) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        *value_out |= (uint64_t)*w->at++ << (8 * i);
    }
    return true;
}

/* The next field of the message; false when its bytes are damaged. */
static bool read_field(wire *w, field *f)
{
    uint64_t key;
    memset(f, 0, sizeof(*f));
    if (!read_varint(w, &key) || key >> 3 == 0 || key >> 3 > UINT32_MAX) {
        return false;
    }
    f->number = (uint32_t)(key >> 3);
    switch (key & 7) {
    case 0:
        return read_varint(w, &f->value);
    case 1:
        return read_fixed(w, 8, &f->value);
    case 5:
        return read_fixed(w, 4, &f->value);
    case 2: {
        uint64_t size;
        if (!read_varint(w, &size) || size > (uint64_t)(w->end - w->at)) {
            return false;
        }
        f->is_bytes = true;
        f->bytes = mg_str_make((const char *)w->at, (size_t)size);
        w->at += size;
        return true;
    }
    default:
        return false;
    }
}

static wire wire_of(mg_str bytes)
{
    wire w;
    w.at = (const unsigned char *)(bytes.data != NULL ? bytes.data : "");
    w.end = w.at + bytes.size;
    return w;
}

/* ---- messages ---- */

static bool read_piece(mg_str bytes, mg_piece *piece)
{
    wire w = wire_of(bytes);
    memset(piece, 0, sizeof(*piece));
    piece->type = MG_PIECE_NORMAL;
    while (w.at < w.end) {
        field f;
        if (!read_field(&w, &f)) {
            return false;
        }
        if (f.number == 1 && f.is_bytes) {
            piece->text = f.bytes;
        } else if (f.number == 2) {
            uint32_t bits = (uint32_t)f.value;
            memcpy(&piece->score, &bits, sizeof(bits));
        } else if (f.number == 3) {
            if (f.value < MG_PIECE_NORMAL || f.value > MG_PIECE_BYTE) {
                return false;
            }
            piece->type = (mg_piece_type)f.value;
        }
    }
    return true;
}

static bool read_trainer(mg_str bytes, mg_sentencepiece *model, uint64_t *kind_out)
{
    wire w = wire_of(bytes);
    while (w.at < w.end) {
        field f;
        if (!read_field(&w, &f)) {
            return false;
        }
        /* Ids are int32, -1 as ten bytes. */
        int32_t id = (int32_t)(uint32_t)f.value;
        switch (f.number) {
        case 3:
            *kind_out = f.value;
            break;
        case 24:
            model->whitespace_as_suffix = f.value != 0;
            break;
        case 35:
            model->byte_fallback = f.value != 0;
            break;
        case 40:
            model->unk_id = id;
            break;
        case 41:
            model->bos_id = id;
            break;
        case 42:
            model->eos_id = id;
            break;
        case 43:
            model->pad_id = id;
            break;
        default:
            break;
        }
    }
    return true;
}

static bool read_normalizer(mg_str bytes, mg_sentencepiece *model)
{
    wire w = wire_of(bytes);
    while (w.at < w.end) {
        field f;
        if (!read_field(&w, &f)) {
            return false;
        }
        if (f.number == 2 && f.is_bytes) {
            model->charsmap = f.bytes;
        } else if (f.number == 3) {
            model->add_dummy_prefix = f.value != 0;
        } else if (f.number == 4) {
            model->remove_extra_whitespaces = f.value != 0;
        } else if (f.number == 5) {
            model->escape_whitespaces = f.value != 0;
        }
    }
    return true;
}

static mg_status add_piece(mg_sentencepiece *model, mg_str bytes, mg_error *err)
{
    if (model->count == MG_VOCAB_IDS_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "more than %lld pieces", (long long)MG_VOCAB_IDS_MAX);
    }
    if (model->count == model->cap) {
        model->cap = MG_MAX(model->cap * 2, 1024);
        model->pieces = mg_memory_resize(model->pieces, model->cap, sizeof(mg_piece));
    }
    mg_piece *piece = &model->pieces[model->count];
    if (!read_piece(bytes, piece)) {
        return mg_fail(err, MG_ERR_FORMAT, "piece %lld is damaged", (long long)model->count);
    }
    if (piece->text.size == 0 || !mg_utf8_valid(piece->text)) {
        return mg_fail(err, MG_ERR_FORMAT, "piece %lld is empty or not valid UTF-8",
                       (long long)model->count);
    }
    if (!isfinite(piece->score)) {
        return mg_fail(err, MG_ERR_FORMAT, "the score of piece %lld is not a finite number",
                       (long long)model->count);
    }
    model->count++;
    return MG_OK;
}

static mg_status read_model(mg_str bytes, mg_sentencepiece *model, uint64_t *kind_out,
                            mg_error *err)
{
    wire w = wire_of(bytes);
    while (w.at < w.end) {
        field f;
        bool good = read_field(&w, &f);
        if (good && f.number == 1 && f.is_bytes) {
            MG_TRY(add_piece(model, f.bytes, err));
        } else if (good && f.number == 2 && f.is_bytes) {
            good = read_trainer(f.bytes, model, kind_out);
        } else if (good && f.number == 3 && f.is_bytes) {
            good = read_normalizer(f.bytes, model);
        }
        if (!good) {
            return mg_fail(err, MG_ERR_FORMAT, "is not a SentencePiece model, or is damaged");
        }
    }
    return MG_OK;
}

static mg_status check_pieces(const mg_sentencepiece *model, mg_error *err)
{
    int64_t unknown = 0;
    int64_t bytes = 0;
    for (int64_t i = 0; i < model->count; i++) {
        unknown += model->pieces[i].type == MG_PIECE_UNKNOWN ? 1 : 0;
        bytes += model->pieces[i].type == MG_PIECE_BYTE ? 1 : 0;
    }
    if (unknown != 1) {
        return mg_fail(err, MG_ERR_FORMAT, "must have one unknown piece, has %lld",
                       (long long)unknown);
    }
    if (bytes != (model->byte_fallback ? 256 : 0)) {
        return mg_fail(err, MG_ERR_FORMAT, "has %lld byte pieces with byte_fallback %s",
                       (long long)bytes, model->byte_fallback ? "on" : "off");
    }
    return MG_OK;
}

void mg_sentencepiece_release(mg_sentencepiece *model)
{
    if (model != NULL) {
        mg_free(model->pieces);
        memset(model, 0, sizeof(*model));
    }
}

mg_status mg_sentencepiece_parse(mg_str bytes, mg_sentencepiece *model_out, mg_error *err)
{
    mg_status status = MG_OK;
    uint64_t kind = MG_SENTENCEPIECE_UNIGRAM;
    mg_sentencepiece *model = model_out;
    memset(model, 0, sizeof(*model));
    model->bos_id = 1;
    model->eos_id = 2;
    model->pad_id = -1;
    model->add_dummy_prefix = true;
    model->remove_extra_whitespaces = true;
    model->escape_whitespaces = true;
    MG_TRY_OR_DONE(read_model(bytes, model, &kind, err));
    if (kind != MG_SENTENCEPIECE_UNIGRAM && kind != MG_SENTENCEPIECE_BPE) {
        status = mg_fail(err, MG_ERR_UNSUPPORTED,
                         "model type %llu is not supported, only unigram (1) and BPE (2)",
                         (unsigned long long)kind);
        goto done;
    }
    model->kind = (mg_sentencepiece_kind)kind;
    MG_TRY_OR_DONE(check_pieces(model, err));

done:
    if (status != MG_OK) {
        mg_sentencepiece_release(model);
    }
    return status;
}

/* ---- merges ---- */

typedef struct merge_list {
    mg_piece_merge *items;
    int64_t count;
    int64_t cap;
} merge_list;

static mg_piece_merge *add_merge(merge_list *list)
{
    if (list->count == list->cap) {
        list->cap = MG_MAX(list->cap * 2, 1024);
        list->items = mg_memory_resize(list->items, list->cap, sizeof(mg_piece_merge));
    }
    return &list->items[list->count++];
}

/* Of one piece: by ids of the parts. */
static int by_ids(const void *a, const void *b)
{
    const mg_piece_merge *x = a;
    const mg_piece_merge *y = b;
    return x->left != y->left ? (x->left < y->left ? -1 : 1)
                              : (x->right > y->right) - (x->right < y->right);
}

/* Of all: best first; index makes the order a stable one. */
static int by_score(const void *a, const void *b)
{
    const mg_piece_merge *x = a;
    const mg_piece_merge *y = b;
    if (x->score < y->score || x->score > y->score) {
        return x->score > y->score ? -1 : 1;
    }
    if (x->left_chars != y->left_chars) {
        return x->left_chars > y->left_chars ? -1 : 1;
    }
    if (x->right_chars != y->right_chars) {
        return x->right_chars > y->right_chars ? -1 : 1;
    }
    return (x->index > y->index) - (x->index < y->index);
}

static mg_status split_piece(const mg_vocab *vocab, const mg_piece *piece, merge_list *list,
                             mg_error *err)
{
    mg_str text = piece->text;
    int64_t first = list->count;
    int32_t chars = (int32_t)mg_utf8_count(text);
    int32_t left_chars = 1;
    for (size_t at = mg_char_bytes(text.data[0]); at < text.size;
         at += mg_char_bytes(text.data[at]), left_chars++) {
        int32_t left = mg_vocab_id(vocab, mg_str_slice(text, 0, at));
        int32_t right = left < 0 ? -1 : mg_vocab_id(vocab, mg_str_slice(text, at, text.size));
        if (right < 0) {
            continue;
        }
        if (list->count == MERGES_MAX) {
            return mg_fail(err, MG_ERR_LIMIT, "too many merges");
        }
        mg_piece_merge *merge = add_merge(list);
        merge->left = left;
        merge->right = right;
        merge->left_chars = left_chars;
        merge->right_chars = chars - left_chars;
        merge->score = piece->score;
    }
    if (list->count > first) {
        qsort(list->items + first, (size_t)(list->count - first), sizeof(*list->items), by_ids);
    }
    return MG_OK;
}

mg_status mg_sentencepiece_merges(const mg_sentencepiece *model, const mg_vocab *vocab,
                                  mg_piece_merge **merges_out, int64_t *count_out, mg_error *err)
{
    merge_list list = { NULL, 0, 0 };
    size_t split_bytes = 0;
    *merges_out = NULL;
    *count_out = 0;
    for (int64_t i = 0; i < model->count; i++) {
        const mg_piece *piece = &model->pieces[i];
        if (piece->type == MG_PIECE_NORMAL || piece->type == MG_PIECE_USER_DEFINED) {
            mg_status status = MG_OK;
            size_t bytes = piece->text.size;
            if (bytes > SPLIT_BYTES_MAX / bytes ||
                (split_bytes += bytes * bytes) > SPLIT_BYTES_MAX) {
                status = mg_fail(err, MG_ERR_LIMIT,
                                 "the pieces are too long to find their merges (piece %lld has "
                                 "%zu bytes)",
                                 (long long)i, bytes);
            } else {
                status = split_piece(vocab, piece, &list, err);
            }
            if (status != MG_OK) {
                mg_free(list.items);
                return status;
            }
        }
    }
    for (int64_t i = 0; i < list.count; i++) {
        list.items[i].index = (int32_t)i;
    }
    if (list.count > 0) {
        qsort(list.items, (size_t)list.count, sizeof(*list.items), by_score);
    }
    *merges_out = list.items;
    *count_out = list.count;
    return MG_OK;
}
