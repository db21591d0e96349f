"""Whether a checkpoint holds what a plan, or a report, says."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

from initctl.api.arguments import finished_plan, request_of
from initctl.api.warning import warn
from initctl.argument_types import path_of
from initctl.errors import ConflictError, FitError
from initctl.integers import counting
from initctl.system_errors import explaining_failures
from initctl.threads import thread_count

if TYPE_CHECKING:
    from collections.abc import Callable

    from initctl.audit import Verification
    from initctl.events import Event
    from initctl.manifest import Manifest
    from initctl.planning import Plan
    from initctl.request import Asked, Path


@explaining_failures
def verify(
    plan: Plan | Path,
    result: Path | None = None,
    *,
    sample: int | None = None,
    threads: int | None = None,
    on_event: Callable[[Plan | Event], None] | None = None,
    **asked: Unpack[Asked],
) -> Verification:
    """Whether `result` is exactly what a plan produces: every value is computed again and compared.

    Everything that the plan keeps must be unchanged: byte for byte, unless `result` was converted. The returned object
    is true if everything matches, so `assert initctl.verify(…)` is a check.

    Args:
        plan: a plan; or a checkpoint, which is planned for first, with `asked` as for `initctl.plan`. Comparing two
            checkpoints needs no rules.
        result: the checkpoint to verify; by default the plan's own, as it is now. Then only filled values are checked:
            nothing says what the rest was.
        sample: compare only this many elements of each tensor.
        threads, on_event: as for `apply`.

    Raises:
        UsageError, InputError, FitError, StorageError: as for `initctl.plan`; and if old values are needed and there is
            no `result`.
        ConflictError: a checkpoint changed while it was read, or the plan's has changed since.
    """
    from initctl.audit import read_result, verify_plan
    from initctl.distributed.ranks import coworkers

    threads = thread_count(threads)
    sample = counting("sample", sample)
    if isinstance(plan, (str, os.PathLike)):
        request = request_of(asked)
        if result is None:
            request.check_rules("; --against ORIGINAL alone compares everything")
        try:
            made = request.plan(request.read(plan))
        except FitError as error:
            raise error if result is None else request.about_original(error, plan, result) from None
        warn(made.warnings)
    else:
        made = finished_plan(plan, asked)
        made = made if result is not None else _replanned_if_changed(made)
    if on_event:
        on_event(made)
    found = None if result is None else read_result(path_of("result", result), made.checkpoint)
    return verify_plan(made, found, sample=sample, threads=threads, coworkers=coworkers(), on_event=on_event)


@explaining_failures
def load_manifest(path: Path) -> Manifest:
    """The manifest that `Manifest.save`, or `apply --report`, wrote to the file `path`. Raises `InputError`."""
    from initctl.manifest.reading import read_manifest

    return read_manifest(os.fspath(path))


def _replanned_if_changed(plan: Plan) -> Plan:
    """`plan`, loaded for its checkpoint as it is now, if the checkpoint was written after planning."""
    from initctl.planning.saved import SavedPlan

    try:
        plan.checkpoint.check_unchanged(plan.checkpoint.files)
    except ConflictError:
        made = SavedPlan.of(plan).restored(plan.checkpoint.absolute, is_result=True)
        return replace(made, checkpoint=replace(made.checkpoint, path=plan.checkpoint.path))
    return plan
