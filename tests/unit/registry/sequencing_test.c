/* sequence_batching of a configuration, against the model that it is for. */
// covers: registry/model_config_sequences
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "harness/config_rig.h"
#include "harness/tree.h"

#define ANY_BY_1  \
    {             \
        2,        \
        {         \
            -1, 1 \
        }         \
    }

static const struct tern_tensor_spec inputs[] = {
    {.name = {"START", 5}, .dtype = TERN_DTYPE_FP32, .shape = ANY_BY_1},
    {.name = {"X", 1}, .dtype = TERN_DTYPE_INT32, .shape = ANY_BY_1},
    {.name = {"READY", 5}, .dtype = TERN_DTYPE_BOOL, .shape = ANY_BY_1},
    {.name = {"END", 3}, .dtype = TERN_DTYPE_INT32, .shape = ANY_BY_1},
    {.name = {"ID", 2}, .dtype = TERN_DTYPE_BYTES, .shape = ANY_BY_1},
    {.name = {"Z", 1}, .dtype = TERN_DTYPE_INT32, .shape = ANY_BY_1},
};
static const struct tern_tensor_spec outputs[] = {
    {.name = {"NEXT", 4}, .dtype = TERN_DTYPE_INT32, .shape = ANY_BY_1},
    {.name = {"Y", 1}, .dtype = TERN_DTYPE_INT32, .shape = ANY_BY_1},
};

/* What is wrong with the text, empty when nothing is. */
static const char *mistakes(struct config_rig *w, const char *text, bool strict)
{
    struct tern_engine_model model = {.n_inputs = TERN_COUNT_OF(inputs),
                                      .n_outputs = TERN_COUNT_OF(outputs),
                                      .platform = "onnxruntime_onnx",
                                      .backend = "onnxruntime"};
    const struct tern_model_config_settings settings = {.strict = strict};
    struct tern_tensor_spec in[TERN_COUNT_OF(inputs)], out[TERN_COUNT_OF(outputs)];

    memcpy(in, inputs, sizeof(in));
    memcpy(out, outputs, sizeof(out));
    model.inputs = in;
    model.outputs = out;
    return config_rig_complete(w, text, &settings, &model);
}

static const char *json(struct config_rig *w)
{
    struct tern_str text = {NULL, 0};
    assert_int_equal(tern_model_config_print(&w->config, &w->arena, &text, NULL), TERN_OK);
    return text.p;
}

#define CONTROL(name, what) "control_input { name: \"" name "\" control { " what " } } "
#define START               CONTROL("START", "kind: CONTROL_SEQUENCE_START fp32_false_true: [ -1, 1.5 ]")
#define READY               CONTROL("READY", "kind: CONTROL_SEQUENCE_READY bool_false_true: [ false, true ]")
#define END_                CONTROL("END", "kind: CONTROL_SEQUENCE_END int32_false_true: [ 7, -8 ]")
#define ID                  CONTROL("ID", "kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_STRING")
#define ALL                 START READY END_ ID
#define STATE(more) \
    "state { input_name: \"Z\" output_name: \"NEXT\" data_type: TYPE_INT32 dims: -1 " more " } "
#define FIRST(what)     "initial_state { data_type: TYPE_INT32 dims: 1 name: \"i\" " what " } "
#define SEQUENCES(what) "max_batch_size: 4 sequence_batching { " what " }"

static void test_every_kind_of_control(void **state)
{
    struct config_rig *w = *state;
    const float no = -1, yes = 1.5f;
    assert_string_equal(mistakes(w, SEQUENCES(ALL), false), "");
    const struct tern_sequencing *s = w->config.sequencing;
    assert_int_equal(s->n_controls, 4);
    assert_int_equal(s->controls[0].kind, TERN_CONTROL_START);
    assert_int_equal(s->controls[0].input, 0);
    assert_memory_equal(&s->controls[0].bits[0], &no, 4);
    assert_memory_equal(&s->controls[0].bits[1], &yes, 4);
    assert_int_equal(s->controls[1].dtype, TERN_DTYPE_BOOL);
    assert_int_equal(s->controls[1].bits[0], 0);
    assert_int_equal(s->controls[1].bits[1], 1);
    assert_int_equal(s->controls[1].input, 2);
    assert_int_equal(s->controls[2].bits[0], 7);
    assert_int_equal((int32_t)s->controls[2].bits[1], -8);
    assert_int_equal(s->controls[3].kind, TERN_CONTROL_CORRID);
    assert_int_equal(s->controls[3].dtype, TERN_DTYPE_BYTES);
    assert_int_equal(s->controls[3].input, 4);
    assert_int_equal(s->max_idle_ns, TERN_SEQUENCE_IDLE_NS);
    assert_int_equal(s->slots_per_instance, 4);
    assert_true(s->batched);
}

