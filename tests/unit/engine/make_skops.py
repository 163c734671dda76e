#!/usr/bin/env python3
"""Writes the small models of tests/fuzz/corpus/skops and prints what scikit-learn predicts of ROWS, for
skops_test.c.

Needs scikit-learn 1.9, skops 0.16 and pandas. Run from the top of the repository; the same bytes come out each
time, since arrays are called 1.npy, 2.npy, ... instead of by addresses:

    .venv/bin/python tests/unit/engine/make_skops.py
"""

import io
import json
import pathlib
import re
import warnings
import zipfile

import numpy as np
import pandas
import skops.io
from sklearn import compose, decomposition, ensemble, impute, linear_model, neural_network, pipeline, preprocessing, tree

OUT = pathlib.Path("tests/fuzz/corpus/skops")
ROWS = np.array([[0.1, 3.0], [2.5, -1.0], [5.0, 7.0], [7.5, 0.0]])


def data():
    x = np.array([[i % 8, (i * 5) % 11 - 3] for i in range(40)], "f8")
    return x, (x[:, 0] * x[:, 1]) % 7, (x[:, 0] > 3) + 0, np.minimum(x[:, 0] // 3, 2).astype(int)


def save(name, model, packed=True):
    old = zipfile.ZipFile(io.BytesIO(skops.io.dumps(model)))
    schema = old.read("schema.json").decode()
    arrays = [info.filename for info in old.infolist() if info.filename != "schema.json"]
    schema = re.sub(r',\s*"__id__": \d+', "", schema)
    for number, array in enumerate(arrays, 1):
        schema = schema.replace(array, f"{number}.npy")
    schema = json.dumps(json.loads(schema), separators=(",", ":"))
    with zipfile.ZipFile(OUT / f"{name}.skops", "w") as new:
        for member, content in [(f"{n}.npy", old.read(a)) for n, a in enumerate(arrays, 1)] + [("schema.json", schema)]:
            new.writestr(zipfile.ZipInfo(member), content, zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED)


def show(name, *answers):
    for answer in answers:
        print(name, np.asarray(answer).tolist())


def main():
    warnings.simplefilter("ignore")
    OUT.mkdir(parents=True, exist_ok=True)
    x, y, two, three = data()
    names = np.array(["low", "middle", "h\u00f6ch"])[three]
    model = tree.DecisionTreeRegressor(max_depth=2, random_state=1).fit(x, y)
    model.feature_names_in_ = np.array(["a", "b"], object)
    save("tree", model, packed=False)
    show("tree", model.predict(ROWS))
    model = ensemble.RandomForestClassifier(2, max_depth=2, random_state=1).fit(x, names)
    save("forest", model)
    show("forest", model.predict(ROWS), model.predict_proba(ROWS))
    model = ensemble.GradientBoostingClassifier(n_estimators=2, max_depth=1, random_state=1).fit(x, three)
    model._rng = None  # thousands of bytes, and of each tree
    for one in model.estimators_.ravel():
        one.random_state = None
    save("boosting", model)
    show("boosting", model.predict(ROWS), model.predict_proba(ROWS))
    model = ensemble.HistGradientBoostingClassifier(max_iter=2, max_depth=2, min_samples_leaf=2, categorical_features=[0], random_state=1)
    model.fit(np.tile(x, (4, 1)), np.tile(two ^ (x[:, 0] == 6), 4))  # categories count from ten rows on
    model._feature_subsample_rng = None
    save("hist", model)
    show("hist", model.predict(ROWS), model.predict_proba(ROWS))
    model = ensemble.IsolationForest(n_estimators=2, max_samples=8, max_features=1, random_state=1).fit(x)
    save("isolation", model)
    show("isolation", model.predict(ROWS), model.decision_function(ROWS))
    pipelines(x, y, two, three, names)


def pipelines(x, y, two, three, names):
    model = pipeline.make_pipeline(
        impute.SimpleImputer(add_indicator=True),
        preprocessing.StandardScaler(),
        pipeline.make_pipeline(preprocessing.MinMaxScaler(clip=True), preprocessing.RobustScaler(), "passthrough"),
        preprocessing.PolynomialFeatures(2),
        preprocessing.MaxAbsScaler(),
        preprocessing.Normalizer("max"),
        decomposition.PCA(2, whiten=True, svd_solver="full"),
        linear_model.LogisticRegression(max_iter=5),
    )
    holes = x.copy()
    holes[3, 1] = np.nan
    save("pipeline", model.fit(holes, names))
    show("pipeline", model.predict(ROWS), model.predict_proba(ROWS))
    model = neural_network.MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, activation="tanh", random_state=1).fit(x, y)
    model._random_state = model._optimizer = None
    save("net", model)
    show("net", model.predict(ROWS))
    model = linear_model.SGDClassifier(loss="modified_huber", max_iter=5, random_state=1).fit(x, three)
    save("sgd", model)
    show("sgd", model.predict(ROWS), model.predict_proba(ROWS))
    table = pandas.DataFrame({"n": x[:, 0], "city": names, "k": two})
    model = compose.ColumnTransformer(
        [
            ("number", preprocessing.StandardScaler(), ["n"]),
            ("word", pipeline.make_pipeline(impute.SimpleImputer(strategy="most_frequent"), preprocessing.OneHotEncoder()), ["city"]),
            ("order", preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["k"]),
        ],
        sparse_threshold=0,
    )
    save("columns", model.fit(table))
    some = pandas.DataFrame({"n": [1.0, 2.0], "city": ["low", "middle"], "k": [1, 7]})
    show("columns", model.transform(some))


main()
