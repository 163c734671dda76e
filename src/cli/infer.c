#include "cli/infer.h"

#include <stdio.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"
#include "cli/place.h"
#include "cli/table.h"
#include "cli/values.h"
#include "os/file.h"
#include "simd/simd.h"
#include "wire/npy.h"

#define ARENA_MAX  ((size_t)4 << 30)
#define OUTPUT_MAX ((size_t)2 << 30)

struct infer {
    const struct tern_command_call *call;
    struct tern_infer_options options;
    struct tern_arena arena; /* of the model */
    struct tern_arena work;  /* rows and answers, which may be the engine's memory: goes first */
    struct tern_infer_model model;
    bool is_open;
    bool named; /* the first argument was taken as a name, not as a path */
    struct tern_rows rows;
    struct tern_v2_answer answer;
    struct tern_comparison comparison;
    uint64_t took_ns;
};

/* ---- where the model is, and the data ---- */

static enum tern_code open_model(struct infer *infer, const struct tern_place *place,
                                 struct tern_err *err)
{
    if (place->path != NULL)
        TERN_TRY(
            tern_infer_open_local(place->path, &infer->options, &infer->arena, &infer->model, err));
    else
        TERN_TRY(
            tern_infer_open_remote(place->url, &infer->options, &infer->arena, &infer->model, err));
    infer->is_open = true;
    return TERN_OK;
}

/* Without data: what the model takes, so that one can make some. */
static void print_model(const struct tern_model_info *info)
{
    char shape[160];

    fprintf(stderr, "%.*s needs data: a file, or - for the standard input. It takes\n",
            TERN_STR_ARG(info->name));
    for (uint32_t i = 0; i < info->n_inputs; i++)
        fprintf(stderr, "  %.*s  %s %s%s\n", TERN_STR_ARG(info->inputs[i].name),
                tern_dtype_name(info->inputs[i].dtype),
                tern_shape_print(&info->inputs[i].shape, shape, sizeof(shape)),
                info->inputs[i].optional ? "  (optional)" : "");
    fprintf(stderr, "and gives\n");
    for (uint32_t i = 0; i < info->n_outputs; i++)
        fprintf(stderr, "  %.*s  %s %s\n", TERN_STR_ARG(info->outputs[i].name),
                tern_dtype_name(info->outputs[i].dtype),
                tern_shape_print(&info->outputs[i].shape, shape, sizeof(shape)));
}

/* ---- running, in batches ---- */

static enum tern_code join_output(struct infer *infer, const struct tern_v2_answer *parts,
                                  size_t n_parts, uint32_t index, struct tern_tensor *ret,
                                  struct tern_err *err)
{
    struct tern_tensor whole = parts[0].outputs.rows[index];
    size_t at = 0;

    whole.n_bytes = 0;
    whole.shape.dim[0] = 0;
    for (size_t k = 0; k < n_parts; k++) {
        const struct tern_tensor *part =
            index < parts[k].outputs.n ? &parts[k].outputs.rows[index] : NULL;
        if (part == NULL || part->shape.rank == 0 || part->shape.rank != whole.shape.rank ||
            part->dtype != whole.dtype)
            return tern_fail(
                err, TERN_FAILED_PRECONDITION,
                "output '%.*s' has no rows that could be put together; try --batch %zu",
                TERN_STR_ARG(whole.name), infer->rows.n);
        whole.n_bytes += part->n_bytes;
        whole.shape.dim[0] += part->shape.dim[0];
    }
    char *data = tern_arena_alloc(&infer->work, 64, whole.n_bytes + 1);
    if (data == NULL)
        return tern_arena_fail(&infer->work, err, "the answers");
    for (size_t k = 0; k < n_parts; k++) {
        const struct tern_tensor *part = &parts[k].outputs.rows[index];
        if (part->n_bytes > 0)
            memcpy(data + at, part->data, part->n_bytes);
        at += part->n_bytes;
    }
    whole.data = data;
    *ret = whole;
    return TERN_OK;
}

