/* Unframe, decode, encode and frame of ModelInfer, as the gateway does them for one connection: the
 * arena is reset and the call cleared each time. Each figure is the median of many turns. */
#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "harness/fake_exchange.h"
#include "proto/oip_grpc_int.h"
#include "wire/grpc.h"

#define TURNS 301

struct bench {
    struct fake_exchange fake;
    struct tern_model_info info;
    struct tern_tensor outputs[2];
    int64_t label[64];
    float *probabilities;
};

static void die(const char *what)
{
    fprintf(stderr, "oip_grpc_bench: %s\n", what);
    exit(1);
}

static void decode(struct bench *b)
{
    struct tern_err err;
    struct fake_exchange *fake = &b->fake;
    size_t used = 0, need = 0;

    tern_arena_reset(&fake->arena);
    memset(&fake->call, 0, sizeof(fake->call));
    fake->call.x = &fake->x;
    fake->call.arena = &fake->arena;
    if (tern_grpc_framing.next(&fake->x, &fake->arena, &fake->call.message, &used, &need, &err) !=
            TERN_OK ||
        tern_oip_grpc_decode_infer(&fake->call, &err) != TERN_OK)
        die(err.text);
}

static void encode(struct bench *b)
{
    struct tern_err err;
    struct tern_call *call = &b->fake.call;

    call->info = &b->info;
    call->response.outputs = b->outputs;
    call->response.n_outputs = 2;
    b->fake.x.n_response_trailers = 0;
    tern_grpc_framing.begin(call);
    if (tern_oip_grpc_encode_infer(call, &err) != TERN_OK ||
        tern_grpc_framing.finish(call, &err) != TERN_OK)
        die(err.text);
    tern_grpc_framing.end(&b->fake.x, NULL, true);
}

static void decode_and_encode(struct bench *b)
{
    decode(b);
    encode(b);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_ns(struct bench *b, void (*run)(struct bench *b), unsigned repeats)
{
    double ns[TURNS];

    for (unsigned turn = 0; turn < TURNS; turn++) {
        uint64_t start = tern_clock_mono_ns();
        for (unsigned i = 0; i < repeats; i++)
            run(b);
        ns[turn] = (double)(tern_clock_mono_ns() - start) / repeats;
    }
    qsort(ns, TURNS, sizeof(ns[0]), by_value);
    return ns[TURNS / 2];
}

/* Headers as grpcio sends them: looking for ours among them is part of the cost. */
static void add_headers(struct fake_exchange *fake)
{
    fake_header(fake, "content-type", "application/grpc");
    fake_header(fake, "user-agent", "grpc-python/1.85.1 grpc-c/50.0.0 (linux; chttp2)");
    fake_header(fake, "grpc-accept-encoding", "identity, deflate, gzip");
    fake_header(fake, "te", "trailers");
    fake->x.content_type = TERN_STR("application/grpc");
    fake->x.http_major = 2;
    fake->x.body_max = 64u << 20;
}

static void set_outputs(struct bench *b, int64_t rows, int64_t columns)
{
    b->outputs[0] = (struct tern_tensor){.name = TERN_STR("label"),
                                         .dtype = TERN_DTYPE_INT64,
                                         .shape = {1, {rows}},
                                         .data = b->label,
                                         .n_bytes = (size_t)rows * sizeof(b->label[0])};
    b->outputs[1] =
        (struct tern_tensor){.name = TERN_STR("probabilities"),
                             .dtype = TERN_DTYPE_FP32,
                             .shape = {2, {rows, columns}},
                             .data = b->probabilities,
                             .n_bytes = (size_t)(rows * columns) * sizeof(b->probabilities[0])};
}

/* A request of rows x columns of FP32, raw or typed, framed. */
static void make_request(struct tern_buf *buf, int64_t rows, int64_t columns, bool raw)
{
    char prefix[TERN_GRPC_PREFIX_SIZE] = {0};
    size_t n = (size_t)(rows * columns) * sizeof(float);

    tern_buf_clear(buf);
    tern_buf_add(buf, prefix, sizeof(prefix));
    tern_pb_add_bytes(buf, 1, TERN_STR("iris"));
    tern_pb_add_bytes(buf, 3, TERN_STR("4be4e82f-5500-420a-a5c5-ac86841e271b"));
    size_t input = tern_pb_open(buf, 5);
    tern_pb_add_bytes(buf, 1, TERN_STR("features"));
    tern_pb_add_bytes(buf, 2, TERN_STR("FP32"));
    tern_oip_grpc_add_shape(buf, 3, &(struct tern_shape){2, {rows, columns}});
    if (!raw) {
        size_t contents = tern_pb_open(buf, 5);
        tern_pb_add_head(buf, 6, n);
        for (size_t i = 0; i < n; i++)
            tern_buf_add_char(buf, (char)i);
        tern_pb_close(buf, contents);
    }
    tern_pb_close(buf, input);
    tern_pb_add_bytes(buf, 6, TERN_STR("\x0a\x05label"));
    tern_pb_add_bytes(buf, 6, TERN_STR("\x0a\x0dprobabilities"));
    if (raw) {
        tern_pb_add_head(buf, 7, n);
        for (size_t i = 0; i < n; i++)
            tern_buf_add_char(buf, (char)i);
    }
    if (buf->failed)
        die("the request is too large");
    tern_grpc_write_prefix((struct tern_grpc_prefix){0, (uint32_t)(buf->n - sizeof(prefix))},
                           buf->p);
}

static void report(struct bench *b, const char *name, int64_t rows, int64_t columns, bool raw)
{
    struct tern_buf request;
    size_t n_out;

    tern_buf_init(&request, 64u << 20);
    make_request(&request, rows, columns, raw);
    fake_body(&b->fake, request.p, request.n);
    set_outputs(b, rows, columns);
    decode_and_encode(b); /* warm */
    n_out = fake_response(&b->fake).n;
    double decoding = median_ns(b, decode, 1000);
    double encoding = median_ns(b, encode, 1000);
    double both = median_ns(b, decode_and_encode, 1000);
    printf("%-24s %8zu B in %8zu B out   decode %6.0f ns   encode %6.0f ns   both %6.0f ns\n", name,
           request.n, n_out, decoding, encoding, both);
    tern_buf_fini(&request);
}

int main(void)
{
    static struct bench b;

    fake_init(&b.fake);
    add_headers(&b.fake);
    b.info = (struct tern_model_info){.name = TERN_STR("iris"), .version = 1};
    b.probabilities = calloc(1u << 18, sizeof(b.probabilities[0]));
    if (b.probabilities == NULL)
        die("no memory");
    report(&b, "1 x 4 FP32, raw", 1, 4, true);
    report(&b, "1 x 4 FP32, typed", 1, 4, false);
    report(&b, "50 x 4 FP32, raw", 50, 4, true);
    report(&b, "50 x 4 FP32, typed", 50, 4, false);
    report(&b, "1 MiB FP32, raw", 1, 1 << 18, true);
    report(&b, "1 MiB FP32, typed", 1, 1 << 18, false);
    free(b.probabilities);
    fake_fini(&b.fake);
    return 0;
}
