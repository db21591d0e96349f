"""Results that are written to a store again and again, each time with a fault at another request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from safetensors.torch import save_file

import initctl
import initctl.stores.mirror
from initctl.errors import InitctlError
from tests.stores.servers import BUCKET, Bucket, Fault, Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

URL = f"s3://{BUCKET}"
RULES = ["head.weight=normal", "body.weight=zeros"]


class Answer(NamedTuple):
    """What happens to a request, and to the same request if it is made again, `times` times: see `Fault`."""

    status: int | None
    code: str
    times: int = 1

    def __str__(self) -> str:
        return f"{self.code}-{self.times}"


ANSWERS = (
    Answer(503, "SlowDown"), Answer(503, "SlowDown", 9), Answer(500, "InternalError", 9), Answer(403, "AccessDenied"),
    Answer(404, "NoSuchUpload"), Answer(409, "ConditionalRequestConflict"), Answer(412, "PreconditionFailed"),
    Answer(None, "lost"), Answer(None, "lost", 9),
)  # fmt: skip


class Result(NamedTuple):
    """A result: arguments of `initctl.apply`, and what is in the bucket before it is written."""

    name: str
    source: str
    asked: dict[str, Any]
    before: dict[str, bytes]

    def __str__(self) -> str:
        return self.name

    def write(self) -> int:
        """Write it. Returns the exit status of the command."""
        try:
            initctl.apply(self.source, rules=RULES, threads=1, **self.asked)
        except InitctlError as error:
            assert "canary" not in str(error)
            return error.exit_status
        return 0


def results(folder: Path) -> Iterator[Result]:
    """One of each kind: a new object, a replaced one, a new directory, and a directory that changes in place."""
    state = {"kept.weight": torch.ones(5000), "head.weight": torch.ones(2000), "body.weight": torch.ones(300)}
    save_file(state, folder / "net.safetensors")
    (folder / "net").mkdir()
    initctl.apply(
        folder / "net.safetensors", f"{folder}/net/", rules=["nothing=keep"], allow_unused=True, max_shard_size="9kB"
    )
    one = {"net.safetensors": (folder / "net.safetensors").read_bytes()}
    many = {f"net/{path.name}": path.read_bytes() for path in (folder / "net").iterdir()}
    assert len(many) == 4
    yield Result("new", f"{folder}/net.safetensors", {"output": f"{URL}/new.safetensors"}, {})
    yield Result("copied", f"{URL}/net.safetensors", {"output": f"{URL}/new.safetensors"}, one)
    yield Result("replaced", f"{URL}/net.safetensors", {"in_place": True}, one)
    yield Result("directory", f"{URL}/net", {"output": f"{URL}/new"}, many)
    yield Result("prefix", f"{URL}/net", {"in_place": True}, many)


class Swept(NamedTuple):
    """The request with the fault, the exit status, and what was in the bucket then: objects, and uploads."""

    request: tuple[str, str]
    status: int
    objects: dict[str, bytes]
    uploads: list[str]


def swept(server: Server, result: Result, answer: Answer) -> Iterator[Swept]:
    """What becomes of `result` with a fault at its first request that writes, at the next one, and so on."""
    number = 0
    while True:
        number += 1
        _reset(server, result)
        seen: list[tuple[str, str]] = []

        def fits(method: str, path: str, seen: list[tuple[str, str]] = seen, number: int = number) -> bool:
            if seen or method == "BEGIN":
                seen.append((method, path))
            return len(seen) >= number and (method, path) == seen[number - 1]

        server.faults.append(Fault(fits, answer.status, answer.code, answer.times))
        status = result.write()
        server.faults.clear()
        if len(seen) < number:
            return
        bucket = Bucket()
        yield Swept(seen[number - 1], status, bucket.objects(), bucket.uploads)


def complete(server: Server, result: Result) -> dict[str, bytes]:
    """What is in the bucket if nothing fails."""
    _reset(server, result)
    assert result.write() == 0
    return Bucket().objects()


def _reset(server: Server, result: Result) -> None:
    bucket = Bucket()
    for name in bucket.objects():
        bucket.remove(name)
    for one in bucket.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", ()):
        bucket.client.abort_multipart_upload(Bucket=BUCKET, Key=one["Key"], UploadId=one["UploadId"])
    for name, content in result.before.items():
        bucket.put(name, content)
    initctl.stores.mirror._tops.clear()
