"""Models of scikit-learn, XGBoost and LightGBM as ONNX graphs: what test_onnx.py compares."""

import functools
import warnings

import numpy
import onnx
import sklearn.compose
import sklearn.ensemble
import sklearn.feature_selection
import sklearn.impute
import sklearn.linear_model
import sklearn.naive_bayes
import sklearn.neural_network
import sklearn.pipeline
import sklearn.preprocessing
import sklearn.svm
import sklearn.tree
from oracle import data_sets
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType

OPSET = {"": 17, "ai.onnx.ml": 3}
make_attribute = onnx.helper.make_attribute


def plain_attribute(key, value, *more, **options):
    """Exporters hand over numpy's numbers, which newer versions of onnx do not take."""
    if isinstance(value, list):
        value = [item.item() if isinstance(item, numpy.generic) else item for item in value]
        value = [int(item) if isinstance(item, bool) else item for item in value]
    elif isinstance(value, numpy.ndarray):
        value = value.tolist()
    return make_attribute(key, value, *more, **options)


onnx.helper.make_attribute = plain_attribute


class Exported:
    """feeds: by input. settings: of the ONNX Runtime session, when they matter."""

    def __init__(self, what, model, feeds):
        self.what, self.model, self.feeds = what, model, feeds


def export(what, model, x, types=None, options=None):
    feeds = x if isinstance(x, dict) else {"x": x}
    types = types or [(name, FloatTensorType([None, value.shape[1]])) for name, value in feeds.items()]
    return Exported(what, to_onnx(model, initial_types=types, options=options, target_opset=OPSET), feeds)


@functools.cache
def table(name):
    data = data_sets()[name]
    return data.x[:300], data


def classifiers():
    trees, ensemble, linear = sklearn.tree, sklearn.ensemble, sklearn.linear_model
    yield trees.DecisionTreeClassifier(max_depth=6)
    yield trees.ExtraTreeClassifier(max_depth=8)
    yield ensemble.RandomForestClassifier(25, max_depth=7)
    yield ensemble.ExtraTreesClassifier(15)
    yield ensemble.GradientBoostingClassifier(n_estimators=20)
    yield ensemble.HistGradientBoostingClassifier(max_iter=20)
    yield ensemble.BaggingClassifier(n_estimators=5)
    yield ensemble.AdaBoostClassifier(n_estimators=5)
    yield ensemble.VotingClassifier([("a", linear.LogisticRegression()), ("b", trees.DecisionTreeClassifier(max_depth=3))], voting="soft", flatten_transform=False)
    yield ensemble.StackingClassifier([("a", linear.LogisticRegression()), ("b", trees.DecisionTreeClassifier(max_depth=3))])
    yield linear.LogisticRegression(max_iter=200)
    yield linear.LogisticRegression(C=0.1, fit_intercept=False)
    yield linear.RidgeClassifier()
    yield linear.SGDClassifier(loss="log_loss")
    yield linear.Perceptron()
    yield sklearn.svm.LinearSVC()
    yield sklearn.svm.SVC()
    yield sklearn.svm.SVC(kernel="poly", degree=2)
    yield sklearn.svm.SVC(kernel="linear", probability=True)
    yield sklearn.svm.NuSVC(nu=0.2)
    yield sklearn.naive_bayes.GaussianNB()
    yield sklearn.naive_bayes.BernoulliNB()
    for activation in ("relu", "tanh", "logistic"):
        yield sklearn.neural_network.MLPClassifier(hidden_layer_sizes=(20, 10), activation=activation, max_iter=60)


def regressors():
    trees, ensemble, linear = sklearn.tree, sklearn.ensemble, sklearn.linear_model
    yield trees.DecisionTreeRegressor(max_depth=6)
    yield ensemble.RandomForestRegressor(20, max_depth=7)
    yield ensemble.ExtraTreesRegressor(10)
    yield ensemble.GradientBoostingRegressor(n_estimators=30)
    yield ensemble.HistGradientBoostingRegressor(max_iter=20)
    yield ensemble.BaggingRegressor(n_estimators=5)
    yield ensemble.VotingRegressor([("a", linear.LinearRegression()), ("b", trees.DecisionTreeRegressor(max_depth=3))])
    yield linear.LinearRegression()
    yield linear.Ridge()
    yield linear.Lasso(alpha=0.01)
    yield linear.ElasticNet(alpha=0.01)
    yield linear.HuberRegressor(max_iter=300)
    yield linear.BayesianRidge()
    yield linear.SGDRegressor()
    yield linear.PoissonRegressor()
    yield linear.GammaRegressor()
    yield linear.TweedieRegressor(power=1.5, link="log")
    yield sklearn.svm.LinearSVR()
    yield sklearn.svm.SVR()
    yield sklearn.svm.NuSVR(kernel="sigmoid", gamma=0.01)
    yield sklearn.neural_network.MLPRegressor(hidden_layer_sizes=(20, 10), max_iter=60)


