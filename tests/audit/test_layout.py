"""A result is held against what the rules give for the original, wherever and under whatever names it has it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import initctl
from tests.execution.checkpoints import sharded
from tests.execution.torch_files import save

if TYPE_CHECKING:
    from pathlib import Path


def converted(folder: Path, state: dict[str, Any], *rules: str, **options: Any) -> tuple[Path, Path]:
    """A file of torch.save, and what the rules make of it as safetensors."""
    before, after = save(folder / "in.pt", state), folder / "out.safetensors"
    initctl.apply(before, after, rules=rules, **options)
    return before, after


def by_rules_and_by_plan(before: Path, after: Path, *rules: str, **options: Any) -> list[Any]:
    """What verifying comes to, either way."""
    initctl.plan(before, rules=rules, **options).save(before.with_name("plan.json"))
    return [
        initctl.verify(before, after, rules=rules, **options),
        initctl.verify(initctl.load_plan(before.with_name("plan.json"), before), after),
    ]


def test_values_follow_from_the_names_that_the_original_has(tmp_path: Path):
    save_file({"w": torch.ones(9), "k": torch.ones(2)}, tmp_path / "in.safetensors")
    save_file({"a": torch.ones(9)}, tmp_path / "a.safetensors")
    initctl.apply(tmp_path / "a.safetensors", tmp_path / "filled.safetensors", rules=["a=normal"])
    other = load_file(tmp_path / "filled.safetensors")["a"]
    save_file({"w": other, "k": torch.ones(2)}, tmp_path / "out.safetensors", metadata={"a": "w"})
    for found in by_rules_and_by_plan(tmp_path / "in.safetensors", tmp_path / "out.safetensors", "w=normal"):
        assert [difference.tensor for difference in found.differences] == ["w"]


def test_a_tensor_that_became_another_name_of_one_is_compared(tmp_path: Path):
    before = save(tmp_path / "in.pt", {"a": torch.ones(3), "d": torch.arange(3.0)})
    save_file({"a": torch.zeros(3)}, tmp_path / "out.safetensors", metadata={"d": "a"})
    for found in by_rules_and_by_plan(before, tmp_path / "out.safetensors", "a=zeros"):
        assert [(d.tensor, d.index) for d in found.differences] == [("d", (1,))]


def test_tied_tensors_that_lie_apart_in_the_result_are_each_compared(tmp_path: Path):
    weight = torch.arange(6.0)
    before, after = converted(tmp_path, {"emb": weight, "out": weight}, "{emb,out}=normal")
    right = load_file(after)["emb"]
    save_file({"emb": right, "out": right.clone()}, tmp_path / "apart.safetensors")
    save_file({"emb": right, "out": right + 1}, tmp_path / "wrong.safetensors")
    for found in by_rules_and_by_plan(before, tmp_path / "apart.safetensors", "{emb,out}=normal"):
        assert found.holds
    for found in by_rules_and_by_plan(before, tmp_path / "wrong.safetensors", "{emb,out}=normal"):
        assert [difference.tensor for difference in found.differences] == ["out"]


def test_tensors_that_were_tied_otherwise_are_each_compared(tmp_path: Path):
    one, other = torch.arange(3.0), torch.arange(3.0) + 5
    before = save(tmp_path / "in.pt", {"b": one, "c": other, "d": one, "w": torch.ones(2)})
    save_file({"b": one, "c": other, "w": torch.zeros(2)}, tmp_path / "out.safetensors", metadata={"d": "c"})
    for found in by_rules_and_by_plan(before, tmp_path / "out.safetensors", "w=zeros"):
        assert [difference.tensor for difference in found.differences] == ["d"]


CONVERSIONS: dict[str, tuple[dict[str, Any], tuple[str, ...], dict[str, Any]]] = {
    "names that a tie takes away": (
        {"layers.0.w": (tied := torch.ones(3, 2)), "layers.1.w": torch.ones(3, 2), "layers.2.w": tied},
        ("layers.{-2}.w=normal:std=layers",),
        {},
    ),
    "the order of torch's random numbers": (
        {"a": torch.ones(5, dtype=torch.float16), "b": torch.ones(5, dtype=torch.float64), "c": torch.ones(5)},
        ("*=normal",),
        {"rng": "torch", "seed": 3},
    ),
    "a copy of a tied tensor": (
        {"emb": (tied := torch.rand(4)), "out": tied, "head": torch.ones(4)},
        ("head=copy:from=out",),
        {},
    ),
    "two rules for tied tensors": (
        {"emb": (tied := torch.rand(4)), "out": tied},
        ("emb=normal", "out=normal"),
        {},
    ),
    "a root, and a name below it that begins like one": (
        {"model": {"model.w": torch.ones(3), "v": torch.ones(2)}, "ema": {"w": torch.ones(1)}},
        ("model.w=normal",),
        {"root": "model"},
    ),
}


@pytest.mark.parametrize("kind", CONVERSIONS)
def test_what_a_conversion_changes_beside_values_does_not_matter(tmp_path: Path, kind: str):
    state, rules, options = CONVERSIONS[kind]
    before, after = converted(tmp_path, state, *rules, **options)
    for found in by_rules_and_by_plan(before, after, *rules, **options):
        assert found.holds
        assert found.is_converted


def test_tensors_of_one_name_are_told_apart_by_their_places(tmp_path: Path):
    state = {"model": {"w": torch.ones(3), "a.b": torch.rand(2), "a": {"b": torch.rand(2)}}}
    outside = {"ema": {1: torch.ones(3), "1": torch.zeros(3)}}
    before = save(tmp_path / "in.pt", {**state, **outside})
    initctl.apply(before, tmp_path / "out.pt", rules=["w=zeros"])
    for found in by_rules_and_by_plan(before, tmp_path / "out.pt", "w=zeros"):
        assert found.holds


def test_an_optimizer_beside_the_tensors_of_a_state_dict(tmp_path: Path):
    net = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.ones(3)).sum().backward()
    optimizer.step()
    before = save(tmp_path / "in.pt", {**net.state_dict(), "optimizer": optimizer.state_dict()})
    for options in ({}, {"reset_optimizer": True}):
        document = tmp_path / "plan.json"
        initctl.plan(before, rules=["weight=zeros"], **options).save(document)
        initctl.apply(initctl.load_plan(document, before), tmp_path / "out.pt")
        assert initctl.verify(initctl.load_plan(document, result=tmp_path / "out.pt")).holds
        assert initctl.verify(initctl.load_plan(document, before), tmp_path / "out.pt").holds


def test_a_conversion_has_no_optimizer_to_compare(tmp_path: Path):
    net = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.ones(3)).sum().backward()
    optimizer.step()
    state = {"model": net.state_dict(), "optimizer": optimizer.state_dict()}
    before, after = converted(tmp_path, state, "weight=zeros")
    with pytest.raises(initctl.UsageError, match="was converted, and has no optimizer"):
        initctl.verify(before, after, rules=["weight=zeros"], reset_optimizer=True)


@pytest.mark.parametrize("kind", ["F4", "F6_E2M3"])
@pytest.mark.parametrize("output", ["out.safetensors", "out/"])
def test_elements_below_a_byte_are_converted_as_they_are(tmp_path: Path, kind: str, output: str):
    header = {"p": {"dtype": kind, "shape": [4, 8], "data_offsets": [0, 16 if kind == "F4" else 24]}}
    packed = bytes(range(1, 1 + header["p"]["data_offsets"][1]))
    header["w"] = {"dtype": "F32", "shape": [2], "data_offsets": [len(packed), len(packed) + 8]}
    text = json.dumps(header).encode()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "m.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + packed + bytes(8))
    options = {"max_shard_size": "1MB"} if output.endswith("/") else {}
    initctl.apply(tmp_path / "in", f"{tmp_path}/{output}", rules=["w=ones"], **options)
    (file,) = (path for path in tmp_path.rglob("*.safetensors") if path.parent.name != "in")
    assert packed in file.read_bytes()
    for sample in (None, 1):
        assert initctl.verify(tmp_path / "in", f"{tmp_path}/{output}", rules=["w=ones"], sample=sample).holds


def test_shards_of_another_size_hold_the_same(tmp_path: Path):
    folder = sharded(tmp_path / "in")
    initctl.apply(folder, tmp_path / "out", rules=["*.weight=normal"], max_shard_size="1KB")
    assert initctl.verify(folder, tmp_path / "out", rules=["*.weight=normal"]).holds
    (tmp_path / "out" / "config.json").write_text("{}")
    found = initctl.verify(folder, tmp_path / "out", rules=["*.weight=normal"])
    assert [difference.file for difference in found.rest_differences] == ["config.json"]


def test_a_shard_that_was_added_is_told(tmp_path: Path):
    folder = sharded(tmp_path / "in")
    initctl.apply(folder, tmp_path / "out", rules=["*.weight=normal"])
    save_file({"more": torch.ones(2)}, tmp_path / "out" / "model-4.safetensors")
    index = tmp_path / "out" / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["more"] = "model-4.safetensors"
    index.write_text(json.dumps(content))
    found = initctl.verify(folder, tmp_path / "out", rules=["*.weight=normal"])
    assert [(lost.tensor, lost.fault) for lost in found.lost] == [("more", "is new")]


def test_a_result_in_another_format_of_torch_came_of_no_conversion(tmp_path: Path):
    state = {"model": {"a": torch.ones(3)}, "ema": torch.ones(2)}
    save(tmp_path / "in.pt", state)
    initctl.apply(tmp_path / "in.pt", tmp_path / "out.pt", rules=["a=normal"])
    save(tmp_path / "again.pt", {**torch.load(tmp_path / "out.pt"), "more": 1}, "legacy")
    found = initctl.verify(tmp_path / "in.pt", tmp_path / "again.pt", rules=["a=normal"])
    assert [d.fault for d in found.rest_differences] == ["is torch-legacy instead of torch"]
    assert not found.differences


def test_a_name_that_a_file_notes_is_not_that_of_another_files_tensor(tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    save_file({"z": torch.ones(4, 4)}, folder / "model-1.safetensors", metadata={"b": "z", "n": "z"})
    save_file({"b": torch.ones(4, 4), "c": torch.ones(3)}, folder / "model-2.safetensors", metadata={"n": "c"})
    weight_map = {"z": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-2.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert not any(tensor.aliases for tensor in initctl.inspect(folder).tensors)
    initctl.plan(folder, rules=["{b,c}=normal"]).save(tmp_path / "plan.json")
    for output in ("out", "out.safetensors"):
        initctl.apply(folder, tmp_path / output, rules=["*=normal"])
        found = initctl.verify(folder, tmp_path / output, rules=["*=normal"])
        assert found.holds
        assert found.compared == 35
    initctl.apply(initctl.load_plan(tmp_path / "plan.json", folder), tmp_path / "planned")
    assert initctl.verify(folder, tmp_path / "planned", rules=["{b,c}=normal"]).holds


def test_many_shards_are_read_though_few_files_may_be_open(tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(150):
        save_file({f"w{number}": torch.ones(3)}, folder / f"model-{number}.safetensors")
    weight_map = {f"w{number}": f"model-{number}.safetensors" for number in range(150)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    initctl.apply(folder, tmp_path / "out", rules=["*=scale:by=2"])
    code = (
        "import initctl, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (120, 120)); "
        "sys.exit(not initctl.verify(sys.argv[2], sys.argv[1], rules=['*=scale:by=2']).holds)"
    )
    assert not subprocess.run([sys.executable, "-c", code, tmp_path / "out", folder], check=False).returncode


@pytest.mark.parametrize(("metadata", "fault"), [
    ({"format": "pt", "note": "one", "more": "x"}, "metadata more is new"),
    ({"format": "pt", "note": "two"}, "metadata note differs"), ({"format": "pt"}, "metadata note is missing"),
])  # fmt: skip
def test_metadata_of_a_file_in_a_directory_that_was_written_anew(tmp_path: Path, metadata: dict[str, str], fault: str):
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    save_file({"w": torch.ones(2)}, tmp_path / "in" / "model.safetensors", metadata={"format": "pt", "note": "one"})
    initctl.apply(tmp_path / "in", tmp_path / "small", rules=["w=zeros"], max_shard_size="1MB")
    assert initctl.verify(tmp_path / "in", tmp_path / "small", rules=["w=zeros"]).holds
    save_file({"w": torch.zeros(2)}, tmp_path / "out" / "model.safetensors", metadata=metadata)
    found = initctl.verify(tmp_path / "in", tmp_path / "out", rules=["w=zeros"])
    assert [difference.fault for difference in found.rest_differences] == [fault]


def test_what_was_written_anew_is_compared_by_its_names(tmp_path: Path):
    net = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.ones(3)).sum().backward()
    optimizer.step()
    save(tmp_path / "in.pt", {"model": net.state_dict(), "optimizer": optimizer.state_dict()})
    options: dict[str, Any] = {"rules": ["weight=zeros"], "reset_optimizer": True}
    initctl.apply(tmp_path / "in.pt", tmp_path / "out.pt", **options)
    state = torch.load(tmp_path / "out.pt")
    state["optimizer"]["state"][0]["step"] += 3
    state["optimizer"]["state"][1]["exp_avg"][1] += 1
    save(tmp_path / "again-and-again.pt", {"note": "moved", **state})
    found = initctl.verify(tmp_path / "in.pt", tmp_path / "again-and-again.pt", **options)
    assert {difference.tensor for difference in found.differences} == {
        "optimizer.state.0.step", "optimizer.state.1.exp_avg",
    }  # fmt: skip
    del state["optimizer"]["state"][1]["exp_avg"]
    save(tmp_path / "again-and-again.pt", {"note": "moved", **state})
    found = initctl.verify(tmp_path / "in.pt", tmp_path / "again-and-again.pt", **options)
    assert [lost.tensor for lost in found.lost] == ["optimizer.state.1.exp_avg"]


def test_a_conversion_without_rules_is_verified_against_the_original(tmp_path: Path):
    before, after = converted(tmp_path, {"a": torch.rand(3), "b": torch.rand(2)})
    assert initctl.verify(before, after).holds
    save_file({"a": torch.rand(3), "b": torch.rand(2)}, after)
    assert [d.tensor for d in initctl.verify(before, after).differences] == ["a", "b"]
    with pytest.raises(initctl.UsageError, match="no rules given"):
        initctl.verify(after)
