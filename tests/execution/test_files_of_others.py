"""In place in a group's directory: files of other users that must not be hard-linked are copied, or nothing changes."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

import initctl
from initctl.commit import effects
from initctl.events import Chosen
from tests.commit.folders import refusing, snapshot
from tests.execution.checkpoints import sharded, single
from tests.nobody import nobody

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES = ["layers.*.weight=zeros"]
NOBODY = 65534
SHARDS = {"model-1.safetensors", "model-2.safetensors"}
THEIRS = {"config.json", "model-3.safetensors", "extra/deep/notes.txt"}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A checkpoint of a user whom permissions hold back, with files of root. Nobody else may link these."""
    if os.geteuid() != 0:
        pytest.skip("only root can make files of two users")
    initctl.apply(sharded(tmp_path / "once"), in_place=True, rules=RULES)  # only root may read what it imports
    with TemporaryDirectory() as parent:
        made = sharded(Path(parent, "model"))
        for path in (Path(parent), made, *made.rglob("*")):
            os.chown(path, NOBODY, -1)
        for name in THEIRS:
            os.chown(made / name, 0, 0)
            (made / name).chmod(0o644)
        with nobody(), suppress(PermissionError):
            os.link(made / "config.json", Path(parent, "link"))
            pytest.skip("this system permits hard links to files of others")
        yield made


def refuse(folder: Path, name: str) -> None:
    """The file is named before an engine is chosen, and nothing changes."""
    events: list[object] = []
    before = snapshot(folder.parent)
    with nobody(), pytest.raises(initctl.StorageError) as raised:
        initctl.apply(folder, in_place=True, rules=RULES, on_event=events.append)
    (problem,) = raised.value.problems
    assert problem.code == "storage.hard_link"
    assert problem.message == (
        f"{folder / name}: belongs to another user, and the system does not permit a hard link to it"
    )
    assert problem.hint == "write to another place with -o"
    assert not any(isinstance(event, Chosen) for event in events)
    assert snapshot(folder.parent) == before


def test_they_are_copied_and_all_other_files_stay_the_same(folder: Path):
    before = snapshot(folder)
    with nobody():
        applied = initctl.apply(folder, in_place=True, rules=RULES)
    after = snapshot(folder)
    assert set(applied.files) == SHARDS
    for name, entry in before.items():
        if entry.content is not None and name not in SHARDS:
            assert after[name][:2] == entry[:2]
            assert (after[name].inode == entry.inode) == (name not in THEIRS)
    assert {(folder / name).stat().st_uid for name in THEIRS} == {NOBODY}
    lost = "lacks some of what the old one had, since this is not permitted: owner"
    assert {warning.message for warning in applied.warnings} == {f"{folder / name}: {lost}" for name in THEIRS}
    assert os.listdir(folder.parent) == ["model"]


def test_one_that_has_another_name_is_not_copied(folder: Path):
    os.link(folder / "config.json", folder.parent / "theirs")
    refuse(folder, "config.json")


def test_nor_is_a_symbolic_link(folder: Path):
    (folder / "theirs").symlink_to("config.json")
    refuse(folder, "theirs")


def test_nor_is_one_whose_patch_is_not_complete(folder: Path, monkeypatch: pytest.MonkeyPatch):
    neighbor = single(folder / "neighbor.safetensors")
    flush = effects.flush

    def failing(descriptor: int) -> None:
        refusing(errno.EIO)() if os.path.samestat(os.fstat(descriptor), neighbor.stat()) else flush(descriptor)

    monkeypatch.setattr(effects, "flush", failing)
    with pytest.raises(initctl.UncertainError):
        initctl.apply(neighbor, in_place="patch", rules=RULES)
    (journal,) = folder.glob(".initctl-journal-*")
    refuse(folder, journal.name)
