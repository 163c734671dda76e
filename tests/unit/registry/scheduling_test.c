/* How a model's requests wait, as its configuration says it, against the model it is for. */
// covers: registry/model_config_scheduling registry/model_config_scheduling_tie
// covers: registry/model_config_scheduling_decide registry/scheduling registry/seen
// covers: registry/config_node registry/config_reader
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "harness/config_rig.h"

#define FLAT   \
    {          \
        1,     \
        {      \
            -1 \
        }      \
    }
#define ROWS       \
    {              \
        2,         \
        {          \
            -1, -1 \
        }          \
    }

/* A flat ragged input, what is made of the batch for it, an ordinary input, and a flat output. */
static const struct tern_tensor_spec inputs[] = {
    {.name = {"RAGGED", 6}, .dtype = TERN_DTYPE_FP32, .shape = FLAT},
    {.name = {"COUNT", 5}, .dtype = TERN_DTYPE_INT32, .shape = FLAT},
    {.name = {"X", 1}, .dtype = TERN_DTYPE_FP32, .shape = ROWS},
    {.name = {"SHAPES", 6}, .dtype = TERN_DTYPE_INT32, .shape = ROWS},
};
static const struct tern_tensor_spec outputs[] = {
    {.name = {"Y", 1}, .dtype = TERN_DTYPE_FP32, .shape = ROWS},
    {.name = {"CUT", 3}, .dtype = TERN_DTYPE_FP32, .shape = FLAT},
};

/* What is wrong with the text for a model of the first so many inputs and outputs. */
static const char *mistakes(struct config_rig *w, const char *text, uint32_t first,
                            uint32_t n_inputs, uint32_t n_outputs,
                            const struct tern_model_config_settings *settings)
{
    static const struct tern_model_config_settings plain = {.strict = false};
    struct tern_tensor_spec in[TERN_COUNT_OF(inputs)], out[TERN_COUNT_OF(outputs)];
    struct tern_engine_model model = {.inputs = in,
                                      .n_inputs = n_inputs,
                                      .outputs = out,
                                      .n_outputs = n_outputs,
                                      .platform = "onnxruntime_onnx",
                                      .backend = "onnxruntime"};

    memcpy(in, inputs + first, n_inputs * sizeof(*in));
    memcpy(out, outputs, n_outputs * sizeof(*out));
    return config_rig_complete(w, text, settings == NULL ? &plain : settings, &model);
}

/* X -> Y, an ordinary model. */
static const struct tern_scheduling *plain(struct config_rig *w, const char *text)
{
    assert_string_equal(mistakes(w, text, 2, 1, 1, NULL), "");
    return w->config.scheduling;
}

static const struct tern_scheduling *ruled(struct config_rig *w, const char *text,
                                           enum tern_batching_rule rule)
{
    const struct tern_model_config_settings settings = {.batching = rule,
                                                        .default_max_batch_size = 4};
    assert_string_equal(mistakes(w, text, 2, 1, 1, &settings), "");
    return w->config.scheduling;
}

static void test_nothing_said_is_adaptive(void **state)
{
    const struct tern_scheduling *s = plain(*state, "max_batch_size: 8");
    assert_int_equal(s->batching, TERN_BATCHING_ADAPTIVE);
    assert_int_equal(s->max_rows, 8);
    assert_int_equal(s->n_levels, 1);
    assert_int_equal(s->default_level, 1);
    assert_int_equal(s->levels[0].max_queue_size, 0);
    assert_int_equal(s->n_groups, 0);
    assert_null(s->ragged);
    assert_false(s->cached);
    assert_false(tern_scheduling_needs_queue(s));
    assert_null(tern_scheduling_group_of(s, 0));
    s = plain(*state, "max_batch_size: 1");
    assert_int_equal(s->batching, TERN_BATCHING_NONE);
    s = plain(*state, "");
    assert_int_equal(s->batching, TERN_BATCHING_NONE);
    assert_int_equal(s->max_rows, 1);
}

