/* XGBoost's files, written out here: what they predict, and every way in which one can be damaged.
 * A damage is an edit of a good file's text; each is tried in JSON and, encoded anew as XGBoost
 * does, in UBJSON. What XGBoost itself answers for files of its own is the matter of tests/oracle.
 */
// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
// covers: engine/native/xgboost/xgboost_objective engine/native/xgboost/xgboost_trees
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "engine/native/xgboost/xgboost.h"
#include "harness/native_memory.h"
#include "harness/native_rig.h"

/* Two trees: f0 < 1.5, and whether f1 is 1 or 3; the second has a node that was deleted. */
#define TREE_0                                                                              \
    "{\"base_weights\":[0,0.25,-0.5],\"categories\":[],\"categories_nodes\":[],"            \
    "\"categories_segments\":[],\"categories_sizes\":[],\"default_left\":[1,0,0],\"id\":0," \
    "\"left_children\":[1,-1,-1],\"loss_changes\":[1.0,0,0],\"parents\":[2147483647,0,0],"  \
    "\"right_children\":[2,-1,-1],\"split_conditions\":[1.5,0.25,-0.5],"                    \
    "\"split_indices\":[0,0,0],\"split_type\":[0,0,0],\"sum_hessian\":[10,4,6],"            \
    "\"tree_param\":{\"num_deleted\":\"0\",\"num_feature\":\"3\",\"num_nodes\":\"3\","      \
    "\"size_leaf_vector\":\"1\"}}"
#define TREE_1                                                                                  \
    "{\"base_weights\":[0,1,2,0],\"categories\":[3,1],\"categories_nodes\":[0],"                \
    "\"categories_segments\":[0],\"categories_sizes\":[2],\"default_left\":[0,0,0,0],\"id\":1," \
    "\"left_children\":[1,-1,-1,77],\"loss_changes\":[1.0,0,0,0],"                              \
    "\"parents\":[2147483647,0,0,0],\"right_children\":[2,-1,-1,78],"                           \
    "\"split_conditions\":[0,1,2,0],\"split_indices\":[1,0,0,2147483647],"                      \
    "\"split_type\":[1,0,0,0],\"sum_hessian\":[10,4,6,0],"                                      \
    "\"tree_param\":{\"num_deleted\":\"1\",\"num_feature\":\"3\",\"num_nodes\":\"4\","          \
    "\"size_leaf_vector\":\"1\"}}"
#define GBTREE(trees, info)                                                       \
    "\"model\":{\"cats\":{\"enc\":[],\"feature_segments\":[],\"sorted_idx\":[]}," \
    "\"gbtree_model_param\":{\"num_parallel_tree\":\"1\",\"num_trees\":\"2\"},"   \
    "\"iteration_indptr\":[0,1,2],\"tree_info\":" info ",\"trees\":[" trees "]}," \
    "\"name\":\"gbtree\""
#define LEARNER(booster, param, objective)                                    \
    "{\"learner\":{\"attributes\":{\"best_iteration\":\"0\"},"                \
    "\"feature_names\":[\"a\",\"b\",\"c\"],\"feature_types\":[],"             \
    "\"gradient_booster\":{" booster "},\"learner_model_param\":{" param "}," \
    "\"objective\":{\"name\":\"" objective "\"}},\"version\":[3,2,0]}"
#define PARAM(score, classes, targets)                                                         \
    "\"base_score\":\"" score "\",\"boost_from_average\":\"0\",\"num_class\":\"" classes "\"," \
    "\"num_feature\":\"3\",\"num_target\":\"" targets "\""

static const char plain[] =
    LEARNER(GBTREE(TREE_0 "," TREE_1, "[0,0]"), PARAM("[5E-1]", "0", "1"), "reg:squarederror");
static const char two_classes[] =
    LEARNER(GBTREE(TREE_0 "," TREE_1, "[0,1]"), PARAM("[5E-1,1E0]", "2", "1"), "multi:softmax");
static const char dart[] =
    LEARNER("\"gbtree\":{" GBTREE(TREE_0 "," TREE_1, "[0,0]") "},\"name\":\"dart\","
                                                              "\"weight_drop\":[0.5,2.0]",
            PARAM("5E-1", "0", "1"), "reg:squarederror");
static const char linear[] =
    LEARNER("\"model\":{\"boosted_rounds\":4,\"weights\":[1,2,0.5,0.25]},\"name\":\"gblinear\"",
            PARAM("5E-1", "0", "1"), "reg:squarederror");

