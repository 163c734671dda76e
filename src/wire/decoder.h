/* Decompression of one message body, fed as it arrives, guarded against bombs.
 *
 * One decoder serves one body at a time and is reused for the next: a loop keeps as many as it
 * decodes bodies at once. Library state is taken at the first use of a coding and kept; state that
 * a large zstd window blew up is given back at the next start. One thread at a time.
 *
 * Accepted: gzip of several members (RFC 1952 2.2 concatenates them), zlib and raw deflate, zstd of
 * several frames with windows up to 8 MiB (RFC 9659). Refused: bytes after the end, a truncated
 * body, checksum errors, dictionaries. A body of no bytes decodes to no bytes. */
#ifndef TERN_WIRE_DECODER_H
#define TERN_WIRE_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "wire/encoding.h"

/* How far a body may expand. More than `ratio` bytes out for each byte in is an attack, once past
 * RATIO_FLOOR bytes out: tensors of zeros compress better than that in good faith. */
struct tern_decoder_limits {
    size_t bytes; /* after decoding */
    uint32_t ratio;
};

#define TERN_DECODER_RATIO_DEFAULT 100u
#define TERN_DECODER_RATIO_FLOOR   (1u << 20)

struct tern_decoder {
    enum tern_encoding encoding;
    bool ended;        /* the current member or frame is complete */
    bool wrapped;      /* deflate: the form (zlib or raw) is known and the stream is set up */
    unsigned char cmf; /* deflate: first byte, held until the second tells the form */
    struct tern_decoder_limits limits;
    uint64_t n_in;
    uint64_t n_out;
    void *inflate; /* owned: z_stream */
    void *zstd;    /* owned: ZSTD_DCtx */
};

void tern_decoder_init(struct tern_decoder *d); /* takes no memory */
void tern_decoder_fini(struct tern_decoder *d);

/* Begins a body. */
enum tern_code tern_decoder_start(struct tern_decoder *d, enum tern_encoding encoding,
                                  struct tern_decoder_limits limits, struct tern_err *err);
/* Decodes all of `in`, appends to out. INVALID_ARGUMENT (400) for bytes that are not of the coding,
 * RESOURCE_EXHAUSTED (413) over the limits or over out->max. After a failure only start
 * and fini are allowed; out holds what came before. */
enum tern_code tern_decoder_feed(struct tern_decoder *d, struct tern_str in, struct tern_buf *out,
                                 struct tern_err *err);
/* The body ended: INVALID_ARGUMENT when the coding did not. */
enum tern_code tern_decoder_finish(struct tern_decoder *d, struct tern_err *err);

#endif
