"""One target in a process: inputs from a seed, until the time is over; what was found is written to files.

`python -m tests.fuzz.worker TARGET FOLDER SECONDS SEED [--guided]`. Guided, the coverage of the reader chooses the
inputs that further ones are made from; that needs atheris.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tests.fuzz.target import Target
    from tests.fuzz.verdicts import Judged
    from tests.fuzz.watch import Watch

_REPORTED = 500
"""Inputs between two reports."""


@dataclass
class Tally:
    """What one process has seen so far."""

    inputs: int = 0
    slowest: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    findings: dict[str, str] = field(default_factory=dict)
    """What is wrong, by the name of the input's file."""

    def write(self, path: Path) -> None:
        text = json.dumps(
            {"inputs": self.inputs, "slowest": self.slowest, "counts": self.counts, "findings": self.findings}
        )
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").rename(path)


class Session:
    """Tries inputs of one `target` in a `folder`, where the one that is tried is always on the disk."""

    def __init__(self, target: Target, folder: Path, watch: Watch) -> None:
        from tests.fuzz.verdicts import judge

        self.target, self.folder, self.watch, self._judge = target, folder, watch, judge
        self.tally = Tally()
        self.smallest: dict[str, bytes] = {}
        self.pool = list(target.seeds().values())
        self.real = len(self.pool)
        (folder / "findings").mkdir(parents=True, exist_ok=True)
        self.place = folder / "tree"
        (self.place / target.file).parent.mkdir(parents=True, exist_ok=True)
        target.prepare(self.place)
        for content in self.pool:  # what is imported once is imported now
            self._judge(target, content, self.place, _unwatched)

    def attempt(self, content: bytes) -> bool:
        """Try `content`. Returns whether initctl accepts it."""
        from tests.fuzz import corpus
        from tests.fuzz.verdicts import Finding, tally
        from tests.fuzz.watch import Hang, Ran

        self.tally.inputs += 1
        is_accepted = False
        try:
            judged = self._judge(self.target, content, self.place, self.watch.watching)
            is_accepted = judged.verdict.ours is None
            tally(judged, self.tally.counts)
            self._keep_smallest(judged, content)
        except (Finding, Hang, Ran, MemoryError) as error:
            kind = f"{type(error).__name__}: {error}"[:600]
            self.tally.counts["findings"] += 1
            if self._is_new(kind):
                name = corpus.name_of(content)
                (self.folder / "findings" / name).write_bytes(content)
                self.tally.findings[name] = kind
        self.tally.slowest = max(self.tally.slowest, self.watch.seconds)
        if self.tally.inputs % _REPORTED == 0:
            self.tally.write(self.folder / "tally.json")
        return is_accepted

    def _keep_smallest(self, judged: Judged, content: bytes) -> None:
        """Keep the shortest input for each reason of a difference, and for each verdict."""
        for shown in [judged.verdict.kind, *(difference.reason for difference in judged.explained)]:
            if len(content) < len(self.smallest.get(shown, content + b"x")):
                self.smallest[shown] = content

    def report(self) -> None:
        """Write what was found, and the shortest inputs, into the folder."""
        self.tally.write(self.folder / "tally.json")
        (self.folder / "examples").mkdir(exist_ok=True)
        for number, content in enumerate(self.smallest.values()):
            (self.folder / "examples" / str(number)).write_bytes(content)

    def _is_new(self, kind: str) -> bool:
        """Whether no finding so far begins alike."""
        return all(not _alike(kind, known) for known in self.tally.findings.values()) and len(self.tally.findings) < 200


def _alike(one: str, other: str) -> bool:
    def plain(text: str) -> str:
        return "".join(char for char in text if char.isalpha())[:110]

    return plain(one) == plain(other)


def _unwatched() -> AbstractContextManager[None]:
    from contextlib import nullcontext

    return nullcontext()


def run(session: Session, seconds: float, seed: int) -> None:
    """Inputs from chance alone."""
    rng = Random(seed)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        base = rng.choice(session.pool)
        content = session.target.mutate(rng, base, session.pool)
        is_accepted = session.attempt(content)
        if rng.random() < (0.3 if is_accepted else 0.01) and len(content) < 6000:  # changes add up
            session.pool.append(content)
            if len(session.pool) > 400:
                del session.pool[session.real + rng.randrange(300)]


def run_guided(session: Session, seconds: float, seed: int) -> None:
    """Inputs that coverage chooses, until the process ends. The modules of readers are instrumented already."""
    import atheris

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        return session.target.mutate(Random(seed), data, session.pool)[:most]

    corpus = session.folder / "seeds"
    corpus.mkdir(exist_ok=True)
    for number, content in enumerate(session.pool):
        (corpus / str(number)).write_bytes(content)
    options = [f"-max_total_time={int(seconds)}", f"-seed={seed % 2**31 or 1}", "-max_len=8192", "-rss_limit_mb=0",
               "-timeout=60", "-print_final_stats=0", "-verbosity=0", "-handle_segv=0", "-handle_abrt=0"]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(corpus)], session.attempt, custom_mutator=mutate)
    import atexit

    atexit.register(session.report)
    atheris.Fuzz()


READERS = ("formats", "recipes", "rules", "planning", "manifest", "initializers", "reshaping")
"""Packages with what reads files and texts."""


def import_readers() -> None:
    """Import every module that reads, so that whatever is imported later is an input's doing."""
    import pkgutil
    from importlib import import_module

    for package in READERS:
        module = import_module(f"initctl.{package}")
        for found in pkgutil.walk_packages(module.__path__, f"{module.__name__}."):
            import_module(found.name)


def _prepared(name: str, folder: Path) -> Session:
    from tests.fuzz.targets import targets
    from tests.fuzz.watch import Watch, limit_memory

    import_readers()
    watch = Watch()
    session = Session(targets()[name], folder, watch)
    limit_memory()
    return session


def main(arguments: Sequence[str]) -> None:
    name, folder, seconds, seed, *flags = arguments
    ways: dict[bool, Callable[[Session, float, int], None]] = {False: run, True: run_guided}
    is_guided = "--guided" in flags
    if is_guided:
        import atheris

        with atheris.instrument_imports(include=[f"initctl.{package}" for package in READERS]):
            import_readers()
    session = _prepared(name, Path(folder))
    ways[is_guided](session, float(seconds), int(seed))
    session.report()
    session.watch.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
