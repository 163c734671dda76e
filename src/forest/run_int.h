/* What the two ways of running a forest share: run_row.c and run_block.c, chosen by run.c. */
#ifndef TERN_FOREST_RUN_INT_H
#define TERN_FOREST_RUN_INT_H

#include "forest/forest_int.h"

#define TERN_BLOCK_ROWS ((size_t)TERN_TREE_TILES_MAX * TERN_TREE_TILE)

/* Working memory of a run. */
struct tern_forest_work {
    const struct tern_forest *f;
    const struct tern_forest_rows *rows;
    void *row;      /* one row in another datatype */
    uint8_t *ranks; /* of one row */
    int32_t *exits; /* one a tree: ~leaf once it is found */
    float *values;  /* one a tree, where heads have them */
    /* Trees whose heads were left at a node: */
    const void **waiting;
    int32_t *at;
    uint32_t *which;
    double *mixed;  /* one an output: sums of values of several kinds */
    uint8_t *begun; /* one an output: it has a value (MIN, MAX) */
    /* Blocks: */
    size_t n_tiles;
    uint8_t *tiles;
    uint8_t *stack;
    uint32_t *leaves;
    void *sums; /* for each output BLOCK_ROWS of float or double */
};

/* A piece of working memory, aligned to 64; ret: the address of a pointer. */
enum tern_code tern_forest_take(struct tern_arena *arena, void *ret, size_t n, size_t size,
                                struct tern_err *err);

/* Whether the values of all trees are of one kind and are added: what blocks can do. */
bool tern_forest_is_sum(const struct tern_forest *forest);
/* What an output begins with, and what becomes of its sum. */
double tern_forest_begin(const struct tern_forest *forest, uint32_t output);
float tern_forest_end_f32(const struct tern_forest *forest, uint32_t output, float sum);
double tern_forest_end_f64(const struct tern_forest *forest, uint32_t output, double sum);

/* All trees for one row. */
enum tern_code tern_forest_row_room(struct tern_forest_work *run, struct tern_arena *arena,
                                    struct tern_err *err);
/* The leaf of each tree, as ~leaf in exits. */
void tern_forest_row_leaves(struct tern_forest_work *run, size_t row);
void tern_forest_row(struct tern_forest_work *run, size_t row, void *out);

/* One tree after another for n rows, at most n_tiles of them. */
enum tern_code tern_forest_block_room(struct tern_forest_work *run, struct tern_arena *arena,
                                      struct tern_err *err);
void tern_forest_block(struct tern_forest_work *run, size_t first, size_t n, void *out);

#endif
