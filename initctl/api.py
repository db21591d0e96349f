"""The library's face: plan, apply, verify, inspect. The command line is a thin layer over these."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from initctl.errors import Problem, UsageError, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from initctl.audit import Verification
    from initctl.execution import Event
    from initctl.formats import Checkpoint
    from initctl.instructions import Instructions
    from initctl.planning import Options, Plan
    from initctl.planning.saved import SavedPlan

    Path = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Applied:
    """What `apply` did: the plan, where the result lies, and the files written, by their names there.

    `converted` says that the result is safetensors, and the checkpoint is of another kind.
    """

    plan: Plan
    output: str
    files: tuple[str, ...]
    converted: bool = False

    def to_json(self) -> dict[str, Any]:
        """The plan's data, and what was written."""
        return {**self.plan.to_json(), "output": self.output, "files": list(self.files), "converted": self.converted}


def plan(
    checkpoint: Path,
    *,
    rules: Iterable[str] = (),
    recipes: Iterable[Path] = (),
    preset: str | None = None,
    root: str | None = None,
    seed: int | None = None,
    allow_unused: bool = False,
    require_all: bool = False,
    reset_optimizer: bool = False,
    device: str = "cpu",
    rng: str = "philox",
) -> Plan:
    """What `apply` would do to `checkpoint`, to the tensor. Only the checkpoint's table is read; nothing is written.

    Args:
        checkpoint: a file of safetensors or of torch.save, an index of shards, a directory that holds one of them, or
            one of torch.distributed.checkpoint.
        rules: `SELECTOR=INITIALIZER[:KEY=VALUE,…]`; for each element the last rule that covers it decides.
        recipes: TOML files of rules, which come before `rules`.
        preset: the name of a model family's rules, which come first; `auto` is that of `config.json`.
        root: the dotted keys that lead to the state dict: by default where training frameworks put it; "" is all.
        seed: 0 ≤ seed < 2^64; by default that of the last recipe that tells one, or 0. A value depends on it, on the
            tensor's name and on the element's index alone.
        allow_unused: make a warning of a rule that decides no tensor.
        require_all: refuse where a floating-point tensor is decided by no rule.
        reset_optimizer: set back what optimizers remember of the tensors that rules fill: moments, and steps.
        device: what computes: `cpu`, a device that torch knows (`cuda`, `cuda:1`), or `auto`: a GPU where it is sooner.
        rng: `torch` gives what a script gives that calls `torch.manual_seed(seed)`, and then for each ruled tensor, in
            the order of the checkpoint, the function of `torch.nn.init` on a tensor of its dtype on the device.

    Raises:
        UsageError: the seed, the device, or the text of a rule (`RuleError`).
        InputError: the checkpoint cannot be read.
        FitError: the rules do not fit the checkpoint.
        StorageError: the device is not there.
    """
    from initctl.planning import Options

    given = _given(rules, recipes, preset, seed)
    options = Options(allow_unused, require_all, reset_optimizer, device, rng)
    _check_rules(given)
    return given.plan(_read(checkpoint, root), options, _read)


