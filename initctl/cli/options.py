"""Options that commands share.

A command takes an option group (a dataclass whose fields are options) as one parameter. `grouped` replaces it by the
options in the group, and puts the group together again for the call.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, TypeVar, get_type_hints

import typer

from initctl.cli import panels
from initctl.cli.fields import fields_by_key
from initctl.errors import Problem, UsageError, shown
from initctl.suggestions import did_you_mean

_Choice = TypeVar("_Choice", bound=str)
_LONGEST = 20
"""Digits of 2^64."""


def written(text: str | None) -> int | str | None:
    """The number in `text` if it has only decimal digits; any other text unchanged."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= _LONGEST else text


def one_of(option: str, given: str, choices: Sequence[_Choice]) -> _Choice:
    """`given`, which must be one of `choices`. Raises `UsageError` if it is not."""
    if found := next((choice for choice in choices if choice == given), None):
        return found
    hint = did_you_mean(given, choices) or f"use {', '.join(choices)}"
    raise UsageError(Problem(f"usage.{option}", f"unknown {option} {shown(given)}", hint))


def check_apart(*paths: str | None) -> None:
    """Raise `UsageError` if two of `paths` are the same file: the second output would replace the first."""
    found: set[str] = set()
    for path in filter(None, paths):
        if (place := os.path.realpath(path)) in found:
            raise UsageError(Problem("output.same", f"{shown(path)}: is given for two outputs", "name another file"))
        found.add(place)


def file_name(path: str | None) -> str | None:
    """`path`. Raises `UsageError` if it is `-`, which many programs take for stdout."""
    if path == "-":
        raise UsageError(Problem("output.stdout", "-: initctl writes files, not to stdout", "name a file"))
    return path


def place_of_page(path: str | None) -> str | None:
    """`path`, after checking that a page can be written there. It is checked before any work is done."""
    if (path := file_name(path)) is not None:
        from initctl.page import check_replaceable

        check_replaceable(path)
    return path


def place_of_report(path: str | None) -> str | None:
    """`path`, after checking that a report can be written there."""
    if (path := file_name(path)) is not None:
        from initctl.manifest.statement import check_replaceable

        check_replaceable(path)
    return path


def flag(*names: str, panel: str, text: str) -> Any:  # noqa: ANN401 - what a parameter has as its default
    """An option that is given or not."""
    return typer.Option(False, *names, rich_help_panel=panel, help=text)  # noqa: FBT003


CHECKPOINT = typer.Argument(
    ...,
    metavar="CHECKPOINT",
    help="A safetensors or torch.save file, an index of shards, or a directory; or the URL of one in a store.",
)
ROOT = typer.Option(
    None,
    "--root",
    metavar="KEYS",
    rich_help_panel=panels.CHECKPOINT,
    show_default="detected",
    help="Where the state dict is in a torch.save file, as in model.state_dict; '' takes the whole file.",
)
COMPONENT = typer.Option(
    None,
    "--component",
    metavar="NAME",
    rich_help_panel=panels.CHECKPOINT,
    help="Which folder of a directory to use, such as unet of a pipeline.",
)
SHARD_SIZE = typer.Option(
    None,
    "--max-shard-size",
    metavar="SIZE",
    rich_help_panel=panels.OUTPUT,
    help="Write a directory of shards, each of at most SIZE, such as 500MB or 5GB.",
)
BASE_CONFIG = typer.Option(
    None,
    "--base-config",
    metavar="FILE",
    rich_help_panel=panels.RULES,
    help="Take base.KEY in rules from FILE: the config.json of a base model, or a directory that has one.",
)
SAVED_PLAN = typer.Option(
    None,
    "--plan",
    metavar="FILE",
    rich_help_panel=panels.RULES,
    help="Use the rules and the seed of the plan that plan --save wrote to FILE.",
)
DIFF = flag("--diff", panel=panels.REPORTING, text="Show what tensors hold before and after, in numbers.")
HTML = typer.Option(
    None,
    "--html",
    metavar="FILE",
    callback=place_of_page,
    rich_help_panel=panels.REPORTING,
    help="Also write a page with charts to FILE, for a browser.",
)
UNFOLD = flag("--all", panel=panels.REPORTING, text="List every tensor; do not fold layers into one line.")


