"""A caller's request: the rules of a preset, of recipes and single ones, in this order, a seed, and options."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypedDict

from initctl.argument_types import check_text, check_texts, items, mapping, path_of, unknown
from initctl.errors import FitError, InitctlError, Problem, RuleError, UsageError, shown
from initctl.formats import Checkpoint, read_checkpoint, read_other_config
from initctl.integers import as_integer
from initctl.planning import BoundRule, Options, Plan, bind, make_plan
from initctl.planning.advice.unfit_presets import FromPreset
from initctl.planning.advice.unused import NO_MATCH
from initctl.planning.resizing import with_sizes
from initctl.recipes.presets import AUTO, better_preset, model_kind, preset_for
from initctl.reshaping import UNCHANGED, Reshaping
from initctl.reshaping.settings import settings_of
from initctl.reshaping.sizes import DIMS, ROWS, parse_resize
from initctl.rules import Origin, Rule, Scope, parse_rule
from initctl.rules.expressions.terms import BASE, CONFIG
from initctl.stream.key import SEED_LIMIT
from initctl.suggestions import did_you_mean

if TYPE_CHECKING:
    from initctl.recipes.reading import Recipe

    Path = str | os.PathLike[str]

_MOST_PROPOSALS = 20
"""The most unused variables that get a proposal: similarity is slow to compute."""


class AskedRules(TypedDict, total=False):
    """Keyword arguments of `initctl.plan`, which describes them, that all functions that take rules share."""

    rules: Iterable[str]
    recipes: Iterable[Path]
    preset: str | None
    seed: int | None
    allow_unused: bool
    base_config: Path | None
    rng: str


class AskedOfNew(AskedRules, total=False):
    """Those of `initctl.new`."""

    device: str


class AskedOfModel(AskedRules, total=False):
    """Those of `initctl.init_`."""

    require_all: bool
    allow_partial: bool


class Asked(AskedOfModel, total=False):
    """Those of `initctl.plan`, `initctl.apply` and `initctl.verify`."""

    root: str | None
    component: str | None
    reset_optimizer: bool
    buffers: Iterable[str]
    device: str
    rows: Mapping[str, int | str]
    dims: Mapping[str, Sequence[int] | str]
    set_config: Mapping[str, Any]


class Request(NamedTuple):
    """The request, checked as far as possible without a checkpoint.

    `recipes` are the recipe of a preset, if it is known already, and the caller's recipes. `texts` are the caller's
    single rules. `rules` are the bound rules of `recipes` and `texts`. If the preset is `auto`, `texts` are bound when
    it is known: they may use its variables. With `default_preset`, the caller did not ask for the preset, whose rules
    may all be overridden. `base` is the parsed config.json of a base model. `reshaping` are the recipes' new sizes and
    settings, then the caller's.
    """

    recipes: tuple[Recipe, ...]
    texts: tuple[str, ...]
    rules: tuple[BoundRule, ...]
    preset: str | None
    given_seed: int | None
    root: str | None
    component: str | None
    base: Mapping[str, Any] | None
    options: Options
    reshaping: Reshaping = UNCHANGED
    default_preset: bool = False

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> Self:
        """Raises `UsageError`, for faults of rules and recipes `RuleError`, `InputError` if the config.json of a base
        model cannot be read, and `TypeError` for an unknown argument or a wrong type.
        """
        _check_types(asked)
        texts = _several(asked, "rules")
        check_texts("rules", texts)
        paths = [path_of(f"recipes[{at}]", path) for at, path in enumerate(_several(asked, "recipes"))]
        preset, seed = asked.get("preset"), _seed(asked.get("seed"))
        recipes = _read(preset, paths)
        _check_together(recipes, seed)
        rules = _bound(recipes, () if preset == AUTO else texts, recipes)
        places, base = (asked.get("root"), asked.get("component")), _base(asked.get("base_config"))
        reshaping = sum((recipe.reshaping for recipe in recipes), UNCHANGED) + _reshaping(asked)
        return cls(recipes, texts, rules, preset, seed, *places, base, _options(asked), reshaping)

    @property
    def seed(self) -> int:
        """The given seed, or else the seed of the recipes, or 0."""
        said = (seed.value for recipe in self.recipes for seed in recipe.seeds)
        return next(said, 0) if self.given_seed is None else self.given_seed

    def with_default_preset(self) -> Self:
        """The request with the preset that `config.json` names, before the caller's rules."""
        return self._replace(
            preset=AUTO, rules=(), default_preset=True
        )  # rules are bound again after those of the preset

    def check_rules(self, otherwise: str = "") -> None:
        """Raise `UsageError` unless there are rules, or will be; `otherwise` ends the hint."""
        if not self.rules and self.preset != AUTO and not self.reshaping:
            hint = f"give a rule (-r '*.bias=zeros'), a recipe (-f) or a preset (-p){otherwise}"
            raise UsageError(Problem("usage.no_rules", "no rules given, so there is nothing to do", hint))

    def check_without_sizes(self, where: str) -> None:
        """Raise `UsageError` if a recipe asks for new sizes or another config.json, which `where` does not have."""
        for recipe in self.recipes:
            if recipe.reshaping:
                fault = f"{shown(recipe.source)}: asks for other sizes or another config.json, which {where} cannot get"
                raise UsageError(Problem("usage.rows", fault, "take [rows], [dims] and [set_config] out of the recipe"))

    def check_base(self) -> None:
        """Raise `UsageError` if a base model is given, and no rule uses it."""
        if self.base is not None and not any(rule.uses(BASE) for rule in self.rules):
            fault = "--base-config has no effect: no rule uses a value base.KEY of it"
            raise UsageError(Problem("usage.base_config", fault, "use one in a rule, or leave --base-config out"))

    def read(self, path: Path, *, unfinished: bool = False) -> Checkpoint:
        """The checkpoint at `path`, with this root and component, and with the new sizes.

        Raises as `read_checkpoint` does, and `FitError` if the sizes do not fit.
        """
        found = read_checkpoint(path, root=self.root, component=self.component, unfinished=unfinished)
        return with_sizes(found, self.reshaping)

    def plan(self, checkpoint: Checkpoint) -> Plan:
        """The plan for `checkpoint`, whose `config.json` is read only if it may be needed.

        Raises as `make_plan` does; `InputError`, and `UsageError` if there is no preset for `auto`.
        """
        asks_config = self.preset or any(rule.uses(CONFIG) for rule in self.rules)
        config = checkpoint.config() if asks_config else None
        whole = self._with_preset(preset_for(config, checkpoint.without_config).name) if self.preset == AUTO else self
        whole.check_base()
        recipe = next((recipe for recipe in whole.recipes if recipe.extends_preset), None)
        asked = None if self.default_preset else whole.preset
        made = make_plan(
            checkpoint,
            whole.rules,
            self.options,
            seed=whole.seed,
            config=config,
            base=whole.base,
            preset=FromPreset(recipe.source, recipe.rules, asked) if recipe else None,
        )
        warnings = (*_other_family(whole.preset, config), *_idle_variables(whole), *made.warnings)
        return replace(made, warnings=warnings, reshaping=whole.reshaping)

    def about_original(self, error: FitError, original: Path, result: Path) -> FitError:
        """`error` of the plan for `original`, whose `result` is verified: it names the original. If the rules fit
        `result`, it asks whether it is the right original, or for the sizes that the result has.
        """
        name, hint, sizes = shown(os.fspath(original)), None, None
        with suppress(InitctlError):
            held = self.read(result)
            self.plan(held)
            fits = f"the rules fit {shown(os.fspath(result))}"
            hint = f"{fits}; is {name} the right original?"
            if held.differs_in_size(self.read(original)):
                sizes = (
                    f"{fits}, which has other sizes; give the --rows and --dims that apply had; see initctl help rows"
                )
        return FitError(
            *(
                problem._replace(message=f"{problem.message} of {name}, the original", hint=hint or problem.hint)
                if problem.message.endswith(NO_MATCH)
                else problem._replace(hint=sizes or problem.hint)
                for problem in error.problems
            )
        )

    def _with_preset(self, name: str) -> Self:
        """The request with the rules of the preset `name` before all others, and the caller's single rules last."""
        preset = _read(name, ())
        recipes = (*preset, *self.recipes)
        _check_together(recipes, self.given_seed)
        rules = (*_bound(preset), *self.rules, *_bound((), self.texts, recipes))
        return self._replace(recipes=recipes, rules=rules, preset=name)


