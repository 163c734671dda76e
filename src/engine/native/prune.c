#include "engine/native/prune.h"

#include "engine/native/ops/ops.h"

static void free_forest(void *forest)
{
    tern_forest_free(forest);
}

static enum tern_code prune_step(struct tern_step *step, const struct tern_forest_pruning *pruning,
                                 struct tern_arena *arena, struct tern_forest_pruned *sum,
                                 struct tern_err *err)
{
    struct tern_forest_pruned pruned;
    struct tern_forest *forest;

    TERN_TRY(tern_forest_prune(step->state, pruning, &forest, &pruned, err));
    enum tern_code code = tern_arena_on_reset(arena, free_forest, forest, err);
    if (code != TERN_OK) {
        tern_forest_free(forest);
        return code;
    }
    step->state = forest;
    for (int i = 0; i < 2; i++) {
        sum->n_trees[i] += pruned.n_trees[i];
        sum->n_nodes[i] += pruned.n_nodes[i];
    }
    sum->bound += pruned.bound;
    return TERN_OK;
}

static uint32_t count_forests(const struct tern_program *program)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < program->n_steps; i++)
        n += tern_op_forest_of(&program->steps[i]) != NULL;
    return n;
}

enum tern_code tern_native_prune(const struct tern_program *program,
                                 const struct tern_forest_pruning *pruning,
                                 struct tern_arena *arena, struct tern_program *ret_program,
                                 struct tern_forest_pruned *ret, struct tern_err *err)
{
    uint32_t n_forests = count_forests(program);
    struct tern_step *steps = tern_arena_zalloc(arena, program->n_steps + 1u, sizeof(*steps));

    if (steps == NULL)
        return tern_arena_fail(arena, err, "a program");
    if (n_forests == 0 && (pruning->n_trees > 0 || pruning->within > 0))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "the model has no trees");
    if (n_forests > 1 && pruning->n_trees > 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "the model has %u forests: which of them has fewer trees is not known",
                         n_forests);
    *ret = (struct tern_forest_pruned){.bound = 0};
    *ret_program = *program;
    ret_program->steps = steps;
    for (uint32_t i = 0; i < program->n_steps; i++) {
        steps[i] = program->steps[i];
        if (tern_op_forest_of(&steps[i]) != NULL)
            TERN_TRY(prune_step(&steps[i], pruning, arena, ret, err));
    }
    return TERN_OK;
}
