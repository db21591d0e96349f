"""Engines are loaded while bytes are copied, and are there before a patch overwrites any. An error names the file that
failed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
import torch

import initctl
from initctl.execution import tasks, writer
from tests.commit.folders import snapshot
from tests.execution.checkpoints import single

if TYPE_CHECKING:
    from pathlib import Path

RULES = ["norm.weight=normal"]


def test_bytes_are_copied_while_engines_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    copied = threading.Event()
    choose, copy = writer.choose_engines, tasks.copy_range

    def slowly(*actions, **named):
        assert copied.wait(timeout=60)
        return choose(*actions, **named)

    def note(*places) -> None:
        copy(*places)
        copied.set()

    with monkeypatch.context() as patched:
        patched.setattr(writer, "choose_engines", slowly)
        patched.setattr(tasks, "copy_range", note)
        initctl.apply(single(tmp_path / "in"), tmp_path / "out", rules=RULES, threads=2)
    initctl.apply(tmp_path / "in", tmp_path / "other", rules=RULES)
    assert (tmp_path / "out").read_bytes() == (tmp_path / "other").read_bytes()


@pytest.mark.parametrize("in_place", ["patch", True])
def test_without_an_engine_nothing_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_place: object):
    single(tmp_path / "in")
    before = snapshot(tmp_path)

    def fail(*_, **__):
        raise initctl.StorageError(initctl.Problem("device.failed", "no such device"))

    monkeypatch.setattr(writer, "choose_engines", fail)
    with pytest.raises(initctl.StorageError, match="no such device"):
        initctl.apply(tmp_path / "in", in_place=in_place, rules=RULES)
    assert snapshot(tmp_path) == before


def failing(monkeypatch: pytest.MonkeyPatch, call: str, path: Path, *, itself: bool, written: bool) -> None:
    """Let a call of the system fail for the file at `path`, or for all others, if it is open for writing or if not."""
    real, inode = getattr(os, call), path.stat().st_ino

    def failed(descriptor: int, *rest: Any) -> int:
        is_written = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
        if (os.fstat(descriptor).st_ino == inode, is_written) == (itself, written):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(descriptor, *rest)

    monkeypatch.setattr(os, call, failed)


@pytest.fixture
def halves(tmp_path: Path) -> Path:
    """A file with a record of two tensors: if one is filled, the record is read for its checksum once it is written."""
    both = torch.ones(100, 20)
    torch.save({"first": both[:50], "second": both[50:]}, tmp_path / "in.pt")
    return tmp_path / "in.pt"


@pytest.mark.parametrize(("call", "verb"), [("preadv", "read"), ("pwrite", "written")])
@pytest.mark.parametrize("rule", ["first=normal", "first=orthogonal"])
def test_a_new_file_that_fails_is_named_and_no_other(
    halves: Path, monkeypatch: pytest.MonkeyPatch, rule: str, call: str, verb: str
):
    failing(monkeypatch, call, halves, itself=False, written=True)
    out = halves.with_name("out.pt")
    with pytest.raises(initctl.StorageError, match=rf"^{out}: cannot be {verb}: Input/output error$"):
        initctl.apply(halves, out, rules=[rule])
    assert not out.exists()


def test_a_checkpoint_that_cannot_be_read_is_named_and_no_other_file(halves: Path, monkeypatch: pytest.MonkeyPatch):
    failing(monkeypatch, "preadv", halves, itself=True, written=False)
    with pytest.raises(initctl.StorageError, match=rf"^{halves}: cannot be read: Input/output error$"):
        initctl.apply(halves, halves.with_name("out.pt"), rules=["first=normal"])


@pytest.mark.parametrize(("call", "verb"), [("preadv", "read"), ("pwrite", "written")])
def test_a_patched_file_that_fails_is_named(halves: Path, monkeypatch: pytest.MonkeyPatch, call: str, verb: str):
    failing(monkeypatch, call, halves, itself=True, written=True)
    with pytest.raises(
        initctl.UncertainError, match=rf"and others old: {halves}: cannot be {verb}: Input/output error; "
    ):
        initctl.apply(halves, in_place="patch", rules=["first=normal"])
