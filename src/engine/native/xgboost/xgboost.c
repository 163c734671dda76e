/* XGBoost: models that `Booster.save_model` wrote as JSON or UBJSON, of any version that has these.
 * What becomes of an older binary file is said. */
#include <string.h>

#include "base/compiler.h"
#include "base/num.h"
#include "engine/native/xgboost/xgboost.h"
#include "engine/native/xgboost/xgboost_int.h"

#define VERSION_MAX 3 /* the last major version whose files are known */

/* ---- objects by their tables ---- */

enum tern_code tern_xgboost_read(void *self, struct tern_document *doc, const char *what,
                                 const struct tern_xgboost_member *members, uint32_t n,
                                 struct tern_err *err)
{
    struct tern_str key = {NULL, 0};
    uint32_t seen = 0;
    bool more = false;

    TERN_TRY(tern_document_object(doc, err));
    for (;;) {
        TERN_TRY(tern_document_key(doc, &more, &key, err));
        if (!more)
            break;
        uint32_t i = 0;
        while (i < n && !tern_str_eq(key, tern_str_make(members[i].key, members[i].n)))
            i++;
        if (i < n)
            TERN_TRY(tern_document_once(doc, &seen, i, key, err));
        enum tern_code code =
            i < n ? members[i].read(self, doc, err) : tern_document_skip(doc, err);
        if (code != TERN_OK) {
            if (i < n)
                tern_err_prefix(err, "%s", members[i].key);
            return code;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        if ((seen & 1u << i) == 0 && !members[i].optional)
            return tern_document_fail(doc, err, "expected '%s' in the %s that ends", members[i].key,
                                      what);
    }
    return TERN_OK;
}

enum tern_code tern_xgboost_read_count(struct tern_document *doc, uint64_t max, uint32_t *ret,
                                       struct tern_err *err)
{
    struct tern_str text = {NULL, 0};
    uint64_t value = 0;

    TERN_TRY(tern_document_string(doc, &text, err));
    if (!tern_num_parse_u64(text, max, &value))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "expected a number up to %llu as a string, got '%.*s'",
                         (unsigned long long)max, TERN_STR_ARG(text));
    *ret = (uint32_t)value;
    return TERN_OK;
}

#define COUNT_READER(name, member, max)                                                        \
    static enum tern_code name(void *self, struct tern_document *doc, struct tern_err *err)    \
    {                                                                                          \
        return tern_xgboost_read_count(doc, max, &((struct tern_xgboost *)self)->member, err); \
    }

/* ---- gradient_booster ---- */

COUNT_READER(read_n_trees, n_trees, TERN_FOREST_TREES_MAX)

static enum tern_code read_model_param(void *self, struct tern_document *doc, struct tern_err *err)
{
    static const struct tern_xgboost_member members[] = {
        {TERN_XGBOOST_KEY("num_trees"), read_n_trees, false}};

    return tern_xgboost_read(self, doc, "gbtree_model_param", members, TERN_COUNT_OF(members), err);
}

static enum tern_code note_trees(void *self, struct tern_document *doc, struct tern_err *err)
{
    struct tern_xgboost *x = self;

    x->trees = *doc;
    x->has_trees = true;
    return tern_document_hop(doc, err);
}

static enum tern_code read_groups(void *self, struct tern_document *doc, struct tern_err *err)
{
    return tern_document_numbers(doc, &((struct tern_xgboost *)self)->groups, err);
}

static enum tern_code read_rounds(void *self, struct tern_document *doc, struct tern_err *err)
{
    return tern_document_numbers(doc, &((struct tern_xgboost *)self)->rounds, err);
}

static enum tern_code note_weights(void *self, struct tern_document *doc, struct tern_err *err)
{
    struct tern_xgboost *x = self;

    x->weights = *doc;
    x->has_weights = true;
    return tern_document_hop(doc, err);
}

static enum tern_code read_boosted(void *self, struct tern_document *doc, struct tern_err *err)
{
    int64_t n = 0;

    TERN_TRY(tern_document_integer(doc, 0, INT32_MAX, &n, err));
    ((struct tern_xgboost *)self)->is_boosted = n != 0;
    return TERN_OK;
}

