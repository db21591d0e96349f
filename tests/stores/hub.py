"""A server on this machine that answers as the Hugging Face Hub does, and another one as its content delivery network.

It knows what huggingface_hub asks in order to list, read and commit, and keeps a history of commits.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

TOKEN = "hf_canarytoken"
NAME = "org/name"
_LARGE = (".safetensors", ".bin", ".pt")
"""Endings of files that are kept outside of git."""
_PAGE = 7
"""Entries of a page of a list."""


class Asked(NamedTuple):
    """A request, and the number of bytes of the answer's body. `host` is "hub" or "cdn"."""

    host: str
    method: str
    path: str
    range: str | None
    token: str | None
    nbytes: int


class Fault(NamedTuple):
    """What happens to a request whose method and path `fits` accepts: an answer with a status and a code of the Hub;
    or, if the status is 0, an answer that is lost, before the request is obeyed or after it.
    """

    fits: Callable[[str, str], bool]
    status: int
    code: str = ""
    is_obeyed: bool = True
    headers: Mapping[str, str] = {}


@dataclass
class Commit:
    files: dict[str, bytes]
    title: str = "initial commit"
    message: str = ""
    parent: str | None = None

    @property
    def sha(self) -> str:
        listed = [(name, oid(name, content)) for name, content in sorted(self.files.items())]
        return hashlib.sha1(repr([listed, self.title, self.message, self.parent]).encode()).hexdigest()


@dataclass
class Repository:
    """Commits by SHA, and branches and tags."""

    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    is_private: bool = False
    is_gated: bool = False
    ignored: str = ""

    def add(self, files: dict[str, bytes], branch: str = "main", title: str = "A commit", message: str = "") -> str:
        """Make a commit with these files only."""
        commit = Commit(files, title, message, self.refs.get(branch))
        self.commits[commit.sha] = commit
        self.refs[branch] = commit.sha
        return commit.sha

    def sha(self, revision: str) -> str | None:
        return self.refs.get(revision) or (revision if revision in self.commits else None)

    def history(self, sha: str | None) -> Iterator[str]:
        while sha:
            yield sha
            sha = self.commits[sha].parent

    def head(self, branch: str = "main") -> dict[str, bytes]:
        """The files of the last commit of a branch."""
        return self.commits[self.refs[branch]].files


@lru_cache
def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@lru_cache
def oid(name: str, content: bytes) -> str:
    """The id of a file in git, which is the pointer's if the file is kept outside of it."""
    if name.endswith(_LARGE):
        size = len(content)
        content = f"version https://git-lfs.github.com/spec/v1\noid sha256:{_sha256(content)}\nsize {size}\n".encode()
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


