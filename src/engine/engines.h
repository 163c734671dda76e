/* The engines that this program has, in the order in which they are asked. */
#ifndef TERN_ENGINE_ENGINES_H
#define TERN_ENGINE_ENGINES_H

#include "core/engine.h"

extern const struct tern_engine_ops *const tern_engines[];
extern const uint32_t tern_engines_count;

/* Frees what the engines hold for the process; no model is loaded any more. */
void tern_engines_close(void);

#endif
