"""What model files call their classes and features: it is there in the metadata, in the answers of the
classification extension, in explanations and on the command line."""
# covers: engine/native/program

import json
import subprocess

import catboost
import numpy
import pytest
import skl2onnx
from harness import TERN
from oracle import SEED, Program, data_sets
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import SVC

NAMES = ["setosa", "versi color", "virginica, or so"]
NATIVE = {"TERN_ENGINE_NATIVE_ONNX": "auto"}
FEATURES = ["sepal length", "sepal width", "petal length", "petal width"]


def texts():
    return numpy.array(NAMES)[data_sets()["iris"].classes]


def boosted(folder, form, y):
    model = catboost.CatBoostClassifier(iterations=5, depth=3, verbose=0, allow_writing_files=False, random_seed=SEED)
    model.fit(catboost.Pool(data_sets()["iris"].x, y, feature_names=FEATURES))
    path = folder / f"saved.{form}"
    model.save_model(path, format=form)
    return model, f"model.{form}", path.read_bytes()


def graph(model, y, zipmap=False):
    x = data_sets()["iris"].x
    model.fit(x, y)
    made = skl2onnx.to_onnx(model, x[:1], options={"zipmap": True} if zipmap else {"zipmap": False})
    return model, "model.onnx", made.SerializeToString()


def forest():
    return RandomForestClassifier(5, max_depth=3, random_state=SEED)


def models(folder):
    """(model, file name, content) by name, and which output bears the labels."""
    two = numpy.where(data_sets()["iris"].classes > 0, "yes", "no")
    numbers = data_sets()["iris"].classes * 10 - 10
    return {
        "catboost_json": boosted(folder, "json", texts()),
        "catboost_cbm": boosted(folder, "cbm", texts()),
        "catboost_two": boosted(folder, "cbm", two),
        "catboost_numbers": boosted(folder, "json", numbers),
        "forest": graph(forest(), texts()),
        "forest_zipmap": graph(forest(), texts(), zipmap=True),
        "forest_two": graph(forest(), two),
        "forest_numbers": graph(forest(), numbers),
        "scaled": graph(make_pipeline(StandardScaler(), LogisticRegression()), texts()),
        "scaled_zipmap": graph(make_pipeline(StandardScaler(), LogisticRegression()), texts(), zipmap=True),
        "logistic_two": graph(LogisticRegression(), two),
        "vectors": graph(SVC(probability=True, random_state=SEED), texts()),
        "counted": graph(forest(), data_sets()["iris"].classes),
    }


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    made = models(folder)
    for name, (_, file, content) in made.items():
        version = folder / "models" / name / "1"
        version.mkdir(parents=True)
        (version / file).write_bytes(content)
    with Program(folder / "server", folder / "models", env=NATIVE) as program:
        yield made, program, folder / "models"


def test_metadata(served):
    made, program, _ = served
    for name, (model, file, _) in made.items():
        assert program.failure(name) is None
        metadata = program.call("GET", f"/v2/models/{name}").json()
        labelled = [output["labels"] for output in metadata["outputs"] if "labels" in output]
        expected = [] if name == "counted" else [[str(c) for c in model.classes_]]
        assert labelled == expected, name
        assert metadata["inputs"][0].get("feature_names") == (FEATURES if name.startswith("catboost") else None)


def test_classification(served):
    """The names stand behind the places of the best classes, as with a label file."""
    made, program, _ = served
    x = data_sets()["iris"].x[60:61]
    for name, (model, _, _) in made.items():
        metadata = program.call("GET", f"/v2/models/{name}").json()
        output = next((o["name"] for o in metadata["outputs"] if "labels" in o), None)
        if output is None:
            continue
        body = {
            "inputs": [{"name": metadata["inputs"][0]["name"], "datatype": "FP32", "shape": [1, 4], "data": x.tolist()}],
            "outputs": [{"name": output, "parameters": {"classification": 1}}],
        }
        answer = program.call("POST", f"/v2/models/{name}/infer", json.dumps(body).encode())
        assert answer.status == 200, answer.body
        got = answer.json()["outputs"][0]["data"]
        best = model.predict_proba(x)[0].argmax()
        assert [text.split(":", 2)[1:] for text in got] == [[str(best), str(model.classes_[best])]], name


