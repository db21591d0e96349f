"""How tensors should start, and faults of initialization."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from initctl.api.reading import inspect
from initctl.api.warning import warn
from initctl.system_errors import explaining_failures
from initctl.threads import thread_count

if TYPE_CHECKING:
    from initctl.diagnosing import Diagnosis
    from initctl.events import Event
    from initctl.request import Path
    from initctl.suggesting import Suggestions


@explaining_failures
def suggest(
    checkpoint: Path, *, activation: str | None = None, root: str | None = None, component: str | None = None
) -> Suggestions:
    """The law that each floating-point tensor of `checkpoint` should start from, and why; `recipe()` returns a recipe.

    If there is a preset for the model in `config.json`, its rules decide; else the role of each tensor, found from its
    name, its shape and its neighbors. Reads no tensor values.

    Args:
        checkpoint, root, component: as for `inspect`.
        activation: the activation between layers: `relu`, `leaky_relu`, `tanh`, `sigmoid`, `gelu`, `silu` or `selu`;
            by default the one in `config.json`, or `relu`.

    Raises:
        UsageError: the activation is unknown; or as for `inspect`.
        InputError: the checkpoint or its config.json cannot be read, or it has no floating-point tensor.
    """
    from initctl.suggesting import Suggestions

    found = Suggestions.of(inspect(checkpoint, root=root, component=component), activation)
    warn(found.warnings[len(found.checkpoint.warnings) :])
    return found


@explaining_failures
def doctor(
    checkpoint: Path,
    patterns: Sequence[str] = (),
    *,
    root: str | None = None,
    component: str | None = None,
    preset: str | None = None,
    trained: bool | None = None,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    threads: int | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Diagnosis:
    """Faults of initialization in `checkpoint`, each with a stable code, a severity, the reason why it matters, and the
    rule that repairs it. Reads every element once, and fresh weights once more; writes nothing.

    Args:
        checkpoint, root, component: as for `inspect`.
        patterns: as for `stats`: only these tensors are judged, as fresh ones; by default all tensors.
        preset: the model family whose laws are correct; by default the family of config.json's model type.
        trained: True leaves out checks that only fresh weights must pass; by default the values decide, unless there
            are `patterns`.
        select: the codes of checks, or the parts before their dots (`values`); by default all checks.
        ignore: the codes, or parts of codes, to leave out.
        threads, on_event: as for `apply`.

    Raises:
        UsageError, InputError: as for `stats`; and if a check or the preset is unknown, or config.json cannot be read.
        FitError: a pattern matches no tensor, or the preset fills none.
        ConflictError: the checkpoint changed while it was read.
        StorageError: the checkpoint cannot be read to its end.
    """
    from initctl.diagnosing import CHECKS, diagnosed
    from initctl.diagnosing.selection import chosen
    from initctl.distributed.ranks import coworkers

    threads = thread_count(threads)
    checks = chosen(CHECKS, select, ignore)
    table = inspect(checkpoint, root=root, component=component)
    return diagnosed(
        table,
        checks,
        patterns,
        root=root,
        preset=preset,
        trained=trained,
        threads=threads,
        coworkers=coworkers(),
        on_event=on_event,
    )
