/* tokenizer/bpe.c - byte-pair encoding (tokenizers.md 6).
 *
 * Symbols form a linked list in an array.  Every adjacent pair with a merge is a candidate in a
 * heap, ordered by rank, then by place.  A candidate that comes up is stale when its pair has
 * changed since; pair_id of the left symbol tells without another look at the merge table.
 *
 * Cutting: a merged token holds the text on both sides of the place where it was joined, so two
 * code points that are neighbours in no merge result are never joined.  `joints` is a bit table of
 * all neighbours in merge results; a false hit only makes a piece longer. */
#include "tokenizer/bpe_internal.h"

#include "base/memory.h"
#include "tokenizer/chars_internal.h"

#define MERGE_SLOTS_MIN 256
#define JOINT_BITS_MIN 4096u
#define JOINT_BITS_MAX (1u << 20)
#define BMP_COUNT 65536

static uint64_t mix(uint64_t key)
{
    key *= UINT64_C(0x9E3779B97F4A7C15);
    return key ^ (key >> 32);
}

static mg_bpe_merge *merge_slot(const mg_bpe *bpe, int32_t left, int32_t right)
{
    uint64_t mask = (uint64_t)bpe->merge_slots - 1;
    for (uint64_t i = mix(((uint64_t)(uint32_t)left << 32) | (uint32_t)right) & mask;;
         i = (i + 1) & mask) {
        mg_bpe_merge *slot = &bpe->merges[i];
        if (slot->left < 0 || (slot->left == left && slot->right == right)) {
            return slot;
        }
    }
}

static void grow_merges(mg_bpe *bpe)
{
    mg_bpe_merge *old = bpe->merges;
    int64_t old_slots = bpe->merge_slots;
    bpe->merge_slots = MG_MAX(old_slots * 2, MERGE_SLOTS_MIN);
    bpe->merges = mg_new_array(mg_bpe_merge, bpe->merge_slots);
    for (int64_t i = 0; i < bpe->merge_slots; i++) {
        bpe->merges[i].left = -1;
    }
    for (int64_t i = 0; i < old_slots; i++) {
        if (old[i].left >= 0) {
            *merge_slot(bpe, old[i].left, old[i].right) = old[i];
        }
    }
    mg_free(old);
}

void mg_bpe_scratch_release(mg_bpe_scratch *scratch)
{
    if (scratch != NULL) {
        mg_free(scratch->symbols);
        mg_free(scratch->heap);
        mg_buf_release(&scratch->text);
        memset(scratch, 0, sizeof(*scratch));
    }
}

void mg_bpe_release(mg_bpe *bpe)
{
    if (bpe != NULL) {
        mg_free(bpe->merges);
        mg_free(bpe->char_ids);
        mg_free(bpe->joints);
        memset(bpe, 0, sizeof(*bpe));
    }
}

void mg_bpe_init(mg_bpe *bpe, const mg_vocab *vocab, const mg_bpe_options *options)
{
    memset(bpe, 0, sizeof(*bpe));
    bpe->vocab = vocab;
    bpe->options = *options;
    bpe->unk_id = options->has_unk ? mg_vocab_id(vocab, options->unk_token) : -1;
    mg_vocab_byte_ids(vocab, bpe->byte_ids);
    bpe->char_ids = mg_new_array(int32_t, BMP_COUNT);
    for (int32_t c = 0; c < BMP_COUNT; c++) {
        bpe->char_ids[c] = -1;
    }
    for (int64_t i = 0; i < vocab->count; i++) {
        const mg_vocab_entry *entry = &vocab->entries[i];
        const char *text = vocab->bytes.data + entry->offset;
        if (entry->size > 0 && entry->size <= 3 && mg_char_bytes(text[0]) == entry->size) {
            size_t bytes;
            bpe->char_ids[mg_char_decode(text, &bytes)] = entry->id;
        }
    }
    grow_merges(bpe);
}

mg_status mg_bpe_add_ranked(mg_bpe *bpe, int32_t left, int32_t right, int32_t id, int32_t rank,
                            mg_error *err)
{
    if (rank == INT32_MAX) {
        return mg_fail(err, MG_ERR_LIMIT, "too many merges");
    }
    if ((bpe->merge_count + 1) * 3 > bpe->merge_slots * 2) {
        grow_merges(bpe);
    }
    mg_bpe_merge *slot = merge_slot(bpe, left, right);
    bpe->merge_count += slot->left < 0 ? 1 : 0;
    slot->left = left;
    slot->right = right;
    slot->rank = rank;
    slot->id = id;
    bpe->ranks = MG_MAX(bpe->ranks, rank + 1);
    return MG_OK;
}

