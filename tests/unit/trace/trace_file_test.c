/* Trace files; jansson reads them back after every batch. */
// covers: os/outfile
// wrap: tern_outfile_write
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>
#include "harness/tree.h"
#include "os/outfile.h"
#include "trace/sampler.h"
#include "trace/trace_file.h"

static bool disk_full;

enum tern_code __real_tern_outfile_write(int fd, uint64_t at, struct tern_str bytes,
                                         struct tern_err *err);
enum tern_code __wrap_tern_outfile_write(int fd, uint64_t at, struct tern_str bytes,
                                         struct tern_err *err);
enum tern_code __wrap_tern_outfile_write(int fd, uint64_t at, struct tern_str bytes,
                                         struct tern_err *err)
{
    if (disk_full) { /* half of it is there */
        (void)__real_tern_outfile_write(fd, at, tern_str_make(bytes.p, bytes.n / 2), err);
        return tern_fail(err, TERN_INTERNAL, "the disk is full");
    }
    return __real_tern_outfile_write(fd, at, bytes, err);
}

struct world {
    struct tree tree;
    struct tern_log log;
    unsigned n_lines;
    struct tern_trace_file *file;
    struct tern_trace_sink sink;
};

static void count_line(void *self, struct tern_str line)
{
    struct world *w = self;
    (void)line;
    w->n_lines++;
}

static void open_world(struct world *w)
{
    char path[TREE_PATH_MAX];

    memset(w, 0, sizeof(*w));
    disk_full = false;
    tree_init(&w->tree);
    tern_log_init(&w->log, (struct tern_log_sink){count_line, w}, TERN_LOG_INFO, TERN_LOG_JSON,
                  false);
    tree_path(&w->tree, "t.json", path);
    assert_int_equal(tern_trace_file_new(tern_str_of(path), &w->log, &w->file, NULL), TERN_OK);
    w->sink = tern_trace_file_sink(w->file);
}

static void close_world(struct world *w)
{
    w->sink.close(w->sink.self);
    tree_fini(&w->tree);
}

static uint32_t write_n(struct world *w, uint32_t n, uint64_t frequency)
{
    const struct tern_trace_record record = {.level = TERN_TRACE_TIMESTAMPS,
                                             .log_frequency = frequency,
                                             .model = TERN_STR("m"),
                                             .version = 1,
                                             .at = {[TERN_TRACE_AT_REQUEST_START] = 5}};
    const struct tern_trace_record *records[16];

    for (uint32_t i = 0; i < n; i++)
        records[i] = &record;
    return w->sink.write(w->sink.self, records, n);
}

/* How many requests the file tells of; -1: it is not there. */
static int count_in(struct world *w, const char *name)
{
    char path[TREE_PATH_MAX];
    json_error_t why;
    size_t i;
    json_t *one;
    int n = 0;

    tree_path(&w->tree, name, path);
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return -1;
    json_t *all = json_loadf(f, 0, &why);
    fclose(f);
    if (all == NULL)
        fail_msg("%s: %s", name, why.text);
    json_array_foreach(all, i, one) n += json_object_get(one, "model_name") != NULL;
    json_decref(all);
    return n;
}

static void the_file_is_whole_after_every_batch(void **state)
{
    struct world w;
    (void)state;
    open_world(&w);
    assert_int_equal(count_in(&w, "t.json"), -1);
    assert_int_equal(write_n(&w, 1, 0), 0);
    assert_int_equal(count_in(&w, "t.json"), 1);
    assert_int_equal(write_n(&w, 3, 0), 0);
    assert_int_equal(count_in(&w, "t.json"), 4);
    close_world(&w);
}

static void numbered_files_take_so_many_each(void **state)
{
    struct world w;
    (void)state;
    open_world(&w);
    write_n(&w, 3, 2);
    write_n(&w, 2, 2);
    write_n(&w, 1, 0);
    assert_int_equal(count_in(&w, "t.json.0"), 2);
    assert_int_equal(count_in(&w, "t.json.1"), 2);
    assert_int_equal(count_in(&w, "t.json.2"), 1);
    assert_int_equal(count_in(&w, "t.json"), 1);
    write_n(&w, 1, 1); /* the open one has as many already */
    assert_int_equal(count_in(&w, "t.json.2"), 1);
    assert_int_equal(count_in(&w, "t.json.3"), 1);
    close_world(&w);
}

