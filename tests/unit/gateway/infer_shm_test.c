/* Tensors in shared memory around a run: where inputs point, where outputs go, and what a client
 * that changes its memory meanwhile can and cannot do. */
#include "gateway/infer_shm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "harness/shm_object.h"

#define PAGE 4096u

struct world {
    struct tern_regions *regions;
    struct shm_object object;
    struct tern_arena arena;
    struct tern_call call;
    struct tern_infer_shm_uses uses;
    struct tern_tensor inputs[2], outputs[2];
    struct tern_requested_output wanted[2];
    struct tern_region_ref in[2], out[2];
    struct tern_err err;
};

static struct world *new_world(void)
{
    static struct world w;
    static const struct tern_regions_settings settings = {true, 4, 1u << 20};

    memset(&w, 0, sizeof(w));
    assert_int_equal(tern_regions_new(&settings, &w.regions, &w.err), TERN_OK);
    shm_object_make(&w.object, "infer_shm", 4 * PAGE);
    const struct tern_region_row row = {
        .name = TERN_STR("r"), .key = tern_str_of(w.object.key), .byte_size = 4 * PAGE};
    assert_int_equal(tern_regions_register(w.regions, &row, &w.err), TERN_OK);
    tern_arena_init(&w.arena, 4096, 1u << 20);
    w.call.arena = &w.arena;
    w.call.request.inputs = w.inputs;
    w.call.request.outputs = w.wanted;
    w.call.response.outputs = w.outputs;
    return &w;
}

static void free_world(struct world *w)
{
    tern_arena_fini(&w->arena); /* lets go of the regions */
    tern_regions_free(w->regions);
    shm_object_end(&w->object);
}

static void input_at(struct world *w, enum tern_dtype dtype, uint64_t offset, uint64_t n)
{
    uint32_t i = w->call.request.n_inputs++;

    w->in[i] = (struct tern_region_ref){TERN_STR("r"), offset, n};
    w->inputs[i] = (struct tern_tensor){.name = TERN_STR("x"), .dtype = dtype, .region = &w->in[i]};
}

/* An output that the engine left at p. */
static void output_at(struct world *w, const char *name, uint64_t offset, uint64_t room, char *p,
                      size_t n)
{
    uint32_t i = w->call.request.n_outputs++;

    w->call.response.n_outputs++;
    w->out[i] = (struct tern_region_ref){TERN_STR("r"), offset, room};
    w->wanted[i] = (struct tern_requested_output){.name = tern_str_of(name), .region = &w->out[i]};
    w->outputs[i] = (struct tern_tensor){.name = tern_str_of(name),
                                         .dtype = TERN_DTYPE_UINT8,
                                         .shape = {1, {(int64_t)n}},
                                         .data = p,
                                         .n_bytes = n,
                                         .region = &w->out[i]};
}

static enum tern_code begin(struct world *w)
{
    return tern_infer_shm_begin(w->regions, &w->call, &w->uses, &w->err);
}

static enum tern_code end(struct world *w)
{
    return tern_infer_shm_end(&w->call, &w->uses, &w->err);
}

static void values_come_from_and_go_to_the_region(void **state)
{
    (void)state;
    struct world *w = new_world();
    char result[] = "result";
    memcpy(w->object.p + 10, "floats", 6);
    input_at(w, TERN_DTYPE_FP32, 10, 8);
    output_at(w, "y", PAGE, 16, result, 6);
    assert_int_equal(begin(w), TERN_OK);
    assert_int_equal(w->inputs[0].n_bytes, 8);
    assert_memory_equal(w->inputs[0].data, "floatsaa", 8);
    w->object.p[10] = 'F'; /* in place: what the client changes is seen */
    assert_memory_equal(w->inputs[0].data, "Floats", 6);
    assert_int_equal(end(w), TERN_OK);
    assert_memory_equal(w->object.p + PAGE, "resultaa", 8);
    free_world(w);
}

/* What is checked once and then relied on does not change under the engine. */
static void lengths_and_indices_are_copied(void **state)
{
    (void)state;
    static const enum tern_dtype relied_on[] = {TERN_DTYPE_BYTES, TERN_DTYPE_BOOL, TERN_DTYPE_INT32,
                                                TERN_DTYPE_INT64};
    for (size_t i = 0; i < TERN_COUNT_OF(relied_on); i++) {
        struct world *w = new_world();
        input_at(w, relied_on[i], 0, 8);
        assert_int_equal(begin(w), TERN_OK);
        memset(w->object.p, 0xff, 8);
        assert_memory_equal(w->inputs[0].data, "aaaaaaaa", 8);
        free_world(w);
    }
}

