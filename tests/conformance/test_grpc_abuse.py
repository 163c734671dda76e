"""What no client of gRPC sends: frames that lie, metadata that is none, calls that are left alone. Each
gets its status and text, and a stream beside it on the same connection goes on as if nothing were."""

import gzip
import socket
import struct
import urllib.parse

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import pytest
from tritonclient.grpc import service_pb2

from harness import DEADLINE

SERVICE = b"/inference.GRPCInferenceService/"
OK, INVALID, LATE, MISSING, EXHAUSTED, UNIMPLEMENTED, INTERNAL = 0, 3, 4, 5, 8, 12, 13


def frame(message, flag=0, size=None):
    return struct.pack(">BI", flag, len(message) if size is None else size) + message


def request(model="identity_fp32", values=(1.0,), **fields):
    one = service_pb2.ModelInferRequest(model_name=model, **fields)
    one.inputs.add(name="INPUT0", datatype="FP32", shape=[1, len(values)])
    one.raw_input_contents.append(struct.pack(f"<{len(values)}f", *values))
    return one.SerializeToString()


def square(n):
    one = service_pb2.ModelInferRequest(model_name="square_int32")
    one.inputs.add(name="IN", datatype="INT32", shape=[1]).contents.int_contents.append(n)
    return one.SerializeToString()


class Call:
    """One stream, as it came so far."""

    def __init__(self):
        self.head, self.trailers, self.data, self.reset, self.ended = {}, {}, b"", None, False

    def over(self):
        return self.ended or self.reset is not None

    def status(self):
        found = {**self.head, **self.trailers}
        text = urllib.parse.unquote(found.get(b"grpc-message", b"").decode())
        return int(found[b"grpc-status"]) if b"grpc-status" in found else None, text

    def messages(self):
        found, rest = [], self.data
        while len(rest) >= 5 and len(rest) >= 5 + int.from_bytes(rest[1:5], "big"):
            n = int.from_bytes(rest[1:5], "big")
            found.append(rest[5 : 5 + n])
            rest = rest[5 + n :]
        return found


