/* Loading: what is refused and in which words, options, data outside the file, and files that are
 * damaged in every way that a few hundred tries find. */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "base/mem.h"
#include "engine/onnx/onnx_model.h"
#include "onnx_fixture.h"
#include "os/file.h"

#define SEED 20260101u

static void expect_refusal(const char *path, const char *const *options, enum tern_code code,
                           const char *words)
{
    struct fixture f;
    enum tern_code got = try_load(&f, path, options, 1);
    if (got == TERN_OK)
        fail_msg("%s was loaded; expected: %s", path, words);
    if (strstr(f.err.text, words) == NULL)
        fail_msg("%s: expected \"%s\" in: %s", path, words, f.err.text);
    assert_int_equal(got, code);
}

/* ---- models that cannot be served ---- */

static void models_that_cannot_be_served_say_why(void **state)
{
    NEEDS_LIBRARY();
    static const struct {
        const char *path;
        const char *words;
    } rows[] = {
        {DATA "sequence.onnx", "output 'y' is a sequence"},
        {DATA "zipmap.onnx", "zipmap=False"},
        {DATA "float8.onnx", "output 'y' has elements of FLOAT8E4M3FN"},
    };
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++)
        expect_refusal(rows[i].path, NULL, TERN_INVALID_ARGUMENT, rows[i].words);
    struct fixture f;
    assert_int_not_equal(try_load(&f, DATA "unknown_op.onnx", NULL, 1), TERN_OK);
    assert_non_null(strstr(f.err.text, "Teleport"));
    assert_non_null(strstr(f.err.text, "(IR version 8, opsets ai.onnx 17, example.custom 1)"));
    expect_refusal(DATA "none_such.onnx", NULL, TERN_NOT_FOUND, "none_such.onnx");
}

static void bytes_in_memory_are_a_model_too(void **state)
{
    NEEDS_LIBRARY();
    struct tern_arena arena;
    struct tern_engine_model model;
    struct tern_err err = {0};
    char *bytes = NULL;
    size_t n = 0;

    assert_int_equal(tern_file_read(DATA "add_sub.onnx", 4096, 0, &bytes, &n, &err), TERN_OK);
    const struct tern_engine_load spec = {
        .name = TERN_STR("x"), .bytes = tern_str_make(bytes, n), .threads = 1};
    tern_arena_init(&arena, 1024, 1u << 20);
    assert_int_equal(tern_onnx_engine.load(&spec, &arena, &model, &err), TERN_OK);
    tern_mem_free(bytes); /* borrowed during load only */
    assert_int_equal(model.n_inputs, 2);
    assert_true(tern_str_eq(model.inputs[1].name, TERN_STR("INPUT1")));
    assert_string_equal(model.platform, "onnxruntime_onnx");
    for (int i = 0; i < 2; i++) { /* the second one makes its session from the kept bytes */
        void *instance[2];
        assert_int_equal(tern_onnx_engine.instance_new(&model, &instance[0], &err), TERN_OK);
        assert_int_equal(tern_onnx_engine.instance_new(&model, &instance[1], &err), TERN_OK);
        tern_onnx_engine.instance_free(&model, instance[0]);
        tern_onnx_engine.instance_free(&model, instance[1]);
    }
    tern_onnx_engine.unload(&model);
    tern_arena_fini(&arena);
}

/* ---- options ---- */

