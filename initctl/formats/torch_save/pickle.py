"""A pickle read as data: nothing that it names is looked up, imported or called.

`pickletools` defines the instructions. They are executed on a stack, as in the pickle module, but stand-ins replace the
objects that they would create. Numbers, texts, lists and tuples are themselves; a class or function is a `Global`;
everything else, including dicts, is a `Made`. No value is hashed or compared (a dict is a list of pairs), and nothing
is recursive, so no content can make this slow or overflow the stack. Time and memory are proportional to the pickle;
there is a limit on everything that needs more memory than its bytes in the pickle.
"""

from __future__ import annotations

import pickletools
import struct
import sys
import warnings
from codecs import escape_decode, raw_unicode_escape_decode
from collections.abc import Callable, Iterable
from io import BytesIO
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.errors import shown
from initctl.formats.opening import Malformed
from initctl.formats.torch_save.calls import CalledNames, CallLog
from initctl.formats.torch_save.standins import (
    DICT,
    FROZENSET,
    LONG_TEXT,
    SET,
    Global,
    Made,
    MadeTensor,
    PatchableInt,
    StorageRef,
    leading,
)
from initctl.formats.torch_save.tensor_arguments import tensor_arguments
from initctl.formats.torch_save.tensors import REBUILDING

MOST_INSTRUCTIONS = 6_000_000
"""Instructions that create a value count twice. A state dict has about thirty for each tensor, which count as fifty."""
MOST_STORAGES = 250_000
"""Each tensor refers to one storage; tensors may share it."""
LONGEST_PICKLE = 100_000_000
"""Bytes."""
_MOST_GLOBALS, _LONGEST_NAME = 10_000, 1000
_MOST_WIDE = 100_000_000
"""The most bytes of memory of all non-ASCII texts: up to four for each character."""
_LONGEST_TEXT = 1 << 20
"""Bytes. A longer text is not a name, and is not decoded. A longer line is refused."""
_PROTOCOL = 5
_MEMO_LIMIT = 2**32
"""Real pickles have smaller numbers. A hostile file could choose larger ones to make the memo slow."""


class Pickle(NamedTuple):
    """The value in a pickle, the offset of its end, the names that it uses, and the storages that it refers to.

    `discarded` are values that it creates and does not use, such as calls made for their side effects.
    """

    value: Any
    stop: int
    names: CalledNames
    storages: list[StorageRef]
    discarded: list[Any]


class BreaksOff(Malformed):
    """The pickle is truncated: it may continue after the end of the data."""


def read_pickle(data: bytes, start: int = 0, *, at_most: int | None = None) -> Pickle:
    """The pickle at `start` of `data`, with at most `at_most` instructions. Raises `Malformed`.

    A whole number in 1, 2 or 4 bytes after the text `step` becomes a `PatchableInt`, up to `MOST_STORAGES` of them.
    """
    machine = _Machine(data, MOST_INSTRUCTIONS if at_most is None else at_most)
    try:
        stop = _run(machine, start)
        value = machine.stack.pop()
    except Malformed:
        raise
    except (ValueError, OverflowError) as error:
        raise BreaksOff(f"its pickle is truncated or invalid: {shown(error)}") from None
    except IndexError:
        raise Malformed("its pickle takes a value from an empty stack") from None
    machine.discard(*machine.stack, *chain.from_iterable(machine.outer))
    names = machine.log.names(frozenset(machine.globals.values()))
    return Pickle(value, stop, names, machine.storages, machine.discarded)


def _run(machine: _Machine, at: int) -> int:
    """Execute the instructions from byte `at` to the last one, which counts too. Returns the offset of the end."""
    data = machine.data
    try:
        while (code := data[at]) != _STOP:
            follow, cost = _TABLE[code]
            machine.left -= cost
            if machine.left <= 0:
                raise Malformed(f"its pickle has more than {machine.at_most:,} instructions")
            at += 1
            at = follow(machine, at) or at
    except IndexError:
        if at >= len(data):
            raise ValueError("it has no end") from None
        raise
    except struct.error:
        raise ValueError("a number is cut off") from None
    return at + 1


