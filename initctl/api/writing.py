"""What writes checkpoints."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Unpack

from initctl.api.arguments import check_not_combined, finished_plan, request_of
from initctl.api.warning import warn
from initctl.argument_types import check_text, mapping, path_of, unknown
from initctl.escaping import as_named
from initctl.events import Event
from initctl.integers import counting
from initctl.system_errors import explaining_failures

if TYPE_CHECKING:
    import torch

    from initctl.applied import Applied
    from initctl.creating import Created
    from initctl.distributed.parts import Parts
    from initctl.execution import FormatChoice
    from initctl.output_options import OutputOptions
    from initctl.planning import Plan
    from initctl.request import Asked, AskedOfNew, Path

_CONVERSIONS = "; a conversion alone needs no rules: -o for another format, or --max-shard-size 5GB for shards"
"""The end of a hint: what is possible without rules."""


@explaining_failures
def apply(
    plan: Plan | Path,
    output: Path | None = None,
    *,
    in_place: bool | Literal["patch", "resume"] = False,
    overwrite: bool | None = None,
    max_shard_size: str | None = None,
    stale: str | None = None,
    alone: bool = False,
    threads: int | None = None,
    on_event: Callable[[Plan | Event], None] | None = None,
    **asked: Unpack[Asked],
) -> Applied:
    """Initialize the tensors that a plan fills, and write the checkpoint to `output` or `in_place`.

    Tensors that no rule fills stay identical, byte for byte. `output` appears complete, in one step, and replaces an
    older file; after an error the old content is unchanged.

    Args:
        plan: a plan; or a checkpoint, which is planned for first, with `asked` as for `initctl.plan`.
        output: a file, or, if the checkpoint is a directory or an index, a directory; or the URL of one in a store,
            such as `s3://bucket/net.safetensors`. A different kind of output converts the checkpoint: `.safetensors`
            gives one safetensors file; `.pt`, `.pth`, `.bin` or `.ckpt` one torch.save file; a directory, or a path
            ending in a slash, safetensors shards. A conversion needs no rules. In a directory `X.bin` becomes
            `X.safetensors`, and `pytorch_model.bin` becomes `model.safetensors`.
        in_place: replace the checkpoint itself, without an `output`. "patch" overwrites only the bytes of filled
            tensors, so its cost does not depend on the size of the rest. It is not atomic: if interrupted, some
            tensors hold new values, and every function refuses the checkpoint until the same call for its path
            completes it, or `apply(path, in_place="resume")`, which knows the rules and the seed from a journal.
        overwrite: None replaces a file at `output` only if it is a checkpoint; True replaces any file; False replaces
            nothing.
        max_shard_size: convert to a directory of shards, each with tensors of at most this size: `500MB`, `5GB`.
        stale: how to treat other files that hold the same model with its old values: `keep` copies them, `drop` leaves
            them out, or deletes them in place. Without it, such a directory is refused.
        alone: if this process has a process group of torch.distributed, its ranks share the work: call this on all of
            them. True lets this process do all of it.
        threads: number of threads; by default one for each processor that the process may use.
        on_event: called with the plan before anything is written, then with `Chosen` for each engine, repeatedly with
            `Progress` (the bytes written and their total), and with `Committed` when the result is in place.

    Raises:
        UsageError, InputError, FitError: as for `initctl.plan`; and if `output` is the checkpoint itself, rules are
            given with a plan, stale files exist and `stale` is not given, or the new format cannot hold a tensor.
        StorageError: the output cannot be written, memory is too small, or the device is not available.
        ConflictError: the checkpoint changed since it was read, another process of initctl changes it, a patch of it
            was interrupted, or `output` must not be replaced. Or ranks have other
            plans; or a launcher started several processes, but they have no process group, so each would do all.
        UncertainError: the result is in place, but may not survive a power failure, or an old file could not be
            removed; or a patch is not finished; or a store did not say whether the result is there.

    Warns:
        InitctlWarning: as `initctl.plan` does, before anything is written; not again of a plan that is given.
    """
    from initctl.distributed.ranks import group_of_process
    from initctl.output_options import OutputOptions
    from initctl.stores.output import local_place

    with group_of_process(alone=alone) as ranks:
        path = None if output is None else local_place(path_of("output", output))
        options = OutputOptions(
            path=path, in_place=in_place, overwrite=overwrite, max_shard_size=max_shard_size, stale=stale
        )
        threads = counting("threads", threads)
        made, choice = _to_write(plan, asked, options)
        is_heard = ranks is None or ranks.rank == 0
        known = made.warnings if made is plan else ()
        if is_heard:
            warn(choice.warnings)

        def event(found: Plan | Event) -> None:
            if is_heard and not isinstance(found, Event):
                warn([warning for warning in found.warnings if warning not in known])
            if on_event:
                on_event(found)

        return options.write(made, choice, ranks=ranks, threads=threads, on_event=event)


@explaining_failures
def parts(
    plan: Plan | Path,
    output: Path,
    *,
    overwrite: bool | None = None,
    max_shard_size: str | None = None,
    stale: str | None = None,
    **asked: Unpack[Asked],
) -> Parts:
    """A result that several processes write, each a part of it: to a file system that they share, or to a store.

        parts = initctl.parts(plan, "out/")
        parts.write(1, 8)  # in eight processes, in any order: part 1 of 8, part 2 of 8, …
        parts.commit()     # in one of them, or in another, once all are done

    The result is the same as that of `initctl.apply`, and appears in one step.

    Args:
        plan: as for `initctl.apply`: it must be the same in every process.
        output: as for `initctl.apply`. Beside it, a directory named after the plan keeps what is written so far; in a
            store, notes of the uploads.
        overwrite, max_shard_size, stale: as for `initctl.apply`.

    Raises:
        UsageError, InputError, FitError: as for `initctl.apply`; and if the plan draws from torch's generator.

    Warns:
        InitctlWarning: as `initctl.apply` does.
    """
    from initctl.distributed.parts import Parts
    from initctl.output_options import OutputOptions
    from initctl.stores.output import local_place

    path = local_place(path_of("output", output))
    options = OutputOptions(path=path, in_place=False, overwrite=overwrite, max_shard_size=max_shard_size, stale=stale)
    made, choice = _to_write(plan, asked, options)
    delivery = options.delivery(made, choice)
    known = () if made is not plan else made.warnings
    warn([*choice.warnings, *(warning for warning in delivery.plan.warnings if warning not in known)])
    return Parts(as_named(path), delivery, choice.warnings)


@explaining_failures
def new(
    output: Path,
    *,
    like: Path | None = None,
    table: Path | None = None,
    config: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    root: str | None = None,
    dtype: torch.dtype | str | None = None,
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
        output: a `.safetensors` file; or a directory, which also gets the files that belong to the source; or the URL
            of one in a store.
        like: a checkpoint in any format, as for `initctl.plan`: its names, dtypes, shapes, shards, metadata and other
            files. No weight is read. Integers, and tables that a model computes, are copied if no rule fills them.
        table: a JSON file as `initctl inspect --json` writes it.
        config: the `config.json` of a model of transformers, or a directory with one: the tensors that
            `save_pretrained` would write. Needs the extra `initctl[transformers]`; no code beside the file is run.
            Buffers have the values that the model computes. By default, the preset is `auto`; `rules` come after it.
        settings: other values for fields of the configuration, by dotted keys, such as `{"hidden_size": 64}`.
        root: for `like`, as for `initctl.plan`.
        dtype: the dtype of floating-point tensors, such as `torch.bfloat16` or its name `bfloat16`; by default that of
            the source.
        max_shard_size: the most bytes of tensors in one file of a directory; by default `5GB`, but with `like` the
            files stay the same.
        overwrite: as for `initctl.apply`.
        dry_run: plan, and write nothing. An output that would be refused is refused.
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
    from initctl.creating import Target, create, source_of
    from initctl.request import AskedOfNew
    from initctl.stores.output import local_place

    for name in asked.keys() - AskedOfNew.__annotations__.keys():
        raise unknown(name, AskedOfNew.__annotations__)
    for name, text in {"root": root, "max_shard_size": max_shard_size}.items():
        check_text(name, text)
    paths = {"like": like, "table": table, "config": config}
    source = source_of(
        **{name: None if path is None else path_of(name, path) for name, path in paths.items()},
        settings=mapping("settings", settings or {}),
        root=root,
        dtype=None if dtype is None else str(dtype).removeprefix("torch."),
    )
    target = Target(path=local_place(path_of("output", output)), max_shard_size=max_shard_size, overwrite=overwrite)

    def event(found: Plan | Event) -> None:
        if not isinstance(found, Event):
            warn(found.warnings)
        if on_event:
            on_event(found)

    return create(source, target, asked, dry_run=dry_run, threads=counting("threads", threads), on_event=event)


def _to_write(plan: Plan | Path, asked: Asked, options: OutputOptions) -> tuple[Plan, FormatChoice]:
    """The plan, and the format of its result, which is checked before planning."""
    if not isinstance(plan, (str, os.PathLike)):
        made = finished_plan(plan, asked)
        return made, options.format_of(made.checkpoint, is_reset=bool(made.resets))
    if options.in_place == "resume":
        from initctl.execution.journal import resumed

        check_not_combined("--resume", asked)
        made = resumed(path_of("checkpoint", plan))
        return made, options.format_of(made.checkpoint, is_reset=bool(made.resets))
    request = request_of(asked)
    checkpoint = request.read(plan, unfinished=options.is_patch)
    choice = options.format_of(checkpoint, is_reset=request.options.reset_optimizer)
    if not choice.conversion:
        request.check_rules(_CONVERSIONS + ("; either leaves the optimizer out" if checkpoint.optimizers else ""))
    return request.plan(checkpoint), choice
