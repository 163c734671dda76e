/* Header forwarding: what matches, and that neither pattern nor request can hurt. */
// wrap: tern_mem_alloc tern_mem_zalloc
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "front/forward.h"

void *__real_tern_mem_alloc(size_t size);
void *__wrap_tern_mem_alloc(size_t size);
void *__real_tern_mem_zalloc(size_t count, size_t size);
void *__wrap_tern_mem_zalloc(size_t count, size_t size);

static int allocations;
static int fail_at; /* the n-th allocation fails; 0: none */

void *__wrap_tern_mem_alloc(size_t size)
{
    return ++allocations == fail_at ? NULL : __real_tern_mem_alloc(size);
}

void *__wrap_tern_mem_zalloc(size_t count, size_t size)
{
    return ++allocations == fail_at ? NULL : __real_tern_mem_zalloc(count, size);
}

struct world {
    struct tern_arena arena;
    struct tern_header headers[8];
    struct tern_exchange x;
    struct tern_params params;
};

static int setup(void **state)
{
    static struct world w;
    memset(&w, 0, sizeof(w));
    tern_arena_init(&w.arena, 65536, 1u << 20);
    w.x.headers = w.headers;
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    tern_arena_fini(&w->arena);
    return 0;
}

static void send(struct world *w, const char *name, const char *value)
{
    w->headers[w->x.n_headers++] = (struct tern_header){tern_str_of(name), tern_str_of(value)};
}

static void forward(struct world *w, const char *pattern)
{
    struct tern_forward *forward = NULL;
    struct tern_err err = {0};

    w->params = (struct tern_params){.n = 0};
    if (tern_forward_new(tern_str_of(pattern), 2, &forward, &err) != TERN_OK)
        fail_msg("%s", err.text);
    for (uint32_t loop = 0; loop < 2; loop++) /* the second round finds all of it there already */
        assert_int_equal(tern_forward_apply(forward, loop, &w->x, &w->arena, &w->params, &err),
                         TERN_OK);
    tern_forward_free(forward);
}

/* The names that were forwarded, in order. */
static const char *names(struct world *w)
{
    static char text[256];
    size_t n = 0;

    text[0] = '\0';
    for (uint32_t i = 0; i < w->params.n; i++) {
        assert_int_equal(w->params.rows[i].kind, TERN_PARAM_STRING);
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.*s", i == 0 ? "" : " ",
                              TERN_STR_ARG(w->params.rows[i].key));
    }
    return text;
}

static void the_whole_name_matches_without_case(void **state)
{
    struct world *w = *state;
    send(w, "X-User", "ann");
    send(w, "x-user-id", "7");
    send(w, "prefix_a", "1");
    send(w, "PREFIX_B", "");
    send(w, "my-prefix_c", "3");
    send(w, "x-user", "bob");
    forward(w, "x-user");
    assert_string_equal(names(w), "X-User");
    assert_true(tern_str_eq(w->params.rows[0].string, TERN_STR("ann")));
    forward(w, "PREFIX_.*");
    assert_string_equal(names(w), "prefix_a PREFIX_B");
    forward(w, "(?-i)PREFIX_.*");
    assert_string_equal(names(w), "PREFIX_B");
    forward(w, "x-user|prefix_a");
    assert_string_equal(names(w), "X-User prefix_a");
    forward(w, "(?i:[[:alpha:]]-)\\w+?-\\d*|nothing");
    assert_string_equal(names(w), "");
    forward(w, "");
    assert_string_equal(names(w), "");
}

static void a_parameter_of_the_request_stays(void **state)
{
    struct world *w = *state;
    struct tern_forward *forward_ = NULL;
    const struct tern_param own = {
        .key = TERN_STR("priority"), .kind = TERN_PARAM_INT64, .int64 = 3};
    struct tern_err err;

    send(w, "priority", "1");
    send(w, "other", "2");
    assert_int_equal(tern_params_add(&w->arena, &w->params, &own, &err), TERN_OK);
    assert_int_equal(tern_forward_new(TERN_STR(".*"), 1, &forward_, &err), TERN_OK);
    assert_int_equal(tern_forward_apply(forward_, 0, &w->x, &w->arena, &w->params, &err), TERN_OK);
    assert_int_equal(w->params.n, 2);
    assert_int_equal(tern_params_find(&w->params, TERN_STR("priority"))->int64, 3);
    tern_forward_free(forward_);
}

static void no_pattern_does_nothing(void **state)
{
    struct world *w = *state;
    send(w, "a", "1");
    assert_int_equal(tern_forward_apply(NULL, 0, &w->x, &w->arena, &w->params, NULL), TERN_OK);
    assert_int_equal(w->params.n, 0);
}

/* A pattern that backtracks without end, on a name made for it: it does not match, soon. */
static void a_wild_pattern_has_an_end(void **state)
{
    struct world *w = *state;
    send(w, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "1");
    forward(w, "(a|aa|a*)*c");
    assert_string_equal(names(w), "");
}

static void a_bad_pattern_is_refused_at_its_place(void **state)
{
    struct tern_forward *forward_ = NULL;
    struct tern_err err;

    (void)state;
    assert_int_equal(tern_forward_new(TERN_STR("x-(user"), 1, &forward_, &err),
                     TERN_INVALID_ARGUMENT);
    assert_null(forward_);
    assert_string_equal(err.text,
                        "the pattern \"x-(user\" is wrong at byte 7: missing closing parenthesis");
}

static void no_memory_is_an_error(void **state)
{
    struct tern_forward *forward_ = NULL;
    struct tern_err err;

    (void)state;
    allocations = 0;
    assert_int_equal(tern_forward_new(TERN_STR("x-.*"), 2, &forward_, &err), TERN_OK);
    tern_forward_free(forward_);
    int n_allocations = allocations;
    assert_in_range(n_allocations, 5, 50);
    for (int n = 1; n <= n_allocations; n++) {
        forward_ = NULL;
        allocations = 0;
        fail_at = n;
        assert_int_not_equal(tern_forward_new(TERN_STR("x-.*"), 2, &forward_, &err), TERN_OK);
        fail_at = 0;
        assert_null(forward_);
    }
}

static void matching_allocates_nothing_after_the_first(void **state)
{
    struct world *w = *state;
    struct tern_forward *forward_ = NULL;
    struct tern_err err;

    send(w, "x-user", "ann");
    send(w, "host", "b");
    assert_int_equal(tern_forward_new(TERN_STR("x-.*"), 1, &forward_, &err), TERN_OK);
    for (int round = 0; round < 3; round++) {
        w->params = (struct tern_params){.n = 0};
        allocations = 0;
        assert_int_equal(tern_forward_apply(forward_, 0, &w->x, &w->arena, &w->params, &err),
                         TERN_OK);
        if (round > 0)
            assert_int_equal(allocations, 0);
    }
    tern_forward_free(forward_);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_whole_name_matches_without_case),
        TEST(a_parameter_of_the_request_stays),
        TEST(no_pattern_does_nothing),
        TEST(a_wild_pattern_has_an_end),
        TEST(a_bad_pattern_is_refused_at_its_place),
        TEST(no_memory_is_an_error),
        TEST(matching_allocates_nothing_after_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
