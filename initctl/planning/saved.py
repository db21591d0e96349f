"""A plan as a document that can be reviewed, kept, and carried out later, on the checkpoint that it was made for."""

from __future__ import annotations

import json
from collections import defaultdict
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NoReturn

from initctl.errors import ConflictError, InputError, Problem, UsageError, shown
from initctl.formats.opening import read_small
from initctl.formats.strict_json import InvalidJson, parse_object
from initctl.initializers import REGISTRY, Unfit
from initctl.initializers.registry import bound
from initctl.planning.fitting import fit
from initctl.planning.names import Surroundings
from initctl.planning.optimizer import resets
from initctl.planning.placing import placed
from initctl.planning.plan import PHILOX, TORCH, Action, Kept, Plan
from initctl.planning.sharing import shared
from initctl.planning.sources import located_sources
from initctl.planning.torch_rng import by_torch
from initctl.rules import Call, Glob, Rule, Selector, quoted
from initctl.stream import Revision
from initctl.stream.key import SEED_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from initctl.formats import Checkpoint
    from initctl.initializers import Initializer
    from initctl.initializers.parameters import Value
    from initctl.tensors import TensorSpec

SCHEMA = "initctl-plan/1"
LONGEST = 100_000_000
"""Bytes of a document."""


def plan_document(plan: Plan) -> dict[str, Any]:
    """`plan` as JSON: what is done to which tensor, with every number, and what tells the checkpoint's table."""
    return {
        "schema": SCHEMA,
        "checkpoint": plan.checkpoint.path,
        "table": table_digest(plan.checkpoint),
        "tensors": tensors_digest(plan.checkpoint),
        "root": plan.checkpoint.root,
        "seed": plan.seed,
        "rng": plan.rng,
        "reset_optimizer": bool(plan.resets),
        "actions": [_action_json(action) for action in plan.actions],
    }


def read_plan(
    path: str, checkpoint: str, read: Callable[[str, str | None], Checkpoint], *, result: bool = False
) -> Plan:
    """The plan in the document at `path`, for the checkpoint at the path `checkpoint`.

    `read` gives the table of a checkpoint at a root. Raises `InputError` where the document is none, and
    `ConflictError` where the checkpoint's table is not the one that it was made for; of a `result` of the plan, which
    may have been converted, its tensors need to be.
    """
    try:
        document = parse_object(read_small(path, LONGEST))
    except InvalidJson as error:
        _malformed(path, str(error))
    if document.get("schema") != SCHEMA:
        _malformed(path, f"is no saved plan: its schema is not {SCHEMA}", "save one with initctl plan --save")
    try:
        return _restored(document, path, checkpoint, read, result=result)
    except UsageError as error:  # an initializer, an argument or a device that is not known
        _malformed(path, f"is damaged: {error}", "plan again")
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, Unfit) as error:
        _malformed(path, f"is damaged: {shown(f'{type(error).__name__}: {error}')}", "plan again")


def _restored(
    document: Mapping[str, Any],
    path: str,
    checkpoint: str,
    read: Callable[[str, str | None], Checkpoint],
    *,
    result: bool,
) -> Plan:
    try:
        table = _at_root(checkpoint, _text(document["root"]), read, result=result)
    except UsageError:  # it holds no tensors there
        raise _other(checkpoint, path) from None
    if result:
        _check(document["tensors"] == tensors_digest(table), table, path)
    else:
        _check_table(document["table"], table, path)
    seed, rng = document["seed"], document["rng"]
    if not (type(seed) is int and 0 <= seed < SEED_LIMIT) or rng not in (PHILOX, TORCH):
        raise ValueError(f"seed {seed}, rng {rng}")
    around = Surroundings(table, None, lambda other: read(other, None))
    if not (isinstance(document["actions"], list) and isinstance(document["reset_optimizer"], bool)):
        raise TypeError("actions are no list, or reset_optimizer is neither true nor false")
    tensors = {name: tensor for tensor in table.tensors for name in (*tensor.aliases, tensor.name)}
    actions = [_action(entry, tensors, around, path) for entry in document["actions"]]
    if result:  # tied tensors may have become one
        actions = list({(action.tensor.name, action.rows): action for action in actions}.values())
    if rng == TORCH:
        actions = [by_torch(action) for action in actions]
    forgotten = resets(table, [action.part for action in actions]) if document["reset_optimizer"] and not result else ()
    kept = tuple(_kept(table, actions))
    if faults := shared(table, actions, kept, forgotten):
        raise ValueError(faults[0].message)
    return Plan(table, seed, tuple(actions), kept, table.warnings, forgotten, rng)


def _at_root(checkpoint: str, root: str, read: Callable[[str, str | None], Checkpoint], *, result: bool) -> Checkpoint:
    """The table of `checkpoint` at `root`; what a conversion resulted in has none. Raises `UsageError`."""
    try:
        return read(checkpoint, root)
    except UsageError:
        if not result:
            raise
        return read(checkpoint, None)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value} is no text")
    return value


