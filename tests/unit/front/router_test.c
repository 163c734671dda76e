/* The router, over the real dialects and over made-up ones with literals beside captures. */
// wrap: tern_mem_zalloc
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "front/router.h"
#include "harness/golden.h"
#include "proto/protos.h"

void *__real_tern_mem_zalloc(size_t count, size_t size);
void *__wrap_tern_mem_zalloc(size_t count, size_t size);

static int allocations;
static int fail_at; /* the n-th allocation fails; 0: none */

void *__wrap_tern_mem_zalloc(size_t count, size_t size)
{
    return ++allocations == fail_at ? NULL : __real_tern_mem_zalloc(count, size);
}

static struct tern_router *make_router(const struct tern_proto *const *protos, size_t n)
{
    struct tern_router *router = NULL;
    struct tern_err err = {0};
    if (tern_router_new(protos, n, &router, &err) != TERN_OK)
        fail_msg("%s", err.text);
    return router;
}

static void every_row_is_found(void **state)
{
    (void)state;
    struct tern_router *router = make_router(tern_protos, TERN_PROTOS_N);
    for (size_t i = 0; i < TERN_PROTOS_N; i++) {
        for (uint32_t r = 0; r < tern_protos[i]->n_routes; r++) {
            const struct tern_route *route = &tern_protos[i]->routes[r];
            struct tern_match match;
            assert_non_null(route->help);
            assert_non_null(route->encode);
            /* The pattern itself is a path whose captures are not valid names; so it is not found,
             * but only after its row was. */
            struct tern_err err = {0};
            enum tern_code code =
                tern_router_match(router, route->method, tern_str_of(route->pattern), &match, &err);
            if (strstr(route->pattern, "{model}") == NULL) {
                assert_int_equal(code, TERN_OK);
                assert_ptr_equal(match.route, route);
                assert_ptr_equal(match.proto, tern_protos[i]);
            } else {
                assert_string_equal(err.text, "Request for unknown model: '{model}' is not found");
            }
        }
    }
    tern_router_free(router);
}