mg_status mg_bpe_add_merge(mg_bpe *bpe, mg_str left, mg_str right, mg_error *err)
{
    char small[256];
    mg_buf large = { 0 };
    mg_str prefix = bpe->options.prefix;
    size_t skip = prefix.size > 0 && mg_str_starts(right, prefix.data) ? prefix.size : 0;
    mg_str tail = mg_str_slice(right, skip, right.size);
    mg_str joined;
    if (left.size + tail.size <= sizeof(small)) {
        memcpy(small, left.data, left.size);
        memcpy(small + left.size, tail.data, tail.size);
        joined = mg_str_make(small, left.size + tail.size);
    } else {
        mg_buf_add(&large, left);
        mg_buf_add(&large, tail);
        joined = mg_buf_view(&large);
    }
    int32_t left_id = mg_vocab_id(bpe->vocab, left);
    int32_t right_id = mg_vocab_id(bpe->vocab, right);
    int32_t id = mg_vocab_id(bpe->vocab, joined);
    mg_buf_release(&large);
    if (left_id < 0 || right_id < 0 || id < 0) {
        return mg_fail(err, MG_ERR_FORMAT,
                       "merge %d ('%.*s' and '%.*s') needs a token that is not in the vocabulary",
                       (int)bpe->ranks, MG_STR_ARG(left), MG_STR_ARG(right));
    }
    return mg_bpe_add_ranked(bpe, left_id, right_id, id, bpe->ranks, err);
}

static uint64_t joint_of(int32_t a, int32_t b)
{
    return mix(((uint64_t)(uint32_t)a << 32) | (uint32_t)b);
}

static void add_joints(mg_bpe *bpe, mg_str token)
{
    size_t bytes;
    int32_t before = -1;
    for (size_t at = 0; at < token.size; at += bytes) {
        int32_t c = mg_char_decode(token.data + at, &bytes);
        if (before >= 0) {
            uint64_t bit = joint_of(before, c) & bpe->joint_mask;
            bpe->joints[bit >> 6] |= UINT64_C(1) << (bit & 63);
        }
        before = c;
    }
}

/* Text of byte tokens and of unknown characters is not the text of their tokens, so the argument at
 * the head of this file fails when such a token takes part in a merge. */
static bool merges_follow_text(const mg_bpe *bpe)
{
    bool *special = mg_new_array(bool, bpe->vocab->id_count + 1);
    bool follow = true;
    for (int i = 0; i < 256 && bpe->options.byte_fallback; i++) {
        if (bpe->byte_ids[i] >= 0) {
            special[bpe->byte_ids[i]] = true;
        }
    }
    if (bpe->unk_id >= 0) {
        special[bpe->unk_id] = true;
    }
    for (int64_t i = 0; i < bpe->merge_slots && follow; i++) {
        const mg_bpe_merge *merge = &bpe->merges[i];
        follow = merge->left < 0 || (!special[merge->left] && !special[merge->right]);
    }
    mg_free(special);
    return follow;
}

static bool bytes_are_complete(const mg_bpe *bpe)
{
    for (int i = 0; i < 256; i++) {
        if (bpe->byte_ids[i] < 0) {
            return false;
        }
    }
    return bpe->options.byte_fallback;
}

void mg_bpe_finish(mg_bpe *bpe)
{
    const mg_bpe_options *options = &bpe->options;
    /* An unknown character may be dropped between its neighbours, fused with one, or held back
     * behind its bytes: only without all that is it safe to cut beside it. */
    bool unknown_is_local = bytes_are_complete(bpe) ||
                            (options->has_unk && !options->fuse_unk && !options->byte_fallback);
    bpe->can_cut = options->prefix.size == 0 && options->suffix.size == 0 &&
                   !options->ignore_merges && unknown_is_local && merges_follow_text(bpe);
    if (!bpe->can_cut) {
        return;
    }
    uint64_t bits = JOINT_BITS_MIN;
    while (bits < JOINT_BITS_MAX && bits < (uint64_t)bpe->merge_count * 8) {
        bits *= 2;
    }
    bpe->joint_mask = bits - 1;
    bpe->joints = mg_new_array(uint64_t, (int64_t)(bits / 64));
    for (int64_t i = 0; i < bpe->merge_slots; i++) {
        if (bpe->merges[i].left >= 0) {
            add_joints(bpe, mg_vocab_token(bpe->vocab, bpe->merges[i].id));
        }
    }
}