/* Leaves of two values, by number (3.1 and later) and by node (before). */
#define VECTOR(right, weights)                                                               \
    "{\"base_weights\":[9,9,1,2,3,4]," weights "\"default_left\":[0,0,0],\"id\":0,"          \
    "\"left_children\":[1,-1,-1],\"parents\":[2147483647,0,0],\"right_children\":" right "," \
    "\"split_conditions\":[1.5,0,0],\"split_indices\":[0,0,0],"                              \
    "\"tree_param\":{\"num_nodes\":\"3\",\"size_leaf_vector\":\"2\"}}"
#define VECTORS(right, weights)                                                          \
    LEARNER("\"model\":{\"gbtree_model_param\":{\"num_trees\":\"1\"},\"tree_info\":[0]," \
            "\"trees\":[" VECTOR(right, weights) "]},\"name\":\"gbtree\"",               \
            PARAM("0E0", "0", "2"), "reg:squarederror")
static const char vectors[] = VECTORS("[2,1,0]", "\"leaf_weights\":[5,6,7,8],");
static const char old_vectors[] = VECTORS("[2,-1,-1]", "");

/* ---- the other form ---- */

struct bytes {
    char *p;
    size_t n, cap;
};

static void put(struct bytes *b, const void *p, size_t n)
{
    if (b->n + n > b->cap) {
        b->cap = 2 * (b->n + n);
        b->p = realloc(b->p, b->cap);
        assert_non_null(b->p);
    }
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

static void put_big_endian(struct bytes *b, uint64_t v, size_t n)
{
    while (n-- > 0) {
        char c = (char)(v >> (8 * n));
        put(b, &c, 1);
    }
}

static void put_text(struct bytes *b, const char *p, size_t n)
{
    put(b, "L", 1);
    put_big_endian(b, n, 8);
    put(b, p, n);
}

static char type_of(const char *key)
{
    static const char *const floats[] = {"base_weights", "leaf_weights",     "loss_changes",
                                         "sum_hessian",  "split_conditions", "weights"};
    static const char *const ints[] = {"left_children", "right_children",   "parents",
                                       "split_indices", "categories_nodes", "categories"};

    for (size_t i = 0; i < sizeof(floats) / sizeof(floats[0]); i++)
        if (strcmp(key, floats[i]) == 0)
            return 'd';
    for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++)
        if (strcmp(key, ints[i]) == 0)
            return 'l';
    if (strcmp(key, "categories_segments") == 0 || strcmp(key, "categories_sizes") == 0)
        return 'L';
    return strcmp(key, "default_left") == 0 || strcmp(key, "split_type") == 0 ? 'U' : 0;
}

static bool fits(char type, const json_t *item)
{
    json_int_t v = json_integer_value(item);

    return json_is_integer(item) && (type != 'U' || (v >= 0 && v <= UINT8_MAX)) &&
           (type != 'l' || (v >= INT32_MIN && v <= INT32_MAX));
}

static void put_value(struct bytes *b, json_t *value, const char *key);

static void put_array(struct bytes *b, json_t *array, char type)
{
    bool typed = type != 0;
    json_t *item;
    size_t i;

    json_array_foreach(array, i, item) typed =
        typed && json_is_number(item) && (type == 'd' || fits(type, item));
    put(b, typed ? "[$" : "[", typed ? 2 : 1);
    if (typed)
        put(b, &type, 1);
    put(b, "#L", 2);
    put_big_endian(b, json_array_size(array), 8);
    json_array_foreach(array, i, item)
    {
        float single = (float)json_number_value(item);
        uint32_t bits;
        memcpy(&bits, &single, 4);
        if (!typed)
            put_value(b, item, "");
        else if (type == 'd')
            put_big_endian(b, bits, 4);
        else
            put_big_endian(b, (uint64_t)json_integer_value(item),
                           type == 'l'   ? 4
                           : type == 'L' ? 8
                                         : 1);
    }
}

