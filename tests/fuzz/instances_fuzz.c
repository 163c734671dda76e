/* A body of instances, for a model with inputs of several kinds and for one with a single input.
 * What is accepted fits the model's specification, and can be written as an answer. */
#include <stdint.h>
#include <stdlib.h>
#include "harness/fake_exchange.h"
#include "base/compiler.h"
#include "harness/fuzz_require.h"
#include "proto/instances.h"
#include "proto/oip_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct tern_tensor_spec many[] = {
    {.name = {"text", 4}, .dtype = TERN_DTYPE_BYTES, .shape = {2, {-1, 1}}},
    {.name = {"words", 5}, .dtype = TERN_DTYPE_BYTES, .shape = {2, {-1, -1}}},
    {.name = {"points", 6}, .dtype = TERN_DTYPE_FP32, .shape = {3, {-1, -1, 2}}},
    {.name = {"half", 4}, .dtype = TERN_DTYPE_FP16, .shape = {1, {-1}}},
    {.name = {"flag", 4}, .dtype = TERN_DTYPE_BOOL, .shape = {1, {-1}}},
};
static const struct tern_tensor_spec one[] = {
    {.name = {"x", 1}, .dtype = TERN_DTYPE_FP64, .shape = {3, {-1, -1, -1}}},
};
static const struct tern_tensor_spec row[] = {
    {.name = {"x", 1}, .dtype = TERN_DTYPE_FP32, .shape = {2, {-1, 3}}},
};
static const struct tern_str features[] = {{"a", 1}, {"b", 1}, {"c", 1}};
static const struct tern_model_info infos[] = {
    {.name = {"m", 1},
     .version = 1,
     .inputs = row,
     .n_inputs = 1,
     .feature_names = features,
     .n_feature_names = 3},
    {.name = {"m", 1}, .version = 1, .inputs = many, .n_inputs = TERN_COUNT_OF(many)},
    {.name = {"m", 1}, .version = 1, .inputs = one, .n_inputs = 1},
    {.name = {"m", 1}, .version = 1, .inputs = many, .n_inputs = 1},
};

static void check_input(const struct tern_model_info *info, const struct tern_tensor *tensor)
{
    const struct tern_tensor_spec *spec = tern_model_input(info, tensor->name);

    require(spec != NULL && tensor->dtype == spec->dtype);
    require(tern_shape_fits(&spec->shape, &tensor->shape));
    require_size(tensor);
    require_bytes(tensor);
}

static void look_at(const struct tern_model_info *info, const uint8_t *data, size_t size)
{
    struct fake_exchange fake;
    struct tern_err err;

    fake_init(&fake);
    fake_body(&fake, data, size);
    fake.call.info = info;
    fake.call.message = fake.x.body;
    fake.call.op = TERN_OP_EXPLAIN;
    struct tern_infer_request *request = &fake.call.request;
    if (tern_instances_decode(&fake.call, &err) == TERN_OK) {
        require(request->n_inputs <= info->n_inputs);
        for (uint32_t i = 0; i < request->n_inputs; i++)
            check_input(info, &request->inputs[i]);
        for (uint32_t i = 0; i < fake.call.explain.n_rows; i++)
            check_input(info, &fake.call.explain.rows[i]);
        require(tern_instances_write(tern_exchange_body(&fake.x), request->inputs,
                                     request->n_inputs, &err) == TERN_OK);
    }
    fake_fini(&fake);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < TERN_COUNT_OF(infos); i++)
        look_at(&infos[i], data, size);
    return 0;
}
