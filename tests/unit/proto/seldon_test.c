/* Seldon Core v1: a message to the one input of a model and back, forms, errors, and what a graph
 * gets as it is. */
// covers: proto/seldon_message proto/kserve_graph
// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "harness/fake_exchange.h"
#include "harness/mem_fails.h"
#include "proto/seldon.h"

static const struct tern_tensor_spec number = {
    .name = {"x", 1}, .dtype = TERN_DTYPE_FP32, .shape = {2, {-1, -1}}};
static const struct tern_tensor_spec text = {
    .name = {"t", 1}, .dtype = TERN_DTYPE_BYTES, .shape = {2, {-1, 1}}};
static const struct tern_tensor_spec two[] = {
    {.name = {"a", 1}, .dtype = TERN_DTYPE_FP32, .shape = {1, {-1}}},
    {.name = {"b", 1}, .dtype = TERN_DTYPE_FP32, .shape = {1, {-1}}},
};
static const struct tern_model_info numbers = {.name = {"m", 1}, .inputs = &number, .n_inputs = 1};
static const struct tern_model_info texts = {.name = {"t", 1}, .inputs = &text, .n_inputs = 1};
static const struct tern_model_info pair = {.name = {"p", 1}, .inputs = two, .n_inputs = 2};
static const struct tern_model_info graph = {.name = {"g", 1}, .documents = true};

static enum tern_code decode(struct fake_exchange *fake, const struct tern_model_info *info,
                             const char *body, struct tern_err *err)
{
    fake_body(fake, body, strlen(body));
    fake->call.info = info;
    fake->call.message = fake->x.body;
    return tern_seldon_decode(&fake->call, err);
}

static void expect_input(const char *body, const char *shape, const float *values, size_t n)
{
    struct fake_exchange fake;
    struct tern_err err;
    char got[160];

    fake_init(&fake);
    if (decode(&fake, &numbers, body, &err) != TERN_OK)
        fail_msg("%s: %s", body, err.text);
    const struct tern_tensor *x = fake.call.request.inputs;
    assert_int_equal(fake.call.request.n_inputs, 1);
    assert_string_equal(tern_shape_print(&x->shape, got, sizeof(got)), shape);
    assert_int_equal(x->n_bytes, n * sizeof(*values));
    if (n > 0)
        assert_memory_equal(x->data, values, x->n_bytes);
    fake_fini(&fake);
}

static void arrays_and_tensors_are_the_one_input(void **state)
{
    static const float values[] = {1, 2.5f, 3, 4, 5, 6};
    (void)state;
    expect_input("{\"data\":{\"ndarray\":[[1,2.5,3],[4,5,6]]}}", "[2,3]", values, 6);
    expect_input("{\"data\":{\"names\":[\"a\"],\"ndarray\":[1,2.5]}}", "[2]", values, 2);
    expect_input("{\"data\":{\"ndarray\":[[],[]]}}", "[2,0]", NULL, 0);
    expect_input("{\"data\":{\"tensor\":{\"shape\":[3,2],\"values\":[1,2.5,3,4,5,6]}}}", "[3,2]",
                 values, 6);
    expect_input("{\"data\":{\"tensor\":{\"values\":[1,2.5],\"shape\":[1,2]}},\"other\":{}}",
                 "[1,2]", values, 2);
}

