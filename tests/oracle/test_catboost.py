"""CatBoost's JSON and .cbm against CatBoostRegressor.predict and CatBoostClassifier.predict_proba:
symmetric and other trees, losses, NaN on either side, several outputs. Its own exp is a fast one
with a few wrong bits: what is not an exp is equal to the bit."""

import catboost
import numpy
import pytest
from oracle import SEED, Batch, choices, data_sets, edge_rows

RELATIVE = 1e-12

GROWTH = {
    "depth": [1, 2, 4, 6, 8],
    "learning_rate": [0.05, 0.3, 1.0],
    "l2_leaf_reg": [0.5, 3.0],
    "border_count": [5, 64, 254],
    "nan_mode": ["Min", "Max"],
    "bootstrap_type": ["No", "Bernoulli"],
    "grow_policy": ["SymmetricTree", "SymmetricTree", "Lossguide", "Depthwise"],
    "feature_border_type": ["GreedyLogSum", "Median", "Uniform"],
}
REGRESSION = {
    "RMSE": "target",
    "MAE": "target",
    "Quantile:alpha=0.8": "target",
    "MAPE": "positive",
    "Huber:delta=2": "target",
    "LogCosh": "target",
    "Poisson": "count",
    "Tweedie:variance_power=1.5": "count",
}
CLASSES = {"Logloss": "label", "CrossEntropy": "label", "MultiClass": "classes", "MultiClassOneVsAll": "classes"}
ALWAYS = {"verbose": 0, "allow_writing_files": False, "thread_count": 1, "random_seed": SEED}
NUMBERS = ["breast_cancer", "iris", "wine", "diabetes", "skewed", "holes"]


def files_of(model, form, folder):
    path = folder / f"saved.{form}"
    model.save_model(path, format=form)
    return {f"model.{form}": path}


def add(batch, data, model, what, form, folder):
    rows = numpy.concatenate([data.x, edge_rows(data)])
    expected = model.predict_proba(rows) if isinstance(model, catboost.CatBoostClassifier) else model.predict(rows)
    batch.add(files_of(model, form, folder), rows, expected, what)


def loss_fits(policy, loss):
    """Which losses grow trees that are not symmetric on a CPU."""
    return policy == "SymmetricTree" or not loss.startswith(("MAE", "Quantile", "MAPE", "LogCosh"))


@pytest.mark.parametrize("loss", REGRESSION)
def test_regression(tmp_path, loss):
    batch = Batch(tmp_path)
    for settings in choices(12, loss, data=NUMBERS, iterations=[1, 7, 40], form=["json", "cbm"], **GROWTH):
        what = dict(settings)
        data, form = data_sets()[settings.pop("data")], settings.pop("form")
        if not loss_fits(settings["grow_policy"], loss):
            settings["grow_policy"] = "SymmetricTree"
        model = catboost.CatBoostRegressor(loss_function=loss, **settings, **ALWAYS)
        model.fit(data.x, getattr(data, REGRESSION[loss]))
        add(batch, data, model, what, form, tmp_path)
    batch.check(relative=RELATIVE)


@pytest.mark.parametrize("loss", CLASSES)
def test_classes(tmp_path, loss):
    batch = Batch(tmp_path)
    for settings in choices(12, loss, data=NUMBERS, iterations=[1, 7, 40], form=["json", "cbm"], **GROWTH):
        what = dict(settings)
        data, form = data_sets()[settings.pop("data")], settings.pop("form")
        model = catboost.CatBoostClassifier(loss_function=loss, **settings, **ALWAYS)
        model.fit(data.x, getattr(data, CLASSES[loss]))
        add(batch, data, model, what, form, tmp_path)
    batch.check(relative=RELATIVE)


def test_named_classes_and_features(tmp_path):
    data = data_sets()["iris"]
    batch = Batch(tmp_path)
    names = numpy.array(["setosa", "versicolor", "virginica"])[data.classes]
    for form in ("json", "cbm"):
        model = catboost.CatBoostClassifier(iterations=20, depth=4, **ALWAYS)
        model.fit(catboost.Pool(data.x, names, feature_names=["sepal length", "sepal width", "petal length", "petal width"]))
        add(batch, data, model, form, form, tmp_path)
    batch.check(relative=RELATIVE)


def test_several_targets(tmp_path):
    batch = Batch(tmp_path)
    for settings in choices(8, "targets", data=["diabetes", "holes"], iterations=[1, 20], form=["json", "cbm"], depth=[2, 6]):
        data, form = data_sets()[settings.pop("data")], settings.pop("form")
        model = catboost.CatBoostRegressor(loss_function="MultiRMSE", **settings, **ALWAYS)
        model.fit(data.x, data.targets)
        add(batch, data, model, form, form, tmp_path)
    batch.check(relative=RELATIVE)


