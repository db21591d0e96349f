"""Every call that changes files is in effects.py, where the tests of tests/protocol count it and let it fail."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import initctl
from initctl.commit import effects

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(initctl.__file__).parent
MODULES = sorted(path for part in ("commit", "execution") for path in (PACKAGE / part).glob("*.py"))
LOOKING = {
    "close", "dup", "fsdecode", "fsencode", "fspath", "fstat", "fstatvfs", "getcwd", "geteuid", "getpid", "getxattr",
    "listdir", "listxattr", "lstat", "open", "pread", "preadv", "scandir", "stat", "statvfs", "strerror", "umask",
    "urandom", "walk",
}  # fmt: skip
"""Functions of `os` that change no file. `open` is one as long as it creates and empties nothing."""
CREATING = {"O_CREAT", "O_TRUNC", "O_TMPFILE"}
READING = {"r", "rb"}
ELSEWHERE = {
    "commit/nameless.py: os.memfd_create": "a file in memory is on no disk",
    "commit/nameless.py: tempfile.TemporaryFile": "a file without a name is gone with its process",
    "commit/nameless.py: tempfile.gettempdir": "it only looks",
    "execution/committing.py: TemporaryDirectory": "it holds what is uploaded to a store; no result takes its place",
}
"""Calls outside effects.py, and why each may stay there."""


def changes(source: str) -> Iterator[str]:
    """The calls in a module that change files, or may."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in ("shutil", "pathlib"))
        if isinstance(node, ast.ImportFrom) and node.module in ("os", "shutil", "pathlib", "tempfile"):
            yield from (name.name for name in node.names)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = f"{node.value.id}.{node.attr}"
            if node.value.id == "tempfile" or name in (f"os.{flag}" for flag in CREATING):
                yield name
        if isinstance(node, ast.Call):
            yield from _changing_call(node)


def _changing_call(node: ast.Call) -> Iterator[str]:
    called = node.func
    if isinstance(called, ast.Name) and called.id == "open":
        mode = next((word.value for word in node.keywords if word.arg == "mode"), None)
        mode = node.args[1] if len(node.args) > 1 else mode
        if mode is not None and not (isinstance(mode, ast.Constant) and mode.value in READING):
            yield "open"
    if isinstance(called, ast.Attribute) and ast.unparse(called.value) == "os" and called.attr not in LOOKING:
        yield f"os.{called.attr}"


def test_no_module_but_effects_changes_files():
    found = {
        f"{path.relative_to(PACKAGE).as_posix()}: {call}"
        for path in MODULES
        if path.name != "effects.py"
        for call in changes(path.read_text(encoding="utf-8"))
    }
    assert found == ELSEWHERE.keys()


def test_every_function_of_effects_is_counted():
    functions = {name for name, _ in inspect.getmembers(effects, inspect.isfunction) if not name.startswith("_")}
    assert functions == {*effects.__all__}
    assert {"os.mkdir", "os.rename", "os.link", "os.pwrite", "os.fsync", "shutil"} <= {
        *changes(inspect.getsource(effects))
    }


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("os.rename(a, b)", ["os.rename"]),
        ("os.open(path, os.O_RDWR | os.O_CREAT)", ["os.O_CREAT"]),
        ("os.open(path, os.O_RDWR)", []),
        ("open(path, 'ab')", ["open"]),
        ("open(path, mode=mode)", ["open"]),
        ("open(path, 'rb')", []),
        ("open(path)", []),
        ("from os import replace", ["replace"]),
        ("import shutil", ["shutil"]),
        ("from pathlib import Path", ["Path"]),
        ("os.path.join(a, b)", []),
    ],
)
def test_the_search_finds_what_changes_files(line: str, found: list[str]):
    assert list(changes(line)) == found
