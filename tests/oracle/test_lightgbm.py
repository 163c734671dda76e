"""LightGBM's text and JSON against Booster.predict: boosting, objectives, kinds of missing values,
categories, linear leaves. What LightGBM adds in double is added in double here, so that predictions
are nearly always equal to the bit."""

import json
import pathlib

import lightgbm
import numpy
import pytest
from oracle import SEED, Batch, choices, data_sets, edge_rows

DATA = pathlib.Path(__file__).parent.parent / "data" / "lightgbm"
RELATIVE = 1e-14  # exp and log of another libm than the package was built with

GROWTH = {
    "num_leaves": [2, 4, 31, 63],
    "learning_rate": [0.05, 0.3, 1.0],
    "min_data_in_leaf": [1, 5, 20],
    "max_bin": [15, 255],
    "lambda_l1": [0.0, 0.5],
    "lambda_l2": [0.0, 1.0],
    "feature_fraction": [0.6, 1.0],
    "max_cat_to_onehot": [1, 4, 64],
    "cat_smooth": [1.0, 10.0],
    "min_data_per_group": [1, 50],
    "extra_trees": [False, True],
}
BOOSTING = [
    {"boosting": "gbdt"},
    {"boosting": "gbdt", "bagging_fraction": 0.7, "bagging_freq": 1},
    {"boosting": "gbdt", "data_sample_strategy": "goss"},
    {"boosting": "dart", "drop_rate": 0.3},
    {"boosting": "rf", "bagging_fraction": 0.6, "bagging_freq": 1},
]
MISSING = [{}, {"use_missing": False}, {"zero_as_missing": True}]
LABELS = {  # which of the data's labels an objective learns
    "regression": "target",
    "regression_l1": "target",
    "huber": "target",
    "fair": "target",
    "quantile": "target",
    "mape": "positive",
    "poisson": "count",
    "gamma": "positive",
    "tweedie": "count",
    "binary": "label",
    "cross_entropy": "label",
    "cross_entropy_lambda": "label",
    "multiclass": "classes",
    "multiclassova": "classes",
    "lambdarank": "classes",
    "rank_xendcg": "classes",
}


def train(data, objective, rounds, settings):
    params = {
        "objective": objective,
        "verbose": -1,
        "num_threads": 1,
        "seed": SEED,
        "deterministic": True,
        **settings,
    }
    if objective.startswith("multiclass"):
        params["num_class"] = data.n_classes
    group = data.group if objective.startswith(("lambda", "rank")) else None
    categories = [i for i, n in enumerate(data.categories) if n]
    label = numpy.minimum(getattr(data, LABELS[objective]), 30) if group is not None else getattr(data, LABELS[objective])
    weight = data.weight if settings.get("weighted") else None
    params.pop("weighted", None)
    x = data.x.astype("f8")
    return lightgbm.train(params, lightgbm.Dataset(x, label, weight=weight, group=group, categorical_feature=categories), rounds)


def train_if_it_can(*args):
    """Some settings fail a check within LightGBM: such a model is none."""
    try:
        return train(*args)
    except lightgbm.basic.LightGBMError as error:
        assert "Check failed" in str(error), error
        return None


def text_of(booster, folder):
    """The file: its text and what a fresh Booster makes of it, which is what users load."""
    path = folder / "booster.txt"
    booster.save_model(path)
    return path.read_text(), lightgbm.Booster(model_file=path)


def rows_of(data):
    """In double: between the training's floats there is room for values that only a double tells
    apart, such as the thresholds themselves and their neighbours."""
    random = numpy.random.default_rng(SEED)
    plain = data.x.astype("f8")
    between = plain * (1 + random.normal(scale=1e-15, size=plain.shape))
    tiny = plain.copy()
    tiny[random.random(tiny.shape) < 0.3] = random.choice([1e-35, -1e-35, 1.1e-35, 9e-36, 0.0, -0.0])
    return numpy.concatenate([plain, between, tiny[:200], edge_rows(data).astype("f8")])


def add(batch, data, booster, what, form, folder):
    text, loaded = text_of(booster, folder)
    rows = rows_of(data)
    expected = loaded.predict(rows, num_threads=1)
    if form == "text":
        batch.add({"model.txt": text}, rows, expected, what)
    else:
        batch.add({"model.json": json.dumps(loaded.dump_model(), sort_keys=form == "sorted")}, rows, expected, what)


@pytest.mark.parametrize("boosting", BOOSTING, ids=lambda b: "-".join(str(v) for v in b.values()))
def test_boosting(tmp_path, boosting):
    batch = Batch(tmp_path)
    names = [name for name in data_sets() if name != "digits"]
    for settings in choices(24, str(boosting), data=names, objective=list(LABELS), rounds=[1, 5, 20], missing=MISSING, form=["text", "json", "sorted"], **GROWTH):
        what = dict(settings)
        data, objective, rounds = data_sets()[settings.pop("data")], settings.pop("objective"), settings.pop("rounds")
        missing, form = settings.pop("missing"), settings.pop("form")
        booster = train_if_it_can(data, objective, rounds, {**settings, **boosting, **missing})
        if booster is not None:
            add(batch, data, booster, what, form, tmp_path)
    batch.check(relative=RELATIVE)


