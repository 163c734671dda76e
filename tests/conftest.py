import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "harness"))

from harness import EXAMPLES, ONNX, SAMPLES, Server, put_model, put_sample


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The example models, for every test that changes nothing."""
    with Server(tmp_path_factory.mktemp("server"), EXAMPLES / "models", "--log-access") as one:
        yield one


@pytest.fixture(scope="session")
def types(tmp_path_factory):
    """A model for each datatype that answers what it was given."""
    folder = tmp_path_factory.mktemp("types")
    for path in ONNX.glob("identity_*.onnx"):
        put_model(folder / "models", path.stem, path)
    put_model(folder / "models", "add_sub", ONNX / "add_sub.onnx")
    with Server(folder / "server", folder / "models") as one:
        yield one


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    """Triton's sample models, some of which answer a request any number of times."""
    folder = tmp_path_factory.mktemp("samples")
    for name in SAMPLES:
        put_sample(folder / "models", name)
    with Server(folder / "server", folder / "models") as one:
        yield one


@pytest.fixture
def repository(tmp_path):
    """An empty one."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder
