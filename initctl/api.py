"""The library's face; the command line is a thin layer over it."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Unpack, cast

from initctl.errors import ConflictError, InitctlWarning, Problem, UsageError
from initctl.events import Event
from initctl.integers import counting
from initctl.threads import thread_count

if TYPE_CHECKING:
    from types import FrameType

    from initctl.applied import Applied
    from initctl.audit import Verification
    from initctl.diagnosing import Diagnosis
    from initctl.differences import Differences
    from initctl.execution import FormatChoice
    from initctl.formats import Checkpoint
    from initctl.manifest import Changes, Manifest
    from initctl.output_options import OutputOptions
    from initctl.planning import Plan
    from initctl.request import Asked, Request
    from initctl.statistics import Statistics
    from initctl.suggesting import Suggestions

    Path = str | os.PathLike[str]

_CONVERSIONS = "; a conversion alone needs no rules: -o for another format, or --max-shard-size 5GB for shards"
"""What goes without rules, as a hint says it."""


def plan(checkpoint: Path, **asked: Unpack[Asked]) -> Plan:
    """What `apply` would do to `checkpoint`, tensor by tensor. No tensor values are read; nothing is written.

    Args:
        checkpoint: a file of safetensors or of torch.save, an index of shards, a directory that holds one of them, or
            one of torch.distributed.checkpoint.
        rules: texts `PATTERN=INITIALIZER[:KEY=VALUE,…] [where CONDITION]`; for each element the last rule that covers
            it decides.
        recipes: paths of TOML files of rules, which come before `rules`.
        preset: the name of a model family's rules, which come first; `auto` takes the one for `config.json`'s model
            type.
        root: the dotted keys that lead to the state dict; by default where training frameworks put it; "" takes all.
        component: the folder of a directory whose checkpoint is meant, as `unet` of a diffusers pipeline;
            `config.json` is the one there. The result is the whole directory.
        seed: 0 ≤ seed < 2^64; by default that of the recipes, or 0. A value depends on it, on the tensor's name and on
            the element's index alone.
        allow_unused: True only warns about a rule that decides no tensor.
        require_all: True refuses if no rule decides some floating-point tensor, or a part of a quantized weight.
        allow_partial: True only warns about a preset that leaves most of the weights undecided.
        reset_optimizer: True sets back what optimizers remember of the tensors that rules fill: moments, and steps.
        buffers: patterns for the names of buffers that have a parameter's shape, for `reset_optimizer`: no optimizer
            was given them.
        device: what computes: `cpu`, a device that torch knows (`cuda`, `cuda:1`), or `auto`: a GPU if it is faster.
        rng: `philox`; or `torch`, which gives what a script gives that calls `torch.manual_seed(seed)` and then, for
            each ruled tensor in the checkpoint's order, the function of `torch.nn.init` on a tensor of its dtype and
            device.

    Raises:
        UsageError: an argument is wrong, or the text of a rule or a recipe (`RuleError`).
        InputError: the checkpoint cannot be read.
        FitError: the rules do not fit the checkpoint.
        StorageError: the device is not there.

    Warns:
        InitctlWarning: of what is probably not meant; the plan's `warnings` list the same.
    """
    request = _request(asked)
    request.check_rules()
    made = request.plan(request.read(checkpoint))
    _warn(made.warnings)
    return made


def load_plan(path: Path, checkpoint: Path | None = None, *, result: Path | None = None) -> Plan:
    """The plan that `Plan.save` wrote to the file `path`, for the checkpoint that it was made for.

    Args:
        path: the file.
        checkpoint: the path of that checkpoint, if it was moved or copied. By default the path that it had then.
        result: a checkpoint that this plan produced, in any format. The plan is restored for it; `verify` needs this
            if the original is gone.

    Raises:
        InputError: the file is not a plan, or is damaged; or the checkpoint cannot be read.
        ConflictError: the checkpoint has another table, or `result` other tensors, or values have changed.
        FitError: an optimizer of it cannot be set back.
        UsageError: both `checkpoint` and `result` are given.
        StorageError: the device is not there.
    """
    from initctl.planning.saved import SavedPlan

    if checkpoint is not None and result is not None:
        raise UsageError(Problem("usage.plan", "checkpoint, result: both are given", "leave one of them out"))
    saved = SavedPlan.at(os.fspath(path))
    if result is not None:
        made = saved.restored(os.fspath(result), is_result=True)
    else:
        made = saved.restored(None if checkpoint is None else os.fspath(checkpoint))
    _warn(made.warnings)
    return made


def apply(
    plan: Plan | Path,
    output: Path | None = None,
    *,
    in_place: bool | Literal["patch"] = False,
    overwrite: bool | None = None,
    max_shard_size: str | None = None,
    stale: str | None = None,
    threads: int | None = None,
    on_event: Callable[[Plan | Event], None] | None = None,
    **asked: Unpack[Asked],
) -> Applied:
    """Initialize the tensors that a plan fills, and write the checkpoint to `output`, or back `in_place`.

    Tensors that no rule decides stay identical, byte for byte. `output` appears complete, in one step, and replaces
    what was there; after an error the old content is unchanged.

    Args:
        plan: a plan; or a checkpoint, which is planned for first, with what is `asked` as for `initctl.plan`.
        output: a file, or, if the checkpoint is a directory or an index, a directory. A different kind of output
            converts the checkpoint: `.safetensors` gives one safetensors file; `.pt`, `.pth`, `.bin` or `.ckpt` one
            torch.save file; a directory, or a path ending in a slash, safetensors shards. A conversion needs no rules.
            In a directory `X.bin` becomes `X.safetensors`, and `pytorch_model.bin` becomes `model.safetensors`.
        in_place: replace the checkpoint itself; then there is no `output`. "patch" overwrites only the bytes of ruled
            tensors, and costs what these cost, however large the rest is. It is not atomic: if interrupted, some
            tensors hold new values, and the same call completes it.
        overwrite: None replaces a file at `output` only if it is a checkpoint; True replaces any file; False replaces
            nothing.
        max_shard_size: convert to a directory of shards, each with tensors of at most this size: `500MB`, `5GB`.
        stale: what becomes of other files that hold the same model with its old values: `keep` carries them along,
            `drop` leaves them out, or removes them in place. Without it, such a directory is refused.
        threads: number of threads; by default one for each processor that the process may use.
        on_event: called with the plan before anything is written, then with each engine that is `Chosen`, now and then
            with `Progress`: the bytes written and their total; and with `Committed` once the result is in place.

    Raises:
        UsageError, InputError, FitError: as for `initctl.plan`; and if `output` is the checkpoint itself, rules are
            given beside a plan, files are `stale` without a decision, or the new format cannot hold a tensor.
        StorageError: the output cannot be written, memory does not suffice, or the device is not there.
        ConflictError: the checkpoint changed since it was read, or `output` must not be replaced.
        UncertainError: the result is in place, but may not survive a power failure; or a patch is not finished.

    Warns:
        InitctlWarning: as `initctl.plan` does, before anything is written; not again of a plan that is given.
    """
    from initctl.output_options import OutputOptions

    path = None if output is None else os.fspath(output)
    options = OutputOptions(
        path=path, in_place=in_place, overwrite=overwrite, max_shard_size=max_shard_size, stale=stale
    )
    threads = counting("threads", threads)
    made, choice = _to_write(plan, asked, options)
    known = () if made is not plan else made.warnings
    _warn(choice.warnings)

    def event(found: Plan | Event) -> None:
        if not isinstance(found, Event):
            _warn([warning for warning in found.warnings if warning not in known])
        if on_event:
            on_event(found)

    return options.write(made, choice, threads=threads, on_event=event)


def verify(
    plan: Plan | Path,
    result: Path | None = None,
    *,
    sample: int | None = None,
    threads: int | None = None,
    on_event: Callable[[Plan | Event], None] | None = None,
    **asked: Unpack[Asked],
) -> Verification:
    """Whether `result` is exactly what a plan produces: every value is computed again and compared.

    Everything that the plan keeps must be unchanged: byte for byte, unless `result` was converted. The returned object
    is true if all of it matches, so `assert initctl.verify(…)` is a check.

    Args:
        plan: a plan; or a checkpoint, which is planned for first, with what is `asked` as for `initctl.plan`.
            Comparing two checkpoints needs no rules.
        result: the checkpoint to verify; by default the plan's own, as it is now. Then only filled values are checked:
            the rest has no original to be compared with.
        sample: compare only this many elements of each tensor.
        threads, on_event: as for `apply`.

    Raises:
        UsageError, InputError, FitError, StorageError: as for `initctl.plan`; and if old values are needed and there is
            no `result`.
        ConflictError: a checkpoint changed while it was read, or the plan's has changed since.
    """
    from initctl.audit import read_result, verify_plan

    threads = thread_count(threads)
    sample = counting("sample", sample)
    if isinstance(plan, (str, os.PathLike)):
        request = _request(asked)
        if result is None:
            request.check_rules("; --against ORIGINAL alone compares everything")
        made = request.plan(request.read(plan))
        _warn(made.warnings)
    else:
        made = _finished_plan(plan, asked)
        made = made if result is not None else _replanned_if_changed(made)
    if on_event:
        on_event(made)
    found = None if result is None else read_result(os.fspath(result), made.checkpoint)
    return verify_plan(made, found, sample=sample, threads=threads, on_event=on_event)


def inspect(checkpoint: Path, *, root: str | None = None, component: str | None = None) -> Checkpoint:
    """The table of `checkpoint`: its files, tensors and metadata, names relative to `root` as in `plan`.

    No tensor is read. Raises `InputError`; `UsageError` if no tensor is at `root`, or no folder is called `component`.
    Warns of what is odd about the checkpoint, as `InitctlWarning`; so do all functions that read one.
    """
    from initctl.formats import read_checkpoint

    table = read_checkpoint(checkpoint, root=root, component=component)
    _warn(table.warnings)
    return table


def stats(
    checkpoint: Path,
    patterns: Sequence[str] = (),
    *,
    root: str | None = None,
    component: str | None = None,
    digest: bool = False,
    threads: int | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Statistics:
    """What tensors of `checkpoint` hold, in numbers: moments, extremes, counts of what is out of the ordinary, and a
    histogram of a sample. Every element is read once; nothing is written.

    Args:
        checkpoint, root, component: as for `inspect`.
        patterns: globs, or regular expressions after `re:`, as in rules; by default all tensors.
        digest: also the SHA-256 of each tensor's bytes, in row-major order.
        threads, on_event: as for `apply`.

    Raises:
        UsageError, InputError: as for `inspect`; and if a pattern takes rows, or is not a pattern (`RuleError`).
        FitError: a pattern matches no tensor.
        ConflictError: the checkpoint changed while it was read.
        StorageError: the checkpoint cannot be read to its end.
    """
    from initctl.selecting import selected
    from initctl.statistics import Statistics, measured

    threads = thread_count(threads)
    table = inspect(checkpoint, root=root, component=component)
    tensors = selected(table, patterns)
    return Statistics(table, measured(table, tensors, digest=digest, threads=threads, on_event=on_event))


def diff(
    a: Path,
    b: Path,
    patterns: Sequence[str] = (),
    *,
    root: str | None = None,
    other_root: str | None = None,
    component: str | None = None,
    threads: int | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Differences:
    """In what checkpoint `b` differs from checkpoint `a`, whatever their formats and shards are: tensors, metadata and,
    of two directories, other files. Nothing is written.

    Tensors are held against each other by their names. Bytes are compared first; the numbers of what differs are
    computed in float64. An element changed if its bits did, so -0 is not 0; if the dtype changed, numbers are compared.

    Args:
        a, b: as for `inspect`.
        patterns: as for `stats`; each must match a tensor of either. Without them, tensors outside of the roots are
            compared as well, if both have any.
        root: as for `inspect`, for both.
        other_root: the root of `b`, if that is another.
        component: as for `inspect`, for those of both that are directories.
        threads, on_event: as for `apply`.

    Raises:
        UsageError, InputError, FitError: as for `stats`.
        ConflictError: a checkpoint changed while it was read.
        StorageError: a checkpoint cannot be read to its end.
    """
    from initctl.differences import differences

    threads = thread_count(threads)
    roots = root, root if other_root is None else other_root
    is_directory = os.path.isdir(a), os.path.isdir(b)
    one, other = (
        inspect(path, root=root, component=component if is_one or not any(is_directory) else None)
        for path, root, is_one in zip((a, b), roots, is_directory, strict=True)
    )
    return differences(one, other, patterns, threads=threads, on_event=on_event)


def changes(
    plan: Plan,
    *,
    digest: bool = False,
    threads: int | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Changes:
    """What each tensor that `plan` fills holds before and after, in numbers, as `stats` gives them. The old values are
    read and the new ones computed; nothing is written.

    If a rule fills some rows of a tensor, the numbers are those of these rows.

    Args:
        plan: from `initctl.plan` or `initctl.load_plan`. Its checkpoint must be as it was then: in
            place, this comes before `apply`.
        digest: also the SHA-256 of the bytes, in row-major order.
        threads, on_event: as for `apply`; progress is what was measured.

    Raises:
        UsageError, FitError, StorageError: as for `apply`, except for what is about an output.
        ConflictError: the checkpoint changed since it was planned for.
    """
    from initctl.manifest import measured_changes

    threads = thread_count(threads)
    return measured_changes(plan, digest=digest, threads=threads, on_event=on_event)


def load_manifest(path: Path) -> Manifest:
    """The manifest that `Manifest.save`, or `apply --report`, wrote to the file `path`. Raises `InputError`."""
    from initctl.manifest.reading import read_manifest

    return read_manifest(os.fspath(path))


def suggest(
    checkpoint: Path, *, activation: str | None = None, root: str | None = None, component: str | None = None
) -> Suggestions:
    """What each floating-point tensor of `checkpoint` should start from, and why; `recipe()` gives that as a recipe.

    If `config.json` names a model that a preset is for, its rules count; else the role of each tensor, which names,
    shapes and neighbors show. No tensor is read.

    Args:
        checkpoint, root, component: as for `inspect`.
        activation: what is between layers: `relu`, `leaky_relu`, `tanh`, `sigmoid`, `gelu`, `silu` or `selu`; by
            default what `config.json` says, or `relu`.

    Raises:
        UsageError: the activation is not known; or as for `inspect`.
        InputError: the checkpoint or its config.json cannot be read, or it has no floating-point tensor.
    """
    from initctl.suggesting import Suggestions

    found = Suggestions.of(inspect(checkpoint, root=root, component=component), activation)
    _warn(found.warnings[len(found.checkpoint.warnings) :])
    return found


def doctor(
    checkpoint: Path,
    *,
    root: str | None = None,
    component: str | None = None,
    preset: str | None = None,
    trained: bool | None = None,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    threads: int | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Diagnosis:
    """Faults of initialization in `checkpoint`, each with a stable code, a severity, the reason why it matters, and the
    rule that mends it. Every element is read once, and weights of fresh models once more; nothing is written.

    Args:
        checkpoint, root, component: as for `inspect`.
        preset: the model family whose laws are no fault; by default that of config.json's model type.
        trained: True leaves out what only fresh weights must satisfy; by default the numbers decide.
        select: the codes of checks, or the parts before their dots (`values`); by default all checks.
        ignore: what is left out of them.
        threads, on_event: as for `apply`.

    Raises:
        UsageError, InputError: as for `inspect`; and if no check or preset is called so, or config.json cannot be
            read.
        FitError: the preset fills no tensor of the checkpoint.
        ConflictError: the checkpoint changed while it was read.
        StorageError: the checkpoint cannot be read to its end.
    """
    from initctl.diagnosing import CHECKS, diagnosed
    from initctl.diagnosing.selection import chosen

    threads = thread_count(threads)
    checks = chosen(CHECKS, select, ignore)
    table = inspect(checkpoint, root=root, component=component)
    return diagnosed(table, checks, root=root, preset=preset, trained=trained, threads=threads, on_event=on_event)


def _warn(problems: Iterable[Problem]) -> None:
    """Issue a warning for each of `problems`, at the line of the caller outside of this package."""
    for problem in problems:
        level, frame = 1, cast("FrameType | None", sys._getframe())  # noqa: SLF001 - as Python's own warnings do
        while frame and frame.f_globals.get("__name__", "").partition(".")[0] == __package__:
            level, frame = level + 1, frame.f_back
        warnings.warn(problem.in_python(), InitctlWarning, stacklevel=level)


def _request(asked: Mapping[str, Any]) -> Request:
    from initctl.request import Request

    return Request.of(asked)


def _to_write(plan: Plan | Path, asked: Asked, options: OutputOptions) -> tuple[Plan, FormatChoice]:
    """The plan, and the format of its result, which is checked before planning."""
    if not isinstance(plan, (str, os.PathLike)):
        made = _finished_plan(plan, asked)
        return made, options.format_of(made.checkpoint, is_reset=bool(made.resets))
    request = _request(asked)
    checkpoint = request.read(plan)
    choice = options.format_of(checkpoint, is_reset=request.options.reset_optimizer)
    if not choice.conversion:
        request.check_rules(_CONVERSIONS)
    return request.plan(checkpoint), choice


def _finished_plan(plan: Plan, asked: Asked) -> Plan:
    """`plan`. Raises `UsageError` if anything but a default is asked for beside it."""
    if _request(asked) != _request({}):
        fault = "plan: it already fixes the rules, the seed and all other options of `plan`"
        raise UsageError(Problem("usage.plan", fault, "leave them out, or leave out --plan"))
    return plan


def _replanned_if_changed(plan: Plan) -> Plan:
    """`plan`, restored for its checkpoint as it is now, if that was written to after planning."""
    from initctl.planning.saved import SavedPlan

    try:
        plan.checkpoint.check_unchanged(plan.checkpoint.files)
    except ConflictError:
        made = SavedPlan.of(plan).restored(plan.checkpoint.absolute, is_result=True)
        return replace(made, checkpoint=replace(made.checkpoint, path=plan.checkpoint.path))
    return plan
