"""Commands whose work the ranks of a run share: the first rank speaks, the others are silent."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from initctl.cli import streams
from initctl.cli.signals import Ended, ignore_signals
from initctl.cli.streams import complain
from initctl.distributed.launcher import launched
from initctl.errors import ConflictError, Problem

if TYPE_CHECKING:
    from initctl.distributed.ranks import Ranks

_SHARED = ("apply", "verify", "stats", "diff", "doctor")
_ONCE = ("new",)
"""Commands that write, but cannot be shared."""
_ALONE = {"--part", "--parts", "--commit", "--status", "--help", "-h"}
"""Options of a process that does only what it is asked for, whoever started it."""


@contextmanager
def sharing(arguments: Sequence[str]) -> Iterator[None]:
    """If a launcher started several processes, and the command that `arguments` call can be shared, they share it in
    the body. Errors that all ranks raise are reported by the first rank; others, by the rank that has them.

    Raises `ConflictError` if the command writes, but cannot be shared.
    """
    launch = launched(os.environ) if _concerns_ranks(arguments) else None
    if launch is None:
        yield
        return
    if arguments[0] not in _SHARED:
        fault = f"this is rank {launch.rank} of {launch.size}, and each would write the whole checkpoint"
        raise ConflictError(Problem("ranks.group", fault, f"run it once; unset {launch.variable} if it is alone"))
    from initctl.distributed.ranks import joined

    ranks: Ranks | None = None
    try:
        with joined(launch, partial(complain, "warning")) as ranks:
            streams.is_silent = launch.rank > 0
            yield
    except Ended:
        raise
    except BaseException:
        is_agreed = bool(ranks and ranks.agreed)
        if is_agreed:
            ignore_signals()  # a launcher ends all ranks as soon as one has failed, but the first still has to speak
        streams.is_silent = launch.rank > 0 and is_agreed
        raise


def leave(status: int) -> NoReturn:
    """End the process with `status`; at once, if a thread still waits for other ranks."""
    waiting = sys.modules.get("initctl.distributed.waiting")
    if waiting and waiting.is_one_left():
        atexit._run_exitfuncs()  # noqa: SLF001 - what Python does itself otherwise
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)
    sys.exit(status)


def _concerns_ranks(arguments: Sequence[str]) -> bool:
    """Whether it matters to the command that other ranks run it too."""
    given = {argument.partition("=")[0] for argument in arguments}
    return bool(arguments) and arguments[0] in (*_SHARED, *_ONCE) and not given & _ALONE
