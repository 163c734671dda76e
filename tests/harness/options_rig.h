/* The server's options, read from a text: for tests of the catalogue and of what is checked after
 * it was read. One at a time. */
#ifndef TERN_TESTS_OPTIONS_RIG_H
#define TERN_TESTS_OPTIONS_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "conf/server_options.h"
#include "conf/yaml.h"

struct options_rig {
    struct tern_arena arena;
    struct tern_problems problems;
    struct tern_opt_load load;
    struct tern_server_options options;
    struct tern_buf out;
};

TERN_INLINE void options_rig_start(struct options_rig *rig)
{
    tern_problem_init(&rig->problems, &rig->arena);
    assert_int_equal(tern_opt_load_init(&rig->load, &tern_server_options_table, &rig->options,
                                        &rig->arena, &rig->problems, NULL),
                     TERN_OK);
}

TERN_INLINE int options_rig_setup(void **state)
{
    static struct options_rig rig;
    tern_arena_init(&rig.arena, 4096, 8u << 20);
    tern_buf_init(&rig.out, 1u << 20);
    options_rig_start(&rig);
    *state = &rig;
    return 0;
}

TERN_INLINE int options_rig_teardown(void **state)
{
    struct options_rig *rig = *state;
    tern_buf_fini(&rig->out);
    tern_arena_fini(&rig->arena);
    return 0;
}

TERN_INLINE void options_rig_read(struct options_rig *rig, struct tern_str text)
{
    const struct tern_tree *root =
        tern_yaml_read(text, TERN_YAML_FORM_YAML, TERN_STR("t.yaml"), &rig->arena, &rig->problems);
    if (root != NULL)
        tern_opt_read_tree(&rig->load, TERN_STR("t.yaml"), root);
    tern_server_options_check(&rig->load);
}

TERN_INLINE const char *options_rig_said(struct options_rig *rig)
{
    tern_buf_clear(&rig->out);
    tern_problem_print(&rig->problems, &rig->out);
    tern_buf_add_char(&rig->out, '\0');
    return rig->out.p;
}

#endif
