/* `tern check`: what `tern serve` would do with a path, without serving: every model is found,
 * configured and loaded, and every mistake printed with its place. The options themselves were
 * checked when they were read. */
#ifndef TERN_CLI_CHECK_H
#define TERN_CLI_CHECK_H

#include "cli/commands.h"

int tern_check_run(const struct tern_command_call *call);

#endif
