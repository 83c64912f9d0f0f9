/* infer/hopeless.c - see hopeless.h. */
#include "infer/hopeless.h"

#include <string.h>

typedef struct range {
    int64_t script;
    uint32_t first, last; /* code points */
} range;

enum { JAPANESE, CHINESE, KOREAN, CYRILLIC, GREEK, ARABIC, HEBREW, THAI, DEVANAGARI, SCRIPTS };

const char *const mg_scripts[] = { "japanese", "chinese", "korean", "cyrillic",  "greek",
                                   "arabic",   "hebrew",  "thai",   "devanagari" };
const int64_t mg_script_count = SCRIPTS;

static const range ranges[] = {
    { JAPANESE, 0x3040, 0x30ff }, { JAPANESE, 0x4e00, 0x9fff }, { CHINESE, 0x3400, 0x4dbf },
    { CHINESE, 0x4e00, 0x9fff },  { KOREAN, 0x1100, 0x11ff },   { KOREAN, 0xac00, 0xd7af },
    { CYRILLIC, 0x0400, 0x052f }, { GREEK, 0x0370, 0x03ff },    { ARABIC, 0x0600, 0x06ff },
    { HEBREW, 0x0590, 0x05ff },   { THAI, 0x0e00, 0x0e7f },     { DEVANAGARI, 0x0900, 0x097f },
};

/* The code point at *at, which moves behind it; a byte that begins none stands for itself. */
static uint32_t next_code_point(mg_str text, size_t *at)
{
    unsigned char lead = (unsigned char)text.data[(*at)++];
    int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    uint32_t point = more == 0 ? lead : lead & (0x3fu >> more);
    for (; more > 0 && *at < text.size && ((unsigned char)text.data[*at] & 0xc0) == 0x80; more--) {
        point = point << 6 | ((unsigned char)text.data[(*at)++] & 0x3fu);
    }
    return point;
}

bool mg_script_occurs(int64_t script, mg_str text)
{
    size_t at = 0;
    while (at < text.size) {
        uint32_t point = next_code_point(text, &at);
        for (int64_t i = 0; i < MG_ARRAY_COUNT(ranges); i++) {
            if (ranges[i].script == script && point >= ranges[i].first && point <= ranges[i].last) {
                return true;
            }
        }
    }
    return false;
}

/* Whether the last gram occurs often enough, overlaps counted. */
static bool repeats(const int32_t *ids, int64_t count)
{
    const int32_t *gram = ids + count - MG_HOPELESS_GRAM;
    int times = 1;
    for (int64_t i = count - MG_HOPELESS_GRAM - 1; i >= 0 && times < MG_HOPELESS_TIMES; i--) {
        times += memcmp(ids + i, gram, MG_HOPELESS_GRAM * sizeof(ids[0])) == 0 ? 1 : 0;
    }
    return times == MG_HOPELESS_TIMES;
}

bool mg_hopeless_hit(const mg_hopeless *rules, const mg_tokenizer *tokenizer, const int32_t *ids,
                     int64_t count, mg_buf *scratch)
{
    if (rules->repeats && count > MG_HOPELESS_GRAM && repeats(ids, count)) {
        return true;
    }
    if (rules->script == 0 || count != MG_HOPELESS_LANGUAGE || tokenizer == NULL) {
        return false;
    }
    mg_buf_clear(scratch);
    mg_tokenizer_decode(tokenizer, ids, count, true, scratch);
    return !mg_script_occurs(rules->script - 1, mg_buf_view(scratch));
}
