"""Regular expressions over names: the whole name, RE2's language, named groups as captures, never slow."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import initctl
from initctl.errors import RuleError
from initctl.rules import parse_rule, parse_selector
from initctl.rules.regex import Regex
from tests.planning.tables import decided, planned, refusal

if TYPE_CHECKING:
    from pathlib import Path


def matches(pattern: str, name: str) -> bool:
    return Regex(f"re:{pattern}").matches(name)


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        ("a", ["a"], ["aa", "ba", "ab", "A", ""]),
        (r"fc\d+\.weight", ["fc1.weight", "fc22.weight"], ["fc.weight", "xfc1.weight", "fc1.weights", "fc1xweight"]),
        ("a|ab", ["a", "ab"], ["b", "abc"]),
        ("a|b.*", ["a", "b", "bcd"], ["ab"]),
        (".*", ["", "a", "a\nb", "é", "\x00"], []),
        ("(?i)layernorm", ["LayerNorm", "layernorm"], ["layer"]),
        ("^a$", ["a"], ["a\n", "ab"]),
        (r"[^.]+\.w", ["a.w"], ["a.b.w"]),
        (r"\p{L}+", ["é", "日本"], ["1"]),
        (r".", ["é", "a"], ["ab", ""]),
        (r"a{2,3}", ["aa", "aaa"], ["a", "aaaa"]),
        (r"(?:layers|h)\.(\d+)\..*", ["layers.1.x", "h.20.y.z"], ["layers.x"]),
        ("re:a", ["re:a"], ["a"]),
        (r"\[x\]", ["[x]"], ["x"]),
    ],
)  # fmt: skip
def test_the_whole_name_must_fit(pattern: str, fitting: list[str], others: list[str]):
    assert [name for name in fitting if not matches(pattern, name)] == []
    assert [name for name in others if matches(pattern, name)] == []


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)b", "(?!a)b", "(?<=a)b", "(?<!a)b", r"(a)\1", r"(?P<x>a)(?P=x)", "(", ")", "a)", "[", "[z-a]", "*", "a**",
        "a{2,1}", "a{1001}", "(?P<x>a", r"\q", "\\", "(?>a)", "a++", "(?x)a b", r"\p{Zz9}",
        "\ud800", "((a{1,100}){1,100}){1,100}",
    ],
)  # fmt: skip
def test_what_re2_does_not_take_is_refused_in_one_line(pattern: str):
    escaped = pattern.replace("=", "\\=")
    with pytest.raises(RuleError) as raised:
        parse_selector(f"re:{pattern}")
    (problem,) = raised.value.problems
    assert problem.code == "rule.regex"
    assert "is not a regular expression of RE2: " in problem.message
    assert "\n" not in str(problem)
    assert str(problem).isprintable()
    assert problem.excerpt is not None
    assert problem.excerpt.text[problem.excerpt.start : problem.excerpt.stop] == pattern
    with pytest.raises(RuleError):
        parse_rule(f"re:{escaped}=zeros", "rule 1")


def test_an_empty_and_a_long_one_are_refused():
    for pattern, told in {"": "empty", "a" * 4097: "longer than 4096 characters"}.items():
        with pytest.raises(RuleError, match=told):
            Regex(f"re:{pattern}")
    assert matches("a" * 4096, "a" * 4096)


def test_nothing_is_written_to_stderr_by_a_refusal(capfd: pytest.CaptureFixture[str]):
    with pytest.raises(RuleError):
        Regex("re:(?=a)")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("text", "pattern", "call"),
    [
        (r"re:a\=b=zeros", r"a\=b", "zeros"),
        (r"re:a[=]b=zeros", "a[=]b", "zeros"),
        (r"re:(?P<n>\d+)=constant:val=n", r"(?P<n>\d+)", "constant:val=n"),
        (r"re:a\[0\]=zeros", r"a\[0\]", "zeros"),
        ("re: a=zeros", " a", "zeros"),
        (r"re:[^]]*=zeros", "[^]]*", "zeros"),
    ],
)
def test_an_equals_sign_is_escaped_or_in_brackets(text: str, pattern: str, call: str):
    rule = parse_rule(text, "rule 1")
    assert rule.selector.names.pattern == f"re:{pattern}"
    assert str(rule.call) == call


@pytest.mark.parametrize(
    ("text", "rows"),
    {
        "re:a[0:2]": "[0:2]", "re:a[0-9]": None, r"re:a\[0:2\]": None, "re:a[[:alpha:]]": None, "re:a[b]c[1:]": "[1:]",
        r"re:a[\:]": None, "re:[ab]+[:-1]": "[:-1]",
    }.items(),
)  # fmt: skip
def test_a_last_bracket_with_a_colon_takes_rows(text: str, rows: str | None):
    try:
        selector = parse_selector(text)
    except RuleError as error:
        assert "[[:alpha:]]" in text, error
        return
    assert (selector.rows and selector.rows.text) == rows
    assert selector.names.pattern == text.removesuffix(rows or "")


@pytest.mark.parametrize(
    ("pattern", "name", "captured"),
    [
        (r"l\.(?P<n>\d+)\.w", "l.12.w", {"n": 12}),
        (r"(?P<a>\d+)\.(?P<b>\d+)", "3.04", {"a": 3, "b": 4}),
        (r"(?P<a>x)?(?P<b>\d+)", "7", {"b": 7}),
        (r"(?P<a>[a-z]+)\d", "abc1", {}),
        (r"(?P<a>\d*)x", "x", {}),
        (r"(?P<a>.*)", "123456789012345678", {"a": 123456789012345678}),
        (r"(?P<a>.*)", "1234567890123456789", {}),
        (r"(?P<a>.*)", "\uff11\uff12", {}),
        (r"(?P<a>\d+).*", "123", {"a": 123}),
        (r"(\d+)", "5", {}),
        (r".*?(?P<a>\d+).*", "x12y3", {"a": 12}),
    ],
)
def test_a_named_group_that_matches_a_number_is_a_capture(pattern: str, name: str, captured: dict[str, int]):
    regex = Regex(f"re:{pattern}")
    assert regex.matches(name)
    assert regex.captured(name) == captured
    assert set(captured) <= set(regex.captures)


def test_a_group_that_matches_no_number_is_told_for_the_tensor(tmp_path: Path):
    table = {"layers.a.w": ("F32", [2]), "layers.3.w": ("F32", [2])}
    message = refusal(tmp_path, table, r"re:layers\.(?P<n>[^.]+)\.w=constant:val=n")
    assert "tensor layers.a.w [2]" in message
    assert planned(tmp_path, table, r"re:layers\.(?P<n>\d+)\.w=constant:val=n").actions[0].params["val"] == 3


def test_a_regular_expression_is_a_pattern_with_wildcards(tmp_path: Path):
    table = {"a.w": ("F32", [2]), "a.steps": ("I64", [2]), "b.w": ("F32", [2])}
    plan = planned(tmp_path, table, r"re:a\..*=zeros")
    assert decided(plan) == {"a.w": "rule 1", "a.steps": None, "b.w": None}
    assert [w.code for w in plan.warnings] == ["rule.left_alone"]


def test_names_that_are_no_text_match_nothing():
    assert not matches(".*", "a\ud800")
    assert not matches(".*", "\udfff")
    assert matches(".*", "\U0001f600")


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("(a*)*b", "a" * 9000), ("(a|aa)+$b", "a" * 9000), ("(.*)(.*)(.*)(.*)x", "a" * 9000),
        ("(a?){900}a{900}", "a" * 900),
        ("(x+x+)+y", "x" * 9000), ("([a-z]+)*[0-9]", "a" * 9000), ("(.*a){100}", "a" * 9000),
    ],
)  # fmt: skip
def test_no_expression_makes_matching_slow(pattern: str, name: str):
    begun = time.process_time()
    matches(pattern, name)
    assert time.process_time() - begun < 1


@settings(deadline=None, max_examples=300)
@given(
    st.recursive(
        st.sampled_from(["a", "b", r"\.", "[ab]", "[^a]", ".", "1", r"\d"]),
        lambda inner: st.one_of(
            st.lists(inner, min_size=2, max_size=3).map("".join),
            inner.map(lambda text: f"(?:{text})*"),
            inner.map(lambda text: f"({text})?"),
            st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})"),
        ),
        max_leaves=6,
    ),
    st.text("ab.1\n", max_size=8),
)
def test_it_matches_what_pythons_does(pattern: str, name: str):
    assert matches(pattern, name) == (re.compile(pattern, re.DOTALL).fullmatch(name) is not None)


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=30))
def test_any_text_is_taken_or_refused(text: str):
    try:
        Regex(f"re:{text}").matches(text)
    except initctl.RuleError as error:
        assert "\n" not in str(error)
