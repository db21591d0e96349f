"""Arithmetic and conditions in rules: the values of Python's own, within limits, and errors that point at the fault."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from initctl.errors import Excerpt, RuleError
from initctl.rules import Undefined, parse_condition, parse_expression

if TYPE_CHECKING:
    from initctl.errors import Problem

NAMES: dict[str, Any] = {
    "fan_in": 64, "fan_out": 32, "numel": 2048, "ndim": 2, "shape": (32, 64), "dtype": "bfloat16", "layer": 3,
    "layers": 12, "x": 0.5, "config.hidden": 768, "config.a.b_1": -2, "on": True,
}  # fmt: skip


def value(text: str) -> Any:
    return parse_expression(text).value(NAMES.__getitem__)


def truth(text: str) -> Any:
    return parse_condition(text).value(NAMES.__getitem__)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("1", 1), ("1.5", 1.5), (".5", 0.5), ("2.", 2.0), ("1e3", 1000.0), ("1E-3", 0.001), ("007", 7),
        ("1+2*3", 7), ("(1+2)*3", 9), ("10-4-3", 3), ("24/4/2", 3.0), ("2*3/4", 1.5), ("7-2*3", 1),
        ("2**3**2", 512), ("-2**2", -4), ("(-2)**2", 4), ("2**-1", 0.5), ("2**-2**2", 2.0**-4), ("--3", 3),
        ("-+-3", 3), ("+3", 3), ("2*-3", -6), ("2--3", 5), ("-x", -0.5), ("2**0.5", math.sqrt(2)), ("4**x", 2.0),
        ("1/4", 0.25), ("4/2", 2.0), ("sqrt(16)", 4.0), ("log(1)", 0.0), ("exp(0)", 1.0), ("abs(-3)", 3),
        ("abs(-x)", 0.5), ("min(3,1,2)", 1), ("max(3, 1, 2)", 3), ("min(4)", 4), ("max(1, 2.5)", 2.5), ("pi", math.pi),
        ("sqrt(2/fan_in)", math.sqrt(2 / 64)), ("shape[0]", 32), ("shape[-1]", 64), ("shape[ndim-1]*2", 128),
        ("config.hidden/config.a.b_1", -384.0), (" 1 +\t2 ", 3), ("sqrt ( 16 )", 4.0), ("shape [ 0 ]", 32),
        ("((((1))))", 1), ("3**39", 3**39), ("1**10**18", 1), ("2**63", 2**63), ("2**64", 2.0**64),
        ("9223372036854775807+1", 2**63), ("-2**63", -(2**63)),
        ("0**0", 1), ("0.0*-1", -0.0), ("1-1.0", 0.0), ("max(layers-layer, 1)", 9),
        ("first(unknown, 2)", 2), ("first(3, unknown)", 3), ("first(shape[7], unknown, 4)", 4), ("first(4)", 4),
        ("first(unknown, first(unknown, 1)) + 1", 2),
        ("lerp(2, 4, 0)", 2), ("lerp(2, 4, 1)", 4), ("lerp(2, 4, x)", 3.0), ("lerp(0.3, 0.1, 1/4)", 0.25),
        ("lerp(1, 2, layer/(layers-9))", 2.0), ("-lerp(1, 3, x)**2", -4.0), ("lerp(min(1, 2), 2+3, 1-x)", 3.0),
        ("lerp(lerp(0, 8, x), 0, x)", 2.0), ("first(lerp(1, 2, unknown), 7)", 7),
    ],
)  # fmt: skip
def test_values(text: str, result: float):
    found = value(text)
    assert found == result
    assert type(found) is type(result)
    assert math.copysign(1, found) == math.copysign(1, result)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("1 < 2", True), ("2 <= 2", True), ("3 != 3", False), ("3 == 3.0", True), ("1 < 2 < 3", True),
        ("1 < 2 > 3", False), ("3 > 2 > 1 >= 1 == 1 != 0", True), ("true", True), ("false", False), ("not true", False),
        ("not not true", True), ("not 1 == 2", True), ("true or false and false", True),
        ("(true or false) and false", False), ("not true or true", True), ("not (true or true)", False),
        ("1 == 1 and 2 == 2 and 3 == 4", False), ('dtype == "bfloat16"', True), ("dtype == 'float32'", False),
        ('dtype != "float32" and ndim >= 2', True), ("shape[0] == 32 and shape[1] > 3", True),
        ("ndim > 2 and shape[2] == 1", False), ("ndim == 2 or shape[2] == 1", True), ("dtype == 1", False),
        ("(1 < 2) == true", True), ("1 + 1 == 2", True), ("-1 < 0", True), ("on", True), ("on and not false", True),
        ('"a" == "a"', True), ("'' == \"\"", True), ("\"it's\" == 'no'", False),
    ],
)  # fmt: skip
def test_conditions(text: str, result: bool):
    assert truth(text) is result


@pytest.mark.parametrize(
    ("text", "fault", "told"),
    [
        ("", "", "is empty"), ("   ", "", "is empty"), ("1 +", None, "ends too early"),
        ("sqrt(", None, "ends too early"),
        ("(1", "(", "( is not closed"), ("2*(3+(4)", "(", "( is not closed"), ("shape[0", "[", "[ is not closed"),
        ("sqrt(2", "(", "( is not closed"), ("1)", ")", "unexpected )"), ("()", ")", "unexpected )"),
        ("1 2", "2", "unexpected 2"), ("2pi", "pi", "unexpected pi"), ("1..2", ".2", "unexpected .2"),
        ("*2", "*", "unexpected *"), ("1 ** * 2", "*", "unexpected *"),
        ("1,2", ",", "unexpected ,"),
        ("1_000", "_000", "unexpected"), ("0x10", "x10", "unexpected x10"), ("1e", "e", "unexpected e"),
        ("a b", "b", "unexpected b"), ("1 < 2", "<", "unexpected <"),
        ("1 == 1", "==", "unexpected"),
        ("1 and 2", "and", "unexpected and"), ("not 1", "not", "unexpected not"),
        ('"a"', '"a"', "unexpected"), ("nan", "nan", "nan is not a finite number"),
        ("1+Infinity", "Infinity", "is not a finite number"), ("-inf", "inf", "inf is not a finite number"),
        ("1e999", "1e999", "overflows"), ("1e-999", "1e-999", "underflows to 0"), ("1$", "$", "unexpected $"),
        ("1 + 1;2", ";", "unexpected ;"), ("\uff12", "\uff12", "unexpected"),
        ("1\u00a0@ 2", "@", "unexpected @"),
        ("first()", ")", "unexpected )"),
        ("sin(1)", "sin", "unknown function sin"), ("sqrt(1,2)", "sqrt(1,2)", "sqrt takes one number"),
        ("sqrt()", ")", "unexpected )"), ("max(1,)", ")", "unexpected )"),
        ("f.g(1)", "f.g", "unknown function"),
        ("__import__('os')", "__import__", "unknown function"), ("(1)(2)", "(", "unexpected ("),
        ("x.__class__", None, None), ("a[0][1]", "[", "unexpected ["), ("pi[0]", "[", "unexpected ["),
        ("a[]", "]", "unexpected ]"), ("a if b else c", "if", "unexpected if"), ("1//2", "/", "unexpected /"),
        ("5%2", "%", "unexpected %"), ("~1", "~", "unexpected ~"), ("1 @ 2", "@", "unexpected @"),
        ("lambda: 1", ":", "unexpected :"), ("{}", "{", "unexpected {"), ("a = 1", "=", "unexpected ="),
        ('"abc', '"', "unexpected"), ("and", "and", "unexpected and"),
    ],
)  # fmt: skip
def test_what_is_no_expression_is_refused_at_its_fault(text: str, fault: str | None, told: str | None):
    if told is None:
        assert parse_expression(text).names == {text}
        return
    problem = refused(text)
    assert problem.code in ("rule.expression", "rule.number")
    assert told in problem.message
    place = problem.excerpt
    assert place is not None
    assert place.text == text
    if fault is None:
        assert (place.start, place.stop) == (len(text), len(text) + 1)
    else:
        assert text[place.start : place.stop] == fault
    shown_text, carets = place.lines()
    assert set(carets) <= {" ", "^"}
    assert carets.strip(" ") == "^" * max(1, len(carets.strip(" ")))
    assert "\n" not in shown_text


@pytest.mark.parametrize(
    ("text", "hint"),
    {
        "0.02 if ndim == 2": "write where in place of if",
        "0.02 when ndim": "write where in place of when",
        "1 if ndim == 2 else 3": "write two rules, each with its own where",
        "1 else 2": "write two rules, each with its own where",
        "a ? 1 : 2": "write two rules, each with its own where",
        "0:std=0.02": "separate parameters by commas",
        "0;std=0.02": "separate parameters by commas",
        "0 std=0.02": "separate parameters by commas",
        "0.02:where ndim >= 2": "write a blank in place of : before where",
        "0.02where ndim": "put a blank before where",
        "'0.02'": "leave out the quotes",
        '"fan_in"': "leave out the quotes",
        "2%": "write 0.5 for 50%",
        "layer % 2": "expressions have no remainder",
        **dict.fromkeys(
            ("0.02f", "2e-2x", "0x10", "1_000", "1e", "1..2"),
            "a number has digits, one point and an exponent, such as 0.02 or 1e-5",
        ),
        "2pi": "write * before pi",
        "2fan_in": "write * before fan_in",
        "1//2": "write / to divide",
        "2^3": "write ** for a power",
        "pow(2,3)": "write ** for a power, such as 2**3",
        **dict.fromkeys(
            ("mix(1, 2, 0.5)", "np.interp(1, 2, 3)", "lerp(1, 2)", "lerp(1)", "lerp(1, 2, 3, 4)"),
            "write lerp(a, b, t), which goes from a at t = 0 to b at t = 1",
        ),
        "NaN": "the initializer nan fills a tensor with NaN",
        'base["k"]': "write base.k",
        "math.sqrt(2)": "did you mean sqrt?",
        "np.log10(2)": "log is the natural logarithm",
        **dict.fromkeys(("$s", "${s}", "{s}", "2*{ s }"), "write s"),
        'config["k"]': "write config.k",
        "1 # a": "an expression has no comments: leave it out",
        "2\u00d73": "write *",
        "2\u22123": "write -",
        "ndim == 2": "only a condition compares: write it after where",
        "1 and 2": "only a condition compares: write it after where",
        "1 2": "write, for example, sqrt(2/fan_in)",
    }.items(),
)
def test_what_a_value_does_not_have_is_answered_with_what_to_write(text: str, hint: str):
    assert refused(text).hint == hint


@pytest.mark.parametrize(
    ("text", "hint"),
    {
        "ndim = 2": "write == to compare",
        "ndim === 2": "write == to compare",
        "ndim => 2": "write >=",
        "ndim =< 2": "write <=",
        "ndim <> 2": "write !=",
        "on && on": "write and",
        "on || on": "write or",
        "!on": "write not",
        'dtype is "float32"': "write == to compare",
        "ndim in (1, 2)": "compare with each by ==, and write or between",
        'config["a"] == 1': "write config.a",
        '"bias" in name': "a condition cannot test names; the pattern does: '*bias=zeros'",
        "name.endswith('bias')": "a condition cannot test names; the pattern does: '*bias=zeros'",
        "shape == [50]": "shape cannot be compared; write ndim == 1 and shape[0] == 50",
        "shape == (50, 1)": "shape cannot be compared; write, for example, "
        "ndim == 2 and shape[0] == 50 and shape[1] == 100",
        "ndim 2": "write, for example, ndim >= 2",
    }.items(),
)
def test_what_a_condition_does_not_have_is_answered_with_what_to_write(text: str, hint: str):
    assert refused(text, parse_condition).hint == hint


def refused(text: str, parse: Any = parse_expression) -> Problem:
    with pytest.raises(RuleError) as raised:
        parse(text)
    (problem,) = raised.value.problems
    return problem


@pytest.mark.parametrize(
    ("text", "fault", "told"),
    [
        ("1/0", "1/0", "division by 0"), ("2+1/(ndim-2)", "1/(ndim-2)", "division by 0"),
        ("1+log(0)", "log(0)", "log of 0 is undefined or too large"), ("sqrt(-1)", "sqrt(-1)", "is undefined"),
        ("(-8)**(1/3)", "(-8)**(1/3)", "is undefined"), ("exp(1000)", "exp(1000)", "too large"),
        ("10**309", "10**309", "too large"), ("0**-1", "0**-1", "division by 0"), ("1e308*10", "1e308*10", "too large"),
        ("1e308+1e308", "1e308+1e308", "too large"), ("x*9**9**9", "9**9**9", "too large"),
        ("dtype+1", "dtype", "bfloat16 is not a number"), ("1+shape", "shape", "is not a number"),
        ("shape[2]", "shape[2]", "index 2 is out of range: shape has length 2"),
        ("shape[x]", "x", "0.5 is not a whole number"),
        ("numel[0]", "numel", "numel is not a list"), ("true+1", "true", "true is not a number"),
        ("1+lerp(1, 2, layer)", "layer", "t is 3 here, but lerp(a, b, t) takes t from 0 to 1"),
        ("lerp(1, 2, -x)", "-x", "t is -0.5 here"), ("lerp(1, 2, 3*0.1/0.3)", "3*0.1/0.3", "t is 1.0000000000000002"),
        ("lerp(1e308, -1e308, x)", "lerp(1e308, -1e308, x)", "lerp of 1e+308, -1e+308, 0.5 is undefined or too large"),
        ("lerp(1, dtype, x)", "dtype", "bfloat16 is not a number"), ("lerp(1, 2, on)", "on", "true is not a number"),
        ("sqrt(on)", "on", "true is not a number"), ("shape[true]", "true", "is not a whole number"),
    ],
)  # fmt: skip
def test_what_has_no_value_says_why_and_where(text: str, fault: str, told: str):
    with pytest.raises(Undefined) as raised:
        value(text)
    start, stop = raised.value.excerpt.start, raised.value.excerpt.stop
    assert told in str(raised.value)
    assert text[start:stop].strip("()") == fault.strip("()")


@given(*[st.floats(-1e100, 1e100)] * 2, st.floats(0, 1))
def test_lerp_is_exact_at_both_ends_and_never_beyond_them(a: float, b: float, t: float):
    names = {"a": a, "b": b, "t": t}
    assert parse_expression("lerp(a, b, 0)").value(names.__getitem__) == a
    assert parse_expression("lerp(a, b, 1)").value(names.__getitem__) == b
    found = parse_expression("lerp(a, b, t)").value(names.__getitem__)
    assert min(a, b) <= found <= max(a, b)
    assert found == pytest.approx(torch.lerp(*torch.tensor([a, b, t], dtype=torch.float64)).item(), rel=1e-12, abs=1e88)


@pytest.mark.parametrize(
    ("text", "told"),
    {
        "1 and true": "1 is not true or false",
        "not 1": "1 is not true or false",
        "dtype or true": "bfloat16 is not true or false",
        'dtype < "float32"': "bfloat16 is not a number",
        "1 < on": "true is not a number",
        "shape > 1": "is not a number",
        "(1 < 2) + 1": "true is not a number",
        "shape[2] == 1 and false": "shape has length 2",
    }.items(),
)
def test_conditions_without_an_answer(text: str, told: str):
    with pytest.raises(Undefined, match=told):
        truth(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1" * 401, "is not a number"),
        ("1+" * 600 + "1", "is longer than 1000 characters"),
        ("1+" * 100 + "1", "has more than 200 parts"),
        ("(" * 51 + "1" + ")" * 51, "is nested deeper than 50"),
        ("-" * 51 + "1", "is nested deeper than 50"),
        ("2**" * 51 + "1", "is nested deeper than 50"),
        ("sqrt(" * 51 + "1" + ")" * 51, "is nested deeper than 50"),
        ("a[" * 51 + "1" + "]" * 51, "is nested deeper than 50"),
    ],
)
def test_limits(text: str, told: str):
    problem = refused(text)
    assert told in problem.message
    assert problem.excerpt is not None
    assert len(problem.message) < 400
    assert all(len(line) < 200 for line in problem.excerpt.lines())


def test_within_the_limits_all_is_well():
    assert value("(" * 50 + "1" + ")" * 50) == 1
    assert value("-" * 50 + "1") == 1
    assert value("1+" * 99 + "1") == 100
    assert value("2*" * 40 + "1") == 2**40
    assert parse_condition("not " * 50 + "true").value(NAMES.__getitem__) is True
    assert refused("not " * 51 + "true", parse_condition).message.endswith("is nested deeper than 50")


def test_names_are_told_with_their_first_place():
    expression = parse_expression(Excerpt("w=normal:std=1 + b.c * a - b.c[a],mean=b.c", 13, 33))
    assert expression.text == "1 + b.c * a - b.c[a]"
    assert expression.names == {"a", "b.c"}
    place = expression.place_of("b.c")
    assert (str(place), place.start) == ("b.c", 17)


def test_names_are_replaced_in_an_expression_inside_another_text():
    expression = parse_expression(Excerpt("a=normal:std=a*b", 13, 16))
    assert expression.renamed({"a": "aa", "b": "c"}) == "aa*c"


# Against Python

NUMBERS = st.one_of(
    st.integers(0, 20).map(str),
    st.integers(0, 2**70).map(str),
    st.floats(0, 1e6, allow_nan=False).map(lambda number: f"{number:.6g}"),
    st.sampled_from(
        ["0.5", "1e-3", "2e2", ".25", "3.", "fan_in", "numel", "x", "layer", "shape[0]", "shape[-1]", "pi"]
    ),
)


def operations(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    blank = st.sampled_from(["", " "])
    return st.one_of(
        st.tuples(inner, blank, st.sampled_from(["+", "-", "*", "/", "**"]), blank, inner).map("".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"-{text}"),
        st.tuples(st.sampled_from(["sqrt", "log", "exp", "abs"]), inner).map(lambda call: f"{call[0]}({call[1]})"),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda call: f"{call[0]}({call[1]}, {call[2]})"),
    )


EXPRESSIONS = st.recursive(NUMBERS, operations, max_leaves=8)


def _real_size(number: float) -> float:
    """`abs`, which takes complex numbers too, where there are none."""
    if isinstance(number, complex):
        raise TypeError("complex")
    return abs(number)


PYTHON = {
    **{name: NAMES[name] for name in ("fan_in", "numel", "x", "layer", "shape")},
    **{name: getattr(math, name) for name in ("sqrt", "log", "exp", "pi")},
    "abs": _real_size,
    "min": min,
    "max": max,
    "__builtins__": {},
}


def python_value(text: str) -> float | None:
    """What Python's own parser and arithmetic give, in floats; None where that is not a finite number."""
    assume("**" not in text.replace("**", "", 1) or len(text) < 40)
    floats = {**PYTHON, "shape": tuple(map(float, NAMES["shape"])), "fan_in": 64.0, "numel": 2048.0, "layer": 3.0}
    code = _floats(text)
    try:
        result = eval(code, floats)
    except (ArithmeticError, ValueError, TypeError):  # the last where it goes on with a complex number
        return None
    return None if isinstance(result, complex) or not math.isfinite(result) else float(result)


