"""A pickle read as data: nothing that it names is looked up, imported or called.

`pickletools` knows the instructions; here they are followed on a stack, as in the pickle module, but with stand-ins in
place of what they ask for. Numbers, texts, lists and tuples are themselves; a class or function is a `Global`;
everything else, dicts among it, is `Made` by calling one. No value is hashed or compared on the way (a dict is a list
of pairs), and nothing recurs, so that no content can make this slow or deep. It costs time and memory in proportion to
the pickle; what takes more memory than its bytes is bounded.
"""

from __future__ import annotations

import pickletools
import struct
import sys
import warnings
from functools import partial
from io import BytesIO
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.errors import shown
from initctl.formats.torch_save.calls import Caller, Calls
from initctl.formats.torch_save.malformed import Malformed
from initctl.formats.torch_save.values import (
    DICT,
    FROZENSET,
    LONG_TEXT,
    SET,
    Global,
    Made,
    Persistent,
    Placed,
    leads_on,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_INSTRUCTIONS = 6_000_000
"""Those that make something count as two. A state dict takes some thirty for each tensor, which count as fifty."""
MOST_STORAGES = 250_000
"""A tensor names one, or shares it."""
_MOST_GLOBALS, _LONGEST_NAME = 10_000, 1000
_MOST_WIDE = 100_000_000
"""Bytes that all texts take which are not ASCII: up to four for each character."""
_LONGEST_TEXT = 1 << 20
"""Bytes. What is longer is no name, and stays undecoded; so long a line is refused."""
_PROTOCOL = 5
_MEMO_LIMIT = 2**32
"""Larger numbers stand in none, and could be chosen to make the memo slow."""


class Pickle(NamedTuple):
    """What a pickle holds, where it ends, what it names and would call, and all that it leaves to others.

    `discarded` is what it makes and then puts nowhere: calls made for what they do to their arguments.
    """

    value: Any
    stop: int
    calls: Calls
    persistent: list[Persistent]
    discarded: list[Any]

    @property
    def globals(self) -> frozenset[Global]:
        """Every class and function that it names."""
        return self.calls.named


class BreaksOff(Malformed):
    """There may be more of a pickle behind its end."""


def read_pickle(data: bytes, start: int = 0, *, at_most: int | None = None) -> Pickle:
    """The pickle at `start` of `data`, of `at_most` so many instructions. Raises `Malformed`.

    Whole numbers that stand behind the text `step`, in 1, 2 or 4 bytes, are `Placed`, as many as tensors may be.
    """
    stream = _Stream(data)
    stream.seek(start)
    machine = _Machine(stream)
    try:
        _run(machine, stream, MOST_INSTRUCTIONS if at_most is None else at_most)
    except Malformed:
        raise
    except (ValueError, OverflowError, struct.error) as error:
        raise BreaksOff(f"its pickle breaks off, or is none: {shown(error)}") from None
    except IndexError:
        raise Malformed("its pickle takes more than it has put down") from None
    finally:
        machine.forget()
    calls = machine.caller.calls(frozenset(machine.globals.values()))
    return Pickle(machine.result, stream.tell(), calls, machine.persistent, machine.discarded)


def _run(machine: _Machine, stream: _Stream, at_most: int) -> None:
    """Follow the instructions in `stream` to the last."""
    following = {
        code: (read, machine.instructions[name], 1 if name in _MAKING_NOTHING else 2)
        for code, (name, read) in _INSTRUCTIONS.items()
    }
    count = 0
    while not machine.stopped:
        try:
            read, follow, cost = following[stream.read(1)]
        except KeyError as unknown:
            raise ValueError(f"no instruction is {unknown}") from None
        count += cost
        if count > at_most:
            raise Malformed(f"its pickle holds more than {at_most:,} instructions")
        follow(read(stream) if read else None)


class _Stream(BytesIO):
    """A pickle's bytes, of which no line is longer than a text may be."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.size = len(data)

    def readline(self, _: int | None = None) -> bytes:
        return super().readline(_LONGEST_TEXT)


def _read_text(width: int) -> Callable[[Any], Any]:
    """What reads a text in UTF-8 that comes after its length, in `width` bytes; one that is too long is left out."""

    def read(stream: _Stream) -> Any:  # noqa: ANN401
        length = int.from_bytes(stream.read(width), "little")
        if length > stream.size - stream.tell():
            raise ValueError("a text is longer than all of it")
        if length > _LONGEST_TEXT:
            stream.seek(length, 1)
            return Made(LONG_TEXT, (length,))
        return stream.read(length).decode("utf-8", "surrogatepass")

    return read


def _read_name(stream: _Stream) -> str:
    """A name on a line of its own: as the pickle module reads it, without escapes."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise ValueError("no newline found where a name ends")
    return line[:-1].decode("utf-8")


def _read_names(stream: _Stream) -> list[str]:
    """A module, and a name in it."""
    return [_read_name(stream), _read_name(stream)]


def _read_quoted(stream: _Stream) -> str:
    """A text of Python 2, whatever stands behind its backslashes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(pickletools.read_stringnl(stream))


class _Machine:
    """The stack, the memo, and what each instruction does to them."""

    def __init__(self, stream: BytesIO | None = None) -> None:
        self.stream = stream or BytesIO()
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []
        """What lay on the stack at each mark."""
        self.memo: dict[int, Any] = {}
        self.globals: dict[tuple[str, str], Global] = {}
        self.caller = Caller()
        self.persistent: list[Persistent] = []
        self.discarded: list[Any] = []
        self.placed = 0
        self.wide = 0
        """Bytes that texts take which are not ASCII."""
        self.result: Any = None
        self.stopped = False
        self.instructions = self._instructions()

    def _instructions(self) -> dict[str, Callable[[Any], object]]:
        push = self.push
        table: dict[str, Callable[[Any], object]] = dict.fromkeys(_VALUES, push)
        table |= dict.fromkeys(_TEXTS, self.text)
        table |= {name: partial(self.number, width) for name, width in _WIDTHS.items()}
        table |= dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), self.get)
        table |= dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), self.put)
        table |= dict.fromkeys(("EXT1", "EXT2", "EXT4"), lambda code: self.name("copyreg", f"extension {code}"))
        more: dict[str, Callable[[Any], object]] = {
            "PROTO": self.proto,
            "FRAME": lambda _: None,
            "STOP": self.stop,
            "MARK": self.mark,
            "POP": self.pop,
            "POP_MARK": lambda _: self.discard(*self.since_mark()),
            "DUP": lambda _: push(self.shared()),
            "MEMOIZE": lambda _: self.put(len(self.memo)),
            "NONE": lambda _: push(None),
            "NEWTRUE": lambda _: push(True),  # noqa: FBT003 - a value of the pickle
            "NEWFALSE": lambda _: push(False),  # noqa: FBT003
            "EMPTY_TUPLE": lambda _: push(()),
            "TUPLE1": lambda _: self.tuple_of(1),
            "TUPLE2": lambda _: self.tuple_of(2),
            "TUPLE3": lambda _: self.tuple_of(3),
            "TUPLE": lambda _: push(tuple(self.since_mark())),
            "EMPTY_LIST": lambda _: push([]),
            "LIST": lambda _: push(self.since_mark()),
            "APPEND": lambda _: self.add([self.stack.pop()]),
            "APPENDS": lambda _: self.add(self.since_mark()),
            "EMPTY_SET": lambda _: push(Made(SET)),
            "ADDITEMS": lambda _: self.add(self.since_mark()),
            "FROZENSET": lambda _: push(Made(FROZENSET, items=self.since_mark())),
            "EMPTY_DICT": lambda _: push(Made(DICT)),
            "DICT": lambda _: push(Made(DICT, pairs=_paired(self.since_mark()))),
            "SETITEM": lambda _: self.set_items(self.top(2)),
            "SETITEMS": lambda _: self.set_items(self.since_mark()),
            "GLOBAL": lambda names: self.name(*names),
            "STACK_GLOBAL": self.stack_global,
            "REDUCE": self.reduce,
            "NEWOBJ": self.newobj,
            "NEWOBJ_EX": self.newobj_ex,
            "INST": self.inst,
            "OBJ": self.obj,
            "BUILD": self.build,
            "PERSID": self.leave,
            "BINPERSID": lambda _: self.leave(self.stack.pop()),
            "NEXT_BUFFER": lambda _: push(Made(Global("pickle", "PickleBuffer"))),
            "READONLY_BUFFER": lambda _: None,
        }
        return table | more

    def push(self, value: Any) -> None:  # noqa: ANN401 - whatever a pickle holds
        self.stack.append(value)

    def text(self, value: Any) -> None:  # noqa: ANN401
        """A text, or what stands for one that is too long."""
        if isinstance(value, str) and not value.isascii():
            self.wide += sys.getsizeof(value)
            if self.wide > _MOST_WIDE:
                raise Malformed(f"its pickle holds texts that take more than {_MOST_WIDE:,} bytes of memory")
        self.stack.append(value)

    def number(self, width: int, value: int) -> None:
        if self.stack and isinstance(self.stack[-1], str) and self.stack[-1] == _PLACED and self.placed < MOST_STORAGES:
            self.placed += 1
            value = Placed(value)
            value.position, value.width = self.stream.tell() - width, width
        self.stack.append(value)

    def pop(self, _: object) -> None:
        """A mark lies on the stack like a value."""
        if self.stack:
            self.discard(self.stack.pop())
        else:
            self.since_mark()

    def discard(self, *values: Any) -> None:  # noqa: ANN401
        self.discarded += filter(leads_on, values)

    def top(self, count: int) -> list[Any]:
        """Take the last `count` values."""
        if len(self.stack) < count:
            raise IndexError
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def shared(self) -> Any:  # noqa: ANN401
        """The last value, which may stand in several places: a number there is none that can be changed."""
        if isinstance(self.stack[-1], Placed):
            self.stack[-1] = int(self.stack[-1])
        return self.stack[-1]

    def tuple_of(self, count: int) -> None:
        self.push(tuple(self.top(count)))

    def mark(self, _: object) -> None:
        self.outer.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        """Take the values since the last mark."""
        taken, self.stack = self.stack, self.outer.pop()
        return taken

    def get(self, number: int) -> None:
        if number not in self.memo:
            raise Malformed(f"its pickle reads number {number} of its memo, which it has not written")
        found = self.memo[number]
        if isinstance(found, Made):
            found.is_shared = True
        self.push(found)

    def put(self, number: int) -> None:
        if not 0 <= number < _MEMO_LIMIT:
            raise Malformed("its pickle numbers its memo as no pickle does")
        self.memo[number] = self.shared()

    def add(self, values: list[Any]) -> None:
        match self.stack[-1]:
            case list() as items:
                items += values
            case Made() as made:
                self.caller.change(made)
                made.items = made.items or []
                made.items += values
            case _:
                raise Malformed("its pickle adds items to what takes none")

    def set_items(self, values: list[Any]) -> None:
        made = self.stack[-1]
        if not isinstance(made, Made):
            raise Malformed("its pickle sets items of what takes none")
        self.caller.change(made)
        if made.pairs is None:
            made.pairs = []
        made.pairs += _paired(values)

    def stack_global(self, _: object) -> None:
        module, name = self.top(2)
        if not (isinstance(module, str) and isinstance(name, str)):
            raise Malformed("its pickle names a class by something other than text")
        self.name(module, name)

    def name(self, module: str, name: str) -> None:
        if (module, name) not in self.globals:
            if len(module) + len(name) > _LONGEST_NAME:
                raise Malformed(f"its pickle names a class by more than {_LONGEST_NAME:,} characters")
            if len(self.globals) == _MOST_GLOBALS:
                raise Malformed(f"its pickle names more than {_MOST_GLOBALS:,} classes and functions")
            self.globals[module, name] = Global(module, name)
            self.caller.name(self.globals[module, name])
        self.push(self.globals[module, name])

    def leave(self, number: Any) -> None:  # noqa: ANN401
        """What is left to the reader is a storage, or a class that torch saved with its source: the class's name."""
        match number:
            case ("module", Global() as kind, *_):
                self.push(kind)
            case _:
                if len(self.persistent) == MOST_STORAGES:
                    raise Malformed(f"its pickle names more than {MOST_STORAGES:,} storages")
                self.persistent.append(Persistent(number))
                self.push(self.persistent[-1])

    def called(self, called: Any, arguments: Any) -> None:  # noqa: ANN401
        """Put down what calling `called` would give."""
        self.caller.call(called, arguments)
        self.push(Made(called, arguments))

    def reduce(self, _: object) -> None:
        self.called(*self.top(2))

    def newobj(self, _: object) -> None:
        kind, arguments = self.top(2)
        self.caller.rebuild(kind)
        self.push(Made(kind, arguments))

    def newobj_ex(self, _: object) -> None:
        kind, arguments, keywords = self.top(3)
        self.caller.rebuild(kind)
        self.push(Made(kind, (arguments, keywords)))

    def inst(self, names: list[str]) -> None:
        arguments = tuple(self.since_mark())
        self.name(*names)
        self.called(self.stack.pop(), arguments)

    def obj(self, _: object) -> None:
        called, *arguments = self.since_mark() or self.top(1)
        self.called(called, tuple(arguments))

    def build(self, _: object) -> None:
        made, state = self.stack[-2], self.stack.pop()
        if not isinstance(made, Made):
            raise Malformed("its pickle sets attributes of what has none")
        self.caller.change(made)
        self.discard(made.state)
        made.state = state

    def proto(self, protocol: int) -> None:
        if protocol > _PROTOCOL:
            raise Malformed(f"its pickle is of protocol {protocol}; the highest that there is is {_PROTOCOL}")

    def stop(self, _: object) -> None:
        self.result, self.stopped = self.stack.pop(), True
        self.discard(*self.stack, *chain.from_iterable(self.outer))

    def forget(self) -> None:
        """Let go of all but the result: the instructions refer to what they work on, which would not go by itself."""
        self.memo, self.stack, self.outer, self.instructions = {}, [], [], {}


_VALUES = (
    "INT", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
)  # fmt: skip
"""Instructions that bring their value with them."""
_WIDTHS = {"BININT1": 1, "BININT2": 2, "BININT": 4}
"""Those of whole numbers, and their bytes."""
_TEXTS = (
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
)  # fmt: skip
_MAKING_NOTHING = frozenset(
    (
        "GET", "BINGET", "LONG_BINGET", "POP", "POP_MARK", "DUP", "NONE", "NEWTRUE", "NEWFALSE", "EMPTY_TUPLE", "INT",
        "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT", "APPEND", "APPENDS", "ADDITEMS", "SETITEM", "SETITEMS",
        "BUILD", "PROTO", "FRAME", "STOP", "READONLY_BUFFER",
    )
)  # fmt: skip
"""Instructions that put nothing new into memory, or a number at most."""
_PLACED = "step"
"""What torch's optimizers call the one number that they once kept beside tensors."""
_INSTRUCTIONS: dict[bytes, tuple[str, Callable[[Any], Any] | None]] = {
    opcode.code.encode("latin-1"): (opcode.name, opcode.arg.reader if opcode.arg else None)
    for opcode in pickletools.opcodes
} | {
    b"c": ("GLOBAL", _read_names),
    b"i": ("INST", _read_names),
    b"P": ("PERSID", _read_name),
    b"S": ("STRING", _read_quoted),
    b"\x8c": ("SHORT_BINUNICODE", _read_text(1)),
    b"X": ("BINUNICODE", _read_text(4)),
    b"\x8d": ("BINUNICODE8", _read_text(8)),
}
"""The name of each, and what reads that which it brings with it."""


def _paired(values: list[Any]) -> list[tuple[Any, Any]]:
    if len(values) % 2:
        raise Malformed("its pickle gives a dict a key without a value")
    return list(zip(values[::2], values[1::2], strict=True))
