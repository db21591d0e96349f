"""The public functions; the command line is a thin layer over them."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Unpack, cast

from initctl.argument_types import check_text, mapping, not_a_path, path_of, unknown
from initctl.errors import ConflictError, FitError, InitctlWarning, Problem, UsageError, listed, shown
from initctl.events import Event
from initctl.integers import counting
from initctl.threads import thread_count

if TYPE_CHECKING:
    from types import FrameType

    import torch
    from torch import nn

    from initctl.applied import Applied
    from initctl.audit import Verification
    from initctl.creating import Created
    from initctl.diagnosing import Diagnosis
    from initctl.differences import Differences
    from initctl.execution import FormatChoice
    from initctl.formats import Checkpoint
    from initctl.live.hook import ModuleInit
    from initctl.manifest import Changes, Manifest
    from initctl.output_options import OutputOptions
    from initctl.planning import Plan
    from initctl.request import Asked, AskedOfModel, AskedOfNew, Request
    from initctl.statistics import Statistics
    from initctl.suggesting import Suggestions

    Path = str | os.PathLike[str]

_CONVERSIONS = "; a conversion alone needs no rules: -o for another format, or --max-shard-size 5GB for shards"
"""The end of a hint: what is possible without rules."""
_OF_INIT = ("only", "missing", "of", "device", "threads", "on_event")
_OF_HOOK = ("of", "device", "threads")
"""The arguments of `init_` and of `param_init_fn` besides the model and those of a plan."""
_SHORT = {"rules": "-r", "recipes": "-f", "preset": "-p"}
"""The options of arguments that have another name on a command line."""


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
    request = _request(asked)
    request.check_rules()
    made = request.plan(request.read(checkpoint))
    _warn(made.warnings)
    return made


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
    from initctl.planning.saved import SavedPlan

    if checkpoint is not None and result is not None:
        raise UsageError(Problem("usage.plan", "checkpoint and result are both given", "leave one of them out"))
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
    """Initialize the tensors that a plan fills, and write the checkpoint to `output` or `in_place`.

    Tensors that no rule fills stay identical, byte for byte. `output` appears complete, in one step, and replaces an
    older file; after an error the old content is unchanged.

    Args:
        plan: a plan; or a checkpoint, which is planned for first, with `asked` as for `initctl.plan`.
        output: a file, or, if the checkpoint is a directory or an index, a directory. A different kind of output
            converts the checkpoint: `.safetensors` gives one safetensors file; `.pt`, `.pth`, `.bin` or `.ckpt` one
            torch.save file; a directory, or a path ending in a slash, safetensors shards. A conversion needs no rules.
            In a directory `X.bin` becomes `X.safetensors`, and `pytorch_model.bin` becomes `model.safetensors`.
        in_place: replace the checkpoint itself, without an `output`. "patch" overwrites only the bytes of filled
            tensors, so its cost does not depend on the size of the rest. It is not atomic: if interrupted, some
            tensors hold new values, and the same call completes it.
        overwrite: None replaces a file at `output` only if it is a checkpoint; True replaces any file; False replaces
            nothing.
        max_shard_size: convert to a directory of shards, each with tensors of at most this size: `500MB`, `5GB`.
        stale: how to treat other files that hold the same model with its old values: `keep` copies them, `drop` leaves
            them out, or deletes them in place. Without it, such a directory is refused.
        threads: number of threads; by default one for each processor that the process may use.
        on_event: called with the plan before anything is written, then with `Chosen` for each engine, repeatedly with
            `Progress` (the bytes written and their total), and with `Committed` when the result is in place.

    Raises:
        UsageError, InputError, FitError: as for `initctl.plan`; and if `output` is the checkpoint itself, rules are
            given with a plan, stale files exist and `stale` is not given, or the new format cannot hold a tensor.
        StorageError: the output cannot be written, memory is too small, or the device is not available.
        ConflictError: the checkpoint changed since it was read, or `output` must not be replaced.
        UncertainError: the result is in place, but may not survive a power failure; or a patch is not finished.

    Warns:
        InitctlWarning: as `initctl.plan` does, before anything is written; not again of a plan that is given.
    """
    from initctl.output_options import OutputOptions

    path = None if output is None else path_of("output", output)
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


def new(
    output: Path,
    *,
    like: Path | None = None,
    table: Path | None = None,
    config: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    root: str | None = None,
    dtype: str | None = None,
    max_shard_size: str | None = None,
    overwrite: bool | None = None,
    dry_run: bool = False,
    threads: int | None = None,
    on_event: Callable[[Plan | Event], None] | None = None,
    **asked: Unpack[AskedOfNew],
) -> Created:
    """Write a checkpoint that was not there to `output`, in safetensors. Rules fill every tensor of a table.

    The table comes from one of three sources. Memory does not grow with the size of the checkpoint.

    Args:
        output: a `.safetensors` file; or a directory, which also gets the files that belong to the source.
        like: a checkpoint in any format, as for `initctl.plan`: its names, dtypes, shapes, shards, metadata and other
            files. No weight is read. Integers, and tables that a model computes, are copied if no rule fills them.
        table: a JSON file as `initctl inspect --json` writes it.
        config: the `config.json` of a model of transformers, or a directory with one: the tensors that
            `save_pretrained` would write. Needs the extra `initctl[transformers]`; no code beside the file is run.
            Buffers have the values that the model computes. By default, the preset is `auto`; `rules` come after it.
        settings: other values for fields of the configuration, by dotted keys, such as `{"hidden_size": 64}`.
        root: for `like`, as for `initctl.plan`.
        dtype: the dtype of floating-point tensors, such as `bfloat16`; by default that of the source.
        max_shard_size: the most bytes of tensors in one file of a directory; by default `5GB`, but with `like` the
            files stay the same.
        overwrite: as for `initctl.apply`.
        dry_run: plan, and write nothing.
        threads, on_event: as for `initctl.apply`.
        rules, recipes, preset, seed, allow_unused, device, rng: as for `initctl.plan`.

    Raises:
        UsageError: an argument is wrong, or the text of a rule or a recipe (`RuleError`).
        InputError: the source cannot be read, or transformers refuses the configuration.
        FitError: the rules do not fit the table, or leave a tensor without values.
        StorageError: as for `initctl.apply`; and if transformers is missing.
        ConflictError, UncertainError: as for `initctl.apply`.

    Warns:
        InitctlWarning: of what is probably not meant, before anything is written.
    """
    from initctl.creating import NewOptions, create
    from initctl.request import AskedOfNew

    for name in asked.keys() - AskedOfNew.__annotations__.keys():
        raise unknown(name, AskedOfNew.__annotations__)
    for name, text in {"root": root, "dtype": dtype, "max_shard_size": max_shard_size}.items():
        check_text(name, text)
    sources = {"like": like, "table": table, "config": config}
    options = NewOptions(
        output=path_of("output", output),
        **{name: None if path is None else path_of(name, path) for name, path in sources.items()},
        settings=mapping("settings", settings or {}),
        root=root,
        dtype=dtype,
        max_shard_size=max_shard_size,
        overwrite=overwrite,
        dry_run=dry_run,
    )

    def event(found: Plan | Event) -> None:
        if not isinstance(found, Event):
            _warn(found.warnings)
        if on_event:
            on_event(found)

    return create(options, asked, threads=counting("threads", threads), on_event=event)


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
    from initctl.live.agreement import agreed, groups_of
    from initctl.live.filling import check_fillable, fill
    from initctl.live.planning import planned
    from initctl.live.table import LiveTable, table_of

    def prepared() -> tuple[Plan, tuple[LiveTable, int]]:
        request = _request_of_model(asked, device, _OF_INIT)
        request.check_rules()
        table, count = table_of(model), thread_count(threads)
        made = planned(request.plan, table, only=only, missing=missing, of=of, on_device=device is None)
        check_fillable(made, table)
        return made, (table, count)

    made, (table, count) = agreed(groups_of(model), prepared)
    _warn(made.warnings)
    fill(made, table, threads=count, on_event=on_event)
    return made


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
    _warn((*made.warnings, *without_values(model)))
    return ModuleInit(model, table, made, device, thread_count(threads))


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
    is true if everything matches, so `assert initctl.verify(…)` is a check.

    Args:
        plan: a plan; or a checkpoint, which is planned for first, with `asked` as for `initctl.plan`. Comparing two
            checkpoints needs no rules.
        result: the checkpoint to verify; by default the plan's own, as it is now. Then only filled values are checked,
            because there is no original to compare the rest with.
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
        try:
            made = request.plan(request.read(plan))
        except FitError as error:
            raise error if result is None else request.about_original(error, plan, result) from None
        _warn(made.warnings)
    else:
        made = _finished_plan(plan, asked)
        made = made if result is not None else _replanned_if_changed(made)
    if on_event:
        on_event(made)
    found = None if result is None else read_result(path_of("result", result), made.checkpoint)
    return verify_plan(made, found, sample=sample, threads=threads, on_event=on_event)


def inspect(checkpoint: Path, *, root: str | None = None, component: str | None = None) -> Checkpoint:
    """The table of `checkpoint`: its files, tensors and metadata, with names relative to `root` as in `plan`.

    Reads no tensor values. Raises `InputError`, and `UsageError` if no tensor is at `root`, or there is no folder
    `component`. Warns of what is odd about the checkpoint, as `InitctlWarning`; so do all functions that read one.
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
    """Statistics of tensors of `checkpoint`: moments, extremes, counts of unusual values, and a histogram of a sample.
    Reads every element once and writes nothing.

    Args:
        checkpoint, root, component: as for `inspect`.
        patterns: globs, or regular expressions after `re:`, as in rules; by default all tensors.
        digest: also the SHA-256 of each tensor's bytes, in row-major order.
        threads, on_event: as for `apply`.

    Raises:
        UsageError, InputError: as for `inspect`; and if a pattern selects rows, or is not a pattern (`RuleError`).
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
    """The differences between checkpoints `a` and `b`, in any formats and shards: tensors, metadata and, of two
    directories, other files. Writes nothing.

    Tensors are paired by name. Bytes are compared first; differences are measured in float64. An element changed if its
    bits changed, so -0 is not 0; if the dtype changed, numbers are compared.

    Args:
        a, b: as for `inspect`.
        patterns: as for `stats`; each must match a tensor of either. Without them, tensors outside of the roots are
            compared too, if both checkpoints have any.
        root: as for `inspect`, for both.
        other_root: the root of `b`, if it differs.
        component: as for `inspect`, for `a` and `b` if they are directories.
        threads, on_event: as for `apply`.

    Raises:
        UsageError, InputError, FitError: as for `stats`.
        ConflictError: a checkpoint changed while it was read.
        StorageError: a checkpoint cannot be read to its end.
    """
    from initctl.differences import differences

    threads = thread_count(threads)
    roots = root, root if other_root is None else other_root
    is_directory = os.path.isdir(path_of("a", a)), os.path.isdir(path_of("b", b))
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
    _check_has_files(plan)
    return measured_changes(plan, digest=digest, threads=threads, on_event=on_event)


def load_manifest(path: Path) -> Manifest:
    """The manifest that `Manifest.save`, or `apply --report`, wrote to the file `path`. Raises `InputError`."""
    from initctl.manifest.reading import read_manifest

    return read_manifest(os.fspath(path))


def suggest(
    checkpoint: Path, *, activation: str | None = None, root: str | None = None, component: str | None = None
) -> Suggestions:
    """The law that each floating-point tensor of `checkpoint` should start from, and why; `recipe()` returns a recipe.

    If there is a preset for the model in `config.json`, its rules decide; else the role of each tensor, found from its
    name, its shape and its neighbors. Reads no tensor values.

    Args:
        checkpoint, root, component: as for `inspect`.
        activation: the activation between layers: `relu`, `leaky_relu`, `tanh`, `sigmoid`, `gelu`, `silu` or `selu`;
            by default the one in `config.json`, or `relu`.

    Raises:
        UsageError: the activation is unknown; or as for `inspect`.
        InputError: the checkpoint or its config.json cannot be read, or it has no floating-point tensor.
    """
    from initctl.suggesting import Suggestions

    found = Suggestions.of(inspect(checkpoint, root=root, component=component), activation)
    _warn(found.warnings[len(found.checkpoint.warnings) :])
    return found


def doctor(
    checkpoint: Path,
    patterns: Sequence[str] = (),
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
    rule that repairs it. Reads every element once, and fresh weights once more; writes nothing.

    Args:
        checkpoint, root, component: as for `inspect`.
        patterns: as for `stats`: only these tensors are judged, as fresh ones; by default all tensors.
        preset: the model family whose laws are correct; by default the family of config.json's model type.
        trained: True leaves out checks that only fresh weights must pass; by default the values decide, unless there
            are `patterns`.
        select: the codes of checks, or the parts before their dots (`values`); by default all checks.
        ignore: the codes, or parts of codes, to leave out.
        threads, on_event: as for `apply`.

    Raises:
        UsageError, InputError: as for `stats`; and if a check or the preset is unknown, or config.json cannot be read.
        FitError: a pattern matches no tensor, or the preset fills none.
        ConflictError: the checkpoint changed while it was read.
        StorageError: the checkpoint cannot be read to its end.
    """
    from initctl.diagnosing import CHECKS, diagnosed
    from initctl.diagnosing.selection import chosen

    threads = thread_count(threads)
    checks = chosen(CHECKS, select, ignore)
    table = inspect(checkpoint, root=root, component=component)
    return diagnosed(
        table, checks, patterns, root=root, preset=preset, trained=trained, threads=threads, on_event=on_event
    )


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


