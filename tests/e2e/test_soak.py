"""A short soak: `make soak SECONDS=3600` is the whole of it. And that it would see what it looks for."""

import os
import subprocess
import sys
import types

from harness import TOP

sys.path.insert(0, str(TOP / "tests/soak"))

from ledger import Ledger, Sum
from watch import growth

SECONDS = 12


def test_a_short_soak():
    done = subprocess.run(
        [sys.executable, TOP / "tests/soak/soak.py"],
        env={**os.environ, "TERN_SOAK_SECONDS": str(SECONDS)},
        capture_output=True,
        text=True,
        timeout=SECONDS + 120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_ledger_sees_everything():
    ledger = Ledger("c")
    first, second, third = ledger.open("m"), ledger.open("m"), ledger.open("m")
    ledger.end(first, "ok")
    ledger.end(first, "ok")
    ledger.end(second, "status 500")
    part = ledger.close()
    assert part["wrong"] == [
        f"c: request {first} ended again: ok",
        "c: m: status 500",
        f"c: request {third} for m never ended",
    ]
    total = Sum()
    total.add(part)
    assert total.wrong == part["wrong"] and total.ends["m", "ok"] == 1


def test_memory_that_grows_is_seen():
    def samples(rss):
        return [types.SimpleNamespace(at=i, rss=rss(i)) for i in range(400)]

    assert abs(growth(samples(lambda i: 50 + i % 7))) < 1
    assert growth(samples(lambda i: 50 + i / 10)) == 10
