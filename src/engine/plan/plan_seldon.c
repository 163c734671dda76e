/* To come. */
#include "engine/plan/plan_int.h"

void plan_read_seldon(struct plan_reader *r, const struct tern_tree *spec)
{
    plan_problem(r, spec, "trees of Seldon are not supported yet");
}
