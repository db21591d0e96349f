"""Whether a checkpoint holds exactly what a plan gives: every value is computed once more and compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING

from initctl.audit.comparison import Comparison, Expected, Place
from initctl.audit.damage import Damage
from initctl.audit.layout import (
    by_name,
    by_place,
    faults,
    is_laid_out_alike,
    is_laid_out_as,
    may_be_converted,
    metadata_faults,
)
from initctl.audit.renewed import part_faults
from initctl.audit.untouched import Untouched, within
from initctl.audit.verification import Difference, FileDifference, Verification
from initctl.coworkers import ALONE
from initctl.errors import Problem, UsageError, listed, shown
from initctl.filling.computer import Computer
from initctl.filling.engines import choose_engines
from initctl.filling.memory import check_memory
from initctl.filling.targets import TargetBlock, in_turn, needs_preparing
from initctl.formats import beside
from initctl.formats.config import CONFIG
from initctl.planning.plan import TORCH, untouched
from initctl.reading import TensorReader, in_numbers, olds
from initctl.reshaping.renewed_files import renewed_files
from initctl.stream import RevisingLaw
from initctl.tensors import TensorPart, TensorSpec
from initctl.workers import Task, Workers

if TYPE_CHECKING:
    from initctl.coworkers import Coworkers
    from initctl.events import Chosen, Compiling, Progress
    from initctl.formats import Checkpoint
    from initctl.layout.ranges import ByteRange
    from initctl.planning import Action, Plan
    from initctl.reshaping.renewed_files import RenewedFile


def verify_plan(
    plan: Plan,
    result: Checkpoint | None = None,
    *,
    sample: int | None = None,
    threads: int,
    coworkers: Coworkers = ALONE,
    on_event: Callable[[Compiling | Chosen | Progress], None] | None = None,
) -> Verification:
    """Compare the checkpoint of `plan` with what the plan gives; or the `result` of carrying it out, if that is given.

    If `result` is given, everything else must match the plan's checkpoint. If nothing was converted, every byte is
    compared, and the checksums of filled bytes must be right. After a conversion, the tensors that rules reach,
    metadata of safetensors and companion files are compared. `sample` is the number of elements to compare of each
    tensor, or of each part that a rule decides: they are spread evenly, and include the first and the last. With
    `sample`, checksums are not verified. Each of `coworkers` compares some, and all know all.

    Raises `UsageError` if values depend on old ones and `result` is not given, or if the plan resets an optimizer and
    `result` was converted, so that it has none.
    """
    _check_comparable(plan, result)
    check_memory(plan.actions)
    with ExitStack() as stack:
        workers = stack.enter_context(Workers(threads, on_event))
        audit = _Audit(plan, result, sample, coworkers, stack)
        engines = choose_engines(audit.written, threads=threads, on_event=on_event)
        workers.total += audit.nbytes // coworkers.count
        for batch in audit.batches(Computer(plan.seed, engines, olds(plan, stack))):
            workers.run(batch)
        audit.check_unchanged()
    return audit.outcome()


class _Audit:
    """Compares a result, or the plan's own checkpoint if there is no result, with what the plan gives."""

    def __init__(
        self, plan: Plan, result: Checkpoint | None, sample: int | None, coworkers: Coworkers, stack: ExitStack
    ) -> None:
        self.plan, self.source, self.sample, self.coworkers = plan, plan.checkpoint, sample, coworkers
        self.result, self.is_result, self.written = result or self.source.as_read, result is not None, plan.written
        self.renewed = renewed_files(self.source) if self.is_result else {}
        is_renewed = bool(self.source.resized) and is_laid_out_as(self.source, self.result, self.renewed)
        is_alike = not self.source.resized and is_laid_out_alike(self.source, self.result)
        is_own = is_alike or is_renewed
        self.is_converted = not is_own and may_be_converted(self.source, self.result)
        if is_alike:
            self.place = by_place(self.source, self.result)
        else:
            self.place = by_name(self.source, self.result, is_converted=self.is_converted)
        self.before, held = (
            stack.enter_context(TensorReader(c, c.other_files if self.is_result else ()))
            for c in (self.source, self.result)
        )
        self.comparison, self.suspected = Comparison(held), Comparison(held)
        self.untouched = Untouched(self.written, self.before, held, sample) if self.is_result else None
        self.kept = [] if is_alike or not self.is_result else list(self._kept(self._moved() if is_renewed else None))
        self.places = self._places()
        self.others = list(self._rest(is_own=is_own))
        has_checksums = not sample and any(file.checksums for file in self.result.files)
        filled = chain.from_iterable(self.places.values()) if has_checksums else ()
        self.damage = Damage(held, filled, self.source, is_new=self.is_converted and not sample)
        self.files: list[FileDifference] = []
        if self.is_converted:
            self.files += metadata_faults(self.source, self.result)
        elif not is_own and self.is_result:
            self.files += faults(self.source, self.result, self.renewed)
        elif not self.is_result:
            self.files += _other_fields(self.source)
        if is_own or (self.is_converted and self.result.is_directory):
            self.files += part_faults(self.renewed if is_own else _config(self.source, self.renewed), held)

    @property
    def nbytes(self) -> int:
        """Bytes of the result that are to be compared."""
        places = [*chain.from_iterable(self.places.values()), *(expected.place for expected in self.kept)]
        tasks: list[Task] = [*self.others, *self.damage.tasks]
        return sum(place.part.nbytes for place in places) + sum(task.nbytes for task in tasks)

    def batches(self, computer: Computer) -> Iterator[Iterable[Task]]:
        """Batches of tasks. Tasks of one batch do not depend on each other, but a batch may depend on those before.

        A tensor that is computed as a whole is in a batch of its own, so that only one is in memory at once.
        """
        for actions in in_turn(self.written):
            yield self._computed(actions, computer)
        yield self._own(chain.from_iterable(self.comparison.of_elements(kept, self.sample) for kept in self.kept))
        yield self._own(self.others)
        yield self._own(self.damage.tasks)
        self._share()
        if self.untouched and (suspects := set(map(id, self.untouched.suspects))):
            yield chain.from_iterable(map(self.suspected.of_elements, self._kept(suspects)))

    def _own(self, tasks: Iterable[Task]) -> Iterator[Task]:
        """Those of `tasks` that this process does."""
        return (task for task in tasks if self.coworkers.takes(task.nbytes))

    def _share(self) -> None:
        """Take over what the coworkers found."""
        resets = (action.tensor for action in self.plan.resets)
        self.comparison.share(self.coworkers, (*self.source.tensors, *self.source.outside, *resets))
        self.damage.share(self.coworkers)
        if self.untouched:
            self.untouched.share(self.coworkers)

    @property
    def compared(self) -> int:
        """The number of elements that are compared, by all."""
        places = (*chain.from_iterable(self.places.values()), *(expected.place for expected in self.kept))
        sizes = (place.part.numel for place in places)
        return sum(sizes if self.sample is None else (min(self.sample, size) for size in sizes))

    def check_unchanged(self) -> None:
        """Raise `ConflictError` if a file changed meanwhile."""
        for checkpoint in (self.source, self.result):
            checkpoint.check_unchanged((*checkpoint.files, *(checkpoint.other_files if self.untouched else ())))
        self.plan.check_sources()

    def outcome(self) -> Verification:
        """The outcome, once all batches are done."""
        found = () if self.comparison.is_equal and self.suspected.is_equal else tuple(self._differences())
        rest = self.untouched.differences(self.suspected.difference) if self.untouched else ()
        files = (*self.files, *rest, *self.damage.wrong(self._differing()))
        return Verification(
            self.result.path,
            self.plan,
            self.compared,
            found,
            self.place.lost,
            self.sample,
            self.source.path if self.is_result else None,
            self.untouched.compared if self.untouched else None,
            self.is_converted,
            files,
            self._is_of_optimizer({difference.tensor for difference in found}, {wrong.file for wrong in files}),
            bool(self.place.lost) and self.result.differs_in_size(self.source),
        )

    def _is_of_optimizer(self, tensors: set[str], files: set[str]) -> bool:
        """Whether some of `tensors` and `files`, which differ, are an optimizer's."""
        of_optimizers = {name for optimizer in self.source.optimizers for name in optimizer.tensors}
        return not of_optimizers.isdisjoint(tensors) or (
            self.source.is_directory and bool(files) and any(one.name in files for one in beside(self.source))
        )

    def _differences(self) -> Iterator[Difference]:
        """The first difference in each tensor: first in those that rules reach, then in the others, each name once."""
        yield from filter(None, map(self._difference, self.source.tensors))
        outside: dict[str, Difference] = {}
        for tensor in (*(action.tensor for action in self.plan.resets), *self.source.outside):
            if found := self._difference(tensor):
                outside.setdefault(found.tensor, found)
        yield from outside.values()

    def _difference(self, tensor: TensorSpec) -> Difference | None:
        """The first difference in `tensor`, in filled and kept elements alike."""
        found = filter(None, (self.comparison.difference(tensor), self.suspected.difference(tensor)))
        return min(found, key=attrgetter("index"), default=None)

    def _rest(self, *, is_own: bool) -> Iterator[Task]:
        """Tasks that compare everything that no rule fills, except in files that are written anew; after a conversion,
        only the files that were copied.
        """
        if self.untouched and is_own:
            yield from self.untouched.tasks(self.renewed)
        elif self.untouched and self.source.is_directory and self.result.is_directory:
            yield from self.untouched.of_others(
                self.source.side_files if self.is_converted else self.source.other_files, self.renewed
            )

    def _moved(self) -> set[int]:
        """The tensors, by identity, that are in files that are written anew."""
        return {id(tensor) for new in self.renewed.values() for tensor, _ in new.tensors}

    def _places(self) -> dict[object, list[Place]]:
        """The places of filled parts in the result, by action. Tied tensors may be apart there."""
        found: dict[object, list[Place]] = defaultdict(list)
        for action in (*self.plan.actions, *self.plan.resets):
            part = action.part
            for held in self.place.find(action.tensor) if part.numel else ():
                places = found[_same(action)]
                if all(place.held.blocks != held.blocks for place in places):
                    places.append(Place(action.tensor, part, held))
        return found

    def _computed(self, actions: Iterable[Action], computer: Computer) -> Iterator[Task]:
        """Tasks that compare filled parts. Row-major blocks whose laws are ready are compared together; samples, and
        parts in another order, by elements. One process compares all of a part whose law must be prepared.
        """
        together: list[TargetBlock] = []
        for action in actions:
            places = self.places.get(_same(action), ())
            is_whole = needs_preparing(type(action.law)) and self.plan.rng != TORCH  # torch draws in the plan's order
            if is_whole and not (places and self.coworkers.takes(action.part.nbytes)):
                continue
            mine = iter if is_whole else self._own
            law = computer.prepared(action)
            for place in places:
                blocks = TensorPart(place.held, action.rows).blocks if action.rows else place.held.blocks
                own = action if place.tensor is action.tensor else action.of(place.tensor)
                targets = [TargetBlock(own, block, law) for block in blocks if block.is_row_major]
                if self.sample or len(targets) < len(blocks):
                    expected = Expected(place, partial(computer.elements, action, law))
                    yield from mine(self.comparison.of_elements(expected, self.sample))
                elif law is action.law:
                    together += targets
                else:
                    yield from mine(self.comparison.of_targets(targets, computer))
        yield from self._own(self.comparison.of_targets(together, computer))

    def _kept(self, only: Container[int] | None = None) -> Iterator[Expected]:
        """The kept parts of tensors that the result holds; or of those in `only`, by identity. Tensors tied in both are
        listed once. Only tensors whose elements can be compared one by one are listed.
        """
        outside = () if self.is_converted else untouched(self.source.outside, self.plan.resets)
        seen: set[object] = set()
        for part in chain((kept.part for kept in self.plan.kept), outside):
            tensor, numbers = part.tensor, in_numbers(part.tensor)
            is_meant = only is None or id(tensor) in only
            has_values = tensor.blocks or tensor.name in self.source.values
            if not (is_meant and part.numel and has_values) or numbers.dtype.kind == "packed":
                continue
            whole = TensorPart(numbers, part.rows if numbers.shape == tensor.shape else None)
            for held in self.place.find(tensor):
                if (same := (tensor.value_name, part.rows, held.blocks)) not in seen:
                    seen.add(same)
                    yield Expected(Place(tensor, whole, in_numbers(held)), partial(self.before.read, numbers))

    def _differing(self) -> dict[str, list[ByteRange]]:
        """Ranges of the result's files with bytes that differ from the expected ones."""
        places = () if self.comparison.is_equal else chain.from_iterable(self.places.values())
        found = within(place.held for place in places if self.comparison.difference(place.tensor))
        for file, pieces in self.untouched.differing.items() if self.untouched else ():
            found[file] += pieces
        return found