/* Of any booster: what is missing is found out when the booster is known. */
static enum tern_code read_model(void *self, struct tern_document *doc, struct tern_err *err)
{
    static const struct tern_xgboost_member members[] = {
        {TERN_XGBOOST_KEY("gbtree_model_param"), read_model_param, true},
        {TERN_XGBOOST_KEY("trees"), note_trees, true},
        {TERN_XGBOOST_KEY("tree_info"), read_groups, true},
        {TERN_XGBOOST_KEY("iteration_indptr"), read_rounds, true},
        {TERN_XGBOOST_KEY("weights"), note_weights, true},
        {TERN_XGBOOST_KEY("boosted_rounds"), read_boosted, true},
    };
    struct tern_xgboost *x = self;

    if (x->has_model)
        return tern_document_fail(doc, err, "expected one model");
    x->has_model = true;
    return tern_xgboost_read(self, doc, "model", members, TERN_COUNT_OF(members), err);
}

static enum tern_code read_booster(void *self, struct tern_document *doc, struct tern_err *err)
{
    static const char *const names[] = {"gbtree", "dart", "gblinear"}; /* as the enum has them */
    struct tern_str name = {NULL, 0};

    TERN_TRY(tern_document_string(doc, &name, err));
    for (size_t i = 0; i < TERN_COUNT_OF(names); i++) {
        if (tern_str_eq(name, tern_str_of(names[i]))) {
            ((struct tern_xgboost *)self)->booster = (enum tern_xgboost_booster)i;
            return TERN_OK;
        }
    }
    return tern_fail(err, TERN_UNIMPLEMENTED,
                     "booster '%.*s' is not known: gbtree, dart and gblinear are served",
                     TERN_STR_ARG(name));
}

/* dart's gbtree */
static enum tern_code read_gbtree(void *self, struct tern_document *doc, struct tern_err *err)
{
    static const struct tern_xgboost_member members[] = {
        {TERN_XGBOOST_KEY("model"), read_model, false}};

    return tern_xgboost_read(self, doc, "gbtree", members, TERN_COUNT_OF(members), err);
}

static enum tern_code read_drops(void *self, struct tern_document *doc, struct tern_err *err)
{
    return tern_document_numbers(doc, &((struct tern_xgboost *)self)->drops, err);
}

static enum tern_code read_gradient_booster(void *self, struct tern_document *doc,
                                            struct tern_err *err)
{
    static const struct tern_xgboost_member members[] = {
        {TERN_XGBOOST_KEY("name"), read_booster, false},
        {TERN_XGBOOST_KEY("model"), read_model, true},
        {TERN_XGBOOST_KEY("gbtree"), read_gbtree, true},
        {TERN_XGBOOST_KEY("weight_drop"), read_drops, true},
    };

    return tern_xgboost_read(self, doc, "gradient_booster", members, TERN_COUNT_OF(members), err);
}

/* ---- learner ---- */

COUNT_READER(read_n_features, n_features, TERN_FOREST_FEATURES_MAX)
COUNT_READER(read_n_classes, n_classes, TERN_FOREST_OUTPUTS_MAX)
COUNT_READER(read_n_targets, n_targets, TERN_FOREST_OUTPUTS_MAX)
COUNT_READER(read_from_average, boost_from_average, 1)

static enum tern_code read_base_score(void *self, struct tern_document *doc, struct tern_err *err)
{
    return tern_document_string(doc, &((struct tern_xgboost *)self)->base_score, err);
}

static enum tern_code read_learner_param(void *self, struct tern_document *doc,
                                         struct tern_err *err)
{
    static const struct tern_xgboost_member members[] = {
        {TERN_XGBOOST_KEY("base_score"), read_base_score, false},
        {TERN_XGBOOST_KEY("num_feature"), read_n_features, false},
        {TERN_XGBOOST_KEY("num_class"), read_n_classes, false},
        {TERN_XGBOOST_KEY("num_target"), read_n_targets, true},
        {TERN_XGBOOST_KEY("boost_from_average"), read_from_average, true},
    };

    return tern_xgboost_read(self, doc, "learner_model_param", members, TERN_COUNT_OF(members),
                             err);
}

static enum tern_code read_objective_name(void *self, struct tern_document *doc,
                                          struct tern_err *err)
{
    struct tern_xgboost *x = self;
    struct tern_str name = {NULL, 0};

