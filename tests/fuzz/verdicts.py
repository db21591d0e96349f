"""What initctl and other readers say of one input, and whether their difference is explained."""

from __future__ import annotations

import os
import re
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.errors import InitctlError
from tests.fuzz.explained import DIFFERENCES, Difference
from tests.hostile import is_safe

if TYPE_CHECKING:
    from collections import Counter
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.fuzz.target import Target

LONGEST_MESSAGE = 1000
"""Characters of a message, without a path of this process."""


class Finding(Exception):  # noqa: N818 - what a fuzzer looks for
    """An input for which a promise does not hold."""


@dataclass(frozen=True)
class Verdict:
    """What initctl says of an input, and each oracle: None if it accepts it, else how it refuses it."""

    ours: str | None
    theirs: Mapping[str, str | None]

    @property
    def kind(self) -> str:
        if all((said is None) == (self.ours is None) for said in self.theirs.values()):
            return "both accept" if self.ours is None else "both refuse"
        return "only they refuse" if self.ours is None else "only we refuse"

    def differences(self, target: str) -> Iterable[tuple[str, Difference | None]]:
        """Each oracle that disagrees, and what explains it."""
        for oracle, said in self.theirs.items():
            if (said is None) != (self.ours is None):
                refuses, message = ("initctl", self.ours or "") if said is None else ("oracle", said)
                yield oracle, next((d for d in DIFFERENCES if d.fits(target, oracle, refuses, message)), None)


class Judged(NamedTuple):
    verdict: Verdict
    explained: tuple[Difference, ...]


def judge(target: Target, content: bytes, folder: Path, watching: Callable[[], AbstractContextManager[None]]) -> Judged:
    """The verdicts about `content`. Raises `Finding` if a promise does not hold, or if they differ without a reason."""
    path = folder / target.file
    _write(path, content)
    ours, found = _ours(target, path, watching)
    theirs: dict[str, str | None] = {}
    others: dict[str, Any] = {}
    for name, oracle in target.oracles.items():
        try:
            with warnings.catch_warnings(action="ignore"):
                others[name] = oracle(content)
            theirs[name] = None
        except Exception as error:  # whatever a library raises is a refusal
            theirs[name] = f"{type(error).__name__}: {_place_of(error)}{_in_short(str(error))}"
    verdict = Verdict(ours, theirs)
    explained = []
    for oracle, difference in verdict.differences(target.name):
        if difference is None:
            raise Finding(f"{oracle} disagrees: we say {ours!r}, it says {theirs[oracle]!r}")
        explained.append(difference)
    if ours is None:
        try:
            target.check(found, content, others)
        except AssertionError as error:
            raise Finding(f"what was read is not what is there: {error}") from error
    return Judged(verdict, tuple(explained))


def _write(path: Path, content: bytes) -> None:
    """As `write_bytes` does, with half the system calls."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


def _ours(target: Target, path: Path, watching: Callable[[], AbstractContextManager[None]]) -> tuple[str | None, Any]:
    try:
        with watching():
            return None, target.read(path)
    except InitctlError as error:
        message = "; ".join(str(problem) for problem in error.problems)
        for problem in error.problems:
            line = str(problem).replace(str(path.parent), "")
            if not (line.isprintable() and is_safe(line) and len(line) <= LONGEST_MESSAGE):
                raise Finding(f"a message that is not one safe line: {line!r}") from error
        return message, None
    except Exception as error:
        raise Finding(f"{type(error).__name__}: {error}") from error


def tally(judged: Judged, counts: Counter[str]) -> None:
    """Count a verdict, and the reasons of its differences."""
    counts[judged.verdict.kind] += 1
    for difference in judged.explained:
        counts[f"reason: {difference.reason}"] += 1


def _place_of(error: Exception) -> str:
    """Says so if torch refuses a tensor or a storage, and not something else that the input makes it call."""
    names = [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]
    inside = [name for name in names if name.startswith("_rebuild_") or name in ("persistent_load", "load_tensor")]
    return f"in {inside[-1]}: " if inside else ""


def _in_short(message: str) -> str:
    """What torch says beside its advice."""
    found = re.search(r"WeightsUnpickler error: (.*?)(\n|\Z)", message)
    return found[1] if found else message[:500]
