/* Route, decode and encode of inference requests, as the gateway does them for one connection: the
 * arena is reset and the call cleared each time. Each figure is the median of many turns. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "front/router.h"
#include "harness/fake_exchange.h"
#include "proto/oip_int.h"
#include "proto/protos.h"
#include "simd/simd.h"

#define TURNS 301

struct bench {
    struct fake_exchange fake;
    struct tern_router *router;
    struct tern_router_memo memo;
    struct tern_model_info info;
    struct tern_tensor outputs[2];
    int64_t label[64];
    float probabilities[64 * 3];
};

static void die(const char *what)
{
    fprintf(stderr, "oip_bench: %s\n", what);
    exit(1);
}

static void route(struct bench *b)
{
    struct tern_match match;
    struct tern_err err;

    if (tern_router_match(b->router, TERN_METHOD_POST, TERN_STR("/v2/models/iris/infer"), &match,
                          &err) != TERN_OK ||
        match.route->op != TERN_OP_INFER)
        die(err.text);
}

/* What a loop does: the path was seen before. */
static void recall(struct bench *b)
{
    TERN_UNINITIALIZED struct tern_match match;
    TERN_UNINITIALIZED struct tern_err err;

    if (tern_router_recall(b->router, &b->memo, TERN_METHOD_POST, TERN_STR("/v2/models/iris/infer"),
                           &match, &err) != TERN_OK ||
        match.route->op != TERN_OP_INFER)
        die(err.text);
}

static void decode(struct bench *b)
{
    struct tern_err err;
    struct fake_exchange *fake = &b->fake;

    tern_arena_reset(&fake->arena);
    memset(&fake->call, 0, sizeof(fake->call));
    fake->call.x = &fake->x;
    fake->call.arena = &fake->arena;
    fake->call.model = TERN_STR("iris");
    if (tern_oip_decode_infer(&fake->call, &err) != TERN_OK)
        die(err.text);
}

static void encode(struct bench *b)
{
    struct tern_err err;
    struct tern_call *call = &b->fake.call;

    call->info = &b->info;
    call->response.outputs = b->outputs;
    call->response.n_outputs = 2;
    b->fake.x.n_response_headers = 0;
    if (tern_oip_encode_infer(call, &err) != TERN_OK)
        die(err.text);
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

/* Headers as a client sends them: looking for ours among them is part of the cost. */
static void add_headers(struct fake_exchange *fake)
{
    fake_header(fake, "Host", "127.0.0.1:8080");
    fake_header(fake, "User-Agent", "python-requests/2.32.3");
    fake_header(fake, "Accept-Encoding", "gzip, deflate");
    fake_header(fake, "Accept", "*/*");
    fake_header(fake, "Connection", "keep-alive");
    fake_header(fake, "Content-Length", "95");
    fake_header(fake, "Content-Type", "application/json");
    fake->x.content_type = TERN_STR("application/json");
}

static void set_rows(struct bench *b, int64_t rows)
{
    for (int64_t i = 0; i < rows; i++) {
        b->label[i] = i % 3;
        b->probabilities[i * 3] = 0.9765625f / (float)(i + 1);
        b->probabilities[i * 3 + 1] = 0.0191234f;
        b->probabilities[i * 3 + 2] = 3.4567e-5f;
    }
    b->outputs[0] = (struct tern_tensor){.name = TERN_STR("label"),
                                         .dtype = TERN_DTYPE_INT64,
                                         .shape = {1, {rows}},
                                         .data = b->label,
                                         .n_bytes = (size_t)rows * sizeof(b->label[0])};
    b->outputs[1] = (struct tern_tensor){.name = TERN_STR("probabilities"),
                                         .dtype = TERN_DTYPE_FP32,
                                         .shape = {2, {rows, 3}},
                                         .data = b->probabilities,
                                         .n_bytes = (size_t)rows * 3 * sizeof(b->probabilities[0])};
}

static void report(struct bench *b, const char *name, const char *body, int64_t rows)
{
    unsigned repeats = rows == 1 ? 1000 : 100; /* short turns: most are not interrupted */

    fake_body(&b->fake, body, strlen(body));
    set_rows(b, rows);
    decode_and_encode(b); /* warm */
    double decoding = median_ns(b, decode, repeats);
    double encoding = median_ns(b, encode, repeats);
    double both = median_ns(b, decode_and_encode, repeats);
    printf("%-32s %5zu B in %5zu B out   decode %7.0f ns   encode %7.0f ns   both %7.0f ns\n", name,
           b->fake.x.body.n, tern_exchange_body_str(&b->fake.x).n, decoding, encoding, both);
}

static void make_rows(char *text, size_t cap, int rows)
{
    size_t n = (size_t)snprintf(text, cap,
                                "{\"inputs\": [{\"name\": \"features\", \"shape\": [%d, 4], "
                                "\"datatype\": \"FP32\", \"data\": [",
                                rows);
    for (int i = 0; i < rows; i++)
        n += (size_t)snprintf(text + n, cap - n, "%s[%.1f, %.1f, %.1f, %.1f]", i == 0 ? "" : ", ",
                              5.1 + i * 0.1, 3.5, 1.4 + i * 0.1, 0.2);
    snprintf(text + n, cap - n, "]}]}");
}

int main(void)
{
    static struct bench b;
    static char text[16384];
    struct tern_err err;

    tern_simd_init();
    fake_init(&b.fake);
    add_headers(&b.fake);
    b.info = (struct tern_model_info){.name = TERN_STR("iris"), .version = 1};
    if (tern_router_new(tern_protos, TERN_PROTOS_N, &b.router, &err) != TERN_OK)
        die(err.text);
    printf("simd level: %s\n", tern_simd_name());
    printf("%-32s %63s %7.0f ns\n", "route", "", median_ns(&b, route, 1000));
    printf("%-32s %63s %7.0f ns\n", "route, as before", "", median_ns(&b, recall, 1000));
    report(&b, "1 x 4 FP32, compact",
           "{\"inputs\":[{\"name\":\"features\",\"shape\":[1,4],\"datatype\":\"FP32\","
           "\"data\":[5.1,3.5,1.4,0.2]}]}",
           1);
    report(&b, "1 x 4 FP32, data first",
           "{\"inputs\":[{\"data\":[5.1,3.5,1.4,0.2],\"name\":\"features\",\"shape\":[1,4],"
           "\"datatype\":\"FP32\"}]}",
           1);
    report(&b, "1 x 4 FP32, id and outputs",
           "{\"id\": \"4be4e82f-5500-420a-a5c5-ac86841e271b\", \"inputs\": [{\"name\": "
           "\"features\", \"shape\": [1, 4], \"datatype\": \"FP32\", \"parameters\": {}, \"data\": "
           "[[5.1, 3.5, 1.4, 0.2]]}], \"outputs\": [{\"name\": \"label\"}, {\"name\": "
           "\"probabilities\"}], \"parameters\": {}}",
           1);
    make_rows(text, sizeof(text), 50);
    report(&b, "50 x 4 FP32, nested", text, 50);
    tern_router_free(b.router);
    fake_fini(&b.fake);
    return 0;
}
