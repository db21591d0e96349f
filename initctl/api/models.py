"""What fills models in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from initctl.api.arguments import request_of
from initctl.api.warning import warn
from initctl.argument_types import unknown
from initctl.system_errors import explaining_failures
from initctl.threads import thread_count

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import nn

    from initctl.events import Event
    from initctl.formats import Checkpoint
    from initctl.live.hook import ModuleInit
    from initctl.live.table import LiveTable
    from initctl.planning import Plan
    from initctl.request import AskedOfModel, Path, Request

_OF_INIT = ("only", "missing", "of", "device", "threads", "on_event")
_OF_HOOK = ("of", "device", "threads")
"""The arguments of `init_` and of `param_init_fn` besides the model and those of a plan."""


@explaining_failures
def init_(
    model: nn.Module | Mapping[str, Any],
    *,
    only: Iterable[str] = (),
    missing: Any = None,  # noqa: ANN401 - what torch or transformers returned, or a list
    of: Checkpoint | Path | None = None,
    device: str | None = None,
    threads: int | None = None,
    on_event: Callable[[Event], None] | None = None,
    **asked: Unpack[AskedOfModel],
) -> Plan:
    """Initialize the tensors of `model` in place: with the bits that `apply` gives a file of the model.

    Tensors have the names of the model's state dict; of a model of transformers, those that `save_pretrained` writes.
    Of tensors that processes share (DTensor, FSDP), each process fills its part: call it on all of them. They exchange
    a digest of the plan first, and no values. All else stays as it is. If rules do not fit, nothing is changed. After
    another exception some tensors may be filled and others not: call it again.

    Args:
        model: a module, or a state dict in memory.
        only: patterns for the names of the tensors to fill; by default all. Rules may decide others, too: these are
            kept.
        missing: fill only what a checkpoint did not have: the result of `load_state_dict(…, strict=False)`, the
            `loading_info` of transformers (also what it had in another shape), or a list of names.
        of: the whole model, if this is a part of it, as in a pipeline: a checkpoint, its path, or the path of what
            `initctl inspect --json` printed. Rules are matched against all of its tensors.
        device: the device that computes, as for `initctl.plan`; by default each tensor's own device.
        threads: as for `apply`.
        on_event: called with `Chosen` for each engine, and repeatedly with `Progress`.
        rules, recipes, preset, seed, allow_unused, require_all, allow_partial, base_config, rng: as for `initctl.plan`.
            With `rng="torch"`, all tensors of the model must be here.

    Returns:
        The plan that was carried out. It is for this model: only `init_` can use it.

    Raises:
        UsageError, FitError: as for `initctl.plan`; and if a tensor to fill is on the meta device, `of` is another
            model, or a name in `only` or `missing` is unknown.
        InputError: the model has tensors that are not real yet, or a checkpoint that rules name cannot be read.
        StorageError: memory is too small for an initializer, or the device is not available.
        ConflictError: processes that share the model plan differently, or some of them failed.
        TypeError: `model` is neither a module nor a state dict, or an argument is unknown.

    Warns:
        InitctlWarning: as `initctl.plan` does, before anything is changed.
    """
    from initctl.live.agreement import agreed, groups_of, reshard
    from initctl.live.filling import check_fillable, fill
    from initctl.live.planning import planned
    from initctl.live.table import table_of

    def prepared() -> tuple[Plan, tuple[LiveTable, int]]:
        request = _request_of_model(asked, device, _OF_INIT)
        request.check_rules()
        table, count = table_of(model), thread_count(threads)
        made = planned(request.plan, table, only=only, missing=missing, of=of, on_device=device is None)
        check_fillable(made, table)
        return made, (table, count)

    reshard(model)
    made, (table, count) = agreed(groups_of(model), prepared)
    warn(made.warnings)
    fill(made, table, threads=count, on_event=on_event)
    return made


@explaining_failures
def param_init_fn(
    model: nn.Module,
    *,
    of: Checkpoint | Path | None = None,
    device: str | int | torch.device | None = None,
    threads: int | None = None,
    **asked: Unpack[AskedOfModel],
) -> ModuleInit:
    """A function that fills the tensors of one module of `model`, as `init_` fills all: the `param_init_fn` of FSDP,
    which calls it with each module that has tensors on the meta device.

    The rules are judged by the whole model, once; the function's `plan` shows them. Make it from the model as it is
    before FSDP wraps it.

    Args:
        model: a module, on the meta device or not.
        of, threads: as for `init_`.
        device: where a module on the meta device gets its memory; by default the accelerator that the process uses, or
            else the processor.
        rules, recipes, preset, seed, allow_unused, require_all, allow_partial, base_config: as for `initctl.plan`.

    Raises:
        UsageError, FitError, InputError, TypeError: as for `init_`; and if a rule needs old values, or torch's
            generator, or if no rule decides a tensor on the meta device.

    Warns:
        InitctlWarning: as `initctl.plan` does; and of buffers on the meta device that no file has.
    """
    from initctl.live.hook import ModuleInit, check_all_decided, check_without_old_values, without_values
    from initctl.live.planning import planned
    from initctl.live.table import table_of

    request = _request_of_model(asked, None, _OF_HOOK)
    request.check_rules()
    table = table_of(model)
    made = planned(request.plan, table, of=of, on_device=False)
    check_without_old_values(made)
    check_all_decided(made, table)
    warn((*made.warnings, *without_values(model)))
    return ModuleInit(model, table, made, device, thread_count(threads))


def _request_of_model(asked: AskedOfModel, device: str | None, others: Sequence[str]) -> Request:
    """The request of a caller of a function for models, which has `others` as arguments too. Raises as `Request.of`."""
    from initctl.request import AskedOfModel

    known = AskedOfModel.__annotations__
    for name in asked.keys() - known.keys():
        raise unknown(name, (*known, *others))
    request = request_of(asked if device is None else {**asked, "device": device})
    request.check_without_sizes("a model in memory")
    return request