def apply(
    checkpoint: Path,
    output: Path | None = None,
    *,
    rules: Iterable[str] = (),
    recipes: Iterable[Path] = (),
    preset: str | None = None,
    root: str | None = None,
    seed: int | None = None,
    in_place: bool = False,
    patch: bool = False,
    no_clobber: bool = False,
    allow_unused: bool = False,
    require_all: bool = False,
    reset_optimizer: bool = False,
    max_shard_size: str | None = None,
    device: str = "cpu",
    rng: str = "philox",
    plan: Path | None = None,
    threads: int | None = None,
    on_event: Callable[[Plan | Event], None] | None = None,
) -> Applied:
    """Initialize the tensors of `checkpoint` that `rules` decide, and write it to `output`, or back `in_place`.

    What no rule decides is the same to the byte. `output` appears complete, in one step, replacing what was there;
    on an error it is as it was.

    Args:
        checkpoint, rules, recipes, preset, root, seed, allow_unused, require_all, reset_optimizer, device, rng: as
            for `plan`.
        output: a file, or, where the checkpoint is a directory or an index, a directory. Where it is of another kind
            than the checkpoint, this is converted: to one file where the output ends with `.safetensors`, to a
            directory of shards where it is a directory, or ends with a slash. Then there may be no rules.
        in_place: replace the checkpoint itself; then there is no `output`.
        patch: in place, overwrite the bytes of ruled tensors where they lie: costs what these cost, however large the
            rest is, but is seen while it goes on, and stays where it is interrupted; the same call completes it.
        no_clobber: refuse where `output` exists.
        max_shard_size: convert to a directory of shards, each with at most so much of tensors: `500MB`, `5GB`.
        plan: a file that `save_plan` wrote, instead of rules and all that goes with them: just that is carried out.
        threads: how many compute and copy; by default as many as the process may use processors.
        on_event: called with the plan before anything is written, then with each engine that is `Chosen`, now and then
            with `Progress`: the bytes written and their total; and with `Committed` once the result is in place.

    Raises:
        UsageError, InputError, FitError: as for `plan`; and where `output` is the checkpoint itself.
        StorageError: the output cannot be written, memory does not suffice, or the device is not there.
        ConflictError: the checkpoint changed while it was read, or is not the one that `plan` was made for, or `output`
            must not be replaced.
        UncertainError: the result is in place, but may not survive a power failure; or a patch is not finished.
    """
    from initctl.execution import conversion_to, execute
    from initctl.planning import Options

    _check_output(output, in_place=in_place, patch=patch, no_clobber=no_clobber, sharded=max_shard_size is not None)
    _check_threads(threads)
    given = _given(rules, recipes, preset, seed)
    options = Options(allow_unused, require_all, reset_optimizer, device, rng)
    if saved := _saved(plan, given, root, options):
        made = saved.for_checkpoint(os.fspath(checkpoint))
    else:
        made = given.plan(_read(checkpoint, root), options, _read)
    conversion = None if output is None else conversion_to(os.fspath(output), made.checkpoint, max_shard_size)
    if conversion and (reset_optimizer or made.resets):
        fault = "reset-optimizer: safetensors holds no optimizer"
        raise UsageError(Problem("output.reset_optimizer", fault, "leave one of both out"))
    if not (conversion or saved):
        _check_rules(given)
    if on_event:
        on_event(made)
    written = execute(
        made,
        None if output is None else os.fspath(output),
        conversion=conversion,
        patch=patch,
        threads=threads,
        no_clobber=no_clobber,
        on_event=on_event,
    )
    return Applied(made, written.path, written.files, converted=conversion is not None)


def verify(
    checkpoint: Path,
    *,
    rules: Iterable[str] = (),
    recipes: Iterable[Path] = (),
    preset: str | None = None,
    root: str | None = None,
    seed: int | None = None,
    allow_unused: bool = False,
    require_all: bool = False,
    reset_optimizer: bool = False,
    against: Path | None = None,
    sample: int | None = None,
    device: str = "cpu",
    rng: str = "philox",
    plan: Path | None = None,
    threads: int | None = None,
    on_event: Callable[[Plan | Event], None] | None = None,
) -> Verification:
    """Whether `checkpoint` holds exactly what the rules give: every value is computed once more, and compared.

    Args:
        checkpoint: what the rules were applied to, and, without `against`, are planned for.
        rules, recipes, preset, root, seed, allow_unused, require_all, reset_optimizer, device, rng: as for `plan`.
        against: what the rules were applied to, which they are planned for then; old values are taken from there. All
            that no rule decides must be as it is there: to the byte, unless `checkpoint` was converted. There may be no
            rules.
        sample: compare so many elements of each tensor only.
        plan: as for `apply`; without `against`, the checkpoint needs to have the same tensors, wherever they lie.
        threads, on_event: as for `apply`.

    Raises:
        UsageError, InputError, FitError, StorageError: as for `plan`; and where old values are needed and `against` is
            not given.
        ConflictError: a checkpoint changed while it was read, or is not the one that `plan` was made for.
    """
    from initctl.audit import verify_plan
    from initctl.planning import Options
    from initctl.threads import processors

    _check_threads(threads)
    if sample is not None and sample < 1:
        raise UsageError(Problem("usage.sample", f"sample: {sample} is not 1 or more"))
    given = _given(rules, recipes, preset, seed)
    options = Options(allow_unused, require_all, reset_optimizer, device, rng)
    saved = _saved(plan, given, root, options)
    if not saved and against is None:
        _check_rules(given)
    if saved:
        made = saved.of_result(os.fspath(checkpoint)) if against is None else saved.for_checkpoint(os.fspath(against))
    else:
        made = given.plan(_read(checkpoint if against is None else against, root), options, _read)
    if on_event:
        on_event(made)
    result = None if against is None else _result(checkpoint, made.checkpoint)
    return verify_plan(made, result, sample=sample, threads=threads or processors(), on_event=on_event)


