"""XGBoost: random settings of every booster and objective, saved as JSON and as UBJSON, against what
Booster.predict answers for each row. The sums, links and multiplications are made as XGBoost makes
them: with the same C library the answers are the same bits."""
# covers: engine/native/xgboost/xgboost engine/native/xgboost/xgboost_objective
# covers: engine/native/xgboost/xgboost_trees
# covers: engine/native/ops/op_link engine/native/ops/op_linear engine/native/ops/op_cast

import json
import pathlib
import random

import numpy
import pytest
import xgboost
from oracle import SEED, Batch, Program, choices, data_sets, edge_rows

OLD = pathlib.Path(__file__).parents[1] / "data" / "xgboost"
REGRESSIONS = {
    "reg:squarederror": "target",
    "reg:squaredlogerror": "count",
    "reg:pseudohubererror": "target",
    "reg:absoluteerror": "target",
    "reg:quantileerror": "target",
    "reg:logistic": "label",
    "reg:gamma": "positive",
    "reg:tweedie": "count",
    "count:poisson": "count",
    "survival:cox": "positive",
    "survival:aft": "positive",
}
CLASSES = {
    "binary:logistic": "label",
    "binary:logitraw": "label",
    "binary:hinge": "label",
    "multi:softmax": "classes",
    "multi:softprob": "classes",
}
RANKINGS = {"rank:pairwise": "label", "rank:ndcg": "label", "rank:map": "label"}
# 3.2 refuses the pruned trees of 1.0, and does not find the leaves of the trees of vectors of 2.1.
UNREAD = {"1.0.2_binary", "2.1.4_vectors"}
BASES = {"reg:gamma": 2.0, "reg:tweedie": 0.3, "count:poisson": 3.0, "survival:cox": 0.7, "survival:aft": 1.5}


def matrix(data, objective="", targets=None, weights=False):
    kind = {**REGRESSIONS, **CLASSES, **RANKINGS}.get(objective)
    y = getattr(data, kind) if targets is None else targets
    types = ["c" if n else "q" for n in data.categories] if any(data.categories) else None
    one = xgboost.DMatrix(data.x, feature_types=types, enable_categorical=types is not None)
    if objective == "survival:aft":
        one.set_float_info("label_lower_bound", y)
        one.set_float_info("label_upper_bound", numpy.where(data.label == 1, y * 1.5, numpy.inf))
    else:
        one.set_label(y)
    if objective in RANKINGS:
        one.set_group(data.group)
    elif weights:
        one.set_weight(data.weight)
    return one


def parameters(data, settings):
    wanted = {
        name: value
        for name, value in settings.items()
        if value is not None and name not in ("data", "rounds", "weights", "with_base", "form")
    }
    objective = wanted.get("objective", "")
    if objective.startswith("multi:"):
        wanted["num_class"] = data.n_classes
    if objective == "reg:quantileerror":
        wanted["quantile_alpha"] = 0.8
    if settings.get("with_base"):
        wanted["base_score"] = BASES.get(objective, 0.4)
    return {**wanted, "nthread": 1, "seed": SEED, "verbosity": 0}


def rows_of(data):
    """The rows it was trained on, and rows that nobody trains on."""
    return numpy.concatenate([data.x[:300], edge_rows(data)])


def finite(rows):
    return numpy.where(numpy.isinf(rows), numpy.float32(2e38) * numpy.sign(rows), rows)


def known(rows, categories):
    """XGBoost refuses negative categories before it looks at them; what nobody has seen it takes."""
    rows = finite(rows)
    for column, n in enumerate(categories):
        if n:
            rows[:, column] = numpy.where(rows[:, column] < 0, n + 7, numpy.minimum(rows[:, column], 1e6))
    return rows


def add(batch, model, data, settings):
    """Half of the models are asked by predict, which takes no infinities, and half by inplace_predict,
    which takes no categories and adds up dart's trees otherwise."""
    form, has_categories = settings.get("form", "ubj"), any(data.categories)
    rows = rows_of(data)
    if form == "ubj" and not has_categories and settings.get("booster", "gbtree") == "gbtree":
        expected = model.inplace_predict(rows, validate_features=False)
    else:
        rows = known(rows, data.categories)
        types = ["c" if n else "q" for n in data.categories] if has_categories else None
        expected = model.predict(xgboost.DMatrix(rows, feature_types=types, enable_categorical=has_categories))
    batch.add({f"xgboost.{form}": bytes(model.save_raw(form))}, rows, expected, settings)


def train_all(tmp_path, settings):
    batch = Batch(tmp_path)
    for one in settings:
        data = data_sets()[one["data"]]
        model = xgboost.train(
            parameters(data, one), matrix(data, one["objective"], weights=one.get("weights", False)), one["rounds"]
        )
        add(batch, model, data, one)
    return batch