class Hub:
    """The state of both servers. Repositories are named as in the API: models/org/name."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.uploaded: dict[str, bytes] = {}
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.breaking = 0
        """The number of ranges that are sent only in part: then the connection breaks."""
        self.knows_ranges = True
        self.shift = 0
        """The bytes by which ranges begin too late."""
        self.cut_off = threading.Event()
        """It is set once a client has not read an answer to its end."""
        self.gate: threading.Barrier | None = None
        """If given, ranges of shards are answered in groups: all of a group must have been asked for."""
        self.before: tuple[str, Callable[[], object]] | None = None
        """What happens just before the next request whose path contains a text."""
        self.url = self.cdn = ""

    def clear(self) -> None:
        self.repositories.clear()
        self.uploaded.clear()
        self.asked.clear()
        self.faults.clear()
        self.breaking, self.knows_ranges, self.gate, self.before = 0, True, None, None
        self.shift = 0
        self.cut_off.clear()

    @property
    def nbytes(self) -> int:
        """The bytes of files that were sent."""
        return sum(one.nbytes for one in self.asked if one.range)

    def paths(self, method: str, pattern: str) -> list[str]:
        """The paths that were asked for."""
        return [one.path for one in self.asked if one.method == method and re.search(pattern, one.path)]


class _RefusedError(Exception):
    def __init__(self, status: int, code: str = "", headers: Mapping[str, str] | None = None) -> None:
        self.status, self.code, self.headers = status, code, headers or {}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    host = "hub"
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_GET  # noqa: N815 - the name that http.server calls
    do_PUT = do_GET  # noqa: N815

    def _answer(self) -> None:
        self.content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        address = urlsplit(self.path)
        self.asked_for, self.query = unquote(address.path), parse_qs(address.query)
        if self.hub.before and self.hub.before[0] in self.asked_for:
            self.hub.before[1]()
            self.hub.before = None
        fault = next((one for one in self.hub.faults if one.fits(self.command, self.asked_for)), None)
        if fault:
            self.hub.faults.remove(fault)
        try:
            if fault and not fault.status and not fault.is_obeyed:
                self._lose()
                return
            status, headers, body = self._obeyed(fault)
        except _RefusedError as refused:
            status, body = refused.status, json.dumps({"error": f"canary {refused.code}"}).encode()
            headers = {"X-Error-Code": refused.code, "X-Error-Message": "canary message", **refused.headers}
        if fault and not fault.status:
            self._lose()
            return
        self._send(status, headers, body)

    def _obeyed(self, fault: Fault | None) -> tuple[int, Mapping[str, str], bytes]:
        if fault and fault.status:
            raise _RefusedError(fault.status, fault.code, fault.headers)
        return self._delivered() if self.host == "cdn" else self._of_hub()

    def _lose(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        asked = self.headers.get("Range")
        token = self.headers.get("Authorization")
        self.hub.asked.append(Asked(self.host, self.command, self.asked_for, asked, token, len(body)))
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if asked and self.hub.breaking and status in (200, 206):
            self.hub.breaking -= 1
            self.wfile.write(body[: len(body) // 2])
            self._lose()
        else:
            self.wfile.write(body)

    def _of_hub(self) -> tuple[int, Mapping[str, str], bytes]:
        for method, pattern, answer in _ROUTES:
            if self.command == method and (found := re.fullmatch(pattern, self.asked_for)):
                return answer(self, **found.groupdict())
        raise _RefusedError(404)

    def _repository(self, kind: str, name: str) -> Repository:
        """The repository, if this user may read it."""
        found = self.hub.repositories.get(f"{kind}/{name}")
        is_known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if "Authorization" in self.headers and not is_known:
            raise _RefusedError(401)
        if found is None or (found.is_private and not is_known):
            raise _RefusedError(404, "RepoNotFound") if is_known else _RefusedError(401)
        return found

    def _commit(self, kind: str, name: str, revision: str) -> tuple[Repository, Commit]:
        repository = self._repository(kind, name)
        sha = repository.sha(revision)
        if sha is None:
            raise _RefusedError(404, "RevisionNotFound")
        return repository, repository.commits[sha]

    def info(self, kind: str, name: str, revision: str | None = None) -> tuple[int, Mapping[str, str], bytes]:
        _, commit = self._commit(kind, name, revision or "main")
        siblings = [{"rfilename": file} for file in commit.files]
        return _json({"id": name, "sha": commit.sha, "siblings": siblings, "tags": [], "private": False})

    def tree(self, kind: str, name: str, revision: str, folder: str | None = None):
        _, commit = self._commit(kind, name, revision)
        prefix, entries = f"{folder}/" if folder else "", {}
        for file, content in sorted(commit.files.items()):
            below = file.removeprefix(prefix)
            if not file.startswith(prefix):
                continue
            parts = below.split("/")
            for count in range(1, len(parts)):
                path = prefix + "/".join(parts[:count])
                entries[path] = {"type": "directory", "oid": "0" * 40, "size": 0, "path": path}
            entries[file] = _entry(file, content)
        if not self.query.get("recursive") or self.query["recursive"][0].lower() in ("false", "0"):
            entries = {path: entry for path, entry in entries.items() if "/" not in path.removeprefix(prefix)}
        if folder and not entries:
            raise _RefusedError(404, "EntryNotFound")
        start = int(self.query.get("cursor", ["0"])[0])
        rest = list(entries.values())[start:]
        again = "&".join(f"{key}={value[0]}" for key, value in self.query.items() if key != "cursor")
        following = f"{self.hub.url}{quote(self.asked_for)}?{again}&cursor={start + _PAGE}"
        return _json(rest[:_PAGE], {"Link": f'<{following}>; rel="next"'} if len(rest) > _PAGE else {})

    def paths_info(self, kind: str, name: str, revision: str):
        _, commit = self._commit(kind, name, revision)
        asked = parse_qs(self.content.decode())["paths"]
        folders = [path for path in asked if any(file.startswith(f"{path}/") for file in commit.files)]
        found = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": path} for path in folders]
        return _json(found + [_entry(path, commit.files[path]) for path in asked if path in commit.files])

    def commits(self, kind: str, name: str, revision: str):
        repository, commit = self._commit(kind, name, revision)
        found = [repository.commits[sha] for sha in repository.history(commit.sha)]
        date = "2026-01-01T00:00:00.000Z"
        return _json(
            [
                {"id": one.sha, "title": one.title, "message": one.message, "date": date, "authors": [{"user": "me"}]}
                for one in found
            ]
        )

    def resolve(self, name: str, revision: str, file: str, prefix: str | None = None):
        repository, commit = self._commit(prefix or "models", name, revision)
        if repository.is_gated:
            raise _RefusedError(403, "GatedRepo")
        if file not in commit.files:
            raise _RefusedError(404, "EntryNotFound")
        if not file.endswith(_LARGE):
            return self._in_range(file, commit.files[file], {"X-Repo-Commit": commit.sha})
        digest = _sha256(commit.files[file])
        self.hub.uploaded[digest] = commit.files[file]
        place = f"{self.hub.cdn}/repos/{digest}/{file}?X-Signature=canary-signature"
        return 302, {"Location": place, "X-Repo-Commit": commit.sha, "X-Linked-Etag": f'"{digest}"'}, b""

    def _delivered(self) -> tuple[int, Mapping[str, str], bytes]:
        _, _, digest, file = self.asked_for.split("/", 3)
        if self.command == "PUT":
            self.hub.uploaded[digest] = self.content
            return 200, {"ETag": '"tag"'}, b""
        return self._in_range(file, self.hub.uploaded[digest], {})

    def _in_range(self, file: str, content: bytes, headers: Mapping[str, str]):
        headers = {"Content-Type": "application/octet-stream", "ETag": f'"{oid(file, content)}"', **headers}
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if self.hub.gate and "-of-" in file and found:
            self.hub.gate.wait()
        if not found or not self.hub.knows_ranges:
            return 200, headers, content
        start, stop = int(found[1]) + self.hub.shift, min(int(found[2]) + 1, len(content))
        if start >= len(content):
            raise _RefusedError(416)
        return 206, {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{len(content)}"}, content[start:stop]

    def preupload(self, kind: str, name: str, revision: str):
        repository, commit = self._commit(kind, name, revision)
        self._check_writer()
        asked = json.loads(self.content)
        ignored = asked.get("gitIgnore", repository.ignored).split()
        return _json(
            {
                "files": [
                    {
                        "path": one["path"],
                        "uploadMode": "lfs" if one["path"].endswith(_LARGE) else "regular",
                        "shouldIgnore": one["path"] in ignored,
                        "oid": _remote_oid(one["path"], commit.files.get(one["path"])),
                    }
                    for one in asked["files"]
                ]
            }
        )

    def _check_writer(self) -> None:
        if "Authorization" not in self.headers:
            raise _RefusedError(403)

    def batch(self, name: str, prefix: str | None = None):
        self._repository(prefix or "models", name)
        self._check_writer()
        objects = json.loads(self.content)["objects"]
        for one in objects:
            if one["oid"] not in self.hub.uploaded:
                place = f"{self.hub.cdn}/upload/{one['oid']}/x?X-Signature=canary-signature"
                one["actions"] = {"upload": {"href": place, "header": {}}}
        return _json({"transfer": "basic", "objects": objects})

    def validate(self):
        return _json({"errors": [], "warnings": []})

    def commit(self, kind: str, name: str, revision: str):
        repository, head = self._commit(kind, name, revision)
        self._check_writer()
        lines = [json.loads(line) for line in self.content.splitlines()]
        header, files = lines[0]["value"], dict(head.files)
        if header.get("parentCommit") not in (None, head.sha):
            raise _RefusedError(412)
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.uploaded[value["oid"]]
            elif files.pop(value["path"], None) is None:
                raise _RefusedError(404, "EntryNotFound")
        sha = repository.add(files, revision, header["summary"], header["description"])
        return _json({"success": True, "commitOid": sha, "commitUrl": f"{self.hub.url}/{name}/commit/{sha}"})


_PLACE = r"/api/(?P<kind>models|datasets|spaces)/(?P<name>[^/]+/[^/]+)"
_SHORT = r"/(?:(?P<prefix>datasets|spaces)/)?(?P<name>[^/]+/[^/]+)"
_REVISION = r"(?P<revision>refs/pr/\d+|[^/]+)"
_ROUTES = (
    ("GET", rf"{_PLACE}(?:/revision/(?P<revision>.+))?", _Handler.info),
    ("GET", rf"{_PLACE}/tree/{_REVISION}(?:/(?P<folder>.+))?", _Handler.tree),
    ("GET", rf"{_PLACE}/commits/(?P<revision>.+)", _Handler.commits),
    ("POST", rf"{_PLACE}/paths-info/(?P<revision>.+)", _Handler.paths_info),
    ("POST", rf"{_PLACE}/preupload/(?P<revision>.+)", _Handler.preupload),
    ("POST", rf"{_PLACE}/commit/(?P<revision>.+)", _Handler.commit),
    ("POST", rf"{_SHORT}\.git/info/lfs/objects/batch", _Handler.batch),
    ("POST", r"/api/validate-yaml", _Handler.validate),
    ("GET", rf"{_SHORT}/resolve/{_REVISION}/(?P<file>.+)", _Handler.resolve),
)


def _json(document: object, headers: Mapping[str, str] | None = None) -> tuple[int, Mapping[str, str], bytes]:
    return 200, headers or {}, json.dumps(document).encode()


def _entry(name: str, content: bytes) -> dict[str, object]:
    found: dict[str, object] = {"type": "file", "path": name, "size": len(content), "oid": oid(name, content)}
    if name.endswith(_LARGE):
        digest = _sha256(content)
        found["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 134}
    return found


def _remote_oid(name: str, content: bytes | None) -> str | None:
    """What the Hub says of a file before it is uploaded: the digest of what it has under this name."""
    if content is None:
        return None
    return _sha256(content) if name.endswith(_LARGE) else oid(name, content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: Hub

    def handle_error(self, *_: object) -> None:
        self.hub.cut_off.set()


@contextmanager
def running() -> Iterator[Hub]:
    """Both servers, which answer during the block."""
    hub = Hub()
    servers = []
    for host in ("hub", "cdn"):
        handler = type("Handler", (_Handler,), {"hub": hub, "host": host})
        server = _Server(("127.0.0.1", 0), handler)
        server.hub = hub
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        servers.append((server, thread))
    hub.url, hub.cdn = (f"http://127.0.0.1:{server.server_port}" for server, _ in servers)
    try:
        yield hub
    finally:
        for server, thread in servers:
            server.shutdown()
            thread.join()
            server.server_close()
