"""Zip archives of torch.save: their records, the fields of their headers, and the pickle in them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from tests.formats.torch_save.rewritten import Record, packed, records_of
from tests.fuzz.mutators import pickles, raw

if TYPE_CHECKING:
    from random import Random

_SIGNATURES = (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\7\x08")
_LENGTHS = {b"PK\1\2": 46, b"PK\3\4": 30, b"PK\5\6": 22, b"PK\6\6": 56, b"PK\6\7": 20, b"PK\7\x08": 16}
NAMES = ("archive/data/0", "archive/data/1", "archive/x", "b/data/0", "archive/../x", "/x", "archive\\x", "x", "",
         "archive/",
         "archive/constants.pkl", "archive/code/evil.py", "archive/version", "archive/a//b", "archive/x\0y",
         "é/data/0")  # fmt: skip
_EDITS_AT_ONCE = (1, 1, 1, 1, 2, 4)


@lru_cache(maxsize=4096)
def _records(content: bytes) -> tuple[Record, ...]:
    try:
        return tuple(records_of(content).values())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError, OSError, zipfile.zlib.error):
        return ()


def of_its_pickle(rng: Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """An archive with other instructions in data.pkl, all else right."""
    records = list(_records(content))
    at = next((i for i, held in enumerate(records) if held.name.endswith("/data.pkl")), None)
    if at is None:
        return raw.edited(rng, content, others)
    records[at] = replace(records[at], content=pickles.mutated(rng, records[at].content, [records[at].content]))
    return packed(records)


def mutated(rng: Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """An archive with other records, or other fields in its headers."""
    records = list(_records(content))
    if not records or rng.random() < 0.5:
        return _with_other_fields(rng, content, others)
    for _ in range(rng.choice(_EDITS_AT_ONCE)):
        rng.choice(_CHANGES)(rng, records, rng.randrange(len(records)))
        if not records:
            break
    end = {rng.choice(("count", "size", "offset")): raw.number(rng) % 2**16} if rng.random() < 0.05 else {}
    return packed(records, zip64_end=rng.random() < 0.2, **end)


def _with_other_fields(rng: Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """`content` with numbers in its headers changed."""
    for _ in range(rng.choice(_EDITS_AT_ONCE)):
        signature = rng.choice(_SIGNATURES)
        places = [at for at in range(len(content)) if content.startswith(signature, at)]
        if not places:
            return raw.edited(rng, content, others)
        at = rng.choice(places) + rng.randrange(4, _LENGTHS[signature], 2)
        width = rng.choice((2, 4))
        held = int.from_bytes(content[at : at + width], "little")
        new = held + rng.choice((-1, 1)) if rng.random() < 0.4 else raw.number(rng)
        content = content[:at] + (new % 256**width).to_bytes(width, "little") + content[at + width :]
    return content


def _field(rng: Random, records: list[Record], at: int) -> None:
    held = records[at]
    change: dict[str, object] = rng.choice((
        {"crc": raw.number(rng) % 2**32}, {"flags": held.flags ^ 1 << rng.randrange(16)}, {"method": rng.choice((0, 8,
        1))},
        {"size": raw.number(rng) % 2**32}, {"local_name": rng.choice(NAMES)}, {"local_crc": raw.number(rng) % 2**32},
        {"local_size": raw.number(rng) % 2**32}, {"extra": rng.randbytes(rng.randrange(12))},
        {"attributes": rng.choice((0, 0x10, 0x20, 0o100644 << 16, 0o040755 << 16, 0o120777 << 16))}, {"wide": True},
        {"flags": 0},
    ))  # fmt: skip
    records[at] = replace(held, **change)


def _rename(rng: Random, records: list[Record], at: int) -> None:
    records[at] = replace(records[at], name=rng.choice((*NAMES, *(held.name for held in records))))


def _content(rng: Random, records: list[Record], at: int) -> None:
    held = records[at].content
    records[at] = replace(records[at], content=raw.edited(rng, held, [held]))


def _remove(rng: Random, records: list[Record], at: int) -> None:
    del records[at]


def _repeat(rng: Random, records: list[Record], at: int) -> None:
    records.insert(rng.randrange(len(records) + 1), records[at])


def _shuffle(rng: Random, records: list[Record], at: int) -> None:
    rng.shuffle(records)


_CHANGES: tuple[Callable[[Random, list[Record], int], None], ...] = (
    _field, _field, _field, _rename, _content, _remove, _repeat, _shuffle,
)  # fmt: skip