static void what_was_written_in_part_is_written_over(void **state)
{
    struct world w;
    (void)state;
    open_world(&w);
    write_n(&w, 2, 0);
    disk_full = true;
    assert_int_equal(write_n(&w, 4, 0), 4);
    assert_int_equal(write_n(&w, 4, 0), 4);
    assert_int_equal(w.n_lines, 1); /* not one for each batch */
    disk_full = false;
    assert_int_equal(write_n(&w, 5, 0), 0);
    assert_int_equal(count_in(&w, "t.json"), 7);
    close_world(&w);
}

static void a_folder_that_is_not_there(void **state)
{
    struct world w;
    struct tern_trace_file *file;
    (void)state;
    open_world(&w);
    assert_int_equal(tern_trace_file_new(TERN_STR("/nowhere/t.json"), &w.log, &file, NULL),
                     TERN_OK);
    w.sink.close(w.sink.self);
    w.sink = tern_trace_file_sink(file);
    assert_int_equal(write_n(&w, 1, 0), 1);
    assert_int_equal(w.n_lines, 1);
    close_world(&w);
}

static void objects_of_a_request(void **state)
{
    static const int32_t ints[] = {1, -2};
    static const uint8_t bools[] = {1, 0};
    const struct tern_trace_tensor tensors[] = {
        {.name = TERN_STR("x"),
         .dtype = TERN_DTYPE_INT32,
         .shape = {2, {1, 2}},
         .data = ints,
         .n_bytes = 8},
        {.name = TERN_STR("s"),
         .dtype = TERN_DTYPE_BYTES,
         .shape = {1, {2}},
         .data = "\1\0\0\0a\2\0\0\0\"\n",
         .n_bytes = 11,
         .cut = true},
        {.output = true,
         .name = TERN_STR("y"),
         .dtype = TERN_DTYPE_BOOL,
         .shape = {1, {2}},
         .data = bools,
         .n_bytes = 2},
    };
    const struct tern_trace_record record = {
        .id = 9,
        .level = TERN_TRACE_TIMESTAMPS | TERN_TRACE_TENSORS,
        .grpc = true,
        .model = TERN_STR("m\""),
        .version = 3,
        .request_id = TERN_STR("r"),
        .at = {[TERN_TRACE_AT_RECV_START] = 1, [TERN_TRACE_AT_COMPUTE_END] = 2},
        .tensors = tensors,
        .n_tensors = 3,
    };
    struct tern_buf out;
    (void)state;
    tern_buf_init(&out, 1 << 20);
    tern_trace_file_format(&record, &out);
    tern_buf_add_char(&out, '\0');
    assert_string_equal(
        out.p,
        "{\"id\":9,\"model_name\":\"m\\\"\",\"model_version\":3,\"request_id\":\"r\"},\n"
        "{\"id\":9,\"timestamps\":[{\"name\":\"GRPC_WAITREAD_START\",\"ns\":1},"
        "{\"name\":\"COMPUTE_END\",\"ns\":2}]},\n"
        "{\"id\":9,\"activity\":\"TENSOR_QUEUE_INPUT\",\"tensor\":{\"name\":\"x\",\"data\":\"1,-"
        "2\","
        "\"shape\":\"1,2\",\"dtype\":\"INT32\"}},\n"
        "{\"id\":9,\"activity\":\"TENSOR_QUEUE_INPUT\",\"tensor\":{\"name\":\"s\",\"data\":"
        "\"\\\"a\\\",\\\"\\\"\\n\\\"\",\"shape\":\"2\",\"dtype\":\"BYTES\",\"truncated\":true}},\n"
        "{\"id\":9,\"activity\":\"TENSOR_BACKEND_OUTPUT\",\"tensor\":{\"name\":\"y\",\"data\":\"1,"
        "0\","
        "\"shape\":\"2\",\"dtype\":\"BOOL\"}}");
    tern_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_is_whole_after_every_batch),
        cmocka_unit_test(numbered_files_take_so_many_each),
        cmocka_unit_test(what_was_written_in_part_is_written_over),
        cmocka_unit_test(a_folder_that_is_not_there),
        cmocka_unit_test(objects_of_a_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
