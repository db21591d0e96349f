r"""Rules that the grammar generates, read by the package and by a reference that is as plain as can be.

    rule       = selector "=" call
    selector   = ("re:" REGEX | glob) [ "[" [expression] ":" [expression] "]" ]
    glob       = { CHARACTER | "\" ANY | "*" | "?" | "[" ["!"] set "]" | "{" glob {"," glob} "}" | numbers }
    set        = { CHARACTER | CHARACTER "-" CHARACTER | "\" ANY }
    numbers    = "{" INT ".." INT "}" | "{" NAME "}" | "{-" INT "}"
    call       = NAME [ ":" NAME "=" value { "," NAME "=" value } ]
    value      = expression | WORD
    expression = term { ("+" | "-") term }
    term       = sign { ("*" | "/") sign }
    sign       = "-" sign | power
    power      = atom [ "**" sign ]
    atom       = NUMBER | NAME | NAME "[" expression "]" | FUNCTION "(" expression {"," expression} ")"
               | "(" expression ")"

The reference turns a glob into a regular expression of Python's in which every number is a group, and looks at the
ranges of numbers afterwards; it hands expressions to `eval`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from itertools import chain, pairwise, product
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from initctl.rules import Undefined, highest_numbers, parse_expression, parse_rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ANY_NUMBER = "(?<![0-9])([0-9]+)(?![0-9])"
"""Whole runs of digits."""


@dataclass(frozen=True)
class Pattern:
    """A glob: its text, how many alternatives without choices it has, and these, each a regular expression and its
    number groups. There can be millions, so they are made when they are asked for.
    """

    text: str
    count: int
    expanded: Callable[[], Iterator[tuple[str, tuple[Any, ...]]]]


def joined(parts: Sequence[Pattern]) -> Pattern:
    def expanded() -> Iterator[tuple[str, tuple[Any, ...]]]:
        for choice in product(*(part.expanded() for part in parts)):
            yield "".join(regex for regex, _ in choice), tuple(number for _, numbers in choice for number in numbers)

    return Pattern("".join(part.text for part in parts), math.prod(part.count for part in parts), expanded)


def one(text: str, regex: str, *numbers: Any) -> Pattern:
    return Pattern(text, 1, lambda: iter([(regex, numbers)]))


PLAIN = st.sampled_from("ab.0123é_ ")
LITERAL = PLAIN.map(lambda char: one(char, re.escape(char)))
QUOTED = st.sampled_from("*?[]{},\\=a1").map(lambda char: one(f"\\{char}", re.escape(char)))
WILD = st.sampled_from([one("*", ".*"), one("?", ".")])
SPAN = st.sampled_from(["a", "0-9", "a-b", "é", "\\]", "\\-", "."])


@st.composite
def sets(draw: st.DrawFn) -> Pattern:
    spans = draw(st.lists(SPAN, min_size=1, max_size=3, unique=True))
    negated = draw(st.booleans())
    inside = "".join(spans)
    return one(f"[{'!' if negated else ''}{inside}]", f"[{'^' if negated else ''}{inside}]")


BOUND = st.integers(-3, 12)
RANGE = (
    st.tuples(BOUND, BOUND)
    .filter(lambda pair: pair[0] <= pair[1] or (pair[0] < 0) != (pair[1] < 0))
    .map(lambda pair: one(f"{{{pair[0]}..{pair[1]}}}", ANY_NUMBER, pair))
)
FROM_THE_END = st.integers(-3, -1).map(lambda bound: one(f"{{{bound}}}", ANY_NUMBER, (bound, bound)))
SIMPLE = st.one_of(LITERAL, LITERAL, QUOTED, WILD, sets(), RANGE, FROM_THE_END)


def choices(inner: st.SearchStrategy[Pattern]) -> st.SearchStrategy[Pattern]:
    sequence = st.lists(inner, max_size=2).map(joined)
    return st.lists(sequence, min_size=2, max_size=3).map(
        lambda options: Pattern(
            f"{{{','.join(option.text for option in options)}}}",
            sum(option.count for option in options),
            lambda: chain.from_iterable(option.expanded() for option in options),
        )
    )


@st.composite
def globs(draw: st.DrawFn) -> Pattern:
    parts = draw(st.lists(st.recursive(SIMPLE, choices, max_leaves=5), min_size=1, max_size=5))
    for number in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(parts)))
        parts.insert(at, one(f"{{c{number}}}", ANY_NUMBER, f"c{number}"))
    return joined(parts)


def reference_matches(pattern: Pattern, name: str, highest: dict[str, int]) -> set[tuple[tuple[str, int], ...]]:
    """All ways in which captures can be read, empty where the name does not match."""
    found = set()
    for regex, numbers in pattern.expanded():
        for match in _ways(regex, numbers, name):
            captures = []
            for group, wanted in enumerate(numbers, start=1):
                number, start = int(match[group - 1][0]), match[group - 1][1]
                if isinstance(wanted, str):
                    captures.append((wanted, number))
                    continue
                top = highest.get(name[:start], number)
                low, high = (bound if bound >= 0 else top + 1 + bound for bound in wanted)
                if not low <= number <= high:
                    break
            else:
                found.add(tuple(sorted(captures)))
    return found


def _ways(regex: str, numbers: tuple[Any, ...], name: str) -> list[list[tuple[str, int]]]:
    """Every way to match: each group pinned to each number of the name in turn."""
    runs = [(found[0], found.start()) for found in re.finditer("[0-9]+", name)]
    pieces = regex.split(ANY_NUMBER)
    ways = []
    for picked in product(runs, repeat=len(numbers)):
        if any(one[1] >= other[1] for one, other in pairwise(picked)):
            continue
        at, fits = 0, True
        for piece, (text, start) in zip(pieces, picked, strict=False):
            fits = fits and at <= start and re.fullmatch(piece, name[at:start], re.DOTALL) is not None
            at = start + len(text)
        if fits and re.fullmatch(pieces[-1], name[at:], re.DOTALL):
            ways.append(list(picked))
    return ways


NAMES = st.lists(
    st.one_of(st.text("ab.é_ *]=", max_size=3), st.integers(0, 13).map(str), st.sampled_from([".", "l.", ".w", "007"])),
    min_size=1,
    max_size=6,
).map("".join)


@settings(deadline=None, max_examples=200)
@given(globs(), st.lists(NAMES, min_size=1, max_size=4))
def test_globs_match_what_the_reference_matches(pattern: Pattern, names: list[str]):
    if pattern.text.startswith("re:") or pattern.text != pattern.text.strip() or pattern.count > 60:
        return
    rule = parse_rule(f"{pattern.text}=zeros", "rule 1")
    glob = rule.selector.names
    assert glob.pattern == pattern.text
    assert rule.selector.rows is None
    highest = highest_numbers(names)
    for name in names:
        ways = reference_matches(pattern, name, highest)
        assert glob.matches(name, highest) == bool(ways), (pattern.text, name)
        if ways:
            captured = glob.captured(name, highest)
            assert tuple(sorted(captured.items())) in ways


# Expressions and whole rules


@dataclass(frozen=True)
class Given:
    """What names stand for."""

    names: dict[str, Any] = field(
        default_factory=lambda: {
            "fan_in": 7, "numel": 30, "ndim": 2, "shape": (5, 6), "layer": 3, "layers": 4, "sqrt": math.sqrt,
            "log": math.log, "exp": math.exp, "abs": math.fabs,
            "min": min, "max": max, "pi": math.pi, "__builtins__": {},
        }
    )  # fmt: skip


GIVEN = Given().names
BLANK = st.sampled_from(["", "", " "])
NUMBER = st.sampled_from(["0", "1", "2", "10", "0.5", "1e-2", "3.", ".25"])
NAME = st.sampled_from(["fan_in", "numel", "ndim", "layer", "layers", "pi", "shape[0]", "shape[-1]", "shape[ndim - 1]"])


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> str:
    """`expression` of the grammar, rule by rule."""

    def chained(operand: Any, signs: list[str], most: int) -> str:
        text = operand()
        for _ in range(draw(st.integers(0, most))):
            text += draw(BLANK) + draw(st.sampled_from(signs)) + draw(BLANK) + operand()
        return text

    def expression() -> str:
        return chained(lambda: chained(sign, ["*", "/"], 1), ["+", "-"], 2)

    def sign() -> str:
        return "-" * draw(st.sampled_from([0, 0, 0, 1, 2])) + power()

    def power() -> str:
        return atom() + (f"{draw(BLANK)}**{draw(BLANK)}{draw(st.sampled_from(['2', '-1', '0.5', '3']))}"
                         if draw(st.integers(0, 4)) == 0 else "")  # fmt: skip

    def atom() -> str:
        nonlocal depth
        kind = draw(st.integers(0, 5))
        if kind <= 3 or depth == 0:
            return draw(NUMBER if kind % 2 else NAME)
        depth -= 1
        inner = expression()
        if kind == 4:
            return f"({inner})"
        function = draw(st.sampled_from(["sqrt", "log", "exp", "abs", "min", "max"]))
        more = f",{draw(BLANK)}{expression()}" if function in ("min", "max") else ""
        return f"{function}({inner}{more})"

    return expression()


def evaluated(text: str) -> float | None:
    try:
        result = eval(text.strip(), dict(GIVEN))
    except (ArithmeticError, ValueError, TypeError):  # the last where it goes on with a complex number
        return None
    return None if isinstance(result, complex) or not math.isfinite(result) else result


def value(text: str) -> Any:
    try:
        return parse_expression(text).value(GIVEN.__getitem__)
    except Undefined:
        return None


@settings(deadline=None, max_examples=150)
@given(expressions())
def test_expressions_come_to_what_eval_says(text: str):
    wanted, found = evaluated(text), value(text)
    if wanted is None or found is None:
        assert wanted is found, text
        return
    assert found == wanted or math.isclose(found, wanted, rel_tol=1e-12), text
    assert type(found) is type(wanted) or abs(wanted) >= 2**63 or "abs" in text


KEYS = st.lists(st.sampled_from(["std", "a", "mean", "gain_2", "x.y", "k-1"]), unique=True, max_size=3)
REGEX = st.lists(
    st.sampled_from([r"\.", "[a-z]+", "(?P<n>[0-9]+)", ".*", "w", r"\=", "[=]", "(a|b)"]), min_size=1, max_size=4
).map("".join)


@settings(deadline=None, max_examples=120)
@given(
    names=st.one_of(globs().map(lambda pattern: pattern.text.strip() or "a"), REGEX.map(lambda text: f"re:{text}")),
    rows=st.none() | st.tuples(st.none() | expressions(), BLANK, st.none() | expressions()),
    keys=KEYS,
    values=st.lists(expressions() | st.sampled_from(["fan_in", "true", "a:b"]), min_size=3, max_size=3),
    blanks=st.lists(BLANK, min_size=4, max_size=4),
)
def test_a_rule_is_split_where_the_grammar_says(
    names: str, rows: tuple[str | None, str, str | None] | None, keys: list[str], values: list[str], blanks: list[str]
):
    if names.startswith("re:") and names.count("(?P<n>") > 1:
        return
    if rows is None and names.endswith("]") and ":" in names:
        return
    if rows is not None and names.endswith(".") and not names.startswith("re:"):  # a bracket between dots is no slice
        return
    slice_text = "" if rows is None else f"[{rows[0] or ''}{rows[1]}:{rows[2] or ''}]"
    arguments = ",".join(
        f"{blanks[0]}{key}{blanks[1]}={blanks[2]}{text}{blanks[3]}" for key, text in zip(keys, values, strict=False)
    )
    text = f"{blanks[0]}{names}{slice_text}{blanks[1]}={blanks[2]}init{':' if keys else ''}{arguments}"
    if names.startswith(" ") or names.endswith(("\\", " ")):
        return
    rule = parse_rule(text, "rule 1")
    assert rule.selector.names.pattern == names
    assert rule.call.name == "init"
    assert rule.call.arguments == tuple((key, value.strip()) for key, value in zip(keys, values, strict=False))
    for (key, given_value), (of_key, of_value) in zip(
        rule.call.arguments, map(rule.call.places.__getitem__, keys), strict=True
    ):
        assert text[of_key.start : of_key.stop] == key
        assert text[of_value.start : of_value.stop] == given_value
    assert (rule.selector.rows is None) == (rows is None)
    if rows and rule.selector.rows:
        bounds = (rule.selector.rows.start, rule.selector.rows.stop)
        for bound, written in zip(bounds, (rows[0], rows[2]), strict=True):
            assert (bound is None) == (written is None)
            if bound and written:
                assert bound.text.strip() == written.strip()
                whole = bound.source
                assert whole.text == text
                assert text[whole.start : whole.stop].strip() == written.strip()
