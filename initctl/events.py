"""Events that are reported while a plan is applied or a checkpoint is verified."""

from __future__ import annotations

from typing import NamedTuple


class Compiling(NamedTuple):
    """Code is being compiled, once for a machine, which takes about half a minute; reported before it begins."""


class Chosen(NamedTuple):
    """The engine that computes for `device`, and why; reported before anything is computed."""

    device: str
    engine: str
    reason: str


class Progress(NamedTuple):
    """Bytes done so far, and in total: written or compared."""

    done: int
    total: int


class Committed(NamedTuple):
    """The result is in place, and stays there even if a later step fails."""


Event = Compiling | Chosen | Progress | Committed
