"""Every command that takes rules refuses bad rules, numbers and recipes in one line, before anything is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from initctl.cli.main import run
from initctl.errors import FitError, shown
from tests.broken.case import LONGEST
from tests.broken.test_commands import state
from tests.broken.text_faults import ASKED, RECIPE, Asked, place
from tests.cli.processes import messages, plain_environment
from tests.hostile import is_safe

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["plain_environment"]

NET = "net.safetensors"
COMMANDS = {
    "plan": ("plan", NET),
    "apply": ("apply", NET, "-o", "out.safetensors"),
    "apply in place": ("apply", NET, "--in-place"),
    "verify": ("verify", NET),
    "new": ("new", "-o", "out.safetensors", "--like", NET),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tensors = {"w": torch.zeros(2, 2), "b": torch.zeros(2), "h": torch.zeros(2, 2).half(), "n": torch.arange(2)}
    save_file(tensors, tmp_path / NET)
    return tmp_path


def without_rules(line: str, asked: Asked) -> str:
    for rule in asked.rules:
        line = line.replace(shown(rule), "")
    return line


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked.name)
def test_every_command_refuses_it_alike_and_makes_nothing(asked: Asked, folder: Path, capsys):
    asked.write(folder)
    place(folder, asked.options.get("recipe", ""))
    before = state(folder)
    for name, command in COMMANDS.items():
        status = run([*command, *asked.arguments])
        out, err = capsys.readouterr()
        assert (status, out) == (asked.exit_status, ""), err
        if name == "new" and status == FitError.exit_status:
            continue  # it asks for rules for all other tensors, too
        (line,) = messages(err)
        assert line.startswith("initctl: error: ")
        assert asked.words in line
        assert is_safe(err)
        assert len(without_rules(line.removeprefix("initctl: error: "), asked)) <= LONGEST
    if asked.recipe is not None:
        assert run(["recipe-check", RECIPE]) == asked.exit_status
        assert asked.words in capsys.readouterr().err
    assert state(folder) == before