TREES = {
    "rounds": [1, 3, 12, 30],
    "weights": [False, False, True],
    "with_base": [False, False, True],
    "form": ["json", "ubj"],
    "max_depth": [1, 2, 4, 6, 9],
    "eta": [0.05, 0.3, 1.0],
    "grow_policy": ["depthwise", "lossguide"],
    "tree_method": ["hist", "hist", "approx", "exact"],
    "max_bin": [16, 256, 1000],
    "num_parallel_tree": [1, 1, 4],
    "subsample": [1.0, 0.6],
    "colsample_bytree": [1.0, 0.5],
    "gamma": [0, 0, 0.5],
    "reg_lambda": [0, 1, 10],
}


def trees(n, **options):
    found = choices(n, **{**TREES, **options})
    for one in found:
        if one["tree_method"] == "exact":
            one["grow_policy"] = "depthwise"
        if one["grow_policy"] == "lossguide":
            one["max_leaves"] = 31
    return found


def test_regression(tmp_path):
    sets = ["diabetes", "skewed", "holes", "breast_cancer", "wine"]
    batch = train_all(tmp_path, trees(220, objective=list(REGRESSIONS), data=sets))
    batch.check(relative=0)


def test_classification(tmp_path):
    sets = ["breast_cancer", "iris", "wine", "digits", "holes"]
    batch = train_all(tmp_path, trees(120, objective=list(CLASSES), data=sets, rounds=[1, 3, 10]))
    batch.check(relative=0)


def test_ranking(tmp_path):
    options = {"with_base": [False], "subsample": [1.0], "tree_method": ["hist"]}
    batch = train_all(tmp_path, trees(24, objective=list(RANKINGS), data=["skewed", "diabetes"], **options))
    batch.check(relative=0)


def test_dart(tmp_path):
    options = {
        "booster": ["dart"],
        "rate_drop": [0.1, 0.5],
        "skip_drop": [0.0, 0.5],
        "one_drop": [0, 1],
        "sample_type": ["uniform", "weighted"],
        "normalize_type": ["tree", "forest"],
        "rounds": [3, 15],
    }
    objectives = ["reg:squarederror", "binary:logistic", "multi:softprob", "count:poisson"]
    batch = train_all(tmp_path, trees(60, objective=objectives, data=["diabetes", "wine", "holes"], **options))
    batch.check(relative=0)


def test_categories(tmp_path):
    options = {"max_cat_to_onehot": [1, 4, 100], "max_cat_threshold": [2, 64], "tree_method": ["hist", "approx"]}
    objectives = ["reg:squarederror", "binary:logistic", "multi:softprob", "count:poisson"]
    batch = train_all(tmp_path, trees(80, objective=objectives, data=["categorical"], **options))
    batch.check(relative=0)


def test_targets(tmp_path):
    """Several labels a row: trees of vectors, and trees one after the other."""
    batch = Batch(tmp_path)
    options = {"multi_strategy": ["multi_output_tree", "one_output_per_tree"], "tree_method": ["hist"]}
    for one in trees(50, objective=["reg:squarederror", "reg:absoluteerror", "binary:logistic"], data=["diabetes", "holes"], **options):
        data = data_sets()[one["data"]]
        one["gamma"] = 0
        targets = data.targets > numpy.median(data.targets, 0) if "binary" in one["objective"] else data.targets
        if one["objective"] == "reg:absoluteerror":
            one["multi_strategy"] = "one_output_per_tree"
        model = xgboost.train(parameters(data, one), matrix(data, targets=targets, weights=one["weights"]), one["rounds"])
        add(batch, model, data, one)
    batch.check(relative=0)


def test_vectors_of_classes(tmp_path):
    batch = Batch(tmp_path)
    for one in trees(12, objective=["multi:softprob", "multi:softmax"], data=["iris", "wine"], tree_method=["hist"]):
        data = data_sets()[one["data"]]
        one["multi_strategy"], one["gamma"] = "multi_output_tree", 0
        model = xgboost.train(parameters(data, one), matrix(data, one["objective"]), one["rounds"])
        add(batch, model, data, one)
    batch.check(relative=0)


def test_linear(tmp_path):
    options = {
        "booster": ["gblinear"],
        "rounds": [1, 5, 30],
        "form": ["json", "ubj"],
        "updater": ["shotgun", "coord_descent"],
        "alpha": [0, 0.1],
        "with_base": [False, True],
    }
    objectives = ["reg:squarederror", "binary:logistic", "multi:softprob", "count:poisson"]
    batch = train_all(tmp_path, choices(60, objective=objectives, data=["diabetes", "iris", "wine"], **options))
    batch.check(relative=0)


