/* The persona of Triton: `tern serve --persona triton` takes tritonserver's command line (the rows
 * of cli/triton_flags.h) and opens its three ports. Whatever is no flag of Triton's is read as an
 * option of ours. */
#ifndef TERN_CLI_PERSONA_TRITON_H
#define TERN_CLI_PERSONA_TRITON_H

#include <stdbool.h>
#include "conf/opt.h"

struct tern_triton;

/* Whether the command line (without the program and the command) or the environment asks for it. */
bool tern_triton_is_wanted(int argc, char *const *argv, char *const *environment);

/* As tern_opt_read_args; NULL (said in the problem list) without memory. What it answers lies in
 * the load's arena. */
struct tern_triton *tern_triton_read_args(struct tern_opt_load *load, int argc, char *const *argv,
                                          struct tern_opt_rest *ret_rest);

/* After every other source was read: ports, repositories, and Triton's defaults where nobody has
 * said otherwise. */
void tern_triton_finish(struct tern_triton *triton, char *const *environment,
                        struct tern_opt_rest *rest);

#endif
