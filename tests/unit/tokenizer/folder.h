/* A temporary model folder for tests of this module. */
#pragma once

#include "support.h"

#include <unistd.h>

#include "base/fs.h"
#include "base/memory.h"

typedef struct folder {
    char path[64];
} folder;

static inline void folder_write(const folder *f, const char *name, const char *text)
{
    mg_error err;
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", f->path, name);
    assert_ok(mg_file_write_atomic(path, mg_str_of(text), &err), &err);
}

static inline folder folder_make_empty(void)
{
    folder f;
    (void)snprintf(f.path, sizeof(f.path), "/tmp/mg_tokenizer_XXXXXX");
    assert_non_null(mkdtemp(f.path));
    return f;
}

/* With a tokenizer.json of a few characters: "<s>" 0, "</s>" 1, "a" 2, "b" 3, "Ġ" 4. */
static inline folder folder_make(void)
{
    folder f = folder_make_empty();
    folder_write(&f, "tokenizer.json",
                 "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":0,\"content\":\"<s>\","
                 "\"special\":true,\"normalized\":false}],"
                 "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true},"
                 "\"decoder\":{\"type\":\"ByteLevel\"},"
                 "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":"
                 "{\"id\":\"A\"}},{\"SpecialToken\":{\"id\":\"<s>\"}}],\"special_tokens\":"
                 "{\"<s>\":{\"ids\":[0,0]}}},"
                 "\"model\":{\"type\":\"BPE\",\"vocab\":{\"<s>\":0,\"</s>\":1,\"a\":2,\"b\":3,"
                 "\"\xC4\xA0\":4},\"merges\":[]}}");
    return f;
}

static inline void folder_remove(const folder *f)
{
    mg_error err;
    assert_ok(mg_folder_remove(f->path, &err), &err);
}
