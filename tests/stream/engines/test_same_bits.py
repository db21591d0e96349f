"""Every engine gives the reference's bits: for every law, dtype, range and place, however far out."""

from __future__ import annotations

import _thread
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from initctl.dtypes import BY_NAME, DTYPES
from initctl.errors import StorageError
from initctl.initializers.complex import RealPart
from initctl.stream import Constant, Fused, Normal, NotANumber, Overflow, Table, TruncNormal, Uniform, ZeroedNormal
from initctl.stream.deterministic_laws import CountedLog, Diagonals, Hadamard, Interval, Sinusoid
from initctl.stream.engines import Engine, LawRun, Unusable, joined
from initctl.stream.engines.device import TorchEngine
from initctl.stream.engines.engine import encode
from initctl.stream.engines.joined import JoinedEngine
from initctl.stream.engines.selfcheck import Held
from initctl.stream.key import Key, stream_key
from initctl.stream.laws import InverseSoftplus, LogUniform, UniformLog
from initctl.stream.old_values import Affine, EveryRow, Mixture
from initctl.stream.philox import words_of

REFERENCE = Engine()
KEY = stream_key(0, "fc1.weight")

FLOATS = [dtype for dtype in DTYPES if dtype.is_floating]
NARROW = [dtype for dtype in FLOATS if dtype.width < 4]
LAWS = [
    Uniform(0, 1),
    Uniform(-0.1, 0.3),
    Uniform(5, 5),
    Normal(0, 1),
    Normal(0.1, 0.02),
    Normal(-0.0, 1),
    Normal(0, 1e-40),
    TruncNormal(0, 0.02, -0.04, 0.04),
    TruncNormal(0.5, 2, -10, -2),
    TruncNormal(0.5, 2, 3, 11),
    TruncNormal(0, 1, 8, 20),
    TruncNormal(0, 1, 0, math.inf),
    TruncNormal(-0.0, 1, 0.0, 1),
]
RANGES = [
    (0, 1), (0, 8192), (0, 20_000), (1, 2), (3, 9), (7, 8191), (8189, 16_387), (5, 70_001),
    (2**32 - 3, 2**32 + 3), (2**34 - 7, 2**34 + 9000), (2**62 + 1, 2**62 + 8200),
]  # fmt: skip
"""Whole blocks and parts of them, whole tiles and parts of them, and block numbers beyond 32 bits."""

WRITABLE = [dtype for dtype in DTYPES if dtype.kind not in ("packed", "quantized")]

laws = pytest.mark.parametrize("law", LAWS, ids=repr)
floats = pytest.mark.parametrize("dtype", FLOATS, ids=lambda dtype: dtype.name)


def filled(engine, law, start, stop, dtype, key=KEY, shift=0):
    """The bytes that `engine` writes, to an address that is `shift` more than a multiple of 64."""
    nbytes = (stop - start) * dtype.width
    room = np.full(nbytes + 128, 0xAA, np.uint8)
    first = -room.ctypes.data % 64 + shift
    engine.fill([LawRun(law, key, start, stop, dtype)], room[first : first + nbytes])
    assert (room[:first] == 0xAA).all()
    assert (room[first + nbytes :] == 0xAA).all()
    return room[first : first + nbytes]


def assert_same(engine, *arguments, **options):
    ours, theirs = (filled(e, *arguments, **options) for e in (REFERENCE, engine))
    np.testing.assert_array_equal(theirs, ours)


@laws
@floats
def test_of_every_law_in_every_dtype_over_ranges_of_every_kind(engine, law, dtype):
    for start, stop in RANGES:
        assert_same(engine, law, start, stop, dtype)


@st.composite
def laws_and_dtypes(draw):
    """A random law, and a dtype that holds its values: what does not is refused when it is planned."""
    dtype = draw(st.sampled_from(FLOATS))
    largest = min(dtype.largest, 1e6) / 32
    numbers, spread = st.floats(-largest, largest, width=32), draw(st.floats(1e-3, 1)) * largest
    match draw(st.sampled_from(["uniform", "normal", "truncated normal"])):
        case "uniform":
            law = Uniform(*sorted((draw(numbers), draw(numbers))))
        case "normal":
            law = Normal(draw(numbers), draw(st.sampled_from([0, spread])))
        case _:
            mean = draw(numbers)
            low, high = sorted((draw(st.floats(-12, 12)), draw(st.floats(-12, 12))))
            law = TruncNormal(mean, spread, mean + low * spread, mean + high * spread)
            assume(low < high)
            assume(law.is_resolved)
    return law, dtype


