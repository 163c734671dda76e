"""`tern build-edge`: what it makes is run, linked and asked here, and answers as `tern infer` does."""
# covers: cli/build_edge cli/build_edge_cc cli/build_edge_options cli/build_edge_prune
# covers: cli/build_edge_report
# covers: cli/edge_check cli/edge_pack cli/edge_rows cli/edge_tools edge/edge edge/main
# covers: engine/native/emit
# covers: engine/native/prune forest/emit

import ctypes
import json
import math
import os
import re
import shutil
import subprocess

import pytest

from harness import EXAMPLES, TERN, TOP

CORPUS = TOP / "tests" / "fuzz" / "corpus"
MODELS = [
    "xgboost/regression.json",
    "xgboost/classes.ubj",
    "xgboost/dart.ubj",
    "xgboost/vectors.json",
    "xgboost/linear.ubj",
    "lightgbm/binary.txt",
    "lightgbm/linear.txt",
    "lightgbm/multi.txt",
    "lightgbm/rf.txt",
    "lightgbm/zero.txt",
    "catboost/symmetric.cbm",
    "catboost/steps.cbm",
    "skops/tree.skops",
]
ARM64 = shutil.which("aarch64-linux-gnu-gcc") and shutil.which("qemu-aarch64")


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Where the command keeps its temporary files: empty afterwards."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def build(model, out, *args, **environment):
    command = [TERN, "build-edge", str(model), "--out", str(out), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})


def built(model, out, *args):
    done = build(model, out, "--output", "json", *args)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refused(model, out, *args, **environment):
    done = build(model, out, *args, **environment)
    assert done.returncode == 1 and done.stdout == "" and list(out.iterdir()) == []
    return done.stderr


def rows_for(n_features, n=40):
    return [[None if (i + f) % 7 == 6 else math.sin(i * 12.9898 + f * 78.233) * 4 for f in range(n_features)] for i in range(n)]


def text_of(rows):
    """Nothing is missing, too, but a line without anything is no row."""
    return "".join(",".join(repr(v) if v is not None else "nan" if len(row) == 1 else "" for v in row) + "\n" for row in rows)


