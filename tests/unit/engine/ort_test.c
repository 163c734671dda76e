/* Finding the library, trusting it, and its errors in our words. The .c file is included to reach
 * the tests of a table that is not what it should be. */
#include "engine/onnx/ort.c"

#include "onnx_fixture.h"

static void paths_are_cut_to_their_last_part(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", ""},
        {"no path", "no path"},
        {"/a/b/c.onnx", "c.onnx"},
        {"Load model from /srv/m/1/model.onnx failed:Fatal",
         "Load model from model.onnx failed:Fatal"},
        {"'/a/b' and (/c/d/e), \"/f\"", "'b' and (e), \"f\""},
        {"in/side a/b stays", "in/side a/b stays"},
        {"/src/core/x.cc:12 Foo::Bar /", "x.cc:12 Foo::Bar "},
        {"ends with /dir/", "ends with "},
        {"3 / 4", "3  4"},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        char text[128];
        snprintf(text, sizeof(text), "%s", rows[i][0]);
        tern_ort_strip_paths(text);
        assert_string_equal(text, rows[i][1]);
    }
}

static void versions_are_read(void **state)
{
    (void)state;
    uint32_t minor = 0;
    assert_true(parse_minor("1.30.0", &minor));
    assert_int_equal(minor, 30);
    assert_true(parse_minor("1.21.0+dfsg", &minor));
    assert_int_equal(minor, 21);
    assert_false(parse_minor("2.0.0", &minor));
    assert_false(parse_minor("1", &minor));
    assert_false(parse_minor("1.x.0", &minor));
    assert_false(parse_minor("", &minor));
}

/* ---- libraries that lie ---- */

static int wrong_code(const struct ort_status *status)
{
    (void)status;
    return ORT_OK;
}

static struct ort_status *make_status(int code, const char *text)
{
    static char something;
    (void)code;
    (void)text;
    return (struct ort_status *)(void *)&something;
}

static struct ort_status *make_none(int code, const char *text)
{
    (void)code;
    (void)text;
    return NULL;
}

static const char *other_text(const struct ort_status *status)
{
    (void)status;
    return "something else";
}

static int right_code(const struct ort_status *status)
{
    (void)status;
    return ORT_NO_MODEL;
}

static void drop_status(struct ort_status *status)
{
    (void)status;
}

static void a_table_that_is_not_ours_fails_the_self_test(void **state)
{
    (void)state;
    struct ort_api api = {.CreateStatus = make_none,
                          .GetErrorCode = wrong_code,
                          .GetErrorMessage = other_text,
                          .ReleaseStatus = drop_status};
    assert_false(self_test(&api));
    api.CreateStatus = make_status;
    assert_false(self_test(&api));
    api.GetErrorCode = right_code;
    assert_false(self_test(&api));
}

/* Tests that change the variable leave it as it was. */
static int keep_variable(void **state)
{
    const char *value = getenv("TERN_ONNXRUNTIME");
    *state = value == NULL ? NULL : tern_mem_strdup(tern_str_of(value));
    return 0;
}

static int restore_variable(void **state)
{
    if (*state == NULL)
        unsetenv("TERN_ONNXRUNTIME");
    else
        setenv("TERN_ONNXRUNTIME", *state, 1);
    tern_mem_free(*state);
    return 0;
}

static void a_named_library_is_the_only_candidate(void **state)
{
    (void)state;
    struct tern_err err = {0};
    const struct tern_ort *ort = NULL;
    const struct tern_onnx_config missing = {.library = "/none/such/libonnxruntime.so"};
    const struct tern_onnx_config other = {.library = "libm.so.6"};
    const struct tern_onnx_config usual = {.library = NULL};

    assert_int_equal(tern_ort_configure(&missing, &err), TERN_OK);
    assert_int_equal(tern_ort_find(&ort, &err), TERN_UNAVAILABLE);
    assert_non_null(strstr(err.text, "the configured library"));
    assert_null(strstr(err.text, "/none"));
    assert_int_equal(tern_ort_configure(&other, &err), TERN_OK);
    assert_int_equal(tern_ort_start(&ort, &err), TERN_UNAVAILABLE);
    assert_non_null(strstr(err.text, "OrtGetApiBase"));
    assert_null(ort);

    assert_int_equal(tern_ort_configure(&usual, &err), TERN_OK);
    setenv("TERN_ONNXRUNTIME", "/none/such/elsewhere.so", 1);
    assert_int_equal(tern_ort_find(&ort, &err), TERN_UNAVAILABLE);
    assert_non_null(strstr(err.text, "TERN_ONNXRUNTIME"));
}