@pytest.mark.parametrize("objective", LABELS)
def test_objective(tmp_path, objective):
    batch = Batch(tmp_path)
    more = {"binary": "sigmoid", "multiclassova": "sigmoid"}.get(objective)
    for settings in choices(8, objective, data=["categorical", "holes", "wine", "diabetes"], rounds=[3, 30], missing=MISSING, form=["text", "json"], weighted=[False, True], **GROWTH):
        what = dict(settings)
        data, rounds, missing, form = (data_sets()[settings.pop("data")], settings.pop("rounds"), settings.pop("missing"), settings.pop("form"))
        if more:
            settings[more] = [0.7, 1.0, 2.25][len(batch.models) % 3]
        if objective in ("regression", "regression_l1", "fair", "quantile", "mape", "huber"):
            settings["reg_sqrt"] = len(batch.models) % 2 == 0
        booster = train_if_it_can(data, objective, rounds, {**settings, **missing})
        if booster is not None:
            add(batch, data, booster, what, form, tmp_path)
    batch.check(relative=RELATIVE)


def test_linear_trees(tmp_path):
    batch = Batch(tmp_path)
    linear = ["regression", "binary", "poisson", "multiclass"]
    for settings in choices(24, data=["categorical", "holes", "skewed", "diabetes"], objective=linear, rounds=[2, 15], form=["text", "json", "sorted"], linear_lambda=[0.0, 0.1], num_leaves=[4, 16]):
        what = dict(settings)
        data, objective, rounds, form = (data_sets()[settings.pop("data")], settings.pop("objective"), settings.pop("rounds"), settings.pop("form"))
        booster = train(data, objective, rounds, {**settings, "linear_tree": True})
        add(batch, data, booster, what, form, tmp_path)
    batch.check(relative=RELATIVE)


def test_large(tmp_path):
    """Hundreds of trees of hundreds of leaves, with more cuts of a feature than a byte counts."""
    batch = Batch(tmp_path)
    rows = data_sets()["categorical"]
    for objective, leaves, rounds in (("binary", 255, 300), ("regression", 127, 500), ("multiclass", 63, 100)):
        settings = {"num_leaves": leaves, "min_data_in_leaf": 1, "max_bin": 1023, "cat_smooth": 1.0, "min_data_per_group": 1}
        booster = train(rows, objective, rounds, settings)
        add(batch, rows, booster, objective, "text", tmp_path)
    batch.check(relative=RELATIVE)


def test_own_objective(tmp_path):
    """No objective is in the file: the sums themselves."""
    data = data_sets()["holes"]
    batch = Batch(tmp_path)

    def gradients(scores, dataset):
        return scores - dataset.get_label(), numpy.ones_like(scores)

    booster = lightgbm.train({"objective": gradients, "verbose": -1}, lightgbm.Dataset(data.x, data.target), 10)
    for form in ("text", "json"):
        add(batch, data, booster, form, form, tmp_path)
    batch.check(relative=RELATIVE)


def test_best_iteration(tmp_path):
    """A file has the iterations that predict uses, and not those after the best."""
    data = data_sets()["wine"]
    batch = Batch(tmp_path)
    half = len(data.x) // 2
    train_set = lightgbm.Dataset(data.x[:half], data.classes[:half])
    valid_set = lightgbm.Dataset(data.x[half:], data.classes[half:], reference=train_set)
    params = {"objective": "multiclass", "num_class": data.n_classes, "verbose": -1, "learning_rate": 0.7}
    booster = lightgbm.train(params, train_set, 200, [valid_set], callbacks=[lightgbm.early_stopping(3, verbose=False)])
    assert booster.best_iteration < 200
    path = tmp_path / "m.txt"
    booster.save_model(path)
    rows = data.x.astype("f8")
    batch.add({"model.txt": path}, rows, booster.predict(rows))
    batch.check(relative=RELATIVE)


def test_one_leaf(tmp_path):
    """Nothing could be learnt: trees of one leaf, and no trees at all."""
    batch = Batch(tmp_path)
    x = numpy.zeros((50, 3))
    for objective in ("regression", "binary", "poisson"):
        booster = lightgbm.train({"objective": objective, "verbose": -1}, lightgbm.Dataset(x, numpy.arange(50) % 2), 3)
        text, loaded = text_of(booster, tmp_path)
        batch.add({"model.txt": text}, x, loaded.predict(x), objective)
    batch.check(relative=RELATIVE)


@pytest.mark.parametrize("version", ["2.1.2", "2.2.3", "3.3.5"])
def test_older_versions(tmp_path, version):
    """Files that older versions wrote (v2, v3), and what these predicted."""
    expected = json.loads((DATA / f"{version}.json").read_text())
    rows = numpy.array(expected.pop("rows"), "f8")
    batch = Batch(tmp_path)
    for name, values in expected.items():
        path = DATA / f"{version}_{name}.txt"
        batch.add({"model.txt": path}, rows, values, name)
        batch.add({"model.txt": path}, rows, lightgbm.Booster(model_file=path).predict(rows), f"{name} by this version")
    batch.check(relative=RELATIVE)


def test_pandas_categories(tmp_path):
    """Categories of a DataFrame become their codes: rows of codes are what is served."""
    pandas = pytest.importorskip("pandas")
    data = data_sets()["categorical"]
    frame = pandas.DataFrame(data.x, columns=[f"column {i}" for i in range(data.x.shape[1])])
    for i, n in enumerate(data.categories):
        if n:
            codes = frame.iloc[:, i].fillna(-1).astype(int)
            frame[frame.columns[i]] = pandas.Categorical.from_codes(codes, [f"value {k}" for k in range(n)])
    booster = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(frame, data.label), 10)
    batch = Batch(tmp_path)
    text, loaded = text_of(booster, tmp_path)
    assert "pandas_categorical:[[" in text
    batch.add({"model.txt": text}, data.x.astype("f8"), loaded.predict(frame))
    batch.check(relative=RELATIVE)