static void captures_are_taken(void **state)
{
    (void)state;
    static const struct {
        enum tern_method method;
        const char *path;
        enum tern_op op;
        const char *model;
        int64_t version;
    } rows[] = {
        {TERN_METHOD_POST, "/v2/models/iris/infer", TERN_OP_INFER, "iris", 0},
        {TERN_METHOD_POST, "/v2/models/iris/versions/7/infer", TERN_OP_INFER, "iris", 7},
        {TERN_METHOD_GET, "/v2/models/a%2Db/ready", TERN_OP_MODEL_READY, "a-b", 0},
        {TERN_METHOD_HEAD, "/v2/models/iris", TERN_OP_MODEL_METADATA, "iris", 0},
        {TERN_METHOD_GET, "/v2/models/versions/versions/%31", TERN_OP_MODEL_METADATA, "versions",
         1},
        {TERN_METHOD_GET, "/v2/models/x/versions/9223372036854775807/config", TERN_OP_MODEL_CONFIG,
         "x", INT64_MAX},
        {TERN_METHOD_POST, "/v2/repository/models/m.1_x/load", TERN_OP_REPOSITORY_LOAD, "m.1_x", 0},
        {TERN_METHOD_GET, "/%76%32/health/live", TERN_OP_SERVER_LIVE, "", 0},
        {TERN_METHOD_GET, "/", TERN_OP_WELCOME, "", 0},
        {TERN_METHOD_GET, "/metrics", TERN_OP_METRICS, "", 0},
        {TERN_METHOD_GET, "/v1/models/iris", TERN_OP_MODEL_READY, "iris", 0},
        {TERN_METHOD_POST, "/v1/models/iris:predict", TERN_OP_INFER, "iris", 0},
        {TERN_METHOD_POST, "/v1/models/a%2Db%3Aexplain", TERN_OP_EXPLAIN, "a-b", 0},
        {TERN_METHOD_POST, "/v1/projects/p/locations/l/endpoints/e:explain", TERN_OP_EXPLAIN, "e",
         0},
    };
    struct tern_router *router = make_router(tern_protos, TERN_PROTOS_N);
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct tern_match match;
        struct tern_err err = {0};
        if (tern_router_match(router, rows[i].method, tern_str_of(rows[i].path), &match, &err) !=
            TERN_OK)
            fail_msg("%s: %s", rows[i].path, err.text);
        assert_int_equal(match.route->op, rows[i].op);
        assert_true(tern_str_eq(match.model, tern_str_of(rows[i].model)));
        assert_int_equal(match.version, rows[i].version);
    }
    tern_router_free(router);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        enum tern_method method;
        const char *path;
        int status;
        const char *text;
    } rows[] = {
        {TERN_METHOD_GET, "/v3", 404, "no such path: /v3"},
        {TERN_METHOD_GET, "/v2/", 404, "no such path: /v2/"},
        {TERN_METHOD_GET, "/V2", 404, "no such path: /V2"},
        {TERN_METHOD_GET, "/v2x", 404, "no such path"},
        {TERN_METHOD_GET, "/v", 404, "no such path"},
        {TERN_METHOD_GET, "//v2", 404, "no such path"},
        {TERN_METHOD_GET, "/v2/models/x/readyz", 404, "no such path"},
        {TERN_METHOD_GET, "/v2/models/x/versions/1/ready/", 404, "no such path"},
        {TERN_METHOD_GET, "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a", 404, "more than 16 segments"},
        {TERN_METHOD_GET, "/v2/models/x/infer", 405, "expected one of: POST, OPTIONS"},
        {TERN_METHOD_DELETE, "/v2", 405, "expected one of: GET, HEAD, OPTIONS"},
        {TERN_METHOD_OTHER, "/v2", 405, "method of that name is not allowed"},
        {TERN_METHOD_GET, "/v2/models//ready", 400, "Model name cannot be empty."},
        {TERN_METHOD_POST, "/v1/models/:predict", 400, "Model name cannot be empty."},
        {TERN_METHOD_POST, "/v1/models/x:guess", 405, "expected one of: GET, HEAD, OPTIONS"},
        {TERN_METHOD_GET, "/v1/models/x:guess", 404, "is not found"},
        {TERN_METHOD_GET, "/v1/models/x:predict", 405, "expected one of: POST, OPTIONS"},
        {TERN_METHOD_POST, "/v1/models/x:y:predict", 404, "is not found"},
        {TERN_METHOD_GET, "/v2/models/../ready", 400,
         "model name must not contain path traversal characters"},
        {TERN_METHOD_GET, "/v2/models/%2e%2e/ready", 400,
         "model name must not contain path traversal characters"},
        {TERN_METHOD_GET, "/v2/models/a%2Fb/ready", 400,
         "model name must not contain path traversal characters"},
        {TERN_METHOD_GET, "/v2/models/a%5Cb/ready", 400,
         "model name must not contain path traversal characters"},
        {TERN_METHOD_GET, "/v2/health/../models", 400,
         "path must not contain path traversal characters"},
        {TERN_METHOD_GET, "/v2/models/a%00/ready", 400, "model name must not contain control"},
        {TERN_METHOD_GET, "/v2/models/a%zz/ready", 400, "two hexadecimal digits"},
        {TERN_METHOD_GET, "/v2/models/%252e%252e/ready", 404,
         "Request for unknown model: '%2e%2e' is not found"},
        {TERN_METHOD_GET, "/v2/models/.hidden/ready", 404, "unknown model: '.hidden'"},
        {TERN_METHOD_GET, "/v2/models/a b/ready", 404, "unknown model: 'a b'"},
        {TERN_METHOD_GET, "/v2/models/x/versions/0/ready", 400, "integer above 0, got '0'"},
        {TERN_METHOD_GET, "/v2/models/x/versions/-1/ready", 400, "integer above 0, got '-1'"},
        {TERN_METHOD_GET, "/v2/models/x/versions/+1/ready", 400, "integer above 0, got '+1'"},
        {TERN_METHOD_GET, "/v2/models/x/versions/1.0/ready", 400, "integer above 0, got '1.0'"},
        {TERN_METHOD_GET, "/v2/models/x/versions/9223372036854775808/ready", 400, "above 0"},
        {TERN_METHOD_GET, "/v2/models/x/versions//ready", 400, "integer above 0, got ''"},
        {TERN_METHOD_GET, "v2", 400, "the path must start with '/'"},
        {TERN_METHOD_GET, "", 400, "the path must start with '/'"},
        {TERN_METHOD_GET, "*", 400, "the path must start with '/'"},
    };
    struct tern_router *router = make_router(tern_protos, TERN_PROTOS_N);
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct tern_match match;
        struct tern_err err = {0};
        enum tern_code code =
            tern_router_match(router, rows[i].method, tern_str_of(rows[i].path), &match, &err);
        if (code == TERN_OK || tern_err_http_status(&err) != rows[i].status ||
            strstr(err.text, rows[i].text) == NULL)
            fail_msg("%s: code %d, status %d, %s", rows[i].path, (int)code,
                     tern_err_http_status(&err), err.text);
        assert_null(match.route);
        assert_non_null(match.proto);
        assert_int_equal(match.allow.n > 0, rows[i].status == 405);
    }
    char long_name[TERN_MODEL_NAME_MAX + 32] = "/v2/models/";
    memset(long_name + 11, 'a', TERN_MODEL_NAME_MAX + 1);
    struct tern_match match;
    assert_int_equal(
        tern_router_match(router, TERN_METHOD_GET, tern_str_of(long_name), &match, NULL),
        TERN_NOT_FOUND);
    tern_router_free(router);
}

