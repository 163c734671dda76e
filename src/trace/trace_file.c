#include "trace/trace_file.h"

#include <inttypes.h>
#include <stdio.h>
#include "base/clock.h"
#include "base/mem.h"
#include "os/outfile.h"
#include "simd/numbers.h"
#include "trace/sampler.h"
#include "wire/json.h"

#define TEXT_MAX ((size_t)64 << 20) /* of one batch in one file */

/* One file that is open. */
struct part {
    int fd;       /* -1: not open */
    uint64_t end; /* where the array's closing bracket stands */
    uint64_t n;   /* requests in it */
};

struct tern_trace_file {
    char *path; /* owned */
    struct tern_log *log;
    struct tern_log_limit limit;
    struct part whole;  /* FILE */
    struct part number; /* FILE.<index> */
    uint64_t index;
    struct tern_buf text;
};

/* ---- one request as JSON ---- */

static void add_id(struct tern_buf *out, uint64_t id)
{
    TERN_BUF_ADD_LITERAL(out, "{\"id\":");
    tern_buf_add_u64(out, id);
}

static void add_timestamps(struct tern_buf *out, const struct tern_trace_record *record)
{
    bool first = true;

    TERN_BUF_ADD_LITERAL(out, ",\n");
    add_id(out, record->id);
    TERN_BUF_ADD_LITERAL(out, ",\"timestamps\":[");
    for (unsigned i = 0; i < TERN_TRACE_POINT_COUNT; i++) {
        if (record->at[i] == 0)
            continue;
        tern_buf_printf(out, "%s{\"name\":\"%s\",\"ns\":%" PRIu64 "}", first ? "" : ",",
                        tern_trace_point_name((enum tern_trace_point)i, record->grpc),
                        record->at[i]);
        first = false;
    }
    TERN_BUF_ADD_LITERAL(out, "]}");
}

/* The values of a tensor as one text: numbers separated by commas, strings in quotes. */
static void add_values(struct tern_buf *out, const struct tern_trace_tensor *tensor)
{
    /* Triton's readers take true and false for numbers. */
    enum tern_dtype dtype = tensor->dtype == TERN_DTYPE_BOOL ? TERN_DTYPE_UINT8 : tensor->dtype;
    size_t size = tern_dtype_size(dtype);
    struct tern_str element;
    size_t at = 0;

    if (size > 0) {
        size_t count = tensor->n_bytes / size;
        if (count > 0 && tern_buf_reserve(out, tern_numbers_write_bound(dtype, count)))
            out->n += tern_numbers_write(dtype, tensor->data, count, out->p + out->n);
        return;
    }
    struct tern_tensor bytes = {.dtype = dtype, .n_bytes = tensor->n_bytes};
    memcpy(&bytes.data, &tensor->data, sizeof(bytes.data)); /* only read */
    while (at < tensor->n_bytes && tern_tensor_next_bytes(&bytes, &at, &element)) {
        if (out->n > 0)
            tern_buf_add_char(out, ',');
        tern_buf_add_char(out, '"');
        tern_buf_add_str(out, element);
        tern_buf_add_char(out, '"');
    }
}

static void add_tensor(struct tern_buf *out, const struct tern_trace_tensor *tensor, uint64_t id)
{
    struct tern_buf values;

    tern_buf_init(&values, 16 * (size_t)TERN_TRACE_TENSOR_BYTES_MAX + 1024);
    add_values(&values, tensor);
    TERN_BUF_ADD_LITERAL(out, ",\n");
    add_id(out, id);
    tern_buf_add_str(out, TERN_STR(",\"activity\":\""));
    tern_buf_add_str(out, tensor->output ? TERN_STR("TENSOR_BACKEND_OUTPUT")
                                         : TERN_STR("TENSOR_QUEUE_INPUT"));
    TERN_BUF_ADD_LITERAL(out, "\",\"tensor\":{\"name\":");
    tern_json_add_string(out, tensor->name);
    TERN_BUF_ADD_LITERAL(out, ",\"data\":");
    tern_json_add_string(out, tern_buf_str(&values));
    TERN_BUF_ADD_LITERAL(out, ",\"shape\":\"");
    for (int i = 0; i < tensor->shape.rank; i++) {
        if (i > 0)
            tern_buf_add_char(out, ',');
        tern_buf_add_i64(out, tensor->shape.dim[i]);
    }
    tern_buf_printf(out, "\",\"dtype\":\"%s\"%s}}", tern_dtype_name(tensor->dtype),
                    tensor->cut || values.failed ? ",\"truncated\":true" : "");
    tern_buf_fini(&values);
}

static void add_record(struct tern_buf *out, const struct tern_trace_record *record)
{
    add_id(out, record->id);
    TERN_BUF_ADD_LITERAL(out, ",\"model_name\":");
    tern_json_add_string(out, record->model);
    TERN_BUF_ADD_LITERAL(out, ",\"model_version\":");
    tern_buf_add_i64(out, record->version);
    if (record->request_id.n > 0) {
        TERN_BUF_ADD_LITERAL(out, ",\"request_id\":");
        tern_json_add_string(out, record->request_id);
    }
    if (record->parent_id > 0) {
        TERN_BUF_ADD_LITERAL(out, ",\"parent_id\":");
        tern_buf_add_u64(out, record->parent_id);
    }
    tern_buf_add_char(out, '}');
    if ((record->level & TERN_TRACE_TIMESTAMPS) != 0)
        add_timestamps(out, record);
    for (uint32_t i = 0; i < record->n_tensors; i++)
        add_tensor(out, &record->tensors[i], record->id);
}

