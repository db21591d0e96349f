"""Every engine writes the same bits into memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from initctl.live.filling import check_fillable, fill
from initctl.live.table import table_of
from initctl.stream.engines import Engine
from tests.live.files import assert_same_bits
from tests.requests import request as asked
from tests.stream.engines.conftest import torch_engine

if TYPE_CHECKING:
    from initctl.planning import Plan
    from initctl.stream.engines.compiled import CompiledEngine


def filled(state: dict[str, torch.Tensor], rules: list[str], engine: Engine) -> Plan:
    """What `init_` does, by an engine that is given."""
    table = table_of(state)
    plan = asked(rules=rules, seed=3).plan(table.checkpoint)
    check_fillable(plan, table)
    fill(plan, table, threads=2, engines={"cpu": engine})
    return plan


def tensors(dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Some that are computed alone, and in part, and some that are computed together."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"large": (2101, 1999), "small.a": (7, 5), "small.b": (3,), "t": (300, 200)}
    state = {name: torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()}
    return state | {"t": state["t"].t()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "rules",
    [
        ["*=normal:std=0.1"],
        ["*=trunc_normal:std=0.5,cut=1.5", "*[1:3]=ones"],
        ["*=uniform", "large=sparse:sparsity=0.4"],
        ["*=perturb:scale=0.5,std=0.1"],
        ["*=reinit:p=0.3,std=0.02"],
    ],
    ids=lambda rules: rules[0],
)
def test_each_engine_gives_the_bits_of_the_reference(rules, dtype, compiled: CompiledEngine):
    expected = tensors(dtype)
    filled(expected, rules, Engine())
    for engine in (compiled, torch_engine("cpu")):
        state = tensors(dtype)
        filled(state, rules, engine)
        assert_same_bits(expected, state)


def test_old_numbers_that_are_not_finite_stay_and_the_others_are_scaled_once(compiled: CompiledEngine):
    state = {"w": torch.randn(3000, 100)}
    state["w"][7, 8], state["w"][2000, 3] = float("inf"), float("nan")
    expected = {"w": state["w"] * 0.5}
    filled(state, ["w=scale:by=0.5"], compiled)
    assert_same_bits(expected, state)
