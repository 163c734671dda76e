"""Explanations over the wire and by `tern explain`: Shapley values that are computed here by going through
all sets of features with ordinary predictions."""
# covers: gateway/explain proto/oip_explain explain/ask explain/sets explain/importance
# covers: cli/explain cli/explain_local cli/explain_remote cli/explain_report cli/explain_options
# covers: cli/place

import itertools
import json
import math
import subprocess
import threading

import numpy
import pytest

from harness import EXAMPLES, TERN, Server, example, put_sample, wait_for

IRIS = numpy.array(example("iris")["inputs"][0]["data"], numpy.float32).reshape(-1, 4)


def tensor(rows, name="features"):
    rows = numpy.asarray(rows, numpy.float32)
    return {"name": name, "datatype": "FP32", "shape": list(rows.shape), "data": rows.ravel().tolist()}


def explain(server, model, body, **options):
    return server.call("POST", f"/v2/models/{model}/explain", body, **options)


def read(answer):
    assert answer.status == 200, answer.body
    body = answer.json()
    arrays = {out["name"]: numpy.array(out["data"]).reshape(out["shape"]) for out in body["outputs"]}
    return arrays, body["parameters"]


def probabilities(server, rows):
    answer = server.infer("iris", {"inputs": [tensor(rows)], "outputs": [{"name": "probabilities"}]}).json()
    return numpy.array(answer["outputs"][0]["data"]).reshape(-1, 3)


def shapley(predict, x, background):
    """By the formula, over all sets."""
    m = len(x)
    sets = [frozenset(s) for n in range(m + 1) for s in itertools.combinations(range(m), n)]
    rows = []
    for s in sets:
        for b in background:
            rows.append([x[f] if f in s else b[f] for f in range(m)])
    scores = predict(rows).reshape(len(sets), len(background), -1).mean(axis=1)
    value = dict(zip(sets, scores))
    result = []
    for f in range(m):
        total = 0
        for s in sets:
            if f not in s:
                weight = math.factorial(len(s)) * math.factorial(m - len(s) - 1) / math.factorial(m)
                total = total + weight * (value[s | {f}] - value[s])
        result.append(total)
    return numpy.array(result).T, value[frozenset()]


def test_kernel_is_shapley(server):
    rows, background = IRIS[:3], IRIS[20:27]
    got, params = read(explain(server, "iris", {"inputs": [tensor(rows)], "background": [tensor(background)]}))
    assert params["method"] == "kernel" and params["explained"] == "output"
    for row, x in enumerate(rows):
        values, base = shapley(lambda rows: probabilities(server, rows), x, background)
        numpy.testing.assert_allclose(got["shap_values"][row], values, rtol=1e-5, atol=1e-7)
        numpy.testing.assert_allclose(got["base_values"], base, rtol=1e-6)
    numpy.testing.assert_allclose(got["predictions"], probabilities(server, rows), rtol=1e-6)
    sums = got["base_values"] + got["shap_values"].sum(axis=2)
    numpy.testing.assert_allclose(sums, got["predictions"], rtol=1e-9, atol=1e-9)
    assert got["additivity_error"].max() < 1e-9
    assert list(got["feature_names"]) == [f"features[{i}]" for i in range(4)]
    assert list(got["output_names"]) == [f"probabilities[{i}]" for i in range(3)]


def test_binary_tensors_and_versions(server):
    rows, background = IRIS[:1], IRIS[20:24]
    head = {"name": "features", "datatype": "FP32", "parameters": {"binary_data_size": 16}, "shape": [1, 4]}
    back = {**head, "parameters": {"binary_data_size": 64}, "shape": [4, 4]}
    text = json.dumps({"inputs": [head], "background": [back], "parameters": {"binary_data_output": True}}).encode()
    answer = server.call(
        "POST",
        "/v2/models/iris/versions/1/explain",
        text + rows.tobytes() + background.tobytes(),
        {"Inference-Header-Content-Length": str(len(text))},
    )
    assert answer.status == 200, answer.body
    size = int(answer.headers["Inference-Header-Content-Length"])
    first = json.loads(answer.body[:size])["outputs"][0]
    got = numpy.frombuffer(answer.body[size:][: first["parameters"]["binary_data_size"]], "<f8").reshape(3, 4)
    json_answer, _ = read(explain(server, "iris", {"inputs": [tensor(rows)], "background": [tensor(background)]}))
    numpy.testing.assert_array_equal(got, json_answer["shap_values"][0])


