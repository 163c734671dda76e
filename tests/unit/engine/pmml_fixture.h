/* Documents of PMML that are small enough to be read, and how they are changed. */
#ifndef TERN_TESTS_PMML_FIXTURE_H
#define TERN_TESTS_PMML_FIXTURE_H

#include <stdio.h>
#include <string.h>
#include "engine/native/pmml/pmml.h"
#include "harness/native_rig.h"

#define TEXT_MAX 16384

#define PMML_BEGIN "<PMML xmlns='http://www.dmg.org/PMML-4_4' version='4.4'><Header/>"
#define ASK(field, operator, value) \
    "<SimplePredicate field='" field "' operator='" operator"' value='" value "'/>"
#define LEAF(score, predicate) "<Node score='" score "'>" predicate "</Node>"

/* The example of the standard: shall there be golf today? */
static const char golf[] =
    "<?xml version='1.0'?><!-- tree --><PMML xmlns='http://www.dmg.org/PMML-4_4' version='4.4'>"
    "<Header copyright='www.dmg.org'/><DataDictionary numberOfFields='5'>"
    "<DataField name='temperature' optype='continuous' dataType='double'/>"
    "<DataField name='humidity' optype='continuous' dataType='double'/>"
    "<DataField name='windy' optype='categorical' dataType='string'>"
    "<Value value='true'/><Value value='false'/></DataField>"
    "<DataField name='outlook' optype='categorical' dataType='string'>"
    "<Value value='sunny'/><Value value='overcast'/><Value value='rain'/></DataField>"
    "<DataField name='what' optype='categorical' dataType='string'>"
    "<Value value='will play'/><Value value='may play'/><Value value='no play'/></DataField>"
    "</DataDictionary><TreeModel modelName='golfing' functionName='classification'>"
    "<MiningSchema><MiningField name='temperature'/><MiningField name='humidity'/>"
    "<MiningField name='windy'/><MiningField name='outlook'/>"
    "<MiningField name='what' usageType='target'/></MiningSchema>"
    "<Node score='will play'><True/>"
    "<Node score='will play'>" ASK(
        "outlook", "equal",
        "sunny") "<Node score='will play'><CompoundPredicate booleanOperator='and'>" ASK("temperatu"
                                                                                         "re",
                                                                                         "lessThan",
                                                                                         "90")
        ASK("temperature", "greaterThan",
            "50") "</CompoundPredicate>" LEAF("will play", ASK("humidity", "lessThan", "80"))
            LEAF("no play",
                 ASK("humidity", "greaterOrEqual",
                     "80")) "</Node>"
                            "<Node score='no play'><CompoundPredicate booleanOperator='or'>" ASK(
                                "temperature", "greaterOrEqual", "90")
                                ASK("temperature", "lessOrEqual",
                                    "50") "</CompoundPredicate></Node></Node>"
                                          "<Node score='may play'><CompoundPredicate "
                                          "booleanOperator='or'>" ASK("outlook", "equal",
                                                                      "overcast")
                                              ASK("outlook", "equal",
                                                  "rain") "</CompoundPredicate>"
                                                          "<Node score='may "
                                                          "play'><CompoundPredicate "
                                                          "booleanOperator='and'>" ASK(
                                                              "temperature", "greaterThan",
                                                              "60") ASK("temperature", "lessThan",
                                                                        "100") ASK("outlook",
                                                                                   "equal",
                                                                                   "overcast")
                                                              ASK("humidity", "lessThan", "70") ASK(
                                                                  "windy", "equal",
                                                                  "false") "</CompoundPredicate></"
                                                                           "Node>"
                                                                           "<Node score='no "
                                                                           "play'><"
                                                                           "CompoundPredicate "
                                                                           "booleanOperator='and'"
                                                                           ">" ASK("outlook",
                                                                                   "equal", "rain")
                                                                               ASK("humidity",
                                                                                   "lessThan",
                                                                                   "70") "</"
                                                                                         "CompoundP"
                                                                                         "redicate>"
                                                                                         "</Node></"
                                                                                         "Node></"
                                                                                         "Node></"
                                                                                         "TreeModel"
                                                                                         "></PMML>";

/* A tree of two numbers a and b with what stands in its root, and its strategies. */
static inline const char *tree(char out[TEXT_MAX], const char *attributes, const char *nodes)
{
    snprintf(out, TEXT_MAX,
             PMML_BEGIN
             "<DataDictionary><DataField name='a' optype='continuous' dataType='double'/>"
             "<DataField name='b' optype='continuous' dataType='double'/>"
             "<DataField name='y' optype='continuous' dataType='double'/>"
             "</DataDictionary><TreeModel functionName='regression' %s><MiningSchema>"
             "<MiningField name='a'/><MiningField name='b'/>"
             "<MiningField name='y' usageType='target'/></MiningSchema>%s"
             "</TreeModel></PMML>",
             attributes, nodes);
    return out;
}

/* Two levels, with a score everywhere. */
static const char two_levels[] =
    "<Node score='100' id='r' defaultChild='n'><True/>"
    "<Node score='10' id='y' defaultChild='y2'>" ASK(
        "a", "lessOrEqual",
        "1") "<Node score='1' id='y1'>" ASK("b", "greaterThan",
                                            "5") "</Node>"
                                                 "<Node score='2' id='y2'>" ASK(
                                                     "b", "lessOrEqual",
                                                     "5") "</Node></Node>"
                                                          "<Node score='20' id='n' "
                                                          "defaultChild='n1'>" ASK(
                                                              "a", "greaterThan",
                                                              "1") "<Node score='3' "
                                                                   "id='n1'>" ASK(
                                                                       "b", "notEqual",
                                                                       "1") "</Node>"
                                                                            "<Node "
                                                                            "score='"
                                                                            "4' "
                                                                            "id='n2'"
                                                                            ">" ASK(
                                                                                "b",
                                                                                "equ"
                                                                                "al",
                                                                                "1") "</Node></"
                                                                                     "Node></Node>";

