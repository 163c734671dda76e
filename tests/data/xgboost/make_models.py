"""The models in this folder: `python make_models.py` with an older XGBoost (1.0.2, 1.7.6, 2.1.4) writes
those that it can make as <version>_<name>.json and .ubj, and what it predicts for ROWS into
<version>.json. tests/oracle compares."""

import json
import pathlib

import numpy
import xgboost

HERE = pathlib.Path(__file__).parent
VERSION = tuple(int(part) for part in xgboost.__version__.split("."))


def data():
    random_ = numpy.random.RandomState(7)
    x = random_.normal(size=(80, 4)).round(2).astype("f4")
    x[:, 3] = random_.randint(0, 6, 80)
    y = x[:, 0] + (x[:, 3] % 3) - x[:, 1] * x[:, 2]
    x[::9, 1] = numpy.nan
    return x, y


def main():
    x, y = data()
    plain = {"max_depth": 3, "nthread": 1, "verbosity": 0, "base_score": 0.5}
    one = xgboost.DMatrix(x, y)
    models = {
        "regression": xgboost.train({**plain, "objective": "reg:squarederror"}, one, 3),
        "poisson": xgboost.train({**plain, "objective": "count:poisson"}, xgboost.DMatrix(x, abs(y)), 3),
        "binary": xgboost.train({**plain, "objective": "binary:logistic", "gamma": 1.0, "tree_method": "exact"}, xgboost.DMatrix(x, y > 1), 4),
        "classes": xgboost.train({**plain, "objective": "multi:softprob", "num_class": 3, "num_parallel_tree": 2}, xgboost.DMatrix(x, x[:, 3] % 3), 2),
        "dart": xgboost.train({**plain, "booster": "dart", "rate_drop": 0.5}, one, 5),
        "linear": xgboost.train({"booster": "gblinear", "nthread": 1}, one, 3),
    }
    if VERSION >= (1, 7):
        named = xgboost.DMatrix(x, y, feature_types=["q", "q", "q", "c"], feature_names=["a", "b", "c", "kind"], enable_categorical=True)
        models["categories"] = xgboost.train({**plain, "tree_method": "hist", "max_cat_to_onehot": 1}, named, 3)
    if VERSION >= (2, 0):
        targets = xgboost.DMatrix(x, numpy.stack([y, -2 * y, y * y], 1))
        models["vectors"] = xgboost.train({**plain, "tree_method": "hist", "multi_strategy": "multi_output_tree"}, targets, 2)
    recorded = {}
    for name, model in models.items():
        kind = {"feature_types": named.feature_types, "feature_names": named.feature_names, "enable_categorical": True} if name == "categories" else {}
        recorded[name] = numpy.asarray(model.predict(xgboost.DMatrix(x[:20], **kind)), "f8").tolist()
        for form in ("json", "ubj") if VERSION >= (1, 6) else ("json",):
            model.save_model(str(HERE / f"{xgboost.__version__}_{name}.{form}"))
    rows = [[None if value != value else float(value) for value in row] for row in x[:20]]
    (HERE / f"{xgboost.__version__}.json").write_text(json.dumps({"rows": rows, "predictions": recorded}))


main()