static void put_value(struct bytes *b, json_t *value, const char *key)
{
    const char *name;
    json_t *member;
    double real;
    uint64_t bits;

    switch ((int)json_typeof(value)) {
    case JSON_OBJECT:
        put(b, "{", 1);
        json_object_foreach(value, name, member)
        {
            put_text(b, name, strlen(name));
            put_value(b, member, name);
        }
        put(b, "}", 1);
        break;
    case JSON_ARRAY:
        put_array(b, value, type_of(key));
        break;
    case JSON_STRING:
        put(b, "S", 1);
        put_text(b, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        put(b, "L", 1);
        put_big_endian(b, (uint64_t)json_integer_value(value), 8);
        break;
    case JSON_REAL:
        real = json_real_value(value);
        memcpy(&bits, &real, 8);
        put(b, "D", 1);
        put_big_endian(b, bits, 8);
        break;
    default:
        put(b, json_is_true(value) ? "T" : json_is_false(value) ? "F" : "Z", 1);
        break;
    }
}

/* NULL where the text has no other form: it is no JSON, or has a key twice. */
static struct bytes to_ubjson(const char *text)
{
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    struct bytes b = {NULL, 0, 0};

    if (value != NULL)
        put_value(&b, value, "");
    json_decref(value);
    return b;
}

/* ---- what they predict ---- */

struct prediction {
    const char *text;
    float row[3];
    double expected[2];
    size_t n;
};

static void predicts(void **state)
{
    const struct prediction rows[] = {
        {plain, {1, 0, 0}, {0.5 + 0.25 + 1}, 1},
        {plain, {1.5F, 1, 0}, {0.5 - 0.5 + 2}, 1},
        {plain, {2, 3.7F, 0}, {0.5 - 0.5 + 2}, 1},
        {plain, {2, 2, 0}, {0.5 - 0.5 + 1}, 1},
        {plain, {2, -0.5F, 0}, {0.5 - 0.5 + 1}, 1},
        {plain, {2, 16777216, 0}, {0.5 - 0.5 + 1}, 1},
        {plain, {NAN, NAN, 0}, {0.5 + 0.25 + 2}, 1},
        {two_classes, {1, 0, 0}, {1}, 1},
        {dart, {1, 0, 0}, {0.5 + 0.125 + 2}, 1},
        {linear, {1, 1, 2}, {0.5 + 0.25 + 1 + 2 + 1}, 1},
        {linear, {NAN, 1, NAN}, {0.5 + 0.25 + 2}, 1},
        {vectors, {1, 0, 0}, {7, 8}, 2},
        {vectors, {2, 0, 0}, {5, 6}, 2},
        {old_vectors, {1, 0, 0}, {1, 2}, 2},
        {old_vectors, {2, 0, 0}, {3, 4}, 2},
    };
    struct native_rig rig;
    struct tern_tensor out;
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bytes other = to_ubjson(rows[i].text);
        for (int binary = 0; binary < 2; binary++) {
            struct tern_str file =
                binary ? tern_str_make(other.p, other.n) : tern_str_of(rows[i].text);
            if (native_load(&rig, &tern_xgboost_json, file) != TERN_OK)
                fail_msg("row %zu: %s", i, rig.err.text);
            assert_int_equal(rig.program.n_feature_names, 3);
            assert_true(tern_str_eq(rig.program.feature_names[2], TERN_STR("c")));
            assert_int_equal(rig.program.inputs[0].shape.dim[1], 3);
            assert_int_equal(rig.program.outputs[0].shape.dim[1], rows[i].n);
            assert_int_equal(native_run(&rig, rows[i].row, 1, 3, &out), TERN_OK);
            assert_int_equal(out.shape.dim[1], rows[i].n);
            for (size_t k = 0; k < rows[i].n; k++) {
                double got = (double)((const float *)out.data)[k];
                if (got != rows[i].expected[k])
                    fail_msg("row %zu: %g, expected %g", i, got, rows[i].expected[k]);
            }
            native_free(&rig);
        }
        free(other.p);
    }
}

/* ---- edits ---- */

/* The text with the first `find` replaced; freed by the caller. */
static char *edited(const char *text, const char *find, const char *replace)
{
    const char *at = strstr(text, find);
    if (at == NULL)
        fail_msg("nothing to edit: %s", find);
    size_t before = (size_t)(at - text), n = strlen(text) + strlen(replace) + 1;
    char *copy = malloc(n);
    assert_non_null(copy);
    snprintf(copy, n, "%.*s%s%s", (int)before, text, replace, at + strlen(find));
    return copy;
}

struct edit {
    const char *text, *find, *replace;
    const char *says;
    enum tern_code code;
};

#define BAD TERN_INVALID_ARGUMENT
#define NOT TERN_UNIMPLEMENTED

