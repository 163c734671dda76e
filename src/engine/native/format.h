/* The formats seam: who reads a model file into a program. One row a format, in formats.c.
 *
 * A format's load reads the whole file in one pass and checks everything: what it accepts can be
 * run without looking again. Errors are INVALID_ARGUMENT (the file is damaged: the place and the
 * reason), UNIMPLEMENTED (a part of the format that is not served: its name and what to do instead)
 * or RESOURCE_EXHAUSTED (a limit: which). */
#ifndef TERN_ENGINE_NATIVE_FORMAT_H
#define TERN_ENGINE_NATIVE_FORMAT_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "core/engine.h"
#include "engine/native/program.h"

struct tern_native_source {
    struct tern_str bytes; /* the file; TERN_NATIVE_PAD zero bytes follow; gone after load: what is
                             kept is copied */
    const char *path;      /* for messages about the file's kind only */
    struct tern_arena *arena; /* where the program and its constants live */
};

#define TERN_NATIVE_PAD      64
#define TERN_NATIVE_FILE_MAX ((size_t)8 << 30)

struct tern_native_format {
    const char *name; /* "xgboost_json": FIL's model_type where it has one */
    const char *help; /* "XGBoost, JSON" */
    bool has_names;   /* its files name their inputs and outputs */
    size_t file_max;  /* larger ones are another engine's, unread; 0: none */
    /* 0: not mine; higher is better. `head` holds the first bytes of the file, at least 64 where it
     * has so many; empty: judge by the name alone, and take only what is no other thing's name. */
    int (*probe)(struct tern_str file_name, struct tern_str head);
    enum tern_code (*load)(const struct tern_native_source *source, struct tern_program *program,
                           struct tern_err *err);
};

extern const struct tern_native_format *const tern_native_formats[];
extern const uint32_t tern_native_formats_count;

#endif
