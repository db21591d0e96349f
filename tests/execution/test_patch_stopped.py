"""A patch of a torch.save file may stop at any byte that it writes: the same command completes it."""

from __future__ import annotations

import copy
import os
import zlib
from typing import TYPE_CHECKING, Any

import pytest
import torch

import initctl
from initctl.traces import journal_path
from tests.execution.torch_files import CRC_OF_ZERO, sound
from tests.formats.torch_save.rewritten import Record, legacy, packed, records_of, replaced, saved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RULES = ["weight=normal", "bias=constant:val=2", "zero=constant:val=5"]


class Stopped(BaseException):
    """As a process is that was killed: nothing is done any more."""


def old_checkpoint() -> dict[str, Any]:
    """With steps that are numbers in the pickle, as torch kept them before 1.12, and a tensor whose CRC-32 is 0."""
    net = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(3)).sum().backward()
    optimizer.step()
    held = copy.deepcopy(optimizer.state_dict())
    held["state"][0]["step"], held["state"][1]["step"] = 77_777, 777
    zero = torch.frombuffer(bytearray(CRC_OF_ZERO), dtype=torch.int32)
    return {"epoch": 77, "model": {**net.state_dict(), "zero": zero}, "optimizer": held}


def by_zipfile(value: Any) -> bytes:
    """Without descriptors: checksums stand in the headers before records."""
    return packed(Record(r.name, r.content, flags=2048) for r in records_of(saved(value)).values())


def with_three_places(value: Any) -> bytes:
    """Checksums stand in headers and descriptors."""
    records = records_of(saved(value)).values()
    return packed(Record(r.name, r.content, local_crc=zlib.crc32(r.content)) for r in records)


WRITERS: dict[str, Callable[[Any], bytes]] = {
    "torch": saved,
    "torch before 1.6": legacy,
    "zipfile": by_zipfile,
    "with three places": with_three_places,
}


def patch(path: Path) -> None:
    initctl.apply(path, in_place="patch", rules=RULES, reset_optimizer=True, seed=3, threads=1)


def resume(path: Path) -> None:
    initctl.apply(path, in_place="resume", threads=1)


def patched(path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch, *, after: int | None = None) -> list[int]:
    """Patch a file of `content`, which stops `after` so many bytes; returns how many were written at a time."""
    path.write_bytes(content)
    inode, write, lengths = path.stat().st_ino, os.pwrite, []

    def counted(descriptor: int, data: bytes, offset: int) -> int:
        if os.fstat(descriptor).st_ino != inode:
            return write(descriptor, data, offset)
        left = len(data) if after is None else min(len(data), after - sum(lengths))
        if left:
            lengths.append(write(descriptor, bytes(data)[:left], offset))
        if left < len(data):
            raise Stopped
        return left

    with monkeypatch.context() as patching:
        patching.setattr(os, "pwrite", counted)
        if after is None:
            patch(path)
        else:
            with pytest.raises(initctl.UncertainError):
                patch(path)
    return lengths


def stops(lengths: list[int]) -> Iterator[int]:
    """Before each write, and in its middle."""
    reached = 0
    for length in lengths:
        yield from {reached, reached + length // 2}
        reached += length


@pytest.mark.parametrize("writer", WRITERS)
def test_wherever_it_stops_the_same_command_completes_it_and_so_does_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str
):
    path, content = tmp_path / "m.ckpt", WRITERS[writer](old_checkpoint())
    lengths = patched(path, content, monkeypatch)
    wanted = path.read_bytes()
    assert sound(path)
    assert [s["step"] for s in torch.load(path)["optimizer"]["state"].values()] == [0, 0]
    points = list(stops(lengths))
    assert len(points) > 30 or writer == "torch before 1.6"
    for number, point in enumerate(points if writer == "torch" else points[::3]):
        patched(path, content, monkeypatch, after=point)
        assert path.read_bytes() != wanted
        torch.load(path)
        complete = patch if number % 2 else resume
        complete(path)
        assert path.read_bytes() == wanted
        assert list(tmp_path.iterdir()) == [path]


