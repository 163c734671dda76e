/* `tern check PATH --convert FORM`: one configuration in another form. */
#ifndef TERN_CLI_CONVERT_H
#define TERN_CLI_CONVERT_H

#include "conf/server_options.h"

/* Path: a model's folder, a repository with one model, or a configuration file. Prints to the
 * standard output; mistakes, each with its place, to the standard error. Answers the exit status.
 */
int tern_convert_run(const struct tern_check_options *options, const char *path);

#endif
