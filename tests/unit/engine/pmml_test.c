// covers: engine/native/pmml/pmml engine/native/pmml/pmml_fields engine/native/pmml/pmml_formula
// covers: engine/native/pmml/pmml_predicate engine/native/pmml/pmml_tree
// covers: engine/native/pmml/pmml_emit
// covers: engine/native/pmml/pmml_models engine/native/pmml/pmml_regression
// covers: engine/native/pmml/pmml_program
// covers: engine/native/pmml/pmml_op_fields engine/native/pmml/pmml_op_formulas
// covers: engine/native/pmml/pmml_op_answers engine/native/pmml/pmml_table
/* PMML: what each part of the standard means. That files of exporters predict as the models they
 * were made of is shown in tests/oracle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include "engine/native/explain.h"
#include "engine/native/pmml/pmml_ops.h"
#include "pmml_fixture.h"

#define ROWS_MAX   16
#define INPUTS_MAX 8

/* ---- running ---- */

static void load(struct native_rig *rig, const char *text)
{
    if (native_load(rig, &tern_pmml, tern_str_of(text)) != TERN_OK)
        fail_msg("%s", rig->err.text);
}

/* A field's cells as text: numbers, or BYTES as they come over the wire. */
static void fill(struct native_rig *rig, const struct tern_tensor_spec *spec, const char *cells[],
                 size_t n, size_t step, struct tern_tensor *ret)
{
    char *at = tern_arena_alloc(&rig->arena, 64, 4096);

    assert_non_null(at);
    *ret = (struct tern_tensor){.name = spec->name,
                                .dtype = spec->dtype,
                                .shape = {2, {(int64_t)(n / step), (int64_t)step}},
                                .data = at};
    for (size_t i = 0; i < n; i++) {
        if (spec->dtype == TERN_DTYPE_BYTES) {
            uint32_t length = (uint32_t)strlen(cells[i]);
            memcpy(at + ret->n_bytes, &length, 4);
            memcpy(at + ret->n_bytes + 4, cells[i], length);
            ret->n_bytes += 4 + length;
        } else {
            double x = strcmp(cells[i], "?") == 0 ? (double)NAN : atof(cells[i]);
            memcpy(at + ret->n_bytes, &x, sizeof(x));
            ret->n_bytes += sizeof(x);
        }
    }
}

/* cells: row by row. Fills all outputs. */
static void run(struct native_rig *rig, const char *const cells[], size_t n_rows, size_t width,
                struct tern_tensor outputs[2])
{
    static const uint32_t places[INPUTS_MAX] = {0, 1, 2, 3, 4, 5, 6, 7};
    struct tern_tensor inputs[INPUTS_MAX];
    const char *column[ROWS_MAX * INPUTS_MAX];
    uint32_t n = rig->program.n_inputs;
    bool is_matrix = n == 1;
    const struct tern_engine_run one = {.inputs = inputs,
                                        .input_spec = places,
                                        .n_inputs = n,
                                        .outputs = outputs,
                                        .output_spec = places,
                                        .n_outputs = rig->program.n_outputs,
                                        .arena = &rig->arena};

    assert_true(n_rows * width <= ROWS_MAX * INPUTS_MAX);
    assert_true(is_matrix || n == width);
    for (uint32_t f = 0; f < n; f++) {
        for (size_t i = 0; i < n_rows * width; i++)
            column[i] = is_matrix ? cells[i] : i < n_rows ? cells[i * width + f] : "";
        fill(rig, &rig->program.inputs[f], column, is_matrix ? n_rows * width : n_rows,
             is_matrix ? width : 1, &inputs[f]);
    }
    memset(outputs, 0, 2 * sizeof(*outputs));
    if (tern_program_run(&rig->program, &one, &rig->err) != TERN_OK)
        fail_msg("%s", rig->err.text);
}

static double number_at(const struct tern_tensor *t, size_t i)
{
    return t->dtype == TERN_DTYPE_FP32 ? (double)((const float *)t->data)[i]
                                       : ((const double *)t->data)[i];
}

static void same(double got, double expected, size_t i)
{
    if (isnan(expected) ? !isnan(got) : !(fabs(got - expected) <= 1e-12 * fabs(expected)))
        fail_msg("value %zu: got %.17g, expected %.17g", i, got, expected);
}

