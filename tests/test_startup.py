"""Start-up stays light: nothing heavy is imported before it is needed, and torch by the demonstration alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.checkpoints import checkpoint

HEAVY = {"torch", "transformers", "numba", "rich", "typer", "numpy", "safetensors", "scipy"}
DEEP = {"torch", "transformers", "scipy"}


def imported_by(code, cwd):
    """The top-level packages that are loaded once `code` has run in a process of its own."""
    report = "import sys; print('\\0'.join(sys.modules), file=open('modules', 'w'))"
    subprocess.run([sys.executable, "-c", f"{code}\n{report}"], cwd=cwd, check=True, capture_output=True)
    return {name.partition(".")[0] for name in (cwd / "modules").read_text().split("\0")}


def test_importing_the_library_imports_nothing_heavy(tmp_path):
    assert not imported_by("import initctl", tmp_path) & HEAVY


def test_listing_presets_and_reading_rules_imports_nothing_heavy(tmp_path):
    code = "import initctl.recipes, initctl.rules\ninitctl.recipes.presets()\ninitctl.rules.parse_rule('*=ones', '1')"
    assert not imported_by(code, tmp_path) & HEAVY


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("--help", 0),
        ("apply --help", 0),
        ("plan net.safetensors -r *.weight=kaiming_normal --json", 0),
        ("inspect net.safetensors", 0),
        ("apply net.safetensors -o out.safetensors -r *=ones -r fc.weight=orthogonal", 0),
        ("initializers orthogonal", 0),
        ("plan net.safetensors -r *=nrmal", 2),
    ],
)
def test_no_command_imports_torch(tmp_path, command, status):
    checkpoint(tmp_path / "net.safetensors", {"fc.weight": ("F32", (3, 2)), "fc.bias": ("F32", (3,))})
    code = f"from initctl.cli.main import run\nassert run({command.split()}) == {status}"
    assert not imported_by(code, tmp_path) & DEEP


def test_the_library_plans_and_applies_without_torch_or_rich(tmp_path):
    path = checkpoint(tmp_path / "net.safetensors", {"fc.bias": ("F32", (3,))})
    code = f"import initctl\ninitctl.apply({str(path)!r}, 'out.safetensors', rules=['*=normal'])"
    assert not imported_by(code, tmp_path) & {*DEEP, "rich", "typer"}
    assert (tmp_path / "out.safetensors").exists()
