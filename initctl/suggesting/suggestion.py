"""The suggestion for one tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.rules import quoted

if TYPE_CHECKING:
    from initctl.tensors import RowRange, TensorSpec


class Suggestion(NamedTuple):
    """The law that `tensor` should start from, or some `rows` of it.

    `role` is one of `ROLES`. `initializer` is the part of a rule after the `=`, such as `normal:std=0.02` or `keep`.
    `reason` is a sentence, and `source` is the paper, or the library and class, that it is from; it is empty if the
    tensor is kept. If a preset's rule decided, `preset` is its name.

    A suggestion with `rows` follows the one for the whole tensor, and decides these rows in its place.
    """

    tensor: TensorSpec
    role: str
    initializer: str
    reason: str
    source: str
    preset: str | None = None
    rows: RowRange | None = None

    @property
    def rule(self) -> str:
        """The rule that does exactly this, as for `-r`."""
        rows = "[{}:{}]".format(*self.rows) if self.rows else ""
        return f"{quoted(self.tensor.name)}{rows}={self.initializer}"

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.tensor.name,
            "dtype": self.tensor.dtype.name,
            "shape": list(self.tensor.shape),
            "rows": self.rows and list(self.rows),
            "role": self.role,
            "initializer": self.initializer,
            "reason": self.reason,
            "source": self.source,
            "preset": self.preset,
        }