class _Lines(BytesIO):
    """A pickle's bytes. It reads at most `_LONGEST_TEXT` bytes of a line."""

    def readline(self, _: int | None = None) -> bytes:
        return super().readline(_LONGEST_TEXT)


class _Machine:
    """The stack and the memo, and methods for instructions.

    Each instruction is a function of the machine and of the offset after its code. It returns the offset of the next
    instruction if it has an argument in the pickle, and None otherwise.
    """

    def __init__(self, data: bytes, at_most: int) -> None:
        self.data = data
        self.at_most = self.left = at_most
        """The limit of instructions, and how many are left."""
        self.lines = _Lines(data)
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []
        """The stack at each mark."""
        self.memo: dict[int, Any] = {}
        self.globals: dict[tuple[str, str], Global] = {}
        self.rebuilding: set[int] = set()
        """The identities of functions that rebuild tensors."""
        self.log = CallLog()
        self.storages: list[StorageRef] = []
        self.discarded: list[Any] = []
        self.patchable = 0
        self.wide = 0
        """Bytes of memory of all non-ASCII texts."""

    def push(self, value: Any) -> None:  # noqa: ANN401 - whatever a pickle holds
        self.stack.append(value)

    def text(self, value: str) -> None:
        if not value.isascii():
            self.wide += sys.getsizeof(value)
            if self.wide > _MOST_WIDE:
                raise Malformed(f"the texts in its pickle need more than {_MOST_WIDE:,} bytes of memory")
        self.stack.append(value)

    def number(self, value: int, position: int, width: int) -> None:
        stack = self.stack
        if stack and type(stack[-1]) is str and stack[-1] == _STEP and self.patchable < MOST_STORAGES:
            self.patchable += 1
            value = PatchableInt(value)
            value.position, value.width = position, width
        stack.append(value)

    def pop(self, _: int) -> None:
        """Discard the last value, or the last mark."""
        if self.stack:
            self.discard(self.stack.pop())
        else:
            self.since_mark()

    def discard(self, *values: Any) -> None:  # noqa: ANN401
        self.discarded += leading(values)

    def top(self, count: int) -> list[Any]:
        """Take the last `count` values."""
        if len(self.stack) < count:
            raise IndexError
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def shared(self) -> Any:  # noqa: ANN401
        """The last value, which will be in several places. So its number cannot be patched in the file."""
        if type(self.stack[-1]) is PatchableInt:
            self.stack[-1] = int(self.stack[-1])
        return self.stack[-1]

    def mark(self, at: int) -> int | None:
        """Push a mark. If a tensor's arguments follow as torch writes them, read them in one step instead."""
        found = tensor_arguments(self.data, at, self.memo, self.made)
        if found is None:
            self.outer.append(self.stack)
            self.stack = []
            return None
        arguments, stop, cost = found
        self.keep(arguments[0])
        self.stack.append(arguments)
        self.left -= cost
        return stop

    def since_mark(self) -> list[Any]:
        """Take the values since the last mark."""
        taken, self.stack = self.stack, self.outer.pop()
        return taken

    def get(self, number: int) -> None:
        if number not in self.memo:
            raise Malformed(f"its pickle reads entry {number} of its memo before writing it")
        found = self.memo[number]
        if isinstance(found, Made):
            found.is_shared = True
        self.stack.append(found)

    def put(self, number: int) -> None:
        value = self.stack[-1]
        if type(value) is PatchableInt:
            value = self.shared()
        self.memo[number] = value

    def put_anywhere(self, number: int) -> None:
        if not 0 <= number < _MEMO_LIMIT:
            raise Malformed("its pickle uses an invalid number of a memo entry")
        self.put(number)

    def append(self, values: list[Any]) -> None:
        if isinstance(items := self.stack[-1], list):
            items += values
        else:
            self.add(values, (DICT, SET, FROZENSET))

    def add_items(self, values: list[Any]) -> None:
        _check_keys(values)
        self.add(values, (DICT, FROZENSET))

    def add(self, values: list[Any], unfit: tuple[Global, ...]) -> None:
        made = self.stack[-1]
        if not isinstance(made, Made) or made.called in unfit:
            raise Malformed("its pickle adds items to a value that cannot have any")
        self.log.change(made)
        made.items = made.items or []
        made.items += values

    def set_items(self, values: list[Any]) -> None:
        made = self.stack[-1]
        if not isinstance(made, Made) or made.called in (SET, FROZENSET):
            raise Malformed("its pickle sets items of a value that cannot have any")
        self.log.change(made)
        if made.pairs is None:
            made.pairs = []
        made.pairs += _paired(values)

    def stack_global(self, _: int) -> None:
        module, name = self.top(2)
        if not (isinstance(module, str) and isinstance(name, str)):
            raise Malformed("its pickle names a class with a value that is not text")
        self.name(module, name)

    def name(self, module: str, name: str) -> None:
        found = self.globals.get((module, name))
        if found is None:
            if len(module) + len(name) > _LONGEST_NAME:
                raise Malformed(f"its pickle names a class with more than {_LONGEST_NAME:,} characters")
            if len(self.globals) == _MOST_GLOBALS:
                raise Malformed(f"its pickle names more than {_MOST_GLOBALS:,} classes and functions")
            found = self.globals[module, name] = Global(module, name)
            self.log.name(found)
            if (module, name) in REBUILDING:
                self.rebuilding.add(id(found))
        self.stack.append(found)

    def leave(self, number: Any) -> None:  # noqa: ANN401
        """A persistent id names a storage, or a class that torch saved with its source code: then take its name."""
        if type(number) is tuple and len(number) > 1 and number[0] == "module" and isinstance(number[1], Global):
            self.stack.append(number[1])
            return
        found = StorageRef(number)
        self.keep(found)
        self.stack.append(found)

    def keep(self, storage: StorageRef) -> None:
        if len(self.storages) == MOST_STORAGES:
            raise Malformed(f"its pickle names more than {MOST_STORAGES:,} storages")
        self.storages.append(storage)

    def made(self, called: Any, arguments: Any) -> Made:  # noqa: ANN401
        """A stand-in for the result of a call. The call is noted."""
        made = self.instance(called, arguments)
        if id(called) not in self.log.settled:
            _check_callable(called)
            self.log.call(called, arguments)
        return made

    def instance(self, kind: Any, arguments: Any) -> Made:  # noqa: ANN401
        if type(arguments) is not tuple:
            raise Malformed("its pickle calls a function with a value that is not a tuple of arguments")
        return (MadeTensor if id(kind) in self.rebuilding else Made)(kind, arguments)

    def reduce(self, _: int) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = self.made(self.stack[-1], arguments)

    def newobj(self, _: int) -> None:
        kind, arguments = self.top(2)
        _check_callable(kind)
        self.log.rebuild(kind)
        self.push(self.instance(kind, arguments))

    def newobj_ex(self, _: int) -> None:
        kind, *arguments = self.top(3)
        _check_callable(kind)
        self.log.rebuild(kind)
        self.push(self.instance(kind, tuple(arguments)))

    def inst(self, names: list[str]) -> None:
        arguments = tuple(self.since_mark())
        self.name(*names)
        self.stack[-1] = self.made(self.stack[-1], arguments)

    def obj(self, _: int) -> None:
        called, *arguments = self.since_mark() or self.top(1)
        self.push(self.made(called, tuple(arguments)))

    def build(self, _: int) -> None:
        made, state = self.stack[-2], self.stack.pop()
        if not isinstance(made, Made) or made.called in (DICT, SET, FROZENSET):
            raise Malformed("its pickle sets attributes of a value that cannot have any")
        self.log.change(made)
        self.discard(made.state)
        made.state = state

    def proto(self, protocol: int) -> None:
        if protocol > _PROTOCOL:
            raise Malformed(f"its pickle has protocol {protocol}; the highest known protocol is {_PROTOCOL}")

    def frame(self, length: int) -> None:
        if length > len(self.data):
            raise ValueError("a frame is longer than the pickle")


