"""A million values of each kind, to the last bit: every formula, every branch, every coefficient.

No tolerance: the stream uses correctly rounded operations only, so that every processor and every NumPy gives these
bits. A digest that changes breaks value stream v1.
"""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest

from initctl.stream import Normal, TruncNormal, Uniform
from initctl.stream.deterministic_laws import CountedLog, Sinusoid
from initctl.stream.draws import Draws
from initctl.stream.laws import InverseSoftplus, LogUniform, UniformLog

DRAWS = Draws.of(0, "fc1.weight")
MILLION = 1_000_000

KINDS = {
    "words": DRAWS.words,
    "words of stream 1": lambda start, stop: DRAWS.words(start, stop, stream=1),
    "words beyond 2^34": lambda start, stop: DRAWS.words(2**34 - 7 + start, 2**34 - 7 + stop),
    "uniform01": DRAWS.uniform01,
    "normal01": DRAWS.normal01,
    "uniform": lambda start, stop: Uniform(0.1, 0.3).values(DRAWS, start, stop),
    "normal": lambda start, stop: Normal(0.1, 0.02).values(DRAWS, start, stop),
    "the middle": lambda start, stop: TruncNormal(0, 0.02, -0.04, 0.04).values(DRAWS, start, stop),
    "a lower tail": lambda start, stop: TruncNormal(0.5, 2, -10, -2).values(DRAWS, start, stop),
    "an upper tail": lambda start, stop: TruncNormal(0.5, 2, 3, 11).values(DRAWS, start, stop),
    "a far tail": lambda start, stop: TruncNormal(0, 1, 8, 20).values(DRAWS, start, stop),
    "log-uniform": lambda start, stop: LogUniform(1e-30, 1e30).values(DRAWS, start, stop),
    "its inverse softplus": lambda start, stop: InverseSoftplus(1e-6, 50, 1e-5).values(DRAWS, start, stop),
    "a uniform number's logarithm": lambda start, stop: UniformLog(1e-30, 16).values(DRAWS, start, stop),
    "sinusoids": lambda start, stop: Sinusoid(8, 10_000).values(DRAWS, 8 * 2**26 - stop, 8 * 2**26 - start),
    "logarithms": lambda start, stop: CountedLog(MILLION, 0.01).values(DRAWS, start, stop),
}

DIGESTS = [
    ("words", "39c59ba81f2d0038"),
    ("words of stream 1", "c012b67b0a419f74"),
    ("words beyond 2^34", "ca9dcdb0ce9d036a"),
    ("uniform01", "9fa5155f55b44720"),
    ("normal01", "31d51e11d1e88d2d"),
    ("uniform", "b898da29cfc8c9e1"),
    ("normal", "fd810cecf2a07c00"),
    ("the middle", "731070b742c81476"),
    ("a lower tail", "f823fb27113ca890"),
    ("an upper tail", "e6a7f0b0592dd872"),
    ("a far tail", "9ed2b21f3c46dd17"),
    ("log-uniform", "f0762a6b562cb449"),
    ("its inverse softplus", "304de686a6155be8"),
    ("a uniform number's logarithm", "135db9dd6fedf90f"),
    ("sinusoids", "5ce45787a951dccb"),
    ("logarithms", "ce82771f9d0b2535"),
]
"""What is asked for, and the first 16 digits of the SHA-256 of its little-endian bytes."""


def digest(kind: str) -> str:
    values = KINDS[kind](0, MILLION)
    return sha256(np.ascontiguousarray(values, values.dtype.newbyteorder("<"))).hexdigest()[:16]


def test_every_kind_has_a_digest():
    assert [kind for kind, _ in DIGESTS] == list(KINDS)


@pytest.mark.parametrize(("kind", "expected"), DIGESTS)
def test_a_million_values_are_what_they_always_were(kind, expected):
    assert digest(kind) == expected
