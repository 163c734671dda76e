/* Which model a command is about, and which data: MODEL [DATA], where MODEL is a file, a folder, a
 * server's URL, or the name of a model of the server on this machine. */
#ifndef TERN_CLI_PLACE_H
#define TERN_CLI_PLACE_H

#include "base/err.h"
#include "cli/commands.h"

struct tern_place {
    const char *path;    /* of the model's files; NULL: a server */
    struct tern_str url; /* of the server; what the options say, before */
    const char *data;    /* NULL: not said; what the options say, before */
    bool named;          /* the first argument was taken as a name, not as a path */
};

/* Takes the arguments apart. *model: what the options say; a name among the arguments goes there.
 */
enum tern_code tern_place_find(const struct tern_command_call *call, struct tern_str *model,
                               struct tern_place *place, struct tern_err *err);

#endif
