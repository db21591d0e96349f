"""A result that is written in parts equals the one that is written at once, for each kind of checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import initctl
from tests.distributed.checkpoints import CASES, Case
from tests.distributed.results import cut_often, in_parts, inside, shuffled

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore::initctl.InitctlWarning")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_is_equal_to_the_byte_for_every_number_of_parts_in_any_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Case
):
    source, at_once = case.source(tmp_path), tmp_path / "at-once"
    at_once.mkdir()
    initctl.apply(source, f"{at_once}/{case.output}", **case.asked)
    wanted = inside(at_once / case.output)
    cut_often(monkeypatch)
    for parts in (1, 2, 3, 4, 7, 19):
        folder = tmp_path / str(parts)
        folder.mkdir()
        in_parts(source, f"{folder}/{case.output}", shuffled(parts), parts, **case.asked)
        assert inside(folder / case.output) == wanted
        assert [path.name for path in folder.iterdir()] == [case.output.rstrip("/")]
