/* First byte: the method. The rest: a raw path. Whatever the router lets through is safe to use as
 * a name, and a decoded segment has nothing in it that means something to a file system. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "front/router.h"
#include "proto/protos.h"
#include "wire/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_segment(struct tern_str raw)
{
    char dst[64];
    struct tern_str s;

    if (tern_url_segment("path", raw, dst, sizeof(dst), &s, NULL) != TERN_OK)
        return;
    if (s.n > raw.n || !tern_str_is_utf8(s) || tern_str_find(s, '\\') < s.n ||
        tern_str_find(s, '\0') < s.n || tern_str_eq(s, TERN_STR("..")) ||
        tern_str_eq(s, TERN_STR(".")))
        abort();
    if (tern_str_find(raw, '/') == raw.n && tern_str_find(s, '/') < s.n)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tern_router *router;
    struct tern_match match;
    struct tern_err err;

    if (size < 1)
        return 0;
    enum tern_method method = (enum tern_method)(data[0] % (TERN_METHOD_OTHER + 1));
    char *copy = malloc(size); /* exactly the path, so that a sanitizer sees a read past it */
    if (copy == NULL || tern_router_new(tern_protos, TERN_PROTOS_N, &router, NULL) != TERN_OK)
        abort();
    memcpy(copy, data + 1, size - 1);
    struct tern_str path = tern_str_make(copy, size - 1);
    check_segment(path);
    enum tern_code code = tern_router_match(router, method, path, &match, &err);
    if (match.proto == NULL)
        abort();
    if (code != TERN_OK) {
        int status = tern_err_http_status(&err);
        if ((status != 400 && status != 404 && status != 405) || match.route != NULL)
            abort();
    } else if (match.route != NULL) {
        if (match.route->method != method &&
            !(match.route->method == TERN_METHOD_GET && method == TERN_METHOD_HEAD))
            abort();
        if (match.model.n > 0 && !tern_model_name_is_valid(match.model))
            abort();
        if (match.version < 0 ||
            (strstr(match.route->pattern, "{version}") != NULL) != (match.version > 0))
            abort();
    }
    tern_router_free(router);
    free(copy);
    return 0;
}
