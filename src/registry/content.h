/* What a loaded model is made of, as one hash: the files of its version folder, its configuration
 * as it is served, and the options of its engine. Two servers whose models have the same hash
 * answer alike, wherever they run; unlike a fingerprint, which is about times and inodes, it reads
 * every byte. Blocking. */
#ifndef TERN_REGISTRY_CONTENT_H
#define TERN_REGISTRY_CONTENT_H

#include "base/blake2b.h"
#include "base/err.h"
#include "core/engine.h"

#define TERN_CONTENT_SIZE TERN_BLAKE2B_SIZE

struct tern_content_of {
    const char *path;       /* version folder or model file */
    struct tern_str config; /* any text that stands for it */
    const struct tern_engine_option *options;
    uint32_t n_options;
};

enum tern_code tern_content_hash(const struct tern_content_of *of,
                                 unsigned char ret[TERN_CONTENT_SIZE], struct tern_err *err);

#endif
