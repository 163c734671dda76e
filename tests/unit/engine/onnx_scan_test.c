/* The look at a model file before ONNX Runtime sees it. Files are built by hand here, byte by byte,
 * so that what is wrong with each is in plain sight. */
#include "engine/onnx/onnx_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/compiler.h"

/* ---- writing protobuf ---- */

static void put_varint(struct tern_buf *buf, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        tern_buf_add_char(buf, (char)(v | 0x80));
    tern_buf_add_char(buf, (char)v);
}

static void put_number(struct tern_buf *buf, uint32_t field, uint64_t v)
{
    put_varint(buf, field << 3);
    put_varint(buf, v);
}

static void put_text(struct tern_buf *buf, uint32_t field, struct tern_str text)
{
    put_varint(buf, field << 3 | 2);
    put_varint(buf, text.n);
    tern_buf_add_str(buf, text);
}

static void put_message(struct tern_buf *buf, uint32_t field, struct tern_buf *message)
{
    put_text(buf, field, tern_buf_str(message));
    tern_buf_fini(message);
}

static struct tern_buf new_message(void)
{
    struct tern_buf buf;
    tern_buf_init(&buf, 1u << 20);
    return buf;
}

/* A model around one graph. */
static struct tern_buf model_of(struct tern_buf *graph)
{
    struct tern_buf model = new_message();
    struct tern_buf opset = new_message();
    put_number(&model, 1, 8);
    put_number(&opset, 2, 17);
    put_message(&model, 7, graph);
    put_message(&model, 8, &opset);
    return model;
}

static void put_entry(struct tern_buf *tensor, const char *key, const char *value)
{
    struct tern_buf entry = new_message();
    put_text(&entry, 1, tern_str_of(key));
    put_text(&entry, 2, tern_str_of(value));
    put_message(tensor, 13, &entry);
}

/* A graph with one tensor whose data lie at `location`. */
static struct tern_buf external_graph(const char *location)
{
    struct tern_buf graph = new_message();
    struct tern_buf tensor = new_message();
    put_text(&tensor, 8, TERN_STR("w"));
    put_entry(&tensor, "location", location);
    put_number(&tensor, 14, 1);
    put_message(&graph, 5, &tensor);
    return graph;
}

struct seen {
    uint32_t n;
    struct tern_onnx_external last;
};

static enum tern_code note(void *arg, const struct tern_onnx_external *tensor, struct tern_err *err)
{
    struct seen *seen = arg;
    (void)err;
    seen->n++;
    seen->last = *tensor;
    return TERN_OK;
}

static enum tern_code scan_buf(struct tern_buf *buf, struct tern_onnx_scan *scan, struct seen *seen,
                               struct tern_err *err)
{
    *seen = (struct seen){0};
    return tern_onnx_scan(tern_buf_str(buf), note, seen, scan, err);
}

/* ---- tests ---- */

