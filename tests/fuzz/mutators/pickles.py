"""Pickles: their instructions removed, repeated, moved, given other arguments, or put in anew."""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from tests.fuzz.mutators import raw

if TYPE_CHECKING:
    from random import Random

_EDITS_AT_ONCE = (1, 1, 1, 1, 2, 4)
NAMES = (
    "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor", "torch._utils _rebuild_tensor_v3",
    "torch._utils _rebuild_parameter", "torch._utils _rebuild_parameter_with_state", "torch._utils _rebuild_qtensor",
    "torch._utils _rebuild_sparse_tensor", "torch._utils _rebuild_meta_tensor_no_storage",
    "torch._utils _rebuild_wrapper_subclass", "torch._utils _rebuild_nested_tensor",
    "torch._tensor _rebuild_from_type_v2", "torch FloatStorage", "torch HalfStorage", "torch LongStorage",
    "torch BoolStorage", "torch.storage UntypedStorage", "torch.storage TypedStorage", "torch float32", "torch int64",
    "torch float8_e4m3fn", "torch bfloat16", "torch Size", "torch device", "torch Tensor",
    "torch.nn.parameter Parameter",
    "collections OrderedDict", "collections Counter", "collections defaultdict", "builtins set", "builtins list",
    "__builtin__ dict", "builtins bytearray", "os system", "posix system", "builtins eval", "copyreg _reconstructor",
    "_codecs encode", "codecs decode", "numpy.core.multiarray scalar", "numpy dtype", "argparse Namespace", "x y",
)  # fmt: skip
"""Modules and names."""
TEXTS = ("", "w", "v", "0", "1", "storage", "module", "cpu", "cuda:0", "step", "little_endian", "conj", "neg", "state",
         "param_groups", "params", "é", "\u20ac", "\ud800", "\x1b[31m", "a.b", "x\n::error::", "k" * 300)  # fmt: skip
_ALL = {opcode.name: opcode for opcode in pickletools.opcodes}


@lru_cache(maxsize=4096)
def instructions(content: bytes) -> tuple[bytes, ...]:
    """The instructions of all pickles that `content` begins with, and the bytes after them."""
    found: list[bytes] = []
    reached = 0
    try:
        while reached < len(content):
            places = [place for _, _, place in pickletools.genops(content[reached:])]
            stops = [*places[1:], places[-1] + 1]
            found += [content[reached + a : reached + b] for a, b in zip(places, stops, strict=True)]
            reached += stops[-1]
    except (ValueError, IndexError, struct.error):
        pass
    return (*found, content[reached:]) if reached < len(content) else tuple(found)


def mutated(rng: Random, content: bytes, others: Sequence[bytes]) -> bytes:
    """`content` after a few changes of its instructions."""
    parts = list(instructions(content))
    if len(parts) < 3 or rng.random() < 0.1:
        return raw.edited(rng, content, others)
    for _ in range(rng.choice(_EDITS_AT_ONCE)):
        rng.choice(_CHANGES)(rng, parts, rng.randrange(len(parts)))
        if not parts:
            break
    return b"".join(parts)[: raw.LONGEST]


def instruction(rng: Random, kind: str | None = None) -> bytes:
    """Any instruction, with any argument."""
    opcode = _ALL[kind] if kind else rng.choice(pickletools.opcodes)
    argument = _ARGUMENTS[opcode.arg.name](rng) if opcode.arg else b""
    return opcode.code.encode("latin-1") + argument


def _remove(rng: Random, parts: list[bytes], at: int) -> None:
    del parts[at : at + rng.choice((1, 1, 2, 5))]


def _insert(rng: Random, parts: list[bytes], at: int) -> None:
    parts.insert(at, instruction(rng))


def _insert_value(rng: Random, parts: list[bytes], at: int) -> None:
    parts.insert(at, instruction(rng, rng.choice(_VALUES)))


def _replace(rng: Random, parts: list[bytes], at: int) -> None:
    parts[at] = instruction(rng)


def _replace_value(rng: Random, parts: list[bytes], at: int) -> None:
    """A number for a number, a name for a name, a text for a text."""
    code = parts[at][:1]
    kind = next((of for of in _ALIKE if code in of), None)
    parts[at] = instruction(rng, rng.choice(_ALIKE[kind])) if kind else instruction(rng, rng.choice(_VALUES))


def _repeat(rng: Random, parts: list[bytes], at: int) -> None:
    stop = at + rng.choice((1, 1, 2, 8))
    parts[at:at] = parts[at:stop] * rng.choice((1, 1, 20))


