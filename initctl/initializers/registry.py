"""Initializers by name, built-in ones and plugins.

A package adds an initializer by an entry point in the group `initctl.initializers` that names an `Initializer`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from initctl.entry_points import added
from initctl.errors import Excerpt, Problem, RuleError, UsageError, shown
from initctl.initializers.builtin import BUILTIN
from initctl.initializers.initializer import BoundCall, Initializer
from initctl.suggestions import about_shapes, did_you_mean, nearest

if TYPE_CHECKING:
    from initctl.initializers.parameters import Argument
    from initctl.rules import Call, Expression

_OF_A_RULE = ("where", "optional")
"""Keys of a recipe's rule that are not parameters."""
ENTRY_POINT_GROUP = "initctl.initializers"
KEEP = "keep"
"""The call that leaves a tensor unchanged. It is not an initializer, but its name is taken."""


class Registry:
    """Initializers by name and alias."""

    def __init__(self, initializers: Iterable[Initializer] = ()) -> None:
        self._by_name: dict[str, Initializer] = {}
        self._plugins_loaded = False
        for initializer in initializers:
            self.register(initializer)

    def register(self, initializer: Initializer) -> None:
        """Add an initializer. Raises `UsageError` if its name or an alias is taken."""
        names = (initializer.name, *initializer.aliases)
        if taken := next((name for name in names if name == KEEP or name in self._by_name), None):
            raise UsageError(Problem("initializer.taken", f"initializer {shown(taken)}: the name is already taken"))
        self._by_name.update(dict.fromkeys(names, initializer))

    def __iter__(self) -> Iterator[Initializer]:
        """Every initializer once, built-in ones first."""
        self._load_plugins()
        return iter(dict.fromkeys(self._by_name.values()))

    def find(self, name: str, place: Excerpt | None = None) -> Initializer:
        """The initializer `name`, which is at `place` in the rule. Raises `RuleError` with the nearest names."""
        if name not in self._by_name:
            self._load_plugins()
        if name not in self._by_name:
            plain = name.rpartition(".")[2].removesuffix("_")  # as in torch.nn.init.zeros_
            hint = did_you_mean(plain, [*self._by_name, KEEP], n=2) or "`initctl initializers` lists them"
            if name == KEEP:
                hint = "in a rule, keep leaves tensors unchanged"
            raise RuleError(Problem("rule.initializer", f"unknown initializer {shown(name)}", hint, place))
        return self._by_name[name]

    def bind(self, call: Call) -> BoundCall:
        """The initializer that `call` names with its arguments parsed and checked. Raises `RuleError`."""
        initializer = self.find(call.name, call.place)
        given = {key: _parse(initializer, key, text, call) for key, text in call.arguments}
        if missing := [p.name for p in initializer.parameters if p.required and p.name not in given]:
            hint = f"write, for example, {initializer.example}"
            message = f"{initializer.name} needs {' and '.join(missing)}"
            raise RuleError(Problem("rule.parameter", message, hint, call.place))
        return BoundCall.of(initializer, given)

    def _load_plugins(self) -> None:
        if self._plugins_loaded:
            return
        for initializer in added(ENTRY_POINT_GROUP, Initializer, "initializer.plugin"):
            if initializer not in self._by_name.values():  # found before a later plugin failed
                self.register(initializer)
        self._plugins_loaded = True


def _parse(initializer: Initializer, key: str, text: str, call: Call) -> Argument | Expression:
    of_key, of_value = call.places.get(key, (None, None))
    parameter = next((parameter for parameter in initializer.parameters if parameter.name == key), None)
    if parameter is None:
        message = f"{initializer.name} has no parameter {shown(key)}"
        raise RuleError(Problem("rule.parameter", message, _meant(initializer, key, call), of_key))
    try:
        return parameter.parse(text, of_value)
    except RuleError as error:
        raise error.prefixed(f"{key}=") from None


def _meant(initializer: Initializer, key: str, call: Call) -> str:
    names = [parameter.name for parameter in initializer.parameters]
    if not (of_rule := nearest(key, _OF_A_RULE)):
        return (
            about_shapes(key)
            or did_you_mean(key, names)
            or (f"did you mean {' or '.join(names)}?" if names else "it has no parameters")
        )
    of_key, _ = call.places.get(key, (None, None))
    if of_key and not of_key.file and of_rule[0] == "where":
        return "write it after the initializer: '… where ndim >= 2'"
    return f"in a recipe, did you mean {of_rule[0]}?"


REGISTRY = Registry(BUILTIN)
