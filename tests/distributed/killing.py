"""Write a result in parts, and kill the process before each of its calls that change the file system.

A program: `python -m tests.distributed.killing KIND`. It is a process of one thread, so that it can fork. It prints the
numbers of moments at which it killed a part and a commit, once it has found nothing wrong.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import initctl
from initctl.distributed import split
from tests.distributed.results import inside, written_by_hand
from tests.protocol.counting import Watch, watched

PARTS = 3
NOBODY = 65534
RULES = ["b.weight=normal"]
OTHER_RULES = ["b.weight=ones"]


class Kind(NamedTuple):
    """What is written: to `output`, with these arguments; a result that `replaces` another has its permissions."""

    output: str
    asked: dict[str, Any]
    replaces: bool = False


KINDS = {
    "a new file": Kind("out.safetensors", {}),
    "a new file, or none": Kind("out.safetensors", {"overwrite": False}),
    "a new archive": Kind("out.pt", {}),
    "a file that is replaced": Kind("out.safetensors", {}, replaces=True),
    "a new directory": Kind("out", {"max_shard_size": "1kB"}),
    "a new directory, or none": Kind("out", {"max_shard_size": "1kB", "overwrite": False}),
    "a directory that is replaced": Kind("out", {"max_shard_size": "1kB"}, replaces=True),
}


class Result:
    """One result in the directory `folder`: what is there before and after."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        self.folder, self.kind, self.output = folder, kind, folder / kind.output
        content = bytes(range(1, 251)) * 8
        tensors = {"a": ("U8", content[:1001]), "b.weight": ("F32", content), "c": ("F32", content)}
        self.source = written_by_hand(folder / "net.safetensors", tensors)
        self.source.chmod(0o444)
        initctl.apply(self.source, self.output, rules=RULES, **kind.asked)
        self.new = self.old = inside(self.output)
        if kind.replaces:
            initctl.apply(self.source, self.output, rules=OTHER_RULES, **kind.asked)
            self.old = inside(self.output)
        self.output.rename(folder / "aside")
        self.others = {path.name for path in folder.iterdir()}

    def begin(self) -> None:
        """As before the first part."""
        for path in self.folder.iterdir():
            if path.name not in self.others:
                _remove(path)
        if self.kind.replaces:
            _copy(self.folder / "aside", self.output)

    def write(self, *numbers: int) -> None:
        for number in numbers:
            self._parts.write(number, PARTS, threads=1)

    def commit(self) -> None:
        self._parts.commit(threads=1)

    def write_and_commit(self) -> None:
        self.write(2, 1, 3)
        self.commit()

    @property
    def _parts(self) -> initctl.Parts:
        return initctl.parts(self.source, self.output, rules=RULES, **self.kind.asked)

    def is_complete(self) -> bool:
        """Whether the result is there, and nothing else is left. What is there is old or new, never a mix."""
        if not self.output.exists():
            assert not self.kind.replaces
            return False
        found, here = inside(self.output), {path.name for path in self.folder.iterdir()}
        assert found in (self.old, self.new)
        return found == self.new and here == {*self.others, self.output.name}


def sweep(result: Result, before: Callable[[], None], step: Callable[[], None], after: Callable[[], None]) -> int:
    """Kill `step`, which comes after `before`, at every moment, and run `after` each time. Returns how often."""
    number = 0
    while True:
        result.begin()
        before()
        if not _is_killed(step, number + 1):
            return number
        number += 1
        try:
            if not result.is_complete():
                assert not _is_killed(after)
                assert result.is_complete()
        except AssertionError as error:
            raise AssertionError(f"{number}: {sorted(os.listdir(result.folder))}") from error


def _is_killed(work: Callable[[], None], number: int | None = None) -> bool:
    """Whether `work`, in a process of its own, was killed before its call with this number, if it made so many."""
    child = os.fork()
    if not child:
        try:
            with watched(_killed_at(number), reading=False):
                work()
        except BaseException as error:
            print(f"{work.__name__}, {number}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


def _killed_at(number: int | None) -> Watch:
    """Let this process be killed before its call `number` that changes a file or a directory."""
    made = 0

    def counting(_: str, __: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        nonlocal made
        made += 1
        if made == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return call()

    return counting


def _copy(source: Path, target: Path) -> None:
    if source.is_file():
        shutil.copy2(source, target)
    else:
        shutil.copytree(source, target)


def _remove(path: Path) -> None:
    if path.is_file():
        path.unlink()
        return
    for directory in (path, *path.rglob("*/")):
        directory.chmod(0o700)
    shutil.rmtree(path)


def main(kind: str) -> None:
    """Kill a part, and a commit; complete each with all parts, and with what is missing."""
    split.STEP = 512
    if os.getuid() == 0:  # who may write everywhere
        with tempfile.TemporaryDirectory() as folder:
            first = Result(Path(folder), KINDS[kind])
            for _ in range(2 if KINDS[kind].asked.get("overwrite", True) else 1):
                first.write_and_commit()  # imports what only root may read, also for what replaces a result
        os.setuid(NOBODY)
    with tempfile.TemporaryDirectory() as folder:
        result = Result(Path(folder), KINDS[kind])
        part = sweep(result, lambda: result.write(1), lambda: result.write(2), result.write_and_commit)
        may_replace = KINDS[kind].asked.get("overwrite", True)
        after = [result.commit, *([result.write_and_commit] if may_replace else [])]
        commit = sum(sweep(result, lambda: result.write(1, 2, 3), result.commit, step) for step in after)
        print(json.dumps({"part": part, "commit": commit}))


if __name__ == "__main__":
    main(*sys.argv[1:])