@settings(max_examples=300)
@given(
    law_and_dtype=laws_and_dtypes(),
    key=st.builds(Key, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    start=st.integers(0, 2**62),
    length=st.integers(1, 20_000),
)
def test_of_any_law_key_start_and_length(engine, law_and_dtype, key, start, length):
    assert_same(engine, law_and_dtype[0], start, start + length, law_and_dtype[1], key=key)


@floats
@pytest.mark.parametrize("shift", [1, 2, 3, 4, 7])
def test_at_any_address(engine, dtype, shift):
    assert_same(engine, Normal(0, 1), 3, 10_000, dtype, shift=shift)


@pytest.mark.parametrize("dtype", WRITABLE, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("value", [0, 1, 0.5])
def test_of_constants_in_every_dtype(compiled, dtype, value):
    assert_same(compiled, Constant(value if dtype.is_floating else int(value)), 3, 50_000, dtype)


@pytest.mark.parametrize("dtype", [dtype for dtype in WRITABLE if dtype.nan], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize(("start", "stop"), [(0, 1), (3, 50_000), (2**34 - 7, 2**34 + 9)])
def test_of_nan_in_every_dtype_that_has_one(engine, dtype, start, stop):
    bits = dtype.nan.to_bytes(dtype.width, "little")
    assert filled(REFERENCE, NotANumber(), start, stop, dtype).tobytes() == bits * (stop - start)
    assert_same(engine, NotANumber(), start, stop, dtype, shift=dtype.width)


@floats
@pytest.mark.parametrize(
    "law",
    [
        Diagonals(0, 201, 200),
        RealPart(Constant(0.1)),
        LogUniform(1e-38, 1e38),
        LogUniform(0.001, 0.1),
        LogUniform(1, 1.0000001),
        InverseSoftplus(0.001, 0.1, 1e-4),
        InverseSoftplus(1e-38, 1000, 0),
        InverseSoftplus(1, 2, 5),
        UniformLog(0.01, 16),
        Sinusoid(200, 10000.0),
        Sinusoid(4, 1.0),
        Sinusoid(65_536, 1e300),
        CountedLog(200, 1.0),
        CountedLog(1, 1e-300),
        CountedLog(65_536, 0.3),
        Hadamard(200, 0.0625, 1, 0),
        Hadamard(65_536, 0.0625, 1, 0),
        Hadamard(20, 0.0625, 9, 4),
        Interval(100, 2048, 0.7),
        EveryRow(np.linspace(-1, 1, 200, dtype=np.float32)),
        EveryRow(np.linspace(-1, 1, 200, dtype=np.float32), 0.1),
        EveryRow(np.linspace(-1, 1, 65_536, dtype=np.float32), 0.1),
        EveryRow(np.linspace(-1, 1, 200), 0.1),
        Table(np.linspace(-1, 1, 40_000, dtype=np.float32).reshape(20, 10, 200).transpose(2, 0, 1)),
        ZeroedNormal(0.5, REFERENCE.draws(KEY).kth_smallest(200, 200, 77, stream=1)),
        ZeroedNormal(0.5, REFERENCE.draws(KEY).kth_smallest(200, 100, 77, stream=1), parts=2),
        ZeroedNormal(0.5, REFERENCE.draws(KEY).kth_smallest(4, 10_000, 2, stream=1)),
        ZeroedNormal(0.5, REFERENCE.draws(KEY).kth_smallest(40_000, 1, 20_001, stream=1)),
    ],
    ids=lambda law: type(law).__name__,
)
def test_of_laws_beside_the_random_ones(compiled, law, dtype):
    for start, stop in [(0, 40_000), (33, 39_001), (5, 2049), (2047, 2050)]:
        assert_same(compiled, law, start, stop, dtype)


def old_values(dtype, count=40_000):
    """Every number that a narrow float can hold, over and over, and any of a wider one."""
    bits = np.random.default_rng(0).integers(0, 256, count * dtype.width, dtype=np.uint8)
    return Held(bits.view(dtype.numpy))


def is_finite(numbers):
    with np.errstate(invalid="ignore"):  # a signalling NaN
        return np.isfinite(numbers.astype(np.float64))


REAL = [dtype for dtype in FLOATS if dtype.kind == "float"]
real = pytest.mark.parametrize("dtype", REAL, ids=lambda dtype: dtype.name)


def assert_same_or_refused(engine, law, start, stop, dtype):
    """The same bits, or the same refusal."""
    try:
        ours = filled(REFERENCE, law, start, stop, dtype)
    except Overflow as fact:
        with pytest.raises(Overflow, match=str(fact)):
            filled(engine, law, start, stop, dtype)
    else:
        np.testing.assert_array_equal(filled(engine, law, start, stop, dtype), ours)


@real
@pytest.mark.parametrize(("scale", "noise"), [(1, 0), (0.5, 0), (-1.7, 0.1), (0, 1), (1e30, 0), (0.5, 1e-40)])
@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
def test_of_scaled_and_disturbed_old_values_infinite_ones_and_nan_among_them(engine, dtype, scale, noise):
    law = Affine(old_values(dtype), scale, noise)
    for start, stop in [(0, 40_000), (33, 39_001), (5, 2049), (2047, 2050), *((i, i + 1) for i in range(300))]:
        assert_same_or_refused(engine, law, start, stop, dtype)


@real
@pytest.mark.parametrize("p", [0, 0.3, 1])
def test_of_old_values_that_are_partly_drawn_anew(engine, dtype, p):
    law = Mixture(old_values(dtype), p, 0.1, 0.2)
    for start, stop in [(0, 40_000), (33, 39_001), (5, 2049), (2047, 2050)]:
        assert_same(engine, law, start, stop, dtype)


def test_old_values_are_computed_with_by_compiled_loops(compiled, monkeypatch):
    asked = []
    monkeypatch.setattr(compiled, "call", lambda name, count, *_: asked.append((name, count)))
    dtype = BY_NAME["bfloat16"]
    held = Held(np.ones(100, dtype.numpy))
    for law in (Affine(held, 0.5, 1), Mixture(held, 0.5, 0, 1), Sinusoid(10, 9.0), CountedLog(10, 1.0)):
        compiled.fill([LawRun(law, KEY, 0, 100, dtype)], np.empty(200, np.uint8))
    assert asked == [("fill", 1)] * 4


@floats
@pytest.mark.parametrize("inner", [1, 100, 2000])
def test_of_laws_side_by_side_in_short_runs_and_long_ones(engine, inner, dtype):
    law = Fused((Normal(0, 1), Uniform(-0.1, 0.3), TruncNormal(0, 0.02, -0.04, 0.04)), (4, 5, 7), inner)
    for start, stop in [(0, 40_000), (33, 39_001), (7999, 8001), (2**34 + 5, 2**34 + 20_000), (9, 9)]:
        assert_same(engine, law, start, stop, dtype)


def test_long_runs_of_laws_side_by_side_are_computed_by_compiled_loops(compiled, monkeypatch):
    asked = []
    monkeypatch.setattr(compiled, "call", lambda name, count, *_: asked.append((name, count)))
    law = Fused((Normal(0, 1), Uniform(0, 1)), (4, 5), 2000)
    compiled.fill([LawRun(law, KEY, 5000, 19_000, BY_NAME["float32"])], np.empty(4 * 14_000, np.uint8))
    assert asked == [("fill", 4)]


class Doubled(Normal):
    """A law of a package that builds on one of ours."""

    def values(self, draws, start, stop):
        return 2 * draws.normal01(start, stop)


MANY = [
    *LAWS,
    Constant(0),
    Constant(-0.0),
    Constant(0.1),
    LogUniform(0.001, 0.1),
    InverseSoftplus(0.001, 2, 1e-4),
    UniformLog(1, 16),
    Diagonals(0, 3, 40),
    Fused((Normal(0, 1), Uniform(0, 1)), (4, 5), 2),
    ZeroedNormal(0.5, REFERENCE.draws(KEY).kth_smallest(20, 30, 5, stream=1)),
    Doubled(0, 1),
]


def many(engine, runs, shift=0):
    """The bytes that `engine` writes for `runs`, from an address that is `shift` more than a multiple of 64."""
    room = np.full(sum(run.nbytes for run in runs) + 128, 0xAA, np.uint8)
    first = -room.ctypes.data % 64 + shift
    engine.fill(runs, room[first : first + room.size - 128])
    return room[first:]


def one_by_one(runs):
    return np.concatenate([filled(REFERENCE, *run[:1], *run[2:], key=run.key) for run in runs])


@floats
@pytest.mark.parametrize("shift", [0, 4, 1])
def test_of_many_runs_are_those_of_each(engine, dtype, shift):
    keys = [stream_key(0, name) for name in "ab"]
    runs = [
        LawRun(law, keys[i % 2], start, stop, dtype)
        for i, law in enumerate([*MANY, *reversed(MANY)])
        for start, stop in [(i, i + 64), (3, 3), (5, 6), (i, i + 2100)]
        if stop < 600 or not isinstance(law, ZeroedNormal)
    ]
    expected = one_by_one(runs)
    written = many(engine, runs, shift)
    np.testing.assert_array_equal(written[: expected.size], expected)
    assert (written[expected.size : expected.size + 63] == 0xAA).all()


def test_of_many_runs_of_different_dtypes_are_those_of_each(engine):
    """One byte of the first leaves those behind it at addresses that are no multiples of their width."""
    one = [LawRun(Constant(True), KEY, 0, 1, BY_NAME["bool"])]
    runs = [LawRun(law, KEY, 5, 69, dtype) for law in MANY for dtype in FLOATS]
    constants = [LawRun(Constant(1), KEY, 2, 9, dtype) for dtype in WRITABLE]
    for several in (runs, one + runs, constants, constants[::-1], runs + constants, []):
        expected = one_by_one(several) if several else np.empty(0, np.uint8)
        np.testing.assert_array_equal(many(engine, several)[: expected.size], expected)


def test_many_runs_take_one_call_of_compiled_loops(compiled, monkeypatch):
    asked = []
    monkeypatch.setattr(compiled, "call", lambda name, count, *_: asked.append((name, count)))
    laws = [Normal(0, 1), Uniform(0, 1), Constant(1)] * 5
    compiled.fill([LawRun(law, KEY, 0, 64, BY_NAME["bfloat16"]) for law in laws], np.empty(15 * 128, np.uint8))
    assert asked == [("fill", 15)]


def test_short_runs_of_one_law_take_one_call_of_the_cipher(monkeypatch):
    asked = []
    monkeypatch.setattr(joined, "words_of", lambda *given: asked.append(given) or words_of(*given))
    law, half = Normal(0, 1), BY_NAME["float16"]
    runs = [LawRun(law, stream_key(0, str(n)), n, 3 * n, half) for n in range(71)]
    np.testing.assert_array_equal(many(JoinedEngine(), runs)[: sum(run.nbytes for run in runs)], one_by_one(runs))
    assert len(asked) == 3


def test_short_runs_of_one_law_that_is_not_finite_are_refused():
    runs = [LawRun(Normal(math.inf, 1), KEY, 0, 3, BY_NAME["float32"])] * 2
    with pytest.raises(Unusable, match="did not return 3 finite numbers"):
        many(JoinedEngine(), runs)


def test_a_subclass_of_a_law_is_asked_itself(engine):
    assert_same(engine, Doubled(0, 1), 0, 1000, BY_NAME["float32"])
    assert (
        filled(engine, Doubled(0, 1), 0, 9, BY_NAME["float32"])
        != filled(engine, Normal(0, 1), 0, 9, BY_NAME["float32"])
    ).any()


class Broken(Doubled):
    def values(self, draws, start, stop):
        return np.full(stop - start, np.float32("nan"))


def test_what_no_tensor_can_hold_is_refused(engine):
    with pytest.raises(Unusable, match="did not return 10 finite numbers"):
        filled(engine, Broken(0, 1), 0, 10, BY_NAME["float32"])


class TestDraws:
    @pytest.mark.parametrize("stream", [0, 1, 2**32 - 1])
    @pytest.mark.parametrize(("start", "stop"), RANGES)
    def test_are_the_references(self, compiled, start, stop, stream):
        ours, theirs = REFERENCE.draws(KEY), compiled.draws(KEY)
        for name in ("words", "uniform01", "normal01"):
            one, other = (getattr(draws, name)(start, stop, stream=stream) for draws in (ours, theirs))
            np.testing.assert_array_equal(one.view(np.uint32), other.view(np.uint32), strict=True)
        bounds = {"low": 0.25, "high": 0.75, "above": True}
        np.testing.assert_array_equal(
            ours.normal01_between(start, stop, **bounds), theirs.normal01_between(start, stop, **bounds)
        )

    def test_are_of_stream_0_unless_another_is_asked_for(self, compiled):
        draws = compiled.draws(KEY)
        for name, arguments in [("words", (0, 9)), ("normal01", (0, 9)), ("kth_smallest", (9, 8, 4))]:
            default, zero, one = (getattr(draws, name)(*arguments, **o) for o in ({}, {"stream": 0}, {"stream": 1}))
            np.testing.assert_array_equal(default, zero)
            assert (default != one).any()

    @real
    @pytest.mark.parametrize("count", [0, 1, 2047, 40_000])
    def test_add_up_finite_numbers_as_the_reference_does(self, compiled, dtype, count):
        ours, theirs = REFERENCE.draws(KEY), compiled.draws(KEY)
        numbers = old_values(dtype, count).numbers
        numbers = numbers[is_finite(numbers)]
        for total, around in [(0, None), (0.1, None), (0.1, 0.3), (0, 0)]:
            assert theirs.added(total, numbers, around=around) == ours.added(total, numbers, around=around)

    @real
    def test_add_up_to_nothing_finite_if_one_number_is_not(self, compiled, dtype):
        for numbers in (old_values(dtype).numbers, old_values(dtype, 1 << 16).numbers[1::2]):
            all_finite = bool(is_finite(numbers).all())
            for draws in (REFERENCE.draws(KEY), compiled.draws(KEY)):
                assert math.isfinite(draws.added(0, numbers)) == all_finite

    @pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 300), (300, 1), (64, 200), (1000, 7), (33, 65)])
    def test_rank_a_column_as_the_reference_does(self, compiled, rows, columns):
        ours, theirs = REFERENCE.draws(KEY), compiled.draws(KEY)
        for k in {1, (rows + 1) // 2, rows}:
            cutoffs = ours.kth_smallest(rows, columns, k, stream=1)
            np.testing.assert_array_equal(theirs.kth_smallest(rows, columns, k, stream=1), cutoffs, strict=True)
            for start, stop in [(0, rows * columns), (rows * columns // 3, rows * columns), (0, 1)]:
                np.testing.assert_array_equal(
                    theirs.not_larger(start, stop, cutoffs, stream=1),
                    ours.not_larger(start, stop, cutoffs, stream=1),
                    strict=True,
                )


def test_where_no_thread_can_be_started_columns_are_not_ranked(compiled, monkeypatch):
    def fail(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", fail)
    with pytest.raises(StorageError, match="the system cannot start more threads"):
        compiled.draws(KEY).kth_smallest(8, 8, 4, stream=1)


def test_of_equal_words_the_lower_row_is_the_smaller(compiled):
    rows = 200_000  # so many that some words of 32 bits are equal
    draws = compiled.draws(KEY)
    words = draws.words(0, rows, stream=1)
    order = np.lexsort((np.arange(rows), words))
    (equal, *_) = np.flatnonzero(np.diff(words[order]) == 0)
    numbers = [(int(words[row]) << 32) + int(row) for row in order[equal : equal + 2]]
    assert numbers[0] >> 32 == numbers[1] >> 32
    assert [int(draws.kth_smallest(rows, 1, int(equal) + k, stream=1)[0]) for k in (1, 2)] == numbers
    assert draws.not_larger(0, rows, np.array(numbers[:1], np.uint64), stream=1).sum() == equal + 1


class Host(Engine):
    """A reference that keeps what it was asked for."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def fill_run(self, run, out):
        self.asked.append((run.law, run.dtype.name))
        super().fill_run(run, out)

    def draws(self, key):
        self.asked.append(key)
        return super().draws(key)


def test_a_device_computes_random_laws_and_leaves_the_rest_to_its_host():
    host = Host()
    engine = TorchEngine("cpu", host)
    for law in (Uniform(0, 1), Normal(0, 1), TruncNormal(0, 1, -2, 2)):
        assert_same(engine, law, 0, 100, BY_NAME["bfloat16"])
    host.asked.clear()
    table = Table(np.arange(100, dtype=np.float32))
    others = [(Constant(1), "bfloat16"), (Constant(1), "int32"), (table, "float32"), (Doubled(0, 1), "float64")]
    for law, dtype in others:
        engine.fill([LawRun(law, KEY, 0, 100, BY_NAME[dtype])], np.empty(100 * BY_NAME[dtype].width, np.uint8))
    assert [asked for asked in host.asked if asked != KEY] == others
    engine.draws(KEY)
    assert host.asked[-1] == KEY


@pytest.mark.parametrize("dtype", NARROW, ids=lambda dtype: dtype.name)
def test_the_compiled_cast_is_that_of_ml_dtypes_for_all_finite_numbers(compiled, dtype):
    bits = np.random.default_rng(0).integers(0, 2**32, 2_000_000, dtype=np.uint32)
    edges = np.arange(0, 2**32, 2**12, dtype=np.uint64).astype(np.uint32)  # and what lies halfway between codes
    values = np.concatenate([bits, edges, edges - 1, edges + 1]).view(np.float32)
    values = values[np.isfinite(values)]
    out = np.empty(values.size * dtype.width, np.uint8)
    compiled.encode(values, dtype, out)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(out, encode(values, dtype))
