/* Triton's command line read as ours: the table against the options there are, and what each kind
 * of flag becomes. */
// covers: cli/triton_flags cli/guard
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/persona_triton.h"
#include "cli/triton_flags.h"
#include "conf/server_options.h"
#include "harness/golden.h"

struct world {
    struct tern_arena arena;
    struct tern_problems problems;
    struct tern_opt_load load;
    struct tern_opt_rest rest;
    struct tern_server_options options;
    struct tern_buf out;
};

static int setup(void **state)
{
    static struct world world;
    tern_arena_init(&world.arena, 4096, 8u << 20);
    tern_buf_init(&world.out, 1u << 20);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    tern_buf_fini(&w->out);
    tern_arena_fini(&w->arena);
    return 0;
}

static void read_in(struct world *w, const char *variable, int argc, const char *const *argv)
{
    char *copy[24] = {(char *)(uintptr_t) "--persona=triton"};
    char *environment[2] = {(char *)(uintptr_t)variable, NULL};

    for (int i = 0; i < argc; i++)
        copy[i + 1] = (char *)(uintptr_t)argv[i];
    tern_problem_init(&w->problems, &w->arena);
    tern_commands_read_server(argc + 1, copy, environment, &w->options, &w->load, &w->rest,
                              &w->arena, &w->problems);
}
#define READ_IN(w, variable, ...)                                             \
    read_in(w, variable, (int)TERN_COUNT_OF(((const char *[]){__VA_ARGS__})), \
            (const char *[]){__VA_ARGS__})
#define READ(w, ...) READ_IN(w, NULL, __VA_ARGS__)

static const char *said(struct world *w)
{
    tern_buf_clear(&w->out);
    tern_problem_print(&w->problems, &w->out);
    tern_buf_add_char(&w->out, '\0');
    return w->out.p;
}

static const char *printed(struct world *w, const char *name)
{
    tern_buf_clear(&w->out);
    tern_opt_print(tern_opt_find(&tern_server_options_table, tern_str_of(name)), &w->options,
                   &w->out);
    tern_buf_add_char(&w->out, '\0');
    return w->out.p;
}

static void every_row_has_its_option_and_its_reason(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < tern_triton_flags_n; i++) {
        const struct tern_triton_flag *flag = &tern_triton_flags[i];
        size_t n = strlen(flag->help);
        if (n == 0 || flag->help[n - 1] != '.')
            fail_msg("--%s: its help is no sentence", flag->name);
        if (flag->option != NULL &&
            tern_opt_find(&tern_server_options_table, tern_str_of(flag->option)) == NULL)
            fail_msg("--%s: there is no option %s", flag->name, flag->option);
        bool needs_option =
            flag->take == TERN_TRITON_OPTION || flag->take == TERN_TRITON_OPTION_NOT;
        if (needs_option && flag->option == NULL)
            fail_msg("--%s: names no option", flag->name);
        if ((flag->take == TERN_TRITON_REFUSE) != (flag->harmless != NULL))
            fail_msg("--%s: what is harmless is for refused flags", flag->name);
        for (uint32_t j = i + 1; j < tern_triton_flags_n; j++) {
            const struct tern_triton_flag *later = &tern_triton_flags[j];
            if (strcmp(flag->name, later->name) == 0 && flag->key == NULL)
                fail_msg("--%s: a row behind the one for any key", flag->name);
        }
    }
}

static void without_flags_the_ports_are_triton_s(void **state)
{
    struct world *w = *state;
    READ(w, "--model-repository=/models");
    assert_string_equal(said(w), "");
    assert_non_null(strstr(printed(w, "listen"), "0.0.0.0:8000,admin,dialects=oip,triton_status"));
    assert_non_null(strstr(printed(w, "listen"), ";0.0.0.0:8001,admin,dialects=oip_grpc"));
    assert_non_null(strstr(printed(w, "listen"), ";0.0.0.0:8002,dialects=admin,triton_status"));
    assert_string_equal(printed(w, "insecure"), "true");
    assert_string_equal(printed(w, "model.exit_on_error"), "true");
    assert_int_equal(w->rest.n, 1);
    assert_string_equal(w->rest.args[0].p, "/models");
    assert_int_equal(w->options.persona, TERN_PERSONA_TRITON);
}

static void flags_in_all_spellings(void **state)
{
    struct world *w = *state;
    READ(w, "--model-repository", "/a", "--model-store=/b", "--http-port", "9000",
         "--http-address=::1", "--allow-grpc=0", "--allow-metrics", "--metrics-port=9002",
         "--strict-readiness", "false", "--model-control-mode=explicit", "--load-model=x",
         "--load-model", "y", "--exit-timeout-secs=5", "--exit-on-error=FALSE",
         "--http-max-input-size=1048576", "--drain-grace=7s");
    assert_string_equal(said(w), "");
    assert_string_equal(printed(w, "listen"), "[::1]:9000,admin,dialects=oip,triton_status;"
                                              "[::1]:9002,dialects=admin,triton_status");
    assert_string_equal(printed(w, "model.strict_readiness"), "false");
    assert_string_equal(printed(w, "model.control"), "explicit");
    assert_string_equal(printed(w, "model.load"), "x,y");
    assert_string_equal(printed(w, "drain.grace"), "7s"); /* ours, and the last word */
    assert_string_equal(printed(w, "model.exit_on_error"), "false");
    assert_string_equal(printed(w, "http.body_max"), "1MiB");
    assert_int_equal(w->rest.n, 2);
    assert_string_equal(w->rest.args[1].p, "/b");
}

