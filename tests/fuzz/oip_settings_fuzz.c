/* Bodies of the trace and logging extensions. What is read has to be within its bounds, and what is
 * written of it is read again as the same. */
#include <stdint.h>
#include <stdlib.h>
#include "harness/fake_exchange.h"
#include "harness/fuzz_require.h"
#include "proto/oip_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef enum tern_code decode_fn(struct tern_call *call, struct tern_err *err);

static bool decode(struct fake_exchange *fake, decode_fn *read, const void *body, size_t n)
{
    fake_init(fake);
    fake_body(fake, body, n);
    fake->call.message = fake->x.body;
    return read(&fake->call, NULL) == TERN_OK;
}

static void require_same(const struct tern_setting *a, const struct tern_setting *b)
{
    require(tern_str_eq(a->key, b->key) && a->kind == b->kind && a->n == b->n);
    require(a->kind != TERN_SETTING_BOOL || a->boolean == b->boolean);
    require(a->kind != TERN_SETTING_NUMBER || a->number == b->number);
    for (uint32_t i = 0; i < a->n; i++)
        require(a->kind != TERN_SETTING_TEXT || tern_str_eq(a->values[i], b->values[i]));
}

static void try_one(decode_fn *read, const uint8_t *data, size_t size)
{
    struct fake_exchange first, second;

    if (decode(&first, read, data, size)) {
        struct tern_settings *settings = &first.call.settings;
        uint32_t n = 0;
        require(settings->n <= TERN_SETTINGS_MAX);
        for (uint32_t i = 0; i < settings->n; i++) {
            require(settings->rows[i].n <= TERN_SETTING_VALUES_MAX);
            settings->rows[i].list = settings->rows[i].n != 1;
            if (!settings->rows[i].clear)
                settings->rows[n++] = settings->rows[i]; /* null is never written */
        }
        settings->n = n;
        require(tern_oip_encode_settings(&first.call, NULL) == TERN_OK);
        struct tern_str text = fake_response(&first);
        require(decode(&second, read, text.p, text.n));
        require(second.call.settings.n == n);
        for (uint32_t i = 0; i < n; i++)
            require_same(&settings->rows[i], &second.call.settings.rows[i]);
        fake_fini(&second);
    }
    fake_fini(&first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_one(tern_oip_decode_log_settings, data, size);
    try_one(tern_oip_decode_trace_settings, data, size);
    return 0;
}
