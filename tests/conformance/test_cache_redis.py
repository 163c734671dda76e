"""Answers that servers share through a real Redis, which is killed, stopped and lied to."""

import contextlib
import shutil
import signal
import socket
import subprocess

import pytest
import tritonclient.http

from harness import ONNX, SAMPLES, Load, Server, put_model, put_sample, wait_for

pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server")

CACHED = "response_cache { enable: true }\n"
SECRET = "correct-horse-battery"


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Redis:
    """A redis-server of our own that keeps nothing on disk."""

    def __init__(self, folder, *flags):
        self.folder, self.flags, self.port, self.process = folder, flags, free_port(), None
        folder.mkdir()
        self.start()

    def start(self):
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command += ["--dir", str(self.folder), "--unixsocket", str(self.folder / "socket"), *self.flags]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        wait_for(self.is_up, "Redis")

    def is_up(self):
        assert self.process.poll() is None
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True

    def ask(self, *words):
        command = ["redis-cli", "-p", str(self.port), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


@pytest.fixture
def redis(tmp_path):
    with Redis(tmp_path / "redis") as one:
        yield one


def put_models(folder):
    put_sample(folder, "cached", SAMPLES["identity_fp32"] + CACHED)
    put_sample(folder, "plain", SAMPLES["identity_fp32"])


@contextlib.contextmanager
def serve(folder, name, redis, *flags, put=put_models, up=True, **options):
    put(folder / name / "models")
    flags = ("--cache-redis", f"127.0.0.1,port={redis.port}", *flags)
    with Server(folder / name / "server", folder / name / "models", *flags, **options) as one:
        if up:
            wait_for(lambda: metric(one, "tern_cache_redis_up") == 1, "the connection to Redis")
        yield one


def metric(server, name):
    for line in server.get("/metrics").body.decode().splitlines():
        if line.startswith(name + " "):
            return float(line.rsplit(" ", 1)[1])


def asked(server, result):
    return metric(server, f'tern_cache_redis_requests_total{{result="{result}"}}')


def body_of(*values):
    return {"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [1, len(values)], "data": list(values)}]}


def ask(server, *values, model="cached"):
    answer = server.infer(model, body_of(*values))
    assert answer.status == 200, answer.body
    assert answer.json()["outputs"][0]["data"] == list(values)


def counts(server, model="cached"):
    with tritonclient.http.InferenceServerClient(server.address) as client:
        stats = client.get_inference_statistics(model)["model_stats"][0]
    inference = stats["inference_stats"]
    return stats["execution_count"], inference["cache_hit"]["count"], inference["cache_miss"]["count"]


def test_servers_share_their_answers(tmp_path, redis):
    with serve(tmp_path, "a", redis) as a, serve(tmp_path, "b", redis) as b:
        ask(a, 1, 2, 3)
        wait_for(lambda: metric(a, "tern_cache_redis_puts_total") == 1, "the answer to be shared")
        ask(b, 1, 2, 3)
        assert counts(a) == (1, 0, 1) and counts(b) == (0, 1, 0)
        ask(b, 1, 2, 4)
        assert counts(b) == (1, 1, 1)
        ask(a, 1, 2, 3, model="plain")
        assert len(redis.ask("KEYS", "*")) == 2
    with serve(tmp_path, "c", redis) as c:  # a later one too
        ask(c, 1, 2, 4)
        assert counts(c) == (0, 1, 0)


def test_what_redis_knows_is_then_in_memory(tmp_path, redis):
    with serve(tmp_path, "a", redis) as a, serve(tmp_path, "b", redis, "--cache-local-size", "1MiB") as b:
        ask(a, 5)
        wait_for(lambda: metric(a, "tern_cache_redis_puts_total") == 1, "the answer to be shared")
        for _ in range(3):
            ask(b, 5)
        assert counts(b) == (0, 3, 0) and asked(b, "found") == 1
        redis.kill()
        ask(b, 5)
        assert counts(b) == (0, 4, 0)


def test_another_model_of_that_name_has_other_answers(tmp_path, redis):
    """Triton's key is a name and a version, whatever they stand for."""

    def put(source):
        return lambda folder: put_model(folder, "m", ONNX / f"{source}.onnx", config=CACHED)

    with serve(tmp_path, "a", redis, put=put("identity_fp32")) as a:
        meta = a.get("/v2/models/m").json()
        name = meta["inputs"][0]["name"]
        body = {"inputs": [{"name": name, "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
        assert a.infer("m", body).status == 200
        wait_for(lambda: metric(a, "tern_cache_redis_puts_total") == 1, "the answer to be shared")
    changed = tmp_path / "changed.onnx"
    changed.write_bytes((ONNX / "identity_fp32.onnx").read_bytes() + b"\x12\x00")  # another producer_name

    with serve(tmp_path, "b", redis, put=lambda folder: put_model(folder, "m", changed, config=CACHED)) as b:
        assert b.infer("m", body).status == 200
        assert counts(b, "m") == (1, 0, 1)
    with serve(tmp_path, "c", redis, put=put("identity_fp32")) as c:
        assert c.infer("m", body).status == 200
        assert counts(c, "m") == (0, 1, 0)


def test_redis_killed_in_the_middle_of_traffic(tmp_path, redis):
    with serve(tmp_path, "a", redis) as a:
        with Load(a, "cached", body_of(1, 2, 3), clients=3) as load:
            wait_for(lambda: asked(a, "found") > 20, "hits")
            redis.kill()
            before = counts(a)[0]
            wait_for(lambda: counts(a)[0] > before + 20, "answers without Redis")
            a.told("cache.redis.down")
            redis.start()
            wait_for(lambda: metric(a, "tern_cache_redis_up") == 1, "Redis again")
            hits = asked(a, "found")
            wait_for(lambda: asked(a, "found") > hits + 20, "hits again")
        assert load.bad() == []
        assert len(a.told("cache.redis.up", 2)) == 2 and len(a.events("cache.redis.down")) == 1


def test_redis_that_hangs(tmp_path, redis):
    """Nobody waits longer than the timeout, and after the first ones nobody waits at all."""
    with serve(tmp_path, "a", redis) as a:
        ask(a, 1)
        wait_for(lambda: metric(a, "tern_cache_redis_puts_total") == 1, "the answer to be shared")
        redis.process.send_signal(signal.SIGSTOP)
        try:
            for value in range(5):
                ask(a, value)
            wait_for(lambda: metric(a, "tern_cache_redis_up") == 0, "the breaker")
            failed = asked(a, "failed")
            for value in range(20):
                ask(a, value)
            assert asked(a, "failed") == failed
        finally:
            redis.process.send_signal(signal.SIGCONT)
        wait_for(lambda: metric(a, "tern_cache_redis_up") == 1, "Redis again")
        ask(a, 1)
        assert asked(a, "found") >= 1


def test_redis_that_is_not_there(tmp_path):
    class Nowhere:
        port = free_port()

    with serve(tmp_path, "a", Nowhere, up=False) as a:
        for _ in range(3):
            ask(a, 1)
        assert counts(a) == (3, 0, 3)
        assert "refused" in a.told("cache.redis.down")[0]["error"]


@pytest.mark.parametrize("lie", ["", "TRN1", "x" * 200, "cut", "longer", "turned", "other"])
def test_values_that_lie(tmp_path, redis, lie):
    with serve(tmp_path, "a", redis) as a:
        ask(a, 7)
        ask(a, 8)
        wait_for(lambda: metric(a, "tern_cache_redis_puts_total") == 2, "the answers to be shared")
        keys = redis.ask("KEYS", "*")
        for key in keys:
            if lie == "cut":
                redis.ask("EVAL", "redis.call('SET', KEYS[1], redis.call('GET', KEYS[1]):sub(1, -2))", "1", key)
            elif lie == "longer":
                redis.ask("APPEND", key, "!")
            elif lie == "turned":  # the datatype
                redis.ask("SETRANGE", key, "36", "\x02")
            elif lie != "other":
                redis.ask("SET", key, lie)
        if lie == "other":  # one's answer under the name of the other
            redis.ask("EVAL", "redis.call('SET', KEYS[1], redis.call('GET', KEYS[2]))", "2", *keys)
            redis.ask("DEL", keys[1])
        ask(a, 7)
        ask(a, 8)
        assert counts(a) == (4, 0, 4)


def test_passwords(tmp_path):
    with Redis(tmp_path / "redis", "--requirepass", SECRET) as redis:
        with serve(tmp_path, "none", redis, up=False) as a:
            assert "NOAUTH" in a.told("cache.redis.down")[0]["error"]
            ask(a, 1)
        wrong = ("--cache-redis", f"127.0.0.1,port={redis.port},password=wrong-password")
        put_models(tmp_path / "wrong" / "models")
        with Server(tmp_path / "wrong" / "server", tmp_path / "wrong" / "models", *wrong) as a:
            assert "WRONGPASS" in a.told("cache.redis.down")[0]["error"]
            assert "wrong-password" not in a.log_file.read_text()
        (tmp_path / "secret").write_text(SECRET + "\n")
        right = ("--cache-redis", f"{tmp_path / 'redis' / 'socket'},password_file={tmp_path / 'secret'},database=3")
        put_models(tmp_path / "right" / "models")
        with Server(tmp_path / "right" / "server", tmp_path / "right" / "models", *right) as a:
            a.told("cache.redis.up")
            ask(a, 1)
            wait_for(lambda: metric(a, "tern_cache_redis_puts_total") == 1, "the answer to be shared")
            assert SECRET not in a.log_file.read_text()


def test_tritons_flags_and_variables(tmp_path):
    with Redis(tmp_path / "redis", "--requirepass", SECRET) as redis:
        put_models(tmp_path / "models")
        flags = ["--persona", "triton", "--allow-http=false", "--allow-grpc=false", "--allow-metrics=false"]
        flags += ["--cache-config=redis,host=127.0.0.1", f"--cache-config=redis,port={redis.port}"]
        by_flag = ["--cache-config", f"redis,password={SECRET}"]
        for more, env, expected in (
            (by_flag, {"TRITONCACHE_REDIS_PASSWORD": "wrong"}, (1, 0, 1)),
            ([], {"TRITONCACHE_REDIS_PASSWORD": SECRET}, (0, 1, 0)),
        ):
            with Server(tmp_path / "server", tmp_path / "models", *flags, *more, env=env) as a:
                wait_for(lambda: metric(a, "tern_cache_redis_up") == 1, "the connection")
                ask(a, 1)
                assert counts(a) == expected
                wait_for(lambda: metric(a, "tern_cache_redis_puts_total") == expected[0], "the answer to be shared")
                assert SECRET not in a.log_file.read_text()


def test_answers_do_not_stay_for_ever(tmp_path, redis):
    put_models(tmp_path / "models")
    for flags, expected in ((",ttl=1h", range(1, 3601)), (",ttl=0", [-1])):
        redis.ask("FLUSHALL")
        flags = ("--cache-redis", f"127.0.0.1,port={redis.port}{flags}")
        with Server(tmp_path / "server", tmp_path / "models", *flags) as a:
            wait_for(lambda: metric(a, "tern_cache_redis_up") == 1, "the connection")
            ask(a, 1)
            wait_for(lambda: metric(a, "tern_cache_redis_puts_total") == 1, "the answer to be shared")
            assert int(redis.ask("TTL", redis.ask("KEYS", "*")[0])[0]) in expected
