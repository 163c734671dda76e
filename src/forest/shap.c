#include "forest/shap.h"

#include <string.h>
#include "forest/shap_int.h"

#define LOOK_EVERY 64 /* pairs of rows: how often somebody's leaving is noticed */

struct shap {
    const struct tern_forest *forest;
    const struct tern_shap_run *run;
    struct tern_forest_info info;
    uint32_t n_players;
    uint32_t depth, widest, most_nodes; /* of any tree */
    struct shap_tree tree;
    double *working; /* a number for each node */
    uint8_t *ranks, *others;
    size_t room; /* of a row's ranks */
    struct shap_path path;
    struct shap_pairs pairs;
};

/* ---- what is there ---- */

enum tern_code tern_shap_check(const struct tern_forest *forest, bool has_background,
                               struct tern_err *err)
{
    struct tern_forest_info info = tern_forest_info(forest);

    if (!tern_forest_view_is_sum(forest))
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "the forest takes the smallest or largest of its trees: only sums have "
                         "exact attributions");
    for (uint32_t i = 0; i < info.n_trees; i++) {
        if (tern_forest_view(forest, i).has_linear)
            return tern_fail(err, TERN_UNIMPLEMENTED,
                             "the leaves of tree %u are functions of the row: they have no exact "
                             "attributions",
                             i);
    }
    if (!has_background && !info.has_covers && info.depth > 0)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "the model's file does not say how much of the training data came to each "
                         "leaf: method 'tree_interventional' needs a background instead");
    return TERN_OK;
}

static void measure(struct shap *shap)
{
    for (uint32_t i = 0; i < shap->info.n_trees; i++) {
        struct tern_forest_view view = tern_forest_view(shap->forest, i);
        shap->depth = view.depth > shap->depth ? view.depth : shap->depth;
        shap->widest = view.n_leaves > shap->widest ? view.n_leaves : shap->widest;
        shap->most_nodes = view.n_nodes > shap->most_nodes ? view.n_nodes : shap->most_nodes;
    }
}

static enum tern_code take_memory(struct shap *shap, struct tern_arena *arena, struct tern_err *err)
{
    const struct tern_shap_run *run = shap->run;

    shap->room = (tern_forest_view_room(shap->forest) + 63) / 64 * 64;
    shap->tree.nodes =
        tern_arena_zalloc(arena, (size_t)shap->most_nodes + 1, sizeof(*shap->tree.nodes));
    shap->tree.leaves = tern_arena_zalloc(arena, (size_t)shap->widest + 1, sizeof(double));
    shap->working = tern_arena_zalloc(arena, (size_t)shap->most_nodes + 1, sizeof(double));
    shap->ranks = tern_arena_zalloc(arena, run->n_rows + 1, shap->room);
    shap->others = tern_arena_zalloc(arena, run->n_background + 1, shap->room);
    if (shap->tree.nodes == NULL || shap->tree.leaves == NULL || shap->working == NULL ||
        shap->ranks == NULL || shap->others == NULL)
        return tern_arena_fail(arena, err, "the explanation of a forest");
    return run->background == NULL
               ? shap_path_init(&shap->path, shap->depth, shap->n_players,
                                run->interactions != NULL, arena, err)
               : shap_pairs_init(&shap->pairs, shap->depth, shap->n_players, arena, err);
}

static enum tern_code rank(struct shap *shap, const double *rows, size_t n, uint8_t *ranks,
                           struct tern_arena *arena, struct tern_err *err)
{
    const struct tern_forest_rows all = {
        .data = rows, .is_double = true, .n = n, .stride = shap->info.n_features};
    double *working =
        tern_arena_alloc(arena, 8, ((size_t)shap->info.n_features + 1) * sizeof(*working));

    if (working == NULL)
        return tern_arena_fail(arena, err, "the explanation of a forest");
    for (size_t i = 0; i < n; i++)
        tern_forest_view_ranks(shap->forest, &all, i, working, ranks + i * shap->room);
    return TERN_OK;
}

static void open_tree(struct shap *shap, uint32_t at)
{
    struct shap_tree *tree = &shap->tree;

    tree->view = tern_forest_view(shap->forest, at);
    for (uint32_t i = 0; i < tree->view.n_nodes; i++) {
        tree->nodes[i] = tern_forest_view_node(shap->forest, &tree->view, i);
        if (shap->run->players != NULL)
            tree->nodes[i].feature = shap->run->players[tree->nodes[i].feature];
    }
    if (shap->run->background == NULL)
        shap_path_fit(&shap->path, tree->view.depth, shap->n_players);
}

/* ---- a tree, and one of its outputs ---- */

