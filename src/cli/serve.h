/* `tern serve`: puts the server together from its parts and runs it until a signal ends it. Answers
 * the exit status: OK after an orderly end, FAILED when it could not start or had to cut off
 * requests at the end, BUSY when an address is taken. */
#ifndef TERN_CLI_SERVE_H
#define TERN_CLI_SERVE_H

#include <stdint.h>
#include "cli/commands.h"
#include "conf/server_options.h"

int tern_serve_run(const struct tern_command_call *call);

#endif
