"""Options that commands share, declared once.

A command takes an option group (a dataclass whose fields are options) as one parameter; `grouped` spreads it over the
command's own options, and puts it together again for the call.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, TypeVar, get_type_hints

import typer

from initctl.errors import Problem, UsageError, shown
from initctl.suggestions import did_you_mean

_Choice = TypeVar("_Choice", bound=str)
_LONGEST = 20
"""Digits of 2^64."""


def written(text: str | None) -> int | str | None:
    """The number that is written, in decimal digits and nothing else; any other text as it is."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= _LONGEST else text


def one_of(option: str, given: str, choices: Sequence[_Choice]) -> _Choice:
    """The one of `choices` that is `given`. Raises `UsageError` if none is."""
    if found := next((choice for choice in choices if choice == given), None):
        return found
    hint = did_you_mean(given, choices) or f"there are {', '.join(choices)}"
    raise UsageError(Problem(f"usage.{option}", f"{option}: {shown(given)} is not known", hint))


def check_apart(*paths: str | None) -> None:
    """Raise `UsageError` if two of the `paths` that are given are one file: the second would replace the first."""
    found: set[str] = set()
    for path in filter(None, paths):
        if (place := os.path.realpath(path)) in found:
            raise UsageError(Problem("output.same", f"{shown(path)}: is given for two outputs", "name another file"))
        found.add(place)


def place_of_page(path: str | None) -> str | None:
    """`path`, once it is known that a page can be written there: before any work is done for it."""
    if path is not None:
        from initctl.page import check_replaceable

        check_replaceable(path)
    return path


def place_of_report(path: str | None) -> str | None:
    """The same for a report of what was done."""
    if path is not None:
        from initctl.manifest.statement import check_replaceable

        check_replaceable(path)
    return path


def flag(*names: str, text: str) -> Any:  # noqa: ANN401 - what a parameter has as its default
    """An option that is given or not."""
    return typer.Option(False, *names, help=text)  # noqa: FBT003


CHECKPOINT = typer.Argument(
    ..., metavar="CHECKPOINT", help="A file of safetensors or torch.save, an index of shards, or their directory."
)
NAME = typer.Argument(None, metavar="NAME", help="The one to show.")
ROOT = typer.Option(
    None, "--root", metavar="KEYS", help="Where the state dict is, as in model.state_dict; '' takes all."
)
COMPONENT = typer.Option(
    None, "--component", metavar="NAME", help="Which folder of a directory is meant: unet of a pipeline."
)
SAVED_PLAN = typer.Option(
    None, "--plan", metavar="FILE", help="Do what plan --save wrote to FILE: it fixes rules and seed."
)
DIFF = flag("--diff", text="Show what tensors hold before and after, in numbers.")
HTML = typer.Option(
    None,
    "--html",
    metavar="FILE",
    callback=place_of_page,
    help="Also write FILE: one page for a browser, with charts, that fetches nothing.",
)
UNFOLD = flag("--all", text="List every tensor; do not fold layer numbers.")


@dataclass(frozen=True, kw_only=True)
class RuleOptions:
    """What is to be done to which tensors: the arguments that `initctl.plan`, `apply` and `verify` share."""

    rules: list[str] = typer.Option(
        [],
        "--rule",
        "-r",
        metavar="PATTERN=INIT[:KEY=VALUE,…] [where CONDITION]",
        help="Fill the tensors whose names match; the last rule that matches decides. Repeatable.",
    )
    recipes: list[str] = typer.Option(
        [], "--recipe", "-f", metavar="FILE", help="A TOML file of rules, before those of -r. Repeatable."
    )
    preset: str | None = typer.Option(
        None, "--preset", "-p", metavar="NAME", help="A model family's rules, before all others; or auto."
    )
    root: str | None = ROOT
    component: str | None = COMPONENT
    seed: int | None = typer.Option(
        None,
        "--seed",
        metavar="N",
        callback=written,
        help="The random seed, from 0 to 2^64 - 1; default: 0.",
    )
    allow_unused: bool = flag("--allow-unused", text="Only warn about a rule that decides no tensor.")
    require_all: bool = flag("--require-all", text="Refuse if no rule decides a floating-point or quantized weight.")
    allow_partial: bool = flag("--allow-partial", text="Only warn about a preset that leaves most of the weights.")
    reset_optimizer: bool = flag("--reset-optimizer", text="Set back what optimizers remember of filled tensors.")
    buffers: list[str] = typer.Option(
        [],
        "--buffers",
        metavar="PATTERN",
        help="With --reset-optimizer: buffers, which no optimizer was given. Repeatable.",
    )
    device: str = typer.Option(
        "cpu", "--device", metavar="DEVICE", help="What computes: cpu, cuda, cuda:N, or auto: a GPU if it is faster."
    )
    rng: str = typer.Option(
        "philox",
        "--rng",
        metavar="RNG",
        help="Where random numbers come from: philox, or torch: as a script with torch.manual_seed.",
    )


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with each parameter that is an option group spread over options of its own."""
    groups = {name: hint for name, hint in get_type_hints(command).items() if _is_group(hint)}

    @wraps(command)
    def spread(**given: Any) -> None:  # noqa: ANN401 - whatever the options are
        for name, group in groups.items():
            given[name] = group(**{option: given.pop(option) for option in signature(group).parameters})
        command(**given)

    options = list(_options(command))
    spread.__signature__ = Signature(options)  # type: ignore[attr-defined]
    spread.__annotations__ = {option.name: option.annotation for option in options}
    del spread.__wrapped__
    return spread


def _is_group(hint: object) -> bool:
    return isinstance(hint, type) and is_dataclass(hint)


def _options(of: Callable[..., object]) -> Iterator[Parameter]:
    """The parameters of a command or a group, those of its groups in their place."""
    hints = get_type_hints(of)
    for parameter in signature(of).parameters.values():
        hint = hints[parameter.name]
        if _is_group(hint):
            yield from _options(hint)
        else:
            yield parameter.replace(annotation=hint, kind=Parameter.KEYWORD_ONLY)
