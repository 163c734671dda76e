"""Explanations of models that come as CatBoost's files and as ONNX graphs: forests, pipelines, hand-built trees
and models that have nothing exact, against CatBoost, the shap package and scikit-learn."""
# covers: engine/native/explain engine/native/origins

import catboost
import numpy
import onnx
import onnxruntime
import pandas
import pytest
import shap
import skl2onnx
import skops.io
from onnx import helper
from oracle import SEED, choices, data_sets
from sklearn.compose import make_column_transformer
from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, RobustScaler, StandardScaler
from test_shap import ROWS, Models, assert_same, explain, tell  # noqa: F401

NATIVE = {"TERN_ENGINE_NATIVE_ONNX": "auto"}
ALWAYS = {"verbose": 0, "allow_writing_files": False, "thread_count": 1, "random_seed": SEED}


def graph(model, x, **options):
    return skl2onnx.to_onnx(model, x[:1], **options).SerializeToString()


def probabilities(model):
    return {"options": {id(model): {"zipmap": False}}}


def runs(file):
    """What ONNX Runtime makes of a graph: scaled to float32, a row may be on the other side of a cut than in double."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda rows: session.run(None, {name: rows.astype("f4")})[0][:, 0].astype("f8")


# ---- CatBoost ----


def from_catboost(values, n_features):
    """(values, base): rows, outputs, features."""
    values = values[:, None] if values.ndim == 2 else values
    assert values.shape[2] == n_features + 1
    return values


def adds_up(model, pool):
    values = from_catboost(model.get_feature_importance(pool, type="ShapValues"), pool.num_col())
    raw = numpy.asarray(model.predict(pool, prediction_type="RawFormulaVal")).reshape(values.shape[:2])
    return numpy.abs(values.sum(2) - raw).max() < 1e-9 * max(1, numpy.abs(raw).max())


def compare_catboost(tmp_path, made, least):
    """made: (model, pool of all rows, pool of the rows, rows, file's form, what). Left out are models whose values, as
    CatBoost 1.2.10 has them, do not add up to its prediction: trees that are not symmetric, with leaves that no
    training data came to."""
    models = Models(tmp_path)
    for model, whole, pool, rows, form, what in made:
        if not adds_up(model, whole):
            assert what["grow_policy"] != "SymmetricTree"
            continue
        path = tmp_path / f"saved.{form}"
        model.save_model(path, format=form, **({"pool": pool} if form == "json" else {}))
        values = from_catboost(model.get_feature_importance(pool, type="ShapValues"), rows.shape[1])
        models.add(f"model.{form}", path.read_bytes(), what, rows, values)
    assert len(models.all) >= least
    with models.program() as program:
        for name, what, rows, values in models.all:
            assert program.failure(name) is None, what
            got = explain(program, name, rows, method="tree")
            bases = numpy.broadcast_to(got["base_values"][None, :, None], values[:, :, :1].shape)
            assert_same("catboost", numpy.concatenate([got["shap_values"], bases], 2), values, 1e-5, what)


def test_catboost(tmp_path):
    made = []
    for settings in choices(
        14,
        data=["breast_cancer", "wine", "diabetes", "holes"],
        loss=["RMSE", "Logloss", "MultiClass", "Poisson"],
        grow_policy=["SymmetricTree", "SymmetricTree", "Lossguide", "Depthwise"],
        depth=[1, 3, 6],
        iterations=[1, 10, 40],
        form=["json", "cbm"],
    ):
        what = dict(settings)
        data, form, loss = data_sets()[settings.pop("data")], settings.pop("form"), settings.pop("loss")
        kind = catboost.CatBoostRegressor if loss in ("RMSE", "Poisson") else catboost.CatBoostClassifier
        model = kind(loss_function=loss, **settings, **ALWAYS)
        model.fit(data.x, {"RMSE": data.target, "Logloss": data.label, "MultiClass": data.classes, "Poisson": data.count}[loss])
        rows = data.x[:: max(1, len(data.x) // ROWS)][:ROWS]
        made.append((model, catboost.Pool(data.x), catboost.Pool(rows), rows, form, what))
    compare_catboost(tmp_path, made, 10)


def test_catboost_categories(tmp_path):
    data = data_sets()["categorical"]
    columns = [i for i, n in enumerate(data.categories) if n <= 30]
    places = [at for at, i in enumerate(columns) if data.categories[i]]
    x = data.x[:, columns].copy()
    x[:, places] = numpy.nan_to_num(x[:, places], nan=-1)

    def pool(rows, y=None):
        cells = [[int(v) if i in places else float(v) for i, v in enumerate(row)] for row in rows]
        return catboost.Pool(cells, y, cat_features=places)

    made = []
    for policy, rounds, depth in (("SymmetricTree", 20, 4), ("Depthwise", 3, 4), ("Lossguide", 10, 3)):
        model = catboost.CatBoostRegressor(one_hot_max_size=255, iterations=rounds, depth=depth, grow_policy=policy, **ALWAYS)
        model.fit(pool(x, data.target))
        made.append((model, pool(x), pool(x[:ROWS]), x[:ROWS], "cbm", {"grow_policy": policy}))
    compare_catboost(tmp_path, made, 2)


# ---- forests of scikit-learn ----


def exhaustive(predict, rows, background):
    """By the definition: all coalitions of the features as they come, so that what one becomes on the way is known or
    unknown together. (shap's interventional TreeExplainer, 0.51, is off by up to a percent of the largest value for
    forests of scikit-learn that ask a feature several times on a path.)"""
    values = numpy.array(shap.KernelExplainer(predict, background).shap_values(rows, l1_reg=False, silent=True))
    return values[:, None] if values.ndim == 2 else numpy.moveaxis(values, 2, 1)


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(20, max_depth=5, random_state=SEED),
        RandomForestRegressor(20, max_depth=6, random_state=SEED),
        ExtraTreesRegressor(20, max_depth=6, random_state=SEED),
        GradientBoostingRegressor(n_estimators=30, max_depth=3, random_state=SEED),
    ],
    ids=lambda model: type(model).__name__,
)
def test_forests(tmp_path, model):
    data = data_sets()["wine"]
    x, is_class = data.x[:, :8], isinstance(model, RandomForestClassifier)
    model.fit(x, data.classes if is_class else data.target)
    models = Models(tmp_path)
    models.add("model.onnx", graph(model, x, **(probabilities(model) if is_class else {})))
    rows, background = x[:10], x[50:70]
    with models.program(NATIVE) as program:
        got = explain(program, "m000", rows, background)
    want = exhaustive(model.predict_proba if is_class else model.predict, rows, background)
    assert_same("forests of scikit-learn", got["shap_values"], want, 1e-5, model)


def test_an_export_does_not_know_the_training_data(tmp_path):
    data = data_sets()["wine"]
    model = RandomForestRegressor(5, max_depth=3, random_state=SEED).fit(data.x, data.target)
    models = Models(tmp_path)
    models.add("model.onnx", graph(model, data.x))
    with models.program(NATIVE) as program:
        with pytest.raises(AssertionError, match="method 'tree'"):
            explain(program, "m000", data.x[:3], data.x[:9], method="tree")


# ---- pipelines ----


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler(), RobustScaler(), make_pipeline(SimpleImputer(), StandardScaler())], ids=str)
def test_scaled_forests(tmp_path, scaler):
    """The values of scaled features are those of the features."""
    data = data_sets()["wine"]
    x = data.x[:, :8]
    model = make_pipeline(scaler, RandomForestRegressor(15, max_depth=5, random_state=SEED)).fit(x, data.target)
    models = Models(tmp_path)
    file = graph(model, x)
    models.add("model.onnx", file)
    rows, background = x[:10], x[50:70]
    with models.program(NATIVE) as program:
        got = explain(program, "m000", rows, background)
    assert_same("pipelines of forests", got["shap_values"], exhaustive(runs(file), rows, background), 1e-5, scaler)


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler(), RobustScaler()], ids=str)
def test_linear_pipelines(tmp_path, scaler):
    data = data_sets()["diabetes"]
    x, (rows, background) = data.x, (data.x[:ROWS], data.x[50:150])
    models = Models(tmp_path)
    made = []
    for last, y in ((LinearRegression(), data.target), (Ridge(3.0), data.target), (LogisticRegression(), data.classes)):
        model = make_pipeline(scaler, last).fit(x, y)
        models.add("model.onnx", graph(model, x, **(probabilities(model) if hasattr(model, "predict_proba") else {})))
        made.append(model)
    with models.program(NATIVE) as program:
        answers = [explain(program, name, rows, background) for name, in models.all]
    for model, got in zip(made, answers):
        before, last = model[:-1], model[-1]
        masker = shap.maskers.Independent(before.transform(background), max_samples=len(background))
        want = numpy.array(shap.LinearExplainer(last, masker).shap_values(before.transform(rows)))
        want = want[:, None] if want.ndim == 2 else numpy.moveaxis(want, 2, 1)
        assert_same("linear pipelines", got["shap_values"], want, 1e-5, model)


def mixed():
    """Numbers with holes, and columns of codes."""
    random_ = numpy.random.default_rng(SEED)
    x = random_.normal(size=(300, 6)).astype("f4")
    x[:, 3] = random_.integers(0, 3, len(x))
    x[:, 5] = random_.integers(0, 4, len(x)) * 10
    y = x[:, 0] * x[:, 1] + (x[:, 3] == 1) * x[:, 2] + (x[:, 5] == 20)
    x[random_.random(len(x)) < 0.2, 1] = numpy.nan
    return x, y


@pytest.mark.parametrize("codes", [OneHotEncoder(handle_unknown="ignore"), OrdinalEncoder()], ids=str)
def test_encoded_columns(tmp_path, codes):
    """Features that become several columns have one value each: exactly that of the whole pipeline."""
    x, y = mixed()
    models, made = Models(tmp_path), []
    for last in (GradientBoostingRegressor(n_estimators=20, max_depth=3, random_state=SEED), LinearRegression()):
        columns = make_column_transformer((make_pipeline(SimpleImputer(), StandardScaler()), [0, 1, 2, 4]), (codes, [3, 5]))
        model = make_pipeline(columns, last).fit(x, y)
        models.add("model.onnx", graph(model, x))
        made.append(model)
    rows, background = x[:8], x[100:115]
    with models.program(NATIVE) as program:
        for (name,), model in zip(models.all, made):
            got = explain(program, name, rows, background)
            assert program.parameters["method"] == ("linear" if isinstance(model[-1], LinearRegression) else "tree_interventional")
            assert_same("pipelines with encoders", got["shap_values"], exhaustive(model.predict, rows, background), 1e-5, model)


def test_texts(tmp_path):
    """Inputs of one column each, some of them texts."""
    x, y = mixed()
    words = numpy.array(["red", "green", "blue", "grey"])
    names = ["a", "b", "c", "colour", "d", "shade"]

    def frame(rows):
        cells = {name: rows[:, i].astype("f4") for i, name in enumerate(names)}
        cells["colour"] = words[rows[:, 3].astype(int)]
        cells["shade"] = words[rows[:, 5].astype(int) // 10]
        return pandas.DataFrame(cells)

    numbers = ["a", "b", "c", "d"]
    columns = make_column_transformer((make_pipeline(SimpleImputer(), StandardScaler()), numbers), (OneHotEncoder(), ["colour", "shade"]))
    model = make_pipeline(columns, RandomForestRegressor(10, max_depth=5, random_state=SEED)).fit(frame(x), y)
    types = [(name, FloatTensorType([None, 1]) if name in numbers else StringTensorType([None, 1])) for name in names]
    file = skl2onnx.to_onnx(model, initial_types=types).SerializeToString()
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def inputs(rows):
        return {name: frame(rows)[[name]].to_numpy() for name in names}

    models = Models(tmp_path)
    models.add("model.onnx", file)
    rows, background = x[:8], x[100:115]
    with models.program(NATIVE) as program:
        got = explain(program, "m000", inputs(rows), inputs(background))
        assert program.parameters["method"] == "tree_interventional"
        assert list(got["feature_names"]) == names
    want = exhaustive(lambda some: session.run(None, inputs(some))[0][:, 0].astype("f8"), rows, background)
    assert_same("pipelines with encoders", got["shap_values"], want, 1e-5, "texts")


# ---- a graph that nobody exported ----


def test_hand_built_trees(tmp_path):
    """Two trees over a Concat of columns in another order, with < and >= in them."""
    nodes = {
        "nodes_treeids": [0, 0, 0, 0, 0, 1, 1, 1],
        "nodes_nodeids": [0, 1, 2, 3, 4, 0, 1, 2],
        "nodes_featureids": [0, 2, 0, 0, 0, 1, 0, 0],
        "nodes_values": [0.1, -0.2, 0.0, 0.0, 0.0, 0.3, 0.0, 0.0],
        "nodes_modes": ["BRANCH_LT", "BRANCH_GTE", "LEAF", "LEAF", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_truenodeids": [1, 3, 0, 0, 0, 1, 0, 0],
        "nodes_falsenodeids": [2, 4, 0, 0, 0, 2, 0, 0],
        "target_treeids": [0, 0, 0, 1, 1],
        "target_nodeids": [2, 3, 4, 1, 2],
        "target_ids": [0, 0, 0, 0, 0],
        "target_weights": [1.5, -2.25, 0.75, 0.5, -0.125],
    }
    indices = helper.make_tensor("at", onnx.TensorProto.INT64, [3], [2, 0, 1])
    made = helper.make_graph(
        [
            helper.make_node("Concat", ["b", "a"], ["both"], axis=1),
            helper.make_node("ArrayFeatureExtractor", ["both", "at"], ["x"], domain="ai.onnx.ml"),
            helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1, base_values=[0.5], **nodes),
        ],
        "trees",
        [helper.make_tensor_value_info("a", 1, [None, 2]), helper.make_tensor_value_info("b", 1, [None, 1])],
        [helper.make_tensor_value_info("y", 1, [None, 1])],
        [indices],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    file = helper.make_model(made, opset_imports=opsets, ir_version=9).SerializeToString()
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def predict(x):
        x = x.astype("f4")
        return session.run(None, {"a": x[:, :2], "b": x[:, 2:]})[0][:, 0].astype("f8")

    random_ = numpy.random.default_rng(SEED)
    rows, background = random_.normal(size=(20, 3)).astype("f4"), random_.normal(size=(15, 3)).astype("f4")
    models = Models(tmp_path)
    models.add("model.onnx", file)
    with models.program(NATIVE) as program:
        got = explain(program, "m000", {"a": rows[:, :2], "b": rows[:, 2:]}, {"a": background[:, :2], "b": background[:, 2:]})
        assert program.parameters["method"] == "tree_interventional"
    assert_same("hand-built trees", got["shap_values"], exhaustive(predict, rows, background), 1e-5, "hand-built")
    numpy.testing.assert_allclose(got["predictions"][:, 0], predict(rows), rtol=1e-6)


# ---- models with nothing exact ----


def net():
    data = data_sets()["diabetes"]
    x = data.x[:, :8] * 10
    model = MLPRegressor(hidden_layer_sizes=(8, 4), max_iter=300, random_state=SEED).fit(x, data.target / 100)
    return model, x, graph(model, x)


def test_kernel_of_a_net(tmp_path):
    """All coalitions, of what ONNX Runtime makes of the same graph."""
    _, x, file = net()
    models = Models(tmp_path)
    models.add("model.onnx", file)
    rows, background = x[:6], x[50:65]
    with models.program(NATIVE) as program:
        got = explain(program, "m000", rows, background, method="kernel")
    want = exhaustive(runs(file), rows, background)
    assert_same("kernel, a net", got["shap_values"], want, 1e-5, "net")


def test_importance(tmp_path):
    """The mean change of the answers is scikit-learn's permutation importance when the answers are the truth. The
    shuffles are others: means are compared within six of their standard errors."""
    model, x, file = net()
    models = Models(tmp_path)
    models.add("model.onnx", file)
    rows, n = x[:80], 400
    with models.program(NATIVE) as program:
        got = explain(program, "m000", rows, method="importance", nsamples=n, seed=SEED)
        again = explain(program, "m000", rows, method="importance", nsamples=n, seed=SEED)
    numpy.testing.assert_array_equal(got["importances"], again["importances"])
    want = permutation_importance(model, rows, model.predict(rows), scoring="neg_mean_absolute_error", n_repeats=n, random_state=SEED)
    error = numpy.sqrt((got["deviations"][0] ** 2 + want.importances_std**2) / n)
    assert (numpy.abs(got["importances"][0] - want.importances_mean) <= 6 * error + 1e-6).all()
    assert (got["deviations"][0] > 0).all()


def test_permutation_of_an_additive_model(tmp_path):
    """Every order of the features gives the same: no chance is left."""
    data = data_sets()["diabetes"]
    model = make_pipeline(StandardScaler(), Ridge()).fit(data.x, data.target)
    models = Models(tmp_path)
    models.add("model.onnx", graph(model, data.x))
    rows, background = data.x[:5], data.x[50:70]
    with models.program(NATIVE) as program:
        got = explain(program, "m000", rows, background, method="permutation", nsamples=2)
        exact = explain(program, "m000", rows, background, method="linear")
    assert_same("permutation, additive", got["shap_values"], exact["shap_values"], 1e-4, "ridge")


def test_layers_are_no_linear_model(tmp_path):
    """What skops files of nets become begins with a linear step, too."""
    model, x, _ = net()
    models = Models(tmp_path)
    models.add("model.skops", skops.io.dumps(model))
    rows, background = x[:3], x[50:65]
    with models.program() as program:
        got = explain(program, "m000", rows, background, dtype="f8")
        assert program.parameters["method"] == "kernel"
    assert_same("kernel, a net", got["shap_values"], exhaustive(model.predict, rows, background), 1e-5, "skops")