    TERN_TRY(tern_document_string(doc, &name, err));
    x->objective = tern_xgboost_objective(name);
    if (x->objective == NULL)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "objective '%.*s' is not known: set one that is by set_param before "
                         "save_model, such as reg:squarederror for raw margins",
                         TERN_STR_ARG(name));
    return TERN_OK;
}

static enum tern_code read_objective(void *self, struct tern_document *doc, struct tern_err *err)
{
    static const struct tern_xgboost_member members[] = {
        {TERN_XGBOOST_KEY("name"), read_objective_name, false}};

    return tern_xgboost_read(self, doc, "objective", members, TERN_COUNT_OF(members), err);
}

static enum tern_code note_names(void *self, struct tern_document *doc, struct tern_err *err)
{
    struct tern_xgboost *x = self;

    x->names = *doc;
    x->has_names = true;
    return tern_document_skip(doc, err);
}

static enum tern_code read_learner(void *self, struct tern_document *doc, struct tern_err *err)
{
    static const struct tern_xgboost_member members[] = {
        {TERN_XGBOOST_KEY("learner_model_param"), read_learner_param, false},
        {TERN_XGBOOST_KEY("objective"), read_objective, false},
        {TERN_XGBOOST_KEY("gradient_booster"), read_gradient_booster, false},
        {TERN_XGBOOST_KEY("feature_names"), note_names, true},
    };

    return tern_xgboost_read(self, doc, "learner", members, TERN_COUNT_OF(members), err);
}

static enum tern_code read_version(void *self, struct tern_document *doc, struct tern_err *err)
{
    struct tern_document_numbers version;
    (void)self;

    tern_document_numbers_init(&version, TERN_DTYPE_INT32);
    enum tern_code code = tern_document_numbers(doc, &version, err);
    const int32_t *parts = version.data;
    if (code == TERN_OK && (version.n != 3 || parts[0] < 1 || parts[0] > VERSION_MAX))
        code = tern_fail(err, TERN_UNIMPLEMENTED,
                         "the file is of version %d: versions 1 to %d of XGBoost are read",
                         version.n == 0 ? 0 : parts[0], VERSION_MAX);
    tern_document_numbers_fini(&version);
    return code;
}

static enum tern_code refuse_snapshot(void *self, struct tern_document *doc, struct tern_err *err)
{
    (void)self;
    return tern_document_fail(
        doc, err,
        "expected a model of save_model; this is a snapshot of a Booster with "
        "its configuration (serialize)");
}

static enum tern_code read_file(struct tern_xgboost *x, struct tern_document *doc,
                                struct tern_err *err)
{
    static const struct tern_xgboost_member members[] = {
        {TERN_XGBOOST_KEY("learner"), read_learner, false},
        {TERN_XGBOOST_KEY("version"), read_version, true},
        {TERN_XGBOOST_KEY("Model"), refuse_snapshot, true},
        {TERN_XGBOOST_KEY("Config"), refuse_snapshot, true},
    };

    TERN_TRY(tern_xgboost_read(x, doc, "file", members, TERN_COUNT_OF(members), err));
    return tern_document_end(doc, err);
}

/* ---- the program ---- */

static enum tern_code check_shape(struct tern_xgboost *x, struct tern_err *err)
{
    if (x->n_features == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "num_feature is 0");
    if (x->n_classes > 1 && x->n_targets > 1)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "%u classes and %u targets: XGBoost predicts one or the other",
                         x->n_classes, x->n_targets);
    x->n_outputs = x->n_classes > x->n_targets ? x->n_classes : x->n_targets;
    if (x->n_outputs == 0)
        x->n_outputs = 1;
    if (x->booster == TERN_XGBOOST_GBLINEAR ? !x->has_weights : !x->has_trees)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "the booster's model has no '%s'",
                         x->booster == TERN_XGBOOST_GBLINEAR ? "weights" : "trees");
    return TERN_OK;
}

/* Counted before any memory is taken for them. */
static enum tern_code count_names(struct tern_xgboost *x, uint32_t *ret, struct tern_err *err)
{
    struct tern_document doc = x->names;
    uint32_t n = 0;
    bool more = false;

