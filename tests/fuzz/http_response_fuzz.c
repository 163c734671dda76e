/* The client's reader of responses: the same answer whether the bytes come at once or one by one.
 */
#include <stdint.h>
#include <stdlib.h>
#include "cli/http_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum tern_code feed(struct tern_http_reader *reader, const uint8_t *data, size_t size,
                           size_t step, size_t *ret_used)
{
    bool done = false;

    *ret_used = 0;
    while (*ret_used < size && !done) {
        size_t room = 0;
        size_t k = size - *ret_used < step ? size - *ret_used : step;
        char *p = tern_http_reader_room(reader, k, &room);
        if (p == NULL)
            return TERN_RESOURCE_EXHAUSTED;
        memcpy(p, data + *ret_used, k);
        *ret_used += k;
        enum tern_code code = tern_http_reader_take(reader, k, &done, NULL);
        if (code != TERN_OK)
            return code;
    }
    return done ? TERN_OK : tern_http_reader_take(reader, 0, &done, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tern_http_reader slow;
    struct tern_http_reader fast;
    size_t used = 0;
    size_t all = 0;

    tern_http_reader_init(&slow, 1 << 20);
    tern_http_reader_init(&fast, 1 << 20);
    enum tern_code one = feed(&slow, data, size, 1, &used);
    /* Byte by byte, reading stops where the answer ends; at once, what follows is an error. */
    enum tern_code other = feed(&fast, data, used, size > 0 ? size : 1, &all);
    if ((one == TERN_OK) != (other == TERN_OK))
        abort();
    if (one == TERN_OK &&
        (slow.status != fast.status || slow.keep_alive != fast.keep_alive ||
         !tern_str_eq(tern_http_reader_body(&slow), tern_http_reader_body(&fast))))
        abort();
    tern_http_reader_fini(&slow);
    tern_http_reader_fini(&fast);
    return 0;
}