static void settings_within_a_flag(void **state)
{
    struct world *w = *state;
    READ(w, "--trace-config", "rate=100", "--trace-config=count=-1", "--trace-config=level=TENSORS",
         "--trace-config=level=TIMESTAMPS", "--trace-config=triton,file=/t.json",
         "--trace-config=opentelemetry,resource=service.name=a=b",
         "--trace-config=opentelemetry,bsp_schedule_delay=1500",
         "--metrics-config=summary_latencies=true", "--metrics-config=summary_quantiles=0.5:0.05",
         "--backend-config=tensorflow,version=2", "--backend-config", "default-max-batch-size=16",
         "--grpc-keepalive-time=2147483647", "--strict-model-config=1",
         "--rate-limit=execution_count", "--rate-limit-resource=R1:4",
         "--rate-limit-resource=R2:2:0");
    assert_string_equal(said(w), "");
    assert_string_equal(printed(w, "trace.rate"), "100");
    assert_string_equal(printed(w, "trace.count"), "0");
    assert_string_equal(printed(w, "trace.level"), "TENSORS,TIMESTAMPS");
    assert_string_equal(printed(w, "trace.file"), "/t.json");
    assert_string_equal(printed(w, "trace.otlp.resource"), "service.name=a=b");
    assert_string_equal(printed(w, "trace.otlp.delay"), "1500ms");
    assert_string_equal(printed(w, "metrics.summaries"), "true");
    assert_string_equal(printed(w, "model.default_max_batch_size"), "16");
    assert_string_equal(printed(w, "model.auto_complete"), "false");
    assert_string_equal(printed(w, "sched.rate_limit"), "execution_count");
    assert_string_equal(printed(w, "sched.resources"), "R1:4,R2:2:0");
    assert_string_equal(printed(w, "sched.batching"), "configured");
    assert_string_equal(printed(w, "http2.keepalive_time"), "2147483647ms");
    assert_true(
        tern_str_eq(w->options.persona_ignored, TERN_STR("--metrics-config, --backend-config")));
    READ(w, "--trace-config=ratte=1", "--trace-config=rate=x", "--trace-config=rate=0");
    assert_string_equal(said(w), "flag --trace-config: no such setting: \"ratte=1\"\n"
                                 "flag --trace-config: expected a number, got \"x\"\n"
                                 "flag --trace-config: expected a number from 1 to 2147483647, got "
                                 "\"0\"\n");
}

static void levels_of_the_log(void **state)
{
    static const struct {
        const char *flags[2];
        const char *level;
    } rows[] = {
        {{"--log-info=true", "--log-verbose=0"}, "info"},
        {{"--log-info=true", "--log-verbose=1"}, "debug"},
        {{"--log-info=false", "--log-error=0"}, "warn"},
        {{"--log-info=0", "--log-warning=0"}, "error"},
    };
    struct world *w = *state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        READ(w, rows[i].flags[0], rows[i].flags[1], "--log-format=ISO8601");
        assert_string_equal(said(w), "");
        assert_string_equal(printed(w, "log.level"), rows[i].level);
        assert_string_equal(printed(w, "log.format"), "text");
    }
}

static void restricted_apis(void **state)
{
    struct world *w = *state;
    READ(w, "--http-restricted-api=model-repository,health:admin-key=a,b;c=d",
         "--grpc-restricted-protocol", "inference : key = value");
    assert_string_equal(said(w), "");
    assert_string_equal(printed(w, "restrict"),
                        "model-repository+health,header=admin-key,value=(hidden),over=http;"
                        "inference,header=triton-grpc-protocol-key,value=(hidden),over=grpc");
    const struct tern_restrict_options *rules = w->options.restricts.items;
    assert_string_equal(rules[0].value.p, "a,b;c=d");
    assert_string_equal(rules[1].value.p, "value");
}

static void secrets_are_not_said(void **state)
{
    struct world *w = *state;
    READ(w, "--http-restricted-api=helth:key=sesame", "--http-restricted-api=sesame",
         "--grpc-restricted-protocol=health:a b=sesame");
    assert_non_null(strstr(said(w), "flag --http-restricted-api: restrict: no such family"));
    assert_null(strstr(said(w), "sesame"));
}

