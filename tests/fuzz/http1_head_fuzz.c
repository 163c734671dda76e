/* The head reader must give the same outcome however the bytes are cut, point only into its input,
 * and never take more than its limits. */
#include <stdlib.h>
#include <string.h>
#include "wire/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
    if (!ok)
        abort();
}

static const struct tern_head_limits limits = TERN_HEAD_LIMITS_DEFAULT;

static void check_inside(struct tern_str s, const char *p, size_t n)
{
    if (s.n > 0)
        check(s.p >= p && s.p + s.n <= p + n);
}

static void check_head(const struct tern_http1_head *head, const char *p, size_t n)
{
    check(head->size <= n && head->size <= limits.bytes_max + 2);
    check(head->n_fields <= limits.fields_max);
    check_inside(head->method, p, n);
    check_inside(head->path, p, n);
    check_inside(head->query, p, n);
    check_inside(head->authority, p, n);
    check(head->method.n > 0 && head->path.n > 0);
    for (uint32_t i = 0; i < head->n_fields; i++) {
        check_inside(head->fields[i].name, p, n);
        check_inside(head->fields[i].value, p, n);
        check(head->fields[i].name.n > 0);
        check(memchr(head->fields[i].value.p, '\n', head->fields[i].value.n) == NULL);
    }
    check(head->minor <= 1);
    check(!(head->minor == 0 && head->framing == TERN_HTTP1_CHUNKED));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tern_header fields[TERN_HEAD_FIELDS_MAX];
    static struct tern_header fields2[TERN_HEAD_FIELDS_MAX];
    struct tern_http1_head whole;
    struct tern_http1_head cut;
    struct tern_err err;
    const char *p = (const char *)data;

    tern_http1_head_start(&whole, fields, &limits);
    enum tern_http1_result result = tern_http1_head_read(&whole, p, size, &err);
    if (result == TERN_HTTP1_DONE)
        check_head(&whole, p, size);
    if (result == TERN_HTTP1_BAD)
        check(err.http_status >= 400);

    /* In steps, each time in memory of its own, so that stale slices show. */
    enum tern_http1_result stepped = TERN_HTTP1_MORE;
    size_t step = size > 256 ? size / 64 : 1;
    char *last = NULL;
    tern_http1_head_start(&cut, fields2, &limits);
    for (size_t n = step; stepped == TERN_HTTP1_MORE && n < size + step; n += step) {
        size_t now = n < size ? n : size;
        char *copy = malloc(now);
        check(copy != NULL);
        memcpy(copy, p, now);
        stepped = tern_http1_head_read(&cut, copy, now, &err);
        free(last);
        last = copy;
    }
    if (size > 0)
        check(stepped == result);
    if (result == TERN_HTTP1_DONE) {
        check(cut.size == whole.size && cut.n_fields == whole.n_fields);
        check(tern_str_eq(cut.path, whole.path) && tern_str_eq(cut.method, whole.method));
        check(tern_str_eq(cut.authority, whole.authority));
        for (uint32_t i = 0; i < cut.n_fields; i++)
            check(tern_str_eq(cut.fields[i].value, whole.fields[i].value));
    }
    free(last);
    return 0;
}
