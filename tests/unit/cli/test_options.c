/* tests of cli/options.h and cli/help.h */
#include "support.h"

#include "cli/help.h"
#include "cli/options.h"

static const mg_option options[] = {
    { "overwrite", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL, "Replace what is there.", NULL },
    { "copy-tokenizer", 0, NULL, MG_OPTION_FLAG, NULL, "on", NULL, "Copy it.", NULL },
    { "out-shard-size", 0, NULL, MG_OPTION_SIZE, "SIZE", "5B", NULL, "Largest shard.", NULL },
    { "include-path", 'I', NULL, MG_OPTION_TEXTS, "DIR", NULL, NULL, "Where to look.", NULL },
    { "strategy", 's', NULL, MG_OPTION_TEXT, "S", "pool", "pool|serial", "How.", NULL },
    { "sigma0", 0, NULL, MG_OPTION_NUMBER, "X", "0.1667", NULL, "First step.", NULL },
    { "lazy", 0, NULL, MG_OPTION_FLAG, NULL, NULL, NULL, NULL, "tensors are always mapped" },
    { "chat", 0, NULL, MG_OPTION_SWITCH, "NAME", NULL, NULL, "Through a template.", NULL },
};

static const mg_command command = {
    "try", "A B", 1, 2, "Tries.", NULL, NULL, options, MG_ARRAY_COUNT(options), NULL,
};

static mg_status parse(mg_args **args, mg_error *err, int count, ...)
{
    static char words[16][64];
    static char *list[16]; /* the arguments point into it */
    va_list values;
    va_start(values, count);
    for (int i = 0; i < count; i++) {
        (void)snprintf(words[i], sizeof(words[i]), "%s", va_arg(values, const char *));
        list[i] = words[i];
    }
    va_end(values);
    mg_error_clear(err);
    return mg_args_parse(&command, count, list, args, err);
}

static void options_stand_anywhere_and_take_values_either_way(void **state)
{
    (void)state;
    mg_error err;
    mg_args *args;
    assert_ok(parse(&args, &err, 8, "--overwrite", "a", "--sigma0=0.5", "b", "--out-shard-size",
                    "250M", "-Ix", "-vv"),
              &err);
    assert_int_equal(mg_args_operand_count(args), 2);
    assert_string_equal(mg_args_operand(args, 1), "b");
    assert_true(mg_args_flag(args, "overwrite"));
    assert_true(mg_args_number(args, "sigma0") == 0.5);
    assert_int_equal(mg_args_int(args, "out-shard-size"), 250000000);
    assert_int_equal(mg_args_int(args, "verbose"), 2);
    assert_string_equal(mg_args_text_at(args, "include-path", 0), "x");
    mg_args_destroy(args);
}

static void defaults_hold_and_flags_can_be_denied(void **state)
{
    (void)state;
    mg_error err;
    mg_args *args;
    assert_ok(parse(&args, &err, 3, "a", "--no-copy-tokenizer", "--random-seed=7"), &err);
    assert_false(mg_args_flag(args, "copy-tokenizer"));
    assert_int_equal(mg_args_int(args, "out-shard-size"), 5000000000);
    assert_string_equal(mg_args_text(args, "strategy"), "pool");
    assert_false(mg_args_given(args, "strategy"));
    assert_int_equal(mg_args_int(args, "seed"), 7);
    mg_args_destroy(args);
}

