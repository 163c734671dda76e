"""generate and generate_stream over plain HTTP, with models that answer once, often, or never."""

import gzip
import json

import pytest

from harness import DEADLINE, Server, put_sample, wait_for


def generate(server, model, body, verb="generate", **headers):
    return server.call("POST", f"/v2/models/{model}/{verb}", body, headers)


def events(answer):
    """The objects of a whole stream of server-sent events."""
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    parts = answer.body.decode().split("\n\n")
    assert parts.pop() == "" and all(part.startswith("data: ") for part in parts)
    return [json.loads(part[len("data: ") :]) for part in parts]


def stream(server, model, body):
    answer = generate(server, model, body, "generate_stream")
    assert answer.status == 200
    return events(answer)


def test_members_are_tensors(samples):
    answer = generate(samples, "echo", {"text_input": "häll\no", "scores": [1, 2, 3, 4.5], "id": "7", "temperature": 0.5})
    assert answer.status == 200
    assert answer.json() == {
        "id": "7",
        "model_name": "echo",
        "model_version": "1",
        "text_output": "häll\no",
        "scores_out": [1, 2, 3, 4.5],
    }


@pytest.mark.parametrize("path", ["identity_fp32", "identity_fp32/versions/1"])
def test_one_element_is_a_scalar(samples, path):
    assert generate(samples, path, {"INPUT0": 2.5}).json()["OUTPUT0"] == 2.5
    assert generate(samples, path, {"INPUT0": [2.5, 3]}).json()["OUTPUT0"] == [2.5, 3]


@pytest.mark.parametrize(
    "body, text",
    [
        ({"text_input": 1, "scores": []}, "attempt to access JSON non-string as string"),
        ({"text_input": "a", "scores": [1]}, "1 elements do not fill the shape [-1,2]"),
        ({"text_input": "a", "scores": [1, 2], "x": {}}, "parameter 'x' has invalid type"),
        ({"text_input": "a", "scores": [1, 2], "parameters": 1}, "Expected JSON object for keyword: 'parameters'"),
        ({"scores": [1, 2]}, "missing required input(s) ['text_input']"),
    ],
)
@pytest.mark.parametrize("verb", ["generate", "generate_stream"])
def test_mistakes(samples, verb, body, text):
    answer = generate(samples, "echo", body, verb)
    assert answer.status == 400 and text in answer.json()["error"]


def test_compressed_bodies(samples):
    body = gzip.compress(b'{"INPUT0": 1}')
    answer = generate(samples, "identity_fp32", body, **{"Content-Encoding": "gzip"})
    assert answer.status == 415


def test_a_model_that_answers_often(samples):
    assert generate(samples, "square_int32", {"IN": 1}).json()["OUT"] == 1
    for n in (0, 2, 100):
        answer = generate(samples, "square_int32", {"IN": n})
        assert (answer.status, answer.json()["error"]) == (500, "generate expects model to produce exactly 1 response")
    answer = samples.infer("square_int32", {"inputs": [{"name": "IN", "shape": [1], "datatype": "INT32", "data": [1]}]})
    wanted = "HTTP end point doesn't support models with decoupled transaction policy"
    assert (answer.status, answer.json()["error"]) == (501, wanted)


@pytest.mark.parametrize("n", [0, 1, 7, 1000])
def test_a_stream(samples, n):
    assert [event["OUT"] for event in stream(samples, "square_int32", {"IN": n})] == [n] * n


def test_a_stream_of_one_answer(samples):
    assert stream(samples, "identity_fp32", {"INPUT0": 3}) == [
        {"model_name": "identity_fp32", "model_version": "1", "OUTPUT0": 3}
    ]


def test_the_last_answer_says_so(samples):
    body = {"IN": [4, 5], "DELAY": [0, 1], "WAIT": 0, "triton_enable_empty_final_response": True}
    got = stream(samples, "repeat_int32", body)
    assert [event.get("OUT") for event in got] == [4, 5, None]
    assert [event["triton_final_response"] for event in got] == [False, False, True]


def test_an_error_before_the_first_answer_is_a_status(samples):
    answer = generate(samples, "repeat_int32", {"IN": [4, 5], "DELAY": [0], "WAIT": 0}, "generate_stream")
    assert answer.status == 400 and "expected IN and DELAY shape to match" in answer.json()["error"]
    assert generate(samples, "nope", {}, "generate_stream").status == 404


def test_an_error_after_the_first_answer_is_an_event(tmp_path, repository):
    """The deadline passes while the model waits for hours."""
    put_sample(repository, "repeat_int32")
    with Server(tmp_path / "server", repository, "--request-timeout", "300ms") as server:
        got = stream(server, "repeat_int32", {"IN": [4, 5], "DELAY": [0, 10_000_000], "WAIT": 0})
        assert got[0]["OUT"] == 4 and "deadline" in got[1]["error"] and len(got) == 2


def test_answers_leave_as_they_come(samples):
    """The first is read while the second has hours to go; then the client leaves and the run ends."""
    body = json.dumps({"IN": [4, 5], "DELAY": [0, 10_000_000], "WAIT": 0})
    for _ in range(8):  # more than there are threads to run them
        connection = samples.connect()
        connection.request("POST", "/v2/models/repeat_int32/generate_stream", body)
        response = connection.getresponse()
        assert json.loads(response.readline()[len("data: ") :])["OUT"] == 4
        response.close()
        connection.close()
    assert generate(samples, "square_int32", {"IN": 1}).json()["OUT"] == 1


def test_a_drain_lets_a_stream_end(tmp_path, repository):
    put_sample(repository, "repeat_int32")
    with Server(tmp_path / "server", repository) as server:
        body = json.dumps({"IN": list(range(20)), "DELAY": [20] * 20, "WAIT": 0})
        connection = server.connect()
        connection.request("POST", "/v2/models/repeat_int32/generate_stream", body)
        response = connection.getresponse()
        first = response.readline()
        server.process.terminate()
        server.told("server.draining")
        rest = response.read().decode().split("\n\n")
        assert first.startswith(b"data: ") and sum("data: " in part for part in rest) == 19
        assert server.process.wait(DEADLINE) == 0