def scalers():
    prep = sklearn.preprocessing
    yield prep.StandardScaler()
    yield prep.StandardScaler(with_mean=False)
    yield prep.MinMaxScaler()
    yield prep.MaxAbsScaler()
    yield prep.RobustScaler()
    for norm in ("l1", "l2", "max"):
        yield prep.Normalizer(norm)
    yield prep.Binarizer(threshold=1.0)
    yield prep.PolynomialFeatures(2)
    yield prep.PowerTransformer()
    yield prep.KBinsDiscretizer(4, encode="ordinal")
    yield sklearn.impute.SimpleImputer(strategy="median")
    yield sklearn.feature_selection.SelectKBest(k=2)
    yield sklearn.feature_selection.VarianceThreshold(0.2)


def named(model):
    return type(model).__name__ + str({k: v for k, v in model.get_params(deep=False).items() if isinstance(v, (str, int, float))})[:90]


def scikit_learn():
    """Each model on real data, classifiers with two and with many classes, with numbers and with text as labels,
    with and without ZipMap."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i, model in enumerate(classifiers()):
            for name in ("breast_cancer", "iris", "digits"):
                if name == "digits" and not isinstance(model, (sklearn.tree.DecisionTreeClassifier, sklearn.ensemble.RandomForestClassifier, sklearn.linear_model.LogisticRegression, sklearn.neural_network.MLPClassifier)):
                    continue
                x, data = table(name)
                shown = (data.classes if name != "breast_cancer" else data.label)[: len(x)]
                labels = numpy.array([f"class {n}" for n in shown]) if i % 2 else shown
                scaled = sklearn.pipeline.make_pipeline(sklearn.preprocessing.StandardScaler(), model) if i % 3 == 0 else model
                scaled.fit(x, labels)
                final = type(model)
                options = {final: {"zipmap": False}} if i % 2 == 0 and hasattr(model, "predict_proba") else None
                yield f"{named(model)} on {name}", scaled, x, options
        x, data = table("diabetes")
        for model in regressors():
            y = data.positive[: len(x)]
            yield f"{named(model)} on diabetes", model.fit(x, y), x, None
        for model in (sklearn.tree.DecisionTreeRegressor(max_depth=5), sklearn.ensemble.RandomForestRegressor(5), sklearn.linear_model.LinearRegression(), sklearn.neural_network.MLPRegressor(max_iter=50)):
            yield f"{named(model)}, three targets", model.fit(x, data.targets[: len(x)]), x, None
        x, data = table("iris")
        for model in scalers():
            rows = x.copy()
            if isinstance(model, sklearn.impute.SimpleImputer):
                rows[::7, 1] = numpy.nan
            yield f"{named(model)} on iris", model.fit(rows, data.classes[: len(x)]), rows, None
        x = table("holes")[0]
        for model in (sklearn.ensemble.HistGradientBoostingRegressor(max_iter=30), sklearn.pipeline.make_pipeline(sklearn.impute.SimpleImputer(), sklearn.ensemble.GradientBoostingRegressor())):
            yield f"{named(model)} with missing values", model.fit(x, table("holes")[1].target[: len(x)]), x, None


def exported():
    for what, model, x, options in scikit_learn():
        try:
            yield export(what, model, x, options=options)
        except Exception as error:  # what its exporter does not know is no case
            print(f"not exported: {what}: {str(error)[:200]}")


def exported_as(kind):
    """Three small models of iris: what test_edge.py builds programs of."""
    x, data = table("iris")
    model = {
        "mlp": lambda: sklearn.neural_network.MLPClassifier((16, 8), activation="tanh", max_iter=200),
        "pipeline": lambda: sklearn.pipeline.make_pipeline(sklearn.preprocessing.StandardScaler(), sklearn.linear_model.LogisticRegression()),
        "forest": lambda: sklearn.ensemble.RandomForestClassifier(20, max_depth=7),
    }[kind]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels = numpy.array([f"class {n}" for n in data.classes[: len(x)]])
        return export(kind, model.fit(x, labels), x)


def mixed():
    """Pipelines of several inputs: columns of numbers, whole numbers and texts."""
    random_ = numpy.random.default_rng(1)
    n = 300
    columns = {
        "age": random_.normal(40, 12, (n, 1)).astype("f4"),
        "income": random_.lognormal(10, 1, (n, 1)).astype("f4"),
        "city": random_.choice(numpy.array(["Paris", "Rome", "Oslo", "Łódź"], object), (n, 1)),
        "kind": random_.choice(numpy.array(["a", "b", "c"], object), (n, 1)),
        "floor": random_.integers(0, 5, (n, 1)),
    }
    columns["income"][::9] = numpy.nan
    y = (columns["age"][:, 0] + 10 * (columns["city"][:, 0] == "Rome") + random_.normal(size=n)) > 40
    types = [("age", FloatTensorType([None, 1])), ("income", FloatTensorType([None, 1])), ("city", StringTensorType([None, 1])), ("kind", StringTensorType([None, 1])), ("floor", Int64TensorType([None, 1]))]
    try:
        import pandas
    except ImportError:
        return
    frame = pandas.DataFrame({name: value[:, 0] for name, value in columns.items()})
    prep, pipe = sklearn.preprocessing, sklearn.pipeline
    numbers = pipe.make_pipeline(sklearn.impute.SimpleImputer(), prep.StandardScaler())
    for what, encoder in [("one-hot", prep.OneHotEncoder(handle_unknown="ignore")), ("ordinal", prep.OrdinalEncoder())]:
        for model in (sklearn.linear_model.LogisticRegression(), sklearn.ensemble.RandomForestClassifier(10), sklearn.ensemble.GradientBoostingClassifier(n_estimators=10)):
            columns_ = sklearn.compose.ColumnTransformer([("numbers", numbers, ["age", "income"]), ("texts", encoder, ["city", "kind"]), ("rest", "passthrough", ["floor"])])
            labels = numpy.where(y, "yes", "no")
            pipeline = pipe.Pipeline([("columns", columns_), ("model", model)]).fit(frame, labels)
            yield export(f"{what}, {named(model)}", pipeline, columns, types, {type(model): {"zipmap": False}})


def doubles():
    x = table("diabetes")[0].astype("f8")
    y = table("diabetes")[1].target[: len(x)]
    types = [("x", DoubleTensorType([None, x.shape[1]]))]
    for model in (sklearn.linear_model.LinearRegression(), sklearn.preprocessing.StandardScaler(), sklearn.neural_network.MLPRegressor(max_iter=50)):
        yield export(f"{named(model)} of doubles", model.fit(x, y), {"x": x}, types)


def boosters():
    import lightgbm
    import onnxmltools
    import xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType as Floats

    for name in ("breast_cancer", "iris"):
        x, data = table(name)
        shown = (data.classes if name == "iris" else data.label)[: len(x)]
        types = [("x", Floats([None, x.shape[1]]))]
        for model in (xgboost.XGBClassifier(n_estimators=15, max_depth=4), lightgbm.LGBMClassifier(n_estimators=15, num_leaves=15, verbose=-1)):
            convert = onnxmltools.convert_xgboost if isinstance(model, xgboost.XGBClassifier) else onnxmltools.convert_lightgbm
            yield Exported(f"{type(model).__name__} on {name}", convert(model.fit(x, shown), initial_types=types, target_opset=15), {"x": x})
    x, data = table("diabetes")
    types = [("x", Floats([None, x.shape[1]]))]
    for model in (xgboost.XGBRegressor(n_estimators=15), lightgbm.LGBMRegressor(n_estimators=15, verbose=-1)):
        convert = onnxmltools.convert_xgboost if isinstance(model, xgboost.XGBRegressor) else onnxmltools.convert_lightgbm
        yield Exported(f"{type(model).__name__} on diabetes", convert(model.fit(x, data.target[: len(x)]), initial_types=types, target_opset=15), {"x": x})