static void test_clients_see_the_rest(void **state)
{
    struct config_rig *w = *state;
    assert_string_equal(mistakes(w, SEQUENCES(ALL), false), "");
    assert_int_equal(w->specs.seen.n_inputs, 2);
    assert_true(tern_str_eq(w->specs.seen.inputs[0].name, TERN_STR("X")));
    assert_true(tern_str_eq(w->specs.seen.inputs[1].name, TERN_STR("Z")));
    assert_int_equal(w->specs.seen.input_at[0], 1);
    assert_int_equal(w->specs.seen.input_at[1], 5);
    assert_int_equal(w->specs.seen.n_outputs, 2);
    assert_true(tern_str_eq(w->specs.seen.outputs[1].name, TERN_STR("Y")));
    assert_null(w->specs.seen.output_at); /* nothing is hidden there */
    assert_non_null(strstr(json(w), "\"input\":[{\"name\":\"X\""));
    assert_null(strstr(json(w), "{\"name\":\"START\",\"data_type\""));
    assert_non_null(strstr(json(w), "\"max_sequence_idle_microseconds\":1000000"));
}

static void test_a_model_without_sequences_hides_nothing(void **state)
{
    struct config_rig *w = *state;
    assert_string_equal(mistakes(w, "max_batch_size: 4", false), "");
    assert_null(w->config.sequencing);
    assert_int_equal(w->specs.seen.n_inputs, TERN_COUNT_OF(inputs));
    assert_ptr_equal(w->specs.seen.inputs, w->specs.inputs);
    assert_false(tern_sequencing_fills(NULL, TERN_STR("START")));
}

static const char state_z[] = SEQUENCES(ALL STATE(""));

static void test_states_are_the_servers(void **state)
{
    struct config_rig *w = *state;
    struct tern_err err;
    assert_string_equal(mistakes(w, state_z, false), "");
    struct tern_sequencing *s = w->config.sequencing;
    assert_int_equal(s->n_states, 1);
    assert_int_equal(s->states[0].input, 5);
    assert_int_equal(s->states[0].output, 0);
    assert_false(s->states[0].is_shown);
    assert_int_equal(w->specs.seen.n_inputs, 1);
    assert_int_equal(w->specs.seen.n_outputs, 1);
    assert_int_equal(tern_sequencing_load(s, NULL, &w->arena, &err), TERN_OK);
    assert_int_equal(s->states[0].n_bytes, 4);
    assert_memory_equal(s->states[0].data, "\0\0\0", 4);
    assert_string_equal(
        mistakes(w,
                 SEQUENCES(ALL STATE("")) "output { name: \"NEXT\" data_type: TYPE_INT32 dims: 1 }",
                 false),
        "");
    assert_true(w->config.sequencing->states[0].is_shown);
    assert_int_equal(w->specs.seen.n_outputs, 2);
}

static void test_first_states_from_files(void **state)
{
    struct config_rig *w = *state;
    struct tern_err err;
    struct tree tree;
    char folder[TREE_PATH_MAX];
    tree_init(&tree);
    tree_path(&tree, ".", folder);
    tree_write(&tree, "initial_state/one", "abcd");
    tree_write(&tree, "initial_state/long", "abcde");
    static const struct {
        const char *file;
        enum tern_code code;
    } rows[] = {{"one", TERN_OK}, {"long", TERN_INVALID_ARGUMENT}, {"none", TERN_NOT_FOUND}};
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        assert_string_equal(mistakes(w, SEQUENCES(ALL STATE(FIRST("data_file: \"one\""))), false),
                            "");
        struct tern_sequencing *s = w->config.sequencing;
        s->states[0].file = tern_str_of(rows[i].file);
        assert_int_equal(tern_sequencing_load(s, folder, &w->arena, &err), rows[i].code);
        if (rows[i].code == TERN_OK)
            assert_memory_equal(s->states[0].data, "abcd", 4);
    }
    tree_fini(&tree);
}

