/* Which way rows go through a forest: one at a time, or many together. */
#include <string.h>
#include "forest/run_int.h"

#define BLOCK_OUTPUTS_MAX 256

enum tern_code tern_forest_take(struct tern_arena *arena, void *ret, size_t n, size_t size,
                                struct tern_err *err)
{
    void *p = tern_arena_alloc(arena, 64, (n > 0 ? n : 1) * size);

    if (p == NULL)
        return tern_arena_fail(arena, err, "a forest's working memory");
    memcpy(ret, &p, sizeof(p));
    return TERN_OK;
}

/* A block costs much before its first row: it has to have enough of them. */
static bool is_block_worth(const struct tern_forest *f, size_t n)
{
    size_t rows = n < TERN_BLOCK_ROWS ? n : TERN_BLOCK_ROWS;
    size_t tiles = (rows + TERN_TREE_TILE - 1) / TERN_TREE_TILE;

    return tern_forest_is_sum(f) && f->settings.n_outputs <= BLOCK_OUTPUTS_MAX &&
           (double)rows * f->row_ns > f->block_ns + (double)tiles * f->tile_ns;
}

enum tern_code tern_forest_run(const struct tern_forest *f, const struct tern_forest_rows *rows,
                               void *out, struct tern_arena *arena, struct tern_err *err)
{
    struct tern_forest_work r = {.f = f, .rows = rows};
    size_t done = 0;

    TERN_TRY(tern_forest_row_room(&r, arena, err));
    if (is_block_worth(f, rows->n)) {
        TERN_TRY(tern_forest_block_room(&r, arena, err));
        size_t most = r.n_tiles * TERN_TREE_TILE;
        for (; is_block_worth(f, rows->n - done);) {
            size_t n = rows->n - done < most ? rows->n - done : most;
            tern_forest_block(&r, done, n, out);
            done += n;
        }
    }
    for (; done < rows->n; done++)
        tern_forest_row(&r, done, out);
    return TERN_OK;
}

enum tern_code tern_forest_leaves(const struct tern_forest *f, const struct tern_forest_rows *rows,
                                  uint32_t *leaves, struct tern_arena *arena, struct tern_err *err)
{
    struct tern_forest_work r = {.f = f, .rows = rows};

    TERN_TRY(tern_forest_row_room(&r, arena, err));
    for (size_t row = 0; row < rows->n; row++) {
        tern_forest_row_leaves(&r, row);
        for (uint32_t t = 0; t < f->n_trees; t++)
            leaves[row * f->n_trees + t] = (uint32_t)~r.exits[t];
    }
    return TERN_OK;
}
