"""PMML. The files of tests/data/pmml were written by sklearn2pmml 0.133.1 (JPMML) of models that
scikit-learn 1.8, XGBoost 3.2 and LightGBM 4.7 trained; beside each stand some rows and what the
model itself predicted for them."""
# covers: engine/native/pmml/pmml_fields engine/native/pmml/pmml_formula
# covers: engine/native/pmml/pmml_models
# covers: engine/native/pmml/pmml_program engine/native/pmml/pmml_regression

import json
import pathlib

import lightgbm
import numpy
import pmml_models
import pytest
import xgboost
from harness import put_model
from oracle import SEED, Batch, Difference, Program, choices, data_sets, edge_rows
from pmml_models import FORMS
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from test_shap import assert_same, explain

FILES = pathlib.Path(__file__).parents[1] / "data" / "pmml"
NAMES = sorted(path.stem for path in FILES.glob("*.pmml"))
# Sums in float, in another order than XGBoost's; exponentials of other C libraries.
RELATIVE = {"xgboost": 2e-6}


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pmml")
    for name in NAMES:
        put_model(folder / "models", name, FILES / f"{name}.pmml", file="model.pmml")
    with Program(folder / "server", folder / "models") as program:
        yield program


def inputs_of(columns):
    if any(isinstance(value, str) for column in columns.values() for value in column):
        return {
            name: numpy.array(column, object if isinstance(column[0], str) else "f8").reshape(-1, 1)
            for name, column in columns.items()
        }
    return numpy.array(list(columns.values()), "f8").T.copy()


def compare(got, expected, relative):
    if expected.dtype.kind in "OU":
        assert list(got) == list(expected)
        return
    one = Difference(got, expected)
    assert one.shapes is None and one.relative <= relative, f"off by {one.relative:.3g}: {one.worst}"


@pytest.mark.parametrize("name", NAMES)
def test_stored(stored, name):
    assert stored.failure(name) is None
    known = json.loads((FILES / f"{name}.json").read_text())
    rows = inputs_of(known.pop("inputs"))
    n = len(next(iter(known.values())))
    relative = RELATIVE.get(name.split("_")[0], 1e-13)
    for places in (slice(0, n), slice(3, 4), slice(10, 12)):
        part = {key: value[places] for key, value in rows.items()} if isinstance(rows, dict) else rows[places]
        got = stored.predict(name, part, list(known))
        for output, values in known.items():
            compare(got[output] if isinstance(got, dict) else got, numpy.array(values)[places], relative)


# -- trees written by the standard ------------------------------------------------------------------


def names_of(data):
    return [f"column <{i}>" for i in range(data.x.shape[1])]


def without_holes(rows):
    return rows[~numpy.isnan(rows).any(axis=1)]


def test_xgboost(tmp_path):
    """Forests of some size: rows with and without missing values, extreme rows, attributions."""
    batch, kept = Batch(tmp_path), []
    for i, (name, settings) in enumerate(zip(["holes", "breast_cancer", "skewed"], choices(3, 5, depth=[3, 6, 9], rate=[0.1, 0.5]))):
        data = data_sets()[name]
        parameters = {"max_depth": settings["depth"], "eta": settings["rate"], "base_score": 0.0, "seed": SEED}
        booster = xgboost.train(parameters, xgboost.DMatrix(data.x, label=data.target), 30)
        names, rows = names_of(data), numpy.clip(numpy.concatenate([data.x[:300], edge_rows(data)]), -3e38, 3e38)
        trees, covers = pmml_models.of_xgboost(booster, names)
        fields = {one: ("float", []) for one in names}
        for form in FORMS:
            if form != "default":
                rows = without_holes(rows)
            text = pmml_models.write(trees, fields, None, form, "sum", covers if form == "default" else None, is_float=True)
            expected = booster.predict(xgboost.DMatrix(rows))
            model = batch.add({"model.pmml": text}, rows, expected, what=(name, form))
            if form == "default":
                kept.append((model, rows[:40], booster.predict(xgboost.DMatrix(rows[:40]), pred_contribs=True)))
    batch.check(relative=2e-6)
    with Program(tmp_path / "explained", batch.repository) as program:
        for model, rows, expected in kept:
            found = explain(program, model, rows, dtype="f8", method="tree")
            assert_same("tree, PMML of XGBoost", found["shap_values"][:, 0, :], expected[:, :-1], 1e-5, model)


def test_lightgbm_texts(tmp_path):
    """Categories that are texts, some with spaces and quotation marks, some that nobody has seen."""
    data, batch = data_sets()["categorical"], Batch(tmp_path)
    texts = {i: [f'{"a b" if k % 3 else chr(34)}{k}' for k in range(n)] for i, n in enumerate(data.categories) if n}
    names = names_of(data)
    fields = {one: ("string", texts[i]) if i in texts else ("double", []) for i, one in enumerate(names)}
    for settings in choices(4, 6, num_leaves=[4, 15, 40], max_cat_to_onehot=[1, 4], min_data_per_group=[1, 30]):
        train = lightgbm.Dataset(data.x.astype("f8"), label=data.target, categorical_feature=list(texts))
        booster = lightgbm.train({**settings, "verbose": -1, "cat_smooth": 1, "seed": SEED}, train, 12)
        rows = data.x[:200].astype("f8")
        columns = {
            one: numpy.array(
                [["" if numpy.isnan(value) else texts[i][int(value)]] for value in rows[:, i]] if i in texts else rows[:, i : i + 1],
                object if i in texts else "f8",
            )
            for i, one in enumerate(names)
        }
        trees = pmml_models.of_lightgbm(booster, names, texts)
        text = pmml_models.write(trees, fields, None, "default", "sum")
        batch.add({"model.pmml": text}, columns, booster.predict(rows), what=settings)
    batch.check(relative=1e-14)


def test_forests(tmp_path):
    """Random forests: averages and votes."""
    batch = Batch(tmp_path)
    for i, name in enumerate(["wine", "digits", "iris"]):
        data, rows = data_sets()[name], data_sets()[name].x[:200]
        names, classes = names_of(data), [f"class {k}" for k in range(data.n_classes)]
        fields = {one: ("float", []) for one in names}
        forest = RandomForestClassifier(20, max_depth=4 + i, random_state=SEED).fit(data.x, data.classes)
        trees = [pmml_models.of_sklearn(tree, names, classes) for tree in forest.estimators_]
        text = pmml_models.write(trees, fields, classes, FORMS[i], "average")
        batch.add({"model.pmml": text}, rows, {"probabilities": forest.predict_proba(rows)}, what=(name, "average"))
        votes = numpy.array([tree.predict(rows) for tree in forest.estimators_]).astype(int)
        shares = numpy.array([(votes == k).mean(axis=0) for k in range(len(classes))]).T
        text = pmml_models.write(trees, fields, classes, FORMS[i], "majorityVote")
        batch.add({"model.pmml": text}, rows, {"probabilities": shares}, what=(name, "votes"))
        number = RandomForestRegressor(20, max_depth=8, random_state=SEED).fit(data.x, data.target)
        trees = [pmml_models.of_sklearn(tree, names) for tree in number.estimators_]
        batch.add({"model.pmml": pmml_models.write(trees, fields, None, FORMS[i], "average")}, rows, number.predict(rows), what=name)
    batch.check(relative=1e-14)
