/* NPY files: what is read, what is refused and with which advice, and what we write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "wire/npy.h"

static struct tern_buf file;

static struct tern_str make(int version, const char *header, size_t n_data)
{
    size_t n = strlen(header);

    tern_buf_clear(&file);
    tern_buf_add(&file, "\x93NUMPY", 6);
    tern_buf_add_char(&file, (char)version);
    tern_buf_add_char(&file, 0);
    for (int i = 0; i < (version == 1 ? 2 : 4); i++)
        tern_buf_add_char(&file, (char)(n >> (8 * i)));
    tern_buf_add(&file, header, n);
    for (size_t i = 0; i < n_data; i++)
        tern_buf_add_char(&file, (char)i);
    return tern_buf_str(&file);
}

static void check_good(int version, const char *header, size_t n_data, enum tern_dtype dtype,
                       int rank, int64_t last_dim)
{
    struct tern_npy array;
    struct tern_err err = {.text = ""};

    if (tern_npy_read(make(version, header, n_data), &array, &err) != TERN_OK)
        fail_msg("%s: %s", header, err.text);
    assert_int_equal(array.dtype, dtype);
    assert_int_equal(array.rank, rank);
    if (rank > 0)
        assert_int_equal(array.dim[rank - 1], last_dim);
    assert_int_equal(array.data.n, n_data);
}

static void reads_every_version(void **state)
{
    (void)state;
    check_good(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }  \n", 24,
               TERN_DTYPE_FP32, 2, 3);
    check_good(2, "{'shape': (), \"descr\": '<f8', 'fortran_order': False}", 8, TERN_DTYPE_FP64, 0,
               0);
    check_good(3, "{'descr': '|b1', 'fortran_order': False, 'shape': (5,)}\n", 5, TERN_DTYPE_BOOL,
               1, 5);
    check_good(1, "{'descr': '<u1', 'fortran_order': False, 'shape': (5,)}\n", 5, TERN_DTYPE_UINT8,
               1, 5);
    check_good(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (0, 4)}\n", 0, TERN_DTYPE_FP16,
               2, 4);
}

static void refuses_with_advice(void **state)
{
    static const struct {
        const char *header;
        size_t n_data;
        const char *text; /* part of the error */
    } rows[] = {
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (1,)}", 4, "ascontiguousarray"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}", 4, "big-endian"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", 4, "pickled"},
        {"{'descr': '<U5', 'fortran_order': False, 'shape': (1,)}", 20, "text"},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}", 8, "astype"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", 4, "records"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 4, "needs 8 bytes and 4"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", 5, "needs 4 bytes and 5"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", 0,
         "too large"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", 4, "no size"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1)}", 4, "not a tuple"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)}",
         4, "more than 16"},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", 4, "twice"},
        {"{'descr': '<f4', 'shape': (1,)}", 4, "expected 'descr'"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} x", 4, "follows"},
        {"{'descr': '<f4', 'fortran_order': maybe, 'shape': (1,)}", 4, "neither"},
        {"{", 0, "malformed"},
        {"", 0, "malformed"},
    };
    struct tern_npy array;
    struct tern_err err;

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct tern_str bytes = make(1, rows[i].header, rows[i].n_data);
        assert_int_equal(tern_npy_read(bytes, &array, &err), TERN_INVALID_ARGUMENT);
        if (strstr(err.text, rows[i].text) == NULL)
            fail_msg("%s gave: %s", rows[i].header, err.text);
    }
}

static void every_shorter_file_is_refused(void **state)
{
    struct tern_npy array;
    struct tern_str bytes = make(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}\n", 8);

    (void)state;
    for (size_t n = 0; n < bytes.n; n++)
        assert_int_equal(tern_npy_read(tern_str_make(bytes.p, n), &array, NULL),
                         TERN_INVALID_ARGUMENT);
    assert_int_equal(tern_npy_read(bytes, &array, NULL), TERN_OK);
    assert_int_equal(tern_npy_read(make(4, "{}", 0), &array, NULL), TERN_INVALID_ARGUMENT);
}

static void what_is_written_reads_the_same(void **state)
{
    static const float values[] = {1, 2, 3, 4, 5, 6};
    struct tern_npy array = {.dtype = TERN_DTYPE_FP32,
                             .rank = 2,
                             .dim = {3, 2},
                             .data = {(const char *)values, sizeof(values)}};
    struct tern_npy again;

    (void)state;
    tern_buf_clear(&file);
    assert_int_equal(tern_npy_write(&array, &file, NULL), TERN_OK);
    assert_int_equal((file.n - sizeof(values)) % 64, 0);
    assert_int_equal(tern_npy_read(tern_buf_str(&file), &again, NULL), TERN_OK);
    assert_int_equal(again.rank, 2);
    assert_int_equal(again.dim[0], 3);
    assert_memory_equal(again.data.p, values, sizeof(values));

    array.dtype = TERN_DTYPE_BF16;
    assert_int_equal(tern_npy_write(&array, &file, NULL), TERN_INVALID_ARGUMENT);
    array.dtype = TERN_DTYPE_FP64;
    assert_int_equal(tern_npy_write(&array, &file, NULL), TERN_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_version),
        cmocka_unit_test(refuses_with_advice),
        cmocka_unit_test(every_shorter_file_is_refused),
        cmocka_unit_test(what_is_written_reads_the_same),
    };

    tern_buf_init(&file, 1u << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tern_buf_fini(&file);
    return failed;
}
