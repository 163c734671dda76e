"""The clients of KServe's Python SDK (kserve_client.py)."""

import sys

import pytest

from foreign import CONFORMANCE, expect, names, run


@pytest.fixture(scope="module")
def results(several):
    script = CONFORMANCE / "kserve_client.py"
    return run([sys.executable, script, several.plain, several.tls, several.kserve, several.cert])


@pytest.mark.parametrize("name", names("kserve_client.py"))
def test_kserve(results, name):
    expect(results, name)
