"""Options that commands share, declared once.

A command takes an option group (a dataclass whose fields are options) as one parameter; `grouped` spreads it over the
command's own options, and puts it together again for the call.
"""

from __future__ import annotations

import inspect
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import wraps
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from initctl.cli.numbers import parsed_seed

if TYPE_CHECKING:
    from collections.abc import Callable

Checkpoint = Annotated[
    str,
    typer.Argument(
        metavar="CHECKPOINT", help="A file of safetensors or torch.save, an index of shards, or their directory."
    ),
]
Root = Annotated[
    str | None,
    typer.Option("--root", metavar="KEYS", help="Where the state dict is, as in model.state_dict; '' takes all."),
]
Component = Annotated[
    str | None,
    typer.Option("--component", metavar="NAME", help="Which folder of CHECKPOINT to initialize: unet of a pipeline."),
]
SavedPlan = Annotated[
    str | None,
    typer.Option("--plan", metavar="FILE", help="Do what plan --save wrote to FILE: it fixes rules and seed."),
]
Unfold = Annotated[bool, typer.Option("--all", help="List every tensor; do not fold layer numbers.")]


@dataclass(frozen=True, kw_only=True)
class RuleOptions:
    """What is to be done to which tensors: the arguments that `initctl.plan`, `apply` and `verify` share."""

    rules: Annotated[
        list[str],
        typer.Option(
            "--rule",
            "-r",
            metavar="PATTERN=INIT[:KEY=VALUE,…] [where CONDITION]",
            help="Fill the tensors whose names match; the last rule that matches decides. Repeatable.",
        ),
    ] = field(default_factory=list)
    recipes: Annotated[
        list[str],
        typer.Option("--recipe", "-f", metavar="FILE", help="A TOML file of rules, before those of -r. Repeatable."),
    ] = field(default_factory=list)
    preset: Annotated[
        str | None,
        typer.Option("--preset", "-p", metavar="NAME", help="A model family's rules, before all others; or auto."),
    ] = None
    root: Root = None
    component: Component = None
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", metavar="N", callback=parsed_seed, help="Random values follow from it; 0 ≤ N < 2^64; default: 0."
        ),
    ] = None
    allow_unused: Annotated[
        bool, typer.Option("--allow-unused", help="Only warn about a rule that decides no tensor.")
    ] = False
    require_all: Annotated[
        bool, typer.Option("--require-all", help="Refuse if no rule decides a floating-point or quantized weight.")
    ] = False
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Only warn about a preset that leaves most of the weights.")
    ] = False
    reset_optimizer: Annotated[
        bool,
        typer.Option("--reset-optimizer", help="Set back what optimizers remember of filled tensors."),
    ] = False
    buffers: Annotated[
        list[str],
        typer.Option(
            "--buffers",
            metavar="PATTERN",
            help="With --reset-optimizer: buffers, which no optimizer was given. Repeatable.",
        ),
    ] = field(default_factory=list)
    device: Annotated[
        str,
        typer.Option(
            "--device", metavar="DEVICE", help="What computes: cpu, cuda, cuda:N, or auto: a GPU if it is faster."
        ),
    ] = "cpu"
    rng: Annotated[
        str,
        typer.Option(
            "--rng",
            metavar="RNG",
            help="Where random numbers come from: philox, or torch: as a script with torch.manual_seed.",
        ),
    ] = "philox"


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """`command` with each parameter that is an option group spread over options of its own."""
    hints = get_type_hints(command, include_extras=True)
    parameters = inspect.signature(command).parameters
    groups = {name: hints[name] for name in parameters if is_dataclass(hints[name])}

    @wraps(command)
    def spread(**given: Any) -> None:  # noqa: ANN401 - whatever the options are
        built = {
            name: group(**{f.name: given.pop(f.name) for f in fields(group) if f.init})
            for name, group in groups.items()
        }
        command(**given, **built)

    options = (
        _options(groups[p.name]) if p.name in groups else [p.replace(annotation=hints[p.name])]
        for p in parameters.values()
    )
    keyword_only = [option.replace(kind=option.KEYWORD_ONLY) for option in chain.from_iterable(options)]
    spread.__signature__ = inspect.Signature(keyword_only)  # type: ignore[attr-defined]
    spread.__annotations__ = {p.name: p.annotation for p in keyword_only}
    del spread.__wrapped__
    return spread


def _options(group: type) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            option.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=option.default if option.default_factory is MISSING else option.default_factory(),
            annotation=hints[option.name],
        )
        for option in fields(group)
        if option.init
    ]
