"""A webhook: a real HTTP server that keeps what it receives, and answers as it is told."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="


class Received(NamedTuple):
    headers: dict[str, str]  # names in lower case
    body: bytes


class Receiver:
    """Answers with each of `answers` (status and headers) once, and then with 204."""

    def __init__(self):
        self.received = []
        self.answers = []
        self._silent = threading.Event()

    def __enter__(self):
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.received.append(Received({k.lower(): v for k, v in self.headers.items()}, body))
                status, headers = receiver.answers.pop(0) if receiver.answers else (204, {})
                if status is None:  # no answer
                    receiver._silent.wait()
                    return
                self.send_response(status)
                for name, value in {"content-length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.host = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.host}/hooks/token-of-the-path?also=this"
        return self

    def __exit__(self, *_):
        self._silent.set()
        self._server.shutdown()
        self._server.server_close()
