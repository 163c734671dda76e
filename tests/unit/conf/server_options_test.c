/* The server's options: safe defaults, checks that involve several, and what is generated. */
// covers: conf/json_text conf/opt_doc conf/opt_doc_yaml
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "base/mem.h"
#include "conf/opt_doc.h"
#include "conf/server_options.h"
#include "conf/yaml.h"
#include "harness/golden.h"

struct world {
    struct tern_arena arena;
    struct tern_problems problems;
    struct tern_opt_load load;
    struct tern_server_options options;
    struct tern_buf out;
};

static void start(struct world *w)
{
    tern_problem_init(&w->problems, &w->arena);
    assert_int_equal(tern_opt_load_init(&w->load, &tern_server_options_table, &w->options,
                                        &w->arena, &w->problems, NULL),
                     TERN_OK);
}

static int setup(void **state)
{
    static struct world world;
    tern_arena_init(&world.arena, 4096, 8u << 20);
    tern_buf_init(&world.out, 1u << 20);
    start(&world);
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

static void read_file(struct world *w, struct tern_str text)
{
    const struct tern_tree *root =
        tern_yaml_read(text, TERN_YAML_FORM_YAML, TERN_STR("t.yaml"), &w->arena, &w->problems);
    if (root != NULL)
        tern_opt_read_tree(&w->load, TERN_STR("t.yaml"), root);
    tern_server_options_check(&w->load);
}

static const char *said(struct world *w)
{
    tern_buf_clear(&w->out);
    tern_problem_print(&w->problems, &w->out);
    tern_buf_add_char(&w->out, '\0');
    return w->out.p;
}

/* The effective configuration of an empty file, as a reviewed snapshot: a default that becomes less
 * safe shows up as a changed line here. */
static void defaults_are_the_reviewed_ones(void **state)
{
    struct world *w = *state;

    read_file(w, TERN_STR(""));
    assert_string_equal(said(w), "");
    tern_buf_clear(&w->out);
    tern_opt_doc_effective(&w->load, &w->out);
    golden_check("tests/data/conf/defaults.yaml", &w->out);
    const struct tern_listener_options *listener = w->options.listen.items;
    assert_int_equal(w->options.listen.n, 1);
    assert_true(listener->is_loopback);
    assert_false(listener->admin);
    assert_false(w->options.insecure);
}

static void the_effective_configuration_reads_back(void **state)
{
    struct world *w = *state;
    char first[32768];

    read_file(w, TERN_STR("listen:\n  - {address: 'unix:/tmp/a b,c', admin: true}\n"
                          "  - {address: '127.0.0.1:0', tls: {cert: c.pem, key: k.pem}}\n"
                          "model: {control: explicit, load: ['a', 'true', '12']}\n"
                          "http.body_max: 3KiB\ndrain: {grace: 90s}\ntls: {version_min: 1.3}\n"
                          "pid_file: \"x\\\"y: # z\"\n"));
    /* A comma ends an address in the short form: such a path can only be written as a map. */
    assert_string_equal(said(w), "");
    struct tern_listener_options *first_listener = w->options.listen.items;
    first_listener->address = TERN_STR("unix:/tmp/a b");
    tern_buf_clear(&w->out);
    tern_opt_doc_effective(&w->load, &w->out);
    assert_true(w->out.n < sizeof(first));
    memcpy(first, w->out.p, w->out.n);
    struct tern_str text = {first, w->out.n};
    start(w);
    read_file(w, text);
    assert_string_equal(said(w), "");
    struct tern_str again, before = text;
    tern_buf_clear(&w->out);
    tern_opt_doc_effective(&w->load, &w->out);
    struct tern_str after = tern_buf_str(&w->out);
    /* Line by line but for the origin, which is now the file everywhere. */
    struct tern_str a, b;
    while (tern_str_split(&before, '\n', &a) && tern_str_split(&after, '\n', &b)) {
        again = tern_str_ends(a, TERN_STR("  # file")) ? tern_str_make(a.p, a.n - 8) : a;
        assert_true(tern_str_starts(b, again));
    }
}

static void what_others_can_reach_needs_protection(void **state)
{
    struct world *w = *state;

    read_file(w, TERN_STR("listen: ['0.0.0.0:80', ':81', '192.168.1.4:82', '[::]:83', 'host:84']"));
    assert_int_equal(w->problems.n, 5);
    assert_non_null(strstr(said(w), "listen 0.0.0.0:80: other machines can reach this address"));
    start(w);
    read_file(w, TERN_STR("insecure: true\nlisten: ['0.0.0.0:80', ':81']"));
    assert_string_equal(said(w), "");
    start(w);
    read_file(w, TERN_STR("listen: ['127.0.0.1:80', '[::1]:81', 'localhost:82', 'unix:/x']"));
    assert_string_equal(said(w), "");
    start(w);
    read_file(w, TERN_STR("listen: ['0.0.0.0:80,cert=c,key=k,client_ca=a']"));
    assert_string_equal(said(w), "");
    start(w);
    read_file(w, TERN_STR("listen: ['0.0.0.0:80,cert=c,key=k']"));
    assert_int_equal(w->problems.n, 1);
}

/* Names that begin like a loopback address and are none. */
static void look_alikes_are_not_loopback(void **state)
{
    static const char *const names[] = {
        "127.evil.example:80", "127.0.0.1.example:80", "localhost.example:80",
        "127.0.0:80",          "127.0.0.256:80",
    };
    struct world *w = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(names); i++) {
        start(w);
        tern_opt_set(&w->load, tern_opt_find(&tern_server_options_table, TERN_STR("listen")),
                     TERN_OPT_FROM_FLAG, TERN_STR("flag --listen"), tern_str_of(names[i]));
        tern_server_options_check(&w->load);
        assert_int_equal(w->problems.n, 1);
    }
}

