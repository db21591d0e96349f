"""The library's face: plan, apply, verify, inspect. The command line is a thin layer over these."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from initctl.asked import Asked, Request
from initctl.errors import Problem, UsageError, shown
from initctl.integers import counting

if TYPE_CHECKING:
    from collections.abc import Callable

    from initctl.audit import Verification
    from initctl.execution import Conversion, Event
    from initctl.formats import Checkpoint
    from initctl.planning import Plan
    from initctl.planning.saved import SavedPlan

    Path = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Applied:
    """What `apply` did: the plan, where the result is, and the files written, by their names there.

    If the result is of another kind than the checkpoint, `converted_to` names its format as messages do. `warnings` are
    about the result; those about the plan are the plan's.
    """

    plan: Plan
    output: str
    files: tuple[str, ...]
    converted_to: str | None = None
    warnings: tuple[Problem, ...] = ()

    @property
    def converted(self) -> bool:
        """Whether the result is of another kind than the checkpoint."""
        return self.converted_to is not None

    def to_json(self) -> dict[str, Any]:
        """The plan's data, and what was written."""
        return {**self.plan.to_json(), "output": self.output, "files": list(self.files), "converted": self.converted}


def plan(checkpoint: Path, **asked: Unpack[Asked]) -> Plan:
    """What `apply` would do to `checkpoint`, to the tensor. Only the checkpoint's table is read; nothing is written.

    Args:
        checkpoint: a file of safetensors or of torch.save, an index of shards, a directory that holds one of them, or
            one of torch.distributed.checkpoint.
        asked: rules, and how to plan: see `initctl.asked.Asked`.

    Raises:
        UsageError: the seed, the device, or the text of a rule (`RuleError`).
        InputError: the checkpoint cannot be read.
        FitError: the rules do not fit the checkpoint.
        StorageError: the device is not there.
    """
    request = Request.of(asked)
    request.check_rules()
    return request.plan(_read(checkpoint, request.root, request.component), _read)


def apply(
    checkpoint: Path,
    output: Path | None = None,
    *,
    in_place: bool = False,
    patch: bool = False,
    no_clobber: bool = False,
    force: bool = False,
    max_shard_size: str | None = None,
    stale: str | None = None,
    plan: Path | None = None,
    threads: int | None = None,
    on_event: Callable[[Plan | Event], None] | None = None,
    **asked: Unpack[Asked],
) -> Applied:
    """Initialize the tensors of `checkpoint` that `rules` decide, and write it to `output`, or back `in_place`.

    What no rule decides is the same to the byte. `output` appears complete, in one step, replacing what was there;
    on an error it is as it was.

    Args:
        checkpoint, asked: as for `plan`.
        output: a file, or, if the checkpoint is a directory or an index, a directory. If it is of another kind than the
            checkpoint, this is converted: to one file if the output ends with `.safetensors`, or with `.pt`, `.pth`,
            `.bin` or `.ckpt` as a file of torch.save; to a directory of safetensors shards if it is a directory, or
            ends with a slash. Then there may be no rules. `X.bin` becomes `X.safetensors` in a directory, with or
            without shards; `pytorch_model` becomes `model`. If the ending is not known, there is a warning.
        in_place: replace the checkpoint itself; then there is no `output`.
        patch: in place, overwrite only the bytes of ruled tensors. It costs what these cost, however large the rest is.
            It is not atomic: if interrupted, some tensors hold new values, and the same call completes it.
        no_clobber: refuse if `output` exists.
        force: replace a file at `output` even if it is not a checkpoint.
        max_shard_size: convert to a directory of shards, each with tensors of at most this size: `500MB`, `5GB`.
        stale: what happens to a directory's files that hold the same model once more (another format, an export), and
            would keep its old values: `keep` carries them along unchanged, `drop` leaves them out, or removes them in
            place. Without it, such a directory is refused.
        plan: a file that `save_plan` wrote, instead of rules and all that goes with them: just that is carried out.
        threads: how many compute and copy; by default as many as the process may use processors.
        on_event: called with the plan before anything is written, then with each engine that is `Chosen`, now and then
            with `Progress`: the bytes written and their total; and with `Committed` once the result is in place.

    Raises:
        UsageError, InputError, FitError: as for `plan`; and if `output` is the checkpoint itself.
        StorageError: the output cannot be written, memory does not suffice, or the device is not there.
        ConflictError: the checkpoint changed while it was read, or is not the one that `plan` was made for, or `output`
            must not be replaced.
        UncertainError: the result is in place, but may not survive a power failure; or a patch is not finished.
    """
    from initctl.execution import carried, execute, outcome_at

    _check_output(output, in_place=in_place, patch=patch, no_clobber=no_clobber, sharded=max_shard_size is not None)
    _check_force(force=force, in_place=in_place, no_clobber=no_clobber)
    threads = None if threads is None else counting("threads", threads)
    path = None if output is None else os.fspath(output)
    request = Request.of(asked)
    if saved := _saved(plan, request):
        made = saved.for_checkpoint(os.fspath(checkpoint))
        conversion, warnings = outcome_at(path, made.checkpoint, max_shard_size)
        _check_keeps_optimizer(conversion, is_reset=bool(made.resets))
    else:
        table = _read(checkpoint, request.root, request.component)
        conversion, warnings = outcome_at(path, table, max_shard_size)
        _check_keeps_optimizer(conversion, is_reset=request.options.reset_optimizer)
        made = request.plan(table, _read)
        if not conversion:
            request.check_rules(_CONVERSIONS)
    along = carried(made.checkpoint, path, conversion=conversion, patch=patch, stale=stale)
    made = replace(made, warnings=along.replacing(made.warnings))
    if on_event:
        on_event(made)
    written = execute(
        made,
        path,
        conversion=conversion,
        patch=patch,
        threads=threads,
        no_clobber=no_clobber,
        force=force,
        dropped=along.dropped,
        on_event=on_event,
    )
    return Applied(made, written.path, written.files, conversion.format.title if conversion else None, warnings)


