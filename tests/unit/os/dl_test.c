// covers: os/dl_load
#include "os/dl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void opens_calls_and_closes(void **state)
{
    (void)state;
    struct tern_err err = {0};
    struct tern_dl *dl = NULL;
    tern_dl_fn fn = NULL;

    assert_int_equal(tern_dl_open("libm.so.6", &dl, &err), TERN_OK);
    assert_int_equal(tern_dl_symbol(dl, "floor", &fn, &err), TERN_OK);
    double (*floor_fn)(double) = (double (*)(double))fn;
    assert_true(floor_fn(2.5) == 2.0);
    tern_dl_close(dl);
}

static void names_what_is_missing(void **state)
{
    (void)state;
    struct tern_err err = {0};
    struct tern_dl *dl = NULL;
    tern_dl_fn fn = NULL;

    assert_int_equal(tern_dl_open("libnone-such.so.9", &dl, &err), TERN_NOT_FOUND);
    assert_non_null(strstr(err.text, "libnone-such.so.9"));
    assert_null(dl);
    assert_int_equal(tern_dl_open("libm.so.6", &dl, &err), TERN_OK);
    assert_int_equal(tern_dl_symbol(dl, "none_such", &fn, &err), TERN_NOT_FOUND);
    assert_non_null(strstr(err.text, "none_such"));
    assert_null(fn);
    tern_dl_close(dl);
    tern_dl_close(NULL);
}

struct math {
    double (*floor)(double);
    double (*ceil)(double);
};

static void a_table_is_filled_or_nothing_is_loaded(void **state)
{
    static const struct tern_dl_entry good[] = {{"ceil", offsetof(struct math, ceil)},
                                                {"floor", offsetof(struct math, floor)}};
    static const struct tern_dl_entry bad[] = {{"ceil", offsetof(struct math, ceil)},
                                               {"none_such", offsetof(struct math, floor)}};
    (void)state;
    struct tern_err err = {0};
    struct tern_dl *dl = NULL;
    struct math math = {0};

    assert_int_equal(tern_dl_load("libm.so.6", bad, 2, &math, &dl, &err), TERN_NOT_FOUND);
    assert_non_null(strstr(err.text, "none_such"));
    assert_null(dl);
    assert_int_equal(tern_dl_load("libnone-such.so.9", good, 2, &math, &dl, &err), TERN_NOT_FOUND);
    assert_null(dl);
    assert_int_equal(tern_dl_load("libm.so.6", good, 2, &math, &dl, &err), TERN_OK);
    assert_true(math.floor(2.5) == 2.0 && math.ceil(2.5) == 3.0);
    tern_dl_close(dl);
}

static void knows_the_folder_of_the_program(void **state)
{
    (void)state;
    struct tern_err err = {0};
    char folder[4096];
    char file[sizeof(folder) + 16];
    char tiny[4];

    assert_int_equal(tern_dl_exe_folder(folder, sizeof(folder), &err), TERN_OK);
    assert_int_equal(folder[0], '/');
    assert_true(snprintf(file, sizeof(file), "%s/dl_test", folder) > 0);
    assert_int_equal(access(file, X_OK), 0);
    assert_int_equal(tern_dl_exe_folder(tiny, sizeof(tiny), &err), TERN_OUT_OF_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_calls_and_closes),
        cmocka_unit_test(names_what_is_missing),
        cmocka_unit_test(a_table_is_filled_or_nothing_is_loaded),
        cmocka_unit_test(knows_the_folder_of_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
