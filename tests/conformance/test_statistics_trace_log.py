"""Statistics, traces and the log, as Triton's client and its dashboards use them."""

import json
import queue
import signal
import time

import numpy
import pytest
import tritonclient.grpc as grpc
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from harness import EXAMPLES, SAMPLES, Server, put_sample, wait_for

@pytest.fixture
def traced(tmp_path):
    """A server of its own, whose settings a test may change."""
    one = Server(tmp_path / "server", EXAMPLES / "models", "--trace-file", str(tmp_path / "trace.json"))
    with one:
        one.client = triton.InferenceServerClient(one.address)
        one.trace_file = tmp_path / "trace.json"
        yield one
        one.client.close()


def infer(server, rows=1, n=1, request_id="", headers=None):
    values = numpy.tile(numpy.array([[5.1, 3.5, 1.4, 0.2]], "float32"), (rows, 1))
    given = triton.InferInput("features", list(values.shape), "FP32")
    given.set_data_from_numpy(values, binary_data=True)
    for _ in range(n):
        server.client.infer("iris", [given], request_id=request_id, headers=headers)


def read_traces(path):
    """The file is whole JSON after every batch."""
    return json.loads(path.read_text()) if path.exists() else []


def names_of(objects):
    return [o for o in objects if "model_name" in o]


# ---- statistics ----


def test_statistics(traced):
    before = int(time.time() * 1000)
    infer(traced, rows=3, n=2)
    infer(traced, rows=1, n=5)
    with pytest.raises(InferenceServerException):
        bad = triton.InferInput("features", [1, 5], "FP32")
        bad.set_data_from_numpy(numpy.zeros((1, 5), "float32"))
        traced.client.infer("iris", [bad])
    (stats,) = traced.client.get_inference_statistics("iris")["model_stats"]
    assert (stats["name"], stats["version"]) == ("iris", "1")
    assert (stats["inference_count"], stats["execution_count"]) == (11, 7)
    assert before - 1000 <= stats["last_inference"] <= time.time() * 1000 + 1000
    parts = stats["inference_stats"]
    assert parts["success"]["count"] == 7 and parts["fail"]["count"] == 1
    for key in ("queue", "compute_input", "compute_infer", "compute_output"):
        assert parts[key]["count"] == 7, key
    spent = sum(parts[key]["ns"] for key in ("queue", "compute_input", "compute_infer", "compute_output"))
    assert 0 < spent <= parts["success"]["ns"]
    assert parts["cache_hit"] == parts["cache_miss"] == {"count": 0, "ns": 0}
    assert [(row["batch_size"], row["compute_infer"]["count"]) for row in stats["batch_stats"]] == [(1, 5), (3, 2)]
    assert stats["memory_usage"] == [] and stats["response_stats"] == {}
    assert traced.client.get_inference_statistics("iris", "1")["model_stats"][0]["name"] == "iris"
    everything = traced.client.get_inference_statistics()["model_stats"]
    assert {"iris", "digits_mlp"} <= {row["name"] for row in everything}


def test_statistics_of_unknown_models(traced):
    with pytest.raises(InferenceServerException, match="Request for unknown model: 'nope' is not found"):
        traced.client.get_inference_statistics("nope")
    with pytest.raises(InferenceServerException, match="'iris' version 9 is not found"):
        traced.client.get_inference_statistics("iris", "9")


def test_answers_of_decoupled_models(repository, tmp_path):
    put_sample(repository, "square_int32")
    with Server(tmp_path / "server", repository) as one:
        for n in (3, 1):
            answer = one.call("POST", "/v2/models/square_int32/generate_stream", {"IN": n})
            assert answer.status == 200
        (stats,) = one.get("/v2/models/square_int32/stats").json()["model_stats"]
        page = one.get("/metrics").body.decode()
        answer = one.call("POST", "/v2/models/square_int32/generate", {"IN": 1})
        assert answer.status == 200
        (later,) = one.get("/v2/models/square_int32/stats").json()["model_stats"]
    assert later["response_stats"]["0"]["success"]["count"] == 3
    answers = stats["response_stats"]
    counts = {key: (row["success"]["count"], row["empty_response"]["count"]) for key, row in answers.items()}
    assert counts == {"0": (2, 0), "1": (1, 1), "2": (1, 0), "3": (0, 1)}
    first = answers["0"]
    assert first["compute_infer"]["count"] == first["compute_output"]["count"] == 2
    assert 0 < first["compute_infer"]["ns"] + first["compute_output"]["ns"] <= first["success"]["ns"]
    assert first["fail"] == first["cancel"] == {"count": 0, "ns": 0}
    labels = 'model="square_int32",version="1"'
    assert f'nv_inference_first_response_histogram_ms_bucket{{{labels},le="5000"}} 2' in page
    assert f"nv_inference_first_response_histogram_ms_count{{{labels}}} 2" in page