    TERN_TRY(tern_document_array(&doc, err));
    for (;; n++) {
        TERN_TRY(tern_document_item(&doc, &more, err));
        if (!more)
            break;
        if (n == x->n_features)
            return tern_document_fail(&doc, err, "expected no more than %u names", n);
        TERN_TRY(tern_document_skip(&doc, err));
    }
    if (n != 0 && n != x->n_features)
        return tern_document_fail(&doc, err, "expected %u names, found %u", x->n_features, n);
    *ret = n;
    return TERN_OK;
}

static enum tern_code keep_names(struct tern_xgboost *x, struct tern_err *err)
{
    struct tern_str *names;
    uint32_t n = 0;
    bool more = false;

    if (!x->has_names)
        return TERN_OK;
    TERN_TRY(count_names(x, &n, err));
    if (n == 0)
        return TERN_OK;
    names = tern_arena_zalloc(x->arena, n, sizeof(*names));
    if (names == NULL)
        return tern_arena_fail(x->arena, err, "feature_names");
    TERN_TRY(tern_document_array(&x->names, err));
    for (uint32_t i = 0; i < n; i++) {
        struct tern_str name = {NULL, 0};
        TERN_TRY(tern_document_item(&x->names, &more, err));
        TERN_TRY(tern_document_string(&x->names, &name, err));
        names[i] = tern_arena_copy(x->arena, name);
        if (names[i].p == NULL && name.n != 0)
            return tern_arena_fail(x->arena, err, "feature_names");
    }
    x->program->feature_names = names;
    x->program->n_feature_names = n;
    return TERN_OK;
}

/* Rows of weights, a feature each, and one of biases. All outputs start from the first base score,
 * whatever the others are. */
static enum tern_code add_linear(struct tern_xgboost *x, uint32_t *value, struct tern_err *err)
{
    struct tern_document_numbers weights;
    size_t k = x->n_outputs, n = ((size_t)x->n_features + 1) * k;

    tern_document_numbers_init(&weights, TERN_DTYPE_FP32);
    enum tern_code code = tern_document_numbers(&x->weights, &weights, err);
    if (code == TERN_OK && weights.n != n)
        code = tern_fail(err, TERN_INVALID_ARGUMENT,
                         "weights has %zu entries, expected %zu: for %u features and a bias, %zu "
                         "each",
                         weights.n, n, x->n_features, k);
    float *kept = code == TERN_OK ? tern_arena_alloc(x->arena, 64, n * sizeof(*kept)) : NULL;
    if (code == TERN_OK && kept == NULL)
        code = tern_arena_fail(x->arena, err, "weights");
    if (code == TERN_OK) {
        memcpy(kept, weights.data, n * sizeof(*kept));
        for (size_t j = n - k; j < n; j++)
            kept[j] += x->margins[0];
    }
    tern_document_numbers_fini(&weights);
    TERN_TRY(code);
    const struct tern_linear linear = {
        .weights = kept,
        .bias = kept + (n - k),
        .n_features = x->n_features,
        .n_outputs = x->n_outputs,
        .dtype = TERN_DTYPE_FP32,
        .skip_missing = true,
    };
    return tern_op_linear(x->program, &linear, value, err);
}

static enum tern_code add_booster(struct tern_xgboost *x, uint32_t *value, struct tern_err *err)
{
    struct tern_forest *forest;

    if (x->booster == TERN_XGBOOST_GBLINEAR)
        return add_linear(x, value, err);
    TERN_TRY(tern_xgboost_forest(x, &forest, err));
    return tern_op_forest(x->program, forest, value, err);
}

static enum tern_code make_program(struct tern_xgboost *x, struct tern_err *err)
{
    struct tern_program *program = x->program;
    struct tern_tensor_spec spec = {
        .name = TERN_STR("input__0"), .dtype = TERN_DTYPE_FP32, .shape = {2, {-1, x->n_features}}};
    bool is_fitted = x->booster == TERN_XGBOOST_GBLINEAR ? x->is_boosted : x->n_trees != 0;
    uint32_t value;

