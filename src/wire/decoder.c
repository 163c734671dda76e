/* zlib and zstd do the decoding; what is written here is the bookkeeping that they leave to the
 * caller: where a member ends and the next begins, which form "deflate" means, and the caps. */
#include "wire/decoder.h"

#define ZSTD_STATIC_LINKING_ONLY /* for the allocator of ZSTD_createDCtx_advanced */
#include <zstd.h>
#define ZLIB_CONST
#include <zlib.h>
#include "base/mem.h"
#include "wire/codec_mem.h"

#define ROUND_MIN         4096   /* room offered to the library at a time, at least */
#define ROUND_MAX         262144 /* and at most, so that the ratio is checked often */
#define ZSTD_WINDOW_LOG   23
#define ZSTD_KEEP_MAX     (3u << 20) /* the window of zstd's default level fits */
#define WINDOW_GZIP       (15 + 16)
#define WINDOW_ZLIB       15
#define WINDOW_RAW        (-15)
#define ZLIB_HEADER_BYTES 2

struct room {
    unsigned char *p;
    size_t n;
    unsigned char spill[1]; /* offered at the cap: a byte written here is one too many */
};

void tern_decoder_init(struct tern_decoder *d)
{
    *d = (struct tern_decoder){.encoding = TERN_ENCODING_IDENTITY};
}

void tern_decoder_fini(struct tern_decoder *d)
{
    if (d->inflate != NULL) {
        inflateEnd(d->inflate);
        tern_mem_free(d->inflate);
    }
    ZSTD_freeDCtx(d->zstd);
    tern_decoder_init(d);
}

static enum tern_code start_inflate(struct tern_decoder *d, int window, struct tern_err *err)
{
    if (d->inflate != NULL) {
        if (inflateReset2(d->inflate, window) != Z_OK)
            return tern_fail(err, TERN_INTERNAL, "inflate could not be reset");
        return TERN_OK;
    }
    z_stream *z = tern_mem_zalloc(1, sizeof(*z));
    if (z == NULL)
        return tern_mem_fail(err, "a decompressor", sizeof(*z));
    z->zalloc = tern_codec_mem_zalloc;
    z->zfree = tern_codec_mem_free;
    if (inflateInit2(z, window) != Z_OK) {
        tern_mem_free(z);
        return tern_mem_fail(err, "a decompressor", 1u << 15);
    }
    d->inflate = z;
    return TERN_OK;
}

static enum tern_code start_zstd(struct tern_decoder *d, struct tern_err *err)
{
    const ZSTD_customMem mem = {tern_codec_mem_alloc, tern_codec_mem_free, NULL};

    if (d->zstd != NULL && ZSTD_sizeof_DCtx(d->zstd) > ZSTD_KEEP_MAX) {
        ZSTD_freeDCtx(d->zstd);
        d->zstd = NULL;
    }
    if (d->zstd != NULL) {
        ZSTD_DCtx_reset(d->zstd, ZSTD_reset_session_only);
        return TERN_OK;
    }
    d->zstd = ZSTD_createDCtx_advanced(mem);
    if (d->zstd == NULL)
        return tern_mem_fail(err, "a decompressor", ZSTD_estimateDCtxSize());
    ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
    return TERN_OK;
}

enum tern_code tern_decoder_start(struct tern_decoder *d, enum tern_encoding encoding,
                                  struct tern_decoder_limits limits, struct tern_err *err)
{
    d->encoding = encoding;
    d->limits = limits;
    d->n_in = 0;
    d->n_out = 0;
    d->ended = false;
    d->wrapped = false;
    switch (encoding) {
    case TERN_ENCODING_GZIP:
        return start_inflate(d, WINDOW_GZIP, err);
    case TERN_ENCODING_ZSTD:
        return start_zstd(d, err);
    case TERN_ENCODING_DEFLATE: /* set up when its first two bytes tell the form */
    case TERN_ENCODING_IDENTITY:
        break;
    }
    return TERN_OK;
}

static enum tern_code fail_malformed(const struct tern_decoder *d, struct tern_err *err,
                                     const char *why)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT, "the body is not valid %s: %s",
                     tern_encoding_name(d->encoding), why);
}

static enum tern_code fail_too_large(const struct tern_decoder *d, struct tern_err *err)
{
    return tern_fail_http(err, TERN_RESOURCE_EXHAUSTED, 413,
                          "the body is larger than the %zu bytes allowed after decompression",
                          d->limits.bytes);
}

/* Room at the end of out, or the spill byte once max is reached. */
static enum tern_code offer_room(const struct tern_decoder *d, struct tern_buf *out,
                                 struct room *room, struct tern_err *err)
{
    uint64_t left = d->limits.bytes - d->n_out;

    if (left == 0) {
        room->p = room->spill;
        room->n = sizeof(room->spill);
        return TERN_OK;
    }
    size_t least = left < ROUND_MIN ? (size_t)left : ROUND_MIN;
    if (!tern_buf_reserve(out, least))
        return tern_buf_check(out, "the decompressed body", err);
    room->n = out->cap - out->n;
    if (room->n > left)
        room->n = (size_t)left;
    if (room->n > ROUND_MAX)
        room->n = ROUND_MAX;
    room->p = (unsigned char *)out->p + out->n;
    return TERN_OK;
}

/* Books n bytes that the library wrote into the room. */
static enum tern_code take(struct tern_decoder *d, struct tern_buf *out, const struct room *room,
                           size_t n, struct tern_err *err)
{
    if (n == 0)
        return TERN_OK;
    if (room->p == room->spill)
        return fail_too_large(d, err);
    out->n += n;
    d->n_out += n;
    if (d->n_out > TERN_DECODER_RATIO_FLOOR && d->n_out / d->limits.ratio > d->n_in)
        return tern_fail_http(err, TERN_RESOURCE_EXHAUSTED, 413,
                              "the body expands more than %u times when decompressed",
                              d->limits.ratio);
    return TERN_OK;
}