static void options_are_taken_or_refused_by_name(void **state)
{
    NEEDS_LIBRARY();
    static const char *const good[] = {
        "intra_op_thread_count=2",
        "intra_op_thread_count=0",
        "inter_op_thread_count=2",
        "execution_mode=1",
        "execution_mode=parallel",
        "execution_mode=SEQUENTIAL",
        "optimization.graph.level=-1",
        "optimization.graph.level=2",
        "graph_optimization_level=basic",
        "enable_mem_arena=0",
        "enable_mem_arena=true",
        "enable_mem_pattern=0",
        "share_session=1",
        "arena_extend_strategy=1",
        "memory.enable_memory_arena_shrinkage=cpu:0",
        "execution_providers=cpu",
        "execution_providers=CPUExecutionProvider",
        "session.set_denormal_as_zero=1",
        "session.use_device_allocator_for_initializers=1",
    };
    static const struct {
        const char *option;
        const char *words;
    } bad[] = {
        {"colour=blue", "option colour is not known"},
        {"colour=blue", "intra_op_thread_count"},
        {"intra_op_thread_count=two", "expected a number from 0 to 1024, got \"two\""},
        {"inter_op_thread_count=1025", "got \"1025\""},
        {"execution_mode=2", "expected one of 0, 1, sequential, parallel, got \"2\""},
        {"optimization.graph.level=3", "expected one of -1, 1, 2"},
        {"graph_optimization_level=99", "none, basic, extended, all"},
        {"enable_mem_arena=maybe", "got \"maybe\""},
        {"execution_providers=quantum", "no provider \"quantum\"; it has "},
        {"execution_providers=quantum", "CPU"},
        {"execution_providers=a,,b", "expected names with commas"},
        {"execution_providers=1,2,3,4,5,6,7,8,9", "more than 8 names"},
        {"session.load_model_format=ORT", "cannot be set"},
        {"session.model_external_initializers_file_folder_path=/", "cannot be set"},
        {"cuda.device_id=0", "option cuda.device_id is not known"},
        {"arena_extend_strategy=0", "they share one arena"}, /* after the 1 above */
    };
    const float x[] = {1, 2, 3};

    for (size_t i = 0; i < TERN_COUNT_OF(good); i++) {
        struct fixture f;
        struct tern_tensor out = {0};
        open_with(&f, DATA "unnamed.onnx", (const char *const[]){good[i], NULL}, 1);
        struct tern_tensor in = tensor_of(&f, 0, SHAPE(1, 3), x, sizeof(x));
        if (infer(&f, &in, 1, &out) != TERN_OK)
            fail_msg("%s: %s", good[i], f.err.text);
        assert_true(((const float *)out.data)[2] == -3.0f);
        close_model(&f);
    }
    for (size_t i = 0; i < TERN_COUNT_OF(bad); i++) {
        struct fixture f;
        enum tern_code code =
            try_load(&f, DATA "unnamed.onnx", (const char *const[]){bad[i].option, NULL}, 1);
        if (code == TERN_OK || strstr(f.err.text, bad[i].words) == NULL)
            fail_msg("%s: expected \"%s\" in: %s", bad[i].option, bad[i].words, f.err.text);
    }
}

/* What only a run shows: the library reads this option then. */
static void a_bad_shrinkage_fails_the_run(void **state)
{
    NEEDS_LIBRARY();
    struct fixture f;
    const float x[] = {1, 2, 3};
    struct tern_tensor out = {0};

    open_with(&f, DATA "unnamed.onnx",
              (const char *const[]){"memory.enable_memory_arena_shrinkage=moon:0", NULL}, 1);
    struct tern_tensor in = tensor_of(&f, 0, SHAPE(1, 3), x, sizeof(x));
    assert_int_not_equal(infer(&f, &in, 1, &out), TERN_OK);
    assert_non_null(strstr(f.err.text, "moon"));
    close_model(&f);
}

