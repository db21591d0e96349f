"""Which rule decides which tensor, or which of its rows: the last one that covers them and may touch the tensor."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import Problem, RuleError, shown
from initctl.formats.optimizers.masters import of_optimizers
from initctl.initializers import KEEP, REGISTRY, Unfit
from initctl.initializers.fans import Arrangement, arrangement_of
from initctl.planning.computed import computed_kind
from initctl.planning.lookup import Lookup, check_names
from initctl.planning.quantization.config import method_named_in
from initctl.planning.quantization.weights import quantized_weights
from initctl.rules import Undefined
from initctl.rules.expressions import CONFIG

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from initctl.formats import Checkpoint
    from initctl.initializers import BoundCall
    from initctl.planning.lookup import Surroundings
    from initctl.planning.quantization.weights import QuantizedWeight
    from initctl.rules import Expression, Rule
    from initctl.tensors import TensorSpec

    Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class BoundRule:
    """A rule whose initializer is known and has its arguments; without an initializer it keeps."""

    rule: Rule
    initializer: BoundCall | None

    @property
    def arrangement(self) -> Arrangement:
        """How it says that a weight lies."""
        return arrangement_of(self.initializer.values) if self.initializer else Arrangement()

    @property
    def uses_config(self) -> bool:
        """Whether it may ask for a value of config.json, if not by a variable."""
        return asks_config(self.expressions)

    @property
    def expressions(self) -> Iterator[Expression]:
        """All that it computes for a tensor."""
        if self.rule.where:
            yield self.rule.where
        if rows := self.rule.selector.rows:
            yield from rows.bounds
        if self.initializer:
            yield from self.initializer.expressions.values()


def asks_config(expressions: Iterable[Expression]) -> bool:
    """Whether one of them asks for a value of config.json."""
    return any(name.startswith(CONFIG) for expression in expressions for name in expression.names)


@dataclass(slots=True)
class Coverage:
    """What one rule matches: tensors that it decides, that later rules decide instead (`lost`, to `lost_to`), that a
    pattern may not touch (`left_alone`), that its condition leaves out, and that it cannot be asked about (`unfit`).
    """

    rule: Rule
    decided: list[TensorSpec] = field(default_factory=list)
    lost: list[TensorSpec] = field(default_factory=list)
    lost_to: list[Rule] = field(default_factory=list)
    left_alone: list[TensorSpec] = field(default_factory=list)
    left_out: list[TensorSpec] = field(default_factory=list)
    unfit: list[tuple[TensorSpec, Unfit]] = field(default_factory=list)

    @property
    def matched(self) -> list[TensorSpec]:
        """All of them."""
        return [*self.decided, *self.lost, *self.left_alone, *self.left_out, *(tensor for tensor, _ in self.unfit)]


class Part(NamedTuple):
    """A tensor, or some rows of it, and the rule that decides it, if any does. `rows` are None where it is whole."""

    tensor: TensorSpec
    rows: Span | None
    decision: BoundRule | None


@dataclass(frozen=True, slots=True)
class Decisions:
    """Every tensor in parts, in order, and the reach of each rule, in theirs; and which tensors are quantized."""

    parts: tuple[Part, ...]
    reaches: tuple[Coverage, ...]
    quantized: Mapping[str, QuantizedWeight] = field(default_factory=dict)


def bind(rule: Rule) -> BoundRule:
    """`rule` with its initializer found, its arguments checked, and every name known. Raises `RuleError`."""
    try:
        bound = BoundRule(rule, _initializer(rule))
        for expression in bound.expressions:
            check_names(expression, rule)
    except RuleError as error:
        raise error.prefixed(f"{rule}: ") from None
    return bound


def _initializer(rule: Rule) -> BoundCall | None:
    if rule.call.name != KEEP:
        return REGISTRY.bind(rule.call)
    if rule.call.arguments:
        raise RuleError(Problem("rule.parameter", f"{KEEP} takes no parameters", None, rule.call.place))
    return None


def decide(tensors: Sequence[TensorSpec], rules: Sequence[BoundRule], around: Surroundings) -> Decisions:
    """The rule that decides each tensor, or each of its rows, if any does."""
    reaches = tuple(Coverage(bound.rule) for bound in rules)
    quantized = quantized_weights(tensors, partial(method_named_in, around.checkpoint.home))
    closed = quantized.keys() | _of_optimizers(around.checkpoint)
    parts: list[Part] = []
    for tensor in tensors:
        covering: list[_Claim] = []
        for bound, reach in zip(rules, reaches, strict=True):
            if not bound.rule.selector.names.matches(tensor.name, around.highest):
                continue
            try:
                if not _holds(bound, tensor, around):
                    reach.left_out.append(tensor)
                elif not may_touch(bound, tensor, closed):
                    reach.left_alone.append(tensor)
                else:
                    covering.append(_Claim(bound, reach, _rows(bound, tensor, around)))
            except Unfit as fact:
                reach.unfit.append((tensor, fact))
        parts += _parts(tensor, covering)
    return Decisions(tuple(parts), reaches, quantized)


def _of_optimizers(checkpoint: Checkpoint) -> frozenset[str]:
    """The names of tensors that an explicit root takes in though they are an optimizer's."""
    root = f"{checkpoint.root}." if checkpoint.root else ""
    names = of_optimizers(checkpoint.optimizers, checkpoint.masters)
    return frozenset(name.removeprefix(root) for name in names)


