"""The clients that people have: Triton's own, from PyPI."""

import numpy
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from harness import Server, example, model_file, put_model


@pytest.fixture
def client(server):
    one = triton.InferenceServerClient(server.address)
    yield one
    one.close()


def test_health_and_metadata(client):
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("iris")
    assert not client.is_model_ready("nope")
    assert client.get_server_metadata()["name"] == "tern"
    assert client.get_model_metadata("iris")["inputs"][0]["name"] == "features"
    assert client.get_model_config("digits_cnn")["max_batch_size"] == 128


@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("binary_out", [False, True])
@pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
def test_infer(client, binary_in, binary_out, coding):
    data = example("digits_mlp")
    tensor = data["inputs"][0]
    values = numpy.array(tensor["data"], "float32").reshape(tensor["shape"])
    given = triton.InferInput("features", list(values.shape), "FP32")
    given.set_data_from_numpy(values, binary_data=binary_in)
    wanted = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("label", "probabilities")]
    result = client.infer(
        "digits_mlp",
        [given],
        outputs=wanted,
        request_id="7",
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )
    recorded = {output["name"]: output for output in data["outputs"]["1"]}
    assert result.get_response()["id"] == "7"
    assert result.as_numpy("label").tolist() == recorded["label"]["data"]
    numpy.testing.assert_allclose(
        result.as_numpy("probabilities").ravel(), recorded["probabilities"]["data"], atol=data["tolerance"]
    )


def test_strings(types):
    one = triton.InferenceServerClient(types.address)
    meta = one.get_model_metadata("identity_bytes")
    values = numpy.array([b"one", b"", b"\xff\x00"], object)
    values = values.reshape(3, 1)
    given = triton.InferInput(meta["inputs"][0]["name"], [3, 1], "BYTES")
    given.set_data_from_numpy(values, binary_data=True)
    name = meta["outputs"][0]["name"]
    try:
        result = one.infer("identity_bytes", [given], outputs=[triton.InferRequestedOutput(name, binary_data=True)])
        assert result.as_numpy(name).tolist() == values.tolist()
    finally:
        one.close()


def test_errors_are_theirs(client):
    given = triton.InferInput("features", [1, 3], "FP32")
    given.set_data_from_numpy(numpy.zeros((1, 3), "float32"))
    with pytest.raises(InferenceServerException):
        client.infer("iris", [given])
    with pytest.raises(InferenceServerException, match="unknown model"):
        client.get_model_metadata("nope")


def test_repository(tmp_path, repository):
    put_model(repository, "iris", model_file("iris"))
    with Server(tmp_path / "server", repository, "--model-control", "explicit") as server:
        one = triton.InferenceServerClient(server.address)
        one.load_model("iris")
        assert one.is_model_ready("iris")
        assert [row["state"] for row in one.get_model_repository_index()] == ["READY"]
        one.unload_model("iris")
        assert not one.is_model_ready("iris")
        one.close()
