/* Server reflection: one question, one answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "harness/fake_exchange.h"
#include "proto/grpc_descriptors.h"
#include "proto/grpc_reflection.h"
#include "proto/protos.h"
#include "wire/pb.h"

/* The i-th field of that number in a message; empty and without a place when there are fewer. */
static struct tern_pb_field nth(struct tern_str message, uint32_t number, uint32_t i)
{
    struct tern_pb pb;
    struct tern_pb_field field;
    bool more;

    tern_pb_init(&pb, message);
    while (tern_pb_next(&pb, &field, &more, NULL) == TERN_OK && more) {
        if (field.number == number && i-- == 0)
            return field;
    }
    return (struct tern_pb_field){.number = 0};
}

static struct tern_str bytes_in(struct tern_str message, uint32_t number)
{
    return nth(message, number, 0).bytes;
}

/* The answer to one question; its message stays until fake_fini. */
static struct tern_str ask(struct fake_exchange *fake, const char *question, size_t n)
{
    const struct tern_route *route = &tern_grpc_reflection.routes[0];
    struct tern_err err = {0};

    fake_init(fake);
    fake_body(fake, question, n);
    tern_exchange_body(&fake->x);
    fake->call.message = fake->x.body;
    if (route->decode(&fake->call, &err) != TERN_OK)
        fail_msg("%s", err.text);
    memset(fake->body, 0, n); /* an answer may be written after its message went */
    if (route->encode(&fake->call, &err) != TERN_OK)
        fail_msg("%s", err.text);
    struct tern_str answer = fake_response(fake);
    assert_true(tern_str_eq(bytes_in(answer, 2), tern_str_make(question, n)));
    return answer;
}

#define ASK(fake, question) ask((fake), (question), sizeof(question) - 1)

static void expect_error(struct tern_str answer, enum tern_code code, const char *text)
{
    struct tern_str error = bytes_in(answer, 7);
    assert_int_equal(nth(error, 1, 0).value, code);
    assert_true(tern_str_eq(bytes_in(error, 2), tern_str_of(text)));
}

static void expect_file(struct tern_str answer, uint32_t i, const char *name)
{
    struct tern_str file = nth(bytes_in(answer, 4), 1, i).bytes;
    assert_true(tern_str_eq(bytes_in(file, 1), tern_str_of(name)));
}

static void services(void **state)
{
    (void)state;
    struct fake_exchange fake;
    struct tern_str list = bytes_in(ASK(&fake, "\x0a\x01h\x3a\x01*"), 6);
    for (uint32_t i = 0; i < tern_grpc_n_services; i++)
        assert_true(
            tern_str_eq(bytes_in(nth(list, 1, i).bytes, 1), tern_str_of(tern_grpc_services[i])));
    assert_int_equal(nth(list, 1, tern_grpc_n_services).number, 0);
    assert_true(tern_str_eq(bytes_in(fake_response(&fake), 1), TERN_STR("h")));
    fake_fini(&fake);
}

static void files_come_with_their_imports(void **state)
{
    (void)state;
    struct fake_exchange fake;
    struct tern_str answer = ASK(&fake, "\x1a\x12grpc_service.proto");
    expect_file(answer, 0, "grpc_service.proto");
    expect_file(answer, 1, "model_config.proto");
    assert_int_equal(nth(bytes_in(answer, 4), 1, 2).number, 0);
    fake_fini(&fake);
    answer = ASK(&fake, "\x1a\x12model_config.proto");
    expect_file(answer, 0, "model_config.proto");
    assert_int_equal(nth(bytes_in(answer, 4), 1, 1).number, 0);
    fake_fini(&fake);
    expect_error(ASK(&fake, "\x1a\x07x.proto"), TERN_NOT_FOUND, "no file of that name is served");
    fake_fini(&fake);
}

static void symbols(void **state)
{
    (void)state;
    struct fake_exchange fake;
    expect_file(ASK(&fake, "\x22\x15grpc.health.v1.Health"), 0, "grpc/health/v1/health.proto");
    fake_fini(&fake);
    expect_file(ASK(&fake, "\x22\x29inference.GRPCInferenceService.ModelInfer"), 0,
                "grpc_service.proto");
    fake_fini(&fake);
    /* Of a oneof the last counts. */
    expect_file(ASK(&fake, "\x22\x01x\x22\x1binference.ModelInput.Format"), 0,
                "model_config.proto");
    fake_fini(&fake);
    expect_error(ASK(&fake, "\x22\x03"
                            "abc"),
                 TERN_NOT_FOUND, "no symbol of that name is served");
    fake_fini(&fake);
}