static void says_what_a_file_is_instead(void **state)
{
    (void)state;
    static const struct {
        struct tern_str bytes;
        const char *words;
    } rows[] = {
        {{"", 0}, "is empty"},
        {{"PK\x03\x04rest", 8}, "zip archive"},
        {{"\x89HDF\r\n", 6}, "HDF5"},
        {{"\x80\x04\x95", 3}, "pickle"},
        {{"\x08\x00\x00\x00ORTM", 8}, "ORT format"},
        {{"GGUF\x03", 5}, "GGUF"},
        {{"\x1f\x8b\x08", 3}, "gzip"},
        {{"version https://git-lfs.github.com/spec/v1\n", 43}, "git lfs pull"},
        {{"<html>", 6}, "XML or HTML"},
        {{"{\"a\": 1}", 8}, "JSON"},
        {{"hello world", 11}, "not ONNX"},
        {{"\x08", 1}, "not ONNX"},
        {{"\x08\x08", 2}, "no graph"},
        {{"\x0f\x00", 2}, "unknown kind of field"},
        {{"\x00\x00", 2}, "bad field number"},
        {{"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12}, "bad number"},
        {{"\x3a\x05\x0a", 3}, "cut off: field 7"},
        {{"\x39\x05\x0a", 3}, "number that is cut off"},
        {{"\x38\x05\x0a", 3}, "number where a message belongs"},
        {{"\x3a\x02\x0a\x09", 4}, "cut off"},
        {{"\x3a\x02\x0a\x09\x08\x01", 6}, "larger than what holds it"},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct tern_onnx_scan scan;
        struct seen seen = {0};
        struct tern_err err = {0};
        assert_int_equal(tern_onnx_scan(rows[i].bytes, note, &seen, &scan, &err),
                         TERN_INVALID_ARGUMENT);
        if (strstr(err.text, rows[i].words) == NULL)
            fail_msg("row %zu: expected \"%s\" in: %s", i, rows[i].words, err.text);
    }
}

static void lists_versions_and_counts(void **state)
{
    (void)state;
    struct tern_buf graph = new_message();
    struct tern_buf opset = new_message();
    struct tern_onnx_scan scan;
    struct seen seen;
    struct tern_err err = {0};
    char text[128];

    for (int i = 0; i < 3; i++) {
        struct tern_buf node = new_message();
        put_text(&node, 4, TERN_STR("Relu"));
        put_message(&graph, 1, &node);
    }
    struct tern_buf model = model_of(&graph);
    put_text(&opset, 1, TERN_STR("ai.onnx.ml"));
    put_number(&opset, 2, 1);
    put_message(&model, 8, &opset);
    assert_int_equal(scan_buf(&model, &scan, &seen, &err), TERN_OK);
    assert_int_equal(scan.n_nodes, 3);
    assert_int_equal(scan.n_tensors, 0);
    assert_string_equal(tern_onnx_scan_print(&scan, text, sizeof(text)),
                        "IR version 8, opsets ai.onnx 17, ai.onnx.ml 1");
    tern_onnx_scan_print(&scan, text, 20);
    assert_int_equal(strlen(text), 19);
    tern_buf_fini(&model);
}

static void reports_tensors_with_data_elsewhere(void **state)
{
    (void)state;
    struct tern_buf graph = new_message();
    struct tern_buf node = new_message();
    struct tern_buf attribute = new_message();
    struct tern_buf inner = external_graph("deep/w.bin");
    struct tern_buf tensor = new_message();
    struct tern_onnx_scan scan;
    struct seen seen;
    struct tern_err err = {0};

    put_message(&attribute, 6, &inner); /* in the body of a Loop, say */
    put_message(&node, 5, &attribute);
    put_message(&graph, 1, &node);
    put_entry(&tensor, "offset", "4096");
    put_entry(&tensor, "length", "12");
    put_entry(&tensor, "checksum", "abc");
    put_entry(&tensor, "location", "w.bin");
    put_text(&tensor, 8, TERN_STR("named late"));
    put_message(&graph, 5, &tensor);
    struct tern_buf model = model_of(&graph);
    assert_int_equal(scan_buf(&model, &scan, &seen, &err), TERN_OK);
    assert_int_equal(seen.n, 2);
    assert_int_equal(scan.n_external, 2);
    assert_int_equal(seen.last.offset, 4096);
    assert_int_equal(seen.last.length, 12);
    assert_true(tern_str_eq(seen.last.tensor, TERN_STR("named late")));
    assert_true(tern_str_eq(seen.last.location, TERN_STR("w.bin")));
    tern_buf_fini(&model);
}

static void refuses_locations_outside_the_folder(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "/etc/passwd", "../w.bin", "a/../../w.bin", "a/..",
        "..",          ".",        "./w.bin",       "a//b",
        "a/",          "",         "a\\b",          "*/_ORT_MEM_ADDR_/*",
        "a\nb",        "\x01",
    };
    static const char *const good[] = {"w.bin", "a/b/c.data", "..w", "w..bin", "weights of x"};
    struct tern_onnx_scan scan;
    struct seen seen;
    struct tern_err err = {0};

    for (size_t i = 0; i < TERN_COUNT_OF(bad); i++) {
        struct tern_buf graph = external_graph(bad[i]);
        struct tern_buf model = model_of(&graph);
        assert_int_equal(scan_buf(&model, &scan, &seen, &err), TERN_INVALID_ARGUMENT);
        assert_int_equal(seen.n, 0);
        assert_non_null(strstr(err.text, "tensor 'w'"));
        tern_buf_fini(&model);
    }
    for (size_t i = 0; i < TERN_COUNT_OF(good); i++) {
        struct tern_buf graph = external_graph(good[i]);
        struct tern_buf model = model_of(&graph);
        assert_int_equal(scan_buf(&model, &scan, &seen, &err), TERN_OK);
        assert_int_equal(seen.n, 1);
        tern_buf_fini(&model);
    }
}

/* Tricks with repetition: what one reader takes from the first, another takes from the last. */
static void refuses_fields_that_come_twice(void **state)
{
    (void)state;
    struct tern_buf graph = new_message();
    struct tern_buf tensor = new_message();
    struct tern_onnx_scan scan;
    struct seen seen;
    struct tern_err err = {0};

    put_entry(&tensor, "location", "good.bin");
    put_entry(&tensor, "location", "/etc/passwd");
    put_message(&graph, 5, &tensor);
    struct tern_buf model = model_of(&graph);
    assert_int_equal(scan_buf(&model, &scan, &seen, &err), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "two locations"));
    tern_buf_fini(&model);

    graph = new_message();
    model = model_of(&graph);
    graph = new_message();
    put_message(&model, 7, &graph);
    assert_int_equal(scan_buf(&model, &scan, &seen, &err), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "came twice"));
    tern_buf_fini(&model);
}

