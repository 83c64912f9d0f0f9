/* tests/unit/sched/test_message.c - messages, whole, cut and damaged. */
#include "support.h"

#include <math.h>
#include <unistd.h>

#include <sys/socket.h>

#include "sched/message.h"

static void what_is_put_is_taken(void **state)
{
    (void)state;
    mg_buf message = { 0 };
    mg_message_put_int(&message, -7);
    mg_message_put_text(&message, mg_str_make("a\0b", 3));
    mg_message_put_number(&message, (double)NAN);
    mg_message_put_text(&message, mg_str_of(""));
    mg_message_put_int(&message, INT64_MAX);
    mg_message_reader reader = { mg_buf_view(&message), false };
    assert_int_equal(mg_message_take_int(&reader), -7);
    mg_str text = mg_message_take_text(&reader);
    assert_int_equal(text.size, 3);
    assert_memory_equal(text.data, "a\0b", 3);
    assert_true(isnan(mg_message_take_number(&reader)));
    assert_int_equal(mg_message_take_text(&reader).size, 0);
    assert_int_equal(mg_message_take_int(&reader), INT64_MAX);
    assert_false(reader.bad);
    assert_int_equal(reader.rest.size, 0);
    mg_buf_release(&message);
}

static void a_message_cut_anywhere_is_bad_and_gives_zeros(void **state)
{
    (void)state;
    mg_buf message = { 0 };
    mg_message_put_int(&message, 5);
    mg_message_put_text(&message, mg_str_of("text"));
    mg_message_put_number(&message, 1.5);
    for (size_t size = 0; size < message.size; size++) {
        mg_message_reader reader = { mg_str_make(message.data, size), false };
        (void)mg_message_take_int(&reader);
        (void)mg_message_take_text(&reader);
        assert_true(mg_message_take_number(&reader) == 0.0);
        assert_true(reader.bad);
        assert_int_equal(mg_message_take_int(&reader), 0);
    }
    mg_buf_release(&message);
}

static void a_text_of_an_impossible_size_is_bad(void **state)
{
    (void)state;
    static const int64_t sizes[] = { -1, INT64_MIN, INT64_MAX, 9 };
    for (int64_t i = 0; i < MG_ARRAY_COUNT(sizes); i++) {
        mg_buf message = { 0 };
        mg_message_put_int(&message, sizes[i]);
        mg_message_put_int(&message, 0);
        mg_message_reader reader = { mg_buf_view(&message), false };
        assert_int_equal(mg_message_take_text(&reader).size, 0);
        assert_true(reader.bad);
        mg_buf_release(&message);
    }
}

static void frames_are_taken_when_they_are_whole(void **state)
{
    (void)state;
    mg_error err;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_ok(mg_frame_send(pair[0], mg_str_of("first"), &err), &err);
    assert_ok(mg_frame_send(pair[0], mg_str_of(""), &err), &err);
    mg_buf received = { 0 };
    size_t count = 0;
    while (received.size < 2 * sizeof(uint64_t) + 5) {
        mg_frame_receive(pair[1], &received, &count);
        assert_true(count > 0);
    }
    size_t at = 0;
    bool found;
    mg_str frame;
    assert_ok(mg_frame_take(mg_str_make(received.data, 12), &at, &found, &frame, &err), &err);
    assert_false(found);
    assert_ok(mg_frame_take(mg_buf_view(&received), &at, &found, &frame, &err), &err);
    assert_true(found && mg_str_is(frame, "first"));
    assert_ok(mg_frame_take(mg_buf_view(&received), &at, &found, &frame, &err), &err);
    assert_true(found && frame.size == 0);
    assert_ok(mg_frame_take(mg_buf_view(&received), &at, &found, &frame, &err), &err);
    assert_false(found);
    close(pair[0]);
    mg_frame_receive(pair[1], &received, &count);
    assert_int_equal(count, 0);
    assert_status(mg_frame_send(pair[1], mg_str_of("x"), &err), MG_ERR_IO);
    close(pair[1]);
    mg_buf_release(&received);
}

static void a_frame_of_an_impossible_size_is_refused(void **state)
{
    (void)state;
    mg_error err;
    uint64_t size = UINT64_MAX;
    size_t at = 0;
    bool found;
    mg_str frame;
    mg_str bytes = mg_str_make((const char *)&size, sizeof(size));
    assert_status(mg_frame_take(bytes, &at, &found, &frame, &err), MG_ERR_FORMAT);
    assert_false(found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_is_taken),
        cmocka_unit_test(a_message_cut_anywhere_is_bad_and_gives_zeros),
        cmocka_unit_test(a_text_of_an_impossible_size_is_bad),
        cmocka_unit_test(frames_are_taken_when_they_are_whole),
        cmocka_unit_test(a_frame_of_an_impossible_size_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
