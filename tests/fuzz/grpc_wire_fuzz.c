/* First byte: which reader. The rest: a grpc-timeout, a text for grpc-message, base64 or a prefix.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "wire/base64.h"
#include "wire/grpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_timeout(struct tern_str value)
{
    uint64_t ns;

    if (tern_grpc_parse_timeout(value, &ns, NULL) == TERN_OK && (value.n < 2 || value.n > 9))
        abort();
}

static void encode_message(struct tern_str text)
{
    char *dst = malloc(text.n * 3 + 1);

    if (dst == NULL)
        abort();
    size_t n = tern_grpc_encode_message(text, dst);
    if (n < text.n || n > text.n * 3)
        abort();
    for (size_t i = 0; i < n; i++) {
        if (dst[i] < ' ' || dst[i] > '~')
            abort();
    }
    free(dst);
}

/* What was decoded, encoded again, decodes the same. */
static void read_base64(struct tern_str text)
{
    char *bytes = malloc(TERN_BASE64_ROOM(text.n) + 1), *again, *back;
    size_t n, m;

    if (bytes == NULL)
        abort();
    if (tern_base64_decode_pieces(text, bytes, &n, NULL) == TERN_OK) {
        again = malloc(TERN_BASE64_SIZE(n) + 1);
        back = malloc(n + 3);
        if (again == NULL || back == NULL)
            abort();
        struct tern_str padded =
            tern_str_make(again, tern_base64_encode(tern_str_make(bytes, n), true, again));
        if (tern_base64_decode_pieces(padded, back, &m, NULL) != TERN_OK || m != n ||
            memcmp(bytes, back, n) != 0)
            abort();
        free(again);
        free(back);
    }
    free(bytes);
}

static void read_prefix(struct tern_str bytes)
{
    struct tern_grpc_prefix prefix;
    char back[TERN_GRPC_PREFIX_SIZE];

    if (!tern_grpc_read_prefix(bytes, &prefix))
        return;
    tern_grpc_write_prefix(prefix, back);
    if (memcmp(bytes.p, back, sizeof(back)) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    char *copy = malloc(size); /* exactly the text, so that a sanitizer sees a read past it */
    if (copy == NULL)
        abort();
    memcpy(copy, data + 1, size - 1);
    struct tern_str text = tern_str_make(copy, size - 1);
    switch (data[0] % 4) {
    case 0:
        read_timeout(text);
        break;
    case 1:
        encode_message(text);
        break;
    case 2:
        read_base64(text);
        break;
    default:
        read_prefix(text);
    }
    free(copy);
    return 0;
}
