"""Plans: made for a checkpoint, loaded from a file, and what they would change."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Unpack

from initctl.api.arguments import check_has_files, request_of
from initctl.api.warning import warn
from initctl.errors import Problem, UsageError
from initctl.system_errors import explaining_failures
from initctl.threads import thread_count

if TYPE_CHECKING:
    from collections.abc import Callable

    from initctl.events import Event
    from initctl.manifest import Changes
    from initctl.planning import Plan
    from initctl.request import Asked, Path


@explaining_failures
def plan(checkpoint: Path, **asked: Unpack[Asked]) -> Plan:
    """The plan of what `apply` would do to `checkpoint`, tensor by tensor. Reads no tensor values and writes nothing.

    Args:
        checkpoint: a file of safetensors or of torch.save, an index of shards, a directory with one of them, or a
            directory of torch.distributed.checkpoint.
        rules: texts `PATTERN=INITIALIZER[:KEY=VALUE,…] [where CONDITION]`; for each element the last rule that covers
            it decides.
        recipes: paths of TOML files of rules, which come before `rules`.
        preset: the name of a model family's rules, which come first; `auto` takes the one for `config.json`'s model
            type.
        rows: new numbers of rows by patterns, `{"classifier.*": 5}`; `"pad:64"` rounds up to a multiple. Rows that stay
            keep their values, and rules must fill new ones. The last pattern that matches a tensor decides.
        dims: new shapes by patterns, `{"pos_embed": [1, 577, 768]}`; rules must fill these tensors.
        set_config: new values of fields of `config.json` in the result, by dotted keys: `{"num_labels": 5}`.
        root: the dotted keys that lead to the state dict; by default where training frameworks put it; "" means all.
        component: the folder of a directory to work on, such as `unet` in a diffusers pipeline, with its own
            `config.json`. The result is the whole directory.
        seed: 0 ≤ seed < 2^64; by default the seed of the recipes, or 0. A value depends only on the seed, the tensor's
            name and the element's index.
        allow_unused: True only warns about a rule that decides no tensor.
        require_all: True refuses if no rule decides some floating-point tensor, or a part of a quantized weight.
        allow_partial: True only warns about a preset that leaves most of the weights undecided.
        reset_optimizer: True resets the optimizer state of the tensors that rules fill: moments and steps.
        buffers: for `reset_optimizer`, patterns for the names of tensors that no optimizer has state of: buffers and
            frozen parameters. Name them if the match of the parameters is refused.
        base_config: the path of a base model's `config.json`, or of a directory with one, for `base.KEY` in rules: a
            value of it, as `config.KEY` is a value of the `config.json` beside the checkpoint.
        device: the device that computes: `cpu`, a device of torch (`cuda`, `cuda:1`), or `auto`: a GPU if it is faster.
        rng: `philox`; or `torch`, which gives the values of a script that calls `torch.manual_seed(seed)` and then, for
            each filled tensor in the checkpoint's order, the function of `torch.nn.init` on a tensor of its dtype and
            device.

    Raises:
        UsageError: an argument is wrong, or the text of a rule or a recipe (`RuleError`).
        InputError: the checkpoint cannot be read.
        FitError: the rules do not fit the checkpoint.
        StorageError: the device is not available.

    Warns:
        InitctlWarning: of what is probably not meant; the plan's `warnings` list the same.
    """
    request = request_of(asked)
    request.check_rules()
    made = request.plan(request.read(checkpoint))
    warn(made.warnings)
    return made


@explaining_failures
def load_plan(path: Path, checkpoint: Path | None = None, *, result: Path | None = None) -> Plan:
    """The plan that `Plan.save` wrote to the file `path`, for the checkpoint that it was made for.

    Args:
        path: the file.
        checkpoint: the path of that checkpoint, if it was moved or copied; by default its original path.
        result: a checkpoint that this plan produced, in any format. The plan is loaded for it; `verify` needs this if
            the original is gone.

    Raises:
        InputError: the file is not a plan, or is damaged; or the checkpoint cannot be read.
        ConflictError: the checkpoint or `result` has other tensors than planned, or an initializer has changed.
        FitError: an optimizer of the checkpoint cannot be reset.
        UsageError: both `checkpoint` and `result` are given.
        StorageError: the device is not available.
    """
    if checkpoint is not None and result is not None:
        raise UsageError(Problem("usage.plan", "checkpoint and result are both given", "leave one of them out"))
    made = loaded_plan(path, checkpoint) if result is None else loaded_plan(path, result, is_result=True)
    warn(made.warnings)
    return made


def loaded_plan(path: Path, checkpoint: Path | None, *, is_result: bool = False, unfinished: bool = False) -> Plan:
    """The plan in the file at `path`, as `SavedPlan.restored` makes it. Nothing is warned of."""
    from initctl.planning.saved import SavedPlan

    place = None if checkpoint is None else os.fspath(checkpoint)
    return SavedPlan.at(os.fspath(path)).restored(place, is_result=is_result, unfinished=unfinished)


@explaining_failures
def changes(
    plan: Plan,
    *,
    digest: bool = False,
    threads: int | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Changes:
    """Statistics, as from `stats`, of each tensor that `plan` fills, before and after. Reads the old values and
    computes the new ones; writes nothing.

    If a rule fills some rows of a tensor, the statistics are of these rows.

    Args:
        plan: from `initctl.plan` or `initctl.load_plan`. Its checkpoint must be unchanged: if you apply the plan in
            place, call this before.
        digest: also the SHA-256 of the bytes, in row-major order.
        threads, on_event: as for `apply`; progress counts bytes measured.

    Raises:
        UsageError, FitError, StorageError: as for `apply`, without the errors about an output.
        ConflictError: the checkpoint changed since the plan was made.
    """
    from initctl.manifest import measured_changes

    threads = thread_count(threads)
    check_has_files(plan)
    return measured_changes(plan, digest=digest, threads=threads, on_event=on_event)