static void addresses_are_checked(void **state)
{
    static const char *const bad[] = {"",       "8080",  "a:b",   "a:65536",
                                      "::1:80", "[::1]", "unix:", "a:"};
    struct world *w = *state;

    for (size_t i = 0; i < TERN_COUNT_OF(bad); i++) {
        start(w);
        tern_buf_clear(&w->out);
        tern_buf_printf(&w->out, "listen: [{address: \"%s\"}]\ninsecure: true\n", bad[i]);
        struct tern_str text = tern_arena_copy(&w->arena, tern_buf_str(&w->out));
        read_file(w, text);
        assert_non_null(strstr(said(w), "expected HOST:PORT, [IPV6]:PORT or unix:PATH"));
    }
    start(w);
    read_file(w, TERN_STR("listen: ['[::1]:81', 'unix:/run/t.sock', '127.0.0.1:0']"));
    const struct tern_listener_options *l = w->options.listen.items;
    assert_string_equal(l[0].host.p, "::1");
    assert_int_equal(l[0].port, 81);
    assert_true(l[1].is_unix);
    assert_string_equal(l[1].host.p, "/run/t.sock");
    assert_int_equal(l[2].port, 0);
}

static void options_that_belong_together(void **state)
{
    struct world *w = *state;

    read_file(w, TERN_STR("listen: ['127.0.0.1:80,tls', '127.0.0.1:80']\n"
                          "model: {load: [a], version_policy: 'latest:0'}\n"
                          "http: {head_max: 1KiB}\n"));
    assert_string_equal(said(w),
                        "t.yaml:1:11: listen 127.0.0.1:80: TLS needs both tls.cert and tls.key\n"
                        "t.yaml:1:31: listen 127.0.0.1:80: the address is given twice\n"
                        "t.yaml:2:37: model.version_policy: expected latest, latest:N, all or "
                        "specific:N,N, got \"latest:0\"\n"
                        "t.yaml:2:15: model.load: only has a meaning with model.control explicit\n"
                        "http.field_max: must not be above http.head_max\n"
                        "http.uri_max: must not be above http.head_max\n");
}

