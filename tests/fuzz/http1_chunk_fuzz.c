/* The chunk reader must give the same body and the same end however the bytes are cut, and every
 * piece of the body must lie in its input. */
#include <stdlib.h>
#include <string.h>
#include "wire/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    enum tern_http1_result result;
    size_t used;
    size_t n_body;
    uint64_t sum;
};

static struct outcome read_all(const char *p, size_t n, size_t step)
{
    struct tern_http1_chunks chunks;
    struct outcome out = {.result = TERN_HTTP1_MORE};
    struct tern_err err;

    tern_http1_chunks_start(&chunks);
    for (size_t at = 0; at < n;) {
        size_t left = n - at < step ? n - at : step;
        while (left > 0) {
            struct tern_str piece = {NULL, 0};
            size_t used = 0;
            out.result = tern_http1_chunks_read(&chunks, p + at, left, &used, &piece, &err);
            if (out.result == TERN_HTTP1_BAD)
                return out;
            if (used > left || (out.result == TERN_HTTP1_DATA && used == 0))
                abort();
            if (out.result == TERN_HTTP1_DATA) {
                if (piece.n == 0 || piece.p < p + at || piece.p + piece.n != p + at + used)
                    abort();
                for (size_t i = 0; i < piece.n; i++)
                    out.sum = out.sum * 31 + (unsigned char)piece.p[i];
                out.n_body += piece.n;
            }
            at += used;
            left -= used;
            out.used = at;
            if (out.result == TERN_HTTP1_DONE)
                return out;
        }
    }
    if (out.result == TERN_HTTP1_DATA)
        out.result = TERN_HTTP1_MORE;
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data;
    struct outcome whole = read_all(p, size, size);

    for (size_t step = 1; step <= 3; step++) {
        struct outcome cut = read_all(p, size, step);
        if (cut.result != whole.result)
            abort();
        if (cut.result != TERN_HTTP1_BAD &&
            (cut.used != whole.used || cut.n_body != whole.n_body || cut.sum != whole.sum))
            abort();
    }
    return 0;
}
