"""The page of what tensors hold says what `initctl stats` says."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

import initctl
from initctl.page import statistics_page
from initctl.page.content import Charts, Drawing, TensorTable
from initctl.page.rendering import html


@pytest.fixture
def save(tmp_path):
    def save(weights):
        save_file(weights, tmp_path / "m.safetensors")
        return initctl.stats(tmp_path / "m.safetensors")

    return save


def rows(page):
    table = page.sections[-1]
    assert isinstance(table, TensorTable)
    return [dict(zip((column.title for column in table.columns), row, strict=True)) for row in table.rows]


def test_a_row_holds_the_numbers_of_the_terminal(save):
    found = save({"w": torch.tensor([[1.0, -3.0], [0.0, torch.nan]])})
    (row,) = rows(statistics_page(found))
    assert isinstance(row.pop("distribution"), Drawing)
    assert row == {
        "tensor": "w",
        "mean": "-0.6667",
        "std": "1.7",
        "min": "-3",
        "max": "1",
        "norm": "3.162",
        "shape": "[2, 2]",
        "dtype": "float32",
        "remarks": "1 NaN, 1 zero",
    }


def test_a_tensor_without_a_finite_number_has_no_drawing(save):
    (row,) = rows(statistics_page(save({"w": torch.full((3,), torch.inf)})))
    assert row == {"tensor": "w", "shape": "[3]", "dtype": "float32", "remarks": "3 Inf"}


def test_a_tensor_that_is_not_measured_says_why(tmp_path):
    torch.save({"w": torch.ones(2).to_sparse()}, tmp_path / "m.pt")
    page = statistics_page(initctl.stats(tmp_path / "m.pt"))
    (row,) = rows(page)
    assert "sparse" in row["remarks"]
    assert ("not measured", "1") in page.facts


def test_digests_have_a_column_if_they_were_asked_for(save, tmp_path):
    (plain,) = rows(statistics_page(save({"w": torch.ones(3)})))
    found = initctl.stats(tmp_path / "m.safetensors", digest=True)
    (row,) = rows(statistics_page(found))
    assert row == {**plain, "SHA-256": found.tensors[0].digest}


def test_facts_count_what_is_out_of_the_ordinary(save):
    facts = dict(statistics_page(save({"a": torch.tensor([torch.nan, torch.inf]), "b": torch.ones(3)})).facts)
    assert (facts["tensors"], facts["elements"], facts["NaN"], facts["infinite"]) == ("2", "5", "1", "1")


def test_tensors_of_layers_have_a_chart_unless_they_are_constant(save):
    weights = {f"layers.{n}.w": torch.randn(50) for n in range(3)} | {
        f"layers.{n}.norm": torch.ones(5) for n in range(3)
    }
    (charts, _) = statistics_page(save(weights)).sections
    assert isinstance(charts, Charts)
    assert [chart.title for chart in charts.charts] == ["layers.{0..2}.w ×3"]


def test_five_thousand_tensors_take_some_megabyte(save):
    kinds = ("self_attn.q_proj.weight", "self_attn.o_proj.weight", "mlp.gate_proj.weight", "input_layernorm.weight")
    weights = {f"model.layers.{n}.{kind}": torch.randn(8, 8) * 0.02 for n in range(1250) for kind in kinds}
    assert len(html(statistics_page(save(weights))).encode()) < 1_300_000
