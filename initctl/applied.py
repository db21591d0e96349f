"""The result of applying a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from initctl.display.tables import Displayed, Report, count
from initctl.errors import Problem, UsageError, listed, shown
from initctl.formats.state_dicts.ties import FORMAT
from initctl.formats.writing.safetensors import SAFETENSORS
from initctl.planning.overview import overview
from initctl.system_errors import explaining_failures
from initctl.threads import thread_count

if TYPE_CHECKING:
    from initctl.events import Event
    from initctl.execution import Delivery
    from initctl.execution.execute import Written
    from initctl.formats import Checkpoint
    from initctl.manifest import Changes, Manifest
    from initctl.planning import Plan


@dataclass(frozen=True, slots=True, repr=False)
class Applied(Displayed):
    """The result of `apply`: the plan, the path of the result, and the names of the files written there.

    If the result has another format than the checkpoint, `converted_to` is its title. `warnings` are about the result;
    warnings about the plan are in the plan. `engines` are the names of the engines used, by device. `dropped` are stale
    files of a directory that the result does not have. `replaced` says that `output` existed before, and is not the
    checkpoint itself.
    """

    plan: Plan
    output: str
    files: tuple[str, ...]
    converted_to: str | None = None
    warnings: tuple[Problem, ...] = ()
    engines: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    replaced: bool = False

    @property
    def converted(self) -> bool:
        """Whether the result has another format than the checkpoint."""
        return self.converted_to is not None

    @explaining_failures
    def manifest(
        self, changes: Changes, *, threads: int | None = None, on_event: Callable[[Event], None] | None = None
    ) -> Manifest:
        """A manifest of what was done, by which anybody can check the result: `initctl.load_manifest(path).verify(…)`.

        Reads the files that were written, and tensors that are not filled as a whole.

        Args:
            changes: `initctl.changes(plan, digest=True)` of the applied plan, from before it was applied.
            threads, on_event: as for `initctl.apply`.

        Raises:
            UsageError: `changes` belong to another plan, or have no digests.
            InputError, ConflictError: the result is gone, or changes while it is read.
            StorageError: the result cannot be read.
        """
        from initctl.manifest import manifest_of

        threads = thread_count(threads)
        if changes.plan.actions is not self.plan.actions:
            fault = "changes: belong to another plan"
            raise UsageError(Problem("usage.changes", fault, "use the changes of the applied plan"))
        return manifest_of(changes, self.output, self.files, self.engines, threads=threads, on_event=on_event)

    def to_json(self) -> dict[str, Any]:
        """The plan's data, and the files written."""
        return {**self.plan.to_json(), "output": self.output, "files": list(self.files), "converted": self.converted}

    def report(self, *, unfold: bool = False) -> Report:
        """A row for each filled tensor, totals, and the path of the result; long lists folded unless `unfold`."""
        filled = (*self.plan.actions, *self.plan.resets)
        return [*((overview(filled, unfold=unfold), "") if filled else ()), *self.summary()]

    def summary(self) -> Report:
        """Totals, and the path of the result."""
        return [self.plan.summary(is_done=True), written_text(self)]


def applied(delivery: Delivery, written: Written, warnings: tuple[Problem, ...] = ()) -> Applied:
    """The result of `delivery`, which was `written`. `warnings` are about the result."""
    title = delivery.conversion.format.title if delivery.conversion else None
    return Applied(
        delivery.plan,
        written.path,
        written.files,
        title,
        (*warnings, *written.warnings),
        written.engines,
        tuple(delivery.dropped),
        replaced=written.replaced,
    )


def written_text(applied: Applied) -> str:
    """The path of the result, its number of files, and what a conversion left out."""
    if not applied.files:
        dropped = listed(list(map(shown, applied.dropped)), at_most=5)
        return f"{shown(applied.output)}: " + (f"removed {dropped}" if dropped else "nothing to change")
    wrote = (
        f"{'replaced' if applied.replaced else 'wrote'} {shown(applied.output)} ({count(len(applied.files), 'file')})"
    )
    if not applied.converted_to:
        return wrote
    left = _beside(applied.plan.checkpoint)
    if applied.converted_to != SAFETENSORS.title and (keys := _metadata(applied.plan.checkpoint)):
        left.append(f"metadata ({listed(list(map(shown, keys)), at_most=5)})")
    return f"{wrote}, converted to {applied.converted_to}" + (f" without {listed(left, at_most=5)}" if left else "")


def _metadata(checkpoint: Checkpoint) -> list[str]:
    """The keys of safetensors metadata, without ties and the name of the library."""
    if not checkpoint.is_safetensors:
        return []
    said = {key for entries in checkpoint.metadata.values() for key in entries}
    return sorted(said - {FORMAT} - {alias for tensor in checkpoint.tensors for alias in tensor.aliases})


def _beside(checkpoint: Checkpoint) -> list[str]:
    """Everything outside of the state dict: optimizers, keys of tensors, and other keys."""
    of_optimizers = {name for optimizer in checkpoint.optimizers for name in optimizer.tensors}
    states = [tensor.name for tensor in checkpoint.outside if tensor.name in of_optimizers]
    others = [_key(tensor.name) for tensor in checkpoint.outside if tensor.name not in of_optimizers]
    contents = [key for entries in checkpoint.contents.values() for key in entries if checkpoint.root]
    left_out = {_key(checkpoint.root), *set(map(_key, states)).difference(others)}
    optimizers = [f"{_optimizers(checkpoint)} ({count(len(states), 'tensor')})"] if states else []
    return [*optimizers, *(shown(key) for key in dict.fromkeys([*others, *contents]) if key not in left_out)]


def _optimizers(checkpoint: Checkpoint) -> str:
    return "the optimizer" if len(checkpoint.optimizers) == 1 else "the optimizers"


def _key(name: str) -> str:
    return name.partition(".")[0]
