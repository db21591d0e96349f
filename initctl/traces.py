"""Names of the files that initctl keeps beside a checkpoint while it works on it. They are never part of one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import cache
from zlib import crc32

from initctl import paths

JOURNAL = ".initctl-journal"
"""The journal of a patch of a directory. That of a single file has a digest of the file's name behind it."""
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_STAGED = re.compile(r"\.initctl-[0-9a-f]{6}-[0-9]+-[0-9a-f]{8}\.tmp")
_PARTS = re.compile(r"\.initctl-\w+\.(?:parts|result|gone)")
_KEPT = re.compile(r"\.initctl-[0-9a-f]{8}\.old")
_JOURNAL = re.compile(re.escape(JOURNAL) + "(?:-[0-9a-f]{12})?")


def staged_path(target: str) -> str:
    """A new name beside `target`. It says which process made it: the boot, the process ID, and a random part."""
    name = f".initctl-{_boot()}-{os.getpid()}-{os.urandom(4).hex()}.tmp"
    return os.path.join(os.path.dirname(target), name)


def kept_path(replaced: str) -> str:
    """A new name beside `replaced`, a directory that was replaced, if it stays. No run takes it for left over."""
    return os.path.join(os.path.dirname(replaced), f".initctl-{os.urandom(4).hex()}.old")


def journal_path(target: str) -> str:
    """Where the journal of a patch of `target` is: in it, if it is a directory, or else beside it."""
    if paths.is_directory(target):
        return os.path.join(target, JOURNAL)
    return os.path.join(os.path.dirname(target), f"{JOURNAL}-{_digest(os.path.basename(target))}")


def above(path: str) -> Iterator[str]:
    """The directories above the real `path`, from the next one up."""
    while path != (path := os.path.dirname(path)):
        yield path


def is_staged(name: str) -> bool:
    """Whether a file or a directory of this name is the unfinished result of one process."""
    return _STAGED.fullmatch(name) is not None


def is_of_this_boot(name: str) -> bool:
    """Whether the unfinished result of this `name` was made by this machine, since it was started."""
    return name.split("-")[1] == _boot()


def is_of_living_process(path: str) -> bool:
    """Whether a process here has the ID of the one that made the unfinished result at `path`."""
    try:
        os.kill(int(os.path.basename(path).split("-")[2]), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def are_parts(name: str) -> bool:
    """Whether a directory of this name belongs to a result that several processes write."""
    return _PARTS.fullmatch(name) is not None


def is_kept(name: str) -> bool:
    """Whether a directory of this name was replaced, and stays because it may be needed."""
    return _KEPT.fullmatch(name) is not None


def is_journal(name: str) -> bool:
    """Whether a file of this name is the journal of a patch."""
    return _JOURNAL.fullmatch(name) is not None


def is_trace(name: str) -> bool:
    """Whether a file or a directory of this name is only there while initctl works, or after it was interrupted."""
    return is_staged(name) or are_parts(name) or is_journal(name)


@cache
def _boot() -> str:
    try:
        with open(_BOOT_ID, "rb") as stream:
            return f"{crc32(stream.read()) & 0xFFFFFF:06x}"
    except OSError:
        return "0" * 6


def _digest(name: str) -> str:
    from hashlib import blake2b

    return blake2b(os.fsencode(name), digest_size=6).hexdigest()