static void refusals_before_the_run(void **state)
{
    (void)state;
    struct world *w = new_world();
    input_at(w, TERN_DTYPE_FP32, 4 * PAGE, 1);
    assert_int_equal(begin(w), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(w->err.text, "Invalid offset for shared memory region"));
    w->in[0] = (struct tern_region_ref){TERN_STR("nosuch"), 0, 8};
    assert_int_equal(begin(w), TERN_NOT_FOUND);
    w->in[0] = (struct tern_region_ref){TERN_STR("r"), 0, 8};
    output_at(w, "y", 4 * PAGE - 8, 9, NULL, 0);
    assert_int_equal(begin(w), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(w->err.text, "Invalid offset + byte size for shared memory region"));
    free_world(w);
}

static void results_that_do_not_fit(void **state)
{
    (void)state;
    struct world *w = new_world();
    char result[64] = "x";
    output_at(w, "y", 0, 63, result, 64);
    assert_int_equal(begin(w), TERN_OK);
    assert_int_equal(end(w), TERN_INVALID_ARGUMENT);
    assert_string_equal(w->err.text,
                        "shared memory size specified with the request for output 'y' (63 bytes) "
                        "should be at least 64 bytes to hold the results");
    assert_int_equal(w->object.p[0], 'a');
    free_world(w);
}

static void outputs_that_overlap(void **state)
{
    (void)state;
    struct world *w = new_world();
    char result[64] = "x";
    output_at(w, "y", 0, 64, result, 64);
    output_at(w, "z", 63, 64, result, 64);
    assert_int_equal(begin(w), TERN_OK);
    assert_int_equal(end(w), TERN_INVALID_ARGUMENT);
    assert_string_equal(w->err.text, "outputs 'y' and 'z' overlap in shared memory region 'r'");
    w->out[1].offset = 64;
    assert_int_equal(end(w), TERN_OK);
    free_world(w);
}

static void a_region_that_shrinks_before_during_and_after(void **state)
{
    (void)state;
    for (int when = 0; when < 3; when++) {
        struct world *w = new_world();
        char result[64] = "x";
        input_at(w, TERN_DTYPE_FP32, PAGE, PAGE);
        output_at(w, "y", 3 * PAGE, 64, result, 64);
        if (when == 0)
            shm_object_resize(&w->object, PAGE);
        assert_int_equal(begin(w), when == 0 ? TERN_FAILED_PRECONDITION : TERN_OK);
        if (when > 0) {
            shm_object_resize(&w->object, PAGE);
            if (when == 1) /* the engine reads: zeros */
                assert_int_equal(*(volatile char *)w->inputs[0].data, 0);
            assert_int_equal(end(w), TERN_FAILED_PRECONDITION);
        }
        assert_memory_equal(w->err.text, "shared memory region 'r' shrank", 31);
        free_world(w);
    }
}

/* An engine that answers with the memory it was given: the answer must not change, or fault, while
 * it is sent. */
static void an_answer_is_never_sent_from_a_region(void **state)
{
    (void)state;
    struct world *w = new_world();
    input_at(w, TERN_DTYPE_UINT8, 0, 8);
    assert_int_equal(begin(w), TERN_OK);
    w->outputs[0] = (struct tern_tensor){
        .name = TERN_STR("y"), .dtype = TERN_DTYPE_UINT8, .data = w->inputs[0].data, .n_bytes = 8};
    w->call.response.n_outputs = 1;
    assert_int_equal(end(w), TERN_OK);
    memset(w->object.p, 'z', 8);
    assert_memory_equal(w->outputs[0].data, "aaaaaaaa", 8);
    free_world(w);
}

static void an_unregistered_region_serves_its_last_request(void **state)
{
    (void)state;
    struct world *w = new_world();
    char result[] = "result";
    input_at(w, TERN_DTYPE_FP32, 0, 8);
    output_at(w, "y", PAGE, 16, result, 6);
    assert_int_equal(begin(w), TERN_OK);
    const struct tern_region_row all = {.cuda = false};
    assert_int_equal(tern_regions_unregister(w->regions, &all, &w->err), TERN_OK);
    shm_unlink(w->object.key);
    assert_int_equal(end(w), TERN_OK);
    assert_memory_equal(w->object.p + PAGE, "result", 6);
    free_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_from_and_go_to_the_region),
        cmocka_unit_test(lengths_and_indices_are_copied),
        cmocka_unit_test(refusals_before_the_run),
        cmocka_unit_test(results_that_do_not_fit),
        cmocka_unit_test(outputs_that_overlap),
        cmocka_unit_test(a_region_that_shrinks_before_during_and_after),
        cmocka_unit_test(an_answer_is_never_sent_from_a_region),
        cmocka_unit_test(an_unregistered_region_serves_its_last_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
