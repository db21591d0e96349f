"""What a caller asks for: the rules of a preset, of recipes and of their own, in this order, a seed, and options."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any, Self, TypedDict

from initctl.errors import Problem, RuleError, UsageError, shown
from initctl.formats import read_config
from initctl.integers import as_integer
from initctl.planning import Options, bind, make_plan
from initctl.planning.advice.unfit_presets import FromPreset
from initctl.rules import Rule, Scope, parse_rule
from initctl.stream.key import SEED_LIMIT
from initctl.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from initctl.formats import Checkpoint
    from initctl.planning import BoundRule, Plan
    from initctl.recipes import Recipe
    from initctl.rules import Expression, Value

    Parsing = Callable[[], Rule]
    """Gives a rule, or raises `RuleError`."""

_MOST_PROPOSALS = 20
"""Idle variables that others are proposed for: similarity is slow to compute."""


class Asked(TypedDict, total=False):
    """Keyword arguments that `initctl.plan`, `initctl.apply` and `initctl.verify` share.

    rules: `SELECTOR=INITIALIZER[:KEY=VALUE,…]`; for each element the last rule that covers it decides.
    recipes: TOML files of rules, which come before `rules`.
    preset: the name of a model family's rules, which come first; `auto` takes the one for `config.json`'s model type.
    root: the dotted keys that lead to the state dict; by default where training frameworks put it; "" takes all.
    component: the folder of a directory whose checkpoint is meant, as `unet` of a diffusers pipeline; `config.json` is
        the one there. The result is the whole directory.
    seed: 0 ≤ seed < 2^64; by default that of the recipes, or 0. A value depends on it, on the tensor's name and
        on the element's index alone.
    allow_unused: only warn about a rule that decides no tensor.
    require_all: refuse if no rule decides some floating-point tensor, or a part of a quantized weight.
    allow_partial: only warn about a preset that leaves most of the weights undecided.
    reset_optimizer: set back what optimizers remember of the tensors that rules fill: moments, and steps.
    buffers: patterns for the names of buffers that have a parameter's shape, for `reset_optimizer`: no optimizer was
        given them.
    device: what computes: `cpu`, a device that torch knows (`cuda`, `cuda:1`), or `auto`: a GPU if it is faster.
    rng: `philox`; or `torch`, which gives what a script gives that calls `torch.manual_seed(seed)` and then, for each
        ruled tensor in the checkpoint's order, the function of `torch.nn.init` on a tensor of its dtype and device.
    """

    rules: Iterable[str]
    recipes: Iterable[str | os.PathLike[str]]
    preset: str | None
    root: str | None
    component: str | None
    seed: int | None
    allow_unused: bool
    require_all: bool
    allow_partial: bool
    reset_optimizer: bool
    buffers: Iterable[str]
    device: str
    rng: str


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked, checked as far as no checkpoint is needed for that.

    `recipes` are that of a preset, if it is known already, and those of the caller. `texts` are the caller's own rules.
    `rules` are those of `recipes`, bound, and of `texts`, unless they wait for an automatic preset, whose variables
    they may use.
    """

    recipes: tuple[Recipe, ...]
    texts: tuple[str, ...]
    rules: tuple[BoundRule, ...]
    preset: str | None
    given_seed: int | None
    root: str | None
    component: str | None
    options: Options

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> Self:
        """Raises `UsageError`: of rules and recipes, `RuleError`; and `TypeError` for an argument that is not known."""
        _check_known(asked)
        texts, paths = _several(asked, "rules"), _several(asked, "recipes")
        preset, seed = asked.get("preset"), _seed(asked.get("seed"))
        recipes = _recipes(preset, paths)
        _check_together(recipes, seed)
        rules = _bound(recipes, () if _is_automatic(preset) else texts)
        return cls(recipes, texts, rules, preset, seed, asked.get("root"), asked.get("component"), _options(asked))

    @property
    def seed(self) -> int:
        """The seed that was given, or else that of the recipes, or 0."""
        return _effective_seed(self.recipes, self.given_seed)

    @property
    def has_rules(self) -> bool:
        """Whether there are rules, or will be."""
        return bool(self.rules) or _is_automatic(self.preset)

    def check_rules(self, otherwise: str = "") -> None:
        """Raise `UsageError` unless there are rules, or will be; `otherwise` is what the hint says beside rules."""
        if not self.has_rules:
            hint = f"give one with -r, as in -r '*.bias=zeros', a recipe with -f, or a preset with -p{otherwise}"
            raise UsageError(Problem("usage.no_rules", "rules: none given, so there is nothing to do", hint))

    def plan(self, checkpoint: Checkpoint) -> Plan:
        """The plan for `checkpoint`. Raises what `make_plan` does, and what `within` does."""
        return self.within(checkpoint.home).plan(checkpoint, self.options)

    def within(self, directory: str) -> Ruleset:
        """The rules that count for a checkpoint in `directory`, whose `config.json` is read only if something may ask
        for it. Raises `InputError`, and `UsageError` if an automatic preset finds none that fits.
        """
        if not (self.preset or any(rule.uses_config for rule in self.rules)):
            return Ruleset(self.recipes, self.rules, self.seed)
        config = read_config(directory)
        if not _is_automatic(self.preset):
            return Ruleset(self.recipes, self.rules, self.seed, self.preset, config)
        from initctl.recipes import preset_for
        from initctl.recipes.reading import read_preset

        fitting = preset_for(config).name
        preset = read_preset(fitting)
        recipes = (preset, *self.recipes)
        _check_together(recipes, self.given_seed)
        rules = (*_bound((preset,), ()), *self.rules, *_bind(_own(recipes, self.texts)))
        return Ruleset(recipes, rules, _effective_seed(recipes, self.given_seed), fitting, config)


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All rules that count for a checkpoint, bound, and the recipes that they come from, that of a preset first.

    `preset` is its name, if it was asked for by name or automatically. `config` is what `config.json` says, if it was
    read.
    """

    recipes: tuple[Recipe, ...]
    rules: tuple[BoundRule, ...]
    seed: int
    preset: str | None = None
    config: Mapping[str, Any] | None = None

    @property
    def from_preset(self) -> FromPreset | None:
        """The rules of the preset that was asked for, or of the first recipe that extends one."""
        recipe = next((recipe for recipe in self.recipes if recipe.extends_preset), None)
        return FromPreset(recipe.source, recipe.rules, self.preset) if recipe else None

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What makes it doubtful that this is meant."""
        return (*self._other_family(), *self._idle_variables())

    def _idle_variables(self) -> Iterator[Problem]:
        """A problem for each variable that no rule uses."""
        used = {name for bound in self.rules for name in bound.names & bound.rule.scope.vars.keys()}
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

    def plan(self, checkpoint: Checkpoint, options: Options) -> Plan:
        """The plan that they give for `checkpoint`. Raises what `make_plan` does."""
        made = make_plan(
            checkpoint,
            self.rules,
            options,
            seed=self.seed,
            config=self.config,
            preset=self.from_preset,
        )
        return replace(made, warnings=(*self.warnings, *made.warnings))