    TERN_TRY(keep_names(x, err));
    TERN_TRY(tern_xgboost_margins(x, is_fitted, err));
    TERN_TRY(tern_program_input(program, &spec, &value, err));
    TERN_TRY(add_booster(x, &value, err));
    TERN_TRY(tern_op_link(program, x->objective->link, 1, &value, err));
    spec.name = TERN_STR("output__0");
    spec.shape.dim[1] = x->objective->link == TERN_LINK_ARGMAX ? 1 : x->n_outputs;
    return tern_program_output(program, &spec, value, err);
}

static enum tern_code load(const struct tern_native_source *source, struct tern_program *program,
                           struct tern_err *err)
{
    struct tern_xgboost x = {
        .arena = source->arena, .program = program, .n_targets = 1, .boost_from_average = 1};
    struct tern_document doc;

    tern_document_numbers_init(&x.groups, TERN_DTYPE_INT32);
    tern_document_numbers_init(&x.rounds, TERN_DTYPE_INT32);
    tern_document_numbers_init(&x.drops, TERN_DTYPE_FP32);
    tern_document_init(&doc, source->bytes, source->arena);
    enum tern_code code = read_file(&x, &doc, err);
    if (code == TERN_OK)
        code = check_shape(&x, err);
    if (code == TERN_OK)
        code = make_program(&x, err);
    tern_document_numbers_fini(&x.groups);
    tern_document_numbers_fini(&x.rounds);
    tern_document_numbers_fini(&x.drops);
    if (code != TERN_OK)
        tern_err_prefix(err, "XGBoost model");
    return code;
}

/* ---- whose file it is ---- */

static bool has(struct tern_str text, struct tern_str what)
{
    return text.n != 0 && memmem(text.p, text.n, what.p, what.n) != NULL;
}

static bool is_xgboost(struct tern_str head)
{
    struct tern_str start = {head.p, head.n < 4096 ? head.n : 4096};

    if (start.n == 0 || start.p[0] != '{')
        return false;
    return tern_document_is_binary(head)
               ? has(start, TERN_STR("\7learner")) || has(start, TERN_STR("\7version[")) ||
                     has(start, TERN_STR("\5Model")) || has(start, TERN_STR("\6Config"))
               : has(start, TERN_STR("\"learner\""));
}

static int probe_json(struct tern_str file_name, struct tern_str head)
{
    if (head.n == 0)
        return tern_str_eq(file_name, TERN_STR("xgboost.json")) ? 100 : 0;
    if (is_xgboost(head) && !tern_document_is_binary(head))
        return 100;
    return tern_str_eq(file_name, TERN_STR("xgboost.json")) ? 50 : 0;
}

static int probe_ubjson(struct tern_str file_name, struct tern_str head)
{
    bool is_mine = tern_str_ends(file_name, TERN_STR(".ubj"));

    if (head.n == 0)
        return is_mine ? 100 : 0;
    if (is_xgboost(head) && tern_document_is_binary(head))
        return 100;
    return is_mine ? 50 : 0;
}

static int probe_binary(struct tern_str file_name, struct tern_str head)
{
    bool is_mine = tern_str_eq(file_name, TERN_STR("xgboost.model"));

    if (head.n == 0)
        return is_mine ? 100 : 0;
    if (tern_str_starts(head, TERN_STR("binf")))
        return 100;
    return is_mine ? 40 : 0; /* unless what is in it is JSON or UBJSON */
}

static enum tern_code refuse_binary(const struct tern_native_source *source,
                                    struct tern_program *program, struct tern_err *err)
{
    (void)source;
    (void)program;
    return tern_fail(err, TERN_UNIMPLEMENTED,
                     "XGBoost model: the binary format of XGBoost before 3.1, which XGBoost itself "
                     "does not read any more: load it with 3.0 or older and save it as JSON or "
                     "UBJSON, save_model('xgboost.ubj')");
}

const struct tern_native_format tern_xgboost_json = {
    .name = "xgboost_json", .help = "XGBoost, JSON", .probe = probe_json, .load = load};
const struct tern_native_format tern_xgboost_ubjson = {
    .name = "xgboost_ubj", .help = "XGBoost, UBJSON", .probe = probe_ubjson, .load = load};
const struct tern_native_format tern_xgboost_binary = {.name = "xgboost",
                                                       .help =
                                                           "XGBoost before 3.1, binary: refused",
                                                       .probe = probe_binary,
                                                       .load = refuse_binary};