def test_a_label_file_wins(served, tmp_path):
    made, _, _ = served
    version = tmp_path / "models" / "own" / "1"
    version.mkdir(parents=True)
    (version / "model.cbm").write_bytes(made["catboost_cbm"][2])
    (version.parent / "labels.txt").write_text("a\nb\nc\n")
    (version.parent / "config.pbtxt").write_text('output [ { name: "output__0" label_filename: "labels.txt" } ]')
    with Program(tmp_path / "server", tmp_path / "models") as program:
        assert program.failure("own") is None
        assert program.call("GET", "/v2/models/own").json()["outputs"][0]["labels"] == ["a", "b", "c"]


def test_explanations(served):
    made, program, _ = served
    instances = {"instances": data_sets()["iris"].x[:2].tolist(), "parameters": {"background": "zeros"}}
    for name, method, expected in [
        ("catboost_cbm", "auto", [f"margin[{c}]" for c in NAMES]),
        ("catboost_two", "auto", ["margin[yes]"]),
        ("catboost_cbm", "kernel", [f"output__0[{c}]" for c in NAMES]),
    ]:
        instances["parameters"]["method"] = method
        answer = program.call("POST", f"/v1/models/{name}:explain", json.dumps(instances).encode())
        assert answer.status == 200, answer.body
        assert answer.json()["output_names"] == expected
        assert answer.json()["feature_names"] == FEATURES
        answer = program.call("POST", f"/v1/projects/p/locations/l/endpoints/{name}:explain", json.dumps(instances).encode())
        attributions = answer.json()["explanations"][0]["attributions"]
        assert [a["outputDisplayName"] for a in attributions] == [e.split("[")[1][:-1] for e in expected]
        assert list(attributions[0]["featureAttributions"]) == FEATURES


def tern(*args):
    return subprocess.run([TERN, *args], capture_output=True, text=True, timeout=60, check=False)


def test_command_line(served, tmp_path):
    made, program, repository = served
    told = tern("check", str(repository / "catboost_cbm"))
    assert told.returncode == 0, told.stderr
    assert f"features {', '.join(FEATURES)}\n" in told.stdout
    assert f"classes of output__0 {', '.join(NAMES)}\n" in told.stdout
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps(data_sets()["iris"].x[:1].tolist()))
    told = tern("explain", str(repository / "catboost_cbm"), str(rows), "--class", "versi color")
    assert told.returncode == 0, told.stderr
    assert "margin[versi color] = " in told.stdout
    assert "petal width = " in told.stdout
    for place in ([str(repository / "catboost_cbm")], [program.server.url, "--model", "catboost_cbm"]):
        told = tern("infer", *place, str(rows))
        assert "setosa" in told.stdout, told.stderr
    # Columns under the names of features, in another order, behind the truth.
    table = tmp_path / "rows.csv"
    x, y = data_sets()["iris"].x, texts()
    lines = [f'"{y[i]}",{x[i, 3]},{x[i, 2]},{x[i, 0]},{x[i, 1]}' for i in range(0, 150, 10)]
    table.write_text("\n".join(["class," + ",".join(FEATURES[k] for k in (3, 2, 0, 1)), *lines]))
    right = (numpy.array(made["catboost_cbm"][0].predict(x[::10]))[:, 0] == y[::10]).sum()
    for place in ([str(repository / "catboost_cbm")], [program.server.url, "--model", "catboost_cbm"]):
        told = tern("infer", *place, str(table))
        assert f"({right} of 15 right)" in told.stdout, told.stdout + told.stderr