def _floats(text: str) -> str:
    """`text` with every whole number written as a float, so that Python computes no huge one; indices stay."""
    import re

    return re.sub(r"(?<![\w.\[])(?<!\[-)(?<!e[+-])(\d+)(?![\w.\]])", r"\1.0", text)


@settings(deadline=None, max_examples=400)
@given(EXPRESSIONS)
def test_values_are_those_of_python_or_both_refuse(text: str):
    assume(len(text) < 900)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = python_value(text)
    try:
        found = value(text)
    except Undefined:
        assert wanted is None
        return
    assert math.isfinite(found)
    if wanted is not None:
        assert found == pytest.approx(wanted, rel=1e-9, abs=1e-9 * max(_sizes(text), default=1.0))


def _sizes(text: str) -> list[float]:
    """Numbers in the text: what a difference of two large ones is exact to."""
    import re

    return [float(number) for number in re.findall(r"\d+\.?\d*(?:e[+-]?\d+)?", text)]


@settings(deadline=None, max_examples=300)
@given(EXPRESSIONS)
def test_whole_numbers_are_exact_while_they_are_small(text: str):
    assume(not any(sign in text for sign in ("/", "**", "sqrt", "log", "exp", ".", "x", "e-", "pi", "e+")))
    exact = eval(text, PYTHON)
    found = value(text)
    assert math.isfinite(found)
    if isinstance(found, int):
        assert found == exact or abs(exact) >= 2**60
        assert abs(found) <= 2**70  # as large as a number that is written