def _same(action: Action) -> object:
    """A key that is equal for tied tensors that are filled alike. Tensors without a value have no blocks yet."""
    return action.tensor.blocks or action.tensor.value_name, action.rows


def _other_fields(checkpoint: Checkpoint) -> Iterator[FileDifference]:
    """What is wrong with `config.json` if `checkpoint` was to have other values in it already."""
    if fields := [shown(str(setting)) for setting in checkpoint.result.fields]:
        yield FileDifference(checkpoint.named(CONFIG), f"does not say {listed(fields)}")


def _config(source: Checkpoint, renewed: Mapping[str, RenewedFile]) -> dict[str, RenewedFile]:
    """`config.json`, if it is among the `renewed` files: a conversion writes all others in its own way."""
    name = source.named(CONFIG)
    return {name: renewed[name]} if name in renewed else {}


def _check_comparable(plan: Plan, result: Checkpoint | None) -> None:
    revised = [shown(action.tensor.name) for action in plan.actions if isinstance(action.law, RevisingLaw)]
    if revised and result is None:
        message = f"new values depend on old ones: {listed(revised)}"
        raise UsageError(Problem("verify.against", message, "name the original checkpoint with --against"))
    if plan.resets and result and not result.optimizers and may_be_converted(plan.checkpoint, result):
        message = f"reset-optimizer: {shown(result.path)} was converted, and has no optimizer"
        raise UsageError(Problem("verify.reset_optimizer", message, "leave out --reset-optimizer"))
