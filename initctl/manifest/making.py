"""What was applied → the document of its manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from initctl.audit import read_result
from initctl.display.json_rows import Rows
from initctl.errors import Problem, UsageError
from initctl.manifest.attested import Attested, AttestedTensor, sha256
from initctl.manifest.digests import Hashers, file_digests, tensor_digests
from initctl.manifest.statement import PREDICATE_TYPE, STATEMENT_TYPE, Manifest
from initctl.version import __version__

if TYPE_CHECKING:
    from initctl.events import Progress
    from initctl.formats import Checkpoint
    from initctl.manifest.changes import Change, Changes
    from initctl.planning import Plan
    from initctl.statistics import TensorStatistics


def manifest_of(
    changes: Changes,
    output: str,
    written: Collection[str],
    engines: Mapping[str, str],
    *,
    threads: int,
    on_event: Callable[[Progress], None] | None = None,
) -> Manifest:
    """The manifest of the result at `output`, which `engines` computed by the plan of `changes`. Its tensors, and the
    files `written`, are read.

    Raises `UsageError` if `changes` have no digests.
    """
    if not all(change.after.digest or change.after.unreadable for change in changes.changes):
        raise UsageError(Problem("usage.changes", "changes: have no digests", "call initctl.changes with digest=True"))
    plan = changes.plan
    said = _plan(plan)
    result = read_result(output, plan.checkpoint)
    beside = [file for file in result.other_files if file.name in written]
    digests = file_digests(result, (*result.files, *beside), Hashers(threads, on_event=on_event))
    tensors = _tensors(result, changes, threads, on_event)
    content = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": sha256(digest)} for name, digest in digests.items()],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "initctl": __version__,
            "plan": said,
            "engines": dict(engines),
            "input": _input(plan.checkpoint),
            "output": {"format": result.format},
            "tensors": Rows(lambda: (tensor.to_json(name) for name, tensor in tensors.items())),
            "changes": Rows(lambda: map(_change, changes.changes)),
        },
    }
    attested = Attested(digests, tensors, result.format, plan.checkpoint.root, plan.checkpoint.component)
    return Manifest(lambda: content, attested, result.directory)


def plan_digest(plan: Plan) -> str:
    """SHA-256 of what `plan` does, as a saved plan says it. It does not depend on the checkpoint's path."""
    document = {key: value for key, value in plan.to_document().items() if key not in ("checkpoint", "digest")}
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "digest": sha256(plan_digest(plan)),
        "seed": plan.seed,
        "rng": plan.rng,
        "root": plan.checkpoint.root,
        "component": plan.checkpoint.component,
    }


def _input(checkpoint: Checkpoint) -> dict[str, Any]:
    files = [{"name": file.name, "size": file.size} for file in checkpoint.files]
    return {"format": checkpoint.format, "files": files}


def _tensors(
    result: Checkpoint, changes: Changes, threads: int, on_event: Callable[[Progress], None] | None
) -> dict[str, AttestedTensor]:
    """Each tensor of `result`, by each of its names. The digest of a tensor that is filled as a whole is that of the
    computed values; others are read.
    """
    filled = [change for change in changes.changes[: len(changes.plan.actions)] if not change.action.rows]
    computed = {change.action.value_name: change.after.digest for change in filled}
    others = [tensor for tensor in result.tensors if tensor.value_name not in computed]
    held = tensor_digests(result, others, Hashers(threads, on_event=on_event))
    return {
        name: AttestedTensor(tensor.dtype.name, tensor.shape, computed.get(tensor.value_name) or held[tensor.name])
        for name, tensor in result.by_name.items()
    }


def _change(change: Change) -> dict[str, Any]:
    return {**change.action.to_json(), "before": _numbers(change.before), "after": _numbers(change.after)}


def _numbers(found: TensorStatistics) -> dict[str, Any]:
    """Statistics of one tensor, without its histogram."""
    return {**found.numbers(), "digest": sha256(found.digest)}
