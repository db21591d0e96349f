"""Where output cannot go is said before any work is done."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from initctl.commit.places import check_file_place
from initctl.errors import StorageError, UsageError
from tests.binding import bound
from tests.commit.folders import contents

if TYPE_CHECKING:
    from pathlib import Path


def test_a_new_file_and_an_old_one_can_be_written_and_nothing_is_left(tmp_path: Path):
    (tmp_path / "old").write_bytes(b"old")
    for name in ("new", "old"):
        check_file_place(str(tmp_path / name))
    assert contents(tmp_path) == {"old": b"old"}


def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path):
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to("directory")
    os.mkfifo(tmp_path / "pipe")
    places = [str(tmp_path / name) for name in ("directory", "link", "pipe")]
    for place in [*places, "/dev/null", "/dev/stdout", "/dev/fd/0"]:
        with pytest.raises(UsageError, match="is not a regular file"):
            check_file_place(place)


@pytest.mark.parametrize("url", ["s3://bucket/file", "gs://bucket/file", "hf://user/name/file"])
def test_a_url_is_no_local_file(url: str):
    with pytest.raises(UsageError, match="is a URL, but this is written to a local file"):
        check_file_place(url)


def test_the_directory_must_be_there(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="missing does not exist; create it first"):
        check_file_place(str(tmp_path / "missing" / "new"))
    with pytest.raises(StorageError, match="file is not a directory"):
        check_file_place(str(tmp_path / "file" / "new"))


def test_a_file_that_is_mounted_there_is_not_replaced(tmp_path: Path):
    for name in ("elsewhere", "file"):
        (tmp_path / name).touch()
    fault = "file: is a mount point, which cannot be replaced in one step"
    with bound(tmp_path / "elsewhere", tmp_path / "file") as place, pytest.raises(StorageError, match=fault):
        check_file_place(str(place))
