"""The page of a plan: what each rule decided, and what each tensor holds before and after."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

import initctl
from initctl.page import applied_page, plan_page
from initctl.page.content import Charts, Drawing, Item, ItemList


@pytest.fixture
def path(tmp_path):
    torch.manual_seed(0)
    weights = {f"layers.{n}.w": torch.randn(40, 30) for n in range(3)} | {"b": torch.ones(7), "n": torch.ones(2)}
    save_file(weights, tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def planned(path, *rules, **options):
    return initctl.changes(initctl.plan(path, rules=list(rules), **options))


def rules(page) -> list[Item]:
    (found,) = [section for section in page.sections if isinstance(section, ItemList) and section.title == "Rules"]
    return list(found.items)


def table(page):
    columns = [column.title for column in page.sections[-1].columns]
    return {row[0]: dict(zip(columns, row, strict=True)) for row in page.sections[-1].rows}


def test_each_rule_names_what_it_decided(path):
    page = plan_page(planned(path, "*=normal:std=0.5", "layers.0.w[0:10]=zeros", "b=keep"))
    assert [(item.badge, item.title, item.aside) for item in rules(page)] == [
        ("rule 1", "*=normal:std=0.5", "4 tensors, 3,302 elements"),
        ("rule 2", "layers.0.w[0:10]=zeros", "1 tensor, 300 elements"),
        ("rule 3", "b=keep", "1 tensor, 7 elements"),
    ]
    assert ("layers.{1,2}.w ×2", "normal mean=0 std=0.5") in rules(page)[0].details


def test_what_no_rule_decides_is_listed(path):
    *_, last = rules(plan_page(planned(path, "b=zeros")))
    assert (last.badge, last.aside) == ("no rule", "4 tensors, 3,602 elements")


def test_a_rule_that_decides_nothing_stands_out(path):
    page = plan_page(planned(path, "b=zeros", "c=ones", allow_unused=True))
    assert [(item.aside, item.kind) for item in rules(page)[:2]] == [
        ("1 tensor, 7 elements", "plain"),
        ("decides no tensor", "warning"),
    ]
    warnings = page.sections[0]
    assert (warnings.title, [item.badge for item in warnings.items]) == ("Warnings", ["rule.unused"])


def test_a_loaded_plan_names_its_rules_too(path, tmp_path):
    initctl.plan(path, rules=["b=zeros"]).save(tmp_path / "plan.json")
    loaded = initctl.load_plan(tmp_path / "plan.json")
    assert [item.badge for item in rules(plan_page(initctl.changes(loaded)))] == ["rule 1", "no rule"]


def test_a_row_holds_numbers_before_and_after(path):
    row = table(plan_page(planned(path, "b=constant:val=3")))["b"]
    assert isinstance(row["before, after"], Drawing)
    assert row["before, after"].before
    assert (row["std before"], row["std after"], row["mean before"], row["mean after"]) == ("0", "0", "1", "3")
    assert (row["initializer"], row["rule"], row["elements"]) == ("constant val=3", "rule 1", "7")


def test_rows_that_are_kept_have_a_row_of_their_own(path):
    found = table(plan_page(planned(path, "layers.0.w[0:10]=zeros")))
    assert found["layers.0.w[0:10]"]["std after"] == "0"
    assert found["layers.0.w[10:40]"]["initializer"] == "keep"
    assert found["layers.0.w[10:40]"]["before, after"] == ""


def test_depth_is_drawn_before_and_after(path):
    page = plan_page(planned(path, "*.w=normal:std=0.25"))
    (charts,) = [section for section in page.sections if isinstance(section, Charts)]
    (chart,) = charts.charts
    assert chart.line
    assert chart.before
    assert chart.caption.endswith(" after")


def test_what_was_applied_in_place_shows_the_old_values_too(path):
    changes = []

    def on_event(event):
        if isinstance(event, initctl.Plan):
            changes.append(initctl.changes(event))

    applied = initctl.apply(path, in_place=True, rules=["b=zeros"], on_event=on_event)
    row = table(applied_page(applied, changes[0]))["b"]
    assert (row["mean before"], row["mean after"]) == ("1", "0")
    assert (load_file(path)["b"] == 0).all()


def test_a_reset_optimizer_is_a_part_of_it(tmp_path):
    net = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(3)).sum().backward()
    optimizer.step()
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "m.pt")
    page = plan_page(planned(tmp_path / "m.pt", "*=ones", reset_optimizer=True))
    assert dict(page.facts)["reset"] == "6 tensors"
    assert [item.badge for item in rules(page)] == ["rule 1", "--reset-optimizer"]
    assert table(page)["optimizer.state.0.exp_avg"]["mean after"] == "0"
