/* YAML and JSON: any bytes give a tree within its bounds, or at least one mistake; the server's
 * options read from whatever came out. The first byte picks the form. */
#include <assert.h>
#include <stdint.h>

#include "conf/server_options.h"
#include "conf/yaml.h"

static void read_options(struct tern_arena *arena, struct tern_problems *problems,
                         const struct tern_tree *root)
{
    struct tern_opt_load load;
    struct tern_server_options options;

    if (tern_opt_load_init(&load, &tern_server_options_table, &options, arena, problems, NULL) !=
        TERN_OK)
        return;
    tern_opt_read_tree(&load, TERN_STR("fuzz"), root);
    tern_server_options_check(&load);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tern_problems problems;
    struct tern_arena arena;

    if (size == 0)
        return 0;
    tern_arena_init(&arena, 4096, 1u << 22);
    tern_problem_init(&problems, &arena);
    const struct tern_tree *root =
        tern_yaml_read(tern_str_make((const char *)data + 1, size - 1),
                       data[0] == 'j' ? TERN_YAML_FORM_JSON : TERN_YAML_FORM_YAML, TERN_STR("fuzz"),
                       &arena, &problems);
    assert((root == NULL) == tern_problem_any(&problems));
    if (root != NULL)
        read_options(&arena, &problems, root);
    tern_arena_fini(&arena);
    return 0;
}
