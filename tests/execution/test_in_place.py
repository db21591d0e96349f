"""In place: what changes is replaced in one step, and what does not is not touched."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file

import initctl
from initctl.stream import Normal
from tests.commit.folders import contents, snapshot
from tests.execution.checkpoints import assert_written, recomputed, sharded, single

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WEIGHTS = {f"layers.{i}.weight": recomputed(f"layers.{i}.weight", Normal(0, 1), (8, 8)) for i in range(2)}


def changed(folder: Path, before: dict) -> set[str]:
    """What in `folder` is no longer the same entry, but for the times of directories."""
    after = snapshot(folder)
    assert set(after) == set(before)
    return {name for name in before if after[name] != before[name] and before[name].content is not None}


def test_one_file_is_replaced_and_keeps_its_mode(tmp_path: Path):
    path = single(tmp_path / "model.safetensors")
    path.chmod(0o640)
    before = path.read_bytes()
    applied = initctl.apply(path, in_place=True, rules=["layers.*.weight=normal"])
    assert_written(before, path.read_bytes(), WEIGHTS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert (applied.output, applied.files) == (str(path), ("model.safetensors",))
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_to_the_file_stays_and_the_file_is_replaced(tmp_path: Path):
    path = single(tmp_path / "real" / "model.safetensors")
    before = path.read_bytes()
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "link"
    link.symlink_to(path)
    initctl.apply(link, in_place=True, rules=["layers.*.weight=normal"])
    assert os.readlink(link) == str(path)
    assert os.listdir(tmp_path / "links") == ["link"]
    assert_written(before, path.read_bytes(), WEIGHTS)


@pytest.fixture
def protected(tmp_path: Path) -> Path:
    """A link to a file in a store that names files by their contents, as DVC makes it."""
    stored = single(tmp_path / ".dvc" / "cache" / "files" / "md5" / "ab" / ("c" * 30))
    stored.chmod(0o444)
    (tmp_path / "model.safetensors").symlink_to(stored.relative_to(tmp_path))
    return tmp_path / "model.safetensors"


def refuse_link(link: Path, source: Path, **options: Any) -> None:
    """In place, `link` is refused, and the message has the path of the file that it leads to."""
    before = snapshot(link.parent)
    with pytest.raises(initctl.ConflictError) as raised:
        initctl.apply(source, rules=["layers.*.weight=zeros"], **options)
    (problem,) = raised.value.problems
    assert problem.code == "output.link"
    assert problem.message == f"{link}: is a symbolic link to a write-protected file, which would be replaced"
    assert problem.hint == f"write to another file with -o, or name {link.resolve()} instead"
    assert snapshot(link.parent) == before


def test_a_link_to_a_write_protected_file_is_refused(protected: Path):
    refuse_link(protected, protected, in_place=True)


def test_a_directory_with_a_link_to_a_write_protected_shard_is_refused(protected: Path):
    refuse_link(protected, protected.parent, in_place=True)


@pytest.mark.parametrize("force", [True, None])
def test_an_output_that_is_a_link_to_a_write_protected_file_is_refused(protected: Path, force: bool | None):
    source = single(protected.parent / "source.safetensors")
    refuse_link(protected, source, output=protected, overwrite=force)


def test_a_write_protected_file_itself_is_replaced(protected: Path):
    path = protected.resolve()
    assert initctl.apply(path, in_place=True, rules=["norm.weight=zeros"]).files == (path.name,)


def test_of_one_touched_shard_only_that_file_changes(tmp_path: Path):
    folder = sharded(tmp_path / "model")
    inode, before = folder.stat().st_ino, snapshot(folder)
    applied = initctl.apply(folder, in_place=True, rules=["layers.1.weight=normal"])
    assert applied.files == ("model-2.safetensors",)
    assert changed(folder, before) == {"model-2.safetensors"}
    assert folder.stat().st_ino == inode
    after = (folder / "model-2.safetensors").read_bytes()
    assert_written(before["model-2.safetensors"].content, after, {"layers.1.weight": WEIGHTS["layers.1.weight"]})


def test_of_several_touched_shards_only_those_change_and_the_rest_stay_the_same_files(tmp_path: Path):
    folder = sharded(tmp_path / "model")
    folder.chmod(0o750)
    (folder / "extra").chmod(0o711)
    (folder / "link").symlink_to("config.json")
    before = snapshot(folder)
    applied = initctl.apply(folder, in_place=True, rules=["layers.*.weight=normal"])
    shards = {"model-1.safetensors", "model-2.safetensors"}
    assert set(applied.files) == shards
    assert changed(folder, before) == shards
    assert {name: entry.mode for name, entry in snapshot(folder).items()} == {
        name: entry.mode for name, entry in before.items()
    }
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    assert list(tmp_path.iterdir()) == [folder]
    for shard, name in zip(sorted(shards), WEIGHTS, strict=True):
        assert_written(before[shard].content, (folder / shard).read_bytes(), {name: WEIGHTS[name]})


def test_shards_that_are_links_within_the_directory_stay_links(tmp_path: Path):
    folder = sharded(tmp_path / "model")
    (folder / "real").mkdir()
    for shard in ("model-1.safetensors", "model-2.safetensors"):
        (folder / shard).rename(folder / "real" / shard)
        (folder / shard).symlink_to(f"real/{shard}")
    before = snapshot(folder)
    initctl.apply(folder, in_place=True, rules=["layers.*.weight=normal"])
    assert changed(folder, before) == {"real/model-1.safetensors", "real/model-2.safetensors"}
    after = (folder / "model-1.safetensors").read_bytes()
    written = {"layers.0.weight": WEIGHTS["layers.0.weight"]}
    assert_written(before["real/model-1.safetensors"].content, after, written)


@pytest.mark.parametrize("rules", [["*=keep"], ["none=ones"]])
def test_where_nothing_changes_no_file_is_touched(tmp_path: Path, rules: list[str]):
    tensors = {"w": torch.ones(3), "none": torch.empty(0, 4)}
    save_file(tensors, tmp_path / "model.safetensors")
    before, directory = snapshot(tmp_path), tmp_path.stat()
    applied = initctl.apply(tmp_path / "model.safetensors", in_place=True, rules=rules)
    assert applied.files == ()
    assert snapshot(tmp_path) == before
    assert tmp_path.stat().st_mtime_ns == directory.st_mtime_ns


def test_where_no_shard_changes_the_directory_is_not_touched(tmp_path: Path):
    folder = sharded(tmp_path / "model")
    before, inode = snapshot(tmp_path), folder.stat().st_ino
    assert initctl.apply(folder, in_place=True, rules=["*=keep"]).files == ()
    assert snapshot(tmp_path) == before
    assert folder.stat().st_ino == inode


def refuse(path: Path, code: str, *rules: str) -> None:
    """In place is refused with `code`, and everything around `path` is as it was."""
    before = snapshot(path.parent)
    with pytest.raises(initctl.ConflictError) as raised:
        initctl.apply(path, in_place=True, rules=rules or ["layers.*.weight=zeros"])
    (problem,) = raised.value.problems
    hint = "write to a place outside of this cache" if code == "output.cached" else "write to another file with -o"
    assert (problem.code, problem.hint) == (code, hint)
    assert snapshot(path.parent) == before


@pytest.mark.parametrize("given", ["snapshots/1/model.safetensors", "snapshots/1"])
def test_files_of_hugging_faces_cache_are_refused(tmp_path: Path, given: str):
    blob = single(tmp_path / "blobs" / ("0" * 64))
    (tmp_path / "snapshots" / "1").mkdir(parents=True)
    (tmp_path / "snapshots" / "1" / "model.safetensors").symlink_to(f"../../blobs/{blob.name}")
    refuse(tmp_path / given, "output.cached")


def test_a_cached_file_is_refused_as_an_output_too(tmp_path: Path):
    source, blob = single(tmp_path / "in"), single(tmp_path / "cache" / "blobs" / ("0" * 64))
    (tmp_path / "cache" / "snapshots").mkdir()
    before = snapshot(tmp_path)
    with pytest.raises(initctl.ConflictError, match="is in the Hugging Face cache"):
        initctl.apply(source, blob, rules=["norm.weight=zeros"])
    assert snapshot(tmp_path) == before


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    """A revision in the cache: a directory with a file that, as on Windows, is not a link."""
    revision = tmp_path / "hub" / "models--org--name" / "snapshots" / ("1" * 40)
    single(revision / "model.safetensors")
    return revision


WRITING: dict[str, Callable[[Path, Path], object]] = {
    "apply": lambda source, output: initctl.apply(source, output, rules=["norm.*=zeros"]),
    "new": lambda source, output: initctl.new(output, like=source, rules=["*=zeros"]),
}


@pytest.mark.parametrize("given", ["model.safetensors", "new.safetensors", "", "../new", "..", "../..", "../../blobs"])
@pytest.mark.parametrize("command", WRITING)
def test_nothing_is_written_to_a_repository_in_the_cache(tmp_path: Path, cached: Path, given: str, command: str):
    file = single(tmp_path / "in" / "model.safetensors")
    source = file if given.endswith(".safetensors") else file.parent
    before = snapshot(tmp_path)
    with pytest.raises(initctl.ConflictError) as raised:
        WRITING[command](source, cached / given)
    (problem,) = raised.value.problems
    assert (problem.code, problem.hint) == ("output.cached", "write to a place outside of this cache")
    assert snapshot(tmp_path) == before


def test_a_revision_in_the_cache_is_refused_in_place(cached: Path):
    refuse(cached, "output.cached")


def test_the_whole_cache_is_not_replaced(tmp_path: Path, cached: Path):
    sharded(tmp_path / "in")
    before = snapshot(tmp_path)
    with pytest.raises(initctl.ConflictError, match="contains files that are not part of the result"):
        initctl.apply(tmp_path / "in", tmp_path / "hub", rules=["norm.*=zeros"], overwrite=True)
    assert snapshot(tmp_path) == before


def test_a_folder_that_is_merely_called_blobs_is_no_cache(tmp_path: Path):
    path = single(tmp_path / "blobs" / "model.safetensors")
    assert initctl.apply(path, in_place=True, rules=["norm.weight=zeros"]).files == ("model.safetensors",)


def test_a_file_with_another_hard_link_is_refused(tmp_path: Path):
    path = single(tmp_path / "model.safetensors")
    os.link(path, tmp_path / "other")
    refuse(path, "output.hard_links")


def test_a_shard_with_another_hard_link_is_refused_only_where_it_is_touched(tmp_path: Path):
    folder = sharded(tmp_path / "model")
    os.link(folder / "model-2.safetensors", tmp_path / "other")
    refuse(folder, "output.hard_links")
    initctl.apply(folder, in_place=True, rules=["layers.0.weight=zeros"])
    initctl.apply(folder, in_place=True, rules=["{layers.0,norm}.weight=ones"])
    assert contents(tmp_path)["other"] == (folder / "model-2.safetensors").read_bytes()


def test_a_link_that_leaves_the_directory_is_refused(tmp_path: Path):
    single(tmp_path / "elsewhere" / "model.safetensors")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").symlink_to("../elsewhere/model.safetensors")
    with pytest.raises(initctl.InputError, match="not a regular file, or a link to a file in the directory"):
        initctl.apply(tmp_path / "model", in_place=True, rules=["*.weight=ones"])
