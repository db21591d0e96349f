"""fake-gcs-server on this machine, behind a proxy that counts what is asked of it and makes faults."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, quote

from tests.stores.servers import BUCKET, Asked, in_part

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from tests.stores.servers import Fault

SHORT = 256 << 10
"""Google keeps multiples of this many bytes of an upload that is not at its end."""
_PLACE = f"/storage/v1/b/{BUCKET}/o"
_PAGE = 5
"""Objects of a list. Google's pages are longer; fake-gcs-server has none."""
_SENT = re.compile(r"bytes (?:(?P<start>\d+)-\d+|\*)/(?P<size>\d+|\*)")
_LATER = b"2100-01-01T00:00:00Z"
"""The time of a change of metadata."""
_SECONDS = 30
"""The time that a server takes to start at most."""


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class _Upload:
    """An upload of `size` bytes, of which the store has those before `reached`; and the answer at its end."""

    def __init__(self, condition: str | None, name: str) -> None:
        self.condition, self.name, self.reached = condition, name, 0
        self.answer: Answer | None = None


class GcsServer:
    """A proxy, as a WSGI application, in front of the fake-gcs-server at a `port`.

    fake-gcs-server has no pages, keeps the time of an update, ignores the conditions of deletions and of uploads in
    chunks, and ends an upload when its state is asked for; Google's ways are followed here. Methods are those of HTTP,
    or a step of an upload: BEGIN, CHUNK, END, STATE.
    """

    scheme = "gs"

    def __init__(self, port: int) -> None:
        self._port = port
        self.upstream = f"http://127.0.0.1:{port}"
        self._uploads: dict[str, _Upload] = {}
        self._described: set[str] = set()
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.breaking = 0
        """The number of ranges that are sent only in part: then the connection breaks."""
        self.errors: list[Exception] = []
        """What a request met that Google would not have understood."""
        self.unit = SHORT
        self.has_ranges = True
        self.authorized: set[str | None] = set()
        """What requests were authorized by."""
        self.short = 0
        """The number of chunks of which only the beginning is kept."""
        self.gate: threading.Barrier | None = None
        """If given, ranges of shards are answered in groups: all of a group must have been asked for."""

    def url(self, key: str) -> str:
        return f"gs://{BUCKET}/{key}"

    def put(self, key: str, content: bytes, **metadata: str) -> None:
        head = json.dumps({"name": key, **metadata}).encode()
        body = b"--X\r\nContent-Type: application/json\r\n\r\n%b\r\n--X\r\nContent-Type: %b\r\n\r\n%b\r\n--X--"
        headers = {"Content-Type": "multipart/related; boundary=X"}
        kind = metadata.get("contentType", "x/y").encode()
        answer = self._forwarded("POST", f"/upload{_PLACE}?uploadType=multipart", headers, body % (head, kind, content))
        assert answer.status == 200, answer

    def delete(self, key: str) -> None:
        assert self._forwarded("DELETE", f"{_PLACE}/{quote(key, safe='')}").status == 200

    def describe(self, key: str) -> None:
        """Change the metadata of an object: it is `updated` later."""
        self._described.add(key)

    def begin(self) -> None:
        """Make an empty bucket."""
        made = self._forwarded("POST", "/storage/v1/b?project=p", {}, json.dumps({"name": BUCKET}).encode())
        assert made.status == 200, made

    def end(self) -> None:
        """Forget all faults, and the bucket."""
        self.faults.clear()
        self.breaking, self.short, self.gate, self.has_ranges = 0, 0, None, True
        self.unit = SHORT
        self._uploads.clear()
        self.authorized.clear()
        self._described.clear()
        errors, self.errors = self.errors, []
        assert not errors
        for found in json.loads(self._forwarded("GET", _PLACE).body).get("items", ()):
            self.delete(found["name"])
        assert self._forwarded("DELETE", f"/storage/v1/b/{BUCKET}").status == 200

    def __call__(self, environ, start_response):
        try:
            return self._obeyed(environ, start_response)
        except Exception as error:
            self.errors.append(error)
            raise

    def _obeyed(self, environ, start_response):
        sent = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        method, path = _method(environ), environ["PATH_INFO"]
        fault = next((one for one in self.faults if one.times and one.fits(method, path)), None)
        if fault:
            fault.times -= 1
        if self.gate and "-of-" in path and "HTTP_RANGE" in environ:
            self.gate.wait()
        if fault and fault.status and fault.code != "obeyed":
            answer = _refusal(fault.status, fault.code)
        else:
            answer = self._answer(method, environ, sent)
            self.asked.append(Asked(method, path, environ.get("HTTP_RANGE"), len(answer.body), len(sent)))
        if fault and fault.status and fault.code == "obeyed":
            answer = _refusal(fault.status, fault.code)
        if fault and not fault.status:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        start_response(f"{answer.status} Answer", answer.headers)
        if self.breaking and "HTTP_RANGE" in environ:
            self.breaking -= 1
            return in_part(answer.body)
        return [answer.body]

    def _answer(self, method: str, environ, sent: bytes) -> Answer:
        asked = {key: values[0] for key, values in parse_qs(environ["QUERY_STRING"]).items()}
        if environ["PATH_INFO"] == "/token":
            given = {"access_token": "canary-token", "expires_in": 3600, "token_type": "Bearer"}
            return Answer(200, [("Content-Type", "application/json")], json.dumps(given).encode())
        self.authorized.add(environ.get("HTTP_AUTHORIZATION"))
        if not self.has_ranges:
            environ.pop("HTTP_RANGE", None)
        if "upload_id" in asked:
            return self._uploaded(method, environ, asked["upload_id"], sent)
        if method == "DELETE" and asked.get("ifGenerationMatch") not in (None, self.generation(_key(environ))):
            return _refusal(412, "conditionNotMet")
        answer = self._forwarded(environ["REQUEST_METHOD"], environ["REQUEST_URI"], _headers(environ), sent)
        if method == "BEGIN" and answer.status == 200:
            place = dict(answer.headers)["Location"]
            upload = parse_qs(place.partition("?")[2])["upload_id"][0]
            name = asked.get("name") or json.loads(sent)["name"]
            self._uploads[upload] = _Upload(asked.get("ifGenerationMatch"), name)
            place = place.replace(f":{self._port}/", f":{environ['SERVER_PORT']}/")
            return answer._replace(headers=[("Location", place), ("Content-Type", "application/json")])
        if method == "GET" and environ["PATH_INFO"] == _PLACE and answer.status == 200:
            return _page(answer, int(asked.get("pageToken", 0)))
        if method == "GET" and _key(environ) in self._described:
            later = re.sub(rb'"updated":"[^"]+', b'"updated":"' + _LATER, answer.body)
            return Answer(200, [("Content-Type", "application/json")], later)
        return answer

    def _uploaded(self, method: str, environ, number: str, sent: bytes) -> Answer:
        """The answer to a step of an upload."""
        upload = self._uploads.get(number)
        if upload is None:
            return _refusal(404, "notFound")
        if method == "DELETE":
            del self._uploads[number]
            return Answer(499, [], b"")
        if method == "STATE" or upload.answer:
            return upload.answer or upload_state(upload.reached)
        found = _SENT.fullmatch(environ["HTTP_CONTENT_RANGE"])
        start, size = int(found["start"] or 0), -1 if found["size"] == "*" else int(found["size"])
        assert start == upload.reached, "bytes that the store has, or a gap"
        if self.short:
            self.short -= 1
            sent = sent[:SHORT] if len(sent) > SHORT else b""
            if not sent:
                return upload_state(upload.reached)
        stop = start + len(sent)
        assert stop == size or len(sent) % self.unit == 0, "a chunk of a length that Google does not take"
        if stop == size and upload.condition not in (None, self.generation(upload.name)):
            del self._uploads[number]
            return _refusal(412, "conditionNotMet")
        kept = f"bytes {start}-{stop - 1}/{found['size']}" if size else "bytes */0"
        headers = {**_headers(environ), "CONTENT-RANGE": kept}
        answer = self._forwarded("PUT", environ["REQUEST_URI"], headers, sent)
        assert answer.status == (200 if stop == size else 308), answer
        upload.reached, upload.answer = stop, answer if stop == size else None
        return upload.answer or upload_state(stop)

    def generation(self, key: str) -> str:
        """The version of the object `key` that is there now: 0 if there is none."""
        answer = self._forwarded("GET", f"{_PLACE}/{quote(key, safe='')}")
        return json.loads(answer.body)["generation"] if answer.status == 200 else "0"

    def content(self, key: str) -> bytes | None:
        answer = self._forwarded("GET", f"/download{_PLACE}/{quote(key, safe='')}?alt=media")
        return answer.body if answer.status == 200 else None

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """The content of each object below `prefix`, by the rest of its name."""
        found = json.loads(self._forwarded("GET", f"{_PLACE}?prefix={quote(prefix, safe='')}").body)
        return {one["name"].removeprefix(prefix): self.content(one["name"]) for one in found.get("items", ())}

    @property
    def uploads(self) -> list[str]:
        """The names of the objects that are being uploaded."""
        return [upload.name for upload in self._uploads.values() if not upload.answer]

    def _forwarded(self, method: str, address: str, headers: dict[str, str] | None = None, sent: bytes = b"") -> Answer:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request(method, address, sent, headers or {})
            answer = connection.getresponse()
            kept = [pair for pair in answer.getheaders() if pair[0].lower() not in ("connection", "transfer-encoding")]
            return Answer(answer.status, kept, answer.read())
        finally:
            connection.close()

    @property
    def nbytes(self) -> int:
        """The bytes of objects that were sent."""
        return sum(one.nbytes for one in self.asked if one.range)


