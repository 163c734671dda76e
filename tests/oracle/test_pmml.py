"""PMML. The files of tests/data/pmml were written by sklearn2pmml 0.133.1 (JPMML) of models that
scikit-learn 1.8, XGBoost 3.2 and LightGBM 4.7 trained; beside each stand some rows and what the
model itself predicted for them."""
# covers: engine/native/pmml_fields engine/native/pmml_formula engine/native/pmml_models
# covers: engine/native/pmml_program engine/native/pmml_regression

import json
import pathlib

import numpy
import pytest
from harness import put_model
from oracle import Difference, Program

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
