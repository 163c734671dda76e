/* `tern models [NAME...]`: what a server has, as a table or JSON; loads and unloads models. */
#ifndef TERN_CLI_MODELS_H
#define TERN_CLI_MODELS_H

#include <stdio.h>
#include "base/str.h"
#include "cli/client_options.h"

struct tern_command_call;

/* The command `models`. */
int tern_models_run(const struct tern_command_call *call);

/* The same with its streams given: the table on `out`, mistakes on `log`. Answers the exit status.
 */
int tern_models_act(const struct tern_models_options *options, const struct tern_str *names,
                    uint32_t n_names, FILE *out, FILE *log);

#endif
