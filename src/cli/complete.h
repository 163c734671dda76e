/* Shell completion from the tables. */
#ifndef TERN_CLI_COMPLETE_H
#define TERN_CLI_COMPLETE_H

#include "base/buf.h"

/* A script for bash 4 or later; it needs no bash-completion package and does not call tern. */
void tern_complete_bash(struct tern_buf *out);

#endif
