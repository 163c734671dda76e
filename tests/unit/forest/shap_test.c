/* Exact attributions of forests against the formula of Shapley values, by going through all sets of
 * features. */
// covers: forest/shap_path forest/shap_pairs forest/quadrature forest/view
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "forest/builder.h"
#include "forest/quadrature.h"
#include "forest/shap.h"
#include "harness/random.h"

#define M          6
#define K          2
#define NODES_MAX  256
#define TREES      4
#define BACKGROUND 7

/* A forest as the test knows it. */
struct forest {
    struct tern_forest_node nodes[TREES][NODES_MAX];
    double values[TREES][NODES_MAX * K];
    uint32_t n_nodes[TREES], n_leaves[TREES];
    bool vector[TREES];
    struct tern_forest *compiled;
    double base[K];
    bool has_players; /* else each feature plays alone */
    uint32_t players[M];
};

static double unit(uint64_t *random)
{
    return random_unit(random);
}

static uint32_t below(uint64_t *random, uint32_t n)
{
    return (uint32_t)(random_u64(random) % n);
}

/* ---- random forests ---- */

/* Adds a node of that depth; its cover is what its parent gave it. Iterative: a list of open ends.
 */
static void grow(struct forest *f, uint32_t t, uint32_t depth, bool vector, uint64_t *random)
{
    struct {
        uint32_t node, depth;
        double cover;
    } open[NODES_MAX];
    uint32_t n_open = 1;

    f->n_nodes[t] = 1;
    f->n_leaves[t] = 0;
    f->vector[t] = vector;
    open[0].node = 0;
    open[0].depth = depth;
    open[0].cover = 1000;
    while (n_open > 0) {
        n_open--;
        uint32_t at = open[n_open].node, left = open[n_open].depth;
        double cover = open[n_open].cover;
        struct tern_forest_node *node = &f->nodes[t][at];
        *node = (struct tern_forest_node){.cover = cover};
        if (left == 0 || (left < depth && below(random, 8) == 0) || f->n_nodes[t] + 2 > NODES_MAX) {
            node->test = TERN_FOREST_LEAF;
            node->leaf = f->n_leaves[t]++;
            for (uint32_t k = 0; k < (vector ? K : 1); k++)
                f->values[t][node->leaf * (vector ? K : 1) + k] = unit(random) * 4 - 2;
            continue;
        }
        double part = below(random, 10) == 0 ? 0 : unit(random);
        node->test = below(random, 2) == 0 ? TERN_FOREST_LESS : TERN_FOREST_LESS_EQUAL;
        node->feature = below(random, M);
        node->threshold = (double)below(random, 5) / 4;
        node->missing_yes = below(random, 2) == 0;
        node->yes = f->n_nodes[t]++;
        node->no = f->n_nodes[t]++;
        open[n_open].node = node->yes;
        open[n_open].depth = left - 1;
        open[n_open++].cover = cover * part;
        open[n_open].node = node->no;
        open[n_open].depth = left - 1;
        open[n_open++].cover = cover - cover * part;
    }
}

static void make(struct forest *f, uint32_t depth, uint64_t *random)
{
    struct tern_forest_builder *builder;
    struct tern_err err;
    const struct tern_forest_settings settings = {
        .n_features = M, .n_outputs = K, .combine = TERN_FOREST_SUM, .base = f->base};

    f->base[0] = 0.5;
    f->base[1] = -1;
    assert_int_equal(tern_forest_builder_new(&settings, &builder, &err), TERN_OK);
    for (uint32_t t = 0; t < TREES; t++) {
        grow(f, t, depth, t == 0, random);
        const struct tern_forest_tree tree = {.nodes = f->nodes[t],
                                              .n_nodes = f->n_nodes[t],
                                              .values = f->values[t],
                                              .n_leaves = f->n_leaves[t],
                                              .vector = f->vector[t],
                                              .output = t % K};
        if (tern_forest_builder_add_tree(builder, &tree, &err) != TERN_OK)
            fail_msg("%s", err.text);
    }
    if (tern_forest_builder_finish(builder, &f->compiled, &err) != TERN_OK)
        fail_msg("%s", err.text);
    tern_forest_builder_free(builder);
}

/* Some features are known together, every other time. */
static void choose_players(struct forest *f, uint32_t round, uint64_t *random)
{
    f->has_players = round % 2 == 1;
    for (uint32_t i = 0; i < M; i++)
        f->players[i] = below(random, M);
}

static void make_row(double *row, uint64_t *random)
{
    for (uint32_t i = 0; i < M; i++)
        row[i] = below(random, 8) == 0 ? (double)NAN : unit(random) * 1.4 - 0.2;
}

/* ---- by the book ---- */

static bool goes_yes(const struct tern_forest_node *node, const double *row)
{
    double x = row[node->feature];

    if (isnan(x))
        return node->missing_yes;
    return node->test == TERN_FOREST_LESS ? x < node->threshold : x <= node->threshold;
}