def table_digest(checkpoint: Checkpoint) -> str:
    """What tells a checkpoint's table from any other: its tensors, and where their bytes lie.

    A single file may be called otherwise.
    """
    named = checkpoint.is_directory
    rows = [
        (
            *(tensor.name, tensor.dtype.name, tensor.shape, tensor.tied, tensor.aliases),
            [(b.file if named else "", b.offset, b.start, b.shape, b.strides) for b in tensor.blocks],
        )
        for tensor in (*checkpoint.tensors, *checkpoint.outside)
    ]
    content = [checkpoint.format, checkpoint.root, [file.size for file in checkpoint.files], rows]
    return blake2b(json.dumps(content).encode(), digest_size=16).hexdigest()


def tensors_digest(checkpoint: Checkpoint) -> str:
    """What tells a checkpoint's tensors from any other's, wherever they lie: names, dtypes and shapes."""
    rows = sorted(
        (name, tensor.dtype.name, tensor.shape)
        for tensor in checkpoint.tensors
        for name in (tensor.name, *tensor.aliases)
    )
    return blake2b(json.dumps(rows).encode(), digest_size=16).hexdigest()


def _check_table(digest: object, checkpoint: Checkpoint, path: str) -> None:
    _check(digest == table_digest(checkpoint), checkpoint, path)


def _check(same: bool, checkpoint: Checkpoint, path: str) -> None:  # noqa: FBT001 - what is checked
    if not same:
        raise _other(checkpoint.path, path)


def _other(checkpoint: str, path: str) -> ConflictError:
    message = f"{shown(checkpoint)}: is not the checkpoint that {shown(path)} was made for: its table differs"
    return ConflictError(Problem("plan.table", message, "plan again"))


def _action_json(action: Action) -> dict[str, Any]:
    return {
        "tensor": action.tensor.name,
        "rows": action.rows and list(action.rows),
        "rule": action.rule.text,
        "source": action.rule.source,
        "init": action.initializer,
        "arguments": dict(action.arguments),
        "derived": dict(action.derived),
        "device": action.device,
        "sources": {source.name: table_digest(place.checkpoint) for source, place in action.sources.items()},
    }


def _action(entry: Mapping[str, Any], tensors: Mapping[str, TensorSpec], around: Surroundings, path: str) -> Action:
    """Raises what reading it may: `read_plan` tells all of it alike."""
    tensor = tensors[entry["tensor"]]
    initializer = REGISTRY.find(_text(entry["init"]))
    arguments = _arguments(initializer, entry["arguments"])
    values = bound(initializer, arguments)
    values.check()
    resolved = fit(values, tensor)
    if dict(resolved.numbers) != entry["derived"]:
        message = f"{shown(path)}: tensor {shown(tensor.name)}: {initializer.name} comes to other numbers now"
        raise ConflictError(Problem("plan.numbers", message, "plan again"))
    sources = located_sources(resolved.fill, tensor, around)
    for source, place in sources.items():
        told = entry["sources"][source.name]
        if place.checkpoint is not around.checkpoint:
            _check_table(told, place.checkpoint, path)
    rule = Rule(
        _text(entry["rule"]), _text(entry["source"]), Selector(Glob(quoted(tensor.name))), Call(initializer.name)
    )
    rows = None if entry["rows"] is None else _rows(entry["rows"], tensor)
    if rows and isinstance(resolved.fill, Revision) and resolved.fill.whole:
        raise ValueError(f"rows {rows} of {tensor.name}")
    action = Action(
        tensor,
        rule,
        initializer.name,
        values.told,
        resolved.numbers,
        resolved.fill,
        rows=rows,
        sources=sources,
    )
    return placed([action], _text(entry["device"]))[0]


def _arguments(initializer: Initializer, saved: Mapping[str, Any]) -> dict[str, Value]:
    """Those that are no defaults, checked: a rule may not give some of them together."""
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


def _kept(checkpoint: Checkpoint, actions: Sequence[Action]) -> Iterator[Kept]:
    """What no action fills."""
    filled: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for action in actions:
        shape = action.tensor.shape
        filled[action.tensor.name].append(action.rows or (0, shape[0] if shape else 1))
    for tensor in checkpoint.tensors:
        if tensor.name not in filled:
            yield Kept(tensor, None)
            continue
        reached, end = 0, tensor.shape[0] if tensor.shape else 1
        for start, stop in [*sorted(filled[tensor.name]), (end, end)]:
            if start < reached:
                raise ValueError(f"rows of {tensor.name} are filled twice")
            if reached < start:
                yield Kept(tensor, None, (reached, start))
            reached = stop


def _malformed(path: str, fault: str, hint: str | None = None) -> NoReturn:
    raise InputError(Problem("plan.malformed", f"{shown(path)}: {fault}", hint))
