"""When a file was created, as far as the system tells."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from initctl.births import born

if TYPE_CHECKING:
    from pathlib import Path

MINUTE = 60 * 10**9


def made(path: Path) -> int:
    """Make a file at `path`; returns when it was created."""
    path.write_text("old")
    created = born(str(path))
    if created is None:
        pytest.skip("this file system does not keep the time of creation")
    return created


def test_a_file_keeps_the_time_of_its_creation_when_it_is_changed(tmp_path: Path):
    path = tmp_path / "file"
    created = made(path)
    path.write_text("new")
    os.utime(path, (1, 1))
    assert born(str(path)) == created
    assert abs(time.time_ns() - created) < MINUTE


def test_a_new_file_at_the_same_path_has_another_time(tmp_path: Path):
    path = tmp_path / "file"
    before = made(path)
    time.sleep(0.02)  # a system may count in steps of its timer
    (tmp_path / "new").write_text("new")
    os.replace(tmp_path / "new", path)
    assert born(str(path)) != before


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_a_file_system_that_does_not_keep_it_says_so():
    assert born("/proc/self/stat") is None


def test_systems_that_tell_it_with_the_status_are_asked_there(monkeypatch: pytest.MonkeyPatch):
    """As those of Apple do."""
    monkeypatch.setattr(os, "stat", lambda path: SimpleNamespace(st_birthtime=1.5))
    assert born("anywhere") == 1_500_000_000


def test_a_system_without_the_call_does_not_tell_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert born(str(tmp_path)) is None
