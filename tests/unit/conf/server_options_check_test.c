/* Options that need each other, and values that are made of parts. */
#include <string.h>
#include "harness/options_rig.h"

static void what_others_can_reach_needs_protection(void **state)
{
    struct options_rig *rig = *state;

    options_rig_read(
        rig, TERN_STR("listen: ['0.0.0.0:80', ':81', '192.168.1.4:82', '[::]:83', 'host:84']"));
    assert_int_equal(rig->problems.n, 5);
    assert_non_null(
        strstr(options_rig_said(rig), "listen 0.0.0.0:80: other machines can reach this address"));
    options_rig_start(rig);
    options_rig_read(rig, TERN_STR("insecure: true\nlisten: ['0.0.0.0:80', ':81']"));
    assert_string_equal(options_rig_said(rig), "");
    options_rig_start(rig);
    options_rig_read(rig,
                     TERN_STR("listen: ['127.0.0.1:80', '[::1]:81', 'localhost:82', 'unix:/x']"));
    assert_string_equal(options_rig_said(rig), "");
    options_rig_start(rig);
    options_rig_read(rig, TERN_STR("listen: ['0.0.0.0:80,cert=c,key=k,client_ca=a']"));
    assert_string_equal(options_rig_said(rig), "");
    options_rig_start(rig);
    options_rig_read(rig, TERN_STR("listen: ['0.0.0.0:80,cert=c,key=k']"));
    assert_int_equal(rig->problems.n, 1);
}

/* Names that begin like a loopback address and are none. */
static void look_alikes_are_not_loopback(void **state)
{
    static const char *const names[] = {
        "127.evil.example:80", "127.0.0.1.example:80", "localhost.example:80",
        "127.0.0:80",          "127.0.0.256:80",
    };
    struct options_rig *rig = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(names); i++) {
        options_rig_start(rig);
        tern_opt_set(&rig->load, tern_opt_find(&tern_server_options_table, TERN_STR("listen")),
                     TERN_OPT_FROM_FLAG, TERN_STR("flag --listen"), tern_str_of(names[i]));
        tern_server_options_check(&rig->load);
        assert_int_equal(rig->problems.n, 1);
    }
}

static void addresses_are_checked(void **state)
{
    static const char *const bad[] = {"",       "8080",  "a:b",   "a:65536",
                                      "::1:80", "[::1]", "unix:", "a:"};
    struct options_rig *rig = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(bad); i++) {
        options_rig_start(rig);
        tern_buf_clear(&rig->out);
        tern_buf_printf(&rig->out, "listen: [{address: \"%s\"}]\ninsecure: true\n", bad[i]);
        struct tern_str text = tern_arena_copy(&rig->arena, tern_buf_str(&rig->out));
        options_rig_read(rig, text);
        assert_non_null(
            strstr(options_rig_said(rig), "expected HOST:PORT, [IPV6]:PORT or unix:PATH"));
    }
    options_rig_start(rig);
    options_rig_read(rig, TERN_STR("listen: ['[::1]:81', 'unix:/run/t.sock', '127.0.0.1:0']"));
    const struct tern_listener_options *l = rig->options.listen.items;
    assert_string_equal(l[0].host.p, "::1");
    assert_int_equal(l[0].port, 81);
    assert_true(l[1].is_unix);
    assert_string_equal(l[1].host.p, "/run/t.sock");
    assert_int_equal(l[2].port, 0);
}

static void options_that_belong_together(void **state)
{
    struct options_rig *rig = *state;

    options_rig_read(rig, TERN_STR("listen: ['127.0.0.1:80,tls', '127.0.0.1:80']\n"
                                   "model: {load: [a], version_policy: 'latest:0'}\n"
                                   "http: {head_max: 1KiB}\n"));
    assert_string_equal(options_rig_said(rig),
                        "t.yaml:1:11: listen 127.0.0.1:80: TLS needs both tls.cert and tls.key\n"
                        "t.yaml:1:31: listen 127.0.0.1:80: the address is given twice\n"
                        "t.yaml:2:37: model.version_policy: expected latest, latest:N, all or "
                        "specific:N,N, got \"latest:0\"\n"
                        "t.yaml:2:15: model.load: only has a meaning with model.control explicit\n"
                        "http.field_max: must not be above http.head_max\n"
                        "http.uri_max: must not be above http.head_max\n");
}

static void resources_have_a_name_and_numbers(void **state)
{
    struct options_rig *rig = *state;

    options_rig_read(rig, TERN_STR("sched.resources: ['R:4', 'a:b:2', 'G:1:0', 'x:y:3:2']"));
    assert_string_equal(options_rig_said(rig), "");
    const struct tern_resource_options *rows = rig->options.sched.resource_rows;
    assert_true(tern_str_eq(rows[0].name, TERN_STR("R")));
    assert_int_equal(rows[0].count, 4);
    assert_int_equal(rows[0].device, -1);
    assert_true(tern_str_eq(rows[1].name, TERN_STR("a:b")));
    assert_int_equal(rows[1].count, 2);
    assert_int_equal(rows[2].count, 1);
    assert_int_equal(rows[2].device, 0);
    assert_true(tern_str_eq(rows[3].name, TERN_STR("x:y")));
    assert_int_equal(rows[3].device, 2);
    static const char *const bad[] = {"R", "R:", ":3", "R:x", "R:-1", "R:4294967296", ":1:2"};
    for (size_t i = 0; i < TERN_COUNT_OF(bad); i++) {
        options_rig_start(rig);
        options_rig_read(rig, tern_arena_printf(&rig->arena, "sched.resources: ['%s']", bad[i]));
        if (strstr(options_rig_said(rig), "expected NAME:COUNT or NAME:COUNT:DEVICE") == NULL)
            fail_msg("%s is taken", bad[i]);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, options_rig_setup, options_rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_others_can_reach_needs_protection),
        TEST(look_alikes_are_not_loopback),
        TEST(addresses_are_checked),
        TEST(options_that_belong_together),
        TEST(resources_have_a_name_and_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
