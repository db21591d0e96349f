"""What `plan`, `apply` and `verify` are asked to do to a checkpoint: their keyword arguments, typed once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self, TypedDict

from initctl.errors import Problem, UsageError, shown
from initctl.suggestions import did_you_mean

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

    from initctl.formats import Checkpoint
    from initctl.instructions import Instructions
    from initctl.planning import Options, Plan


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
    """What was asked, sorted: which rules, at which `root` of which `component`, and how strict the plan is."""

    given: Instructions
    root: str | None
    component: str | None
    options: Options

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> Self:
        """Raises `UsageError`: of rules and recipes, `RuleError`; and `TypeError` for an argument that is not known."""
        from initctl.instructions import instructions

        _check_known(asked)
        given = instructions(asked.get("rules", ()), asked.get("recipes", ()), asked.get("preset"), asked.get("seed"))
        return cls(given, asked.get("root"), asked.get("component"), _options(asked))

    def check_rules(self) -> None:
        """Raise `UsageError` unless there are rules, or will be."""
        if not self.given.has_rules:
            hint = (
                "give one with -r, as in -r '*.bias=zeros', a recipe with -f, or a preset with -p; "
                "a conversion to safetensors needs none: name a .safetensors file with -o, or a directory and "
                "--max-shard-size 5GB"
            )
            raise UsageError(Problem("usage.no_rules", "rules: none given, so there is nothing to do", hint))

    def plan(self, checkpoint: Checkpoint, read: Callable[[str], Checkpoint]) -> Plan:
        """The plan for `checkpoint`. `read` gives the table of another. Raises what `make_plan` does."""
        return self.given.plan(checkpoint, self.options, read)

    def check_only_plan(self, path: str) -> None:
        """Raise `UsageError` if anything is asked for beside the saved plan at `path`."""
        from initctl.planning import Options

        is_more = self.root is not None or self.component is not None or self.options != Options()
        if not self.given.is_empty or is_more:
            fault = f"plan: {shown(path)} says all that is to be done, and nothing can be added"
            hint = "leave out rules, the seed and options of `plan`; or plan again with them"
            raise UsageError(Problem("usage.plan", fault, hint))


def _options(asked: Mapping[str, Any]) -> Options:
    from initctl.planning import Options

    names = {field.name for field in fields(Options)}
    options = {name: value for name, value in asked.items() if name in names}
    if isinstance(options.get("buffers"), str):
        raise UsageError(Problem("usage.buffers", "buffers: one was given", "give a list of them"))
    return Options(**options | {"buffers": tuple(options.get("buffers", ()))})


def _check_known(asked: Mapping[str, Any]) -> None:
    for name in asked.keys() - Asked.__annotations__.keys():
        hint = did_you_mean(name, Asked.__annotations__)
        raise TypeError(f"there is no argument {name!r}" + (f"; {hint}" if hint else ""))