static bool is_cancelled(const struct tern_shap_run *run)
{
    return run->cancelled != NULL && atomic_load_explicit(run->cancelled, memory_order_acquire);
}

static enum tern_code fail_cancelled(struct tern_err *err)
{
    return tern_fail(err, TERN_CANCELLED, "the client went away");
}

static enum tern_code add_against(struct shap *shap, size_t row, double *values,
                                  struct tern_err *err)
{
    const struct tern_shap_run *run = shap->run;
    double scale = 1.0 / (double)run->n_background;

    for (size_t b = 0; b < run->n_background; b++) {
        if (b % LOOK_EVERY == 0 && is_cancelled(run))
            return fail_cancelled(err);
        shap_pairs_run(&shap->pairs, &shap->tree, shap->ranks + row * shap->room,
                       shap->others + b * shap->room, scale, values);
    }
    return TERN_OK;
}

static double tree_base(struct shap *shap)
{
    const struct tern_shap_run *run = shap->run;
    double sum = 0;

    if (run->background == NULL)
        return shap_tree_mean(&shap->tree, shap->working);
    for (size_t b = 0; b < run->n_background; b++)
        sum += shap_tree_value(&shap->tree, shap->others + b * shap->room);
    return sum / (double)run->n_background;
}

static enum tern_code add_output(struct shap *shap, uint32_t output, struct tern_err *err)
{
    const struct tern_shap_run *run = shap->run;
    size_t m = shap->n_players, k = shap->info.n_outputs;
    struct shap_tree *tree = &shap->tree;

    for (uint32_t i = 0; i < tree->view.n_leaves; i++)
        tree->leaves[i] = tern_forest_view_value(shap->forest, &tree->view, i, output);
    run->base[output] += tree_base(shap);
    for (size_t row = 0; row < run->n_rows; row++) {
        const uint8_t *ranks = shap->ranks + row * shap->room;
        size_t at = row * k + output;
        if (is_cancelled(run))
            return fail_cancelled(err);
        run->raw[at] += shap_tree_value(tree, ranks);
        if (run->background != NULL)
            TERN_TRY(add_against(shap, row, run->values + at * m, err));
        else
            shap_path_run(&shap->path, tree, ranks, run->values + at * m,
                          run->interactions == NULL ? NULL : run->interactions + at * m * m,
                          (uint32_t)m);
    }
    return TERN_OK;
}

/* ---- all trees ---- */

static void begin(const struct shap *shap)
{
    const struct tern_shap_run *run = shap->run;
    size_t m = shap->n_players, k = shap->info.n_outputs, n = run->n_rows;

    memset(run->values, 0, n * k * m * sizeof(double));
    if (run->interactions != NULL)
        memset(run->interactions, 0, n * k * m * m * sizeof(double));
    for (uint32_t i = 0; i < k; i++) {
        run->base[i] = tern_forest_view_base(shap->forest, i);
        for (size_t row = 0; row < n; row++)
            run->raw[row * k + i] = run->base[i];
    }
}

/* What of a feature's value is not shared with another one stands on the diagonal. */
static void fill_diagonal(const struct shap *shap)
{
    const struct tern_shap_run *run = shap->run;
    size_t m = shap->n_players, n = run->n_rows * shap->info.n_outputs * m;

    for (size_t i = 0; i < n; i++) {
        double *row = run->interactions + i * m, rest = run->values[i];
        for (size_t g = 0; g < m; g++)
            rest -= row[g];
        row[i % m] = rest;
    }
}

enum tern_code tern_shap_run(const struct tern_forest *forest, const struct tern_shap_run *run,
                             struct tern_arena *arena, struct tern_err *err)
{
    struct shap shap = {.forest = forest, .run = run, .info = tern_forest_info(forest)};

    shap.n_players = run->players == NULL ? shap.info.n_features : run->n_players;
    TERN_TRY(tern_shap_check(forest, run->background != NULL, err));
    measure(&shap);
    TERN_TRY(take_memory(&shap, arena, err));
    TERN_TRY(rank(&shap, run->rows, run->n_rows, shap.ranks, arena, err));
    if (run->background != NULL)
        TERN_TRY(rank(&shap, run->background, run->n_background, shap.others, arena, err));
    begin(&shap);
    for (uint32_t i = 0; i < shap.info.n_trees; i++) {
        open_tree(&shap, i);
        if (!shap.tree.view.vector)
            TERN_TRY(add_output(&shap, shap.tree.view.output, err));
        for (uint32_t k = 0; shap.tree.view.vector && k < shap.info.n_outputs; k++)
            TERN_TRY(add_output(&shap, k, err));
    }
    if (run->interactions != NULL)
        fill_diagonal(&shap);
    return TERN_OK;
}
