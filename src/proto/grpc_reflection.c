/* Server reflection (github.com/grpc/grpc/blob/master/doc/server-reflection.md): each question of a
 * stream gets one answer, from the tables of proto/grpc_descriptors.h. What is not found is an
 * answer too; only a message that cannot be read ends the stream. */
#include "proto/grpc_reflection.h"

#include <stdlib.h>
#include "proto/grpc.h"
#include "proto/grpc_descriptors.h"
#include "wire/pb.h"

/* Numbers of api/grpc/reflection/v1/reflection.proto. */
enum {
    ASK_HOST = 1,
    ASK_FILE = 3,
    ASK_SYMBOL = 4,
    ASK_EXTENSION = 5,
    ASK_EXTENSION_NUMBERS = 6,
    ASK_SERVICES = 7,

    ANSWER_HOST = 1,
    ANSWER_REQUEST = 2,
    ANSWER_FILES = 4,
    ANSWER_EXTENSION_NUMBERS = 5,
    ANSWER_SERVICES = 6,
    ANSWER_ERROR = 7,
};

struct question {
    struct tern_str host;
    uint32_t kind; /* the number of what was asked; 0: nothing */
    struct tern_str text;
};

static enum tern_code read_question(struct tern_str message, struct question *ret,
                                    struct tern_err *err)
{
    struct tern_pb pb;
    struct tern_pb_field field;
    bool more;

    tern_pb_init(&pb, message);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            return TERN_OK;
        if (field.number == ASK_HOST)
            TERN_TRY(tern_pb_text(&field, "host", &ret->host, err));
        if (field.number == ASK_EXTENSION)
            TERN_TRY(tern_pb_want(&field, TERN_PB_BYTES, "file_containing_extension", err));
        else if (field.number >= ASK_FILE && field.number <= ASK_SERVICES)
            TERN_TRY(tern_pb_text(&field, "message_request", &ret->text, err));
        if (field.number >= ASK_FILE && field.number <= ASK_SERVICES)
            ret->kind = field.number; /* of a oneof the last counts */
    }
}

static int compare_symbol(const void *key, const void *row)
{
    const struct tern_grpc_symbol *symbol = row;

    return tern_str_cmp(*(const struct tern_str *)key, tern_str_of(symbol->name));
}

static const struct tern_grpc_symbol *find_symbol(struct tern_str name)
{
    return bsearch(&name, tern_grpc_symbols, tern_grpc_n_symbols, sizeof(tern_grpc_symbols[0]),
                   compare_symbol);
}

static const struct tern_grpc_file *find_file(struct tern_str name)
{
    for (uint32_t i = 0; i < tern_grpc_n_files; i++) {
        if (tern_str_eq(name, tern_str_of(tern_grpc_files[i].name)))
            return &tern_grpc_files[i];
    }
    return NULL;
}

static void write_error(struct tern_buf *out, enum tern_code code, const char *text)
{
    size_t mark = tern_pb_open(out, ANSWER_ERROR);

    tern_pb_add_varint(out, 1, (uint64_t)code);
    tern_pb_add_bytes(out, 2, tern_str_of(text));
    tern_pb_close(out, mark);
}

/* The file, then those it imports: a client needs no second question. */
static void write_files(struct tern_buf *out, const struct tern_grpc_file *file)
{
    size_t mark = tern_pb_open(out, ANSWER_FILES);

    tern_pb_add_bytes(out, 1, tern_str_make((const char *)file->bytes, file->n));
    for (uint32_t i = 0; i < tern_grpc_n_files; i++) {
        const struct tern_grpc_file *other = &tern_grpc_files[i];
        if (other != file && (file->needs >> i & 1) != 0)
            tern_pb_add_bytes(out, 1, tern_str_make((const char *)other->bytes, other->n));
    }
    tern_pb_close(out, mark);
}

static void write_services(struct tern_buf *out)
{
    size_t mark = tern_pb_open(out, ANSWER_SERVICES);

    for (uint32_t i = 0; i < tern_grpc_n_services; i++) {
        size_t service = tern_pb_open(out, 1);
        tern_pb_add_bytes(out, 1, tern_str_of(tern_grpc_services[i]));
        tern_pb_close(out, service);
    }
    tern_pb_close(out, mark);
}

/* The files are proto3: no type of theirs has extensions. */
static void write_no_extensions(struct tern_buf *out, struct tern_str type)
{
    if (find_symbol(type) == NULL) {
        write_error(out, TERN_NOT_FOUND, "no type of that name is served");
        return;
    }
    size_t mark = tern_pb_open(out, ANSWER_EXTENSION_NUMBERS);
    tern_pb_add_bytes(out, 1, type);
    tern_pb_close(out, mark);
}

static void write_answer(struct tern_buf *out, const struct question *question)
{
    const struct tern_grpc_symbol *symbol;
    const struct tern_grpc_file *file;

    switch (question->kind) {
    case ASK_FILE:
        file = find_file(question->text);
        if (file == NULL)
            write_error(out, TERN_NOT_FOUND, "no file of that name is served");
        else
            write_files(out, file);
        break;
    case ASK_SYMBOL:
        symbol = find_symbol(question->text);
        if (symbol == NULL)
            write_error(out, TERN_NOT_FOUND, "no symbol of that name is served");
        else
            write_files(out, &tern_grpc_files[symbol->file]);
        break;
    case ASK_EXTENSION:
        write_error(out, TERN_NOT_FOUND, "no type has extensions");
        break;
    case ASK_EXTENSION_NUMBERS:
        write_no_extensions(out, question->text);
        break;
    case ASK_SERVICES:
        write_services(out);
        break;
    default:
        write_error(out, TERN_INVALID_ARGUMENT, "message_request: expected one question, got none");
        break;
    }
}

/* An answer may have to wait for those before it, and the body moves on meanwhile. */
static enum tern_code decode_question(struct tern_call *call, struct tern_err *err)
{
    struct question question = {.kind = 0};

    TERN_TRY(read_question(call->message, &question, err));
    call->text = tern_arena_copy(call->arena, call->message);
    if (call->text.p == NULL && call->message.n > 0)
        return tern_arena_fail(call->arena, err, "the question");
    return TERN_OK;
}

static enum tern_code encode_answer(struct tern_call *call, struct tern_err *err)
{
    struct tern_buf *out = call->x->out;
    struct question question = {.kind = 0};

    TERN_TRY(read_question(call->text, &question, err));
    tern_pb_add_bytes_unless_empty(out, ANSWER_HOST, question.host);
    tern_pb_add_bytes(out, ANSWER_REQUEST, call->text);
    write_answer(out, &question);
    return tern_buf_check(out, "the response", err);
}

#define METHOD "ServerReflection/ServerReflectionInfo"

// clang-format off
static const struct tern_route routes[] = {
    TERN_GRPC_STREAM("/grpc.reflection.v1." METHOD, REFLECTION, BOTH, decode_question, encode_answer,
                     "Services and messages, told by the server itself"),
    TERN_GRPC_STREAM("/grpc.reflection.v1alpha." METHOD, REFLECTION, BOTH, decode_question, encode_answer,
                     "The same under its older name"),
};
// clang-format on

const struct tern_proto tern_grpc_reflection = {
    .name = "grpc_reflection",
    .help = "gRPC server reflection",
    .routes = routes,
    .n_routes = TERN_COUNT_OF(routes),
    TERN_GRPC_PROTO,
};
