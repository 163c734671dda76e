"""One call of gRPC, frame by frame: what no client library lets its caller do."""

import urllib.parse

import h2.config
import h2.connection
import h2.events
from tritonclient.grpc import service_pb2

from outcomes import connect, vanish


class Rpc:
    """One call of gRPC on a connection of its own, which grants what HTTP/2 grants at first: 65535 bytes."""

    def __init__(self, server):
        self.sock = connect(server)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.data, self.trailers, self.is_over = b"", {}, False
        self.flush()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def read(self):
        events = self.h2.receive_data(self.sock.recv(1 << 16))
        for one in events:
            if isinstance(one, h2.events.DataReceived):
                self.data += one.data
            elif isinstance(one, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                self.trailers.update(one.headers)
            self.is_over |= isinstance(one, (h2.events.StreamEnded, h2.events.StreamReset))
        self.flush()
        return events

    def open(self, method, **metadata):
        path = f"/inference.GRPCInferenceService/{method}"
        head = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "a")]
        more = [(key.replace("_", "-"), value) for key, value in metadata.items()]
        self.h2.send_headers(1, [*head, ("te", "trailers"), ("content-type", "application/grpc"), *more])
        self.flush()

    def send(self, message, end=True, cut=0):
        text = message.SerializeToString()
        data = (b"\0" + len(text).to_bytes(4, "big") + text)[: -cut or None]
        while data and not self.is_over:
            room = min(self.h2.local_flow_control_window(1), self.h2.max_outbound_frame_size, len(data))
            if room == 0:
                self.read()
                continue
            self.h2.send_data(1, data[:room])
            data = data[room:]
            self.flush()
        if end and not self.is_over:
            self.h2.end_stream(1)
            self.flush()

    def ask(self, model, n=1, **parameters):
        self.open("ModelInfer")
        self.send(question(model, n, **parameters))

    def status(self):
        """How it ended: the number and the text."""
        while not self.is_over:
            self.read()
        return int(self.trailers["grpc-status"]), urllib.parse.unquote(self.trailers.get("grpc-message", ""))

    def ping(self):
        """Waits until all that was sent has been read."""
        self.h2.ping(bytes(8))
        self.flush()
        while not any(isinstance(one, h2.events.PingAckReceived) for one in self.read()):
            pass

    def leave(self, how):
        if how == "stream":
            self.h2.reset_stream(1, 8)
            self.flush()
        vanish(self.sock) if how == "reset" else self.gone() if how == "stream" else self.sock.close()

    def gone(self):
        """The connection is as good as before."""
        self.ping()
        self.sock.close()


def question(model, n=1, **parameters):
    one = service_pb2.ModelInferRequest(model_name=model)
    one.inputs.add(name="INPUT0", datatype="FP32", shape=[1, n])
    one.raw_input_contents.append(bytes(4 * n))
    for key, value in parameters.items():
        kind = "bool_param" if isinstance(value, bool) else "int64_param"
        setattr(one.parameters[key], kind, value)
    return one


def repeat(*delays):
    """An answer after each of these milliseconds."""
    one = service_pb2.ModelInferRequest(model_name="repeat_int32")
    for name, kind, shape, values in (
        ("IN", "INT32", [len(delays)], range(len(delays))),
        ("DELAY", "UINT32", [len(delays)], delays),
        ("WAIT", "UINT32", [1], [0]),
    ):
        given = one.inputs.add(name=name, datatype=kind, shape=shape)
        (given.contents.int_contents if kind == "INT32" else given.contents.uint_contents).extend(values)
    return one