static void what_has_no_effect_is_told(void **state)
{
    struct world *w = *state;
    READ(w, "--cuda-memory-pool-byte-size=0:1024", "--host-policy=a,b=c",
         "--cuda-memory-pool-byte-size=1:1024", "--allow-sagemaker=false",
         "--grpc-infer-thread-count", "4");
    assert_string_equal(said(w), "");
    assert_true(tern_str_eq(w->options.persona_ignored, TERN_STR("--grpc-infer-thread-count, "
                                                                 "--cuda-memory-pool-byte-size, "
                                                                 "--host-policy")));
    assert_true(tern_str_eq(w->options.server_name, TERN_STR("triton")));
    READ(w, "--id=mine", "--repository-poll-secs=0"); /* as scripts say it without polling */
    assert_string_equal(said(w), "");
    assert_true(tern_str_eq(w->options.server_name, TERN_STR("mine")));
}

static void every_mistake_is_told_with_its_flag(void **state)
{
    struct world *w = *state;
    READ(w, "--http-port=x", "--metrics-port=70000", "--allow-http=maybe", "--htp-port=3",
         "--allow-sagemaker=true", "--model-control-mode=all", "--repository-poll-secs=90000",
         "--http-header-forward-pattern=((", "--listn=x", "--load-model");
    assert_string_equal(
        said(w),
        "flag --http-port: expected a number, got \"x\"\n"
        "flag --metrics-port: expected a port from 0 to 65535, got \"70000\"\n"
        "flag --allow-http: expected true, false, 1 or 0, got \"maybe\"\n"
        "flag --htp-port: no such option, did you mean --http-port?\n"
        "flag --allow-sagemaker: SageMaker's endpoints are not served yet.\n"
        "flag --model-control-mode: expected none, poll or explicit, got \"all\"\n"
        "flag --load-model: needs a value\n"
        "flag --listn: no such option, did you mean --listen?\n"
        "flag --http-header-forward-pattern: http.header_forward: the pattern \"((\" is wrong at "
        "byte 2: missing closing parenthesis\n");
}

static void there_is_one_cache(void **state)
{
    struct world *w = *state;
    READ(w, "--cache-config=local,size=8192");
    assert_string_equal(said(w), "");
    READ(w, "--cache-config", "redis,host=h", "--cache-config", "redis,port=80");
    assert_string_equal(said(w), "");
    READ(w, "--cache-config=local,size=8192", "--cache-config=redis,key=value");
    assert_non_null(strstr(said(w), "flag --cache-config: found multiple cache configurations"));
    READ(w, "--response-cache-byte-size=12345", "--cache-config=local,size=67890");
    assert_non_null(strstr(said(w), "flag --cache-config: Incompatible flags"));
    READ(w, "--cache-config=redis,port=80");
    assert_non_null(strstr(said(w), "redis: Must at a minimum specify a host"));
}

static void vertex_is_refused_unless_turned_off(void **state)
{
    struct world *w = *state;
    READ_IN(w, "AIP_MODE=PREDICTION", "--id=x");
    assert_non_null(strstr(said(w), "environment AIP_MODE: asks for Vertex AI's endpoints"));
    READ_IN(w, "AIP_MODE=PREDICTION", "--allow-vertex-ai=false");
    assert_string_equal(said(w), "");
}

static void own_addresses_are_kept(void **state)
{
    struct world *w = *state;
    READ(w, "--listen=127.0.0.1:1234");
    assert_string_equal(printed(w, "listen"), "127.0.0.1:1234");
    READ_IN(w, "TERN_LISTEN=127.0.0.1:1234", "--id=x");
    assert_string_equal(printed(w, "listen"), "127.0.0.1:1234");
    READ(w, "--listen=127.0.0.1:1234", "--http-port=80", "--allow-grpc=false",
         "--allow-metrics=false");
    assert_string_equal(printed(w, "listen"),
                        "127.0.0.1:1234;0.0.0.0:80,admin,dialects=oip,triton_status");
}

static void is_wanted_by_flag_or_variable(void **state)
{
    char flag[] = "--persona", triton[] = "triton", none[] = "none", dashes[] = "--";
    char variable[] = "TERN_PERSONA=triton";
    char *no_environment[] = {NULL}, *environment[] = {variable, NULL};

    (void)state;
    assert_true(tern_triton_is_wanted(2, (char *[]){flag, triton}, no_environment));
    assert_false(tern_triton_is_wanted(2, (char *[]){flag, none}, environment));
    assert_false(tern_triton_is_wanted(3, (char *[]){dashes, flag, triton}, no_environment));
    assert_true(tern_triton_is_wanted(0, no_environment, environment));
    assert_false(tern_triton_is_wanted(0, no_environment, no_environment));
}

static void the_page_is_current(void **state)
{
    struct world *w = *state;
    tern_help_triton_page(&w->out);
    golden_check("doc/triton-flags.md", &w->out);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_row_has_its_option_and_its_reason),
        TEST(without_flags_the_ports_are_triton_s),
        TEST(flags_in_all_spellings),
        TEST(settings_within_a_flag),
        TEST(levels_of_the_log),
        TEST(restricted_apis),
        TEST(secrets_are_not_said),
        TEST(what_has_no_effect_is_told),
        TEST(every_mistake_is_told_with_its_flag),
        TEST(there_is_one_cache),
        TEST(vertex_is_refused_unless_turned_off),
        TEST(own_addresses_are_kept),
        TEST(is_wanted_by_flag_or_variable),
        TEST(the_page_is_current),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