static void text_is_one_element(void **state)
{
    struct fake_exchange fake;
    struct tern_err err;
    (void)state;
    fake_init(&fake);
    assert_int_equal(decode(&fake, &texts,
                            "{\"meta\":{\"puid\":\"q7\",\"tags\":{}},\"strData\":\"h\\u00e9\"}",
                            &err),
                     TERN_OK);
    const struct tern_tensor *t = fake.call.request.inputs;
    assert_int_equal(t->shape.rank, 2);
    assert_int_equal(t->shape.dim[0] * t->shape.dim[1], 1);
    assert_int_equal(t->n_bytes, 7);
    assert_memory_equal(t->data, "\3\0\0\0h\xc3\xa9", 7);
    assert_true(tern_str_eq(fake.call.request.id, TERN_STR("q7")));
    fake_fini(&fake);
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const struct tern_model_info *info;
        const char *body, *text;
    } rows[] = {
        {&numbers, "{}", "the message has neither data.ndarray nor data.tensor nor strData"},
        {&numbers, "{\"data\":{\"ndarray\":1}}", "expected an array as data.ndarray"},
        {&numbers, "{\"data\":{\"ndarray\":[1],\"tensor\":{}}}", "data and strData once"},
        {&texts, "{\"strData\":\"a\",\"strData\":\"b\"}", "data and strData once"},
        {&numbers, "{\"strData\":\"a\"}", "the model takes FP32, no strData"},
        {&numbers, "{\"data\":{\"tensor\":{\"shape\":[1]}}}", "expected shape and values"},
        {&numbers, "{\"data\":{\"tensor\":{\"shape\":[-1],\"values\":[]}}}", "none negative"},
        {&numbers, "{\"data\":{\"tftensor\":{}}}", "data.tftensor is not supported"},
        {&numbers, "{\"binData\":\"AA==\"}", "binData means nothing to a model"},
        {&numbers, "{\"jsonData\":{}}", "jsonData means nothing to a model"},
        {&numbers, "{\"data\":{\"ndarray\":[[1,2],[3]]}}", "input 'x'"},
        {&pair, "{\"data\":{\"ndarray\":[1]}}", "a message fills one input, model 'p' has 2"},
        {&numbers, "{\"data\":{\"ndarray\":[1]}} x", "JSON"},
    };
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct fake_exchange fake;
        struct tern_err err;
        fake_init(&fake);
        assert_int_equal(decode(&fake, rows[i].info, rows[i].body, &err), TERN_INVALID_ARGUMENT);
        if (strstr(err.text, rows[i].text) == NULL)
            fail_msg("%s: %s", rows[i].body, err.text);
        fake_fini(&fake);
    }
}

static void a_form_is_a_message_in_disguise(void **state)
{
    static const struct {
        const char *body, *want; /* NULL: a mistake */
    } rows[] = {
        {"json=%7B%22a%22:+1%7d", "{\"a\": 1}"},
        {"x=1&json={}", "{}"},
        {"{\"a\":1}", "{\"a\":1}"}, /* curl -d calls JSON a form */
        {"x=1", NULL},
        {"json=%7", NULL},
        {"json=%zz", NULL},
    };
    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct fake_exchange fake;
        struct tern_err err;
        fake_init(&fake);
        fake.x.content_type = TERN_STR("application/x-www-form-urlencoded; charset=utf-8");
        enum tern_code code = decode(&fake, &graph, rows[i].body, &err);
        assert_int_equal(code, rows[i].want == NULL ? TERN_INVALID_ARGUMENT : TERN_OK);
        if (rows[i].want != NULL) {
            assert_int_equal(fake.call.op, TERN_OP_GRAPH); /* and the tree reads it itself */
            assert_true(tern_str_eq(fake.call.message, tern_str_of(rows[i].want)));
        }
        fake_fini(&fake);
    }
}

static void expect_answer(struct tern_tensor *outputs, uint32_t n, bool as_tensor, const char *want)
{
    struct fake_exchange fake;
    struct tern_err err;

    fake_init(&fake);
    fake.call.op = TERN_OP_INFER;
    fake.call.yes = as_tensor;
    fake.call.request.id = TERN_STR("q");
    fake.call.response.outputs = outputs;
    fake.call.response.n_outputs = n;
    assert_int_equal(tern_seldon_encode(&fake.call, &err), TERN_OK);
    assert_string_equal(fake_response(&fake).p, want);
    assert_int_equal(fake.x.status, 200);
    fake_fini(&fake);
}

