#include "wire/encoder.h"

#define ZSTD_STATIC_LINKING_ONLY /* for the allocator of ZSTD_createCCtx_advanced */
#include <zstd.h>
#define ZLIB_CONST
#include <zlib.h>
#include "base/mem.h"
#include "wire/codec_mem.h"

/* The fastest levels: the point is less network time for large JSON, not archives. */
#define ZLIB_LEVEL  1
#define ZSTD_LEVEL  1
#define MEM_LEVEL   8
#define WINDOW_GZIP (15 + 16)
#define WINDOW_ZLIB 15
#define ROUND_MIN   4096
#define PIECE_MAX   ((size_t)1 << 30) /* avail_in of zlib is 32 bits wide */

void tern_encoder_init(struct tern_encoder *e)
{
    *e = (struct tern_encoder){.zstd = NULL};
}

static void free_deflate(z_stream *z)
{
    if (z != NULL) {
        deflateEnd(z);
        tern_mem_free(z);
    }
}

void tern_encoder_fini(struct tern_encoder *e)
{
    free_deflate(e->gzip);
    free_deflate(e->deflate);
    ZSTD_freeCCtx(e->zstd);
    tern_encoder_init(e);
}

static enum tern_code start_deflate(void **slot, int level, int window, struct tern_err *err)
{
    if (*slot != NULL) {
        deflateReset(*slot);
        return TERN_OK;
    }
    z_stream *z = tern_mem_zalloc(1, sizeof(*z));
    if (z == NULL)
        return tern_mem_fail(err, "a compressor", sizeof(*z));
    z->zalloc = tern_codec_mem_zalloc;
    z->zfree = tern_codec_mem_free;
    if (deflateInit2(z, level == 0 ? ZLIB_LEVEL : level, Z_DEFLATED, window, MEM_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        tern_mem_free(z);
        return tern_mem_fail(err, "a compressor", 1u << 18);
    }
    *slot = z;
    return TERN_OK;
}

static enum tern_code start_zstd(struct tern_encoder *e, struct tern_err *err)
{
    const ZSTD_customMem mem = {tern_codec_mem_alloc, tern_codec_mem_free, NULL};

    if (e->zstd == NULL) {
        e->zstd = ZSTD_createCCtx_advanced(mem);
        if (e->zstd == NULL)
            return tern_mem_fail(err, "a compressor", sizeof(*e));
        ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
    }
    ZSTD_CCtx_reset(e->zstd, ZSTD_reset_session_only);
    return TERN_OK;
}

/* Runs the library over one piece; with Z_FINISH until the end mark is written. */
static enum tern_code deflate_piece(z_stream *z, int flush, struct tern_buf *out,
                                    struct tern_err *err)
{
    int rc = Z_OK;

    do {
        if (!tern_buf_reserve(out, ROUND_MIN))
            return tern_buf_check(out, "the compressed body", err);
        size_t room = out->cap - out->n;
        if (room > PIECE_MAX)
            room = PIECE_MAX;
        z->next_out = (unsigned char *)out->p + out->n;
        z->avail_out = (unsigned)room;
        rc = deflate(z, flush);
        out->n += room - z->avail_out;
        if (rc == Z_STREAM_ERROR)
            return tern_fail(err, TERN_INTERNAL, "deflate is in a wrong state");
    } while (z->avail_out == 0 || (flush == Z_FINISH && rc != Z_STREAM_END));
    return TERN_OK;
}

static enum tern_code run_deflate(z_stream *z, const struct iovec *pieces, size_t n_pieces,
                                  struct tern_buf *out, struct tern_err *err)
{
    for (size_t i = 0; i < n_pieces; i++) {
        const unsigned char *at = pieces[i].iov_base;
        for (size_t left = pieces[i].iov_len; left > 0;) {
            size_t n = left < PIECE_MAX ? left : PIECE_MAX;
            z->next_in = at;
            z->avail_in = (unsigned)n;
            TERN_TRY(deflate_piece(z, Z_NO_FLUSH, out, err));
            at += n;
            left -= n;
        }
    }
    z->next_in = (const unsigned char *)"";
    z->avail_in = 0;
    return deflate_piece(z, Z_FINISH, out, err);
}

static enum tern_code zstd_piece(ZSTD_CCtx *zstd, const void *p, size_t n, ZSTD_EndDirective end,
                                 struct tern_buf *out, struct tern_err *err)
{
    ZSTD_inBuffer src = {p, n, 0};
    size_t rc;

    do {
        if (!tern_buf_reserve(out, ROUND_MIN))
            return tern_buf_check(out, "the compressed body", err);
        ZSTD_outBuffer dst = {out->p + out->n, out->cap - out->n, 0};
        rc = ZSTD_compressStream2(zstd, &dst, &src, end);
        out->n += dst.pos;
        if (ZSTD_isError(rc))
            return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "zstd: %s", ZSTD_getErrorName(rc));
    } while (src.pos < src.size || (end == ZSTD_e_end && rc > 0));
    return TERN_OK;
}

static enum tern_code run_zstd(ZSTD_CCtx *zstd, const struct iovec *pieces, size_t n_pieces,
                               struct tern_buf *out, struct tern_err *err)
{
    size_t total = 0;
    for (size_t i = 0; i < n_pieces; i++)
        total += pieces[i].iov_len;
    /* Known size: small tables for small bodies, and the client learns it from the frame. */
    ZSTD_CCtx_setPledgedSrcSize(zstd, total);
    for (size_t i = 0; i < n_pieces; i++)
        TERN_TRY(
            zstd_piece(zstd, pieces[i].iov_base, pieces[i].iov_len, ZSTD_e_continue, out, err));
    return zstd_piece(zstd, NULL, 0, ZSTD_e_end, out, err);
}

static enum tern_code run(struct tern_encoder *e, enum tern_encoding encoding,
                          const struct iovec *pieces, size_t n_pieces, struct tern_buf *out,
                          struct tern_err *err)
{
    switch (encoding) {
    case TERN_ENCODING_GZIP:
        TERN_TRY(start_deflate(&e->gzip, e->level, WINDOW_GZIP, err));
        return run_deflate(e->gzip, pieces, n_pieces, out, err);
    case TERN_ENCODING_DEFLATE:
        TERN_TRY(start_deflate(&e->deflate, e->level, WINDOW_ZLIB, err));
        return run_deflate(e->deflate, pieces, n_pieces, out, err);
    case TERN_ENCODING_ZSTD:
        TERN_TRY(start_zstd(e, err));
        return run_zstd(e->zstd, pieces, n_pieces, out, err);
    case TERN_ENCODING_IDENTITY:
        break;
    }
    return tern_fail(err, TERN_INTERNAL, "identity needs no encoder");
}

enum tern_code tern_encoder_run(struct tern_encoder *e, enum tern_encoding encoding,
                                const struct iovec *pieces, size_t n_pieces, struct tern_buf *out,
                                struct tern_err *err)
{
    size_t before = out->n;
    enum tern_code code = run(e, encoding, pieces, n_pieces, out, err);
    if (code != TERN_OK)
        out->n = before;
    return code;
}
