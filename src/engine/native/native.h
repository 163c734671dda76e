/* The native engine: boosters, forests, linear models and small graphs, run by Tern itself. See
 * doc/native.md. */
#ifndef TERN_ENGINE_NATIVE_NATIVE_H
#define TERN_ENGINE_NATIVE_NATIVE_H

#include "core/engine.h"

extern const struct tern_engine_ops tern_native_engine;

#endif