static const struct edit edits[] = {
    /* the file */
    {plain, "\"version\":[3,2,0]", "\"version\":[4,0,0]", "the file is of version 4", NOT},
    {plain, "\"version\":[3,2,0]", "\"version\":[]", "the file is of version 0", NOT},
    {plain, "\"version\":[3,2,0]", "\"version\":7", "version: ", BAD},
    {plain, "\"version\":[3,2,0]}", "\"version\":[3,2,0]} {", "expected nothing after", BAD},
    {plain, "\"version\":[3,2,0]}", "\"learner\":{}}", "duplicate key 'learner'", BAD},
    {plain, "{\"learner\"", "{\"Learner\"", "expected 'learner' in the file", BAD},
    {plain, "{\"learner\"", "{\"Config\":{},\"learner\"", "snapshot of a Booster", BAD},
    /* the learner */
    {plain, "\"objective\"", "\"Objective\"", "expected 'objective' in the learner", BAD},
    {plain, "\"gradient_booster\"", "\"x\"", "expected 'gradient_booster' in the learner", BAD},
    {plain, "\"learner_model_param\"", "\"x\"", "expected 'learner_model_param'", BAD},
    {plain, "reg:squarederror", "reg:expectileerror", "objective 'reg:expectileerror' is not", NOT},
    {plain, "\"name\":\"reg:", "\"nam\":\"reg:", "expected 'name' in the objective", BAD},
    {plain, "\"name\":\"gbtree\"", "\"name\":\"gbforest\"", "booster 'gbforest' is not known", NOT},
    {plain, ",\"name\":\"gbtree\"", "", "expected 'name' in the gradient_booster", BAD},
    {plain, "[\"a\",\"b\",\"c\"]", "[\"a\",\"b\"]", "expected 3 names, found 2", BAD},
    {plain, "[\"a\",\"b\",\"c\"]", "[\"a\",\"b\",\"c\",\"d\"]", "no more than 3 names", BAD},
    {plain, "[\"a\",\"b\",\"c\"]", "[1,2,3]", "expected a string", BAD},
    {plain, "\"num_feature\":\"3\",\"num_target\"", "\"num_feature\":\"0\",\"num_target\"",
     "num_feature is 0", BAD},
    {plain, "\"num_feature\":\"3\",\"num_target\"", "\"num_feature\":\"-3\",\"num_target\"",
     "learner_model_param: num_feature: expected a number up to", BAD},
    {plain, "\"num_feature\":\"3\",\"num_target\"", "\"num_feature\":3,\"num_target\"",
     "expected a string", BAD},
    {plain, "\"num_feature\":\"3\",\"num_target\"", "\"num_feature\":\"99999999\",\"num_target\"",
     "expected a number up to 16777216", BAD},
    {two_classes, "\"num_target\":\"1\"", "\"num_target\":\"2\"", "2 classes and 2 targets", NOT},
    {plain, "\"num_class\":\"0\"", "\"num_class\":\"99999\"", "num_class: expected", BAD},
    /* base_score */
    {plain, "\"[5E-1]\"", "\"[5E-1,1,2]\"", "base_score has 3 numbers, expected 1", BAD},
    {plain, "\"[5E-1]\"", "\"[]\"", "base_score has 0 numbers", BAD},
    {plain, "\"[5E-1]\"", "\"\"", "base_score has 0 numbers", BAD},
    {plain, "\"[5E-1]\"", "\"five\"", "base_score: ", BAD},
    {plain, "\"[5E-1]\"", "\"[[1]]\"", "base_score: ", BAD},
    {plain, "\"[5E-1]\"", "\"[1\"", "base_score: ", BAD},
    {plain, "\"[5E-1]\"", "\"NaN\"", "base_score is nan: expected a finite number", BAD},
    {plain, "\"[5E-1]\"", "0.5", "base_score: ", BAD},
    {plain, "\"base_score\"", "\"b\"", "expected 'base_score'", BAD},
    /* the model */
    {plain, "\"trees\":", "\"tree\":", "the booster's model has no 'trees'", BAD},
    {plain, "\"trees\":[", "\"trees\":{\"a\":1},\"b\":[", "expected an array", BAD},
    {plain, "\"trees\":[", "\"trees\":[1,", "tree 0: ", BAD},
    {plain, "\"num_trees\":\"2\"", "\"num_trees\":\"1\"", "num_trees is 1", BAD},
    {plain, "\"num_trees\":\"2\"", "\"num_trees\":\"3\"", "num_trees is 3", BAD},
    {plain, "\"num_trees\":\"2\"", "\"num_trees\":\"1e9\"", "num_trees: expected", BAD},
    {plain, "\"tree_info\":[0,0]", "\"tree_info\":[0]", "tree_info has 1 entries", BAD},
    {plain, "\"tree_info\":[0,0]", "\"tree_info\":[0,1]", "tree 1 is for output 1", BAD},
    {plain, "\"tree_info\":[0,0]", "\"tree_info\":[-1,0]", "tree 0 is for output -1", BAD},
    {plain, "\"tree_info\":[0,0]", "\"tree_info\":\"00\"", "tree_info: ", BAD},
    {plain, "[0,1,2],\"tree_info\"", "[0,1,3],\"tree_info\"", "iteration_indptr ends with 3", BAD},
    {plain, "[0,1,2],\"tree_info\"", "[1,1,2],\"tree_info\"", "entry 0 is 1, expected 0", BAD},
    {plain, "[0,1,2],\"tree_info\"", "[0,2,1],\"tree_info\"", "entry 2 is 1, expected", BAD},
    {plain, TREE_0 "," TREE_1, TREE_0, "expected 2 trees (num_trees), found 1", BAD},
    {plain, TREE_0 "," TREE_1, TREE_0 "," TREE_0, "expected an integer from 1 to 1", BAD},
    {plain, TREE_0 "," TREE_1, TREE_0 "," TREE_1 "," TREE_1, "tree 2: ", BAD},
    /* a tree */
    {plain, "\"num_nodes\":\"3\"", "\"num_nodes\":\"0\"", "tree 0: num_nodes is 0", BAD},
    {plain, "\"num_nodes\":\"3\"", "\"num_nodes\":\"4\"", "left_children has 3 entries, but", BAD},
    {plain, "\"num_nodes\":\"3\",", "", "expected 'num_nodes' in the tree_param", BAD},
    {plain, "\"tree_param\":", "\"param\":", "tree 0: failed to parse", BAD},
    {plain, "\"split_conditions\":[1.5,0.25,-0.5]", "\"split_conditions\":[1.5,0.25]",
     "split_conditions has 2 entries", BAD},
    {plain, "\"split_indices\":[0,0,0]", "\"split_indices\":[0]", "split_indices has 1", BAD},
    {plain, "\"default_left\":[1,0,0]", "\"default_left\":[1,0]", "default_left has 2", BAD},
    {plain, "\"default_left\":[1,0,0]", "\"default_left\":[2,0,0]", "true, false, 0 or 1", BAD},
    {plain, "\"sum_hessian\":[10,4,6]", "\"sum_hessian\":[10]", "sum_hessian has 1", BAD},
    {plain, "\"split_type\":[0,0,0]", "\"split_type\":[0]", "split_type has 1", BAD},
    {plain, "\"split_type\":[0,0,0]", "\"split_type\":[2,0,0]", "split_type 2 is not known", NOT},
    {plain, "\"right_children\":[2,-1,-1]", "\"right_children\":[2,-1]", "right_children has", BAD},
    {plain, "\"left_children\":[1,-1,-1]", "\"left_children\":[3,-1,-1]", "tree 0", BAD},
    {plain, "\"left_children\":[1,-1,-1]", "\"left_children\":[0,-1,-1]", "tree 0", BAD},
    {plain, "\"left_children\":[1,-1,-1]", "\"left_children\":[2,-1,-1]", "tree 0", BAD},
    {plain, "\"left_children\":[1,-1,-1]", "\"left_children\":[-2,-1,-1]",
     "tree 0: node 0: children -2 and 2", BAD},
    {plain, "\"left_children\":[1,-1,-1]", "\"left_children\":[1.5,-1,-1]",
     "tree 0: left_children: ", BAD},
    {plain, "\"left_children\":[1,-1,-1]", "\"left_children\":[1,99999999999,-1]",
     "an integer of 32 bits", BAD},
    {plain, "\"split_indices\":[0,0,0]", "\"split_indices\":[3,0,0]", "feature 3", BAD},
    {plain, "\"split_indices\":[0,0,0]", "\"split_indices\":[-1,0,0]", "feature 4294967295", BAD},
    {plain, "\"loss_changes\":[1.0,0,0]", "\"loss_changes\":[1.0,0,}", "failed to parse JSON", BAD},
    /* categories */
    {plain, "\"categories_nodes\":[0]", "\"categories_nodes\":[]", "have 0, 1 and 1 entries", BAD},
    {plain, "\"categories_nodes\":[0]", "\"categories_nodes\":[1]",
     "tree 1: node 0: it asks for categories, but is not next in categories_nodes", BAD},
    {plain, "\"categories_sizes\":[2]", "\"categories_sizes\":[0]", "categories 0 and 0 more", BAD},
    {plain, "\"categories_sizes\":[2]", "\"categories_sizes\":[3]", "categories 0 and 3 more", BAD},
    {plain, "\"categories_segments\":[0]", "\"categories_segments\":[-1]", "categories -1", BAD},
    {plain, "\"categories_segments\":[0]", "\"categories_segments\":[9223372036854775807]",
     "categories 9223372036854775807", BAD},
    {plain, "\"categories\":[3,1]", "\"categories\":[3,-1]", "node 0: category -1", BAD},
    {plain, "\"categories\":[3,1]", "\"categories\":[3,16777216]", "category 16777216", BAD},
    {plain, "\"split_type\":[1,0,0,0]", "\"split_type\":[0,0,0,0]",
     "categories_nodes names node 0, which asks for no categories", BAD},
    /* vectors */
    {vectors, "\"size_leaf_vector\":\"2\"", "\"size_leaf_vector\":\"3\"",
     "size_leaf_vector is 3, but the model has 2 outputs", BAD},
    {vectors, "\"right_children\":[2,1,0]", "\"right_children\":[2,2,0]",
     "node 1: row 2 of leaf_weights, which has 2", BAD},
    {vectors, "\"right_children\":[2,1,0]", "\"right_children\":[2,-1,0]", "row -1", BAD},
    {old_vectors, "[9,9,1,2,3,4]", "[9,9,1,2,3]", "base_weights has 5 entries", BAD},
    {old_vectors, "\"base_weights\"", "\"weights\"", "neither leaf_weights nor base_weights", BAD},
    /* dart */
    {dart, "\"weight_drop\":[0.5,2.0]", "\"weight_drop\":[0.5]", "weight_drop has 1 entries", BAD},
    {dart, "\"weight_drop\":[0.5,2.0]", "\"weight_drop\":[0.5,true]", "weight_drop: ", BAD},
    {dart, "\"gbtree\":{", "\"gb\":{", "the booster's model has no 'trees'", BAD},
    {dart, "\"name\":\"dart\"", "\"model\":{},\"name\":\"dart\"", "expected one model", BAD},
    {dart, "\"size_leaf_vector\":\"1\"", "\"size_leaf_vector\":\"2\"", "no trees of vector", NOT},
    /* gblinear */
    {linear, "\"weights\":", "\"w\":", "the booster's model has no 'weights'", BAD},
    {linear, "[1,2,0.5,0.25]", "[1,2,0.5]", "weights has 3 entries, expected 4", BAD},
    {linear, "[1,2,0.5,0.25]", "[1,2,\"x\",0.25]", "expected a number", BAD},
    {linear, "\"boosted_rounds\":4", "\"boosted_rounds\":-4", "expected an integer from 0", BAD},
};

