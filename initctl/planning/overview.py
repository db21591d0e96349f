"""A plan as a table to read: a row for each part of each tensor, with the numbers that matter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from initctl.display.blocks import ARROW
from initctl.display.colors import DIM
from initctl.display.folding import listing
from initctl.display.tables import Listing, count, shape_text, size_text
from initctl.errors import shown
from initctl.initializers import KEEP, REGISTRY
from initctl.planning.action import RESET, Action, Kept
from initctl.stream.devices import CPU

if TYPE_CHECKING:
    from initctl.rules import Rule
    from initctl.tensors import TensorSpec, Totals

_HEADING = ("tensor", "shape", "dtype", "rule", "initializer")
_SPARE = (("dtype",), ("shape",), ("rule",))


def overview(parts: Sequence[Action | Kept], *, unfold: bool) -> Listing:
    """One row a part, in order; a long list folded unless `unfold`."""
    known: dict[Hashable, tuple[str, ...]] = {}  # similar tensors differ only in the first cell
    rows: list[tuple[str, tuple[str, ...]]] = []
    brief: dict[str, str] = {}  # rules without what they take
    for part in parts:
        law = (id(part.arguments), id(part.derived)) if isinstance(part, Action) else None
        key = (shape_change(part.tensor), part.tensor.dtype.name, id(part.rule), law)
        if key not in known:
            known[key] = _rest(part)
            brief[rule_text(part.rule)] = part.rule.origin.brief if part.rule else "-"
        rows.append((part_name(part), known[key]))
    listed = [(name, *rest) for name, rest in listing(rows, unfold=unfold)]
    styles = [DIM if initializer == KEEP else "" for *_, initializer in listed]
    return Listing(_HEADING, listed, brief=brief, spare=_SPARE, styles=styles)


def amount(totals: Totals, in_part: int = 0) -> str:
    """`totals` as text; `in_part` of the tensors are only partly affected."""
    if not totals.tensors:
        return "none"
    tensors = count(totals.tensors, "tensor")
    if in_part:
        tensors += " in part" if in_part == totals.tensors else f", {in_part} of them in part"
    return f"{tensors} ({count(totals.elements, 'element')}, {size_text(totals.bytes)})"


def on_devices(actions: Iterable[Action]) -> Iterator[str]:
    """How many tensors each device other than the CPU computes."""
    devices = Counter(action.device for action in actions if action.device != CPU)
    return (f"{count(number, 'tensor')} on {device}" for device, number in devices.items())


def part_name(part: Action | Kept) -> str:
    """The tensor's name, with the rows if the part has only some."""
    return part.tensor.name + (f"[{part.rows[0]}:{part.rows[1]}]" if part.rows else "")


def _rest(part: Action | Kept) -> tuple[str, ...]:
    initializer = KEEP if isinstance(part, Kept) else initializer_text(part)
    return shape_change(part.tensor), part.tensor.dtype.name, rule_text(part.rule), initializer


def shape_change(tensor: TensorSpec) -> str:
    """The shape of a tensor, after its old one if that differs."""
    return (f"{shape_text(tensor.old.shape)}{ARROW}" if tensor.old else "") + shape_text(tensor.shape)


def rule_text(rule: Rule | None) -> str:
    """A rule's source and its pattern; a reset has no pattern, since the row names the one tensor."""
    if rule is None:
        return "-"
    names, rows = rule.selector
    return (
        rule.source if rule.source == RESET else f"{rule.source}: {shown(names.pattern + (rows.text if rows else ''))}"
    )


def initializer_text(action: Action) -> str:
    """The initializer with its parameters, except defaults that derived numbers replace."""
    defaults = {p.name: p.default for p in REGISTRY.find(action.initializer).parameters}
    decisive = {
        name: value for name, value in action.arguments.items() if not action.derived or value != defaults.get(name)
    }
    numbers = {**decisive, **action.derived}.items()
    return " ".join((action.initializer, *(f"{name}={number(value)}" for name, value in numbers)))


def number(value: float | str) -> str:
    """A parameter's value, numbers to six digits."""
    if isinstance(value, str):
        return shown(value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
