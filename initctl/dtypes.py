"""The element types a checkpoint can hold: one table."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

ElementKind = Literal["float", "complex", "integer", "bool", "scale", "packed", "quantized"]
"""`scale` holds only powers of two. No rule can write `packed`, which puts several elements into a byte, and
`quantized`, torch's types, whose scale is elsewhere."""


@dataclass(frozen=True, slots=True)
class DType:
    """An element type: torch's name for it, its tag in a safetensors header, if it has one, its width.

    `largest` is its largest finite number, for a complex type in each part; 0 if no rule can write it. `nan` are the
    bits of the NaN that torch's `fill_` writes, for a complex type those of each part; 0 if it has no NaN.
    """

    name: str
    tag: str | None
    bits: int
    kind: ElementKind
    largest: float = field(default=0, compare=False)  # this and what is below follow from the name
    nan: int = field(default=0, compare=False)

    @property
    def is_floating(self) -> bool:
        """Whether random values make sense."""
        return self.kind in ("float", "complex")

    @property
    def parts(self) -> int:
        """Real numbers that make up one element."""
        return 2 if self.kind == "complex" else 1

    @property
    def is_double(self) -> bool:
        """Whether it is more precise than float32, so that constants are not rounded to float32 first."""
        return self.name in ("float64", "complex128")

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy type of one part of an element, from ml_dtypes if NumPy has none.

        Raises `TypeError` for a packed type, whose elements no array can address, and for a quantized one.
        """
        return _numpy_type(self)

    @property
    def width(self) -> int:
        """Bytes of one part of an element. Raises `TypeError` if there is no NumPy type."""
        if self.kind in _UNWRITABLE:
            raise TypeError(f"{self.name}: NumPy has no such type")
        return self.bits // self.parts // 8

    def holds(self, value: float) -> bool:
        """Whether `value` can be stored: exactly, in an integer, bool or scale type; in a float,
        without overflow and without becoming 0.
        """
        if self.kind in _UNWRITABLE:
            return False
        if self.kind == "bool":
            return value in (0, 1)
        if self.kind == "integer":
            least = 0 if self.name.startswith("u") else -self.largest - 1
            return math.isfinite(value) and value == int(value) and least <= value <= self.largest
        if self.is_floating and every_float_holds(abs(value)):
            return True
        stored = value if self.is_double else self.rounded(value)
        return stored == value if self.kind == "scale" else math.isfinite(stored) and (stored != 0 or value == 0)

    def rounded(self, value: float) -> float:
        """`value` rounded to float32 and to this type, as computed values are. Infinite or NaN on overflow."""
        import numpy as np

        with np.errstate(over="ignore", under="ignore"):
            return float(np.array([value], np.float32).astype(self.numpy)[0])


DTYPES: tuple[DType, ...] = (
    DType("bool", "BOOL", 8, "bool", 1),
    DType("uint8", "U8", 8, "integer", 2**8 - 1),
    DType("int8", "I8", 8, "integer", 2**7 - 1),
    DType("uint16", "U16", 16, "integer", 2**16 - 1),
    DType("int16", "I16", 16, "integer", 2**15 - 1),
    DType("uint32", "U32", 32, "integer", 2**32 - 1),
    DType("int32", "I32", 32, "integer", 2**31 - 1),
    DType("uint64", "U64", 64, "integer", 2**64 - 1),
    DType("int64", "I64", 64, "integer", 2**63 - 1),
    DType("float4_e2m1fn", "F4", 4, "packed"),
    DType("float6_e2m3fn", "F6_E2M3", 6, "packed"),
    DType("float6_e3m2fn", "F6_E3M2", 6, "packed"),
    DType("float8_e4m3fn", "F8_E4M3", 8, "float", 448.0, 0x7F),
    DType("float8_e5m2", "F8_E5M2", 8, "float", 57344.0, 0x7F),
    DType("float8_e4m3fnuz", "F8_E4M3FNUZ", 8, "float", 240.0, 0x80),
    DType("float8_e5m2fnuz", "F8_E5M2FNUZ", 8, "float", 57344.0, 0x80),
    DType("float8_e8m0fnu", "F8_E8M0", 8, "scale", 2.0**127, 0xFF),
    DType("float16", "F16", 16, "float", 65504.0, 0x7E00),
    DType("bfloat16", "BF16", 16, "float", (2 - 2.0**-7) * 2.0**127, 0x7FC0),
    DType("float32", "F32", 32, "float", (2 - 2.0**-23) * 2.0**127, 0x7FC0_0000),
    DType("float64", "F64", 64, "float", (2 - 2.0**-52) * 2.0**1023, 0x7FF8_0000_0000_0000),
    DType("complex32", None, 32, "complex", 65504.0, 0x7E00),
    DType("complex64", "C64", 64, "complex", (2 - 2.0**-23) * 2.0**127, 0x7FC0_0000),
    DType("complex128", None, 128, "complex", (2 - 2.0**-52) * 2.0**1023, 0x7FF8_0000_0000_0000),
    DType("qint8", None, 8, "quantized"),
    DType("quint8", None, 8, "quantized"),
    DType("qint32", None, 32, "quantized"),
    DType("quint4x2", None, 4, "quantized"),
    DType("quint2x4", None, 2, "quantized"),
)

BY_TAG = {dtype.tag: dtype for dtype in DTYPES if dtype.tag}
BY_NAME = {dtype.name: dtype for dtype in DTYPES}


_UNWRITABLE = ("packed", "quantized")
_PARTS = {"complex32": "float16", "complex64": "float32", "complex128": "float64"}


def every_float_holds(size: float) -> bool:
    """Whether a number of this `size` rounds to a finite number other than 0 in every float type.

    Most values of rules do, and then planning need not load NumPy to round.
    """
    return size == 0 or 2.0**-9 <= size <= 240


@cache
def _numpy_type(dtype: DType) -> np.dtype[Any]:
    import numpy as np

    if dtype.kind in _UNWRITABLE:
        raise TypeError(f"{dtype.name}: NumPy has no such type")
    name = _PARTS.get(dtype.name, dtype.name)
    if hasattr(np, name):
        return np.dtype(name)
    import ml_dtypes

    return np.dtype(getattr(ml_dtypes, name, name))
