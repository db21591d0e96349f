"""No input makes a reader crash, hang, run anything, or disagree with other readers without a written reason."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.fuzz import corpus
from tests.fuzz.__main__ import NAMES, table
from tests.fuzz.explained import DIFFERENCES
from tests.fuzz.targets import targets
from tests.fuzz.verdicts import judge
from tests.fuzz.watch import Watch
from tests.fuzz.worker import Session, import_readers

if TYPE_CHECKING:
    from collections.abc import Iterator

INPUTS = 150
"""Further inputs for each target: they take a second or less."""
LARGEST_CORPUS = 300_000
"""Bytes of all its files."""
INPUT = [(target, name) for target in NAMES for name in corpus.inputs(target)]


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    import_readers()
    watch = Watch()
    yield watch
    watch.stop()


@pytest.fixture(scope="module")
def sessions(watch: Watch, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Session]:
    return {name: Session(target, tmp_path_factory.mktemp(name), watch) for name, target in targets().items()}


def test_the_command_fuzzes_every_target():
    assert tuple(targets()) == NAMES


@pytest.mark.parametrize(("target", "name"), INPUT)
def test_an_input_of_the_corpus_is_judged_without_a_finding(sessions: dict[str, Session], target: str, name: str):
    session = sessions[target]
    judge(session.target, corpus.inputs(target)[name], session.place, session.watch.watching)


@pytest.mark.parametrize("target", NAMES)
def test_damaged_inputs_are_judged_without_a_finding(sessions: dict[str, Session], target: str):
    session, rng = sessions[target], Random(20)
    for _ in range(INPUTS):
        session.attempt(session.target.mutate(rng, rng.choice(session.pool), session.pool))
    assert not session.tally.findings


def test_each_difference_is_shown_by_an_input_of_the_corpus(sessions: dict[str, Session]):
    shown = set()
    for target, name in INPUT:
        session = sessions[target]
        judged = judge(session.target, corpus.inputs(target)[name], session.place, session.watch.watching)
        shown |= set(judged.explained)
    assert not [difference.reason for difference in DIFFERENCES if difference not in shown]


def test_the_corpus_is_small():
    assert sum(len(content) for target in NAMES for content in corpus.inputs(target).values()) < LARGEST_CORPUS


def test_the_table_has_a_row_for_each_target(sessions: dict[str, Session]):
    tally = next(iter(sessions.values())).tally
    totals = {"rule": {"inputs": 3, "slowest": 0.5, "counts": tally.counts, "findings": {"x": "Finding: y"}}}
    lines = table(totals).splitlines()
    assert lines[1].startswith("rule")
    assert lines[-1] == "rule: x: Finding: y"
