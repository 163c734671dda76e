/* Instances to inputs, outputs to predictions; the two dialects that have them. */
// covers: proto/kserve_v1 proto/vertex proto/instances_write
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "harness/fake_exchange.h"
#include "proto/instances.h"
#include "proto/kserve_v1.h"
#include "proto/vertex.h"

static const struct tern_tensor_spec one[] = {
    {.name = {"x", 1}, .dtype = TERN_DTYPE_FP32, .shape = {2, {-1, 3}}},
};
static const struct tern_tensor_spec free_shape[] = {
    {.name = {"x", 1}, .dtype = TERN_DTYPE_INT64, .shape = {3, {-1, -1, -1}}},
};
static const struct tern_tensor_spec text[] = {
    {.name = {"t", 1}, .dtype = TERN_DTYPE_BYTES, .shape = {2, {-1, 1}}},
};
static const struct tern_tensor_spec two[] = {
    {.name = {"a", 1}, .dtype = TERN_DTYPE_FP64, .shape = {1, {-1}}},
    {.name = {"b", 1}, .dtype = TERN_DTYPE_BYTES, .shape = {2, {-1, 2}}},
};
#define INFO(specs)                                                                         \
    {                                                                                       \
        .name = {"m", 1}, .version = 3, .inputs = (specs), .n_inputs = TERN_COUNT_OF(specs) \
    }
static const struct tern_model_info one_info = INFO(one), free_info = INFO(free_shape),
                                    text_info = INFO(text), two_info = INFO(two);

static enum tern_code decode(struct fake_exchange *fake, const struct tern_model_info *info,
                             const char *body, struct tern_err *err)
{
    fake_init(fake);
    fake_body(fake, body, strlen(body));
    fake->call.info = info;
    fake->call.message = fake->x.body;
    fake->call.op = TERN_OP_EXPLAIN;
    return tern_instances_decode(&fake->call, err);
}

static void expect(const struct tern_tensor *tensor, const char *name, const char *shape,
                   const void *data, size_t n_bytes)
{
    char printed[160];

    assert_true(tern_str_eq(tensor->name, tern_str_of(name)));
    assert_string_equal(tern_shape_print(&tensor->shape, printed, sizeof(printed)), shape);
    assert_int_equal(tensor->n_bytes, n_bytes);
    assert_memory_equal(tensor->data, data, n_bytes);
}

static void rows_of_the_only_input(void **state)
{
    const float rows[] = {1, 2, 3, 4, 5, 6};
    static const char *const bodies[] = {
        "{\"instances\":[[1,2,3],[4,5,6]]}",
        "{\"signature_name\":\"x\",\"inputs\":[[1,2,3],[4,5,6]],\"parameters\":{\"seed\":4}}",
        "{\"instances\":[{\"x\":[1,2,3]},{\"x\":[4,5,6]}]}",
        "{\"instances\":[[[1],[2],[3]],[[4],[5],[6]]]}",
    };
    struct fake_exchange fake;
    struct tern_err err;

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(bodies); i++) {
        if (decode(&fake, &one_info, bodies[i], &err) != TERN_OK)
            fail_msg("%s: %s", bodies[i], err.text);
        assert_int_equal(fake.call.request.n_inputs, 1);
        expect(&fake.call.request.inputs[0], "x", "[2,3]", rows, sizeof(rows));
        fake_fini(&fake);
    }
}

static const struct tern_str ages[] = {{"age", 3}, {"income", 6}, {"floor", 5}};
static const struct tern_model_info named_info = {
    .name = {"m", 1}, .inputs = one, .n_inputs = 1, .feature_names = ages, .n_feature_names = 3};