/* What the forest answers when the features of `set` are the row's, and the others unknown (other
 * NULL: both ways, by cover), or those of another row. */
static double value_of(const struct forest *f, const double *row, const double *other, unsigned set,
                       uint32_t output)
{
    double sum = f->base[output];

    for (uint32_t t = 0; t < TREES; t++) {
        double weights[NODES_MAX] = {1};
        for (uint32_t i = 0; i < f->n_nodes[t]; i++) {
            const struct tern_forest_node *node = &f->nodes[t][i];
            if (node->test == TERN_FOREST_LEAF) {
                uint32_t at = f->vector[t] ? node->leaf * K + output : node->leaf;
                if (f->vector[t] || t % K == output)
                    sum += weights[i] * f->values[t][at];
                continue;
            }
            uint32_t player = f->has_players ? f->players[node->feature] : node->feature;
            bool is_known = set >> player & 1;
            if (is_known || other != NULL) {
                weights[goes_yes(node, is_known ? row : other) ? node->yes : node->no] = weights[i];
                continue;
            }
            double yes = f->nodes[t][node->yes].cover, no = f->nodes[t][node->no].cover;
            double share = yes + no > 0 ? yes / (yes + no) : 0.5; /* nobody came here */
            weights[node->yes] = weights[i] * share;
            weights[node->no] = weights[i] * (1 - share);
        }
    }
    return sum;
}

static double factorial(unsigned n)
{
    double f = 1;

    for (unsigned i = 2; i <= n; i++)
        f *= i;
    return f;
}

/* The gain of a feature, or of two together, weighted over all sets of the others. */
static double shapley(const struct forest *f, const double *row, const double *other,
                      uint32_t output, unsigned i, unsigned k)
{
    unsigned own = 1u << i | 1u << k, m = i == k ? M : M - 1;
    double sum = 0;

    for (unsigned set = 0; set < 1u << M; set++) {
        unsigned s = (unsigned)__builtin_popcount(set);
        if ((set & own) != 0)
            continue;
        double gain = value_of(f, row, other, set | own, output);
        if (i != k)
            gain -= value_of(f, row, other, set | 1u << i, output) +
                    value_of(f, row, other, set | 1u << k, output) -
                    value_of(f, row, other, set, output);
        else
            gain -= value_of(f, row, other, set, output);
        sum += gain * factorial(s) * factorial(m - s - 1) / factorial(m) / (i == k ? 1 : 2);
    }
    return sum;
}

static void assert_close(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want))))
        fail_msg("got %.17g, want %.17g", got, want);
}

struct answer {
    double values[2 * K * M], interactions[2 * K * M * M], base[K], raw[2 * K];
};

static void run(const struct forest *f, const double *rows, const double *background,
                struct answer *answer, bool interactions)
{
    struct tern_arena arena;
    struct tern_err err;
    const struct tern_shap_run shap = {
        .players = f->has_players ? f->players : NULL,
        .n_players = M,
        .rows = rows,
        .n_rows = 2,
        .background = background,
        .n_background = background == NULL ? 0 : BACKGROUND,
        .values = answer->values,
        .interactions = interactions ? answer->interactions : NULL,
        .base = answer->base,
        .raw = answer->raw,
    };

    tern_arena_init(&arena, 1u << 14, 64u << 20);
    if (tern_shap_run(f->compiled, &shap, &arena, &err) != TERN_OK)
        fail_msg("%s", err.text);
    tern_arena_fini(&arena);
}

/* ---- tests ---- */

static void paths_are_shapley(void **state)
{
    uint64_t random = 1;
    static struct forest f;
    static struct answer answer;
    double rows[2 * M];

    (void)state;
    for (uint32_t round = 0; round < 24; round++) {
        make(&f, round % 7, &random);
        choose_players(&f, round / 7, &random);
        make_row(rows, &random);
        make_row(rows + M, &random);
        run(&f, rows, NULL, &answer, true);
        for (uint32_t r = 0; r < 2; r++) {
            for (uint32_t k = 0; k < K; k++) {
                const double *row = rows + (size_t)r * M;
                assert_close(answer.base[k], value_of(&f, row, NULL, 0, k), 1e-6);
                assert_close(answer.raw[r * K + k], value_of(&f, row, NULL, (1u << M) - 1, k),
                             1e-12);
                for (uint32_t i = 0; i < M; i++) {
                    double diagonal = shapley(&f, row, NULL, k, i, i);
                    assert_close(answer.values[(r * K + k) * M + i], diagonal, 1e-6);
                    for (uint32_t j = 0; j < M; j++) {
                        double pair = i == j ? 0 : shapley(&f, row, NULL, k, i, j);
                        diagonal -= pair;
                        if (i != j)
                            assert_close(answer.interactions[((r * K + k) * M + i) * M + j], pair,
                                         1e-6);
                    }
                    assert_close(answer.interactions[((r * K + k) * M + i) * M + i], diagonal,
                                 1e-6);
                }
            }
        }
        tern_forest_free(f.compiled);
    }
}

