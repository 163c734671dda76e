"""@grpc/grpc-js with stubs that it makes from the files of api/ (js/grpc_js.mjs)."""

import pytest

from foreign import expect, names, node, run
from harness import TOP


@pytest.fixture(scope="module")
def results(several):
    command = node("grpc_js.mjs")
    return run([*command, TOP / "api", several.plain, several.tls, several.cert])


@pytest.mark.parametrize("name", names("js/grpc_js.mjs"))
def test_grpc_js(results, name):
    expect(results, name)
