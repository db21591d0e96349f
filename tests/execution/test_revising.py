"""Initializers that start from old values, on real files: what they write, and what they refuse."""

from __future__ import annotations

import os
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import initctl
from initctl.planning import Plan
from initctl.stream.draws import Draws
from tests.execution.checkpoints import raw_bytes, sharded, single
from tests.execution.torch_files import FORMATS, bits, load, save

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

HALF = (torch.float16, torch.bfloat16)
FLOATS = (
    *HALF, torch.float32, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2,
    torch.float8_e4m3fnuz, torch.float8_e5m2fnuz,
)  # fmt: skip
EIGHT_BITS = FLOATS[4:]
SHAPE = (23, 7)


def ordinary(dtype: torch.dtype, shape: tuple[int, ...] = SHAPE, seed: int = 0) -> torch.Tensor:
    """Numbers around 0 that the dtype holds."""
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn.to(torch.float32).to(dtype) if dtype != torch.float64 else drawn


def oracle(tensor: torch.Tensor) -> torch.Tensor:
    """The numbers that arithmetic begins with: float32, or float64 of doubles."""
    return tensor if tensor.dtype == torch.float64 else tensor.to(torch.float32)


def normal(name: str, shape: tuple[int, ...] = SHAPE, seed: int = 0) -> torch.Tensor:
    numbers = Draws.of(seed, name).normal01(0, torch.Size(shape).numel())
    return torch.from_numpy(numbers).reshape(shape)


def written(
    folder: Path, tensors: Mapping[str, torch.Tensor], *rules: str, kind: str = "safetensors", **options: Any
) -> dict[str, torch.Tensor]:
    """What a file of `tensors` holds once `rules` are applied."""
    if kind == "safetensors":
        save_file(dict(tensors), folder / "m.safetensors")
        initctl.apply(folder / "m.safetensors", folder / "o.safetensors", rules=rules, **options)
        return load_file(folder / "o.safetensors")
    save(folder / "m.pt", dict(tensors), kind)
    initctl.apply(folder / "m.pt", folder / "o.pt", rules=rules, **options)
    return load(folder / "o.pt")


def refusal(folder: Path, tensors: Mapping[str, torch.Tensor], *rules: str, **options: Any) -> str:
    """Why nothing is written; there must be nothing besides the input then."""
    save_file(dict(tensors), folder / "m.safetensors")
    with pytest.raises(initctl.FitError) as raised:
        initctl.apply(folder / "m.safetensors", folder / "o.safetensors", rules=rules, **options)
    assert sorted(os.listdir(folder)) == ["m.safetensors"]
    (problem,) = raised.value.problems
    assert "\n" not in str(problem)
    return str(problem)


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and raw_bytes(one) == raw_bytes(other)


@pytest.mark.parametrize("dtype", FLOATS)
def test_scale_is_the_old_value_times_a_number_rounded_once(tmp_path: Path, dtype: torch.dtype):
    before = ordinary(dtype)
    found = written(tmp_path, {"w": before, "kept": before.clone()}, "w=scale:by=0.3")
    number = torch.tensor(0.3, dtype=oracle(before).dtype)
    assert same(found["w"], (oracle(before) * number).to(dtype))
    assert same(found["kept"], before)


