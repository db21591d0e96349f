"""Every command that reads a checkpoint refuses a bad one in the same way: status, one line, nothing printed, nothing
touched. One case of each row goes through all commands, every case through one of them, and a few through a process.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import initctl
from initctl.cli.main import run
from initctl.errors import InputError, shown
from tests.broken.case import LONGEST
from tests.broken.corpus import FAULTS, Fault
from tests.cli.processes import plain_environment
from tests.hostile import is_safe

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["plain_environment"]

GOOD, OUT = "good.safetensors", "out"
PREFIX = "initctl: error: "
COMMANDS: dict[str, tuple[str, ...]] = {
    "inspect": ("inspect", "BAD"),
    "plan": ("plan", "BAD", "-r", "*=ones"),
    "plan, copied from it": ("plan", GOOD, "-r", "w=copy:from=BAD#w"),
    "plan, saved": ("plan", "BAD", "-r", "*=ones", "--save", "plan.json"),
    "apply": ("apply", "BAD", "-o", OUT, "-r", "*=ones"),
    "apply in place": ("apply", "BAD", "--in-place", "-r", "*=ones"),
    "apply, patched": ("apply", "BAD", "--in-place", "--patch", "-r", "*=ones"),
    "apply a part": ("apply", "BAD", "-o", OUT, "--part", "1/2", "-r", "*=ones"),
    "apply, split": ("apply", "BAD", "-o", OUT, "--max-shard-size", "1MB", "-r", "*=ones"),
    "verify": ("verify", "BAD", "-r", "*=ones"),
    "verify against it": ("verify", GOOD, "--against", "BAD", "-r", "*=ones"),
    "stats": ("stats", "BAD"),
    "diff from it": ("diff", "BAD", GOOD),
    "diff to it": ("diff", GOOD, "BAD"),
    "doctor": ("doctor", "BAD"),
    "suggest": ("suggest", "BAD"),
    "new like it": ("new", "-o", OUT, "--like", "BAD", "-r", "*=ones"),
    "recipe-check": ("recipe-check", "recipe.toml", "BAD"),
}
"""Each command that reads a checkpoint, for the one at BAD."""
CALLS: dict[str, Callable[[str], object]] = {
    "inspect": initctl.inspect,
    "plan": lambda path: initctl.plan(path, rules=["*=ones"]),
    "apply": lambda path: initctl.apply(path, OUT, rules=["*=ones"]),
    "verify": lambda path: initctl.verify(path, rules=["*=ones"]),
    "stats": initctl.stats,
    "diff": lambda path: initctl.diff(GOOD, path),
    "doctor": initctl.doctor,
    "suggest": initctl.suggest,
    "new": lambda path: initctl.new(OUT, like=path, rules=["*=ones"]),
    "parts": lambda path: initctl.parts(path, OUT, rules=["*=ones"]),
    "init_, copied from it": lambda path: initctl.init_({"w": torch.zeros(2)}, rules=[f"w=copy:from={path}#w"]),
}
"""The same from Python."""


def one_of_each_row() -> Iterator[Fault]:
    rows: dict[str, Fault] = {}
    for fault in FAULTS:
        rows.setdefault(fault.name.partition("-")[0], fault)
    yield from rows.values()


ROWS = tuple(one_of_each_row())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a good checkpoint, a recipe, and an empty folder for a bad one."""
    monkeypatch.chdir(tmp_path)
    save_file({"w": np.zeros(2, np.float32)}, tmp_path / GOOD)
    (tmp_path / "recipe.toml").write_text('[[rule]]\nmatch = "*"\ninit = "ones"\n')
    (tmp_path / "bad").mkdir()
    return tmp_path


def state(folder: Path) -> list[tuple[Any, ...]]:
    """All that can be seen of everything below `folder`."""
    return [(os.fspath(path), *_state(path)) for path in sorted([folder, *folder.rglob("*")])]


def _state(path: Path) -> tuple[Any, ...]:
    status = path.lstat()
    attributes = [(name, os.getxattr(path, name, follow_symlinks=False)) for name in _attributes(path)]
    is_small = path.is_file() and not path.is_symlink() and status.st_size < 10**7
    digest = hashlib.sha256(path.read_bytes()).digest() if is_small else None
    owner = status.st_uid, status.st_gid
    return status.st_mode, owner, status.st_ino, status.st_nlink, status.st_size, status.st_mtime_ns, attributes, digest


def _attributes(path: Path) -> list[str]:
    try:
        return os.listxattr(path, follow_symlinks=False)
    except OSError:  # a file system without them
        return []


def check_refusal(fault: Fault, bad: str, status: int, out: str, err: str) -> None:
    """Whether the fault at the path `bad` is reported as the corpus says."""
    assert status == fault.exit_status, err
    assert out == ""
    line, *see = err.splitlines()
    assert all(text.startswith("see: initctl help ") for text in see)
    assert line.startswith(PREFIX)
    assert fault.words in line
    assert len(without_paths(line.removeprefix(PREFIX), bad)) <= LONGEST
    assert line.isprintable()
    assert is_safe(err)


def without_paths(line: str, bad: str) -> str:
    return line.replace(shown(bad), "").replace(shown(os.path.dirname(bad)), "")


def arguments(command: str, bad: str) -> list[str]:
    return [argument.replace("BAD", bad) for argument in COMMANDS[command]]


@pytest.mark.parametrize("fault", ROWS, ids=lambda fault: fault.name)
def test_every_command_refuses_it_alike_and_touches_nothing(fault: Fault, folder: Path, capsys):
    bad = os.fspath(fault.write(folder / "bad"))
    before = state(folder)
    for command in COMMANDS:
        if _can_be_named(command, bad):
            status = run(arguments(command, bad))
            check_refusal(fault, bad, status, *capsys.readouterr())
    for name, call in CALLS.items():
        if _can_be_named(name, bad):
            with pytest.raises(InputError) as raised:
                call(bad)
            assert fault.words in str(raised.value), name
            assert shown(bad) in str(raised.value) or shown(os.path.dirname(bad)) in str(raised.value)
    assert state(folder) == before


def _can_be_named(command: str, bad: str) -> bool:
    """Whether a rule, in which some characters mean something, can name the path."""
    return "copied" not in command or bad.isprintable()


@pytest.mark.parametrize(("number", "fault"), list(enumerate(FAULTS)), ids=lambda value: getattr(value, "name", ""))
def test_a_command_refuses_it_and_touches_nothing(number: int, fault: Fault, folder: Path, capsys):
    bad = os.fspath(fault.write(folder / "bad"))
    before = state(folder)
    command = list(COMMANDS)[number % len(COMMANDS)]
    if _can_be_named(command, bad):
        check_refusal(fault, bad, run(arguments(command, bad)), *capsys.readouterr())
    assert state(folder) == before


@pytest.mark.parametrize("command", ["inspect", "apply", "diff to it"])
@pytest.mark.parametrize("fault", ROWS[::20], ids=lambda fault: fault.name)
def test_a_process_refuses_it_and_touches_nothing(fault: Fault, command: str, folder: Path):
    bad = os.fspath(fault.write(folder / "bad"))
    before = state(folder)
    ran = subprocess.run(
        [sys.executable, "-m", "initctl", *arguments(command, bad)], capture_output=True, check=False, timeout=100
    )
    check_refusal(fault, bad, ran.returncode, ran.stdout.decode(), ran.stderr.decode())
    assert state(folder) == before
