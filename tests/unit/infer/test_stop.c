/* tests/unit/infer/test_stop.c - stop strings in decoded text, and pieces of a stream. */
#include "support.h"

#include "base/memory.h"
#include "compute/ops_nn.h"
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

/* A loop of 5 tokens: its 32 tokens stand there for the third time after 42. */
static void loops_are_given_up_at_the_third_time(void **state)
{
    (void)state;
    const mg_hopeless rules = { .repeats = true };
    const mg_hopeless none = { .repeats = false };
    int32_t ids[200];
    for (int32_t i = 0; i < 200; i++) {
        ids[i] = i < 20 ? 1000 + i : i % 5;
    }
    for (int64_t count = 1; count < 20 + 42; count++) {
        assert_false(mg_hopeless_hit(&rules, NULL, ids, count, NULL));
    }
    assert_true(mg_hopeless_hit(&rules, NULL, ids, 20 + 42, NULL));
    assert_false(mg_hopeless_hit(&none, NULL, ids, 200, NULL));
    ids[40] = 7; /* one other token breaks the loop */
    assert_false(mg_hopeless_hit(&rules, NULL, ids, 20 + 42, NULL));
}

static void scripts_know_their_letters(void **state)
{
    (void)state;
    assert_string_equal(mg_scripts[0], "japanese");
    assert_true(mg_script_occurs(0, mg_str_of("answer: 答え")));
    assert_true(mg_script_occurs(0, mg_str_of("\xe3\x81\x82")));
    assert_false(mg_script_occurs(0, mg_str_of("the answer is 12 \xc3\xa9")));
    assert_false(mg_script_occurs(0, mg_str_of("\xe3")));
    assert_true(mg_script_occurs(3, mg_str_of("12 \xd0\xb4\xd0\xb0")));
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
    char text[4096];
    mg_finish finish;
    mg_buf streamed;
    int64_t pieces;
} fixture;