def _paired(values: list[Any]) -> list[tuple[Any, Any]]:
    if len(values) % 2:
        raise Malformed("its pickle gives a dict a key without a value")
    keys = values[::2]
    _check_keys(keys)
    return list(zip(keys, values[1::2], strict=True))


def _check_keys(keys: Iterable[Any]) -> None:
    """Raise `Malformed` if a key is a list, a dict, a set or the like: Python could not find it again."""
    for key in keys:
        if type(key) in _UNHASHABLE and not (type(key) is Made and key.called not in (DICT, SET)):
            raise Malformed("its pickle has a key that cannot be one, such as a list")


def _check_callable(called: object) -> None:
    if not isinstance(called, (Global, Made)):
        raise Malformed("its pickle calls a value that is not a function")


def _refusing(fault: str) -> _Follow:
    """An instruction that no file of torch.save has."""

    def follow(_machine: _Machine, _at: int) -> None:
        raise Malformed(fault)

    return follow


def _read_int(lines: _Lines) -> int:
    """A number on a separate line, or a bool, as the pickle module reads it."""
    line = lines.readline()
    if not line.endswith(b"\n"):
        raise ValueError("a number does not end with a newline")
    return line == b"01\n" if line in (b"00\n", b"01\n") else int(line, 0)


def _read_escaped(lines: _Lines) -> str:
    """A text on a separate line. No codec is looked up for it: that would import a module."""
    line = lines.readline()
    if not line.endswith(b"\n"):
        raise ValueError("a text does not end with a newline")
    return raw_unicode_escape_decode(line[:-1])[0]


