/* The plot of `tern tune`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "cli/tune_plot.h"

#define MS 1000000u

static void points_stand_where_they_belong(void **state)
{
    struct tern_tune_point points[] = {
        {.rate = 1000, .p99_ns = 100 * MS, .setting = 1},
        {.rate = 500, .p99_ns = 1 * MS, .setting = 0},
        {.rate = 250, .p99_ns = 10 * MS, .setting = 2},
    };
    struct tern_buf out;

    (void)state;
    tern_tune_front(points, 3);
    tern_buf_init(&out, 65536);
    tern_tune_plot(points, 3, 20 * MS, &out);
    tern_buf_add_char(&out, '\0');
    char *line = strtok(out.p, "\n");
    assert_string_equal(line, "       p99");
    for (int y = 0; y < 14; y++) {
        line = strtok(NULL, "\n");
        const char *cells = line + 12;
        assert_int_equal(line[11], '|');
        if (y == 0) {
            assert_non_null(strstr(line, "100ms"));
            assert_int_equal(cells[63], 'b'); /* the greatest rate, the longest p99 */
        } else if (y == 13) {
            assert_int_equal(cells[31], 'a'); /* the middle, below */
        } else {
            assert_null(strpbrk(cells, "ab"));
        }
        if (strchr(cells, '.') != NULL)
            assert_int_equal(cells[15], '.'); /* beaten by another: a dot */
        if (strstr(cells, " slo") != NULL)
            assert_int_equal(cells[0], '-');
    }
    assert_non_null(strtok(NULL, "\n"));
    assert_non_null(strstr(strtok(NULL, "\n"), "1000 requests/s"));
    tern_buf_fini(&out);
}

static void one_point_is_no_plot(void **state)
{
    const struct tern_tune_point point = {.rate = 1, .p99_ns = 1};
    struct tern_buf out;

    (void)state;
    tern_buf_init(&out, 65536);
    tern_tune_plot(&point, 1, 1, &out);
    assert_int_equal(out.n, 0);
    const struct tern_tune_point same[] = {point, point};
    tern_tune_plot(same, 2, 0, &out); /* no range at all */
    assert_true(out.n > 0);
    assert_int_equal(tern_tune_letter(0), 'a');
    assert_int_equal(tern_tune_letter(26), 'A');
    tern_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_stand_where_they_belong),
        cmocka_unit_test(one_point_is_no_plot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
