/* Tables: widths, alignment, colours only when asked for, and texts that try to steer a terminal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cli/table.h"

static struct tern_arena arena;
static struct tern_buf out;

static struct tern_table make(void)
{
    struct tern_table table;

    tern_table_init(&table, &arena);
    tern_table_column(&table, "row", true);
    tern_table_column(&table, "name", false);
    tern_table_column(&table, "", false);
    return table;
}

static void columns_are_aligned(void **state)
{
    struct tern_table table = make();

    (void)state;
    tern_table_row(&table);
    tern_table_cell(&table, TERN_TONE_PLAIN, "%d", 1);
    tern_table_cell(&table, TERN_TONE_GOOD, "%s", "caf\xc3\xa9");
    tern_table_cell(&table, TERN_TONE_PLAIN, "!");
    tern_table_row(&table);
    tern_table_cell(&table, TERN_TONE_PLAIN, "%d", 1000);
    tern_table_cell(&table, TERN_TONE_BAD, "longer");
    tern_buf_clear(&out);
    tern_table_print(&table, 1, false, &out);
    tern_buf_add_char(&out, '\0');
    assert_string_equal(out.p, "  row  name\n"
                               "    1  caf\xc3\xa9    !\n"
                               " 1000  longer\n");
    tern_buf_clear(&out);
    tern_table_print(&table, 0, true, &out);
    tern_buf_add_char(&out, '\0');
    assert_non_null(strstr(out.p, "\033[32mcaf\xc3\xa9\033[0m    !\n"));
}

static void cells_cannot_steer_the_terminal(void **state)
{
    struct tern_table table = make();
    char lengthy[300];

    (void)state;
    memset(lengthy, 'x', sizeof(lengthy) - 1);
    lengthy[sizeof(lengthy) - 1] = '\0';
    tern_table_row(&table);
    tern_table_cell(&table, TERN_TONE_PLAIN, "\033[2J\n");
    tern_table_cell(&table, TERN_TONE_PLAIN, "%s", lengthy);
    for (int i = 0; i < 40; i++)
        tern_table_cell(&table, TERN_TONE_PLAIN, "too many");
    tern_buf_clear(&out);
    tern_table_print(&table, 0, false, &out);
    assert_null(memchr(out.p, '\033', out.n));
    tern_buf_add_char(&out, '\0');
    assert_non_null(strstr(out.p, "?[2J?  xxx"));
    assert_non_null(strstr(out.p, "xxx..."));
}

static void without_memory_it_prints_what_it_has(void **state)
{
    struct tern_arena tiny;
    struct tern_table table;

    (void)state;
    for (size_t max = 0; max < 3000; max += 100) {
        tern_arena_init(&tiny, 256, max);
        tern_table_init(&table, &tiny);
        tern_table_column(&table, "a", false);
        tern_table_row(&table);
        tern_table_cell(&table, TERN_TONE_PLAIN, "b");
        tern_buf_clear(&out);
        tern_table_print(&table, 0, false, &out);
        assert_false(out.failed);
        tern_arena_fini(&tiny);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_aligned),
        cmocka_unit_test(cells_cannot_steer_the_terminal),
        cmocka_unit_test(without_memory_it_prints_what_it_has),
    };

    tern_arena_init(&arena, 4096, 1u << 20);
    tern_buf_init(&out, 1u << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tern_buf_fini(&out);
    tern_arena_fini(&arena);
    return failed;
}
