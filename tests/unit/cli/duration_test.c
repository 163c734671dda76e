/* Times for people: three digits, and the unit that fits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/compiler.h"
#include "cli/duration.h"

static void the_unit_that_fits(void **state)
{
    static const struct {
        uint64_t ns;
        const char *text;
    } rows[] = {
        {0, "0ns"},
        {999, "999ns"},
        {1000, "1.00us"},
        {12345, "12.3us"},
        {123456, "123us"},
        {1234567, "1.23ms"},
        {50000000, "50.0ms"},
        {1000000000, "1.00s"},
        {UINT64_C(3600000000000), "3600s"},
        {UINT64_MAX, "18446744074s"},
    };
    char text[TERN_DURATION_MAX];

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++)
        assert_string_equal(tern_duration_print(rows[i].ns, text), rows[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_unit_that_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
