/* Any bytes as a .skops file; again with the checksums that its members should have, so that what
 * is in them is looked at. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "engine/native/sklearn/skops.h"
#include "harness/program_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t number(const uint8_t *p, int bytes)
{
    uint32_t v = 0;

    for (int i = bytes; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

/* Of an entry of the directory: the checksum of its stored bytes. */
static void mend_entry(uint8_t *file, size_t size, uint8_t *entry)
{
    size_t local = number(entry + 42, 4), n = number(entry + 20, 4);

    if (number(entry + 10, 2) != 0 || local > size || size - local < 30)
        return;
    size_t at = local + 30 + number(file + local + 26, 2) + number(file + local + 28, 2);
    if (at > size || n > size - at)
        return;
    uint32_t crc = (uint32_t)crc32_z(0, file + at, n);
    for (int i = 0; i < 4; i++)
        entry[16 + i] = (uint8_t)(crc >> (8 * i));
}

static void load_and_run(const uint8_t *data, size_t size)
{
    struct native_rig rig;

    if (native_load(&rig, &tern_skops_format, tern_str_make((const char *)data, size)) == TERN_OK)
        program_fuzz_run(&rig);
    else if (rig.err.text[0] == '\0')
        abort();
    native_free(&rig);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    load_and_run(data, size);
    uint8_t *copy = malloc(size + 1);
    if (copy == NULL)
        abort();
    if (size > 0)
        memcpy(copy, data, size);
    for (size_t i = 0; i + 46 <= size; i++)
        if (memcmp(copy + i, "PK\1\2", 4) == 0)
            mend_entry(copy, size, copy + i);
    load_and_run(copy, size);
    free(copy);
    return 0;
}