def test_several_labels(tmp_path):
    data = data_sets()["breast_cancer"]
    labels = numpy.stack([data.label, data.x[:, 0] > data.x[:, 0].mean()], 1).astype(int)
    batch = Batch(tmp_path)
    for form in ("json", "cbm"):
        model = catboost.CatBoostClassifier(loss_function="MultiLogloss", iterations=10, depth=3, **ALWAYS)
        model.fit(data.x, labels)
        add(batch, data, model, form, form, tmp_path)
    batch.check(relative=RELATIVE)


def test_ranking(tmp_path):
    data = data_sets()["diabetes"]
    groups = numpy.repeat(numpy.arange(len(data.group)), data.group)
    batch = Batch(tmp_path)
    for loss in ("QueryRMSE", "YetiRank"):
        model = catboost.CatBoostRanker(loss_function=loss, iterations=10, depth=4, **ALWAYS)
        model.fit(catboost.Pool(data.x, data.classes, group_id=groups))
        add(batch, data, model, loss, "cbm", tmp_path)
    batch.check(relative=RELATIVE)


def test_scale_and_shrunk(tmp_path):
    """A scale that is not 1, and trees after the best iteration that are cut off."""
    data = data_sets()["wine"]
    batch = Batch(tmp_path)
    half = len(data.x) // 2
    model = catboost.CatBoostRegressor(iterations=300, learning_rate=0.5, **ALWAYS)
    model.fit(data.x[:half], data.target[:half], eval_set=(data.x[half:], data.target[half:]), early_stopping_rounds=5)
    assert model.tree_count_ < 300
    for form in ("json", "cbm"):
        add(batch, data, model, form, form, tmp_path)
    model.set_scale_and_bias(0.3, 7.25)
    for form in ("json", "cbm"):
        add(batch, data, model, form, form, tmp_path)
    batch.check(relative=RELATIVE)


def test_categories_one_hot(tmp_path):
    """Categories that are whole numbers, asked for one by one; -1 stands for a missing one, and some are unknown."""
    data = data_sets()["categorical"]
    columns = [i for i, n in enumerate(data.categories) if n <= 30]
    places = [at for at, i in enumerate(columns) if data.categories[i]]
    x = data.x[:, columns].copy()
    x[:, places] = numpy.nan_to_num(x[:, places], nan=-1)
    rows = numpy.concatenate([x, x[:100]])
    rows[-100:, places] += 1000
    rows[-50:, places] *= -12345

    def frame(rows):
        return [[int(v) if i in places else float(v) for i, v in enumerate(row)] for row in rows]

    batch = Batch(tmp_path)
    for settings in choices(12, "one-hot", iterations=[1, 20], form=["json", "cbm"], depth=[2, 4, 6], loss=["RMSE", "Logloss", "MultiClass"], grow_policy=["SymmetricTree", "Depthwise", "Lossguide"]):
        what = dict(settings)
        form, loss = settings.pop("form"), settings.pop("loss")
        kind = catboost.CatBoostRegressor if loss == "RMSE" else catboost.CatBoostClassifier
        model = kind(loss_function=loss, one_hot_max_size=255, cat_features=places, **settings, **ALWAYS)
        pool = catboost.Pool(frame(x), {"RMSE": data.target, "Logloss": data.label, "MultiClass": data.classes}[loss], cat_features=places)
        model.fit(pool)
        path = tmp_path / f"hot.{form}"
        model.save_model(path, format=form, **({"pool": pool} if form == "json" else {}))
        expected = model.predict(frame(rows)) if loss == "RMSE" else model.predict_proba(frame(rows))
        batch.add({f"model.{form}": path}, rows, expected, what)
    batch.check(relative=RELATIVE)


def test_variance(tmp_path):
    data = data_sets()["diabetes"]
    batch = Batch(tmp_path)
    for form in ("json", "cbm"):
        model = catboost.CatBoostRegressor(loss_function="RMSEWithUncertainty", iterations=30, depth=3, **ALWAYS)
        model.fit(data.x, data.target)
        add(batch, data, model, form, form, tmp_path)
    batch.check(relative=RELATIVE)


def test_categories_that_are_not_used(tmp_path):
    """A column of categories that no tree looks at may hold anything; one that is looked at is refused."""
    data = data_sets()["wine"]
    batch = Batch(tmp_path)
    frame = [[*row, "same"] for row in data.x.tolist()]
    model = catboost.CatBoostClassifier(iterations=5, depth=3, cat_features=[data.x.shape[1]], **ALWAYS)
    model.fit(frame, data.label)
    for form in ("json", "cbm"):
        rows = numpy.concatenate([data.x, numpy.zeros((len(data.x), 1), "f4")], 1)
        options = {"pool": catboost.Pool(frame, data.label, cat_features=[data.x.shape[1]])} if form == "json" else {}
        path = tmp_path / f"same.{form}"
        model.save_model(path, format=form, **options)
        batch.add({f"model.{form}": path}, rows, model.predict_proba(frame), form)
    batch.check(relative=RELATIVE)
