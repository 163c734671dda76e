// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
/* The executor of steps, with steps that only note what is asked of them: the test says when they
 * are done. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "harness/mem_fails.h"
#include "sched/graph.h"

#define STEPS_MAX 2000

struct rig {
    struct tern_graph graph;
    struct tern_arena arena;
    struct tern_err err;
    struct tern_graph_node nodes[STEPS_MAX];
    uint32_t next[STEPS_MAX][4];
    struct tern_graph_plan plan;
    char log[4096];
    size_t n_log;
    /* How steps behave: */
    bool inline_done;     /* done within start */
    uint32_t fails_at;    /* the step that fails in start; STEPS_MAX: none */
    bool cancels_at_once; /* cancel brings the step back from within */
    uint32_t ways[STEPS_MAX];
    uint32_t n_done;
    enum tern_code code;
    uint32_t deep, deepest; /* starts on the stack */
};

/* "+3 ": step 3 starts; x: it is cancelled; =: the graph is done with this code. */
static void note(struct rig *rig, char what, uint32_t number)
{
    if (rig->n_log + 16 < sizeof(rig->log))
        rig->n_log += (size_t)snprintf(rig->log + rig->n_log, 16, "%c%u ", what, number);
}

static void start(struct tern_graph *graph, uint32_t step)
{
    struct rig *rig = TERN_CONTAINER_OF(graph, struct rig, graph);

    rig->deep++;
    if (rig->deep > rig->deepest)
        rig->deepest = rig->deep;
    note(rig, '+', step);
    if (step == rig->fails_at) {
        struct tern_err err;
        tern_graph_fail(graph, step, tern_fail(&err, TERN_INTERNAL, "step %u broke", step), &err);
    } else if (rig->inline_done) {
        tern_graph_done(graph, step, rig->ways[step]);
    }
    rig->deep--;
}

static void cancel(struct tern_graph *graph, uint32_t step)
{
    struct rig *rig = TERN_CONTAINER_OF(graph, struct rig, graph);
    struct tern_err err;

    note(rig, 'x', step);
    if (rig->cancels_at_once)
        tern_graph_fail(graph, step, tern_fail(&err, TERN_CANCELLED, "cancelled"), &err);
}

static void on_done(struct tern_graph *graph, enum tern_code code)
{
    struct rig *rig = TERN_CONTAINER_OF(graph, struct rig, graph);

    rig->n_done++;
    rig->code = code;
    note(rig, '=', (uint32_t)code);
}

static const struct tern_graph_ops ops = {start, cancel, on_done};

static void edge(struct rig *rig, uint32_t from, uint32_t to)
{
    rig->next[from][rig->nodes[from].n_next++] = to;
    rig->nodes[to].n_before++;
}

static struct rig *new_rig(uint32_t n)
{
    struct rig *rig = tern_mem_zalloc(1, sizeof(*rig));

    assert_non_null(rig);
    for (uint32_t i = 0; i < n; i++) {
        rig->nodes[i].next = rig->next[i];
        rig->ways[i] = TERN_GRAPH_ALL;
    }
    rig->plan = (struct tern_graph_plan){rig->nodes, n};
    rig->fails_at = STEPS_MAX;
    tern_arena_init(&rig->arena, 4096, 1u << 20);
    return rig;
}

static void run(struct rig *rig)
{
    assert_int_equal(tern_graph_init(&rig->graph, &rig->plan, &ops, &rig->arena, &rig->err),
                     TERN_OK);
    tern_graph_run(&rig->graph);
}

static void done(struct rig *rig, uint32_t step)
{
    tern_graph_done(&rig->graph, step, rig->ways[step]);
}

static void expect(struct rig *rig, const char *log)
{
    assert_string_equal(rig->log, log);
    rig->n_log = 0;
    rig->log[0] = '\0';
}

static void free_rig(struct rig *rig)
{
    assert_int_equal(rig->n_done, 1);
    tern_arena_fini(&rig->arena);
    tern_mem_free(rig);
}

/*   0 -> 1 -> 3
 *     -> 2 ->     */
static struct rig *new_diamond(void)
{
    struct rig *rig = new_rig(4);

    edge(rig, 0, 1);
    edge(rig, 0, 2);
    edge(rig, 1, 3);
    edge(rig, 2, 3);
    return rig;
}

static void a_step_starts_when_those_before_it_are_done(void **state)
{
    struct rig *rig = new_diamond();
    (void)state;

    run(rig);
    expect(rig, "+0 ");
    done(rig, 0);
    expect(rig, "+1 +2 ");
    done(rig, 2);
    expect(rig, "");
    done(rig, 1);
    expect(rig, "+3 ");
    done(rig, 3);
    expect(rig, "=0 ");
    free_rig(rig);
}

static void inline_steps_do_not_nest(void **state)
{
    struct rig *rig = new_rig(STEPS_MAX);
    (void)state;

    for (uint32_t i = 0; i + 1 < STEPS_MAX; i++)
        edge(rig, i, i + 1);
    rig->inline_done = true;
    run(rig);
    assert_int_equal(rig->deepest, 1);
    assert_int_equal(rig->code, TERN_OK);
    free_rig(rig);
}

static void a_graph_without_steps_is_done_at_once(void **state)
{
    struct rig *rig = new_rig(0);
    (void)state;

    run(rig);
    expect(rig, "=0 ");
    free_rig(rig);
}

