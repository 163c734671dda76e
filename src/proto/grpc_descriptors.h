/* The files of api/ as server reflection hands them out: each a serialized
 * google.protobuf.FileDescriptorProto. The tables are written by scripts/gen-descriptors. */
#ifndef TERN_PROTO_GRPC_DESCRIPTORS_H
#define TERN_PROTO_GRPC_DESCRIPTORS_H

#include <stddef.h>
#include <stdint.h>
#include "base/compiler.h"
#include "base/str.h"

struct tern_grpc_file {
    const char *name;
    const unsigned char *bytes;
    size_t n;
    uint32_t needs; /* a bit for each file that a reader has to have, this one included */
};

/* A message, enum, service or method by its full name. */
struct tern_grpc_symbol {
    const char *name;
    uint32_t file; /* that defines it */
};

extern const struct tern_grpc_file tern_grpc_files[]; /* each after those that it imports */
extern const uint32_t tern_grpc_n_files;
extern const struct tern_grpc_symbol tern_grpc_symbols[]; /* ascending */
extern const uint32_t tern_grpc_n_symbols;
extern const char *const tern_grpc_services[]; /* full names, ascending */
extern const uint32_t tern_grpc_n_services;

#endif
