/* The part of ONNX Runtime's C ABI that Tern calls, written from its public documentation
 * (https://onnxruntime.ai/docs/api/c/struct_ort_api.html).
 *
 * The library exports one function, OrtGetApiBase. From it comes a table of function pointers that
 * only ever grows at its end: a slot keeps its number and its type for ever, whatever the release.
 * So no header of the library is needed, and none of its releases is preferred. */
#ifndef TERN_ENGINE_ONNX_ORT_ABI_H
#define TERN_ENGINE_ONNX_ORT_ABI_H

#include <stddef.h>
#include <stdint.h>

/* The newest table whose slots were compared with this file, and the oldest release with all of
 * TERN_ORT_SLOTS that Tern accepts. */
#define TERN_ORT_API_MAX 29
#define TERN_ORT_API_MIN 18

/* Owned by the library; each kind has its Release function. */
struct ort_status;
struct ort_env;
struct ort_session;
struct ort_session_options;
struct ort_run_options;
struct ort_value;
struct ort_type_info;
struct ort_tensor_info; /* shape and element type */
struct ort_memory_info;
struct ort_allocator;
struct ort_arena_config;
struct ort_cuda_options;
struct ort_io_binding;

enum ort_error {
    ORT_OK,
    ORT_FAIL,
    ORT_INVALID_ARGUMENT,
    ORT_NO_SUCHFILE,
    ORT_NO_MODEL,
    ORT_ENGINE_ERROR,
    ORT_RUNTIME_EXCEPTION,
    ORT_INVALID_PROTOBUF,
    ORT_MODEL_LOADED,
    ORT_NOT_IMPLEMENTED,
    ORT_INVALID_GRAPH,
    ORT_EP_FAIL,
};

/* Later numbers (8-bit floats, 4-bit and 2-bit integers) have no place in a request. */
enum ort_element {
    ORT_ELEMENT_UNDEFINED,
    ORT_ELEMENT_FLOAT,
    ORT_ELEMENT_UINT8,
    ORT_ELEMENT_INT8,
    ORT_ELEMENT_UINT16,
    ORT_ELEMENT_INT16,
    ORT_ELEMENT_INT32,
    ORT_ELEMENT_INT64,
    ORT_ELEMENT_STRING,
    ORT_ELEMENT_BOOL,
    ORT_ELEMENT_FLOAT16,
    ORT_ELEMENT_DOUBLE,
    ORT_ELEMENT_UINT32,
    ORT_ELEMENT_UINT64,
    ORT_ELEMENT_COMPLEX64,
    ORT_ELEMENT_COMPLEX128,
    ORT_ELEMENT_BFLOAT16,
};

/* What a value is. */
enum ort_kind {
    ORT_KIND_UNKNOWN,
    ORT_KIND_TENSOR,
    ORT_KIND_SEQUENCE,
    ORT_KIND_MAP,
    ORT_KIND_OPAQUE,
    ORT_KIND_SPARSE,
    ORT_KIND_OPTIONAL,
};

enum ort_log_level { ORT_LOG_WARNING = 2 };
enum ort_allocator_kind { ORT_ALLOCATOR_ARENA = 1 };
enum ort_memory_kind { ORT_MEMORY_DEFAULT = 0 };

typedef void (*ort_log_fn)(void *arg, int level, const char *category, const char *log_id,
                           const char *code_location, const char *message);
/* A slot of the table before its type is known. */
typedef void (*ort_slot_fn)(void);

struct ort_api_base {
    /* NULL, and a line on stderr, when the library is older than `version`. */
    const ort_slot_fn *(*get_api)(uint32_t version);
    const char *(*get_version)(void);
};

