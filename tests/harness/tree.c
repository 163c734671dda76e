#include "harness/tree.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void die(const char *what, const char *path)
{
    fprintf(stderr, "%s %s: %s\n", what, path, strerror(errno));
    abort();
}

void tree_init(struct tree *tree)
{
    snprintf(tree->root, sizeof(tree->root), "/tmp/tern-test-XXXXXX");
    if (mkdtemp(tree->root) == NULL)
        die("mkdtemp", tree->root);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

void tree_path(const struct tree *tree, const char *path, char dst[TREE_PATH_MAX])
{
    snprintf(dst, TREE_PATH_MAX, "%s/%s", tree->root, path);
}

void tree_remove(const struct tree *tree, const char *path)
{
    char full[TREE_PATH_MAX];
    tree_path(tree, path, full);
    if (nftw(full, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
        die("remove", full);
}

void tree_fini(struct tree *tree)
{
    if (nftw(tree->root, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
        die("remove", tree->root);
}

void tree_write(const struct tree *tree, const char *path, const char *text)
{
    char full[TREE_PATH_MAX];

    tree_path(tree, path, full);
    for (char *slash = strchr(full + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(full, 0777) != 0 && errno != EEXIST)
            die("mkdir", full);
        *slash = '/';
    }
    FILE *f = fopen(full, "w");
    if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0)
        die("write", full);
}
