"""A plan as a table and totals, and what applying it did."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import chain
from typing import TYPE_CHECKING

from initctl.errors import listed, shown
from initctl.formats.state_dicts.ties import FORMAT
from initctl.formats.writing.formats import SAFETENSORS
from initctl.initializers import KEEP, REGISTRY
from initctl.planning import Kept
from initctl.planning.optimizers import SOURCE as RESET
from initctl.planning.plan import PHILOX
from initctl.report.folding import listing
from initctl.report.tables import Listing, count, shape_text, size_text
from initctl.stream.engines.choosing import CPU

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.api import Applied
    from initctl.formats import Checkpoint
    from initctl.planning import Action, Plan
    from initctl.planning.plan import Totals
    from initctl.report.tables import Report
    from initctl.rules import Rule

_HEADING = ("tensor", "shape", "dtype", "rule", "initializer")


def plan_report(plan: Plan, *, unfold: bool) -> Report:
    """One row a tensor, in the checkpoint's order, and totals; long lists folded unless `unfold`."""
    by_tensor: dict[int, list[Action | Kept]] = defaultdict(list)
    decided: list[Action | Kept] = [*plan.actions, *plan.kept]
    for entry in decided:
        by_tensor[id(entry.tensor)].append(entry)
    parts = chain.from_iterable(sorted(by_tensor[id(t)], key=_first_row) for t in plan.checkpoint.tensors)
    entries = [*parts, *plan.resets]
    totals = f"initialize {_initialized(plan)}; keep {_kept(plan)}{_rest_of_totals(plan)}"
    return [_rows(entries, unfold=unfold), "", totals]


def applied_report(applied: Applied, *, unfold: bool) -> Report:
    """The rows of what was filled, totals, and where the result lies."""
    actions = (*applied.plan.actions, *applied.plan.resets)
    rows = (_rows(actions, unfold=unfold), "") if actions else ()
    return [*rows, *written_report(applied)]


def written_report(applied: Applied) -> Report:
    """How much was filled, and where the result lies."""
    plan = applied.plan
    totals = f"initialized {_initialized(plan)}; kept {_kept(plan)}{_rest_of_totals(plan)}"
    return [totals, _written(applied)]


def _rows(entries: Sequence[Action | Kept], *, unfold: bool) -> Listing:
    rows = [(_name(entry), _rest(entry)) for entry in entries]
    return Listing(_HEADING, [(name, *rest) for name, rest in listing(rows, unfold=unfold)])


def _first_row(entry: Action | Kept) -> int:
    return entry.rows[0] if entry.rows else 0


def _name(entry: Action | Kept) -> str:
    """The tensor's name, with the rows where it is not taken whole."""
    return entry.tensor.name + (f"[{entry.rows[0]}:{entry.rows[1]}]" if entry.rows else "")


def _selector(rule: Rule) -> str:
    """What a rule takes, as it is written."""
    return rule.selector.names.pattern + (rule.selector.rows.text if rule.selector.rows else "")


def _rest(entry: Action | Kept) -> tuple[str, str, str, str]:
    initializer = KEEP if isinstance(entry, Kept) else initializer_text(entry)
    return shape_text(entry.tensor.shape), entry.tensor.dtype.name, _rule(entry.rule), initializer


def _rule(rule: Rule | None) -> str:
    """Where a rule comes from and what it takes; a reset takes one tensor, whose name is in the row already."""
    if rule is None:
        return "-"
    return rule.source if rule.source == RESET else f"{rule.source}: {shown(_selector(rule))}"


def initializer_text(action: Action) -> str:
    """The initializer with the numbers that decide: all of them, but for defaults that derived numbers stand for."""
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


def _initialized(plan: Plan) -> str:
    return _amount(plan.initialized, _in_part(plan))


def _kept(plan: Plan) -> str:
    return _amount(plan.kept_totals, _in_part(plan))


def _in_part(plan: Plan) -> int:
    """How many tensors are filled in part, and kept in part."""
    return len({id(action.tensor) for action in plan.actions if action.rows} & {id(kept.tensor) for kept in plan.kept})


def _amount(totals: Totals, in_part: int = 0) -> str:
    """So much; `in_part` of the tensors are not whole."""
    if not totals.tensors:
        return "none"
    tensors = count(totals.tensors, "tensor")
    if in_part:
        tensors += " in part" if in_part == totals.tensors else f", {in_part} of them in part"
    return f"{tensors} ({count(totals.elements, 'element')}, {size_text(totals.bytes)})"


def _rest_of_totals(plan: Plan) -> str:
    """What an optimizer forgets, the root, the seed, and how many tensors another device computes."""
    reset = f"; reset {_amount(plan.reset_totals)} of an optimizer" if plan.resets else ""
    devices = Counter(action.device for action in plan.actions if action.device != CPU)
    on = "".join(f"; {count(number, 'tensor')} on {device}" for device, number in devices.items())
    rng = "" if plan.rng == PHILOX else f" of {plan.rng}"
    return f"{reset}{_root(plan)}; seed {plan.seed}{rng}{on}"


def _root(plan: Plan) -> str:
    """Which state dict the rules reach, and how many tensors are outside of it; nothing if they reach all."""
    root, outside = plan.checkpoint.root, len(plan.checkpoint.outside)
    if root:
        return f"; root {shown(root)}" + (f", {count(outside, 'tensor')} outside of it" if outside else "")
    return f"; {count(outside, 'tensor')} outside of the state dict" if outside else ""


def _written(applied: Applied) -> str:
    if not applied.files:
        return f"{shown(applied.output)}: nothing to change, left as it is"
    wrote = f"wrote {shown(applied.output)} ({count(len(applied.files), 'file')})"
    if not applied.converted_to:
        return wrote
    left = _beside(applied.plan.checkpoint)
    if applied.converted_to != SAFETENSORS.title and (keys := _metadata(applied.plan.checkpoint)):
        left.append(f"metadata ({listed(list(map(shown, keys)), at_most=5)})")
    return f"{wrote}, converted to {applied.converted_to}" + (f" without {listed(left, at_most=5)}" if left else "")


def _metadata(checkpoint: Checkpoint) -> list[str]:
    """The keys of safetensors metadata that say more than ties, and which library the file is for."""
    if not checkpoint.is_safetensors:
        return []
    said = {key for entries in checkpoint.metadata.values() for key in entries}
    return sorted(said - {FORMAT} - {alias for tensor in checkpoint.tensors for alias in tensor.aliases})


def _beside(checkpoint: Checkpoint) -> list[str]:
    """The keys of what lies outside of the state dict."""
    outside = [tensor.name.partition(".")[0] for tensor in checkpoint.outside]
    contents = [key for entries in checkpoint.contents.values() for key in entries if checkpoint.root]
    root = checkpoint.root.partition(".")[0]
    return [shown(key) for key in dict.fromkeys([*contents, *outside]) if key != root]
