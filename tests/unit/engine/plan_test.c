/* Graphs of documents as they are read: what is wrong with a file is told with its place, and what
 * is right becomes points in an order that leads from the first to the last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "conf/yaml.h"
#include "engine/plan/plan.h"

/* ---- reading ---- */

static const struct tern_plan *read_plan(const char *text, struct tern_arena *arena,
                                         struct tern_problems *problems)
{
    struct tern_str file = TERN_STR("g");

    tern_problem_init(problems, arena);
    const struct tern_tree *root =
        tern_yaml_read(tern_str_of(text), TERN_YAML_FORM_YAML, file, arena, problems);
    return root == NULL ? NULL : tern_plan_read(root, file, arena, problems);
}

static void expect_problems(const char *text, const char *expected)
{
    struct tern_problems problems;
    struct tern_arena arena;
    struct tern_buf got;

    tern_arena_init(&arena, 4096, 16u << 20);
    tern_buf_init(&got, 1u << 16);
    assert_null(read_plan(text, &arena, &problems));
    tern_problem_print(&problems, &got);
    tern_buf_add_char(&got, '\0');
    assert_string_equal(got.p, expected);
    tern_buf_fini(&got);
    tern_arena_fini(&arena);
}

static void mistakes_of_kserve(void **state)
{
    static const char *const rows[][2] = {
        {"a: 1", "g:1:1: expected nodes (an InferenceGraph), or predictors or graph (a "
                 "SeldonDeployment)\n"},
        {"kind: Pod\nspec: {nodes: {}}",
         "g:1:1: kind: expected InferenceGraph or SeldonDeployment, got \"Pod\"\n"
         "g:2:15: node \"root\" is missing: requests begin there\n"},
        {"kind: InferenceGraph\nmetadata: {name: Dog_1}\nspec: {nodes: {root: {routerType: "
         "Sequence, steps: [{serviceName: m}]}}}",
         "g:2:11: metadata.name: expected a-z, 0-9 and -, beginning with a letter and not ending "
         "with -, got \"Dog_1\"\n"},
        {"nodes: {root: {routerType: Sequence, steps: []}}",
         "g:1:45: a node has 1 to 256 steps, got 0\n"},
        {"nodes: {root: {routerType: sequence, steps: [1]}}",
         "g:1:15: routerType: expected Sequence, Splitter, Ensemble or Switch, got \"sequence\"\n"
         "g:1:46: a step is a map\n"},
        {"nodes:\n root:\n  routerType: Sequence\n  steps:\n  - {serviceName: m, data: $answer}\n"
         "  - {nodeName: other}\n  - {serviceUrl: 'ftp://x'}\n  - {serviceName: m, dependency: "
         "hard, wait: 1}\n",
         "g:5:5: data: expected $request or $response, got \"$answer\"\n"
         "g:6:5: nodeName: there is no node \"other\"\n"
         "g:7:19: expected http:// or https://, a host, and at most 2048 bytes, got \"ftp://x\"\n"
         "g:8:46: there is no field \"wait\" here\n"
         "g:8:5: dependency: expected Soft or Hard, got \"hard\"\n"},
        {"nodes: {root: {routerType: Sequence, steps: [{serviceUrl: 'http://u:p@h/x'}, {}]}}",
         "g:1:60: an address has no credentials, fragments, spaces or backslashes, got "
         "\"http://u:p@h/x\"\n"
         "g:1:78: expected exactly one of nodeName, serviceName and serviceUrl\n"},
        {"nodes: {root: {routerType: Splitter, steps: [{serviceName: a, weight: 60, name: x}, "
         "{serviceName: b, weight: 30, name: x}]}}",
         "g:1:85: two steps of node \"root\" are called \"x\"\n"
         "g:1:15: the weights of Splitter \"root\" have the sum 90, expected 100\n"},
        {"nodes: {root: {routerType: Splitter, steps: [{serviceName: a}, {serviceName: b, weight: "
         "100}]}}",
         "g:1:46: weight is missing: a Splitter needs that of every step\n"},
        {"nodes: {root: {routerType: Switch, steps: [{serviceName: a}, {serviceName: b, "
         "condition: 'a.@b'}]}}",
         "g:1:44: condition is missing: without one a Switch never takes it\n"
         "g:1:62: condition \"a.@b\": modifiers other than @this are not supported, got one at "
         "byte 2\n"},
        {"nodes: {root: {routerType: Sequence, steps: [{serviceName: a, condition: b}]}}",
         "g:1:46: condition: the first step of a Sequence has no response before it to test\n"},
        {"nodes:\n root: {routerType: Ensemble, steps: [{nodeName: a}]}\n"
         " a: {routerType: Ensemble, steps: [{nodeName: b}]}\n"
         " b: {routerType: Ensemble, steps: [{serviceName: m}, {nodeName: a}]}\n",
         "g:4:5: the nodes lead in a circle: a <- b <- a\n"},
        {"nodes: {root: {routerType: Ensemble, steps: [{nodeName: root}]}}",
         "g:1:15: the nodes lead in a circle: root <- root\n"},
    };

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++)
        expect_problems(rows[i][0], rows[i][1]);
}

