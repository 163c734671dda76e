"""Endpoints of other servers for graphs: a small HTTP server whose paths behave as a test says."""

import http.server
import json
import threading


class Unit:
    """Answers POST by functions of the document, by path; remembers what it was asked."""

    def __init__(self):
        unit = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version, disable_nagle_algorithm = "HTTP/1.1", True

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked = (self.path, dict(self.headers.items()), body)
                unit.asked.append(asked)
                act = unit.acts.get(self.path.split("?")[0])
                if act is None:
                    self.reply(404, b'{"error":"no such path"}')
                else:
                    act(self, body)

            def reply(self, status, body, content_type="application/json", **headers):
                if not isinstance(body, bytes):
                    body = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.acts, self.asked = {}, []
        self.gone = threading.Event()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def on(self, path, document=None, status=200, **options):
        """A fixed answer, or what a function makes of the parsed document. Answers the address."""

        def act(handler, body):
            answer = document(json.loads(body)) if callable(document) else document
            handler.reply(status, answer, **options)

        self.acts[path] = act
        return self.url(path)

    def stalls(self, path):
        """Nothing is answered; `gone` is set when the one who asked has left."""

        def act(handler, _):
            handler.connection.settimeout(20)
            try:
                if handler.connection.recv(1) == b"":
                    self.gone.set()
            except OSError:
                self.gone.set()

        self.acts[path] = act
        return self.url(path)

    def raw(self, path, data):
        """These bytes, and the end of the connection."""

        def act(handler, _):
            handler.wfile.write(data)
            handler.close_connection = True

        self.acts[path] = act
        return self.url(path)

    def paths(self):
        return [path for path, _, _ in self.asked]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
