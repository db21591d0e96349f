"""Results of every kind: a file or a directory, new or in place of another, a patch, parts, and what is beside them."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

import initctl
from initctl.events import Committed
from initctl.traces import is_trace
from initctl.undisturbed import undisturbed
from tests.events import on
from tests.execution.checkpoints import network, sharded, single
from tests.formats.ranks import saved_alone
from tests.protocol.refusals import Refusals, refusing

if TYPE_CHECKING:
    from pathlib import Path

ALL, ONE = ["*.weight=normal:std=0.02", "*.bias=zeros"], ["layers.1.weight=normal:std=0.02"]


class Entry(NamedTuple):
    """What a path holds: the bytes of a file, the target of a link, or None for a directory; and its permissions."""

    content: bytes | str | None
    mode: int


Tree = dict[str, Entry]


def tree(folder: Path) -> Tree:
    """Everything below `folder`, but what initctl leaves only while it works. Read without the package."""
    return {name: entry for name, entry in whole_tree(folder).items() if not _is_within_trace(name)}


def traces(folder: Path) -> list[str]:
    """The files and directories that initctl has below `folder` only while it works."""
    names = [name for name in whole_tree(folder) if is_trace(os.path.basename(name))]
    return sorted(name for name in names if not _is_within_trace(os.path.dirname(name)))


def whole_tree(folder: Path) -> Tree:
    found: Tree = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            found[os.path.relpath(path, folder)] = _entry(path)
    return found


def _entry(path: str) -> Entry:
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        return Entry(os.readlink(path), 0)
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISDIR(status.st_mode):
        return Entry(None, mode)
    with open(path, "rb") as stream:
        return Entry(stream.read(), mode)


def _is_within_trace(name: str) -> bool:
    return any(map(is_trace, name.split(os.sep)))


def _apply(stage: Stage, on_commit: Callable[[], None]) -> initctl.Applied:
    told = on(Committed, lambda _: on_commit())
    return initctl.apply(stage.plan, stage.output, threads=1, on_event=told, **stage.scenario.how)


def _apply_and_report(stage: Stage, on_commit: Callable[[], None]) -> None:
    """As `apply --report` does: what fails once the result is in place is uncertain."""
    changes = initctl.changes(stage.plan, digest=True, threads=1)
    applied = _apply(stage, on_commit)
    try:
        applied.manifest(changes, threads=1).save(stage.folder / "report.json")
    except initctl.InitctlError as error:
        raise initctl.UncertainError(*error.problems) from error


def _write_parts(stage: Stage, on_commit: Callable[[], None]) -> None:
    assert stage.output
    parts = initctl.parts(stage.plan, stage.output, **stage.scenario.how)
    for number in (2, 1):
        parts.write(number, 2, threads=1)
    parts.commit(threads=1, on_event=on(Committed, lambda _: on_commit()))


def _create(stage: Stage, on_commit: Callable[[], None]) -> None:
    assert stage.output
    like, rules = stage.folder / stage.checkpoint, stage.scenario.rules
    told = on(Committed, lambda _: on_commit())
    initctl.new(stage.output, like=like, rules=rules, seed=3, threads=1, on_event=told)


def _save_plan(stage: Stage, on_commit: Callable[[], None]) -> None:
    """As `plan --save` does."""
    assert stage.output
    with undisturbed():
        stage.plan.save(stage.output, **stage.scenario.how)
        on_commit()


@dataclass(frozen=True)
class Scenario:
    """`make` makes a checkpoint in a folder, `asked` are arguments of `initctl.plan`, and `how` are those of
    `initctl.apply` about the output, or of what else is done by `work`.

    If `replaced` is given, it makes what is at the output before. The file `beside`, if there is one, is written once
    the result is in place.
    """

    make: Callable[[Path], Path]
    rules: list[str]
    how: dict[str, Any] = field(default_factory=dict)
    output: str | None = None
    replaced: Callable[[Path], Path] | None = None
    asked: dict[str, Any] = field(default_factory=dict)
    work: Callable[[Stage, Callable[[], None]], object] = _apply
    beside: str | None = None

    @property
    def is_patch(self) -> bool:
        return self.how.get("in_place") == "patch"

    @property
    def is_in_parts(self) -> bool:
        """Whether what is written before an error stays, so that the same work completes it."""
        return self.work is _write_parts


def _torch_file(path: Path) -> Path:
    torch.save({"epoch": 3, "model": network()}, path)
    return path


def _linked(path: Path) -> Path:
    single(path.with_name("real"))
    path.symlink_to("real")
    return path


def _distributed(path: Path) -> Path:
    return saved_alone(path, network())


def _pipeline(path: Path) -> Path:
    """A model in one file and one in shards, below one directory."""
    single(path / "vae" / "diffusion_pytorch_model.safetensors")
    sharded(path / "unet")
    for name in ("vae", "unet"):
        (path / name / "config.json").write_text("{}")
    (path / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    return path


IN_PLACE = {"in_place": True}
PATCH = {"in_place": "patch"}
SCENARIOS = {
    "file to a new file": Scenario(single, ALL, output="out.safetensors"),
    "file to a new file, no clobber": Scenario(single, ALL, {"overwrite": False}, "out.safetensors"),
    "file over a file": Scenario(single, ALL, output="out.safetensors", replaced=single),
    "file in place": Scenario(single, ALL, IN_PLACE),
    "file in place, through a link": Scenario(_linked, ALL, IN_PLACE),
    "torch file in place": Scenario(_torch_file, ALL, IN_PLACE),
    "torch file to safetensors": Scenario(_torch_file, ALL, output="out.safetensors"),
    "shards to a new directory": Scenario(sharded, ALL, output="out"),
    "shards over a directory": Scenario(sharded, ALL, output="out", replaced=sharded),
    "one shard in place": Scenario(sharded, ONE, IN_PLACE),
    "all shards in place": Scenario(sharded, ALL, IN_PLACE),
    "file to new shards": Scenario(single, ALL, {"max_shard_size": "700B"}, "out"),
    "patch of a file": Scenario(single, ALL, PATCH),
    "patch of a torch file": Scenario(_torch_file, ALL, PATCH),
    "patch of shards": Scenario(sharded, ALL, PATCH),
    "file to a torch file": Scenario(single, ALL, output="out.pt"),
    "rows of a file in place": Scenario(single, ["embed.weight[3:9]=normal"], IN_PLACE),
    "distributed to a new directory": Scenario(_distributed, ALL, output="out"),
    "component to a new directory": Scenario(_pipeline, ALL, output="out", asked={"component": "vae"}),
    "component in place": Scenario(_pipeline, ALL, IN_PLACE, asked={"component": "unet"}),
    "new directory like shards": Scenario(sharded, ["*=ones"], output="out", work=_create),
    "parts of a file": Scenario(single, ALL, output="out.safetensors", work=_write_parts),
    "parts of shards over a directory": Scenario(sharded, ALL, output="out", replaced=sharded, work=_write_parts),
    "file to a new file, and a report": Scenario(
        single, ALL, output="out.safetensors", work=_apply_and_report, beside="report.json"
    ),
    "saved plan": Scenario(single, ALL, {"overwrite": False}, "plan.json", work=_save_plan),
}


class Stage:
    """A folder in which a scenario is played again and again: what is there before, and what must be there after."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self.folder = scenario, folder
        self.refusals: Refusals = {}
        self.output = None if scenario.output is None else folder / scenario.output
        self._template = folder.with_name(folder.name + "-before")
        self._template.mkdir()
        self.checkpoint = scenario.make(self._template / "model").name
        if scenario.replaced:
            scenario.replaced(self._template / str(scenario.output))
        self.old = tree(self._template)
        self.plan = self.begin()
        self.play()
        self.new = tree(folder)
        assert self.new != self.old
        assert traces(folder) == []

    @property
    def in_place(self) -> list[Tree]:
        """What may be there once the result is in place: the whole, or all but the file beside it."""
        beside = self.scenario.beside
        return [self.new, {name: entry for name, entry in self.new.items() if name != beside}]

    def begin(self) -> initctl.Plan:
        """Put everything back as it was before, and plan."""
        if self.folder.exists():
            shutil.rmtree(self.folder)
        shutil.copytree(self._template, self.folder, symlinks=True)
        return self._make_plan()

    def _make_plan(self) -> initctl.Plan:
        path, scenario = self.folder / self.checkpoint, self.scenario
        self.plan = initctl.plan(path, rules=scenario.rules, seed=3, **scenario.asked)
        return self.plan

    def play(self, on_commit: Callable[[], None] = lambda: None) -> None:
        """Apply the plan, or do other work. `on_commit` is called when the result is in place."""
        with refusing(self.refusals) if self.refusals else nullcontext():
            self.scenario.work(self, on_commit)

    def play_again(self) -> None:
        """What a user does after a run that was killed: complete a patch, or run the same command."""
        path = self.folder / self.checkpoint
        if self.scenario.is_patch and traces(self.folder):
            try:
                initctl.apply(path, in_place="resume")
            except initctl.ConflictError as error:  # it was killed before the journal was there
                assert error.problems[0].code == "patch.none"
            else:
                return
        self._make_plan()
        try:
            self.play()
        except initctl.ConflictError as error:
            assert self.scenario.how.get("overwrite") is False or "run again" in str(error)
            if "run again" in str(error):
                self.play_again()