static void check_refused(const struct edit *edit, struct tern_str file, bool binary)
{
    struct native_rig rig;
    enum tern_code code = native_load(&rig, &tern_xgboost_json, file);

    if (code != edit->code ||
        !tern_str_starts(tern_str_of(rig.err.text), TERN_STR("XGBoost model: ")))
        fail_msg("%.50s for %.50s (%s): %d, %s", edit->replace, edit->find,
                 binary ? "UBJSON" : "JSON", (int)code, rig.err.text);
    /* The other form has other words for what is wrong with its own values. */
    if (strstr(rig.err.text, edit->says) == NULL && (!binary || strstr(edit->says, "JSON") == NULL))
        fail_msg("%.50s for %.50s (%s): '%s' is not about '%s'", edit->replace, edit->find,
                 binary ? "UBJSON" : "JSON", rig.err.text, edit->says);
    native_free(&rig);
}

static void refuses_what_is_damaged(void **state)
{
    size_t n_binary = 0, n = sizeof(edits) / sizeof(edits[0]);
    (void)state;

    for (size_t i = 0; i < n; i++) {
        char *text = edited(edits[i].text, edits[i].find, edits[i].replace);
        struct bytes other = to_ubjson(text);
        check_refused(&edits[i], tern_str_of(text), false);
        if (other.p != NULL) {
            check_refused(&edits[i], tern_str_make(other.p, other.n), true);
            n_binary++;
        }
        free(other.p);
        free(text);
    }
    assert_true(n_binary > n * 9 / 10);
}