/* The first `from` becomes `to`. text: TEXT_MAX of them, or what is behind a place in them. */
static inline void edit(char *text, const char *from, const char *to)
{
    char *at = strstr(text, from);

    if (at == NULL)
        fail_msg("'%s' is not there", from);
    assert_true(strlen(text) + strlen(to) < TEXT_MAX / 2); /* the other half may stand before it */
    memmove(at + strlen(to), at + strlen(from), strlen(at + strlen(from)) + 1);
    memcpy(at, to, strlen(to));
}

#define MAP(attributes, cells)                                                               \
    "<MapValues outputColumn='d:o' " attributes "><FieldColumnPair field='a' column='d:i'/>" \
    "<InlineTable><row>" cells                                                               \
    "</row><row><d:i>2</d:i><d:o>20</d:o></row></InlineTable></MapValues>"
#define NORM(attributes, more)                                                 \
    "<NormContinuous field='a' " attributes "><LinearNorm orig='4' norm='3'/>" \
    "<LinearNorm orig='0' norm='-1'/>" more "</NormContinuous>"
#define CALL(function, arguments) "<Apply function='" function "'>" arguments "</Apply>"
#define A                         "<FieldRef field='a'/>"
#define B                         "<FieldRef field='b'/>"
#define K(number)                 "<Constant dataType='double'>" number "</Constant>"

#define STUMP(attributes, low, high)                                          \
    "<Segment " attributes "><True/><TreeModel functionName='regression'>"    \
    "<MiningSchema><MiningField name='a'/></MiningSchema><Node><True/>" LEAF( \
        low, ASK("a", "lessThan", "2"))                                       \
        LEAF(high, ASK("a", "greaterOrEqual", "2")) "</Node></TreeModel></Segment>"

static inline const char *ensemble(char out[TEXT_MAX], const char *method, const char *targets)
{
    tree(out, "", "%");
    edit(out, "TreeModel", "MiningModel");
    edit(out, "/TreeModel", "/MiningModel");
    edit(out, "%",
         "%<Segmentation multipleModelMethod='%'>" STUMP("weight='1'", "1", "2")
             STUMP("weight='3'", "10", "20") "</Segmentation>");
    edit(out, "%", targets);
    edit(out, "%", method);
    return out;
}

#define SHARES(x, y)                                     \
    "<ScoreDistribution value='x' recordCount='" x "'/>" \
    "<ScoreDistribution value='y' recordCount='" y "'/>"
#define VOTER(weight, low, high)                                                    \
    "<Segment weight='" weight "'><True/><TreeModel functionName='classification'>" \
    "<MiningSchema><MiningField name='a'/></MiningSchema><Node><True/>"             \
    "<Node>" ASK("a", "lessThan", "2") low "</Node><Node><True/>" high "</Node>"    \
                                           "</Node></TreeModel></Segment>"

static inline const char *votes(char out[TEXT_MAX], const char *method)
{
    tree(out, "", "%");
    edit(out, "name='y' optype='continuous' dataType='double'/>",
         "name='y' optype='categorical' dataType='string'><Value value='y'/><Value value='x'/>"
         "</DataField>");
    edit(out, "TreeModel functionName='regression'", "MiningModel functionName='classification'");
    edit(out, "/TreeModel", "/MiningModel");
    edit(out, "%",
         "<Segmentation multipleModelMethod='%'>" VOTER("1", SHARES("3", "1"), SHARES("0", "2"))
             VOTER("1", SHARES("1", "0"), SHARES("1", "3"))
                 VOTER("2", SHARES("2", "6"), SHARES("1", "1")) "</Segmentation>");
    edit(out, "%", method);
    return out;
}

#define TABLE(category, intercept, weight)                                      \
    "<RegressionTable targetCategory='" category "' intercept='" intercept "'>" \
    "<NumericPredictor name='a' coefficient='" weight "'/></RegressionTable>"

static inline const char *chained(char out[TEXT_MAX])
{
    ensemble(out, "sum",
             "<Output><OutputField name='s0'/></Output>"
             "<Targets><Target rescaleFactor='0.5' rescaleConstant='-6'/></Targets>");
    edit(out, "<MiningField name='y' usageType='target'/></MiningSchema>",
         "<MiningField name='y' usageType='target'/></MiningSchema>"
         "<Segmentation multipleModelMethod='modelChain'><Segment><True/>"
         "<MiningModel functionName='regression'>");
    edit(out, "</Segmentation></MiningModel>",
         "</Segmentation></MiningModel></Segment><Segment><True/>"
         "<TreeModel functionName='regression'><Output><OutputField name='s1' "
         "feature='predictedValue'/></Output><Node score='4'><True/></Node></TreeModel></Segment>"
         "<Segment><True/><RegressionModel functionName='regression' normalizationMethod='exp'>"
         "<RegressionTable intercept='0.5'><NumericPredictor name='s1' coefficient='-0.25'/>"
         "<NumericPredictor name='s0' coefficient='1'/></RegressionTable>"
         "</RegressionModel></Segment></Segmentation></MiningModel>");
    return out;
}

#endif
