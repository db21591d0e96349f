"""Whether a checkpoint holds exactly what a plan gives: every value computed once more, and compared."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from initctl.audit.comparison import Comparison, Computed, Stored, in_numbers
from initctl.audit.rest import Rest, is_laid_out_alike
from initctl.errors import FitError, Problem, UsageError, listed, shown
from initctl.filling import Filler, TensorReader, Workers, check_memory, choose_engines, olds
from initctl.planning.plan import untouched
from initctl.stream import Revision
from initctl.tensors import TensorPart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from initctl.audit.comparison import Difference
    from initctl.audit.rest import FileDifference
    from initctl.filling import Chosen, Progress
    from initctl.formats import Checkpoint
    from initctl.planning import Plan
    from initctl.tensors import TensorSpec


@dataclass(frozen=True, slots=True)
class Verification:
    """What comparing a checkpoint with `plan` came to: how many elements were compared, and the `differences`.

    `sample` is how many were compared of each tensor at most, where not all were. `against` is the original's path, if
    there was one. Where that is laid out alike, so many bytes beside tensors were compared as `rest` says, and
    `rest_differences` is what differs there; else `rest` is None.
    """

    plan: Plan
    compared: int
    differences: tuple[Difference, ...]
    sample: int | None = None
    against: str | None = None
    rest: int | None = None
    rest_differences: tuple[FileDifference, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether everything that was compared is as it should be."""
        return not (self.differences or self.rest_differences)

    def to_json(self) -> dict[str, Any]:
        return {
            **self.plan.to_json(),
            "compared": self.compared,
            "against": self.against,
            "compared_rest": self.rest,
            "differences": [difference.to_json() for difference in self.differences],
            "differences_rest": [difference.to_json() for difference in self.rest_differences],
        }


def verify_plan(
    plan: Plan,
    *,
    original: Checkpoint | None = None,
    sample: int | None = None,
    threads: int,
    on_event: Callable[[Chosen | Progress], None] | None = None,
) -> Verification:
    """Compare what rules fill with what the checkpoint of `plan` holds; and all else with the `original`, if given.

    Where the original is laid out otherwise, because one of both was converted or written anew, all else are the
    tensors that rules reach; else it is every byte, but for those between the elements of views. With a `sample`, so
    many elements of each tensor are compared, or of each part of one that rules decide apart, spread evenly, its first
    and last among them.

    Raises `UsageError` where values depend on an original that is not given, `FitError` where that has other tensors.
    """
    _check_original(plan, original)
    check_memory(plan.writes)
    workers = Workers(threads, on_event)
    with ExitStack() as stack:
        held = stack.enter_context(TensorReader(plan.checkpoint))
        engines = choose_engines(plan.writes, threads=threads, on_event=on_event)
        filler = Filler(plan.seed, engines, olds(plan, stack, original))
        reached, aside = Comparison(held, sample), Comparison(held, sample)
        computed = [*((reached, action) for action in plan.fills), *((aside, action) for action in plan.resets)]
        stored = [(reached, *pair) for pair in _kept(plan, original)] if original else []
        rest = None
        if original and is_laid_out_alike(plan.checkpoint, original):
            stored += [(aside, *pair) for pair in _outside(plan, original)]
            rest = Rest(plan, original, [part for _, part, _ in stored])
        pieces = list(rest.pieces()) if rest else []
        workers.expect(sum(action.part.nbytes for _, action in computed) + sum(part.nbytes for _, part, _ in stored))
        workers.expect(sum(piece.nbytes for piece in pieces))
        for comparison, action in computed:
            if action.part.numel:
                expected = Computed(action, filler.prepared(action), filler)
                workers.write(comparison.pieces(action.part, expected), -1)
        if original:
            before = stack.enter_context(TensorReader(original))
            for comparison, part, tensor in stored:
                workers.write(comparison.pieces(part, Stored(tensor, before)), -1)
            workers.write(pieces, -1)
            original.check_unchanged((*original.files, *(original.other_files if rest else ())))
    plan.checkpoint.check_unchanged(plan.checkpoint.files)
    plan.check_sources()
    set_back = [action.tensor for action in plan.resets]
    return Verification(
        plan,
        reached.compared + aside.compared,
        (*reached.differences(plan.checkpoint.tensors), *aside.differences((*set_back, *plan.checkpoint.outside))),
        sample,
        original.path if original else None,
        rest.compared if rest else None,
        rest.differences if rest else (),
    )


def _kept(plan: Plan, original: Checkpoint) -> Iterator[tuple[TensorPart, TensorSpec]]:
    """What no rule fills, and the tensor in the original that it must be as: tied ones once, where both are tied."""
    tensors = {tensor.name: tensor for tensor in original.tensors}
    for kept in plan.kept:
        there = tensors[kept.tensor.name]
        if kept.tensor.is_first or there.is_first:
            yield from _addressable(kept.part, there)


def _outside(plan: Plan, original: Checkpoint) -> Iterator[tuple[TensorPart, TensorSpec]]:
    """The same for what no rule reaches, as far as the original has such tensors."""
    tensors = {(tensor.name, tensor.dtype, tensor.shape): tensor for tensor in original.outside}
    for part in untouched(plan.checkpoint.outside, plan.resets):
        there = tensors.get((part.tensor.name, part.tensor.dtype, part.tensor.shape))
        if there and part.tensor.is_first:
            yield from _addressable(part, there)


def _addressable(part: TensorPart, there: TensorSpec) -> Iterator[tuple[TensorPart, TensorSpec]]:
    """`part` and the tensor that it must be as, if they hold elements that can be told one by one."""
    numbers = in_numbers(part.tensor)
    if part.numel and part.tensor.blocks and numbers.dtype.kind != "packed":
        yield TensorPart(numbers, part.rows), in_numbers(there)


def _check_original(plan: Plan, original: Checkpoint | None) -> None:
    if original is None:
        revised = [shown(action.tensor.name) for action in plan.actions if isinstance(action.fill, Revision)]
        if revised:
            message = f"{listed(revised)}: filled from what was there before"
            raise UsageError(Problem("verify.against", message, "name the original with --against"))
        return
    there = {tensor.name: (tensor.dtype, tensor.shape) for tensor in original.tensors}
    for tensor in plan.checkpoint.tensors:
        if there.get(tensor.name) != (tensor.dtype, tensor.shape):
            fault = "is of another shape or dtype" if tensor.name in there else "is not there"
            message = f"{shown(original.path)}: tensor {shown(tensor.name)} {fault}"
            raise FitError(Problem("verify.original", message, "name the checkpoint that the rules were applied to"))
    names = {name for tensor in plan.checkpoint.tensors for name in (tensor.name, *tensor.aliases)}
    if lost := [tensor.name for tensor in original.tensors if tensor.name not in names]:
        message = f"{shown(plan.checkpoint.path)}: tensor {shown(lost[0])} of {shown(original.path)} is not there"
        raise FitError(Problem("verify.original", message, "name the checkpoint that the rules were applied to"))
