"""Files that hold the same model once more: nothing is written until somebody decides on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

import initctl
from tests.commit.folders import contents, snapshot
from tests.execution.checkpoints import network, sharded, single

if TYPE_CHECKING:
    from pathlib import Path

RULES = ["*.weight=ones"]
ONE, MANY = ["norm.weight=zeros"], RULES
"""Rules that change one shard of the network's, and several."""
STALE = {"pytorch_model.bin": b"old", "model.fp16.safetensors": b"old", "onnx/model.onnx": b"old"}


def doubled(folder: Path) -> Path:
    """A directory with the network in three shards, and in other files."""
    sharded(folder)
    (folder / "onnx").mkdir()
    for name, content in STALE.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_directory_with_them_is_refused_and_nothing_is_written(tmp_path: Path):
    source = doubled(tmp_path / "model")
    before = snapshot(tmp_path)
    for given in ({"output": tmp_path / "out"}, {"in_place": True}, {"in_place": "patch"}):
        with pytest.raises(initctl.InputError) as raised:
            initctl.apply(source, rules=RULES, **given)
        (problem,) = raised.value.problems
        assert problem.code == "directory.stale"
        named = "model.fp16.safetensors, pytorch_model.bin, onnx/model.onnx"
        fault = "the same model in another file, with the old values"
        assert problem.message == f"{source}: also contains {named}: {fault}"
        verb = "remove such files" if "in_place" in given else "leave such files out"
        assert problem.hint == f"use --stale drop to {verb}, or --stale keep to keep them unchanged"
    assert snapshot(tmp_path) == before


def test_a_plan_and_a_look_only_warn_and_one_file_of_it_all_needs_no_decision(tmp_path: Path):
    source = doubled(tmp_path / "model")
    assert [problem.code for problem in initctl.plan(source, rules=RULES).warnings] == ["directory.stale"]
    initctl.apply(source, tmp_path / "out.safetensors", rules=RULES)


@pytest.mark.parametrize("size", [None, "300B"])
def test_kept_they_go_along_unchanged(tmp_path: Path, size: str | None):
    source = doubled(tmp_path / "model")
    applied = initctl.apply(source, tmp_path / "out", rules=RULES, stale="keep", max_shard_size=size)
    assert applied.plan.warnings == ()
    assert {name: content for name, content in contents(tmp_path / "out").items() if name in STALE} == STALE
    assert initctl.verify(source, tmp_path / "out", rules=RULES).holds


@pytest.mark.parametrize("size", [None, "300B"])
def test_dropped_they_are_left_out_and_the_result_verifies(tmp_path: Path, size: str | None):
    source = doubled(tmp_path / "model")
    applied = initctl.apply(source, tmp_path / "out", rules=RULES, stale="drop", max_shard_size=size)
    assert applied.plan.warnings == ()
    there = contents(tmp_path / "out")
    assert not STALE.keys() & there.keys()
    assert {"config.json", "extra/deep/notes.txt"} <= there.keys()
    assert STALE.keys() <= contents(source).keys()
    assert initctl.verify(source, tmp_path / "out", rules=RULES).holds


def test_in_place_they_are_removed_even_if_nothing_is_filled(tmp_path: Path):
    source = doubled(tmp_path / "model")
    before = contents(source)
    applied = initctl.apply(source, in_place=True, rules=["*=keep"], stale="drop")
    assert contents(source) == {name: content for name, content in before.items() if name not in STALE}
    removed = "model.fp16.safetensors, pytorch_model.bin, onnx/model.onnx"
    assert str(applied.summary()[-1]) == f"{source}: removed {removed}"


def test_kept_and_changed_they_are_a_difference(tmp_path: Path):
    source = doubled(tmp_path / "model")
    initctl.apply(source, tmp_path / "out", rules=RULES, stale="keep")
    (tmp_path / "out" / "pytorch_model.bin").write_bytes(b"new")
    assert not initctl.verify(source, tmp_path / "out", rules=RULES).holds


@pytest.mark.parametrize("rules", [ONE, MANY], ids=["one shard", "several"])
def test_dropped_in_place_they_are_removed_in_the_same_step_and_all_else_stays_the_same_file(
    tmp_path: Path, rules: list[str]
):
    source = doubled(tmp_path / "model")
    before = snapshot(source)
    initctl.apply(source, in_place=True, rules=rules, stale="drop")
    after = snapshot(source)
    assert before.keys() - after.keys() == STALE.keys()
    assert after["config.json"] == before["config.json"]
    assert initctl.verify(source, rules=rules).holds
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("rules", [ONE, MANY], ids=["one shard", "several"])
def test_kept_in_place_they_are_not_touched(tmp_path: Path, rules: list[str]):
    source = doubled(tmp_path / "model")
    before = snapshot(source)
    initctl.apply(source, in_place=True, rules=rules, stale="keep")
    after = snapshot(source)
    assert {name: after[name] for name in STALE} == {name: before[name] for name in STALE}


def test_a_patch_removes_no_file(tmp_path: Path):
    source = doubled(tmp_path / "model")
    with pytest.raises(initctl.UsageError, match="stale: in_place='patch' only overwrites weights, and cannot remove"):
        initctl.apply(source, in_place="patch", rules=RULES, stale="drop")
    initctl.apply(source, in_place="patch", rules=RULES, stale="keep")


@pytest.mark.parametrize("decision", ["", "Drop", "all"])
def test_another_decision_is_refused(tmp_path: Path, decision: str):
    source = single(tmp_path / "model.safetensors")
    with pytest.raises(initctl.UsageError, match=r"stale: unknown value .*; use keep or drop"):
        initctl.apply(source, tmp_path / "out", rules=RULES, stale=decision)


def test_other_weights_go_along_with_a_conversion(tmp_path: Path):
    source = tmp_path / "model"
    single(source / "unused")
    (source / "unused").unlink()
    torch.save(network(), source / "pytorch_model.bin")
    (source / "training_args.bin").write_bytes(b"args")
    (source / "optimizer.pt").write_bytes(b"moments")
    initctl.apply(source, tmp_path / "out", max_shard_size="5GB")
    assert contents(tmp_path / "out").keys() == {"model.safetensors", "training_args.bin", "optimizer.pt"}
