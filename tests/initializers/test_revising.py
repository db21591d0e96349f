"""Initializers that start from old values: a value at an index is the same whatever range it is asked for in."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import initctl
from initctl.dtypes import BY_NAME
from initctl.initializers import REGISTRY
from initctl.rules import parse_call
from initctl.stream import Overflow, RevisingLaw, Source
from initctl.stream.draws import Draws
from initctl.tensors import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SHAPE = (11, 5)
CALLS = (
    "scale:by=0.5", "perturb:scale=0.5,std=0.1", "perturb:std=0.1,rel=true", "reinit:p=0.4,std=1", "copy:from=x",
    "copy:from=x,row=2", "mean_rows:of=1:4", "mean_rows:of=:,std=1", "match_stats", "permute_rows",
)  # fmt: skip


@dataclass(frozen=True)
class Held:
    """What a tensor holds."""

    numbers: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.numbers.shape

    def values(self, start: int, stop: int) -> NDArray[Any]:
        stored = self.stored(start, stop)
        return stored if stored.dtype == np.float64 else stored.astype(np.float32)

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        assert 0 <= start <= stop <= self.numbers.size
        return self.numbers.reshape(-1)[start:stop]

    def rows(self, order: Sequence[int], width: int) -> NDArray[Any]:
        return self.numbers.reshape(-1, width)[order].reshape(-1)

    def other(self, source: Source) -> Held:
        assert source == Source("x")
        return Held(-self.numbers)


def revision(call: str, shape: tuple[int, ...] = SHAPE, dtype: str = "float32") -> RevisingLaw:
    tensor = TensorSpec.contiguous("w", BY_NAME[dtype], shape, "f", 0)
    law = REGISTRY.bind(parse_call(call)).resolve(tensor).law
    assert isinstance(law, RevisingLaw)
    return law


def held(dtype: str = "float32") -> Held:
    return Held(np.random.default_rng(0).normal(size=SHAPE).astype(dtype))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_range_gives_its_part_of_all_values(call: str, dtype: str):
    draws = Draws.of(1, "w")
    law = revision(call, dtype=dtype).prepared(draws, held(dtype))
    count = prod(SHAPE)
    everything = law.values(draws, 0, count)
    assert everything.shape == (count,)

    @settings(max_examples=40, deadline=None)
    @given(st.tuples(st.integers(0, count), st.integers(0, count)).map(sorted))
    def check(ends: list[int]) -> None:
        start, stop = ends
        if start < stop:
            assert law.values(draws, start, stop).tobytes() == everything[start:stop].tobytes()

    check()


def test_reinit_with_the_same_seed_picks_fewer_of_the_same_elements_for_a_smaller_share():
    draws, old = Draws.of(1, "w"), held()
    few, many = (
        revision(f"reinit:p={p},std=1").prepared(draws, old).values(draws, 0, prod(SHAPE)) != old.numbers.reshape(-1)
        for p in (0.2, 0.6)
    )
    assert (many | ~few).all()
    assert few.sum() < many.sum()


def test_noise_is_the_same_as_that_of_normal():
    draws, old = Draws.of(1, "w"), held()
    found = revision("perturb:scale=0,std=1").prepared(draws, old).values(draws, 0, prod(SHAPE))
    assert (found == draws.normal01(0, prod(SHAPE))).all()


def test_a_finite_value_that_becomes_infinite_is_told():
    law = revision("scale:by=1e30").prepared(Draws.of(0, "w"), Held(np.full(SHAPE, 1e30, np.float32)))
    with pytest.raises(Overflow):
        law.values(Draws.of(0, "w"), 3, 4)


@pytest.mark.parametrize(
    ("call", "told"),
    {
        "scale": "scale needs by",
        "scale:by=nan": "not a finite number",
        "perturb": "perturb needs std",
        "perturb:std=-1": "'-1' is not a number of 0 or more",
        "perturb:std=1,rel=yes": "yes is not one of",
        "reinit:p=1.5,std=1": "1.5 is not a number from 0 to 1",
        "reinit:p=0.5": "reinit needs std",
        "copy": "copy needs from",
        "copy:from=x,row=-1": "'-1' is not a whole number of 0 or more",
        "copy:from=x,row=0.5": "0.5 is not a whole number",
        "mean_rows": "mean_rows needs of",
        "mean_rows:of=5": "5 is not a slice a:b as in Python",
        "mean_rows:of=a:b": "a:b is not a slice a:b as in Python",
        "mean_rows:of=1:2:3": "1:2:3 is not a slice a:b as in Python",
        "match_stats:x=1": "match_stats has no parameter x; it has no parameters",
        "permute_rows:of=1": "permute_rows has no parameter of",
    }.items(),
)
def test_arguments_are_checked_before_the_checkpoint_is_read(call: str, told: str):
    with pytest.raises(initctl.RuleError) as raised:
        initctl.plan("/no/such/file", rules=[f"w={call}"])
    assert told in str(raised.value)
