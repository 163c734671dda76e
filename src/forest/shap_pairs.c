/* The game of a row against another: a feature has the value of either. */
#include "forest/shap_int.h"

/* Of a feature on the way down: which of the two rows pass all of its tests so far. */
enum { BOTH, ROW, OTHER };

/* A leaf that p features let only the row pass, and q only the other one, adds
 * (p - 1)! q! / (p + q)! to each of the first and takes p! (q - 1)! / (p + q)! from each of the
 * second: the same with p and q changed about. */
static double weight(const struct shap_pairs *pairs, uint32_t p, uint32_t q)
{
    return p == 0 ? 0 : pairs->weights[(size_t)p * (pairs->most + 1) + q];
}

static void fill_weights(struct shap_pairs *pairs)
{
    size_t width = (size_t)pairs->most + 1;

    for (size_t p = 1; p <= pairs->most; p++) {
        double *row = pairs->weights + p * width;
        row[0] = 1.0 / (double)p;
        for (size_t q = 1; p + q <= pairs->most; q++)
            row[q] = row[q - 1] * (double)q / (double)(p + q);
    }
}

enum tern_code shap_pairs_init(struct shap_pairs *pairs, uint32_t depth, uint32_t n_features,
                               struct tern_arena *arena, struct tern_err *err)
{
    size_t most = depth < n_features ? depth : n_features, n = (most + 1) * (most + 1);

    pairs->most = (uint32_t)most;
    pairs->states = tern_arena_zalloc(arena, n_features, 1);
    pairs->steps = tern_arena_zalloc(arena, (size_t)depth + 2, sizeof(*pairs->steps));
    pairs->weights = tern_arena_zalloc(arena, n, sizeof(double));
    if (pairs->states == NULL || pairs->steps == NULL || pairs->weights == NULL)
        return tern_arena_fail(arena, err, "the paths of a forest");
    fill_weights(pairs);
    return TERN_OK;
}

/* Where the two rows go at a node, and what the next child to look at means for its feature: false
 * where none of them can go, or both go where one was seen already. */
static bool choose_child(const struct shap_pairs *pairs, const struct shap_tree *tree,
                         struct shap_pairs_step *step, const uint8_t *ranks, const uint8_t *others,
                         uint8_t *ret_state, int32_t *ret)
{
    const struct tern_forest_view_node *node = &tree->nodes[step->node];
    bool is_yes = step->n_seen++ == 0;
    uint8_t state = pairs->states[node->feature];
    bool row = state != OTHER && (ranks[node->column] <= node->cut) == is_yes;
    bool other = state != ROW && (others[node->column] <= node->cut) == is_yes;

    *ret = is_yes ? node->yes : node->no;
    *ret_state = row && other ? BOTH : row ? ROW : OTHER;
    return row || other;
}

/* Leaves below a child count for its feature where the two rows part. */
static void close_child(struct shap_pairs *pairs, const struct shap_tree *tree,
                        struct shap_pairs_step *step, double scale, double *values)
{
    uint32_t feature = tree->nodes[step->node].feature;
    uint8_t state = pairs->states[feature];
    const struct shap_pairs_step *below = step + 1;

    if (state != step->state_before)
        values[feature] += scale * (state == ROW ? below->row_sum : -below->other_sum);
    pairs->states[feature] = step->state_before;
    step->row_sum += below->row_sum;
    step->other_sum += below->other_sum;
}

void shap_pairs_run(struct shap_pairs *pairs, const struct shap_tree *tree, const uint8_t *ranks,
                    const uint8_t *others, double scale, double *values)
{
    struct shap_pairs_step *step = pairs->steps;
    uint8_t state;
    int32_t child;

    if (tree->view.root < 0)
        return; /* a single leaf: nothing is asked */
    *step = (struct shap_pairs_step){.node = (uint32_t)tree->view.root};
    for (;;) {
        if (step->is_open) {
            step->is_open = false;
            close_child(pairs, tree, step, scale, values);
        }
        if (step->n_seen == 2) {
            if (step-- == pairs->steps)
                return;
            continue;
        }
        if (!choose_child(pairs, tree, step, ranks, others, &state, &child))
            continue;
        uint8_t *at = &pairs->states[tree->nodes[step->node].feature];
        bool parts = *at != state;
        step->state_before = *at;
        step->is_open = true;
        *at = state;
        uint32_t p = step->n_row + (parts && state == ROW);
        uint32_t q = step->n_other + (parts && state == OTHER);
        step[1] = (struct shap_pairs_step){.node = (uint32_t)child, .n_row = p, .n_other = q};
        if (child >= 0) {
            step++;
            continue;
        }
        step[1].row_sum = tree->leaves[~child] * weight(pairs, p, q);
        step[1].other_sum = tree->leaves[~child] * weight(pairs, q, p);
    }
}