def test_metric_tags(repository, tmp_path):
    config = SAMPLES["identity_fp32"] + 'metric_tags { key: "team" value: "a\\"b" }\nmetric_tags { key: "x-y" value: "" }\n'
    put_sample(repository, "identity_fp32", config)
    with Server(tmp_path / "server", repository) as one:
        page = one.get("/metrics").body.decode()
    tags = '_team="a\\"b",_x_y=""'
    assert f'nv_inference_count{{model="identity_fp32",version="1",{tags}}} 0' in page


def test_metrics(traced):
    infer(traced, rows=2, n=3)
    page = traced.get("/metrics").body.decode()
    lines = dict(line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
    labels = '{model="iris",version="1"}'
    assert lines[f"nv_inference_request_success{labels}"] == "3"
    assert lines[f"nv_inference_count{labels}"] == "6"
    assert lines[f"nv_inference_exec_count{labels}"] == "3"
    assert lines['nv_inference_request_failure{model="iris",reason="BACKEND",version="1"}'] == "0"
    assert int(lines[f"nv_inference_request_duration_us{labels}"]) > 0
    assert lines[f"nv_inference_pending_request_count{labels}"] == "0"
    assert 0 <= float(lines["nv_cpu_utilization"]) <= 1
    assert int(lines["nv_cpu_memory_total_bytes"]) > int(lines["nv_cpu_memory_used_bytes"]) > 0
    assert "nv_gpu" not in page and "summary" not in page


def test_metric_options(tmp_path):
    with Server(tmp_path / "a", EXAMPLES / "models", "--metrics-triton=false") as one:
        assert "nv_" not in one.get("/metrics").body.decode()
    with Server(tmp_path / "b", EXAMPLES / "models", "--metrics-summaries") as one:
        one.client = triton.InferenceServerClient(one.address)
        infer(one)
        page = one.get("/metrics").body.decode()
        assert 'nv_inference_request_summary_us{model="iris",version="1",quantile="0.99"} ' in page
        assert 'nv_inference_request_summary_us_count{model="iris",version="1"} 1' in page
        one.client.close()


# ---- the log ----


def test_log_settings(traced):
    client = traced.client
    start = {
        "log_file": "",
        "log_info": True,
        "log_warning": True,
        "log_error": True,
        "log_verbose_level": 0,
        "log_format": "default",
    }
    assert client.get_log_settings() == start
    for change in (
        {"log_info": False},
        {"log_info": False, "log_warning": False},
        {"log_error": False, "log_verbose_level": 1},
        {"log_format": "ISO8601"},
        {key: value for key, value in start.items() if key != "log_file"},
    ):
        start.update(change)
        assert client.update_log_settings(change) == start
        assert client.get_log_settings() == start


@pytest.mark.parametrize(
    "change, text",
    [
        ({"log_file": "x.log"}, "log file location can not be updated through network protocol"),
        ({"log_info": "yes"}, "expect boolean for 'log_info'"),
        ({"log_verbose_level": True}, "expect unsigned int32 for 'log_verbose_level'"),
        ({"log_format": "odd"}, "invalid argument for log_format"),
        ({"nope": 1}, "unknown log setting 'nope'"),
    ],
)
def test_wrong_log_settings(traced, change, text):
    before = traced.client.get_log_settings()
    with pytest.raises(InferenceServerException, match=text):
        traced.client.update_log_settings({"log_warning": False, **change})
    assert traced.client.get_log_settings() == before


def test_the_log_obeys(traced):
    """A reload is told at level info, and brings the options' levels back."""
    traced.client.update_log_settings({"log_info": False})
    traced.process.send_signal(signal.SIGHUP)
    wait_for(lambda: traced.client.get_log_settings()["log_info"], "the reload")
    traced.process.send_signal(signal.SIGHUP)
    assert len(traced.told("server.reload")) == 1  # the second one's


# ---- trace settings ----


def test_trace_settings(traced):
    client = traced.client
    start = {
        "trace_level": ["OFF"],
        "trace_rate": "1000",
        "trace_count": "-1",
        "log_frequency": "0",
        "trace_file": str(traced.trace_file),
        "trace_mode": "triton",
    }
    assert client.get_trace_settings() == start == client.get_trace_settings("iris")
    both = {"trace_level": ["TIMESTAMPS", "TENSORS"]}
    assert client.update_trace_settings(settings=both) == {**start, **both}
    assert client.get_trace_settings("iris") == {**start, **both}
    # a model's own settings hold against those of all, until they are cleared
    client.update_trace_settings("iris", {"trace_rate": "12", "log_frequency": "34"})
    client.update_trace_settings(settings={"trace_rate": "56", "trace_count": "78", "trace_level": ["OFF"]})
    assert client.update_trace_settings(settings={"trace_rate": None, "trace_count": None}) == start
    assert client.get_trace_settings("iris") == {**start, "trace_rate": "12", "log_frequency": "34"}
    cleared = client.update_trace_settings("iris", {"trace_rate": None, "trace_level": None})
    assert cleared == {**start, "log_frequency": "34"}


@pytest.mark.parametrize(
    "change, text",
    [
        ({"trace_file": "x"}, "trace file location can not be updated through network protocol"),
        ({"trace_level": ["OFF", "TENSORS"]}, "Expect only one trace level 'OFF' is specified"),
        ({"trace_level": ["LOUD"]}, "unknown trace level 'LOUD'"),
        ({"trace_rate": "-1"}, "Unable to parse 'trace_rate', got: '-1'"),
        ({"trace_rate": ["1", "2"]}, "Unable to parse 'trace_rate'"),
        ({"trace_mode": "opentelemetry"}, "trace mode can not be updated"),
        ({"nope": "1"}, "unknown trace setting 'nope'"),
    ],
)
def test_wrong_trace_settings(traced, change, text):
    before = traced.client.get_trace_settings()
    with pytest.raises(InferenceServerException, match=text):
        traced.client.update_trace_settings(settings={"log_frequency": "5", **change})
    assert traced.client.get_trace_settings() == before


def test_trace_settings_of_unknown_models(traced):
    with pytest.raises(InferenceServerException, match="Request for unknown model : nope"):
        traced.client.get_trace_settings("nope")
    with pytest.raises(InferenceServerException, match="Request for unknown model : nope"):
        traced.client.update_trace_settings("nope", {"trace_rate": "1"})


# ---- trace files ----

ORDER = (
    "HTTP_RECV_START",
    "HTTP_RECV_END",
    "REQUEST_START",
    "QUEUE_START",
    "COMPUTE_START",
    "COMPUTE_INPUT_END",
    "COMPUTE_OUTPUT_START",
    "COMPUTE_END",
    "INFER_RESPONSE_COMPLETE",
    "REQUEST_END",
    "HTTP_SEND_START",
    "HTTP_SEND_END",
)


def test_timestamps(traced):
    traced.client.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"], "trace_rate": "3"})
    infer(traced, n=7, request_id="seven")
    objects = wait_for(lambda: len(names_of(read_traces(traced.trace_file))) == 2 and read_traces(traced.trace_file), "2")
    named = names_of(objects)
    assert [one["id"] for one in named] == [1, 2]
    assert named[0] == {"id": 1, "model_name": "iris", "model_version": 1, "request_id": "seven"}
    times = [one["timestamps"] for one in objects if "timestamps" in one]
    assert len(times) == 2
    for rows in times:
        assert tuple(row["name"] for row in rows) == ORDER
        assert [row["ns"] for row in rows] == sorted(row["ns"] for row in rows)


def test_tensors(traced):
    traced.client.update_trace_settings("iris", {"trace_level": ["TENSORS"], "trace_rate": "1"})
    infer(traced, rows=2)
    objects = wait_for(lambda: read_traces(traced.trace_file), "the trace")
    assert not any("timestamps" in one for one in objects)
    tensors = {one["tensor"]["name"]: one for one in objects if "tensor" in one}
    given = tensors["features"]
    assert given["activity"] == "TENSOR_QUEUE_INPUT"
    assert given["tensor"]["shape"] == "2,4" and given["tensor"]["dtype"] == "FP32"
    numpy.testing.assert_allclose([float(v) for v in given["tensor"]["data"].split(",")], [5.1, 3.5, 1.4, 0.2] * 2, rtol=1e-6)
    assert tensors["label"]["activity"] == "TENSOR_BACKEND_OUTPUT"
    assert tensors["label"]["tensor"]["data"] == "0,0"


def test_count_and_frequency(traced):
    traced.client.update_trace_settings(
        "iris", {"trace_level": ["TIMESTAMPS"], "trace_rate": "1", "trace_count": "5", "log_frequency": "2"}
    )
    infer(traced, n=9)
    assert traced.client.get_trace_settings("iris")["trace_count"] == "0"
    files = [traced.trace_file.with_name(f"trace.json.{i}") for i in range(3)]
    wait_for(lambda: files[2].exists() and names_of(read_traces(files[2])), "three files")
    assert [len(names_of(read_traces(path))) for path in files] == [2, 2, 1]
    assert not traced.trace_file.exists()


def test_traces_are_counted_and_written_at_the_end(tmp_path):
    path = tmp_path / "trace.json"
    flags = ("--trace-file", str(path), "--trace-level", "TIMESTAMPS", "--trace-rate", "1", "--loops", "2")
    with Server(tmp_path / "server", EXAMPLES / "models", *flags) as one:
        one.client = triton.InferenceServerClient(one.address)
        infer(one, n=200)
        one.client.close()
        assert "\ntern_traces_dropped_total 0\n" in one.get("/metrics").body.decode()
    ids = [row["id"] for row in names_of(read_traces(path))]
    assert ids == list(range(1, 201))


# ---- the same over gRPC ----


def grpc_input(rows=1):
    values = numpy.tile(numpy.array([[5.1, 3.5, 1.4, 0.2]], "float32"), (rows, 1))
    given = grpc.InferInput("features", list(values.shape), "FP32")
    given.set_data_from_numpy(values)
    return given


@pytest.fixture
def rpc(traced):
    one = grpc.InferenceServerClient(traced.address)
    yield one
    one.close()


def test_timestamps_over_grpc(traced, rpc):
    rpc.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"], "trace_rate": "1"})
    rpc.infer("iris", [grpc_input()], request_id="unary")
    answers = queue.Queue()
    rpc.start_stream(lambda result, error: answers.put(error or result))
    for i in range(3):
        rpc.async_stream_infer("iris", [grpc_input()], request_id=f"stream {i}")
    for _ in range(3):
        assert not isinstance(answers.get(timeout=30), InferenceServerException)
    rpc.stop_stream()
    objects = wait_for(lambda: len(names_of(read_traces(traced.trace_file))) == 4 and read_traces(traced.trace_file), "4")
    assert {one["request_id"] for one in names_of(objects)} == {"unary", "stream 0", "stream 1", "stream 2"}
    order = [name.replace("HTTP_RECV", "GRPC_WAITREAD").replace("HTTP_SEND", "GRPC_SEND") for name in ORDER]
    for rows in (one["timestamps"] for one in objects if "timestamps" in one):
        assert [row["name"] for row in rows] == order
        assert [row["ns"] for row in rows] == sorted(row["ns"] for row in rows)
    (stats,) = rpc.get_inference_statistics("iris").model_stats
    assert stats.inference_count == stats.execution_count == stats.inference_stats.success.count == 4


def test_both_protocols_tell_the_same(traced, rpc):
    infer(traced, rows=2, n=2)
    rpc.infer("iris", [grpc_input(3)])
    http_stats = traced.client.get_inference_statistics("iris")["model_stats"][0]
    rpc_stats = rpc.get_inference_statistics("iris", as_json=True)["model_stats"][0]
    assert int(rpc_stats["inference_count"]) == http_stats["inference_count"] == 7
    assert int(rpc_stats["last_inference"]) == pytest.approx(http_stats["last_inference"], abs=2)
    for key in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        assert int(rpc_stats["inference_stats"][key].get("ns", 0)) == http_stats["inference_stats"][key]["ns"]
    assert [row["batch_size"] for row in rpc_stats["batch_stats"]] == ["2", "3"]
    http_trace = traced.client.get_trace_settings("iris")
    rpc_trace = rpc.get_trace_settings("iris").settings
    assert {key: list(row.value) for key, row in rpc_trace.items()} == {
        key: value if isinstance(value, list) else [value] for key, value in http_trace.items()
    }
    http_log, rpc_log = traced.client.get_log_settings(), rpc.get_log_settings().settings
    assert {key: getattr(row, row.WhichOneof("parameter_choice")) for key, row in rpc_log.items()} == http_log


@pytest.mark.parametrize(
    "change, text",
    [
        ({"log_format": "odd"}, "invalid argument for log_format"),
        ({"log_file": "x"}, "log file location can not be updated through network protocol"),
    ],
)
def test_wrong_log_settings_over_grpc(rpc, change, text):
    with pytest.raises(InferenceServerException, match=text):
        rpc.update_log_settings(change)
