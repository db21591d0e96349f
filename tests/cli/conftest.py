from __future__ import annotations

import pytest

from initctl.cli.main import run
from tests.cli.checkpoints import NET, checkpoint, counting
from tests.cli.processes import Outcome, plain_environment, terminal

__all__ = ["plain_environment", "terminal"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty directory that commands run in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def net(folder):
    """A small checkpoint, `net.safetensors` in the working directory."""
    return counting(checkpoint(folder / "net.safetensors", NET))


@pytest.fixture
def call(folder, capsys):
    """Runs a command in this process."""

    def call(*arguments: str) -> Outcome:
        status = run(arguments)
        return Outcome(status, *capsys.readouterr())

    return call
