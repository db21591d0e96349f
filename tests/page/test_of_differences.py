"""The page of in what two checkpoints differ says what `initctl diff` says."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

import initctl
from initctl.page import differences_page
from initctl.page.content import Charts, ItemList, TensorTable


@pytest.fixture
def compared(tmp_path):
    def compared(one, other, metadata=None):
        save_file(one, tmp_path / "a.safetensors")
        save_file(other, tmp_path / "b.safetensors", metadata)
        return differences_page(initctl.diff(tmp_path / "a.safetensors", tmp_path / "b.safetensors"))

    return compared


def tables(page):
    return {
        section.title: [
            dict(zip((column.title for column in section.columns), row, strict=True)) for row in section.rows
        ]
        for section in page.sections
        if isinstance(section, TensorTable)
    }


def test_what_is_identical_has_a_verdict_and_no_table(compared):
    page = compared({"w": torch.ones(3)}, {"w": torch.ones(3)})
    assert page.summary == "identical: 1 tensor, 12 bytes"
    assert page.sections == []


def test_a_row_holds_the_numbers_of_the_terminal(compared):
    page = compared({"w": torch.ones(4), "x": torch.ones(2)}, {"w": torch.tensor([1.0, 1, 1, 2]), "y": torch.ones(2)})
    found = tables(page)
    (row,) = found["Tensors that differ"]
    assert (row["tensor"], row["max diff"], row["mean diff"], row["first"]) == ("w", "1", "0.25", "[3]")
    only = [(row["tensor"], row["only in"]) for row in found["Tensors in only one of them"]]
    assert only == [("x", "A"), ("y", "B")]
    facts = dict(page.facts)
    assert (facts["tensors in both"], facts["differ"], facts["only A"], facts["only B"]) == ("1", "1", "1", "1")


def test_what_both_hold_is_drawn_on_one_axis_whatever_differs(compared):
    one = {"w": torch.arange(8.0), "reshaped": torch.ones(2, 3), "cast": torch.ones(3), "same": torch.ones(2)}
    other = {"w": torch.arange(8.0) * 2, "reshaped": torch.ones(6), "cast": torch.ones(3).half(), "same": torch.ones(2)}
    rows = {row["tensor"]: row["A, B"] for row in tables(compared(one, other))["Tensors that differ"]}
    assert rows.keys() == {"w", "reshaped", "cast"}
    assert len({rows["w"].path, rows["w"].before, ""}) == 3
    assert rows["cast"].path == rows["cast"].before


def test_metadata_that_differs_is_listed(compared):
    page = compared({"w": torch.ones(1)}, {"w": torch.ones(1)}, {"note": "<b>"})
    (items,) = page.sections
    assert isinstance(items, ItemList)
    assert [item.title for item in items.items] == ["metadata note: B has <b>"]


def test_the_relative_norm_is_drawn_by_depth(compared):
    one = {f"layers.{n}.w": torch.ones(3) for n in range(4)}
    page = compared(one, {name: weight * (1.0 + n) for n, (name, weight) in enumerate(one.items())})
    (charts,) = [section for section in page.sections if isinstance(section, Charts)]
    assert [(chart.title, chart.caption) for chart in charts.charts] == [
        ("layers.{1..3}.w ×3", "1 to 3; largest 3"),
    ]
