"""What execution tells while it goes on."""

from __future__ import annotations

from dataclasses import dataclass

from initctl.filling import Chosen, Progress


@dataclass(frozen=True, slots=True)
class Committed:
    """The result is in place, and stays whatever comes."""


Event = Chosen | Progress | Committed
