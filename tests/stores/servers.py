"""moto's server of S3 on this machine, with a log of what is asked of it, and with faults."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUCKET = "bucket"


class Asked(NamedTuple):
    """A request, and the bytes of its content and of its answer. The method is that of HTTP, or a step of an upload:
    BEGIN, PART, COPY, COMPLETE, ABORT.
    """

    method: str
    path: str
    range: str | None
    nbytes: int
    sent: int


class Fault:
    """What happens to the next `times` requests whose method and path `fits` accepts: an answer with a status and a
    code of S3, which is empty if the status is 200, as another server may answer; or, if there is no status, an answer
    that is lost after the request was obeyed.
    """

    def __init__(
        self, fits: Callable[[str, str], bool], status: int | None = None, code: str = "", times: int = 1
    ) -> None:
        self.fits, self.status, self.code, self.times = fits, status, code, times


class Server:
    """moto's server as a WSGI application, in front of which requests are counted and faults happen.

    moto ignores the conditions of copies, and If-Match of the end of an upload, and fails at uploads that were aborted;
    this is judged here.
    """

    scheme = "s3"

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import create_backend_app

        self._app = create_backend_app("s3")
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self._aborted: set[str] = set()
        self.is_forgetful = False
        """Whether it says that it aborts an upload even if it is complete, as Amazon does for some time."""
        self.breaking = 0
        """The number of ranges that are sent only in part: then the connection breaks."""
        self.gate: threading.Barrier | None = None
        """If given, ranges of shards are answered in groups: all of a group must have been asked for."""

    def url(self, key: str) -> str:
        return f"s3://{BUCKET}/{key}"

    def put(self, key: str, content: bytes) -> None:
        client().put_object(Bucket=BUCKET, Key=key, Body=content)

    def delete(self, key: str) -> None:
        client().delete_object(Bucket=BUCKET, Key=key)

    def begin(self) -> None:
        """Make an empty bucket."""
        client().create_bucket(Bucket=BUCKET)

    def end(self) -> None:
        """Forget all faults, and the bucket."""
        self.faults.clear()
        self.breaking, self.gate, self.is_forgetful = 0, None, False
        _memory().reset()

    def __call__(self, environ, start_response):
        method, path = _method(environ), environ["PATH_INFO"]
        fault = self._fault(method, path)
        if fault and fault.status:
            return _refused(environ, start_response, fault.status, fault.code)
        if self.gate and "-of-" in path and "HTTP_RANGE" in environ:
            self.gate.wait()
        if refusal := self._refusal(method, environ):
            return _refused(environ, start_response, *refusal)
        if method == "ABORT" and self.is_forgetful and any(one.method == "COMPLETE" for one in self.asked):
            start_response("204 No Content", [])
            return [b""]
        if method == "ABORT":
            self._aborted.add(_upload(environ))
        body = b"".join(self._app(environ, start_response))
        sent = int(environ.get("CONTENT_LENGTH") or 0)
        self.asked.append(Asked(method, path, environ.get("HTTP_RANGE"), len(body), sent))
        if fault:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        if self.breaking and self.asked[-1].range:
            self.breaking -= 1
            return in_part(body)
        return [body]

    def _fault(self, method: str, path: str) -> Fault | None:
        """What happens to this request: one of its times is used."""
        for fault in self.faults:
            if fault.times and fault.fits(method, path):
                fault.times -= 1
                return fault
        return None

    def _refusal(self, method: str, environ) -> tuple[int, str] | None:
        """The status and the code of S3, if it refuses this request and moto does not."""
        if method in ("PART", "COPY", "COMPLETE") and _upload(environ) in self._aborted:
            return 404, "NoSuchUpload"
        if method == "COPY":
            wanted, path = environ.get("HTTP_X_AMZ_COPY_SOURCE_IF_MATCH"), unquote(environ["HTTP_X_AMZ_COPY_SOURCE"])
        else:
            wanted, path = method == "COMPLETE" and environ.get("HTTP_IF_MATCH"), environ["PATH_INFO"]
        if not wanted:
            return None
        found = self._etag(environ, f"/{path.lstrip('/')}")
        return (404, "NoSuchKey") if found is None else (412, "PreconditionFailed") if found != wanted else None

    def _etag(self, environ, path: str) -> str | None:
        """The version of the object at `path`, as moto has it."""
        headers = {}
        asking = {key: value for key, value in environ.items() if not key.startswith("HTTP_X_AMZ_COPY")}
        asking |= {"REQUEST_METHOD": "HEAD", "PATH_INFO": path, "QUERY_STRING": "", "wsgi.input": BytesIO()}
        asking |= {"CONTENT_LENGTH": "0", "RAW_URI": path, "REQUEST_URI": path}
        for name in ("HTTP_IF_MATCH", "HTTP_RANGE"):
            asking.pop(name, None)
        list(self._app(asking, lambda _, given, *__: headers.update(given)))
        return headers.get("ETag", headers.get("etag"))

    @property
    def nbytes(self) -> int:
        """The bytes of objects that were sent."""
        return sum(one.nbytes for one in self.asked if one.method == "GET" and one.range)


def _method(environ) -> str:
    """The method of a request, or its step in an upload."""
    asked, method = parse_qs(environ["QUERY_STRING"], keep_blank_values=True), environ["REQUEST_METHOD"]
    if "uploads" in asked and method == "POST":
        return "BEGIN"
    if "partNumber" in asked and method == "PUT":
        return "COPY" if "HTTP_X_AMZ_COPY_SOURCE" in environ else "PART"
    if "uploadId" in asked:
        return {"POST": "COMPLETE", "DELETE": "ABORT"}.get(method, method)
    return method


def _upload(environ) -> str:
    """The name of the upload that a request is a step of."""
    return parse_qs(environ["QUERY_STRING"])["uploadId"][0]


def _refused(environ, start_response, status: int, code: str) -> list[bytes]:
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if status == 200:
        start_response("200 OK", [])
        return [b""]
    start_response(f"{status} Fault", [("Content-Type", "application/xml")])
    return [f"<Error><Code>{code}</Code><Message>canary</Message></Error>".encode()]


def in_part(body: bytes) -> Iterator[bytes]:
    yield body[: len(body) // 2]
    raise ConnectionResetError


@contextmanager
def running(server: Any) -> Iterator[str]:
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


@cache
def client() -> Any:
    """One client of the server for all tests of a process: making one takes longer than a request."""
    import boto3

    return boto3.client("s3")


def _memory() -> Any:
    """What moto's server, which runs in this process, has in memory."""
    from moto.s3.models import s3_backends

    partition, account = s3_backends.bucket_accounts[BUCKET]
    return s3_backends[account][partition]


