/* The game along the paths of the training data. */
#include <string.h>
#include "forest/quadrature.h"
#include "forest/shap_int.h"

/* A leaf's product has a factor share (1 - t) + passes t for each feature of its path, where t runs
 * from 0 to 1. */
static double factor(double share, bool passes, double t)
{
    return share * (1 - t) + (passes ? t : 0);
}

enum tern_code shap_path_init(struct shap_path *path, uint32_t depth, uint32_t n_features,
                              bool has_interactions, struct tern_arena *arena, struct tern_err *err)
{
    size_t levels = (size_t)depth + 2;

    *path = (struct shap_path){.n_points = 0};
    shap_path_fit(path, depth, n_features); /* how many points there can be */
    size_t points = path->n_points;
    path->shares = tern_arena_zalloc(arena, n_features, sizeof(double));
    path->passes = tern_arena_zalloc(arena, n_features, sizeof(bool));
    path->steps = tern_arena_zalloc(arena, levels, sizeof(*path->steps));
    path->points = tern_arena_zalloc(arena, 3 * points, sizeof(double));
    path->products = tern_arena_zalloc(arena, levels * points, sizeof(double));
    path->sums = tern_arena_zalloc(arena, levels * points, sizeof(double));
    if (has_interactions) {
        path->features = tern_arena_zalloc(arena, levels, sizeof(uint32_t));
        path->uses = tern_arena_zalloc(arena, n_features, sizeof(uint32_t));
        path->ratios = tern_arena_zalloc(arena, levels * points, sizeof(double));
        if (path->features == NULL || path->uses == NULL || path->ratios == NULL)
            return tern_arena_fail(arena, err, "the paths of a forest");
    }
    if (path->shares == NULL || path->passes == NULL || path->steps == NULL ||
        path->points == NULL || path->products == NULL || path->sums == NULL)
        return tern_arena_fail(arena, err, "the paths of a forest");
    path->inverses = path->points + points;
    path->weights = path->inverses + points;
    for (uint32_t i = 0; i < n_features; i++) {
        path->shares[i] = 1;
        path->passes[i] = true;
    }
    path->n_points = 0;
    shap_path_fit(path, depth, n_features);
    return TERN_OK;
}

/* The product without one feature's factor has a degree of one less than the path has features. */
void shap_path_fit(struct shap_path *path, uint32_t depth, uint32_t n_features)
{
    uint32_t most = depth < n_features ? depth : n_features;
    uint32_t n = most < 2 ? 1 : (most + 1) / 2;

    if (path->n_points == n)
        return;
    path->n_points = n;
    if (path->points == NULL)
        return;
    tern_quadrature(n, path->points, path->weights);
    for (uint32_t q = 0; q < n; q++)
        path->inverses[q] = 1 / (1 - path->points[q]);
}

/* The sum over the points of `sums` times what stands for the feature itself in its value:
 * (passes - share) / factor. */
static double value_of(const struct shap_path *path, const double *sums, double share, bool passes)
{
    double value = 0;

    if (!passes) {
        for (uint32_t q = 0; q < path->n_points; q++)
            value -= sums[q] * path->inverses[q];
        return value;
    }
    if (share == 1)
        return 0;
    for (uint32_t q = 0; q < path->n_points; q++)
        value += sums[q] / factor(share, true, path->points[q]);
    return value * (1 - share);
}

/* ---- interactions ---- */

static void fill_ratios(const struct shap_path *path, uint32_t feature, double *ratios)
{
    double share = path->shares[feature];
    bool passes = path->passes[feature];

    for (uint32_t q = 0; q < path->n_points; q++)
        ratios[q] =
            passes ? (1 - share) / factor(share, true, path->points[q]) : -path->inverses[q];
}

/* Both ways of each pair get half of what the two add together. */
static void add_pairs(const struct shap_path *path, const double *sums, double *interactions,
                      uint32_t n_features)
{
    uint32_t n = path->n_features, points = path->n_points;

    for (uint32_t i = 0; i < n; i++)
        fill_ratios(path, path->features[i], path->ratios + (size_t)i * points);
    for (uint32_t i = 0; i < n; i++) {
        const double *a = path->ratios + (size_t)i * points;
        for (uint32_t k = i + 1; k < n; k++) {
            const double *b = path->ratios + (size_t)k * points;
            size_t f = path->features[i], g = path->features[k];
            double sum = 0;
            for (uint32_t q = 0; q < points; q++)
                sum += sums[q] * a[q] * b[q];
            interactions[f * n_features + g] += sum / 2;
            interactions[g * n_features + f] += sum / 2;
        }
    }
}

