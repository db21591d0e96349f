"""Colour is for terminals, and only where nobody asks for none."""

from __future__ import annotations

from io import StringIO

import pytest

from initctl.display.console import document_as_text, rendered
from initctl.display.tables import Listing

BOLD = [Listing(("bold",), [])]


def test_a_terminal_is_written_to_in_colour(terminal):
    assert "\x1b[1m" in rendered(BOLD, terminal)


def test_an_empty_no_color_asks_for_nothing(terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "")
    assert "\x1b[1m" in rendered(BOLD, terminal)


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_the_environment_can_ask_for_no_colour(terminal, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert rendered(BOLD, terminal) == "bold"


def test_a_pipe_is_written_to_in_color_only_if_that_is_asked_for(monkeypatch):
    assert rendered(BOLD, StringIO()) == "bold"
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert rendered(BOLD, StringIO()) == "\x1b[1mbold\x1b[0m"


@pytest.mark.parametrize("variables", [{}, {"FORCE_COLOR": "1"}])
def test_a_pipe_is_wide_whatever_the_environment_says_of_columns(monkeypatch, variables):
    monkeypatch.setenv("COLUMNS", "20")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert rendered(["word " * 100 + "end"], StringIO()) == "word " * 100 + "end"


def test_rendering_writes_nothing_to_its_target():
    target = StringIO()
    rendered(BOLD, target)
    assert target.getvalue() == ""


@pytest.mark.parametrize("block", ["```console\n{}\n```", "```\n{}\n```", "    {}"])
def test_a_line_of_code_in_a_document_is_not_broken_in_two(terminal, monkeypatch, block):
    monkeypatch.setenv("COLUMNS", "40")
    line = f"$ initctl apply net.safetensors -r '{'long.' * 20}weight=zeros'"
    drawn = document_as_text(f"{'Some words. ' * 9}\n\n{block.format(line)}\n", terminal)
    assert f"  {line}" in drawn.splitlines()
    assert max(map(len, drawn.split(line)[0].splitlines())) <= 40