/* X(result, name, slot, parameters). Out-parameters come last; a NULL status means success. */
// clang-format off
#define TERN_ORT_SLOTS(X) \
    X(struct ort_status *, CreateStatus, 0, (int code, const char *text)) \
    X(int, GetErrorCode, 1, (const struct ort_status *)) \
    X(const char *, GetErrorMessage, 2, (const struct ort_status *)) \
    X(struct ort_status *, CreateEnvWithCustomLogger, 4, \
      (ort_log_fn log, void *arg, int level, const char *log_id, struct ort_env **)) \
    X(struct ort_status *, CreateSessionFromArray, 8, \
      (const struct ort_env *, const void *bytes, size_t n_bytes, \
       const struct ort_session_options *, struct ort_session **)) \
    X(struct ort_status *, Run, 9, \
      (struct ort_session *, const struct ort_run_options *, const char *const *input_names, \
       const struct ort_value *const *inputs, size_t n_inputs, const char *const *output_names, \
       size_t n_outputs, struct ort_value **outputs)) \
    X(struct ort_status *, CreateSessionOptions, 10, (struct ort_session_options **)) \
    X(struct ort_status *, SetSessionExecutionMode, 13, (struct ort_session_options *, int mode)) \
    X(struct ort_status *, EnableMemPattern, 16, (struct ort_session_options *)) \
    X(struct ort_status *, DisableMemPattern, 17, (struct ort_session_options *)) \
    X(struct ort_status *, EnableCpuMemArena, 18, (struct ort_session_options *)) \
    X(struct ort_status *, DisableCpuMemArena, 19, (struct ort_session_options *)) \
    X(struct ort_status *, SetSessionLogId, 20, (struct ort_session_options *, const char *)) \
    X(struct ort_status *, SetSessionGraphOptimizationLevel, 23, \
      (struct ort_session_options *, int level)) \
    X(struct ort_status *, SetIntraOpNumThreads, 24, (struct ort_session_options *, int n)) \
    X(struct ort_status *, SetInterOpNumThreads, 25, (struct ort_session_options *, int n)) \
    X(struct ort_status *, SessionGetInputCount, 30, (const struct ort_session *, size_t *)) \
    X(struct ort_status *, SessionGetOutputCount, 31, (const struct ort_session *, size_t *)) \
    X(struct ort_status *, SessionGetOverridableInitializerCount, 32, \
      (const struct ort_session *, size_t *)) \
    X(struct ort_status *, SessionGetInputTypeInfo, 33, \
      (const struct ort_session *, size_t, struct ort_type_info **)) \
    X(struct ort_status *, SessionGetOutputTypeInfo, 34, \
      (const struct ort_session *, size_t, struct ort_type_info **)) \
    X(struct ort_status *, SessionGetOverridableInitializerTypeInfo, 35, \
      (const struct ort_session *, size_t, struct ort_type_info **)) \
    X(struct ort_status *, SessionGetInputName, 36, \
      (const struct ort_session *, size_t, struct ort_allocator *, char **)) \
    X(struct ort_status *, SessionGetOutputName, 37, \
      (const struct ort_session *, size_t, struct ort_allocator *, char **)) \
    X(struct ort_status *, SessionGetOverridableInitializerName, 38, \
      (const struct ort_session *, size_t, struct ort_allocator *, char **)) \
    X(struct ort_status *, CreateRunOptions, 39, (struct ort_run_options **)) \
    X(struct ort_status *, RunOptionsSetTerminate, 46, (struct ort_run_options *)) \
    X(struct ort_status *, RunOptionsUnsetTerminate, 47, (struct ort_run_options *)) \
    X(struct ort_status *, CreateTensorAsOrtValue, 48, \
      (struct ort_allocator *, const int64_t *dims, size_t rank, int element, \
       struct ort_value **)) \
    X(struct ort_status *, CreateTensorWithDataAsOrtValue, 49, \
      (const struct ort_memory_info *, void *data, size_t n_bytes, const int64_t *dims, \
       size_t rank, int element, struct ort_value **)) \
    X(struct ort_status *, GetTensorMutableData, 51, (struct ort_value *, void **)) \
    X(struct ort_status *, GetStringTensorDataLength, 53, (const struct ort_value *, size_t *)) \
    X(struct ort_status *, GetStringTensorContent, 54, \
      (const struct ort_value *, void *bytes, size_t n_bytes, size_t *offsets, size_t n)) \
    X(struct ort_status *, CastTypeInfoToTensorInfo, 55, \
      (const struct ort_type_info *, const struct ort_tensor_info **)) \
    X(struct ort_status *, GetOnnxTypeFromTypeInfo, 56, (const struct ort_type_info *, int *)) \
    X(struct ort_status *, GetTensorElementType, 60, (const struct ort_tensor_info *, int *)) \
    X(struct ort_status *, GetDimensionsCount, 61, (const struct ort_tensor_info *, size_t *)) \
    X(struct ort_status *, GetDimensions, 62, \
      (const struct ort_tensor_info *, int64_t *dims, size_t rank)) \
    X(struct ort_status *, GetSymbolicDimensions, 63, \
      (const struct ort_tensor_info *, const char **names, size_t rank)) \
    X(struct ort_status *, GetTensorTypeAndShape, 65, \
      (const struct ort_value *, struct ort_tensor_info **)) \
    X(struct ort_status *, CreateCpuMemoryInfo, 69, \
      (int allocator_kind, int memory_kind, struct ort_memory_info **)) \
    X(struct ort_status *, AllocatorFree, 76, (struct ort_allocator *, void *)) \
    X(struct ort_status *, GetAllocatorWithDefaultOptions, 78, (struct ort_allocator **)) \
    X(void, ReleaseEnv, 92, (struct ort_env *)) \
    X(void, ReleaseStatus, 93, (struct ort_status *)) \
    X(void, ReleaseMemoryInfo, 94, (struct ort_memory_info *)) \
    X(void, ReleaseSession, 95, (struct ort_session *)) \
    X(void, ReleaseValue, 96, (struct ort_value *)) \
    X(void, ReleaseRunOptions, 97, (struct ort_run_options *)) \
    X(void, ReleaseTypeInfo, 98, (struct ort_type_info *)) \
    X(void, ReleaseTensorTypeAndShapeInfo, 99, (struct ort_tensor_info *)) \
    X(void, ReleaseSessionOptions, 100, (struct ort_session_options *)) \
    X(struct ort_status *, GetAvailableProviders, 125, (char ***, int *)) \
    X(struct ort_status *, ReleaseAvailableProviders, 126, (char **, int)) \
    X(struct ort_status *, AddSessionConfigEntry, 130, \
      (struct ort_session_options *, const char *key, const char *value)) \
    X(struct ort_status *, RunWithBinding, 133, \
      (struct ort_session *, const struct ort_run_options *, const struct ort_io_binding *)) \
    X(struct ort_status *, CreateIoBinding, 134, \
      (struct ort_session *, struct ort_io_binding **)) \
    X(void, ReleaseIoBinding, 135, (struct ort_io_binding *)) \
    X(struct ort_status *, BindInput, 136, \
      (struct ort_io_binding *, const char *name, const struct ort_value *)) \
    X(struct ort_status *, BindOutput, 137, \
      (struct ort_io_binding *, const char *name, const struct ort_value *)) \
    X(struct ort_status *, CreateAndRegisterAllocator, 144, \
      (struct ort_env *, const struct ort_memory_info *, const struct ort_arena_config *)) \
    X(void, ReleaseArenaCfg, 157, (struct ort_arena_config *)) \
    X(struct ort_status *, CreateArenaCfgV2, 164, \
      (const char *const *keys, const size_t *values, size_t n, struct ort_arena_config **)) \
    X(struct ort_status *, AddRunConfigEntry, 165, \
      (struct ort_run_options *, const char *key, const char *value)) \
    X(struct ort_status *, SessionOptionsAppendExecutionProvider_CUDA_V2, 204, \
      (struct ort_session_options *, const struct ort_cuda_options *)) \
    X(struct ort_status *, CreateCUDAProviderOptions, 205, (struct ort_cuda_options **)) \
    X(struct ort_status *, UpdateCUDAProviderOptions, 206, \
      (struct ort_cuda_options *, const char *const *keys, const char *const *values, size_t n)) \
    X(void, ReleaseCUDAProviderOptions, 208, (struct ort_cuda_options *)) \
    X(struct ort_status *, SessionOptionsAppendExecutionProvider, 216, \
      (struct ort_session_options *, const char *name, const char *const *keys, \
       const char *const *values, size_t n)) \
    X(struct ort_status *, GetResizedStringTensorElementBuffer, 252, \
      (struct ort_value *, size_t index, size_t n_bytes, char **))

/* X(result, name, slot, first release, parameters): NULL with an older library. */
#define TERN_ORT_NEWER_SLOTS(X) \
    X(struct ort_status *, GetTensorElementTypeAndShapeDataReference, 414, 24, \
      (const struct ort_value *, int *element, const int64_t **dims, size_t *rank))
// clang-format on

// NOLINTBEGIN(bugprone-macro-parentheses): a parameter list in parentheses of its own
struct ort_api {
#define X(result, name, slot, parameters)              result(*name) parameters;
#define X_NEWER(result, name, slot, first, parameters) result(*name) parameters;
    TERN_ORT_SLOTS(X)
    TERN_ORT_NEWER_SLOTS(X_NEWER)
#undef X
#undef X_NEWER
};
// NOLINTEND(bugprone-macro-parentheses)

#endif
