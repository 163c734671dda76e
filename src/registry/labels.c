#include "registry/labels.h"

#include "base/mem.h"
#include "os/file.h"

/* Without the end of the line, of Windows too. */
static bool next_line(struct tern_str *rest, struct tern_str *ret)
{
    if (rest->n == 0 || !tern_str_split(rest, '\n', ret))
        return false;
    if (tern_str_ends(*ret, TERN_STR("\r")))
        ret->n--;
    return true;
}

static enum tern_code cut_lines(struct tern_str text, struct tern_arena *arena,
                                struct tern_labels *ret, struct tern_err *err)
{
    struct tern_str rest = text, line;
    uint32_t n = 0;

    while (next_line(&rest, &line))
        n++; /* the size of the file bounds it */
    struct tern_str *rows = tern_arena_zalloc(arena, n, sizeof(*rows));
    if (rows == NULL && n > 0)
        return tern_arena_fail(arena, err, "the labels of an output");
    rest = text;
    for (uint32_t i = 0; i < n && next_line(&rest, &line); i++)
        rows[i] = line;
    *ret = (struct tern_labels){rows, n};
    return TERN_OK;
}

static enum tern_code read_labels(const struct tern_tensor_spec *output, struct tern_arena *arena,
                                  struct tern_labels *ret, struct tern_err *err)
{
    char *bytes;
    size_t n;

    TERN_TRY(tern_file_read(output->label_path.p, TERN_LABELS_FILE_MAX, 1, &bytes, &n, err));
    struct tern_str text = tern_arena_copy(arena, tern_str_make(bytes, n));
    tern_mem_free(bytes);
    if (text.p == NULL && n > 0)
        return tern_arena_fail(arena, err, "the labels of an output");
    return cut_lines(text, arena, ret, err);
}

enum tern_code tern_labels_load(const struct tern_tensor_spec *outputs, uint32_t n,
                                struct tern_arena *arena, const struct tern_labels **ret_labels,
                                struct tern_err *err)
{
    struct tern_labels *labels = NULL;

    for (uint32_t i = 0; i < n; i++) {
        bool has_file = outputs[i].label_path.n > 0;
        if (!has_file && outputs[i].labels.n == 0)
            continue;
        if (labels == NULL)
            labels = tern_arena_zalloc(arena, n, sizeof(*labels));
        if (labels == NULL)
            return tern_arena_fail(arena, err, "the labels");
        if (!has_file) {
            labels[i] = outputs[i].labels;
            continue;
        }
        enum tern_code code = read_labels(&outputs[i], arena, &labels[i], err);
        if (code != TERN_OK) {
            tern_err_prefix(err, "label_filename of output '%.*s'", TERN_STR_ARG(outputs[i].name));
            return code;
        }
    }
    *ret_labels = labels;
    return TERN_OK;
}
