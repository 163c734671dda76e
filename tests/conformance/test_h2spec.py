"""HTTP/2 as the RFCs have it: every case of h2spec, the strict ones too, against a listener that also
speaks HTTP/1.1, and over TLS."""

import subprocess

import pytest

from foreign import go
from harness import DEADLINE

CASES = 146


@pytest.fixture(scope="session")
def h2spec():
    return go("github.com/summerwind/h2spec/cmd/h2spec")


@pytest.mark.parametrize("tls", [False, True])
def test_h2spec(several, h2spec, tls):
    host, port = (several.tls if tls else several.plain).rsplit(":", 1)
    # A route that reads bodies: others answer a POST at its head, before what is wrong behind it came.
    command = [h2spec, "--strict", "--host", host, "--port", port, "--path", "/v2/repository/index"]
    command += ["--timeout", str(int(DEADLINE))] + (["--tls", "--insecure"] if tls else [])
    done = subprocess.run(command, capture_output=True, text=True)
    failures = done.stdout.rpartition("Failures:")[2]
    assert f"{CASES} tests, {CASES} passed, 0 skipped, 0 failed" in done.stdout, failures
    assert several.get("/v2/health/live").status == 200
