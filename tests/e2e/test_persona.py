"""The persona of Triton: tritonserver's command line, ports, statuses and restrictions."""
# covers: cli/persona_triton cli/triton_flags cli/guard front/dialects front/restrict

import http.client
import json
import os
import subprocess

import pytest
import tritonclient.http as tritonclient
from tritonclient.utils import InferenceServerException

from harness import DEADLINE, EXAMPLES, TERN, Answer, Server, put_model, wait_for

IRIS = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}]}
LOCAL = ["--http-address=127.0.0.1", "--grpc-address=127.0.0.1", "--http-port=0", "--grpc-port", "0", "--metrics-port=0"]


class Triton(Server):
    """Started by flags of Triton's alone, but for the files that tests wait for."""

    def __init__(self, folder, *flags, command=(TERN, "serve", "--persona", "triton"), env=None):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.ready_file = folder / "ready"
        self.log_file = folder / "log"
        self.process = subprocess.Popen(
            [*command, *LOCAL, *flags, "--ready-file", str(self.ready_file), "--log-format=json"],
            stdin=subprocess.DEVNULL,
            stdout=open(self.log_file, "ab"),
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
        )

    def start(self):
        super().start()
        self.ports = [int(address.rsplit(":", 1)[1]) for address in self.addresses]
        return self

    def ask(self, port, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        connection.close()
        return answer


@pytest.fixture(scope="module")
def triton(tmp_path_factory):
    folder = tmp_path_factory.mktemp("triton")
    with Triton(folder, f"--model-repository={EXAMPLES / 'models'}", "--pinned-memory-pool-byte-size=1", "--id", "x") as one:
        yield one


def test_a_port_says_what_it_speaks(triton):
    speaks = [line["speaks"] for line in triton.told("server.listening", 3)]
    assert ["oip" in names.split(",") for names in speaks] == [True, False, False]
    assert ["oip_grpc" in names.split(",") for names in speaks] == [False, True, False]


def test_commands_say_that_a_port_is_not_for_them(triton):
    for port in triton.ports[1:]:
        for command in (["models"], ["bench", "iris"], ["infer", str(EXAMPLES / "data" / "iris.csv"), "--model", "iris"]):
            done = subprocess.run(
                [TERN, *command, "--url", f"http://127.0.0.1:{port}"], capture_output=True, text=True, timeout=DEADLINE
            )
            assert done.returncode != 0 and "Name the one for HTTP" in done.stderr


def test_each_port_speaks_its_own(triton):
    http_port, grpc_port, metrics_port = triton.ports
    assert triton.infer("iris", IRIS).status == 200
    assert triton.ask(metrics_port, "GET", "/metrics").status == 200
    assert b"nv_inference_request_success" in triton.ask(metrics_port, "GET", "/metrics").body
    for port, path in [(http_port, "/metrics"), (metrics_port, "/v2"), (http_port, "/livez")]:
        assert triton.ask(port, "GET", path).status == 404
    assert triton.ask(grpc_port, "GET", "/v2/health/live").status == 501  # a method that gRPC does not have
    for path in ["/inference.GRPCInferenceService/ServerLive", "/grpc.health.v1.Health/Check"]:
        answer = triton.ask(http_port, "POST", path, headers={"Content-Type": "application/json"})
        assert answer.status == 404
        assert "no such path" in answer.json()["error"]


def test_the_risk_and_what_has_no_effect_are_told(triton):
    assert triton.told("server.persona")[0]["level"] == "warn"
    (told,) = triton.told("server.persona_flags")
    assert told["flags"] == "--pinned-memory-pool-byte-size"


def test_load_is_reported_to_who_asks(triton):
    assert "endpoint-load-metrics" not in triton.infer("iris", IRIS).headers
    report = triton.infer("iris", IRIS, headers={"endpoint-load-metrics-format": "text"}).headers["endpoint-load-metrics"]
    assert report.startswith("TEXT cpu_utilization=")
    report = triton.infer("iris", IRIS, headers={"endpoint-load-metrics-format": "json"}).headers["endpoint-load-metrics"]
    assert report.startswith("JSON ")
    assert 0 <= json.loads(report[5:])["cpu_utilization"] <= 1.01


def test_models_are_controlled_from_outside(tmp_path):
    flags = [f"--model-store={EXAMPLES / 'models'}", "--model-control-mode", "explicit", "--load-model=iris"]
    with Triton(tmp_path, *flags) as server:
        assert server.get("/v2/models/iris/ready").status == 200
        assert server.call("POST", "/v2/repository/models/iris/unload").status == 200
        wait_for(lambda: server.get("/v2/models/iris/ready").status != 200, "the model to go")


def test_not_ready_is_400_without_a_body(tmp_path):
    put_model(tmp_path / "models", "broken", b"not a model")
    with Triton(tmp_path / "server", f"--model-repository={tmp_path / 'models'}", "--exit-on-error=false") as server:
        answer = server.get("/v2/health/ready")
        assert (answer.status, answer.body) == (400, b"")
        assert server.get("/v2/health/live").status == 200
        for model in ["broken", "nowhere"]:
            answer = server.get(f"/v2/models/{model}/ready")
            assert (answer.status, answer.body) == (400, b"")


def test_a_broken_model_ends_the_start(tmp_path):
    put_model(tmp_path / "models", "broken", b"not a model")
    server = Triton(tmp_path / "server", f"--model-repository={tmp_path / 'models'}")
    assert server.process.wait(DEADLINE) == 1
    assert "1 of 1 models could not be loaded" in server.log_file.read_text()


def test_restricted_apis(tmp_path):
    secret = "open,sesame"
    flags = [
        f"--model-repository={EXAMPLES / 'models'}",
        f"--http-restricted-api=model-repository,model-config:admin-key={secret}",
        "--http-restricted-api=inference:infer-key=other",
        "--log-verbose=1",
    ]
    with Triton(tmp_path, *flags) as server:
        for path in ["/v2/repository/index", "/v2/repository/models/iris/load"]:
            answer = server.call("POST", path, headers={"Expect": "100-continue"})
            assert answer.status == 403
            assert answer.json() == {"error": "This API is restricted, expecting header 'admin-key'"}
        assert server.get("/v2/models/iris/config").status == 403
        assert server.get("/v2/models/iris/config", headers={"Admin-Key": "open"}).status == 403
        assert server.get("/v2/models/iris/config", headers={"Admin-Key": secret}).status == 200
        assert server.infer("iris", IRIS).status == 403
        assert server.infer("iris", IRIS, headers={"infer-key": "other"}).status == 200
        assert server.get("/v2/health/ready").status == 200
        with tritonclient.InferenceServerClient(server.address) as client:
            with pytest.raises(InferenceServerException, match="This API is restricted, expecting header 'admin-key'"):
                client.load_model("iris")
            rows = client.get_model_repository_index(headers={"admin-key": secret})
            assert "iris" in [row["name"] for row in rows]
        assert secret not in server.log_file.read_text()


def test_a_secret_from_a_file(tmp_path):
    (tmp_path / "secret").write_text("from a file\nsecond line\n")
    rule = f"--restrict=metadata,header=x-key,value_file={tmp_path / 'secret'}"
    with Server(tmp_path / "server", EXAMPLES / "models" / "iris", rule) as server:
        assert server.get("/v2").status == 403
        assert server.get("/v2", headers={"x-key": "from a file"}).status == 200
        assert server.get("/v2", headers={"x-key": "from a file\tsecond line"}).status == 403


def test_a_listener_speaks_what_it_is_told(tmp_path):
    listen = ("127.0.0.1:0,dialects=oip", "127.0.0.1:0,dialects=admin", "127.0.0.1:0")
    with Server(tmp_path, EXAMPLES / "models" / "iris", listen=listen) as server:
        got = []
        for address in server.addresses:
            server.host, port = address.split("://")[1].rsplit(":", 1)
            server.port = int(port)
            got.append([server.get(path).status for path in ("/v2", "/livez", "/")])
        assert got == [[200, 404, 404], [404, 200, 200], [200, 200, 200]]


def test_under_the_name_of_tritonserver(tmp_path):
    program = tmp_path / "tritonserver"
    program.symlink_to(os.path.abspath(TERN))
    told = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=DEADLINE)
    assert told.returncode == 0
    assert "--model-repository" in told.stdout and "--allow-sagemaker" in told.stdout
    flags = [f"--model-repository={EXAMPLES / 'models'}"]
    with Triton(tmp_path / "server", *flags, command=[program]) as server:
        assert server.infer("iris", IRIS).status == 200
        # options are read again by SIGHUP, in the same form
        server.process.send_signal(1)
        server.told("server.reload")
        assert server.infer("iris", IRIS).status == 200


