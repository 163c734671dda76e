/* A model's configuration read from a text, with what is wrong with it. One at a time. */
#ifndef TERN_TESTS_CONFIG_RIG_H
#define TERN_TESTS_CONFIG_RIG_H

#include "registry/model_config.h"

struct config_rig {
    struct tern_arena arena;
    struct tern_problems problems;
    struct tern_model_config config;
    struct tern_model_config_specs specs;
    struct tern_buf said;
};

TERN_INLINE int config_rig_setup(void **state)
{
    static struct config_rig rig;
    tern_arena_init(&rig.arena, 4096, 1u << 20);
    tern_buf_init(&rig.said, 1u << 16);
    *state = &rig;
    return 0;
}

TERN_INLINE int config_rig_teardown(void **state)
{
    struct config_rig *rig = *state;
    tern_buf_fini(&rig->said);
    tern_arena_fini(&rig->arena);
    return 0;
}

/* The problems as people read them; empty when there are none. */
TERN_INLINE const char *config_rig_said(struct config_rig *rig)
{
    tern_buf_clear(&rig->said);
    tern_problem_print(&rig->problems, &rig->said);
    tern_buf_add_char(&rig->said, '\0');
    return rig->said.p;
}

/* Reads a config.pbtxt and completes it for the model; what is wrong with it. */
TERN_INLINE const char *config_rig_complete(struct config_rig *rig, const char *text,
                                            const struct tern_model_config_settings *settings,
                                            const struct tern_engine_model *model)
{
    const struct tern_model_config_subject subject = {.name = TERN_STR("m"), .model = model};
    struct tern_err err;

    tern_problem_init(&rig->problems, &rig->arena);
    tern_model_config_read(tern_str_of(text), TERN_STR("config.pbtxt"), &rig->arena, &rig->config,
                           &rig->problems);
    if (tern_problem_fail(&rig->problems, &err) == TERN_OK)
        tern_model_config_complete(&rig->config, settings, &subject, &rig->arena, &rig->specs,
                                   &rig->problems);
    return config_rig_said(rig);
}

#endif
