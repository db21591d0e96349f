"""Start-up stays light: a command loads what it uses, and nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.checkpoints import checkpoint

HEAVY = {"torch", "transformers", "numba", "pydantic", "rich", "typer", "numpy", "safetensors", "scipy", "jinja2"}
NEVER = {"torch", "transformers", "numba", "pydantic", "scipy", "jinja2"}
"""What no command needs."""
DRAWS = {"rich"}
"""What a terminal needs; these tests write to pipes."""
ENGINES = {"numpy", "llvmlite", "ml_dtypes", "initctl.stream.engines", "initctl.stream.draws"}
"""What computes: planning only names laws, and reads a table of tensors on its own."""
WRITES = {"initctl.execution", "initctl.filling", "initctl.commit", "initctl.audit"}
OTHERS = {
    "ml_dtypes",
    "pickletools",
    "initctl.formats.torch_save",
    "initctl.formats.directories.shards",
    "initctl.stores.mirror",
    "boto3",
    "huggingface_hub",
    "google",
    "requests",
    "initctl.stream.old_values",
}
"""What only other formats, stores, other dtypes or old values need."""
READS = {"safetensors", "initctl.formats", "initctl.planning", "initctl.stream", "initctl.initializers"}


def imported_by(code, cwd):
    """The modules that are loaded once `code` has run in a process of its own, and the packages that they are in."""
    report = "import sys; print('\\0'.join(sys.modules), file=open('modules', 'w'))"
    subprocess.run([sys.executable, "-c", f"{code}\n{report}"], cwd=cwd, check=True, capture_output=True)
    modules = [name.split(".") for name in (cwd / "modules").read_text().strip().split("\0")]
    return {".".join(parts[:count]) for parts in modules for count in range(1, len(parts) + 1)}


def test_importing_the_library_imports_nothing_heavy(tmp_path):
    found = imported_by("import initctl", tmp_path)
    assert not found & {*HEAVY, *ENGINES, *WRITES, *READS}
    assert {name for name in found if name.startswith("initctl")} == {"initctl", "initctl.version"}


def test_listing_presets_and_reading_rules_imports_nothing_heavy(tmp_path):
    code = "from initctl.recipes.presets import presets\nfrom initctl.rules import parse_rule"
    code += "\npresets()\nparse_rule('*=ones', '1')"
    assert not imported_by(code, tmp_path) & HEAVY


@pytest.mark.parametrize(
    ("command", "status", "unneeded"),
    [
        ("--help", 0, {*NEVER, *DRAWS, *ENGINES, *WRITES, *READS}),
        ("--version", 0, {*NEVER, *DRAWS, *ENGINES, *WRITES, *READS}),
        ("pln", 2, {*NEVER, *DRAWS, *ENGINES, *WRITES, *READS}),
        ("inspect net.safetensors", 0, {*NEVER, *DRAWS, *ENGINES, *WRITES}),
        ("inspect net.safetensors --json", 0, {*NEVER, *DRAWS, *ENGINES, *WRITES}),
        ("plan net.safetensors -r *.weight=kaiming_normal", 0, {*NEVER, *DRAWS, *ENGINES, *WRITES}),
        ("plan net.safetensors -r *=zeros -r *.weight=xavier_uniform --json", 0, {*NEVER, *DRAWS, *ENGINES, *WRITES}),
        ("suggest net.safetensors", 0, {*NEVER, *DRAWS, *ENGINES, *WRITES}),
        ("plan net.safetensors -r *=nrmal", 2, {*NEVER, *DRAWS, *ENGINES, *WRITES}),
        ("apply net.safetensors -o out.safetensors -r *=ones -r fc.weight=orthogonal", 0, {*NEVER, *DRAWS, *OTHERS}),
        ("new --like net.safetensors -o out.safetensors -r *=ones", 0, {*NEVER, *DRAWS, *OTHERS}),
        ("verify net.safetensors -r *.bias=zeros", 0, {*NEVER, *DRAWS}),
        ("diff net.safetensors net.safetensors", 0, {*NEVER, *DRAWS, "ml_dtypes", "initctl.planning"}),
        ("doctor net.safetensors", 0, {*NEVER, *DRAWS}),
        ("initializers orthogonal", 0, {*NEVER, *DRAWS, *ENGINES, *WRITES}),
        ("presets gpt2", 0, {*NEVER, *DRAWS, *ENGINES, *WRITES}),
        ("recipe-check recipe.toml", 2, {*NEVER, *DRAWS, *ENGINES, *WRITES}),
        ("recipe-schema", 0, {*NEVER, *DRAWS, *ENGINES, *WRITES}),
        ("completion bash", 0, {*NEVER, *DRAWS, *ENGINES, *WRITES, *READS}),
        ("help rules", 0, {*NEVER, *DRAWS, *ENGINES, *WRITES, *READS}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_command_loads_nothing_that_it_does_not_use(tmp_path, command, status, unneeded):
    checkpoint(tmp_path / "net.safetensors", {"fc.weight": ("F32", (3, 2)), "fc.bias": ("F32", (3,))})
    code = f"from initctl.cli.main import run\nassert run({command.split()}) == {status}"
    assert not imported_by(code, tmp_path) & unneeded


def test_the_library_plans_and_applies_without_torch_or_rich(tmp_path):
    path = checkpoint(tmp_path / "net.safetensors", {"fc.bias": ("F32", (3,))})
    code = f"import initctl\ninitctl.apply({str(path)!r}, 'out.safetensors', rules=['*=normal'])"
    assert not imported_by(code, tmp_path) & {*NEVER, *DRAWS, "typer"}
    assert (tmp_path / "out.safetensors").exists()
