"""The process: signals, crashes, what it tells about itself."""
# covers: cli/serve cli/serve_open cli/serve_reload

import errno
import json
import os
import pathlib
import re
import signal
import socket
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

import harness
from harness import DEADLINE, EXAMPLES, Load, Server, model_file, put_model, wait_for

IRIS = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}]}
TEXT = json.dumps(IRIS).encode()


def children(pid):
    return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_refused(family, address):
    with socket.socket(family) as sock:
        sock.settimeout(DEADLINE)
        return sock.connect_ex(address) == errno.ECONNREFUSED


def test_drain_answers_what_was_accepted(tmp_path):
    """A request whose body is still on its way when SIGTERM comes gets its answer."""
    server = Server(tmp_path, EXAMPLES / "models" / "iris").start()
    head = b"POST /v2/models/iris/infer HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(TEXT)
    socks = [socket.create_connection((server.host, server.port), timeout=DEADLINE) for _ in range(20)]
    for sock in socks:
        sock.sendall(head + TEXT[:20])
    assert server.get("/v2/health/live").status == 200  # the loops have read what came before
    wait_for(lambda: re.search(rb"tern_connections_open(?:\{[^}]*\})? 2[01]", server.get("/metrics").body) or True, "")
    server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: is_refused(socket.AF_INET, (server.host, server.port)), "the drain on every loop")
    for sock in socks:
        sock.sendall(TEXT[20:])
    for sock in socks:
        got = b""
        while part := sock.recv(65536):
            got += part
        assert got.startswith(b"HTTP/1.1 200 "), got
        assert b"\r\nConnection: close\r\n" in got
        sock.close()
    assert server.process.wait(DEADLINE) == 0


@pytest.mark.parametrize("supervise", ["--supervise", "--no-supervise"])
def test_who_comes_while_it_drains_is_refused_at_once(tmp_path, supervise):
    """The supervisor holds the sockets too: what only stopped accepting would keep them waiting."""
    path = tmp_path / "socket"
    listen = ("127.0.0.1:0", f"unix:{path}")
    server = Server(tmp_path, EXAMPLES / "models" / "iris", supervise, listen=listen).start()
    head = b"POST /v2/models/iris/infer HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(TEXT)
    with socket.create_connection((server.host, server.port), timeout=DEADLINE) as slow:
        slow.sendall(head)
        server.get("/v2/health/live")  # the loops have seen the connection
        server.process.send_signal(signal.SIGTERM)
        server.told("server.draining")

        wait_for(lambda: is_refused(socket.AF_INET, (server.host, server.port)), "the TCP port to refuse")
        wait_for(lambda: is_refused(socket.AF_UNIX, str(path)), "the Unix socket to refuse")
        slow.sendall(TEXT)
        slow.settimeout(DEADLINE)
        assert slow.recv(100).startswith(b"HTTP/1.1 200")
    assert server.process.wait(DEADLINE) == 0


def test_drain_under_load(tmp_path):
    """Clients that keep asking see whole answers until the server is gone: never half of one."""
    server = Server(tmp_path, EXAMPLES / "models" / "iris").start()
    with Load(server, "iris", IRIS, clients=8) as clients:
        wait_for(lambda: len(clients.answers) > 200, "some answers")
        assert server.stop() == 0
    whole = [answer for answer in clients.answers if answer[0] is not None]
    broken = [answer for answer in clients.answers if answer[0] is None]
    assert {status for status, _ in whole} <= {200, 503}
    # A connection that the server closed while it was idle, or one that it no longer takes.
    for _, error in broken:
        assert "RemoteDisconnected" in error or "Refused" in error or "Reset" in error or "Broken" in error, error


def test_idle_connections_do_not_hold_up_the_end(tmp_path):
    server = Server(tmp_path, EXAMPLES / "models" / "iris").start()
    socks = [socket.create_connection((server.host, server.port), timeout=DEADLINE) for _ in range(10)]
    connection = server.connect()
    server.get("/v2/health/live", connection=connection)
    assert server.stop() == 0
    for sock in socks:
        sock.close()


def test_hup_looks_at_the_models_again(tmp_path, repository):
    put_model(repository, "iris", model_file("iris"))
    with Server(tmp_path / "server", repository, "--model-control", "poll", "--model-poll-interval", "1h") as server:
        with Load(server, "iris", IRIS) as clients:
            put_model(repository, "more", model_file("diabetes"))
            server.process.send_signal(signal.SIGHUP)
            wait_for(lambda: server.state("more") == "READY", "the new model")
        assert clients.bad() == []


def test_hup_with_a_mistake_changes_nothing(tmp_path):
    config = tmp_path / "tern.yaml"
    config.write_text("log: {level: info}\n")
    with Server(tmp_path / "server", EXAMPLES / "models" / "iris", "--config", str(config)) as server:
        config.write_text("log: {level: loud}\n")
        before = len(server.log())
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: [line for line in server.log()[before:] if line["level"] in ("warn", "error")], "the complaint")
        assert server.infer("iris", IRIS).status == 200


