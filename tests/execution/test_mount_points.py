"""What is a mount point, or contains one, cannot be replaced: this is found out before any work is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import initctl
from initctl.events import Chosen
from tests.binding import bound, overlaid
from tests.commit.folders import contents, snapshot
from tests.execution.checkpoints import sharded, single

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULES = ["*.weight=zeros"]
ELSEWHERE = "write to another place with -o"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A checkpoint in a directory that is mounted from elsewhere."""
    (tmp_path / "model").mkdir()
    with bound(sharded(tmp_path / "elsewhere"), tmp_path / "model") as place:
        yield place


def refuse(source: Path, output: Path | None, point: Path, hint: str) -> None:
    """The mount `point` is named before an engine is chosen, and nothing changes beside it."""
    events: list[object] = []
    before = snapshot(point.parent)
    with pytest.raises(initctl.StorageError) as raised:
        initctl.apply(source, output, in_place=output is None, rules=RULES, on_event=events.append)
    (problem,) = raised.value.problems
    assert problem.code == "storage.mount_point"
    assert problem.message == f"{point}: is a mount point, which cannot be replaced in one step"
    assert problem.hint == hint
    assert not any(isinstance(event, Chosen) for event in events)
    assert snapshot(point.parent) == before


def test_a_directory_is_refused_in_place_and_as_an_output(tmp_path: Path, folder: Path):
    hint = f"{ELSEWHERE}, or mount the directory above it"
    refuse(folder, None, folder, hint)
    refuse(sharded(tmp_path / "other"), folder, folder, hint)


def test_so_is_an_output_that_is_empty(tmp_path: Path):
    for name in ("empty", "out"):
        (tmp_path / name).mkdir()
    source = sharded(tmp_path / "model")
    with bound(tmp_path / "empty", tmp_path / "out") as out:
        refuse(source, out, out, f"{ELSEWHERE}, or mount the directory above it")


def test_so_is_a_directory_that_contains_a_mount_point(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    folder = sharded(tmp_path / "model")
    with bound(tmp_path / "elsewhere", folder / "extra") as point:
        refuse(folder, None, point, ELSEWHERE)


def test_so_is_a_file(tmp_path: Path):
    source, place = single(tmp_path / "elsewhere"), tmp_path / "model.safetensors"
    place.touch()
    with bound(source, place):
        hint = f"{ELSEWHERE}, or mount the directory above it"
        refuse(place, None, place, hint)
        refuse(single(tmp_path / "other.safetensors"), place, place, hint)


def test_one_shard_is_replaced_in_a_mount_point_and_a_patch_replaces_nothing(tmp_path: Path, folder: Path):
    initctl.apply(folder, in_place=True, rules=["norm.weight=zeros"])
    initctl.apply(folder, in_place="patch", rules=RULES)
    assert contents(tmp_path / "elsewhere") == contents(folder)
    assert initctl.verify(folder, folder, rules=RULES).holds


def test_a_directory_of_an_image_is_not_exchanged_and_stays_as_it_was(tmp_path: Path):
    """In a container, the system refuses to rename a directory that is in a layer below."""
    image = tmp_path / "image"
    image.mkdir()
    sharded(image / "model")
    other, before = sharded(tmp_path / "other"), contents(image)
    with overlaid(image, tmp_path / "container") as container:
        folder = container / "model"
        for source, output in ((folder, None), (other, folder)):
            with pytest.raises(initctl.StorageError) as raised:
                initctl.apply(source, output, in_place=output is None, rules=RULES)
            (problem,) = raised.value.problems
            assert problem.message == f"{folder}: cannot be replaced in one step: Invalid cross-device link"
            assert problem.hint == "write to a directory that does not exist yet with -o"
            assert contents(container) == before


def test_files_of_an_image_are_replaced_one_by_one(tmp_path: Path):
    image = tmp_path / "image"
    image.mkdir()
    sharded(image / "model")
    single(image / "net.safetensors")
    before = contents(image)
    with overlaid(image, tmp_path / "container") as container:
        for path, rules in ((container / "model", ["norm.weight=zeros"]), (container / "net.safetensors", RULES)):
            initctl.apply(path, in_place=True, rules=rules)
            assert initctl.verify(path, rules=rules)
        initctl.apply(container / "model", container / "new", rules=RULES)
        assert initctl.verify(container / "model", container / "new", rules=RULES)
        assert contents(container).keys() - before.keys() == {
            f"new{name[5:]}" for name in before if name[:5] == "model"
        }
    assert contents(image) == before
