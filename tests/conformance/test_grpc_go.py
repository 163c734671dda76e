"""grpc-go, with messages that it makes from what reflection answers (go/main.go)."""

import pytest

from foreign import expect, go, names, run


@pytest.fixture(scope="module")
def results(several):
    return run([go("."), several.plain, several.tls, several.cert])


@pytest.mark.parametrize("name", names("go/main.go"))
def test_grpc_go(results, name):
    expect(results, name)