def _swap(rng: Random, parts: list[bytes], at: int) -> None:
    other = rng.randrange(len(parts))
    parts[at], parts[other] = parts[other], parts[at]


def _damage(rng: Random, parts: list[bytes], at: int) -> None:
    parts[at] = raw.edited(rng, parts[at], [parts[at]])


_CHANGES: tuple[Callable[[Random, list[bytes], int], None], ...] = (
    _remove, _insert, _insert_value, _replace, _replace_value, _replace_value, _replace_value, _repeat, _swap, _damage,
)  # fmt: skip
_NUMBERS = ("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "BINFLOAT", "NEWTRUE", "NONE")
_TEXTS = (
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "BINUNICODE8",
    "UNICODE",
    "STRING",
    "SHORT_BINSTRING",
    "BINSTRING",
    "BINBYTES",
)
_VALUES = (*_NUMBERS, *_TEXTS, "GLOBAL", "EMPTY_DICT", "EMPTY_TUPLE", "EMPTY_LIST", "BINGET", "BINPUT", "MARK",
           "REDUCE",
           "TUPLE", "TUPLE1", "TUPLE2", "SETITEM", "SETITEMS", "BUILD", "NEWOBJ", "POP", "BINPERSID")  # fmt: skip
_ALIKE = {
    b"KMJILG\x8a\x8b\x88\x89N": _NUMBERS,
    b"XVSTUB\x8c\x8d": _TEXTS,
    b"c\x93i": ("GLOBAL",),
    b"hgj": ("BINGET", "LONG_BINGET", "GET"),
    b"qpr\x94": ("BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"),
    b"Rb\x81\x92o": ("REDUCE", "BUILD", "NEWOBJ", "NEWOBJ_EX", "OBJ"),
    b"}]()\x8f": ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "MARK", "EMPTY_SET"),
    b"suae\x90td": ("SETITEM", "SETITEMS", "APPEND", "APPENDS", "ADDITEMS", "TUPLE", "DICT", "LIST"),
    b"\x85\x86\x87": ("TUPLE1", "TUPLE2", "TUPLE3"),
}


def _text(rng: Random) -> bytes:
    return rng.choice(TEXTS).encode("utf-8", "surrogatepass")


def _line(rng: Random) -> bytes:
    return _text(rng).replace(b"\n", b"\\n") + b"\n"


def _pair(rng: Random) -> bytes:
    return rng.choice(NAMES).replace(" ", "\n").encode() + b"\n"


def _decimal(rng: Random) -> bytes:
    return rng.choice((b"%d\n", b"%dL\n", b" %d \n", b"0%d\n")) % raw.number(rng)


def _fixed(form: str) -> Callable[[Random], bytes]:
    size = struct.calcsize(form)
    return lambda rng: (raw.number(rng) % 256**size).to_bytes(size, "little")


def _small(rng: Random) -> bytes:
    return bytes([rng.choice((rng.randrange(12), rng.randrange(256)))])


def _counted(form: str, content: Callable[[Random], bytes]) -> Callable[[Random], bytes]:
    """Content after its length, which is wrong at times."""

    def argument(rng: Random) -> bytes:
        held = content(rng)
        size = struct.calcsize(form)
        length = len(held) if rng.random() < 0.97 else raw.number(rng)
        return (length % 256**size).to_bytes(size, "little") + held

    return argument


def _number_in_bytes(rng: Random) -> bytes:
    value = raw.number(rng)
    return value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)


_ARGUMENTS: dict[str, Callable[[Random], bytes]] = {
    "uint1": _small, "uint2": _fixed("<H"), "int4": _fixed("<i"), "uint4": lambda rng: _small(rng) + bytes(3),
    "uint8": lambda rng: _small(rng) + bytes(7),
    "decimalnl_short": _decimal, "decimalnl_long": _decimal, "floatnl": _decimal,
    "float8": lambda rng: rng.randbytes(8),
    "stringnl": lambda rng: b"'" + _text(rng).replace(b"\n", b"") + b"'\n",
    "stringnl_noescape": _line, "stringnl_noescape_pair": _pair, "unicodestringnl": _line,
    "string1": _counted("<B", _text), "string4": _counted("<I", _text), "unicodestring1": _counted("<B", _text),
    "unicodestring4": _counted("<I", _text), "unicodestring8": _counted("<Q", _text), "bytes1": _counted("<B", _text),
    "bytes4": _counted("<I", _text), "bytes8": _counted("<Q", _text), "bytearray8": _counted("<Q", _text),
    "long1": _counted("<B", _number_in_bytes), "long4": _counted("<I", _number_in_bytes),
}  # fmt: skip
