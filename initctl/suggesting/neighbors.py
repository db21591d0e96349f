"""A tensor among the others of its checkpoint."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from initctl.grouping import grouped
from initctl.tensors import reversed_layout

if TYPE_CHECKING:
    from initctl.tensors import TensorSpec

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
"""Where a word of `camelCase` begins."""
_WORD = re.compile(r"[a-z]+|[0-9]+")
_MATRIX = 2


class Neighbors:
    """The tensors of a checkpoint by module, and the sizes of their inputs and outputs."""

    def __init__(self, tensors: Sequence[TensorSpec]) -> None:
        self.tensors = tensors
        self.by_name = {tensor.name: tensor for tensor in tensors}
        pairs = ((name.rpartition("."), tensor) for name, tensor in self.by_name.items())
        grown = grouped((module, (last, tensor)) for (module, _, last), tensor in pairs)
        self._modules = {module: dict(members) for module, members in grown.items()}

    def of_module(self, module: str) -> Mapping[str, TensorSpec]:
        """The tensors of `module` itself, by the last parts of their names."""
        return self._modules.get(module, {})

    def kind(self, tensor: TensorSpec) -> Hashable:
        """A key that is equal for tensors that differ only in the numbers of modules."""
        module = tensor.name.rpartition(".")[0]
        parts = tuple("#" if part.isdigit() else part for part in tensor.name.split("."))
        around = self._shapes.get(module), self._shapes.get(module.rpartition(".")[0])
        return parts, tensor.shape, tensor.unwritable, tensor is self.first_matrix, *around

    @cached_property
    def _shapes(self) -> Mapping[str, Hashable]:
        """The names and shapes in each module."""
        return {
            module: frozenset((last, tensor.shape) for last, tensor in members.items())
            for module, members in self._modules.items()
        }

    @cached_property
    def inputs(self) -> Counter[int]:
        """The number of matrices for each size of inputs."""
        return Counter(self.sizes(tensor)[1] for tensor in self.tensors if len(tensor.shape) == _MATRIX)

    def sizes(self, tensor: TensorSpec) -> tuple[int, int]:
        """The numbers of outputs and inputs of a weight. The first dim is out and the second in, unless its layout is
        reversed.
        """
        letters = self.reversed_layout(tensor) or "oi"
        return tensor.shape[letters.index("o")], tensor.shape[letters.index("i")]

    def reversed_layout(self, tensor: TensorSpec) -> str | None:
        """The layout of a weight whose inputs come before its outputs."""
        return reversed_layout(tensor, self.of_module(tensor.name.rpartition(".")[0]).get("bias"))

    @cached_property
    def biases(self) -> frozenset[int]:
        """The numbers of outputs of layers with a bias."""
        return frozenset(tensor.numel for tensor in self.tensors if tensor.name.endswith("bias"))

    @cached_property
    def first_matrix(self) -> TensorSpec | None:
        """The first weight with two dims or more."""
        return next((tensor for tensor in self.tensors if len(tensor.shape) >= _MATRIX), None)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """The place of each tensor in the order of the network, as far as it is known: if the table is sorted by name,
        numbers are sorted as numbers, 2 before 10.
        """
        names = [tensor.name for tensor in self.tensors]
        in_order = sorted(names, key=_natural) if names == sorted(names) else names
        return {name: place for place, name in enumerate(in_order)}

    @cached_property
    def alike(self) -> Counter[tuple[str, tuple[int, ...]]]:
        """The number of tensors with the same shape whose names differ only in numbers."""
        return Counter((_template(tensor.name), tensor.shape) for tensor in self.tensors)


@dataclass(frozen=True)
class Seen:
    """A tensor with its neighbors. Its name is in lower case, with `_` between words."""

    tensor: TensorSpec
    neighbors: Neighbors

    @property
    def ndim(self) -> int:
        return len(self.tensor.shape)

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The parts of the name between its dots: `encoder`, `self_attention`, `q`, `weight`."""
        return tuple(_HUMP.sub("_", self.tensor.name).lower().split("."))

    @property
    def last(self) -> str:
        return self.parts[-1]

    @cached_property
    def module(self) -> str:
        """The nearest part before the last that is not a number; empty if there is none."""
        return next((part for part in self.parts[-2::-1] if not part.isdigit()), "")

    @cached_property
    def module_words(self) -> frozenset[str]:
        return frozenset(_WORD.findall(self.module))

    @cached_property
    def last_words(self) -> frozenset[str]:
        return frozenset(_WORD.findall(self.last))

    @cached_property
    def beside(self) -> Mapping[str, TensorSpec]:
        """The tensors of the same module, this one among them, by the last parts of their names."""
        return self.neighbors.of_module(self.tensor.name.rpartition(".")[0])

    @cached_property
    def above(self) -> Mapping[str, TensorSpec]:
        """The tensors of the parent module."""
        return self.neighbors.of_module(".".join(self.tensor.name.split(".")[:-2]))

    @property
    def is_in_numbered(self) -> bool:
        """Whether a module around its own has a number as its name."""
        return any(part.isdigit() for part in self.parts[:-2])

    @property
    def is_alone(self) -> bool:
        """Whether no other tensor has the same shape and a name that differs only in numbers."""
        return self.neighbors.alike[_template(self.tensor.name), self.tensor.shape] == 1


def _template(name: str) -> str:
    """`name` with `#` for its numbers."""
    return re.sub("[0-9]+", "#", name)


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts names by their numbers: every second part is a number, and the longer one is higher."""
    return [(len(part) * (place % 2), part) for place, part in enumerate(re.split("([0-9]+)", name))]