@pytest.mark.parametrize(
    "flags, said",
    [
        (["--allow-sagemaker=true"], "flag --allow-sagemaker: SageMaker's endpoints are not served yet."),
        (["--http-prt=1"], "flag --http-prt: no such option, did you mean --http-port?"),
        (["--http-restricted-api=helth:k=sesame"], 'no such family of operations: "helth"'),
        (["--http-header-forward-pattern=(("], "http.header_forward: the pattern"),
        (["--listen=127.0.0.1:0,dialects=oip+soap"], 'no such dialect: "soap", expected of: oip'),
    ],
)
def test_mistakes_are_told_with_their_flag(flags, said):
    got = subprocess.run([TERN, "serve", "--persona=triton", "/", *flags], capture_output=True, text=True, timeout=DEADLINE)
    assert got.returncode == 2
    assert said in got.stderr
    assert "sesame" not in got.stderr


def test_the_same_server_as_a_file(tmp_path):
    flags = ["--model-repository=/m", "--http-port=81", "--model-control-mode=poll", "--http-restricted-api=health:a=sesame"]
    got = subprocess.run([TERN, "config", "--persona=triton", *flags], capture_output=True, text=True, timeout=DEADLINE)
    assert got.returncode == 0
    assert "model.control: poll" in got.stdout and "0.0.0.0:81,admin,dialects=oip" in got.stdout
    assert "sesame" not in got.stdout
    # What was not shown is missed, not taken for the secret.
    (tmp_path / "tern.yaml").write_text(got.stdout)
    again = subprocess.run([TERN, "config"], cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE)
    assert again.returncode == 2
    assert "stands for one that was not shown" in again.stderr
