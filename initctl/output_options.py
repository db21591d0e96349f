"""The output of `apply`, and what it may replace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from initctl.applied import Applied, applied
from initctl.distributed.applying import execute_together
from initctl.errors import Problem, UsageError, shown
from initctl.execution import Delivery, FormatChoice, check_resizable, decide_format, decide_stale, execute
from initctl.execution.stale_files import KEEP_STALE

if TYPE_CHECKING:
    from initctl.distributed.ranks import Ranks
    from initctl.events import Event
    from initctl.formats import Checkpoint
    from initctl.planning import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """The arguments of `initctl.apply` about its output: `path` or `in_place`, and their options."""

    path: str | None
    in_place: bool | Literal["patch", "resume"]
    overwrite: bool | None
    max_shard_size: str | None
    stale: str | None

    def __post_init__(self) -> None:
        """Raises `UsageError` if they contradict each other."""
        if self.in_place not in (False, True, "patch", "resume"):
            fault = f"in_place: {shown(self.in_place)} is not True, False, 'patch' or 'resume'"
            raise UsageError(Problem("output.patch", fault))
        if bool(self.in_place) == (self.path is not None):
            raise UsageError(
                Problem(
                    "output.choice",
                    "no output given" if self.path is None else "two outputs given",
                    "use -o OUT or --in-place" + ("" if self.path is None else ", not both"),
                )
            )
        if self.in_place and self.overwrite is False:
            fault = "--in-place and --no-clobber exclude each other: in place, the checkpoint is replaced"
            raise UsageError(Problem("output.no_clobber", fault, "use -o"))
        if self.in_place and self.overwrite:
            fault = "--force has no effect with --in-place, which always replaces the checkpoint"
            raise UsageError(Problem("output.force", fault, "leave it out"))
        if self.in_place and self.max_shard_size is not None:
            fault = "--max-shard-size has no effect with --in-place, which keeps the shards"
            raise UsageError(Problem("output.shard_size", fault, "use -o"))

    @property
    def is_patch(self) -> bool:
        """Whether bytes of the checkpoint are overwritten."""
        return self.in_place in ("patch", "resume")

    def format_of(self, checkpoint: Checkpoint, *, is_reset: bool) -> FormatChoice:
        """The format that `checkpoint` is converted to, if any.

        Raises `UsageError` if initctl cannot write it, or if `is_reset` and a conversion would leave out the optimizer.
        """
        found = decide_format(self.path, checkpoint, self.max_shard_size)
        check_resizable(checkpoint, self.path, found.conversion, patch=self.is_patch, is_reset=is_reset)
        if found.conversion and is_reset:
            fault = "--reset-optimizer cannot be used in a conversion, which writes only the weights"
            hint = "reset it first and convert the result; or leave the flag out and train with a new optimizer"
            raise UsageError(Problem("output.reset_optimizer", fault, hint))
        return found

    def write(
        self,
        plan: Plan,
        choice: FormatChoice,
        *,
        ranks: Ranks | None,
        threads: int | None,
        on_event: Callable[[Plan | Event], None] | None,
    ) -> Applied:
        """Apply `plan`, by all `ranks` if there are several, and write the result in the format of `choice`."""
        delivery = self.delivery(plan, choice)
        if on_event:
            on_event(delivery.plan)
        if ranks:
            written = execute_together(delivery, ranks, threads=threads, on_event=on_event)
        else:
            written = execute(delivery, threads=threads, on_event=on_event)
        return applied(delivery, written, choice.warnings)

    def delivery(self, plan: Plan, choice: FormatChoice) -> Delivery:
        """How the result of `plan` is delivered, in the format of `choice`. Its plan warns of what is left out."""
        stale = KEEP_STALE if self.in_place == "resume" else self.stale
        decision = decide_stale(
            plan.checkpoint, self.path, conversion=choice.conversion, patch=self.is_patch, stale=stale
        )
        made = replace(plan, warnings=decision.replacing(plan.warnings))
        return Delivery(made, self.path, choice.conversion, self.overwrite, decision.dropped, self.is_patch)
