#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <jansson.h>
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/models.h"
#include "harness/tiny_server.h"

static char out_text[8192];
static char log_text[8192];

static int run(const struct tern_models_options *options, const struct tern_str *names, uint32_t n)
{
    FILE *out = fmemopen(out_text, sizeof(out_text), "w");
    FILE *log = fmemopen(log_text, sizeof(log_text), "w");

    memset(out_text, 0, sizeof(out_text));
    memset(log_text, 0, sizeof(log_text));
    int status = tern_models_act(options, names, n, out, log);
    fclose(out);
    fclose(log);
    return status;
}

static struct tern_models_options options_for(const struct tiny_server *server)
{
    return (struct tern_models_options){.url = tern_str_of(server->url),
                                        .timeout_ns = 5 * (uint64_t)TERN_NS_PER_S};
}

static void test_table(void **state)
{
    struct tiny_server server;

    (void)state;
    tiny_server_start(&server);
    struct tern_models_options options = options_for(&server);
    assert_int_equal(run(&options, NULL, 0), TERN_EXIT_OK);
    /* Of version 1 the server says no metadata; the reason cannot colour the terminal. */
    assert_string_equal(out_text, "model   version  state        inputs         outputs\n"
                                  "double  1        READY\n"
                                  "double  3        READY        x FP32 [-1,2]  y FP32 [-1,2]\n"
                                  "broken  1        UNAVAILABLE\n"
                                  "\n"
                                  "broken 1: the file is ?[31mempty\n");
    server.plain_list = 1; /* a listener that does not show the index */
    assert_int_equal(run(&options, NULL, 0), TERN_EXIT_OK);
    assert_string_equal(out_text, "model   version  state  inputs         outputs\n"
                                  "double  1        READY\n"
                                  "double  3        READY  x FP32 [-1,2]  y FP32 [-1,2]\n");
    tiny_server_stop(&server);
}

static void test_names_and_json(void **state)
{
    struct tiny_server server;
    const struct tern_str broken = TERN_STR("broken");
    const struct tern_str nobody = TERN_STR("nobody");

    (void)state;
    tiny_server_start(&server);
    struct tern_models_options options = options_for(&server);
    options.form = TERN_OUTPUT_FORM_JSON;
    assert_int_equal(run(&options, &broken, 1), TERN_EXIT_OK);
    json_t *rows = json_loads(out_text, 0, NULL);
    assert_int_equal(json_array_size(rows), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(rows, 0), "state")),
                        "UNAVAILABLE");
    json_decref(rows);
    assert_int_equal(run(&options, &nobody, 1), TERN_EXIT_FAILED);
    assert_non_null(strstr(log_text, "no model 'nobody'"));
    tiny_server_stop(&server);
}

static void test_actions_that_fail(void **state)
{
    struct tiny_server server;
    struct tern_str name = TERN_STR("double");
    struct tern_str bad = TERN_STR("../x");

    (void)state;
    tiny_server_start(&server);
    struct tern_models_options options = options_for(&server);
    options.load = (struct tern_opt_list){&name, 1}; /* the tiny server cannot */
    assert_int_equal(run(&options, NULL, 0), TERN_EXIT_FAILED);
    assert_non_null(strstr(log_text, "status 404: Request for unknown model"));
    options.load = (struct tern_opt_list){&bad, 1};
    assert_int_equal(run(&options, NULL, 0), TERN_EXIT_USAGE);
    options.load.n = 0;
    options.config = true;
    assert_int_equal(run(&options, NULL, 0), TERN_EXIT_USAGE);
    options.config = false;
    tiny_server_stop(&server);
    assert_int_equal(run(&options, NULL, 0), TERN_EXIT_UNREACHABLE);
    assert_non_null(strstr(log_text, "tern serve PATH"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_names_and_json),
        cmocka_unit_test(test_actions_that_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
