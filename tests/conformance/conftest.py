import subprocess

import pytest

from harness import SAMPLES, Server, model_file, put_model, put_sample

SLOW = SAMPLES["identity_fp32"] + 'parameters { key: "execute_delay_ms" value { string_value: "600000" } }\n'
TEMPLATE = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"


class Several(Server):
    """A server with a listener of each kind."""

    def start(self):
        super().start()
        self.plain, self.tls, self.kserve = (address.split("://")[1] for address in self.addresses)
        return self


@pytest.fixture(scope="session")
def several(tmp_path_factory):
    """What clients that we did not write ask: sample models, one that takes ten minutes, an ONNX model;
    a listener with TLS and one in KServe's form; bodies of 8 MiB at most; one origin of pages."""
    folder = tmp_path_factory.mktemp("several")
    for name in SAMPLES:
        put_sample(folder / "models", name)
    put_sample(folder / "models", "slow", SLOW)
    put_model(folder / "models", "iris", model_file("iris"))
    key, cert = folder / "key.pem", folder / "cert.pem"
    alternatives = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(
        TEMPLATE.split() + alternatives + ["-keyout", str(key), "-out", str(cert)], check=True, capture_output=True
    )
    listen = ("127.0.0.1:0,admin", f"127.0.0.1:0,cert={cert},key={key}", "127.0.0.1:0,admin,grpc_form=kserve")
    flags = ("--http-body-max", "8MiB", "--shm-enabled", "--http-cors-origins", "https://app.example")
    with Several(folder / "server", folder / "models", *flags, listen=listen) as one:
        one.cert = cert
        yield one
