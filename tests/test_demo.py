"""What a demonstration shows: the command, what it did, and each tensor before and after."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import initctl
from initctl.demo import RULES, demonstrate
from tests.display.text import piped


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return demonstrate(str(tmp_path_factory.mktemp("demo") / "new"))


@pytest.fixture(scope="module")
def report(demo):
    return piped(demo.report())


def test_a_demonstration_does_what_it_says(demo):
    assert not demo.wrong
    changed = {change.tensor for change in demo.changes if change.changed}
    assert {"embedding.weight", "conv.weight", "fc2.weight", "head.weight"} <= changed
    assert not {"fc1.weight", "fc1.bias", "norm.running_var"} & changed


def test_its_values_have_the_spread_that_its_rules_ask_for(demo):
    std = {change.tensor: change.std[1] for change in demo.changes}
    assert std["embedding.weight"] == pytest.approx(0.02, rel=0.02)
    assert std["conv.weight"] == pytest.approx(0.1, rel=0.15)
    assert std["fc2.weight"] == pytest.approx((2 / 128) ** 0.5, rel=0.05)


def test_it_shows_the_command_that_does_the_same(demo, report):
    rules = [line.strip().removeprefix("-r '").partition("'")[0] for line in report.splitlines() if " -r '" in line]
    assert rules == list(RULES)
    again = initctl.plan(demo.checkpoint, rules=rules)
    assert [action.params for action in again.actions] == [action.params for action in demo.applied.plan.actions]


def test_it_shows_every_tensor_before_and_after(demo, report):
    rows = {line.split()[0]: line for line in report.partition("mean after")[2].splitlines() if line}
    for change in demo.changes:
        assert f"{change.std[0]:.4f}" in rows[change.tensor]
        assert rows[change.tensor].endswith("changed" if change.changed else "the same")


def test_it_ends_with_what_was_read_back(report):
    assert report.splitlines()[-1].startswith("read back: ruled tensors hold the values of their rules")


def test_a_value_that_is_not_what_it_should_be_is_named(demo):
    first, *others = demo.changes
    wrong = replace(demo, changes=(first._replace(verified=False), *others))
    assert wrong.wrong == [first.tensor]
    assert piped(wrong.report()).endswith(f"read back: {first.tensor} is not what it should be")
    assert wrong.to_json()["verified"] is False


def test_its_json_is_that_of_apply_and_the_changes(demo):
    data = json.loads(json.dumps(demo.to_json(), allow_nan=False))
    assert list(data) == [*demo.applied.to_json(), "verified", "changes"]
    assert data["verified"] is True
    assert all(list(change) == ["tensor", "mean", "std", "changed", "verified"] for change in data["changes"])


@pytest.mark.parametrize("taken", ["model.safetensors", "initialized.safetensors"])
def test_a_model_that_is_there_is_not_replaced_by_a_demonstration(tmp_path, taken):
    (tmp_path / taken).write_bytes(b"precious")
    with pytest.raises(initctl.ConflictError, match=f"{taken}: exists"):
        demonstrate(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_bytes() == b"precious"


def test_a_directory_that_cannot_be_made_is_the_environments_fault(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(initctl.StorageError, match="file/below: cannot be written"):
        demonstrate(str(tmp_path / "file" / "below"))
