"""`initctl.plugins` is all that a package needs, and says how it is used."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest

import initctl.plugins
from initctl.formats.file_formats import FileFormat
from initctl.stream.draws import Draws

EXAMPLES = Path(__file__).parent.parent / "examples"
DOC = str(initctl.plugins.__doc__)


def imported(path: Path) -> set[str]:
    """The modules that the file at `path` imports."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return names | {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}


def examples() -> dict[str, object]:
    """What the examples in the module's docstring define."""
    found: dict[str, object] = {}
    for block in re.findall(r"(?:^(?: {4}.*)?\n)+", DOC, re.MULTILINE):
        exec(re.sub(r"^ {4}", "", block, flags=re.MULTILINE), found)
    return found


@pytest.mark.parametrize("package", ["plugin-laplace", "plugin-npz"])
def test_the_examples_need_nothing_else_of_initctl(package):
    (module,) = EXAMPLES.joinpath(package).glob("*.py")
    assert {name for name in imported(module) if name.startswith("initctl")} == {"initctl.plugins"}


def test_every_name_is_explained():
    assert {name for name in initctl.plugins.__all__ if f"`{name}" not in DOC} <= {"TensorSpec"}
    assert "`TensorSpec`" in DOC


def test_its_examples_run_and_give_an_initializer_and_a_format(tmp_path):
    made = examples()
    law = made["EXPONENTIAL"].build(None, mean=2.0).law
    values = law.values(Draws.of(0, "w"), 0, 10_000)
    assert values.mean() == pytest.approx(2, rel=0.05)
    assert (values[100:200] == law.values(Draws.of(0, "w"), 100, 200)).all()
    assert values.max() < law.largest
    toy = made["TOY"]
    assert isinstance(toy, FileFormat)
    table = b'[{"name": "w", "shape": [2], "offset": 56}]'
    path = tmp_path / "w.toy"
    path.write_bytes(b"TOYMODEL" + len(table).to_bytes(4, "little") + table + b" " + np.ones(2, np.float32).tobytes())
    assert toy.is_at(path.read_bytes())
    assert [entry.tensor.name for entry in toy.read(str(path), "w.toy").entries] == ["w"]
