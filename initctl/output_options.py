"""Where the result of `apply` goes, and what it may replace there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from initctl.applied import Applied
from initctl.errors import Problem, UsageError, shown
from initctl.execution import FormatChoice, decide_format, decide_stale, execute

if TYPE_CHECKING:
    from initctl.events import Event
    from initctl.formats import Checkpoint
    from initctl.planning import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """The arguments of `initctl.apply` that are about its output: `path`, or `in_place`, and what goes with them."""

    path: str | None
    in_place: bool | Literal["patch"]
    overwrite: bool | None
    max_shard_size: str | None
    stale: str | None

    def __post_init__(self) -> None:
        """Raises `UsageError` if they contradict each other."""
        if self.in_place not in (False, True, "patch"):
            fault = f"in_place: {shown(self.in_place)} is neither True, False nor 'patch'"
            raise UsageError(Problem("output.patch", fault))
        if bool(self.in_place) == (self.path is not None):
            raise UsageError(
                Problem(
                    "output.choice",
                    "no output" if self.path is None else "two outputs",
                    "give either -o OUT or --in-place",
                )
            )
        if self.in_place and self.overwrite is False:
            fault = "no-clobber: in place the checkpoint itself is replaced"
            raise UsageError(Problem("output.no_clobber", fault, "use -o"))
        if self.in_place and self.overwrite:
            fault = "force: in place the checkpoint itself is replaced"
            raise UsageError(Problem("output.force", fault, "leave it out"))
        if self.in_place and self.max_shard_size is not None:
            fault = "max-shard-size: in place shards stay as they are"
            raise UsageError(Problem("output.shard_size", fault, "use -o"))

    def format_of(self, checkpoint: Checkpoint, *, is_reset: bool) -> FormatChoice:
        """What `checkpoint` is converted to, if anything.

        Raises `UsageError` if initctl cannot write that; or if an optimizer `is_reset`, and a conversion leaves it out.
        """
        found = decide_format(self.path, checkpoint, self.max_shard_size)
        if found.conversion and is_reset:
            fault = "reset-optimizer: a conversion writes the weights, and resets no optimizer"
            hint = "reset it without a conversion, and convert the result; or leave it out, and train with a new one"
            raise UsageError(Problem("output.reset_optimizer", fault, hint))
        return found

    def write(
        self,
        plan: Plan,
        choice: FormatChoice,
        *,
        threads: int | None,
        on_event: Callable[[Plan | Event], None] | None,
    ) -> Applied:
        """Do what `plan` says, and write the result in the format of `choice`."""
        conversion, is_patch = choice.conversion, self.in_place == "patch"
        decision = decide_stale(plan.checkpoint, self.path, conversion=conversion, patch=is_patch, stale=self.stale)
        made = replace(plan, warnings=decision.replacing(plan.warnings))
        if on_event:
            on_event(made)
        written = execute(
            made,
            self.path,
            conversion=conversion,
            patch=is_patch,
            overwrite=self.overwrite,
            dropped=decision.dropped,
            threads=threads,
            on_event=on_event,
        )
        title = conversion.format.title if conversion else None
        return Applied(made, written.path, written.files, title, choice.warnings, written.engines, decision.dropped)