static void test_the_servers_rule(void **state)
{
    static const char said[] = "max_batch_size: 8 dynamic_batching { preferred_batch_size: 2 "
                               "max_queue_delay_microseconds: 5 }";
    const struct tern_scheduling *s =
        ruled(*state, "max_batch_size: 8", TERN_BATCHING_RULE_CONFIGURED);
    assert_int_equal(s->batching, TERN_BATCHING_NONE);
    assert_int_equal(s->max_rows, 1);
    /* A max_batch_size that is filled in brings dynamic_batching, as Triton's completion does. */
    s = ruled(*state, "", TERN_BATCHING_RULE_CONFIGURED);
    assert_int_equal(s->batching, TERN_BATCHING_CONFIGURED);
    assert_int_equal(s->max_rows, 4);
    s = ruled(*state, "", TERN_BATCHING_RULE_ADAPTIVE);
    assert_int_equal(s->batching, TERN_BATCHING_ADAPTIVE);
    s = ruled(*state, said, TERN_BATCHING_RULE_CONFIGURED);
    assert_int_equal(s->max_rows, 8);
    s = ruled(*state, said, TERN_BATCHING_RULE_OFF);
    assert_int_equal(s->max_rows, 1);
    assert_int_equal(s->n_preferred, 0);
    assert_int_equal(s->max_queue_delay_ns, 0);
}

static void test_dynamic_batching(void **state)
{
    const struct tern_scheduling *s = plain(
        *state, "max_batch_size: 16 optimization { eager_batching: true } dynamic_batching {\n"
                "preferred_batch_size: [8, 2, 8, 4] max_queue_delay_microseconds: 1500\n"
                "preserve_ordering: true priority_levels: 3 default_priority_level: 2\n"
                "default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 7\n"
                "  allow_timeout_override: true max_queue_size: 9 }\n"
                "priority_queue_policy { key: 3 value { max_queue_size: 1 } } }");
    assert_int_equal(s->batching, TERN_BATCHING_CONFIGURED);
    assert_int_equal(s->max_rows, 16);
    assert_int_equal(s->n_preferred, 3);
    assert_int_equal(s->preferred[0], 2);
    assert_int_equal(s->preferred[1], 4);
    assert_int_equal(s->preferred[2], 8);
    assert_int_equal(s->max_queue_delay_ns, 1500000);
    assert_true(s->preserve_ordering && s->eager);
    assert_int_equal(s->n_levels, 3);
    assert_int_equal(s->default_level, 2);
    assert_true(s->levels[0].delay && s->levels[0].allow_timeout_override);
    assert_int_equal(s->levels[0].default_timeout_ns, 7000);
    assert_int_equal(s->levels[0].max_queue_size, 9);
    assert_int_equal(s->n_own_levels, 1);
    assert_int_equal(s->levels[1].level, 3);
    assert_false(s->levels[1].delay || s->levels[1].allow_timeout_override);
    assert_int_equal(s->levels[1].default_timeout_ns, 0);
    assert_int_equal(s->levels[1].max_queue_size, 1);
}

static void test_levels_are_as_many_as_triton_counts(void **state)
{
    const struct tern_scheduling *s = plain(
        *state, "max_batch_size: 16 dynamic_batching { priority_levels: 18446744073709551615\n"
                "default_priority_level: 4294967296\n"
                "priority_queue_policy { key: 18446744073709551615 value { max_queue_size: 1 } } "
                "}");
    assert_true(s->n_levels == UINT64_MAX);
    assert_true(s->default_level == (uint64_t)1 << 32);
    assert_int_equal(s->n_own_levels, 1);
    assert_true(s->levels[1].level == UINT64_MAX);
}

static void test_what_only_a_queue_can_give(void **state)
{
    static const struct {
        const char *text;
        bool needs;
    } rows[] = {
        {"dynamic_batching { }", false},
        {"dynamic_batching { preferred_batch_size: [2, 4] }", false},
        {"instance_group { count: 3 }", false},
        {"response_cache { enable: true }", false},
        {"dynamic_batching { max_queue_delay_microseconds: 1 }", true},
        {"dynamic_batching { preserve_ordering: true }", true},
        {"dynamic_batching { priority_levels: 2 default_priority_level: 1 }", true},
        {"dynamic_batching { default_queue_policy { max_queue_size: 1 } }", true},
        {"dynamic_batching { default_queue_policy { default_timeout_microseconds: 1 } }", true},
        {"instance_group { rate_limiter { resources { name: 'R' count: 1 } } }", true},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        char text[256];
        snprintf(text, sizeof(text), "max_batch_size: 4 %s", rows[i].text);
        assert_int_equal(tern_scheduling_needs_queue(plain(*state, text)), rows[i].needs);
    }
}

