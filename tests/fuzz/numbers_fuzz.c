/* The vector kernels against the portable reader: same verdict, same elements, same bits, whatever
 * the text; and what was read, written again, reads back the same. The first byte picks the dtype,
 * the second the room. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simd/numbers.h"
#include "simd/simd.h"

#define TEXT_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "numbers_fuzz: %s\n", what);
        abort();
    }
}

static void use_level(bool portable)
{
    static struct tern_simd best;
    static bool known;
    if (!known) {
        tern_simd_init();
        best = tern_simd;
        known = true;
    }
    struct tern_simd plain = {.level = TERN_SIMD_PORTABLE};
    tern_simd = portable ? plain : best;
}

struct answer {
    enum tern_code code;
    struct tern_numbers_result result;
    struct tern_err err;
    size_t bound, length;
    unsigned char out[TEXT_MAX * 4 + 64];
};

static void read_it(struct answer *a, enum tern_dtype dtype, struct tern_str text, size_t cap)
{
    memset(&a->result, 0, sizeof(a->result));
    memset(a->out, 0, sizeof(a->out));
    a->err.text[0] = '\0';
    a->bound = tern_numbers_bound(text);
    a->length = tern_numbers_skip(text, 64);
    a->code = tern_numbers_read(dtype, text, a->out, cap, &a->result, &a->err);
}

static void write_back(const struct answer *a, enum tern_dtype dtype)
{
    size_t count = a->result.count;
    size_t bytes = count * tern_dtype_size(dtype);
    char *text = malloc(tern_numbers_write_bound(dtype, count) + 2 + TERN_TEXT_PAD);
    unsigned char *out = malloc(bytes + 1);
    struct tern_numbers_result result;
    check(text != NULL && out != NULL, "memory");
    text[0] = '[';
    size_t n = 1 + tern_numbers_write(dtype, a->out, count, text + 1);
    check(n <= tern_numbers_write_bound(dtype, count), "written past the bound");
    text[n++] = ']';
    check(tern_numbers_read(dtype, tern_str_make(text, n), out, count, &result, NULL) == TERN_OK &&
              result.count == count && result.used == n,
          "what was written does not read");
    check(memcmp(out, a->out, bytes) == 0, "what was written reads otherwise");
    free(out);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct answer fast, plain;
    if (size < 3 || size > TEXT_MAX)
        return 0;
    enum tern_dtype dtype = (enum tern_dtype)(1 + data[0] % 13);
    size_t n = size - 2;
    size_t cap = data[1] == 255 ? n : data[1];
    cap = cap > n ? n : cap;
    char *text = malloc(n + TERN_TEXT_PAD); /* exactly: the sanitizer sees a byte too far */
    check(text != NULL, "memory");
    memcpy(text, data + 2, n);
    memset(text + n, data[1], TERN_TEXT_PAD);

    use_level(true);
    read_it(&plain, dtype, tern_str_make(text, n), cap);
    use_level(false);
    read_it(&fast, dtype, tern_str_make(text, n), cap);

    check(fast.code == plain.code, "the verdicts differ");
    check(fast.bound == plain.bound && fast.length == plain.length, "the scans differ");
    if (strcmp(fast.err.text, plain.err.text) != 0)
        fprintf(stderr, "portable: %s\nkernel: %s\n", plain.err.text, fast.err.text);
    check(strcmp(fast.err.text, plain.err.text) == 0, "the errors differ");
    if (fast.code == TERN_OK) {
        check(memcmp(&fast.result, &plain.result, sizeof(fast.result)) == 0, "the results differ");
        check(fast.result.count <= fast.bound && fast.result.count <= cap, "too many elements");
        check(fast.result.used == fast.length, "read and skip end differently");
        check(memcmp(fast.out, plain.out, fast.result.count * tern_dtype_size(dtype)) == 0,
              "the elements differ");
        write_back(&fast, dtype);
    }
    free(text);
    return 0;
}