static void test_a_first_state_is_bounded(void **state)
{
    struct config_rig *w = *state;
    struct tern_err err;
    assert_string_equal(mistakes(w, state_z, false), "");
    w->config.sequencing->states[0].first.dim[1] = TERN_SEQUENCE_STATE_MAX / 4 + 1;
    assert_int_equal(tern_sequencing_load(w->config.sequencing, NULL, &w->arena, &err),
                     TERN_RESOURCE_EXHAUSTED);
    w->config.sequencing->states[0].dtype = TERN_DTYPE_BYTES;
    assert_int_equal(tern_sequencing_load(w->config.sequencing, NULL, &w->arena, &err),
                     TERN_RESOURCE_EXHAUSTED);
    w->config.sequencing->states[0].first.dim[1] = 3;
    assert_int_equal(tern_sequencing_load(w->config.sequencing, NULL, &w->arena, &err), TERN_OK);
    assert_int_equal(w->config.sequencing->states[0].n_bytes, 12); /* three empty texts */
}

static void test_strategies(void **state)
{
    struct config_rig *w = *state;
    assert_string_equal(mistakes(w,
                                 SEQUENCES(ALL "oldest { max_candidate_sequences: 9 } "
                                               "max_sequence_idle_microseconds: 5"),
                                 false),
                        "");
    assert_int_equal(w->config.sequencing->slots_per_instance, 9);
    assert_int_equal(w->config.sequencing->max_idle_ns, 5000);
    assert_false(w->config.sequencing->direct);
    assert_non_null(strstr(json(w), "\"preferred_batch_size\":[4]"));
    assert_string_equal(mistakes(w, SEQUENCES(ALL "oldest { }"), false), "");
    assert_int_equal(w->config.sequencing->slots_per_instance, 4); /* the largest batch */
    assert_string_equal(
        mistakes(w,
                 SEQUENCES(ALL "direct { minimum_slot_utilization: 0.5 "
                               "max_queue_delay_microseconds: 7 } iterative_sequence: true "
                               "max_sequence_idle_microseconds: 18446744073709551615"),
                 false),
        "");
    assert_int_equal(w->config.sequencing->slots_per_instance, 4);
    assert_true(w->config.sequencing->direct);
    assert_true(w->config.sequencing->says_ready);
    assert_true(w->config.sequencing->iterative);
    assert_int_equal(w->config.sequencing->max_delay_ns, 7000);
    assert_true(w->config.sequencing->least_utilization == 0.5);
    assert_true(w->config.sequencing->max_idle_ns == UINT64_MAX);
}

static void test_controls_need_no_description(void **state)
{
    struct config_rig *w = *state;
    assert_string_equal(
        mistakes(w,
                 SEQUENCES(ALL STATE("")) "input { name: \"X\" data_type: TYPE_INT32 dims: 1 } "
                                          "output { name: \"Y\" data_type: TYPE_INT32 dims: 1 }",
                 true),
        "");
}

