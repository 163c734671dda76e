/* A body of generate, for a model with one input of every kind. What is accepted fits the model's
 * specification, and can be written as an answer. */
#include <stdint.h>
#include <stdlib.h>
#include "harness/fake_exchange.h"
#include "harness/fuzz_require.h"
#include "proto/oip_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct tern_tensor_spec inputs[] = {
    {.name = {"text", 4}, .dtype = TERN_DTYPE_BYTES, .shape = {2, {-1, 1}}},
    {.name = {"words", 5}, .dtype = TERN_DTYPE_BYTES, .shape = {1, {-1}}},
    {.name = {"points", 6}, .dtype = TERN_DTYPE_FP32, .shape = {3, {-1, -1, 2}}},
    {.name = {"half", 4}, .dtype = TERN_DTYPE_FP16, .shape = {1, {-1}}},
    {.name = {"count", 5}, .dtype = TERN_DTYPE_INT32, .shape = {1, {1}}},
    {.name = {"big", 3}, .dtype = TERN_DTYPE_UINT64, .shape = {2, {-1, 3}}},
    {.name = {"flag", 4}, .dtype = TERN_DTYPE_BOOL, .shape = {0, {0}}},
    {.name = {"none", 4}, .dtype = TERN_DTYPE_INT8, .shape = {2, {0, -1}}},
};
static const struct tern_model_info info = {
    .name = {"m", 1}, .version = 1, .inputs = inputs, .n_inputs = TERN_COUNT_OF(inputs)};

static void check_input(const struct tern_tensor *tensor)
{
    const struct tern_tensor_spec *spec = tern_model_input(&info, tensor->name);

    require(spec != NULL && tensor->dtype == spec->dtype);
    require(tern_shape_fits(&spec->shape, &tensor->shape));
    require_size(tensor);
    require_bytes(tensor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fake_exchange fake;
    struct tern_err err;

    fake_init(&fake);
    fake_body(&fake, data, size);
    fake.call.info = &info;
    fake.call.message = fake.x.body;
    struct tern_infer_request *request = &fake.call.request;
    if (tern_oip_decode_generate(&fake.call, &err) == TERN_OK) {
        require(request->n_inputs <= info.n_inputs);
        for (uint32_t i = 0; i < request->n_inputs; i++)
            check_input(&request->inputs[i]);
        fake.call.response.outputs = request->inputs;
        fake.call.response.n_outputs = request->n_inputs;
        fake.call.response.params = request->params;
        require(tern_oip_encode_generate(&fake.call, &err) == TERN_OK);
        require(fake_response(&fake).n > 0);
    } else {
        require(err.code != TERN_OK && err.text[0] != '\0');
    }
    fake_fini(&fake);
    return 0;
}