static void one_way_passes_over_the_others(void **state)
{
    struct rig *rig = new_diamond();
    (void)state;

    rig->inline_done = true;
    rig->ways[0] = 1; /* step 2 */
    run(rig);
    expect(rig, "+0 +2 +3 =0 ");
    free_rig(rig);
}

static void what_nothing_leads_to_is_passed_over_with_all_behind_it(void **state)
{
    struct rig *rig = new_diamond();
    (void)state;

    rig->inline_done = true;
    rig->ways[0] = TERN_GRAPH_NONE;
    run(rig);
    expect(rig, "+0 =0 ");
    free_rig(rig);
}

static void a_step_may_take_others_out(void **state)
{
    struct rig *rig = new_diamond();
    (void)state;

    run(rig);
    tern_graph_skip(&rig->graph, 1);
    done(rig, 0);
    done(rig, 2);
    done(rig, 3);
    expect(rig, "+0 +2 +3 =0 ");
    free_rig(rig);
}

static void skipped_from_the_start(void **state)
{
    struct rig *rig = new_rig(3); /* 0 and 1 -> 2 */
    (void)state;

    edge(rig, 0, 2);
    edge(rig, 1, 2);
    assert_int_equal(tern_graph_init(&rig->graph, &rig->plan, &ops, &rig->arena, &rig->err),
                     TERN_OK);
    tern_graph_skip(&rig->graph, 0);
    tern_graph_run(&rig->graph);
    expect(rig, "+1 ");
    done(rig, 1);
    done(rig, 2);
    expect(rig, "+2 =0 ");
    free_rig(rig);
}

static void an_error_ends_the_rest_when_all_have_come_back(void **state)
{
    struct rig *rig = new_diamond();
    struct tern_err err;
    (void)state;

    run(rig);
    done(rig, 0);
    expect(rig, "+0 +1 +2 ");
    tern_graph_fail(&rig->graph, 1, tern_fail(&err, TERN_INTERNAL, "it broke"), &err);
    expect(rig, "x2 ");
    tern_graph_fail(&rig->graph, 2, tern_fail(&err, TERN_CANCELLED, "cancelled"), &err);
    expect(rig, "=13 ");
    assert_string_equal(rig->err.text, "it broke");
    free_rig(rig);
}

static void a_step_that_ends_well_after_an_error_starts_nothing(void **state)
{
    struct rig *rig = new_diamond();
    struct tern_err err;
    (void)state;

    run(rig);
    done(rig, 0);
    tern_graph_fail(&rig->graph, 2, tern_fail(&err, TERN_UNAVAILABLE, "gone"), &err);
    done(rig, 1);
    expect(rig, "+0 +1 +2 x1 =14 ");
    free_rig(rig);
}

static void an_error_in_a_start_stops_the_list(void **state)
{
    struct rig *rig = new_diamond();
    (void)state;

    rig->fails_at = 1;
    run(rig);
    done(rig, 0);
    expect(rig, "+0 +1 =13 "); /* step 2 was ready too */
    assert_string_equal(rig->err.text, "step 1 broke");
    free_rig(rig);
}

static void cancelled_steps_may_come_back_from_within(void **state)
{
    struct rig *rig = new_diamond();
    (void)state;

    rig->cancels_at_once = true;
    run(rig);
    done(rig, 0);
    tern_graph_cancel(&rig->graph, tern_fail(&rig->err, TERN_CANCELLED, "the client went away"));
    expect(rig, "+0 +1 +2 x1 x2 =1 ");
    assert_string_equal(rig->err.text, "the client went away");
    free_rig(rig);
}

static void a_second_cancel_does_nothing(void **state)
{
    struct rig *rig = new_diamond();
    (void)state;

    run(rig);
    tern_graph_cancel(&rig->graph, TERN_CANCELLED);
    tern_graph_cancel(&rig->graph, TERN_DEADLINE_EXCEEDED);
    expect(rig, "+0 x0 ");
    done(rig, 0);
    expect(rig, "=1 ");
    free_rig(rig);
}

static void without_memory_it_does_not_begin(void **state)
{
    struct rig *rig = new_diamond();
    (void)state;

    mem_calls = 0;
    mem_fail_at = 0;
    enum tern_code code = tern_graph_init(&rig->graph, &rig->plan, &ops, &rig->arena, &rig->err);
    mem_fail_at = -1;
    assert_int_equal(code, TERN_RESOURCE_EXHAUSTED);
    rig->n_done = 1;
    free_rig(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_starts_when_those_before_it_are_done),
        cmocka_unit_test(inline_steps_do_not_nest),
        cmocka_unit_test(a_graph_without_steps_is_done_at_once),
        cmocka_unit_test(one_way_passes_over_the_others),
        cmocka_unit_test(what_nothing_leads_to_is_passed_over_with_all_behind_it),
        cmocka_unit_test(a_step_may_take_others_out),
        cmocka_unit_test(skipped_from_the_start),
        cmocka_unit_test(an_error_ends_the_rest_when_all_have_come_back),
        cmocka_unit_test(a_step_that_ends_well_after_an_error_starts_nothing),
        cmocka_unit_test(an_error_in_a_start_stops_the_list),
        cmocka_unit_test(cancelled_steps_may_come_back_from_within),
        cmocka_unit_test(a_second_cancel_does_nothing),
        cmocka_unit_test(without_memory_it_does_not_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
