"""What probably has to follow a tensor that gets another number of rows: fields of config.json, and other tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.errors import InputError, Problem, escape, listed, shown
from initctl.formats.config import CONFIG
from initctl.grouping import grouped
from initctl.planning.sharing import alternatives
from initctl.planning.tied import EMBEDDINGS, OUTPUTS
from initctl.reshaping.settings import LABELS, NAMES, NUMBERS

if TYPE_CHECKING:
    from initctl.planning.deciding import Decided
    from initctl.planning.surroundings import Surroundings
    from initctl.tensors import TensorSpec

_COUNTS = {
    "vocab_size": "",
    LABELS: "",
    "num_classes": "",
    "max_position_embeddings": "posi",
    "type_vocab_size": "type",
}
"""Fields that are numbers of rows, and a part of the names of the tensors that each is about."""
_MAPS = (NAMES, NUMBERS)
"""Fields with an entry for each row."""
_DEFAULT_LABELS = 2
"""The number of labels of a classifier of transformers whose config.json has no names of labels."""
_BIASES = (*(name.replace(".weight", ".bias") for name in OUTPUTS), "cls.predictions.bias")
_OF_VOCABULARY = (*OUTPUTS, *EMBEDDINGS, *_BIASES)
"""The ends of names of tensors with a row for each token."""


class _Field(NamedTuple):
    """A field of config.json that says a number of `rows`, by its dotted key; names of its tensors contain `about`."""

    key: str
    rows: int
    about: str = ""

    @property
    def to_set(self) -> str:
        """The field to set: the names of labels follow their number."""
        start, dot, name = self.key.rpartition(".")
        return f"{start}{dot}{LABELS}" if name in _MAPS else self.key


def fields_out_of_step(_: Decided, around: Surroundings) -> Iterator[Problem]:
    """Fields that agree with the old number of rows of a tensor, but not with the new one."""
    checkpoint = around.checkpoint
    if not (tensors := [tensor for tensor in checkpoint.resized if _rows(tensor) != _old_rows(tensor)]):
        return
    with suppress(InputError):  # reported if anything depends on it
        before, after = (table.config() for table in (checkpoint.as_read, checkpoint))
        if before is not None and after is not None:
            new = list(_fields(after))
            old = _with_default(list(_fields(before)), new, before)
            yield from _out_of_step(tensors, old, {field.key: field for field in (*old, *new)})


def _out_of_step(tensors: list[TensorSpec], old: list[_Field], new: Mapping[str, _Field]) -> Iterator[Problem]:
    pairs = [
        ((new[field.key], _rows(tensor)), tensor)
        for tensor in tensors
        for field in old
        if field.rows == _old_rows(tensor) and field.about in tensor.name
        if new[field.key].rows != _rows(tensor)
    ]
    by_setting = grouped(((field.to_set, rows), (field, tensor)) for (field, rows), tensor in pairs)
    for (key, rows), found in by_setting.items():
        fields = dict.fromkeys(field.key for field, _ in found)
        names = listed([shown(name) for name in dict.fromkeys(tensor.name for _, tensor in found)])
        says = (
            f"{listed([shown(field) for field in fields])} {'says' if len(fields) == 1 else 'say'} {found[0][0].rows}"
        )
        fault = f"{CONFIG}: {says}, but the new number of rows is {rows}: {names}"
        yield Problem("config.sizes", fault, f"add --set-config '{shown(key)}={rows}'")


def _with_default(old: list[_Field], new: list[_Field], config: Mapping[str, Any]) -> list[_Field]:
    """The `old` fields, and the number of labels that a classifier has if none of them says it. A `new` one may."""
    kinds = config.get("architectures")
    is_classifier = isinstance(kinds, list) and any("Classification" in kind for kind in kinds if isinstance(kind, str))
    if not is_classifier or any(field.to_set == LABELS for field in old):
        return old
    key = next((field.key for field in new if field.to_set == LABELS), LABELS)
    return [*old, _Field(key, _DEFAULT_LABELS)]


def _fields(config: Mapping[str, Any], above: str = "") -> Iterator[_Field]:
    """The fields that say how many rows tensors have, also those of inner configurations such as `text_config`."""
    for name, value in config.items():
        key = f"{above}{name}"
        if name in _MAPS and isinstance(value, dict):
            yield _Field(key, len(value))
        elif name in _COUNTS and type(value) is int:
            yield _Field(key, value, _COUNTS[name])
        elif isinstance(value, dict) and not above:
            yield from _fields(value, f"{key}.")


def rows_left_behind(_: Decided, around: Surroundings) -> Iterator[Problem]:
    """Tensors with as many rows as another one had, which seem to belong to it, and keep this number."""
    checkpoint = around.checkpoint
    others = grouped((_rows(tensor), tensor) for tensor in checkpoint.tensors if not tensor.old)
    for tensor in checkpoint.resized:
        same = others.get(_old_rows(tensor), []) if _rows(tensor) != _old_rows(tensor) else []
        if behind := [shown(other.name) for other in same if _belong_together(tensor, other)]:
            keep = "keeps" if len(behind) == 1 else "keep"
            fault = f"{shown(tensor.name)} gets {_rows(tensor)} rows, but {listed(behind)} {keep} {_old_rows(tensor)}"
            together = alternatives([tensor.name, *(other.name for other in same if _belong_together(tensor, other))])
            hint = f"if they belong together, write --rows '{escape(together)}={_rows(tensor)}'"
            yield Problem("rows.left_behind", fault, hint)


def _belong_together(one: TensorSpec, other: TensorSpec) -> bool:
    """Whether both are of the vocabulary, or are the weight and the bias of one layer."""
    layers = {tensor.name.rpartition(".")[0] for tensor in (one, other)}
    ends = {tensor.name.rpartition(".")[2] for tensor in (one, other)}
    return (len(layers) == 1 and ends == {"weight", "bias"}) or (_is_of_vocabulary(one) and _is_of_vocabulary(other))


def _is_of_vocabulary(tensor: TensorSpec) -> bool:
    return any(f".{tensor.name}".endswith(f".{name}") for name in _OF_VOCABULARY)


def _rows(tensor: TensorSpec) -> int:
    return tensor.all_rows[1]


def _old_rows(tensor: TensorSpec) -> int:
    return (tensor.old or tensor).all_rows[1]