static void bad_offsets_and_missing_locations_are_refused(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"offset", "-1"}, {"offset", "9223372036854775808"}, {"length", "x"}, {"length", ""}};
    struct tern_onnx_scan scan;
    struct seen seen;
    struct tern_err err = {0};

    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct tern_buf graph = new_message();
        struct tern_buf tensor = new_message();
        put_entry(&tensor, rows[i][0], rows[i][1]);
        put_message(&graph, 5, &tensor);
        struct tern_buf model = model_of(&graph);
        assert_int_equal(scan_buf(&model, &scan, &seen, &err), TERN_INVALID_ARGUMENT);
        tern_buf_fini(&model);
    }
    struct tern_buf graph = new_message();
    struct tern_buf tensor = new_message();
    put_number(&tensor, 14, 1); /* external, and no word of where */
    put_message(&graph, 5, &tensor);
    struct tern_buf model = model_of(&graph);
    assert_int_equal(scan_buf(&model, &scan, &seen, &err), TERN_INVALID_ARGUMENT);
    assert_int_equal(seen.n, 0);
    tern_buf_fini(&model);
}

static void depth_and_counts_have_limits(void **state)
{
    (void)state;
    struct tern_onnx_scan scan;
    struct seen seen;
    struct tern_err err = {0};

    struct tern_buf graph = new_message();
    for (int i = 0; i < 30; i++) { /* graph in attribute in node in graph ... */
        struct tern_buf attribute = new_message();
        struct tern_buf node = new_message();
        struct tern_buf outer = new_message();
        put_message(&attribute, 6, &graph);
        put_message(&node, 5, &attribute);
        put_message(&outer, 1, &node);
        graph = outer;
    }
    struct tern_buf model = model_of(&graph);
    assert_int_equal(scan_buf(&model, &scan, &seen, &err), TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.text, "nest deeper"));
    tern_buf_fini(&model);

    graph = new_message();
    model = model_of(&graph);
    for (int i = 0; i < TERN_ONNX_OPSETS_MAX; i++) {
        struct tern_buf opset = new_message();
        put_number(&opset, 2, 1);
        put_message(&model, 8, &opset);
    }
    assert_int_equal(scan_buf(&model, &scan, &seen, &err), TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.text, "opsets"));
    tern_buf_fini(&model);

    graph = new_message();
    graph.max = 4u << 20;
    for (uint32_t i = 0; i < TERN_ONNX_NODES_MAX + 1; i++)
        put_text(&graph, 1, TERN_STR(""));
    model = new_message();
    model.max = 8u << 20;
    put_message(&model, 7, &graph);
    assert_false(model.failed);
    assert_int_equal(scan_buf(&model, &scan, &seen, &err), TERN_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(err.text, "nodes"));
    tern_buf_fini(&model);
}

static enum tern_code refuse(void *arg, const struct tern_onnx_external *tensor,
                             struct tern_err *err)
{
    (void)arg;
    return tern_fail(err, TERN_ABORTED, "no: %.*s", TERN_STR_ARG(tensor->location));
}

static void an_error_of_the_callback_ends_the_scan(void **state)
{
    (void)state;
    struct tern_onnx_scan scan = {.n_nodes = 7};
    struct tern_err err = {0};
    struct tern_buf graph = external_graph("w.bin");
    struct tern_buf model = model_of(&graph);

    assert_int_equal(tern_onnx_scan(tern_buf_str(&model), refuse, NULL, &scan, &err), TERN_ABORTED);
    assert_string_equal(err.text, "no: w.bin");
    assert_int_equal(scan.n_nodes, 7);
    tern_buf_fini(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_a_file_is_instead),
        cmocka_unit_test(lists_versions_and_counts),
        cmocka_unit_test(reports_tensors_with_data_elsewhere),
        cmocka_unit_test(refuses_locations_outside_the_folder),
        cmocka_unit_test(refuses_fields_that_come_twice),
        cmocka_unit_test(bad_offsets_and_missing_locations_are_refused),
        cmocka_unit_test(depth_and_counts_have_limits),
        cmocka_unit_test(an_error_of_the_callback_ends_the_scan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