static void options_lists_the_methods(void **state)
{
    (void)state;
    struct tern_router *router = make_router(tern_protos, TERN_PROTOS_N);
    struct tern_match match;
    assert_int_equal(tern_router_match(router, TERN_METHOD_OPTIONS, TERN_STR("/v2/models/x/infer"),
                                       &match, NULL),
                     TERN_OK);
    assert_null(match.route);
    assert_true(tern_str_eq(match.allow, TERN_STR("POST, OPTIONS")));
    assert_int_equal(tern_router_match(router, TERN_METHOD_OPTIONS, TERN_STR("*"), &match, NULL),
                     TERN_OK);
    assert_null(match.route);
    assert_true(match.allow.n > 0);
    assert_int_equal(
        tern_router_match(router, TERN_METHOD_OPTIONS, TERN_STR("/nowhere"), &match, NULL),
        TERN_NOT_FOUND);
    tern_router_free(router);
}

/* -- made-up dialects --------------------------------------------------------------------- */

static const struct tern_route rows_a[] = {
    TERN_ROUTE(GET, "/m/{model}/x", MODEL_READY, NULL, NULL, ""),
    TERN_ROUTE(GET, "/m/{model}/versions/{version}/x", MODEL_READY, NULL, NULL, ""),
    TERN_ROUTE(GET, "/m/stats", METRICS, NULL, NULL, ""),
    TERN_ROUTE(GET, "/things/{name}/x", METRICS, NULL, NULL, ""),
};
static const struct tern_route rows_b[] = {
    TERN_ROUTE(PUT, "/m/{model}/x", INFER, NULL, NULL, ""),
    TERN_ROUTE(GET, "/b/c", METRICS, NULL, NULL, ""),
};
static const struct tern_proto proto_a = {
    .name = "a", .help = "A", .routes = rows_a, .n_routes = TERN_COUNT_OF(rows_a)};
static const struct tern_proto proto_b = {
    .name = "b", .help = "B", .routes = rows_b, .n_routes = TERN_COUNT_OF(rows_b)};

