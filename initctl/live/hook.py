"""A function that fills one module after another, as FSDP and Composer call it while they build a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from initctl.errors import Problem, UsageError, listed, shown
from initctl.filling.engines import choose_engines
from initctl.formats.state_dicts.names import bare_name
from initctl.live.choosing import check_decided
from initctl.live.filling import check_fillable, fill
from initctl.live.named import Named
from initctl.live.pieces import torchs_own
from initctl.live.planning import on_own_devices
from initctl.live.table import table_of_part
from initctl.live.whole import part_of_plan
from initctl.live.window import Window
from initctl.planning.plan import TORCH
from initctl.stream import RevisingLaw

if TYPE_CHECKING:
    from torch import nn

    from initctl.live.pieces import Held
    from initctl.live.table import LiveTable
    from initctl.planning import Plan
    from initctl.stream.engines import Engine

    Device = str | int | torch.device


class ModuleInit:
    """Called with a module of the model that `plan` is for: gives its own tensors memory, if they are on the meta
    device, and fills them. Modules in it are left out.

    `plan` is about the whole model; `device` is where tensors get memory, by default the current accelerator.
    """

    def __init__(self, model: nn.Module, table: LiveTable, plan: Plan, device: Device | None, threads: int) -> None:
        self.plan, self.device, self.threads = plan, device, threads
        self._engines: dict[str, Engine] = {}
        self._prefixes = {module: f"{path}." if path else "" for path, module in model.named_modules()}
        self._left_out, self._names = table.left_out, table.names
        self._known = {*plan.checkpoint.by_name, *table.left_out, *table.names}
        self._windows = {
            name: window._replace(parameter=torch.empty(tuple(window.parameter.shape), device="meta"))
            for name, window in table.tensors.items()
            if isinstance(window, Window)
        }

    def __call__(self, module: nn.Module) -> None:
        """Raises `UsageError` if `module` is not in the model, and as `initctl.init_` does."""
        if module not in self._prefixes:
            fault = f"{type(module).__name__}: is not a module of the model that the function was made for"
            raise UsageError(Problem("live.module", fault, "make the function from the model before it is wrapped"))
        if any(tensor.is_meta for _, tensor in _own(module)):
            self._materialize(module)
        tensors = dict(self._tensors(module))
        if tensors:
            table = table_of_part(Named(type(module).__name__, tensors))
            part = on_own_devices(part_of_plan(self.plan, table, self._left_out), table)
            check_fillable(part, table)
            for device in {action.device for action in part.actions} - self._engines.keys():
                actions = [action._replace(device=device) for action in self.plan.actions]
                self._engines |= choose_engines(actions, threads=self.threads)
            fill(part, table, threads=self.threads, engines=self._engines)

    def _materialize(self, module: nn.Module) -> None:
        """Give its own tensors on the meta device memory, as `to_empty` would give all."""
        device = _current() if self.device is None else self.device
        module._apply(  # type: ignore[no-untyped-call]  # noqa: SLF001 - what `to_empty` is made of
            lambda tensor: torch.empty_like(tensor, device=device) if tensor.is_meta else tensor, recurse=False
        )

    def _tensors(self, module: nn.Module) -> Iterator[tuple[str, Held]]:
        """The tensors that a file of the model has of `module` itself."""
        for own, tensor in _own(module):
            name = bare_name(self._prefixes[module] + own, self._known)
            for new in self._names.get(name, [name]):
                window = self._windows.get(new)
                if new in self._known:
                    yield new, window._replace(parameter=tensor) if window else tensor


def check_without_old_values(plan: Plan) -> None:
    """Raise `UsageError` if values of `plan` depend on old ones, which new memory does not have, or on the order of
    tensors.
    """
    if plan.rng == TORCH:
        fault = "rng=torch draws values in the order of the tensors, but modules may come in any order"
        raise UsageError(Problem("rng.torch", fault, "leave rng out"))
    for action in plan.actions:
        if isinstance(action.law, RevisingLaw):
            fault = f"{action.rule}: {action.initializer} needs old values, and new memory has none"
            raise UsageError(Problem("live.module", fault, "use init_ after the weights are loaded"))


def check_all_decided(plan: Plan, table: LiveTable) -> None:
    """Raise `FitError` if no rule decides a tensor on the meta device: new memory has no values."""
    check_decided(left for left in plan.kept if torchs_own(table.tensors[left.tensor.name]).is_meta)


def without_values(model: nn.Module) -> Iterator[Problem]:
    """A warning if `model` has buffers on the meta device that are not in its state dict."""
    saved = model.state_dict(keep_vars=True)
    if names := [name for name, buffer in model.named_buffers() if buffer.is_meta and name not in saved]:
        what = "buffer {}: gets" if len(names) == 1 else "buffers {}: get"
        message = what.format(listed(list(map(shown, names)))) + " memory but no values, because no file has it"
        yield Problem("live.buffers", message, "compute them as the model does, once they have memory")


def _own(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from module.named_parameters(recurse=False, remove_duplicate=False)
    yield from module.named_buffers(recurse=False, remove_duplicate=False)


def _current() -> torch.device:
    """The accelerator that this process uses now, or else the processor."""
    kind = torch.accelerator.current_accelerator(check_available=True)
    return torch.device("cpu") if kind is None else torch.device(kind.type, torch.accelerator.current_device_index())
