/* infer/stop.c - decodes the end of a generation and looks for stop strings in it. */
#include "infer/stop.h"

#include <string.h>

/* Shown for bytes that do not make a character yet. */
#define MG_REPLACEMENT "\xEF\xBF\xBD"

mg_status mg_stops_make(const mg_tokenizer *tokenizer, const mg_str *texts, int64_t count,
                        mg_stops *stops_out, mg_error *err)
{
    mg_status status = MG_OK;
    mg_ids ids = { NULL, 0, 0 };
    stops_out->texts = texts;
    stops_out->count = count;
    stops_out->look_back = 0;
    for (int64_t i = 0; i < count; i++) {
        ids.count = 0;
        MG_TRY_OR_DONE(mg_tokenizer_encode(tokenizer, texts[i], false, &ids, err));
        stops_out->look_back = MG_MAX(stops_out->look_back, ids.count + 2);
    }

done:
    mg_ids_release(&ids);
    return status;
}

bool mg_stops_hit(const mg_stops *stops, const mg_tokenizer *tokenizer, const int32_t *ids,
                  int64_t count, mg_buf *scratch)
{
    if (stops->count == 0) {
        return false;
    }
    int64_t look_back = MG_MIN(stops->look_back, count);
    mg_buf_clear(scratch);
    mg_tokenizer_decode(tokenizer, ids + count - look_back, look_back, false, scratch);
    for (int64_t i = 0; i < stops->count; i++) {
        if (stops->texts[i].size > 0 &&
            mg_str_find(mg_buf_view(scratch), stops->texts[i], 0) >= 0) {
            return true;
        }
    }
    return false;
}

mg_str mg_stops_cut(const mg_stops *stops, mg_str text)
{
    for (int64_t i = 0; i < stops->count; i++) {
        int64_t at = stops->texts[i].size > 0 ? mg_str_find(text, stops->texts[i], 0) : -1;
        if (at >= 0) {
            text = mg_str_slice(text, 0, (size_t)at);
        }
    }
    return text;
}

mg_str mg_stops_certain(const mg_stops *stops, mg_str text)
{
    while (mg_str_ends(text, MG_REPLACEMENT)) {
        text = mg_str_slice(text, 0, text.size - strlen(MG_REPLACEMENT));
    }
    size_t held = 0; /* bytes at the end that begin a stop string */
    for (int64_t i = 0; i < stops->count; i++) {
        mg_str stop = stops->texts[i];
        size_t most = stop.size > 0 ? MG_MIN(stop.size - 1, text.size) : 0;
        for (size_t size = most; size > held; size--) {
            if (memcmp(text.data + text.size - size, stop.data, size) == 0) {
                held = size;
            }
        }
    }
    return mg_str_slice(text, 0, text.size - held);
}