CONDITIONS = st.recursive(
    st.one_of(
        st.tuples(EXPRESSIONS, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), EXPRESSIONS).map(" ".join),
        st.tuples(*[st.sampled_from(["1", "2", "ndim", "x"])] * 3).map(" < ".join),
        st.sampled_from(["true", "false", "on", 'dtype == "bfloat16"', "dtype != 'a'"]),
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join),
        inner.map(lambda text: f"not {text}"),
        inner.map(lambda text: f"({text})"),
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=300)
@given(CONDITIONS)
def test_conditions_group_as_in_python(text: str):
    assume(len(text) < 900 and "**" not in text)
    try:
        found = truth(text)
    except Undefined:
        return
    names = {**PYTHON, **NAMES, "true": True, "false": False}
    try:
        wanted = eval(text, names)
    except (ArithmeticError, ValueError, TypeError):
        return
    assert isinstance(found, bool)
    assert found == wanted or any(len(part) > 15 for part in text.split())  # beyond 2^53 exact numbers are not compared


@pytest.mark.parametrize(
    ("text", "again"),
    {
        "a": "long",
        " a+b *( aa-a )": " long+c *( aa-long )",
        "max(a, abs(b))": "max(long, abs(c))",
        "shape[a]": "shape[long]",
        "a[a[0]]": "long[long[0]]",
        "config.x ** config.x.a": "config.y ** config.x.a",
        "fan_in / 2": "fan_in / 2",
    }.items(),
)
def test_names_are_replaced_by_others_and_nothing_else(text: str, again: str):
    assert parse_expression(text).renamed({"a": "long", "b": "c", "config.x": "config.y"}) == again