static void extensions(void **state)
{
    (void)state;
    struct fake_exchange fake;
    expect_error(ASK(&fake, "\x2a\x04\x0a\x02xy"), TERN_NOT_FOUND, "no type has extensions");
    fake_fini(&fake);
    struct tern_str answer = ASK(&fake, "\x32\x13inference.DataType2");
    expect_error(answer, TERN_NOT_FOUND, "no type of that name is served");
    fake_fini(&fake);
    answer = ASK(&fake, "\x32\x12inference.DataType");
    assert_true(tern_str_eq(bytes_in(bytes_in(answer, 5), 1), TERN_STR("inference.DataType")));
    fake_fini(&fake);
}

static void no_question(void **state)
{
    (void)state;
    struct fake_exchange fake;
    expect_error(ASK(&fake, ""), TERN_INVALID_ARGUMENT,
                 "message_request: expected one question, got none");
    fake_fini(&fake);
}

static void damaged_questions(void **state)
{
    (void)state;
    static const struct {
        const char *question;
        const char *says;
    } rows[] = {
        {"\x1a\x09short", "a length beyond the end"},
        {"\x1a\x01\xff", "message_request is not UTF-8"},
        {"\x18\x01", "message_request is a varint"},
        {"\x28\x01", "file_containing_extension is a varint"},
        {"\x0a\x01\xc0", "host is not UTF-8"},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct fake_exchange fake;
        struct tern_err err = {0};
        fake_init(&fake);
        fake.call.message = tern_str_of(rows[i].question);
        assert_int_equal(tern_grpc_reflection.routes[0].decode(&fake.call, &err),
                         TERN_INVALID_ARGUMENT);
        if (strstr(err.text, rows[i].says) == NULL)
            fail_msg("%s", err.text);
        fake_fini(&fake);
    }
}

static void tables_are_in_order(void **state)
{
    (void)state;
    for (uint32_t i = 1; i < tern_grpc_n_symbols; i++)
        assert_true(strcmp(tern_grpc_symbols[i - 1].name, tern_grpc_symbols[i].name) < 0);
    for (uint32_t i = 0; i < tern_grpc_n_symbols; i++)
        assert_true(tern_grpc_symbols[i].file < tern_grpc_n_files);
    for (uint32_t i = 0; i < tern_grpc_n_files; i++)
        assert_true((tern_grpc_files[i].needs >> i & 1) == 1 && tern_grpc_files[i].needs >> i == 1);
}

static bool has_route(const char *path)
{
    for (size_t i = 0; i < TERN_PROTOS_N; i++) {
        for (uint32_t j = 0; j < tern_protos[i]->n_routes; j++) {
            if (strcmp(tern_protos[i]->routes[j].pattern, path) == 0)
                return true;
        }
    }
    return false;
}

/* Each method that reflection tells of has its row. */
static void what_is_told_is_served(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < tern_grpc_n_services; i++) {
        struct tern_str service = tern_str_of(tern_grpc_services[i]);
        uint32_t methods = 0;
        for (uint32_t j = 0; j < tern_grpc_n_symbols; j++) {
            const char *symbol = tern_grpc_symbols[j].name;
            char path[200];
            if (!tern_str_starts(tern_str_of(symbol), service) || symbol[service.n] != '.')
                continue;
            snprintf(path, sizeof(path), "/%s/%s", tern_grpc_services[i], symbol + service.n + 1);
            if (!has_route(path))
                fail_msg("no route %s", path);
            methods++;
        }
        assert_true(methods > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(services),
        cmocka_unit_test(files_come_with_their_imports),
        cmocka_unit_test(symbols),
        cmocka_unit_test(extensions),
        cmocka_unit_test(no_question),
        cmocka_unit_test(damaged_questions),
        cmocka_unit_test(tables_are_in_order),
        cmocka_unit_test(what_is_told_is_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
