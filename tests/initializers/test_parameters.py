"""The types of parameters: what each reads, and how it refuses."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initctl.errors import RuleError
from initctl.initializers import Number, Parameter, Refused, Whole, Word
from initctl.initializers.parameters import LAYOUT, SPLIT
from initctl.rules import Expression

ANY = Number()
STD = Number(minimum=0)
SHARE = Number(0, 1)
GROUPS = Whole(minimum=1)
MODE = Word(("fan_in", "fan_out"))
STEP = Number(above=0)


def refusal(kind, text):
    """The problem with `text`."""
    with pytest.raises(RuleError) as raised:
        Parameter("p", kind).parse(text)
    (problem,) = raised.value.problems
    return problem


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (ANY, "-1e30", -1e30),
        (STD, "0", 0),
        (STD, "0.02", 0.02),
        (SHARE, "1", 1),
        (SHARE, "0.0", 0.0),
        (GROUPS, "1", 1),
        (GROUPS, "12", 12),
        (GROUPS, "2.0", 2),
        (GROUPS, "6/2", 3),
        (STD, "sqrt(4)/100", 0.02),
        (STD, "2**-3", 0.125),
        (MODE, "fan_out", "fan_out"),
        (LAYOUT, "oi", "oi"),
        (LAYOUT, "io", "io"),
        (LAYOUT, "boi", "boi"),
        (LAYOUT, "kkio", "kkio"),
        (LAYOUT, "ooi", "ooi"),
        (STEP, "1e-300", 1e-300),
        (SPLIT, "3", "3"),
        (SPLIT, "4:1:1", "4:1:1"),
        (SPLIT, "4096:1024:1024", "4096:1024:1024"),
    ],
)
def test_a_parameter_reads_what_it_accepts(kind, text, value):
    found = Parameter("p", kind).parse(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "text", "message", "hint"),
    [
        (STD, "-1", "'-1' is not a number of 0 or more", None),
        (STD, "-1e-300", "'-1e-300' is not a number of 0 or more", None),
        (SHARE, "2", "2 is not a number from 0 to 1", None),
        (SHARE, "1.0000001", "1.0000001 is not a number from 0 to 1", None),
        (SHARE, "-0.1", "'-0.1' is not a number from 0 to 1", None),
        (GROUPS, "0", "0 is not a whole number of 1 or more", None),
        (GROUPS, "2.5", "2.5 is not a whole number of 1 or more", None),
        (GROUPS, "1/3", "1/3 is not a whole number of 1 or more", None),
        (STD, "2-3", "2-3 is not a number of 0 or more", None),
        (STD, "1/0", "1/0: division by 0", None),
        (MODE, "fan_in:gain=2", "fan_in:gain=2 is not one of fan_in, fan_out", "separate parameters by commas"),
        (MODE, "fan-in", "fan-in is not one of fan_in, fan_out", "did you mean fan_in?"),
        (MODE, "FAN_IN", "FAN_IN is not one of fan_in, fan_out", "did you mean fan_in?"),
        (MODE, "x", "x is not one of fan_in, fan_out", None),
        (STEP, "0", "0 is not a number above 0", None),
        (STEP, "-1", "'-1' is not a number above 0", None),
    ],
)
def test_a_parameter_refuses_the_rest_and_says_what_it_accepts(kind, text, message, hint):
    problem = refusal(kind, text)
    assert problem.code == "rule.value"
    assert problem.message == message
    assert problem.hint == hint


@pytest.mark.parametrize("text", ["o", "i", "kk", "oix", "OI", "o i", "oi,", ""])
def test_a_layout_has_an_o_and_an_i_and_known_letters_only(text):
    problem = refusal(LAYOUT, text)
    assert problem.code == "rule.value"
    assert "is not one letter a dim: o out, i in, k kernel, b batch" in problem.message
    assert problem.hint == "a layout has at least an o and an i, for example oi, io, boi, oikk"


@pytest.mark.parametrize(
    "text", ["0", "-1", "1.5", "a", "4:0:1", "4:", ":4", "4::1", "4 1", "4/1", "01", "٣", "1" * 19, "3:" + "1" * 5000]
)
def test_a_split_is_a_whole_number_or_several_between_colons(text):
    problem = refusal(SPLIT, text)
    assert problem.code == "rule.value"
    assert "is not a number of equal parts, or their sizes in proportion" in problem.message
    assert problem.hint == "write, for example, 3 or 4:1:1"


@pytest.mark.parametrize("kind", [ANY, STD, SHARE, GROUPS])
@pytest.mark.parametrize("text", ["nan", "inf", "1_0", "0x1", "1e999", "1e-999", "", "1,5", "one two", "1e400*0"])
def test_what_is_not_finite_or_no_expression_is_no_number(kind, text):
    assert refusal(kind, text).code in ("rule.number", "rule.expression")


@pytest.mark.parametrize("kind", [ANY, STD, SHARE, GROUPS])
def test_a_name_makes_an_expression_whose_value_is_checked_once_it_is_known(kind):
    expression = Parameter("p", kind).parse("2 / fan_in")
    assert isinstance(expression, Expression)
    assert kind.check(1) == 1
    for value in ("a", True, (1, 2), *(() if kind is ANY else (-1,))):
        with pytest.raises(Refused, match="is not a"):
            kind.check(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_range_includes_its_ends_and_nothing_beyond(number):
    if 0 <= number <= 1:
        assert Parameter("p", SHARE).parse(repr(number)) == number
    else:
        refusal(SHARE, repr(number))


def test_a_parameter_must_be_given_unless_it_has_a_default_or_is_optional():
    assert Parameter("val", ANY).required
    assert not Parameter("std", STD, 0).required
    assert not Parameter("cut", STD, optional=True).required


@pytest.mark.parametrize(
    ("kind", "accepts"),
    [
        (Number(), "a number"),
        (Number(minimum=0), "a number of 0 or more"),
        (Number(-math.pi, 1), "a number from -3.14159 to 1"),
        (Number(above=0), "a number above 0"),
        (Whole(minimum=1), "a whole number of 1 or more"),
        (Word(("a", "b")), "one of a, b"),
    ],
)
def test_a_type_says_in_words_what_it_accepts(kind, accepts):
    assert kind.accepts == accepts