static void large_models_with_ever_new_shapes_give_memory_back(void **state)
{
    NEEDS_LIBRARY();
    static const struct {
        const char *path;
        const char *options[3];
        const char *shrinkage;
    } rows[] = {
        {DATA "identity_fp32.onnx", {"share_session=1"}, "cpu:0"},
        {DATA "identity_fp32.onnx", {"share_session=1", "arena_extend_strategy=1"}, "cpu:0"},
        {DATA "identity_fp32.onnx", {"share_session=1", "enable_mem_arena=0"}, NULL},
        {DATA "identity_fp32.onnx", {NULL}, NULL},        /* small: its own session */
        {DATA "unnamed.onnx", {"share_session=1"}, NULL}, /* only the batch varies */
    };
    static const float x[4096 * 3];

    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        struct fixture f;
        struct tern_tensor out = {0};
        open_with(&f, rows[i].path, rows[i].options, 1);
        const struct tern_onnx_model *model = f.model.state;
        if (rows[i].shrinkage == NULL)
            assert_null(model->shrinkage);
        else
            assert_string_equal(model->shrinkage, rows[i].shrinkage);
        struct tern_tensor in = tensor_of(&f, 0, SHAPE(4096, 3), x, sizeof(x));
        if (infer(&f, &in, 1, &out) != TERN_OK)
            fail_msg("row %zu: %s", i, f.err.text);
        close_model(&f);
    }
}

/* ---- data outside the file ---- */

