"""A fault in a recipe is shown with its file, its line and, if that is certain, its column."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import initctl
from initctl.recipes.positions import positions
from tests.requests import request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from initctl.errors import Problem

RULE = '[[rule]]\nmatch = "*"\ninit = "zeros"\n'


BLANKS = st.sampled_from(["", " ", "\t "])
LINES = st.sampled_from(["\n", "\r\n", ' # a [[rule]] = "\n', "\n\n  "])
KEYS = st.sampled_from(["a", "b-1", "rule", '"a"', "'b-1'", '"x.y # ="', '"\\u0061"', "'\"'", '""'])
SCALARS = st.sampled_from(
    [
        "1",
        "-1.5e-3",
        "true",
        "inf",
        "1979-05-27 07:32:00Z",
        '"a"',
        '"\\\\"',
        '"\\"]"',
        "'\\'",
        '"""a\n"b""\\\\""""',
        "'''a\n'b''''",
    ]
)


@st.composite
def values(draw, depth: int = 2) -> str:
    """A value, in any of the forms that TOML has for one."""
    kind = draw(st.sampled_from(["scalar", "array", "table"])) if depth else "scalar"
    if kind == "scalar":
        return draw(SCALARS)
    if kind == "array":
        items = [
            draw(values(depth - 1)) + draw(st.sampled_from(["", " ", "\n", "#]\n"]))
            for _ in range(draw(st.integers(0, 3)))
        ]
        last = draw(st.sampled_from(["", ",", ",#[\n"] if items else ["", "\n"]))
        return f"[{draw(LINES)}{','.join(items)}{last}]"
    pairs = [f"k{number}{draw(BLANKS)}={draw(BLANKS)}{draw(values(0))}" for number in range(draw(st.integers(0, 2)))]
    return f"{{{draw(BLANKS)}{', '.join(pairs)}{draw(BLANKS)}}}"


@st.composite
def documents(draw) -> str:
    """A valid document: pairs and headers with dotted keys, without lines that contradict those before them."""
    document = ""
    for _ in range(draw(st.integers(0, 8))):
        key = draw(st.sampled_from([".", " . ", "\t."])).join(draw(st.lists(KEYS, min_size=1, max_size=3)))
        form = draw(st.sampled_from(["{} ={}", "{}= {}", "[{}]", "[ {}\t]", "[[{}]]", "[[ {} ]]"]))
        line = draw(BLANKS) + form.format(key, draw(values())) + draw(LINES)
        try:
            tomllib.loads(document + line)
        except tomllib.TOMLDecodeError:
            continue
        document += line
    return document


def _paths(content: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield from _paths(value, (*path, key))


def _at(content: Any, path: tuple[str | int, ...]) -> object:
    for key in path:
        content = content[key]
    return content


def problem(folder: Path, text: str) -> Problem:
    path = folder / "r.toml"
    path.write_bytes(text.encode())
    with pytest.raises(initctl.RuleError) as raised:
        request(recipes=[path])
    (found,) = raised.value.problems
    return found


@pytest.mark.parametrize(
    ("text", "told", "marked"),
    [
        (f"sede = 7\n{RULE}", "1:1: unknown key sede; did you mean seed?", "sede"),
        (f"# sede\n\n  sede = 7\n{RULE}", "3:3: unknown key sede; did you mean seed?", "sede"),
        (f"[var]\nx = 1\n{RULE}", "1:2: unknown key var; did you mean vars?", "var"),
        (f'[preset]\nsumary = "sumary"\n{RULE}', "2:1: preset: unknown key sumary; did you mean summ", "sumary"),
        (f"seed = -1\n{RULE}", "1:1: seed: '-1' is not a whole number from 0 to 2^64 - 1", "seed"),
        (f"[vars]\nstd = 1\nfan_in = 2\n{RULE}", "3:1: vars.fan_in: cannot be the name of a variable", "fan_in"),
        (f'[config]\na.b = [[1]]\n"c" = 1\n{RULE}', "2:3: config.a.b: must be a number", "b"),
        (f'{RULE}where = "ndim = 2"\n', "4:15: rule 1: where: ndim = 2: unexpected =; write ==", "="),
        (f"{RULE}where = 2\n", "4:1: rule 1: where: must be a string", "where"),
        (f'{RULE}{RULE}optional = "no"\n', "7:1: rule 2: optional: must be true or false", "optional"),
        (f'{RULE}[[rule]]\nmatch = "a["\ninit = "zeros"\n', "5:11: rule 2: match: pattern a[: the bracket at", "["),
        (f'{RULE}[[rule]]\nmatch = "a{{b[2:]"\ninit = "zeros"\n', "5:11: rule 2: match: pattern a{b: the brace", "{b"),
        (f'{RULE}[[rule]]\nmatch = "a[1+:]"\ninit = "zeros"\n', "5:14: rule 2: match: 1+: ends too early", ":"),
        (f'{RULE}[[rule]]\ninit = "zeros"\n', "4:3: rule 2: match is missing", "rule"),
        (f'{RULE}[[rule]]\nmatch = "a"\n', "4:3: rule 2: init is missing", "rule"),
        ('[[rule]]\nmach = "a"\ninit = "zeros"\n', "2:1: rule 1: mach is not a key of a rule; did you mean m", "mach"),
        ('[[rule]]\npattern = "a"\ninit = "zeros"\n', "2:1: rule 1: pattern is not a key of a rule; did", "pattern"),
        ('[[rule]]\nmatch = "a"\ninitializer = "zeros"\n', "3:1: rule 1: initializer is not a key of a", "initializer"),
        (f'match = "a"\n{RULE}', "1:1: unknown key match; match is a key of a rule: write [[rule]] ab", "match"),
        (f'{RULE}[[rule]]\nmatch = "a"\ninit = "normal"\nsdt = 1\n', "7:1: rule 2 (a=normal:sdt=1): normal has", "sdt"),
        (f'{RULE}optinal = true\n', "4:1: rule 1 (*=zeros:optinal=true): zeros has no parameter optinal; i", "optinal"),
        (f'{RULE}whre = "ndim"\n', "4:1: rule 1 (*=zeros:whre=ndim): zeros has no parameter whre; in a rec", "whre"),
        (f'{RULE}[[rule]]\nmatch = "a"\ninit = "nrmal"\n', "6:9: rule 2 (a=nrmal): unknown initializer", "nrmal"),
        ('[[rule]]\nmatch = "a"\ninit = "normal:std=x"', "3:20: rule 1 (a=normal:std=x): x: unknown name x", "x"),
        ('[[rule]]\nmatch = "a"\ninit = "normal"\nstd = "1*x"', "4:10: rule 1 (a=normal:std=1*x): 1*x: unknown", "x"),
        ('[[rule]]\nmatch = "a"\ninit = "normal"\nstd = -1e0', "2:10: rule 1 (a=normal:std=-1.0): std='-1.0' is", None),
        ('[[rule]]\nmatch = "a"\ninit = "normal"\nstd = -1', "4:7: rule 1 (a=normal:std=-1): std='-1' is not", "-1"),
        ("[vars]\nv = \"1*x\"\n[[rule]]\nmatch = 'a'\ninit = 'constant'\nval = 'v'", "2:8: rule 1 (a=constant:va", "x"),
        (f'{RULE}where = "\\u006edim = 2"\n', "4:1: rule 1: where: ndim = 2: unexpected =", "="),
        ('[[rule]]\nmatch = ["b", "a["]\ninit = "zeros"\n', "2:17: rule 1: match: pattern a[: the bracket at", "["),
        ('[[rule]]\nmatch = "*"\ninit = "zeros where ndim > 1"\n', '3:1: rule 1: init: zeros where ndim', "init"),
        ("a =\n", "1:4: is not valid TOML: Invalid value; write strings in quotes", ""),
        (f"{RULE}\nx == 1\n", "5:4: is not valid TOML: Invalid value", "="),
        (f'{RULE}\nx = "abc\ny = 1\n', "5:9: is not valid TOML: Illegal character ", ""),
        ("seed = 1\nseed = 2\n", "2:9: is not valid TOML: Cannot overwrite a value", ""),
        (f"{RULE}x = [1, 2", "4:10: is not valid TOML: Unclosed array", ""),
        (f"{RULE}x = {{a = 1,\n", "4:12: is not valid TOML: ", ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_fault_is_told_with_line_and_column(tmp_path: Path, text: str, told: str, marked: str | None, ends: str):
    found = problem(tmp_path, text.replace("\n", ends))
    assert str(found).startswith(f"{tmp_path}/r.toml:{told}"), str(found)
    if marked is None:
        return
    assert found.excerpt
    shown, carets = found.excerpt.lines()
    assert shown.isprintable()
    assert shown[carets.index("^") : carets.rindex("^") + 1] == (marked or shown[carets.index("^") :][:1])


@given(documents())
@settings(deadline=None)
def test_every_key_and_every_value_is_found_however_it_is_written(document: str):
    found, content = positions(document), tomllib.loads(document)
    assert {*found.keys, *found.values} == {*_paths(content)}
    for path, (start, stop) in found.values.items():
        assert tomllib.loads(f"x = {document[start:stop]}")["x"] == _at(content, path)
    for path, (start, stop) in found.keys.items():
        assert isinstance(path[-1], int) or [*tomllib.loads(f"{document[start:stop]} = 1")] == [path[-1]]


def test_a_key_is_not_confused_with_the_same_word_elsewhere():
    text = 'x = "std"\n# std = 1\n[std]\nstd = { std = 1 }\n[[rule]]\nstd = 2\n[[rule]]\ny = 1\nstd = 3\n'
    paths = [("std",), ("std", "std"), ("std", "std", "std"), ("rule", 1, "std"), ("rule", 1, "match")]
    found = [positions(text).keys.get(path) for path in paths]
    assert [text.count("\n", 0, range_[0]) + 1 if range_ else None for range_ in found] == [3, 4, 4, 9, None]


@pytest.mark.parametrize("depth", range(100, 1500, 50))
def test_a_text_that_is_nested_too_deeply_is_refused(tmp_path: Path, depth: int):
    found = str(problem(tmp_path, f"[config]\na = {'[' * depth}{']' * depth}"))
    assert "config.a: must be a number" in found or "is not valid TOML: nested too deeply" in found


def test_a_rule_that_fits_nothing_is_told_with_its_line_too(tmp_path: Path):
    from tests.planning.tables import checkpoint_of

    (tmp_path / "r.toml").write_text(f"seed = 1\n\n{RULE}[[rule]]\nmatch = 'y'\ninit = 'zeros'\n")
    with pytest.raises(initctl.FitError, match=r"r\.toml:7:10: rule 2 \(y=zeros\): matches no tensor") as raised:
        initctl.plan(checkpoint_of(tmp_path, {"x": ("F32", [2])}), recipes=[tmp_path / "r.toml"])
    assert raised.value.problems[0].place == (str(tmp_path / "r.toml"), 7, 10)


def test_a_variable_that_no_rule_uses_is_named_with_its_line_in_the_recipe_that_gives_it(tmp_path: Path):
    from tests.planning.tables import checkpoint_of

    (tmp_path / "base.toml").write_text("[vars]\nx = 1e-5\n")
    (tmp_path / "r.toml").write_text(f'extends = "base.toml"\n{RULE}')
    plan = initctl.plan(checkpoint_of(tmp_path, {"x": ("F32", [2])}), recipes=[tmp_path / "r.toml"])
    assert [warning.place for warning in plan.warnings] == [(str(tmp_path / "base.toml"), 2, 1)]


@pytest.mark.parametrize(
    ("extends", "words"),
    [
        ('["preset:gpt2", "b.toml"]', r":1:27: recipe .*/b\.toml: no such file"),
        ('["gpt2"]', r":1:12: extends gpt2, which is not a file; write preset:gpt2 for the preset"),
        ('"preset:gpt3"', r":1:1: unknown preset gpt3; did you mean gptj or gpt2\?"),
        ('"r.toml"', r":1:1: .*/r\.toml: extends itself"),
    ],
)
def test_what_a_recipe_cannot_extend_is_named_with_the_line_that_extends_it(tmp_path: Path, extends: str, words: str):
    (tmp_path / "r.toml").write_text(f"extends = {extends}\n")
    with pytest.raises(initctl.UsageError, match=words):
        request(recipes=[tmp_path / "r.toml"])


def test_a_fault_in_an_extended_recipe_is_named_with_both_recipes(tmp_path: Path):
    (tmp_path / "base.toml").write_text("[vars]\ns = '2*y'\n")
    text = 'extends = "base.toml"\n[[rule]]\nmatch = "*"\ninit = "constant"\nval = "s"\n'
    found = problem(tmp_path, text)
    assert found.message.startswith(f"{tmp_path}/base.toml:2:8: {tmp_path}/r.toml: rule 1 (*=constant:val=s): ")


def test_a_plan_names_rules_without_their_lines(tmp_path: Path):
    from tests.planning.tables import checkpoint_of

    (tmp_path / "r.toml").write_text(RULE)
    plan = initctl.plan(checkpoint_of(tmp_path, {"x": ("F32", [2])}), recipes=[tmp_path / "r.toml"])
    assert [action.to_json()["source"] for action in plan.actions] == [f"{tmp_path}/r.toml: rule 1"]
