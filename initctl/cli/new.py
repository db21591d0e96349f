"""`initctl new`: a checkpoint that is not there yet."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import typer

import initctl
from initctl.cli import panels
from initctl.cli.fields import fields_by_key
from initctl.cli.options import ROOT, SHARD_SIZE, UNFOLD, FillOptions, OverwriteOptions, file_name, flag, grouped
from initctl.cli.output import Output
from initctl.cli.signals import ignore_signals
from initctl.display.tables import count
from initctl.errors import Problem, UsageError


def _source(name: str, metavar: str, text: str) -> Any:  # noqa: ANN401 - what a parameter has as its default
    """An option that names what the new checkpoint is made after."""
    return typer.Option(None, name, metavar=metavar, rich_help_panel=panels.SOURCE, help=text)


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """Where the table of the new checkpoint comes from."""

    like: str | None = _source(
        "--like", "CHECKPOINT", "Take names, dtypes, shapes, shards, metadata and other files of CHECKPOINT."
    )
    config: str | None = _source(
        "--config", "FILE", "Take the tensors of the model in FILE, a config.json of transformers or its directory."
    )
    table: str | None = _source("--table", "FILE", "Take the tensors that FILE lists, as inspect --json does.")
    settings: list[str] = typer.Option(
        [],
        "--set",
        metavar="KEY=VALUE",
        rich_help_panel=panels.SOURCE,
        help="With --config: other values for fields, as in hidden_size=64,n_layer=2. Repeatable.",
    )
    dtype: str | None = _source("--dtype", "DTYPE", "The dtype of floating-point tensors, such as bfloat16.")
    root: str | None = ROOT


@dataclass(frozen=True, kw_only=True)
class TargetOptions:
    """Where the new checkpoint goes."""

    output: str | None = typer.Option(
        None,
        "--output",
        "-o",
        metavar="OUT",
        callback=file_name,
        rich_help_panel=panels.OUTPUT,
        help="Write to OUT: a .safetensors file, or else a directory; or the URL of one in a store.",
    )
    max_shard_size: str | None = SHARD_SIZE
    dry_run: bool = flag("--dry-run", panel=panels.OUTPUT, text="Show what would be written, and write nothing.")

    def __post_init__(self) -> None:
        """Raises `UsageError` if there is no output."""
        if self.output is None:
            raise UsageError(Problem("output.choice", "no output given", "use -o OUT"))


@grouped
def new(
    *,
    source: SourceOptions,
    rules: FillOptions,
    target: TargetOptions,
    replacing: OverwriteOptions,
    unfold: bool = UNFOLD,
    out: Output,
) -> None:
    """Create a checkpoint that is not there yet.

    Its tensors are those of another checkpoint, of a model's config.json, or of a table. Rules fill them all. With
    --config, the preset is auto unless -p or -f is given; rules of -r come after it. No weight is read, and memory does
    not grow with the size of the checkpoint.

    Examples:
    initctl new --config llama/ --set num_hidden_layers=2,hidden_size=64 -o tiny-llama/
    initctl new --like gpt2/ --dtype bfloat16 -o fresh-gpt2/ -p auto

    See: new, presets, rules
    """
    started = time.monotonic()
    with out.events("writing") as said:
        created = initctl.new(
            str(target.output),
            **(vars(source) | {"settings": fields_by_key("set", source.settings)}),
            max_shard_size=target.max_shard_size,
            overwrite=replacing.overwrite,
            dry_run=target.dry_run,
            threads=out.threads,
            on_event=said,
            **vars(rules),
        )
    if not target.dry_run:
        ignore_signals()
        out.log(f"{count(len(created.files), 'file')} written in {time.monotonic() - started:.2f} s")
    out.result("new", created.to_json, lambda: created.report(unfold=unfold))
