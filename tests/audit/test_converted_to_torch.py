"""A file of torch.save that a conversion gave is held against what it came of: tensors, names, ties and checksums."""

from __future__ import annotations

import zipfile
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import initctl
from initctl.formats import read_checkpoint
from tests.execution.checkpoints import network, raw_bytes, sharded, single
from tests.formats.ranks import saved_alone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RULES = ["*.bias=ones", "embed.weight=orthogonal", "layers.1.weight[2:5]=normal"]
SOURCES: dict[str, Callable[[Path], Path]] = {
    "a file": lambda folder: single(folder / "in.safetensors"),
    "shards": lambda folder: sharded(folder / "in"),
    "a distributed checkpoint": lambda folder: saved_alone(folder / "in", network()),
}


@pytest.fixture(scope="module", params=SOURCES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkpoint, and what the rules made of it."""
    folder = tmp_path_factory.mktemp("case")
    before = SOURCES[request.param](folder)
    initctl.apply(before, folder / "out.pt", rules=RULES)
    return before, folder / "out.pt"


def loaded(path: Path) -> dict[str, bytes] | None:
    """What torch reads of each tensor, if it reads anything."""
    try:
        found = torch.load(path, weights_only=True)
    except Exception:
        return None
    return {name: raw_bytes(tensor) for name, tensor in found.items()}


@pytest.mark.parametrize("sample", [None, 3])
def test_it_holds(case: tuple[Path, Path], sample: int | None):
    before, after = case
    found = initctl.verify(before, after, rules=RULES, sample=sample)
    assert found.holds
    assert found.is_converted
    assert sample or found.compared == sum(tensor.numel() for tensor in network().values())
    assert not initctl.verify(before, after, rules=[*RULES, "norm.weight=zeros"], sample=sample).holds


def test_it_holds_by_a_saved_plan(case: tuple[Path, Path], tmp_path: Path):
    before, after = case
    initctl.plan(before, rules=RULES).save(tmp_path / "plan.json")
    assert initctl.verify(initctl.load_plan(tmp_path / "plan.json", before), after).holds
    assert initctl.verify(initctl.load_plan(tmp_path / "plan.json", result=after)).holds


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(data=st.data())
def test_no_flipped_bit_of_a_tensor_is_passed_over(tmp_path: Path, case: tuple[Path, Path], data: st.DataObject):
    before, after = case
    content = bytearray(after.read_bytes())
    tensor = data.draw(st.sampled_from(read_checkpoint(after).tensors))
    (block,) = tensor.blocks
    at = data.draw(st.integers(0, tensor.nbytes - 1))
    content[block.offset + at] ^= 1 << data.draw(st.integers(0, 7))
    (tmp_path / "flipped.pt").write_bytes(content)
    found = initctl.verify(before, tmp_path / "flipped.pt", rules=RULES)
    assert [difference.tensor for difference in found.differences] == [tensor.name]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(data=st.data())
def test_no_flipped_bit_that_changes_what_torch_reads_is_passed_over(
    tmp_path: Path, case: tuple[Path, Path], data: st.DataObject
):
    before, after = case
    content = bytearray(after.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    (tmp_path / "flipped.pt").write_bytes(content)
    try:
        holds = initctl.verify(before, tmp_path / "flipped.pt", rules=RULES).holds
    except initctl.InitctlError:
        return
    assert not holds or loaded(tmp_path / "flipped.pt") == loaded(after), at


@pytest.mark.parametrize("name", ["norm.weight", "layers.0.bias"])
def test_a_wrong_checksum_of_a_tensor_is_found_whether_it_was_kept_or_filled(
    case: tuple[Path, Path], tmp_path: Path, name: str
):
    before, after = case
    checkpoint = read_checkpoint(after)
    (block,) = next(tensor for tensor in checkpoint.tensors if tensor.name == name).blocks
    (checksum,) = (c for c in checkpoint.files[0].checksums if c.start == block.offset)
    content = bytearray(after.read_bytes())
    for place in checksum.places:
        content[place] ^= 1
    (tmp_path / "wrong.pt").write_bytes(content)
    (fault,) = initctl.verify(before, tmp_path / "wrong.pt", rules=RULES).rest_differences
    assert fault.fault == f"the checksum of {checksum.name} is wrong"


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a tensor less": lambda found: found.pop("norm.weight"),
    "a tensor more": lambda found: found.update(more=torch.ones(1)),
    "another shape": lambda found: found.update({"norm.weight": found["norm.weight"].reshape(2, 4)}),
    "another dtype": lambda found: found.update({"norm.weight": found["norm.weight"].double()}),
    "a tensor that took another's place": lambda found: found.update({"norm.weight": found["layers.0.bias"]}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_torch_wrote_over_it_is_found(case: tuple[Path, Path], tmp_path: Path, change: str):
    before, after = case
    tensors = dict(torch.load(after))
    torch.save(OrderedDict(tensors), tmp_path / "same.pt")
    assert initctl.verify(before, tmp_path / "same.pt", rules=RULES).holds
    CHANGES[change](tensors)
    torch.save(tensors, tmp_path / "other.pt")
    assert not initctl.verify(before, tmp_path / "other.pt", rules=RULES).holds


class TestTies:
    """The original notes that `b` is `a`."""

    @pytest.fixture
    def before(self, tmp_path: Path) -> Path:
        save_file({"a": torch.arange(4.0), "k": torch.ones(2)}, tmp_path / "in.safetensors", metadata={"b": "a"})
        return tmp_path / "in.safetensors"

    @pytest.mark.parametrize("rules", [["a=normal"], ["k=normal"], []])
    def test_hold_under_both_names(self, before: Path, tmp_path: Path, rules: list[str]):
        initctl.apply(before, tmp_path / "out.pt", rules=rules)
        assert initctl.verify(before, tmp_path / "out.pt", rules=rules).holds

    @pytest.mark.parametrize("rules", [["a=normal"], ["k=normal"]])
    def test_are_compared_under_the_other_name_where_they_are_apart(
        self, before: Path, tmp_path: Path, rules: list[str]
    ):
        initctl.apply(before, tmp_path / "out.pt", rules=rules)
        found = torch.load(tmp_path / "out.pt")
        torch.save({**found, "b": found["a"].clone()}, tmp_path / "apart.pt")
        assert initctl.verify(before, tmp_path / "apart.pt", rules=rules).holds
        torch.save({**found, "b": found["a"] + 1}, tmp_path / "other.pt")
        (difference,) = initctl.verify(before, tmp_path / "other.pt", rules=rules).differences
        assert difference.tensor == "a"

    def test_are_missed_under_the_other_name(self, before: Path, tmp_path: Path):
        initctl.apply(before, tmp_path / "out.pt")
        found = torch.load(tmp_path / "out.pt")
        torch.save({name: found[name] for name in ("a", "k")}, tmp_path / "less.pt")
        (lost,) = initctl.verify(before, tmp_path / "less.pt").lost
        assert (lost.tensor, lost.fault) == ("b", "is missing")


def test_a_file_of_another_format_than_the_conversion_gives_is_found(tmp_path: Path):
    before = single(tmp_path / "in.safetensors")
    torch.save(network(), tmp_path / "out.pt", _use_new_zipfile_serialization=False)
    found = initctl.verify(before, tmp_path / "out.pt", rules=["*.bias=constant:val=0.5"])
    assert not zipfile.is_zipfile(tmp_path / "out.pt")
    assert [fault.fault for fault in found.rest_differences] == ["is torch-legacy instead of safetensors"]
