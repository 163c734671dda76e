/* A temporary folder for one test: files are written by relative path, and all of it is removed at
 * the end. Failures end the test. */
#ifndef TERN_TESTS_TREE_H
#define TERN_TESTS_TREE_H

#define TREE_PATH_MAX 512

struct tree {
    char root[64];
};

void tree_init(struct tree *tree);
void tree_fini(struct tree *tree);
/* Makes the folders on the way. */
void tree_write(const struct tree *tree, const char *path, const char *text);
void tree_remove(const struct tree *tree, const char *path); /* a file or a whole folder */
void tree_path(const struct tree *tree, const char *path, char dst[TREE_PATH_MAX]);

#endif