@pytest.mark.parametrize("dtype", FLOATS)
def test_perturb_shrinks_and_adds_noise(tmp_path: Path, dtype: torch.dtype):
    before = ordinary(dtype)
    found = written(tmp_path, {"w": before}, "w=perturb:scale=0.4,std=0.1", seed=5)["w"]
    number = oracle(before).numpy().dtype.type
    wanted = oracle(before).numpy() * number(0.4) + number(0.1) * normal("w", seed=5).numpy()
    assert same(found, torch.from_numpy(wanted).to(dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_perturb_by_a_share_of_the_tensors_own_deviation(tmp_path: Path, dtype: torch.dtype):
    before = ordinary(dtype, (200, 50))
    found = written(tmp_path, {"w": before}, "w=perturb:scale=1,std=0.1,rel=true")["w"]
    noise = 0.1 * before.double().std(correction=0)
    wanted = before.double() + noise * normal("w", (200, 50))
    assert torch.allclose(found.double(), wanted, rtol=2 * torch.finfo(dtype).eps, atol=1e-3 if dtype in HALF else 1e-6)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("p", [0, 0.25, 1])
def test_reinit_fills_a_share_anew_and_keeps_the_rest_to_the_bit(tmp_path: Path, dtype: torch.dtype, p: float):
    before = bits(dtype, 300, 40)  # NaN of every payload among them
    found = written(tmp_path, {"w": before}, f"w=reinit:p={p},std=0.5,mean=0.25")["w"]
    fresh = written(tmp_path, {"w": before}, "w=normal:std=0.5,mean=0.25")["w"]
    width = dtype.itemsize
    old, new, now = (np.frombuffer(raw_bytes(t), f"V{width}") for t in (before, fresh, found))
    chosen = Draws.of(0, "w").uniform01(0, old.size, stream=2) < np.float32(p)
    assert (now == np.where(chosen, new, old)).all()
    assert abs(chosen.mean() - p) < 4 * sqrt(p * (1 - p) / old.size) + 1e-9


@pytest.mark.parametrize("dtype", FLOATS)
def test_mean_rows_is_the_mean_of_old_rows_in_every_row(tmp_path: Path, dtype: torch.dtype):
    before = ordinary(dtype)
    found = written(tmp_path, {"w": before}, "w[20:]=mean_rows:of=:20")["w"]
    assert same(found[:20], before[:20])
    wanted = before[:20].double().mean(0).to(oracle(before).dtype).to(dtype)
    assert all(torch.allclose(row.double(), wanted.double(), rtol=1e-6) for row in found[20:].double())
    assert len({raw_bytes(row) for row in found[20:]}) == 1


def test_mean_rows_adds_noise_and_counts_rows_as_python_does(tmp_path: Path):
    before = ordinary(torch.float32)
    ranges = {":": slice(None), "-3:": slice(-3, None), "2:-4": slice(2, -4), "5:6": slice(5, 6)}
    for of, rows in ranges.items():
        selected = "" if of == ":" else f"[{of}]"
        found = written(tmp_path, {"w": before}, f"w{selected}=mean_rows:of={of},std=0.5")["w"]
        mean = before[rows].double().mean(0).float()
        assert torch.allclose(found[rows], mean + 0.5 * normal("w")[rows], atol=1e-6)


@pytest.mark.parametrize("dtype", FLOATS)
def test_match_stats_has_the_old_mean_and_deviation(tmp_path: Path, dtype: torch.dtype):
    before = (ordinary(torch.float32, (60, 50)) * 0.5 + 0.25).to(dtype)
    found = written(tmp_path, {"w": before}, "w=match_stats")["w"]
    mean, std = before.double().mean(), before.double().std(correction=0)
    wanted = (mean.float() + std.float() * normal("w", (60, 50))).to(dtype)
    assert torch.allclose(found.double(), wanted.double(), rtol=0.3 if dtype in EIGHT_BITS else 0.01, atol=1e-2)
    assert abs(found.double().mean() - mean) < 0.05


@pytest.mark.parametrize("dtype", [*FLOATS, torch.int64, torch.uint8, torch.bool, torch.complex64])
@pytest.mark.parametrize("shape", [(200, 3), (64,), (5, 2, 3)])
def test_permute_rows_is_a_permutation_of_rows_to_the_bit(tmp_path: Path, dtype: torch.dtype, shape: tuple[int, ...]):
    before = bits(dtype, *shape)
    found = written(tmp_path, {"w": before}, "w=permute_rows")["w"]
    order = np.argsort(Draws.of(0, "w").words(0, shape[0], stream=1), kind="stable")
    assert same(found, before[torch.from_numpy(order)])
    assert shape[0] < 10 or not same(found, before)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    "view",
    [lambda t: t.T, lambda t: t[::2], lambda t: t[:, 1:3], lambda t: t[3:]],
    ids=["T", "[::2]", "[:, 1:3]", "[3:]"],
)
def test_permute_rows_of_a_view_is_a_permutation_of_its_rows(
    tmp_path: Path, kind: str, view: Callable[[torch.Tensor], torch.Tensor]
):
    before = view(bits(torch.complex64, 40, 30))
    found = written(tmp_path, {"w": before}, "w=permute_rows", kind=kind)["w"]
    order = np.argsort(Draws.of(0, "w").words(0, len(before), stream=1), kind="stable")
    assert same(found, before[torch.from_numpy(order)])


def test_permute_rows_takes_whole_tensors_with_dims(tmp_path: Path):
    message = refusal(tmp_path, {"w": ordinary(torch.float32)}, "w[3:]=permute_rows")
    assert "tensor w [23, 7]: permute_rows does not fit: it needs a whole tensor" in message
    assert "no dimensions" in refusal(tmp_path, {"w": torch.tensor(1.0)}, "w=permute_rows")


@pytest.mark.parametrize("dtype", [*FLOATS, torch.int64, torch.uint8, torch.bool, torch.complex64])
def test_a_copy_is_the_other_tensor_to_the_bit(tmp_path: Path, dtype: torch.dtype):
    other, here = bits(dtype, 9, 5, seed=1), bits(dtype, 9, 5, seed=2)
    found = written(tmp_path, {"here": here, "other": other}, "here=copy:from=other")
    assert same(found["here"], other)
    assert same(found["other"], other)
    assert same(written(tmp_path, {"here": here, "other": other}, "here[2:4]=copy:from=other")["here"][2:4], other[2:4])
    rows = written(tmp_path, {"here": here, "other": other}, "here[5:]=copy:from=other,row=3")["here"]
    assert same(rows[:5], here[:5])
    assert same(rows[5:], other[3].expand(4, 5))


@pytest.mark.parametrize("source", FLOATS)
@pytest.mark.parametrize("target", FLOATS)
def test_a_copy_between_float_types_is_rounded(tmp_path: Path, source: torch.dtype, target: torch.dtype):
    other = ordinary(source)
    found = written(tmp_path, {"here": torch.zeros(SHAPE).to(target), "other": other}, "here=copy:from=other")["here"]
    wanted = other.to(target) if target == torch.float64 or source == target else other.float().to(target)
    assert same(found, wanted)


def test_a_copy_comes_from_what_was_there_before_whatever_else_is_filled(tmp_path: Path):
    one, other = ordinary(torch.float32, seed=1), ordinary(torch.float32, seed=2)
    found = written(tmp_path, {"a": one, "b": other}, "a=copy:from=b", "b=copy:from=a")
    assert same(found["a"], other)
    assert same(found["b"], one)
    initctl.apply(tmp_path / "m.safetensors", in_place=True, rules=["a=copy:from=b", "b=zeros"])
    assert same(load_file(tmp_path / "m.safetensors")["a"], other)


@pytest.mark.parametrize("kind", [*FORMATS, "sharded"])
def test_a_copy_may_come_from_another_checkpoint(tmp_path: Path, kind: str):
    tensors = {"layers.1.weight": ordinary(torch.float64, (8, 8)), "t": ordinary(torch.float32).T}
    if kind == "sharded":
        folder = sharded(tmp_path / "other", torch.float64)
        where, tensors["layers.1.weight"] = folder, torch.full((8, 8), 0.5, dtype=torch.float64)
    else:
        where = save(tmp_path / "other.pt", {"state_dict": tensors}, kind)
    here = {"w": torch.zeros(8, 8), "layers.1.weight": torch.ones(8, 8)}
    found = written(tmp_path, here, f"w=copy:from={where}#layers.1.weight")
    assert same(found["w"], tensors["layers.1.weight"].float())
    if kind != "sharded":
        found = written(tmp_path, {"w": torch.zeros(7, 23)}, f"w=copy:from={where}#t")
        assert same(found["w"], tensors["t"].contiguous())


@pytest.mark.parametrize(
    ("rule", "told"),
    {
        "w=copy:from=x": "has no tensor x",
        "w=copy:from=othe": "did you mean other?",
        "w=copy:from=short": "short [5, 7] has another shape",
        "w=copy:from=ints": "ints [23, 7] is int64, a different kind of number",
        "ints=copy:from=bytes": "bytes [23, 7] is uint8, which this tensor cannot hold exactly",
        "w=copy:from=other,row=23": "other [23, 7] has no row 23",
        "w=copy:from=narrow,row=0": "the rows of narrow [23, 2] have another shape",
        "scale=copy:from=other,row=0": "it has no dimensions, so it has no rows",
        "w=mean_rows:of=0:24": "of=0:24 is not a range of its 23 rows",
        "w=mean_rows:of=5:5": "of=5:5 is not a range of its 23 rows",
        "w=mean_rows:of=0:20": "to fill the other rows, write w[20:]",
        "w=mean_rows:of=3:": "which it also averages (of=3:); to fill the other rows, write w[0:3]",
        "w=mean_rows:of=2:9": "it fills rows 2 to 9, which it also averages (of=2:9)",
        "scale=mean_rows:of=:": "it has no dimensions, so it has no rows",
        "ints=scale:by=2": "its dtype is int64, but this initializer",
        "ints=reinit:p=0.5,std=1": "its dtype is int64",
        "ints=match_stats": "its dtype is int64",
    }.items(),
)
def test_what_does_not_fit_is_refused_with_tensor_and_rule(tmp_path: Path, rule: str, told: str):
    ints = torch.zeros(SHAPE, dtype=torch.int64)
    tensors = {
        "w": ordinary(torch.float32), "other": ordinary(torch.float32), "short": torch.ones(5, 7), "ints": ints,
        "bytes": ints.to(torch.uint8), "narrow": torch.ones(23, 2), "scale": torch.tensor(1.0),
    }  # fmt: skip
    message = refusal(tmp_path, tensors, rule)
    assert message.startswith(f"rule 1 ({rule}): tensor {rule.partition('=')[0]} [")
    assert told in message


@pytest.mark.parametrize(
    ("rule", "told"),
    {
        "w[20:]=mean_rows:of=0:21": "it fills rows 20 to 21, which it also averages (of=0:21); write of=0:20",
        "w[20:]=mean_rows:of=:": "it fills rows 20 to 23, which it also averages (of=:); write of=0:20",
        "w[:3]=mean_rows:of=:": "it fills rows 0 to 3, which it also averages (of=:); write of=3:",
    }.items(),
)
def test_a_rule_that_averages_rows_that_it_fills_is_refused_with_the_rows_to_average(
    tmp_path: Path, rule: str, told: str
):
    assert refusal(tmp_path, {"w": ordinary(torch.float32)}, rule).endswith(told)


@pytest.mark.parametrize("rules", [["w=mean_rows:of=20:"], ["w=mean_rows:of=:20", "w[:20]=keep"]])
def test_what_matters_is_which_rows_are_filled_in_the_end(tmp_path: Path, rules: list[str]):
    if len(rules) == 1:
        assert "it fills rows 20 to 23" in refusal(tmp_path, {"w": ordinary(torch.float32)}, *rules)
        rules.append("w[20:]=zeros")
    assert written(tmp_path, {"w": ordinary(torch.float32)}, *rules)


@pytest.mark.parametrize("kept", ["w[3:5]=keep", "w[:5]=keep", "b=keep"])
def test_a_rule_may_replace_all_rows_that_it_averages_by_their_mean(tmp_path: Path, kept: str):
    before = ordinary(torch.float32)
    found = written(tmp_path, {"w": before, "b": torch.ones(3)}, "w=mean_rows:of=:", kept)["w"]
    assert torch.allclose(found[-1], before.mean(0), atol=1e-6)


@pytest.mark.parametrize("rule", ["w=copy:from=no.safetensors#w", "w=copy:from=#w"])
def test_a_copy_from_a_checkpoint_that_is_not_there_is_refused(tmp_path: Path, rule: str, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_file({"w": torch.ones(2)}, tmp_path / "m.safetensors")
    with pytest.raises(initctl.InputError):
        initctl.apply("m.safetensors", "o.safetensors", rules=[rule])
    assert os.listdir(tmp_path) == ["m.safetensors"]


OVERFLOWING = {
    "w=scale:by=1e30": (torch.float16, torch.bfloat16, torch.float32, torch.float8_e4m3fn, torch.float8_e5m2),
    "w=scale:by=1e300": (torch.float32, torch.bfloat16),
    "w=scale:by=-500": (torch.float8_e4m3fn, torch.float16),
    "w=perturb:scale=1e30,std=0": (torch.float16,),
    "w=perturb:std=1e30": (torch.float16, torch.float8_e5m2),
    "w=perturb:std=1e38": (torch.float32, torch.bfloat16, torch.float64),
    "w=perturb:std=1e30,rel=true": (torch.float16,),
    "w=reinit:p=0.5,std=1e30": (torch.float16, torch.float8_e4m3fn),
    "w=reinit:p=0.5,std=1,mean=1e6": (torch.float16, torch.float8_e5m2),
    "w=mean_rows:of=:,std=1e5": (torch.float16,),
    "w=copy:from=large": (torch.float16, torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz),
    "w[2:]=copy:from=large,row=0": (torch.float16,),
}


@pytest.mark.parametrize(("rule", "dtype"), [(rule, dtype) for rule, types in OVERFLOWING.items() for dtype in types])
def test_what_overflows_is_refused_with_tensor_and_rule_and_nothing_is_written(
    tmp_path: Path, rule: str, dtype: torch.dtype
):
    largest = 400 if dtype.itemsize == 1 else 1000 if dtype == torch.float16 else 3e38
    tensors = {"w": torch.full(SHAPE, largest).to(dtype), "large": torch.full(SHAPE, 1e38)}
    tensors["w"][11:] = -largest
    message = refusal(tmp_path, tensors, rule)
    assert message.startswith(f"rule 1 ({rule}): tensor w [23, 7]: ")
    assert "overflow" in message or "into NaN or infinity" in message


@pytest.mark.parametrize("in_shards", [False, True])
def test_what_overflows_in_place_leaves_everything_as_it_was(tmp_path: Path, in_shards: bool):
    path = sharded(tmp_path / "m", torch.float16) if in_shards else single(tmp_path / "m.safetensors", torch.float16)
    files = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(initctl.FitError, match=r"rule 2 .*tensor layers\.0\.weight \[8, 8\]"):
        initctl.apply(path, in_place=True, rules=["norm.weight=zeros", "layers.0.weight=scale:by=1e30"])
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == files


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.float8_e5m2])
def test_what_was_infinite_or_nan_may_stay_so_in_its_own_place(tmp_path: Path, dtype: torch.dtype):
    before = torch.tensor([1.0, float("inf"), -float("inf"), float("nan"), 0.5]).to(dtype)
    for rule in ("w=scale:by=2", "w=perturb:scale=2,std=0", "w=copy:from=other"):
        found = written(tmp_path, {"w": before, "other": 2 * before.float()}, rule)["w"].float()
        assert torch.equal(found.nan_to_num(7, 8, 9), (2 * before.float()).nan_to_num(7, 8, 9))


