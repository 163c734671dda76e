#include "engine/native/native_options.h"

#include <stdio.h>
#include "base/compiler.h"
#include "simd/numbers.h"

enum key { OUTPUT_CLASS, PREDICT_PROBA, THRESHOLD, MODEL_TYPE, WITHOUT_EFFECT };

static const struct {
    const char *name;
    enum key key;
} keys[] = {
    {"output_class", OUTPUT_CLASS},
    {"predict_proba", PREDICT_PROBA},
    {"threshold", THRESHOLD},
    {"model_type", MODEL_TYPE},
    {"is_classifier", OUTPUT_CLASS},
    {"storage_type", WITHOUT_EFFECT},
    {"algo", WITHOUT_EFFECT},
    {"threads_per_tree", WITHOUT_EFFECT},
    {"blocks_per_sm", WITHOUT_EFFECT},
    {"transfer_threshold", WITHOUT_EFFECT},
    {"use_experimental_optimizations", WITHOUT_EFFECT},
    {"xgboost_allow_unknown_field", WITHOUT_EFFECT},
};

/* ---- reading ---- */

static enum tern_code read_bool(const struct tern_engine_option *option, bool *ret,
                                struct tern_err *err)
{
    bool yes = tern_str_eq_nocase(option->value, TERN_STR("true")) ||
               tern_str_eq(option->value, TERN_STR("1"));
    bool no = tern_str_eq_nocase(option->value, TERN_STR("false")) ||
              tern_str_eq(option->value, TERN_STR("0"));

    if (!yes && !no)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "%.*s: expected true or false, got \"%.*s\"",
                         TERN_STR_ARG(option->key), TERN_STR_ARG(option->value));
    *ret = yes;
    return TERN_OK;
}

static enum tern_code read_threshold(const struct tern_engine_option *option, double *ret,
                                     struct tern_err *err)
{
    size_t used = 0;

    if (tern_numbers_read_double(option->value, ret, &used, NULL) != TERN_OK ||
        used != option->value.n)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "threshold: expected a number, got \"%.*s\"",
                         TERN_STR_ARG(option->value));
    return TERN_OK;
}

static enum tern_code fail_unknown(const struct tern_engine_option *option, struct tern_err *err)
{
    char known[512] = "";

    for (size_t i = 0, n = 0; i < TERN_COUNT_OF(keys) && n < sizeof(known); i++)
        n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", i == 0 ? "" : ", ",
                              keys[i].name);
    return tern_fail(err, TERN_INVALID_ARGUMENT, "unknown parameter \"%.*s\", expected one of: %s",
                     TERN_STR_ARG(option->key), known);
}

static enum tern_code read_option(const struct tern_engine_option *option,
                                  struct tern_native_options *ret, struct tern_err *err)
{
    size_t i = 0;

    while (i < TERN_COUNT_OF(keys) && !tern_str_eq(option->key, tern_str_of(keys[i].name)))
        i++;
    if (i == TERN_COUNT_OF(keys))
        return fail_unknown(option, err);
    switch (keys[i].key) {
    case OUTPUT_CLASS:
        return read_bool(option, &ret->output_class, err);
    case PREDICT_PROBA:
        return read_bool(option, &ret->predict_proba, err);
    case MODEL_TYPE:
        ret->model_type = option->value;
        return TERN_OK;
    case THRESHOLD:
        return read_threshold(option, &ret->threshold, err);
    case WITHOUT_EFFECT:
    default:
        return TERN_OK;
    }
}

enum tern_code tern_native_options_parse(const struct tern_engine_load *spec,
                                         struct tern_native_options *ret_options,
                                         struct tern_err *err)
{
    struct tern_native_options options = {.threshold = 0.5};

    for (uint32_t i = 0; i < spec->n_options; i++)
        TERN_TRY(read_option(&spec->options[i], &options, err));
    *ret_options = options;
    return TERN_OK;
}

/* ---- what they do ---- */

struct classes {
    bool is_class; /* else a score for each */
    double threshold;
};

static double score_at(const struct tern_tensor *in, size_t at)
{
    return in->dtype == TERN_DTYPE_FP64 ? ((const double *)in->data)[at]
                                        : (double)((const float *)in->data)[at];
}

static void put_score(struct tern_tensor *out, size_t at, double v)
{
    if (out->dtype == TERN_DTYPE_FP64)
        ((double *)out->data)[at] = v;
    else
        ((float *)out->data)[at] = (float)v;
}

static double class_of(const struct tern_tensor *in, size_t row, size_t k, double threshold)
{
    size_t best = 0;

    if (k == 1)
        return score_at(in, row) > threshold;
    for (size_t i = 1; i < k; i++)
        if (score_at(in, row * k + i) > score_at(in, row * k + best))
            best = i;
    return (double)best;
}

static enum tern_code run_classes(const struct tern_step *step, struct tern_program_run *run,
                                  struct tern_err *err)
{
    const struct classes *classes = step->state;
    const struct tern_tensor *in = tern_step_in(step, run, 0);
    size_t n = (size_t)in->shape.dim[0], k = (size_t)in->shape.dim[1];
    const struct tern_shape shape = {2,
                                     {in->shape.dim[0], classes->is_class ? 1
                                                        : k == 1          ? 2
                                                                          : (int64_t)k}};
    struct tern_tensor *out;

    TERN_TRY(tern_step_out(step, run, 0, &shape, &out, err));
    for (size_t i = 0; i < n; i++) {
        if (classes->is_class) {
            put_score(out, i, class_of(in, i, k, classes->threshold));
        } else if (k == 1) {
            put_score(out, 2 * i, 1 - score_at(in, i));
            put_score(out, 2 * i + 1, score_at(in, i));
        } else {
            for (size_t c = 0; c < k; c++)
                put_score(out, i * k + c, score_at(in, i * k + c));
        }
    }
    return TERN_OK;
}

TERN_OPERATOR(tern_classes_op, .name = "classes", .run = run_classes,
              TERN_STATE(struct classes, NULL));

enum tern_code tern_native_options_apply(const struct tern_native_options *options,
                                         struct tern_program *program, struct tern_err *err)
{
    struct tern_tensor_spec *spec = &program->outputs[0];
    struct classes *classes;

    if (!options->output_class && !options->predict_proba)
        return TERN_OK;
    if (program->n_outputs != 1 || spec->shape.rank != 2)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "output_class and predict_proba are for models with one output of scores");
    classes = tern_arena_zalloc(program->arena, 1, sizeof(*classes));
    if (classes == NULL)
        return tern_arena_fail(program->arena, err, "an option");
    *classes = (struct classes){!options->predict_proba, options->threshold};
    spec->shape.dim[1] = classes->is_class ? 1 : spec->shape.dim[1] == 1 ? 2 : spec->shape.dim[1];
    return tern_program_then(program, &tern_classes_op, classes, spec->dtype,
                             &program->outputs_at[0], err);
}
