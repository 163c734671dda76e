/* The port to files that are written: made anew, then written at any place. Blocking: never on a
 * loop. One thread at a time per file. */
#ifndef TERN_OS_OUTFILE_H
#define TERN_OS_OUTFILE_H

#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

/* Empties what is there, or makes it, readable for its owner and group. */
enum tern_code tern_outfile_open(const char *path, int *ret_fd, struct tern_err *err);
/* All of the bytes, or an error: some of them may be there then. */
enum tern_code tern_outfile_write(int fd, uint64_t at, struct tern_str bytes, struct tern_err *err);
/* Lets those run it who may read it. */
enum tern_code tern_outfile_allow_run(int fd, struct tern_err *err);
/* -1 is fine. */
void tern_outfile_close(int fd);

/* A new folder; ALREADY_EXISTS when something is there. */
enum tern_code tern_outfile_make_folder(const char *path, struct tern_err *err);

#endif
