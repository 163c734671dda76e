/* First two bytes: bit 15 set, the rest is the value of the header that divides JSON from binary;
 * clear, no header. Then the body. What is accepted has to be consistent, and survives being
 * written as an answer and read again. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "harness/fake_exchange.h"
#include "harness/fuzz_require.h"
#include "proto/oip_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_input(const struct tern_tensor *tensor)
{
    if (tensor->region != NULL) { /* its bytes are the gateway's to find */
        require(tensor->n_bytes == 0 && tensor->region->name.n > 0 &&
                tensor->region->byte_size > 0);
        return;
    }
    require(tensor->name.n > 0);
    require_size(tensor);
    require_bytes(tensor);
}

/* The request's inputs as a JSON answer, whose outputs are then read as inputs. */
static void round_trip(const struct tern_infer_request *request)
{
    struct fake_exchange answer, again;

    fake_init(&answer);
    answer.call.model = TERN_STR("m");
    answer.call.response.outputs = request->inputs;
    answer.call.response.n_outputs = request->n_inputs;
    require(tern_oip_encode_infer(&answer.call, NULL) == TERN_OK);
    struct tern_str body = fake_response(&answer);
    static const char before[] = "{\"model_name\":\"m\",\"model_version\":\"0\",";
    char *text = tern_arena_alloc(&answer.arena, 1, body.n);
    require(text != NULL && body.n > sizeof(before) + 9);
    memcpy(text, body.p, body.n);
    memcpy(text + sizeof(before) - 1, "\"inputs\" ", 9);
    fake_init(&again);
    fake_body(&again, text, body.n);
    require(tern_oip_decode_infer(&again.call, NULL) == TERN_OK);
    require(again.call.request.n_inputs == request->n_inputs);
    for (uint32_t i = 0; i < request->n_inputs; i++) {
        const struct tern_tensor *a = &request->inputs[i], *b = &again.call.request.inputs[i];
        require(tern_str_eq(a->name, b->name) && tern_shape_eq(&a->shape, &b->shape));
        require(a->n_bytes == b->n_bytes &&
                (a->n_bytes == 0 || memcmp(a->data, b->data, a->n_bytes) == 0));
    }
    fake_fini(&again);
    fake_fini(&answer);
}

static bool is_in_message(const struct tern_infer_request *request)
{
    for (uint32_t i = 0; i < request->n_inputs; i++) {
        if (request->inputs[i].region != NULL)
            return false;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fake_exchange fake;
    struct tern_err err;
    char digits[16];

    if (size < 2)
        return 0;
    unsigned head = (unsigned)data[0] << 8 | data[1];
    bool binary = (head & 0x8000) != 0;
    fake_init(&fake);
    fake.call.model = TERN_STR("m");
    if (binary) {
        snprintf(digits, sizeof(digits), "%u", head & 0x7fff);
        fake_header(&fake, TERN_OIP_LENGTH_HEADER, digits);
    }
    fake_body(&fake, data + 2, size - 2);
    const struct tern_infer_request *request = &fake.call.request;
    if (tern_oip_decode_infer(&fake.call, &err) != TERN_OK) {
        int status = tern_err_http_status(&err);
        require((status >= 400 && status < 500) || status == 501);
        tern_oip_encode_error(&fake.x, &err);
        require(fake.x.status == status);
    } else if (!request->raw) {
        for (uint32_t i = 0; i < request->n_inputs; i++)
            check_input(&request->inputs[i]);
        if (!binary &&
            is_in_message(request)) /* binary floats may be NaN, binary strings no UTF-8 */
            round_trip(request);
    }
    fake_fini(&fake);
    return 0;
}