def _method(environ) -> str:
    """The method of a request, or its step in an upload."""
    asked, method = parse_qs(environ["QUERY_STRING"]), environ["REQUEST_METHOD"]
    if asked.get("uploadType") == ["resumable"] and method == "POST":
        return "BEGIN"
    if "upload_id" not in asked or method != "PUT":
        return method
    said = environ["HTTP_CONTENT_RANGE"]
    if said.startswith("bytes */") and said != "bytes */0":
        return "STATE"
    return "END" if said == "bytes */0" or said.endswith(f"/{int(re.split('[-/]', said)[1]) + 1}") else "CHUNK"


def _key(environ) -> str:
    """The object that a request is about. WSGI has the bytes of a path as Latin-1."""
    return environ["PATH_INFO"].encode("latin-1").decode().removeprefix(f"{_PLACE}/")


def _headers(environ) -> dict[str, str]:
    found = {key[5:].replace("_", "-"): value for key, value in environ.items() if key.startswith("HTTP_")}
    kind = {"CONTENT-TYPE": environ["CONTENT_TYPE"]} if environ.get("CONTENT_TYPE") else {}
    return {**found, **kind, "CONNECTION": "close"}


def upload_state(reached: int) -> Answer:
    """The answer for an upload that is not at its end."""
    return Answer(308, [("Range", f"bytes=0-{reached - 1}")] if reached else [], b"")


def _page(answer: Answer, start: int) -> Answer:
    found = json.loads(answer.body)
    items = found.pop("items", [])
    if items[start : start + _PAGE]:
        found["items"] = items[start : start + _PAGE]
    if items[start + _PAGE :]:
        found["nextPageToken"] = str(start + _PAGE)
    return Answer(200, [("Content-Type", "application/json")], json.dumps(found).encode())


def _refusal(status: int, reason: str) -> Answer:
    body = {"error": {"code": status, "message": "canary", "errors": [{"reason": reason, "message": "canary"}]}}
    return Answer(status, [("Content-Type", "application/json")], json.dumps(body).encode())


@contextmanager
def fake_gcs_server(binary: str) -> Iterator[int]:
    """The port of a fake-gcs-server, which keeps objects in memory and answers during the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [binary, "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
    process = subprocess.Popen(
        [*command, "-external-url", f"http://127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await(process, port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _await(process: subprocess.Popen, port: int) -> None:
    """Return when the server answers."""
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise OSError(f"fake-gcs-server does not answer; its exit status is {process.poll()}")
