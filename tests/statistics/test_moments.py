"""Moments of pieces make those of the whole, and every engine gives float64 NumPy's."""

from __future__ import annotations

from math import isnan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from initctl.dtypes import BY_NAME, DTYPES, DType
from initctl.stream.engines import Engine, Moments
from initctl.stream.engines.moments import moments_of

DTYPES_READ = [dtype for dtype in DTYPES if dtype.kind not in ("packed", "quantized")]
FLOAT32 = BY_NAME["float32"]
any_dtype = pytest.mark.parametrize("dtype", DTYPES_READ, ids=lambda dtype: dtype.name)


@pytest.fixture(scope="module", params=["reference", "compiled"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return Engine() if request.param == "reference" else request.getfixturevalue("compiled")


def measured(engine: Engine, numbers: np.ndarray, dtype: DType) -> Moments:
    """Of all of `numbers`, with others around them."""
    around = np.concatenate([numbers[-1:], numbers, numbers[:3]])
    whole, _ = engine.measured(around, dtype, [(1, 1 + numbers.size), (0, 1)])
    return whole


def bits_of(dtype: DType, count: int) -> np.ndarray:
    """Numbers of all kinds: any bits at all; of a bool, the two that there are."""
    drawn = np.random.default_rng(count).integers(0, 256, count * dtype.width, np.uint8)
    return (drawn & 1 if dtype.kind == "bool" else drawn).view(dtype.numpy)


def agree(found: float, wanted: float, tolerance: float) -> bool:
    return (isnan(found) and isnan(wanted)) or found == wanted or abs(found - wanted) <= tolerance


@any_dtype
@pytest.mark.parametrize("count", [1, 2, 511, 513, 2048, 70_001])
def test_an_engine_gives_what_two_passes_in_float64_give(engine: Engine, dtype: DType, count: int):
    numbers = bits_of(dtype, count)
    found = measured(engine, numbers, dtype)
    with np.errstate(all="ignore"):
        values = numbers.astype(np.float64)
        finite = values[np.isfinite(values)]
        assert (found.numbers, found.finite) == (count, finite.size)
        assert (found.nan, found.infinite) == (np.isnan(values).sum(), np.isinf(values).sum())
        assert found.zeros == (values == 0).sum()
        if not finite.size:
            assert isnan(found.mean)
            return
        scale = np.abs(finite).max()
        assert (found.least, found.greatest) == (finite.min(), finite.max())
        assert agree(found.mean, (finite / finite.size).sum(), 1e-12 * scale)
        assert agree(found.std, finite.std(), 1e-9 * scale) or not np.isfinite(finite.sum())
        assert agree(found.l2, sqrt(np.square(finite).sum()), 1e-9 * scale * sqrt(count))


@pytest.mark.parametrize("dtype", [d for d in DTYPES_READ if d.is_floating], ids=lambda dtype: dtype.name)
def test_numbers_between_0_and_the_smallest_normal_one_are_subnormal(engine: Engine, dtype: DType):
    import ml_dtypes

    normal = float(ml_dtypes.finfo(dtype.numpy).smallest_normal)
    numbers = np.array([0, normal, -normal, normal / 2, -normal / 2, normal / 4, 1], np.float64).astype(dtype.numpy)
    assert measured(engine, numbers, dtype).subnormal == 3


@pytest.mark.parametrize("mean", [0, 1, 1e4, -3e5])
def test_a_small_spread_far_from_0_is_found(engine: Engine, mean: float):
    numbers = (np.random.default_rng(0).standard_normal(100_000) * 0.5 + mean).astype(np.float32)
    assert measured(engine, numbers, FLOAT32).std == pytest.approx(numbers.astype(np.float64).std(), rel=1e-9)


def test_equal_numbers_have_no_spread(engine: Engine):
    assert measured(engine, np.full(5000, 0.1, np.float32), FLOAT32).std == 0


@pytest.mark.parametrize("unusual", [np.nan, np.inf])
def test_a_small_spread_far_from_0_is_found_after_many_numbers_that_are_not_finite(engine: Engine, unusual: float):
    numbers = (np.random.default_rng(0).standard_normal(100_000) * 0.5 + 1e4).astype(np.float32)
    numbers[:5000] = unusual
    assert measured(engine, numbers, FLOAT32).std == pytest.approx(numbers[5000:].astype(np.float64).std(), rel=1e-9)


@given(arrays(np.float32, st.integers(0, 60), elements=st.floats(width=32)), st.integers(0, 60))
def test_moments_of_two_parts_add_up_to_those_of_both(numbers: np.ndarray, at: int):
    whole, parts = moments_of(numbers, FLOAT32), (moments_of(part, FLOAT32) for part in (numbers[:at], numbers[at:]))
    found = sum(parts, Moments())
    assert found[:1] + found[3:] == whole[:1] + whole[3:]
    scale = max(abs(whole.least), abs(whole.greatest)) if whole.finite else 0
    assert agree(found.mean, whole.mean, 1e-12 * scale)
    assert agree(found.std, whole.std, 1e-7 * scale)