static enum tern_code join(struct infer *infer, const struct tern_v2_answer *parts, size_t n_parts,
                           struct tern_err *err)
{
    infer->answer = parts[0];
    if (n_parts == 1)
        return TERN_OK;
    uint32_t n = parts[0].outputs.n;
    struct tern_tensor *rows = tern_arena_zalloc(&infer->work, n + 1, sizeof(*rows));
    if (rows == NULL)
        return tern_arena_fail(&infer->work, err, "the answers");
    for (uint32_t i = 0; i < n; i++)
        TERN_TRY(join_output(infer, parts, n_parts, i, &rows[i], err));
    infer->answer.outputs.rows = rows;
    return TERN_OK;
}

static enum tern_code run_part(struct infer *infer, size_t from, size_t n,
                               struct tern_v2_answer *ret, struct tern_err *err)
{
    struct tern_v2_tensors part = infer->rows.inputs;

    if (n != infer->rows.n)
        TERN_TRY(tern_v2_cut(&infer->rows.inputs, from, n, &infer->work, &part, err));
    return infer->model.run(&infer->model, &part, &infer->work, ret, err);
}

static enum tern_code run_all(struct infer *infer, struct tern_err *err)
{
    size_t rows = infer->rows.n, batch = rows;
    uint64_t start = tern_clock_mono_ns();

    if (infer->model.info.max_batch_size > 0 && (size_t)infer->model.info.max_batch_size < batch)
        batch = (size_t)infer->model.info.max_batch_size;
    if (infer->options.batch > 0 && infer->options.batch < batch)
        batch = (size_t)infer->options.batch;
    if (batch == 0 || !tern_v2_can_cut(&infer->rows.inputs, &infer->model.info, rows))
        batch = rows;
    size_t n_parts = rows == 0 ? 1 : (rows - 1) / batch + 1;
    struct tern_v2_answer *parts = tern_arena_zalloc(&infer->work, n_parts, sizeof(*parts));
    if (parts == NULL)
        return tern_arena_fail(&infer->work, err, "the answers");
    for (size_t k = 0; k < n_parts; k++) {
        size_t from = k * batch;
        TERN_TRY(run_part(infer, from, rows - from < batch ? rows - from : batch, &parts[k], err));
    }
    infer->took_ns = tern_clock_mono_ns() - start;
    return join(infer, parts, n_parts, err);
}

/* ---- output ---- */

static enum tern_code write_npy(const struct infer *infer, struct tern_buf *out,
                                struct tern_err *err)
{
    const struct tern_tensor *tensor = &infer->answer.outputs.rows[0];
    struct tern_npy array = {.dtype = tensor->dtype,
                             .rank = tensor->shape.rank,
                             .data = {tensor->data, tensor->n_bytes}};

    if (isatty(STDOUT_FILENO) == 1)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "NPY is not for a terminal: add > answers.npy");
    memcpy(array.dim, tensor->shape.dim, sizeof(array.dim));
    return tern_npy_write(&array, out, err);
}

static enum tern_code write_out(FILE *file, const struct tern_buf *out, struct tern_err *err)
{
    if (out->failed)
        return tern_buf_check(out, "the output", err);
    if ((out->n > 0 && fwrite(out->p, 1, out->n, file) != out->n) || fflush(file) != 0)
        return tern_fail(err, TERN_UNAVAILABLE, "the output cannot be written");
    return TERN_OK;
}

/* Answers go to the standard output; with JSON and NPY, what is said about them to the standard
 * error. */