def test_permutation_sampling_and_seed(server):
    def ask(seed):
        return read(
            explain(
                server,
                "iris",
                {
                    "inputs": [tensor(IRIS[:1])],
                    "background": [tensor(IRIS[12:22])],
                    "parameters": {"method": "permutation", "nsamples": 200, "seed": seed},
                },
            )
        )[0]["shap_values"]

    numpy.testing.assert_array_equal(ask(3), ask(3))
    values, _ = shapley(lambda rows: probabilities(server, rows), IRIS[0], IRIS[12:22])
    numpy.testing.assert_allclose(ask(3)[0], values, atol=0.03)


def test_importance(server):
    got, params = read(explain(server, "iris", {"inputs": [tensor(IRIS)], "parameters": {"method": "importance"}}))
    assert got["importances"].shape == (3, 4)
    assert (got["importances"][:, 2:].max(axis=1) > got["importances"][:, :2].max(axis=1)).all()
    assert params["evaluations"] == len(IRIS) * (1 + 4 * 5)


def test_chosen_output(server):
    body = {
        "inputs": [tensor(IRIS[:1])],
        "outputs": [{"name": "label"}],
        "parameters": {"background": "zeros"},
    }
    got, _ = read(explain(server, "iris", body))
    assert list(got["output_names"]) == ["label"] and got["shap_values"].shape == (1, 1, 4)


def test_a_model_brings_its_background(tmp_path):
    folder = tmp_path / "models" / "iris"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.onnx").write_bytes((EXAMPLES / "models/iris/1/model.onnx").read_bytes())
    numpy.save(folder / "background.npy", IRIS[:5].astype(numpy.float64))
    with Server(tmp_path / "server", tmp_path / "models") as server:
        own, _ = read(explain(server, "iris", {"inputs": [tensor(IRIS[28:29])]}))
        given, _ = read(
            explain(server, "iris", {"inputs": [tensor(IRIS[28:29])], "background": [tensor(IRIS[:5])]})
        )
        numpy.testing.assert_array_equal(own["shap_values"], given["shap_values"])
        metrics = server.get("/metrics").body.decode()
        assert 'op="explain"' in metrics


@pytest.mark.parametrize(
    "change, status, text",
    [
        ({"parameters": {"method": "magic"}}, 400, "expected auto, tree"),
        ({"parameters": {"method": "tree"}}, 501, "cannot be explained by method 'tree'"),
        ({"parameters": {"method": "integrated_gradients"}}, 501, "gradients"),
        ({"parameters": {"method": 3}}, 400, "parameter 'method'"),
        ({"parameters": {"nsamples": -1}}, 400, "nsamples"),
        ({"parameters": {"nsamples": 10**12}}, 400, "nsamples"),
        ({"parameters": {"interactions": True}}, 501, "interactions"),
        ({"parameters": {"background": "zeros"}}, 400, "given twice"),
        ({"background": [tensor(IRIS[:2, :3])]}, 400, "the background"),
        ({"background": [tensor(IRIS[:2], "other")]}, 400, "the background"),
        ({"background": [tensor(IRIS[:0])]}, 400, "background"),
        ({"background": [tensor(numpy.zeros((1001, 4)))]}, 400, "at most 1000 rows of background"),
        ({"background": []}, 400, "background"),
        ({"background": 3}, 400, "expected"),
        ({"inputs": [tensor(numpy.zeros((1001, 4)))]}, 400, "at most 1000 rows"),
        ({"inputs": [tensor(IRIS[:0])]}, 400, "rows"),
        ({"inputs": [tensor(IRIS[:1, :3])]}, 400, "features"),
        ({"outputs": [{"name": "nothing"}]}, 400, "nothing"),
        ({"background": None}, 400, "expected"),
    ],
)
def test_refusals(server, change, status, text):
    body = {"inputs": [tensor(IRIS[:1])], "background": [tensor(IRIS[:2])], **change}
    answer = explain(server, "iris", body)
    assert answer.status == status, answer.body
    assert text in answer.json()["error"]


