"""A small part of `python -m tests.randomness`, the same in every run; and faults that the tests must find."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from initctl.stream.draws import Draws
from initctl.stream.key import stream_key
from tests.randomness import correlations, moments, words
from tests.randomness.batteries import dieharder_findings
from tests.randomness.finding import Finding, by_deviation, by_events
from tests.randomness.streams import STREAMS, first_words, reversed_bits, weak

pytestmark = pytest.mark.usefixtures("compiled")  # streams use compiled code, which one process makes for all

FEW = 1 << 18
VALUES = 1 << 22
IMPROBABLE = 1e-5
"""The 500 results of this file are the same in every run: one beyond this would have been chance in 1 of 100 files."""


def nearest(findings) -> Finding:
    """The finding whose p is nearest to 0 or 1."""
    return min(findings, key=lambda finding: min(finding.p, 1 - finding.p))


def is_sound(findings) -> bool:
    return IMPROBABLE < nearest(findings).p < 1 - IMPROBABLE


@pytest.mark.parametrize("stream", STREAMS)
def test_the_words_of_each_stream_pass_the_quick_tests(stream):
    found = words.findings(stream, first_words(STREAMS[stream](), FEW))
    assert len(found) == 8 + len(words.LAGS)
    assert is_sound(found), nearest(found)


@pytest.mark.parametrize("rounds", [1, 2, 3, 4])
def test_philox_with_fewer_rounds_fails_the_quick_tests(rounds):
    assert nearest(words.findings("weak", first_words(weak(rounds), FEW))).verdict == "fails"


def faulty(fault: str):
    """Sound words with a small fault."""
    sound = first_words(STREAMS["tensor"](), FEW).copy()
    if fault == "a bit is 1 too often":
        sound[::16] |= 1 << 7
    elif fault == "each word twice":
        sound[1::2] = sound[::2]
    elif fault == "a word of another tensor is this one's":
        rows = sound.reshape(-1, 2, 1024)
        rows[:, 1, ::16] = rows[:, 0, ::16]
    elif fault == "a row of bits is the sum of two others":
        sound[2::32] = sound[::32] ^ sound[1::32]
    elif fault == "spacings of a lattice":
        sound = (sound >> 12 << 12) + np.uint32(5)
    return sound


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ("a bit is 1 too often", "byte 0"),
        ("each word twice", "bits unlike those 1 later"),
        ("a word of another tensor is this one's", "bits unlike those 1024 later"),
        ("a row of bits is the sum of two others", "ranks of matrices"),
        ("spacings of a lattice", "birthday spacings"),
    ],
)
def test_a_fault_is_found_by_the_test_that_is_made_for_it(fault, test):
    (found,) = (finding for finding in words.findings(fault, faulty(fault)) if finding.test == test)
    assert found.verdict == "fails"


@pytest.mark.parametrize("law", moments.LAWS)
def test_values_have_the_moments_tails_and_frequencies_of_their_law(law):
    found = moments.findings(law, VALUES)
    assert [finding.test for finding in found[:4]] == ["mean", "variance", "skewness", "kurtosis"]
    assert is_sound(found), nearest(found)


@pytest.mark.parametrize("shift", [{"loc": 0.02}, {"scale": 1.02}], ids=str)
def test_values_of_a_slightly_different_law_fail(shift):
    counted = moments.Tally(moments.LAWS["normal"])
    counted.add(stats.norm(**shift).ppf((np.arange(VALUES) + 0.5) / VALUES).astype(np.float32))
    assert nearest(moments.moments("normal", counted)).verdict == "fails"
    assert moments.frequencies("normal", counted).verdict == "fails"
    assert moments.distance("normal", counted).verdict == "fails"


def test_powers_are_those_that_scipy_computes():
    values = Draws.of(0, "trunc_normal.weight").normal01_between(0, 1 << 17, low=0.25, high=0.75, above=False)
    counted = moments.Tally(moments.LAWS["trunc_normal"])
    counted.add(values)
    expected = [stats.moment(values.astype(np.float64), order, center=counted.mean) for order in range(1, 5)]
    assert [sums[0] / values.size for sums in counted.powers] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("sigma", moments.TAILS)
def test_tails_are_those_of_the_normal_law_but_for_the_number_of_radii(sigma):
    assert moments.tail_probability(sigma) == pytest.approx(2 * stats.norm.sf(sigma), rel=0.02 if sigma == 6 else 1e-3)


def test_neighboring_tensors_seeds_streams_and_elements_are_not_correlated():
    found = correlations.findings(64, 1 << 14)
    assert len(found) == 13
    assert is_sound(found), nearest(found)


def test_a_correlation_of_two_tensors_among_many_is_found():
    samples = np.stack([Draws.of(0, f"layers.{layer}.w").normal01(0, 1 << 14) for layer in range(32)])
    samples[20] += samples[7] / 10
    for what, compared in (("values", samples), ("ranks", correlations.ranked(samples))):
        largest, together = correlations.between("changed", what, compared)
        assert largest.verdict == "fails"
        assert float(largest.result.split()[0]) == pytest.approx(0.1, abs=0.005)
        assert together.p < IMPROBABLE


def test_a_correlation_of_neighbors_is_found():
    class Smoothed:
        def normal01(self, start, stop):
            values = Draws.of(0, "w").normal01(start, stop + 9)
            return values[:-9] + values[9:] / 100

    assert correlations.within("smoothed", Smoothed(), 1 << 21).verdict == "fails"


def test_streams_are_what_they_are_called():
    by_name = first_words(STREAMS["names"](), 4096)
    assert by_name[5] == Draws.of(0, "layers.5.w").words(0, 1)[0]
    assert by_name[1024 + 5] == Draws.of(0, "layers.5.w").words(1, 2)[0]
    assert first_words(STREAMS["seeds"](), 2048)[1024 + 7] == Draws.of(7, "fc.weight").words(1, 2)[0]
    np.testing.assert_array_equal(
        first_words(STREAMS["first-of-names"](), 192)[128:], Draws(stream_key(0, "layers.2.w")).words(0, 64)
    )
    assert next(reversed_bits(iter([np.array([1, 0x80000002], np.uint32)]))).tolist() == [1 << 31, 0x40000001]


def test_words_are_written_for_other_batteries_until_the_pipe_is_closed():
    command = [sys.executable, "-m", "tests.randomness", "--words", "tensor"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        written = process.stdout.read(16)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
    assert np.frombuffer(written, "<u4").tolist() == first_words(STREAMS["tensor"](), 4).tolist()


def test_a_p_value_near_either_end_is_weak_and_very_near_it_fails():
    verdicts = [by_deviation("", "", 1, z, 0, 1).verdict for z in (-7, -3.2, -3, 0, 3, 3.2, 7)]
    assert verdicts == ["fails", "weak", "", "", "", "weak", "fails"]
    assert by_events("", "", 1, 20, 19.7).p == pytest.approx(0.46, abs=0.01)


def test_dieharder_s_table_is_read_without_the_tests_that_it_doubts_itself():
    table = """#=============================================================================#
   diehard_birthdays,   0,       100,     100,0.29138475,  PASSED
        diehard_opso,   0,   2097152,     100,0.63159595,  PASSED
      rgb_lagged_sum,  12,   1000000,     100,0.00000000,  FAILED
"""
    assert dieharder_findings("tensor", table) == [
        Finding("dieharder: diehard_birthdays 0", "tensor", 10_000, "", 0.29138475),
        Finding("dieharder: rgb_lagged_sum 12", "tensor", 100_000_000, "", 0.0),
    ]
