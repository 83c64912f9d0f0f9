/* tokenizer/unigram.c - Viterbi over the bytes of a word (tokenizers.md 8.1). */
#include "tokenizer/unigram_internal.h"

#include "base/memory.h"
#include "text/utf8.h"
#include "tokenizer/chars_internal.h"

#define UNK_PENALTY 10.0
#define BMP_COUNT 65536

void mg_unigram_scratch_release(mg_unigram_scratch *scratch)
{
    if (scratch != NULL) {
        mg_free(scratch->nodes);
        mg_free(scratch->path);
        memset(scratch, 0, sizeof(*scratch));
    }
}

void mg_unigram_release(mg_unigram *unigram)
{
    if (unigram != NULL) {
        mg_free(unigram->scores);
        mg_free(unigram->hidden);
        mg_free(unigram->char_nodes);
        mg_trie_release(&unigram->trie);
        memset(unigram, 0, sizeof(*unigram));
    }
}

/* The trie node behind text, from node; 0 = none. */
static int32_t walk(const mg_trie *trie, int32_t node, mg_str text)
{
    for (size_t i = 0; i < text.size; i++) {
        node = mg_trie_step(trie, node, (unsigned char)text.data[i]);
        if (node == 0) {
            break;
        }
    }
    return node;
}

static void fill_char_nodes(mg_unigram *unigram)
{
    unigram->char_nodes = mg_new_array(int32_t, BMP_COUNT);
    for (int32_t c = 1; c < BMP_COUNT; c++) {
        char bytes[4];
        size_t count = mg_utf8_encode(c, bytes);
        unigram->char_nodes[c] = walk(&unigram->trie, 0, mg_str_make(bytes, count));
    }
}

mg_status mg_unigram_finish(mg_unigram *unigram, mg_error *err)
{
    const mg_vocab *vocab = unigram->vocab;
    double lowest = 0.0;
    bool any = false;
    for (int64_t i = 0; i < vocab->count; i++) {
        const mg_vocab_entry *entry = &vocab->entries[i];
        mg_str piece = mg_str_make(vocab->bytes.data + entry->offset, entry->size);
        if (piece.size == 0 || (unigram->hidden != NULL && unigram->hidden[entry->id])) {
            continue;
        }
        double score = unigram->scores[entry->id];
        lowest = any ? MG_MIN(lowest, score) : score;
        any = true;
        MG_TRY(mg_trie_set(&unigram->trie, piece, entry->id, err));
    }
    MG_TRY(mg_trie_finish(&unigram->trie, err));
    unigram->unk_score = lowest - UNK_PENALTY;
    mg_vocab_byte_ids(vocab, unigram->byte_ids);
    fill_char_nodes(unigram);
    return MG_OK;
}

static double add_scores(const mg_unigram *unigram, double a, double b)
{
    return unigram->single_precision ? (double)((float)a + (float)b) : a + b;
}

/* Keeps the way to end over a piece that starts at start, if it is strictly better. */
static void offer(mg_unigram_node *node, int32_t start, int32_t id, double score)
{
    if (node->start < 0 || score > node->score) {
        node->score = score;
        node->start = start;
        node->id = id;
    }
}

/* Offers every piece that starts at offset at; true when one is a single character. */
static bool offer_pieces(const mg_unigram *unigram, mg_unigram_node *nodes, mg_str word, size_t at,
                         size_t char_bytes)
{
    const mg_trie *trie = &unigram->trie;
    double here = nodes[at].score;
    size_t end = at + char_bytes;
    /* Pieces end between code points, so the first one can be taken in one step. */
    int32_t c = mg_char_decode(word.data + at, &char_bytes);
    int32_t node = c > 0 && c < BMP_COUNT ? unigram->char_nodes[c]
                                          : walk(trie, 0, mg_str_make(word.data + at, char_bytes));
    bool has_single = node != 0 && mg_trie_value(trie, node) >= 0;
    while (node != 0) {
        int32_t id = mg_trie_value(trie, node);
        if (id >= 0) {
            offer(&nodes[end], (int32_t)at, id, add_scores(unigram, here, unigram->scores[id]));
        }
        node = end < word.size ? mg_trie_step(trie, node, (unsigned char)word.data[end++]) : 0;
    }
    return has_single;
}

static void find_best(const mg_unigram *unigram, mg_unigram_node *nodes, mg_str word)
{
    for (size_t at = 0, char_bytes; at < word.size; at += char_bytes) {
        char_bytes = mg_char_bytes(word.data[at]);
        if (!offer_pieces(unigram, nodes, word, at, char_bytes)) {
            offer(&nodes[at + char_bytes], (int32_t)at, -1,
                  add_scores(unigram, nodes[at].score, unigram->unk_score));
        }
    }
}

/* A stretch of unknown characters: one piece if the vocabulary has it after all, else its bytes. */
static mg_status add_unknown(const mg_unigram *unigram, mg_str text, mg_ids *ids_out, mg_error *err)
{
    int32_t id = mg_vocab_id(unigram->vocab, text);
    bool bytes = id < 0 && unigram->byte_fallback;
    for (size_t i = 0; i < text.size && bytes; i++) {
        bytes = unigram->byte_ids[(unsigned char)text.data[i]] >= 0;
    }
    for (size_t i = 0; i < text.size && bytes; i++) {
        mg_ids_add(ids_out, unigram->byte_ids[(unsigned char)text.data[i]]);
    }
    if (bytes) {
        return MG_OK;
    }
    id = id >= 0 ? id : unigram->unk_id;
    if (id < 0) {
        return mg_fail(err, MG_ERR_FORMAT,
                       "the text needs an unknown token, but the vocabulary has none");
    }
    mg_ids_add(ids_out, id);
    return MG_OK;
}

mg_status mg_unigram_encode(const mg_unigram *unigram, mg_unigram_scratch *scratch, mg_str word,
                            mg_ids *ids_out, mg_error *err)
{
    int64_t need = (int64_t)word.size + 1;
    if (need > scratch->node_cap) {
        scratch->node_cap = need * 3 / 2 + 64;
        mg_free(scratch->nodes);
        mg_free(scratch->path);
        scratch->nodes = mg_new_array(mg_unigram_node, scratch->node_cap);
        scratch->path = mg_new_array(int32_t, scratch->node_cap);
    }
    mg_unigram_node *nodes = scratch->nodes;
    for (int64_t i = 0; i < need; i++) {
        nodes[i].start = -1;
    }
    nodes[0].score = 0.0;
    find_best(unigram, nodes, word);

    int64_t count = 0;
    for (int32_t end = (int32_t)word.size; end > 0; end = nodes[end].start) {
        scratch->path[count++] = end;
    }
    for (int64_t i = count - 1; i >= 0; i--) {
        const mg_unigram_node *piece = &nodes[scratch->path[i]];
        if (piece->id >= 0) {
            mg_ids_add(ids_out, piece->id);
            continue;
        }
        size_t begin = (size_t)piece->start;
        while (i > 0 && nodes[scratch->path[i - 1]].id < 0) {
            i--;
        }
        MG_TRY(add_unknown(unigram, mg_str_slice(word, begin, (size_t)scratch->path[i]), ids_out,
                           err));
    }
    return MG_OK;
}
