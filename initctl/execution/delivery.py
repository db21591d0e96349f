"""A plan, and how its result is delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.execution.output_format import Conversion
    from initctl.planning import Plan


class Delivery(NamedTuple):
    """The result of `plan` is written to `output`; in place if that is None.

    `conversion` is the output's kind if it differs from the input's. Files of a directory that are `dropped` are not
    copied. By default a file at `output` is replaced only if it is a checkpoint; `overwrite=True` replaces any file,
    False none. With `patch`, in place, only the bytes that rules fill are overwritten.
    """

    plan: Plan
    output: str | None = None
    conversion: Conversion | None = None
    overwrite: bool | None = None
    dropped: Sequence[str] = ()
    patch: bool = False

    @property
    def path(self) -> str:
        """The path of the result, as messages call it."""
        return self.plan.checkpoint.path if self.output is None else self.output
