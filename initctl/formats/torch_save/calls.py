"""The functions that loading a pickle would call, noted while it is read as data.

REDUCE, OBJ and INST call a function that the file chooses. NEWOBJ calls `__new__` of a class, and BUILD calls
`__setstate__` of an object. This runs only the code of the class, so a class that is only rebuilt is not noted.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from initctl.formats.torch_save.standins import Global, Made

HANDING_ON: dict[tuple[str, str], tuple[tuple[int, ...], tuple[int, ...]]] = {
    ("torch._tensor", "_rebuild_from_type"): ((0,), ()),
    ("torch._tensor", "_rebuild_from_type_v2"): ((0,), ()),
    ("numpy.random._pickle", "__bit_generator_ctor"): ((), (0,)),
    ("numpy.random._pickle", "__generator_ctor"): ((1,), (0,)),
    ("numpy.random._pickle", "__randomstate_ctor"): ((1,), (0,)),
    ("copyreg", "_reconstructor"): ((1,), ()),  # `__init__` of the base
}
"""Functions that call their arguments: the positions of arguments that are always called, and of those that are called
if they are classes or functions.
"""


class CalledNames(NamedTuple):
    """The classes and functions that a pickle names, those that it calls, and those whose results it calls."""

    named: frozenset[Global]
    called: frozenset[Global]
    returning: frozenset[Global]

    def together(self, *others: CalledNames) -> CalledNames:
        """These names and those of other pickles, which are loaded one after another."""
        return CalledNames(*(one.union(*more) for one, *more in zip(self, *others, strict=True)))


class CallLog:
    """Notes each call. It compares only identities: a pickle's globals are unique objects."""

    def __init__(self) -> None:
        self.settled: set[int] = set()
        """The identities of functions whose further calls add nothing new."""
        self._called: dict[int, Global] = {}
        self._returning: dict[int, Global] = {}
        self._handing_on: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        """The rows of `HANDING_ON`, by the identities of functions."""
        self._anything = False

    def name(self, named: Global) -> None:
        """Note a class or function that the pickle names for the first time."""
        key = named.module, named.name
        if key in HANDING_ON:
            self._handing_on[id(named)] = HANDING_ON[key]

    def call(self, called: Any, arguments: tuple[Any, ...]) -> None:  # noqa: ANN401 - whatever a pickle holds
        """Note that `called` is called, by REDUCE, OBJ or INST."""
        if isinstance(called, Global):
            self._called[id(called)] = called
            if id(called) not in self._handing_on:
                self.settled.add(id(called))
            else:
                self._hand_on(*self._handing_on[id(called)], arguments)
        elif (root := _root(called)) is not None:
            self._returning[id(root)] = root

    def rebuild(self, kind: Any) -> None:  # noqa: ANN401
        """Note that NEWOBJ creates an object of `kind`. If this class is the result of a call, the call is noted."""
        if not isinstance(kind, Global):
            self.call(kind, ())

    def change(self, made: Made) -> None:
        """Note that the pickle changes an object. If it has attributes already, any of them may be called for that.

        Pickles that Python writes set attributes last, and once.
        """
        self._anything |= made.state is not None

    def _hand_on(self, called: tuple[int, ...], classes: tuple[int, ...], arguments: tuple[Any, ...]) -> None:
        for place, argument in enumerate(arguments):
            if place in called or (place in classes and isinstance(argument, Global)):
                self._anything |= id(argument) in self._handing_on and place in called
                self.call(argument, ())

    def names(self, named: frozenset[Global]) -> CalledNames:
        called = named if self._anything else frozenset(self._called.values())
        return CalledNames(named, called, frozenset(self._returning.values()))


def _root(value: Any) -> Global | None:  # noqa: ANN401
    """The first function in the chain of calls that makes `value`."""
    while isinstance(value, Made):
        value = value.called
    return value if isinstance(value, Global) else None