static void test_mistakes(void **state)
{
    struct config_rig *w = *state;
    static const struct {
        const char *text, *wrong;
    } rows[] = {
        {SEQUENCES("control_input { control { kind: CONTROL_SEQUENCE_END int32_false_true: [ 0, 1 "
                   "] } }"),
         "a name is missing"},
        {SEQUENCES("control_input { name: \"END\" }"), "expected one control"},
        {SEQUENCES("control_input { name: \"END\" control { } control { } }"),
         "expected one control"},
        {SEQUENCES(CONTROL("END", "kind: CONTROL_SEQUENCE_END int32_false_true: [ 0, 1, 2 ]")),
         "CONTROL_SEQUENCE_END: expected two values"},
        {SEQUENCES(CONTROL("END", "kind: CONTROL_SEQUENCE_END")), "expected two values"},
        {SEQUENCES(CONTROL("END", "int32_false_true: 0 bool_false_true: true")),
         "CONTROL_SEQUENCE_START: expected two values"},
        {SEQUENCES(CONTROL("ID", "kind: CONTROL_SEQUENCE_CORRID")), "expected a data_type of"},
        {SEQUENCES(CONTROL("ID", "kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_UINT64")),
         "is TYPE_UINT64 for CONTROL_SEQUENCE_CORRID, the model has TYPE_STRING"},
        {SEQUENCES(END_ END_), "a second one for \"END\""},
        {SEQUENCES(ALL END_), "more than 4"},
        {SEQUENCES(CONTROL("OFF", "int32_false_true: [ 0, 1 ]")), "the model has no input \"OFF\""},
        {SEQUENCES("oldest { max_candidate_sequences: -1 }"), "expected at most 1048576, got -1"},
        {SEQUENCES("oldest { max_candidate_sequences: 1048577 }"), "got 1048577"},
        {SEQUENCES("direct { minimum_slot_utilization: 1.5 }"), "expected 0 to 1, got 1.5"},
        {SEQUENCES("direct { minimum_slot_utilization: -0.5 }"), "expected 0 to 1, got -0.5"},
        {SEQUENCES(STATE("dims: 2")), "is [-1,-1,2], the model has [-1,1]"},
        {SEQUENCES(STATE("") STATE("")), "a second one with an input or output"},
        {SEQUENCES(STATE(FIRST("zero_data: true") FIRST("zero_data: true"))), "expected one for"},
        {SEQUENCES(STATE("initial_state { data_type: TYPE_FP32 dims: 1 }")),
         "initial_state: expected data_type TYPE_INT32"},
        {SEQUENCES(STATE("initial_state { data_type: TYPE_INT32 dims: [ 1, 1 ] }")),
         "its dims do not fit"},
        {SEQUENCES(STATE("initial_state { data_type: TYPE_INT32 dims: -1 }")), "must be known"},
        {SEQUENCES(STATE(FIRST("data_file: \"../x\""))), "inside the model's folder"},
        {SEQUENCES("state { dims: 1 }"), "expected an input_name"},
        {SEQUENCES("state { input_name: \"Z\" output_name: \"NO\" data_type: TYPE_INT32 dims: 1 }"),
         "the model has no output \"NO\""},
        {SEQUENCES("state { input_name: \"ID\" output_name: \"Y\" data_type: TYPE_INT32 dims: 1 }"),
         "input \"ID\" is TYPE_INT32, the model has TYPE_STRING"},
        {SEQUENCES(STATE("")) " model_transaction_policy { decoupled: true }", "a decoupled model"},
        {"sequence_batching { " END_ "}", "is given as [1], the model has [-1,1]"},
    };

    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        if (strstr(mistakes(w, rows[i].text, false), rows[i].wrong) == NULL)
            fail_msg("\"%s\" is not in \"%s\"", rows[i].wrong, w->said.p);
    }
}

static void test_too_little_memory_is_said(void **state)
{
    struct config_rig *w = *state;
    struct tern_err err;
    bool was_whole = false;

    for (size_t max = 1024; !was_whole; max += 64) {
        tern_arena_reset(&w->arena);
        w->arena.max = max;
        (void)mistakes(w, SEQUENCES(ALL), false);
        was_whole = tern_problem_fail(&w->problems, &err) == TERN_OK;
        assert_true(max < 1u << 20);
    }
    assert_int_equal(w->config.sequencing->n_controls, 4);
    w->arena.max = 1u << 20;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, config_rig_setup, config_rig_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_every_kind_of_control),
        TEST(test_clients_see_the_rest),
        TEST(test_a_model_without_sequences_hides_nothing),
        TEST(test_states_are_the_servers),
        TEST(test_first_states_from_files),
        TEST(test_a_first_state_is_bounded),
        TEST(test_strategies),
        TEST(test_controls_need_no_description),
        TEST(test_mistakes),
        TEST(test_too_little_memory_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
