"""Each promise of `initctl help security` has a test, and that test is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from initctl.topics import find_topic

TESTS = Path(__file__).parent
TEXT = find_topic("security").text
(PROMISED,) = re.findall(r"^## What is promised\n(.*?)^## ", TEXT, re.MULTILINE | re.DOTALL)
PROMISES = re.findall(r"^- (.*?)(?=^- |^\n|\Z)", PROMISED, re.MULTILINE | re.DOTALL)
PROOF = re.compile(r"`([\w/]+\.py)`(?:, `(\w+)`)?: ([\w\s]+)\Z")


def proofs(promise: str) -> list[tuple[str, str]]:
    """The files and tests below a promise. A test that is written as a sentence has underscores instead of spaces."""
    found = [PROOF.fullmatch(line.strip()) for line in promise.split("\n  - ")[1:]]
    assert all(found)
    tests = ("_".join(["test", *match[3].split()]) for match in found)
    return [(match[1], f"{match[2]}::{test}" if match[2] else test) for match, test in zip(found, tests, strict=True)]


def names_in(path: Path) -> set[str]:
    """The names of the tests in a file, those in classes behind the class's name."""
    top = ast.parse(path.read_text()).body
    classes = [node for node in top if isinstance(node, ast.ClassDef)]
    inside = {f"{of.name}::{node.name}" for of in classes for node in of.body if isinstance(node, ast.FunctionDef)}
    return inside | {node.name for node in top if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: " ".join(promise.split()[:6]))
def test_each_promise_names_tests_that_there_are(promise):
    assert proofs(promise)
    for path, name in proofs(promise):
        assert name in names_in(TESTS / path)


def test_all_promises_are_read():
    assert len(PROMISES) == len(re.findall("^- ", PROMISED, re.MULTILINE)) > 15
