"""A fault in a recipe is shown with its file, its line and, if that is certain, its column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import initctl
from initctl.recipes.positions import key_position, rule_lines
from tests.requests import request

if TYPE_CHECKING:
    from pathlib import Path

    from initctl.errors import Problem

RULE = '[[rule]]\nmatch = "*"\ninit = "zeros"\n'


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
        (f"sede = 7\n{RULE}", "1:1: no key sede is known; did you mean seed?", "sede"),
        (f"# sede\n\n  sede = 7\n{RULE}", "3:3: no key sede is known; did you mean seed?", "sede"),
        (f"[var]\nx = 1\n{RULE}", "1:2: no key var is known; did you mean vars?", "var"),
        (f'[preset]\nsumary = "sumary"\n{RULE}', "2:1: preset: no key sumary is known; did you mean summ", "sumary"),
        (f"seed = -1\n{RULE}", "1:1: seed: '-1' is not a whole number from 0 to 2^64 - 1", "seed"),
        (f"[vars]\nstd = 1\nfan_in = 2\n{RULE}", "3:1: vars.fan_in: cannot be the name of a variable", "fan_in"),
        (f'[config]\na.b = [[1]]\n"c" = 1\n{RULE}', "2:3: config.a.b: must be a number", "b"),
        (f'{RULE}where = "ndim = 2"\n', "4:1: rule 1: where: ndim = 2: = means nothing here; write ==", "="),
        (f"{RULE}where = 2\n", "4:1: rule 1: where: must be a text", "where"),
        (f'{RULE}{RULE}optional = "no"\n', "7:1: rule 2: optional: must be true or false", "optional"),
        (f'{RULE}[[rule]]\nmatch = "a["\ninit = "zeros"\n', "5:1: rule 2: match: pattern a[: the bracket at", "["),
        (f'{RULE}[[rule]]\nmatch = "a{{b[2:]"\ninit = "zeros"\n', "5:1: rule 2: match: pattern a{b: the brace", "{b"),
        (f'{RULE}[[rule]]\nmatch = "a[1+:]"\ninit = "zeros"\n', "5:1: rule 2: match: 1+: breaks off", ":"),
        (f'{RULE}[[rule]]\ninit = "zeros"\n', "4: rule 2: match is missing", None),
        (f'{RULE}[[rule]]\nmatch = "a"\n', "4: rule 2: init is missing", None),
        (f'{RULE}[[rule]]\nmatch = "a"\ninit = "normal"\nsdt = 1\n', "4: rule 2 (a=normal:sdt=1): normal has no", None),
        (f'{RULE}[[rule]]\nmatch = "a"\ninit = "nrmal"\n', "4: rule 2 (a=nrmal): no initializer is called", None),
        ('[[rule]]\nmatch = "*"\ninit = "zeros where ndim > 1"\n', '3:1: rule 1: init: zeros where ndim', "init"),
        ("a =\n", "1:4: is not TOML: Invalid value", ""),
        (f"{RULE}\nx == 1\n", "5:4: is not TOML: Invalid value", "="),
        (f'{RULE}\nx = "abc\ny = 1\n', "5:9: is not TOML: Illegal character ", ""),
        ("seed = 1\nseed = 2\n", "2:9: is not TOML: Cannot overwrite a value", ""),
        (f"{RULE}x = [1, 2", "4:10: is not TOML: Unclosed array", ""),
        (f"{RULE}x = {{a = 1,\n", "4:12: is not TOML: ", ""),
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


@pytest.mark.parametrize(
    "text",
    [
        f'"se\\u0064e" = 7\n{RULE}',
        f"{RULE}" + "#" * 200_000 + "\nx = 1",
    ],
)
def test_without_a_certain_place_the_file_alone_is_told(tmp_path: Path, text: str):
    text = text if text.startswith('"') else f"sede = 1\n{RULE}" + "#" * 200_000
    assert str(problem(tmp_path, text)).startswith(f"{tmp_path}/r.toml: no key sede is known")


def test_a_key_is_not_confused_with_the_same_word_elsewhere():
    text = 'x = "std"\n# std = 1\n[std]\nstd = { std = 1 }\n[[rule]]\nstd = 2\n[[rule]]\ny = 1\nstd = 3\n'
    paths = [("std",), ("std", "std"), ("std", "std", "std"), ("rule", 1, "std"), ("rule", 1, "match")]
    found = [key_position(text, path) for path in paths]
    assert [position and position[0] for position in found] == ["3:2", "4:1", "4:9", "9:1", None]


def test_the_lines_of_rules_are_told_if_no_text_can_hold_a_rule():
    assert rule_lines('[[rule]]\n\n  [[ "rule" ]] # x\na = "[[rule]]"\n[[rules]]\n') == (1, 3)
    assert rule_lines('a = """\n[[rule]]\n"""\n[[rule]]\n') == ()


def test_a_rule_that_fits_nothing_is_told_with_its_line_too(tmp_path: Path):
    from tests.planning.tables import checkpoint_of

    (tmp_path / "r.toml").write_text(f"seed = 1\n\n{RULE}[[rule]]\nmatch = 'y'\ninit = 'zeros'\n")
    with pytest.raises(initctl.FitError, match=r"r\.toml:6: rule 2 \(y=zeros\): matches no tensor"):
        initctl.plan(checkpoint_of(tmp_path, {"x": ("F32", [2])}), recipes=[tmp_path / "r.toml"])


def test_a_plan_names_rules_without_their_lines(tmp_path: Path):
    from tests.planning.tables import checkpoint_of

    (tmp_path / "r.toml").write_text(RULE)
    plan = initctl.plan(checkpoint_of(tmp_path, {"x": ("F32", [2])}), recipes=[tmp_path / "r.toml"])
    assert [action.to_json()["source"] for action in plan.actions] == [f"{tmp_path}/r.toml: rule 1"]
