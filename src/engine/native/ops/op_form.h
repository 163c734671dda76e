/* A copy of a value, for outputs that no step makes: those that are an input or a constant. */
#ifndef TERN_ENGINE_NATIVE_OP_FORM_H
#define TERN_ENGINE_NATIVE_OP_FORM_H

#include "engine/native/program.h"

enum tern_code tern_op_form_copy(struct tern_program *program, uint32_t *value,
                                 struct tern_err *err);

#endif