def _read_name(lines: _Lines) -> str:
    """A name on a separate line, without escapes, as the pickle module reads it."""
    line = lines.readline()
    if not line.endswith(b"\n"):
        raise ValueError("a name does not end with a newline")
    return line[:-1].decode("utf-8")


def _read_names(lines: _Lines) -> list[str]:
    """A module, and a name in the module."""
    return [_read_name(lines), _read_name(lines)]


def _read_quoted(lines: _Lines) -> str:
    """A text of Python 2. Invalid escapes give no warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _decoded(escape_decode(pickletools.read_stringnl(lines, decode=False))[0])


def _read_python2(read: Callable[[Any], str]) -> Callable[[_Lines], str]:
    """A text of Python 2 that `read` reads, in Latin-1."""
    return lambda lines: _decoded(read(lines).encode("latin-1"))


def _decoded(text: bytes) -> str:
    """A text of Python 2, as torch.load decodes it; one that is not UTF-8, which it refuses, in Latin-1."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _with_value(read: Callable[[Any], Any], take: Callable[[_Machine, Any], None] = _Machine.push) -> _Follow:
    """An instruction with a value: `read` reads it, and `take` passes it to the machine."""

    def follow(machine: _Machine, at: int) -> int:
        machine.lines.seek(at)
        take(machine, read(machine.lines))
        return machine.lines.tell()

    return follow


def _with_number(form: str, take: Callable[[_Machine, int], None] | None = None) -> _Follow:
    """An instruction with a whole number in the `struct` format `form`; these are the most frequent ones.

    Without `take`, the number is pushed, and may be a step.
    """
    unpack, width = struct.Struct(form).unpack_from, struct.calcsize(form)

    def follow(machine: _Machine, at: int) -> int:
        (value,) = unpack(machine.data, at)
        if take:
            take(machine, value)
        else:
            machine.number(value, at, width)
        return at + width

    return follow


def _with_text(form: str) -> _Follow:
    """An instruction with a text in UTF-8, after its length in the `struct` format `form`. A stand-in replaces a text
    that is too long.
    """
    unpack, width = struct.Struct(form).unpack_from, struct.calcsize(form)

    def follow(machine: _Machine, at: int) -> int:
        (length,) = unpack(machine.data, at)
        begin = at + width
        if length > len(machine.data) - begin:
            raise ValueError("a text is longer than the pickle")
        if length > _LONGEST_TEXT:
            machine.push(Made(LONG_TEXT, (length,)))
        else:
            machine.text(machine.data[begin : begin + length].decode("utf-8", "surrogatepass"))
        return int(begin + length)

    return follow


if TYPE_CHECKING:
    _Follow = Callable[[_Machine, int], int | None]

