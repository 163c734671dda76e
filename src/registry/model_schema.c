/* The table. Numbers are model_config.proto's (github.com/triton-inference-server/common). */
#include "registry/model_schema.h"

/* clang-format off */
#define ENUM(name_, ...) static const struct tern_schema_enum name_[] = {__VA_ARGS__, {NULL, 0}}
#define F(name_, number_, type_, label_, how_) \
    {.name = #name_, .number = (number_), \
     .type = TERN_SCHEMA_##type_, .label = TERN_SCHEMA_##label_, \
     .how = TERN_SCHEMA_##how_}
#define E(name_, number_, label_, how_, values_) \
    {.name = #name_, .number = (number_), \
     .type = TERN_SCHEMA_ENUM, .label = TERN_SCHEMA_##label_, \
     .how = TERN_SCHEMA_##how_, .values = (values_)}
#define M(name_, number_, label_, how_, message_) \
    {.name = #name_, .number = (number_), \
     .type = TERN_SCHEMA_MESSAGE, .label = TERN_SCHEMA_##label_, \
     .how = TERN_SCHEMA_##how_, .message = &(message_)}
#define REFUSE(name_, number_, type_, label_, why_) \
    {.name = #name_, .number = (number_), \
     .type = TERN_SCHEMA_##type_, .label = TERN_SCHEMA_##label_, \
     .how = TERN_SCHEMA_REFUSED, .why = (why_)}
#define REFUSE_M(name_, number_, label_, message_, why_) \
    {.name = #name_, .number = (number_), \
     .type = TERN_SCHEMA_MESSAGE, .label = TERN_SCHEMA_##label_, \
     .how = TERN_SCHEMA_REFUSED, .message = &(message_), .why = (why_)}
#define MESSAGE(name_, proto_, ...) \
    static const struct tern_schema_field name_##_fields[] = {__VA_ARGS__}; \
    static const struct tern_schema_message name_ = { \
        proto_, name_##_fields, TERN_COUNT_OF(name_##_fields)}

ENUM(data_types, {"TYPE_INVALID", 0}, {"TYPE_BOOL", 1}, {"TYPE_UINT8", 2}, {"TYPE_UINT16", 3},
     {"TYPE_UINT32", 4}, {"TYPE_UINT64", 5}, {"TYPE_INT8", 6}, {"TYPE_INT16", 7},
     {"TYPE_INT32", 8}, {"TYPE_INT64", 9}, {"TYPE_FP16", 10}, {"TYPE_FP32", 11},
     {"TYPE_FP64", 12}, {"TYPE_STRING", 13}, {"TYPE_BF16", 14});
ENUM(formats, {"FORMAT_NONE", 0}, {"FORMAT_NHWC", 1}, {"FORMAT_NCHW", 2});
ENUM(instance_kinds, {"KIND_AUTO", 0}, {"KIND_GPU", 1}, {"KIND_CPU", 2}, {"KIND_MODEL", 3});
ENUM(device_kinds, {"KIND_NVDLA", 0});
ENUM(batch_input_kinds, {"BATCH_ELEMENT_COUNT", 0}, {"BATCH_ACCUMULATED_ELEMENT_COUNT", 1},
     {"BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO", 2}, {"BATCH_MAX_ELEMENT_COUNT_AS_SHAPE", 3},
     {"BATCH_ITEM_SHAPE", 4}, {"BATCH_ITEM_SHAPE_FLATTEN", 5});
ENUM(batch_output_kinds, {"BATCH_SCATTER_WITH_INPUT_SHAPE", 0});
ENUM(priorities, {"PRIORITY_DEFAULT", 0}, {"PRIORITY_MAX", 1}, {"PRIORITY_MIN", 2});
ENUM(timeout_actions, {"REJECT", 0}, {"DELAY", 1});
ENUM(control_kinds, {"CONTROL_SEQUENCE_START", 0}, {"CONTROL_SEQUENCE_READY", 1},
     {"CONTROL_SEQUENCE_END", 2}, {"CONTROL_SEQUENCE_CORRID", 3});

static const struct tern_schema_message empty = {"Empty", NULL, 0};

MESSAGE(version_latest, "Latest", F(num_versions, 1, UINT32, ONE, HONOURED));
MESSAGE(version_specific, "Specific", F(versions, 1, INT64, REPEATED, HONOURED));
MESSAGE(version_policy, "ModelVersionPolicy",
    M(latest, 1, ONEOF, HONOURED, version_latest),
    M(all, 2, ONEOF, HONOURED, empty),
    M(specific, 3, ONEOF, HONOURED, version_specific));

MESSAGE(reshape, "ModelTensorReshape", F(shape, 1, INT64, REPEATED, HONOURED));
MESSAGE(input, "ModelInput",
    F(name, 1, STRING, ONE, HONOURED),
    E(data_type, 2, ONE, HONOURED, data_types),
    E(format, 3, ONE, KEPT, formats),
    F(dims, 4, INT64, REPEATED, HONOURED),
    M(reshape, 5, ONE, HONOURED, reshape),
    REFUSE(is_shape_tensor, 6, BOOL, ONE, "shape tensors belong to TensorRT"),
    F(allow_ragged_batch, 7, BOOL, ONE, HONOURED),
    F(optional, 8, BOOL, ONE, HONOURED),
    F(is_non_linear_format_io, 9, BOOL, ONE, KEPT));
MESSAGE(output, "ModelOutput",
    F(name, 1, STRING, ONE, HONOURED),
    E(data_type, 2, ONE, HONOURED, data_types),
    F(dims, 3, INT64, REPEATED, HONOURED),
    M(reshape, 5, ONE, HONOURED, reshape),
    F(label_filename, 4, STRING, ONE, HONOURED),
    REFUSE(is_shape_tensor, 6, BOOL, ONE, "shape tensors belong to TensorRT"),
    F(is_non_linear_format_io, 7, BOOL, ONE, KEPT));
MESSAGE(batch_input, "BatchInput",
    E(kind, 1, ONE, HONOURED, batch_input_kinds),
    F(target_name, 2, STRING, REPEATED, HONOURED),
    E(data_type, 3, ONE, HONOURED, data_types),
    F(source_input, 4, STRING, REPEATED, HONOURED));
MESSAGE(batch_output, "BatchOutput",
    F(target_name, 1, STRING, REPEATED, HONOURED),
    E(kind, 2, ONE, HONOURED, batch_output_kinds),
    F(source_input, 3, STRING, REPEATED, HONOURED));

MESSAGE(rate_resource, "Resource",
    F(name, 1, STRING, ONE, HONOURED), F(global, 2, BOOL, ONE, HONOURED), F(count, 3, UINT32, ONE, HONOURED));
MESSAGE(rate_limiter, "ModelRateLimiter",
    M(resources, 1, REPEATED, HONOURED, rate_resource), F(priority, 2, UINT32, ONE, HONOURED));
MESSAGE(secondary_device, "SecondaryDevice",
    E(kind, 1, ONE, KEPT, device_kinds), F(device_id, 2, INT64, ONE, KEPT));
MESSAGE(instance_group, "ModelInstanceGroup",
    F(name, 1, STRING, ONE, KEPT),
    E(kind, 4, ONE, KEPT, instance_kinds),
    F(count, 2, INT32, ONE, HONOURED),
    M(rate_limiter, 6, ONE, HONOURED, rate_limiter),
    F(gpus, 3, INT32, REPEATED, KEPT),
    M(secondary_devices, 8, REPEATED, KEPT, secondary_device),
    F(profile, 5, STRING, REPEATED, KEPT),
    F(passive, 7, BOOL, ONE, HONOURED),
    F(host_policy, 9, STRING, ONE, KEPT));

MESSAGE(graph, "Graph", F(level, 1, INT32, ONE, HONOURED));
MESSAGE(cuda_shape, "Shape", F(dim, 1, INT64, REPEATED, KEPT));
MESSAGE(cuda_lower_bound, "LowerBound",
    F(batch_size, 1, INT32, ONE, KEPT), M(input, 2, MAP, KEPT, cuda_shape));
MESSAGE(cuda_graph_spec, "GraphSpec",
    F(batch_size, 1, INT32, ONE, KEPT), M(input, 2, MAP, KEPT, cuda_shape),
    M(graph_lower_bound, 3, ONE, KEPT, cuda_lower_bound));
MESSAGE(cuda, "Cuda",
    F(graphs, 1, BOOL, ONE, KEPT), F(busy_wait_events, 2, BOOL, ONE, KEPT),
    M(graph_spec, 3, REPEATED, KEPT, cuda_graph_spec), F(output_copy_stream, 4, BOOL, ONE, KEPT));
MESSAGE(accelerator, "Accelerator",
    F(name, 1, STRING, ONE, HONOURED), F(parameters, 2, STRING, MAP, HONOURED));
MESSAGE(accelerators, "ExecutionAccelerators",
    M(gpu_execution_accelerator, 1, REPEATED, HONOURED, accelerator),
    M(cpu_execution_accelerator, 2, REPEATED, HONOURED, accelerator));
MESSAGE(pinned, "PinnedMemoryBuffer", F(enable, 1, BOOL, ONE, KEPT));
MESSAGE(optimization, "ModelOptimizationPolicy",
    M(graph, 1, ONE, HONOURED, graph),
    E(priority, 2, ONE, KEPT, priorities),
    M(cuda, 3, ONE, KEPT, cuda),
    M(execution_accelerators, 4, ONE, HONOURED, accelerators),
    M(input_pinned_memory, 5, ONE, KEPT, pinned),
    M(output_pinned_memory, 6, ONE, KEPT, pinned),
    F(gather_kernel_buffer_threshold, 7, UINT32, ONE, KEPT),
    F(eager_batching, 8, BOOL, ONE, HONOURED));

MESSAGE(queue_policy, "ModelQueuePolicy",
    E(timeout_action, 1, ONE, HONOURED, timeout_actions),
    F(default_timeout_microseconds, 2, UINT64, ONE, HONOURED),
    F(allow_timeout_override, 3, BOOL, ONE, HONOURED),
    F(max_queue_size, 4, UINT32, ONE, HONOURED));
MESSAGE(dynamic_batching, "ModelDynamicBatching",
    F(preferred_batch_size, 1, INT32, REPEATED, HONOURED),
    F(max_queue_delay_microseconds, 2, UINT64, ONE, HONOURED),
    F(preserve_ordering, 3, BOOL, ONE, HONOURED),
    F(priority_levels, 4, UINT64, ONE, HONOURED),
    F(default_priority_level, 5, UINT64, ONE, HONOURED),
    M(default_queue_policy, 6, ONE, HONOURED, queue_policy),
    {.name = "priority_queue_policy", .number = 7, .type = TERN_SCHEMA_MESSAGE,
     .label = TERN_SCHEMA_MAP, .how = TERN_SCHEMA_HONOURED, .number_keys = true,
     .message = &queue_policy});

MESSAGE(control, "Control",
    E(kind, 1, ONE, HONOURED, control_kinds),
    F(int32_false_true, 2, INT32, REPEATED, HONOURED),
    F(fp32_false_true, 3, FLOAT, REPEATED, HONOURED),
    F(bool_false_true, 5, BOOL, REPEATED, HONOURED),
    E(data_type, 4, ONE, HONOURED, data_types));
MESSAGE(control_input, "ControlInput",
    F(name, 1, STRING, ONE, HONOURED), M(control, 2, REPEATED, HONOURED, control));
MESSAGE(initial_state, "InitialState",
    E(data_type, 1, ONE, HONOURED, data_types), F(dims, 2, INT64, REPEATED, HONOURED),
    F(zero_data, 3, BOOL, ONEOF, HONOURED), F(data_file, 4, STRING, ONEOF, HONOURED),
    F(name, 5, STRING, ONE, KEPT));
MESSAGE(state, "State",
    F(input_name, 1, STRING, ONE, HONOURED), F(output_name, 2, STRING, ONE, HONOURED),
    E(data_type, 3, ONE, HONOURED, data_types), F(dims, 4, INT64, REPEATED, HONOURED),
    M(initial_state, 5, REPEATED, HONOURED, initial_state),
    F(use_same_buffer_for_input_output, 6, BOOL, ONE, KEPT),
    F(use_growable_memory, 7, BOOL, ONE, KEPT));
MESSAGE(direct, "StrategyDirect",
    F(max_queue_delay_microseconds, 1, UINT64, ONE, HONOURED),
    F(minimum_slot_utilization, 2, FLOAT, ONE, HONOURED));
MESSAGE(oldest, "StrategyOldest",
    F(max_candidate_sequences, 1, INT32, ONE, HONOURED),
    F(preferred_batch_size, 2, INT32, REPEATED, HONOURED),
    F(max_queue_delay_microseconds, 3, UINT64, ONE, HONOURED),
    F(preserve_ordering, 4, BOOL, ONE, HONOURED));
MESSAGE(sequence_batching, "ModelSequenceBatching",
    M(direct, 3, ONEOF, HONOURED, direct), M(oldest, 4, ONEOF, HONOURED, oldest),
    F(max_sequence_idle_microseconds, 1, UINT64, ONE, HONOURED),
    M(control_input, 2, REPEATED, HONOURED, control_input),
    M(state, 5, REPEATED, HONOURED, state),
    F(iterative_sequence, 6, BOOL, ONE, HONOURED));

MESSAGE(step, "Step",
    F(model_name, 1, STRING, ONE, HONOURED), F(model_version, 2, INT64, ONE, HONOURED),
    F(input_map, 3, STRING, MAP, HONOURED), F(output_map, 4, STRING, MAP, HONOURED),
    REFUSE(model_namespace, 5, STRING, ONE, "models have no namespaces"));
MESSAGE(ensembling, "ModelEnsembling",
    M(step, 1, REPEATED, HONOURED, step), F(max_inflight_requests, 2, UINT32, ONE, HONOURED));

MESSAGE(parameter, "ModelParameter", F(string_value, 1, STRING, ONE, HONOURED));
MESSAGE(warmup_input, "Input",
    E(data_type, 1, ONE, HONOURED, data_types), F(dims, 2, INT64, REPEATED, HONOURED),
    F(zero_data, 3, BOOL, ONEOF, HONOURED), F(random_data, 4, BOOL, ONEOF, HONOURED),
    F(input_data_file, 5, STRING, ONEOF, HONOURED));
MESSAGE(warmup, "ModelWarmup",
    F(name, 1, STRING, ONE, HONOURED), F(batch_size, 2, UINT32, ONE, HONOURED),
    M(inputs, 3, MAP, HONOURED, warmup_input), F(count, 4, UINT32, ONE, HONOURED));
MESSAGE(operations, "ModelOperations",
    REFUSE(op_library_filename, 1, STRING, REPEATED, "libraries of operators are not loaded"));
MESSAGE(transaction_policy, "ModelTransactionPolicy",
    F(decoupled, 1, BOOL, ONE, HONOURED));
MESSAGE(agent, "Agent", F(name, 1, STRING, ONE, KEPT), F(parameters, 2, STRING, MAP, KEPT));
MESSAGE(agents, "ModelRepositoryAgents",
    REFUSE_M(agents, 1, REPEATED, agent, "agents that check or change model files are not run"));
MESSAGE(response_cache, "ModelResponseCache", F(enable, 1, BOOL, ONE, HONOURED));
MESSAGE(metric_identifier, "MetricIdentifier", F(family, 1, STRING, ONE, KEPT));
MESSAGE(histogram_options, "HistogramOptions", F(buckets, 1, DOUBLE, REPEATED, KEPT));
MESSAGE(metric_control, "MetricControl",
    M(metric_identifier, 1, ONE, KEPT, metric_identifier),
    M(histogram_options, 2, ONEOF, KEPT, histogram_options));
MESSAGE(metrics, "ModelMetrics", M(metric_control, 1, REPEATED, KEPT, metric_control));

static const struct tern_schema_field model_fields[] = {
    F(name, 1, STRING, ONE, HONOURED),
    F(platform, 2, STRING, ONE, HONOURED),
    F(backend, 17, STRING, ONE, HONOURED),
    F(runtime, 25, STRING, ONE, KEPT),
    M(version_policy, 3, ONE, HONOURED, version_policy),
    F(max_batch_size, 4, INT32, ONE, HONOURED),
    M(input, 5, REPEATED, HONOURED, input),
    M(output, 6, REPEATED, HONOURED, output),
    M(batch_input, 20, REPEATED, HONOURED, batch_input),
    M(batch_output, 21, REPEATED, HONOURED, batch_output),
    M(optimization, 12, ONE, HONOURED, optimization),
    M(dynamic_batching, 11, ONEOF, HONOURED, dynamic_batching),
    M(sequence_batching, 13, ONEOF, HONOURED, sequence_batching),
    M(ensemble_scheduling, 15, ONEOF, HONOURED, ensembling),
    M(instance_group, 7, REPEATED, HONOURED, instance_group),
    F(default_model_filename, 8, STRING, ONE, HONOURED),
    F(cc_model_filenames, 9, STRING, MAP, KEPT),
    F(metric_tags, 10, STRING, MAP, HONOURED),
    M(parameters, 14, MAP, HONOURED, parameter),
    M(model_warmup, 16, REPEATED, HONOURED, warmup),
    M(model_operations, 18, ONE, HONOURED, operations),
    M(model_transaction_policy, 19, ONE, HONOURED, transaction_policy),
    M(model_repository_agents, 23, ONE, HONOURED, agents),
    M(response_cache, 24, ONE, HONOURED, response_cache),
    M(model_metrics, 26, ONE, KEPT, metrics),
};
/* clang-format on */

const struct tern_schema_message tern_model_schema = {
    "ModelConfig",
    model_fields,
    TERN_COUNT_OF(model_fields),
};