def _other_family(preset: str | None, config: Mapping[str, Any] | None) -> Iterator[Problem]:
    """A problem if another preset is for the model type that `config` names."""
    if better := preset and better_preset(preset, config):
        key, kind = model_kind(config)
        message = f"preset {preset}: config.json says {key}={shown(kind)}"
        yield Problem("preset.model_type", message, f"did you mean -p {better.name}? ({better.summary})")


def _idle_variables(request: Request) -> Iterator[Problem]:
    """A problem for each variable that no rule uses."""
    used = {name for bound in request.rules for name in bound.names & bound.rule.scope.vars.keys()}
    idle = ((recipe, name) for recipe in request.recipes for name in recipe.scope.vars if name not in used)
    for number, (recipe, name) in enumerate(idle):
        known = sorted(used & recipe.scope.vars.keys()) if number < _MOST_PROPOSALS else ()
        yield recipe.variable_problem(name, "no rule uses it", did_you_mean(name, known))


def _check_types(asked: Mapping[str, Any]) -> None:
    """Raise `TypeError` if an argument is unknown, or is not a string if it must be one."""
    for name in asked.keys() - Asked.__annotations__.keys():
        raise unknown(name, Asked.__annotations__)
    for name in ("preset", "root", "component", "device", "rng"):
        check_text(name, asked.get(name))


