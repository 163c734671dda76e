/* A ModelInferRequest. What is accepted has to be consistent, and typed contents survive being
 * written as an answer and read again: a typed ModelInferResponse has its outputs where a request
 * has its inputs. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "harness/fake_exchange.h"
#include "harness/fuzz_require.h"
#include "proto/oip_grpc_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_input(const struct tern_tensor *tensor, bool typed)
{
    require(tensor->name.n > 0 && tensor->dtype != TERN_DTYPE_INVALID);
    require(tensor->shape.rank >= 0 && tensor->shape.rank <= TERN_RANK_MAX);
    for (int i = 0; i < tensor->shape.rank; i++)
        require(tensor->shape.dim[i] >= 0);
    if (tensor->region != NULL) {
        require(tensor->region->name.n > 0 && tensor->region->byte_size > 0);
        return;
    }
    if (typed) /* the infer operation checks what came raw */
        require_size(tensor);
    require_bytes(tensor);
}

static void round_trip(const struct tern_call *call)
{
    static const struct tern_model_info info = {.name = {"m", 1}, .version = 1};
    struct tern_listener_info listener = {.grpc_form = TERN_GRPC_FORM_KSERVE};
    const struct tern_infer_request *request = &call->request;
    struct fake_exchange answer, again;

    for (uint32_t i = 0; i < request->n_inputs; i++) {
        if (request->inputs[i].region != NULL)
            return;
    }
    fake_init(&answer);
    answer.x.listener = &listener;
    answer.call.info = &info;
    answer.call.request.id = request->id;
    answer.call.response = (struct tern_infer_response){
        .outputs = request->inputs, .n_outputs = request->n_inputs, .params = request->params};
    tern_exchange_body(&answer.x);
    require(tern_oip_grpc_encode_infer(&answer.call, NULL) == TERN_OK);
    struct tern_str message = fake_response(&answer);
    fake_init(&again);
    fake_body(&again, message.p, message.n);
    again.call.message = again.x.body;
    require(tern_oip_grpc_decode_infer(&again.call, NULL) == TERN_OK);
    const struct tern_infer_request *second = &again.call.request;
    require(second->n_inputs == request->n_inputs && second->params.n == request->params.n);
    require(tern_str_eq(second->id, request->id));
    for (uint32_t i = 0; i < request->n_inputs; i++) {
        const struct tern_tensor *a = &request->inputs[i], *b = &second->inputs[i];
        require(tern_str_eq(a->name, b->name) && tern_shape_eq(&a->shape, &b->shape));
        require(a->n_bytes == b->n_bytes &&
                (a->n_bytes == 0 || memcmp(a->data, b->data, a->n_bytes) == 0));
    }
    fake_fini(&again);
    fake_fini(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fake_exchange fake;
    struct tern_err err;

    fake_init(&fake);
    fake_body(&fake, data, size);
    fake.call.message = fake.x.body;
    enum tern_code code = tern_oip_grpc_decode_infer(&fake.call, &err);
    if (code == TERN_OK) {
        const struct tern_infer_request *request = &fake.call.request;
        for (uint32_t i = 0; i < request->n_inputs; i++)
            check_input(&request->inputs[i], !request->binary_default);
        for (uint32_t i = 0; i < request->n_outputs; i++)
            require(request->outputs[i].name.n > 0);
        if (!request->binary_default)
            round_trip(&fake.call);
    } else {
        require(code == TERN_INVALID_ARGUMENT || code == TERN_RESOURCE_EXHAUSTED);
    }
    fake_fini(&fake);
    return 0;
}
