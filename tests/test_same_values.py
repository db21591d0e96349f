"""A value depends on the seed, the tensor's name, the element's index and the initializer, and on nothing else."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

import initctl
from tests.execution.checkpoints import raw_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

RULES = {
    "embed.weight": "normal:std=0.02",
    "a.weight": "xavier_uniform",
    "a.bias": "uniform:a=-0.1,b=0.1",
    "b.weight": "kaiming_normal:nonlinearity=relu",
    "b.bias": "constant:val=0.25",
    "c.weight": "trunc_normal:std=0.5,cut=2",
    "d.weight": "orthogonal",
    "e.weight": "sparse:sparsity=0.5",
    "f.weight": "lecun_normal",
    "g.weight": "variance_scaling:scale=2,mode=fan_avg,distribution=uniform",
    "h.weight": "dirac",
    "i.weight": "delta_orthogonal",
    "j.weight": "eye",
    "norm.weight": "ones",
    "k.weight": "xavier_normal:split=4:1:1",
    "l.weight": "orthogonal:split=3",
    "m.weight": "log_uniform:a=0.001,b=0.1",
    "m.bias": "inv_softplus_log_uniform",
    "m.norm": "uniform_log:a=0.01,b=16",
    "n.weight": "sinusoid",
    "n.bias": "lstm_bias",
    "o.weight": "arange_log:start=2",
    "p.weight": "zero_hadamard",
    "q.weight": "spectral:gain=0.5",
    "q.bias": "bias_from_prob:p=0.1",
}
SHAPES = {
    "embed.weight": (40, 12), "a.weight": (7, 9), "a.bias": (13,), "b.weight": (5, 4, 3), "b.bias": (3,),
    "c.weight": (11, 6), "d.weight": (6, 10), "e.weight": (8, 4), "f.weight": (9, 9), "g.weight": (3, 5),
    "h.weight": (4, 3, 3), "i.weight": (6, 4, 3, 3), "j.weight": (5, 6), "norm.weight": (10,), "k.weight": (12, 5),
    "l.weight": (9, 4), "m.weight": (3, 7), "m.bias": (21,), "n.weight": (11, 6), "n.bias": (12,), "o.weight": (3, 5),
    "p.weight": (7, 3), "q.weight": (4, 9), "q.bias": (6,), "m.norm": (16,),
}  # fmt: skip
TEXTS = [f"{name}={call}" for name, call in RULES.items()]

NARROW = [
    torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz,
    torch.float8_e5m2fnuz,
]  # fmt: skip


def blank(dtype: torch.dtype = torch.float32, *, prefix: str = "") -> dict[str, torch.Tensor]:
    return {prefix + name: torch.zeros(shape).to(dtype) for name, shape in SHAPES.items()}


def filled(folder: Path, tensors: Mapping[str, torch.Tensor], *rules: str, **options: int) -> dict[str, torch.Tensor]:
    """What `rules` make of `tensors` in one file."""
    folder.mkdir(exist_ok=True)
    save_file(dict(tensors), folder / "in.safetensors")
    initctl.apply(folder / "in.safetensors", folder / "out.safetensors", rules=rules or TEXTS, **options)
    return load_file(folder / "out.safetensors")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """One float32 file, all rules in order, seed 5."""
    return filled(tmp_path_factory.mktemp("reference"), blank(), seed=5, threads=1)


def same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    """Whether both hold the same bytes under the same names."""
    return {n: raw_bytes(t) for n, t in one.items()} == {n: raw_bytes(t) for n, t in other.items()}


def test_every_tensor_of_the_reference_is_filled(reference: dict[str, torch.Tensor]):
    assert all(tensor.count_nonzero() for tensor in reference.values())


@pytest.mark.parametrize("split", [1, 2, 5, 14])
def test_one_file_and_shards_hold_the_same_values(reference: dict[str, torch.Tensor], tmp_path: Path, split: int):
    tensors = blank()
    names = sorted(tensors, key=lambda name: hash((split, SHAPES[name])))
    folder, weight_map = tmp_path / "model", {}
    folder.mkdir()
    for number in range(split):
        shard = names[number::split]
        save_file({name: tensors[name] for name in shard}, folder / f"m{number}.safetensors")
        weight_map |= dict.fromkeys(shard, f"m{number}.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    initctl.apply(folder, tmp_path / "out", rules=TEXTS, seed=5)
    shards = [load_file(tmp_path / "out" / f"m{number}.safetensors") for number in range(split)]
    assert same({name: tensor for shard in shards for name, tensor in shard.items()}, reference)
    initctl.apply(folder, in_place=True, rules=TEXTS, seed=5)
    shards = [load_file(folder / f"m{number}.safetensors") for number in range(split)]
    assert same({name: tensor for shard in shards for name, tensor in shard.items()}, reference)


@pytest.mark.parametrize("dtype", NARROW, ids=str)
def test_a_narrow_file_is_torchs_rounding_of_the_float32_file(
    reference: dict[str, torch.Tensor], tmp_path: Path, dtype: torch.dtype
):
    narrow = filled(tmp_path, blank(dtype), seed=5)
    assert same(narrow, {name: tensor.to(dtype) for name, tensor in reference.items()})


def test_a_float64_file_is_the_exact_widening_of_the_float32_file(reference: dict[str, torch.Tensor], tmp_path: Path):
    wide = filled(tmp_path, blank(torch.float64), seed=5)
    assert same(wide, {name: tensor.double() for name, tensor in reference.items()})


def test_a_file_of_mixed_dtypes_takes_each_tensor_in_its_own(reference: dict[str, torch.Tensor], tmp_path: Path):
    dtypes = {name: (torch.float32, torch.bfloat16, torch.float64)[i % 3] for i, name in enumerate(SHAPES)}
    mixed = filled(tmp_path, {name: torch.zeros(SHAPES[name], dtype=dtypes[name]) for name in SHAPES}, seed=5)
    assert same(mixed, {name: tensor.to(dtypes[name]) for name, tensor in reference.items()})


@pytest.mark.parametrize("threads", [2, 7, 64])
def test_any_number_of_threads_gives_the_same_values(reference: dict[str, torch.Tensor], tmp_path: Path, threads: int):
    assert same(filled(tmp_path, blank(), seed=5, threads=threads), reference)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_alone_gives_the_values_that_it_gives_beside_others(
    reference: dict[str, torch.Tensor], tmp_path: Path, name: str
):
    alone = filled(tmp_path, blank(), f"{name}={RULES[name]}", seed=5)
    assert same(alone, blank() | {name: reference[name]})


@pytest.mark.parametrize("name", RULES)
def test_a_tensor_alone_in_a_file_takes_the_values_that_it_takes_beside_others(
    reference: dict[str, torch.Tensor], tmp_path: Path, name: str
):
    alone = filled(tmp_path, {name: torch.full(SHAPES[name], 9.0)}, f"*={RULES[name]}", seed=5)
    assert same(alone, {name: reference[name]})


def test_the_order_of_rules_that_do_not_meet_does_not_matter(reference: dict[str, torch.Tensor], tmp_path: Path):
    shuffled = random.Random(3).sample(TEXTS, len(TEXTS))
    assert shuffled != TEXTS
    assert same(filled(tmp_path, blank(), *shuffled, seed=5), reference)


def test_overridden_rules_leave_no_trace_in_the_values(reference: dict[str, torch.Tensor], tmp_path: Path):
    again = filled(tmp_path, blank(), "*=normal", *TEXTS, seed=5, allow_unused=True)
    assert same(again, reference)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_a_wrapper_around_every_name_changes_nothing(reference: dict[str, torch.Tensor], tmp_path: Path, prefix: str):
    wrapped = filled(tmp_path, blank(prefix=prefix), seed=5)
    assert same(wrapped, {prefix + name: tensor for name, tensor in reference.items()})


def test_what_stood_there_before_does_not_matter(reference: dict[str, torch.Tensor], tmp_path: Path):
    assert same(filled(tmp_path, {name: tensor * -3 for name, tensor in reference.items()}, seed=5), reference)


def test_another_process_gives_the_same_values(reference: dict[str, torch.Tensor], tmp_path: Path):
    save_file(blank(), tmp_path / "in.safetensors")
    script = "import initctl, sys; initctl.apply(*sys.argv[1:3], rules=sys.argv[3:], seed=5)"
    paths = [str(tmp_path / "in.safetensors"), str(tmp_path / "out.safetensors")]
    subprocess.run([sys.executable, "-c", script, *paths, *TEXTS], check=True, env={"PYTHONHASHSEED": "1"})
    assert same(load_file(paths[1]), reference)


def test_a_longer_tensor_begins_with_the_values_of_the_shorter(reference: dict[str, torch.Tensor], tmp_path: Path):
    longer = filled(tmp_path, {"embed.weight": torch.zeros(100, 12)}, "*=normal:std=0.02", seed=5)
    assert torch.equal(longer["embed.weight"][:40], reference["embed.weight"])


def test_only_the_elements_count_and_not_the_shape(reference: dict[str, torch.Tensor], tmp_path: Path):
    flat = filled(tmp_path, {"embed.weight": torch.zeros(480)}, "*=normal:std=0.02", seed=5)
    assert torch.equal(flat["embed.weight"], reference["embed.weight"].reshape(-1))


def test_another_seed_or_another_name_gives_other_values(reference: dict[str, torch.Tensor], tmp_path: Path):
    other_seed = filled(tmp_path, {"embed.weight": torch.zeros(40, 12)}, "*=normal:std=0.02", seed=6)
    other_name = filled(tmp_path, {"embed.weights": torch.zeros(40, 12)}, "*=normal:std=0.02", seed=5)
    wanted = reference["embed.weight"].unique()
    assert not torch.isin(wanted, other_seed["embed.weight"]).any()
    assert not torch.isin(wanted, other_name["embed.weights"]).any()
