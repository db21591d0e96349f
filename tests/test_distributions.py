"""What is built from a checkout: the same bytes everywhere, and a source distribution that is complete."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
KINDS = "wheel", "sdist"


def sources() -> list[Path]:
    """The files of this checkout that git tracks."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True).stdout
    if not listed:
        pytest.skip("this is not a checkout")
    return [Path(name) for name in os.fsdecode(listed).rstrip("\0").split("\0") if (ROOT / name).exists()]


def checkout(folder: Path, *, umask: int, second: int, backwards: bool) -> Path:
    """A copy of the sources as another person has it: modes, times and the order of directories differ."""
    before = os.umask(umask)
    try:
        for source in sorted(sources(), reverse=backwards):
            target = folder / source
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / source, target)
            if os.access(ROOT / source, os.X_OK):
                target.chmod(0o777 & ~umask)
            os.utime(target, (second, second))
    finally:
        os.umask(before)
    return folder


def built(folder: Path, target: Path, *, umask: int, **variables: str) -> dict[str, bytes]:
    """The wheel and the source distribution of a checkout, by kind."""
    inherited = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    for kind in KINDS:
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", target / kind],
            cwd=folder, env={**inherited, **variables}, umask=umask, check=True, capture_output=True,
        )  # fmt: skip
    return {kind: next((target / kind).iterdir()).read_bytes() for kind in KINDS}


@pytest.mark.parametrize("variables", [{}, {"SOURCE_DATE_EPOCH": "1700000000"}], ids=["", "with an epoch"])
def test_two_checkouts_of_other_modes_times_and_orders_give_the_same_bytes(variables, tmp_path):
    one = checkout(tmp_path / "one", umask=0o022, second=1_600_000_000, backwards=False)
    other = checkout(tmp_path / "other/deeper", umask=0o077, second=1_700_000_001, backwards=True)
    first = built(one, tmp_path / "first", umask=0o022, **variables)
    second = built(other, tmp_path / "second", umask=0o077, **variables)
    assert first == second


def test_the_source_distribution_has_all_that_git_tracks_and_gives_the_same_wheel(tmp_path):
    from_checkout = built(
        checkout(tmp_path / "c", umask=0o022, second=10**9, backwards=False), tmp_path / "d", umask=0o022
    )
    (archive,) = (tmp_path / "d/sdist").iterdir()
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert {str(path) for path in sources()} <= {str(path.relative_to(unpacked)) for path in unpacked.rglob("*")}
    assert built(unpacked, tmp_path / "again", umask=0o022) == from_checkout