static void pairs_are_shapley(void **state)
{
    uint64_t random = 2;
    static struct forest f;
    static struct answer answer;
    double rows[2 * M], background[BACKGROUND * M];

    (void)state;
    for (uint32_t round = 0; round < 24; round++) {
        make(&f, round % 7, &random);
        choose_players(&f, round / 7, &random);
        make_row(rows, &random);
        make_row(rows + M, &random);
        for (uint32_t b = 0; b < BACKGROUND; b++)
            make_row(background + (size_t)b * M, &random);
        run(&f, rows, background, &answer, false);
        for (uint32_t r = 0; r < 2; r++) {
            for (uint32_t k = 0; k < K; k++) {
                const double *row = rows + (size_t)r * M;
                double base = 0;
                for (uint32_t b = 0; b < BACKGROUND; b++)
                    base += value_of(&f, row, background + (size_t)b * M, 0, k) / BACKGROUND;
                assert_close(answer.base[k], base, 1e-12);
                for (uint32_t i = 0; i < M; i++) {
                    double want = 0;
                    for (uint32_t b = 0; b < BACKGROUND; b++)
                        want += shapley(&f, row, background + (size_t)b * M, k, i, i) / BACKGROUND;
                    assert_close(answer.values[(r * K + k) * M + i], want, 1e-12);
                }
            }
        }
        tern_forest_free(f.compiled);
    }
}

static void sums_are_the_score(void **state)
{
    uint64_t random = 3;
    static struct forest f;
    static struct answer answer;
    double rows[2 * M];

    (void)state;
    for (uint32_t round = 0; round < 200; round++) {
        make(&f, 7, &random);
        make_row(rows, &random);
        make_row(rows + M, &random);
        run(&f, rows, NULL, &answer, false);
        for (uint32_t at = 0; at < 2 * K; at++) {
            double sum = answer.base[at % K];
            for (uint32_t i = 0; i < M; i++)
                sum += answer.values[at * M + i];
            assert_close(sum, answer.raw[at], 1e-12);
        }
        tern_forest_free(f.compiled);
    }
}

static void quadrature_is_exact_for_its_degree(void **state)
{
    double nodes[64], weights[64];

    (void)state;
    for (uint32_t n = 1; n <= 64; n++) {
        tern_quadrature(n, nodes, weights);
        for (uint32_t degree = 0; degree < 2 * n; degree++) {
            double sum = 0;
            for (uint32_t i = 0; i < n; i++)
                sum += weights[i] * pow(nodes[i], degree);
            assert_close(sum, 1.0 / (degree + 1), 1e-13);
        }
    }
}

static void refuses_what_is_no_sum(void **state)
{
    const struct tern_forest_node leaf = {.test = TERN_FOREST_LEAF};
    const double value = 1, zero[1] = {0};
    struct tern_forest_builder *builder;
    struct tern_forest *forest;
    struct tern_err err;

    (void)state;
    const struct tern_forest_settings settings = {
        .n_features = 1, .n_outputs = 1, .combine = TERN_FOREST_MAX, .base = zero};
    assert_int_equal(tern_forest_builder_new(&settings, &builder, &err), TERN_OK);
    const struct tern_forest_tree tree = {
        .nodes = &leaf, .n_nodes = 1, .values = &value, .n_leaves = 1};
    assert_int_equal(tern_forest_builder_add_tree(builder, &tree, &err), TERN_OK);
    assert_int_equal(tern_forest_builder_finish(builder, &forest, &err), TERN_OK);
    tern_forest_builder_free(builder);
    assert_int_equal(tern_shap_check(forest, true, &err), TERN_UNIMPLEMENTED);
    assert_non_null(strstr(err.text, "sums"));
    tern_forest_free(forest);
}

static void stops_when_cancelled(void **state)
{
    uint64_t random = 4;
    static struct forest f;
    static struct answer answer;
    struct tern_arena arena;
    struct tern_err err;
    double rows[2 * M];
    const atomic_bool cancelled = true;

    (void)state;
    make(&f, 3, &random);
    make_row(rows, &random);
    const struct tern_shap_run shap = {.rows = rows,
                                       .n_rows = 1,
                                       .values = answer.values,
                                       .base = answer.base,
                                       .raw = answer.raw,
                                       .cancelled = &cancelled};
    tern_arena_init(&arena, 1u << 14, 64u << 20);
    assert_int_equal(tern_shap_run(f.compiled, &shap, &arena, &err), TERN_CANCELLED);
    tern_arena_fini(&arena);
    tern_forest_free(f.compiled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_shapley),
        cmocka_unit_test(pairs_are_shapley),
        cmocka_unit_test(sums_are_the_score),
        cmocka_unit_test(quadrature_is_exact_for_its_degree),
        cmocka_unit_test(refuses_what_is_no_sum),
        cmocka_unit_test(stops_when_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
