"""Models of scikit-learn saved by skops against predict, predict_proba and decision_function: random
settings, labels that are equal, values to the last bits where scikit-learn adds in another order."""

import inspect
import os
import warnings

os.environ["OMP_NUM_THREADS"] = "1"  # of trees over histograms: threads that wait for others cost more

import numpy
import pytest
import sklearn
import skops.io
import test_shap
from oracle import SEED, Batch, choices, data_sets, edge_rows, report
from sklearn import compose, decomposition, ensemble, impute, linear_model, neural_network, pipeline, preprocessing, svm, tree

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
    for settings in choices(6, kind.__name__, data=NUMBERS + MISSING, packed=[0, 8], **options, **GROWTH):
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
    for settings in choices(6, kind.__name__, data=NUMBERS + MISSING, packed=[0, 8], **options, **GROWTH):
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
    for settings in choices(4, loss, data=NUMBERS, loss=[loss], **options, **{**GROWTH, "max_depth": [1, 3, 6]}):
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
    options = {"max_iter": [1, 10, 30], "learning_rate": [0.1, 1.0], "l2_regularization": [0.0, 1.0], "labels": ["ints", "two", "texts"], "targets": targets}
    growth = {"max_depth": [1, 3, None], "max_leaf_nodes": [4, 31], "max_bins": [255, 16], "early_stopping": [False, True]}
    for settings in choices(3, loss, data=[*NUMBERS, "holes", "categorical"], loss=[loss], quantile=[0.7], **options, **growth):
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
    batch.check(relative=1e-15, of_largest=True, least=1)  # scores of up to 1, less an offset of as much


# numpy's matrix product adds in an order of its own: sums that cancel differ by as much
SUMS = {"relative": 1e-11, "of_largest": True}
PLAIN = ["breast_cancer", "iris", "wine", "diabetes"]
LINEAR = {
    linear_model.LinearRegression: {"fit_intercept": [True, False], "targets": ["target", "targets"]},
    linear_model.Ridge: {"alpha": [0.1, 10.0], "targets": ["target", "targets"]},
    linear_model.RidgeCV: {},
    linear_model.Lasso: {"alpha": [0.01, 1.0]},
    linear_model.ElasticNet: {"alpha": [0.01, 1.0], "targets": ["target", "targets"]},
    linear_model.BayesianRidge: {},
    linear_model.HuberRegressor: {},
    linear_model.SGDRegressor: {"penalty": ["l1", "l2"]},
    linear_model.PoissonRegressor: {"targets": ["positive"]},
    linear_model.GammaRegressor: {"targets": ["positive"]},
    linear_model.TweedieRegressor: {"power": [0, 1.5], "targets": ["positive"]},
    svm.LinearSVR: {},
    linear_model.LogisticRegression: {"C": [0.1, 10.0], "solver": ["lbfgs", "newton-cg", "saga"], "max_iter": [40]},
    linear_model.LogisticRegressionCV: {"Cs": [2], "cv": [2], "max_iter": [40], "use_legacy_attributes": [False], "scoring": ["accuracy"]},
    linear_model.SGDClassifier: {"loss": ["hinge", "log_loss", "modified_huber", "perceptron"]},
    linear_model.RidgeClassifier: {"alpha": [0.1, 10.0]},
    linear_model.Perceptron: {},
    svm.LinearSVC: {"C": [0.1, 10.0], "max_iter": [200]},
    neural_network.MLPClassifier: {"hidden_layer_sizes": [(5,), (8, 3)], "activation": ["identity", "logistic", "tanh", "relu"], "max_iter": [20]},
    neural_network.MLPRegressor: {"hidden_layer_sizes": [(5,), (8, 3)], "activation": ["tanh", "relu"], "max_iter": [20], "loss": ["squared_error", "poisson"], "targets": ["positive"]},
}
STEPS = [
    lambda random_: preprocessing.StandardScaler(with_mean=random_.random() < 0.7, with_std=random_.random() < 0.7),
    lambda random_: preprocessing.MinMaxScaler(feature_range=(-1, 2), clip=random_.random() < 0.5),
    lambda random_: preprocessing.MaxAbsScaler(),
    lambda random_: preprocessing.RobustScaler(with_centering=random_.random() < 0.7),
    lambda random_: preprocessing.FunctionTransformer(),
    lambda random_: pipeline.make_pipeline(preprocessing.StandardScaler(), "passthrough", preprocessing.MaxAbsScaler()),
    lambda random_: preprocessing.Normalizer(norm=str(random_.choice(["l1", "l2", "max"]))),
    lambda random_: decomposition.PCA(2, whiten=random_.random() < 0.5),
    lambda random_: decomposition.TruncatedSVD(3, random_state=SEED),
]
EXACT_STEPS = 6


