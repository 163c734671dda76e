/* Objectives: what a prediction is made of a margin, and a margin of base_score. */
#include <math.h>
#include <string.h>

#include "base/compiler.h"
#include "engine/native/xgboost/xgboost_int.h"
#include "simd/numbers.h"

#define EPSILON 1e-6f /* XGBoost's kRtEps */
#define UNKNOWN 0.5f  /* the margin of a model that was never trained */

const struct tern_xgboost_objective *tern_xgboost_objective(struct tern_str name)
{
    static const struct tern_xgboost_objective objectives[] = {
        {"reg:squarederror", TERN_XGBOOST_MARGIN_SAME, TERN_LINK_IDENTITY},
        {"reg:linear", TERN_XGBOOST_MARGIN_SAME, TERN_LINK_IDENTITY},
        {"reg:squaredlogerror", TERN_XGBOOST_MARGIN_SAME, TERN_LINK_IDENTITY},
        {"reg:pseudohubererror", TERN_XGBOOST_MARGIN_SAME, TERN_LINK_IDENTITY},
        {"reg:absoluteerror", TERN_XGBOOST_MARGIN_SAME, TERN_LINK_IDENTITY},
        {"reg:quantileerror", TERN_XGBOOST_MARGIN_SAME, TERN_LINK_IDENTITY},
        {"reg:logistic", TERN_XGBOOST_MARGIN_LOGIT, TERN_LINK_SIGMOID},
        {"reg:gamma", TERN_XGBOOST_MARGIN_LOG, TERN_LINK_EXP},
        {"reg:tweedie", TERN_XGBOOST_MARGIN_LOG, TERN_LINK_EXP},
        {"count:poisson", TERN_XGBOOST_MARGIN_LOG, TERN_LINK_EXP},
        {"survival:cox", TERN_XGBOOST_MARGIN_LOG, TERN_LINK_EXP},
        {"survival:aft", TERN_XGBOOST_MARGIN_LOG, TERN_LINK_EXP},
        {"binary:logistic", TERN_XGBOOST_MARGIN_LOGIT, TERN_LINK_SIGMOID},
        {"binary:logitraw", TERN_XGBOOST_MARGIN_SAME, TERN_LINK_IDENTITY},
        {"binary:hinge", TERN_XGBOOST_MARGIN_SAME, TERN_LINK_STEP},
        {"multi:softmax", TERN_XGBOOST_MARGIN_SAME, TERN_LINK_ARGMAX},
        {"multi:softprob", TERN_XGBOOST_MARGIN_SAME, TERN_LINK_SOFTMAX},
        {"rank:pairwise", TERN_XGBOOST_MARGIN_SAME, TERN_LINK_IDENTITY},
        {"rank:ndcg", TERN_XGBOOST_MARGIN_SAME, TERN_LINK_IDENTITY},
        {"rank:map", TERN_XGBOOST_MARGIN_SAME, TERN_LINK_IDENTITY},
    };

    for (size_t i = 0; i < TERN_COUNT_OF(objectives); i++) {
        if (tern_str_eq(name, tern_str_of(objectives[i].name)))
            return &objectives[i];
    }
    return NULL;
}

static enum tern_code margin_of(const struct tern_xgboost_objective *objective, float base,
                                float *ret, struct tern_err *err)
{
    bool is_log = objective->margin == TERN_XGBOOST_MARGIN_LOG;
    bool is_logit = objective->margin == TERN_XGBOOST_MARGIN_LOGIT;

    if (!isfinite(base) || (is_log && base <= 0) || (is_logit && (base < 0 || base > 1)))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "base_score is %g: expected %s for %s",
                         (double)base,
                         is_log     ? "more than 0"
                         : is_logit ? "a number from 0 to 1"
                                    : "a finite number",
                         objective->name);
    if (is_logit) {
        base = base > EPSILON ? base : EPSILON;
        base = base < 1.0f - EPSILON ? base : 1.0f - EPSILON;
        *ret = -logf(1.0f / base - 1.0f);
    } else {
        *ret = is_log ? logf(base) : base;
    }
    return TERN_OK;
}

/* base_score as an array: "5E-1" is "[5E-1]", and round brackets are square ones. */
static enum tern_code read_scores(struct tern_xgboost *x, struct tern_document_numbers *scores,
                                  struct tern_err *err)
{
    struct tern_str text = tern_str_trim(x->base_score);
    bool bare = text.n < 2 || (text.p[0] != '[' && text.p[0] != '(');
    struct tern_document doc;

    char *copy = tern_arena_zalloc(x->arena, text.n + 2 + TERN_TEXT_PAD, 1);
    if (copy == NULL)
        return tern_arena_fail(x->arena, err, "base_score");
    if (text.n != 0)
        memcpy(copy + bare, text.p, text.n);
    size_t n = text.n + (bare ? 2 : 0);
    copy[0] = '[';
    if (bare || copy[n - 1] == ')')
        copy[n - 1] = ']';
    tern_document_init(&doc, tern_str_make(copy, n), x->arena);
    if (doc.is_binary)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "expected one or more numbers");
    scores->max = TERN_FOREST_OUTPUTS_MAX;
    TERN_TRY(tern_document_numbers(&doc, scores, err));
    return tern_document_end(&doc, err);
}

static enum tern_code set_margins(struct tern_xgboost *x, const float *scores, size_t n,
                                  bool is_fitted, struct tern_err *err)
{
    if (n != x->n_outputs && n != 1)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "base_score has %zu numbers, expected %u", n,
                         x->n_outputs);
    for (uint32_t i = 0; i < x->n_outputs; i++) {
        TERN_TRY(margin_of(x->objective, scores[n == 1 ? 0 : i], &x->margins[i], err));
        if (!is_fitted && x->boost_from_average)
            x->margins[i] = UNKNOWN;
    }
    return TERN_OK;
}

enum tern_code tern_xgboost_margins(struct tern_xgboost *x, bool is_fitted, struct tern_err *err)
{
    struct tern_document_numbers scores;

    x->margins = tern_arena_zalloc(x->arena, x->n_outputs, sizeof(*x->margins));
    if (x->margins == NULL)
        return tern_arena_fail(x->arena, err, "base_score");
    tern_document_numbers_init(&scores, TERN_DTYPE_FP32);
    enum tern_code code = read_scores(x, &scores, err);
    if (code != TERN_OK)
        tern_err_prefix(err, "base_score");
    else
        code = set_margins(x, scores.data, scores.n, is_fitted, err);
    tern_document_numbers_fini(&scores);
    return code;
}
