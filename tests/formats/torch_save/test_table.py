"""The table says what torch says: of each tensor its name, shape, dtype, and the bytes that it is made of."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

import initctl
from initctl.dtypes import BY_NAME
from initctl.errors import UsageError
from initctl.formats import read_checkpoint
from tests.formats.torch_save.models import Networks, Twin, made, read_at, same_bits, strange, strided
from tests.formats.torch_save.rewritten import legacy, records_of, saved

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from initctl.formats import Checkpoint

    Saver = Callable[[Any], bytes]

BOTH = pytest.mark.parametrize("save", [saved, legacy])
W = torch.ones(2)


class Config:
    """A class of one's own."""


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Checkpoint]:
    def table(content: bytes, root: str | None = None) -> Checkpoint:
        (tmp_path / "m.pt").write_bytes(content)
        return read_checkpoint(tmp_path / "m.pt", root=root)

    return table


def names(checkpoint: Checkpoint) -> list[str]:
    return [tensor.name for tensor in checkpoint.tensors]


@BOTH
@pytest.mark.parametrize("name", [n for n, d in BY_NAME.items() if hasattr(torch, n) and d.kind != "quantized"])
def test_every_dtype(save: Saver, name: str, table):
    dtype = getattr(torch, name)
    width = BY_NAME[name].bits // 8
    tensor = (
        torch.arange(6 * width, dtype=torch.uint8).view(dtype).reshape(2, 3) if name != "bool" else torch.eye(2).bool()
    )
    content = save({"before": W, "w": tensor})
    spec = table(content).tensors[1]
    assert (spec.name, spec.dtype, spec.shape, spec.unwritable) == ("w", BY_NAME[name], tuple(tensor.shape), None)
    assert same_bits(read_at(content, spec, dtype), tensor)


@BOTH
@pytest.mark.parametrize("name", strided())
def test_every_way_for_elements_to_lie(save: Saver, name: str, table):
    tensor = strided()[name]()
    content = save({"before": W, "w": tensor})
    spec = table(content).tensors[1]
    assert (spec.dtype.name, spec.shape) == (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
    assert same_bits(read_at(content, spec, tensor.dtype), tensor)
    assert (spec.unwritable is None) == (name != "overlapping")


@BOTH
@pytest.mark.parametrize("name", strange())
def test_what_no_rule_can_fill_is_listed_with_the_reason(save: Saver, name: str, table):
    tensor = made(strange()[name])
    content = save({"before": W, "w": tensor})
    before, spec = table(content).tensors
    assert before.unwritable is None
    assert spec.name == "w"
    assert spec.unwritable
    assert "nested" in name or name == "jagged" or spec.shape == tuple(tensor.shape)
    assert spec.dtype.name == str(tensor.dtype).removeprefix("torch.")


@pytest.mark.parametrize("name", strange())
def test_what_no_rule_can_fill_is_refused_to_a_rule_and_carried_otherwise(name: str, table, tmp_path: Path):
    content = saved({"before": W, "w": made(strange()[name])})
    spec = table(content).tensors[1]
    with pytest.raises(initctl.FitError) as raised:
        initctl.apply(tmp_path / "m.pt", tmp_path / "out.pt", rules=["w=zeros"])
    (problem,) = raised.value.problems
    assert (raised.value.exit_status, problem.code) == (4, "rule.unfit")
    assert spec.unwritable in problem.message
    initctl.apply(tmp_path / "m.pt", tmp_path / "out.pt", rules=["before=zeros"])
    before, after = records_of(content), records_of((tmp_path / "out.pt").read_bytes())
    assert {name for name in before if before[name] != after[name]} == {"data/0"}


@BOTH
def test_tensors_that_are_one_are_tied_and_views_are_not(save: Saver, table):
    base = torch.arange(6.0)
    value = {"a": base, "b": base, "c": base.view(6), "part": base[:3], "turned": base.view(2, 3), "own": base.clone()}
    tied = {tensor.name: tensor.tied for tensor in table(save(value)).tensors}
    one = ("a", "b", "c")
    assert tied == {"a": one, "b": one, "c": one, "part": (), "turned": (), "own": ()}


@BOTH
def test_a_module_saved_whole_is_listed_as_its_state_dict(save: Saver, table):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)  # that its source cannot be found
        content = save(Twin())
    checkpoint = table(content)
    expected = Twin().state_dict()
    assert names(checkpoint) == list(expected)
    assert [tensor.shape for tensor in checkpoint.tensors] == [tuple(t.shape) for t in expected.values()]
    assert {t.name: t.tied for t in checkpoint.tensors}["head.weight"] == ("body.1.weight", "head.weight")


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_module_saved_whole_is_listed_as_its_state_dict_at_every_protocol(protocol: int, table):
    assert names(table(saved(Twin(), pickle_protocol=protocol))) == list(Twin().state_dict())


