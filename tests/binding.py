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
def bound(source: Path, place: Path, *, read_only: bool = False) -> Iterator[Path]:
    """The file or directory `source` is mounted at `place`, which is there already, during the body, so that nothing
    can be written there if it is `read_only`. The test is skipped if nothing can be mounted here.
    """
    with _mounted(["-o", "bind,ro" if read_only else "bind", str(source)], place):
        yield place


@contextmanager
def overlaid(lower: Path, place: Path) -> Iterator[Path]:
    """The directory `lower` is a layer under `place`, as an image is under a container. What is written to `place` is
    kept beside it. The test is skipped if nothing can be mounted here.
    """
    upper, work = (place.with_name(f"{place.name}.{name}") for name in ("upper", "work"))
    for folder in (place, upper, work):
        folder.mkdir()
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    with _mounted(["-t", "overlay", "overlay", "-o", options], place):
        yield place


@contextmanager
def _mounted(options: list[str], place: Path) -> Iterator[None]:
    mount = ["mount", *options, str(place)]
    if not shutil.which("mount") or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    descriptor = os.open(place, os.O_RDONLY)
    try:
        yield
    finally:
        point = os.readlink(f"/proc/self/fd/{descriptor}")  # it moves along with a directory that it is in
        os.close(descriptor)
        subprocess.run(["umount", point], check=True)
