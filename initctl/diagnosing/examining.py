"""A checkpoint → the data that checks look at, and what they find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from initctl.coworkers import ALONE
from initctl.diagnosing.check import Check, Finding
from initctl.diagnosing.diagnosis import Diagnosis
from initctl.diagnosing.examination import Examination, Examined
from initctl.diagnosing.expected import given, torch_laws
from initctl.diagnosing.remedies import shortened, together
from initctl.diagnosing.training import AS_NAMED, read
from initctl.planning.surroundings import Surroundings
from initctl.selecting import selected
from initctl.statistics import TensorStatistics, measured
from initctl.suggesting import Suggestion, suggestions

if TYPE_CHECKING:
    from initctl.coworkers import Coworkers
    from initctl.events import Progress
    from initctl.formats import Checkpoint
    from initctl.tensors import TensorSpec

_NOT_JUDGED = frozenset({"computed", "unwritable"})
"""Roles of tensors whose numbers do not come from a law."""


def diagnosed(
    checkpoint: Checkpoint,
    checks: Sequence[Check],
    patterns: Sequence[str],
    *,
    root: str | None,
    preset: str | None,
    trained: bool | None,
    threads: int,
    coworkers: Coworkers = ALONE,
    on_event: Callable[[Progress], None] | None = None,
) -> Diagnosis:
    """What `checks` find in the tensors of `checkpoint` that match one of `patterns`, or in all tensors if there are no
    patterns. Weights are `trained` or fresh. If None, those that patterns name are fresh; else their numbers decide.

    Each of `coworkers` measures some tensors.

    They are compared with the laws of `preset`, or of the preset for config.json's model. `root` is the one that was
    given. Raises `UsageError` if the preset does not exist, `FitError` if it fills nothing, `InputError` if config.json
    cannot be read, as `selected_names` does, and `ConflictError` and `StorageError` as `measured` does.
    """
    tensors = _examined(checkpoint, patterns)
    around = Surroundings(checkpoint)
    suggested = [one._replace(initializer=shortened(one.initializer)) for one in suggestions(checkpoint, preset=preset)]
    found = measured(checkpoint, tensors, digest=False, threads=threads, coworkers=coworkers, on_event=on_event)
    subjects = _subjects(around, found, suggested)
    reading = AS_NAMED if patterns and trained is None else read(subjects, given=trained)
    by_rows = _by_rows(suggested, {tensor.name for tensor in tensors})
    examination = Examination(
        around=around,
        roles={one.tensor.name: one.role for one in suggested if one.role not in _NOT_JUDGED},
        everything=found,
        subjects=subjects,
        row_suggestions=by_rows,
        is_trained=reading.is_trained,
        threads=threads,
        coworkers=coworkers,
    )
    asked = [check for check in checks if not (check.only_fresh and reading.is_trained)]
    findings = [Finding(check, *fault) for check in asked for fault in check.find(examination)]
    unreadable = tuple((one.tensor.name, one.unreadable) for one in found if one.unreadable)
    return Diagnosis(
        checkpoint,
        tensors,
        tuple(checks),
        reading,
        tuple(findings),
        unreadable,
        together([one.remedy for one in findings if one.remedy], by_rows),
        root,
    )


def _examined(checkpoint: Checkpoint, patterns: Sequence[str]) -> tuple[TensorSpec, ...]:
    """The tensors that match one of `patterns`, and those that are tied to them."""
    named = {tensor.name: tensor for tensor in selected(checkpoint, patterns)}
    tied = {name for tensor in named.values() for name in tensor.tied}
    return tuple(tensor for tensor in checkpoint.tensors if tensor.name in named or tensor.name in tied)


def _by_rows(suggested: Sequence[Suggestion], examined: set[str]) -> list[Suggestion]:
    """The suggestions for rows of `examined` tensors that differ from the one for the whole tensor."""
    whole = {one.tensor.name: one.initializer for one in suggested if not one.rows}
    return [
        one
        for one in suggested
        if one.rows and one.tensor.name in examined and one.tensor.represents_ties
        if one.initializer != whole[one.tensor.name]
    ]


def _subjects(
    around: Surroundings, found: Sequence[TensorStatistics], suggested: Sequence[Suggestion]
) -> list[Examined]:
    """The statistics of each floating-point tensor, and the suggestion for all of it."""
    customary = {} if all(suggestion.preset for suggestion in suggested) else torch_laws(around)
    by_name = {suggestion.tensor.name: suggestion for suggestion in suggested if not suggestion.rows}
    return [
        Examined(
            one,
            suggestion,
            given(suggestion.initializer, one.tensor.dtype, one.tensor.shape),
            customary.get(one.tensor.name),
        )
        for one in found
        if (suggestion := by_name.get(one.tensor.name)) and suggestion.role not in _NOT_JUDGED
        if one.tensor.represents_ties and one.tensor.numel and not one.unreadable
    ]
