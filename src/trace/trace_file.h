/* Traces as Triton writes them: a file that is one JSON array, for each request an object that
 * names it and objects with its timestamps and tensors, all under one id.
 *
 * The array is closed after every batch, so that the file can be read at any time. With a
 * log_frequency of N the files are FILE.0, FILE.1 and so on, of N requests each. */
#ifndef TERN_TRACE_TRACE_FILE_H
#define TERN_TRACE_TRACE_FILE_H

#include "base/buf.h"
#include "base/log.h"
#include "trace/tracer.h"

struct tern_trace_file;

/* Makes the file when its first trace is there. `path` is copied; `log` hears of failures. */
enum tern_code tern_trace_file_new(struct tern_str path, struct tern_log *log,
                                   struct tern_trace_file **ret_file, struct tern_err *err);
void tern_trace_file_free(struct tern_trace_file *file);
/* For a tracer, which then owns the file. */
struct tern_trace_sink tern_trace_file_sink(struct tern_trace_file *file);

/* The objects of one request and what ran inside of it, separated by commas. */
void tern_trace_file_format(const struct tern_trace_record *record, struct tern_buf *out);

#endif
