"""Rows of a tensor get the values that the whole tensor would have there, however it lies, and the rest stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

import initctl
from tests.execution import torch_files
from tests.execution.checkpoints import raw_bytes, sharded, single
from tests.execution.torch_files import FORMATS, MODES, load, save, sound

if TYPE_CHECKING:
    from pathlib import Path

ROWS = {
    "{embed,head}.weight": ("[-5:]", "normal:std=0.02", slice(7, 12)),
    "proj.weight": ("[2:7]", "xavier_uniform", slice(2, 7)),
    "square.weight": ("[:2]", "orthogonal", slice(0, 2)),
    "part.weight": ("[1:2]", "uniform", slice(1, 2)),
    "stepped.weight": ("[1:3]", "trunc_normal:std=0.5,cut=2", slice(1, 3)),
    "norm.weight": ("[3:]", "normal", slice(3, 8)),
    "norm.bias": ("[:]", "ones", slice(None)),
    "half.weight": ("[4:]", "sparse:sparsity=0.3", slice(4, 5)),
    "steps": ("[1:]", "constant:val=3", slice(1, 2)),
}
"""By the names of `torch_files.network`: a slice, a call, and the same slice in Python."""
TIED = {"{embed,head}.weight": ("embed.weight", "head.weight")}

SLICED = [f"{names}{rows}={call}" for names, (rows, call, _) in ROWS.items()]
WHOLE = [f"{names}={call}" for names, (_, call, _) in ROWS.items()]


def expected(folder: Path, before: dict[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    """Old values, and at some rows those of the whole tensors, from a safetensors file of them."""
    whole = torch_files.as_safetensors(folder, before, WHOLE, seed=seed)
    found = {name: tensor.clone().contiguous() for name, tensor in before.items()}
    for names, (_, _, rows) in ROWS.items():
        for name in TIED.get(names, (names,)):
            found[name][rows] = whole[TIED.get(names, (names,))[0]][rows]  # tied ones have the first one's values
    return found


def assert_same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert set(found) == set(wanted)
    assert [name for name in wanted if raw_bytes(found[name]) != raw_bytes(wanted[name])] == []


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("mode", MODES)
def test_rows_of_strided_transposed_and_tied_tensors(tmp_path: Path, kind: str, mode: str):
    tensors = torch_files.network()
    wanted = expected(tmp_path / "other", tensors, seed=3)
    path = save(tmp_path / "m.pt", tensors, kind)
    result = torch_files.apply(mode, path, SLICED, seed=3)
    assert_same(load(result), wanted)
    assert sound(result)
    assert initctl.verify(result, rules=SLICED, seed=3).holds


def test_rows_in_a_conversion(tmp_path: Path):
    tensors = torch_files.network()
    wanted = expected(tmp_path / "other", tensors, seed=3)
    path = save(tmp_path / "m.pt", tensors)
    initctl.apply(path, tmp_path / "m.safetensors", rules=SLICED, seed=3)
    found = load_file(tmp_path / "m.safetensors")
    assert_same({name: found.get(name, found["embed.weight"]) for name in wanted}, wanted)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("call", ["normal:std=3", "orthogonal", "kaiming_uniform:a=1", "sparse:sparsity=0.5"])
def test_rows_in_a_safetensors_file(tmp_path: Path, mode: str, dtype: torch.dtype, call: str):
    path = single(tmp_path / "m.safetensors", dtype)
    before = load_file(path)
    initctl.apply(path, tmp_path / "whole.safetensors", rules=[f"embed.weight={call}"])
    whole = load_file(tmp_path / "whole.safetensors")["embed.weight"]
    result = torch_files.apply(mode, path, [f"embed.weight[7:-9]={call}", "layers.0.bias[-1:]=zeros"], threads=3)
    wanted = {name: tensor.clone() for name, tensor in before.items()}
    wanted["embed.weight"][7:-9] = whole[7:-9]
    wanted["layers.0.bias"][-1:] = 0
    assert_same(load_file(result), wanted)


@pytest.mark.parametrize("mode", MODES)
def test_rows_in_shards(tmp_path: Path, mode: str):
    folder = sharded(tmp_path / "m")
    one = single(tmp_path / "one.safetensors")
    rules = ["embed.weight[40:]=normal", "layers.*.weight[2:5]=xavier_normal", "norm.weight[:1]=zeros"]
    result = torch_files.apply(mode, folder, rules, seed=9)
    initctl.apply(one, tmp_path / "filled.safetensors", rules=rules, seed=9)
    found = {name: t for path in sorted(result.glob("*.safetensors")) for name, t in load_file(path).items()}
    assert_same(found, load_file(tmp_path / "filled.safetensors"))


def test_several_rules_on_rows_of_one_tensor_in_one_file_on_any_number_of_threads(tmp_path: Path):
    save_file({"w": torch.full((1000, 7), 5.0)}, tmp_path / "m.safetensors")
    rules = ["w=normal", "w[10:990]=uniform", "w[500:600]=keep", "w[550:560]=orthogonal", "w[999:]=zeros"]
    contents = set()
    for threads in (1, 4):
        initctl.apply(tmp_path / "m.safetensors", tmp_path / "out.safetensors", rules=rules, threads=threads)
        contents.add((tmp_path / "out.safetensors").read_bytes())
    assert len(contents) == 1
    found = load_file(tmp_path / "out.safetensors")["w"]
    for rows, call in [
        (slice(0, 10), "normal"), (slice(10, 500), "uniform"), (slice(550, 560), "orthogonal"),
        (slice(600, 990), "uniform"), (slice(990, 999), "normal"),
    ]:  # fmt: skip
        initctl.apply(tmp_path / "m.safetensors", tmp_path / "whole.safetensors", rules=[f"w={call}"])
        assert torch.equal(found[rows], load_file(tmp_path / "whole.safetensors")["w"][rows])
    assert (found[500:550] == 5).all()
    assert (found[560:600] == 5).all()
    assert (found[999:] == 0).all()


def test_rows_of_a_complex_tensor(tmp_path: Path):
    path = save(tmp_path / "m.pt", {"w": torch.full((6, 3), 1 + 2j)})
    initctl.apply(path, tmp_path / "whole.pt", rules=["w=normal"])
    initctl.apply(path, tmp_path / "rows.pt", rules=["w[1:3]=normal"])
    whole, rows = load(tmp_path / "whole.pt")["w"], load(tmp_path / "rows.pt")["w"]
    assert torch.equal(rows[1:3], whole[1:3])
    assert (rows[[0, 3, 4, 5]] == 1 + 2j).all()


def test_rows_of_an_optimizers_parameter_are_reset_and_others_are_not(tmp_path: Path):
    net = torch.nn.Embedding(6, 2)
    optimizer = torch.optim.AdamW(net.parameters())
    for _ in range(2):
        optimizer.zero_grad()
        net(torch.arange(6)).square().sum().backward()
        optimizer.step()
    path = save(tmp_path / "m.ckpt", {"model": net.state_dict(), "optimizer": optimizer.state_dict()})
    initctl.apply(path, tmp_path / "o.ckpt", rules=["weight[4:]=zeros"], reset_optimizer=True)
    before, after = (load(tmp_path / name) for name in ("m.ckpt", "o.ckpt"))
    assert (after["model"]["weight"][4:] == 0).all()
    assert torch.equal(after["model"]["weight"][:4], before["model"]["weight"][:4])
    old, new = before["optimizer"]["state"][0], after["optimizer"]["state"][0]
    for moment in ("exp_avg", "exp_avg_sq"):
        assert (new[moment][4:] == 0).all()
        assert torch.equal(new[moment][:4], old[moment][:4])
        assert (old[moment][4:] != 0).any()
    assert new["step"] == old["step"] == 2  # the other rows have seen these steps
