/* Load reports: who gets one, in which form, and what it says. */
// wrap: tern_clock_mono_ns tern_clock_cpu_ns
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "gateway/load_report.h"
#include "harness/fake_exchange.h"

uint64_t __wrap_tern_clock_mono_ns(void);
uint64_t __wrap_tern_clock_cpu_ns(void);

static uint64_t now_ns, used_ns;

uint64_t __wrap_tern_clock_mono_ns(void)
{
    return now_ns;
}

uint64_t __wrap_tern_clock_cpu_ns(void)
{
    return used_ns;
}

/* The report that a request with this header gets; NULL: none. */
static const char *report(struct tern_load *load, const char *form)
{
    static char text[128];
    struct fake_exchange fake;

    fake_init(&fake);
    fake.headers[0] = (struct tern_header){TERN_STR("host"), TERN_STR("a")};
    fake.headers[1] =
        (struct tern_header){TERN_STR("Endpoint-Load-Metrics-Format"), tern_str_of(form)};
    fake.x.n_headers = form[0] == '\0' ? 1 : 2;
    tern_load_report(load, &fake.x, 2, 3);
    uint32_t n = fake.x.n_response_headers;
    if (n > 0) {
        assert_true(
            tern_str_eq(fake.x.response_headers[0].name, TERN_STR("endpoint-load-metrics")));
        assert_true(tern_str_copy_z(fake.x.response_headers[0].value, text, sizeof(text)));
    }
    fake_fini(&fake);
    return n > 0 ? text : NULL;
}

static void forms(void **state)
{
    struct tern_load load;

    (void)state;
    now_ns = 5u * (uint64_t)TERN_NS_PER_S;
    used_ns = TERN_NS_PER_S;
    tern_load_init(&load);
    assert_null(report(&load, ""));
    assert_null(report(&load, "binary"));
    assert_string_equal(report(&load, "text"),
                        "TEXT cpu_utilization=0.0000,named_metrics.queue_depth=3");
    assert_string_equal(report(&load, "JSON"),
                        "JSON {\"cpu_utilization\":0.0000,\"named_metrics\":{\"queue_depth\":3}}");
}

static void use_is_that_of_the_last_second_or_more(void **state)
{
    struct tern_load load;

    (void)state;
    now_ns = used_ns = 0;
    tern_load_init(&load);
    now_ns = 999999999;
    used_ns = 999999999;
    assert_string_equal(report(&load, "text"),
                        "TEXT cpu_utilization=0.0000,named_metrics.queue_depth=3");
    now_ns = 2u * (uint64_t)TERN_NS_PER_S; /* one of two processors, all the time */
    used_ns = 2u * (uint64_t)TERN_NS_PER_S;
    assert_string_equal(report(&load, "text"),
                        "TEXT cpu_utilization=0.5000,named_metrics.queue_depth=3");
    now_ns += TERN_NS_PER_MS;
    assert_string_equal(report(&load, "text"),
                        "TEXT cpu_utilization=0.5000,named_metrics.queue_depth=3");
    now_ns += TERN_NS_PER_S;
    assert_string_equal(report(&load, "text"),
                        "TEXT cpu_utilization=0.0000,named_metrics.queue_depth=3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),
        cmocka_unit_test(use_is_that_of_the_last_second_or_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
