/* A compiled forest of decision trees: immutable, shared by all threads. What makes one is
 * forest/builder.h. */
#ifndef TERN_FOREST_FOREST_H
#define TERN_FOREST_FOREST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"

struct tern_forest;

/* What becomes of the trees' values. */
enum tern_forest_combine {
    TERN_FOREST_SUM,
    TERN_FOREST_AVERAGE, /* the sum, divided */
    TERN_FOREST_MIN,
    TERN_FOREST_MAX,
};

/* Rows of features; aligned to their element size. */
struct tern_forest_rows {
    const void *data; /* float, or double when is_double */
    bool is_double;
    size_t n;
    size_t stride; /* elements from one row to the next, at least the forest's features */
};

struct tern_forest_info {
    uint32_t n_features;
    uint32_t n_outputs;
    uint32_t n_trees;
    uint64_t n_nodes;   /* with leaves */
    uint32_t depth;     /* of the deepest tree; 0: a single leaf */
    bool float_sum;     /* run writes float, else double */
    bool has_covers;    /* path-dependent explanations are possible */
    size_t n_bytes;     /* of memory */
    const char *kernel; /* what runs a single row, for people; static */
};

void tern_forest_free(struct tern_forest *forest); /* NULL is fine */
/* Adds up: not for every run. */
struct tern_forest_info tern_forest_info(const struct tern_forest *forest);
uint32_t tern_forest_features(const struct tern_forest *forest);
uint32_t tern_forest_outputs(const struct tern_forest *forest);

/* out: rows->n x n_outputs of float or double, as info says. Working memory comes from the arena,
 * no more for many rows than for a block of them. Any thread. */
enum tern_code tern_forest_run(const struct tern_forest *forest,
                               const struct tern_forest_rows *rows, void *out,
                               struct tern_arena *arena, struct tern_err *err);

/* leaves: rows->n x n_trees: which leaf each row reaches, as the tree's file numbers them. */
enum tern_code tern_forest_leaves(const struct tern_forest *forest,
                                  const struct tern_forest_rows *rows, uint32_t *leaves,
                                  struct tern_arena *arena, struct tern_err *err);

#endif