/* Each option's names are its own, its default is within its bounds, and it has a help text. */
static void rows_are_sound(void **state)
{
    const struct tern_opt_table *table = &tern_server_options_table;
    char a[TERN_OPT_NAME_MAX], b[TERN_OPT_NAME_MAX];

    (void)state;
    for (uint32_t i = 0; i < table->n; i++) {
        const struct tern_opt *opt = &table->rows[i];
        assert_true(strlen(opt->name) + 6 < TERN_OPT_NAME_MAX);
        assert_non_null(opt->section);
        size_t n = strlen(opt->help);
        assert_true(n > 10 && opt->help[n - 1] == '.');
        assert_true(opt->offset < table->size);
        if ((opt->flags & TERN_OPT_RELOAD) != 0)
            assert_true(opt->type != TERN_OPT_STRING && opt->type != TERN_OPT_LIST &&
                        opt->type != TERN_OPT_RECORDS);
        /* No limit can be switched off: what bounds memory starts above zero. */
        if (opt->type == TERN_OPT_UINT || opt->type == TERN_OPT_SIZE)
            assert_true(opt->max > 0 && opt->max > opt->min);
        for (uint32_t j = 0; j < i; j++) {
            assert_string_not_equal(tern_opt_flag(opt, a), tern_opt_flag(&table->rows[j], b));
            assert_string_not_equal(tern_opt_env(opt, a), tern_opt_env(&table->rows[j], b));
            assert_true(opt->letter == 0 || opt->letter != table->rows[j].letter);
        }
    }
}

static void the_sample_is_current_and_says_the_defaults(void **state)
{
    struct world *w = *state;
    struct tern_server_options defaults;
    struct tern_opt_change change;

    read_file(w, TERN_STR(""));
    defaults = w->options;
    tern_buf_clear(&w->out);
    tern_opt_doc_sample(&tern_server_options_table, &w->out);
    golden_check("doc/tern.yaml", &w->out);
    /* Every commented option put to use changes nothing. */
    struct tern_buf active;
    struct tern_str rest = tern_buf_str(&w->out), line;
    uint32_t options = 0;
    tern_buf_init(&active, 1u << 20);
    while (tern_str_split(&rest, '\n', &line)) {
        if (line.n > 1 && line.p[0] == '#' && line.p[1] != ' ') {
            tern_buf_printf(&active, "%.*s\n", TERN_STR_ARG(tern_str_from(line, 1)));
            options++;
        }
    }
    start(w);
    struct tern_str text = tern_arena_copy(&w->arena, tern_buf_str(&active));
    tern_buf_fini(&active);
    read_file(w, text);
    assert_string_equal(said(w), "");
    for (uint32_t i = 0; i < tern_server_options_table.n; i++)
        options += (tern_server_options_table.rows[i].flags & TERN_OPT_FLAG) != 0;
    assert_int_equal(options, tern_server_options_table.n);
    assert_int_equal(
        tern_opt_doc_diff(&tern_server_options_table, &defaults, &w->options, &change, 1), 0);
}

/* Walks "http.body_max" down the schema's properties. */
static const json_t *schema_of(const json_t *schema, const char *name)
{
    struct tern_str rest = tern_str_of(name), part;

    while (schema != NULL && tern_str_split(&rest, '.', &part)) {
        char key[TERN_OPT_NAME_MAX];
        assert_true(tern_str_copy_z(part, key, sizeof(key)));
        schema = json_object_get(json_object_get(schema, "properties"), key);
    }
    return schema;
}

