"""The page of faults says what `initctl doctor` says."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

import initctl
from initctl.page import diagnosis_page
from initctl.page.content import ItemList, ShellLines, TensorTable


@pytest.fixture
def diagnosed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def diagnosed(**weights):
        torch.manual_seed(0)
        net = {f"fc{n}.weight": torch.empty(40, 40).uniform_(-0.15, 0.15) for n in (1, 2, 3)}
        save_file({**net, **{name.replace("_", "."): weight for name, weight in weights.items()}}, "net.safetensors")
        found = initctl.doctor("net.safetensors", trained=False)
        return found, diagnosis_page(found)

    return diagnosed


def sections(page, kind):
    return [section for section in page.sections if isinstance(section, kind)]


def test_without_findings_there_is_only_the_summary(diagnosed):
    found, page = diagnosed()
    assert (page.sections, page.summary) == ([], found.summary())
    assert dict(page.facts)["errors"] == "0"


def test_each_check_that_found_something_says_why_it_matters(diagnosed):
    found, page = diagnosed(fc1_weight=torch.full((40, 40), torch.nan), fc2_weight=torch.zeros(40, 40))
    (items,) = sections(page, ItemList)
    assert [(item.badge, item.kind) for item in items.items] == [("error", "error"), ("warning", "warning")]
    checks = [check for check, _ in found.by_check()]
    for item, check in zip(items.items, checks, strict=True):
        assert (item.title, item.aside) == (check.title, f"{check.code}, 1 tensor")
        assert item.details[:2] == [("why", check.why), ("source", check.source)]


def test_each_finding_has_a_row_with_the_rule_that_fixes_it(diagnosed):
    found, page = diagnosed(fc1_weight=torch.zeros(40, 40))
    (table,) = sections(page, TensorTable)
    (finding,) = found.findings
    assert table.rows == [("fc1.weight", "warning", "symmetry.constant", finding.message, finding.rule)]


def test_the_command_fixes_it(diagnosed):
    found, page = diagnosed(fc1_weight=torch.zeros(40, 40))
    (command,) = sections(page, ShellLines)
    assert command.lines[0] == "initctl apply net.safetensors -o fixed.safetensors \\"
    assert command.lines[1:] == [f"  -r {rule}" for rule in found.rules]


def test_what_is_not_read_is_listed(tmp_path):
    torch.save({"w": torch.ones(2, 2).to_sparse()}, tmp_path / "net.pt")
    page = diagnosis_page(initctl.doctor(tmp_path / "net.pt"))
    (items,) = sections(page, ItemList)
    assert [(item.title, "sparse" in item.aside) for item in items.items] == [("w", True)]