_READERS = {opcode.name: opcode.arg.reader for opcode in pickletools.opcodes if opcode.arg}
_VALUES = "LONG LONG1 LONG4 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8"
_TEXTS = "BINSTRING SHORT_BINSTRING"
_OUTSIDE = "its pickle refers to data outside of the file"
_MAKING: dict[str, _Follow] = {
    **{name: _with_value(_READERS[name]) for name in _VALUES.split()},
    **{name: _with_value(_read_python2(_READERS[name]), _Machine.text) for name in _TEXTS.split()},
    "MARK": _Machine.mark,
    "PUT": _with_value(_READERS["PUT"], _Machine.put_anywhere),
    "BINPUT": _with_number("<B", _Machine.put),
    "LONG_BINPUT": _with_number("<I", _Machine.put),
    "MEMOIZE": lambda machine, _: machine.put(len(machine.memo)),
    "STRING": _with_value(_read_quoted, _Machine.text),
    "UNICODE": _with_value(_read_escaped, _Machine.text),
    "SHORT_BINUNICODE": _with_text("<B"),
    "BINUNICODE": _with_text("<I"),
    "BINUNICODE8": _with_text("<Q"),
    "NEXT_BUFFER": _refusing(_OUTSIDE),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.push(tuple(machine.top(1))),
    "TUPLE2": lambda machine, _: machine.push(tuple(machine.top(2))),
    "TUPLE3": lambda machine, _: machine.push(tuple(machine.top(3))),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "LIST": lambda machine, _: machine.push(machine.since_mark()),
    "EMPTY_SET": lambda machine, _: machine.push(Made(SET)),
    "FROZENSET": lambda machine, _: machine.push(Made(FROZENSET, items=machine.since_mark())),
    "EMPTY_DICT": lambda machine, _: machine.push(Made(DICT)),
    "DICT": lambda machine, _: machine.push(Made(DICT, pairs=_paired(machine.since_mark()))),
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), _refusing("its pickle has a number in place of a class")),
    "GLOBAL": _with_value(_read_names, lambda machine, names: machine.name(*names)),
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.newobj,
    "NEWOBJ_EX": _Machine.newobj_ex,
    "INST": _with_value(_read_names, _Machine.inst),
    "OBJ": _Machine.obj,
    "PERSID": _with_value(_read_name, _Machine.leave),
    "BINPERSID": lambda machine, _: machine.leave(machine.stack.pop()),
}
_MAKING_NOTHING: dict[str, _Follow] = {
    **{name: _with_value(_READERS[name]) for name in ("FLOAT", "BINFLOAT")},
    "INT": _with_value(_read_int),
    "PROTO": _with_number("<B", _Machine.proto),
    "FRAME": _with_number("<Q", _Machine.frame),
    "POP": _Machine.pop,
    "POP_MARK": lambda machine, _: machine.discard(*machine.since_mark()),
    "DUP": lambda machine, _: machine.push(machine.shared()),
    "GET": _with_value(_READERS["GET"], _Machine.get),
    "BINGET": _with_number("<B", _Machine.get),
    "LONG_BINGET": _with_number("<I", _Machine.get),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),  # noqa: FBT003 - a value of the pickle
    "NEWFALSE": lambda machine, _: machine.push(False),  # noqa: FBT003
    "BININT": _with_number("<i"),
    "BININT1": _with_number("<B"),
    "BININT2": _with_number("<H"),
    "READONLY_BUFFER": _refusing(_OUTSIDE),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "APPEND": lambda machine, _: machine.append([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.since_mark()),
    "ADDITEMS": lambda machine, _: machine.add_items(machine.since_mark()),
    "SETITEM": lambda machine, _: machine.set_items(machine.top(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    "BUILD": _Machine.build,
}
"""Instructions that create no value, or only a number."""
_UNHASHABLE = frozenset((list, bytearray, Made))
_STEP = "step"
"""The only number that torch's optimizers once kept besides tensors."""
_STOP = ord(".")


def _unknown(machine: _Machine, at: int) -> None:
    raise ValueError(f"{machine.data[at - 1 : at]!r} is not an instruction")


def _table() -> list[tuple[_Follow, int]]:
    """The function of each instruction, by its code, and how many instructions it counts as."""
    table: list[tuple[_Follow, int]] = [(_unknown, 0)] * 256
    codes = {opcode.name: ord(opcode.code) for opcode in pickletools.opcodes}
    for instructions, cost in ((_MAKING, 2), (_MAKING_NOTHING, 1)):
        for name, follow in instructions.items():
            table[codes[name]] = follow, cost
    return table


_TABLE = _table()
