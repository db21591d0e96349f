"""Globs against an independent reference: Python's own regular expressions, and `fnmatch` where both agree."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from random import Random
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from initctl.rules import Glob

if TYPE_CHECKING:
    from collections.abc import Callable

ALPHABET = "ab.*?[]{}!-,\\^01é🙂 \n"
MUST_BE_QUOTED = "*?[]{}!-,\\^01"
"""More than the grammar asks for: digits too, so that no generated set or choice reads as a range of numbers."""


@dataclass(frozen=True)
class Written:
    """A piece of a pattern: its text, the regular expression that means the same, a name that it matches."""

    glob: str
    regex: str
    name: Callable[[Random], str]
    wild: bool


def joined(pieces: list[Written]) -> Written:
    return Written(
        "".join(piece.glob for piece in pieces),
        "".join(piece.regex for piece in pieces),
        lambda random: "".join(piece.name(random) for piece in pieces),
        any(piece.wild for piece in pieces),
    )


def either(alternatives: list[Written]) -> Written:
    return Written(
        "{" + ",".join(piece.glob for piece in alternatives) + "}",
        "(?:" + "|".join(piece.regex for piece in alternatives) + ")",
        lambda random: random.choice(alternatives).name(random),
        any(piece.wild for piece in alternatives),
    )


def literal(char: str, needlessly: bool) -> Written:
    return Written("\\" + char if needlessly else quoted(char), re.escape(char), lambda _: char, wild=False)


def quoted(char: str) -> str:
    return "\\" + char if char in MUST_BE_QUOTED else char


def char_set(ranges: list[tuple[str, str]], negated: bool) -> Written:
    ranges = [(min(pair), max(pair)) for pair in ranges]
    glob = "".join(quoted(low) + (f"-{quoted(high)}" if high != low else "") for low, high in ranges)
    regex = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in ranges)
    inside = ALPHABET if negated else "".join(low + high for low, high in ranges)
    return Written(
        "[" + "!" * negated + glob + "]", "[" + "^" * negated + regex + "]", lambda r: r.choice(inside), wild=True
    )


ANY_CHAR = Written("?", ".", lambda random: random.choice(ALPHABET), wild=True)
ANY_RUN = Written("*", ".*", lambda random: "".join(random.choices(ALPHABET, k=random.randrange(4))), wild=True)

chars = st.sampled_from(ALPHABET)
literals = st.builds(literal, chars, st.booleans())
char_sets = st.builds(char_set, st.lists(st.tuples(chars, chars), min_size=1, max_size=3), st.booleans())
leaves = st.one_of(literals, st.sampled_from([ANY_CHAR, ANY_RUN]), char_sets)


def sequences(pieces: st.SearchStrategy[Written], min_size: int = 0) -> st.SearchStrategy[Written]:
    return st.lists(pieces, min_size=min_size, max_size=4).map(joined)


def choices(pieces: st.SearchStrategy[Written]) -> st.SearchStrategy[Written]:
    return st.lists(sequences(pieces), min_size=2, max_size=3).map(either)


patterns = sequences(leaves | choices(leaves | choices(leaves)), min_size=1)
seeds = st.integers(0, 2**32).map(Random)


def means_the_same(pattern: Written, name: str) -> None:
    expected = re.fullmatch(pattern.regex, name, re.DOTALL) is not None
    assert Glob(pattern.glob).matches(name) == expected, (pattern.glob, name)


@settings(deadline=None, max_examples=300)
@given(patterns, seeds)
def test_a_name_made_from_the_pattern_matches_as_the_regular_expression_does(pattern: Written, random: Random):
    means_the_same(pattern, pattern.name(random))


@settings(deadline=None, max_examples=300)
@given(patterns, seeds, st.text(ALPHABET, max_size=2))
def test_an_edited_name_matches_as_the_regular_expression_does(pattern: Written, random: Random, inserted: str):
    name = pattern.name(random)
    at = random.randrange(len(name) + 1)
    means_the_same(pattern, name[:at] + inserted + name[at + 1 :])


@settings(deadline=None, max_examples=200)
@given(patterns, st.text(ALPHABET, max_size=6))
def test_any_name_matches_as_the_regular_expression_does(pattern: Written, name: str):
    means_the_same(pattern, name)


@settings(deadline=None, max_examples=200)
@given(patterns)
def test_a_pattern_has_wildcards_exactly_where_it_holds_one(pattern: Written):
    assert Glob(pattern.glob).has_wildcards == pattern.wild


@settings(deadline=None, max_examples=200)
@given(st.text("ab.*?", min_size=1, max_size=8), st.text("ab.", max_size=8))
def test_stars_and_question_marks_mean_what_fnmatch_means(pattern: str, name: str):
    assert Glob(pattern).matches(name) == fnmatchcase(name, pattern)


@settings(deadline=None, max_examples=200)
@given(st.text(min_size=1, max_size=20))
def test_a_name_with_every_character_quoted_matches_itself_and_no_other(name: str):
    glob = Glob("".join("\\" + char for char in name))
    assert glob.matches(name)
    assert not glob.matches(name + "x")
    assert not glob.matches(name[1:])
    assert not glob.has_wildcards