def target_of(model, settings, data):
    if sklearn.base.is_classifier(model):
        return labels_of(settings.get("labels", "ints"), data)
    return getattr(data, settings.get("targets", "target"))


@pytest.mark.parametrize("group", ["regressors", "classifiers"])
def test_linear_models_and_nets(tmp_path, group):
    batch = Batch(tmp_path)
    for kind, options in LINEAR.items():
        if (group == "classifiers") != issubclass(kind, sklearn.base.ClassifierMixin):
            continue
        for settings in choices(2, kind.__name__, data=PLAIN, labels=["ints", "two", "texts", "objects"], **options):
            data = data_sets()[settings["data"]]
            model = make(kind, settings)
            x = preprocessing.StandardScaler().fit_transform(data.x.astype("f8"))
            fitted(model, x, target_of(model, settings, data))
            batch.add(saved(model), x, answers(model, x), (kind.__name__, settings))
    batch.check(**SUMS)


def test_pipelines(tmp_path):
    batch = Batch(tmp_path)
    ends = [linear_model.LogisticRegression, linear_model.Ridge, tree.DecisionTreeClassifier, ensemble.HistGradientBoostingRegressor, None]
    for number in range(16):
        random_ = numpy.random.default_rng([SEED, number])
        data = data_sets()[PLAIN[number % len(PLAIN)]]
        end = ends[number % len(ends)]
        # at a tree's threshold a last place decides: before trees only what is equal to the bit
        n = len(STEPS) if end in (None, linear_model.LogisticRegression, linear_model.Ridge) else EXACT_STEPS
        steps = [STEPS[i](random_) for i in random_.permutation(n)[: random_.integers(1, 4)]]
        if end is not None:
            steps.append(make(end, {"max_iter": 30, "max_depth": 4}))
        model = pipeline.make_pipeline(*steps)
        x = data.x.astype("f8")
        fitted(model, x, data.target if end is None else target_of(steps[-1], {}, data))
        batch.add(saved(model), x, answers(model, x), steps)
    batch.check(**SUMS)


@pytest.mark.parametrize("degree", [1, 2, 3, (2, 3), (0, 2)])
def test_products(tmp_path, degree):
    batch = Batch(tmp_path)
    x = data_sets()["iris"].x.astype("f8")
    for interaction in (False, True):
        for bias in (False, True):
            model = preprocessing.PolynomialFeatures(degree, interaction_only=interaction, include_bias=bias).fit(x)
            batch.add(saved(model), x, model.transform(x), (degree, interaction, bias))
    batch.check(relative=EXACT)


def test_imputers(tmp_path):
    batch = Batch(tmp_path)
    data = data_sets()["holes"]
    x = data.x.astype("f8")
    x[:, 7] = numpy.nan
    for strategy in ("mean", "median", "most_frequent", "constant"):
        for indicator in (False, True):
            for keep in (False, True):
                model = fitted(impute.SimpleImputer(strategy=strategy, add_indicator=indicator, keep_empty_features=keep), x, None)
                batch.add(saved(model), x, model.transform(x), model)
    zeros = fitted(impute.SimpleImputer(missing_values=0.5, strategy="mean", add_indicator=True), numpy.nan_to_num(x), None)
    batch.add(saved(zeros), numpy.nan_to_num(x), zeros.transform(numpy.nan_to_num(x)), zeros)
    model = pipeline.make_pipeline(impute.SimpleImputer(add_indicator=True), ensemble.RandomForestClassifier(5, max_depth=4, random_state=SEED))
    fitted(model, x, data.classes)
    batch.add(saved(model), x, answers(model, x), model)
    batch.check(relative=EXACT)


