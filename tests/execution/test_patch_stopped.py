"""A patch of a torch.save file may stop at any byte that it writes: the same command completes it."""

from __future__ import annotations

import copy
import os
import zlib
from typing import TYPE_CHECKING, Any

import pytest
import torch

import initctl
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


def patched(path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch, *, after: int | None = None) -> list[int]:
    """Patch a file of `content`, which stops `after` so many bytes; returns how many were written at a time."""
    path.write_bytes(content)
    write, lengths = os.pwrite, []

    def counted(descriptor: int, data: bytes, offset: int) -> int:
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
def test_wherever_it_stops_the_same_command_completes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str):
    path, content = tmp_path / "m.ckpt", WRITERS[writer](old_checkpoint())
    lengths = patched(path, content, monkeypatch)
    wanted = path.read_bytes()
    assert sound(path)
    assert [s["step"] for s in torch.load(path)["optimizer"]["state"].values()] == [0, 0]
    points = list(stops(lengths))
    assert len(points) > 30 or writer == "torch before 1.6"
    for point in points:
        patched(path, content, monkeypatch, after=point)
        assert path.read_bytes() != wanted
        torch.load(path)
        patch(path)
        assert path.read_bytes() == wanted


@pytest.mark.parametrize("writer", [name for name in WRITERS if name != "torch before 1.6"])
def test_while_it_is_not_complete_nothing_else_is_written_from_it(tmp_path: Path, monkeypatch: Any, writer: str):
    path, content = tmp_path / "m.ckpt", WRITERS[writer](old_checkpoint())
    lengths = patched(path, content, monkeypatch)
    for point in list(stops(lengths))[1:]:
        patched(path, content, monkeypatch, after=point)
        before = path.read_bytes()
        for output in ({"output": tmp_path / "out.ckpt"}, {"output": tmp_path / "out.safetensors"}, {"in_place": True}):
            with pytest.raises(initctl.InputError) as raised:
                initctl.apply(path, rules=["bias=zeros"], **output)
            (problem,) = raised.value.problems
            assert problem.code == "archive.unfinished"
            assert "a patch that overwrites it was interrupted" in problem.message
            assert problem.hint == "complete it with the same command"
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


def test_a_patch_of_other_tensors_leaves_one_that_stopped_to_be_completed(tmp_path: Path, monkeypatch: Any):
    path, content = tmp_path / "m.ckpt", saved(old_checkpoint())
    lengths = patched(path, content, monkeypatch)
    wanted = path.read_bytes()
    patched(path, content, monkeypatch, after=sum(lengths) // 2)
    initctl.apply(path, in_place="patch", rules=["bias=constant:val=9"])
    patch(path)
    assert path.read_bytes() == wanted


def test_a_pickle_that_no_patch_was_at_work_on_is_still_refused_where_it_is_damaged(tmp_path: Path):
    path = tmp_path / "m.ckpt"
    path.write_bytes(replaced(saved(old_checkpoint()), b"M\x09\x03", b"M\x00\x00"))
    with pytest.raises(initctl.InputError, match=r"data\.pkl: is damaged: its CRC-32 does not match"):
        patch(path)
