/* Listeners that speak some dialects: what each finds, and what cannot be. */
// wrap: tern_mem_zalloc
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "front/dialects.h"

void *__real_tern_mem_zalloc(size_t count, size_t size);
void *__wrap_tern_mem_zalloc(size_t count, size_t size);

static int allocations;
static int fail_at; /* the n-th allocation fails; 0: none */

void *__wrap_tern_mem_zalloc(size_t count, size_t size)
{
    return ++allocations == fail_at ? NULL : __real_tern_mem_zalloc(count, size);
}

static const struct tern_route rows_a[] = {
    TERN_ROUTE(GET, "/ping", SERVER_LIVE, NULL, NULL, "a's ping"),
    TERN_ROUTE(POST, "/only/{model}", INFER, NULL, NULL, "a's own"),
};
static const struct tern_route rows_b[] = {
    TERN_ROUTE(GET, "/ping", SERVER_READY, NULL, NULL, "b's ping"),
};
static const struct tern_route rows_c[] = {
    TERN_ROUTE(GET, "/c", METRICS, NULL, NULL, "c's own"),
};
static const struct tern_proto proto_a = {
    .name = "a", .help = "A", .routes = rows_a, .n_routes = TERN_COUNT_OF(rows_a)};
static const struct tern_proto proto_b = {
    .name = "b", .help = "B", .routes = rows_b, .n_routes = TERN_COUNT_OF(rows_b)};
static const struct tern_proto proto_c = {
    .name = "c", .help = "C", .routes = rows_c, .n_routes = TERN_COUNT_OF(rows_c)};
static const struct tern_proto *const protos[] = {&proto_a, &proto_b, &proto_c};

enum {
    A = 1,
    B = 2,
    C = 4,
};

static struct tern_dialects *make(const struct tern_listener_info *const *listeners, uint32_t n)
{
    struct tern_dialects *dialects = NULL;
    struct tern_err err = {0};

    if (tern_dialects_new(protos, 3, listeners, n, &dialects, &err) != TERN_OK)
        fail_msg("%s", err.text);
    return dialects;
}

/* Through one memo, as a loop does it. */
static const struct tern_route *find(const struct tern_dialects *dialects,
                                     struct tern_router_memo *memo,
                                     const struct tern_listener_info *listener, const char *path)
{
    const struct tern_dialect_set *set = tern_dialects_of(dialects, listener);
    struct tern_match match;

    if (tern_router_recall(set->router, memo, TERN_METHOD_GET, tern_str_of(path), &match, NULL) !=
        TERN_OK)
        return NULL;
    return match.route;
}

static void a_path_belongs_to_the_dialect_of_its_listener(void **state)
{
    static const struct tern_listener_info one = {.name = {"one", 3}, .protos = A | C};
    static const struct tern_listener_info two = {.name = {"two", 3}, .protos = B};
    const struct tern_listener_info *listeners[] = {&one, &two, &one};
    struct tern_dialects *dialects = make(listeners, 3);
    struct tern_router_memo memo = {0};

    (void)state;
    for (int round = 0; round < 3; round++) {
        assert_ptr_equal(find(dialects, &memo, &one, "/ping"), &rows_a[0]);
        assert_ptr_equal(find(dialects, &memo, &two, "/ping"), &rows_b[0]);
        assert_ptr_equal(find(dialects, &memo, &one, "/c"), &rows_c[0]);
        assert_null(find(dialects, &memo, &two, "/c"));
    }
    assert_ptr_equal(tern_dialects_of(dialects, &two)->protos[0], &proto_b);
    assert_int_equal(tern_dialects_of(dialects, &two)->n_protos, 1);
    struct tern_str page = tern_buf_str(&tern_dialects_of(dialects, &two)->welcome);
    assert_non_null(memmem(page.p, page.n, "b's ping", 8));
    assert_null(memmem(page.p, page.n, "a's", 3));
    tern_dialects_free(dialects);
}

/* A method that only a dialect not spoken here has is unknown, not forbidden. */
static void what_is_not_spoken_does_not_exist(void **state)
{
    static const struct tern_listener_info two = {.name = {"two", 3}, .protos = B};
    const struct tern_listener_info *listeners[] = {&two};
    struct tern_dialects *dialects = make(listeners, 1);
    struct tern_match match;
    struct tern_err err;

    (void)state;
    assert_int_equal(tern_router_match(tern_dialects_of(dialects, &two)->router, TERN_METHOD_PUT,
                                       TERN_STR("/only/m"), &match, &err),
                     TERN_NOT_FOUND);
    tern_dialects_free(dialects);
}

static void one_listener_cannot_speak_both(void **state)
{
    static const struct tern_listener_info good = {.name = {"good", 4}, .protos = A};
    static const struct tern_listener_info all = {.name = {"1.2.3.4:5", 9}};
    const struct tern_listener_info *listeners[] = {&good, &all};
    struct tern_dialects *dialects = NULL;
    struct tern_err err;

    (void)state;
    assert_int_equal(tern_dialects_new(protos, 3, listeners, 2, &dialects, &err),
                     TERN_ALREADY_EXISTS);
    assert_null(dialects);
    assert_string_equal(err.text, "listen 1.2.3.4:5: a and b both claim GET /ping: a listener can "
                                  "speak only one of them");
}

static void a_listener_that_speaks_nothing_known_is_refused(void **state)
{
    static const struct tern_listener_info odd = {.name = {"odd", 3}, .protos = 8};
    const struct tern_listener_info *listeners[] = {&odd};
    struct tern_dialects *dialects = NULL;

    (void)state;
    assert_int_equal(tern_dialects_new(protos, 3, listeners, 1, &dialects, NULL),
                     TERN_INVALID_ARGUMENT);
}

static void without_listeners_all_is_spoken(void **state)
{
    const struct tern_proto *const some[] = {&proto_a, &proto_c};
    static const struct tern_listener_info any = {.protos = 0};
    struct tern_dialects *dialects = NULL;

    (void)state;
    assert_int_equal(tern_dialects_new(some, 2, NULL, 0, &dialects, NULL), TERN_OK);
    assert_int_equal(tern_dialects_of(dialects, &any)->n_protos, 2);
    tern_dialects_free(dialects);
    tern_dialects_free(NULL);
}

static void no_memory_is_an_error(void **state)
{
    static const struct tern_listener_info one = {.name = {"one", 3}, .protos = A};
    const struct tern_listener_info *listeners[] = {&one};

    (void)state;
    for (int n = 1; n <= 4; n++) {
        struct tern_dialects *dialects = NULL;
        struct tern_err err;
        allocations = 0;
        fail_at = n;
        assert_int_equal(tern_dialects_new(protos, 3, listeners, 1, &dialects, &err),
                         TERN_RESOURCE_EXHAUSTED);
        fail_at = 0;
        assert_null(dialects);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_belongs_to_the_dialect_of_its_listener),
        cmocka_unit_test(what_is_not_spoken_does_not_exist),
        cmocka_unit_test(one_listener_cannot_speak_both),
        cmocka_unit_test(a_listener_that_speaks_nothing_known_is_refused),
        cmocka_unit_test(without_listeners_all_is_spoken),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