def test_no_background(server):
    answer = explain(server, "iris", {"inputs": [tensor(IRIS[:1])]})
    assert answer.status == 400 and "background.npy" in answer.json()["error"]


def test_unknown_model(server):
    assert explain(server, "nobody", {"inputs": []}).status == 404


# ---- dialects ----

ENDPOINT = "/v1/projects/p/locations/l/endpoints/"
VALUES = {
    "/v1/models/": lambda body: [[row["shap_values"], row["base_values"]] for row in body["explanations"]],
    ENDPOINT: lambda body: [
        [[list(one["featureAttributions"].values()) for one in row["attributions"]],
         [one["baselineOutputValue"] for one in row["attributions"]]]
        for row in body["explanations"]
    ],
}


@pytest.mark.parametrize("path", list(VALUES))
def test_instances(server, path):
    body = {"instances": IRIS[:3].tolist(), "parameters": {"background": IRIS[20:25].tolist()}}
    answer = server.call("POST", path + "iris:explain", body)
    assert answer.status == 200, answer.body
    got = answer.json()
    numpy.testing.assert_allclose(got["predictions"], probabilities(server, IRIS[:3]), rtol=1e-6)
    for row, (values, base) in enumerate(VALUES[path](got)):
        want, want_base = shapley(lambda rows: probabilities(server, rows), IRIS[row], IRIS[20:25])
        numpy.testing.assert_allclose(values, want, rtol=1e-5, atol=1e-7)
        numpy.testing.assert_allclose(base, want_base, rtol=1e-6)


@pytest.mark.parametrize("path", list(VALUES))
def test_predict(server, path):
    got = server.call("POST", path + "iris:predict", {"instances": IRIS[:3].tolist()}).json()["predictions"]
    numpy.testing.assert_allclose([row["probabilities"] for row in got], probabilities(server, IRIS[:3]), rtol=1e-6)
    assert all(isinstance(row["label"], int) for row in got)
    answer = server.call("POST", path + "diabetes:predict", {"instances": [[0.1] * 10]})
    assert answer.status == 200 and len(answer.json()["predictions"]) == 1


def test_envelopes(server):
    bad = {"instances": [[1, 2]]}
    for op in ("predict", "explain"):
        v1 = server.call("POST", f"/v1/models/iris:{op}", bad)
        assert v1.status == 400 and "2 elements" in v1.json()["error"]
        vertex = server.call("POST", f"{ENDPOINT}iris:{op}", bad).json()["error"]
        assert (vertex["code"], vertex["status"]) == (400, "INVALID_ARGUMENT") and "2 elements" in vertex["message"]
        assert server.call("POST", f"/v1/models/nobody:{op}", bad).status == 404
        assert server.call("POST", f"{ENDPOINT}nobody:{op}", bad).json()["error"]["status"] == "NOT_FOUND"
    assert "error" in server.get("/v1/models/iris:guess").json()
    assert server.get("/v1/projects/p").json()["error"]["code"] == 404


def test_v1_models(server):
    assert "iris" in server.get("/v1/models").json()["models"]
    assert server.get("/v1/models/iris").json() == {"name": "iris", "ready": True}
    assert server.get("/v1/models/nobody").status == 404


# ---- others ----

SLOW = (
    'backend: "identity"\nmax_batch_size: 4\n'
    'input [ { name: "INPUT0" data_type: TYPE_FP32 dims: [ 40 ] } ]\n'
    'output [ { name: "OUTPUT0" data_type: TYPE_FP32 dims: [ 40 ] } ]\n'
    'parameters { key: "execute_delay_ms" value: { string_value: "20" } }\n'
)