static void the_schema_is_json_and_knows_every_option(void **state)
{
    struct world *w = *state;

    tern_opt_doc_schema(&tern_server_options_table, &w->out);
    golden_check("doc/tern.schema.json", &w->out);
    json_t *schema = json_loadb(w->out.p, w->out.n, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(schema);
    const json_t *root = json_array_get(json_object_get(schema, "allOf"), 0);
    for (uint32_t i = 0; i < tern_server_options_table.n; i++) {
        const struct tern_opt *opt = &tern_server_options_table.rows[i];
        const json_t *row = schema_of(root, opt->name);
        assert_int_equal(row == NULL, (opt->flags & TERN_OPT_FLAG) != 0);
        if (row != NULL)
            assert_string_equal(json_string_value(json_object_get(row, "description")), opt->help);
    }
    json_decref(schema);
}

static void a_reload_knows_what_changed(void **state)
{
    struct world *w = *state;
    struct tern_server_options before;
    struct tern_opt_change changes[2];

    read_file(w, TERN_STR(""));
    before = w->options;
    start(w);
    read_file(w, TERN_STR("log.level: debug\nlisten: ['127.0.0.1:9']\nhttp.uri_max: 4KiB\n"));
    assert_int_equal(
        tern_opt_doc_diff(&tern_server_options_table, &before, &w->options, changes, 2), 3);
    assert_string_equal(changes[0].opt->name, "listen");
    assert_true(changes[0].needs_restart);
    assert_string_equal(changes[1].opt->name, "http.uri_max");
    assert_false(changes[1].needs_restart);
    tern_opt_doc_adopt(&tern_server_options_table, &before, &w->options);
    assert_int_equal(before.http.uri_max, 4096);
    assert_int_equal(before.log.level, TERN_LOG_LEVEL_OPTION_DEBUG);
    assert_int_equal(
        tern_opt_doc_diff(&tern_server_options_table, &before, &w->options, changes, 2), 1);
    assert_string_equal(changes[0].opt->name, "listen");
}

static void version_policies(void **state)
{
    static const int64_t versions[] = {1, 3, 4, 9};
    struct tern_version_policy p;
    bool served[4];

    (void)state;
    assert_true(tern_version_policy_parse(TERN_STR("latest"), &p));
    assert_int_equal(tern_version_policy_apply(&p, versions, 4, served), 1);
    assert_true(served[3] && !served[2]);
    assert_true(tern_version_policy_parse(TERN_STR("latest:2"), &p));
    assert_int_equal(tern_version_policy_apply(&p, versions, 4, served), 2);
    assert_true(served[3] && served[2] && !served[1]);
    assert_true(tern_version_policy_parse(TERN_STR("all"), &p));
    assert_int_equal(tern_version_policy_apply(&p, versions, 4, served), 4);
    assert_true(tern_version_policy_parse(TERN_STR("specific:3, 7"), &p));
    assert_int_equal(tern_version_policy_apply(&p, versions, 4, served), 1);
    assert_true(served[1]);
    static const char *const bad[] = {"",       "latest:",  "latest:x",   "all:1",
                                      "newest", "specific", "specific:0", "specific:1,,2"};
    for (size_t i = 0; i < TERN_COUNT_OF(bad); i++)
        assert_false(tern_version_policy_parse(tern_str_of(bad[i]), &p));
}

static void resources_have_a_name_and_numbers(void **state)
{
    struct world *w = *state;

    read_file(w, TERN_STR("sched.resources: ['R:4', 'a:b:2', 'G:1:0', 'x:y:3:2']"));
    assert_string_equal(said(w), "");
    const struct tern_resource_options *rows = w->options.sched.resource_rows;
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
        start(w);
        read_file(w, tern_arena_printf(&w->arena, "sched.resources: ['%s']", bad[i]));
        if (strstr(said(w), "expected NAME:COUNT or NAME:COUNT:DEVICE") == NULL)
            fail_msg("%s is taken", bad[i]);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(defaults_are_the_reviewed_ones),
        TEST(the_effective_configuration_reads_back),
        TEST(what_others_can_reach_needs_protection),
        TEST(look_alikes_are_not_loopback),
        TEST(addresses_are_checked),
        TEST(options_that_belong_together),
        TEST(rows_are_sound),
        TEST(the_sample_is_current_and_says_the_defaults),
        TEST(the_schema_is_json_and_knows_every_option),
        TEST(a_reload_knows_what_changed),
        TEST(version_policies),
        TEST(resources_have_a_name_and_numbers),
        TEST(resources_have_a_name_and_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
