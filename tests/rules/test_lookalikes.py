"""Sets of characters that look like numbers, slices or lists are refused; sets that look like sets are not."""

from __future__ import annotations

import pytest

import initctl
from initctl.errors import RuleError
from initctl.rules import Glob, parse_rule

REFUSED = [
    ("[-1]", "a number", "{-1}"),
    ("[-12]", "a number", "{-12}"),
    ("[ -1 ]", "a number", "{-1}"),
    ("[8-11]", "a range of numbers", "{8..11}"),
    ("[10-11]", "a range of numbers", "{10..11}"),
    ("[0-99]", "a range of numbers", "{0..99}"),
    ("[2-]", "a range of numbers", "{2..-1}"),
    ("[-2--1]", "a range of numbers", "{-2..-1}"),
    ("[-2..-1]", "a range of numbers", "{-2..-1}"),
    ("[0..3]", "a range of numbers", "{0..3}"),
    ("[0...3]", "a range of numbers", "{0..3}"),
    ("[..3]", "a range of numbers", "{0..3}"),
    ("[2..]", "a range of numbers", "{2..-1}"),
    ("[1:3]", "a slice", "{1..2}"),
    ("[:2]", "a slice", "{0..1}"),
    ("[2:]", "a slice", "{2..-1}"),
    ("[-2:]", "a slice", "{-2..-1}"),
    ("[:-1]", "a slice", "{0..-2}"),
    ("[-3:-1]", "a slice", "{-3..-2}"),
    ("[2,3]", "a list", "{2,3}"),
    ("[1, 2]", "a list", "{1,2}"),
    ("[0-3,8-11]", "a list", "{0..3,8..11}"),
    ("[-2,-1]", "a list", "{-2..-2,-1..-1}"),
    ("[q,k,v]", "a list", "{q,k,v}"),
    ("[up,down]", "a list", "{up,down}"),
    ("[up|down]", "a list", "{up,down}"),
    ("[[:digit:]]", "a class of characters", "[0-9]"),
    ("[[:alpha:]]", "a class of characters", "[a-zA-Z]"),
]
NOTHING_TO_PROPOSE = ["[5..2]", "[2:2]", "[:0]", "[0:12:2]", "[::2]", "[a10-12]", "[[:punct:]]"]
SETS = {
    "[0-9]": "5", "[3-5]": "4", "[12]": "2", "[0123]": "3", "[abc]": "b", "[!x]": "y", "[qkv]": "k", "[_-]": "-",
    "[-_]": "_", "[a-]": "-", "[-a]": "a", "[-]": "-", "[!-]": "a", "[-0-9]": "-", "[0-9_-]": "-", "[a-f0-9]": "c",
    "[0-9-]": "-", "[,]": ",", "[:]": ":", "[.]": ".", "[..]": ".", "[a:b]": ":", "[,;]": ";", "[|]": "|", "[1a]": "1",
    r"[\-1]": "-", r"[2\-]": "-", r"[1\:3]": ":", r"[2\,3]": ",", r"[q\,k]": "q", r"[1\-3]": "-", r"[0\..]": "0",
}  # fmt: skip


@pytest.mark.parametrize(("written", "kind", "meant"), REFUSED)
def test_what_looks_like_numbers_or_words_is_refused_and_the_braces_proposed(written: str, kind: str, meant: str):
    with pytest.raises(RuleError) as raised:
        Glob(f"h.{written}.w")
    (problem,) = raised.value.problems
    assert (raised.value.exit_status, problem.code) == (2, "rule.glob")
    assert problem.message == f"pattern h.{written}.w: {written} is a set of single characters, not {kind}"
    assert problem.hint == f"write {meant}"
    assert problem.excerpt
    assert problem.excerpt.text[problem.excerpt.start : problem.excerpt.stop] == written


@pytest.mark.parametrize("meant", [meant for _, _, meant in REFUSED])
def test_what_is_proposed_is_a_pattern(meant: str):
    assert Glob(f"h.{meant}.w")


@pytest.mark.parametrize("written", NOTHING_TO_PROPOSE)
def test_what_braces_cannot_say_either_is_refused_with_an_example(written: str):
    with pytest.raises(RuleError, match=r"write the numbers or words in braces, such as \{0\.\.3\} or \{a,b\}$"):
        Glob(f"h.{written}.w")


@pytest.mark.parametrize("written", ["[!-1]", "[!10-12]", "[!2,3]", "[!-2:]"])
def test_that_braces_cannot_exclude_is_said_of_a_negated_set(written: str):
    with pytest.raises(RuleError, match=r"in braces, such as \{0\.\.-2\}: braces cannot exclude$"):
        Glob(f"h.{written}.w")


@pytest.mark.parametrize(("written", "matched"), SETS.items())
def test_what_looks_like_a_set_is_one(written: str, matched: str):
    assert Glob(f"h.{written}.w").matches(f"h.{matched}.w")


@pytest.mark.parametrize("written", ["[-1]", "[10-11]", "[2,3]"])
def test_behind_a_name_rows_may_have_been_meant(written: str):
    with pytest.raises(RuleError, match=r"; for rows of a tensor, write \[START:STOP\]$"):
        Glob(f"embed.weight{written}")
    with pytest.raises(RuleError, match=r"write \{[^}]*\}$"):
        Glob(f"layers.{written}")


@pytest.mark.parametrize("rest", [".*weight", ""])
def test_a_slice_in_a_name_fills_nothing_instead_of_one_layer(rest: str):
    with pytest.raises(initctl.RuleError) as raised:
        parse_rule(f"*.layer.[-2:]{rest}=zeros", "rule 1")
    (problem,) = raised.value.problems
    assert problem.message.endswith("[-2:] is a set of single characters, not a slice")
    assert problem.hint == "write {-2..-1}"
    assert problem.excerpt
    assert problem.excerpt.lines()[1] == " " * len("*.layer.") + "^" * len("[-2:]")
