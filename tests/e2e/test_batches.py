"""What a run is made of, as clients see it: ragged requests in one batch, and models whose batches were
found at load."""

import threading

import pytest

from harness import ONNX, Server, model_file, put_model

RAGGED = """
max_batch_size: 16
input [ { name: "INPUT" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true },
        { name: "ROWS" data_type: TYPE_FP32 dims: [ 1 ] } ]
output [ { name: "OUTPUT" data_type: TYPE_FP32 dims: [ -1 ] },
         { name: "SEEN" data_type: TYPE_FP32 dims: [ -1 ] } ]
batch_input [ { kind: BATCH_ACCUMULATED_ELEMENT_COUNT target_name: "INDEX" data_type: TYPE_INT32
                source_input: "INPUT" } ]
batch_output [ { target_name: "OUTPUT" kind: BATCH_SCATTER_WITH_INPUT_SHAPE source_input: "INPUT" } ]
dynamic_batching { max_queue_delay_microseconds: 30000000 preferred_batch_size: [ 4 ] }
model_warmup [ { name: "two" batch_size: 2
                 inputs { key: "INPUT" value { data_type: TYPE_FP32 dims: [ 3 ] random_data: true } }
                 inputs { key: "ROWS" value { data_type: TYPE_FP32 dims: [ 1 ] zero_data: true } } } ]
"""


def body(columns, rows=1):
    return {
        "inputs": [
            {"name": "INPUT", "datatype": "FP32", "shape": [rows, columns], "data": [columns] * columns * rows},
            {"name": "ROWS", "datatype": "FP32", "shape": [rows, 1], "data": [0] * rows},
        ]
    }


def outputs_of(answer):
    assert answer.status == 200, answer.body
    return {output["name"]: (output["shape"], output["data"]) for output in answer.json()["outputs"]}


def together(server, bodies):
    """The answers to requests that are sent at the same time."""
    answers = [None] * len(bodies)

    def ask(i):
        answers[i] = server.infer("ragged", bodies[i])

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [outputs_of(answer) for answer in answers]


@pytest.fixture
def server(tmp_path, repository):
    put_model(repository, "ragged", ONNX / "ragged.onnx", config=RAGGED)
    put_model(repository, "iris", model_file("iris"))
    put_model(repository, "transpose", ONNX / "transpose.onnx")
    with Server(tmp_path / "server", repository) as one:
        yield one


def test_ragged_requests_share_a_run(server):
    """The queue holds them until there are four rows, so that they are one batch for sure."""
    sizes = [2, 4, 1, 3]
    answers = together(server, [body(n) for n in sizes])
    for n, answer in zip(sizes, answers):
        assert answer["OUTPUT"] == ([1, n], [n] * n)
    ends = answers[0]["SEEN"][1]
    assert sorted(end - begin for begin, end in zip([0] + ends, ends)) == sorted(sizes)
    assert all(answer["SEEN"] == ([1, 4], ends) for answer in answers)


def test_a_ragged_request_alone(server):
    answer = outputs_of(server.infer("ragged", body(3, rows=4)))
    assert answer["OUTPUT"] == ([4, 3], [3] * 12)
    assert answer["SEEN"] == ([4, 1], [12] * 4)


def test_what_the_load_found_out(server):
    said = {event["model"]: event["batches"] for event in server.told("model.ready", len(server.index()))}
    assert said["ragged"] == "up to 16 rows"
    assert said["iris"].startswith("up to 64 rows (proven at load")
    assert said["transpose"].startswith("none: output 'y' of 2 rows has shape")
