/* Replays a fuzz corpus through LLVMFuzzerTestOneInput, so that every input that once mattered is
 * an ordinary test under every compiler and sanitizer. Arguments: files or folders (one level). */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        return 1;
    }
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    /* Exactly `size` bytes, so that a sanitizer sees a read one past the end. */
    uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
    int bad = data == NULL || fread(data, 1, (size_t)size, f) != (size_t)size;
    if (!bad)
        LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
    fclose(f);
    return bad;
}

static int replay_folder(const char *path, long *count)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        perror(path);
        return 1;
    }
    int bad = 0;
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        char name[4096];
        if (e->d_name[0] == '.')
            continue;
        snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
        bad |= replay_file(name);
        ++*count;
    }
    closedir(dir);
    return bad;
}

int main(int argc, char **argv)
{
    long count = 0;
    int bad = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode)) {
            bad |= replay_folder(argv[i], &count);
        } else {
            bad |= replay_file(argv[i]);
            count++;
        }
    }
    if (count == 0) {
        fprintf(stderr, "no corpus file was given: a replay that runs nothing proves nothing\n");
        return 1;
    }
    printf("%ld inputs replayed\n", count);
    return bad;
}
