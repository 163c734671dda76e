/* CSV: any bytes are records of one width or a mistake, and reading ends. */
#include <assert.h>
#include <stdint.h>

#include "wire/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tern_str text = {(const char *)data, size};
    struct tern_arena arena;
    struct tern_csv csv;
    uint32_t width = 0;
    size_t records = 0;
    bool more = true;
    double number;

    tern_arena_init(&arena, 1024, 1u << 26);
    tern_csv_init(&csv, text, tern_csv_guess_separator(text), &arena);
    while (tern_csv_next(&csv, &more, NULL) == TERN_OK && more) {
        assert(++records <= size);
        assert(width == 0 || width == csv.n_fields);
        width = csv.n_fields;
        for (uint32_t i = 0; i < width; i++) {
            assert(csv.fields[i].text.n <= size);
            (void)tern_csv_number(csv.fields[i].text, true, &number);
        }
        (void)tern_csv_is_header(&csv);
    }
    tern_arena_fini(&arena);
    return 0;
}
