/* Rows of every form into the tensors of a model, and the mistakes in them. */
// covers: cli/rows_csv cli/rows_json
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "cli/rows.h"
#include "cli/values.h"

static const struct tern_tensor_spec features[] = {
    {.name = {"features", 8}, .dtype = TERN_DTYPE_FP32, .shape = {2, {-1, 4}}}};
static const struct tern_tensor_spec image[] = {
    {.name = {"image", 5}, .dtype = TERN_DTYPE_UINT8, .shape = {3, {-1, 2, 2}}}};
static const struct tern_tensor_spec mixed[] = {
    {.name = {"age", 3}, .dtype = TERN_DTYPE_INT64, .shape = {2, {-1, 1}}},
    {.name = {"city", 4}, .dtype = TERN_DTYPE_BYTES, .shape = {2, {-1, 1}}},
    {.name = {"member", 6}, .dtype = TERN_DTYPE_BOOL, .shape = {1, {-1}}},
};
#define MODEL(specs)                                                          \
    {                                                                         \
        .name = {"m", 1}, .inputs = (specs), .n_inputs = TERN_COUNT_OF(specs) \
    }
static const struct tern_model_info features_model = MODEL(features);
static const struct tern_str points[] = {{"north", 5}, {"east", 4}, {"south", 5}, {"west", 4}};
static const struct tern_model_info named_model = {.name = {"m", 1},
                                                   .inputs = features,
                                                   .n_inputs = 1,
                                                   .feature_names = points,
                                                   .n_feature_names = 4};
static const struct tern_model_info image_model = MODEL(image);
static const struct tern_model_info mixed_model = MODEL(mixed);

static struct tern_arena arena;
static struct tern_err err;

static enum tern_code read_bytes(const struct tern_model_info *model, const char *bytes, size_t n,
                                 struct tern_rows *rows)
{
    char path[] = "/tmp/tern-rows-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
    err.text[0] = '\0';
    enum tern_code code = tern_rows_read(path, model, &arena, rows, &err);
    unlink(path);
    return code;
}

static struct tern_rows read_good(const struct tern_model_info *model, const char *text)
{
    struct tern_rows rows;

    if (read_bytes(model, text, strlen(text), &rows) != TERN_OK)
        fail_msg("%s: %s", text, err.text);
    return rows;
}

/* Shape and values on one line. */
static void check(const struct tern_rows *rows, uint32_t input, const char *wanted)
{
    const struct tern_tensor *tensor = &rows->inputs.rows[input];
    struct tern_buf out;
    char shape[160];
    size_t count;

    tern_buf_init(&out, 1u << 16);
    tern_buf_printf(&out, "%s %s", tern_dtype_name(tensor->dtype),
                    tern_shape_print(&tensor->shape, shape, sizeof(shape)));
    assert_true(tern_shape_count(&tensor->shape, &count));
    for (size_t i = 0; i < count; i++) {
        tern_buf_add_char(&out, ' ');
        tern_value_print(tensor, i, &out);
    }
    tern_buf_add_char(&out, '\0');
    assert_string_equal(out.p, wanted);
    tern_buf_fini(&out);
}

static void json_in_its_forms(void **state)
{
    static const char *const texts[] = {
        "[[1, 2, 3, 4], [5, 6, 7, 8.5]]",
        "{\"instances\": [[1, 2, 3, 4], [5, 6, 7, 8.5]]}",
        "{\"inputs\": [{\"data\": [1, 2, 3, 4, 5, 6, 7, 8.5], \"shape\": [2, 4], "
        "\"datatype\": \"FP32\", \"name\": \"features\"}]}",
    };

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(texts); i++) {
        struct tern_rows rows = read_good(&features_model, texts[i]);
        assert_int_equal(rows.n, 2);
        check(&rows, 0, "FP32 [2,4] 1 2 3 4 5 6 7 8.5");
    }
    struct tern_rows one = read_good(&features_model, " [1, 2, 3, 4]");
    check(&one, 0, "FP32 [1,4] 1 2 3 4");
    struct tern_rows flat = read_good(&image_model, "[[1, 2, 3, 4]]");
    check(&flat, 0, "UINT8 [1,2,2] 1 2 3 4");
}

static void examples_carry_answers(void **state)
{
    struct tern_v2_tensors recorded;
    struct tern_rows rows = read_good(
        &features_model,
        "{\"task\": \"classification\", \"tolerance\": 0.5, \"label_names\": [\"a\", \"b\"], "
        "\"labels\": [1], \"outputs\": {\"2\": [{\"name\": \"y\", \"datatype\": \"INT64\", "
        "\"shape\": [1], \"data\": [7]}]}, \"inputs\": [{\"name\": \"features\", \"datatype\": "
        "\"FP32\", \"shape\": [1, 4], \"data\": [1, 2, 3, 4]}]}");

    (void)state;
    assert_int_equal(rows.n_label_names, 2);
    assert_true(rows.labels[0].number == 1);
    assert_true(rows.tolerance == 0.5);
    assert_int_equal(tern_rows_recorded(&rows, TERN_STR("1"), &arena, &recorded, &err), TERN_OK);
    assert_int_equal(recorded.n, 0);
    assert_int_equal(tern_rows_recorded(&rows, TERN_STR("2"), &arena, &recorded, &err), TERN_OK);
    assert_int_equal(recorded.n, 1);
    assert_true(tern_value_get(&recorded.rows[0], 0) == 7);
}

