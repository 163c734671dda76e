"""Deadlines and priorities that make no sense, on every protocol: each gets the status and the words that its
protocol has for it."""

import json
import struct
import time

import pytest

from harness import ONNX, SAMPLES, Server, put_model, put_sample, tensors
from rpc import Rpc, question, repeat

STATE = """max_batch_size: 4
sequence_batching {
control_input [ { name: "START" control [ { kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 1 ] } ] } ]
state [ { input_name: "STATE" output_name: "NEW_STATE" data_type: TYPE_FP32 dims: [ 1 ] } ]
}
"""
ENSEMBLE = (
    'platform: "ensemble"\nmax_batch_size: 8\n'
    + tensors("input", ("INPUT0", "FP32", -1))
    + tensors("output", ("OUTPUT0", "FP32", -1))
    + 'ensemble_scheduling { step { model_name: "identity_fp32" '
    + 'input_map { key: "INPUT0" value: "INPUT0" } output_map { key: "OUTPUT0" value: "OUTPUT0" } } }\n'
)
LEVELS = "dynamic_batching { priority_levels: 3 default_priority_level: 2 }\n"
MODELS = ["identity_fp32", "cached", "levels", "ensemble"]  # take and give the same


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("limits")
    models = folder / "models"
    for name in ("identity_fp32", "square_int32", "repeat_int32"):
        put_sample(models, name)
    put_sample(models, "cached", SAMPLES["identity_fp32"] + "response_cache { enable: true }\n")
    put_sample(models, "levels", SAMPLES["identity_fp32"] + LEVELS)
    put_sample(models, "ensemble", ENSEMBLE)
    put_model(models, "sums", ONNX / "sequenced_state.onnx", config=STATE)
    (models / "graph").mkdir()
    step = {"serviceName": "identity_fp32"}
    (models / "graph" / "graph.json").write_text(json.dumps({"nodes": {"root": {"routerType": "Sequence", "steps": [step]}}}))
    with Server(folder / "server", models, "--cache-local-size", "1MiB") as one:
        yield one


