"""Names of one tensor are tied: same bytes, same dtype, same order of elements; everything else is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import nn

import initctl
from tests.formats.torch_save.rewritten import legacy, saved

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

BASE = torch.arange(12.0).reshape(3, 4)


def ties(folder: Path, state: Mapping[str, Any], write: Callable[[Any], bytes] = saved) -> dict[str, tuple[str, ...]]:
    """The names that each tensor of a state dict is tied to."""
    (folder / "in.pt").write_bytes(write(dict(state)))
    return {tensor.name: tensor.tied for tensor in initctl.inspect(folder / "in.pt").tensors}


@pytest.mark.parametrize("write", [saved, legacy])
@pytest.mark.parametrize("other", [BASE, BASE.view(3, 4), BASE[:], BASE.detach(), nn.Parameter(BASE), BASE.T.T])
def test_names_of_the_same_elements_in_the_same_order_are_tied(tmp_path: Path, other: torch.Tensor, write: Any):
    found = ties(tmp_path, {"b": BASE, "a": other, "c": torch.ones(3, 4)}, write)
    assert found == {"b": ("a", "b"), "a": ("a", "b"), "c": ()}


@pytest.mark.parametrize("write", [saved, legacy])
@pytest.mark.parametrize("other", [
    BASE.clone(), BASE.view(4, 3), BASE.view(12), BASE.view(1, 3, 4), BASE[:2], BASE[1:], BASE[:, :2], BASE.T,
    BASE[:1].expand(3, 4),
])  # fmt: skip
def test_copies_other_shapes_parts_and_other_orders_are_not_tied(tmp_path: Path, other: torch.Tensor, write: Any):
    assert ties(tmp_path, {"b": BASE, "a": other}, write) == {"b": (), "a": ()}


def test_a_tensor_may_have_many_names_and_each_gives_all_of_them_in_order(tmp_path: Path):
    names = [f"layer.{number}" for number in (10, 9, 2, 1)]
    found = ties(tmp_path, dict.fromkeys(names, BASE))
    assert list(found) == names
    assert set(found.values()) == {tuple(sorted(names))}


def test_parts_are_tied_to_the_same_parts(tmp_path: Path):
    found = ties(tmp_path, {"q": BASE[:1], "k": BASE[1:2], "query": BASE[:1], "all": BASE})
    assert found == {"q": ("q", "query"), "k": (), "query": ("q", "query"), "all": ()}


def aliases(path: Path) -> dict[str, tuple[str, ...]]:
    return {tensor.name: tensor.aliases for tensor in initctl.inspect(path).tensors}


def test_names_that_save_model_leaves_out_are_aliases_and_the_first_of_all_gives_the_values(tmp_path: Path):
    model = nn.ModuleDict({"z": nn.Linear(2, 2, bias=False), "m": nn.Linear(2, 2, bias=False)})
    model["z"].weight = model["m"].weight
    save_model(model, tmp_path / "m.safetensors", metadata={"format": "pt"})
    assert aliases(tmp_path / "m.safetensors") == {"m.weight": ("z.weight",)}
    save_file({"z.weight": torch.ones(2)}, tmp_path / "z.safetensors", metadata={"m.weight": "z.weight"})
    (tensor,) = initctl.inspect(tmp_path / "z.safetensors").tensors
    assert (tensor.name, tensor.value_name) == ("z.weight", "m.weight")


def test_aliases_lose_a_wrappers_prefix_as_names_do(tmp_path: Path):
    save_file({"module.z": torch.ones(2)}, tmp_path / "m.safetensors", metadata={"module.m": "module.z"})
    assert aliases(tmp_path / "m.safetensors") == {"z": ("m",)}


def test_an_alias_without_a_wrappers_prefix_keeps_it_on_all_names(tmp_path: Path):
    save_file({"module.z": torch.ones(2)}, tmp_path / "m.safetensors", metadata={"m": "module.z"})
    assert aliases(tmp_path / "m.safetensors") == {"module.z": ("m",)}


def test_metadata_that_names_no_tensor_or_one_that_is_there_too_is_no_alias(tmp_path: Path):
    tensors = {"pt": torch.ones(2), "w": torch.ones(3)}
    save_file(tensors, tmp_path / "m.safetensors", metadata={"format": "pt", "pt": "w", "w": "w", "v": "x"})
    assert aliases(tmp_path / "m.safetensors") == {"pt": (), "w": ()}


def test_a_rule_for_an_alias_says_what_it_is_kept_as(tmp_path: Path):
    save_file({"wte.weight": torch.ones(2)}, tmp_path / "m.safetensors", metadata={"head.weight": "wte.weight"})
    with pytest.raises(initctl.FitError, match=r"head.weight is tied to wte.weight, .*; write 'wte.weight'"):
        initctl.plan(tmp_path / "m.safetensors", rules=["head.*=normal"])


def test_tensors_without_elements_are_tied_to_nothing(tmp_path: Path):
    empty = torch.zeros(0, 3)
    assert ties(tmp_path, {"a": empty, "b": empty}) == {"a": (), "b": ()}


def test_scalars_are_tied_as_others_are(tmp_path: Path):
    step = torch.tensor(3.0)
    assert ties(tmp_path, {"a": step, "b": step, "c": torch.tensor(3.0)}) == {"a": ("a", "b"), "b": ("a", "b"), "c": ()}


def test_what_lies_outside_of_the_root_is_tied_to_what_lies_outside_alone(tmp_path: Path):
    torch.save({"model": {"w": BASE, "v": BASE}, "ema": {"w": BASE, "v": BASE}}, tmp_path / "in.pt")
    found = initctl.inspect(tmp_path / "in.pt")
    assert {tensor.name: tensor.tied for tensor in found.tensors} == {"w": ("v", "w"), "v": ("v", "w")}
    assert {tensor.tied for tensor in found.outside} == {("ema.v", "ema.w")}
    whole = initctl.inspect(tmp_path / "in.pt", root="")
    assert {tensor.tied for tensor in whole.tensors} == {("ema.v", "ema.w", "model.v", "model.w")}


def test_names_lose_a_wrappers_prefix_among_ties_too(tmp_path: Path):
    assert ties(tmp_path, {"module.b": BASE, "module.a": BASE}) == {"b": ("a", "b"), "a": ("a", "b")}


def test_files_of_safetensors_have_no_ties(tmp_path: Path):
    save_file({"a": BASE.clone(), "b": BASE.clone()}, tmp_path / "in.safetensors")
    assert [tensor.tied for tensor in initctl.inspect(tmp_path / "in.safetensors").tensors] == [(), ()]


def test_a_module_that_ties_its_weights_is_read_as_tied(tmp_path: Path):
    net = nn.ModuleDict({"embed": nn.Embedding(5, 3), "out": nn.Linear(3, 5, bias=False)})
    net.out.weight = net.embed.weight
    assert set(ties(tmp_path, net.state_dict()).values()) == {("embed.weight", "out.weight")}


def test_twenty_thousand_names_of_one_tensor_are_found_in_time(tmp_path: Path):
    import time

    one, begun = torch.ones(1), time.process_time()
    found = ties(tmp_path, {f"t{number}": one for number in range(20_000)})
    assert len(found["t0"]) == 20_000
    assert time.process_time() - begun < 30
