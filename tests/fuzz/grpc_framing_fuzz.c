/* First byte: low three bits the content type, the next two the grpc-encoding, then whether the
 * answer is compressed. The rest: a body, cut into messages until it is refused or short of bytes;
 * each is answered with itself, and the answers are cut into the same messages again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "harness/fake_exchange.h"
#include "harness/fuzz_require.h"
#include "proto/grpc.h"
#include "wire/base64.h"
#include "wire/grpc.h"

#define BODY_MAX     (1u << 16)
#define MESSAGES_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const types[] = {
    "application/grpc",          "application/grpc+proto",
    "application/grpc-web",      "application/grpc-web+proto",
    "application/grpc-web-text", "application/grpc-web-text+proto",
    "application/grpc+json",     "text/plain",
};
static const char *const encodings[] = {NULL, "gzip", "deflate", "zstd"};

/* The first message of a body that came from us. */
static struct tern_str read_back(struct fake_exchange *fake, struct tern_str body,
                                 const char *encoding)
{
    struct tern_str message = {NULL, 0};
    size_t used = 0, need = 0;

    fake_init(fake);
    fake->x.content_type = TERN_STR("application/grpc");
    fake->x.http_major = 2;
    fake->x.body_max = 2 * BODY_MAX;
    if (encoding != NULL)
        fake_header(fake, "grpc-encoding", encoding);
    fake_body(fake, body.p, body.n);
    require(tern_grpc_framing.next(&fake->x, &fake->arena, &message, &used, &need, NULL) ==
            TERN_OK);
    require(used > 0);
    return message;
}

static void answer(struct fake_exchange *fake, struct tern_str message, bool is_text,
                   const char *encoding)
{
    struct tern_slice slices[2];
    struct fake_exchange again;

    tern_grpc_framing.begin(&fake->call);
    tern_buf_add(fake->x.out, message.p, message.n / 2);
    struct tern_str rest = tern_str_from(message, message.n / 2);
    slices[0] = (struct tern_slice){rest.p, rest.n};
    fake->x.slices = slices;
    fake->x.n_slices = message.n > 0;
    require(tern_grpc_framing.finish(&fake->call, NULL) == TERN_OK);
    tern_grpc_framing.end(&fake->x, NULL, true);
    struct tern_str body = fake_response(fake);
    if (is_text) {
        char *bytes = tern_arena_alloc(&fake->arena, 1, body.n);
        size_t n = 0;
        require(bytes != NULL && tern_base64_decode_pieces(body, bytes, &n, NULL) == TERN_OK);
        body = tern_str_make(bytes, n);
    }
    struct tern_str back = read_back(&again, body, encoding);
    require(tern_str_eq(back, message));
    fake_fini(&again);
    fake->x.slices = NULL;
    fake->x.n_slices = 0;
    fake->x.n_response_trailers = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tern_listener_info listener = {.grpc_compression = TERN_GRPC_COMPRESSION_LOW};
    struct fake_exchange fake;
    struct tern_err err;

    if (size < 1)
        return 0;
    const char *type = types[data[0] & 7], *encoding = encodings[data[0] >> 3 & 3];
    bool packs = (data[0] & 32) != 0;
    fake_init(&fake);
    fake.x.content_type = tern_str_of(type);
    fake.x.http_major = 2;
    fake.x.body_max = BODY_MAX;
    if (packs)
        fake.x.listener = &listener;
    if (encoding != NULL)
        fake_header(&fake, "grpc-encoding", encoding);
    fake_header(&fake, "grpc-accept-encoding", "identity,gzip");
    fake_body(&fake, data + 1, size - 1);
    for (int i = 0; i < MESSAGES_MAX; i++) {
        struct tern_str message = {NULL, 0};
        size_t used = 0, need = 0;
        if (tern_grpc_framing.next(&fake.x, &fake.arena, &message, &used, &need, &err) != TERN_OK) {
            tern_grpc_framing.end(&fake.x, &err, false);
            require(fake.x.status == 200 || (fake.x.status >= 400 && fake.x.status <= 505));
            break;
        }
        require(used <= fake.x.body.n && message.n <= BODY_MAX);
        if (used == 0) {
            require(need > 0 && need <= BODY_MAX + TERN_GRPC_PREFIX_SIZE);
            break;
        }
        answer(&fake, message, strstr(type, "text") != NULL, packs ? "gzip" : NULL);
        tern_exchange_take(&fake.x, used);
    }
    fake_fini(&fake);
    return 0;
}
