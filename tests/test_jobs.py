"""Every command that README and the topics propose runs as it stands there, on real checkpoints."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from initctl.topics import topics
from tests.jobs import commands, make_checkpoints
from tests.readme import README, environment

DOCUMENTS = {"README": README.read_text(), **{topic.name: topic.text for topic in topics()}}
JOBS = [(name, command) for name, text in DOCUMENTS.items() for command in commands(text)]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    make_checkpoints(folder)
    return folder


@pytest.mark.parametrize(("document", "command"), JOBS)
def test_a_proposed_command_runs_without_a_complaint(checkpoints, tmp_path, document, command):
    folder = shutil.copytree(checkpoints, tmp_path / "work")
    run = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_the_documents_propose_commands():
    assert len(JOBS) > 15
