"""A checkpoint's files: opened as they were read, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from initctl.errors import ConflictError, InputError
from initctl.formats import Checkpoint, read_checkpoint
from tests.formats.handwritten import TWO_FLOATS, float_file


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    (tmp_path / "m.safetensors").write_bytes(TWO_FLOATS)
    return read_checkpoint(tmp_path / "m.safetensors")


def changed_in_place(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"\x01")
    os.utime(path, ns=(0, 0))  # some clocks are too coarse to tell the write from the reading before it


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def test_a_file_is_opened_for_reading(checkpoint: Checkpoint):
    descriptor = checkpoint.open(checkpoint.files[0])
    try:
        assert os.read(descriptor, 1000) == TWO_FLOATS
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(descriptor, b"x")
    finally:
        os.close(descriptor)


def test_an_unchanged_file_is_found_unchanged(checkpoint: Checkpoint):
    checkpoint.check_unchanged(checkpoint.files)


@pytest.mark.parametrize("change", [changed_in_place, replaced, os.unlink, lambda path: os.truncate(path, 9)])
def test_a_file_that_changed_or_went_since_is_a_conflict(checkpoint: Checkpoint, change):
    change(Path(checkpoint.target))
    with pytest.raises(ConflictError, match="changed while it was read"):
        checkpoint.open(checkpoint.files[0])
    with pytest.raises(ConflictError, match="changed while it was read"):
        checkpoint.check_unchanged(checkpoint.files)


def test_a_file_that_may_no_longer_be_read_is_an_error(checkpoint: Checkpoint):
    os.unlink(checkpoint.target)
    os.mkdir(checkpoint.target)
    with pytest.raises(InputError, match="is a directory"):
        checkpoint.open(checkpoint.files[0])


def test_reading_leaves_no_descriptor_open(tmp_path: Path):
    path = float_file(tmp_path / "m.safetensors", "w")
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(TWO_FLOATS[:-1])
    os.mkfifo(tmp_path / "pipe")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        read_checkpoint(path)
        for refused in (bad, tmp_path / "pipe"):
            with pytest.raises(InputError):
                read_checkpoint(refused)
    assert len(os.listdir("/proc/self/fd")) == before
