/* To come. */
#include "gateway/walk.h"

enum tern_code walk_seldon_begin(struct walk *walk, struct tern_err *err)
{
    (void)walk;
    return tern_fail(err, TERN_UNIMPLEMENTED, "trees of Seldon are not run yet");
}

void walk_seldon_start(struct walk *walk, uint32_t point)
{
    (void)walk, (void)point;
}

void walk_seldon_came(struct walk *walk, uint32_t point, const struct tern_document *answer)
{
    (void)walk, (void)point, (void)answer;
}

enum tern_code walk_seldon_end(struct walk *walk, struct tern_err *err)
{
    (void)walk, (void)err;
    return TERN_OK;
}