size_t mg_bpe_cut(const mg_bpe *bpe, mg_str word)
{
    if (!bpe->can_cut || word.size == 0) {
        return word.size;
    }
    size_t bytes;
    int32_t before = mg_char_decode(word.data, &bytes);
    for (size_t at = bytes; at < word.size; at += bytes) {
        int32_t c = mg_char_decode(word.data + at, &bytes);
        uint64_t bit = joint_of(before, c) & bpe->joint_mask;
        if ((bpe->joints[bit >> 6] >> (bit & 63) & 1) == 0) {
            return at;
        }
        before = c;
    }
    return word.size;
}

/* A min-heap over (rank, place). */

static void heap_push(mg_bpe_scratch *scratch, uint64_t key, int32_t id)
{
    if (scratch->heap_count == scratch->heap_cap) {
        scratch->heap_cap = MG_MAX(scratch->heap_cap * 2, 64);
        scratch->heap =
            mg_memory_resize(scratch->heap, scratch->heap_cap, sizeof(mg_bpe_candidate));
    }
    mg_bpe_candidate *heap = scratch->heap;
    int64_t at = scratch->heap_count++;
    while (at > 0 && heap[(at - 1) / 2].key > key) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at].key = key;
    heap[at].id = id;
}

static mg_bpe_candidate heap_pop(mg_bpe_scratch *scratch)
{
    mg_bpe_candidate *heap = scratch->heap;
    mg_bpe_candidate top = heap[0];
    mg_bpe_candidate last = heap[--scratch->heap_count];
    int64_t count = scratch->heap_count;
    int64_t at = 0;
    for (int64_t child = 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && heap[child + 1].key < heap[child].key) {
            child++;
        }
        if (heap[child].key >= last.key) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return top;
}

/* Queues the merge of the symbol at index with the next one, if there is such a merge. */
static void queue_pair(const mg_bpe *bpe, mg_bpe_scratch *scratch, int32_t index)
{
    mg_bpe_symbol *left = &scratch->symbols[index];
    left->pair_id = -1;
    if (left->next < 0) {
        return;
    }
    const mg_bpe_merge *merge = merge_slot(bpe, left->id, scratch->symbols[left->next].id);
    if (merge->left >= 0) {
        left->pair_id = merge->id;
        heap_push(scratch, ((uint64_t)(uint32_t)merge->rank << 32) | (uint32_t)index, merge->id);
    }
}

static void merge_all(const mg_bpe *bpe, mg_bpe_scratch *scratch, int64_t count)
{
    mg_bpe_symbol *symbols = scratch->symbols;
    scratch->heap_count = 0;
    for (int32_t i = 0; i < (int32_t)count; i++) {
        symbols[i].previous = i - 1;
        symbols[i].next = i + 1 < (int32_t)count ? i + 1 : -1;
    }
    for (int32_t i = 0; i < (int32_t)count; i++) {
        queue_pair(bpe, scratch, i);
    }
    while (scratch->heap_count > 0) {
        mg_bpe_candidate top = heap_pop(scratch);
        int32_t index = (int32_t)(uint32_t)top.key;
        mg_bpe_symbol *left = &symbols[index];
        if (left->pair_id != top.id) {
            continue;
        }
        mg_bpe_symbol *right = &symbols[left->next];
        left->id = top.id;
        left->next = right->next;
        right->pair_id = -1;
        if (left->next >= 0) {
            symbols[left->next].previous = index;
        }
        if (left->previous >= 0) {
            queue_pair(bpe, scratch, left->previous);
        }
        queue_pair(bpe, scratch, index);
    }
}

/* The id of the code point in text, with the prefix and suffix that its place asks for; -1 = none.
 */
