"""Options that commands share are declared once and spread over the commands that take them."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field

import pytest
import typer

from initctl.cli.options import RuleOptions, grouped
from initctl.request import Asked

OPTION = re.compile(r"^  (?:-\w, |    )(--[a-z-]+)", re.MULTILINE)

FACE = {"--json", "--quiet", "--verbose", "--no-color", "--threads", "--help"}
PARTS = {"--part", "--parts", "--commit", "--status"}
OUTPUT = {"--output", "--in-place", "--patch", "--resume", "--no-clobber", "--force", "--max-shard-size", "--stale"}
RESET = {"--reset-optimizer", "--buffers"}
WHERE = {"--root", "--component"}
RULES = {
    "--rule", "--recipe", "--preset", *WHERE, "--seed", "--allow-unused", "--require-all", "--allow-partial",
    "--device", "--rng", "--base-config", "--rows", "--dims", "--set-config",
}  # fmt: skip


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("apply", {*OUTPUT, *PARTS, "--plan", "--diff", "--report", "--html", "--all", *RESET, *RULES, *FACE}),
        (
            "new",
            {"--like", "--config", "--table", "--set", "--dtype", "--root", "--output", "--max-shard-size", "--dry-run"}
            | {"--no-clobber", "--force", "--all", "--rule", "--recipe", "--preset", "--seed", "--allow-unused"}
            | {"--device", "--rng", "--base-config", *FACE},
        ),
        ("plan", {"--save", "--force", "--emit-recipe", "--diff", "--html", "--all", *RESET, *RULES, *FACE}),
        ("verify", {"--plan", "--against", "--sample", "--report", "--all", *RESET, *RULES, *FACE}),
        ("inspect", {"--all", *WHERE, *FACE}),
        ("stats", {"--all", "--html", "--digest", "--by-layer", *WHERE, *FACE}),
        (
            "doctor",
            {"--trained", "--fresh", "--select", "--ignore", "--severity", "--format", "--preset"}
            | {"--all", "--html", *WHERE, *FACE},
        ),
        ("suggest", {"--activation", *WHERE, *FACE}),
        ("diff", {"--all", "--html", "--other-root", *WHERE, *FACE}),
        ("initializers", FACE),
        ("presets", FACE),
        ("recipe-check", {"--base-config", "--format", *FACE}),
        ("recipe-schema", {"--help"}),
        ("completion", {"--line", "--word", "--help"}),
        ("version", FACE),
        ("help", {"--help"}),
        ("demo", FACE),
    ],
)
def test_each_option_stands_once_in_the_help_of_a_command_that_takes_it(call, command, options):
    listed = OPTION.findall(call(command, "--help").out)
    assert sorted(listed) == sorted(options)


@dataclass(frozen=True, kw_only=True)
class Colours:
    """A group with an option of each sort of default, and a field that is none."""

    names: list[str] = typer.Option([], "--name")
    bright: bool = typer.Option(False, "--bright")
    mixed: list[str] = field(default_factory=list, init=False)


def paint(wall: str, *, colours: Colours, coats: int = typer.Option(1, "--coats")) -> None:
    """Paint a wall.

    It dries.
    """
    painted.append((wall, colours, coats))


painted: list[tuple[str, Colours, int]] = []


@pytest.fixture
def app():
    painted.clear()
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(grouped(paint))
    return lambda *arguments: app(list(arguments), standalone_mode=False)


def test_a_command_gets_its_group_put_together_from_its_options(app):
    app("north", "--name", "red", "--bright", "--name", "blue", "--coats", "3")
    assert painted == [("north", Colours(names=["red", "blue"], bright=True), 3)]


def test_options_not_given_have_the_groups_defaults_each_call_anew(app):
    app("north", "--name", "red")
    app("south")
    assert painted == [
        ("north", Colours(names=["red"], bright=False), 1),
        ("south", Colours(names=[], bright=False), 1),
    ]


def test_the_groups_options_stand_where_the_group_stood():
    assert list(inspect.signature(grouped(paint)).parameters) == ["wall", "names", "bright", "coats"]
    assert grouped(paint).__doc__ == paint.__doc__
    assert grouped(paint).__name__ == "paint"


def test_what_commands_ask_is_what_the_library_calls_take():
    assert set(RuleOptions.__dataclass_fields__) == set(Asked.__annotations__)