def test_parts_of_a_module_are_no_root_whatever_they_are_called(table):
    checkpoint = table(saved(Networks()))
    assert (checkpoint.root, names(checkpoint)) == ("", list(Networks().state_dict()))


STATE = {"layer.weight": W, "layer.bias": W + 1}
RELATIVE = ["layer.weight", "layer.bias"]
ADAM = {"state": {0: {"exp_avg": W, "step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1, "params": [0, 1]}]}
CHECKPOINTS: dict[str, tuple[Any, str, list[str]]] = {
    "plain": (STATE, "", RELATIVE),
    "Lightning": ({"epoch": 1, "state_dict": STATE, "optimizer_states": [ADAM], "loops": {}}, "state_dict", RELATIVE),
    "accelerate": ({"model": {f"module.{k}": v for k, v in STATE.items()}, "optimizer": ADAM}, "model", RELATIVE),
    "nested": ({"model": {"state_dict": STATE}, "optimizer": ADAM}, "model.state_dict", RELATIVE),
    "GAN": ({"generator": STATE, "discriminator": {"w": W}}, "generator", RELATIVE),
    "EMA": ({"params_ema": {"w": W}, "params": STATE}, "params", RELATIVE),
    "module in a dict": ({"model": nn.ModuleDict({"layer": nn.Linear(2, 2)}), "epoch": 1}, "model", RELATIVE),
    "flat keys of that name": ({"model.layer.weight": W, "model.layer.bias": W}, "",
                               ["model.layer.weight", "model.layer.bias"]),
    "compiled": ({f"_orig_mod.{k}": v for k, v in STATE.items()}, "", RELATIVE),
    "numbers": ({0: {"w": W}, 1: {"w": W}}, "", ["0.w", "1.w"]),
    "list": ([STATE, {"w": W}], "", ["0.layer.weight", "0.layer.bias", "1.w"]),
}  # fmt: skip


@BOTH
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_names_are_relative_to_where_frameworks_put_the_state_dict(save: Saver, name: str, table):
    value, root, expected = CHECKPOINTS[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        content = save(value)
    checkpoint = table(content)
    assert (checkpoint.root, names(checkpoint)) == (root, expected)
    whole = table(content, "")
    assert len(whole.tensors) == len(checkpoint.tensors) + len(checkpoint.outside)


def test_another_root_can_be_chosen_and_one_that_was_passed_over_is_told(table):
    content = saved(CHECKPOINTS["GAN"][0])
    (warning,) = table(content).warnings
    assert warning.code == "root.several"
    assert "discriminator" in warning.message
    assert names(table(content, "discriminator")) == ["w"]
    assert [tensor.name for tensor in table(content, "discriminator").outside] == [
        "generator.layer.weight",
        "generator.layer.bias",
    ]
    assert table(content, "discriminator").warnings == ()
    with pytest.raises(UsageError, match="under encoder; there are tensors under generator, discriminator"):
        table(content, "encoder")


@BOTH
def test_names_that_two_tensors_share_are_closed_to_rules(save: Saver, table):
    checkpoint = table(save({"a": {"b": W}, "a.b": W + 1, "c": W, 1: W, "1": W}))
    closed = {tensor.name for tensor in checkpoint.tensors if tensor.unwritable}
    assert closed == {"a.b", "1"}


def test_a_key_that_is_neither_text_nor_a_number_is_no_name(table):
    checkpoint = table(saved({("t",): W, True: W, 7: W, b"x": W, "w": W}))
    assert [tensor.name for tensor in checkpoint.tensors if not tensor.unwritable] == ["7", "w"]


def test_what_lies_beside_tensors_is_told_in_a_word(table):
    content = saved({"state_dict": STATE, "epoch": 3, "lr": 0.5, "note": "x" * 100, "callbacks": {}, "list": [1, 2]})
    assert table(content).contents["m.pt"] == {
        "state_dict": "dict of 2", "epoch": "3", "lr": "0.5", "note": "x" * 80, "callbacks": "dict of 0",
        "list": "list of 2",
    }  # fmt: skip


@pytest.mark.parametrize("protocol", [1, 2, 4])
def test_an_object_of_a_class_of_one_s_own_is_told_by_its_class_at_every_protocol(protocol: int, table):
    """Up to protocol 1, pickle writes a call of copyreg._reconstructor instead."""
    content = saved({"w": W, "config": argparse.Namespace(lr=0.1), "own": Config()}, pickle_protocol=protocol)
    assert table(content).contents["m.pt"] == {"config": "argparse.Namespace", "own": f"{__name__}.Config"}
