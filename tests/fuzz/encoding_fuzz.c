/* First byte: the coding (low 2 bits), the size of the pieces fed (rest). Second byte: length of a
 * field value for the parsers; the remaining bytes are the body. Checks the caps and that the split
 * does not matter. */
#include <stdint.h>
#include <stdlib.h>
#include "base/buf.h"
#include "wire/decoder.h"
#include "wire/encoding.h"

#define OUT_MAX 400000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum tern_code decode(struct tern_decoder *d, enum tern_encoding coding, struct tern_str in,
                             size_t step, struct tern_buf *out)
{
    tern_buf_clear(out);
    TERN_TRY(tern_decoder_start(
        d, coding, (struct tern_decoder_limits){OUT_MAX, TERN_DECODER_RATIO_DEFAULT}, NULL));
    while (in.n > 0) {
        size_t n = in.n < step ? in.n : step;
        TERN_TRY(tern_decoder_feed(d, tern_str_make(in.p, n), out, NULL));
        in = tern_str_from(in, n);
    }
    return tern_decoder_finish(d, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    enum tern_encoding coding = (enum tern_encoding)(data[0] & 3);
    size_t step = (size_t)(data[0] >> 2) + 1;
    struct tern_str rest = tern_str_make((const char *)data + 2, size - 2);
    struct tern_str value = tern_str_make(rest.p, data[1] < rest.n ? data[1] : rest.n);
    enum tern_encoding parsed;
    tern_encoding_parse(value, &parsed, NULL);
    tern_encoding_negotiate(value);

    struct tern_str body = tern_str_make(rest.p + value.n, rest.n - value.n);
    struct tern_decoder d;
    struct tern_buf whole;
    struct tern_buf split;
    tern_decoder_init(&d);
    tern_buf_init(&whole, OUT_MAX);
    tern_buf_init(&split, OUT_MAX);
    enum tern_code a = decode(&d, coding, body, body.n, &whole);
    enum tern_code b = decode(&d, coding, body, step, &split);
    if (whole.n > OUT_MAX ||
        (a == TERN_OK && b == TERN_OK && !tern_str_eq(tern_buf_str(&whole), tern_buf_str(&split))))
        abort();
    tern_decoder_fini(&d);
    tern_buf_fini(&whole);
    tern_buf_fini(&split);
    return 0;
}
