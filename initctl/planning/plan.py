"""The plan: plain data, in the order of the checkpoint's table."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from initctl.display.tables import Displayed, Report, count
from initctl.errors import Problem, UsageError, listed, shown
from initctl.grouping import grouped
from initctl.initializers import KEEP
from initctl.planning.action import Action, Kept
from initctl.planning.documents import SCHEMA, check_replaceable, signed, table_digest, tensors_digest
from initctl.planning.lookup import configured
from initctl.planning.overview import amount, on_devices, overview
from initctl.planning.resizing import deciding
from initctl.reshaping import UNCHANGED, Reshaping
from initctl.rules.expressions.terms import BASE, CONFIG
from initctl.system_errors import explaining_failures
from initctl.tensors import TensorPart, TensorSpec, Totals

PHILOX, TORCH = "philox", "torch"
"""Where random numbers come from: value stream v1, or torch's own generator."""


if TYPE_CHECKING:
    from initctl.formats import Checkpoint
    from initctl.formats.config import Setting
    from initctl.planning.bound_rule import BoundRule


@dataclass(frozen=True, slots=True, repr=False)
class Plan(Displayed):
    """What `apply` does to a checkpoint under a seed. Every row of every tensor is in `actions` or in `kept`.

    `resets` are actions outside of the state dict: they reset the optimizer state of filled tensors. `buffers` are
    patterns for names of tensors that no optimizer has state of; None means that no reset was requested. `rules` are
    all rules, `config` is the parsed config.json, if rules may use it, `base` is that of a base model, and `reshaping`
    are the new sizes and settings as they were asked for. A loaded plan has none of these.
    """

    checkpoint: Checkpoint
    seed: int
    actions: tuple[Action, ...]
    kept: tuple[Kept, ...]
    warnings: tuple[Problem, ...]
    resets: tuple[Action, ...] = ()
    rng: str = PHILOX
    buffers: tuple[str, ...] | None = None
    rules: tuple[BoundRule, ...] = ()
    config: Mapping[str, Any] | None = None
    base: Mapping[str, Any] | None = None
    reshaping: Reshaping = UNCHANGED

    @property
    def distinct_actions(self) -> tuple[Action, ...]:
        """The actions, one for tied tensors, at the place of the first of them in the checkpoint."""
        places = dict.fromkeys((action.value_name, action.rows) for action in self.actions)
        first = {(action.value_name, action.rows): action for action in self.actions if action.tensor.represents_ties}
        return tuple(map(first.__getitem__, places))

    @property
    def parts(self) -> list[Action | Kept]:
        """What is done to each part of each tensor, in the checkpoint's order."""
        order = {id(tensor): number for number, tensor in enumerate(self.checkpoint.tensors)}
        parts: list[Action | Kept] = [*self.actions, *self.kept]
        return sorted(parts, key=lambda part: (order[id(part.tensor)], part.rows or ()))

    def check_sources(self) -> None:
        """Raise `ConflictError` if another checkpoint that tensors are filled from has changed."""
        for action in self.actions:
            for checkpoint, tensor in action.sources.values():
                checkpoint.check_unchanged(file for file in checkpoint.files if file.name in tensor.files)

    @property
    def written(self) -> tuple[Action, ...]:
        """All actions that are written, those of tied tensors once."""
        return self.distinct_actions + self.resets

    @property
    def initialized(self) -> Totals:
        return Totals.of(action.part for action in self.actions)

    @property
    def kept_totals(self) -> Totals:
        return Totals.of(kept.part for kept in self.kept)

    @property
    def reset_totals(self) -> Totals:
        return Totals.of(action.part for action in self.resets)

    def report(self, *, unfold: bool = False) -> Report:
        """One row a tensor, and totals; long lists folded unless `unfold`."""
        return [overview([*self.parts, *self.resets], unfold=unfold), "", self.summary()]

    def summary(self, *, is_done: bool = False) -> str:
        """One line of totals, in the past tense if `is_done`: initialized, kept, reset, the root, the seed, devices."""
        some = {id(action.tensor) for action in self.actions if action.rows} & {id(kept.tensor) for kept in self.kept}
        fill, keep = ("initialized", "kept") if is_done else ("initialize", "keep")
        said = [f"{fill} {amount(self.initialized, len(some))}", f"{keep} {amount(self.kept_totals, len(some))}"]
        if self.resets:
            said.append(f"reset {amount(self.reset_totals)} of an optimizer")
        if self.checkpoint.resized:
            said.append(f"{'resized' if is_done else 'resize'} {count(len(self.checkpoint.resized), 'tensor')}")
        if settings := sorted(self.settings, key=lambda setting: len(setting.keys)):  # the names of labels last
            said.append(f"set {listed([shown(str(setting)) for setting in settings], at_most=4)}")
        rng = "" if self.rng == PHILOX else f" of {self.rng}"
        return "; ".join([*said, *_root(self.checkpoint), f"seed {self.seed}{rng}", *on_devices(self.actions)])

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The fields of `config.json` that get another value."""
        return self.checkpoint.result.fields

    @explaining_failures
    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the plan to the file `path`. `initctl.load_plan` loads it, for exactly this checkpoint.

        The file appears in one step. It replaces a plan or an empty file, and any other file only with `overwrite`.
        Raises `ConflictError` if another file is there, or `path` leads into Hugging Face's cache; `UsageError` if it
        is a URL, a file of the checkpoint, or not a regular file, or if the plan is for a model in memory;
        `StorageError`; `UncertainError`.
        """
        from initctl.commit.places import check_file_place
        from initctl.commit.staging import write_file

        if self.checkpoint.is_in_memory:
            fault = f"the plan is for a model in memory ({shown(self.checkpoint.path)}), and cannot be saved"
            raise UsageError(Problem("plan.memory", fault, "save plan.recipe(), the rules, instead"))
        path = os.fspath(path)
        tables = (self.checkpoint, *other_checkpoints(self.actions).values())
        if os.path.exists(path) and any(table.holds(path) for table in tables):
            fault = f"{shown(path)}: is a file of the plan's own checkpoint"
            raise UsageError(Problem("output.input", fault, "name another file"))
        check_file_place(path)
        if not overwrite:
            check_replaceable(path)
        write_file(path, [(json.dumps(self.to_document(), indent=1) + "\n").encode()])

    def recipe(self) -> str:
        """The rules and the seed as the TOML text of one recipe that needs no other file: it includes variables,
        presets, and the values from `config.json` and from that of a base model. Raises `UsageError` for a loaded plan,
        which has no rules.
        """
        from initctl.recipes.writing import recipe_text

        if not self.rules and not self.reshaping:
            fault = "the plan was saved without its rules, so it cannot be written as a recipe"
            raise UsageError(Problem("plan.recipe", fault, "plan with the rules again"))
        rules = [(rule.rule, rule.initializer) for rule in self.rules]
        configs = {CONFIG: self.config, BASE: self.base}
        reshaping = deciding(self.checkpoint, self.reshaping)
        return recipe_text(rules, self.seed, partial(configured, configs), reshaping)

    def to_document(self) -> dict[str, Any]:
        """The plan as it is saved: what is done to each tensor, every number, and digests of the checkpoint's table."""
        return signed(
            {
                "schema": SCHEMA,
                "checkpoint": self.checkpoint.path,
                "table": table_digest(self.checkpoint),
                "tensors": tensors_digest(self.checkpoint),
                "root": self.checkpoint.root,
                "component": self.checkpoint.component,
                "seed": self.seed,
                "rng": self.rng,
                "reset_optimizer": self.buffers is not None,
                "buffers": list(self.buffers or ()),
                **_reshaped(self.checkpoint, self.settings),
                "actions": [action.to_document() for action in self.actions],
                "sources": {path: table_digest(table) for path, table in other_checkpoints(self.actions).items()},
            }
        )

    def rows(self) -> list[dict[str, Any]]:
        """One dict for each part of each tensor, in the checkpoint's order, then one for each reset. "init" is "keep"
        for what is kept. `pandas.DataFrame(plan.rows())` is a table of the plan.
        """
        kept: dict[str, Any] = {"init": KEEP, "params": {}, "device": None}
        written = [part.to_json() | (kept if isinstance(part, Kept) else {}) for part in self.parts]
        return written + [reset.to_json() for reset in self.resets]

    def to_json(self) -> dict[str, Any]:
        """The plan as the `data` of a JSON document; warnings are a separate field."""
        return {
            "checkpoint": self.checkpoint.path,
            "format": self.checkpoint.format,
            "root": self.checkpoint.root,
            "seed": self.seed,
            "rng": self.rng,
            "actions": [action.to_json() for action in self.actions],
            "kept": [kept.to_json() for kept in self.kept],
            "resets": [action.to_json() for action in self.resets],
            "set_config": {setting.key: setting.value for setting in self.settings},
            "totals": {
                **self.checkpoint.totals._asdict(),
                "initialized": self.initialized._asdict(),
                "kept": self.kept_totals._asdict(),
                "reset": self.reset_totals._asdict(),
            },
        }


