"""What the operating system refuses becomes an error with the reason."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from initctl.commit.failure import storage_errors
from initctl.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path


def message(path: Path, error: OSError) -> str:
    with pytest.raises(StorageError) as raised, storage_errors(str(path)):
        raise error
    return str(raised.value).removeprefix(f"{path}: cannot be written: ")


def test_a_new_file_that_may_not_be_made_names_the_directory(tmp_path: Path):
    refused = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / ".new"))
    assert message(tmp_path / "net.safetensors", refused) == (
        f"initctl makes a new file in {tmp_path}, and that directory is not writable"
    )


def test_a_file_that_may_not_be_opened_gives_the_systems_reason(tmp_path: Path):
    (tmp_path / "net.safetensors").touch()
    refused = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "net.safetensors"))
    assert message(tmp_path / "net.safetensors", refused) == "Permission denied"
    assert message(tmp_path / "net.safetensors", OSError(errno.ENOSPC, "No space left on device")) == (
        "No space left on device"
    )


@pytest.mark.skipif(not os.path.ismount("/proc"), reason="/proc is mounted on Linux")
@pytest.mark.parametrize("code", [errno.EBUSY, errno.EXDEV])
def test_a_mount_point_is_named_as_one(code: int):
    fault = "^/proc: is a mount point, which cannot be replaced in one step; write to another place"
    with pytest.raises(StorageError, match=fault), storage_errors("/proc"):
        raise OSError(code, os.strerror(code))
