#include "harness/golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"

#define FILE_MAX (1u << 20)

static void write_file(const char *path, const struct tern_buf *generated)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(generated->p, 1, generated->n, f), generated->n);
    assert_int_equal(fclose(f), 0);
}

/* The first line that differs, of two texts that do. */
static void describe(const char *path, struct tern_str old, struct tern_str new, char *dst,
                     size_t cap)
{
    struct tern_str a, b;

    for (unsigned line = 1;; line++) {
        bool more_a = tern_str_split(&old, '\n', &a), more_b = tern_str_split(&new, '\n', &b);
        if (more_a && more_b && tern_str_eq(a, b))
            continue;
        snprintf(dst, cap, "%s:%u has \"%.*s\", generated is \"%.*s\"", path, line,
                 more_a ? (int)(a.n > 120 ? 120 : a.n) : 0, more_a ? a.p : "",
                 more_b ? (int)(b.n > 120 ? 120 : b.n) : 0, more_b ? b.p : "");
        return;
    }
}

void golden_check(const char *path, const struct tern_buf *generated)
{
    char difference[400] = "";

    assert_false(generated->failed);
    if (getenv("TERN_UPDATE") != NULL)
        write_file(path, generated);
    char *have = tern_mem_alloc(FILE_MAX);
    assert_non_null(have);
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        fail_msg("%s is missing: TERN_UPDATE=1 make test-unit writes it", path);
    struct tern_str old = tern_str_make(have, fread(have, 1, FILE_MAX, f));
    fclose(f);
    if (!tern_str_eq(old, tern_buf_str(generated)))
        describe(path, old, tern_buf_str(generated), difference, sizeof(difference));
    tern_mem_free(have);
    if (difference[0] != '\0')
        fail_msg("%s; TERN_UPDATE=1 make test-unit writes it anew", difference);
}
