"""An initializer: its parameters, and how it resolves to a law for one tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from initctl.errors import Excerpt, RuleError, shown
from initctl.initializers.parameters import Argument, Parameter, Refused
from initctl.rules import Expression, Undefined, Value
from initctl.stream import AnyLaw, RevisingLaw, WholeLaw

if TYPE_CHECKING:
    from initctl.tensors import TensorSpec

Arguments = Mapping[str, "Argument"]


class Unfit(Exception):  # noqa: N818 - a fact that planning turns into an error with tensor and rule
    """An initializer cannot fill a tensor of this shape or dtype; the message says why, without the tensor's name.

    `excerpt` shows the faulty part of the rule, if there is one. `needs` is a condition for a rule's `where`, which
    holds for every tensor that the initializer could fill. `hint` says what to do, if that does not depend on others.
    """

    def __init__(
        self, message: str, excerpt: Excerpt | None = None, *, needs: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.excerpt = excerpt
        self.needs = needs
        self.hint = hint


def check_dims(tensor: TensorSpec, expected: str, least: int, most: int | None = None) -> None:
    """Raise `Unfit` unless `tensor` has `least` to `most` dims, by default exactly `least`; `expected` says why."""
    needs = f"ndim >= {least} and ndim <= {most}" if most else f"ndim == {least}"
    if not least <= len(tensor.shape) <= (most or least):
        raise Unfit(f"{expected}, but it has {len(tensor.shape)}", needs=needs)


@dataclass(frozen=True, slots=True)
class Resolved:
    """The law for one tensor, and the derived numbers that are worth showing (`fan_in`, `std`)."""

    law: AnyLaw
    numbers: Mapping[str, int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Initializer:
    """A named way to compute initial values.

    `build(tensor, **arguments)` gets every parameter by name and returns the law for that tensor, or raises `Unfit`. It
    is called once for all tensors of one dtype and shape, and does not see a name: values that depend on the name are
    arguments. `check(arguments)` gets the arguments of a rule, before any tensor is known, and raises `RuleError` if
    they contradict each other.
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
class BoundCall:
    """An initializer with the arguments of one rule, including defaults; `given` are the names that the rule gives.

    If an argument is an expression, call `evaluated` before `resolve`.
    """

    initializer: Initializer
    arguments: Mapping[str, Argument | Expression | None]
    given: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Raise `RuleError` if arguments contradict each other; expressions are checked later."""
        if self.initializer.check and not self.expressions:
            self.initializer.check({name: self.values[name] for name in self.given})

    @classmethod
    def of(cls, initializer: Initializer, given: Mapping[str, Argument | Expression]) -> BoundCall:
        """`initializer` with `given` arguments and its defaults for the rest. Raises `RuleError` as `check` does."""
        arguments = {p.name: given.get(p.name, p.default) for p in initializer.parameters}
        return cls(initializer, arguments, frozenset(given))

    @property
    def values(self) -> dict[str, Argument]:
        """The arguments that are present and are not expressions."""
        return {
            name: value
            for name, value in self.arguments.items()
            if value is not None and not isinstance(value, Expression)
        }

    @property
    def expressions(self) -> dict[str, Expression]:
        """The arguments whose values depend on the tensor."""
        return {name: value for name, value in self.arguments.items() if isinstance(value, Expression)}

    def evaluated(self, lookup: Callable[[str], Value]) -> BoundCall:
        """The same call with values for its expressions; `lookup` returns the values of names.

        Raises `Unfit` if an expression has no value, or a value that its parameter does not accept.
        """
        values = {name: self._value(name, expression, lookup) for name, expression in self.expressions.items()}
        try:
            return BoundCall(self.initializer, {**self.arguments, **values}, self.given)
        except RuleError as error:
            raise Unfit("; ".join(map(str, error.problems))) from None

    def _value(self, name: str, expression: Expression, lookup: Callable[[str], Value]) -> Argument:
        parameter = next(parameter for parameter in self.initializer.parameters if parameter.name == name)
        place = f"{name}={shown(expression.text)}"
        try:
            return parameter.type.check(expression.value(lookup))
        except Undefined as fact:
            raise Unfit(f"{place}: {fact}", fact.excerpt) from None
        except Refused as fact:
            raise Unfit(f"{place}: {fact}", expression.source) from None

    @property
    def shown_arguments(self) -> dict[str, Argument]:
        """The arguments that a plan shows: all values but optional ones at their defaults."""
        hidden = {p.name: p.default for p in self.initializer.parameters if p.optional}
        return {name: value for name, value in self.values.items() if value != hidden.get(name)}

    def resolve(self, tensor: TensorSpec) -> Resolved:
        """The law for `tensor`. Raises `Unfit`, also if a plugin returns something that is not a law."""
        resolved = self.initializer.build(tensor, **self.arguments)
        law = getattr(resolved, "law", None)
        if not isinstance(law, (WholeLaw, RevisingLaw)) and not hasattr(law, "values"):
            given = type(resolved if law is None else law).__name__
            raise Unfit(f"it resolves to {given}, which has no `values` and is not a `WholeLaw`")
        return resolved
