"""A table, a plan, what applying it did and what verifying it came to show themselves wherever they are looked at."""

from __future__ import annotations

from html.parser import HTMLParser
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file

import initctl
from tests.cli.checkpoints import NET, checkpoint
from tests.display.text import piped

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "<script>alert(1)</script>[red]\x1b[31m&amp;"


@pytest.fixture
def results(tmp_path: Path) -> list[Any]:
    plan = initctl.plan(checkpoint(tmp_path / "net.safetensors", NET), rules=["*.bias=ones", "fc1.weight=normal"])
    applied = initctl.apply(plan, tmp_path / "out.safetensors")
    other = initctl.plan(tmp_path / "net.safetensors", rules=["*=zeros"])
    verified = [initctl.verify(plan, applied.output), initctl.verify(other, applied.output)]
    return [plan, applied, *verified, initctl.inspect(applied.output)]


class Text(HTMLParser):
    """The words of a page, and the elements that they are in."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.add(tag)
        assert {name for name, _ in attrs} <= {"style"}

    def handle_data(self, data: str) -> None:
        self.words += data.split()


def test_a_repl_shows_what_a_pipe_gets(results: list[Any]):
    for result in results:
        assert repr(result) == piped(result.report())
        assert len(repr(result).splitlines()) > 1


def test_rich_shows_the_same(results: list[Any]):
    for result in results:
        console = Console(file=StringIO(), width=200)
        console.print(result)
        assert [line.rstrip() for line in console.file.getvalue().splitlines()] == repr(result).splitlines()


def test_a_notebook_gets_the_same_words(results: list[Any]):
    for result in results:
        page = Text(result._repr_html_())
        assert page.words == repr(result).split()
        assert page.elements <= {"table", "thead", "tbody", "tr", "th", "td", "p"}


def test_a_long_plan_is_folded(tmp_path: Path):
    save_file({f"layers.{n}.weight": torch.ones(2, 2) for n in range(100)}, tmp_path / "m.safetensors")
    plan = initctl.plan(tmp_path / "m.safetensors", rules=["*=zeros"])
    assert len(repr(plan).splitlines()) < 10
    assert "layers.{0..99}.weight ×100" in repr(plan)
    assert len(piped(plan.report(unfold=True)).splitlines()) > 100


def test_a_long_plan_that_cannot_be_folded_is_cut(tmp_path: Path):
    layers = {f"layers.{layer}.{name}.weight": ("F32", (2, 2)) for layer in range(163) for name in "abcdef"}
    path = checkpoint(tmp_path / "m.safetensors", layers)
    plan = initctl.plan(path, rules=["layers.{l}.*=normal:std=0.02/sqrt(l+1)"])
    *rows, more, blank, totals = repr(plan).splitlines()
    assert len(rows) == 61
    assert more == "and 918 more rows; to_json() has all of them"
    assert not blank
    assert totals.startswith("initialize 978 tensors")
    assert Text(plan._repr_html_()).words == repr(plan).split()
    assert len(piped(plan.report()).splitlines()) > 978


def test_many_lines_are_cut_too(tmp_path: Path):
    metadata = {f"key {number}": "value" for number in range(1000)}
    table = initctl.inspect(checkpoint(tmp_path / "m.safetensors", NET, metadata))
    *_, more, totals = repr(table).splitlines()
    assert more == "and 941 more lines; to_json() has all of them"
    assert totals.startswith("4 tensors, ")
    assert len(repr(table).splitlines()) < 100


def test_no_name_of_a_tensor_gets_out_of_the_text(tmp_path: Path):
    save_file({HOSTILE: torch.ones(2)}, tmp_path / "m.safetensors")
    plan = initctl.plan(tmp_path / "m.safetensors", rules=["*=zeros"])
    page = Text(plan._repr_html_())
    assert "script" not in page.elements
    assert page.words == repr(plan).split()
    assert "\x1b" not in repr(plan) + plan._repr_html_()
    console = Console(file=StringIO(), width=200, color_system="truecolor", force_terminal=True)
    console.print(plan)
    assert "[red]" in console.file.getvalue()
