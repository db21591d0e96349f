"""Imports point down only, and heavy or decorative packages stay where they belong.

Every import counts, wherever it stands: inside functions, and under `TYPE_CHECKING` too. Only the rules about other
people's packages exempt `TYPE_CHECKING`, for what is never run costs nothing and needs nothing installed.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import initctl

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(initctl.__file__).parent

LAYERS = (
    {"__main__"},
    {"cli"},
    {"demo", "installation"},
    {"__init__", "api"},
    {"page", "output_options", "creating"},
    {"distributed"},
    {"applied"},
    {"request"},
    {"manifest", "diagnosing"},
    {"execution", "audit", "live", "statistics", "differences", "suggesting"},
    {"filling", "reading", "checksums", "selecting"},
    {"planning"},
    {"recipes", "plugins", "architecture"},
    {"reshaping"},
    {"initializers", "formats", "commit"},
    {"rules", "stream"},
    {"stores"},
    {"layout", "workers"},
    {"tensors"},
    {"argument_types", "display", "schemas", "topics"},
    {"dtypes", "coworkers", "threads", "events", "suggestions", "entry_points", "grouping", "locks", "traces"},
    {"hub_cache", "integers", "system_errors"},
    {"errors"},
    {"excerpt"},
    {"arguments", "births", "escaping", "paths", "undisturbed", "version"},
)
"""From the top: a part imports itself and what stands in lower layers; what shares one does not import each other."""
ONE_PART = {"__init__", "api"}
"""The package's own `__init__` hands out the names of `api`."""
ONLY_IN = {"rich": ("display",), "typer": ("cli",)}
NEVER_AT_THE_TOP = {"torch", "transformers", "numba", "llvmlite"}
IMPORTED_WHERE_USED = ("initctl.live.", "initctl.stream.engines.device", "initctl.stream.engines.kernels")
"""Modules and packages that are nothing without theirs, and are themselves imported in functions only."""
BANNED_NAMES = {"utils", "util", "common", "helpers", "helper", "misc"}


@dataclass(frozen=True)
class Import:
    module: str
    line: int
    imported: str
    in_function: bool
    for_types_only: bool

    def __str__(self):
        return f"{self.module}:{self.line} imports {self.imported}"


def modules(package: Path) -> dict[str, Path]:
    """Every module of `package` by its dotted name; a package's is that of its `__init__`."""
    found = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(package: Path) -> list[Import]:
    found = modules(package)
    return [
        Import(module, node.lineno, name, in_function, for_types_only)
        for module, path in found.items()
        for node, in_function, for_types_only in _statements(ast.parse(path.read_bytes()))
        for name in _imported(node, module, path, found)
    ]


