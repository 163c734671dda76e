"""A short soak: `make soak SECONDS=3600` is the whole of it."""

import os
import subprocess
import sys

from harness import TOP

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