def _several(asked: Mapping[str, Any], name: str, code: str = "usage.rules") -> tuple[Any, ...]:
    """The items of an argument that is a list. Raises `UsageError` if it is a string or a path, and `TypeError`
    if it is not an iterable.
    """
    given = asked.get(name, ())
    if isinstance(given, (str, os.PathLike)):
        raise UsageError(Problem(code, f"{name}: must be a list", f"write {name}=[…]"))
    return items(name, given)


def _options(asked: Mapping[str, Any]) -> Options:
    options = {field.name: asked[field.name] for field in fields(Options) if field.name in asked}
    return Options(**options | {"buffers": _several(asked, "buffers", "usage.buffers")})


def _base(given: Path | None) -> Mapping[str, Any] | None:
    """The content of the config.json of a base model. Raises `InputError`, and `TypeError` if it is not a path."""
    return None if given is None else read_other_config(path_of("base_config", given))


def _reshaping(asked: Mapping[str, Any]) -> Reshaping:
    """The new sizes and settings of the caller. Raises `UsageError`, and `TypeError` if one is not a mapping."""
    sizes = [
        parse_resize(kind, pattern, size, Origin(f"{kind} {number}"))
        for kind in (ROWS, DIMS)
        for number, (pattern, size) in enumerate(_mapping(asked, kind).items(), start=1)
    ]
    return Reshaping(tuple(sizes), settings_of(_mapping(asked, "set_config")))


def _mapping(asked: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return mapping(name, asked.get(name) or {})


def _seed(given: object) -> int | None:
    """The caller's seed, an integer of any type, as an int. Raises `UsageError`."""
    seed = as_integer(given)
    if given is not None and (seed is None or not 0 <= seed < SEED_LIMIT):
        if isinstance(given, str) and given.isdecimal():
            raise UsageError(Problem("usage.seed", f"seed: {shown(repr(given))} is a str", "give an int"))
        raise UsageError(Problem("usage.seed", f"seed: {shown(given)} is not a whole number from 0 to 2^64 - 1"))
    return seed


def _read(preset: str | None, paths: Iterable[Path]) -> tuple[Recipe, ...]:
    """The recipe of the preset, unless it is `auto`, and those at `paths`."""
    if preset is None and not paths:
        return ()
    from initctl.recipes.reading import read_preset, read_recipe

    read = tuple(map(read_recipe, paths))
    return read if preset in (None, AUTO) else (read_preset(preset), *read)


def _check_together(recipes: Sequence[Recipe], seed: int | None) -> None:
    """Raise `RuleError` if two recipes include the same document: its rules would apply twice, the second time after
    their exceptions. Also if no `seed` is given and the recipes have different ones.
    """
    for one, other in combinations(recipes, 2):
        for shared in sorted(one.documents.keys() & other.documents.keys())[:1]:
            fault = f"{shown(one.source)} and {shown(other.source)}: both include {shown(shared)}"
            raise RuleError(Problem("recipe.twice", fault, "let one of them extend the other, and give only that one"))
    seeds = [said for recipe in recipes for said in recipe.seeds] if seed is None else []
    if differing := next((said for said in seeds if said.value != seeds[0].value), None):
        both = " and ".join(f"{shown(said.source)} says seed = {said.value}" for said in (seeds[0], differing))
        raise RuleError(Problem("recipe.seeds", f"recipes: {both}", "choose one with --seed"))


def _bound(recipes: Iterable[Recipe], texts: Iterable[str] = (), known: Iterable[Recipe] = ()) -> tuple[BoundRule, ...]:
    """The rules of `recipes`, then the rules `texts`, which may use the variables of all `known` recipes.

    Raises `RuleError` with all their faults.
    """
    scopes = [recipe.scope for recipe in known]
    variables = {name: value for scope in scopes for name, value in scope.vars.items()}
    scope = Scope(variables, {key: value for scope in scopes for key, value in scope.defaults.items()})
    rules: list[Rule | Callable[[], Rule]] = [rule for recipe in recipes for rule in recipe.rules]
    rules += [partial(parse_rule, text, f"rule {number}", scope) for number, text in enumerate(texts, start=1)]
    bound: list[BoundRule] = []
    problems: list[Problem] = []
    for rule in rules:
        try:
            bound.append(bind(rule if isinstance(rule, Rule) else rule()))
        except RuleError as error:
            problems += error.problems
    if problems:
        raise RuleError(*problems)
    return tuple(bound)
