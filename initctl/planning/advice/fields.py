"""Fields of config.json that do not fit the sizes of tensors any more, and fields that it does not have yet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.errors import InputError, Problem, escape, listed, shown
from initctl.formats.config import CONFIG, dotted, holder_of, meant_field
from initctl.grouping import grouped
from initctl.planning.advice.left_behind import OF_VOCABULARY
from initctl.planning.sharing import alternatives
from initctl.reshaping.settings import LABELS, NAMES, NUMBERS
from initctl.rules import quoted

if TYPE_CHECKING:
    from initctl.planning.deciding import Decided
    from initctl.planning.surroundings import Surroundings
    from initctl.tensors import TensorSpec

_OF_LABELS = re.compile(r"^(?!.*(?:emb|norm|attn|attention))(?!(?:.*\.)?(?:layers?|blocks?|h)\.\d)")
"""What a tensor may be called that has a row for each label."""
_ROWS = {
    "vocab_size": re.compile(rf"^(?!.*(?:posi|type|patch)).*(?:embed|tok|vocab|wte)|{OF_VOCABULARY.pattern}"),
    "type_vocab_size": re.compile("type"),
    **dict.fromkeys(
        ("max_position_embeddings", "max_source_positions", "max_target_positions", "n_positions"),
        re.compile("posi|wpe"),
    ),
    **dict.fromkeys((LABELS, "num_classes", NAMES, NUMBERS), _OF_LABELS),
}
"""Fields that say a number of rows, and the names of the tensors that each may be about."""
_WIDTHS = frozenset((
    "d_ff", "d_model", "decoder_ffn_dim", "dim", "embed_dim", "embedding_size", "encoder_ffn_dim", "ffn_dim",
    "hidden_dim", "hidden_size", "intermediate_size", "mlp_dim", "moe_intermediate_size", "n_embd", "n_inner",
    "shared_expert_intermediate_size",
))  # fmt: skip
"""Fields that say the size of several dims, of tensors of any name."""
_SEVERAL = 2
_PART = re.compile(r"(?:^|\.)(?:(\w+)_config\.|(encoder|decoder)_)")
"""What a key has in it if a field is about one part of a model."""
_MAPS = (NAMES, NUMBERS)
"""Fields with an entry for each row."""
_DEFAULT_LABELS = 2
"""The number of labels of a classifier of transformers whose config.json has no names of labels."""
_OMITTED = frozenset((
    "add_cross_attention", "architectures", "bos_token_id", "chunk_size_feed_forward", "cross_attention_hidden_size",
    "decoder_start_token_id", "dtype", "eos_token_id", "is_decoder", "is_encoder_decoder", LABELS, NAMES, NUMBERS,
    "output_attentions", "output_hidden_states", "pad_token_id", "problem_type", "return_dict", "sep_token_id",
    "task_specific_params", "tie_word_embeddings", "tokenizer_class", "torch_dtype", "transformers_version",
    "use_cache",
))  # fmt: skip
"""Fields of every configuration of transformers, whose file omits them if they have their defaults."""


class _Field(NamedTuple):
    """A field of config.json that says a `size`, by its dotted key."""

    key: str
    size: int

    @property
    def name(self) -> str:
        return self.key.rpartition(".")[2]

    @property
    def to_set(self) -> str:
        """The field to set: the names of labels follow their number."""
        return f"{self.key.removesuffix(self.name)}{LABELS}" if self.name in _MAPS else self.key

    @property
    def unit(self) -> str:
        return "size" if self.name in _WIDTHS else "number of rows"

    def sizes(self, tensors: Sequence[TensorSpec]) -> list[tuple[TensorSpec, int]]:
        """The new sizes of the dims that had its size, each with its tensor. Empty if they may have other reasons."""
        dims = [(tensor, dim) for tensor in self._part(tensors) for dim in self._dims(tensor)]
        found = [(tensor, tensor.shape[dim] if dim < len(tensor.shape) else 0) for tensor, dim in dims]
        if self.name in _WIDTHS and (len(found) < _SEVERAL or len({size for _, size in found}) > 1):
            return []
        return found

    def _part(self, tensors: Sequence[TensorSpec]) -> Sequence[TensorSpec]:
        """The tensors of the part that the key names; all of them if their names do not say what belongs to it."""
        if not (found := _PART.search(self.key)):
            return tensors
        part = found[1] or found[2]
        return [tensor for tensor in tensors if part in tensor.name] or tensors

    def _dims(self, tensor: TensorSpec) -> Iterator[int]:
        shape = (tensor.old or tensor).shape
        names = _ROWS.get(self.name)
        dims = range(len(shape)) if names is None else range(1) if shape and names.search(tensor.name) else ()
        return (dim for dim in dims if shape[dim] == self.size)


def fields_out_of_step(_: Decided, around: Surroundings) -> Iterator[Problem]:
    """Fields that agree with the old sizes of tensors, but one of both changes and they agree no more."""
    checkpoint = around.checkpoint
    if not (checkpoint.resized or checkpoint.result.fields):
        return
    with suppress(InputError):  # reported if anything depends on it
        before, after = (table.config() for table in (checkpoint.as_read, checkpoint))
        if before is not None and after is not None:
            new = list(_fields(after))
            old = _with_default(list(_fields(before)), new, before)
            yield from _out_of_step(old, {field.key: field for field in (*old, *new)}, checkpoint.tensors)


def _out_of_step(old: Sequence[_Field], new: Mapping[str, _Field], tensors: Sequence[TensorSpec]) -> Iterator[Problem]:
    pairs = [
        ((field.to_set, size), (field, tensor))
        for field in old
        for tensor, size in _misfits(field, new[field.key], tensors)
    ]
    for (key, size), found in grouped(pairs).items():
        fields = list(dict.fromkeys(new[field.key] for field, _ in found))
        names = list(dict.fromkeys(tensor.name for _, tensor in found))
        is_kept = size == found[0][0].size
        yield _kept(key, fields, size, names) if is_kept else _changed(key, fields, size, names)


def _misfits(old: _Field, new: _Field, tensors: Sequence[TensorSpec]) -> list[tuple[TensorSpec, int]]:
    """The tensors that an `old` field was about and the `new` one does not fit, each with its new size."""
    sizes = old.sizes(tensors)
    if any(size == new.size for _, size in sizes):  # the others may be about something else
        sizes = [(tensor, size) for tensor, size in sizes if size != old.size]
    return [(tensor, size) for tensor, size in sizes if size != new.size]


def _changed(key: str, fields: Sequence[_Field], size: int, names: Sequence[str]) -> Problem:
    """The problem of a tensor that changes while `fields` do not follow."""
    fault = f"{CONFIG}: {_said(fields)}, but the new {fields[0].unit} is {size}: {listed(list(map(shown, names)))}"
    return Problem("config.sizes", fault, f"add --set-config '{shown(key)}={size}'")


def _kept(key: str, fields: Sequence[_Field], size: int, names: Sequence[str]) -> Problem:
    """The problem of `fields` that change while no tensor follows."""
    keep = "keeps" if len(names) == 1 else "keep"
    kept = f"the size {size}" if fields[0].name in _WIDTHS else f"{size} rows"
    fault = f"{CONFIG}: {_said(fields)}, but {listed(list(map(shown, names)))} {keep} {kept}"
    if fields[0].name in _WIDTHS:
        return Problem("config.sizes", fault, f"give them other shapes with --dims, or leave {shown(key)} as it was")
    pattern = alternatives(names) if len(names) > 1 else quoted(names[0])
    return Problem("config.sizes", fault, f"add --rows '{escape(pattern)}={fields[0].size}'")


def _said(fields: Sequence[_Field]) -> str:
    names = listed([shown(field.key) for field in fields])
    return f"{names} {'says' if len(fields) == 1 else 'say'} {fields[0].size}"


def _with_default(old: list[_Field], new: list[_Field], config: Mapping[str, Any]) -> list[_Field]:
    """The `old` fields, and the number of labels that a classifier has if none of them says it. A `new` one may."""
    kinds = config.get("architectures")
    is_classifier = isinstance(kinds, list) and any("Classification" in kind for kind in kinds if isinstance(kind, str))
    if not is_classifier or any(field.to_set == LABELS for field in old):
        return old
    key = next((field.key for field in new if field.to_set == LABELS), LABELS)
    return [*old, _Field(key, _DEFAULT_LABELS)]


def _fields(config: Mapping[str, Any], above: str = "") -> Iterator[_Field]:
    """The fields that say sizes, also those of inner configurations such as `text_config`."""
    for name, value in config.items():
        key = f"{above}{name}"
        if name in _MAPS and isinstance(value, dict):
            yield _Field(key, len(value))
        elif (name in _ROWS or name in _WIDTHS) and type(value) is int:
            yield _Field(key, value)
        elif isinstance(value, dict) and not above:
            yield from _fields(value, f"{key}.")


def added_fields(_: Decided, around: Surroundings) -> Iterator[Problem]:
    """Fields that config.json does not have yet. They may be new to it, or misspelled."""
    if not (settings := around.checkpoint.result.fields):
        return
    config = around.checkpoint.as_read.config() or {}
    for key, keys in ((setting.key, setting.keys) for setting in settings):
        holder, prefix = holder_of(config, keys), key.removesuffix(keys[-1])
        has_fields = len(keys) == 1 or keys[-2].endswith("config")  # other objects have keys of any name
        if has_fields and keys[-1] not in holder and keys[-1] not in _OMITTED:
            known = [*(f"{prefix}{name}" for name in (*holder, *_OMITTED)), *(name for name, _ in dotted(config))]
            fault = f"{CONFIG}: has no field {shown(key)}, so it is added"
            yield Problem("config.field", fault, meant_field(key, known))