/* What may be different, and still is the same model. */
static void takes_what_other_versions_write(void **state)
{
    static const struct edit rows[] = {
        {plain, "\"version\":[3,2,0]", "\"version\":[1,0,2]", NULL, TERN_OK},
        {plain, ",\"version\":[3,2,0]", "", NULL, TERN_OK},
        {plain, "\"[5E-1]\"", "\"5E-1\"", NULL, TERN_OK},
        {plain, "\"[5E-1]\"", "\" ( 0.5 ) \"", NULL, TERN_OK},
        {plain, "\"[5E-1]\"", "\"\\u005b5E-1]\"", NULL, TERN_OK},
        {plain, ",\"num_target\":\"1\"", "", NULL, TERN_OK},
        {plain, "\"default_left\":[1,0,0]", "\"default_left\":[true,false,false]", NULL, TERN_OK},
        {plain, "\"iteration_indptr\":[0,1,2],", "", NULL, TERN_OK},
        {plain, "\"split_type\":[0,0,0],", "", NULL, TERN_OK},
        {plain, "\"feature_names\":[\"a\",\"b\",\"c\"],", "", NULL, TERN_OK},
        {plain, "\"feature_names\":[\"a\",\"b\",\"c\"]", "\"feature_names\":[]", NULL, TERN_OK},
        {plain, "\"loss_changes\":[1.0,0,0]", "\"loss_changes\":[NaN,Infinity,-Infinity]", NULL,
         TERN_OK},
        {plain, "\"split_conditions\":[0,1,2,0]", "\"split_conditions\":[NaN,1,2,0]", NULL,
         TERN_OK},
        {plain, "\"id\":0,", "", NULL, TERN_OK},
    };
    const float row[] = {1, 0, 0};
    struct native_rig rig;
    struct tern_tensor out;
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *text = edited(rows[i].text, rows[i].find, rows[i].replace);
        if (native_load(&rig, &tern_xgboost_json, tern_str_of(text)) != TERN_OK)
            fail_msg("%s: %s", rows[i].replace, rig.err.text);
        assert_int_equal(native_run(&rig, row, 1, 3, &out), TERN_OK);
        assert_true(((const float *)out.data)[0] == 1.75F);
        native_free(&rig);
        free(text);
    }
}