def test_untrained_and_pruned(tmp_path):
    """No rounds at all; trees of one leaf; nodes that pruning deleted; a slice; early stopping, whose
    best iteration predict does not look at."""
    batch = Batch(tmp_path)
    data = data_sets()["breast_cancer"]
    label = matrix(data, "binary:logistic")
    for objective in ("reg:squarederror", "binary:logistic", "count:poisson"):
        for form in ("json", "ubj"):
            for base in (None, 0.3):
                settings = {"objective": objective, "base_score": base, "form": form}
                add(batch, xgboost.train(parameters(data, settings), matrix(data, objective), 0), data, {**settings, "rounds": 0})
    settings = {"objective": "binary:logistic", "gamma": 1e9, "form": "json"}
    add(batch, xgboost.train(parameters(data, settings), label, 3), data, settings)
    settings = {"objective": "binary:logistic", "tree_method": "exact", "gamma": 5, "max_depth": 8, "form": "json"}
    pruned = xgboost.train(parameters(data, settings), label, 10)
    trees_ = json.loads(pruned.save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    assert any(int(tree["tree_param"]["num_deleted"]) > 0 for tree in trees_)
    add(batch, pruned, data, settings)
    add(batch, pruned[2:7], data, {**settings, "sliced": True})
    settings = {"objective": "binary:logistic", "eval_metric": "logloss", "eta": 1.0, "form": "ubj"}
    stopped = xgboost.train(
        parameters(data, settings), label, 60, evals=[(label, "train")], early_stopping_rounds=3, verbose_eval=False
    )
    stopped.set_attr(best_iteration="2")
    add(batch, stopped, data, {**settings, "stopped": True})
    batch.check(relative=0)


def test_names_and_infinities(tmp_path):
    """Feature names of any characters; infinite values, which only inplace_predict takes."""
    batch = Batch(tmp_path)
    data = data_sets()["iris"]
    one = xgboost.DMatrix(data.x, data.label, feature_names=["länge", 'q"uote', "back\\slash", "tab\t"])
    model = xgboost.train({"objective": "binary:logistic", "nthread": 1}, one, 10)
    rows = rows_of(data)
    for form in ("json", "ubj"):
        expected = model.inplace_predict(rows, validate_features=False)
        batch.add({f"xgboost.{form}": bytes(model.save_raw(form))}, rows, expected, form)
    batch.check(relative=0)


def test_links_over_their_range(tmp_path):
    """Margins from far below to far above, through every link."""
    margins = numpy.concatenate([numpy.linspace(-120, 120, 4001), numpy.geomspace(1e-8, 80, 1000)]).astype("f4")
    x = margins[:, None]
    batch = Batch(tmp_path)
    for objective in [*REGRESSIONS, "binary:logistic", "binary:hinge", "multi:softprob", "multi:softmax"]:
        settings = {"objective": objective, "booster": "gblinear", "nthread": 1, "base_score": 0.5, "verbosity": 0}
        k = 3 if "multi" in objective else 1
        if k == 3:
            settings["num_class"] = 3
        if objective == "reg:quantileerror":
            settings["quantile_alpha"] = 0.5
        label = numpy.arange(9) % 3 if k == 3 else numpy.ones(9)
        one = xgboost.DMatrix(x[:9], label)
        if objective == "survival:aft":
            one.set_float_info("label_lower_bound", label)
            one.set_float_info("label_upper_bound", label)
        model = xgboost.train(settings, one, 1)
        text = bytearray(model.save_raw("json"))
        begin = text.index(b'"weights":[') + 11
        text[begin : text.index(b"]", begin)] = b"1E0,-5E-1,2.5E-1,0E0,1E-1,-1E-1" if k == 3 else b"1E0,0E0"
        model = xgboost.Booster(model_file=text)
        batch.add({"xgboost.json": bytes(text)}, x, model.predict(xgboost.DMatrix(x)), objective)
    # xgboost-cpu is compiled otherwise than xgboost: its survival:aft rounds a few exponentials to the
    # neighbour.
    batch.check(relative=1.2e-7)


def test_older_versions(tmp_path):
    """Files that XGBoost 1.0, 1.7 and 2.1 wrote: as 3.2 predicts for them, and (but for the bits: sums
    and links were others) as the version itself did."""
    now, then = Batch(tmp_path / "now"), Batch(tmp_path / "then")
    for path in sorted(OLD.glob("*_*.*")):
        version, name = path.stem.split("_")
        if path.suffix not in (".json", ".ubj"):
            continue
        recorded = json.loads((OLD / f"{version}.json").read_text())
        rows = numpy.array(recorded["rows"], "f4")
        files = {f"xgboost{path.suffix}": path}
        then.add(files, rows, recorded["predictions"][name], path.name)
        if path.stem not in UNREAD:
            model = xgboost.Booster(model_file=str(path))
            types = model.feature_types
            one = xgboost.DMatrix(rows, feature_names=model.feature_names, feature_types=types, enable_categorical=True)
            now.add(files, rows, model.predict(one), path.name)
    now.check(relative=0)
    then.check(relative=1e-5)


@pytest.mark.parametrize("form", ["json", "ubj"])
def test_cut_files_are_refused(tmp_path, form):
    data = data_sets()["iris"]
    settings = {"objective": "multi:softprob", "num_class": 3, "nthread": 1, "max_depth": 2}
    whole = bytes(xgboost.train(settings, matrix(data, "multi:softprob"), 2).save_raw(form))
    batch = Batch(tmp_path)
    for cut in sorted(random.Random(SEED).sample(range(1, len(whole)), 40)):
        batch.add({f"xgboost.{form}": whole[:cut]}, None, None, cut)
    with Program(tmp_path / "server", batch.repository) as program:
        for name, _, _, cut in batch.models:
            assert "XGBoost model" in (program.failure(name) or ""), f"cut at {cut}: {program.failure(name)}"
