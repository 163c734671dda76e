"""`tern tune`, with a model whose cost is known: what helps it is found, and nothing is left behind."""
# covers: cli/tune cli/tune_measure cli/tune_options cli/tune_report cli/tune_server

import json
import os
import signal
import subprocess

import pytest

from harness import DEADLINE, TERN, put_sample, tensors

# 8 ms a run, for one row as for four: four times as much by batches, and again by four instances.
SLOW = (
    'backend: "identity" max_batch_size: 4\n'
    + tensors("input", ("INPUT0", "FP32", 4))
    + tensors("output", ("OUTPUT0", "FP32", 4))
    + 'parameters { key: "execute_delay_us" value { string_value: "8000" } }\n'
)


@pytest.fixture
def models(tmp_path):
    put_sample(tmp_path / "models", "slow", SLOW)
    return tmp_path / "models"


@pytest.fixture
def scratch(tmp_path):
    """Where the command keeps its temporary files: empty afterwards."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == []


def start(scratch, *args):
    environment = {**os.environ, "TMPDIR": str(scratch)}
    return subprocess.Popen(
        [TERN, "tune", *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def finish(process):
    out, err = process.communicate(timeout=DEADLINE + 60)
    return process.returncode, out, err


def test_what_helps_is_found(models, scratch):
    before = (models / "slow/config.pbtxt").read_text()
    flags = ["--quick", "--duration", "400ms", "--instances", 4, "--slo", "80ms", "--output", "json"]
    status, out, err = finish(start(scratch, models, *flags))
    assert status == 0, err
    found = json.loads(out)
    rates = {row["setting"]: row["rate"] for row in found["settings"]}
    assert all(row["problem"] == "" for row in found["settings"])
    best = found["recommended"]
    assert "instance_group [ { count: " in best["config"]
    assert rates["no batches"] < rates["nothing configured"] < best["rate"]
    assert found["gain"] > found["spread"] and found["repeats"] == 2
    assert [row["rate"] for row in found["settings"]] == sorted(rates.values(), reverse=True)
    assert found["front"] and "s left)" in err
    assert (models / "slow/config.pbtxt").read_text() == before


def test_nothing_is_recommended_without_a_reason(models, scratch):
    flags = ["--quick", "--duration", "400ms", "--instances", 1, "--rate", 20]
    status, out, err = finish(start(scratch, models / "slow", *flags))
    assert status == 0, err
    assert "at 20 requests a second by chance" in out
    assert "nothing configured" in out and "CPU" in out


def test_ctrl_c_prints_what_is_known(models, scratch):
    process = start(scratch, models, "slow", "--duration", "1s")
    for line in process.stderr:
        if line.startswith("setting 2/"):
            break
    process.send_signal(signal.SIGINT)
    status, out, err = finish(process)
    assert status == 1 and "stopped" in err
    assert "nothing configured" in out and "Nothing is recommended" in out
    children = subprocess.run(["pgrep", "-f", str(scratch)], capture_output=True, text=True).stdout
    assert children == ""


@pytest.mark.parametrize(
    "args, text",
    [
        (["nowhere"], "nowhere"),
        (["models"], "2 models: say which"),
        (["models", "absent"], "no model 'absent'"),
    ],
)
def test_mistakes(models, scratch, args, text):
    put_sample(models, "second", SLOW)
    status, out, err = finish(start(scratch, models.parent / args[0], *args[1:]))
    assert status in (1, 2) and out == ""
    assert text in err