static void a_threshold_that_is_no_number_is_refused(void **state)
{
    char *text = edited(plain, "[1.5,0.25,-0.5]", "[NaN,0.25,-0.5]");
    struct native_rig rig;
    (void)state;

    assert_int_equal(native_load(&rig, &tern_xgboost_json, tern_str_of(text)), BAD);
    assert_non_null(strstr(rig.err.text, "its threshold is not a number"));
    native_free(&rig);
    free(text);
}

/* ---- objectives ---- */

struct objective_row {
    const char *name, *score;
    double expected; /* of a margin that is the base's and 1.25 more */
    const char *refused;
};

static void each_objective_has_its_link(void **state)
{
    const double logit = log(0.25 / 0.75);
    const struct objective_row rows[] = {
        {"reg:linear", "0.25", 1.5, NULL},
        {"reg:squaredlogerror", "0.25", 1.5, NULL},
        {"reg:pseudohubererror", "0.25", 1.5, NULL},
        {"reg:absoluteerror", "0.25", 1.5, NULL},
        {"reg:quantileerror", "0.25", 1.5, NULL},
        {"reg:logistic", "0.25", 1 / (1 + exp(-logit - 1.25)), NULL},
        {"binary:logistic", "0.25", 1 / (1 + exp(-logit - 1.25)), NULL},
        {"binary:logistic", "1", 1 / (1 + exp(-log(1e6) - 1.25)), NULL},
        {"binary:logistic", "1.5", 0, "a number from 0 to 1 for binary:logistic"},
        {"binary:logitraw", "0.25", 1.5, NULL},
        {"binary:hinge", "0.25", 1, NULL},
        {"binary:hinge", "-2", 0, NULL},
        {"reg:gamma", "0.25", 0.25 * exp(1.25), NULL},
        {"reg:gamma", "0", 0, "more than 0 for reg:gamma"},
        {"reg:tweedie", "0.25", 0.25 * exp(1.25), NULL},
        {"count:poisson", "0.25", 0.25 * exp(1.25), NULL},
        {"survival:cox", "0.25", 0.25 * exp(1.25), NULL},
        {"survival:aft", "0.25", 0.25 * exp(1.25), NULL},
        {"multi:softmax", "0.25", 0, NULL},
        {"multi:softprob", "0.25", 1, NULL},
        {"rank:pairwise", "0.25", 1.5, NULL},
        {"rank:ndcg", "0.25", 1.5, NULL},
        {"rank:map", "0.25", 1.5, NULL},
    };
    const float row[] = {1, 0, 0};
    struct native_rig rig;
    struct tern_tensor out;
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *scored = edited(plain, "[5E-1]", rows[i].score);
        char *text = edited(scored, "reg:squarederror", rows[i].name);
        enum tern_code code = native_load(&rig, &tern_xgboost_json, tern_str_of(text));
        if (rows[i].refused != NULL) {
            assert_int_equal(code, BAD);
            assert_non_null(strstr(rig.err.text, rows[i].refused));
        } else {
            assert_int_equal(code, TERN_OK);
            assert_int_equal(native_run(&rig, row, 1, 3, &out), TERN_OK);
            double got = (double)((const float *)out.data)[0];
            if (fabs(got - rows[i].expected) > 2e-6 * fmax(1, fabs(rows[i].expected)))
                fail_msg("%s: %g, expected %g", rows[i].name, got, rows[i].expected);
        }
        native_free(&rig);
        free(text);
        free(scored);
    }
}

