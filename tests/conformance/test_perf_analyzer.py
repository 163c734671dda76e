"""What perf_analyzer asks, in its order, over both protocols: it reads metadata, configuration and
statistics with code that takes no number for a string and no member for absent."""

import queue
import time
import uuid

import numpy
import pytest
import tritonclient.grpc
import tritonclient.http
import tritonclient.utils.shared_memory as shm
from google.protobuf import json_format

from harness import DEADLINE

REQUESTS, CONCURRENCY = 40, 4
PARTS = ("success", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")


class Http:
    module = tritonclient.http

    def __init__(self, server):
        self.client = tritonclient.http.InferenceServerClient(server.plain, concurrency=CONCURRENCY)

    def extensions(self):
        return self.client.get_server_metadata()["extensions"]

    def metadata(self, model):
        return self.client.get_model_metadata(model)

    def config(self, model):
        return self.client.get_model_config(model)

    def statistics(self, model=""):
        return self.client.get_inference_statistics(model)

    def keep_busy(self, model, inputs, outputs):
        """So many requests at a time, all the time."""
        waiting = []
        for _ in range(REQUESTS):
            if len(waiting) == CONCURRENCY:
                yield waiting.pop(0).get_result(timeout=DEADLINE)
            waiting.append(self.client.async_infer(model, inputs, outputs=outputs))
        for one in waiting:
            yield one.get_result(timeout=DEADLINE)


class Grpc:
    module = tritonclient.grpc

    def __init__(self, server):
        self.client = tritonclient.grpc.InferenceServerClient(server.plain)

    def extensions(self):
        return list(self.client.get_server_metadata().extensions)

    def as_json(self, message):
        """As its print options have it: names of the fields, and what has its default value too."""
        return json_format.MessageToDict(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )

    def metadata(self, model):
        return self.as_json(self.client.get_model_metadata(model))

    def config(self, model):
        return self.as_json(self.client.get_model_config(model))["config"]

    def statistics(self, model=""):
        found = self.as_json(self.client.get_inference_statistics(model))

        def numbers(value):  # protobuf writes 64 bits as strings
            if isinstance(value, dict):
                return {key: item if key in ("name", "version") else numbers(item) for key, item in value.items()}
            if isinstance(value, list):
                return [numbers(item) for item in value]
            return int(value) if isinstance(value, str) and value.isdigit() else value

        return numbers(found)

    def keep_busy(self, model, inputs, outputs):
        answers = queue.Queue()

        def ask():
            self.client.async_infer(model, inputs, lambda result, error: answers.put((result, error)), outputs=outputs)

        for _ in range(CONCURRENCY):
            ask()
        for i in range(REQUESTS):
            result, error = answers.get(timeout=DEADLINE)
            assert error is None, error
            yield result
            if i + CONCURRENCY < REQUESTS:
                ask()


@pytest.fixture(params=[Http, Grpc], ids=["http", "grpc"])
def backend(request, several):
    one = request.param(several)
    yield one
    one.client.close()


def counts(statistics, model):
    """Of the one version there is, each read as an unsigned number."""
    (one,) = [row for row in statistics["model_stats"] if (row["name"], row["version"]) == (model, "1")]
    found = {part: (one["inference_stats"][part]["count"], one["inference_stats"][part]["ns"]) for part in PARTS}
    found["inferences"] = one["inference_count"], 0
    found["executions"] = one["execution_count"], 0
    for pair in found.values():
        assert all(type(n) is int and n >= 0 for n in pair), found
    return found


def test_parse_model(backend):
    meta, config = backend.metadata("iris"), backend.config("iris")
    assert meta["name"] == config["name"] == "iris" and isinstance(config["platform"], str)
    for tensor in meta["inputs"] + meta["outputs"]:
        assert isinstance(tensor["name"], str) and isinstance(tensor["datatype"], str)
        assert all(int(dim) == -1 or int(dim) > 0 for dim in tensor["shape"])
    # A model that batches has the batch in its metadata and not in its configuration.
    batched = backend.config("identity_fp32")
    (given,), (dims,) = backend.metadata("identity_fp32")["inputs"], [one["dims"] for one in batched["input"]]
    assert batched["max_batch_size"] == 8
    assert [int(n) for n in given["shape"]] == [-1] + [int(n) for n in dims]
    decoupled = backend.config("square_int32")
    assert decoupled["model_transaction_policy"]["decoupled"] is True and decoupled["max_batch_size"] == 0
    # Members that it looks up and takes as they come.
    for one in (config, batched, decoupled):
        assert one.get("sequence_batching") is None and one.get("ensemble_scheduling") is None
        assert not one.get("response_cache", {}).get("enable", False)


def test_measure(backend):
    assert "statistics" in backend.extensions()
    values = numpy.arange(3, dtype="float32").reshape(1, 3)
    given = backend.module.InferInput("INPUT0", [1, 3], "FP32")
    given.set_data_from_numpy(values)
    wanted = [backend.module.InferRequestedOutput("OUTPUT0")]
    before = counts(backend.statistics(), "identity_fp32")  # of all models at first
    began = time.monotonic_ns()
    for result in backend.keep_busy("identity_fp32", [given], wanted):
        numpy.testing.assert_array_equal(result.as_numpy("OUTPUT0"), values)
    took = time.monotonic_ns() - began
    after = counts(backend.statistics("identity_fp32"), "identity_fp32")
    done = {name: (after[name][0] - before[name][0], after[name][1] - before[name][1]) for name in after}
    assert done["inferences"][0] == REQUESTS and 1 <= done["executions"][0] <= REQUESTS
    for part in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        assert done[part][0] == REQUESTS, part
    assert done["cache_hit"] == done["cache_miss"] == (0, 0)
    # It takes the parts from the whole and shows the rest as overhead: none may be larger.
    parts = sum(done[part][1] for part in ("queue", "compute_input", "compute_infer", "compute_output"))
    assert parts <= done["success"][1] <= took * CONCURRENCY


def test_shared_memory(backend, several):
    client, key = backend.client, f"/pa-{uuid.uuid4()}"
    client.unregister_system_shared_memory()
    values = numpy.arange(4, dtype="float32").reshape(1, 4)
    region = shm.create_shared_memory_region("all", key, 2 * values.nbytes)
    try:
        shm.set_shared_memory_region(region, [values])
        client.register_system_shared_memory("input0", key, values.nbytes)
        client.register_system_shared_memory("output0", key, values.nbytes, offset=values.nbytes)
        given = backend.module.InferInput("INPUT0", [1, 4], "FP32")
        given.set_shared_memory("input0", values.nbytes)
        wanted = backend.module.InferRequestedOutput("OUTPUT0")
        wanted.set_shared_memory("output0", values.nbytes)
        for _ in backend.keep_busy("identity_fp32", [given], [wanted]):
            pass
        numpy.testing.assert_array_equal(
            shm.get_contents_as_numpy(region, "float32", [1, 4], offset=values.nbytes), values
        )
    finally:
        client.unregister_system_shared_memory()
        shm.destroy_shared_memory_region(region)


def test_streaming(several):
    """--streaming: statistics of the stream, every last answer marked."""
    backend, answers = Grpc(several), queue.Queue()
    given = tritonclient.grpc.InferInput("IN", [1], "INT32")
    given.set_data_from_numpy(numpy.array([3], "int32"))
    before = counts(backend.statistics("square_int32"), "square_int32")
    backend.client.start_stream(lambda result, error: answers.put((result, error)))
    for i in range(REQUESTS):
        backend.client.async_stream_infer(
            "square_int32", [given], request_id=str(i), enable_empty_final_response=True
        )
    open_requests = {str(i): 0 for i in range(REQUESTS)}
    while open_requests:
        result, error = answers.get(timeout=DEADLINE)
        assert error is None, error
        response = result.get_response()
        if response.parameters["triton_final_response"].bool_param:
            assert open_requests.pop(response.id) == 3
        else:
            open_requests[response.id] += 1
    backend.client.stop_stream()
    after = counts(backend.statistics("square_int32"), "square_int32")
    assert after["success"][0] - before["success"][0] == REQUESTS
    backend.client.close()


def test_metrics(several):
    """--collect-metrics: nothing of a GPU is found here, and that is said of none."""
    answer = several.get("/metrics")
    assert answer.status == 200
    for line in answer.body.decode().splitlines():
        assert line.startswith("#") or float(line.rsplit(" ", 1)[1]) is not None
