// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
// covers: engine/native/pmml/pmml engine/native/pmml/pmml_fields engine/native/pmml/pmml_formula
// covers: engine/native/pmml/pmml_predicate engine/native/pmml/pmml_tree
// covers: engine/native/pmml/pmml_models
// covers: engine/native/pmml/pmml_regression engine/native/pmml/pmml_table
/* PMML: what is said of documents that are damaged or not served, and without memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "harness/native_memory.h"
#include "pmml_fixture.h"

static const struct {
    const char *document; /* "golf", "tree", "sum", "chain", "regression", "formula" */
    const char *from, *to, *error;
} damages[] = {
    {"golf", "<PMML ", "<PMML2 ", "line 1: no XML: mismatched tag"},
    {"golf", "version='4.4'", "version='3.2'", "line 1: PMML: version '3.2' is not read"},
    {"golf", "version='4.4'", "", "line 1: PMML: attribute version is missing"},
    {"golf", "</TreeModel></PMML>", "", "no XML: no element found"},
    {"golf", "</PMML>", "<ClusteringModel/></PMML>", "element ClusteringModel is not served"},
    {"golf", "TreeModel modelName='golfing'", "NeuralNetwork", "line 1: no XML: mismatched tag"},
    {"golf", "functionName='classification'", "", "attribute functionName is missing"},
    {"golf", "functionName='classification'", "functionName='clustering'",
     "TreeModel: functionName=\"clustering\" is not served"},
    {"golf", "functionName='classification'", "functionName='classification' isScorable='false'",
     "TreeModel: isScorable=\"false\""},
    {"golf", "functionName='classification'",
     "functionName='classification' missingValueStrategy='aggregateNodes'",
     "missingValueStrategy=\"aggregateNodes\" is not served"},
    {"golf", "<Header copyright='www.dmg.org'/>", "<Scorecard/>",
     "element Scorecard is not served"},
    {"golf", "name='humidity' optype", "name='temperature' optype",
     "two fields are called 'temperature'"},
    {"golf", "dataType='double'", "dataType='dateTime'",
     "DataField: dataType=\"dateTime\" is not served"},
    {"golf", "optype='continuous'", "optype='odd'", "DataField: optype=\"odd\" is not served"},
    {"golf", "<Value value='true'/>", "<Value/>", "Value: attribute value is missing"},
    {"golf", "<Value value='true'/>", "<Value value='true' property='odd'/>",
     "property=\"odd\" is not served"},
    {"golf", "<Value value='true'/>", "<Taxonomy/>", "element Taxonomy is not served"},
    {"golf", "<MiningField name='temperature'/>", "<MiningField name='heat'/>",
     "MiningField: field 'heat' is not there"},
    {"golf", "<MiningField name='temperature'/>", "<MiningField name='humidity'/>",
     "MiningField: field 'humidity' stands there twice"},
    {"golf", "<MiningField name='temperature'/>", "",
     "SimplePredicate: field 'temperature' is no active field"},
    {"golf", "<MiningField name='temperature'/>",
     "<MiningField name='temperature' outliers='asMissingValues'/>", "outliers=\"asMissingV"},
    {"golf", "<MiningField name='temperature'/>",
     "<MiningField name='temperature' missingValueReplacement='warm'/>",
     "field 'temperature' is a number, but is asked for 'warm'"},
    {"golf", "<MiningField name='temperature'/>",
     "<MiningField name='temperature' usageType='target'/>", "a second target"},
    {"golf", "usageType='target'", "usageType='supplementary'", "names no target"},
    {"golf", "<Value value='will play'/><Value value='may play'/><Value value='no play'/>", "",
     "the DataField of target 'what' lists no values"},
    {"golf", "<Value value='may play'/>", "", "'may play' is none of the classes"},
    {"golf", "value='80'", "value='wet'", "field 'humidity' is a number, but is asked for 'wet'"},
    {"golf", "operator='lessThan' value='90'", "operator='near' value='90'",
     "SimplePredicate: operator=\"near\" is not served"},
    {"golf", "operator='lessThan' value='90'", "operator='lessThan'",
     "SimplePredicate: attribute value is missing"},
    {"golf", "operator='equal' value='sunny'", "operator='lessThan' value='sunny'",
     "operator lessThan of texts is not served"},
    {"golf", "booleanOperator='and'", "booleanOperator='nand'", "booleanOperator=\"nand\""},
    {"golf", "<True/>", "<False/>", "the predicate of a root other than True"},
    {"golf", "<True/>", "", "Node: it has no predicate"},
    {"golf", "<True/>", "<True/><Regression/>", "element Regression is not served: a node has"},
    {"golf", "<True/>", "<True/><ScoreDistribution value='no play' recordCount='-1'/>",
     "ScoreDistribution: -1 is no weight"},
    {"golf", "<True/>", "<True/><ScoreDistribution value='no play' recordCount='0'/>",
     "its distribution is of no records"},
    {"golf", "<True/>", "<True/><ScoreDistribution value='no play'/>", "recordCount is missing"},
    {"golf", "<True/>",
     "<True/><ScoreDistribution value='no play' recordCount='1'/><ScoreDistribution "
     "value='will play' recordCount='1' probability='1'/>",
     "either all classes of a node have a probability or none"},
    {"golf", "</Node></TreeModel>",
     "<ScoreDistribution value='no play' recordCount='1'/></Node></TreeModel>",
     "ScoreDistribution: it has to stand before Node"},
    {"golf", "</TreeModel>", "<Node><True/></Node></TreeModel>", "Node: a second root"},
    {"golf", "</TreeModel>", "<Regression/></TreeModel>", "element Regression is not served"},
    {"tree", "score='100'", "score='many'", "score: expected a number, got 'many'"},
    {"tree", "score='100'", "score='INF'", "score: expected a number, got 'INF'"},
    {"tree", "score='100'", "score='100' recordCount='x'",
     "attribute recordCount: expected a number, got 'x'"},
    {"tree", "defaultChild='n'", "defaultChild='nobody'",
     "Node: its defaultChild is none of its children"},
    {"tree", " defaultChild='n'", "", "that has children and no defaultChild is not served"},
    {"sum", "multipleModelMethod='sum'", "multipleModelMethod='median'",
     "Segmentation: multipleModelMethod=\"median\" is not served"},
    {"sum", "multipleModelMethod='sum'", "multipleModelMethod='majorityVote'",
     "multipleModelMethod \"majorityVote\" does not fit functionName"},
    {"sum", "multipleModelMethod='sum'",
     "multipleModelMethod='sum' missingPredictionTreatment='skipSegment'",
     "missingPredictionTreatment=\"skipSegment\" is not served"},
    {"sum", "multipleModelMethod='sum'", "multipleModelMethod='modelChain'",
     "a model of a chain has no OutputField"},
    {"sum", "<Segment weight='1'><True/>", "<Segment weight='1'><False/>",
     "element False is not served: the predicate of a Segment is True"},
    {"sum", "<Segment weight='1'><True/>", "<Segment weight='1'><True/><Node/>",
     "element Node is not served"},
    {"sum", "</Segment>", "<True/></Segment>", "element True is not served: a Segment is one"},
    {"sum", "<MiningField name='a'/></MiningSchema><Node>",
     "<MiningField name='a' missingValueReplacement='1'/></MiningSchema><Node>",
     "missingValueReplacement within a model of models is not served"},
    {"sum", "<MiningField name='a'/></MiningSchema><Node>",
     "<MiningField name='a'/></MiningSchema><Targets><Target rescaleFactor='2'/></Targets><Node>",
     "Targets of a single tree of many are not served"},
    {"sum", "<MiningField name='a'/></MiningSchema><Node>",
     "<MiningField name='a'/></MiningSchema><Targets><Target min='2'/></Targets><Node>",
     "min, max and castInteger within a model of models"},
    {"sum", "<Targets/>", "<Targets><Target castInteger='up'/></Targets>",
     "castInteger=\"up\" is not served"},
    {"chain", "<OutputField name='s0'/>", "", "a model of a chain has no OutputField"},
    {"chain", "<OutputField name='s0'/>", "<OutputField name='s0'/><OutputField name='t'/>",
     "a model of a chain has one OutputField"},
    {"chain", "<OutputField name='s0'/>", "<OutputField name='s0' feature='transformedValue'/>",
     "feature=\"transformedValue\" is not served"},
    {"chain", "<OutputField name='s0'/>", "<OutputField name='s0'><FieldRef/></OutputField>",
     "element FieldRef is not served: an OutputField in a chain"},
    {"chain", "NumericPredictor name='s1'", "NumericPredictor name='a'",
     "the last model of a chain reads 'a', which is no OutputField"},
    {"chain", "multipleModelMethod='sum'", "multipleModelMethod='average'",
     "multipleModelMethod within a chain is not served but for sum"},
    {"chain", "<TreeModel functionName='regression'><Output>",
     "<TreeModel functionName='classification'><Output>",
     "a classification within a chain is not served"},
    {"regression", "normalizationMethod='logit'", "normalizationMethod='probit'",
     "RegressionModel: normalizationMethod=\"probit\" is not served"},
    {"regression", "normalizationMethod='logit'", "normalizationMethod='exp'",
     "this normalizationMethod of 2 classes is not served"},
    {"regression", TABLE("y", "9", "9"), "", "1 tables for the 2 classes of the target"},
    {"regression", TABLE("y", "9", "9"), TABLE("x", "9", "9"), "a second table of a class"},
    {"regression", TABLE("y", "9", "9"), TABLE("z", "9", "9"), "'z' is none of the classes"},
    {"regression", "coefficient='9'", "", "NumericPredictor: attribute coefficient is missing"},
    {"regression", "intercept='9'", "", "RegressionTable: attribute intercept is missing"},
    {"regression", "<NumericPredictor", "<PredictorTerm/><NumericPredictor",
     "PredictorTerm: attribute coefficient is missing"},
    {"regression", "<NumericPredictor", "<PredictorTerm coefficient='1'/><NumericPredictor",
     "PredictorTerm: expected FieldRef"},
    {"regression", "<NumericPredictor",
     "<PredictorTerm coefficient='1'><Constant/></PredictorTerm><NumericPredictor",
     "element Constant is not served: a term is made of FieldRef"},
    {"formula", "function='+'", "function='uppercase'", "function 'uppercase' is not served"},
    {"formula", "function='+'", "function='abs'", "Apply: abs of 2 arguments"},
    {"formula", "function='+'", "function='+' defaultValue='1'", "defaultValue is not served"},
    {"formula", "<FieldRef field='a'/>", "<FieldRef field='z'/>", "field 'z' is no active field"},
    {"formula", "<FieldRef field='a'/>", "<Discretize field='a'/>",
     "element Discretize is not served: FieldRef, Constant, NormDiscrete, NormC"},
    {"formula", "<FieldRef field='a'/>",
     "<NormContinuous field='a'><LinearNorm orig='1' norm='1'/></NormContinuous>",
     "NormContinuous: expected two LinearNorm and more"},
    {"formula", "<FieldRef field='a'/>",
     "<NormContinuous field='a'><LinearNorm orig='1' norm='1'/><LinearNorm orig='1' norm='1'/>"
     "</NormContinuous>",
     "NormContinuous: two rows are for one value"},
    {"formula", "<FieldRef field='a'/>", "<MapValues outputColumn='o'/>",
     "MapValues: there is no FieldColumnPair"},
    {"formula", "<FieldRef field='a'/>", MAP("", "<i>1</i>"), "row: the row lacks one of the"},
    {"formula", "<FieldRef field='a'/>", MAP("", "<i>1</i><o>one</o>"),
     "MapValues to anything but numbers is not served"},
    {"formula", "<FieldRef field='a'/>", "<MapValues outputColumn='o'><TableLocator/></MapValues>",
     "element TableLocator is not served: MapValues is one FieldColumnPair and an InlineTable"},
    {"formula", ">0.1<", ">one<", "Constant: expected a number, got 'one'"},
    {"formula", "</DerivedField>", "<FieldRef field='a'/></DerivedField>",
     "element FieldRef is not served: a derived field is one expression"},
    {"formula", "DerivedField name='d' optype='continuous' dataType='double'",
     "DerivedField name='d' optype='categorical' dataType='string'",
     "field 'd' turns a text into a number, or a number into a text"},
};

