"""What a part leaves behind when it is done: which ranges it wrote, their checksums, and who took how long."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from initctl.display.tables import Displayed, Report, size_text
from initctl.escaping import escape
from initctl.planning.documents import signed
from initctl.schemas import PART

SCHEMA = f"{PART}1"


class WrittenRange(NamedTuple):
    """A range of a result's `file`, and the CRC-32 of its bytes; or, if it is in a store, the `tag` by which the store
    knows it. A piece is several ranges if it has records with checksums of their own.
    """

    file: str
    start: int
    stop: int
    crc32: int | None = None
    tag: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Its fields as plain data, without those that it does not have."""
        return {name: value for name, value in self._asdict().items() if value is not None}


@dataclass(frozen=True, slots=True, repr=False)
class Receipt(Displayed):
    """The result of `initctl.Parts.write`: part `number` of `parts` is written, and kept even if the power fails.

    Attributes:
        job: the digest that all parts of one result share.
        ranges: what was written, with checksums.
        host, seconds: where, and how long it took.
        engines: the names of the engines that computed, by device.
        was_done: whether an earlier call wrote it; it is not in the file.
    """

    job: str
    number: int
    parts: int
    ranges: tuple[WrittenRange, ...]
    host: str
    seconds: float
    engines: Mapping[str, str] = field(default_factory=dict)
    was_done: bool = False

    @property
    def nbytes(self) -> int:
        return sum(found.stop - found.start for found in self.ranges)

    @property
    def sections(self) -> list[tuple[str, int, int]]:
        """The file, the start and the end of each range."""
        return [(found.file, found.start, found.stop) for found in self.ranges]

    @property
    def name(self) -> str:
        """The name of its file."""
        return name_of(self.number, self.parts)

    def summary(self) -> dict[str, Any]:
        """Its facts as plain data, without the ranges."""
        return {
            "part": self.number,
            "bytes": self.nbytes,
            "host": self.host,
            "seconds": self.seconds,
            "engines": dict(self.engines),
        }

    def to_json(self) -> dict[str, Any]:
        ranges = [found.to_json() for found in self.ranges]
        return {**self.summary(), "parts": self.parts, "was_done": self.was_done, "ranges": ranges}

    def report(self, *, unfold: bool = False) -> Report:  # noqa: ARG002 - one line is never folded
        """One line."""
        part = f"part {self.number} of {self.parts}"
        by = f"{size_text(self.nbytes)} in {self.seconds:.1f} s on {escape(self.host)}"
        return [f"{part}: was written before: {by}" if self.was_done else f"{part}: wrote {by}"]

    def to_document(self) -> bytes:
        """The content of its file."""
        content = self.to_json()
        del content["was_done"]
        return (json.dumps(signed({"schema": SCHEMA, "job": self.job, **content}), indent=1) + "\n").encode()

    @classmethod
    def read(cls, content: bytes) -> Receipt | None:
        """The receipt in a file with this `content`; None if that is something else, or damaged."""
        try:
            document = json.loads(content)  # a name of a file may be bytes that strict JSON refuses
            if document["schema"] != SCHEMA or document["digest"] != signed(document)["digest"]:
                return None
            ranges = tuple(WrittenRange(**entry) for entry in document["ranges"])
            job, number, parts = (document[key] for key in ("job", "part", "parts"))
            return cls(job, number, parts, ranges, document["host"], document["seconds"], document["engines"])
        except (ValueError, LookupError, TypeError, RecursionError):
            return None


def name_of(number: int, parts: int) -> str:
    return f"part-{number}-of-{parts}.json"
