"""The dependencies that pyproject.toml states."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest

from tests.floors import PYPROJECT, floors

PROJECT = tomllib.loads(PYPROJECT.read_text())["project"]
LINES = PYPROJECT.read_text().splitlines()
EXTRAS = PROJECT["optional-dependencies"]


@pytest.mark.parametrize("requirement", [*PROJECT["dependencies"], *EXTRAS["remote"], *EXTRAS["transformers"]])
def test_whatever_an_installation_needs_has_a_lowest_version_and_no_highest_one(requirement):
    assert re.fullmatch(r"[\w-]+>=[\d.]+", requirement)


@pytest.mark.parametrize("requirement", [*PROJECT["dependencies"], *EXTRAS["remote"], *EXTRAS["test"]])
def test_each_dependency_has_a_reason_beside_it(requirement):
    (number,) = (number for number, line in enumerate(LINES) if line.lstrip().startswith(f'"{requirement}",'))
    assert requirement.startswith("initctl[") or "  # " in LINES[number] or LINES[number - 1].lstrip().startswith("# ")


def test_the_oldest_versions_are_those_of_pyproject():
    found = floors()
    assert found["numpy"] == "2.0"
    assert set(found) >= {re.match(r"[\w-]+", requirement)[0] for requirement in PROJECT["dependencies"]}
    assert {"boto3", "transformers", "moto", "scipy"} <= set(found)


def test_they_are_printed_as_constraints_for_pip():
    command = [sys.executable, "-m", "tests.floors", "--without", "torch"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "numpy==2.0" in printed
    assert not [line for line in printed if line.startswith("torch")]
    assert len(printed) == len(floors()) - 1
