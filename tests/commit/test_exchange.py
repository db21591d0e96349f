"""Two paths are swapped in one step, or nothing changes."""

from __future__ import annotations

import ctypes
import errno
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from initctl.commit.effects import exchange, rename_new
from initctl.commit.replacing import check_exchange
from initctl.errors import StorageError
from tests.commit.folders import contents, snapshot

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A folder that holds two directories and a file."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    (tmp_path / "plain").write_text("plain")
    return tmp_path


def test_two_directories_change_names(pair: Path):
    before = snapshot(pair)
    exchange(str(pair / "one"), str(pair / "other"))
    after = snapshot(pair)
    assert after["one/file"] == before["other/file"]
    assert after["other/file"] == before["one/file"]
    assert after["one"].inode == before["other"].inode


def test_a_directory_and_a_file_change_names(pair: Path):
    exchange(str(pair / "one"), str(pair / "plain"))
    assert contents(pair) == {
        "one": b"plain", "plain": None, "plain/file": b"one", "other": None, "other/file": b"other",
    }  # fmt: skip


def test_names_that_are_not_utf8_are_swapped_too(pair: Path):
    strange = str(pair / "\udcff")
    (pair / "plain").rename(strange)
    exchange(strange, str(pair / "one"))
    assert (pair / "one").read_text() == "plain"


def test_where_one_is_missing_nothing_changes(pair: Path):
    before = snapshot(pair)
    with pytest.raises(FileNotFoundError):
        exchange(str(pair / "one"), str(pair / "missing"))
    assert snapshot(pair) == before


def test_a_system_without_the_call_says_so(pair: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace())
    before = snapshot(pair)
    with pytest.raises(OSError) as raised:
        exchange(str(pair / "one"), str(pair / "other"))
    assert raised.value.errno == errno.ENOSYS
    assert snapshot(pair) == before


def test_macos_is_asked_by_its_own_call(pair: Path, monkeypatch: pytest.MonkeyPatch):
    asked = []
    macos = SimpleNamespace(renamex_np=lambda *arguments: asked.append(arguments) or 0)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: macos)
    exchange(str(pair / "one"), str(pair / "other"))
    rename_new(str(pair / "one"), str(pair / "new"))
    assert asked == [
        (str(pair / "one").encode(), str(pair / "other").encode(), 2),
        (str(pair / "one").encode(), str(pair / "new").encode(), 4),
    ]


def test_a_file_moves_only_to_a_name_that_is_free(pair: Path):
    before = snapshot(pair)
    with pytest.raises(FileExistsError):
        rename_new(str(pair / "plain"), str(pair / "one"))
    assert snapshot(pair) == before
    rename_new(str(pair / "plain"), str(pair / "new"))
    assert snapshot(pair)["new"] == before["plain"]


def test_whether_a_directory_can_be_replaced_is_tried_and_leaves_nothing(pair: Path, monkeypatch: pytest.MonkeyPatch):
    before = contents(pair)
    check_exchange(str(pair / "other"), str(pair / "one"))
    assert contents(pair) == before
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace())
    with pytest.raises(StorageError, match="one: cannot be replaced in one step: Function not implemented; write to a"):
        check_exchange(str(pair / "other"), str(pair / "one"))
    assert contents(pair) == before
