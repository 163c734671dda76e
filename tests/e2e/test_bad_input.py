"""What is wrong gets an answer in the protocol's form, and the connection stays usable."""

import json
import struct

import pytest

GOOD = {"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [5.1, 3.5, 1.4, 0.2]}
BIG = 2**62


def with_input(**changes):
    tensor = {**GOOD, **changes}
    return {"inputs": [{key: value for key, value in tensor.items() if value is not None}]}


BODIES = {
    "not JSON": b"{",
    "empty": b"",
    "an array": b"[]",
    "a number": b"7",
    "no inputs": {},
    "inputs is an object": {"inputs": {}},
    "no input": {"inputs": []},
    "something follows": b'{"inputs": []} x',
    "deep nesting": b'{"inputs": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "wrong datatype": with_input(datatype="INT64", data=[1, 2, 3, 4]),
    "unknown datatype": with_input(datatype="FLOAT"),
    "wrong shape": with_input(shape=[1, 5], data=[1, 2, 3, 4, 5]),
    "wrong rank": with_input(shape=[4]),
    "negative dimension": with_input(shape=[-1, 4]),
    "fractional dimension": with_input(shape=[1.5, 4]),
    "product overflows": with_input(shape=[BIG, 4]),
    "product wraps to 4": with_input(shape=[2**63 - 1, 2**63 - 1, 4]),
    "too few values": with_input(data=[1, 2, 3]),
    "too many values": with_input(data=[1, 2, 3, 4, 5]),
    "ragged": with_input(shape=[2, 2], data=[[1, 2], [3]]),
    "no name": with_input(name=None),
    "no datatype": with_input(datatype=None),
    "no shape": with_input(shape=None),
    "no data": with_input(data=None),
    "unknown input": with_input(name="other"),
    "duplicate input": {"inputs": [GOOD, GOOD]},
    "duplicate member": b'{"inputs": [], "inputs": []}',
    "NaN": b'{"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [NaN, 1, 2, 3]}]}',
    "Infinity": b'{"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 4], "data": [Infinity, 1, 2, 3]}]}',
    "beyond float32": with_input(data=[1e39, 1, 2, 3]),
    "a string among numbers": with_input(data=["1", 2, 3, 4]),
    "null among integers": b'{"inputs": [{"name": "features", "datatype": "INT64", "shape": [1, 4], "data": [null, 1, 2, 3]}]}',
    "invalid UTF-8": b'{"id": "\xff\xfe", "inputs": []}',
    "lone surrogate": b'{"id": "\\ud800", "inputs": []}',
    "unknown output": {"inputs": [GOOD], "outputs": [{"name": "nope"}]},
    "shared memory": with_input(data=None, parameters={"shared_memory_region": "x", "shared_memory_byte_size": 16}),
    "binary size without binary": with_input(data=None, parameters={"binary_data_size": 16}),
}


@pytest.mark.parametrize("what", BODIES)
def test_body(server, what):
    connection = server.connect()
    answer = server.infer("iris", BODIES[what], connection=connection)
    assert 400 <= answer.status < 500 or answer.status == 501, answer.body
    assert answer.headers["Content-Type"] == "application/json"
    assert list(answer.json()) == ["error"] and answer.json()["error"]
    if answer.headers.get("Connection") != "close":
        assert server.infer("iris", {"inputs": [GOOD]}, connection=connection).status == 200
    connection.close()


@pytest.mark.parametrize(
    "length, size",
    [("10", 16), ("99999999", 16), ("-1", 16), ("x", 16), ("18446744073709551616", 16)],
)
def test_header_length(server, length, size):
    body = json.dumps(with_input(data=None, parameters={"binary_data_size": size})).encode()
    answer = server.infer("iris", body + bytes(16), {"Inference-Header-Content-Length": length})
    assert answer.status == 400 and "error" in answer.json()


@pytest.mark.parametrize("size, given", [(16, 12), (12, 12), (16, 20), (2**63, 16), (-1, 16)])
def test_binary_size(server, size, given):
    head = json.dumps(with_input(data=None, parameters={"binary_data_size": size})).encode()
    answer = server.infer("iris", head + bytes(given), {"Inference-Header-Content-Length": str(len(head))})
    assert answer.status == 400 and "error" in answer.json()


def test_string_lengths_that_lie(types):
    meta = types.get("/v2/models/identity_bytes").json()["inputs"][0]
    for raw in (struct.pack("<I", 100) + b"ab", struct.pack("<I", 1) + b"ab", b"\x01\x00"):
        head = {"name": meta["name"], "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(raw)}}
        text = json.dumps({"inputs": [head]}).encode()
        answer = types.infer("identity_bytes", text + raw, {"Inference-Header-Content-Length": str(len(text))})
        assert answer.status == 400, answer.body


def test_missing_input(types):
    meta = types.get("/v2/models/add_sub").json()["inputs"]
    shape = [abs(dim) for dim in meta[0]["shape"]]
    count = 1
    for dim in shape:
        count *= dim
    one = {"name": meta[0]["name"], "datatype": meta[0]["datatype"], "shape": shape, "data": [0] * count}
    answer = types.infer("add_sub", {"inputs": [one]})
    assert answer.status == 400 and "error" in answer.json()


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/nope",
        "/v2/models/nope/infer",
        "/v2/models/iris/versions/9",
        "/v2/models/iris/versions/9/infer",
        "/v2/models/iris/versions/x",
        "/v2/models/iris/versions/-1",
        "/v2/models/iris/versions/99999999999999999999",
        "/v2/models/../../etc/passwd",
        "/v2/models/..%2f..%2fetc%2fpasswd",
        "/v2/models/%2e%2e",
        "/v2/models/iris%00",
        "/v2/models/%ff",
        "/v2/models/%zz",
        "/v2/models/" + "a" * 4000,
        "/v2/models//infer",
        "/v3/models",
        "/nothing",
    ],
)
def test_paths(server, path):
    method = "POST" if path.endswith("infer") else "GET"
    answer = server.call(method, path, {"inputs": [GOOD]} if method == "POST" else None)
    assert 400 <= answer.status < 500, (answer.status, answer.body)
    assert "error" in answer.json()


