"""gRPC-Web as pages speak it (js/grpc_web.mjs)."""

import os
import pathlib
import subprocess
import sys

import pytest

import grpc_tools
from foreign import expect, names, node, run
from harness import TOP


@pytest.fixture(scope="module")
def results(several, tmp_path_factory):
    descriptors = tmp_path_factory.mktemp("api") / "descriptors"
    api, common = TOP / "api", pathlib.Path(grpc_tools.__file__).parent / "_proto"
    files = [api / "grpc_service.proto", api / "grpc" / "health" / "v1" / "health.proto"]
    command = [sys.executable, "-m", "grpc_tools.protoc", "--include_imports", f"--descriptor_set_out={descriptors}"]
    subprocess.run([*command, f"-I{api}", f"-I{common}", *files], check=True)
    command = [*node("grpc_web.mjs"), descriptors, several.plain, several.tls]
    return run(command, env={**os.environ, "NODE_EXTRA_CA_CERTS": str(several.cert)})


@pytest.mark.parametrize("name", names("js/grpc_web.mjs"))
def test_grpc_web(results, name):
    expect(results, name)