static void csv_columns_find_their_inputs(void **state)
{
    struct tern_rows plain = read_good(&features_model, "1,2,3,4\n5,6,7,8\n");
    struct tern_rows named =
        read_good(&features_model, "a,b,label,c,d\n1,2,setosa,3,4\n5,6,1,7,nan\n");
    struct tern_rows by_name =
        read_good(&mixed_model, "city,extra,member,age\nBern,x,true,9007199254740993\n,y,0,-2\n");
    struct tern_rows in_order = read_good(&mixed_model, "3;Rome;1\n");
    struct tern_rows turned = read_good(
        &named_model, "west,south,label,extra,east,north\n4,3,setosa,x,,1\n8,7,1,y,6,5\n");
    struct tern_rows unnamed = read_good(&named_model, "a,b,c,d\n1,2,3,4\n");

    (void)state;
    check(&plain, 0, "FP32 [2,4] 1 2 3 4 5 6 7 8");
    assert_int_equal(plain.n_labels, 0);
    check(&named, 0, "FP32 [2,4] 1 2 3 4 5 6 7 nan");
    assert_int_equal(named.n_labels, 2);
    assert_true(tern_str_eq(named.labels[0].text, TERN_STR("setosa")));
    assert_true(named.labels[1].number == 1);
    check(&by_name, 0, "INT64 [2,1] 9007199254740993 -2");
    check(&by_name, 1, "BYTES [2,1] Bern ");
    check(&by_name, 2, "BOOL [2] true false");
    check(&in_order, 1, "BYTES [1,1] Rome");
    check(&turned, 0, "FP32 [2,4] 1 nan 3 4 5 6 7 8");
    assert_true(tern_str_eq(turned.labels[0].text, TERN_STR("setosa")));
    check(&unnamed, 0, "FP32 [1,4] 1 2 3 4");
}

static void npy_is_converted(void **state)
{
    static const char header[] =
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 4), }          \n";
    const double values[] = {1, 2.5, 3, 4};
    char file[10 + sizeof(header) - 1 + sizeof(values)] = "\x93NUMPY\x01\x00";
    struct tern_rows rows;

    (void)state;
    file[8] = (char)(sizeof(header) - 1);
    memcpy(file + 10, header, sizeof(header) - 1);
    memcpy(file + 10 + sizeof(header) - 1, values, sizeof(values));
    assert_int_equal(read_bytes(&features_model, file, sizeof(file), &rows), TERN_OK);
    check(&rows, 0, "FP32 [1,4] 1 2.5 3 4");
    assert_int_equal(read_bytes(&image_model, file, sizeof(file), &rows), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "2.5, which the type UINT8"));
}

static void mistakes_say_where(void **state)
{
    static const struct {
        const struct tern_model_info *model;
        const char *text;
        const char *error; /* part of it */
    } rows[] = {
        {&features_model, "", "no data"},
        {&features_model, " \n", "no data"},
        {&features_model, "[[1, 2, 3]]", "takes FP32 [-1,4]; the data has the shape [1,3]"},
        {&features_model, "[[1, 2, 3, 4], [5]]", ""},
        {&features_model, "{}", "no \"inputs\""},
        {&features_model, "{\"inputs\": [{\"name\": \"x\"}]}", "datatype"},
        {&features_model, "{\"inputs\": 3}", "line 1"},
        {&features_model, "a,b,c,d\n", "no row"},
        {&features_model, "1,2,3\n", "3 columns, but input 'features' takes [-1,4]: 4 columns"},
        {&features_model, "1,2,x,4\n", "line 1, column 3: 'x' is no FP32"},
        {&features_model, "a,b,c,d\n1,2,3,4\n1,2,-,4\n", "line 3, column 3: '-' is no FP32"},
        {&image_model, "1,2,3,\n", "'' is no UINT8"},
        {&named_model, "south,east,north,wets\n1,2,3,4\n", "no column 'west', though others"},
        {&features_model, "\xff\xfe\x01", "UTF-8"},
        {&image_model, "1,2,3,300\n", "column 4: '300' is no UINT8"},
        {&image_model, "1,2,3,1.5\n", "'1.5' is no UINT8"},
        {&mixed_model, "[[1]]", "models with one input"},
        {&mixed_model, "1,2\n", "name the columns"},
    };
    struct tern_rows result;

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        if (read_bytes(rows[i].model, rows[i].text, strlen(rows[i].text), &result) == TERN_OK)
            fail_msg("'%s' was read", rows[i].text);
        if (strstr(err.text, rows[i].error) == NULL)
            fail_msg("'%s' gave: %s", rows[i].text, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_in_its_forms),
        cmocka_unit_test(examples_carry_answers),
        cmocka_unit_test(csv_columns_find_their_inputs),
        cmocka_unit_test(npy_is_converted),
        cmocka_unit_test(mistakes_say_where),
    };

    tern_arena_init(&arena, 4096, 1u << 26);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tern_arena_fini(&arena);
    return failed;
}