static enum tern_code print_all(struct infer *infer, struct tern_err *err)
{
    enum tern_infer_form form = infer->options.form;
    FILE *words = form == TERN_INFER_FORM_TABLE ? stdout : stderr;
    const struct tern_infer_report report = {
        .options = &infer->options,
        .model = &infer->model,
        .rows = &infer->rows,
        .answer = &infer->answer,
        .comparison = &infer->comparison,
        .arena = &infer->work,
        .colour = tern_table_colour(form == TERN_INFER_FORM_TABLE ? STDOUT_FILENO : STDERR_FILENO),
        .took_ns = infer->took_ns,
    };
    enum tern_code code = TERN_OK;
    struct tern_buf out;

    tern_buf_init(&out, OUTPUT_MAX);
    if (form == TERN_INFER_FORM_JSON)
        code = tern_v2_write_answer(&out, &infer->answer, err);
    else if (form == TERN_INFER_FORM_NPY)
        code = write_npy(infer, &out, err);
    else
        tern_infer_print_table(&report, &out);
    if (code == TERN_OK)
        code = write_out(stdout, &out, err);
    tern_buf_clear(&out);
    tern_infer_print_summary(&report, &out);
    if (code == TERN_OK)
        code = write_out(words, &out, err);
    tern_buf_fini(&out);
    return code;
}

static enum tern_code run(struct infer *infer, int *ret_exit, struct tern_err *err)
{
    struct tern_v2_tensors recorded = {.n = 0};
    const struct tern_infer_options *options = &infer->options;
    struct tern_place place = {.url = options->url,
                               .data = options->data.n > 0 ? options->data.p : NULL};

    TERN_TRY(tern_place_find(infer->call, &infer->options.model, &place, err));
    infer->named = place.named;
    *ret_exit = TERN_EXIT_FAILED;
    TERN_TRY(open_model(infer, &place, err));
    if (place.data == NULL && isatty(STDIN_FILENO) == 1) {
        print_model(&infer->model.info);
        *ret_exit = TERN_EXIT_USAGE;
        return TERN_OK;
    }
    TERN_TRY(tern_rows_read(place.data == NULL ? "-" : place.data, &infer->model.info, &infer->work,
                            &infer->rows, err));
    TERN_TRY(run_all(infer, err));
    TERN_TRY(tern_rows_recorded(&infer->rows, infer->answer.version, &infer->work, &recorded, err));
    TERN_TRY(tern_compare(&infer->answer.outputs, &recorded, infer->rows.n, infer->rows.tolerance,
                          &infer->work, &infer->comparison, err));
    TERN_TRY(print_all(infer, err));
    *ret_exit = infer->comparison.bad_rows > 0 ? TERN_EXIT_FAILED : TERN_EXIT_OK;
    return TERN_OK;
}

int tern_infer_run(const struct tern_command_call *call)
{
    struct tern_err err = {.code = TERN_OK};
    int exit_code = TERN_EXIT_USAGE;
    struct infer *infer = tern_mem_zalloc(1, sizeof(*infer));

    if (infer == NULL) {
        fprintf(stderr, "tern infer: no memory\n");
        return TERN_EXIT_FAILED;
    }
    tern_simd_init();
    infer->call = call;
    infer->options = *(const struct tern_infer_options *)call->options;
    tern_arena_init(&infer->arena, 1u << 12, ARENA_MAX);
    tern_arena_init(&infer->work, 1u << 16, ARENA_MAX);
    if (run(infer, &exit_code, &err) != TERN_OK) {
        fprintf(stderr, "tern infer: %s\n", err.text);
        if (infer->model.unreachable) {
            fprintf(stderr, "Is the server running? `tern serve PATH` starts one; --url says where "
                            "it is.\n");
            if (infer->named)
                fprintf(stderr, "There is no file or folder '%.*s' to run without a server.\n",
                        TERN_STR_ARG(infer->options.model));
            exit_code = TERN_EXIT_UNREACHABLE;
        }
    }
    tern_arena_fini(&infer->work);
    if (infer->is_open)
        infer->model.close(&infer->model);
    tern_arena_fini(&infer->arena);
    tern_mem_free(infer);
    return exit_code;
}
