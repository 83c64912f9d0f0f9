/* tensor/sink_hash.c - a sink that keeps nothing but a content hash. */
#include "base/memory.h"
#include "tensor/digest_internal.h"
#include "tensor/sink.h"

typedef struct hash_sink {
    mg_sink base;
    mg_digest digest;
    mg_arena arena; /* names */
    mg_view reserved;
    void *buffer;
    size_t cap;
    char *text_out;
} hash_sink;

static mg_status hash_reserve(mg_sink *base, const mg_view *spec, void **data_out, mg_error *err)
{
    hash_sink *sink = (hash_sink *)base;
    *data_out = NULL;
    if (sink->cap < spec->bytes || sink->buffer == NULL) {
        mg_free_aligned(sink->buffer);
        sink->buffer = NULL;
        sink->cap = 0;
        MG_TRY(mg_memory_try(spec->bytes, "an output tensor", &sink->buffer, err));
        sink->cap = spec->bytes;
    }
    sink->reserved = *spec;
    sink->reserved.name = mg_arena_copy(&sink->arena, spec->name);
    sink->reserved.data = sink->buffer;
    *data_out = sink->buffer;
    return MG_OK;
}

static mg_status hash_commit(mg_sink *base, mg_error *err)
{
    (void)err;
    hash_sink *sink = (hash_sink *)base;
    MG_ASSERT(sink->reserved.data != NULL);
    mg_digest_add(&sink->digest, &sink->reserved);
    sink->reserved.data = NULL;
    return MG_OK;
}

static mg_status hash_finish(mg_sink *base, mg_error *err)
{
    (void)err;
    hash_sink *sink = (hash_sink *)base;
    mg_digest_text(&sink->digest, sink->text_out);
    return MG_OK;
}

static void hash_close(mg_sink *base)
{
    hash_sink *sink = (hash_sink *)base;
    mg_digest_release(&sink->digest);
    mg_arena_release(&sink->arena);
    mg_free_aligned(sink->buffer);
    mg_free(sink);
}

static const mg_sink_ops hash_ops = {
    .reserve = hash_reserve, .commit = hash_commit, .finish = hash_finish, .close = hash_close, NULL
};

mg_status mg_sink_hash_open(char *text_out, mg_sink **sink_out, mg_error *err)
{
    (void)err;
    hash_sink *sink = mg_new(hash_sink);
    sink->base.ops = &hash_ops;
    sink->text_out = text_out;
    *sink_out = &sink->base;
    return MG_OK;
}
