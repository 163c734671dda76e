"""Traces: what a server writes and sends about the requests that it answered."""
# covers: gateway/tracing

import http.server
import json
import threading
import time

import pytest

from harness import EXAMPLES, SAMPLES, Server, example, put_sample, rows_of, wait_for
from units import Unit


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


def test_the_order_of_arrival_and_of_answers(tmp_path, repository):
    """Ids are given when requests come; an answer that waits for those before it is complete when it leaves."""
    text = """
        instance_group [ { count: 2 kind: KIND_CPU } ]
        dynamic_batching { preferred_batch_size: [ 1 ] preserve_ordering: true }
        parameters { key: "execute_delay_ms" value { string_value: "300" } }
        parameters { key: "instance_wise_delay_multiplier" value { string_value: "3" } }
    """
    put_sample(repository, "two", SAMPLES["identity_fp32"].replace("max_batch_size: 8", "max_batch_size: 1") + text)
    path = tmp_path / "trace.json"
    flags = ("--trace-file", str(path), "--trace-level", "TIMESTAMPS", "--trace-rate", "1")
    with Server(tmp_path / "server", repository, *flags) as server:
        asked = []
        for name in "abc":
            request = {"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [1, 1], "data": [1.0]}]}
            one = threading.Thread(target=server.infer, args=("two", request, {"X-Request-Id": name}))
            one.start()
            asked.append(one)
            there = len(asked)
            wait_for(lambda: waits_or_ran(server) == there, "the request to be there")
        for one in asked:
            one.join()
        wait_for(lambda: len([o for o in traces(path) if "model_name" in o]) == 3, "three traces")
    objects = traces(path)
    assert {o["id"]: o["request_id"] for o in objects if "model_name" in o} == {1: "a", 2: "b", 3: "c"}
    times = {o["id"]: {row["name"]: row["ns"] for row in o["timestamps"]} for o in objects if "timestamps" in o}
    ran = [times[i]["COMPUTE_END"] for i in (1, 2, 3)]
    left = [times[i]["INFER_RESPONSE_COMPLETE"] for i in (1, 2, 3)]
    assert ran != sorted(ran) and left == sorted(left)


def waits_or_ran(server):
    now = server.get("/v2/models/two/schedule").json()
    return now["busy"] + now["waiting"] + now["requests"]


def test_a_level_without_a_file(tmp_path):
    with Server(tmp_path / "server", EXAMPLES / "models", "--trace-level", "TIMESTAMPS", "--trace-rate", "1") as server:
        ask(server)
        assert server.get("/v2/trace/setting").json()["trace_file"] == ""
        server.told("trace.nowhere")


# ---- OpenTelemetry ----


class Collector:
    """Takes OTLP over HTTP; `hold` makes it slow, `status` unfriendly."""

    def __init__(self):
        self.requests, self.hold, self.status = [], threading.Event(), 200
        self.hold.set()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.hold.wait()
                collector.requests.append((self.path, self.headers["Content-Type"], json.loads(body)))
                self.send_response(collector.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/traces"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def spans(self):
        return [
            span
            for _, _, body in self.requests
            for resource in body["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]

    def close(self):
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def collector():
    one = Collector()
    yield one
    one.close()


def otlp(collector, *more):
    base = ("--trace-mode", "opentelemetry", "--trace-otlp-url", collector.url, "--trace-level", "TIMESTAMPS")
    return base + ("--trace-otlp-delay", "1ms") + more


TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"


def test_spans(tmp_path, collector):
    flags = otlp(collector, "--trace-rate", "1", "--trace-otlp-resource", "service.name=irises,zone=b")
    with Server(tmp_path / "server", EXAMPLES / "models", *flags) as server:
        ask(server)
        spans = wait_for(collector.spans, "the spans")
        assert server.get("/v2/trace/setting").json()["trace_mode"] == "opentelemetry"
    path, kind, body = collector.requests[0]
    assert (path, kind) == ("/v1/traces", "application/json")
    resource = {row["key"]: row["value"]["stringValue"] for row in body["resourceSpans"][0]["resource"]["attributes"]}
    assert resource == {"service.name": "irises", "zone": "b"}
    assert [span["name"] for span in spans] == ["InferRequest", "iris", "queue", "compute"]
    by_name = {span["name"]: span for span in spans}
    root = by_name["InferRequest"]
    assert "parentSpanId" not in root and root["kind"] == 2
    assert by_name["iris"]["parentSpanId"] == root["spanId"]
    assert by_name["queue"]["parentSpanId"] == by_name["compute"]["parentSpanId"] == by_name["iris"]["spanId"]
    assert len({span["traceId"] for span in spans}) == 1
    now = time.time_ns()
    for span in spans:
        start, end = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
        assert int(root["startTimeUnixNano"]) <= start <= end <= int(root["endTimeUnixNano"])
        assert abs(now - end) < 60e9


def test_a_propagated_context_is_always_traced(tmp_path, collector):
    flags = otlp(collector, "--trace-rate", "1000000")
    with Server(tmp_path / "server", EXAMPLES / "models", *flags) as server:
        ask(server)
        ask(server, {"traceparent": f"00-{TRACE}-{CALLER}-00"})  # the caller does not trace it
        answer = ask(server, {"traceparent": f"00-{TRACE}-{CALLER}-01"})
        spans = wait_for(collector.spans, "the spans")
    assert len(spans) == len(collector.spans()) == 4
    assert spans[0]["traceId"] == TRACE and spans[0]["parentSpanId"] == CALLER
    assert answer.headers["traceparent"] == f"00-{TRACE}-{spans[0]['spanId']}-01"


def test_requests_of_a_stream_belong_to_its_trace(tmp_path, collector, repository):
    put_sample(repository, "square_int32")
    with Server(tmp_path / "server", repository, *otlp(collector, "--trace-rate", "1000000")) as server:
        headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
        path = "/v2/models/square_int32/generate_stream"
        assert server.call("POST", path, {"IN": 3}, headers).status == 200
        wait_for(collector.spans, "the spans")
    names = [span["name"] for span in collector.spans()]
    assert names == ["InferRequest", "square_int32", "queue", "compute"]
    assert {span["traceId"] for span in collector.spans()} == {TRACE}
    assert collector.spans()[0]["parentSpanId"] == CALLER


# ---- what runs inside of a request ----


def ensemble(repository, name, step):
    """One tensor through one step."""
    config = (
        'platform: "ensemble"\nmax_batch_size: 0\n'
        'input { name: "X" data_type: TYPE_FP32 dims: [ -1, -1 ] }\n'
        'output { name: "Y" data_type: TYPE_FP32 dims: [ -1, -1 ] }\n'
        f'ensemble_scheduling {{ step {{ model_name: "{step[0]}" model_version: -1 '
        f'input_map {{ key: "{step[1]}" value: "X" }} output_map {{ key: "{step[2]}" value: "Y" }} }} }}\n'
    )
    put_sample(repository, name, config)


NEST = {"inputs": [{"name": "X", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}


def nest(repository):
    put_sample(repository, "identity_fp32")
    ensemble(repository, "inner", ("identity_fp32", "INPUT0", "OUTPUT0"))
    ensemble(repository, "outer", ("inner", "X", "Y"))


def test_steps_of_an_ensemble_are_told_of_in_the_file(tmp_path, repository):
    nest(repository)
    path = tmp_path / "trace.json"
    flags = ("--trace-file", str(path), "--trace-level", "TIMESTAMPS,TENSORS", "--trace-rate", "2")
    with Server(tmp_path / "server", repository, *flags) as server:
        for name in ("a", "b", "c", "d"):  # steps do not count as requests: b and d are traced
            assert server.infer("outer", NEST, {"X-Request-Id": name}).status == 200
        wait_for(lambda: len([o for o in traces(path) if "model_name" in o]) == 6, "two families")
    objects = traces(path)
    heads = {o["id"]: o for o in objects if "model_name" in o}
    rows = [(o["model_name"], o.get("parent_id"), o["request_id"]) for _, o in sorted(heads.items())]
    assert rows == [
        ("outer", None, "b"), ("inner", 1, "b"), ("identity_fp32", 2, "b"),
        ("outer", None, "d"), ("inner", 4, "d"), ("identity_fp32", 5, "d"),
    ]  # fmt: skip
    points = {o["id"]: {row["name"] for row in o["timestamps"]} for o in objects if "timestamps" in o}
    own = {"REQUEST_START", "QUEUE_START", "INFER_RESPONSE_COMPLETE", "REQUEST_END"}
    assert points[2] == own  # as Triton's: what an ensemble computes, its steps do
    assert own | {"COMPUTE_START", "COMPUTE_INPUT_END", "COMPUTE_OUTPUT_START", "COMPUTE_END"} == points[3]
    assert "HTTP_RECV_START" in points[1] and "COMPUTE_START" not in points[1]
    tensors = [(o["id"], o["activity"], o["tensor"]["name"]) for o in objects if "tensor" in o and o["id"] == 3]
    assert tensors == [(3, "TENSOR_QUEUE_INPUT", "INPUT0"), (3, "TENSOR_BACKEND_OUTPUT", "OUTPUT0")]


def by_name(spans):
    return {span["name"]: span for span in spans}


def test_steps_of_an_ensemble_are_spans(tmp_path, collector, repository):
    nest(repository)
    with Server(tmp_path / "server", repository, *otlp(collector, "--trace-rate", "1")) as server:
        assert server.infer("outer", NEST).status == 200
        spans = wait_for(collector.spans, "the spans")
    names = [span["name"] for span in spans]
    assert names == ["InferRequest", "outer", "identity_fp32", "queue", "compute", "inner"]
    named = by_name(spans)
    for child, parent in (("outer", "InferRequest"), ("inner", "outer"), ("identity_fp32", "inner")):
        assert named[child]["parentSpanId"] == named[parent]["spanId"]
        assert int(named[parent]["startTimeUnixNano"]) <= int(named[child]["startTimeUnixNano"])
        assert int(named[child]["endTimeUnixNano"]) <= int(named[parent]["endTimeUnixNano"])
    assert len({span["spanId"] for span in spans}) == len(spans)
    assert {span["traceId"] for span in spans} == {spans[0]["traceId"]}


def put_graph(repository, name, *steps):
    (repository / name).mkdir()
    graph = {"nodes": {"root": {"routerType": "Sequence", "steps": list(steps)}}}
    (repository / name / "graph.json").write_text(json.dumps(graph))


@pytest.fixture
def unit():
    one = Unit()
    yield one
    one.stop()


def test_steps_of_a_graph_are_spans(tmp_path, collector, repository, unit):
    nest(repository)
    far = unit.on("/far", lambda document: document)
    steps = ({"name": "far", "serviceUrl": far}, {"name": "near", "serviceName": "outer", "data": "$response"})
    put_graph(repository, "graph", *steps)
    with Server(tmp_path / "server", repository, *otlp(collector, "--trace-rate", "1")) as server:
        assert server.call("POST", "/graphs/graph", NEST).status == 200
        spans = wait_for(collector.spans, "the spans")
    assert len(collector.requests) == 1
    named = by_name(spans)
    assert named["far"]["kind"] == 3 and named["far"]["parentSpanId"] == named["graph"]["spanId"]
    (inside,) = [s for s in spans[1:] if s["name"] == "InferRequest"]
    assert inside["parentSpanId"] == named["graph"]["spanId"]
    assert named["outer"]["parentSpanId"] == inside["spanId"]
    assert named["inner"]["parentSpanId"] == named["outer"]["spanId"]
    ((_, headers, _),) = unit.asked
    asked = {name.lower(): value for name, value in headers.items()}["traceparent"]
    assert asked == f"00-{spans[0]['traceId']}-{named['far']['spanId']}-03"  # sampled, and random
    assert {span["traceId"] for span in spans} == {spans[0]["traceId"]}


def test_steps_of_a_graph_are_told_of_in_the_file(tmp_path, repository, unit):
    put_sample(repository, "identity_fp32")
    far = unit.on("/far", lambda document: document)
    steps = ({"name": "far", "serviceUrl": far}, {"name": "near", "serviceName": "identity_fp32", "data": "$response"})
    put_graph(repository, "graph", *steps)
    path = tmp_path / "trace.json"
    flags = ("--trace-file", str(path), "--trace-level", "TIMESTAMPS", "--trace-rate", "1")
    body = {"inputs": [{"name": "INPUT0", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}
    with Server(tmp_path / "server", repository, *flags) as server:
        assert server.call("POST", "/graphs/graph", body).status == 200
        wait_for(lambda: len([o for o in traces(path) if "model_name" in o]) == 3, "the family")
    heads = sorted((o["id"], o["model_name"], o.get("parent_id")) for o in traces(path) if "model_name" in o)
    assert heads == [(1, "graph", None), (2, "far", 1), (3, "identity_fp32", 1)]


def value(server, name):
    page = server.get("/metrics").body.decode()
    return int(next(line.split()[1] for line in page.splitlines() if line.startswith(name + " ")))


def test_a_slow_collector_costs_traces_not_requests(tmp_path, collector):
    flags = otlp(collector, "--trace-rate", "1", "--trace-otlp-queue-max", "8", "--trace-otlp-batch-max", "4")
    collector.hold.clear()
    with Server(tmp_path / "server", EXAMPLES / "models", *flags) as server:
        connection = server.connect()
        body = {"inputs": [rows_of(example("iris"), 0, 1)]}
        for _ in range(50):
            assert server.infer("iris", body, connection=connection).status == 200
        connection.close()
        assert value(server, "tern_traces_dropped_total") >= 50 - 8
        collector.hold.set()
        wait_for(lambda: value(server, "tern_traces_total") + value(server, "tern_traces_dropped_total") == 50, "all")


def test_a_collector_that_refuses_or_is_gone(tmp_path, collector):
    collector.status = 503
    with Server(tmp_path / "server", EXAMPLES / "models", *otlp(collector, "--trace-rate", "1")) as server:
        ask(server)
        wait_for(lambda: value(server, "tern_traces_dropped_total") == 1, "the loss")
        (line,) = server.told("trace.failed")
        assert "503" in line["error"]
        collector.server.shutdown()
        collector.server.server_close()
        ask(server)
        wait_for(lambda: value(server, "tern_traces_dropped_total") == 2, "the loss")
        assert server.stop() == 0


def test_wrong_options(tmp_path):
    for flags, text in (
        (("--trace-level", "LOUD"), "trace.level: expected OFF, or TIMESTAMPS and TENSORS"),
        (("--trace-otlp-resource", "x"), "trace.otlp.resource: expected KEY=VALUE"),
        (("--trace-rate", "0"), "--trace-rate: expected a number from 1"),
        (("--trace-mode", "x"), "--trace-mode"),
    ):
        server = Server(tmp_path / "server", EXAMPLES / "models", *flags)
        assert server.process.wait(30) != 0
        assert text in server.log_file.read_text()
