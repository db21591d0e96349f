"""New sizes as text and as numbers."""

from __future__ import annotations

import numpy as np
import pytest

from initctl.errors import RuleError
from initctl.reshaping.sizes import Padded, parse_resize, pattern_and_size
from initctl.rules import Origin

ORIGIN = Origin("rows 1")


@pytest.mark.parametrize(
    ("kind", "given", "size"),
    [
        ("rows", "5", 5),
        ("rows", 5, 5),
        ("rows", np.int64(5), 5),
        ("rows", "pad:64", Padded(64)),
        ("dims", "5,768", (5, 768)),
        ("dims", [5, 768], (5, 768)),
        ("dims", (1, 2, 3), (1, 2, 3)),
        ("dims", 7, (7,)),
    ],
)
def test_a_size_is_a_number_a_multiple_or_a_shape(kind: str, given: object, size: object):
    assert parse_resize(kind, "a.*", given, ORIGIN).size == size


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("rows", 0), ("rows", "-1"), ("rows", "5,6"), ("rows", "pad:0"), ("rows", "pad:"), ("rows", "x"), ("rows", 1.0),
        ("rows", True), ("rows", 2**63), ("rows", "²"), ("dims", ""), ("dims", "5,"), ("dims", []), ("dims", "pad:64"),
        ("dims", [5, 0]),
    ],
)  # fmt: skip
def test_any_other_size_is_refused_with_what_to_write(kind: str, given: object):
    with pytest.raises(RuleError) as raised:
        parse_resize(kind, "a.*", given, ORIGIN)
    (problem,) = raised.value.problems
    assert problem.code == f"usage.{kind}"
    assert problem.hint.startswith("write ")


def test_a_multiple_rounds_up():
    size = parse_resize("rows", "a", "pad:64", ORIGIN)
    assert [size.shape_for((rows, 3)) for rows in (1, 64, 65)] == [(64, 3), (64, 3), (128, 3)]


def test_a_pattern_that_selects_rows_is_refused():
    with pytest.raises(RuleError, match="selects rows"):
        parse_resize("rows", "a[2:]", 5, ORIGIN)


def test_the_last_equals_sign_separates_pattern_and_size():
    assert pattern_and_size("rows", "re:a=b.*=5") == ("re:a=b.*", "5")
    for text in ("a", "=5"):
        with pytest.raises(RuleError, match="is not PATTERN=SIZE"):
            pattern_and_size("rows", text)
