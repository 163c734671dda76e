/* The server's options: safe defaults, sound rows, and what is generated. */
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
#include "harness/golden.h"
#include "harness/options_rig.h"

/* The effective configuration of an empty file, as a reviewed snapshot: a default that becomes less
 * safe shows up as a changed line here. */
static void defaults_are_the_reviewed_ones(void **state)
{
    struct options_rig *rig = *state;

    options_rig_read(rig, TERN_STR(""));
    assert_string_equal(options_rig_said(rig), "");
    tern_buf_clear(&rig->out);
    tern_opt_doc_effective(&rig->load, &rig->out);
    golden_check("tests/data/conf/defaults.yaml", &rig->out);
    const struct tern_listener_options *listener = rig->options.listen.items;
    assert_int_equal(rig->options.listen.n, 1);
    assert_true(listener->is_loopback);
    assert_false(listener->admin);
    assert_false(rig->options.insecure);
}

static void the_effective_configuration_reads_back(void **state)
{
    struct options_rig *rig = *state;
    char first[32768];

    options_rig_read(rig,
                     TERN_STR("listen:\n  - {address: 'unix:/tmp/a b,c', admin: true}\n"
                              "  - {address: '127.0.0.1:0', tls: {cert: c.pem, key: k.pem}}\n"
                              "model: {control: explicit, load: ['a', 'true', '12']}\n"
                              "http.body_max: 3KiB\ndrain: {grace: 90s}\ntls: {version_min: 1.3}\n"
                              "pid_file: \"x\\\"y: # z\"\n"));
    /* A comma ends an address in the short form: such a path can only be written as a map. */
    assert_string_equal(options_rig_said(rig), "");
    struct tern_listener_options *first_listener = rig->options.listen.items;
    first_listener->address = TERN_STR("unix:/tmp/a b");
    tern_buf_clear(&rig->out);
    tern_opt_doc_effective(&rig->load, &rig->out);
    assert_true(rig->out.n < sizeof(first));
    memcpy(first, rig->out.p, rig->out.n);
    struct tern_str text = {first, rig->out.n};
    options_rig_start(rig);
    options_rig_read(rig, text);
    assert_string_equal(options_rig_said(rig), "");
    struct tern_str again, before = text;
    tern_buf_clear(&rig->out);
    tern_opt_doc_effective(&rig->load, &rig->out);
    struct tern_str after = tern_buf_str(&rig->out);
    /* Line by line but for the origin, which is now the file everywhere. */
    struct tern_str a, b;
    while (tern_str_split(&before, '\n', &a) && tern_str_split(&after, '\n', &b)) {
        again = tern_str_ends(a, TERN_STR("  # file")) ? tern_str_make(a.p, a.n - 8) : a;
        assert_true(tern_str_starts(b, again));
    }
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
    struct options_rig *rig = *state;
    struct tern_server_options defaults;
    struct tern_opt_change change;

    options_rig_read(rig, TERN_STR(""));
    defaults = rig->options;
    tern_buf_clear(&rig->out);
    tern_opt_doc_sample(&tern_server_options_table, &rig->out);
    golden_check("doc/tern.yaml", &rig->out);
    /* Every commented option put to use changes nothing. */
    struct tern_buf active;
    struct tern_str rest = tern_buf_str(&rig->out), line;
    uint32_t options = 0;
    tern_buf_init(&active, 1u << 20);
    while (tern_str_split(&rest, '\n', &line)) {
        if (line.n > 1 && line.p[0] == '#' && line.p[1] != ' ') {
            tern_buf_printf(&active, "%.*s\n", TERN_STR_ARG(tern_str_from(line, 1)));
            options++;
        }
    }
    options_rig_start(rig);
    struct tern_str text = tern_arena_copy(&rig->arena, tern_buf_str(&active));
    tern_buf_fini(&active);
    options_rig_read(rig, text);
    assert_string_equal(options_rig_said(rig), "");
    for (uint32_t i = 0; i < tern_server_options_table.n; i++)
        options += (tern_server_options_table.rows[i].flags & TERN_OPT_FLAG) != 0;
    assert_int_equal(options, tern_server_options_table.n);
    assert_int_equal(
        tern_opt_doc_diff(&tern_server_options_table, &defaults, &rig->options, &change, 1), 0);
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
    struct options_rig *rig = *state;

    tern_opt_doc_schema(&tern_server_options_table, &rig->out);
    golden_check("doc/tern.schema.json", &rig->out);
    json_t *schema = json_loadb(rig->out.p, rig->out.n, JSON_REJECT_DUPLICATES, NULL);
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
    struct options_rig *rig = *state;
    struct tern_server_options before;
    struct tern_opt_change changes[2];

    options_rig_read(rig, TERN_STR(""));
    before = rig->options;
    options_rig_start(rig);
    options_rig_read(rig,
                     TERN_STR("log.level: debug\nlisten: ['127.0.0.1:9']\nhttp.uri_max: 4KiB\n"));
    assert_int_equal(
        tern_opt_doc_diff(&tern_server_options_table, &before, &rig->options, changes, 2), 3);
    assert_string_equal(changes[0].opt->name, "listen");
    assert_true(changes[0].needs_restart);
    assert_string_equal(changes[1].opt->name, "http.uri_max");
    assert_false(changes[1].needs_restart);
    tern_opt_doc_adopt(&tern_server_options_table, &before, &rig->options);
    assert_int_equal(before.http.uri_max, 4096);
    assert_int_equal(before.log.level, TERN_LOG_LEVEL_OPTION_DEBUG);
    assert_int_equal(
        tern_opt_doc_diff(&tern_server_options_table, &before, &rig->options, changes, 2), 1);
    assert_string_equal(changes[0].opt->name, "listen");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, options_rig_setup, options_rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(defaults_are_the_reviewed_ones),
        TEST(the_effective_configuration_reads_back),
        TEST(rows_are_sound),
        TEST(the_sample_is_current_and_says_the_defaults),
        TEST(the_schema_is_json_and_knows_every_option),
        TEST(a_reload_knows_what_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
