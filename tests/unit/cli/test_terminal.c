/* tests of cli/terminal.h */
#include "support.h"

#include "cli/terminal.h"

static void control_characters_are_shown_never_sent(void **state)
{
    (void)state;
    mg_buf out = { 0 };
    mg_terminal_escape(&out, mg_str_of("a\033[2Jb\n\tc\x07\xC2\x9B"
                                       "日本\x7F\xFF"));
    assert_string_equal(out.data, "a\\x1b[2Jb\n\tc\\x07\\xc2\\x9b日本\\x7f\\xff");
    mg_buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_characters_are_shown_never_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