class Bucket:
    """What is in the bucket, as the server has it: objects, and uploads that are not complete."""

    def __init__(self) -> None:
        self.client = client()

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """The content of each object below `prefix`, by the rest of its name."""
        kept = _memory().buckets[BUCKET].keys
        return {name.removeprefix(prefix): kept[name].value for name in sorted(kept) if name.startswith(prefix)}

    def content(self, name: str) -> bytes:
        return self.objects()[name]

    def put(self, name: str, content: bytes, **properties: object) -> None:
        self.client.put_object(Bucket=BUCKET, Key=name, Body=content, **properties)

    def remove(self, name: str) -> None:
        self.client.delete_object(Bucket=BUCKET, Key=name)

    @property
    def uploads(self) -> list[str]:
        """The names of the objects that are being uploaded."""
        return [one["Key"] for one in self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ())]


def ended(arguments: list[str], server: Any, step: str, number: int) -> int:
    """The status of `initctl` with these arguments, which gets a signal at the first request for this `step`."""
    process = subprocess.Popen([sys.executable, "-m", "initctl", *arguments], stdout=-1, stderr=-1, text=True)

    def fits(method: str, _: str) -> bool:
        if method == step:
            os.kill(process.pid, number)
        return False

    server.faults.append(Fault(fits))
    process.communicate(timeout=60)
    server.faults.clear()
    return process.returncode