def effective_recipe(
    checkpoint: Path,
    *,
    rules: Iterable[str] = (),
    recipes: Iterable[Path] = (),
    preset: str | None = None,
    root: str | None = None,
    seed: int | None = None,
) -> str:
    """All rules that count for `checkpoint`, and the seed, as the TOML text of one recipe that needs no other file.

    Presets, recipes, variables and what `config.json` says are written out. Arguments and errors are those of `plan`.
    """
    given = _given(rules, recipes, preset, seed)
    _check_rules(given)
    return given.within(_read(checkpoint, root).directory).as_recipe()


def save_plan(plan: Plan, path: Path) -> None:
    """Write `plan` to the file `path`, for `apply` and `verify` to carry out just this on just this checkpoint.

    The file appears in one step, and takes the place of what is there. Raises `StorageError`, `UncertainError`, and
    `UsageError` where a file of the checkpoint is there.
    """
    from initctl.commit import write_file
    from initctl.planning.saved import plan_document

    sources = (place.checkpoint for action in plan.actions for place in action.sources.values())
    files = [
        os.path.join(table.directory, file.name)
        for table in (plan.checkpoint, *sources)
        for file in (*table.files, *table.other_files)
    ]
    if os.path.exists(path) and any(os.path.samefile(path, file) for file in files):
        fault = f"{shown(os.fspath(path))}: is a file of the checkpoint that the plan is for"
        raise UsageError(Problem("output.input", fault, "name another file"))
    write_file(os.fspath(path), (json.dumps(plan_document(plan), indent=1) + "\n").encode())


def inspect(checkpoint: Path, *, root: str | None = None) -> Checkpoint:
    """The table of `checkpoint`: its files, tensors and metadata, names relative to `root` as in `plan`.

    No tensor is read. Raises `InputError`, and `UsageError` where no tensor lies at `root`.
    """
    return _read(checkpoint, root)


def _read(path: Path, root: str | None = None) -> Checkpoint:
    from initctl.formats import read_checkpoint

    return read_checkpoint(path, root=root)


def _result(path: Path, original: Checkpoint) -> Checkpoint:
    """The checkpoint at `path`, which came of `original`."""
    from initctl.planning.digests import read_alike, tensors_digest

    found = read_alike(os.fspath(path), original.root, tensors_digest, tensors_digest(original), _read)
    return found or _read(path)


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


def _check_threads(threads: int | None) -> None:
    if threads is not None and threads < 1:
        raise UsageError(Problem("usage.threads", f"threads: {threads} is not 1 or more"))


def _check_rules(given: Instructions) -> None:
    if not given.has_rules:
        hint = (
            "give one with -r, as in -r '*.bias=zeros', a recipe with -f, or a preset with -p; "
            "a conversion to another format needs none"
        )
        raise UsageError(Problem("usage.no_rules", "rules: none given, so there is nothing to do", hint))


def _given(rules: Iterable[str], recipes: Iterable[Path], preset: str | None, seed: int | None) -> Instructions:
    from initctl.instructions import instructions

    return instructions(rules, recipes, preset, seed)


def _saved(path: Path | None, given: Instructions, root: str | None, options: Options) -> SavedPlan | None:
    """The saved plan at `path`, if that is asked for. Raises `UsageError` where anything else is asked for, too."""
    if path is None:
        return None
    from initctl.planning import Options
    from initctl.planning.saved import SavedPlan

    if not given.is_empty or root is not None or options != Options():
        fault = f"plan: {shown(os.fspath(path))} says all of what is to be done: rules, seed, and options of `plan` do"
        raise UsageError(Problem("usage.plan", f"{fault} not go with it", "leave one of both out"))
    return SavedPlan.at(os.fspath(path), _read)
