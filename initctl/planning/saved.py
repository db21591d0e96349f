"""A plan as a document to review, to keep, and to apply later to the checkpoint that it was made for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from initctl.errors import ConflictError, Problem, RuleError, UsageError, escape, shown
from initctl.formats import Checkpoint, is_directory, read_checkpoint
from initctl.initializers import REGISTRY, BoundCall, Initializer, Refused, Unfit
from initctl.planning.action import Action, Kept
from initctl.planning.chosen_device import AUTO, with_devices
from initctl.planning.documents import malformed, read_alike, read_document, table_digest, tensors_digest
from initctl.planning.fits import action_of
from initctl.planning.optimizers import Resets, resets, with_optimizers_beside
from initctl.planning.plan import PHILOX, TORCH, Plan, other_checkpoints, untouched
from initctl.planning.sharing import shared
from initctl.planning.surroundings import Surroundings
from initctl.planning.torch_init import by_torch
from initctl.reshaping import NewShape, reshaped
from initctl.reshaping.settings import setting, with_settings
from initctl.rules import Call, Glob, Origin, Rule, Selector, parse_rule, quoted
from initctl.stream.key import SEED_LIMIT

if TYPE_CHECKING:
    from initctl.initializers.parameters import Argument
    from initctl.tensors import TensorSpec

_parsed = lru_cache(maxsize=1024)(parse_rule)
"""A plan repeats the text of a rule for each tensor that it fills."""


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """The `document` of a plan, which messages call `name`.

    Its plans are for one checkpoint. They raise `InputError` if the document is damaged.
    """

    name: str
    document: Mapping[str, Any]

    @classmethod
    def of(cls, plan: Plan) -> SavedPlan:
        """The document of `plan`, which need not be in a file."""
        return cls("the plan", plan.to_document())

    @classmethod
    def at(cls, path: str) -> SavedPlan:
        """The document in the file at `path`. Raises `InputError`."""
        return cls(shown(path), read_document(path))

    def restored(self, path: str | None, *, is_result: bool = False, unfinished: bool = False) -> Plan:
        """The plan for the checkpoint at `path`, by default the path that the plan was made with. `is_result` says that
        the plan produced this checkpoint, possibly converted. It may be `unfinished` as in `read_checkpoint`.

        Raises `ConflictError` unless its tensors and their places in files are those that the plan was made for; of a
        result, names, dtypes and shapes must be the same.
        """
        digest_of, wanted = (tensors_digest, "tensors") if is_result else (table_digest, "table")
        path = self.document["checkpoint"] if path is None else path
        component = self.document["component"]
        if not _is_path(component):
            malformed(self.name, "is damaged: its component is not a path", "plan again")
        read = partial(self._read, path, component if component and is_directory(path) else None, unfinished)
        table = read_alike(read, self.document["root"], digest_of, self.document[wanted])
        if table is None:
            raise _other(path, self.name)
        try:
            return self._plan(Surroundings(table if is_result else self._reshaped(table)), is_result=is_result)
        except (UsageError, Refused) as error:  # an initializer, an argument or a device that is not known
            malformed(self.name, f"is damaged: {error}", "plan again")
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, Unfit) as error:
            malformed(self.name, f"is damaged: {shown(f'{type(error).__name__}: {error}')}", "plan again")

    def _read(self, path: str, component: str | None, unfinished: bool, root: str | None) -> Checkpoint:  # noqa: FBT001
        """The table of the checkpoint at `path`, including files of optimizers that the plan resets."""
        table = read_checkpoint(path, root=root, component=component, unfinished=unfinished)
        return with_optimizers_beside(table) if self.document.get("reset_optimizer") is True else table

    def _reshaped(self, table: Checkpoint) -> Checkpoint:
        """`table` with the new shapes and settings. Raises whatever a wrong entry causes: `restored` reports it."""
        entries, fields = self.document.get("shapes", {}), self.document.get("set_config", [])
        shapes = {name: NewShape(tuple(shape), bool(keeps)) for name, (shape, keeps) in entries.items()}
        settings = [setting(tuple(map(_text, keys)), value) for keys, value in fields]
        config = with_settings(table.config() or {}, settings, follow=False) if settings else None
        return reshaped(table, shapes, config) if shapes or settings else table

    def _plan(self, around: Surroundings, *, is_result: bool) -> Plan:
        document, table = self.document, around.checkpoint
        seed, rng = document["seed"], document["rng"]
        if not (type(seed) is int and 0 <= seed < SEED_LIMIT) or rng not in (PHILOX, TORCH):
            raise ValueError(f"seed {seed}, rng {rng}")
        if not (isinstance(document["actions"], list) and isinstance(document["reset_optimizer"], bool)):
            raise TypeError("actions is not a list, or reset_optimizer is not true or false")
        united = {alias for tensor in table.tensors for alias in tensor.aliases}  # tied ones, by a conversion
        entries = [entry for entry in document["actions"] if entry["tensor"] not in united]
        entries += _of_ties(entries, around.tensors) if is_result else []
        actions = [_action(entry, around, self.name) for entry in entries]
        for other, checkpoint in other_checkpoints(actions).items():
            if document["sources"][other] != table_digest(checkpoint):
                raise _other(checkpoint.path, self.name)
        if rng == TORCH:
            actions = [by_torch(action) for action in actions]
        buffers = tuple(map(_text, document["buffers"])) if document["reset_optimizer"] else None
        reset = Resets() if buffers is None else resets(table, actions, buffers)
        kept = tuple(Kept(part.tensor, None, part.rows) for part in untouched(table.tensors, actions))
        if faults := shared(table, actions, kept, reset.actions):
            raise ValueError(faults[0].message)
        return Plan(table, seed, tuple(actions), kept, (*table.warnings, *reset.warnings), reset.actions, rng, buffers)


def _of_ties(entries: Sequence[Mapping[str, Any]], tensors: Mapping[str, TensorSpec]) -> list[dict[str, Any]]:
    """`entries` for names that are tied tensors now, and were only noted in the file when the plan was made."""
    named = {entry["tensor"] for entry in entries}
    return [
        {**entry, "tensor": name} for entry in entries for name in tensors[entry["tensor"]].tied if name not in named
    ]


def _is_path(component: object) -> bool:
    """Whether it is None, or can be the path of a folder."""
    try:
        os.fsencode(_text(component or ""))
    except (TypeError, UnicodeEncodeError):
        return False
    return True


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value} is not a string")
    return value


def _other(checkpoint: str, name: str) -> ConflictError:
    message = f"{shown(checkpoint)}: is not the checkpoint that {name} was made for: its tensors or files differ"
    return ConflictError(Problem("plan.table", message, "plan again"))


def _action(entry: Mapping[str, Any], around: Surroundings, name: str) -> Action:
    """The action that `entry` describes. Raises whatever a wrong entry causes: `SavedPlan` reports it."""
    tensor = around.tensors[entry["tensor"]]
    initializer = REGISTRY.find(_text(entry["init"]))
    source = escape(_text(entry["source"]))  # messages quote it
    rule = _rule(_text(entry["rule"]), source, initializer.name, tensor.name)
    rows = None if entry["rows"] is None else _rows(entry["rows"], tensor)
    call = BoundCall.of(initializer, _arguments(initializer, entry["arguments"]))
    action = action_of(rule, call, tensor, rows, around)
    if dict(action.derived) != entry["derived"]:
        message = f"{name}: tensor {shown(tensor.name)}: {initializer.name} now computes different numbers"
        raise ConflictError(Problem("plan.numbers", message, "plan again"))
    device = _text(entry["device"])
    if device == AUTO:
        raise ValueError(f"device {AUTO}")
    return with_devices([action], device)[0]


def _rule(text: str, source: str, initializer: str, tensor: str) -> Rule:
    """The rule with this `text`; if only a recipe can express it, a rule with the same text for `tensor` alone."""
    try:
        return _parsed(text, source)
    except RuleError:
        return Rule(text, Origin(source), Selector(Glob(quoted(tensor))), Call(initializer))


def _arguments(initializer: Initializer, saved: Mapping[str, Any]) -> dict[str, Argument]:
    """The arguments that differ from the defaults, checked. A rule may not give some of the defaults together."""
    parameters = {parameter.name: parameter for parameter in initializer.parameters}
    if missing := [p.name for p in initializer.parameters if p.required and p.name not in saved]:
        raise KeyError(missing[0])
    checked = {key: parameters[key].type.check(value) for key, value in saved.items()}
    return {key: value for key, value in checked.items() if value != parameters[key].default}


def _rows(rows: Sequence[int], tensor: TensorSpec) -> tuple[int, int]:
    start, stop = rows
    if not (type(start) is int and type(stop) is int and 0 <= start < stop <= tensor.shape[0]):
        raise ValueError(f"rows {rows} of {tensor.name}")
    return start, stop
