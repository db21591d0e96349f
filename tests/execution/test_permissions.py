"""Permissions of a result: those of its source for owner, group and others, and never a bit that lends an identity."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
import torch

import initctl
from tests.execution.checkpoints import sharded, single

if TYPE_CHECKING:
    from pathlib import Path

SPECIAL = {"set-user-ID": stat.S_ISUID, "set-group-ID": stat.S_ISGID, "sticky": stat.S_ISVTX}
RULES = ["*.weight=ones"]
special = pytest.mark.parametrize("bit", SPECIAL.values(), ids=SPECIAL.keys())


def marked(folder: Path, bit: int) -> Path:
    """`folder` with `bit` set on everything in it, and on itself."""
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o750 | bit)
        assert path.stat().st_mode & bit
    return folder


def modes(folder: Path) -> set[int]:
    """The permissions of everything in `folder`, and of itself."""
    return {stat.S_IMODE(path.stat().st_mode) for path in (*folder.rglob("*"), folder)}


@special
@pytest.mark.parametrize("given", ["", "model.safetensors.index.json"])
def test_no_special_bit_of_a_directory_or_of_anything_in_it_reaches_a_copy(tmp_path: Path, given: str, bit: int):
    source = marked(sharded(tmp_path / "model"), bit)
    initctl.apply(source / given, tmp_path / "out", rules=RULES)
    assert modes(tmp_path / "out") == {0o750}


@special
def test_none_reaches_a_conversion(tmp_path: Path, bit: int):
    source = marked(sharded(tmp_path / "model"), bit)
    initctl.apply(source, tmp_path / "out", max_shard_size="300B")
    assert modes(tmp_path / "out") == {0o750}
    initctl.apply(source, tmp_path / "out.safetensors")
    assert modes(tmp_path / "out.safetensors") == {0o640}


@special
@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_none_reaches_a_distributed_copy(tmp_path: Path, bit: int):
    from torch.distributed.checkpoint import FileSystemWriter, save

    save({"w.weight": torch.zeros(4)}, storage_writer=FileSystemWriter(tmp_path / "model"), no_dist=True)
    initctl.apply(marked(tmp_path / "model", bit), tmp_path / "out", rules=RULES)
    assert modes(tmp_path / "out") == {0o750}


def test_a_new_copy_has_the_permissions_of_the_checkpoint_and_the_next_keeps_its_own(tmp_path: Path):
    source, out = single(tmp_path / "model.safetensors"), tmp_path / "out.safetensors"
    source.chmod(0o600)
    initctl.apply(source, out, rules=RULES)
    assert modes(out) == {0o600}
    out.chmod(0o644)
    initctl.apply(source, out, rules=RULES)
    assert modes(out) == {0o644}


@special
def test_none_reaches_the_copy_of_a_file(tmp_path: Path, bit: int):
    source = single(tmp_path / "model.safetensors")
    source.chmod(0o640 | bit)
    initctl.apply(source, tmp_path / "out.safetensors", rules=RULES)
    assert modes(tmp_path / "out.safetensors") == {0o640}


@special
def test_none_stays_on_a_file_that_is_replaced(tmp_path: Path, bit: int):
    source, out = single(tmp_path / "model.safetensors"), single(tmp_path / "out.safetensors")
    for path in (source, out):
        path.chmod(0o640 | bit)
    initctl.apply(source, out, rules=RULES)
    initctl.apply(source, in_place=True, rules=RULES)
    assert modes(out) == modes(source) == {0o640}


@special
def test_in_place_none_stays_on_what_is_written_anew_and_files_that_stay_are_not_touched(tmp_path: Path, bit: int):
    source = marked(sharded(tmp_path / "model"), bit)
    before = {path.name: path.stat().st_ino for path in source.rglob("*")}
    initctl.apply(source, in_place=True, rules=RULES)
    after = {path.name: path.stat() for path in source.rglob("*") if path.is_file()}
    stayed = {name for name, status in after.items() if status.st_ino == before[name]}
    assert stayed == {"config.json", "empty", "notes.txt", "model.safetensors.index.json"}
    assert {stat.S_IMODE(status.st_mode) for name, status in after.items() if name not in stayed} == {0o750}


@special
def test_in_place_directories_keep_the_bits_that_lend_no_identity(tmp_path: Path, bit: int):
    source = marked(sharded(tmp_path / "model"), bit)
    assert initctl.apply(source, in_place=True, rules=RULES).warnings == ()
    for folder in (source, source / "extra", source / "extra" / "deep"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o750 | (bit & ~stat.S_ISUID)


@special
def test_none_reaches_a_saved_plan(tmp_path: Path, bit: int):
    source, saved = single(tmp_path / "model.safetensors"), tmp_path / "plan.json"
    saved.touch()
    saved.chmod(0o640 | bit)
    initctl.plan(source, rules=RULES).save(saved)
    assert modes(saved) == {0o640}