static void without_it_one_line_says_how_to_get_it(void **state)
{
    (void)state;
    struct tern_err err = {0};
    const struct tern_ort *ort = NULL;
    unsetenv("TERN_ONNXRUNTIME");
    if (tern_ort_find(&ort, &err) == TERN_OK)
        return; /* then the system has the library, and there is nothing to say */
    assert_non_null(strstr(err.text, "make onnxruntime"));
    assert_non_null(strstr(err.text, "TERN_ONNXRUNTIME"));
    assert_null(strchr(err.text, '\n'));
}

/* ---- the real one ---- */

static void its_errors_become_ours(void **state)
{
    NEEDS_LIBRARY();
    static const struct {
        int from;
        enum tern_code to;
    } rows[] = {
        {ORT_FAIL, TERN_INTERNAL},
        {ORT_INVALID_ARGUMENT, TERN_INVALID_ARGUMENT},
        {ORT_NO_SUCHFILE, TERN_NOT_FOUND},
        {ORT_RUNTIME_EXCEPTION, TERN_INTERNAL},
        {ORT_INVALID_PROTOBUF, TERN_INVALID_ARGUMENT},
        {ORT_NOT_IMPLEMENTED, TERN_UNIMPLEMENTED},
        {ORT_INVALID_GRAPH, TERN_INVALID_ARGUMENT},
        {99, TERN_INTERNAL},
    };
    const struct tern_ort *ort = NULL;
    struct tern_err err = {0};

    assert_int_equal(tern_ort_find(&ort, &err), TERN_OK);
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct ort_status *status = ort->api.CreateStatus(rows[i].from, "bad /a/b.onnx");
        assert_int_equal(tern_ort_check(ort, status, "doing", &err), rows[i].to);
        assert_string_equal(err.text, "doing: bad b.onnx");
    }
    assert_int_equal(tern_ort_check(ort, NULL, "doing", &err), TERN_OK);
    assert_int_equal(tern_ort_fail(ort, NULL, "doing", &err), TERN_OK);
}

static void its_environment_starts_and_stops(void **state)
{
    NEEDS_LIBRARY();
    const struct tern_ort *ort = NULL;
    struct tern_err err = {0};

    for (int i = 0; i < 2; i++) {
        assert_int_equal(start_library(&ort, &err), TERN_OK);
        assert_non_null(ort->env);
        assert_int_equal(tern_ort_share_arena(ort, 1, &err), TERN_OK);
        assert_int_equal(tern_ort_share_arena(ort, 1, &err), TERN_OK);
        assert_int_equal(tern_ort_share_arena(ort, 0, &err), TERN_FAILED_PRECONDITION);
        tern_ort_stop();
        assert_null(ort->env);
        tern_ort_stop();
    }
}

static void the_library_reports_to_nobody_unless_asked(void **state)
{
    (void)state;
    const struct tern_onnx_config config = {.library = NULL};
    unsetenv("ORT_DISABLE_TELEMETRY");
    assert_int_equal(tern_ort_configure(&config, NULL), TERN_OK);
    assert_string_equal(getenv("ORT_DISABLE_TELEMETRY"), "1");
    setenv("ORT_DISABLE_TELEMETRY", "0", 1); /* the operator's own wish */
    assert_int_equal(tern_ort_configure(&config, NULL), TERN_OK);
    assert_string_equal(getenv("ORT_DISABLE_TELEMETRY"), "0");
    unsetenv("ORT_DISABLE_TELEMETRY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_cut_to_their_last_part),
        cmocka_unit_test(versions_are_read),
        cmocka_unit_test(a_table_that_is_not_ours_fails_the_self_test),
        cmocka_unit_test_setup_teardown(a_named_library_is_the_only_candidate, keep_variable,
                                        restore_variable),
        cmocka_unit_test_setup_teardown(without_it_one_line_says_how_to_get_it, keep_variable,
                                        restore_variable),
        cmocka_unit_test(its_errors_become_ours),
        cmocka_unit_test(its_environment_starts_and_stops),
        cmocka_unit_test(the_library_reports_to_nobody_unless_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