def _request_of_model(asked: AskedOfModel, device: str | None, others: Sequence[str]) -> Request:
    """The request of a caller of a function for models, which has `others` as arguments too. Raises as `Request.of`."""
    from initctl.request import AskedOfModel

    known = AskedOfModel.__annotations__
    for name in asked.keys() - known.keys():
        raise unknown(name, (*known, *others))
    request = _request(asked if device is None else {**asked, "device": device})
    request.check_without_sizes("a model in memory")
    return request


def _to_write(plan: Plan | Path, asked: Asked, options: OutputOptions) -> tuple[Plan, FormatChoice]:
    """The plan, and the format of its result, which is checked before planning."""
    if not isinstance(plan, (str, os.PathLike)):
        made = _finished_plan(plan, asked)
        return made, options.format_of(made.checkpoint, is_reset=bool(made.resets))
    request = _request(asked)
    checkpoint = request.read(plan)
    choice = options.format_of(checkpoint, is_reset=request.options.reset_optimizer)
    if not choice.conversion:
        request.check_rules(_CONVERSIONS + ("; either leaves the optimizer out" if checkpoint.optimizers else ""))
    return request.plan(checkpoint), choice


def _finished_plan(plan: object, asked: Asked) -> Plan:
    """`plan`. Raises `UsageError` if an option other than a default is given with it, and `TypeError` if it is neither
    a plan nor a path.
    """
    from initctl.planning import Plan

    if not isinstance(plan, Plan):
        raise not_a_path("checkpoint", plan)
    _check_has_files(plan)
    if _request(asked) != _request({}):
        given = [name for name, value in asked.items() if _is_chosen(value)]
        options = listed([_SHORT.get(name, f"--{name.replace('_', '-')}") for name in given], at_most=len(given))
        fault = f"--plan cannot be combined with {options}; it already fixes the rules, the seed and the rest"
        raise UsageError(Problem("usage.plan", fault, f"leave out {options}, or --plan"))
    return plan


def _check_has_files(plan: Plan) -> None:
    """Raise `UsageError` if `plan` is for a model in memory."""
    if plan.checkpoint.is_in_memory:
        fault = f"the plan is for a model in memory ({shown(plan.checkpoint.path)}), which has no files"
        raise UsageError(Problem("plan.memory", fault, "save the model, and plan with the same rules for its file"))


def _is_chosen(value: object) -> bool:
    """Whether an argument has another value than its default."""
    return value is not None and value is not False and value not in ([], (), {}, "cpu", "philox")


def _replanned_if_changed(plan: Plan) -> Plan:
    """`plan`, loaded for its checkpoint as it is now, if the checkpoint was written after planning."""
    from initctl.planning.saved import SavedPlan

    try:
        plan.checkpoint.check_unchanged(plan.checkpoint.files)
    except ConflictError:
        made = SavedPlan.of(plan).restored(plan.checkpoint.absolute, is_result=True)
        return replace(made, checkpoint=replace(made.checkpoint, path=plan.checkpoint.path))
    return plan
