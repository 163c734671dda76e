/* Compression of a whole response body that lies in pieces. State is taken at the first use of a
 * coding and reused; one encoder a loop is enough. One thread at a time. */
#ifndef TERN_WIRE_ENCODER_H
#define TERN_WIRE_ENCODER_H

#include <stddef.h>
#include <sys/uio.h>
#include "base/buf.h"
#include "base/err.h"
#include "wire/encoding.h"

struct tern_encoder {
    int level;     /* of gzip and deflate, 1 to 9, set before the first run; 0: the fastest */
    void *gzip;    /* owned: z_stream */
    void *deflate; /* owned: z_stream */
    void *zstd;    /* owned: ZSTD_CCtx */
};

void tern_encoder_init(struct tern_encoder *e); /* takes no memory */
void tern_encoder_fini(struct tern_encoder *e);

/* Appends the encoded pieces to out. encoding is not identity. On failure (out->max reached, no
 * memory) out is cut back to what it held before: the caller sends the plain bytes instead, as it
 * does when the result is not smaller. */
enum tern_code tern_encoder_run(struct tern_encoder *e, enum tern_encoding encoding,
                                const struct iovec *pieces, size_t n_pieces, struct tern_buf *out,
                                struct tern_err *err);

#endif