/* A model of one number; each row is a list of cells and the answer. */
static void expect_numbers(const char *text, const char *const cells[], size_t n_rows, size_t width,
                           const double *expected)
{
    struct native_rig rig;
    struct tern_tensor outputs[2];

    load(&rig, text);
    run(&rig, cells, n_rows, width, outputs);
    for (size_t i = 0; i < n_rows; i++)
        same(number_at(&outputs[0], i), expected[i], i);
    native_free(&rig);
}

/* A model of classes with texts as labels, and k probabilities a row. */
static void expect_classes(const char *text, const char *const cells[], size_t n_rows, size_t width,
                           const char *const labels[], const double *shares, size_t k)
{
    struct native_rig rig;
    struct tern_tensor outputs[2];
    size_t at = 0;

    load(&rig, text);
    run(&rig, cells, n_rows, width, outputs);
    assert_int_equal(outputs[1].shape.dim[1], k);
    for (size_t i = 0; i < n_rows; i++) {
        struct tern_str label = {NULL, 0};
        assert_true(tern_tensor_next_bytes(&outputs[0], &at, &label));
        if (!tern_str_eq(label, tern_str_of(labels[i])))
            fail_msg("row %zu: got '%.*s', expected '%s'", i, TERN_STR_ARG(label), labels[i]);
        for (size_t c = 0; c < k; c++)
            same(number_at(&outputs[1], i * k + c), shares[i * k + c], i * k + c);
    }
    native_free(&rig);
}

static void play_golf(void **state)
{
    static const char *const cells[] = {
        "75",    "55", "false", "overcast", /* may play */
        "75",    "55", "true",  "sunny",    /* will play */
        "75",    "85", "true",  "sunny",    "95",   "85", "true",
        "sunny", "75", "60",    "true",     "rain", /* the first child of the second is not true */
        "75",    "80", "true",  "rain",             /* none is */
        "75",    "55", "false", "storm",            /* no value of the field */
        "?",     "55", "true",  "sunny",            /* unknown, and no child is true */
        "75",    "55", "",      "sunny",            /* missing, but nobody asks */
    };
    static const char *const labels[] = {"may play", "will play", "no play", "no play",  "no play",
                                         "",         "",          "",        "will play"};
    static const double N = (double)NAN;
    const double shares[] = {0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0,
                             1, N, N, N, N, N, N, N, N, N, 1, 0, 0};

    (void)state;
    expect_classes(golf, cells, 9, 4, labels, shares, 3);
}

static const char *const pairs[] = {"1", "1", "2", "1", "?", "1", "1", "?", "2", "?", "?", "?"};

