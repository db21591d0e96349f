"""`--help` is complete, fits the terminal, and says everything in one way."""

from __future__ import annotations

import re

import pytest

from initctl.cli.commands import GROUPS, SUMMARIES, explanation
from initctl.cli.panels import PANELS
from initctl.topics import TOPICS
from tests.cli.processes import on_terminal

SECTION = re.compile(r"^(\w[\w ]*):$", re.MULTILINE)


@pytest.mark.parametrize("columns", [44, 60, 80, 120])
@pytest.mark.parametrize("command", [None, *SUMMARIES])
def test_help_fits_the_terminal_but_for_examples_which_stay_as_they_are_typed(call, monkeypatch, command, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    text, _, examples = call(*filter(None, [command]), "--help").out.partition("\nExamples:\n")
    assert max(map(len, text.splitlines())) <= min(columns, 100)
    if command:
        commands, _, see = examples.partition("\n\n")
        assert [line.removeprefix("  ") for line in commands.splitlines()] == list(explanation(command).examples)
        assert max(map(len, see.splitlines()), default=0) <= columns


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_a_wide_or_narrow_terminal_gets_every_word_of_help(call, monkeypatch, columns):
    usual = call("apply", "--help").out.split()
    monkeypatch.setenv("COLUMNS", str(columns))
    assert call("apply", "--help").out.split() == usual


@pytest.mark.parametrize("command", SUMMARIES)
def test_every_argument_and_option_says_what_it_is_for_and_what_it_takes(command):
    for section in explanation(command).sections:
        for term, meaning in section.rows:
            assert re.fullmatch(r"[A-Z][^<>]*\.( \[default: [^\]]+\])?|Show this message and exit\.", meaning)
            assert "<" not in term


def test_many_options_are_in_panels_in_one_order_and_a_few_are_one_list(call):
    for command in SUMMARIES:
        headings = [section.heading for section in explanation(command).sections if section.heading != "Arguments"]
        assert headings == ["Options"] or headings == [panel for panel in PANELS if panel in headings]
    assert SECTION.findall(call("plan", "--help").out) == [
        "Arguments", "Rules", "Sizes", "Checkpoint", "Output", "Reporting", "Performance", "Examples",
    ]  # fmt: skip


def test_a_default_is_shown_behind_what_an_option_is_for(call):
    text = " ".join(call("apply", "--help").out.split())
    assert "The random seed, from 0 to 2^64 - 1. [default: 0]" in text
    assert "(a GPU if it is faster). [default: cpu]" in text
    assert "Number of worker threads. [default: one for each processor]" in text


@pytest.mark.parametrize(
    ("command", "usage"),
    [("apply", "CHECKPOINT"), ("diff", "A B [PATTERN]..."), ("presets", "[NAME]"), ("version", "")],
)
def test_the_first_line_of_help_shows_what_must_be_given_and_what_may(command, usage):
    assert explanation(command).usage == f"initctl {command} [OPTIONS] {usage}".rstrip()


@pytest.mark.parametrize("arguments", [(), ("--help",), ("plan", "--help"), ("help", "plan")])
def test_headings_are_bold_on_a_terminal_unless_the_environment_asks_for_no_color(folder, arguments):
    text = on_terminal(*arguments, NO_COLOR="1").out
    bold = on_terminal(*arguments).out
    assert "\x1b" not in text
    assert re.sub(r"\x1b\[[01]m", "", bold) == text
    assert {f"{heading}:" for heading in SECTION.findall(text)} < {*re.findall(r"^\x1b\[1m(.*?)\x1b\[0m", bold, re.M)}


@pytest.mark.parametrize("command", SUMMARIES)
def test_help_ends_with_topics_that_there_are(call, command):
    last = " ".join(call(command, "--help").out.rpartition("\n\n")[2].split())
    if command not in ("help", "completion"):
        assert re.fullmatch(r"See: initctl help \w+(, initctl help \w+)*", last)
        assert {*re.findall(r"help (\w+)", last)} <= {*TOPICS}


def test_help_lists_the_commands_in_groups_and_ends_with_what_to_ask_next(call):
    text = call("--help").out
    assert SECTION.findall(text) == [*GROUPS, "Options"]
    assert " ".join(text.rpartition("\n\n")[2].split()) == (
        "`initctl COMMAND --help` shows what a command takes, and `initctl help` lists topics to read."
    )
