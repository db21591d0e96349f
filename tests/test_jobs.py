"""Every command that README, the topics and `--help` propose runs as it stands there, on real checkpoints."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from initctl.cli.commands import SUMMARIES, explanation
from initctl.topics import topics
from tests.jobs import commands, make_checkpoints
from tests.readme import README, environment

DOCUMENTS = {"README": README.read_text(), **{topic.name: topic.text for topic in topics()}}
STORED = re.compile(r"\b(s3|gs|hf)://")
"""tests/stores/test_topic.py runs commands with such URLs."""
JOBS = [(name, line) for name, text in DOCUMENTS.items() for line in commands(text) if not STORED.search(line)]
EXAMPLES = [(name, example) for name in SUMMARIES for example in explanation(name).examples]
FINDS = {"diff"}
"""Commands whose examples find what they look for: the status is 1."""


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    make_checkpoints(folder)
    return folder


def ran(command, folder):
    """The status of a line of bash, and what it wrote to stderr."""
    run = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    return run.returncode, run.stderr


@pytest.mark.parametrize(("document", "command"), JOBS)
def test_a_proposed_command_runs_without_a_complaint(checkpoints, tmp_path, document, command):
    folder = shutil.copytree(checkpoints, tmp_path / "work")
    status, errors = ran(command, folder)
    assert status == 0
    assert not errors or "to fill both, apply the rules again" in errors  # the first of two runs: it names the second


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_an_example_of_help_runs_without_a_complaint(checkpoints, tmp_path, name, example):
    folder = shutil.copytree(checkpoints, tmp_path / "work")
    assert ran(f"HOME=. && mkdir -p .config/fish/completions && {example}", folder) == (name in FINDS, "")


def test_the_documents_propose_commands():
    assert len(JOBS) > 15
    assert {name for name, _ in EXAMPLES} == {*SUMMARIES}