class Peer:
    """A connection that checks nothing of what it sends, with one good stream beside the others."""

    def __init__(self, server):
        host, port = server.plain.rsplit(":", 1)
        self.sock = socket.create_connection((host, int(port)), timeout=DEADLINE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
            )
        )
        self.calls, self.goaway, self.eof = {}, None, False
        self.h2.initiate_connection()
        self.flush()
        self.control = self.open("ModelStreamInfer")
        self.check()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def read(self):
        data = self.sock.recv(65536)
        self.eof = not data
        for event in self.h2.receive_data(data):
            call = self.calls.get(getattr(event, "stream_id", None))
            if isinstance(event, h2.events.ResponseReceived):
                call.head = dict(event.headers)
            elif isinstance(event, h2.events.TrailersReceived):
                call.trailers = dict(event.headers)
            elif isinstance(event, h2.events.DataReceived):
                call.data += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamReset):
                call.reset = event.error_code
            elif isinstance(event, h2.events.StreamEnded):
                call.ended = True
            elif isinstance(event, h2.events.ConnectionTerminated):
                self.goaway = event.error_code
        if not self.eof:
            self.flush()

    def until(self, condition):
        while not condition():
            assert not self.eof and self.goaway is None, (self.eof, self.goaway)
            self.read()

    def open(self, method, headers=(), path=None, end=False, kind=b"application/grpc", verb=b"POST"):
        """The headers of a call; a name in the extra ones replaces the usual."""
        stream = self.h2.get_next_available_stream_id()
        usual = [(b":method", verb), (b":scheme", b"http"), (b":path", path or SERVICE + method.encode())]
        usual += [(b":authority", b"a"), (b"te", b"trailers"), (b"content-type", kind)]
        self.h2.send_headers(stream, [*usual, *headers], end_stream=end)
        self.calls[stream] = Call()
        self.flush()
        return stream

    def send(self, stream, data, end=False):
        """As far as the windows are open; what an answer has closed is not sent."""
        call = self.calls[stream]
        while data and not call.over():
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(data))
            if room == 0:
                self.read()
                continue
            self.h2.send_data(stream, data[:room])
            data = data[room:]
            self.flush()
        if end and not call.over():
            self.h2.end_stream(stream)
            self.flush()

    def ask(self, body=b"", headers=(), method="ModelInfer", **options):
        """A whole call."""
        stream = self.open(method, headers, **options)
        if not options.get("end"):
            self.send(stream, body, end=True)
        call = self.calls[stream]
        self.until(call.over)
        return call

    def check(self):
        """The good stream goes on."""
        call = self.calls[self.control]
        before = len(call.messages())
        self.send(self.control, frame(square(2)))
        self.until(lambda: len(call.messages()) == before + 2 or call.over())
        assert not call.over(), call.status()
        answer = service_pb2.ModelStreamInferResponse.FromString(call.messages()[-1])
        assert answer.infer_response.raw_output_contents[0] == struct.pack("<i", 2)

    def raw(self, kind, flags, stream, payload):
        try:
            self.sock.sendall(struct.pack(">IBBI", len(payload), kind, flags, stream)[1:] + payload)
        except OSError:
            self.eof = True  # what it said before is still to be read

    def until_end(self):
        """Of the connection: the server says why, or cuts it under what we still send."""
        try:
            while self.goaway in (None, h2.errors.ErrorCodes.NO_ERROR):
                data = self.sock.recv(65536)
                if not data:
                    return
                for event in self.h2.receive_data(data):
                    if isinstance(event, h2.events.ConnectionTerminated):
                        self.goaway = event.error_code
            assert self.goaway == h2.errors.ErrorCodes.ENHANCE_YOUR_CALM
        except (ConnectionError, h2.exceptions.ProtocolError):
            pass

    def reset(self, stream):
        self.h2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
        self.flush()

    def close(self):
        self.sock.close()


@pytest.fixture
def peer(several):
    one = Peer(several)
    try:
        yield one
        one.check()
    finally:
        one.close()


GOOD = frame(request())
GZIP = [(b"grpc-encoding", b"gzip")]
BOMB = gzip.compress(bytes(7 << 20), 9)