static void write_file(const char *path, const void *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

/* tests/data/onnx/external copied to a new folder, its location (11 bytes) replaced. */
struct external {
    char folder[64];
    char model[128];
    char weights[128];
};

static void make_external(struct external *e, const char *location, const char *weights_name)
{
    static const char from[] = "weights.bin";
    const float w[] = {1, 2, 3, 4};
    char *bytes = NULL;
    size_t n = 0;
    struct tern_err err;

    snprintf(e->folder, sizeof(e->folder), "/tmp/tern-onnx-XXXXXX");
    assert_non_null(mkdtemp(e->folder));
    snprintf(e->model, sizeof(e->model), "%s/model.onnx", e->folder);
    snprintf(e->weights, sizeof(e->weights), "%s/%s", e->folder, weights_name);
    assert_int_equal(tern_file_read(DATA "external/model.onnx", 4096, 0, &bytes, &n, &err),
                     TERN_OK);
    char *at = memmem(bytes, n, from, sizeof(from) - 1);
    assert_non_null(at);
    assert_int_equal(strlen(location), sizeof(from) - 1);
    memcpy(at, location, sizeof(from) - 1);
    write_file(e->model, bytes, n);
    write_file(e->weights, w, sizeof(w));
    tern_mem_free(bytes);
}

static void remove_external(const struct external *e)
{
    unlink(e->model);
    unlink(e->weights);
    rmdir(e->folder);
}

static void data_beside_the_model_is_used(void **state)
{
    NEEDS_LIBRARY();
    struct external e;
    struct fixture f;
    const float x[] = {10, 20, 30, 40};
    struct tern_tensor out = {0};

    make_external(&e, "weights.bin", "weights.bin");
    open_model(&f, e.model);
    struct tern_tensor in = tensor_of(&f, 0, SHAPE(1, 4), x, sizeof(x));
    assert_int_equal(infer(&f, &in, 1, &out), TERN_OK);
    assert_true(((const float *)out.data)[3] == 44.0f);
    close_model(&f);
    write_file(e.weights, x, 15); /* one byte short */
    expect_refusal(e.model, NULL, TERN_INVALID_ARGUMENT, "past the end of its file");
    unlink(e.weights);
    expect_refusal(e.model, NULL, TERN_NOT_FOUND, "the data of tensor 'w'");
    remove_external(&e);
}

static void data_elsewhere_is_refused(void **state)
{
    (void)state; /* the scan comes before the library */
    static const char *const locations[] = {"/etc/passwd", "../secret.x", "a/../../b.c",
                                            "*/_ORT_MEM_"};
    for (size_t i = 0; i < TERN_COUNT_OF(locations); i++) {
        struct external e;
        make_external(&e, locations[i], "weights.bin");
        expect_refusal(e.model, NULL, TERN_INVALID_ARGUMENT, "only a file inside");
        remove_external(&e);
    }
}

static void links_are_refused(void **state)
{
    (void)state;
    struct external e;
    char other[192];

    make_external(&e, "weights.bin", "other.bin");
    snprintf(other, sizeof(other), "%s/weights.bin", e.folder);
    assert_int_equal(symlink("other.bin", other), 0);
    expect_refusal(e.model, NULL, TERN_INVALID_ARGUMENT, "symbolic link");
    unlink(other);
    assert_int_equal(link(e.weights, other), 0);
    expect_refusal(e.model, NULL, TERN_INVALID_ARGUMENT, "hard link");
    unlink(other);
    assert_int_equal(mkfifo(other, 0600), 0);
    expect_refusal(e.model, NULL, TERN_INVALID_ARGUMENT, "not a regular one");
    unlink(other);
    remove_external(&e);

    make_external(&e, "down/we.bin", "we.bin"); /* the folder on the way is a link */
    snprintf(other, sizeof(other), "%s/down", e.folder);
    assert_int_equal(symlink(".", other), 0);
    expect_refusal(e.model, NULL, TERN_INVALID_ARGUMENT, "symbolic link");
    unlink(other);
    remove_external(&e);
}

static void bytes_without_a_folder_cannot_have_data_elsewhere(void **state)
{
    (void)state;
    struct tern_arena arena;
    struct tern_engine_model model;
    struct tern_err err = {0};
    char *bytes = NULL;
    size_t n = 0;

    assert_int_equal(tern_file_read(DATA "external/model.onnx", 4096, 0, &bytes, &n, &err),
                     TERN_OK);
    const struct tern_engine_load spec = {.bytes = tern_str_make(bytes, n), .threads = 1};
    tern_arena_init(&arena, 1024, 1u << 20);
    assert_int_equal(tern_onnx_engine.load(&spec, &arena, &model, &err), TERN_INVALID_ARGUMENT);
    assert_non_null(strstr(err.text, "without its folder"));
    tern_arena_fini(&arena);
    tern_mem_free(bytes);
}

/* ---- damage ---- */

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Loads bytes and, when that works, runs them once with what the model says it takes. */
static void load_and_run(struct tern_str bytes)
{
    static const uint8_t zeros[1u << 16];
    struct fixture f = {.instance = NULL};
    const struct tern_engine_load spec = {.name = TERN_STR("d"), .bytes = bytes, .threads = 1};

    tern_arena_init(&f.model_arena, 1024, 1u << 20);
    tern_arena_init(&f.arena, 1024, 4u << 20);
    enum tern_code code = tern_onnx_engine.load(&spec, &f.model_arena, &f.model, &f.err);
    if (code != TERN_OK && (f.err.code != code || f.err.text[0] == '\0'))
        _exit(3);
    if (code == TERN_OK) {
        struct tern_tensor in[8];
        struct tern_tensor out[8] = {0};
        uint32_t n = 0;
        for (; n < f.model.n_inputs && n < 8 && !f.model.inputs[n].optional; n++) {
            struct tern_shape shape = f.model.inputs[n].shape;
            size_t n_bytes = 0;
            for (int d = 0; d < shape.rank; d++)
                shape.dim[d] = shape.dim[d] < 0 ? 1 : shape.dim[d];
            if (tern_shape_bytes(TERN_STR(""), f.model.inputs[n].dtype, &shape, &n_bytes, NULL) !=
                    TERN_OK ||
                n_bytes > sizeof(zeros))
                break;
            in[n] = tensor_of(&f, n, shape, zeros, n_bytes);
        }
        if (tern_onnx_engine.instance_new(&f.model, &f.instance, &f.err) == TERN_OK) {
            if (n == f.model.n_inputs && f.model.n_outputs <= 8)
                (void)infer(&f, in, n, out);
            tern_arena_reset(&f.arena);
            tern_onnx_engine.instance_free(&f.model, f.instance);
        }
        tern_onnx_engine.unload(&f.model);
    }
    tern_arena_fini(&f.arena);
    tern_arena_fini(&f.model_arena);
}

/* One try of a sweep: writes what to load into dst, answers its size; SIZE_MAX after the last. */
typedef size_t (*damage_fn)(uint32_t k, const char *bytes, size_t n, char *dst);

static size_t cut(uint32_t k, const char *bytes, size_t n, char *dst)
{
    if (k >= 100)
        return SIZE_MAX;
    size_t size = n * k / 100;
    if (size > 0)
        memcpy(dst, bytes, size);
    return size;
}

static size_t flip(uint32_t k, const char *bytes, size_t n, char *dst)
{
    uint32_t seed = SEED + k * 7919;
    if (k >= 60)
        return SIZE_MAX;
    memcpy(dst, bytes, n);
    for (uint32_t i = 0; i <= k % 4; i++)
        dst[next_random(&seed) % n] = (char)next_random(&seed);
    return n;
}

static size_t noise(uint32_t k, const char *bytes, size_t n, char *dst)
{
    uint32_t seed = SEED + k;
    (void)bytes;
    if (k >= 100)
        return SIZE_MAX;
    for (size_t i = 0; i < n; i++)
        dst[i] = (char)next_random(&seed);
    return n;
}

/* Runs a sweep in a child, which writes its progress: a crash is the failure of one known case. */
static void sweep(const char *path, damage_fn damage)
{
    char *bytes = NULL;
    size_t n = 0;
    struct tern_err err;
    int progress[2];
    uint32_t k = 0;
    uint32_t last = 0;

    assert_int_equal(tern_file_read(path, 1u << 20, 0, &bytes, &n, &err), TERN_OK);
    assert_int_equal(pipe(progress), 0);
    fflush(stdout);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char *dst = tern_mem_alloc(n + 1);
        for (size_t size; dst != NULL && (size = damage(k, bytes, n, dst)) != SIZE_MAX; k++) {
            if (write(progress[1], &k, sizeof(k)) != (ssize_t)sizeof(k))
                _exit(4);
            load_and_run(tern_str_make(dst, size));
        }
        _exit(0);
    }
    close(progress[1]);
    while (read(progress[0], &k, sizeof(k)) == (ssize_t)sizeof(k))
        last = k;
    close(progress[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    tern_mem_free(bytes);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("%s: case %u of the sweep ended with status %d (signal %d)", path, last, status,
                 WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    assert_true(last > 10);
}

static const char *const victims[] = {
    DATA "add_sub.onnx",
    DATA "slow_loop.onnx",
    DATA "gather.onnx",
    "examples/models/iris/1/model.onnx",
    "examples/models/diabetes/2/model.onnx",
    "examples/models/digits_cnn/1/model.onnx",
};

static void files_that_are_cut_off_never_crash(void **state)
{
    NEEDS_LIBRARY();
    for (size_t i = 0; i < TERN_COUNT_OF(victims); i++)
        sweep(victims[i], cut);
}

static void files_with_wrong_bytes_never_crash(void **state)
{
    NEEDS_LIBRARY();
    for (size_t i = 0; i < TERN_COUNT_OF(victims); i++)
        sweep(victims[i], flip);
}

static void noise_never_crashes(void **state)
{
    NEEDS_LIBRARY();
    sweep(DATA "slow_loop.onnx", noise);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_that_are_cut_off_never_crash),
        cmocka_unit_test(files_with_wrong_bytes_never_crash),
        cmocka_unit_test(noise_never_crashes),
        cmocka_unit_test(models_that_cannot_be_served_say_why),
        cmocka_unit_test(bytes_in_memory_are_a_model_too),
        cmocka_unit_test(options_are_taken_or_refused_by_name),
        cmocka_unit_test(a_bad_shrinkage_fails_the_run),
        cmocka_unit_test(large_models_with_ever_new_shapes_give_memory_back),
        cmocka_unit_test(data_beside_the_model_is_used),
        cmocka_unit_test(data_elsewhere_is_refused),
        cmocka_unit_test(links_are_refused),
        cmocka_unit_test(bytes_without_a_folder_cannot_have_data_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
