"""Distances of pieces make those of the whole, and every engine gives float64 NumPy's."""

from __future__ import annotations

from itertools import product
from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from initctl.dtypes import BY_NAME, DTYPES, DType
from initctl.stream.engines import Distance, Engine
from initctl.stream.engines.distances import distance_of
from tests.statistics.test_moments import bits_of

DTYPES_READ = [dtype for dtype in DTYPES if dtype.kind not in ("packed", "quantized")]
FLOAT32, INT64, UINT64 = (BY_NAME[name] for name in ("float32", "int64", "uint64"))
MIXED = ["float32", "bfloat16", "float8_e5m2", "complex64", "int8"]
UNUSUAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-41, -3e38]


@pytest.fixture(scope="module", params=["reference", "compiled"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return Engine() if request.param == "reference" else request.getfixturevalue("compiled")


def elements(stored: np.ndarray, dtype: DType) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        values = stored.astype(np.float64)
    return values.view(np.complex128) if dtype.parts == 2 else values


def whole(engine: Engine, one: np.ndarray, dtype: DType, other: np.ndarray, other_dtype: DType) -> Distance:
    return sum(engine.distances(one, dtype, other, other_dtype, 30_000), Distance())


def check(found: Distance, one: np.ndarray, other: np.ndarray) -> None:
    """Whether `found` is what NumPy computes of elements in float64."""
    both = np.isfinite(one) & np.isfinite(other)
    one, other = one[both], other[both]
    assert found.finite == one.size
    if not one.size:
        assert isnan(found.mean)
        return
    with np.errstate(all="ignore"):
        apart = np.abs(one - other)
        wanted = [apart.max(), apart.mean(), np.linalg.norm(one - other) / np.linalg.norm(one)]
        cosine = np.vdot(other, one).real / np.linalg.norm(one) / np.linalg.norm(other)
    for mine, theirs in zip((found.largest, found.mean, found.relative), wanted, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-12) or not np.isfinite(theirs)
    assert found.cosine == pytest.approx(cosine, abs=1e-12) or not np.isfinite(cosine)


@pytest.mark.parametrize("dtype", DTYPES_READ, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("count", [1, 2049, 40_001])
def test_an_engine_gives_what_numpy_gives(engine: Engine, dtype: DType, count: int):
    one, other = np.split(bits_of(dtype, 2 * count * dtype.parts), 2)
    found = whole(engine, one, dtype, other, dtype)
    check(found, elements(one, dtype), elements(other, dtype))


@pytest.mark.parametrize("names", [*product(MIXED, repeat=2)])
def test_elements_of_two_dtypes_are_compared_as_numbers(engine: Engine, names: tuple[str, str]):
    one, other = (BY_NAME[name] for name in names)
    some, others = bits_of(one, 5000 * one.parts), bits_of(other, 5000 * other.parts)
    check(whole(engine, some, one, others, other), elements(some, one), elements(others, other))


@pytest.mark.parametrize("pair", [*product(UNUSUAL, repeat=2)], ids=str)
def test_what_is_not_finite_in_one_of_them_is_left_out(engine: Engine, pair: tuple[float, float]):
    one, other = (np.array([1.0, unusual, 2.0], np.float32) for unusual in pair)
    check(whole(engine, one, FLOAT32, other, FLOAT32), elements(one, FLOAT32), elements(other, FLOAT32))


@pytest.mark.parametrize("start", [2**53, 2**62, -(2**63)])
def test_integers_are_one_apart_however_large_they_are(engine: Engine, start: int):
    one, other = np.array([start, start + 1], np.int64), np.array([start + 1, start], np.int64)
    found = whole(engine, one, INT64, other, INT64)
    assert (found.largest, found.mean) == (1, 1)


def test_the_smallest_and_the_largest_integer_are_all_their_bits_apart(engine: Engine):
    ends = np.array([-(2**63), 2**63 - 1], np.int64)
    assert whole(engine, ends, INT64, ends[::-1].copy(), INT64).largest == 2.0**64
    ends = np.array([0, 2**64 - 1], np.uint64)
    assert whole(engine, ends, UINT64, ends[::-1].copy(), UINT64).largest == 2.0**64


def test_against_zeros_there_is_no_angle_and_no_share(engine: Engine):
    zeros, ones = np.zeros(5, np.float32), np.ones(5, np.float32)
    found = whole(engine, zeros, FLOAT32, ones, FLOAT32)
    assert (found.largest, found.mean) == (1, 1)
    assert isnan(found.relative)
    assert isnan(found.cosine)
    assert whole(engine, ones, FLOAT32, zeros, FLOAT32).relative == 1


def test_what_is_the_same_is_not_apart_and_in_one_direction(engine: Engine):
    numbers = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    found = whole(engine, numbers, FLOAT32, numbers, FLOAT32)
    assert (found.largest, found.mean, found.relative, found.cosine) == (0, 0, 0, pytest.approx(1, abs=1e-15))


def test_each_run_of_elements_has_its_own_distance(engine: Engine):
    one, other = np.arange(10, dtype=np.float32), np.zeros(10, np.float32)
    found = engine.distances(one, FLOAT32, other, FLOAT32, 4)
    assert [(run.finite, run.largest, run.total) for run in found] == [(4, 3, 6), (4, 7, 22), (2, 9, 17)]


@given(arrays(np.float32, st.tuples(st.just(2), st.integers(0, 60)), elements=st.floats(width=32)), st.integers(0, 60))
def test_distances_of_two_parts_add_up_to_that_of_both(numbers: np.ndarray, at: int):
    one, other = numbers
    whole, first, second = (
        distance_of(one[part], FLOAT32, other[part], FLOAT32) for part in (slice(None), slice(at), slice(at, None))
    )
    assert (first + second)[:2] == whole[:2]
    assert first + second == pytest.approx(whole, rel=1e-9)