static void a_literal_wins_and_a_capture_is_tried_after_it(void **state)
{
    (void)state;
    const struct tern_proto *protos[] = {&proto_a, &proto_b};
    struct tern_router *router = make_router(protos, 2);
    struct tern_match match;
    assert_int_equal(tern_router_match(router, TERN_METHOD_GET, TERN_STR("/m/stats"), &match, NULL),
                     TERN_OK);
    assert_ptr_equal(match.route, &rows_a[2]);
    assert_int_equal(match.model.n, 0);
    assert_int_equal(
        tern_router_match(router, TERN_METHOD_GET, TERN_STR("/m/stats/x"), &match, NULL), TERN_OK);
    assert_ptr_equal(match.route, &rows_a[0]);
    assert_true(tern_str_eq(match.model, TERN_STR("stats")));
    assert_int_equal(match.version, 0);
    tern_router_free(router);
}

/* A name of anything is no model's name: all that a segment can be. */
static void names_are_taken_as_they_come(void **state)
{
    (void)state;
    static const struct {
        const char *path, *name;
    } rows[] = {
        {"/things/a/x", "a"},
        {"/things/a%20b%22/x", "a b\""},
        {"/things/%7Bname%7D/x", "{name}"},
        {"/things/.hidden/x", ".hidden"},
    };
    const struct tern_proto *protos[] = {&proto_a};
    struct tern_router *router = make_router(protos, 1);
    static struct tern_router_memo memo;
    for (size_t i = 0; i < 2 * TERN_COUNT_OF(rows); i++) { /* twice: nothing wrong is remembered */
        struct tern_str path = tern_str_of(rows[i / 2].path);
        struct tern_match match;
        assert_int_equal(tern_router_recall(router, &memo, TERN_METHOD_GET, path, &match, NULL),
                         TERN_OK);
        assert_ptr_equal(match.route, &rows_a[3]);
        assert_true(tern_str_eq(match.name, tern_str_of(rows[i / 2].name)));
        assert_int_equal(match.model.n, 0);
    }
    struct tern_match match;
    assert_int_equal(
        tern_router_match(router, TERN_METHOD_GET, TERN_STR("/things//x"), &match, NULL),
        TERN_NOT_FOUND);
    assert_int_equal(
        tern_router_match(router, TERN_METHOD_GET, TERN_STR("/things/..%2fx/x"), &match, NULL),
        TERN_INVALID_ARGUMENT);
    tern_router_free(router);
}

static void dialects_share_a_path_by_method(void **state)
{
    (void)state;
    const struct tern_proto *protos[] = {&proto_a, &proto_b};
    struct tern_router *router = make_router(protos, 2);
    struct tern_match match;
    assert_int_equal(tern_router_match(router, TERN_METHOD_PUT, TERN_STR("/m/q/x"), &match, NULL),
                     TERN_OK);
    assert_ptr_equal(match.proto, &proto_b);
    assert_ptr_equal(match.route, &rows_b[0]);
    /* The envelope of an error is that of the dialect whose path was left last. */
    (void)tern_router_match(router, TERN_METHOD_GET, TERN_STR("/b/d"), &match, NULL);
    assert_ptr_equal(match.proto, &proto_b);
    (void)tern_router_match(router, TERN_METHOD_GET, TERN_STR("/d"), &match, NULL);
    assert_ptr_equal(match.proto, &proto_a);
    tern_router_free(router);
}

static void two_claims_of_one_path_are_refused(void **state)
{
    (void)state;
    const struct tern_proto *protos[] = {&proto_a, &proto_b, &proto_a};
    struct tern_router *router = NULL;
    struct tern_err err = {0};
    assert_int_equal(tern_router_new(protos, 3, &router, &err), TERN_ALREADY_EXISTS);
    assert_null(router);
    assert_non_null(strstr(err.text, "a and a both claim GET /m/{model}/x"));
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    for (int n = 1; n <= 2; n++) {
        struct tern_router *router = NULL;
        struct tern_err err = {0};
        allocations = 0;
        fail_at = n;
        assert_int_equal(tern_router_new(tern_protos, TERN_PROTOS_N, &router, &err),
                         TERN_RESOURCE_EXHAUSTED);
        fail_at = 0;
        assert_null(router);
    }
}