def verify(
    checkpoint: Path,
    *,
    against: Path | None = None,
    sample: int | None = None,
    plan: Path | None = None,
    threads: int | None = None,
    on_event: Callable[[Plan | Event], None] | None = None,
    **asked: Unpack[Asked],
) -> Verification:
    """Whether `checkpoint` holds exactly what the rules give: every value is computed once more, and compared.

    What is returned is true if it does, so that `assert initctl.verify(…)` is a check.

    Args:
        checkpoint: what the rules were applied to, and, without `against`, are planned for.
        asked: as for `plan`.
        against: what the rules were applied to, which they are planned for then; old values are taken from there. All
            that no rule decides must be as it is there: to the byte, unless `checkpoint` was converted. There may be no
            rules.
        sample: compare only this many elements of each tensor.
        plan: as for `apply`; without `against`, the checkpoint needs to have the same tensors, in whatever files.
        threads, on_event: as for `apply`.

    Raises:
        UsageError, InputError, FitError, StorageError: as for `plan`; and if old values are needed and `against` is
            not given.
        ConflictError: a checkpoint changed while it was read, or is not the one that `plan` was made for.
    """
    from initctl.audit import verify_plan
    from initctl.threads import processors

    threads = processors() if threads is None else counting("threads", threads)
    sample = None if sample is None else counting("sample", sample)
    request = Request.of(asked)
    saved = _saved(plan, request)
    if not saved and against is None:
        request.check_rules("; --against ORIGINAL alone compares everything")
    if saved:
        made = saved.of_result(os.fspath(checkpoint)) if against is None else saved.for_checkpoint(os.fspath(against))
    else:
        original = checkpoint if against is None else against
        made = request.plan(_read(original, request.root, request.component), _read)
    if on_event:
        on_event(made)
    result = None if against is None else _result(checkpoint, made.checkpoint)
    return verify_plan(made, result, sample=sample, threads=threads, on_event=on_event)


def effective_recipe(checkpoint: Path, **asked: Unpack[Asked]) -> str:
    """All rules that count for `checkpoint`, and the seed, as the TOML text of one recipe that needs no other file.

    Presets, recipes, variables and what `config.json` says are written out. Arguments and errors are those of `plan`.
    """
    request = Request.of(asked)
    request.check_rules()
    return request.given.within(_read(checkpoint, request.root, request.component).home).as_recipe()


