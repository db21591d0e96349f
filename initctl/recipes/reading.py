"""Files and presets → a recipe: a document, after those that it extends."""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import InputError, Problem, RuleError, UsageError, shown
from initctl.formats.opening import read_small
from initctl.recipes.document import parse_document
from initctl.recipes.positions import DocumentText
from initctl.recipes.presets import find_preset, preset_names
from initctl.recipes.recipe import PRESET, Recipe, Seed
from initctl.rules import Scope

if TYPE_CHECKING:
    from initctl.recipes.document import Document
    from initctl.rules import Expression, Value

LONGEST = 1 << 20
"""Bytes of a file."""
MOST_DOCUMENTS = 64
"""That a recipe extends, directly or through others."""


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """The recipe in the file at `path`. Raises `UsageError`: of its text, `RuleError`."""
    return _recipe(os.fspath(path))


def read_preset(name: str) -> Recipe:
    """The recipe of the preset `name`. Raises `UsageError`."""
    return _recipe(PRESET + name)


class _Read(NamedTuple):
    """A document, and the seeds that it says, or else that those say which it extends."""

    document: Document
    seeds: tuple[Seed, ...]


def _recipe(origin: str) -> Recipe:
    documents: dict[str, _Read] = {}
    seeds = _collect(origin, documents, ())
    variables: dict[str, Expression] = {}
    config: dict[str, Value] = {}
    for document, _ in documents.values():
        variables |= document.vars
        config |= document.config
    scope = Scope(variables, config)
    rules = tuple(rule for document, _ in documents.values() for rule in document.rules(scope))
    last, _ = next(reversed(documents.values()))
    if not rules:
        raise RuleError(Problem("recipe.empty", f"{shown(last.source)}: has no rules", "write [[rule]] above each"))
    return Recipe(last.source, rules, scope, seeds, frozenset(documents))


def _collect(origin: str, documents: dict[str, _Read], chain: tuple[str, ...]) -> tuple[Seed, ...]:
    """Add the document at `origin` to `documents`, after those that it extends, each once. Returns its seeds.

    `chain` are those that led to it, by their identities.
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
            seed
            for other in document.extends
            for seed in _collect(_beside(origin, other), documents, (*chain, identity))
        ]
        own = () if document.seed is None else (Seed(document.seed, document.source),)
        documents[identity] = _Read(document, own or tuple(extended))
    return documents[identity].seeds


def _real_path(path: str) -> str:
    try:
        return os.path.realpath(path)
    except ValueError as error:  # no path at all: it holds a zero byte
        raise UsageError(Problem("recipe.unreadable", f"recipe {shown(path)}: cannot be read: {error}")) from None


def _beside(origin: str, other: str) -> str:
    """What `other` means to the document at `origin`: a preset, or a path relative to it."""
    if other.startswith(PRESET):
        return other
    if origin.startswith(PRESET):
        raise RuleError(Problem("recipe.malformed", f"{shown(origin)}: extends {shown(other)}, which is not a preset"))
    path = os.path.join(os.path.dirname(origin), other)
    if other in preset_names() and not os.path.isfile(path):
        fault = f"{shown(origin)}: extends {shown(other)}, which is not a file"
        raise RuleError(Problem("recipe.unreadable", fault, f"write {PRESET}{other} for the preset"))
    return path


def _read(origin: str) -> Document:
    if origin.startswith(PRESET):
        name = origin.removeprefix(PRESET)
        return parse_document(DocumentText(find_preset(name).text, name, is_preset=True))
    return parse_document(DocumentText(_text(origin), origin))


def _text(path: str) -> str:
    try:
        return read_small(path, LONGEST).removeprefix(BOM_UTF8).decode()
    except InputError as error:
        (problem,) = error.problems
        raise UsageError(Problem("recipe.unreadable", f"recipe {problem.message}", problem.hint)) from None
    except UnicodeDecodeError as error:
        message = f"recipe {shown(path)}: is not UTF-8 at byte {error.start}"
        raise RuleError(Problem("recipe.malformed", message, "name a TOML file of rules")) from None