def test_crash_keeps_the_socket(tmp_path):
    with Server(tmp_path, EXAMPLES / "models" / "iris", "--supervise") as server:
        assert server.infer("iris", IRIS).status == 200
        child = children(server.process.pid)[0]
        os.kill(child, signal.SIGSEGV)
        # No connection is refused, at any time: it waits in the socket's queue for the next child.
        end = wait_for(lambda: [c for c in children(server.process.pid) if c != child] and harness.time.monotonic() + 1, "a new child")
        while harness.time.monotonic() < end:
            socket.create_connection((server.host, server.port), timeout=DEADLINE).close()
            try:
                if server.infer("iris", IRIS).status == 200:
                    break
            except (ConnectionResetError, harness.http.client.RemoteDisconnected):
                continue  # it was in the dying child's hands
        wait_for(lambda: server.infer("iris", IRIS).status == 200, "answers of the new child")
        assert server.process.poll() is None
        assert server.stop() == 0


def test_address_in_use(tmp_path):
    with Server(tmp_path, EXAMPLES / "models" / "iris") as server:
        done = subprocess.run(
            [harness.TERN, "serve", str(EXAMPLES / "models"), "--listen", server.address],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
        assert done.returncode == 4, done.stderr


def metrics(server):
    answer = server.get("/metrics")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {family.name: family for family in text_string_to_metric_families(answer.body.decode())}


def resident_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) // 1024


@pytest.mark.skipif("asan" in harness.TERN or "tsan" in harness.TERN, reason="a sanitizer keeps what is freed")
def test_large_bodies_leave_no_memory_behind(tmp_path):
    numbers = {"name": "x", "datatype": "FP32", "shape": [4_000_000, 1], "data": [1] * 4_000_000}
    text = json.dumps({"inputs": [numbers]}).encode()
    with Server(tmp_path, harness.ONNX / "identity_fp32.onnx") as server:
        (child,) = children(server.process.pid)
        before = resident_mib(child)
        for _ in range(8):  # on connections of their own: every event loop sees some
            assert server.infer("identity_fp32", text).status == 200
        wait_for(lambda: resident_mib(child) < before + 48, f"memory near {before} MiB again")


def test_metrics_count_requests(tmp_path):
    with Server(tmp_path, EXAMPLES / "models" / "iris") as server:
        for _ in range(7):
            server.infer("iris", {"inputs": [{**IRIS["inputs"][0], "shape": [2, 4], "data": [1] * 8}]})
        server.infer("iris", b"{")
        families = metrics(server)
        rows = families["tern_model_inferences"].samples
        total = [s.value for s in rows if s.name == "tern_model_inferences_total" and s.labels.get("model") == "iris"]
        assert sum(total) == 14
        assert any(family.type == "histogram" for family in families.values())
        for family in families.values():
            assert family.documentation, family.name


def test_metrics_can_be_turned_off(tmp_path):
    with Server(tmp_path, EXAMPLES / "models" / "iris", "--no-metrics-enabled") as server:
        assert server.get("/metrics").status == 404


def test_access_log_and_traceparent(server):
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = server.infer("iris", IRIS, {"traceparent": f"00-{trace}-b7ad6b7169203331-01", "x-request-id": "from-a-test"})
    assert answer.status == 200
    lines = wait_for(
        lambda: [line for line in server.log() if "from-a-test" in json.dumps(line)], "the access line"
    )
    assert any(trace in json.dumps(line) for line in lines)
    assert any(str(line.get("status")) == "200" and line.get("model") == "iris" for line in lines)


def test_a_log_line_cannot_be_forged(server):
    server.get("/v2/models/x%0a%7b%22level%22:%22error%22%7d")
    server.get("/plain", headers={"User-Agent": "a\x1b[31mb"})
    wait_for(lambda: server.log(), "log lines")  # every line is JSON, or log() fails
    assert "\x1b" not in server.log_file.read_text()


@pytest.mark.parametrize("library", ["/nonexistent/libonnxruntime.so"])
def test_starts_without_onnx_runtime(tmp_path, library):
    flags = ("--engine-onnxruntime-library", library)
    with Server(tmp_path, EXAMPLES / "models" / "iris", *flags, env={"TERN_ONNXRUNTIME": ""}) as server:
        assert server.get("/v2/health/live").status == 200
        assert server.state("iris") == "UNAVAILABLE"
        assert "ONNX Runtime" in server.index()[("iris", "1")]["reason"]


def test_the_server_drains_when_its_parent_is_killed(tmp_path):
    """Nobody would restart an orphan: it answers what it has and goes."""
    server = Server(tmp_path, EXAMPLES / "models" / "iris").start()
    child = children(server.process.pid)[0]
    head = b"POST /v2/models/iris/infer HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(TEXT)
    with socket.create_connection((server.host, server.port), timeout=DEADLINE) as sock:
        sock.sendall(head + TEXT[:20])
        connection = server.connect()
        assert server.get("/v2/health/live", connection=connection).status == 200
        server.process.kill()
        server.process.wait(DEADLINE)
        server.told("server.draining")
        sock.sendall(TEXT[20:])
        got = b""
        while part := sock.recv(65536):
            got += part
    assert got.startswith(b"HTTP/1.1 200 "), got

    def has_ended():
        try:
            return pathlib.Path(f"/proc/{child}/stat").read_text().rsplit(") ", 1)[1][0] == "Z"
        except FileNotFoundError:
            return True

    wait_for(has_ended, "the end of the server")
    assert server.events("server.stopped")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port), timeout=DEADLINE)


def test_signals_reach_the_server_through_its_parent(tmp_path):
    server = Server(tmp_path, EXAMPLES / "models" / "iris").start()
    assert children(server.process.pid)
    server.process.send_signal(signal.SIGHUP)
    server.told("server.reload")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(DEADLINE) == 0
    assert [line["signal"] for line in server.events("server.draining")] == ["Terminated"]
    assert len(server.events("server.stopped")) == 1
