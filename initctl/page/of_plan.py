"""The page of a plan, or of an applied plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from initctl.applied import Applied, written_text
from initctl.display.folding import fold
from initctl.display.tables import count, size_text
from initctl.errors import Problem, shown
from initctl.initializers import KEEP
from initctl.page.charts import depth_charts
from initctl.page.content import Column, Drawing, Fact, Item, ItemList, Page, Section, TensorTable
from initctl.page.drawing import before_and_after
from initctl.page.problems import warnings
from initctl.planning.action import RESET, Action, Kept
from initctl.planning.overview import initializer_text, part_name, shape_change
from initctl.statistics.result import number
from initctl.stream.engines import Moments
from initctl.tensors import Totals

if TYPE_CHECKING:
    from initctl.manifest import Change, Changes
    from initctl.planning import Plan
    from initctl.rules import Rule

_COLUMNS = (
    Column("tensor", "name"),
    Column("before, after", "drawing"),
    Column("std before", "number"),
    Column("std after", "number"),
    Column("initializer"),
    Column("rule"),
    Column("mean before", "number"),
    Column("mean after", "number"),
    Column("elements", "number"),
    Column("shape"),
    Column("dtype"),
)
_NOTE = (
    "Bars above the line show the values after, bars below it those before, on one axis. They are of samples, up to "
    "four standard deviations from the mean. If only some rows of a tensor are filled, all numbers are of these rows."
)
_LISTED = 50
"""The largest number of rows that are listed for one rule. The table has all."""


def plan_page(changes: Changes) -> Page:
    """What `apply` would do and change, by rule and by tensor."""
    plan = changes.plan
    facts = _facts(plan, ("initialize", "keep", "reset", "write"))
    return Page("plan", shown(plan.checkpoint.path), list(facts), _sections(changes, plan.warnings))


def applied_page(applied: Applied, changes: Changes) -> Page:
    """What `apply` did and changed, by rule and by tensor."""
    facts = _facts(applied.plan, ("initialized", "kept", "reset", "written"))
    sections = _sections(changes, [*applied.plan.warnings, *applied.warnings])
    return Page("apply", shown(applied.output), list(facts), sections, written_text(applied))


def _facts(plan: Plan, verbs: Sequence[str]) -> Iterator[Fact]:
    totals = plan.initialized, plan.kept_totals, plan.reset_totals
    for verb, of in zip(verbs, totals, strict=False):
        if of.tensors or verb != "reset":
            yield Fact(verb, count(of.tensors, "tensor"))
    yield Fact(verbs[-1], size_text(plan.initialized.bytes + plan.reset_totals.bytes))
    yield Fact("seed", f"{plan.seed}")
    if plan.checkpoint.root:
        yield Fact("root", shown(plan.checkpoint.root))


def _sections(changes: Changes, problems: Sequence[Problem]) -> list[Section]:
    plan = changes.plan
    parts = [*plan.parts, *plan.resets]
    by_action = {id(change.action): change for change in changes.changes}
    rows = [_row(part, by_action.get(id(part))) for part in parts]
    pairs = [(part_name(change.action), change) for change in changes.changes if change.after.moments.finite]
    after = ((name, change.after.moments.std) for name, change in pairs)
    before = {name: change.before.moments.std for name, change in pairs}
    depth = depth_charts("Standard deviation by depth", after, before)
    rules = ItemList("Rules", list(_items(plan, parts)))
    return [*warnings(problems), rules, *depth, TensorTable("Tensors", _COLUMNS, rows, _NOTE)]


def _items(plan: Plan, parts: Sequence[Action | Kept]) -> Iterator[Item]:
    """An item for each rule, in order, with the tensors that it decides; then one for tensors that no rule decides."""
    decided: dict[tuple[str, str], list[Action | Kept]] = {_titles(bound.rule): [] for bound in plan.rules}
    for part in sorted(parts, key=lambda part: part.rule is None):
        decided.setdefault(_titles(part.rule), []).append(part)
    for (badge, title), its in decided.items():
        yield _item(badge, title, its)


def _titles(rule: Rule | None) -> tuple[str, str]:
    if rule and rule.source == RESET:  # each tensor has its own such rule
        return RESET, "optimizer states of filled tensors"
    return (rule.source, shown(rule.text)) if rule else ("no rule", "kept unchanged")


def _item(badge: str, title: str, parts: Sequence[Action | Kept]) -> Item:
    if not parts:
        return Item(badge, title, "decides no tensor", kind="warning")
    totals = Totals.of(part.part for part in parts)
    aside = f"{count(totals.tensors, 'tensor')}, {count(totals.elements, 'element')}"
    rows = [Fact(names.shown(), text) for names, text in fold((part_name(part), _initializer(part)) for part in parts)]
    if len(rows) > _LISTED:
        rows = [*rows[:_LISTED], Fact("…", f"{len(rows) - _LISTED:,} more in the table")]
    return Item(badge, title, aside, rows)


def _row(part: Action | Kept, change: Change | None) -> Sequence[str | Drawing]:
    tensor = part.tensor
    both = (change.before.moments, change.after.moments) if change else (Moments(), Moments())
    std, mean = ([number(getattr(of, name)) if of.finite else "" for of in both] for name in ("std", "mean"))
    drawing = before_and_after(change.before.histogram, change.after.histogram) if change else ""
    done = _initializer(part), part.rule.source if part.rule else ""
    size = f"{part.part.numel:,}", shape_change(tensor), tensor.dtype.name
    return shown(part_name(part)), drawing, *std, *done, *mean, *size


def _initializer(part: Action | Kept) -> str:
    return initializer_text(part) if isinstance(part, Action) else KEEP