def _statements(node: ast.AST, in_function=False, for_types_only=False) -> Iterator[tuple[ast.stmt, bool, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, in_function, for_types_only
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        is_typing = isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        yield from _statements(child, in_function or is_function, for_types_only or is_typing)


def _imported(node: ast.stmt, module: str, path: Path, known: dict[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        parts = module.split(".")
        up = parts[: len(parts) - node.level + (path.name == "__init__.py")]
        base = ".".join([*up, *filter(None, [node.module])])
    for alias in node.names:  # `from package import module` imports the module
        yield name if (name := f"{base}.{alias.name}") in known else base


def part(module: str) -> str:
    """`cli` for `initctl.cli.main`."""
    return [*module.split("."), "__init__"][1]


def upward(package: Path) -> list[str]:
    rank = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    return [
        str(found)
        for found in imports(package)
        if found.imported.split(".")[0] == package.name
        for one, other in [(part(found.module), part(found.imported))]
        if not (one == other or {one, other} == ONE_PART or rank[one] < rank[other])
    ]


def misplaced(package: Path) -> list[str]:
    return [
        str(found)
        for found in imports(package)
        for name in [found.imported.split(".")[0]]
        if not found.for_types_only
        and (
            (name in ONLY_IN and part(found.module) not in ONLY_IN[name])
            or (name in NEVER_AT_THE_TOP and not found.in_function and not found.module.startswith(IMPORTED_WHERE_USED))
        )
    ]


def cycle(package: Path) -> list[str]:
    """Modules that import each other in a circle, if any do."""
    known = modules(package)
    graph = {module: set() for module in known}
    for found in imports(package):
        if found.imported in known and found.imported != found.module:
            graph[found.module].add(found.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_every_part_of_the_package_has_its_layer():
    assert {part(module) for module in modules(PACKAGE)} == set().union(*LAYERS)


def test_imports_point_down_only():
    assert upward(PACKAGE) == []


def test_rich_stays_in_display_and_typer_in_cli_and_torch_is_imported_where_it_is_used():
    assert misplaced(PACKAGE) == []


def test_no_modules_import_each_other_in_a_circle():
    assert cycle(PACKAGE) == []


def test_no_module_is_named_for_holding_odds_and_ends():
    assert not BANNED_NAMES & {name for module in modules(PACKAGE) for name in module.split(".")}


class TestThePlantedFault:
    """The checks above see what they are to see."""

    @pytest.fixture
    def plant(self, tmp_path):
        def plant(module: str, text: str) -> Path:
            package = tmp_path / "initctl"
            for name in ("__init__", "errors", "rules/__init__", "stream/__init__", "display/__init__", "cli/__init__"):
                (package / f"{name}.py").parent.mkdir(parents=True, exist_ok=True)
                (package / f"{name}.py").touch()
            (package / module).write_text(text)
            return package

        return plant

    @pytest.mark.parametrize(
        ("module", "text"),
        [
            ("errors.py", "import initctl.rules"),
            ("errors.py", "from initctl import rules"),
            ("errors.py", "from . import rules"),
            ("errors.py", "def late():\n    from initctl.rules import Rule"),
            ("errors.py", "if TYPE_CHECKING:\n    from initctl.cli.main import app"),
            ("rules/__init__.py", "from initctl.stream import Law"),
            ("rules/glob.py", "from ..stream import Law"),
            ("display/tables.py", "class Table:\n    from initctl.cli import main"),
            ("stream/key.py", "import initctl"),
        ],
    )
    def test_of_an_upward_import_is_found(self, plant, module, text):
        assert len(upward(plant(module, text))) == 1

    @pytest.mark.parametrize(
        ("module", "text"),
        [
            ("cli/main.py", "def late():\n    import rich.table"),
            ("rules/rule.py", "from rich import print"),
            ("display/tables.py", "import typer"),
            ("cli/apply.py", "import torch"),
            ("stream/laws.py", "try:\n    from torch import nn\nexcept ImportError:\n    pass"),
            ("errors.py", "class Late:\n    import transformers"),
        ],
    )
    def test_of_a_misplaced_package_is_found(self, plant, module, text):
        assert len(misplaced(plant(module, text))) == 1

    @pytest.mark.parametrize(
        ("module", "text"),
        [
            ("display/tables.py", "import rich"),
            ("cli/main.py", "import typer\nif TYPE_CHECKING:\n    from rich.console import Console"),
            ("errors.py", "def late():\n    import torch"),
            ("display/tables.py", "from initctl.errors import shown\nfrom .folding import fold\nimport json"),
            ("__init__.py", "from initctl.errors import InitctlError"),
        ],
    )
    def test_is_not_found_where_there_is_none(self, plant, module, text):
        package = plant(module, text)
        assert upward(package) == misplaced(package) == cycle(package) == []

    def test_of_a_circle_is_found(self, plant):
        plant("rules/glob.py", "def late():\n    from initctl.rules.rule import Rule")
        assert set(cycle(plant("rules/rule.py", "from .glob import Glob"))) == {
            "initctl.rules.glob",
            "initctl.rules.rule",
        }
