"""moto's server of S3 on this machine, with a log of what is asked of it, and with faults."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUCKET = "bucket"


class Asked(NamedTuple):
    """A request, and the bytes of its answer."""

    method: str
    path: str
    range: str | None
    nbytes: int


class Fault:
    """What happens to the next `times` requests that `fits` accepts: an answer with a status and a code of S3."""

    def __init__(self, fits: Callable[[str, str], bool], status: int, code: str, times: int) -> None:
        self.fits, self.status, self.code, self.times = fits, status, code, times


class Server:
    """moto's server as a WSGI application, in front of which requests are counted and faults happen."""

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self._app = DomainDispatcherApplication(create_backend_app)
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.breaking = 0
        """The number of ranges that are sent only in part: then the connection breaks."""
        self.gate: threading.Barrier | None = None
        """If given, ranges of shards are answered in groups: all of a group must have been asked for."""

    def __call__(self, environ, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        for fault in self.faults:
            if fault.times and fault.fits(method, path):
                fault.times -= 1
                start_response(f"{fault.status} Fault", [("Content-Type", "application/xml")])
                return [f"<Error><Code>{fault.code}</Code><Message>canary</Message></Error>".encode()]
        if self.gate and "-of-" in path and "HTTP_RANGE" in environ:
            self.gate.wait()
        body = b"".join(self._app(environ, start_response))
        self.asked.append(Asked(method, path, environ.get("HTTP_RANGE"), len(body)))
        if self.breaking and self.asked[-1].range:
            self.breaking -= 1
            return _in_part(body)
        return [body]

    @property
    def nbytes(self) -> int:
        """The bytes of objects that were sent."""
        return sum(one.nbytes for one in self.asked if one.method == "GET" and one.range)


def _in_part(body: bytes) -> Iterator[bytes]:
    yield body[: len(body) // 2]
    raise ConnectionResetError


@contextmanager
def running(server: Server) -> Iterator[str]:
    """The URL of `server`, which answers during the block."""
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *_: object) -> None:
            pass

    listening = make_server("127.0.0.1", 0, server, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.port}"
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