static void test_instance_groups(void **state)
{
    struct config_rig *w = *state;
    const struct tern_scheduling *s =
        plain(w, "instance_group [ { name: 'off' count: 4 passive: true }, { name: 'a' count: 2\n"
                 "rate_limiter { priority: 3 resources [ { name: 'R' count: 2 },\n"
                 "{ name: 'G' count: 1 global: true } ] } }, { name: 'b' } ]");
    assert_int_equal(w->config.instances, 3);
    assert_int_equal(s->n_groups, 3);
    assert_true(s->groups[0].passive);
    assert_int_equal(s->groups[1].priority, 3);
    assert_int_equal(s->groups[1].n_resources, 2);
    assert_true(s->groups[1].resources[1].global);
    assert_int_equal(s->groups[1].resources[0].count, 2);
    assert_int_equal(s->groups[2].count, 1);
    assert_ptr_equal(tern_scheduling_group_of(s, 0), &s->groups[1]);
    assert_ptr_equal(tern_scheduling_group_of(s, 1), &s->groups[1]);
    assert_ptr_equal(tern_scheduling_group_of(s, 2), &s->groups[2]);
    assert_ptr_equal(tern_scheduling_group_of(s, 9), &s->groups[2]);
}

static void test_sequences(void **state)
{
    const struct tern_scheduling *s =
        plain(*state, "max_batch_size: 4 sequence_batching { oldest { max_candidate_sequences: 2 "
                      "preferred_batch_size: [2] max_queue_delay_microseconds: 3 } }");
    assert_int_equal(s->batching, TERN_BATCHING_CONFIGURED);
    assert_int_equal(s->max_rows, 4);
    assert_int_equal(s->max_queue_delay_ns, 3000);
    s = plain(*state, "max_batch_size: 4 sequence_batching { direct { } }");
    assert_int_equal(s->batching, TERN_BATCHING_NONE);
    assert_int_equal(s->max_rows, 1);
    s = plain(
        *state,
        "max_batch_size: 4 model_transaction_policy { decoupled: true } dynamic_batching { }");
    assert_int_equal(s->batching, TERN_BATCHING_CONFIGURED);
    assert_int_equal(s->max_rows, 1);
}

#define RAGGED_IN                                                             \
    "max_batch_size: 4 input { name: 'RAGGED' data_type: TYPE_FP32 dims: -1 " \
    "allow_ragged_batch: true } output { name: 'CUT' data_type: TYPE_FP32 dims: -1 } "
#define COUNT_IN                                                                          \
    "batch_input { kind: BATCH_ELEMENT_COUNT target_name: 'COUNT' data_type: TYPE_INT32 " \
    "source_input: 'RAGGED' } "
#define CUT_OUT                                                               \
    "batch_output { target_name: 'CUT' kind: BATCH_SCATTER_WITH_INPUT_SHAPE " \
    "source_input: 'RAGGED' } "

static void test_tensors_made_of_the_batch(void **state)
{
    struct config_rig *w = *state;
    assert_string_equal(mistakes(w,
                                 RAGGED_IN COUNT_IN CUT_OUT
                                 "batch_input { kind: BATCH_ITEM_SHAPE target_name: 'SHAPES' "
                                 "data_type: TYPE_INT32 source_input: 'X' }",
                                 0, 4, 2, NULL),
                        "");
    const struct tern_scheduling *s = w->config.scheduling;
    assert_true(s->gathers);
    assert_true(tern_scheduling_needs_queue(s));
    assert_true(s->ragged[0] && !s->ragged[1] && !s->ragged[2]);
    assert_int_equal(s->n_batch_inputs, 2);
    assert_int_equal(s->batch_inputs[0].kind, TERN_BATCH_ELEMENT_COUNT);
    assert_int_equal(s->batch_inputs[0].input, 1);
    assert_int_equal(s->batch_inputs[0].source, 0);
    assert_int_equal(s->batch_inputs[1].kind, TERN_BATCH_ITEM_SHAPE);
    assert_int_equal(s->batch_inputs[1].dtype, TERN_DTYPE_INT32);
    assert_int_equal(s->batch_inputs[1].source, 2);
    assert_int_equal(s->n_batch_outputs, 1);
    assert_int_equal(s->batch_outputs[0].output, 1);
    assert_int_equal(s->batch_outputs[0].source, 0);
    /* Clients see neither, and the shapes that they send and get. */
    assert_int_equal(w->specs.seen.n_inputs, 2);
    assert_int_equal(w->specs.seen.input_at[0], 0);
    assert_int_equal(w->specs.seen.input_at[1], 2);
    assert_int_equal(w->specs.seen.inputs[0].shape.rank, 2);
    assert_null(w->specs.seen.output_at);
    assert_int_equal(w->specs.seen.outputs[1].shape.rank, 2);
    uint32_t specs[] = {1, 0};
    tern_seen_to_engine(w->specs.seen.input_at, specs, 2);
    assert_int_equal(specs[0], 2);
    assert_int_equal(specs[1], 0);
}