def test_texts_in_conditions_are_not_names():
    assert parse_condition("a == 'a' and not b").renamed({"a": "b", "b": "a"}) == "b == 'a' and not a"


@settings(deadline=None, max_examples=300)
@given(st.text(st.sampled_from("0123456789.eE+-*/()[],<>=! \"'andortpixqs_#\u00e9\n"), max_size=40))
def test_any_text_is_read_or_refused_in_one_line_with_a_place_inside(text: str):
    for parse in (parse_expression, parse_condition):
        try:
            expression = parse(text)
        except RuleError as error:
            (problem,) = error.problems
            assert "\n" not in str(problem)
            assert problem.excerpt is not None
            assert 0 <= problem.excerpt.start <= problem.excerpt.stop <= len(text) + 1
            continue
        try:
            found = expression.value({**NAMES, **dict.fromkeys(expression.names - set(NAMES), 2)}.__getitem__)
        except Undefined as fact:
            assert 0 <= fact.excerpt.start < fact.excerpt.stop <= len(text)
        else:
            assert isinstance(found, (str, bool, tuple)) or math.isfinite(found)


def test_the_first_that_is_known_tells_why_its_first_is_not_if_none_is():
    names = {"b": "a text"}

    def lookup(name: str) -> Any:
        if name in names:
            return names[name]
        raise KeyError(f"{name} is not there")

    with pytest.raises(Undefined, match=r"^a is not there$") as raised:
        parse_expression("2 * first(a, b, c)").value(lookup)
    assert (raised.value.excerpt.start, raised.value.excerpt.stop) == (10, 11)


def test_a_misspelled_function_is_proposed():
    assert refused("Sqrt(2)").hint == "did you mean sqrt?"
    assert refused("tanh(1)").hint == "the functions are sqrt, log, exp, abs, min, max, lerp, first"
