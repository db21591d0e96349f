"""What the names in a rule's expressions stand for."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from initctl.dtypes import BY_NAME
from initctl.errors import Problem, RuleError, listed, shown
from initctl.formats.config import dotted
from initctl.initializers import Unfit
from initctl.initializers.fans import Arrangement, weights
from initctl.rules import Circular, Undefined, highest_numbers, needed
from initctl.rules.expressions import CONFIG
from initctl.suggestions import did_you_mean, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from initctl.formats import Checkpoint
    from initctl.rules import Expression, Rule, Value
    from initctl.tensors import TensorSpec

OF_ANY_TENSOR = ("fan_in", "fan_out", "numel", "ndim", "shape", "dtype")
OF_A_TENSOR = (*OF_ANY_TENSOR, "layer", "layers")
SIBLING = "sibling."
"""`sibling.weight.fan_in` is that of the tensor called weight beside this one, `sibling.weight` whether it exists."""
_LAYER = re.compile(r"(?:^|\.)([0-9]{1,18})(?=\.|$)")
"""A part of a name that is a whole number."""


class Surroundings:
    """What is the same for all rules and tensors of a checkpoint: its names, the numbers in them, its `config.json`.

    `read` gives the table of another checkpoint, which rules may name by its path.
    """

    def __init__(
        self, checkpoint: Checkpoint, config: Mapping[str, Any] | None, read: Callable[[str], Checkpoint]
    ) -> None:
        self.tensors = {tensor.name: tensor for tensor in checkpoint.tensors}
        names = list(self.tensors)
        self.checkpoint = checkpoint
        self.other = cache(read)
        self.highest = highest_numbers(names)
        self.config = config
        self._usual = Counter(name[: found.start(1)] for name in names if (found := _LAYER.search(name)))

    def layer(self, name: str) -> int:
        """The first whole-number part of `name`. Raises `KeyError` with the reason where there is none."""
        if not (found := _LAYER.search(name)):
            raise KeyError("the tensor's name has no number between dots")
        return int(found[1])

    def layers(self, name: str) -> int:
        """One more than the highest number where `name` has its layer, or, if it has none, where most names do."""
        found = _LAYER.search(name)
        if not found and not self._usual:
            raise KeyError("no tensor's name has a number between dots; write how many layers there are")
        place = name[: found.start(1)] if found else self._usual.most_common(1)[0][0]
        return 1 + self.highest[place]


@dataclass(slots=True)
class Lookup:
    """What a name stands for in the expressions of `rule` on `tensor`. Called with one, it returns the value, or raises
    `KeyError` with the reason why there is none.
    """

    rule: Rule
    tensor: TensorSpec
    around: Surroundings
    arrangement: Arrangement = field(default_factory=Arrangement)
    _captured: Mapping[str, int] | None = None
    _variables: dict[str, Value] = field(default_factory=dict)

    def __call__(self, name: str) -> Value:
        if name in self.captured:
            return self.captured[name]
        if name in self.rule.scope.vars:
            return self._variable(name)
        if name.startswith(CONFIG):
            return self._config(name.removeprefix(CONFIG))
        if name.startswith(SIBLING):
            return self._of_sibling(name.removeprefix(SIBLING))
        return self._of_tensor(name)

    @property
    def captured(self) -> Mapping[str, int]:
        if self._captured is None:
            self._captured = self.rule.selector.names.captured(self.tensor.name, self.around.highest)
        return self._captured

    def _variable(self, name: str) -> Value:
        """Each is computed once, after those that it needs, however they use each other."""
        variables = self.rule.scope.vars
        if name in self._variables:
            return self._variables[name]
        try:
            for needs_no_other in needed(name, variables, {*self.captured, *self._variables}):
                text = f"{needs_no_other} = {shown(variables[needs_no_other].text)}"
                self._variables[needs_no_other] = variables[needs_no_other].value(self)
        except Circular as fact:
            raise KeyError(f"{fact}: variables that need each other") from None
        except Undefined as fact:
            raise KeyError(f"{text}: {fact}") from None
        return self._variables[name]

    def _config(self, key: str) -> Value:
        found = config_value(self.around.config, self.rule, key)
        if found is None:
            raise KeyError(self._silent(key))
        return found

    def _silent(self, key: str) -> str:
        """Why `key` is not known, and what to write."""
        why = "there is no config.json beside the checkpoint"
        if self.around.config is not None:
            found = nearest(key, [name for name, _ in dotted(self.around.config)])
            why = f"config.json does not give {key}" + (f", but {shown(found[0])}" if found else "")
        return f"{why}; {self._where_to_write(key)}"

    def _where_to_write(self, key: str) -> str:
        origin = self.rule.origin
        if origin.preset:
            return f'write a recipe with extends = "preset:{origin.preset}" and, under [config], {key} = …'
        return f"write {key} = … under [config] of the recipe" if origin.is_table else "write the value itself"

    def _of_sibling(self, path: str) -> Value:
        """For `weight.fan_in` that of the tensor called weight in the same module; for `weight`, if it exists."""
        last, _, asked = path.rpartition(".")
        module = self.tensor.name.rpartition(".")[0]
        name = ".".join(part for part in (module, last or asked) if part)
        sibling = self.around.tensors.get(name)
        if not last:
            return sibling is not None
        if sibling is None:
            raise KeyError(f"there is no tensor {shown(name)}")
        return Lookup(self.rule, sibling, self.around)._of_tensor(asked)  # noqa: SLF001 - one of its own kind

    def _fan(self, name: str) -> int:
        """A fan as the rule says that the weight lies."""
        try:
            fans = {weight.fans for weight in weights(self.tensor.shape, **self.arrangement)}
        except Unfit as fact:
            raise KeyError(str(fact)) from None
        if len(fans) > 1:
            raise KeyError(f"the tensor's parts have different fans, so that {name} is not one number")
        return int(getattr(fans.pop(), name))

    def _of_tensor(self, name: str) -> Value:
        tensor = self.tensor
        match name:
            case "numel":
                return tensor.numel
            case "ndim":
                return len(tensor.shape)
            case "shape":
                return tensor.shape
            case "dtype":
                return tensor.dtype.name
            case "layer":
                return self.around.layer(tensor.name)
            case "layers":
                return self.around.layers(tensor.name)
            case "fan_in" | "fan_out":
                return self._fan(name)
        raise KeyError(f"{shown(name)} is not known")


def config_value(config: Mapping[str, Any] | None, rule: Rule, key: str) -> Value | None:
    """What `config.json` says of a dotted key, or, where it is silent, what the rule takes it to say."""
    found: Any = config
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    if isinstance(found, list) and all(isinstance(item, (int, float, str)) for item in found):
        return tuple(found)
    return found if isinstance(found, (int, float, str)) else rule.scope.config.get(key)


def check_names(expression: Expression, rule: Rule) -> None:
    """Raise `RuleError` where `expression`, or a variable that it needs, uses a name that no tensor can give a meaning
    to.
    """
    variables, captures = rule.scope.vars, rule.selector.names.captures
    _check_known(expression, rule, "")
    checked: set[str] = set()
    for used in sorted(expression.names & variables.keys() - set(captures)):
        with suppress(Circular):  # told of a tensor, with the way there
            for name in needed(used, variables, {*captures, *checked}):
                checked.add(name)
                _check_known(variables[name], rule, f"variable {name}: ")


def _check_known(expression: Expression, rule: Rule, place: str) -> None:
    variables, captures = rule.scope.vars, rule.selector.names.captures
    for name in sorted(expression.names):
        if name in OF_A_TENSOR or name in variables or name in captures or name.startswith(CONFIG):
            continue
        if _tells_of_sibling(name):
            continue
        known = (*OF_A_TENSOR, *variables, *captures)
        message = f"{place}{shown(expression.text)}: no name {shown(name)} is known"
        raise RuleError(Problem("rule.name", message, _hint(name, known), expression.place_of(name)))


def _tells_of_sibling(name: str) -> bool:
    match name.split("."):
        case ["sibling", last]:
            return last not in OF_ANY_TENSOR
        case ["sibling", *_, asked]:
            return asked in OF_ANY_TENSOR
    return False


def _hint(name: str, known: tuple[str, ...]) -> str:
    if name.startswith(SIBLING):
        return f"write for instance sibling.weight.fan_in; there are {', '.join(OF_ANY_TENSOR)}"
    if name in BY_NAME:
        return f'write it in quotes: "{name}"'
    return did_you_mean(name, known) or f"there are {listed(known, at_most=20)}, config.KEY and sibling.NAME"
