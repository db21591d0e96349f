"""Saved plans, reports, tables and configurations that are not what they should be. Every command that reads one
refuses it in one line that names it, before anything is made.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from initctl.cli.main import run
from tests.broken.case import LONGEST
from tests.broken.test_commands import state
from tests.cli.processes import messages, plain_environment
from tests.hostile import is_safe

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["plain_environment"]

NET, FILE = "net.safetensors", "file.json"
ONES = ("-r", "w=ones")
COMMANDS = {
    "apply --plan": ("apply", NET, "-o", "out.safetensors", "--plan", FILE),
    "apply --plan in place": ("apply", NET, "--in-place", "--plan", FILE),
    "verify --plan": ("verify", NET, "--plan", FILE),
    "verify --report": ("verify", NET, "--report", FILE),
    "new --table": ("new", "-o", "out.safetensors", "--table", FILE, *ONES),
    "new --config": ("new", "-o", "out.safetensors", "--config", FILE, *ONES),
    "plan --base-config": ("plan", NET, "-r", "w=normal:std=base.std", "--base-config", FILE),
    "apply --base-config": ("apply", NET, "-o", "o.safetensors", "-r", "w=normal:std=base.std", "--base-config", FILE),
}
CONTENTS: dict[str, bytes] = {
    "empty": b"", "list": b"[]", "null": b"null", "text": b"w", "cut": b'{"a": ', "trailing-comma": b'{"a": 1,}',
    "I17-byte-order-mark": b"\xef\xbb\xbf{}", "I17-depth": b'{"a":' * 100_000,
    "I17-digits": b'{"a":' + b"1" * 5000 + b"}",
    "I17-overflow": b'{"a": 1e999}', "Y12-key-twice": b'{"a": 1, "a": 2}', "not-utf-8": b'{"\xff": 1}',
    "half-a-surrogate-pair": b'{"\\ud800": 1}', "N07-github-command": b'{"x\\n::error::\\u001b[31m": 1, "x": NAN}',
}  # fmt: skip


def at(folder: Path, content: bytes) -> None:
    (folder / FILE).write_bytes(content)


PLACES: dict[str, Callable[[Path], object]] = {
    "missing": lambda folder: None,
    "directory": lambda folder: (folder / FILE).mkdir(),
    "I22-pipe": lambda folder: os.mkfifo(folder / FILE),
    "Y08-device": lambda folder: (folder / FILE).symlink_to("/dev/zero"),
    "I16-too-long": lambda folder: (at(folder, b"{"), os.truncate(folder / FILE, 1_100_000_000)),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save_file({"w": torch.zeros(2, 2)}, tmp_path / NET)
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("case", [*CONTENTS, *PLACES])
def test_a_file_that_is_no_document_is_refused_in_one_line(command: str, case: str, folder: Path, capsys):
    if case in CONTENTS:
        at(folder, CONTENTS[case])
    else:
        PLACES[case](folder)
    before = state(folder)
    status = run(COMMANDS[command])
    out, err = capsys.readouterr()
    assert (status, out) == (3, ""), err
    (line,) = messages(err)
    assert line.startswith(f"initctl: error: {FILE}")
    assert is_safe(err)
    assert len(line) <= LONGEST
    assert state(folder) == before


@pytest.mark.parametrize("case", CONTENTS)
@pytest.mark.parametrize("command", ["plan", "apply", "verify", "doctor", "suggest"])
def test_a_broken_configuration_beside_a_checkpoint_is_refused_if_it_is_needed(case, command, folder: Path, capsys):
    model = folder / "model"
    model.mkdir()
    os.rename(folder / NET, model / "model.safetensors")
    (model / "config.json").write_bytes(CONTENTS[case])
    before = state(folder)
    rules = ["-r", "w=normal:std=config.std"] if command in ("plan", "apply", "verify") else []
    status = run([command, "model", *(["-o", "out"] if command == "apply" else []), *rules])
    out, err = capsys.readouterr()
    assert (status, out) == (3, ""), err
    (line,) = messages(err)
    assert "/model/config.json: is not valid JSON: " in line
    assert len(line.replace(str(folder), "")) <= LONGEST
    assert is_safe(err)
    assert state(folder) == before


def damaged_plans() -> dict[str, Callable[[dict[str, object]], object]]:
    """Changes of a saved plan's first action."""
    return {
        "no-tensor": lambda action: action.pop("tensor"),
        "other-tensor": lambda action: action.update(tensor="v"),
        "no-initializer": lambda action: action.update(init="nrmal"),
        "rows-of-text": lambda action: action.update(rows=["0", "1"]),
        "rows-beyond": lambda action: action.update(rows=[0, 9]),
        "arguments-of-text": lambda action: action.update(arguments="std"),
    }


@pytest.mark.parametrize("change", damaged_plans())
def test_a_plan_that_was_signed_anew_after_a_change_is_still_checked(change: str, folder: Path, capsys):
    from initctl.planning.documents import signed

    assert run(["plan", NET, "-r", "w=normal", "--save", FILE, "--quiet"]) == 0
    document = json.loads((folder / FILE).read_bytes())
    damaged_plans()[change](document["actions"][0])
    at(folder, json.dumps(signed(document)).encode())
    before = state(folder)
    for command in ("apply --plan", "apply --plan in place", "verify --plan"):
        assert run(COMMANDS[command]) == 3
        (line,) = messages(capsys.readouterr().err)
        assert line.startswith(f"initctl: error: {FILE}: is damaged: ")
        assert len(line) <= LONGEST
    assert state(folder) == before
