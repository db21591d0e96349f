"""No input of 10 kB takes longer than some seconds to accept or to refuse: most take less than one."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import initctl
from initctl.errors import RuleError
from initctl.recipes.reading import read_recipe
from initctl.rules import Undefined, highest_numbers, parse_condition, parse_expression, parse_rule, parse_selector
from tests.planning.tables import checkpoint_of
from tests.requests import request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 10_000
LONG_NAMES = ("a" * SIZE, "1." * (SIZE // 2), "a1" * (SIZE // 2), "a." * (SIZE // 2 - 1) + "b", "é" * SIZE, "\n" * SIZE)


@contextmanager
def within(seconds: float = 3) -> Iterator[None]:
    """Of processor time: what else runs on the machine counts little, and what watches the tests does not."""
    watching = sys.gettrace()
    sys.settrace(None)
    begun = time.process_time()
    try:
        yield
        assert time.process_time() - begun < seconds
    finally:
        sys.settrace(watching)


def repeated(*units: str, size: int = SIZE) -> list[str]:
    return [(unit * (size // len(unit) + 1))[:size] for unit in units]


PATTERNS = [
    *repeated("a", "*", "?", "*a", "a*", "*?", "[!b]", "{,a}", "{a,b}", "{", "[", "\\", "\\a", ",", "}", "{a,", "{,",
              "[a", "[]", "{0..9}", "{n}", "{-1}", "{1..2}*", "*{0..9}.", "{a,*}", "{*,?}", "[[]", "[!", size=4096),
    "{," * 32 + "a" + "}" * 32, "{*a," * 32 + "b" + "}" * 32, "*a" * 2000 + "b", "*a" * 2000 + "*",
    ("{,a}" * 1024)[:4096], "{,a}" * 1000 + "b", "{a,aa,aaa}" * 409, "{" + ",".join("a" * n for n in range(90)) + "}*",
    "*".join(f"{{c{n}}}" for n in range(500)) + "*", "*".join(f"{{c{n}}}" for n in range(60)) + "*",
    "*".join(["{0..5}"] * 500), "*{0..999999999999999999}" * 60 + "*", "{-9..-1}*" * 400,
    "re:" + "(a?)" * 800 + "a" * 400, "re:(a*)*b", "re:(.*a){300}", "re:" + "(" * 2000, "re:" + "()" * 2000,
    "re:" + "a{1000}" * 500, "re:((a{10}){10}){10}", "re:" + "[a-z]?" * 600, "re:" + ".*" * 2000, "re:" + "a|" * 2000,
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: f"{pattern[:20]!r}")
def test_patterns_on_long_names(pattern: str):
    numbers = highest_numbers(LONG_NAMES[1:2])
    for name in LONG_NAMES:
        with within():
            try:
                names = parse_selector(pattern).names
                if names.matches(name, numbers):
                    names.captured(name, numbers)
            except RuleError:
                break


RULES = [
    *repeated("=", "a=", "a=b:", "a=b:c=1,", "[", "[:", "a[1:]", "]", "(", ",", ":", " ", "\\", "\\=", '"', "\u00a0",
              "a=normal:std=(", "=[", "[=", "re:", "\x00", "\ud800"),
    "a=normal:std=" + "1" * 9900, "a=normal:std=" + "(" * 9900, "a=normal:std=1" + "+1" * 4900,
    "a=normal:std=" + "-" * 9900,
    "a=normal:std=" + " " * 9900 + "1", "a=normal:std=9**9**9**9**9", "a=normal:std=" + "9**" * 300 + "9",
    "a=normal:" + ",".join(f"k{n}=1" for n in range(1400)), "a=normal:" + "," * 9900, "a=normal:std=" + "[" * 9900,
    "a" * 4000 + "[" + "1+" * 490 + "1:]=zeros", "a[" + " " * 9000 + ":]=zeros", "a[1:" + "]" * 9000 + "=zeros",
    "a[" * 3300 + ":]=zeros", "a=" + "n" * 9900, "a=normal:" + "s" * 9900 + "=1", "a=normal:std=" + "x" * 9900,
    "a=kaiming_normal:mode=" + "f" * 9900, "a=normal:layout=" + "o" * 9900, "a=mean_rows:of=" + "1" * 9900,
    "a=copy:from=" + "#" * 9900, "a=normal:std=" + "sqrt(" * 1900, "a=normal:std=" + "max(1," * 30 + "1" + ")" * 30,
    "a=normal:std=" + "1.e" * 3000, "a=normal:std=1e" + "9" * 390, "a=normal:std=0." + "0" * 390 + "1",
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule[:30]!r}")
def test_rules(rule: str):
    with within():
        try:
            request(rules=[rule])
        except RuleError as error:
            assert all(len(str(problem)) < 3000 and "\n" not in str(problem) for problem in error.problems)
            assert [problem.excerpt and problem.excerpt.lines() for problem in error.problems]


EXPRESSIONS = [
    *repeated("1+", "(", "-", "9**", "not ", "1<", "a.", "a[", "max(1,", '"', "'a'==", "true and ", "1 or ", "\t"),
    "9**" * 49 + "9", "2**" * 40 + "2", "(" * 50 + "9**9**9" + ")" * 50, "10**308*" * 60 + "1",
    "9" * 400 + "**" + "9" * 400,
    "(" + "9" * 300 + ")**" + "9" * 300, "*".join(["9" * 15] * 60), "exp(" * 40 + "1" + ")" * 40,
    "abs(" * 49 + "1" + ")" * 49,
]  # fmt: skip


@pytest.mark.parametrize("text", EXPRESSIONS, ids=lambda text: f"{text[:20]!r}")
@pytest.mark.parametrize("parse", [parse_expression, parse_condition])
def test_expressions(text: str, parse: Any):
    with within():
        try:
            parse(text).value(lambda _: 2)
        except (RuleError, Undefined) as error:
            assert len(str(error)) < 2000


def chain(count: int, text: str) -> str:
    return "\n".join(f'v{n} = "{text.format(n + 1)}"' for n in range(count))


def used(variables: str, last: int) -> str:
    return f'[vars]\n{variables}\nv{last} = 1\n[[rule]]\nmatch = "a"\ninit = "constant"\nval = "v0"\n'


RECIPES = [
    *repeated("[", "a=[", "[[rule]]\n", "a.", "a={", '"', "#", "\n", "a=1\n", "[a]\n", "\\", "=", "[[", "'''"),
    used(chain(300, "v{0} + 1"), 300), used(chain(200, "v{0} + v{0}"), 200), used(chain(200, "v{0} * v{0}"), 200),
    used(chain(60, "max(v{0}, v{0}, v{0}, v{0}, v{0}, v{0}, v{0}, v{0})"), 60), used(chain(300, "v0"), 300),
    used("\n".join(f'v{n} = "{" + ".join(f"v{m}" for m in range(n + 1, 40))}"' for n in range(40)), 40),
    "[vars]\n" + "\n".join(f"v{n} = 1" for n in range(900)), 'extends = ["' + '", "'.join(["x"] * 1900) + '"]',
    "a = " + "[" * 4900 + "]" * 4900, "a = " + "{b = " * 1900, "seed = " + "9" * 9900, "x" * 9990 + " = 1",
    "[" + ".".join("a" * 4900) + "]", "a" + ".a" * 4900 + " = 1", "[config]\na" + ".a" * 4900 + " = 1",
    '[[rule]]\ninit = "zeros"\nmatch = ["' + '", "'.join(["{,a}*{n}"] * 800) + '"]',
    '[[rule]]\ninit = "zeros"\nmatch = "a"\nwhere = "' + "not " * 2400 + '"', '[[rule]]\n' + 'a = 1\n' * 1600,
    '[[rule]]\ninit = "' + "a" * 9900 + '"\nmatch = "a"',
    "\n".join('[[rule]]\nmatch="*"\ninit="ones"' for _ in range(300)),
    "\n".join(f"{'k' * 50}{n} = 1" for n in range(150)),
]  # fmt: skip


@pytest.mark.parametrize("text", RECIPES, ids=lambda text: f"{text[:24]!r}")
def test_recipes(tmp_path: Path, text: str):
    assert len(text) < 2.5 * SIZE
    path = tmp_path / "r.toml"
    path.write_text(text, encoding="utf-8")
    checkpoint = checkpoint_of(tmp_path, {"a": ("F64", [1]), "b.0.c": ("F64", [1])})
    for make in (read_recipe, lambda path: initctl.plan(checkpoint, recipes=[path]),
                 lambda path: initctl.plan(checkpoint, recipes=[path]).recipe()):  # fmt: skip
        with within():
            try:
                make(path)
            except (initctl.UsageError, initctl.FitError) as error:
                assert all("\n" not in str(problem) for problem in error.problems)


def test_many_rules_and_many_variables_take_time_for_each_but_not_for_each_pair(tmp_path: Path):
    variables = "\n".join(f"v{n} = 1" for n in range(2000))
    rules = "\n".join(f'[[rule]]\nmatch = "a"\ninit = "constant"\nval = "v{n}"' for n in range(800))
    path = tmp_path / "r.toml"
    path.write_text(f"[vars]\n{variables}\n{rules}\n")
    checkpoint = checkpoint_of(tmp_path, {"a": ("F32", [1])})
    with within(5):
        initctl.plan(checkpoint, recipes=[path], allow_unused=True)


@pytest.mark.parametrize("pattern", ["layers.{n}.w", "layers.{n}.*", "*.{n}.w*"])
def test_many_rules_for_many_names_take_time_for_each_but_not_for_each_pair(tmp_path: Path, pattern: str):
    checkpoint = checkpoint_of(tmp_path, {f"layers.{n}.w": ("F32", [1]) for n in range(5000)})
    rules = [f"{pattern.replace('{n}', str(n))}=zeros" for n in range(2500)]
    with within(5):
        initctl.plan(checkpoint, rules=rules)


PIECES = st.sampled_from(
    ["a", "1", "*", "?", "{", "}", ",", "{n}", "{0..9}", "{,a}", "[", "]", "[!a]", "[1:]", "\\", "=", ":", "(",
     ")", "+",
     "**", "-", "9", "std", "normal", "re:", ".", " ", "sqrt(", "layer", "é", "\n", "_", '"', "{a,", "[[rule]]\n", "e9"]
)  # fmt: skip
BLOCKS = st.lists(
    st.tuples(st.lists(PIECES, min_size=1, max_size=6).map("".join), st.sampled_from([1, 3, 50, 1000, 4000])),
    min_size=1,
    max_size=4,
).map(lambda blocks: "".join(text * count for text, count in blocks)[:SIZE])


@settings(deadline=None, max_examples=150)
@given(BLOCKS, BLOCKS)
def test_any_blocks_of_what_rules_are_made_of(text: str, name: str):
    with within(), suppress(RuleError):
        rule = parse_rule(text, "rule 1")
        rule.selector.names.matches(name)
    with within(), suppress(RuleError):
        names = parse_selector(text[:4096]).names
        if names.matches(name):
            names.captured(name)
    with within(), suppress(RuleError, Undefined):
        parse_condition(text[:1000]).value(lambda _: 3)
