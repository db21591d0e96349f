"""An initializer: its parameters, and how it resolves to a law for one tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from initctl.stream import WholeFill

if TYPE_CHECKING:
    from initctl.initializers.parameters import Parameter, Value
    from initctl.stream import Fill
    from initctl.tensors import TensorSpec

Arguments = Mapping[str, "Value"]


class Unfit(Exception):  # noqa: N818 - a fact that planning turns into an error with tensor and rule
    """An initializer cannot serve a tensor of this shape or dtype; the message says why, without naming it."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """The law for one tensor, and the numbers that led to it and are worth showing (`fan_in`, `std`)."""

    fill: Fill | WholeFill
    numbers: Mapping[str, int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Initializer:
    """A named way to compute initial values.

    `build(tensor, **arguments)` gets every parameter by name and returns the law for that tensor, or raises `Unfit`.
    `check(arguments)` sees the arguments that a rule gives, before any tensor is known, and raises `RuleError` where
    they do not go together.
    """

    name: str
    build: Callable[..., Resolved]
    parameters: tuple[Parameter, ...] = ()
    summary: str = ""
    formula: str = ""
    source: str = ""
    example: str = ""
    aliases: tuple[str, ...] = ()
    check: Callable[[Arguments], None] | None = None


@dataclass(frozen=True, slots=True)
class Bound:
    """An initializer with the arguments of one rule, defaults filled in, ready for any tensor."""

    initializer: Initializer
    arguments: Mapping[str, Value | None]

    @property
    def told(self) -> dict[str, Value]:
        """The arguments without optional ones that are what they are by default."""
        untold = {p.name: p.default for p in self.initializer.parameters if p.optional}
        arguments = self.arguments.items()
        return {name: value for name, value in arguments if value is not None and value != untold.get(name)}

    def resolve(self, tensor: TensorSpec) -> Resolved:
        """The law for `tensor`. Raises `Unfit`, also where a package's initializer gives what is none."""
        resolved = self.initializer.build(tensor, **self.arguments)
        fill = getattr(resolved, "fill", None)
        if not isinstance(fill, WholeFill) and not hasattr(fill, "values"):
            given = type(resolved if fill is None else fill).__name__
            raise Unfit(f"it resolves to {given}, which neither has `values` nor is a `WholeFill`")
        return resolved