static void make(char text[TEXT_MAX], const char *what)
{
    if (strcmp(what, "golf") == 0) {
        snprintf(text, TEXT_MAX, "%s", golf);
    } else if (strcmp(what, "tree") == 0) {
        tree(text, "missingValueStrategy='defaultChild'", two_levels);
    } else if (strcmp(what, "sum") == 0) {
        ensemble(text, "sum", "<Targets/>");
    } else if (strcmp(what, "chain") == 0) {
        chained(text);
    } else {
        votes(text, "average");
        char *at = strstr(text, "<Segmentation");
        bool has_formula = strcmp(what, "formula") == 0;
        snprintf(at, 2048, "%s%s%s</RegressionModel></PMML>",
                 has_formula ? "<LocalTransformations><DerivedField name='d' optype='continuous' "
                               "dataType='double'>" CALL(
                                   "+", A K("0.1")) "</DerivedField></LocalTransformations>"
                             : "",
                 TABLE("x", "1", "2"), TABLE("y", "9", "9"));
        edit(text, "<MiningModel functionName='classification' >",
             "<RegressionModel functionName='classification' normalizationMethod='logit'>");
    }
}

static void refusals(void **state)
{
    char text[TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        struct native_rig rig;
        make(text, damages[i].document);
        edit(text, damages[i].from, damages[i].to);
        enum tern_code code = native_load(&rig, &tern_pmml, tern_str_of(text));
        if (code == TERN_OK || strstr(rig.err.text, damages[i].error) == NULL)
            fail_msg("%s -> %s: got '%s', expected '%s'", damages[i].from, damages[i].to,
                     rig.err.text, damages[i].error);
        if (code != TERN_INVALID_ARGUMENT && code != TERN_UNIMPLEMENTED)
            fail_msg("%s: code %d", damages[i].to, (int)code);
        native_free(&rig);
    }
}

static void probes(void **state)
{
    static const struct {
        const char *name, *head;
        bool is_mine;
    } rows[] = {
        {"model.pmml", "", true},
        {"model.bin", "<?xml version=\"1.0\"?>\n<!-- x --><PMML version=\"4.4\">", true},
        {"model.bin", "\xef\xbb\xbf<PMML ", true},
        {"model.pmml", "<p:PMML>", true},
        {"model.bin", "<html>", false},
        {"model.bin", "", false},
        {"model.json", "{}", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(tern_pmml.probe(tern_str_of(rows[i].name), tern_str_of(rows[i].head)) > 0,
                         rows[i].is_mine);
}

static void without_memory(void **state)
{
    static const char *const documents[] = {"golf", "tree", "chain", "regression", "formula"};
    char text[TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        make(text, documents[i]);
        native_without_memory(&tern_pmml, tern_str_of(text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals),
        cmocka_unit_test(probes),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