def infer(model, rows):
    """What the model answers here, as numbers that were printed to be read back."""
    done = subprocess.run(
        [TERN, "infer", str(model), "-", "--output", "json"],
        input=text_of([[math.nan if v is None else v for v in row] for row in rows]),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["outputs"][0]["data"]


@pytest.mark.parametrize("model", MODELS)
def test_a_program_answers_as_tern_does(model, out):
    found = built(CORPUS / model, out, "--name", "edge")
    assert found["run"]["equal"] == found["run"]["numbers"] > 0
    assert found["run"]["p50_ns"] > 0 and not found["run"]["emulated"]
    rows = rows_for(found["features"])
    printed = subprocess.run([out / "edge"], input=text_of(rows), capture_output=True, text=True, check=True).stdout
    numbers = [float(v) for line in printed.splitlines() for v in line.split(",")]
    assert len(numbers) == len(rows) * found["outputs"]
    if found["input"] == "FP32":
        rows = [[v if v is None else ctypes.c_float(v).value for v in row] for row in rows]
    expected = infer(CORPUS / model, rows)
    if found["output"] == "FP32":
        numbers, expected = ([ctypes.c_float(v).value for v in numbers] for numbers in (numbers, expected))
    assert numbers == expected


@pytest.mark.skipif(not ARM64, reason="gcc-aarch64-linux-gnu and qemu-user are not there")
@pytest.mark.parametrize("model", ["xgboost/classes.ubj", "lightgbm/linear.txt", "catboost/symmetric.cbm"])
def test_a_program_for_arm64_is_run_by_qemu(model, out):
    found = built(CORPUS / model, out, "--target", "arm64", "--name", "edge")
    assert found["run"]["emulated"] and found["run"]["equal"] == found["run"]["numbers"]
    assert (out / "edge").read_bytes()[18:20] == b"\xb7\0"  # EM_AARCH64
    assert "(emulated)" in build(CORPUS / model, out, "--target", "arm64", "--name", "edge").stdout


def test_a_shared_library_has_two_names_and_needs_no_allocator(out):
    found = built(CORPUS / "xgboost/classes.json", out, "--kind", "shared", "--name", "edge")
    assert [os.path.basename(file["path"]) for file in found["files"]] == ["libedge.so", "edge.h"]
    names = subprocess.run(["nm", "-D", out / "libedge.so"], capture_output=True, text=True, check=True).stdout
    exported = {line.split()[-1] for line in names.splitlines() if " T " in line}
    assert exported == {"edge_predict", "edge_feature_name"}
    assert not {"malloc", "free", "open", "printf", "snprintf", "socket"} & {word.split("@")[0] for word in names.split()}
    rows = rows_for(found["features"], 70)
    flat = [math.nan if v is None else v for row in rows for v in row]
    library = ctypes.CDLL(str(out / "libedge.so"))
    answers = (ctypes.c_float * (len(rows) * found["outputs"]))()
    working = ctypes.create_string_buffer(found["working_bytes"] + 64)
    aligned = ctypes.addressof(working) + -ctypes.addressof(working) % 64
    for memory in (None, ctypes.c_void_p(aligned)):
        ctypes.memset(answers, 0, ctypes.sizeof(answers))
        assert library.edge_predict((ctypes.c_float * len(flat))(*flat), ctypes.c_size_t(len(rows)), answers, memory) == 0
        rounded = [[v if v is None else ctypes.c_float(v).value for v in row] for row in rows]
        assert list(answers) == [ctypes.c_float(v).value for v in infer(CORPUS / "xgboost/classes.json", rounded)]


def test_two_static_libraries_fit_one_program(out):
    built(CORPUS / "xgboost/regression.json", out, "--kind", "static", "--name", "one")
    built(CORPUS / "lightgbm/binary.txt", out, "--kind", "static", "--name", "two")
    (out / "both.c").write_text(
        '#include <stdio.h>\n#include "one.h"\n#include "two.h"\n'
        "int main(void) {\n"
        "    float a[one_FEATURES] = {0}, x[one_OUTPUTS];\n"
        "    double b[two_FEATURES] = {0}, y[two_OUTPUTS];\n"
        "    if (one_predict(a, 1, x, NULL) != 0 || two_predict(b, 1, y, NULL) != 0) return 1;\n"
        '    printf("%.9g %.17g %s\\n", (double)x[0], y[0], two_feature_name(1));\n'
        "    return two_feature_name(two_FEATURES) != NULL;\n}\n"
    )
    command = ["cc", "-Wall", "-Werror", "-I", out, out / "both.c", out / "libone.a", out / "libtwo.a", "-lm", "-o", out / "both"]
    subprocess.run(command, check=True)
    one, two, name = subprocess.run([out / "both"], capture_output=True, text=True, check=True).stdout.split()
    assert ctypes.c_float(float(one)).value == ctypes.c_float(infer(CORPUS / "xgboost/regression.json", [[0.0] * 3])[0]).value
    assert [float(two)] == infer(CORPUS / "lightgbm/binary.txt", [[0.0] * 3])
    assert name == "Column_1"


def test_values_as_halves_are_smaller_and_say_how_far_off(out):
    full = built(CORPUS / "lightgbm/multi.txt", out, "--name", "full")
    half = built(CORPUS / "lightgbm/multi.txt", out, "--name", "half", "--values", "half")
    assert half["model_bytes"] < full["model_bytes"]
    assert 0 < half["run"]["largest_difference"] < 0.01
    done = build(CORPUS / "lightgbm/multi.txt", out, "--values", "half")
    assert "largest difference" in done.stdout


def test_pruning_is_measured_and_keeps_its_bound(out, tmp_path):
    rows = rows_for(3, 200)
    data = tmp_path / "rows.csv"
    data.write_text(text_of([[v or 0.0 for v in row] for row in rows]))
    model = CORPUS / "lightgbm/zero.txt"
    found = built(model, out, "--name", "small", "--prune", "0.2", "--data", data)
    pruning = found["pruning"]
    assert pruning["trees_before"] >= pruning["trees"] and pruning["nodes_before"] > pruning["nodes"]
    assert 0 < pruning["largest_difference"] <= pruning["bound"] <= 0.2 and pruning["rows"] == 200
    assert pruning["mean_difference"] <= pruning["largest_difference"]
    assert pruning["model_bytes_before"] > found["model_bytes"] and pruning["p50_ns_before"] > 0
    assert found["run"]["equal"] == found["run"]["numbers"]
    printed = subprocess.run([out / "small"], input=data.read_text(), capture_output=True, text=True, check=True).stdout
    expected = infer(model, [[v or 0.0 for v in row] for row in rows])
    off = max(abs(float(a) - b) for a, b in zip(printed.split(), expected))
    assert math.isclose(off, pruning["largest_difference"], rel_tol=1e-6)
    exact = built(model, out, "--name", "exact")
    assert exact["pruning"]["bound"] == exact["pruning"]["largest_difference"] == 0
    assert "model_bytes_before" not in exact["pruning"]


def test_the_first_trees_only(out):
    found = built(CORPUS / "lightgbm/multi.txt", out, "--name", "edge", "--trees", "2")
    assert found["pruning"]["trees"] == 2 < found["pruning"]["trees_before"]
    assert found["pruning"]["largest_difference"] > 0
    (out / "edge").unlink()
    few = refused(CORPUS / "lightgbm/multi.txt", out, "--trees", "1")
    assert "the first 1 trees are not equally many for each of the 2 outputs" in few
    average = refused(CORPUS / "lightgbm/rf.txt", out, "--trees", "1")
    assert "none of the 2 trees can be left out" in average
    assert "the model has no trees" in refused(CORPUS / "xgboost/linear.ubj", out, "--prune", "1")
    assert "--prune: expected by how much" in refused(CORPUS / "lightgbm/rf.txt", out, "--prune", "much")


def test_what_the_document_shows(out):
    """doc/edge.md: the same rows; the same text in those that do not depend on the compiler or the machine."""
    lines = [line.strip() for line in (TOP / "doc" / "edge.md").read_text().splitlines()]
    at = next(i for i, line in enumerate(lines) if line.startswith("tern build-edge examples/"))
    shown = lines[at + 2 : lines.index("", at + 2)]
    done = subprocess.run(
        [TERN, *lines[at].split()[1:], "--out", str(out)], capture_output=True, text=True, cwd=TOP
    )
    assert done.returncode == 0, done.stderr

    def rows_of(text):
        for line in text:
            cells = re.split("  +", line.strip())
            firm = cells[0] in ("takes, gives", "trees", "a sum changes by", "an answer changes by", "answers")
            yield cells if firm else [re.sub("[0-9]+", "N", re.sub("/[^ ,]*/", "./", cell)) for cell in cells]

    assert list(rows_of(shown)) == list(rows_of(done.stdout.splitlines()))


def test_the_sources_need_only_make_and_a_compiler(out):
    done = build(CORPUS / "lightgbm/binary.txt", out, "--kind", "source", "--name", "edge", PATH="/nowhere")
    assert done.returncode == 0, done.stderr
    assert "there is no compiler" in done.stdout
    subprocess.run(["make", "-s", "-C", out / "edge_source", "edge", "libedge.so", "libedge.a"], check=True)
    printed = subprocess.run([out / "edge_source/edge"], input="a,b,c\n0,0,0\n", capture_output=True, text=True, check=True)
    assert [float(printed.stdout)] == infer(CORPUS / "lightgbm/binary.txt", [[0.0] * 3])
    again = build(CORPUS / "lightgbm/binary.txt", out, "--kind", "source", "--name", "edge")
    assert again.returncode == 1 and "edge_source: File exists" in again.stderr


def test_what_the_program_says_of_bad_rows(out):
    built(CORPUS / "lightgbm/binary.txt", out, "--name", "edge")

    def complains(text, *args):
        done = subprocess.run([out / "edge", *args], input=text, capture_output=True, text=True)
        assert done.returncode != 0
        return done.stderr

    assert complains("1,2\n") == "line 1: expected 3 columns, got 2\n"
    assert complains("1,2,3,4\n") == "line 1: expected 3 columns, got more\n"
    assert complains("1,2,3\n1,two,3\n") == "line 2, column 2: expected a number\n"
    assert "No such file" in complains("", "/nowhere.csv")
    assert "usage" in complains("", "--help")
    names = subprocess.run([out / "edge", "--names"], capture_output=True, text=True, check=True).stdout
    assert names.splitlines()[1:] == ["0 Column_0", "1 Column_1", "2 Column_2"]


def test_what_cannot_be_built_is_refused(out, tmp_path):
    binary = CORPUS / "lightgbm/binary.txt"
    assert "only models of the native engine" in refused(EXAMPLES / "models" / "digits_cnn", out)
    assert "there is no compiler cc: install it (Debian: apt install gcc)" in refused(binary, out, PATH="/nowhere")
    message = refused(binary, out, "--target", "arm64", PATH="/nowhere")
    assert "apt install gcc-aarch64-linux-gnu" in message and "--kind source" in message
    assert "there is no compiler '/no/cc'" in refused(binary, out, "--cc", "/no/cc")
    assert "/bin/false failed (status 1)" in refused(binary, out, "--cc", "/bin/false")
    assert "expected letters, digits and '_'" in refused(binary, out, "--name", "a-b")
    assert "has no output 'other'" in refused(binary, out, "--answer", "other")
    assert "model 'cut'" in refused(CORPUS / "lightgbm/cut.txt", out)
    nowhere = build(binary, tmp_path / "nowhere")
    assert nowhere.returncode == 1 and "nowhere" in nowhere.stderr and "No such file" in nowhere.stderr
    assert build(binary, out, "--kind", "jar").returncode == 2
