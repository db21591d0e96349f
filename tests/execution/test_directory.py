"""A directory to a new directory: shards, index and all other files."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
import torch

import initctl
from initctl.events import Progress
from initctl.planning import Plan
from initctl.stream import Normal
from tests.commit.folders import contents, snapshot
from tests.events import on
from tests.execution.checkpoints import SHARDS, assert_written, recomputed, sharded, single

if TYPE_CHECKING:
    from pathlib import Path

RULES = ["*.weight=normal:std=0.02", "norm.weight=ones", "embed.weight=keep", "steps=zeros"]
EXPECTED = {
    "layers.0.weight": recomputed("layers.0.weight", Normal(0, 0.02), (8, 8)),
    "layers.1.weight": recomputed("layers.1.weight", Normal(0, 0.02), (8, 8)),
    "norm.weight": torch.ones(8),
    "steps": torch.tensor([0]),
}
"""What RULES give."""


def assert_directory_written(source: Path, out: Path) -> None:
    """`out` holds what `source` holds, but for what RULES fill."""
    before, after = contents(source), contents(out)
    for shard, names in SHARDS.items():
        filled = {name: EXPECTED[name] for name in names if name in EXPECTED}
        assert_written(before.pop(shard), after.pop(shard), filled)
    assert after == before


@pytest.mark.parametrize("given", ["", "model.safetensors.index.json"])
def test_shards_hold_the_values_and_all_other_files_are_carried_along(tmp_path: Path, given: str):
    source, out = sharded(tmp_path / "model"), tmp_path / "out"
    applied = initctl.apply(source / given, out, rules=RULES)
    assert_directory_written(source, out)
    assert set(applied.files) == {name for name, content in contents(source).items() if content is not None}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out"]


def test_every_file_and_directory_keeps_its_mode(tmp_path: Path):
    source, out = sharded(tmp_path / "model"), tmp_path / "out"
    for name, mode in {"": 0o711, "model-1.safetensors": 0o640, "extra": 0o500, "extra/deep": 0o750}.items():
        (source / name).chmod(mode)
    initctl.apply(source, out, rules=RULES)
    modes = {name: entry.mode for name, entry in snapshot(source).items()}
    assert {name: entry.mode for name, entry in snapshot(out).items()} == modes
    assert stat.S_IMODE(out.stat().st_mode) == 0o711


def test_the_input_is_not_touched(tmp_path: Path):
    source = sharded(tmp_path / "model")
    before = snapshot(source)
    initctl.apply(source, tmp_path / "out", rules=RULES)
    assert snapshot(source) == before


def test_the_copies_are_files_of_their_own(tmp_path: Path):
    source = sharded(tmp_path / "model")
    initctl.apply(source, tmp_path / "out", rules=RULES)
    theirs = {entry.inode for entry in snapshot(source).values()}
    assert theirs.isdisjoint(entry.inode for entry in snapshot(tmp_path / "out").values())


def test_links_to_files_in_the_directory_become_files(tmp_path: Path):
    source, out = sharded(tmp_path / "model"), tmp_path / "out"
    (source / "blobs").mkdir()
    for name in ("model-1.safetensors", "config.json"):
        (source / name).rename(source / "blobs" / name)
        (source / name).symlink_to(f"blobs/{name}")
    initctl.apply(source, out, rules=RULES)
    assert (out / "config.json").read_text() == '{"model_type": "none"}'
    assert not (out / "config.json").is_symlink()
    filled = {"layers.0.weight": EXPECTED["layers.0.weight"]}
    assert_written((source / "model-1.safetensors").read_bytes(), (out / "model-1.safetensors").read_bytes(), filled)


def test_a_directory_of_the_same_names_is_replaced_and_keeps_its_mode(tmp_path: Path):
    source, out = sharded(tmp_path / "model"), tmp_path / "out"
    initctl.apply(source, out, rules=["*.weight=ones"])
    out.chmod(0o700)
    (out / "config.json").write_text("older")
    (out / "empty").unlink()
    initctl.apply(source, out, rules=RULES)
    assert_directory_written(source, out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out"]


def test_a_link_to_a_directory_goes_on_to_lead_to_the_result(tmp_path: Path):
    source = sharded(tmp_path / "model")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    initctl.apply(source, tmp_path / "link", rules=RULES)
    assert (tmp_path / "link").is_symlink()
    assert_directory_written(source, tmp_path / "real")


def test_a_directory_with_one_file_and_no_index_is_a_directory_too(tmp_path: Path):
    source = single(tmp_path / "model" / "model.safetensors").parent
    (source / "config.json").write_text("{}")
    initctl.apply(source, tmp_path / "out", rules=["norm.weight=zeros"])
    after = contents(tmp_path / "out")
    assert_written(contents(source)["model.safetensors"], after["model.safetensors"], {"norm.weight": torch.zeros(8)})
    assert after["config.json"] == b"{}"


def test_a_shard_alone_is_one_file(tmp_path: Path):
    source, out = sharded(tmp_path / "model"), tmp_path / "out.safetensors"
    initctl.apply(source / "model-2.safetensors", out, rules=["*.bias=ones"])
    filled = {"layers.1.bias": torch.ones(8)}
    assert_written((source / "model-2.safetensors").read_bytes(), out.read_bytes(), filled)


def test_progress_counts_every_byte_of_every_file_once(tmp_path: Path):
    source, told = sharded(tmp_path / "model"), []
    initctl.apply(source, tmp_path / "out", rules=RULES, on_event=on(Progress, told.append))
    total = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
    assert {progress.total for progress in told} == {total}
    assert [progress.done for progress in told] == sorted(progress.done for progress in told)
    assert told[-1].done == total


def test_the_plan_is_told_before_anything_is_written(tmp_path: Path):
    told = []
    source = sharded(tmp_path / "model")
    initctl.apply(
        source,
        tmp_path / "out",
        rules=RULES,
        on_event=on(Plan, lambda plan: told.append((plan, (tmp_path / "out").exists()))),
    )
    ((plan, existed),) = told
    assert (len(plan.actions), existed) == (4, False)