void tern_trace_file_format(const struct tern_trace_record *record, struct tern_buf *out)
{
    add_record(out, record);
    for (const struct tern_trace_record *at = record->members; at != NULL; at = at->next) {
        TERN_BUF_ADD_LITERAL(out, ",\n");
        add_record(out, at);
    }
}

/* ---- files ---- */

static void close_part(struct part *part)
{
    tern_outfile_close(part->fd);
    *part = (struct part){.fd = -1};
}

static enum tern_code open_part(const struct tern_trace_file *file, struct part *part,
                                struct tern_err *err)
{
    char path[4096];

    if (part->fd >= 0)
        return TERN_OK;
    if (part == &file->whole)
        snprintf(path, sizeof(path), "%s", file->path);
    else
        snprintf(path, sizeof(path), "%s.%" PRIu64, file->path, file->index);
    TERN_TRY(tern_outfile_open(path, &part->fd, err));
    part->end = part->n = 0;
    return TERN_OK;
}

/* Appends `text`, objects separated by commas, and closes the array behind it. What was written in
 * part is written over the next time. */
static enum tern_code append(struct tern_trace_file *file, struct part *part, uint64_t n,
                             struct tern_err *err)
{
    struct tern_buf *text = &file->text;
    size_t objects = text->n;

    TERN_BUF_ADD_LITERAL(text, "\n]\n");
    TERN_TRY(tern_buf_check(text, "a trace", err));
    TERN_TRY(open_part(file, part, err));
    TERN_TRY(tern_outfile_write(part->fd, part->end, tern_buf_str(text), err));
    part->end += objects;
    part->n += n;
    return TERN_OK;
}

static void begin(struct tern_trace_file *file, const struct part *part)
{
    tern_buf_clear(&file->text);
    tern_buf_add_str(&file->text, part->n == 0 ? TERN_STR("[\n") : TERN_STR(",\n"));
}

/* As many of the records as go into one file: those that wish the same one, until it is full. */
static uint32_t write_some(struct tern_trace_file *file,
                           const struct tern_trace_record *const *records, uint32_t n,
                           uint32_t *lost)
{
    uint64_t frequency = records[0]->log_frequency;
    struct part *part = frequency == 0 ? &file->whole : &file->number;
    struct tern_err err;
    uint32_t i = 0;

    if (frequency > 0 && part->n >= frequency) { /* it was larger when the file was begun */
        close_part(part);
        file->index++;
    }
    begin(file, part);
    while (i < n && records[i]->log_frequency == frequency &&
           (frequency == 0 || part->n + i < frequency)) {
        if (i > 0)
            TERN_BUF_ADD_LITERAL(&file->text, ",\n");
        tern_trace_file_format(records[i++], &file->text);
    }
    if (append(file, part, i, &err) != TERN_OK) {
        uint32_t suppressed = 0;
        *lost += i;
        if (tern_log_allow(&file->limit, tern_clock_mono_ns(), 1, &suppressed))
            tern_log_warn(file->log, "trace.failed", "traces cannot be written", TERN_KV_ERR(&err),
                          TERN_KV_U64("suppressed", suppressed));
    }
    if (frequency > 0 && part->n >= frequency) {
        close_part(part);
        file->index++;
    }
    return i;
}

static uint32_t write_records(void *self, const struct tern_trace_record *const *records,
                              uint32_t n)
{
    uint32_t lost = 0;

    for (uint32_t i = 0; i < n;)
        i += write_some(self, records + i, n - i, &lost);
    return lost;
}

/* ---- life ---- */

enum tern_code tern_trace_file_new(struct tern_str path, struct tern_log *log,
                                   struct tern_trace_file **ret_file, struct tern_err *err)
{
    struct tern_trace_file *file = tern_mem_zalloc(1, sizeof(*file));

    if (file == NULL)
        return tern_mem_fail(err, "the trace file", sizeof(*file));
    file->path = tern_mem_strdup(path);
    if (file->path == NULL) {
        tern_mem_free(file);
        return tern_mem_fail(err, "the trace file", path.n + 1);
    }
    file->log = log;
    file->whole.fd = file->number.fd = -1;
    tern_buf_init(&file->text, TEXT_MAX);
    *ret_file = file;
    return TERN_OK;
}

void tern_trace_file_free(struct tern_trace_file *file)
{
    if (file == NULL)
        return;
    close_part(&file->whole);
    close_part(&file->number);
    tern_buf_fini(&file->text);
    tern_mem_free(file->path);
    tern_mem_free(file);
}

static void close_file(void *self)
{
    tern_trace_file_free(self);
}

struct tern_trace_sink tern_trace_file_sink(struct tern_trace_file *file)
{
    return (struct tern_trace_sink){write_records, close_file, file};
}
