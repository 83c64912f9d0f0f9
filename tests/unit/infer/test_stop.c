/* tests/unit/infer/test_stop.c - stop strings in decoded text, and pieces of a stream. */
#include "support.h"

#include "base/memory.h"
#include "hub/snapshot.h"
#include "infer/engine.h"
#include "infer/stop.h"

#define PROMPT "問題:18人が卵を7個ずつ持っています。合わせて何個ですか?\n答え:"

static void text_is_cut_by_each_stop_in_turn(void **state)
{
    (void)state;
    mg_str texts[] = { mg_str_of("\n\n"), mg_str_of(""), mg_str_of("問題"), mg_str_of("b") };
    mg_stops stops = { texts, MG_ARRAY_COUNT(texts), 0 };
    assert_true(mg_str_is(mg_stops_cut(&stops, mg_str_of("a\n\nb")), "a"));
    assert_true(mg_str_is(mg_stops_cut(&stops, mg_str_of("a問題b\n\n")), "a"));
    assert_true(mg_str_is(mg_stops_cut(&stops, mg_str_of("ab問題")), "a"));
    assert_true(mg_str_is(mg_stops_cut(&stops, mg_str_of("acd\n")), "acd\n"));
    assert_true(mg_str_is(mg_stops_cut(&stops, mg_str_of("問題")), ""));
}

static void uncertain_ends_are_held_back(void **state)
{
    (void)state;
    mg_str texts[] = { mg_str_of("\n\nQ:"), mg_str_of("xyx") };
    mg_stops stops = { texts, MG_ARRAY_COUNT(texts), 0 };
    assert_true(mg_str_is(mg_stops_certain(&stops, mg_str_of("abc")), "abc"));
    assert_true(mg_str_is(mg_stops_certain(&stops, mg_str_of("abc\n")), "abc"));
    assert_true(mg_str_is(mg_stops_certain(&stops, mg_str_of("abc\n\nQ")), "abc"));
    assert_true(mg_str_is(mg_stops_certain(&stops, mg_str_of("ax")), "a"));
    assert_true(mg_str_is(mg_stops_certain(&stops, mg_str_of("axyz")), "axyz"));
    assert_true(mg_str_is(mg_stops_certain(&stops, mg_str_of("答\xEF\xBF\xBD\xEF\xBF\xBD")), "答"));
    assert_true(mg_str_is(mg_stops_certain(&stops, mg_str_of("")), ""));
    assert_true(mg_str_is(mg_stops_certain(&stops, mg_str_of("\n")), ""));
}

typedef struct fixture {
    mg_arena arena;
    mg_snapshot *snapshot;
    mg_tokenizer *tokenizer;
    mg_model *model;
    mg_stream *stream;
    mg_engine *engine;
    mg_ids prompt;
    char text[1024];
    mg_finish finish;
    mg_buf streamed;
    int64_t pieces;
} fixture;

static void open_fixture(fixture *f)
{
    mg_error err;
    mg_hub hub = { { NULL, 0 } };
    mg_model_ref ref;
    memset(f, 0, sizeof(*f));
    memset(&ref, 0, sizeof(ref));
    ref.path = mg_arena_printf(&f->arena, "%s/examples/mini/models/mini-ja", MG_SOURCE_DIR);
    const mg_device *device = mg_device_cpu(MG_ISA_AVX512);
    assert_ok(mg_snapshot_open(&hub, &ref, true, &f->snapshot, &err), &err);
    assert_ok(mg_tokenizer_open(f->snapshot->folder, &f->tokenizer, &err), &err);
    assert_ok(mg_model_create(&f->snapshot->config, device, MG_F32, &f->model, &err), &err);
    assert_ok(device->stream_create(device, NULL, &f->stream, &err), &err);
    assert_ok(mg_model_load(f->model, f->snapshot->checkpoint, f->stream, &err), &err);
    assert_ok(mg_engine_create(f->model, f->tokenizer, NULL, NULL, &f->engine, &err), &err);
    assert_ok(mg_tokenizer_encode(f->tokenizer, mg_str_of(PROMPT), true, &f->prompt, &err), &err);
}

static void close_fixture(fixture *f)
{
    mg_engine_destroy(f->engine);
    mg_model_device(f->model)->stream_destroy(f->stream);
    mg_model_destroy(f->model);
    mg_tokenizer_close(f->tokenizer);
    mg_snapshot_close(f->snapshot);
    mg_ids_release(&f->prompt);
    mg_buf_release(&f->streamed);
    mg_arena_release(&f->arena);
}

static bool keep(void *context, int64_t index, const mg_generation *result)
{
    fixture *f = (fixture *)context;
    assert_int_equal(index, 0);
    assert_true(result->text.size < sizeof(f->text));
    memcpy(f->text, result->text.data, result->text.size);
    f->text[result->text.size] = '\0';
    f->finish = result->finish;
    return true;
}

static void add_piece(void *context, mg_str piece)
{
    fixture *f = (fixture *)context;
    assert_true(piece.size > 0);
    mg_buf_add(&f->streamed, piece);
    f->pieces++;
}

static void ask(fixture *f, const mg_str *stops, int64_t stop_count)
{
    mg_error err;
    mg_generate_request request = { 0 };
    request.ids = f->prompt.data;
    request.id_count = f->prompt.count;
    request.max_new_tokens = 40;
    request.stops = stops;
    request.stop_count = stop_count;
    mg_buf_clear(&f->streamed);
    f->pieces = 0;
    assert_ok(mg_engine_generate(f->engine, &request, 1, keep, f, &err), &err);
}

static void answer_ends_before_a_stop_string(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f);
    ask(&f, NULL, 0);
    assert_int_equal(f.finish, MG_FINISH_EOS);
    char whole[1024];
    memcpy(whole, f.text, sizeof(whole));
    const char *at = strstr(whole, "答え");
    assert_non_null(at);
    mg_str stops[] = { mg_str_of("never"), mg_str_of("答えは") }; /* several tokens */
    ask(&f, stops, 2);
    assert_int_equal(f.finish, MG_FINISH_STOP);
    assert_int_equal(strlen(f.text), (size_t)(at - whole));
    assert_memory_equal(f.text, whole, strlen(f.text));
    mg_str empty = mg_str_of("");
    ask(&f, &empty, 1);
    assert_string_equal(f.text, whole);
    close_fixture(&f);
}

static void pieces_of_a_stream_make_up_the_text(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f);
    mg_engine_stream_text(f.engine, add_piece, &f);
    ask(&f, NULL, 0);
    assert_true(f.pieces > 3);
    assert_true(mg_str_is(mg_buf_view(&f.streamed), f.text));
    mg_str stop = mg_str_of("答えは");
    ask(&f, &stop, 1);
    assert_int_equal(f.finish, MG_FINISH_STOP);
    assert_true(mg_str_is(mg_buf_view(&f.streamed), f.text));
    mg_engine_stream_text(f.engine, NULL, NULL);
    ask(&f, NULL, 0);
    assert_int_equal(f.pieces, 0);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_cut_by_each_stop_in_turn),
        cmocka_unit_test(uncertain_ends_are_held_back),
        cmocka_unit_test(answer_ends_before_a_stop_string),
        cmocka_unit_test(pieces_of_a_stream_make_up_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