static void test_mistakes_of_tensors_made_of_the_batch(void **state)
{
    static const struct {
        const char *text, *said;
    } rows[] = {
        {"batch_input { target_name: 'NO' data_type: TYPE_INT32 source_input: 'RAGGED' }",
         "batch_input: the model has no input \"NO\""},
        {"batch_input { target_name: 'COUNT' data_type: TYPE_INT32 source_input: 'NO' }",
         "batch_input: the model has no input \"NO\""},
        {"batch_input { target_name: 'COUNT' data_type: TYPE_INT32 }",
         "expected one source_input, got 0"},
        {"batch_input { target_name: 'COUNT' data_type: TYPE_INT64 source_input: 'RAGGED' }",
         "expected a data_type of TYPE_INT32 or TYPE_FP32"},
        {"batch_input { target_name: 'COUNT' data_type: TYPE_FP32 source_input: 'RAGGED' }",
         "is made as TYPE_FP32, the model has TYPE_INT32"},
        {"batch_input { data_type: TYPE_INT32 source_input: 'RAGGED' }",
         "a target_name is missing"},
        {"batch_input { kind: BATCH_ITEM_SHAPE target_name: 'COUNT' data_type: TYPE_INT32 "
         "source_input: 'RAGGED' }",
         "is made with 2 free dimensions, the model has [-1]"},
        {COUNT_IN COUNT_IN, "\"COUNT\" is made twice"},
        {"batch_input { target_name: 'COUNT' data_type: TYPE_INT32 source_input: 'COUNT' }",
         "cannot be made from itself"},
        {COUNT_IN "batch_input { kind: BATCH_ITEM_SHAPE target_name: 'SHAPES' "
                  "data_type: TYPE_INT32 source_input: 'COUNT' }",
         "\"COUNT\" is itself made from the batch"},
        {CUT_OUT CUT_OUT, "\"CUT\" is cut twice"},
        {"batch_output { target_name: 'NO' source_input: 'X' }", "the model has no output \"NO\""},
        {"batch_output { source_input: 'X' }", "a target_name is missing"},
        {"input { name: 'X' dims: -1 allow_ragged_batch: true }",
         "\"X\" allows ragged batches, so the model must take it as [-1]; it has [-1,-1]"},
        {"batch_output { target_name: 'Y' source_input: 'X' }",
         "output \"Y\" is made of a whole batch: expected dims"},
    };
    struct config_rig *w = *state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        char text[2048];
        snprintf(text, sizeof(text), "%s\n%s", RAGGED_IN, rows[i].text);
        const char *said = mistakes(w, text, 0, 4, 2, NULL);
        if (strstr(said, rows[i].said) == NULL)
            fail_msg("%s: got %s", rows[i].text, said);
        assert_non_null(strstr(said, "config.pbtxt"));
    }
}

static void test_mistakes(void **state)
{
    static const struct {
        const char *text, *said;
    } rows[] = {
        {"dynamic_batching { preferred_batch_size: 5 }",
         "config.pbtxt:2:42: preferred_batch_size: expected 1 to max_batch_size (4), got 5"},
        {"dynamic_batching { preferred_batch_size: 0 }", "expected 1 to max_batch_size (4), got 0"},
        {"dynamic_batching { preferred_batch_size: [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,"
         "1,1,1,1,1,1,1,1,1,1] }",
         "expected at most 32 sizes, got 33"},
        {"dynamic_batching { max_queue_delay_microseconds: 18446744073709552 }",
         "max_queue_delay_microseconds: expected at most 18446744073709551"},
        {"dynamic_batching { priority_levels: 2 }",
         "default_priority_level: expected a level from 1 to priority_levels (2), got 0"},
        {"dynamic_batching { priority_levels: 2 default_priority_level: 3 }",
         "default_priority_level: expected a level from 1 to priority_levels (2), got 3"},
        {"dynamic_batching { default_priority_level: 1 }",
         "expected a level from 0 to priority_levels (0), got 1"},
        {"dynamic_batching { priority_levels: 2 default_priority_level: 1\n"
         "priority_queue_policy { key: 3 value { } } }",
         "expected a level from 1 to priority_levels (2), got 3"},
        {"dynamic_batching { default_queue_policy { default_timeout_microseconds: "
         "18446744073709552 } }",
         "default_timeout_microseconds: expected at most"},
        {"instance_group { count: -1 }", "expected a count from 1 to 1024, got -1"},
        {"instance_group [ { count: 1000 }, { count: 25 } ]", "at most 1024 instances, got 1025"},
        {"instance_group { passive: true }", "all are passive, nothing would run"},
        {"instance_group { rate_limiter { resources { count: 1 } } }", "expected a name"},
        {"instance_group { rate_limiter { resources { name: 'R' } } }", "expected a count from 1"},
        {"instance_group { rate_limiter { resources [ { name: 'R' count: 1 }, { name: 'R' "
         "count: 1 } ] } }",
         "resources: \"R\" is asked for twice"},
        {"response_cache { enable: true } model_transaction_policy { decoupled: true }",
         "with 'decoupled' transaction policy: it answers the same request differently"},
        {"response_cache { enable: true } sequence_batching { }",
         "with sequence batching scheduler: it answers the same request differently"},
    };
    struct config_rig *w = *state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        char text[2048];
        snprintf(text, sizeof(text), "max_batch_size: 4\n%s", rows[i].text);
        const char *said = mistakes(w, text, 2, 1, 1, NULL);
        if (strstr(said, rows[i].said) == NULL)
            fail_msg("%s: got %s", rows[i].text, said);
        assert_non_null(strstr(said, "config.pbtxt:"));
    }
}

