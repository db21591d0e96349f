"""Globs: what each piece matches, and what is no glob."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from initctl.errors import RuleError
from initctl.rules import Glob, highest_numbers
from initctl.rules.pattern import DEEPEST_BRACES, LONGEST_PATTERN
from tests.hostile import is_safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MATCHES = [
    ("w", "w"),
    ("fc1.weight", "fc1.weight"),
    ("*", "anything.at.all"),
    ("*", ""),
    ("**", "a.b"),
    ("a*", "a"),
    ("*.weight", "layers.0.fc.weight"),
    ("layers.*.weight", "layers.0.attn.q.weight"),
    ("a*b*c", "a.b.b.c"),
    ("?", "é"),
    ("?", "🙂"),
    ("h.?.w", "h.7.w"),
    ("[abc]", "b"),
    ("[0-9]", "5"),
    ("[a-cx-z]", "y"),
    ("[!abc]", "d"),
    ("[!0-9]", "."),
    ("[a-]", "-"),
    ("[-a]", "-"),
    ("[a!]", "!"),
    (r"[\]]", "]"),
    (r"[a\-z]", "-"),
    (r"[\!a]", "!"),
    ("[[]", "["),
    ("[*?{]", "*"),
    ("[,]", ","),
    ("{a,b}", "b"),
    ("*.{q,k,v}_proj.weight", "layers.3.k_proj.weight"),
    ("{a,b{c,d}}e", "bde"),
    ("{a,}b", "b"),
    ("{[ab],c?}", "cx"),
    ("{*.weight,*.bias}", "fc.bias"),
    (r"{a\,b,c}", "a,b"),
    (r"{a\},c}", "a}"),
    ("{[,],x}", ","),
    ("a,b", "a,b"),
    ("a}b", "a}b"),
    ("a]b", "a]b"),
    (r"\*", "*"),
    (r"\\", "\\"),
    (r"a\b", "ab"),
    (r"layers\[0\].weight", "layers[0].weight"),
    ("layers[[]0].weight", "layers[0].weight"),
    ("a b", "a b"),
]

MISSES = [
    ("w", "W"),
    ("w", "ww"),
    ("w", ""),
    ("fc1.weight", "fc1xweight"),
    ("a*", "ba"),
    ("*.weight", "weight"),
    ("ab*ba", "aba"),
    ("?", ""),
    ("?", "ab"),
    ("[abc]", "d"),
    ("[abc]", "ab"),
    ("[!abc]", "a"),
    ("[!abc]", ""),
    ("[a-]", "b"),
    ("{a,b}", "ab"),
    ("{a,b}", "{a,b}"),
    ("{a,bc}d", "bd"),
    ("{a,}b", "a"),
    (r"\*", "a"),
    ("layers[0].weight", "layers[0].weight"),
    ("é", "e\u0301"),
]


@pytest.mark.parametrize(("pattern", "name"), MATCHES)
def test_a_pattern_matches(pattern: str, name: str):
    assert Glob(pattern).matches(name)


@pytest.mark.parametrize(("pattern", "name"), MISSES)
def test_a_pattern_does_not_match(pattern: str, name: str):
    assert not Glob(pattern).matches(name)


@pytest.mark.parametrize("pattern", ["*.weight", "?.weight", "[!x].weight"])
def test_wildcards_match_a_newline_as_any_other_character(pattern: str):
    assert Glob(pattern).matches("\n.weight")


@pytest.mark.parametrize("pattern", ["*", "a?", "[ab]", "{a,*}", "{a,{b,c[d]}}", "{,?}", "{l}", "{-1}", "{0..-1}"])
def test_a_pattern_that_does_not_spell_out_its_names_has_wildcards(pattern: str):
    assert Glob(pattern).has_wildcards


@pytest.mark.parametrize("pattern", ["fc1.weight", r"a\*b", "{emb,out}.weight", r"{a,{b,\?}}", "]", "}", "h.{0..3}.w"])
def test_a_pattern_that_spells_out_its_names_has_no_wildcards(pattern: str):
    assert not Glob(pattern).has_wildcards


RANGES = [
    ("h.{2..5}.w", ["h.2.w", "h.5.w", "h.03.w"], ["h.1.w", "h.6.w", "h.25.w", "h.w", "h.-3.w"]),
    ("h.{8..11}.w", ["h.8.w", "h.9.w", "h.10.w", "h.11.w"], ["h.1.w", "h.7.w", "h.12.w", "h.111.w"]),
    ("fc{1..2}", ["fc1", "fc2"], ["fc12", "fc", "fc01x", "fc3"]),
    ("{0..2}{0..2}", [], ["12", "1", ""]),
    ("*{3..4}*", ["3", "a3", "4b", "x.4.y", "a3b9"], ["34", "43", "a", "5"]),
    ("{0..3,7,x}", ["0", "3", "7", "x"], ["4", "07", "33"]),
    ("{a,{1..2}}b", ["ab", "1b", "2b"], ["3b", "12b"]),
    ("{0..999999999999999999}", ["0", "999999999999999999"], ["1000000000000000000", "a"]),
    ("{l}", ["0", "12", "007"], ["", "a", "1a", "9" * 19]),
    ("layers.{l}.*", ["layers.3.w", "layers.10.a.b"], ["layers.x.w", "layers.3", "layers.3x.w"]),
    ("fc{l}.w", ["fc1.w", "fc12.w"], ["fc.w", "fc1a.w"]),
]
"""Patterns with numbers, names that fit, and names that do not: a number is all of its digits."""


@pytest.mark.parametrize(("pattern", "fitting", "others"), RANGES)
def test_a_number_is_matched_whole(pattern: str, fitting: list[str], others: list[str]):
    glob = Glob(pattern)
    assert [name for name in fitting if not glob.matches(name)] == []
    assert [name for name in others if glob.matches(name)] == []


TREE = [f"model.layers.{number}.w" for number in range(12)]
TREE += [f"{part}.block.{number}.w" for part, depth in (("enc", 6), ("dec", 4)) for number in range(depth)]
TREE += ["fc1.w", "fc2.w", "fc10.w", "head.w"]
COUNTED_BACK = [
    ("model.layers.{-2..-1}.w", ["model.layers.10.w", "model.layers.11.w"]),
    ("model.layers.{-1}.w", ["model.layers.11.w"]),
    ("model.layers.{10..-1}.w", ["model.layers.10.w", "model.layers.11.w"]),
    ("model.layers.{0..-11}.w", ["model.layers.0.w", "model.layers.1.w"]),
    ("model.layers.{-100..-11}.w", ["model.layers.0.w", "model.layers.1.w"]),
    ("model.layers.{-100..-13}.w", []),
    ("*.{-1}.w", ["model.layers.11.w", "enc.block.5.w", "dec.block.3.w"]),
    ("{enc,dec}.block.{-1..-1}.w", ["enc.block.5.w", "dec.block.3.w"]),
    ("{head,*.layers.{-1..-1}}.w", ["model.layers.11.w", "head.w"]),
    ("fc{-1}.w", ["fc10.w"]),
    ("fc{-9..-1}.w", ["fc2.w", "fc10.w"]),
]


@pytest.mark.parametrize(("pattern", "fitting"), COUNTED_BACK)
def test_a_negative_number_counts_back_from_the_highest_at_its_place(pattern: str, fitting: list[str]):
    highest = highest_numbers(TREE)
    assert [name for name in TREE if Glob(pattern).matches(name, highest)] == fitting


def test_the_highest_number_at_a_place_is_told_by_all_names_whatever_follows():
    highest = highest_numbers(["h.3.attn.w", "h.11.mlp.w", "h.7", "h", "12.h.1"])
    assert (highest["h."], highest[""]) == (11, 12)
    assert not Glob("h.{-1}.attn.w").matches("h.3.attn.w", highest)


CAPTURES = [
    ("*.layers.{l}.*", "m.layers.7.mlp.2.w", {"l": 7}),
    ("*.{l}.*", "m.layers.7.mlp.2.w", {"l": 7}),
    ("*.{l}.w", "m.layers.7.mlp.2.w", {"l": 2}),
    ("*.{layer}.*.{expert}.*", "h.07.experts.12.w", {"layer": 7, "expert": 12}),
    ("*{a}*{b}", "1.2.3", {"a": 1, "b": 3}),
    ("{a}.{5..6}.{b}", "4.5.6", {"a": 4, "b": 6}),
    ("fc{n}", "fc12", {"n": 12}),
    ("plain", "plain", {}),
]


@pytest.mark.parametrize(("pattern", "name", "captured"), CAPTURES)
def test_a_capture_is_the_first_number_that_it_can_be(pattern: str, name: str, captured: dict[str, int]):
    glob = Glob(pattern)
    assert glob.matches(name)
    assert glob.captured(name) == captured
    assert glob.captures == tuple(captured)


def test_a_glob_remembers_its_text():
    assert Glob(r"a\*{b,c}").pattern == r"a\*{b,c}"


ERRORS = [
    ("", "'': empty", "name a tensor, or write * for all"),
    ("{5..2}", "5..2 is an empty range", "write 2..5"),
    ("{a,-1..-3}", "-1..-3 is an empty range", "write -3..-1"),
    ("{4-5}", "{4-5} has only one alternative", "write {4..5}"),
    ("{-3:-1}", "{-3:-1} has only one alternative", "write {-3..-1}"),
    ("{fan_in}", "fan_in has a meaning in expressions", "use another name"),
    ("{5}", "{5} has only one alternative", r"separate alternatives by commas, or write \{ for the brace"),
    ("{x.y}", "{x.y} has only one alternative", r"separate alternatives by commas, or write \{ for the brace"),
    ("{1..}", "{1..} has only one alternative", "write {1..-1}"),
    ("{2-}", "{2-} has only one alternative", "write {2..-1}"),
    ("{..3}", "{..3} has only one alternative", "write {0..3}"),
    ("{}", "{} has only one alternative", r"separate alternatives by commas, or write \{ for the brace"),
    ("{a,{b}}", "{b} names a number, so it cannot be an alternative", "write it outside of other braces"),
    ("{l}.{l}", "{l} appears twice", "use another name for the second number"),
    ("[z-a]", "[z-a] matches nothing", r"write \[ for the bracket itself"),
    ("[ab-a]", "[ab-a] matches nothing", r"write \[ for the bracket itself"),
    ("[]", "[] matches nothing", r"write \[ for the bracket itself"),
    ("[]a]", "[] matches nothing", r"write \[ for the bracket itself"),
    ("[^a]", "[^ does not negate a set", r"write [!, or [\^ for a set with ^ in it"),
    ("[!]", "[!] matches nothing", r"write \[ for the bracket itself"),
    ("a[", "the bracket at column 2 is not closed", r"write \[ for the character itself"),
    ("[!a", "the bracket at column 1 is not closed", r"write \[ for the character itself"),
    ("[a-", "the bracket at column 1 is not closed", r"write \[ for the character itself"),
    (r"[a\]", "the bracket at column 1 is not closed", r"write \[ for the character itself"),
    ("ab{", "the brace at column 3 is not closed", r"write \{ for the character itself"),
    ("{a,b", "the brace at column 1 is not closed", r"write \{ for the character itself"),
    ("{a,{b,c}", "the brace at column 1 is not closed", r"write \{ for the character itself"),
    (r"{a,b\}", "the brace at column 1 is not closed", r"write \{ for the character itself"),
    ("a\\", "the backslash at the end quotes nothing", r"write \\ for the character itself"),
    ("[a\\", "the backslash at the end quotes nothing", r"write \\ for the character itself"),
    ("{a,\\", "the backslash at the end quotes nothing", r"write \\ for the character itself"),
]


@pytest.mark.parametrize(("pattern", "fault", "hint"), ERRORS)
def test_what_is_no_glob_is_refused_with_its_fault_and_a_way_out(pattern: str, fault: str, hint: str):
    with pytest.raises(RuleError) as raised:
        Glob(pattern)
    (problem,) = raised.value.problems
    assert raised.value.exit_status == 2
    assert problem.code == "rule.glob"
    assert problem.message.startswith("pattern ")
    assert fault in problem.message
    assert problem.hint == hint


@pytest.mark.parametrize("pattern", ["[\n10-11]", "{\n1..2}", "{\x1b[31m}", "[\u202ez-a]", "{::error}"])
def test_an_error_shows_a_pattern_escaped(pattern: str):
    with pytest.raises(RuleError) as raised:
        Glob(pattern)
    message = str(raised.value)
    assert is_safe(message)


def test_a_single_digit_range_is_a_set():
    assert [digit for digit in "0123456789" if Glob("[3-5]").matches(digit)] == ["3", "4", "5"]


def test_the_longest_pattern_is_a_limit():
    assert Glob("a" * LONGEST_PATTERN).matches("a" * LONGEST_PATTERN)
    with pytest.raises(RuleError, match="longer than 4096 characters"):
        Glob("a" * (LONGEST_PATTERN + 1))


def test_the_deepest_braces_are_a_limit():
    def nested(depth: int) -> str:
        return "{a," * depth + "b" + "}" * depth

    assert Glob(nested(DEEPEST_BRACES)).matches("b")
    with pytest.raises(RuleError, match="braces nested deeper than 32"):
        Glob(nested(DEEPEST_BRACES + 1))


def test_the_depth_of_braces_side_by_side_does_not_add_up():
    assert Glob("{a,b}" * (DEEPEST_BRACES + 1)).matches("ab" + "a" * (DEEPEST_BRACES - 1))


PATHOLOGICAL = {
    "many runs": "a*" * 60 + "b",
    "nothing but runs": "*" * LONGEST_PATTERN,
    "ambiguous choices": "{a,aa}" * 200,
    "as many choices as fit": "{a,aa}" * (LONGEST_PATTERN // 6),
    "empty choices": "{,a}" * (LONGEST_PATTERN // 4),
    "choices of runs": "{*a,*b}" * (LONGEST_PATTERN // 7),
    "nested choices": "{a*," * DEEPEST_BRACES + "a" + "}" * DEEPEST_BRACES + "b",
    "overlapping sets": "[a-z][!b-z]*" * (LONGEST_PATTERN // 12),
    "a counter": "*a" + "?" * 200 + "b",
    "numbers after runs": "*{0..9}*" * 60 + "b",
    "numbers in choices": "{a,{0..9}}" * 300,
    "captures": "".join(f"*{{x{number}}}" for number in range(400)),
}


@pytest.mark.parametrize("pattern", PATHOLOGICAL.values(), ids=PATHOLOGICAL.keys())
@pytest.mark.parametrize("name", ["a" * 2999 + "b", "ab" * 1500, "a1" * 1500])
def test_no_pattern_makes_matching_slow(pattern: str, name: str):
    glob = Glob(pattern)
    with counted_calls() as count:
        glob.matches(name)
    assert count() < 8 * (len(pattern) + len(name))


@contextmanager
def counted_calls() -> Iterator[Callable[[], int]]:
    """How many functions and generators of Python were called or went on meanwhile."""
    calls = Counter[str]()
    sys.setprofile(lambda _, event, __: calls.update([event]))
    try:
        yield lambda: calls["call"]
    finally:
        sys.setprofile(None)


def test_many_names_do_not_make_each_other_match():
    glob = Glob("*a" + "?" * 12 + "b")
    names = [f"{number:014b}".replace("1", "a").replace("0", "x") + "b" for number in range(1 << 12, 1 << 14, 3)]
    assert [glob.matches(name) for name in names] == [name[-14] == "a" for name in names]


WORDS = [
    ("{*a,b*}c", ["ac", "xac", "bc", "bxc"], ["c", "xc", "abx"]),
    ("*{a,ab}*{b,bc}", ["ab", "abb", "abbc", "aabc"], ["a", "b", "ba"]),
    ("ab*bc", ["abbc", "ab.bc"], ["abc", "bc"]),
    ("*ab*ba*", ["abba", "xabxbax"], ["aba", "baab"]),
    ("{,a}*{,b}", ["", "a", "b", "x"], []),
]


@pytest.mark.parametrize(("pattern", "fitting", "others"), WORDS)
def test_words_of_a_pattern_do_not_share_characters_of_a_name(pattern: str, fitting: list[str], others: list[str]):
    glob = Glob(pattern)
    assert [name for name in (*fitting, *others) if glob.matches(name)] == fitting