def _reshaped(checkpoint: Checkpoint, settings: Iterable[Setting]) -> dict[str, Any]:
    """What a saved plan says about new shapes and about `config.json`: nothing if they stay."""
    shapes = {tensor.name: [list(tensor.shape), bool(tensor.blocks)] for tensor in checkpoint.resized}
    fields = [[list(keys), value] for keys, value in settings]
    return {**({"shapes": shapes} if shapes else {}), **({"set_config": fields} if fields else {})}


def untouched(tensors: Iterable[TensorSpec], actions: Iterable[Action]) -> Iterator[TensorPart]:
    """The parts of `tensors` that `actions` do not fill. Raises `ValueError` if they fill a row twice."""
    filled = grouped((action.tensor.name, action.rows or action.tensor.all_rows) for action in actions)
    for tensor in tensors:
        if tensor.name not in filled:
            yield TensorPart(tensor)
            continue
        reached, end = tensor.all_rows
        for start, stop in [*sorted(filled[tensor.name]), (end, end)]:
            if start < reached:
                raise ValueError(f"rows of {tensor.name} are filled twice")
            if reached < start:
                yield TensorPart(tensor, (reached, start))
            reached = stop


def other_checkpoints(actions: Iterable[Action]) -> dict[str, Checkpoint]:
    """The other checkpoints that tensors are filled from, by the paths that rules use for them."""
    places = [pair for action in actions for pair in action.sources.items()]
    return {source.checkpoint: place.checkpoint for source, place in places if source.checkpoint is not None}


def _root(checkpoint: Checkpoint) -> Iterator[str]:
    """The root of the state dict, and how many tensors are outside of it; nothing if none are."""
    outside = len(checkpoint.outside)
    if checkpoint.root:
        yield f"root {shown(checkpoint.root)}" + (f", {count(outside, 'tensor')} outside of it" if outside else "")
    elif outside:
        yield f"{count(outside, 'tensor')} outside of the state dict"
