"""Explanations against the libraries that train the models, which have TreeSHAP of their own, and against the
shap package. Differences are relative to the largest value of the row's explanation: XGBoost computes in
float32, and covers are kept as such."""
# covers: engine/native/explain

import json

import lightgbm
import numpy
import pytest
import shap
import xgboost
from oracle import SEED, Program, choices, data_sets, report, tensors_of

ROWS = 40
LARGEST = {}


def note(kind, error):
    LARGEST[kind] = max(LARGEST.get(kind, 0), error)


@pytest.fixture(scope="module", autouse=True)
def tell():
    yield
    for kind, error in sorted(LARGEST.items()):
        text = f"largest relative difference {error:.3g}"
        print(f"{kind}: {text}")
        report(text, f"explanations: {kind}")
    LARGEST.clear()  # another file has its own


def tensor(rows, name, dtype):
    rows = numpy.asarray(rows)
    if rows.dtype.kind in "OU":
        return {"name": name, "datatype": "BYTES", "shape": list(rows.shape), "data": rows.ravel().tolist()}, b""
    data = numpy.ascontiguousarray(rows, dtype).tobytes()
    kind = {"f4": "FP32", "f8": "FP64"}[dtype]
    return {
        "name": name,
        "datatype": kind,
        "shape": list(numpy.shape(rows)),
        "parameters": {"binary_data_size": len(data)},
    }, data


def tensors(rows, dtype):
    """rows: an array for the only input, or arrays by input."""
    named = rows if isinstance(rows, dict) else {None: rows}
    made = [tensor(value, name, dtype) for name, value in named.items()]
    return [head for head, _ in made], b"".join(data for _, data in made)


def explain(program, model, rows, background=None, dtype="f4", **parameters):
    """The answer's tensors; its parameters are left in the program."""
    heads, raw = tensors(rows, dtype)
    body = {"inputs": heads, "parameters": {"binary_data_output": True, **parameters}}
    if background is not None:
        body["background"], more = tensors(background, dtype)
        raw += more
    if heads[0]["name"] is None:
        name = program.call("GET", f"/v2/models/{model}").json()["inputs"][0]["name"]
        for head in heads + body.get("background", []):
            head["name"] = name
    text = json.dumps(body).encode()
    headers = {"Inference-Header-Content-Length": str(len(text))}
    answer = program.call("POST", f"/v2/models/{model}/explain", text + raw, headers)
    assert answer.status == 200, f"{model}: {answer.body.decode()[:500]}"
    found = tensors_of(answer)
    length = int(answer.headers.get("Inference-Header-Content-Length", len(answer.body)))
    program.parameters = json.loads(answer.body[:length])["parameters"]
    if "additivity_error" not in found:
        return found
    assert found["additivity_error"].max() <= 1e-9 * max(1, numpy.abs(found["predictions"]).max())
    return found


def assert_same(kind, got, want, tolerance, what):
    want = numpy.asarray(want, "f8").reshape(got.shape)
    scale = numpy.maximum(numpy.abs(want).reshape(len(want), -1).max(axis=1), 1e-6)
    error = (numpy.abs(got - want).reshape(len(want), -1).max(axis=1) / scale).max()
    note(kind, error)
    assert error <= tolerance, f"{what}: off by {error:.3g}"


class Models:
    def __init__(self, folder):
        self.folder, self.all = folder, []

    def add(self, file, content, *rest):
        name = f"m{len(self.all):03}"
        version = self.folder / "models" / name / "1"
        version.mkdir(parents=True)
        (version / file).write_bytes(content.encode() if isinstance(content, str) else bytes(content))
        self.all.append((name, *rest))

    def program(self, env=None):
        return Program(self.folder / "server", self.folder / "models", env)


# ---- XGBoost ----


