"""The differences between two checkpoints, as a table and as data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan
from typing import TYPE_CHECKING, Any

from initctl.differences.changes import ElementChanges
from initctl.differences.pairing import Pair, Paired, common_prefix
from initctl.differences.tensor import ChangedTensor
from initctl.display.colors import BAD, GOOD, WARNED
from initctl.display.folding import FoldedRow, folded_rows, listing
from initctl.display.tables import Displayed, Listing, Report, Toned, count, shape_text, size_text
from initctl.errors import shown
from initctl.tensors import TensorPart, Totals

if TYPE_CHECKING:
    from initctl.differences.metadata import ChangedText
    from initctl.formats import Checkpoint

_HEADING = ("tensor", "shape", "dtype", "max diff", "mean diff", "rel norm", "cosine", "changed", "first", "")
_LEAST_PERCENT = 0.1
"""Shares below this are not shown in percent."""
_BECAME = " -> "
"""Between the shapes and the dtypes of both, if they differ."""
_SPARE = (("dtype",), ("shape",), ("first",), ("mean diff",), ("cosine",), ("rel norm",))
_RIGHT = ("max diff", "mean diff", "rel norm", "cosine", "changed")


@dataclass(frozen=True, repr=False)
class Differences(Displayed):
    """The differences between checkpoint `b` and checkpoint `a`.

    `tensors` and `files` are paired by their names. `tensor_changes` and `file_changes` say what changed in each pair,
    as `compared` returns it. `metadata` has the texts of metadata that differ.
    """

    a: Checkpoint
    b: Checkpoint
    tensors: Paired
    tensor_changes: tuple[ElementChanges | None, ...]
    files: Paired
    file_changes: tuple[ElementChanges | None, ...]
    metadata: tuple[ChangedText, ...]

    @cached_property
    def changed(self) -> tuple[ChangedTensor, ...]:
        """The tensors in both that differ."""
        return tuple(_changed(self.tensors.pairs, self.tensor_changes))

    @cached_property
    def changed_files(self) -> tuple[str, ...]:
        """The names of other files that differ."""
        return tuple(changed.pair.name for changed in _changed(self.files.pairs, self.file_changes))

    @property
    def only_a(self) -> tuple[str, ...]:
        """The names of tensors that only `a` has."""
        return tuple(tensor.name for tensor in self.tensors.only_one)

    @property
    def only_b(self) -> tuple[str, ...]:
        """The names of tensors that only `b` has."""
        return tuple(tensor.name for tensor in self.tensors.only_other)

    @property
    def not_compared(self) -> tuple[Pair, ...]:
        """The tensors in both that may differ, because their elements cannot be read."""
        return tuple(pair for pair in self.tensors.pairs if pair.kind == "values" and pair.unreadable)

    @property
    def differ(self) -> bool:
        """Whether anything that was compared differs."""
        return bool(self.changed or self.changed_files or self.metadata or any(self.tensors[1:]) or any(self.files[1:]))

    def to_json(self) -> dict[str, Any]:
        """As the `data` of a JSON document."""
        return {
            "a": _checkpoint_json(self.a),
            "b": _checkpoint_json(self.b),
            "differ": self.differ,
            "changed": [changed.to_json() for changed in self.changed],
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
            "not_compared": [{"name": pair.name, "reason": pair.unreadable} for pair in self.not_compared],
            "metadata": [{"key": text.key, "a": text.one, "b": text.other} for text in self.metadata],
            "files": {
                "changed": list(self.changed_files),
                "only_a": [file.name for file in self.files.only_one],
                "only_b": [file.name for file in self.files.only_other],
            },
            "totals": self._totals._asdict(),
        }

    def report(self, *, unfold: bool = False) -> Report:
        """The verdict, and then what differs. Long lists are folded unless `unfold`."""
        parts: list[str | Listing] = [Toned(self._verdict(), WARNED if self.differ or self.not_compared else GOOD)]
        for table in (self._changed_table(unfold=unfold), self._only_table(unfold=unfold)):
            parts += ["", table] if table.rows else []
        lines = [*self._roots(), *self._beside(), *self._left_out(unfold=unfold)]
        return [*parts, *([""] if lines else []), *lines]

    @property
    def _totals(self) -> Totals:
        """The totals of what was compared."""
        return Totals.of(TensorPart(pair.one) for pair in self.tensors.pairs if pair.is_comparable)

    def _verdict(self) -> str:
        if self.differ or self.not_compared:
            return "; ".join([self._of_tensors(), *self._of_others()])
        files = [count(len(self.files.pairs), "other file")] if self.files.pairs else []
        tensors = count(len(self.tensors.pairs), "tensor")
        return f"identical: {', '.join([tensors, size_text(self._totals.bytes), *files])}"

    def _of_tensors(self) -> str:
        """The differences of tensors in both, in words."""
        number = len(self.tensors.pairs)
        if not number:
            return "no tensor has the same name in both"
        if self.changed:
            return f"{len(self.changed):,} of {count(number, 'tensor')} {_verb(len(self.changed), 'differs', 'differ')}"
        equal = number - len(self.not_compared)
        return f"{count(equal, 'tensor')} {_verb(equal, 'is', 'are')} identical, {size_text(self._totals.bytes)}"

    def _of_others(self) -> Iterator[str]:
        """What else differs, in words, and what could not be compared."""
        for tensors, letter in ((self.tensors.only_one, "A"), (self.tensors.only_other, "B")):
            if tensors:
                yield f"{len(tensors):,} only in {letter}"
        if self.metadata:
            yield "metadata differs"
        if files := len(self.changed_files) + sum(map(len, self.files[1:])):
            yield f"{count(files, 'other file')} {_verb(files, 'differs', 'differ')}"
        if self.not_compared:
            yield f"{count(len(self.not_compared), 'tensor')} could not be compared"

    def _changed_table(self, *, unfold: bool) -> Listing:
        rows = folded_rows(self.changed, lambda changed: changed.pair.name, _kind, unfold=unfold)
        cells = list(map(_cells, rows))
        changing = {name for row in cells for name, cell in zip(_HEADING, row, strict=True) if _BECAME in cell}
        spare = [names for names in _SPARE if changing.isdisjoint(names)]
        return Listing(_HEADING, cells, right=_RIGHT, spare=spare)

    def _only_table(self, *, unfold: bool) -> Listing:
        rows = [
            (tensor.name, (shape_text(tensor.shape), tensor.dtype.name, letter))
            for tensors, letter in ((self.tensors.only_one, "A"), (self.tensors.only_other, "B"))
            for tensor in tensors
        ]
        cells = [(name, *rest) for name, rest in listing(rows, unfold=unfold)]
        styles = [BAD if letter == "A" else GOOD for *_, letter in cells]
        return Listing(("tensor", "shape", "dtype", "only in"), cells, spare=_SPARE[:2], styles=styles)

    def _roots(self) -> Iterator[str]:
        """How to pair tensors that have the same names below another root."""
        roots = self.a.root, self.b.root
        if prefix := common_prefix(self.tensors.only_one, self.tensors.only_other):
            roots, whole, part = (_below(roots[0], prefix), roots[1]), "A", "B"
        elif prefix := common_prefix(self.tensors.only_other, self.tensors.only_one):
            roots, whole, part = (roots[0], _below(roots[1], prefix)), "B", "A"
        else:
            return
        options = "--root {} --other-root {}".format(*map(shown, roots))
        yield f"{whole} has the tensors of {part} under {shown(prefix)}: to compare them, use {options}"

    def _beside(self) -> Iterator[str]:
        """A line for each text of the metadata, and for each file, that differs."""
        for key, one, other in self.metadata:
            values = [f"{letter} has {shown(text)}" for letter, text in (("A", one), ("B", other)) if text is not None]
            yield f"metadata {shown(key)}: {', '.join(values)}"
        yield from (f"file {shown(name)}: differs" for name in self.changed_files)
        for files, letter in ((self.files.only_one, "A"), (self.files.only_other, "B")):
            yield from (f"file {shown(file.name)}: only in {letter}" for file in files)

    def _left_out(self, *, unfold: bool) -> Iterator[str]:
        """A line for what was not compared."""
        rows = [(pair.name, pair.unreadable) for pair in self.not_compared]
        yield from (f"not compared: {name}: {reason}" for name, reason in listing(rows, unfold=unfold))
        one, other = len(self.a.outside), len(self.b.outside)
        if bool(one) != bool(other):
            letter, number = ("A", one) if one else ("B", other)
            yield f"not compared: {count(number, 'tensor')} outside the root, only in {letter}"


def _changed(pairs: Sequence[Pair], changes: Sequence[ElementChanges | None]) -> Iterator[ChangedTensor]:
    for pair, found in zip(pairs, changes, strict=True):
        if found is not None or pair.kind != "values":
            is_measured = pair.is_comparable and not pair.is_of_bytes
            yield ChangedTensor(pair, (found or ElementChanges()) if is_measured else None)


def _kind(changed: ChangedTensor) -> tuple[object, ...]:
    """A key that is equal for tensors that may share a row."""
    one, other = changed.pair.one, changed.pair.other
    return one.shape, other.shape, one.dtype, other.dtype, changed.pair.unreadable


def _cells(row: FoldedRow[ChangedTensor]) -> tuple[str, ...]:
    pair = row.members[0].pair
    shapes, dtypes = (
        _change(*map(word, (pair.one, pair.other)))
        for word in (lambda tensor: shape_text(tensor.shape), lambda tensor: tensor.dtype.name)
    )
    return row.name, shapes, dtypes, *_numbers(row.members)


def _numbers(members: Sequence[ChangedTensor]) -> Iterator[str]:
    first, *others = members
    if first.changes is None:
        yield from ("-",) * 5
        yield ""
        yield "" if first.pair.kind == "shape" else first.pair.unreadable or "bytes differ"
        return
    changes = sum((member.changes for member in members if member.changes), ElementChanges())
    distance, numel = changes.distance, len(members) * first.pair.one.numel
    yield f"{distance.largest:.4g}" if distance.finite else "-"
    yield from map(_number, (distance.mean, distance.relative))
    yield "-" if isnan(distance.cosine) else f"{distance.cosine:.6f}"
    yield _share(changes.elements, numel)
    yield shape_text(first.first) if first.first is not None and not others else ""
    left_out = numel - distance.finite
    yield f"{left_out:,} not finite" if left_out else ""


def _number(value: float) -> str:
    return "-" if isnan(value) else f"{value:.4g}"


def _change(one: str, other: str) -> str:
    return one if one == other else f"{one}{_BECAME}{other}"


def _verb(number: int, of_one: str, of_many: str) -> str:
    return of_one if number == 1 else of_many


def _below(root: str, keys: str) -> str:
    return f"{root}.{keys}" if root else keys


def _share(number: int, total: int) -> str:
    if number in (0, total):
        return "all" if number else "none"
    percent = 100 * number / total
    return f"{number:,} ({min(percent, 99.9):.1f}%)" if percent >= _LEAST_PERCENT else f"{number:,}"


def _checkpoint_json(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "path": checkpoint.path,
        "format": checkpoint.format,
        "root": checkpoint.root,
        "outside": len(checkpoint.outside),
    }
