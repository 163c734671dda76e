"""HTTP as clients use it: connections kept, codings, methods, other listeners."""

import asyncio
import gzip
import json
import pathlib
import shutil
import socket
import ssl
import subprocess
import warnings
import zlib

import httpx
import pytest

from harness import DEADLINE, EXAMPLES, Answer, Server, UnixConnection, example

IRIS = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}]}
TEXT = json.dumps(IRIS).encode()


def test_a_connection_is_kept(server):
    connection = server.connect()
    connection.connect()
    port = connection.sock.getsockname()[1]
    for _ in range(50):
        assert server.infer("iris", IRIS, connection=connection).status == 200
    assert connection.sock.getsockname()[1] == port
    connection.close()


def test_close_is_honoured(server):
    assert server.get("/v2/health/live", headers={"Connection": "close"}).headers["Connection"] == "close"
    got = server.raw(b"GET /v2/health/live HTTP/1.0\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200 ") and got.endswith(b'{"live":true}')


def test_pipelining_keeps_the_order(server):
    paths = [b"/v2/health/live", b"/v2/models/iris", b"/nothing", b"/v2"] * 5
    text = b"".join(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path for path in paths)
    got = server.raw(text + b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    order = [int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]]
    assert order == [200, 200, 404, 200] * 5 + [200]


def test_a_body_in_slow_pieces(server):
    with socket.create_connection((server.host, server.port), timeout=DEADLINE) as sock:
        head = b"POST /v2/models/iris/infer HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        for byte in head % len(TEXT) + TEXT:
            sock.sendall(bytes([byte]))
        got = b""
        while part := sock.recv(65536):
            got += part
    assert got.startswith(b"HTTP/1.1 200 ")


def test_chunked_body(server):
    chunks = iter([TEXT[:10], TEXT[10:11], TEXT[11:]])
    answer = server.infer("iris", chunks)
    assert answer.status == 200 and answer.json()["outputs"][0]["data"] == [0]


def test_expect_continue(server):
    with socket.create_connection((server.host, server.port), timeout=DEADLINE) as sock:
        sock.sendall(
            b"POST /v2/models/iris/infer HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(TEXT)
        )
        assert sock.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(TEXT)
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_half_closed_client_gets_its_answer(server):
    with socket.create_connection((server.host, server.port), timeout=DEADLINE) as sock:
        sock.sendall(b"POST /v2/models/iris/infer HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(TEXT) + TEXT)
        sock.shutdown(socket.SHUT_WR)
        got = b""
        while part := sock.recv(65536):
            got += part
    assert got.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("coding, pack", [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_request(server, coding, pack):
    assert server.infer("iris", pack(TEXT), {"Content-Encoding": coding}).status == 200


@pytest.mark.skipif(shutil.which("zstd") is None, reason="needs the zstd program")
def test_zstd_request(server):
    packed = subprocess.run(["zstd", "-q", "-c"], input=TEXT, capture_output=True, check=True).stdout
    assert server.infer("iris", packed, {"Content-Encoding": "zstd"}).status == 200


def test_compressed_answer(server):
    body = {"inputs": example("digits_mlp")["inputs"]}
    plain = server.infer("digits_mlp", body)
    assert plain.headers.get("Content-Encoding") is None
    packed = server.infer("digits_mlp", body, {"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip" and "Accept-Encoding" in packed.headers["Vary"]
    assert gzip.decompress(packed.body) == plain.body


def test_head_and_options(server):
    get = server.get("/v2/models/iris")
    head = server.call("HEAD", "/v2/models/iris")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]
    assert server.call("HEAD", "/v2/models/nope").status == 404
    options = server.call("OPTIONS", "/v2/models/iris/infer")
    assert options.status in (200, 204) and "POST" in options.headers["Allow"]


def test_http2_without_tls(server):
    with httpx.Client(http1=False, http2=True) as client:
        answers = [client.post(f"{server.url}/v2/models/iris/infer", json=IRIS) for _ in range(20)]
    assert {(answer.http_version, answer.status_code) for answer in answers} == {("HTTP/2", 200)}


def test_http2_streams_in_parallel(server):
    """From one thread: with several, httpx may send streams out of order, which is the client's error."""
    body = {"inputs": example("digits_cnn")["inputs"]}

    async def ask_all():
        async with httpx.AsyncClient(http1=False, http2=True, timeout=DEADLINE) as client:
            urls = [f"{server.url}/v2/models/digits_cnn/infer"] * 60
            return await asyncio.gather(*(client.post(url, json=body) for url in urls))

    answers = asyncio.run(ask_all())
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1


@pytest.mark.skipif(shutil.which("h2load") is None, reason="needs h2load")
def test_http2_under_load(server, tmp_path):
    (tmp_path / "body").write_text(json.dumps({"inputs": example("digits_cnn")["inputs"]}))
    url = f"{server.url}/v2/models/digits_cnn/infer"
    done = subprocess.run(
        ["h2load", "-n", "600", "-c", "3", "-m", "20", "-d", str(tmp_path / "body"), url],
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE,
    )
    assert "600 succeeded, 0 failed, 0 errored" in done.stdout and "status codes: 600 2xx" in done.stdout, done.stdout


def test_unix_socket(tmp_path):
    path = tmp_path / "s"
    with Server(tmp_path, EXAMPLES / "models" / "iris", listen=(f"unix:{path}",)) as one:
        connection = UnixConnection(str(path))
        connection.request("POST", "/v2/models/iris/infer", TEXT)
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, response.read())
        connection.close()
        assert answer.status == 200 and answer.json()["outputs"][0]["data"] == [0]
        assert one.stop() == 0
    assert not path.exists()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        + ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")],
        check=True,
        capture_output=True,
    )
    return folder


def test_tls_with_both_protocols(tmp_path, certificate):
    listen = f"127.0.0.1:0,cert={certificate}/cert.pem,key={certificate}/key.pem"
    with Server(tmp_path, EXAMPLES / "models" / "iris", listen=(listen,)) as one:
        assert one.url.startswith("https://")
        trust = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
        for http2 in (False, True):
            with httpx.Client(http2=http2, verify=trust) as client:
                answer = client.post(f"{one.url}/v2/models/iris/infer", json=IRIS)
                assert answer.status_code == 200
                assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
                assert answer.json()["outputs"][0]["data"] == [0]
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        with warnings.catch_warnings(action="ignore"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            with socket.create_connection((one.host, one.port)) as sock:
                old.wrap_socket(sock)
        plain = one.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200" not in plain[:20]


def test_open_address_needs_a_word(tmp_path):
    import harness

    done = subprocess.run(
        [harness.TERN, "serve", str(EXAMPLES / "models"), "--listen", "0.0.0.0:0"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        cwd=tmp_path,
    )
    assert done.returncode == 2 and "insecure" in done.stderr


def test_two_listeners(tmp_path):
    path = pathlib.Path(tmp_path) / "admin"
    with Server(tmp_path, EXAMPLES / "models" / "iris", listen=("127.0.0.1:0", f"unix:{path},admin")) as one:
        assert one.call("POST", "/v2/repository/models/iris/unload").status == 403
        connection = UnixConnection(str(path))
        connection.request("POST", "/v2/repository/models/iris/unload")
        status = connection.getresponse().status
        connection.close()
        assert status == 503  # allowed here, but this server's models do not come and go by request
