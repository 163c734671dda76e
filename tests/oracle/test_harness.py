"""The harness itself, with a model that ONNX Runtime runs: it sees what is equal, and what is not."""

import numpy
import pytest
from oracle import Batch, Difference, choices, data_sets, edge_rows
from skl2onnx import to_onnx
from sklearn.linear_model import LinearRegression


def test_equal_and_not(tmp_path):
    data = data_sets()["iris"]
    model = LinearRegression().fit(data.x, data.target)
    onnx = to_onnx(model, data.x[:1]).SerializeToString()
    expected = model.predict(data.x)
    batch = Batch(tmp_path)
    batch.add({"model.onnx": onnx}, data.x, expected, "iris")
    assert "1 models, 150 rows" in batch.check(relative=1e-3)
    batch.models[0][2][None] = expected + 1
    with pytest.raises(AssertionError, match="iris.*off by"):
        batch.check(relative=1e-3)


def test_model_that_is_not_loaded(tmp_path):
    batch = Batch(tmp_path)
    batch.add({"model.onnx": b"no model"}, numpy.zeros((1, 1)), numpy.zeros(1), "damaged")
    with pytest.raises(AssertionError, match="damaged"):
        batch.check()


def test_difference():
    one = Difference(numpy.array([1.0, numpy.nan, 0.4]), numpy.array([1.0, numpy.nan, 0.6]))
    assert one.unequal == 1 and one.flips == 1 and one.relative == pytest.approx(1 / 3)
    assert Difference(numpy.array([1.0]), numpy.array([numpy.nan])).relative == numpy.inf
    assert Difference(numpy.zeros((2, 1)), numpy.zeros(3)).shapes


def test_data():
    sets = data_sets()
    assert {"breast_cancer", "digits", "skewed", "holes", "categorical"} <= set(sets)
    assert numpy.isnan(sets["holes"].x).mean() > 0.3
    assert sum(sets["digits"].group) == len(sets["digits"].x)
    assert edge_rows(sets["iris"]).shape[1] == 4
    assert choices(5, a=[1, 2]) == choices(5, a=[1, 2])