def test_method(server):
    answer = server.get("/v2/models/iris/infer")
    assert answer.status == 405 and "POST" in answer.headers["Allow"]


@pytest.mark.parametrize(
    "text, status",
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),  # bare LF
        (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", 400),  # obs-fold
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"POST /v2/models/iris/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /v2/models/iris/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
        (b"POST /v2/models/iris/infer HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400),
        (b"POST /v2/models/iris/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST /v2/models/iris/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", 400),
        (b"POST /v2/models/iris/infer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST /v2/models/iris/infer HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 200000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    ],
)
def test_heads(server, text, status):
    try:
        got = server.raw(text)
    except ConnectionResetError:
        got = b""  # it closed while we were still sending
    reset = got == b"" and len(text) > 100000
    assert reset or got.startswith(b"HTTP/1.1 %d " % status), got[:200]
    assert server.get("/v2/health/live").status == 200


def test_bomb(server):
    import gzip

    bomb = gzip.compress(bytes(300 << 20), 9)
    answer = server.infer("iris", bomb, {"Content-Encoding": "gzip"})
    assert answer.status == 413, answer.body
    assert "Retry-After" not in answer.headers, "it would be as large again"


def test_unknown_coding(server):
    answer = server.infer("iris", b"{}", {"Content-Encoding": "br"})
    assert answer.status == 415


def test_truncated_gzip(server):
    import gzip

    whole = gzip.compress(json.dumps({"inputs": [GOOD]}).encode())
    assert server.infer("iris", whole[:-9], {"Content-Encoding": "gzip"}).status == 400


def test_form_from_a_browser(server):
    answer = server.infer("iris", b"a=b", {"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status == 415


def test_control_needs_an_admin_listener(tmp_path):
    from harness import EXAMPLES, Server

    with Server(tmp_path, EXAMPLES / "models" / "iris", listen=("127.0.0.1:0",)) as one:
        answer = one.call("POST", "/v2/repository/models/iris/unload")
        assert answer.status == 403 and "error" in answer.json()