def _check_known(asked: Mapping[str, Any]) -> None:
    for name in asked.keys() - Asked.__annotations__.keys():
        hint = did_you_mean(name, Asked.__annotations__)
        raise TypeError(f"there is no argument {name!r}" + (f"; {hint}" if hint else ""))


def _several(asked: Mapping[str, Any], name: str, code: str = "usage.rules") -> tuple[Any, ...]:
    """The items of an argument that takes several. Raises `UsageError` if it is a single one."""
    given = asked.get(name, ())
    if isinstance(given, (str, os.PathLike)):
        raise UsageError(Problem(code, f"{name}: one was given", "give a list of them"))
    return tuple(given)


def _options(asked: Mapping[str, Any]) -> Options:
    known = {field.name for field in fields(Options)}
    options = {name: value for name, value in asked.items() if name in known}
    return Options(**options | {"buffers": _several(asked, "buffers", "usage.buffers")})


def _seed(given: object) -> int | None:
    """A seed as a caller gives it, an integer of any kind. Raises `UsageError`."""
    seed = as_integer(given)
    if given is not None and (seed is None or not 0 <= seed < SEED_LIMIT):
        raise UsageError(Problem("usage.seed", f"seed: {shown(given)} is not a whole number from 0 to 2^64 - 1"))
    return seed


def _effective_seed(recipes: Iterable[Recipe], given: int | None) -> int:
    if given is not None:
        return given
    return next((seed.value for recipe in recipes for seed in recipe.seeds), 0)


def _is_automatic(preset: str | None) -> bool:
    if preset is None:
        return False
    from initctl.recipes import AUTO

    return preset == AUTO


def _recipes(preset: str | None, paths: Iterable[str | os.PathLike[str]]) -> tuple[Recipe, ...]:
    """The recipe of a preset that is named, and those at `paths`."""
    if preset is None and not paths:
        return ()
    from initctl.recipes.reading import read_preset, read_recipe

    read = tuple(read_recipe(path) for path in paths)
    return read if preset is None or _is_automatic(preset) else (read_preset(preset), *read)


def _check_together(recipes: tuple[Recipe, ...], seed: int | None) -> None:
    """Raise `RuleError` if two recipes share a document, or say different seeds and none was given."""
    _check_apart(recipes)
    if seed is None:
        _check_one_seed(recipes)


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


def _bound(recipes: tuple[Recipe, ...], texts: tuple[str, ...]) -> tuple[BoundRule, ...]:
    """The rules of `recipes` and of `texts`. Raises `RuleError` with the faults of all of them."""
    of_recipes = (partial(_itself, rule) for recipe in recipes for rule in recipe.rules)
    return _bind((*of_recipes, *_own(recipes, texts)))


def _own(recipes: Iterable[Recipe], texts: Iterable[str]) -> Iterator[Parsing]:
    """The caller's own rules, which know the variables of all recipes."""
    variables: dict[str, Expression] = {}
    config: dict[str, Value] = {}
    for recipe in recipes:
        variables |= recipe.scope.vars
        config |= recipe.scope.config
    scope = Scope(variables, config)
    for number, text in enumerate(texts, start=1):
        yield partial(parse_rule, text, f"rule {number}", scope)


def _bind(parsing: Iterable[Parsing]) -> tuple[BoundRule, ...]:
    """Every rule, bound. Raises `RuleError` with the faults of all of them."""
    bound: list[BoundRule] = []
    problems: list[Problem] = []
    for parsed in parsing:
        try:
            bound.append(bind(parsed()))
        except RuleError as error:
            problems += error.problems
    if problems:
        raise RuleError(*problems)
    return tuple(bound)


def _itself(rule: Rule) -> Rule:
    return rule
