"""Nothing that lies in a directory is overlooked."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from initctl.commit.tree import tree
from tests.commit.folders import refusing

if TYPE_CHECKING:
    from pathlib import Path


def test_directories_come_deepest_first_with_files_and_links_but_without_directories(tmp_path: Path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "file").touch()
    (tmp_path / "a" / "to-b").symlink_to("b")
    (tmp_path / "a" / "to-nothing").symlink_to("nothing")
    os.mkfifo(tmp_path / "a" / "b" / "pipe")
    listed = [(parent, sorted(names)) for parent, names in tree(str(tmp_path))]
    assert listed == [
        (str(tmp_path / "a" / "b"), ["pipe"]),
        (str(tmp_path / "a"), ["file", "to-b", "to-nothing"]),
        (str(tmp_path), []),
    ]


def test_a_directory_that_cannot_be_read_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "scandir", refusing(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        list(tree(str(tmp_path)))
