"""How the last word of a command line may be completed, for shells."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from initctl.cli.commands import SUMMARIES, loaded
from initctl.errors import InitctlError

_MOST = 60
"""If there are more names of tensors than this, only their parts up to the next dot are listed."""
_HARMLESS = re.compile(r"\w[\w.,:/@%+-]*")
"""A name without characters that are special to a shell. No other name is listed: anybody can write a file, and a shell
would run commands in its names.
"""


class Typed(NamedTuple):
    """A command line as typed so far: the words `before`, and the last `word`, which may be incomplete."""

    before: tuple[str, ...]
    word: str

    @classmethod
    def of(cls, line: str) -> Typed:
        """Read `line` as a shell would."""
        words, current, quote, escaped = [], "", "", False
        is_begun = False
        for character in line:
            if escaped:
                current, escaped = current + character, False
            elif character == "\\" and quote != "'":
                escaped = is_begun = True
            elif character == quote:
                quote = ""
            elif character in "'\"" and not quote:
                quote, is_begun = character, True
            elif character.isspace() and not quote:
                words += [current] if current or is_begun else []
                current, is_begun = "", False
            else:
                current += character
        return cls(tuple(words), current)


def candidates(line: str) -> list[str]:
    """Completions of the last word of `line`. One that ends with a space is complete. The list is empty if the word may
    be a file.
    """
    before, word = Typed.of(line)
    if len(before) <= 1:  # the program's own name
        return _begun(word, [f"{name} " for name in SUMMARIES])
    _, name, *given = before
    if name not in SUMMARIES:
        return []
    try:
        return _begun(word, _of_command(name, given, word))
    except (InitctlError, OSError):
        return []


def _begun(word: str, found: Iterable[str]) -> list[str]:
    return sorted(one for one in found if one.startswith(word))


def _of_command(name: str, given: list[str], word: str) -> Iterable[str]:
    parameters: list[Any] = list(loaded(name).params)
    options = {spelled: p for p in parameters for spelled in p.opts if p.param_type_name == "option"}
    takes = [option for option in options if not options[option].is_flag]
    if given and given[-1] in takes:
        return _values(name, options[given[-1]], _arguments(given[:-1], takes), word)
    if word.startswith("-"):
        return [f"{spelled} " for spelled in options]
    arguments = _arguments(given, takes)
    expected = [parameter for parameter in parameters if parameter.param_type_name == "argument"]
    if not expected or (len(arguments) >= len(expected) and expected[-1].nargs == 1):
        return []
    return _values(name, expected[min(len(arguments), len(expected) - 1)], arguments, word)


def _arguments(given: list[str], takes: list[str]) -> list[str]:
    """The words that are not options and not values of options."""
    before = ["", *given]
    return [word for last, word in zip(before, given, strict=False) if last not in takes and not word.startswith("-")]


def _values(command: str, parameter: Any, arguments: list[str], word: str) -> Iterable[str]:  # noqa: ANN401 - typer's
    """The possible values of `parameter`."""
    if "|" in (parameter.metavar or ""):
        return [f"{choice} " for choice in parameter.metavar.split("|")]
    if parameter.name in _OF_TENSORS and arguments:
        return _OF_TENSORS[parameter.name](arguments[0], word)
    words = _WORDS.get(parameter.name) or _WORDS.get(f"{command} {parameter.name}")
    return [f"{found} " for found in words()] if words else []


def _names(checkpoint: str, word: str) -> Iterable[str]:
    """Names of tensors. If there are many, only their parts up to the next dot."""
    from initctl.formats import read_checkpoint

    begun = (tensor.name for tensor in read_checkpoint(checkpoint).tensors if tensor.name.startswith(word))
    names = list(filter(_HARMLESS.fullmatch, begun))
    if len(names) <= _MOST:
        return [f"{name} " for name in names]
    ends = ((name, name.find(".", len(word)) + 1) for name in names)
    return {name[:end] if end else f"{name} " for name, end in ends}


def _rule(checkpoint: str, word: str) -> Iterable[str]:
    """Completions within a rule: a tensor, an initializer, a parameter, or the value of a parameter."""
    selector, is_named, call = word.partition("=")
    if not is_named:
        return [f"{name.rstrip()}=" if name.endswith(" ") else name for name in _names(checkpoint, word)]
    from initctl.initializers import REGISTRY
    from initctl.initializers.registry import KEEP

    initializer, has_parameters, arguments = call.partition(":")
    if not has_parameters:
        return [f"{selector}={name}" for name in (KEEP, *(found.name for found in REGISTRY))]
    written, comma, last = arguments.rpartition(",")
    start = f"{selector}={initializer}:{written}{comma}"
    parameters = {parameter.name: parameter for parameter in REGISTRY.find(initializer).parameters}
    key, is_given, _ = last.partition("=")
    if not is_given:
        return [f"{start}{name}=" for name in parameters if f"{name}=" not in f"{written},"]
    choices = getattr(parameters[key].type, "choices", ()) if key in parameters else ()
    return [f"{start}{key}={choice}" for choice in choices]


def _size(checkpoint: str, word: str) -> Iterable[str]:
    """Names of tensors, each with the sign that its new size follows."""
    names = () if "=" in word else _names(checkpoint, word)
    return [f"{name.rstrip()}=" if name.endswith(" ") else name for name in names]


def _field(checkpoint: str, _: str) -> Iterable[str]:
    """The fields of config.json, each with the sign that its new value follows."""
    from initctl.formats import read_checkpoint
    from initctl.formats.config import dotted

    found = (name for name, _ in dotted(read_checkpoint(checkpoint).config() or {}))
    return [f"{name}=" for name in found if _HARMLESS.fullmatch(name)]


def _presets() -> Iterable[str]:
    from initctl.recipes.presets import AUTO, preset_names

    return *preset_names(), AUTO


def _initializers() -> Iterable[str]:
    from initctl.initializers import REGISTRY

    return *(found.name for found in REGISTRY), *_activations()


def _activations() -> Iterable[str]:
    from initctl.suggesting.activations import ACTIVATIONS

    return ACTIVATIONS


def _codes() -> Iterable[str]:
    from initctl.diagnosing import CHECKS

    return [check.code for check in CHECKS]


def _topics() -> Iterable[str]:
    from initctl.topics import TOPICS

    return {*TOPICS, *SUMMARIES}


_OF_TENSORS: dict[str, Callable[[str, str], Iterable[str]]] = {
    "rules": _rule,
    "rows": _size,
    "dims": _size,
    "set_config": _field,
    "patterns": _names,
    "buffers": _names,
}
"""Parameters whose values depend on the checkpoint, which is the first argument on the line."""
_WORDS: dict[str, Callable[[], Iterable[str]]] = {
    "preset": _presets,
    "presets name": _presets,
    "initializers name": _initializers,
    "activation": _activations,
    "select": _codes,
    "ignore": _codes,
    "topic": _topics,
    "device": lambda: ("cpu", "cuda", "auto"),
    "dtype": lambda: ("float32", "bfloat16", "float16", "float64"),
    "shell": lambda: ("bash", "zsh", "fish", "powershell"),
}
"""Parameters that take one of a few words: by their names, or by command and name."""
