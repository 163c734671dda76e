"""What became of requests, by the server's own count: each that came ends in exactly one way."""

import collections
import json
import re
import socket
import struct

from harness import DEADLINE, wait_for

ENDED = re.compile(r'^tern_requests_ended_total\{outcome="(\w+)"\} (\d+)$', re.M)
CAME = re.compile(r"^tern_requests_received_total (\d+)$", re.M)
IN_FLIGHT = re.compile(r"^tern_requests_in_flight (\d+)$", re.M)
MEMORY = re.compile(r"^tern_memory_used_bytes (\d+)$", re.M)


def waiting(model):
    return re.compile(rf'^tern_model_queue_depth\{{model="{model}",version="1"\}} (\d+)$', re.M)


class Ledger:
    """What has ended since; asking is a request too, which has not ended when it is answered."""

    def __init__(self, server):
        self.server, self.asked = server, 0
        self.before = self.read()[1]

    def page(self):
        return self.server.get("/metrics").body.decode()

    def read(self):
        page = self.page()
        return int(CAME.search(page).group(1)), collections.Counter({k: int(v) for k, v in ENDED.findall(page)})

    def settles(self):
        """Waits until all that came has ended; answers how, without our own questions."""
        wait_for(lambda: self.is_even(), "every request to end")
        asked, after = self.asked, self.after
        changes = collections.Counter({k: after[k] - self.before[k] for k in after})
        changes["ok"] -= asked
        return {k: n for k, n in changes.items() if n != 0}

    def open(self):
        """How many came and have not ended, ours aside: those too whose head is not whole."""
        self.asked += 1
        came, self.after = self.read()
        return came - sum(self.after.values()) - 1

    def is_even(self):
        return self.open() == 0

    def number(self, pattern):
        self.asked += 1
        return int(pattern.search(self.page()).group(1))

    def get(self, path):
        self.asked += 1
        return self.server.get(path).json()


def message(model, n=1, *lines, **parameters):
    """A whole request over HTTP/1.1."""
    body = {"inputs": [{"name": "INPUT0", "datatype": "FP32", "shape": [1, n], "data": [1] * n}]}
    text = json.dumps({**body, "parameters": parameters} if parameters else body)
    head = [f"POST /v2/models/{model}/infer HTTP/1.1", "Host: a", f"Content-Length: {len(text)}", *lines, "", ""]
    return "\r\n".join(head).encode() + text.encode()


def connect(server):
    return socket.create_connection((server.host, server.port), timeout=DEADLINE)


def vanish(sock):
    """By a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def read_all(sock):
    text = b""
    while piece := sock.recv(1 << 16):
        text += piece
    return text
