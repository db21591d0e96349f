"""What a caller asks for: the rules of a preset, of recipes and of their own, in this order, a seed, and options."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any

from initctl.errors import Problem, RuleError, UsageError, shown
from initctl.formats import read_config
from initctl.integers import as_integer
from initctl.planning import bind, make_plan
from initctl.planning.advice.presets import FromPreset
from initctl.planning.deciding import asks_config
from initctl.planning.lookup import config_value
from initctl.rules import Rule, Scope, parse_rule
from initctl.stream.key import SEED_LIMIT
from initctl.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from initctl.formats import Checkpoint
    from initctl.planning import BoundRule, Options, Plan
    from initctl.recipes import Recipe
    from initctl.rules import Expression, Value


_MOST_PROPOSALS = 20
"""Idle variables that others are proposed for: similarity is slow to compute."""


@dataclass(frozen=True, slots=True)
class Instructions:
    """Recipes, that of a preset first, the `texts` of the caller's own rules, and a seed, where one was given.

    `rules` are all of them, bound; where an automatic preset `is_awaited`, there are none yet. `preset` is the name of
    the one whose recipe comes first. `config` is what `config.json` says, where anything may ask for it.
    """

    recipes: tuple[Recipe, ...]
    texts: tuple[str, ...]
    given_seed: int | None
    rules: tuple[BoundRule, ...]
    is_awaited: bool = False
    preset: str | None = None
    config: Mapping[str, Any] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was given."""
        return not (self.recipes or self.texts or self.is_awaited) and self.given_seed is None

    @property
    def has_rules(self) -> bool:
        """Whether there are rules, or will be."""
        return bool(self.rules) or self.is_awaited

    @property
    def seed(self) -> int:
        """The seed that was given, or else that of the recipes, or 0."""
        if self.given_seed is not None:
            return self.given_seed
        return next((seed.value for recipe in self.recipes for seed in recipe.seeds), 0)

    def within(self, directory: str) -> Instructions:
        """The same for a checkpoint in `directory`: with what `config.json` says there, and the preset that fits, where
        that was asked for. Raises `InputError`, and `UsageError` where none fits.
        """
        if not (self.is_awaited or self.preset or self._asks_config):
            return self
        config = read_config(directory)
        if not self.is_awaited:
            return replace(self, config=config)
        from initctl.recipes import preset_for, read_preset

        fitting = preset_for(config).name
        bound = _bound((read_preset(fitting), *self.recipes), self.texts, self.given_seed, fitting)
        return replace(bound, config=config)

    @property
    def _asks_config(self) -> bool:
        scopes = {id(rule.rule.scope): rule.rule.scope for rule in self.rules}
        by_variable = any(asks_config(scope.vars.values()) for scope in scopes.values())
        return by_variable or any(rule.uses_config for rule in self.rules)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What makes it doubtful that this is meant."""
        return (*self._other_family(), *self._idle_variables())

    def _idle_variables(self) -> Iterator[Problem]:
        """A problem for each variable that no rule uses."""
        used: set[str] = set()
        for bound in self.rules:
            variables = bound.rule.scope.vars
            waiting = {name for expression in bound.expressions for name in expression.names} & variables.keys()
            while waiting:
                used |= waiting
                waiting = {name for user in waiting for name in variables[user].names} & variables.keys() - used
        idle = ((recipe, name) for recipe in self.recipes for name in recipe.scope.vars if name not in used)
        for number, (recipe, name) in enumerate(idle):
            known = sorted(used & recipe.scope.vars.keys()) if number < _MOST_PROPOSALS else ()
            message = f"{shown(recipe.source)}: vars.{name}: no rule uses it"
            yield Problem("recipe.unused", message, did_you_mean(name, known))

    def _other_family(self) -> tuple[Problem, ...]:
        if self.preset is None:
            return ()
        from initctl.recipes import better_preset

        better = better_preset(self.preset, self.config)
        if better is None:
            return ()
        message = f"preset {self.preset}: the model_type in config.json is one that preset {better.name} is for"
        return (Problem("preset.model_type", message, f"consider -p {better.name} ({better.summary})"),)

    def plan(self, checkpoint: Checkpoint, options: Options, read: Callable[[str], Checkpoint]) -> Plan:
        """The plan that they give for `checkpoint`. `read` gives the table of another. Raises what `make_plan` does."""
        given = self.within(checkpoint.home)
        made = make_plan(
            checkpoint,
            given.rules,
            options,
            seed=given.seed,
            read=read,
            config=given.config,
            preset=given.from_preset,
        )
        return replace(made, warnings=(*given.warnings, *made.warnings))

    @property
    def from_preset(self) -> FromPreset | None:
        """The rules of the preset that was asked for, or of the first recipe that extends one."""
        recipe = next((recipe for recipe in self.recipes if recipe.extends_preset), None)
        return FromPreset(recipe.source, recipe.rules, self.preset) if recipe else None

    def as_recipe(self) -> str:
        """All of it as one recipe that needs no other file: what `config.json` says is written out."""
        from initctl.recipes import recipe_text

        bound = [(rule.rule, rule.initializer) for rule in self.rules]
        return recipe_text(bound, self.seed, partial(config_value, self.config))


def instructions(
    rules: Iterable[str], recipes: Iterable[str | os.PathLike[str]], preset: str | None, seed: int | None
) -> Instructions:
    """All that can be known before the checkpoint is read. Raises `UsageError`: of rules and recipes, `RuleError`."""
    if isinstance(rules, str) or isinstance(recipes, (str, os.PathLike)):
        raise UsageError(Problem("usage.rules", "rules, recipes: one was given", "give a list of them"))
    seed = _seed(seed)
    texts, paths = tuple(rules), tuple(recipes)
    if preset is None and not paths:
        return _bound((), texts, seed)
    from initctl.recipes import AUTO, read_preset, read_recipe

    read = tuple(read_recipe(path) for path in paths)
    if preset == AUTO:
        _bound(read, (), seed)  # what is wrong with them is told at once
        return Instructions(read, texts, seed, (), is_awaited=True)
    return _bound(read if preset is None else (read_preset(preset), *read), texts, seed, preset)


def _seed(given: object) -> int | None:
    """A seed as a caller gives it, an integer of any kind. Raises `UsageError`."""
    seed = as_integer(given)
    if given is not None and (seed is None or not 0 <= seed < SEED_LIMIT):
        raise UsageError(Problem("usage.seed", f"seed: {shown(given)} is not a whole number from 0 to 2^64 - 1"))
    return seed


def _bound(
    recipes: tuple[Recipe, ...], texts: tuple[str, ...], seed: int | None, preset: str | None = None
) -> Instructions:
    """With every rule bound. Raises `RuleError` with the faults of all of them."""
    _check_apart(recipes)
    if seed is None:
        _check_one_seed(recipes)
    bound: list[BoundRule] = []
    problems: list[Problem] = []
    for parsed in _parsing(recipes, texts):
        try:
            bound.append(bind(parsed()))
        except RuleError as error:
            problems += error.problems
    if problems:
        raise RuleError(*problems)
    return Instructions(recipes, texts, seed, tuple(bound), preset=preset)


def _check_apart(recipes: tuple[Recipe, ...]) -> None:
    """Refuse a document whose rules would count twice, the second time after exceptions to them."""
    for one, other in combinations(recipes, 2):
        for shared in sorted(one.documents & other.documents)[:1]:
            fault = f"{shown(one.source)} and {shown(other.source)}: {shown(shared)} is in both, and would count twice"
            raise RuleError(Problem("recipe.twice", fault, "let one of them extend the other, and give that alone"))


def _check_one_seed(recipes: tuple[Recipe, ...]) -> None:
    """Refuse recipes that say different seeds: which of them is meant, they do not say."""
    seeds = [seed for recipe in recipes for seed in recipe.seeds]
    if other := next((seed for seed in seeds if seed.value != seeds[0].value), None):
        said = " and ".join(f"{shown(seed.source)} says seed = {seed.value}" for seed in (seeds[0], other))
        raise RuleError(Problem("recipe.seeds", f"recipes: {said}", "choose one with --seed"))


def _parsing(recipes: Iterable[Recipe], texts: Iterable[str]) -> Iterator[Callable[[], Rule]]:
    """What gives each rule, or raises `RuleError`. The caller's own know the variables of all recipes."""
    variables: dict[str, Expression] = {}
    config: dict[str, Value] = {}
    for recipe in recipes:
        variables |= recipe.scope.vars
        config |= recipe.scope.config
        yield from (partial(_itself, rule) for rule in recipe.rules)
    scope = Scope(variables, config)
    yield from (partial(parse_rule, text, f"rule {number}", scope) for number, text in enumerate(texts, start=1))


def _itself(rule: Rule) -> Rule:
    return rule