static void flags_take_a_truth_and_switches_a_text_behind_an_equals_sign(void **state)
{
    (void)state;
    mg_error err;
    mg_args *args;
    assert_ok(parse(&args, &err, 4, "--chat", "a", "--overwrite=true", "--copy-tokenizer=false"),
              &err);
    assert_true(mg_args_flag(args, "overwrite"));
    assert_false(mg_args_flag(args, "copy-tokenizer"));
    assert_true(mg_args_flag(args, "chat"));
    assert_null(mg_args_text(args, "chat"));
    assert_string_equal(mg_args_operand(args, 0), "a");
    mg_args_destroy(args);
    assert_ok(parse(&args, &err, 2, "a", "--chat=tool_use"), &err);
    assert_true(mg_args_flag(args, "chat"));
    assert_string_equal(mg_args_text(args, "chat"), "tool_use");
    mg_args_destroy(args);
    assert_ok(parse(&args, &err, 5, "a", "--overwrite", "True", "--copy-tokenizer", "false"), &err);
    assert_true(mg_args_flag(args, "overwrite"));
    assert_false(mg_args_flag(args, "copy-tokenizer"));
    assert_int_equal(mg_args_operand_count(args), 1);
    mg_args_destroy(args);
    assert_ok(parse(&args, &err, 3, "a", "--chat=tool_use", "--no-chat"), &err);
    assert_false(mg_args_flag(args, "chat"));
    mg_args_destroy(args);
}

static void words_behind_two_dashes_are_operands(void **state)
{
    (void)state;
    mg_error err;
    mg_args *args;
    assert_ok(parse(&args, &err, 3, "--", "--overwrite", "-x"), &err);
    assert_string_equal(mg_args_operand(args, 0), "--overwrite");
    assert_false(mg_args_flag(args, "overwrite"));
    mg_args_destroy(args);
}

static void mistakes_are_told_with_the_nearest_name(void **state)
{
    (void)state;
    mg_error err;
    mg_args *args;
    assert_status(parse(&args, &err, 2, "a", "--overwrit"), MG_ERR_USAGE);
    assert_non_null(strstr(err.message, "--overwrite"));
    assert_status(parse(&args, &err, 2, "a", "--strategy=fast"), MG_ERR_USAGE);
    assert_non_null(strstr(err.message, "pool|serial"));
    assert_status(parse(&args, &err, 3, "a", "--sigma0", "wide"), MG_ERR_USAGE);
    assert_status(parse(&args, &err, 2, "a", "--sigma0"), MG_ERR_USAGE);
    assert_status(parse(&args, &err, 2, "a", "--overwrite=maybe"), MG_ERR_USAGE);
    assert_non_null(strstr(err.message, "true or false"));
    assert_status(parse(&args, &err, 3, "a", "b", "c"), MG_ERR_USAGE);
    assert_status(parse(&args, &err, 0), MG_ERR_USAGE);
    assert_status(parse(&args, &err, 2, "a", "-Z"), MG_ERR_USAGE);
    assert_null(args);
}

static void help_is_made_from_the_same_table(void **state)
{
    (void)state;
    mg_buf text = { 0 };
    mg_help_command(&command, &text);
    for (int64_t i = 0; i < MG_ARRAY_COUNT(options); i++) {
        assert_non_null(strstr(text.data, options[i].name));
    }
    assert_non_null(strstr(text.data, "--[no-]copy-tokenizer"));
    assert_non_null(strstr(text.data, "tensors are always mapped"));
    mg_buf_release(&text);
}

static void the_command_line_can_be_given_again(void **state)
{
    (void)state;
    mg_error err;
    mg_args *args;
    mg_buf line = { NULL, 0, 0 };
    assert_ok(parse(&args, &err, 4, "a file", "--include-path", "it's", "-vv"), &err);
    mg_args_command_line(args, &line);
    assert_string_equal(line.data, "merganser try 'a file' --include-path 'it'\\''s' -vv");
    mg_buf_release(&line);
    mg_args_destroy(args);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_stand_anywhere_and_take_values_either_way),
        cmocka_unit_test(defaults_hold_and_flags_can_be_denied),
        cmocka_unit_test(the_command_line_can_be_given_again),
        cmocka_unit_test(flags_take_a_truth_and_switches_a_text_behind_an_equals_sign),
        cmocka_unit_test(words_behind_two_dashes_are_operands),
        cmocka_unit_test(mistakes_are_told_with_the_nearest_name),
        cmocka_unit_test(help_is_made_from_the_same_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
