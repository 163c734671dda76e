"""Every route of the Open Inference Protocol, and real models against their recorded answers."""

import json

import numpy
import pytest

from harness import check_recorded, example, rows_of

MODELS = ["iris", "breast_cancer", "digits_mlp", "digits_cnn", "diabetes"]
IRIS = {"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}


@pytest.mark.parametrize(
    "path, wanted",
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/livez", {"live": True}),
        ("/readyz", {"ready": True}),
    ],
)
def test_health(server, path, wanted):
    answer = server.get(path)
    assert (answer.status, answer.json()) == (200, wanted)


def test_server_metadata(server):
    meta = server.get("/v2").json()
    assert meta["name"] == "tern" and meta["version"] and "binary_tensor_data" in meta["extensions"]


@pytest.mark.parametrize("path", ["/v2/models/iris", "/v2/models/iris/versions/1"])
def test_model_metadata(server, path):
    meta = server.get(path).json()
    assert (meta["name"], meta["versions"], meta["platform"]) == ("iris", ["1"], "onnxruntime_onnx")
    assert meta["inputs"] == [{"name": "features", "datatype": "FP32", "shape": [-1, 4]}]
    assert [output["name"] for output in meta["outputs"]] == ["label", "probabilities"]


@pytest.mark.parametrize("path", ["/v2/models/iris/ready", "/v2/models/iris/versions/1/ready"])
def test_model_ready(server, path):
    answer = server.get(path)
    assert answer.status == 200 and answer.json()["ready"] is True


@pytest.mark.parametrize("path", ["/v2/models/digits_cnn/config", "/v2/models/digits_cnn/versions/1/config"])
def test_model_config(server, path):
    config = server.get(path).json()
    assert (config["name"], config["max_batch_size"], config["backend"]) == ("digits_cnn", 128, "onnxruntime")


def test_list_and_index(server):
    assert server.get("/v2/models").json()["models"] == sorted(MODELS)
    assert {name for name, _ in server.index()} == set(MODELS)
    assert all(row["state"] == "READY" for row in server.index().values())


@pytest.mark.parametrize("model", MODELS)
def test_recorded_predictions_by_json(server, model):
    data = example(model)
    answer = server.infer(model, {"inputs": data["inputs"]}).json()
    assert answer["model_name"] == model
    check_recorded(data, answer["model_version"], answer["outputs"])


@pytest.mark.parametrize("model", MODELS)
def test_recorded_predictions_by_binary(server, model):
    data = example(model)
    tensor = data["inputs"][0]
    raw = numpy.array(tensor["data"], "<f4").tobytes()
    head = {key: tensor[key] for key in ("name", "datatype", "shape")}
    head["parameters"] = {"binary_data_size": len(raw)}
    text = json.dumps({"inputs": [head], "parameters": {"binary_data_output": True}}).encode()
    answer = server.infer(
        model,
        text + raw,
        {"Inference-Header-Content-Length": str(len(text)), "Content-Type": "application/octet-stream"},
    )
    assert answer.status == 200, answer.body
    length = int(answer.headers["Inference-Header-Content-Length"])
    body, rest = json.loads(answer.body[:length]), answer.body[length:]
    for output in body["outputs"]:
        size = output["parameters"]["binary_data_size"]
        kind = {"FP32": "<f4", "INT64": "<i8"}[output["datatype"]]
        output["data"] = numpy.frombuffer(rest[:size], kind).tolist()
        rest = rest[size:]
    assert rest == b""
    check_recorded(data, body["model_version"], body["outputs"])


def test_nested_data_id_and_requested_outputs(server):
    body = {
        "id": "row 7",
        "inputs": [{**IRIS, "data": [[5.1, 3.5, 1.4, 0.2]]}],
        "outputs": [{"name": "probabilities"}],
    }
    answer = server.infer("iris", body).json()
    assert answer["id"] == "row 7"
    assert [output["name"] for output in answer["outputs"]] == ["probabilities"]


def test_versioned_infer(server):
    answer = server.call("POST", "/v2/models/iris/versions/1/infer", {"inputs": [IRIS]})
    assert answer.status == 200 and answer.json()["model_version"] == "1"


def test_mixed_json_and_binary_outputs(server):
    body = {"inputs": [IRIS], "outputs": [{"name": "label"}, {"name": "probabilities", "parameters": {"binary_data": True}}]}
    answer = server.infer("iris", body)
    length = int(answer.headers["Inference-Header-Content-Length"])
    outputs = json.loads(answer.body[:length])["outputs"]
    assert outputs[0]["data"] == [0] and "data" not in outputs[1]
    assert len(answer.body) - length == 12


def test_raw_binary_request(server):
    raw = numpy.array(IRIS["data"] * 3, "<f4").tobytes()
    headers = {"Inference-Header-Content-Length": "0", "Content-Type": "application/octet-stream"}
    answer = server.infer("iris", raw, headers)
    assert answer.status == 200, answer.body
    length = answer.headers.get("Inference-Header-Content-Length")
    outputs = json.loads(answer.body[: int(length)] if length else answer.body)["outputs"]
    assert outputs[0]["shape"] == [3]


VALUES = {
    "BOOL": [True, False],
    "UINT8": [0, 255],
    "UINT16": [0, 65535],
    "UINT32": [0, 4294967295],
    "UINT64": [0, 18446744073709551615],
    "INT8": [-128, 127],
    "INT16": [-32768, 32767],
    "INT32": [-2147483648, 2147483647],
    "INT64": [-9223372036854775808, 9223372036854775807],
    "FP16": [0.5, -65504.0],
    "BF16": [0.5, -3.0],
    "FP32": [0.1, -3.4028234663852886e38],
    "FP64": [0.1, -1.7976931348623157e308],
    "BYTES": ["", "Zürich \u0000\n\"quoted\" 🚲"],
}


@pytest.mark.parametrize("datatype", VALUES)
def test_every_datatype_comes_back(types, datatype):
    model = f"identity_{datatype.lower()}"
    meta = types.get(f"/v2/models/{model}").json()["inputs"][0]
    shape = [2 if dim == -1 and i == 0 else abs(dim) for i, dim in enumerate(meta["shape"])]
    body = {"inputs": [{"name": meta["name"], "datatype": datatype, "shape": shape, "data": VALUES[datatype]}]}
    answer = types.infer(model, body)
    assert answer.status == 200, answer.body
    output = answer.json()["outputs"][0]
    assert output["datatype"] == datatype
    if datatype == "FP32":
        assert numpy.array_equal(numpy.float32(output["data"]), numpy.float32(VALUES[datatype]))
    else:
        assert output["data"] == VALUES[datatype]


def test_one_batch_of_many_equals_many_of_one(server):
    data = example("digits_mlp")
    together = server.infer("digits_mlp", {"inputs": [rows_of(data, 0, 10)]}).json()["outputs"]
    for row in range(10):
        alone = server.infer("digits_mlp", {"inputs": [rows_of(data, row, row + 1)]}).json()["outputs"]
        assert alone[0]["data"] == together[0]["data"][row : row + 1]
