"""Files of boosters in a repository, as people put them there: by any name, with and without a
configuration, old ones, damaged ones. The numbers that they predict are the matter of tests/oracle."""

import json

import pytest
from harness import TOP, Server, put_model, tensors

FILES = TOP / "tests" / "data" / "xgboost"
RECORDED = {version: json.loads((FILES / f"{version}.json").read_text()) for version in ("1.0.2", "1.7.6", "2.1.4")}
CASES = [
    (path, *path.stem.split("_")) for path in sorted(FILES.iterdir()) if "_" in path.stem and path.suffix in (".json", ".ubj")
]


@pytest.fixture(scope="module")
def boosters(tmp_path_factory):
    folder = tmp_path_factory.mktemp("boosters")
    for path, _, _ in CASES:
        put_model(folder / "models", path.name.replace(".", "-"), path, file=f"any-name{path.suffix}")
    with Server(folder / "server", folder / "models") as one:
        yield one


def whole_rows(recorded, name):
    """JSON has no NaN: the rows without holes, and what was predicted for them."""
    pairs = zip(recorded["rows"], recorded["predictions"][name])
    return [list(part) for part in zip(*[pair for pair in pairs if None not in pair[0]])]


def body_of(rows, name="input__0", datatype="FP32"):
    return {"inputs": [{"name": name, "datatype": datatype, "shape": [len(rows), len(rows[0])], "data": rows}]}


def flat(values):
    return [one for value in values for one in (value if isinstance(value, list) else [value])]


@pytest.mark.parametrize("path, version, name", CASES, ids=lambda value: getattr(value, "name", None))
def test_a_file_predicts_what_its_xgboost_did(boosters, path, version, name):
    rows, expected = whole_rows(RECORDED[version], name)
    answer = boosters.infer(path.name.replace(".", "-"), body_of(rows))
    assert answer.status == 200, answer.body
    output = answer.json()["outputs"][0]
    assert output["name"] == "output__0" and output["datatype"] == "FP32"
    assert output["data"] == pytest.approx(flat(expected), rel=1e-5)


def test_metadata(boosters):
    meta = boosters.get("/v2/models/2-1-4_classes-ubj").json()
    assert meta["inputs"] == [{"name": "input__0", "datatype": "FP32", "shape": [-1, 4]}]
    assert meta["outputs"] == [{"name": "output__0", "datatype": "FP32", "shape": [-1, 3]}]


def test_rows_of_the_wrong_length(boosters):
    for rows in ([[1.0] * 3], [[1.0] * 5]):
        answer = boosters.infer("2-1-4_binary-ubj", body_of(rows))
        assert answer.status == 400
        assert "[-1,4]" in answer.json()["error"]


def test_a_configuration_has_other_names_and_types(tmp_path):
    config = tensors("input", ("amounts", "FP64", 4)) + tensors("output", ("risk", "FP64", 1)) + "max_batch_size: 64\n"
    put_model(tmp_path / "models", "fraud", FILES / "2.1.4_binary.ubj", config=config, file="xgboost.ubj")
    with Server(tmp_path / "server", tmp_path / "models") as server:
        rows, expected = whole_rows(RECORDED["2.1.4"], "binary")
        output = server.infer("fraud", body_of(rows, "amounts", "FP64")).json()["outputs"][0]
    assert (output["name"], output["datatype"]) == ("risk", "FP64")
    assert output["data"] == pytest.approx(expected, rel=1e-5)


def test_a_configuration_of_fil(tmp_path):
    """As it is written for Triton's FIL backend, whose name the configuration keeps."""
    text = (
        'backend: "fil"\nmax_batch_size: 1024\n'
        + tensors("input", ("input__0", "FP32", 4))
        + tensors("output", ("output__0", "FP32", 1))
        + "instance_group [ { kind: KIND_CPU } ]\nparameters [\n"
        + ",\n".join(
            f'{{ key: "{key}" value {{ string_value: "{value}" }} }}'
            for key, value in {"model_type": "xgboost_ubj", "output_class": "true", "storage_type": "AUTO"}.items()
        )
        + "]\n"
    )
    put_model(tmp_path / "models", "kind", FILES / "2.1.4_classes.ubj", config=text, file="xgboost.ubj")
    with Server(tmp_path / "server", tmp_path / "models") as server:
        rows, expected = whole_rows(RECORDED["2.1.4"], "classes")
        output = server.infer("kind", body_of(rows)).json()["outputs"][0]
        assert server.get("/v2/models/kind/config").json()["backend"] == "fil"
    assert output["data"] == [max(range(3), key=scores.__getitem__) for scores in expected]


def test_what_cannot_be_served_says_why(tmp_path):
    good = (FILES / "2.1.4_binary.json").read_bytes()
    models = {
        "old": ("xgboost.model", b"binf" + bytes(200), "save_model('xgboost.ubj')"),
        "cut": ("xgboost.json", good[: len(good) // 2], "failed to parse JSON"),
        "cut_ubj": ("model.ubj", (FILES / "2.1.4_binary.ubj").read_bytes()[:-9], "failed to parse UBJSON"),
        "objective": ("xgboost.json", good.replace(b"binary:logistic", b"my:loss"), "objective 'my:loss' is not known"),
        "cyclic": ("xgboost.json", good.replace(b'"left_children":[1,', b'"left_children":[0,'), "tree 0"),
    }
    for name, (file, content, _) in models.items():
        put_model(tmp_path / "models", name, content, file=file)
    with Server(tmp_path / "server", tmp_path / "models") as server:
        index = server.index()
        for name, (_, _, reason) in models.items():
            row = index[(name, "1")]
            assert row["state"] == "UNAVAILABLE" and reason in row["reason"], row