static int32_t symbol_id(const mg_bpe *bpe, mg_bpe_scratch *scratch, mg_str *text, bool first,
                         bool last)
{
    bool dressed =
        (!first && bpe->options.prefix.size > 0) || (last && bpe->options.suffix.size > 0);
    if (!dressed) {
        size_t bytes;
        int32_t c = mg_char_decode(text->data, &bytes);
        return c < BMP_COUNT ? bpe->char_ids[c] : mg_vocab_id(bpe->vocab, *text);
    }
    mg_buf_clear(&scratch->text);
    if (!first) {
        mg_buf_add(&scratch->text, bpe->options.prefix);
    }
    mg_buf_add(&scratch->text, *text);
    if (last) {
        mg_buf_add(&scratch->text, bpe->options.suffix);
    }
    *text = mg_buf_view(&scratch->text);
    return mg_vocab_id(bpe->vocab, *text);
}

/* Adds one symbol per byte of text; false when a byte has no token. */
static bool add_bytes(const mg_bpe *bpe, mg_bpe_scratch *scratch, mg_str text, int64_t *count)
{
    for (size_t i = 0; i < text.size; i++) {
        if (bpe->byte_ids[(unsigned char)text.data[i]] < 0) {
            return false;
        }
    }
    for (size_t i = 0; i < text.size; i++) {
        scratch->symbols[(*count)++].id = bpe->byte_ids[(unsigned char)text.data[i]];
    }
    return true;
}

/* Fills scratch->symbols with the word's code points. */
static mg_status make_symbols(const mg_bpe *bpe, mg_bpe_scratch *scratch, mg_str word,
                              int64_t *count_out, mg_error *err)
{
    const mg_bpe_options *options = &bpe->options;
    int64_t count = 0;
    bool pending_unk = false; /* comes out before the next known character, as in the reference */
    for (size_t at = 0, bytes; at < word.size; at += bytes) {
        bytes = mg_char_bytes(word.data[at]);
        mg_str text = mg_str_make(word.data + at, bytes);
        int32_t id = symbol_id(bpe, scratch, &text, at == 0, at + bytes == word.size);
        if (id >= 0) {
            if (pending_unk) {
                scratch->symbols[count++].id = bpe->unk_id;
                pending_unk = false;
            }
            scratch->symbols[count++].id = id;
        } else if (options->byte_fallback && add_bytes(bpe, scratch, text, &count)) {
            continue;
        } else if (options->has_unk) {
            if (bpe->unk_id < 0) {
                return mg_fail(err, MG_ERR_FORMAT,
                               "unk_token '%.*s' is not in the vocabulary, but the text needs it",
                               MG_STR_ARG(options->unk_token));
            }
            if (pending_unk && !options->fuse_unk) {
                scratch->symbols[count++].id = bpe->unk_id;
            }
            pending_unk = true;
        }
    }
    if (pending_unk) {
        scratch->symbols[count++].id = bpe->unk_id;
    }
    *count_out = count;
    return MG_OK;
}

mg_status mg_bpe_encode(const mg_bpe *bpe, mg_bpe_scratch *scratch, mg_str word, mg_ids *ids_out,
                        mg_error *err)
{
    if (bpe->options.ignore_merges) {
        int32_t id = mg_vocab_id(bpe->vocab, word);
        if (id >= 0) {
            mg_ids_add(ids_out, id);
            return MG_OK;
        }
    }
    /* A code point of b bytes gives at most b symbols, or b more with a prefix and a suffix. */
    int64_t need = (int64_t)(word.size + bpe->options.prefix.size + bpe->options.suffix.size) + 1;
    if (bpe->options.prefix.size > 0) {
        need = (int64_t)word.size * (int64_t)(1 + bpe->options.prefix.size) +
               (int64_t)bpe->options.suffix.size + 1;
    }
    if (need > scratch->symbol_cap) {
        scratch->symbol_cap = need * 3 / 2 + 64;
        mg_free(scratch->symbols);
        scratch->symbols = mg_new_array(mg_bpe_symbol, scratch->symbol_cap);
    }
    int64_t count = 0;
    MG_TRY(make_symbols(bpe, scratch, word, &count, err));
    if (count == 0) {
        return MG_OK;
    }
    merge_all(bpe, scratch, count);
    for (int32_t i = 0; i >= 0; i = scratch->symbols[i].next) {
        mg_ids_add(ids_out, scratch->symbols[i].id);
    }
    return MG_OK;
}
