"""Traces: what a server writes and sends about the requests that it answered."""
# covers: gateway/tracing

import json

from harness import EXAMPLES, Server, example, rows_of, wait_for


def traces(path):
    return json.loads(path.read_text()) if path.exists() else []


def ask(server, headers=None, rows=1):
    body = {"inputs": [rows_of(example("iris"), 0, rows)]}
    answer = server.infer("iris", body, headers)
    assert answer.status == 200, answer.body
    return answer


def test_a_file(tmp_path):
    path = tmp_path / "trace.json"
    flags = ("--trace-file", str(path), "--trace-level", "TIMESTAMPS,TENSORS", "--trace-rate", "1")
    with Server(tmp_path / "server", EXAMPLES / "models", *flags) as server:
        ask(server, {"X-Request-Id": "first"})
        assert server.infer("iris", {"inputs": []}).status == 400
        assert server.get("/v2/models/iris").status == 200  # no inference: no trace
        wait_for(lambda: len([o for o in traces(path) if "model_name" in o]) == 2, "two traces")
    objects = traces(path)
    assert objects[0] == {"id": 1, "model_name": "iris", "model_version": 1, "request_id": "first"}
    assert len([o for o in objects if "tensor" in o]) == 3
    # a request that was refused never reached the model
    (times,) = [o["timestamps"] for o in objects if "timestamps" in o and o["id"] == 2]
    assert "COMPUTE_START" not in {row["name"] for row in times}


def test_a_level_without_a_file(tmp_path):
    with Server(tmp_path / "server", EXAMPLES / "models", "--trace-level", "TIMESTAMPS", "--trace-rate", "1") as server:
        ask(server)
        assert server.get("/v2/trace/setting").json()["trace_file"] == ""
