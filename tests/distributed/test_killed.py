"""A process that is killed at any moment leaves a result as it was, or complete; what is run again completes it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.parametrize("kind", ["a new file", "a new file, or none", "a new archive", "a directory that is replaced"])
def test_a_part_or_a_commit_is_killed_before_each_of_its_calls_that_change_a_file_or_a_directory(kind: str):
    command = [sys.executable, "-m", "tests.distributed.killing", kind]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed.stderr == ""
    kills = json.loads(completed.stdout)
    assert kills["part"] > 20
    assert kills["commit"] > 12
