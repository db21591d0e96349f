"""Numbers as rules write them: finite ASCII decimals and nothing else."""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from initctl.errors import RuleError
from initctl.rules import Undefined, parse_expression
from initctl.rules.expressions.parser import LONGEST_NUMBER

NUMBERS = [
    ("0", 0),
    ("-0", 0),
    ("7", 7),
    ("+7", 7),
    ("-12", -12),
    ("007", 7),
    ("9007199254740993", 9007199254740993),
    ("0.02", 0.02),
    ("-0.02", -0.02),
    (".5", 0.5),
    ("5.", 5.0),
    ("1e-5", 1e-5),
    ("1E+5", 1e5),
    ("+.5e1", 5.0),
    ("1.7976931348623157e308", 1.7976931348623157e308),
    ("5e-324", 5e-324),
    ("0e999", 0.0),
    ("0.000e-999", 0.0),
]


def number_in(text: str) -> int | float:
    value = parse_expression(text).value({}.__getitem__)
    assert isinstance(value, int | float)
    return value


@pytest.mark.parametrize(("text", "value"), NUMBERS)
def test_a_decimal_is_its_value(text: str, value: float):
    parsed = number_in(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize("text", ["-0.0", "-0e5"])
def test_a_negative_zero_with_a_point_or_exponent_keeps_its_sign(text: str):
    assert math.copysign(1, number_in(text)) == -1


NOT_NUMBERS = [
    "",
    " ",
    "nan",
    "NaN",
    "-nan",
    "inf",
    "-inf",
    "infinity",
    "1_000",
    "\uff11",
    "\u0661",
    "²",
    "½",
    "0x10",
    "0b1",
    "1,5",
    "1e",
    "1e1.5",
    ".",
    "-.",
    "1.2.3",
    "1d5",
    "1j",
    "1\x00",
]


@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_what_float_might_take_for_a_number_is_none(text: str):
    with pytest.raises(RuleError) as raised:
        number_in(text)
    (problem,) = raised.value.problems
    assert problem.code in ("rule.expression", "rule.number")
    assert problem.hint or "is not a finite number" in problem.message
    assert problem.message.isprintable()


def test_a_number_is_written_in_some_hundred_characters():
    with pytest.raises(RuleError, match="is not a number; write a decimal such as"):
        number_in("1" * (LONGEST_NUMBER + 1))


@pytest.mark.parametrize("text", ["1e999", "-1e999", "1.8e308", "1" * 310])
def test_an_overflow_is_refused(text: str):
    with pytest.raises(RuleError, match=r"overflows: the largest number is about 1\.8e308") as raised:
        number_in(text)
    assert raised.value.problems[0].code == "rule.number"


@pytest.mark.parametrize("text", ["1e-400", "-1e-400", "0.1e-400", "0." + "0" * 390 + "1"])
def test_an_underflow_to_zero_is_refused(text: str):
    with pytest.raises(RuleError, match="underflows to 0") as raised:
        number_in(text)
    assert raised.value.problems[0].hint == "write 0 if you mean 0"


@given(st.integers(-(2**64) + 1, 10**300))
def test_whole_numbers_are_read_exactly(number: int):
    assert number_in(str(number)) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_are_read_back_bit_for_bit(number: float):
    parsed = number_in(repr(number))
    assert isinstance(parsed, float)
    assert parsed.hex() == number.hex()


def finite_decimal(text: str) -> Decimal | None:
    """What `text` writes by the standard library's decimal arithmetic, limited to the characters of our grammar."""
    if not text or not set(text) <= set("0123456789+-.eE"):
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    fits = math.isfinite(float(value)) and (float(value) != 0 or value == 0)
    return value if fits else None


@settings(deadline=None, max_examples=500)
@given(st.text("0123456789.eE", max_size=12))
@example("1e308")
@example("1e309")
@example("1e-324")
@example("1e-323")
def test_exactly_the_finite_decimals_are_numbers(text: str):
    expected = finite_decimal(text)
    if expected is None:
        with pytest.raises((RuleError, Undefined)):
            number_in(text)
    else:
        assert number_in(text) == (int(text) if text.isdigit() else float(expected))