def row(**parameters):
    one = {"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
    return {**one, "parameters": parameters} if parameters else one


def infer(model):
    return lambda server, headers: server.infer(model, row(), headers=headers)


def binary(server, headers):
    one = {"name": "INPUT0", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}
    text = json.dumps({"inputs": [one]}).encode()
    body = text + struct.pack("<2f", 1, 2)
    return server.infer("identity_fp32", body, headers={**headers, "Inference-Header-Content-Length": str(len(text))})


def sequence(server, headers):
    one = {"name": "INPUT", "datatype": "FP32", "shape": [1, 1], "data": [1]}
    which = {"sequence_id": 7, "sequence_start": True, "sequence_end": True}
    return server.infer("sums", {"inputs": [one], "parameters": which}, headers=headers)


def generate(path):
    return lambda server, headers: server.call("POST", f"/v2/models/square_int32/{path}", {"IN": 1}, headers)


def seldon(server, headers):
    document = {"data": {"tensor": {"shape": [1, 2], "values": [1, 2]}}}
    return server.call("POST", "/seldon/ns/identity_fp32/api/v1.0/predictions", document, headers)


def graph(server, headers):
    return server.call("POST", "/graphs/graph", row(), headers)


HTTP = {
    **{model: infer(model) for model in MODELS},
    "binary": binary,
    "sequence": sequence,
    "generate": generate("generate"),
    "generate_stream": generate("generate_stream"),
    "seldon": seldon,
    "graph": graph,
}


def said(answer):
    found = answer.json()
    return found["status"]["info"] if "status" in found else found.get("cause", found["error"])


@pytest.mark.parametrize("ask", HTTP)
def test_deadlines_over_http(server, ask):
    past = str(int(time.time() * 1000) - 1)
    for name, value in (("X-Request-Timeout-Ms", "0"), ("X-Request-Deadline-Ms", "0"), ("X-Request-Deadline-Ms", past)):
        answer = HTTP[ask](server, {name: value})
        assert answer.status == 504, answer.body
        assert f"header {name.lower()} leaves no time, it says '{value}'" in said(answer)
    for value in ("-1", "soon", "", "1e3"):
        answer = HTTP[ask](server, {"X-Request-Timeout-Ms": value})
        assert answer.status == 400, answer.body
        assert f"header x-request-timeout-ms: expected a number of milliseconds, got '{value}'" in said(answer)
    for headers in ({}, {"X-Envoy-Expected-Rq-Timeout-Ms": "0"}, {"X-Request-Timeout-Ms": "9" * 30}):
        assert HTTP[ask](server, headers).status == 200


def call(server, message, method="ModelInfer", **metadata):
    one = Rpc(server)
    one.open(method, **metadata)
    one.send(message)
    try:
        return one.status()
    finally:
        one.sock.close()


CALLS = {model: ("ModelInfer", question(model, 2)) for model in MODELS}
CALLS["stream"] = ("ModelStreamInfer", repeat(0))
CALLS["stream of one"] = ("ModelStreamInfer", question("identity_fp32", 2))


@pytest.mark.parametrize("what", CALLS)
def test_deadlines_over_grpc(server, what):
    method, message = CALLS[what]
    past = str(int(time.time() * 1000) - 1)
    for metadata in (
        {"grpc_timeout": "0n"},
        {"grpc_timeout": "0H"},
        {"x_request_timeout_ms": "0"},
        {"x_request_deadline_ms": past},
    ):
        code, text = call(server, message, method, **metadata)
        assert code == 4 and ("deadline" in text or "leaves no time" in text), (metadata, code, text)
    code, text = call(server, message, method, x_request_timeout_ms="-1")
    assert code == 3 and "header x-request-timeout-ms" in text
    for timeout in ("-1S", "1", "soon"):
        one = Rpc(server)
        one.open(method, grpc_timeout=timeout)
        one.send(message)
        code, text = one.status()
        one.sock.close()
        if method == "ModelStreamInfer":  # where each request has an error of its own
            code, text = 3, one.data.decode("latin-1")
        assert code == 3 and "header grpc-timeout" in text
    assert call(server, message, method, grpc_timeout="99999999H")[0] == 0


@pytest.mark.parametrize("model", ["identity_fp32", "levels"])
def test_the_parameter_timeout(server, model):
    """In microseconds; 0 is none, and so is more than there is time for."""
    for timeout in (0, 2**63 - 1):
        assert call(server, question(model, 2, timeout=timeout))[0] == 0
        assert server.infer(model, row(timeout=timeout)).status == 200
    for timeout in (-1, "soon", 1.5, True):
        answer = server.infer(model, row(timeout=timeout))
        assert answer.status == 400 and "Invalid value for 'timeout': expected an unsigned integer" in said(answer)


@pytest.mark.parametrize("model", MODELS)
def test_priorities_out_of_range(server, model):
    """What is no level is the default one; what is no number is a mistake."""
    for priority in (0, 1, 3, 4, 2**32, 2**32 + 1, 2**63 - 1):
        answer = server.infer(model, row(priority=priority))
        assert answer.status == 200 and answer.json()["outputs"][0]["data"] == [1, 2]
        assert call(server, question(model, 2, priority=priority))[0] == 0
    large = question(model, 2)
    large.parameters["priority"].uint64_param = 2**64 - 1
    assert call(server, large)[0] == 0
    for priority in (-1, 1.5, "high", True):
        answer = server.infer(model, row(priority=priority))
        assert answer.status == 400 and "Invalid value for 'priority': expected an unsigned integer" in said(answer)
    for kind, priority in (("int64_param", -1), ("double_param", 1.5), ("string_param", "high"), ("bool_param", True)):
        wrong = question(model, 2)
        setattr(wrong.parameters["priority"], kind, priority)
        code, text = call(server, wrong)
        assert code == 3 and "Invalid value for 'priority': expected an unsigned integer" in text