def save_plan(plan: Plan, path: Path, *, force: bool = False) -> None:
    """Write `plan` to the file `path`, for `apply` and `verify` to carry out just this on just this checkpoint.

    The file appears in one step, and takes the place of a plan or an empty file; of another file only by `force`: else
    `ConflictError`. Raises `StorageError`, `UncertainError`, and `UsageError` if a file of the checkpoint is there.
    """
    from initctl.commit import write_file
    from initctl.planning.saved import check_is_plan, plan_document

    sources = (place.checkpoint for action in plan.actions for place in action.sources.values())
    if os.path.exists(path) and any(table.holds(os.fspath(path)) for table in (plan.checkpoint, *sources)):
        fault = f"{shown(os.fspath(path))}: is a file of the checkpoint that the plan is for"
        raise UsageError(Problem("output.input", fault, "name another file"))
    if not force:
        check_is_plan(os.fspath(path))
    write_file(os.fspath(path), (json.dumps(plan_document(plan), indent=1) + "\n").encode())


def inspect(checkpoint: Path, *, root: str | None = None, component: str | None = None) -> Checkpoint:
    """The table of `checkpoint`: its files, tensors and metadata, names relative to `root` as in `plan`.

    No tensor is read. Raises `InputError`; `UsageError` if no tensor is at `root`, or no folder is called `component`.
    """
    return _read(checkpoint, root, component)


def _read(path: Path, root: str | None = None, component: str | None = None) -> Checkpoint:
    from initctl.formats import read_checkpoint

    return read_checkpoint(path, root=root, component=component)


def _result(path: Path, original: Checkpoint) -> Checkpoint:
    """The checkpoint at `path`, which came of `original`, with the same files of optimizers beside its weights."""
    from initctl.formats import beside, with_beside
    from initctl.planning.digests import read_alike, tensors_digest

    component = original.component if os.path.isdir(path) else ""
    read = partial(_read, component=component or None)
    found = read_alike(os.fspath(path), original.root, tensors_digest, tensors_digest(original), read)
    result = found or read(path)
    return with_beside(result, [one for one in beside(result) if one.name in original.beside])


def _check_output(output: Path | None, *, in_place: bool, patch: bool, no_clobber: bool, sharded: bool) -> None:
    """Raise `UsageError` where these do not say one thing together."""
    if patch and not in_place:
        raise UsageError(Problem("output.patch", "patch: it overwrites the checkpoint itself", "give --in-place too"))
    if in_place == (output is not None):
        raise UsageError(Problem("output.choice", "the output: give either OUT with -o, or --in-place"))
    if no_clobber and in_place:
        fault = "no-clobber: in place the checkpoint itself is replaced"
        raise UsageError(Problem("output.no_clobber", fault, "use -o"))
    if sharded and in_place:
        raise UsageError(Problem("output.shard_size", "max-shard-size: in place shards stay as they are", "use -o"))


def _check_force(*, force: bool, in_place: bool, no_clobber: bool) -> None:
    """Raise `UsageError` if there is nothing to force."""
    if force and in_place:
        raise UsageError(Problem("output.force", "force: in place the checkpoint itself is replaced", "leave it out"))
    if force and no_clobber:
        fault = "force: no-clobber refuses to replace any file"
        raise UsageError(Problem("output.force", fault, "leave one of them out"))


def _check_keeps_optimizer(conversion: Conversion | None, *, is_reset: bool) -> None:
    """Raise `UsageError` if an optimizer `is_reset`, and a conversion leaves it out."""
    if conversion and is_reset:
        fault = "reset-optimizer: a conversion writes the weights, and resets no optimizer"
        hint = "reset it without a conversion, and convert the result; or leave the flag out, and train with a new one"
        raise UsageError(Problem("output.reset_optimizer", fault, hint))


def _saved(path: Path | None, request: Request) -> SavedPlan | None:
    """The saved plan at `path`, if there is one to carry out. Raises `UsageError` if more is asked for beside it."""
    if path is None:
        return None
    from initctl.planning.saved import SavedPlan

    request.check_only_plan(os.fspath(path))
    return SavedPlan.at(os.fspath(path), _read)


_CONVERSIONS = "; only a conversion needs none: to another format with -o, or to shards with --max-shard-size 5GB"
"""What goes without rules, as a hint says it."""