static void open_fixture(fixture *f, const mg_device *device)
{
    mg_error err;
    mg_hub hub = { { NULL, 0 } };
    mg_model_ref ref;
    memset(f, 0, sizeof(*f));
    memset(&ref, 0, sizeof(ref));
    ref.path = mg_arena_printf(&f->arena, "%s/examples/mini/models/mini-ja", MG_SOURCE_DIR);
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

static mg_status cpu_stream(const mg_device *device, mg_pool *pool, mg_stream **stream_out,
                            mg_error *err)
{
    (void)device;
    const mg_device *cpu = mg_device_cpu(MG_ISA_AVX512);
    return cpu->stream_create(cpu, pool, stream_out, err);
}

/* A device whose steps are started before the host has looked at the last one. */
static const mg_device *running_ahead(void)
{
    static mg_device device;
    static mg_nn_ops ops;
    device = *mg_device_cpu(MG_ISA_AVX512);
    ops = *device.nn;
    ops.next = mg_device_ref()->nn->next;
    device.nn = &ops;
    device.stream_create = cpu_stream;
    device.fetch_begin = mg_device_ref()->fetch_begin;
    device.fetch_end = mg_device_ref()->fetch_end;
    return &device;
}

static void check_stop_strings(const mg_device *device)
{
    fixture f;
    open_fixture(&f, device);
    ask(&f, NULL, 0);
    assert_int_equal(f.finish, MG_FINISH_EOS);
    char whole[sizeof(f.text)];
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

static void answer_ends_before_a_stop_string(void **state)
{
    (void)state;
    check_stop_strings(running_ahead());
    check_stop_strings(mg_device_cpu(MG_ISA_AVX512));
}

/* Forced on behind its end, the model writes without end; then not in a script it does not know. */
static void check_hopeless(const mg_device *device)
{
    fixture f;
    mg_error err;
    open_fixture(&f, device);
    mg_generate_request request = { 0 };
    request.ids = f.prompt.data;
    request.id_count = f.prompt.count;
    request.max_new_tokens = 300;
    request.ignore_eos = true;
    assert_ok(mg_engine_generate(f.engine, &request, 1, keep, &f, &err), &err);
    char whole[sizeof(f.text)];
    memcpy(whole, f.text, sizeof(whole));
    request.hopeless.script = 1; /* Japanese it is */
    assert_ok(mg_engine_generate(f.engine, &request, 1, keep, &f, &err), &err);
    assert_string_equal(f.text, whole);
    for (int64_t i = 0; i < mg_script_count; i++) {
        request.hopeless.script =
            strcmp(mg_scripts[i], "thai") == 0 ? i + 1 : request.hopeless.script;
    }
    assert_ok(mg_engine_generate(f.engine, &request, 1, keep, &f, &err), &err);
    assert_int_equal(f.finish, MG_FINISH_LENGTH);
    assert_true(strlen(f.text) < strlen(whole));
    assert_memory_equal(f.text, whole, strlen(f.text) - 3); /* a character may be cut */
    close_fixture(&f);
}

static void hopeless_answers_end_early(void **state)
{
    (void)state;
    check_hopeless(running_ahead());
    check_hopeless(mg_device_cpu(MG_ISA_AVX512));
}

/* Complete is what holds the word and at least one byte more. */
static mg_status says_word(const void *context, mg_str text, bool *complete_out, mg_error *err)
{
    const char *word = context;
    int64_t at = mg_str_find(text, mg_str_of(word), 0);
    *complete_out = at >= 0 && (size_t)at + strlen(word) < text.size;
    return strcmp(word, "broken") == 0 ? mg_fail(err, MG_ERR_LIMIT, "too many steps") : MG_OK;
}

static void check_complete(const mg_device *device)
{
    fixture f;
    mg_error err;
    open_fixture(&f, device);
    ask(&f, NULL, 0);
    char whole[sizeof(f.text)];
    memcpy(whole, f.text, sizeof(whole));
    mg_generate_request request = { .ids = f.prompt.data,
                                    .id_count = f.prompt.count,
                                    .max_new_tokens = 40,
                                    .complete = says_word,
                                    .complete_context = "答え" };
    assert_ok(mg_engine_generate(f.engine, &request, 1, keep, &f, &err), &err);
    assert_int_equal(f.finish, MG_FINISH_STOP);
    assert_true(strlen(f.text) < strlen(whole));
    assert_true(strlen(f.text) > (size_t)(strstr(whole, "答え") - whole) + strlen("答え"));
    assert_memory_equal(f.text, whole, strlen(f.text));
    request.complete_context = "never";
    assert_ok(mg_engine_generate(f.engine, &request, 1, keep, &f, &err), &err);
    assert_string_equal(f.text, whole);
    request.complete_context = "broken";
    assert_status(mg_engine_generate(f.engine, &request, 1, keep, &f, &err), MG_ERR_LIMIT);
    close_fixture(&f);
}

static void complete_answers_end_where_they_say_all(void **state)
{
    (void)state;
    check_complete(running_ahead());
    check_complete(mg_device_cpu(MG_ISA_AVX512));
}

static void check_pieces(const mg_device *device)
{
    fixture f;
    open_fixture(&f, device);
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

static void pieces_of_a_stream_make_up_the_text(void **state)
{
    (void)state;
    check_pieces(running_ahead());
    check_pieces(mg_device_cpu(MG_ISA_AVX512));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_cut_by_each_stop_in_turn),
        cmocka_unit_test(loops_are_given_up_at_the_third_time),
        cmocka_unit_test(scripts_know_their_letters),
        cmocka_unit_test(uncertain_ends_are_held_back),
        cmocka_unit_test(answer_ends_before_a_stop_string),
        cmocka_unit_test(hopeless_answers_end_early),
        cmocka_unit_test(complete_answers_end_where_they_say_all),
        cmocka_unit_test(pieces_of_a_stream_make_up_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
