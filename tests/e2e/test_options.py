"""Options that bound or change what the network takes: each is set, and shows; also by SIGHUP."""

import gzip
import json
import os
import pathlib
import random
import signal
import socket
import ssl
import struct
import subprocess

import pytest

from harness import DEADLINE, EXAMPLES, Server, model_file, put_model, wait_for

IRIS = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}]}

LIMITS = (
    "--http-head-max=2KiB --http-field-max=500 --http-fields-max=10 --http-uri-max=300 --http-expand-max=10"
    " --http-compression-min=200 --json-depth-max=20 --http2-streams-max=7 --http2-stream-window=100KiB"
    " --http2-connection-window=200KiB --http2-control-rate-max=20 --http2-glitches-max=8"
).split()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A server with limits of its own, all far from the defaults."""
    with Server(tmp_path_factory.mktemp("small"), EXAMPLES / "models" / "iris", *LIMITS) as one:
        yield one


def ask(server, text):
    got = server.raw(text + b"Connection: close\r\n\r\n")
    return int(got[9:12])


START = b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n"


# What is just inside the small limit, what is above it but inside the default one, and the refusal.
@pytest.mark.parametrize(
    "inside, outside, status",
    [
        (START + b"X: %s\r\n" % (b"v" * 490), START + b"X: %s\r\n" % (b"v" * 510), 431),
        (START + b"X: 1\r\n" * 7, START + b"X: 1\r\n" * 9, 431),
        (START + (b"X: %s\r\n" % (b"v" * 400)) * 4, START + (b"X: %s\r\n" % (b"v" * 400)) * 6, 431),
        (
            b"GET /v2/health/live?%s HTTP/1.1\r\nHost: a\r\n" % (b"q" * 280),
            b"GET /v2/health/live?%s HTTP/1.1\r\nHost: a\r\n" % (b"q" * 290),
            414,
        ),
    ],
    ids=["field_max", "fields_max", "head_max", "uri_max"],
)
def test_limits_of_a_head(server, small, inside, outside, status):
    assert ask(small, inside) == 200
    assert ask(small, outside) == status
    assert ask(server, outside) == 200


def test_a_head_may_be_larger_than_the_default(tmp_path):
    flags = ("--http-head-max", "128KiB", "--http-field-max", "64KiB", "--http-uri-max", "64KiB")
    with Server(tmp_path, EXAMPLES / "models" / "iris", *flags) as one:
        assert ask(one, START + b"X: %s\r\nY: %s\r\n" % (b"v" * 60000, b"w" * 60000)) == 200
        assert ask(one, b"GET /v2/health/live?%s HTTP/1.1\r\nHost: a\r\n" % (b"q" * 60000)) == 200


def test_json_depth_max(server, small):
    nested = {**IRIS, "more": json.loads("[" * 30 + "]" * 30)}
    assert server.infer("iris", nested).status == 200
    answer = small.infer("iris", nested)
    assert answer.status == 400 and "limit (20)" in answer.json()["error"]


def test_expand_max(server, small):
    dice = random.Random(7)
    blanks = "".join(dice.choice(" \n\t") * dice.randint(10, 100) for _ in range(24000))
    body = json.dumps(IRIS) + blanks
    packed = gzip.compress(body.encode())
    assert 10 < len(body) / len(packed) < 100 and len(body) > 1 << 20
    coded = {"Content-Encoding": "gzip"}
    assert server.infer("iris", packed, coded).status == 200
    assert small.infer("iris", packed, coded).status == 413
    assert small.infer("iris", body).status == 200


def test_compression(tmp_path, server, small):
    def coding(one, rows):
        tensor = {**IRIS["inputs"][0], "shape": [rows, 4], "data": [5.1, 3.5, 1.4, 0.2] * rows}
        answer = one.infer("iris", {"inputs": [tensor]}, {"Accept-Encoding": "gzip"})
        assert answer.status == 200
        return answer.headers["Content-Encoding"]

    assert (coding(server, 9), coding(small, 9)) == (None, "gzip")  # some 500 bytes
    with Server(tmp_path, EXAMPLES / "models" / "iris", "--no-http-compression") as one:
        assert (coding(server, 90), coding(one, 90)) == ("gzip", None)


class Http2:
    """Frames by hand."""

    def __init__(self, server):
        self.sock = socket.create_connection((server.host, server.port), timeout=DEADLINE)
        self.sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.send(4, 0, 0, b"")

    def send(self, kind, flags, stream, payload):
        self.sock.sendall(struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload)

    def read(self, n):
        got = b""
        while len(got) < n:
            part = self.sock.recv(n - len(got))
            if not part:
                raise EOFError
            got += part
        return got

    def frame(self):
        head = self.read(9)
        payload = self.read(int.from_bytes(head[:3], "big"))
        return head[3], head[4], int.from_bytes(head[5:], "big"), payload

    def wait(self, kind):
        while True:
            frame = self.frame()
            if frame[0] == kind and not (kind == 4 and frame[1] & 1):
                return frame


def settings(server):
    """What the server announces, and the window of the connection."""
    peer = Http2(server)
    payload = peer.wait(4)[3]
    found = dict(struct.unpack(">HI", payload[at : at + 6]) for at in range(0, len(payload), 6))
    found["connection"] = 65535 + int.from_bytes(peer.wait(8)[3], "big")
    peer.sock.close()
    return found


def test_http2_settings(server, small):
    # MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_HEADER_LIST_SIZE (RFC 9113 6.5.2)
    assert settings(server) == {3: 100, 4: 1 << 20, 6: 32 << 10, "connection": 1 << 20}
    assert settings(small) == {3: 7, 4: 100 << 10, 6: 2 << 10, "connection": 200 << 10}


def goaway_after(server, send, n):
    """The code of the GOAWAY that n abuses bring about, None for none."""
    peer = Http2(server)
    for i in range(n):
        send(peer, i)
    peer.send(6, 0, 0, b"the last")
    while True:
        kind, flags, _, payload = peer.frame()
        if kind == 7:
            return int.from_bytes(payload[4:8], "big")
        if kind == 6 and flags & 1 and payload == b"the last":
            return None


def ping(peer, i):
    peer.send(6, 0, 0, struct.pack(">Q", i))


def reset(peer, i):
    peer.send(1, 4, 2 * i + 1, b"\x82\x84\x86\x41\x01h")  # GET / of http://h, not ended
    peer.send(3, 0, 2 * i + 1, struct.pack(">I", 8))


def test_http2_abuse(server, small):
    assert goaway_after(server, ping, 40) is None
    assert goaway_after(small, ping, 40) == 11  # ENHANCE_YOUR_CALM
    assert goaway_after(server, reset, 12) is None
    assert goaway_after(small, reset, 12) is not None


def test_tls_version_min(tmp_path):
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subprocess.run(command.split() + files, check=True, capture_output=True)
    listen = f"127.0.0.1:0,cert={tmp_path}/cert.pem,key={tmp_path}/key.pem"
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    for oldest in ("1.2", "1.3"):
        with Server(tmp_path / oldest, EXAMPLES / "models" / "iris", "--tls-version-min", oldest, listen=(listen,)) as one:
            with socket.create_connection((one.host, one.port), timeout=DEADLINE) as sock:
                if oldest == "1.2":
                    assert client.wrap_socket(sock).version() == "TLSv1.2"
                else:
                    with pytest.raises((ssl.SSLError, ConnectionError)):
                        client.wrap_socket(sock)


def test_hup_applies_what_it_can(tmp_path):
    """Every kind of option that a running server takes, and the name of one that it does not."""
    config = tmp_path / "tern.yaml"
    config.write_text("http: {uri_max: 8KiB}\n")
    nested = {**IRIS, "more": json.loads("[" * 30 + "]" * 30)}
    target = b"GET /v2/health/live?%s HTTP/1.1\r\nHost: a\r\n" % (b"q" * 400)
    flags = ("--config", str(config), "--model-control", "poll", "--no-supervise")
    with Server(tmp_path / "server", EXAMPLES / "models" / "iris", *flags) as one:
        kept = Http2(one)
        assert one.infer("iris", nested).status == 200 and ask(one, target) == 200
        config.write_text(
            "http: {uri_max: 300, body_max: 2KiB, compression_min: 100}\njson: {depth_max: 20}\nlog: {access: true}\n"
            "http2: {streams_max: 7, control_rate_max: 20}\nrequest: {timeout: 7s}\nloops: 3\n"
        )
        one.process.send_signal(signal.SIGHUP)
        done = one.told("server.options_changed")
        assert set(done[0]["options"].split(", ")) == {
            "http.uri_max", "http.body_max", "http.compression_min", "json.depth_max", "log.access",
            "http2.streams_max", "http2.control_rate_max", "request.timeout",
        }  # fmt: skip
        assert [line["options"] for line in one.told("server.restart_needed")] == ["loops"]
        wait_for(lambda: ask(one, target) == 414, "the shorter target")
        assert one.infer("iris", nested).status == 400
        assert one.infer("iris", b" " * 3000).status == 413
        assert settings(one)[3] == 7
        for i in range(40):  # on a connection from before
            ping(kept, i)
        assert int.from_bytes(kept.wait(7)[3][4:8], "big") == 11
        wait_for(lambda: one.events("http.request") or any("status" in line for line in one.log()), "an access line")
        # Once more with nothing new: only the restart is still owed.
        one.process.send_signal(signal.SIGHUP)
        one.told("server.restart_needed", 2)
        assert len(one.events("server.options_changed")) == 1


def test_hup_changes_the_poll_interval(tmp_path, repository):
    config = tmp_path / "tern.yaml"
    config.write_text("model: {control: poll, poll_interval: 1h}\nlog: {level: warn}\n")
    put_model(repository, "iris", model_file("iris"))
    with Server(tmp_path / "server", repository, "--config", str(config)) as one:
        config.write_text("model: {control: poll, poll_interval: 100ms}\n")
        one.process.send_signal(signal.SIGHUP)
        one.told("server.options_changed")
        wait_for(lambda: one.state("iris") == "READY", "the model")
        put_model(repository, "more", model_file("diabetes"))
        wait_for(lambda: one.state("more") == "READY", "a model that no signal told of")


def test_a_restart_after_a_crash_keeps_what_was_reloaded(tmp_path):
    config = tmp_path / "tern.yaml"
    config.write_text("http: {uri_max: 8KiB}\n")
    target = b"GET /v2/health/live?%s HTTP/1.1\r\nHost: a\r\n" % (b"q" * 400)
    with Server(tmp_path / "server", EXAMPLES / "models" / "iris", "--config", str(config)) as one:
        config.write_text("http: {uri_max: 300}\n")
        one.process.send_signal(signal.SIGHUP)
        one.told("server.options_changed")
        child = pathlib.Path(f"/proc/{one.process.pid}/task/{one.process.pid}/children").read_text().split()[0]
        os.kill(int(child), signal.SIGKILL)
        one.told("server.ready", 2)
        assert ask(one, target) == 414
