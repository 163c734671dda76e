/* Files under version control that a test compares with what the program generates. */
#ifndef TERN_TESTS_GOLDEN_H
#define TERN_TESTS_GOLDEN_H

#include "base/buf.h"

/* Fails the running cmocka test with the first line that differs; TERN_UPDATE=1 writes the file
 * anew first. The path is relative to the repository's root, where tests run. */
void golden_check(const char *path, const struct tern_buf *generated);

#endif
