/* LightGBM's text in the making of a model: its lines, and what the head and the trees share. */
#ifndef TERN_ENGINE_NATIVE_LIGHTGBM_TEXT_H
#define TERN_ENGINE_NATIVE_LIGHTGBM_TEXT_H

#include "engine/native/lightgbm/lightgbm_int.h"

/* X(name): the lines of a tree. Those that explain how it was grown are named to be passed over. */
#define TERN_LIGHTGBM_LINES(X) \
    X(num_leaves)              \
    X(num_cat)                 \
    X(split_feature)           \
    X(threshold)               \
    X(decision_type)           \
    X(left_child)              \
    X(right_child)             \
    X(leaf_value)              \
    X(leaf_count)              \
    X(internal_count)          \
    X(cat_boundaries)          \
    X(cat_threshold)           \
    X(is_linear)               \
    X(leaf_const)              \
    X(num_features)            \
    X(leaf_features)           \
    X(leaf_coeff)              \
    X(split_gain)              \
    X(leaf_weight)             \
    X(internal_value)          \
    X(internal_weight)         \
    X(shrinkage)

enum tern_lightgbm_line {
#define X(name) TERN_LIGHTGBM_LINE_##name,
    TERN_LIGHTGBM_LINES(X)
#undef X
        TERN_LIGHTGBM_LINE_COUNT,
};

struct tern_lightgbm_text {
    struct tern_lightgbm model;
    const char *p, *end; /* what is not read yet */
    uint32_t line;       /* the number of the last one that was read */
    struct tern_str values[TERN_LIGHTGBM_LINE_COUNT];
    int64_t n_trees; /* that the head announces; -1: it does not */
    size_t integers_cap, reals_cap, categories_cap, sets_cap, bounds_cap;
    int64_t *integers;    /* owned */
    double *reals;        /* owned */
    uint32_t *categories; /* owned: of one set */
    uint32_t *sets;       /* owned: of one tree */
    int64_t *bounds;      /* owned: where the words of each set begin, and the end */
};

/* The next line without its end; false when there is none. */
bool tern_lightgbm_next_line(struct tern_lightgbm_text *text, struct tern_str *ret);
/* "key=value"; false, and all of it is the key, without '='. */
bool tern_lightgbm_cut_key(struct tern_str line, struct tern_str *ret_key,
                           struct tern_str *ret_value);
/* The next word of a list whose words stand between spaces. */
bool tern_lightgbm_next_word(struct tern_str *rest, struct tern_str *ret);
size_t tern_lightgbm_count_words(struct tern_str list);

/* Reads a tree, whose line "Tree=i" was read, and adds it to the model. */
enum tern_code tern_lightgbm_text_tree(struct tern_lightgbm_text *text, struct tern_err *err);
/* Frees what reading trees took. */
void tern_lightgbm_text_fini(struct tern_lightgbm_text *text);

#endif
