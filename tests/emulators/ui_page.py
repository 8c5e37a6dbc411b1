"""A page in a browser's reach, as Kubeflow's UI serves it."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer


class Page(BaseHTTPRequestHandler):
    """Answers each request with `status` and a page of type `kind`."""

    status, kind, address = 200, "text/html; charset=utf-8", ""

    def do_GET(self):
        self.send_response(self.status)
        self.send_header("Content-Type", self.kind)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def ui_page() -> Iterator[type[Page]]:
    """The class of a server's answers, with its address."""
    made = type("Page", (Page,), {})
    with HTTPServer(("127.0.0.1", 0), made) as server:
        made.address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield made
        server.shutdown()