def may_touch(bound: BoundRule, tensor: TensorSpec, closed: Container[str]) -> bool:
    """Whether a rule that matches `tensor` may decide it. A pattern with wildcards takes plain floats only: nothing
    whose name is `closed` to it, as the parts of a quantized weight are, and nothing that the model computes.
    """
    if bound.initializer is None or not bound.rule.selector.names.has_wildcards:
        return True
    is_plain = tensor.dtype.is_floating and not tensor.unwritable
    return is_plain and tensor.name not in closed and computed_kind(tensor) is None


class _Claim(NamedTuple):
    """A rule that may decide some rows of a tensor, or all where `rows` are None."""

    bound: BoundRule
    reach: Coverage
    rows: Span | None


def _parts(tensor: TensorSpec, covering: Sequence[_Claim]) -> list[Part]:
    """`tensor` in parts, each decided by the last rule that covers it. What a rule gets or loses, its reach notes."""
    whole = (0, tensor.shape[0] if tensor.shape else 1)
    segments: list[tuple[Span, BoundRule | None]] = [(whole, None)]
    for bound, _, rows in covering:
        segments = _laid_over(segments, rows or whole, bound)
    deciding = [bound for _, bound in segments if bound]
    for bound, reach, rows in covering:
        if any(decision is bound for decision in deciding):
            reach.decided.append(tensor)
            continue
        reach.lost.append(tensor)
        for span, later in segments:
            if later and later.rule not in reach.lost_to and (rows is None or _shared(span, rows)):
                reach.lost_to.append(later.rule)
    return [Part(tensor, None if span == whole else span, bound) for span, bound in segments]


def _laid_over(
    segments: Sequence[tuple[Span, BoundRule | None]], rows: Span, bound: BoundRule
) -> list[tuple[Span, BoundRule | None]]:
    """`segments` in order, with `rows` decided by `bound`."""
    start, stop = rows
    before = [((s, min(e, start)), decision) for (s, e), decision in segments if s < start]
    after = [((max(s, stop), e), decision) for (s, e), decision in segments if e > stop]
    return [*before, (rows, bound), *after]


def _shared(one: Span, other: Span) -> bool:
    return max(one[0], other[0]) < min(one[1], other[1])


def _holds(bound: BoundRule, tensor: TensorSpec, around: Surroundings) -> bool:
    """Whether the rule's condition holds for `tensor`. Raises `Unfit` where it has no answer."""
    rule = bound.rule
    if not rule.where:
        return True
    try:
        answer = rule.where.value(Lookup(rule, tensor, around, bound.arrangement))
    except Undefined as fact:
        raise Unfit(f"where {shown(rule.where.text)}: {fact}", fact.excerpt) from None
    if not isinstance(answer, bool):
        raise Unfit(f"where {shown(rule.where.text)}: is {shown(answer)}, neither true nor false")
    return answer


def _rows(bound: BoundRule, tensor: TensorSpec, around: Surroundings) -> Span | None:
    """The rows of `tensor` that a rule takes, or None for all. Raises `Unfit` where there are none such."""
    rows = bound.rule.selector.rows
    if not rows:
        return None
    if not tensor.shape:
        raise Unfit("it has no rows: it has no dims", needs="ndim >= 1")
    lookup, count = Lookup(bound.rule, tensor, around, bound.arrangement), tensor.shape[0]
    first = _row(rows.start, lookup) if rows.start else None
    last = _row(rows.stop, lookup) if rows.stop else None
    for expression, row in ((rows.start, first), (rows.stop, last)):
        if expression and row is not None and not -count <= row <= count:
            fault = f"rows {_span_text(first, last)} were asked for, and it has {count}"
            raise Unfit(fault, expression.source)
    start, stop, _ = slice(first, last).indices(count)
    if start >= stop and count:
        raise Unfit(f"{shown(rows.text)} takes no rows: from {start} to {stop}, of {count}")
    return start, stop


def _span_text(start: int | None, stop: int | None) -> str:
    """Rows as they are asked for."""
    if stop is None:
        return f"from {start} on"
    return f"up to {stop}" if start is None else f"{start} to {stop}"


def _row(expression: Expression, lookup: Lookup) -> int:
    """The row that `expression` gives, which may be the result of a division. Raises `Unfit` if it is not whole."""
    try:
        value = expression.value(lookup)
    except Undefined as fact:
        raise Unfit(f"{shown(expression.text)}: {fact}", fact.excerpt) from None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int:
        raise Unfit(f"{shown(expression.text)} is {shown(value)}, not a whole number")
    return value
