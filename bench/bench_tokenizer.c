/* bench/bench_tokenizer.c - how fast a tokenizer loads, encodes and decodes.
 *
 *     bench_tokenizer MODEL_FOLDER TEXT_FILE [SECONDS]
 *
 * Every line of the file is one text.  Prints CSV: what, megabytes of text a second of CPU time
 * (for `open`: milliseconds), on one thread.  `encode_cold` starts with an empty word cache. */
#include "base/fs.h"
#include "base/memory.h"
#include "tokenizer/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct texts {
    mg_str *items;
    int64_t count;
    size_t bytes;
} texts;

static double cpu_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void cut_lines(mg_str text, texts *out)
{
    mg_str line;
    int64_t cap = 0;
    while (mg_str_split(&text, '\n', &line)) {
        if (out->count == cap) {
            cap = MG_MAX(cap * 2, 1024);
            out->items = mg_memory_resize(out->items, cap, sizeof(mg_str));
        }
        out->items[out->count++] = line;
        out->bytes += line.size;
    }
}

static mg_status encode_all(const mg_tokenizer *tokenizer, const texts *lines, mg_ids *ids,
                            mg_error *err)
{
    ids->count = 0;
    for (int64_t i = 0; i < lines->count; i++) {
        MG_TRY(mg_tokenizer_encode(tokenizer, lines->items[i], true, ids, err));
    }
    return MG_OK;
}

/* Repeats until seconds are over; prints one line. */
static mg_status measure(const mg_tokenizer *tokenizer, const texts *lines, double seconds,
                         mg_error *err)
{
    mg_ids ids = { NULL, 0, 0 };
    mg_buf text = { 0 };
    int64_t rounds = 0;
    double begin = cpu_seconds();
    double spent = 0.0;
    mg_status status = encode_all(tokenizer, lines, &ids, err);
    printf("encode_cold,%.2f\n", (double)lines->bytes / 1e6 / (cpu_seconds() - begin));
    begin = cpu_seconds();
    while (status == MG_OK && spent < seconds) {
        status = encode_all(tokenizer, lines, &ids, err);
        rounds++;
        spent = cpu_seconds() - begin;
    }
    printf("encode,%.2f\n", (double)lines->bytes * (double)rounds / 1e6 / spent);
    begin = cpu_seconds();
    mg_tokenizer_decode(tokenizer, ids.data, ids.count, true, &text);
    printf("decode,%.2f\n", (double)text.size / 1e6 / (cpu_seconds() - begin));
    mg_ids_release(&ids);
    mg_buf_release(&text);
    return status;
}

int main(int argc, char **argv)
{
    mg_error err;
    mg_tokenizer *tokenizer = NULL;
    mg_bytes bytes = { NULL, 0 };
    texts lines = { NULL, 0, 0 };
    if (argc < 3) {
        fprintf(stderr, "usage: bench_tokenizer MODEL_FOLDER TEXT_FILE [SECONDS]\n");
        return 2;
    }
    printf("what,value\n");
    double begin = cpu_seconds();
    mg_status status = mg_tokenizer_open(argv[1], &tokenizer, &err);
    printf("open,%.1f\n", (cpu_seconds() - begin) * 1e3);
    if (status == MG_OK) {
        status = mg_file_read(argv[2], (size_t)1 << 30, &bytes, &err);
    }
    if (status == MG_OK) {
        cut_lines(mg_str_make((const char *)bytes.data, bytes.size), &lines);
        status = measure(tokenizer, &lines, argc > 3 ? atof(argv[3]) : 1.0, &err);
    }
    if (status != MG_OK) {
        fprintf(stderr, "bench_tokenizer: %s\n", err.message);
    }
    mg_free(lines.items);
    mg_bytes_release(&bytes);
    mg_tokenizer_close(tokenizer);
    return status == MG_OK ? 0 : 1;
}