CUT = "the request ends inside its message"
TWICE = "the request has more than one message"
MESSAGES = {
    "good": (GOOD, [], OK, ""),
    "nothing": (b"", [], INTERNAL, CUT),
    "half a prefix": (GOOD[:3], [], INTERNAL, CUT),
    "a byte is missing": (GOOD[:-1], [], INTERNAL, CUT),
    "claims a megabyte": (frame(request(), size=1 << 20), [], INTERNAL, CUT),
    "claims 4 GiB": (frame(request(), size=0xFFFFFFFF), [], EXHAUSTED, "4294967295"),
    "claims 3 bytes": (frame(request(), size=3), [], UNIMPLEMENTED, TWICE),
    "two messages": (GOOD + GOOD, [], UNIMPLEMENTED, TWICE),
    "a byte too many": (GOOD + b"\0", [], UNIMPLEMENTED, TWICE),
    "no protobuf": (frame(b"\xff" * 40), [], INVALID, ""),
    "compressed by nothing": (frame(request(), flag=1), [], INTERNAL, "grpc-encoding names no coding"),
    "compressed by identity": (
        frame(request(), flag=1),
        [(b"grpc-encoding", b"identity")],
        INTERNAL,
        "grpc-encoding names no coding",
    ),
    "flag 2": (frame(request(), flag=2), [], INTERNAL, "unknown flags 0x02"),
    "the flag of trailers": (frame(request(), flag=0x80), [], INTERNAL, "unknown flags 0x80"),
    "unknown coding": (frame(request(), flag=1), [(b"grpc-encoding", b"br")], UNIMPLEMENTED, "'br' is not supported"),
    "no gzip": (frame(request(), flag=1), GZIP, INVALID, "not valid gzip"),
    "gzip cut off": (frame(gzip.compress(request())[:-6], flag=1), GZIP, INVALID, "not valid gzip"),
    "gzip and more": (frame(gzip.compress(request()) + b"more", flag=1), GZIP, INVALID, "not valid gzip"),
    "gzip of 7 MiB of zeros": (frame(BOMB, flag=1), GZIP, EXHAUSTED, "more than 100 times"),
    "gzip": (frame(gzip.compress(request()), flag=1), GZIP, OK, ""),
    "gzip not used": (GOOD, GZIP, OK, ""),
    "no time": (GOOD, [(b"grpc-timeout", b"0n")], LATE, "deadline"),
    "time before now": (GOOD, [(b"grpc-timeout", b"-1S")], INVALID, "header grpc-timeout"),
    "nine digits": (GOOD, [(b"grpc-timeout", b"123456789S")], INVALID, "header grpc-timeout"),
    "no unit": (GOOD, [(b"grpc-timeout", b"1")], INVALID, "header grpc-timeout"),
    "no digits": (GOOD, [(b"grpc-timeout", b"S")], INVALID, "header grpc-timeout"),
    "an empty timeout": (GOOD, [(b"grpc-timeout", b"")], INVALID, "header grpc-timeout"),
    "eleven thousand years": (GOOD, [(b"grpc-timeout", b"99999999H")], OK, ""),
    "20 ms for ten minutes": (frame(request("slow")), [(b"grpc-timeout", b"20m")], LATE, "Deadline Exceeded: "),
    "Latin-1 metadata": (GOOD, [(b"x-note", b"caf\xe9 \xff\xfe")], OK, ""),
    "no base64": (GOOD, [(b"x-note-bin", b"!!! \xff")], OK, ""),
    "an empty -bin": (GOOD, [(b"x-note-bin", b"")], OK, ""),
    "no trace": (GOOD, [(b"traceparent", b"\xff" * 55)], OK, ""),
    "no list of codings": (GOOD, [(b"grpc-accept-encoding", b"\xff,,;q=x")], OK, ""),
}


@pytest.mark.parametrize("what", MESSAGES)
def test_messages_and_metadata(peer, what):
    body, headers, code, text = MESSAGES[what]
    call = peer.ask(body, headers)
    assert call.status()[0] == code and text in call.status()[1], call.status()
    assert call.head[b":status"] == b"200" and call.head[b"content-type"] == b"application/grpc"
    assert len(call.messages()) == (code == OK)
    if what == "unknown coding":
        assert b"gzip" in call.head[b"grpc-accept-encoding"]


@pytest.mark.parametrize(
    "path",
    [
        b"/inference.GRPCInferenceService//ModelInfer",
        b"/inference.GRPCInferenceService/ModelInfer/",
        b"/inference.GRPCInferenceService/modelinfer",
        b"/inference.GRPCInferenceService/",
        b"/inference.GRPCInferenceService",
        b"//inference.GRPCInferenceService/ModelInfer",
        b"/",
        b"/v2/health/live",
        b"/v2/models/identity_fp32/infer",
        b"/etc/passwd",
        b"/" + b"a" * 4000 + b"/b",
    ],
)
def test_paths(peer, path):
    call = peer.ask(GOOD, path=path)
    assert call.status()[0] == UNIMPLEMENTED, (call.head, call.data)


@pytest.mark.parametrize("path", [b"/a/\xff\xfe", b"/../../etc/passwd", b"/a/%00", b"/%", b"/v2/models//infer"])
def test_paths_that_are_none(peer, path):
    assert peer.ask(GOOD, path=path).status()[0] == UNIMPLEMENTED


