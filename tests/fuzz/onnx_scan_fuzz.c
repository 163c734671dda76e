/* Any bytes at all as a model file: the scan ends, stays inside them, and keeps its promises about
 * what it reports. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "engine/onnx/onnx_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const char *begin;
    const char *end;
    uint32_t n_external;
};

static void check(int holds)
{
    if (!holds)
        abort();
}

static enum tern_code on_external(void *arg, const struct tern_onnx_external *tensor,
                                  struct tern_err *err)
{
    struct input *input = arg;
    struct tern_str at = tensor->location;

    (void)err;
    input->n_external++;
    check(at.n > 0 && at.p >= input->begin && at.p + at.n <= input->end);
    check(at.p[0] != '/' && at.p[0] != '*' && at.p[at.n - 1] != '/');
    check(memchr(at.p, '\0', at.n) == NULL);
    check(!(at.n >= 2 && memcmp(at.p, "..", 2) == 0 && (at.n == 2 || at.p[2] == '/')));
    return TERN_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tern_err err = {0};
    struct tern_onnx_scan scan = {0};
    struct tern_str bytes = tern_str_make((const char *)data, size);
    struct input input = {.begin = bytes.p, .end = bytes.p + size};
    char text[64];

    enum tern_code code = tern_onnx_scan(bytes, on_external, &input, &scan, &err);
    if (code != TERN_OK) {
        check(err.code == code && err.text[0] != '\0');
        return 0;
    }
    check(scan.ir_version > 0 && scan.n_opsets > 0 && scan.n_opsets <= TERN_ONNX_OPSETS_MAX);
    check(scan.n_external == input.n_external && scan.n_external <= scan.n_tensors);
    check(strlen(tern_onnx_scan_print(&scan, text, sizeof(text))) < sizeof(text));
    return 0;
}