static void mistakes_of_seldon(void **state)
{
    static const char *const rows[][2] = {
        {"predictors: []", "g:1:13: expected 1 to 256 predictors, got 0\n"},
        {"predictors: [{name: a}]", "g:1:14: graph is missing\ng:1:14: a predictor has a graph\n"},
        {"graph: {type: MODEL}", "g:1:8: name is missing\n"
                                 "g:1:8: \"\" is no name of a model, and there is no endpoint\n"},
        {"graph: {name: a, type: THING, implementation: SIMPLE_ROUTER, size: 3}",
         "g:1:68: there is no field \"size\" here\n"
         "g:1:8: type: expected MODEL, ROUTER, COMBINER, TRANSFORMER or OUTPUT_TRANSFORMER, got "
         "\"THING\"\n"
         "g:1:8: implementation: expected RANDOM_ABTEST or a server such as SKLEARN_SERVER, got "
         "\"SIMPLE_ROUTER\"\n"},
        {"graph: {name: a, endpoint: {service_host: h, type: GRPC}, methods: [GO]}",
         "g:1:69: methods: expected TRANSFORM_INPUT, ROUTE, AGGREGATE, TRANSFORM_OUTPUT or "
         "SEND_FEEDBACK, got \"GO\"\n"
         "g:1:28: endpoint.type: only REST is spoken to units, got \"GRPC\"\n"
         "g:1:28: endpoint: service_port is missing\n"},
        {"graph: {name: r, type: ROUTER}", "g:1:8: ROUTER \"r\" has no children\n"},
        {"graph: {name: ab, implementation: RANDOM_ABTEST, parameters: [{name: ratioA, value: "
         "'1.5'}], children: [{name: ab}]}",
         "g:1:8: ratioA: expected a number from 0 to 1, got \"1.5\"\n"
         "g:1:8: RANDOM_ABTEST \"ab\": expected 2 children, got 1\n"
         "g:1:105: two units are called \"ab\"\n"},
        {"protocol: v2\ngraph: {name: t, type: TRANSFORMER}",
         "g:2:8: unit \"t\": with protocols other than seldon only models and RANDOM_ABTEST are "
         "run\n"},
        {"predictors: [{traffic: 50, graph: {name: a}}, {traffic: 40, shadow: true, graph: {name: "
         "b}}]",
         "g:1:47: shadow predictors are not supported\n"
         "g:1:13: the traffic of the predictors has the sum 90, expected 100\n"},
    };

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++)
        expect_problems(rows[i][0], rows[i][1]);
}

/* Node i names the next one twice: 2^i copies of it. */
static void copies_are_bounded(void **state)
{
    struct tern_problems problems;
    struct tern_arena arena;
    struct tern_buf text;

    (void)state;
    tern_arena_init(&arena, 4096, 64u << 20);
    tern_buf_init(&text, 1u << 16);
    tern_buf_printf(&text, "nodes:\n root: {routerType: Ensemble, steps: [{nodeName: n0}]}\n");
    for (int i = 0; i < 30; i++)
        tern_buf_printf(&text,
                        " n%d: {routerType: Ensemble, steps: [{nodeName: n%d}, {nodeName: n%d}]}\n",
                        i, i + 1, i + 1);
    tern_buf_printf(&text, " n30: {routerType: Ensemble, steps: [{serviceName: m}]}\n");
    tern_buf_add_char(&text, '\0');
    assert_null(read_plan(text.p, &arena, &problems));
    assert_non_null(strstr(problems.rows[0].text.p, "more than 4096 parts"));
    tern_buf_fini(&text);
    tern_arena_fini(&arena);
}

/* ---- points ---- */

/* Every point is reached when those before it are through, and what each waits for adds up. */
static void check_way(const struct tern_plan_way *way)
{
    uint32_t left[64], ready[64], n_ready = 0, n_done = 0;

    assert_true(way->n <= 64);
    for (uint32_t i = 0; i < way->n; i++) {
        left[i] = way->points[i].n_before;
        if (left[i] == 0)
            ready[n_ready++] = i;
    }
    while (n_done < n_ready) {
        const struct tern_plan_point *point = &way->points[ready[n_done++]];
        for (uint32_t i = 0; i < point->n_next; i++) {
            assert_true(left[point->next[i]] > 0);
            if (--left[point->next[i]] == 0)
                ready[n_ready++] = point->next[i];
        }
    }
    assert_int_equal(n_done, way->n);
}