/* A model that was never trained starts from one half, whatever its base_score says. */
static void untrained(void **state)
{
    char *average = edited(linear, "\"boost_from_average\":\"0\",", "");
    char *score = edited(average, "\"5E-1\"", "\"3\"");
    char *rounds = edited(score, "\"boosted_rounds\":4,", "");
    const float row[] = {0, 0, 0};
    struct native_rig rig;
    struct tern_tensor out;
    (void)state;

    assert_int_equal(native_load(&rig, &tern_xgboost_json, tern_str_of(rounds)), TERN_OK);
    assert_int_equal(native_run(&rig, row, 1, 3, &out), TERN_OK);
    assert_true(((const float *)out.data)[0] == 0.75F);
    native_free(&rig);
    assert_int_equal(native_load(&rig, &tern_xgboost_json, tern_str_of(score)), TERN_OK);
    assert_int_equal(native_run(&rig, row, 1, 3, &out), TERN_OK);
    assert_true(((const float *)out.data)[0] == 3.25F);
    native_free(&rig);
    free(rounds);
    free(score);
    free(average);
}

/* ---- whose file it is ---- */

static void probes(void **state)
{
    struct bytes other = to_ubjson(plain);
    struct tern_str json = tern_str_of(plain), binary = tern_str_make(other.p, 64),
                    none = {NULL, 0};
    struct tern_str lightgbm = TERN_STR("{\"name\":\"tree\",\"version\":\"v4\"}");
    struct tern_str spaced = TERN_STR("{\n  \"version\": [2, 1, 1],\n  \"learner\": {");
    struct native_rig rig;
    (void)state;

    assert_int_equal(tern_xgboost_json.probe(TERN_STR("model.json"), json), 100);
    assert_int_equal(tern_xgboost_json.probe(TERN_STR("anything"), spaced), 100);
    assert_int_equal(tern_xgboost_json.probe(TERN_STR("model.json"), lightgbm), 0);
    assert_int_equal(tern_xgboost_json.probe(TERN_STR("model.json"), binary), 0);
    assert_int_equal(tern_xgboost_json.probe(TERN_STR("model.json"), none), 0);
    assert_int_equal(tern_xgboost_json.probe(TERN_STR("xgboost.json"), none), 100);
    assert_int_equal(tern_xgboost_json.probe(TERN_STR("xgboost.json"), TERN_STR("x")), 50);
    assert_int_equal(tern_xgboost_ubjson.probe(TERN_STR("model.bin"), binary), 100);
    assert_int_equal(tern_xgboost_ubjson.probe(TERN_STR("m.ubj"), none), 100);
    assert_int_equal(tern_xgboost_ubjson.probe(TERN_STR("m.ubj"), TERN_STR("x")), 50);
    assert_int_equal(tern_xgboost_ubjson.probe(TERN_STR("m.ubj"), json), 50);
    assert_int_equal(tern_xgboost_ubjson.probe(TERN_STR("m.json"), json), 0);
    assert_int_equal(tern_xgboost_binary.probe(TERN_STR("a.model"), TERN_STR("binf\1")), 100);
    assert_int_equal(tern_xgboost_binary.probe(TERN_STR("xgboost.model"), none), 100);
    assert_int_equal(tern_xgboost_binary.probe(TERN_STR("xgboost.model"), TERN_STR("\1\2")), 40);
    assert_int_equal(tern_xgboost_binary.probe(TERN_STR("a.model"), TERN_STR("\1\2")), 0);
    assert_int_equal(native_load(&rig, &tern_xgboost_binary, TERN_STR("binf")), NOT);
    assert_non_null(strstr(rig.err.text, "save_model('xgboost.ubj')"));
    native_free(&rig);
    free(other.p);
}

static void memory_may_fail_anywhere(void **state)
{
    const char *const texts[] = {plain, linear, old_vectors};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        native_without_memory(&tern_xgboost_json, tern_str_of(texts[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predicts),
        cmocka_unit_test(refuses_what_is_damaged),
        cmocka_unit_test(takes_what_other_versions_write),
        cmocka_unit_test(a_threshold_that_is_no_number_is_refused),
        cmocka_unit_test(each_objective_has_its_link),
        cmocka_unit_test(untrained),
        cmocka_unit_test(probes),
        cmocka_unit_test(memory_may_fail_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