@pytest.fixture
def slow(tmp_path):
    put_sample(tmp_path / "models", "slow", SLOW)
    with Server(tmp_path / "server", tmp_path / "models") as server:
        yield server


LONG = {"inputs": [tensor(numpy.ones((1, 40)), "INPUT0")], "parameters": {"background": "zeros"}}


def test_deadline(slow):
    answer = explain(slow, "slow", LONG, headers={"x-request-timeout-ms": "300"})
    assert answer.status == 504, answer.body


def test_predictions_come_in_between(slow):
    connection = slow.connect()
    connection.request("POST", "/v2/models/slow/explain", json.dumps(LONG))
    for _ in range(5):
        assert slow.infer("slow", {"inputs": [tensor(numpy.ones((1, 40)), "INPUT0")]}).status == 200
    connection.close()  # and the explanation is given up
    cancelled = 'tern_requests_total{op="explain",code="cancelled"} 1'
    wait_for(lambda: cancelled in slow.get("/metrics").body.decode(), "its end")


def test_several_take_turns(server):
    answers = []

    def ask(row):
        body = {"inputs": [tensor(IRIS[row : row + 1])], "background": [tensor(IRIS[:30])]}
        answers.append((row, read(explain(server, "iris", body))[0]["shap_values"]))

    threads = [threading.Thread(target=ask, args=(row,)) for row in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 12
    for row, got in answers:
        values, _ = shapley(lambda rows: probabilities(server, rows), IRIS[row], IRIS[:30])
        numpy.testing.assert_allclose(got[0], values, rtol=1e-5, atol=1e-6)


# ---- tern explain ----


def run(*args, stdin=None):
    return subprocess.run([TERN, "explain", *map(str, args)], capture_output=True, text=True, input=stdin)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    (folder / "row.json").write_text(json.dumps(IRIS[:2].tolist()))
    (folder / "background.csv").write_text("\n".join(",".join(map(str, row)) for row in IRIS[20:30].tolist()))
    return folder


@pytest.mark.parametrize("where", ["here", "server"])
def test_command(server, files, where):
    model = EXAMPLES / "models/iris" if where == "here" else server.url + "/v2/models/iris"
    kernel = ("--method", "kernel", "--background", files / "background.csv")
    shown = run(model, files / "row.json", *kernel)
    assert shown.returncode == 0, shown.stderr
    assert "base value" in shown.stdout and "prediction" in shown.stdout and "features[2] = " in shown.stdout
    assert "method kernel" in shown.stdout and "\033" not in shown.stdout
    told = run(model, files / "row.json", *kernel, "--output", "json")
    got = json.loads(told.stdout)
    values = numpy.array(got["shap_values"])
    for row in range(2):
        want, base = shapley(lambda rows: probabilities(server, rows), IRIS[row], IRIS[20:30])
        numpy.testing.assert_allclose(values[row], want, rtol=1e-5, atol=1e-7)
        numpy.testing.assert_allclose(got["base_values"], base, rtol=1e-5, atol=1e-7)
    assert (got["method"], got["outputs"][2]) == ("kernel", "probabilities[2]")


def test_command_options(server, files):
    shown = run(server.url, "--model", "iris", files / "row.json", "-b", "zeros", "--class", "1", "--top", "2")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("probabilities[1] = ") == 2 and "2 others" in shown.stdout
    shown = run(EXAMPLES / "models/iris", EXAMPLES / "data/iris.csv", "--method", "importance")
    assert shown.returncode == 0 and "shuffled" in shown.stdout
    bad = run(EXAMPLES / "models/iris", files / "row.json", "-b", "zeros", "--class", "7")
    assert bad.returncode == 1 and "0 to 2" in bad.stderr
    bad = run(EXAMPLES / "models/iris", files / "row.json", "--method", "magic", "-b", "zeros")
    assert bad.returncode == 1 and "magic" in bad.stderr
    bad = run(EXAMPLES / "models/iris", files / "row.json")
    assert bad.returncode == 1 and "background" in bad.stderr
    gone = run("http://127.0.0.1:1/v2/models/iris", files / "row.json")
    assert gone.returncode == 3
