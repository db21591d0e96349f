"""What is not as it should be: an element, a tensor, a file."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any


@dataclass(frozen=True, slots=True)
class Difference:
    """The first element of a tensor, at `index`, that is not as it should be. The numbers are as they are stored."""

    tensor: str
    index: tuple[int, ...]
    expected: complex
    found: complex

    def to_json(self) -> dict[str, Any]:
        return {
            "tensor": self.tensor,
            "index": list(self.index),
            "expected": _written(self.expected),
            "found": _written(self.found),
        }


@dataclass(frozen=True, slots=True)
class FileDifference:
    """What is wrong with a `file`; where it is a byte, the first, `at` is its number."""

    file: str
    fault: str
    at: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {"file": self.file, "fault": self.fault, "byte": self.at}


@dataclass(frozen=True, slots=True)
class Lost:
    """A tensor that the result holds as another, or not at all, or has no reason to hold; `fault` says which."""

    tensor: str
    fault: str

    def to_json(self) -> dict[str, str]:
        return {"tensor": self.tensor, "fault": self.fault}


def _written(number: complex) -> float | str:
    """A number as JSON can hold it."""
    return number if isinstance(number, (int, float)) and isfinite(number) else str(number)
