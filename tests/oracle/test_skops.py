"""Models of scikit-learn saved by skops against predict, predict_proba and decision_function: random
settings, labels that are equal, values to the last bits where scikit-learn adds in another order."""

import inspect
import warnings

import numpy
import pytest
import sklearn
import skops.io
from oracle import SEED, Batch, choices, data_sets, edge_rows
from sklearn import ensemble, tree

EXACT = 0.0
NUMBERS = ["breast_cancer", "iris", "wine", "diabetes", "skewed"]
MISSING = ["holes", "iris", "wine"]
GROWTH = {
    "max_depth": [1, 3, 6, None],
    "max_leaf_nodes": [None, None, 5, 40],
    "min_samples_leaf": [1, 1, 5],
    "max_features": [None, "sqrt", 0.5],
}


def saved(model, compression=0):
    return {"model.skops": skops.io.dumps(model, compression=compression)}


def accepts(kind, name):
    return name in inspect.signature(kind).parameters


def make(kind, settings):
    """With those of the settings that the class has, and always the same seed."""
    always = {"random_state": SEED} if accepts(kind, "random_state") else {}
    return kind(**{name: value for name, value in settings.items() if accepts(kind, name)}, **always)


def fitted(model, x, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(x, y)


def answers(model, rows):
    """By output, as the server calls them."""
    with warnings.catch_warnings(), numpy.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if sklearn.base.is_classifier(model):
            label = model.predict(rows)
            if hasattr(model, "predict_proba"):
                return {"label": label, "probabilities": model.predict_proba(rows)}
            return {"label": label, "scores": model.decision_function(rows)}
        return model.predict(rows) if hasattr(model, "predict") else model.transform(rows)


def labels_of(kind, data):
    """Numbers or texts."""
    names = numpy.array(["red", "gr\u00fcn", "blue", "black", "white", "a", "b", "c", "d", "e"])
    return {"ints": data.classes, "two": data.label, "texts": names[data.classes], "objects": names[data.classes].astype(object)}[kind]


def finite(data):
    return numpy.concatenate([data.x, numpy.nextafter(data.x, numpy.float32(numpy.inf), dtype="f4")[:64]])


@pytest.mark.parametrize("kind", [tree.DecisionTreeClassifier, tree.ExtraTreeClassifier, ensemble.RandomForestClassifier, ensemble.ExtraTreesClassifier])
def test_classes_of_trees(tmp_path, kind):
    batch = Batch(tmp_path)
    options = {"n_estimators": [1, 5, 30], "criterion": ["gini", "entropy"], "bootstrap": [False, True], "labels": ["ints", "two", "texts", "objects"]}
    for settings in choices(8, kind.__name__, data=NUMBERS + MISSING, packed=[0, 8], **options, **GROWTH):
        data, labels = data_sets()[settings["data"]], labels_of(settings["labels"], data_sets()[settings["data"]])
        model = fitted(make(kind, settings), data.x, labels)
        rows = numpy.concatenate([data.x, edge_rows(data)]) if settings["data"] == "holes" else finite(data)
        rows = rows[~numpy.isinf(rows).any(1)]
        batch.add(saved(model, settings["packed"]), rows, answers(model, rows), settings)
    batch.check(relative=EXACT)


@pytest.mark.parametrize("kind", [tree.DecisionTreeRegressor, tree.ExtraTreeRegressor, ensemble.RandomForestRegressor, ensemble.ExtraTreesRegressor])
def test_values_of_trees(tmp_path, kind):
    batch = Batch(tmp_path)
    options = {"n_estimators": [1, 5, 30], "criterion": ["squared_error", "friedman_mse"], "targets": ["target", "targets", "positive"]}
    for settings in choices(8, kind.__name__, data=NUMBERS + MISSING, packed=[0, 8], **options, **GROWTH):
        data = data_sets()[settings["data"]]
        model = fitted(make(kind, settings), data.x, getattr(data, settings["targets"]))
        rows = numpy.concatenate([data.x, edge_rows(data)]) if settings["data"] == "holes" else finite(data)
        rows = rows[~numpy.isinf(rows).any(1)]
        batch.add(saved(model, settings["packed"]), rows, answers(model, rows), settings)
    batch.check(relative=EXACT)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "quantile", "log_loss", "exponential"])
def test_gradient_boosting(tmp_path, loss):
    """Sums are equal to the bit, and so are labels; probabilities are after exponentials."""
    batch = Batch(tmp_path)
    is_classes = loss in ("log_loss", "exponential")
    kind = ensemble.GradientBoostingClassifier if is_classes else ensemble.GradientBoostingRegressor
    labels = ["two"] if loss == "exponential" else ["ints", "two", "texts"]
    options = {"n_estimators": [1, 10, 40], "learning_rate": [0.1, 1.0], "subsample": [1.0, 0.5], "init": [None, None, "zero"], "labels": labels}
    for settings in choices(6, loss, data=NUMBERS, loss=[loss], **options, **{**GROWTH, "max_depth": [1, 3, 6]}):
        data = data_sets()[settings["data"]]
        y = labels_of(settings["labels"], data) if is_classes else data.target
        model = fitted(make(kind, settings), data.x, y)
        rows = finite(data)
        batch.add(saved(model), rows, answers(model, rows), settings)
    batch.check(relative=1e-13 if is_classes else EXACT)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "gamma", "poisson", "quantile", "log_loss"])
def test_histogram_boosting(tmp_path, loss):
    batch = Batch(tmp_path)
    is_classes = loss == "log_loss"
    kind = ensemble.HistGradientBoostingClassifier if is_classes else ensemble.HistGradientBoostingRegressor
    targets = ["positive"] if loss in ("gamma", "poisson") else ["target"]
    options = {"max_iter": [1, 10, 40], "learning_rate": [0.1, 1.0], "l2_regularization": [0.0, 1.0], "labels": ["ints", "two", "texts"], "targets": targets}
    growth = {"max_depth": [1, 3, None], "max_leaf_nodes": [4, 31], "max_bins": [255, 16], "early_stopping": [False, True]}
    for settings in choices(6, loss, data=[*NUMBERS, "holes", "categorical"], loss=[loss], quantile=[0.7], **options, **growth):
        data = data_sets()[settings["data"]]
        columns = [i for i, n in enumerate(data.categories) if n <= 255]
        known = [i for i, c in enumerate(columns) if data.categories[c]]
        y = labels_of(settings["labels"], data) if is_classes else getattr(data, settings["targets"])
        x = data.x[:, columns].astype("f8")
        model = fitted(make(kind, {**settings, "categorical_features": known or None}), x, y)
        rows = numpy.concatenate([x, edge_rows(data)[:, columns].astype("f8"), x[:200] + 1e-12])
        rows = rows[~numpy.isinf(rows).any(1)]
        batch.add(saved(model), rows, answers(model, rows), settings)
    batch.check(relative=1e-13 if is_classes or loss in ("gamma", "poisson") else EXACT)


def test_isolation(tmp_path):
    batch = Batch(tmp_path)
    for settings in choices(6, "isolation", data=MISSING, n_estimators=[1, 20], max_samples=[1, 2, 64, 1.0], max_features=[1.0, 0.5], contamination=["auto", 0.1]):
        data = data_sets()[settings["data"]]
        model = fitted(make(ensemble.IsolationForest, settings), data.x, None)
        batch.add(saved(model), data.x, {"label": model.predict(data.x), "scores": model.decision_function(data.x)}, settings)
    batch.check(relative=1e-13)
