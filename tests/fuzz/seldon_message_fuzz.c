/* SeldonMessage: any bytes are one input of the model, text or numbers, or a mistake; a tensor that
 * was read has as many bytes as its shape says. */
#include <assert.h>

#include "harness/fake_exchange.h"
#include "proto/seldon.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(enum tern_dtype dtype, const uint8_t *data, size_t size)
{
    const struct tern_tensor_spec spec = {
        .name = TERN_STR("x"), .dtype = dtype, .shape = {.rank = 2, .dim = {-1, -1}}};
    const struct tern_model_info info = {.name = TERN_STR("m"), .inputs = &spec, .n_inputs = 1};
    struct fake_exchange fake;
    size_t bytes;

    fake_init(&fake);
    fake_body(&fake, data, size);
    fake.call.info = &info;
    fake.call.message = fake.x.body;
    if (tern_seldon_decode(&fake.call, NULL) == TERN_OK) {
        const struct tern_tensor *tensor = &fake.call.request.inputs[0];
        assert(fake.call.request.n_inputs == 1 && tensor->dtype == dtype);
        if (dtype != TERN_DTYPE_BYTES) {
            assert(tern_shape_bytes(tensor->name, dtype, &tensor->shape, &bytes, NULL) == TERN_OK);
            assert(bytes == tensor->n_bytes);
        }
    }
    fake_fini(&fake);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode(TERN_DTYPE_FP32, data, size);
    decode(TERN_DTYPE_INT64, data, size);
    decode(TERN_DTYPE_BYTES, data, size);
    return 0;
}