@dataclass(frozen=True, kw_only=True)
class FillOptions:
    """What to fill which tensors with: the arguments that `initctl.new` shares with `initctl.plan`."""

    rules: list[str] = typer.Option(
        [],
        "--rule",
        "-r",
        metavar="PATTERN=INIT",
        rich_help_panel=panels.RULES,
        help="Fill the tensors whose names match PATTERN. INIT is an initializer, as in zeros or normal:std=0.02. "
        "The last rule that matches a tensor decides it. Repeatable.",
    )
    recipes: list[str] = typer.Option(
        [],
        "--recipe",
        "-f",
        metavar="FILE",
        rich_help_panel=panels.RULES,
        help="Read rules from a TOML file. Rules of -r come after them. Repeatable.",
    )
    preset: str | None = typer.Option(
        None,
        "--preset",
        "-p",
        metavar="NAME",
        rich_help_panel=panels.RULES,
        help="Start from the rules of a model family: a NAME of `initctl presets`, or auto (what config.json names). "
        "Rules of -f and -r come after them.",
    )
    seed: int | None = typer.Option(
        None,
        "--seed",
        metavar="N",
        callback=written,
        rich_help_panel=panels.RULES,
        show_default="0",
        help="The random seed, from 0 to 2^64 - 1.",
    )
    rng: str = typer.Option(
        "philox",
        "--rng",
        metavar="philox|torch",
        rich_help_panel=panels.RULES,
        help="Where random numbers come from. With torch, values are those of a script with torch.manual_seed.",
    )
    base_config: str | None = BASE_CONFIG
    allow_unused: bool = flag(
        "--allow-unused", panel=panels.RULES, text="If a rule decides no tensor, only warn about it."
    )
    device: str = typer.Option(
        "cpu",
        "--device",
        metavar="DEVICE",
        rich_help_panel=panels.PERFORMANCE,
        help="What computes: cpu, cuda, cuda:N, or auto (a GPU if it is faster).",
    )


@dataclass(frozen=True, kw_only=True)
class RuleOptions(FillOptions):
    """What to do to which tensors: the arguments that `initctl.plan`, `apply` and `verify` share."""

    require_all: bool = flag(
        "--require-all", panel=panels.RULES, text="Fail if a floating-point or quantized weight has no rule."
    )
    allow_partial: bool = flag(
        "--allow-partial", panel=panels.RULES, text="If a preset leaves most of the weights undecided, only warn."
    )
    rows: list[str] = typer.Option(
        [],
        "--rows",
        metavar="PATTERN=N",
        rich_help_panel=panels.SIZES,
        help="Give the tensors whose names match PATTERN N rows, or pad:64 for the next multiple of 64. Rows that stay "
        "keep their values; rules must fill new ones. Repeatable; the last that matches decides.",
    )
    dims: list[str] = typer.Option(
        [],
        "--dims",
        metavar="NAME=N,N",
        rich_help_panel=panels.SIZES,
        help="Give a tensor another shape, such as 1,577,768. A rule must fill all of it. Repeatable.",
    )
    set_config: list[str] = typer.Option(
        [],
        "--set-config",
        metavar="KEY=VALUE",
        rich_help_panel=panels.SIZES,
        help="Change a field of config.json in the result, such as num_labels=5. Keys have dots; several are separated "
        "by commas. Repeatable.",
    )
    root: str | None = ROOT
    component: str | None = COMPONENT
    reset_optimizer: bool = flag(
        "--reset-optimizer",
        panel=panels.CHECKPOINT,
        text="Reset what an optimizer in the checkpoint remembers of the tensors that are filled.",
    )
    buffers: list[str] = typer.Option(
        [],
        "--buffers",
        metavar="PATTERN",
        rich_help_panel=panels.CHECKPOINT,
        help="With --reset-optimizer: no optimizer has state of the tensors that match PATTERN, such as buffers and "
        "frozen parameters. Repeatable.",
    )

    @property
    def asked(self) -> dict[str, Any]:
        """The arguments, as Python's callers give them. Raises `UsageError`."""
        sizes = {kind: sizes_by_pattern(kind, getattr(self, kind)) for kind in ("rows", "dims")}
        return {**vars(self), **sizes, "set_config": fields_by_key("set-config", self.set_config)}


@dataclass(frozen=True, kw_only=True)
class OverwriteOptions:
    """What the result may replace."""

    no_clobber: bool = flag("--no-clobber", panel=panels.OUTPUT, text="Fail if OUT exists.")
    force: bool = flag("--force", panel=panels.OUTPUT, text="Replace the file OUT even if it is not a checkpoint.")

    def __post_init__(self) -> None:
        """Raises `UsageError` if the flags contradict each other."""
        if self.no_clobber and self.force:
            fault = "--force replaces any file, and --no-clobber replaces none"
            raise UsageError(Problem("output.force", fault, "leave out one of them"))

    @property
    def overwrite(self) -> bool | None:
        """As for `initctl.apply`."""
        return True if self.force else False if self.no_clobber else None


def sizes_by_pattern(kind: str, given: list[str]) -> dict[str, str]:
    """The sizes in options of `PATTERN=SIZE`, by patterns. The last one of a pattern counts, at its place."""
    if not given:
        return {}
    from initctl.reshaping.sizes import pattern_and_size

    found: dict[str, str] = {}
    for pattern, size in (pattern_and_size(kind, text) for text in given):
        found.pop(pattern, None)
        found[pattern] = size
    return found


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with each option group replaced by the options in it."""
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
    """The parameters of a command or a group. Groups in it are replaced by their parameters."""
    hints = get_type_hints(of)
    for parameter in signature(of).parameters.values():
        hint = hints[parameter.name]
        if _is_group(hint):
            yield from _options(hint)
        else:
            yield parameter.replace(annotation=hint, kind=Parameter.KEYWORD_ONLY)
