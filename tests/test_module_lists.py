"""What a package says of its modules is true of its folder."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import initctl

ROOT = Path(initctl.__file__).parent
LISTS = {
    package: listed
    for package in sorted(ROOT.rglob("__init__.py"))
    if (listed := re.findall(r"\b\w+\.py\b", ast.get_docstring(ast.parse(package.read_text())) or ""))
}
COMMANDS = ROOT / "cli"
"""Where there is a module for each command, which is not listed."""


@pytest.mark.parametrize("package", LISTS, ids=lambda package: str(package.parent.relative_to(ROOT)))
def test_a_package_lists_each_of_its_modules_once(package: Path):
    there = {path.name for path in package.parent.glob("*.py")} - {"__init__.py"}
    if package.parent == COMMANDS:
        assert set(LISTS[package]) <= there
    else:
        assert sorted(LISTS[package]) == sorted(there)