static void strategies(void **state)
{
    static const double N = (double)NAN;
    const struct {
        const char *attributes;
        double expected[6];
    } rows[] = {
        {"", {2, 4, N, N, N, N}},
        {"noTrueChildStrategy='returnLastPrediction'", {2, 4, 100, 10, 20, 100}},
        {"missingValueStrategy='nullPrediction' noTrueChildStrategy='returnLastPrediction'",
         {2, 4, N, N, N, N}},
        {"missingValueStrategy='lastPrediction'", {2, 4, 100, 10, 20, 100}},
        {"missingValueStrategy='defaultChild'", {2, 4, 4, 2, 3, 3}},
    };
    char text[TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_numbers(tree(text, rows[i].attributes, two_levels), pairs, 6, 2, rows[i].expected);
}

/* More than two children, of more than one field; what follows True is never asked. */
static const char chain[] =
    "<Node score='9' defaultChild='two'><True/>"
    "<Node score='0'><False/></Node>"
    "<Node score='1'>" ASK("a", "lessThan",
                           "2") "</Node>"
                                "<Node score='2' id='two'>" ASK(
                                    "b", "equal", "7") "</Node>"
                                                       "<Node score='3'><True/></Node>"
                                                       "<Node score='4'>" ASK("b", "equal",
                                                                              "1") "</Node></Node>";

static void many_children(void **state)
{
    static const char *const cells[] = {"1", "7", "2", "7", "2", "8", "?", "7", "?", "8", "2", "?"};
    static const double N = (double)NAN;
    const struct {
        const char *attributes;
        double expected[6];
    } rows[] = {
        {"", {1, 2, 3, 2, 3, 3}},
        {"missingValueStrategy='nullPrediction'", {1, 2, 3, N, N, N}},
        {"missingValueStrategy='lastPrediction'", {1, 2, 3, 9, 9, 9}},
        {"missingValueStrategy='defaultChild'", {1, 2, 3, 2, 2, 2}},
    };
    char text[TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_numbers(tree(text, rows[i].attributes, chain), cells, 6, 2, rows[i].expected);
}

#define PICK(predicate) \
    "<Node score='0'><True/>" LEAF("1", predicate) LEAF("2", "<True/>") "</Node>"
#define BOTH(operator, more)                                                         \
    "<CompoundPredicate booleanOperator='" operator"'>" ASK("a", "lessOrEqual", "1") \
        ASK("b", "lessOrEqual", "1") more "</CompoundPredicate>"
#define SET(operator, values)                                                                    \
    "<SimpleSetPredicate field='a' booleanOperator='" operator"'>"                               \
                                                              "<Array type='real' n='2'>" values \
                                                              "</Array></SimpleSetPredicate>"

/* True is 1, false 2, unknown NaN. */
static void predicates(void **state)
{
    static const char *const cells[] = {"1", "1", "1", "2", "2", "2", "1", "?", "2", "?", "?", "?"};
    static const double N = (double)NAN;
    const struct {
        const char *predicate;
        double expected[6];
    } rows[] = {
        {BOTH("and", ""), {1, 2, 2, N, 2, N}},
        {BOTH("or", ""), {1, 1, 2, 1, N, N}},
        {BOTH("xor", ""), {2, 1, 2, N, N, N}},
        {BOTH("surrogate", ""), {1, 1, 2, 1, 2, N}},
        {BOTH("surrogate", "<False/>"), {1, 1, 2, 1, 2, 2}},
        {"<CompoundPredicate booleanOperator='surrogate'>" ASK("b", "equal", "2")
             BOTH("and", "<True/>") "</CompoundPredicate>",
         {2, 1, 1, N, 2, N}},
        {"<SimplePredicate field='b' operator='isMissing'/>", {2, 2, 2, 1, 1, 1}},
        {"<SimplePredicate field='b' operator='isNotMissing'/>", {1, 1, 1, 2, 2, 2}},
        {SET("isIn", "1 7"), {1, 1, 2, 1, 2, N}},
        {SET("isNotIn", "1 7"), {2, 2, 1, 2, 1, N}},
        {SET("isIn", "1.0 -0.5"), {1, 1, 2, 1, 2, N}},
        {SET("isNotIn", "-1 2"), {1, 1, 2, 1, 2, N}},
        {SET("isIn", ""), {2, 2, 2, 2, 2, N}},
        {"<CompoundPredicate booleanOperator='and'>" SET(
             "isNotIn",
             "2 3") "<SimplePredicate field='b' operator='isNotMissing'/></CompoundPredicate>",
         {1, 1, 2, 2, 2, 2}},
        {ASK("a", "greaterOrEqual", "2"), {2, 2, 1, 2, 1, N}},
    };
    char nodes[TEXT_MAX / 2], text[TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(nodes, sizeof(nodes), PICK("%s"), rows[i].predicate);
        const char *document = tree(text, "missingValueStrategy='nullPrediction'", nodes);
        expect_numbers(document, cells, 6, 2, rows[i].expected);
    }
}

#define LEVELS 20
#define EITHER(a_asks, b_asks)                                      \
    "<CompoundPredicate booleanOperator='surrogate'>"               \
    "<SimplePredicate field='a' operator='" a_asks "' value='%d'/>" \
    "<SimplePredicate field='b' operator='" b_asks "' value='%d'/></CompoundPredicate>"

/* Surrogates on both sides, as rpart has them, many levels deep: that one asks for the opposite of
 * the other is seen, and what is known of neither goes to the default child. */
static void surrogates(void **state)
{
    static const char *const cells[] = {"0", "?", "?", "0", "?", "?", "9", "0", "3.5", "9"};
    static const double expected[] = {100, 101, 99, 109, 104};
    char nodes[TEXT_MAX / 4 * 3] = "", text[TEXT_MAX];
    size_t n = 0;

    (void)state;
    for (int i = 0; i <= LEVELS; i++) {
        n += (size_t)snprintf(nodes + n, sizeof(nodes) - n, "<Node id='d' %s>",
                              i == LEVELS ? "score='99'" : "defaultChild='d'");
        if (i == 0)
            n += (size_t)snprintf(nodes + n, sizeof(nodes) - n, "<True/>");
        else
            n += (size_t)snprintf(nodes + n, sizeof(nodes) - n,
                                  EITHER("greaterThan", "greaterOrEqual"), i - 1, i - 1);
        if (i < LEVELS)
            n += (size_t)snprintf(nodes + n, sizeof(nodes) - n,
                                  "<Node score='%d'>" EITHER("lessOrEqual", "lessThan") "</Node>",
                                  100 + i, i, i);
    }
    for (int i = 0; i <= LEVELS; i++)
        n += (size_t)snprintf(nodes + n, sizeof(nodes) - n, "</Node>");
    expect_numbers(tree(text, "missingValueStrategy='defaultChild'", nodes), cells, 5, 2, expected);
}

/* ---- fields ---- */

/* A regression of what two fields have become. */
static const char *fields(char out[TEXT_MAX], const char *first, const char *second,
                          const char *attributes)
{
    snprintf(out, TEXT_MAX,
             PMML_BEGIN
             "<DataDictionary><DataField name='a' %s</DataField>"
             "<DataField name='c' optype='categorical' dataType='string'>%s</DataField>"
             "<DataField name='y' optype='continuous' dataType='double'/></DataDictionary>"
             "<RegressionModel functionName='regression'><MiningSchema>"
             "<MiningField name='a' %s/><MiningField name='c' %s/>"
             "<MiningField name='y' usageType='predicted'/></MiningSchema>"
             "<RegressionTable intercept='1000'><NumericPredictor name='a' coefficient='1'/>"
             "<CategoricalPredictor name='c' value='red' coefficient='100'/>"
             "<CategoricalPredictor name='c' value='blue' coefficient='200'/>"
             "</RegressionTable></RegressionModel></PMML>",
             first, second, attributes, attributes);
    return out;
}

static void treatments(void **state)
{
    static const char *const cells[] = {"1", "red", "2", "blue", "3",  "green",
                                        "?", "red", "4", "",     "-9", "red"};
    static const double N = (double)NAN;
    static const char numbers[] = "optype='continuous' dataType='double'>";
    static const char bounded[] = "optype='continuous' dataType='double'>"
                                  "<Interval closure='openClosed' leftMargin='1' rightMargin='4'/>"
                                  "<Value value='-9' property='missing'/>";
    static const char colors[] = "<Value value='red'/><Value value='blue'/>";
    static const char spots[] = "<Value value='green' property='missing'/>"
                                "<Value value='red' property='invalid'/>";
    static const char whole[] = "optype='categorical' dataType='integer'><Value value='1'/>"
                                "<Value value='2'/><Value value='3'/><Value value='4'/>";
    const struct {
        const char *first, *second, *attributes;
        double expected[6];
    } rows[] = {
        {numbers, "", "", {1101, 1202, 1003, N, 1004, 1091}},
        {numbers, colors, "", {1101, 1202, N, N, 1004, 1091}},
        {numbers, colors, "invalidValueTreatment='asIs'", {1101, 1202, 1003, N, 1004, 1091}},
        {numbers, colors, "invalidValueTreatment='asMissing'", {1101, 1202, 1003, N, 1004, 1091}},
        {bounded, "", "", {N, 1202, 1003, N, 1004, N}},
        {bounded, "", "invalidValueTreatment='asMissing'", {N, 1202, 1003, N, 1004, N}},
        {bounded, "", "invalidValueTreatment='asIs'", {1101, 1202, 1003, N, 1004, N}},
        {numbers, spots, "", {N, 1202, 1003, N, 1004, N}},
        {whole, "", "", {1101, 1202, 1003, N, 1004, N}},
        {numbers, "", "missingValueTreatment='returnInvalid'", {1101, 1202, 1003, N, N, 1091}},
    };
    char text[TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_numbers(fields(text, rows[i].first, rows[i].second, rows[i].attributes), cells, 6, 2,
                       rows[i].expected);
}

static void replacements(void **state)
{
    static const char *const cells[] = {"?", "", "2", "x", "7", "red"};
    static const double expected[] = {1205, 1102, 1106};
    char text[TEXT_MAX];

    (void)state;
    fields(text, "optype='continuous' dataType='double'><Interval rightMargin='6'/>",
           "<Value value='red'/><Value value='blue'/>", "");
    edit(text, "<MiningField name='a' ",
         "<MiningField name='a' missingValueTreatment='asMean' missingValueReplacement='5' "
         "invalidValueTreatment='asValue' invalidValueReplacement='6' ");
    edit(text, "<MiningField name='c' ",
         "<MiningField name='c' missingValueReplacement='blue' "
         "invalidValueTreatment='asValue' invalidValueReplacement='red' ");
    expect_numbers(text, cells, 3, 2, expected);
}

/* Numbers of other types are compared as what they are. */
static void types(void **state)
{
    static const char *const floats[] = {"0.1", "1", "0.100000002", "1", "0.100000009", "1"};
    static const char *const truths[] = {"1", "1", "0", "1", "?", "1"};
    static const double yes[] = {1, 1, 2}, known[] = {1, 2, (double)NAN};
    char nodes[1024], text[TEXT_MAX];

    (void)state;
    snprintf(nodes, sizeof(nodes), PICK("%s"), ASK("a", "lessOrEqual", ".1"));
    tree(text, "missingValueStrategy='nullPrediction'", nodes);
    edit(text, "dataType='double'", "dataType='float'"); /* one of two: rounded on the way in */
    expect_numbers(text, floats, 3, 2, yes);
    edit(text, "name='b' optype='continuous' dataType='double'",
         "name='b' optype='continuous' dataType='float'"); /* both: by the forest */
    expect_numbers(text, floats, 3, 2, yes);
    snprintf(nodes, sizeof(nodes), PICK("%s"), ASK("a", "equal", "true"));
    tree(text, "missingValueStrategy='nullPrediction'", nodes);
    edit(text, "optype='continuous' dataType='double'", "optype='categorical' dataType='boolean'");
    expect_numbers(text, truths, 3, 2, known);
}

static void formulas(void **state)
{
    static const char *const cells[] = {"4", "2", "-4.5", "2", "?", "2"};
    static const double N = (double)NAN;
    const struct {
        const char *type, *expression;
        double expected[3];
    } rows[] = {
        {"double", A, {4, -4.5, N}},
        {"double", "<FieldRef field='a' mapMissingTo='7'/>", {4, -4.5, 7}},
        {"integer", A, {4, -4, N}},
        {"float", CALL("+", A K("0.1")), {(double)4.1f, (double)-4.4f, N}},
        {"double", CALL("-", CALL("*", A B) CALL("/", A B)), {6, -6.75, N}},
        {"double", CALL("if", CALL("greaterThan", A B) A B), {4, 2, N}},
        {"double", CALL("if", CALL("isMissing", A) K("5")), {N, N, 5}},
        {"double", CALL("if", CALL("not", CALL("isNotMissing", A)) K("5") B), {2, 2, 5}},
        {"double", CALL("pow", A B), {16, 20.25, N}},
        {"double", CALL("sqrt", CALL("abs", A)), {2, 2.1213203435596424, N}},
        {"double", CALL("exp", CALL("ln", B)), {2, 2, 2}},
        {"double", CALL("log10", K("1000")), {3, 3, 3}},
        {"double", CALL("+", CALL("floor", A) CALL("ceil", A)), {8, -9, N}},
        {"double", CALL("threshold", A B), {1, 0, N}},
        {"double", CALL("and", CALL("lessThan", A B) CALL("lessOrEqual", A B)), {0, 1, N}},
        {"double", CALL("or", CALL("equal", A K("4")) CALL("notEqual", B K("2"))), {1, 0, N}},
        {"double", CALL("greaterOrEqual", A K("4")), {1, 0, N}},
        {"double", "<Apply function='-' mapMissingTo='3'>" A B "</Apply>", {2, -6.5, 3}},
        {"double", CALL("ln1p", CALL("expm1", B)), {2, 2, 2}},
        {"double", MAP("", "<d:i>4</d:i><d:o>40</d:o>"), {40, N, N}},
        {"double", MAP("defaultValue='1' mapMissingTo='9'", "<i>-4.5</i><o>7</o>"), {1, 7, 9}},
        {"double", NORM("", ""), {3, -5.5, N}},
        {"double", NORM("outliers='asMissingValues'", ""), {3, N, N}},
        {"double", NORM("outliers='asExtremeValues' mapMissingTo='8'", ""), {3, -1, 8}},
        {"double",
         NORM("", "<LinearNorm orig='5' norm='0'/><LinearNorm orig='-6' norm='11'/>"),
         {3, 8, N}},
        {"double", "<NormDiscrete field='a' value='4'/>", {1, 0, N}},
        {"double", "<NormDiscrete field='a' value='4' mapMissingTo='0.5'/>", {1, 0, 0.5}},
    };
    char text[TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tree(text, "", "");
        edit(text, "<TreeModel functionName='regression' >",
             "<RegressionModel functionName='regression'>");
        edit(text, "</MiningSchema></TreeModel>",
             "</MiningSchema><LocalTransformations><DerivedField name='d' optype='continuous' "
             "dataType='%'/></LocalTransformations><RegressionTable intercept='0'>"
             "<NumericPredictor name='d' coefficient='1'/></RegressionTable></RegressionModel>");
        edit(text, "%'/>", "%'>&</DerivedField>");
        edit(text, "%", rows[i].type);
        edit(text, "&", rows[i].expression);
        expect_numbers(text, cells, 3, 2, rows[i].expected);
    }
}

/* Before the model, of fields that it says are active only later. */
static void transformations(void **state)
{
    static const char *const cells[] = {"1", "3", "2", "1"};
    static const double expected[] = {1, 2};
    char text[TEXT_MAX];

    (void)state;
    tree(text, "", PICK(ASK("d", "greaterThan", "5")));
    edit(text, "<TreeModel",
         "<TransformationDictionary><DerivedField name='c' optype='continuous' "
         "dataType='double'>" CALL(
             "*",
             A K("2")) "</DerivedField><DerivedField name='d' optype='continuous' "
                       "dataType='double'>" CALL(
                           "-",
                           K("8") "<FieldRef field='c'/>") "</DerivedField></"
                                                           "TransformationDictionary><TreeModel");
    expect_numbers(text, cells, 2, 2, expected);
}

/* ---- ensembles ---- */

static void ensembles(void **state)
{
    static const double N = (double)NAN;
    const struct {
        const char *method, *targets;
        double expected[3];
    } rows[] = {
        {"sum", "", {11, 22, N}},
        {"average", "", {5.5, 11, N}},
        {"weightedAverage", "", {7.75, 15.5, N}},
        {"weightedSum", "", {31, 62, N}},
        {"sum",
         "<Targets><Target rescaleFactor='0.5' rescaleConstant='3'/></Targets>",
         {8.5, 14, N}},
        {"average",
         "<Targets><Target rescaleFactor='2' rescaleConstant='3'/></Targets>",
         {14, 25, N}},
        {"weightedAverage",
         "<Targets><Target rescaleFactor='2' rescaleConstant='3'/></Targets>",
         {18.5, 34, N}},
        {"sum", "<Targets><Target min='12' max='20'/></Targets>", {12, 20, N}},
        {"sum",
         "<Targets><Target min='12' max='20' rescaleFactor='2' rescaleConstant='1'/></Targets>",
         {25, 41, N}},
        {"sum", "<Targets><Target castInteger='round' rescaleFactor='0.3'/></Targets>", {3, 7, N}},
        {"average", "<Targets><Target castInteger='round'/></Targets>", {6, 11, N}},
        {"average", "<Targets><Target castInteger='floor'/></Targets>", {5, 11, N}},
        {"average",
         "<Targets><Target castInteger='ceiling'><TargetValue/></Target></Targets>",
         {6, 11, N}},
    };
    char text[TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_numbers(ensemble(text, rows[i].method, rows[i].targets),
                       (const char *const[]){"1", "0", "2", "0", "?", "0"}, 3, 2, rows[i].expected);
}

static void elections(void **state)
{
    static const char *const cells[] = {"1", "0", "2", "0"};
    static const struct {
        const char *method;
        const char *labels[2];
        double shares[4]; /* y, x */
    } rows[] = {
        {"average", {"x", "y"}, {1.0 / 3, 2.0 / 3, 0.75, 0.25}},
        {"weightedAverage", {"x", "y"}, {0.4375, 0.5625, 0.6875, 0.3125}},
        {"majorityVote", {"x", "y"}, {1.0 / 3, 2.0 / 3, 1, 0}},
        {"weightedMajorityVote", {"y", "y"}, {0.5, 0.5, 1, 0}},
    };
    char text[TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        expect_classes(votes(text, rows[i].method), cells, 2, 2, rows[i].labels, rows[i].shares, 2);
    }
}

/* A tree without a prediction votes for none, which may have most votes; or no tree may be so. */
static void abstentions(void **state)
{
    static const char *const cells[] = {"1", "0", "?", "0"};
    static const double N = (double)NAN;
    static const struct {
        const char *method;
        const char *labels[2];
        double shares[4]; /* y, x */
    } rows[] = {
        {"majorityVote", {"x", "y"}, {1.0 / 3, 2.0 / 3, 2.0 / 3, 0}},
        {"weightedMajorityVote", {"y", ""}, {0.6, 0.4, N, N}},
        {"majorityVote' missingPredictionTreatment='returnMissing",
         {"x", ""},
         {1.0 / 3, 2.0 / 3, N, N}},
    };
    char text[TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        votes(text, rows[i].method);
        char *last = strstr(text, "<Segment weight='2'>"); /* and the last */
        assert_non_null(last);
        edit(last, "weight='2'", "weight='3'");
        if (i == 0) /* the first of three trees */
            edit(text, "<Segment weight='1'><True/><TreeModel functionName='classification'>",
                 "<Segment weight='1'><True/><TreeModel functionName='classification' "
                 "missingValueStrategy='nullPrediction'>");
        else
            edit(last, "<TreeModel functionName='classification'>",
                 "<TreeModel functionName='classification' "
                 "missingValueStrategy='nullPrediction'>");
        expect_classes(text, cells, 2, 2, rows[i].labels, rows[i].shares, 2);
    }
}

/* A leaf's own label counts, also where its distribution says another; whole numbers are INT64. */
static void labels(void **state)
{
    static const char *const cells[] = {"1", "0", "2", "0", "?", "0"};
    static const int64_t expected[] = {-1, 7, TERN_PMML_NO_LABEL};
    struct native_rig rig;
    struct tern_tensor outputs[2];
    char text[TEXT_MAX];

    (void)state;
    tree(text, "missingValueStrategy='nullPrediction'",
         "<Node><True/><Node score='-1'>" ASK(
             "a", "lessThan",
             "2") "<ScoreDistribution value='-1' probability='0.25' recordCount='9'/>"
                  "<ScoreDistribution value='7' probability='0.75' recordCount='1'/></Node>"
                  "<Node score='7'><True/></Node></Node>");
    edit(text, "name='y' optype='continuous' dataType='double'/>",
         "name='y' optype='categorical' dataType='integer'><Value value='-1'/><Value value='7'/>"
         "</DataField>");
    edit(text, "TreeModel functionName='regression'", "TreeModel functionName='classification'");
    load(&rig, text);
    run(&rig, cells, 3, 2, outputs);
    assert_int_equal(outputs[0].dtype, TERN_DTYPE_INT64);
    assert_memory_equal(outputs[0].data, expected, sizeof(expected));
    same(number_at(&outputs[1], 0), 0.25, 0);
    same(number_at(&outputs[1], 3), 1, 3);
    same(number_at(&outputs[1], 5), (double)NAN, 5);
    native_free(&rig);
}

/* ---- regressions ---- */

static void regressions(void **state)
{
    static const char *const cells[] = {"1", "0", "-1", "0"};
    static const struct {
        const char *method, *first, *second;
        double shares[4]; /* y, x */
    } rows[] = {
        {"none", TABLE("x", "0.5", "0.25"), TABLE("y", "9", "9"), {0.25, 0.75, 0.75, 0.25}},
        {"logit",
         TABLE("x", "1", "2"),
         TABLE("y", "9", "9"),
         {0.04742587317756678, 0.9525741268224334, 0.7310585786300049, 0.2689414213699951}},
        {"softmax",
         TABLE("x", "1", "2"),
         TABLE("y", "0", "1"),
         {0.11920292202211755, 0.8807970779778823, 0.5, 0.5}},
        {"simplemax", TABLE("x", "4", "1"), TABLE("y", "2", "1"), {0.375, 0.625, 0.25, 0.75}},
    };
    char text[TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        static const char *const answers[2] = {"x", "y"}, *const softmax[2] = {"x", "y"},
                                 *const simple[2] = {"x", "x"};
        votes(text, "average");
        char *at = strstr(text, "<Segmentation");
        snprintf(at, 2048, "%s%s</RegressionModel></PMML>", rows[i].first, rows[i].second);
        edit(text, "<MiningModel functionName='classification' >",
             "<RegressionModel functionName='classification' normalizationMethod='%'>");
        edit(text, "%", rows[i].method);
        expect_classes(text, cells, 2, 2,
                       i == 3   ? simple
                       : i == 2 ? softmax
                                : answers,
                       rows[i].shares, 2);
    }
}

static void numbers(void **state)
{
    static const char *const cells[] = {"2", "0", "-1", "0"};
    static const struct {
        const char *method;
        double expected[2];
    } rows[] = {
        {"none", {9, 3}},
        {"exp", {8103.083927575384, 20.085536923187668}},
        {"logit", {0.9998766054240137, 0.9525741268224334}},
        {"softmax", {0.9998766054240137, 0.9525741268224334}},
    };
    char text[TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        tree(text, "normalizationMethod='%'",
             "<RegressionTable intercept='1'>"
             "<NumericPredictor name='a' exponent='2' coefficient='2'/></RegressionTable>");
        edit(text, "TreeModel", "RegressionModel");
        edit(text, "/TreeModel", "/RegressionModel");
        edit(text, "%", rows[i].method);
        expect_numbers(text, cells, 2, 2, rows[i].expected);
    }
}

/* ---- chains ---- */

static void chains(void **state)
{
    static const char *const cells[] = {"1", "0", "2", "0", "?", "0"};
    static const double expected[] = {0.36787944117144233, 90.01713130052181, (double)NAN};
    char text[TEXT_MAX];

    (void)state;
    expect_numbers(chained(text), cells, 3, 2, expected);
}

/* ---- explanations ---- */

static unsigned methods_of(const char *text)
{
    struct native_rig rig;
    const struct tern_engine_explains *explains;

    load(&rig, text);
    struct tern_native_model native = {.program = rig.program};
    assert_int_equal(tern_native_explains(&native, &rig.arena, &explains, &rig.err), TERN_OK);
    unsigned methods = explains == NULL ? 0 : explains->methods;
    native_free(&rig);
    return methods;
}

/* Trees that say how many records came where. */
static void explained(void **state)
{
    static const char counted[] =
        "<Node recordCount='10' defaultChild='l'><True/>"
        "<Node id='l' score='1' recordCount='4'>" ASK(
            "a", "lessThan", "2") "</Node>"
                                  "<Node id='r' score='2' recordCount='6'>" ASK(
                                      "a", "greaterOrEqual", "2") "</Node></Node>";
    const unsigned tree_shap = TERN_EXPLAIN_BIT(TERN_EXPLAIN_TREE);
    const unsigned with_background = TERN_EXPLAIN_BIT(TERN_EXPLAIN_TREE_INTERVENTIONAL);
    char text[TEXT_MAX];

    (void)state;
    tree(text, "missingValueStrategy='defaultChild'", counted);
    assert_int_equal(methods_of(text), tree_shap | with_background);
    tree(text, "missingValueStrategy='nullPrediction'", counted);
    assert_int_equal(methods_of(text), tree_shap | with_background);
    edit(text, "recordCount='10'", "");
    assert_int_equal(methods_of(text), with_background);
    ensemble(text, "sum", "");
    assert_int_equal(methods_of(text), with_background);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(play_golf),     cmocka_unit_test(strategies),
        cmocka_unit_test(many_children), cmocka_unit_test(predicates),
        cmocka_unit_test(surrogates),    cmocka_unit_test(treatments),
        cmocka_unit_test(replacements),  cmocka_unit_test(types),
        cmocka_unit_test(formulas),      cmocka_unit_test(transformations),
        cmocka_unit_test(ensembles),     cmocka_unit_test(elections),
        cmocka_unit_test(abstentions),   cmocka_unit_test(labels),
        cmocka_unit_test(regressions),   cmocka_unit_test(numbers),
        cmocka_unit_test(chains),        cmocka_unit_test(explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