def test_encoders_of_numbers(tmp_path):
    batch = Batch(tmp_path)
    random_ = numpy.random.default_rng(SEED)
    x = random_.integers(-2, 4, (300, 3)) / 2.0
    x[:, 2] = numpy.where(random_.random(300) < 0.2, numpy.nan, x[:, 2])
    rows = numpy.concatenate([x, x[:20] + 100, -x[:20]])
    for drop in (None, "first", "if_binary"):
        model = fitted(preprocessing.OneHotEncoder(handle_unknown="ignore", drop=drop, sparse_output=False), x, None)
        batch.add(saved(model), rows, fitted_transform(model, rows), drop)
    for options in ({"unknown_value": -1}, {"unknown_value": numpy.nan, "encoded_missing_value": -5}):
        model = fitted(preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", **options), x, None)
        batch.add(saved(model), rows, model.transform(rows), options)
    batch.check(relative=EXACT)


def fitted_transform(model, rows):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.transform(rows)


@pytest.mark.parametrize("frame", [False, True])
def test_columns_of_numbers_and_texts(tmp_path, frame):
    """With texts there is an input a column; without, one matrix."""
    pandas = pytest.importorskip("pandas")
    batch = Batch(tmp_path)
    random_ = numpy.random.default_rng(SEED)
    n = 300
    table = pandas.DataFrame({
        "age": random_.normal(40, 10, n),
        "city": random_.choice(["Bern", "K\u00f6ln", "\u5317\u4eac", "-"], n),
        "grade": random_.choice(["a", "b"], n).astype(object),
        "pay": numpy.where(random_.random(n) < 0.2, numpy.nan, random_.lognormal(3, 1, n)),
        "kind": random_.integers(0, 5, n).astype("f8"),
        "spare": random_.normal(size=n),
    })
    table.loc[random_.random(n) < 0.1, "grade"] = numpy.nan
    label = numpy.where(table["age"] + 10 * (table["city"] == "Bern") + random_.normal(0, 5, n) > 42, "yes", "no")
    texts = ["city", "grade"] if frame else []
    for end in (linear_model.LogisticRegression(), ensemble.RandomForestClassifier(5, max_depth=5, random_state=SEED), None):
        for drop in (None, "if_binary"):
            numbers = pipeline.make_pipeline(impute.SimpleImputer(strategy="median", add_indicator=True), preprocessing.StandardScaler())
            words = pipeline.make_pipeline(impute.SimpleImputer(strategy="most_frequent"), preprocessing.OneHotEncoder(handle_unknown="ignore", drop=drop))
            columns = [
                ("numbers", numbers, ["age", "pay"] if frame else [0, 1]),
                ("kinds", preprocessing.OneHotEncoder(handle_unknown="ignore"), ["kind"] if frame else [2]),
                ("left", "drop", ["spare"] if frame else [3]),
            ]
            if frame:
                columns += [("words", words, texts), ("orders", preprocessing.OrdinalEncoder(), ["city"]), ("plain", preprocessing.OneHotEncoder(drop=drop), texts)]
            part = table if frame else table.drop(columns=["city", "grade"]).to_numpy()
            transformer = compose.ColumnTransformer(columns, remainder="passthrough", sparse_threshold=0)
            model = transformer if end is None else pipeline.make_pipeline(transformer, end)
            fitted(model, part, label)
            rows = part
            if frame:
                rows = {name: part[name].fillna("").to_numpy()[:, None] if name in texts else part[name].to_numpy()[:, None] for name in part if name != "spare"}
            batch.add(saved(model), rows, answers(model, part) if end is not None else fitted_transform(model, part), (frame, end, drop))
    batch.check(relative=1e-12, of_largest=True)


def test_explanations(tmp_path):
    """TreeSHAP of forests, against the shap package: of averages, of sums, of shares of classes."""
    shap = pytest.importorskip("shap")
    models = test_shap.Models(tmp_path)
    kinds = {
        ensemble.RandomForestRegressor: "target",
        ensemble.RandomForestClassifier: "classes",
        ensemble.ExtraTreesClassifier: "label",
        ensemble.GradientBoostingRegressor: "target",
        ensemble.HistGradientBoostingRegressor: "target",
        linear_model.Ridge: "target",
    }
    for kind, target in kinds.items():
        data = data_sets()["wine"]
        model = fitted(make(kind, {"n_estimators": 8, "max_iter": 8, "max_depth": 4}), data.x, getattr(data, target))
        models.add("model.skops", skops.io.dumps(model), model, data.x[::9])
    with models.program() as program:
        for name, model, rows in models.all:
            is_linear = isinstance(model, linear_model.Ridge)
            dtype = "f8" if is_linear or "Hist" in type(model).__name__ else "f4"
            got = test_shap.explain(program, name, rows, rows if is_linear else None, dtype=dtype)["shap_values"]
            explainer = shap.LinearExplainer(model, rows) if is_linear else shap.TreeExplainer(model)
            want = numpy.asarray(explainer.shap_values(rows))
            want = numpy.moveaxis(want, 2, 1) if want.ndim == 3 else want[:, None]
            test_shap.assert_same("skops", got, want, 1e-6, type(model).__name__)
    text = f"largest relative difference {test_shap.LARGEST['skops']:.3g}"
    print(text)
    report(text)