static void matching_allocates_nothing(void **state)
{
    (void)state;
    struct tern_router *router = make_router(tern_protos, TERN_PROTOS_N);
    struct tern_match match;
    allocations = 0;
    assert_int_equal(tern_router_match(router, TERN_METHOD_GET,
                                       TERN_STR("/v2/models/a%2Db/versions/1"), &match, NULL),
                     TERN_OK);
    assert_int_equal(allocations, 0);
    tern_router_free(router);
}

/* Every path twice, among others that share its row of the memo: the answer is always the same. */
static void recalling_is_matching(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/v2/models/iris/infer",
        "/v2/models/iris/versions/3/infer",
        "/v2/models/iris",
        "/v2/models/iri%73/infer", /* decoded: never remembered */
        "/v2/models//infer",
        "/v2/health/live",
        "/nowhere",
        "/v2/models/a-model-whose-name-is-so-long-that-its-path-does-not-fit-into-a-row-of-the-"
        "memo-at-all/infer",
    };
    static const enum tern_method methods[] = {TERN_METHOD_POST, TERN_METHOD_GET,
                                               TERN_METHOD_OPTIONS};
    struct tern_router *router = make_router(tern_protos, TERN_PROTOS_N);
    struct tern_router_memo memo = {0};

    for (size_t i = 0; i < TERN_COUNT_OF(paths) * TERN_COUNT_OF(methods) * 4; i++) {
        struct tern_str path = tern_str_of(paths[i / 2 % TERN_COUNT_OF(paths)]);
        enum tern_method method = methods[i / 2 / TERN_COUNT_OF(paths) % TERN_COUNT_OF(methods)];
        struct tern_match want, got;
        struct tern_err err;
        enum tern_code code = tern_router_match(router, method, path, &want, &err);
        assert_int_equal(tern_router_recall(router, &memo, method, path, &got, &err), code);
        assert_ptr_equal(got.proto, want.proto);
        assert_true(tern_str_eq(got.allow, want.allow));
        if (code != TERN_OK)
            continue;
        assert_ptr_equal(got.route, want.route);
        assert_true(tern_str_eq(got.model, want.model));
        assert_int_equal(got.version, want.version);
    }
    tern_router_free(router);
}

static void pages_name_every_route(void **state)
{
    (void)state;
    struct tern_buf doc, page;
    tern_buf_init(&doc, 1u << 20);
    tern_buf_init(&page, 1u << 20);
    tern_router_print_doc(tern_protos, TERN_PROTOS_N, &doc);
    golden_check("doc/routes.md", &doc);
    tern_router_print_welcome(tern_protos, TERN_PROTOS_N, &page);
    tern_buf_add_char(&doc, '\0');
    tern_buf_add_char(&page, '\0');
    assert_false(doc.failed || page.failed);
    for (size_t i = 0; i < TERN_PROTOS_N; i++) {
        for (uint32_t r = 0; r < tern_protos[i]->n_routes; r++) {
            assert_non_null(strstr(doc.p, tern_protos[i]->routes[r].pattern));
            assert_non_null(strstr(page.p, tern_protos[i]->routes[r].pattern));
        }
    }
    assert_non_null(strstr(doc.p, "| POST | `/v2/repository/index` | repository_index | read |"));
    tern_buf_fini(&doc);
    tern_buf_fini(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_found),
        cmocka_unit_test(captures_are_taken),
        cmocka_unit_test(refusals),
        cmocka_unit_test(options_lists_the_methods),
        cmocka_unit_test(a_literal_wins_and_a_capture_is_tried_after_it),
        cmocka_unit_test(names_are_taken_as_they_come),
        cmocka_unit_test(dialects_share_a_path_by_method),
        cmocka_unit_test(two_claims_of_one_path_are_refused),
        cmocka_unit_test(no_memory_is_an_error),
        cmocka_unit_test(matching_allocates_nothing),
        cmocka_unit_test(recalling_is_matching),
        cmocka_unit_test(pages_name_every_route),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
