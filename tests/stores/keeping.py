"""A server that passes requests on to another one, keeps its connections open, and notes which one each came by."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

_OF_A_CONNECTION = ("connection", "content-length", "transfer-encoding", "server", "date")


class Keeping(ThreadingHTTPServer):
    """In front of the server at `upstream`."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = str(urlsplit(upstream).netloc)
        self.came_by: list[tuple[int, str | None]] = []
        """For each request, the port of the other end, and the range that was asked for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Keeping

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.came_by.append((self.client_address[1], self.headers.get("Range")))
        upstream = HTTPConnection(self.server.upstream)
        upstream.request(self.command, self.path, content, dict(self.headers))
        answer = upstream.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _OF_A_CONNECTION:
                self.send_header(name, value)
        self.send_header("Content-Length", answer.getheader("Content-Length") or str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        upstream.close()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815 - the names that http.server calls


@contextmanager
def keeping(upstream: str) -> Iterator[tuple[Keeping, str]]:
    """A server in front of the one at `upstream`, and its URL, during the block."""
    server = Keeping(upstream)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