@pytest.mark.parametrize("rule", ["w=match_stats", "w=mean_rows:of=:", "w=perturb:std=0.1,rel=true"])
@pytest.mark.parametrize(
    ("odd", "kind"), [(float("nan"), "NaN"), (float("inf"), "infinity"), (-float("inf"), "infinity")]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_one_value_that_is_not_finite_spoils_no_others_silently(
    tmp_path: Path, rule: str, odd: float, kind: str, dtype: torch.dtype
):
    before = ordinary(dtype)
    before[3, 2] = before[20, 0] = odd
    message = refusal(tmp_path, {"w": before}, rule)
    assert message.endswith(f": the old values contain {kind}, first at [3, 2]")


def test_of_a_mean_of_rows_only_these_rows_must_be_finite(tmp_path: Path):
    before = ordinary(torch.float32)
    before[3, 2] = float("nan")
    written(tmp_path, {"w": before}, "w[:4]=mean_rows:of=4:")
    with pytest.raises(initctl.FitError, match=r"the old values contain NaN, first at \[3, 2\]$"):
        written(tmp_path, {"w": before}, "w[10:]=mean_rows:of=2:5")


def test_finite_values_whose_sum_overflows_are_not_called_infinite(tmp_path: Path):
    before = torch.full(SHAPE, 1.7e308, dtype=torch.float64)
    for rule in ("w=match_stats", "w=mean_rows:of=:"):
        assert refusal(tmp_path, {"w": before}, rule).endswith("would turn finite old values into NaN or infinity")


REVISIONS = {
    "scale": "scale:by=0.5", "perturb": "perturb:scale=0.5,std=0.1,rel=true", "reinit": "reinit:p=0.5,std=0.02",
    "copy": "copy:from=other", "mean_rows": "mean_rows:of=:", "match_stats": "match_stats",
    "permute_rows": "permute_rows",
}  # fmt: skip


@pytest.mark.parametrize("call", REVISIONS.values())
@pytest.mark.parametrize("kind", FORMATS)
def test_strided_and_transposed_tensors_get_what_packed_ones_get(tmp_path: Path, call: str, kind: str):
    base = ordinary(torch.float32, (40, 30))
    other = ordinary(torch.float32, (30, 20), seed=4)
    tensors = {
        "t": base[:20].T,
        "stepped": ordinary(torch.float32, (60, 40), seed=2)[::2, ::2],
        "other": other.T.contiguous().T,
    }
    rules = [f"{{t,stepped}}={call}"]
    packed = {name: tensor.clone().contiguous() for name, tensor in tensors.items()}
    wanted = written(tmp_path, packed, *rules, seed=2)
    for options in ({"threads": 1}, {"threads": 4}):
        found = written(tmp_path, tensors, *rules, kind=kind, seed=2, **options)
        assert [n for n in ("t", "stepped", "other") if not same(found[n], wanted[n])] == []
    save(tmp_path / "m.pt", tensors, kind)
    initctl.apply(tmp_path / "m.pt", in_place=True, rules=rules, seed=2)
    assert same(load(tmp_path / "m.pt")["t"], wanted["t"])
    initctl.apply(save(tmp_path / "m.pt", tensors, kind), tmp_path / "c.safetensors", rules=rules, seed=2)
    assert same(load_file(tmp_path / "c.safetensors")["stepped"], wanted["stepped"])


@pytest.mark.parametrize("call", REVISIONS.values())
def test_shards_threads_and_place_change_nothing(tmp_path: Path, call: str):
    tensors = {"w": ordinary(torch.bfloat16, (700, 30)), "other": ordinary(torch.bfloat16, (700, 30), seed=3)}
    wanted = written(tmp_path, tensors, f"w={call}", threads=1)
    assert same(written(tmp_path, tensors, f"w={call}", threads=5)["w"], wanted["w"])
    initctl.apply(tmp_path / "m.safetensors", f"{tmp_path}/shards/", max_shard_size="50KB", rules=[f"w={call}"])
    (tmp_path / "split").mkdir()
    for name, tensor in tensors.items():
        save_file({name: tensor}, tmp_path / "split" / f"{name}.safetensors")
    weight_map = ", ".join(f'"{name}": "{name}.safetensors"' for name in tensors)
    (tmp_path / "split" / "model.safetensors.index.json").write_text(f'{{"weight_map": {{{weight_map}}}}}')
    initctl.apply(tmp_path / "split", in_place=True, rules=[f"w={call}"])
    for folder in ("shards", "split"):
        found = {n: t for path in (tmp_path / folder).glob("*.safetensors") for n, t in load_file(path).items()}
        assert same(found["w"], wanted["w"])
        assert same(found["other"], wanted["other"])


@pytest.mark.parametrize("call", REVISIONS.values())
def test_a_patch_is_refused_since_a_second_run_would_begin_elsewhere(tmp_path: Path, call: str):
    save_file({"w": torch.ones(9, 2), "other": torch.ones(9, 2)}, tmp_path / "m.safetensors")
    content = (tmp_path / "m.safetensors").read_bytes()
    with pytest.raises(initctl.UsageError):
        initctl.apply(tmp_path / "m.safetensors", in_place="patch", rules=[f"w={call}"])
    assert (tmp_path / "m.safetensors").read_bytes() == content


def test_another_checkpoint_that_changes_meanwhile_is_a_conflict(tmp_path: Path):
    save_file({"w": torch.ones(9, 2)}, tmp_path / "m.safetensors")
    save_file({"w": torch.zeros(9, 2)}, tmp_path / "other.safetensors")

    def disturb(event: object) -> None:
        if isinstance(event, Plan):
            save_file({"w": torch.full((9, 2), 3.0)}, tmp_path / "other.safetensors")
            os.utime(tmp_path / "other.safetensors", (1, 1))

    rules = [f"w=copy:from={tmp_path}/other.safetensors#w"]
    for given in ({"in_place": True}, {"output": tmp_path / "o.safetensors"}):
        save_file({"w": torch.zeros(9, 2)}, tmp_path / "other.safetensors")
        with pytest.raises(initctl.ConflictError, match="other"):
            initctl.apply(tmp_path / "m.safetensors", rules=rules, on_event=disturb, **given)
        assert sorted(os.listdir(tmp_path)) == ["m.safetensors", "other.safetensors"]
        assert (load_file(tmp_path / "m.safetensors")["w"] == 1).all()


def test_empty_tensors_take_all_of_them(tmp_path: Path):
    tensors = {"w": torch.empty(0, 3), "other": torch.empty(0, 3), "rest": torch.ones(2)}
    for call in REVISIONS.values():
        if not call.startswith("mean_rows"):
            assert written(tmp_path, tensors, f"w={call}")["w"].shape == (0, 3)