def test_while_it_is_not_complete_nothing_else_is_done_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "m.ckpt"
    lengths = patched(path, saved(old_checkpoint()), monkeypatch)
    patched(path, saved(old_checkpoint()), monkeypatch, after=sum(lengths) // 2)
    other = tmp_path / "other.ckpt"
    other.write_bytes(saved(old_checkpoint()))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    rules = {"rules": ["bias=zeros"]}
    works: list[Callable[[], object]] = [
        lambda: initctl.inspect(path),
        lambda: initctl.plan(path, **rules),
        lambda: initctl.apply(path, tmp_path / "out.ckpt", **rules),
        lambda: initctl.apply(path, in_place=True, **rules),
        lambda: initctl.apply(path, in_place="patch", **rules),
        lambda: initctl.apply(path, in_place="patch", rules=RULES, reset_optimizer=True, seed=4),
        lambda: initctl.apply(other, path, **rules),
        lambda: initctl.apply(other, path, overwrite=True, **rules),
        lambda: initctl.apply(other, tmp_path / "out.ckpt", rules=[f"bias=copy:from={path}#bias"]),
        lambda: initctl.verify(other, path, **rules),
        lambda: initctl.stats(path),
        lambda: initctl.diff(path, other),
        lambda: initctl.diff(other, path),
        lambda: initctl.doctor(path),
    ]
    for work in works:
        with pytest.raises(initctl.ConflictError) as raised:
            work()
        (problem,) = raised.value.problems
        assert problem.code == "patch.interrupted"
        assert f" with initctl apply --resume {path}" in str(problem)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def without_journal(path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[bytes]:
    """The content of the file at `path` after each of some patches of `content` that lost their journals."""
    for point in list(stops(patched(path, content, monkeypatch)))[1::4]:
        patched(path, content, monkeypatch, after=point)
        os.unlink(journal_path(str(path)))
        yield path.read_bytes()


@pytest.mark.parametrize("writer", [name for name in WRITERS if name != "torch before 1.6"])
def test_without_its_journal_an_archive_that_is_not_complete_is_named_and_no_copy_of_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str
):
    path = tmp_path / "m.ckpt"
    for before in without_journal(path, WRITERS[writer](old_checkpoint()), monkeypatch):
        (warning,) = initctl.inspect(path).warnings
        assert (warning.code, warning.message) == (
            "archive.unfinished",
            f"{path}: a patch was interrupted, so some values may be new and others old; its journal is gone",
        )
        assert warning.hint == "repeat the command that patched it, or restore the file from a copy"
        for output in ({"output": tmp_path / "out.ckpt"}, {"output": tmp_path / "out.safetensors"}, {"in_place": True}):
            with pytest.raises(initctl.InputError) as raised:
                initctl.apply(path, rules=["bias=zeros"], **output)
            (problem,) = raised.value.problems
            assert problem.code == "archive.unfinished"
            assert "a patch that overwrites it was interrupted" in problem.message
            assert problem.hint == "repeat the command that patched it, or restore the file from a copy"
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


def test_without_its_journal_no_other_patch_makes_an_archive_look_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "m.ckpt"
    for before in without_journal(path, saved(old_checkpoint()), monkeypatch):
        (warning,) = initctl.inspect(path).warnings
        named = [r.name for r in initctl.formats.read_checkpoint(path).files[0].checksums if r.unfinished]
        result = initctl.apply(path, in_place="patch", rules=["bias=zeros"], seed=4)
        assert warning in result.warnings
        path.write_bytes(before)
        if "data/0" in named:
            with pytest.raises(initctl.InputError, match=r"data/0: a patch that overwrites it was .* journal is gone"):
                initctl.apply(path, in_place="patch", rules=["weight[0:1]=zeros"], seed=4)
            assert path.read_bytes() == before
            assert list(tmp_path.iterdir()) == [path]


def test_a_patch_that_was_not_interrupted_cannot_be_resumed(tmp_path: Path):
    path = tmp_path / "m.ckpt"
    path.write_bytes(saved(old_checkpoint()))
    with pytest.raises(initctl.ConflictError, match=r"m\.ckpt: no patch of it was interrupted, so there is nothing to"):
        resume(path)
    with pytest.raises(initctl.UsageError, match=r"in_place='resume' cannot be combined with `rules`; it already"):
        initctl.apply(path, in_place="resume", rules=RULES)


def test_a_damaged_journal_is_refused_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "m.ckpt"
    lengths = patched(path, saved(old_checkpoint()), monkeypatch)
    patched(path, saved(old_checkpoint()), monkeypatch, after=sum(lengths) // 2)
    journal = tmp_path / os.path.basename(journal_path(str(path)))
    journal.write_text(journal.read_text().replace('"seed": 3', '"seed": 4'))
    for complete in (patch, resume):
        with pytest.raises(initctl.InputError, match=rf"{journal.name}: was changed after it was saved"):
            complete(path)


def test_a_pickle_that_no_patch_was_at_work_on_is_still_refused_where_it_is_damaged(tmp_path: Path):
    path = tmp_path / "m.ckpt"
    path.write_bytes(replaced(saved(old_checkpoint()), b"M\x09\x03", b"M\x00\x00"))
    with pytest.raises(initctl.InputError, match=r"data\.pkl: is damaged: its CRC-32 does not match"):
        patch(path)
