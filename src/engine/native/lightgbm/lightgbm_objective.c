/* LightGBM's objectives (src/objective/): each says, with ConvertOutput, what becomes of a sum. */
#include "engine/native/lightgbm/lightgbm_int.h"

#include <math.h>
#include "base/num.h"
#include "forest/forest.h"
#include "simd/numbers.h"

/* Words that may follow an objective's name. */
enum {
    WORD_SIGMOID = 1, /* sigmoid:A is needed */
    WORD_CLASSES = 2, /* num_class:N is needed */
    WORD_SQRT = 4,    /* sqrt: labels were square roots */
};

struct objective {
    const char *name;
    enum tern_link link;
    int words;
};

static const struct objective objectives[] = {
    {"regression", TERN_LINK_IDENTITY, WORD_SQRT},
    {"regression_l1", TERN_LINK_IDENTITY, WORD_SQRT},
    {"fair", TERN_LINK_IDENTITY, WORD_SQRT},
    {"quantile", TERN_LINK_IDENTITY, WORD_SQRT},
    {"mape", TERN_LINK_IDENTITY, WORD_SQRT},
    {"huber", TERN_LINK_IDENTITY, 0},
    {"poisson", TERN_LINK_EXP, 0},
    {"gamma", TERN_LINK_EXP, 0},
    {"tweedie", TERN_LINK_EXP, 0},
    {"binary", TERN_LINK_SIGMOID, WORD_SIGMOID},
    {"multiclass", TERN_LINK_SOFTMAX, WORD_CLASSES},
    {"multiclassova", TERN_LINK_SIGMOID, WORD_CLASSES | WORD_SIGMOID},
    {"cross_entropy", TERN_LINK_SIGMOID, 0},
    {"cross_entropy_lambda", TERN_LINK_LOG1P_EXP, 0},
    /* their names until 2.2 */
    {"xentropy", TERN_LINK_SIGMOID, 0},
    {"xentlambda", TERN_LINK_LOG1P_EXP, 0},
    {"lambdarank", TERN_LINK_IDENTITY, 0},
    {"rank_xendcg", TERN_LINK_IDENTITY, 0},
    {"custom", TERN_LINK_IDENTITY, 0},
    {"none", TERN_LINK_IDENTITY, 0},
};

static const struct objective *find_objective(struct tern_str name)
{
    for (size_t i = 0; i < sizeof(objectives) / sizeof(objectives[0]); i++) {
        if (tern_str_eq(tern_str_of(objectives[i].name), name))
            return &objectives[i];
    }
    return NULL;
}

static bool read_sigmoid(struct tern_str text, double *ret)
{
    size_t used;
    return text.n > 0 && tern_numbers_read_double(text, ret, &used, NULL) == TERN_OK &&
           used == text.n && *ret > 0;
}

/* One word after the name; *words collects what was there. */
static enum tern_code read_word(struct tern_str word, struct tern_lightgbm_objective *ret,
                                int *words, struct tern_err *err)
{
    struct tern_str sigmoid = TERN_STR("sigmoid:");
    struct tern_str classes = TERN_STR("num_class:");
    uint64_t n_class = 0;

    if (tern_str_eq(word, TERN_STR("sqrt"))) {
        *words |= WORD_SQRT;
        return TERN_OK;
    }
    if (tern_str_starts(word, sigmoid)) {
        *words |= WORD_SIGMOID;
        if (read_sigmoid(tern_str_from(word, sigmoid.n), &ret->parameter))
            return TERN_OK;
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "objective: expected a number above 0 in '%.*s'", TERN_STR_ARG(word));
    }
    if (tern_str_starts(word, classes)) {
        *words |= WORD_CLASSES;
        if (tern_num_parse_u64(tern_str_from(word, classes.n), TERN_FOREST_OUTPUTS_MAX, &n_class) &&
            n_class > 0) {
            ret->n_class = (uint32_t)n_class;
            return TERN_OK;
        }
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "objective: expected a number from 1 to %u in '%.*s'",
                         TERN_FOREST_OUTPUTS_MAX, TERN_STR_ARG(word));
    }
    return tern_fail(err, TERN_UNIMPLEMENTED, "objective: what '%.*s' does is not known",
                     TERN_STR_ARG(word));
}

enum tern_code tern_lightgbm_objective_read(struct tern_str text,
                                            struct tern_lightgbm_objective *ret,
                                            struct tern_err *err)
{
    struct tern_lightgbm_objective found = {.link = TERN_LINK_IDENTITY, .parameter = 1};
    struct tern_str rest = tern_str_trim(text);
    struct tern_str word;
    int words = 0;

    if (!tern_str_split(&rest, ' ', &word)) {
        *ret = found;
        return TERN_OK;
    }
    const struct objective *objective = find_objective(word);
    if (objective == NULL)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "objective '%.*s' is not known: what predict makes of its sums is not "
                         "served",
                         TERN_STR_ARG(word));
    found.link = objective->link;
    while (tern_str_split(&rest, ' ', &word)) {
        if (word.n > 0)
            TERN_TRY(read_word(word, &found, &words, err));
    }
    int missing = objective->words & ~words & (WORD_SIGMOID | WORD_CLASSES);
    if (missing != 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "objective: '%s' needs %s", objective->name,
                         (missing & WORD_CLASSES) != 0 ? "num_class:" : "sigmoid:");
    if ((words & objective->words & WORD_SQRT) != 0)
        found.link = TERN_LINK_SQUARE;
    *ret = found;
    return TERN_OK;
}
