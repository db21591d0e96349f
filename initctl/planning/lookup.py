"""The values of the names in a rule's expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from initctl.errors import shown
from initctl.formats.config import dotted
from initctl.initializers import Unfit
from initctl.initializers.fans import Arrangement, weights
from initctl.rules import Rule, Undefined, Value, needed
from initctl.rules.expressions.terms import BASE, CONFIG, config_of
from initctl.suggestions import nearest

if TYPE_CHECKING:
    from initctl.planning.surroundings import Surroundings
    from initctl.tensors import TensorSpec

SIBLING = "sibling."
"""`sibling.weight.fan_in` is the fan_in of the tensor `weight` in the same module; `sibling.weight` says whether it
exists.
"""
_FILES = {CONFIG: "config.json", BASE: "the base model's config.json"}
_NO_BASE = "no base model is given: name its config.json with --base-config, or "


@dataclass
class Lookup:
    """Called with a name in an expression of `rule`: its value for `tensor`, or a `KeyError` with the reason."""

    rule: Rule
    tensor: TensorSpec
    around: Surroundings
    arrangement: Arrangement = field(default_factory=Arrangement)
    _variables: dict[str, Value] = field(default_factory=dict)

    def __call__(self, name: str) -> Value:
        if name in self.captured:
            return self.captured[name]
        if name in self.rule.scope.vars:
            return self._variable(name)
        if config_of(name):
            return self._configured(name)
        if name.startswith(SIBLING):
            return self._of_sibling(name.removeprefix(SIBLING))
        if name not in ALL_FACTS:
            raise KeyError(f"unknown name {shown(name)}")
        return ALL_FACTS[name](self)

    def answer(self, name: str) -> str:
        """The value of `name` as text; empty if there is none."""
        try:
            return repr(self(name))
        except KeyError:
            return ""

    @cached_property
    def captured(self) -> Mapping[str, int]:
        """The numbers that the rule's pattern captures from the tensor's name."""
        names = self.rule.selector.names
        return names.captured(self.tensor.name, self.around.numbers_for(names))

    def _variable(self, name: str) -> Value:
        """Variables are evaluated once, dependencies first."""
        variables = self.rule.scope.vars
        if name in self._variables:
            return self._variables[name]
        try:
            for needs_no_other in needed(name, variables, {*self.captured, *self._variables}):
                text = f"{needs_no_other} = {shown(variables[needs_no_other].text)}"
                self._variables[needs_no_other] = variables[needs_no_other].value(self)
        except Undefined as fact:
            raise KeyError(f"{text}: {fact}") from None
        return self._variables[name]

    def _configured(self, name: str) -> Value:
        found = configured(self.around.configs, self.rule, name)
        if found is None:
            table, _, key = name.partition(".")
            raise KeyError(f"{self._missing(table, key)}{self._where_to_write(table, key)}")
        return found

    def _missing(self, table: str, key: str) -> str:
        """Why `key` has no value, as the beginning of a sentence that goes on with what to write."""
        config = self.around.configs[table]
        if config is None:
            return f"{self.around.checkpoint.without_config}; " if table == CONFIG else _NO_BASE
        other = nearest(key, [name for name, _ in dotted(config)])
        return f"{_FILES[table]} has no {key}; " + (f"did you mean {shown(other[0])}? If not, " if other else "")

    def _where_to_write(self, table: str, key: str) -> str:
        origin = self.rule.origin
        if origin.preset:
            return f'write a recipe with extends = "preset:{origin.preset}" and, under [{table}], {key} = …'
        return f"write {key} = … under [{table}] of the recipe" if origin.is_table else "write the value itself"

    def _of_sibling(self, path: str) -> Value:
        """For `weight.fan_in` the fan_in of the tensor `weight` in the same module; for `weight`, whether it exists."""
        last, _, asked = path.rpartition(".")
        module = self.tensor.name.rpartition(".")[0]
        name = ".".join(part for part in (module, last or asked) if part)
        sibling = self.around.tensors.get(name)
        if not last:
            return sibling is not None
        if sibling is None:
            raise KeyError(f"there is no tensor {shown(name)}")
        return ALL_FACTS[asked](Lookup(self.rule, sibling, self.around))

    def _without_fans(self, name: str, fact: Unfit) -> tuple[str, str | None]:
        """Why the tensor does not have this fan, and which condition holds for all that have."""
        dims = len(self.tensor.shape)
        if dims > 1:
            return str(fact), fact.needs
        weight = self.around.tensors.get(f"{self.tensor.name.rpartition('.')[0]}.weight")
        instead = f" (sibling.weight.{name} is that of its weight)" if weight and len(weight.shape) > 1 else ""
        return f"a tensor with {dims} dim{'' if dims == 1 else 's'} has no {name}{instead}", fact.needs

    def fan(self, name: str) -> int:
        """One fan, for the layout that the rule declares."""
        try:
            fans = {weight.fans for weight in weights(self.tensor.shape, **self.arrangement)}
        except Unfit as fact:
            raise KeyError(*self._without_fans(name, fact)) from None
        if len(fans) > 1:
            raise KeyError(f"the tensor's parts have different fans, so {name} is not a single number")
        return int(getattr(fans.pop(), name))


SHAPE_FACTS: Mapping[str, Callable[[Lookup], Value]] = {
    "fan_in": lambda lookup: lookup.fan("fan_in"),
    "fan_out": lambda lookup: lookup.fan("fan_out"),
    "numel": lambda lookup: lookup.tensor.numel,
    "ndim": lambda lookup: len(lookup.tensor.shape),
    "shape": lambda lookup: lookup.tensor.shape,
    "dtype": lambda lookup: lookup.tensor.dtype.name,
}
NAME_FACTS: Mapping[str, Callable[[Lookup], Value]] = {
    "layer": lambda lookup: lookup.around.layer(lookup.tensor.name),
    "layers": lambda lookup: lookup.around.layers(lookup.tensor.name),
}
ALL_FACTS = {**SHAPE_FACTS, **NAME_FACTS}


def configured(configs: Mapping[str, Mapping[str, Any] | None], rule: Rule, name: str) -> Value | None:
    """The value of a name such as `config.hidden_size` in that one of `configs`, or else the rule's default for it."""
    table, *keys = name.split(".")
    found: Any = configs[table]
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    if isinstance(found, list) and all(isinstance(item, (int, float, str)) for item in found):
        return tuple(found)
    return found if isinstance(found, (int, float, str)) else rule.scope.defaults.get(name)
