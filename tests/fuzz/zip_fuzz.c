/* ZIP: any bytes are an archive or a mistake; what a member says of itself holds. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "wire/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct tern_zip_limits limits = {.members = 1000, .ratio = 100, .bytes = 4 << 20};
    char *copy = malloc(size + 1); /* so that the end is the end of the memory */
    struct tern_arena arena;
    struct tern_zip zip;
    struct tern_str bytes;

    if (copy == NULL)
        abort();
    if (size > 0)
        memcpy(copy, data, size);
    tern_arena_init(&arena, 4096, 64u << 20);
    if (tern_zip_open(tern_str_make(copy, size), &limits, &arena, &zip, NULL) == TERN_OK) {
        for (uint32_t i = 0; i < zip.n_members; i++) {
            const struct tern_zip_member *member = &zip.members[i];
            assert(tern_zip_find(&zip, member->name) == member);
            if (tern_zip_read(member, &arena, &bytes, NULL) == TERN_OK)
                assert(bytes.n == member->size);
        }
    }
    tern_arena_fini(&arena);
    free(copy);
    return 0;
}
