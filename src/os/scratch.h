/* Scratch folders: files that somebody sent and that a library wants to open by path. A folder is
 * private (mode 0700), lies in $TMPDIR or /tmp, and goes with all that is in it. Blocking: never on
 * a loop. Part of the file port: tests replace these functions at link time. */
#ifndef TERN_OS_SCRATCH_H
#define TERN_OS_SCRATCH_H

#include "base/err.h"
#include "base/str.h"

#define TERN_SCRATCH_NAME_MAX 512 /* bytes of a name below the folder */

/* A new, empty folder; the path is of tern_mem_alloc. */
enum tern_code tern_scratch_new(char **ret_path, struct tern_err *err);
/* A new file "<folder>/<name>" with these bytes; makes the folders on the way. The name must lead
 * into the folder (tern_scratch_is_inside): INVALID_ARGUMENT else, ALREADY_EXISTS for a second. */
enum tern_code tern_scratch_write(const char *folder, struct tern_str name, struct tern_str bytes,
                                  struct tern_err *err);
/* With everything below it; links are removed, not followed. NULL is fine. Frees the path. */
void tern_scratch_free(char *folder);

/* A relative name without empty segments, "." and "..", backslashes and zero bytes. */
bool tern_scratch_is_inside(struct tern_str name);

#endif