def booster(settings):
    data = data_sets()[settings["data"]]
    objective = settings["objective"]
    kinds = {"reg:squarederror": "target", "binary:logistic": "label", "multi:softprob": "classes", "count:poisson": "count"}
    types = ["c" if n else "q" for n in data.categories] if any(data.categories) else None
    y = getattr(data, kinds[objective])
    matrix = xgboost.DMatrix(data.x, label=y, feature_types=types, enable_categorical=types is not None)
    parameters = {
        "objective": objective,
        "max_depth": settings["depth"],
        "grow_policy": settings["grow"],
        "max_leaves": settings["leaves"],
        "booster": settings["booster"],
        "num_parallel_tree": settings["parallel"],
        "tree_method": "hist",
        "seed": SEED,
        "subsample": 0.8,
    }
    if settings["booster"] == "dart":
        parameters["rate_drop"] = 0.3
    if objective == "multi:softprob":
        parameters["num_class"] = data.n_classes
    one = xgboost.train(parameters, matrix, settings["rounds"])
    rows = data.x[:: max(1, len(data.x) // ROWS)][:ROWS].copy()
    if not types:
        rows[5, :3] = numpy.nan
    return data, one, rows, types


SETTINGS = choices(
    14,
    data=["breast_cancer", "wine", "diabetes", "holes", "skewed", "categorical"],
    objective=["reg:squarederror", "binary:logistic", "multi:softprob", "count:poisson"],
    depth=[1, 3, 6, 9],
    grow=["depthwise", "lossguide"],
    leaves=[0, 31],
    booster=["gbtree", "gbtree", "dart"],
    parallel=[1, 3],
    rounds=[1, 10, 40],
)


def test_xgboost(tmp_path):
    models = Models(tmp_path)
    for settings in SETTINGS:
        data, one, rows, types = booster(settings)
        matrix = xgboost.DMatrix(rows, feature_types=types, enable_categorical=types is not None)
        values = one.predict(matrix, pred_contribs=True).reshape(len(rows), -1, rows.shape[1] + 1)
        pairs = one.predict(xgboost.DMatrix(rows[:4], feature_types=types, enable_categorical=types is not None),
                            pred_interactions=True)
        models.add("xgboost.json", one.save_raw("json"), settings, rows, values, pairs)
    with models.program() as program:
        for name, settings, rows, values, pairs in models.all:
            got = explain(program, name, rows)
            whole = numpy.concatenate([got["shap_values"], numpy.broadcast_to(got["base_values"][None, :, None], values[:, :, :1].shape)], 2)
            assert_same("xgboost", whole, values, 1e-5, settings)
            got = explain(program, name, rows[:4], interactions=True)
            m = rows.shape[1]
            assert_same("xgboost interactions", got["interactions"], pairs.reshape(4, -1, m + 1, m + 1)[:, :, :m, :m], 2e-5, settings)


def test_xgboost_linear(tmp_path):
    data = data_sets()["diabetes"]
    matrix = xgboost.DMatrix(data.x, label=data.target)
    one = xgboost.train({"booster": "gblinear", "objective": "reg:squarederror", "updater": "coord_descent"}, matrix, 20)
    models = Models(tmp_path)
    models.add("xgboost.json", one.save_raw("json"))
    background = data.x[:100]
    weights = numpy.array(one.get_score(importance_type="weight") and [one.get_score()[f"f{i}"] for i in range(data.x.shape[1])])
    with models.program() as program:
        got = explain(program, "m000", data.x[:ROWS], background, method="linear")
    want = shap.LinearExplainer((weights, 0.0), background).shap_values(data.x[:ROWS])
    assert_same("linear", got["shap_values"][:, 0], want, 1e-5, "gblinear")


def test_against_a_background(tmp_path):
    """shap's own interventional TreeSHAP."""
    models = Models(tmp_path)
    for settings in choices(
        6,
        data=["breast_cancer", "wine", "diabetes"],
        objective=["reg:squarederror", "binary:logistic", "multi:softprob"],
        depth=[2, 6],
        grow=["depthwise", "lossguide"],
        leaves=[0, 31],
        booster=["gbtree"],
        parallel=[1],
        rounds=[1, 20],
    ):
        data, one, rows, _ = booster(settings)
        rows = data.x[:ROWS]
        models.add("xgboost.ubj", one.save_raw("ubj"), settings, one, rows, data.x[100:150])
    with models.program() as program:
        for name, settings, one, rows, background in models.all:
            got = explain(program, name, rows, background, method="tree_interventional")
            explainer = shap.TreeExplainer(one, background.astype("f8"), feature_perturbation="interventional")
            want = numpy.array(explainer.shap_values(rows.astype("f8"), check_additivity=False))
            want = want[:, None] if want.ndim == 2 else numpy.moveaxis(want, 2, 1)
            assert_same("interventional", got["shap_values"], want, 1e-5, settings)


@pytest.mark.parametrize("objective", ["binary:logistic", "multi:softprob"])
def test_as_an_output(tmp_path, objective):
    """FIL's treeshap_output: only for who asks for it."""
    data = data_sets()["wine"]
    m, k = data.x.shape[1], 1 if objective == "binary:logistic" else data.n_classes
    parameters = {"objective": objective, "max_depth": 4}
    if k > 1:
        parameters["num_class"] = k
    matrix = xgboost.DMatrix(data.x, label=data.label if k == 1 else data.classes)
    one = xgboost.train(parameters, matrix, 10)
    models = Models(tmp_path)
    models.add("xgboost.json", one.save_raw("json"))
    dims = f"{m + 1}" if k == 1 else f"{k}, {m + 1}"
    (tmp_path / "models" / "m000" / "config.pbtxt").write_text(f"""
        max_batch_size: 500
        input [ {{ name: "rows" data_type: TYPE_FP32 dims: [ {m} ] }} ]
        output [ {{ name: "scores" data_type: TYPE_FP32 dims: [ {k} ] }},
                 {{ name: "treeshap_output" data_type: TYPE_FP32 dims: [ {dims} ] }} ]
    """)
    with models.program() as program:
        assert program.failure("m000") is None
        usual = program.predict("m000", data.x)
        assert isinstance(usual, numpy.ndarray)  # the scores alone
        assert_same("scores", usual, one.predict(matrix).reshape(usual.shape), 1e-5, objective)
        both = program.predict("m000", data.x, ["treeshap_output", "scores"])
        numpy.testing.assert_array_equal(both["scores"], usual)
        want = one.predict(matrix, pred_contribs=True).reshape(both["treeshap_output"].shape)
        assert_same("treeshap_output", both["treeshap_output"], want, 1e-5, objective)
        alone = program.predict("m000", data.x[:1], ["treeshap_output"])
        numpy.testing.assert_array_equal(alone, both["treeshap_output"][:1])


# ---- LightGBM, in double ----


def test_lightgbm(tmp_path):
    models = Models(tmp_path)
    for settings in choices(
        10,
        data=["breast_cancer", "wine", "diabetes", "holes", "skewed"],
        objective=["regression", "binary", "multiclass", "poisson"],
        boosting=["gbdt", "rf", "goss", "dart"],
        num_leaves=[4, 31, 127],
        rounds=[1, 10, 40],
    ):
        data = data_sets()[settings["data"]]
        kinds = {"regression": "target", "binary": "label", "multiclass": "classes", "poisson": "count"}
        parameters = {**settings, "verbose": -1, "seed": SEED, "num_threads": 2, "min_data_in_leaf": 3,
                      "bagging_freq": 1, "bagging_fraction": 0.8}
        parameters.pop("data"), parameters.pop("rounds")
        if settings["boosting"] == "goss":
            parameters.pop("bagging_freq"), parameters.pop("bagging_fraction")
        if settings["objective"] == "multiclass":
            parameters["num_class"] = data.n_classes
        x = data.x.astype("f8")
        one = lightgbm.train(parameters, lightgbm.Dataset(x, getattr(data, kinds[settings["objective"]])), settings["rounds"])
        rows = x[:: max(1, len(x) // ROWS)][:ROWS].copy()
        rows[5, :3] = numpy.nan
        values = one.predict(rows, pred_contrib=True).reshape(len(rows), -1, rows.shape[1] + 1)
        if settings["boosting"] == "rf":
            values = values / one.current_iteration()  # LightGBM adds the trees' contributions up, but averages the trees
        models.add("model.txt", one.model_to_string(), settings, rows, values)
    with models.program() as program:
        for name, settings, rows, values in models.all:
            got = explain(program, name, rows, dtype="f8")
            bases = numpy.broadcast_to(got["base_values"][None, :, None], values[:, :, :1].shape)
            assert_same("lightgbm", numpy.concatenate([got["shap_values"], bases], 2), values, 1e-5, settings)


# ---- any model ----


@pytest.mark.parametrize("features", [4, 9])
def test_kernel(tmp_path, features):
    """All coalitions are asked about by both: no chance is in it."""
    data = data_sets()["wine"]
    x = data.x[:, :features]
    matrix = xgboost.DMatrix(x, label=data.classes)
    one = xgboost.train({"objective": "multi:softprob", "num_class": data.n_classes, "max_depth": 4}, matrix, 20)
    models = Models(tmp_path)
    models.add("xgboost.json", one.save_raw("json"))
    background, rows = x[50:70], x[:6]

    def predict(some):
        return one.predict(xgboost.DMatrix(some)).astype("f8")

    with models.program() as program:
        got = explain(program, "m000", rows, background, method="kernel")
    explainer = shap.KernelExplainer(predict, background)
    want = explainer.shap_values(rows, l1_reg=False, silent=True)
    assert_same("kernel", got["shap_values"], numpy.moveaxis(numpy.array(want), 2, 1), 1e-5, features)
    numpy.testing.assert_allclose(got["base_values"], explainer.expected_value, rtol=1e-6)
    numpy.testing.assert_allclose(got["predictions"], predict(rows), rtol=1e-6)