static void points_of_kserve(void **state)
{
    struct tern_problems problems;
    struct tern_arena arena;

    (void)state;
    tern_arena_init(&arena, 4096, 16u << 20);
    const struct tern_plan *plan = read_plan(
        "nodes:\n root: {routerType: Sequence, steps: [{nodeName: a}, {serviceName: m, data: "
        "$response, condition: x}, {nodeName: a}]}\n"
        " a: {routerType: Ensemble, steps: [{serviceUrl: 'http://localhost/v2/models/n/infer?a=b'},"
        " {serviceUrl: 'http://localhost:1/x', name: two, dependency: Hard}]}\n",
        &arena, &problems);
    assert_non_null(plan);
    assert_int_equal(plan->form, TERN_PLAN_KSERVE);
    assert_int_equal(plan->n_nodes, 3);
    assert_int_equal(plan->n_members, 7);
    assert_int_equal(plan->predict.n, 6 + 5);
    assert_true(plan->has_remote);
    check_way(&plan->predict);

    const struct tern_plan_member *second = &plan->members[1], *here = &plan->members[3];
    assert_true(second->takes_response && second->condition != NULL && !second->hard);
    assert_true(tern_str_eq(second->endpoint.path, TERN_STR("/v2/models/m/infer")));
    assert_true(tern_str_eq(here->endpoint.path, TERN_STR("/v2/models/n/infer")));
    assert_true(tern_str_eq(here->endpoint.query, TERN_STR("a=b")));
    assert_true(here[1].hard && here[1].endpoint.url != NULL);
    /* A step of a sequence goes on to the next one first, to the end of the node last. */
    const struct tern_plan_point *exit = &plan->predict.points[second->exit];
    assert_int_equal(exit->n_next, 2);
    assert_int_equal(exit->next[0], second[1].entry);
    assert_int_equal(plan->predict.points[exit->next[1]].kind, TERN_PLAN_LEAVE);
    tern_arena_fini(&arena);
}

static void points_of_seldon(void **state)
{
    struct tern_problems problems;
    struct tern_arena arena;

    (void)state;
    tern_arena_init(&arena, 4096, 16u << 20);
    const struct tern_plan *plan = read_plan(
        "predictors:\n"
        "- {traffic: 30, graph: {name: r, type: ROUTER, endpoint: {service_host: h, service_port: "
        "1}, children: [{name: a}, {name: b, parameters: [{name: model_name, value: m}]}]}}\n"
        "- {traffic: 70, graph: {name: c}}\n",
        &arena, &problems);
    assert_non_null(plan);
    assert_int_equal(plan->form, TERN_PLAN_SELDON);
    assert_int_equal(plan->n_units, 5);
    assert_true(plan->routes && plan->has_remote);
    check_way(&plan->predict);
    check_way(&plan->feedback);
    const struct tern_plan_unit *router = &plan->units[1], *b = &plan->units[4];
    assert_int_equal(router->n, 2);
    assert_int_equal(router->first, 3);
    assert_string_equal(router->endpoints[TERN_PLAN_ROUTE].url, "http://h:1/route");
    assert_string_equal(router->endpoints[TERN_PLAN_FEEDBACK].url, "http://h:1/send-feedback");
    assert_true(tern_str_eq(b->endpoints[TERN_PLAN_INPUT].path,
                            TERN_STR("/seldon/-/m/api/v1.0/predictions")));
    assert_false(b->calls[TERN_PLAN_FEEDBACK]);
    tern_arena_fini(&arena);
}

static void names_of_files(void **state)
{
    (void)state;
    assert_int_equal(tern_plan_engine.probe("graph.yaml", TERN_STR("")), 100);
    assert_int_equal(tern_plan_engine.probe("graph.json", TERN_STR("")), 100);
    assert_int_equal(tern_plan_engine.probe("graphs.yaml", TERN_STR("")), 0);
}

static void without_memory(void **state)
{
    (void)state;
    for (size_t max = 0; max < 20000; max += 512) {
        struct tern_problems problems;
        struct tern_arena arena;
        tern_arena_init(&arena, 512, max);
        const struct tern_plan *plan = read_plan(
            "nodes: {root: {routerType: Switch, steps: [{serviceName: m, condition: a}]}}", &arena,
            &problems);
        assert_true(plan != NULL || tern_problem_any(&problems));
        tern_arena_fini(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_of_seldon), cmocka_unit_test(points_of_seldon),
        cmocka_unit_test(mistakes_of_kserve), cmocka_unit_test(copies_are_bounded),
        cmocka_unit_test(points_of_kserve),   cmocka_unit_test(names_of_files),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