static void outputs_have_the_form_of_the_request(void **state)
{
    float values[] = {1, 2, 3, 4};
    char words[] = "\1\0\0\0a\2\0\0\0bc";
    struct tern_tensor y[] = {
        {.name = TERN_STR("y"),
         .dtype = TERN_DTYPE_FP32,
         .shape = {2, {2, 2}},
         .data = values,
         .n_bytes = sizeof(values)},
        {.name = TERN_STR("w"),
         .dtype = TERN_DTYPE_BYTES,
         .shape = {2, {2, 1}},
         .data = words,
         .n_bytes = sizeof(words) - 1},
    };
    (void)state;
    expect_answer(y, 1, false,
                  "{\"data\":{\"names\":[\"t:0\",\"t:1\"],\"ndarray\":[[1.0,2.0],[3.0,4.0]]},"
                  "\"meta\":{\"puid\":\"q\"}}");
    expect_answer(y, 1, true,
                  "{\"data\":{\"names\":[\"t:0\",\"t:1\"],\"tensor\":{\"shape\":[2,2],\"values\":["
                  "1.0,2.0,3.0,4.0]}},\"meta\":{\"puid\":\"q\"}}");
    expect_answer(
        y + 1, 1, true,
        "{\"data\":{\"names\":[\"t:0\"],\"ndarray\":[[\"a\"],[\"bc\"]]},\"meta\":{\"puid\":"
        "\"q\"}}");
    expect_answer(y, 2, false,
                  "{\"jsonData\":{\"y\":[[1.0,2.0],[3.0,4.0]],\"w\":[[\"a\"],[\"bc\"]]},\"meta\":{"
                  "\"puid\":\"q\"}}");
}

static void a_document_leaves_as_it_came(void **state)
{
    struct fake_exchange fake;
    struct tern_err err;
    (void)state;
    fake_init(&fake);
    fake.call.op = TERN_OP_GRAPH;
    fake.call.document = (struct tern_document){TERN_STR("any bytes"), TERN_STR("text/plain"), 418};
    assert_int_equal(tern_seldon_encode(&fake.call, &err), TERN_OK);
    assert_string_equal(fake_response(&fake).p, "any bytes");
    assert_int_equal(fake.x.status, 418);
    assert_true(tern_str_eq(fake.x.response_type, TERN_STR("text/plain")));
    fake_fini(&fake);
}

static void errors_are_a_status(void **state)
{
    struct fake_exchange fake;
    struct tern_err err;
    (void)state;
    fake_init(&fake);
    tern_fail(&err, TERN_INVALID_ARGUMENT, "a \"bad\" one");
    tern_seldon.encode_error(&fake.x, &err);
    assert_string_equal(fake_response(&fake).p,
                        "{\"status\":{\"code\":400,\"info\":\"a \\\"bad\\\" one\",\"reason\":"
                        "\"INVALID_ARGUMENT\",\"status\":\"FAILURE\"}}");
    fake.x.path = TERN_STR("/api/v1.0/nothing");
    assert_true(tern_seldon.claims(&fake.x));
    fake.x.path = TERN_STR("/v2/models");
    assert_false(tern_seldon.claims(&fake.x));
    fake_fini(&fake);
}

static void whatever_allocation_fails_is_told(void **state)
{
    bool well = false;
    (void)state;
    for (long at = 0; !well; at++) {
        struct fake_exchange fake;
        struct tern_err err;
        fake_init(&fake);
        fake.arena.first_size = 16; /* each piece from the allocator */
        mem_calls = 0;
        mem_fail_at = at;
        enum tern_code code = decode(&fake, &texts, "{\"strData\":\"h\\u00e9\"}", &err);
        well = mem_calls <= at;
        mem_fail_at = -1;
        assert_int_equal(code, well ? TERN_OK : TERN_RESOURCE_EXHAUSTED);
        fake_fini(&fake);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_and_tensors_are_the_one_input),
        cmocka_unit_test(text_is_one_element),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(a_form_is_a_message_in_disguise),
        cmocka_unit_test(outputs_have_the_form_of_the_request),
        cmocka_unit_test(a_document_leaves_as_it_came),
        cmocka_unit_test(errors_are_a_status),
        cmocka_unit_test(whatever_allocation_fails_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