static enum tern_code inflate_round(struct tern_decoder *d, z_stream *z, struct tern_buf *out,
                                    struct tern_err *err)
{
    struct room room = {.n = 0};

    TERN_TRY(offer_room(d, out, &room, err));
    z->next_out = room.p;
    z->avail_out = (unsigned)room.n;
    unsigned before = z->avail_in;
    int rc = inflate(z, Z_NO_FLUSH);
    d->n_in += before - z->avail_in;
    TERN_TRY(take(d, out, &room, room.n - z->avail_out, err));
    if (rc == Z_MEM_ERROR)
        return tern_mem_fail(err, "a decompressor", 1u << 15);
    if (rc == Z_NEED_DICT)
        return fail_malformed(d, err, "it needs a dictionary");
    if (rc == Z_STREAM_END)
        d->ended = true;
    else if (rc != Z_OK && rc != Z_BUF_ERROR)
        return fail_malformed(d, err, z->msg != NULL ? z->msg : "damaged bytes");
    return TERN_OK;
}

static enum tern_code feed_inflate(struct tern_decoder *d, struct tern_str in, struct tern_buf *out,
                                   struct tern_err *err)
{
    z_stream *z = d->inflate;

    while (in.n > 0) {
        if (d->ended) {
            if (d->encoding != TERN_ENCODING_GZIP)
                return fail_malformed(d, err, "bytes follow its end");
            inflateReset(z); /* the next member; garbage fails its header check */
            d->ended = false;
        }
        size_t piece = in.n < ROUND_MAX ? in.n : ROUND_MAX;
        z->next_in = (const unsigned char *)in.p;
        z->avail_in = (unsigned)piece;
        do {
            TERN_TRY(inflate_round(d, z, out, err));
            /* Full output may hide more of it inside the library: ask again. */
        } while (!d->ended && (z->avail_in > 0 || z->avail_out == 0));
        in = tern_str_from(in, piece - z->avail_in);
    }
    return TERN_OK;
}

/* RFC 9110 8.4.1.2: "deflate" is the zlib format, but senders of raw deflate exist. The two differ
 * in the first two bytes: a zlib header is a multiple of 31 and names method 8. */
static enum tern_code feed_deflate(struct tern_decoder *d, struct tern_str in, struct tern_buf *out,
                                   struct tern_err *err)
{
    if (d->wrapped)
        return feed_inflate(d, in, out, err);
    if (in.n == 0)
        return TERN_OK;
    unsigned char head[ZLIB_HEADER_BYTES] = {d->cmf, (unsigned char)in.p[0]};
    size_t held = d->n_in > 0 ? 1 : 0;
    if (held == 0) {
        if (in.n < ZLIB_HEADER_BYTES) {
            d->cmf = (unsigned char)in.p[0];
            d->n_in = 1;
            return TERN_OK;
        }
        head[0] = (unsigned char)in.p[0];
        head[1] = (unsigned char)in.p[1];
    }
    bool is_zlib = (head[0] & 0x0f) == Z_DEFLATED && (head[0] * 256 + head[1]) % 31 == 0;
    TERN_TRY(start_inflate(d, is_zlib ? WINDOW_ZLIB : WINDOW_RAW, err));
    d->wrapped = true;
    d->n_in = 0;
    if (held > 0)
        TERN_TRY(feed_inflate(d, tern_str_make((const char *)head, 1), out, err));
    return feed_inflate(d, in, out, err);
}

static enum tern_code feed_zstd(struct tern_decoder *d, struct tern_str in, struct tern_buf *out,
                                struct tern_err *err)
{
    ZSTD_inBuffer src = {in.p, in.n, 0};
    bool full = false; /* the last round filled its room: the library may hold more */

    while (src.pos < src.size || full) {
        struct room room = {.n = 0};
        TERN_TRY(offer_room(d, out, &room, err));
        ZSTD_outBuffer dst = {room.p, room.n, 0};
        size_t before = src.pos;
        size_t rc = ZSTD_decompressStream(d->zstd, &dst, &src);
        d->n_in += src.pos - before;
        TERN_TRY(take(d, out, &room, dst.pos, err));
        if (ZSTD_isError(rc))
            return fail_malformed(d, err, ZSTD_getErrorName(rc));
        d->ended = rc == 0;
        full = !d->ended && dst.pos == dst.size;
    }
    return TERN_OK;
}

enum tern_code tern_decoder_feed(struct tern_decoder *d, struct tern_str in, struct tern_buf *out,
                                 struct tern_err *err)
{
    switch (d->encoding) {
    case TERN_ENCODING_GZIP:
        return feed_inflate(d, in, out, err);
    case TERN_ENCODING_DEFLATE:
        return feed_deflate(d, in, out, err);
    case TERN_ENCODING_ZSTD:
        return feed_zstd(d, in, out, err);
    case TERN_ENCODING_IDENTITY:
        break;
    }
    if (in.n > d->limits.bytes - d->n_out)
        return fail_too_large(d, err);
    tern_buf_add_str(out, in);
    d->n_in += in.n;
    d->n_out += in.n;
    return tern_buf_check(out, "the body", err);
}

enum tern_code tern_decoder_finish(struct tern_decoder *d, struct tern_err *err)
{
    if (d->encoding == TERN_ENCODING_IDENTITY || d->ended || d->n_in == 0)
        return TERN_OK;
    return fail_malformed(d, err, "it ends before its end mark");
}
