"""The list of software that `python -m tests.sbom` writes."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.sbom import SAYS, bill, packages

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"


def metadata(name: str, *lines: str) -> str:
    return "\n".join(("Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *lines, ""))


def needing(*requirements: str) -> list[str]:
    return [f"Requires-Dist: {requirement}" for requirement in requirements]


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """An environment of five packages, two of which need each other."""
    bsd = "Classifier: License :: OSI Approved :: BSD License"
    for name, *lines in (
        ("initctl", *needing("one>=1", 'far; extra == "remote"', 'no; python_version < "3"')),
        ("one", *needing("Two_B[more]"), "License-Expression: MIT"),
        ("two-b", *needing("one", 'three; extra == "more"'), bsd),
        ("three", "License: Free\n  for all"),
        ("far",),
    ):
        folder = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(metadata(name, *lines))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])


@pytest.mark.usefixtures("installed")
class TestAnEnvironment:
    def test_gives_all_that_initctl_needs_in_it_and_nothing_else(self):
        assert {name: package.needs for name, package in packages().items()} == {
            "initctl": ("one",),
            "one": ("two-b",),
            "three": (),
            "two-b": ("one", "three"),
        }

    def test_gives_what_an_extra_needs_if_the_extra_is_asked_for(self):
        assert packages(("remote",))["initctl"].needs == ("far", "one")

    def test_gives_the_license_that_a_package_states(self):
        licenses = {component["name"]: component.get("licenses") for component in bill(("remote",))["components"]}
        assert licenses == {
            "far": None,
            "one": [{"expression": "MIT"}],
            "three": [{"license": {"name": "Free"}}],
            "two-b": [{"license": {"name": "BSD License"}}],
        }


def test_all_direct_dependencies_are_listed_with_the_versions_that_are_installed():
    direct = tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]
    found = packages()
    assert {canonicalize_name(Requirement(need).name) for need in direct} <= set(found)
    assert found["numpy"].reference == f"pkg:pypi/numpy@{np.__version__}"


def test_the_document_is_valid_the_same_each_time_and_says_what_it_lists():
    command = [sys.executable, "-m", "tests.sbom"]
    first, second = (subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2))
    assert first == second
    assert {of["name"]: of["value"] for of in json.loads(first)["metadata"]["properties"]} == SAYS
    validation = pytest.importorskip("cyclonedx.validation.json")
    from cyclonedx.schema import SchemaVersion

    assert validation.JsonStrictValidator(SchemaVersion.V1_6).validate_str(first) is None


def test_a_package_that_is_missing_is_named(tmp_path):
    (tmp_path / "initctl-1.0.dist-info").mkdir()
    (tmp_path / "initctl-1.0.dist-info/METADATA").write_text(metadata("initctl", *needing("not-there")))
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from tests.sbom import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "not-there is not installed, so the list would not be complete\n"
