"""Engines are loaded while bytes are copied, and are there before a patch overwrites any."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

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