static void rows_by_their_features(void **state)
{
    static const char *const good[] = {
        "{\"instances\":[{\"age\":1,\"income\":2,\"floor\":3},"
        "{\"floor\":6,\"age\":4,\"income\":5}]}",
        "{\"instances\":[{\"income\": 2.0 , \"floor\": 3,\"age\":1},[4,5,6]]}",
        "{\"instances\":[{\"x\":[1,2,3]},{\"age\":4,\"income\":5,\"floor\":6}]}",
    };
    static const char *const bad[][2] = {
        {"[{\"age\":1,\"income\":2}]", "row 0: feature 'floor' is missing; null says that"},
        {"[{\"age\":1,\"age\":2}]", "row 0: feature 'age' stands twice"},
        {"[{\"age\":1,\"rent\":2}]", "row 0: feature 'rent' is none of the model's"},
        {"[{\"x\":[1,2,3]},{\"age\":\"old\"}]", "row 1, feature 'age'"},
        {"[{\"age\":1,\"income\":2,\"floor\":[3]}]", "row 0, feature 'floor'"},
        {"[{},{\"age\":1,\"income\":2,\"floor\":3}]", "it is missing"},
        {"[{\"x\":[1,2]},{\"age\":1,\"income\":2,\"floor\":3}]", "do not fill its shape"},
    };
    const float rows[] = {1, 2, 3, 4, 5, 6};
    struct fake_exchange fake;
    struct tern_err err;
    char body[200];

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(good); i++) {
        if (decode(&fake, &named_info, good[i], &err) != TERN_OK)
            fail_msg("%s: %s", good[i], err.text);
        expect(&fake.call.request.inputs[0], "x", "[2,3]", rows, sizeof(rows));
        fake_fini(&fake);
    }
    assert_int_equal(decode(&fake, &named_info,
                            "{\"instances\":[{\"age\":1,\"income\":null,\"floor\":3}]}", &err),
                     TERN_OK);
    const float *row = fake.call.request.inputs[0].data;
    assert_true(row[0] == 1 && row[1] != row[1] && row[2] == 3);
    fake_fini(&fake);
    for (size_t i = 0; i < TERN_COUNT_OF(bad); i++) {
        snprintf(body, sizeof(body), "{\"instances\":%s}", bad[i][0]);
        if (decode(&fake, &named_info, body, &err) == TERN_OK)
            fail_msg("%s was read", body);
        if (strstr(err.text, bad[i][1]) == NULL)
            fail_msg("%s: %s", body, err.text);
        fake_fini(&fake);
    }
}

static void nesting_gives_free_dimensions(void **state)
{
    const int64_t rows[] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct fake_exchange fake;
    struct tern_err err;

    (void)state;
    assert_int_equal(
        decode(&fake, &free_info, "{\"instances\":[[[1,2],[3,4]],[[5,6],[7,8]]]}", &err), TERN_OK);
    expect(&fake.call.request.inputs[0], "x", "[2,2,2]", rows, sizeof(rows));
    fake_fini(&fake);
    assert_int_equal(decode(&fake, &free_info, "{\"instances\":[[1,2,3,4],[5,6,7,8]]}", &err),
                     TERN_OK);
    expect(&fake.call.request.inputs[0], "x", "[2,1,4]", rows, sizeof(rows));
    fake_fini(&fake);
}

static void texts_and_base64(void **state)
{
    struct fake_exchange fake;
    struct tern_err err;

    (void)state;
    assert_int_equal(
        decode(&fake, &text_info, "{\"instances\":[\"hi\",{\"b64\":\"AQI=\"},[\"\"]]}", &err),
        TERN_OK);
    expect(&fake.call.request.inputs[0], "t", "[3,1]", "\2\0\0\0hi\2\0\0\0\1\2\0\0\0\0", 16);
    fake_fini(&fake);
}

static void objects_of_several_inputs(void **state)
{
    const double a[] = {1, 2.5};
    struct fake_exchange fake;
    struct tern_err err;

    (void)state;
    assert_int_equal(decode(&fake, &two_info,
                            "{\"instances\":[{\"a\":1,\"b\":[\"x\",\"yz\"]},"
                            "{\"b\":[\"\",\"w\"],\"a\":2.5}]}",
                            &err),
                     TERN_OK);
    assert_int_equal(fake.call.request.n_inputs, 2);
    expect(&fake.call.request.inputs[0], "a", "[2]", a, sizeof(a));
    expect(&fake.call.request.inputs[1], "b", "[2,2]", "\1\0\0\0x\2\0\0\0yz\0\0\0\0\1\0\0\0w", 20);
    fake_fini(&fake);
}

static void a_background_is_a_parameter(void **state)
{
    const float rows[] = {7, 8, 9};
    struct fake_exchange fake;
    struct tern_err err;

    (void)state;
    assert_int_equal(decode(&fake, &one_info,
                            "{\"parameters\":{\"method\":\"kernel\",\"background\":[[7,8,9]]},"
                            "\"instances\":[[1,2,3]]}",
                            &err),
                     TERN_OK);
    assert_int_equal(fake.call.explain.background, TERN_EXPLAIN_BACKGROUND_GIVEN);
    assert_int_equal(fake.call.explain.n_rows, 1);
    expect(&fake.call.explain.rows[0], "x", "[1,3]", rows, sizeof(rows));
    assert_int_equal(fake.call.request.params.n, 1);
    fake_fini(&fake);
}

