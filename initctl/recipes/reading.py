"""Files and presets → a recipe: the rules of a document after the rules of the documents that it extends."""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from initctl.errors import InputError, Problem, RuleError, UsageError, shown
from initctl.formats.opening import read_small
from initctl.recipes.document import Document, Seed, parse_document
from initctl.recipes.positions import DocumentText
from initctl.recipes.presets import AUTO, PRESET, find_preset, preset_names
from initctl.reshaping import UNCHANGED, Reshaping
from initctl.rules import Expression, Rule, Scope, Value
from initctl.schemas import PLAN

LONGEST = 1 << 20
"""Bytes of a file."""
MOST_DOCUMENTS = 64
"""The most documents that a recipe may extend, directly or through others."""


class Recipe(NamedTuple):
    """Rules in order, under one `scope`, and seeds: its own, or else those of the documents that it extends, which may
    contradict each other. `reshaping` are the new sizes and settings of all documents, in order.

    `documents` are all documents that it extends, then itself, by their identities.
    """

    source: str
    rules: tuple[Rule, ...]
    scope: Scope
    seeds: tuple[Seed, ...] = ()
    documents: Mapping[str, Document] = MappingProxyType({})
    reshaping: Reshaping = UNCHANGED

    @property
    def extends_preset(self) -> bool:
        """Whether it is a preset, or extends one."""
        return any(identity.startswith(PRESET) for identity in self.documents)

    def variable_problem(self, name: str, fault: str, hint: str | None) -> Problem:
        """The problem of the variable `name` with this `fault`, at the variable's place."""
        texts = [document.text for document in self.documents.values() if name in document.vars]
        return texts[-1].located(Problem("recipe.unused", f"vars.{name}: {fault}", hint), ("vars", name))


def read_preset(name: str) -> Recipe:
    """The recipe of the preset `name`. Raises `UsageError`."""
    return read_recipe(PRESET + name)


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """The recipe in the file at `path`. Raises `UsageError`, for faults of its text `RuleError`."""
    documents: dict[str, Document] = {}
    last = _collect(os.fspath(path), documents, ())
    variables: dict[str, Expression] = {}
    defaults: dict[str, Value] = {}
    for document in documents.values():
        variables |= document.vars
        defaults |= document.defaults
    scope = Scope(variables, defaults)
    rules = tuple(rule for document in documents.values() for rule in document.rules(scope))
    reshaping = sum((document.reshaping for document in documents.values()), UNCHANGED)
    if not rules and not reshaping:
        raise RuleError(
            Problem("recipe.empty", f"{shown(last.text.source)}: has no rules", "write [[rule]] above each")
        )
    return Recipe(last.text.source, rules, scope, last.seeds, documents, reshaping)


def _collect(origin: str, documents: dict[str, Document], chain: tuple[str, ...]) -> Document:
    """Add the document at `origin` to `documents`, after those that it extends, each once, by identity.

    `chain` are the documents that led to it. Without its own seed it has the seeds of the documents that it extends.
    """
    identity = origin if origin.startswith(PRESET) else _real_path(origin)
    if identity in chain:
        names = " -> ".join(shown(os.path.basename(link)) for link in (*chain[chain.index(identity) :], identity))
        raise RuleError(Problem("recipe.cycle", f"{shown(origin)}: extends itself: {names}"))
    if identity not in documents:
        if len(documents) + len(chain) >= MOST_DOCUMENTS:
            fault = f"{shown(origin)}: extends more than {MOST_DOCUMENTS} documents"
            raise RuleError(Problem("recipe.malformed", fault))
        document = _read(origin)
        extended = [
            _extended(origin, document, number, documents, (*chain, identity))
            for number in range(len(document.extends))
        ]
        seeds = document.seeds or tuple(seed for other in extended for seed in other.seeds)
        documents[identity] = document._replace(seeds=seeds)
    return documents[identity]


def _extended(
    origin: str, document: Document, number: int, documents: dict[str, Document], chain: tuple[str, ...]
) -> Document:
    """The document that `document`, which is at `origin`, extends at this `number` of its list."""
    try:
        return _collect(_beside(origin, document.extends[number]), documents, chain)
    except UsageError as error:
        at = (p if p.place else document.text.located(p, ("extends", number)) for p in error.problems)
        raise type(error)(*at) from None


def _real_path(path: str) -> str:
    try:
        return os.path.realpath(path)
    except ValueError as error:  # not a path: it contains a zero byte
        raise UsageError(Problem("recipe.unreadable", f"recipe {shown(path)}: cannot be read: {error}")) from None


def _beside(origin: str, other: str) -> str:
    """The preset or path that `other` in the document at `origin` names; a path is relative to the document."""
    if other.startswith(PRESET):
        return other
    if origin.startswith(PRESET):
        raise RuleError(Problem("recipe.malformed", f"extends {shown(other)}, which is not a preset"))
    path = os.path.join(os.path.dirname(origin), other)
    if other in preset_names() and not os.path.isfile(path):
        fault = f"extends {shown(other)}, which is not a file"
        raise RuleError(Problem("recipe.unreadable", fault, f"write {PRESET}{other} for the preset"))
    return path


def _read(origin: str) -> Document:
    if origin.startswith(PRESET):
        name = origin.removeprefix(PRESET)
        return parse_document(DocumentText(find_preset(name).text, name, is_preset=True))
    return parse_document(DocumentText(_text(origin), origin))


def _text(path: str) -> str:
    try:
        text = read_small(path, LONGEST).removeprefix(BOM_UTF8).decode()
    except InputError as error:
        (problem,) = error.problems
        hint = _meant(path) or problem.hint
        raise UsageError(Problem("recipe.unreadable", f"recipe {problem.message}", hint)) from None
    except UnicodeDecodeError as error:
        message = f"recipe {shown(path)}: is not UTF-8 at byte {error.start}"
        raise RuleError(Problem("recipe.malformed", message, "name a TOML file of rules")) from None
    if text.startswith("{") and f'"schema": "{PLAN}' in text:
        fault = f"recipe {shown(path)}: is a saved plan, not a recipe"
        raise RuleError(Problem("recipe.malformed", fault, "pass the plan with --plan in place of -f"))
    return text


def _meant(path: str) -> str | None:
    """What `path`, which is not a file, may be in place of a recipe."""
    if path in (*preset_names(), AUTO):
        return f"if you mean the preset, write -p {path}"
    return "if it is a rule, give it with -r" if "=" in path and not os.path.exists(path) else None
