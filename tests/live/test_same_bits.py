"""A tensor in memory gets the bits that it gets in a file: every law, dtype, layout in memory, engine and thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

import initctl
from initctl.initializers import REGISTRY
from tests.live.files import applied, assert_as_in_the_file, assert_same_bits

if TYPE_CHECKING:
    from pathlib import Path

FLOATS = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.float8_e4m3fnuz,
    torch.float8_e5m2fnuz,
]
COMPLEX = [torch.complex32, torch.complex64, torch.complex128]
ON_DEVICE = [
    (law, dtype)
    for law in ("normal", "uniform", "trunc_normal:cut=2", "ones", "orthogonal", "eye")
    for dtype in (torch.float32, torch.bfloat16, torch.complex64)
    if not dtype.is_complex or law in ("normal", "uniform", "ones")
]
"""Laws that the torch engine computes, with dtypes that they can fill."""
EXAMPLES = [example for initializer in REGISTRY for example in [initializer.example] if initializer.name != "keep"]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(
    "law",
    [
        "normal:std=0.02",
        "uniform:a=-0.5,b=0.25",
        "trunc_normal:std=0.5,cut=2",
        "kaiming_uniform",
        "constant:val=0.1",
        "zeros",
        "eye",
        "log_uniform:a=0.01,b=1",
        "orthogonal",
        "sparse:sparsity=0.5",
    ],
)
def test_a_law_gives_a_tensor_of_any_float_dtype_the_bits_of_its_file(law: str, dtype: torch.dtype, tmp_path: Path):
    assert_as_in_the_file({"weight": torch.full((33, 70), 0.5).to(dtype)}, tmp_path, [f"weight={law}"], seed=7)


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@pytest.mark.parametrize("dtype", COMPLEX, ids=str)
@pytest.mark.parametrize("law", ["normal:std=0.1", "uniform", "ones", "sparse:sparsity=0.3"])
def test_a_complex_tensor_gets_the_bits_of_its_file(law: str, dtype: torch.dtype, tmp_path: Path):
    assert_as_in_the_file({"weight": torch.zeros(33, 7, dtype=dtype)}, tmp_path, [f"weight={law}"])


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool], ids=str)
def test_an_integer_tensor_takes_a_constant(dtype: torch.dtype, tmp_path: Path):
    assert_as_in_the_file({"steps": torch.zeros(3, dtype=dtype)}, tmp_path, ["steps=ones"])


LAYOUTS = {
    "transposed": lambda: torch.zeros(70, 33).t(),
    "channels last": lambda: torch.zeros(8, 6, 3, 5).to(memory_format=torch.channels_last),
    "every other column": lambda: torch.zeros(33, 140)[:, ::2],
    "a middle part": lambda: torch.zeros(40, 90)[3:36, 10:80],
    "some rows": lambda: torch.zeros(40, 70)[3:36],
    "permuted": lambda: torch.zeros(5, 4, 3, 2).permute(2, 0, 3, 1),
    "without dims": lambda: torch.zeros(()),
}


@pytest.mark.parametrize("device", [None, "cpu:0"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float8_e5m2, torch.complex128], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_tensor_with_gaps_or_in_another_order_gets_the_bits_of_a_contiguous_one(layout, dtype, device):
    found = LAYOUTS[layout]()
    place = torch.empty_strided(found.shape, found.stride(), dtype=dtype)
    contiguous = torch.empty(found.shape, dtype=dtype)
    initctl.init_({"weight": contiguous}, rules=["weight=normal"])
    initctl.init_({"weight": place}, rules=["weight=normal"], device=device)
    assert_same_bits({"weight": contiguous}, {"weight": place})


def test_what_is_between_the_elements_of_a_tensor_stays():
    whole = torch.full((40, 90), 7.0)
    initctl.init_({"weight": whole[3:36, 10:80]}, rules=["weight=normal:std=0.1"])
    assert (whole == 7).sum() == 40 * 90 - 33 * 70
    assert (whole[3:36, 10:80] != 7).all()


def test_an_expanded_tensor_takes_a_constant_only():
    row = torch.zeros(1, 5)
    initctl.init_({"weight": row.expand(4, 5)}, rules=["weight=ones"])
    assert row.sum() == 5
    with pytest.raises(initctl.FitError, match="expanded"):
        initctl.init_({"weight": row.expand(4, 5)}, rules=["weight=normal"])


def test_a_tensor_without_elements_is_fine_beside_others():
    state = {"empty": torch.empty(3, 0, 2), "w": torch.zeros(2)}
    initctl.init_(state, rules=["*=ones"])
    assert state["w"].tolist() == [1, 1]


def test_rows_and_the_rest_of_a_tensor_come_from_different_rules(tmp_path: Path):
    rules = ["w=normal", "w[3:40]=orthogonal", "w[50:]=uniform", "w[:1]=zeros"]
    assert_as_in_the_file({"w": torch.ones(70, 20)}, tmp_path, rules)
    assert_as_in_the_file({"w": torch.ones(20, 70).t()}, tmp_path, rules)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_large_tensor_is_the_same_by_any_number_of_threads(threads: int, tmp_path: Path):
    state = {"a": torch.ones(3000, 2001), "b": torch.ones(2001, 1500, dtype=torch.bfloat16).t()}
    expected = applied(state, tmp_path, rules=["*=normal:std=0.02"])
    initctl.init_(state, rules=["*=normal:std=0.02"], threads=threads)
    assert_same_bits(expected, state)


def test_many_small_tensors_get_the_bits_of_their_file(tmp_path: Path):
    state = {f"layers.{n}.{part}": torch.ones(3, n % 7) for n in range(300) for part in ("weight", "bias")}
    assert_as_in_the_file(state, tmp_path, ["*.weight=normal", "*.bias=uniform"])


@pytest.mark.parametrize(("law", "dtype"), ON_DEVICE)
def test_the_torch_engine_writes_the_same_bits_into_memory_without_the_host(law, dtype, tmp_path: Path):
    state = {"w": torch.zeros(700, 33, dtype=dtype), "t": torch.zeros(33, 700, dtype=dtype).t()}
    expected = applied(state, tmp_path, rules=[f"*={law}"])
    plan = initctl.init_(state, rules=[f"*={law}"], device="cpu:0")
    assert {action.device for action in plan.actions} == {"cpu:0"}
    if law == "orthogonal":  # equal to rounding
        assert torch.allclose(state["w"].float(), expected["w"].float(), atol=1e-5 if dtype == torch.float32 else 1e-2)
    else:
        assert_same_bits(expected, state)


def test_the_values_of_torchs_generator_are_those_of_the_file(tmp_path: Path):
    net = nn.Sequential(nn.Linear(20, 30), nn.Linear(30, 5))
    rules = ["*.weight=kaiming_uniform:a=sqrt(5)", "*.bias=normal:std=0.1"]
    plan = assert_as_in_the_file(net, tmp_path, rules, rng="torch", seed=3)
    assert plan.rng == "torch"
    torch.manual_seed(3)
    expected = torch.empty(30, 20)
    nn.init.kaiming_uniform_(expected, a=5**0.5)
    assert torch.equal(net[0].weight, expected)


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_of_each_initializer_works_in_memory(example: str, tmp_path: Path):
    pattern, _, call = example.replace("32000", "8").partition("=")
    name, mark, rows = pattern.replace("*", "layers.0").partition("[")
    call = "copy:from=other" if call.startswith("copy") else call
    shape = {"dirac": (12, 12, 3), "delta_orthogonal": (12, 12, 3), "lstm_bias": (12,)}.get(call, (12, 12))
    state = {name: torch.rand(shape), "other": torch.rand(shape)}
    assert_as_in_the_file(state, tmp_path, [f"{name}{mark}{rows}={call}"])
