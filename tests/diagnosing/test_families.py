"""Fresh models of transformers have no fault; damaged ones have that one, and its rule fixes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import initctl
from tests.diagnosing.damages import DAMAGES, Damage
from tests.diagnosing.fresh import FAMILIES, Outcome, outcome, save

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module", params=FAMILIES)
def fresh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a model as its family initializes it."""
    return save(request.param, tmp_path_factory.mktemp("models") / request.param)


def test_nothing_is_found_in_a_fresh_model(fresh: Path):
    found = initctl.doctor(fresh)
    assert not found.findings
    assert not found.reading.is_trained


@pytest.mark.parametrize("damage", DAMAGES, ids=str)
def test_a_damage_is_found_alone_and_its_rule_fixes_it(fresh: Path, damage: Damage, tmp_path: Path):
    found = outcome(fresh, damage, tmp_path)
    if found is None:
        pytest.skip(f"the model has no {damage.needs}")
    assert found == Outcome({damage.code}, set())


@pytest.mark.parametrize("name", ["UMT5Model", "LongT5", "SwitchTransformers", "Udop"])
def test_relatives_of_t5_draw_embeddings_as_large_as_t5_does_and_that_is_no_fault(name: str, tmp_path: Path):
    found = initctl.doctor(save(name if name == "UMT5Model" else f"{name}ForConditionalGeneration", tmp_path / name))
    assert not found.findings
    assert not found.reading.is_trained