@pytest.mark.parametrize(
    "name",
    ["../identity_fp32", "identity_fp32/1", "./identity_fp32", "/etc/passwd", "..", ".", "", "identity_fp32\0", "a\nb",
     "IDENTITY_FP32", "%69dentity_fp32", "\u202eiris", "x" * 100_000],
)  # fmt: skip
def test_names_of_models(peer, name):
    call = peer.ask(frame(request(name)))
    assert call.status()[0] in (MISSING, INVALID), call.status()
    assert len(call.status()[1]) < 1000
    for version in ("../1", "1/../1", "-2", "1" * 1000, "\0"):
        call = peer.ask(frame(request(model_version=version)))
        assert call.status()[0] in (MISSING, INVALID), (version, call.status())


def test_no_calls_at_all(peer):
    for options in ({"verb": b"GET"}, {"kind": b"application/grpcfoo"}):
        assert peer.ask(GOOD, method="ModelInfer", **options).status()[0] == UNIMPLEMENTED
    plain = peer.ask(GOOD, method="ModelInfer", kind=b"text/plain")  # whoever asks so reads no status of gRPC
    assert plain.head[b":status"] == b"415" and plain.status()[0] is None


# ---- calls that are left ----


def test_cancelled_anywhere(several, peer):
    for sent in (b"", GOOD[:3], GOOD[:-1], GOOD, frame(request("slow"))):
        for end in (False, True):
            stream = peer.open("ModelInfer")
            peer.send(stream, sent, end=end)
            peer.reset(stream)
    stream = peer.open("ModelInfer")
    peer.send(stream, frame(request("slow")), end=True)
    peer.check()  # it runs by now
    peer.reset(stream)
    call = peer.ask(GOOD)
    assert call.status()[0] == OK
    talk = peer.open("ModelStreamInfer")
    peer.send(talk, frame(request("slow")) + frame(square(3)) + frame(square(3))[:4])
    peer.check()
    peer.reset(talk)


def test_a_stream_that_is_never_used(peer):
    talk = peer.open("ModelStreamInfer")
    for _ in range(5):
        peer.check()
    peer.send(talk, b"", end=True)
    peer.until(peer.calls[talk].over)
    assert peer.calls[talk].status()[0] == OK
    empty = peer.ask(method="ModelStreamInfer", end=True)
    assert empty.status()[0] == OK and empty.data == b""
    cut = peer.ask(frame(square(1)) + frame(square(1))[:7], method="ModelStreamInfer")
    assert cut.status() == (INTERNAL, "the stream ends inside a message")


def test_a_thousand_streams_left_alone(several, peer):
    """A hundred on each of ten connections: some have sent nothing, some half, some wait for an answer
    that comes in ten minutes; nobody reads, and nobody says goodbye."""
    left = []
    for _ in range(10):
        one = Peer(several)
        left.append(one)
        for i in range(99):
            talk = i % 2 == 0
            stream = one.open("ModelStreamInfer" if talk else "ModelInfer")
            body = (b"", GOOD[:7], frame(request("slow")))[i % 3]
            one.send(stream, body, end=not talk and i % 3 == 2)
        peer.check()
    for one in left:
        one.close()
    peer.check()
    assert peer.ask(GOOD).status()[0] == OK


def test_resets_without_end_are_stopped(several, peer):
    one = Peer(several)
    try:
        for _ in range(1000):
            stream = one.h2.get_next_available_stream_id()
            head = one.h2.encoder.encode([(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")])
            one.h2.highest_outbound_stream_id = stream
            one.raw(1, 4, stream, head)
            one.raw(3, 0, stream, struct.pack(">I", 8))
        one.until_end()
    finally:
        one.close()


def test_five_megabytes_of_headers(several, peer):
    """In CONTINUATION frames that never end the block."""
    one = Peer(several)
    try:
        stream = one.h2.get_next_available_stream_id()
        block = (b"\x00\x01x\x7f\x81\x01" + b"v" * 256) * 60  # literal fields, not indexed
        one.raw(1, 0, stream, block)
        for _ in range(5_000_000 // len(block)):
            one.raw(9, 0, stream, block)
        one.until_end()
    finally:
        one.close()
