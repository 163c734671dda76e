#include "base/grow.h"

#include <string.h>
#include "base/mem.h"
#include "base/num.h"

#define FIRST 64

enum tern_code tern_grow(void *array, size_t *cap, size_t n, size_t more, size_t size, size_t max,
                         const char *what, struct tern_err *err)
{
    void *old, *grown;
    size_t want, bytes;

    if (more <= *cap - n)
        return TERN_OK;
    if (n > max || more > max - n)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "more than %zu %s", max, what);
    want = *cap + *cap / 2 + FIRST;
    want = want < n + more ? n + more : want;
    want = want > max ? max : want;
    if (tern_num_mul(want, size, &bytes))
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "more than %zu %s", max, what);
    /* `array` is the address of a pointer to elements of any type. */
    memcpy(&old, array, sizeof(old));
    grown = tern_mem_realloc(old, bytes);
    if (grown == NULL)
        return tern_mem_fail(err, what, bytes);
    memcpy(array, &grown, sizeof(grown));
    *cap = want;
    return TERN_OK;
}
