"""The options of `initctl apply` about results that several processes write in parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from initctl.cli import panels
from initctl.cli.options import flag, written
from initctl.errors import Problem, UsageError, listed, shown
from initctl.integers import counting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from initctl.cli.output import Output
    from initctl.distributed.parts import Parts
    from initctl.distributed.progress import Split, Status
    from initctl.distributed.receipt import Receipt


@dataclass(frozen=True, kw_only=True)
class PartOptions:
    """Which step of writing a result in parts; none writes it as a whole."""

    part: str | None = typer.Option(
        None,
        "--part",
        metavar="I/N",
        rich_help_panel=panels.PARTS,
        help="Write only part I of N, beside OUT. Other processes write the others, in any order.",
    )
    commit: bool = flag(
        "--commit", panel=panels.PARTS, text="When all parts are written, put the result in place, in one step."
    )
    status: bool = flag("--status", panel=panels.PARTS, text="Show which parts are written.")
    parts: int | None = typer.Option(
        None,
        "--parts",
        metavar="N",
        callback=lambda text: counting("parts", written(text)),
        rich_help_panel=panels.PARTS,
        help="Show what each of N parts would write, and write nothing.",
    )

    def __post_init__(self) -> None:
        """Raises `UsageError` if several steps are given, or a part that cannot be."""
        if self.part is not None:
            self.numbers(self.part)
        if len(self.given) > 1:
            fault = f"{listed(self.given, at_most=4)}: these are different steps"
            raise UsageError(Problem("usage.parts", fault, "use one at a time"))

    @property
    def given(self) -> list[str]:
        """The options that are given: one, or none."""
        steps = {"--part": self.part, "--commit": self.commit, "--status": self.status, "--parts": self.parts}
        return [name for name, value in steps.items() if value]

    @staticmethod
    def numbers(part: str) -> tuple[int, int]:
        """The numbers in `I/N`. Raises `UsageError`."""
        first, slash, last = part.partition("/")
        number, parts = written(first), written(last)
        if not (slash and isinstance(number, int) and isinstance(parts, int)):
            fault = f"--part: {shown(part)} is not the number of a part and the number of parts"
            raise UsageError(Problem("usage.part", fault, "give both, as in --part 1/8"))
        if not 1 <= number <= parts:
            raise UsageError(
                Problem("usage.part", f"part {shown(part)} does not exist", "parts are numbered from 1 to N")
            )
        return number, parts

    def check(self, output: str | None, others: Mapping[str, object]) -> None:
        """Raise `UsageError` if `output` is missing, or one of `others` is given: options of a whole result."""
        (step,) = self.given
        for name in (name for name, value in others.items() if value):
            hint = "write to a new place with -o OUT" if name == "--in-place" else f"give {name} to --commit"
            raise UsageError(Problem("usage.parts", f"{step} cannot be combined with {name}", hint))
        if output is None:
            raise UsageError(Problem("output.choice", "no output given", "use -o OUT"))

    def take(self, parts: Parts, out: Output, *, unfold: bool) -> None:
        """Take the step, unless it is a commit, and show its result."""
        found: Receipt | Split | Status
        if self.part is not None:
            with out.events("writing") as said:
                found = parts.write(*self.numbers(self.part), threads=out.threads, on_event=said)
        elif self.parts is not None:
            found = parts.split(self.parts)
        else:
            found = parts.status()
        out.result("apply", found.to_json, lambda: found.report(unfold=unfold))