#define PARAMETER(key, value) "parameters { key: '" key "' value { string_value: '" value "' } } "

static void test_what_triton_has_no_field_for(void **state)
{
    const struct tern_model_config_settings settings = {.slo_ns = 5};
    struct config_rig *w = *state;
    const struct tern_scheduling *s =
        plain(w, PARAMETER("slo", "20ms") PARAMETER("batch_cost_input", "X")
                     PARAMETER("batch_cost_max", "512") PARAMETER("intra_op_thread_count", "1"));
    assert_int_equal(s->slo_ns, 20000000);
    assert_int_equal(s->cost_input, 0);
    assert_int_equal(s->max_cost, 512);
    assert_int_equal(w->config.n_options, 1); /* the engine does not hear of them */
    assert_string_equal(mistakes(w, PARAMETER("slo", "0"), 2, 1, 1, &settings), "");
    assert_int_equal(w->config.scheduling->slo_ns, 0);
    assert_string_equal(mistakes(w, "", 2, 1, 1, &settings), "");
    assert_int_equal(w->config.scheduling->slo_ns, 5);
    assert_int_equal(w->config.scheduling->max_cost, 0);
}

static void test_mistakes_in_parameters(void **state)
{
    static const struct {
        const char *text, *said;
    } rows[] = {
        {PARAMETER("slo", "soon"),
         "slo: expected a time such as 20ms, or 0 for none, got \"soon\""},
        {PARAMETER("slo", ""), "slo: expected a time"},
        {PARAMETER("batch_cost_input", "X"), "both batch_cost_input and batch_cost_max, or"},
        {PARAMETER("batch_cost_max", "7"), "both batch_cost_input and batch_cost_max, or"},
        {PARAMETER("batch_cost_input", "X") PARAMETER("batch_cost_max", "0"),
         "batch_cost_max: expected a number of elements from 1, got \"0\""},
        {PARAMETER("batch_cost_input", "X") PARAMETER("batch_cost_max", "4294967296"),
         "batch_cost_max: expected a number of elements from 1"},
        {PARAMETER("batch_cost_input", "NO") PARAMETER("batch_cost_max", "1"),
         "batch_cost_input: clients send no input \"NO\""},
    };
    struct config_rig *w = *state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        const char *said = mistakes(w, rows[i].text, 2, 1, 1, NULL);
        if (strstr(said, rows[i].said) == NULL)
            fail_msg("%s: got %s", rows[i].text, said);
        assert_non_null(strstr(said, "config.pbtxt:1:"));
    }
    /* Nor one that the server fills. */
    assert_non_null(strstr(mistakes(w,
                                    RAGGED_IN COUNT_IN CUT_OUT PARAMETER("batch_cost_max", "1")
                                        PARAMETER("batch_cost_input", "COUNT"),
                                    0, 2, 2, NULL),
                           "clients send no input \"COUNT\""));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, config_rig_setup, config_rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_said_is_adaptive),
        TEST(test_the_servers_rule),
        TEST(test_dynamic_batching),
        TEST(test_levels_are_as_many_as_triton_counts),
        TEST(test_what_only_a_queue_can_give),
        TEST(test_instance_groups),
        TEST(test_sequences),
        TEST(test_tensors_made_of_the_batch),
        TEST(test_mistakes_of_tensors_made_of_the_batch),
        TEST(test_mistakes),
        TEST(test_what_triton_has_no_field_for),
        TEST(test_mistakes_in_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
