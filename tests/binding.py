"""Files and directories that are mounted at another place, as `docker -v` does it."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def bound(source: Path, place: Path) -> Iterator[Path]:
    """The file or directory `source` is mounted at `place`, which is there already, during the body. The test is
    skipped if nothing can be mounted here.
    """
    mount = ["mount", "--bind", str(source), str(place)]
    if not shutil.which("mount") or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    descriptor = os.open(place, os.O_RDONLY)
    try:
        yield place
    finally:
        point = os.readlink(f"/proc/self/fd/{descriptor}")  # it moves along with a directory that it is in
        os.close(descriptor)
        subprocess.run(["umount", point], check=True)