static void refusals(void **state)
{
    static const struct {
        const struct tern_model_info *info;
        const char *body, *text;
    } rows[] = {
        {&one_info, "", "no body"},
        {&one_info, "[]", "expected"},
        {&one_info, "{}", "Expected key \"instances\""},
        {&one_info, "{\"instances\":3}", "to be a list"},
        {&one_info, "{\"instances\":[]}", "is empty"},
        {&one_info, "{\"instances\":[[1,2]]}", "2 elements"},
        {&one_info, "{\"instances\":[[1,2,3],[1,2]]}", "\"instances\""},
        {&one_info, "{\"instances\":[[1,2,\"a\"]]}", "\"instances\""},
        {&one_info, "{\"instances\":[{\"y\":1}]}", "no input 'y'"},
        {&one_info, "{\"instances\":[{\"x\":[1,2,3]},{}]}", "missing"},
        {&one_info, "{\"instances\":[{\"x\":[1,2,3],\"x\":[1,2,3]}]}", "stands twice"},
        {&one_info, "{\"instances\":[[1,2,3]],\"inputs\":[[1,2,3]]}", "inputs"},
        {&one_info, "{\"instances\":[[1,2,3]],\"parameters\":{\"a\":{}}}", "a"},
        {&one_info, "{\"instances\":[[1,2,3]]", "byte"},
        {&one_info, "{\"instances\":[[1,2,NaN]]}", "\"instances\""},
        {&two_info, "{\"instances\":[1]}", "2 inputs"},
        {&two_info, "{\"instances\":[{\"a\":1,\"b\":[\"x\"]}]}", "1 elements"},
        {&two_info, "{\"instances\":[{\"a\":1,\"b\":[\"x\",\"y\"]},{\"a\":1,\"b\":[\"x\"]}]}",
         "not as many"},
        {&text_info, "{\"instances\":[{\"b64\":\"?\"}]}", "base64"},
        {&text_info, "{\"instances\":[3]}", "string"},
    };
    struct fake_exchange fake;
    struct tern_err err;

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        if (decode(&fake, rows[i].info, rows[i].body, &err) != TERN_INVALID_ARGUMENT)
            fail_msg("%s: taken", rows[i].body);
        if (strstr(err.text, rows[i].text) == NULL)
            fail_msg("%s: %s", rows[i].body, err.text);
        fake_fini(&fake);
    }
}

/* ---- answers ---- */

static const struct tern_route *route_of(const struct tern_proto *proto, const char *end)
{
    for (uint32_t i = 0; i < proto->n_routes; i++) {
        if (tern_str_ends(tern_str_of(proto->routes[i].pattern), tern_str_of(end)))
            return &proto->routes[i];
    }
    fail_msg("no route %s", end);
    return NULL;
}

static void expect_body(struct fake_exchange *fake, const char *want)
{
    struct tern_str body = tern_exchange_body_str(&fake->x);

    if (!tern_str_eq(body, tern_str_of(want)))
        fail_msg("%.*s", (int)body.n, body.p);
}

static void predictions_row_by_row(void **state)
{
    float y[] = {1, 2, 3, 4};
    int64_t z[] = {5, 6};
    struct tern_tensor outputs[] = {
        {.name = {"y", 1},
         .dtype = TERN_DTYPE_FP32,
         .shape = {2, {2, 2}},
         .data = y,
         .n_bytes = sizeof(y)},
        {.name = {"z", 1},
         .dtype = TERN_DTYPE_INT64,
         .shape = {2, {2, 1}},
         .data = z,
         .n_bytes = sizeof(z)},
        {.name = {"t", 1},
         .dtype = TERN_DTYPE_BYTES,
         .shape = {1, {2}},
         .data = (char[]){1, 0, 0, 0, 'a', 0, 0, 0, 0},
         .n_bytes = 9},
    };
    struct fake_exchange fake;
    struct tern_err err;

    (void)state;
    fake_init(&fake);
    fake.call.info = &one_info;
    fake.call.response.outputs = outputs;
    fake.call.response.n_outputs = 1;
    assert_int_equal(route_of(&tern_kserve_v1, ":predict")->encode(&fake.call, &err), TERN_OK);
    expect_body(&fake, "{\"predictions\":[[1.0,2.0],[3.0,4.0]]}");
    fake.call.response.n_outputs = 3;
    assert_int_equal(route_of(&tern_vertex, ":predict")->encode(&fake.call, &err), TERN_OK);
    expect_body(&fake, "{\"predictions\":[{\"y\":[1.0,2.0],\"z\":5,\"t\":\"a\"},"
                       "{\"y\":[3.0,4.0],\"z\":6,\"t\":\"\"}],\"deployedModelId\":\"3\","
                       "\"modelDisplayName\":\"m\",\"modelVersionId\":\"3\"}");
    outputs[1].shape.dim[0] = 1;
    assert_int_equal(route_of(&tern_kserve_v1, ":predict")->encode(&fake.call, &err),
                     TERN_FAILED_PRECONDITION);
    fake_fini(&fake);
}