/* ---- down and up ---- */

/* To the next child of the step's node. False: nothing is behind that edge: neither the row nor any
 * of the training data went there. */
static bool open_edge(struct shap_path *path, const struct shap_tree *tree, struct shap_step *step,
                      const uint8_t *ranks, const double *products, double *below, int32_t *ret)
{
    const struct tern_forest_view_node *node = &tree->nodes[step->node];
    bool is_yes = step->n_seen++ == 0;
    double part = is_yes ? node->yes_share : 1 - node->yes_share;
    bool goes = (ranks[node->column] <= node->cut) == is_yes;
    double before = path->shares[node->feature], share = before * part;
    bool had = path->passes[node->feature], passes = had && goes;

    *ret = is_yes ? node->yes : node->no;
    if (!passes && share == 0)
        return false;
    for (uint32_t q = 0; q < path->n_points; q++)
        below[q] = products[q] * factor(share, passes, path->points[q]) /
                   factor(before, had, path->points[q]);
    step->share_before = before;
    step->had = had;
    path->shares[node->feature] = share;
    path->passes[node->feature] = passes;
    if (path->uses != NULL && path->uses[node->feature]++ == 0)
        path->features[path->n_features++] = node->feature;
    return true;
}

/* Back from a child: all leaves below it have this edge as the last one of its feature, but for
 * those that a later edge corrects. */
static void close_edge(struct shap_path *path, const struct shap_tree *tree, struct shap_step *step,
                       double *sums, const double *below, double *values)
{
    uint32_t feature = tree->nodes[step->node].feature;

    values[feature] += value_of(path, below, path->shares[feature], path->passes[feature]) -
                       value_of(path, below, step->share_before, step->had);
    for (uint32_t q = 0; q < path->n_points; q++)
        sums[q] += below[q];
    path->shares[feature] = step->share_before;
    path->passes[feature] = step->had;
    if (path->uses != NULL && --path->uses[feature] == 0)
        path->n_features--;
}

void shap_path_run(struct shap_path *path, const struct shap_tree *tree, const uint8_t *ranks,
                   double *values, double *interactions, uint32_t n_features)
{
    size_t points = path->n_points, size = points * sizeof(double);
    uint32_t level = 0;

    if (tree->view.root < 0)
        return; /* a single leaf: nothing is asked */
    memcpy(path->products, path->weights, size);
    memset(path->sums, 0, size);
    path->steps[0] = (struct shap_step){.node = (uint32_t)tree->view.root};
    for (;;) {
        struct shap_step *step = &path->steps[level];
        double *products = path->products + level * points, *sums = path->sums + level * points;
        int32_t child;
        if (step->is_open) { /* its child is done */
            step->is_open = false;
            close_edge(path, tree, step, sums, sums + points, values);
        }
        if (step->n_seen == 2) {
            if (level == 0)
                return;
            level--;
            continue;
        }
        if (!open_edge(path, tree, step, ranks, products, products + points, &child))
            continue;
        step->is_open = true;
        if (child >= 0) {
            memset(sums + points, 0, size);
            path->steps[++level] = (struct shap_step){.node = (uint32_t)child};
            continue;
        }
        for (uint32_t q = 0; q < points; q++)
            sums[points + q] = products[points + q] * tree->leaves[~child];
        if (interactions != NULL)
            add_pairs(path, sums + points, interactions, n_features);
    }
}

/* ---- what a tree answers ---- */

/* Nodes stand in preorder: parents come before their children. working: a number for each node. */
double shap_tree_mean(const struct shap_tree *tree, double *working)
{
    double mean = 0;

    if (tree->view.root < 0)
        return tree->leaves[~tree->view.root];
    working[tree->view.root] = 1;
    for (uint32_t i = 0; i < tree->view.n_nodes; i++) {
        const struct tern_forest_view_node *node = &tree->nodes[i];
        const int32_t children[] = {node->yes, node->no};
        const double shares[] = {node->yes_share, 1 - node->yes_share};
        for (int c = 0; c < 2; c++) {
            double share = working[i] * shares[c];
            if (children[c] >= 0)
                working[children[c]] = share;
            else
                mean += share * tree->leaves[~children[c]];
        }
    }
    return mean;
}

double shap_tree_value(const struct shap_tree *tree, const uint8_t *ranks)
{
    int32_t at = tree->view.root;

    while (at >= 0) {
        const struct tern_forest_view_node *node = &tree->nodes[at];
        at = ranks[node->column] <= node->cut ? node->yes : node->no;
    }
    return tree->leaves[~at];
}
