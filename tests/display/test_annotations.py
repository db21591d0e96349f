"""Annotations as the runner of GitHub Actions reads them."""

from __future__ import annotations

import os
import re

import pytest

from initctl.display.annotations import annotation, of_problems
from initctl.errors import Place, Problem
from tests.hostile import TEXTS, is_safe

COMMAND = re.compile(r"::(error|warning|notice) ([^:]*)::([^\n]*)")


def read(line):
    """Kind, properties and message of a command, as actions/runner (ActionCommand.cs) reads them."""
    kind, properties, message = COMMAND.fullmatch(line).groups()
    pairs = (pair.split("=", 1) for pair in properties.split(","))
    return kind, {key: decoded(value, ":,") for key, value in pairs}, decoded(message)


def decoded(text, more=""):
    for char in ("\r", "\n", *more):
        text = text.replace(f"%{ord(char):02X}", char)
    return text.replace("%25", "%")


def test_the_runner_reads_what_was_meant():
    place = Place("/a,b:c/100%.toml", 3, 7)
    kind, properties, message = read(annotation("warning", "rule.x: y, z", "is 50%, or %0A: so", place))
    assert (kind, message) == ("warning", "is 50%, or %0A: so")
    assert properties == {"file": "/a,b:c/100%.toml", "line": "3", "col": "7", "title": "rule.x: y, z"}


def test_a_relative_path_is_that_of_the_folder_in_which_the_command_ran():
    _, properties, _ = read(annotation("error", "x", "y", Place("r.toml", 1, 1)))
    assert properties["file"] == os.path.abspath("r.toml")


def test_a_problem_says_its_place_once():
    place = Place("/r.toml", 3, 7)
    (line,) = of_problems("error", [Problem("rule.x", f"{place}: rule 1: is bad", "mend it", place=place)])
    assert read(line) == (
        "error",
        {"file": "/r.toml", "line": "3", "col": "7", "title": "rule.x"},
        "rule 1: is bad; mend it",
    )


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_text_makes_a_second_command(text):
    line = annotation("error", text, text, Place(f"/{text}", 1, 1))
    assert COMMAND.fullmatch(line)
    assert is_safe(f"data: {line.removeprefix('::')}".replace("::", " "))