static void explanations_row_by_row(void **state)
{
    double values[] = {0.5, -1, 2, 3}, base[] = {1, 2}, predictions[] = {0.5, 7}, error[] = {0};
    struct tern_str features[] = {TERN_STR("p"), TERN_STR("q")};
    struct tern_str outputs[] = {TERN_STR("y[0]"), TERN_STR("y[1]")};
    struct tern_str labels[] = {TERN_STR("no"), TERN_STR("yes")};
    const struct tern_explain_answer answer = {.method = TERN_EXPLAIN_TREE,
                                               .is_margin = true,
                                               .n = 1,
                                               .n_outputs = 2,
                                               .n_features = 2,
                                               .values = values,
                                               .base = base,
                                               .predictions = predictions,
                                               .additivity = error,
                                               .features = features,
                                               .outputs = outputs,
                                               .labels = labels};
    struct fake_exchange fake;
    struct tern_err err;

    (void)state;
    fake_init(&fake);
    fake.call.info = &one_info;
    fake.call.explanation = &answer;
    assert_int_equal(route_of(&tern_kserve_v1, ":explain")->encode(&fake.call, &err), TERN_OK);
    expect_body(&fake,
                "{\"predictions\":[[0.5,7.0]],\"explanations\":[{\"shap_values\":[[0.5,-1.0],[2.0,"
                "3.0]],\"base_values\":[1.0,2.0],\"additivity_error\":0.0}],\"method\":\"tree\","
                "\"explained\":\"margin\",\"feature_names\":[\"p\",\"q\"],\"output_names\":[\"y[0]"
                "\",\"y[1]\"]}");
    assert_int_equal(route_of(&tern_vertex, ":explain")->encode(&fake.call, &err), TERN_OK);
    expect_body(
        &fake,
        "{\"explanations\":[{\"attributions\":[{\"baselineOutputValue\":1.0,\"instanceOutputValue\""
        ":0.5,\"featureAttributions\":{\"p\":0.5,\"q\":-1.0},\"outputIndex\":[0],"
        "\"approximationError\":0.0,\"outputDisplayName\":\"no\",\"outputName\":\"y[0]\"},{"
        "\"baselineOutputValue\":2.0,"
        "\"instanceOutputValue\":7.0,\"featureAttributions\":{\"p\":2.0,\"q\":3.0},"
        "\"outputIndex\":[1],\"approximationError\":0.0,\"outputDisplayName\":\"yes\","
        "\"outputName\":\"y[1]\"}]}],"
        "\"predictions\":[[0.5,7.0]],\"deployedModelId\":\"3\",\"modelDisplayName\":\"m\","
        "\"modelVersionId\":\"3\"}");
    fake_fini(&fake);
}

static void errors_have_their_envelopes(void **state)
{
    struct fake_exchange fake;
    struct tern_err err;

    (void)state;
    fake_init(&fake);
    tern_fail(&err, TERN_NOT_FOUND, "gone");
    tern_vertex.encode_error(&fake.x, &err);
    expect_body(&fake, "{\"error\":{\"code\":404,\"message\":\"gone\",\"status\":\"NOT_FOUND\"}}");
    tern_kserve_v1.encode_error(&fake.x, &err);
    expect_body(&fake, "{\"error\":\"gone\"}");
    fake.x.path = TERN_STR("/v1/models/x:what");
    assert_true(tern_kserve_v1.claims(&fake.x));
    assert_false(tern_vertex.claims(&fake.x));
    fake_fini(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_the_only_input),
        cmocka_unit_test(rows_by_their_features),
        cmocka_unit_test(nesting_gives_free_dimensions),
        cmocka_unit_test(texts_and_base64),
        cmocka_unit_test(objects_of_several_inputs),
        cmocka_unit_test(a_background_is_a_parameter),
        cmocka_unit_test(refusals),
        cmocka_unit_test(predictions_row_by_row),
        cmocka_unit_test(explanations_row_by_row),
        cmocka_unit_test(errors_have_their_envelopes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
