"""Arguments of Python callers that have a wrong type or an unknown name: `TypeError`s that say what to write."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from initctl.arguments import in_python
from initctl.suggestions import about_shapes, did_you_mean

_ELSEWHERE = {
    "force": "write overwrite=True",
    "no_clobber": "write overwrite=False",
    "patch": 'write in_place="patch"',
    "diff": "initctl.changes(plan) measures what a plan changes",
    "report": "write applied.manifest(initctl.changes(plan)).save(path)",
    "html": "only the command line writes pages",
}
"""Options of the command line that are not arguments, and what Python has in their place."""
_MAPPINGS = {
    "rows": "{'classifier.weight': 5}",
    "dims": "{'pos_embed': [1, 577, 768]}",
    "set_config": "{'num_labels': 5}",
    "settings": "{'hidden_size': 64}",
}
"""What to write for arguments that are mappings."""


def unknown(name: str, known: Iterable[str]) -> TypeError:
    """The error about the argument `name`; the function takes the `known` ones."""
    hint = _ELSEWHERE.get(name) or in_python(about_shapes(name) or "") or did_you_mean(name, known)
    return TypeError(f"unknown argument {name!r}" + (f"; {hint}" if hint else ""))


def path_of(argument: str, given: object) -> str:
    """The path that is `given` for an argument. Raises `TypeError` if it is not a path."""
    if isinstance(given, (str, os.PathLike)):
        return os.fspath(given)
    raise not_a_path(argument, given)


def not_a_path(argument: str, given: object) -> TypeError:
    """The error about what is `given` for an argument."""
    hint = ""
    if argument.startswith("recipes"):
        hint = "; a recipe is a TOML file"
    elif argument == "base_config":
        hint = "; it is a config.json, or a directory with one"
    elif isinstance(given, Mapping):
        hint = "; save it first, as with safetensors.torch.save_file(state_dict, path)"
    elif hasattr(given, "state_dict"):
        hint = "; save it first, as with safetensors.torch.save_model(model, path)"
    elif isinstance(given, (list, tuple)):
        hint = "; rules are given by name: rules=[…]"
    return TypeError(f"{argument}: {_a(given)} is not a path{hint}")


def check_text(argument: str, given: object) -> None:
    """Raise `TypeError` unless a string, or None, is `given`."""
    if given is not None and not isinstance(given, str):
        raise TypeError(f"{argument}: {_a(given)} is not a string")


def items(argument: str, given: Any) -> tuple[Any, ...]:  # noqa: ANN401 - whatever a caller gives
    """The items of a list or another iterable. Raises `TypeError` for anything else, and for a dict."""
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise TypeError(f"{argument}: {_a(given)} is not a list; {_written(argument)}")
    return tuple(given)


def mapping(argument: str, given: object) -> Mapping[str, Any]:
    """The mapping that is `given`, whose keys are strings. Raises `TypeError` for anything else."""
    if not isinstance(given, Mapping):
        raise TypeError(f"{argument}: {_a(given)} is not a dict; write {argument}={_MAPPINGS[argument]}")
    for key in given:
        if not isinstance(key, str):
            raise TypeError(f"{argument}: the key {key!r} is not a string; write {argument}={_MAPPINGS[argument]}")
    return given


def check_texts(argument: str, texts: Iterable[object]) -> None:
    """Raise `TypeError` if one of them is not a string."""
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"{argument}[{number}]: {_a(text)} is not a string; {_written(argument)}")


def _written(argument: str) -> str:
    examples = {"rules": "'fc.weight=zeros'", "recipes": "'init.toml'"}
    return f"write {argument}=[{examples.get(argument, '…')}]"


def _a(given: object) -> str:
    """What kind of object it is: `an OrderedDict`."""
    if given is None:
        return "None"
    name = type(given).__name__
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"
