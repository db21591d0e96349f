"""Globs: what each piece matches, and what is no glob."""

from __future__ import annotations

import pytest

from initctl.errors import RuleError
from initctl.rules import Glob
from initctl.rules.pattern import DEEPEST_BRACES, LONGEST_PATTERN

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


@pytest.mark.parametrize("pattern", ["*", "a?", "[ab]", "{a,*}", "{a,{b,c[d]}}", "{,?}"])
def test_a_pattern_that_does_not_spell_out_its_names_has_wildcards(pattern: str):
    assert Glob(pattern).has_wildcards


@pytest.mark.parametrize("pattern", ["fc1.weight", r"a\*b", "{emb,out}.weight", r"{a,{b,\?}}", "]", "}"])
def test_a_pattern_that_spells_out_its_names_has_no_wildcards(pattern: str):
    assert not Glob(pattern).has_wildcards


def test_a_glob_remembers_its_text():
    assert Glob(r"a\*{b,c}").pattern == r"a\*{b,c}"


ERRORS = [
    ("", "'': empty", "name a tensor, or write * for all"),
    ("x[8-11]", "[8-11] is a set of single characters, not a range of numbers", "list the numbers: {8,9,10,11}"),
    ("h.[!10-12].w", "[!10-12] is a set of single characters", "list the numbers: {10,11,12}"),
    ("[0-99]", "[0-99] is a set of single characters", "list the numbers in braces: {8,9,10,11}"),
    ("[12-3]", "[12-3] is a set of single characters", "list the numbers in braces: {8,9,10,11}"),
    ("h.{2..5}.w", "{2..5} would be a range of numbers, which globs do not have", "list the numbers: {2,3,4,5}"),
    ("h.{-2..-1}.w", "{-2..-1} would be a range of numbers", "list the numbers in braces: {8,9,10,11}"),
    ("{0..999}", "{0..999} would be a range of numbers", "list the numbers in braces: {8,9,10,11}"),
    ("{a,1..2}", "{a,1..2} would be a range of numbers", "list the numbers: {1,2}"),
    ("{x}", "{x} offers no choice", r"separate alternatives by commas, or write \{ for the brace"),
    ("{}", "{} offers no choice", r"separate alternatives by commas, or write \{ for the brace"),
    ("{a,{b}}", "{b} offers no choice", r"separate alternatives by commas, or write \{ for the brace"),
    ("[z-a]", "[z-a] matches nothing", r"write \[ for the bracket itself"),
    ("[ab-a]", "[ab-a] matches nothing", r"write \[ for the bracket itself"),
    ("[]", "[] matches nothing", r"write \[ for the bracket itself"),
    ("[]a]", "[] matches nothing", r"write \[ for the bracket itself"),
    ("[^a]", "[^ does not negate a set", r"write [!, or [\^ for a set that holds ^"),
    ("[!]", "[!] matches nothing", r"write \[ for the bracket itself"),
    ("a[", "the bracket at column 2 is not closed", r"write \[ for the character itself"),
    ("[!a", "the bracket at column 1 is not closed", r"write \[ for the character itself"),
    ("[a-", "the bracket at column 1 is not closed", r"write \[ for the character itself"),
    (r"[a\]", "the bracket at column 1 is not closed", r"write \[ for the character itself"),
    ("ab{", "the brace at column 3 is not closed", r"write \{ for the character itself"),
    ("{a,b", "the brace at column 1 is not closed", r"write \{ for the character itself"),
    ("{a,{b,c}", "the brace at column 1 is not closed", r"write \{ for the character itself"),
    (r"{a,b\}", "the brace at column 1 is not closed", r"write \{ for the character itself"),
    ("a\\", "a backslash at the end quotes nothing", r"write \\ for the character itself"),
    ("[a\\", "a backslash at the end quotes nothing", r"write \\ for the character itself"),
    ("{a,\\", "a backslash at the end quotes nothing", r"write \\ for the character itself"),
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
    assert message.isprintable()
    assert "::" not in message


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
}


@pytest.mark.parametrize("pattern", PATHOLOGICAL.values(), ids=PATHOLOGICAL.keys())
@pytest.mark.parametrize("name", ["a" * 2999 + "b", "ab" * 1500])
def test_no_pattern_makes_matching_slow(pattern: str, name: str):
    Glob(pattern).matches(name)


def test_many_different_names_stay_right_after_the_memory_of_states_is_full():
    glob = Glob("*a" + "?" * 12 + "b")
    names = [f"{number:014b}".replace("1", "a").replace("0", "x") + "b" for number in range(1 << 12, 1 << 14, 3)]
    assert [glob.matches(name) for name in names] == [name[-14] == "a" for name in names]
